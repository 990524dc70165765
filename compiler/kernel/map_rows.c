/* map_rows.c -- a MAP's body with elements in lanes: for cells made of products with many features.
 *
 * A value of n elements of a block's points stands as [point][element]: n = 1 or whole vectors (or less than one: read
 * element by element).  A product is a register tile of points x features, its weights in lines of features:
 *   acc[point][feature] = init[feature];  for k: acc = fma(x[point][k], w[k][feature], acc)
 * so what is summed over points is read as it stands (map_sums.c), and nothing is turned.  Where points are near each
 * other, terms that are 0 at all points of a tile are left out (map_zeros.c).  A product with one feature
 * has its 16 partials in lanes; the trees of 16 points are one: each level halves the vectors.
 * Single numbers of a point are computed 16 points at a time.  Points beyond the last are computed and never used. */
#include "kernel/map.h"

enum { ROW_VECTORS = 3, MAX_ROW_COLUMNS = 4, SHORT_CHAIN = 4, LONG_DOT = 64 };

int map_rows_vectors(void) { return ROW_VECTORS; }

static int64_t size_of(const MapGen *m, Val v) { return region_size(&m->b, v); }
static Val in_of(const MapGen *m, Val v, int k) { return graph_in(m->body, v, k); }
static bool is_product(const MapGen *m, Val v) { return body_node(m, v)->op == G_MATMUL; }

/* ---- which bodies ---- */

/* Whether 16 elements of v in a row can be read as 16 elements of an operand of its size. */
static bool in_order(const MapGen *m, Val v, int64_t size) {
    if (size_of(m, v) == 1) return true;
    v = region_base(&m->b, v);
    Op op = (Op)body_node(m, v)->op;
    if (size_of(m, v) != size) return false;
    return m->b.info[v].stored || is_elementwise(op) || op == G_INPUT || op == G_CONST || op == G_TABLE ||
           (op == G_BROADCAST && size_of(m, in_of(m, v, 0)) == 1);
}

static bool product_fits(const MapGen *m, Val v) {
    const Node *node = body_node(m, v);
    Val w = in_of(m, v, 0), x = in_of(m, v, 1);
    int64_t n = body_node(m, x)->shape.rank ? body_node(m, x)->shape.dim[0] : 1;
    Affine a;
    Val bias = node->nin > 2 ? in_of(m, v, 2) : 0;
    if (bias && (!in_order(m, bias, size_of(m, v)) || m->b.info[bias].varies)) return false;
    if (size_of(m, v) > 1) return is_tiled(&m->b, v) && size_of(m, v) % 16 == 0;
    return n == size_of(m, x) && n % 16 == 0 && m->b.info[x].varies && affine_of(&m->b, w, &a);
}

static bool is_summed_root(const MapGen *m, Val v) {
    for (int k = 0; k < m->body->outputs.len; k++)
        if (m->body->outputs.at[k].value == v && m->body->outputs.at[k].kind == OUT_SUMMED)
            return m->b.info[v].uses == 1;
    return false;
}

static bool node_fits(const MapGen *m, Val v) {
    const Node *node = body_node(m, v);
    Op op = (Op)node->op;
    int64_t size = size_of(m, v);
    if (op == G_INPUT || op == G_RESHAPE) return true;
    if (op == G_BROADCAST) return is_flat_view(&m->b, v) || size_of(m, in_of(m, v, 0)) == 1;
    if (op == G_CONCAT) return size <= 16;
    if (op == G_OUTER) return is_summed_root(m, v);
    if (op == G_MATMUL) return product_fits(m, v);
    if (!is_elementwise(op) || (size != 1 && size % 16)) return false;
    for (int k = 0; k < node->nin; k++)
        if (!in_order(m, in_of(m, v, k), size)) return false;
    return true;
}

