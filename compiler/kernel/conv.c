/* conv.c -- convolutions as plain loop nests.
 *
 * Along each place axis, place p of the result sees the places first <= j < end of the input, at position
 * k = j * dilation - reach of the kernel, with reach = p * stride - pad: loops whose bounds are computed, so that what
 * lies outside costs nothing.  The chain goes over these, then the input features. */
#include "kernel/region.h"

static const Shape *shape_at(const Ctx *c, Val v) { return &graph_node(c->r->graph, v)->shape; }
static Val in_of(const Ctx *c, Val v, int k) { return graph_in(c->r->graph, v, k); }

/* ---- bounds ---- */

static KVal least(Gen *g, KVal a, int64_t b) {
    KVal most = gen_i64(g, b);
    return gen_select(g, gen_2(g, K_LT, a, most), a, most);
}

static KVal at_least_0(Gen *g, KVal a) {
    KVal zero = gen_i64(g, 0);
    return gen_select(g, gen_2(g, K_LT, a, zero), zero, a);
}

/* ceil(x / d), at least 0; x is at most `most` and at least `low`. */
static Ix steps_to(Gen *g, Ix x, int64_t d, int64_t low, int64_t most) {
    if (most <= 0) return (Ix){0, 0};
    if (!x.var) return (Ix){0, x.add <= 0 ? 0 : (x.add + d - 1) / d};
    KVal from = ix_value(g, x);
    if (low < 0) from = at_least_0(g, from);
    if (d == 1) return low < 0 ? (Ix){from, 0} : x;
    return (Ix){gen_2(g, K_DIV, gen_2(g, K_ADD, from, gen_i64(g, d - 1)), gen_i64(g, d)), 0};
}

static Ix ix_least(Gen *g, Ix x, int64_t most, int64_t bound) {
    if (most <= bound) return x;
    if (!x.var) return (Ix){0, x.add < bound ? x.add : bound};
    return (Ix){least(g, ix_value(g, x), bound), 0};
}

Ix conv_reach(Gen *g, const Window *w, int axis, Ix place) {
    return ix_plus(g, ix_times(g, place, w->stride[axis]), (Ix){0, -w->pad[axis]});
}

void conv_bounds(Gen *g, const ConvShape *s, int axis, Ix reach, Ix *first, Ix *end) {
    const Window *w = s->window;
    int64_t low = -w->pad[axis], high = (s->result[axis] - 1) * w->stride[axis] - w->pad[axis], k = s->kernel[axis];
    int64_t d = w->dilation[axis], last = (high + k + d - 1) / d;
    *first = steps_to(g, reach, d, low, high);
    *end = ix_least(g, steps_to(g, ix_plus(g, reach, (Ix){0, k}), d, low + k, high + k), last, s->size[axis]);
}

ConvShape conv_shape(const Region *r, Val v) {
    bool sums = graph_node(r->graph, v)->op == G_BATCH_CONV;
    const Shape *of = &graph_node(r->graph, v)->shape, *a = &graph_node(r->graph, graph_in(r->graph, v, 0))->shape;
    const Shape *x = &graph_node(r->graph, graph_in(r->graph, v, 1))->shape, *w = sums ? of : a, *y = sums ? a : of;
    ConvShape s = {.window = &graph_attr(r->graph, v)->window, .axes = x->rank - 1, .kernel = w->dim + 2,
                   .size = x->dim + 1, .result = y->dim + 1, .groups = graph_attr(r->graph, v)->window.groups,
                   .each = w->dim[1], .taps = 1, .inputs = 1, .places = 1};
    s.outs = w->dim[0] / s.groups;
    for (int i = 0; i < s.axes; i++) {
        s.taps *= s.kernel[i];
        s.inputs *= s.size[i];
        s.places *= s.result[i];
    }
    return s;
}

bool conv_always_inside(const ConvShape *s, int axis) {
    const Window *w = s->window;
    return axis >= 0 && w->pad[axis] <= 0 &&
           (s->result[axis] - 1) * w->stride[axis] - w->pad[axis] + s->kernel[axis] <= s->size[axis];
}

/* ---- CONV ---- */

typedef struct Conv {
    Ctx *c;
    ConvShape s;
    Val w, x;
    Ix o, first;                           /* output feature; first input feature of its group */
    Ix reach[MAX_PLACES];
    Index wat, xat;
} Conv;

