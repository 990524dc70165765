/* test_ways.c -- the library's cells, layers, functions and losses, with their slopes by input and parameters, give the
 * bits of the interpreter on every way to run.  35 examples: a whole shard and three more.  Special values among the
 * inputs: zeros of both signs, huge and tiny numbers, infinity, NaN. */
#include "library_cases.h"

#include "support/threads.h"

enum { BATCH = 35, MAX_PARAMS = 24 };

typedef struct Job {
    Text text;
    const Case *it;
    DType precision;
    Arena *arena;
    Graph *g;
    Trace *trace;
    Val x, out;
    NodeType rows[8];                      /* of OUT_ROWS */
    int out_rows;
    Slot slot[2 * MAX_PARAMS];
    BlockLayout layout;
    Feed feed;
    char *start;
    uint64_t bits;
} Job;

typedef struct Result { char *block; void *rows[8]; } Result;

static double draw(Job *j) {
    j->bits = j->bits * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (double)(j->bits >> 11) * 0x1p-52 - 1;
}

static void store(const Job *j, void *at, int64_t i, double x) {
    if (j->precision == DT_F32) ((float *)at)[i] = (float)x;
    else ((double *)at)[i] = x;
}

/* One row in five holds something special. */
static void *draw_rows(Job *j, int64_t size, bool special) {
    static const double values[] = {0.0, -0.0, 1, -1, 1e30, -1e30, 1e-42, 88.5, -104, INFINITY, NAN};
    void *at = arena_alloc(j->arena, (size_t)(BATCH * size) * dtype_size(j->precision));
    for (int64_t i = 0; i < BATCH * size; i++) {
        double x = 1.5 * draw(j);
        if (special && i / size % 5 == 4 && draw(j) > 0.5) x = values[(int)((draw(j) + 1) / 2 * COUNT(values))];
        store(j, at, i, x);
    }
    return at;
}

static int32_t *draw_classes(Job *j, int64_t size, int classes) {
    int32_t *at = arena_array(j->arena, int32_t, BATCH * size);
    for (int64_t i = 0; i < BATCH * size; i++) at[i] = (int32_t)((draw(j) + 1) / 2 * classes) % classes;
    return at;
}

/* ---- the graph ---- */

static Val make_target(Job *j, NodeType out) {
    if (j->it->target == CLASS_TARGET) {
        Shape places = {.rank = out.shape.rank - 1};
        memcpy(places.dim, out.shape.dim + 1, sizeof(int64_t) * (size_t)places.rank);
        Val target = graph_input(j->g, IN_ROWS, 1, "target", (NodeType){DT_I32, places, true});
        trace_mark_classes(j->trace, target, out.shape.dim[0]);
        j->feed.rows[1] = draw_classes(j, shape_size(&places), (int)out.shape.dim[0]);
        return target;
    }
    j->feed.rows[1] = draw_rows(j, shape_size(&out.shape), false);
    return graph_input(j->g, IN_ROWS, 1, "target", (NodeType){j->precision, out.shape, true});
}

static void show_rows(Job *j, Val v) {
    NodeType type = graph_type(j->g, v);
    if (!type.batched) {
        type.batched = true;
        v = graph_add(j->g, G_BROADCAST, &v, 1, NULL, &type, (Span){0});
    }
    j->rows[j->out_rows] = type;
    graph_output(j->g, OUT_ROWS, j->out_rows++, "rows", v);
}

static void open_net(Job *j) {
    Value net = text_value(&j->text, "f"), result;
    bool integers = j->it->flags & INTEGERS;
    NodeType type = {integers ? DT_I32 : j->precision, case_shape(j->it), true};
    j->trace = trace_new(&j->text.e, j->precision, j->it->flags & TRAINING);
    j->g = j->trace->graph;
    j->x = graph_input(j->g, IN_ROWS, 0, "x", type);
    Value x = trace_value(j->x);
    if (!trace_net(&j->text.e, j->trace, &net, &x, 1, (Span){0}, &result)) text_fail(&j->text, j->it->text);
    j->text.e.trace = j->trace;
    if (!value_as_node(&j->text.e, &result, (Span){0}, &j->out)) text_fail(&j->text, j->it->text);
    if (integers) j->feed.rows[0] = draw_classes(j, shape_size(&type.shape), TOKENS);
    else j->feed.rows[0] = draw_rows(j, shape_size(&type.shape), true);
    if (j->it->target == NO_TARGET) return;
    Val args[2] = {j->out, make_target(j, graph_type(j->g, j->out))};
    j->out = text_call(&j->text, j->trace, "loss", "g", args, 2);
}

/* Slopes of the sum of all outputs over the batch. */
static void add_slopes(Job *j) {
    Val wrt[MAX_PARAMS + 1] = {j->x}, grad[MAX_PARAMS + 1] = {0};
    NodeType type = graph_type(j->g, j->out);
    int n = j->trace->params.len, integers = !!(j->it->flags & INTEGERS);
    Val total = graph_reduce(j->g, G_SUM, j->out, (1u << type.shape.rank) - 1);
    if (graph_node(j->g, total)->batched) total = graph_reduce(j->g, G_BATCH_SUM, total, 0);
    for (int i = 0; i < n; i++) wrt[i + 1] = j->trace->params.at[i].node;
    if (!pass_grad(j->g, total, 0, wrt + integers, n + 1 - integers, grad + integers, &j->text.session->diags))
        text_fail(&j->text, j->it->text);
    show_rows(j, j->out);
    if (grad[0]) show_rows(j, grad[0]);
    for (int i = 0; i < n; i++) {
        const ParamInfo *p = &j->trace->params.at[i];
        j->slot[i] = (Slot){p->path, p->dtype, p->shape, 0};
        j->slot[n + i] = (Slot){p->path, p->dtype, p->shape, 0};
        if (grad[i + 1]) graph_output(j->g, OUT_BLOCK, n + i, "slope", grad[i + 1]);
        if (p->state && p->next) graph_output(j->g, OUT_BLOCK, i, p->path, p->next);
    }
    block_layout(j->slot, 2 * n, &j->layout);
    j->start = arena_alloc(j->arena, j->layout.size + 64);
    for (int i = 0; i < n; i++)
        for (int64_t k = 0; k < shape_size(&j->slot[i].shape); k++)
            store(j, j->start + j->layout.slot[i].offset, k, 0.6 * draw(j) + (j->trace->params.at[i].state ? 0.8 : 0));
}

