/* bound.c -- linear bounds of a graph of scalars, by forward propagation of one form for each node: bound.h.
 *
 * Rules are exact for linear operations; of a kink or a curve the chord or tangent stays as slope, the rest goes to r.
 *
 * What this computation rounds: a form that is kept has r >= r0 + EPS |y|, where r0 is enough without rounding and |y|
 * stands for |c| + |slope| + r.  The next operation multiplies both by the same factors, so that EPS |y| is there for
 * its own roundings, at most 2^-53 each and 4096 in a sum; then EPS is added anew (form_close). */
#include "pass/bound.h"

#include <math.h>

enum { CHAIN = 256 };
static const double EPS = 0x1p-40;

typedef struct Fact { Val yes, no; } Fact;     /* of a condition: surely true, surely false */

typedef struct Bounding {
    Arena *arena;
    const BoundRequest *q;
    const Graph *cell;
    Graph *body, *outer;
    bool *varies;
    Val *fixed, *imported;                     /* by node of the cell: in outer; in body, as f64 */
    Form *form;
    Fact *fact;
    VEC(Val) shared;
    const char *unknown;
} Bounding;

/* ---- short forms on the body; 0 is zero ---- */

static Val number(const Bounding *b, double x) { return graph_const(b->body, DT_F64, x); }
static Val add(const Bounding *b, Val x, Val y) { return !x ? y : !y ? x : graph_2(b->body, G_ADD, x, y); }
static Val mul(const Bounding *b, Val x, Val y) { return !x || !y ? 0 : graph_2(b->body, G_MUL, x, y); }
static Val scale(const Bounding *b, double s, Val x) { return mul(b, number(b, s), x); }
static Val neg(const Bounding *b, Val x) { return x ? graph_1(b->body, G_NEG, x) : 0; }
static Val magnitude(const Bounding *b, Val x) { return x ? graph_1(b->body, G_ABS, x) : 0; }
static Val sub(const Bounding *b, Val x, Val y) { return add(b, x, neg(b, y)); }
static Val div_of(const Bounding *b, Val x, Val y) { return graph_2(b->body, G_DIV, x, y); }
static Val larger(const Bounding *b, Val x, Val y) {
    return !x && !y ? 0 : graph_2(b->body, G_MAX, x ? x : number(b, 0), y ? y : number(b, 0));
}
static Val least(const Bounding *b, Val x, double most) { return graph_2(b->body, G_MIN, x, number(b, most)); }
static Val below(const Bounding *b, Val x, Val y) { return graph_2(b->body, G_LT, x, y); }
static Val select(const Bounding *b, Val condition, Val x, Val y) {
    if (!x && !y) return 0;
    Shape shape = graph_node(b->body, condition)->shape;
    Val in[2] = {x ? x : number(b, 0), y ? y : number(b, 0)};
    for (int k = 0; k < 2; k++) in[k] = graph_broadcast(b->body, in[k], shape);
    return graph_3(b->body, G_SELECT, condition, in[0], in[1]);
}

/* ---- forms ---- */

static Val radius(const Bounding *b, const Form *f) {
    Val sum = f->r;
    for (int j = 0; j < b->q->n; j++) sum = add(b, magnitude(b, f->slope[j]), sum);
    return sum;
}

static Val size_of(const Bounding *b, const Form *f) { return add(b, magnitude(b, f->c), radius(b, f)); }

static Form form_close(const Bounding *b, Form f) {
    f.r = add(b, f.r, scale(b, EPS, size_of(b, &f)));
    return f;
}

static Val low(const Bounding *b, const Form *f) { return sub(b, f->c, radius(b, f)); }
static Val high(const Bounding *b, const Form *f) { return add(b, f->c, radius(b, f)); }

static Form each(const Bounding *b, const Form *f, Val (*rule)(const Bounding *, Val, const void *), const void *data) {
    Form out = {
        f->c ? rule(b, f->c, data) : 0, {0}, f->r ? rule(b, f->r, data) : 0, f->error ? rule(b, f->error, data) : 0};
    for (int j = 0; j < b->q->n; j++) out.slope[j] = f->slope[j] ? rule(b, f->slope[j], data) : 0;
    return out;
}

/* One half of the distance between neighbours near 1, and the least number, of the cell's own precision. */
static double unit(const Bounding *b, Val v) { return graph_node(b->cell, v)->dtype == DT_F64 ? 0x1p-53 : 0x1p-24; }
static double tiny(const Bounding *b, Val v) { return graph_node(b->cell, v)->dtype == DT_F64 ? 0x1p-1000 : 0x1p-148; }

/* The error of a result: what came with the operands, and `ulps` halves of a unit of its own. */
static Val rounded(const Bounding *b, Val v, const Form *f, Val came, double ulps) {
    if (!b->q->rounding) return 0;
    double u = unit(b, v) * ulps;
    return add(b, scale(b, 1 + 4 * u, came), add(b, scale(b, u, size_of(b, f)), number(b, tiny(b, v))));
}

