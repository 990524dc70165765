/* test_sets.c -- data sets from archives, .npz and the cache: the same numbers whatever they lie in. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "data/known.h"
#include "desk.h"
#include "support/sha256.h"

enum { RECORDS = 3, PIXELS = 3072 };

/* Records of a batch: label (or labels) and pixels that tell batch, record and place. */
static size_t batch(uint8_t *out, int number, int labels) {
    uint8_t *at = out;
    for (int i = 0; i < RECORDS; i++) {
        for (int k = 0; k < labels; k++) *at++ = (uint8_t)(k == labels - 1 ? (number * RECORDS + i) % 10 : 77);
        for (int p = 0; p < PIXELS; p++) *at++ = (uint8_t)(number * 31 + i * 7 + p);
    }
    return (size_t)(at - out);
}

static uint8_t bytes[6][RECORDS * (PIXELS + 2)];

/* The files of a set as members of an archive. */
static int members(const KnownSet *known, Member *out, int labels) {
    int n = 0;
    for (; n < KNOWN_FILES && known->plain[n].name; n++) {
        out[n].name = known->plain[n].name, out[n].bytes = bytes[n];
        out[n].length = batch(bytes[n], n, labels);
    }
    return n;
}

static bool read_set(Desk *desk, const char *folder, const char *name, const char *cache, Dataset *set, char **error) {
    const char *folders[] = {path_join(desk->arena, desk->folder, folder), NULL};
    DatasetRequest request = {.name = name, .folders = folders, .cache = cache};
    DatasetFailure why;
    return dataset_read(desk->arena, &request, NULL, set, &why, error);
}

static void check_cifar(const Dataset *set, int batches) {
    assert_true(set->train.n == (batches - 1) * RECORDS && set->test.n == RECORDS && set->hi == 1 && set->fixed_range);
    for (int i = 0; i < set->train.n; i++) {
        assert_int_equal(column_class(&set->train.y, i), i % 10);
        const uint8_t *x = (const uint8_t *)set->train.x.bytes + (size_t)i * PIXELS;
        for (int p = 0; p < PIXELS; p += 99) assert_int_equal(x[p], (uint8_t)(i / RECORDS * 31 + i % RECORDS * 7 + p));
    }
    assert_int_equal(column_class(&set->test.y, 1), ((batches - 1) * RECORDS + 1) % 10);
    assert_int_equal(set->train.x.shape.dim[0], 3);
}

static void test_cifar(void **state) {
    Desk *desk = *state;
    static const char *const archives[] = {"cifar-10-binary.tar.gz", "cifar-10-binary.tar.xz", "cifar-10-binary.tar"};
    const KnownSet *known = known_set("cifar10");
    Member member[KNOWN_FILES + 1];
    Dataset set;
    char *error = NULL;
    int n = members(known, member, 1);
    for (int i = 0; i < 3; i++) {
        const char *folder = arena_printf(desk->arena, "archive%d", i);
        desk_archive(desk, arena_printf(desk->arena, "%s/%s", folder, archives[i]), member, n);
        if (!read_set(desk, folder, "cifar10", NULL, &set, &error)) fail_msg("%s", error);
        check_cifar(&set, n);
    }
    for (int i = 0; i < n; i++)
        desk_put(desk, arena_printf(desk->arena, "plain/cifar-10-batches-bin/%s", member[i].name), member[i].bytes,
                 member[i].length);
    assert_true(read_set(desk, "plain", "cifar10", NULL, &set, &error));
    check_cifar(&set, n);
    assert_int_equal(set.file_count, 6);
    n = members(known_set("cifar100"), member, 2);
    assert_int_equal(n, 2);
    desk_archive(desk, "hundred/cifar100/cifar-100-binary.tar.gz", member, n);
    if (!read_set(desk, "hundred", "cifar100", NULL, &set, &error)) fail_msg("%s", error);
    check_cifar(&set, n);
    assert_int_equal(set.classes, 100);
}

static void wrong(Desk *desk, Member *member, int n, const char *text) {
    Dataset set;
    char *error = NULL, *path = desk_archive(desk, "wrong/cifar-10-binary.tar.gz", member, n);
    assert_false(read_set(desk, "wrong", "cifar10", NULL, &set, &error));
    if (strncmp(error, path, strlen(path)) != 0 || !strstr(error, text))
        fail_msg("error is '%s', expected '%s'", error, text);
}

