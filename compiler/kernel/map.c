/* map.c -- a MAP as one function: its body for a block of points at a time.
 *
 * Lanes are points: a block is `vectors` vectors of lanes; the body's values stand in scratch as
 * [element][vector][lane] and never leave the first cache.  Contractions inside the body are register tiles over its
 * weights as they stand.
 * If nothing is summed, points may be taken in any order: the blocks of the operands are read as they are.  For sums,
 * for bodies with a large product (a batch that does not fill its lanes costs nothing more) and where points are left
 * out (map_gaps.c), the operands are first turned into point order (example, place, unit); sums take the block's points
 * in order (map_sums.c).  A body that suits it has elements in lanes instead (map_rows.c): nothing is turned for its
 * sums.
 * Rows are taken in an order in which neighbours have near arguments, and summed in point order (map_near.c).
 * Many points that are no batch are *spread*: a stage computes them, in any order, and keeps what is summed; another
 * takes the sums, if there are any, each one chain over all points.  Threads share both. */
#include "kernel/map.h"
#include "pass/pass.h"

enum { BLOCK_VECTORS = 3, DENSE_FROM = 1024 };

/* ---- the body's nodes: order and homes ---- */

typedef struct Ordering { MapGen *m; Root *root; } Ordering;

static void order_read(void *data, Val v, bool same) {
    Ordering *o = data;
    const Region *b = &o->m->b;
    for (int k = 0; k < o->m->root.len; k++) {
        const Root *before = &o->m->root.at[k];
        if (before->v != v) continue;
        bool fused = same && !before->tile && !o->root->tile && is_nest_elementwise(b, v) &&
            is_nest_elementwise(b, o->root->v) &&
                     shape_equal(&body_node(o->m, v)->shape, &body_node(o->m, o->root->v)->shape);
        int segment = before->segment + !fused;
        if (segment > o->root->segment) o->root->segment = segment;
    }
}

static void add_root(MapGen *m, Val v) {
    Info *info = &m->b.info[v];
    size_t bytes = (size_t)region_size(&m->b, v) * dtype_size((DType)body_node(m, v)->dtype);
    if (!info->live || !info->stored) return;
    if (!info->varies) {
        info->home = (Home){.entry = plan_buffer(m->plan, (Buffer){.fixed = bytes + PAD_BYTES, .scratch = true}),
                            .elem = 1};
        return;
    }
    int64_t wide = (int64_t)m->vectors * lanes_of(m);
    if (m->kept && m->kept[v]) {
        Buffer whole = {.fixed = bytes * (size_t)m->keeps + PAD_BYTES, .scratch = !m->spread};
        info->home = (Home){.entry = plan_buffer(m->plan, whole), .elem = 1, .vec = region_size(&m->b, v)};
        vec_push(m->plan->arena, &m->moved, ((struct Moved){info->home.entry, 0}));
    } else if (m->rows) {
        map_rows_home(m, v);
    } else {
        info->home = (Home){.elem = wide, .vec = lanes_of(m)};
        info->home.entry = plan_buffer(m->plan, (Buffer){.fixed = bytes * (size_t)wide, .scratch = true});
    }
    Root root = {.v = v, .tile = is_tiled(&m->b, v), .into = -1};
    Ordering o = {m, &root};
    if (body_node(m, v)->op != G_INPUT) region_reads(&m->b, v, order_read, &o);
    vec_push(m->plan->arena, &m->root, root);
}

/* ---- element-wise roots that are computed while a product is in registers ---- */

typedef struct Fusing { MapGen *m; int root, tile; bool reads, fits; } Fusing;

static void fusing_read(void *data, Val v, bool same) {
    Fusing *f = data;
    const Root *tile = &f->m->root.at[f->tile];
    for (int k = 0; k < f->m->root.len; k++) {
        const Root *before = &f->m->root.at[k];
        if (before->v != v) continue;
        if (k == f->tile || before->into == f->tile) f->reads |= same, f->fits &= same;
        else f->fits &= before->segment < tile->segment;
    }
}

