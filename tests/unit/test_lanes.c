/* test_lanes.c -- trials in the lanes of one kernel end with the blocks and the losses of trials one by one, to the
 * bit: any number of them, equal or different settings, random numbers of each trial's own, cuts, two CPUs, without
 * optimisation. */
#include "traced.h"

#include "kernel/lanes.h"
#include "support/rng.h"

enum { MOST = 33, STEPS = 150 };                           /* more than one cut of lanes.c */

static const char program_text[] =
    "net neuron(x: f32[2]) -> f32[1] = prelu[0](dense[1, bias: 0](x))\n"
    "net noisy(x: f32[2]) -> f32[1] {\n"
    "  h = dropout[0.3](lecun_tanh(dense[3](x))) + 0.1 * normal_noise([3])\n"
    "  dense[1](gcu(batchnorm(h)))\n"
    "}\n"
    "net classes(x: f32[2]) -> f32[3] = dense[3](gcu(dense[4](x)))\n"
    "net deep(x: f32[2]) -> f32[1] = dense[1](tanh(dense[7](tanh(dense[7](x)))))\n"
    "momentum = sgd[lr: 0.05, momentum: 0.9, decay: 1e-4]\n"
    "slow = adam[lr: 3e-3]\n";

typedef struct Job { Text text; Arena *arena; Step step; Feed feed; DType precision; const char *name; } Job;

static void open_job(Job *j, const char *net, const char *optimizer, DType precision, int classes) {
    static const double x[] = {-1, -1, -1, 1, 1, -1, 1, 1, 0.5, 0.25}, y[] = {0, 1, 1, 0, 0.5};
    static const int32_t class[] = {0, 1, 2, 0, 1};
    *j = (Job){.text = text_open(program_text), .arena = arena_new(), .precision = precision};
    text_step(&j->text, net, classes ? "cross_entropy" : "mse", optimizer, precision, shape_of(1, (int64_t)2), classes,
              &j->step);
    j->name = arena_printf(j->arena, "%s with %s, %s", net, optimizer, dtype_name(precision));
    float *narrow = arena_array(j->arena, float, 15);
    for (int i = 0; i < 10; i++) narrow[i] = (float)x[i];
    for (int i = 0; i < 5; i++) narrow[10 + i] = (float)y[i];
    const void *rows[] = {x, y};
    if (precision == DT_F32) rows[0] = narrow, rows[1] = narrow + 10;
    j->feed = (Feed){.rows = {rows[0], classes ? (const void *)class : rows[1]}, .examples = 5, .batch = 5};
}

static void close_job(Job *j) {
    arena_free(j->arena);
    text_close(&j->text);
}

/* A trial's start, keys and settings; `differ`: the settings too. */
typedef struct Trial { char *start; Feed feed; } Trial;

static int count_settings(const Graph *graph) {
    int n = 0;
    for (int i = 0; i < graph->inputs.len; i++) n += graph->inputs.at[i].kind == IN_SETTING;
    return n;
}

static Trial trial_of(Job *j, int t, bool differ) {
    Trial trial = {.start = step_block(j->arena, &j->step), .feed = j->feed};
    int settings = count_settings(j->step.graph);
    for (int s = 0; s < j->step.learned; s++) {
        const Slot *slot = &j->step.layout.slot[s];
        for (int64_t i = 0; i < shape_size(&slot->shape); i++) {
            float *narrow = (float *)(trial.start + slot->offset) + i;
            double *wide = (double *)(trial.start + slot->offset) + i;
            if (slot->dtype == DT_F32) *narrow += 0.01f * (float)t;
            if (slot->dtype == DT_F64) *wide += 0.01 * t;
        }
    }
    double *setting = arena_array(j->arena, double, settings + 1);
    for (int i = 0; i < settings; i++) setting[i] = j->step.settings[i] * (differ ? 1 - 0.01 * t : 1);
    uint64_t *keys = arena_array(j->arena, uint64_t, j->step.keys + 1);
    for (int i = 0; i < j->step.keys; i++) keys[i] = rng_key((uint64_t)t, j->step.graph->key_names.at[i], 0, "", 0);
    trial.feed.settings = setting;
    trial.feed.keys = keys;
    return trial;
}

typedef struct Result { char *block; double *series; } Result;

static Result result_new(Job *j, const Trial *trial) {
    Result r = {step_block(j->arena, &j->step), arena_array(j->arena, double, STEPS + 1)};
    memcpy(r.block, trial->start, j->step.layout.size);
    return r;
}

/* One by one; the series has one step more than the block. */
static Result one_by_one(Job *j, const Trial *trial) {
    Result r = result_new(j, trial);
    char *after = step_block(j->arena, &j->step);
    Feed feed = trial->feed;
    feed.series[0] = r.series;
    Program *oracle = program_interpret(j->arena, j->step.graph, j->step.layout);
    assert_int_equal(oracle->run(oracle, r.block, &feed, 0, STEPS, NULL), 0);
    memcpy(after, r.block, j->step.layout.size);
    assert_int_equal(oracle->run(oracle, after, &feed, STEPS, STEPS + 1, NULL), 0);
    return r;
}

