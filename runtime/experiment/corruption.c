/* corruption.c -- corrupt(data, with:, seed:, published:, textures:): data whose images are corrupted.
 *
 * The given values are turned back to bytes, corrupted, and given again by the data's own map.  An example's random
 * numbers depend on the seed, the corruption, its severity and the example's place in the set alone.  A function of one
 * image sees raw values; what it gives is cut to 0..1 and truncated to bytes as well. */
#include "corrupt/corrupt.h"
#include "experiment/textures.h"
#include "experiment/train.h"
#include "support/sha256.h"

#include <math.h>

enum { ARG_DATA, ARG_WITH, ARG_SEED, ARG_PUBLISHED, ARG_TEXTURES };

typedef struct Request {
    Eval *e; const BuiltinCall *call;
    const Value *with;
    int kind, severity;                 /* kind -1: a function of one image */
    uint64_t seed;
    const char *published, *folder;     /* of published images, of textures; or NULL */
    Textures textures;                  /* in that folder */
} Request;

typedef struct Images { int height, width, channels; bool planes; } Images;

static bool refuse(const Request *r, int arg, const char *text) {
    diag_add(r->e->diags, D_E0712, r->call->arg_spans[arg], "%s", text);
    return false;
}

/* ---- what is asked for ---- */

static bool request_severity(Request *r, const Callable *callable) {
    const Value *severity = callable->settings_len ? &callable->settings[0] : NULL;
    if (!severity || !callable->settings) {
        diag_hint(diag_add(r->e->diags, D_E0712, r->call->arg_spans[ARG_WITH], "%s needs a severity from 1 to 5",
                           callable->def->name),
                  "%s[3]", callable->def->name);
        return false;
    }
    if (severity->kind == V_ABSTRACT) { r->severity = 1; return true; }
    r->severity = (int)severity->integer;
    if (severity->integer >= 1 && severity->integer <= CORRUPT_SEVERITIES) return true;
    diag_add(r->e->diags, D_E0712, r->call->arg_spans[ARG_WITH], "severities go from 1 to 5; this is %lld",
             (long long)severity->integer);
    return false;
}

static bool request_read(Request *r) {
    const Value *with = r->with = &r->call->args[ARG_WITH];
    r->seed = (uint64_t)r->call->args[ARG_SEED].integer;
    r->published = r->call->args[ARG_PUBLISHED].kind == V_TEXT ? r->call->args[ARG_PUBLISHED].text : NULL;
    r->folder = r->call->args[ARG_TEXTURES].kind == V_TEXT ? r->call->args[ARG_TEXTURES].text : NULL;
    r->kind = -1;
    if (with->kind != V_CALLABLE || with->callable->what != DEF_FN) {
        diag_hint(diag_add(r->e->diags, D_E0712, r->call->arg_spans[ARG_WITH],
                           "with: is a corruption or a fn of one image; this is %s", value_kind_name(with)),
                  "with: fog[3]");
        return false;
    }
    const Definition *def = with->callable->def;
    if (def->builtin && def->library) r->kind = corruption_find(def->name);
    if (r->folder && (r->kind != corruption_find("frost") || r->published))
        return refuse(r, ARG_TEXTURES,
                      r->published ? "published images have their own textures" : "textures: are for frost");
    if (r->kind >= 0) return request_severity(r, with->callable);
    if (def->builtin || callable_arity(r->e, with) != 1)
        return refuse(r, ARG_WITH, "with: is a corruption or a fn of one image");
    return !r->published || refuse(r, ARG_PUBLISHED, "only the library's corruptions are published");
}