static void fuse_into(MapGen *m, int tile) {
    for (int k = tile + 1; k < m->root.len; k++) {
        Root *root = &m->root.at[k];
        Fusing f = {m, k, tile, false, true};
        if (root->tile || root->into >= 0 || !is_nest_elementwise(&m->b, root->v)) continue;
        if (!shape_equal(&body_node(m, root->v)->shape, &body_node(m, m->root.at[tile].v)->shape)) continue;
        region_reads(&m->b, root->v, fusing_read, &f);
        if (!f.reads || !f.fits) continue;
        root->into = tile;
        root->segment = m->root.at[tile].segment;
    }
}

static void drop_read(void *data, Val v, bool same) {
    Fusing *f = data;
    (void)same;
    if (f->m->root.at[f->tile].v == v && f->m->root.at[f->root].into != f->tile) f->fits = false;
}

static bool is_output(const MapGen *m, Val v) {
    for (int k = 0; k < m->body->outputs.len; k++) {
        Val root = m->body->outputs.at[k].value;
        if (!m->proj[k]) continue;
        if (region_base(&m->b, root) == v) return true;
        for (int i = 0; i < 2 && body_node(m, root)->op == G_OUTER; i++)
            if (region_base(&m->b, graph_in(m->body, root, i)) == v) return true;
    }
    return false;
}

static void fuse_all(MapGen *m) {
    for (int k = 0; k < m->root.len; k++) {
        if (!m->root.at[k].tile) continue;
        Fusing f = {.m = m, .tile = k, .fits = !is_output(m, m->root.at[k].v)};
        fuse_into(m, k);
        for (f.root = 0; f.root < m->root.len; f.root++)
            if (f.root != k && body_node(m, m->root.at[f.root].v)->op != G_INPUT)
                region_reads(&m->b, m->root.at[f.root].v, drop_read, &f);
        m->root.at[k].drop = f.fits;
    }
}

static void late_read(void *data, Val v, bool same) {
    Fusing *f = data;
    const Root *reader = &f->m->root.at[f->root];
    if (f->m->root.at[f->tile].v == v) f->fits &= same && reader->into >= 0 && reader->into != f->tile;
}

/* In rows: products of a chain of one or two that nothing but roots in other tiles reads. */
static void find_late(MapGen *m) {
    for (int k = 0; k < m->root.len && m->rows; k++) {
        Val v = m->root.at[k].v;
        if (!m->root.at[k].tile || region_size(&m->b, graph_in(m->body, v, 1)) > 2) continue;
        Fusing f = {.m = m, .tile = k, .fits = !is_output(m, v)};
        for (f.root = 0; f.root < m->root.len; f.root++)
            if (f.root != k && body_node(m, m->root.at[f.root].v)->op != G_INPUT)
                region_reads(&m->b, m->root.at[f.root].v, late_read, &f);
        m->root.at[k].late = f.fits;
    }
}

/* ---- points in memory ---- */

/* Where a vector of the shard's lies: vectors follow each other from block to block, but in a turn's part of a
 * stack. */
static KVal vector_at(MapGen *m, Val v, KVal vector) {
    Gen *g = &m->c.g;
    Home home = m->r->info[v].home;
    Ix within = {vector, 0}, block = {0, 0};
    if (home.vec != m->size * home.elem) {
        block = (Ix){gen_2(g, K_DIV, vector, gen_i64(g, m->size)), 0};
        within = (Ix){gen_2(g, K_REM, vector, gen_i64(g, m->size)), 0};
    }
    m->outer.local = block;
    m->outer.global = ix_plus(g, ix_times(g, (Ix){m->shard.number, 0}, SHARD / lanes_of(m)), block);
    return ix_value(g, home_index(&m->outer, &home, within));
}

