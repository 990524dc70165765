/* test_nets.c -- the reference networks of tests/data/nets, written in Nin: logits, losses, gradients by inputs and by
 * parameters within the tolerances of its README, in f64 and f32; every way to run gives the interpreter's bits.
 *
 * Two programs per net and precision: `look` gives the logits of 200 images in batches of 70, `slope` the losses and
 * all gradients of 16 images in one batch. */
#include "traced.h"
#include "nets.h"

#include "data/data.h"

enum { IMAGES = 200, BATCH = 70, SLOPES = 16, PIXELS = 784, CLASSES = 10, LOSSES = 3, MAX_PARAMS = 24 };

typedef struct Fixture { const char *folder, *net; bool parameters; } Fixture;
static const Fixture relu_std = {"relu_std", "relu_net", true}, relu_adv = {"relu_adv", "relu_net", false},
                     twoarg_std = {"twoarg_std", "two_net", true};
static const char *const loss_fn[LOSSES] = {"ce", "dlr", "dlr_aimed"}, *const loss_file[LOSSES] = {"ce", "dlr", "dlrt"};

/* ---- files ---- */

static DataArray read_file(Arena *arena, const char *format, ...) {
    va_list args;
    va_start(args, format);
    const char *name = arena_vprintf(arena, format, args);
    va_end(args);
    DataArray array;
    char *error = NULL;
    const char *path = arena_printf(arena, "%s/data/nets/%s.npy", NIN_TESTS, name);
    if (!read_npy(arena, path, NULL, &array, &error)) fail_msg("%s", error);
    return array;
}

/* ---- programs ---- */

typedef struct Job {
    Text text;
    const Fixture *fixture;
    DType precision;
    Arena *arena;
    Graph *look, *slope;
    BlockLayout look_layout, slope_layout;
    Slot slots[2 * MAX_PARAMS];
    int params;
    void *x; const int32_t *label, *aim;
    double logits_error, loss_error, input_error, parameter_error;
} Job;

/* What a run leaves: in fixed places, so that bytes can be compared. */
typedef struct Result { void *logits, *loss[LOSSES], *slope[LOSSES], *block; } Result;

static size_t width(const Job *j) { return dtype_size(j->precision); }

static void job_slots(Job *j, const Trace *trace) {
    j->params = trace->params.len;
    assert_in_range(j->params, 1, MAX_PARAMS);
    for (int i = 0; i < j->params; i++) {
        const ParamInfo *p = &trace->params.at[i];
        j->slots[i] = (Slot){p->path, p->dtype, p->shape, 0};
        j->slots[j->params + i] = (Slot){arena_printf(j->arena, "slope of %s", p->path), p->dtype, p->shape, 0};
    }
}

static void build_look(Job *j) {
    Val out;
    Trace *trace = text_trace(&j->text, j->fixture->net, j->precision, false, shape_of(1, (int64_t)PIXELS), &out);
    graph_output(trace->graph, OUT_ROWS, 0, "logits", out);
    job_slots(j, trace);
    block_layout(j->slots, j->params, &j->look_layout);
    j->look = trace->graph;
}

static void build_slope(Job *j) {
    Val args[3], grad[MAX_PARAMS], wrt[MAX_PARAMS];
    Trace *trace = text_trace(&j->text, j->fixture->net, j->precision, false, shape_of(1, (int64_t)PIXELS), &args[0]);
    Graph *g = trace->graph;
    Val x = 0;
    for (Val v = 1; !x; v++)
        if (graph_node(g, v)->op == G_INPUT && graph_node(g, v)->batched) x = v;
    for (int k = 1; k < 3; k++) {
        args[k] = graph_input(g, IN_ROWS, k, k == 1 ? "target" : "aim", (NodeType){DT_I32, SHAPE0, true});
        trace_mark_classes(trace, args[k], CLASSES);
    }
    for (int i = 0; i < trace->params.len; i++) wrt[i] = trace->params.at[i].node;
    for (int k = 0; k < LOSSES; k++) {
        Val loss = text_call(&j->text, trace, "loss", loss_fn[k], args, 3), dx;
        graph_output(g, OUT_ROWS, k, "loss", loss);
        if (!pass_grad(g, loss, 0, &x, 1, &dx, &j->text.session->diags)) text_fail(&j->text, "gradient by the input");
        graph_output(g, OUT_ROWS, LOSSES + k, "slope", dx);
        if (k > 0) continue;
        if (!pass_grad(g, loss, 0, wrt, j->params, grad, &j->text.session->diags)) text_fail(&j->text, "gradient");
        for (int i = 0; i < j->params; i++) graph_output(g, OUT_BLOCK, j->params + i, "slope", grad[i]);
    }
    block_layout(j->slots, 2 * j->params, &j->slope_layout);
    const char *wrong = graph_verify(g, j->arena);
    if (wrong) fail_msg("%s", wrong);
    j->slope = g;
}

