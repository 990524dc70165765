/* simplify.c -- identities that hold in IEEE arithmetic for every input: NaN, infinities, denormals and -0.
 * (NaN is one value: its sign and payload are not observed.)
 *
 *   sums         x + -0 = x        -0 + x = x       x + -y = x - y    -x + y = y - x
 *                x - +0 = x        -0 - x = -x      x - -y = x + y
 *   products     x * 1 = x         1 * x = x        x * -1 = -x       -x * -y = x * y
 *                x / 1 = x         -x / -y = x / y  x / 2^k = x * 2^-k (both normal)
 *   signs        -(-x) = x         |-x| = |x|       ||x|| = |x|
 *   order        max(x, x) = x     min(x, x) = x    x < x = false     !(x == y) = x != y
 *                x < y = x < max(x, y), if that is computed anyway: the mask of relu needs what relu gave only
 *   powers       x^n, n constant: the multiplications that define it
 *   choice       c ? x : x = x     !c ? x : y = c ? y : x             true ? x : y = x
 *                c ? (c ? x : y) : z = c ? x : z    c ? x : (c ? y : z) = c ? x : z
 *   logic        !!c = c           c & true = c     c & false = false and so on; c & c = c
 *   casts        back from a wider dtype; twice widened = once
 *   integers     x + 0, x - 0, x * 1 = x; x == x is true, x <= x too
 *   repetition   f(repeat x, repeat y) = repeat f(x, y), element by element; no repetition over the batch where
 *                another operand is batched
 *   views        see simplify_moves.c
 *   constants    folded as the interpreter computes them (fold.c)
 * Not in the list because they are wrong: x + 0 (-0), x * 0 (inf, NaN, -x), x - x, x / x, -(x - y), (x + y) + z. */
#include "pass/simplify.h"
#include "pass/pass.h"

#include <assert.h>
#include <math.h>

bool type_equal(const NodeType *a, const NodeType *b) {
    return a->dtype == b->dtype && a->batched == b->batched && shape_equal(&a->shape, &b->shape);
}

/* ---- matching ---- */

Op simple_op(const Simplifier *s, Val v) { return (Op)graph_node(s->g, v)->op; }
Val simple_arg(const Simplifier *s, Val v, int i) { return graph_in(s->g, v, i); }
const Shape *simple_shape(const Simplifier *s, Val v) { return &graph_node(s->g, v)->shape; }

static bool is_float(DType dtype) { return dtype == DT_F32 || dtype == DT_F64; }

bool simple_number(const Simplifier *s, Val v, double *x) {
    while (simple_op(s, v) == G_BROADCAST) v = simple_arg(s, v, 0);
    if (simple_op(s, v) != G_CONST) return false;
    const Attr *attr = graph_attr(s->g, v);
    *x = is_float((DType)graph_node(s->g, v)->dtype) ? attr->f64 : (double)attr->i64;
    return true;
}

bool simple_is(const Simplifier *s, Val v, double x) {
    double value;
    return simple_number(s, v, &value) && value == x && signbit(value) == signbit(x);
}

Val simple_splat(Simplifier *s, double x, NodeType type) {
    NodeType scalar = {.dtype = type.dtype};
    Attr attr = {.f64 = x};
    if (!is_float(type.dtype)) attr.i64 = (int64_t)x;
    Val v = graph_add(s->g, G_CONST, NULL, 0, &attr, &scalar, s->span);
    return type_equal(&scalar, &type) ? v : graph_add(s->g, G_BROADCAST, &v, 1, NULL, &type, s->span);
}

Val simple_1(Simplifier *s, Op op, Val a) { return simple_add(s, op, &a, 1, NULL, NULL); }
Val simple_2(Simplifier *s, Op op, Val a, Val b) { return simple_add(s, op, (const Val[]){a, b}, 2, NULL, NULL); }

