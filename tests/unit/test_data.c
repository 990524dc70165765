/* test_data.c -- readers of data files: what they read, and the exact errors for what they must refuse. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <zlib.h>

#include "data/builtin.h"
#include "data/dataset.h"
#include "data/safetensors.h"
#include "support/rng.h"
#include "desk.h"

static char *put_gz(Desk *desk, const char *name, const void *bytes, size_t length) {
    char *path = path_join(desk->arena, desk->folder, name);
    gzFile file = gzopen(path, "wb9");
    assert_int_equal(gzwrite(file, bytes, (unsigned)length), length);
    gzclose(file);
    return path;
}

/* The error begins with the path and goes on with ": " and the text. */
static void check_error(const char *error, const char *path, const char *text) {
    size_t n = strlen(path);
    assert_non_null(error);
    assert_true(strncmp(error, path, n) == 0);
    assert_true(error[n] == ':' && error[n + 1] == ' ');
    if (strncmp(error + n + 2, text, strlen(text)) != 0) fail_msg("error is '%s', expected '%s'", error + n + 2, text);
}

/* ---- IDX ---- */
static const uint8_t idx_small[] = {0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0, 1, 9, 8, 7, 255};

static void test_idx(void **state) {
    Desk *desk = *state;
    DataArray array;
    char *error = NULL;
    for (int gz = 0; gz < 2; gz++) {
        char *path = gz ? put_gz(desk, "a.gz", idx_small, sizeof idx_small)
                        : desk_put(desk, "a", idx_small, sizeof idx_small);
        assert_true(read_idx(desk->arena, path, NULL, &array, &error));
        assert_true(array.rows == 2 && array.shape.rank == 2 && array.shape.dim[0] == 2 && array.shape.dim[1] == 1);
        assert_int_equal(array.type, DATA_U8);
        assert_memory_equal(array.bytes, idx_small + 16, 4);
    }
    static const uint8_t i16[] = {0, 0, 0x0b, 1, 0, 0, 0, 2, 0xff, 0xfe, 1, 0};
    static const uint8_t f32[] = {0, 0, 0x0d, 1, 0, 0, 0, 1, 0x3f, 0xc0, 0, 0};
    static const uint8_t f64[] = {0, 0, 0x0e, 1, 0, 0, 0, 1, 0xc0, 4, 0, 0, 0, 0, 0, 0};
    static const uint8_t i8[] = {0, 0, 9, 1, 0, 0, 0, 1, 0xff};
    assert_true(read_idx(desk->arena, desk_put(desk, "i16", i16, sizeof i16), NULL, &array, &error));
    assert_true(array.type == DATA_I32 && data_at(&array, 0) == -2 && data_at(&array, 1) == 256);
    assert_true(read_idx(desk->arena, desk_put(desk, "f32", f32, sizeof f32), NULL, &array, &error));
    assert_true(array.type == DATA_F32 && data_at(&array, 0) == 1.5);
    assert_true(read_idx(desk->arena, desk_put(desk, "f64", f64, sizeof f64), NULL, &array, &error));
    assert_true(array.type == DATA_F64 && data_at(&array, 0) == -2.5);
    assert_true(read_idx(desk->arena, desk_put(desk, "i8", i8, sizeof i8), NULL, &array, &error));
    assert_true(array.type == DATA_I32 && data_at(&array, 0) == -1);
}

typedef struct Bad { const char *name, *bytes; size_t length; const char *error; } Bad;
#define BAD(name, bytes, error) {name, bytes, sizeof bytes - 1, error}

