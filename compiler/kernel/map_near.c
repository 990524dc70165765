/* map_near.c -- points of a MAP in an order in which neighbours have near arguments, so that products leave out more
 * terms (map_zeros.c).
 *
 * Bodies may be computed in any order; what is summed is kept for a chunk, and summed in point order.  A *chunk* of the
 * operands' arrays in point order is put into another one: each argument that decides which elements are 0 is cut into
 * equal parts between its smallest and largest value; the cells of that lattice are numbered row by row, to and fro;
 * points are sorted by the number of their cell, by counting.  Results go back to their points.  Bits do not depend on
 * the order: a wrong one costs time only, so NaN and infinities fall into any cell. */
#include "kernel/map.h"

enum { CHUNK = 4096, SUM_CHUNK = 480, SUM_BLOCK = 96, CELLS = 1024, FEW = 192, MAX_KEYS = 3 };

/* By number of arguments: the parts of each. */
static const int parts_of[MAX_KEYS + 1] = {0, CELLS, 32, 10};

/* ---- which arguments decide ---- */

typedef struct Reach { const MapGen *m; bool *seen; } Reach;

static void reach(Reach *r, Val v) {
    if (r->seen[v]) return;
    r->seen[v] = true;
    for (int i = 0; i < body_node(r->m, v)->nin; i++) reach(r, graph_in(r->m->body, v, i));
}

/* What decides which elements of x are 0. */
static void reach_decision(Reach *r, Val x) {
    const Node *node = body_node(r->m, x);
    if (node->op == G_SELECT) reach(r, graph_in(r->m->body, x, 0));
    else if (node->nin) reach(r, graph_in(r->m->body, x, node->nin - 1));
}

static DType operand_type(const MapGen *m, int k) {
    return (DType)graph_node(m->r->graph, graph_in(m->r->graph, m->map, k))->dtype;
}

static bool is_real(DType dtype) { return dtype == DT_F32 || dtype == DT_F64; }

static bool all_real(const MapGen *m) {
    for (int k = 0; k < m->mapped; k++)
        if (!is_real(operand_type(m, k))) return false;
    return true;
}

static bool sums_any(const MapGen *m) {
    for (int k = 0; k < m->body->outputs.len; k++)
        if (m->proj[k] && m->body->outputs.at[k].kind == OUT_SUMMED) return true;
    return false;
}

static int chunk_of(const MapGen *m) { return m->kept ? SUM_CHUNK : CHUNK; }

bool map_find_keys(MapGen *m) {
    Reach r = {m, arena_array(m->plan->arena, bool, m->body->node.len)};
    int n = 0;
    if (!m->rows || !all_real(m) || !map_sums_kept(m)) return false;
    for (Val v = 1; v < (Val)m->body->node.len; v++)
        if (m->b.info[v].live && m->b.info[v].varies && map_skips(m, v))
            reach_decision(&r, region_base(&m->b, graph_in(m->body, v, 1)));
    for (Val v = 1; v < (Val)m->body->node.len; v++) {
        if (!r.seen[v] || body_node(m, v)->op != G_INPUT) continue;
        const GraphInput *input = &m->body->inputs.at[graph_attr(m->body, v)->index];
        if (input->kind != IN_MAPPED) continue;
        if (n == MAX_KEYS) return false;
        m->key[n++] = input->index;
    }
    m->keys = n;
    return n > 0;
}

/* ---- arrays ---- */

static int chunk_array(MapGen *m, DType dtype) {
    size_t bytes = (size_t)chunk_of(m) * dtype_size(dtype);
    return plan_buffer(m->plan, (Buffer){.fixed = bytes + PAD_BYTES, .scratch = true});
}

static DType result_type(const MapGen *m, int k) { return (DType)body_node(m, m->body->outputs.at[k].value)->dtype; }

void map_near_arrays(MapGen *m) {
    if (sums_any(m)) map_keep_summed(m, SUM_CHUNK);
    m->sorted_operand = arena_array(m->plan->arena, int, m->mapped);
    m->sorted_result = arena_array(m->plan->arena, int, m->body->outputs.len);
    m->order = chunk_array(m, DT_I32);
    m->cell = chunk_array(m, DT_I32);
    if (m->kept) m->row = chunk_array(m, DT_I32);
    for (int k = 0; k < m->mapped; k++) m->sorted_operand[k] = chunk_array(m, operand_type(m, k));
    for (int k = 0; k < m->body->outputs.len; k++)
        if (map_gives(m, k)) m->sorted_result[k] = chunk_array(m, result_type(m, k));
}

/* ---- cells of the lattice ---- */

static KVal pointer_of(MapGen *m, int entry, DType dtype) {
    return k_offset(m->c.g.m, m->c.g.f, gen_scalar(dtype), ctx_entry(&m->c, entry), m->chunk);
}

