/* map_gaps.c -- a MAP that leaves out the points at which one of its operands is 0 (Attr.index, ZEROS_OF).
 *
 * The operands' arrays of points get those that take part, in point order (example, place, unit) without gaps; the body
 * and the sums see nothing else.  Results go back to where their points stand, with 0 at the others.
 * Of a batch in lanes, squares of 16 units by 16 examples are turned; what takes part of an example's 16 points is
 * stored side by side in the example's row (COMPRESS), and the rows move together at the end.  The way back is the
 * same, with EXPAND.  Elsewhere points are taken one by one. */
#include "kernel/map.h"

static bool in_lanes(const MapGen *m) { return m->varies && lanes_of(m) == 16; }
static Val operand_of(const MapGen *m, int k) { return region_base(m->r, graph_in(m->r->graph, m->map, k)); }

static KType vector_of(const MapGen *m, Val v) {
    return (KType){gen_scalar((DType)graph_node(m->r->graph, v)->dtype), 16};
}

/* ---- squares ---- */

/* The units from u on at a place, of the block's examples: row e is example e; units that are none are 0. */
static void load_square(MapGen *m, Val v, Ix place, Ix u, int64_t units, KVal to) {
    Gen *g = &m->c.g;
    Ix first = ix_plus(g, ix_times(g, u, m->places), place);
    KVal x[16];
    for (int k = 0; k < 16; k++) {
        bool there = k < units;
        x[k] = there ? load_value(&m->outer, v, ix_plus(g, first, (Ix){0, k * m->places}))
                     : gen_number(g, (DType)graph_node(m->r->graph, v)->dtype, 0);
        x[k] = gen_widen(g, x[k], 16);
    }
    transpose16(g, x);
    for (int e = 0; e < 16; e++) k_store(g->m, g->f, to, gen_i64(g, 16 * e), x[e]);
}

static void store_square(MapGen *m, Val v, Ix place, Ix u, int64_t units, KVal from) {
    Gen *g = &m->c.g;
    Ix first = ix_plus(g, ix_times(g, u, m->places), place);
    KVal x[16];
    for (int e = 0; e < 16; e++) x[e] = k_load(g->m, g->f, vector_of(m, v), from, gen_i64(g, 16 * e));
    transpose16(g, x);
    for (int k = 0; k < units; k++) store_value(&m->outer, v, ix_plus(g, first, (Ix){0, k * m->places}), x[k]);
}

/* Runs `visit` on all squares of the shard. */
typedef void Visit(MapGen *m, const KVal *square, KVal block, Ix place, Ix u, int64_t units);

static void each_square(MapGen *m, const KVal *square, Visit *visit) {
    Gen *g = &m->c.g;
    int64_t whole = m->units / 16 * 16;
    KVal block = block_begin(&m->outer, &m->shard);
    Ix place = loop_begin(&m->c, m->places);
    if (whole) {
        Ix u = ix_times(g, loop_begin(&m->c, whole / 16), 16);
        visit(m, square, block, place, u, 16);
        loop_end(&m->c, whole / 16);
    }
    if (whole < m->units) visit(m, square, block, place, (Ix){0, whole}, m->units - whole);
    loop_end(&m->c, m->places);
    block_end(&m->outer);
}

/* Example e of the block: its number in the shard, the start of its part of a square, which of 16 points take part. */
typedef struct Row { KVal example, from, takes; } Row;

static Row row_begin(MapGen *m, KVal block, KVal zeros) {
    Gen *g = &m->c.g;
    KVal e = k_for(g->m, g->f, gen_i64(g, 0), gen_i64(g, 16), 1);
    Row r = {gen_2(g, K_ADD, gen_2(g, K_MUL, block, gen_i64(g, 16)), e), gen_2(g, K_MUL, e, gen_i64(g, 16)), 0};
    KVal x = k_load(g->m, g->f, vector_of(m, operand_of(m, m->zeros)), zeros, r.from);
    r.takes = gen_2(g, K_NE, x, k_real(g->m, g->f, k_type(g->f, x), 0));
    return r;
}

