/* test_kernel.c -- kernel IR: the verifier finds planted faults; all ways to run a kernel give the same bits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "emit/emit.h"

enum { N = 64, BYTES = 4096 };
typedef struct Ways { Code *code[5]; int count; } Ways;

static void make_ways(Arena *arena, const KModule *module, Ways *ways)
{
    static const CodeOptions options[] = {
        {.opt_level = 0, .plugin = NIN_PLUGIN}, {.opt_level = 2, .plugin = NIN_PLUGIN},
        {.opt_level = 2, .cpu = "x86-64-v3", .plugin = NIN_PLUGIN},
        {.opt_level = 2, .neuron = true, .threads = 3, .plugin = NIN_PLUGIN},
    };
    const char *error = NULL;
    const char *problem = kernel_verify(module, arena);
    if (problem)
        fail_msg("%s", problem);
    ways->count = 0;
    for (int k = 0; k < COUNT(options); k++) {
        ways->code[ways->count] = code_jit(arena, module, &options[k], &error);
        if (!ways->code[ways->count++])
            fail_msg("%s", error);
    }
    char folder[] = "/tmp/nin-test-XXXXXX";
    assert_non_null(mkdtemp(folder));
    ways->code[ways->count] = code_from_c(arena, module, "gcc", folder, &error);
    if (!ways->code[ways->count++])
        fail_msg("%s", error);
    assert_int_equal(system(arena_printf(arena, "rm -r %s", folder)), 0);
}

static void free_ways(Ways *ways)
{
    for (int k = 0; k < ways->count; k++)
        code_free(ways->code[k]);
}

/* NaNs are equal whatever their sign and payload. */
static void canonical_nans(KScalar type, void *at)
{
    for (int k = 0; type == KS_F32 && k < BYTES / 4; k++) {
        float *x = (float *)at + k;
        *x = isnan(*x) ? NAN : *x;
    }
    for (int k = 0; type == KS_F64 && k < BYTES / 8; k++) {
        double *x = (double *)at + k;
        *x = isnan(*x) ? (double)NAN : *x;
    }
}

static void compare_ways(const Ways *ways, int func, void **table, KScalar type, int64_t lo, int64_t hi, char *expected)
{
    void *out = table[0];
    for (int k = 0; k < ways->count; k++) {
        memset(out, 0x55, BYTES);
        code_function(ways->code[k], func)(table, lo, hi);
        canonical_nans(type, out);
        if (k == 0)
            memcpy(expected, out, BYTES);
        for (int b = 0; b < BYTES; b++)
            if (((char *)out)[b] != expected[b])
                fail_msg("function %d, way %d: byte %d differs", func, k, b);
    }
}

static const double reals[] = {
    0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 1.5, 2.5, -2.5, 3.25, 1e10, -1e10, 3e38, -3e38, 1e-40, -1e-40, 1e-45,
    INFINITY, -INFINITY, NAN, 2147483647.0, 2147483648.0, -2147483648.0, -2147483904.0, 9.3e18, -9.3e18, 0.1, 1.0 / 3,
    8388609.0, 4194304.5, 1e300, 5e-324,
};
static const int64_t ints[] = {
    0, 1, -1, 2, 3, -3, 7, 31, 32, 33, 63, 64, -7, 100, INT32_MAX, INT32_MIN, INT64_MAX, INT64_MIN, 0x123456789abcdef,
    65536, -65536, 12345, -54321, 1 << 20, (int64_t)1 << 40,
};

static void fill(KScalar type, void *at, int stride)
{
    for (int k = 0; k < N; k++) {
        double x = reals[(k * stride + k / 32) % COUNT(reals)];
        int64_t i = ints[(k * stride + k / 25) % COUNT(ints)];
        switch (type) {
        case KS_F32: ((float *)at)[k] = (float)x; break;
        case KS_F64: ((double *)at)[k] = x; break;
        case KS_I32: ((int32_t *)at)[k] = (int32_t)(uint32_t)(uint64_t)i; break;
        case KS_I64: ((int64_t *)at)[k] = i; break;
        case KS_BOOL: ((unsigned char *)at)[k] = (unsigned char)(k * stride >> 1 & 1); break;
        case KS_VOID: case KS_PTR: break;
        }
    }
}

