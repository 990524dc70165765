/* builtins_sema.c -- functions of the library that need the evaluator itself: counting and matching nets, gradients of
 * what is being traced, derivatives of cells, text. */
#include "sema/internal.h"

#include "pass/pass.h"

#include <math.h>

/* ---- count ---- */

/* The type of a net's input, from a data set that has a shape. */
static bool data_type(Eval *e, const Value *data, Span span, NodeType *out) {
    Value shape;
    *out = (NodeType){DT_F32, SHAPE0, true};
    if (data->kind != V_OBJECT) {
        eval_diag(e, D_E0314, span, "on: is a data set; this is %s", value_kind_name(data));
        return false;
    }
    return eval_field(e, data, e->session->words->shape, span, &shape) && value_as_shape(e, &shape, span, &out->shape);
}

static bool takes_integers(const Value *net) {
    if (net->kind != V_CALLABLE || net->callable->what != DEF_NET) return false;
    if (!net->callable->def->ast->def.formals_len) return false;
    TypeKind kind = net->callable->def->formal_types[0]->kind;
    return kind == TYPE_INT || kind == TYPE_CLASS;
}

static bool count_value(Eval *e, const Value *of, const Value *select, const Value *on, Span span, int64_t *out) {
    int64_t in_cells, outer;
    NodeType type;
    bool given = on && on->kind != V_NONE;
    if (given && !data_type(e, on, span, &type)) return false;
    if (given && takes_integers(of)) type.dtype = DT_I32;
    const Selection *selection = value_selection(e->arena, select);
    if (!selection) {
        eval_diag(e, D_E0314, span, "all, cells, outer or params(...) is needed; this is %s", value_kind_name(select));
        return false;
    }
    if (selection->kind == SELECT_ALL || selection->kind == SELECT_CELLS || selection->kind == SELECT_OUTER ||
        of->kind != V_CALLABLE) {
        if (!count_parameters(e, of, given ? &type : NULL, given, span, &in_cells, &outer)) return false;
        *out = selection->kind == SELECT_CELLS ? in_cells : selection->kind == SELECT_OUTER ? outer : in_cells + outer;
        return true;
    }
    Value result;
    Trace *t = net_trace(e, of, DT_F32, false, given ? &type : NULL, given, span, &result);
    *out = 0;
    for (int i = 0; t && i < t->params.len; i++) {
        const ParamInfo *p = &t->params.at[i];
        if (!p->state && selection_has(selection, p->path, p->cell != NULL)) *out += shape_size(&p->shape);
    }
    return t != NULL;
}

static bool builtin_count(Eval *e, const BuiltinCall *call, Value *out) {
    int64_t n;
    if (call->args[0].kind == V_ABSTRACT) return *out = value_abstract(NULL), true;
    if (!count_value(e, &call->args[0], &call->args[1], &call->args[2], call->span, &n)) return eval_fail(out);
    *out = value_int(n);
    return true;
}

/* ---- match ---- */

typedef struct Match { Eval *e; const Ast *ast; Scope *scope; const Value *of, *on; Span span; Value net; } Match;

static bool match_count(Match *m, int64_t hole, int64_t *count) {
    Eval *e = m->e;
    Value value = value_int(hole);
    const Value *outer = e->hole;
    e->hole = &value;
    bool ok = eval_expr(e, m->ast, m->scope, &m->net);
    e->hole = outer;
    return ok && count_value(e, &m->net, m->of, m->on, m->span, count);
}

static void find_hole(void *found, Ast *child) {
    if (child->kind == AST_HOLE) *(bool *)found = true;
    else ast_children(child, find_hole, found);
}

/* Counts grow with the unknown: doubling, then halving.  *lo is the last that does not exceed the target. */
static bool match_search(Match *m, int64_t first, int64_t target, int64_t *lo) {
    int64_t hi = first ? first : 1, count = 0, before = -1;
    *lo = first;
    for (;; hi *= 2) {
        if (hi > 1 << 20 || !match_count(m, hi, &count)) return false;
        if (count > target) break;
        if (count == before) return false;
        before = count;
        *lo = hi;
    }
    while (hi - *lo > 1) {
        int64_t middle = *lo + (hi - *lo) / 2;
        if (!match_count(m, middle, &count)) return false;
        if (count > target) hi = middle;
        else *lo = middle;
    }
    return true;
}

/* The smallest unknown with which the net exists: 0 or 1. */
static bool match_start(Match *m, int64_t *first, int64_t *count) {
    int mark = diags_mark(m->e->diags);
    for (*first = 0; *first < 2; ++*first) {
        if (match_count(m, *first, count)) return true;
        if (!*first) diags_discard(m->e->diags, mark);
    }
    return false;
}

static bool match_fail(Eval *e, Span span, Value *out, const char *why) {
    eval_diag(e, D_E0317, span, "%s", why);
    return eval_fail(out);
}