static KVal mapped_value(Ctx *c, int operand) {
    MapGen *m = c->data;
    Gen *g = &c->g;
    Val v = graph_in(m->r->graph, m->map, operand), base = region_base(m->r, v);
    KType type = {gen_scalar((DType)graph_node(m->r->graph, v)->dtype), (uint8_t)c->lanes};
    Ix local = m->points && !m->rows ? ix_times(g, c->local, c->lanes) : c->local;
    KVal vector = ix_value(g, ix_plus(g, (Ix){m->first, 0}, local));
    if (m->points) return k_load(g->m, g->f, type, ctx_entry(c, m->operand[operand]), vector);
    KVal last = gen_2(g, K_SUB, m->total, gen_i64(g, 1));
    vector = gen_select(g, gen_2(g, K_LT, last, vector), last, vector);
    if (m->dense) {
        m->outer.wide = true;
        m->outer.wide_size = m->size;
        KVal x = load_value(&m->outer, base, ix_times(g, (Ix){vector, 0}, lanes_of(m)));
        m->outer.wide = false;
        return x;
    }
    if (!m->r->info[base].varies)
        return load_value(&m->outer, base, (Ix){gen_2(g, K_REM, vector, gen_i64(g, m->size)), 0});
    KVal at = vector_at(m, base, vector);
    return k_load(g->m, g->f, type, ctx_entry(c, m->r->info[base].home.entry), at);
}

/* For all points: their place in point order, example by example.  The innermost loop is open after it. */
typedef struct PointLoop { Ix example, place, unit, at, lane; } PointLoop;

static PointLoop points_begin(MapGen *m) {
    Gen *g = &m->c.g;
    PointLoop p = {.example = {0, 0}};
    if (m->varies) p.example = (Ix){k_for(g->m, g->f, gen_i64(g, 0), m->shard.count, 1), 0};
    p.place = loop_begin(&m->c, m->places);
    p.unit = loop_begin(&m->c, m->units);
    p.at = ix_plus(g, ix_times(g, p.example, m->size), ix_plus(g, ix_times(g, p.place, m->units), p.unit));
    if (!m->varies) return p;
    KVal block = ix_value(g, p.example);
    if (lanes_of(m) == 16) {
        p.lane = (Ix){gen_2(g, K_AND, block, gen_i64(g, 15)), 0};
        block = gen_2(g, K_SHR, block, gen_i64(g, 4));
    }
    m->outer.local = (Ix){block, 0};
    m->outer.global = ix_plus(g, ix_times(g, (Ix){m->shard.number, 0}, SHARD / lanes_of(m)), m->outer.local);
    return p;
}

static void points_end(MapGen *m) {
    loop_end(&m->c, m->units);
    loop_end(&m->c, m->places);
    if (m->varies) k_end(m->c.g.m, m->c.g.f);
}

/* A square of 16 examples and 16 units from u on, turned; to: into point order, else back. */
static void turn_square(MapGen *m, Val v, int entry, bool to, KVal block, Ix place, Ix u) {
    Gen *g = &m->c.g;
    Ctx *o = &m->outer;
    KType type = {gen_scalar((DType)graph_node(m->r->graph, v)->dtype), 16};
    KVal x[16], flat = ctx_entry(o, entry);
    Ix row = ix_times(g, (Ix){block, 0}, 16 * m->size), first = ix_plus(g, ix_times(g, u, m->places), place);
    row = ix_plus(g, row, ix_plus(g, ix_times(g, place, m->units), u));
    for (int k = 0; k < 16; k++)
        x[k] = to ? load_value(o, v, ix_plus(g, first, (Ix){0, k * m->places}))
            : k_load(g->m, g->f, type, flat, ix_value(g, ix_plus(g, row, (Ix){0, k * m->size})));
    transpose16(g, x);
    for (int k = 0; k < 16; k++) {
        if (to) k_store(g->m, g->f, flat, ix_value(g, ix_plus(g, row, (Ix){0, k * m->size})), x[k]);
        else store_value(o, v, ix_plus(g, first, (Ix){0, k * m->places}), x[k]);
    }
}

/* All of them; the last units that fill no square are turned together with some before them. */
static void turn_squares(MapGen *m, Val v, int entry, bool to) {
    Gen *g = &m->c.g;
    int64_t whole = m->units / 16 * 16;
    KVal b = block_begin(&m->outer, &m->shard);
    Ix p = loop_begin(&m->c, m->places), u = loop_begin(&m->c, whole / 16);
    turn_square(m, v, entry, to, b, p, ix_times(g, u, 16));
    loop_end(&m->c, whole / 16);
    if (whole < m->units) turn_square(m, v, entry, to, b, p, (Ix){0, m->units - 16});
    loop_end(&m->c, m->places);
    block_end(&m->outer);
}

static bool in_squares(const MapGen *m, Val v) {
    return m->varies && m->r->info[v].varies && lanes_of(m) == 16 && m->units >= 16;
}