static Form form_add(const Bounding *b, Val v, const Form *x, const Form *y, bool minus) {
    Form f = {minus ? sub(b, x->c, y->c) : add(b, x->c, y->c), {0}, add(b, x->r, y->r), 0};
    for (int j = 0; j < b->q->n; j++)
        f.slope[j] = minus ? sub(b, x->slope[j], y->slope[j]) : add(b, x->slope[j], y->slope[j]);
    f = form_close(b, f);
    f.error = rounded(b, v, &f, add(b, x->error, y->error), 1);
    return f;
}

static Form form_neg(const Bounding *b, const Form *x) {
    Form f = {neg(b, x->c), {0}, x->r, x->error};
    for (int j = 0; j < b->q->n; j++) f.slope[j] = neg(b, x->slope[j]);
    return f;
}

static Form form_times(const Bounding *b, Val v, const Form *x, Val w) {
    Val size = magnitude(b, w);
    Form f = {mul(b, x->c, w), {0}, mul(b, x->r, size), 0};
    for (int j = 0; j < b->q->n; j++) f.slope[j] = mul(b, x->slope[j], w);
    f = form_close(b, f);
    f.error = rounded(b, v, &f, mul(b, x->error, size), 1);
    return f;
}

/* (c + p)(d + q) = c d + c q + d p + p q; of x x, p p lies in 0 .. radius^2. */
static Form form_mul(const Bounding *b, Val v, const Form *x, const Form *y, bool square) {
    Val rx = radius(b, x), ry = radius(b, y), both = mul(b, rx, ry), cx = magnitude(b, x->c), cy = magnitude(b, y->c);
    Form f = {mul(b, x->c, y->c), {0}, 0, 0};
    if (square) both = scale(b, 0.5, both), f.c = add(b, f.c, both);
    f.r = add(b, add(b, mul(b, cx, y->r), mul(b, cy, x->r)), both);
    f.r = add(b, f.r, scale(b, EPS, both));
    for (int j = 0; j < b->q->n; j++) f.slope[j] = add(b, mul(b, x->c, y->slope[j]), mul(b, y->c, x->slope[j]));
    f = form_close(b, f);
    Val came = add(b, mul(b, size_of(b, x), y->error), mul(b, add(b, size_of(b, y), y->error), x->error));
    f.error = rounded(b, v, &f, came, 1);
    return f;
}

/* line x + rest, rest in middle +- r. */
static Form form_line(const Bounding *b, const Form *x, Val line, Val middle, Val r) {
    Form f = {add(b, mul(b, line, x->c), middle), {0}, add(b, mul(b, magnitude(b, line), x->r), r), 0};
    for (int j = 0; j < b->q->n; j++) f.slope[j] = mul(b, line, x->slope[j]);
    f.r = add(b, f.r, scale(b, EPS, add(b, magnitude(b, middle), r)));
    return form_close(b, f);
}

/* max(0, x) between l < 0 < u: its chord has the slope t = u / (u - l).  For any t in 0 .. 1 max(0, x) - t x lies in
 * 0 .. max(-t l, (1 - t) u). */
static Form form_relu(const Bounding *b, const Form *x) {
    Val zero = number(b, 0), one = number(b, 1), l = low(b, x), u = high(b, x);
    Val t = select(b, below(b, l, zero), div_of(b, u, sub(b, u, l)), one);
    t = select(b, below(b, zero, u), t, zero);
    Val most = larger(b, neg(b, mul(b, t, l)), mul(b, sub(b, one, t), u)), half = scale(b, 0.5, larger(b, most, zero));
    half = select(b, graph_2(b->body, G_LE, zero, l), zero, half);
    half = select(b, graph_2(b->body, G_LE, u, zero), zero, half);
    Form f = form_line(b, x, t, half, half);
    f.error = x->error;
    return f;
}

/* |x| between l < 0 < u: the slope t = (u + l) / (u - l); |x| - t x lies in 0 .. max((1 - t) u, -(1 + t) l). */
static Form form_abs(const Bounding *b, const Form *x) {
    Val zero = number(b, 0), one = number(b, 1), l = low(b, x), u = high(b, x);
    Val t = select(b, below(b, l, zero), div_of(b, add(b, u, l), sub(b, u, l)), one);
    t = select(b, below(b, zero, u), t, number(b, -1));
    t = least(b, larger(b, t, number(b, -1)), 1);
    Val most = larger(b, mul(b, sub(b, one, t), u), neg(b, mul(b, add(b, one, t), l))),
        half = scale(b, 0.5, larger(b, most, zero));
    half = select(b, graph_2(b->body, G_LE, zero, l), zero, half);
    half = select(b, graph_2(b->body, G_LE, u, zero), zero, half);
    Form f = form_line(b, x, t, half, half);
    f.error = x->error;
    return f;
}

/* max(x, y) = y + max(0, x - y); min(x, y) = x - max(0, x - y). */
static Form form_max(const Bounding *b, Val v, const Form *x, const Form *y, bool min) {
    Form d = form_add(b, v, x, y, true), r;
    d.error = 0;
    r = form_relu(b, &d);
    Form f = min ? form_add(b, v, x, &r, true) : form_add(b, v, y, &r, false);
    f.error = b->q->rounding ? larger(b, x->error, y->error) : 0;
    return f;
}