static void compare(const Job *j, const char *way, int n, int t, const Result *a, const Result *b) {
    for (int i = 0; i < j->step.layout.slots; i++) {
        const Slot *slot = &j->step.layout.slot[i];
        size_t element = dtype_size(slot->dtype);
        int64_t at = first_difference(a->block + slot->offset, b->block + slot->offset, element,
                                      element * (size_t)shape_size(&slot->shape));
        if (at >= 0)
            fail_msg("%s, %s, trial %d of %d: %s[%lld] differs", j->name, way, t, n, slot->path, (long long)at);
    }
    int64_t at = first_difference(a->series, b->series, sizeof(double), sizeof(double) * (STEPS + 1));
    if (at >= 0) fail_msg("%s, %s, trial %d of %d: the loss of step %lld differs", j->name, way, t, n, (long long)at);
}

static void run_lanes(Job *j, const char *way, const Lowered *lowered, KernelFn function, const Trial *trial, int n,
                      const Result *expected, int64_t cut) {
    void *block[64];
    Feed feed[64];
    Result got[64];
    for (int first = 0; first < n; first += lowered->trials) {
        int some = n - first < lowered->trials ? n - first : lowered->trials;
        for (int t = 0; t < some; t++) {
            got[t] = result_new(j, &trial[first + t]);
            block[t] = got[t].block;
            feed[t] = trial[first + t].feed;
            feed[t].series[0] = got[t].series;
        }
        for (int64_t from = 0; from < STEPS; from += cut) {
            int64_t to = from + cut < STEPS ? from + cut : STEPS;
            assert_int_equal(lanes_run(lowered, function, some, block, feed, from, to, to == STEPS), 0);
        }
        for (int t = 0; t < some; t++) compare(j, way, n, first + t, &expected[first + t], &got[t]);
    }
}

static void check(const char *net, const char *optimizer, DType precision, int classes, bool differ) {
    static const CodeOptions options[] = {
        {.opt_level = 2, .plugin = NIN_PLUGIN}, {.opt_level = 2, .plugin = NIN_PLUGIN, .cpu = "haswell"},
        {.opt_level = 0, .plugin = NIN_PLUGIN},
    };
    static const char *const name[] = {"-O2", "haswell", "-O0"};
    static const int count[] = {1, 15, 17, 33};
    Job j;
    Trial trial[MOST];
    Result expected[MOST];
    open_job(&j, net, optimizer, precision, classes);
    for (int t = 0; t < MOST; t++) {
        trial[t] = trial_of(&j, t, differ);
        expected[t] = one_by_one(&j, &trial[t]);
    }
    assert_memory_not_equal(expected[0].block, expected[1].block, j.step.layout.size);
    int settings = count_settings(j.step.graph);
    bool *slot = arena_array(j.arena, bool, j.step.layout.slots + 1),
         *setting = arena_array(j.arena, bool, settings + 1);
    for (int s = 0; s < j.step.learned; s++) slot[s] = true;
    for (int s = 0; s < settings; s++) setting[s] = differ;
    Lanes lanes = {slot, setting, j.step.layout.slots, settings};
    const Graph *graph = pass_simplify(j.arena, j.step.graph);
    for (int o = 0; o < COUNT(options); o++) {
        Target target;
        const char *error = NULL;
        assert_true(emit_target(&options[o], &target, &error));
        const Lowered *lowered = lower_lanes(j.arena, graph, j.step.layout, 5, target, &lanes);
        assert_non_null(lowered);
        Code *code = code_jit(j.arena, lowered->module, &options[o], &error);
        if (!code) fail_msg("%s", error);
        KernelFn function = code_function(code, lowered->stage[0].func);
        for (int k = 0; k < COUNT(count); k++)
            run_lanes(&j, name[o], lowered, function, trial, count[k], expected, k == 2 ? 37 : STEPS);
        code_free(code);
    }
    close_job(&j);
}

static void neuron(void **state) {
    (void)state;
    check("neuron", "slow", DT_F32, 0, false);
    check("neuron", "slow", DT_F32, 0, true);
    check("neuron", "momentum", DT_F64, 0, true);
}
static void noisy(void **state) {
    (void)state;
    check("noisy", "slow", DT_F32, 0, true);
    check("noisy", "momentum", DT_F64, 0, false);
}
static void classes(void **state) { (void)state; check("classes", "momentum", DT_F32, 3, true); }
static void deep(void **state) { (void)state; check("deep", "slow", DT_F32, 0, false); }

/* What is not a whole training loop has no lanes. */
static void no_lanes(void **state) {
    (void)state;
    Job j;
    open_job(&j, "neuron", "slow", DT_F32, 0);
    const Graph *graph = pass_simplify(j.arena, j.step.graph);
    bool none[64] = {false};
    Lanes lanes = {none, none, j.step.layout.slots, count_settings(j.step.graph)};
    Target wide = {.vector_bytes = 64, .registers = 32, .vectors = true}, plain = {.vector_bytes = 4, .registers = 16};
    assert_non_null(lower_lanes(j.arena, graph, j.step.layout, 5, wide, &lanes));
    assert_null(lower_lanes(j.arena, graph, j.step.layout, 5, plain, &lanes));
    assert_null(lower_lanes(j.arena, graph, j.step.layout, 0, wide, &lanes));
    assert_null(lower_lanes(j.arena, graph, j.step.layout, 100000, wide, &lanes));
    close_job(&j);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(neuron), cmocka_unit_test(noisy), cmocka_unit_test(classes), cmocka_unit_test(deep),
        cmocka_unit_test(no_lanes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
