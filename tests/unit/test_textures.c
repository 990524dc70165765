/* test_textures.c -- pictures read from PNG and JPEG files of every kind, damaged ones; frost by textures of one's
 * own. */
#define _GNU_SOURCE
#include "child.h"

#include <jpeglib.h>
#include <zlib.h>

#include "data/data.h"
#include "data/picture.h"

enum { HEIGHT = 13, WIDTH = 11 };

/* ---- writing PNGs: line y has filter (first + y) mod 5 ---- */

static void put_chunk(Buf *out, const char *name, const void *data, size_t n)
{
    uLong sum = crc32(crc32(0, NULL, 0), (const Bytef *)name, 4);
    if (n) sum = crc32(sum, data, (uInt)n);
    const unsigned char length[] = {(unsigned char)(n >> 24), (unsigned char)(n >> 16), (unsigned char)(n >> 8),
                                    (unsigned char)n};
    const unsigned char check[] = {(unsigned char)(sum >> 24), (unsigned char)(sum >> 16), (unsigned char)(sum >> 8),
                                   (unsigned char)sum};
    buf_put(out, (const char *)length, 4);
    buf_put(out, name, 4);
    buf_put(out, data, n);
    buf_put(out, (const char *)check, 4);
}

static unsigned char predicted(int filter, int a, int b, int c)
{
    int p = a + b - c, pa = abs(p - a), pb = abs(p - b), pc = abs(p - c);
    switch (filter) {
    case 1: return (unsigned char)a;
    case 2: return (unsigned char)b;
    case 3: return (unsigned char)((a + b) / 2);
    case 4: return (unsigned char)(pa <= pb && pa <= pc ? a : pb <= pc ? b : c);
    default: return 0;
    }
}

typedef struct Kind { int depth, type, samples; } Kind;
static const Kind kinds[] = {{8, 2, 3}, {8, 6, 4}, {8, 0, 1}, {8, 4, 2}, {16, 2, 3}, {16, 6, 4}, {16, 0, 1},
                             {1, 0, 1}, {2, 0, 1}, {4, 0, 1}, {1, 3, 1}, {2, 3, 1},  {4, 3, 1},  {8, 3, 1}};

/* Bytes of the samples drawn from a small generator; rgb: what a reader must give. */
static void make_png(Kind k, int height, int width, Buf *out, uint8_t *rgb)
{
    size_t n = ((size_t)width * (size_t)(k.samples * k.depth) + 7) / 8, step = (size_t)(k.samples * k.depth + 7) / 8;
    unsigned char *raw = calloc((size_t)height, n), *lines = malloc((size_t)height * (n + 1)), palette[768];
    uint32_t state = 12345;
    for (size_t i = 0; i < (size_t)height * n; i++)
        raw[i] = (unsigned char)((state = state * 1664525u + 1013904223u) >> 24);
    for (int i = 0; i < 768; i++) palette[i] = (unsigned char)(i * 37 + 5);
    for (int y = 0; y < height; y++) {
        int filter = y % 5;
        lines[(size_t)y * (n + 1)] = (unsigned char)filter;
        for (size_t i = 0; i < n; i++) {
            int a = i >= step ? raw[(size_t)y * n + i - step] : 0, b = y ? raw[(size_t)(y - 1) * n + i] : 0;
            int c = y && i >= step ? raw[(size_t)(y - 1) * n + i - step] : 0;
            lines[(size_t)y * (n + 1) + 1 + i] = (unsigned char)(raw[(size_t)y * n + i] - predicted(filter, a, b, c));
        }
    }
    for (int i = 0; rgb && i < height * width * 3; i++) {
        int y = i / 3 / width, x = i / 3 % width, colour = k.type == 2 || k.type == 6 ? i % 3 : 0, value;
        size_t bit = ((size_t)x * (size_t)k.samples + (size_t)colour) * (size_t)k.depth;
        const unsigned char *at = raw + (size_t)y * n + bit / 8;
        value = k.depth >= 8 ? *at : *at >> (8 - k.depth - (int)(bit % 8)) & ((1 << k.depth) - 1);
        rgb[i] = (uint8_t)(k.type == 3   ? palette[3 * value + i % 3]
                           : k.depth < 8 ? value * 255 / ((1 << k.depth) - 1)
                                         : value);
    }
    unsigned char head[13] = {
        0, 0, (unsigned char)(height >> 8), 0, 0, 0, 0, 0, (unsigned char)k.depth, (unsigned char)k.type};
    head[2] = (unsigned char)(width >> 8), head[3] = (unsigned char)width, head[6] = (unsigned char)(height >> 8),
    head[7] = (unsigned char)height;
    uLong bytes = (uLong)height * (n + 1);
    uLongf size = compressBound(bytes);
    unsigned char *packed = malloc(size);
    assert_int_equal(compress(packed, &size, lines, bytes), Z_OK);
    buf_put(out, "\x89PNG\r\n\x1a\n", 8);
    put_chunk(out, "IHDR", head, 13);
    put_chunk(out, "tEXt", "Comment\0frost", 13);
    if (k.type == 3) put_chunk(out, "PLTE", palette, (size_t)3 << k.depth);
    put_chunk(out, "IDAT", packed, size / 2);
    put_chunk(out, "IDAT", packed + size / 2, size - size / 2);
    put_chunk(out, "IEND", "", 0);
    free(packed);
    free(lines);
    free(raw);
}

