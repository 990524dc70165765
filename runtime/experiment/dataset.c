/* dataset.c -- dataset(name, shape:, normalize:, valid:, test:, file:, target:, classes:), affine, shuffled.
 *
 * Normalisation belongs to the data: given = (raw - mean) / sd, remembered with the raw range.  In check mode a set
 * whose files are missing is known by its published shape alone (E0601 is given once). */
#include "experiment/train.h"
#include "data/dataset.h"
#include "support/rng.h"
#include "support/sha256.h"

#include <math.h>

enum { FEATURES_MOST = 65536 };                        /* that are normalised each by its own numbers */

/* ---- affine and shuffled ---- */

typedef struct AffineObject { Object object; Affine map; } AffineObject;

static void affine_list(const double *x, int n, Buf *out) {
    char text[32];
    if (n > 1) buf_text(out, "[");
    for (int i = 0; i < n; i++) {
        text_of_f64(text, x[i]);
        buf_printf(out, "%s%s", i ? ", " : "", text);
    }
    if (n > 1) buf_text(out, "]");
}

static void affine_text(const Affine *map, Buf *out) {
    buf_text(out, "affine(mean: ");
    affine_list(map->mean, map->features, out);
    buf_text(out, ", sd: ");
    affine_list(map->sd, map->features, out);
    buf_text(out, ")");
}

static void affine_identity(const Object *self, Buf *out) { affine_text(&((const AffineObject *)self)->map, out); }
static const ObjectClass affine_class = {.name = "affine", .identity = affine_identity};

static bool builtin_affine(Eval *e, const BuiltinCall *call, Value *out) {
    AffineObject *a = arena_new_of(e->arena, AffineObject);
    a->object.class = &affine_class;
    const Tensor *part[2];
    for (int i = 0; i < 2; i++)
        if (!value_as_tensor(e, &call->args[i], DT_F64, call->arg_spans[i], &part[i])) return eval_fail(out);
    int64_t n = shape_size(&part[0]->shape);
    if (n != shape_size(&part[1]->shape) || n < 1 || n > FEATURES_MOST) {
        diag_add(e->diags, D_E0401, call->span, "mean and sd have one length, from 1 to %d; here are %lld and %lld",
                 FEATURES_MOST, (long long)n, (long long)shape_size(&part[1]->shape));
        return eval_fail(out);
    }
    double *mean = arena_array(e->arena, double, n), *sd = arena_array(e->arena, double, n);
    a->map = (Affine){(int)n, mean, sd};
    for (int i = 0; i < n; i++) {
        mean[i] = ((const double *)part[0]->data)[i];
        sd[i] = ((const double *)part[1]->data)[i];
        if (isfinite(mean[i]) && sd[i] > 0 && isfinite(sd[i])) continue;
        diag_add(e->diags, D_E0314, call->arg_spans[1], "sd is above zero, mean and sd are finite");
        return eval_fail(out);
    }
    *out = value_object(&a->object);
    return true;
}

typedef struct Shuffled { Object object; int64_t n; uint64_t seed; } Shuffled;
static void shuffled_identity(const Object *self, Buf *out) {
    const Shuffled *s = (const Shuffled *)self;
    buf_printf(out, "shuffled(%lld, seed: %llu)", (long long)s->n, (unsigned long long)s->seed);
}
static const ObjectClass shuffled_class = {.name = "split", .identity = shuffled_identity};

static bool builtin_shuffled(Eval *e, const BuiltinCall *call, Value *out) {
    Shuffled *s = arena_new_of(e->arena, Shuffled);
    *s = (Shuffled){{&shuffled_class}, call->args[0].integer, (uint64_t)call->args[1].integer};
    *out = value_object(&s->object);
    return true;
}

/* ---- the same values? ---- */

static bool affine_equal(const Affine *a, const Affine *b) {
    int n = a->features > b->features ? a->features : b->features;
    if (a->features != b->features && a->features > 1 && b->features > 1) return false;
    for (int i = 0; i < n; i++) {
        int k = a->features > 1 ? i : 0, l = b->features > 1 ? i : 0;
        if (a->mean[k] != b->mean[l] || a->sd[k] != b->sd[l]) return false;
    }
    return true;
}

static void values_text(const DataObject *data, Buf *out) {
    char lo[32], hi[32];
    text_of_f64(lo, data->raw_lo);
    text_of_f64(hi, data->raw_hi);
    buf_printf(out, "raw values %s..%s as ", lo, hi);
    if (data->affine) affine_text(data->affine, out);
    else buf_text(out, "they are");
}

/* Raw ranges that are measured differ a little from set to set; one that lies wholly outside of a format's is
 * another. */
