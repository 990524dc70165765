/* builtins_places.c -- choosing by class and place, polynomials and splines, random numbers, projections. */
#include "sema/builtins.h"

static Val iota(Graph *g, Shape shape, int axis, Span span)
{
    NodeType like = { DT_I32, shape, false };
    return graph_add(g, G_IOTA, NULL, 0, &(Attr){ .axis = axis }, &like, span);
}

static bool wants_graph(const Eval *e, const Value *a)
{
    return e->trace && value_has_node(a);
}

/* ---- classes ---- */

bool builtin_argmax(Eval *e, const BuiltinCall *call, Value *out)
{
    Grid grid;
    double *x;
    bool whole;
    if (builtin_absorbs(call, out)) return out->kind != V_ERROR;
    if (wants_graph(e, &call->args[0])) {
        Val node;
        Graph *g = e->trace->graph;
        if (!arg_node(e, call, 0, &node)) return eval_fail(out);
        Shape shape = graph_type(g, node).shape;
        if (shape.rank < 1) return arg_fail(e, call, 0, out, D_E0403, "argmax needs several numbers");
        Val best = graph_1(g, G_ARGMAX, node);
        trace_mark_classes(e->trace, best, shape.dim[0]);
        *out = trace_value(best);
        return true;
    }
    if (!arg_grid(e, call, 0, &grid)) return eval_fail(out);
    if (grid.shape.rank < 1 || !grid.shape.dim[0] || !grid_numbers(e, &grid, &x, &whole))
        return arg_fail(e, call, 0, out, D_E0403, "argmax needs several numbers");
    Shape places = { .rank = grid.shape.rank - 1 };
    for (int i = 0; i < places.rank; i++) places.dim[i] = grid.shape.dim[i + 1];
    Grid result = grid_new(e, &(Grid){ .size = sizeof(Value) }, places);
    for (int64_t p = 0, n = shape_size(&places); p < n; p++) {
        int64_t best = 0;
        for (int64_t k = 1; k < grid.shape.dim[0] && x[best * n + p] == x[best * n + p]; k++)
            if (x[k * n + p] != x[k * n + p] || x[k * n + p] > x[best * n + p]) best = k;
        ((Value *)(void *)result.data)[p] = value_int(best);
    }
    *out = grid_value(e, &result);
    return true;
}

bool builtin_pick(Eval *e, const BuiltinCall *call, Value *out)
{
    const Value *x = &call->args[0], *k = &call->args[1];
    int64_t class;
    if (builtin_absorbs(call, out)) return out->kind != V_ERROR;
    if (wants_graph(e, x) || wants_graph(e, k)) {
        Val in[2];
        NodeType type;
        const char *reason = "";
        Graph *g = e->trace->graph;
        if (!value_as_node(e, x, call->arg_spans[0], &in[0])) return eval_fail(out);
        if (k->kind == V_INT) in[1] = graph_int(g, k->integer);
        else if (!value_as_node(e, k, call->arg_spans[1], &in[1])) return eval_fail(out);
        if (!graph_infer(g, G_PICK, in, 2, NULL, NULL, &type, &reason))
            return call_fail(e, call, out, D_E0403, "a class picks one of the first axis: %s", reason);
        *out = trace_value(graph_add(g, G_PICK, in, 2, NULL, NULL, call->span));
        return true;
    }
    ValueList elements;
    if (!eval_elements(e, x, call->arg_spans[0], &elements) || !value_as_int(e, k, call->arg_spans[1], &class))
        return eval_fail(out);
    if (class < 0 || class >= elements.len)
        return arg_fail(e, call, 1, out, D_E0405, "class %lld of %d", (long long)class, elements.len);
    *out = elements.at[class];
    return true;
}

bool builtin_one_hot(Eval *e, const BuiltinCall *call, Value *out)
{
    const Value *k = &call->args[0];
    if (builtin_absorbs(call, out)) return out->kind != V_ERROR;
    int64_t classes = e->trace && k->kind == V_NODE ? trace_classes(e->trace, k->node) : 0;
    if (!classes) return arg_fail(e, call, 0, out, D_E0314, "one_hot needs a class in a net, loss or measure");
    Graph *g = e->trace->graph;
    Shape places = graph_type(g, k->node).shape;
    Shape shape = { .rank = places.rank + 1, .dim = { classes } }, one = { .rank = shape.rank, .dim = { 1 } };
    if (shape.rank > MAX_RANK) return call_fail(e, call, out, D_E0414, "a tensor has at most %d axes", MAX_RANK);
    for (int i = 0; i < places.rank; i++) shape.dim[i + 1] = one.dim[i + 1] = places.dim[i];
    Val wanted = graph_broadcast(g, graph_reshape(g, k->node, one), shape);
    *out = trace_value(graph_cast(g, graph_2(g, G_EQ, iota(g, shape, 0, call->span), wanted), e->trace->precision));
    return true;
}

