/* lower_case.h -- programs for the tests of lowering: built with graph_add, run by the interpreter and by every way
 * of compiling, compared byte by byte (any NaN equals any NaN). */
#ifndef NIN_LOWER_CASE_H
#define NIN_LOWER_CASE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "emit/emit.h"
#include "graph/program.h"
#include "kernel/execute.h"
#include "kernel/lower.h"
#include "pass/pass.h"
#include "support/threads.h"

enum { MAX_SLOTS = 64, MAX_CASE_ROWS = 4, MAX_OUT = 8, STEPS = 3 };

typedef struct Case {
    Arena *arena;
    Graph *g;
    Slot slots[MAX_SLOTS];
    int nslots, nrows, nsettings, nseries, nout;
    NodeType rows[MAX_CASE_ROWS];
    int32_t classes[MAX_CASE_ROWS];        /* i32 rows are below this */
    NodeType out[MAX_OUT];
    double settings[64];
    DType real;
    uint32_t random;
    bool quick, no_c;                      /* fewer ways */
} Case;

static inline Case case_new(DType real) {
    Arena *arena = arena_new();
    return (Case){.arena = arena, .g = graph_new(arena), .real = real, .random = 12345};
}

static inline uint32_t case_random(Case *c) {
    c->random = c->random * 1664525u + 1013904223u;
    return c->random >> 8;
}

static inline double case_real(Case *c) { return ((double)case_random(c) * 0x1p-24 - 0.5) * 2.0; }

static inline Val case_slot(Case *c, DType dtype, Shape shape) {
    char *path = arena_printf(c->arena, "slot%d", c->nslots);
    c->slots[c->nslots] = (Slot){.path = path, .dtype = dtype, .shape = shape};
    return graph_input(c->g, IN_BLOCK, c->nslots++, path, (NodeType){dtype, shape, false});
}

static inline Val case_row(Case *c, DType dtype, Shape shape, int classes) {
    c->classes[c->nrows] = classes;
    c->rows[c->nrows] = (NodeType){dtype, shape, true};
    return graph_input(c->g, IN_ROWS, c->nrows++, "x", (NodeType){dtype, shape, true});
}

static inline Val case_setting(Case *c, double x) {
    c->settings[c->nsettings] = x;
    return graph_input(c->g, IN_SETTING, c->nsettings++, "setting", (NodeType){DT_F64, SHAPE0, false});
}

static inline void case_series(Case *c, Val v) { graph_output(c->g, OUT_SERIES, c->nseries++, "series", v); }
static inline void case_write(Case *c, Val slot, Val v) {
    graph_output(c->g, OUT_BLOCK, c->g->inputs.at[graph_attr(c->g, slot)->index].index, "slot", v);
}
/* Shows a value: rows if it is batched, else a slot of its own. */
static inline void case_show(Case *c, Val v) {
    NodeType type = graph_type(c->g, v);
    if (type.batched) {
        c->out[c->nout] = type;
        graph_output(c->g, OUT_ROWS, c->nout++, "out", v);
    } else {
        c->slots[c->nslots] = (Slot){.path = "shown", .dtype = type.dtype, .shape = type.shape};
        graph_output(c->g, OUT_BLOCK, c->nslots++, "shown", v);
    }
}

/* ---- data ---- */

typedef struct Data {
    BlockLayout layout;
    char *block;                           /* the start */
    Feed feed;
    int64_t steps;
    uint64_t *keys;
} Data;

static inline void case_fill(Case *c, DType dtype, int classes, int64_t n, void *at) {
    for (int64_t i = 0; i < n; i++) {
        switch (dtype) {
        case DT_BOOL: ((uint8_t *)at)[i] = case_random(c) & 1; break;
        case DT_I32: ((int32_t *)at)[i] = classes ? (int32_t)(case_random(c) % (uint32_t)classes) : 0; break;
        case DT_F32: ((float *)at)[i] = (float)case_real(c); break;
        case DT_F64: ((double *)at)[i] = case_real(c); break;
        }
    }
}

