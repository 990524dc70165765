/* map_zeros.c -- terms of a product that are 0 at all points of a tile are left out (map_rows.c).
 *
 * Behind a relu about half of the elements are 0, and so are their adjoints.  Points whose arguments are near (nodes of
 * a grid; map_near.c) have nearly the same ones, so that a tile of a few points asks which k have any work:
 *   for k in bits: acc[point][feature] = fma(x[point][k], w[k][feature], acc[point][feature])
 * A term with x = 0 (of either sign) and a finite w changes no acc but -0, which it may make +0.  So terms are left out
 * only where nothing that reads the product tells its zeros apart: max(0, .), comparisons, + (+0), which the gradient
 * of a product in a cell ends with (lang/arithmetic.md, 35).  Weights are looked at once a call: unless all are finite,
 * every k is taken. */
#include "kernel/map.h"

#include <math.h>

enum { WORD = 64, MAX_WORDS = 4 };

static bool is_number(const MapGen *m, Val v, double x) {
    while (body_node(m, v)->op == G_BROADCAST || body_node(m, v)->op == G_RESHAPE) v = graph_in(m->body, v, 0);
    const Node *node = body_node(m, v);
    if (node->op != G_CONST || (node->dtype != DT_F32 && node->dtype != DT_F64)) return false;
    double number = graph_attr(m->body, v)->f64;
    return number == x && !signbit(number);
}

bool map_has_zeros(const MapGen *m, Val v) {
    const Node *node = body_node(m, v);
    if (node->op == G_MAX) return is_number(m, graph_in(m->body, v, 0), 0);
    if (node->op != G_SELECT) return false;
    return is_number(m, graph_in(m->body, v, 1), 0) || is_number(m, graph_in(m->body, v, 2), 0);
}

/* Whether `reader` gives the same for +0 and -0 of its operand v. */
static bool takes_zeros_alike(const MapGen *m, Val reader, Val v) {
    const Node *node = body_node(m, reader);
    Val a = node->nin > 0 ? graph_in(m->body, reader, 0) : 0, b = node->nin > 1 ? graph_in(m->body, reader, 1) : 0;
    if (node->op == G_LT || node->op == G_LE || node->op == G_EQ || node->op == G_NE) return true;
    if (node->op == G_ADD) return is_number(m, a == v ? b : a, 0);
    return node->op == G_MAX && b == v && is_number(m, a, 0);
}

static bool zeros_are_alike(const MapGen *m, Val v) {
    for (int k = 0; k < m->body->outputs.len; k++)
        if (m->body->outputs.at[k].value == v) return false;
    for (Val reader = v + 1; reader < (Val)m->body->node.len; reader++) {
        if (!m->b.info[reader].live) continue;
        for (int i = 0; i < body_node(m, reader)->nin; i++)
            if (graph_in(m->body, reader, i) == v && !takes_zeros_alike(m, reader, v)) return false;
    }
    return true;
}

bool map_skips(const MapGen *m, Val v) {
    if (!is_tiled(&m->b, v)) return false;
    Val x = region_base(&m->b, graph_in(m->body, v, 1));
    int64_t n = region_size(&m->b, x);
    return n % 16 == 0 && n <= MAX_WORDS * WORD && map_has_zeros(m, x) && zeros_are_alike(m, v);
}

KVal map_not_finite(MapGen *m, Val v, const RowWeights *w, int64_t n) {
    Gen *g = &m->c.g;
    KType type = {gen_scalar((DType)body_node(m, v)->dtype), 16};
    int64_t outs = region_size(&m->b, v);
    KVal zero = k_real(g->m, g->f, type, 0), o = k_for(g->m, g->f, gen_i64(g, 0), gen_i64(g, outs), 16);
    KVal all = k_carry(g->m, g->f, zero), k = k_for(g->m, g->f, gen_i64(g, 0), gen_i64(g, n), 1);
    KVal sum = k_carry(g->m, g->f, all);
    Ix at = ix_plus(g, ix_times(g, (Ix){k, 0}, w->line), (Ix){o, w->off});
    k_next(g->m, g->f, gen_fma(g, k_load(g->m, g->f, type, w->at, ix_value(g, at)), zero, sum));
    k_end(g->m, g->f);
    k_next(g->m, g->f, k_result(g->m, g->f, 0, type));
    k_end(g->m, g->f);
    sum = k_result(g->m, g->f, 0, type);
    KVal none = gen_i64(g, 0), odd = k_mask(g->m, g->f, gen_2(g, K_NE, sum, sum));
    return gen_select(g, gen_2(g, K_EQ, odd, none), none, gen_i64(g, -1));
}

