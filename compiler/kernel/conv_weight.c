/* conv_weight.c -- a convolution's weight gradient in register tiles, one shard at a time.
 *
 *   acc[r][o] over (example, place): acc[r][o] = fma(dy[o], x[r], acc[r][o])
 *
 * for mr rows (input features, with the last axis's kernel positions where all of them always meet the input) and nv
 * vectors of 16 output features.  For that the examples of a block are turned into rows: x into
 * [example][group][place][feature] once, dy into [example][place][16 nv] for the features at hand.  All tiles take the
 * same piece of dy, which fits the first cache, before the next: some examples, or some places of one.  Meanwhile the
 * accumulators rest in [panel][position][row][16 nv], which is the form of the shard's sum; a stage after the shards
 * adds these in order and moves the result to the weight's own order.
 * Few weights and many places, as of the first layer of a net for images, are conv_chains.c's.
 * dy's own sum over places and batch, the gradient of a bias, is added up from the turned dy too (Info.also).
 * Only for dilation 1: others come from second derivatives alone, and go weight by weight (conv.c). */
#include "kernel/region.h"

enum { MAX_ACC = 32, PIECE = 24 << 10, UNDIVIDED = 33 << 10 };         /* bytes: of a piece; of an example left whole */

typedef struct Weights {
    Ctx *c;
    const Shard *shard;
    Val v, dy, x;
    ConvShape s;
    DType dtype;
    int outer;                             /* axes whose kernel positions are looped over */
    int64_t run, positions;                /* rows of one position; positions of the outer axes */
    KVal xs, dys, rest;                    /* pointers: x and dy as rows; the resting accumulators */
    Ix group, first, panel;                /* first output feature of the panel, in its group; where it rests */
    int nv, mr;
    KVal block, from, to;                  /* the block at hand; the piece: its examples, */
    Ix low, high;                          /* places along the first axis */
    KVal begun;                            /* 0 for the first piece of a shard */
    KVal sums;                             /* the sum of dy by output feature, or 0 */
    KVal ahead;                            /* pointer: a feature of the next panel of dy, at its first place; or 0 */
    Ix k[MAX_PLACES], row;
} Weights;

static Val in_of(const Region *r, Val v, int k) { return graph_in(r->graph, v, k); }

