/* test_mutate.c -- damaged files: for each reader hundreds of files made from good ones by a deterministic mutator.
 *
 * Each must be read, or refused by one error that begins with the path and names a place; under the sanitizers of
 * `make asan` every byte of what was read is looked at.  Arenas are limited, so that a small file cannot ask for
 * much. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <sys/resource.h>
#include <zlib.h>

#include "data/cache.h"
#include "data/known.h"
#include "data/safetensors.h"
#include "desk.h"
#include "support/rng.h"

enum { FILES = 600, ROOM = 1 << 17, ARENA_LIMIT = 96 << 20, MOST_MEMORY_KB = 1 << 20, PIXELS = 3072 };
static const ReadLimits limits = {1 << 20, 16 << 20};

/* ---- the mutator ---- */
typedef struct Bytes { uint8_t at[ROOM]; size_t n; } Bytes;

static void put_number(Bytes *b, RngStream *rng, size_t at) {
    static const uint64_t numbers[] = {0, 1, 2, 0x7f, 0x80, 0xff, 0x7fff, 0xffff, 0x7fffffff, 0x80000000, 0xffffffff,
                                       0x100000000, 0x7fffffffffffffff, 0x8000000000000000, 0xffffffffffffffff};
    uint64_t number = numbers[rng_below(rng, COUNT(numbers))];
    size_t size = (size_t)1 << rng_below(rng, 4);
    bool big = rng_below(rng, 2);
    for (size_t i = 0; i < size && at + i < b->n; i++)
        b->at[at + i] = (uint8_t)(number >> 8 * (big ? size - 1 - i : i));
}

static void cut_out(Bytes *b, size_t at, size_t n) {
    memmove(b->at + at, b->at + at + n, b->n - at - n);
    b->n -= n;
}

static void put_in(Bytes *b, size_t at, const uint8_t *bytes, size_t n) {
    if (b->n + n > ROOM) return;
    memmove(b->at + at + n, b->at + at, b->n - at);
    memcpy(b->at + at, bytes, n);
    b->n += n;
}

static void mutate_once(Bytes *b, RngStream *rng) {
    static const char marks[] = "0123456789,.:{}[]()'\"\n\r -+eE\377";
    uint8_t piece[64];
    uint32_t how = rng_below(rng, 9);
    bool front = rng_below(rng, 2);                    /* headers are in front: half of the changes go there */
    size_t at = b->n ? rng_below(rng, (uint32_t)(front && b->n > 128 ? 128 : b->n)) : 0, left = b->n - at;
    size_t n = 1 + rng_below(rng, sizeof piece);
    if (n > left) n = left;
    if (!left && how < 7) return;
    switch (how) {
    case 0: b->at[at] ^= (uint8_t)(1u << rng_below(rng, 8)); break;
    case 1: b->at[at] = (uint8_t)rng_next(rng); break;
    case 2: case 3: put_number(b, rng, at); break;
    case 4: b->n = at; break;
    case 5: cut_out(b, at, n); break;
    case 6:                                            /* a piece once more, elsewhere */
        memcpy(piece, b->at + at, n);
        put_in(b, rng_below(rng, (uint32_t)b->n), piece, n);
        break;
    case 7:
        for (size_t i = 0; i < sizeof piece; i++) piece[i] = (uint8_t)rng_next(rng);
        put_in(b, at, piece, n ? n : 1);
        break;
    default:                                           /* characters that mean something in texts */
        if (left) b->at[at] = (uint8_t)marks[rng_below(rng, sizeof marks)];
    }
}

static void mutate(Bytes *b, uint64_t number) {
    RngStream rng = rng_stream(rng_key(number, "mutate", 0, "", 0), 0);
    for (uint32_t i = 0, n = 1 + rng_below(&rng, 4); i < n; i++) mutate_once(b, &rng);
}

/* ---- reading what came of it ---- */
typedef struct Case { Desk *desk; Arena *arena; const char *path; char *error; unsigned sum; } Case;
typedef bool (*Read)(Case *c);

static void look(Case *c, const void *bytes, size_t n) {
    for (size_t i = 0; i < n; i++) c->sum = c->sum * 31 + ((const uint8_t *)bytes)[i];
}

static void look_array(Case *c, const DataArray *array) {
    assert_true(array->rows >= 1 && shape_size(&array->shape) >= 1);
    look(c, array->bytes, (size_t)(array->rows * shape_size(&array->shape)) * data_size(array->type));
}

static bool case_idx(Case *c) {
    DataArray array;
    bool ok = read_idx(c->arena, c->path, &limits, &array, &c->error);
    if (ok) look_array(c, &array);
    return ok;
}

