/* interpolate.c -- tables: INTERPOLATE, LOOKUP, BATCH_INTERPOLATE and BATCH_MAXIMUM.  The arithmetic:
 * graph/eval_interpolate.c.
 *
 * Reading: index work in lanes, then lane by lane a load of each corner; two f32 neighbours of the last axis come as
 * one load of 8 bytes, the four corners of a cell in a table of blocks as one of 16.  Nodes of one loop body that read
 * the same table at the same place (a value and its derivatives) share what was read: an Around, found by its operands
 * while the region's stamp stands.
 *
 * The adjoint: arguments and dy of 16 examples are first turned into point order (example, place, unit), each example's
 * points in a row of `stride` elements, without those that add nothing; then up to MOST_TERMS points at a time: cells
 * and terms in lanes, kept on the stack, added to the shard's own table one by one in order. */
#include "graph/lookup.h"
#include "kernel/region.h"

enum { MAX_CORNERS = 8, MAX_AROUND = 8, MOST_IN_LANES = 1 << 22, MOST_TERMS = 128 };

typedef struct Around {
    int stamp, k, box;                     /* box: lo's number among the operands */
    Val in[7];                             /* values, (index,) lo, scale, x1 .. xk */
    KVal cell, cells, f[3], corner[MAX_CORNERS];       /* cells: of a block along an axis; 0: no blocks */
} Around;

typedef struct Nodes { int k; int64_t n[3], step[3]; } Nodes;

static Nodes nodes_of(const Shape *shape) {
    Nodes t = {.k = shape->rank};
    int64_t step = 1;
    for (int j = t.k - 1; j >= 0; j--) {
        t.n[j] = shape->dim[j];
        t.step[j] = step;
        step *= t.n[j];
    }
    return t;
}

static int64_t corner_offset(const Nodes *t, int c) {
    int64_t at = 0;
    for (int j = 0; j < t->k; j++) at += c >> (t->k - 1 - j) & 1 ? t->step[j] : 0;
    return at;
}

static Val in_of(const Ctx *c, Val v, int k) { return graph_in(c->r->graph, v, k); }

static KVal box_at(Ctx *c, Val v, int64_t j) {
    Index at = index_flat((Ix){0, j});
    bool wide = c->wide;
    c->wide = false;
    KVal x = pull(c, v, &at);
    c->wide = wide;
    return x;
}

static KVal along(Gen *g, KVal x, KVal lo, KVal scale) { return gen_2(g, K_MUL, gen_2(g, K_SUB, x, lo), scale); }

/* The cell around x along axis j: its index (i32), and how far x lies in it. */
static KVal axis_cell(Gen *g, const Nodes *t, int j, KVal u, KVal *f) {
    KVal i = gen_clamp(g, gen_cast(g, DT_I32, u), t->n[j] - 1);
    KType type = k_type(g->f, u);
    *f = gen_2(g, K_SUB, u, k_cast(g->m, g->f, type, i));
    return t->step[j] == 1 ? i : gen_2(g, K_MUL, i, gen_number(g, DT_I32, (double)t->step[j]));
}

/* The same in lanes of f32; its whole numbers are below 2^22, so exact: i = floor of u between 0 and n - 2;
 * the sum of i step[j] and 2^23 has that of i step[j] in its low bits. */
static KVal lanes_cell(Gen *g, const Nodes *t, const KVal *u, KVal *f) {
    KType type = KV(F32);
    KVal sum = k_real(g->m, g->f, type, 0x1p23), zero = k_real(g->m, g->f, type, 0);
    for (int j = t->k - 1; j >= 0; j--) {
        KVal last = k_real(g->m, g->f, type, (double)(t->n[j] - 2));
        KVal in = gen_select(g, gen_2(g, K_LT, zero, u[j]), u[j], zero);
        KVal i = k_1(g->m, g->f, K_FLOOR, gen_select(g, gen_2(g, K_LT, in, last), in, last));
        f[j] = gen_2(g, K_SUB, u[j], i);
        sum = gen_fma(g, i, k_real(g->m, g->f, type, (double)t->step[j]), sum);
    }
    return gen_2(g, K_SUB, k_bits(g->m, g->f, KV(I32), sum), k_ints(g->m, g->f, KV(I32), 0x4b000000));
}