bool conv_weight_is_tiled(const Region *r, Val v) {
    ConvShape s = conv_shape(r, v);
    bool plain = true;
    for (int i = 0; i < s.axes; i++) plain = plain && s.window->dilation[i] == 1;
    return plain && !conv_by_example(s.places, s.taps * s.each) && r->lanes == 16 && !r->body &&
           r->info[region_base(r, in_of(r, v, 0))].varies && r->info[region_base(r, in_of(r, v, 1))].varies;
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

/* Fewer than 16 features: squares of what stands side by side in a row, whatever features and places; the last one
 * ends with the row. */
static void turn_few(Weights *t) {
    Ctx *c = t->c;
    Gen *g = &c->g;
    const ConvShape *s = &t->s;
    int64_t row = s->inputs * s->each;
    KVal x[16];
    Ix group = loop_begin(c, s->groups);
    KVal from = k_for(g->m, g->f, gen_i64(g, 0), gen_i64(g, row), 16);
    from = gen_least(g, from, gen_i64(g, row - 16));
    for (int k = 0; k < 16; k++) {
        KVal at = gen_2(g, K_ADD, from, gen_i64(g, k)), each = gen_i64(g, s->each);
        Ix n = {gen_2(g, K_REM, at, each), 0}, p = {gen_2(g, K_DIV, at, each), 0};
        Ix feature = ix_plus(g, ix_times(g, group, s->each), n);
        x[k] = load_value(c, t->x, ix_plus(g, ix_times(g, feature, s->inputs), p));
    }
    transpose16(g, x);
    Ix to = ix_plus(g, ix_times(g, group, row), (Ix){from, 0});
    for (int e = 0; e < 16; e++)
        k_store(g->m, g->f, t->xs, ix_value(g, ix_plus(g, to, (Ix){0, e * s->groups * row})), x[e]);
    k_end(g->m, g->f);
    loop_end(c, s->groups);
}

static void turn_x(Weights *t) {
    Ctx *c = t->c;
    Gen *g = &c->g;
    const ConvShape *s = &t->s;
    int64_t example = s->groups * s->inputs * s->each, whole = s->each / 16 * 16;
    KVal x[16];
    if (!whole && s->inputs * s->each >= 16) {
        turn_few(t);
        return;
    }
    Ix group = loop_begin(c, s->groups), p = loop_begin(c, s->inputs);
    Ix row = ix_times(g, ix_plus(g, ix_times(g, group, s->inputs), p), s->each);
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

static int accumulators(const Weights *t) { return t->mr * t->nv; }

static void carry_all(Weights *t, KVal *acc) {
    for (int i = 0; i < accumulators(t); i++) acc[i] = k_carry(t->c->g.m, t->c->g.f, acc[i]);
}

static void end_all(Weights *t, KVal *acc) {
    Gen *g = &t->c->g;
    KType type = k_type(g->f, acc[0]);
    for (int i = 0; i < accumulators(t); i++) k_next(g->m, g->f, acc[i]);
    k_end(g->m, g->f);
    for (int i = 0; i < accumulators(t); i++) acc[i] = k_result(g->m, g->f, i, type);
}

static void weight_step(Weights *t, Ix example, Ix p, Ix input, KVal *acc) {
    Gen *g = &t->c->g;
    KType type = k_type(g->f, acc[0]), one = {type.scalar, 1};
    KVal dy[4];
    Ix at = ix_times(g, ix_plus(g, ix_times(g, example, t->s.places), p), 16 * t->nv);
    for (int j = 0; j < t->nv; j++)
        dy[j] = k_load(g->m, g->f, type, t->dys, ix_value(g, ix_plus(g, at, (Ix){0, 16 * j})));
    Ix place = ix_plus(g, ix_times(g, ix_plus(g, ix_times(g, example, t->s.groups), t->group), t->s.inputs), input);
    KVal from = ix_value(g, ix_plus(g, ix_times(g, place, t->s.each), t->row));
    for (int r = 0; r < t->mr; r++) {
        KVal x = k_load(g->m, g->f, one, t->xs, ix_value(g, (Ix){from, r}));
        for (int j = 0; j < t->nv; j++) acc[r * t->nv + j] = gen_fma(g, x, dy[j], acc[r * t->nv + j]);
    }
    if (t->ahead) {
        KVal line = ix_value(g, ix_times(g, p, t->c->r->info[t->dy].home.elem));
        k_prefetch(g->m, g->f, k_offset(g->m, g->f, (KScalar)type.scalar, t->ahead, line), FETCH);
    }
}

/* The piece's places whose input exists: 0 <= p * stride + k - pad < size. */
static void place_bounds(Weights *t, int axis, Ix *from, Ix *to) {
    Gen *g = &t->c->g;
    const Window *w = t->s.window;
    int64_t s = w->stride[axis];
    *from = axis ? (Ix){0, 0} : t->low;
    *to = axis ? (Ix){0, t->s.result[axis]} : t->high;
    if (axis >= t->outer || conv_always_inside(&t->s, axis)) return;
    KVal back = ix_value(g, ix_plus(g, (Ix){0, w->pad[axis]}, ix_times(g, t->k[axis], -1))), zero = gen_i64(g, 0);
    KVal up = gen_i64(g, s - 1), end = gen_2(g, K_ADD, back, gen_i64(g, t->s.size[axis]));
    KVal lo = gen_2(g, K_DIV, gen_most(g, gen_2(g, K_ADD, back, up), zero), gen_i64(g, s));
    KVal hi = gen_2(g, K_DIV, gen_most(g, gen_2(g, K_ADD, end, up), zero), gen_i64(g, s));
    *from = (Ix){gen_most(g, lo, ix_value(g, *from)), 0};
    *to = (Ix){gen_least(g, hi, ix_value(g, *to)), 0};
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
    return ix_value(&t->c->g, ix_times(&t->c->g, ix_plus(&t->c->g, t->panel, ix_times(&t->c->g, row, t->nv)), 16));
}

/* Where the sums of the panel's features are. */
static KVal sums_place(Weights *t) {
    Gen *g = &t->c->g;
    Ix first = ix_plus(g, ix_times(g, t->group, (t->s.outs + 15) / 16 * 16), t->first);
    return ix_value(g, first);
}

/* What rests, or 0 at the start of a shard. */
static void start_rows(Weights *t, KVal at, KVal *acc) {
    Gen *g = &t->c->g;
    KType type = {gen_scalar(t->dtype), 16};
    KVal zero = gen_widen(g, gen_number(g, t->dtype, 0), 16);
    for (int i = 0; i < accumulators(t); i++) acc[i] = zero;
    k_for(g->m, g->f, gen_i64(g, 0), gen_least(g, t->begun, gen_i64(g, 1)), 1);
    carry_all(t, acc);
    for (int i = 0; i < accumulators(t); i++)
        acc[i] = k_load(g->m, g->f, type, t->rest, ix_value(g, (Ix){at, 16 * i}));
    end_all(t, acc);
}

/* The next panel's squares would wait for memory: its features come into the second cache while this one is worked on,
 * one for each tile and example in turn.  Beyond the last feature lie those of the next block, or nothing. */
static void look_ahead(Weights *t, Ix position, Ix row, Ix e) {
    Ctx *c = t->c;
    Gen *g = &c->g;
    const Home *home = &c->r->info[t->dy].home;
    int64_t tiles = (t->run + t->mr - 1) / t->mr, width = 16 * t->nv;
    if (!c->r->info[t->dy].stored) return;
    KVal next = gen_least(g, ix_value(g, ix_plus(g, t->first, (Ix){0, width})), gen_i64(g, t->s.outs));
    KVal tile = gen_2(g, K_DIV, ix_value(g, row), gen_i64(g, t->mr));
    Ix turn = ix_plus(g, ix_times(g, ix_plus(g, ix_times(g, e, t->positions), position), tiles), (Ix){tile, 0});
    KVal own = gen_2(g, K_REM, ix_value(g, turn), gen_i64(g, width));
    Ix feature = ix_plus(g, ix_times(g, t->group, t->s.outs), (Ix){gen_2(g, K_ADD, next, own), 0});
    KVal at = ix_value(g, home_index(c, home, ix_times(g, feature, t->s.places)));
    t->ahead = k_offset(g->m, g->f, gen_scalar(t->dtype), ctx_entry(c, home->entry), at);
}

/* position: of the outer axes; row: first of mr. */
static void weight_rows(Weights *t, Ix position, Ix row, int mr) {
    Gen *g = &t->c->g;
    KVal acc[MAX_ACC];
    t->row = row;
    t->mr = mr;
    KVal at = resting(t, ix_plus(g, ix_times(g, position, t->run), row));
    start_rows(t, at, acc);
    Ix e = {k_for(g->m, g->f, t->from, t->to, 1), 0};
    carry_all(t, acc);
    look_ahead(t, position, row, e);
    weight_axis(t, 0, e, (Ix){0, 0}, (Ix){0, 0}, acc);
    t->ahead = 0;
    end_all(t, acc);
    for (int i = 0; i < mr * t->nv; i++) k_store(g->m, g->f, t->rest, ix_value(g, (Ix){at, 16 * i}), acc[i]);
}

/* The sums of dy for the panel's features, over `count` more examples. */
static void add_sums(Weights *t, KVal count) {
    Gen *g = &t->c->g;
    KType type = {gen_scalar(t->dtype), 16};
    KVal acc[4], at = sums_place(t), zero = gen_widen(g, gen_number(g, t->dtype, 0), 16);
    t->mr = 1;
    for (int j = 0; j < t->nv; j++) acc[j] = zero;
    k_for(g->m, g->f, gen_i64(g, 0), gen_least(g, t->block, gen_i64(g, 1)), 1);
    carry_all(t, acc);
    for (int j = 0; j < t->nv; j++) acc[j] = k_load(g->m, g->f, type, t->sums, ix_value(g, (Ix){at, 16 * j}));
    end_all(t, acc);
    KVal e = k_for(g->m, g->f, gen_i64(g, 0), count, 1), sum[4];
    bool apart = sum_by_example(t->s.places);
    carry_all(t, acc);
    for (int j = 0; j < t->nv; j++) sum[j] = apart ? zero : acc[j];
    Ix row = {k_for(g->m, g->f, gen_i64(g, 0), gen_i64(g, t->s.places), 1), 0};
    carry_all(t, sum);
    row = ix_times(g, ix_plus(g, ix_times(g, (Ix){e, 0}, t->s.places), row), 16 * t->nv);
    for (int j = 0; j < t->nv; j++) {
        KVal dy = k_load(g->m, g->f, type, t->dys, ix_value(g, ix_plus(g, row, (Ix){0, 16 * j})));
        sum[j] = gen_2(g, K_ADD, sum[j], dy);
    }
    end_all(t, sum);
    for (int j = 0; j < t->nv; j++) acc[j] = apart ? gen_2(g, K_ADD, acc[j], sum[j]) : sum[j];
    end_all(t, acc);
    for (int j = 0; j < t->nv; j++) k_store(g->m, g->f, t->sums, ix_value(g, (Ix){at, 16 * j}), acc[j]);
}

/* Feature by feature to the shard's sums of info.also. */
static void move_sums(Weights *t, Val sum) {
    Ctx *c = t->c;
    Gen *g = &c->g;
    Ix group = loop_begin(c, t->s.groups), o = loop_begin(c, t->s.outs);
    Ix from = ix_plus(g, ix_times(g, group, (t->s.outs + 15) / 16 * 16), o);
    KVal x = k_load(g->m, g->f, (KType){gen_scalar(t->dtype), 1}, t->sums, ix_value(g, from));
    partial_store(c, sum, t->shard, ix_plus(g, ix_times(g, group, t->s.outs), o), x);
    loop_end(c, t->s.outs);
    loop_end(c, t->s.groups);
}

/* Registers left for accumulators beside nv vectors of dy and one of x. */
static int most_rows(const Weights *t, int nv) {
    const Target *target = &t->c->r->plan->target;
    int per_vector = 16 * (int)dtype_size(t->dtype) / target->vector_bytes;
    int rows = (target->registers - 1 - per_vector * nv) / (per_vector * nv);
    return rows < 1 ? 1 : rows * nv > MAX_ACC ? MAX_ACC / nv : rows;
}

/* Rows of a tile: a divisor, if one is nearly as large as can be; else tiles of nearly equal size. */
static int tile_rows(const Weights *t) {
    int largest = most_rows(t, t->nv);
    for (int m = largest; m * 4 >= largest * 3; m--)
        if (t->run % m == 0) return m;
    int64_t tiles = (t->run + largest - 1) / largest;
    return (int)((t->run + tiles - 1) / tiles);
}

static void weight_positions(Weights *t) {
    Ctx *c = t->c;
    Gen *g = &c->g;
    Ix position = {0, 0};
    int mr = tile_rows(t);
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

/* Of pieces of `of` that hold at most n: as many as leave them nearly equal. */
static int64_t even_share(int64_t of, int64_t n) {
    int64_t pieces = n < 1 ? of : (of + n - 1) / n;
    return (of + pieces - 1) / pieces;
}

/* Piece by piece of `count` examples. */
static void weight_pieces(Weights *t, KVal count) {
    Gen *g = &t->c->g;
    int64_t places = t->s.result[0], along = t->s.places / places * 16 * t->nv * (int64_t)dtype_size(t->dtype);
    int64_t rows = along * places <= UNDIVIDED ? places : even_share(places, PIECE / along);
    int64_t examples = even_share(16, PIECE / (along * places));
    t->from = gen_i64(g, 0);
    t->to = count;
    t->low = (Ix){0, 0};
    t->high = (Ix){0, places};
    t->begun = t->block;
    t->from = k_for(g->m, g->f, gen_i64(g, 0), count, examples);
    t->to = gen_least(g, count, gen_2(g, K_ADD, t->from, gen_i64(g, examples)));
    t->begun = gen_2(g, K_ADD, t->begun, t->from);
    if (rows < places) {
        t->low = (Ix){k_for(g->m, g->f, gen_i64(g, 0), gen_i64(g, places), rows), 0};
        t->high = (Ix){gen_least(g, gen_2(g, K_ADD, t->low.var, gen_i64(g, rows)), gen_i64(g, places)), 0};
        t->begun = gen_2(g, K_ADD, t->begun, t->low.var);
    }
    weight_positions(t);
    if (rows < places) k_end(g->m, g->f);
    k_end(g->m, g->f);
}

/* ---- panels ---- */

static int64_t out_vectors(const Weights *t) { return (t->s.outs + 15) / 16; }

/* Of a shard's sum. */
static int64_t rest_vectors(const Weights *t) { return t->s.groups * out_vectors(t) * t->positions * t->run; }

static void work_panel(Weights *t, int64_t left, KVal count) {
    turn_dy(t, left);
    if (t->sums) add_sums(t, count);
    weight_pieces(t, count);
}

/* Group by group: panels of nv vectors, and what is left. */
static void work_panels(Weights *t, int nv, KVal count) {
    Ctx *c = t->c;
    Gen *g = &c->g;
    int64_t whole = t->s.outs / (16 * nv) * 16 * nv, rows = t->positions * t->run;
    t->group = loop_begin(c, t->s.groups);
    Ix base = ix_plus(g, ix_times(g, (Ix){t->shard->number, 0}, rest_vectors(t)),
                      ix_times(g, t->group, out_vectors(t) * rows));
    if (whole) {
        t->first = (Ix){k_for(g->m, g->f, gen_i64(g, 0), gen_i64(g, whole), 16 * nv), 0};
        t->panel = ix_plus(g, base, ix_times(g, (Ix){gen_2(g, K_SHR, t->first.var, gen_i64(g, 4)), 0}, rows));
        t->nv = nv;
        work_panel(t, 16 * nv, count);
        k_end(g->m, g->f);
    }
    if (whole < t->s.outs) {
        t->first = (Ix){0, whole};
        t->panel = ix_plus(g, base, (Ix){0, whole / 16 * rows});
        t->nv = (int)((t->s.outs - whole + 15) / 16);
        work_panel(t, t->s.outs - whole, count);
    }
    loop_end(c, t->s.groups);
}

static KVal scratch(Ctx *c, int64_t fixed, DType dtype) {
    Buffer buffer = {.fixed = 1024 + (size_t)fixed * dtype_size(dtype), .scratch = true};
    return ctx_entry(c, plan_buffer(c->r->plan, buffer));
}

static int panel_vectors(const Weights *t) {
    int64_t vectors = out_vectors(t);
    int largest = tile_columns_for(&t->c->r->plan->target, 16, t->dtype) > 1 ? 3 : 1;
    if (vectors < largest) return (int)vectors;
    return largest > 1 && vectors % 3 && vectors % 2 == 0 ? 2 : largest;
}

/* Which rows a tile has. */
static void choose_rows(Weights *t) {
    const ConvShape *s = &t->s;
    t->outer = s->axes - conv_always_inside(s, s->axes - 1);
    t->positions = 1;
    for (int i = 0; i < t->outer; i++) t->positions *= s->kernel[i];
    t->run = s->taps * s->each / t->positions;
}

static Weights weights_of(Ctx *c, Val v) {
    Weights t = {.c = c, .v = v, .s = conv_shape(c->r, v), .dtype = (DType)graph_node(c->r->graph, v)->dtype,
                 .dy = region_base(c->r, in_of(c->r, v, 0)), .x = region_base(c->r, in_of(c->r, v, 1))};
    choose_rows(&t);
    return t;
}

size_t conv_weight_bytes(Region *r, Val v) {
    Ctx c = {.r = r};
    Weights t = weights_of(&c, v);
    return (size_t)rest_vectors(&t) * 16 * dtype_size(t.dtype);
}

void conv_weight(Ctx *c, Val v, const Shard *shard) {
    Gen *g = &c->g;
    Weights t = weights_of(c, v);
    int nv = panel_vectors(&t);
    t.shard = shard;
    t.xs = scratch(c, 16 * t.s.groups * t.s.inputs * t.s.each, t.dtype);
    t.dys = scratch(c, 16 * t.s.places * 16 * nv, t.dtype);
    t.rest = ctx_entry(c, c->r->info[v].partial);
    if (c->r->info[v].also) t.sums = scratch(c, t.s.groups * out_vectors(&t) * 16, t.dtype);
    t.block = block_begin(c, shard);
    KVal all = gen_i64(g, 16), count = gen_least(g, gen_2(g, K_SUB, shard->count, gen_2(g, K_MUL, t.block, all)), all);
    turn_x(&t);
    work_panels(&t, nv, count);
    block_end(c);
    if (t.sums) move_sums(&t, c->r->info[v].also);
}

/* ---- the sum of the shards ---- */

/* The vector at `at` of the first shard's sum, to which the others' are added in order. */
static KVal join_shards(const Weights *t, KVal at, KVal shards) {
    Gen *g = &t->c->g;
    KType type = {gen_scalar(t->dtype), 16};
    KVal first = k_load(g->m, g->f, type, t->rest, at);
    KVal shard = k_for(g->m, g->f, gen_i64(g, 1), shards, 1), sum = k_carry(g->m, g->f, first);
    Ix there = ix_plus(g, ix_times(g, (Ix){shard, 0}, rest_vectors(t) * 16), (Ix){at, 0});
    k_next(g->m, g->f, gen_2(g, K_ADD, sum, k_load(g->m, g->f, type, t->rest, ix_value(g, there))));
    k_end(g->m, g->f);
    return k_result(g->m, g->f, 0, type);
}

/* Where vector `vector` of a group's output features rests: the first row, and the step to the next, in vectors. */
static void join_place(const Weights *t, KVal vector, int nv, KVal *base, KVal *step) {
    Gen *g = &t->c->g;
    int64_t vectors = out_vectors(t), whole = t->s.outs / (16 * nv) * nv, rows = t->positions * t->run;
    KVal several = gen_i64(g, nv), within = gen_2(g, K_REM, vector, several);
    KVal first = gen_2(g, K_SUB, vector, within), last = gen_2(g, K_LE, gen_i64(g, whole), vector);
    *step = several;
    if (whole < vectors) {
        *step = gen_select(g, last, gen_i64(g, vectors - whole), several);
        within = gen_select(g, last, gen_2(g, K_SUB, vector, gen_i64(g, whole)), within);
        first = gen_select(g, last, gen_i64(g, whole), first);
    }
    *base = gen_2(g, K_ADD, gen_2(g, K_MUL, first, gen_i64(g, rows)), within);
}

/* Elements first .. first + 15 of an output feature's chain, for 16 output features: as 16 rows of 16. */
static void join_square(const Weights *t, KVal first, KVal base, KVal step, KVal shards, KVal rows) {
    Gen *g = &t->c->g;
    KType type = {gen_scalar(t->dtype), 16};
    KVal x[16], taps = gen_i64(g, t->s.taps), last = gen_i64(g, t->s.taps * t->s.each - 1);
    KVal k = k_for(g->m, g->f, gen_i64(g, 0), gen_i64(g, 16), 1), e = gen_least(g, gen_2(g, K_ADD, first, k), last);
    KVal n = gen_2(g, K_DIV, e, taps), tap = gen_2(g, K_REM, e, taps);
    if (t->s.window->reversed) tap = gen_2(g, K_SUB, gen_i64(g, t->s.taps - 1), tap);
    KVal row = ix_value(g, ix_plus(g, ix_times(g, (Ix){tap, 0}, t->s.each), (Ix){n, 0}));
    KVal at = ix_value(g, ix_times(g, (Ix){gen_2(g, K_ADD, base, gen_2(g, K_MUL, row, step)), 0}, 16));
    k_store(g->m, g->f, rows, ix_value(g, ix_times(g, (Ix){k, 0}, 16)), join_shards(t, at, shards));
    k_end(g->m, g->f);
    for (int i = 0; i < 16; i++) x[i] = k_load(g->m, g->f, type, rows, gen_i64(g, 16 * i));
    transpose16(g, x);
    for (int i = 0; i < 16; i++) k_store(g->m, g->f, rows, gen_i64(g, 16 * i), x[i]);
}

/* Ranges of 16 output features: squares of these and of 16 elements of their chains, turned; the last square of a
 * chain ends with it. */
int64_t conv_weight_join(Ctx *c, Val v) {
    Gen *g = &c->g;
    Weights t = weights_of(c, v);
    KType type = {gen_scalar(t.dtype), 16}, one = {type.scalar, 1};
    int64_t vectors = out_vectors(&t), chain = t.s.taps * t.s.each;
    KVal rows = scratch(c, 256, t.dtype), home = ctx_entry(c, c->r->info[v].home.entry), base, step;
    KVal shards = gen_2(g, K_SHR, gen_2(g, K_ADD, ctx_shape(c, 1), gen_i64(g, SHARD - 1)), gen_i64(g, 5));
    t.rest = ctx_entry(c, c->r->info[v].partial);
    KVal u = k_for(g->m, g->f, k_lo(g->m, g->f), k_hi(g->m, g->f), 1), many = gen_i64(g, vectors);
    KVal group = gen_2(g, K_DIV, u, many), vector = gen_2(g, K_REM, u, many);
    join_place(&t, vector, panel_vectors(&t), &base, &step);
    base = gen_2(g, K_ADD, base, gen_2(g, K_MUL, group, gen_i64(g, vectors * t.positions * t.run)));
    KVal outs = gen_2(g, K_MUL, vector, gen_i64(g, 16));
    KVal lanes = gen_least(g, gen_2(g, K_SUB, gen_i64(g, t.s.outs), outs), gen_i64(g, 16));
    Ix o = ix_plus(g, ix_times(g, (Ix){group, 0}, t.s.outs), (Ix){outs, 0});
    KVal first = k_for(g->m, g->f, gen_i64(g, 0), gen_i64(g, chain), 16);
    if (chain >= 16) first = gen_least(g, first, gen_i64(g, chain - 16));
    join_square(&t, first, base, step, shards, rows);
    KVal lane = k_for(g->m, g->f, gen_i64(g, 0), lanes, 1);
    Ix to = ix_plus(g, ix_times(g, ix_plus(g, o, (Ix){lane, 0}), chain), (Ix){first, 0});
    Ix from = ix_times(g, (Ix){lane, 0}, 16), k = chain < 16 ? loop_begin(c, chain) : (Ix){0, 0};
    KVal x = k_load(g->m, g->f, chain < 16 ? one : type, rows, ix_value(g, ix_plus(g, from, k)));
    k_store(g->m, g->f, home, ix_value(g, ix_plus(g, to, k)), x);
    if (chain < 16) loop_end(c, chain);
    k_end(g->m, g->f);
    k_end(g->m, g->f);
    k_end(g->m, g->f);
    return t.s.groups * vectors;
}