/* ---- curves ---- */

/* A curve at a form: g(c), g'(c), |g''| <= bend on the form's range; and the range of g there. */
typedef struct Curve { Val at, slope, bend, lo, hi, steep; double ulps; } Curve;      /* steep: |g'|, for errors */

/* The tangent, or the range alone where that is closer. */
static Form form_curve(const Bounding *b, Val v, const Form *x, const Curve *k) {
    Val rad = radius(b, x), rest = scale(b, 0.5, mul(b, k->bend, mul(b, rad, rad)));
    Val middle = scale(b, 0.5, add(b, k->lo, k->hi)), half = scale(b, 0.5, sub(b, k->hi, k->lo));
    Val tangent = add(b, mul(b, magnitude(b, k->slope), x->r), rest), close = below(b, tangent, half);
    Form f = {select(b, close, k->at, middle), {0}, select(b, close, tangent, half), 0};
    Val line = select(b, close, k->slope, 0);
    for (int j = 0; j < b->q->n; j++) f.slope[j] = mul(b, line, x->slope[j]);
    f.r = add(b, f.r, scale(b, EPS, add(b, magnitude(b, middle), mul(b, magnitude(b, line), rad))));
    f = form_close(b, f);
    f.error = rounded(b, v, &f, mul(b, k->steep, x->error), k->ulps);
    return f;
}

/* The smallest |x|. */
static Val nearest(const Bounding *b, Val l, Val u) { return larger(b, larger(b, l, neg(b, u)), number(b, 0)); }
static Val farthest(const Bounding *b, Val l, Val u) { return larger(b, magnitude(b, l), magnitude(b, u)); }
static Val one_less_square(const Bounding *b, Val t) { return sub(b, number(b, 1), mul(b, t, t)); }

static Curve curve_wave(const Bounding *b, const Form *x, bool cosine) {
    Val at = graph_1(b->body, cosine ? G_COS : G_SIN, x->c), other = graph_1(b->body, cosine ? G_SIN : G_COS, x->c);
    Shape shape = graph_node(b->body, x->c)->shape;
    Val one = graph_broadcast(b->body, number(b, 1), shape);
    return (Curve){
        at, cosine ? neg(b, other) : other, least(b, add(b, magnitude(b, at), radius(b, x)), 1), neg(b, one), one, one,
        4};
}

static Curve curve_tanh(const Bounding *b, const Form *x) {
    Val l = low(b, x), u = high(b, x), at = graph_1(b->body, G_TANH, x->c),
        near = graph_1(b->body, G_TANH, nearest(b, l, u));
    Val lo = graph_1(b->body, G_TANH, l), hi = graph_1(b->body, G_TANH, u), steep = one_less_square(b, near);
    Val bend = least(b, scale(b, 2.0001, mul(b, farthest(b, lo, hi), add(b, steep, number(b, EPS)))), 0.77);
    return (Curve){at, one_less_square(b, at), bend, lo, hi, number(b, 1), 4};
}

static Curve curve_erf(const Bounding *b, const Form *x) {
    Val l = low(b, x), u = high(b, x), near = nearest(b, l, u);
    Val bell = graph_1(b->body, G_EXP, neg(b, mul(b, near, near))),
        middle = graph_1(b->body, G_EXP, neg(b, mul(b, x->c, x->c)));
    Val bend = least(b, scale(b, 2.2568, mul(b, farthest(b, l, u), bell)), 0.9681);
    return (Curve){graph_1(b->body, G_ERF, x->c),
                   scale(b, 2 / 1.7724538509055159, middle),
                   bend,
                   graph_1(b->body, G_ERF, l),
                   graph_1(b->body, G_ERF, u),
                   number(b, 1.1284),
                   4};
}

static Curve curve_exp(const Bounding *b, const Form *x) {
    Val at = graph_1(b->body, G_EXP, x->c), lo = graph_1(b->body, G_EXP, low(b, x)),
        hi = graph_1(b->body, G_EXP, high(b, x));
    Val bend = scale(b, 1.0001, hi);
    return (Curve){at, at, bend, lo, hi, scale(b, 1.01, hi), 4};
}

static Val or_infinite(const Bounding *b, Val condition, Val x) { return select(b, condition, x, number(b, INFINITY)); }

static Curve curve_log(const Bounding *b, const Form *x) {
    Val l = low(b, x), fits = below(b, number(b, 0x1p-120), l), one = number(b, 1),
        steep = or_infinite(b, fits, div_of(b, number(b, 1.01), l));
    return (Curve){graph_1(b->body, G_LOG, x->c),
                   div_of(b, one, x->c),
                   mul(b, steep, steep),
                   neg(b, or_infinite(b, fits, neg(b, graph_1(b->body, G_LOG, l)))),
                   graph_1(b->body, G_LOG, high(b, x)),
                   steep,
                   4};
}

