/* analysis.c -- what a cell is called with: cell_inputs, box, region.
 *
 * The net runs over the data in pieces; a piece's rows are what the cell was called with, call by call
 * (PlanRequest.uses). Points are counted in the order of the examples, so nothing depends on threads or on the size of
 * the pieces. */
#include "experiment/analysis.h"

#include <math.h>

/* ---- values ---- */

const InputsObject *value_inputs(const Value *value) {
    return value->kind == V_OBJECT && value->object->class == &inputs_class ? (const InputsObject *)value->object
                                                                            : NULL;
}

const Region *value_region(const Value *value) {
    return value->kind == V_OBJECT && value->object->class == &region_class
             ? ((const RegionObject *)value->object)->region
             : NULL;
}

static Value numbers(Arena *arena, const double *x, Shape shape) {
    Tensor *t = arena_new_of(arena, Tensor);
    size_t size = sizeof *x * (size_t)shape_size(&shape);
    *t = (Tensor){DT_F64, shape, arena_alloc(arena, size + 1)};
    memcpy(t->data, x, size);
    return (Value){.kind = V_TENSOR, .tensor = t};
}

static Value ranges(Arena *arena, const double *lo, const double *hi, int n) {
    Value at[BIN_AXES];
    for (int j = 0; j < n; j++) {
        ValueRange *range = arena_new_of(arena, ValueRange);
        *range = (ValueRange){lo[j], hi[j], false};
        at[j] = (Value){.kind = V_RANGE, .range = range};
    }
    return value_list(arena, at, n);
}

static double bin_middle(const Bins *b, int axis, int64_t i) {
    return (bins_edge(b, axis, i) + bins_edge(b, axis, i + 1)) / 2;
}

/* Points per unit of area, of all; at the bins of Scott's rule. */
static bool density_of(Eval *e, const Bins *all, Span span, Value *out) {
    const Bins *b = bins_scott(e->arena, all);
    int nx = (int)b->size[0], ny = b->axes > 1 ? (int)b->size[1] : 1;
    double *x = arena_array(e->arena, double, nx + 1), *y = arena_array(e->arena, double, ny + 1);
    double *z = arena_array(e->arena, double, nx * ny + 1), area = 1;
    if (b->axes > 2) {
        diag_add(e->diags, D_E0806, span, "a density is drawn over one or two arguments; these inputs have %d",
                 b->axes);
        return false;
    }
    for (int j = 0; j < b->axes; j++) area *= ldexp(1, b->level[j]);
    for (int i = 0; i < nx; i++) x[i] = bin_middle(b, 0, i);
    for (int i = 0; i < ny && b->axes > 1; i++) y[i] = bin_middle(b, 1, i);
    for (int i = 0; i < nx * ny; i++) z[(i % ny) * nx + i / ny] = (double)b->count[i] / ((double)b->n * area);
    if (b->axes == 1) {
        Name names[2] = {intern_text(e->session->names, "x"), intern_text(e->session->names, "density")};
        Value at[2] = {numbers(e->arena, x, shape_of(1, (int64_t)nx)), numbers(e->arena, z, shape_of(1, (int64_t)nx))};
        *out = value_record(e->arena, names, at, 2);
        return true;
    }
    Surface *s = arena_new_of(e->arena, Surface);
    *s = (Surface){{&surface_class}, nx, ny, x, y, z, "x1", "x2", true};
    *out = value_object(&s->object);
    return true;
}

static Value covariance_of(Arena *arena, const Bins *b) {
    double x[BIN_AXES * BIN_AXES];
    for (int i = 0; i < b->axes * b->axes; i++) x[i] = bins_covariance(b, i / b->axes, i % b->axes);
    return numbers(arena, x, shape_of(2, (int64_t)b->axes, (int64_t)b->axes));
}

static Value inputs_value(Arena *arena, const Bins *bins, const Bins *const *layer, int layers) {
    InputsObject *inputs = arena_new_of(arena, InputsObject);
    *inputs = (InputsObject){{&inputs_class}, bins, layer, layers};
    return value_object(&inputs->object);
}

