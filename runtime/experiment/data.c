/* data.c -- data sets as values: examples written down, sampled from a function, or read from files; their parts.
 *
 * Rows are kept in f64 where a program wrote them, in f32 where a file did; the other precision is made on demand.
 * Those of a file are put into place, normalised, when they are first read: an attack on a thousand test images leaves
 * the others as they lie in the file.  The address of a row is fixed from the start. */
#include "experiment/train.h"
#include "support/rng.h"
#include "support/sha256.h"

#include <math.h>
#include <stdlib.h>

const DataObject *data_part(const DataObject *data, const char *part) {
    if (strcmp(part, "train") == 0) return data->train ? data->train : data;
    return strcmp(part, "valid") == 0 ? data->valid : data->test;
}

static void *convert(Arena *arena, const Column *column, int64_t rows, DType to) {
    int64_t n = rows * shape_size(&column->shape);
    if (to == DT_F64) {
        double *out = arena_array(arena, double, n + 16);
        for (int64_t i = 0; i < n; i++) out[i] = (double)((const float *)column->rows)[i];
        return out;
    }
    float *out = arena_array(arena, float, n + 16);
    for (int64_t i = 0; i < n; i++) out[i] = (float)((const double *)column->rows)[i];
    return out;
}

/* ---- rows that are read when they are needed ---- */

enum { PIECE = 1024 };
typedef struct RowSource {
    DataColumn column; const Affine *affine; const uint32_t *row; int64_t first, count; float *out; bool *there;
} RowSource;
typedef struct Gather { RowSource *source; int64_t piece; } Gather;

/* A batch of rows in pieces, on the threads that are free. */
static void gather_piece(void *data, int thread, int64_t i) {
    const Gather *g = data;
    RowSource *s = g->source;
    int64_t piece = g->piece + i, from = piece * PIECE, left = s->count - from;
    (void)thread;
    if (s->there[piece]) return;
    column_gather_f32(&s->column, s->affine, s->row ? s->row + from : NULL, s->first + from,
                      left < PIECE ? left : PIECE, s->out + from * shape_size(&s->column.shape));
    s->there[piece] = true;
}

static void rows_ready(Lab *lab, const Column *c, int64_t n) {
    RowSource *s = c->source;
    if (!s || !n) return;
    int64_t from = ((const float *)c->rows - s->out) / shape_size(&s->column.shape), first = from / PIECE,
            last = (from + n - 1) / PIECE;
    pthread_mutex_lock(&lab->lock);
    pool_each(lab->pool, last - first + 1, gather_piece, &(Gather){s, first});
    pthread_mutex_unlock(&lab->lock);
}

Column column_later(Arena *arena, const DataColumn *column, const Affine *affine, const uint32_t *row, int64_t first,
                    int64_t count, Shape shape) {
    RowSource *s = arena_new_of(arena, RowSource);
    float *out = arena_alloc(arena, sizeof(float) * (size_t)(count * shape_size(&column->shape)) + 64);
    *s = (RowSource){*column, affine, row, first, count, out, arena_array(arena, bool, count / PIECE + 1)};
    return (Column){DT_F32, shape, out, 0, s};
}

const void *data_rows(Lab *lab, const DataObject *data, int column, DType precision) {
    const Column *c = column ? &data->y : &data->x;
    rows_ready(lab, c, data->size);
    if (c->dtype == DT_I32 || c->dtype == precision) return c->rows;
    DataObject *owner = (DataObject *)(uintptr_t)data;                          /* the cache of conversions */
    pthread_mutex_lock(&lab->lock);
    if (!owner->wide[column]) owner->wide[column] = convert(lab->arena, c, data->size, precision);
    const void *rows = owner->wide[column];
    pthread_mutex_unlock(&lab->lock);
    return rows;
}

/* ---- the object ---- */

/* ---- raw values ---- */

int64_t data_feature(const DataObject *data, int64_t i) {
    const Affine *map = data->affine;
    return map && map->features > 1 ? i / (shape_size(&data->x.shape) / map->features) : 0;
}

double data_raw_number(const DataObject *data, int64_t i, double x) {
    const Affine *map = data->affine;
    double raw = map ? x * map->sd[data_feature(data, i)] + map->mean[data_feature(data, i)] : x,
           byte = nearbyint(255 * raw);
    bool image = data->fixed_range && data->raw_lo == 0 && data->raw_hi == 1;
    return image && fabs(255 * raw - byte) < 1e-3 ? byte / 255 : raw;
}

/* As the file had it: what is a whole number over the divisor but for the rounding of the normalisation is that. */
static float raw_as_stored(const DataObject *data, double raw) {
    double whole = nearbyint(raw * data->divisor);
    return (float)(data->divisor > 0 && fabs(raw * data->divisor - whole) < 2e-5 ? whole / data->divisor + 0.0 : raw);
}

