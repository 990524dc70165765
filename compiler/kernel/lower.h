/* lower.h -- from a graph to kernels and the order in which they run.
 *
 * Two ways, chosen by size alone:
 *  - a *neuron-sized* program (batch: all, few scalars) becomes one kernel that is the whole training loop: every
 *    element of every example is an SSA scalar, the state block is loaded before the loop and stored after it;
 *  - anything else becomes stages that the executor calls once per step: nests whose lanes are examples (fused
 *    element-wise work, reductions inside an example), contractions, mapped cells, sums over the batch, updates.
 * Both give the bits of the interpreter.  Requires: pass_simplify'd graph with program outputs. */
#ifndef NIN_LOWER_H
#define NIN_LOWER_H

#include "graph/program.h"
#include "kernel/kernel.h"

typedef enum StageSplit {
    STAGE_STEPS,      /* range = steps from..to; called once by the executor: the loop is inside */
    STAGE_ONCE,       /* range = 0..1 */
    STAGE_SHARDS,     /* range = shards of the batch; threads take disjoint ranges */
    STAGE_RANGE,      /* range = 0..count, below 2^31; threads take disjoint ranges until nothing is left */
    STAGE_QUEUE,      /* the same, each of much work */
    STAGE_TILES,      /* the same; each thread takes one range */
    STAGE_SUMS,       /* the same, of sums over the batch, shard by shard in order: range = lo + (first << 32) ..
                       * hi + (end << 32), of the shards first .. end.  After a STAGE_SHARDS a thread begins with the
                       * shards up to its own, while threads behind it are at theirs */
    STAGE_RELAY       /* after a STAGE_TILES of which each thread has taken count / (groups + 1): for its own of those,
                       * lo' .. hi', group after group, each behind the thread before it: range = lo' (groups + 1) + 1 +
                       * group .. hi' (groups + 1) + 1 + group.  0 .. count: all of them */
} StageSplit;
enum { MAX_GROUPS = 31 };
/* The function's pointer table: its entry k is entry arg[k] of the program; writes[k]: it is stored to.  Stages of
 * equal code share a function. */
typedef struct Stage {
    int func;
    StageSplit split;
    int64_t count;
    int groups;                            /* of a STAGE_RELAY, at most MAX_GROUPS */
    const char *what;
    int *arg;
    bool *writes;
    int args;
} Stage;

/* Whether threads begin it while others are at the stages of shards before it. */
static inline bool stage_begins_early(const Stage *stage, int s) {
    return stage[s].split == STAGE_SUMS && s > 0 && stage[s - 1].split == STAGE_SHARDS;
}

/* Where each entry of the pointer table comes from. */
typedef enum EntryKind {
    ENTRY_BLOCK,      /* the state block + slot offset (index = slot) */
    ENTRY_ROWS,       /* feed->rows[index] */
    ENTRY_ORDER,      /* int32: the example at each position of this batch; always present (identity if none) */
    ENTRY_SETTINGS, ENTRY_KEYS,
    ENTRY_OUT_ROWS,   /* feed->out_rows[index] + this batch's first row */
    ENTRY_SERIES,     /* feed->series[index]; element step - series_first */
    ENTRY_BUFFER,     /* a buffer of the program (index = buffer) */
    ENTRY_SCRATCH,    /* a buffer of the calling thread (index = scratch buffer) */
    ENTRY_TURN,       /* the place of a turn (index = turn): moves from turn to turn of a loop */
    ENTRY_SHAPE       /* int64[4]: step, examples in this batch, first position of this batch, series_first */
} EntryKind;
typedef struct Entry { EntryKind kind; int index; } Entry;
/* Bytes: fixed + per_shard * shards of the batch + per_example * examples (rounded up to whole blocks of `lanes`; of
 * one shard at most if scratch); 64-byte aligned.  part, last_part: if not 0, the parts of the only stage that needs it
 * in which it is needed; such buffers keep nothing from one block of examples to the next. */
typedef struct Buffer { size_t fixed, per_example, per_shard; bool scratch; int part, last_part; } Buffer;

/* Stages that are run again and again, turn after turn.  shards: all of them are STAGE_SHARDS, so that each shard may
 * go through all turns by itself. */
typedef struct StageLoop { int first, stages; int64_t turns; bool shards; } StageLoop;
/* A pointer that moves: in turn t the entry `first` if t is 0, else `odd` or `even` by t, plus stride bytes for each
 * turn before it (back: for each turn after it). */
typedef struct Moving { int loop, first, odd, even; int64_t stride; bool back; } Moving;

typedef struct Lowered {
    KModule *module;
    Stage *stage; int stages;
    StageLoop *loop; int loops;    /* in order, none inside another */
    Moving *turn; int turns;
    Entry *entry; int entries;
    Buffer *buffer; int buffers;
    const Graph *graph; BlockLayout layout;
    int lanes;                 /* examples in a block */
    bool neuron;               /* one STAGE_STEPS kernel (CodeOptions.neuron) */
    int64_t examples;          /* neuron: per batch; else 0 */
    int trials;                /* lower_lanes: so many at once; else 0 */
    bool *slot_varies;         /* lower_lanes: slots with a place for each trial */
} Lowered;

/* examples: the number of examples per batch if it is fixed and known (batch: all), else 0. */
Lowered *lower(Arena *arena, const Graph *graph, BlockLayout layout, int64_t examples, Target target);

/* What may differ between trials that run at once, by slot (as a call begins) and by setting; keys always may. */
typedef struct Lanes { const bool *slot, *setting; int slots, settings; } Lanes;
/* A neuron-sized training loop with a trial in each lane: one kernel whose memory has [trials] as its last axis
 * wherever trials differ -- slots by Lowered.slot_varies, all settings, keys as [key][word 0, 1][trials] of i32, series
 * as
 * [step][trials] -- and rows and order shared.  Every trial gets the bits of the program of `lower`.
 * NULL if the program is of the other way, or writes rows. */
Lowered *lower_lanes(Arena *arena, const Graph *graph, BlockLayout layout, int64_t examples, Target target,
                     const Lanes *lanes);

#endif
