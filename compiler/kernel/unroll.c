/* unroll.c -- every element of every example of a graph as one value; all indices are known while generating.
 *
 * Used where the whole graph is small: a neuron-sized program (lanes are trials) and the body of a small MAP (lanes
 * are points).  Orders of arithmetic are those of graph/eval.c. */
#include "graph/window.h"
#include "kernel/lower_parts.h"

static int64_t node_size(const Unrolled *u, Val v) { return shape_size(&graph_node(u->graph, v)->shape); }

KVal unroll_at(const Unrolled *u, Val v, int64_t example, int64_t element) {
    return u->value[v][(graph_node(u->graph, v)->batched ? example * node_size(u, v) : 0) + element];
}

static KVal operand(const Unrolled *u, Val v, int k, int64_t example, int64_t element) {
    return unroll_at(u, graph_in(u->graph, v, k), example, element);
}

/* ---- cost ---- */

static int64_t op_cost(Op op) {
    static const uint8_t cost[G_COUNT] = {
        [G_EXP] = 15, [G_LOG] = 15, [G_POWI] = 15, [G_SIN] = 30, [G_COS] = 30, [G_TANH] = 30, [G_ERF] = 30,
        [G_POW] = 30, [G_NOISE] = 30, [G_NORMAL] = 50,
    };
    return cost[op] ? cost[op] : 1;
}

static int64_t saturate(double x, int64_t limit) { return x > (double)limit ? limit : (int64_t)x; }

static int64_t node_cost(const Graph *graph, Val v, int64_t examples, int64_t limit) {
    const Node *node = graph_node(graph, v);
    double size = (double)shape_size(&node->shape), each = (double)op_cost((Op)node->op);
    double in = node->nin ? (double)shape_size(&graph_node(graph, graph_in(graph, v, 0))->shape) : 0;
    if (node->op == G_INTERPOLATE || node->op == G_LOOKUP) return limit;
    if (node->op == G_BATCH_INTERPOLATE || node->op == G_BATCH_MAXIMUM) return limit;
    if (node->op == G_SCAN) return limit;
    double count = node->batched || op_class((Op)node->op) == CLASS_BATCH ? (double)examples : 1;
    if (node->op == G_MAP) each = (double)unroll_cost(graph_attr(graph, v)->body, 1, limit);
    if (node->op == G_MATMUL) {
        const Shape *x = &graph_node(graph, graph_in(graph, v, 1))->shape;
        each = (double)x->dim[0];
    } else if (node->op == G_CONV) {
        each = in / (double)node->shape.dim[0];
    } else if (op_class((Op)node->op) == CLASS_REDUCE || op_class((Op)node->op) == CLASS_BATCH) {
        if (in > size) size = in;
        if (node->op == G_BATCH_OUTER) size = (double)shape_size(&node->shape) * in / (double)node->shape.dim[0];
        if (node->op == G_BATCH_CONV) size = (double)shape_size(&node->shape) * in / (double)node->shape.dim[0];
        if (node->op == G_BATCH_EMBED) size = in * (double)node->shape.dim[0];
    } else if (node->op == G_PICK) {
        size = in;
    } else if (node->op == G_EMBED) {
        each = (double)graph_node(graph, graph_in(graph, v, 0))->shape.dim[0];
    }
    return saturate(size * each * count, limit);
}

int64_t unroll_cost(const Graph *graph, int64_t examples, int64_t limit) {
    int64_t total = 0;
    for (Val v = 1; v < (Val)graph->node.len && total < limit; v++) total += node_cost(graph, v, examples, limit);
    return total < limit ? total : limit;
}

/* ---- views: where element i of the result comes from ---- */

static void unflatten(const Shape *shape, int64_t flat, int64_t at[MAX_RANK]) {
    for (int i = shape->rank - 1; i >= 0; i--) {
        at[i] = flat % shape->dim[i];
        flat /= shape->dim[i];
    }
}

static int64_t flatten(const Shape *shape, const int64_t at[MAX_RANK]) {
    int64_t flat = 0;
    for (int i = 0; i < shape->rank; i++) flat = flat * shape->dim[i] + at[i];
    return flat;
}

