/* generate.c -- see generate.h.  The definitions are those of lang/ops.def and graph/eval.c. */
#include "kernel/generate.h"

#include <math.h>

KScalar gen_scalar(DType dtype) {
    switch (dtype) {
    case DT_BOOL: return KS_BOOL;
    case DT_I32: return KS_I32;
    case DT_F32: return KS_F32;
    case DT_F64: return KS_F64;
    }
    return KS_VOID;
}

static KScalar kind(const Gen *g, KVal v) { return (KScalar)k_type(g->f, v).scalar; }
static bool is_float(const Gen *g, KVal v) { return kind(g, v) == KS_F32 || kind(g, v) == KS_F64; }
int gen_lanes(const Gen *g, KVal v) { return k_type(g->f, v).lanes; }

KVal gen_widen(Gen *g, KVal v, int lanes) {
    KInst inst = g->f->code.at[v];
    if (inst.type.lanes == lanes) return v;
    KType type = {inst.type.scalar, (uint8_t)lanes};
    if (inst.op == K_REAL) return k_real(g->m, g->f, type, inst.real);
    if (inst.op == K_INT) return k_ints(g->m, g->f, type, inst.imm);
    return k_splat(g->m, g->f, v);
}

KVal gen_2(Gen *g, KOp op, KVal a, KVal b) {
    int lanes = gen_lanes(g, a) > gen_lanes(g, b) ? gen_lanes(g, a) : gen_lanes(g, b);
    a = gen_widen(g, a, lanes);
    b = gen_widen(g, b, lanes);
    return k_2(g->m, g->f, op, a, b);
}

KVal gen_fma(Gen *g, KVal a, KVal b, KVal c) {
    int lanes = gen_lanes(g, a) > gen_lanes(g, b) ? gen_lanes(g, a) : gen_lanes(g, b);
    if (gen_lanes(g, c) > lanes) lanes = gen_lanes(g, c);
    a = gen_widen(g, a, lanes);
    b = gen_widen(g, b, lanes);
    c = gen_widen(g, c, lanes);
    return k_3(g->m, g->f, K_FMA, a, b, c);
}

KVal gen_select(Gen *g, KVal condition, KVal a, KVal b) {
    int lanes = gen_lanes(g, a) > gen_lanes(g, b) ? gen_lanes(g, a) : gen_lanes(g, b);
    if (gen_lanes(g, condition) > lanes) lanes = gen_lanes(g, condition);
    a = gen_widen(g, a, lanes);
    b = gen_widen(g, b, lanes);
    return k_3(g->m, g->f, K_SELECT, condition, a, b);
}

KVal gen_least(Gen *g, KVal a, KVal b) { return gen_select(g, gen_2(g, K_LT, a, b), a, b); }
KVal gen_most(Gen *g, KVal a, KVal b) { return gen_select(g, gen_2(g, K_LT, a, b), b, a); }

KVal gen_is_zero(Gen *g, KVal x) { return gen_2(g, K_EQ, x, k_real(g->m, g->f, k_type(g->f, x), 0)); }

KVal gen_i64(Gen *g, int64_t x) { return k_int(g->m, g->f, KS_I64, x); }
KVal gen_index(Gen *g, KVal i32) { return k_cast(g->m, g->f, KT(I64), i32); }

KVal gen_number(Gen *g, DType dtype, double x) {
    if (dtype == DT_F32 || dtype == DT_F64) return k_real(g->m, g->f, (KType){gen_scalar(dtype), 1}, x);
    return k_int(g->m, g->f, gen_scalar(dtype), (int64_t)x);
}

KVal gen_const(Gen *g, const Graph *graph, Val v) {
    DType dtype = (DType)graph_node(graph, v)->dtype;
    const Attr *attr = graph_attr(graph, v);
    if (dtype == DT_F32 || dtype == DT_F64) return gen_number(g, dtype, attr->f64);
    return k_int(g->m, g->f, gen_scalar(dtype), attr->i64);
}

KVal gen_clamp(Gen *g, KVal index, int64_t n) {
    KType type = k_type(g->f, index);
    KVal zero = k_ints(g->m, g->f, type, 0), last = k_ints(g->m, g->f, type, n - 1);
    index = gen_select(g, gen_2(g, K_LT, index, zero), zero, index);
    return gen_select(g, gen_2(g, K_LT, last, index), last, index);
}

