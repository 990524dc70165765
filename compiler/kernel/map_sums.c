/* map_sums.c -- what a MAP sums over its points: accumulators in scratch, which take each block's points in order:
 *   acc[row][column] = fma(a[row][point], b[point][column], acc)        OUTER at the root
 *   acc[column] = acc + value[point][column]                            any other root
 * with columns in lanes: values whose lanes are points are turned first, rows (map_rows.c) are read as they are.
 * Whatever is too small or too odd for that is summed element by element.
 * Of near points large sums are taken in stripes of rows, without most terms that are 0 (map_stripes.c).
 * Of sorted points (map_near.c) what is summed is kept for a chunk of them; a point's row is looked up.
 * Of a spread MAP the sums are a stage in *parts*, which are small sums together and tiles of rows of large ones.  A
 * thread takes the points that it has computed, which lie in its cache, and hands the chains on to the next, a group of
 * parts at a time, while that one is at the group before: accumulators are shared. */
#include "kernel/map.h"

enum {
    MAX_SUM_TILE = 32, SMALL_AHEAD = 16,
    SPREAD_BLOCK = 64,                     /* at most: map_stripes.c */
    SMALL_PARTS = 3,                       /* tiles of a large sum that a group of small ones takes as long as */
    STRIPE_PARTS = 3,                      /* or a stripe (map_stripes.c) */
    PARTS_OF_GROUP = 2
};

static bool turns(const MapGen *m, Val v, int64_t n) {
    const Info *info = &m->b.info[v];
    return n >= 16 && (!m->rows || n % 16 == 0) && info->varies && info->stored && lanes_of(m) == 16;
}

/* Turned in any case, so better turned than another. */
static bool is_summed_itself(const MapGen *m, Val v) {
    for (int k = 0; k < m->body->outputs.len; k++)
        if (m->proj[k] && m->body->outputs.at[k].kind == OUT_SUMMED &&
            region_base(&m->b, m->body->outputs.at[k].value) == v)
            return true;
    return false;
}

void map_add_sum(MapGen *m, int output) {
    Val root = m->body->outputs.at[output].value;
    const Node *node = body_node(m, root);
    SumOut s = {.output = output, .proj = m->proj[output], .dtype = (DType)node->dtype};
    s.outer = node->op == G_OUTER;
    s.rows = s.outer ? node->shape.dim[0] : 1;
    s.columns = s.outer ? node->shape.dim[1] : region_size(&m->b, root);
    s.row = s.outer ? region_base(&m->b, graph_in(m->body, root, 0)) : 0;
    s.column = region_base(&m->b, s.outer ? graph_in(m->body, root, 1) : root);
    s.wide = turns(m, s.column, s.columns);
    bool both = s.outer && s.wide && turns(m, s.row, s.rows), stands = both && map_stripes_fit(m, s.row, s.rows);
    s.stripes = stands || (both && map_stripes_fit(m, s.column, s.columns));
    bool swaps = s.stripes ? !stands : !s.wide || is_summed_itself(m, s.row);
    if (s.outer && turns(m, s.row, s.rows) && swaps) {
        Val row = s.row;
        int64_t rows = s.rows;
        s.row = s.column;
        s.rows = s.columns;
        s.column = row;
        s.columns = rows;
        s.wide = s.swapped = true;
    }
    s.stride = s.wide ? (s.columns + 15) / 16 * 16 : s.columns;
    size_t bytes = (size_t)(s.rows * s.stride) * dtype_size(s.dtype);
    s.acc = plan_buffer(m->plan, (Buffer){.fixed = bytes + PAD_BYTES, .scratch = !m->spread});
    if (s.stripes) s.odd = plan_buffer(m->plan, (Buffer){.fixed = 16 * dtype_size(s.dtype)});
    vec_push(m->plan->arena, &m->sum, s);
}

static int lanes_of_sum(const SumOut *s) { return s->wide ? 16 : 1; }

static KVal load_acc(MapGen *m, const SumOut *s, Ix at, int lanes) {
    KType type = {gen_scalar(s->dtype), (uint8_t)lanes};
    return k_load(m->c.g.m, m->c.g.f, type, ctx_entry(&m->c, s->acc), ix_value(&m->c.g, at));
}

