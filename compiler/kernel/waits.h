/* waits.h -- which stages a stage has to wait for, where threads go through the stages of a step without meeting.
 *
 * Every thread goes through all stages in order and does its share of each.  Shares of shards are the same for all
 * stages of shards. */
#ifndef NIN_WAITS_H
#define NIN_WAITS_H

#include "kernel/memory.h"

enum { SERIAL_TO = 256 };                   /* ranges with no more items stay on the calling thread */

/* The last stage before it that thread 0 must have been through, and the other threads; -1: none. */
typedef struct Wait { int first, others; } Wait;

/* Thread 0 does all of it. */
static inline bool stage_is_serial(const Stage *stage) {
    return stage->split == STAGE_ONCE || stage->split == STAGE_STEPS ||
           (stage->split == STAGE_RANGE && stage->count <= SERIAL_TO);
}

/* The first of the stages of shards that a thread goes through shard by shard, or the stage itself. */
static inline int stage_run_first(const Stage *stage, int s) {
    if (stage[s].split != STAGE_SHARDS) return s;
    while (s > 0 && stage[s - 1].split == STAGE_SHARDS) s--;
    return s;
}

void waits_plan(const Lowered *low, const MemoryPlan *plan, Wait *wait);    /* by stage */

#endif