Val simple_view(Simplifier *s, Op op, Val a, const int64_t *starts, NodeType type) {
    Attr attr = {0};
    if (starts) memcpy(attr.starts, starts, sizeof attr.starts);
    return simple_add(s, op, &a, 1, &attr, &type);
}

static bool is(const Simplifier *s, Val v, Op op) { return simple_op(s, v) == op; }

/* ---- sums, products, signs ---- */

static Val rule_add(Simplifier *s, const Draft *d) {
    Val a = d->in[0], b = d->in[1];
    double zero = is_float(d->type.dtype) ? -0.0 : 0.0;
    if (simple_is(s, b, zero)) return a;
    if (simple_is(s, a, zero)) return b;
    if (is(s, b, G_NEG)) return simple_2(s, G_SUB, a, simple_arg(s, b, 0));
    if (is(s, a, G_NEG)) return simple_2(s, G_SUB, b, simple_arg(s, a, 0));
    return 0;
}

static Val rule_sub(Simplifier *s, const Draft *d) {
    Val a = d->in[0], b = d->in[1];
    if (simple_is(s, b, 0.0)) return a;
    if (simple_is(s, a, is_float(d->type.dtype) ? -0.0 : 0.0)) return simple_1(s, G_NEG, b);
    if (is(s, b, G_NEG)) return simple_2(s, G_ADD, a, simple_arg(s, b, 0));
    return 0;
}

static Val rule_mul(Simplifier *s, const Draft *d) {
    Val a = d->in[0], b = d->in[1];
    if (simple_is(s, b, 1)) return a;
    if (simple_is(s, a, 1)) return b;
    if (simple_is(s, b, -1)) return simple_1(s, G_NEG, a);
    if (simple_is(s, a, -1)) return simple_1(s, G_NEG, b);
    if (is(s, a, G_NEG) && is(s, b, G_NEG)) return simple_2(s, G_MUL, simple_arg(s, a, 0), simple_arg(s, b, 0));
    return 0;
}

/* A power of two whose inverse is normal too, in either dtype. */
static bool has_exact_inverse(double x) {
    int exponent;
    return isfinite(x) && fabs(frexp(x, &exponent)) == 0.5 && exponent > -100 && exponent < 100;
}

static Val rule_div(Simplifier *s, const Draft *d) {
    Val a = d->in[0], b = d->in[1];
    double x;
    if (simple_number(s, b, &x) && has_exact_inverse(x))
        return simple_2(s, G_MUL, a, simple_splat(s, 1 / x, graph_type(s->g, b)));
    if (is(s, a, G_NEG) && is(s, b, G_NEG)) return simple_2(s, G_DIV, simple_arg(s, a, 0), simple_arg(s, b, 0));
    return 0;
}

static Val rule_neg(Simplifier *s, const Draft *d) {
    return is(s, d->in[0], G_NEG) ? simple_arg(s, d->in[0], 0) : 0;
}

static Val rule_abs(Simplifier *s, const Draft *d) {
    Val a = d->in[0];
    if (is(s, a, G_ABS)) return a;
    return is(s, a, G_NEG) ? simple_1(s, G_ABS, simple_arg(s, a, 0)) : 0;
}

/* a^n by the bits of n from the top; a^0 = 1; a^-n = 1 / a^n */
static Val rule_powi(Simplifier *s, const Draft *d) {
    double n;
    Val a = d->in[0];
    if (!simple_number(s, d->in[1], &n) || fabs(n) > 64) return 0;
    unsigned power = (unsigned)fabs(n), top = 64;
    Val out = a;
    if (power == 0) return simple_splat(s, 1, d->type);
    while (!(power & top)) top /= 2;
    for (unsigned bit = top / 2; bit; bit /= 2) {
        out = simple_2(s, G_MUL, out, out);
        if (power & bit) out = simple_2(s, G_MUL, out, a);
    }
    return n < 0 ? simple_2(s, G_DIV, simple_splat(s, 1, d->type), out) : out;
}

/* ---- order, logic, choice, casts ---- */

