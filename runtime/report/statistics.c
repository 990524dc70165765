/* statistics.c -- see statistics.h. */
#define _GNU_SOURCE
#include "report/statistics.h"

#include <math.h>
#include <stdlib.h>

enum { EXACT_RANKS = 50 };                             /* 2^50 sign patterns are counted exactly in a double */

/* ---- aggregates ---- */
double stat_sum(const double *x, int64_t n) {
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += x[i];
    return sum;
}

double stat_mean(const double *x, int64_t n) { return n ? stat_sum(x, n) / (double)n : NAN; }

double stat_sd(const double *x, int64_t n) {
    double mean = stat_mean(x, n), squares = 0;
    for (int64_t i = 0; i < n; i++) squares += (x[i] - mean) * (x[i] - mean);
    return n > 1 ? sqrt(squares / (double)(n - 1)) : NAN;
}

double stat_sem(const double *x, int64_t n) { return stat_sd(x, n) / sqrt((double)n); }

double stat_min(const double *x, int64_t n) {
    double least = n ? x[0] : NAN;
    for (int64_t i = 1; i < n; i++)
        if (isnan(x[i]) || x[i] < least) least = x[i];
    return least;
}

double stat_max(const double *x, int64_t n) {
    double most = n ? x[0] : NAN;
    for (int64_t i = 1; i < n; i++)
        if (isnan(x[i]) || x[i] > most) most = x[i];
    return most;
}

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double stat_quantile(const double *x, int64_t n, double q) {
    double *sorted = n > 0 && q >= 0 && q <= 1 ? malloc(sizeof *sorted * (size_t)n) : NULL;
    if (!sorted) return NAN;
    memcpy(sorted, x, sizeof *sorted * (size_t)n);
    bool nan = false;
    for (int64_t i = 0; i < n; i++) nan |= isnan(x[i]) != 0;
    qsort(sorted, (size_t)n, sizeof *sorted, ascending);
    double at = q * (double)(n - 1), low = floor(at), part = at - low;
    int64_t i = (int64_t)low;
    double value = sorted[i];
    if (part > 0) value += part * (sorted[i + 1] - sorted[i]);
    free(sorted);
    return nan ? NAN : value;
}

double stat_median(const double *x, int64_t n) { return stat_quantile(x, n, 0.5); }

/* ---- binomial ---- */
/* P(i + 1) / P(i). */
static double binomial_ratio(int64_t i, int64_t n, double share) {
    return (double)(n - i) / (double)(i + 1) * (share / (1 - share));
}

/* Sums of P(i), relative to the mode: all, up to k, from k, and those no more probable than k (with a hair of slack for
 * rounding, as in R's binom.test). */
typedef struct BinomialSums { double all, less, greater, rarer; } BinomialSums;

static void binomial_add(BinomialSums *sums, int64_t i, int64_t k, double p, double p_k) {
    sums->all += p;
    if (i <= k) sums->less += p;
    if (i >= k) sums->greater += p;
    if (p <= p_k * (1 + 1e-7)) sums->rarer += p;
}

Binomial stat_binomial(int64_t k, int64_t n, double share) {
    Binomial result = {k, n, share, NAN, NAN, NAN};
    if (n < 0 || k < 0 || k > n || !(share > 0 && share < 1)) return result;
    int64_t mode = (int64_t)floor((double)(n + 1) * share);
    if (mode > n) mode = n;
    double p_k = 1;
    for (int64_t i = mode; i < k; i++) p_k *= binomial_ratio(i, n, share);
    for (int64_t i = mode; i > k; i--) p_k /= binomial_ratio(i - 1, n, share);
    BinomialSums sums = {0};
    double p = 1;
    for (int64_t i = mode; i <= n; p *= binomial_ratio(i, n, share), i++) binomial_add(&sums, i, k, p, p_k);
    p = 1;
    for (int64_t i = mode - 1; i >= 0; i--) binomial_add(&sums, i, k, p /= binomial_ratio(i, n, share), p_k);
    result.p_less = sums.less / sums.all;
    result.p_greater = sums.greater / sums.all;
    result.p_two_sided = fmin(1, sums.rarer / sums.all);
    return result;
}

