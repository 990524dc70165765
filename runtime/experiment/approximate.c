/* approximate.c -- fits as functions: quadratic_fit[over: r](cell), polynomial_fit, rational_fit.
 *
 * A Fit is like a cell: it is called, traced and drawn.  It holds the strategy that it would be in a net (strategy.h),
 * with its coefficients, and, of a quadratic, the points that it was made from, for the interval of its curvature.
 * Fields: coefficients, r2, residual (root of the mean square, weighed), largest, points; of a quadratic: curvature,
 * interval, axes. */
#include "analysis/quadratic.h"
#include "analysis/least_squares.h"
#include "experiment/analysis.h"
#include "experiment/function.h"
#include "experiment/strategy.h"
#include "support/rng.h"

#include <math.h>

typedef struct Fit {
    Object object;
    int arguments;
    const char *cell;
    Strategy strategy;
    Samples samples;
    double residual, largest;
} Fit;
static const ObjectClass fit_class;

static bool is_quadratic(const Fit *f) { return f->strategy.degree == 2 && !f->strategy.rational; }

static Value tensor_value(Arena *arena, const double *x, int64_t n) {
    Tensor *t = arena_new_of(arena, Tensor);
    *t = (Tensor){DT_F64, shape_of(1, n), arena_copy(arena, (const char *)x, sizeof *x * (size_t)n)};
    return (Value){.kind = V_TENSOR, .tensor = t};
}

/* ---- fields ---- */

/* One record for each principal axis, the most positive curvature first: value and direction. */
static Value fit_axes(Eval *e, const Fit *f) {
    double form[9], value[3], vector[9];
    Name names[2] = {intern_text(e->session->names, "value"), intern_text(e->session->names, "direction")};
    Value at[3];
    int n = f->arguments;
    quadratic_form(n, f->strategy.coefficients->data, form);
    symmetric_eigen(n, form, value, vector);
    for (int i = 0; i < n; i++) {
        Value parts[2] = {value_real(value[i]), tensor_value(e->arena, vector + i * n, n)};
        at[i] = value_record(e->arena, names, parts, 2);
    }
    return value_list(e->arena, at, n);
}

/* The central 95 % of 1000 fits to inputs drawn anew. */
static bool fit_interval(Eval *e, const Fit *f, Value *out) {
    enum { TIMES = 1000 };
    const Samples *s = &f->samples;
    double ends[2] = {NAN, NAN};
    if (e->mode == EVAL_CHECK) { *out = value_abstract(NULL); return true; }
    uint64_t key = rng_key(0, "bootstrap", 0, f->cell, 0);
    quadratic_bootstrap(f->arguments, (const double *const *)s->x, s->y, s->weight, s->n, TIMES, 0.95, key, &ends[0],
                        &ends[1]);
    *out = tensor_value(e->arena, ends, 2);
    return true;
}

static const char *const fit_fields[] = {"coefficients", "r2",       "residual", "largest", "points",
                                         "curvature",    "interval", "axes",     NULL};

static bool fit_field(Eval *e, Object *self, Name field, Span span, Value *out) {
    const Fit *f = (const Fit *)self;
    const Tensor *c = f->strategy.coefficients;
    bool quadratic = strcmp(field, "curvature") == 0 || strcmp(field, "interval") == 0 || strcmp(field, "axes") == 0;
    if (quadratic && !is_quadratic(f)) {
        diag_hint(diag_add(e->diags, D_E0311, span, "only a quadratic has %s; this is of degree %d", field,
                           f->strategy.degree),
                  "quadratic_fit");
        return eval_fail(out) || true;
    }
    if (strcmp(field, "coefficients") == 0) *out = (Value){.kind = V_TENSOR, .tensor = c};
    else if (strcmp(field, "r2") == 0) *out = value_real(f->strategy.r2);
    else if (strcmp(field, "residual") == 0) *out = value_real(f->residual);
    else if (strcmp(field, "largest") == 0) *out = value_real(f->largest);
    else if (strcmp(field, "points") == 0) *out = value_int(f->samples.n);
    else if (strcmp(field, "curvature") == 0) *out = value_real(quadratic_curvature(f->arguments, c->data));
    else if (strcmp(field, "interval") == 0) return fit_interval(e, f, out);
    else if (strcmp(field, "axes") == 0) *out = fit_axes(e, f);
    else return false;
    return true;
}