/* The operand's element that a BROADCAST, TRANSPOSE, SLICE or PAD takes; -1: a zero of PAD. */
static int64_t view_source(const Unrolled *u, Val v, int64_t i) {
    const Node *node = graph_node(u->graph, v);
    const Shape *from = &graph_node(u->graph, graph_in(u->graph, v, 0))->shape;
    const Attr *attr = graph_attr(u->graph, v);
    int64_t at[MAX_RANK], in[MAX_RANK] = {0};
    unflatten(&node->shape, i, at);
    for (int k = 0; k < from->rank; k++) {
        if (node->op == G_BROADCAST) in[k] = from->dim[k] == 1 ? 0 : at[k];
        else if (node->op == G_SLICE) in[k] = at[k] + attr->starts[k];
        else if (node->op == G_PAD) in[k] = at[k] - attr->starts[k];
        else in[attr->starts[k]] = at[k];
    }
    for (int k = 0; k < from->rank; k++)
        if (in[k] < 0 || in[k] >= from->dim[k]) return -1;
    return flatten(from, in);
}

static KVal concat_at(const Unrolled *u, Val v, int64_t e, int64_t i) {
    const Node *node = graph_node(u->graph, v);
    int axis = graph_attr(u->graph, v)->axis, k = 0;
    int64_t at[MAX_RANK];
    unflatten(&node->shape, i, at);
    const Shape *part = &graph_node(u->graph, graph_in(u->graph, v, 0))->shape;
    while (at[axis] >= part->dim[axis]) {
        at[axis] -= part->dim[axis];
        part = &graph_node(u->graph, graph_in(u->graph, v, ++k))->shape;
    }
    return operand(u, v, k, e, flatten(part, at));
}

/* One of n values, by an index that is known only when running (clamped). */
static KVal choose(Unrolled *u, KVal index, int64_t n, KVal (*at)(Unrolled *, Val, int64_t e, int64_t i, int64_t k),
                   Val v, int64_t e, int64_t i) {
    KVal chosen = at(u, v, e, i, 0);
    for (int64_t k = 1; k < n; k++) {
        KVal reached = gen_2(u->g, K_LE, k_int(u->g->m, u->g->f, KS_I32, k), index);
        chosen = gen_select(u->g, reached, at(u, v, e, i, k), chosen);
    }
    return chosen;
}

static KVal pick_row(Unrolled *u, Val v, int64_t e, int64_t i, int64_t k) {
    return operand(u, v, 0, e, k * node_size(u, v) + i);
}

static KVal embed_row(Unrolled *u, Val v, int64_t e, int64_t i, int64_t k) {
    const Shape *table = &graph_node(u->graph, graph_in(u->graph, v, 0))->shape;
    int64_t places = node_size(u, v) / table->dim[1];
    return operand(u, v, 0, e, k * table->dim[1] + i / places);
}

static KVal view_at(Unrolled *u, Val v, int64_t e, int64_t i) {
    const Node *node = graph_node(u->graph, v);
    const Shape *from = &graph_node(u->graph, graph_in(u->graph, v, 0))->shape;
    if (node->op == G_RESHAPE) return operand(u, v, 0, e, i);
    if (node->op == G_CONCAT) return concat_at(u, v, e, i);
    if (node->op == G_PICK) return choose(u, operand(u, v, 1, e, i), from->dim[0], pick_row, v, e, i);
    if (node->op == G_EMBED) {
        int64_t places = node_size(u, v) / from->dim[1];
        return choose(u, operand(u, v, 1, e, i % places), from->dim[0], embed_row, v, e, i);
    }
    int64_t source = view_source(u, v, i);
    return source < 0 ? gen_number(u->g, (DType)node->dtype, 0) : operand(u, v, 0, e, source);
}

/* ---- reductions: 16 partials and the tree ---- */

static KVal tree(Unrolled *u, Op op, KVal p[16]) {
    for (int by = 8; by > 0; by /= 2)
        for (int k = 0; k < by; k++) p[k] = gen_join(u->g, op, p[k], p[k + by]);
    return p[0];
}

