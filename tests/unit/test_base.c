/* test_base.c -- arenas, interning, maps, text. */
#include "base/base.h"

#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

static void arena_gives_zeroed_aligned_memory(void **state)
{
    (void)state;
    Arena *arena = arena_new();
    static const size_t sizes[] = {0, 1, 15, 16, 17, 1000, 5000, 100000, 3 << 20};
    for (int round = 0; round < 50; round++)
        for (int i = 0; i < COUNT(sizes); i++) {
            if (i > 6 && round > 3)
                continue;
            char *at = arena_alloc(arena, sizes[i]);
            assert_int_equal((uintptr_t)at % 16, 0);
            for (size_t j = 0; j < sizes[i]; j++)
                assert_int_equal(at[j], 0);
            memset(at, 0xAA, sizes[i]);
        }
    assert_string_equal(arena_printf(arena, "%d %s", 7, "x"), "7 x");
    char *text = arena_printf(arena, "%0500d", 3);
    assert_int_equal(strlen(text), 500);
    assert_true(arena_used(arena) > 100000);
    arena_free(arena);
}

static void jump(void *data)
{
    longjmp(*(jmp_buf *)data, 1);
}

/* What was in one arena lives as long as the other, whichever of them is empty. */
static void arena_join_moves_all(void **state)
{
    (void)state;
    for (int full = 0; full < 4; full++) {
        Arena *into = arena_new(), *from = arena_new();
        char *a = full & 1 ? arena_copy(into, "into", 4) : NULL, *b = full & 2 ? arena_copy(from, "from", 4) : NULL;
        char *large = full & 2 ? arena_alloc(from, 1 << 20) : NULL;
        size_t used = arena_used(into) + arena_used(from);
        arena_join(into, from);
        assert_int_equal(arena_used(into), used);
        for (int i = 0; i < 1000; i++) memset(arena_alloc(into, 100), 7, 100);
        if (a) assert_string_equal(a, "into");
        if (b) assert_string_equal(b, "from");
        if (large) assert_int_equal(large[(1 << 20) - 1], 0);
        arena_free(into);
    }
}

static void arena_limit_calls_the_hook(void **state)
{
    (void)state;
    jmp_buf out;
    Arena *volatile arena = arena_new();
    arena_limit(arena, 1000);
    arena_on_exhausted(arena, jump, &out);
    if (setjmp(out) == 0) {
        arena_alloc(arena, 500);
        arena_alloc(arena, 501);
        fail_msg("the limit was not kept");
    }
    if (setjmp(out) == 0) {
        arena_alloc(arena, SIZE_MAX - 3);
        fail_msg("an impossible size was given");
    }
    arena_free(arena);
}

static void vectors_grow(void **state)
{
    (void)state;
    Arena *arena = arena_new();
    VEC(int) v = {0};
    for (int i = 0; i < 1000; i++)
        vec_push(arena, &v, i * i);
    assert_int_equal(v.len, 1000);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(v.at[i], i * i);
    arena_free(arena);
}

static void *intern_many(void *data)
{
    Intern *table = data;
    for (int i = 0; i < 20000; i++) {
        char text[16];
        int length = 0;
        for (int x = i % 5000; length == 0 || x; x /= 26)
            text[length++] = (char)('a' + x % 26);
        Name name = intern(table, text, (size_t)length);
        if (memcmp(name, text, (size_t)length) || name[length])
            return data;
    }
    return NULL;
}

static void names_are_one_per_text(void **state)
{
    (void)state;
    Intern *table = intern_new();
    assert_ptr_equal(intern_text(table, "net"), intern(table, "network", 3));
    assert_ptr_not_equal(intern_text(table, "net"), intern_text(table, "nets"));
    assert_ptr_equal(intern(table, "a\0b", 3), intern(table, "a\0b", 3));
    assert_ptr_not_equal(intern(table, "a\0b", 3), intern(table, "a", 1));
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, intern_many, table), 0);
    for (int i = 0; i < 4; i++) {
        void *failed;
        pthread_join(threads[i], &failed);
        assert_null(failed);
    }
    intern_free(table);
}

