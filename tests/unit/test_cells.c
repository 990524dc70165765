/* test_cells.c -- every cell, layer and optimizer of the library against plain C.
 *
 * Values against a formula in C doubles; gradients in f64 against central differences, relative error under 1e-6;
 * second derivatives of closed-form cells against differences of the first; optimizers against steps by hand. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "graph/program.h"
#include "pass/pass.h"
#include "sema/objects.h"
#include "sema/session.h"
#include "support/rng.h"

enum { ROWS = 40, MOST = 4 };

typedef struct Bench { Session *session; LoadedModule *module; Eval e; } Bench;

static void bench_open(Bench *b, const char *text)
{
    b->session = session_new(NULL);
    b->module = session_load_text(b->session, "case.nin", text);
    eval_init(&b->e, b->session, b->session->arena, &b->session->diags, EVAL_RUN);
}

static void bench_complain(Bench *b)
{
    Buf out = { 0 };
    diags_render(&b->session->diags, DIAG_LINE, false, 100, 0, &out);
    print_message("%.*s", (int)out.len, out.at ? out.at : "");
    buf_free(&out);
}

static Value bench_value(Bench *b, const char *name)
{
    Value value = value_error();
    bool found = false;
    if (b->session->diags.errors || !session_value(&b->e, b->module, name, &value, &found) || !found) {
        bench_complain(b);
        fail_msg("no value of %s", name);
    }
    return value;
}

static bool draw(void *data, const ParamInfo *param, void *out)
{
    const Distribution *d = value_distribution(&param->initial);
    uint64_t key = rng_key(1, "init", 0, param->path, 0);
    (void)data;
    if (!d) return false;
    for (int64_t i = 0; i < shape_size(&param->shape); i++) {
        double u = (double)rng_uniform(key, (uint32_t)i, 0, 0), z = (double)rng_normal(key, (uint32_t)i, 0, 0);
        ((double *)out)[i] = d->kind == DIST_UNIFORM ? d->a + (d->b - d->a) * u : d->a + d->b * z;
    }
    return true;
}

static double point(int k, int i)
{
    return 6 * (double)rng_uniform(rng_key(7, "points", 0, "", 0), (uint32_t)k, (uint32_t)i, 0) - 3;
}

static bool close_to(double a, double b, double within)
{
    return fabs(a - b) <= within * (1 + fabs(b));
}

/* ---- cells ---- */

static double c_relu(const double *x) { return x[0] > 0 ? x[0] : 0; }
static double c_leaky(const double *x) { return x[0] > 0 ? x[0] : 0.01 * x[0]; }
static double c_prelu(const double *x) { return x[0] > 0 ? x[0] : 0.25 * x[0]; }
static double c_abs(const double *x) { return fabs(x[0]); }
static double c_elu(const double *x) { return x[0] > 0 ? x[0] : exp(x[0]) - 1; }
static double c_selu(const double *x)
{
    return 1.0507009873554805 * (x[0] > 0 ? x[0] : 1.6732632423543772 * (exp(x[0]) - 1));
}
static double c_celu(const double *x) { return x[0] > 0 ? x[0] : 2 * (exp(x[0] / 2) - 1); }
static double c_gelu(const double *x) { return x[0] * 0.5 * erfc(-x[0] / sqrt(2)); }
static double c_sigmoid(const double *x) { return 1 / (1 + exp(-x[0])); }
static double c_silu(const double *x) { return x[0] * c_sigmoid(x); }
static double c_isigmoid(const double *x)
{
    double at = x[0] > 2 ? 2 : x[0] < -2 ? -2 : x[0];
    return c_sigmoid(&at) + 0.2 * (x[0] - at);
}
static double c_tanh(const double *x) { return tanh(x[0]); }
static double c_lecun(const double *x) { return 1.7159 * tanh(2 * x[0] / 3); }
static double c_reltanh(const double *x)
{
    double at = x[0] > 0 ? 0 : -1.5, t = tanh(at);
    return x[0] > 0 || x[0] < -1.5 ? t + (1 - t * t) * (x[0] - at) : tanh(x[0]);
}
static double c_softplus(const double *x) { return log1p(exp(x[0])); }
static double c_mish(const double *x) { return x[0] * tanh(c_softplus(x)); }
static double c_gcu(const double *x) { return x[0] * cos(x[0]); }
static double c_ada(const double *x) { return x[0] > 0 ? x[0] * exp(-x[0]) : 0.1 * x[0]; }
static double c_identity(const double *x) { return x[0]; }
static double c_step(const double *x) { return x[0] > 0; }
static double c_add(const double *x) { return x[0] + x[1]; }
static double c_multiply(const double *x) { return x[0] * x[1]; }
static double c_glu(const double *x) { return x[0] * c_sigmoid(x + 1); }
static double c_swiglu(const double *x) { return c_silu(x) * x[1]; }
static double c_maxout(const double *x) { return fmax(fmax(x[0], x[1]), x[2]); }