/* Calls `element` for the operand's elements that result element `r` reduces, in row-major order: flat index, and the
 * number that decides the partial. */
typedef struct Walk { const Shape *from; uint32_t axes; int64_t at[MAX_RANK], number; bool first; } Walk;

static Walk walk_start(const Shape *from, uint32_t axes, int64_t result) {
    Walk w = {.from = from, .axes = axes, .first = true};
    for (int k = from->rank - 1; k >= 0; k--) {
        if (axes >> k & 1) continue;
        w.at[k] = result % from->dim[k];
        result /= from->dim[k];
    }
    return w;
}

static bool walk_next(Walk *w, int64_t *flat, int64_t *partial) {
    if (w->first) {
        w->first = false;
    } else {
        int k = w->from->rank - 1;
        for (; k >= 0; k--) {
            if (!(w->axes >> k & 1)) continue;
            if (++w->at[k] < w->from->dim[k]) break;
            w->at[k] = 0;
        }
        if (k < 0) return false;
        w->number++;
    }
    *flat = flatten(w->from, w->at);
    *partial = w->axes & 1 ? w->at[0] : w->number;
    return true;
}

static KVal reduce_at(Unrolled *u, Val v, int64_t e, int64_t i) {
    const Node *node = graph_node(u->graph, v);
    const Shape *from = &graph_node(u->graph, graph_in(u->graph, v, 0))->shape;
    Walk walk = walk_start(from, graph_attr(u->graph, v)->axes, i);
    KVal p[16];
    int64_t flat, partial;
    for (int k = 0; k < 16; k++) p[k] = gen_start(u->g, (Op)node->op, (DType)node->dtype);
    while (walk_next(&walk, &flat, &partial))
        p[partial % 16] = gen_join(u->g, (Op)node->op, p[partial % 16], operand(u, v, 0, e, flat));
    return tree(u, (Op)node->op, p);
}

/* The first of the largest; NaN counts as largest. */
static KVal argmax_at(Unrolled *u, Val v, int64_t e, int64_t i) {
    const Shape *from = &graph_node(u->graph, graph_in(u->graph, v, 0))->shape;
    int64_t places = node_size(u, v);
    KVal best = operand(u, v, 0, e, i), index = gen_number(u->g, DT_I32, 0);
    for (int64_t k = 1; k < from->dim[0]; k++) {
        KVal x = operand(u, v, 0, e, k * places + i);
        KVal wins = gen_argmax_wins(u->g, x, best);
        best = gen_select(u->g, wins, x, best);
        index = gen_select(u->g, wins, gen_number(u->g, DT_I32, (double)k), index);
    }
    return index;
}

/* ---- over the batch: shards of 32 examples, in index order ---- */

typedef KVal (*ShardElement)(Unrolled *u, Val v, int64_t e, int64_t i, KVal acc);

/* Whether each example's chain begins at 0. */
static bool each_by_itself(const Unrolled *u, Val v) {
    int64_t size = node_size(u, v), in = node_size(u, graph_in(u->graph, v, 0));
    const Shape *shape = &graph_node(u->graph, v)->shape;
    Op op = (Op)graph_node(u->graph, v)->op;
    if (op == G_BATCH_CONV) return conv_by_example(in / shape->dim[0], size / shape->dim[0]);
    return op == G_BATCH_SUM && sum_by_example(size ? in / size : 0);
}

static KVal over_batch(Unrolled *u, Val v, int64_t i, ShardElement add) {
    DType dtype = (DType)graph_node(u->graph, v)->dtype;
    KVal total = 0, zero = gen_number(u->g, dtype, 0);
    bool apart = each_by_itself(u, v);
    for (int64_t e = 0; e < u->examples;) {
        KVal acc = zero;
        int64_t end = e + SHARD < u->examples ? e + SHARD : u->examples;
        for (; e < end; e++) {
            KVal sum = add(u, v, e, i, apart ? zero : acc);
            acc = apart ? gen_2(u->g, K_ADD, acc, sum) : sum;
        }
        total = total ? gen_2(u->g, K_ADD, total, acc) : acc;
    }
    return total;
}

