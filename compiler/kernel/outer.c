/* outer.c -- large gradients of weights: dw[o, n] = sum of dy[o] x[n] over the whole batch, by output tiles.
 *
 *   for each shard: acc[r][k] = 0;  for its examples: acc[r][k] = fma(dy[o + r], x[n + 16 k], acc[r][k])
 *                   total[r][k] = total[r][k] + acc[r][k]
 *
 * The result is dense; there are no sums of shards in memory.  Threads take output tiles.  dy is read where it stands,
 * element by element, and broadcast.  Before the tiles of a panel of columns, their x is turned so that lanes are its
 * elements: [shard][vector of 16 elements][example of the shard][16] (lanes beyond n are zero), which stays in the
 * first cache.  Of data it is copied from its rows: what the shards have turned of them is their thread's alone.  The
 * totals start at -0, to which adding shard 0's sum gives that sum as it is.  The shards of the range pass in chunks
 * of CHUNK at most, so that dy's part of a chunk stays in the cache; the totals wait in the result, as they do for the
 * shards of the next range. */
#include "kernel/region.h"

enum { OUTER_FROM = 4096, MAX_TILE = 32, CHUNK = 8, PANELS_AHEAD = 2 };

static const Shape *shape_at(const Ctx *c, Val v) { return &graph_node(c->r->graph, v)->shape; }

bool is_outer_tiled(const Region *r, Val v) {
    const Node *node = graph_node(r->graph, v);
    if (node->op != G_BATCH_OUTER || r->body || r->lanes != 16) return false;
    for (int k = 0; k < 2; k++) {
        Val in = region_base(r, graph_in(r->graph, v, k));
        if (!r->info[in].varies || region_size(r, in) != node->shape.dim[k]) return false;
    }
    return node->shape.dim[1] >= 16 && region_size(r, v) >= OUTER_FROM;
}

static int64_t vectors_of(int64_t n) { return (n + 15) / 16; }

/* ---- tiles ---- */

typedef struct Outer {
    Ctx *c;
    Val v, dy, x;
    KVal panel, totals, data;              /* data: its first row, or 0 */
    int64_t rows, n;
    int mr, nv;                            /* of a whole tile */
    KVal half;                             /* of the next panel's x, what this tile fetches: 0 or 16 elements on */
    KVal first, end;                       /* the shards at hand */
} Outer;

bool outer_reads_rows(const Region *r, Val v) {
    Val x = region_base(r, graph_in(r->graph, v, 1));
    const Node *node = graph_node(r->graph, x);
    if (node->op != G_INPUT || node->dtype != graph_node(r->graph, v)->dtype || region_size(r, x) % 16) return false;
    return r->graph->inputs.at[graph_attr(r->graph, x)->index].kind == IN_ROWS;
}

/* The shards at hand; number: counted from the first of them. */
static Shard chunk_begin(const Outer *t, KVal *number) {
    Gen *g = &t->c->g;
    Shard shard = shard_range(t->c, t->first, t->end);
    *number = gen_2(g, K_SUB, shard.number, t->first);
    return shard;
}

/* Vector `vector` of x for the block at hand: 16 x 16 squares turned. */
static void turn_square(const Outer *t, Ix vector, KVal to) {
    Gen *g = &t->c->g;
    KVal lane[16];
    for (int k = 0; k < 16; k++) {
        bool beyond = !vector.var && vector.add * 16 + k >= t->n;
        lane[k] = beyond ? gen_widen(g, gen_number(g, (DType)graph_node(t->c->r->graph, t->x)->dtype, 0), 16)
                         : load_value(t->c, t->x, ix_plus(g, ix_times(g, vector, 16), (Ix){0, k}));
    }
    transpose16(g, lane);
    for (int e = 0; e < 16; e++) k_store(g->m, g->f, t->panel, ix_value(g, (Ix){to, 16 * e}), lane[e]);
}

static KType vector_of(const Outer *t) {
    return (KType){gen_scalar((DType)graph_node(t->c->r->graph, t->v)->dtype), 16};
}

/* Where the row of data of an example of the batch begins. */
static KVal row_start(const Outer *t, KVal example) {
    Gen *g = &t->c->g;
    KVal row = k_load(g->m, g->f, KT(I32), ctx_kind(t->c, ENTRY_ORDER, 0), example);
    return gen_2(g, K_MUL, gen_index(g, row), gen_i64(g, t->n));
}

