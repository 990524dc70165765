/* needed.c -- pass_needed: cells are not evaluated where their result is not read.
 *
 *   c ? k : f(cell(x, ...))      f element by element, each value on the way read once: dropout behind a cell
 *
 * Where c holds, nobody reads the cell's result.  Its MAP gets a further operand, c ? 0 : 1, whose zeros leave points
 * out: +0 stands there, which nobody reads.  Only for cells whose body is worth it (pass_has_product), and not inside
 * bodies.
 * Requires a graph that verifies, simplified (dead nodes count as readers).  Ensures that every output keeps its bits;
 * inputs, key slots and outputs keep their places. */
#include "pass/pass.h"

enum { MAX_WAY = 16 };

typedef struct Needed { Graph *g; int *uses; } Needed;

bool pass_has_product(const Graph *body) {
    for (Val v = 1; v < (Val)body->node.len; v++) {
        const Node *node = graph_node(body, v);
        if (node->op != G_MATMUL) continue;
        const Shape *x = &graph_node(body, graph_in(body, v, 1))->shape;
        if (node->shape.rank && node->shape.dim[0] >= 16 && x->rank && x->dim[0] >= 16) return true;
    }
    return false;
}

static void count_uses(Needed *n, Arena *arena) {
    n->uses = arena_array(arena, int, n->g->node.len);
    for (int i = 0; i < n->g->outputs.len; i++) n->uses[n->g->outputs.at[i].value]++;
    for (Val v = 1; v < (Val)n->g->node.len; v++)
        for (int i = 0; i < graph_node(n->g, v)->nin; i++) n->uses[graph_in(n->g, v, i)]++;
}

static bool is_worth(const Needed *n, Val map) {
    const Attr *attr = graph_attr(n->g, map);
    if (graph_node(n->g, map)->op != G_MAP || graph_node(n->g, map)->nin == 255) return false;
    return n->uses[map] == 1 && attr->index == 0 && attr->body->outputs.len == 1 &&
           attr->body->outputs.at[0].kind == OUT_MAPPED && pass_has_product(attr->body);
}

/* The PROJ of such a cell below v, which is read once, through at most `way` operations of v's shape; 0: none. */
static Val cell_below(const Needed *n, Val v, int way) {
    const Node *node = graph_node(n->g, v);
    if (n->uses[v] != 1 || !way) return 0;
    if (node->op == G_PROJ) return is_worth(n, graph_in(n->g, v, 0)) ? v : 0;
    OpClass class = op_class((Op)node->op);
    if (class != CLASS_UNARY && class != CLASS_BINARY && class != CLASS_TERNARY) return 0;
    for (int i = 0; i < node->nin; i++) {
        Val found = cell_below(n, graph_in(n->g, v, i), way - 1);
        if (found) return found;
    }
    return 0;
}

/* The cell again; it is read where `chosen` holds, or does not hold (otherwise). */
static Val leave_out(Graph *g, Val proj, Val chosen, bool otherwise) {
    Val map = graph_in(g, proj, 0), in[256];
    Attr attr = *graph_attr(g, map);
    Node node = *graph_node(g, map);
    DType dtype = (DType)graph_node(g, proj)->dtype;
    NodeType type = {dtype, node.shape, graph_node(g, chosen)->batched};
    Val one = graph_broadcast(g, graph_const(g, dtype, 1), node.shape);
    Val none = graph_broadcast(g, graph_const(g, dtype, 0), node.shape);
    for (int i = 0; i < node.nin; i++) in[i < attr.mapped ? i : i + 1] = graph_in(g, map, i);
    Val choice[] = {chosen, otherwise ? none : one, otherwise ? one : none};
    in[attr.mapped] = graph_add(g, G_SELECT, choice, 3, NULL, &type, node.span);
    attr.index = ZEROS_OF + attr.mapped++;
    return graph_proj(g, graph_add(g, G_MAP, in, node.nin + 1, &attr, NULL, node.span), 0);
}

static void replace(Graph *g, Val from, Val to) {
    for (int i = 0; i < g->outputs.len; i++)
        g->outputs.at[i].value = graph_substitute(g, from, to, g->outputs.at[i].value);
}

/* One cell of a SELECT's two; false: none. */
static bool improve(Graph *g, Arena *scratch) {
    Needed n = {.g = g};
    count_uses(&n, scratch);
    for (Val v = 1; v < (Val)g->node.len; v++) {
        if (graph_node(g, v)->op != G_SELECT) continue;
        for (int i = 1; i < 3; i++) {
            Val proj = cell_below(&n, graph_in(g, v, i), MAX_WAY), chosen = graph_in(g, v, 0);
            if (!proj || !shape_equal(&graph_node(g, chosen)->shape, &graph_node(g, proj)->shape)) continue;
            if (graph_node(g, chosen)->batched && !graph_node(g, proj)->batched) continue;
            replace(g, proj, leave_out(g, proj, chosen, i == 2));
            return true;
        }
    }
    return false;
}

Graph *pass_needed(Arena *arena, const Graph *graph) {
    Graph *g = graph_copy(arena, graph);
    Arena *scratch = arena_new();
    while (improve(g, scratch)) g = graph_copy(arena, g);
    arena_free(scratch);
    return g;
}