typedef struct CellCase { const char *cell; int arity; double (*formula)(const double *x); bool twice; } CellCase;
static const CellCase cell_cases[] = {
    { "relu", 1, c_relu, false }, { "leaky_relu", 1, c_leaky, false }, { "prelu", 1, c_prelu, false },
    { "abs_value", 1, c_abs, false }, { "elu", 1, c_elu, true }, { "selu", 1, c_selu, true },
    { "celu[2]", 1, c_celu, true },
    { "gelu", 1, c_gelu, true }, { "silu", 1, c_silu, true }, { "sigmoid", 1, c_sigmoid, true },
    { "isigmoid", 1, c_isigmoid, true }, { "tanh", 1, c_tanh, true }, { "lecun_tanh", 1, c_lecun, true },
    { "reltanh", 1, c_reltanh, true }, { "softplus", 1, c_softplus, true }, { "mish", 1, c_mish, true },
    { "gcu", 1, c_gcu, true }, { "ada[1, 0.1]", 1, c_ada, true }, { "identity", 1, c_identity, false },
    { "step", 1, c_step, false }, { "rational", 1, NULL, true }, { "add", 2, c_add, false },
    { "multiply", 2, c_multiply, true }, { "glu", 2, c_glu, true }, { "swiglu", 2, c_swiglu, true },
    { "quadratic", 2, NULL, true }, { "maxout[3]", 3, c_maxout, false }, { "quadratic_form[3]", 3, NULL, true },
    { "inner[1]", 1, NULL, false }, { "inner[2]", 2, NULL, false },
};

typedef struct Probe { Bench *bench; CellGraph cell; double *x[MOST], *y[1 + 2 * MOST]; int outputs; } Probe;

static bool probe_run(Probe *p, double *const *y)
{
    return trace_evaluate(&p->bench->e, p->cell.trace, (const void *const *)p->x, ROWS, draw, NULL, (void *const *)y,
                          (Span){ 0, 0 });
}

static double *column(Probe *p)
{
    return arena_array(p->bench->session->arena, double, ROWS);
}

/* Outputs: the value, its derivatives by each argument, and their derivatives by the same argument. */
static bool probe_open(Probe *p, const CellCase *c)
{
    Value cell = bench_value(p->bench, "c");
    if (!cell_graph(&p->bench->e, &cell, DT_F64, (Span){ 0, 0 }, &p->cell)) return false;
    Graph *g = p->cell.trace->graph;
    Val first[MOST], second;
    graph_output(g, OUT_ROWS, p->outputs++, "value", p->cell.value);
    if (!pass_grad(g, p->cell.value, 0, p->cell.args, c->arity, first, p->bench->e.diags)) return false;
    for (int k = 0; k < c->arity; k++) {
        Val zero = graph_2(g, G_MUL, p->cell.args[k], graph_const(g, DT_F64, 0));
        graph_output(g, OUT_ROWS, p->outputs++, "first", first[k] ? first[k] : zero);
    }
    for (int k = 0; c->twice && k < c->arity; k++) {
        Val zero = graph_2(g, G_MUL, p->cell.args[k], graph_const(g, DT_F64, 0));
        second = 0;
        if (first[k] && !pass_grad(g, first[k], 0, &p->cell.args[k], 1, &second, p->bench->e.diags)) return false;
        graph_output(g, OUT_ROWS, p->outputs++, "second", second ? second : zero);
    }
    for (int k = 0; k < c->arity; k++) {
        p->x[k] = column(p);
        for (int i = 0; i < ROWS; i++) p->x[k][i] = point(k, i);
    }
    for (int k = 0; k < p->outputs; k++) p->y[k] = column(p);
    return probe_run(p, p->y);
}

