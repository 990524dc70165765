/* test_steps.c -- training steps of nets written in Nin: the state block after several steps, of a batch that is not a
 * whole number of shards, is the same, byte for byte, by the interpreter, by machine code of any kind, by emitted C, on
 * one, two and three threads, and however the steps are cut into calls. */
#include "traced.h"

#include "data/data.h"
#include "support/rng.h"
#include "support/threads.h"

enum { IMAGES = 200, BATCH = 70, MANY = 600, STEPS = 5, PIXELS = 784, CLASSES = 10 };

static const char program_text[] =
    "net two_net(x: f32[784]) -> f32[10] {\n"
    "  h = apply(inner[2], layernorm(dense[128](x)))\n"
    "  h = apply(inner[2], layernorm(dense[128](h)))\n"
    "  h = apply(inner[2], layernorm(dense[128](h)))\n"
    "  dense[10](h)\n"
    "}\n"
    "net small_net(x: f32[784]) -> f32[10] {\n"
    "  h = dropout[0.3](gcu(batchnorm(dense[24](x))))\n"
    "  h = h + prelu[0.2, share: feature](dense[24](h)) + 0.1 * normal_noise([24])\n"
    "  dense[10](layernorm(h))\n"
    "}\n"
    "net neuron(x: f32[2]) -> f32[1] = prelu[0](dense[1, bias: 0](x))\n"
    "momentum = sgd[lr: 0.05, momentum: 0.9, decay: 1e-4]\n"
    "slow = adam[lr: 3e-3]\n";

typedef struct Job {
    Text text;
    Arena *arena;
    Step step;
    DType precision;
    Feed feed;
    int64_t steps;
    void *start;
    const char *name;
} Job;

static const void *real_rows(const Job *j, const double *from, int64_t n) {
    if (j->precision == DT_F64) return from;
    float *at = arena_array(j->arena, float, n);
    for (int64_t i = 0; i < n; i++) at[i] = (float)from[i];
    return at;
}

static DataArray fixture(Arena *arena, const char *name) {
    DataArray array;
    char *error = NULL;
    const char *path = arena_printf(arena, "%s/data/nets/%s.npy", NIN_TESTS, name);
    if (!read_npy(arena, path, NULL, &array, &error)) fail_msg("%s", error);
    return array;
}

static void open_job(Job *j, const char *net, const char *loss, const char *optimizer, DType precision, Shape shape,
                     int classes) {
    *j = (Job){.text = text_open(program_text), .arena = arena_new(), .precision = precision, .steps = STEPS};
    text_step(&j->text, net, loss, optimizer, precision, shape, classes, &j->step);
    j->name = arena_printf(j->arena, "%s %s", net, dtype_name(precision));
    j->start = step_block(j->arena, &j->step);
    uint64_t *keys = arena_array(j->arena, uint64_t, j->step.keys + 1);
    for (int i = 0; i < j->step.keys; i++) keys[i] = rng_key(1, j->step.graph->key_names.at[i], 0, "", 0);
    j->feed.settings = j->step.settings;
    j->feed.keys = keys;
}

/* Images in an order of each epoch's own: epochs of 70, 70 and 60. */
static void feed_images(Job *j) {
    DataArray images = fixture(j->arena, "images_u8");
    double *x = arena_array(j->arena, double, IMAGES * PIXELS);
    uint32_t *order = arena_array(j->arena, uint32_t, 2 * IMAGES);
    for (int64_t i = 0; i < IMAGES * PIXELS; i++) x[i] = data_at(&images, i) / 255;
    for (int e = 0; e < 2; e++) rng_permutation(99, (uint32_t)e, IMAGES, order + e * IMAGES);
    j->feed.rows[0] = real_rows(j, x, IMAGES * PIXELS);
    j->feed.rows[1] = fixture(j->arena, "labels").bytes;
    j->feed.order = (const int32_t *)order;
    j->feed.examples = IMAGES;
    j->feed.batch = BATCH;
}

/* All in one batch of 19 shards, again and again. */
static void feed_many(Job *j) {
    feed_images(j);
    int32_t *order = arena_array(j->arena, int32_t, MANY), *labels = arena_array(j->arena, int32_t, MANY);
    float *x = arena_array(j->arena, float, MANY * PIXELS);
    for (int64_t i = 0; i < MANY; i++) {
        memcpy(x + i * PIXELS, (const float *)j->feed.rows[0] + i % IMAGES * PIXELS, sizeof *x * PIXELS);
        labels[i] = ((const int32_t *)j->feed.rows[1])[i % IMAGES];
        order[i] = (int32_t)(i * 7 % MANY);
    }
    j->feed.rows[0] = x;
    j->feed.rows[1] = labels;
    j->feed.order = order;
    j->feed.examples = j->feed.batch = MANY;
}

static void feed_xor(Job *j) {
    static const double x[] = {-1, -1, -1, 1, 1, -1, 1, 1}, y[] = {0, 1, 1, 0};
    j->feed.rows[0] = real_rows(j, x, 8);
    j->feed.rows[1] = real_rows(j, y, 4);
    j->feed.examples = j->feed.batch = 4;
    j->steps = 50;
}

static void close_job(Job *j) {
    arena_free(j->arena);
    text_close(&j->text);
}

