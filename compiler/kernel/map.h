/* map.h -- what the files of a MAP share: map.c, map_gaps.c (points left out), map_rows.c (elements in lanes),
 * map_zeros.c (terms left out), map_near.c (points sorted), map_sums.c (sums over points), map_stripes.c (terms of sums
 * left out). */
#ifndef NIN_KERNEL_MAP_H
#define NIN_KERNEL_MAP_H

#include "kernel/region.h"

enum { PAD_BYTES = 4096 };

/* into: the tile root in whose registers it is computed (a number of root), or -1; drop: needed nowhere else;
 * late: a short product that is computed where it is read, in the registers of tiles. */
typedef struct Root {
    Val v;
    int segment;
    bool tile, drop, late;
    int into;
    KVal every;                            /* of a product that may leave out terms: all bits if it has to take all */
} Root;

/* A summed output: rows x columns accumulators; lanes run over columns if `wide`. */
typedef struct SumOut {
    int output;
    Val proj;
    bool outer, wide, swapped;             /* swapped: columns are the OUTER's first operand */
    Val row, column;                       /* row 0: an add chain */
    int64_t rows, columns, stride;         /* stride: columns, rounded up to 16 if wide */
    int acc;
    DType dtype;
    bool stripes;                          /* map_stripes.c; odd: the entry of a vector, NaN where a b is not finite */
    int odd;
} SumOut;

/* Rows of such a sum from `row` on; what is kept from block to block: their order, and where they are not 0. */
typedef struct Stripe {
    const SumOut *s;
    int64_t row;
    int rows;
    KVal key, order, bits;
} Stripe;

typedef struct Panel { Val v; int entry; } Panel;      /* a turned value: [point][elements rounded up to 16] */

typedef struct MapGen {
    Region *r;
    Plan *plan;
    Region b;
    Ctx outer, c;
    Val map;
    const Graph *body;
    int mapped, vectors;
    int zeros;                             /* the operand whose zeros leave a point out, or -1 */
    bool gaps;                             /* so the arrays of points hold those that take part, without gaps */
    KVal length;                           /* local, by example of the shard: how many of them (map_gaps.c) */
    bool points, varies;                   /* points: in point order; varies: a batch of them */
    bool rows;                             /* map_rows.c: elements in lanes */
    bool near;                             /* points that follow each other have near arguments (map_zeros.c) */
    bool dense;                            /* operands that do not vary, 16 elements at a time, in any order */
    bool spread;                           /* points in one stage, sums in the next: threads take parts of both */
    int64_t size, units, places;
    Val *proj;                             /* by output; 0: not wanted */
    int *operand, *result;                 /* entries of arrays in point order, by operand and output */
    int key[3], keys;                      /* sorted points: the operands by which (map_near.c); none: not sorted */
    int *sorted_operand, *sorted_result;   /* entries of a chunk of them, sorted; while it is at hand, of the others */
    int order, cell, row;                  /* entries: of a chunk's points, sorted, their numbers; in point order, */
                                           /* their cells, and if kept, where they stand among the sorted */
    KVal chunk;                            /* the number of its first point */
    KVal part, parts_end;                  /* spread: of the sums, at hand */
    int count;                             /* spread, zeros: the entry of how many points take part */
    Shard shard;
    KVal first, total;                     /* of the block: vector (or point) number; how many there are */
    KVal valid;                            /* points of the block that there are, if in point order */
    VEC(Root) root;
    VEC(SumOut) sum;
    VEC(Panel) panel;
    bool *kept;                            /* by node of the body, for sums that come later; [point][element], */
    int64_t keeps;                         /* for so many points */
    VEC(struct Moved) moved;               /* where the block's points stand in them */
} MapGen;

bool map_sums_kept(const MapGen *m);             /* whether all that is summed can be kept */
void map_keep_summed(MapGen *m, int64_t points);
/* Of a spread one: the first point of the share that begins at `part` of `blocks`. */
KVal map_share(MapGen *m, KVal part, int64_t blocks);
/* Of values that are kept: a loop over blocks of `step` points. */
void map_block_begin(MapGen *m, KVal from, KVal to, int step);
void map_block_end(MapGen *m);

