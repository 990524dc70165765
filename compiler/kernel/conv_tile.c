/* conv_tile.c -- register-tiled convolutions, 16 examples to a vector.
 *
 *   acc[r][b] = init[o + r];  over (kernel place, input feature): acc[r][b] = fma(w[o + r], x[b], acc[r][b])
 *
 * for mr output features and the blocks b of a shard (one or two), at one place of the result: all of a tile sees the
 * same part of the kernel, so what lies outside costs nothing.  So that the chain reads memory in order,
 *   x is packed by shard into [block][group][place][feature of the group] vectors, and
 *   w once per step into [group][mr output features][kernel place][feature][mr] scalars, read backwards if reversed,
 *   mr of them at a time;
 * where the last axis has no dilation, its places and the features are one loop. */
#include "kernel/region.h"

enum { MAX_ACC = 32, FIRST_CACHE = 40 << 10 };          /* bytes */

static Val in_of(const Region *r, Val v, int k) { return graph_in(r->graph, v, k); }

bool conv_is_tiled(const Region *r, Val v) {
    return graph_node(r->graph, v)->op == G_CONV && r->lanes == 16 && !r->body && r->info[v].varies &&
           r->info[in_of(r, v, 1)].varies && !r->info[in_of(r, v, 0)].varies;
}

static int rows_of(const Region *r, Val v, int blocks) {
    ConvShape s = conv_shape(r, v);
    return tile_rows_for(&r->plan->target, 16, (DType)graph_node(r->graph, v)->dtype, blocks, s.outs);
}

static int most_blocks(const Region *r, Val v) {
    int most = tile_columns_for(&r->plan->target, 16, (DType)graph_node(r->graph, v)->dtype);
    return most < 2 ? most : 2;
}

/* ---- weights ---- */

/* Those of `rows` output features from `first` on, by input features, as they mostly stand in memory. */
static void pack_rows(Ctx *c, Val v, KVal packed, KVal first, int64_t rows) {
    Gen *g = &c->g;
    ConvShape s = conv_shape(c->r, v);
    Index at = {0};
    Ix tap = {0, 0};
    at.m[1] = loop_begin(c, s.each);
    for (int i = 0; i < s.axes; i++) {
        Ix k = loop_begin(c, s.kernel[i]);
        tap = ix_plus(g, ix_times(g, tap, s.kernel[i]), k);
        at.m[2 + i] = s.window->reversed ? ix_plus(g, ix_times(g, k, -1), (Ix){0, s.kernel[i] - 1}) : k;
    }
    Ix number = ix_times(g, ix_plus(g, ix_times(g, tap, s.each), at.m[1]), rows);
    KVal to = ix_value(g, ix_plus(g, ix_times(g, (Ix){first, 0}, s.taps * s.each), number));
    for (int64_t k = 0; k < rows; k++) {
        at.m[0] = (Ix){first, k};
        k_store(g->m, g->f, packed, ix_value(g, (Ix){to, k}), pull(c, in_of(c->r, v, 0), &at));
    }
    for (int i = 0; i < s.axes; i++) loop_end(c, s.kernel[i]);
    loop_end(c, s.each);
}