static Curve curve_sqrt(const Bounding *b, const Form *x) {
    Val l = low(b, x), zero = number(b, 0), fits = graph_2(b->body, G_LE, zero, l), at = graph_1(b->body, G_SQRT, x->c);
    Val lo = graph_1(b->body, G_SQRT, larger(b, l, zero)), steep = div_of(b, number(b, 0.505), lo);
    Val bend = div_of(b, steep, scale(b, 1.99, larger(b, l, zero)));
    return (Curve){
        at, div_of(b, number(b, 0.5), at), bend, lo, or_infinite(b, fits, graph_1(b->body, G_SQRT, high(b, x))), steep,
        1};
}

static Form form_inverse(const Bounding *b, Val v, const Form *x) {
    Val l = low(b, x), u = high(b, x), near = nearest(b, l, u), one = number(b, 1), at = div_of(b, one, x->c);
    Val fits = below(b, number(b, 0x1p-120), near), top = or_infinite(b, fits, div_of(b, number(b, 1.01), near));
    Curve k = {at, neg(b, mul(b, at, at)), scale(b, 2, mul(b, top, mul(b, top, top))), 0, 0, mul(b, top, top), 1};
    k.lo = neg(b, or_infinite(b, fits, neg(b, div_of(b, one, u))));
    k.hi = or_infinite(b, fits, div_of(b, one, l));
    return form_curve(b, v, x, &k);
}

/* Functions that jump: their range alone. */
static Form form_steps(const Bounding *b, const Form *x, Op op) {
    Val wide = x->error ? add(b, radius(b, x), x->error) : radius(b, x);
    Val lo = graph_1(b->body, op, sub(b, x->c, wide)), hi = graph_1(b->body, op, add(b, x->c, wide));
    Form f = {scale(b, 0.5, add(b, lo, hi)), {0}, scale(b, 0.5, sub(b, hi, lo)), 0};
    if (b->q->rounding) f.error = sub(b, hi, lo);
    return form_close(b, f);
}

/* ---- what no argument reaches ---- */

static Val copy_fixed(Bounding *b, Val v) {
    const Node *node = graph_node(b->cell, v);
    Val *in = arena_array(b->arena, Val, node->nin + 1);
    NodeType type = graph_type(b->cell, v);
    const GraphInput *input = node->op == G_INPUT ? &b->cell->inputs.at[graph_attr(b->cell, v)->index] : NULL;
    if (input) return graph_input(b->outer, input->kind, input->index, input->name, type);
    for (int i = 0; i < node->nin; i++) in[i] = b->fixed[graph_in(b->cell, v, i)];
    return graph_add(b->outer, (Op)node->op, in, node->nin, graph_attr(b->cell, v), &type, node->span);
}

static Val share(Bounding *b, Val outer) {
    if (b->outer == b->body) return outer;
    for (int i = 0; i < b->shared.len; i++)
        if (b->shared.at[i] == outer) return graph_input(b->body, IN_SHARED, i, "shared", graph_type(b->outer, outer));
    vec_push(b->arena, &b->shared, outer);
    return graph_input(b->body, IN_SHARED, b->shared.len - 1, "shared", graph_type(b->outer, outer));
}

static Val wide(Bounding *b, Val outer) {
    return graph_node(b->outer, outer)->dtype == DT_BOOL ? outer : graph_cast(b->outer, outer, DT_F64);
}

/* The value in the body, as f64. */
static Val import(Bounding *b, Val v) {
    const Node *node = graph_node(b->cell, v);
    if (b->imported[v]) return b->imported[v];
    if (node->op == G_CONST && node->dtype >= DT_F32) return b->imported[v] = number(b, graph_attr(b->cell, v)->f64);
    if (node->op == G_BROADCAST)
        return b->imported[v] = graph_broadcast(b->body, import(b, graph_in(b->cell, v, 0)), node->shape);
    return b->imported[v] = share(b, wide(b, b->fixed[v]));
}

static bool is_fixed(const Bounding *b, Val v) { return !b->varies[v]; }

static bool is_zero(const Bounding *b, Val v) {
    const Node *node = graph_node(b->cell, v);
    while (node->op == G_BROADCAST || node->op == G_RESHAPE) v = graph_in(b->cell, v, 0), node = graph_node(b->cell, v);
    return node->op == G_CONST && node->dtype >= DT_F32 && graph_attr(b->cell, v)->f64 == 0;
}

/* The form of an operand; of a fixed one with what rounds at its side of a sum. */
static Form operand(Bounding *b, Val v, int k) {
    Val in = graph_in(b->cell, v, k);
    if (b->varies[in]) return b->form[in];
    if (is_zero(b, in)) return (Form){.c = import(b, in)};
    return form_close(b, (Form){.c = import(b, in)});
}

static bool unknown(Bounding *b, Val v) {
    b->unknown = op_name((Op)graph_node(b->cell, v)->op);
    return false;
}

/* ---- contractions and sums ---- */

