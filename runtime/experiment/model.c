/* model.c -- models: drawing weights, starting from given ones, reading them by path, calling the model as a function.
 *
 * In a program a path is an expression on a model: run.model.dense[2].w.  Each step of it is a ModelPath until a
 * parameter (a tensor, or a number), or a cell (a TrainedCell, which is called and traced as the cell it is). */
#include "experiment/strategy.h"
#include "support/rng.h"

#include <math.h>

/* ---- drawing ---- */

/* Number i of a drawn tensor is a function of the f32 draw and two reals, computed in f64 and rounded once. */
static void put_number(void *out, DType dtype, int64_t i, double x) {
    if (dtype == DT_F64) ((double *)out)[i] = x;
    else if (dtype == DT_F32) ((float *)out)[i] = (float)x;
    else if (dtype == DT_I32) ((int32_t *)out)[i] = (int32_t)x;
    else ((uint8_t *)out)[i] = x != 0;
}

static double number_at(const void *in, DType dtype, int64_t i) {
    switch (dtype) {
    case DT_F64: return ((const double *)in)[i];
    case DT_F32: return ((const float *)in)[i];
    case DT_I32: return ((const int32_t *)in)[i];
    case DT_BOOL: return ((const uint8_t *)in)[i];
    }
    return NAN;
}

/* Rows (or columns, if there are fewer) made orthonormal by modified Gram-Schmidt in f64, then scaled.
 * Source: Saxe, McClelland, Ganguli 2014. */
static void orthogonal(double *m, int64_t rows, int64_t columns, double gain) {
    bool by_row = rows <= columns;
    int64_t count = by_row ? rows : columns, length = by_row ? columns : rows;
    int64_t next = by_row ? columns : 1, along = by_row ? 1 : columns;
    for (int64_t i = 0; i < count; i++) {
        double *v = m + i * next;
        for (int64_t j = 0; j < i; j++) {
            const double *u = m + j * next;
            double dot = 0;
            for (int64_t k = 0; k < length; k++) dot += u[k * along] * v[k * along];
            for (int64_t k = 0; k < length; k++) v[k * along] -= dot * u[k * along];
        }
        double norm = 0;
        for (int64_t k = 0; k < length; k++) norm += v[k * along] * v[k * along];
        norm = sqrt(norm);
        for (int64_t k = 0; k < length; k++) v[k * along] /= norm > 0 ? norm : 1;
    }
    for (int64_t i = 0; i < rows * columns; i++) m[i] *= gain;
}

static void distribution_draw(Arena *arena, const Distribution *d, uint64_t key, const Shape *shape, DType dtype,
                              void *out) {
    int64_t n = shape_size(shape);
    float *z = arena_array(arena, float, n + 1);
    if (d->kind == DIST_UNIFORM) rng_fill_uniform(key, n, z);
    else if (d->kind == DIST_TRUNCATED) rng_fill_truncated(key, n, 2, z);
    else rng_fill_normal(key, n, z);
    if (d->kind == DIST_ORTHOGONAL) {
        double *m = arena_array(arena, double, n + 1);
        for (int64_t i = 0; i < n; i++) m[i] = z[i];
        int64_t rows = shape->rank ? shape->dim[0] : 1;
        orthogonal(m, rows, rows ? n / rows : 0, d->a);
        for (int64_t i = 0; i < n; i++) put_number(out, dtype, i, m[i]);
        return;
    }
    for (int64_t i = 0; i < n; i++)
        put_number(out, dtype, i, d->kind == DIST_UNIFORM ? d->a + (d->b - d->a) * z[i] : d->a + d->b * z[i]);
}

/* A parameter's starting value: a number, a tensor of its shape, or a draw. */
static bool param_start(Eval *e, const NetParam *p, DType dtype, uint64_t key, void *out, Span span) {
    int64_t n = shape_size(&p->shape);
    const Distribution *d = value_distribution(&p->initial);
    const Tensor *t;
    if (d) {
        distribution_draw(e->arena, d, key, &p->shape, dtype, out);
        return true;
    }
    if (!value_as_tensor(e, &p->initial, DT_F64, p->span, &t)) return false;
    int64_t size = shape_size(&t->shape);
    if (size != n && size != 1) {
        diag_add(e->diags, D_E0401, p->span, "%s has %lld elements, its start %lld", p->path, (long long)n,
                 (long long)size);
        return false;
    }
    (void)span;
    for (int64_t i = 0; i < n; i++) put_number(out, dtype, i, ((const double *)t->data)[size == 1 ? 0 : i]);
    return true;
}

bool model_draw(Eval *e, const NetInfo *info, const Seeds *seeds, uint32_t session, const bool *which, void *block,
                Span span) {
    for (int i = 0; i < info->params; i++) {
        const NetParam *p = &info->param[i];
        if (which && !which[i]) continue;
        uint64_t key = rng_key(seeds->init, "init", session, p->path, 0);
        if (!param_start(e, p, info->layout.slot[i].dtype, key, (char *)block + p->offset, span)) return false;
    }
    return true;
}