/* out[i] = op(a[i], b[i], c[i]) over 64 elements, 1 or 16 at a time. */
typedef KVal Body(KModule *m, KFunc *f, KVal a, KVal b, KVal c, int what);
static void elementwise(KModule *m, const char *name, KType type, Body *body, int what)
{
    KFunc *f = kfunc_new(m, name);
    KVal p[4], i, x[3];
    for (int k = 0; k < 4; k++)
        p[k] = k_arg(m, f, k);
    i = k_for(m, f, k_lo(m, f), k_hi(m, f), type.lanes);
    for (int k = 0; k < 3; k++)
        x[k] = k_load(m, f, type, p[k + 1], i);
    k_store(m, f, p[0], i, body(m, f, x[0], x[1], x[2], what));
    k_end(m, f);
}

static KVal any_operator(KModule *m, KFunc *f, KVal a, KVal b, KVal c, int what)
{
    switch (kop_operands((KOp)what)) {
    case 1: return k_1(m, f, (KOp)what, a);
    case 2: return k_2(m, f, (KOp)what, a, b);
    default: return k_3(m, f, (KOp)what, a, b, c);
    }
}

static KVal any_select(KModule *m, KFunc *f, KVal a, KVal b, KVal c, int what)
{
    KVal scalar = k_2(m, f, K_LT, k_int(m, f, KS_I32, what), k_int(m, f, KS_I32, 2));
    KVal x = k_3(m, f, K_SELECT, k_2(m, f, K_LE, a, b), b, c);
    return k_3(m, f, K_SELECT, scalar, x, a);
}

static KVal any_conversion(KModule *m, KFunc *f, KVal a, KVal b, KVal c, int what)
{
    (void)b, (void)c;
    return k_cast(m, f, (KType){(uint8_t)what, k_type(f, a).lanes}, a);
}

static void run_elementwise(Arena *arena, KModule *m, const KScalar *in, const KScalar *out)
{
    Ways ways;
    make_ways(arena, m, &ways);
    char *expected = arena_alloc(arena, BYTES), *previous = arena_alloc(arena, BYTES);
    void *table[4];
    for (int k = 0; k < 4; k++)
        table[k] = arena_alloc(arena, BYTES);
    for (int k = 0; k < m->func.len; k++) {
        fill(in[k], table[1], 1);
        fill(in[k], table[2], 7);
        fill(in[k], table[3], 11);
        compare_ways(&ways, k, table, out[k], 0, N, expected);
        if (k % 2)                                          /* the vector form of the function before */
            assert_memory_equal(expected, previous, BYTES);
        memcpy(previous, expected, BYTES);
    }
    free_ways(&ways);
}

static bool applies(KOp op, KScalar type)
{
    bool real = type == KS_F32 || type == KS_F64;
    if (type == KS_BOOL)
        return op == K_AND || op == K_OR || op == K_XOR;
    if (op == K_MULHI)
        return type == KS_I32;
    if (op == K_REM || (op >= K_AND && op <= K_SAR))
        return !real;
    return real || !(op >= K_FMA && op <= K_ROUND);
}

static void test_operators(void **state)
{
    (void)state;
    Arena *arena = arena_new();
    KModule *m = kmodule_new(arena);
    KScalar in[400], out[400];
    static const KScalar types[] = {KS_BOOL, KS_I32, KS_I64, KS_F32, KS_F64};
    for (int t = 0; t < COUNT(types); t++)
        for (KOp op = K_ADD; op <= K_SAR; op++)
            for (int lanes = 1; applies(op, types[t]) && lanes <= 16; lanes += 15) {
                in[m->func.len] = types[t];
                out[m->func.len] = op >= K_LT && op <= K_NE ? KS_BOOL : types[t];
                elementwise(m, kop_name(op), (KType){types[t], (uint8_t)lanes}, any_operator, op);
            }
    run_elementwise(arena, m, in, out);
    arena_free(arena);
}