/* Where no instruction does it, each lane is stored, and the next one over it if it is not wanted: LLVM would branch at
 * each lane, and be wrong at half of them. */
static KVal next_place(Gen *g, KVal at, KVal bits, int lane) {
    KVal bit = gen_2(g, K_AND, gen_2(g, K_SHR, bits, gen_i64(g, lane)), gen_i64(g, 1));
    return gen_2(g, K_ADD, at, bit);
}

void gen_compress(Gen *g, const Target *target, KVal to, KVal mask, KVal x) {
    if (target->vector_bytes >= 64) {
        k_compress(g->m, g->f, to, mask, x);
        return;
    }
    KVal bits = k_mask(g->m, g->f, mask), none = gen_i64(g, 0), one = gen_i64(g, 1), at = none;
    KVal all = gen_2(g, K_EQ, bits, gen_i64(g, 0xffff));
    k_for(g->m, g->f, none, gen_select(g, all, one, none), 1);
    k_store(g->m, g->f, to, none, x);
    k_end(g->m, g->f);
    k_for(g->m, g->f, none, gen_select(g, all, none, one), 1);
    for (int e = 0; e < 16; e++) {
        k_store(g->m, g->f, to, at, k_lane(g->m, g->f, x, e));
        at = next_place(g, at, bits, e);
    }
    k_end(g->m, g->f);
}

static KVal number_like(Gen *g, KVal like, double x) {
    return is_float(g, like) ? k_real(g->m, g->f, k_type(g->f, like), x)
                             : k_ints(g->m, g->f, k_type(g->f, like), (int64_t)x);
}

KVal gen_expand(Gen *g, const Target *target, KScalar scalar, KVal from, KVal mask) {
    if (target->vector_bytes >= 64) return k_expand(g->m, g->f, scalar, from, mask);
    KVal bits = k_mask(g->m, g->f, mask), at = gen_i64(g, 0), x = 0;
    for (int e = 0; e < 16; e++) {
        KVal lane = k_load(g->m, g->f, (KType){scalar, 1}, from, at);
        x = e ? k_insert(g->m, g->f, x, e, lane) : k_splat(g->m, g->f, lane);
        at = next_place(g, at, bits, e);
    }
    return gen_select(g, mask, x, number_like(g, x, 0));
}

static KVal not_(Gen *g, KVal a) { return gen_2(g, K_XOR, a, k_ints(g->m, g->f, k_type(g->f, a), 1)); }

KVal gen_cast(Gen *g, DType to, KVal v) {
    KType type = {gen_scalar(to), k_type(g->f, v).lanes};
    if (type.scalar == kind(g, v)) return v;
    if (g->f->code.at[v].op == K_REAL && to != DT_I32 && to != DT_BOOL)
        return k_real(g->m, g->f, type, g->f->code.at[v].real);
    if (to == DT_BOOL) return gen_2(g, K_NE, v, number_like(g, v, 0));
    return k_cast(g->m, g->f, type, v);
}

/* ---- max and min, with one comparison less where an operand is a constant ---- */

static bool is_constant(const Gen *g, KVal v) {
    const KInst *inst = &g->f->code.at[v];
    return inst->op == K_INT || (inst->op == K_REAL && !isnan(inst->real));
}

/* select(a < b, b, select(a >= b, a, a + b)): of the comparisons one is enough where b is a number, and a NaN passes as
 * it is. */
static KVal maximum(Gen *g, KVal a, KVal b) {
    if (!is_float(g, a)) return gen_select(g, gen_2(g, K_LT, a, b), b, a);
    if (is_constant(g, a)) return gen_select(g, gen_2(g, K_LE, b, a), a, b);
    if (is_constant(g, b)) return gen_select(g, gen_2(g, K_LT, a, b), b, a);
    return gen_select(g, gen_2(g, K_NE, b, b), b, gen_select(g, gen_2(g, K_LT, a, b), b, a));
}