static void operands_to_points(MapGen *m) {
    for (int k = 0; k < m->mapped; k++) {
        Val v = region_base(m->r, graph_in(m->r->graph, m->map, k));
        if (in_squares(m, v)) {
            turn_squares(m, v, m->operand[k], true);
            continue;
        }
        PointLoop p = points_begin(m);
        Ix flat = ix_plus(&m->c.g, ix_times(&m->c.g, p.unit, m->places), p.place);
        KVal x = load_lane(&m->outer, v, flat, p.lane);
        k_store(m->c.g.m, m->c.g.f, ctx_entry(&m->c, m->operand[k]), ix_value(&m->c.g, p.at), x);
        points_end(m);
    }
}

static void results_from_points(MapGen *m) {
    Gen *g = &m->c.g;
    for (int k = 0; k < m->body->outputs.len; k++) {
        Val v = m->proj[k];
        if (!map_gives(m, k)) continue;
        if (in_squares(m, v)) {
            turn_squares(m, v, m->result[k], false);
            continue;
        }
        PointLoop p = points_begin(m);
        const Home *home = &m->r->info[v].home;
        KType type = {gen_scalar((DType)graph_node(m->r->graph, v)->dtype), 1};
        KVal x = k_load(g->m, g->f, type, ctx_entry(&m->c, m->result[k]), ix_value(g, p.at));
        Ix flat = ix_plus(g, ix_times(g, p.unit, m->places), p.place);
        Ix at = m->varies ? ix_plus(g, home_index(&m->outer, home, flat), p.lane) : flat;
        k_store(g->m, g->f, ctx_entry(&m->c, home->entry), ix_value(g, at), x);
        points_end(m);
    }
}

/* ---- the body ---- */

static void emit_nests(MapGen *m, int segment) {
    Val *group = arena_array(m->plan->arena, Val, m->root.len);
    bool *done = arena_array(m->plan->arena, bool, m->root.len);
    for (int k = 0; k < m->root.len; k++) {
        const Root *root = &m->root.at[k];
        if (root->segment != segment || root->tile || root->into >= 0 || done[k]) continue;
        if (!is_nest_elementwise(&m->b, root->v)) {
            nest_node(&m->c, root->v);
            continue;
        }
        int n = 0;
        for (int i = k; i < m->root.len; i++) {
            const Root *other = &m->root.at[i];
            if (other->segment != segment || other->tile || other->into >= 0 || !is_nest_elementwise(&m->b, other->v))
                continue;
            if (!shape_equal(&body_node(m, other->v)->shape, &body_node(m, root->v)->shape)) continue;
            done[i] = true;
            group[n++] = other->v;
        }
        nest_elementwise(&m->c, group, n);
    }
}

static void emit_tiles(MapGen *m, int segment) {
    Val *then = arena_array(m->plan->arena, Val, m->root.len);
    for (int k = 0; k < m->root.len; k++) {
        const Root *root = &m->root.at[k];
        if (root->segment != segment || !root->tile) continue;
        Epilogue epilogue = {.then = then, .drop = root->drop};
        for (int i = 0; i < m->root.len; i++)
            if (m->root.at[i].into == k) then[epilogue.n++] = m->root.at[i].v;
        int most = tile_columns_for(&m->plan->target, lanes_of(m), (DType)body_node(m, root->v)->dtype);
        Columns columns = {.n = most < m->vectors ? most : m->vectors};
        Ix v = loop_begin(&m->c, m->vectors / columns.n);
        for (int j = 0; j < columns.n; j++)
            columns.vec[j] = columns.vec_global[j] = ix_plus(&m->c.g, ix_times(&m->c.g, v, columns.n), (Ix){0, j});
        tile_matmul(&m->c, root->v, &columns, &epilogue);
        loop_end(&m->c, m->vectors / columns.n);
    }
}

static void emit_body(MapGen *m) {
    int last = 0;
    for (int k = 0; k < m->root.len; k++)
        if (m->root.at[k].segment > last) last = m->root.at[k].segment;
    for (int segment = 0; segment <= last; segment++) {
        bool nests = false;
        for (int k = 0; k < m->root.len; k++)
            nests |= m->root.at[k].segment == segment && !m->root.at[k].tile && m->root.at[k].into < 0;
        if (nests) {
            m->c.local = m->c.global = loop_begin(&m->c, m->vectors);
            emit_nests(m, segment);
            loop_end(&m->c, m->vectors);
        }
        emit_tiles(m, segment);
    }
}

