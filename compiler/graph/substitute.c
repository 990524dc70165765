/* substitute.c -- a value of a graph with another value in the place of one that it is made from.
 *
 * Only what lies between the two is added: nodes that v needs and that depend on `from`.  Key slots are shared, so
 * random numbers on the way are the same ones in both. */
#include "graph/graph.h"

static void mark_needed(const Graph *g, Val from, Val v, bool *needed) {
    needed[v] = true;
    for (; v > from; v--)
        for (int i = 0; needed[v] && i < graph_node(g, v)->nin; i++) needed[graph_in(g, v, i)] = true;
}

/* 0: it does not depend on what was replaced. */
static Val renewed(Graph *g, Val v, const Val *renamed) {
    NodeType type = graph_type(g, v);
    Node node = *graph_node(g, v);
    Attr attr = *graph_attr(g, v);
    Val in[255];
    bool depends = false;
    for (int i = 0; i < node.nin; i++) {
        Val old = graph_in(g, v, i);
        in[i] = renamed[old] ? renamed[old] : old;
        depends |= renamed[old] != 0;
    }
    return depends ? graph_add(g, (Op)node.op, in, node.nin, &attr, &type, node.span) : 0;
}

Val graph_substitute(Graph *g, Val from, Val to, Val v) {
    if (v < from) return v;
    Arena *scratch = arena_new();
    bool *needed = arena_array(scratch, bool, v + 1);
    Val *renamed = arena_array(scratch, Val, v + 1);
    mark_needed(g, from, v, needed);
    renamed[from] = to;
    for (Val k = from + 1; k <= v; k++)
        if (needed[k]) renamed[k] = renewed(g, k, renamed);
    Val out = renamed[v] ? renamed[v] : v;
    arena_free(scratch);
    return out;
}
