/* statistics.h -- aggregates and tests over columns of f64.
 *
 * Sums run from +0 in the order given; a NaN anywhere makes the result NaN (quantiles included).  Too few values (none
 * for a mean, fewer than two for a standard deviation) give NaN. */
#ifndef NIN_STATISTICS_H
#define NIN_STATISTICS_H

#include "base/base.h"

double stat_sum(const double *x, int64_t n);
double stat_mean(const double *x, int64_t n);
double stat_sd(const double *x, int64_t n);            /* of a sample: divided by n - 1 */
double stat_sem(const double *x, int64_t n);           /* sd / sqrt(n) */
double stat_min(const double *x, int64_t n);
double stat_max(const double *x, int64_t n);
double stat_median(const double *x, int64_t n);
/* Linear between the ordered values, at place 1 + q (n - 1) counted from 1 (R's type 7); q in [0, 1]. */
double stat_quantile(const double *x, int64_t n, double q);

/* Exact binomial test: k successes of n, success probability `share` (1/2: both outcomes alike).
 * two_sided: the probability of all counts that are no more probable than k. */
typedef struct Binomial { int64_t k, n; double share; double p_two_sided, p_greater, p_less; } Binomial;
/* The central interval of the success probability (Clopper and Pearson): its ends give k or more, and k or fewer, with
 * probability (1 - level) / 2. */
void stat_binomial_interval(int64_t k, int64_t n, double level, double *low, double *high);
Binomial stat_binomial(int64_t k, int64_t n, double share);

/* Pairs a[i], b[i]: Student's t of the differences a - b (df = n - 1), and Wilcoxon's signed rank test: zero
 * differences are dropped, equal sizes share their mean rank; exact over all signs for at most 50 of them, else normal
 * with tie and continuity correction.  Two-sided.  A t test of equal differences (sd 0) has p 0, or 1 if they are all
 * zero. */
typedef struct Paired {
    int64_t n; double mean, sd, t, p, low, high;  /* low, high: the 95 % interval of the mean difference */
    int64_t ranked; double rank_sum, rank_p; bool rank_exact;
} Paired;
Paired stat_paired(const double *a, const double *b, int64_t n);

/* P(|T| >= |t|) of Student's t with df degrees of freedom. */
double stat_student_p(double t, double df);
/* The t with P(|T| <= t) = level. */
double stat_student_t(double level, double df);
/* mean -+ t sd / sqrt(n): the interval of the mean at a level; NaN for fewer than two. */
void stat_mean_interval(double mean, double sd, int64_t n, double level, double *low, double *high);

#endif
