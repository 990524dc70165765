/* test_gradients.c -- first and second derivatives of what can be written with the library, against differences in f64.
 *
 * A case is a net (or a loss) in Nin.  Its objective is the sum over the batch of a weighted sum of its outputs; the
 * slopes are pass_grad's, by every input and every parameter; the objective of the second derivatives is a weighted sum
 * of the first.  Differences are taken over five points (error h^4) with falling h: a smaller step gets around a kink,
 * and no step makes a wrong slope right.  Error: |slope - difference| / max(|slope|, |difference|, 1e-3). */
#include "library_cases.h"

enum { BATCH = 5, MAX_PARAMS = 24, ENTRIES = 24 };
static const double tolerance = 1e-6;

typedef struct Check {
    Text text;
    const Case *it;
    Trace *trace;
    Graph *g;
    Val x, out, total;
    NodeType out_type;
    double *data[4];                       /* rows: x, weights of the outputs, target, weights of the slopes */
    int32_t *index[4];                     /* of i32 rows */
    Slot slot[MAX_PARAMS];
    BlockLayout layout;
    char *block;
    uint64_t bits;
    int columns;
    double worst;
} Check;

static double draw(Check *c) {
    c->bits = c->bits * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (double)(c->bits >> 11) * 0x1p-52 - 1;
}

/* Rows lie away from 0, from whole numbers and from each other: where most kinks are. */
static double *draw_rows(Check *c, int64_t size, bool positive) {
    double *at = arena_array(c->text.arena, double, BATCH * size), offset = 0.037 + 0.013 * c->columns++;
    for (int64_t i = 0; i < BATCH * size; i++) {
        double x = floor(draw(c) * 14) * 0.1 + offset + 0.0011 * (double)(i % 11);
        at[i] = positive ? fabs(x) + 0.1 : x;
    }
    return at;
}

static int32_t *draw_classes(Check *c, int64_t size, int classes) {
    int32_t *at = arena_array(c->text.arena, int32_t, BATCH * size);
    for (int64_t i = 0; i < BATCH * size; i++) at[i] = (int32_t)((draw(c) + 1) / 2 * classes) % classes;
    return at;
}

/* ---- the objective ---- */

/* sum over the batch of the sum of value * rows `row`. */
static Val weighted(Check *c, Val value, int row) {
    NodeType type = graph_type(c->g, value);
    uint32_t all = (1u << type.shape.rank) - 1;
    Val weights = graph_input(c->g, IN_ROWS, row, "weights", (NodeType){DT_F64, type.shape, true});
    Val each = graph_reduce(c->g, G_SUM, graph_2(c->g, G_MUL, value, weights), all);
    c->data[row] = draw_rows(c, shape_size(&type.shape), false);
    return graph_reduce(c->g, G_BATCH_SUM, each, 0);
}

static Val make_target(Check *c, NodeType out) {
    TargetKind kind = c->it->target;
    if (kind == CLASS_TARGET) {
        int classes = (int)out.shape.dim[0];
        Shape places = {.rank = out.shape.rank - 1};
        memcpy(places.dim, out.shape.dim + 1, sizeof(int64_t) * (size_t)places.rank);
        Val target = graph_input(c->g, IN_ROWS, 2, "target", (NodeType){DT_I32, places, true});
        trace_mark_classes(c->trace, target, classes);
        c->index[2] = draw_classes(c, shape_size(&places), classes);
        return target;
    }
    c->data[2] = draw_rows(c, shape_size(&out.shape), kind == SHARE_TARGET);
    for (int64_t i = 0; kind == SIGN_TARGET && i < BATCH * shape_size(&out.shape); i++)
        c->data[2][i] = c->data[2][i] < 0 ? -1 : 1;
    return graph_input(c->g, IN_ROWS, 2, "target", (NodeType){DT_F64, out.shape, true});
}

