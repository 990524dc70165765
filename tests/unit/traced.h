/* traced.h -- for tests that start from text: a session with one program in it, and the ways to run a graph.
 *
 * A Text holds a session, its one module and an evaluator.  Whatever gives a diagnostic fails the test with its text.
 * A Way is a way to run a graph; all of them must give the same bits. */
#ifndef NIN_TEST_TRACED_H
#define NIN_TEST_TRACED_H

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
#include "pass/pass.h"
#include "sema/session.h"

typedef struct Text { Session *session; LoadedModule *module; Arena *arena; Eval e; } Text;

static inline const char *text_diagnostics(Text *t) {
    Buf shown = {0};
    diags_render(&t->session->diags, DIAG_HUMAN, false, 100, 0, &shown);
    return buf_done(&shown, t->arena);
}

static inline void text_fail(Text *t, const char *what) { fail_msg("%s:\n%s", what, text_diagnostics(t)); }

static inline Text text_open(const char *source) {
    Text t = {.session = session_new(NULL), .arena = arena_new()};
    t.module = session_load_text(t.session, "test.nin", source);
    if (!t.module || t.session->diags.errors) text_fail(&t, "the program does not load");
    eval_init(&t.e, t.session, t.arena, &t.session->diags, EVAL_RUN);
    return t;
}

static inline void text_close(Text *t) {
    session_free(t->session);
    arena_free(t->arena);
}

static inline Value text_value(Text *t, const char *name) {
    Value value;
    bool found;
    if (!session_value(&t->e, t->module, name, &value, &found) || !found) text_fail(t, name);
    return value;
}

/* A trace of the net `name` on one input of a shape; the net's output is *out. */
static inline Trace *text_trace(Text *t, const char *name, DType precision, bool training, Shape shape, Val *out) {
    Value net = text_value(t, name), result;
    Trace *trace = trace_new(&t->e, precision, training);
    t->e.trace = trace;
    Value x = trace_value(graph_input(trace->graph, IN_ROWS, 0, "x", (NodeType){precision, shape, true}));
    if (!trace_net(&t->e, trace, &net, &x, 1, (Span){0}, &result)) text_fail(t, name);
    t->e.trace = trace;
    if (!value_as_node(&t->e, &result, (Span){0}, out)) text_fail(t, name);
    return trace;
}

/* fn(args) inside the trace, as a node. */
static inline Val text_call(Text *t, Trace *trace, const char *path, const char *fn, const Val *args, int n) {
    Value callee = text_value(t, fn), arg[8], result;
    Val node;
    for (int i = 0; i < n; i++) arg[i] = trace_value(args[i]);
    t->e.trace = trace;
    if (!trace_call(&t->e, trace, path, &callee, arg, n, (Span){0}, &result)) text_fail(t, fn);
    t->e.trace = trace;
    if (!value_as_node(&t->e, &result, (Span){0}, &node)) text_fail(t, fn);
    return node;
}

/* ---- a training step ---- */

enum { STEP_SLOTS = 160 };
typedef struct Step {
    Graph *graph;
    BlockLayout layout;
    Slot slot[STEP_SLOTS];
    int learned, keys;             /* slots of the net's own parameters and states; random key slots */
    double *settings;
} Step;

/* One step of optimizer(w, g) for every parameter of `net`, on the mean of loss(y, target) over the batch, whose sum is
 * series 0.  classes 0: real targets of the output's shape. */
static inline void text_step(Text *t, const char *net, const char *loss, const char *optimizer, DType precision,
                             Shape shape, int classes, Step *step) {
    Val args[2], wrt[STEP_SLOTS], grad[STEP_SLOTS];
    Trace *trace = text_trace(t, net, precision, true, shape, &args[0]);
    Graph *g = trace->graph;
    NodeType target = {precision, graph_node(g, args[0])->shape, true};
    if (classes) target = (NodeType){DT_I32, SHAPE0, true};
    args[1] = graph_input(g, IN_ROWS, 1, "target", target);
    if (classes) trace_mark_classes(trace, args[1], classes);
    Val each = text_call(t, trace, "loss", loss, args, 2);
    Val batch = graph_cast(g, graph_input(g, IN_BATCH, 0, "batch", (NodeType){DT_I32, SHAPE0, false}), precision);
    Val seed = graph_2(g, G_DIV, graph_const(g, precision, 1), batch);
    graph_output(g, OUT_SERIES, 0, "loss", graph_reduce(g, G_BATCH_SUM, each, 0));
    step->learned = trace->params.len;
    int n = 0, index[STEP_SLOTS];
    for (int i = 0; i < step->learned; i++) {
        if (!trace->params.at[i].state) index[n] = i, wrt[n++] = trace->params.at[i].node;
    }
    if (!pass_grad(g, each, seed, wrt, n, grad, &t->session->diags)) text_fail(t, "gradient");
    for (int i = 0; i < n; i++) {
        Val pair[2] = {wrt[i], grad[i]};
        const char *path = trace->params.at[index[i]].path;
        Val next = text_call(t, trace, arena_printf(t->arena, "optimizer/%s", path), optimizer, pair, 2);
        graph_output(g, OUT_BLOCK, index[i], path, graph_cast(g, next, precision));
    }
    assert_in_range(trace->params.len, 1, STEP_SLOTS);
    for (int i = 0; i < trace->params.len; i++) {
        const ParamInfo *p = &trace->params.at[i];
        step->slot[i] = (Slot){p->path, p->dtype, p->shape, 0};
        if (p->state && p->next) graph_output(g, OUT_BLOCK, i, p->path, p->next);
    }
    block_layout(step->slot, trace->params.len, &step->layout);
    step->settings = arena_array(t->arena, double, trace->settings.len + 1);
    for (int i = 0; i < trace->settings.len; i++) step->settings[i] = trace->settings.at[i].value;
    step->graph = g;
    step->keys = g->keys;
}

