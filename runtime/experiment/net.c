/* net.c -- a net applied to a type of input: its parameter table, block layout, counts and hash. */
#include "experiment/experiment.h"
#include "pass/pass.h"
#include "support/sha256.h"

#include <stdlib.h>

typedef struct NetRequest { Eval *e; const Value *net; const Column *input; DType precision; Span span; } NetRequest;
typedef struct NetEntry { NetInfo info; Arena *arena; } NetEntry;

void net_info_free(NetInfo *info) { arena_free(((NetEntry *)info)->arena); }

int net_param_index(const NetInfo *info, const char *path) {
    for (int i = 0; i < info->params; i++)
        if (strcmp(info->param[i].path, path) == 0) return i;
    return -1;
}

/* A cell as a net: its arguments are the features of the input. */
static bool cell_apply(Eval *e, Trace *trace, const Value *cell, Val x, Span span, Value *out) {
    Graph *g = trace->graph;
    NodeType type = graph_type(g, x);
    int n = type.shape.rank == 1 ? (int)type.shape.dim[0] : 0;
    Value *args = arena_array(e->arena, Value, n + 1);
    for (int64_t i = 0; i < n; i++) args[i] = trace_value(graph_slice(g, x, &i, shape_of(1, (int64_t)1)));
    return trace_call(e, trace, NULL, cell, args, n, span, out);
}

bool net_apply(Eval *e, Trace *trace, const Value *net, Val x, Span span, Value *out) {
    if (net->kind == V_CALLABLE && net->callable->what == DEF_CELL) return cell_apply(e, trace, net, x, span, out);
    Value input = trace_value(x);
    if (net->kind == V_CALLABLE && net->callable->what == DEF_FN)        /* of one example: a corruption */
        return trace_call(e, trace, net->callable->def->name, net, &input, 1, span, out);
    return trace_net(e, trace, net, &input, 1, span, out);
}

/* One trace of the net on one row of the input's type. */
static bool net_traced(Eval *e, const NetRequest *r, bool training, Trace **out, Val *y) {
    Trace *trace = trace_new(e, r->precision, training);
    DType dtype = r->input->dtype == DT_I32 ? DT_I32 : r->precision;
    NodeType type = {dtype, r->input->shape, true};
    Value result;
    if (!net_apply(e, trace, r->net, graph_input(trace->graph, IN_ROWS, 0, "x", type), r->span, &result)) return false;
    e->trace = trace;
    bool fits = value_as_node(e, &result, r->span, y);
    e->trace = NULL;
    graph_output(trace->graph, OUT_VALUE, 0, "y", fits ? *y : 0);
    *out = trace;
    return fits;
}

static void net_params(NetInfo *info, const Trace *trace, Arena *arena) {
    info->params = trace->params.len;
    info->param = arena_array(arena, NetParam, info->params + 1);
    Slot *slot = arena_array(arena, Slot, info->params + 1);
    for (int i = 0; i < info->params; i++) {
        const ParamInfo *p = &trace->params.at[i];
        info->param[i] = (NetParam){p->path, p->shape, p->initial, p->state, p->cell, 0, p->span};
        slot[i] = (Slot){p->path, p->dtype, p->shape, 0};
        if (p->state) continue;
        info->count += shape_size(&p->shape);
        if (p->cell) info->count_cells += shape_size(&p->shape);
    }
    block_layout(slot, info->params, &info->layout);
    for (int i = 0; i < info->params; i++) info->param[i].offset = info->layout.slot[i].offset;
}

enum { MAX_CELLS = 32 };
static void net_cells(NetInfo *info, const Trace *trace, Arena *arena) {
    const char *paths[MAX_CELLS];
    Value cells[MAX_CELLS];
    int n = trace_cells(trace, paths, cells, MAX_CELLS);
    info->cell = arena_array(arena, NetCell, n + 1);
    /* the cells that learn, or, where none does, all of them */
    for (int all = 0; all < 2 && !info->cells; all++)
        for (int i = 0; i < n; i++) {
            bool learns = all;
            for (int k = 0; k < info->params; k++)
                learns |= strncmp(info->param[k].path, paths[i], strlen(paths[i])) == 0 &&
                          info->param[k].path[strlen(paths[i])] == '.';
            if (learns) info->cell[info->cells++] = (NetCell){paths[i], cells[i]};
        }
}