static void maps_keep_order(void **state)
{
    (void)state;
    Arena *arena = arena_new();
    Map map;
    map_init(&map, arena);
    static int keys[5000];
    assert_null(map_get(&map, &keys[0]));
    for (int i = 0; i < 5000; i++)
        map_put(&map, &keys[(i * 7) % 5000], &keys[i]);
    assert_int_equal(map.len, 5000);
    for (int i = 0; i < 5000; i++) {
        assert_ptr_equal(map.key[i], &keys[(i * 7) % 5000]);
        assert_ptr_equal(map_get(&map, &keys[(i * 7) % 5000]), &keys[i]);
    }
    map_put(&map, &keys[14], NULL);
    assert_int_equal(map.len, 5000);
    assert_null(map_get(&map, &keys[14]));
    assert_true(map_has(&map, &keys[14]));
    assert_false(map_has(&map, &map));
    arena_free(arena);
}

static void buffers_grow(void **state)
{
    (void)state;
    Arena *arena = arena_new();
    Buf buf = {0};
    for (int i = 0; i < 1000; i++)
        buf_printf(&buf, "%d,", i);
    buf_printf(&buf, "%0300d", 1);
    buf_text(&buf, "end");
    assert_int_equal(buf.len, strlen(buf.at));
    assert_memory_equal(buf.at, "0,1,2,", 6);
    char *text = buf_done(&buf, arena);
    assert_null(buf.at);
    assert_string_equal(text + strlen(text) - 4, "1end");
    assert_string_equal(buf_done(&buf, arena), "");
    static const int64_t whole[] = {0, 7, -1, 1234567890123456789, INT64_MIN, INT64_MAX};
    for (int i = 0; i < COUNT(whole); i++)
        buf_int(&buf, whole[i]);
    assert_string_equal(buf_done(&buf, arena), "07-11234567890123456789-92233720368547758089223372036854775807");
    arena_free(arena);
}

static void numbers_read_back(void **state)
{
    (void)state;
    static const struct { double x; const char *text; } known[] = {
        {0.1, "0.1"}, {1e-8, "1e-08"}, {-0.0, "-0"}, {INFINITY, "inf"}, {-INFINITY, "-inf"}, {NAN, "nan"}, {3, "3"},
        {50000, "50000"}, {1e21, "1e+21"}, {1.0 / 3, "0.3333333333333333"}, {5e-324, "5e-324"}, {123456.5, "123456.5"},
    };
    char text[32];
    for (int i = 0; i < COUNT(known); i++) {
        text_of_f64(text, known[i].x);
        assert_string_equal(text, known[i].text);
    }
    text_of_f32(text, 0.1f);
    assert_string_equal(text, "0.1");
    text_of_f32(text, 16777216.0f);
    assert_string_equal(text, "16777216");
    uint64_t bits = 88172645463325252u;
    for (int i = 0; i < 20000; i++) {
        bits ^= bits << 13, bits ^= bits >> 7, bits ^= bits << 17;
        double x, back;
        memcpy(&x, &bits, sizeof x);
        text_of_f64(text, x);
        back = strtod(text, NULL);
        assert_true(isnan(x) ? isnan(back) : memcmp(&x, &back, sizeof x) == 0);
        uint32_t half = (uint32_t)bits;
        float y, small;
        memcpy(&y, &half, sizeof y);
        text_of_f32(text, y);
        small = strtof(text, NULL);
        assert_true(isnan(y) ? isnan(small) : memcmp(&y, &small, sizeof y) == 0);
    }
}

static void distances(void **state)
{
    (void)state;
    assert_int_equal(text_distance("layernorm", "layernrom", 3), 1);
    assert_int_equal(text_distance("bias", "biass", 3), 1);
    assert_int_equal(text_distance("dense", "dense", 3), 0);
    assert_int_equal(text_distance("", "abc", 3), 3);
    assert_int_equal(text_distance("abcdef", "uvwxyz", 2), 3);
    assert_int_equal(text_distance("kitten", "sitting", 9), 3);
}

static void hashes(void **state)
{
    (void)state;
    assert_true(fnv1a("", 0, FNV1A_START) == FNV1A_START);
    assert_true(fnv1a("a", 1, FNV1A_START) == UINT64_C(0xaf63dc4c8601ec8c));
    assert_true(fnv1a("foobar", 6, FNV1A_START) == UINT64_C(0x85944171f73967e8));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arena_gives_zeroed_aligned_memory), cmocka_unit_test(arena_join_moves_all),
        cmocka_unit_test(arena_limit_calls_the_hook),
        cmocka_unit_test(vectors_grow), cmocka_unit_test(names_are_one_per_text), cmocka_unit_test(maps_keep_order),
        cmocka_unit_test(buffers_grow), cmocka_unit_test(numbers_read_back), cmocka_unit_test(distances),
        cmocka_unit_test(hashes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
