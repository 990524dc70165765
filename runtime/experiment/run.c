/* run.c -- runs as values: .model, .curve, .train_loss, .test_accuracy, ...; trained cells; hashes. */
#include "experiment/train.h"
#include "support/sha256.h"

#include <math.h>
#include <stdlib.h>

void model_hash(const Model *model, char hex[65]) {
    Sha256 sha;
    sha256_start(&sha);
    for (int i = 0; i < model->info->params; i++) {
        const Slot *slot = &model->info->layout.slot[i];
        sha256_add(&sha, slot->path, strlen(slot->path) + 1);
        sha256_add(&sha, slot->shape.dim, sizeof slot->shape.dim[0] * (size_t)slot->shape.rank);
        sha256_add(&sha, (const char *)model->block + slot->offset, (size_t)shape_size(&slot->shape) * dtype_size(slot->dtype));
    }
    sha256_end_hex(&sha, hex);
}

/* ---- the curve as a record of columns ---- */

static Value column_value(Arena *arena, const double *at, int n) {
    Tensor *t = arena_new_of(arena, Tensor);
    *t = (Tensor){DT_F64, shape_of(1, (int64_t)n), arena_alloc(arena, sizeof(double) * (size_t)n + 1)};
    memcpy(t->data, at, sizeof(double) * (size_t)n);
    return (Value){.kind = V_TENSOR, .tensor = t};
}

static Value ints_value(Arena *arena, const int *at, int n) {
    Tensor *t = arena_new_of(arena, Tensor);
    *t = (Tensor){DT_I32, shape_of(1, (int64_t)n), arena_alloc(arena, sizeof(int32_t) * (size_t)n + 1)};
    memcpy(t->data, at, sizeof(int32_t) * (size_t)n);
    return (Value){.kind = V_TENSOR, .tensor = t};
}

static Value curve_record(Eval *e, const Curve *curve) {
    int n = curve->columns + 2;
    Name *names = arena_array(e->arena, Name, n);
    Value *at = arena_array(e->arena, Value, n), *session = arena_array(e->arena, Value, curve->rows + 1);
    Intern *intern_table = e->session->names;
    for (int i = 0; i < curve->rows; i++) session[i] = value_text(curve->session_name[i]);
    names[0] = intern_text(intern_table, "session");
    at[0] = value_list(e->arena, session, curve->rows);
    names[1] = intern_text(intern_table, "epoch");
    at[1] = ints_value(e->arena, curve->epoch, curve->rows);
    for (int i = 0; i < curve->columns; i++) {
        names[i + 2] = intern_text(intern_table, curve->column[i].name);
        at[i + 2] = column_value(e->arena, curve->column[i].at, curve->rows);
    }
    return value_record(e->arena, names, at, n);
}

/* ---- the run ---- */

static const char *const run_fields[] = {"model", "curve", "seconds", "diverged", "hash", "train_loss", "valid_loss", "test_loss",
                                         "train_accuracy", "valid_accuracy", "test_accuracy", NULL};

/* Is this a column that such a run's curve has: train_, valid_ or test_ of a set that the data has? */
static bool curve_has(const Run *run, Name field) {
    static const char *const parts[] = {"train", "valid", "test"};
    for (int i = 0; i < 3; i++) {
        size_t n = strlen(parts[i]);
        if (strncmp(field, parts[i], n) == 0 && field[n] == '_' && field[n + 1]) return run->data && data_part(run->data, parts[i]);
    }
    return false;
}

static bool run_field(Eval *e, Object *self, Name field, Span span, Value *out) {
    const Run *run = (const Run *)self;
    (void)span;
    if (strcmp(field, "model") == 0) { *out = value_object(&run->model->object); return true; }
    if (!run->known) {
        bool has = curve_has(run, field);
        for (int i = 0; i < 5; i++) has |= strcmp(run_fields[i], field) == 0;
        if (has) *out = value_abstract(NULL);
        return has;
    }
    if (strcmp(field, "curve") == 0) *out = curve_record(e, &run->curve);
    else if (strcmp(field, "seconds") == 0) *out = value_real(run->seconds);
    else if (strcmp(field, "diverged") == 0) *out = value_bool(run->diverged);
    else if (strcmp(field, "hash") == 0) *out = value_text(run->hash);
    else {
        for (int i = 0; i < run->curve.columns; i++)
            if (strcmp(run->curve.column[i].name, field) == 0) {
                *out = value_real(run->curve.rows ? run->curve.column[i].at[run->curve.rows - 1] : NAN);
                return true;
            }
        return false;
    }
    return true;
}

static void run_identity(const Object *self, Buf *out) { buf_printf(out, "run %s", ((const Run *)self)->hash); }

