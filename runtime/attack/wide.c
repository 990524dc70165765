/* wide.c -- see wide.h. */
#include "attack/wide.h"

WIDE void wide_round(double *x, int64_t n) {
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES) WIDE_PUT(x + i) = __builtin_convertvector(__builtin_convertvector(WIDE_AT(x + i), Narrow), Wide);
    for (; i < n; i++) x[i] = (float)x[i];
}

void wide_to_f32(const double *x, float *out, int64_t n) {
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES) *(NarrowPlace *)(out + i) = __builtin_convertvector(WIDE_AT(x + i), Narrow);
    for (; i < n; i++) out[i] = (float)x[i];
}

WIDE void wide_from_f32(const float *x, double *out, int64_t n) {
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES) WIDE_PUT(out + i) = __builtin_convertvector((Narrow)*(const NarrowPlace *)(x + i), Wide);
    for (; i < n; i++) out[i] = x[i];
}

WIDE double wide_dot(const double *a, const double *b, int64_t n) {
    Wide sum = {0};
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES) sum += WIDE_AT(a + i) * WIDE_AT(b + i);
    double rest = 0;
    for (; i < n; i++) rest += a[i] * b[i];
    return WIDE_TREE(sum) + rest;
}