/* What does not differ from point to point is computed once a call. */
static void emit_fixed(MapGen *m) {
    for (Val v = 1; v < (Val)m->body->node.len; v++) {
        const Info *info = &m->b.info[v];
        if (!info->live || !info->stored || info->varies) continue;
        if (is_nest_elementwise(&m->b, v)) nest_elementwise(&m->c, &v, 1);
        else nest_node(&m->c, v);
    }
}

/* An output's value in the block, vector by vector. */
static void store_results(MapGen *m) {
    Gen *g = &m->c.g;
    for (int k = 0; k < m->body->outputs.len; k++) {
        Val root = m->body->outputs.at[k].value, v = m->proj[k];
        if (!map_gives(m, k)) continue;
        KVal left = gen_2(g, K_SUB, m->total, m->first), most = gen_i64(g, m->vectors);
        if (m->points) left = most;
        KVal i = k_for(g->m, g->f, gen_i64(g, 0), gen_select(g, gen_2(g, K_LT, left, most), left, most), 1);
        m->c.local = m->c.global = ix_times(g, (Ix){i, 0}, m->rows ? 16 : 1);
        Index zero = index_flat((Ix){0, 0});
        KVal x = gen_widen(g, pull(&m->c, root, &zero), lanes_of(m));
        if (m->zeros >= 0 && !m->points) {
            KVal none = gen_widen(g, gen_number(g, (DType)body_node(m, root)->dtype, 0), lanes_of(m));
            x = gen_select(g, gen_is_zero(g, mapped_value(&m->c, m->zeros)), none, x);
        }
        Ix at = ix_times(g, (Ix){i, 0}, lanes_of(m));
        if (m->points) {
            at = ix_plus(g, at, (Ix){m->first, 0});
            k_store(g->m, g->f, ctx_entry(&m->c, m->result[k]), ix_value(g, at), x);
        } else if (m->dense) {
            at = ix_plus(g, at, ix_times(g, (Ix){m->first, 0}, lanes_of(m)));
            k_store(g->m, g->f, ctx_entry(&m->c, m->r->info[v].home.entry), ix_value(g, at), x);
        } else {
            KVal to = vector_at(m, v, gen_2(g, K_ADD, m->first, i));
            k_store(g->m, g->f, ctx_entry(&m->c, m->r->info[v].home.entry), to, x);
        }
        k_end(g->m, g->f);
    }
}

/* ---- the whole ---- */

static void find_outputs(MapGen *m) {
    const Graph *graph = m->r->graph;
    m->proj = arena_array(m->plan->arena, Val, m->body->outputs.len);
    bool *wanted = arena_array(m->plan->arena, bool, m->body->outputs.len);
    for (Val v = m->map + 1; v < (Val)graph->node.len; v++) {
        if (graph_node(graph, v)->op != G_PROJ || graph_in(graph, v, 0) != m->map || !m->r->info[v].live) continue;
        int k = graph_attr(graph, v)->index;
        m->proj[k] = v;
        wanted[k] = true;
        m->points |= m->body->outputs.at[k].kind == OUT_SUMMED || m->zeros >= 0;
    }
    m->points |= m->varies && pass_has_product(m->body);
    region_analyse(&m->b, m->plan, m->body, true, wanted, NULL);
}

static int point_array(MapGen *m, DType dtype) {
    size_t bytes = (size_t)map_row(m) * dtype_size(dtype), pad = PAD_BYTES + (m->varies ? 0 : bytes);
    return plan_buffer(m->plan, (Buffer){.fixed = pad, .per_example = m->varies ? bytes : 0, .scratch = true});
}

