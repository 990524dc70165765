/* lower.c -- chooses the way and keeps the tables of entries, buffers and stages. */
#include "kernel/lower_parts.h"

int plan_entry(Plan *plan, EntryKind kind, int index) {
    for (int i = 0; i < plan->entry.len; i++)
        if (plan->entry.at[i].kind == kind && plan->entry.at[i].index == index) return i;
    vec_push(plan->arena, &plan->entry, ((Entry){kind, index}));
    return plan->entry.len - 1;
}

int plan_buffer(Plan *plan, Buffer buffer) {
    EntryKind kind = buffer.scratch ? ENTRY_SCRATCH : ENTRY_BUFFER;
    vec_push(plan->arena, &plan->buffer, buffer);
    vec_push(plan->arena, &plan->entry, ((Entry){kind, plan->buffer.len - 1}));
    return plan->entry.len - 1;
}

int plan_turn(Plan *plan, Moving turn) {
    vec_push(plan->arena, &plan->turn, turn);
    return plan_entry(plan, ENTRY_TURN, plan->turn.len - 1);
}

Gen plan_function(Plan *plan, const char *name) {
    return (Gen){plan->module, kfunc_new(plan->module, name)};
}

/* Numbers the entries that a function uses from 0, in order of appearance. */
static void number_args(Plan *plan, KFunc *f, Stage *stage) {
    VEC(int) arg = {0};
    while (plan->number.len < plan->entry.len) vec_push(plan->arena, &plan->number, 0);
    for (int i = 1; i < f->code.len; i++) {
        KInst *inst = &f->code.at[i];
        if (inst->op != K_ARG) continue;
        int entry = (int)inst->imm;
        if (!plan->number.at[entry]) {
            vec_push(plan->arena, &arg, entry);
            plan->number.at[entry] = arg.len;
        }
        inst->imm = plan->number.at[entry] - 1;
    }
    for (int i = 0; i < arg.len; i++) plan->number.at[arg.at[i]] = 0;
    stage->arg = arg.at;
    stage->args = arg.len;
}

/* What the pointer v comes from is stored to; of one that comes from memory or a loop, anything may be. */
static void mark_written(const KFunc *f, KVal v, Stage *stage) {
    const KInst *inst = &f->code.at[v];
    switch (inst->op) {
    case K_ARG: stage->writes[inst->imm] = true; return;
    case K_OFFSET: mark_written(f, inst->a, stage); return;
    case K_SELECT:
        mark_written(f, inst->b, stage);
        mark_written(f, inst->c, stage);
        return;
    case K_LOCAL: return;
    default: for (int i = 0; i < stage->args; i++) stage->writes[i] = true;
    }
}

static void find_writes(Plan *plan, const KFunc *f, Stage *stage) {
    stage->writes = arena_array(plan->arena, bool, stage->args);
    for (int i = 1; i < f->code.len; i++)
        if (f->code.at[i].op == K_STORE || f->code.at[i].op == K_COMPRESS) mark_written(f, f->code.at[i].a, stage);
}

static bool same_code(const KFunc *a, const KFunc *b) {
    if (a->code.len != b->code.len || strcmp(a->name, b->name) != 0) return false;
    for (int i = 1; i < a->code.len; i++) {
        const KInst *x = &a->code.at[i], *y = &b->code.at[i];
        if (x->op != y->op || x->type.scalar != y->type.scalar || x->type.lanes != y->type.lanes || x->a != y->a ||
            x->b != y->b || x->c != y->c || x->imm != y->imm) return false;
    }
    return true;
}

/* The function is the module's last; it is dropped if an earlier one is the same. */
void plan_stage(Plan *plan, Gen *g, StageSplit split, int64_t count, const char *what) {
    Stage stage = {.func = plan->module->func.len - 1, .split = split, .count = count, .what = what};
    if (split != STAGE_STEPS && plan->target.vector_bytes == 64) divide_by_the_same(plan, g->f);
    number_args(plan, g->f, &stage);
    find_writes(plan, g->f, &stage);
    for (int i = 0; i < plan->module->func.len - 1; i++) {
        if (!same_code(plan->module->func.at[i], g->f)) continue;
        stage.func = i;
        plan->module->func.len--;
        break;
    }
    vec_push(plan->arena, &plan->stage, stage);
}

Lowered *lower(Arena *arena, const Graph *graph, BlockLayout layout, int64_t examples, Target target) {
    Plan plan = {.arena = arena, .graph = graph, .target = target, .module = kmodule_new(arena)};
    plan.lanes = target.vectors ? 16 : 1;
    bool neuron = neuron_fits(graph, examples);
    if (neuron) neuron_lower(&plan, examples, NULL, NULL);
    else staged_lower(&plan);
    Lowered *lowered = arena_new_of(arena, Lowered);
    *lowered = (Lowered){
        .module = plan.module, .stage = plan.stage.at, .stages = plan.stage.len,
        .loop = plan.loop.at, .loops = plan.loop.len, .turn = plan.turn.at, .turns = plan.turn.len,
        .entry = plan.entry.at, .entries = plan.entry.len, .buffer = plan.buffer.at, .buffers = plan.buffer.len,
        .graph = graph, .layout = layout, .lanes = plan.lanes, .neuron = neuron, .examples = neuron ? examples : 0,
    };
    return lowered;
}

Lowered *lower_lanes(Arena *arena, const Graph *graph, BlockLayout layout, int64_t examples, Target target,
                     const Lanes *lanes) {
    if (!target.vectors || !neuron_fits(graph, examples)) return NULL;
    for (int i = 0; i < graph->outputs.len; i++)
        if (graph->outputs.at[i].kind == OUT_ROWS) return NULL;
    Plan plan = {.arena = arena, .graph = graph, .target = target, .module = kmodule_new(arena), .lanes = 16};
    Lowered *lowered = arena_new_of(arena, Lowered);
    bool *slot_varies;
    int trials = neuron_lower(&plan, examples, lanes, &slot_varies);
    *lowered = (Lowered){
        .module = plan.module, .stage = plan.stage.at, .stages = plan.stage.len, .entry = plan.entry.at,
        .entries = plan.entry.len, .graph = graph, .layout = layout, .lanes = 16, .neuron = true,
        .examples = examples, .trials = trials, .slot_varies = slot_varies,
    };
    return lowered;
}