bool map_rows_fit(const MapGen *m) {
    bool worth = false;
    if (!m->points || lanes_of(m) != 16) return false;
    for (Val v = 1; v < (Val)m->body->node.len; v++) {
        const Info *info = &m->b.info[v];
        if (!info->live || !info->varies) continue;
        if (!node_fits(m, v)) return false;
        worth |= is_product(m, v) && size_of(m, v) >= 16 && size_of(m, in_of(m, v, 1)) >= 16;
    }
    for (int k = 0; k < m->body->outputs.len; k++) {
        Val root = m->body->outputs.at[k].value;
        int64_t size = size_of(m, root);
        if (!m->proj[k] || m->body->outputs.at[k].kind != OUT_SUMMED) continue;
        if (body_node(m, root)->op != G_OUTER && size > 16 && size % 16) return false;
    }
    return worth;
}

/* ---- memory ---- */

void map_rows_home(MapGen *m, Val v) {
    int64_t size = size_of(m, v);
    size_t bytes = (size_t)(size * m->vectors * 16) * dtype_size((DType)body_node(m, v)->dtype);
    int entry = plan_buffer(m->plan, (Buffer){.fixed = bytes + PAD_BYTES, .scratch = true});
    m->b.info[v].home = (Home){.entry = entry, .elem = 1, .vec = size};
}

static void see(MapGen *m, bool rows, int64_t size) {
    m->b.rows = rows;
    m->c.wide = m->outer.wide = size > 1;
    m->c.wide_size = m->outer.wide_size = size;
}

void map_rows_open(MapGen *m, int64_t size) { see(m, true, size); }
void map_rows_close(MapGen *m) { see(m, false, 0); }

static RowWeights weights_as_they_stand(MapGen *m, Val v, int64_t *step) {
    Affine a = {0};
    Val w = in_of(m, v, 0);
    const Shape *shape = &body_node(m, w)->shape;
    affine_of(&m->b, w, &a);
    *step = size_of(m, v) == 1 ? a.stride[shape->rank - 1] : a.stride[shape->rank - 2];
    return (RowWeights){affine_pointer(&m->c, &a), a.off,
                        size_of(m, v) == 1 ? 16 : a.stride[shape->rank - 1]};
}

static RowWeights weights_of(MapGen *m, Val v) {
    int64_t step, outs = size_of(m, v);
    if (m->b.info[v].packed) return (RowWeights){ctx_entry(&m->c, m->b.info[v].packed - 1), 0, outs == 1 ? 16 : outs};
    return weights_as_they_stand(m, v, &step);
}

static void pack_squares(MapGen *m, const RowWeights *from, KVal to, DType dtype, int64_t step, int64_t n,
                         int64_t outs) {
    Gen *g = &m->c.g;
    KType type = {gen_scalar(dtype), 16};
    KVal x[16];
    Ix o = {k_for(g->m, g->f, gen_i64(g, 0), gen_i64(g, outs), 16), 0},
        k = {k_for(g->m, g->f, gen_i64(g, 0), gen_i64(g, n), 16), 0};
    for (int e = 0; e < 16; e++) {
        Ix line = ix_times(g, ix_plus(g, o, (Ix){0, e}), step);
        line.add += from->off;
        x[e] = k_load(g->m, g->f, type, from->at, ix_value(g, ix_plus(g, line, k)));
    }
    transpose16(g, x);
    for (int e = 0; e < 16; e++)
        k_store(g->m, g->f, to, ix_value(g, ix_plus(g, ix_times(g, ix_plus(g, k, (Ix){0, e}), outs), o)), x[e]);
    k_end(g->m, g->f);
    k_end(g->m, g->f);
}

static void pack_elements(MapGen *m, const RowWeights *from, KVal to, DType dtype, int64_t step, int64_t n,
                          int64_t outs) {
    Gen *g = &m->c.g;
    KType type = {gen_scalar(dtype), 1};
    int64_t lines = outs == 1 ? 1 : n, columns = outs == 1 ? n : outs;
    Ix k = loop_begin(&m->c, lines), o = loop_begin(&m->c, columns);
    Ix at = ix_plus(g, ix_times(g, k, from->line), ix_times(g, o, step));
    at.add += from->off;
    KVal x = k_load(g->m, g->f, type, from->at, ix_value(g, at));
    k_store(g->m, g->f, to, ix_value(g, ix_plus(g, ix_times(g, k, columns), o)), x);
    loop_end(&m->c, columns);
    loop_end(&m->c, lines);
}