static bool range_equal(const DataObject *a, const DataObject *b) {
    if (a->fixed_range && b->fixed_range) return a->raw_lo == b->raw_lo && a->raw_hi == b->raw_hi;
    if (!a->fixed_range && !b->fixed_range) return true;
    const DataObject *format = a->fixed_range ? a : b, *other = a->fixed_range ? b : a;
    double width = format->raw_hi - format->raw_lo;
    return other->raw_lo >= format->raw_lo - width && other->raw_hi <= format->raw_hi + width;
}

bool data_same_values(Eval *e, const DataObject *trained, const DataObject *data, Span span) {
    if (!trained || !trained->from_file || !data->from_file) return true;
    bool same = trained->affine && data->affine ? affine_equal(trained->affine, data->affine)
                                                : trained->affine == data->affine;
    if (same && range_equal(trained, data)) return true;
    Buf text = {0};
    buf_text(&text, "the model was trained on ");
    values_text(trained, &text);
    buf_printf(&text, "; %s gives ", data->name);
    values_text(data, &text);
    Diag *diag = diag_add(e->diags, D_E0602, span, "%.*s", (int)text.len, text.at);
    if (!same) diag_hint(diag, "give both data sets the same `normalize:`");
    buf_free(&text);
    return false;
}

/* ---- building the object ---- */

enum {
    ARG_NAME, ARG_SHAPE, ARG_NORMALIZE, ARG_VALID, ARG_TEST, ARG_FILE, ARG_TARGET, ARG_CLASSES, ARG_TOKENS, ARG_WINDOW
};

typedef struct Reading { Eval *e; const BuiltinCall *call; const Dataset *set; const Affine *affine; DataObject *data;
                         Shape shape; } Reading;

/* How many rows `valid:` or `test:` take of n: a count, a share, or a drawn count. */
static bool part_count(Eval *e, const Value *value, int64_t n, const char *what, Span span, int64_t *count,
                       const Shuffled **drawn) {
    *drawn = NULL;
    if (value->kind == V_NONE) { *count = 0; return true; }
    if (value->kind == V_INT) *count = value->integer;
    else if (value->kind == V_REAL && value->real >= 0 && value->real < 1)
        *count = (int64_t)floor(value->real * (double)n);
    else if (value->kind == V_OBJECT && value->object->class == &shuffled_class) {
        *drawn = (const Shuffled *)value->object;
        *count = (*drawn)->n;
    } else {
        diag_add(e->diags, D_E0314, span, "%s: is a number of examples, a share, or shuffled(n, seed:)", what);
        return false;
    }
    if (*count >= 0 && *count < n) return true;
    diag_add(e->diags, D_E0405, span, "%s: %lld of %lld examples leaves nothing to train on", what, (long long)*count,
             (long long)n);
    return false;
}

bool dataset_part_count(Eval *e, const Value *value, int64_t n, const char *what, Span span, int64_t *count,
                        bool *drawn) {
    const Shuffled *order;
    bool ok = part_count(e, value, n, what, span, count, &order);
    *drawn = order != NULL;
    return ok;
}

static void gather_part(const Reading *r, const DataPart *part, const uint32_t *rows, int64_t first, int64_t count,
                        DataObject *out) {
    Arena *arena = r->e->arena;
    out->size = count;
    out->x = column_later(arena, &part->x, r->affine, rows, first, count, r->shape);
    if (r->set->classes) {
        int32_t *y = arena_alloc(arena, sizeof(int32_t) * (size_t)count + 64);
        for (int64_t i = 0; i < count; i++) y[i] = (int32_t)column_class(&part->y, rows ? (int64_t)rows[i] : first + i);
        out->y = (Column){DT_I32, SHAPE0, y, r->set->classes};
    } else {
        float *y = arena_alloc(arena, sizeof(float) * (size_t)(count * shape_size(&part->y.shape)) + 64);
        column_gather_f32(&part->y, NULL, rows, first, count, y);
        out->y = (Column){DT_F32, part->y.shape.rank ? part->y.shape : shape_of(1, (int64_t)1), y, 0};
    }
}

static DataObject *part_object(const Reading *r, const char *name, int64_t from, int64_t count, const Shuffled *drawn) {
    DataObject *part = arena_new_of(r->e->arena, DataObject);
    *part = *r->data;
    part->train = part->valid = part->test = NULL;
    part->name = arena_printf(r->e->arena, "%s.%s", r->data->name, name);
    char *text = arena_printf(r->e->arena, "%s %s %lld %lld %llu", r->data->hash, name, (long long)from,
                              (long long)count, drawn ? (unsigned long long)drawn->seed + 1 : 0ULL);
    sha256_hex(text, strlen(text), part->hash);
    return part;
}