static const char *const inputs_fields[] = {"n", "lost", "mean", "sd", "covariance", "density", "layers", NULL};

static bool inputs_field(Eval *e, Object *self, Name field, Span span, Value *out) {
    const InputsObject *inputs = (const InputsObject *)self;
    const Bins *b = inputs->bins;
    double sd[BIN_AXES];
    for (int j = 0; j < b->axes; j++) sd[j] = sqrt(bins_covariance(b, j, j));
    if (strcmp(field, "n") == 0) *out = value_int(b->n);
    else if (strcmp(field, "lost") == 0) *out = value_int(b->lost);
    else if (strcmp(field, "mean") == 0) *out = numbers(e->arena, b->moments.mean, shape_of(1, (int64_t)b->axes));
    else if (strcmp(field, "sd") == 0) *out = numbers(e->arena, sd, shape_of(1, (int64_t)b->axes));
    else if (strcmp(field, "covariance") == 0) *out = covariance_of(e->arena, b);
    else if (strcmp(field, "density") == 0) return density_of(e, b, span, out) || (eval_fail(out), true);
    else if (strcmp(field, "layers") == 0) {
        Value *at = arena_array(e->arena, Value, inputs->layers + 1);
        for (int i = 0; i < inputs->layers; i++) at[i] = inputs_value(e->arena, inputs->layer[i], NULL, 0);
        *out = value_list(e->arena, at, inputs->layers);
    } else return false;
    return true;
}

static void inputs_identity(const Object *self, Buf *out) {
    const InputsObject *inputs = (const InputsObject *)self;
    buf_printf(out, "inputs of %d arguments, n %lld", inputs->bins->axes, (long long)inputs->bins->n);
    buf_printf(out, " #%016llx", (unsigned long long)bins_hash(inputs->bins));
    for (int i = 0; i < inputs->layers; i++)
        buf_printf(out, ".%016llx", (unsigned long long)bins_hash(inputs->layer[i]));
}

static void inputs_show(const Object *self, Buf *out) {
    const Bins *b = ((const InputsObject *)self)->bins;
    buf_printf(out, "%lld inputs, mean [", (long long)b->n);
    for (int j = 0; j < b->axes; j++) buf_printf(out, "%s%.4g", j ? ", " : "", b->moments.mean[j]);
    buf_text(out, "], sd [");
    for (int j = 0; j < b->axes; j++) buf_printf(out, "%s%.4g", j ? ", " : "", sqrt(bins_covariance(b, j, j)));
    buf_text(out, "]");
}

static Object *inputs_keep(Arena *arena, const Object *self) {
    const InputsObject *from = (const InputsObject *)self;
    const Bins **layer = arena_array(arena, const Bins *, from->layers + 1);
    for (int i = 0; i < from->layers; i++) layer[i] = bins_keep(arena, from->layer[i]);
    return inputs_value(arena, bins_keep(arena, from->bins), layer, from->layers).object;
}

const ObjectClass inputs_class = {.name = "inputs",
                                  .fields = inputs_fields,
                                  .field = inputs_field,
                                  .identity = inputs_identity,
                                  .show = inputs_show,
                                  .keep = inputs_keep};

static const char *const region_fields[] = {"share", "held", "box", "size", "n", NULL};

static bool region_field(Eval *e, Object *self, Name field, Span span, Value *out) {
    const Region *r = ((const RegionObject *)self)->region;
    double size = (double)r->cells;
    (void)span;
    for (int j = 0; j < r->bins->axes; j++) size *= ldexp(1, r->bins->level[j]);
    if (strcmp(field, "share") == 0) *out = value_real(r->share);
    else if (strcmp(field, "held") == 0) *out = value_real(r->held);
    else if (strcmp(field, "size") == 0) *out = value_real(size);
    else if (strcmp(field, "n") == 0) *out = value_int(r->bins->n);
    else if (strcmp(field, "box") == 0) *out = ranges(e->arena, r->lo, r->hi, r->bins->axes);
    else return false;
    return true;
}

