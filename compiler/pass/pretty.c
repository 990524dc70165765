/* pretty.c -- from a graph to a formula: what a person would write for the value of a node.
 *
 * Casts, reshapes and repetitions vanish; maps are opened.  Constants get back what they were made from where that
 * is certain to the last bit: 2/3, sqrt(2), 2/sqrt(pi).  The result is for the eye and never runs. */
#include "pass/pass.h"
#include "pass/pretty.h"

#include <math.h>
#include <stdlib.h>

typedef struct Reader Reader;
struct Reader {
    Algebra *al;
    const Graph *g;
    const Expr **memo;          /* by id */
    const Reader *outer;        /* in a body: the graph around it, */
    Val map;                    /* and the node there */
};

static const Expr *read_node(Reader *r, Val v);
static const Expr *arg(Reader *r, Val v, int i) { return read_node(r, graph_in(r->g, v, i)); }
static const Expr *number(Reader *r, double x) { return expr_value(r->al, x); }

/* ---- constants ---- */

static bool same_number(DType dtype, double a, double b) {
    return dtype == DT_F32 ? (float)a == (float)b : a == b;
}

/* c * n^a * pi^b, a and b in halves. */
static const Expr *roots(Algebra *al, Num c, double n, int a, int b) {
    const Term factors[2] = {{expr_value(al, n), num_of(a, 2)}, {expr_name(al, "pi", true), num_of(b, 2)}};
    return expr_product(al, c, factors, 2);
}

static const Expr *read_root(Algebra *al, DType dtype, double x) {
    static const double whole[] = {1, 2, 3, 5, 6, 7, 10};
    static const double factor[] = {1, 2, 0.5};
    for (int i = 0; i < COUNT(whole) * COUNT(factor); i++)
        for (int a = -1; a <= 1; a += 2)
            for (int b = -2; b <= 2; b++) {
                double n = whole[i % COUNT(whole)], c = factor[i / COUNT(whole)];
                double value = c * pow(n, a * 0.5) * pow(M_PI, b * 0.5);
                if ((n == 1 && b == 0) || fabs(value / fabs(x) - 1) > (dtype == DT_F32 ? 6e-8 : 2.3e-16)) continue;
                return roots(al, num_of(x < 0 ? -c : c, 1), n, a, b);
            }
    return NULL;
}

static const Expr *read_number(Algebra *al, DType dtype, double x) {
    enum { MOST = 64 };
    char text[32];
    if (dtype == DT_F32) {
        text_of_f32(text, (float)x);
        x = strtod(text, NULL);
    } else {
        text_of_f64(text, x);
    }
    if (!isfinite(x)) return expr_name(al, isnan(x) ? "nan" : x > 0 ? "inf" : "-inf", true);
    for (int q = 2; q <= 8; q *= 2)
        if (fabs(x) * q == 1) return expr_number(al, num_of(x < 0 ? -1 : 1, q));
    size_t digits = strspn(text[0] == '-' ? text + 1 : text, "0123456789.");
    if (digits <= (dtype == DT_F32 ? 7 : 9) || x == floor(x)) return expr_value(al, x);
    for (int q = 3; q <= MOST; q++)
        if (same_number(dtype, round(x * q) / q, x)) return expr_number(al, num_of(round(x * q), q));
    const Expr *root = read_root(al, dtype, x);
    return root ? root : expr_value(al, x);
}

/* ---- leaves ---- */

static const char *input_name(Reader *r, const GraphInput *input) {
    static const char *const kinds[] = {[IN_ROWS] = "x", [IN_BLOCK] = "p", [IN_SETTING] = "s", [IN_STEP] = "step",
                                        [IN_BATCH] = "batch", [IN_MAPPED] = "x", [IN_SHARED] = "p",
                                        [IN_CARRY] = "c", [IN_SLICE] = "x", [IN_SLICE_BACK] = "x", [IN_WHOLE] = "p"};
    if (input->name && *input->name) return input->name;
    if (input->kind == IN_STEP || input->kind == IN_BATCH) return kinds[input->kind];
    return arena_printf(r->al->arena, "%s%d", kinds[input->kind], input->index + 1);
}

static const Expr *read_input(Reader *r, Val v) {
    const GraphInput *input = &r->g->inputs.at[graph_attr(r->g, v)->index];
    bool argument = input->kind == IN_ROWS || input->kind == IN_MAPPED;
    if (!r->outer) return expr_name(r->al, input_name(r, input), !argument);
    int mapped = graph_attr(r->outer->g, r->map)->mapped;
    int operand = input->index + (input->kind == IN_SHARED ? mapped : 0);
    return r->outer->memo[graph_in(r->outer->g, r->map, operand)];
}

