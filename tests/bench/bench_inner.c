/* bench_inner.c -- the fused inner net 2 -> 64 -> 64 -> 1, forward and backward, against the FMA peak of this machine
 * measured in the same run.  Usage: bench_inner [cpu ...]; default: the host and haswell.  One thread, minima. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "emit/emit.h"
#include "kernel/execute.h"
#include "pass/pass.h"

enum { UNITS = 64, EXAMPLES = 64, HIDDEN = 64, REPEATS = 400, FORWARD = 8576, BACKWARD = 25728 };

typedef struct Bench { Arena *arena; CodeOptions options; Target target; double peak; } Bench;

static double seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static Code *compile(Bench *b, const KModule *module) {
    const char *error = NULL;
    Code *code = code_jit(b->arena, module, &b->options, &error);
    if (code) return code;
    fprintf(stderr, "%s\n", error);
    exit(1);
}

/* ---- peak: chains of independent fmas ---- */

static double measure_peak(Bench *b) {
    enum { TURNS = 20000 };
    int chains = b->target.vector_bytes >= 64 ? 24 : 6;
    KModule *m = kmodule_new(b->arena);
    KFunc *f = kfunc_new(m, "peak");
    KVal x = k_load(m, f, KV(F32), k_arg(m, f, 0), k_int(m, f, KS_I64, 0)), acc[24];
    KVal i = k_for(m, f, k_lo(m, f), k_hi(m, f), 1);
    for (int k = 0; k < chains; k++) acc[k] = k_carry(m, f, x);
    for (int k = 0; k < chains; k++) acc[k] = k_3(m, f, K_FMA, acc[k], x, acc[k]);
    for (int k = 0; k < chains; k++) k_next(m, f, acc[k]);
    k_end(m, f);
    for (int k = 0; k < chains; k++) acc[k] = k_result(m, f, k, KV(F32));
    for (int k = 0; k < chains; k++) k_store(m, f, k_arg(m, f, 0), k_int(m, f, KS_I64, 16 * (k + 1)), acc[k]);
    (void)i;
    Code *code = compile(b, m);
    static float memory[16 * 32];
    void *table[] = {memory};
    double best = 1e9;
    for (int r = 0; r < REPEATS; r++) {
        double start = seconds();
        code_function(code, 0)(table, 0, TURNS);
        double took = seconds() - start;
        if (took < best) best = took;
    }
    code_free(code);
    return 2.0 * 16 * chains * TURNS / best * 1e-9;
}

/* ---- the net ---- */

static Shape shapes[6];

static Graph *inner_body(Arena *arena) {
    Graph *b = graph_new(arena);
    Val x[2], s[6];
    for (int k = 0; k < 2; k++)
        x[k] = graph_reshape(b, graph_input(b, IN_MAPPED, k, "x", (NodeType){DT_F32, SHAPE0, false}),
                             shape_of(1, (int64_t)1));
    for (int k = 0; k < 6; k++) s[k] = graph_input(b, IN_SHARED, k, "p", (NodeType){DT_F32, shapes[k], false});
    Attr joined = {.axis = 0};
    Val in = graph_add(b, G_CONCAT, x, 2, &joined, NULL, (Span){0});
    Val zero = graph_broadcast(b, graph_const(b, DT_F32, 0), shape_of(1, (int64_t)HIDDEN));
    Val h1 = graph_2(b, G_MAX, zero, graph_matmul(b, s[0], in, s[1]));
    Val h2 = graph_2(b, G_MAX, zero, graph_matmul(b, s[2], h1, s[3]));
    graph_output(b, OUT_MAPPED, 0, "y", graph_reshape(b, graph_matmul(b, s[4], h2, s[5]), SHAPE0));
    return b;
}

typedef struct Net { Graph *g; Slot slot[16]; int slots; } Net;

static Val add_slot(Net *n, Shape shape) {
    n->slot[n->slots] = (Slot){.path = "w", .dtype = DT_F32, .shape = shape};
    return graph_input(n->g, IN_BLOCK, n->slots++, "w", (NodeType){DT_F32, shape, false});
}

static void write_slot(Net *n, Val v) {
    n->slot[n->slots] = (Slot){.path = "out", .dtype = DT_F32, .shape = graph_type(n->g, v).shape};
    graph_output(n->g, OUT_BLOCK, n->slots++, "out", v);
}

