/* dataset.c -- see dataset.h.  First the files are found and hashed; then the cache is asked; then they are read. */
#include "data/dataset.h"

#include <math.h>

#include "data/builtin.h"
#include "data/cache.h"
#include "data/cifar.h"
#include "data/known.h"
#include "support/file.h"
#include "support/sha256.h"

enum { DIGITS_TRAIN = 1347, DIGITS_TEST = 450, DIGITS_PIXELS = 64, CACHED = 1 << 18 };
static const uint64_t STORED_LIMIT = UINT64_C(4) << 30;

typedef struct Reader {
    Arena *arena; const DatasetRequest *request; const ReadLimits *limits; Dataset *set;
    const KnownSet *known; KnownPlace place;            /* of a named set */
    const char *path[2];                                /* of files: inputs, targets (NULL) */
    uint64_t stored;                                    /* bytes of all files */
    DatasetFailure *why; char **error;
} Reader;

static bool bad(Reader *r, const char *format, ...) NIN_PRINTF(2, 3);
static bool bad(Reader *r, const char *format, ...) {
    va_list args;
    va_start(args, format);
    *r->error = arena_vprintf(r->arena, format, args);
    va_end(args);
    return false;
}

/* ---- finding files ---- */
/* Before a .gz. */
static bool ends(const char *path, const char *suffix) {
    size_t n = strlen(path), m = strlen(suffix);
    if (n > 3 && strcmp(path + n - 3, ".gz") == 0) n -= 3;
    return n > m && memcmp(path + n - m, suffix, m) == 0;
}

/* A program reads below its data folders only. */
static bool leaves_folder(const char *file) {
    if (file[0] == '/') return true;
    for (const char *at = file; (at = strstr(at, "..")); at += 2)
        if ((at == file || at[-1] == '/') && (at[2] == 0 || at[2] == '/')) return true;
    return false;
}

static const char *find_file(Reader *r, const char *file) {
    const char *const *folders = r->request->folders;
    Buf text = {0};
    if (leaves_folder(file)) {
        bad(r, "%s: files are looked for in the data folders; give a path below one of them", file);
        return NULL;
    }
    for (const char *const *folder = folders; folder && *folder; folder++) {
        char *path = path_join(r->arena, *folder, file);
        if (file_exists(path)) return path;
    }
    *r->why = DATASET_MISSING;
    buf_printf(&text, "%s is not in %s", file, folders && *folders ? "" : "any data folder: none is given");
    for (const char *const *folder = folders; folder && *folder; folder++)
        buf_printf(&text, "%s%s", folder == folders ? "" : ", ", *folder);
    *r->error = buf_done(&text, r->arena);
    return NULL;
}

/* The paths of all files; what must be said about the request itself. */
static bool find_all(Reader *r) {
    const DatasetRequest *request = r->request;
    if (request->file) {
        bool whole = ends(request->file, ".csv") || ends(request->file, ".npz");
        if (!whole && !request->target) return bad(r, "%s: needs a file of targets (target: ...)", request->file);
        if (!(r->path[0] = find_file(r, request->file))) return false;
        return whole || (r->path[1] = find_file(r, request->target));
    }
    if (!(r->known = known_set(request->name))) 
        return bad(r, "no data set is called %s; a file of your own is given by file: \"...\"", request->name);
    if (r->known->facts.builtin || known_find(r->arena, r->known, request->folders, &r->place, r->error)) return true;
    *r->why = DATASET_MISSING;
    return false;
}

/* ---- hashes ---- */
static bool add_file(Reader *r, const char *path) {
    uint64_t size, limit = r->limits && r->limits->stored ? r->limits->stored : STORED_LIMIT;
    DataFile *file = &r->set->files[r->set->file_count++];
    file->path = path;
    if (!file_size(r->arena, path, &size, r->error)) return false;
    if (size > limit)
        return bad(r, "%s: has %llu bytes; the limit is %llu", path, (unsigned long long)size,
                   (unsigned long long)limit);
    r->stored += size;
    return cache_sha256(r->arena, r->request->cache, path, file->sha256, r->error);
}

