/* conv_pairs.c -- a convolution's weight gradient where one tile has all rows of the kernel: few input features, as of
 * the first layer of a net for images.
 *
 * There dy is read once for few products, so that reading and turning it must not hold these up.  A vector has 8
 * output features times a *pair* of rows (two neighbours of the last axis's positions and features, which stand side
 * by side in x): lane 2k + h of accumulator r is feature k, row h of pair r.  Panels of 8 features are small enough for
 * two of them in the second cache: while one is worked on, the next is turned, 8 vectors now and then, between
 * the products.  A turned vector has a place's 8 features of two examples, [example / 2][place][feature][example % 2];
 * the dy of both rows of a pair is an element and its neighbour overwritten by it.
 * A row beyond a pair is the next place's, and its sums are not used. */
#include "kernel/weights.h"

enum { FEATURES = 8, LEAST_PAIRS = 8, MOST_PAIRS = 16, CHUNK = 16 };
enum { NEAR = 10, SOON = 2 };              /* places ahead */

typedef struct Pairs {
    Weights *t;
    int64_t width, chunk, chunks;          /* places of a row of results; of a chunk of it; chunks */
    int sums;                              /* 1 with the sum of dy */
    KVal turned, next;                     /* pointers: the panel of dy at hand, and the one after it */
    KVal count, most, limit;               /* examples; places of the next panel turned before a chunk, and in all */
    Ix next_group, local, global;          /* the next panel: group, vector; */
    KVal first;                            /* its first feature */
    Ix group, e, xs, example;              /* group at hand; example, its x, its place in `turned`; */
    bool second;                           /* of two */
    int seen;                              /* pairs of x that the chunk at hand has loaded: */
    int64_t at[CHUNK * MOST_PAIRS];
    KVal pair[CHUNK * MOST_PAIRS];
} Pairs;

static int64_t row_floats(const Weights *t) { return t->s.kernel[t->s.axes - 1] * t->s.each; }
static int row_pairs(const Weights *t) { return (int)((row_floats(t) + 1) / 2); }
static int all_pairs(const Weights *t) { return (int)(t->s.taps / t->s.kernel[t->s.axes - 1]) * row_pairs(t); }
static int64_t panels_of(const Weights *t) { return (t->s.outs + FEATURES - 1) / FEATURES; }

bool conv_pairs_fit(const Weights *t) {
    const Target *target = &t->c->r->plan->target;
    int64_t rows = t->s.taps * t->s.each;
    return t->dtype == DT_F32 && target->vector_bytes == 64 && target->registers >= 32 && rows <= 2 * MOST_PAIRS &&
           all_pairs(t) >= LEAST_PAIRS && all_pairs(t) <= MOST_PAIRS;
}

int64_t conv_pairs_size(const Weights *t) { return t->s.groups * panels_of(t) * (all_pairs(t) + 1) * 16; }

/* ---- turning ---- */

/* Place p of the next panel. */
static void turn_place(Pairs *s, Ix p) {
    Ctx *c = s->t->c;
    Gen *g = &c->g;
    const Info *dy = &c->r->info[s->t->dy];
    const ConvShape *shape = &s->t->s;
    KVal x[FEATURES], last = gen_i64(g, shape->outs - 1);
    Ix local = c->local, global = c->global;
    c->local = s->local;
    c->global = s->global;
    for (int k = 0; k < FEATURES; k++) {
        KVal o = ix_value(g, (Ix){s->first, k});
        if (shape->outs % FEATURES) o = least(g, o, last);
        Ix feature = ix_plus(g, ix_times(g, s->next_group, shape->outs), (Ix){o, 0});
        Ix at = ix_plus(g, ix_times(g, feature, shape->places), p);
        x[k] = load_value(c, s->t->dy, at);
        if (!dy->stored) continue;
        KVal soon = ix_value(g, home_index(c, &dy->home, ix_plus(g, at, (Ix){0, SOON})));
        k_prefetch(g->m, g->f, k_offset(g->m, g->f, KS_F32, ctx_entry(c, dy->home.entry), soon), true);
    }
    c->local = local;
    c->global = global;
    for (int by = FEATURES / 2; by > 0; by /= 2) exchange(g, x, FEATURES, by, 2 * by);
    for (int e = 0; e < 8; e++) {
        Ix row = ix_plus(g, p, (Ix){0, e * shape->places});
        k_store(g->m, g->f, s->next, ix_value(g, ix_times(g, row, 16)), x[e]);
    }
}