/* ---- starting from given weights ---- */

static bool start_misfit(Eval *e, Span span, const char *path, const Shape *want, const Shape *have) {
    Buf text = {0};
    shape_print(want, &text);
    buf_text(&text, ", the start ");
    shape_print(have, &text);
    diag_add(e->diags, D_E0605, span, "%s has the shape %.*s", path, (int)text.len, text.at);
    buf_free(&text);
    return false;
}

static bool start_value(Eval *e, Model *model, const char *path, const Value *value, Span span) {
    PathRef ref;
    if (!path_find(e, model->info, path, span, &ref)) return false;
    const NetParam *p = &model->info->param[ref.param];
    DType dtype = model->info->layout.slot[ref.param].dtype;
    const Tensor *t;
    if (!value_as_tensor(e, value, DT_F64, span, &t)) return false;
    char *at = (char *)model->block + p->offset;
    int64_t n = shape_size(&t->shape);
    if (ref.element ? n != 1 : n != 1 && !shape_equal(&t->shape, &p->shape))
        return start_misfit(e, span, path, &p->shape, &t->shape);
    if (ref.element) {
        put_number(at, dtype, ref.offset, *(const double *)t->data);
        return true;
    }
    for (int64_t i = 0; i < shape_size(&p->shape); i++)
        put_number(at, dtype, i, ((const double *)t->data)[n == 1 ? 0 : i]);
    return true;
}

/* Parameters of `from` to those of the model with the same path and shape. */
static bool start_from(Eval *e, Model *model, const Model *from, Span span) {
    bool any = false;
    for (int i = 0; i < model->info->params; i++) {
        const NetParam *p = &model->info->param[i];
        int k = net_param_index(from->info, p->path);
        if (k < 0) continue;
        const NetParam *q = &from->info->param[k];
        if (!shape_equal(&p->shape, &q->shape)) return start_misfit(e, span, p->path, &p->shape, &q->shape);
        DType to = model->info->layout.slot[i].dtype, in = from->info->layout.slot[k].dtype;
        for (int64_t j = 0; j < shape_size(&p->shape); j++)
            put_number((char *)model->block + p->offset, to, j, number_at((char *)from->block + q->offset, in, j));
        any = true;
    }
    if (!any) diag_add(e->diags, D_E0605, span, "no parameter of the start has a path and shape of this net");
    return any;
}

bool model_start(Eval *e, Model *model, const Value *start, Span span) {
    if (start->kind == V_NONE) return true;
    if (start->kind == V_OBJECT && start->object->class == &model_class)
        return start_from(e, model, (const Model *)start->object, span);
    if (start->kind != V_RECORD) {
        diag_add(e->diags, D_E0314, span, "start: takes a model or a record of paths; this is %s",
                 value_kind_name(start));
        return false;
    }
    for (int i = 0; i < start->record->len; i++) {
        const char *path = start->record->name[i];
        const Value *value = &start->record->at[i];
        if (value->kind != V_CALLABLE || !value->callable->weights) {
            if (!start_value(e, model, path, value, span)) return false;
            continue;
        }
        const ValueRecord *weights = value->callable->weights;           /* a trained cell under a cell's path */
        for (int k = 0; k < weights->len; k++)
            if (!start_value(e, model, arena_printf(e->arena, "%s.%s", path, weights->name[k]), &weights->at[k], span))
                return false;
    }
    return true;
}

/* ---- reading by path ---- */

typedef struct ModelPath { Object object; const Model *model; const char *prefix; } ModelPath;
static const ObjectClass model_path_class;

Value model_param_value(Eval *e, const Model *model, int i) {
    if (!model->known) return value_abstract(NULL);
    const NetParam *p = &model->info->param[i];
    DType dtype = model->info->layout.slot[i].dtype;
    const char *at = (const char *)model->block + p->offset;
    if (p->shape.rank == 0) return value_real(number_at(at, dtype, 0));
    Tensor *t = arena_new_of(e->arena, Tensor);
    size_t size = (size_t)shape_size(&p->shape) * dtype_size(dtype);
    *t = (Tensor){dtype, p->shape, arena_alloc(e->arena, size + 1)};
    memcpy(t->data, at, size);
    return (Value){.kind = V_TENSOR, .tensor = t};
}

/* Does a full path continue a prefix?  "dense" is continued by "dense[1].w" and "dense.w". */
static bool path_continues(const char *path, const char *prefix) {
    size_t n = strlen(prefix);
    if (strncmp(path, prefix, n) == 0 && (path[n] == '.' || path[n] == '[' || !path[n])) return true;
    return false;
}