/* ---- runs ---- */

static Result run(const Job *j, Program *program, int threads) {
    Result r = {.block = arena_alloc(j->arena, j->layout.size + 64)};
    memcpy(r.block, j->start, j->layout.size);
    Feed feed = j->feed;
    Pool *pool = threads > 1 ? pool_new(threads) : NULL;
    for (int k = 0; k < j->out_rows; k++)
        feed.out_rows[k] = r.rows[k] = arena_alloc(j->arena, (size_t)(BATCH * shape_size(&j->rows[k].shape)) * 8);
    assert_int_equal(program->run(program, r.block, &feed, 0, 1, pool), 0);
    if (pool) pool_free(pool);
    return r;
}

static double number(DType dtype, const void *at, int64_t i) {
    return dtype == DT_F32 ? (double)((const float *)at)[i] : dtype == DT_F64 ? ((const double *)at)[i]
                                                                                : (double)((const int32_t *)at)[i];
}

/* NaNs are equal whatever their sign and payload. */
static void compare(const Job *j, const char *way, const char *what, DType dtype, const char *a, const char *b,
                    int64_t n) {
    size_t width = dtype_size(dtype);
    for (int64_t i = 0; i < n; i++) {
        double x = number(dtype, a, i), y = number(dtype, b, i);
        if ((isnan(x) && isnan(y)) || !memcmp(a + (size_t)i * width, b + (size_t)i * width, width)) continue;
        fail_msg("%s\n%s by %s: %s[%lld] is %.17g, by the interpreter %.17g", j->it->text, dtype_name(dtype), way, what,
                 (long long)i, y, x);
    }
}

static void compare_results(const Job *j, const char *way, const Result *a, const Result *b) {
    for (int k = 0; k < j->out_rows; k++)
        compare(j, way, k ? "slope by x" : "output", j->rows[k].dtype, a->rows[k], b->rows[k],
                BATCH * shape_size(&j->rows[k].shape));
    for (int i = 0; i < j->layout.slots; i++) {
        const Slot *slot = &j->layout.slot[i];
        const char *what = arena_printf(j->arena, "%s%s", i < j->trace->params.len ? "" : "slope by ", slot->path);
        compare(j, way, what, slot->dtype, a->block + slot->offset, b->block + slot->offset, shape_size(&slot->shape));
    }
}

static void check_case(const Case *it, DType precision, int only) {
    Arena *arena = arena_new();
    Job j = {.text = text_open(case_source(arena, it)), .it = it, .precision = precision, .arena = arena, .bits = 99};
    open_net(&j);
    uint64_t *keys = arena_array(arena, uint64_t, j.g->keys + 1);
    double *settings = arena_array(arena, double, j.trace->settings.len + 1);
    add_slopes(&j);
    for (int i = 0; i < j.g->keys; i++) keys[i] = UINT64_C(0x9e3779b97f4a7c15) * (uint64_t)(i + 1);
    for (int i = 0; i < j.trace->settings.len; i++) settings[i] = j.trace->settings.at[i].value;
    j.feed.keys = keys;
    j.feed.settings = settings;
    j.feed.examples = j.feed.batch = BATCH;
    Result oracle = run(&j, program_interpret(arena, j.g, j.layout), 1);
    for (int w = 0; w < COUNT(ways); w++) {
        if (ways[w].kind == WAY_INTERPRET || (w && w != only)) continue;
        Program *program = way_program(arena, &ways[w], j.g, j.layout, 0);
        Result other = run(&j, program, 1 + w % 2);
        compare_results(&j, ways[w].name, &oracle, &other);
        program->free(program);
    }
    text_close(&j.text);
    arena_free(arena);
}

/* Each case by optimised code for this machine and by one other way, in turn; precisions in turn. */
static void check_group(const CaseGroup *group) {
    for (int i = 0; i < group->len; i++) {
        check_case(&group->at[i], i % 2 ? DT_F64 : DT_F32, 2 + i % 3);
        if (getenv("NIN_EVERY_WAY"))
            for (int w = 2; w < COUNT(ways); w++) {
                check_case(&group->at[i], DT_F32, w);
                check_case(&group->at[i], DT_F64, w);
            }
    }
}

static void of_cells(void **state) { (void)state; check_group(&case_groups[0]); }
static void of_cell_forms(void **state) { (void)state; check_group(&case_groups[1]); }
static void of_layers(void **state) { (void)state; check_group(&case_groups[2]); }
static void of_functions(void **state) { (void)state; check_group(&case_groups[3]); }
static void of_losses(void **state) { (void)state; check_group(&case_groups[4]); }

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(of_cells), cmocka_unit_test(of_cell_forms), cmocka_unit_test(of_layers),
        cmocka_unit_test(of_functions), cmocka_unit_test(of_losses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
