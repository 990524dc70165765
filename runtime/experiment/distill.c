/* distill.c -- distill(cell, over:): a short formula in a cell's place (analysis/distill.h).
 *
 * The formula is searched on at most 400 of the points of a fit (strategy.h, Samples) and judged on all of them. */
#include "analysis/distill.h"
#include "experiment/analysis.h"
#include "experiment/function.h"
#include "experiment/strategy.h"

#include <math.h>

typedef struct Distilled { Object object; FormulaFit formula; const char *text; double largest; bool found; } Distilled;

/* ---- as a cell ---- */

static int distilled_arity(const Object *self) { return ((const Distilled *)self)->formula.arguments; }

static bool line_trace(Eval *e, const double *w, const Value *x, int n, Span span, Value *out) {
    *out = value_real(w[n]);
    for (int j = 0; j < n; j++) {
        Value weight = value_real(w[j]), term;
        if (w[j] == 0) continue;
        if (!eval_binary(e, OP_MUL, &weight, &x[j], span, &term) || !eval_binary(e, OP_ADD, out, &term, span, out))
            return false;
    }
    return true;
}

static bool curve_trace(Eval *e, FactorCurve curve, Span span, Value *u) {
    Value zero[2] = {value_real(0), *u};
    switch (curve) {
    case CURVE_LINE: return true;
    case CURVE_TANH: return eval_op(e, G_TANH, &zero[1], 1, span, u);
    case CURVE_RELU: return eval_op(e, G_MAX, zero, 2, span, u);
    case CURVE_ABS: return eval_op(e, G_ABS, &zero[1], 1, span, u);
    case CURVE_SIN: return eval_op(e, G_SIN, &zero[1], 1, span, u);
    case CURVE_EXP: return eval_op(e, G_EXP, &zero[1], 1, span, u);
    }
    return false;
}

static bool distilled_trace(Eval *e, Object *self, const Value *args, int n, Span span, Value *out) {
    const FormulaFit *f = &((const Distilled *)self)->formula;
    if (n != f->arguments) {
        diag_add(e->diags, D_E0309, span, "this formula takes %d number%s, here %s %d", f->arguments,
                 f->arguments == 1 ? "" : "s", n == 1 ? "is" : "are", n);
        return false;
    }
    *out = value_real(f->p[0]);
    for (int t = 0; t < f->terms; t++) {
        Value term = value_real(f->p[formula_parameter(f, t, -1)]), factor;
        for (int k = 0; k < f->term[t].factors; k++) {
            if (!line_trace(e, f->p + formula_parameter(f, t, k), args, n, span, &factor)) return false;
            if (!curve_trace(e, f->term[t].curve[k], span, &factor)
                || !eval_binary(e, OP_MUL, &term, &factor, span, &term))
                return false;
        }
        if (!eval_binary(e, OP_ADD, out, &term, span, out)) return false;
    }
    return true;
}

static const char *const distilled_fields[] = {"formula", "found", "error", "r2", "largest", "size", NULL};

static bool distilled_field(Eval *e, Object *self, Name field, Span span, Value *out) {
    const Distilled *d = (const Distilled *)self;
    (void)e;
    (void)span;
    if (strcmp(field, "formula") == 0) *out = value_text(d->text);
    else if (strcmp(field, "found") == 0) *out = value_bool(d->found);
    else if (strcmp(field, "error") == 0) *out = value_real(d->formula.error);
    else if (strcmp(field, "r2") == 0) *out = value_real(1 - d->formula.error * d->formula.error);
    else if (strcmp(field, "largest") == 0) *out = value_real(d->largest);
    else if (strcmp(field, "size") == 0) *out = value_int(d->formula.size);
    else return false;
    return true;
}

static void distilled_show(const Object *self, Buf *out) { buf_text(out, ((const Distilled *)self)->text); }

static void distilled_identity(const Object *self, Buf *out) {
    buf_printf(out, "formula of %d arguments: ", ((const Distilled *)self)->formula.arguments);
    distilled_show(self, out);
}

static Object *distilled_keep(Arena *arena, const Object *self) {
    Distilled *d = arena_new_of(arena, Distilled);
    *d = *(const Distilled *)self;
    d->text = arena_copy(arena, d->text, strlen(d->text));
    return &d->object;
}