static KVal cell_around(Gen *g, const Nodes *t, const KVal *x, const KVal *lo, const KVal *scale, KVal *f) {
    KVal cell = 0, u[3];
    bool lanes = t->step[0] * t->n[0] <= MOST_IN_LANES;
    for (int j = 0; j < t->k; j++) {
        u[j] = along(g, x[j], lo[j], scale[j]);
        lanes = lanes && k_type(g->f, u[j]).lanes == 16 && k_type(g->f, u[j]).scalar == KS_F32;
    }
    if (lanes) return lanes_cell(g, t, u, f);
    for (int j = 0; j < t->k; j++) {
        KVal at = axis_cell(g, t, j, u[j], &f[j]);
        cell = cell ? gen_2(g, K_ADD, cell, at) : at;
    }
    return cell;
}

/* ---- reading ---- */

/* Values and their right neighbours at the cells of 16 lanes: f32 pairs as one load of 8 bytes. */
static void load_pairs(Gen *g, KVal table, const KVal *at, int64_t offset, KVal *left, KVal *right) {
    KVal pairs = 0;
    for (int e = 0; e < 16; e++) {
        KVal p = k_offset(g->m, g->f, KS_F32, table, offset ? gen_2(g, K_ADD, at[e], gen_i64(g, offset)) : at[e]);
        KVal x = k_load(g->m, g->f, KT(F64), p, gen_i64(g, 0));
        pairs = e ? k_insert(g->m, g->f, pairs, e, x) : k_splat(g->m, g->f, x);
    }
    KVal bits = k_bits(g->m, g->f, KV(I64), pairs), high = gen_2(g, K_SHR, bits, gen_i64(g, 32));
    *left = k_bits(g->m, g->f, KV(F32), k_cast(g->m, g->f, KV(I32), bits));
    *right = k_bits(g->m, g->f, KV(F32), k_cast(g->m, g->f, KV(I32), high));
}

static void load_corners(Gen *g, const Nodes *t, KVal table, DType dtype, Around *a) {
    int lanes = gen_lanes(g, a->cell), corners = 1 << t->k;
    KType one = {gen_scalar(dtype), 1};
    KVal at[16];
    for (int e = 0; e < lanes; e++) at[e] = gen_index(g, lanes == 1 ? a->cell : k_lane(g->m, g->f, a->cell, e));
    for (int i = 0; i < corners; i++) {
        int64_t offset = corner_offset(t, i);
        if (lanes == 16 && dtype == DT_F32) {
            load_pairs(g, table, at, offset, &a->corner[i], &a->corner[i + 1]);
            i++;
            continue;
        }
        for (int e = 0; e < lanes; e++) {
            KVal x = k_load(g->m, g->f, one, table, offset ? gen_2(g, K_ADD, at[e], gen_i64(g, offset)) : at[e]);
            a->corner[i] = e ? k_insert(g->m, g->f, a->corner[i], e, x) : lanes > 1 ? k_splat(g->m, g->f, x) : x;
        }
    }
}

/* Where the values stand in memory. */
static KVal table_pointer(Ctx *c, Val values) {
    Affine a = {.source = region_base(c->r, values)};
    return affine_pointer(c, &a);
}

/* ---- tables of blocks ---- */

