/* batch.c -- sums over the batch: the chain of one shard's examples, in order.  The shards' sums stand in a buffer
 * [shards][size]; whoever reads the sum adds them in order (combine in region.c). */
#include "kernel/region.h"

static const Shape *shape_at(const Ctx *c, Val v) { return &graph_node(c->r->graph, v)->shape; }
static DType dtype_at(const Ctx *c, Val v) { return (DType)graph_node(c->r->graph, v)->dtype; }
static Val in_of(const Ctx *c, Val v, int k) { return graph_in(c->r->graph, v, k); }

/* ---- shards and blocks ---- */

Shard shard_range(Ctx *c, KVal lo, KVal hi) {
    Gen *g = &c->g;
    KVal examples = ctx_shape(c, 1), s = k_for(g->m, g->f, lo, hi, 1);
    KVal left = gen_2(g, K_SUB, examples, gen_2(g, K_MUL, s, gen_i64(g, SHARD))), most = gen_i64(g, SHARD);
    KVal count = gen_select(g, gen_2(g, K_LT, left, most), left, most);
    KVal blocks = count;
    if (c->lanes == 16) blocks = gen_2(g, K_SHR, gen_2(g, K_ADD, count, gen_i64(g, 15)), gen_i64(g, 4));
    return (Shard){s, count, blocks};
}

Shard shard_begin(Ctx *c) { return shard_range(c, k_lo(c->g.m, c->g.f), k_hi(c->g.m, c->g.f)); }

void shard_end(Ctx *c) { k_end(c->g.m, c->g.f); }

static void set_block(Ctx *c, const Shard *shard, KVal block) {
    c->local = (Ix){block, 0};
    c->global = ix_plus(&c->g, ix_times(&c->g, (Ix){shard->number, 0}, SHARD / c->lanes), c->local);
}

KVal block_begin(Ctx *c, const Shard *shard) {
    KVal b = k_for(c->g.m, c->g.f, gen_i64(&c->g, 0), shard->blocks, 1);
    set_block(c, shard, b);
    return b;
}

void block_end(Ctx *c) { k_end(c->g.m, c->g.f); }

/* Makes example e of the shard the one at hand; its lane. */
static Ix set_example(Ctx *c, const Shard *shard, Ix e) {
    if (c->lanes == 1) {
        set_block(c, shard, ix_value(&c->g, e));
        return (Ix){0, 0};
    }
    KVal i = ix_value(&c->g, e);
    set_block(c, shard, gen_2(&c->g, K_SHR, i, gen_i64(&c->g, 4)));
    return (Ix){gen_2(&c->g, K_AND, i, gen_i64(&c->g, 15)), 0};
}

/* ---- chains of scalars ---- */

static KVal chain_level(Gen *g, int n, int level, const KVal *counts, Ix *ix, KVal acc, ChainAdd add, void *data) {
    if (level == n) return add(data, ix, acc);
    KType type = k_type(g->f, acc);
    KVal i = k_for(g->m, g->f, gen_i64(g, 0), counts[level], 1), a = k_carry(g->m, g->f, acc);
    ix[level] = (Ix){i, 0};
    k_next(g->m, g->f, chain_level(g, n, level + 1, counts, ix, a, add, data));
    k_end(g->m, g->f);
    return k_result(g->m, g->f, 0, type);
}

KVal chain(Gen *g, int n, const KVal *counts, KVal acc, ChainAdd add, void *data) {
    Ix ix[MAX_RANK + 2];
    return chain_level(g, n, 0, counts, ix, acc, add, data);
}

typedef struct Sum {
    Ctx *c;
    const Shard *shard;
    Val v, a, b;
    Index at;                              /* BATCH_SUM: of the operand, kept axes set */
    int axis[MAX_RANK], axes;              /* reduced axes in the order of the loops */
    Ix o, n;                               /* BATCH_OUTER: the element */
    int64_t places;
} Sum;