/* The permutation of a drawn split: its last n rows are the part. */
static uint32_t *drawn_rows(Arena *arena, const Shuffled *drawn, int64_t n) {
    uint32_t *rows = arena_array(arena, uint32_t, n + 1);
    rng_permutation(rng_key(drawn->seed, "split", 0, "", 0), 0, (uint32_t)n, rows);
    return rows;
}

static bool split_parts(Reading *r) {
    const Value *args = r->call->args;
    const DataPart *all = &r->set->train;
    int64_t valid, test = 0;
    const Shuffled *drawn, *drawn_test = NULL;
    if (!part_count(r->e, &args[ARG_VALID], all->n, "valid", r->call->arg_spans[ARG_VALID], &valid, &drawn))
        return false;
    if (!r->set->test.n &&
        !part_count(r->e, &args[ARG_TEST], all->n - valid, "test", r->call->arg_spans[ARG_TEST], &test, &drawn_test))
        return false;
    const Shuffled *order = drawn ? drawn : drawn_test;
    uint32_t *rows = order ? drawn_rows(r->e->arena, order, all->n) : NULL;
    int64_t train = all->n - valid - test, from[3] = {0, train, train + valid}, count[3] = {train, valid, test};
    static const char *const names[] = {"train", "valid", "test"};
    for (int i = 0; i < 3; i++) {
        if (!count[i]) continue;
        DataObject *part = part_object(r, names[i], from[i], count[i], order);
        gather_part(r, all, rows ? rows + from[i] : NULL, from[i], count[i], part);
        if (i == 0) r->data->train = part;
        else if (i == 1) r->data->valid = part;
        else r->data->test = part;
    }
    if (r->set->test.n) {
        DataObject *part = part_object(r, "test", -1, r->set->test.n, NULL);
        gather_part(r, &r->set->test, NULL, 0, r->set->test.n, part);
        r->data->test = part;
    }
    r->data->size = r->data->train->size;
    r->data->x = r->data->train->x;
    r->data->y = r->data->train->y;
    return true;
}

/* The shape asked for must hold the same numbers. */
static bool reading_shape(Reading *r, const Shape *stored) {
    r->shape = *stored;
    const Value *shape = &r->call->args[ARG_SHAPE];
    if (shape->kind == V_NONE) return true;
    if (!value_as_shape(r->e, shape, r->call->arg_spans[ARG_SHAPE], &r->shape)) return false;
    if (shape_size(&r->shape) == shape_size(stored)) return true;
    Buf text = {0};
    shape_print(stored, &text);
    buf_text(&text, ", not ");
    shape_print(&r->shape, &text);
    diag_add(r->e->diags, D_E0403, r->call->arg_spans[ARG_SHAPE], "an example of %s has the shape %.*s", r->data->name,
             (int)text.len, text.at);
    buf_free(&text);
    return false;
}

static bool reading_affine(Reading *r) {
    const Value *normalize = &r->call->args[ARG_NORMALIZE];
    if (normalize->kind == V_NONE) return true;
    if (normalize->kind != V_OBJECT || normalize->object->class != &affine_class) {
        diag_add(r->e->diags, D_E0314, r->call->arg_spans[ARG_NORMALIZE],
                 "normalize: is affine(mean:, sd:); this is %s", value_kind_name(normalize));
        return false;
    }
    r->affine = r->data->affine = &((const AffineObject *)normalize->object)->map;
    int64_t features = r->shape.rank ? r->shape.dim[0] : 1;
    bool channels = r->affine->features == 3 &&
                    shape_size(&r->shape) % 3 == 0; /* colour rows of 3072 keep their planes */
    if (r->affine->features == 1 || r->affine->features == features || channels) return true;
    diag_add(r->e->diags, D_E0401, r->call->arg_spans[ARG_NORMALIZE], "%d means for %lld features", r->affine->features,
             (long long)features);
    return false;
}

/* In check mode, when the files are not there: types from what is published. */
static bool reading_facts(Reading *r, const DatasetFacts *facts) {
    DataObject *d = r->data;
    if (!reading_shape(r, &facts->shape) || !reading_affine(r)) return false;
    d->known = false;
    d->size = facts->train;
    d->x = (Column){DT_F32, r->shape, NULL, 0};
    d->y = (Column){DT_I32, SHAPE0, NULL, facts->classes};
    d->raw_lo = facts->lo;
    d->raw_hi = facts->hi;
    d->fixed_range = true;
    d->image = facts->shape;
    int64_t valid;
    const Shuffled *drawn;
    if (!part_count(r->e, &r->call->args[ARG_VALID], facts->train, "valid", r->call->arg_spans[ARG_VALID], &valid,
                    &drawn))
        return false;
    if (valid) d->valid = data_slice(r->e->arena, d, 0, valid, "valid");
    d->test = data_slice(r->e->arena, d, 0, facts->test, "test");
    d->size -= valid;
    return true;
}