/* One range for each tile. */
int conv_pack_weights(Region *r, Val v) {
    ConvShape s = conv_shape(r, v);
    const Node *node = graph_node(r->graph, v);
    Gen g = plan_function(r->plan, "weights");
    Ctx c = ctx_new(r, g, 1);
    int64_t chain = s.taps * s.each, mr = rows_of(r, v, most_blocks(r, v)), whole = s.outs / mr * mr;
    int64_t tiles = (s.outs + mr - 1) / mr;
    size_t bytes = (size_t)(s.groups * s.outs * chain) * dtype_size((DType)node->dtype);
    int entry = plan_buffer(r->plan, (Buffer){.fixed = bytes + 1024});
    KVal packed = ctx_entry(&c, entry), zero = gen_i64(&g, 0), one = gen_i64(&g, 1), each = gen_i64(&g, tiles);
    KVal u = k_for(g.m, g.f, k_lo(g.m, g.f), k_hi(g.m, g.f), 1);
    KVal own = gen_2(&g, K_MUL, gen_2(&g, K_REM, u, each), gen_i64(&g, mr));
    KVal group = gen_2(&g, K_MUL, gen_2(&g, K_DIV, u, each), gen_i64(&g, s.outs));
    KVal first = gen_2(&g, K_ADD, group, own), full = gen_2(&g, K_LT, own, gen_i64(&g, whole));
    if (whole < s.outs) {                  /* the last tile has fewer rows */
        k_for(g.m, g.f, zero, gen_select(&g, full, zero, one), 1);
        pack_rows(&c, v, packed, first, s.outs - whole);
        k_end(g.m, g.f);
        k_for(g.m, g.f, zero, gen_select(&g, full, one, zero), 1);
    }
    pack_rows(&c, v, packed, first, mr);
    if (whole < s.outs) k_end(g.m, g.f);
    k_end(g.m, g.f);
    plan_stage(r->plan, &g, STAGE_TILES, s.groups * tiles, "weights");
    return entry;
}

/* ---- the input ---- */

typedef struct Tile {
    Ctx *c;
    Val v;
    ConvShape s;
    KVal x, w;                             /* pointers to the packed ones */
    int nb, mr;
    Ix vec[2], vec_global[2];              /* the blocks at hand */
    Ix group, own, place;                  /* own: first output feature of the tile, in its group */
    Ix reach[MAX_PLACES];
} Tile;

static void pack_input(const Tile *t, const Shard *shard) {
    Ctx *c = t->c;
    Gen *g = &c->g;
    const ConvShape *s = &t->s;
    Val x = region_base(c->r, in_of(c->r, t->v, 1));
    KVal b = block_begin(c, shard);
    Ix group = loop_begin(c, s->groups), p = loop_begin(c, s->inputs), n = loop_begin(c, s->each);
    Ix feature = ix_plus(g, ix_times(g, group, s->each), n);
    Ix block = ix_plus(g, ix_times(g, (Ix){b, 0}, s->groups), group);
    Ix to = ix_plus(g, ix_times(g, ix_plus(g, ix_times(g, block, s->inputs), p), s->each), n);
    KVal value = load_value(c, x, ix_plus(g, ix_times(g, feature, s->inputs), p));
    k_store(g->m, g->f, t->x, ix_value(g, ix_times(g, to, 16)), value);
    loop_end(c, s->each);
    loop_end(c, s->inputs);
    loop_end(c, s->groups);
    block_end(c);
}

/* ---- one tile ---- */

static void at_block(const Tile *t, int b) {
    t->c->local = t->vec[b];
    t->c->global = t->vec_global[b];
}

/* One step of the chains; wat, xat: elements. */
static void conv_step(const Tile *t, KVal wat, const KVal *xat, KVal *acc) {
    Gen *g = &t->c->g;
    KType type = k_type(g->f, acc[0]), one = {type.scalar, 1};
    KVal x[2];
    for (int b = 0; b < t->nb; b++) x[b] = k_load(g->m, g->f, type, t->x, xat[b]);
    for (int r = 0; r < t->mr; r++) {
        KVal w = k_load(g->m, g->f, one, t->w, ix_value(g, (Ix){wat, r}));
        for (int b = 0; b < t->nb; b++) acc[r * t->nb + b] = gen_fma(g, w, x[b], acc[r * t->nb + b]);
    }
}

/* The chain over `count` features from the packed x and w on. */
static void conv_run(const Tile *t, KVal count, Ix wfrom, const Ix *xfrom, KVal *acc) {
    Gen *g = &t->c->g;
    KType type = k_type(g->f, acc[0]);
    KVal k = k_for(g->m, g->f, gen_i64(g, 0), count, 1), xat[2];
    for (int i = 0; i < t->mr * t->nb; i++) acc[i] = k_carry(g->m, g->f, acc[i]);
    KVal wat = ix_value(g, ix_plus(g, wfrom, ix_times(g, (Ix){k, 0}, t->mr)));
    for (int b = 0; b < t->nb; b++) xat[b] = ix_value(g, ix_plus(g, xfrom[b], ix_times(g, (Ix){k, 0}, 16)));
    conv_step(t, wat, xat, acc);
    for (int i = 0; i < t->mr * t->nb; i++) k_next(g->m, g->f, acc[i]);
    k_end(g->m, g->f);
    for (int i = 0; i < t->mr * t->nb; i++) acc[i] = k_result(g->m, g->f, i, type);
}