static KVal sum_add(void *data, const Ix *ix, KVal acc) {
    Sum *s = data;
    Ix lane = set_example(s->c, s->shard, ix[0]);
    for (int k = 0; k < s->axes; k++) s->at.m[s->axis[k]] = ix[1 + k];
    KVal x = load_lane(s->c, s->a, ix_flat(s->c, shape_at(s->c, in_of(s->c, s->v, 0)), &s->at), lane);
    return gen_2(&s->c->g, K_ADD, acc, x);
}

static void store_partial(Ctx *c, Val v, const Shard *shard, Ix flat, KVal x) {
    Ix at = ix_plus(&c->g, ix_times(&c->g, (Ix){shard->number, 0}, region_size(c->r, v)), flat);
    k_store(c->g.m, c->g.f, ctx_entry(c, c->r->info[v].partial), ix_value(&c->g, at), x);
}

static KVal zero_of(Ctx *c, Val v, int lanes) { return gen_widen(&c->g, gen_number(&c->g, dtype_at(c, v), 0), lanes); }

static KVal apart_add(void *data, const Ix *ix, KVal acc) {
    Sum *s = data;
    for (int k = 0; k < s->axes; k++) s->at.m[s->axis[k]] = ix[k];
    KVal x = load_value(s->c, s->a, ix_flat(s->c, shape_at(s->c, in_of(s->c, s->v, 0)), &s->at));
    return gen_2(&s->c->g, K_ADD, acc, x);
}

/* Where each example is a chain by itself: a block's side by side, which are then added in order. */
static KVal sum_apart(Sum *s, const KVal *counts) {
    Ctx *c = s->c;
    Gen *g = &c->g;
    KVal zero = zero_of(c, s->v, 1), all = gen_i64(g, c->lanes);
    KScalar scalar = k_type(g->f, zero).scalar;
    KVal own = k_local(g->m, g->f, scalar, c->lanes);
    KVal b = k_for(g->m, g->f, gen_i64(g, 0), s->shard->blocks, 1), total = k_carry(g->m, g->f, zero);
    set_block(c, s->shard, b);
    k_store(g->m, g->f, own, gen_i64(g, 0), chain(g, s->axes, counts, zero_of(c, s->v, c->lanes), apart_add, s));
    KVal left = gen_2(g, K_SUB, s->shard->count, gen_2(g, K_MUL, b, all));
    left = gen_select(g, gen_2(g, K_LT, left, all), left, all);
    KVal e = k_for(g->m, g->f, gen_i64(g, 0), left, 1), sum = k_carry(g->m, g->f, total);
    k_next(g->m, g->f, gen_2(g, K_ADD, sum, k_load(g->m, g->f, k_type(g->f, zero), own, e)));
    k_end(g->m, g->f);
    k_next(g->m, g->f, k_result(g->m, g->f, 0, k_type(g->f, zero)));
    k_end(g->m, g->f);
    return k_result(g->m, g->f, 0, k_type(g->f, zero));
}

/* Element `first` ... of the result, one by one. */
static void sum_scalars(Sum *s) {
    Ctx *c = s->c;
    const Shape *from = shape_at(c, in_of(c, s->v, 0));
    uint32_t axes = graph_attr(c->r->graph, s->v)->axes;
    KVal counts[MAX_RANK + 1] = {s->shard->count};
    Index result = {.flat = false};
    int kept = 0;
    s->axes = 0;
    for (int k = 0; k < from->rank; k++) {
        if (axes >> k & 1 && k > 0) s->axis[s->axes++] = k;
        else if (!(axes >> k & 1)) s->at.m[k] = result.m[kept++] = loop_begin(c, from->dim[k]);
    }
    if (axes & 1) s->axis[s->axes++] = 0;
    int64_t terms = 1;
    for (int k = 0; k < s->axes; k++) {
        terms *= from->dim[s->axis[k]];
        counts[1 + k] = gen_i64(&c->g, from->dim[s->axis[k]]);
    }
    KVal x = sum_by_example(terms) ? sum_apart(s, counts + 1)
                                   : chain(&c->g, 1 + s->axes, counts, zero_of(c, s->v, 1), sum_add, s);
    store_partial(c, s->v, s->shard, ix_flat(c, shape_at(c, s->v), &result), x);
    for (int k = 0; k < from->rank; k++)
        if (!(axes >> k & 1)) loop_end(c, from->dim[k]);
}

