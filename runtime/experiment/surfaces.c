/* surfaces.c -- looking at a model over its inputs: across(model, at:, along:, output:), a section of it as a function
 * of one or two numbers; input_gradient(model, f, on:), the gradient by the input of a function of output and target.
 */
#include "experiment/analysis.h"
#include "experiment/train.h"

#include <math.h>

enum { PLANE_ROWS = 1024, GRADIENT_BATCH = 512 };         /* no result depends on these */

/* ---- plane ---- */

typedef struct Plane {
    Object object; const Model *model;
    int axes; double *at, *along[2];              /* along: as many numbers as the input has */
    int64_t size, output;                         /* output: which number, from 0 */
} Plane;

static void plane_identity(const Object *self, Buf *out) {
    const Plane *p = (const Plane *)self;
    char hex[65];
    if (p->model->known) model_hash(p->model, hex);
    uint64_t where = fnv1a(p->at, sizeof *p->at * (size_t)p->size, FNV1A_START);
    for (int k = 0; k < p->axes; k++) where = fnv1a(p->along[k], sizeof *p->at * (size_t)p->size, where);
    buf_printf(out, "plane of model %s, output %lld #%016llx", p->model->known ? hex : "", (long long)p->output + 1,
               (unsigned long long)where);
}

/* The output at n points of the plane, xy[axes i + k]. */
static bool plane_values(Eval *e, const Plane *p, const double *xy, int n, Span span, double *z) {
    double *rows = arena_array(e->arena, double, n * p->size + 1);
    Shape shape = p->model->info->input.shape;
    const Tensor *out;
    Value y;
    for (int i = 0; i < n; i++)
        for (int64_t j = 0; j < p->size; j++) {
            double x = p->at[j];
            for (int k = 0; k < p->axes; k++) x += xy[p->axes * i + k] * p->along[k][j];
            rows[i * p->size + j] = x;
        }
    memmove(shape.dim + 1, shape.dim, sizeof shape.dim[0] * (MAX_RANK - 1));
    shape.dim[0] = n, shape.rank++;
    Tensor t = {DT_F64, shape, rows};
    Value x = {.kind = V_TENSOR, .tensor = &t};
    if (!model_predict(e, p->model, &x, true, span, &y) || !value_as_tensor(e, &y, DT_F64, span, &out)) return false;
    int64_t outputs = shape_size(&out->shape) / n;
    for (int i = 0; i < n; i++) z[i] = ((const double *)out->data)[i * outputs + p->output];
    return true;
}

static bool plane_call(Eval *e, Object *self, const Value *args, int n, Span span, Value *out) {
    const Plane *p = (const Plane *)self;
    double xy[2], z;
    if (n != p->axes) {
        diag_add(e->diags, D_E0309, span, "this plane takes %d number%s, here are %d", p->axes, p->axes == 1 ? "" : "s",
                 n);
        return false;
    }
    if (!p->model->known) { *out = value_abstract(NULL); return true; }
    for (int k = 0; k < n; k++)
        if (!value_as_real(e, &args[k], span, &xy[k])) return false;
    if (!plane_values(e, p, xy, 1, span, &z)) return false;
    *out = value_real(z);
    return true;
}
static const ObjectClass plane_class = {.name = "plane", .identity = plane_identity, .call = plane_call};

bool plane_grid(Eval *e, const Object *self, const double *xy, int points, Span span, double *z, bool *is) {
    Arena *arena = e->arena;
    *is = self->class == &plane_class && ((const Plane *)self)->axes == 2;
    bool ok = true;
    for (int from = 0; *is && ok && from < points; from += PLANE_ROWS) {
        int n = points - from < PLANE_ROWS ? points - from : PLANE_ROWS;
        e->arena = arena_new();
        ok = plane_values(e, (const Plane *)self, xy + 2 * from, n, span, z + from);
        arena_free(e->arena);
        e->arena = arena;
    }
    return ok;
}

/* A point or a direction: as many numbers as the input has. */
static bool plane_part(Eval *e, const Plane *p, const Value *value, const char *what, Span span, double **out) {
    const Tensor *t;
    if (!value_as_tensor(e, value, DT_F64, span, &t)) return false;
    if (shape_size(&t->shape) != p->size) {
        diag_add(e->diags, D_E0403, span, "%s has %lld number%s; the model takes %lld", what,
                 (long long)shape_size(&t->shape), shape_size(&t->shape) == 1 ? "" : "s", (long long)p->size);
        return false;
    }
    *out = arena_array(e->arena, double, p->size + 1);
    memcpy(*out, t->data, sizeof **out * (size_t)p->size);
    return true;
}

