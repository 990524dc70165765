/* front.h -- a victim cut behind its first product: h = b + w x', where x' is what each input becomes by itself.
 *
 * The chain of an element of h takes the inputs in order (lang/arithmetic.md), so that a point which differs from
 * another from input k on shares with it all sums before k.  What is before and behind the product are programs. */
#ifndef NIN_ATTACK_FRONT_H
#define NIN_ATTACK_FRONT_H

#include "attack/attack.h"
#include "graph/program.h"

/* seen: x -> x', both [n, inputs] by row, as row `index` 0 of results; rest: rows of h, as input FRONT_ROWS, to the
 * outputs that there were.  Slots of the block: w is [outs, inputs]; bias -1: none. */
enum { FRONT_ROWS = 3 };
typedef struct FrontCut { Graph *seen, *rest; int w, bias; int64_t inputs, outs; } FrontCut;
/* False: the input (rows 0, f32) does not go through one product alone. */
bool front_cut(Arena *arena, const Graph *graph, FrontCut *out);
/* Fills sizes, w and b of *out from a block; in the arena. */
void front_weights(Arena *arena, const FrontCut *cut, const BlockLayout *layout, const void *block, Front *out);

#endif