static void store_acc(MapGen *m, const SumOut *s, Ix at, KVal x) {
    k_store(m->c.g.m, m->c.g.f, ctx_entry(&m->c, s->acc), ix_value(&m->c.g, at), x);
}

/* Accumulators of the rows lo .. hi and columns from .. to - 1. */
static void clear_rows(MapGen *m, const SumOut *s, KVal lo, KVal hi, int64_t from, int64_t to) {
    Gen *g = &m->c.g;
    int lanes = lanes_of_sum(s);
    Ix row = {k_for(g->m, g->f, lo, hi, 1), 0};
    Ix column = {k_for(g->m, g->f, gen_i64(g, from), gen_i64(g, to), lanes), 0};
    KVal zero = gen_widen(g, gen_number(g, s->dtype, 0), lanes);
    store_acc(m, s, ix_plus(g, ix_times(g, row, s->stride), column), zero);
    k_end(g->m, g->f);
    k_end(g->m, g->f);
}

void map_clear_sums(MapGen *m) {
    Gen *g = &m->c.g;
    for (int k = 0; k < m->sum.len; k++)
        clear_rows(m, &m->sum.at[k], gen_i64(g, 0), gen_i64(g, m->sum.at[k].rows), 0, m->sum.at[k].columns);
}

/* Where the sums go: of the shard, or of all points. */
static KVal sum_target(MapGen *m, const SumOut *s) {
    const Info *info = &m->r->info[s->proj];
    KVal to = ctx_entry(&m->c, m->varies ? info->partial : info->home.entry);
    if (!m->varies) return to;
    return k_offset(m->c.g.m, m->c.g.f, gen_scalar(s->dtype), to,
                    ix_value(&m->c.g, ix_times(&m->c.g, (Ix){m->shard.number, 0}, s->rows * s->columns)));
}

/* The same, to where the sum goes. */
static void finish_rows(MapGen *m, const SumOut *s, KVal lo, KVal hi, int64_t from, int64_t to) {
    Gen *g = &m->c.g;
    KVal target = sum_target(m, s);
    bool wide = s->wide && !s->swapped && s->stride == s->columns;
    Ix row = {k_for(g->m, g->f, lo, hi, 1), 0};
    Ix column = {k_for(g->m, g->f, gen_i64(g, from), gen_i64(g, to), wide ? 16 : 1), 0};
    KVal x = load_acc(m, s, ix_plus(g, ix_times(g, row, s->stride), column), wide ? 16 : 1);
    Ix at = s->swapped ? ix_plus(g, ix_times(g, column, s->rows), row)
        : ix_plus(g, ix_times(g, row, s->columns), column);
    k_store(g->m, g->f, target, ix_value(g, at), x);
    k_end(g->m, g->f);
    k_end(g->m, g->f);
}

void map_finish_sums(MapGen *m) {
    Gen *g = &m->c.g;
    for (int k = 0; k < m->sum.len; k++)
        finish_rows(m, &m->sum.at[k], gen_i64(g, 0), gen_i64(g, m->sum.at[k].rows), 0, m->sum.at[k].columns);
}

/* Element `flat` of a body's value at a point of the block, as a scalar. */
static KVal point_scalar(MapGen *m, Val v, Ix flat, Ix point) {
    const Info *info = &m->b.info[v];
    if (!info->stored || !info->varies) {
        Index at = index_flat(flat);
        return pull(&m->c, v, &at);
    }
    m->c.local = m->rows ? point : (Ix){0, 0};
    return load_lane(&m->c, v, flat, m->rows ? (Ix){0, 0} : point);
}