static inline Data case_data(Case *c, int64_t examples, int64_t batch, bool ordered) {
    Data d = {.feed = {.examples = examples, .batch = batch, .settings = c->settings}};
    block_layout(c->slots, c->nslots, &d.layout);
    d.block = arena_alloc(c->arena, d.layout.size + 64);
    for (int s = 0; s < c->nslots; s++)
        case_fill(c, c->slots[s].dtype, 3, shape_size(&c->slots[s].shape), d.block + c->slots[s].offset);
    for (int r = 0; r < c->nrows; r++) {
        int64_t n = shape_size(&c->rows[r].shape) * examples;
        void *rows = malloc((size_t)n * dtype_size(c->rows[r].dtype));
        /* exact: valgrind and ASan see an overrun */
        case_fill(c, c->rows[r].dtype, c->classes[r], n, rows);
        d.feed.rows[r] = rows;
    }
    d.keys = arena_array(c->arena, uint64_t, c->g->keys + 1);
    for (int k = 0; k < c->g->keys; k++) d.keys[k] = 0x9E3779B97F4A7C15u * (uint64_t)(k + 1);
    d.feed.keys = d.keys;
    d.steps = (examples + batch - 1) / batch > STEPS ? (examples + batch - 1) / batch : STEPS;
    if (ordered) {
        int64_t epochs = d.steps / ((examples + batch - 1) / batch) + 1;
        int32_t *order = arena_array(c->arena, int32_t, examples * epochs);
        for (int64_t i = 0; i < examples * epochs; i++) order[i] = (int32_t)((i * 7 + i / examples) % examples);
        d.feed.order = order;
    }
    return d;
}

static inline void case_data_free(Case *c, Data *d) {
    for (int r = 0; r < c->nrows; r++) free((void *)(uintptr_t)d->feed.rows[r]);
}

/* ---- results ---- */

typedef struct Result { char *block, *out[MAX_OUT]; size_t out_size[MAX_OUT]; double *series[MAX_OUT]; } Result;

static inline void result_nans(DType dtype, void *at, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        if (dtype == DT_F32 && isnan(((float *)at)[i])) ((float *)at)[i] = NAN;
        if (dtype == DT_F64 && isnan(((double *)at)[i])) ((double *)at)[i] = (double)NAN;
    }
}

static inline Result case_run(Case *c, const Data *d, Program *program, Pool *pool, bool cut) {
    Result r = {.block = arena_alloc(c->arena, d->layout.size + 1)};
    Feed feed = d->feed;
    memcpy(r.block, d->block, d->layout.size);
    for (int k = 0; k < c->nout; k++) {
        r.out_size[k] = (size_t)(shape_size(&c->out[k].shape) * feed.examples) * dtype_size(c->out[k].dtype);
        r.out[k] = arena_alloc(c->arena, r.out_size[k] + 1);
        memset(r.out[k], 0x55, r.out_size[k] + 1);
        feed.out_rows[k] = r.out[k];
    }
    for (int k = 0; k < c->nseries; k++) feed.series[k] = r.series[k] = arena_array(c->arena, double, d->steps);
    for (int64_t at = 0; at < d->steps;) {
        int64_t to = cut ? at + 1 : d->steps;
        assert_int_equal(program->run(program, r.block, &feed, at, to, pool), 0);
        at = to;
    }
    for (int k = 0; k < c->nout; k++) {
        assert_int_equal(r.out[k][r.out_size[k]], 0x55);
        result_nans(c->out[k].dtype, r.out[k], (int64_t)(r.out_size[k] / dtype_size(c->out[k].dtype)));
    }
    for (int k = 0; k < c->nseries; k++) result_nans(DT_F64, r.series[k], d->steps);
    for (int s = 0; s < c->nslots; s++)
        result_nans(c->slots[s].dtype, r.block + c->slots[s].offset, shape_size(&c->slots[s].shape));
    return r;
}