static void job_data(Job *j) {
    DataArray images = read_file(j->arena, "images_u8");
    assert_int_equal(images.rows, IMAGES);
    j->x = arena_alloc(j->arena, IMAGES * PIXELS * width(j));
    for (int64_t i = 0; i < IMAGES * PIXELS; i++) {
        double pixel = data_at(&images, i) / 255;
        if (j->precision == DT_F32) ((float *)j->x)[i] = (float)pixel;
        else ((double *)j->x)[i] = pixel;
    }
    j->label = read_file(j->arena, "labels").bytes;
    j->aim = read_file(j->arena, "%s/dlrt_target_16", j->fixture->folder).bytes;
}

static void load_weights(Job *j, const BlockLayout *layout, char *block) {
    for (int i = 0; i < j->params; i++) {
        const Slot *slot = &layout->slot[i];
        DataArray w = read_file(j->arena, "%s/%s", j->fixture->folder, nets_file(j->arena, slot->path));
        assert_int_equal(w.rows * shape_size(&w.shape), shape_size(&slot->shape));
        for (int64_t k = 0; k < shape_size(&slot->shape); k++) {
            if (j->precision == DT_F32) ((float *)(block + slot->offset))[k] = (float)data_at(&w, k);
            else ((double *)(block + slot->offset))[k] = data_at(&w, k);
        }
    }
}

static void run_look(Job *j, const Way *way, Result *r) {
    Arena *arena = arena_new();
    Feed feed = {.rows = {j->x}, .examples = IMAGES, .batch = BATCH, .out_rows = {r->logits}};
    void *block = arena_alloc(arena, j->look_layout.size + 64);
    load_weights(j, &j->look_layout, block);
    Program *program = way_program(arena, way, j->look, j->look_layout, 0);
    assert_int_equal(program->run(program, block, &feed, 0, (IMAGES + BATCH - 1) / BATCH, NULL), 0);
    program->free(program);
    arena_free(arena);
}

static void run_slope(Job *j, const Way *way, Result *r) {
    Arena *arena = arena_new();
    Feed feed = {.rows = {j->x, j->label, j->aim}, .examples = SLOPES, .batch = SLOPES};
    for (int k = 0; k < LOSSES; k++) {
        feed.out_rows[k] = r->loss[k];
        feed.out_rows[LOSSES + k] = r->slope[k];
    }
    load_weights(j, &j->slope_layout, r->block);
    Program *program = way_program(arena, way, j->slope, j->slope_layout, 0);
    assert_int_equal(program->run(program, r->block, &feed, 0, 1, NULL), 0);
    program->free(program);
    arena_free(arena);
}

static Result run(Job *j, const Way *way) {
    Result r = {.logits = arena_alloc(j->arena, IMAGES * CLASSES * width(j)),
                .block = arena_alloc(j->arena, j->slope_layout.size + 64)};
    for (int k = 0; k < LOSSES; k++) {
        r.loss[k] = arena_alloc(j->arena, SLOPES * width(j));
        r.slope[k] = arena_alloc(j->arena, SLOPES * PIXELS * width(j));
    }
    run_look(j, way, &r);
    run_slope(j, way, &r);
    return r;
}

/* ---- comparisons ---- */

static double number(const Job *j, const void *at, int64_t i) {
    return j->precision == DT_F32 ? (double)((const float *)at)[i] : ((const double *)at)[i];
}

/* The largest absolute difference; divided by the largest entry if `relative`. */
static double distance(const Job *j, const void *ours, const DataArray *theirs, bool relative) {
    double most = 0, largest = 0;
    for (int64_t i = 0; i < theirs->rows * shape_size(&theirs->shape); i++) {
        double difference = fabs(number(j, ours, i) - data_at(theirs, i)), entry = fabs(data_at(theirs, i));
        if (!(difference <= most)) most = difference;
        if (entry > largest) largest = entry;
    }
    return relative && largest > 0 ? most / largest : most;
}

static void raise_to(double *most, double x) {
    if (!(x <= *most)) *most = x;
}

static int predicted(const double *logits) {
    int best = 0;
    for (int k = 1; k < CLASSES; k++)
        if (logits[k] > logits[best]) best = k;
    return best;
}

static void compare_predictions(const Job *j, const Result *r) {
    DataArray logits = read_file(j->arena, "%s/logits_200", j->fixture->folder);
    for (int i = 0; i < IMAGES; i++) {
        double ours[CLASSES];
        for (int k = 0; k < CLASSES; k++) ours[k] = number(j, r->logits, i * CLASSES + k);
        assert_int_equal(predicted(ours), predicted((const double *)logits.bytes + i * CLASSES));
    }
}

