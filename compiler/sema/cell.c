/* cell.c -- applying cells: element by element, or as a MAP.
 *
 * A cell is first traced on scalars in a body graph of its own.  If nothing in there contracts or works on vectors that
 * depend on the arguments, its body is simply evaluated on the whole tensors (elementwise nodes); otherwise the body
 * graph becomes the body of one MAP, with the parameters as shared operands.  Cells inside a body are inlined in it.
 * The form is found once for each cell type of a trace and kept in its Instance. */
#include "sema/internal.h"
#include "sema/strategy.h"

/* ---- evaluating a body ---- */

/* A formal f32[n] stands for n numbers: a list of them. */
static bool bind_formals(Eval *e, const Callable *c, Scope *body, const Value *args, int n, Span span) {
    int at = 0;
    for (int i = 0; i < c->def->ast->def.formals_len; i++) {
        const AstFormal *formal = &c->def->ast->def.formals[i];
        TypeValue type = {0};
        if (formal->type && !type_eval(e, formal->type, body, &type)) return false;
        int64_t size = shape_size(&type.shape);
        if (at + size > n) {
            eval_diag(e, D_E0309, span, "%s takes more than %d numbers", c->def->name, n);
            return false;
        }
        Value value = type.shape.rank ? value_list(e->arena, args + at, (int)size) : args[at];
        scope_bind(body, formal->name, &value, formal->span);
        at += (int)size;
    }
    return true;
}

/* Settings' twins are nodes of another graph: they stay behind, and what they were made from is pinned, unless this is
 * only a probe. */
static void strip_twins(Eval *e, Scope *body, Trace *outer) {
    Trace *here = e->trace;
    e->trace = outer;
    for (int i = 0; i < body->len; i++) {
        Value *value = &body->at[i].value;
        if (value->kind != V_REAL || !value->node) continue;
        if (!here->facts->probing) trace_pin(e, value);
        value->node = 0;
    }
    e->trace = here;
}

static bool cell_body(Eval *e, const Callable *c, Instance *instance, const Value *args, int n, Span span, Value *out) {
    Trace *t = e->trace;
    Instance *at = t->at;
    t->at = instance;
    instance_enter(instance);
    Scope *body = callable_scope(e, c, span);
    if (t->outer) strip_twins(e, body, t->outer);
    bool ok = bind_formals(e, c, body, args, n, span) && callable_body(e, c, body, span, out);
    t->at = at;
    return ok;
}

static bool not_one_number(Eval *e, const Callable *c, const Value *value) {
    const Ast *last = c->def->ast->def.body;
    while (last->kind == AST_BLOCK && last->block.len) last = last->block.at[last->block.len - 1];
    Diag *d = eval_diag(e, D_E0413, last->span, "a cell gives one number; this is %s",
                        type_text(e, value_type(e, value)));
    diag_hint(d, "end with dense[1](...)");
    return false;
}

/* ---- the form of a cell ---- */

static bool needs_map(const Graph *g) {
    uint8_t *varies = arena_alloc(g->arena, (size_t)g->node.len);
    for (Val v = 1; v < (Val)g->node.len; v++) {
        const Node *node = graph_node(g, v);
        OpClass class = op_class((Op)node->op);
        if (node->op == G_INPUT) varies[v] = g->inputs.at[graph_attr(g, v)->index].kind == IN_MAPPED;
        for (int i = 0; i < node->nin; i++) varies[v] |= varies[graph_in(g, v, i)];
        if (!varies[v]) continue;
        if (class == CLASS_CONTRACT || class == CLASS_REDUCE || class == CLASS_REGION) return true;
        if (node->shape.rank && (class == CLASS_UNARY || class == CLASS_BINARY || class == CLASS_TERNARY)) return true;
    }
    return false;
}

static bool body_result(Eval *e, const Callable *c, Value *value, Span span, Val *out) {
    Shape shape;
    DType dtype;
    if (!value_shape(e, value, &shape, &dtype) || shape_size(&shape) != 1 || shape.rank > 1)
        return not_one_number(e, c, value);
    if (!value_as_node(e, value, span, out)) return false;
    *out = graph_reshape(e->trace->graph, *out, SHAPE0);
    *out = graph_cast(e->trace->graph, *out, e->trace->precision);
    return true;
}