static void open_net(Check *c) {
    Value net = text_value(&c->text, "f"), result;
    NodeType type = {c->it->flags & INTEGERS ? DT_I32 : DT_F64, case_shape(c->it), true};
    c->trace = trace_new(&c->text.e, DT_F64, c->it->flags & TRAINING);
    c->g = c->trace->graph;
    c->x = graph_input(c->g, IN_ROWS, 0, "x", type);
    Value x = trace_value(c->x);
    if (!trace_net(&c->text.e, c->trace, &net, &x, 1, (Span){0}, &result)) text_fail(&c->text, c->it->text);
    c->text.e.trace = c->trace;
    if (!value_as_node(&c->text.e, &result, (Span){0}, &c->out)) text_fail(&c->text, c->it->text);
    if (c->it->flags & INTEGERS) c->index[0] = draw_classes(c, shape_size(&type.shape), TOKENS);
    else c->data[0] = draw_rows(c, shape_size(&type.shape), c->it->flags & POSITIVE);
    if (c->it->target == NO_TARGET) return;
    Val args[2] = {c->out, make_target(c, graph_type(c->g, c->out))};
    c->out = text_call(&c->text, c->trace, "loss", "g", args, 2);
}

/* Starting values are moved a little; what starts from a distribution, and states, lie anywhere. */
static void fill_block(Check *c) {
    assert_in_range(c->trace->params.len, 0, MAX_PARAMS);
    for (int i = 0; i < c->trace->params.len; i++) {
        const ParamInfo *p = &c->trace->params.at[i];
        c->slot[i] = (Slot){p->path, p->dtype, p->shape, 0};
    }
    block_layout(c->slot, c->trace->params.len, &c->layout);
    c->block = arena_alloc(c->text.arena, c->layout.size + 64);
    for (int i = 0; i < c->trace->params.len; i++) {
        const ParamInfo *p = &c->trace->params.at[i];
        const Value *start = &p->initial;
        double *at = (double *)(c->block + c->layout.slot[i].offset);
        for (int64_t k = 0; k < shape_size(&p->shape); k++) {
            double x = draw(c);
            if (p->state) at[k] = 0.5 + fabs(x);
            else if (start->kind == V_INT) at[k] = (double)start->integer + 0.2 * x;
            else if (start->kind == V_REAL) at[k] = start->real + 0.2 * x;
            else at[k] = 0.7 * x;
        }
    }
}

/* ---- slopes and differences ---- */

static const void **inputs_of(Check *c, const Graph *g) {
    const void **inputs = arena_array(c->text.arena, const void *, g->inputs.len + 1);
    for (int i = 0; i < g->inputs.len; i++) {
        const GraphInput *in = &g->inputs.at[i];
        if (in->kind == IN_ROWS) inputs[i] = in->dtype == DT_I32 ? (void *)c->index[in->index] : c->data[in->index];
        if (in->kind == IN_BLOCK) inputs[i] = c->block + c->layout.slot[in->index].offset;
        if (in->kind == IN_SETTING) inputs[i] = &c->trace->settings.at[in->index].value;
    }
    return inputs;
}

static const void **evaluate(const Graph *g, const void *const *inputs, Arena *arena) {
    const void **outputs = arena_array(arena, const void *, g->outputs.len + 1);
    uint64_t *keys = arena_array(arena, uint64_t, g->keys + 1);
    for (int i = 0; i < g->keys; i++) keys[i] = UINT64_C(0x9e3779b97f4a7c15) * (uint64_t)(i + 1);
    if (!graph_eval(arena, g, BATCH, inputs, outputs, keys, 3)) fail_msg("out of memory");
    return outputs;
}

typedef struct Objective { Check *c; Graph *g; const void **inputs; } Objective;

static double objective(const Objective *o) {
    Arena *arena = arena_new();
    double value = *(const double *)evaluate(o->g, o->inputs, arena)[0];
    arena_free(arena);
    return value;
}

static double difference(const Objective *o, double *at, double h) {
    static const double factor[] = {1, -8, 8, -1}, step[] = {-2, -1, 1, 2};
    double x = *at, sum = 0;
    for (int k = 0; k < 4; k++) {
        *at = x + step[k] * h;
        sum += factor[k] * objective(o);
    }
    *at = x;
    return sum / (12 * h);
}