static void compare_reference(Job *j, const Result *r) {
    const char *folder = j->fixture->folder;
    bool relative = j->precision == DT_F32;
    DataArray theirs = read_file(j->arena, "%s/logits_200", folder);
    raise_to(&j->logits_error, distance(j, r->logits, &theirs, false));
    for (int k = 0; k < LOSSES; k++) {
        theirs = read_file(j->arena, "%s/%s_16", folder, loss_file[k]);
        raise_to(&j->loss_error, distance(j, r->loss[k], &theirs, false));
        theirs = read_file(j->arena, "%s/grad_%s_input_16", folder, loss_file[k]);
        raise_to(&j->input_error, distance(j, r->slope[k], &theirs, relative));
    }
    for (int i = 0; i < j->params && j->fixture->parameters; i++) {
        theirs = read_file(j->arena, "%s/grad_ce_sum16_%s", folder, nets_file(j->arena, j->slots[i].path));
        const char *ours = (const char *)r->block + j->slope_layout.slot[j->params + i].offset;
        raise_to(&j->parameter_error, distance(j, ours, &theirs, relative));
    }
}

static void compare_bits(const Job *j, const char *way, const char *what, const void *a, const void *b, size_t bytes) {
    int64_t at = first_difference(a, b, width(j), bytes);
    if (at < 0) return;
    fail_msg("%s %s, %s: %s[%lld] is %.17g, by the interpreter %.17g", j->fixture->folder, dtype_name(j->precision),
             way, what, (long long)at, number(j, b, at), number(j, a, at));
}

static void compare_results(const Job *j, const char *way, const Result *a, const Result *b) {
    compare_bits(j, way, "logits", a->logits, b->logits, IMAGES * CLASSES * width(j));
    for (int k = 0; k < LOSSES; k++) {
        compare_bits(j, way, loss_fn[k], a->loss[k], b->loss[k], SLOPES * width(j));
        compare_bits(j, way, "slope", a->slope[k], b->slope[k], SLOPES * PIXELS * width(j));
    }
    for (int i = j->params; i < 2 * j->params; i++) {
        const Slot *slot = &j->slope_layout.slot[i];
        compare_bits(j, way, slot->path, (char *)a->block + slot->offset, (char *)b->block + slot->offset,
                     (size_t)shape_size(&slot->shape) * width(j));
    }
}

static void check(const Fixture *fixture, DType precision) {
    Job j = {.text = text_open(nets_text), .fixture = fixture, .precision = precision, .arena = arena_new()};
    job_data(&j);
    build_look(&j);
    build_slope(&j);
    const Way interpreter = {"interpreter", WAY_INTERPRET, 0, NULL};
    Result oracle = run(&j, &interpreter);
    compare_reference(&j, &oracle);
    printf("# %s %s: largest differences: logits %.1e, losses %.1e, input gradients %.1e, parameter gradients %.1e%s\n",
           fixture->folder, dtype_name(precision), j.logits_error, j.loss_error, j.input_error, j.parameter_error,
           precision == DT_F32 ? " (gradients: of the largest entry)" : "");
    compare_predictions(&j, &oracle);
    double value = precision == DT_F32 ? 2e-5 : 1e-12, slope = precision == DT_F32 ? 1e-4 : 1e-12;
    assert_true(j.logits_error <= value && j.loss_error <= value);
    assert_true(j.input_error <= slope && j.parameter_error <= slope);
    for (int w = 0; w < COUNT(ways); w++) {
        if (ways[w].kind == WAY_INTERPRET) continue;
        Result other = run(&j, &ways[w]);
        compare_results(&j, ways[w].name, &oracle, &other);
    }
    arena_free(j.arena);
    text_close(&j.text);
}

static void relu_std_f64(void **state) { (void)state; check(&relu_std, DT_F64); }
static void relu_std_f32(void **state) { (void)state; check(&relu_std, DT_F32); }
static void relu_adv_f64(void **state) { (void)state; check(&relu_adv, DT_F64); }
static void relu_adv_f32(void **state) { (void)state; check(&relu_adv, DT_F32); }
static void twoarg_std_f64(void **state) { (void)state; check(&twoarg_std, DT_F64); }
static void twoarg_std_f32(void **state) { (void)state; check(&twoarg_std, DT_F32); }

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(relu_std_f64), cmocka_unit_test(relu_std_f32), cmocka_unit_test(relu_adv_f64),
        cmocka_unit_test(relu_adv_f32), cmocka_unit_test(twoarg_std_f64), cmocka_unit_test(twoarg_std_f32),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