static inline void case_compare(Case *c, const Data *d, const Result *a, const Result *b, const char *way) {
    for (int s = 0; s < c->nslots; s++)
        for (int64_t i = 0; i < shape_size(&c->slots[s].shape); i++) {
            size_t size = dtype_size(c->slots[s].dtype), at = c->slots[s].offset + (size_t)i * size;
            if (memcmp(a->block + at, b->block + at, size) == 0) continue;
            double x = size == 8 ? *(double *)(a->block + at) : size == 4 ? (double)*(float *)(a->block + at)
                : a->block[at];
            double y = size == 8 ? *(double *)(b->block + at) : size == 4 ? (double)*(float *)(b->block + at)
                : b->block[at];
            fail_msg("%s: slot %d element %lld: %.9g, expected %.9g", way, s, (long long)i, y, x);
        }
    if (memcmp(a->block, b->block, d->layout.size) != 0) fail_msg("%s: the block's padding was written", way);
    for (int k = 0; k < c->nout; k++)
        for (size_t i = 0; i < a->out_size[k]; i += dtype_size(c->out[k].dtype))
            if (memcmp(a->out[k] + i, b->out[k] + i, dtype_size(c->out[k].dtype)) != 0)
                fail_msg("%s: rows %d element %zu: %.9g, expected %.9g", way, k, i / dtype_size(c->out[k].dtype),
                         c->out[k].dtype == DT_F64 ? *(double *)(b->out[k] + i) : (double)*(float *)(b->out[k] + i),
                         c->out[k].dtype == DT_F64 ? *(double *)(a->out[k] + i) : (double)*(float *)(a->out[k] + i));
    for (int k = 0; k < c->nseries; k++)
        for (int64_t i = 0; i < d->steps; i++)
            if (memcmp(&a->series[k][i], &b->series[k][i], sizeof(double)) != 0)
                fail_msg("%s: series %d step %lld: %.17g, expected %.17g", way, k, (long long)i, b->series[k][i],
                         a->series[k][i]);
}

/* ---- ways to compile ---- */

static inline KernelFn *case_functions(Case *c, const Code *code, const KModule *module) {
    KernelFn *functions = arena_array(c->arena, KernelFn, module->func.len + 1);
    for (int k = 0; k < module->func.len; k++) functions[k] = code_function(code, k);
    return functions;
}

static inline void case_check_code(Case *c, const Data *d, const Result *expected, const Lowered *low, Code *code,
                                   const char *way) {
    Program *program = program_execute(c->arena, low, case_functions(c, code, low->module), NULL, NULL);
    Pool *pool = pool_new(2);
    for (int k = 0; k < 3; k++) {
        Result got = case_run(c, d, program, k == 1 ? pool : NULL, k == 2);
        case_compare(c, d, expected, &got,
                     arena_printf(c->arena, "%s, %s", way, k == 0 ? "1 thread" : k == 1 ? "2 threads" : "cut"));
    }
    pool_free(pool);
}

static inline Lowered *case_lower(Case *c, const Data *d, int64_t known, const CodeOptions *options, bool plain) {
    const char *error = NULL;
    Target target = {.vector_bytes = 4, .registers = 16};
    if (!plain && !emit_target(options, &target, &error)) fail_msg("%s", error);
    Lowered *low = lower(c->arena, c->g, d->layout, known, target);
    const char *wrong = kernel_verify(low->module, c->arena);
    if (wrong) {
        Buf text = {0};
        kernel_print(low->module, &text);
        fprintf(stderr, "%.*s\n", (int)text.len, text.at);
        fail_msg("%s", wrong);
    }
    return low;
}

static inline void case_check_jit(Case *c, const Data *d, const Result *expected, int64_t known, int level,
                                  const char *cpu,
                                  bool plain) {
    CodeOptions options = {.opt_level = level, .cpu = cpu, .plugin = NIN_PLUGIN};
    const char *error = NULL;
    Lowered *low = case_lower(c, d, known, &options, plain);
    options.neuron = low->neuron;
    Code *code = code_jit(c->arena, low->module, &options, &error);
    if (!code) fail_msg("%s", error);
    case_check_code(c, d, expected, low, code,
            arena_printf(c->arena, "O%d %s%s%s", level, cpu ? cpu : "host", known ? " neuron" : "", plain ? " plain"
                         : ""));
    code_free(code);
}

static inline void case_check_c(Case *c, const Data *d, const Result *expected, int64_t known, bool plain) {
    CodeOptions options = {.plugin = NIN_PLUGIN};
    const char *error = NULL;
    char folder[] = "/tmp/nin-lower-XXXXXX";
    Lowered *low = case_lower(c, d, known, &options, plain);
    assert_non_null(mkdtemp(folder));
    Code *code = code_from_c(c->arena, low->module, "gcc", folder, &error);
    if (!code) fail_msg("%s", error);
    case_check_code(c, d, expected, low, code, plain ? "plain C" : "C");
    code_free(code);
    assert_int_equal(system(arena_printf(c->arena, "rm -r %s", folder)), 0);
}

