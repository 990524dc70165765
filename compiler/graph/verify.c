/* verify.c -- every invariant of graph.h, checked from outside the builder.
 *
 * Types are inferred anew; consing is checked by replaying all nodes into a fresh graph, where each must get the
 * id it has.  Reports the first violation. */
#include "graph/rules.h"

typedef struct Verifier { const Graph *g; Arena *arena; bool body, scan; } Verifier;   /* scan: a SCAN's body */

static const char *complain(const Verifier *v, const char *what, long where, const char *why) {
    return arena_printf(v->arena, "%s%s %ld: %s", v->body ? "in a body, " : "", what, where, why);
}

/* ---- inputs and outputs ---- */

static const char *input_wrong(const Verifier *v, const GraphInput *input) {
    bool number = input->shape.rank == 0 && !input->batched;
    if (input->index < 0) return "a negative index";
    if (v->scan) return input->kind >= IN_CARRY ? NULL : "a scan's body is fed by its scan alone";
    if (v->body) return input->kind == IN_MAPPED || input->kind == IN_SHARED ? NULL : "a body is fed by its map alone";
    switch (input->kind) {
    case IN_ROWS: return !input->batched ? "rows must be batched" : input->index > 3 ? "rows beyond 3" : NULL;
    case IN_BLOCK: return input->batched ? "a slot of the block must not be batched" : NULL;
    case IN_SETTING: return number && input->dtype == DT_F64 ? NULL : "a setting must be an f64 scalar";
    case IN_STEP:
    case IN_BATCH: return number && input->dtype == DT_I32 ? NULL : "the count must be an i32 scalar";
    case IN_MAPPED: return number ? NULL : "a mapped input must be a scalar";
    case IN_SHARED: return input->batched ? "a shared input must not be batched" : NULL;
    case IN_CARRY:
    case IN_SLICE:
    case IN_SLICE_BACK:
    case IN_WHOLE: return "such an input is of a scan's body";
    }
    return "no such kind of input";
}

static const char *verify_inputs(const Verifier *v) {
    const Graph *g = v->g;
    for (int i = 0; i < g->inputs.len; i++) {
        const char *why = input_wrong(v, &g->inputs.at[i]);
        for (int k = 0; k < i && !why; k++)
            if (g->inputs.at[k].kind == g->inputs.at[i].kind && g->inputs.at[k].index == g->inputs.at[i].index)
                why = "the same input twice";
        if (why) return complain(v, "input", i, why);
    }
    return NULL;
}

static const char *output_wrong(const Verifier *v, const GraphOutput *output) {
    if (output->value == 0 || output->value >= (Val)v->g->node.len) return "no such value";
    const Node *node = graph_node(v->g, output->value);
    if (node->op == G_MAP || node->op == G_SCAN) return "a map is no value";
    if (v->scan != (output->kind >= OUT_CARRY)) return "a scan's body has outputs of other kinds";
    if (output->index < 0) return "a negative index";
    switch (output->kind) {
    case OUT_BLOCK: return node->batched ? "a slot of the block must not be batched" : NULL;
    case OUT_ROWS: return !node->batched ? "rows must be batched" : output->index > 7 ? "rows beyond 7" : NULL;
    case OUT_SERIES:
        if (output->index > 7) return "series beyond 7";
        return node->batched || node->shape.rank ? "a series is a scalar, not batched" : NULL;
    case OUT_MAPPED: return node->shape.rank ? "a mapped output must be a scalar" : NULL;
    case OUT_SUMMED:
    case OUT_VALUE:
    case OUT_CARRY:
    case OUT_STACK:
    case OUT_STACK_BACK: return NULL;
    }
    return "no such kind of output";
}

static const char *verify_outputs(const Verifier *v) {
    const Graph *g = v->g;
    for (int i = 0; i < g->outputs.len; i++) {
        const GraphOutput *a = &g->outputs.at[i];
        const char *why = output_wrong(v, a);
        bool once = a->kind == OUT_BLOCK || a->kind == OUT_ROWS || a->kind == OUT_SERIES;
        for (int k = 0; k < i && once && !why; k++)
            if (g->outputs.at[k].kind == a->kind && g->outputs.at[k].index == a->index) why = "written twice";
        if (why) return complain(v, "output", i, why);
    }
    return NULL;
}

/* Holes are for building alone. */
static const char *verify_closed(const Verifier *v, Arena *scratch) {
    bool *live = arena_array(scratch, bool, v->g->node.len);
    for (int i = 0; i < v->g->outputs.len; i++) live[v->g->outputs.at[i].value] = true;
    for (Val id = (Val)v->g->node.len - 1; id > 0; id--) {
        if (!live[id]) continue;
        if (graph_node(v->g, id)->op == G_HOLE) return complain(v, "node", id, "an output reaches a hole");
        for (int i = 0; i < graph_node(v->g, id)->nin; i++) live[graph_in(v->g, id, i)] = true;
    }
    return NULL;
}