static void pack_lines(MapGen *m, Val v) {
    int64_t step, outs = size_of(m, v), n = size_of(m, in_of(m, v, 1));
    RowWeights from = weights_as_they_stand(m, v, &step);
    if (step == 1) return;
    DType dtype = (DType)body_node(m, v)->dtype;
    size_t bytes = (size_t)(n * outs) * dtype_size(dtype);
    int entry = plan_buffer(m->plan, (Buffer){.fixed = bytes + PAD_BYTES, .scratch = true});
    if (outs % 16 == 0 && n % 16 == 0 && from.line == 1)
        pack_squares(m, &from, ctx_entry(&m->c, entry), dtype, step, n, outs);
    else pack_elements(m, &from, ctx_entry(&m->c, entry), dtype, step, n, outs);
    m->b.info[v].packed = entry + 1;
}

void map_rows_weights(MapGen *m) {
    for (int k = 0; k < m->root.len; k++) {
        Root *root = &m->root.at[k];
        if (!is_product(m, root->v)) continue;
        pack_lines(m, root->v);
        if (!m->near || !root->tile || root->late || !map_skips(m, root->v)) continue;
        RowWeights w = weights_of(m, root->v);
        root->every = map_not_finite(m, root->v, &w, size_of(m, in_of(m, root->v, 1)));
    }
}

/* ---- products with many features ---- */

typedef struct RowTile {
    MapGen *m;
    Val v, x;
    RowWeights w;
    const Val *then;                       /* computed while the product is in registers */
    int count;
    const Val *late;                       /* short products that these read */
    int lates;
    bool drop;
    int64_t n;
    KType type;
    int mr, nv;
    KVal point, found;                     /* found: the terms that are taken (map_zeros.c), or 0 */
    Ix column;
} RowTile;

static Ix column_of(const RowTile *t, int j) { return (Ix){t->column.var, t->column.add + 16 * j}; }

static void row_tile_start(const RowTile *t, KVal *acc) {
    Gen *g = &t->m->c.g;
    bool bias = body_node(t->m, t->v)->nin > 2;
    for (int j = 0; j < t->nv; j++) {
        Index at = index_flat(column_of(t, j));
        KVal init = bias ? pull(&t->m->c, in_of(t->m, t->v, 2), &at)
                    : gen_number(g, (DType)body_node(t->m, t->v)->dtype, 0);
        init = gen_widen(g, init, 16);
        for (int r = 0; r < t->mr; r++) acc[r * t->nv + j] = init;
    }
}

static void row_tile_step(const void *tile, Ix k, KVal rows, const KVal *acc, KVal *next) {
    const RowTile *t = tile;
    Gen *g = &t->m->c.g;
    KType one = {t->type.scalar, 1};
    KVal w[MAX_ROW_COLUMNS], x = ctx_entry(&t->m->c, t->m->b.info[t->x].home.entry);
    Ix line = ix_plus(g, ix_times(g, k, t->w.line), t->column), row = ix_plus(g, (Ix){rows, 0}, k);
    for (int j = 0; j < t->nv; j++)
        w[j] = k_load(g->m, g->f, t->type, t->w.at, ix_value(g, (Ix){line.var, line.add + t->w.off + 16 * j}));
    for (int r = 0; r < t->mr; r++) {
        KVal a = k_load(g->m, g->f, one, x, ix_value(g, (Ix){row.var, row.add + r * t->n}));
        for (int j = 0; j < t->nv; j++) next[r * t->nv + j] = gen_fma(g, a, w[j], acc[r * t->nv + j]);
    }
}