/* The turned form of a value: rows are the block's points. */
static int panel_of(MapGen *m, Val v) {
    for (int k = 0; k < m->panel.len; k++)
        if (m->panel.at[k].v == v) return m->panel.at[k].entry;
    Gen *g = &m->c.g;
    int64_t n = region_size(&m->b, v), whole = n / 16 * 16, stride = (n + 15) / 16 * 16;
    DType dtype = (DType)body_node(m, v)->dtype;
    size_t bytes = (size_t)(stride * m->vectors * 16) * dtype_size(dtype);
    int entry = plan_buffer(m->plan, (Buffer){.fixed = bytes, .scratch = true});
    m->c.local = loop_begin(&m->c, m->vectors);
    for (int part = 0; part < 2; part++) {
        KVal x[16];
        if (part ? whole == n : !whole) continue;
        Ix i = part ? (Ix){0, whole} : (Ix){k_for(g->m, g->f, gen_i64(g, 0), gen_i64(g, whole), 16), 0};
        for (int k = 0; k < 16; k++)
            x[k] = part && whole + k >= n ? gen_widen(g, gen_number(g, dtype, 0), 16)
                : load_value(&m->c, v, ix_plus(g, i, (Ix){0, k}));
        transpose16(g, x);
        for (int e = 0; e < 16; e++) {
            Ix row = ix_times(g, ix_plus(g, ix_times(g, m->c.local, 16), (Ix){0, e}), stride);
            k_store(g->m, g->f, ctx_entry(&m->c, entry), ix_value(g, ix_plus(g, row, i)), x[e]);
        }
        if (!part) k_end(g->m, g->f);
    }
    loop_end(&m->c, m->vectors);
    vec_push(m->plan->arena, &m->panel, ((Panel){v, entry}));
    return entry;
}

/* Some of a sum's accumulators, in registers while the block's points pass: mr rows x nv vectors of columns, or all
 * of a small sum as mr x nv scalars. */
typedef struct SumTile {
    const SumOut *s;
    Ix row, column;
    int mr, nv;
    bool small;                            /* with others, in the one pass over the points */
    KVal at, acc[MAX_SUM_TILE];            /* where they stand; their values now */
    KVal turned, from;                     /* the panel; the first column */
    KVal rows, first;                      /* the row values that differ from point to point */
    KVal fixed[MAX_SUM_TILE];              /* or those that do not */
} SumTile;

static bool row_moves(const MapGen *m, const SumOut *s) {
    return s->outer && m->b.info[s->row].stored && m->b.info[s->row].varies;
}

static void tile_open(MapGen *m, SumTile *t) {
    Gen *g = &m->c.g;
    const SumOut *s = t->s;
    int lanes = lanes_of_sum(s);
    t->at = ix_value(g, ix_plus(g, ix_times(g, t->row, s->stride), t->column));
    for (int r = 0; r < t->mr; r++)
        for (int j = 0; j < t->nv; j++)
            t->acc[r * t->nv + j] = load_acc(m, s, (Ix){t->at, r * s->stride + lanes * j}, lanes);
    if (row_moves(m, s)) {
        const Home *home = &m->b.info[s->row].home;
        t->rows = ctx_entry(&m->c, home->entry);
        t->first = ix_value(g, ix_times(g, t->row, home->elem));
    }
    for (int r = 0; r < t->mr && s->outer && !row_moves(m, s); r++)
        t->fixed[r] = point_scalar(m, s->row, ix_plus(g, t->row, (Ix){0, r}), (Ix){0, 0});
    if (!s->wide) return;
    t->turned = ctx_entry(&m->c, m->rows ? m->b.info[s->column].home.entry : panel_of(m, s->column));
    t->from = ix_value(g, t->column);
}

/* What stands where this does some points further on, which other threads may have computed: in the next block, or if
 * no other tile reads it, near enough for the first cache. */
static void look_ahead(MapGen *m, const SumTile *t, KVal values, Ix at, int64_t stride) {
    Gen *g = &m->c.g;
    KVal next = ix_value(g, (Ix){at.var, at.add + (t->small ? SMALL_AHEAD : SPREAD_BLOCK) * stride});
    k_prefetch(g->m, g->f, k_offset(g->m, g->f, gen_scalar(t->s->dtype), values, next), t->small ? FETCH_NEAR : FETCH);
}