/* The summed elements of one example: place by place, the first axis fastest. */
static KVal batch_sum_example(Unrolled *u, Val v, int64_t e, int64_t i, KVal acc) {
    const Shape *from = &graph_node(u->graph, graph_in(u->graph, v, 0))->shape;
    uint32_t axes = graph_attr(u->graph, v)->axes;
    Walk walk = walk_start(from, axes & ~1u, 0), fixed = walk_start(from, axes, i);
    int64_t flat, partial, step = from->rank ? shape_size(from) / from->dim[0] : 0;
    memcpy(walk.at, fixed.at, sizeof walk.at);
    while (walk_next(&walk, &flat, &partial))
        for (int64_t k = 0; k < (axes & 1 ? from->dim[0] : 1); k++)
            acc = gen_2(u->g, K_ADD, acc, operand(u, v, 0, e, flat + k * step));
    return acc;
}

static KVal batch_outer_example(Unrolled *u, Val v, int64_t e, int64_t i, KVal acc) {
    const Shape *shape = &graph_node(u->graph, v)->shape;
    int64_t places = node_size(u, graph_in(u->graph, v, 0)) / shape->dim[0];
    int64_t o = i / shape->dim[1], n = i % shape->dim[1];
    for (int64_t p = 0; p < places; p++)
        acc = gen_fma(u->g, operand(u, v, 0, e, o * places + p), operand(u, v, 1, e, n * places + p), acc);
    return acc;
}

typedef struct Conv { const Window *window; const Shape *w, *x, *y; int axes; int64_t taps, inputs, places; } Conv;

static Conv conv_open(Unrolled *u, Val v, const Shape *w, const Shape *x, const Shape *y) {
    return (Conv){&graph_attr(u->graph, v)->window, w, x, y, x->rank - 1, shape_size(w) / w->dim[0] / w->dim[1],
                  shape_size(x) / x->dim[0], shape_size(y) / y->dim[0]};
}

static int64_t first_feature(const Conv *c, int64_t o) {
    return o / (c->w->dim[0] / c->window->groups) * c->w->dim[1];
}

static KVal batch_conv_example(Unrolled *u, Val v, int64_t e, int64_t i, KVal acc) {
    const Shape *dy = &graph_node(u->graph, graph_in(u->graph, v, 0))->shape;
    const Shape *x = &graph_node(u->graph, graph_in(u->graph, v, 1))->shape;
    Conv c = conv_open(u, v, &graph_node(u->graph, v)->shape, x, dy);
    int64_t o = i / c.taps / c.w->dim[1], n = first_feature(&c, o) + i / c.taps % c.w->dim[1];
    for (int64_t p = 0; p < c.places; p++) {
        int64_t j = window_place(c.window, c.axes, c.w->dim + 2, x->dim + 1, dy->dim + 1, p, i % c.taps);
        if (j < 0) continue;
        acc = gen_fma(u->g, operand(u, v, 0, e, o * c.places + p), operand(u, v, 1, e, n * c.inputs + j), acc);
    }
    return acc;
}

static KVal batch_embed_example(Unrolled *u, Val v, int64_t e, int64_t i, KVal acc) {
    const Shape *shape = &graph_node(u->graph, v)->shape;
    int64_t places = node_size(u, graph_in(u->graph, v, 1)), d = i % shape->dim[1];
    KVal row = gen_number(u->g, DT_I32, (double)(i / shape->dim[1]));
    for (int64_t p = 0; p < places; p++) {
        KVal here = gen_2(u->g, K_EQ, gen_clamp(u->g, operand(u, v, 1, e, p), shape->dim[0]), row);
        KVal more = gen_2(u->g, K_ADD, acc, operand(u, v, 0, e, d * places + p));
        acc = gen_select(u->g, here, more, acc);
    }
    return acc;
}

/* ---- contractions ---- */