/* output `of` by argument k, against output `exact`. */
static bool differences_agree(Probe *p, int k, int of, int exact, const char *name)
{
    const double h = 1e-5;
    double *up[1 + 2 * MOST], *down[1 + 2 * MOST], *kept = p->x[k];
    bool agree = true;
    for (int i = 0; i < p->outputs; i++) {
        up[i] = column(p);
        down[i] = column(p);
    }
    p->x[k] = column(p);
    for (int i = 0; i < ROWS; i++) p->x[k][i] = kept[i] + h;
    if (!probe_run(p, up)) return false;
    for (int i = 0; i < ROWS; i++) p->x[k][i] = kept[i] - h;
    if (!probe_run(p, down)) return false;
    p->x[k] = kept;
    for (int i = 0; i < ROWS; i++) {
        double central = (up[of][i] - down[of][i]) / (2 * h);
        double right = (up[of][i] - p->y[of][i]) / h, left = (p->y[of][i] - down[of][i]) / h;
        if (fabs(right - left) > 1e-2 * (1 + fabs(central))) continue;                /* a kink within the step */
        if (close_to(p->y[exact][i], central, 1e-6)) continue;
        print_message("%s: argument %d at %g: %.12g, differences give %.12g\n", name, k + 1, kept[i], p->y[exact][i],
                      central);
        agree = false;
    }
    return agree;
}

static bool cell_holds(const CellCase *c)
{
    char text[80];
    Bench bench;
    snprintf(text, sizeof text, "c = %s\n", c->cell);
    bench_open(&bench, text);
    Probe p = { .bench = &bench };
    bool ok = probe_open(&p, c);
    if (!ok) bench_complain(&bench);
    for (int i = 0; ok && c->formula && i < ROWS; i++) {
        double x[MOST];
        for (int k = 0; k < c->arity; k++) x[k] = p.x[k][i];
        if (close_to(p.y[0][i], c->formula(x), 1e-13)) continue;
        print_message("%s at %g: %.17g, the formula gives %.17g\n", c->cell, x[0], p.y[0][i], c->formula(x));
        ok = false;
    }
    for (int k = 0; ok && k < c->arity; k++) {
        ok = differences_agree(&p, k, 0, 1 + k, c->cell);
        if (ok && c->twice) ok = differences_agree(&p, k, 1 + k, 1 + c->arity + k, c->cell);
    }
    session_free(bench.session);
    return ok;
}

static void test_cells(void **state)
{
    (void)state;
    int failures = 0;
    for (int i = 0; i < COUNT(cell_cases); i++) failures += !cell_holds(&cell_cases[i]);
    assert_int_equal(failures, 0);
}

/* Derivatives at 0, where smooth cells must not lose theirs to a kink of their formula, and far out, where exp
 * overflows. */
static const struct { const char *cell; double at_zero; } extremes[] = {
    { "elu", 1 }, { "celu[2]", 1 }, { "selu", 1.0507009873554805 * 1.6732632423543772 }, { "gelu", 0.5 },
    { "silu", 0.5 },
    { "sigmoid", 0.25 }, { "isigmoid", 0.25 }, { "tanh", 1 }, { "lecun_tanh", 1.7159 * 2 / 3 }, { "softplus", 0.5 },
    { "mish", 0.6 }, { "gcu", 1 }, { "ada", 0 }, { "relu", 0 }, { "prelu", 0 },
};

static void test_extremes(void **state)
{
    (void)state;
    for (int i = 0; i < COUNT(extremes); i++) {
        char text[80];
        Bench bench;
        snprintf(text, sizeof text, "c = %s\n", extremes[i].cell);
        bench_open(&bench, text);
        Probe p = { .bench = &bench };
        CellCase c = { extremes[i].cell, 1, NULL, false };
        assert_true(probe_open(&p, &c));
        p.x[0][0] = 0;
        p.x[0][1] = -800;
        p.x[0][2] = 800;
        assert_true(probe_run(&p, p.y));
        if (!close_to(p.y[1][0], extremes[i].at_zero, 1e-12)) fail_msg("%s: derivative %g at 0", text, p.y[1][0]);
        for (int k = 1; k < 3; k++)
            if (!isfinite(p.y[0][k]) || !isfinite(p.y[1][k]))
                fail_msg("%s at %g: %g, %g", text, p.x[0][k], p.y[0][k], p.y[1][k]);
        session_free(bench.session);
    }
}

static void test_gradients_agree(void **state)
{
    (void)state;
    Bench bench;
    bench_open(&bench, "some = [relu, gelu, gcu, swiglu, inner[2]]\n"
                       "x = [gradients_agree(f, points: 50, seed: 1, within: 1e-6) for f in some]\n");
    Value x = bench_value(&bench, "x");
    for (int i = 0; i < 5; i++) assert_true(x.list->at[i].boolean);
    session_free(bench.session);
}