static bool add_files(Reader *r) {
    for (int i = 0; i < 2; i++)
        if (r->path[i] && !add_file(r, r->path[i])) return false;
    for (int i = 0; i < r->place.count; i++)
        if (!add_file(r, r->place.path[i])) return false;
    if (r->known && r->known->facts.builtin) {
        DataFile *file = &r->set->files[r->set->file_count++];
        file->path = "digits.csv.gz (built in)";
        sha256_hex(digits_csv_gz, digits_csv_gz_size, file->sha256);
    }
    Sha256 sha;
    sha256_start(&sha);
    for (int i = 0; i < r->set->file_count; i++) sha256_add(&sha, r->set->files[i].sha256, 64);
    sha256_end_hex(&sha, r->set->sha256);
    return true;
}

/* What the decoded set depends on. */
static void cache_key(const Reader *r, char hex[65]) {
    const DatasetRequest *q = r->request;
    Buf text = {0};
    buf_printf(&text, "%s %s %d %d %s %s", r->set->sha256, r->known ? r->known->facts.name : "file", q->target_columns,
               q->classes, q->file ? q->file : "", q->target ? q->target : "");
    sha256_hex(text.at, text.len, hex);
    buf_free(&text);
}

/* ---- columns ---- */
static DataColumn column_of(const DataArray *array) {
    DataColumn column = {array->type, array->shape, array->bytes, array->type == DATA_U8 ? 255.0 : 1.0};
    if (column.shape.rank == 0) column.shape = shape_of(1, (int64_t)1);
    return column;
}

/* Targets as classes: one whole number a row, below `classes`. */
static bool classes_of(Reader *r, const char *path, const DataArray *array, int classes, DataColumn *out) {
    if (shape_size(&array->shape) != 1)
        return bad(r, "%s: a class is one number a row, not %lld", path, (long long)shape_size(&array->shape));
    int32_t *labels = arena_array(r->arena, int32_t, array->rows);
    for (int64_t i = 0; i < array->rows; i++) {
        double x = data_at(array, i);
        if (!(x >= 0 && x < classes && x == floor(x)))
            return bad(r, "%s: row %lld: the label %g is not one of the classes 0 to %d", path, (long long)(i + 1), x,
                       classes - 1);
        labels[i] = (int32_t)x;
    }
    *out = (DataColumn){DATA_I32, SHAPE0, labels, 1.0};
    return true;
}

static void raw_range(Dataset *set) {
    const DataColumn *x = &set->train.x;
    int64_t count = set->train.n * shape_size(&x->shape);
    DataArray array = {x->type, set->train.n, x->shape, (void *)(uintptr_t)x->bytes};
    set->lo = INFINITY, set->hi = -INFINITY;
    set->fixed_range = x->type == DATA_U8 && x->divisor == 255.0;
    if (set->fixed_range) set->lo = 0, set->hi = 1, count = 0;
    for (int64_t i = 0; i < count; i++) {
        double v = data_at(&array, i) / x->divisor;
        if (v < set->lo) set->lo = v;
        if (v > set->hi) set->hi = v;
    }
}

/* ---- MNIST and Fashion-MNIST ---- */
static bool mnist_part(Reader *r, const char *const path[2], DataPart *out) {
    DataArray array[2];
    for (int i = 0; i < 2; i++) {
        if (!read_idx(r->arena, path[i], r->limits, &array[i], r->error)) return false;
        if (array[i].type != DATA_U8 || array[i].shape.rank != (i ? 0 : 2))
            return bad(r, "%s: byte 2: does not hold %s", path[i],
                       i ? "labels (one byte each)" : "images (bytes, rows, columns)");
    }
    if (array[0].shape.dim[0] != 28 || array[0].shape.dim[1] != 28)
        return bad(r, "%s: byte 8: the images are %lld x %lld, not 28 x 28", path[0], (long long)array[0].shape.dim[0],
                   (long long)array[0].shape.dim[1]);
    if (array[0].rows != array[1].rows)
        return bad(r, "%s: byte 4: holds %lld labels for %lld images", path[1], (long long)array[1].rows,
                   (long long)array[0].rows);
    out->n = array[0].rows;
    out->x = column_of(&array[0]);
    out->x.shape = r->known->facts.shape;
    return classes_of(r, path[1], &array[1], 10, &out->y);
}