bool builtin_look_up(Eval *e, const BuiltinCall *call, Value *out)
{
    Val in[2];
    NodeType type;
    const char *reason = "";
    if (builtin_absorbs(call, out)) return out->kind != V_ERROR;
    if (!e->trace) return call_fail(e, call, out, D_E0411, "look_up belongs in a net");
    if (!arg_node(e, call, 0, &in[0])
        || !arg_node(e, call, 1, &in[1])) return eval_fail(out);
    if (!graph_infer(e->trace->graph, G_EMBED, in, 2, NULL, NULL, &type, &reason))
        return call_fail(e, call, out, D_E0403, "look_up needs a table and integers: %s", reason);
    *out = trace_value(graph_add(e->trace->graph, G_EMBED, in, 2, NULL, NULL, call->span));
    return true;
}

/* ---- places ---- */

bool builtin_causal(Eval *e, const BuiltinCall *call, Value *out)
{
    Val x;
    if (builtin_absorbs(call, out)) return out->kind != V_ERROR;
    if (!e->trace) return call_fail(e, call, out, D_E0411, "causal belongs in a net");
    if (!arg_node(e, call, 0, &x)) return eval_fail(out);
    Graph *g = e->trace->graph;
    NodeType type = graph_type(g, x);
    if (type.shape.rank != 2) return arg_fail(e, call, 0, out, D_E0403, "causal needs scores[from, to]");
    Val before = graph_2(g, G_LE, iota(g, type.shape, 0, call->span), iota(g, type.shape, 1, call->span));
    Val never = graph_broadcast(g, graph_const(g, type.dtype, -__builtin_inf()), type.shape);
    *out = trace_value(graph_3(g, G_SELECT, before, x, never));
    return true;
}

bool builtin_positions(Eval *e, const BuiltinCall *call, Value *out)
{
    int64_t d, time;
    if (builtin_absorbs(call, out)) return out->kind != V_ERROR;
    if (!arg_int(e, call, 0, &d) || !arg_int(e, call, 1, &time))
        return eval_fail(out);
    if (d < 1 || time < 1 || d > 1 << 20 || time > 1 << 20 || d * time > 1 << 26)
        return call_fail(e, call, out, D_E0404, "positions needs a number of features and of places");
    DType dtype = trace_precision(e);
    Grid grid = grid_new(e, &(Grid){ .tensor = true, .dtype = dtype, .size = dtype_size(dtype) }, shape_of(2, d, time));
    for (int64_t i = 0; i < d; i++) {
        double rate = real_op(e, G_EXP, -(double)(i / 2 * 2) / (double)d * real_op(e, G_LOG, 10000));
        for (int64_t t = 0; t < time; t++) {
            double y = real_op(e, i % 2 ? G_COS : G_SIN, (double)t * rate);
            if (dtype == DT_F32) ((float *)(void *)grid.data)[i * time + t] = (float)y;
            else ((double *)(void *)grid.data)[i * time + t] = y;
        }
    }
    *out = grid_value(e, &grid);
    return true;
}

/* ---- polynomials and splines, composed of elementwise operations ---- */

/* A small calculator on values: once something fails, ok stays false. */
typedef struct Calc { Eval *e; Span span; bool ok; } Calc;

static Value calc(Calc *c, Op op, Value a, Value b)
{
    Value in[2] = { a, b }, out = value_error();
    if (c->ok) c->ok = eval_op(c->e, op, in, 2, c->span, &out);
    return out;
}

static Value calc_clamp(Calc *c, Value x, double lo, double hi)
{
    return calc(c, G_MIN, calc(c, G_MAX, x, value_real(lo)), value_real(hi));
}

static bool calc_done(const Calc *c, Value y, Value *out)
{
    if (!c->ok) return eval_fail(out);
    *out = y;
    return true;
}