static void build(Bench *b, Net *n, bool backward) {
    *n = (Net){.g = graph_new(b->arena)};
    NodeType row = {DT_F32, shape_of(1, (int64_t)UNITS), true};
    Val in[8], grad[8], dy;
    for (int k = 0; k < 2; k++) in[k] = graph_input(n->g, IN_ROWS, k, "x", row);
    for (int k = 0; k < 6; k++) in[2 + k] = add_slot(n, shapes[k]);
    Attr attr = {.mapped = 2, .body = inner_body(b->arena)};
    Val y = graph_proj(n->g, graph_add(n->g, G_MAP, in, 8, &attr, NULL, (Span){0}), 0);
    if (!backward) {
        write_slot(n, graph_reduce(n->g, G_BATCH_SUM, y, 0));
        return;
    }
    dy = graph_input(n->g, IN_ROWS, 2, "dy", row);
    Diags diags = {0};
    if (!pass_grad(n->g, y, dy, in, 8, grad, &diags)) exit(1);
    for (int k = 0; k < 2; k++) write_slot(n, graph_reduce(n->g, G_BATCH_SUM, grad[k], 0));
    for (int k = 2; k < 8; k++) write_slot(n, grad[k]);
}

static void measure(Bench *b, bool backward) {
    Net n;
    BlockLayout layout;
    build(b, &n, backward);
    const Graph *graph = pass_simplify(b->arena, n.g);
    block_layout(n.slot, n.slots, &layout);
    double t0 = seconds();
    Lowered *low = lower(b->arena, graph, layout, 0, b->target);
    double t1 = seconds();
    Code *code = compile(b, low->module);
    double t2 = seconds();
    KernelFn *functions = arena_array(b->arena, KernelFn, low->module->func.len);
    for (int k = 0; k < low->module->func.len; k++) functions[k] = code_function(code, k);
    Program *program = program_execute(b->arena, low, functions, NULL, NULL);
    float *block = arena_alloc(b->arena, layout.size), *rows = arena_array(b->arena, float, EXAMPLES * UNITS * 3);
    uint32_t random = 1;
    for (size_t k = 0; k < layout.size / 4; k++)
        block[k] = (float)((random = random * 1664525u + 1013904223u) >> 8) * 0x1p-26f - 0.1f;
    for (int k = 0; k < EXAMPLES * UNITS * 3; k++)
        rows[k] = (float)((random = random * 1664525u + 1013904223u) >> 8) * 0x1p-23f - 1;
    Feed feed = {.examples = EXAMPLES, .batch = EXAMPLES};
    for (int k = 0; k < 3; k++) feed.rows[k] = rows + k * EXAMPLES * UNITS;
    double best = 1e9;
    for (int r = 0; r < REPEATS; r++) {
        double start = seconds();
        program->run(program, block, &feed, 0, 1, NULL);
        double took = seconds() - start;
        if (took < best) best = took;
    }
    double ns = best * 1e9 / (EXAMPLES * UNITS), rate = (backward ? BACKWARD : FORWARD) / ns;
    printf("  %-8s %7.1f ns a call  %6.1f GFLOP/s  %3.0f %% of peak   (lowered in %.1f ms, compiled in %.0f ms)\n",
           backward ? "backward" : "forward", ns, rate, 100 * rate / b->peak, (t1 - t0) * 1e3, (t2 - t1) * 1e3);
    code_free(code);
}

int main(int argc, char **argv) {
    const char *default_cpus[] = {NULL, "haswell"};
    shapes[0] = shape_of(2, (int64_t)HIDDEN, (int64_t)2), shapes[1] = shapes[3] = shape_of(1, (int64_t)HIDDEN);
    shapes[2] = shape_of(2, (int64_t)HIDDEN, (int64_t)HIDDEN), shapes[4] = shape_of(2, (int64_t)1, (int64_t)HIDDEN);
    shapes[5] = shape_of(1, (int64_t)1);
    for (int k = 0; k < (argc > 1 ? argc - 1 : COUNT(default_cpus)); k++) {
        const char *error = NULL;
        Bench b = {.arena = arena_new(), .options = {.opt_level = 2, .plugin = NIN_PLUGIN}};
        b.options.cpu = argc > 1 ? argv[1 + k] : default_cpus[k];
        if (!emit_target(&b.options, &b.target, &error)) {
            fprintf(stderr, "%s\n", error);
            return 1;
        }
        b.peak = measure_peak(&b);
        printf("inner net 2-64-64-1 on %s: FMA peak %.1f GFLOP/s\n", b.options.cpu ? b.options.cpu : "this CPU",
               b.peak);
        measure(&b, false);
        measure(&b, true);
        double again = measure_peak(&b);
        if (again > b.peak) printf("  (peak measured again: %.1f GFLOP/s)\n", again);
        arena_free(b.arena);
    }
    return 0;
}