/* 16 elements at a time: 16 x 16 squares turned, so that lanes are elements and examples follow each other. */
static void sum_squares(Sum *s, int64_t whole) {
    Ctx *c = s->c;
    Gen *g = &c->g;
    KVal i = k_for(g->m, g->f, gen_i64(g, 0), gen_i64(g, whole), 16), zero = zero_of(c, s->v, 16), x[16];
    KType type = k_type(g->f, zero);
    KVal b = k_for(g->m, g->f, gen_i64(g, 0), s->shard->blocks, 1), acc = k_carry(g->m, g->f, zero);
    set_block(c, s->shard, b);
    for (int k = 0; k < 16; k++) x[k] = load_value(c, s->a, (Ix){i, k});
    transpose16(g, x);
    KVal left = gen_2(g, K_SUB, s->shard->count, gen_2(g, K_MUL, b, gen_i64(g, 16))), sum = acc;
    for (int e = 0; e < 16; e++) {
        KVal more = gen_2(g, K_ADD, sum, x[e]);
        sum = e ? gen_select(g, gen_2(g, K_LT, gen_i64(g, e), left), more, sum) : more;
    }
    k_next(g->m, g->f, sum);
    k_end(g->m, g->f);
    store_partial(c, s->v, s->shard, (Ix){i, 0}, k_result(g->m, g->f, 0, type));
    k_end(g->m, g->f);
}

static void sum_rest(Sum *s, int64_t from, int64_t to) {
    Gen *g = &s->c->g;
    if (from >= to) return;
    KVal i = k_for(g->m, g->f, gen_i64(g, from), gen_i64(g, to), 1);
    s->at = index_flat((Ix){i, 0});
    s->axes = 0;
    KVal x = chain(g, 1, &s->shard->count, zero_of(s->c, s->v, 1), sum_add, s);
    store_partial(s->c, s->v, s->shard, (Ix){i, 0}, x);
    k_end(g->m, g->f);
}

static void batch_sum(Sum *s) {
    int64_t size = region_size(s->c->r, s->v), whole = size / 16 * 16;
    if (graph_attr(s->c->r->graph, s->v)->axes || s->c->lanes == 1 || !whole) {
        sum_scalars(s);
        return;
    }
    sum_squares(s, whole);
    sum_rest(s, whole, size);
}

/* ---- BATCH_OUTER ---- */

static KVal outer_add(void *data, const Ix *ix, KVal acc) {
    Sum *s = data;
    Gen *g = &s->c->g;
    Ix lane = set_example(s->c, s->shard, ix[0]);
    KVal dy = load_lane(s->c, s->a, ix_plus(g, ix_times(g, s->o, s->places), ix[1]), lane);
    return gen_fma(g, dy, load_lane(s->c, s->b, ix_plus(g, ix_times(g, s->n, s->places), ix[1]), lane), acc);
}

static void outer_scalars(Sum *s) {
    Ctx *c = s->c;
    const Shape *shape = shape_at(c, s->v);
    s->o = loop_begin(c, shape->dim[0]);
    s->n = loop_begin(c, shape->dim[1]);
    KVal counts[2] = {s->shard->count, gen_i64(&c->g, s->places)};
    KVal x = chain(&c->g, 2, counts, zero_of(c, s->v, 1), outer_add, s);
    store_partial(c, s->v, s->shard, ix_plus(&c->g, ix_times(&c->g, s->o, shape->dim[1]), s->n), x);
    loop_end(c, shape->dim[1]);
    loop_end(c, shape->dim[0]);
}