static KVal matmul_at(Unrolled *u, Val v, int64_t e, int64_t i) {
    const Node *node = graph_node(u->graph, v);
    const Shape *w = &graph_node(u->graph, graph_in(u->graph, v, 0))->shape;
    int64_t n = w->dim[w->rank - 1], outs = shape_size(w) / n, places = shape_size(&node->shape) / outs;
    int64_t o = i / places, p = i % places;
    KVal init = node->nin > 2 ? operand(u, v, 2, e, o) : 0, zero = gen_number(u->g, (DType)node->dtype, 0), part[16];
    if (outs > 1) {
        KVal acc = init ? init : zero;
        for (int64_t k = 0; k < n; k++)
            acc = gen_fma(u->g, operand(u, v, 0, e, o * n + k), operand(u, v, 1, e, k * places + p), acc);
        return acc;
    }
    for (int k = 0; k < 16; k++) part[k] = zero;
    for (int64_t k = 0; k < n; k++)
        part[k % 16] = gen_fma(u->g, operand(u, v, 0, e, k), operand(u, v, 1, e, k * places + p), part[k % 16]);
    KVal sum = tree(u, G_SUM, part);
    return init ? gen_2(u->g, K_ADD, sum, init) : sum;
}

static KVal conv_at(Unrolled *u, Val v, int64_t e, int64_t i) {
    const Node *node = graph_node(u->graph, v);
    const Shape *w = &graph_node(u->graph, graph_in(u->graph, v, 0))->shape;
    const Shape *x = &graph_node(u->graph, graph_in(u->graph, v, 1))->shape;
    Conv c = conv_open(u, v, w, x, &node->shape);
    int64_t o = i / c.places, first = first_feature(&c, o), each = w->dim[1], k, j;
    KVal acc = node->nin > 2 ? operand(u, v, 2, e, o) : gen_number(u->g, (DType)node->dtype, 0);
    Taps taps = taps_open(c.window, c.axes, w->dim + 2, x->dim + 1, node->shape.dim + 1, i % c.places);
    while (taps_next(&taps, &k, &j))
        for (int64_t n = 0; n < each; n++)
            acc = gen_fma(u->g, operand(u, v, 0, e, (o * each + n) * c.taps + k),
                          operand(u, v, 1, e, (first + n) * c.inputs + j), acc);
    return acc;
}

static KVal outer_at(Unrolled *u, Val v, int64_t e, int64_t i) {
    int64_t n = graph_node(u->graph, v)->shape.dim[1];
    return gen_2(u->g, K_MUL, operand(u, v, 0, e, i / n), operand(u, v, 1, e, i % n));
}

/* ---- regions ---- */

static void body_leaf(void *data, Unrolled *u, Val v, KVal *out) {
    (void)data;
    const GraphInput *input = &u->graph->inputs.at[graph_attr(u->graph, v)->index];
    int mapped = graph_attr(u->outer->graph, u->map)->mapped;
    if (input->kind == IN_MAPPED) {
        out[0] = operand(u->outer, u->map, input->index, u->example, u->point);
        return;
    }
    for (int64_t i = 0; i < node_size(u, v); i++)
        out[i] = operand(u->outer, u->map, mapped + input->index, u->example, i);
}

/* Whether the point is left out; 0: no point is. */
static KVal left_out(Unrolled *u, Val map, int64_t e, int64_t point) {
    int zeros = graph_attr(u->graph, map)->index - ZEROS_OF;
    if (zeros < 0) return 0;
    KVal x = operand(u, map, zeros, e, point);
    return gen_is_zero(u->g, x);
}

/* Adds one point's share of a summed output; an OUTER at the root is a chain of fma. */
static void add_summed(Unrolled *body, Val root, KVal left, KVal *acc) {
    const Node *node = graph_node(body->graph, root);
    for (int64_t i = 0; i < node_size(body, root); i++) {
        KVal before = acc[i];
        if (node->op == G_OUTER) {
            int64_t n = node->shape.dim[1];
            acc[i] = gen_fma(body->g, operand(body, root, 0, 0, i / n), operand(body, root, 1, 0, i % n), acc[i]);
        } else {
            acc[i] = gen_2(body->g, K_ADD, acc[i], unroll_at(body, root, 0, i));
        }
        if (left) acc[i] = gen_select(body->g, left, before, acc[i]);
    }
}

