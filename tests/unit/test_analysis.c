/* test_analysis.c -- the numbers of the analysis on what is known: counts, boxes, regions, least squares, curvature,
 * quadrature; and intervals that cover as they should. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>
#include <math.h>

#include "analysis/bins.h"
#include "analysis/least_squares.h"
#include "analysis/quadratic.h"
#include "analysis/spectrum.h"
#include "report/statistics.h"
#include "support/rng.h"

static void close_to(double x, double known, double within) {
    if (!(fabs(x - known) <= within)) fail_msg("%.17g, known is %.17g", x, known);
}

static const Bins *bins_from(Arena *arena, int axes, const double *const *x, int64_t n, int64_t piece) {
    Counter counter;
    assert_true(counter_open(&counter, axes));
    for (int64_t from = 0; from < n; from += piece) {
        const double *part[BIN_AXES] = {0};
        for (int j = 0; j < axes; j++) part[j] = x[j] + from;
        assert_true(counter_add(&counter, part, n - from < piece ? n - from : piece));
    }
    const Bins *bins = counter_bins(arena, &counter);
    counter_close(&counter);
    return bins;
}

static double *normals(Arena *arena, uint64_t key, int64_t n, double mean, double sd) {
    double *x = arena_array(arena, double, n);
    for (int64_t i = 0; i < n; i++) x[i] = mean + sd * (double)rng_normal(key, (uint32_t)i, 0, 0);
    return x;
}

/* ---- bins ---- */

static void test_counts(void **state) {
    (void)state;
    Arena *arena = arena_new();
    enum { N = 5000 };
    double *x[BIN_AXES] = {normals(arena, 1, N, 0.5, 1), normals(arena, 2, N, -3, 10), normals(arena, 3, N, 0, 1e-3)},
           back[2][N];
    for (int axes = 1; axes <= 3; axes++) {
        const Bins *all = bins_from(arena, axes, (const double *const *)x, N, N),
                   *some = bins_from(arena, axes, (const double *const *)x, N, 7);
        int64_t total = 0;
        for (int64_t k = 0; k < bins_total(all); k++) total += all->count[k];
        assert_int_equal(total, N);
        assert_int_equal(all->n, N);
        assert_memory_equal(all->level, some->level, sizeof all->level);
        assert_memory_equal(all->count, some->count, sizeof *all->count * (size_t)bins_total(all));
        for (int j = 0; j < axes; j++) {
            double sd = stat_sd(x[j], N) * sqrt((N - 1.0) / N);
            close_to(all->moments.mean[j], stat_mean(x[j], N), 1e-12 * sd);
            close_to(sqrt(bins_covariance(all, j, j)), sd, 1e-12 * sd);
        }
    }
    for (int64_t i = 0; i < N; i++) back[0][i] = x[0][N - 1 - i], back[1][i] = x[1][N - 1 - i];
    const double *turned[2] = {back[0], back[1]};
    const Bins *a = bins_from(arena, 2, (const double *const *)x, N, 64), *b = bins_from(arena, 2, turned, N, 64);
    assert_memory_equal(a->count, b->count, sizeof *a->count * (size_t)bins_total(a));
    arena_free(arena);
}

static void test_pooled(void **state) {
    (void)state;
    Arena *arena = arena_new();
    enum { N = 3000 };
    double *x = normals(arena, 1, 2 * N, 0, 1), *y = normals(arena, 2, 2 * N, 5, 0.1);
    for (int i = N; i < 2 * N; i++) x[i] = 40 * x[i] + 7;
    const double *all[2] = {x, y}, *later[2] = {x + N, y + N};
    const Bins *parts[2] = {bins_from(arena, 2, all, N, N), bins_from(arena, 2, later, N, N)};
    const Bins *whole = bins_from(arena, 2, all, 2 * N, N), *pooled = bins_pool(arena, parts, 2);
    assert_int_equal(pooled->n, 2 * N);
    assert_memory_equal(pooled->level, whole->level, sizeof whole->level);
    assert_memory_equal(pooled->base, whole->base, sizeof whole->base);
    assert_memory_equal(pooled->count, whole->count, sizeof *whole->count * (size_t)bins_total(whole));
    for (int i = 0; i < 2; i++)
        for (int k = 0; k < 2; k++) close_to(bins_covariance(pooled, i, k), bins_covariance(whole, i, k), 1e-9);
    arena_free(arena);
}