static bool builtin_match(Eval *e, const BuiltinCall *call, Value *out) {
    int64_t target, first, low, below, above;
    if (call->args[1].kind == V_ABSTRACT) return *out = value_abstract(NULL), true;
    if (!value_as_int(e, &call->args[1], call->arg_spans[1], &target)) return eval_fail(out);
    if (call->args[0].kind != V_FORMULA) return match_fail(e, call->span, out, "match takes a net with ? in it");
    Match m = {e, call->args[0].formula->ast, call->args[0].formula->scope, &call->args[2], &call->args[3],
               call->span, value_none()};
    bool hole = m.ast->kind == AST_HOLE;
    ast_children(m.ast, find_hole, &hole);
    if (!hole) {
        eval_diag(e, D_E0316, call->arg_spans[0], "there is no ? for match to find");
        return eval_fail(out);
    }
    if (e->hole) {
        eval_diag(e, D_E0316, call->span, "a match inside a match");
        return eval_fail(out);
    }
    if (!match_start(&m, &first, &below)) return eval_fail(out);
    if (below > target) return match_fail(e, call->span, out, "even the smallest ? has more parameters than wanted");
    if (!match_search(&m, first, target, &low))
        return match_fail(e, call->span, out, "the number of parameters does not grow with ?");
    if (!match_count(&m, low, &below) || !match_count(&m, low + 1, &above)) return eval_fail(out);
    int64_t best = target - below <= above - target ? low : low + 1;
    if (!match_count(&m, best, &below)) return eval_fail(out);
    *out = m.net;
    return true;
}

/* ---- gradient ---- */

static bool builtin_gradient(Eval *e, const BuiltinCall *call, Value *out) {
    Val y, x, dx = 0;
    for (int i = 0; i < 2; i++)
        if (call->args[i].kind == V_ABSTRACT) return *out = value_abstract(NULL), true;
    if (!e->trace || call->args[1].kind != V_NODE) {
        Diag *d = eval_diag(e, D_E0411, call->span, "gradient(y, x) is of values that a net or attack computes");
        diag_hint(d, "derivative(cell) is the derivative of a cell");
        return eval_fail(out);
    }
    if (!value_as_node(e, &call->args[0], call->arg_spans[0], &y) ||
        !value_as_node(e, &call->args[1], call->arg_spans[1], &x))
        return eval_fail(out);
    Graph *g = e->trace->graph;
    Shape shape = graph_node(g, y)->shape;
    if (shape_size(&shape) != 1) {
        eval_diag(e, D_E0409, call->arg_spans[0], "the gradient is of one number; this is %s",
                  type_text(e, value_type(e, &call->args[0])));
        return eval_fail(out);
    }
    y = graph_reshape(g, y, SHAPE0);
    if (!pass_grad(g, y, 0, &x, 1, &dx, e->diags)) return eval_fail(out);
    if (!dx) dx = graph_broadcast(g, graph_const(g, (DType)graph_node(g, x)->dtype, 0), graph_node(g, x)->shape);
    *out = trace_value(dx);
    return true;
}

/* ---- derivative ---- */

typedef struct Derivative { Object object; Value cell; int argument, arity; const char *formula; } Derivative;

static bool derivative_trace(Eval *e, Object *self, const Value *args, int n, Span span, Value *out) {
    const Derivative *d = (const Derivative *)self;
    Graph *g = e->trace->graph;
    Value y;
    Val value, dx = 0, x;
    Value *nodes = arena_array(e->arena, Value, n);
    for (int i = 0; i < n; i++) {
        if (!value_as_node(e, &args[i], span, &x)) return eval_fail(out);
        nodes[i] = trace_value(x);
    }
    if (n != d->arity) {
        eval_diag(e, D_E0309, span, "this derivative takes %d number%s, here %s %d", d->arity,
                  d->arity == 1 ? "" : "s", n == 1 ? "is" : "are", n);
        return eval_fail(out);
    }
    x = nodes[d->argument - 1].node;
    if (!eval_cell_on(e, &d->cell, nodes, n, span, &y) || !value_as_node(e, &y, span, &value)) return eval_fail(out);
    if (!pass_grad(g, value, 0, &x, 1, &dx, e->diags)) return eval_fail(out);
    if (!dx) dx = graph_broadcast(g, graph_const(g, e->trace->precision, 0), graph_node(g, value)->shape);
    *out = trace_value(dx);
    return true;
}

/* An argument as one number for each row; *shape: of the tensors among the arguments. */
static bool derivative_column(Eval *e, const Value *arg, DType dtype, Span span, const Tensor **out, Shape *shape) {
    if (!value_as_tensor(e, arg, dtype, span, out)) return false;
    if (!(*out)->shape.rank) return true;
    if (shape->rank && !shape_equal(shape, &(*out)->shape)) {
        eval_diag(e, D_E0401, span, "a derivative takes numbers, or tensors of one shape");
        return false;
    }
    *shape = (*out)->shape;
    return true;
}