/* ---- graphs with a block: layers, losses, optimizers ---- */

typedef struct Machine {
    Bench *bench; Trace *trace; Slot *slots; int count; char *block;
    Program *program; BlockLayout layout;
} Machine;

/* The trace's parameters, then `extra` scalars or tensors for results. */
static void machine_open(Machine *m, Bench *bench, Trace *trace, const Shape *extra, int extras)
{
    Arena *arena = bench->session->arena;
    *m = (Machine){ .bench = bench, .trace = trace, .count = trace->params.len + extras };
    m->slots = arena_array(arena, Slot, m->count + 1);
    for (int i = 0; i < trace->params.len; i++)
        m->slots[i] = (Slot){ trace->params.at[i].path, trace->params.at[i].dtype, trace->params.at[i].shape, 0 };
    for (int i = 0; i < extras; i++) m->slots[trace->params.len + i] = (Slot){ "result", DT_F64, extra[i], 0 };
    block_layout(m->slots, m->count, &m->layout);
    m->block = arena_alloc(arena, m->layout.size + 64);
    for (int i = 0; i < trace->params.len; i++) {
        const ParamInfo *param = &trace->params.at[i];
        char *to = m->block + m->slots[i].offset;
        int64_t n = shape_size(&param->shape);
        if (value_distribution(&param->initial)) {
            draw(NULL, param, to);
        } else if (param->dtype == DT_F64) {
            const Tensor *t = NULL;
            assert_true(value_as_tensor(&bench->e, &param->initial, DT_F64, (Span){ 0, 0 }, &t));
            for (int64_t k = 0; k < n; k++)
                ((double *)(void *)to)[k] = ((const double *)t->data)[shape_size(&t->shape) == 1 ? 0 : k];
        } else if (param->dtype == DT_I32) {
            *(int32_t *)(void *)to = (int32_t)param->initial.integer;
        }
    }
}

static double *machine_slot(const Machine *m, int i)
{
    return (double *)(void *)(m->block + m->slots[i].offset);
}

static void machine_run(Machine *m, const void *x, const void *target, int64_t rows, double *out, double *out1,
                        int64_t from)
{
    if (!m->program) m->program = program_interpret(m->bench->session->arena, m->trace->graph, m->layout);
    uint64_t keys[8] = { 1, 2, 3, 4, 5, 6, 7, 8 };
    double settings[32];
    for (int i = 0; i < m->trace->settings.len && i < 32; i++) settings[i] = m->trace->settings.at[i].value;
    Feed feed = { .rows = { x, target }, .examples = rows, .batch = rows, .settings = settings, .keys = keys,
                 .out_rows = { out, out1 } };
    assert_int_equal(m->program->run(m->program, m->block, &feed, from, from + 1, NULL), 0);
}

/* An optimizer on a scalar weight: two steps with gradients g1, g2; the result of each. */
static void optimizer_steps(const char *optimizer, double *first, double *second)
{
    char text[120];
    Bench bench;
    snprintf(text, sizeof text, "o = %s\n", optimizer);
    bench_open(&bench, text);
    Value o = bench_value(&bench, "o"), out;
    Trace *trace = trace_new(&bench.e, DT_F64, true);
    Graph *g = trace->graph;
    NodeType row = { DT_F64, SHAPE0, true };
    Val gradient = graph_reduce(g, G_BATCH_SUM, graph_input(g, IN_ROWS, 0, "g", row), 0);
    Val weight = graph_reduce(g, G_BATCH_SUM, graph_input(g, IN_ROWS, 1, "w", row), 0);
    Value args[2] = { trace_value(weight), trace_value(gradient) };
    if (!trace_call(&bench.e, trace, "o", &o, args, 2, (Span){ 0, 0 }, &out)) {
        bench_complain(&bench);
        fail_msg("%s", optimizer);
    }
    Shape scalar = SHAPE0;
    Machine m;
    machine_open(&m, &bench, trace, &scalar, 1);
    for (int i = 0; i < trace->params.len; i++)
        if (trace->params.at[i].next) graph_output(g, OUT_BLOCK, i, "state", trace->params.at[i].next);
    graph_output(g, OUT_BLOCK, m.count - 1, "w", out.node);
    double grads[2] = { 0.5, -0.25 }, w = 1;
    machine_run(&m, &grads[0], &w, 1, NULL, NULL, 0);
    w = *first = *machine_slot(&m, m.count - 1);
    machine_run(&m, &grads[1], &w, 1, NULL, NULL, 1);
    *second = *machine_slot(&m, m.count - 1);
    session_free(bench.session);
}

