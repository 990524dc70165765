/* pass.h -- passes from graph to graph.  Inputs are const; a pass returns a new graph in the arena. */
#ifndef NIN_PASS_H
#define NIN_PASS_H

#include "graph/graph.h"

/* Appends to `graph` the reverse-mode gradient of scalar `y` (batched: of each example; the sum over the batch of
 * a not-batched `y`'s dependence) with respect to wrt[0..n): out[i] has the shape and batchedness of wrt[i],
 * or is 0 where y does not depend on it.  `seed` (0 = one) is the adjoint of y.
 * If y is batched and wrt[i] is not, out[i] is the sum over the batch of the examples' gradients.
 * Contributions of several uses are added in the order of the uses.  An op without a derivative on the way gives
 * E0501 at its span and false.  Gradient of a gradient works: run it again on the result. */
bool pass_grad(Graph *graph, Val y, Val seed, const Val *wrt, int n, Val *out, Diags *diags);
/* The same where `held` (0: none) counts as a constant, whatever it was made from. */
bool pass_grad_held(Graph *graph, Val y, Val seed, const Val *wrt, int n, Val held, Val *out, Diags *diags);

/* Identities that are exact in IEEE arithmetic for every input, NaN and -0 included, and constant folding of
 * them.  The list stands in pass/simplify.c, each with its test.  Ensures: graph_verify holds; outputs in order. */
Graph *pass_simplify(Arena *arena, const Graph *graph);

/* Cells that are worth it (pass_has_product) are not evaluated at the points where a choice passes over their result,
 * as dropout does (needed.c).  Ensures: graph_verify holds; outputs in order, with the same bits. */
Graph *pass_needed(Arena *arena, const Graph *graph);
/* Whether a cell's body holds w @ x with 16 features or more, of x and of the result (lang/arithmetic.md, 32). */
bool pass_has_product(const Graph *body);

/* Between which numbers each node's elements lie, by node; for warnings (range.c).  mapped: of a body's inputs, or
 * NULL. */
typedef struct Range { double lo, hi; } Range;
Range *pass_range(Arena *arena, const Graph *graph, const Range *mapped);

/* Free algebra, for printed formulas only: the result never runs.  Renders a value of a graph of scalars as
 * a person would write it: "cos(x) - x * sin(x)"; latex: "\cos x - x \sin x". */
char *pass_pretty(Arena *arena, const Graph *graph, Val value, bool latex);

#endif