static void test_not_finite(void **state) {
    (void)state;
    Arena *arena = arena_new();
    double x[] = {1, NAN, INFINITY, -2, 1e30, 1e-30}, y[] = {0, 0, 0, NAN, -1e30, 3};
    const double *both[2] = {x, y}, *lost[2] = {x + 1, y + 1};
    const Bins *b = bins_from(arena, 2, both, 6, 1);
    assert_int_equal(b->n, 3);
    assert_int_equal(b->lost, 3);
    assert_int_equal(bins_from(arena, 2, lost, 3, 3)->n, 0);
    arena_free(arena);
}

/* Narrow heaps far apart: together no more bins than one counter has. */
static void test_far_apart(void **state) {
    (void)state;
    Arena *arena = arena_new();
    double near[3] = {0, 0.25, 0.5}, far[3] = {1e9, 1e9 + 1, 1e9 + 2};
    const double *a[1] = {near}, *b[1] = {far};
    const Bins *parts[2] = {bins_from(arena, 1, a, 3, 3), bins_from(arena, 1, b, 3, 3)};
    const Bins *both = bins_pool(arena, parts, 2);
    assert_int_equal(both->n, 6);
    assert_true(bins_total(both) <= 65536);
    assert_int_equal(both->count[0], 3);
    assert_int_equal(both->count[bins_total(both) - 1], 3);
    arena_free(arena);
}

/* ---- boxes and regions ---- */

static void test_boxes(void **state) {
    (void)state;
    Arena *arena = arena_new();
    enum { N = 1000 };
    double x[N], y[N], lo[BIN_AXES], hi[BIN_AXES];
    for (int i = 0; i < N; i++) x[i] = i + 0.5, y[i] = (i * 7 % N) + 0.5;
    const double *both[2] = {x, y};
    const Bins *line = bins_from(arena, 1, both, N, N);
    close_to(bins_box(line, 0.9, lo, hi), 0.9, 1e-12);
    assert_true(lo[0] > 49.5 && lo[0] <= 50.5 && hi[0] > 949.5 && hi[0] < 950);
    close_to(bins_box(line, 1, lo, hi), 1, 0);
    assert_true(lo[0] <= 0.5 && hi[0] >= 999.5);
    const Bins *square = bins_from(arena, 2, both, N, N);
    for (int s = 1; s <= 20; s++) {
        double held = bins_box(square, s / 20.0, lo, hi), inside = 0;
        int64_t below[2] = {0}, above[2] = {0};
        for (int i = 0; i < N; i++) {
            inside += x[i] >= lo[0] && x[i] < hi[0] && y[i] >= lo[1] && y[i] < hi[1];
            below[0] += x[i] < lo[0], above[0] += x[i] >= hi[0], below[1] += y[i] < lo[1], above[1] += y[i] >= hi[1];
        }
        close_to(held, inside / N, 1e-12);
        assert_true(held >= s / 20.0 - 1e-12);
        assert_true(below[0] == above[0] && below[1] == above[1] && below[0] == below[1]);
    }
    arena_free(arena);
}

/* Ten places with 1, 2, ..., 10 points: the regions are known. */
static void test_regions(void **state) {
    (void)state;
    Arena *arena = arena_new();
    double x[55], y[55];
    int n = 0;
    for (int k = 1; k <= 10; k++)
        for (int i = 0; i < k; i++, n++) x[n] = k * k, y[n] = 100 - k;
    const double *both[2] = {x, y};
    const Bins *b = bins_from(arena, 2, both, n, 10);
    static const int64_t cells[] = {1, 2, 4, 10};
    static const double share[] = {10.0 / 55, 0.3, 34.0 / 55, 1};
    for (int i = 0; i < 4; i++) {
        const Region *r = region_find(arena, b, share[i]);
        assert_int_equal(r->cells, cells[i]);
        for (int k = 1; k <= 10; k++)
            assert_int_equal(region_has(r, (const double[]){k * k, 100 - k}), k > 10 - cells[i]);
        assert_false(region_has(r, (const double[]){NAN, 95}) || region_has(r, (const double[]){1e300, 95}));
    }
    close_to(region_find(arena, b, 0.3)->held, 19.0 / 55, 1e-15);
    arena_free(arena);
}