/* select(b < a, b, select(b >= a, a, a + b)), in the same way. */
static KVal minimum(Gen *g, KVal a, KVal b) {
    if (!is_float(g, a)) return gen_select(g, gen_2(g, K_LT, b, a), b, a);
    if (is_constant(g, a)) return gen_select(g, gen_2(g, K_LE, a, b), a, b);
    if (is_constant(g, b)) return gen_select(g, gen_2(g, K_LT, b, a), b, a);
    return gen_select(g, gen_2(g, K_NE, b, b), b, gen_select(g, gen_2(g, K_LT, b, a), b, a));
}

/* ---- powers ---- */

KVal gen_powi_const(Gen *g, KVal base, int32_t exponent) {
    uint32_t n = exponent < 0 ? 0u - (uint32_t)exponent : (uint32_t)exponent;
    KVal r = 0;
    for (int bit = 31; bit >= 0; bit--) {
        if (r) r = gen_2(g, K_MUL, r, r);
        if (n >> bit & 1) r = r ? gen_2(g, K_MUL, r, base) : base;
    }
    if (!r) r = number_like(g, base, 1);
    return exponent < 0 ? gen_2(g, K_DIV, number_like(g, base, 1), r) : r;
}

/* The position above the highest bit of a scalar n >= 0 (as i64): 0 for 0. */
static KVal bit_length(Gen *g, KVal n) {
    KVal bits = k_bits(g->m, g->f, KT(I64), k_cast(g->m, g->f, KT(F64), n));
    KVal length = gen_2(g, K_SUB, gen_2(g, K_SHR, bits, gen_i64(g, 52)), gen_i64(g, 1022));
    return gen_select(g, gen_2(g, K_EQ, n, gen_i64(g, 0)), gen_i64(g, 0), length);
}

/* r = 1; for bits of |n| from the top: r = r r; if set, r = r a.  Leading zeros leave the 1. */
static KVal powi(Gen *g, KVal a, KVal n) {
    if (g->f->code.at[n].op == K_INT) return gen_powi_const(g, a, (int32_t)g->f->code.at[n].imm);
    int lanes = gen_lanes(g, a) > gen_lanes(g, n) ? gen_lanes(g, a) : gen_lanes(g, n);
    bool scalar = gen_lanes(g, n) == 1;
    KVal zero = number_like(g, n, 0), negative = gen_2(g, K_LT, n, zero);
    KVal size = gen_select(g, negative, gen_2(g, K_SUB, zero, n), n), top = gen_i64(g, 32);
    if (scalar) {
        KVal wide = gen_2(g, K_AND, k_cast(g->m, g->f, KT(I64), size), gen_i64(g, UINT32_MAX));
        top = bit_length(g, wide);
    }
    a = gen_widen(g, a, lanes);
    KVal one = number_like(g, a, 1), i = k_for(g->m, g->f, gen_i64(g, 0), top, 1), r = k_carry(g->m, g->f, one);
    KVal shift = k_cast(g->m, g->f, KT(I32), gen_2(g, K_SUB, gen_2(g, K_SUB, top, gen_i64(g, 1)), i));
    KVal bit = gen_2(g, K_AND, gen_2(g, K_SHR, size, shift), number_like(g, n, 1));
    KVal square = k_2(g->m, g->f, K_MUL, r, r);
    KVal set = gen_2(g, K_NE, bit, zero);
    k_next(g->m, g->f, gen_select(g, set, k_2(g->m, g->f, K_MUL, square, a), square));
    k_end(g->m, g->f);
    r = k_result(g->m, g->f, 0, k_type(g->f, a));
    return gen_select(g, negative, gen_2(g, K_DIV, one, r), r);
}

/* ---- the ops ---- */

static KVal zero_minus(Gen *g, KVal a) { return gen_2(g, K_SUB, number_like(g, a, 0), a); }

static KVal sign(Gen *g, KVal a) {
    KVal zero = number_like(g, a, 0), up = gen_select(g, gen_2(g, K_LT, zero, a), number_like(g, a, 1), a);
    return gen_select(g, gen_2(g, K_LT, a, zero), number_like(g, a, -1), up);
}