/* The block, and behind it the losses of the steps. */
static const char *run(const Job *j, Program *program, int threads, int64_t cut) {
    char *block = arena_alloc(j->arena, j->step.layout.size + 64 + sizeof(double) * (size_t)j->steps);
    memcpy(block, j->start, j->step.layout.size);
    Pool *pool = threads > 1 ? pool_new(threads) : NULL;
    Feed feed = j->feed;
    for (int64_t from = 0; from < j->steps; from += cut) {
        int64_t to = from + cut < j->steps ? from + cut : j->steps;
        feed.series[0] = (double *)(block + j->step.layout.size) + from;
        feed.series_first = from;
        assert_int_equal(program->run(program, block, &feed, from, to, pool), 0);
    }
    if (pool) pool_free(pool);
    return block;
}

static void compare(const Job *j, const char *way, int threads, int64_t cut, const char *a, const char *b) {
    for (int i = 0; i < j->step.layout.slots; i++) {
        const Slot *slot = &j->step.layout.slot[i];
        size_t element = dtype_size(slot->dtype);
        int64_t at = first_difference(a + slot->offset, b + slot->offset, element,
                                      element * (size_t)shape_size(&slot->shape));
        if (at >= 0)
            fail_msg("%s by %s, %d threads, %lld steps a call: %s[%lld] differs", j->name, way, threads, (long long)cut,
                     slot->path, (long long)at);
    }
    const double *losses = (const double *)(a + j->step.layout.size);
    const double *others = (const double *)(b + j->step.layout.size);
    int64_t at = first_difference(losses, others, sizeof(double), sizeof(double) * (size_t)j->steps);
    if (at >= 0)
        fail_msg("%s by %s, %d threads: the loss of step %lld is %.17g, not %.17g", j->name, way, threads,
                 (long long)at, others[at], losses[at]);
}

static void check_way(const Job *j, const Way *way, const char *expected, bool every_cut) {
    int64_t fixed = j->feed.batch == j->feed.examples ? j->feed.batch : 0;
    Program *program = way_program(j->arena, way, j->step.graph, j->step.layout, fixed);
    compare(j, way->name, 2, 1, expected, run(j, program, 2, 1));
    if (every_cut) {
        compare(j, way->name, 1, j->steps, expected, run(j, program, 1, j->steps));
        compare(j, way->name, 1, 1, expected, run(j, program, 1, 1));
        compare(j, way->name, 2, j->steps, expected, run(j, program, 2, j->steps));
        compare(j, way->name, 3, 3, expected, run(j, program, 3, 3));
    }
    program->free(program);
}

static void check(Job *j, bool slow) {
    Program *oracle = program_interpret(j->arena, j->step.graph, j->step.layout);
    const char *expected = run(j, oracle, 1, j->steps);
    const double *losses = (const double *)(expected + j->step.layout.size);
    assert_true(isfinite(losses[j->steps - 1]) && losses[j->steps - 1] > 0);
    assert_memory_not_equal(expected, j->start, j->step.layout.size);
    if (!slow) compare(j, "interpreter", 1, 1, expected, run(j, oracle, 1, 1));
    for (int w = 0; w < COUNT(ways); w++)
        if (ways[w].kind != WAY_INTERPRET) check_way(j, &ways[w], expected, !slow || w == 0);
    close_job(j);
}

static void images(const char *net, const char *optimizer, DType precision) {
    Job j;
    open_job(&j, net, "cross_entropy", optimizer, precision, shape_of(1, (int64_t)PIXELS), CLASSES);
    feed_images(&j);
    bool slow = strcmp(net, "two_net") == 0;
    if (slow) j.steps = 3;
    check(&j, slow);
}

/* Threads begin the large gradients at different shards, which pass in more than one chunk. */
static void many_shards(void **state) {
    Job j;
    (void)state;
    open_job(&j, "small_net", "cross_entropy", "slow", DT_F32, shape_of(1, (int64_t)PIXELS), CLASSES);
    feed_many(&j);
    j.steps = 1;
    const char *expected = run(&j, program_interpret(j.arena, j.step.graph, j.step.layout), 1, 1);
    Program *program = way_program(j.arena, &ways[0], j.step.graph, j.step.layout, MANY);
    for (int threads = 1; threads <= 7; threads++)
        compare(&j, ways[0].name, threads, 1, expected, run(&j, program, threads, 1));
    program->free(program);
    close_job(&j);
}

static void neuron(const char *optimizer, DType precision) {
    Job j;
    open_job(&j, "neuron", "mse", optimizer, precision, shape_of(1, (int64_t)2), 0);
    feed_xor(&j);
    check(&j, false);
}

static void neuron_f32(void **state) { (void)state; neuron("slow", DT_F32); neuron("momentum", DT_F32); }
static void neuron_f64(void **state) { (void)state; neuron("slow", DT_F64); }
static void small_f32(void **state) { (void)state; images("small_net", "slow", DT_F32); }
static void small_f64(void **state) { (void)state; images("small_net", "momentum", DT_F64); }
static void two_arguments_f32(void **state) { (void)state; images("two_net", "slow", DT_F32); }
static void two_arguments_f64(void **state) { (void)state; images("two_net", "momentum", DT_F64); }

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(neuron_f32), cmocka_unit_test(neuron_f64), cmocka_unit_test(small_f32),
        cmocka_unit_test(small_f64), cmocka_unit_test(two_arguments_f32), cmocka_unit_test(two_arguments_f64),
        cmocka_unit_test(many_shards),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
