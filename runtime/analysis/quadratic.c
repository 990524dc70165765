/* quadratic.c -- see quadratic.h. */
#include "analysis/quadratic.h"

#include "analysis/least_squares.h"
#include "support/math.h"
#include "support/rng.h"

#include <math.h>
#include <stdlib.h>

enum { MOST = 3, TERMS = 10 };

void quadratic_form(int n, const double *c, double *a) {
    int k = n;
    for (int i = 0; i < n; i++) a[i * n + i] = c[i];
    for (int i = 0; i < n; i++)
        for (int j = i + 1; j < n; j++, k++) a[i * n + j] = a[j * n + i] = c[k] / 2;
}

double quadratic_curvature(int n, const double *c) {
    double a[MOST * MOST];
    quadratic_form(n, c, a);
    return symmetric_determinant(n, a);
}

/* Terms of the arguments, moved and scaled to -1..1 so that the normal equations are harmless. */
static int terms_at(int n, const double *u, double *t) {
    int k = 0;
    for (int i = 0; i < n; i++) t[k++] = u[i] * u[i];
    for (int i = 0; i < n; i++)
        for (int j = i + 1; j < n; j++) t[k++] = u[i] * u[j];
    for (int i = 0; i < n; i++) t[k++] = u[i];
    t[k++] = 1;
    return k;
}

/* Poisson from a uniform and a normal number: by inversion, or, above 40, rounded from the normal distribution. */
static double poisson(double mean, double u, double z) {
    if (mean > 40) return fmax(0, floor(mean + sqrt(mean) * z + 0.5));
    double p = nin_exp_f64(-mean), sum = p;
    int k = 0;
    while (u >= sum && k < 400) {
        p *= mean / ++k;
        sum += p;
    }
    return k;
}

typedef struct Scaled { int n, terms; int64_t points; double *t; const double *y, *count; double area; } Scaled;

static void scale_points(Arena *scratch, int n, const double *const *x, Scaled *s) {
    double middle[MOST], half[MOST];
    for (int j = 0; j < n; j++) {
        double lo = INFINITY, hi = -INFINITY;
        for (int64_t i = 0; i < s->points; i++) lo = fmin(lo, x[j][i]), hi = fmax(hi, x[j][i]);
        middle[j] = (lo + hi) / 2;
        half[j] = hi > lo ? (hi - lo) / 2 : 1;
        s->area *= half[j] * half[j];
    }
    s->t = arena_array(scratch, double, s->points * TERMS + 1);
    for (int64_t i = 0; i < s->points; i++) {
        double u[MOST];
        for (int j = 0; j < n; j++) u[j] = (x[j][i] - middle[j]) / half[j];
        s->terms = terms_at(n, u, s->t + i * TERMS);
    }
}

/* The curvature of one weighted fit; false: the normal equations cannot be solved. */
static bool curvature_once(const Scaled *s, uint64_t key, uint32_t time, double *out) {
    double a[TERMS * TERMS] = {0}, b[TERMS] = {0};
    int m = s->terms;
    for (int64_t i = 0; i < s->points; i++) {
        double mean = s->count ? s->count[i] : 1;
        uint32_t element = (uint32_t)i;
        double w = poisson(mean, (double)rng_uniform(key, element, 0, time),
                           mean > 40 ? (double)rng_normal(key, element, 1, time) : 0);
        const double *t = s->t + i * TERMS;
        for (int j = 0; j < m && w > 0; j++) {
            double wt = w * t[j];
            for (int k = 0; k <= j; k++) a[j * m + k] += wt * t[k];
            b[j] += wt * s->y[i];
        }
    }
    if (!cholesky(m, a, a)) return false;
    for (int j = 0; j < m; j++) {
        for (int k = 0; k < j; k++) b[j] -= a[j * m + k] * b[k];
        b[j] /= a[j * m + j];
    }
    for (int j = m - 1; j >= 0; j--) {
        for (int k = j + 1; k < m; k++) b[j] -= a[k * m + j] * b[k];
        b[j] /= a[j * m + j];
    }
    *out = quadratic_curvature(s->n, b) / s->area;
    return isfinite(*out);
}

static int rising(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

bool quadratic_bootstrap(int n, const double *const *x, const double *y, const double *count, int64_t points, int times,
                         double level, uint64_t key, double *lo, double *hi) {
    Arena *scratch = arena_new();
    Scaled s = {.n = n, .points = points, .y = y, .count = count, .area = 1};
    double *found = arena_array(scratch, double, times + 1);
    int k = 0;
    scale_points(scratch, n, x, &s);
    for (int time = 0; time < times; time++) k += curvature_once(&s, key, (uint32_t)time, &found[k]);
    qsort(found, (size_t)k, sizeof *found, rising);
    double at = (1 - level) / 2 * (k - 1);
    if (k) {
        int i = (int)at, j = i < k - 1 ? i + 1 : i;
        *lo = found[i] + (at - i) * (found[j] - found[i]);
        *hi = found[k - 1 - i] + (at - i) * (found[k - 1 - j] - found[k - 1 - i]);
    }
    arena_free(scratch);
    return k > 0;
}
