/* measure.c -- looking at a model: rows of fns over data, and their means in the order of arithmetic. */
#include "experiment/train.h"

#include <math.h>
#include <stdlib.h>

enum { EVALUATION_BATCH = 1024, SMALL_WORK = 200000 };                   /* no result depends on these */

/* The program's block from a model's. */
void model_block(const Model *model, const TrainPlan *plan, void *block) {
    for (int i = 0; i < model->info->params; i++) {
        int slot = plan->slot_of_param[i];
        if (slot < 0) continue;
        const Slot *to = &plan->program->layout.slot[slot];
        memcpy((char *)block + to->offset, (const char *)model->block + model->info->param[i].offset,
               (size_t)shape_size(&to->shape) * dtype_size(to->dtype));
    }
}

static bool rows_run(Eval *e, const Model *model, const DataObject *data, const TrainPlan *plan, const double *settings,
                     void **result) {
    void *block = arena_alloc(e->arena, plan->program->layout.size + 64);
    block = (void *)(((uintptr_t)block + 63) & ~(uintptr_t)63);
    model_block(model, plan, block);
    Seeds seeds = {0};
    Lab *lab = lab_of(e);
    DType precision = model->info->precision;
    Feed feed = {.rows = {data_rows(lab, data, 0, precision), data_rows(lab, data, 1, precision)},
                 .examples = data->size,
                 .settings = settings,
                 .keys = plan_keys(e, plan, &seeds, 0)};
    feed.batch = plan->examples ? plan->examples : data->size < EVALUATION_BATCH ? data->size : EVALUATION_BATCH;
    for (int i = 0; i < plan->rows; i++) {
        size_t row = (size_t)shape_size(&plan->row_shape[i]) * dtype_size(plan->row_type[i]);
        feed.out_rows[i] = result[i] = arena_alloc(e->arena, row * (size_t)data->size + 64);
    }
    int64_t steps = (data->size + feed.batch - 1) / feed.batch;
    bool small = (model->info->count + 1) * feed.batch < SMALL_WORK; /* waking threads would cost more than the step */
    return plan->program->run(plan->program, block, &feed, 0, steps, small ? NULL : lab_turn(e)->pool) == 0;
}

bool model_rows(Eval *e, const Model *model, const DataObject *data, const Value *fns, int n, bool outputs,
                bool accuracy, Span span, const TrainPlan **plan, void **result) {
    PlanRequest request = {.e = e, .info = model->info, .x = data->x, .y = data->y, .measures = fns, .measure_count = n,
                           .outputs = outputs, .accuracy = accuracy, .span = span, .visits = data->size};
    if (data->size <= SHARD) request.examples = data->size;
    const double *settings;
    TrainPlan *made = plan_get(&request, &settings);
    if (!made) return false;
    *plan = made;
    if (rows_run(e, model, data, made, settings, result)) return true;
    diag_add(e->diags, D_R0103, span, "out of memory while evaluating on %s", data->name);
    return false;
}

static double row_number(const void *rows, DType dtype, int64_t i) {
    switch (dtype) {
    case DT_BOOL: return ((const uint8_t *)rows)[i] ? 1 : 0;
    case DT_I32: return ((const int32_t *)rows)[i];
    case DT_F32: return ((const float *)rows)[i];
    case DT_F64: return ((const double *)rows)[i];
    }
    return NAN;
}

double rows_mean(const void *rows, DType dtype, int64_t n, DType precision) {
    double total64 = 0;
    float total32 = 0;
    for (int64_t lo = 0; lo < n; lo += SHARD) {
        double sum64 = 0;
        float sum32 = 0;
        for (int64_t i = lo; i < n && i < lo + SHARD; i++) {
            double x = row_number(rows, dtype, i);
            sum64 += x;
            sum32 += (float)x;
        }
        total64 = lo ? total64 + sum64 : sum64;
        total32 = lo ? total32 + sum32 : sum32;
    }
    return precision == DT_F32 ? (double)(total32 / (float)n) : total64 / (double)n;
}

/* Rows live only until their means are taken: a long training looks at its data thousands of times. */
bool model_metrics(Eval *e, const Model *model, const DataObject *data, const Value *loss, const Value *measures, int n,
                   Span span, Metrics *out) {
    Value fns[9];
    int count = 0;
    if (loss) fns[count++] = *loss;
    for (int i = 0; i < n && count < 9; i++) fns[count++] = measures[i];
    const TrainPlan *plan;
    void *rows[10] = {0};
    *out = (Metrics){NAN, NAN, {0}};
    bool classes = data_has_classes(data);
    Eval sub = *e;
    sub.arena = arena_new();
    bool ok = model_rows(&sub, model, data, fns, count, false, classes, span, &plan, rows);
    DType precision = model->info->precision;
    int at = 0;
    if (ok && classes) { out->accuracy = rows_mean(rows[at], plan->row_type[at], data->size, precision); at++; }
    if (ok && loss) { out->loss = rows_mean(rows[at], plan->row_type[at], data->size, precision); at++; }
    for (int i = 0; ok && i < n; i++)
        out->measure[i] = rows_mean(rows[at + i], plan->row_type[at + i], data->size, precision);
    arena_free(sub.arena);
    return ok;
}