/* ---- Student's t ---- */
/* The continued fraction of the incomplete beta function by Lentz's method (Abramowitz and Stegun 26.5.8). */
static double beta_fraction(double x, double a, double b) {
    const double tiny = 1e-300;
    double c = 1, d = 1 - (a + b) * x / (a + 1);
    d = 1 / (fabs(d) < tiny ? tiny : d);
    double value = d;
    for (int m = 1; m < 10000; m++) {
        double even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
        double odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
        double last = value;
        for (int half = 0; half < 2; half++) {
            double term = half ? odd : even;
            d = 1 + term * d, c = 1 + term / c;
            d = 1 / (fabs(d) < tiny ? tiny : d), c = fabs(c) < tiny ? tiny : c;
            value *= c * d;
        }
        if (fabs(value - last) <= 1e-16 * fabs(value)) break;
    }
    return value;
}

static double log_gamma(double x) {
    int sign;
    return lgamma_r(x, &sign);
}

/* I_x(a, b), x and 1 - x given apart. */
static double beta_share(double x, double rest, double a, double b) {
    if (x <= 0) return 0;
    if (rest <= 0) return 1;
    double front = exp(log_gamma(a + b) - log_gamma(a) - log_gamma(b) + a * log(x) + b * log(rest));
    if (x < (a + 1) / (a + b + 2)) return front * beta_fraction(x, a, b) / a;
    return 1 - front * beta_fraction(rest, b, a) / b;
}

/* P(|T| >= |t|) = I_{df / (df + t^2)}(df / 2, 1 / 2). */
double stat_student_p(double t, double df) {
    if (isnan(t) || !(df > 0)) return NAN;
    if (isinf(t)) return 0;
    double sum = df + t * t;
    return beta_share(df / sum, t * t / sum, df / 2, 0.5);
}

/* Where a falling function of x in lo..hi crosses y, by bisection down to neighbouring numbers. */
static double crossing(double lo, double hi, double y, double a, double b, double (*of)(double x, double a, double b)) {
    for (int i = 0; i < 2100 && lo < hi; i++) {
        double middle = lo + (hi - lo) / 2;
        if (middle <= lo || middle >= hi) break;
        if (of(middle, a, b) > y) lo = middle;
        else hi = middle;
    }
    return lo + (hi - lo) / 2;
}

static double student_tail(double t, double df, double unused) {
    (void)unused;
    return stat_student_p(t, df);
}

double stat_student_t(double level, double df) {
    if (!(level >= 0 && level < 1) || !(df > 0)) return NAN;
    double hi = 1;
    while (isfinite(hi) && stat_student_p(hi, df) > 1 - level) hi *= 2;
    return level == 0 ? 0 : crossing(0, hi, 1 - level, df, 0, student_tail);
}

void stat_mean_interval(double mean, double sd, int64_t n, double level, double *low, double *high) {
    double half = n > 1 ? stat_student_t(level, (double)(n - 1)) * sd / sqrt((double)n) : NAN;
    *low = mean - half;
    *high = mean + half;
}

/* P(X <= k) of n trials falls with the success probability: 1 - I_p(k + 1, n - k). */
static double binomial_up_to(double p, double k, double n) {
    return k >= n ? 1 : 1 - beta_share(p, 1 - p, k + 1, n - k);
}

void stat_binomial_interval(int64_t k, int64_t n, double level, double *low, double *high) {
    double tail = (1 - level) / 2;
    *low = *high = NAN;
    if (n < 1 || k < 0 || k > n || !(level > 0 && level < 1)) return;
    *low = k ? crossing(0, 1, 1 - tail, (double)(k - 1), (double)n, binomial_up_to) : 0;
    *high = k < n ? crossing(0, 1, tail, (double)k, (double)n, binomial_up_to) : 1;
}

