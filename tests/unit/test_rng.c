/* test_rng.c -- random numbers against the published vectors of lang/random.md. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>

#include "base/base.h"
#include "support/rng.h"

/* Known answers of the Random123 distribution, philox4x32 with 10 rounds. */
static void test_philox(void **state) {
    (void)state;
    static const struct { uint64_t key; uint32_t counter[4], out[4]; } known[] = {
        {0, {0, 0, 0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {UINT64_MAX, {-1u, -1u, -1u, -1u}, {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {UINT64_C(0x299f31d0a4093822), {0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    for (int i = 0; i < COUNT(known); i++) {
        uint32_t out[4];
        rng_words(known[i].key, known[i].counter, out);
        assert_memory_equal(out, known[i].out, sizeof out);
    }
}

static void test_keys(void **state) {
    (void)state;
    assert_true(rng_key(0, "init", 0, "", 0) == UINT64_C(0x168a06ec2ccf4fa0));
    assert_true(rng_key(1, "init", 1, "dense[1].w", 0) == UINT64_C(0xc8734a9ca3f8882d));
    assert_true(rng_key(7, "dropout", 2, "conv[2]/drop", 3) == UINT64_C(0x863c0bb55c139352));
    assert_true(rng_key(UINT64_MAX, "order", 1, "", 0) == UINT64_C(0x46110d83e525d385));
}

static const uint64_t KEY = UINT64_C(0xc8734a9ca3f8882d);

static void test_uniform(void **state) {
    (void)state;
    static const uint32_t word[8] = {0x15a1bd1a, 0x7b4a9506, 0x52f1d49e, 0xb294b12c,
                                     0x5fc69afb, 0x873a0d16, 0x310669a1, 0x7dbbb8bc};
    float filled[7] = {0};
    rng_fill_uniform(KEY, 7, filled);
    RngStream stream = rng_stream(KEY, 0);
    for (uint32_t i = 0; i < 8; i++) {
        assert_int_equal(rng_next(&stream), word[i]);
        assert_true(rng_uniform(KEY, i, 0, 0) == (float)(word[i] >> 8) / 16777216.0f);
        if (i < 7) assert_true(filled[i] == rng_uniform(KEY, i, 0, 0));
    }
    assert_true(rng_uniform(KEY, 0, 5, 9) == (float)(0x0d7dc5c8 >> 8) / 16777216.0f);
    assert_true(rng_uniform_of(UINT32_MAX) < 1.0f && rng_uniform_of(255) == 0.0f);
}

static uint32_t bits_of(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static void test_normal(void **state) {
    (void)state;
    static const double value[8] = {-2.208237601406849, 0.25634386100289036, -0.48558257059289467, -1.4206397385353533,
                                    -1.380260365467501, -0.24741881699588916, -1.8153432058356547, 0.10109870848560107};
    static const uint32_t bits[8] = {0xc00d53c4, 0x3e833f75, 0xbef89e4e, 0xbfb5d786, 0xbfb0ac5f, 0xbe7d5b6e, 0xbfe85d2b,
                                     0x3dcf0cc6};
    float filled[7];
    rng_fill_normal(KEY, 7, filled);
    for (uint32_t i = 0; i < 8; i++) {
        assert_int_equal(bits_of(rng_normal(KEY, i, 0, 0)), bits[i]);
        assert_true(fabs(rng_normal(KEY, i, 0, 0) - value[i]) < 1e-6);
        if (i < 7) assert_true(filled[i] == rng_normal(KEY, i, 0, 0));
    }
    assert_int_equal(bits_of(rng_normal(KEY, 3, 5, 9)), 0x3f138e50);
    assert_int_equal(bits_of(rng_truncated(KEY, 0, 0, 0, 2.0f)), 0xbf2f7bb5);
    float least[2], most[2];
    rng_normals_of(UINT32_MAX, 0, least);              /* u1 = 1: r = 0 */
    rng_normals_of(0, 0, most);                        /* u1 = 2^-24: the largest r, 5.768 */
    assert_true(least[0] == 0 && least[1] == 0);
    assert_true(fabsf(most[0] - 5.7681f) < 1e-3f && most[1] == 0);
}

/* Mean and variance of 100 000 draws; four standard errors. */
static void test_moments(void **state) {
    (void)state;
    enum { N = 100000 };
    float *z = malloc(N * sizeof *z);
    double sum = 0, square = 0;
    rng_fill_normal(KEY, N, z);
    for (int i = 0; i < N; i++) sum += z[i], square += (double)z[i] * z[i];
    assert_true(fabs(sum / N) < 4 / sqrt(N) && fabs(square / N - 1) < 4 * sqrt(2.0 / N));
    rng_fill_truncated(KEY, N, 2.0f, z);
    int redrawn = 0;
    for (int i = 0; i < N; i++) {
        assert_true(fabsf(z[i]) <= 2.0f);
        redrawn += z[i] != rng_normal(KEY, (uint32_t)i, 0, 0);
        if (i < 1000) assert_true(z[i] == rng_truncated(KEY, (uint32_t)i, 0, 0, 2.0f));
    }
    assert_true(redrawn > 4200 && redrawn < 4900);     /* P(|z| > 2) = 0.0455 */
    assert_true(rng_truncated(KEY, 0, 0, 0, 0.0f) == 0.0f);
    free(z);
}

static void test_permutation(void **state) {
    (void)state;
    static const uint32_t first[10] = {6, 0, 4, 8, 2, 3, 1, 5, 7, 9}, second[10] = {8, 6, 5, 1, 3, 7, 2, 9, 4, 0};
    static const uint32_t below[6] = {2145951120, 991068804, 2024411280, 43757728, 1017023906, 1355094466};
    uint64_t key = rng_key(1, "order", 1, "", 0);
    uint32_t out[10], large[1000];
    rng_permutation(key, 0, 10, out);
    assert_memory_equal(out, first, sizeof out);
    rng_permutation(key, 1, 10, out);
    assert_memory_equal(out, second, sizeof out);
    rng_permutation(key, 0, 0, out);
    rng_permutation(key, 0, 1, out);
    assert_int_equal(out[0], 0);
    RngStream stream = rng_stream(key, 0);
    for (int i = 0; i < 6; i++) assert_int_equal(rng_below(&stream, 0x80000001u), below[i]);
    assert_int_equal(stream.next, 13);                 /* seven words were passed over */
    assert_int_equal(rng_below(&stream, 1), 0);
    bool seen[1000] = {0};
    rng_permutation(key, 3, 1000, large);
    for (int i = 0; i < 1000; i++) {
        assert_true(large[i] < 1000 && !seen[large[i]]);
        seen[large[i]] = true;
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_philox), cmocka_unit_test(test_keys), cmocka_unit_test(test_uniform),
        cmocka_unit_test(test_normal), cmocka_unit_test(test_moments), cmocka_unit_test(test_permutation),
    };
    return cmocka_run_group_tests_name("rng", tests, NULL, NULL);
}
