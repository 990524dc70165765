/* tile.c -- the register-tiled contraction: rows of w that do not vary, times vectors of x.
 *
 *   acc[r][j] = init[o + r];  for k: acc[r][j] = fma(w[o + r][k], x[k][j], acc[r][j])
 *
 * for mr rows and nv vectors at a time: w is read element by element wherever it stands (any strides) and broadcast,
 * x is read in vectors of lanes, so nothing is packed but what would crowd the cache (pack.c).  The order of the chain
 * is that of the plain nest.
 * Register rule: mr nv + nv + 1 registers, a vector of 16 taking 16 * bytes / vector_bytes of them. */
#include "kernel/region.h"

enum {
    MAX_TILE = 32, SHORT_CHAIN = 4,
    LOOK_FROM = 256                        /* a chain so long fetches the next rows of weights ahead */
};

void exchange(Gen *g, KVal *v, int n, int by, int lanes) {
    KVal lane = k_lanes(g->m, g->f, KV(I32)), bit = k_ints(g->m, g->f, KV(I32), lanes);
    KVal high = gen_2(g, K_NE, gen_2(g, K_AND, lane, bit), k_ints(g->m, g->f, KV(I32), 0));
    for (int i = 0; i < n; i++) {
        if (i & by) continue;
        KVal a = v[i], b = v[i + by];
        v[i] = gen_select(g, high, k_rotate(g->m, g->f, b, 16 - lanes), a);
        v[i + by] = gen_select(g, high, b, k_rotate(g->m, g->f, a, lanes));
    }
}

/* 16 vectors of 16 lanes: v[i] lane j <-> v[j] lane i. */
void transpose16(Gen *g, KVal v[16]) {
    for (int by = 8; by > 0; by /= 2) exchange(g, v, 16, by, by);
}

static bool rows_merge(const Shape *w, const Affine *a) {
    for (int k = 0; k + 2 < w->rank; k++)
        if (a->stride[k] != a->stride[k + 1] * w->dim[k + 1]) return false;
    return true;
}

bool is_tiled(const Region *r, Val v) {
    const Node *node = graph_node(r->graph, v);
    if (node->op != G_MATMUL || !r->info[v].varies) return false;
    Val w = graph_in(r->graph, v, 0), x = graph_in(r->graph, v, 1);
    const Shape *shape = &graph_node(r->graph, w)->shape;
    Affine a;
    int64_t outs = region_size(r, w) / shape->dim[shape->rank - 1];
    if (r->body && region_size(r, x) > graph_node(r->graph, x)->shape.dim[0]) return false;
    return outs > 1 && r->info[x].varies && affine_of(r, w, &a) && rows_merge(shape, &a);
}

KVal affine_pointer(Ctx *c, const Affine *a) {
    const Region *r = c->r;
    if (r->info[a->source].stored) return ctx_entry(c, r->info[a->source].home.entry);
    const Attr *attr = graph_attr(r->graph, a->source);
    if (graph_node(r->graph, a->source)->op == G_TABLE) {
        size_t bytes = (size_t)shape_size(&attr->blob->shape) * dtype_size(attr->blob->dtype);
        return k_data(c->g.m, c->g.f, kmodule_data(c->g.m, attr->blob->data, bytes));
    }
    const GraphInput *input = &r->graph->inputs.at[attr->index];
    if (input->kind == IN_BLOCK) return ctx_kind(c, ENTRY_BLOCK, input->index);
    const Graph *outer = c->outer->r->graph;
    Affine shared = {.source = region_base(c->outer->r,
                                           graph_in(outer, c->map, graph_attr(outer, c->map)->mapped + input->index))};
    return affine_pointer(c->outer, &shared);
}

/* ---- one tile ---- */

typedef struct Tile {
    Ctx *c;
    Val v, x;
    KVal w;                                /* pointer */
    int64_t off, row, step;                /* of w: first element, strides of o and k */
    bool packed;                           /* w stands by tiles: [tile][k][rows of the tile] */
    int64_t n, places;
    const Columns *columns;
    const Epilogue *epilogue;
} Tile;