static void region_identity(const Object *self, Buf *out) {
    const Region *r = ((const RegionObject *)self)->region;
    char share[32];
    text_of_f64(share, r->share);
    buf_printf(out, "region of %s of %lld inputs #%016llx", share, (long long)r->bins->n,
               (unsigned long long)bins_hash(r->bins));
}

/* Is a point inside? */
static bool region_call(Eval *e, Object *self, const Value *args, int n, Span span, Value *out) {
    const Region *r = ((const RegionObject *)self)->region;
    double x[BIN_AXES];
    if (n != r->bins->axes) {
        diag_add(e->diags, D_E0309, span, "this region is of %d numbers, here are %d", r->bins->axes, n);
        return false;
    }
    for (int j = 0; j < n; j++)
        if (!value_as_real(e, &args[j], span, &x[j])) return false;
    *out = value_bool(region_has(r, x));
    return true;
}

static Object *region_keep_object(Arena *arena, const Object *self) {
    RegionObject *region = arena_new_of(arena, RegionObject);
    *region = (RegionObject){{&region_class}, region_keep(arena, ((const RegionObject *)self)->region)};
    return &region->object;
}

const ObjectClass region_class = {.name = "region",
                                  .fields = region_fields,
                                  .field = region_field,
                                  .identity = region_identity,
                                  .call = region_call,
                                  .keep = region_keep_object};

/* ---- cell_inputs(model, on:, cell:) ---- */

/* The cell that is meant: given by its path or as itself, or the only one.  E0603, E0613 */
static const NetCell *cell_meant(Eval *e, const BuiltinCall *call, const NetInfo *info) {
    const Value *asked = &call->args[2];
    const NetCell *found = NULL;
    int fits = 0;
    for (int i = 0; i < info->cells; i++) {
        bool same = asked->kind == V_NONE || (asked->kind == V_TEXT && path_fits(asked->text, info->cell[i].path))
            || (asked->kind == V_CALLABLE && value_equal(asked, &info->cell[i].cell));
        if (same && !fits++) found = &info->cell[i];
    }
    if (fits == 1) {
        int arity = callable_arity(e, &found->cell);
        if (arity >= 1 && arity <= BIN_AXES) return found;
        diag_add(e->diags, D_E0613, call->span, "inputs are counted for 1 to %d arguments; %s has %d", BIN_AXES,
                 found->path, arity);
        return NULL;
    }
    Diag *diag = diag_add(e->diags, D_E0603, call->arg_spans[2],
                          fits ? "this net has %d such cells; say which" : "this net has no such cell", fits);
    if (info->cells) diag_hint(diag, "cell: \"%s\"", info->cell[0].path);
    return NULL;
}

typedef struct Piece {
    const TrainPlan *plan;
    Counter *counter;
    int64_t row;
    double *x[BIN_AXES];
} Piece; /* row: numbers of one */

static double *piece_column(const Piece *p, const void *rows, int64_t at, int64_t n, double *to) {
    for (int64_t i = 0; i < n; i++)
        to[i] = p->plan->row_type[0] == DT_F64 ? ((const double *)rows)[at + i] : (double)((const float *)rows)[at + i];
    return to;
}

static bool piece_count(Piece *p, const void *rows, int64_t examples) {
    for (int64_t i = 0; i < examples; i++) {
        int64_t at = i * p->row;
        for (int u = 0; u < p->plan->uses; u++) {
            int64_t n = p->plan->use_size[u];
            const double *x[BIN_AXES];
            for (int j = 0; j < p->plan->use_arity; j++, at += n) x[j] = piece_column(p, rows, at, n, p->x[j]);
            if (!counter_add(&p->counter[u], x, n)) return false;
        }
    }
    return true;
}