static Val rule_extremum(Simplifier *s, const Draft *d) {
    (void)s;
    return d->in[0] == d->in[1] ? d->in[0] : 0;
}

static Val rule_less(Simplifier *s, const Draft *d) {
    Val a = d->in[0], b = d->in[1], turned[] = {b, a};
    NodeType type = graph_type(s->g, a);
    if (a == b) return simple_splat(s, 0, d->type);
    Val most = graph_find(s->g, G_MAX, d->in, 2, type);
    if (!most) most = graph_find(s->g, G_MAX, turned, 2, type);
    return most ? simple_2(s, G_LT, a, most) : 0;
}

static Val rule_compare(Simplifier *s, const Draft *d) {
    bool exact = !is_float((DType)graph_node(s->g, d->in[0])->dtype);
    if (d->in[0] != d->in[1]) return 0;
    return exact ? simple_splat(s, d->op != G_NE, d->type) : 0;
}

static Val rule_not(Simplifier *s, const Draft *d) {
    Val a = d->in[0];
    if (is(s, a, G_NOT)) return simple_arg(s, a, 0);
    if (is(s, a, G_EQ)) return simple_2(s, G_NE, simple_arg(s, a, 0), simple_arg(s, a, 1));
    if (is(s, a, G_NE)) return simple_2(s, G_EQ, simple_arg(s, a, 0), simple_arg(s, a, 1));
    return 0;
}

static Val rule_logic(Simplifier *s, const Draft *d) {
    Val a = d->in[0], b = d->in[1];
    double neutral = d->op == G_AND, other = 1 - neutral;
    if (a == b || simple_is(s, b, neutral)) return a;
    if (simple_is(s, a, neutral)) return b;
    return simple_is(s, a, other) || simple_is(s, b, other) ? simple_splat(s, other, d->type) : 0;
}

static Val rule_select(Simplifier *s, const Draft *d) {
    Val c = d->in[0], a = d->in[1], b = d->in[2];
    double known;
    if (a == b) return a;
    if (simple_number(s, c, &known)) return known != 0 ? a : b;
    if (is(s, c, G_NOT)) return simple_add(s, G_SELECT, (const Val[]){simple_arg(s, c, 0), b, a}, 3, NULL, NULL);
    if (is(s, a, G_SELECT) && simple_arg(s, a, 0) == c) a = simple_arg(s, a, 1);
    if (is(s, b, G_SELECT) && simple_arg(s, b, 0) == c) b = simple_arg(s, b, 2);
    if (d->type.dtype == DT_BOOL && simple_is(s, a, 1) && simple_is(s, b, 0)) return c;
    if (a == d->in[1] && b == d->in[2]) return 0;
    return simple_add(s, G_SELECT, (const Val[]){c, a, b}, 3, NULL, NULL);
}

/* Every value of `from` is one of `to`. */
static bool widens(DType from, DType to) {
    return from == DT_BOOL || from == to || (from == DT_F32 && to == DT_F64) || (from == DT_I32 && to == DT_F64);
}

static Val rule_cast(Simplifier *s, const Draft *d) {
    Val a = d->in[0];
    if (graph_node(s->g, a)->dtype == d->type.dtype) return a;
    if (!is(s, a, G_CAST)) return 0;
    Val x = simple_arg(s, a, 0);
    if (!widens((DType)graph_node(s->g, x)->dtype, (DType)graph_node(s->g, a)->dtype)) return 0;
    NodeType like = graph_type(s->g, x);
    like.dtype = d->type.dtype;
    return simple_add(s, G_CAST, &x, 1, NULL, &like);
}