static void at_column(Ctx *c, const Columns *columns, int j) {
    c->local = columns->vec[j];
    c->global = columns->vec_global[j];
}

static void tile_start(const Tile *t, Ix o, int mr, KVal acc[MAX_TILE]) {
    Ctx *c = t->c;
    const Node *node = graph_node(c->r->graph, t->v);
    for (int r = 0; r < mr; r++) {
        Index at = index_flat(ix_plus(&c->g, o, (Ix){0, r}));
        for (int j = 0; j < t->columns->n; j++) {
            at_column(c, t->columns, j);
            KVal init = node->nin > 2 ? pull(c, graph_in(c->r->graph, t->v, 2), &at)
                : gen_number(&c->g, (DType)node->dtype, 0);
            acc[r * t->columns->n + j] = gen_widen(&c->g, init, c->lanes);
        }
    }
}

static Ix place_of(const Tile *t, int j) {
    Ix p = t->columns->place;
    p.add += t->places > 1 ? j : 0;
    return p;
}

static void finish_element(const Tile *t, Ix flat, KVal acc) {
    Ctx *c = t->c;
    Index at = index_flat(flat);
    ctx_fresh(c, &at);
    for (int k = -1; k < t->epilogue->n; k++) {
        Val v = k < 0 ? t->v : t->epilogue->then[k];
        KVal x = k < 0 ? acc : compute(c, v, &at);
        if (k >= 0 || !t->epilogue->drop) store_value(c, v, flat, x);
        ctx_keep(c, v, x);
    }
    ctx_fresh(c, NULL);
}

/* Of weights, which follow each other. */
static bool has_long_rows(const Tile *t) {
    return t->c->lanes == 16 && !t->c->r->body && !t->packed && t->step == 1 && t->row == t->n && t->n >= LOOK_FROM;
}

/* Weights in rows that follow each other: of the rows of the next tile, line k. */
static void look_ahead(const Tile *t, Ix k, int mr, KVal wbase) {
    Gen *g = &t->c->g;
    KScalar scalar = gen_scalar((DType)graph_node(t->c->r->graph, t->v)->dtype);
    if (!has_long_rows(t)) return;
    Ix line = ix_plus(g, (Ix){wbase, mr * t->row}, ix_times(g, k, scalar == KS_F64 ? 8 : 16));
    k_prefetch(g->m, g->f, k_offset(g->m, g->f, scalar, t->w, ix_value(g, line)), FETCH);
}

/* Data that the next shard reads is fetched while a product of this one's is at work: tiles take turns at 8 of its 32
 * rows, a line at each step of their chains.  The first of the 8 (an example of the batch), or 0. */
static KVal rows_ahead(const Tile *t, Ix o, int mr) {
    Gen *g = &t->c->g;
    if (!t->columns->ahead) return 0;
    KVal tile = gen_2(g, K_DIV, ix_value(g, o), gen_i64(g, mr)), turn = gen_2(g, K_AND, tile, gen_i64(g, 3));
    return gen_2(g, K_ADD, t->columns->ahead, gen_2(g, K_MUL, turn, gen_i64(g, SHARD / 4)));
}

/* The line of element k of one of these rows. */
static void fetch_ahead(const Tile *t, KVal first, KVal k) {
    Gen *g = &t->c->g;
    const Graph *graph = t->c->r->graph;
    if (!first) return;
    KVal rows = ctx_kind(t->c, ENTRY_ROWS, graph->inputs.at[graph_attr(graph, t->x)->index].index);
    KVal at = gen_2(g, K_ADD, first, gen_2(g, K_AND, k, gen_i64(g, SHARD / 4 - 1)));
    KVal row = gen_index(g, k_load(g->m, g->f, KT(I32), ctx_kind(t->c, ENTRY_ORDER, 0), at));
    KVal element = gen_2(g, K_ADD, gen_2(g, K_MUL, row, gen_i64(g, t->n)), gen_2(g, K_AND, k, gen_i64(g, -16)));
    k_prefetch(g->m, g->f, k_offset(g->m, g->f, KS_F32, rows, element), FETCH);
}