/* x as rows: [example][place][n16], the lanes beyond n zero. */
static void turn_rows(Sum *s, KVal rows, int64_t n, int64_t n16) {
    Ctx *c = s->c;
    Gen *g = &c->g;
    KVal b = block_begin(c, s->shard), x[16];
    Ix p = loop_begin(c, s->places);
    for (int part = 0; part < 2; part++) {
        int64_t from = part ? n / 16 * 16 : 0, to = part ? n : n / 16 * 16;
        if (from >= to) continue;
        Ix i = {0, from};
        if (!part) i = (Ix){k_for(g->m, g->f, gen_i64(g, 0), gen_i64(g, to), 16), 0};
        for (int k = 0; k < 16; k++)
            x[k] = part && from + k >= n ? zero_of(c, s->b, 16)
                   : load_value(c, s->b, ix_plus(g, ix_times(g, ix_plus(g, i, (Ix){0, k}), s->places), p));
        transpose16(g, x);
        for (int e = 0; e < 16; e++) {
            Ix row = ix_plus(g, ix_times(g, (Ix){b, 0}, 16 * s->places), ix_plus(g, (Ix){0, e * s->places}, p));
            k_store(g->m, g->f, rows, ix_value(g, ix_plus(g, ix_times(g, row, n16), i)), x[e]);
        }
        if (!part) k_end(g->m, g->f);
    }
    loop_end(c, s->places);
    block_end(c);
}

typedef struct OuterTile {
    Sum *s;
    KVal rows, order;                      /* order: rows are the data's, found through it; else 0 */
    int64_t n, stride;
    int mr, nv;
} OuterTile;

static void outer_step(const OuterTile *t, Ix e, Ix p, Ix o, Ix j, const KVal *acc, KVal *next) {
    Sum *s = t->s;
    Gen *g = &s->c->g;
    DType dtype = dtype_at(s->c, s->v);
    Ix lane = set_example(s->c, s->shard, e), row;
    if (t->order) {
        Ix at = ix_plus(g, ix_times(g, (Ix){s->shard->number, 0}, SHARD), e);
        KVal example = k_load(g->m, g->f, KT(I32), t->order, ix_value(g, at));
        row = ix_times(g, (Ix){gen_index(g, example), 0}, t->stride);
    } else {
        row = ix_times(g, ix_plus(g, ix_times(g, e, s->places), p), t->stride);
    }
    KVal base = ix_value(g, ix_plus(g, row, j)), x[4];
    for (int k = 0; k < t->nv; k++)
        x[k] = k_load(g->m, g->f, (KType){gen_scalar(dtype), 16}, t->rows, ix_value(g, (Ix){base, 16 * k}));
    const Home *home = &s->c->r->info[s->a].home;
    Ix first = ix_plus(g, home_index(s->c, home, ix_plus(g, ix_times(g, o, s->places), p)), lane);
    KVal dy = ctx_entry(s->c, home->entry), at = ix_value(g, first);
    for (int r = 0; r < t->mr; r++) {
        KVal a = k_load(g->m, g->f, (KType){gen_scalar(dtype), 1}, dy,
                        ix_value(g, (Ix){at, r * s->places * home->elem}));
        for (int k = 0; k < t->nv; k++) next[r * t->nv + k] = gen_fma(g, a, x[k], acc[r * t->nv + k]);
    }
}

enum { MAX_OUTER_TILE = 32 };

static void outer_store(const OuterTile *t, Ix o, Ix j, int64_t columns, const KVal *acc) {
    Sum *s = t->s;
    Gen *g = &s->c->g;
    for (int r = 0; r < t->mr; r++) {
        for (int k = 0; k < t->nv; k++) {
            Ix flat = ix_plus(g, ix_times(g, ix_plus(g, o, (Ix){0, r}), t->n), ix_plus(g, j, (Ix){0, 16 * k}));
            int64_t left = columns - 16 * k;
            if (left >= 16) store_partial(s->c, s->v, s->shard, flat, acc[r * t->nv + k]);
            for (int lane = 0; lane < left && left < 16; lane++)
                store_partial(s->c, s->v, s->shard, ix_plus(g, flat, (Ix){0, lane}),
                              k_lane(g->m, g->f, acc[r * t->nv + k], lane));
        }
    }
}