static Val table_of(const Bounding *b, Shape shape, double (*at)(int64_t, int64_t)) {
    int64_t n = shape_size(&shape), columns = shape.rank > 1 ? shape.dim[1] : 1;
    double *data = arena_array(b->body->arena, double, n);
    Blob *blob = arena_new_of(b->body->arena, Blob);
    for (int64_t i = 0; i < n; i++) data[i] = at(i / columns, shape.rank > 1 ? i % columns : shape.dim[0]);
    *blob = (Blob){DT_F64, shape, data, fnv1a(data, (size_t)n * sizeof(double), FNV1A_START)};
    return graph_add(b->body, G_TABLE, NULL, 0, &(Attr){.blob = blob}, &(NodeType){DT_F64, shape, false}, (Span){0});
}

static double lower_triangle(int64_t i, int64_t k) { return k <= i; }
static double left_over(int64_t i, int64_t n) { return (double)(n - i); }

/* The sum over the steps of a chain of fmas of the partial sums' sizes: at the middle as they come, plus what the
 * radii add at most. */
static Val partial_sums(const Bounding *b, const Form *x, Val w, Val size, Val init) {
    int64_t o = graph_node(b->body, w)->shape.dim[0], n = graph_node(b->body, w)->shape.dim[1];
    Shape square = shape_of(2, n, o);
    Val turned = graph_transpose(b->body, w, (const int[]){1, 0});
    Val terms = mul(b, turned, graph_broadcast(b->body, x->c, square));
    Val sums = graph_matmul(b->body, table_of(b, shape_of(2, n, n), lower_triangle), terms, 0);
    if (init)
        sums = add(b, sums, graph_broadcast(b->body, graph_reshape(b->body, init, shape_of(2, (int64_t)1, o)), square));
    Val total = graph_reduce(b->body, G_SUM, magnitude(b, sums), 1);
    Val rest = mul(b, radius(b, x), table_of(b, shape_of(1, n), left_over));
    return add(b, total, graph_matmul(b->body, size, rest, 0));
}

static Val matmul_error(const Bounding *b, Val v, const Form *x, Val w, Val size, Val init) {
    if (!b->q->rounding) return 0;
    const Shape *shape = &graph_node(b->body, w)->shape, *in = &graph_node(b->body, x->c)->shape;
    int64_t n = shape->dim[shape->rank - 1], o = shape->rank == 2 ? shape->dim[0] : 1;
    Val came = x->error ? graph_matmul(b->body, size, x->error, 0) : 0, run;
    if (shape->rank == 2 && o > 1 && n <= CHAIN && in->rank == 1) {
        run = scale(b, 1.01 * unit(b, v), partial_sums(b, x, w, size, init));
    } else {
        Val all = graph_matmul(b->body, size, size_of(b, x), init ? magnitude(b, init) : 0);
        run = scale(b, 1.01 * unit(b, v) * (double)(o == 1 ? n / 16 + 7 : n + 2), all);
    }
    return add(b, scale(b, 1.01, add(b, came, run)), number(b, (double)n * tiny(b, v)));
}

static bool bound_matmul(Bounding *b, Val v) {
    const Node *node = graph_node(b->cell, v);
    Val w = graph_in(b->cell, v, 0), x = graph_in(b->cell, v, 1), start = node->nin > 2 ? graph_in(b->cell, v, 2) : 0;
    if (!is_fixed(b, w) || !b->varies[x] || (start && !is_fixed(b, start))) return unknown(b, v);
    const Shape *shape = &graph_node(b->cell, w)->shape;
    if (shape->rank > 2 || shape->dim[shape->rank - 1] > 4000) return unknown(b, v);
    Val weights = import(b, w), size = share(b, graph_1(b->outer, G_ABS, wide(b, b->fixed[w])));
    Val init = start ? import(b, start) : 0;
    if (init) init = graph_broadcast(b->body, init, graph_node(b->cell, start)->shape);
    const Form *in = &b->form[x];
    Form f = {graph_matmul(b->body, weights, in->c, init), {0}, in->r ? graph_matmul(b->body, size, in->r, 0) : 0, 0};
    for (int j = 0; j < b->q->n; j++)
        if (in->slope[j]) f.slope[j] = graph_matmul(b->body, weights, in->slope[j], 0);
    if (init) f.r = add(b, f.r, graph_broadcast(b->body, scale(b, EPS, magnitude(b, init)), node->shape));
    f = form_close(b, f);
    f.error = matmul_error(b, v, in, weights, size, init);
    b->form[v] = f;
    return true;
}

static Val rule_sum(const Bounding *b, Val x, const void *data) {
    return graph_reduce(b->body, G_SUM, x, *(const uint32_t *)data);
}