/* Of a Gaussian: the area is -2 pi log(1 - share), within what binned points allow. */
static void test_gaussian_region(void **state) {
    (void)state;
    Arena *arena = arena_new();
    enum { N = 400000 };
    const double *x[2] = {normals(arena, 11, N, 0, 1), normals(arena, 12, N, 0, 1)};
    const Bins *b = bins_scott(arena, bins_from(arena, 2, x, N, N));
    const Region *r = region_find(arena, b, 0.9);
    double area = (double)r->cells * ldexp(1, b->level[0] + b->level[1]), known = -2 * 3.14159265358979 * log(0.1);
    close_to(area, known, 0.02 * known);
    arena_free(arena);
}

/* ---- least squares ---- */

static void test_least_squares(void **state) {
    (void)state;
    enum { N = 50 };
    double a[N], b[N], twice[N], y[N], w[N], c[3];
    for (int i = 0; i < N; i++) {
        a[i] = 1 + 1e-6 * i, b[i] = i * i, y[i] = 3 * (1 + 1e-6 * i) - 0.25 * i * i, w[i] = 1 + i % 5;
        twice[i] = 2 * a[i];
    }
    double *columns[2] = {a, b}, a2[N], b2[N];
    memcpy(a2, a, sizeof a), memcpy(b2, b, sizeof b);
    LeastSquares fit = least_squares(columns, 2, y, w, N, c);
    close_to(c[0], 3, 1e-9), close_to(c[1], -0.25, 1e-12), close_to(least_squares_r2(&fit), 1, 1e-12);
    double *dependent[3] = {a2, twice, b2};
    fit = least_squares(dependent, 3, y, NULL, N, c);
    assert_int_equal(fit.rank, 2);
    close_to(c[0], 3, 1e-9), assert_true(c[1] == 0), close_to(c[2], -0.25, 1e-12);
    double one[4] = {1, 1, 1, 1}, other[4] = {0, 0, 4, 0}, weight[4] = {1, 1, 2, 0}, *mean[1] = {one};
    fit = least_squares(mean, 1, other, weight, 4, c);                              /* a weighed mean */
    close_to(c[0], 2, 1e-15), close_to(fit.residual, 16, 1e-12), close_to(fit.total, 16, 1e-12),
        close_to(fit.weight, 4, 0);
}

static void test_matrices(void **state) {
    (void)state;
    double a[9] = {2, -1, 0, -1, 2, -1, 0, -1, 2}, same[9], value[3], vector[9], l[9];
    memcpy(same, a, sizeof a);
    close_to(symmetric_determinant(3, a), 4, 1e-14);
    assert_true(cholesky(3, a, l));
    close_to(l[0], sqrt(2), 1e-15), close_to(l[4], sqrt(1.5), 1e-15);
    assert_false(cholesky(2, (const double[]){1, 2, 2, 1}, l));
    symmetric_eigen(3, a, value, vector);
    close_to(value[0], 2 + sqrt(2), 1e-14), close_to(value[1], 2, 1e-14), close_to(value[2], 2 - sqrt(2), 1e-14);
    for (int i = 0; i < 3; i++)
        for (int k = 0; k < 3; k++) {
            double product = 0;
            for (int j = 0; j < 3; j++) product += same[k * 3 + j] * vector[i * 3 + j];
            close_to(product, value[i] * vector[i * 3 + k], 1e-13);
        }
}

static void test_forms(void **state) {
    (void)state;
    for (int i = 0; i < 12; i++) {                                        /* a product, turned: always -1/4 */
        double t = i * 0.5, c = cos(t), s = sin(t), two[6] = {c * s, -c * s, c * c - s * s, 1, 2, 3};
        close_to(quadratic_curvature(2, two), -0.25, 1e-15);
    }
    static const double three[10] = {1, 2, 3, 0.5, -1, 2, 9, 9, 9, 9};
    double a[9];
    quadratic_form(3, three, a);
    assert_true(a[0] == 1 && a[4] == 2 && a[8] == 3 && a[1] == 0.25 && a[2] == -0.5 && a[5] == 1);
    close_to(quadratic_curvature(3, three), 2 * 3 - 1 - 0.25 * (0.25 * 3 + 0.5) - 0.5 * (0.25 + 1), 1e-14);
    assert_true(quadratic_curvature(1, (const double[]){-2, 5, 1}) == -2);
}

