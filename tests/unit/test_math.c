/* test_math.c -- the elementary functions and Philox: errors in ULP, special values, and the same bits from C and from
 * every way to run a kernel. */
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
#include "support/math.h"
#include "support/rng.h"

typedef struct Function {
    const char *name;
    float (*f32)(float); double (*exact32)(double); float range32;
    double (*f64)(double); long double (*exact64)(long double); double range64;
    KVal (*build)(KModule *m, KFunc *f, KVal x);
} Function;

static const Function functions[] = {
    {"exp", nin_exp_f32, exp, 110, nin_exp_f64, expl, 760, k_exp},
    {"log", nin_log_f32, log, 1e38f, nin_log_f64, logl, 1e300, k_log},
    {"sin", nin_sin_f32, sin, 0x1p45f, nin_sin_f64, sinl, 0x1p45, k_sin},
    {"cos", nin_cos_f32, cos, 0x1p45f, nin_cos_f64, cosl, 0x1p45, k_cos},
    {"tanh", nin_tanh_f32, tanh, 12, nin_tanh_f64, tanhl, 24, k_tanh},
    {"erf", nin_erf_f32, erf, 5, nin_erf_f64, erfl, 7, k_erf},
};

static uint64_t next_random(uint64_t *state)
{
    *state += 0x9E3779B97F4A7C15u;
    uint64_t z = (*state ^ *state >> 30) * 0xBF58476D1CE4E5B9u;
    return z ^ z >> 29;
}

/* A third each: uniform in the range; small numbers of all exponents; uniform near 1. */
static double sample(uint64_t *state, double range, int min_exponent)
{
    double u = (double)(int64_t)next_random(state) * 0x1p-63;
    switch (next_random(state) % 4) {
    case 0: return u * range;
    case 1: return u * 2;
    case 2: return ldexp(u, (int)(next_random(state) % (unsigned)(2 - min_exponent)) + min_exponent);
    default: return u * fmin(range, 100);
    }
}

static double error_f32(float got, double exact)
{
    if (isnan(exact) || isnan(got))
        return isnan(exact) && isnan(got) ? 0 : INFINITY;
    if (isinf(got))
        return fabs(exact) >= 0x1.ffffffp127 && (exact > 0) == (got > 0) ? 0 : INFINITY;
    int e = exact == 0 ? -149 : ilogb(exact) - 23;
    return fabs((double)got - exact) / ldexp(1, e < -149 ? -149 : e > 104 ? 104 : e);
}

static double error_f64(double got, long double exact)
{
    if (isnan(exact) || isnan(got))
        return isnan(exact) && isnan(got) ? 0 : INFINITY;
    if (isinf(got))
        return fabsl(exact) >= 0x1.fffffffffffff8p1023L && (exact > 0) == (got > 0) ? 0 : INFINITY;
    int e = exact == 0 ? -1074 : ilogbl(exact) - 52;
    return (double)(fabsl((long double)got - exact) / ldexpl(1, e < -1074 ? -1074 : e > 971 ? 971 : e));
}

static void test_errors_f32(void **state)
{
    (void)state;
    uint64_t random = 1;
    for (int k = 0; k < COUNT(functions); k++) {
        double worst = 0;
        float where = 0;
        for (int n = 0; n < 2000000; n++) {
            float x = (float)sample(&random, (double)functions[k].range32, -149);
            if (functions[k].f32 == nin_log_f32)
                x = fabsf(x);
            double e = error_f32(functions[k].f32(x), functions[k].exact32((double)x));
            if (e > worst)
                worst = e, where = x;
        }
        printf("  %s f32: %.3f ULP at %a\n", functions[k].name, worst, (double)where);
        assert_true(worst <= 2);
    }
}

static void test_errors_f64(void **state)
{
    (void)state;
    uint64_t random = 2;
    for (int k = 0; k < COUNT(functions); k++) {
        double worst = 0, where = 0;
        for (int n = 0; n < 200000; n++) {
            double x = sample(&random, functions[k].range64, -1074);
            if (functions[k].f64 == nin_log_f64)
                x = fabs(x);
            double e = error_f64(functions[k].f64(x), functions[k].exact64((long double)x));
            if (e > worst)
                worst = e, where = x;
        }
        printf("  %s f64: %.3f ULP at %a\n", functions[k].name, worst, where);
        assert_true(worst <= 2);
    }
}

static void same(const char *what, double got, double want)
{
    if (isnan(want) ? !isnan(got) : got != want || signbit(got) != signbit(want))
        fail_msg("%s: %a, not %a", what, got, want);
}