/* The rows of all examples, piece by piece, into the counters.  False: out of memory. */
static bool pieces_run(Eval *e, const Model *model, const DataObject *data, const TrainPlan *plan,
                       const double *settings, Piece *p) {
    enum { PIECE = 256, PIECE_BYTES = 64 << 20 };
    Lab *lab = lab_of(e);
    DType precision = model->info->precision;
    Seeds seeds = {0};
    size_t row = (size_t)p->row * dtype_size(plan->row_type[0]), in[2];
    const Column *column[2] = {&data->x, &data->y};
    int64_t piece = (int64_t)(PIECE_BYTES / (row + 1));
    piece = piece < 1 ? 1 : piece > PIECE ? PIECE : piece;
    for (int k = 0; k < 2; k++)
        in[k] = (size_t)shape_size(&column[k]->shape) * dtype_size(column[k]->dtype == DT_I32 ? DT_I32 : precision);
    const char *rows[2] = {data_rows(lab, data, 0, precision), data_rows(lab, data, 1, precision)};
    char *block = arena_alloc(e->arena, plan->program->layout.size + 64);
    block = (char *)(((uintptr_t)block + 63) & ~(uintptr_t)63);
    model_block(model, plan, block);
    Feed feed = {.settings = settings, .keys = plan_keys(e, plan, &seeds, 0), .batch = piece};
    feed.out_rows[0] = arena_alloc(e->arena, row * (size_t)piece + 64);
    for (int64_t from = 0; from < data->size && !lab_interrupted(lab); from += piece) {
        lab_progress_text(e, "inputs", (double)from, data->size, "");
        feed.examples = data->size - from < piece ? data->size - from : piece;
        for (int k = 0; k < 2; k++) feed.rows[k] = rows[k] + in[k] * (size_t)from;
        if (plan->program->run(plan->program, block, &feed, 0, 1, lab_turn(e)->pool)) return false;
        if (!piece_count(p, feed.out_rows[0], feed.examples)) return false;
    }
    return true;
}

static bool uses_fit(Eval *e, const BuiltinCall *call, const TrainPlan *plan, const DataObject *data,
                     const char *path) {
    double most = 0, bytes = plan->use_arity == 1 ? 262144 : plan->use_arity == 2 ? 4194304 : 8388608;
    if (!plan->uses) {
        diag_add(e->diags, D_E0603, call->span, "the net applies %s only inside of other cells", path);
        return false;
    }
    for (int u = 0; u < plan->uses; u++) most = fmax(most, (double)plan->use_size[u] * (double)data->size);
    if (bytes * plan->uses > 4e9) {
        diag_add(e->diags, D_E0414, call->span,
                 "%s is applied %d times: to count each by itself needs %.1f GB; the limit is 4", path, plan->uses,
                 bytes * plan->uses * 1e-9);
        return false;
    }
    if (most <= COUNTER_MOST) return true;
    Diag *diag = diag_add(e->diags, D_E0414, call->span, "%s is called %.3g times; %.3g at most are counted", path,
                          most, (double)COUNTER_MOST);
    diag_hint(diag, "on: a part of the data, as in data[1..1000]");
    return false;
}

static bool count_inputs(Eval *e, const BuiltinCall *call, const Model *model, const DataObject *data,
                         const NetCell *cell, Value *out) {
    Arena *arena = e->arena;
    Eval sub = *e;
    sub.arena = arena_new();
    const double *settings;
    PlanRequest request = {
        .e = &sub, .info = model->info, .x = data->x, .y = data->y, .uses = cell->path, .span = call->span};
    TrainPlan *plan = plan_get(&request, &settings);
    bool ok = plan && uses_fit(&sub, call, plan, data, cell->path), memory = true;
    int uses = ok ? plan->uses : 0, opened = 0;
    Piece p = {plan, arena_array(sub.arena, Counter, uses + 1), ok ? shape_size(&plan->row_shape[0]) : 0, {NULL}};
    for (int j = 0; j < BIN_AXES; j++) p.x[j] = arena_array(sub.arena, double, p.row + 1);
    for (; memory && opened < uses; opened++) memory = counter_open(&p.counter[opened], plan->use_arity);
    memory = memory && (!ok || pieces_run(&sub, model, data, plan, settings, &p));
    const Bins **fine = arena_array(sub.arena, const Bins *, uses + 1),
               **layer = arena_array(arena, const Bins *, uses + 1);
    int64_t most = !ok || plan->use_arity == 1 ? 4096 : plan->use_arity == 2 ? 256 : 64;
    for (int u = 0; u < opened; u++) {
        if (memory) {
            fine[u] = counter_bins(sub.arena, &p.counter[u]);
            layer[u] = bins_within(arena, fine[u], most);
        }
        counter_close(&p.counter[u]);
    }
    if (!memory) diag_add(e->diags, D_R0103, call->span, "out of memory while counting the inputs of %s", cell->path);
    if (ok && memory && lab_interrupted(lab_of(e))) {
        diag_add(e->diags, D_R0103, call->span, "interrupted while counting the inputs of %s", cell->path);
        ok = false;
    }
    if (ok && memory)
        *out = inputs_value(arena, bins_within(arena, bins_pool(sub.arena, fine, uses), most), layer, uses);
    arena_free(sub.arena);
    return (ok && memory) || eval_fail(out);
}