/* What is whole of u, at most `last`, as a float, or of scalars as an i32; *f: the rest. */
static KVal whole_of(Gen *g, KVal u, KVal last, KVal *f) {
    KType type = k_type(g->f, u);
    bool lanes = type.lanes == 16 && type.scalar == KS_F32;
    KVal zero = k_real(g->m, g->f, type, 0), in = gen_select(g, gen_2(g, K_LT, zero, u), u, zero);
    KVal i = gen_select(g, gen_2(g, K_LT, in, last), in, last);
    if (lanes) i = k_1(g->m, g->f, K_FLOOR, i);
    else i = k_cast(g->m, g->f, type, k_cast(g->m, g->f, (KType){KS_I32, type.lanes}, i));
    *f = gen_2(g, K_SUB, u, i);
    return i;
}

/* A whole number below 2^22 as an i32: the low bits of its sum with 2^23. */
static KVal number_of(Gen *g, KVal x) {
    KType type = k_type(g->f, x), to = {KS_I32, type.lanes};
    if (type.lanes != 16 || type.scalar != KS_F32) return k_cast(g->m, g->f, to, x);
    KVal sum = gen_2(g, K_ADD, x, k_real(g->m, g->f, type, 0x1p23));
    return gen_2(g, K_SUB, k_bits(g->m, g->f, to, sum), k_ints(g->m, g->f, to, 0x4b000000));
}

/* a[number] lane by lane; scalars, whose indices a device must know to lie inside, among the first n. */
static KVal load_each(Gen *g, KVal from, KScalar scalar, KVal number, int64_t n) {
    if (gen_lanes(g, number) == 1)
        return k_load(g->m, g->f, (KType){scalar, 1}, from, gen_index(g, gen_clamp(g, number, n)));
    return k_each(g->m, g->f, scalar, from, number);
}

/* The entry of the block around u, and how far u lies in it. */
static KVal block_entry(Gen *g, const Nodes *t, KVal index, const KVal *u, KVal *f) {
    KVal block = 0;
    KType type = k_type(g->f, u[0]);
    for (int j = 0; j < t->k; j++) {
        KVal i = whole_of(g, u[j], k_real(g->m, g->f, type, (double)(t->n[j] - 1)), &f[j]);
        block = block ? gen_fma(g, block, k_real(g->m, g->f, type, (double)t->n[j]), i) : i;
    }
    return load_each(g, index, KS_I32, number_of(g, block), t->n[0] * t->step[0]);
}

/* a->cell, a->cells, a->f; *steps: cells along an axis, an i32. */
static void cell_in_block(Gen *g, int k, KVal entry, Around *a, KVal *steps) {
    KType type = k_type(g->f, a->f[0]), whole = k_type(g->f, entry);
    KVal level = gen_2(g, K_SHR, entry, k_ints(g->m, g->f, whole, LOOKUP_SHIFT)), place = 0;
    level = gen_2(g, K_AND, level, k_ints(g->m, g->f, whole, 15));
    *steps = gen_2(g, K_SHL, k_ints(g->m, g->f, whole, 1), level);
    a->cells = k_cast(g->m, g->f, type, *steps);
    KVal one = k_real(g->m, g->f, type, 1);
    KVal last = gen_2(g, K_SUB, a->cells, one), nodes = gen_2(g, K_ADD, a->cells, one);
    for (int j = 0; j < k; j++) {
        KVal i = whole_of(g, gen_2(g, K_MUL, a->f[j], a->cells), last, &a->f[j]);
        place = place ? gen_fma(g, place, j == 1 && k == 3 ? a->cells : nodes, i) : i;
    }
    KVal number = number_of(g, place);
    if (k > 1) number = gen_2(g, K_SHL, number, k_ints(g->m, g->f, whole, 1));
    a->cell = gen_2(g, K_ADD, gen_2(g, K_AND, entry, k_ints(g->m, g->f, whole, LOOKUP_FIRST)), number);
}