/* The vectors p ... p + nv - 1 of data; later ones are fetched. */
static void copy_panel(const Outer *t, Ix p, int nv) {
    Gen *g = &t->c->g;
    KVal number;
    Shard shard = chunk_begin(t, &number);
    KVal e = k_for(g->m, g->f, gen_i64(g, 0), shard.count, 1);
    KVal example = gen_2(g, K_ADD, gen_2(g, K_MUL, shard.number, gen_i64(g, SHARD)), e);
    Ix from = ix_plus(g, (Ix){row_start(t, example), 0}, ix_times(g, p, 16));
    Ix to = ix_plus(g, ix_times(g, (Ix){number, 0}, nv * SHARD * 16), ix_times(g, (Ix){e, 0}, 16));
    for (int k = 0; k < nv; k++) {
        KVal x = k_load(g->m, g->f, vector_of(t), t->data, ix_value(g, ix_plus(g, from, (Ix){0, 16 * k})));
        k_store(g->m, g->f, t->panel, ix_value(g, ix_plus(g, to, (Ix){0, k * SHARD * 16})), x);
        KVal later = ix_value(g, ix_plus(g, from, (Ix){0, 16 * (k + PANELS_AHEAD * nv)}));
        k_prefetch(g->m, g->f, k_offset(g->m, g->f, vector_of(t).scalar, t->data, later), FETCH);
    }
    k_end(g->m, g->f);
    shard_end(t->c);
}

/* The vectors p ... p + nv - 1 of x. */
static void turn_panel(const Outer *t, Ix p, int nv) {
    Gen *g = &t->c->g;
    KVal number;
    Shard shard = chunk_begin(t, &number);
    KVal b = block_begin(t->c, &shard);
    for (int k = 0; k < nv; k++) {
        Ix row = ix_plus(g, ix_times(g, (Ix){number, 0}, nv * SHARD), ix_times(g, (Ix){b, 0}, 16));
        row.add += k * SHARD;
        turn_square(t, ix_plus(g, p, (Ix){0, k}), ix_value(g, ix_times(g, row, 16)));
    }
    block_end(t->c);
    shard_end(t->c);
}

/* Of the block at hand, for its first example: dy of the tile's first row, the panel's x, and the next panel's first
 * element that this tile fetches (one for each example: two tiles fetch them all), if it is not data. */
typedef struct Block { KVal dy, x, ahead; } Block;

static KVal pointer_to(const Outer *t, Val v, Ix element) {
    Gen *g = &t->c->g;
    const Home *home = &t->c->r->info[v].home;
    return k_offset(g->m, g->f, vector_of(t).scalar, ctx_entry(t->c, home->entry),
                    ix_value(g, home_index(t->c, home, element)));
}

static Block block_of(const Outer *t, KVal b, KVal from, Ix o, Ix vector, int nv) {
    Gen *g = &t->c->g;
    Ix next = ix_times(g, ix_plus(g, vector, (Ix){0, nv}), 16);
    KVal panel = gen_2(g, K_ADD, from, gen_2(g, K_MUL, b, gen_i64(g, 256)));
    next = ix_plus(g, next, (Ix){t->half, 0});
    KVal x = k_offset(g->m, g->f, vector_of(t).scalar, t->panel, panel);
    return (Block){pointer_to(t, t->dy, o), x, t->data ? 0 : pointer_to(t, t->x, next)};
}

static void outer_step(const Outer *t, const Block *block, KVal lane, int mr, int nv, const KVal *acc, KVal *next) {
    Gen *g = &t->c->g;
    KType type = vector_of(t), one = {type.scalar, 1};
    const Info *info = t->c->r->info;
    KVal x[4], row = gen_2(g, K_MUL, lane, gen_i64(g, 16));
    for (int k = 0; k < nv; k++)
        x[k] = k_load(g->m, g->f, type, block->x, ix_value(g, (Ix){row, k * SHARD * 16}));
    KVal ahead = gen_2(g, K_MUL, lane, gen_i64(g, info[t->x].home.elem));
    if (block->ahead) k_prefetch(g->m, g->f, k_offset(g->m, g->f, type.scalar, block->ahead, ahead), FETCH);
    for (int r = 0; r < mr; r++) {
        KVal a = k_load(g->m, g->f, one, block->dy, ix_value(g, (Ix){lane, r * info[t->dy].home.elem}));
        for (int k = 0; k < nv; k++) next[r * nv + k] = gen_fma(g, a, x[k], acc[r * nv + k]);
    }
}

/* The shard's chains.  Blocks are a loop of their own: little is left to do for an example beside its products, which
 * share the ports of the processor with all else. */