static void check_steps(const char *optimizer, double first, double second)
{
    double a, b;
    optimizer_steps(optimizer, &a, &b);
    if (!close_to(a, first, 1e-14) || !close_to(b, second, 1e-14))
        fail_msg("%s: %.17g, %.17g; by hand %.17g, %.17g", optimizer, a, b, first, second);
}

static void test_optimizers(void **state)
{
    (void)state;
    const double g1 = 0.5, g2 = -0.25;
    check_steps("sgd[lr: 0.1]", 1 - 0.1 * g1, 1 - 0.1 * g1 - 0.1 * g2);
    double v1 = g1 + 0.01, w1 = 1 - 0.1 * v1, v2 = 0.9 * v1 + (g2 + 0.01 * w1);
    check_steps("sgd[lr: 0.1, momentum: 0.9, decay: 0.01]", w1, w1 - 0.1 * v2);
    v1 = g1;
    w1 = 1 - 0.1 * (g1 + 0.9 * v1);
    v2 = 0.9 * v1 + g2;
    check_steps("sgd[lr: 0.1, momentum: 0.9, nesterov: true]", w1, w1 - 0.1 * (g2 + 0.9 * v2));
    double m = 0.1 * g1, s = 0.001 * g1 * g1;
    w1 = 1 - 0.01 * (m / 0.1) / (sqrt(s / 0.001) + 1e-8);
    double m2 = 0.9 * m + 0.1 * g2, s2 = 0.999 * s + 0.001 * g2 * g2;
    double w2 = w1 - 0.01 * (m2 / (1 - 0.81)) / (sqrt(s2 / (1 - 0.998001)) + 1e-8);
    check_steps("adam[lr: 0.01]", w1, w2);
    double d1 = w1 - 0.01 * 0.1 * 1;
    check_steps("adamw[lr: 0.01, decay: 0.1]", d1, d1 + (w2 - w1) - 0.01 * 0.1 * d1);
    s = 0.01 * g1 * g1;
    w1 = 1 - 0.01 * g1 / (sqrt(s) + 1e-8);
    s2 = 0.99 * s + 0.01 * g2 * g2;
    check_steps("rmsprop[lr: 0.01]", w1, w1 - 0.01 * g2 / (sqrt(s2) + 1e-8));
    w1 = 1 - 0.1 * (1 + 0.5 * 1);
    m = 0.01 * g1;
    double move = 0.9 * m + 0.1 * g2 < 0 ? -1 : 1;
    check_steps("lion[lr: 0.1, decay: 0.5]", w1, w1 - 0.1 * (move + 0.5 * w1));
}

/* ---- layers: values against C, gradients by input and parameters against differences ---- */

typedef struct NetCase {
    const char *text; int64_t in[3]; int rank; bool training;
    void (*formula)(const double *x, const Machine *m, double *y);      /* of one example; NULL: gradients only */
} NetCase;

static const double *param_of(const Machine *m, const char *name)
{
    for (int i = 0; i < m->trace->params.len; i++) {
        const char *path = m->trace->params.at[i].path, *dot = strrchr(path, '.');
        if (!strcmp(dot ? dot + 1 : path, name)) return machine_slot(m, i);
    }
    fail_msg("no parameter %s", name);
    return NULL;
}

static void c_dense(const double *x, const Machine *m, double *y)
{
    const double *w = param_of(m, "w"), *b = param_of(m, "b");
    for (int o = 0; o < 3; o++) {
        y[o] = b[o];
        for (int k = 0; k < 4; k++) y[o] += w[o * 4 + k] * x[k];
    }
}

static void normalised(const double *x, int from, int step, int n, double *y)
{
    double mean = 0, var = 0;
    for (int i = 0; i < n; i++) mean += x[from + i * step] / n;
    for (int i = 0; i < n; i++) var += (x[from + i * step] - mean) * (x[from + i * step] - mean) / n;
    for (int i = 0; i < n; i++) y[from + i * step] = (x[from + i * step] - mean) / sqrt(var + 1e-5);
}

static void c_layernorm(const double *x, const Machine *m, double *y)
{
    (void)m;
    normalised(x, 0, 1, 4, y);
}

/* [3, 2], over the features of each place */
static void c_layernorm_over(const double *x, const Machine *m, double *y)
{
    (void)m;
    for (int p = 0; p < 2; p++) normalised(x, p, 2, 3, y);
}