/* The corners: their bits are the axes, the last one lowest; in memory the last axis but one is. */
static void load_block(Gen *g, int k, KVal values, int64_t n, DType dtype, KVal steps, Around *a) {
    KType whole = k_type(g->f, a->cell);
    KVal plane = 0;
    if (k == 3) {
        plane = gen_2(g, K_MUL, steps, gen_2(g, K_ADD, steps, k_ints(g->m, g->f, whole, 1)));
        plane = gen_2(g, K_SHL, plane, k_ints(g->m, g->f, whole, 1));
    }
    for (int c = 0; c < 1 << k; c++) {
        KVal at = a->cell;
        int beside = k == 1 ? c : (c >> 1 & 1) + 2 * (c & 1);
        if (c >> 2) at = gen_2(g, K_ADD, at, plane);
        if (whole.lanes == 16 && dtype == DT_F32 && k > 1) {
            a->corner[c] = k_quad(g->m, g->f, values, at, beside);
            continue;
        }
        if (beside) at = gen_2(g, K_ADD, at, k_ints(g->m, g->f, whole, beside));
        a->corner[c] = load_each(g, values, gen_scalar(dtype), at, n);
    }
}

static void around_block(Ctx *c, const KVal *x, const KVal *lo, const KVal *scale, Around *a) {
    Gen *g = &c->g;
    const Node *values = graph_node(c->r->graph, a->in[0]);
    Nodes t = nodes_of(&graph_node(c->r->graph, a->in[1])->shape);
    KVal u[3], steps;
    for (int j = 0; j < t.k; j++) u[j] = along(g, x[j], lo[j], scale[j]);
    KVal entry = block_entry(g, &t, table_pointer(c, a->in[1]), u, a->f);
    cell_in_block(g, t.k, entry, a, &steps);
    KVal from = table_pointer(c, a->in[0]);
    if (t.k == 1 && gen_lanes(g, a->cell) == 16 && values->dtype == DT_F32) {
        Nodes line = {.k = 1, .step = {1}};
        load_corners(g, &line, from, DT_F32, a);
    } else load_block(g, t.k, from, values->shape.dim[0], (DType)values->dtype, steps, a);
}

/* ---- both ---- */

static Around *around_find(Ctx *c, Val v) {
    Region *r = c->r;
    int n = graph_node(r->graph, v)->nin, box = graph_node(c->r->graph, v)->op == G_LOOKUP ? 2 : 1;
    if (!r->around) r->around = arena_array(r->plan->arena, Around, MAX_AROUND);
    for (int i = 0; i < MAX_AROUND; i++) {
        Around *a = &r->around[i];
        bool same = a->stamp == r->stamp && a->cell && a->box == box && a->k == n - box - 2;
        for (int k = 0; same && k < n; k++) same = a->in[k] == in_of(c, v, k);
        if (same) return a;
    }
    return NULL;
}

static Around *around_make(Ctx *c, Val v, const Index *at, Around *own) {
    Region *r = c->r;
    int box = graph_node(c->r->graph, v)->op == G_LOOKUP ? 2 : 1;
    Around a = {.stamp = r->stamp, .k = graph_node(r->graph, v)->nin - box - 2, .box = box};
    KVal x[3], lo[3], scale[3];
    for (int k = 0; k < a.k + box + 2; k++) a.in[k] = in_of(c, v, k);
    for (int j = 0; j < a.k; j++) {
        x[j] = pull(c, a.in[box + 2 + j], at);
        lo[j] = box_at(c, a.in[box], j);
        scale[j] = box_at(c, a.in[box + 1], j);
    }
    if (box == 2) {
        around_block(c, x, lo, scale, &a);
    } else {
        const Node *table = graph_node(r->graph, a.in[0]);
        Nodes t = nodes_of(&table->shape);
        a.cell = cell_around(&c->g, &t, x, lo, scale, a.f);
        load_corners(&c->g, &t, table_pointer(c, a.in[0]), (DType)table->dtype, &a);
    }
    Around *kept = own;
    for (int i = 0; i < MAX_AROUND && at == c->own; i++)
        if (r->around[i].stamp != r->stamp || !r->around[i].cell) kept = &r->around[i];
    *kept = a;
    return kept;
}