static const Expr *read_proj(Reader *r, Val v) {
    Val map = graph_in(r->g, v, 0);
    if (graph_node(r->g, map)->op == G_SCAN) return expr_name(r->al, "scan", true);
    const Graph *body = graph_attr(r->g, map)->body;
    const GraphOutput *output = &body->outputs.at[graph_attr(r->g, v)->index];
    Reader inner = {r->al, body, arena_array(r->al->arena, const Expr *, body->node.len), r, map};
    for (int i = 0; i < graph_node(r->g, map)->nin; i++) read_node(r, graph_in(r->g, map, i));
    const Expr *e = read_node(&inner, output->value);
    return output->kind == OUT_SUMMED ? expr_func1(r->al, "sum", e) : e;
}

/* ---- tensors ---- */

/* "[2]", "[.., 1]", "[2..5, ..]": places count from 1, ends included. */
static const Expr *read_slice(Reader *r, Val v) {
    const Shape *from = &graph_node(r->g, graph_in(r->g, v, 0))->shape, *to = &graph_node(r->g, v)->shape;
    const int64_t *at = graph_attr(r->g, v)->starts;
    const Expr *e = arg(r, v, 0);
    Buf text = {0};
    buf_text(&text, "[");
    for (int i = 0; i < to->rank; i++) {
        if (i) buf_text(&text, ", ");
        if (to->dim[i] == from->dim[i]) buf_text(&text, "..");
        else if (to->dim[i] == 1) buf_printf(&text, "%lld", (long long)at[i] + 1);
        else buf_printf(&text, "%lld..%lld", (long long)at[i] + 1, (long long)(at[i] + to->dim[i]));
    }
    buf_text(&text, "]");
    const char *index = buf_done(&text, r->al->arena);
    bool of_list = e->kind == E_FUNC && strcmp(e->name, "list") == 0 && e->args == from->dim[0];
    if (of_list && to->rank == 1 && to->dim[0] == 1) return e->arg[at[0]];
    return e->kind == E_NUM ? e : expr_func(r->al, "index", index, &e, 1);
}

static Val below_reshape(const Graph *g, Val v) {
    while (graph_node(g, v)->op == G_RESHAPE) v = graph_in(g, v, 0);
    return v;
}

/* Columns 1..n of one matrix times one vector, joined: transpose(w) @ dy.  Gives w and dy, or false. */
static bool is_back_product(const Graph *g, Val v, Val *w, Val *dy) {
    const Node *node = graph_node(g, v);
    for (int i = 0; i < node->nin; i++) {
        Val product = below_reshape(g, graph_in(g, v, i));
        if (graph_node(g, product)->op != G_MATMUL || graph_node(g, product)->nin != 2) return false;
        Val column = below_reshape(g, graph_in(g, product, 0));
        if (graph_node(g, column)->op != G_SLICE) return false;
        Val matrix = graph_in(g, column, 0);
        const Shape *shape = &graph_node(g, matrix)->shape, *part = &graph_node(g, column)->shape;
        const int64_t *at = graph_attr(g, column)->starts;
        if (shape->rank != 2 || shape->dim[1] != node->nin || part->dim[1] != 1) return false;
        if (part->dim[0] != shape->dim[0] || at[1] != i) return false;
        if (i && (matrix != *w || graph_in(g, product, 1) != *dy)) return false;
        *w = matrix;
        *dy = graph_in(g, product, 1);
    }
    return true;
}

/* w @ x; with one feature and a known number there, that many w. */
static const Expr *product_of(Reader *r, const Expr *w, const Expr *x, int64_t features) {
    if (features == 1 && x->kind == E_NUM) return expr_scale(r->al, x->num, w);
    return expr_func(r->al, "@", NULL, (const Expr *const[]){w, x}, 2);
}

static const Expr *read_concat(Reader *r, Val v) {
    const Expr *part[255];
    Val w = 0, dy = 0;
    int n = graph_node(r->g, v)->nin;
    if (is_back_product(r->g, v, &w, &dy))
        return product_of(r, expr_func1(r->al, "transpose", read_node(r, w)), read_node(r, dy),
                          graph_node(r->g, w)->shape.dim[0]);
    for (int i = 0; i < n; i++) part[i] = arg(r, v, i);
    return expr_func(r->al, "list", NULL, part, n);
}

static const Expr *read_matmul(Reader *r, Val v) {
    const Expr *e = product_of(r, arg(r, v, 0), arg(r, v, 1), graph_node(r->g, graph_in(r->g, v, 1))->shape.dim[0]);
    return graph_node(r->g, v)->nin == 3 ? expr_add(r->al, e, arg(r, v, 2)) : e;
}

/* An op that is a call by its own name. */
static const Expr *read_call(Reader *r, Val v, const char *name) {
    const Expr *part[255];
    int n = graph_node(r->g, v)->nin;
    for (int i = 0; i < n; i++) part[i] = arg(r, v, i);
    return expr_func(r->al, name, NULL, part, n);
}

static const Expr *negated(Reader *r, const Expr *e) { return expr_scale(r->al, num_of(-1, 1), e); }

