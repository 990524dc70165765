/* run.c -- runs as values: .model, .curve, .train_loss, .test_accuracy, ...; trained cells; hashes. */
#include "experiment/strategy.h"
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
        sha256_add(&sha, (const char *)model->block + slot->offset,
                   (size_t)shape_size(&slot->shape) * dtype_size(slot->dtype));
    }
    if (info_strategies(model->info)) {
        Buf text = {0};
        strategies_identity(info_strategies(model->info), &text);
        sha256_add(&sha, text.at, text.len);
        buf_free(&text);
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

static const char *const run_fields[] = {"model",          "curve",         "seconds",    "diverged",  "interrupted",
                                         "hash",           "train_loss",    "valid_loss", "test_loss", "train_accuracy",
                                         "valid_accuracy", "test_accuracy", NULL};

/* Is it measured at each epoch's end: the loss, the accuracy where there are classes, what `measure:` names? */
static bool curve_measures(const Run *run, const char *what) {
    bool has = run->fits || strcmp(what, "loss") == 0 ||
               (strcmp(what, "accuracy") == 0 && data_has_classes(run->data));
    for (int i = 0; run->measures && i < run->measures->len; i++) has |= strcmp(what, run->measures->name[i]) == 0;
    return has;
}

/* Is this a column that such a run's curve has: train_, valid_ or test_ of a set that the data has? */
static bool curve_has(const Run *run, Name field) {
    static const char *const parts[] = {"train", "valid", "test"};
    for (int i = 0; i < 3; i++) {
        size_t n = strlen(parts[i]);
        if (strncmp(field, parts[i], n) == 0 && field[n] == '_' && field[n + 1])
            return run->data && data_part(run->data, parts[i]) && curve_measures(run, field + n + 1);
    }
    return false;
}

/* What the curve of a run that is not known has; of a fit, anything. */
static Value curve_unknown(Eval *e, const Run *run) {
    static const char *const parts[] = {"train", "valid", "test"};
    int measures = run->measures ? run->measures->len : 0, n = 0;
    Name *names = arena_array(e->arena, Name, 2 + COUNT(parts) * (measures + 2));
    if (run->fits) return value_abstract(NULL);
    names[n++] = intern_text(e->session->names, "session");
    names[n++] = intern_text(e->session->names, "epoch");
    for (int i = 0; i < (int)COUNT(parts); i++)
        for (int k = -2; k < measures; k++) {
            const char *what = k == -2 ? "loss" : k == -1 ? "accuracy" : run->measures->name[k];
            Name name = intern_text(e->session->names, arena_printf(e->arena, "%s_%s", parts[i], what));
            if (curve_has(run, name)) names[n++] = name;
        }
    Value *at = arena_array(e->arena, Value, n);
    for (int i = 0; i < n; i++) at[i] = value_abstract(NULL);
    return value_record(e->arena, names, at, n);
}

static bool run_field(Eval *e, Object *self, Name field, Span span, Value *out) {
    const Run *run = (const Run *)self;
    (void)span;
    if (strcmp(field, "model") == 0) { *out = value_object(&run->model->object); return true; }
    if (!run->known) {
        bool has = curve_has(run, field);
        if (strcmp(field, "curve") == 0) return *out = curve_unknown(e, run), true;
        for (int i = 0; i < 6; i++) has |= strcmp(run_fields[i], field) == 0;
        if (has) *out = value_abstract(NULL);
        return has;
    }
    if (strcmp(field, "curve") == 0) *out = curve_record(e, &run->curve);
    else if (strcmp(field, "seconds") == 0) *out = value_real(run->seconds);
    else if (strcmp(field, "diverged") == 0) *out = value_bool(run->diverged);
    else if (strcmp(field, "interrupted") == 0) *out = value_bool(run->interrupted);
    else if (strcmp(field, "hash") == 0) *out = value_text(run_hash(run));
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

static void run_identity(const Object *self, Buf *out) { buf_printf(out, "run %s", run_hash((const Run *)self)); }

static void run_show(const Object *self, Buf *out) {
    const Run *run = (const Run *)self;
    const Curve *curve = &run->curve;
    if (!curve->rows) { buf_text(out, "a run"); return; }
    int last = curve->rows - 1;
    buf_printf(out, run->seconds < 1 ? "%d epochs in %.3g ms" : "%d epochs in %.3g s", curve->epoch[last],
               run->seconds < 1 ? run->seconds * 1e3 : run->seconds);
    for (int i = 0; i < curve->columns; i++)
        if (isfinite(curve->column[i].at[last]))
            buf_printf(out, ", %s %.4f", curve->column[i].name, curve->column[i].at[last]);
    if (run->diverged) buf_text(out, ", diverged");
    if (run->interrupted) buf_text(out, ", interrupted");
    if (run->part_steps) /* the curve ends with the last whole epoch, the weights are those of that moment */
        buf_printf(out, " in epoch %d, after %lld of %lld steps; the figures are of whole epochs",
                   curve->epoch[last] + 1, (long long)run->part_step, (long long)run->part_steps);
}

const ObjectClass run_class = {
    .name = "run", .fields = run_fields, .field = run_field, .identity = run_identity, .show = run_show};

/* ---- trained cells: the cell itself, holding the model's parameters ---- */

static Value zeros_value(Arena *arena, const Shape *shape) {
    Tensor *t = arena_new_of(arena, Tensor);
    *t = (Tensor){DT_F64, *shape, arena_array(arena, double, shape_size(shape) + 1)};
    memset(t->data, 0, sizeof(double) * (size_t)shape_size(shape));
    return (Value){.kind = V_TENSOR, .tensor = t};
}

/* In check mode its parameters are zeros: a call then gives a number that nothing depends on. */
Value trained_cell(Eval *e, const Model *model, const NetCell *cell) {
    const NetInfo *info = model->info;
    Value out = cell->cell;
    Callable *callable = arena_new_of(e->arena, Callable);
    *callable = *cell->cell.callable;
    callable->parts = model_part(e->arena, model, cell->path);
    out.callable = callable;
    size_t length = strlen(cell->path);
    Name *names = arena_array(e->arena, Name, info->params + 1);
    Value *at = arena_array(e->arena, Value, info->params + 1);
    int n = 0;
    for (int i = 0; i < info->params; i++) {
        const char *path = info->param[i].path;
        if (strncmp(path, cell->path, length) || path[length] != '.') continue;
        names[n] = intern_text(e->session->names, path + length + 1);
        at[n++] = model->known ? model_param_value(e, model, i) : zeros_value(e->arena, &info->param[i].shape);
    }
    callable->weights = value_record(e->arena, names, at, n).record;
    const Strategies *all = info_strategies(info);
    for (int i = 0; all && i < all->n; i++) {
        if (strcmp(all->at[i].path, cell->path) != 0) continue;
        Strategies *own = arena_new_of(e->arena, Strategies);
        *own = (Strategies){1, &all->at[i]};
        callable->strategies = own;
    }
    return out;
}