static void test_conversions(void **state)
{
    (void)state;
    Arena *arena = arena_new();
    KModule *m = kmodule_new(arena);
    KScalar in[400], out[400];
    static const KScalar types[] = {KS_BOOL, KS_I32, KS_I64, KS_F32, KS_F64};
    for (int t = 0; t < COUNT(types); t++)
        for (int u = 1; u < COUNT(types); u++)
            for (int lanes = 1; lanes <= 16; lanes += 15) {
                in[m->func.len] = types[t];
                out[m->func.len] = types[u];
                elementwise(m, "convert", (KType){types[t], (uint8_t)lanes}, any_conversion, (int)types[u]);
            }
    for (int t = 1; t < COUNT(types); t++)
        for (int what = 1; what <= 2; what++)
            for (int lanes = 1; lanes <= 16; lanes += 15) {
                in[m->func.len] = out[m->func.len] = types[t];
                elementwise(m, "select", (KType){types[t], (uint8_t)lanes}, any_select, what);
            }
    run_elementwise(arena, m, in, out);
    arena_free(arena);
}

/* Fibonacci numbers by a swap of carried values, inside a sum over an outer loop; result 0 has zero turns. */
static void build_loops(KModule *m)
{
    KFunc *f = kfunc_new(m, "loops");
    KVal out = k_arg(m, f, 0), zero = k_int(m, f, KS_I64, 0), one = k_int(m, f, KS_I64, 1);
    KVal n = k_for(m, f, k_lo(m, f), k_hi(m, f), 1);
    KVal total = k_carry(m, f, zero);
    k_for(m, f, zero, n, 1);
    KVal a = k_carry(m, f, zero), b = k_carry(m, f, one);
    k_next(m, f, b);
    k_next(m, f, k_2(m, f, K_ADD, a, b));
    k_end(m, f);
    KVal fib = k_result(m, f, 0, KT(I64));
    KVal sum = k_2(m, f, K_ADD, total, fib);
    k_store(m, f, out, n, sum);
    k_next(m, f, sum);
    k_end(m, f);
    KVal last = k_result(m, f, 0, KT(I64));
    k_store(m, f, out, k_int(m, f, KS_I64, 100), last);
    k_for(m, f, k_int(m, f, KS_I64, 2), k_int(m, f, KS_I64, 12), 3);        /* 2, 5, 8, 11: constant bounds */
    KVal turns = k_carry(m, f, zero);
    k_next(m, f, k_2(m, f, K_ADD, turns, one));
    k_end(m, f);
    k_store(m, f, out, k_int(m, f, KS_I64, 101), k_result(m, f, 0, KT(I64)));
    k_for(m, f, one, zero, 1);
    KVal never = k_carry(m, f, zero);
    k_next(m, f, k_2(m, f, K_ADD, never, one));
    k_end(m, f);
    k_store(m, f, out, k_int(m, f, KS_I64, 102), k_result(m, f, 0, KT(I64)));
}

static void test_loops(void **state)
{
    (void)state;
    Arena *arena = arena_new();
    KModule *m = kmodule_new(arena);
    build_loops(m);
    Ways ways;
    make_ways(arena, m, &ways);
    int64_t out[BYTES / 8], expected[BYTES / 8];
    void *table[] = {out};
    compare_ways(&ways, 0, table, KS_I64, 0, 20, (char *)expected);
    static const int64_t fib[] = {0, 1, 1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144, 233, 377, 610, 987, 1597, 2584, 4181};
    int64_t sum = 0;
    for (int k = 0; k < 20; k++)
        assert_int_equal(expected[k], sum += fib[k]);
    assert_int_equal(expected[100], sum);
    assert_int_equal(expected[101], 4);
    assert_int_equal(expected[102], 0);
    compare_ways(&ways, 0, table, KS_I64, 5, 5, (char *)expected);
    assert_int_equal(expected[100], 0);
    free_ways(&ways);
    arena_free(arena);
}