/* The weight's position for k = j * dilation - reach. */
static Ix weight_position(Conv *s, int axis, Ix j) {
    Gen *g = &s->c->g;
    Ix k = ix_plus(g, ix_times(g, j, s->s.window->dilation[axis]), ix_times(g, s->reach[axis], -1));
    if (!s->s.window->reversed) return k;
    return ix_plus(g, ix_times(g, k, -1), (Ix){0, s->s.kernel[axis] - 1});
}

static KVal conv_feature(Conv *s, Ix n, KVal acc) {
    Gen *g = &s->c->g;
    s->wat.m[1] = n;
    s->xat.m[0] = ix_plus(g, s->first, n);
    KVal a = pull(s->c, s->w, &s->wat);
    return gen_fma(g, a, pull(s->c, s->x, &s->xat), acc);
}

static KVal conv_level(Conv *s, int axis, KVal acc) {
    Gen *g = &s->c->g;
    KType type = k_type(g->f, acc);
    Ix from = {0, 0}, to = {0, s->s.each};
    if (axis == s->s.axes && s->s.each == 1) return conv_feature(s, from, acc);
    if (axis < s->s.axes) conv_bounds(g, &s->s, axis, s->reach[axis], &from, &to);
    KVal lo = ix_value(g, from), j = k_for(g->m, g->f, lo, ix_value(g, to), 1), a = k_carry(g->m, g->f, acc);
    if (axis == s->s.axes) {
        a = conv_feature(s, (Ix){j, 0}, a);
    } else {
        s->wat.m[2 + axis] = weight_position(s, axis, (Ix){j, 0});
        s->xat.m[1 + axis] = (Ix){j, 0};
        a = conv_level(s, axis + 1, a);
    }
    k_next(g->m, g->f, a);
    k_end(g->m, g->f);
    return k_result(g->m, g->f, 0, type);
}

void nest_conv(Ctx *c, Val v) {
    const Node *node = graph_node(c->r->graph, v);
    Gen *g = &c->g;
    Conv s = {.c = c, .s = conv_shape(c->r, v), .w = in_of(c, v, 0), .x = in_of(c, v, 1)};
    int lanes = c->r->info[v].varies ? c->lanes : 1;
    Ix group = loop_begin(c, s.s.groups), o = loop_begin(c, s.s.outs), place[MAX_PLACES];
    Index at = {.flat = false};
    s.o = s.wat.m[0] = at.m[0] = ix_plus(g, ix_times(g, group, s.s.outs), o);
    s.first = ix_times(g, group, s.s.each);
    for (int i = 0; i < s.s.axes; i++) {
        at.m[1 + i] = place[i] = loop_begin(c, s.s.result[i]);
        s.reach[i] = conv_reach(g, s.s.window, i, place[i]);
    }
    Index start = index_flat(s.o);
    KVal acc = node->nin > 2 ? pull(c, in_of(c, v, 2), &start) : gen_number(g, (DType)node->dtype, 0);
    acc = conv_level(&s, 0, gen_widen(g, acc, lanes));
    store_value(c, v, ix_flat(c, &node->shape, &at), acc);
    for (int i = 0; i < s.s.axes; i++) loop_end(c, s.s.result[i]);
    loop_end(c, s.s.outs);
    loop_end(c, s.s.groups);
}

/* ---- BATCH_CONV: one weight after the other ---- */

typedef struct Weight {
    Ctx *c;
    const Shard *shard;
    ConvShape s;
    Val dy, x;
    const Shape *dshape, *xshape;
    Index dat, xat;
    Ix lane, back[MAX_PLACES];             /* the input's place times dilation is p * stride + back */
    KVal met;                              /* whether all axes so far meet; 0: they do */
} Weight;

/* The places of the result that may meet the input at a position of the kernel: 0 <= p * stride + back < size *
 * dilation. */
static void weight_bounds(Weight *s, int axis, KVal *from, KVal *to) {
    Gen *g = &s->c->g;
    const Window *w = s->s.window;
    Ix low = ix_times(g, s->back[axis], -1), high = ix_plus(g, low, (Ix){0, s->s.size[axis] * w->dilation[axis]});
    KVal stride = gen_i64(g, w->stride[axis]), up = gen_i64(g, w->stride[axis] - 1);
    *from = gen_2(g, K_DIV, gen_2(g, K_ADD, at_least_0(g, ix_value(g, low)), up), stride);
    *to = gen_2(g, K_DIV, gen_2(g, K_ADD, at_least_0(g, ix_value(g, high)), up), stride);
    *to = least(g, *to, s->s.result[axis]);
}