/* Starting values: learned ones uniform in -0.2..0.2, states of layers 1, of the optimizer 0. */
static inline void *step_block(Arena *arena, const Step *step) {
    char *block = arena_alloc(arena, step->layout.size + 64);
    uint64_t bits = 7;
    for (int i = 0; i < step->learned; i++) {
        const Slot *slot = &step->layout.slot[i];
        bool learned = false;
        for (int k = 0; k < step->graph->outputs.len && !learned; k++) {
            const GraphOutput *out = &step->graph->outputs.at[k];
            learned = out->kind == OUT_BLOCK && out->index == i;
        }
        for (int64_t k = 0; k < shape_size(&slot->shape); k++) {
            bits = bits * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
            double x = learned ? ((double)(bits >> 11) * 0x1p-52 - 1) * 0.2 : 1;
            if (slot->dtype == DT_F32) ((float *)(block + slot->offset))[k] = (float)x;
            else if (slot->dtype == DT_F64) ((double *)(block + slot->offset))[k] = x;
        }
    }
    return block;
}

/* ---- ways to run ---- */

typedef enum WayKind { WAY_INTERPRET, WAY_JIT, WAY_C } WayKind;
typedef struct Way { const char *name; WayKind kind; int opt_level; const char *cpu; } Way;

static const Way ways[] = {
    {"jit -O2", WAY_JIT, 2, NULL},
    {"interpreter", WAY_INTERPRET, 0, NULL},
    {"jit -O2 haswell", WAY_JIT, 2, "haswell"},
    {"jit -O0", WAY_JIT, 0, NULL},
    {"C by gcc", WAY_C, 0, NULL},
};

static inline void way_code_free(void *code) { code_free(code); }

/* examples: of a batch if fixed (batch: all), else 0. */
static inline Program *way_program(Arena *arena, const Way *way, const Graph *graph, BlockLayout layout,
                                   int64_t examples) {
    if (way->kind == WAY_INTERPRET) return program_interpret(arena, graph, layout);
    CodeOptions options = {.opt_level = way->opt_level, .cpu = way->cpu, .plugin = NIN_PLUGIN, .threads = 2};
    Target target = {.vector_bytes = 4, .registers = 16};
    const char *error = NULL;
    if (way->kind == WAY_JIT && !emit_target(&options, &target, &error)) fail_msg("%s: %s", way->name, error);
    Graph *simple = pass_simplify(arena, graph);
    const char *wrong = graph_verify(simple, arena);
    if (wrong) fail_msg("%s", wrong);
    Lowered *lowered = lower(arena, simple, layout, examples, target);
    if ((wrong = kernel_verify(lowered->module, arena))) fail_msg("%s: %s", way->name, wrong);
    options.neuron = lowered->neuron;
    Code *code;
    if (way->kind == WAY_C) {
        char folder[] = "/tmp/nin-test-XXXXXX";
        assert_non_null(mkdtemp(folder));
        code = code_from_c(arena, lowered->module, "gcc", folder, &error);
        assert_int_equal(system(arena_printf(arena, "rm -r %s", folder)), 0);
    } else {
        code = code_jit(arena, lowered->module, &options, &error);
    }
    if (!code) fail_msg("%s: %s", way->name, error);
    KernelFn *functions = arena_array(arena, KernelFn, lowered->module->func.len + 1);
    for (int i = 0; i < lowered->module->func.len; i++) functions[i] = code_function(code, i);
    return program_execute(arena, lowered, functions, code, way_code_free);
}

/* The first element where two arrays of bits differ; -1: none. */
static inline int64_t first_difference(const void *a, const void *b, size_t element, size_t bytes) {
    for (size_t i = 0; i * element < bytes; i++)
        if (memcmp((const char *)a + i * element, (const char *)b + i * element, element)) return (int64_t)i;
    return -1;
}

#endif