/* ---- the built-in digits ---- */
static bool read_digits(Reader *r) {
    CsvData csv;
    if (!read_csv_bytes(r->arena, "digits", digits_csv_gz, digits_csv_gz_size, NULL, &csv, r->error)) return false;
    int64_t n = csv.array.rows, width = csv.array.shape.dim[0];
    uint8_t *pixels = arena_alloc(r->arena, (size_t)n * DIGITS_PIXELS);
    int32_t *labels = arena_array(r->arena, int32_t, n);
    for (int64_t i = 0; i < n; i++) {
        for (int k = 0; k < DIGITS_PIXELS; k++)
            pixels[i * DIGITS_PIXELS + k] = (uint8_t)data_at(&csv.array, i * width + k);
        labels[i] = (int32_t)data_at(&csv.array, i * width + DIGITS_PIXELS);
    }
    DataColumn x = {DATA_U8, shape_of(3, (int64_t)1, (int64_t)8, (int64_t)8), pixels, 16.0};
    DataColumn y = {DATA_I32, SHAPE0, labels, 1.0};
    r->set->train = (DataPart){DIGITS_TRAIN, x, y};
    x.bytes = pixels + DIGITS_TRAIN * DIGITS_PIXELS, y.bytes = labels + DIGITS_TRAIN;
    r->set->test = (DataPart){DIGITS_TEST, x, y};
    return true;
}

/* ---- files ---- */
/* The last `targets` columns are y, the others x. */
static bool split_columns(Reader *r, const char *path, const DataArray *table) {
    int64_t width = table->shape.dim[0], n = table->rows;
    int targets = r->request->target_columns > 0 ? r->request->target_columns : 1;
    if (targets >= width)
        return bad(r, "%s: has %lld column%s; %d target%s leave no input", path, (long long)width,
                   width == 1 ? "" : "s", targets, targets == 1 ? "" : "s");
    double *x = arena_array(r->arena, double, n * (width - targets)), *y = arena_array(r->arena, double, n * targets);
    const double *from = table->bytes;
    for (int64_t i = 0; i < n; i++) {
        memcpy(x + i * (width - targets), from + i * width, sizeof *x * (size_t)(width - targets));
        memcpy(y + i * targets, from + i * width + width - targets, sizeof *y * (size_t)targets);
    }
    DataArray xs = {DATA_F64, n, shape_of(1, width - targets), x}, ys = {DATA_F64, n, shape_of(1, (int64_t)targets), y};
    r->set->train = (DataPart){n, column_of(&xs), column_of(&ys)};
    return !r->request->classes || classes_of(r, path, &ys, r->request->classes, &r->set->train.y);
}

/* A part of inputs and targets as arrays. */
static bool array_part(Reader *r, const char *const path[2], const DataArray *x, const DataArray *y, DataPart *out) {
    if (!data_finite(r->arena, path[0], x, r->error) || !data_finite(r->arena, path[1], y, r->error)) return false;
    if (x->rows != y->rows)
        return bad(r, "%s: holds %lld rows for %lld inputs", path[1], (long long)y->rows, (long long)x->rows);
    *out = (DataPart){x->rows, column_of(x), column_of(y)};
    return !r->request->classes || classes_of(r, path[1], y, r->request->classes, &out->y);
}

/* Arrays x (or x_train), y (or y_train, or as `target` says), and x_test, y_test if it has them. */
static bool read_npz_parts(Reader *r) {
    const char *target = r->request->target;
    const char *names[] = {"x", "x_train", target ? target : "y", "y_train", "x_test", "y_test"};
    DataArray array[6];
    bool found[6];
    if (!read_npz(r->arena, r->path[0], r->limits, names, 6, array, found, r->error)) return false;
    int x = found[0] ? 0 : 1, y = found[2] ? 2 : 3;
    if (!found[x] || !found[y] || (target && y == 3))
        return bad(r, "%s: holds no array %s", r->path[0], found[x] ? names[2] : "x or x_train");
    const char *label[2] = {arena_printf(r->arena, "%s: %s.npy", r->path[0], names[x]),
                            arena_printf(r->arena, "%s: %s.npy", r->path[0], names[y])};
    if (!array_part(r, label, &array[x], &array[y], &r->set->train)) return false;
    if (!found[4] || !found[5]) return true;
    const DataPart *train = &r->set->train, *test = &r->set->test;
    if (!array_part(r, label, &array[4], &array[5], &r->set->test)) return false;
    if (shape_equal(&train->x.shape, &test->x.shape) && shape_equal(&train->y.shape, &test->y.shape) &&
        train->x.type == test->x.type)
        return true;
    return bad(r, "%s: x_test and y_test are not of the shape and type of %s and %s", r->path[0], names[x], names[y]);
}