/* A short product at one point and column. */
static KVal late_value(const RowTile *t, Val v, int r, const Index *at) {
    MapGen *m = t->m;
    Gen *g = &m->c.g;
    Val x = region_base(&m->b, in_of(m, v, 1));
    int64_t n = size_of(m, x);
    RowWeights w = weights_of(m, v);
    KVal from = ctx_entry(&m->c, m->b.info[x].home.entry);
    bool bias = body_node(m, v)->nin > 2;
    KVal acc = bias ? pull(&m->c, in_of(m, v, 2), at) : gen_number(g, (DType)body_node(m, v)->dtype, 0);
    Ix row = ix_times(g, (Ix){t->point, r}, n);
    acc = gen_widen(g, acc, 16);
    for (int64_t k = 0; k < n; k++) {
        KVal a = k_load(g->m, g->f, (KType){t->type.scalar, 1}, from, ix_value(g, (Ix){row.var, row.add + k}));
        Ix line = {at->f.var, at->f.add + w.off + k * w.line};
        acc = gen_fma(g, a, k_load(g->m, g->f, t->type, w.at, ix_value(g, line)), acc);
    }
    return acc;
}

static void row_tile_finish(const RowTile *t, int r, int j, KVal acc) {
    Ctx *c = &t->m->c;
    Index at = index_flat(column_of(t, j));
    c->local = (Ix){t->point, r};
    ctx_fresh(c, &at);
    if (!t->drop) store_value(c, t->v, at.f, acc);
    ctx_keep(c, t->v, acc);
    for (int k = 0; k < t->lates; k++) ctx_keep(c, t->late[k], late_value(t, t->late[k], r, &at));
    for (int k = 0; k < t->count; k++) {
        KVal x = compute(c, t->then[k], &at);
        store_value(c, t->then[k], at.f, x);
        ctx_keep(c, t->then[k], x);
    }
    ctx_fresh(c, NULL);
}

static void row_tile(const RowTile *t) {
    Gen *g = &t->m->c.g;
    KVal acc[MAX_ROW_TILE], next[MAX_ROW_TILE];
    int chains = t->mr * t->nv;
    row_tile_start(t, acc);
    KVal rows = ix_value(g, ix_times(g, (Ix){t->point, 0}, t->n));
    if (t->n <= SHORT_CHAIN) {
        for (int64_t k = 0; k < t->n; k++) {
            row_tile_step(t, (Ix){0, k}, rows, acc, next);
            memcpy(acc, next, sizeof acc);
        }
    } else if (t->found) {
        map_each_term(t->m, t->found, t->point, t->n, acc, chains, row_tile_step, t);
    } else {
        KVal k = k_for(g->m, g->f, gen_i64(g, 0), gen_i64(g, t->n), 1);
        for (int i = 0; i < chains; i++) acc[i] = k_carry(g->m, g->f, acc[i]);
        row_tile_step(t, (Ix){k, 0}, rows, acc, next);
        for (int i = 0; i < chains; i++) k_next(g->m, g->f, next[i]);
        k_end(g->m, g->f);
        for (int i = 0; i < chains; i++) acc[i] = k_result(g->m, g->f, i, t->type);
    }
    for (int r = 0; r < t->mr; r++)
        for (int j = 0; j < t->nv; j++) row_tile_finish(t, r, j, acc[r * t->nv + j]);
}

typedef struct LateReads { const MapGen *m; Val *late; int n; } LateReads;

static void late_read(void *data, Val v, bool same) {
    LateReads *l = data;
    (void)same;
    for (int k = 0; k < l->m->root.len; k++)
        if (l->m->root.at[k].v == v && l->m->root.at[k].late) {
            bool known = false;
            for (int i = 0; i < l->n; i++) known |= l->late[i] == v;
            if (!known) l->late[l->n++] = v;
        }
}