/* [h, w], [1, h, w] or [3, h, w], from bytes. */
static bool images_of(const Request *r, const DataObject *data, Images *out) {
    const Shape *s = &data->x.shape;
    bool planes = s->rank == 3 && (s->dim[0] == 1 || s->dim[0] == 3);
    *out = (Images){0, 0, planes ? (int)s->dim[0] : 1, planes};
    int64_t h = s->rank >= 2 ? s->dim[s->rank - 2] : 0, w = s->rank >= 2 ? s->dim[s->rank - 1] : 0;
    if ((s->rank != 2 && !planes) || data->x.dtype == DT_I32 || !data->fixed_range || data->raw_lo != 0 ||
        data->raw_hi != 1)
        return refuse(r, ARG_DATA, "corruptions are for images of one or three colours with raw values 0..1, as [rows, "
                                   "columns] or [colours, rows, columns]");
    if (h < CORRUPT_MIN_SIDE || w < CORRUPT_MIN_SIDE || h > CORRUPT_MAX_SIDE || w > CORRUPT_MAX_SIDE)
        return refuse(r, ARG_DATA, "images to corrupt have sides from 16 to 1024");
    out->height = (int)h;
    out->width = (int)w;
    return true;
}

/* ---- values and bytes ---- */

/* Of feature-first example values, the byte at (row, column, colour) order and back. */
static int64_t place_of(const Images *m, int i) {
    int pixel = i / m->channels, colour = i % m->channels;
    return (int64_t)colour * m->height * m->width + pixel;
}

static void to_bytes(const Images *m, const Affine *map, const float *x, uint8_t *out) {
    int n = m->height * m->width * m->channels;
    for (int i = 0; i < n; i++) {
        int64_t at = place_of(m, i), feature = map && map->features > 1 ? at / (n / map->features) : 0;
        double raw = map ? (double)x[at] * map->sd[feature] + map->mean[feature] : x[at];
        double byte = nearbyint(255 * raw);
        out[i] = (uint8_t)(byte < 0 ? 0 : byte > 255 ? 255 : byte);
    }
}

typedef struct Work {
    const Request *r; const DataObject *data; Images m; const float *x; uint8_t *bytes; Arena *arena[64];
} Work;

/* Bytes of the examples lo .. hi-1, feature first as the data set's file has them. */
static void work_images(void *data, int thread, int64_t lo, int64_t hi) {
    Work *w = data;
    const Images *m = &w->m;
    int n = m->height * m->width * m->channels;
    CorruptOptions o = {w->r->kind,  w->r->severity,    m->height,       m->width,
                        m->channels, w->r->textures.at, w->r->textures.n};
    Arena *arena = w->arena[thread];
    Corruptor *c = corruptor_new(arena, &o);
    uint8_t *image = arena_array(arena, uint8_t, n);
    for (int64_t i = lo; i < hi; i++) {
        CorruptStream stream = corrupt_stream(c, w->r->seed, (uint32_t)i);
        to_bytes(m, w->data->affine, w->x + i * n, image);
        corrupt_image(c, corrupt_draws(&stream), image, image);
        for (int k = 0; k < n; k++) w->bytes[i * n + place_of(m, k)] = image[k];
    }
}

static void corrupt_all(const Request *r, const DataObject *data, const Images *m, const float *x, uint8_t *bytes) {
    Work w = {.r = r, .data = data, .m = *m, .x = x, .bytes = bytes};
    Pool *pool = lab_turn(r->e)->pool;
    int threads = pool_threads(pool);
    for (int i = 0; i < threads && i < COUNT(w.arena); i++) w.arena[i] = arena_new();
    pool_run(threads <= COUNT(w.arena) ? pool : NULL, data->size, work_images, &w);
    for (int i = 0; i < COUNT(w.arena); i++)
        if (w.arena[i]) arena_free(w.arena[i]);
}