/* One step of the chains. */
static void tile_step(const Tile *t, Ix k, int mr, KVal wbase, const KVal *xbase, const KVal *acc, KVal *next) {
    Gen *g = &t->c->g;
    int nv = t->columns->n;
    const Home *home = &t->c->r->info[t->x].home;
    KType type = k_type(g->f, acc[0]), one = {type.scalar, 1};
    KVal x[4], xp = ctx_entry(t->c, home->entry);
    Ix kx = ix_times(g, k, t->places * home->elem);
    KVal kw = ix_value(g, ix_plus(g, (Ix){wbase, 0}, ix_times(g, k, t->packed ? mr : t->step)));
    for (int j = 0; j < nv; j++) x[j] = k_load(g->m, g->f, type, xp, ix_value(g, ix_plus(g, (Ix){xbase[j], 0}, kx)));
    for (int r = 0; r < mr; r++) {
        KVal a = k_load(g->m, g->f, one, t->w, ix_value(g, (Ix){kw, r * t->row}));
        for (int j = 0; j < nv; j++) next[r * nv + j] = gen_fma(g, a, x[j], acc[r * nv + j]);
    }
}

static void tile_rows(const Tile *t, Ix o, int mr) {
    Ctx *c = t->c;
    Gen *g = &c->g;
    int nv = t->columns->n;
    KVal acc[MAX_TILE], next[MAX_TILE], wbase, xbase[4];
    const Home *home = &c->r->info[t->x].home;
    tile_start(t, o, mr, acc);
    KType type = k_type(g->f, acc[0]);
    wbase = ix_value(g, ix_plus(g, ix_times(g, o, t->packed ? t->n : t->row), (Ix){0, t->off}));
    for (int j = 0; j < nv; j++) {
        at_column(c, t->columns, j);
        xbase[j] = ix_value(g, home_index(c, home, place_of(t, j)));
    }
    if (t->n <= SHORT_CHAIN) {
        for (int64_t k = 0; k < t->n; k++) {
            tile_step(t, (Ix){0, k}, mr, wbase, xbase, acc, next);
            memcpy(acc, next, sizeof acc);
        }
    } else {
        KVal ahead = rows_ahead(t, o, mr), k = k_for(g->m, g->f, gen_i64(g, 0), gen_i64(g, t->n), 1);
        for (int i = 0; i < mr * nv; i++) acc[i] = k_carry(g->m, g->f, acc[i]);
        look_ahead(t, (Ix){k, 0}, mr, wbase);
        fetch_ahead(t, ahead, k);
        tile_step(t, (Ix){k, 0}, mr, wbase, xbase, acc, next);
        for (int i = 0; i < mr * nv; i++) k_next(g->m, g->f, next[i]);
        k_end(g->m, g->f);
        for (int i = 0; i < mr * nv; i++) acc[i] = k_result(g->m, g->f, i, type);
    }
    for (int r = 0; r < mr; r++) {
        for (int j = 0; j < nv; j++) {
            at_column(c, t->columns, j);
            Ix flat = ix_plus(g, ix_times(g, ix_plus(g, o, (Ix){0, r}), t->places), place_of(t, j));
            finish_element(t, flat, acc[r * nv + j]);
        }
    }
}

/* What a tile costs: a product-sum in each half of a cycle, but a chain goes on only after four cycles. */
static int64_t tile_cost(int64_t rows, int nv) { return rows ? (rows * nv < 8 ? 8 : rows * nv) + 1 : 0; }