static void test_idx_bad(void **state) {
    Desk *desk = *state;
    static const Bad files[] = {
        BAD("empty", "", "byte 0: the file ends here; the magic number needs 4 more bytes"),
        BAD("magic", "PK\3\4....", "byte 0: not an IDX file: it begins with 50 4b 03 04"),
        BAD("type", "\0\0\7\1\0\0\0\1x", "byte 0: not an IDX file"),
        BAD("rank", "\0\0\10\11", "byte 3: 9 axes; 1 to 6 are possible"),
        BAD("sizes", "\0\0\10\3\0\0\0\2\0\0", "byte 10: the file ends here; the sizes of the axes needs 6 more bytes"),
        BAD("zero", "\0\0\10\2\0\0\0\2\0\0\0\0", "byte 8: axis 2 has size 0"),
        BAD("cut", "\0\0\10\2\0\0\0\2\0\0\0\2abc", "byte 15: the file ends here; the data that the header declares "
            "needs 1 more byte"),
        BAD("more", "\0\0\10\2\0\0\0\1\0\0\0\2abc", "byte 14: the data should end here, but the file goes on"),
        BAD("absurd", "\0\0\10\3\377\377\377\377\377\377\377\377\377\377\377\377",
            "byte 4: the sizes of the axes are absurd"),
        BAD("large", "\0\0\10\3\0\1\0\0\0\1\0\0\0\0\1\0", "byte 16: the data that the header declares of "
            "1099511627776 bytes is above"),
        BAD("name.gz", "\0\0\10\1\0\0\0\1x", "byte 0: named .gz, but not a gzip file"),
    };
    DataArray array;
    for (int i = 0; i < COUNT(files); i++) {
        char *error = NULL, *path = desk_put(desk, files[i].name, files[i].bytes, files[i].length);
        assert_false(read_idx(desk->arena, path, NULL, &array, &error));
        check_error(error, path, files[i].error);
    }
    char *error = NULL, *none = path_join(desk->arena, desk->folder, "none");
    assert_false(read_idx(desk->arena, none, NULL, &array, &error));
    check_error(error, none, "cannot open: No such file or directory");
    ReadLimits limits = {.stored = 10};
    char *path = desk_put(desk, "a", idx_small, sizeof idx_small);
    assert_false(read_idx(desk->arena, path, &limits, &array, &error));
    check_error(error, path, "has 20 bytes; the limit is 10");
}

/* A gzip file cut at every byte, damaged at every byte, and one that would grow a thousandfold. */
static void test_gzip(void **state) {
    Desk *desk = *state;
    Arena *arena = arena_new();
    char *path = put_gz(desk, "b.gz", idx_small, sizeof idx_small), *bytes, *error = NULL;
    size_t length;
    DataArray array;
    assert_true(file_read(desk->arena, path, 0, &bytes, &length, &error));
    for (size_t n = 0; n < length; n++) {
        char *cut = desk_put(desk, "cut.gz", bytes, n);
        error = NULL;
        assert_false(read_idx(arena, cut, NULL, &array, &error));
        check_error(error, cut, "byte ");
    }
    for (size_t n = 0; n < length; n++) {
        char kept = bytes[n];
        error = NULL;
        bytes[n] = (char)(kept ^ 0x10);
        char *damaged = desk_put(desk, "damaged.gz", bytes, length);
        if (read_idx(arena, damaged, NULL, &array, &error)) assert_true(n >= 4 && n < 20);     /* time, name, flags */
        else check_error(error, damaged, "");
        bytes[n] = kept;
    }
    uint8_t *zeros = calloc(1, 1 << 20);
    char *bomb = put_gz(desk, "bomb.csv.gz", zeros, 1 << 20);
    ReadLimits limits = {.array = 1 << 16};
    CsvData csv;
    assert_false(read_csv(arena, bomb, &limits, &csv, &error));
    assert_non_null(strstr(error, "it is larger than the limit of 65536 bytes"));
    memcpy(zeros, "\0\0\10\1\100\0\0\0", 8);           /* declares 2^30 bytes */
    char *liar = put_gz(desk, "liar.gz", zeros, 1 << 10);
    assert_false(read_idx(arena, liar, NULL, &array, &error));
    assert_non_null(strstr(error, "cannot hold"));
    assert_true(arena_used(arena) < 16 << 20);
    free(zeros);
    arena_free(arena);
}

