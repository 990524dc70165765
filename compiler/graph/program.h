/* program.h -- a graph that runs: what its inputs are fed from and where its outputs go, the same for the
 * interpreter, the JIT and emitted C.
 *
 * The run's *state block* is one flat piece of memory described by a table of slots (weights, optimizer and
 * layer states, counters).  A step reads the whole block as it was at the step's start and writes all
 * OUT_BLOCK slots at its end.  A program has the form run(block, feed, from, to); any cut of a session into
 * calls gives the same bits. */
#ifndef NIN_PROGRAM_H
#define NIN_PROGRAM_H

#include "graph/graph.h"

/* offset: multiple of 64 */
typedef struct Slot { const char *path; DType dtype; Shape shape; size_t offset; } Slot;
typedef struct BlockLayout { Slot *slot; int slots; size_t size; } BlockLayout;
void block_layout(Slot *slots, int count, BlockLayout *layout);       /* assigns offsets in order, 64-byte aligned */

/* What a program is fed with.  Rows are dense row-major arrays of their input's dtype and shape. */
typedef struct Feed {
    const void *rows[4];        /* by IN_ROWS index */
    const int32_t *order;       /* NULL: examples in order; else example = order[position] (one epoch's permutation,
                                   or several epochs' concatenated: see order_epoch) */
    int64_t examples;           /* in one epoch */
    int64_t batch;              /* examples per step; the last step of an epoch may have fewer */
    int64_t order_epoch;        /* the epoch that order[0] belongs to */
    const double *settings;
    const uint64_t *keys;       /* one Philox key per key slot (see runtime/support/rng.h) */
    void *out_rows[8];          /* by OUT_ROWS index; row = position within the epoch */
    double *series[8];          /* by OUT_SERIES index; entry = step - series_first */
    int64_t series_first;
} Feed;

/* 0, or -1 if out of memory.  from and to are steps since the session began. */
typedef struct Pool Pool;       /* runtime/support/threads.h; NULL = this thread alone */
typedef struct Program Program;
struct Program {
    const Graph *graph;
    BlockLayout layout;
    int (*run)(Program *program, void *block, const Feed *feed, int64_t from, int64_t to, Pool *pool);
    void (*free)(Program *program);
};

/* The oracle: evaluates the graph node by node, in the stated order of arithmetic.  Slow and plain.
 * The program is allocated in the arena; scratch memory is its own. */
Program *program_interpret(Arena *arena, const Graph *graph, BlockLayout layout);

/* Direct evaluation, without a program: for tests, constants, predictions of a check, gradient checks.
 * inputs by Graph.inputs order, batched ones [examples][size]; those of IN_STEP and IN_BATCH may be NULL: then
 * `step` and `examples`.  outputs by Graph.outputs order, in the arena.  keys by key slot (NULL: all 0).
 * False if out of memory. */
bool graph_eval(Arena *arena, const Graph *graph, int64_t examples, const void *const *inputs, const void **outputs,
                const uint64_t *keys, int32_t step);

#endif