static bool bound_reduce(Bounding *b, Val v) {
    const Node *node = graph_node(b->cell, v);
    Val from = graph_in(b->cell, v, 0);
    const Shape *shape = &graph_node(b->cell, from)->shape;
    const Form *x = &b->form[from];
    if (node->op == G_SUM) {
        Form f = form_close(b, each(b, x, rule_sum, &graph_attr(b->cell, v)->axes));
        double n = (double)shape_size(shape) / (double)shape_size(&node->shape);
        if (b->q->rounding)
            f.error = add(b, scale(b, 1.01, f.error),
                          scale(b, (n + 6) * unit(b, v), rule_sum(b, size_of(b, x), &graph_attr(b->cell, v)->axes)));
        b->form[v] = f;
        return true;
    }
    if ((node->op != G_MAXIMUM && node->op != G_MINIMUM) || shape->rank != 1 || shape->dim[0] > 64)
        return unknown(b, v);
    for (int64_t i = 0; i < shape->dim[0]; i++) {
        Form e = {0};
        Val *to[] = {&e.c, &e.r, &e.error, &e.slope[0], &e.slope[1], &e.slope[2]};
        const Val part[] = {x->c, x->r, x->error, x->slope[0], x->slope[1], x->slope[2]};
        for (int k = 0; k < COUNT(part); k++)
            if (part[k])
                *to[k] = graph_reshape(b->body, graph_slice(b->body, part[k], &i, shape_of(1, (int64_t)1)), SHAPE0);
        b->form[v] = i ? form_max(b, v, &b->form[v], &e, node->op == G_MINIMUM) : e;
    }
    return true;
}

/* ---- views ---- */

typedef struct View { const Bounding *b; Val v; } View;

static Val rule_view(const Bounding *b, Val x, const void *data) {
    Val v = *(const Val *)data;
    const Node *node = graph_node(b->cell, v);
    NodeType type = {DT_F64, node->shape, graph_node(b->body, x)->batched};
    return graph_add(b->body, (Op)node->op, &x, 1, graph_attr(b->cell, v), &type, (Span){0});
}

static Val part_of(const Form *f, int k) { return k == 0 ? f->c : k == 1 ? f->r : k == 2 ? f->error : f->slope[k - 3]; }

static Val concat_part(Bounding *b, Val v, int k) {
    const Node *node = graph_node(b->cell, v);
    Val *in = arena_array(b->arena, Val, node->nin + 1);
    bool any = false;
    for (int i = 0; i < node->nin; i++) {
        Val from = graph_in(b->cell, v, i);
        Form f = operand(b, v, i);
        in[i] = part_of(&f, k);
        any |= in[i] != 0;
        in[i] = graph_broadcast(b->body, in[i] ? in[i] : number(b, 0), graph_node(b->cell, from)->shape);
    }
    return any ? graph_add(b->body, G_CONCAT, in, node->nin, graph_attr(b->cell, v), NULL, (Span){0}) : 0;
}

static bool bound_view(Bounding *b, Val v) {
    const Node *node = graph_node(b->cell, v);
    Form *f = &b->form[v];
    switch ((int)node->op) {
    case G_BROADCAST: case G_RESHAPE: case G_TRANSPOSE: case G_SLICE: case G_PAD:
        *f = each(b, &b->form[graph_in(b->cell, v, 0)], rule_view, &v);
        return true;
    case G_CONCAT:
        *f = (Form){concat_part(b, v, 0), {0}, concat_part(b, v, 1), concat_part(b, v, 2)};
        for (int j = 0; j < b->q->n; j++) f->slope[j] = concat_part(b, v, 3 + j);
        return true;
    default: return unknown(b, v);
    }
}

/* ---- conditions ---- */

static Val not_of(const Bounding *b, Val x) { return graph_1(b->body, G_NOT, x); }
static Val and_of(const Bounding *b, Val x, Val y) { return graph_2(b->body, G_AND, x, y); }

static Fact fact_of(Bounding *b, Val v) {
    if (b->varies[v]) return b->fact[v];
    Val is = import(b, v);
    return (Fact){is, not_of(b, is)};
}

static bool bound_condition(Bounding *b, Val v) {
    const Node *node = graph_node(b->cell, v);
    Fact *out = &b->fact[v];
    if (node->op == G_NOT || node->op == G_AND || node->op == G_OR) {
        Fact x = fact_of(b, graph_in(b->cell, v, 0)), y = node->nin > 1 ? fact_of(b, graph_in(b->cell, v, 1)) : x;
        if (node->op == G_NOT) *out = (Fact){x.no, x.yes};
        else if (node->op == G_AND)
            *out = (Fact){and_of(b, x.yes, y.yes), not_of(b, and_of(b, not_of(b, x.no), not_of(b, y.no)))};
        else *out = (Fact){not_of(b, and_of(b, not_of(b, x.yes), not_of(b, y.yes))), and_of(b, x.no, y.no)};
        return true;
    }
    if (graph_node(b->cell, graph_in(b->cell, v, 0))->dtype < DT_F32) return unknown(b, v);
    Form x = operand(b, v, 0), y = operand(b, v, 1);
    Val came = add(b, x.error, y.error), zero = number(b, 0);
    x.error = y.error = 0;
    Form d = form_add(b, v, &x, &y, true);
    Val l = sub(b, low(b, &d), came), u = add(b, high(b, &d), came);
    Val under = below(b, u, zero), over = below(b, zero, l),
        apart = not_of(b, and_of(b, not_of(b, under), not_of(b, over)));
    Val never = below(b, magnitude(b, l), zero);                               /* of the right shape */
    switch ((int)node->op) {
    case G_LT: case G_LE: *out = (Fact){under, over}; return true;
    case G_EQ: *out = (Fact){never, apart}; return true;
    case G_NE: *out = (Fact){apart, never}; return true;
    default: return unknown(b, v);
    }
}

