/* net.c -- nets: bodies that become part of a trace; whole nets traced, measured and counted. */
#include "sema/internal.h"

/* ---- one use of a net ---- */

static bool arg_node(Eval *e, const TypeValue *type, const Value *value, Span span, Value *out) {
    Val node;
    if (type->kind == TYPE_INT || type->kind == TYPE_CLASS) {
        if (value->kind == V_NODE) return *out = *value, true;
        const Tensor *tensor;
        if (!value_as_tensor(e, value, DT_I32, span, &tensor)) return false;
        *out = trace_value(node_of_tensor(e, tensor, DT_I32));
        return true;
    }
    if (!value_as_node(e, value, span, &node)) return false;
    *out = trace_value(node);
    return true;
}

static bool bind_inputs(Eval *e, const Callable *c, Scope *body, const Value *args, int n, const Span *spans,
                        Span span) {
    const Ast *def = c->def->ast;
    const char *name = c->type_name ? c->type_name : c->def->name;
    if (n != def->def.formals_len) {
        eval_diag(e, D_E0309, span, "%s takes %d tensor%s, here %s %d", name, def->def.formals_len,
                  def->def.formals_len == 1 ? "" : "s", n == 1 ? "is" : "are", n);
        return false;
    }
    for (int i = 0; i < n; i++) {
        Value value;
        const AstFormal *formal = &def->def.formals[i];
        Span at = spans ? spans[i] : span;
        if (!type_bind(e, c->def->formal_types[i], body, &args[i], at, name, formal->name)) return false;
        if (!arg_node(e, c->def->formal_types[i], &args[i], at, &value)) return false;
        scope_bind(body, formal->name, &value, formal->span);
    }
    return true;
}

/* The body of a net with `instance` as the place of its layers and parameters. */
static bool net_body(Eval *e, const Callable *c, Instance *instance, const Value *args, int n, const Span *spans,
                     Span span,
                     Value *out) {
    Trace *t = e->trace;
    Instance *at = t->at;
    Application *application = t->facts->application;
    int states = t->facts->states.len;
    t->at = instance;
    t->facts->application = NULL;
    instance_enter(instance);
    Scope *body = callable_scope(e, c, span);
    bool ok = bind_inputs(e, c, body, args, n, spans, span) && callable_body(e, c, body, span, out);
    if (ok) states_store(e, body, states);
    t->facts->states.len = states;
    t->facts->application = application;
    t->at = at;
    return ok || eval_fail(out);
}

typedef struct NetWork { const Value *net, *args; int n; Span span; } NetWork;

static bool net_outside(Eval *e, void *data, Value *out) {
    NetWork *work = data;
    return trace_net(e, e->trace, work->net, work->args, work->n, work->span, out);
}

bool eval_net_call(Eval *e, const Value *net, const Value *args, int n, const Span *spans, Span span, Value *out) {
    const Callable *c = net->callable;
    if (!e->trace) return eval_outside(e, net_outside, &(NetWork){net, args, n, span}, span, out);
    Instance *mine = c->instance ? c->instance : instance_mention(e->trace);
    if (scan_makes(e, mine) && scan_refuse(e)) return eval_fail(out);
    return net_body(e, c, instance_use(e->trace, mine, c->def->name), args, n, spans, span, out);
}

bool trace_net(Eval *e, Trace *trace, const Value *net, const Value *inputs, int n, Span span, Value *out) {
    Trace *before = e->trace;
    Value ready;
    e->trace = trace;
    bool ok = callable_ready(e, net, span, &ready);
    if (ok) {
        trace->strategies = ready.callable->strategies;
        ready = trace_lift(e, trace, &ready);
        ok = net_body(e, ready.callable, trace->root, inputs, n, NULL, span, out);
    }
    e->trace = before;
    trace_rename(trace);
    return ok || eval_fail(out);
}

bool trace_call(Eval *e, Trace *trace, const char *path, const Value *callee, const Value *args, int n, Span span,
                Value *out) {
    Trace *before = e->trace;
    Instance *at = trace->at;
    Value lifted = callee->kind == V_CALLABLE ? trace_lift(e, trace, callee) : *callee;
    e->trace = trace;
    if (path) {
        Instance *owner = instance_new(trace, NULL);
        owner->name = arena_copy(trace->arena, path, strlen(path));
        trace->at = owner;
        if (lifted.kind == V_CALLABLE && callable_owns(lifted.callable)) {
            Callable *mine = arena_new_of(trace->arena, Callable);
            *mine = *lifted.callable;
            mine->instance = owner;
            lifted.callable = mine;
        }
    }
    bool ok = eval_call(e, &lifted, args, n, span, out);
    trace->at = at;
    e->trace = before;
    trace_rename(trace);
    return ok;
}

