/* builtins_conv.c -- convolutions and windows over places: nodes of the graph, in nets only. */
#include "sema/builtins.h"
#include "sema/internal.h"

/* A setting between lo and 2^20. */
static bool setting(Eval *e, const BuiltinCall *call, int i, const char *what, int64_t lo, int64_t *x)
{
    if (!arg_int(e, call, i, x)) return false;
    if (*x >= lo && *x <= 1 << 20) return true;
    Value ignored;
    return arg_fail(e, call, i, &ignored, D_E0404, "%s is %lld; it must be at least %lld", what, (long long)*x,
                    (long long)lo);
}

static bool window_of(Eval *e, const BuiltinCall *call, int axes, Window *out)
{
    int64_t stride, pad, groups;
    if (!setting(e, call, 3, "the stride", 1, &stride) || !setting(e, call, 4, "the padding", 0, &pad)
        || !setting(e, call, 5, "the number of groups", 1, &groups)) return false;
    *out = (Window){ .groups = (int32_t)groups };
    for (int i = 0; i < axes && i < MAX_PLACES; i++) {
        out->stride[i] = (int32_t)stride;
        out->pad[i] = (int32_t)pad;
        out->dilation[i] = 1;
    }
    return true;
}

/* The result's shape; a reason if the kernel does not fit. */
static const char *conv_result(const Window *window, const Shape *w, const Shape *x, Shape *out)
{
    if (w->rank != x->rank + 1 || x->rank < 2)
        return "a kernel [maps, features, ...] slides over x[features, ...places]";
    if (x->rank - 1 > MAX_PLACES) return "at most three place axes";
    *out = *x;
    out->dim[0] = w->dim[0];
    for (int i = 1; i < x->rank; i++) {
        int64_t room = x->dim[i] + 2 * window->pad[i - 1] - w->dim[i + 1];
        if (room < 0) return "the kernel is larger than the padded input";
        out->dim[i] = room / window->stride[i - 1] + 1;
    }
    return NULL;
}

bool builtin_convolve(Eval *e, const BuiltinCall *call, Value *out)
{
    Val in[3];
    Window window;
    Shape shape;
    const Value *bias = &call->args[2];
    int nin = bias->kind == V_NONE ? 2 : 3;
    if (builtin_absorbs(call, out)) return out->kind != V_ERROR;
    if (!e->trace) return call_fail(e, call, out, D_E0411, "convolve belongs in a net");
    Graph *g = e->trace->graph;
    for (int i = 0; i < nin; i++)
        if (!arg_node(e, call, i, &in[i])) return eval_fail(out);
    const Shape *w = &graph_node(g, in[0])->shape, *x = &graph_node(g, in[1])->shape;
    if (!window_of(e, call, x->rank - 1, &window)) return eval_fail(out);
    const char *why = conv_result(&window, w, x, &shape), *reason = "";
    if (why) return call_fail(e, call, out, D_E0403, "%s", why);
    if (!shape_allowed(e, &shape, call->span)) return eval_fail(out);
    NodeType like = { graph_type(g, in[1]).dtype, shape, false }, type;
    Attr attr = { .window = window };
    if (!graph_infer(g, G_CONV, in, nin, &attr, &like, &type, &reason))
        return call_fail(e, call, out, D_E0403, "the kernel does not fit: %s", reason);
    *out = trace_value(graph_add(g, G_CONV, in, nin, &attr, &like, call->span));
    return true;
}

/* x[c, p, q] -> [c, floor(p / n), n, floor(q / n), n]: what is left over at the end of an axis is cut off. */
bool builtin_windows(Eval *e, const BuiltinCall *call, Value *out)
{
    Val x;
    int64_t n, starts[MAX_RANK] = { 0 };
    if (builtin_absorbs(call, out)) return out->kind != V_ERROR;
    if (!e->trace) return call_fail(e, call, out, D_E0411, "windows belongs in a net");
    if (!arg_node(e, call, 0, &x) || !setting(e, call, 1, "the window", 1, &n)) return eval_fail(out);
    Graph *g = e->trace->graph;
    Shape whole = graph_node(g, x)->shape, parts = { 1, { whole.dim[0] } };
    if (whole.rank < 2 || 2 * whole.rank - 1 > MAX_RANK)
        return arg_fail(e, call, 0, out, D_E0403, "windows need one or two place axes");
    for (int i = 1; i < whole.rank; i++) {
        if (whole.dim[i] < n)
            return arg_fail(e, call, 0, out, D_E0403, "a window of %lld does not fit into %lld places", (long long)n,
                            (long long)whole.dim[i]);
        parts.dim[parts.rank++] = whole.dim[i] / n;
        parts.dim[parts.rank++] = n;
        whole.dim[i] = whole.dim[i] / n * n;
    }
    if (!shape_equal(&whole, &graph_node(g, x)->shape)) x = graph_slice(g, x, starts, whole);
    *out = trace_value(graph_reshape(g, x, parts));
    return true;
}