/* ---- as a cell ---- */

static int fit_arity(const Object *self) { return ((const Fit *)self)->arguments; }

static bool power_of(Eval *e, const Value *x, int exponent, Span span, Value *y) {
    *y = *x;
    for (int i = 1; i < exponent; i++)
        if (!eval_binary(e, OP_MUL, y, x, span, y)) return false;
    return true;
}

/* sum c m, term by term. */
static bool polynomial(Eval *e, const double *c, int count, int exponent[FIT_TERMS][STRATEGY_ARGUMENTS], const Value *x,
                       int n, Span span, Value *sum) {
    *sum = value_real(0);
    for (int i = 0; i < count; i++) {
        Value term = value_real(c[i]), factor;
        for (int j = 0; j < n; j++)
            if (exponent[i][j]
                && (!power_of(e, &x[j], exponent[i][j], span, &factor)
                    || !eval_binary(e, OP_MUL, &term, &factor, span, &term)))
                return false;
        if (!eval_binary(e, OP_ADD, sum, &term, span, sum)) return false;
    }
    return true;
}

static bool fit_trace(Eval *e, Object *self, const Value *args, int n, Span span, Value *out) {
    const Fit *f = (const Fit *)self;
    int exponent[FIT_TERMS][STRATEGY_ARGUMENTS], terms = fit_terms(f->arguments, f->strategy.degree, exponent);
    const double *c = f->strategy.coefficients->data;
    Value bottom, one = value_real(1);
    if (n != f->arguments) {
        diag_add(e->diags, D_E0309, span, "this fit takes %d number%s, here %s %d", f->arguments,
                 f->arguments == 1 ? "" : "s", n == 1 ? "is" : "are", n);
        return false;
    }
    if (!polynomial(e, c, terms, exponent, args, n, span, out)) return false;
    if (!f->strategy.rational) return true;
    return polynomial(e, c + terms, terms - 1, exponent, args, n, span, &bottom)
        && eval_op(e, G_ABS, &bottom, 1, span, &bottom) && eval_binary(e, OP_ADD, &one, &bottom, span, &bottom)
        && eval_binary(e, OP_DIV, out, &bottom, span, out);
}

static void put_polynomial(const double *c, int count, int exponent[FIT_TERMS][STRATEGY_ARGUMENTS], int n, Buf *out) {
    for (int i = 0; i < count; i++) {
        buf_text(out, i ? c[i] < 0 ? " - " : " + " : c[i] < 0 ? "-" : "");
        buf_printf(out, "%.4g", fabs(c[i]));
        for (int j = 0; j < n; j++) {
            if (!exponent[i][j]) continue;
            buf_printf(out, n == 1 ? " x" : " x%d", j + 1);
            if (exponent[i][j] > 1) buf_printf(out, "^%d", exponent[i][j]);
        }
    }
}

/* 0.5 x1^2 - 0.5 x2^2 + 0 x1 x2 + 0 x1 + 0 x2 + 1 */
static void fit_show(const Object *self, Buf *out) {
    const Fit *f = (const Fit *)self;
    int exponent[FIT_TERMS][STRATEGY_ARGUMENTS], terms = fit_terms(f->arguments, f->strategy.degree, exponent);
    const double *c = f->strategy.coefficients->data;
    buf_text(out, f->strategy.rational ? "(" : "");
    put_polynomial(c, terms, exponent, f->arguments, out);
    if (!f->strategy.rational) return;
    buf_text(out, ") / (1 + |");
    put_polynomial(c + terms, terms - 1, exponent, f->arguments, out);
    buf_text(out, "|)");
}

static void fit_identity(const Object *self, Buf *out) {
    const Fit *f = (const Fit *)self;
    const Tensor *c = f->strategy.coefficients;
    size_t bytes = sizeof(double) * (size_t)shape_size(&c->shape);
    buf_printf(out, "fit of %d arguments, degree %d%s", f->arguments, f->strategy.degree,
               f->strategy.rational ? ", rational" : "");
    buf_printf(out, " #%016llx", (unsigned long long)fnv1a(c->data, bytes, FNV1A_START));
}

static double *column_keep(Arena *arena, const double *x, int64_t n) {
    return x ? (double *)(void *)arena_copy(arena, (const char *)x, sizeof *x * (size_t)n) : NULL;
}