/* Either of two forms: the middle of both, and as far from it as the farther. */
static Form form_either(const Bounding *b, const Fact *is, const Form *x, const Form *y) {
    Form f = {scale(b, 0.5, add(b, x->c, y->c)), {0}, 0, 0};
    Val apart = magnitude(b, sub(b, x->c, y->c));
    for (int j = 0; j < b->q->n; j++) {
        f.slope[j] = scale(b, 0.5, add(b, x->slope[j], y->slope[j]));
        apart = add(b, apart, magnitude(b, sub(b, x->slope[j], y->slope[j])));
    }
    f.r = add(b, larger(b, x->r, y->r), scale(b, 0.5, apart));
    f.r = add(b, f.r, scale(b, EPS, add(b, size_of(b, x), size_of(b, y))));
    if (b->q->rounding) f.error = add(b, larger(b, x->error, y->error), add(b, apart, add(b, x->r, y->r)));
    Form out = {0};
    Val *to[] = {&out.c, &out.r, &out.error, &out.slope[0], &out.slope[1], &out.slope[2]};
    for (int k = 0; k < COUNT(to); k++)
        *to[k] = select(b, is->yes, part_of(x, k), select(b, is->no, part_of(y, k), part_of(&f, k)));
    return form_close(b, out);
}

static bool bound_select(Bounding *b, Val v) {
    Fact is = fact_of(b, graph_in(b->cell, v, 0));
    Form x = operand(b, v, 1), y = operand(b, v, 2);
    if (graph_node(b->cell, v)->dtype < DT_F32) return unknown(b, v);
    b->form[v] = form_either(b, &is, &x, &y);
    return true;
}

static bool bound_cast(Bounding *b, Val v) {
    Val from = graph_in(b->cell, v, 0);
    DType to = (DType)graph_node(b->cell, v)->dtype;
    if (to < DT_F32) return unknown(b, v);
    if (graph_node(b->cell, from)->dtype == DT_BOOL) {
        Form one = {.c = number(b, 1)}, zero = {.c = number(b, 0)};
        b->form[v] = form_either(b, &b->fact[from], &one, &zero);
        return true;
    }
    if (graph_node(b->cell, from)->dtype < DT_F32) return unknown(b, v);
    b->form[v] = b->form[from];
    if (to == DT_F32) b->form[v].error = rounded(b, v, &b->form[v], b->form[from].error, 1);
    return true;
}

/* ---- powers ---- */

static bool bound_power(Bounding *b, Val v) {
    Val n = graph_in(b->cell, v, 1);
    while (graph_node(b->cell, n)->op == G_BROADCAST) n = graph_in(b->cell, n, 0);
    if (graph_node(b->cell, n)->op != G_CONST) return unknown(b, v);
    int64_t power = graph_attr(b->cell, n)->i64, count = power < 0 ? -power : power;
    Form x = operand(b, v, 0), y = x;
    if (count > 64) return unknown(b, v);
    if (!count) {
        b->form[v] = (Form){.c = graph_broadcast(b->body, number(b, 1), graph_node(b->cell, v)->shape)};
        return true;
    }
    int bit = 0;
    while (count >> (bit + 1)) bit++;
    while (bit--) {
        y = form_mul(b, v, &y, &y, true);
        if (count >> bit & 1) y = form_mul(b, v, &y, &x, false);
    }
    b->form[v] = power < 0 ? form_inverse(b, v, &y) : y;
    return true;
}

/* a^c = exp(c log a). */
static Form form_power(const Bounding *b, Val v, const Form *x, const Form *y) {
    Curve k = curve_log(b, x);
    Form log = form_curve(b, v, x, &k), product = form_mul(b, v, &log, y, false);
    k = curve_exp(b, &product);
    return form_curve(b, v, &product, &k);
}

/* ---- nodes ---- */

static bool bound_unary(Bounding *b, Val v) {
    Op op = (Op)graph_node(b->cell, v)->op;
    if (op == G_NOT) return bound_condition(b, v);
    if (op == G_CAST) return bound_cast(b, v);
    Form x = operand(b, v, 0);
    Form *f = &b->form[v];
    Curve k = {0};
    switch ((int)op) {
    case G_NEG: *f = form_neg(b, &x); return true;
    case G_ABS: *f = form_abs(b, &x); return true;
    case G_SIGN: case G_FLOOR: case G_CEIL: case G_ROUND: *f = form_steps(b, &x, op); return true;
    case G_SQRT: k = curve_sqrt(b, &x); break;
    case G_EXP: k = curve_exp(b, &x); break;
    case G_LOG: k = curve_log(b, &x); break;
    case G_SIN: k = curve_wave(b, &x, false); break;
    case G_COS: k = curve_wave(b, &x, true); break;
    case G_TANH: k = curve_tanh(b, &x); break;
    case G_ERF: k = curve_erf(b, &x); break;
    default: return unknown(b, v);
    }
    *f = form_curve(b, v, &x, &k);
    return true;
}