/* A fn of one image, as a net without parameters on the raw values. */
static bool corrupt_by_fn(const Request *r, const DataObject *data, const Images *m, const float *x, uint8_t *bytes) {
    Eval *e = r->e;
    int n = m->height * m->width * m->channels;
    float *raw = arena_array(e->arena, float, data->size * n + 16);
    uint8_t *image = arena_array(e->arena, uint8_t, n);
    for (int64_t i = 0; i < data->size; i++) {
        to_bytes(m, data->affine, x + i * n, image);
        for (int k = 0; k < n; k++) raw[i * n + place_of(m, k)] = (float)image[k] / 255.0f;
    }
    DataObject given = *data;
    given.affine = NULL;
    given.x.rows = raw;
    given.x.source = NULL;
    given.wide[0] = given.wide[1] = NULL;
    given.raw = NULL;
    const NetInfo *info = net_info(e, r->with, &given.x, DT_F32, r->call->arg_spans[ARG_WITH]);
    if (!info) return false;
    if (info->params || !shape_equal(&info->output.shape, &data->x.shape) || info->output.dtype != DT_F32)
        return refuse(r, ARG_WITH, "a corruption is a fn from one image to one of the same shape, without parameters");
    const TrainPlan *plan;
    void *rows[1];
    char block[64];
    Model model = {.object = {&model_class}, .info = info, .block = block, .known = true};
    if (!model_rows(e, &model, &given, NULL, 0, true, false, r->call->span, &plan, rows)) return false;
    const float *y = rows[0];
    for (int64_t i = 0; i < data->size * n; i++) bytes[i] = (uint8_t)(255.0f * (y[i] > 0 ? y[i] < 1 ? y[i] : 1 : 0));
    return true;
}

/* ---- the published files: uint8 [5 * n, h, w, 3], severity after severity ---- */

static const char *published_file(const Request *r, const char *name) {
    const Session *s = r->e->session;
    const char *path = NULL;
    for (int i = 0; s->data_folders && s->data_folders[i]; i++) {
        path = path_join(r->e->arena, path_join(r->e->arena, s->data_folders[i], r->published),
                         arena_printf(r->e->arena, "%s.npy", name));
        if (file_exists(path)) return path;
    }
    diag_add(r->e->diags, D_E0601, r->call->arg_spans[ARG_PUBLISHED], "there is no %s/%s.npy under the data folders",
             r->published, name);
    return NULL;
}

static bool published_fits(const Request *r, const DataArray *images, const DataArray *labels, const DataObject *data,
                           const Images *m) {
    const Shape *s = &images->shape;
    if (images->type != DATA_U8 || s->rank != 3 || s->dim[0] != m->height || s->dim[1] != m->width ||
        s->dim[2] != m->channels || images->rows != CORRUPT_SEVERITIES * data->size || labels->rows != images->rows)
        return refuse(r, ARG_PUBLISHED,
                      "the published set is of other images than these: another number, or another shape");
    const int32_t *y = data->y.rows;
    for (int64_t i = 0; data->y.dtype == DT_I32 && i < labels->rows; i++)
        if (data_at(labels, i) != y[i % data->size])
            return refuse(r, ARG_PUBLISHED, "the labels of the published set are not those of this data in its order");
    return true;
}

static bool corrupt_published(const Request *r, const DataObject *data, const Images *m, uint8_t *bytes) {
    Arena *arena = arena_new();
    DataArray images, labels;
    char *error = NULL;
    const char *path = published_file(r, corruption_name(r->kind)),
               *label_path = path ? published_file(r, "labels") : NULL;
    bool ok = label_path != NULL;
    if (ok && !(read_npy(arena, path, NULL, &images, &error) && read_npy(arena, label_path, NULL, &labels, &error))) {
        diag_add(r->e->diags, D_E0601, r->call->arg_spans[ARG_PUBLISHED], "%s", error);
        ok = false;
    }
    ok = ok && published_fits(r, &images, &labels, data, m);
    int n = m->height * m->width * m->channels;
    for (int64_t i = 0; ok && i < data->size; i++)
        for (int k = 0; k < n; k++)
            bytes[i * n + place_of(m, k)] =
                ((const uint8_t *)images.bytes)[((r->severity - 1) * data->size + i) * n + k];
    arena_free(arena);
    return ok;
}

/* ---- the data set ---- */

static void result_names(const Request *r, const DataObject *data, DataObject *out) {
    Eval *e = r->e;
    Buf what = {0};
    value_identity(r->with, &what);
    const char *source = r->kind < 0    ? "own"
                         : r->published ? "published"
                         : r->folder    ? arena_printf(e->arena, "frost by textures %.12s", r->textures.hash)
                         : r->kind == corruption_find("frost") ? "frost-like"
                                                               : "regenerated";
    out->name = arena_printf(e->arena, "%s, %s (%s)", data->name, value_shown(e, r->with), source);
    char *text = arena_printf(e->arena, "corrupt %s %.*s %llu %s", data->hash, (int)what.len, what.at,
                              (unsigned long long)r->seed, r->folder ? r->textures.hash : source);
    sha256_hex(text, strlen(text), out->hash);
    buf_free(&what);
}