static void make_arrays(MapGen *m) {
    m->gaps = m->zeros >= 0 && m->points;
    m->operand = arena_array(m->plan->arena, int, m->mapped);
    m->result = arena_array(m->plan->arena, int, m->body->outputs.len);
    for (int k = 0; k < m->mapped && m->points; k++)
        m->operand[k] = point_array(m, (DType)graph_node(m->r->graph, graph_in(m->r->graph, m->map, k))->dtype);
    for (int k = 0; k < m->body->outputs.len && m->points; k++)
        if (map_gives(m, k))
            m->result[k] = point_array(m, (DType)body_node(m, m->body->outputs.at[k].value)->dtype);
}

/* The range of points of the stage's lo .. hi, in blocks of `step`. */
static void range_of_blocks(MapGen *m, int step, KVal *from, KVal *to) {
    Gen *g = &m->c.g;
    *from = gen_2(g, K_MUL, k_lo(g->m, g->f), gen_i64(g, step));
    *to = gen_2(g, K_MUL, k_hi(g->m, g->f), gen_i64(g, step));
    *to = gen_select(g, gen_2(g, K_LT, m->total, *to), m->total, *to);
}

static void emit_points(MapGen *m) {
    Gen *g = &m->c.g;
    KVal examples = m->varies ? m->points ? m->shard.count : m->shard.blocks : gen_i64(g, 1), from = gen_i64(g, 0);
    m->total = gen_2(g, K_MUL, examples, gen_i64(g, m->dense ? m->size / lanes_of(m) : m->size));
    int step = m->points ? m->vectors * lanes_of(m) : m->vectors;
    KVal to = m->total;
    if (m->dense) range_of_blocks(m, step, &from, &to);
    if (m->gaps) to = m->total = map_close_gaps(m);
    else if (m->points) operands_to_points(m);
    map_clear_sums(m);
    if (m->keys) to = m->total = map_near_begin(m, to);
    map_block_begin(m, from, to, step);
    if (m->rows) map_rows_body(m);
    else emit_body(m);
    store_results(m);
    if (!m->kept) map_add_sums(m);
    map_block_end(m);
    if (m->keys) map_near_end(m, to);
    map_finish_sums(m);
    if (m->gaps) map_open_gaps(m);
    else if (m->points) results_from_points(m);
}

/* Many points of none of which anything is summed: threads take parts. */
static bool is_dense(const MapGen *m) {
    for (int k = 0; k < m->body->outputs.len; k++)
        if (m->proj[k] && m->body->outputs.at[k].kind == OUT_SUMMED) return false;
    return !m->varies && lanes_of(m) == 16 && m->size % 16 == 0 && m->size >= DENSE_FROM;
}

/* ---- many points of a cell in rows, with sums: points by threads, then sums by threads ---- */

static bool is_kept(const MapGen *m, Val v) {
    const Info *info = &m->b.info[region_base(&m->b, v)];
    return info->stored || !info->varies;
}

bool map_sums_kept(const MapGen *m) {
    for (int k = 0; k < m->body->outputs.len; k++) {
        Val root = m->body->outputs.at[k].value;
        bool outer = body_node(m, root)->op == G_OUTER;
        if (!m->proj[k] || m->body->outputs.at[k].kind != OUT_SUMMED) continue;
        for (int i = 0; i < 1 + outer; i++)
            if (!is_kept(m, outer ? graph_in(m->body, root, i) : root)) return false;
    }
    return true;
}

static bool is_spread(const MapGen *m) {
    if (!m->rows || m->varies || m->size < DENSE_FROM) return false;
    for (int k = 0; k < m->body->outputs.len && m->zeros >= 0; k++)
        if (map_gives(m, k)) return false;
    return map_sums_kept(m);
}

static void keep(MapGen *m, Val v) {
    v = region_base(&m->b, v);
    m->kept[v] = m->b.info[v].varies;
}

/* What is summed is kept for many points: only the block at hand's stays in the first cache. */
void map_keep_summed(MapGen *m, int64_t points) {
    int block = m->vectors * 16;
    m->keeps = (points + block - 1) / block * block;
    m->kept = arena_array(m->plan->arena, bool, m->body->node.len);
    for (int k = 0; k < m->body->outputs.len; k++) {
        Val root = m->body->outputs.at[k].value;
        if (!m->proj[k] || m->body->outputs.at[k].kind == OUT_MAPPED) continue;
        if (body_node(m, root)->op != G_OUTER) keep(m, root);
        else keep(m, graph_in(m->body, root, 0)), keep(m, graph_in(m->body, root, 1));
    }
}

