/* test_threads.c -- the pool: every index once, whatever the number of threads, the counts and the nesting.
 * `make tsan` runs it under ThreadSanitizer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/base.h"
#include "support/threads.h"

enum { MOST = 10007 };
typedef struct Marks { unsigned char hit[MOST]; int owner[MOST]; int most_thread; Pool *pool; } Marks;

static void mark_range(void *data, int thread, int64_t lo, int64_t hi) {
    Marks *marks = data;
    for (int64_t i = lo; i < hi; i++) marks->hit[i]++, marks->owner[i] = thread;
}

static void mark_one(void *data, int thread, int64_t i) { mark_range(data, thread, i, i + 1); }

static void check_all(Marks *marks, int count, int threads) {
    for (int i = 0; i < MOST; i++) assert_int_equal(marks->hit[i], i < count);
    for (int i = 0; i < count; i++) assert_in_range(marks->owner[i], 0, threads - 1);
    memset(marks, 0, sizeof *marks);
}

static void test_ranges(void **state) {
    (void)state;
    static const int counts[] = {0, 1, 2, 3, 7, 32, 1000, MOST};
    Marks *marks = calloc(1, sizeof *marks);
    for (int threads = 0; threads <= 9; threads++) {
        Pool *pool = threads ? pool_new(threads) : NULL;
        int have = pool_threads(pool);
        assert_int_equal(have, threads ? threads : 1);
        for (int c = 0; c < COUNT(counts); c++) {
            pool_run(pool, counts[c], mark_range, marks);
            for (int i = 0; i < counts[c] && counts[c] > 1; i++)
                assert_true(marks->owner[i] * (int64_t)counts[c] / have <= i);
            check_all(marks, counts[c], have);
            pool_each(pool, counts[c], mark_one, marks);
            check_all(marks, counts[c], have);
        }
        pool_free(pool);
    }
    free(marks);
}

static void add_range(void *data, int thread, int64_t lo, int64_t hi) { ((int64_t *)data)[thread * 16] += hi - lo; }

/* Many small jobs, with pauses now and then so that workers fall asleep. */
static void test_many(void **state) {
    (void)state;
    int64_t sums[4 * 16] = {0}, total = 0;
    Pool *pool = pool_new(4);
    for (int i = 0; i < 20000; i++) {
        pool_run(pool, 5 + i % 3, add_range, sums);
        total += 5 + i % 3;
        if (i % 2000 == 0) usleep(1000);
    }
    assert_true(sums[0] + sums[16] + sums[32] + sums[48] == total);
    pool_free(pool);
}

static void nested(void *data, int thread, int64_t i) {
    Marks *marks = data;
    int64_t sum[16] = {0};
    pool_run(marks->pool, 100, add_range, sum);        /* runs here, as thread 0 */
    assert_true(sum[0] == 100);
    mark_one(data, thread, i);
}

static void test_nested(void **state) {
    (void)state;
    Marks *marks = calloc(1, sizeof *marks);
    Pool *pool = marks->pool = pool_new(3);
    pool_each(pool, 500, nested, marks);
    check_all(marks, 500, 3);
    pool_free(pool);
    free(marks);
}

static void *second_caller(void *data) {
    Marks *marks = data;
    for (int i = 0; i < 200; i++) {
        memset(marks->hit, 0, sizeof marks->hit);
        pool_run(marks->pool, 1000, mark_range, marks);
        for (int k = 0; k < 1000; k++)
            if (marks->hit[k] != 1) return marks;
    }
    return NULL;
}

static void test_two_callers(void **state) {
    (void)state;
    Marks *one = calloc(1, sizeof *one), *two = calloc(1, sizeof *two);
    pthread_t other;
    void *failed;
    one->pool = two->pool = pool_new(3);
    assert_int_equal(pthread_create(&other, NULL, second_caller, one), 0);
    assert_null(second_caller(two));
    pthread_join(other, &failed);
    assert_null(failed);
    pool_free(one->pool);
    free(one), free(two);
}

/* Parts that hand a chain on: each takes its turn behind the part before it, many times. */
enum { TURNS = 500 };
typedef struct Relay { Pool *pool; PoolMark mark[8]; int64_t chain[TURNS]; bool slow; } Relay;

static void relay_part(void *data, int thread, int64_t lo, int64_t hi) {
    Relay *relay = data;
    for (int turn = 0; turn < TURNS && hi - lo == 1; turn++) {
        if (thread > 0) pool_await(relay->pool, &relay->mark[thread - 1], (unsigned)turn + 1);
        if (relay->slow && turn % 100 == 0) usleep(1000);
        relay->chain[turn] = relay->chain[turn] * 8 + thread + 1;
        pool_raise(relay->pool, &relay->mark[thread], (unsigned)turn + 1);
    }
}

static void test_marks(void **state) {
    (void)state;
    for (int threads = 2; threads <= 6; threads++) {
        for (int slow = 0; slow < 2; slow++) {
            Relay *relay = aligned_alloc(64, (sizeof *relay + 63) / 64 * 64);
            int64_t expected = 0;
            memset(relay, 0, sizeof *relay);
            relay->slow = slow;
            relay->pool = pool_new(threads);
            pool_run(relay->pool, threads, relay_part, relay);
            for (int t = 0; t < threads; t++) expected = expected * 8 + t + 1;
            for (int turn = 0; turn < TURNS; turn++) assert_true(relay->chain[turn] == expected);
            pool_free(relay->pool);
            free(relay);
        }
    }
}

static void test_memory(void **state) {
    (void)state;
    Pool *pool = pool_new(2);
    PoolMemory one = {100, malloc(100)}, two = {200, malloc(200)};
    assert_null(pool_take(pool).at);
    assert_true(pool_give(pool, one));
    assert_true(pool_give(pool, two));
    PoolMemory got = pool_take(pool);
    assert_ptr_equal(got.at, two.at);
    assert_int_equal(got.bytes, 200);
    assert_null(pool_take(pool).at);
    assert_true(pool_give(pool, got));
    pool_free(pool);
    assert_false(pool_give(NULL, (PoolMemory){0}));
    assert_null(pool_take(NULL).at);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ranges), cmocka_unit_test(test_many), cmocka_unit_test(test_nested),
        cmocka_unit_test(test_two_callers), cmocka_unit_test(test_marks), cmocka_unit_test(test_memory),
    };
    return cmocka_run_group_tests_name("threads", tests, NULL, NULL);
}