static bool trace_scalars(Eval *e, const Callable *c, Instance *instance, int arity, bool probing, Trace **made,
                          Span span) {
    Trace *outer = e->trace, *t = trace_body(e, outer);
    Value *args = arena_array(e->arena, Value, arity), value;
    NodeType scalar = {t->precision, SHAPE0, false};
    t->facts->probing = probing;
    for (int k = 0; k < arity; k++) args[k] = trace_value(graph_input(t->graph, IN_MAPPED, k, "x", scalar));
    e->trace = t;
    Val result;
    bool ok = cell_body(e, c, instance, args, arity, span, &value) && body_result(e, c, &value, span, &result);
    if (ok) graph_output(t->graph, OUT_MAPPED, 0, "value", result);
    e->trace = outer;
    *made = t;
    return ok;
}

static bool form_find(Eval *e, const Callable *c, Instance *instance, int arity, Span span) {
    CellForm *form = &instance->form;
    Trace *t;
    if (form->known) return true;
    if (!trace_scalars(e, c, instance, arity, true, &t, span)) return false;
    form->map = needs_map(t->graph);
    form->shared = t->facts->shared.at;
    form->shared_len = t->facts->shared.len;
    for (int i = 0; i < t->graph->inputs.len; i++)
        form->places |= t->graph->inputs.at[i].kind == IN_SHARED && t->graph->inputs.at[i].index >= PROBED;
    if (form->map) {
        if (!trace_scalars(e, c, instance, arity, false, &t, span)) return false;
        form->body = t->graph;
        form->shared = t->facts->shared.at;
        form->shared_len = t->facts->shared.len;
    }
    form->known = true;
    return true;
}

/* ---- application ---- */

static bool common_shape(Eval *e, const Value *cell, Val *nodes, int n, Span span, Shape *shape) {
    Graph *g = e->trace->graph;
    int first = -1;
    *shape = SHAPE0;
    for (int i = 0; i < n; i++) {
        const Shape *s = &graph_node(g, nodes[i])->shape;
        if (!s->rank) continue;
        if (first < 0) {
            first = i;
            *shape = *s;
        } else if (!shape_equal(s, shape)) {
            const char *a = shape_text(e, e->trace->precision, shape), *b = shape_text(e, e->trace->precision, s);
            Diag *d = eval_diag(e, D_E0401, span, "%s takes tensors of one shape; argument %d is %s, argument %d is %s",
                                value_shown(e, cell), first + 1, a, i + 1, b);
            diag_label(d, trace_origin_of(e->trace, nodes[first]), "%s comes from here", a);
            diag_label(d, trace_origin_of(e->trace, nodes[i]), "%s comes from here", b);
            return false;
        }
    }
    for (int i = 0; i < n; i++) nodes[i] = graph_broadcast(g, nodes[i], *shape);
    return true;
}

static Val apply_map(Eval *e, const CellForm *form, const Val *nodes, int n, Span span) {
    Val *in = arena_array(e->arena, Val, n + form->shared_len);
    for (int i = 0; i < n; i++) in[i] = nodes[i];
    for (int i = 0; i < form->shared_len; i++) in[n + i] = trace_root(e->trace)->params.at[form->shared[i].param].node;
    Attr attr = {.mapped = n, .index = e->trace->at_nodes ? NODES : 0, .body = form->body};
    Val map = graph_add(e->trace->graph, G_MAP, in, n + form->shared_len, &attr, NULL, span);
    return graph_proj(e->trace->graph, map, 0);
}

static bool whole_result(Eval *e, const Callable *c, const Shape *shape, Span span, Value *out) {
    Graph *g = e->trace->graph;
    Val node;
    Shape have;
    DType dtype;
    if (!value_shape(e, out, &have, &dtype)) return not_one_number(e, c, out);
    bool fits = shape_equal(&have, shape) || !have.rank || (!shape->rank && shape_size(&have) == 1);
    if (!fits) return not_one_number(e, c, out);
    if (!value_as_node(e, out, span, &node)) return false;
    node = graph_cast(g, node, e->trace->precision);
    if (!shape->rank) node = graph_reshape(g, node, *shape);
    *out = trace_value(graph_broadcast(g, node, *shape));
    return true;
}