KVal interpolate(Ctx *c, Val v, const Index *at) {
    Gen *g = &c->g;
    uint32_t axes = graph_attr(c->r->graph, v)->axes;
    Around own, *a = around_find(c, v);
    if (!a || at != c->own) a = around_make(c, v, at, &own);
    KVal x[MAX_CORNERS];
    memcpy(x, a->corner, sizeof x);
    for (int j = a->k - 1; j >= 0; j--)
        for (int i = 0; i < 1 << j; i++) {
            KVal rise = gen_2(g, K_SUB, x[2 * i + 1], x[2 * i]);
            x[i] = axes >> j & 1 ? rise : gen_fma(g, a->f[j], rise, x[2 * i]);
        }
    for (int j = 0; j < a->k; j++) {
        if (!(axes >> j & 1)) continue;
        x[0] = gen_2(g, K_MUL, x[0], box_at(c, a->in[a->box + 1], j));
        if (a->cells) x[0] = gen_2(g, K_MUL, x[0], a->cells);
    }
    return x[0];
}

/* ---- the adjoint for the table ---- */

typedef struct Spread {
    Ctx *c;
    Val v;
    const Shard *shard;
    Nodes t;
    DType dtype;
    const Shape *points;                   /* of an example: units, then places */
    int64_t size, units, stride;           /* stride: of an example's row of points */
    int row[4];                            /* entries of rows: dy, x1 .. xk */
    KVal square[4], length;                /* of the same, 16 x 16; points in each row so far */
    KVal lo[3], scale[3], to;
} Spread;

static Val operand_of(const Spread *s, int j) { return in_of(s->c, s->v, j ? 2 + j : 0); }

/* Lanes that add something: dy is not zero, or an argument lies at no finite place. */
static KVal adds_something(Spread *s, KVal dy, const KVal *x) {
    Gen *g = &s->c->g;
    KVal zero = gen_number(g, s->dtype, 0), adds = gen_2(g, K_NE, dy, zero);
    for (int j = 0; j < s->t.k; j++) {
        KVal u = along(g, x[j], s->lo[j], s->scale[j]);
        adds = gen_2(g, K_OR, adds, gen_2(g, K_NE, gen_2(g, K_MUL, u, zero), zero));
    }
    return adds;
}

/* Appends to example e's row what it has to add of the squares at hand: `units` points. */
static void append_points(Spread *s, KVal e, int64_t units) {
    Gen *g = &s->c->g;
    KScalar scalar = gen_scalar(s->dtype);
    KVal x[4], from = gen_2(g, K_MUL, e, gen_i64(g, 16)), row = gen_2(g, K_MUL, e, gen_i64(g, s->stride));
    for (int j = 0; j <= s->t.k; j++) x[j] = k_load(g->m, g->f, (KType){scalar, 16}, s->square[j], from);
    KVal adds = adds_something(s, x[0], x + 1), n = k_load(g->m, g->f, KT(I64), s->length, e);
    if (units < 16) {
        KVal end = gen_number(g, DT_I32, (double)units);
        adds = gen_2(g, K_AND, adds, gen_2(g, K_LT, k_lanes(g->m, g->f, KV(I32)), end));
    }
    KVal at = gen_2(g, K_ADD, row, n);
    for (int j = 0; j <= s->t.k; j++) {
        KVal to = k_offset(g->m, g->f, scalar, ctx_entry(s->c, s->row[j]), at);
        gen_compress(g, &s->c->r->plan->target, to, adds, x[j]);
    }
    KVal more = k_ones(g->m, g->f, k_mask(g->m, g->f, adds));
    k_store(g->m, g->f, s->length, e, gen_2(g, K_ADD, n, more));
}