const float *data_raw(Lab *lab, const DataObject *data) {
    const float *x = data_rows(lab, data, 0, DT_F32);
    int64_t size = shape_size(&data->x.shape);
    DataObject *owner = (DataObject *)(uintptr_t)data;
    pthread_mutex_lock(&lab->lock);
    if (!owner->raw) {
        float *raw = arena_array(lab->arena, float, data->size * size + 1);
        for (int64_t i = 0; i < data->size * size; i++)
            raw[i] = raw_as_stored(data, data_raw_number(data, i % size, x[i]));
        owner->raw = raw;
    }
    const float *raw = owner->raw;
    pthread_mutex_unlock(&lab->lock);
    return raw;
}

static const char *const data_fields[] = {"train", "valid",   "test", "x",      "y", "raw",
                                          "shape", "classes", "size", "tokens", NULL};

static Value rows_value(Arena *arena, const Column *column, int64_t rows) {
    Tensor *t = arena_new_of(arena, Tensor);
    t->dtype = column->dtype;
    t->shape.rank = column->shape.rank + 1;
    t->shape.dim[0] = rows;
    for (int i = 0; i < column->shape.rank; i++) t->shape.dim[i + 1] = column->shape.dim[i];
    t->data = (void *)(uintptr_t)column->rows;
    return (Value){.kind = V_TENSOR, .tensor = t};
}

static Value shape_value(Arena *arena, const Shape *shape) {
    Value dims[MAX_RANK];
    for (int i = 0; i < shape->rank; i++) dims[i] = value_int(shape->dim[i]);
    return value_list(arena, dims, shape->rank);
}

static bool data_field(Eval *e, Object *self, Name field, Span span, Value *out) {
    DataObject *data = (DataObject *)self;
    if (data->noise) {
        diag_add(e->diags, D_E0311, span, "a smooth_noise is drawn by each run: it has no %s here", field);
        return false;
    }
    for (int i = 0; i < 3; i++) {
        if (strcmp(field, data_fields[i])) continue;
        const DataObject *part = data_part(data, field);
        if (part) *out = value_object((Object *)(uintptr_t)&part->object);
        else {
            Diag *diag = diag_add(e->diags, D_E0608, span, "%s has no %s set", data->name, field);
            diag_hint(diag, "%s: 10000", field);
            return false;
        }
        return true;
    }
    if (strcmp(field, "shape") == 0) *out = shape_value(e->arena, &data->x.shape);
    else if (strcmp(field, "classes") == 0) *out = value_int(data->y.classes);
    else if (strcmp(field, "tokens") == 0 && data->x.dtype == DT_I32) *out = value_int(data->x.classes);
    else if (strcmp(field, "size") == 0) *out = value_int(data->size);
    else if (strcmp(field, "x") == 0 && data->known) {
        rows_ready(lab_of(e), &data->x, data->size);
        *out = rows_value(e->arena, &data->x, data->size);
    }
    else if (strcmp(field, "y") == 0 && data->known) *out = rows_value(e->arena, &data->y, data->size);
    else if (strcmp(field, "raw") == 0 && data->known && data->x.dtype != DT_I32) {
        Column raw = {DT_F32, data->x.shape, data_raw(lab_of(e), data), 0};
        *out = rows_value(e->arena, &raw, data->size);
    } else if (strcmp(field, "raw") == 0 && data->x.dtype != DT_I32) *out = value_abstract(NULL);
    else if (field[1] == 0 && (*field == 'x' || *field == 'y')) *out = value_abstract(NULL);
    else return false;
    return true;
}

/* data[a..b]: those examples, counted from 1. */
static bool data_index(Eval *e, Object *self, const Value *args, int n, Span span, Value *out) {
    const DataObject *data = (const DataObject *)self;
    if (n != 1 || args[0].kind != V_RANGE || !args[0].range->whole) {
        diag_add(e->diags, D_E0314, span, "data is cut by a range of examples: %s[1..1000]", data->name);
        return false;
    }
    int64_t lo = (int64_t)args[0].range->lo, hi = (int64_t)args[0].range->hi;
    if (lo < 1 || hi > data->size || hi < lo) {
        diag_add(e->diags, D_E0405, span, "%s has the examples 1..%lld, not %lld..%lld", data->name,
                 (long long)data->size, (long long)lo, (long long)hi);
        return false;
    }
    *out = value_object((Object *)(uintptr_t)&data_slice(e->arena, data, lo - 1, hi - lo + 1, NULL)->object);
    return true;
}

static void data_identity(const Object *self, Buf *out) {
    const DataObject *data = (const DataObject *)self;
    buf_printf(out, "data %s", data->hash[0] ? data->hash : data->name);
}

