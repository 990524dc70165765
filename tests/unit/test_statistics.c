/* test_statistics.c -- aggregates and tests against known values (R: binom.test, t.test, wilcox.test, quantile). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>

#include "report/statistics.h"

static void close_to(double x, double known) {
    if (!(fabs(x - known) <= 1e-12 * fmax(1e-300, fabs(known)) * 1000)) fail_msg("%.17g, known is %.17g", x, known);
}

static void test_aggregates(void **state) {
    (void)state;
    static const double x[] = {3, 1, 4, 1, 5, 9, 2, 6};
    assert_true(stat_sum(x, 8) == 31 && stat_mean(x, 8) == 3.875);
    close_to(stat_sd(x, 8), sqrt(52.875 / 7));
    close_to(stat_sem(x, 8), sqrt(52.875 / 7 / 8));
    assert_true(stat_min(x, 8) == 1 && stat_max(x, 8) == 9 && stat_median(x, 8) == 3.5 && stat_median(x, 7) == 3);
    assert_true(stat_quantile(x, 8, 0) == 1 && stat_quantile(x, 8, 1) == 9 && stat_quantile(x, 8, 0.25) == 1.75);
    close_to(stat_quantile(x, 8, 0.9), 6.9);
    assert_true(isnan(stat_mean(x, 0)) && isnan(stat_sd(x, 1)) && isnan(stat_median(x, 0)) &&
                isnan(stat_quantile(x, 8, 2)));
    assert_true(stat_sum(x, 0) == 0 && stat_quantile(x, 1, 0.3) == 3);
    static const double hole[] = {1, NAN, 3};
    assert_true(isnan(stat_mean(hole, 3)) && isnan(stat_min(hole, 3)) && isnan(stat_max(hole, 3)) &&
                isnan(stat_median(hole, 3)));
}

static void test_binomial(void **state) {
    (void)state;
    Binomial b = stat_binomial(8, 10, 0.5);
    close_to(b.p_two_sided, 112.0 / 1024);
    close_to(b.p_greater, 56.0 / 1024);
    close_to(b.p_less, 1013.0 / 1024);
    close_to(stat_binomial(5, 10, 0.5).p_two_sided, 1);
    close_to(stat_binomial(0, 20, 0.5).p_two_sided, 2.0 / 1048576);
    close_to(stat_binomial(682, 925, 0.75).p_two_sided, 0.38249155957481695);      /* Mendel's peas, R's example */
    close_to(stat_binomial(100, 100, 0.5).p_two_sided, 2 * 0x1p-100);
    close_to(stat_binomial(60, 100, 0.5).p_two_sided, 0.056887933640980791);
    close_to(stat_binomial(0, 0, 0.5).p_two_sided, 1);
    assert_true(isnan(stat_binomial(3, 2, 0.5).p_two_sided) && isnan(stat_binomial(1, 2, 1).p_less));
}

static void test_student(void **state) {
    (void)state;
    close_to(stat_student_p(0, 5), 1);
    close_to(stat_student_p(1, 1), 0.5);                                           /* Cauchy */
    close_to(stat_student_p(12.706204736432095, 1), 0.05);
    close_to(stat_student_p(-2.2281388519649385, 10), 0.05);
    close_to(stat_student_p(2, 2), 1 - 2 / sqrt(6.0));
    close_to(stat_student_p(40, 9), 1.898299844933979e-11);
    assert_true(stat_student_p(INFINITY, 3) == 0 && isnan(stat_student_p(NAN, 3)));
}

static void test_intervals(void **state) {
    (void)state;
    double low, high;
    close_to(stat_student_t(0.95, 1), 12.706204736432095);
    close_to(stat_student_t(0.95, 4), 2.7764451051977987);
    close_to(stat_student_t(0.99, 30), 2.7499956535672235);
    assert_true(stat_student_t(0, 3) == 0 && isnan(stat_student_t(1, 3)) && isnan(stat_student_t(0.5, 0)));
    stat_mean_interval(2, 3, 9, 0.95, &low, &high);
    close_to(high - 2, 2.306004135204166);
    close_to(2 - low, 2.306004135204166);
    stat_mean_interval(2, NAN, 1, 0.95, &low, &high);
    assert_true(isnan(low) && isnan(high));
    stat_binomial_interval(8, 10, 0.95, &low, &high);                              /* R: binom.test(8, 10) */
    assert_true(fabs(low - 0.44390454) < 1e-7 && fabs(high - 0.97478927) < 1e-7);
    stat_binomial_interval(0, 10, 0.95, &low, &high);
    close_to(high, 1 - pow(0.025, 0.1));
    assert_true(low == 0);
    stat_binomial_interval(10, 10, 0.95, &low, &high);
    close_to(low, pow(0.025, 0.1));
    assert_true(high == 1);
}