/* The units from `at`'s on at a place, of 16 examples: squares, turned, then what is kept of them. */
static void collect_square(Spread *s, Index *at, int64_t units) {
    Ctx *c = s->c;
    Gen *g = &c->g;
    Ix first = at->m[0];
    for (int j = 0; j <= s->t.k; j++) {
        KVal x[16];
        for (int k = 0; k < 16; k++) {
            at->m[0] = ix_plus(g, first, (Ix){0, k});
            x[k] = gen_widen(g, k < units ? pull(c, operand_of(s, j), at) : gen_number(g, s->dtype, 0), 16);
        }
        transpose16(g, x);
        for (int e = 0; e < 16; e++) k_store(g->m, g->f, s->square[j], gen_i64(g, 16 * e), x[e]);
    }
    KVal e = k_for(g->m, g->f, gen_i64(g, 0), gen_i64(g, 16), 1);
    append_points(s, e, units);
    k_end(g->m, g->f);
}

/* A block's points in their order, those left out that add nothing: a table starts at +0, so no sum in it is ever
 * -0, and adding a zero of either sign changes nothing.  (Behind max pooling and dropout most are zero.) */
static void collect_points(Spread *s) {
    Ctx *c = s->c;
    Gen *g = &c->g;
    int64_t whole = s->units / 16 * 16;
    Index at = {.flat = false};
    for (int e = 0; e < 16; e++) k_store(g->m, g->f, s->length, gen_i64(g, e), gen_i64(g, 0));
    for (int k = 1; k < s->points->rank; k++) at.m[k] = loop_begin(c, s->points->dim[k]);
    if (whole) {
        at.m[0] = (Ix){k_for(g->m, g->f, gen_i64(g, 0), gen_i64(g, whole), 16), 0};
        collect_square(s, &at, 16);
        k_end(g->m, g->f);
    }
    if (whole < s->units) {
        at.m[0] = (Ix){0, whole};
        collect_square(s, &at, s->units - whole);
    }
    for (int k = 1; k < s->points->rank; k++) loop_end(c, s->points->dim[k]);
}

/* What each corner of the cell gets: terms[corner]; gives the cell. */
static KVal spread_terms(Spread *s, KVal dy, const KVal *x, KVal *terms) {
    Gen *g = &s->c->g;
    uint32_t axes = graph_attr(s->c->r->graph, s->v)->axes;
    KVal f[3], cell = cell_around(g, &s->t, x, s->lo, s->scale, f);
    for (int j = 0; j < s->t.k; j++)
        if (axes >> j & 1) dy = gen_2(g, K_MUL, dy, s->scale[j]);
    terms[0] = dy;
    for (int j = 0; j < s->t.k; j++)
        for (int i = (1 << j) - 1; i >= 0; i--) {
            KVal d = terms[i], b = axes >> j & 1 ? d : gen_2(g, K_MUL, f[j], d);
            terms[2 * i + 1] = b;
            terms[2 * i] = axes >> j & 1 ? k_1(g->m, g->f, K_NEG, d) : gen_2(g, K_SUB, d, b);
        }
    return cell;
}

static void add_term(Spread *s, KVal at, int corner, KVal term) {
    Gen *g = &s->c->g;
    int64_t offset = corner_offset(&s->t, corner);
    if (offset) at = gen_2(g, K_ADD, at, gen_i64(g, offset));
    KVal acc = k_load(g->m, g->f, (KType){gen_scalar(s->dtype), 1}, s->to, at);
    k_store(g->m, g->f, s->to, at, gen_2(g, K_ADD, acc, term));
}

/* The points of a row from element `first` on.  Terms are added when all of them stand in memory: a load just behind
 * the store of the vector that holds its element waits for it. */
