/* conv_weight.c -- a convolution's weight gradient in register tiles, one shard at a time.
 *
 *   acc[r][o] over (example, place): acc[r][o] = fma(dy[o], x[r], acc[r][o])
 *
 * for mr rows (input features, with the last axis's kernel positions where all of them always meet the input) and nv
 * vectors of 16 output features.  For that the examples of the shard are turned into rows: x into
 * [example][group][place][feature] once, dy into [example][place][16 nv] for the features at hand, block by block.
 * Between blocks the accumulators rest in [position][row][16 nv]; at last they are moved to the weight's own order.
 * Only for dilation 1: others come from second derivatives alone, and go weight by weight (conv.c). */
#include "kernel/region.h"

enum { MAX_ACC = 32 };

typedef struct Weights {
    Ctx *c;
    const Shard *shard;
    Val v, dy, x;
    ConvShape s;
    DType dtype;
    int outer;                             /* axes whose kernel positions are looped over */
    int64_t run, positions;                /* rows of one position; positions of the outer axes */
    KVal xs, dys, rest;                    /* pointers: x and dy as rows; the resting accumulators */
    Ix group, first;                       /* first output feature of the panel, in its group */
    int nv, mr;
    KVal block, count;                     /* the block at hand, its examples */
    Ix k[MAX_PLACES], row;
} Weights;

static Val in_of(const Region *r, Val v, int k) { return graph_in(r->graph, v, k); }

bool conv_weight_is_tiled(const Region *r, Val v) {
    ConvShape s = conv_shape(r, v);
    bool plain = true;
    for (int i = 0; i < s.axes; i++) plain = plain && s.window->dilation[i] == 1;
    return plain && r->lanes == 16 && r->info[region_base(r, in_of(r, v, 0))].varies &&
           r->info[region_base(r, in_of(r, v, 1))].varies;
}

/* Whether every position of the kernel meets the input at every place, along an axis. */
static bool always_inside(const ConvShape *s, int axis) {
    const Window *w = s->window;
    return w->pad[axis] <= 0 &&
           (s->result[axis] - 1) * w->stride[axis] - w->pad[axis] + s->kernel[axis] <= s->size[axis];
}

/* ---- rows ---- */

static void load_square(Weights *t, Val v, Ix feature, int64_t places, Ix p, int64_t left, KVal x[16]) {
    Gen *g = &t->c->g;
    for (int k = 0; k < 16; k++) {
        Ix at = ix_plus(g, ix_times(g, ix_plus(g, feature, (Ix){0, k}), places), p);
        x[k] = k < left ? load_value(t->c, v, at) : gen_widen(g, gen_number(g, t->dtype, 0), 16);
    }
    transpose16(g, x);
}

/* The features that fill no square, one by one. */
static void turn_rest(Weights *t, Ix row, Ix feature, Ix p, int64_t from) {
    Ctx *c = t->c;
    Gen *g = &c->g;
    Ix e = loop_begin(c, 16), n = loop_begin(c, t->s.each - from);
    KVal x = load_lane(c, t->x, ix_plus(g, ix_times(g, ix_plus(g, feature, n), t->s.inputs), p), e);
    Ix at = ix_plus(g, row, ix_times(g, e, t->s.groups * t->s.inputs * t->s.each));
    k_store(g->m, g->f, t->xs, ix_value(g, ix_plus(g, at, n)), x);
    loop_end(c, t->s.each - from);
    loop_end(c, 16);
}

static void turn_x(Weights *t) {
    Ctx *c = t->c;
    Gen *g = &c->g;
    const ConvShape *s = &t->s;
    int64_t example = s->groups * s->inputs * s->each, whole = s->each / 16 * 16;
    KVal b = block_begin(c, t->shard), x[16];
    Ix group = loop_begin(c, s->groups), p = loop_begin(c, s->inputs);
    Ix row = ix_plus(g, ix_times(g, (Ix){b, 0}, 16 * example),
                     ix_times(g, ix_plus(g, ix_times(g, group, s->inputs), p), s->each));
    Ix feature = ix_times(g, group, s->each);
    if (whole) {
        Ix n = {k_for(g->m, g->f, gen_i64(g, 0), gen_i64(g, whole), 16), 0};
        load_square(t, t->x, ix_plus(g, feature, n), s->inputs, p, 16, x);
        for (int e = 0; e < 16; e++)
            k_store(g->m, g->f, t->xs, ix_value(g, ix_plus(g, ix_plus(g, row, n), (Ix){0, e * example})), x[e]);
        k_end(g->m, g->f);
    }
    if (whole < s->each)
        turn_rest(t, ix_plus(g, row, (Ix){0, whole}), ix_plus(g, feature, (Ix){0, whole}), p, whole);
    loop_end(c, s->inputs);
    loop_end(c, s->groups);
    block_end(c);
}