static void turn_places(Pairs *s, KVal from, KVal to) {
    Gen *g = &s->t->c->g;
    Ix p = {k_for(g->m, g->f, from, to, 1), 0};
    turn_place(s, p);
    k_end(g->m, g->f);
}

/* ---- products ---- */

static int accumulators(const Pairs *s) { return all_pairs(s->t) + s->sums; }

static void carry_all(const Pairs *s, KVal *acc) {
    for (int i = 0; i < accumulators(s); i++) acc[i] = k_carry(s->t->c->g.m, s->t->c->g.f, acc[i]);
}

static void end_all(const Pairs *s, KVal *acc) {
    Gen *g = &s->t->c->g;
    for (int i = 0; i < accumulators(s); i++) k_next(g->m, g->f, acc[i]);
    k_end(g->m, g->f);
    for (int i = 0; i < accumulators(s); i++) acc[i] = k_result(g->m, g->f, i, KV(F32));
}

/* Of pair r, in x from the place at hand on. */
static int64_t pair_offset(const Weights *t, int r) {
    int64_t k = r / row_pairs(t), place = 0, last = t->s.axes - 1, stride = t->s.size[last];
    for (int64_t i = last - 1; i >= 0; i--) {
        place += k % t->s.kernel[i] * stride;
        k /= t->s.kernel[i];
        stride *= t->s.size[i];
    }
    return place * t->s.each + r % row_pairs(t) * 2;
}

/* The pair of x that stands `offset` after `from`; those of the last places are used again. */
static KVal pair_at(Pairs *s, KVal from, int64_t offset) {
    Gen *g = &s->t->c->g;
    for (int i = 0; i < s->seen; i++)
        if (s->at[i] == offset) return s->pair[i];
    KVal x = k_pair(g->m, g->f, s->t->xs, ix_value(g, (Ix){from, offset}));
    s->at[s->seen] = offset;
    s->pair[s->seen++] = x;
    return x;
}

/* Places p ... p + n - 1; input: where x's of the first one is. */
static void pair_steps(Pairs *s, Ix p, Ix input, int64_t n, KVal *acc) {
    Weights *t = s->t;
    Gen *g = &t->c->g;
    KVal lanes = k_lanes(g->m, g->f, KV(I32)), one = k_ints(g->m, g->f, KV(I32), 1);
    KVal odd = gen_2(g, K_EQ, gen_2(g, K_AND, lanes, one), one);
    KVal from = ix_value(g, ix_plus(g, s->xs, ix_times(g, input, t->s.each)));
    Ix first = {ix_value(g, ix_plus(g, s->example, ix_times(g, p, 16))), 0};
    int64_t step = t->s.window->stride[t->s.axes - 1] * t->s.each;
    s->seen = 0;
    for (int k = 0; k < n; k++) {
        KVal both = k_load(g->m, g->f, KV(F32), s->turned, ix_value(g, ix_plus(g, first, (Ix){0, 16 * k})));
        KVal other = k_rotate(g->m, g->f, both, s->second ? 1 : 15);
        KVal dy = s->second ? gen_select(g, odd, both, other) : gen_select(g, odd, other, both);
        KVal near = ix_value(g, ix_plus(g, first, (Ix){0, 16 * (k + NEAR)}));
        k_prefetch(g->m, g->f, k_offset(g->m, g->f, KS_F32, s->turned, near), true);
        for (int r = 0; r < all_pairs(t); r++)
            acc[r] = gen_fma(g, pair_at(s, from, k * step + pair_offset(t, r)), dy, acc[r]);
        if (s->sums) acc[all_pairs(t)] = gen_2(g, K_ADD, acc[all_pairs(t)], dy);
    }
}