static inline const Node *body_node(const MapGen *m, Val v) { return graph_node(m->body, v); }
static inline int lanes_of(const MapGen *m) { return m->b.lanes; }
/* Whether it is an output of every point that is wanted. */
static inline bool map_gives(const MapGen *m, int output) {
    return m->proj[output] && m->body->outputs.at[output].kind == OUT_MAPPED;
}

/* ---- map_sums.c ---- */
void map_add_sum(MapGen *m, int output);
void map_clear_sums(MapGen *m);
void map_add_sums(MapGen *m);                    /* the block's points */
void map_finish_sums(MapGen *m);
/* Of a spread one whose points are computed in shares of `blocks`: a STAGE_RELAY; gives its groups. */
int map_spread_sums(MapGen *m, int64_t blocks);

/* ---- map_gaps.c: where points are left out ---- */
static inline int64_t map_row(const MapGen *m) { return m->gaps && m->varies ? m->size + 16 : m->size; }
KVal map_close_gaps(MapGen *m);                  /* the operands' points that take part; their number */
void map_open_gaps(MapGen *m);                   /* their results to where they belong; 0 elsewhere */

/* ---- map_rows.c ---- */
enum { MAX_ROW_TILE = 24 };
/* The weights of a product: lines of features, one for each k, `line` apart. */
typedef struct RowWeights { KVal at; int64_t off, line; } RowWeights;
bool map_rows_fit(const MapGen *m);
int map_rows_vectors(void);                      /* points of a block, by 16 */
void map_rows_home(MapGen *m, Val v);
void map_rows_weights(MapGen *m);                /* packs what is not read as it stands; once a call */
void map_rows_body(MapGen *m);
/* The nests and registers see single points, and 16 elements of values of `size` at a time; 0: elements one by one. */
void map_rows_open(MapGen *m, int64_t size);
void map_rows_close(MapGen *m);

/* ---- map_stripes.c ---- */
bool map_stripes_fit(const MapGen *m, Val v, int64_t n);     /* whether v's n elements may be the rows */
int map_stripe_rows(const SumOut *s, int64_t row);
void map_stripe_open(MapGen *m, Stripe *t);      /* before the loops over blocks */
void map_stripe_clear(MapGen *m, const Stripe *t);
void map_stripe_take(MapGen *m, const Stripe *t, KVal from, KVal to);        /* the block's points, of from .. to - 1 */
KVal map_stripe_doubt(MapGen *m, const Stripe *t);           /* 1 if it must be summed with all terms, else 0 */

/* ---- map_zeros.c ---- */
bool map_has_zeros(const MapGen *m, Val v);      /* whether many of its elements are likely to be 0 */
bool map_skips(const MapGen *m, Val v);          /* whether the product v of many features may leave out terms */
/* Bits: none if all weights of v are finite, else all.  n: terms. */
KVal map_not_finite(MapGen *m, Val v, const RowWeights *w, int64_t n);
/* For each tile of mr points of the block: which of the n elements of x differ from 0 at any of them, or `every`. */
KVal map_find_zeros(MapGen *m, KType type, KVal x, int64_t n, int mr, KVal every);
/* Runs `step` for each of those terms, in order, on the tile's chains, which begin and end as acc. */
void map_each_term(MapGen *m, KVal found, KVal point, int64_t n, KVal *acc, int chains,
                   void (*step)(const void *tile, Ix k, KVal rows, const KVal *acc, KVal *next), const void *tile);

/* ---- map_near.c ---- */
bool map_find_keys(MapGen *m);                   /* of points that vary: whether they are sorted; sets key, keys */
void map_near_arrays(MapGen *m);                 /* before the homes of values: what is summed is kept */
KVal map_near_begin(MapGen *m, KVal total);      /* a loop over chunks; how many points there are */
void map_near_end(MapGen *m, KVal n);

#endif
