/* synthetic.c -- see synthetic.h. */
#include "data/synthetic.h"

#include <stdlib.h>

#include "support/math.h"
#include "support/rng.h"

static const double PI = 3.141592653589793;

static void spiral(const Synthetic *set, int c, double u, double *x) {
    double a = 2 * PI * set->turns * u + PI * c, r = (1 + 12 * u) / 13;
    x[0] = r * nin_cos_f64(a), x[1] = r * nin_sin_f64(a);
}

static void moon(int c, double u, double *x) {
    double a = PI * u, cosine = nin_cos_f64(a), sine = nin_sin_f64(a);
    x[0] = c ? 1 - cosine : cosine, x[1] = c ? 0.5 - sine : sine;
}

static void circle(const Synthetic *set, int c, double u, double *x) {
    double a = 2 * PI * u, r = c ? set->factor : 1;
    x[0] = r * nin_cos_f64(a), x[1] = r * nin_sin_f64(a);
}

static int corner(int64_t i, double *x) {
    int k = (int)(i % 4);
    x[0] = k & 2 ? 1 : -1, x[1] = k & 1 ? 1 : -1;
    return k == 1 || k == 2;
}

/* The bits of a pattern, most significant first. */
static int pattern(int features, uint32_t bits, double *x) {
    for (int k = 0; k < features; k++) x[k] = bits >> (features - 1 - k) & 1 ? 1 : -1;
    return __builtin_popcount(bits) & 1;
}

static int drawn_pattern(uint64_t key, int64_t i, int features, double *x) {
    int ones = 0;
    for (int k = 0; k < features; k++) {
        x[k] = rng_uniform(key, (uint32_t)k, (uint32_t)i, 0) < 0.5f ? -1 : 1;
        ones += x[k] > 0;
    }
    return ones & 1;
}

static void fill_patterns(const Synthetic *set, uint64_t key, int64_t n, double *x, int32_t *y) {
    uint32_t *order = set->all ? malloc(sizeof *order * (size_t)n) : NULL;
    if (order) rng_permutation(key, 0, (uint32_t)n, order);
    for (int64_t i = 0; i < n; i++, x += set->features)
        y[i] = order ? pattern(set->features, order[i], x) : drawn_pattern(key, i, set->features, x);
    free(order);
}

static int point(const Synthetic *set, uint64_t key, uint64_t centres, int64_t i, double *x) {
    int c = (int)(i % set->classes);
    double u = rng_uniform(key, 0, (uint32_t)i, 0);
    switch (set->kind) {
    case SYNTHETIC_SPIRALS: spiral(set, c, u, x); break;
    case SYNTHETIC_MOONS: moon(c, u, x); break;
    case SYNTHETIC_CIRCLES: circle(set, c, u, x); break;
    case SYNTHETIC_XOR: c = corner(i, x); break;
    case SYNTHETIC_BLOBS:
        for (int k = 0; k < set->features; k++)
            x[k] = 2 * (double)rng_uniform(centres, (uint32_t)k, (uint32_t)c, 0) - 1;
        break;
    case SYNTHETIC_PARITY: break;
    }
    return c;
}

void synthetic_fill(const Synthetic *set, const char *name, int64_t n, double *x, int32_t *y) {
    uint64_t key = rng_key(set->seed, "noise", 0, name, 0), centres = rng_key(set->seed, "noise", 0, name, 1);
    if (set->kind == SYNTHETIC_PARITY) {
        fill_patterns(set, key, n, x, y);
        return;
    }
    for (int64_t i = 0; i < n; i++, x += set->features) {
        y[i] = point(set, key, centres, i, x);
        for (int k = 0; set->noise > 0 && k < set->features; k++)
            x[k] += set->noise * (double)rng_normal(key, 2 + (uint32_t)k, (uint32_t)i, 0);
    }
}