/* Sixteen of an argument, as f32; those beyond the last are the first one. */
static KVal argument_at(MapGen *m, int key, KVal i, KVal n) {
    Gen *g = &m->c.g;
    DType dtype = operand_type(m, m->key[key]);
    KVal at = pointer_of(m, m->operand[m->key[key]], dtype);
    KVal x = k_load(g->m, g->f, (KType){gen_scalar(dtype), 16}, at, i);
    KVal start = k_splat(g->m, g->f, k_load(g->m, g->f, (KType){gen_scalar(dtype), 1}, at, gen_i64(g, 0)));
    KVal left = k_cast(g->m, g->f, KT(I32), gen_2(g, K_SUB, n, i));
    KVal there = gen_2(g, K_LT, k_lanes(g->m, g->f, KV(I32)), k_splat(g->m, g->f, left));
    return k_cast(g->m, g->f, KV(F32), gen_select(g, there, x, start));
}

static KVal lesser(Gen *g, KVal a, KVal b) { return gen_select(g, gen_2(g, K_LT, a, b), a, b); }
static KVal greater(Gen *g, KVal a, KVal b) { return gen_select(g, gen_2(g, K_LT, b, a), a, b); }

static KVal all_lanes(Gen *g, KVal x, KVal (*of)(Gen *, KVal, KVal)) {
    for (int by = 8; by > 0; by /= 2) x = of(g, x, k_rotate(g->m, g->f, x, by));
    return x;
}

/* Of each argument: its smallest value, and how many parts one unit holds. */
typedef struct Lattice { KVal lo[MAX_KEYS], scale[MAX_KEYS]; } Lattice;

static Lattice lattice_of(MapGen *m, KVal n) {
    Gen *g = &m->c.g;
    Lattice l;
    for (int k = 0; k < m->keys; k++) {
        KVal parts = k_real(g->m, g->f, KV(F32), parts_of[m->keys]), start = argument_at(m, k, gen_i64(g, 0), n);
        KVal i = k_for(g->m, g->f, gen_i64(g, 0), n, 16);
        KVal lo = k_carry(g->m, g->f, start), hi = k_carry(g->m, g->f, start);
        KVal x = argument_at(m, k, i, n);
        k_next(g->m, g->f, lesser(g, x, lo));
        k_next(g->m, g->f, greater(g, x, hi));
        k_end(g->m, g->f);
        lo = k_result(g->m, g->f, 0, KV(F32));
        hi = k_result(g->m, g->f, 1, KV(F32));
        l.lo[k] = all_lanes(g, lo, lesser);
        l.scale[k] = gen_2(g, K_DIV, parts, gen_2(g, K_SUB, all_lanes(g, hi, greater), l.lo[k]));
    }
    return l;
}

static void find_cells(MapGen *m, KVal n) {
    Gen *g = &m->c.g;
    Lattice l = lattice_of(m, n);
    KVal last = k_real(g->m, g->f, KV(F32), parts_of[m->keys] - 1), none = k_real(g->m, g->f, KV(F32), 0);
    KVal i = k_for(g->m, g->f, gen_i64(g, 0), n, 16), cell = 0;
    for (int k = 0; k < m->keys; k++) {
        KVal x = gen_2(g, K_MUL, gen_2(g, K_SUB, argument_at(m, k, i, n), l.lo[k]), l.scale[k]);
        KVal part = k_cast(g->m, g->f, KV(I32), greater(g, lesser(g, x, last), none));
        if (k) {
            KVal one = k_ints(g->m, g->f, KV(I32), 1), parts = k_ints(g->m, g->f, KV(I32), parts_of[m->keys]);
            KVal back = gen_2(g, K_SUB, gen_2(g, K_SUB, parts, one), part);
            KVal turned = gen_2(g, K_EQ, gen_2(g, K_AND, cell, one), one);
            cell = gen_2(g, K_ADD, gen_2(g, K_MUL, cell, parts), gen_select(g, turned, back, part));
        } else {
            cell = part;
        }
    }
    k_store(g->m, g->f, ctx_entry(&m->c, m->cell), i, cell);
    k_end(g->m, g->f);
}

/* ---- sorting by counting ---- */

static KVal load_i32(Gen *g, KVal from, KVal at) { return k_load(g->m, g->f, KT(I32), from, at); }

/* What stood at `at`, which becomes that + more. */
static KVal count_on(Gen *g, KVal counts, KVal at, KVal more) {
    KVal before = load_i32(g, counts, at);
    k_store(g->m, g->f, counts, at, gen_2(g, K_ADD, before, more));
    return before;
}

