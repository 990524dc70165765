/* loops_avx512.c -- the loops for AVX-512. */
#if defined(__x86_64__) && !defined(__clang__)
#pragma GCC target("avx512f,avx512vl,avx512dq")
#define LOOPS loops_avx512
#include "attack/loops_body.h"
#endif
typedef int loops_avx512_elsewhere;              /* a file of C is not empty */