/* Rows of a tile: as many as registers allow, fewer if that divides the rows or leaves a better last tile. */
int tile_rows_for(const Target *target, int lanes, DType dtype, int nv, int64_t rows) {
    if (lanes == 1) return 1;
    int per_vector = 16 * (int)dtype_size(dtype) / target->vector_bytes;
    int most = (target->registers - 1 - per_vector * nv) / (per_vector * nv);
    if (most > 12) most = 12;
    if (most * nv > 24) most = 24 / nv;
    if (most < 1) most = 1;
    if (rows <= most) return (int)rows;
    int best = most;
    int64_t least = INT64_MAX;
    for (int m = most; m * 4 >= most * 3; m--) {
        int64_t cost = rows / m * tile_cost(m, nv) + tile_cost(rows % m, nv);
        if (rows % m == 0) return m;
        if (cost >= least) continue;
        least = cost;
        best = m;
    }
    return best;
}

int tile_columns_for(const Target *target, int lanes, DType dtype) {
    if (lanes == 1) return 1;
    return 16 * (int)dtype_size(dtype) <= target->vector_bytes && target->registers >= 32 ? 3 : 1;
}

/* The row where tiles begin: another one for each block of examples, so that threads do not read the same weights at
 * the same time after one of them has written them. */
static KVal first_row(const Tile *t, int64_t whole, int mr) {
    Gen *g = &t->c->g;
    KVal blocks = gen_2(g, K_SHR, gen_2(g, K_ADD, ctx_shape(t->c, 1), gen_i64(g, 15)), gen_i64(g, 4));
    KVal before = gen_2(g, K_MUL, ix_value(g, t->columns->vec_global[0]), gen_i64(g, whole / mr));
    KVal up = gen_2(g, K_SUB, gen_2(g, K_ADD, before, blocks), gen_i64(g, 1));
    return gen_2(g, K_MUL, gen_2(g, K_DIV, up, blocks), gen_i64(g, mr));
}

/* Whole tiles of mr rows. */
static void tile_whole(const Tile *t, int64_t whole, int mr) {
    Gen *g = &t->c->g;
    KVal rows = gen_i64(g, whole), first = t->places == 1 && has_long_rows(t) ? first_row(t, whole, mr) : 0;
    KVal o = k_for(g->m, g->f, gen_i64(g, 0), rows, mr);
    if (first) {
        KVal on = gen_2(g, K_ADD, o, first);
        o = gen_select(g, gen_2(g, K_LT, on, rows), on, gen_2(g, K_SUB, on, rows));
    }
    tile_rows(t, (Ix){o, 0}, mr);
    k_end(g->m, g->f);
}

void tile_matmul(Ctx *c, Val v, const Columns *columns, const Epilogue *epilogue) {
    Affine a = {0};
    Val w = graph_in(c->r->graph, v, 0);
    const Shape *shape = &graph_node(c->r->graph, w)->shape;
    Tile t = {.c = c, .v = v, .x = region_base(c->r, graph_in(c->r->graph, v, 1)), .columns = columns,
              .epilogue = epilogue};
    affine_of(c->r, w, &a);
    t.off = a.off;
    t.step = a.stride[shape->rank - 1];
    t.row = shape->rank > 1 ? a.stride[shape->rank - 2] : 0;
    t.n = shape->dim[shape->rank - 1];
    t.places = region_size(c->r, t.x) / t.n;
    t.packed = c->r->info[v].packed > 0;
    if (t.packed) t.off = 0, t.row = 1;
    t.w = t.packed ? ctx_entry(c, c->r->info[v].packed - 1) : affine_pointer(c, &a);
    int64_t outs = region_size(c->r, w) / t.n;
    int mr = tile_rows_for(&c->r->plan->target, c->lanes, (DType)graph_node(c->r->graph, v)->dtype, columns->n, outs);
    int64_t whole = outs / mr * mr;
    if (whole > mr) tile_whole(&t, whole, mr);
    else if (whole) tile_rows(&t, (Ix){0, 0}, mr);
    if (outs > whole) tile_rows(&t, (Ix){0, whole}, (int)(outs - whole));
}