static bool apply_whole(Eval *e, const Callable *c, Instance *instance, const Val *nodes, int n, const Shape *shape,
                        Span span,
                        Value *out) {
    struct TraceFacts *facts = e->trace->facts;
    Application *outer = facts->application;
    Application app = {outer ? outer->layer : e->trace->at, facts->place, *shape, outer};
    Value *args = arena_array(e->arena, Value, n);
    for (int i = 0; i < n; i++) args[i] = trace_value(nodes[i]);
    facts->application = &app;
    bool ok = cell_body(e, c, instance, args, n, span, out);
    facts->application = outer;
    return ok && whole_result(e, c, shape, span, out);
}

bool cell_exact(Eval *e, const StrategyCall *call, const Val *nodes, const Shape *shape, Val *out) {
    Value value;
    if (call->instance->form.map) {
        *out = apply_map(e, &call->instance->form, nodes, call->n, call->span);
        return true;
    }
    return apply_whole(e, call->cell, call->instance, nodes, call->n, shape, call->span, &value)
        && value_as_node(e, &value, call->span, out);
}

void cell_used(Eval *e, Instance *instance, const Val *nodes, int n) {
    if (scan_use(e, instance, nodes, n)) return;
    CellUse use = {.n = n};
    if (n > COUNT(use.x)) return;
    memcpy(use.x, nodes, sizeof *nodes * (size_t)n);
    vec_push(e->trace->arena, &instance->uses, use);
}

int trace_uses(const Trace *trace, const char *path, const CellUse **uses) {
    for (int i = 0; i < trace->facts->cells.len; i++) {
        const Instance *cell = trace->facts->cells.at[i];
        if (strcmp(instance_path(trace, cell), path)) continue;
        *uses = cell->uses.at;
        return cell->uses.len;
    }
    return 0;
}

/* The strategy by which this call is made; NULL: exactly.  Cells that learn nothing, and cells inside cells, are
 * exact. */
static bool strategy_of(Eval *e, const Callable *c, Instance *instance, int n, Span span, const Strategy **out) {
    const Trace *t = e->trace;
    *out = NULL;
    if (t->outer) return true;
    const Strategy *s = c->strategies && c->strategies->n ? c->strategies->at[0].strategy
                                                          : strategies_find(t->strategies, instance->key);
    if (!s) return true;
    if (!form_find(e, c, instance, n, span)) return false;
    if (instance->form.shared_len || instance->form.places) *out = s;
    return true;
}

static bool cell_in_trace(Eval *e, const Value *cell, const Value *args, int n, Span span, Value *out) {
    Val *nodes = arena_array(e->arena, Val, n);
    Shape shape;
    for (int i = 0; i < n; i++) {
        if (!value_as_node(e, &args[i], span, &nodes[i])) return eval_fail(out);
        DType dtype = (DType)graph_node(e->trace->graph, nodes[i])->dtype;
        if (dtype != e->trace->precision) {
            bool wide = graph_node(e->trace->graph, nodes[i])->shape.rank ||
                graph_node(e->trace->graph, nodes[i])->batched;
            if (wide) {
                eval_diag(e, D_E0412, span, "%s takes f32; argument %d is %s", value_shown(e, cell), i + 1,
                          type_text(e, value_type(e, &args[i])));
                return eval_fail(out);
            }
            nodes[i] = graph_cast(e->trace->graph, nodes[i], e->trace->precision);
        }
    }
    if (!common_shape(e, cell, nodes, n, span, &shape)) return eval_fail(out);
    const Callable *c = cell->callable;
    if (c->def->builtin) {
        Value *values = arena_array(e->arena, Value, n);
        for (int i = 0; i < n; i++) values[i] = trace_value(nodes[i]);
        return eval_call(e, cell, values, n, span, out);
    }
    Instance *instance = instance_of_cell(e, c);
    if (e->trace->watch && !e->trace->outer) cell_used(e, instance, nodes, n);
    const Strategy *strategy;
    if (!strategy_of(e, c, instance, n, span, &strategy)) return eval_fail(out);
    if (strategy) {
        Val node;
        StrategyCall call = {c, instance, nodes, n, &shape, span};
        if (!strategy_call(e, &call, strategy, &node)) return eval_fail(out);
        return *out = trace_value(node), true;
    }
    bool inlined = e->trace->outer || e->trace->facts->inline_cells;
    if (!inlined && !form_find(e, c, instance, n, span)) return eval_fail(out);
    if (!inlined && instance->form.map) return *out = trace_value(apply_map(e, &instance->form, nodes, n, span)), true;
    return apply_whole(e, c, instance, nodes, n, &shape, span, out) || eval_fail(out);
}