/* [4, 2] in two groups of two features */
static void c_groupnorm(const double *x, const Machine *m, double *y)
{
    (void)m;
    normalised(x, 0, 1, 4, y);
    normalised(x, 4, 1, 4, y);
}

static void c_glu_layer(const double *x, const Machine *m, double *y)
{
    const double *w = param_of(m, "w"), *b = param_of(m, "b");
    for (int u = 0; u < 2; u++) {
        double h[2] = { b[2 * u], b[2 * u + 1] };
        for (int k = 0; k < 4; k++) {
            h[0] += w[(2 * u) * 4 + k] * x[k];
            h[1] += w[(2 * u + 1) * 4 + k] * x[k];
        }
        y[u] = h[0] / (1 + exp(-h[1]));
    }
}

/* running mean 0, variance 1 */
static void c_evaluated(const double *x, const Machine *m, double *y)
{
    (void)m;
    for (int i = 0; i < 6; i++) y[i] = x[i] / sqrt(1 + 1e-5);
}

static void c_dropout_off(const double *x, const Machine *m, double *y)
{
    (void)m;
    for (int i = 0; i < 4; i++) y[i] = x[i];
}

static void c_mse(const double *x, const Machine *m, double *y)
{
    (void)m;
    *y = 0;
    for (int i = 0; i < 3; i++) *y += (x[i] - (i + 1)) * (x[i] - (i + 1)) / 3;
}

static void c_cross_entropy(const double *x, const Machine *m, double *y)      /* class 2, smoothing 0.1 */
{
    double sum = exp(x[0]) + exp(x[1]) + exp(x[2]), mean = (x[0] + x[1] + x[2]) / 3;
    (void)m;
    *y = -0.9 * (x[2] - log(sum)) - 0.1 * (mean - log(sum));
}

static void c_binary(const double *x, const Machine *m, double *y)             /* targets 0, 1, 0.5 */
{
    const double t[3] = { 0, 1, 0.5 };
    (void)m;
    *y = 0;
    for (int i = 0; i < 3; i++) *y += (-t[i] * -log1p(exp(-x[i])) + (1 - t[i]) * log1p(exp(x[i]))) / 3;
}

static void c_kl(const double *x, const Machine *m, double *y)                 /* targets 0, 0.25, 0.75 */
{
    const double t[3] = { 0, 0.25, 0.75 };
    double sum = exp(x[0]) + exp(x[1]) + exp(x[2]);
    (void)m;
    *y = 0;
    for (int i = 1; i < 3; i++) *y += t[i] * (log(t[i]) - (x[i] - log(sum)));
}

static void c_huber(const double *x, const Machine *m, double *y)
{
    (void)m;
    *y = 0;
    for (int i = 0; i < 3; i++) *y += (fabs(x[i]) <= 1 ? x[i] * x[i] / 2 : fabs(x[i]) - 0.5) / 3;
}