static void run_show(const Object *self, Buf *out) {
    const Run *run = (const Run *)self;
    const Curve *curve = &run->curve;
    if (!curve->rows) { buf_text(out, "a run"); return; }
    int last = curve->rows - 1;
    buf_printf(out, "%d epochs in %.3g ms", curve->epoch[last], run->seconds * 1e3);
    for (int i = 0; i < curve->columns; i++)
        if (isfinite(curve->column[i].at[last])) buf_printf(out, ", %s %.4f", curve->column[i].name, curve->column[i].at[last]);
    if (run->diverged) buf_text(out, ", diverged");
}

const ObjectClass run_class = {.name = "run", .fields = run_fields, .field = run_field, .identity = run_identity, .show = run_show};

/* ---- trained cells ---- */

Value trained_cell(Arena *arena, const Model *model, const NetCell *cell) {
    TrainedCell *object = arena_new_of(arena, TrainedCell);
    *object = (TrainedCell){{&trained_cell_class}, model, cell->path, &cell->cell};
    return value_object(&object->object);
}

/* The model's value of a parameter that the cell's own graph names without the cell's numbering. */
static bool cell_param(void *data, const ParamInfo *param, void *out) {
    const TrainedCell *cell = data;
    const NetInfo *info = cell->model->info;
    const char *dot = strchr(param->path, '.');
    size_t length = strlen(cell->path);
    for (int i = 0; i < info->params; i++) {
        const NetParam *p = &info->param[i];
        bool same = strcmp(p->path, param->path) == 0
                    || (dot && strncmp(p->path, cell->path, length) == 0 && strcmp(p->path + length, dot) == 0);
        if (!same) continue;
        const Slot *slot = &info->layout.slot[i];
        memcpy(out, (const char *)cell->model->block + p->offset, (size_t)shape_size(&slot->shape) * dtype_size(slot->dtype));
        return true;
    }
    return false;
}

/* Applies the cell to rows of numbers: columns[k][rows], in the net's precision. */
static bool trained_cell_rows(Eval *e, const TrainedCell *cell, const void *const *columns, int64_t rows, void *out, Span span) {
    CellGraph graph;
    DType precision = cell->model->info->precision;
    if (!cell_graph(e, cell->cell, precision, span, &graph)) return false;
    graph_output(graph.trace->graph, OUT_ROWS, 0, "value", graph.value);
    void *outs[1] = {out};
    return trace_evaluate(e, graph.trace, columns, rows, cell_param, (void *)(uintptr_t)cell, outs, span);
}

static bool trained_cell_call(Eval *e, Object *self, const Value *args, int n, Span span, Value *out) {
    const TrainedCell *cell = (const TrainedCell *)self;
    if (!cell->model->known) { *out = value_abstract(NULL); return true; }
    DType precision = cell->model->info->precision;
    const void *columns[16];
    const Tensor *first = NULL;
    for (int i = 0; i < n && i < 16; i++) {
        const Tensor *t;
        if (!value_as_tensor(e, &args[i], precision, span, &t)) return eval_fail(out);
        if (first && !shape_equal(&first->shape, &t->shape)) {
            diag_add(e->diags, D_E0401, span, "the arguments of a cell have one shape");
            return eval_fail(out);
        }
        first = first ? first : t;
        columns[i] = t->data;
    }
    int64_t rows = first ? shape_size(&first->shape) : 1;
    Tensor *result = arena_new_of(e->arena, Tensor);
    *result = (Tensor){precision, first ? first->shape : SHAPE0, arena_alloc(e->arena, (size_t)rows * dtype_size(precision) + 64)};
    if (!trained_cell_rows(e, cell, columns, rows, result->data, span)) return eval_fail(out);
    if (result->shape.rank) *out = (Value){.kind = V_TENSOR, .tensor = result};
    else *out = value_real(precision == DT_F64 ? *(double *)result->data : *(float *)result->data);
    return true;
}

static bool trained_cell_field(Eval *e, Object *self, Name field, Span span, Value *out) {
    const TrainedCell *cell = (const TrainedCell *)self;
    (void)span;
    if (strcmp(field, "arity") == 0) return eval_field(e, cell->cell, field, span, out);
    for (int i = 0; i < cell->model->info->params; i++)
        if (strcmp(cell->model->info->param[i].path, arena_printf(e->arena, "%s.%s", cell->path, field)) == 0) {
            *out = model_param_value(e, cell->model, i);
            return true;
        }
    return eval_field(e, cell->cell, field, span, out);
}

static void trained_cell_identity(const Object *self, Buf *out) {
    const TrainedCell *cell = (const TrainedCell *)self;
    model_class.identity(&cell->model->object, out);
    buf_printf(out, ".%s", cell->path);
}

const ObjectClass trained_cell_class = {.name = "cell", .call = trained_cell_call, .field = trained_cell_field,
                                        .identity = trained_cell_identity};