/* All ways, for these examples and batch; known: also as a neuron, if it fits. */
static inline void case_check(Case *c, int64_t examples, int64_t batch, bool ordered) {
    const char *wrong = graph_verify(c->g, c->arena);
    if (wrong) fail_msg("%s", wrong);
    Data d = case_data(c, examples, batch, ordered);
    Result expected = case_run(c, &d, program_interpret(c->arena, c->g, d.layout), NULL, false);
    int64_t ways[2] = {0, batch >= examples && examples <= 4 ? examples : 0};
    for (int k = 0; k < 1 + (ways[1] != 0); k++) {
        case_check_jit(c, &d, &expected, ways[k], 2, NULL, false);
        if (!ways[k]) case_check_jit(c, &d, &expected, ways[k], 0, NULL, true);
        if (c->quick) continue;
        case_check_jit(c, &d, &expected, ways[k], 0, NULL, false);
        case_check_jit(c, &d, &expected, ways[k], 2, "haswell", false);
        if (c->no_c) continue;
        case_check_c(c, &d, &expected, ways[k], false);
        case_check_c(c, &d, &expected, ways[k], true);
    }
    case_data_free(c, &d);
}

/* ---- pieces of programs ---- */

static inline Val real_const(Case *c, double x) { return graph_const(c->g, c->real, x); }

/* The f64 number where it meets tensors. */
static inline Val rounded(Case *c, Val f64, Val like) {
    return graph_broadcast(c->g, graph_cast(c->g, f64, c->real), graph_type(c->g, like).shape);
}

/* w - lr (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + eps), all states in slots. */
static inline void case_adam(Case *c, Val w, Val grad, double lr) {
    Graph *g = c->g;
    Shape shape = graph_type(g, w).shape;
    Val m = case_slot(c, c->real, shape), v = case_slot(c, c->real, shape), t = case_slot(c, DT_I32, SHAPE0);
    Val b1 = case_setting(c, 0.9), b2 = case_setting(c, 0.999), one = graph_const(g, DT_F64, 1);
    Val t1 = graph_2(g, G_ADD, t, graph_int(g, 1));
    Val a1 = rounded(c, b1, w), c1 = rounded(c, graph_2(g, G_SUB, one, b1), w);
    Val a2 = rounded(c, b2, w), c2 = rounded(c, graph_2(g, G_SUB, one, b2), w);
    Val m1 = graph_2(g, G_ADD, graph_2(g, G_MUL, a1, m), graph_2(g, G_MUL, c1, grad));
    Val v1 = graph_2(g, G_ADD, graph_2(g, G_MUL, a2, v),
                     graph_2(g, G_MUL, c2, graph_2(g, G_MUL, grad, grad)));
    Val d1 = rounded(c, graph_2(g, G_SUB, one, graph_2(g, G_POWI, b1, t1)), w);
    Val d2 = rounded(c, graph_2(g, G_SUB, one, graph_2(g, G_POWI, b2, t1)), w);
    Val root = graph_1(g, G_SQRT, graph_2(g, G_DIV, graph_1(g, G_ABS, v1), d2));
    Val step = graph_2(g, G_DIV, graph_2(g, G_DIV, m1, d1), graph_2(g, G_ADD, root, real_const(c, 1e-8)));
    Val w1 = graph_2(g, G_SUB, w, graph_2(g, G_MUL, rounded(c, case_setting(c, lr), w), step));
    case_write(c, w, w1);
    case_write(c, m, m1);
    case_write(c, v, v1);
    case_write(c, t, t1);
}

/* The mean over the batch of a scalar of each example; its gradients by the slots go to Adam. */
static inline void case_train(Case *c, Val loss, const Val *w, int n, double lr) {
    Graph *g = c->g;
    Val count = graph_cast(g, graph_input(g, IN_BATCH, 0, "batch", (NodeType){DT_I32, SHAPE0, false}), c->real);
    Val mean = graph_2(g, G_DIV, graph_reduce(g, G_BATCH_SUM, loss, 0), count), grad[16];
    Diags diags = {0};
    case_series(c, mean);
    assert_true(pass_grad(g, mean, 0, w, n, grad, &diags));
    for (int k = 0; k < n; k++)
        if (grad[k]) case_adam(c, w[k], grad[k], lr);
}

