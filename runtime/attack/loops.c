/* loops.c -- the loops for any machine, and which ones this machine takes. */
#define LOOPS loops_baseline
#include "attack/loops_body.h"

#if defined(__x86_64__) && !defined(__clang__)
const Loops *attack_loops(void) {
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq"))
        return &loops_avx512;
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") ? &loops_avx2 : &loops_baseline;
}
#else
const Loops *attack_loops(void) { return &loops_baseline; }
#endif