static bool path_value(Eval *e, const Model *model, const char *path, Value *out) {
    const NetInfo *info = model->info;
    int exact = -1, below = 0;
    for (int i = 0; i < info->params; i++) {
        if (strcmp(info->param[i].path, path) == 0) exact = i;
        below += path_continues(info->param[i].path, path);
    }
    for (int i = 0; exact < 0 && !below && i < info->params; i++)               /* a left-out [1] */
        if (path_fits(path, info->param[i].path)) exact = i;
    if (exact >= 0) {
        *out = model_param_value(e, model, exact);
        return true;
    }
    if (!below) return false;
    *out = value_object(model_part(e->arena, model, path));
    return true;
}

static bool model_path_field(Eval *e, Object *self, Name field, Span span, Value *out) {
    (void)span;
    const ModelPath *p = (const ModelPath *)self;
    const char *path = arena_printf(e->arena, "%s.%s", p->prefix, field),
               *numbered = arena_printf(e->arena, "%s[1].%s", p->prefix, field);
    return path_value(e, p->model, path, out) || path_value(e, p->model, numbered, out);
}

static bool model_path_index(Eval *e, Object *self, const Value *args, int n, Span span, Value *out) {
    const ModelPath *p = (const ModelPath *)self;
    int64_t i;
    if (n != 1 || !value_as_int(e, &args[0], span, &i)) return false;
    if (path_value(e, p->model, arena_printf(e->arena, "%s[%lld]", p->prefix, (long long)i), out)) return true;
    diag_add(e->diags, D_E0405, span, "the model has no %s[%lld]", p->prefix, (long long)i);
    return false;
}

static void model_path_identity(const Object *self, Buf *out) {
    const ModelPath *p = (const ModelPath *)self;
    model_class.identity(&p->model->object, out);
    buf_printf(out, ".%s", p->prefix);
}
static const ObjectClass model_path_class = {
    .name = "part of a model", .field = model_path_field, .index = model_path_index, .identity = model_path_identity};

Object *model_part(Arena *arena, const Model *model, const char *path) {
    ModelPath *object = arena_new_of(arena, ModelPath);
    *object = (ModelPath){{&model_path_class}, model, path};
    return &object->object;
}

/* ---- the model itself ---- */

static const char *const model_fields[] = {"cell", "cells", "parameters", "hash", NULL};

static bool model_cell_named(Eval *e, const Model *model, Name name, Value *out) {
    for (int i = 0; i < model->info->cells; i++)
        if (strcmp(model->info->cell[i].path, name) == 0) {
            *out = trained_cell(e, model, &model->info->cell[i]);
            return true;
        }
    return false;
}

static bool model_field(Eval *e, Object *self, Name field, Span span, Value *out) {
    const Model *model = (const Model *)self;
    const NetInfo *info = model->info;
    if (strcmp(field, "cell") == 0) {
        if (info->cells == 1) return model_cell_named(e, model, info->cell[0].path, out);
        diag_add(e->diags, D_E0311, span,
                 info->cells ? "this net has %d cell types; name one" : "this net has no cells", info->cells);
        return true;
    }
    if (strcmp(field, "cells") == 0) {
        Value *cells = arena_array(e->arena, Value, info->cells + 1);
        for (int i = 0; i < info->cells; i++) cells[i] = trained_cell(e, model, &info->cell[i]);
        *out = value_list(e->arena, cells, info->cells);
        return true;
    }
    if (strcmp(field, "parameters") == 0) { *out = value_int(info->count); return true; }
    if (strcmp(field, "hash") == 0) {
        char hex[65];
        if (!model->known) { *out = value_abstract(NULL); return true; }
        model_hash(model, hex);
        *out = value_text(arena_copy(e->arena, hex, 64));
        return true;
    }
    return model_cell_named(e, model, field, out) || path_value(e, model, field, out);
}

static void model_identity(const Object *self, Buf *out) {
    char hex[65] = "unknown";
    if (((const Model *)self)->known) model_hash((const Model *)self, hex);
    buf_printf(out, "model %s", hex);
}

static void model_show(const Object *self, Buf *out) {
    const Model *model = (const Model *)self;
    value_show(&model->info->net, out);
    buf_printf(out, ", %lld parameters", (long long)model->info->count);
    const Strategies *all = info_strategies(model->info);
    for (int i = 0; all && i < all->n; i++) {
        buf_printf(out, ", %s by ", all->at[i].path);
        strategy_text(all->at[i].strategy, out);
    }
}

/* A model of k inputs as a function of k numbers, or of one list. */
static bool model_call(Eval *e, Object *self, const Value *args, int n, Span span, Value *out) {
    const Model *model = (const Model *)self;
    Value list = n == 1 ? args[0] : value_list(e->arena, args, n);
    return model_predict(e, model, &list, false, span, out);
}

const ObjectClass model_class = {.name = "model", .fields = model_fields, .field = model_field, .call = model_call,
                                 .identity = model_identity, .show = model_show};