static const ObjectClass distilled_class = {.name = "formula",
                                            .fields = distilled_fields,
                                            .field = distilled_field,
                                            .identity = distilled_identity,
                                            .show = distilled_show,
                                            .trace = distilled_trace,
                                            .arity = distilled_arity,
                                            .keep = distilled_keep};

/* ---- making one ---- */

enum { POINTS = 400, FITS = 800 };

/* Every so manyth point. */
static FormulaTarget thinned(Arena *arena, const Samples *s) {
    int64_t n = s->n < POINTS ? s->n : POINTS;
    double **x = arena_array(arena, double *, FORMULA_ARGUMENTS), *y = arena_array(arena, double, n + 1),
           *weight = arena_array(arena, double, n + 1);
    for (int j = 0; j < s->arguments; j++) x[j] = arena_array(arena, double, n + 1);
    for (int64_t i = 0; i < n; i++) {
        int64_t from = i * s->n / n;
        for (int j = 0; j < s->arguments; j++) x[j][i] = s->x[j][from];
        y[i] = s->y[from];
        weight[i] = s->weight ? s->weight[from] : 1;
    }
    return (FormulaTarget){s->arguments, n, (const double *const *)x, y, weight};
}

static void judge(Distilled *d, const Samples *s, double within) {
    FormulaTarget all = {s->arguments, s->n, (const double *const *)s->x, s->y, s->weight};
    double x[FORMULA_ARGUMENTS];
    d->formula.error = formula_error(&d->formula, &all);
    d->found = d->formula.error <= within;
    for (int64_t i = 0; i < s->n; i++) {
        for (int j = 0; j < s->arguments; j++) x[j] = s->x[j][i];
        d->largest = fmax(d->largest, fabs(s->y[i] - formula_value(&d->formula, x)));
    }
}

static bool settings_of(Eval *e, const BuiltinCall *call, double *within, int64_t *size) {
    if (!value_as_real(e, &call->args[2], call->arg_spans[2], within)
        || !value_as_int(e, &call->args[3], call->arg_spans[3], size))
        return false;
    if (!(*within > 0 && *within < 1))
        diag_add(e->diags, D_E0314, call->arg_spans[2], "within: a share of the spread, between 0 and 1");
    else if (*size < 0 || *size > 20) diag_add(e->diags, D_E0314, call->arg_spans[3], "size: from 0 to 20");
    else return true;
    return false;
}

static bool builtin_distill(Eval *e, const BuiltinCall *call, Value *out) {
    const Value *cell = &call->args[0];
    bool unknown = cell->kind == V_CALLABLE && cell->callable->parts && !cell->callable->weights;
    for (int i = 0; i < call->args_len; i++) unknown |= call->args[i].kind == V_ABSTRACT;
    if (cell->kind == V_ERROR || call->args[1].kind == V_ERROR) return eval_fail(out);
    if (unknown) { *out = value_abstract(NULL); return true; }
    double within;
    int64_t size;
    int arity = function_arity(e, cell, call->arg_spans[0]);
    if (!arity || !settings_of(e, call, &within, &size)) return eval_fail(out);
    if (arity > FORMULA_ARGUMENTS) {
        diag_add(e->diags, D_E0613, call->arg_spans[0], "formulas are of 1 to %d arguments; this has %d",
                 FORMULA_ARGUMENTS, arity);
        return eval_fail(out);
    }
    Strategy where = {.degree = 1};
    Samples samples;
    if (!box_read(e, &call->args[1], arity, "distill", call->arg_spans[1], &where)) return eval_fail(out);
    if (e->mode == EVAL_CHECK) { *out = value_abstract(NULL); return true; }
    if (!samples_take(e, cell, &where, arity, call->span, &samples)) return eval_fail(out);
    Distilled *d = arena_new_of(e->arena, Distilled);
    *d = (Distilled){.object = {&distilled_class}};
    FormulaTarget target = thinned(e->arena, &samples);
    Buf text = {0};
    distill_formula(&target, within * 0.98, (int)size, FITS, &d->formula);
    d->formula.size = formula_text(&d->formula, &text);
    d->text = buf_done(&text, e->arena);
    judge(d, &samples, within);
    *out = value_object(&d->object);
    return true;
}

const BuiltinRow builtins_distill[] = {{"distill", builtin_distill}, {NULL, NULL}};