static void tile_take(MapGen *m, const SumTile *t, KVal point, const KVal *acc, KVal *next) {
    Gen *g = &m->c.g;
    const SumOut *s = t->s;
    KType type = {gen_scalar(s->dtype), (uint8_t)lanes_of_sum(s)}, one = {type.scalar, 1};
    bool moves = row_moves(m, s);
    const Home *home = moves ? &m->b.info[s->row].home : NULL;
    KVal x[MAX_SUM_TILE], line = 0, row = 0;
    if (moves) row = ix_value(g, ix_plus(g, (Ix){t->first, 0}, ix_times(g, (Ix){point, 0}, m->rows ? home->vec : 1)));
    if (m->spread && moves) look_ahead(m, t, t->rows, (Ix){row, 0}, home->vec);
    if (s->wide) line = ix_value(g, ix_plus(g, ix_times(g, (Ix){point, 0}, s->stride), (Ix){t->from, 0}));
    for (int j = 0; j < t->nv && m->spread && s->wide; j++)
        look_ahead(m, t, t->turned, (Ix){line, 16 * j}, s->stride);
    for (int j = 0; j < t->nv; j++)
        x[j] = s->wide ? k_load(g->m, g->f, type, t->turned, ix_value(g, (Ix){line, 16 * j}))
                       : point_scalar(m, s->column, ix_plus(g, t->column, (Ix){0, j}), (Ix){point, 0});
    for (int r = 0; r < t->mr; r++) {
        KVal a = moves ? k_load(g->m, g->f, one, t->rows, ix_value(g, (Ix){row, r * home->elem})) : t->fixed[r];
        for (int j = 0; j < t->nv; j++) {
            int i = r * t->nv + j;
            next[i] = s->outer ? gen_fma(g, a, x[j], acc[i]) : gen_2(g, K_ADD, acc[i], x[j]);
        }
    }
}

static void tile_close(MapGen *m, const SumTile *t) {
    int lanes = lanes_of_sum(t->s);
    for (int r = 0; r < t->mr; r++)
        for (int j = 0; j < t->nv; j++)
            store_acc(m, t->s, (Ix){t->at, r * t->s->stride + lanes * j}, t->acc[r * t->nv + j]);
}

/* Where a point of the block stands among the sorted ones. */
static KVal row_of(MapGen *m, KVal point) {
    Gen *g = &m->c.g;
    KVal at = gen_2(g, K_ADD, m->first, point);
    return gen_index(g, k_load(g->m, g->f, KT(I32), ctx_entry(&m->c, m->row), at));
}

/* One pass over the block's points for n tiles at once: their chains overlap. */
static void run_tiles(MapGen *m, SumTile *tile, int n, KVal valid) {
    Gen *g = &m->c.g;
    KVal next[MAX_SUM_TILE];
    int number = 0;
    for (int k = 0; k < n; k++) tile_open(m, &tile[k]);
    KVal point = k_for(g->m, g->f, gen_i64(g, 0), valid, 1);
    for (int k = 0; k < n; k++)
        for (int i = 0; i < tile[k].mr * tile[k].nv; i++) tile[k].acc[i] = k_carry(g->m, g->f, tile[k].acc[i]);
    if (m->keys) point = row_of(m, point);
    for (int k = 0; k < n; k++) {
        tile_take(m, &tile[k], point, tile[k].acc, next);
        memcpy(tile[k].acc, next, sizeof *next * (size_t)(tile[k].mr * tile[k].nv));
    }
    for (int k = 0; k < n; k++)
        for (int i = 0; i < tile[k].mr * tile[k].nv; i++) k_next(g->m, g->f, tile[k].acc[i]);
    k_end(g->m, g->f);
    for (int k = 0; k < n; k++) {
        KType type = {gen_scalar(tile[k].s->dtype), (uint8_t)lanes_of_sum(tile[k].s)};
        for (int i = 0; i < tile[k].mr * tile[k].nv; i++) tile[k].acc[i] = k_result(g->m, g->f, number++, type);
    }
    for (int k = 0; k < n; k++) tile_close(m, &tile[k]);
}

static void run_tile(MapGen *m, const SumOut *s, Ix row, int mr, Ix column, int nv, KVal valid) {
    SumTile tile = {.s = s, .row = row, .column = column, .mr = mr, .nv = nv};
    run_tiles(m, &tile, 1, valid);
}

static void sum_tile_rows(MapGen *m, const SumOut *s, Ix column, int nv, KVal valid) {
    Gen *g = &m->c.g;
    int mr = s->wide ? tile_rows_for(&m->plan->target, 16, s->dtype, nv, s->rows) : 1;
    int64_t whole = s->rows / mr * mr;
    if (whole > mr) {
        KVal row = k_for(g->m, g->f, gen_i64(g, 0), gen_i64(g, whole), mr);
        run_tile(m, s, (Ix){row, 0}, mr, column, nv, valid);
        k_end(g->m, g->f);
    } else {
        run_tile(m, s, (Ix){0, 0}, mr, column, nv, valid);
    }
    if (whole < s->rows) run_tile(m, s, (Ix){0, whole}, (int)(s->rows - whole), column, nv, valid);
}