static void spread_points(Spread *s, KVal first, KVal count, KVal cells, KVal kept) {
    Gen *g = &s->c->g;
    KScalar scalar = gen_scalar(s->dtype);
    KVal i = k_for(g->m, g->f, gen_i64(g, 0), count, 16), from = gen_2(g, K_ADD, first, i), x[4], terms[MAX_CORNERS];
    for (int j = 0; j <= s->t.k; j++)
        x[j] = k_load(g->m, g->f, (KType){scalar, 16}, ctx_entry(s->c, s->row[j]), from);
    k_store(g->m, g->f, cells, i, spread_terms(s, x[0], x + 1, terms));
    for (int k = 0; k < 1 << s->t.k; k++)
        k_store(g->m, g->f, kept, ix_value(g, (Ix){i, MOST_TERMS * k}), terms[k]);
    k_end(g->m, g->f);
    KVal e = k_for(g->m, g->f, gen_i64(g, 0), count, 1), at = gen_index(g, k_load(g->m, g->f, KT(I32), cells, e));
    for (int k = 0; k < 1 << s->t.k; k++)
        add_term(s, at, k, k_load(g->m, g->f, (KType){scalar, 1}, kept, ix_value(g, (Ix){e, MOST_TERMS * k})));
    k_end(g->m, g->f);
}

static KVal at_most(Gen *g, KVal a, int64_t n) {
    KVal most = gen_i64(g, n);
    return gen_select(g, gen_2(g, K_LT, a, most), a, most);
}

static void spread_rows(Spread *s) {
    Ctx *c = s->c;
    Gen *g = &c->g;
    KScalar scalar = gen_scalar(s->dtype);
    size_t bytes = dtype_size(s->dtype) * (size_t)s->stride;
    KVal cells = k_local(g->m, g->f, KS_I32, MOST_TERMS), kept = k_local(g->m, g->f, scalar, MOST_TERMS << s->t.k);
    s->length = k_local(g->m, g->f, KS_I64, 16);
    for (int j = 0; j <= s->t.k; j++) {
        s->square[j] = k_local(g->m, g->f, scalar, 256);
        s->row[j] = plan_buffer(c->r->plan, (Buffer){.fixed = 16 * bytes, .scratch = true});
    }
    KVal b = block_begin(c, s->shard);
    collect_points(s);
    KVal left = gen_2(g, K_SUB, s->shard->count, gen_2(g, K_MUL, b, gen_i64(g, 16)));
    KVal e = k_for(g->m, g->f, gen_i64(g, 0), at_most(g, left, 16), 1), n = k_load(g->m, g->f, KT(I64), s->length, e);
    KVal row = gen_2(g, K_MUL, e, gen_i64(g, s->stride)), i = k_for(g->m, g->f, gen_i64(g, 0), n, MOST_TERMS);
    spread_points(s, gen_2(g, K_ADD, row, i), at_most(g, gen_2(g, K_SUB, n, i), MOST_TERMS), cells, kept);
    k_end(g->m, g->f);
    k_end(g->m, g->f);
    block_end(c);
}

/* Plain C: a block is one example. */
static void spread_scalars(Spread *s) {
    Ctx *c = s->c;
    Gen *g = &c->g;
    KVal x[3], terms[MAX_CORNERS];
    Index at = {.flat = false};
    block_begin(c, s->shard);
    for (int k = 1; k < s->points->rank; k++) at.m[k] = loop_begin(c, s->points->dim[k]);
    at.m[0] = loop_begin(c, s->units);
    for (int j = 0; j < s->t.k; j++) x[j] = pull(c, operand_of(s, 1 + j), &at);
    KVal cell = gen_index(g, spread_terms(s, pull(c, operand_of(s, 0), &at), x, terms));
    for (int i = 0; i < 1 << s->t.k; i++) add_term(s, cell, i, terms[i]);
    loop_end(c, s->units);
    for (int k = 1; k < s->points->rank; k++) loop_end(c, s->points->dim[k]);
    block_end(c);
}

static void clear_table(Spread *s, int64_t nodes) {
    Gen *g = &s->c->g;
    KVal zero = gen_number(g, s->dtype, 0);
    int64_t whole = s->c->lanes == 16 ? nodes / 16 * 16 : 0;
    if (whole) {
        KVal i = k_for(g->m, g->f, gen_i64(g, 0), gen_i64(g, whole), 16);
        k_store(g->m, g->f, s->to, i, k_splat(g->m, g->f, zero));
        k_end(g->m, g->f);
    }
    if (whole == nodes) return;
    KVal i = k_for(g->m, g->f, gen_i64(g, whole), gen_i64(g, nodes), 1);
    k_store(g->m, g->f, s->to, i, zero);
    k_end(g->m, g->f);
}