static bool corrupt_part(Request *r, const DataObject *data, DataObject *out) {
    Eval *e = r->e;
    Images m;
    if (!images_of(r, data, &m)) return false;
    if (r->folder && !r->textures.n &&
        !textures_read(e, r->folder, m.height, m.width, r->call->arg_spans[ARG_TEXTURES], &r->textures))
        return false;
    *out = *data;
    out->train = out->valid = out->test = NULL;
    out->wide[0] = out->wide[1] = NULL;
    out->raw = NULL;
    result_names(r, data, out);
    if (e->mode == EVAL_CHECK || !data->known) { out->known = false; return true; }
    int64_t n = shape_size(&data->x.shape);
    const float *x = data_rows(lab_of(e), data, 0, DT_F32);
    uint8_t *bytes = arena_array(e->arena, uint8_t, data->size * n);
    if (r->published) {
        if (!corrupt_published(r, data, &m, bytes)) return false;
    } else if (r->kind < 0) {
        if (!corrupt_by_fn(r, data, &m, x, bytes)) return false;
    } else {
        corrupt_all(r, data, &m, x, bytes);
    }
    float *given = arena_alloc(e->arena, sizeof(float) * (size_t)(data->size * n) + 64);
    DataColumn column = {DATA_U8, data->x.shape, bytes, 255};
    column_gather_f32(&column, data->affine, NULL, 0, data->size, given);
    out->x = (Column){DT_F32, data->x.shape, given, 0};
    return true;
}

static bool builtin_corrupt(Eval *e, const BuiltinCall *call, Value *out) {
    Request r = {.e = e, .call = call};
    const DataObject *data = (const DataObject *)call->args[ARG_DATA].object;
    if (call->args[ARG_WITH].kind == V_ABSTRACT) { *out = call->args[ARG_DATA]; return true; }
    DataObject *made = arena_array(e->arena, DataObject, 4);
    if (!request_read(&r) || !corrupt_part(&r, data, &made[3])) return eval_fail(out);
    const DataObject *parts[] = {data->train, data->valid, data->test};
    for (int i = 0; i < 3; i++)
        if (parts[i] && !corrupt_part(&r, parts[i], &made[i])) return eval_fail(out);
    if (parts[0]) made[3].train = &made[0];
    if (parts[1]) made[3].valid = &made[1];
    if (parts[2]) made[3].test = &made[2];
    *out = value_object(&made[3].object);
    return true;
}

/* A corruption by itself: it acts on data. */
static bool builtin_corruption(Eval *e, const BuiltinCall *call, Value *out) {
    diag_hint(diag_add(e->diags, D_E0712, call->span, "the library's corruptions are for whole data sets"),
              "corrupt(data, with: fog[3])");
    return eval_fail(out);
}

const BuiltinRow builtins_corruption[] = {
    {"corrupt", builtin_corrupt},
    {"gaussian_noise", builtin_corruption}, {"shot_noise", builtin_corruption}, {"impulse_noise", builtin_corruption},
    {"defocus_blur", builtin_corruption}, {"glass_blur", builtin_corruption}, {"motion_blur", builtin_corruption},
    {"zoom_blur", builtin_corruption}, {"snow", builtin_corruption}, {"frost", builtin_corruption},
    {"fog", builtin_corruption}, {"brightness", builtin_corruption}, {"contrast", builtin_corruption},
    {"elastic_transform", builtin_corruption}, {"pixelate", builtin_corruption},
    {"jpeg_compression", builtin_corruption}, {"speckle_noise", builtin_corruption},
    {"gaussian_blur", builtin_corruption}, {"spatter", builtin_corruption}, {"saturate", builtin_corruption},
    {NULL, NULL}};
