/* rational.c -- see rational.h. */
#include "analysis/rational.h"

#include <math.h>

typedef struct Quotient {
    int terms, numbers; int64_t n; double *const *m; const double *y, *weight;      /* numbers: 2 terms - 1 */
    double **column, *aim, *bottom, *sign, *top;  /* scratch: numbers columns of n + numbers; by point */
} Quotient;

/* P, Q's sign and 1 + |Q| at all points; the weighed sum of squares that is left. */
static double look(Quotient *q, const double *c) {
    double sum = 0;
    for (int64_t i = 0; i < q->n; i++) {
        double top = 0, bottom = 0;
        for (int k = 0; k < q->terms; k++) top += c[k] * q->m[k][i];
        for (int k = 0; k < q->terms - 1; k++) bottom += c[q->terms + k] * q->m[k][i];
        q->top[i] = top;
        q->sign[i] = bottom < 0 ? -1 : 1;
        q->bottom[i] = 1 + fabs(bottom);
        double r = q->y[i] - top / q->bottom[i];
        sum += (q->weight ? q->weight[i] : 1) * r * r;
    }
    return isfinite(sum) ? sum : INFINITY;
}

static double root_weight(const Quotient *q, int64_t i) { return q->weight ? sqrt(q->weight[i]) : 1; }

/* Reweighed rounds from Q = 0; the best into c. */
static double reweigh(Quotient *q, double *c) {
    enum { ROUNDS = 20 };
    double best = INFINITY;
    Arena *scratch = arena_new();
    double *next = arena_array(scratch, double, q->numbers + 1);
    look(q, next);
    for (int round = 0; round < ROUNDS; round++) {
        for (int64_t i = 0; i < q->n; i++) {
            double w = root_weight(q, i) / q->bottom[i];
            for (int k = 0; k < q->terms; k++) q->column[k][i] = w * q->m[k][i];
            for (int k = 0; k < q->terms - 1; k++) q->column[q->terms + k][i] = -w * q->y[i] * q->sign[i] * q->m[k][i];
            q->aim[i] = w * q->y[i];
        }
        least_squares(q->column, q->numbers, q->aim, NULL, q->n, next);
        double left = look(q, next);
        if (left < best) {
            best = left;
            memcpy(c, next, sizeof *c * (size_t)q->numbers);
        }
    }
    arena_free(scratch);
    return best;
}

/* One damped step from c, where look has been; the new numbers into next. */
static void step_from(Quotient *q, const double *c, double damping, double *next) {
    int n = q->numbers;
    for (int64_t i = 0; i < q->n; i++) {
        double w = root_weight(q, i) / q->bottom[i], slope = -q->top[i] / q->bottom[i] * q->sign[i];
        for (int k = 0; k < q->terms; k++) q->column[k][i] = w * q->m[k][i];
        for (int k = 0; k < q->terms - 1; k++) q->column[q->terms + k][i] = w * slope * q->m[k][i];
        q->aim[i] = root_weight(q, i) * q->y[i] - w * q->top[i];
    }
    for (int k = 0; k < n; k++) {
        double square = 0;
        for (int64_t i = 0; i < q->n; i++) square += q->column[k][i] * q->column[k][i];
        for (int j = 0; j < n; j++) q->column[k][q->n + j] = 0;
        q->column[k][q->n + k] = sqrt(damping * square);
        q->aim[q->n + k] = 0;
    }
    least_squares(q->column, n, q->aim, NULL, q->n + n, next);
    for (int k = 0; k < n; k++) next[k] += c[k];
}

static double improve(Quotient *q, double *c, double left) {
    enum { STEPS = 60 };
    double damping = 1e-3;
    Arena *scratch = arena_new();
    double *next = arena_array(scratch, double, q->numbers + 1);
    for (int i = 0; i < STEPS && damping < 1e8; i++) {
        look(q, c);
        step_from(q, c, damping, next);
        double now = look(q, next);
        damping = now < left ? fmax(damping / 9, 1e-14) : damping * 5;
        if (!(now < left)) continue;
        bool enough = now > left * (1 - 1e-10);
        memcpy(c, next, sizeof *c * (size_t)q->numbers);
        left = now;
        if (enough) break;
    }
    arena_free(scratch);
    return left;
}

/* The polynomial, and a Q that is nothing but for a little of every term: at Q = 0 there is no way down. */
static double from_polynomial(Quotient *q, double *c) {
    for (int64_t i = 0; i < q->n; i++) {
        for (int k = 0; k < q->terms; k++) q->column[k][i] = root_weight(q, i) * q->m[k][i];
        q->aim[i] = root_weight(q, i) * q->y[i];
    }
    least_squares(q->column, q->terms, q->aim, NULL, q->n, c);
    for (int k = q->terms; k < q->numbers; k++) c[k] = 0;
    double plain = look(q, c), *moved = q->top + q->n;
    memcpy(moved, c, sizeof *c * (size_t)q->numbers);
    for (int k = q->terms; k < q->numbers; k++) moved[k] = 1e-3;
    double left = improve(q, moved, look(q, moved));
    if (left < plain) memcpy(c, moved, sizeof *c * (size_t)q->numbers);
    return fmin(left, plain);
}

static void quotient_open(Arena *arena, Quotient *q) {
    int64_t rows = q->n + q->numbers;
    q->column = arena_array(arena, double *, q->numbers);
    for (int k = 0; k < q->numbers; k++) q->column[k] = arena_array(arena, double, rows);
    q->aim = arena_array(arena, double, rows);
    q->bottom = arena_array(arena, double, q->n + 1);
    q->sign = arena_array(arena, double, q->n + 1);
    q->top = arena_array(arena, double, rows);
}

static void spread_of(const Quotient *q, LeastSquares *out) {
    double sum = 0;
    for (int64_t i = 0; i < q->n; i++) {
        double w = q->weight ? q->weight[i] : 1;
        out->weight += w;
        sum += w * q->y[i];
    }
    double mean = out->weight > 0 ? sum / out->weight : 0;
    for (int64_t i = 0; i < q->n; i++)
        out->total += (q->weight ? q->weight[i] : 1) * (q->y[i] - mean) * (q->y[i] - mean);
}

LeastSquares rational_least_squares(double *const *column, int terms, const double *y, const double *weight, int64_t n,
                                    double *c) {
    LeastSquares out = {.rank = 2 * terms - 1};
    Quotient q = {.terms = terms, .numbers = 2 * terms - 1, .n = n, .m = column, .y = y, .weight = weight};
    Arena *arena = arena_new();
    double *scale = arena_array(arena, double, terms), *other = arena_array(arena, double, q.numbers + 1);
    quotient_open(arena, &q);
    for (int k = 0; k < terms; k++) {
        for (int64_t i = 0; i < n; i++) scale[k] = fmax(scale[k], fabs(column[k][i]));
        if (scale[k] == 0) scale[k] = 1;
        for (int64_t i = 0; i < n; i++) column[k][i] /= scale[k];
    }
    double left = from_polynomial(&q, c), found = reweigh(&q, other);
    if (isfinite(found)) found = improve(&q, other, found);
    if (found < left) memcpy(c, other, sizeof *c * (size_t)q.numbers);
    out.residual = fmin(found, left);
    for (int k = 0; k < q.numbers; k++) c[k] /= scale[k < terms ? k : k - terms];
    spread_of(&q, &out);
    arena_free(arena);
    return out;
}
