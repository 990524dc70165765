/* wide.h -- loops over the numbers of a point, four at a time.
 *
 * Sums and maxima are four partials (index mod 4) added as a tree, the same on every machine: what differs is only how
 * many instructions the four take.  A function that is marked WIDE is compiled for AVX2 and the baseline, and the
 * machine takes the one it has.  Such a function has vectors in registers: where a compiler sees none it leaves out the
 * vzeroupper at the end, and every SSE instruction after it costs a hundred times as much (wide_to_f32 is not WIDE). */
#ifndef NIN_ATTACK_WIDE_H
#define NIN_ATTACK_WIDE_H

#include <stdint.h>

enum { LANES = 4 };
typedef double Wide __attribute__((vector_size(32)));
typedef float Narrow __attribute__((vector_size(16)));
typedef int64_t WideMask __attribute__((vector_size(32)));
typedef double WidePlace __attribute__((vector_size(32), aligned(8), may_alias));     /* four numbers anywhere */
typedef float NarrowPlace __attribute__((vector_size(16), aligned(4), may_alias));

#if defined(__x86_64__) && defined(__linux__) && !defined(__SANITIZE_THREAD__) && !defined(__SANITIZE_ADDRESS__) && !defined(__clang__)
#define WIDE __attribute__((target_clones("avx2", "default")))
#else
#define WIDE
#endif

/* The four numbers at p; c: a mask of comparisons; every one of four. */
#define WIDE_AT(p) ((Wide)*(const WidePlace *)(p))
#define WIDE_PUT(p) (*(WidePlace *)(p))
#define NARROW_AT(p) __builtin_convertvector((Narrow)*(const NarrowPlace *)(p), Wide)
#define NARROW_PUT(p) (*(NarrowPlace *)(p))
#define WIDE_SELECT(c, a, b) ((Wide)(((WideMask)(a) & (c)) | ((WideMask)(b) & ~(c))))
#define WIDE_ALL(x) ((Wide){(x), (x), (x), (x)})
#define WIDE_ABS(a) ((Wide)((WideMask)(a) & INT64_MAX))
#define WIDE_MAX(a, b) WIDE_SELECT((a) < (b), b, a)
#define WIDE_MIN(a, b) WIDE_SELECT((b) < (a), b, a)
#define WIDE_TREE(a) (((a)[0] + (a)[2]) + ((a)[1] + (a)[3]))

/* x as the nearest f32, in f64; to f32; from f32. */
void wide_round(double *x, int64_t n);
void wide_to_f32(const double *x, float *out, int64_t n);
void wide_from_f32(const float *x, double *out, int64_t n);
double wide_dot(const double *a, const double *b, int64_t n);

#endif