/* The places of a chunk: all written out, or one by one where the last chunk is shorter. */
static void pair_chunk(Pairs *s, KVal chunk, Ix row, Ix input, KVal *acc) {
    Weights *t = s->t;
    Gen *g = &t->c->g;
    int axis = t->s.axes - 1;
    int64_t stride = t->s.window->stride[axis], pad = t->s.window->pad[axis];
    bool whole = s->chunk * s->chunks == s->width;
    Ix from = ix_times(g, (Ix){chunk, 0}, s->chunk), at = from;
    if (!whole) {
        KVal to = ix_value(g, ix_plus(g, from, (Ix){0, s->chunk}));
        at = (Ix){k_for(g->m, g->f, ix_value(g, from), least(g, to, gen_i64(g, s->width)), 1), 0};
        carry_all(s, acc);
    }
    Ix there = ix_plus(g, ix_times(g, at, stride), (Ix){0, -pad});
    pair_steps(s, ix_plus(g, ix_times(g, row, s->width), at),
               ix_plus(g, ix_times(g, input, t->s.size[axis]), there), whole ? s->chunk : 1, acc);
    if (!whole) end_all(s, acc);
}

/* A row of results: before each chunk, some places of the next panel are turned. */
static void pair_row(Pairs *s, Ix row, Ix input, KVal *acc) {
    Weights *t = s->t;
    Gen *g = &t->c->g;
    KVal i = k_for(g->m, g->f, gen_i64(g, 0), gen_i64(g, s->chunks), 1);
    carry_all(s, acc);
    Ix rows = ix_plus(g, ix_times(g, s->e, t->s.places / s->width), row);
    KVal done = gen_2(g, K_MUL, ix_value(g, ix_plus(g, ix_times(g, rows, s->chunks), (Ix){i, 0})), s->most);
    turn_places(s, done, least(g, gen_2(g, K_ADD, done, s->most), s->limit));
    pair_chunk(s, i, row, input, acc);
    end_all(s, acc);
}

/* row, input: the place along the axes before. */
static void pair_axis(Pairs *s, int axis, Ix row, Ix input, KVal *acc) {
    Weights *t = s->t;
    Gen *g = &t->c->g;
    if (axis == t->s.axes - 1) {
        pair_row(s, row, input, acc);
        return;
    }
    Ix at = {k_for(g->m, g->f, gen_i64(g, 0), gen_i64(g, t->s.result[axis]), 1), 0};
    carry_all(s, acc);
    Ix there = ix_plus(g, ix_times(g, at, t->s.window->stride[axis]), (Ix){0, -t->s.window->pad[axis]});
    pair_axis(s, axis + 1, ix_plus(g, ix_times(g, row, t->s.result[axis]), at),
              ix_plus(g, ix_times(g, input, t->s.size[axis]), there), acc);
    end_all(s, acc);
}

/* What rests, or 0 at the start of a shard. */
static void start_panel(const Pairs *s, Ix rest, KVal *acc) {
    Weights *t = s->t;
    Gen *g = &t->c->g;
    KVal zero = gen_widen(g, gen_number(g, DT_F32, 0), 16);
    for (int i = 0; i < accumulators(s); i++) acc[i] = zero;
    k_for(g->m, g->f, gen_i64(g, 0), least(g, t->block, gen_i64(g, 1)), 1);
    carry_all(s, acc);
    for (int i = 0; i < accumulators(s); i++)
        acc[i] = k_load(g->m, g->f, KV(F32), t->pairs, ix_value(g, ix_plus(g, rest, (Ix){0, 16 * i})));
    end_all(s, acc);
}

static void example_products(Pairs *s, Ix e, KVal *acc) {
    Weights *t = s->t;
    Gen *g = &t->c->g;
    s->e = e;
    s->xs = ix_times(g, ix_plus(g, ix_times(g, e, t->s.groups), s->group), t->s.inputs * t->s.each);
    pair_axis(s, 0, (Ix){0, 0}, (Ix){0, 0}, acc);
}

