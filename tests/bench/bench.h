/* bench.h -- what the benchmarks share: time, compiling, the measured FMA peak, programs whose kernels are timed one
 * by one.  One thread; minima over short repeats, so that what else the machine does counts little. */
#ifndef NIN_BENCH_H
#define NIN_BENCH_H

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "emit/emit.h"
#include "kernel/execute.h"
#include "pass/pass.h"

enum { BENCH_FUNCTIONS = 32, BENCH_SLOTS = 16, BENCH_CALLS = 4096 };

typedef struct Bench { Arena *arena; CodeOptions options; Target target; double peak; } Bench;

/* Of this thread: what others do beside it counts less. */
static inline double seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static inline Code *compile(Bench *b, const KModule *module) {
    const char *error = NULL;
    Code *code = code_jit(b->arena, module, &b->options, &error);
    if (code) return code;
    fprintf(stderr, "%s\n", error);
    exit(1);
}

/* ---- peak: chains of independent fmas ---- */

static inline double measure_peak(Bench *b) {
    enum { TURNS = 20000, REPEATS = 200 };
    int chains = b->target.vector_bytes >= 64 ? 24 : 6;
    KModule *m = kmodule_new(b->arena);
    KFunc *f = kfunc_new(m, "peak");
    KVal x = k_load(m, f, KV(F32), k_arg(m, f, 0), k_int(m, f, KS_I64, 0)), acc[24];
    k_for(m, f, k_lo(m, f), k_hi(m, f), 1);
    for (int k = 0; k < chains; k++) acc[k] = k_carry(m, f, x);
    for (int k = 0; k < chains; k++) acc[k] = k_3(m, f, K_FMA, acc[k], x, acc[k]);
    for (int k = 0; k < chains; k++) k_next(m, f, acc[k]);
    k_end(m, f);
    for (int k = 0; k < chains; k++) acc[k] = k_result(m, f, k, KV(F32));
    for (int k = 0; k < chains; k++) k_store(m, f, k_arg(m, f, 0), k_int(m, f, KS_I64, 16 * (k + 1)), acc[k]);
    Code *code = compile(b, m);
    float *memory = arena_array(b->arena, float, 16 * 32);
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

/* Of cpu, NULL: this one. */
static inline Bench bench_new(const char *cpu) {
    const char *error = NULL;
    Bench b = {.arena = arena_new(), .options = {.opt_level = 2, .plugin = NIN_PLUGIN, .cpu = cpu}};
    if (!emit_target(&b.options, &b.target, &error)) {
        fprintf(stderr, "%s\n", error);
        exit(1);
    }
    b.peak = measure_peak(&b);
    return b;
}

static inline const char *bench_isa(const Bench *b) {
    return b->target.vector_bytes >= 64 ? "AVX-512" : b->target.vector_bytes >= 32 ? "AVX2" : "128 bits";
}

/* ---- programs ---- */

typedef struct Net { Graph *g; Slot slot[BENCH_SLOTS]; int slots, rows; int64_t width[8]; } Net;

static inline Net net_new(Bench *b) { return (Net){.g = graph_new(b->arena)}; }

static inline Val add_slot(Net *n, Shape shape) {
    n->slot[n->slots] = (Slot){.path = "w", .dtype = DT_F32, .shape = shape};
    return graph_input(n->g, IN_BLOCK, n->slots++, "w", (NodeType){DT_F32, shape, false});
}

static inline Val add_rows(Net *n, Shape shape) {
    n->width[n->rows] = shape_size(&shape);
    return graph_input(n->g, IN_ROWS, n->rows++, "x", (NodeType){DT_F32, shape, true});
}

static inline void write_slot(Net *n, Val v) {
    n->slot[n->slots] = (Slot){.path = "out", .dtype = DT_F32, .shape = graph_type(n->g, v).shape};
    graph_output(n->g, OUT_BLOCK, n->slots++, "out", v);
}

/* Kernels are called through these, which note the time; a kernel carries no data, so the notes are global. */
static struct Timed {
    KernelFn real[BENCH_FUNCTIONS];
    bool named[BENCH_FUNCTIONS];
    double took[BENCH_CALLS];
    int calls;
} timed;

static inline void timed_call(int k, void *const *table, int64_t lo, int64_t hi) {
    double start = seconds();
    timed.real[k](table, lo, hi);
    if (timed.named[k] && timed.calls < BENCH_CALLS) timed.took[timed.calls++] = seconds() - start;
}
#define TIMED(k) static void timed_##k(void *const *t, int64_t lo, int64_t hi) { timed_call(k, t, lo, hi); }
#define TIMED_ALL(T) T(0) T(1) T(2) T(3) T(4) T(5) T(6) T(7) T(8) T(9) T(10) T(11) T(12) T(13) T(14) T(15) \
    T(16) T(17) T(18) T(19) T(20) T(21) T(22) T(23) T(24) T(25) T(26) T(27) T(28) T(29) T(30) T(31)
TIMED_ALL(TIMED)
#undef TIMED
#define TIMED(k) timed_##k,
static const KernelFn timed_functions[] = {TIMED_ALL(TIMED)};
#undef TIMED

typedef struct Measured { double step, lowering, compiling; } Measured;       /* seconds; step: the best one */

static inline bool is_named(const char *name, const char *const *names) {
    for (; names && *names; names++)
        if (strcmp(*names, name) == 0) return true;
    return !names;
}

/* Of `calls` noted calls of equal steps: the best step. */
static inline double best_step(int calls, int steps) {
    double best = 1e9;
    for (int s = 0; s < steps; s++) {
        double took = 0;
        for (int k = 0; k < calls / steps; k++) took += timed.took[s * (calls / steps) + k];
        if (took < best) best = took;
    }
    return best;
}

/* One step of the net's program on random numbers: its kernels of these names; NULL: all. */
static inline Measured measure_net(Bench *b, Net *n, int64_t examples, const char *const *names, int repeats) {
    BlockLayout layout;
    const Graph *graph = pass_simplify(b->arena, n->g);
    block_layout(n->slot, n->slots, &layout);
    double t0 = seconds();
    Lowered *low = lower(b->arena, graph, layout, 0, b->target);
    double t1 = seconds();
    Code *code = compile(b, low->module);
    Measured best = {1e9, t1 - t0, seconds() - t1};
    for (int k = 0; k < low->module->func.len && k < BENCH_FUNCTIONS; k++) {
        timed.real[k] = code_function(code, k);
        timed.named[k] = is_named(low->module->func.at[k]->name, names);
    }
    Program *program = program_execute(b->arena, low, timed_functions, NULL, NULL);
    float *block = arena_alloc(b->arena, layout.size);
    uint32_t random = 1;
    for (size_t k = 0; k < layout.size / 4; k++)
        block[k] = (float)((random = random * 1664525u + 1013904223u) >> 8) * 0x1p-26f - 0.1f;
    Feed feed = {.examples = examples, .batch = examples};
    for (int r = 0; r < n->rows; r++) {
        float *rows = arena_array(b->arena, float, examples * n->width[r]);
        for (int64_t k = 0; k < examples * n->width[r]; k++)
            rows[k] = (float)((random = random * 1664525u + 1013904223u) >> 8) * 0x1p-23f - 1;
        feed.rows[r] = rows;
    }
    enum { STEPS = 3 };                    /* of one call, whose memory the first touches */
    for (int r = 0; r < repeats; r++) {
        timed.calls = 0;
        program->run(program, block, &feed, 0, STEPS, NULL);
        double took = best_step(timed.calls, STEPS);
        if (took < best.step) best.step = took;
    }
    code_free(code);
    return best;
}

#endif