static void outer_chains(const Outer *t, const Shard *shard, KVal from, Ix o, Ix vector, int mr, int nv, KVal *acc) {
    Gen *g = &t->c->g;
    KVal next[MAX_TILE];
    int n = mr * nv;
    KVal b = k_for(g->m, g->f, gen_i64(g, 0), shard->blocks, 1);
    for (int i = 0; i < n; i++) acc[i] = k_carry(g->m, g->f, acc[i]);
    t->c->local = (Ix){b, 0};
    t->c->global = ix_plus(g, ix_times(g, (Ix){shard->number, 0}, SHARD / 16), t->c->local);
    Block block = block_of(t, b, from, o, vector, nv);
    KVal left = gen_2(g, K_SUB, shard->count, gen_2(g, K_MUL, b, gen_i64(g, 16)));
    KVal lane = k_for(g->m, g->f, gen_i64(g, 0), gen_least(g, left, gen_i64(g, 16)), 1);
    for (int i = 0; i < n; i++) acc[i] = k_carry(g->m, g->f, acc[i]);
    outer_step(t, &block, lane, mr, nv, acc, next);
    for (int loop = 0; loop < 2; loop++) {
        for (int i = 0; i < n; i++) k_next(g->m, g->f, next[i]);
        k_end(g->m, g->f);
        for (int i = 0; i < n; i++) acc[i] = next[i] = k_result(g->m, g->f, i, vector_of(t));
    }
}

static void add_total(const Outer *t, int i, KVal x) {
    Gen *g = &t->c->g;
    KVal at = gen_i64(g, 16 * i), old = k_load(g->m, g->f, vector_of(t), t->totals, at);
    k_store(g->m, g->f, t->totals, at, gen_2(g, K_ADD, old, x));
}

static void add_shards(const Outer *t, Ix o, Ix vector, int mr, int nv) {
    Gen *g = &t->c->g;
    int n = mr * nv;
    DType dtype = (DType)graph_node(t->c->r->graph, t->v)->dtype;
    KVal zero = gen_widen(g, gen_number(g, dtype, 0), 16), acc[MAX_TILE];
    KVal number;
    Shard shard = chunk_begin(t, &number);
    for (int i = 0; i < n; i++) acc[i] = zero;
    outer_chains(t, &shard, gen_2(g, K_MUL, number, gen_i64(g, nv * SHARD * 16)), o, vector, mr, nv, acc);
    for (int i = 0; i < n; i++) add_total(t, i, acc[i]);
    shard_end(t->c);
}

/* Between the result and the totals, the columns that there are; back: to the result. */
static void move_totals(const Outer *t, KVal at, int mr, int nv, int64_t columns, bool back) {
    Gen *g = &t->c->g;
    KType type = vector_of(t), one = {type.scalar, 1};
    KVal home = ctx_entry(t->c, t->c->r->info[t->v].home.entry);
    for (int i = 0; i < mr * nv; i++) {
        int64_t to = i / nv * t->n + i % nv * 16, left = columns - i % nv * 16;
        for (int lane = 0; lane < left && lane < 16; lane += left < 16 ? 1 : 16) {
            KVal there = ix_value(g, (Ix){at, to + lane}), here = gen_i64(g, 16 * i + lane);
            KVal x = k_load(g->m, g->f, left < 16 ? one : type, back ? t->totals : home, back ? here : there);
            k_store(g->m, g->f, back ? home : t->totals, back ? there : here, x);
        }
    }
}

/* mr rows x nv vectors of the result, from element (o, 16 vector) on. */
static void outer_tile(const Outer *t, Ix o, Ix vector, int mr, int nv, int64_t columns) {
    Gen *g = &t->c->g;
    DType dtype = (DType)graph_node(t->c->r->graph, t->v)->dtype;
    KVal nothing = gen_widen(g, gen_number(g, dtype, -0.0), 16);
    KVal at = ix_value(g, ix_plus(g, ix_times(g, o, t->n), ix_times(g, vector, 16)));
    for (int i = 0; i < mr * nv; i++) k_store(g->m, g->f, t->totals, gen_i64(g, 16 * i), nothing);
    k_for(g->m, g->f, gen_i64(g, 0), gen_least(g, t->first, gen_i64(g, 1)), 1);        /* not of shard 0 */
    move_totals(t, at, mr, nv, columns, false);
    k_end(g->m, g->f);
    add_shards(t, o, vector, mr, nv);
    move_totals(t, at, mr, nv, columns, true);
}

static int64_t row_tiles(const Outer *t) { return (t->rows + t->mr - 1) / t->mr; }
static int64_t column_tiles(const Outer *t) { return (vectors_of(t->n) + t->nv - 1) / t->nv; }