static const NetCase net_cases[] = {
    { "net n(x: f32[3]) -> f32 = mse(x, [1, 2, 3])", { 3 }, 1, false, c_mse },
    { "net n(x: f32[3]) -> f32 = mae(x, [1, 2, 3])", { 3 }, 1, false, NULL },
    { "net n(x: f32[3]) -> f32 = cross_entropy[smoothing: 0.1](x, 2)", { 3 }, 1, false, c_cross_entropy },
    { "net n(x: f32[3]) -> f32 = binary_cross_entropy(x, [0, 1, 0.5])", { 3 }, 1, false, c_binary },
    { "net n(x: f32[3]) -> f32 = hinge(x, [1, -1, 1])", { 3 }, 1, false, NULL },
    { "net n(x: f32[3]) -> f32 = huber(x, [0, 0, 0])", { 3 }, 1, false, c_huber },
    { "net n(x: f32[3]) -> f32 = kl(x, [0, 0.25, 0.75])", { 3 }, 1, false, c_kl },
    { "net n(x: f32[3]) -> f32[3, 2] = x * embed[3, tokens: 5]([1, 4])", { 3 }, 1, false, NULL },
    { "n = dense[3]", { 4 }, 1, false, c_dense }, { "n = dense[3]", { 4, 2 }, 2, false, NULL },
    { "n = layernorm[affine: false]", { 4 }, 1, false, c_layernorm }, { "n = layernorm", { 4, 2 }, 2, true, NULL },
    { "n = layernorm[affine: false, over: 1]", { 3, 2 }, 2, false, c_layernorm_over },
    { "n = groupnorm[2]", { 4, 2 }, 2, false, c_groupnorm }, { "n = batchnorm", { 3, 2 }, 2, true, NULL },
    { "n = batchnorm", { 3, 2 }, 2, false, c_evaluated }, { "n = dropout[0.5]", { 4 }, 1, false, c_dropout_off },
    { "n = glu_layer[2]", { 4 }, 1, false, c_glu_layer },
    { "net n(x: f32[4]) -> f32[2] = apply(inner[2], dense[4](x))", { 4 }, 1, false, NULL },
    { "net n(x: f32[4]) -> f32[4] = apply([quadratic, maxout[2]], dense[8](x))", { 4 }, 1, false, NULL },
    { "net n(x: f32[4]) -> f32[4] = apply(prelu[share: feature], dense[4](x))", { 4 }, 1, false, NULL },
    { "net n(x: f32[4]) -> f32[3] = apply(quadratic_form[2], dense[6](x))", { 4 }, 1, false, NULL },
    { "net n(x: f32[4]) -> f32[4] = softmax(x) * log_softmax(x) + logsumexp(x)", { 4 }, 1, false, NULL },
    { "net n(x: f32[2, 3]) -> f32[3, 2] = transpose(x) * var(x) + sd(x, over: 1, keep: false)", { 2, 3 }, 2, false,
     NULL },
    { "net n(x: f32[3, 3]) -> f32[3, 3] = softmax(causal(x))", { 3, 3 }, 2, false, NULL },
    { "net n(x: f32[4]) -> f32[4] { [a, b] = split(x, 2)\nflatten(stack([b * a, concat(a[1], b[2])])) }", { 4 }, 1,
     false, NULL },
    { "net n(x: f32[4]) -> f32[4, 3] = repeat(x, 3, axis: 2) * positions(4, 3)", { 4 }, 1, false, NULL },
    { "net n(x: f32[4]) -> f32[4] =\n"
      "  interpolate[over: -3..3]([0, 1, 4, 1], x) + bspline[over: -3..3]([1, 0, 2, 1, 0, 3], x)",
      { 4 }, 1, false, NULL },
    { "net n(x: f32[4]) -> f32[4] = max(x, 0.5 * x[2]) * min(x) + prod(x) + project(x, l2, 1, 0 * x)", { 4 }, 1,
     false, NULL },
};

typedef struct NetProbe { Machine m; double *x, *y; int64_t in, out, rows; int total; } NetProbe;

/* The number whose gradient is checked: the sum over the batch of the outputs, each times a weight of its own. */
static Val weighted(Graph *g, Val y, Arena *arena)
{
    NodeType type = graph_type(g, y);
    int64_t n = shape_size(&type.shape);
    double *weights = arena_array(arena, double, n + 1);
    for (int64_t i = 0; i < n; i++) weights[i] = 1 + 0.3 * (double)i;
    Blob *blob = arena_new_of(arena, Blob);
    *blob = (Blob){ DT_F64, type.shape, weights, fnv1a(weights, sizeof(double) * (size_t)n, FNV1A_START) };
    NodeType like = { DT_F64, type.shape, false };
    Val w = graph_add(g, G_TABLE, NULL, 0, &(Attr){ .blob = blob }, &like, (Span){ 0, 0 });
    Val product = graph_2(g, G_MUL, y, w);
    NodeType each = { DT_F64, type.shape, true };
    if (!type.batched) product = graph_add(g, G_BROADCAST, &product, 1, NULL, &each, (Span){ 0, 0 });
    return graph_reduce(g, G_BATCH_SUM, product, (1u << type.shape.rank) - 1);
}

static double net_total(NetProbe *p)
{
    machine_run(&p->m, p->x, NULL, p->rows, p->y, p->y + p->out * p->rows, 0);
    return *machine_slot(&p->m, p->total);
}

static bool agrees(NetProbe *p, double *at, double exact, const char *text, const char *what)
{
    double kept = *at, h = 1e-5, middle = net_total(p), up, down;
    *at = kept + h;
    up = net_total(p);
    *at = kept - h;
    down = net_total(p);
    *at = kept;
    double central = (up - down) / (2 * h);
    if (fabs((up - middle) - (middle - down)) / h > 1e-2 * (1 + fabs(central))) return true;
    if (close_to(exact, central, 1e-6)) return true;
    print_message("%s: d/d%s is %.12g, differences give %.12g\n", text, what, exact, central);
    return false;
}

