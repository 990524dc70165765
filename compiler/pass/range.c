/* range.c -- between which numbers the values of a graph lie, by interval arithmetic from the leaves up.
 *
 * Inputs and parameters are any number.  Of patterns wider than one operation only x / sum(x) is seen, which makes a
 * softmax 0..1.  Bounds are not rounded outwards and say nothing of NaN: they are for warnings, never for results. */
#include "pass/pass.h"

#include <math.h>

typedef struct Ranges { const Graph *g; Arena *arena; const Range *mapped; Range *at; } Ranges;

static const Range any = {-INFINITY, INFINITY};

static Range range_of(double lo, double hi) { return isnan(lo) || isnan(hi) ? any : (Range){lo, hi}; }
static Range range_join(Range a, Range b) { return (Range){fmin(a.lo, b.lo), fmax(a.hi, b.hi)}; }

/* 0 times infinity is 0 here: the bound of a product of bounded things. */
static double times(double a, double b) { return a == 0 || b == 0 ? 0 : a * b; }

static Range range_mul(Range a, Range b) {
    double p[4] = {times(a.lo, b.lo), times(a.lo, b.hi), times(a.hi, b.lo), times(a.hi, b.hi)};
    Range out = {p[0], p[0]};
    for (int i = 1; i < 4; i++) out = range_join(out, (Range){p[i], p[i]});
    return out;
}

static Range range_div(Range a, Range b) {
    if ((b.lo < 0 && b.hi > 0) || (b.lo == 0 && b.hi == 0)) return any;
    if (b.hi <= 0) return range_div((Range){-a.hi, -a.lo}, (Range){-b.hi, -b.lo});
    double most = b.lo > 0 ? 1 / b.lo : INFINITY, least = isinf(b.hi) ? 0 : 1 / b.hi;
    return range_mul(a, (Range){least, most});
}

/* Of a value and the same value: never below zero. */
static Range range_square(Range a) {
    double lo = a.lo > 0 ? a.lo * a.lo : a.hi < 0 ? a.hi * a.hi : 0;
    return range_of(lo, fmax(a.lo * a.lo, a.hi * a.hi));
}

static Range range_power(Range a, Range n) {
    if (n.lo != n.hi) return any;
    if (n.lo == 2) return range_square(a);
    if (n.lo >= 0 && fmod(n.lo, 2) == 0) return (Range){0, INFINITY};
    return n.lo == 1 ? a : any;
}

static Range range_sum(Range a, double n) { return (Range){times(a.lo, n), times(a.hi, n)}; }

/* What a view repeats or moves. */
static Val behind_views(const Graph *g, Val v) {
    for (;;) {
        Op op = (Op)graph_node(g, v)->op;
        if (op != G_BROADCAST && op != G_RESHAPE) return v;
        v = graph_in(g, v, 0);
    }
}

/* x / sum(x), x not below zero: a share. */
static bool is_share(const Ranges *r, Val v) {
    Val x = graph_in(r->g, v, 0), total = behind_views(r->g, graph_in(r->g, v, 1));
    return r->at[x].lo >= 0 && graph_node(r->g, total)->op == G_SUM &&
           behind_views(r->g, graph_in(r->g, total, 0)) == behind_views(r->g, x);
}

static Range range_leaf(const Ranges *r, Val v) {
    const Node *node = graph_node(r->g, v);
    const Attr *attr = graph_attr(r->g, v);
    Op op = (Op)node->op;
    if (op == G_CONST) {
        double x = node->dtype == DT_F32 || node->dtype == DT_F64 ? attr->f64 : (double)attr->i64;
        return range_of(x, x);
    }
    if (op == G_IOTA) return (Range){0, (double)node->shape.dim[attr->axis] - 1};
    if (op == G_NOISE) return (Range){0, 1};
    if (op != G_INPUT) return any;
    const GraphInput *in = &r->g->inputs.at[attr->index];
    return in->kind == IN_MAPPED && r->mapped ? r->mapped[in->index] : any;
}

static Range range_unary(Op op, Range a, int dtype) {
    if (op == G_NEG) return (Range){-a.hi, -a.lo};
    if (op == G_ABS) return (Range){a.lo > 0 ? a.lo : a.hi < 0 ? -a.hi : 0, fmax(fabs(a.lo), fabs(a.hi))};
    if (op == G_SIGN || op == G_SIN || op == G_COS || op == G_ERF) return (Range){-1, 1};
    if (op == G_SQRT) return (Range){a.lo > 0 ? sqrt(a.lo) : 0, a.hi > 0 ? sqrt(a.hi) : 0};
    if (op == G_EXP) return (Range){exp(a.lo), exp(a.hi)};
    if (op == G_LOG) return a.lo >= 0 ? (Range){log(a.lo), log(a.hi)} : any;
    if (op == G_TANH) return (Range){tanh(a.lo), tanh(a.hi)};
    if (op == G_FLOOR || op == G_CEIL || op == G_ROUND) return (Range){floor(a.lo), ceil(a.hi)};
    if (op == G_NOT) return (Range){0, 1};
    if (op == G_CAST) return dtype == DT_BOOL ? (Range){0, 1} : dtype == DT_I32 ? (Range){floor(a.lo), ceil(a.hi)} : a;
    return any;
}