/* mr x (16 nv) elements of the result; columns: how many of them are in it. */
static void outer_tile(const OuterTile *t, Ix o, Ix j, int64_t columns) {
    Sum *s = t->s;
    Gen *g = &s->c->g;
    int n = t->mr * t->nv;
    KVal acc[MAX_OUTER_TILE], inner[MAX_OUTER_TILE] = {0}, next[MAX_OUTER_TILE];
    for (int i = 0; i < n; i++) acc[i] = zero_of(s->c, s->v, 16);
    KType type = k_type(g->f, acc[0]);
    KVal e = k_for(g->m, g->f, gen_i64(g, 0), s->shard->count, 1);
    for (int i = 0; i < n; i++) acc[i] = k_carry(g->m, g->f, acc[i]);
    if (s->places > 1) {
        KVal p = k_for(g->m, g->f, gen_i64(g, 0), gen_i64(g, s->places), 1);
        for (int i = 0; i < n; i++) inner[i] = k_carry(g->m, g->f, acc[i]);
        outer_step(t, (Ix){e, 0}, (Ix){p, 0}, o, j, inner, next);
        for (int i = 0; i < n; i++) k_next(g->m, g->f, next[i]);
        k_end(g->m, g->f);
        for (int i = 0; i < n; i++) next[i] = k_result(g->m, g->f, i, type);
    } else {
        outer_step(t, (Ix){e, 0}, (Ix){0, 0}, o, j, acc, next);
    }
    for (int i = 0; i < n; i++) k_next(g->m, g->f, next[i]);
    k_end(g->m, g->f);
    for (int i = 0; i < n; i++) acc[i] = k_result(g->m, g->f, i, type);
    outer_store(t, o, j, columns, acc);
}

static void outer_rows(const OuterTile *t, Ix j, int64_t columns) {
    Gen *g = &t->s->c->g;
    int64_t rows = shape_at(t->s->c, t->s->v)->dim[0], whole = rows / t->mr * t->mr;
    if (whole) {
        KVal o = k_for(g->m, g->f, gen_i64(g, 0), gen_i64(g, whole), t->mr);
        outer_tile(t, (Ix){o, 0}, j, columns);
        k_end(g->m, g->f);
    }
    if (rows == whole) return;
    OuterTile rest = *t;
    rest.mr = (int)(rows - whole);
    outer_tile(&rest, (Ix){0, whole}, j, columns);
}

/* Whether x is a column of the data whose rows can be read in place. */
static bool is_data(const Ctx *c, Val x, int64_t n, int64_t places) {
    if (graph_node(c->r->graph, x)->op != G_INPUT || places != 1 || n % 16) return false;
    int index = graph_attr(c->r->graph, x)->index;
    return c->r->graph->inputs.at[index].kind == IN_ROWS;        /* not a turn's of a SCAN */
}

static void outer_tiles(Sum *s) {
    Ctx *c = s->c;
    Gen *g = &c->g;
    const Shape *shape = shape_at(c, s->v);
    DType dtype = dtype_at(c, s->v);
    int64_t n = shape->dim[1], n16 = (n + 15) / 16 * 16, vectors = n16 / 16;
    OuterTile t = {.s = s, .n = n, .stride = n16};
    if (is_data(c, s->b, n, s->places)) {
        t.order = ctx_kind(c, ENTRY_ORDER, 0);
        t.rows = ctx_kind(c, ENTRY_ROWS, c->r->graph->inputs.at[graph_attr(c->r->graph, s->b)->index].index);
    } else {
        size_t bytes = dtype_size(dtype) * (size_t)(n16 * s->places);
        t.rows = ctx_entry(c, plan_buffer(c->r->plan, (Buffer){.fixed = 1024, .per_example = bytes, .scratch = true}));
        turn_rows(s, t.rows, n, n16);
    }
    int most = tile_columns_for(&c->r->plan->target, 16, dtype) > 1 ? 4 : 1;
    t.nv = (int)(vectors < most ? vectors : vectors % most && vectors % 3 == 0 && most > 3 ? 3 : most);
    t.mr = tile_rows_for(&c->r->plan->target, 16, dtype, t.nv, shape->dim[0]);
    int64_t whole = n / 16 / t.nv * t.nv * 16;
    if (whole) {
        KVal j = k_for(g->m, g->f, gen_i64(g, 0), gen_i64(g, whole), 16 * t.nv);
        outer_rows(&t, (Ix){j, 0}, 16 * t.nv);
        k_end(g->m, g->f);
    }
    if (whole == n) return;
    t.nv = (int)((n - whole + 15) / 16);
    outer_rows(&t, (Ix){0, whole}, n - whole);
}