/* For every success probability the interval holds it at least 95 times of 100: summed exactly over all counts. */
static void test_binomial_covers(void **state) {
    (void)state;
    enum { N = 24 };
    double low[N + 1], high[N + 1];
    for (int k = 0; k <= N; k++) stat_binomial_interval(k, N, 0.95, &low[k], &high[k]);
    for (int i = 1; i < 200; i++) {
        double p = i / 200.0, covered = 0, probability = pow(1 - p, N);
        for (int k = 0; k <= N; probability *= (N - k) / (k + 1.0) * p / (1 - p), k++)
            if (low[k] <= p && p <= high[k]) covered += probability;
        if (covered < 0.95) fail_msg("p = %g is held with probability %g", p, covered);
    }
}

static void test_paired(void **state) {
    (void)state;
    /* Student's sleep data. */
    static const double one[] = {0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0};
    static const double two[] = {1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4};
    Paired p = stat_paired(one, two, 10);
    close_to(p.mean, -1.58);
    close_to(p.t, -4.062127683382037);
    close_to(p.p, 0.002832890197384268);
    assert_true(p.ranked == 9 && p.rank_sum == 0 && p.rank_exact);
    close_to(p.rank_p, 2.0 / 512);
    /* R's example: depression scores, wilcox.test(x, y, paired = TRUE): V = 40, p = 0.0390625. */
    static const double x[] = {1.83, 0.50, 1.62, 2.48, 1.68, 1.88, 1.55, 3.06, 1.30};
    static const double y[] = {0.878, 0.647, 0.598, 2.05, 1.06, 1.29, 1.06, 3.14, 1.29};
    p = stat_paired(x, y, 9);
    assert_true(p.rank_sum == 40 && p.rank_exact);
    close_to(p.rank_p, 0.0390625);
    static const double same[] = {1, 2, 3};
    p = stat_paired(same, same, 3);
    assert_true(p.t == 0 && p.p == 1 && p.rank_p == 1 && p.ranked == 0);
    static const double zero[3] = {0}, ones[3] = {1, 1, 1};
    p = stat_paired(ones, zero, 3);
    assert_true(p.p == 0 && p.rank_sum == 6);
    close_to(p.rank_p, 0.25);
    p = stat_paired(ones, zero, 1);
    assert_true(isnan(p.p) && p.rank_p == 1);
    assert_true(isnan(stat_paired(&(double){NAN}, zero, 1).rank_p) && isnan(stat_paired(zero, zero, 0).p));
}

/* Ties by brute force over all signs, and the normal form near the exact one. */
static void test_ranks(void **state) {
    (void)state;
    static const double d[] = {1, 1, -2, 2, 3, -3, 3, 4, 5, -1}, zero[60] = {0};
    static const double ranks[] = {2, 2, 4.5, 4.5, 7, 7, 7, 9, 10, 2};
    Paired p = stat_paired(d, zero, 10);
    int least = 0, most = 0;
    for (int signs = 0; signs < 1024; signs++) {
        double w = 0;
        for (int i = 0; i < 10; i++) w += signs >> i & 1 ? ranks[i] : 0;
        least += w <= p.rank_sum, most += w >= p.rank_sum;
    }
    assert_true(p.rank_sum == 41.5);
    close_to(p.rank_p, 2 * fmin(least, most) / 1024);
    double many[60];
    for (int i = 0; i < 60; i++) many[i] = (i % 3 ? 1 : -1) * (i + 1);
    Paired exact = stat_paired(many, zero, 50), normal = stat_paired(many, zero, 51);
    assert_true(exact.rank_exact && !normal.rank_exact && fabs(exact.rank_p - normal.rank_p) < 0.02);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_aggregates), cmocka_unit_test(test_binomial), cmocka_unit_test(test_student),
        cmocka_unit_test(test_intervals), cmocka_unit_test(test_binomial_covers),
        cmocka_unit_test(test_paired), cmocka_unit_test(test_ranks),
    };
    return cmocka_run_group_tests_name("statistics", tests, NULL, NULL);
}