static bool case_npy(Case *c) {
    DataArray array;
    bool ok = read_npy(c->arena, c->path, &limits, &array, &c->error);
    if (ok) look_array(c, &array);
    return ok;
}

static bool case_npz(Case *c) {
    static const char *const names[] = {"x", "y"};
    DataArray array[2];
    bool found[2];
    bool ok = read_npz(c->arena, c->path, &limits, names, 2, array, found, &c->error);
    for (int i = 0; ok && i < 2; i++)
        if (found[i]) look_array(c, &array[i]);
    return ok;
}

static bool case_csv(Case *c) {
    CsvData csv;
    if (!read_csv(c->arena, c->path, &limits, &csv, &c->error)) return false;
    look_array(c, &csv.array);
    for (int64_t i = 0; i < csv.array.rows * csv.array.shape.dim[0]; i++) assert_true(isfinite(data_at(&csv.array, i)));
    for (int64_t i = 0; csv.names && i < csv.array.shape.dim[0]; i++) look(c, csv.names[i], strlen(csv.names[i]));
    return true;
}

static bool case_text(Case *c) {
    TextData text;
    if (!read_text(c->arena, c->path, &limits, &text, &c->error)) return false;
    assert_true(text.length >= 1 && text.tokens >= 1);
    for (int64_t i = 0; i < text.length; i++) assert_in_range(text.token[i], 0, text.tokens - 1);
    return true;
}

static bool case_safetensors(Case *c) {
    TensorFile file;
    if (!safetensors_read(c->arena, c->path, &limits, &file, &c->error)) return false;
    for (int i = 0; i < file.count; i++) {
        const NamedTensor *t = &file.tensors[i];
        look(c, t->name, strlen(t->name));
        look(c, t->data, (size_t)shape_size(&t->shape) * dtype_size(t->dtype));
    }
    for (int i = 0; i < file.meta_count; i++) look(c, file.meta[i].value, strlen(file.meta[i].value));
    return true;
}

static void look_set(Case *c, const Dataset *set) {
    const DataPart *parts[] = {&set->train, &set->test};
    for (int i = 0; i < 2; i++) {
        assert_true(parts[i]->n >= 1);
        look(c, parts[i]->x.bytes,
             (size_t)(parts[i]->n * shape_size(&parts[i]->x.shape)) * data_size(parts[i]->x.type));
        for (int64_t k = 0; k < parts[i]->n; k++) assert_in_range(column_class(&parts[i]->y, k), 0, set->classes - 1);
    }
}

static bool read_folder(Case *c, const char *name, const char *cache) {
    const char *slash = strrchr(c->path, '/'),
               *folders[] = {arena_copy(c->arena, c->path, (size_t)(slash - c->path)), NULL};
    DatasetRequest request = {.name = name, .folders = folders, .cache = cache};
    DatasetFailure why;
    Dataset set;
    bool ok = dataset_read(c->arena, &request, &limits, &set, &why, &c->error);
    if (ok) look_set(c, &set);
    return ok;
}

static bool case_cifar(Case *c) { return read_folder(c, "cifar10", NULL); }
static bool case_cifar100(Case *c) { return read_folder(c, "cifar100", NULL); }
static bool case_mnist(Case *c) { return read_folder(c, "mnist", NULL); }

static void check_error(const Case *c, const char *path, int number) {
    static const char *const places[] = {": byte ", ": line ", ": row ", " in it"};
    bool place = false;
    assert_non_null(c->error);
    for (int i = 0; i < COUNT(places); i++) place |= strstr(c->error, places[i]) != NULL;
    if (strncmp(c->error, path, strlen(path)) != 0 || !place || strchr(c->error, '\n'))
        fail_msg("file %d: the error names no file or place: %s", number, c->error);
}

/* `name`: the file that is changed; others of the set stay.  At least some of the files must be refused, and the good
 * one read. */
static void run(Desk *desk, const char *name, Read read) {
    static Bytes good, bad;
    char *path = desk_path(desk, name), *bytes, *error = NULL;
    int refused = 0;
    assert_true(file_read(desk->arena, path, ROOM / 2, &bytes, &good.n, &error));
    memcpy(good.at, bytes, good.n);
    for (int i = 0; i <= FILES; i++) {
        Case c = {.desk = desk, .arena = arena_new(), .path = path};
        arena_limit(c.arena, ARENA_LIMIT);
        bad = good;
        if (i) mutate(&bad, (uint64_t)i);
        assert_true(file_write(c.arena, path, bad.at, bad.n, FILE_NO_SYNC, &error));
        bool ok = read(&c);
        if (!i && !ok) fail_msg("the good file is refused: %s", c.error);
        if (!ok) check_error(&c, path, i);
        refused += !ok;
        arena_free(c.arena);
    }
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    assert_true(usage.ru_maxrss < MOST_MEMORY_KB);
    assert_true(refused > FILES / 10);
    desk_put(desk, name, good.at, good.n);
}

