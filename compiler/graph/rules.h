/* rules.h -- what the files of graph/ share about single ops: which attributes count, how constants are kept. */
#ifndef NIN_GRAPH_RULES_H
#define NIN_GRAPH_RULES_H

#include "graph/graph.h"

enum AttrUse {
    USES_VALUE = 1, USES_INDEX = 2, USES_AXIS = 4, USES_MAPPED = 8, USES_AXES = 16, USES_STARTS = 32,
    USES_BLOB = 64, USES_BODY = 128, USES_WINDOW = 256, USES_ZEROS = 512
};
uint32_t attr_uses(Op op);                               /* a set of AttrUse */
bool attr_equal(const Attr *a, const Attr *b);           /* blobs by content, bodies by address */
/* The bits of a constant: rounded to its dtype, one NaN, bool 0 or 1. */
int64_t const_normal(DType dtype, const Attr *attr);
bool dtype_is_float(DType dtype);
/* The place axes of a CONV or BATCH_CONV whose result has so many axes. */
int window_axes(Op op, int rank);
Window window_normal(const Window *window, int axes);    /* what belongs to no axis is 0 */

#endif