static void batch_outer(Sum *s) {
    const Region *r = s->c->r;
    const Shape *shape = shape_at(s->c, s->v);
    s->places = region_size(r, in_of(s->c, s->v, 0)) / shape->dim[0];
    bool tiles = s->c->lanes == 16 && r->info[s->a].varies && r->info[s->b].varies && shape->dim[1] >= 16;
    if (tiles) outer_tiles(s);
    else outer_scalars(s);
}

/* ---- BATCH_EMBED ---- */

static void batch_embed(Sum *s) {
    Ctx *c = s->c;
    Gen *g = &c->g;
    const Shape *shape = shape_at(c, s->v);
    int64_t size = region_size(c->r, s->v), width = shape->dim[1], places = region_size(c->r, in_of(c, s->v, 1));
    KVal to = ctx_entry(c, c->r->info[s->v].partial);
    Ix base = ix_times(g, (Ix){s->shard->number, 0}, size);
    Ix i = loop_begin(c, size);
    store_partial(c, s->v, s->shard, i, zero_of(c, s->v, 1));
    loop_end(c, size);
    KVal e = k_for(g->m, g->f, gen_i64(g, 0), s->shard->count, 1);
    Ix lane = set_example(c, s->shard, (Ix){e, 0}), p = loop_begin(c, places);
    KVal row = gen_index(g, gen_clamp(g, load_lane(c, s->b, p, lane), shape->dim[0]));
    Ix first = ix_plus(g, base, ix_times(g, (Ix){row, 0}, width)), d = loop_begin(c, width);
    KVal at = ix_value(g, ix_plus(g, first, d)), dy = load_lane(c, s->a, ix_plus(g, ix_times(g, d, places), p), lane);
    k_store(g->m, g->f, to, at, gen_2(g, K_ADD, k_load(g->m, g->f, k_type(g->f, dy), to, at), dy));
    loop_end(c, width);
    loop_end(c, places);
    k_end(g->m, g->f);
}

Ix shard_example(Ctx *c, const Shard *shard, Ix e) { return set_example(c, shard, e); }

void partial_store(Ctx *c, Val v, const Shard *shard, Ix flat, KVal x) { store_partial(c, v, shard, flat, x); }

void batch_partial(Ctx *c, Val v, const Shard *shard) {
    Op op = (Op)graph_node(c->r->graph, v)->op;
    Sum s = {.c = c, .shard = shard, .v = v, .at = {.flat = false}};
    s.a = region_base(c->r, in_of(c, v, 0));
    if (graph_node(c->r->graph, v)->nin > 1) s.b = region_base(c->r, in_of(c, v, 1));
    if (op == G_BATCH_SUM) batch_sum(&s);
    else if (op == G_BATCH_MAXIMUM) maximum_partial(c, v, shard);
    else if (op == G_BATCH_INTERPOLATE) interpolate_partial(c, v, shard);
    else if (op == G_BATCH_CONV && conv_weight_is_tiled(c->r, v)) conv_weight(c, v, shard);
    else if (op == G_BATCH_CONV && conv_is_chained(c->r, v)) conv_chains(c, v, shard);
    else if (op == G_BATCH_CONV) batch_conv(c, v, shard);
    else if (op == G_BATCH_OUTER) batch_outer(&s);
    else batch_embed(&s);
}