static char *gzip_copy(Desk *desk, const char *name, const void *bytes, size_t n) {
    char *path = desk_path(desk, name);
    gzFile file = gzopen(path, "wb6");
    assert_int_equal(gzwrite(file, bytes, (unsigned)n), n);
    gzclose(file);
    return path;
}

/* ---- good files ---- */
static size_t idx_bytes(uint8_t *out, int rank, const uint8_t *dims) {
    size_t n = 1, at = 4 + 4 * (size_t)rank;
    memset(out, 0, at);
    out[2] = 8, out[3] = (uint8_t)rank;
    for (int i = 0; i < rank; i++) n *= out[7 + 4 * i] = dims[i];
    for (size_t i = 0; i < n; i++) out[at + i] = (uint8_t)(rank == 1 ? i % 10 : i * 13);
    return at + n;
}

static void test_idx(void **state) {
    Desk *desk = *state;
    uint8_t bytes[300];
    size_t n = idx_bytes(bytes, 3, (const uint8_t[]){4, 5, 6});
    desk_put(desk, "a", bytes, n);
    run(desk, "a", case_idx);
    gzip_copy(desk, "b.gz", bytes, n);
    run(desk, "b.gz", case_idx);
}

static size_t npy_bytes(uint8_t *out, const char *descr, const char *shape, size_t data) {
    memset(out, 0, 80 + data);
    memcpy(out, "\x93NUMPY\1\0\106\0", 10);
    memset(out + 10, ' ', 70);
    int n = snprintf((char *)out + 10, 70, "{'descr': '%s', 'fortran_order': False, 'shape': %s, }", descr, shape);
    out[10 + n] = ' ', out[79] = '\n';
    return 80 + data;
}

static void test_npy(void **state) {
    Desk *desk = *state;
    uint8_t bytes[2][300];
    size_t n[2] = {npy_bytes(bytes[0], "<f4", "(3, 4)", 48), npy_bytes(bytes[1], "<i8", "(3,)", 24)};
    desk_put(desk, "a.npy", bytes[0], n[0]);
    run(desk, "a.npy", case_npy);
    Member member[] = {{"x.npy", bytes[0], n[0]}, {"y.npy", bytes[1], n[1]}};
    desk_archive(desk, "a.npz", member, 2);
    run(desk, "a.npz", case_npz);
}

static void test_csv(void **state) {
    Desk *desk = *state;
    static const char text[] = "a,b,\"c d\"\r\n1,2.5,-3e2\r\n4,.5,6\r\n\r\n7, 8 ,+9.25\r\n1e-3,0,0.0000000001\r\n";
    desk_put(desk, "a.csv", text, sizeof text - 1);
    run(desk, "a.csv", case_csv);
    gzip_copy(desk, "b.csv.gz", text, sizeof text - 1);
    run(desk, "b.csv.gz", case_csv);
}

static void test_text(void **state) {
    Desk *desk = *state;
    static const char text[] =
        "x \xc3\xa4 \xe2\x82\xac \xf0\x9f\x98\x80 \xc3\xb6\xc3\xbc \xe4\xb8\xad\xe6\x96\x87 \xd0\xb0\xd0\xb1\n";
    desk_put(desk, "a.txt", text, sizeof text - 1);
    run(desk, "a.txt", case_text);
    gzip_copy(desk, "b.txt.gz", text, sizeof text - 1);
    run(desk, "b.txt.gz", case_text);
}

static void test_safetensors(void **state) {
    Desk *desk = *state;
    static const float w[6] = {1, 2, 3, 4, 5, 6};
    static const double b[2] = {7, 8};
    NamedTensor tensors[] = {{"dense[1].w", DT_F32, shape_of(2, (int64_t)2, (int64_t)3), w},
                             {"dense[1].b", DT_F64, shape_of(1, (int64_t)2), b}};
    MetaText meta[] = {{"program", "xor"}, {"semantics", "1"}};
    char *error = NULL;
    assert_true(
        safetensors_write(desk->arena, desk_path(desk, "a.safetensors"), tensors, 2, meta, 2, FILE_NO_SYNC, &error));
    run(desk, "a.safetensors", case_safetensors);
}

