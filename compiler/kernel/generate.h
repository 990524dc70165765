/* generate.h -- what the files of lowering share: short forms of the kernel builders and the ops of graphs as
 * instructions on scalars or 16-lane vectors alike.
 *
 * A value of a graph's element is a KVal of one lane (the same for all lanes) or of 16 lanes (16 examples, points or
 * elements); where both meet, the scalar is splat.  Nothing here knows what the lanes are. */
#ifndef NIN_GENERATE_H
#define NIN_GENERATE_H

#include "graph/graph.h"
#include "kernel/kernel.h"

typedef struct Gen { KModule *m; KFunc *f; } Gen;

KScalar gen_scalar(DType dtype);
int gen_lanes(const Gen *g, KVal v);
KVal gen_widen(Gen *g, KVal v, int lanes);                       /* splat if needed */
KVal gen_2(Gen *g, KOp op, KVal a, KVal b);                      /* widens either */
KVal gen_fma(Gen *g, KVal a, KVal b, KVal c);
KVal gen_select(Gen *g, KVal condition, KVal a, KVal b);
KVal gen_least(Gen *g, KVal a, KVal b), gen_most(Gen *g, KVal a, KVal b);      /* of two numbers that are no NaN */
KVal gen_is_zero(Gen *g, KVal x);
KVal gen_number(Gen *g, DType dtype, double x);                  /* a scalar constant */
KVal gen_const(Gen *g, const Graph *graph, Val v);               /* of a CONST node */
KVal gen_cast(Gen *g, DType to, KVal v);                         /* CAST */
KVal gen_i64(Gen *g, int64_t x);
KVal gen_index(Gen *g, KVal i32);                                /* a scalar i32 as i64 */
KVal gen_clamp(Gen *g, KVal index, int64_t n);                   /* i32: the nearest of 0 .. n-1 */
/* The lanes of x where `mask`, side by side from `to` on; what follows them, 16 elements in all, may be overwritten. */
void gen_compress(Gen *g, const Target *target, KVal to, KVal mask, KVal x);
/* Lanes where `mask` from what stands side by side from `from` on, the others 0; 16 elements there may be read. */
KVal gen_expand(Gen *g, const Target *target, KScalar scalar, KVal from, KVal mask);

/* One element of a UNARY, BINARY or TERNARY node.  `dtype` is the node's. */
KVal gen_elementwise(Gen *g, Op op, DType dtype, const KVal *in);
/* POWI with an exponent known now. */
KVal gen_powi_const(Gen *g, KVal base, int32_t exponent);

/* Reductions inside an example. */
KVal gen_start(Gen *g, Op op, DType dtype);                      /* the start of a partial */
KVal gen_join(Gen *g, Op op, KVal a, KVal b);                    /* adds one element */
KVal gen_argmax_wins(Gen *g, KVal x, KVal best);                 /* whether a later element replaces the best */

/* Four NOISE or NORMAL elements 4 block ... 4 block + 3; example: i32, scalar or vector. */
void gen_noise(Gen *g, Op op, DType dtype, KVal keys, int key, KVal block, KVal example, KVal step, KVal out[4]);
/* The same from the two words of a key, each scalar or vector. */
void gen_noise_of(Gen *g, Op op, DType dtype, const KVal key[2], KVal block, KVal example, KVal step, KVal out[4]);

#endif