/* ---- nodes ---- */

/* The attribute as graph_add would keep it. */
static bool attr_is_normal(const Node *node, const Attr *attr) {
    uint32_t uses = attr_uses((Op)node->op);
    Attr rest = *attr;
    if (uses & USES_VALUE && const_normal((DType)node->dtype, attr) == attr->i64) rest.i64 = 0;
    if (uses & (USES_INDEX | USES_ZEROS)) rest.index = 0;
    if (uses & USES_AXIS) rest.axis = 0;
    if (uses & USES_MAPPED) rest.mapped = 0;
    if (uses & USES_AXES) rest.axes = 0;
    for (int i = 0; uses & USES_STARTS && i < node->shape.rank; i++) rest.starts[i] = 0;
    if (uses & USES_WINDOW) {
        Window normal = window_normal(&attr->window, window_axes((Op)node->op, node->shape.rank));
        if (memcmp(&normal, &attr->window, sizeof normal) == 0) rest.window = (Window){0};
    }
    if (uses & USES_BLOB) rest.blob = NULL;
    if (uses & USES_BODY) rest.body = NULL;
    static const Attr none;
    return attr_equal(&rest, &none);
}

static const char *verify_body(const Verifier *v, const Graph *body, bool scan);

static const char *node_wrong(const Verifier *v, Val id) {
    const Graph *g = v->g;
    const Node *node = graph_node(g, id);
    if (node->op >= G_COUNT || node->dtype > DT_F64) return "no such op or dtype";
    if ((int64_t)node->in + node->nin > g->operand.len) return "operands out of range";
    if (node->attr >= (uint32_t)g->attr.len) return "attribute out of range";
    for (int i = 0; i < node->nin; i++)
        if (graph_in(g, id, i) == 0 || graph_in(g, id, i) >= id) return "an operand's id is not smaller";
    NodeType has = graph_type(g, id), type;
    const Attr *attr = graph_attr(g, id);
    const char *reason = "";
    const Val *in = node->nin ? &g->operand.at[node->in] : NULL;
    if (!graph_infer(g, (Op)node->op, in, node->nin, attr, &has, &type, &reason)) return reason;
    if (type.dtype != has.dtype || type.batched != has.batched || !shape_equal(&type.shape, &has.shape))
        return "the type is not what the shape rule gives";
    if (!attr_is_normal(node, attr)) return "an attribute that the op does not use, or not in normal form";
    bool random = node->op == G_NOISE || node->op == G_NORMAL;
    if (v->body && (random || (node->batched && !v->scan))) return "a body holds no batch and no random numbers";
    if (v->body && !v->scan && node->op == G_SCAN) return "a map's body holds no scan";
    return attr->body ? verify_body(v, attr->body, node->op == G_SCAN) : NULL;
}

static const char *verify_nodes(const Verifier *v, Graph *replay) {
    const Graph *g = v->g;
    for (Val id = 1; id < (Val)g->node.len; id++) {
        const char *why = node_wrong(v, id);
        if (why) return complain(v, "node", id, why);
        const Node *node = graph_node(g, id);
        NodeType type = graph_type(g, id);
        const Val *in = node->nin ? &g->operand.at[node->in] : NULL;
        if (graph_add(replay, (Op)node->op, in, node->nin, graph_attr(g, id), &type, node->span) != id)
            return complain(v, "node", id, "equal to an earlier node");
    }
    return NULL;
}

static const char *verify_graph(const Verifier *v) {
    const Graph *g = v->g;
    static const Attr none;
    if (g->node.len < 1 || g->attr.len < 1 || !attr_equal(&g->attr.at[0], &none)) return "entry 0 is not empty";
    if (g->keys != g->key_names.len) return "the number of keys is not that of their names";
    const char *wrong = verify_inputs(v);
    if (wrong) return wrong;
    Arena *scratch = arena_new();
    Graph *replay = graph_new(scratch);
    for (int i = 0; i < g->inputs.len; i++) vec_push(scratch, &replay->inputs, g->inputs.at[i]);
    replay->keys = g->keys;
    wrong = verify_nodes(v, replay);
    if (!wrong) wrong = verify_outputs(v);
    if (!wrong) wrong = verify_closed(v, scratch);
    arena_free(scratch);
    return wrong;
}

static const char *verify_body(const Verifier *v, const Graph *body, bool scan) {
    Verifier inner = {body, v->arena, true, scan};
    return verify_graph(&inner);
}

const char *graph_verify(const Graph *graph, Arena *arena) {
    Verifier v = {graph, arena, false, false};
    return verify_graph(&v);
}