static void test_cifar_bad(void **state) {
    Desk *desk = *state;
    Member member[KNOWN_FILES + 1];
    Dataset set;
    char *error = NULL;
    int n = members(known_set("cifar10"), member, 1);
    wrong(desk, member, n - 1, ": there is no test_batch.bin in it");
    wrong(desk, member + 1, n - 1, ": there is no data_batch_1.bin in it");
    member[0].length--;
    wrong(desk, member, n, ": data_batch_1.bin: byte 6146: the last record is cut off");
    member[0].length = 0;
    wrong(desk, member, n, ": data_batch_1.bin: byte 0: holds no records");
    members(known_set("cifar10"), member, 1);
    bytes[1][PIXELS + 1] = 10;
    wrong(desk, member, n, ": data_batch_2.bin: byte 3073: the label 10 is not 0 to 9");
    Member twice[] = {member[0], member[0], member[2]};
    wrong(desk, twice, 3, ": data_batch_1.bin: byte 0: is in the archive twice");
    char *path = desk_put(desk, "text/cifar-10-binary.tar.gz", "this is no archive", 18);
    assert_false(read_set(desk, "text", "cifar10", NULL, &set, &error));
    assert_true(strncmp(error, path, strlen(path)) == 0 && strstr(error, "byte 0 of the file: the archive is damaged"));
    assert_false(read_set(desk, "none", "cifar10", NULL, &set, &error));
    assert_non_null(strstr(error, "`nin data fetch cifar10` gets cifar-10-binary.tar.gz (170052171 bytes"));
}

static void npy_bytes(const char *descr, int rows, int columns, const void *data, size_t size, Buf *out) {
    char header[128];
    int n = snprintf(header, sizeof header, "{'descr': '%s', 'fortran_order': False, 'shape': (%d,%s), }", descr, rows,
                     columns ? columns == 2 ? "2" : "1" : "");
    buf_put(out, "\x93NUMPY\1\0", 8);
    buf_put(out, (uint8_t[]){(uint8_t)(n + 1), 0}, 2);
    buf_put(out, header, (size_t)n);
    buf_put(out, "\n", 1);
    buf_put(out, data, size);
}

static Member npz_member(Desk *desk, const char *name, const char *descr, int rows, int columns, const void *data,
                         size_t size) {
    Buf text = {0};
    npy_bytes(descr, rows, columns, data, size, &text);
    Member member = {name, arena_copy(desk->arena, text.at, text.len), text.len};
    buf_free(&text);
    return member;
}

static void test_npz(void **state) {
    Desk *desk = *state;
    static const float x[6] = {1, 2, 3, 4, 5, 6};
    static const int64_t y[3] = {0, 2, 1};
    Member member[] = {
        npz_member(desk, "y_train.npy", "<i8", 3, 0, y, sizeof y),
        npz_member(desk, "x_train.npy", "<f4", 3, 2, x, sizeof x), npz_member(desk, "other.npy", "<f4", 3, 2, x, 5),
        npz_member(desk, "y_test.npy", "<i8", 2, 0, y, 16), npz_member(desk, "x_test.npy", "<f4", 2, 2, x, 16)};
    const char *folders[] = {desk->folder, NULL};
    DatasetRequest request = {.name = "mine", .file = "a.npz", .folders = folders, .classes = 3};
    DatasetFailure why;
    Dataset set;
    char *error = NULL;
    desk_archive(desk, "a.npz", member, 5);
    if (!dataset_read(desk->arena, &request, NULL, &set, &why, &error)) fail_msg("%s", error);
    assert_true(set.train.n == 3 && set.test.n == 2 && set.lo == 1 && set.hi == 6 && !set.fixed_range);
    assert_true(column_class(&set.train.y, 1) == 2 && ((const float *)set.test.x.bytes)[3] == 4);
    request.target = "labels";
    assert_false(dataset_read(desk->arena, &request, NULL, &set, &why, &error));
    assert_non_null(strstr(error, "a.npz: holds no array labels"));
    request.target = "other";
    assert_false(dataset_read(desk->arena, &request, NULL, &set, &why, &error));
    assert_non_null(strstr(error, "a.npz: other.npy: byte "));
}

/* ---- the cache ---- */
static char *cache_file(Desk *desk, const char *cache) {
    char *list = desk_run(desk, arena_printf(desk->arena, "ls %s/*.data", cache));
    list[strcspn(list, "\n")] = 0;
    return list;
}