/* The example's counter moves past the points that take part. */
static void row_end(MapGen *m, const Row *r, KVal counter) {
    Gen *g = &m->c.g;
    KVal more = k_tree(g->m, g->f, K_ADD, k_cast(g->m, g->f, KV(I32), r->takes));
    k_store(g->m, g->f, m->length, r->example, gen_2(g, K_ADD, counter, gen_index(g, more)));
    k_end(g->m, g->f);
}

static void collect_square(MapGen *m, const KVal *square, KVal block, Ix place, Ix u, int64_t units) {
    Gen *g = &m->c.g;
    for (int k = 0; k < m->mapped; k++) load_square(m, operand_of(m, k), place, u, units, square[k]);
    Row r = row_begin(m, block, square[m->zeros]);
    KVal n = k_load(g->m, g->f, KT(I64), m->length, r.example);
    KVal at = gen_2(g, K_ADD, gen_2(g, K_MUL, r.example, gen_i64(g, map_row(m))), n);
    for (int k = 0; k < m->mapped; k++) {
        KType type = vector_of(m, operand_of(m, k));
        KVal x = k_load(g->m, g->f, type, square[k], r.from);
        KVal to = k_offset(g->m, g->f, type.scalar, ctx_entry(&m->c, m->operand[k]), at);
        gen_compress(g, &m->plan->target, to, r.takes, x);
    }
    row_end(m, &r, n);
}

/* The rows of the shard's examples, one after the other without gaps; counters become the rows' starts.  A vector is
 * read before what follows it is written: a row moves down, and ends 16 before the next. */
static KVal join_rows(MapGen *m) {
    Gen *g = &m->c.g;
    KVal none = gen_i64(g, 0), e = k_for(g->m, g->f, none, m->shard.count, 1), total = k_carry(g->m, g->f, none);
    KVal n = k_load(g->m, g->f, KT(I64), m->length, e), row = gen_2(g, K_MUL, e, gen_i64(g, map_row(m)));
    KVal i = k_for(g->m, g->f, none, n, 16);
    for (int k = 0; k < m->mapped; k++) {
        KVal array = ctx_entry(&m->c, m->operand[k]);
        KVal x = k_load(g->m, g->f, vector_of(m, operand_of(m, k)), array, gen_2(g, K_ADD, row, i));
        k_store(g->m, g->f, array, gen_2(g, K_ADD, total, i), x);
    }
    k_end(g->m, g->f);
    k_store(g->m, g->f, m->length, e, total);
    k_next(g->m, g->f, gen_2(g, K_ADD, total, n));
    k_end(g->m, g->f);
    return k_result(g->m, g->f, 0, KT(I64));
}

static KVal collect(MapGen *m) {
    Gen *g = &m->c.g;
    KVal *square = arena_array(m->plan->arena, KVal, m->mapped);
    m->length = k_local(g->m, g->f, KS_I64, SHARD);
    for (int k = 0; k < m->mapped; k++) square[k] = k_local(g->m, g->f, vector_of(m, operand_of(m, k)).scalar, 256);
    for (int e = 0; e < SHARD; e++) k_store(g->m, g->f, m->length, gen_i64(g, e), gen_i64(g, 0));
    each_square(m, square, collect_square);
    return join_rows(m);
}

static void give_square(MapGen *m, const KVal *square, KVal block, Ix place, Ix u, int64_t units) {
    Gen *g = &m->c.g;
    KVal zeros = square[m->body->outputs.len];
    load_square(m, operand_of(m, m->zeros), place, u, units, zeros);
    Row r = row_begin(m, block, zeros);
    KVal at = k_load(g->m, g->f, KT(I64), m->length, r.example);
    for (int k = 0; k < m->body->outputs.len; k++) {
        if (!map_gives(m, k)) continue;
        KScalar scalar = vector_of(m, m->proj[k]).scalar;
        KVal from = k_offset(g->m, g->f, scalar, ctx_entry(&m->c, m->result[k]), at);
        k_store(g->m, g->f, square[k], r.from, gen_expand(g, &m->plan->target, scalar, from, r.takes));
    }
    row_end(m, &r, at);
    for (int k = 0; k < m->body->outputs.len; k++)
        if (map_gives(m, k)) store_square(m, m->proj[k], place, u, units, square[k]);
}