static void sum_tiles(MapGen *m, const SumOut *s, KVal valid) {
    Gen *g = &m->c.g;
    int lanes = lanes_of_sum(s), most = s->wide && tile_columns_for(&m->plan->target, 16, s->dtype) > 1 ? 4 : 1;
    int64_t vectors = s->stride / lanes;
    int nv = (int)(vectors < most ? vectors : most);
    int64_t whole = vectors / nv * nv;
    KVal column = k_for(g->m, g->f, gen_i64(g, 0), gen_i64(g, whole * lanes), nv * lanes);
    sum_tile_rows(m, s, (Ix){column, 0}, nv, valid);
    k_end(g->m, g->f);
    if (whole < vectors) sum_tile_rows(m, s, (Ix){0, whole * lanes}, (int)(vectors - whole), valid);
}

/* Registers that all accumulators of a sum take. */
static int64_t registers_of(const MapGen *m, const SumOut *s) {
    int64_t count = s->rows * s->stride / lanes_of_sum(s);
    int bytes = 16 * (int)dtype_size(s->dtype), wide = m->plan->target.vector_bytes;
    return s->wide && bytes > wide ? count * (bytes / wide) : count;
}

/* Small sums that pass the points together, as many as registers hold; their number. */
static int small_group(const MapGen *m, bool *done, SumTile *tile) {
    int room = m->plan->target.registers - 8, n = 0;
    int64_t used = 0;
    for (int k = 0; k < m->sum.len; k++) {
        const SumOut *s = &m->sum.at[k];
        int64_t most = room < MAX_SUM_TILE ? room : MAX_SUM_TILE, vectors = s->rows * s->stride / lanes_of_sum(s);
        if (done[k] || s->stripes || vectors > most || used + registers_of(m, s) > most) continue;
        used += registers_of(m, s);
        done[k] = true;
        tile[n++] = (SumTile){.s = s, .mr = (int)s->rows, .nv = (int)(s->stride / lanes_of_sum(s)), .small = true};
    }
    return n;
}

static void sum_small(MapGen *m, bool *done, KVal valid) {
    SumTile tile[MAX_SUM_TILE];
    int n;
    while ((n = small_group(m, done, tile)) > 0) run_tiles(m, tile, n, valid);
}

void map_add_sums(MapGen *m) {
    if (!m->sum.len) return;
    KVal valid = m->valid;
    bool *done = arena_array(m->plan->arena, bool, m->sum.len);
    m->panel.len = 0;
    for (int k = 0; k < m->sum.len; k++)
        if (m->sum.at[k].wide && !m->rows) panel_of(m, m->sum.at[k].column);
    if (lanes_of(m) == 16) sum_small(m, done, valid);
    for (int k = 0; k < m->sum.len; k++)
        if (!done[k]) sum_tiles(m, &m->sum.at[k], valid);
}

/* ---- parts of the sums of a spread MAP ---- */

/* The parts base ... base + tiles - 1: row tiles of a stripe of columns of a large sum.  Or a group of n small sums,
 * whose first part is all of it and the others nothing: tiles read the same two values one after the other, while small
 * sums read one or two each, which come from far. */
typedef struct Parts {
    const SumOut *s;                       /* of tiles or a stripe */
    int64_t base, tiles, column;
    int mr, nv;
    SumTile tile[MAX_SUM_TILE];
    int n;
    Stripe stripe;                         /* or, if s->stripes, one of these, whose first part is all of it */
} Parts;
typedef VEC(Parts) PartList;

static void add_large(MapGen *m, const SumOut *s, PartList *list, int64_t *count) {
    int lanes = lanes_of_sum(s), most = s->wide && tile_columns_for(&m->plan->target, 16, s->dtype) > 1 ? 4 : 1;
    int64_t vectors = s->stride / lanes;
    for (int64_t v = 0; v < vectors; v += most) {
        Parts p = {.s = s, .base = *count, .column = v * lanes, .nv = (int)(vectors - v < most ? vectors - v : most)};
        p.mr = s->wide ? tile_rows_for(&m->plan->target, 16, s->dtype, p.nv, s->rows) : 1;
        p.tiles = (s->rows + p.mr - 1) / p.mr;
        *count += p.tiles;
        vec_push(m->plan->arena, list, p);
    }
}