static void data_show(const Object *self, Buf *out) {
    const DataObject *data = (const DataObject *)self;
    if (data->noise) {
        buf_text(out, "smooth noise, drawn by each run");
        return;
    }
    buf_printf(out, "%lld examples, %s", (long long)data->size, data->x.dtype == DT_I32 ? "int" : "f32");
    shape_print(&data->x.shape, out);
    char lo[32], hi[32];
    text_of_f64(lo, data->raw_lo);
    text_of_f64(hi, data->raw_hi);
    buf_printf(out, " in %s..%s to ", lo, hi);
    if (data->y.classes) buf_printf(out, "class[%lld]", (long long)data->y.classes);
    else buf_text(out, "f32");
    if (!data->y.classes || data->y.shape.rank) shape_print(&data->y.shape, out);
}

const ObjectClass data_class = {.name = "data", .fields = data_fields, .field = data_field, .index = data_index,
                                .identity = data_identity, .show = data_show};

/* ---- parts ---- */

static size_t column_row(const Column *column) {
    return (size_t)shape_size(&column->shape) * dtype_size(column->dtype);
}

DataObject *data_slice(Arena *arena, const DataObject *data, int64_t from, int64_t count, const char *part) {
    DataObject *slice = arena_new_of(arena, DataObject);
    *slice = *data;
    slice->train = slice->valid = slice->test = NULL;
    slice->wide[0] = slice->wide[1] = NULL;
    slice->size = count;
    slice->raw = data->raw ? data->raw + from * shape_size(&data->x.shape) : NULL;
    if (data->known) {
        slice->x.rows = (const char *)data->x.rows + (size_t)from * column_row(&data->x);
        slice->y.rows = (const char *)data->y.rows + (size_t)from * column_row(&data->y);
    }
    slice->name = part ? arena_printf(arena, "%s.%s", data->name, part)
                       : arena_printf(arena, "%s[%lld..%lld]", data->name, (long long)from + 1,
                                      (long long)(from + count));
    char *text = arena_printf(arena, "%s %lld %lld", data->hash, (long long)from, (long long)count);
    sha256_hex(text, strlen(text), slice->hash);
    return slice;
}

/* Cuts the last `test` and before them the last `valid` examples off; either may be 0.  What is left is `train`. */
void data_split(Arena *arena, DataObject *data, int64_t valid, int64_t test) {
    int64_t train = data->size - valid - test;
    if (!valid && !test) return;
    if (valid) data->valid = data_slice(arena, data, train, valid, "valid");
    if (test) data->test = data_slice(arena, data, train + valid, test, "test");
    data->train = data_slice(arena, data, 0, train, "train");
    data->size = train; /* the whole, looked at, is what is trained on */
}

void data_finish(DataObject *data) {
    Sha256 sha;
    sha256_start(&sha);
    sha256_add(&sha, data->x.rows, (size_t)data->size * column_row(&data->x));
    sha256_add(&sha, data->y.rows, (size_t)data->size * column_row(&data->y));
    int64_t facts[3] = {shape_size(&data->x.shape), shape_size(&data->y.shape), data->y.classes};
    sha256_add(&sha, facts, sizeof facts);
    sha256_end_hex(&sha, data->hash);
    const double *x = data->x.rows;
    data->raw_lo = INFINITY;
    data->raw_hi = -INFINITY;
    for (int64_t i = 0; data->x.dtype == DT_F64 && i < data->size * facts[0]; i++) {
        if (x[i] < data->raw_lo) data->raw_lo = x[i];
        if (x[i] > data->raw_hi) data->raw_hi = x[i];
    }
}

/* ---- examples(x:, y:) ---- */

static bool examples_column(Eval *e, const Value *list, const char *what, Span span, Column *column, int64_t *rows) {
    const Tensor *t;
    if (!value_as_tensor(e, list, DT_F64, span, &t)) return false;
    if (t->shape.rank == 0 || t->shape.dim[0] == 0) {
        diag_add(e->diags, D_E0314, span, "%s: is a list with one entry for each example", what);
        return false;
    }
    for (int64_t i = 0; i < shape_size(&t->shape); i++)
        if (!isfinite(((double *)t->data)[i])) {
            diag_add(e->diags, D_E0314, span, "%s: number %lld is not finite", what, (long long)i + 1);
            return false;
        }
    *rows = t->shape.dim[0];
    column->dtype = DT_F64;
    column->shape.rank = t->shape.rank - 1;
    for (int i = 1; i < t->shape.rank; i++) column->shape.dim[i - 1] = t->shape.dim[i];
    if (column->shape.rank == 0) column->shape = shape_of(1, (int64_t)1);      /* a number is f32[1] */
    column->rows = t->data;
    return true;
}