/* Horner: (c[n] x + c[n-1]) x + ... + c[1]. */
bool builtin_polynomial(Eval *e, const BuiltinCall *call, Value *out)
{
    ValueList c;
    if (builtin_absorbs(call, out)) return out->kind != V_ERROR;
    if (!eval_elements(e, &call->args[0], call->arg_spans[0], &c)) return eval_fail(out);
    if (!c.len) return arg_fail(e, call, 0, out, D_E0309, "a polynomial without coefficients");
    Calc k = { e, call->span, true };
    Value y = c.at[c.len - 1];
    for (int i = c.len - 2; i >= 0; i--) y = calc(&k, G_ADD, calc(&k, G_MUL, y, call->args[1]), c.at[i]);
    return calc_done(&k, y, out);
}

static bool spline_box(Eval *e, const BuiltinCall *call, double *lo, double *width, Value *out)
{
    if (call->settings[0].kind != V_RANGE || !(call->settings[0].range->hi > call->settings[0].range->lo))
        return call_fail(e, call, out, D_E0314, "over: is a range from a lower to a higher number");
    *lo = call->settings[0].range->lo;
    *width = call->settings[0].range->hi - *lo;
    return true;
}

/* With t the place in knots, from 0: c1 + (c2 - c1) t, and over the inner knots k the sum of
 * (c[k+1] - 2 c[k] + c[k-1]) max(0, t - k). */
bool builtin_interpolate(Eval *e, const BuiltinCall *call, Value *out)
{
    ValueList c;
    double lo = 0, width = 1;
    if (builtin_absorbs(call, out)) return out->kind != V_ERROR;
    if (!spline_box(e, call, &lo, &width, out) || !eval_elements(e, &call->args[0], call->arg_spans[0], &c))
        return eval_fail(out);
    if (c.len < 2) return arg_fail(e, call, 0, out, D_E0309, "interpolate needs two knots at least");
    Calc k = { e, call->span, true };
    Value t = calc(&k, G_MUL, calc(&k, G_SUB, call->args[1], value_real(lo)), value_real((c.len - 1) / width));
    Value slope = calc(&k, G_SUB, c.at[1], c.at[0]);
    Value y = calc(&k, G_ADD, c.at[0], calc(&k, G_MUL, slope, t));
    for (int i = 1; i < c.len - 1; i++) {
        Value next = calc(&k, G_SUB, c.at[i + 1], c.at[i]);
        Value ramp = calc(&k, G_MAX, value_real(0), calc(&k, G_SUB, t, value_real(i)));
        y = calc(&k, G_ADD, y, calc(&k, G_MUL, calc(&k, G_SUB, next, slope), ramp));
        slope = next;
    }
    return calc_done(&k, y, out);
}

static Value calc_power(Calc *c, Value x, int n)
{
    Value y = x;
    for (int i = 1; i < n; i++) y = calc(c, G_MUL, y, x);
    return y;
}

/* The cardinal B-spline of degree d: sum over j of (-1)^j C(d+1, j) max(0, u - j)^d / d!, with u clamped to 0..d+1. */
static Value cardinal(Calc *c, Value u, int d)
{
    Value v = calc_clamp(c, u, 0, d + 1), y = value_real(0);
    double weight = 1;
    for (int i = 2; i <= d; i++) weight /= i;
    for (int j = 0; j <= d; j++) {
        Value ramp = j ? calc(c, G_MAX, value_real(0), calc(c, G_SUB, v, value_real(j))) : v;
        Value term = calc(c, G_MUL, value_real(weight), calc_power(c, ramp, d));
        y = j ? calc(c, G_ADD, y, term) : term;
        weight *= -(double)(d + 1 - j) / (j + 1);
    }
    return y;
}

bool builtin_bspline(Eval *e, const BuiltinCall *call, Value *out)
{
    ValueList c;
    double lo = 0, width = 1;
    int64_t d;
    if (builtin_absorbs(call, out)) return out->kind != V_ERROR;
    if (!spline_box(e, call, &lo, &width, out) || !value_as_int(e, &call->settings[1], call->span, &d)
        || !eval_elements(e, &call->args[0], call->arg_spans[0], &c)) return eval_fail(out);
    if (d < 1 || d > 5 || c.len <= d)
        return call_fail(e, call, out, D_E0309, "a spline has a degree from 1 to 5, and more coefficients than that");
    Calc k = { e, call->span, true };
    Value t = calc(&k, G_MUL, calc(&k, G_SUB, call->args[1], value_real(lo)), value_real((double)(c.len - d) / width));
    Value y = value_real(0);
    for (int i = 0; i < c.len; i++) {
        Value basis = cardinal(&k, calc(&k, G_ADD, t, value_real((double)(d - i))), (int)d);
        y = i ? calc(&k, G_ADD, y, calc(&k, G_MUL, c.at[i], basis)) : calc(&k, G_MUL, c.at[i], basis);
    }
    return calc_done(&k, y, out);
}