static void add_stripes(MapGen *m, const SumOut *s, PartList *list, int64_t *count) {
    for (int64_t row = 0; row < s->rows; *count += STRIPE_PARTS) {
        Stripe stripe = {.s = s, .row = row, .rows = map_stripe_rows(s, row)};
        map_stripe_open(m, &stripe);
        vec_push(m->plan->arena, list, ((Parts){.s = s, .base = *count, .tiles = STRIPE_PARTS, .stripe = stripe}));
        row += stripe.rows;
    }
}

static int64_t find_parts(MapGen *m, PartList *list) {
    bool *done = arena_array(m->plan->arena, bool, m->sum.len);
    int64_t count = 0;
    for (;;) {
        Parts p = {.base = count, .tiles = SMALL_PARTS};
        p.n = small_group(m, done, p.tile);
        if (!p.n) break;
        count += p.tiles;
        vec_push(m->plan->arena, list, p);
    }
    for (int k = 0; k < m->sum.len; k++) {
        if (done[k]) continue;
        if (m->sum.at[k].stripes) add_stripes(m, &m->sum.at[k], list, &count);
        else add_large(m, &m->sum.at[k], list, &count);
    }
    return count;
}

/* The tiles from .. to - 1 of these among the parts at hand. */
typedef struct Held { KVal lo, hi; } Held;

static Held held(MapGen *m, const Parts *p, int64_t from, int64_t to) {
    Gen *g = &m->c.g;
    KVal lo = gen_2(g, K_SUB, m->part, gen_i64(g, p->base)), hi = gen_2(g, K_SUB, m->parts_end, gen_i64(g, p->base));
    KVal first = gen_i64(g, from), last = gen_i64(g, to);
    return (Held){gen_select(g, gen_2(g, K_LT, lo, first), first, lo),
                  gen_select(g, gen_2(g, K_LT, last, hi), last, hi)};
}

static bool is_one(const Parts *p) { return p->n || p->s->stripes; }

static void take_part(MapGen *m, const Parts *p, KVal from, KVal to) {
    Gen *g = &m->c.g;
    if (is_one(p)) {
        SumTile tile[MAX_SUM_TILE];
        memcpy(tile, p->tile, sizeof tile);
        Held h = held(m, p, 0, 1);
        k_for(g->m, g->f, h.lo, h.hi, 1);
        if (p->n) run_tiles(m, tile, p->n, m->valid);
        else map_stripe_take(m, &p->stripe, from, to);
        k_end(g->m, g->f);
        return;
    }
    int64_t whole = p->s->rows / p->mr;
    Held h = held(m, p, 0, whole);
    KVal i = k_for(g->m, g->f, h.lo, h.hi, 1);
    run_tile(m, p->s, ix_times(g, (Ix){i, 0}, p->mr), p->mr, (Ix){0, p->column}, p->nv, m->valid);
    k_end(g->m, g->f);
    if (whole == p->tiles) return;
    h = held(m, p, whole, p->tiles);
    k_for(g->m, g->f, h.lo, h.hi, 1);
    run_tile(m, p->s, (Ix){0, whole * p->mr}, (int)(p->s->rows - whole * p->mr), (Ix){0, p->column}, p->nv, m->valid);
    k_end(g->m, g->f);
}

typedef void Rows(MapGen *m, const SumOut *s, KVal lo, KVal hi, int64_t from, int64_t to);

/* All terms of a stripe in doubt. */
static void take_all(MapGen *m, const Stripe *t) {
    Gen *g = &m->c.g;
    const SumOut *s = t->s;
    int lanes = lanes_of_sum(s), most = tile_columns_for(&m->plan->target, 16, s->dtype) > 1 ? 4 : 1;
    while (s->columns / lanes % most) most--;
    int mr = tile_rows_for(&m->plan->target, 16, s->dtype, most, t->rows);
    while (t->rows % mr) mr--;
    KVal none = gen_i64(g, 0), lo = gen_i64(g, t->row), hi = gen_i64(g, t->row + t->rows);
    k_for(g->m, g->f, none, map_stripe_doubt(m, t), 1);
    clear_rows(m, s, lo, hi, 0, s->columns);
    map_block_begin(m, none, m->total, SPREAD_BLOCK);
    Ix row = {k_for(g->m, g->f, lo, hi, mr), 0};
    Ix column = {k_for(g->m, g->f, none, gen_i64(g, s->columns), most * lanes), 0};
    run_tile(m, s, row, mr, column, most, m->valid);
    k_end(g->m, g->f);
    k_end(g->m, g->f);
    map_block_end(m);
    k_end(g->m, g->f);
}

