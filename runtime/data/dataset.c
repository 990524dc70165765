/* dataset.c -- see dataset.h: the known sets and where their files are looked for; columns from arrays. */
#include "data/dataset.h"

#include <math.h>

#include "data/builtin.h"
#include "data/input.h"
#include "support/file.h"
#include "support/sha256.h"

enum { DIGITS_TRAIN = 1347, DIGITS_TEST = 450, DIGITS_PIXELS = 64 };

#define MNIST_SHAPE {3, {1, 28, 28}}
static const DatasetFacts known_sets[] = {
    {"mnist", MNIST_SHAPE, 10, 60000, 10000, 0, 1, false,
     "MNIST is distributed by its authors (LeCun, Cortes, Burges); many collections mirror its four idx files"},
    {"fashion_mnist", MNIST_SHAPE, 10, 60000, 10000, 0, 1, false,
     "on Debian, the package dataset-fashion-mnist puts it into /usr/share/datasets"},
    {"cifar10", {3, {3, 32, 32}}, 10, 50000, 10000, 0, 1, false,
     "its author, A. Krizhevsky, distributes the binary version (cifar-10-binary.tar.gz); unpack it"},
    {"digits", {3, {1, 8, 8}}, 10, DIGITS_TRAIN, DIGITS_TEST, 0, 1, true, "built in"},
};
static const char *const known_names[] = {"mnist", "fashion_mnist", "cifar10", "digits", NULL};

const DatasetFacts *dataset_facts(const char *name) {
    for (int i = 0; i < COUNT(known_sets); i++)
        if (strcmp(known_sets[i].name, name) == 0) return &known_sets[i];
    return NULL;
}

const char *const *dataset_known(void) { return known_names; }

typedef struct Reader { Arena *arena; const DatasetRequest *request; const ReadLimits *limits; Dataset *set;
                        DatasetFailure *why; char **error; } Reader;

static bool bad(Reader *r, const char *format, ...) NIN_PRINTF(2, 3);
static bool bad(Reader *r, const char *format, ...) {
    va_list args;
    va_start(args, format);
    *r->error = arena_vprintf(r->arena, format, args);
    va_end(args);
    return false;
}

/* ---- finding files ---- */
static const char *const mnist_places[] = {"mnist", "MNIST", "MNIST/raw", NULL};
static const char *const fashion_places[] = {"fashion_mnist", "fashion-mnist", "FashionMNIST", "FashionMNIST/raw",
                                             NULL};
static const char *const cifar_places[] = {"cifar10", "cifar10/cifar-10-batches-bin", "cifar-10-batches-bin",
                                           "cifar-10", NULL};

/* FOLDER/NAME, FOLDER/NAME.gz, and with the dot that some copies of the MNIST files have before "idx". */
static char *find_in(Arena *arena, const char *folder, const char *name) {
    char *path = path_join(arena, folder, name);
    for (int variant = 0; variant < 4; variant++) {
        char *at = arena_printf(arena, "%s%s", path, variant % 2 ? ".gz" : "");
        char *dash = variant / 2 ? strstr(at + strlen(folder), "-idx") : NULL;
        if (variant / 2 && !dash) break;
        if (dash) *dash = '.';
        if (file_exists(at)) return at;
    }
    return NULL;
}

/* A data folder itself counts as the set's place if it holds the first file, unless its name says it is the other
 * set with the same file names. */
static bool own_folder(const char *folder, bool fashion) {
    bool says = strstr(folder, "fashion") || strstr(folder, "Fashion");
    return says == fashion;
}

static char *find_folder(Reader *r, const char *const *places, const char *first_file, bool fashion) {
    for (const char *const *folder = r->request->folders; folder && *folder; folder++) {
        for (const char *const *place = places; *place; place++) {
            char *at = path_join(r->arena, *folder, *place);
            if (find_in(r->arena, at, first_file)) return at;
        }
        if (own_folder(*folder, fashion) && find_in(r->arena, *folder, first_file))
            return arena_copy(r->arena, *folder, strlen(*folder));
    }
    return NULL;
}

static bool missing(Reader *r, const char *file) {
    const DatasetFacts *facts = dataset_facts(r->request->name);
    Buf text = {0};
    *r->why = DATASET_MISSING;
    buf_printf(&text, "%s is not in %s", file, 
               r->request->folders && *r->request->folders ? "" : "any data folder: none is given");
    for (const char *const *folder = r->request->folders; folder && *folder; folder++)
        buf_printf(&text, "%s%s", folder == r->request->folders ? "" : ", ", *folder);
    if (facts) buf_printf(&text, "\n%s", facts->where);
    *r->error = buf_done(&text, r->arena);
    return false;
}