/* The mean of squares of one example. */
static inline Val case_mse(Case *c, Val y, Val target) {
    Graph *g = c->g;
    Val d = graph_2(g, G_SUB, y, target), square = graph_2(g, G_POWI, d,
                                                           graph_broadcast(g, graph_int(g, 2), graph_type(g, d).shape));
    Shape shape = graph_type(g, y).shape;
    Val sum = graph_reduce(g, G_SUM, square, (1u << shape.rank) - 1);
    return graph_2(g, G_DIV, sum, real_const(c, (double)shape_size(&shape)));
}

/* The inner net n -> h -> h -> 1 as the body of a MAP; shared: w1, b1, w2, b2, w3, b3. */
static inline Graph *case_inner_body(Case *c, int n, int64_t h) {
    Graph *b = graph_new(c->arena);
    NodeType scalar = {c->real, SHAPE0, false};
    Shape shapes[] = {shape_of(2, h, (int64_t)n), shape_of(1, h), shape_of(2, h, h), shape_of(1, h),
                      shape_of(2, (int64_t)1, h), shape_of(1, (int64_t)1)};
    Val x[8], s[6];
    for (int k = 0; k < n; k++) x[k] = graph_reshape(b, graph_input(b, IN_MAPPED, k, "x", scalar),
                                                     shape_of(1, (int64_t)1));
    for (int k = 0; k < 6; k++) s[k] = graph_input(b, IN_SHARED, k, "p", (NodeType){c->real, shapes[k], false});
    Attr joined = {.axis = 0};
    Val in = n == 1 ? x[0] : graph_add(b, G_CONCAT, x, n, &joined, NULL, (Span){0});
    Val zero = graph_broadcast(b, graph_const(b, c->real, 0), shape_of(1, h));
    Val h1 = graph_2(b, G_MAX, zero, graph_matmul(b, s[0], in, s[1]));
    Val h2 = graph_2(b, G_MAX, zero, graph_matmul(b, s[2], h1, s[3]));
    graph_output(b, OUT_MAPPED, 0, "y", graph_reshape(b, graph_matmul(b, s[4], h2, s[5]), SHAPE0));
    return b;
}

static inline void case_inner_slots(Case *c, int n, int64_t h, Val shared[6]) {
    Shape shapes[] = {shape_of(2, h, (int64_t)n), shape_of(1, h), shape_of(2, h, h), shape_of(1, h),
                      shape_of(2, (int64_t)1, h), shape_of(1, (int64_t)1)};
    for (int k = 0; k < 6; k++) shared[k] = case_slot(c, c->real, shapes[k]);
}

static inline Val case_map(Case *c, const Graph *body, const Val *in, int nin, int mapped) {
    Attr attr = {.mapped = mapped, .body = body};
    return graph_add(c->g, G_MAP, in, nin, &attr, NULL, (Span){0});
}

/* Adjacent features are the arguments: z[n units] -> [units]. */
static inline Val case_cell(Case *c, const Graph *body, Val z, int n, const Val *shared, int nshared) {
    Shape shape = graph_type(c->g, z).shape;
    int64_t units = shape.dim[0] / n, places = shape_size(&shape) / shape.dim[0];
    Val in[32], m = graph_reshape(c->g, z, shape_of(3, units, (int64_t)n, places));
    Shape one = shape.rank == 1 ? shape_of(1, units) : shape_of(2, units, places);
    for (int k = 0; k < n; k++)
        in[k] = graph_reshape(c->g, graph_slice(c->g, m, (int64_t[]){0, k, 0},
                                                shape_of(3, units, (int64_t)1, places)), one);
    for (int k = 0; k < nshared; k++) in[n + k] = shared[k];
    return graph_proj(c->g, case_map(c, body, in, n + nshared, n), 0);
}

static inline Val case_prelu(Case *c, Val z, Val a) {
    Graph *g = c->g;
    Val zero = graph_broadcast(g, real_const(c, 0), graph_type(g, z).shape);
    Val slope = graph_broadcast(g, a, graph_type(g, z).shape);
    return graph_2(g, G_ADD, graph_2(g, G_MAX, zero, z), graph_2(g, G_MUL, slope, graph_2(g, G_MIN, zero, z)));
}

#endif