/* A dot product by 16 partials and a tree, through a local copy; lanes, insert, rotate; data; offset. */
static void build_vectors(KModule *m)
{
    static const float weights[32] = {1, 2, 3, -4, 5.5f, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 0.1f, 0.2f, 0.3f};
    int number = kmodule_data(m, weights, sizeof weights);
    KFunc *f = kfunc_new(m, "vectors");
    KVal out = k_arg(m, f, 0), x = k_arg(m, f, 1), zero = k_int(m, f, KS_I64, 0);
    KVal copy = k_local(m, f, KS_F32, 32), w = k_data(m, f, number);
    KVal i = k_for(m, f, zero, k_int(m, f, KS_I64, 32), 16);
    k_store(m, f, copy, i, k_load(m, f, KV(F32), k_offset(m, f, KS_F32, x, i), zero));
    k_end(m, f);
    KVal none = k_real(m, f, KV(F32), 0);
    i = k_for(m, f, zero, k_int(m, f, KS_I64, 32), 16);
    KVal acc = k_carry(m, f, none);
    k_next(m, f, k_3(m, f, K_FMA, k_load(m, f, KV(F32), copy, i), k_load(m, f, KV(F32), w, i), acc));
    k_end(m, f);
    KVal partials = k_result(m, f, 0, KV(F32));
    KVal dot = k_tree(m, f, K_ADD, partials);
    k_store(m, f, out, zero, dot);
    KVal lanes = k_lanes(m, f, KV(F32));
    KVal v = k_insert(m, f, k_2(m, f, K_MUL, lanes, k_splat(m, f, dot)), 3, k_lane(m, f, lanes, 9));
    k_store(m, f, out, k_int(m, f, KS_I64, 1), k_rotate(m, f, v, 5));
    KVal mask = k_2(m, f, K_LT, k_lanes(m, f, KV(I32)), k_ints(m, f, KV(I32), 6));
    k_store(m, f, k_offset(m, f, KS_F32, out, k_int(m, f, KS_I64, 100)), zero, mask);
    KVal again = k_load(m, f, KV(BOOL), k_offset(m, f, KS_F32, out, k_int(m, f, KS_I64, 100)), zero);
    KVal chosen = k_3(m, f, K_SELECT, again, lanes, k_bits(m, f, KV(F32), k_ints(m, f, KV(I32), 0x40400000)));
    k_store(m, f, out, k_int(m, f, KS_I64, 200), chosen);
    KVal some = k_2(m, f, K_LT, k_real(m, f, KV(F32), 0), k_load(m, f, KV(F32), w, zero));
    k_compress(m, f, k_offset(m, f, KS_F32, out, k_int(m, f, KS_I64, 300)), some, lanes);
    k_compress(m, f, k_offset(m, f, KS_F32, out, k_int(m, f, KS_I64, 402)), mask, k_cast(m, f, KV(F64), v));
    k_prefetch(m, f, w, FETCH_NEAR);
    k_prefetch(m, f, w, FETCH_WRITTEN);
    /* beyond all memory */
    k_prefetch(m, f, k_offset(m, f, KS_F32, out, k_int(m, f, KS_I64, (int64_t)1 << 40)), FETCH);
}

