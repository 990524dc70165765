/* numbers.h -- for tests of passes: graphs fed with f64 arrays, run by the interpreter, results as f64 arrays.
 *
 * A Bench holds a graph whose inputs are IN_ROWS (batched, at most 4) and IN_BLOCK (not batched), made by bench_in;
 * bench_run evaluates values of it.  Random numbers are fixed by the seed. */
#ifndef NIN_TEST_NUMBERS_H
#define NIN_TEST_NUMBERS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "graph/program.h"
#include "pass/pass.h"

enum { BENCH_BATCH = 35, BENCH_INPUTS = 16 };       /* more than one shard */

typedef struct BenchInput { Val v; double *data; int64_t size; bool batched; } BenchInput;
typedef struct Bench {
    Arena *arena;
    Graph *g;
    uint64_t seed;
    BenchInput in[BENCH_INPUTS];
    int n, rows, slots;
} Bench;

static inline Bench bench_new(uint64_t seed) {
    Arena *arena = arena_new();
    return (Bench){.arena = arena, .g = graph_new(arena), .seed = seed};
}
static inline void bench_free(Bench *b) { arena_free(b->arena); }

static inline uint64_t bench_bits(Bench *b) {
    uint64_t z = (b->seed += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}
/* Numbers lie on a grid of 0.02 with an offset of its own for each input: two inputs are never near each other. */
static inline double bench_uniform(Bench *b, double lo, double hi) {
    double x = lo + (hi - lo) * (double)(bench_bits(b) >> 11) * 0x1p-53;
    return floor(x / 0.1) * 0.1 + 0.013 + 0.011 * b->n;
}

static inline Val bench_in(Bench *b, Shape shape, bool batched, double lo, double hi) {
    BenchInput *in = &b->in[b->n];
    in->batched = batched;
    in->size = shape_size(&shape) * (batched ? BENCH_BATCH : 1);
    in->data = arena_array(b->arena, double, in->size);
    for (int64_t i = 0; i < in->size; i++) in->data[i] = bench_uniform(b, lo, hi);
    NodeType type = {DT_F64, shape, batched};
    in->v = graph_input(b->g, batched ? IN_ROWS : IN_BLOCK, batched ? b->rows++ : b->slots++,
                        arena_printf(b->arena, "x%d", b->n), type);
    b->n++;
    return in->v;
}

static inline Val bench_table(Bench *b, Shape shape) {
    Blob *blob = arena_new_of(b->arena, Blob);
    double *data = arena_array(b->arena, double, shape_size(&shape));
    for (int64_t i = 0; i < shape_size(&shape); i++) data[i] = bench_uniform(b, -1, 1) + 0.5;
    *blob = (Blob){DT_F64, shape, data, fnv1a(data, sizeof(double) * (size_t)shape_size(&shape), FNV1A_START)};
    return graph_add(b->g, G_TABLE, NULL, 0, &(Attr){.blob = blob}, NULL, (Span){0});
}

/* Runs `g` (the bench's or a simplified one), outputs as they stand: rows first 8, others slots behind the inputs. */
typedef struct BenchRun { Program *program; Slot slot[64]; BlockLayout layout; void *block; Feed feed; } BenchRun;

static inline void bench_load(const Bench *b, BenchRun *run) {
    for (int i = 0; i < b->n; i++) {
        const GraphInput *input = &b->g->inputs.at[graph_attr(b->g, b->in[i].v)->index];
        if (b->in[i].batched) run->feed.rows[input->index] = b->in[i].data;
        else memcpy((char *)run->block + run->layout.slot[input->index].offset, b->in[i].data,
                    sizeof(double) * (size_t)b->in[i].size);
    }
}

static inline void bench_open(const Bench *b, const Graph *g, BenchRun *run) {
    int slots = 0;
    *run = (BenchRun){.feed = {.examples = BENCH_BATCH, .batch = BENCH_BATCH}};
    for (int i = 0; i < g->inputs.len; i++)
        if (g->inputs.at[i].kind == IN_BLOCK)
            run->slot[g->inputs.at[i].index] = (Slot){"", g->inputs.at[i].dtype, g->inputs.at[i].shape, 0};
    slots = b->slots;
    for (int i = 0; i < g->outputs.len; i++) {
        const Node *node = graph_node(g, g->outputs.at[i].value);
        if (g->outputs.at[i].kind == OUT_BLOCK)
            run->slot[g->outputs.at[i].index] = (Slot){"", (DType)node->dtype, node->shape, 0};
        else run->feed.out_rows[g->outputs.at[i].index] =
                 arena_array(b->arena, double, BENCH_BATCH * shape_size(&node->shape));
        if (g->outputs.at[i].kind == OUT_BLOCK && g->outputs.at[i].index >= slots) slots = g->outputs.at[i].index + 1;
    }
    assert_true(slots <= 64);
    block_layout(run->slot, slots, &run->layout);
    run->block = arena_alloc(b->arena, run->layout.size + 64);
    const char *wrong = graph_verify(g, b->arena);
    if (wrong) fail_msg("%s", wrong);
    run->program = program_interpret(b->arena, g, run->layout);
    bench_load(b, run);
}

static inline void bench_step(BenchRun *run) {
    assert_int_equal(run->program->run(run->program, run->block, &run->feed, 0, 1, NULL), 0);
}
static inline void bench_close(BenchRun *run) { run->program->free(run->program); }

/* The data of output k after bench_step. */
static inline const double *bench_out(const BenchRun *run, const Graph *g, int k) {
    const GraphOutput *out = &g->outputs.at[k];
    return out->kind == OUT_ROWS ? run->feed.out_rows[out->index]
                                 : (const double *)((const char *)run->block + run->layout.slot[out->index].offset);
}
static inline int64_t bench_out_size(const Graph *g, int k) {
    const Node *node = graph_node(g, g->outputs.at[k].value);
    return shape_size(&node->shape) * (node->batched ? BENCH_BATCH : 1);
}

/* Adds an output for a value; slots of the block follow those of the inputs. */
static inline void bench_output(Bench *b, Graph *g, Val v) {
    int rows = 0, slots = b->slots;
    for (int i = 0; i < g->outputs.len; i++) {
        rows += g->outputs.at[i].kind == OUT_ROWS;
        slots += g->outputs.at[i].kind == OUT_BLOCK;
    }
    bool batched = graph_node(g, v)->batched;
    graph_output(g, batched ? OUT_ROWS : OUT_BLOCK, batched ? rows : slots, "", v);
}

#endif
