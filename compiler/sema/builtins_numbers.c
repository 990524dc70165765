/* builtins_numbers.c -- functions of numbers, element by element, and lists of numbers. */
#include "sema/builtins.h"

/* One row for each function that is an operation of the graph. */
#define ELEMENTWISE(name, op, arity)                                              \
    bool builtin_##name(Eval *e, const BuiltinCall *call, Value *out)             \
    {                                                                             \
        return eval_op(e, G_##op, call->args, arity, call->span, out);            \
    }
ELEMENTWISE(abs, ABS, 1)
ELEMENTWISE(sign, SIGN, 1)
ELEMENTWISE(sqrt, SQRT, 1)
ELEMENTWISE(exp, EXP, 1)
ELEMENTWISE(log, LOG, 1)
ELEMENTWISE(sin, SIN, 1)
ELEMENTWISE(cos, COS, 1)
ELEMENTWISE(tanh, TANH, 1)
ELEMENTWISE(erf, ERF, 1)
ELEMENTWISE(mod, MOD, 2)
ELEMENTWISE(where, SELECT, 3)

/* A known number becomes an int, so that floor(sqrt(n) * m) can be a width. */
static bool to_whole(Eval *e, Op op, const BuiltinCall *call, Value *out)
{
    const Value *x = &call->args[0];
    if (x->kind == V_INT && !x->node) {
        *out = *x;
        return true;
    }
    if (!eval_op(e, op, call->args, 1, call->span, out)) return false;
    if (out->kind == V_REAL && !out->node && out->real >= -9e15 && out->real <= 9e15)
        *out = value_int((int64_t)out->real);
    return true;
}

bool builtin_floor(Eval *e, const BuiltinCall *call, Value *out) { return to_whole(e, G_FLOOR, call, out); }
bool builtin_ceil(Eval *e, const BuiltinCall *call, Value *out) { return to_whole(e, G_CEIL, call, out); }
bool builtin_round(Eval *e, const BuiltinCall *call, Value *out) { return to_whole(e, G_ROUND, call, out); }

/* ---- lists of numbers ---- */

static bool bounds(Eval *e, const BuiltinCall *call, double *a, double *b, int64_t *n, Value *out)
{
    if (!arg_real(e, call, 0, a) || !arg_real(e, call, 1, b)
        || !arg_int(e, call, 2, n)) return eval_fail(out);
    if (*n < 1 || *n > 10000000)
        return arg_fail(e, call, 2, out, D_E0314, "%lld numbers: at least 1, at most 10 million", (long long)*n);
    return true;
}

bool builtin_linspace(Eval *e, const BuiltinCall *call, Value *out)
{
    double a, b;
    int64_t n;
    if (builtin_absorbs(call, out)) return out->kind != V_ERROR;
    if (!bounds(e, call, &a, &b, &n, out)) return false;
    Value *at = arena_array(e->arena, Value, n);
    for (int64_t i = 0; i < n; i++)
        at[i] = value_real(i && i == n - 1 ? b : n == 1 ? a : a + (b - a) * (double)i / (double)(n - 1));
    *out = value_list(e->arena, at, (int)n);
    return true;
}

/* A double and what it lacks: about 106 bits.  Products and sums of these, by fma (Dekker 1971). */
typedef struct Double2 { double hi, lo; } Double2;

static Double2 double2_multiply(Double2 a, Double2 b)
{
    double hi = a.hi * b.hi, lo = __builtin_fma(a.hi, b.hi, -hi) + (a.hi * b.lo + a.lo * b.hi);
    return (Double2){ hi + lo, lo - ((hi + lo) - hi) };
}

static Double2 double2_power(Double2 x, int64_t n)
{
    Double2 y = { 1, 0 };
    for (; n; n >>= 1, x = double2_multiply(x, x))
        if (n & 1) y = double2_multiply(y, x);
    return y;
}

/* The m-th root of b / a: exp(log(b / a) / m), then Newton steps g += g (b / (a g^m) - 1) / m in double the
 * precision. */
static Double2 double2_ratio(Eval *e, double a, double b, int64_t m)
{
    Double2 g = { real_op(e, G_EXP, (real_op(e, G_LOG, b) - real_op(e, G_LOG, a)) / (double)m), 0 };
    for (int i = 0; i < 3; i++) {
        Double2 p = double2_multiply(double2_power(g, m), (Double2){ a, 0 });
        double step = g.hi * (((b - p.hi) - p.lo) / p.hi) / (double)m, hi = g.hi + (g.lo + step);
        g = (Double2){ hi, (g.hi - hi) + (g.lo + step) };
    }
    return g;
}

/* a g^i with g^(n-1) = b / a, in double the precision, rounded once: logspace(1, 100, 3) is 1, 10, 100.  Where that
 * overflows on the way, exp(log a + (log b - log a) i / (n - 1)). */
bool builtin_logspace(Eval *e, const BuiltinCall *call, Value *out)
{
    double a, b;
    int64_t n;
    if (builtin_absorbs(call, out)) return out->kind != V_ERROR;
    if (!bounds(e, call, &a, &b, &n, out)) return false;
    if (!(a > 0) || !(b > 0)) return call_fail(e, call, out, D_E0504, "logspace needs two positive ends");
    Double2 ratio = double2_ratio(e, a, b, n > 1 ? n - 1 : 1);
    double from = real_op(e, G_LOG, a), to = real_op(e, G_LOG, b);
    Value *at = arena_array(e->arena, Value, n);
    for (int64_t i = 0; i < n; i++) {
        Double2 x = double2_multiply(double2_power(ratio, i), (Double2){ a, 0 });
        double y = x.hi + x.lo, share = n > 1 ? (double)i / (double)(n - 1) : 0;
        if (!(y - y == 0)) y = real_op(e, G_EXP, from + (to - from) * share);
        at[i] = value_real(i == 0 ? a : i == n - 1 ? b : y);
    }
    *out = value_list(e->arena, at, (int)n);
    return true;
}

bool builtin_range(Eval *e, const BuiltinCall *call, Value *out)
{
    double a, b, step;
    if (builtin_absorbs(call, out)) return out->kind != V_ERROR;
    if (!arg_real(e, call, 0, &a) || !arg_real(e, call, 1, &b)
        || !arg_real(e, call, 2, &step)) return eval_fail(out);
    bool whole = call->args[0].kind == V_INT && call->args[2].kind == V_INT;
    double steps = step != 0 ? (b - a) / step : -1;
    if (step == 0 || !(steps < 1e7))
        return call_fail(e, call, out, D_E0314, "range needs a step, and at most 10 million numbers");
    int n = steps < 0 ? 0 : (int)(steps + 1e-9) + 1;      /* 0, 0.1, ..., 1 includes 1 in spite of rounding */
    Value *at = arena_array(e->arena, Value, n + 1);
    for (int i = 0; i < n; i++) at[i] = whole ? value_int((int64_t)(a + i * step)) : value_real(a + i * step);
    *out = value_list(e->arena, at, n);
    return true;
}

bool builtin_entries(Eval *e, const BuiltinCall *call, Value *out)
{
    if (call->args[0].kind != V_RECORD) {
        if (builtin_absorbs(call, out)) return out->kind != V_ERROR;
        return arg_fail(e, call, 0, out, D_E0314, "entries needs a record; this is %s",
                        value_kind_name(&call->args[0]));
    }
    const ValueRecord *record = call->args[0].record;
    Value *at = arena_array(e->arena, Value, record->len + 1);
    for (int i = 0; i < record->len; i++) {
        Value pair[2] = { value_text(record->name[i]), record->at[i] };
        at[i] = value_list(e->arena, pair, 2);
    }
    *out = value_list(e->arena, at, record->len);
    return true;
}

/* ---- comparing ---- */

bool builtin_near(Eval *e, const BuiltinCall *call, Value *out)
{
    Grid a, b;
    double *x, *y, within;
    bool whole;
    if (builtin_absorbs(call, out)) return out->kind != V_ERROR;
    if (value_has_node(&call->args[0]) || value_has_node(&call->args[1]))
        return call_fail(e, call, out, D_E0411, "near compares known numbers; these are known only in the kernel");
    if (!arg_grid(e, call, 0, &a) || !arg_grid(e, call, 1, &b)
        || !arg_real(e, call, 2, &within)) return eval_fail(out);
    if (!grid_numbers(e, &a, &x, &whole) || !grid_numbers(e, &b, &y, &whole))
        return call_fail(e, call, out, D_E0314, "near compares numbers");
    bool near = shape_equal(&a.shape, &b.shape);
    for (int64_t i = 0, n = shape_size(&a.shape); near && i < n; i++) {
        double difference = x[i] > y[i] ? x[i] - y[i] : y[i] - x[i];
        near = x[i] == y[i] || difference <= within;
    }
    *out = value_bool(near);
    return true;
}

/* all(c) = no element of not c is true: a sum of zeros and ones in the graph. */
static bool quantify(Eval *e, const BuiltinCall *call, bool every, Value *out)
{
    Val node;
    if (builtin_absorbs(call, out)) return out->kind != V_ERROR;
    if (call->args[0].kind == V_NODE) {
        Graph *g = e->trace->graph;
        node = call->args[0].node;
        if (graph_type(g, node).dtype != DT_BOOL) return arg_fail(e, call, 0, out, D_E0314, "this needs conditions");
        node = graph_cast(g, every ? graph_1(g, G_NOT, node) : node, DT_F32);
        node = graph_reduce(g, G_SUM, node, (1u << graph_type(g, node).shape.rank) - 1);
        *out = trace_value(graph_2(g, every ? G_EQ : G_NE, node, graph_const(g, DT_F32, 0)));
        return true;
    }
    Grid grid;
    double *x;
    bool whole, result = every;
    if (!arg_grid(e, call, 0, &grid)) return eval_fail(out);
    if (!grid_numbers(e, &grid, &x, &whole)) return arg_fail(e, call, 0, out, D_E0314, "this needs conditions");
    for (int64_t i = 0, n = shape_size(&grid.shape); i < n; i++)
        result = every ? result && x[i] != 0 : result || x[i] != 0;
    *out = value_bool(result);
    return true;
}

bool builtin_all(Eval *e, const BuiltinCall *call, Value *out) { return quantify(e, call, true, out); }
bool builtin_any(Eval *e, const BuiltinCall *call, Value *out) { return quantify(e, call, false, out); }