/* left: output features from the panel's first one on. */
static void turn_dy(Weights *t, int64_t left) {
    Ctx *c = t->c;
    Gen *g = &c->g;
    int64_t width = 16 * t->nv;
    KVal x[16];
    Ix p = loop_begin(c, t->s.places), feature = ix_plus(g, ix_times(g, t->group, t->s.outs), t->first);
    for (int j = 0; j < t->nv; j++) {
        load_square(t, t->dy, ix_plus(g, feature, (Ix){0, 16 * j}), t->s.places, p, left - 16 * j, x);
        for (int e = 0; e < 16; e++) {
            Ix row = ix_plus(g, p, (Ix){0, e * t->s.places});
            KVal at = ix_value(g, ix_plus(g, ix_times(g, row, width), (Ix){0, 16 * j}));
            k_store(g->m, g->f, t->dys, at, x[e]);
        }
    }
    loop_end(c, t->s.places);
}

/* ---- one tile ---- */

static void carry_all(Weights *t, KVal *acc) {
    for (int i = 0; i < t->mr * t->nv; i++) acc[i] = k_carry(t->c->g.m, t->c->g.f, acc[i]);
}

static void end_all(Weights *t, KVal *acc) {
    Gen *g = &t->c->g;
    KType type = k_type(g->f, acc[0]);
    for (int i = 0; i < t->mr * t->nv; i++) k_next(g->m, g->f, acc[i]);
    k_end(g->m, g->f);
    for (int i = 0; i < t->mr * t->nv; i++) acc[i] = k_result(g->m, g->f, i, type);
}

static void weight_step(Weights *t, Ix example, Ix p, Ix input, KVal *acc) {
    Gen *g = &t->c->g;
    KType type = k_type(g->f, acc[0]), one = {type.scalar, 1};
    KVal dy[4];
    Ix at = ix_times(g, ix_plus(g, ix_times(g, example, t->s.places), p), 16 * t->nv);
    for (int j = 0; j < t->nv; j++)
        dy[j] = k_load(g->m, g->f, type, t->dys, ix_value(g, ix_plus(g, at, (Ix){0, 16 * j})));
    Ix e = ix_plus(g, ix_times(g, (Ix){t->block, 0}, 16), example);
    Ix place = ix_plus(g, ix_times(g, ix_plus(g, ix_times(g, e, t->s.groups), t->group), t->s.inputs), input);
    KVal from = ix_value(g, ix_plus(g, ix_times(g, place, t->s.each), t->row));
    for (int r = 0; r < t->mr; r++) {
        KVal x = k_load(g->m, g->f, one, t->xs, ix_value(g, (Ix){from, r}));
        for (int j = 0; j < t->nv; j++) acc[r * t->nv + j] = gen_fma(g, x, dy[j], acc[r * t->nv + j]);
    }
}

/* The result's places whose input exists: 0 <= p * stride + k - pad < size. */
static void place_bounds(Weights *t, int axis, Ix *from, Ix *to) {
    Gen *g = &t->c->g;
    const Window *w = t->s.window;
    int64_t s = w->stride[axis];
    *from = (Ix){0, 0};
    *to = (Ix){0, t->s.result[axis]};
    if (axis >= t->outer || always_inside(&t->s, axis)) return;
    KVal back = ix_value(g, ix_plus(g, (Ix){0, w->pad[axis]}, ix_times(g, t->k[axis], -1))), zero = gen_i64(g, 0);
    KVal up = gen_i64(g, s - 1), end = gen_2(g, K_ADD, back, gen_i64(g, t->s.size[axis])), most = ix_value(g, *to);
    KVal lo = gen_select(g, gen_2(g, K_LT, back, zero), zero, gen_2(g, K_DIV, gen_2(g, K_ADD, back, up), gen_i64(g, s)));
    KVal hi = gen_select(g, gen_2(g, K_LT, end, zero), zero, gen_2(g, K_DIV, gen_2(g, K_ADD, end, up), gen_i64(g, s)));
    *from = (Ix){lo, 0};
    *to = (Ix){gen_select(g, gen_2(g, K_LT, hi, most), hi, most), 0};
}

