/* spectrum.c -- spectrum(cell, under:), soft_xor(cell, under:): the power of a cell in each degree under the Gaussian
 * that has the mean and covariance of its inputs, or the standard one.  Hermite functions of one and two arguments,
 * solid harmonics of three. */
#include "analysis/spectrum.h"
#include "experiment/analysis.h"
#include "experiment/function.h"

#include <math.h>

typedef struct Looked { int arity; Quadrature q; double *y; } Looked;

/* The cell at the points of the quadrature.  E0613, E0314 */
static bool look(Eval *e, const BuiltinCall *call, Looked *out) {
    static const int side[SPECTRUM_AXES] = {256, 64, 32};
    const Value *under = &call->args[1];
    const InputsObject *inputs = value_inputs(under);
    double mean[SPECTRUM_AXES] = {0}, covariance[SPECTRUM_AXES * SPECTRUM_AXES] = {0};
    int n = out->arity;
    if (inputs && inputs->bins->axes != n) {
        diag_add(e->diags, D_E0613, call->arg_spans[1], "the cell has %d argument%s, the inputs have %d", n,
                 n == 1 ? "" : "s", inputs->bins->axes);
        return false;
    }
    for (int i = 0; i < n; i++) {
        mean[i] = inputs ? inputs->bins->moments.mean[i] : 0;
        for (int k = 0; k < n; k++) covariance[i * n + k] = inputs ? bins_covariance(inputs->bins, i, k) : i == k;
    }
    if (!quadrature_make(e->arena, n, side[n - 1], mean, covariance, &out->q)) {
        diag_add(e->diags, D_E0613, call->arg_spans[1],
                 "these inputs lie on a line, or on a point: no Gaussian fits them");
        return false;
    }
    out->y = arena_array(e->arena, double, out->q.n + 1);
    return function_values(e, &call->args[0], n, (const double *const *)out->q.x, out->q.n, call->span, out->y);
}

/* *done: *out is the result already. */
static bool arguments(Eval *e, const BuiltinCall *call, int least, int most, Looked *looked, Value *out, bool *done) {
    const Value *cell = &call->args[0];
    *done = true;
    if (cell->kind == V_ERROR || call->args[1].kind == V_ERROR) return eval_fail(out);
    bool unknown = cell->kind == V_CALLABLE && cell->callable->parts && !cell->callable->weights;
    if (unknown || cell->kind == V_ABSTRACT || call->args[1].kind == V_ABSTRACT) {
        *out = value_abstract(NULL);
        return true;
    }
    looked->arity = function_arity(e, cell, call->arg_spans[0]);
    if (!looked->arity) return eval_fail(out);
    if (looked->arity < least || looked->arity > most) {
        diag_add(e->diags, D_E0613, call->arg_spans[0],
                 least == most ? "this is for functions of %d arguments; here are %d"
                               : "this is for functions of up to %d arguments; here are %d",
                 most, looked->arity);
        return eval_fail(out);
    }
    if (!value_inputs(&call->args[1]) && call->args[1].kind != V_NONE) {
        diag_hint(diag_add(e->diags, D_E0314, call->arg_spans[1], "under: takes what cell_inputs gives; this is %s",
                           value_kind_name(&call->args[1])),
                  "cell_inputs(run.model, on: data.test)");
        return eval_fail(out);
    }
    if (e->mode == EVAL_CHECK) { *out = value_abstract(NULL); return true; }
    *done = false;
    return look(e, call, looked) || eval_fail(out);
}

static Value column(Arena *arena, const double *x, int n) {
    Tensor *t = arena_new_of(arena, Tensor);
    *t = (Tensor){DT_F64, shape_of(1, (int64_t)n), arena_copy(arena, (const char *)x, sizeof *x * (size_t)n)};
    return (Value){.kind = V_TENSOR, .tensor = t};
}

static bool builtin_spectrum(Eval *e, const BuiltinCall *call, Value *out) {
    static const char *const names[] = {"degree", "power", "share", "explained", "functions"};
    double power[SPECTRUM_DEGREE + 1], share[SPECTRUM_DEGREE + 1], explained[SPECTRUM_DEGREE + 1], all = 0;
    Value degrees[SPECTRUM_DEGREE + 1], functions[SPECTRUM_DEGREE + 1];
    Looked looked;
    int64_t degree = 1;
    bool done;
    if (call->args[2].kind != V_ABSTRACT && !value_as_int(e, &call->args[2], call->arg_spans[2], &degree))
        return eval_fail(out);
    if (degree < 1 || degree > SPECTRUM_DEGREE) {
        diag_add(e->diags, D_E0314, call->arg_spans[2], "a spectrum goes to a degree from 1 to %d", SPECTRUM_DEGREE);
        return eval_fail(out);
    }
    if (!arguments(e, call, 1, SPECTRUM_AXES, &looked, out, &done) || done) return out->kind != V_ERROR;
    bool solid = looked.arity == 3;
    if (solid) solid_power(&looked.q, looked.y, (int)degree, power);
    else hermite_power(&looked.q, looked.y, (int)degree, power);
    for (int64_t i = 0; i < looked.q.n; i++) all += looked.q.weight[i] * looked.y[i] * looked.y[i];
    int n = (int)degree + 1;
    for (int l = 0; l < n; l++) {
        share[l] = power[l] / all;
        explained[l] = share[l] + (l ? explained[l - 1] : 0);
        degrees[l] = value_int(l);
        functions[l] = value_text(solid ? "solid harmonics" : "Hermite");
    }
    Name labels[5];
    for (int i = 0; i < 5; i++) labels[i] = intern_text(e->session->names, names[i]);
    Value at[5] = {value_list(e->arena, degrees, n), column(e->arena, power, n), column(e->arena, share, n),
                   column(e->arena, explained, n), value_list(e->arena, functions, n)};
    *out = value_record(e->arena, labels, at, 5);
    return true;
}

static bool builtin_soft_xor(Eval *e, const BuiltinCall *call, Value *out) {
    Looked looked;
    bool done;
    if (!arguments(e, call, 2, 2, &looked, out, &done) || done) return out->kind != V_ERROR;
    *out = value_real(soft_xor(&looked.q, looked.y));
    return true;
}

const BuiltinRow builtins_spectrum[] = {{"spectrum", builtin_spectrum}, {"soft_xor", builtin_soft_xor}, {NULL, NULL}};
