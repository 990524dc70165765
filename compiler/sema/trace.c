/* trace.c -- traces: a graph that grows while a body is evaluated, and what is known beside it.
 *
 * Side tables by node: which values stretch (keep: true), how many classes an int stands for, which text a value comes
 * from as a user sees it.  A body trace (of a MAP) has a graph of its own; its parameters are the root's, read through
 * IN_SHARED inputs.  Real settings are IN_SETTING inputs; asking for their number pins them. */
#include "sema/internal.h"

#include "graph/program.h"

static struct TraceFacts *facts_new(Arena *arena) {
    struct TraceFacts *facts = arena_new_of(arena, struct TraceFacts);
    map_init(&facts->classes, arena);
    map_init(&facts->origins, arena);
    return facts;
}

Trace *trace_new(Eval *e, DType precision, bool is_training) {
    Trace *t = arena_new_of(e->arena, Trace);
    t->arena = e->arena;
    t->graph = graph_new(e->arena);
    t->precision = precision;
    t->is_training = is_training;
    t->random = is_training;
    t->progress = value_none();
    t->facts = facts_new(e->arena);
    t->root = t->at = instance_new(t, NULL);
    return t;
}

Trace *trace_root(Trace *trace) {
    while (trace->outer) trace = trace->outer;
    return trace;
}

Trace *trace_body(Eval *e, Trace *outer) {
    Trace *root = trace_root(outer), *t = arena_new_of(root->arena, Trace);
    (void)e;
    *t = *root;
    t->graph = graph_new(root->graph->arena);
    t->outer = outer;
    t->facts = facts_new(root->arena);
    return t;
}

Value trace_value(Val node) { return (Value){.kind = V_NODE, .node = node}; }

/* ---- facts ---- */

static const void *key_of(Val node) { return (const void *)(uintptr_t)node; }

void trace_mark_classes(Trace *trace, Val node, int64_t classes) {
    map_put(&trace->facts->classes, key_of(node), (void *)(uintptr_t)classes);
}

int64_t trace_classes(const Trace *trace, Val node) {
    return (int64_t)(uintptr_t)map_get(&trace->facts->classes, key_of(node));
}

void trace_mark_stretch(Trace *trace, Val node) {
    while (trace->facts->stretch.len <= (int)node) vec_push(trace->arena, &trace->facts->stretch, 0);
    trace->facts->stretch.at[node] = 1;
}

void trace_origin(Trace *trace, Val node, Span span) {
    if (map_has(&trace->facts->origins, key_of(node))) return;
    Span *kept = arena_new_of(trace->arena, Span);
    *kept = span;
    map_put(&trace->facts->origins, key_of(node), kept);
}

Span trace_origin_of(const Trace *trace, Val node) {
    const Span *kept = map_get(&trace->facts->origins, key_of(node));
    return kept ? *kept : graph_node(trace->graph, node)->span;
}

/* ---- settings ---- */

Value trace_setting(Eval *e, double x) {
    Trace *t = e->trace;
    Setting setting = {x, false};
    const char *name = arena_printf(t->arena, "setting%d", t->settings.len + 1);
    Value out = value_real(x);
    out.node = graph_input(t->graph, IN_SETTING, t->settings.len, name, (NodeType){DT_F64, SHAPE0, false});
    vec_push(t->arena, &t->settings, setting);
    return out;
}

double trace_pin(Eval *e, const Value *real) {
    Trace *t = e->trace;
    if (!t || !real->node || t->outer || !t->settings.len) return value_number(real);
    uint8_t *reached = arena_alloc(e->arena, real->node + 1);
    reached[real->node] = 1;
    for (Val v = real->node; v > 0; v--) {
        const Node *node = graph_node(t->graph, v);
        if (!reached[v]) continue;
        for (int i = 0; i < node->nin; i++) reached[graph_in(t->graph, v, i)] = 1;
        if (node->op != G_INPUT) continue;
        const GraphInput *input = &t->graph->inputs.at[graph_attr(t->graph, v)->index];
        if (input->kind == IN_SETTING) t->settings.at[input->index].pinned = true;
    }
    return value_number(real);
}

static Value lift_value(Eval *e, const Value *value, bool setting);

static Value lift_list(Eval *e, const Value *value) {
    Value *at = arena_array(e->arena, Value, value->list->len);
    for (int i = 0; i < value->list->len; i++) at[i] = lift_value(e, &value->list->at[i], false);
    Value out = value_list(e->arena, at, value->list->len);
    out.label = value->label;
    return out;
}