static Range range_binary(const Ranges *r, Val v, Range a, Range b) {
    Op op = (Op)graph_node(r->g, v)->op;
    if (op == G_ADD) return range_of(a.lo + b.lo, a.hi + b.hi);
    if (op == G_SUB) return range_of(a.lo - b.hi, a.hi - b.lo);
    if (op == G_MUL) return graph_in(r->g, v, 0) == graph_in(r->g, v, 1) ? range_square(a) : range_mul(a, b);
    if (op == G_DIV) return is_share(r, v) ? (Range){0, 1} : range_div(a, b);
    if (op == G_MAX) return (Range){fmax(a.lo, b.lo), fmax(a.hi, b.hi)};
    if (op == G_MIN) return (Range){fmin(a.lo, b.lo), fmin(a.hi, b.hi)};
    if (op == G_MOD) return b.lo > 0 ? (Range){0, b.hi} : any;
    if (op == G_POWI) return range_power(a, b);
    if (op == G_POW) return (Range){0, INFINITY};
    if (op == G_LT || op == G_LE || op == G_EQ || op == G_NE || op == G_AND || op == G_OR) return (Range){0, 1};
    return any;
}

static Range range_view(const Ranges *r, Val v, const Range *in) {
    const Node *node = graph_node(r->g, v);
    if (node->op == G_PAD) return range_join(in[0], (Range){0, 0});
    if (node->op == G_PICK || node->op == G_EMBED || node->op == G_BROADCAST) return in[0];
    Range out = in[0];
    for (int i = 1; i < node->nin; i++) out = range_join(out, in[i]);
    return out;
}

static Range range_reduced(const Ranges *r, Val v, Range a) {
    const Node *node = graph_node(r->g, v);
    const Shape *from = &graph_node(r->g, graph_in(r->g, v, 0))->shape;
    int64_t size = shape_size(&node->shape);
    Op op = (Op)node->op;
    if (op == G_MAXIMUM || op == G_MINIMUM) return a;
    if (op == G_ARGMAX) return (Range){0, (double)from->dim[0] - 1};
    if (op == G_SUM) return range_sum(a, size ? (double)shape_size(from) / (double)size : 0);
    return a.lo >= 0 ? (Range){0, INFINITY} : any;
}

/* The outputs of a region, as one range for each PROJ: those of a MAP node itself are never asked for. */
static Range range_proj(const Ranges *r, Val v) {
    Val map = graph_in(r->g, v, 0);
    const Attr *attr = graph_attr(r->g, map);
    int k = graph_attr(r->g, v)->index;
    if (k >= attr->body->outputs.len || attr->body->outputs.at[k].kind != OUT_MAPPED) return any;
    Range *mapped = arena_array(r->arena, Range, attr->mapped + 1);
    for (int i = 0; i < attr->mapped; i++) mapped[i] = r->at[graph_in(r->g, map, i)];
    return pass_range(r->arena, attr->body, mapped)[attr->body->outputs.at[k].value];
}

static Range range_node(const Ranges *r, Val v) {
    const Node *node = graph_node(r->g, v);
    Op op = (Op)node->op;
    Range *in = arena_array(r->arena, Range, node->nin + 1);
    for (int i = 0; i < node->nin; i++) in[i] = r->at[graph_in(r->g, v, i)];
    switch (op_class(op)) {
    case CLASS_LEAF: return range_leaf(r, v);
    case CLASS_UNARY: return range_unary(op, in[0], node->dtype);
    case CLASS_BINARY: return range_binary(r, v, in[0], in[1]);
    case CLASS_TERNARY: return range_join(in[1], in[2]);
    case CLASS_VIEW: return op == G_PROJ ? range_proj(r, v) : range_view(r, v, in);
    case CLASS_REDUCE: return range_reduced(r, v, in[0]);
    case CLASS_BATCH: case CLASS_CONTRACT: case CLASS_REGION: break;
    }
    return any;
}

Range *pass_range(Arena *arena, const Graph *graph, const Range *mapped) {
    Ranges r = {graph, arena, mapped, arena_array(arena, Range, graph->node.len + 1)};
    for (Val v = 1; v < (Val)graph->node.len; v++) r.at[v] = range_node(&r, v);
    return r.at;
}