/* Masks as bits, how many are set, the first of them. */
static void test_masks(void **state)
{
    (void)state;
    Arena *arena = arena_new();
    KModule *m = kmodule_new(arena);
    KFunc *f = kfunc_new(m, "masks");
    KVal out = k_arg(m, f, 0), lanes = k_lanes(m, f, KV(I32)), at = k_lo(m, f);
    KVal from = k_splat(m, f, k_cast(m, f, KT(I32), at)), high = k_int(m, f, KS_I64, 40);
    KVal bits = k_mask(m, f, k_2(m, f, K_LT, from, lanes)), wide = k_2(m, f, K_SHL, bits, high);
    KVal parts[] = {bits, k_ones(m, f, bits), k_first(m, f, bits), k_ones(m, f, wide), k_first(m, f, wide)};
    for (int k = 0; k < 5; k++)
        k_store(m, f, out, k_int(m, f, KS_I64, k), parts[k]);
    Ways ways;
    make_ways(arena, m, &ways);
    for (int lo = -1; lo < 16; lo++) {
        int64_t result[BYTES / 8] = {0}, got[BYTES / 8];
        void *table[] = {result};
        compare_ways(&ways, 0, table, KS_I64, lo, lo + 1, (char *)got);
        int ones = 15 - lo;
        assert_int_equal(got[0], 0xFFFFu & (0xFFFFu << (lo + 1)));
        assert_int_equal(got[1], ones);
        assert_int_equal(got[2], ones ? lo + 1 : 64);
        assert_int_equal(got[3], ones);
        assert_int_equal(got[4], ones ? lo + 41 : 64);
    }
    free_ways(&ways);
    arena_free(arena);
}

static void test_vectors(void **state)
{
    (void)state;
    Arena *arena = arena_new();
    KModule *m = kmodule_new(arena);
    build_vectors(m);
    Ways ways;
    make_ways(arena, m, &ways);
    float x[33], out[BYTES / 4], got[BYTES / 4];
    for (int k = 0; k < 33; k++)
        x[k] = 1.0f / (float)(k + 3);
    void *table[] = {out, x + 1};                           /* not aligned to a vector */
    compare_ways(&ways, 0, table, KS_F32, 0, 1, (char *)got);
    assert_true(got[200 + 5] == 5 && got[200 + 6] == 3 && got[1 + 14] == 9);
    assert_true(got[300 + 2] == 2 && got[300 + 3] == 4 && got[300 + 14] == 15);     /* without lane 3 */
    free_ways(&ways);
    arena_free(arena);
}

static KVal reduction(KModule *m, KFunc *f, KVal p)
{
    KVal lo = k_int(m, f, KS_I64, 0), hi = k_hi(m, f), none = k_real(m, f, KT(F32), 0);
    KVal i = k_for(m, f, lo, hi, 1), acc = k_carry(m, f, none);
    k_next(m, f, k_2(m, f, K_ADD, acc, k_load(m, f, KT(F32), p, i)));
    k_end(m, f);
    return k_result(m, f, 0, KT(F32));
}

/* Damages one instruction of a good kernel: each must be found. */
static void test_verifier(void **state)
{
    (void)state;
    Arena *arena = arena_new();
    for (int plant = 0; plant < 19; plant++) {
        KModule *m = kmodule_new(arena);
        KFunc *f = kfunc_new(m, "planted");
        KVal p = k_arg(m, f, 0), sum = reduction(m, f, p), lanes = k_lanes(m, f, KV(I32));
        k_store(m, f, p, k_int(m, f, KS_I64, 0), sum);
        k_compress(m, f, p, k_2(m, f, K_LT, lanes, lanes), lanes);
        k_prefetch(m, f, p, FETCH_NEAR);
        k_first(m, f, k_ones(m, f, k_mask(m, f, k_2(m, f, K_LT, lanes, lanes))));
        assert_null(kernel_verify(m, arena));
        KInst *c = f->code.at;
        int at[K_COUNT] = {0};
        for (int k = 1; k < f->code.len; k++)
            at[c[k].op] = k;
        switch (plant) {
        case 0: c[at[K_ADD]].a = (KVal)f->code.len - 1; break;              /* later value */
        case 1: c[at[K_ADD]].b = at[K_ARG]; break;                          /* type */
        case 2: c[at[K_STORE]].c = at[K_ADD]; break;                        /* out of its loop */
        case 3: c[at[K_END]].op = K_NOP; break;                             /* open loop */
        case 4: c[at[K_NEXT]].op = K_NOP; break;                            /* no next */
        case 5: c[at[K_NEXT]].a = at[K_FOR]; break;                         /* type of next */
        case 6: c[at[K_FOR]].imm = 0; break;
        case 7: c[at[K_RESULT]].imm = 1; break;
        case 8: c[at[K_LOAD]].a = at[K_FOR]; break;
        case 9: c[at[K_ADD]].op = K_XOR; break;                             /* floats */
        case 10: c[at[K_ADD]].op = K_COUNT; break;
        case 11: c[at[K_STORE]].a = 0; break;
        case 12: c[at[K_COMPRESS]].b = at[K_LANES]; break;                  /* no mask */
        case 13: c[at[K_COMPRESS]].c = at[K_RESULT]; break;                 /* no vector */
        case 14: c[at[K_PREFETCH]].a = at[K_LANES]; break;                  /* no pointer */
        case 15: c[at[K_PREFETCH]].imm = 3; break;
        case 16: c[at[K_MASK]].a = at[K_LANES]; break;                      /* no bools */
        case 17: c[at[K_ONES]].a = at[K_LANES]; break;                      /* no i64 */
        case 18: c[at[K_FIRST]].type = KT(I32); break;
        default: break;
        }
        if (!kernel_verify(m, arena))
            fail_msg("fault %d is not found", plant);
        CodeOptions options = {.opt_level = 0, .plugin = NIN_PLUGIN};
        const char *error = NULL;
        assert_null(code_jit(arena, m, &options, &error));
        assert_non_null(error);
    }
    arena_free(arena);
}