/* The tiles lo .. hi (counted along the rows of a panel first) that lie in panel p. */
static void outer_rows(Outer *t, KVal lo, KVal hi, Ix p, int nv, int64_t columns) {
    Gen *g = &t->c->g;
    int64_t tiles = row_tiles(t), whole = t->rows / t->mr;
    KVal before = ix_value(g, ix_times(g, p, tiles));
    KVal from = gen_most(g, gen_2(g, K_SUB, lo, before), gen_i64(g, 0));
    KVal to = gen_least(g, gen_2(g, K_SUB, hi, before), gen_i64(g, tiles));
    (t->data ? copy_panel : turn_panel)(t, ix_times(g, p, t->nv), nv);
    if (whole) {
        KVal i = k_for(g->m, g->f, from, gen_least(g, to, gen_i64(g, whole)), 1);
        t->half = gen_2(g, K_MUL, gen_2(g, K_AND, i, gen_i64(g, 1)), gen_i64(g, 16));
        outer_tile(t, ix_times(g, (Ix){i, 0}, t->mr), ix_times(g, p, t->nv), t->mr, nv, columns);
        k_end(g->m, g->f);
    }
    if (whole == tiles) return;
    k_for(g->m, g->f, gen_most(g, from, gen_i64(g, whole)), to, 1);
    t->half = gen_i64(g, 0);
    outer_tile(t, (Ix){0, whole * t->mr}, ix_times(g, p, t->nv), (int)(t->rows - whole * t->mr), nv, columns);
    k_end(g->m, g->f);
}

static Outer outer_of(Ctx *c, Val v) {
    Outer t = {.c = c, .v = v, .dy = region_base(c->r, graph_in(c->r->graph, v, 0)),
               .x = region_base(c->r, graph_in(c->r->graph, v, 1))};
    DType dtype = (DType)graph_node(c->r->graph, v)->dtype;
    const Target *target = &c->r->plan->target;
    t.rows = shape_at(c, v)->dim[0];
    t.n = shape_at(c, v)->dim[1];
    t.nv = tile_columns_for(target, 16, dtype) > 1 ? 2 : 1;
    t.mr = tile_rows_for(target, 16, dtype, t.nv, t.rows);
    return t;
}

/* The tiles lo .. hi of the shards at hand, panel by panel. */
static void outer_tiles(Outer *t, KVal lo, KVal hi) {
    Gen *g = &t->c->g;
    int64_t tiles = row_tiles(t), whole = t->n / 16 / t->nv;
    KVal first = gen_2(g, K_DIV, lo, gen_i64(g, tiles));
    KVal up = gen_2(g, K_ADD, gen_most(g, hi, gen_i64(g, 0)), gen_i64(g, tiles - 1));
    KVal last = gen_2(g, K_DIV, up, gen_i64(g, tiles));
    if (whole) {
        KVal p = k_for(g->m, g->f, first, gen_least(g, last, gen_i64(g, whole)), 1);
        outer_rows(t, lo, hi, (Ix){p, 0}, t->nv, 16 * t->nv);
        k_end(g->m, g->f);
    }
    if (whole == column_tiles(t)) return;
    int64_t left = t->n - whole * t->nv * 16;
    k_for(g->m, g->f, gen_most(g, first, gen_i64(g, whole)), last, 1);
    outer_rows(t, lo, hi, (Ix){0, whole}, (int)vectors_of(left), left);
    k_end(g->m, g->f);
}

int64_t outer_range(Ctx *c, Val v, int panel, int totals, int64_t base) {
    Gen *g = &c->g;
    Outer t = outer_of(c, v);
    int64_t count = row_tiles(&t) * column_tiles(&t);
    KVal tiles = gen_i64(g, UINT32_MAX), above = gen_i64(g, 32), from = k_lo(g->m, g->f), to = k_hi(g->m, g->f);
    t.panel = ctx_entry(c, panel);
    t.totals = ctx_entry(c, totals);
    if (outer_reads_rows(c->r, v))
        t.data = ctx_kind(c, ENTRY_ROWS, c->r->graph->inputs.at[graph_attr(c->r->graph, t.x)->index].index);
    KVal lo = gen_most(g, gen_2(g, K_SUB, gen_2(g, K_AND, from, tiles), gen_i64(g, base)), gen_i64(g, 0));
    KVal hi = gen_least(g, gen_2(g, K_SUB, gen_2(g, K_AND, to, tiles), gen_i64(g, base)), gen_i64(g, count));
    KVal end = gen_2(g, K_SHR, to, above);
    t.first = k_for(g->m, g->f, gen_2(g, K_SHR, from, above), end, CHUNK);
    t.end = gen_least(g, gen_2(g, K_ADD, t.first, gen_i64(g, CHUNK)), end);
    outer_tiles(&t, lo, hi);
    k_end(g->m, g->f);
    return count;
}

int outer_panel(const Region *r) {
    return plan_buffer(r->plan, (Buffer){.fixed = 2 * CHUNK * SHARD * 16 * sizeof(double), .scratch = true});
}

int outer_totals(const Region *r) {
    return plan_buffer(r->plan, (Buffer){.fixed = MAX_TILE * 16 * sizeof(double), .scratch = true});
}
