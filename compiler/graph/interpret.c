/* interpret.c -- a program that the interpreter runs: feeds a frame for each step, stores what comes out.
 *
 * One call has memory of its own, so one program may run on several threads.  The block is read as it was at the
 * step's start: its slots are copied before they are evaluated, and written after everything is. */
#include "graph/eval.h"
#include "graph/program.h"

/* One step of a run: `count` examples from `position` (within the epoch) on. */
typedef struct Step { int64_t number, epoch, position, count; } Step;

typedef struct Run {
    const Program *program;
    char *block;
    const Feed *feed;
    Frame frame;
    Value *inputs;
    int32_t step, count;        /* what IN_STEP and IN_BATCH read */
} Run;

static Step step_at(const Feed *feed, int64_t number) {
    int64_t per_epoch = feed->examples > 0 && feed->batch > 0 ? (feed->examples - 1) / feed->batch + 1 : 1;
    Step step = {.number = number, .epoch = number / per_epoch, .position = number % per_epoch * feed->batch};
    int64_t left = feed->examples - step.position;
    step.count = left < feed->batch ? left : feed->batch;
    return step;
}

/* ---- in ---- */

static int64_t example_at(const Feed *feed, const Step *step, int64_t k) {
    int64_t position = step->position + k;
    return feed->order ? feed->order[(step->epoch - feed->order_epoch) * feed->examples + position] : position;
}

static void feed_rows(Run *run, Value *value, int index, const Step *step) {
    size_t bytes = (size_t)value->size * dtype_size(value->dtype);
    if (!value_alloc(&run->frame, value, step->count)) return;
    for (int64_t k = 0; k < step->count; k++) {
        const char *row = (const char *)run->feed->rows[index] + (size_t)example_at(run->feed, step, k) * bytes;
        memcpy(value_row(value, k), row, bytes);
    }
}

static void feed_block(Run *run, Value *value, int index) {
    if (!value_alloc(&run->frame, value, 1)) return;
    memcpy(value->data, run->block + run->program->layout.slot[index].offset,
           (size_t)value->size * dtype_size(value->dtype));
}

static void lend(Value *value, const void *data) {
    value->data = (void *)(uintptr_t)data;
    value->borrowed = true;
}

static void feed_input(Run *run, const GraphInput *input, Value *value, const Step *step) {
    *value = (Value){.dtype = input->dtype, .varies = input->batched, .size = shape_size(&input->shape)};
    switch (input->kind) {
    case IN_ROWS: feed_rows(run, value, input->index, step); return;
    case IN_BLOCK: feed_block(run, value, input->index); return;
    case IN_SETTING: lend(value, run->feed->settings + input->index); return;
    case IN_STEP: lend(value, &run->step); return;
    case IN_BATCH: lend(value, &run->count); return;
    case IN_MAPPED:
    case IN_SHARED:
    case IN_CARRY:
    case IN_SLICE:
    case IN_SLICE_BACK:
    case IN_WHOLE: return;
    }
}

/* ---- out ---- */

static double number_of(const Value *value) {
    switch (value->dtype) {
    case DT_BOOL: return *(const uint8_t *)value->data;
    case DT_I32: return *(const int32_t *)value->data;
    case DT_F32: return (double)*(const float *)value->data;
    case DT_F64: return *(const double *)value->data;
    }
    return 0;
}

static void store_output(Run *run, const GraphOutput *output, const Step *step) {
    const Value *value = &run->frame.value[output->value];
    const Feed *feed = run->feed;
    size_t bytes = (size_t)value->size * dtype_size(value->dtype);
    switch (output->kind) {
    case OUT_BLOCK: memcpy(run->block + run->program->layout.slot[output->index].offset, value->data, bytes); return;
    case OUT_ROWS:
        memcpy((char *)feed->out_rows[output->index] + (size_t)step->position * bytes, value->data,
               (size_t)step->count * bytes);
        return;
    case OUT_SERIES: feed->series[output->index][step->number - feed->series_first] = number_of(value); return;
    case OUT_MAPPED:
    case OUT_SUMMED:
    case OUT_VALUE:
    case OUT_CARRY:
    case OUT_STACK:
    case OUT_STACK_BACK: return;
    }
}

/* ---- steps ---- */

static bool run_step(Run *run, int64_t number) {
    const Graph *g = run->program->graph;
    Step step = step_at(run->feed, number);
    run->step = (int32_t)step.number;
    run->count = (int32_t)step.count;
    run->frame = (Frame){.graph = g, .examples = step.count, .inputs = run->inputs, .keys = run->feed->keys,
                         .step = (uint32_t)step.number};
    for (int i = 0; i < g->inputs.len; i++) feed_input(run, &g->inputs.at[i], &run->inputs[i], &step);
    bool fine = !run->frame.exhausted && frame_open(&run->frame);
    for (int i = 0; i < g->outputs.len && fine; i++) store_output(run, &g->outputs.at[i], &step);
    frame_close(&run->frame);
    for (int i = 0; i < g->inputs.len; i++) value_free(&run->inputs[i]);
    return fine;
}

static int interpret_run(Program *program, void *block, const Feed *feed, int64_t from, int64_t to, Pool *pool) {
    (void)pool;
    Arena *scratch = arena_new();
    Run run = {.program = program, .block = block, .feed = feed};
    run.inputs = arena_array(scratch, Value, program->graph->inputs.len);
    bool fine = true;
    for (int64_t step = from; step < to && fine; step++) fine = run_step(&run, step);
    arena_free(scratch);
    return fine ? 0 : -1;
}

static void interpret_free(Program *program) { (void)program; }

Program *program_interpret(Arena *arena, const Graph *graph, BlockLayout layout) {
    Program *program = arena_new_of(arena, Program);
    *program = (Program){graph, layout, interpret_run, interpret_free};
    return program;
}