static void weight_axis(Weights *t, int axis, Ix example, Ix p, Ix input, KVal *acc) {
    Gen *g = &t->c->g;
    if (axis == t->s.axes) {
        weight_step(t, example, p, input, acc);
        return;
    }
    Ix from, to, k = axis < t->outer ? t->k[axis] : (Ix){0, 0};
    place_bounds(t, axis, &from, &to);
    Ix at = {k_for(g->m, g->f, ix_value(g, from), ix_value(g, to), 1), 0};
    carry_all(t, acc);
    Ix j = ix_plus(g, ix_times(g, at, t->s.window->stride[axis]), ix_plus(g, k, (Ix){0, -t->s.window->pad[axis]}));
    weight_axis(t, axis + 1, example, ix_plus(g, ix_times(g, p, t->s.result[axis]), at),
                ix_plus(g, ix_times(g, input, t->s.size[axis]), j), acc);
    end_all(t, acc);
}

static KVal resting(Weights *t, Ix row) {
    return ix_value(&t->c->g, ix_times(&t->c->g, row, 16 * t->nv));
}

/* position: of the outer axes; row: first of mr. */
static void weight_rows(Weights *t, Ix position, Ix row, int mr) {
    Gen *g = &t->c->g;
    KType type = {gen_scalar(t->dtype), 16};
    KVal acc[MAX_ACC];
    t->row = row;
    t->mr = mr;
    KVal at = resting(t, ix_plus(g, ix_times(g, position, t->run), row));
    for (int i = 0; i < mr * t->nv; i++) acc[i] = k_load(g->m, g->f, type, t->rest, ix_value(g, (Ix){at, 16 * i}));
    Ix e = {k_for(g->m, g->f, gen_i64(g, 0), t->count, 1), 0};
    carry_all(t, acc);
    weight_axis(t, 0, e, (Ix){0, 0}, (Ix){0, 0}, acc);
    end_all(t, acc);
    for (int i = 0; i < mr * t->nv; i++) k_store(g->m, g->f, t->rest, ix_value(g, (Ix){at, 16 * i}), acc[i]);
}

static void weight_positions(Weights *t) {
    Ctx *c = t->c;
    Gen *g = &c->g;
    Ix position = {0, 0};
    int mr = tile_rows_for(&c->r->plan->target, 16, t->dtype, t->nv, t->run);
    int64_t whole = t->run / mr * mr;
    for (int i = 0; i < t->outer; i++) {
        t->k[i] = loop_begin(c, t->s.kernel[i]);
        position = ix_plus(g, ix_times(g, position, t->s.kernel[i]), t->k[i]);
    }
    Ix row = {whole == mr ? 0 : k_for(g->m, g->f, gen_i64(g, 0), gen_i64(g, whole), mr), 0};
    weight_rows(t, position, row, mr);
    if (whole != mr) k_end(g->m, g->f);
    if (whole < t->run) weight_rows(t, position, (Ix){0, whole}, (int)(t->run - whole));
    for (int i = 0; i < t->outer; i++) loop_end(c, t->s.kernel[i]);
}

/* ---- panels ---- */