/* The first point of the share that begins at `part` of `blocks`: shares are whole blocks of points, as tiles
 * compute what follows the last point of a block, and keep it. */
KVal map_share(MapGen *m, KVal part, int64_t blocks) {
    Gen *g = &m->c.g;
    int step = m->vectors * 16;
    KVal full = gen_2(g, K_DIV, gen_2(g, K_ADD, m->total, gen_i64(g, step - 1)), gen_i64(g, step));
    KVal block = gen_2(g, K_DIV, gen_2(g, K_MUL, part, full), gen_i64(g, blocks));
    KVal point = gen_2(g, K_MUL, block, gen_i64(g, step));
    return gen_select(g, gen_2(g, K_LT, m->total, point), m->total, point);
}

/* A share of the points that take part, for the stage's lo .. hi of `blocks`; the first of them tells the sums how
 * many. */
static void range_of_some(MapGen *m, int64_t blocks, KVal *from, KVal *to) {
    Gen *g = &m->c.g;
    KVal one = gen_i64(g, 1);
    m->total = map_close_gaps(m);
    *from = map_share(m, k_lo(g->m, g->f), blocks);
    *to = map_share(m, k_hi(g->m, g->f), blocks);
    k_for(g->m, g->f, gen_select(g, gen_2(g, K_LT, k_lo(g->m, g->f), one), k_lo(g->m, g->f), one), one, 1);
    k_store(g->m, g->f, ctx_entry(&m->c, m->count), gen_i64(g, 0), m->total);
    k_end(g->m, g->f);
}

/* A loop over the points from .. to - 1: their number in point order, and where they stand. */
static KVal range_begin(MapGen *m, KVal from, KVal to, Ix *flat) {
    Gen *g = &m->c.g;
    KVal p = k_for(g->m, g->f, from, to, 1), units = gen_i64(g, m->units);
    Ix unit = {gen_2(g, K_REM, p, units), 0}, place = {gen_2(g, K_DIV, p, units), 0};
    *flat = ix_plus(g, ix_times(g, unit, m->places), place);
    return p;
}

static void operands_of_range(MapGen *m, KVal from, KVal to) {
    Gen *g = &m->c.g;
    Ix flat;
    KVal p = range_begin(m, from, to, &flat);
    for (int k = 0; k < m->mapped; k++) {
        Val v = region_base(m->r, graph_in(m->r->graph, m->map, k));
        k_store(g->m, g->f, ctx_entry(&m->c, m->operand[k]), p, load_value(&m->outer, v, flat));
    }
    k_end(g->m, g->f);
}

static void results_of_range(MapGen *m, KVal from, KVal to) {
    Gen *g = &m->c.g;
    Ix flat;
    KVal p = range_begin(m, from, to, &flat);
    for (int k = 0; k < m->body->outputs.len; k++) {
        Val v = m->proj[k];
        if (!map_gives(m, k)) continue;
        KType type = {gen_scalar((DType)graph_node(m->r->graph, v)->dtype), 1};
        store_value(&m->outer, v, flat, k_load(g->m, g->f, type, ctx_entry(&m->c, m->result[k]), p));
    }
    k_end(g->m, g->f);
}

/* A loop over the points from .. to; kept values are seen from the block's first point on. */
void map_block_begin(MapGen *m, KVal from, KVal to, int step) {
    Gen *g = &m->c.g;
    m->first = k_for(g->m, g->f, from, to, step);
    KVal left = gen_2(g, K_SUB, to, m->first), most = gen_i64(g, step);
    m->valid = m->points ? gen_select(g, gen_2(g, K_LT, left, most), left, most) : 0;
    m->c.moves = 0;
    if (!m->kept) return;
    for (Val v = 1, k = 0; v < (Val)m->body->node.len; v++) {
        if (!m->kept[v]) continue;
        KScalar scalar = gen_scalar((DType)body_node(m, v)->dtype);
        KVal at = ix_value(g, ix_times(g, (Ix){m->first, 0}, region_size(&m->b, v)));
        m->moved.at[k++].at = k_offset(g->m, g->f, scalar, ctx_entry(&m->c, m->b.info[v].home.entry), at);
    }
    m->c.moved = m->moved.at;
    m->c.moves = m->moved.len;
}