static void reading_identity(Reading *r, const char *hash) {
    Buf text = {0};
    buf_printf(&text, "%s ", hash);
    shape_print(&r->shape, &text);
    if (r->affine) affine_text(r->affine, &text);
    sha256_hex(text.at, text.len, r->data->hash);
    buf_free(&text);
}

/* A file of the program lies under a data folder. */
static bool file_inside(Eval *e, const char *file, Span span) {
    if (!file || (file[0] != '/' && !strstr(file, ".."))) return true;
    Diag *diag = diag_add(e->diags, D_E0901, span, "\"%s\" lies outside the data folders", file);
    diag_hint(diag, "a path below the program's folder, or below one that --data names");
    return false;
}

/* target: of a csv counts columns. */
static bool targets_known(Eval *e, const BuiltinCall *call, const char *file) {
    const Value *target = &call->args[ARG_TARGET];
    const char *dot = file ? strstr(file, ".csv") : NULL;
    bool csv = dot && (!dot[4] || strcmp(dot + 4, ".gz") == 0);
    if ((target->kind != V_INT || target->integer > 0) && !(csv && target->kind == V_TEXT)) return true;
    Diag *diag = diag_add(e->diags, D_E0314, call->arg_spans[ARG_TARGET],
                          "target: of a csv says how many of its last columns are targets, at least 1");
    if (target->kind == V_TEXT) diag_hint(diag, "the columns of targets stand last");
    return false;
}

static bool reading_set(Reading *r) {
    r->data->raw_lo = r->set->lo;
    r->data->raw_hi = r->set->hi;
    r->data->fixed_range = r->set->fixed_range;
    r->data->divisor = r->set->train.x.type == DATA_U8 ? r->set->train.x.divisor : 0;
    r->data->image = r->set->train.x.shape;
    if (!reading_shape(r, &r->set->train.x.shape) || !reading_affine(r)) return false;
    reading_identity(r, r->set->sha256);
    return split_parts(r);
}

static bool builtin_dataset(Eval *e, const BuiltinCall *call, Value *out) {
    const Value *args = call->args;
    DataObject *data = arena_new_of(e->arena, DataObject);
    *data = (DataObject){.object = {&data_class}, .name = args[ARG_NAME].text, .known = true, .from_file = true};
    if (args[ARG_TOKENS].kind != V_NONE || args[ARG_WINDOW].kind != V_NONE || strcmp(data->name, "text") == 0) {
        static const TextArguments at = {ARG_NAME, ARG_NORMALIZE, ARG_VALID, ARG_TEST,
                                         ARG_FILE, ARG_TOKENS,    ARG_WINDOW};
        *out = value_object(&data->object);
        return dataset_text(e, call, &at, data) || eval_fail(out);
    }
    Dataset set;
    Reading r = {.e = e, .call = call, .set = &set, .data = data};
    DatasetRequest request = {
        .name = args[ARG_NAME].text, .folders = e->session->data_folders, .cache = e->session->cache_folder};
    request.file = args[ARG_FILE].kind == V_TEXT ? args[ARG_FILE].text : NULL;
    request.target = args[ARG_TARGET].kind == V_TEXT ? args[ARG_TARGET].text : NULL;
    request.target_columns = args[ARG_TARGET].kind == V_INT ? (int)args[ARG_TARGET].integer : 0;
    request.classes = args[ARG_CLASSES].kind == V_INT ? (int)args[ARG_CLASSES].integer : 0;
    if (!targets_known(e, call, request.file) || !file_inside(e, request.file, call->arg_spans[ARG_FILE]) ||
        !file_inside(e, request.target, call->arg_spans[ARG_TARGET]))
        return eval_fail(out);
    DatasetFailure why;
    char *error = NULL;
    const DatasetFacts *facts = request.file ? NULL : dataset_facts(request.name);
    request.present = e->mode == EVAL_CHECK && facts;                    /* a check needs the type, not the contents */
    *out = value_object(&data->object);
    bool ok = dataset_read(e->arena, &request, NULL, &set, &why, &error);
    if (!ok) {
        Diag *diag = diag_add(e->diags, D_E0601, call->span, "%s", error);
        if (why == DATASET_MISSING && request.file)
            diag_hint(diag, "put it beside the program, or name its folder: --data FOLDER");
    }
    if (request.present) ok = (ok || why == DATASET_MISSING) && reading_facts(&r, facts);
    else ok = ok && reading_set(&r);
    return ok || eval_fail(out);
}

const BuiltinRow builtins_dataset[] = {
    {"dataset", builtin_dataset}, {"affine", builtin_affine}, {"shuffled", builtin_shuffled}, {NULL, NULL}};
