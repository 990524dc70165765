/* wide.c -- see wide.h. */
#include "attack/wide.h"

void wide_to_f32(const double *x, float *out, int64_t n) {
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES) NARROW_PUT(out + i) = __builtin_convertvector(WIDE_AT(x + i), Narrow);
    for (; i < n; i++) out[i] = (float)x[i];
}

WIDE void wide_from_f32(const float *x, double *out, int64_t n) {
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES) WIDE_PUT(out + i) = NARROW_AT(x + i);
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