/* ---- intervals cover ---- */

/* The curvature of the population is that of a fine fit; samples of 300 points of it, and 100 intervals. */
static void test_bootstrap_covers(void **state) {
    (void)state;
    enum { FINE = 40000, N = 300, TRIALS = 100, TIMES = 200 };
    Arena *arena = arena_new();
    int covered = 0;
    double *column[6], c[6], *y = arena_array(arena, double, FINE);
    for (int k = 0; k < 6; k++) column[k] = arena_array(arena, double, FINE);
    for (int i = 0; i < FINE; i++) {
        double a = (i % 200 + 0.5) / 50 - 2, b = ((double)(i / 200) + 0.5) / 50 - 2,
               at[6] = {a * a, b * b, a * b, a, b, 1};
        for (int k = 0; k < 6; k++) column[k][i] = at[k];
        y[i] = cos(a) + a * b;
    }
    least_squares(column, 6, y, NULL, FINE, c);
    double known = quadratic_curvature(2, c);
    for (int t = 0; t < TRIALS; t++) {
        double a[N], b[N], z[N], lo, hi;
        const double *x[2] = {a, b};
        for (int i = 0; i < N; i++) {
            a[i] = 4 * (double)rng_uniform(5, (uint32_t)i, 0, (uint32_t)t) - 2;
            b[i] = 4 * (double)rng_uniform(5, (uint32_t)i, 1, (uint32_t)t) - 2;
            z[i] = cos(a[i]) + a[i] * b[i];
        }
        assert_true(quadratic_bootstrap(2, x, z, NULL, N, TIMES, 0.95, 9, &lo, &hi));
        covered += lo <= known && known <= hi;
    }
    if (covered < 88) fail_msg("%d of %d intervals hold the curvature", covered, TRIALS);
    arena_free(arena);
}

static void test_mean_covers(void **state) {
    (void)state;
    enum { TRIALS = 20000, N = 5 };
    int covered = 0;
    for (int t = 0; t < TRIALS; t++) {
        double x[N], low, high;
        for (int i = 0; i < N; i++) x[i] = 3 + 2 * (double)rng_normal(21, (uint32_t)i, 0, (uint32_t)t);
        stat_mean_interval(stat_mean(x, N), stat_sd(x, N), N, 0.95, &low, &high);
        covered += low <= 3 && 3 <= high;
    }
    close_to(covered / (double)TRIALS, 0.95, 0.006);                       /* four standard errors */
}

/* ---- quadrature ---- */

static void test_quadrature(void **state) {
    (void)state;
    Arena *arena = arena_new();
    Quadrature q;
    const double mean[2] = {1, -2}, covariance[4] = {4, 1, 1, 9}, flat[4] = {1, 1, 1, 1};
    assert_true(quadrature_make(arena, 2, 24, mean, covariance, &q));
    double *y = arena_array(arena, double, q.n);
    for (int64_t i = 0; i < q.n; i++) y[i] = (q.x[0][i] - 1) * (q.x[1][i] + 2);
    close_to(quadrature_mean(&q, y), 1, 1e-12);
    for (int64_t i = 0; i < q.n; i++) y[i] = pow(q.z[0][i], 8) * pow(q.z[1][i], 6);
    close_to(quadrature_mean(&q, y), 105 * 15, 1e-9);
    assert_false(quadrature_make(arena, 2, 8, mean, flat, &q));
    arena_free(arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_counts),
        cmocka_unit_test(test_pooled),
        cmocka_unit_test(test_not_finite),
        cmocka_unit_test(test_far_apart),
        cmocka_unit_test(test_boxes),
        cmocka_unit_test(test_regions),
        cmocka_unit_test(test_gaussian_region),
        cmocka_unit_test(test_least_squares),
        cmocka_unit_test(test_matrices),
        cmocka_unit_test(test_forms),
        cmocka_unit_test(test_bootstrap_covers),
        cmocka_unit_test(test_mean_covers),
        cmocka_unit_test(test_quadrature),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