/* a - b floor(a / b); integers: a remainder with the sign of b, 0 for b = 0. */
static KVal modulo(Gen *g, KVal a, KVal b) {
    if (is_float(g, a)) {
        KVal whole = k_1(g->m, g->f, K_FLOOR, gen_2(g, K_DIV, a, b));
        return gen_2(g, K_SUB, a, gen_2(g, K_MUL, b, whole));
    }
    KVal r = gen_2(g, K_REM, a, b), zero = number_like(g, r, 0);
    KVal differ = gen_2(g, K_LT, gen_2(g, K_XOR, r, b), zero);
    return gen_select(g, gen_2(g, K_AND, differ, gen_2(g, K_NE, r, zero)), gen_2(g, K_ADD, r, b), r);
}

static KVal equal(Gen *g, bool want, KVal a, KVal b) {
    if (kind(g, a) != KS_BOOL) return gen_2(g, want ? K_EQ : K_NE, a, b);
    KVal differ = gen_2(g, K_XOR, a, b);
    return want ? not_(g, differ) : differ;
}

KVal gen_elementwise(Gen *g, Op op, DType dtype, const KVal *in) {
    KModule *m = g->m;
    KFunc *f = g->f;
    KVal a = in[0];
    switch (op) {
    case G_NEG: return is_float(g, a) ? k_1(m, f, K_NEG, a) : zero_minus(g, a);
    case G_ABS:
        if (is_float(g, a)) return k_1(m, f, K_ABS, a);
        return gen_select(g, gen_2(g, K_LT, a, number_like(g, a, 0)), zero_minus(g, a), a);
    case G_SIGN: return sign(g, a);
    case G_SQRT: return k_1(m, f, K_SQRT, a);
    case G_EXP: return k_exp(m, f, a);
    case G_LOG: return k_log(m, f, a);
    case G_SIN: return k_sin(m, f, a);
    case G_COS: return k_cos(m, f, a);
    case G_TANH: return k_tanh(m, f, a);
    case G_ERF: return k_erf(m, f, a);
    case G_FLOOR: return k_1(m, f, K_FLOOR, a);
    case G_CEIL: return k_1(m, f, K_CEIL, a);
    case G_ROUND: return k_1(m, f, K_ROUND, a);
    case G_NOT: return not_(g, a);
    case G_CAST: return gen_cast(g, dtype, a);
    case G_ADD: return gen_2(g, K_ADD, a, in[1]);
    case G_SUB: return gen_2(g, K_SUB, a, in[1]);
    case G_MUL: return gen_2(g, K_MUL, a, in[1]);
    case G_DIV: return gen_2(g, K_DIV, a, in[1]);
    case G_MOD: return modulo(g, a, in[1]);
    case G_MAX: return maximum(g, a, in[1]);
    case G_MIN: return minimum(g, a, in[1]);
    case G_POW: return k_exp(m, f, gen_2(g, K_MUL, in[1], k_log(m, f, a)));
    case G_POWI: return powi(g, a, in[1]);
    case G_LT: return gen_2(g, K_LT, a, in[1]);
    case G_LE: return gen_2(g, K_LE, a, in[1]);
    case G_EQ: return equal(g, true, a, in[1]);
    case G_NE: return equal(g, false, a, in[1]);
    case G_AND: return gen_2(g, K_AND, a, in[1]);
    case G_OR: return gen_2(g, K_OR, a, in[1]);
    case G_SELECT: return gen_select(g, a, in[1], in[2]);
    case G_CONST: case G_TABLE: case G_INPUT: case G_IOTA: case G_NOISE: case G_NORMAL: case G_BROADCAST:
    case G_RESHAPE: case G_TRANSPOSE: case G_SLICE: case G_PAD: case G_CONCAT: case G_PICK: case G_EMBED: case G_SUM:
    case G_MAXIMUM: case G_MINIMUM: case G_PROD: case G_ARGMAX: case G_BATCH_SUM: case G_BATCH_OUTER:
    case G_BATCH_EMBED: case G_BATCH_CONV: case G_BATCH_MAXIMUM: case G_BATCH_INTERPOLATE: case G_INTERPOLATE:
    case G_LOOKUP: case G_MATMUL: case G_CONV: case G_OUTER: case G_MAP: case G_PROJ: case G_HOLE: case G_SCAN:
    case G_COUNT: break;
    }
    return 0;
}