static bool read_pair(Reader *r) {
    DataArray array[2];
    for (int i = 0; i < 2; i++) {
        bool npy = ends(i ? r->request->target : r->request->file, ".npy");
        if (!(npy ? read_npy : read_idx)(r->arena, r->path[i], r->limits, &array[i], r->error)) return false;
    }
    return array_part(r, r->path, &array[0], &array[1], &r->set->train);
}

/* Where classes are texts, there are as many as `classes` says. */
static bool labels_fit(Reader *r, const CsvData *csv) {
    if (!csv->labels || csv->label_count == r->request->classes) return true;
    Buf text = {0};
    for (int64_t i = 0; i < csv->label_count && i < 8; i++) buf_printf(&text, "%s%.40s", i ? ", " : "", csv->labels[i]);
    bad(r, "%s: the last column holds %lld different texts (%s%s), not %d classes", r->path[0],
        (long long)csv->label_count, buf_done(&text, r->arena), csv->label_count > 8 ? ", ..." : "",
        r->request->classes);
    return false;
}

static bool decode(Reader *r) {
    CsvData csv;
    r->set->classes = r->known ? r->known->facts.classes : r->request->classes;
    if (r->known) {
        const char *const *path = r->place.path;
        if (r->known->facts.builtin) return read_digits(r);
        if (r->known->archives) return read_cifar(r->arena, r->known, &r->place, r->limits, r->set, r->error);
        return mnist_part(r, path, &r->set->train) && mnist_part(r, path + 2, &r->set->test);
    }
    if (ends(r->request->file, ".npz")) return read_npz_parts(r);
    if (!ends(r->request->file, ".csv")) return read_pair(r);
    if (!r->request->classes)
        return read_csv(r->arena, r->path[0], r->limits, &csv, r->error) && split_columns(r, r->path[0], &csv.array);
    return read_csv_labelled(r->arena, r->path[0], r->limits, &csv, r->error) && labels_fit(r, &csv) &&
           split_columns(r, r->path[0], &csv.array);
}

bool dataset_read(Arena *arena, const DatasetRequest *request, const ReadLimits *limits, Dataset *out,
                  DatasetFailure *why, char **error) {
    Reader r = {.arena = arena, .request = request, .limits = limits, .set = out, .why = why, .error = error};
    char key[65];
    *out = (Dataset){.name = arena_copy(arena, request->name, strlen(request->name))};
    *why = DATASET_BAD;
    if (!find_all(&r)) return false;
    if (request->present) return true;
    if (!add_files(&r)) return false;
    bool cached = request->cache && r.stored >= CACHED;
    cache_key(&r, key);
    if (cached && cache_read(arena, request->cache, key, out)) {
        out->fixed_range = r.known || (out->train.x.type == DATA_U8 && out->train.x.divisor == 255.0);
        return true;
    }
    if (!decode(&r)) return false;
    if (r.known) out->lo = r.known->facts.lo, out->hi = r.known->facts.hi, out->fixed_range = true;
    else raw_range(out);
    if (cached) cache_write(arena, request->cache, key, out);
    return true;
}

bool dataset_text_read(Arena *arena, const DatasetRequest *request, TextData *out, char sha256[65], char **error) {
    DatasetFailure why;
    Dataset set = {0};
    Reader r = {.arena = arena, .request = request, .set = &set, .why = &why, .error = error};
    const char *path = find_file(&r, request->file);
    return path && cache_sha256(arena, request->cache, path, sha256, error) && read_text(arena, path, NULL, out, error);
}