/* ---- signed ranks ---- */
typedef struct Ranked { double size; bool positive; int rank2; } Ranked;   /* rank2: twice the rank, a whole number */

static int by_size(const void *a, const void *b) {
    double x = ((const Ranked *)a)->size, y = ((const Ranked *)b)->size;
    return (x > y) - (x < y);
}

/* Fills in twice the mean rank of equal sizes; returns the sum of t^3 - t over ties of t. */
static double share_ranks(Ranked *ranked, int64_t n) {
    double ties = 0;
    for (int64_t i = 0, j; i < n; i = j) {
        for (j = i; j < n && ranked[j].size == ranked[i].size; j++) {}
        for (int64_t k = i; k < j; k++) ranked[k].rank2 = (int)(i + 1 + j);
        double t = (double)(j - i);
        ties += t * t * t - t;
    }
    return ties;
}

/* Share of the 2^n sign patterns whose doubled rank sum is at least, or at most, w2; twice the smaller. */
static double exact_rank_p(const Ranked *ranked, int n, int w2) {
    double ways[EXACT_RANKS * (EXACT_RANKS + 1) + 1] = {1}, least = 0, most = 0, all = 0;
    int top = 0;
    for (int i = 0; i < n; i++) {
        top += ranked[i].rank2;
        for (int s = top; s >= ranked[i].rank2; s--) ways[s] += ways[s - ranked[i].rank2];
    }
    for (int s = 0; s <= top; s++) {
        all += ways[s];
        if (s <= w2) least += ways[s];
        if (s >= w2) most += ways[s];
    }
    return fmin(1, 2 * fmin(least, most) / all);
}

static void signed_ranks(Ranked *ranked, Paired *out) {
    int64_t n = out->ranked, w2 = 0;
    qsort(ranked, (size_t)n, sizeof *ranked, by_size);
    double ties = share_ranks(ranked, n);
    for (int64_t i = 0; i < n; i++)
        if (ranked[i].positive) w2 += ranked[i].rank2;
    out->rank_sum = (double)w2 / 2;
    if ((out->rank_exact = n <= EXACT_RANKS)) {
        out->rank_p = n ? exact_rank_p(ranked, (int)n, (int)w2) : 1;
        return;
    }
    double m = (double)n, mean = m * (m + 1) / 4, variance = m * (m + 1) * (2 * m + 1) / 24 - ties / 48;
    double z = fmax(0, fabs(out->rank_sum - mean) - 0.5) / sqrt(variance);
    out->rank_p = erfc(z / sqrt(2.0));
}

Paired stat_paired(const double *a, const double *b, int64_t n) {
    Paired out = {
        .n = n, .mean = NAN, .sd = NAN, .t = NAN, .p = NAN, .low = NAN, .high = NAN, .rank_sum = NAN, .rank_p = NAN};
    double *difference = malloc(sizeof *difference * (size_t)(n + 1));
    Ranked *ranked = malloc(sizeof *ranked * (size_t)(n + 1));
    bool nan = !difference || !ranked;
    for (int64_t i = 0; i < n && !nan; i++) {
        double d = difference[i] = a[i] - b[i];
        nan = isnan(d);
        if (d != 0) ranked[out.ranked++] = (Ranked){fabs(d), d > 0, 0};
    }
    if (!nan && n > 0) {
        out.mean = stat_mean(difference, n);
        out.sd = stat_sd(difference, n);
        out.t = out.mean == 0 ? 0 : out.mean / (out.sd / sqrt((double)n));
        if (n > 1) out.p = stat_student_p(out.t, (double)(n - 1));
        stat_mean_interval(out.mean, out.sd, n, 0.95, &out.low, &out.high);
        signed_ranks(ranked, &out);
    }
    free(difference), free(ranked);
    return out;
}