/* ---- NPY ---- */
static void test_npy(void **state) {
    Desk *desk = *state;
    DataArray array;
    char *error = NULL;
    assert_true(read_npy(desk->arena, NIN_TESTS "/data/f4.npy", NULL, &array, &error));
    assert_true(array.type == DATA_F32 && array.rows == 3 && array.shape.rank == 1 && array.shape.dim[0] == 4);
    for (int i = 0; i < 12; i++) assert_true(data_at(&array, i) == i / 4.0);
    assert_true(read_npy(desk->arena, NIN_TESTS "/data/i8.npy", NULL, &array, &error));
    assert_true(array.type == DATA_I64 && array.rows == 3 && array.shape.rank == 0 && data_at(&array, 2) == 2);
    assert_true(read_npy(desk->arena, NIN_TESTS "/data/b1.npy", NULL, &array, &error));
    assert_true(array.type == DATA_BOOL && array.rows == 3 && data_at(&array, 0) == 1 && data_at(&array, 1) == 0);
    assert_true(read_npy(desk->arena, NIN_TESTS "/data/scalar.npy", NULL, &array, &error));
    assert_true(array.rows == 1 && array.shape.rank == 0 && data_at(&array, 0) == 2.5);
    assert_false(read_npy(desk->arena, NIN_TESTS "/data/fortran.npy", NULL, &array, &error));
    assert_non_null(strstr(error, "the array is in Fortran order; only C order is read"));
    assert_false(read_npy(desk->arena, NIN_TESTS "/data/big.npy", NULL, &array, &error));
    assert_non_null(strstr(error, "elements of type '>f4' are not read"));
}

static char *npy_file(Desk *desk, const char *header, size_t body) {
    char bytes[512] = "\x93NUMPY\1\0";
    size_t n = strlen(header);
    bytes[8] = (char)n, bytes[9] = 0;
    memcpy(bytes + 10, header, n);
    return desk_put(desk, "x.npy", bytes, 10 + n + body);
}

static void test_npy_bad(void **state) {
    Desk *desk = *state;
    static const struct { const char *header; size_t body; const char *error; } files[] = {
        {"", 0, "the header is no dictionary"},
        {"{'descr': '<f4'}", 0, "the header lacks"},
        {"{'descr': [('a', '<f4')], 'shape': (1,), 'fortran_order': False}", 0, "structured arrays are not read"},
        {"{'descr': '<f4', 'shape': (1, 'fortran_order': False}", 0, "a size is expected in the shape"},
        {"{'descr': '<f4', 'shape': (99999999999999999999,), 'fortran_order': False}", 0,
         "a size in the shape is absurd"},
        {"{'descr': '<f4', 'shape': (4000000000, 4000000000), 'fortran_order': False}", 0, "the shape is absurd"},
        {"{'descr': '<f4', 'shape': (1000000,), 'fortran_order': False}", 8,
         "the file ends here; the data that the header declares needs 3999992 more bytes"},
        {"{'descr': '<f4', 'shape': (0,), 'fortran_order': False}", 8, "axis 1 has size 0"},
        {"{'descr': '<f4', 'shape': (1,1,1,1,1,1,1,1), 'fortran_order': False}", 8, "the array has too many axes"},
        {"{'descr': '<f4', 'shape': (2,), 'fortran_order': False}", 9, "the data should end here"},
        {"{'descr': '<f4', 'shape': (2,), 'fortran_order': Maybe}", 8, "fortran_order is neither"},
        {"{'descr': '<f4", 0, "a text in the header is not closed"},
        {"{'color': 'red'}", 0, "unknown key"},
    };
    DataArray array;
    for (int i = 0; i < COUNT(files); i++) {
        char *error = NULL, *path = npy_file(desk, files[i].header, files[i].body);
        assert_false(read_npy(desk->arena, path, NULL, &array, &error));
        check_error(error, path, "byte ");
        if (!strstr(error, files[i].error)) fail_msg("error is '%s', expected '%s'", error, files[i].error);
    }
    char *error = NULL, *path = npy_file(desk, "{\"shape\":(1,2),'descr':'<f4','fortran_order':False,}  \n", 8);
    assert_true(read_npy(desk->arena, path, NULL, &array, &error));
    assert_true(array.rows == 1 && array.shape.dim[0] == 2);
}

/* ---- CSV ---- */
static bool csv_of(Desk *desk, const char *text, CsvData *csv, char **error) {
    return read_csv_bytes(desk->arena, "x.csv", text, strlen(text), NULL, csv, error);
}