static void test_png(void **state)
{
    (void)state;
    for (int k = 0; k < COUNT(kinds); k++) {
        Arena *arena = arena_new();
        Buf file = {0};
        uint8_t want[HEIGHT * WIDTH * 3];
        char *error = NULL;
        Picture got;
        make_png(kinds[k], HEIGHT, WIDTH, &file, want);
        if (!read_picture(arena, "p.png", file.at, file.len, &got, &error)) fail_msg("kind %d: %s", k, error);
        assert_int_equal(got.height, HEIGHT);
        assert_int_equal(got.width, WIDTH);
        assert_memory_equal(got.rgb, want, sizeof want);
        buf_free(&file);
        arena_free(arena);
    }
}

static void make_jpeg(int height, int width, Buf *out)
{
    struct jpeg_compress_struct z;
    struct jpeg_error_mgr errors;
    unsigned char *file = NULL, row[3 * 512];
    unsigned long size = 0;
    z.err = jpeg_std_error(&errors);
    jpeg_create_compress(&z);
    jpeg_mem_dest(&z, &file, &size);
    z.image_width = (JDIMENSION)width, z.image_height = (JDIMENSION)height, z.input_components = 3,
    z.in_color_space = JCS_RGB;
    jpeg_set_defaults(&z);
    jpeg_set_quality(&z, 100, TRUE);
    jpeg_start_compress(&z, TRUE);
    for (int i = 0; i < 3 * width; i++) row[i] = (unsigned char)(i % 3 == 0 ? 200 : i % 3 == 1 ? 100 : 40);
    while (z.next_scanline < z.image_height) jpeg_write_scanlines(&z, &(JSAMPROW){row}, 1);
    jpeg_finish_compress(&z);
    jpeg_destroy_compress(&z);
    buf_put(out, (const char *)file, size);
    free(file);
}

static void test_jpeg(void **state)
{
    (void)state;
    static const int colour[] = {200, 100, 40};
    Arena *arena = arena_new();
    Buf file = {0};
    char *error = NULL;
    Picture got;
    make_jpeg(20, 30, &file);
    if (!read_picture(arena, "p.jpg", file.at, file.len, &got, &error)) fail_msg("%s", error);
    assert_int_equal(got.height, 20);
    assert_int_equal(got.width, 30);
    for (int i = 0; i < 20 * 30 * 3; i++) assert_true(abs(got.rgb[i] - colour[i % 3]) <= 2);
    buf_free(&file);
    arena_free(arena);
}

/* Cut anywhere, or with bytes changed: an error that names the file, or a picture; never anything else. */
static void test_damaged(void **state)
{
    (void)state;
    for (int k = 0; k < 6; k++) {
        Buf file = {0};
        uint32_t drawn = 99;
        if (k == 5) make_jpeg(20, 30, &file);
        else make_png(kinds[3 * k], HEIGHT, WIDTH, &file, NULL);
        for (int i = 0; i < 600; i++) {
            Arena *arena = arena_new();
            char *bytes = arena_copy(arena, file.at, file.len), *error = NULL;
            Picture got;
            size_t n = i < 300 ? file.len * (size_t)i / 300 : file.len;
            for (int j = 0; i >= 300 && j < 1 + i % 3; j++) {
                drawn = drawn * 1664525u + 1013904223u;
                bytes[drawn % file.len] ^= (char)(1 + (drawn >> 24) % 255);
            }
            if (!read_picture(arena, "p", bytes, n, &got, &error)) assert_true(strncmp(error, "p: ", 3) == 0);
            arena_free(arena);
        }
        buf_free(&file);
    }
}

static void test_refused(void **state)
{
    (void)state;
    Arena *arena = arena_new();
    Buf file = {0};
    char *error = NULL;
    Picture got;
    make_png(kinds[0], 1, PICTURE_SIDE + 1, &file, NULL);
    assert_false(read_picture(arena, "p", file.at, file.len, &got, &error));
    assert_string_equal(error, "p: a picture of 1 x 16385 is not read");
    assert_false(read_picture(arena, "p", "GIF89a", 6, &got, &error));
    assert_string_equal(error, "p: neither a PNG nor a JPEG file");
    assert_true(picture_named("frost1.PNG") && picture_named("a.jpeg") && !picture_named("a.gif") &&
                !picture_named("png"));
    buf_free(&file);
    arena_free(arena);
}

/* ---- a folder of textures ---- */

static const char study[] =
    "pictures = dataset(\"given\", file: \"given.npy\", target: \"labels.npy\", classes: 2)\n"
    "experiment e {\n"
    "  for severity in 1..2 {\n"
    "    a = corrupt(pictures, with: frost[severity], textures: \"mine\")\n"
    "    b = corrupt(pictures, with: frost[severity])\n"
    "    record(bright: mean(a.raw), drawn: mean(b.raw), same: hash(a) == hash(b))\n"
    "    save(\"frosted\", a)\n"
    "  }\n"
    "  table(\"t\", bright: mean(bright))\n"
    "}\n";

