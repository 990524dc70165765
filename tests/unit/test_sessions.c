/* test_sessions.c -- sessions do not know of each other: several at once, one a thread, from text to trained weights,
 * leave the bytes and the diagnostics that each leaves alone.  Run under ThreadSanitizer by `make tsan`. */
#include "traced.h"

#include <pthread.h>

#include "support/rng.h"

enum { SESSIONS = 4, STEPS = 40, EXAMPLES = 70, FEATURES = 6 };

static const char *const program_text[] = {
    "net f(x: f32[6]) -> f32[2] {\n  h = apply(quadratic, dense[8](x))\n  dense[2](tanh(layernorm(h)))\n}\n"
    "rule = adam[lr: 0.01]\n",
    "cell bent(x) { param c: f32[4] = normal(0, 0.1);  polynomial(c, x) }\n"
    "net f(x: f32[6]) -> f32[2] = dense[2](dropout[0.2](bent(dense[8](x))))\nrule = sgd[lr: 0.02, momentum: 0.9]\n",
};
static const char wrong_text[] = "net f(x: f32[6]) -> f32[2] = dense[3](x)\nfit = dens[3]\nlist = [1, 2][3]\n";

typedef struct Job {
    int number;
    unsigned char *block;
    size_t size;
    const char *diagnostics;
    Arena *arena;
    bool failed;
} Job;

/* What goes wrong inside a thread must not jump out of it: only the main thread asserts. */
static bool train(Job *job) {
    Text t = text_open(program_text[job->number % COUNT(program_text)]);
    Step step;
    if (!session_check(t.session, t.module)) return false;
    text_step(&t, "f", "mse", "rule", DT_F32, shape_of(1, (int64_t)FEATURES), 0, &step);
    float *x = arena_array(t.arena, float, EXAMPLES * FEATURES), *y = arena_array(t.arena, float, EXAMPLES * 2);
    rng_fill_normal(1, EXAMPLES * FEATURES, x);
    rng_fill_uniform(2, EXAMPLES * 2, y);
    uint64_t *keys = arena_array(t.arena, uint64_t, step.keys + 1);
    Feed feed = {.rows = {x, y}, .examples = EXAMPLES, .batch = 35, .settings = step.settings, .keys = keys};
    void *block = step_block(t.arena, &step);
    Program *program = way_program(t.arena, &ways[0], step.graph, step.layout, 0);
    bool ok = program->run(program, block, &feed, 0, STEPS, NULL) == 0;
    program->free(program);
    job->size = step.layout.size;
    job->block = arena_alloc(job->arena, job->size + 1);
    memcpy(job->block, block, job->size);
    text_close(&t);
    return ok;
}

static void complain(Job *job) {
    Session *session = session_new(NULL);
    LoadedModule *module = session_load_text(session, "wrong.nin", wrong_text);
    if (module) session_check(session, module);
    Buf shown = {0};
    diags_render(&session->diags, DIAG_LINE, false, 100, 0, &shown);
    job->diagnostics = buf_done(&shown, job->arena);
    session_free(session);
}

static void *work(void *data) {
    Job *job = data;
    job->failed = !train(job);
    complain(job);
    return NULL;
}

static void run(Job *jobs, bool at_once) {
    pthread_t thread[SESSIONS];
    for (int i = 0; i < SESSIONS; i++) {
        jobs[i] = (Job){.number = i, .arena = arena_new()};
        if (at_once) assert_int_equal(pthread_create(&thread[i], NULL, work, &jobs[i]), 0);
        else work(&jobs[i]);
    }
    for (int i = 0; i < SESSIONS && at_once; i++) assert_int_equal(pthread_join(thread[i], NULL), 0);
    for (int i = 0; i < SESSIONS; i++) assert_false(jobs[i].failed);
}

static void sessions_at_once(void **state) {
    (void)state;
    Job alone[SESSIONS], together[SESSIONS];
    run(alone, false);
    for (int turn = 0; turn < 2; turn++) {
        run(together, true);
        for (int i = 0; i < SESSIONS; i++) {
            assert_int_equal(alone[i].size, together[i].size);
            assert_memory_equal(alone[i].block, together[i].block, alone[i].size);
            assert_string_equal(alone[i].diagnostics, together[i].diagnostics);
            assert_non_null(strstr(alone[i].diagnostics, "E0301"));
            arena_free(together[i].arena);
        }
    }
    for (int i = 0; i < SESSIONS; i++) arena_free(alone[i].arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(sessions_at_once)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