static void check_entry(const Objective *o, double *at, double slope, const char *what, int64_t entry) {
    double best = INFINITY, seen = 0;
    for (double h = 1e-2; h > 1e-6 && !(best < tolerance / 100); h /= 10) {
        double d = difference(o, at, h), error = fabs(slope - d) / fmax(fmax(fabs(slope), fabs(d)), 1e-3);
        if (error < best) best = error, seen = d;
    }
    if (!(best < tolerance))
        fail_msg("%s\nby %s, entry %lld: slope %.12g, difference %.12g", o->c->it->text, what, (long long)entry, slope,
                 seen);
    if (best > o->c->worst) o->c->worst = best;
}

static void check_input(const Objective *o, double *at, const double *slopes, int64_t size, const char *what) {
    int64_t stride = size <= ENTRIES ? 1 : size / ENTRIES + 1;
    for (int64_t i = size <= ENTRIES ? 0 : size % stride; i < size; i += stride)
        check_entry(o, &at[i], slopes ? slopes[i] : 0, what, i);
}

/* The slopes of `total` by x (where it is real) and by each parameter, as values; 0: none. */
static int slopes_of(Check *c, Val total, Val *grad) {
    Val wrt[MAX_PARAMS + 1];
    int n = 0;
    wrt[n++] = c->x;
    for (int i = 0; i < c->trace->params.len; i++) wrt[n++] = c->trace->params.at[i].node;
    int first = c->it->flags & INTEGERS;
    grad[0] = 0;
    if (!pass_grad(c->g, total, 0, wrt + !!first, n - !!first, grad + !!first, &c->text.session->diags))
        text_fail(&c->text, c->it->text);
    return n;
}

/* A graph of its own with these results; their places are the outputs' numbers. */
static Graph *graph_with(Check *c, const Val *values, int n) {
    c->g->outputs.len = 0;
    for (int i = 0; i < n; i++)
        if (values[i]) graph_output(c->g, OUT_VALUE, i, "value", values[i]);
    Graph *g = graph_copy(c->text.arena, c->g);
    const char *wrong = graph_verify(g, c->text.arena);
    if (wrong) fail_msg("%s: %s", c->it->text, wrong);
    return g;
}

static void check_slopes(Check *c, Val total, const Val *grad, int n) {
    Graph *g = graph_with(c, grad, n), *value = graph_with(c, &total, 1);
    const double *slopes[MAX_PARAMS + 1] = {0};
    const void **outputs = evaluate(g, inputs_of(c, g), c->text.arena);
    for (int i = 0; i < g->outputs.len; i++) slopes[g->outputs.at[i].index] = outputs[i];
    Objective o = {c, value, inputs_of(c, value)};
    Shape shape = case_shape(c->it);
    if (!(c->it->flags & INTEGERS)) check_input(&o, c->data[0], slopes[0], BATCH * shape_size(&shape), "x");
    for (int i = 1; i < n; i++) {
        const Slot *slot = &c->layout.slot[i - 1];
        check_input(&o, (double *)(c->block + slot->offset), slopes[i], shape_size(&slot->shape), slot->path);
    }
}

static double check_case(const Case *it) {
    Arena *arena = arena_new();
    Check c = {.text = text_open(case_source(arena, it)), .it = it, .bits = 12345};
    Val grad[MAX_PARAMS + 1];
    open_net(&c);
    fill_block(&c);
    Val total = weighted(&c, c.out, 1);
    int n = slopes_of(&c, total, grad);
    check_slopes(&c, total, grad, n);
    Val second = 0;
    for (int i = 0; i < n; i++) second = grad[i] ? grad[i] : second;
    if (grad[0]) second = grad[0];
    if (!(it->flags & FIRST_ONLY) && second) {
        NodeType type = graph_type(c.g, second);
        if (!type.batched) second = graph_add(c.g, G_BROADCAST, &second, 1, NULL,
                                              &(NodeType){type.dtype, type.shape, true}, (Span){0});
        total = weighted(&c, second, 3);
        n = slopes_of(&c, total, grad);
        check_slopes(&c, total, grad, n);
    }
    double worst = c.worst;
    text_close(&c.text);
    arena_free(arena);
    return worst;
}

static void check_group(const CaseGroup *group) {
    double worst = 0;
    for (int i = 0; i < group->len; i++) worst = fmax(worst, check_case(&group->at[i]));
    printf("# %s: %d cases, largest relative error %.1e\n", group->name, group->len, worst);
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