static void visit_stripe(MapGen *m, const Stripe *t, Rows *rows) {
    Gen *g = &m->c.g;
    if (rows == clear_rows) map_stripe_clear(m, t);
    else take_all(m, t);
    rows(m, t->s, gen_i64(g, t->row), gen_i64(g, t->row + t->rows), 0, t->s->columns);
}

/* What the part's accumulators stand for. */
static void visit_part(MapGen *m, const Parts *p, Rows *rows) {
    Gen *g = &m->c.g;
    Held h = held(m, p, 0, is_one(p) ? 1 : p->tiles);
    KVal i = k_for(g->m, g->f, h.lo, h.hi, 1);
    for (int k = 0; k < p->n; k++) {
        const SumOut *s = p->tile[k].s;
        rows(m, s, gen_i64(g, 0), gen_i64(g, s->rows), 0, s->columns);
    }
    if (!p->n && p->s->stripes) {
        visit_stripe(m, &p->stripe, rows);
    } else if (!p->n) {
        int64_t end = p->column + p->nv * lanes_of_sum(p->s), columns = p->s->columns;
        KVal lo = gen_2(g, K_MUL, i, gen_i64(g, p->mr)), hi = gen_2(g, K_ADD, lo, gen_i64(g, p->mr));
        hi = gen_least(g, gen_i64(g, p->s->rows), hi);
        rows(m, p->s, lo, hi, p->column, end < columns ? end : columns);
    }
    k_end(g->m, g->f);
}

static void visit_parts_if(MapGen *m, const PartList *list, KVal condition, Rows *rows) {
    Gen *g = &m->c.g;
    k_for(g->m, g->f, gen_i64(g, 0), gen_select(g, condition, gen_i64(g, 1), gen_i64(g, 0)), 1);
    for (int k = 0; k < list->len; k++) visit_part(m, &list->at[k], rows);
    k_end(g->m, g->f);
}

/* The range's share of points, from .. to, and group: turn 0 is all parts. */
static void find_turn(MapGen *m, int64_t parts, int groups, KVal *from, KVal *to) {
    Gen *g = &m->c.g;
    KVal turns = gen_i64(g, groups + 1), none = gen_i64(g, 0), count = gen_i64(g, parts), all = gen_i64(g, groups);
    KVal turn = gen_2(g, K_REM, k_lo(g->m, g->f), turns), whole = gen_2(g, K_EQ, turn, none);
    KVal before = gen_2(g, K_SUB, turn, gen_i64(g, 1));
    *from = gen_2(g, K_DIV, k_lo(g->m, g->f), turns);
    *to = gen_2(g, K_DIV, k_hi(g->m, g->f), turns);
    m->part = gen_select(g, whole, none, gen_2(g, K_DIV, gen_2(g, K_MUL, before, count), all));
    m->parts_end = gen_select(g, whole, count, gen_2(g, K_DIV, gen_2(g, K_MUL, turn, count), all));
}

int map_spread_sums(MapGen *m, int64_t blocks) {
    Gen *g = &m->c.g;
    PartList list = {0};
    int64_t parts = find_parts(m, &list);
    int groups = (int)(parts < 2 * PARTS_OF_GROUP ? 1 : parts / PARTS_OF_GROUP);
    if (groups > MAX_GROUPS) groups = MAX_GROUPS;
    KVal from, to;
    find_turn(m, parts, groups, &from, &to);
    visit_parts_if(m, &list, gen_2(g, K_EQ, from, gen_i64(g, 0)), clear_rows);
    KVal start = map_share(m, from, blocks), end = map_share(m, to, blocks);
    map_block_begin(m, start, end, SPREAD_BLOCK);
    for (int k = 0; k < list.len; k++) take_part(m, &list.at[k], start, end);
    map_block_end(m);
    visit_parts_if(m, &list, gen_2(g, K_EQ, to, gen_i64(g, blocks)), finish_rows);
    return groups;
}