static void test_csv(void **state) {
    Desk *desk = *state;
    CsvData csv;
    char *error = NULL;
    assert_true(csv_of(desk, "\xef\xbb\xbfx1, \"y, 2\" ,z\r\n1,2.5,-3e-2\r\n\r\n \"4\" ,+.5,6.\r\n", &csv, &error));
    assert_true(csv.array.rows == 2 && csv.array.shape.dim[0] == 3);
    assert_string_equal(csv.names[0], "x1");
    assert_string_equal(csv.names[1], "y, 2");
    static const double value[6] = {1, 2.5, -3e-2, 4, .5, 6};
    for (int i = 0; i < 6; i++) assert_true(data_at(&csv.array, i) == value[i]);
    assert_true(csv_of(desk, "1\n2\n3", &csv, &error));
    assert_true(csv.array.rows == 3 && csv.names == NULL);
    static const char *const hard[] = {"0.1", "123456789012345", "1234567890123456789", "9007199254740993", "1e23",
                                       "5e-324",
                                       "2.2250738585072011e-308", "0.000000000000001", "-0",
                                           "179769313486231570000e288"};
    for (int i = 0; i < COUNT(hard); i++) {
        assert_true(csv_of(desk, hard[i], &csv, &error));
        assert_true(data_at(&csv.array, 0) == strtod(hard[i], NULL));
        assert_true(signbit(data_at(&csv.array, 0)) == (hard[i][0] == '-'));
    }
}

/* Classes as texts are numbered in the order of their bytes; numbers stay what they are. */
static void test_csv_labels(void **state) {
    Desk *desk = *state;
    CsvData csv;
    char *error = NULL;
    static const struct { const char *text; int64_t rows, labels; double first, last; } files[] = {
        {"a,kind\n1,red\n2,\"blue, or \"\"so\"\"\"\n3,green\n4,red\n", 4, 3, 2, 2}, {"1,b\n2,a\n", 2, 2, 1, 0},
        {"a,kind\n1,7\n2,3\n", 2, 0, 7, 3}, {"1,7\n2,x\n3,7\n", 3, 2, 0, 0}};
    for (int i = 0; i < COUNT(files); i++) {
        char *path = desk_put(desk, "labels.csv", files[i].text, strlen(files[i].text));
        assert_true(read_csv_labelled(desk->arena, path, NULL, &csv, &error));
        assert_int_equal(csv.array.rows, files[i].rows);
        assert_int_equal(csv.label_count, files[i].labels);
        assert_true(data_at(&csv.array, 1) == files[i].first);
        assert_true(data_at(&csv.array, files[i].rows * 2 - 1) == files[i].last);
    }
    char *path = desk_put(desk, "labels.csv", "1,a\n2,\n", 8);
    assert_false(read_csv_labelled(desk->arena, path, NULL, &csv, &error));
    assert_non_null(strstr(error, "the field is empty; a class is expected"));
}

