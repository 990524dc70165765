/* lower.c -- chooses the way and keeps the tables of entries, buffers and stages. */
#include "kernel/lower_parts.h"

int plan_entry(Plan *plan, EntryKind kind, int index) {
    for (int i = 0; i < plan->entry.len; i++)
        if (plan->entry.at[i].kind == kind && plan->entry.at[i].index == index) return i;
    vec_push(plan->arena, &plan->entry, ((Entry){kind, index}));
    return plan->entry.len - 1;
}

int plan_buffer(Plan *plan, Buffer buffer) {
    vec_push(plan->arena, &plan->buffer, buffer);
    return plan_entry(plan, buffer.scratch ? ENTRY_SCRATCH : ENTRY_BUFFER, plan->buffer.len - 1);
}

Gen plan_function(Plan *plan, const char *name) {
    return (Gen){plan->module, kfunc_new(plan->module, name)};
}

void plan_stage(Plan *plan, Gen *g, StageSplit split, int64_t count, const char *what) {
    for (int i = 0; i < plan->module->func.len; i++)
        if (plan->module->func.at[i] == g->f) vec_push(plan->arena, &plan->stage, ((Stage){i, split, count, what}));
}

Lowered *lower(Arena *arena, const Graph *graph, BlockLayout layout, int64_t examples, Target target) {
    Plan plan = {.arena = arena, .graph = graph, .target = target, .module = kmodule_new(arena)};
    plan.lanes = target.vectors ? 16 : 1;
    bool neuron = neuron_fits(graph, examples);
    if (neuron) neuron_lower(&plan, examples);
    else staged_lower(&plan);
    Lowered *lowered = arena_new_of(arena, Lowered);
    *lowered = (Lowered){
        .module = plan.module, .stage = plan.stage.at, .stages = plan.stage.len,
        .entry = plan.entry.at, .entries = plan.entry.len, .buffer = plan.buffer.at, .buffers = plan.buffer.len,
        .graph = graph, .layout = layout, .lanes = plan.lanes, .neuron = neuron, .examples = neuron ? examples : 0,
    };
    return lowered;
}
