/* stand_in.c -- what a strategy puts in a cell's place: the least-squares polynomial, or quotient, over a box or a
 * region.
 *
 * The cell is looked at in f64: on an even grid of a box, both ends included, all points alike; or at the middles of
 * the bins of a region of its inputs, weighed by how many there are.  The terms are fit_terms; the solvers are
 * least_squares, rational_least_squares. */
#include "experiment/strategy.h"

#include "analysis/rational.h"
#include "experiment/analysis.h"
#include "experiment/function.h"

#include <math.h>

enum { FIT_POINTS_1 = 513, FIT_POINTS_2 = 65, FIT_POINTS_3 = 17 };

static void samples_of_box(Eval *e, const Strategy *s, Samples *out) {
    int64_t side = out->arguments == 1 ? FIT_POINTS_1 : out->arguments == 2 ? FIT_POINTS_2 : FIT_POINTS_3, step = 1;
    out->n = 1;
    for (int j = 0; j < out->arguments; j++) out->n *= side;
    for (int j = out->arguments - 1; j >= 0; j--, step *= side) {
        out->x[j] = arena_array(e->arena, double, out->n);
        for (int64_t i = 0; i < out->n; i++)
            out->x[j][i] = s->lo[j] + (s->hi[j] - s->lo[j]) * (double)(i / step % side) / (double)(side - 1);
    }
}

static void samples_of_region(Eval *e, const Region *r, Samples *out) {
    const Bins *b = r->bins;
    int64_t total = bins_total(b);
    out->n = r->cells;
    out->weight = arena_array(e->arena, double, out->n + 1);
    for (int j = 0; j < out->arguments; j++) out->x[j] = arena_array(e->arena, double, out->n + 1);
    for (int64_t k = 0, i = 0; k < total; k++) {
        int64_t rest = k;
        if (!r->inside[k]) continue;
        for (int j = b->axes - 1; j >= 0; j--) {
            out->x[j][i] = (bins_edge(b, j, rest % b->size[j]) + bins_edge(b, j, rest % b->size[j] + 1)) / 2;
            rest /= b->size[j];
        }
        out->weight[i++] = (double)b->count[k];
    }
}

void samples_place(Eval *e, const Strategy *s, int arguments, Samples *out) {
    *out = (Samples){.arguments = arguments};
    if (s->region) samples_of_region(e, ((const RegionObject *)s->region)->region, out);
    else samples_of_box(e, s, out);
}

bool samples_take(Eval *e, const Value *cell, const Strategy *s, int arguments, Span span, Samples *out) {
    samples_place(e, s, arguments, out);
    out->y = arena_array(e->arena, double, out->n + 1);
    return function_values(e, cell, arguments, (const double *const *)out->x, out->n, span, out->y);
}

static double term_at(const int *exponent, int arguments, const double *x) {
    double y = 1;
    for (int j = 0; j < arguments; j++)
        for (int k = 0; k < exponent[j]; k++) y *= x[j];
    return y;
}

static double *term_column(Arena *arena, const Samples *s, const int *exponent) {
    double *column = arena_array(arena, double, s->n + 1), x[STRATEGY_ARGUMENTS];
    for (int64_t i = 0; i < s->n; i++) {
        for (int j = 0; j < s->arguments; j++) x[j] = s->x[j][i];
        column[i] = term_at(exponent, s->arguments, x);
    }
    return column;
}

bool fit_samples(Eval *e, const Samples *samples, Strategy *s) {
    int exponent[FIT_TERMS][STRATEGY_ARGUMENTS], terms = fit_terms(samples->arguments, s->degree, exponent);
    double *column[FIT_TERMS], *c = arena_array(e->arena, double, 2 * terms + 1);
    Tensor *t = arena_new_of(e->arena, Tensor);
    Arena *scratch = arena_new();
    for (int k = 0; k < terms; k++) column[k] = term_column(scratch, samples, exponent[k]);
    LeastSquares fit = s->rational ? rational_least_squares(column, terms, samples->y, samples->weight, samples->n, c)
                                   : least_squares(column, terms, samples->y, samples->weight, samples->n, c);
    arena_free(scratch);
    *t = (Tensor){DT_F64, shape_of(1, (int64_t)fit_size(s, samples->arguments)), c};
    s->coefficients = t;
    s->r2 = least_squares_r2(&fit);
    return true;
}

bool fit_make(Eval *e, const Value *cell, int arguments, Span span, Strategy *s) {
    Samples samples;
    return samples_take(e, cell, s, arguments, span, &samples) && fit_samples(e, &samples, s);
}

double fit_value(const Strategy *s, int arguments, const double *x) {
    int exponent[FIT_TERMS][STRATEGY_ARGUMENTS], terms = fit_terms(arguments, s->degree, exponent);
    const double *c = s->coefficients->data;
    double top = 0, bottom = 0;
    for (int k = 0; k < terms; k++) top += c[k] * term_at(exponent[k], arguments, x);
    for (int k = 0; s->rational && k < terms - 1; k++) bottom += c[terms + k] * term_at(exponent[k], arguments, x);
    return s->rational ? top / (1 + fabs(bottom)) : top;
}
