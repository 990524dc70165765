/* loops_avx2.c -- the loops for AVX2 and fused products. */
#if defined(__x86_64__) && !defined(__clang__)
#pragma GCC target("avx2,fma")
#define LOOPS loops_avx2
#include "attack/loops_body.h"
#endif
typedef int loops_avx2_elsewhere;                /* a file of C is not empty */