typedef struct CellWork { const Value *cell, *args; int n; Span span; } CellWork;

static bool cell_outside(Eval *e, void *data, Value *out) {
    CellWork *work = data;
    if (work->cell->kind != V_OBJECT) return cell_in_trace(e, work->cell, work->args, work->n, work->span, out);
    Value *nodes = arena_array(e->arena, Value, work->n);
    for (int i = 0; i < work->n; i++) {
        Val node;
        if (!value_as_node(e, &work->args[i], work->span, &node)) return eval_fail(out);
        nodes[i] = trace_value(node);
    }
    return work->cell->object->class->trace(e, work->cell->object, nodes, work->n, work->span, out);
}

/* A cell of a model that only a run makes. */
static bool cell_unknown(const Value *cell) {
    return cell->kind == V_CALLABLE && cell->callable->parts && !cell->callable->weights;
}

bool eval_cell_on(Eval *e, const Value *cell, const Value *args, int n, Span span, Value *out) {
    Value ready = *cell;
    for (int i = 0; i < n; i++) {
        if (args[i].kind == V_ERROR) return eval_fail(out);
        if (args[i].kind == V_ABSTRACT) return *out = value_abstract(NULL), true;
    }
    if (cell->kind == V_CALLABLE && !callable_ready(e, cell, span, &ready)) return eval_fail(out);
    if (!e->trace && cell_unknown(cell)) return *out = value_abstract(NULL), true;
    if (cell->kind == V_OBJECT && !cell->object->class->trace) {
        if (cell->object->class->call)
            return cell->object->class->call(e, cell->object, args, n, span, out) || eval_fail(out);
        eval_diag(e, D_E0314, span, "a %s is no cell", cell->object->class->name);
        return eval_fail(out);
    }
    if (!e->trace) return eval_outside(e, cell_outside, &(CellWork){&ready, args, n, span}, span, out);
    if (cell->kind == V_OBJECT)
        return cell->object->class->trace(e, cell->object, args, n, span, out) || eval_fail(out);
    return cell_in_trace(e, &ready, args, n, span, out);
}

/* ---- a cell's own graph ---- */

/* The name of argument k: the formal's, or "x1", "x2" ... for a formal that stands for several. */
static const char *arg_name(Eval *e, const Value *cell, int k, int arity) {
    if (cell->kind != V_CALLABLE) return arity == 1 ? "x" : arena_printf(e->arena, "x%d", k + 1);
    const Ast *def = cell->callable->def->ast;
    if (def->def.formals_len == arity) return def->def.formals[k].name;
    return def->def.formals_len == 1 ? arena_printf(e->arena, "%s%d", def->def.formals[0].name, k + 1)
                                     : arena_printf(e->arena, "x%d", k + 1);
}

bool cell_graph(Eval *e, const Value *cell, DType precision, Span span, CellGraph *out) {
    Value ready = *cell, *args, value;
    if (cell->kind == V_CALLABLE && !callable_ready(e, cell, span, &ready)) return false;
    int arity = callable_arity(e, &ready);
    if (arity < 1) {
        eval_diag(e, D_E0314, span, "a cell is needed here; this is %s", value_kind_name(cell));
        return false;
    }
    Trace *t = trace_new(e, precision, false), *before = e->trace;
    t->facts->inline_cells = true;
    *out = (CellGraph){t, arity, arena_array(e->arena, Val, arity), 0};
    args = arena_array(e->arena, Value, arity);
    for (int k = 0; k < arity; k++) {
        out->args[k] = graph_input(t->graph, IN_ROWS, k, arg_name(e, &ready, k, arity),
                                   (NodeType){precision, SHAPE0, true});
        args[k] = trace_value(out->args[k]);
    }
    e->trace = t;
    bool fn = ready.kind == V_CALLABLE && ready.callable->what == DEF_FN;
    bool ok = fn ? eval_call(e, &ready, args, arity, span, &value) : eval_cell_on(e, &ready, args, arity, span, &value);
    ok = ok && value_as_node(e, &value, span, &out->value);
    e->trace = before;
    trace_rename(t);
    return ok;
}
