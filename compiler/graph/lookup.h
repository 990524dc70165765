/* lookup.h -- a table of blocks (LOOKUP): how its numbers lie in memory.
 *
 * The box is cut into index[b1 .. bk] blocks of equal size; a block of level l has r = 2^l cells along each argument,
 * so (r + 1)^k nodes.  Its entry in the index is level << LOOKUP_SHIFT | number of its first value.  With two or three
 * arguments both values along the last axis but one lie side by side, those between two nodes twice, so that the four
 * corners of a cell of the last two axes follow each other:
 *
 *     1 argument   [r + 1]               2 arguments  [r][r + 1][2]               3 arguments  [r + 1][r][r + 1][2]
 *
 * Whoever makes an index keeps all blocks inside of the values. */
#ifndef NIN_LOOKUP_H
#define NIN_LOOKUP_H

#include <stdint.h>

enum { LOOKUP_SHIFT = 27, LOOKUP_FIRST = (1 << LOOKUP_SHIFT) - 1, LOOKUP_BLOCKS = 1 << 22 };

static inline int lookup_level(int32_t entry) { return entry >> LOOKUP_SHIFT & 15; }
static inline int64_t lookup_first(int32_t entry) { return entry & LOOKUP_FIRST; }
/* The cells of a block are fewer than 2^22, so that f32 counts them. */
static inline int lookup_deepest(int k) { return k == 1 ? 15 : k == 2 ? 10 : 6; }
/* From a cell's first corner to where its corner is that lies further along axis j. */
static inline int64_t lookup_beside(int k, int level, int j) {
    int64_t r = INT64_C(1) << level;
    return k == 1 || j == k - 2 ? 1 : j == k - 1 ? 2 : 2 * r * (r + 1);
}
/* The first corner of a cell, from the block's first value. */
static inline int64_t lookup_cell(int k, int level, const int64_t *i) {
    int64_t r = INT64_C(1) << level, s = r + 1;
    return k == 1 ? i[0] : k == 2 ? 2 * (i[0] * s + i[1]) : 2 * ((i[0] * r + i[1]) * s + i[2]);
}
static inline int64_t lookup_values(int k, int level) {
    int64_t r = INT64_C(1) << level, s = r + 1;
    return k == 1 ? s : k == 2 ? 2 * r * s : 2 * s * r * s;
}

#endif