/* ---- hashes ---- */
static bool add_file(Reader *r, const char *path, const void *bytes, size_t length) {
    char *at = (char *)(uintptr_t)bytes, *failure = NULL;
    Arena *scratch = arena_new();
    bool ok = bytes || file_read(scratch, path, r->limits ? r->limits->stored : 0, &at, &length, &failure);
    if (ok) {
        DataFile *file = &r->set->files[r->set->file_count++];
        file->path = path;
        sha256_hex(at, length, file->sha256);
    } else {
        bad(r, "%s", failure);
    }
    arena_free(scratch);
    return ok;
}

static void identify(Dataset *set) {
    Sha256 sha;
    sha256_start(&sha);
    for (int i = 0; i < set->file_count; i++) sha256_add(&sha, set->files[i].sha256, 64);
    sha256_end_hex(&sha, set->sha256);
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
    if (x->type == DATA_U8 && x->divisor == 255.0) set->lo = 0, set->hi = 1, count = 0;
    for (int64_t i = 0; i < count; i++) {
        double v = data_at(&array, i) / x->divisor;
        if (v < set->lo) set->lo = v;
        if (v > set->hi) set->hi = v;
    }
}

/* ---- MNIST and Fashion-MNIST ---- */
static bool mnist_part(Reader *r, const char *folder, const char *part, DataPart *out) {
    char *names[2] = {arena_printf(r->arena, "%s-images-idx3-ubyte", part),
                      arena_printf(r->arena, "%s-labels-idx1-ubyte", part)};
    DataArray array[2];
    char *path[2];
    for (int i = 0; i < 2; i++) {
        if (!(path[i] = find_in(r->arena, folder, names[i]))) {
            *r->why = DATASET_MISSING;
            return bad(r, "%s: there is no %s or %s.gz", folder, names[i], names[i]);
        }
        if (!read_idx(r->arena, path[i], r->limits, &array[i], r->error) || !add_file(r, path[i], NULL, 0))
            return false;
        if (array[i].type != DATA_U8 || array[i].shape.rank != (i ? 0 : 2))
            return bad(r, "%s: does not hold %s", path[i],
                       i ? "labels (one byte each)" : "images (bytes, rows, columns)");
    }
    if (array[0].shape.dim[0] != 28 || array[0].shape.dim[1] != 28)
        return bad(r, "%s: the images are %lld x %lld, not 28 x 28", path[0], (long long)array[0].shape.dim[0],
                   (long long)array[0].shape.dim[1]);
    if (array[0].rows != array[1].rows)
        return bad(r, "%s: holds %lld labels for %lld images", path[1], (long long)array[1].rows,
                   (long long)array[0].rows);
    out->n = array[0].rows;
    out->x = column_of(&array[0]);
    out->x.shape = (Shape)MNIST_SHAPE;
    return classes_of(r, path[1], &array[1], 10, &out->y);
}

static bool read_mnist(Reader *r, bool fashion) {
    const char *first = "train-images-idx3-ubyte";
    char *folder = find_folder(r, fashion ? fashion_places : mnist_places, first, fashion);
    if (!folder) return missing(r, first);
    if (r->request->present) return true;
    return mnist_part(r, folder, "train", &r->set->train) && mnist_part(r, folder, "t10k", &r->set->test);
}

/* ---- CIFAR-10, binary version: records of a label byte and 3 x 32 x 32 pixels ---- */
enum { CIFAR_PIXELS = 3072, CIFAR_RECORDS = 10000 };

static bool cifar_batch(Reader *r, const char *folder, const char *name, uint8_t *pixels, int32_t *labels) {
    Input input;
    const uint8_t *at;
    char *path = find_in(r->arena, folder, name);
    if (!path) {
        *r->why = DATASET_MISSING;
        return bad(r, "%s: there is no %s", folder, name);
    }
    Arena *scratch = arena_new();
    char *failure = NULL;
    bool ok = input_open(&input, scratch, path, r->limits, &failure);
    if (ok) {
        ok = input_take(&input, (uint64_t)CIFAR_RECORDS * (CIFAR_PIXELS + 1), "10000 records", &at, &failure) &&
             input_end(&input, &failure);
        for (int i = 0; ok && i < CIFAR_RECORDS; i++, at += CIFAR_PIXELS + 1) {
            labels[i] = at[0];
            memcpy(pixels + (size_t)i * CIFAR_PIXELS, at + 1, CIFAR_PIXELS);
            if (at[0] <= 9) continue;
            ok = input_fail(&input, &failure, (uint64_t)i * (CIFAR_PIXELS + 1), "the label %d is not 0 to 9", at[0]);
        }
        input_close(&input);
    }
    if (!ok) bad(r, "%s", failure);
    arena_free(scratch);
    return ok && add_file(r, path, NULL, 0);
}