static void put_npy(Child *c, const char *name, const char *shape, const char *descr, const void *data, size_t n)
{
    char head[128];
    int length = snprintf(head, sizeof head,
                          "\x93NUMPY%c%c%c%c{'descr': '%s', 'fortran_order': False, 'shape': (%s), }", 1, 0, 118, 0,
                          descr, shape);
    memset(head + length, ' ', sizeof head - (size_t)length);
    head[127] = '\n';
    Buf out = {0};
    buf_put(&out, head, sizeof head);
    buf_put(&out, data, n);
    child_bytes(c, name, out.at, out.len);
    buf_free(&out);
}

static void put_png(Child *c, const char *name, int side, int value)
{
    Buf file = {0};
    unsigned char head[13] = {0, 0, (unsigned char)(side >> 8), (unsigned char)side, 0, 0, (unsigned char)(side >> 8),
                              (unsigned char)side, 8, 0, 0, 0, 0};
    uLong n = (uLong)side * (uLong)(side + 1);
    uLongf size = compressBound(n);
    unsigned char *lines = malloc(n), *packed = malloc(size);
    memset(lines, value, n);
    for (int y = 0; y < side; y++) lines[y * (side + 1)] = 0;
    assert_int_equal(compress(packed, &size, lines, n), Z_OK);
    buf_put(&file, "\x89PNG\r\n\x1a\n", 8);
    put_chunk(&file, "IHDR", head, 13);
    put_chunk(&file, "IDAT", packed, size);
    put_chunk(&file, "IEND", "", 0);
    child_bytes(c, name, file.at, file.len);
    buf_free(&file);
    free(lines);
    free(packed);
}

enum { PICTURES = 4, NUMBERS = 3 * 32 * 32 };

static void put_data(Child *c)
{
    char *error = NULL;
    uint8_t images[PICTURES * NUMBERS];
    static const uint8_t labels[PICTURES] = {0, 1, 0, 1};
    memset(images, 100, sizeof images);
    assert_true(folder_make(c->arena, child_path(c, "mine"), &error));
    put_npy(c, "given.npy", "4, 3, 32, 32", "|u1", images, sizeof images);
    put_npy(c, "labels.npy", "4,", "|u1", labels, sizeof labels);
}

static Outcome run_study(Child *c)
{
    return child_run(c, "run", child_text(c, "s.nin", study), "--data", c->folder, "--out", child_path(c, "out"),
                     "--quiet", NULL);
}

/* Of a texture of one grey, frost is what it must be: severity 1 takes 1 of the image and 0.2 of it, severity 2 1 and
 * 0.3. */
static void test_frost(void **state)
{
    Child *c = *state;
    char *error = NULL, *json;
    size_t length;
    put_data(c);
    put_png(c, "mine/a.png", 163, 50);
    Outcome o = run_study(c);
    if (o.status != 0) fail_msg("%s", o.err);
    static const int want[] = {110, 115};
    for (int s = 0; s < 2; s++) {
        DataArray x;
        if (!read_npy(c->arena, child_path(c, arena_printf(c->arena, "out/s/e/frosted-%d.x.npy", s + 1)), NULL, &x,
                      &error))
            fail_msg("%s", error);
        assert_int_equal(x.rows, PICTURES);
        for (int i = 0; i < PICTURES * NUMBERS; i++) assert_true(data_at(&x, i) == (float)(want[s] / 255.0));
    }
    char hash[65];
    assert_true(file_sha256(c->arena, child_path(c, "mine/a.png"), hash, &error));
    assert_true(file_read(c->arena, child_path(c, "out/s/e/run.json"), 0, &json, &length, &error));
    assert_non_null(strstr(json, arena_printf(c->arena, "frost by 1 texture of mine, sha256 %s", hash)));
    assert_true(file_read(c->arena, child_path(c, "out/s/e/records.jsonl"), 0, &json, &length, &error));
    assert_non_null(strstr(json, "\"same\":false"));
}

static void test_not_textures(void **state)
{
    Child *c = *state;
    put_data(c);
    assert_non_null(strstr(run_study(c).err, "there is no .png and no .jpg file in"));
    put_png(c, "mine/small.png", 162, 50);
    assert_non_null(
        strstr(run_study(c).err, "small.png is 162 x 162; a texture for images of 32 x 32 has 163 x 163 or more"));
    child_text(c, "mine/a.png", "no picture");
    assert_non_null(strstr(run_study(c).err, "a.png: neither a PNG nor a JPEG file"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_png),
        cmocka_unit_test(test_jpeg),
        cmocka_unit_test(test_damaged),
        cmocka_unit_test(test_refused),
        cmocka_unit_test_setup_teardown(test_frost, child_open, child_close),
        cmocka_unit_test_setup_teardown(test_not_textures, child_open, child_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