/* From [position][row][16 nv] to the weight's order. */
static void move_out(Weights *t, int64_t left) {
    Ctx *c = t->c;
    Gen *g = &c->g;
    const ConvShape *s = &t->s;
    Ix row = {0, 0}, tap = {0, 0};
    for (int i = 0; i < s->axes; i++) {
        Ix k = loop_begin(c, s->kernel[i]);
        row = ix_plus(g, ix_times(g, row, s->kernel[i]), k);
        if (s->window->reversed) k = ix_plus(g, ix_times(g, k, -1), (Ix){0, s->kernel[i] - 1});
        tap = ix_plus(g, ix_times(g, tap, s->kernel[i]), k);
    }
    int64_t lanes = left < 16 * t->nv ? left : 16 * t->nv;
    Ix n = loop_begin(c, s->each), lane = loop_begin(c, lanes);
    KVal from = resting(t, ix_plus(g, ix_times(g, row, s->each), n));
    KVal x = k_load(g->m, g->f, (KType){gen_scalar(t->dtype), 1}, t->rest,
                    ix_value(g, ix_plus(g, (Ix){from, 0}, lane)));
    Ix o = ix_plus(g, ix_plus(g, ix_times(g, t->group, s->outs), t->first), lane);
    Ix flat = ix_plus(g, ix_times(g, ix_plus(g, ix_times(g, o, s->each), n), s->taps), tap);
    partial_store(c, t->v, t->shard, flat, x);
    loop_end(c, lanes);
    loop_end(c, s->each);
    for (int i = 0; i < s->axes; i++) loop_end(c, s->kernel[i]);
}

static void weight_panel(Weights *t, Ix first, int nv, int64_t left) {
    Ctx *c = t->c;
    Gen *g = &c->g;
    int64_t vectors = t->positions * t->run * nv;
    t->first = first;
    t->nv = nv;
    Ix i = loop_begin(c, vectors);
    k_store(g->m, g->f, t->rest, ix_value(g, ix_times(g, i, 16)), gen_widen(g, gen_number(g, t->dtype, 0), 16));
    loop_end(c, vectors);
    t->block = block_begin(c, t->shard);
    KVal most = gen_i64(g, 16), count = gen_2(g, K_SUB, t->shard->count, gen_2(g, K_MUL, t->block, most));
    t->count = gen_select(g, gen_2(g, K_LT, count, most), count, most);
    turn_dy(t, left);
    weight_positions(t);
    block_end(c);
    move_out(t, left);
}

static KVal scratch(Ctx *c, int64_t fixed, int64_t per_example, DType dtype) {
    Buffer buffer = {.fixed = 1024 + (size_t)fixed * dtype_size(dtype), .scratch = true,
                     .per_example = (size_t)per_example * dtype_size(dtype)};
    return ctx_entry(c, plan_buffer(c->r->plan, buffer));
}

static int panel_vectors(const Weights *t) {
    int64_t vectors = (t->s.outs + 15) / 16;
    int most = tile_columns_for(&t->c->r->plan->target, 16, t->dtype) > 1 ? 3 : 1;
    if (vectors < most) return (int)vectors;
    return most > 1 && vectors % 3 && vectors % 2 == 0 ? 2 : most;
}

void conv_weight(Ctx *c, Val v, const Shard *shard) {
    Gen *g = &c->g;
    Weights t = {.c = c, .shard = shard, .v = v, .s = conv_shape(c->r, v), .positions = 1,
                 .dtype = (DType)graph_node(c->r->graph, v)->dtype, .dy = region_base(c->r, in_of(c->r, v, 0)),
                 .x = region_base(c->r, in_of(c->r, v, 1))};
    bool merged = always_inside(&t.s, t.s.axes - 1);
    t.outer = t.s.axes - merged;
    t.run = t.s.each * (merged ? t.s.kernel[t.s.axes - 1] : 1);
    for (int i = 0; i < t.outer; i++) t.positions *= t.s.kernel[i];
    int nv = panel_vectors(&t);
    int64_t whole = t.s.outs / (16 * nv) * 16 * nv;
    t.xs = scratch(c, 0, t.s.groups * t.s.inputs * t.s.each, t.dtype);
    t.dys = scratch(c, 16 * t.s.places * 16 * nv, 0, t.dtype);
    t.rest = scratch(c, t.positions * t.run * 16 * nv, 0, t.dtype);
    turn_x(&t);
    t.group = loop_begin(c, t.s.groups);
    if (whole) {
        weight_panel(&t, (Ix){k_for(g->m, g->f, gen_i64(g, 0), gen_i64(g, whole), 16 * nv), 0}, nv, 16 * nv);
        k_end(g->m, g->f);
    }
    if (whole < t.s.outs)
        weight_panel(&t, (Ix){0, whole}, (int)((t.s.outs - whole + 15) / 16), t.s.outs - whole);
    loop_end(c, t.s.groups);
}
