/* weights.h -- what the two ways to a convolution's weight gradient share: conv_weight.c, conv_pairs.c. */
#ifndef NIN_WEIGHTS_H
#define NIN_WEIGHTS_H

#include "kernel/region.h"

typedef struct Weights {
    Ctx *c;
    const Shard *shard;
    Val v, dy, x;
    ConvShape s;
    DType dtype;
    bool paired;                           /* conv_pairs.c's */
    int outer;                             /* axes whose kernel positions are looped over */
    int64_t run, positions;                /* rows of one position; positions of the outer axes */
    KVal xs, dys, rest;                    /* pointers: x and dy as rows; the resting accumulators */
    KVal pairs;                            /* of conv_pairs.c: the same */
    Ix group, first, panel;                /* first output feature of the panel, in its group; where it rests */
    int nv, mr;
    KVal block, from, to;                  /* the block at hand; the piece: its examples, */
    Ix low, high;                          /* places along the first axis */
    KVal begun;                            /* 0 for the first piece of a shard */
    KVal sums;                             /* the sum of dy by output feature, or 0 */
    KVal ahead;                            /* pointer: a feature of the next panel of dy, at its first place; or 0 */
    Ix k[MAX_PLACES], row;
} Weights;

static inline KVal least(Gen *g, KVal a, KVal b) { return gen_select(g, gen_2(g, K_LT, a, b), a, b); }

/* ---- conv_pairs.c: kernels that always meet the input ---- */
bool conv_pairs_fit(const Weights *t);
int64_t conv_pairs_size(const Weights *t);                        /* elements that rest from block to block */
void conv_pairs(Weights *t, KVal count);                          /* the block at hand, of `count` examples */
void conv_pairs_end(Weights *t, int64_t rest_vectors);            /* the shard's sum in conv_weight.c's form; sums */

#endif