static Object *fit_keep(Arena *arena, const Object *self) {
    Fit *f = arena_new_of(arena, Fit);
    *f = *(const Fit *)self;
    Tensor *c = arena_new_of(arena, Tensor);
    *c = *f->strategy.coefficients;
    c->data = column_keep(arena, c->data, shape_size(&c->shape));
    f->strategy.coefficients = c;
    f->strategy.region = NULL;
    f->cell = arena_copy(arena, f->cell, strlen(f->cell));
    f->strategy.asked = f->cell;
    for (int j = 0; j < f->arguments; j++) f->samples.x[j] = column_keep(arena, f->samples.x[j], f->samples.n);
    f->samples.y = column_keep(arena, f->samples.y, f->samples.n);
    f->samples.weight = column_keep(arena, f->samples.weight, f->samples.n);
    return &f->object;
}

static const ObjectClass fit_class = {.name = "fit",
                                      .fields = fit_fields,
                                      .field = fit_field,
                                      .identity = fit_identity,
                                      .show = fit_show,
                                      .trace = fit_trace,
                                      .arity = fit_arity,
                                      .keep = fit_keep};

/* ---- making one ---- */

static void fit_residuals(Fit *f) {
    const Samples *s = &f->samples;
    double squares = 0, weight = 0, x[STRATEGY_ARGUMENTS];
    for (int64_t i = 0; i < s->n; i++) {
        for (int j = 0; j < f->arguments; j++) x[j] = s->x[j][i];
        double r = s->y[i] - fit_value(&f->strategy, f->arguments, x), w = s->weight ? s->weight[i] : 1;
        squares += w * r * r;
        weight += w;
        if (!(fabs(r) <= f->largest)) f->largest = fabs(r);
    }
    f->residual = sqrt(squares / weight);
}

/* A setting or argument that only a run knows. */
static bool unknown(const BuiltinCall *call) {
    bool abstract = call->args[0].kind == V_ABSTRACT;
    for (int i = 0; i < call->settings_len; i++) {
        const Value *v = &call->settings[i];
        abstract |= v->kind == V_ABSTRACT;
        for (int k = 0; v->kind == V_LIST && k < v->list->len; k++) abstract |= v->list->at[k].kind == V_ABSTRACT;
    }
    const Value *cell = &call->args[0];
    return abstract || (cell->kind == V_CALLABLE && cell->callable->parts && !cell->callable->weights);
}

static bool builtin_fit(Eval *e, const BuiltinCall *call, Value *out) {
    if (call->args[0].kind == V_ERROR) return eval_fail(out);
    Buf text = {0};
    Fit *f = arena_new_of(e->arena, Fit);
    Value asked = {.kind = V_CALLABLE, .callable = (Callable *)(uintptr_t)call->callable};
    if (unknown(call)) { *out = value_abstract(NULL); return true; }
    int arity = function_arity(e, &call->args[0], call->arg_spans[0]);
    if (!arity) return eval_fail(out);
    value_identity(&asked, &text);
    buf_text(&text, "(");
    value_identity(&call->args[0], &text);
    *f = (Fit){.object = {&fit_class}, .arguments = arity, .cell = buf_done(&text, e->arena)};
    f->strategy.asked = f->cell;
    if (!strategy_read_callable(e, call->callable, arity, "the function", call->span, &f->strategy))
        return eval_fail(out);
    if (!samples_take(e, &call->args[0], &f->strategy, arity, call->span, &f->samples)) return eval_fail(out);
    if (!fit_samples(e, &f->samples, &f->strategy)) return eval_fail(out);
    fit_residuals(f);
    *out = value_object(&f->object);
    return true;
}

/* grid[...](cell), tabulated[...](cell): ways to evaluate a cell of a model, no functions. */
static bool builtin_way(Eval *e, const BuiltinCall *call, Value *out) {
    const char *name = call->callable->def->name;
    Diag *diag = diag_add(e->diags, D_E0314, call->span,
                          "%s[...] is a way to evaluate the cells of a model, not called", name);
    diag_hint(diag, "replace(model, cells: %s[...]), or cells: of a session", name);
    return eval_fail(out);
}

const BuiltinRow builtins_approximate[] = {
    {"grid", builtin_way},
    {"tabulated", builtin_way},
    {"quadratic_fit", builtin_fit}, {"polynomial_fit", builtin_fit}, {"rational_fit", builtin_fit}, {NULL, NULL}};
