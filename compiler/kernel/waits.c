/* waits.c -- see waits.h.
 *
 * Two stages are in each other's way if one of them writes what both touch: a slot, a result, a buffer, or two buffers
 * that lie in the same place.  Scratch belongs to a thread.  Of two stages of shards and of the two
 * of a relay, only different buffers in the same place count: a thread has the same shares in both.  What thread 0 does
 * alone need not wait for itself.  Stages of loops, whose pointers move, wait for the stage before them. */
#include "kernel/waits.h"

static bool is_overlapping(const MemoryPlan *plan, int a, int b) {
    return plan->offset[a] < plan->offset[b] + plan->bytes[b] && plan->offset[b] < plan->offset[a] + plan->bytes[a];
}

/* Of entries one of which is written. */
static bool entries_meet(const Lowered *low, const MemoryPlan *plan, int a, int b, bool same_shares) {
    const Entry *x = &low->entry[a], *y = &low->entry[b];
    if (x->kind != y->kind || x->kind == ENTRY_SCRATCH) return false;
    if (x->index == y->index) return !same_shares;
    return x->kind == ENTRY_BUFFER && is_overlapping(plan, x->index, y->index);
}

static bool stages_meet(const Lowered *low, const MemoryPlan *plan, const Stage *a, const Stage *b) {
    bool same = a->split == STAGE_SHARDS ? b->split == STAGE_SHARDS : b->split == STAGE_RELAY && b == a + 1;
    for (int i = 0; i < a->args; i++)
        for (int k = 0; k < b->args; k++)
            if ((a->writes[i] || b->writes[k]) && entries_meet(low, plan, a->arg[i], b->arg[k], same)) return true;
    return false;
}

static Wait wait_of(const Lowered *low, const MemoryPlan *plan, int stage) {
    Wait wait = {-1, -1};
    bool serial = stage_is_serial(&low->stage[stage]);
    for (int s = stage_run_first(low->stage, stage) - 1; s >= 0 && wait.others < 0; s--) {
        bool before = stage_is_serial(&low->stage[s]);
        if (before && (serial || wait.first >= 0)) continue;
        if (!stages_meet(low, plan, &low->stage[s], &low->stage[stage])) continue;
        if (wait.first < 0) wait.first = s;
        if (!before) wait.others = s;
    }
    return wait;
}

void waits_plan(const Lowered *low, const MemoryPlan *plan, Wait *wait) {
    for (int s = 0; s < low->stages; s++) wait[s] = wait_of(low, plan, s);
    for (int k = 0; k < low->loops; k++) {
        for (int s = low->loop[k].first; s < low->loop[k].first + low->loop[k].stages; s++) {
            int before = stage_run_first(low->stage, s) - 1;
            wait[s] = (Wait){before, before};
        }
    }
}