static void panel_products(Pairs *s, KVal panel) {
    Weights *t = s->t;
    Gen *g = &t->c->g;
    KVal acc[MOST_PAIRS + 1];
    Ix rest = ix_times(g, (Ix){panel, 0}, (all_pairs(t) + 1) * 16);
    start_panel(s, rest, acc);
    KVal one = gen_i64(g, 1), two = gen_2(g, K_SHR, gen_2(g, K_ADD, s->count, one), one);
    KVal e = k_for(g->m, g->f, gen_i64(g, 0), two, 1);
    carry_all(s, acc);
    s->example = ix_times(g, (Ix){e, 0}, 16 * t->s.places);
    example_products(s, ix_times(g, (Ix){e, 0}, 2), acc);
    KVal left = gen_2(g, K_SUB, s->count, ix_value(g, (Ix){gen_2(g, K_SHL, e, one), 1}));
    k_for(g->m, g->f, gen_i64(g, 0), least(g, left, one), 1);
    carry_all(s, acc);
    s->second = true;
    example_products(s, (Ix){gen_2(g, K_SHL, e, one), 1}, acc);
    s->second = false;
    end_all(s, acc);
    end_all(s, acc);
    for (int i = 0; i < accumulators(s); i++)
        k_store(g->m, g->f, t->pairs, ix_value(g, ix_plus(g, rest, (Ix){0, 16 * i})), acc[i]);
}

/* ---- panels ---- */

/* Panel `panel` of block `block` of the shard, or the block after it, is the next one; none after the last block. */
static void choose_next(Pairs *s, KVal panel, KVal block) {
    Weights *t = s->t;
    Ctx *c = t->c;
    Gen *g = &c->g;
    KVal all = gen_i64(g, t->s.groups * panels_of(t)), none = gen_i64(g, 0), own = gen_i64(g, panels_of(t));
    KVal over = gen_2(g, K_LE, all, panel);
    panel = gen_select(g, over, none, panel);
    block = gen_select(g, over, gen_2(g, K_ADD, block, gen_i64(g, 1)), block);
    s->limit = gen_select(g, gen_2(g, K_LT, block, t->shard->blocks), gen_i64(g, t->s.places), none);
    s->local = (Ix){block, 0};
    s->global = ix_plus(g, ix_times(g, (Ix){t->shard->number, 0}, SHARD / c->lanes), s->local);
    s->next_group = t->s.groups > 1 ? (Ix){gen_2(g, K_DIV, panel, own), 0} : (Ix){0, 0};
    s->first = gen_2(g, K_MUL, gen_2(g, K_REM, panel, own), gen_i64(g, FEATURES));
}

/* The buffers take turns from panel to panel of all blocks. */
static void choose_buffers(Pairs *s, KVal panel) {
    Weights *t = s->t;
    Gen *g = &t->c->g;
    KVal before = gen_2(g, K_MUL, t->block, gen_i64(g, t->s.groups * panels_of(t)));
    KVal odd = gen_2(g, K_AND, gen_2(g, K_ADD, before, panel), gen_i64(g, 1));
    int64_t size = 8 * t->s.places * 16;
    KVal at = gen_2(g, K_MUL, odd, gen_i64(g, size));
    s->turned = k_offset(g->m, g->f, KS_F32, t->dys, at);
    s->next = k_offset(g->m, g->f, KS_F32, t->dys, gen_2(g, K_SUB, gen_i64(g, size), at));
}