static void give_back(MapGen *m) {
    Gen *g = &m->c.g;
    int count = m->body->outputs.len;
    KVal *square = arena_array(m->plan->arena, KVal, count + 1);
    for (int k = 0; k < count; k++)
        if (map_gives(m, k)) square[k] = k_local(g->m, g->f, vector_of(m, m->proj[k]).scalar, 256);
    square[count] = k_local(g->m, g->f, vector_of(m, operand_of(m, m->zeros)).scalar, 256);
    each_square(m, square, give_square);
}

/* ---- point by point ---- */

typedef struct Walk { Ix flat; KVal n; } Walk;         /* the point at hand; how many took part before it */

static Walk walk_begin(MapGen *m) {
    Gen *g = &m->c.g;
    KVal none = gen_i64(g, 0), n = none, loop[3];
    KVal count[] = {m->varies ? m->shard.count : gen_i64(g, 1), gen_i64(g, m->places), gen_i64(g, m->units)};
    for (int i = 0; i < 3; i++) {
        loop[i] = k_for(g->m, g->f, none, count[i], 1);
        n = k_carry(g->m, g->f, n);
    }
    m->outer.local = (Ix){loop[0], 0};
    m->outer.global = m->outer.local;
    if (m->varies) m->outer.global = ix_plus(g, ix_times(g, (Ix){m->shard.number, 0}, SHARD), m->outer.local);
    return (Walk){ix_plus(g, ix_times(g, (Ix){loop[2], 0}, m->places), (Ix){loop[1], 0}), n};
}

static KVal walk_end(MapGen *m, const Walk *w, KVal zero) {
    Gen *g = &m->c.g;
    KVal next = gen_select(g, zero, w->n, gen_2(g, K_ADD, w->n, gen_i64(g, 1)));
    for (int i = 0; i < 3; i++) {
        k_next(g->m, g->f, next);
        k_end(g->m, g->f);
        next = k_result(g->m, g->f, 0, KT(I64));
    }
    return next;
}

static KVal zero_at(MapGen *m, Ix flat) {
    return gen_is_zero(&m->c.g, load_value(&m->outer, operand_of(m, m->zeros), flat));
}

KVal map_close_gaps(MapGen *m) {
    Gen *g = &m->c.g;
    if (in_lanes(m)) return collect(m);
    Walk w = walk_begin(m);
    for (int k = 0; k < m->mapped; k++)
        k_store(g->m, g->f, ctx_entry(&m->c, m->operand[k]), w.n, load_value(&m->outer, operand_of(m, k), w.flat));
    return walk_end(m, &w, zero_at(m, w.flat));
}

void map_open_gaps(MapGen *m) {
    Gen *g = &m->c.g;
    bool any = false;
    for (int k = 0; k < m->body->outputs.len; k++) any |= map_gives(m, k);
    if (!any) return;
    if (in_lanes(m)) {
        give_back(m);
        return;
    }
    Walk w = walk_begin(m);
    KVal zero = zero_at(m, w.flat);
    for (int k = 0; k < m->body->outputs.len; k++) {
        if (!map_gives(m, k)) continue;
        DType dtype = (DType)graph_node(m->r->graph, m->proj[k])->dtype;
        KVal x = k_load(g->m, g->f, (KType){gen_scalar(dtype), 1}, ctx_entry(&m->c, m->result[k]), w.n);
        store_value(&m->outer, m->proj[k], w.flat, gen_select(g, zero, gen_number(g, dtype, 0), x));
    }
    walk_end(m, &w, zero);
}
