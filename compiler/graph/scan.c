/* scan.c -- see scan.h. */
#include "graph/scan.h"

enum { MOST = 255, CONCAT_AT_ONCE = 200 };

Val scan_hole(Graph *g, NodeType type) {
    return graph_add(g, G_HOLE, NULL, 0, &(Attr){.index = g->node.len}, &type, (Span){0, 0});
}

NodeType scan_part(const Graph *g, Val of) {
    NodeType type = graph_type(g, of);
    type.shape.rank--;
    memmove(type.shape.dim, type.shape.dim + 1, sizeof *type.shape.dim * (size_t)type.shape.rank);
    type.shape.dim[type.shape.rank] = 0;
    return type;
}

/* ---- making ---- */

typedef struct Making {
    Graph *g, *body;
    const ScanDraft *draft;
    bool *turns, *needed;       /* by node: depends on a hole; part of the body */
    Val *renamed;
    Val in[MOST];
    int wholes;
} Making;

static bool is_free(Op op) {
    return op == G_CONST || op == G_TABLE || op == G_IOTA || op == G_BROADCAST || op == G_RESHAPE ||
           op == G_TRANSPOSE || op == G_SLICE;
}

static void find_needed(Making *m) {
    const Graph *g = m->g;
    const ScanDraft *d = m->draft;
    for (int i = 0; i < d->carry.len; i++) m->turns[d->carry.at[i].hole] = m->needed[d->carry.at[i].next] = true;
    for (int i = 0; i < d->slice.len; i++) m->turns[d->slice.at[i].hole] = true;
    for (int i = 0; i < d->stack.len; i++) m->needed[d->stack.at[i].value] = true;
    for (Val v = 1; v < (Val)g->node.len; v++)
        for (int i = 0; i < graph_node(g, v)->nin && !m->turns[v]; i++) m->turns[v] = m->turns[graph_in(g, v, i)];
    for (Val v = (Val)g->node.len - 1; v > 0; v--) {
        bool inside = m->needed[v] && (m->turns[v] || is_free((Op)graph_node(g, v)->op));
        for (int i = 0; inside && i < graph_node(g, v)->nin; i++) m->needed[graph_in(g, v, i)] = true;
    }
}

static void add_holes(Making *m) {
    const ScanDraft *d = m->draft;
    for (int i = 0; i < d->carry.len; i++) {
        Val hole = d->carry.at[i].hole;
        m->in[i] = d->carry.at[i].start;
        m->renamed[hole] = graph_input(m->body, IN_CARRY, i, "", graph_type(m->g, hole));
    }
    for (int i = 0; i < d->slice.len; i++) {
        Val hole = d->slice.at[i].hole;
        m->in[d->carry.len + i] = d->slice.at[i].of;
        if (!m->needed[hole]) continue;
        InputKind kind = d->slice.at[i].back ? IN_SLICE_BACK : IN_SLICE;
        m->renamed[hole] = graph_input(m->body, kind, i, "", graph_type(m->g, hole));
    }
}

static bool add_node(Making *m, Val v) {
    const Node *node = graph_node(m->g, v);
    NodeType like = graph_type(m->g, v);
    Val in[MOST];
    if (!m->turns[v] && !is_free((Op)node->op)) {
        int at = m->draft->carry.len + m->draft->slice.len + m->wholes;
        if (at >= MOST) return false;
        m->in[at] = v;
        m->renamed[v] = graph_input(m->body, IN_WHOLE, m->wholes++, "", like);
        return true;
    }
    for (int i = 0; i < node->nin; i++) in[i] = m->renamed[graph_in(m->g, v, i)];
    m->renamed[v] = graph_add(m->body, (Op)node->op, in, node->nin, graph_attr(m->g, v), &like, node->span);
    return true;
}

Val scan_make(Graph *g, const ScanDraft *draft) {
    Arena *scratch = arena_new();
    Making m = {.g = g, .body = graph_new(g->arena), .draft = draft};
    int count = draft->carry.len + draft->slice.len, outputs = draft->carry.len + draft->stack.len;
    bool fits = count <= MOST && outputs <= MOST;
    m.turns = arena_array(scratch, bool, g->node.len);
    m.needed = arena_array(scratch, bool, g->node.len);
    m.renamed = arena_array(scratch, Val, g->node.len);
    if (fits) find_needed(&m);
    if (fits) add_holes(&m);
    for (Val v = 1; v < (Val)g->node.len && fits; v++)
        if (m.needed[v] && !m.renamed[v]) fits = add_node(&m, v);
    for (int i = 0; i < draft->carry.len && fits; i++)
        graph_output(m.body, OUT_CARRY, i, "", m.renamed[draft->carry.at[i].next]);
    for (int i = 0; i < draft->stack.len && fits; i++)
        graph_output(m.body, draft->stack.at[i].back ? OUT_STACK_BACK : OUT_STACK, i, "",
                     m.renamed[draft->stack.at[i].value]);
    arena_free(scratch);
    if (!fits) return 0;
    Attr attr = {.i64 = draft->turns, .mapped = draft->carry.len, .index = draft->slice.len, .body = m.body};
    Span span = graph_node(g, (Val)g->node.len - 1)->span;
    return graph_add(g, G_SCAN, m.in, count + m.wholes, &attr, NULL, span);
}

/* ---- taking apart ---- */