static void test_mnist(void **state) {
    Desk *desk = *state;
    static uint8_t bytes[3000];
    static const char *const names[] = {"train-images-idx3-ubyte.gz", "t10k-images-idx3-ubyte.gz",
                                        "train-labels-idx1-ubyte", "t10k-labels-idx1-ubyte"};
    for (int i = 0; i < 4; i++) {
        size_t n = idx_bytes(bytes, i < 2 ? 3 : 1, (const uint8_t[]){3, 28, 28});
        if (i < 2) gzip_copy(desk, arena_printf(desk->arena, "mnist/%s", names[i]), bytes, n);
        else desk_put(desk, arena_printf(desk->arena, "mnist/%s", names[i]), bytes, n);
    }
    run(desk, "mnist/train-images-idx3-ubyte.gz", case_mnist);
    run(desk, "mnist/t10k-labels-idx1-ubyte", case_mnist);
}

static void test_cifar(void **state) {
    Desk *desk = *state;
    static uint8_t bytes[2 * (PIXELS + 2)];
    static const char *const archives[] = {"tar/cifar-10-binary.tar", "gz/cifar-10-binary.tar.gz",
                                           "xz/cifar-10-binary.tar.xz"};
    const KnownSet *known = known_set("cifar10");
    Member member[KNOWN_FILES];
    for (int i = 0; i < KNOWN_FILES; i++) member[i] = (Member){known->plain[i].name, bytes, 2 * (PIXELS + 1)};
    for (int i = 0; i < 3; i++) {
        desk_archive(desk, archives[i], member, KNOWN_FILES);
        run(desk, archives[i], case_cifar);
    }
    for (int i = 0; i < KNOWN_FILES; i++)
        desk_put(desk, arena_printf(desk->arena, "plain/%s", member[i].name), bytes, 2 * (PIXELS + 1));
    run(desk, "plain/data_batch_3.bin", case_cifar);
    member[0] = (Member){"train.bin", bytes, 2 * (PIXELS + 2)},
    member[1] = (Member){"test.bin", bytes, 2 * (PIXELS + 2)};
    desk_archive(desk, "hundred/cifar-100-binary.tar.gz", member, 2);
    run(desk, "hundred/cifar-100-binary.tar.gz", case_cifar100);
}

/* A broken cache is passed over: the set is the same whatever the entry holds. */
static void test_cache(void **state) {
    Desk *desk = *state;
    Dataset set = {.name = "made"}, again;
    static uint8_t x[40 * 6];
    static int32_t y[40];
    static Bytes good, bad;
    char *bytes, *error = NULL, key[65];
    int read = 0;
    for (int i = 0; i < 40; i++) y[i] = i % 3;
    memset(key, 'a', 64), key[64] = 0;
    set.classes = 3, set.hi = 1;
    set.train = (DataPart){30, {DATA_U8, shape_of(2, (int64_t)2, (int64_t)3), x, 255}, {DATA_I32, SHAPE0, y, 1}};
    set.test = (DataPart){10, {DATA_U8, shape_of(2, (int64_t)2, (int64_t)3), x, 255}, {DATA_I32, SHAPE0, y, 1}};
    cache_write(desk->arena, desk->folder, key, &set);
    char *path = desk_path(desk, "made-aaaaaaaaaaaaaaaa.data");
    assert_true(file_read(desk->arena, path, ROOM / 2, &bytes, &good.n, &error));
    memcpy(good.at, bytes, good.n);
    for (int i = 0; i <= FILES; i++) {
        Case c = {.desk = desk, .arena = arena_new(), .path = path};
        arena_limit(c.arena, ARENA_LIMIT);
        bad = good;
        if (i) mutate(&bad, (uint64_t)i);
        assert_true(file_write(c.arena, path, bad.at, bad.n, FILE_NO_SYNC, &error));
        again = (Dataset){.name = "made"};
        bool same = bad.n == good.n && memcmp(bad.at, good.at, good.n) == 0,
             ok = cache_read(c.arena, desk->folder, key, &again);
        assert_true(ok == same);
        if (ok) look_set(&c, &again);
        read += ok;
        arena_free(c.arena);
    }
    assert_true(read >= 1);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, desk_setup, desk_teardown)
int main(void) {
    const struct CMUnitTest tests[] = {TEST(test_idx),         TEST(test_npy),   TEST(test_csv),   TEST(test_text),
                                       TEST(test_safetensors), TEST(test_mnist), TEST(test_cifar), TEST(test_cache)};
    return cmocka_run_group_tests_name("mutate", tests, NULL, NULL);
}