/* Axis by axis; tap, input: what the outer axes have fixed of the kernel's and the input's place, row-major. */
static void conv_axis(const Tile *t, int axis, Ix tap, Ix input, KVal *acc) {
    Gen *g = &t->c->g;
    const ConvShape *s = &t->s;
    int64_t chain = s->taps * s->each, d = s->window->dilation[axis];
    Ix first, end;
    conv_bounds(g, s, axis, t->reach[axis], &first, &end);
    bool merged = axis == s->axes - 1 && d == 1;
    KType type = k_type(g->f, acc[0]);
    KVal lo = ix_value(g, first), hi = ix_value(g, end), j = lo;
    if (!merged) {
        j = k_for(g->m, g->f, lo, hi, 1);
        for (int i = 0; i < t->mr * t->nb; i++) acc[i] = k_carry(g->m, g->f, acc[i]);
    }
    Ix k = ix_plus(g, ix_times(g, (Ix){j, 0}, d), ix_times(g, t->reach[axis], -1));
    tap = ix_plus(g, ix_times(g, tap, s->kernel[axis]), k);
    input = ix_plus(g, ix_times(g, input, s->size[axis]), (Ix){j, 0});
    if (axis == s->axes - 1) {
        Ix base = ix_times(g, ix_plus(g, ix_times(g, t->group, s->outs), t->own), chain), xfrom[2];
        for (int b = 0; b < t->nb; b++) {
            Ix place = ix_plus(g, ix_times(g, t->vec[b], s->groups), t->group);
            place = ix_plus(g, ix_times(g, place, s->inputs), input);
            xfrom[b] = ix_times(g, place, s->each * 16);
        }
        KVal count = gen_i64(g, s->each);
        if (merged) count = gen_2(g, K_MUL, gen_2(g, K_SUB, hi, lo), count);
        conv_run(t, count, ix_plus(g, base, ix_times(g, tap, s->each * t->mr)), xfrom, acc);
    } else {
        conv_axis(t, axis + 1, tap, input, acc);
    }
    if (merged) return;
    for (int i = 0; i < t->mr * t->nb; i++) k_next(g->m, g->f, acc[i]);
    k_end(g->m, g->f);
    for (int i = 0; i < t->mr * t->nb; i++) acc[i] = k_result(g->m, g->f, i, type);
}

static void conv_rows(Tile *t, Ix own, int mr) {
    Ctx *c = t->c;
    Gen *g = &c->g;
    const Node *node = graph_node(c->r->graph, t->v);
    KVal acc[MAX_ACC];
    t->own = own;
    t->mr = mr;
    Ix o = ix_plus(g, ix_times(g, t->group, t->s.outs), own);
    for (int r = 0; r < mr; r++) {
        Index at = index_flat(ix_plus(g, o, (Ix){0, r}));
        for (int b = 0; b < t->nb; b++) {
            at_block(t, b);
            KVal init = node->nin > 2 ? pull(c, in_of(c->r, t->v, 2), &at) : gen_number(g, (DType)node->dtype, 0);
            acc[r * t->nb + b] = gen_widen(g, init, 16);
        }
    }
    conv_axis(t, 0, (Ix){0, 0}, (Ix){0, 0}, acc);
    for (int r = 0; r < mr; r++) {
        Ix flat = ix_plus(g, ix_times(g, ix_plus(g, o, (Ix){0, r}), t->s.places), t->place);
        for (int b = 0; b < t->nb; b++) {
            at_block(t, b);
            store_value(c, t->v, flat, acc[r * t->nb + b]);
        }
    }
}