static bool bound_product(Bounding *b, Val v) {
    Val in[2] = {graph_in(b->cell, v, 0), graph_in(b->cell, v, 1)};
    for (int k = 0; k < 2; k++)
        if (is_fixed(b, in[k])) {
            b->form[v] = form_times(b, v, &b->form[in[1 - k]], import(b, in[k]));
            return true;
        }
    b->form[v] = form_mul(b, v, &b->form[in[0]], &b->form[in[1]], in[0] == in[1]);
    return true;
}

static bool bound_quotient(Bounding *b, Val v) {
    Form x = operand(b, v, 0), y = operand(b, v, 1), inverse;
    y.error = is_fixed(b, graph_in(b->cell, v, 1)) ? 0 : y.error;
    inverse = form_inverse(b, v, &y);
    b->form[v] = form_mul(b, v, &x, &inverse, false);
    return true;
}

static bool bound_binary(Bounding *b, Val v) {
    Op op = (Op)graph_node(b->cell, v)->op;
    if (graph_node(b->cell, v)->dtype == DT_BOOL) return bound_condition(b, v);
    if (graph_node(b->cell, v)->dtype < DT_F32) return unknown(b, v);
    if (op == G_MUL) return bound_product(b, v);
    if (op == G_DIV) return bound_quotient(b, v);
    if (op == G_POWI) return bound_power(b, v);
    Form x = operand(b, v, 0), y = operand(b, v, 1), *f = &b->form[v];
    switch ((int)op) {
    case G_ADD: *f = form_add(b, v, &x, &y, false); return true;
    case G_SUB: *f = form_add(b, v, &x, &y, true); return true;
    case G_MAX: *f = form_max(b, v, &x, &y, false); return true;
    case G_MIN: *f = form_max(b, v, &x, &y, true); return true;
    case G_POW: *f = form_power(b, v, &x, &y); return true;
    default: return unknown(b, v);
    }
}

static bool bound_node(Bounding *b, Val v) {
    switch (op_class((Op)graph_node(b->cell, v)->op)) {
    case CLASS_UNARY: return bound_unary(b, v);
    case CLASS_BINARY: return bound_binary(b, v);
    case CLASS_TERNARY: return bound_select(b, v);
    case CLASS_VIEW: return bound_view(b, v);
    case CLASS_REDUCE: return bound_reduce(b, v);
    case CLASS_CONTRACT: return graph_node(b->cell, v)->op == G_MATMUL ? bound_matmul(b, v) : unknown(b, v);
    case CLASS_LEAF: case CLASS_BATCH: case CLASS_REGION: return unknown(b, v);
    }
    return false;
}

/* Nodes that the values need, from the last to the first. */
static bool *find_wanted(const Bounding *b, const Val *values, int count) {
    bool *wanted = arena_array(b->arena, bool, b->cell->node.len + 1);
    for (int i = 0; i < count; i++) wanted[values[i]] = true;
    for (Val v = (Val)b->cell->node.len - 1; v >= 1; v--)
        for (int i = 0; wanted[v] && i < graph_node(b->cell, v)->nin; i++) wanted[graph_in(b->cell, v, i)] = true;
    return wanted;
}

static void take_argument(Bounding *b, Val v, int j) {
    Form f = {.c = b->q->middle[j]};
    f.slope[j] = b->q->half ? b->q->half[j] : 0;
    b->form[v] = form_close(b, f);
}

bool pass_bound(Arena *arena, const BoundRequest *q, const Val *values, int count, BoundResult *out) {
    int nodes = q->cell->node.len + 1;
    Bounding b = {.arena = arena, .q = q, .cell = q->cell, .body = q->body, .outer = q->outer,
                  .varies = arena_array(arena, bool, nodes), .fixed = arena_array(arena, Val, nodes),
                  .imported = arena_array(arena, Val, nodes), .form = arena_array(arena, Form, nodes),
                  .fact = arena_array(arena, Fact, nodes)};
    bool *wanted = find_wanted(&b, values, count), ok = true;
    for (Val v = 1; v < (Val)q->cell->node.len && ok; v++) {
        const Node *node = graph_node(q->cell, v);
        if (!wanted[v]) continue;
        const GraphInput *in = node->op == G_INPUT ? &q->cell->inputs.at[graph_attr(q->cell, v)->index] : NULL;
        b.varies[v] = in && in->kind == IN_ROWS;
        for (int i = 0; i < node->nin; i++) b.varies[v] |= b.varies[graph_in(q->cell, v, i)];
        if (b.varies[v] && in) take_argument(&b, v, in->index);
        else if (b.varies[v]) ok = bound_node(&b, v);
        else b.fixed[v] = copy_fixed(&b, v);
    }
    *out = (BoundResult){arena_array(arena, Form, count + 1), b.shared.at, b.shared.len, b.unknown};
    for (int i = 0; i < count && ok; i++) {
        if (b.varies[values[i]]) out->form[i] = b.form[values[i]];
        else if (graph_node(q->cell, values[i])->dtype >= DT_F32) out->form[i] = (Form){.c = import(&b, values[i])};
        out->shared = b.shared.at;
        out->shared_len = b.shared.len;
    }
    return ok;
}