/* The hash of a net: semantics, its evaluation graph, paths, shapes and settings as values. */
static void net_hash(NetInfo *info, const Graph *graph, const Trace *trace) {
    Buf text = {0};
    buf_printf(&text, "nin %d net\n", SEMANTICS_VERSION);
    graph_print(graph, &text);
    for (int i = 0; i < trace->settings.len; i++) buf_printf(&text, "setting %.17g\n", trace->settings.at[i].value);
    for (int i = 0; i < info->params; i++) {
        buf_printf(&text, "%s ", info->param[i].path);
        shape_print(&info->param[i].shape, &text);
        buf_text(&text, " = ");
        value_identity(&info->param[i].initial, &text);
        buf_text(&text, "\n");
    }
    sha256_hex(text.at, text.len, info->hash);
    buf_free(&text);
}

static void *net_make(void *data) {
    NetRequest own = *(const NetRequest *)data, *r = &own;
    Arena *arena = arena_new();
    NetEntry *entry = arena_new_of(arena, NetEntry);
    entry->arena = arena;
    bool plain = true;
    Value net = value_keep(arena, r->net, &plain); /* the table outlives the turn that asked for it */
    r->net = &net;
    Eval sub = *r->e;
    sub.arena = arena;
    sub.trace = NULL;
    Trace *evaluated, *trained;
    Val y, y_training;
    int before = r->e->diags->errors;
    if (!net_traced(&sub, r, false, &evaluated, &y) || !net_traced(&sub, r, true, &trained, &y_training)
        || r->e->diags->errors > before) {
        arena_free(arena);
        return NULL;
    }
    NetInfo *info = &entry->info;
    info->net = net;
    info->input = *r->input;
    info->input.rows = NULL;
    info->precision = r->precision;
    info->output = graph_type(evaluated->graph, y);
    Range range = pass_range(arena, evaluated->graph, NULL)[y];
    info->lo = range.lo;
    info->hi = range.hi;
    /* the training trace names every parameter; a state that only training writes is in both */
    net_params(info, trained, arena);
    net_cells(info, trained, arena);
    info->random = trained->graph->keys > 0;
    Graph *graph = graph_copy(arena, evaluated->graph);
    info->same_in_training = !info->random && graph_hash(graph) == graph_hash(graph_copy(arena, trained->graph));
    for (int i = 0; i < info->params; i++) info->same_in_training &= !info->param[i].state;
    net_hash(info, graph, evaluated);
    return info;
}

const NetInfo *net_info(Eval *e, const Value *net, const Column *input, DType precision, Span span) {
    NetRequest request = {e, net, input, precision, span};
    Buf key = {0};
    if (net->kind == V_CALLABLE && net->callable->what == DEF_CELL) buf_text(&key, "cell ");
    value_identity(net, &key);
    buf_printf(&key, "|%s %s ", dtype_name(precision), dtype_name(input->dtype));
    shape_print(&input->shape, &key);
    const NetInfo *info = cache_get(lab_of(e)->nets, key.at, key.len, net_make, &request);
    buf_free(&key);
    return info;
}

/* ---- inputs a net declares ---- */

bool net_declared_input(Eval *e, const Value *net, Span span, Column *out) {
    *out = (Column){.dtype = DT_F32};
    if (net->kind != V_CALLABLE || net->callable->what != DEF_NET) {
        diag_add(e->diags, D_E0314, span, "this must be a net; it is %s", value_kind_name(net));
        return false;
    }
    Value result;
    Trace *trace = net_trace(e, net, e->session->precision, false, NULL, 0, span, &result);
    if (!trace) return false;
    for (int i = 0; i < trace->graph->inputs.len; i++) {
        const GraphInput *in = &trace->graph->inputs.at[i];
        if (in->kind != IN_ROWS) continue;
        out->dtype = in->dtype == DT_I32 ? DT_I32 : DT_F32;
        out->shape = in->shape;
        return true;
    }
    return false;
}