/* Of known numbers: as constants of a graph, equal arguments would be one node, and products of them folded away. */
static bool derivative_call(Eval *e, Object *self, const Value *args, int n, Span span, Value *out) {
    const Derivative *d = (const Derivative *)self;
    DType dtype = e->session->precision;
    const Tensor *t[MAX_RANK];
    const void *columns[MAX_RANK];
    Shape shape = SHAPE0;
    CellGraph graph;
    Val dx = 0;
    if (n != d->arity || n > MAX_RANK)
        return eval_cell_on(e, &(Value){.kind = V_OBJECT, .object = self}, args, n, span, out);
    for (int i = 0; i < n; i++) {
        if (args[i].kind == V_ABSTRACT) return *out = value_abstract(NULL), true;
        if (!derivative_column(e, &args[i], dtype, span, &t[i], &shape)) return false;
    }
    int64_t rows = shape_size(&shape);
    for (int i = 0; i < n; i++) {
        char *column = arena_alloc(e->arena, (size_t)rows * dtype_size(dtype) + 1);
        size_t size = dtype_size(dtype);
        for (int64_t r = 0; r < rows; r++)
            memcpy(column + (size_t)r * size, (char *)t[i]->data + (t[i]->shape.rank ? (size_t)r * size : 0), size);
        columns[i] = column;
    }
    if (!cell_graph(e, &d->cell, dtype, span, &graph)) return false;
    Graph *g = graph.trace->graph;
    if (!pass_grad(g, graph.value, 0, &graph.args[d->argument - 1], 1, &dx, e->diags)) return false;
    graph_output(g, OUT_ROWS, 0, "value", dx ? dx : graph_const(g, dtype, 0));
    Tensor *result = arena_new_of(e->arena, Tensor);
    *result = (Tensor){dtype, shape, arena_alloc(e->arena, (size_t)rows * dtype_size(dtype) + 1)};
    if (!trace_evaluate(e, graph.trace, columns, rows, NULL, NULL, &result->data, span)) return false;
    *out = (Value){.kind = V_TENSOR, .tensor = result};
    if (!shape.rank) *out = value_real(dtype == DT_F64 ? *(double *)result->data : *(float *)result->data);
    return true;
}

static int derivative_arity(const Object *self) { return ((const Derivative *)self)->arity; }

static void derivative_identity(const Object *self, Buf *out) {
    const Derivative *d = (const Derivative *)self;
    buf_text(out, "derivative(");
    value_identity(&d->cell, out);
    buf_printf(out, ", argument: %d)", d->argument);
}

static void derivative_show(const Object *self, Buf *out) { buf_text(out, ((const Derivative *)self)->formula); }

static const ObjectClass derivative_class = {
    .name = "derivative", .identity = derivative_identity, .show = derivative_show, .trace = derivative_trace,
    .arity = derivative_arity, .call = derivative_call,
};

static bool derivative_formula(Eval *e, Derivative *d, Span span) {
    CellGraph graph;
    Val dx = 0;
    if (!cell_graph(e, &d->cell, DT_F64, span, &graph)) return false;
    if (!pass_grad(graph.trace->graph, graph.value, 0, &graph.args[d->argument - 1], 1, &dx, e->diags)) return false;
    d->formula = dx ? pass_pretty(e->arena, graph.trace->graph, dx, false) : "0";
    return true;
}

static bool builtin_derivative(Eval *e, const BuiltinCall *call, Value *out) {
    int64_t argument;
    if (call->args[0].kind == V_ABSTRACT) return *out = value_abstract(NULL), true;
    if (!value_as_int(e, &call->args[1], call->arg_spans[1], &argument)) return eval_fail(out);
    int arity = callable_arity(e, &call->args[0]);
    if (arity < 1) {
        eval_diag(e, D_E0314, call->arg_spans[0], "a cell is needed; this is %s", value_kind_name(&call->args[0]));
        return eval_fail(out);
    }
    if (argument < 1 || argument > arity) {
        eval_diag(e, D_E0405, call->arg_spans[1], "argument %lld of %d", (long long)argument, arity);
        return eval_fail(out);
    }
    Derivative *d = arena_new_of(e->arena, Derivative);
    *d = (Derivative){{&derivative_class}, call->args[0], (int)argument, arity, NULL};
    if (!derivative_formula(e, d, call->span)) return eval_fail(out);
    *out = value_object(&d->object);
    return true;
}

/* ---- text ---- */

static bool builtin_text(Eval *e, const BuiltinCall *call, Value *out) {
    Buf buf = {0};
    if (call->args[0].kind == V_ABSTRACT) return *out = value_abstract(NULL), true;
    if (call->args[0].kind == V_TEXT) return *out = call->args[0], true;
    value_show(&call->args[0], &buf);
    *out = value_text(buf_done(&buf, e->arena));
    return true;
}

const BuiltinRow builtins_sema[] = {
    {"count", builtin_count}, {"match", builtin_match}, {"gradient", builtin_gradient},
    {"derivative", builtin_derivative}, {"text", builtin_text}, {NULL, NULL},
};