static Value lift_record(Eval *e, const Value *value) {
    Value *at = arena_array(e->arena, Value, value->record->len);
    for (int i = 0; i < value->record->len; i++) at[i] = lift_value(e, &value->record->at[i], false);
    return value_record(e->arena, value->record->name, at, value->record->len);
}

static Value lift_callable(Eval *e, const Value *value) {
    Trace *t = e->trace;
    const Callable *c = value->callable;
    if (!c->settings || !c->settings_len) return *value;
    for (int i = 0; i < t->facts->lifted.len; i++)
        if (t->facts->lifted.at[i].from == c) return t->facts->lifted.at[i].to;
    Callable *lifted = arena_new_of(t->arena, Callable);
    *lifted = *c;
    lifted->settings = arena_array(t->arena, Value, c->settings_len);
    for (int i = 0; i < c->settings_len; i++) lifted->settings[i] = lift_value(e, &c->settings[i], true);
    Lifted entry = {c, *value};
    entry.to.callable = lifted;
    vec_push(t->arena, &t->facts->lifted, entry);
    return entry.to;
}

static Value lift_value(Eval *e, const Value *value, bool setting) {
    if (value->kind == V_CALLABLE) return lift_callable(e, value);
    if (value->kind == V_LIST) return lift_list(e, value);
    if (value->kind == V_RECORD) return lift_record(e, value);
    if (value->kind != V_REAL || !setting || value->node) return *value;
    Value out = trace_setting(e, value->real);
    out.label = value->label;
    return out;
}

Value trace_lift(Eval *e, Trace *trace, const Value *callable) {
    Trace *before = e->trace;
    e->trace = trace;
    Value out = lift_value(e, callable, false);
    e->trace = before;
    return out;
}

/* ---- parameters of bodies; random draws ---- */

Val trace_param_node(Eval *e, int param) {
    Trace *t = e->trace, *root = trace_root(t);
    const ParamInfo *p = &root->params.at[param];
    if (t == root) return p->node;
    for (int i = 0; i < t->facts->shared.len; i++)
        if (t->facts->shared.at[i].param == param) return t->facts->shared.at[i].node;
    SharedParam shared = {param, 0};
    shared.node = graph_input(t->graph, IN_SHARED, t->facts->shared.len, p->name,
                              (NodeType){p->dtype, p->shape, false});
    vec_push(t->arena, &t->facts->shared, shared);
    return shared.node;
}

const char *trace_draw(Eval *e, Span span) {
    Trace *t = e->trace;
    if (scan_refuse(e)) return NULL;
    if (!t || t->outer || !t->random) {
        eval_diag(e, D_E0408, span, "random numbers have no seed here");
        return NULL;
    }
    const char *purpose = t->purpose;
    if (!purpose) purpose = t->at->name == e->session->words->dropout ? "dropout" : "noise";
    return arena_printf(t->arena, "%s/%s/%d", purpose, instance_path(t, t->at), ++t->at->draws);
}

/* ---- evaluating a trace at its starting parameters ---- */

static void start_fill(DType dtype, void *data, int64_t n, double x) {
    for (int64_t i = 0; i < n; i++) {
        if (dtype == DT_F32) ((float *)data)[i] = (float)x;
        else if (dtype == DT_F64) ((double *)data)[i] = x;
        else ((int32_t *)data)[i] = (int32_t)x;
    }
}

static void *param_start(Eval *e, const ParamInfo *p, DrawFn draw, void *data, Span span) {
    int64_t n = shape_size(&p->shape);
    void *out = arena_alloc(e->arena, (size_t)n * dtype_size(p->dtype));
    const Tensor *tensor;
    if (value_distribution(&p->initial)) {
        if (draw && draw(data, p, out)) return out;
        Diag *d = eval_diag(e, D_E0408, span, "%s starts from random numbers, and no seed is at hand", p->path);
        diag_hint(d, "fresh(net, seed: 1) has weights");
        return NULL;
    }
    if (value_is_number(&p->initial)) {
        start_fill(p->dtype, out, n, value_number(&p->initial));
        return out;
    }
    if (!value_as_tensor(e, &p->initial, p->dtype, p->span, &tensor)) return NULL;
    if (!tensor->shape.rank) start_fill(p->dtype, out, n, value_number(&(Value){.kind = V_TENSOR, .tensor = tensor}));
    else memcpy(out, tensor->data, (size_t)n * dtype_size(p->dtype));
    return out;
}