static const Expr *read_powi(Reader *r, Val v) {
    const Expr *n = arg(r, v, 1);
    if (n->kind == E_NUM) return expr_power(r->al, arg(r, v, 0), n->num);
    return read_call(r, v, "pow");
}

static const Expr *read_compare(Reader *r, Val v, Rel rel) {
    return expr_compare(r->al, rel, arg(r, v, 0), arg(r, v, 1));
}

static const Expr *read_op(Reader *r, Val v) {
    const Node *node = graph_node(r->g, v);
    const Attr *attr = graph_attr(r->g, v);
    Algebra *al = r->al;
    switch ((Op)node->op) {
    case G_CONST:
        if (node->dtype == DT_F32 || node->dtype == DT_F64) return read_number(al, (DType)node->dtype, attr->f64);
        return number(r, (double)attr->i64);
    case G_INPUT: return read_input(r, v);
    case G_TABLE:
    case G_IOTA:
    case G_NOISE:
    case G_NORMAL: return expr_name(al, op_name((Op)node->op), true);
    case G_NEG: return negated(r, arg(r, v, 0));
    case G_SQRT: return expr_power(al, arg(r, v, 0), num_of(1, 2));
    case G_ADD: return expr_add(al, arg(r, v, 0), arg(r, v, 1));
    case G_SUB: return expr_add(al, arg(r, v, 0), negated(r, arg(r, v, 1)));
    case G_MUL: return expr_mul(al, arg(r, v, 0), arg(r, v, 1));
    case G_DIV: return expr_mul(al, arg(r, v, 0), expr_power(al, arg(r, v, 1), num_of(-1, 1)));
    case G_POW: return read_call(r, v, "pow");
    case G_POWI: return read_powi(r, v);
    case G_LT: return read_compare(r, v, REL_LT);
    case G_LE: return read_compare(r, v, REL_LE);
    case G_EQ: return read_compare(r, v, REL_EQ);
    case G_NE: return read_compare(r, v, REL_NE);
    case G_SELECT: return expr_where(al, arg(r, v, 0), arg(r, v, 1), arg(r, v, 2));
    case G_CAST:
    case G_BROADCAST:
    case G_RESHAPE: return arg(r, v, 0);
    case G_SLICE: return read_slice(r, v);
    case G_CONCAT: return read_concat(r, v);
    case G_BATCH_SUM: return read_call(r, v, "sum");
    case G_MAXIMUM: return read_call(r, v, "maximum");
    case G_MINIMUM: return read_call(r, v, "minimum");
    case G_BATCH_OUTER: return expr_func1(al, "sum", read_call(r, v, "outer"));
    case G_MATMUL: return read_matmul(r, v);
    case G_PROJ: return read_proj(r, v);
    case G_MAP: return expr_name(al, "map", true);
    case G_SCAN: return expr_name(al, "scan", true);
    case G_HOLE: return expr_name(al, "hole", true);
    case G_ABS: case G_SIGN: case G_EXP: case G_LOG: case G_SIN: case G_COS: case G_TANH: case G_ERF: case G_FLOOR:
    case G_CEIL: case G_ROUND: case G_NOT: case G_MOD: case G_MAX: case G_MIN: case G_AND: case G_OR: case G_TRANSPOSE:
    case G_PAD: case G_PICK: case G_EMBED: case G_SUM: case G_PROD: case G_ARGMAX: case G_BATCH_EMBED:
    case G_BATCH_CONV: case G_CONV: case G_OUTER:
    case G_BATCH_MAXIMUM: case G_BATCH_INTERPOLATE: case G_INTERPOLATE: case G_LOOKUP:
    case G_COUNT: break;
    }
    return read_call(r, v, op_name((Op)node->op));
}

/* Operands first, in order of ids: no deep recursion. */
static const Expr *read_node(Reader *r, Val v) {
    if (r->memo[v]) return r->memo[v];
    bool *needed = arena_array(r->al->arena, bool, v + 1);
    needed[v] = true;
    for (Val u = v; u > 0; u--) {
        if (!needed[u] || r->memo[u]) continue;
        for (int i = 0; i < graph_node(r->g, u)->nin; i++) needed[graph_in(r->g, u, i)] = true;
    }
    for (Val u = 1; u <= v; u++)
        if (needed[u] && !r->memo[u]) r->memo[u] = read_op(r, u);
    return r->memo[v];
}

char *pass_pretty(Arena *arena, const Graph *graph, Val value, bool latex) {
    Arena *scratch = arena_new();
    Algebra al = {.arena = scratch, .keys = intern_new()};
    Buf text = {0};
    map_init(&al.known, scratch);
    Reader r = {.al = &al, .g = graph, .memo = arena_array(scratch, const Expr *, graph->node.len)};
    if (latex) expr_latex(read_node(&r, value), &text);
    else expr_print(read_node(&r, value), &text);
    intern_free(al.keys);
    arena_free(scratch);
    return buf_done(&text, arena);
}