Val *scan_instance(Graph *g, Arena *scratch, const Graph *body, const Val *given) {
    Val *renamed = arena_array(scratch, Val, body->node.len);
    for (Val v = 1; v < (Val)body->node.len; v++) {
        const Node *node = graph_node(body, v);
        NodeType like = graph_type(body, v);
        Val in[MOST];
        if (node->op == G_INPUT) {
            renamed[v] = given[graph_attr(body, v)->index];
            continue;
        }
        for (int i = 0; i < node->nin; i++) in[i] = renamed[graph_in(body, v, i)];
        renamed[v] = graph_add(g, (Op)node->op, in, node->nin, graph_attr(body, v), &like, node->span);
    }
    return renamed;
}

bool graph_has_scan(const Graph *graph) {
    for (Val v = 1; v < (Val)graph->node.len; v++)
        if (graph_node(graph, v)->op == G_SCAN) return true;
    return false;
}

typedef struct Unroller { Graph *g; Arena *arena, *scratch; const Graph *from; Val *renamed; Val **results; } Unroller;

static Val part_at(Graph *g, Val of, int64_t at) {
    int64_t starts[MAX_RANK] = {at};
    Shape shape = graph_node(g, of)->shape;
    shape.dim[0] = 1;
    return graph_reshape(g, graph_slice(g, of, starts, shape), scan_part(g, of).shape);
}

/* Values along a new first axis; some at a time, as an operation has so many operands. */
static Val stacked(Graph *g, Val *part, int64_t n) {
    Shape row = graph_node(g, part[0])->shape;
    memmove(row.dim + 1, row.dim, sizeof *row.dim * (size_t)row.rank++);
    row.dim[0] = 1;
    for (int64_t i = 0; i < n; i++) part[i] = graph_reshape(g, part[i], row);
    while (n > 1) {
        int64_t groups = 0;
        for (int64_t i = 0; i < n; i += CONCAT_AT_ONCE) {
            int count = n - i < CONCAT_AT_ONCE ? (int)(n - i) : CONCAT_AT_ONCE;
            part[groups++] = count == 1 ? part[i] : graph_add(g, G_CONCAT, part + i, count, NULL, NULL, (Span){0, 0});
        }
        n = groups;
    }
    return part[0];
}

static void unroll_scan(Unroller *u, Val v) {
    const Attr *attr = graph_attr(u->from, v);
    const Graph *body = graph_unroll(u->arena, attr->body);
    int carries = attr->mapped, outputs = body->outputs.len;
    Val *given = arena_array(u->scratch, Val, body->inputs.len + 1), *out = arena_array(u->scratch, Val, outputs);
    Val **kept = arena_array(u->scratch, Val *, outputs);
    for (int k = 0; k < carries; k++) out[k] = u->renamed[graph_in(u->from, v, k)];
    for (int k = carries; k < outputs; k++) kept[k] = arena_array(u->scratch, Val, attr->i64);
    for (int64_t t = 0; t < attr->i64; t++) {
        for (int i = 0; i < body->inputs.len; i++) {
            const GraphInput *in = &body->inputs.at[i];
            int at = in->index + (in->kind == IN_CARRY ? 0 : carries) + (in->kind == IN_WHOLE ? attr->index : 0);
            Val of = u->renamed[graph_in(u->from, v, at)];
            if (in->kind == IN_CARRY) given[i] = out[in->index];
            else if (in->kind == IN_WHOLE) given[i] = of;
            else given[i] = part_at(u->g, of, in->kind == IN_SLICE ? t : attr->i64 - 1 - t);
        }
        const Val *value = scan_instance(u->g, u->scratch, body, given);
        for (int k = 0; k < carries; k++) out[k] = value[body->outputs.at[k].value];
        for (int k = carries; k < outputs; k++) {
            int64_t at = body->outputs.at[k].kind == OUT_STACK ? t : attr->i64 - 1 - t;
            kept[k][at] = value[body->outputs.at[k].value];
        }
    }
    for (int k = carries; k < outputs; k++) out[k] = stacked(u->g, kept[k], attr->i64);
    u->results[v] = out;
}

Graph *graph_unroll(Arena *arena, const Graph *graph) {
    Unroller u = {.g = graph_new(arena), .arena = arena, .scratch = arena_new(), .from = graph};
    u.renamed = arena_array(u.scratch, Val, graph->node.len);
    u.results = arena_array(u.scratch, Val *, graph->node.len);
    for (int i = 0; i < graph->inputs.len; i++) vec_push(arena, &u.g->inputs, graph->inputs.at[i]);
    for (int i = 0; i < graph->key_names.len; i++) vec_push(arena, &u.g->key_names, graph->key_names.at[i]);
    u.g->keys = graph->keys;
    for (Val v = 1; v < (Val)graph->node.len; v++) {
        const Node *node = graph_node(graph, v);
        NodeType like = graph_type(graph, v);
        Val in[MOST];
        if (node->op == G_SCAN) {
            unroll_scan(&u, v);
            continue;
        }
        if (node->op == G_PROJ && u.results[graph_in(graph, v, 0)]) {
            u.renamed[v] = u.results[graph_in(graph, v, 0)][graph_attr(graph, v)->index];
            continue;
        }
        for (int i = 0; i < node->nin; i++) in[i] = u.renamed[graph_in(graph, v, i)];
        u.renamed[v] = graph_add(u.g, (Op)node->op, in, node->nin, graph_attr(graph, v), &like, node->span);
    }
    for (int i = 0; i < graph->outputs.len; i++) {
        const GraphOutput *output = &graph->outputs.at[i];
        graph_output(u.g, output->kind, output->index, output->name, u.renamed[output->value]);
    }
    arena_free(u.scratch);
    return u.g;
}