void interpolate_partial(Ctx *c, Val v, const Shard *shard) {
    Gen *g = &c->g;
    const Node *node = graph_node(c->r->graph, v);
    int64_t nodes = region_size(c->r, v);
    Spread s = {.c = c, .v = v, .shard = shard, .t = nodes_of(&node->shape), .dtype = (DType)node->dtype};
    s.points = &graph_node(c->r->graph, in_of(c, v, 0))->shape;
    s.size = shape_size(s.points);
    s.units = s.points->rank ? s.points->dim[0] : 1;
    s.stride = (s.size + 15) / 16 * 16 + 16;
    s.to = k_offset(g->m, g->f, gen_scalar(s.dtype), ctx_entry(c, c->r->info[v].partial),
                    ix_value(g, ix_times(g, (Ix){shard->number, 0}, nodes)));
    for (int j = 0; j < s.t.k; j++) {
        s.lo[j] = load_value(c, region_base(c->r, in_of(c, v, 1)), (Ix){0, j});
        s.scale[j] = load_value(c, region_base(c->r, in_of(c, v, 2)), (Ix){0, j});
    }
    clear_table(&s, nodes);
    if (c->lanes == 16) spread_rows(&s);
    else spread_scalars(&s);
}

/* ---- BATCH_MAXIMUM ---- */

void maximum_partial(Ctx *c, Val v, const Shard *shard) {
    Gen *g = &c->g;
    Val from = in_of(c, v, 0);
    const Shape *shape = &graph_node(c->r->graph, from)->shape;
    DType dtype = (DType)graph_node(c->r->graph, v)->dtype;
    KVal least = gen_start(g, G_MAXIMUM, dtype), start = gen_widen(g, least, c->lanes);
    KType type = k_type(g->f, start);
    KVal b = k_for(g->m, g->f, gen_i64(g, 0), shard->blocks, 1), whole = k_carry(g->m, g->f, start);
    c->local = (Ix){b, 0};
    c->global = ix_plus(g, ix_times(g, (Ix){shard->number, 0}, SHARD / c->lanes), c->local);
    Index at = {.flat = false};
    KVal acc = start;
    for (int k = 0; k < shape->rank; k++) {
        at.m[k] = (Ix){k_for(g->m, g->f, gen_i64(g, 0), gen_i64(g, shape->dim[k]), 1), 0};
        acc = k_carry(g->m, g->f, acc);
    }
    KVal block = gen_join(g, G_MAXIMUM, acc, gen_widen(g, pull(c, from, &at), c->lanes));
    for (int k = 0; k < shape->rank; k++) {
        k_next(g->m, g->f, block);
        k_end(g->m, g->f);
        block = k_result(g->m, g->f, 0, type);
    }
    if (c->lanes == 16) {
        KVal left = gen_2(g, K_SUB, shard->count, gen_2(g, K_MUL, b, gen_i64(g, 16)));
        KVal held = gen_2(g, K_LT, k_lanes(g->m, g->f, KV(I32)), k_cast(g->m, g->f, KT(I32), left));
        block = gen_select(g, held, block, start);
    }
    k_next(g->m, g->f, gen_join(g, G_MAXIMUM, whole, block));
    k_end(g->m, g->f);
    KVal all = k_result(g->m, g->f, 0, type), most = c->lanes == 1 ? all : k_lane(g->m, g->f, all, 0);
    for (int e = 1; e < c->lanes; e++) most = gen_join(g, G_MAXIMUM, most, k_lane(g->m, g->f, all, e));
    most = gen_2(g, K_ADD, most, gen_number(g, dtype, 0));
    k_store(g->m, g->f, ctx_entry(c, c->r->info[v].partial), shard->number, most);
}