void conv_pairs(Weights *t, KVal count) {
    Gen *g = &t->c->g;
    Pairs s = {.t = t, .width = t->s.result[t->s.axes - 1], .sums = t->sums != 0, .count = count};
    KVal zero = gen_i64(g, 0), one = gen_i64(g, 1);
    s.chunk = s.width < CHUNK ? s.width : CHUNK;
    while (s.width % s.chunk && s.chunk > CHUNK / 2) s.chunk--;
    s.chunks = (s.width + s.chunk - 1) / s.chunk;
    KVal slots = gen_2(g, K_MUL, count, gen_i64(g, t->s.places / s.width * s.chunks));
    s.most = gen_2(g, K_ADD, gen_2(g, K_DIV, gen_i64(g, t->s.places - 1), slots), one);
    choose_next(&s, zero, zero);                           /* the shard's first panel, before all products */
    s.next = t->dys;
    turn_places(&s, zero, gen_select(g, gen_2(g, K_LT, t->block, one), s.limit, zero));
    KVal panel = k_for(g->m, g->f, zero, gen_i64(g, t->s.groups * panels_of(t)), 1);
    s.group = t->s.groups > 1 ? (Ix){gen_2(g, K_DIV, panel, gen_i64(g, panels_of(t))), 0} : (Ix){0, 0};
    choose_next(&s, gen_2(g, K_ADD, panel, one), t->block);
    choose_buffers(&s, panel);
    panel_products(&s, panel);
    k_end(g->m, g->f);
}

/* ---- the shard's sum ---- */

static KVal load_rest(const Weights *t, Ix panel, KVal accumulator, KVal lane) {
    Gen *g = &t->c->g;
    Ix at = ix_plus(g, ix_times(g, panel, all_pairs(t) + 1), (Ix){accumulator, 0});
    return k_load(g->m, g->f, KT(F32), t->pairs, ix_value(g, ix_plus(g, ix_times(g, at, 16), (Ix){lane, 0})));
}

/* Element by element to [group][16 features][row][feature] */
void conv_pairs_end(Weights *t, int64_t rest_vectors) {
    Ctx *c = t->c;
    Gen *g = &c->g;
    int64_t vectors = (t->s.outs + 15) / 16, floats = row_floats(t);
    Ix group = loop_begin(c, t->s.groups), o = loop_begin(c, t->s.outs);
    KVal feature = ix_value(g, o), eight = gen_i64(g, FEATURES), sixteen = gen_i64(g, 16);
    Ix panel = ix_plus(g, ix_times(g, group, panels_of(t)), (Ix){gen_2(g, K_DIV, feature, eight), 0});
    Ix lane = ix_times(g, (Ix){gen_2(g, K_REM, feature, eight), 0}, 2);
    Ix vector = ix_plus(g, ix_times(g, group, vectors), (Ix){gen_2(g, K_DIV, feature, sixteen), 0});
    KVal within = gen_2(g, K_REM, feature, sixteen);
    Ix shard = ix_times(g, (Ix){t->shard->number, 0}, rest_vectors);
    Ix row = loop_begin(c, t->run);
    KVal at = ix_value(g, row), n = gen_2(g, K_REM, at, gen_i64(g, floats));
    Ix pair = ix_times(g, (Ix){gen_2(g, K_DIV, at, gen_i64(g, floats)), 0}, row_pairs(t));
    pair = ix_plus(g, pair, (Ix){gen_2(g, K_SHR, n, gen_i64(g, 1)), 0});
    KVal half = ix_value(g, ix_plus(g, lane, (Ix){gen_2(g, K_AND, n, gen_i64(g, 1)), 0}));
    KVal x = load_rest(t, panel, ix_value(g, pair), half);
    Ix to = ix_plus(g, shard, ix_plus(g, ix_times(g, vector, t->run), row));
    k_store(g->m, g->f, t->rest, ix_value(g, ix_plus(g, ix_times(g, to, 16), (Ix){within, 0})), x);
    loop_end(c, t->run);
    if (t->sums) {
        x = load_rest(t, panel, gen_i64(g, all_pairs(t)), ix_value(g, lane));
        Ix sum = ix_plus(g, ix_times(g, vector, 16), (Ix){within, 0});
        k_store(g->m, g->f, t->sums, ix_value(g, sum), x);
    }
    loop_end(c, t->s.outs);
    loop_end(c, t->s.groups);
}