static bool builtin_examples(Eval *e, const BuiltinCall *call, Value *out) {
    DataObject *data = arena_new_of(e->arena, DataObject);
    *data = (DataObject){.object = {&data_class}, .name = "examples", .known = true};
    int64_t rows;
    if (!examples_column(e, &call->args[0], "x", call->arg_spans[0], &data->x, &data->size)
        || !examples_column(e, &call->args[1], "y", call->arg_spans[1], &data->y, &rows))
        return eval_fail(out);
    if (rows != data->size) {
        diag_add(e->diags, D_E0401, call->span, "x has %lld examples, y has %lld", (long long)data->size,
                 (long long)rows);
        return eval_fail(out);
    }
    data_finish(data);
    *out = value_object(&data->object);
    return true;
}

/* ---- samples(f, over:, points:, valid:, test:, seed:) ---- */

static bool samples_value(Eval *e, const BuiltinCall *call, const double *x, int n, double *y) {
    Value args[16], result;
    for (int i = 0; i < n; i++) args[i] = value_real(x[i]);
    return eval_call(e, &call->args[0], args, n, call->span, &result) && value_as_real(e, &result, call->span, y);
}

static bool samples_box(Eval *e, const BuiltinCall *call, double *lo, double *hi, int *n) {
    ValueList box;
    if (!eval_elements(e, &call->args[1], call->arg_spans[1], &box)) return false;
    *n = box.len;
    for (int i = 0; i < box.len; i++) {
        if (box.at[i].kind != V_RANGE || i >= 16) {
            diag_add(e->diags, D_E0314, call->arg_spans[1],
                     "over: is a list of ranges, one for each argument, 16 at most");
            return false;
        }
        lo[i] = box.at[i].range->lo;
        hi[i] = box.at[i].range->hi;
    }
    return true;
}

static bool builtin_samples(Eval *e, const BuiltinCall *call, Value *out) {
    double lo[16], hi[16];
    int n;
    if (!samples_box(e, call, lo, hi, &n)) return eval_fail(out);
    int64_t points = call->args[2].integer, valid = call->args[3].integer, test = call->args[4].integer;
    int64_t total = points + valid + test;
    if (points < 1 || valid < 0 || test < 0 || total > 100000000) {
        diag_add(e->diags, D_E0414, call->span, "samples takes from 1 to 100 000 000 points");
        return eval_fail(out);
    }
    double *x = arena_array(e->arena, double, total * n), *y = arena_array(e->arena, double, total);
    uint64_t key = rng_key((uint64_t)call->args[5].integer, "noise", 0, "samples", 0);
    for (int64_t i = 0; i < total; i++) {
        for (int k = 0; k < n; k++)
            x[i * n + k] = lo[k] + (hi[k] - lo[k]) * rng_uniform(key, (uint32_t)k, (uint32_t)i, 0);
        if (!samples_value(e, call, x + i * n, n, &y[i])) return eval_fail(out);
    }
    DataObject *data = arena_new_of(e->arena, DataObject);
    *data = (DataObject){.object = {&data_class}, .name = "samples", .size = total, .known = true};
    data->x = (Column){DT_F64, shape_of(1, (int64_t)n), x, 0};
    data->y = (Column){DT_F64, shape_of(1, (int64_t)1), y, 0};
    data_finish(data);
    data_split(e->arena, data, valid, test);
    *out = value_object(&data->object);
    return true;
}

static bool builtin_reconstruct(Eval *e, const BuiltinCall *call, Value *out) {
    const DataObject *data = (const DataObject *)call->args[0].object;
    const char *const names[] = {"train", "valid", "test"};
    DataObject *copy = arena_array(e->arena, DataObject, 4);
    copy[3] = *data;
    for (int i = 0; i < 3; i++) {
        const DataObject *part = i ? data_part(data, names[i]) : data->train;
        if (part) copy[i] = *part;
        const DataObject *made = part ? &copy[i] : NULL;
        if (i == 0) copy[3].train = made;
        else if (i == 1) copy[3].valid = made;
        else copy[3].test = made;
    }
    for (int i = 0; i < 4; i++) {
        copy[i].y = copy[i].x;
        copy[i].wide[0] = copy[i].wide[1] = NULL;
        copy[i].raw = NULL;
        char *text = arena_printf(e->arena, "reconstruct %s", copy[i].hash);
        sha256_hex(text, strlen(text), copy[i].hash);
    }
    *out = value_object(&copy[3].object);
    return true;
}

const BuiltinRow builtins_data[] = {
    {"examples", builtin_examples}, {"samples", builtin_samples}, {"reconstruct", builtin_reconstruct}, {NULL, NULL}};
