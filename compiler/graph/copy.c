/* copy.c -- copies what the outputs reach into a fresh graph.
 *
 * Inputs, key slots and outputs keep their places even where nothing uses them, so that what feeds the graph need
 * not change.  Bodies and tables are shared if the arena is the same, else copied too. */
#include "graph/graph.h"

typedef struct Copier { Arena *arena; const Graph *from; Map memo; bool share; } Copier;

static bool *reached(Arena *arena, const Graph *g) {
    bool *live = arena_array(arena, bool, g->node.len);
    for (int i = 0; i < g->outputs.len; i++) live[g->outputs.at[i].value] = true;
    for (Val v = (Val)g->node.len - 1; v > 0; v--)
        for (int i = 0; live[v] && i < graph_node(g, v)->nin; i++) live[graph_in(g, v, i)] = true;
    return live;
}

static const char *copy_name(const Copier *c, const char *name) {
    return c->share ? name : arena_copy(c->arena, name, strlen(name));
}

static const Blob *copy_blob(Copier *c, const Blob *blob) {
    Blob *out = map_get(&c->memo, blob);
    if (out) return out;
    size_t size = (size_t)shape_size(&blob->shape) * dtype_size(blob->dtype);
    void *data = arena_alloc(c->arena, size);
    memcpy(data, blob->data, size);
    out = arena_new_of(c->arena, Blob);
    *out = (Blob){blob->dtype, blob->shape, data, blob->hash};
    map_put(&c->memo, blob, out);
    return out;
}

static const Graph *copy_body(Copier *c, const Graph *body) {
    Graph *out = map_get(&c->memo, body);
    if (out) return out;
    out = graph_copy(c->arena, body);
    map_put(&c->memo, body, out);
    return out;
}

static void copy_ends(Copier *c, Graph *out) {
    const Graph *g = c->from;
    for (int i = 0; i < g->inputs.len; i++) {
        GraphInput input = g->inputs.at[i];
        input.name = copy_name(c, input.name);
        vec_push(c->arena, &out->inputs, input);
    }
    for (int i = 0; i < g->key_names.len; i++)
        vec_push(c->arena, &out->key_names, copy_name(c, g->key_names.at[i]));
    out->keys = out->key_names.len;
}

static Val copy_node(Copier *c, Graph *out, Val v, const Val *renamed) {
    const Node *node = graph_node(c->from, v);
    NodeType type = graph_type(c->from, v);
    Attr attr = *graph_attr(c->from, v);
    Val in[255];
    for (int i = 0; i < node->nin; i++) in[i] = renamed[graph_in(c->from, v, i)];
    if (attr.blob && !c->share) attr.blob = copy_blob(c, attr.blob);
    if (attr.body && !c->share) attr.body = copy_body(c, attr.body);
    return graph_add(out, (Op)node->op, in, node->nin, &attr, &type, node->span);
}

Graph *graph_copy(Arena *arena, const Graph *graph) {
    Arena *scratch = arena_new();
    Copier c = {.arena = arena, .from = graph, .share = arena == graph->arena};
    Graph *out = graph_new(arena);
    bool *live = reached(scratch, graph);
    Val *renamed = arena_array(scratch, Val, graph->node.len);
    map_init(&c.memo, scratch);
    copy_ends(&c, out);
    for (Val v = 1; v < (Val)graph->node.len; v++)
        if (live[v]) renamed[v] = copy_node(&c, out, v, renamed);
    for (int i = 0; i < graph->outputs.len; i++) {
        const GraphOutput *output = &graph->outputs.at[i];
        graph_output(out, output->kind, output->index, copy_name(&c, output->name), renamed[output->value]);
    }
    arena_free(scratch);
    return out;
}