static bool net_gradients(NetProbe *p, const NetCase *c, const Val *wrt, const int *slot, int n)
{
    bool ok = true;
    net_total(p);
    for (int k = 0; k < n && ok; k++) {
        int64_t size = k == 0 ? p->in * p->rows : shape_size(&p->m.slots[k - 1].shape);
        double *exact = arena_array(p->m.bench->session->arena, double, size + 1);
        double *at = k == 0 ? p->x : machine_slot(&p->m, k - 1);
        if (!wrt[k] || (k > 0 && p->m.slots[k - 1].dtype != DT_F64)) continue;
        net_total(p);
        memcpy(exact, k == 0 ? p->y + p->out * p->rows : machine_slot(&p->m, slot[k]), sizeof(double) * (size_t)size);
        const char *what = k == 0 ? "x" : p->m.slots[k - 1].path;
        for (int64_t i = 0; i < size && ok; i++) ok = agrees(p, &at[i], exact[i], c->text, what);
    }
    return ok;
}

static bool net_holds(const NetCase *c)
{
    Bench bench;
    bench_open(&bench, c->text);
    Arena *arena = bench.session->arena;
    Value net = bench_value(&bench, "n"), result;
    NodeType input = { DT_F64, { .rank = c->rank, .dim = { c->in[0], c->in[1], c->in[2] } }, true };
    Trace *trace = net_trace(&bench.e, &net, DT_F64, c->training, &input, 1, (Span){ 0, 0 }, &result);
    if (!trace || result.kind != V_NODE) {
        bench_complain(&bench);
        return false;
    }
    Graph *g = trace->graph;
    NodeType type = graph_type(g, result.node);
    int n = trace->params.len + 1;
    Val *wrt = arena_array(arena, Val, n), *gradient = arena_array(arena, Val, n);
    Shape *extra = arena_array(arena, Shape, n);
    int *slot = arena_array(arena, int, n);
    wrt[0] = graph_input(g, IN_ROWS, 0, "x", input);
    for (int k = 1; k < n; k++) wrt[k] = trace->params.at[k - 1].node;
    Val total = weighted(g, result.node, arena);
    if (!pass_grad(g, total, 0, wrt, n, gradient, bench.e.diags)) {
        bench_complain(&bench);
        return false;
    }
    for (int k = 1; k < n; k++) {
        extra[k - 1] = trace->params.at[k - 1].shape;
        slot[k] = n - 1 + k - 1;
    }
    NetProbe p = { .in = shape_size(&input.shape), .out = shape_size(&type.shape), .rows = 5, .total = 2 * (n - 1) };
    machine_open(&p.m, &bench, trace, extra, n);
    p.x = arena_array(arena, double, p.in * p.rows);
    p.y = arena_array(arena, double, (p.in + p.out) * p.rows);
    for (int64_t i = 0; i < p.in * p.rows; i++) p.x[i] = point(3, (int)i) + 0.1;
    graph_output(g, OUT_BLOCK, p.total, "total", total);
    for (int k = 1; k < n; k++)
        if (gradient[k] && trace->params.at[k - 1].dtype == DT_F64)
            graph_output(g, OUT_BLOCK, slot[k], "gradient", gradient[k]);
    if (type.batched) graph_output(g, OUT_ROWS, 0, "y", result.node);
    if (gradient[0]) graph_output(g, OUT_ROWS, 1, "dx", gradient[0]);
    bool ok = true;
    net_total(&p);
    for (int64_t i = 0; ok && c->formula && i < p.rows; i++) {
        double y[16];
        c->formula(p.x + i * p.in, &p.m, y);
        for (int64_t k = 0; k < p.out; k++)
            if (!close_to(p.y[i * p.out + k], y[k], 1e-12)) {
                print_message("%s: output %d is %.17g, the formula gives %.17g\n", c->text, (int)k,
                              p.y[i * p.out + k], y[k]);
                ok = false;
            }
    }
    ok = ok && net_gradients(&p, c, gradient, slot, n);
    session_free(bench.session);
    return ok;
}

static void test_nets(void **state)
{
    (void)state;
    int failures = 0;
    for (int i = 0; i < COUNT(net_cases); i++) failures += !net_holds(&net_cases[i]);
    assert_int_equal(failures, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cells), cmocka_unit_test(test_extremes), cmocka_unit_test(test_gradients_agree),
        cmocka_unit_test(test_optimizers), cmocka_unit_test(test_nets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