static void rows_product(MapGen *m, const Root *root, const Val *then, int count) {
    LateReads late = {m, arena_array(m->plan->arena, Val, m->root.len), 0};
    for (int k = 0; k < count; k++) region_reads(&m->b, then[k], late_read, &late);
    Gen *g = &m->c.g;
    int64_t outs = size_of(m, root->v);
    DType dtype = (DType)body_node(m, root->v)->dtype;
    RowTile t = {.m = m, .v = root->v, .x = region_base(&m->b, in_of(m, root->v, 1)), .then = then, .count = count,
                 .late = late.late, .lates = late.n, .drop = root->drop, .type = {gen_scalar(dtype), 16}};
    t.n = size_of(m, t.x);
    t.w = weights_of(m, t.v);
    t.nv = tile_columns_for(&m->plan->target, 16, dtype) > 1 ? MAX_ROW_COLUMNS : 1;
    while (outs / 16 % t.nv) t.nv--;
    t.mr = tile_rows_for(&m->plan->target, 16, dtype, t.nv, m->vectors * 16);
    if (root->every)
        t.found = map_find_zeros(m, t.type, ctx_entry(&m->c, m->b.info[t.x].home.entry), t.n, t.mr, root->every);
    map_rows_open(m, outs);
    bool many = outs > 16 * t.nv;
    if (many) t.column = (Ix){k_for(g->m, g->f, gen_i64(g, 0), gen_i64(g, outs), 16 * t.nv), 0};
    t.point = k_for(g->m, g->f, gen_i64(g, 0), m->valid, t.mr);
    row_tile(&t);
    k_end(g->m, g->f);
    if (many) k_end(g->m, g->f);
    map_rows_close(m);
}

/* ---- products with one feature ---- */

/* 16 vectors to one: lane i is the tree of x[i]. */
static KVal trees16(Gen *g, KVal x[16]) {
    for (int by = 8; by > 0; by /= 2) {
        KVal lanes = k_lanes(g->m, g->f, KV(I32)), bit = k_ints(g->m, g->f, KV(I32), by);
        KVal low = gen_2(g, K_EQ, gen_2(g, K_AND, lanes, bit), k_ints(g->m, g->f, KV(I32), 0));
        for (int i = 0; i < by; i++) {
            KVal a = x[i], b = x[i + by];
            KVal first = gen_select(g, low, a, k_rotate(g->m, g->f, b, 16 - by));
            KVal second = gen_select(g, low, k_rotate(g->m, g->f, a, by), b);
            x[i] = gen_2(g, K_ADD, first, second);
        }
    }
    return x[0];
}

static void dot_step(MapGen *m, const RowWeights *w, Val x, KVal rows, Ix k, int64_t n, const KVal *acc, KVal *next) {
    Gen *g = &m->c.g;
    KType type = k_type(g->f, acc[0]);
    KVal from = ctx_entry(&m->c, m->b.info[x].home.entry);
    KVal a = k_load(g->m, g->f, type, w->at, ix_value(g, (Ix){k.var, k.add + w->off}));
    for (int e = 0; e < 16; e++) {
        Ix at = ix_plus(g, (Ix){rows, e * n}, k);
        next[e] = gen_fma(g, a, k_load(g->m, g->f, type, from, ix_value(g, at)), acc[e]);
    }
}

