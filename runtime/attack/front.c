/* front.c -- cuts a graph behind its first product: see front.h. */
#include "attack/front.h"

#include <string.h>

static bool is_rows(const Graph *g, Val v) {
    return graph_node(g, v)->op == G_INPUT && g->inputs.at[graph_attr(g, v)->index].kind == IN_ROWS &&
           g->inputs.at[graph_attr(g, v)->index].index == 0;
}

/* Whether element i of v comes from element i of the input and what does not vary. */
static bool is_by_itself(const Graph *g, Val v) {
    const Node *node = graph_node(g, v);
    OpClass class = op_class((Op)node->op);
    if (!node->batched || is_rows(g, v)) return true;
    if (class != CLASS_UNARY && class != CLASS_BINARY && class != CLASS_TERNARY && node->op != G_RESHAPE) return false;
    for (int k = 0; k < node->nin; k++)
        if (!is_by_itself(g, graph_in(g, v, k))) return false;
    return true;
}

/* The slot of the block that v is, or -1. */
static int slot_of(const Graph *g, Val v) {
    if (graph_node(g, v)->op != G_INPUT) return -1;
    const GraphInput *input = &g->inputs.at[graph_attr(g, v)->index];
    return input->kind == IN_BLOCK ? input->index : -1;
}

static bool is_front(const Graph *g, Val v, FrontCut *out) {
    const Node *node = graph_node(g, v);
    if (node->op != G_MATMUL || !node->batched || node->dtype != DT_F32 || node->shape.rank != 1) return false;
    Val w = graph_in(g, v, 0), x = graph_in(g, v, 1);
    *out = (FrontCut){.w = slot_of(g, w), .bias = node->nin > 2 ? slot_of(g, graph_in(g, v, 2)) : -1,
                      .outs = node->shape.dim[0], .inputs = shape_size(&graph_node(g, x)->shape)};
    return out->w >= 0 && (node->nin < 3 || out->bias >= 0) && out->outs > 1 && graph_node(g, x)->batched &&
           graph_node(g, x)->shape.rank == 1 && is_by_itself(g, x);
}

static bool reads_rows(const Graph *g) {
    for (Val v = 1; v < (Val)g->node.len; v++)
        if (is_rows(g, v)) return true;
    return false;
}

bool front_cut(Arena *arena, const Graph *graph, FrontCut *out) {
    Graph *seen = graph_copy(arena, graph), *rest = graph_copy(arena, graph);
    Val front = 0;
    for (Val v = 1; v < (Val)seen->node.len && !front; v++)
        if (is_front(seen, v, out)) front = v;
    if (!front || seen->keys) return false;
    Val x = graph_in(seen, front, 1);
    NodeType type = graph_type(rest, front);
    seen->outputs.len = 0;
    graph_output(seen, OUT_ROWS, 0, "seen", x);
    Val h = graph_input(rest, IN_ROWS, FRONT_ROWS, "front", type);
    for (int k = 0; k < rest->outputs.len; k++)
        rest->outputs.at[k].value = graph_substitute(rest, front, h, rest->outputs.at[k].value);
    out->seen = graph_copy(arena, seen);
    out->rest = graph_copy(arena, rest);
    return reads_rows(out->seen) && !reads_rows(out->rest);
}

void front_weights(Arena *arena, const FrontCut *cut, const BlockLayout *layout, const void *block, Front *out) {
    int64_t wide = (cut->outs + 15) / 16 * 16;
    float *w = arena_alloc(arena, sizeof(float) * (size_t)(wide * cut->inputs) + 64);
    float *b = arena_array(arena, float, wide);
    const float *from = (const void *)((const char *)block + layout->slot[cut->w].offset);
    w = (float *)(((uintptr_t)w + 63) & ~(uintptr_t)63);
    for (int64_t o = 0; o < wide; o++) {
        int64_t first = o / FRONT_PANEL * FRONT_PANEL, width = first + FRONT_PANEL <= wide ? FRONT_PANEL : wide - first;
        float *to = w + first * cut->inputs + (o - first);
        for (int64_t k = 0; k < cut->inputs; k++) to[k * width] = o < cut->outs ? from[o * cut->inputs + k] : 0;
    }
    if (cut->bias >= 0)
        memcpy(b, (const char *)block + layout->slot[cut->bias].offset, sizeof(float) * (size_t)cut->outs);
    out->inputs = cut->inputs;
    out->outs = cut->outs;
    out->wide = wide;
    out->w = w;
    out->b = b;
}