typedef struct MapSums { KVal **total, **acc; } MapSums;       /* by output of the body; NULL if mapped */

static void map_point(Unrolled *u, Val v, int64_t e, int64_t point, KVal **out, KVal **acc) {
    const Graph *body = graph_attr(u->graph, v)->body;
    Unrolled inner;
    unroll_init(&inner, u->g, u->arena, body, 1);
    inner.outer = u;
    inner.map = v;
    inner.example = e;
    inner.point = point;
    inner.leaf = body_leaf;
    for (Val k = 1; k < (Val)body->node.len; k++)
        unroll_node(&inner, k);
    for (int k = 0; k < body->outputs.len; k++) {
        Val root = body->outputs.at[k].value;
        KVal left = left_out(u, v, e, point);
        if (body->outputs.at[k].kind == OUT_SUMMED) {
            add_summed(&inner, root, left, acc[k]);
            continue;
        }
        KVal x = inner.value[root][0];
        if (left) x = gen_select(u->g, left, gen_number(u->g, (DType)graph_node(body, root)->dtype, 0), x);
        out[k][e * node_size(u, v) + point] = x;
    }
}

/* All points of an example: place by place, the first axis fastest. */
static void map_example(Unrolled *u, Val v, int64_t e, KVal **out, KVal **acc) {
    const Shape *shape = &graph_node(u->graph, v)->shape;
    int64_t units = shape->rank ? shape->dim[0] : 1, places = shape_size(shape) / units;
    for (int64_t k = 0; k < units * places; k++) map_point(u, v, e, k % units * places + k / units, out, acc);
}

static void sums_begin(Unrolled *u, const Graph *body, KVal **acc) {
    for (int k = 0; k < body->outputs.len; k++) {
        const Node *root = graph_node(body, body->outputs.at[k].value);
        if (body->outputs.at[k].kind != OUT_SUMMED) continue;
        for (int64_t i = 0; i < shape_size(&root->shape); i++) acc[k][i] = gen_number(u->g, (DType)root->dtype, 0);
    }
}

static void sums_end(Unrolled *u, const Graph *body, KVal **acc, KVal **out, bool first) {
    for (int k = 0; k < body->outputs.len; k++) {
        const Node *root = graph_node(body, body->outputs.at[k].value);
        if (body->outputs.at[k].kind != OUT_SUMMED) continue;
        for (int64_t i = 0; i < shape_size(&root->shape); i++)
            out[k][i] = first ? acc[k][i] : gen_2(u->g, K_ADD, out[k][i], acc[k][i]);
    }
}

/* value[map] holds one array for each output, one after the other: found again by PROJ through the same sizes. */
static int64_t output_size(const Unrolled *u, Val map, int k) {
    const Graph *body = graph_attr(u->graph, map)->body;
    const GraphOutput *output = &body->outputs.at[k];
    if (output->kind == OUT_SUMMED) return shape_size(&graph_node(body, output->value)->shape);
    return node_size(u, map) * (graph_node(u->graph, map)->batched ? u->examples : 1);
}

static void unroll_map(Unrolled *u, Val v) {
    const Graph *body = graph_attr(u->graph, v)->body;
    int64_t examples = graph_node(u->graph, v)->batched ? u->examples : 1, total = 0;
    KVal **out = arena_array(u->arena, KVal *, body->outputs.len),
        **acc = arena_array(u->arena, KVal *, body->outputs.len);
    for (int k = 0; k < body->outputs.len; k++) total += output_size(u, v, k);
    u->value[v] = arena_array(u->arena, KVal, total);
    for (int64_t k = 0, at = 0; k < body->outputs.len; at += output_size(u, v, (int)k++)) {
        out[k] = u->value[v] + at;
        acc[k] = arena_array(u->arena, KVal, output_size(u, v, (int)k));
    }
    for (int64_t e = 0; e < examples;) {
        int64_t begin = e, end = e + SHARD < examples ? e + SHARD : examples;
        sums_begin(u, body, acc);
        for (; e < end; e++) map_example(u, v, e, out, acc);
        sums_end(u, body, acc, out, begin == 0);
    }
}