static void test_csv_bad(void **state) {
    Desk *desk = *state;
    static const struct { const char *text, *error; } files[] = {
        {"", "x.csv: line 1: the file ends, and holds no numbers"},
        {"\n \r\n\n", "x.csv: line 4: the file ends, and holds no numbers"},
        {"a,b\n", "x.csv: line 2: the file ends, and holds a header but no numbers"},
        {"1,2\n3\n", "x.csv: line 2, column 1 (byte 5): the line ends after 1 of 2 fields"},
        {"1,2\n3,4,5\n", "x.csv: line 2, column 3 (byte 8): the line has more than 2 fields"},
        {"1,2\n3,\n", "x.csv: line 2, column 2 (byte 6): the field is empty; a number is expected"},
        {"1,2\n3,x\n",
         "x.csv: line 2, column 2 (byte 6): 'x' is not a number; `classes:` takes texts in the last column"},
        {"1,2\nx,3\n", "x.csv: line 2, column 1 (byte 4): 'x' is not a number"},
        {"a;b\n3,5;4\n", "x.csv: line 2, column 2 (byte 6): the line has more than 1 field; fields are separated by "
         "commas, and numbers have a point"},
        {"1,2\n3,NaN\n", "x.csv: line 2, column 2 (byte 6): 'NaN': the data must not hold missing or infinite numbers"},
        {"nan,2\n", "x.csv: line 1, column 1 (byte 0): 'nan': the data must not hold missing or infinite numbers"},
        {"1\n1e999\n", "x.csv: line 2, column 1 (byte 2): 1e999 is too large for a number"},
        {"1\n0x10\n", "x.csv: line 2, column 1 (byte 2): '0x10' is not a number"},
        {"1\n\"2\n", "x.csv: line 2, column 1 (byte 2): the quote is not closed on its line"},
        {"1\n\"2\"3\n", "x.csv: line 2, column 1 (byte 5): a comma is expected after the closing quote"},
        {"1;2\n3;4\n", "x.csv: line 2, column 1 (byte 4): '3;4' is not a number"},
    };
    CsvData csv;
    for (int i = 0; i < COUNT(files); i++) {
        char *error = NULL;
        assert_false(csv_of(desk, files[i].text, &csv, &error));
        assert_string_equal(error, files[i].error);
    }
    /* Many short lines after a very long one do not allocate rows x columns. */
    Buf buf = {0};
    for (int i = 0; i < 5000; i++) buf_text(&buf, "1,");
    for (int i = 0; i < 50000; i++) buf_text(&buf, "1\n");
    char *error = NULL;
    size_t before = arena_used(desk->arena);
    assert_false(read_csv_bytes(desk->arena, "x.csv", buf.at, buf.len, NULL, &csv, &error));
    assert_true(arena_used(desk->arena) - before < 4 << 20);
    buf_free(&buf);
}

/* Random bytes, and valid files with random changes, through every reader: an answer or an error, no crash. */
static void test_hostile(void **state) {
    Desk *desk = *state;
    RngStream stream = rng_stream(rng_key(1, "noise", 0, "hostile", 0), 0);
    static const char *const seeds[] = {"a,b\n1,2\n3,\"4\"\n-1e5,.25\n",
                                        "\x93NUMPY\1\0\x40\0{'descr': '<f4', 'fortran_order': False, 'shape': (2, 1), "
                                            "}      \n12345678"};
    for (int turn = 0; turn < 3000; turn++) {
        uint8_t bytes[256];
        const char *seed = seeds[turn % 2];
        size_t n = turn % 2 ? 8 + 2 + 64 + 8 : strlen(seed);
        memcpy(bytes, seed, n < sizeof bytes ? n : sizeof bytes);
        for (uint32_t k = rng_below(&stream, 4); k > 0; k--)
            bytes[rng_below(&stream, (uint32_t)n)] = (uint8_t)rng_next(&stream);
        if (turn % 3 == 0) n = rng_below(&stream, (uint32_t)n + 1);
        Arena *arena = arena_new();
        ReadLimits limits = {.array = 1 << 20};
        DataArray array;
        CsvData csv;
        TensorFile tensors;
        char *error = NULL, *path = desk_put(desk, "hostile", bytes, n);
        read_csv(arena, path, &limits, &csv, &error);
        read_npy(arena, path, &limits, &array, &error);
        read_idx(arena, path, &limits, &array, &error);
        safetensors_read(arena, path, &limits, &tensors, &error);
        arena_free(arena);
    }
}