static bool builtin_cell_inputs(Eval *e, const BuiltinCall *call, Value *out) {
    const Model *model;
    const DataObject *data;
    bool done;
    if (!model_on_data(e, call, 1, &model, &data, out, &done) || done) return out->kind != V_ERROR;
    const NetCell *cell = cell_meant(e, call, model->info);
    if (!cell) return eval_fail(out);
    if (e->mode == EVAL_CHECK || !model->known) { *out = value_abstract(NULL); return true; }
    return count_inputs(e, call, model, data, cell, out);
}

/* ---- box(inputs, share), region(inputs, share) ---- */

/* *done: *out is the result already. */
static bool inputs_and_share(Eval *e, const BuiltinCall *call, const InputsObject **inputs, double *share, Value *out,
                             bool *done) {
    *done = true;
    if (call->args[1].kind != V_ABSTRACT) {
        if (!value_as_real(e, &call->args[1], call->arg_spans[1], share)) return eval_fail(out);
        if (!(*share > 0 && *share <= 1)) {
            diag_add(e->diags, D_E0314, call->arg_spans[1], "a share lies above 0 and up to 1; this is %s",
                     value_shown(e, &call->args[1]));
            return eval_fail(out);
        }
    }
    if (call->args[0].kind == V_ERROR) return eval_fail(out);
    if (call->args[0].kind == V_ABSTRACT || call->args[1].kind == V_ABSTRACT) {
        *out = value_abstract(NULL);
        return true;
    }
    *inputs = value_inputs(&call->args[0]);
    if (!*inputs) {
        Diag *diag = diag_add(e->diags, D_E0314, call->arg_spans[0], "this must be what cell_inputs gives; it is %s",
                              value_kind_name(&call->args[0]));
        diag_hint(diag, "cell_inputs(run.model, on: data.test)");
        return eval_fail(out);
    }
    if (!(*inputs)->bins->n) {
        diag_add(e->diags, D_E0314, call->arg_spans[0], "there are no inputs that are finite");
        return eval_fail(out);
    }
    *done = false;
    return true;
}

static bool builtin_box(Eval *e, const BuiltinCall *call, Value *out) {
    const InputsObject *inputs;
    double share, lo[BIN_AXES], hi[BIN_AXES];
    bool done;
    if (!inputs_and_share(e, call, &inputs, &share, out, &done) || done) return out->kind != V_ERROR;
    bins_box(inputs->bins, share, lo, hi);
    *out = ranges(e->arena, lo, hi, inputs->bins->axes);
    return true;
}

static bool builtin_region(Eval *e, const BuiltinCall *call, Value *out) {
    const InputsObject *inputs;
    double share;
    bool done;
    if (!inputs_and_share(e, call, &inputs, &share, out, &done) || done) return out->kind != V_ERROR;
    RegionObject *region = arena_new_of(e->arena, RegionObject);
    *region = (RegionObject){{&region_class}, region_find(e->arena, bins_scott(e->arena, inputs->bins), share)};
    *out = value_object(&region->object);
    return true;
}

const BuiltinRow builtins_analysis[] = {
    {"cell_inputs", builtin_cell_inputs}, {"box", builtin_box}, {"region", builtin_region}, {NULL, NULL}};