static bool cifar_part(Reader *r, const char *folder, const char *const *names, int batches, DataPart *out) {
    out->n = (int64_t)batches * CIFAR_RECORDS;
    uint8_t *pixels = arena_alloc(r->arena, (size_t)out->n * CIFAR_PIXELS);
    int32_t *labels = arena_array(r->arena, int32_t, out->n);
    out->x = (DataColumn){DATA_U8, shape_of(3, (int64_t)3, (int64_t)32, (int64_t)32), pixels, 255.0};
    out->y = (DataColumn){DATA_I32, SHAPE0, labels, 1.0};
    for (int i = 0; i < batches; i++)
        if (!cifar_batch(r, folder, names[i], pixels + (size_t)i * CIFAR_RECORDS * CIFAR_PIXELS,
                         labels + i * CIFAR_RECORDS))
            return false;
    return true;
}

static bool read_cifar(Reader *r) {
    static const char *const train[] = {"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin",
                                        "data_batch_5.bin"}, *const test[] = {"test_batch.bin"};
    char *folder = find_folder(r, cifar_places, train[0], false);
    if (!folder) return missing(r, train[0]);
    if (r->request->present) return true;
    return cifar_part(r, folder, train, 5, &r->set->train) && cifar_part(r, folder, test, 1, &r->set->test);
}

/* ---- the built-in digits ---- */
static bool read_digits(Reader *r) {
    CsvData csv;
    if (r->request->present) return true;
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
    return add_file(r, "digits.csv.gz (built in)", digits_csv_gz, digits_csv_gz_size);
}

/* ---- files ---- */
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

static char *find_file(Reader *r, const char *file) {
    if (leaves_folder(file)) {
        bad(r, "%s: files are looked for in the data folders; give a path below one of them", file);
        return NULL;
    }
    for (const char *const *folder = r->request->folders; folder && *folder; folder++) {
        char *path = path_join(r->arena, *folder, file);
        if (file_exists(path)) return path;
    }
    missing(r, file);
    return NULL;
}

static bool read_array(Reader *r, const char *file, char **path, DataArray *out) {
    if (!(*path = find_file(r, file))) return false;
    bool npy = ends(file, ".npy");
    return (npy ? read_npy : read_idx)(r->arena, *path, r->limits, out, r->error) &&
           data_finite(r->arena, *path, out, r->error) && add_file(r, *path, NULL, 0);
}

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

static bool read_files(Reader *r) {
    const DatasetRequest *request = r->request;
    char *path;
    DataArray x, y;
    r->set->classes = request->classes;
    if (ends(request->file, ".csv")) {
        CsvData csv;
        if (!(path = find_file(r, request->file)) || !read_csv(r->arena, path, r->limits, &csv, r->error)) return false;
        return add_file(r, path, NULL, 0) && split_columns(r, path, &csv.array);
    }
    if (!request->target) return bad(r, "%s: needs a file of targets (target: ...)", request->file);
    if (!read_array(r, request->file, &path, &x)) return false;
    r->set->train.n = x.rows;
    r->set->train.x = column_of(&x);
    if (!read_array(r, request->target, &path, &y)) return false;
    if (x.rows != y.rows)
        return bad(r, "%s: holds %lld rows for %lld inputs", path, (long long)y.rows, (long long)x.rows);
    r->set->train.y = column_of(&y);
    return !request->classes || classes_of(r, path, &y, request->classes, &r->set->train.y);
}

static bool read_known(Reader *r) {
    const DatasetFacts *facts = dataset_facts(r->request->name);
    if (!facts) return bad(r, "no data set is called %s", r->request->name);
    r->set->classes = facts->classes;
    if (facts->builtin) return read_digits(r);
    if (strcmp(facts->name, "cifar10") == 0) return read_cifar(r);
    return read_mnist(r, strcmp(facts->name, "fashion_mnist") == 0);
}

bool dataset_read(Arena *arena, const DatasetRequest *request, const ReadLimits *limits, Dataset *out,
                  DatasetFailure *why, char **error) {
    Reader reader = {arena, request, limits, out, why, error};
    *out = (Dataset){.name = arena_copy(arena, request->name, strlen(request->name))};
    *why = DATASET_BAD;
    if (!(request->file ? read_files(&reader) : read_known(&reader))) return false;
    identify(out);
    const DatasetFacts *facts = request->file ? NULL : dataset_facts(request->name);
    if (facts) out->lo = facts->lo, out->hi = facts->hi;
    else raw_range(out);
    return true;
}