/* ---- safetensors ---- */
static void test_safetensors(void **state) {
    Desk *desk = *state;
    static const float w[6] = {1, 2, 3, 4, 5, NAN};
    static const double b[1] = {-0.5};
    static const int32_t steps[2] = {7, 8};
    const NamedTensor tensors[] = {
        {"dense[1].w", DT_F32, shape_of(2, (int64_t)2, (int64_t)3), w},
        {"b \"\303\244\"", DT_F64, SHAPE0, b},
        {"t", DT_I32, shape_of(1, (int64_t)2), steps},
        {"empty", DT_F32, shape_of(1, (int64_t)0), w},
    };
    const MetaText meta[] = {{"net", "mlp"}, {"version", "1"}};
    char *path = path_join(desk->arena, desk->folder, "a.safetensors"), *error = NULL, *bytes, *again;
    size_t length, length2;
    assert_true(safetensors_write(desk->arena, path, tensors, 4, meta, 2, FILE_SYNC, &error));
    TensorFile file;
    assert_true(safetensors_read(desk->arena, path, NULL, &file, &error));
    assert_true(file.count == 4 && file.meta_count == 2);
    assert_string_equal(file.meta[0].value, "mlp");
    for (int i = 0; i < 4; i++) {
        const NamedTensor *read = safetensors_find(&file, tensors[i].name);
        assert_non_null(read);
        assert_true(read->dtype == tensors[i].dtype && shape_equal(&read->shape, &tensors[i].shape));
        assert_memory_equal(read->data, tensors[i].data, (size_t)shape_size(&read->shape) * dtype_size(read->dtype));
    }
    assert_null(safetensors_find(&file, "none"));
    assert_true(file_read(desk->arena, path, 0, &bytes, &length, &error));
    assert_true(length % 4 == 0 && bytes[8] == '{' && (uint8_t)bytes[0] % 8 == 0);
    assert_true(safetensors_write(desk->arena, path, tensors, 4, meta, 2, FILE_NO_SYNC, &error));
    assert_true(file_read(desk->arena, path, 0, &again, &length2, &error));
    assert_true(length == length2 && memcmp(bytes, again, length) == 0);
    for (size_t n = 0; n < length; n += 3) {           /* cut anywhere: an error */
        char *cut = desk_put(desk, "cut", bytes, n);
        assert_false(safetensors_read(desk->arena, cut, NULL, &file, &error));
    }
    const NamedTensor twice[] = {tensors[0], tensors[0]};
    char *other = path_join(desk->arena, desk->folder, "twice");
    assert_false(safetensors_write(desk->arena, other, twice, 2, NULL, 0, FILE_NO_SYNC, &error));
    assert_false(file_exists(other));
}

static void test_safetensors_bad(void **state) {
    Desk *desk = *state;
    static const struct { const char *json; size_t body; const char *error; } files[] = {
        {"[]", 0, "the header is no JSON object"},
        {"{", 0, "bad JSON"},
        {"{\"a\":1}", 0, "its dtype is not"},
        {"{\"a\":{\"dtype\":\"F16\",\"shape\":[],\"data_offsets\":[0,2]}}", 2, "its dtype is not"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,8]}}", 8, "its shape and its offsets disagree"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,0]}}", 8, "has no valid data_offsets"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}", 8, "leaves a gap"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 4, "lies beyond the end"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", 8, "the data should end here"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[-1],\"data_offsets\":[0,4]}}", 4, "a size that is no number"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[4611686018427387904,4],\"data_offsets\":[0,0]}}", 0, "absurdly large"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1,1,1,1,1,1,1],\"data_offsets\":[0,4]}}", 4, "too many axes"},
        {"{\"__metadata__\":{\"a\":1}}", 0, "holds something that is no text"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},\"a\":{}}", 4, "bad JSON"},
    };
    TensorFile file;
    for (int i = 0; i < COUNT(files); i++) {
        char bytes[512] = {0}, *error = NULL;
        size_t n = strlen(files[i].json);
        bytes[0] = (char)n;
        memcpy(bytes + 8, files[i].json, n);
        char *path = desk_put(desk, "x", bytes, 8 + n + files[i].body);
        assert_false(safetensors_read(desk->arena, path, NULL, &file, &error));
        check_error(error, path, "");
        if (!strstr(error, files[i].error)) fail_msg("error is '%s', expected '%s'", error, files[i].error);
    }
    char *error = NULL, *path = desk_put(desk, "x", "\377\377\377\377\377\377\377\177{}", 10);
    assert_false(safetensors_read(desk->arena, path, NULL, &file, &error));
    assert_non_null(strstr(error, "not a .safetensors file"));
}

/* ---- data sets ---- */
static bool read_set(Desk *desk, DatasetRequest request, Dataset *set, DatasetFailure *why, char **error) {
    const char *folders[] = {desk->folder, NULL};
    request.folders = folders;
    if (!request.name) request.name = "mine";
    return dataset_read(desk->arena, &request, NULL, set, why, error);
}