static bool plane_fill(Eval *e, const BuiltinCall *call, Plane *p) {
    ValueList along;
    if (!plane_part(e, p, &call->args[1], "at", call->arg_spans[1], &p->at) ||
        !eval_elements(e, &call->args[2], call->arg_spans[2], &along))
        return false;
    if (along.len < 1 || along.len > 2) {
        diag_add(e->diags, D_E0314, call->arg_spans[2], "along: is a list of one or two directions; here are %d",
                 along.len);
        return false;
    }
    p->axes = along.len;
    for (int k = 0; k < along.len; k++)
        if (!plane_part(e, p, &along.at[k], "a direction", call->arg_spans[2], &p->along[k])) return false;
    int64_t outputs = shape_size(&p->model->info->output.shape);
    if (p->output >= 0 && p->output < outputs) return true;
    diag_add(e->diags, D_E0405, call->arg_spans[3], "output %lld of %lld", (long long)p->output + 1,
             (long long)outputs);
    return false;
}

static bool builtin_plane(Eval *e, const BuiltinCall *call, Value *out) {
    const Model *model = value_model(&call->args[0]);
    if (!model) {
        diag_add(e->diags, D_E0314, call->arg_spans[0], "across takes a model; this is %s",
                 value_kind_name(&call->args[0]));
        return eval_fail(out);
    }
    for (int i = 1; i < 4; i++)
        if (call->args[i].kind == V_ABSTRACT) { *out = value_abstract(NULL); return true; }
    Plane *p = arena_new_of(e->arena, Plane);
    *p = (Plane){.object = {&plane_class},
                 .model = model,
                 .size = shape_size(&model->info->input.shape),
                 .output = call->args[3].integer - 1};
    *out = value_object(&p->object);
    return plane_fill(e, call, p) || eval_fail(out);
}

/* ---- input_gradient ---- */

static bool gradient_run(Eval *e, const Model *model, const DataObject *data, const TrainPlan *plan,
                         const double *settings, void **rows) {
    Seeds seeds = {0};
    Lab *lab = lab_of(e);
    DType precision = model->info->precision;
    char *block = arena_alloc(e->arena, plan->program->layout.size + 64);
    block = (char *)(((uintptr_t)block + 63) & ~(uintptr_t)63);
    model_block(model, plan, block);
    const void *target = data_rows(lab, data, 1, precision);
    Feed feed = {.rows = {data_rows(lab, data, 0, precision), target, target},
                 .examples = data->size,
                 .settings = settings,
                 .keys = plan_keys(e, plan, &seeds, 0),
                 .batch = data->size < GRADIENT_BATCH ? data->size : GRADIENT_BATCH};
    for (int i = 0; i < plan->rows; i++) {
        size_t row = (size_t)shape_size(&plan->row_shape[i]) * dtype_size(plan->row_type[i]);
        feed.out_rows[i] = rows[i] = arena_alloc(e->arena, row * (size_t)data->size + 64);
    }
    return plan->program->run(plan->program, block, &feed, 0, (data->size + feed.batch - 1) / feed.batch,
                              lab_turn(e)->pool) == 0;
}

static bool builtin_input_gradient(Eval *e, const BuiltinCall *call, Value *out) {
    const Model *model;
    const DataObject *data;
    const double *settings;
    void *rows[10] = {0};
    bool done;
    if (!model_on_data(e, call, 2, &model, &data, out, &done) || done) return out->kind != V_ERROR;
    PlanRequest request = {.e = e,
                           .info = model->info,
                           .x = data->x,
                           .y = data->y,
                           .attack = true,
                           .slope = &call->args[1],
                           .span = call->span};
    if (e->mode == EVAL_CHECK) {
        *out = value_abstract(NULL);
        return plan_check(&request, NULL) || eval_fail(out);
    }
    TrainPlan *plan = plan_get(&request, &settings);
    if (!plan) return eval_fail(out);
    if (!gradient_run(e, model, data, plan, settings, rows)) {
        diag_add(e->diags, D_R0103, call->span, "out of memory while looking at %s", data->name);
        return eval_fail(out);
    }
    Tensor *t = arena_new_of(e->arena, Tensor);
    *t = (Tensor){plan->row_type[2], data->x.shape, rows[2]};
    memmove(t->shape.dim + 1, t->shape.dim, sizeof t->shape.dim[0] * (MAX_RANK - 1));
    t->shape.dim[0] = data->size, t->shape.rank++;
    *out = (Value){.kind = V_TENSOR, .tensor = t};
    return true;
}

const BuiltinRow builtins_surfaces[] = {
    {"across", builtin_plane}, {"input_gradient", builtin_input_gradient}, {NULL, NULL}};
