/* nest_map.c -- a MAP inside the body of a MAP: point by point (place, unit), for the vector of lanes at hand.
 *
 * Its body is a region of its own, whose inputs vary if the operands do.  Each point runs the body's nests and stores
 * its results; a summed output is one chain over the points, kept in the home of its PROJ. */
#include "kernel/region.h"

typedef struct Inner {
    Ctx *c;                                /* of the body around */
    Val map;
    const Graph *body;
    Region r;
    Ctx in;
    Val *proj;                             /* by output; 0: not wanted */
    Index point;
} Inner;

static KVal inner_mapped(Ctx *c, int operand) {
    Inner *n = c->data;
    return pull(n->c, graph_in(n->c->r->graph, n->map, operand), &n->point);
}

/* Whether the point is left out; 0: no point is. */
static KVal left_out(Inner *n) {
    Gen *g = &n->c->g;
    int zeros = graph_attr(n->c->r->graph, n->map)->index - ZEROS_OF;
    if (zeros < 0) return 0;
    KVal of = inner_mapped(&n->in, zeros);
    return gen_is_zero(g, of);
}

static void find_projections(Inner *n, bool *wanted) {
    const Graph *graph = n->c->r->graph;
    for (Val v = n->map + 1; v < (Val)graph->node.len; v++) {
        if (graph_node(graph, v)->op != G_PROJ || graph_in(graph, v, 0) != n->map || !n->c->r->info[v].live) continue;
        n->proj[graph_attr(graph, v)->index] = v;
        wanted[graph_attr(graph, v)->index] = true;
    }
}

/* Which of the body's inputs differ from lane to lane: those whose operands do. */
static bool *find_varying(const Inner *n) {
    const Region *around = n->c->r;
    bool *varies = arena_array(around->plan->arena, bool, n->body->inputs.len);
    for (int k = 0; k < n->body->inputs.len; k++) {
        const GraphInput *input = &n->body->inputs.at[k];
        int mapped = input->kind == IN_MAPPED ? 0 : graph_attr(around->graph, n->map)->mapped;
        varies[k] = around->info[graph_in(around->graph, n->map, mapped + input->index)].varies;
    }
    return varies;
}

static void place_values(Inner *n) {
    const Info *map = &n->c->r->info[n->map];
    for (Val v = 1; v < (Val)n->body->node.len; v++) {
        Info *info = &n->r.info[v];
        if (!info->live || !info->stored) continue;
        size_t bytes = (size_t)region_size(&n->r, v) * dtype_size((DType)graph_node(n->body, v)->dtype);
        info->home = (Home){.elem = 1};
        if (info->varies) info->home = (Home){.elem = map->home.elem, .vec = map->home.vec};
        info->home.entry = plan_buffer(n->r.plan,
                                       (Buffer){.fixed = bytes * (size_t)info->home.elem + 1024, .scratch = true});
    }
}

/* Adds the point's share: fma of the operands of an OUTER at the root, else a sum. */
static void add_share(Inner *n, Val root, Val proj) {
    const Node *node = graph_node(n->body, root);
    Gen *g = &n->c->g;
    Ix row = {0, 0}, column;
    int64_t columns = node->op == G_OUTER ? node->shape.dim[1] : region_size(&n->r, root);
    if (node->op == G_OUTER) row = loop_begin(n->c, node->shape.dim[0]);
    column = loop_begin(n->c, columns);
    Ix flat = ix_plus(g, ix_times(g, row, columns), column);
    Index a = index_flat(row), b = index_flat(column);
    KVal acc = load_value(n->c, proj, flat), x;
    if (node->op == G_OUTER)
        x = gen_fma(g, pull(&n->in, graph_in(n->body, root, 0), &a), pull(&n->in, graph_in(n->body, root, 1), &b), acc);
    else
        x = gen_2(g, K_ADD, acc, pull(&n->in, root, &b));
    KVal left = left_out(n);
    if (left) x = gen_select(g, left, acc, x);
    store_value(n->c, proj, flat, x);
    loop_end(n->c, columns);
    if (node->op == G_OUTER) loop_end(n->c, node->shape.dim[0]);
}

static void clear_sums(Inner *n) {
    for (int k = 0; k < n->body->outputs.len; k++) {
        if (!n->proj[k] || n->body->outputs.at[k].kind != OUT_SUMMED) continue;
        int64_t size = region_size(n->c->r, n->proj[k]);
        Ix i = loop_begin(n->c, size);
        store_value(n->c, n->proj[k], i, gen_number(&n->c->g, (DType)graph_node(n->c->r->graph, n->proj[k])->dtype, 0));
        loop_end(n->c, size);
    }
}

static void store_result(Inner *n, Val root, Val proj) {
    Gen *g = &n->c->g;
    Index zero = index_flat((Ix){0, 0});
    KVal x = pull(&n->in, root, &zero), left = left_out(n);
    if (left) x = gen_select(g, left, gen_number(g, (DType)graph_node(n->body, root)->dtype, 0), x);
    store_value(n->c, proj, n->point.f, x);
}

static void run_point(Inner *n) {
    for (Val v = 1; v < (Val)n->body->node.len; v++) {
        if (!n->r.info[v].live || !n->r.info[v].stored) continue;
        if (is_nest_elementwise(&n->r, v)) nest_elementwise(&n->in, &v, 1);
        else nest_node(&n->in, v);
    }
    for (int k = 0; k < n->body->outputs.len; k++) {
        Val root = n->body->outputs.at[k].value;
        if (!n->proj[k]) continue;
        if (n->body->outputs.at[k].kind == OUT_SUMMED) add_share(n, root, n->proj[k]);
        else store_result(n, root, n->proj[k]);
    }
}

void nest_map(Ctx *c, Val v) {
    const Shape *shape = &graph_node(c->r->graph, v)->shape;
    Arena *arena = c->r->plan->arena;
    Inner n = {.c = c, .map = v, .body = graph_attr(c->r->graph, v)->body};
    bool *wanted = arena_array(arena, bool, n.body->outputs.len);
    n.proj = arena_array(arena, Val, n.body->outputs.len);
    find_projections(&n, wanted);
    region_analyse(&n.r, c->r->plan, n.body, true, wanted, find_varying(&n));
    place_values(&n);
    n.in = ctx_new(&n.r, c->g, c->lanes);
    n.in.local = c->local;
    n.in.global = c->global;
    n.in.outer = c;
    n.in.map = v;
    n.in.mapped = inner_mapped;
    n.in.data = &n;
    clear_sums(&n);
    int64_t units = shape->rank ? shape->dim[0] : 1, places = shape_size(shape) / units;
    Ix place = loop_begin(c, places), unit = loop_begin(c, units);
    n.point = index_flat(ix_plus(&c->g, ix_times(&c->g, unit, places), place));
    run_point(&n);
    loop_end(c, units);
    loop_end(c, places);
}