static void damage(Desk *desk, const char *path, long at, int how) {
    char *data, *error = NULL;
    size_t length;
    assert_true(file_read(desk->arena, path, 0, &data, &length, &error));
    if (at < 0) at += (long)length;
    data[at] = (char)(data[at] ^ how);
    assert_true(file_write(desk->arena, path, data, how ? length : (size_t)at, FILE_NO_SYNC, &error));
}

static void test_cache(void **state) {
    Desk *desk = *state;
    Member member[KNOWN_FILES + 1];
    Dataset first, again;
    char *error = NULL, hex[2][65];
    char *cache = path_join(desk->arena, desk->folder, "cache/deep");
    int n = members(known_set("cifar10"), member, 1);
    static uint8_t large[100 * (PIXELS + 1)];          /* small sets are not kept */
    for (int i = 0; i < n; i++) member[i].bytes = large, member[i].length = sizeof large;
    for (size_t i = 0; i < sizeof large; i++) large[i] = i % (PIXELS + 1) ? (uint8_t)i : 1;
    desk_archive(desk, "set/cifar-10-binary.tar", member, n);
    assert_true(read_set(desk, "set", "cifar10", cache, &first, &error));
    char *path = cache_file(desk, cache);
    assert_true(file_sha256(desk->arena, path, hex[0], &error));
    static const struct {
        long at;
        int how;
    } damages[] = {{0, 1}, {9, 4}, {70, 8}, {600, 1}, {2000, 64}, {-1, 1}, {-1, 0}, {100, 0}, {0, 0}};
    for (int i = 0; i <= COUNT(damages); i++) {
        assert_true(read_set(desk, "set", "cifar10", cache, &again, &error));
        assert_true(again.train.n == 500 && again.test.n == 100 && again.classes == 10 && again.fixed_range &&
                    again.hi == 1);
        assert_true(shape_equal(&again.train.x.shape, &first.train.x.shape) && again.train.x.divisor == 255);
        assert_memory_equal(again.train.x.bytes, first.train.x.bytes, 500 * PIXELS);
        assert_memory_equal(again.test.y.bytes, first.test.y.bytes, 400);
        assert_string_equal(again.sha256, first.sha256);
        assert_true(file_sha256(desk->arena, path, hex[1], &error));
        assert_string_equal(hex[0], hex[1]);           /* whatever was broken was written anew */
        if (i < COUNT(damages)) damage(desk, path, damages[i].at, damages[i].how);
    }
    large[5]++;                                        /* other contents: another entry */
    desk_archive(desk, "set/cifar-10-binary.tar", member, n);
    assert_true(read_set(desk, "set", "cifar10", cache, &again, &error));
    assert_string_not_equal(again.sha256, first.sha256);
    assert_int_equal(((const uint8_t *)again.train.x.bytes)[4], large[5]);
    char *blocked = desk_put(desk, "blocked", "", 0);  /* a cache that cannot be written is no error */
    assert_true(read_set(desk, "set", "cifar10", path_join(desk->arena, blocked, "x"), &again, &error));
}

static void test_verify(void **state) {
    Desk *desk = *state;
    Member member[KNOWN_FILES + 1];
    const KnownSet *known = known_set("cifar10");
    const char *folders[] = {desk->folder, NULL};
    KnownPlace place;
    char *error = NULL;
    bool official;
    int n = members(known, member, 1);
    desk_archive(desk, "cifar-10-binary.tar.gz", member, n);
    assert_true(known_find(desk->arena, known, folders, &place, &error));
    assert_true(place.archive && place.count == 1);
    assert_true(known_verify(desk->arena, known, &place, &official, &error));
    assert_false(official);
    assert_non_null(strstr(error, "the contents of data_batch_1.bin have the SHA-256 "));
    desk_put(desk, "cifar-10-binary.tar.gz", "\x1f\x8b\x08", 3);
    assert_false(known_verify(desk->arena, known, &place, &official, &error) && official);
    const char *const *name = dataset_known();
    for (; *name; name++)
        for (const OfficialFile *file = known_set(*name)->official; file->name; file++)
            assert_true(strlen(file->sha256) == 64 && file->size > 1000);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, desk_setup, desk_teardown)
int main(void) {
    const struct CMUnitTest tests[] = {TEST(test_cifar), TEST(test_cifar_bad), TEST(test_npz), TEST(test_cache),
                                       TEST(test_verify)};
    return cmocka_run_group_tests_name("sets", tests, NULL, NULL);
}