static void place_begin(Tile *t) {
    Gen *g = &t->c->g;
    t->place = (Ix){0, 0};
    for (int i = 0; i < t->s.axes; i++) {
        Ix p = loop_begin(t->c, t->s.result[i]);
        t->reach[i] = conv_reach(g, t->s.window, i, p);
        t->place = ix_plus(g, ix_times(g, t->place, t->s.result[i]), p);
    }
}

static void place_end(Tile *t) {
    for (int i = 0; i < t->s.axes; i++) loop_end(t->c, t->s.result[i]);
}

/* Whether all that a row of places sees of x fits the first cache: then tiles of features come outside, and results are
 * stored place after place. */
static bool features_outside(const Tile *t) {
    const ConvShape *s = &t->s;
    int64_t seen = s->inputs / s->size[0] * s->kernel[0] * s->each * t->nb * 16;
    return s->axes > 1 && seen * (int64_t)dtype_size((DType)graph_node(t->c->r->graph, t->v)->dtype) <= FIRST_CACHE;
}

/* For the blocks at hand: all output features, mr at a time, at all places. */
static void conv_places(Tile *t, int64_t mr) {
    Ctx *c = t->c;
    Gen *g = &c->g;
    const ConvShape *s = &t->s;
    int64_t whole = s->outs / mr * mr;
    bool outside = features_outside(t);
    t->group = loop_begin(c, s->groups);
    if (!outside) place_begin(t);
    if (whole) {
        Ix own = {whole == mr ? 0 : k_for(g->m, g->f, gen_i64(g, 0), gen_i64(g, whole), mr), 0};
        if (outside) place_begin(t);
        conv_rows(t, own, (int)mr);
        if (outside) place_end(t);
        if (whole > mr) k_end(g->m, g->f);
    }
    if (whole < s->outs) {
        if (outside) place_begin(t);
        conv_rows(t, (Ix){0, whole}, (int)(s->outs - whole));
        if (outside) place_end(t);
    }
    if (!outside) place_end(t);
    loop_end(c, s->groups);
}

static void conv_blocks(Tile *t, const Shard *shard, KVal first, int nb, int64_t mr) {
    Gen *g = &t->c->g;
    Ix of_shard = ix_times(g, (Ix){shard->number, 0}, SHARD / 16);
    t->nb = nb;
    for (int b = 0; b < nb; b++) {
        t->vec[b] = (Ix){first, b};
        t->vec_global[b] = ix_plus(g, of_shard, t->vec[b]);
    }
    conv_places(t, mr);
}

void conv_tile(Region *r, Val v, int weights) {
    Gen g = plan_function(r->plan, "conv");
    Ctx c = ctx_new(r, g, 16);
    Tile t = {.c = &c, .v = v, .s = conv_shape(r, v), .w = ctx_entry(&c, weights)};
    int most = most_blocks(r, v);
    int64_t mr = rows_of(r, v, most), vectors = t.s.groups * t.s.inputs * t.s.each;
    size_t bytes = (size_t)vectors * dtype_size((DType)graph_node(r->graph, v)->dtype);
    t.x = ctx_entry(&c, plan_buffer(r->plan, (Buffer){.fixed = 1024, .per_example = bytes, .scratch = true}));
    Shard shard = shard_begin(&c);
    pack_input(&t, &shard);
    KVal from = gen_i64(&g, 0);
    if (most > 1) {
        KVal pairs = gen_2(&g, K_SHR, shard.blocks, gen_i64(&g, 1));
        k_for(g.m, g.f, gen_i64(&g, 0), pairs, 1);
        conv_blocks(&t, &shard, 0, 2, mr);
        k_end(g.m, g.f);
        from = gen_2(&g, K_MUL, pairs, gen_i64(&g, 2));
    }
    conv_blocks(&t, &shard, k_for(g.m, g.f, from, shard.blocks, 1), 1, mr);
    k_end(g.m, g.f);
    shard_end(&c);
    plan_stage(r->plan, &g, STAGE_SHARDS, 0, "convolution");
}
