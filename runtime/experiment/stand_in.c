/* stand_in.c -- what a strategy puts in a cell's place: the least-squares polynomial over a box.
 *
 * The cell is looked at on an even grid of its box, both ends included; the terms (fit_terms) are made orthogonal one
 * after the other by modified Gram-Schmidt, twice, in f64; back substitution gives the coefficients. */
#include "experiment/strategy.h"

#include <math.h>

enum { FIT_POINTS_1 = 513, FIT_POINTS_2 = 65, FIT_POINTS_3 = 17 };

typedef struct Samples { int arguments; int64_t n; double *x[STRATEGY_ARGUMENTS], *y; } Samples;

static bool samples_take(Eval *e, const Value *cell, const Strategy *s, int arguments, Span span, Samples *out) {
    int64_t side = arguments == 1 ? FIT_POINTS_1 : arguments == 2 ? FIT_POINTS_2 : FIT_POINTS_3, step = 1;
    Value args[STRATEGY_ARGUMENTS], y;
    const Tensor *values;
    *out = (Samples){.arguments = arguments, .n = 1};
    for (int j = 0; j < arguments; j++) out->n *= side;
    for (int j = arguments - 1; j >= 0; j--, step *= side) {
        Tensor *t = arena_new_of(e->arena, Tensor);
        out->x[j] = arena_array(e->arena, double, out->n);
        for (int64_t i = 0; i < out->n; i++)
            out->x[j][i] = s->lo[j] + (s->hi[j] - s->lo[j]) * (double)(i / step % side) / (double)(side - 1);
        *t = (Tensor){DT_F64, shape_of(1, out->n), out->x[j]};
        args[j] = (Value){.kind = V_TENSOR, .tensor = t};
    }
    if (!eval_call(e, cell, args, arguments, span, &y) || !value_as_tensor(e, &y, DT_F64, span, &values)) return false;
    out->y = values->data;
    return true;
}

static double dot(const double *a, const double *b, int64_t n) {
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += a[i] * b[i];
    return sum;
}

/* q becomes orthonormal; r[i][k]: what of column k lies along q[i]. */
static void orthogonal(double **q, double r[FIT_TERMS][FIT_TERMS], int terms, int64_t n) {
    for (int k = 0; k < terms; k++) {
        for (int pass = 0; pass < 2; pass++)
            for (int i = 0; i < k; i++) {
                double along = dot(q[i], q[k], n);
                r[i][k] += along;
                for (int64_t p = 0; p < n; p++) q[k][p] -= along * q[i][p];
            }
        r[k][k] = sqrt(dot(q[k], q[k], n));
        for (int64_t p = 0; p < n; p++) q[k][p] = r[k][k] > 0 ? q[k][p] / r[k][k] : 0;
    }
}

static double *term_column(Eval *e, const Samples *s, const int *exponent) {
    double *column = arena_array(e->arena, double, s->n);
    for (int64_t i = 0; i < s->n; i++) {
        column[i] = 1;
        for (int j = 0; j < s->arguments; j++)
            for (int k = 0; k < exponent[j]; k++) column[i] *= s->x[j][i];
    }
    return column;
}

bool fit_make(Eval *e, const Value *cell, int arguments, Span span, Strategy *s) {
    int exponent[FIT_TERMS][STRATEGY_ARGUMENTS], terms = fit_terms(arguments, s->degree, exponent);
    double *q[FIT_TERMS], r[FIT_TERMS][FIT_TERMS] = {{0}}, *c = arena_array(e->arena, double, terms + 1);
    Tensor *t = arena_new_of(e->arena, Tensor);
    Samples samples;
    if (!samples_take(e, cell, s, arguments, span, &samples)) return false;
    for (int k = 0; k < terms; k++) q[k] = term_column(e, &samples, exponent[k]);
    orthogonal(q, r, terms, samples.n);
    for (int k = terms - 1; k >= 0; k--) {
        c[k] = dot(q[k], samples.y, samples.n);
        for (int i = k + 1; i < terms; i++) c[k] -= r[k][i] * c[i];
        c[k] = r[k][k] > 0 ? c[k] / r[k][k] : 0;
    }
    *t = (Tensor){DT_F64, shape_of(1, (int64_t)terms), c};
    s->coefficients = t;
    return true;
}