void map_block_end(MapGen *m) {
    m->c.moves = 0;
    k_end(m->c.g.m, m->c.g.f);
}

static void open_function(MapGen *m, const char *name) {
    Gen g = plan_function(m->plan, name);
    m->outer = ctx_new(m->r, g, m->r->lanes);
    m->c = ctx_new(&m->b, g, m->r->lanes);
    m->c.outer = &m->outer;
    m->c.map = m->map;
    m->c.mapped = mapped_value;
    m->c.data = m;
    ctx_fresh(&m->outer, NULL);
    ctx_fresh(&m->c, NULL);
    emit_fixed(m);
}

static void emit_spread(MapGen *m) {
    int step = m->vectors * 16;
    int64_t blocks = (m->size + step - 1) / step;
    KVal from, to;
    open_function(m, "map");
    map_rows_weights(m);
    m->total = gen_i64(&m->c.g, m->size);
    if (m->zeros >= 0) {
        range_of_some(m, blocks, &from, &to);
    } else {
        range_of_blocks(m, step, &from, &to);
        operands_of_range(m, from, to);
    }
    map_block_begin(m, from, to, step);
    map_rows_body(m);
    store_results(m);
    map_block_end(m);
    results_of_range(m, from, to);
    plan_stage(m->plan, &m->c.g, m->sum.len ? STAGE_TILES : STAGE_QUEUE, blocks, "map");
    if (!m->sum.len) return;
    open_function(m, "map_sums");
    m->total = gen_i64(&m->c.g, m->size);
    if (m->zeros >= 0)
        m->total = k_load(m->c.g.m, m->c.g.f, KT(I64), ctx_entry(&m->c, m->count), gen_i64(&m->c.g, 0));
    int groups = map_spread_sums(m, blocks);
    plan_stage(m->plan, &m->c.g, STAGE_RELAY, blocks * (groups + 1), "sums of a map");
    m->plan->stage.at[m->plan->stage.len - 1].groups = groups;
}

void map_lower(Region *r, Val v) {
    const Attr *attr = graph_attr(r->graph, v);
    const Shape *shape = &graph_node(r->graph, v)->shape;
    MapGen m = {.r = r, .plan = r->plan, .map = v, .body = attr->body, .mapped = attr->mapped,
                .varies = r->info[v].varies, .zeros = attr->index - ZEROS_OF};
    m.size = shape_size(shape);
    m.units = shape->rank ? shape->dim[0] : 1;
    m.places = m.size / m.units;
    m.points = !m.varies;
    m.vectors = r->lanes == 16 ? BLOCK_VECTORS : 1;
    find_outputs(&m);
    m.rows = map_rows_fit(&m);
    m.spread = is_spread(&m);
    m.dense = is_dense(&m) && !m.spread;
    if (m.dense) m.points = m.rows = false;
    if (m.rows) m.vectors = map_rows_vectors();
    m.near = m.varies ? map_find_keys(&m) : m.size >= DENSE_FROM;
    make_arrays(&m);
    if (m.keys) map_near_arrays(&m);
    if (m.spread) map_keep_summed(&m, m.size);
    if (m.spread && m.zeros >= 0) m.count = plan_buffer(m.plan, (Buffer){.fixed = sizeof(int64_t)});
    for (Val k = 1; k < (Val)m.body->node.len; k++) add_root(&m, k);
    fuse_all(&m);
    find_late(&m);
    for (int k = 0; k < m.body->outputs.len; k++)
        if (m.proj[k] && m.body->outputs.at[k].kind == OUT_SUMMED) map_add_sum(&m, k);
    if (m.spread) {
        emit_spread(&m);
        return;
    }
    open_function(&m, "map");
    if (m.rows) map_rows_weights(&m);
    if (m.varies) m.shard = shard_begin(&m.outer);
    emit_points(&m);
    if (m.varies) shard_end(&m.outer);
    int64_t blocks = m.dense ? (m.size / lanes_of(&m) + m.vectors - 1) / m.vectors : 1;
    plan_stage(r->plan, &m.c.g, m.varies ? STAGE_SHARDS : m.dense ? STAGE_QUEUE : STAGE_ONCE, blocks, "map");
}