static KVal weight_term(Weight *s, KVal acc) {
    Gen *g = &s->c->g;
    KVal dy = load_lane(s->c, s->dy, ix_flat(s->c, s->dshape, &s->dat), s->lane);
    KVal x = load_lane(s->c, s->x, ix_flat(s->c, s->xshape, &s->xat), s->lane), sum = gen_fma(g, dy, x, acc);
    return s->met ? gen_select(g, s->met, sum, acc) : sum;
}

static KVal weight_level(Weight *s, int axis, KVal acc) {
    Gen *g = &s->c->g;
    if (axis == s->s.axes) return weight_term(s, acc);
    KType type = k_type(g->f, acc);
    KVal lo, hi, met = s->met;
    int64_t d = s->s.window->dilation[axis];
    weight_bounds(s, axis, &lo, &hi);
    KVal p = k_for(g->m, g->f, lo, hi, 1), a = k_carry(g->m, g->f, acc);
    Ix j = ix_plus(g, ix_times(g, (Ix){p, 0}, s->s.window->stride[axis]), s->back[axis]);
    s->dat.m[1 + axis] = (Ix){p, 0};
    s->xat.m[1 + axis] = j;
    if (d > 1) {
        KVal at = ix_value(g, j), here = gen_2(g, K_EQ, gen_2(g, K_REM, at, gen_i64(g, d)), gen_i64(g, 0));
        s->xat.m[1 + axis] = (Ix){gen_2(g, K_DIV, at, gen_i64(g, d)), 0};
        s->met = met ? gen_2(g, K_AND, met, here) : here;
    }
    k_next(g->m, g->f, weight_level(s, axis + 1, a));
    s->met = met;
    k_end(g->m, g->f);
    return k_result(g->m, g->f, 0, type);
}

void batch_conv(Ctx *c, Val v, const Shard *shard) {
    Gen *g = &c->g;
    Weight s = {.c = c, .shard = shard, .s = conv_shape(c->r, v), .dy = region_base(c->r, in_of(c, v, 0)),
                .x = region_base(c->r, in_of(c, v, 1)), .dshape = shape_at(c, in_of(c, v, 0)),
                .xshape = shape_at(c, in_of(c, v, 1))};
    Ix group = loop_begin(c, s.s.groups), o = loop_begin(c, s.s.outs), n = loop_begin(c, s.s.each);
    Index at = {.flat = false};
    at.m[0] = s.dat.m[0] = ix_plus(g, ix_times(g, group, s.s.outs), o);
    at.m[1] = n;
    s.xat.m[0] = ix_plus(g, ix_times(g, group, s.s.each), n);
    for (int i = 0; i < s.s.axes; i++) {
        Ix k = at.m[2 + i] = loop_begin(c, s.s.kernel[i]);
        if (s.s.window->reversed) k = ix_plus(g, ix_times(g, k, -1), (Ix){0, s.s.kernel[i] - 1});
        s.back[i] = ix_plus(g, k, (Ix){0, -s.s.window->pad[i]});
    }
    KVal zero = gen_number(g, (DType)graph_node(c->r->graph, v)->dtype, 0);
    KVal e = k_for(g->m, g->f, gen_i64(g, 0), shard->count, 1), acc = k_carry(g->m, g->f, zero);
    s.lane = shard_example(c, shard, (Ix){e, 0});
    bool apart = conv_by_example(s.s.places, s.s.taps * s.s.each);
    KVal sum = weight_level(&s, 0, apart ? zero : acc);
    k_next(g->m, g->f, apart ? gen_2(g, K_ADD, acc, sum) : sum);
    k_end(g->m, g->f);
    partial_store(c, v, shard, ix_flat(c, shape_at(c, v), &at), k_result(g->m, g->f, 0, k_type(g->f, zero)));
    for (int i = 0; i < s.s.axes; i++) loop_end(c, s.s.kernel[i]);
    loop_end(c, s.s.each);
    loop_end(c, s.s.outs);
    loop_end(c, s.s.groups);
}
