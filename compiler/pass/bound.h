/* bound.h -- linear bounds: for all arguments of a box, where the value of a graph of scalars lies (bound.c).
 *
 * A box is middle[j] +- half[j], j < n <= BOUND_ARGUMENTS.  For a node's value y and every e in [-1, 1]^n, at
 * x[j] = middle[j] + half[j] e[j],
 *
 *     |y(x) - (c + slope[1] e[1] + .. + slope[n] e[n])| <= r
 *
 * in real arithmetic: constants and parameters are the numbers that they are, operations on arguments are exact.  With
 * `rounding`, |computed(x) - y(x)| <= error bounds what the graph computes in its own precision.  c, slope, r and error
 * are f64 nodes that a graph computes from middle and half; r holds what this computation itself rounds.  A bound that
 * cannot be had is infinite or NaN. */
#ifndef NIN_BOUND_H
#define NIN_BOUND_H

#include "graph/graph.h"

enum { BOUND_ARGUMENTS = 3 };

/* 0: zero. */
typedef struct Form { Val c, slope[BOUND_ARGUMENTS], r, error; } Form;

typedef struct BoundRequest {
    const Graph *cell;                     /* its arguments: IN_ROWS 0 .. n - 1, scalars */
    int n;
    Graph *outer, *body;                   /* what no argument reaches goes to outer; equal, or body is of a MAP */
    const Val *middle, *half;              /* f64 scalars of body; half NULL: all 0 */
    bool rounding;
} BoundRequest;

typedef struct BoundResult {
    Form *form;                            /* by the number of the value */
    Val *shared; int shared_len;           /* nodes of outer that are body's IN_SHARED inputs, in order */
    const char *unknown;                   /* false was returned: an operation that has no bound */
} BoundResult;

bool pass_bound(Arena *arena, const BoundRequest *request, const Val *values, int count, BoundResult *out);

#endif