/* ---- nodes ---- */

void unroll_init(Unrolled *u, Gen *g, Arena *arena, const Graph *graph, int64_t examples) {
    *u = (Unrolled){.g = g, .arena = arena, .graph = graph, .examples = examples};
    u->value = arena_array(arena, KVal *, graph->node.len);
}

static KVal iota_at(Unrolled *u, Val v, int64_t i) {
    int64_t at[MAX_RANK];
    unflatten(&graph_node(u->graph, v)->shape, i, at);
    return gen_number(u->g, DT_I32, (double)at[graph_attr(u->graph, v)->axis]);
}

static KVal table_at(Unrolled *u, Val v, int64_t i) {
    const Blob *blob = graph_attr(u->graph, v)->blob;
    switch (blob->dtype) {
    case DT_BOOL: return gen_number(u->g, DT_BOOL, ((const uint8_t *)blob->data)[i] != 0);
    case DT_I32: return gen_number(u->g, DT_I32, ((const int32_t *)blob->data)[i]);
    case DT_F32: return gen_number(u->g, DT_F32, (double)((const float *)blob->data)[i]);
    case DT_F64: return gen_number(u->g, DT_F64, ((const double *)blob->data)[i]);
    }
    return 0;
}

static KVal element_at(Unrolled *u, Val v, int64_t e, int64_t i) {
    const Node *node = graph_node(u->graph, v);
    KVal in[3];
    switch (op_class((Op)node->op)) {
    case CLASS_LEAF:
        return node->op == G_CONST ? gen_const(u->g, u->graph, v) : node->op == G_IOTA ? iota_at(u, v, i)
            : table_at(u, v, i);
    case CLASS_UNARY: case CLASS_BINARY: case CLASS_TERNARY:
        for (int k = 0; k < node->nin; k++) in[k] = operand(u, v, k, e, i);
        return gen_elementwise(u->g, (Op)node->op, (DType)node->dtype, in);
    case CLASS_VIEW: return view_at(u, v, e, i);
    case CLASS_REDUCE: return node->op == G_ARGMAX ? argmax_at(u, v, e, i) : reduce_at(u, v, e, i);
    case CLASS_BATCH:
        return over_batch(u, v, i, node->op == G_BATCH_SUM ? batch_sum_example
                                   : node->op == G_BATCH_OUTER ? batch_outer_example
                                       : node->op == G_BATCH_CONV ? batch_conv_example : batch_embed_example);
    case CLASS_CONTRACT:
        return node->op == G_OUTER ? outer_at(u, v, e, i) : node->op == G_CONV ? conv_at(u, v, e, i)
            : matmul_at(u, v, e, i);
    case CLASS_REGION: return 0;
    }
    return 0;
}

static KVal *projected(Unrolled *u, Val v) {
    Val map = graph_in(u->graph, v, 0);
    KVal *at = u->value[map];
    for (int k = 0; k < graph_attr(u->graph, v)->index; k++) at += output_size(u, map, k);
    return at;
}

void unroll_node(Unrolled *u, Val v) {
    const Node *node = graph_node(u->graph, v);
    int64_t size = node_size(u, v), examples = node->batched ? u->examples : 1;
    if (node->op == G_MAP) {
        unroll_map(u, v);
        return;
    }
    if (node->op == G_PROJ) {
        u->value[v] = projected(u, v);
        return;
    }
    u->value[v] = arena_array(u->arena, KVal, size * examples);
    if (node->op == G_INPUT || node->op == G_NOISE || node->op == G_NORMAL) {
        u->leaf(u->leaf_data, u, v, u->value[v]);
        return;
    }
    for (int64_t e = 0; e < examples; e++)
        for (int64_t i = 0; i < size; i++) u->value[v][e * size + i] = element_at(u, v, e, i);
}