/* ---- whole nets ---- */

static bool open_dimension(Eval *e, const Callable *c, const char *dim, Span span) {
    Diag *d = eval_diag(e, D_E0416, span, "%s of %s is not known: say on which data", dim, c->def->name);
    diag_hint(d, "count(%s, on: data)", c->def->name);
    return false;
}

/* The shape of a formal's type, where it has no open dimensions. */
static bool declared_type(Eval *e, const Callable *c, int i, Scope *body, DType precision, bool quiet, Span span,
                          NodeType *out) {
    const TypeValue *type = c->def->formal_types[i];
    bool whole = type->kind == TYPE_INT || type->kind == TYPE_CLASS;
    *out = (NodeType){.dtype = whole ? DT_I32 : precision, .batched = true};
    for (int k = 0; type->pattern && k < type->pattern->call.len; k++) {
        const Ast *dim = type->pattern->call.args[k].value;
        if (dim->kind != AST_NAME || scope_local(body, dim->name)) continue;
        return quiet ? false : open_dimension(e, c, dim->name, span);
    }
    TypeValue closed;
    if (!type->pattern) return true;
    if (!type_eval(e, c->def->ast->def.formals[i].type, body, &closed)) return false;
    out->shape = closed.shape;
    return true;
}

static Value net_input(Trace *t, const Callable *c, int i, const NodeType *type) {
    NodeType batched = *type;
    batched.batched = true;
    return trace_value(graph_input(t->graph, IN_ROWS, i, c->def->ast->def.formals[i].name, batched));
}

Trace *net_trace(Eval *e, const Value *net, DType precision, bool training, const NodeType *inputs, int n, Span span,
                 Value *out) {
    Value ready;
    if (net->kind != V_CALLABLE || net->callable->what != DEF_NET) {
        eval_diag(e, D_E0314, span, "a net is needed here; this is %s", value_kind_name(net));
        eval_fail(out);
        return NULL;
    }
    if (!callable_ready(e, net, span, &ready)) return NULL;
    const Callable *c = ready.callable;
    int formals = c->def->ast->def.formals_len;
    Trace *t = trace_new(e, precision, training), *before = e->trace;
    Value *args = arena_array(e->arena, Value, formals);
    e->trace = NULL;
    Scope *body = callable_scope(e, c, span);
    bool ok = true;
    for (int i = 0; i < formals && ok; i++) {
        NodeType type;
        if (inputs && i < n) type = inputs[i];
        else ok = declared_type(e, c, i, body, precision, false, span, &type);
        if (ok) args[i] = net_input(t, c, i, &type);
    }
    ok = ok && trace_net(e, t, &ready, args, formals, span, out);
    e->trace = before;
    if (!ok) eval_fail(out);
    return ok ? t : NULL;
}

bool net_is_closed(Eval *e, const Callable *c) {
    Value ready;
    NodeType type;
    for (int i = 0; i < c->def->ast->def.settings_len && !c->settings; i++)
        if (!c->def->ast->def.settings[i].initial) return false;
    Value net = {.kind = V_CALLABLE, .callable = (Callable *)c};
    if (!callable_ready(e, &net, c->def->ast->span, &ready)) return false;
    Scope *body = callable_scope(e, ready.callable, c->def->ast->span);
    for (int i = 0; i < c->def->ast->def.formals_len; i++)
        if (!declared_type(e, ready.callable, i, body, DT_F32, true, c->def->ast->span, &type)) return false;
    return true;
}

/* ---- counting ---- */

static void count_params(const Trace *t, int64_t *in_cells, int64_t *outer) {
    *in_cells = *outer = 0;
    for (int i = 0; i < t->params.len; i++) {
        const ParamInfo *p = &t->params.at[i];
        if (p->state) continue;
        *(p->cell ? in_cells : outer) += shape_size(&p->shape);
    }
}

bool count_parameters(Eval *e, const Value *callable, const NodeType *inputs, int n, Span span, int64_t *in_cells,
                      int64_t *outer) {
    Value out;
    *in_cells = *outer = 0;
    if (callable->kind == V_CALLABLE && callable->callable->what == DEF_NET) {
        Trace *t = net_trace(e, callable, DT_F32, false, inputs, n, span, &out);
        if (t) count_params(t, in_cells, outer);
        return t != NULL;
    }
    CellGraph graph;
    if (!cell_graph(e, callable, DT_F32, span, &graph)) return false;
    count_params(graph.trace, in_cells, outer);
    return true;
}