#define BOTH(f, x, y) \
    do { \
        same(#f " f32 of " #x, (double)nin_##f##_f32((float)(x)), (double)(float)(y)); \
        same(#f " f64 of " #x, nin_##f##_f64(x), (y)); \
    } while (0)

static void test_special_values(void **state)
{
    (void)state;
    BOTH(exp, 0.0, 1.0); BOTH(exp, -0.0, 1.0); BOTH(exp, -INFINITY, 0.0); BOTH(exp, INFINITY, (double)INFINITY);
    BOTH(exp, 1e4, (double)INFINITY); BOTH(exp, -1e4, 0.0);
    BOTH(log, 1.0, 0.0); BOTH(log, 0.0, -(double)INFINITY); BOTH(log, -0.0, -(double)INFINITY);
    BOTH(log, INFINITY, (double)INFINITY); BOTH(log, -1.0, (double)NAN); BOTH(log, -INFINITY, (double)NAN);
    BOTH(sin, 0.0, 0.0); BOTH(sin, -0.0, -0.0); BOTH(sin, INFINITY, (double)NAN); BOTH(sin, -INFINITY, (double)NAN);
    BOTH(cos, 0.0, 1.0); BOTH(cos, -0.0, 1.0); BOTH(cos, INFINITY, (double)NAN);
    BOTH(tanh, 0.0, 0.0); BOTH(tanh, -0.0, -0.0); BOTH(tanh, INFINITY, 1.0); BOTH(tanh, -INFINITY, -1.0);
    BOTH(tanh, -1e30, -1.0); BOTH(erf, 1e30, 1.0);
    BOTH(erf, 0.0, 0.0); BOTH(erf, -0.0, -0.0); BOTH(erf, INFINITY, 1.0); BOTH(erf, -INFINITY, -1.0);
    BOTH(exp, NAN, (double)NAN); BOTH(log, NAN, (double)NAN); BOTH(sin, NAN, (double)NAN); BOTH(cos, NAN, (double)NAN);
    BOTH(tanh, NAN, (double)NAN); BOTH(erf, NAN, (double)NAN);
    for (double x = 0x1p46; x < 1e308; x *= 1.9)
        assert_true(fabs(nin_sin_f64(x)) <= 1 && fabs(nin_cos_f64(-x)) <= 1 &&
                    fabsf(nin_sin_f32((float)fmin(x, 3e38))) <= 1);
}

/* ---- the same bits everywhere ---- */

enum { N = 100000 / 16 * 16 };

static void build_function(KModule *m, const Function *fn, KType type)
{
    KFunc *f = kfunc_new(m, fn->name);
    KVal out = k_arg(m, f, 0), in = k_arg(m, f, 1), lo = k_lo(m, f), hi = k_hi(m, f);
    KVal i = k_for(m, f, lo, hi, type.lanes);
    KVal x = k_load(m, f, type, in, i);
    k_store(m, f, out, i, fn->build(m, f, x));
    k_end(m, f);
}

static void fill_inputs(float *in32, double *in64)
{
    static const double special[] = {
        0, -0.0, INFINITY, -INFINITY, NAN, 1e-310, -1e-310, 1e-40, 5e-324, 1e308, -1e308, 1e38, 0.625, -0.625, 0.921875,
        0.70710678118654752, 88.7, -103.9, 709.7, -745.1, 4, 6, 10,
    };
    uint64_t random = 3;
    for (int k = 0; k < N; k++) {
        double x = k < COUNT(special) ? special[k] : sample(&random, pow(10, k % 20), -1074);
        in64[k] = x;
        in32[k] = k < N / 2 ? (float)x : (float)sample(&random, 100, -149);
    }
}

static void check_code(const Code *code, const char *way, const float *in32, const double *in64)
{
    float *out32 = malloc(sizeof(float) * N);
    double *out64 = malloc(sizeof(double) * N);
    for (int k = 0; k < COUNT(functions); k++)
        for (int v = 0; v < 2; v++) {
            const void *table32[] = {out32, in32}, *table64[] = {out64, in64};
            code_function(code, 4 * k + v)((void *const *)table32, 0, N);
            code_function(code, 4 * k + 2 + v)((void *const *)table64, 0, N);
            for (int n = 0; n < N; n++) {
                float want32 = functions[k].f32(in32[n]);
                double want64 = functions[k].f64(in64[n]);
                if (isnan(want32) ? !isnan(out32[n]) : memcmp(&want32, &out32[n], 4) != 0)
                    fail_msg("%s: %s f32 of %a: %a, not %a", way, functions[k].name, (double)in32[n],
                             (double)out32[n], (double)want32);
                if (isnan(want64) ? !isnan(out64[n]) : memcmp(&want64, &out64[n], 8) != 0)
                    fail_msg("%s: %s f64 of %a: %a, not %a", way, functions[k].name, in64[n], out64[n], want64);
            }
        }
    free(out32);
    free(out64);
}

static void test_generated(void **state)
{
    (void)state;
    Arena *arena = arena_new();
    KModule *m = kmodule_new(arena);
    for (int k = 0; k < COUNT(functions); k++) {
        build_function(m, &functions[k], KT(F32));
        build_function(m, &functions[k], KV(F32));
        build_function(m, &functions[k], KT(F64));
        build_function(m, &functions[k], KV(F64));
    }
    float *in32 = arena_array(arena, float, N);
    double *in64 = arena_array(arena, double, N);
    fill_inputs(in32, in64);
    static const CodeOptions ways[] = {
        {0, NULL, NIN_PLUGIN, false, 2}, {2, NULL, NIN_PLUGIN, false, 2}, {2, "haswell", NIN_PLUGIN, false, 2},
        {2, NULL, NIN_PLUGIN, true, 2},
    };
    static const char *const names[] = {"-O0", "-O2", "haswell", "neuron"};
    const char *error = NULL;
    for (int w = 0; w < COUNT(ways); w++) {
        Code *code = code_jit(arena, m, &ways[w], &error);
        if (!code)
            fail_msg("%s", error);
        check_code(code, names[w], in32, in64);
        code_free(code);
    }
    char folder[] = "/tmp/nin-test-XXXXXX";
    assert_non_null(mkdtemp(folder));
    Code *code = code_from_c(arena, m, "gcc", folder, &error);
    if (!code)
        fail_msg("%s", error);
    check_code(code, "C", in32, in64);
    code_free(code);
    assert_int_equal(system(arena_printf(arena, "rm -r %s", folder)), 0);
    arena_free(arena);
}

/* out[4 * lane + word] = word of counter (lo + lane, 1, 2, 3) under a key; function 0: zeros, scalar. */
static void build_philox(KModule *m, KType type, bool zeros)
{
    KFunc *f = kfunc_new(m, "philox");
    KVal out = k_arg(m, f, 0), counter[4], key[2], word[4];
    counter[0] = k_ints(m, f, type, 0);
    if (!zeros) {
        counter[0] = k_cast(m, f, KT(I32), k_lo(m, f));
        if (type.lanes == 16) {
            KVal first = k_splat(m, f, counter[0]);
            counter[0] = k_2(m, f, K_ADD, first, k_lanes(m, f, type));
        }
    }
    for (int k = 1; k < 4; k++)
        counter[k] = k_ints(m, f, type, zeros ? 0 : k);
    key[0] = k_ints(m, f, type, zeros ? 0 : 0x89abcdef);
    key[1] = k_ints(m, f, type, zeros ? 0 : 0x01234567);
    k_philox(m, f, counter, key, word);
    for (int k = 0; k < 4; k++)
        k_store(m, f, out, k_int(m, f, KS_I64, 16 * k), word[k]);
}

static void test_philox(void **state)
{
    (void)state;
    Arena *arena = arena_new();
    KModule *m = kmodule_new(arena);
    build_philox(m, KT(I32), true);
    build_philox(m, KT(I32), false);
    build_philox(m, KV(I32), false);
    CodeOptions options = {.opt_level = 2, .plugin = NIN_PLUGIN};
    const char *error = NULL;
    Code *code = code_jit(arena, m, &options, &error);
    if (!code)
        fail_msg("%s", error);
    uint32_t out[64];
    void *table[] = {out};
    code_function(code, 0)(table, 0, 1);
    assert_true(out[0] == 0x6627e8d5 && out[16] == 0xe169c58d && out[32] == 0xbc57ac4c && out[48] == 0x9b00dbd8);
    for (int v = 0; v < 2; v++) {
        code_function(code, 1 + v)(table, 77, 78);
        for (uint32_t lane = 0; lane < (v ? 16 : 1); lane++) {
            uint32_t counter[4] = {77 + lane, 1, 2, 3}, want[4];
            rng_words(UINT64_C(0x0123456789abcdef), counter, want);
            for (int k = 0; k < 4; k++)
                assert_int_equal(out[16 * k + (int)lane], want[k]);
        }
    }
    code_free(code);
    arena_free(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_errors_f32), cmocka_unit_test(test_errors_f64), cmocka_unit_test(test_special_values),
        cmocka_unit_test(test_generated), cmocka_unit_test(test_philox),
    };
    return cmocka_run_group_tests_name("math", tests, NULL, NULL);
}