/* ---- reductions ---- */

KVal gen_start(Gen *g, Op op, DType dtype) {
    bool real = dtype == DT_F32 || dtype == DT_F64;
    if (op == G_PROD) return gen_number(g, dtype, 1);
    if (op == G_MAXIMUM) return gen_number(g, dtype, real ? -INFINITY : (double)INT32_MIN);
    if (op == G_MINIMUM) return gen_number(g, dtype, real ? INFINITY : (double)INT32_MAX);
    return gen_number(g, dtype, 0);
}

KVal gen_join(Gen *g, Op op, KVal a, KVal b) {
    if (op == G_MAXIMUM) return maximum(g, a, b);
    if (op == G_MINIMUM) return minimum(g, a, b);
    return gen_2(g, op == G_PROD ? K_MUL : K_ADD, a, b);
}

/* Larger, or the first NaN. */
KVal gen_argmax_wins(Gen *g, KVal x, KVal best) {
    KVal larger = gen_2(g, K_LT, best, x);
    if (!is_float(g, x)) return larger;
    KVal first = gen_2(g, K_AND, gen_2(g, K_NE, x, x), gen_2(g, K_EQ, best, best));
    return gen_2(g, K_OR, larger, first);
}

/* ---- random numbers: support/rng.h ---- */

static KVal uniform(Gen *g, KVal word) {
    KVal high = gen_2(g, K_SHR, word, k_ints(g->m, g->f, k_type(g->f, word), 8));
    KVal x = k_cast(g->m, g->f, (KType){KS_F32, k_type(g->f, word).lanes}, high);
    return gen_2(g, K_MUL, x, number_like(g, x, 0x1p-24));
}

static void normals(Gen *g, KVal w0, KVal w1, KVal z[2]) {
    KType ints = k_type(g->f, w0), reals = {KS_F32, ints.lanes};
    KVal high = gen_2(g, K_SHR, w0, k_ints(g->m, g->f, ints, 8));
    KVal u1 = k_cast(g->m, g->f, reals, gen_2(g, K_ADD, high, k_ints(g->m, g->f, ints, 1)));
    u1 = gen_2(g, K_MUL, u1, number_like(g, u1, 0x1p-24));
    KVal angle = gen_2(g, K_MUL, number_like(g, u1, (double)6.28318530717958647692f), uniform(g, w1));
    KVal log = k_log(g->m, g->f, u1), r = k_1(g->m, g->f, K_SQRT, gen_2(g, K_MUL, number_like(g, u1, -2), log));
    z[0] = gen_2(g, K_MUL, r, k_cos(g->m, g->f, angle));
    z[1] = gen_2(g, K_MUL, r, k_sin(g->m, g->f, angle));
}

void gen_noise_of(Gen *g, Op op, DType dtype, const KVal key[2], KVal block, KVal example, KVal step, KVal out[4]) {
    KVal words[2], counter[4] = {block, example, step, k_int(g->m, g->f, KS_I32, 0)}, drawn[4];
    int lanes = gen_lanes(g, example) > gen_lanes(g, key[0]) ? gen_lanes(g, example) : gen_lanes(g, key[0]);
    for (int i = 0; i < 4; i++) counter[i] = gen_widen(g, counter[i], lanes);
    for (int i = 0; i < 2; i++) words[i] = gen_widen(g, key[i], lanes);
    k_philox(g->m, g->f, counter, words, drawn);
    if (op == G_NORMAL) {
        normals(g, drawn[0], drawn[1], out);
        normals(g, drawn[2], drawn[3], out + 2);
    } else {
        for (int i = 0; i < 4; i++) out[i] = uniform(g, drawn[i]);
    }
    for (int i = 0; i < 4; i++) out[i] = gen_cast(g, dtype, out[i]);
}

void gen_noise(Gen *g, Op op, DType dtype, KVal keys, int key, KVal block, KVal example, KVal step, KVal out[4]) {
    KVal words[2];
    for (int i = 0; i < 2; i++) words[i] = k_load(g->m, g->f, KT(I32), keys, gen_i64(g, 2 * key + i));
    gen_noise_of(g, op, dtype, words, block, example, step, out);
}