static int words_of(int64_t n) { return (int)((n + WORD - 1) / WORD); }

/* Of elements 64 word ... of the points, which are not 0 at all of them. */
static KVal bits_of(MapGen *m, KType type, KVal x, KVal rows, int64_t n, int mr, int word) {
    Gen *g = &m->c.g;
    KVal zero = k_real(g->m, g->f, type, 0), bits = gen_i64(g, 0);
    for (int64_t k = word * WORD; k < n && k < (word + 1) * WORD; k += 16) {
        KVal any = 0;
        for (int r = 0; r < mr; r++) {
            KVal e = k_load(g->m, g->f, type, x, ix_value(g, (Ix){rows, r * n + k}));
            KVal is = gen_2(g, K_NE, e, zero);
            any = r ? gen_2(g, K_OR, any, is) : is;
        }
        bits = gen_2(g, K_OR, bits, gen_2(g, K_SHL, k_mask(g->m, g->f, any), gen_i64(g, k % WORD)));
    }
    return bits;
}

KVal map_find_zeros(MapGen *m, KType type, KVal x, int64_t n, int mr, KVal not_finite) {
    Gen *g = &m->c.g;
    int words = words_of(n);
    KVal found = k_local(g->m, g->f, KS_I64, m->vectors * 16 * words);
    KVal point = k_for(g->m, g->f, gen_i64(g, 0), m->valid, mr), rows = gen_2(g, K_MUL, point, gen_i64(g, n));
    for (int w = 0; w < words; w++) {
        int64_t left = n - w * WORD;
        KVal bits = gen_2(g, K_OR, bits_of(m, type, x, rows, n, mr, w), not_finite);
        if (left < WORD) bits = gen_2(g, K_AND, bits, gen_i64(g, (INT64_C(1) << left) - 1));
        k_store(g->m, g->f, found, ix_value(g, ix_plus(g, ix_times(g, (Ix){point, 0}, words), (Ix){0, w})), bits);
    }
    k_end(g->m, g->f);
    return found;
}

void map_each_term(MapGen *m, KVal found, KVal point, int64_t n, KVal *acc, int chains,
                   void (*step)(const void *tile, Ix k, KVal rows, const KVal *acc, KVal *next), const void *tile) {
    Gen *g = &m->c.g;
    KVal next[MAX_ROW_TILE], rows = gen_2(g, K_MUL, point, gen_i64(g, n)), one = gen_i64(g, 1);
    KType type = k_type(g->f, acc[0]);
    for (int w = 0; w < words_of(n); w++) {
        Ix at = ix_plus(g, ix_times(g, (Ix){point, 0}, words_of(n)), (Ix){0, w});
        KVal bits = k_load(g->m, g->f, KT(I64), found, ix_value(g, at));
        k_for(g->m, g->f, gen_i64(g, 0), k_ones(g->m, g->f, bits), 1);
        bits = k_carry(g->m, g->f, bits);
        for (int i = 0; i < chains; i++) acc[i] = k_carry(g->m, g->f, acc[i]);
        step(tile, (Ix){k_first(g->m, g->f, bits), w * WORD}, rows, acc, next);
        k_next(g->m, g->f, gen_2(g, K_AND, bits, gen_2(g, K_SUB, bits, one)));
        for (int i = 0; i < chains; i++) k_next(g->m, g->f, next[i]);
        k_end(g->m, g->f);
        for (int i = 0; i < chains; i++) acc[i] = k_result(g->m, g->f, i + 1, type);
    }
}