static void test_text(void **state)
{
    (void)state;
    Arena *arena = arena_new();
    KModule *m = kmodule_new(arena);
    KFunc *f = kfunc_new(m, "sum of x");
    KVal p = k_arg(m, f, 0), sum = reduction(m, f, p), zero = k_int(m, f, KS_I64, 0);
    k_store(m, f, p, zero, sum);
    Buf text = {0};
    kernel_print(m, &text);
    assert_string_equal(buf_done(&text, arena),
                        "kernel sum of x\n  %1 = arg 0 : ptr\n  %2 = int 0 : i64\n  %3 = hi : i64\n"
                        "  %4 = real 0 : f32\n"
                        "  %5 = for %2, %3 step 1 : i64\n    %6 = carry %4 : f32\n    %7 = load %1, %5 : f32\n"
                        "    %8 = add %6, %7 : f32\n    next %8\n  end\n  %11 = result %6 : f32\n  %12 = int 0 : i64\n"
                        "  store %1, %12, %11\n");
    arena_free(arena);
}

static void test_plugin(void **state)
{
    (void)state;
    Arena *arena = arena_new();
    KModule *m = kmodule_new(arena);
    build_vectors(m);
    const char *error = NULL;
    CodeOptions options = {.opt_level = 2, .cpu = "haswell", .plugin = NIN_PLUGIN};
    Buf text = {0};
    assert_true(emit_llvm(arena, m, &options, false, &text, &error));
    buf_put(&text, "", 1);
    assert_non_null(strstr(text.at, "<16 x float>"));
    buf_free(&text);
    assert_true(emit_llvm(arena, m, &options, true, &text, &error));
    buf_put(&text, "", 1);
    assert_non_null(strstr(text.at, "vfmadd"));
    buf_free(&text);
    Target target;
    assert_true(emit_target(&options, &target, &error));
    assert_int_equal(target.vector_bytes, 32);
    options.cpu = NULL;
    assert_true(emit_target(&options, &target, &error));
    options.cpu = "abacus";
    assert_false(emit_target(&options, &target, &error));
    assert_null(code_jit(arena, m, &options, &error));
    assert_non_null(strstr(error, "abacus"));
    options.plugin = "/nowhere/at/all.so";
    assert_null(code_jit(arena, m, &options, &error));
    assert_null(code_from_c(arena, m, "no-such-compiler", "/tmp", &error));
    assert_null(code_from_c(arena, m, "gcc", "/nowhere", &error));
    arena_free(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_operators), cmocka_unit_test(test_conversions), cmocka_unit_test(test_loops),
        cmocka_unit_test(test_masks), cmocka_unit_test(test_vectors), cmocka_unit_test(test_verifier),
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_plugin),
    };
    return cmocka_run_group_tests_name("kernel", tests, NULL, NULL);
}
