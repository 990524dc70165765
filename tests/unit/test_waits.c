/* test_waits.c -- which stages wait for which: those that touch what another writes, and no others. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "kernel/waits.h"

enum { STAGES = 4, ENTRIES = 4, BYTES = 4096 };

/* Stages that touch entries, all of them buffers but the last, which is a slot. */
typedef struct Case {
    Lowered low;
    MemoryPlan plan;
    Stage stage[STAGES];
    Entry entry[ENTRIES];
    int arg[STAGES][ENTRIES];
    bool writes[STAGES][ENTRIES];
    size_t offset[ENTRIES], bytes[ENTRIES];
    Wait wait[STAGES];
} Case;

static Case *begin(Case *c, StageSplit split) {
    *c = (Case){.entry = {{ENTRY_BUFFER, 0}, {ENTRY_BUFFER, 1}, {ENTRY_BUFFER, 2}, {ENTRY_BLOCK, 0}}};
    for (int s = 0; s < STAGES; s++)
        c->stage[s] = (Stage){.split = split, .count = 1000, .what = "", .arg = c->arg[s], .writes = c->writes[s]};
    for (int b = 0; b < ENTRIES; b++) c->offset[b] = (size_t)b * BYTES, c->bytes[b] = BYTES;
    c->plan = (MemoryPlan){.offset = c->offset, .bytes = c->bytes};
    c->low = (Lowered){.stage = c->stage, .stages = STAGES, .entry = c->entry, .entries = ENTRIES, .buffers = 3};
    return c;
}

static void touch(Case *c, int stage, int entry, bool writes) {
    c->writes[stage][c->stage[stage].args] = writes;
    c->arg[stage][c->stage[stage].args++] = entry;
}

static void check(Case *c, int stage, int first, int others) {
    waits_plan(&c->low, &c->plan, c->wait);
    assert_int_equal(c->wait[stage].first, first);
    assert_int_equal(c->wait[stage].others, others);
}

static void test_reads(void **state) {
    (void)state;
    Case c;
    for (int entry = 0; entry < ENTRIES; entry += 3) {
        for (int how = 0; how < 4; how++) {
            begin(&c, STAGE_TILES);
            touch(&c, 1, entry, how & 1);
            touch(&c, 3, entry, how & 2);
            check(&c, 3, how ? 1 : -1, how ? 1 : -1);
            check(&c, 2, -1, -1);
        }
    }
}

static void test_places(void **state) {
    (void)state;
    Case c;
    begin(&c, STAGE_QUEUE);
    touch(&c, 0, 1, false);
    touch(&c, 2, 2, true);
    check(&c, 2, -1, -1);
    c.offset[2] = c.offset[1] + BYTES - 64;
    check(&c, 2, 0, 0);
    c.entry[1].kind = c.entry[2].kind = ENTRY_SCRATCH;
    check(&c, 2, -1, -1);
}

/* Shares of shards are the same in all stages, and so are a relay's in its two; but places are not. */
static void test_shares(void **state) {
    (void)state;
    Case c;
    for (int relay = 0; relay < 2; relay++) {
        begin(&c, relay ? STAGE_TILES : STAGE_SHARDS);
        c.stage[1].split = STAGE_ONCE;
        if (relay) c.stage[3].split = STAGE_RELAY;
        touch(&c, relay ? 2 : 0, 1, true);
        touch(&c, 3, 1, false);
        check(&c, 3, -1, -1);
        touch(&c, 0, 0, true);
        touch(&c, 3, 2, true);
        c.offset[2] = 0;
        check(&c, 3, 0, 0);
    }
}

/* What thread 0 does alone waits only for what others have a share of, and others only for thread 0. */
static void test_alone(void **state) {
    (void)state;
    Case c;
    begin(&c, STAGE_ONCE);
    c.stage[0].split = STAGE_TILES;
    c.stage[3].split = STAGE_RANGE;
    for (int s = 0; s < STAGES; s++) touch(&c, s, 0, true);
    check(&c, 1, 0, 0);
    check(&c, 2, 0, 0);
    check(&c, 3, 2, 0);
    c.stage[3].count = SERIAL_TO;
    check(&c, 3, 0, 0);
}

/* In a loop, where pointers move, all wait for what came before; shards of a run for what came before the run. */
static void test_loops(void **state) {
    (void)state;
    Case c;
    StageLoop loop = {.first = 1, .stages = 3, .turns = 2};
    begin(&c, STAGE_SHARDS);
    c.stage[1].split = STAGE_TILES;
    c.low.loop = &loop;
    c.low.loops = 1;
    check(&c, 1, 0, 0);
    check(&c, 2, 1, 1);
    check(&c, 3, 1, 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reads), cmocka_unit_test(test_places), cmocka_unit_test(test_shares),
        cmocka_unit_test(test_alone), cmocka_unit_test(test_loops),
    };
    return cmocka_run_group_tests_name("waits", tests, NULL, NULL);
}