/* ---- random numbers ---- */

static bool draw(Eval *e, const BuiltinCall *call, Op op, Value *out)
{
    Shape shape;
    if (builtin_absorbs(call, out)) return out->kind != V_ERROR;
    if (!arg_shape(e, call, 0, &shape)) return eval_fail(out);
    const char *name = trace_draw(e, call->span);
    if (!name) return eval_fail(out);
    NodeType type = { e->trace->precision, shape, true };
    *out = trace_value(graph_noise(e->trace->graph, op, type, name));
    return true;
}

bool builtin_noise(Eval *e, const BuiltinCall *call, Value *out)
{
    const Value *range = &call->args[1];
    if (!draw(e, call, G_NOISE, out) || out->kind != V_NODE) return out->kind != V_ERROR;
    if (range->kind != V_RANGE) return arg_fail(e, call, 1, out, D_E0314, "noise needs a range, as 0..1");
    double lo = range->range->lo, hi = range->range->hi;
    if (lo == 0 && hi == 1) return true;
    Calc k = { e, call->span, true };
    Value y = calc(&k, G_ADD, value_real(lo), calc(&k, G_MUL, value_real(hi - lo), *out));
    return calc_done(&k, y, out);
}

bool builtin_normal_noise(Eval *e, const BuiltinCall *call, Value *out)
{
    return draw(e, call, G_NORMAL, out);
}

/* ---- projections ---- */

/* |d| over all axes. */
static bool length_of(Calc *k, const BuiltinCall *call, Value d, Value *out)
{
    Value square = calc(k, G_MUL, d, d), size;
    Value args[3] = { square, { .kind = V_CHOICE, .choice = "all" }, value_bool(false) };
    BuiltinCall inner = *call;
    inner.args = args;
    inner.args_len = 3;
    return k->ok && builtin_sum(k->e, &inner, &size) && eval_op(k->e, G_SQRT, &size, 1, call->span, out);
}

/* linf: sign(slope).  l2: slope / (|slope| + 1e-12). */
bool builtin_steepest(Eval *e, const BuiltinCall *call, Value *out)
{
    Value slope = call->args[0], norm = call->args[1], size;
    if (builtin_absorbs(call, out)) return out->kind != V_ERROR;
    Calc k = { e, call->span, true };
    if (norm.kind == V_CHOICE && !strcmp(norm.choice, "linf"))
        return eval_op(e, G_SIGN, &slope, 1, call->span, out) || eval_fail(out);
    if (norm.kind != V_CHOICE || strcmp(norm.choice, "l2"))
        return arg_fail(e, call, 1, out, D_E0312, "the norm is linf or l2");
    if (!length_of(&k, call, slope, &size)) return eval_fail(out);
    return calc_done(&k, calc(&k, G_DIV, slope, calc(&k, G_ADD, size, value_real(1e-12))), out);
}

/* linf: min(max(x, centre - eps), centre + eps).  l2: centre + d min(1, eps / |d|), d = x - centre. */
bool builtin_project(Eval *e, const BuiltinCall *call, Value *out)
{
    Value x = call->args[0], norm = call->args[1], eps = call->args[2], centre = call->args[3];
    if (builtin_absorbs(call, out)) return out->kind != V_ERROR;
    if (norm.kind != V_CHOICE) return arg_fail(e, call, 1, out, D_E0312, "the norm is linf or l2");
    Calc k = { e, call->span, true };
    if (!strcmp(norm.choice, "linf")) {
        Value low = calc(&k, G_SUB, centre, eps), high = calc(&k, G_ADD, centre, eps);
        return calc_done(&k, calc(&k, G_MIN, calc(&k, G_MAX, x, low), high), out);
    }
    if (strcmp(norm.choice, "l2")) return arg_fail(e, call, 1, out, D_E0312, "the norm is linf or l2");
    Value d = calc(&k, G_SUB, x, centre), root;
    if (!length_of(&k, call, d, &root)) return eval_fail(out);
    Value share = calc(&k, G_MIN, value_real(1), calc(&k, G_DIV, eps, calc(&k, G_MAX, root, value_real(1e-30))));
    return calc_done(&k, calc(&k, G_ADD, centre, calc(&k, G_MUL, d, share)), out);
}