static void test_digits(void **state) {
    Desk *desk = *state;
    Dataset set;
    DatasetFailure why;
    char *error = NULL;
    assert_true(read_set(desk, (DatasetRequest){.name = "digits"}, &set, &why, &error));
    assert_true(set.train.n == 1347 && set.test.n == 450 && set.classes == 10 && set.lo == 0 && set.hi == 1);
    int count[10] = {0};
    for (int i = 0; i < 1347; i++) count[column_class(&set.train.y, i)]++;
    for (int i = 0; i < 450; i++) count[column_class(&set.test.y, i)]++;
    static const int known[10] = {178, 182, 177, 183, 181, 182, 181, 179, 174, 180};
    assert_memory_equal(count, known, sizeof known);
    float row[64];
    column_gather_f32(&set.train.x, NULL, NULL, 0, 1, row);
    assert_true(row[2] == 5 / 16.0f && row[3] == 13 / 16.0f && row[0] == 0);
    assert_string_equal(set.files[0].sha256, "46abec6b12486ad9e51943373abcf22bbea1b5a51a1619b361570d8893f1464a");
    const DatasetFacts *facts = dataset_facts("digits");
    assert_true(facts->builtin && facts->train == 1347 && shape_equal(&facts->shape, &set.train.x.shape));
    for (const char *const *name = dataset_known(); *name; name++) assert_non_null(dataset_facts(*name));
}

static void put_mnist(Desk *desk, const char *folder, const char *part, int n, int labels) {
    char *error = NULL, *path = path_join(desk->arena, desk->folder, folder);
    uint8_t *bytes = calloc(1, 16 + 784 * (size_t)n);
    assert_true(folder_make(desk->arena, path, &error));
    memcpy(bytes, (uint8_t[]){0, 0, 8, 3, 0, 0, 0, (uint8_t)n, 0, 0, 0, 28, 0, 0, 0, 28}, 16);
    for (int i = 0; i < n; i++) bytes[16 + 784 * i] = (uint8_t)(i + 1);
    put_gz(desk, arena_printf(desk->arena, "%s/%s-images-idx3-ubyte.gz", folder, part), bytes, 16 + 784 * (size_t)n);
    memcpy(bytes, (uint8_t[]){0, 0, 8, 1, 0, 0, 0, (uint8_t)labels}, 8);
    for (int i = 0; i < labels; i++) bytes[8 + i] = (uint8_t)(i % 11);
    desk_put(desk, arena_printf(desk->arena, "%s/%s-labels.idx1-ubyte", folder, part), bytes, 8 + (size_t)labels);
    free(bytes);
}

static void test_mnist(void **state) {
    Desk *desk = *state;
    Dataset set;
    DatasetFailure why;
    char *error = NULL;
    DatasetRequest request = {.name = "mnist"};
    assert_false(read_set(desk, request, &set, &why, &error));
    assert_int_equal(why, DATASET_MISSING);
    assert_non_null(strstr(error, "train-images-idx3-ubyte is not in "));
    put_mnist(desk, "MNIST/raw", "train", 5, 5);
    assert_false(read_set(desk, request, &set, &why, &error));
    assert_int_equal(why, DATASET_MISSING);
    assert_non_null(strstr(error, "there is no t10k-images-idx3-ubyte"));
    put_mnist(desk, "MNIST/raw", "t10k", 3, 3);
    assert_true(read_set(desk, request, &set, &why, &error));
    assert_true(set.train.n == 5 && set.test.n == 3 && set.file_count == 4 && set.hi == 1);
    float x[3 * 784];
    double mean[1] = {0.5}, sd[1] = {0.25};
    Affine half = {1, mean, sd};
    uint32_t rows[3] = {4, 0, 2};
    column_gather_f32(&set.train.x, &half, rows, 0, 3, x);
    assert_true(x[0] == (5 / 255.0f - 0.5f) / 0.25f && x[784] == (1 / 255.0f - 0.5f) / 0.25f && x[785] == -2.0f);
    assert_int_equal(column_class(&set.train.y, 4), 4);
    request.name = "fashion_mnist";
    assert_false(read_set(desk, request, &set, &why, &error));
    assert_non_null(strstr(error, "dataset-fashion-mnist"));
    request.name = "mnist";
    put_mnist(desk, "MNIST/raw", "t10k", 3, 4);
    assert_false(read_set(desk, request, &set, &why, &error));
    assert_non_null(strstr(error, "holds 4 labels for 3 images"));
    put_mnist(desk, "MNIST/raw", "t10k", 11, 11);
    assert_false(read_set(desk, request, &set, &why, &error));
    assert_int_equal(why, DATASET_BAD);
    assert_non_null(strstr(error, "row 11: the label 10 is not one of the classes 0 to 9"));
}