static Val (*const rules[G_COUNT])(Simplifier *, const Draft *) = {
    [G_ADD] = rule_add, [G_SUB] = rule_sub, [G_MUL] = rule_mul, [G_DIV] = rule_div, [G_NEG] = rule_neg,
    [G_ABS] = rule_abs, [G_POWI] = rule_powi, [G_MAX] = rule_extremum, [G_MIN] = rule_extremum,
    [G_LT] = rule_less, [G_LE] = rule_compare, [G_EQ] = rule_compare, [G_NE] = rule_compare,
    [G_NOT] = rule_not, [G_AND] = rule_logic, [G_OR] = rule_logic, [G_SELECT] = rule_select, [G_CAST] = rule_cast,
    [G_BROADCAST] = simple_move, [G_RESHAPE] = simple_move, [G_TRANSPOSE] = simple_move, [G_SLICE] = simple_move,
    [G_PAD] = simple_move, [G_CONCAT] = simple_move,
};

/* ---- repetition ---- */

/* f(repeat x, repeat y) = repeat f(x, y), where the repeated ones have one shape or are scalars. */
static Val sink_repeats(Simplifier *s, const Draft *d) {
    OpClass class = op_class(d->op);
    Shape core = {0};
    Val in[3];
    if (class != CLASS_UNARY && class != CLASS_BINARY && class != CLASS_TERNARY) return 0;
    for (int i = 0; i < d->nin; i++) {
        if (!is(s, d->in[i], G_BROADCAST)) return 0;
        in[i] = simple_arg(s, d->in[i], 0);
        const Shape *shape = simple_shape(s, in[i]);
        if (shape->rank && core.rank && !shape_equal(shape, &core)) return 0;
        if (shape->rank) core = *shape;
    }
    for (int i = 0; i < d->nin; i++) {
        NodeType like = graph_type(s->g, in[i]);
        like.shape = core;
        in[i] = simple_view(s, G_BROADCAST, in[i], NULL, like);
    }
    NodeType small = {d->type.dtype, core, false};
    Val v = simple_add(s, d->op, in, d->nin, d->attr, &small);
    return simple_view(s, G_BROADCAST, v, NULL, d->type);
}

/* A value repeated for each example need not be where another operand is there for each example. */
static Val drop_batch(Simplifier *s, const Draft *d) {
    OpClass class = op_class(d->op);
    Val in[3];
    bool batched = false, changed = false;
    if ((class != CLASS_BINARY && class != CLASS_TERNARY) || !d->type.batched) return 0;
    for (int i = 0; i < d->nin; i++) {
        NodeType like = graph_type(s->g, d->in[i]);
        in[i] = d->in[i];
        if (like.batched && is(s, in[i], G_BROADCAST) && !graph_node(s->g, simple_arg(s, in[i], 0))->batched) {
            like.batched = false;
            in[i] = simple_view(s, G_BROADCAST, simple_arg(s, in[i], 0), NULL, like);
            changed = true;
        }
        batched = batched || like.batched;
    }
    return batched && changed ? simple_add(s, d->op, in, d->nin, d->attr, NULL) : 0;
}

Val simple_add(Simplifier *s, Op op, const Val *in, int nin, const Attr *attr, const NodeType *like) {
    Draft d = {op, in, nin, attr, {0}};
    const char *reason = NULL;
    Val v = 0;
    if (graph_infer(s->g, op, in, nin, attr, like, &d.type, &reason)) {
        v = simple_fold(s, &d);
        if (!v) v = sink_repeats(s, &d);
        if (!v) v = drop_batch(s, &d);
        if (!v && rules[op]) v = rules[op](s, &d);
    }
    if (v) {
        NodeType type = graph_type(s->g, v);
        if (type_equal(&type, &d.type)) {
            s->applied++;
            return v;
        }
    }
    return graph_add(s->g, op, in, nin, attr, like, s->span);
}

Graph *pass_simplify(Arena *arena, const Graph *graph) {
    enum { ROUNDS = 4 };
    Graph *out = NULL;
    int applied = 1;
    for (int round = 0; round < ROUNDS && applied; round++) {
        applied = 0;
        out = simple_round(arena, out ? out : graph, &applied);
    }
    assert(!graph_verify(out, arena));
    return out;
}
