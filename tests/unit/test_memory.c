/* test_memory.c -- where buffers lie: no two that a stage needs at once share a byte; those that may share do. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "kernel/memory.h"

enum { STAGES = 12, BUFFERS = 30, BATCH = 100, FIXED = 4096 };

typedef struct Case {
    Lowered low;
    Stage stage[STAGES];
    Entry entry[BUFFERS];
    Buffer buffer[BUFFERS];
    int arg[STAGES][BUFFERS], first[BUFFERS], last[BUFFERS];
} Case;

static unsigned next(unsigned *seed) { return (*seed = *seed * 1664525 + 1013904223) >> 16; }

static void use(Case *c, int stage, int buffer) { c->arg[stage][c->stage[stage].args++] = buffer; }

static void begin(Case *c, int buffers) {
    *c = (Case){0};
    for (int s = 0; s < STAGES; s++) c->stage[s] = (Stage){.split = STAGE_ONCE, .what = "", .arg = c->arg[s]};
    for (int b = 0; b < buffers; b++) c->entry[b] = (Entry){ENTRY_SCRATCH, b};
    c->low = (Lowered){.stage = c->stage, .stages = STAGES, .entry = c->entry, .entries = buffers,
                       .buffer = c->buffer, .buffers = buffers, .lanes = 16};
}

static void scatter(Case *c, unsigned seed) {
    begin(c, BUFFERS);
    for (int b = 0; b < BUFFERS; b++) {
        int first = (int)(next(&seed) % STAGES), last = (int)(next(&seed) % STAGES);
        bool local = next(&seed) % 2;
        if (last < first || local) last = first;
        c->buffer[b] = (Buffer){.fixed = FIXED + 64 * (next(&seed) % 100), .scratch = true};
        if (local) {
            c->buffer[b].part = 1 + (int)(next(&seed) % 5);
            c->buffer[b].last_part = c->buffer[b].part + (int)(next(&seed) % 3);
        }
        c->first[b] = first;
        c->last[b] = last;
        use(c, first, b);
        if (last > first) use(c, last, b);
    }
}

static bool at_once(const Case *c, int a, int b) {
    const Buffer *x = &c->buffer[a], *y = &c->buffer[b];
    if (c->last[a] < c->first[b] || c->last[b] < c->first[a]) return false;
    return !x->part || !y->part || (x->part <= y->last_part && y->part <= x->last_part);
}

static void test_apart(void **state) {
    (void)state;
    for (unsigned seed = 1; seed <= 200; seed++) {
        Case c;
        MemoryPlan plan;
        scatter(&c, seed);
        assert_true(memory_plan(&c.low, BATCH, &plan));
        for (int a = 0; a < BUFFERS; a++) {
            assert_true(plan.offset[a] + c.buffer[a].fixed <= plan.scratch);
            for (int b = 0; b < a; b++) {
                if (!at_once(&c, a, b)) continue;
                assert_true(plan.offset[a] + c.buffer[a].fixed <= plan.offset[b] ||
                            plan.offset[b] + c.buffer[b].fixed <= plan.offset[a]);
            }
        }
        memory_plan_free(&plan);
    }
}

/* Four buffers of one stage in three of its parts, and one of the stage after it. */
static void test_shared(void **state) {
    static const int parts[][2] = {{1, 1}, {1, 2}, {2, 3}, {3, 3}};
    Case c;
    MemoryPlan plan;
    (void)state;
    begin(&c, 5);
    for (int b = 0; b < 4; b++) {
        c.buffer[b] = (Buffer){.fixed = FIXED, .scratch = true, .part = parts[b][0], .last_part = parts[b][1]};
        use(&c, 3, b);
    }
    c.buffer[4] = (Buffer){.fixed = FIXED, .scratch = true};
    use(&c, 4, 4);
    assert_true(memory_plan(&c.low, BATCH, &plan));
    assert_int_equal(plan.scratch, 2 * FIXED);
    assert_int_equal(plan.shared, 0);
    memory_plan_free(&plan);
    assert_int_equal(memory_bytes(&c.low, BATCH, 3), 3 * 2 * FIXED);
}

/* What threads share: a small buffer keeps away from the run of stages before its own, and of large ones only those
 * that a stage needs at once are apart. */
static void test_neighbours(void **state) {
    static const StageSplit split[] = {STAGE_SHARDS, STAGE_SHARDS, STAGE_ONCE, STAGE_TILES, STAGE_RELAY, STAGE_ONCE};
    static const int at[] = {0, 2, 3, 5};
    for (int large = 0; large < 2; large++) {
        Case c;
        MemoryPlan plan;
        size_t bytes = large ? (size_t)1 << 23 : FIXED;
        (void)state;
        begin(&c, COUNT(at));
        for (int s = 0; s < COUNT(split); s++) c.stage[s].split = split[s];
        for (int b = 0; b < COUNT(at); b++) {
            c.entry[b].kind = ENTRY_BUFFER;
            c.buffer[b] = (Buffer){.fixed = bytes};
            use(&c, at[b], b);
        }
        assert_true(memory_plan(&c.low, BATCH, &plan));
        assert_int_equal(plan.shared, (large ? 1 : 2) * bytes);
        for (int b = 1; b < COUNT(at) && !large; b++)
            assert_true(plan.offset[b] != plan.offset[b - 1]);
        memory_plan_free(&plan);
    }
}

/* Sums over the batch begin while other threads are at their shards: what they write is apart from what these need. */
static void test_early(void **state) {
    for (int early = 0; early < 2; early++) {
        Case c;
        MemoryPlan plan;
        size_t bytes = (size_t)1 << 23;
        (void)state;
        begin(&c, 2);
        c.stage[0].split = c.stage[1].split = STAGE_SHARDS;
        c.stage[2].split = early ? STAGE_SUMS : STAGE_TILES;
        for (int b = 0; b < 2; b++) {
            c.entry[b].kind = ENTRY_BUFFER;
            c.buffer[b] = (Buffer){.fixed = bytes};
            use(&c, 2 * b, b);
        }
        assert_true(memory_plan(&c.low, BATCH, &plan));
        assert_int_equal(plan.shared, (early ? 2 : 1) * bytes);
        memory_plan_free(&plan);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_apart), cmocka_unit_test(test_shared),
                                       cmocka_unit_test(test_neighbours), cmocka_unit_test(test_early)};
    return cmocka_run_group_tests_name("memory", tests, NULL, NULL);
}