static void sort_cells(MapGen *m, KVal n) {
    Gen *g = &m->c.g;
    KVal none = gen_i64(g, 0), one = k_int(g->m, g->f, KS_I32, 1), counts = k_local(g->m, g->f, KS_I32, CELLS);
    KVal cells = ctx_entry(&m->c, m->cell), order = ctx_entry(&m->c, m->order);
    KVal i = k_for(g->m, g->f, none, gen_i64(g, CELLS), 16);
    k_store(g->m, g->f, counts, i, k_ints(g->m, g->f, KV(I32), 0));
    k_end(g->m, g->f);
    i = k_for(g->m, g->f, none, n, 1);
    count_on(g, counts, gen_index(g, load_i32(g, cells, i)), one);
    k_end(g->m, g->f);
    KVal start = k_int(g->m, g->f, KS_I32, 0);
    i = k_for(g->m, g->f, none, gen_i64(g, CELLS), 1);
    KVal before = k_carry(g->m, g->f, start), count = load_i32(g, counts, i);
    k_store(g->m, g->f, counts, i, before);
    k_next(g->m, g->f, gen_2(g, K_ADD, before, count));
    k_end(g->m, g->f);
    i = k_for(g->m, g->f, none, n, 1);
    KVal at = count_on(g, counts, gen_index(g, load_i32(g, cells, i)), one);
    k_store(g->m, g->f, order, gen_index(g, at), k_cast(g->m, g->f, KT(I32), i));
    k_end(g->m, g->f);
}

/* The points' numbers in the chunk, sorted; as they stand if they are few.  Three vectors beyond the last are read. */
static void order_points(MapGen *m, KVal n) {
    Gen *g = &m->c.g;
    KVal order = ctx_entry(&m->c, m->order), none = gen_i64(g, 0), lanes = k_lanes(g->m, g->f, KV(I32));
    KVal many = gen_select(g, gen_2(g, K_LT, n, gen_i64(g, FEW)), none, n);
    KVal i = k_for(g->m, g->f, none, n, 16);
    k_store(g->m, g->f, order, i, gen_2(g, K_ADD, lanes, k_splat(g->m, g->f, k_cast(g->m, g->f, KT(I32), i))));
    k_end(g->m, g->f);
    k_for(g->m, g->f, none, many, chunk_of(m));
    find_cells(m, many);
    sort_cells(m, many);
    k_end(g->m, g->f);
    for (int k = 0; k < m->vectors; k++)
        k_store(g->m, g->f, order, gen_2(g, K_ADD, n, gen_i64(g, 16 * k)), k_ints(g->m, g->f, KV(I32), 0));
}

/* ---- the loop over chunks ---- */

static void swap_arrays(MapGen *m) {
    int *operand = m->operand, *result = m->result;
    m->operand = m->sorted_operand;
    m->result = m->sorted_result;
    m->sorted_operand = operand;
    m->sorted_result = result;
}

KVal map_near_begin(MapGen *m, KVal total) {
    Gen *g = &m->c.g;
    m->chunk = k_for(g->m, g->f, gen_i64(g, 0), total, chunk_of(m));
    KVal left = gen_2(g, K_SUB, total, m->chunk), most = gen_i64(g, chunk_of(m));
    KVal n = gen_select(g, gen_2(g, K_LT, left, most), left, most);
    order_points(m, n);
    KVal i = k_for(g->m, g->f, gen_i64(g, 0), n, 16);
    KVal order = k_load(g->m, g->f, KV(I32), ctx_entry(&m->c, m->order), i);
    for (int k = 0; k < m->mapped; k++) {
        DType dtype = operand_type(m, k);
        KVal x = k_each(g->m, g->f, gen_scalar(dtype), pointer_of(m, m->operand[k], dtype), order);
        k_store(g->m, g->f, ctx_entry(&m->c, m->sorted_operand[k]), i, x);
    }
    k_end(g->m, g->f);
    swap_arrays(m);
    return n;
}

/* A few points after the other: what stands of them fits the first cache. */
static void sum_chunk(MapGen *m, KVal n) {
    Gen *g = &m->c.g;
    m->first = k_for(g->m, g->f, gen_i64(g, 0), n, SUM_BLOCK);
    KVal left = gen_2(g, K_SUB, n, m->first), most = gen_i64(g, SUM_BLOCK);
    m->valid = gen_select(g, gen_2(g, K_LT, left, most), left, most);
    map_add_sums(m);
    k_end(g->m, g->f);
}

void map_near_end(MapGen *m, KVal n) {
    Gen *g = &m->c.g;
    swap_arrays(m);
    KVal i = k_for(g->m, g->f, gen_i64(g, 0), n, 1);
    KVal at = gen_index(g, load_i32(g, ctx_entry(&m->c, m->order), i));
    if (m->kept) k_store(g->m, g->f, ctx_entry(&m->c, m->row), at, k_cast(g->m, g->f, KT(I32), i));
    for (int k = 0; k < m->body->outputs.len; k++) {
        if (!map_gives(m, k)) continue;
        DType dtype = result_type(m, k);
        KVal x = k_load(g->m, g->f, (KType){gen_scalar(dtype), 1}, ctx_entry(&m->c, m->sorted_result[k]), i);
        k_store(g->m, g->f, pointer_of(m, m->result[k], dtype), at, x);
    }
    k_end(g->m, g->f);
    if (m->kept) sum_chunk(m, n);
    k_end(g->m, g->f);
}