static void rows_dot(MapGen *m, Val v) {
    Gen *g = &m->c.g;
    const Node *node = body_node(m, v);
    Val x = region_base(&m->b, in_of(m, v, 1));
    int64_t n = size_of(m, x);
    RowWeights w = weights_of(m, v);
    KVal acc[16], next[16], point = k_for(g->m, g->f, gen_i64(g, 0), m->valid, 16);
    KVal rows = ix_value(g, ix_times(g, (Ix){point, 0}, n));
    for (int e = 0; e < 16; e++) acc[e] = gen_widen(g, gen_number(g, (DType)node->dtype, 0), 16);
    KType type = k_type(g->f, acc[0]);
    if (n > LONG_DOT) {
        KVal k = k_for(g->m, g->f, gen_i64(g, 0), gen_i64(g, n), 16);
        for (int e = 0; e < 16; e++) acc[e] = k_carry(g->m, g->f, acc[e]);
        dot_step(m, &w, x, rows, (Ix){k, 0}, n, acc, next);
        for (int e = 0; e < 16; e++) k_next(g->m, g->f, next[e]);
        k_end(g->m, g->f);
        for (int e = 0; e < 16; e++) acc[e] = k_result(g->m, g->f, e, type);
    } else {
        for (int64_t k = 0; k < n; k += 16) {
            dot_step(m, &w, x, rows, (Ix){0, k}, n, acc, next);
            memcpy(acc, next, sizeof acc);
        }
    }
    KVal sum = trees16(g, acc);
    Index zero = index_flat((Ix){0, 0});
    if (node->nin > 2) sum = gen_2(g, K_ADD, sum, pull(&m->c, in_of(m, v, 2), &zero));
    k_store(g->m, g->f, ctx_entry(&m->c, m->b.info[v].home.entry), point, sum);
    k_end(g->m, g->f);
}

/* ---- element by element ---- */

static void rows_elements(MapGen *m, const Val *group, int n) {
    Gen *g = &m->c.g;
    Ctx *c = &m->c;
    int64_t size = size_of(m, group[0]);
    if (size > 1) map_rows_open(m, size);
    c->local = (Ix){k_for(g->m, g->f, gen_i64(g, 0), m->valid, size > 1 ? 1 : 16), 0};
    Index at = index_flat((Ix){0, 0});
    if (size > 16) at.f.var = k_for(g->m, g->f, gen_i64(g, 0), gen_i64(g, size), 16);
    ctx_fresh(c, &at);
    for (int k = 0; k < n; k++) {
        KVal x = compute(c, group[k], &at);
        store_value(c, group[k], at.f, x);
        ctx_keep(c, group[k], x);
    }
    ctx_fresh(c, NULL);
    if (size > 16) k_end(g->m, g->f);
    k_end(g->m, g->f);
    map_rows_close(m);
}

static void rows_each_point(MapGen *m, Val v) {
    Gen *g = &m->c.g;
    map_rows_open(m, 0);
    m->c.local = (Ix){k_for(g->m, g->f, gen_i64(g, 0), m->valid, 1), 0};
    nest_node(&m->c, v);
    k_end(g->m, g->f);
    map_rows_close(m);
}

static bool joins(const MapGen *m, const Root *root, int segment) {
    return root->segment == segment && !root->tile && root->into < 0 && !is_product(m, root->v) &&
           is_nest_elementwise(&m->b, root->v);
}

static void rows_segment(MapGen *m, int segment, Val *group, bool *done) {
    for (int k = 0; k < m->root.len; k++) {
        const Root *root = &m->root.at[k];
        if (root->segment != segment || root->into >= 0 || root->late || done[k]) continue;
        int n = 0;
        if (root->tile) {
            for (int i = 0; i < m->root.len; i++)
                if (m->root.at[i].into == k) group[n++] = m->root.at[i].v;
            rows_product(m, root, group, n);
        } else if (joins(m, root, segment)) {
            for (int i = k; i < m->root.len; i++) {
                const Root *other = &m->root.at[i];
                if (!joins(m, other, segment) || size_of(m, other->v) != size_of(m, root->v)) continue;
                done[i] = true;
                group[n++] = other->v;
            }
            rows_elements(m, group, n);
        } else if (is_product(m, root->v)) rows_dot(m, root->v);
        else rows_each_point(m, root->v);
    }
}

void map_rows_body(MapGen *m) {
    Val *group = arena_array(m->plan->arena, Val, m->root.len);
    bool *done = arena_array(m->plan->arena, bool, m->root.len);
    int last = 0;
    for (int k = 0; k < m->root.len; k++)
        if (m->root.at[k].segment > last) last = m->root.at[k].segment;
    for (int segment = 0; segment <= last; segment++) rows_segment(m, segment, group, done);
}