static const void *input_data(Eval *e, Trace *t, const GraphInput *in, const void *const *columns, DrawFn draw,
                              void *data, Span span) {
    switch (in->kind) {
    case IN_ROWS: return columns[in->index];
    case IN_BLOCK: return param_start(e, &t->params.at[in->index], draw, data, span);
    case IN_SETTING: return &t->settings.at[in->index].value;
    case IN_STEP: case IN_BATCH: case IN_MAPPED: case IN_SHARED: case IN_CARRY: case IN_SLICE: case IN_SLICE_BACK:
    case IN_WHOLE: return NULL;
    }
    return NULL;
}

/* Outputs as graph_eval gives them, by their place in the graph. */
static const void **run_trace(Eval *e, Trace *t, const void *const *columns, int64_t rows, DrawFn draw, void *data,
                              Span span) {
    int n = t->graph->inputs.len;
    const void **inputs = arena_array(e->arena, const void *, n);
    const void **outputs = arena_array(e->arena, const void *, t->graph->outputs.len);
    for (int i = 0; i < n; i++) {
        const GraphInput *in = &t->graph->inputs.at[i];
        inputs[i] = input_data(e, t, in, columns, draw, data, span);
        if (!inputs[i] && (in->kind == IN_BLOCK || in->kind == IN_ROWS)) return NULL;
    }
    if (graph_eval(e->arena, t->graph, rows, inputs, outputs, NULL, 0)) return outputs;
    eval_diag(e, D_R0103, span, "out of memory");
    return NULL;
}

bool trace_evaluate(Eval *e, Trace *trace, const void *const *columns, int64_t rows, DrawFn draw, void *data,
                    void *const *out,
                    Span span) {
    const void **outputs = run_trace(e, trace, columns, rows, draw, data, span);
    if (!outputs) return false;
    for (int i = 0; i < trace->graph->outputs.len; i++) {
        const GraphOutput *output = &trace->graph->outputs.at[i];
        if (output->kind != OUT_ROWS) continue;
        NodeType type = graph_type(trace->graph, output->value);
        size_t size = (size_t)shape_size(&type.shape) * dtype_size(type.dtype);
        for (int64_t r = 0; r < rows; r++)
            memcpy((char *)out[output->index] + (size_t)r * size,
                   (const char *)outputs[i] + (type.batched ? (size_t)r * size : 0), size);
    }
    return true;
}

/* ---- outside of nets ---- */

static void outputs_add(Trace *t, const Value *value) {
    if (value->kind == V_NODE) graph_output(t->graph, OUT_VALUE, t->graph->outputs.len, "value", value->node);
    for (int i = 0; value->kind == V_LIST && i < value->list->len; i++) outputs_add(t, &value->list->at[i]);
}

static Value outputs_take(Eval *e, const Trace *t, const void **outputs, const Value *value, int *k) {
    if (value->kind == V_LIST) {
        Value *at = arena_array(e->arena, Value, value->list->len);
        for (int i = 0; i < value->list->len; i++) at[i] = outputs_take(e, t, outputs, &value->list->at[i], k);
        return value_list(e->arena, at, value->list->len);
    }
    Value known = *value;
    known.node = 0;
    if (value->kind != V_NODE) return known;
    NodeType type = graph_type(t->graph, value->node);
    Tensor *tensor = arena_new_of(e->arena, Tensor);
    bool stretch = value->node < (Val)t->facts->stretch.len && t->facts->stretch.at[value->node];
    *tensor = (Tensor){type.dtype, type.shape, (void *)(uintptr_t)outputs[(*k)++], stretch};
    return (Value){.kind = V_TENSOR, .tensor = tensor};
}

bool eval_outside(Eval *e, bool (*work)(Eval *e, void *data, Value *out), void *data, Span span, Value *out) {
    Trace *t = trace_new(e, e->session->precision == DT_F64 ? DT_F64 : DT_F32, false), *before = e->trace;
    Value value;
    int k = 0;
    e->trace = t;
    bool ok = work(e, data, &value);
    e->trace = before;
    if (!ok) return eval_fail(out);
    trace_rename(t);
    outputs_add(t, &value);
    const void **outputs = run_trace(e, t, NULL, 1, NULL, NULL, span);
    if (!outputs) return eval_fail(out);
    *out = outputs_take(e, t, outputs, &value, &k);
    return true;
}