static void test_files(void **state) {
    Desk *desk = *state;
    Dataset set;
    DatasetFailure why;
    char *error = NULL;
    desk_put(desk, "t.csv", "a,b,c\n1,2,0\n3,4,1\n-5,6,1\n", 25);
    assert_true(read_set(desk, (DatasetRequest){.file = "t.csv"}, &set, &why, &error));
    assert_true(set.train.n == 3 && set.train.x.shape.dim[0] == 2 && set.train.y.shape.dim[0] == 1 && set.classes == 0);
    assert_true(set.lo == -5 && set.hi == 6 && set.test.n == 0);
    double x[4];
    column_gather_f64(&set.train.x, &(Affine){2, (double[]){1, 2}, (double[]){2, 4}}, NULL, 1, 2, x);
    assert_true(x[0] == 1 && x[1] == 0.5 && x[2] == -3 && x[3] == 1);
    assert_true(read_set(desk, (DatasetRequest){.file = "t.csv", .classes = 2}, &set, &why, &error));
    assert_true(set.train.y.type == DATA_I32 && column_class(&set.train.y, 1) == 1);
    assert_true(read_set(desk, (DatasetRequest){.file = "t.csv", .target_columns = 2}, &set, &why, &error));
    assert_true(set.train.x.shape.dim[0] == 1 && set.train.y.shape.dim[0] == 2);
    desk_put(desk, "names.csv", "x,kind\n1,b\n2,c\n3,a\n", 19);
    static const struct { DatasetRequest request; const char *error; } wrong[] = {
        {{.file = "t.csv", .target_columns = 3}, "has 3 columns; 3 targets leave no input"},
        {{.file = "t.csv", .classes = 1}, "row 2: the label 1 is not one of the classes 0 to 0"},
        {{.file = "names.csv", .classes = 2},
         "names.csv: the last column holds 3 different texts (a, b, c), not 2 classes"},
        {{.file = "names.csv"}, "'b' is not a number"},
        {{.file = "none.csv"}, "none.csv is not in "},
        {{.file = "../t.csv"}, "below one of them"},
        {{.file = "a/../t.csv"}, "below one of them"},
        {{.file = "/t.csv"}, "below one of them"},
        {{.file = "a..b.csv"}, "a..b.csv is not in "},
        {{.file = "x.npy"}, "needs a file of targets"},
        {{.name = "cifar1"}, "no data set is called cifar1"},
    };
    for (int i = 0; i < COUNT(wrong); i++) {
        assert_false(read_set(desk, wrong[i].request, &set, &why, &error));
        if (!strstr(error, wrong[i].error)) fail_msg("error is '%s', expected '%s'", error, wrong[i].error);
    }
    static const uint8_t nan[] = {0, 0, 0x0d, 2, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x7f,
                                  0xc0, 0, 0};
    desk_put(desk, "nan", nan, sizeof nan);
    assert_false(read_set(desk, (DatasetRequest){.file = "nan", .target = "nan"}, &set, &why, &error));
    assert_non_null(strstr(error, "nan: row 2, column 2 is not a number (NaN)"));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, desk_setup, desk_teardown)
int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_idx), TEST(test_idx_bad), TEST(test_gzip), TEST(test_npy), TEST(test_npy_bad), TEST(test_csv),
        TEST(test_csv_labels),
        TEST(test_csv_bad), TEST(test_hostile), TEST(test_safetensors), TEST(test_safetensors_bad), TEST(test_digits),
        TEST(test_mnist), TEST(test_files),
    };
    return cmocka_run_group_tests_name("data", tests, NULL, NULL);
}
