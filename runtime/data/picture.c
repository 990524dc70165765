/* picture.c -- see picture.h. */
#include "data/picture.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include <jpeglib.h>
#include <zlib.h>

bool picture_named(const char *path) {
    const char *dot = strrchr(path, '.');
    return dot && (strcasecmp(dot, ".png") == 0 || strcasecmp(dot, ".jpg") == 0 || strcasecmp(dot, ".jpeg") == 0);
}

static bool refuse(Arena *arena, char **error, const char *name, const char *what) {
    *error = arena_printf(arena, "%s: %s", name, what);
    return false;
}

static bool picture_room(Arena *arena, uint64_t height, uint64_t width, const char *name, Picture *out, char **error) {
    if (!height || !width || height > PICTURE_SIDE || width > PICTURE_SIDE || height * width > PICTURE_PIXELS)
        return refuse(arena, error, name, arena_printf(arena, "a picture of %llu x %llu is not read", (unsigned long long)height, (unsigned long long)width));
    *out = (Picture){(int)height, (int)width, arena_alloc(arena, height * width * 3)};
    return true;
}

/* ---- PNG: signature, chunks (length, name, data, CRC), one zlib stream of filtered lines ---- */

enum { GREY = 0, RGB = 2, PALETTE = 3, GREY_ALPHA = 4, RGB_ALPHA = 6 };
typedef struct Png {
    const uint8_t *at, *end;
    uint32_t width, height;
    int depth, type, samples;
    uint8_t palette[3 * 256]; int colors;
    Buf packed;                          /* of all IDAT chunks */
} Png;

static uint32_t big_endian(const uint8_t *at) { return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3]; }

static const char *png_head(Png *png, const uint8_t *data, uint32_t length) {
    static const int samples[] = {1, 0, 3, 1, 2, 0, 4};
    if (length != 13 || png->depth) return "its header is damaged";
    png->width = big_endian(data);
    png->height = big_endian(data + 4);
    png->depth = data[8];
    png->type = data[9];
    png->samples = png->type <= RGB_ALPHA ? samples[png->type] : 0;
    bool small = png->depth == 1 || png->depth == 2 || png->depth == 4, whole = png->depth == 8 || (png->depth == 16 && png->type != PALETTE);
    if (!png->samples || !(whole || (small && (png->type == GREY || png->type == PALETTE))) || data[10] || data[11]) return "its header is damaged";
    return data[12] ? "an interlaced PNG is not read" : NULL;
}

/* What is wrong, or NULL. */
static const char *png_chunks(Png *png) {
    for (bool ended = false; !ended;) {
        if (png->end - png->at < 12) return "it ends too early";
        uint32_t length = big_endian(png->at);
        const uint8_t *name = png->at + 4, *data = png->at + 8;
        if (length > (uint64_t)(png->end - png->at) - 12) return "it ends too early";
        if (big_endian(data + length) != crc32(crc32(0, NULL, 0), name, length + 4)) return "a checksum is wrong";
        png->at = data + length + 4;
        const char *wrong = NULL;
        if (memcmp(name, "IHDR", 4) == 0) wrong = png_head(png, data, length);
        else if (!png->depth) wrong = "its header is damaged";
        else if (memcmp(name, "PLTE", 4) == 0) {
            png->colors = length % 3 == 0 && length <= sizeof png->palette ? (int)(length / 3) : 0;
            memcpy(png->palette, data, 3 * (size_t)png->colors);
        } else if (memcmp(name, "IDAT", 4) == 0) buf_put(&png->packed, (const char *)data, length);
        else if (memcmp(name, "IEND", 4) == 0) ended = true;
        else if (!(name[0] & 32)) wrong = "it has a part that must be understood, and is not";
        if (wrong) return wrong;
    }
    return NULL;
}

static size_t line_bytes(const Png *png) { return ((size_t)png->width * (size_t)(png->samples * png->depth) + 7) / 8; }

static uint8_t paeth(int a, int b, int c) {
    int p = a + b - c, pa = abs(p - a), pb = abs(p - b), pc = abs(p - c);
    return (uint8_t)(pa <= pb && pa <= pc ? a : pb <= pc ? b : c);
}

/* Undoes the filter of each line, in place; a line is its filter and its bytes. */
static bool unfilter(const Png *png, uint8_t *lines) {
    size_t n = line_bytes(png), step = (size_t)(png->samples * png->depth + 7) / 8;
    for (uint32_t y = 0; y < png->height; y++) {
        uint8_t *line = lines + y * (n + 1) + 1;
        const uint8_t *above = y ? line - (n + 1) : NULL;
        if (line[-1] > 4) return false;
        for (size_t i = 0; i < n; i++) {
            int a = i >= step ? line[i - step] : 0, b = above ? above[i] : 0, c = above && i >= step ? above[i - step] : 0;
            switch (line[-1]) {
            case 1: line[i] = (uint8_t)(line[i] + a); break;
            case 2: line[i] = (uint8_t)(line[i] + b); break;
            case 3: line[i] = (uint8_t)(line[i] + (a + b) / 2); break;
            case 4: line[i] = (uint8_t)(line[i] + paeth(a, b, c)); break;
            default: break;
            }
        }
    }
    return true;
}

/* Sample number i of a line: a byte, or the index of a colour. */
static int sample_at(const Png *png, const uint8_t *line, size_t i) {
    if (png->depth == 8) return line[i];
    if (png->depth == 16) return line[2 * i];
    int per = 8 / png->depth, most = (1 << png->depth) - 1, value = line[i / (size_t)per] >> (8 - png->depth * (int)(i % (size_t)per + 1)) & most;
    return png->type == PALETTE ? value : value * 255 / most;
}

static bool png_pixels(const Png *png, const uint8_t *lines, Picture *out) {
    size_t n = line_bytes(png);
    for (uint32_t y = 0; y < png->height; y++)
        for (uint32_t x = 0; x < png->width; x++) {
            const uint8_t *line = lines + y * (n + 1) + 1;
            uint8_t *pixel = out->rgb + 3 * ((size_t)y * png->width + x);
            bool colored = png->type == RGB || png->type == RGB_ALPHA;
            int first = sample_at(png, line, (size_t)x * (size_t)png->samples);
            if (png->type == PALETTE && first >= png->colors) return false;
            for (int k = 0; k < 3; k++)
                pixel[k] = png->type == PALETTE ? png->palette[3 * first + k]
                                                : (uint8_t)sample_at(png, line, (size_t)x * (size_t)png->samples + (size_t)(colored ? k : 0));
        }
    return true;
}

static bool read_png(Arena *arena, const char *name, const uint8_t *bytes, size_t length, Picture *out, char **error) {
    Png png = {.at = bytes + 8, .end = bytes + length};
    uint8_t *lines = NULL;
    const char *wrong = png_chunks(&png);
    bool ok = !wrong && picture_room(arena, png.height, png.width, name, out, error);
    if (ok) {
        uLongf size = (uLongf)((line_bytes(&png) + 1) * png.height), whole = size;
        lines = malloc(size + 1);
        if (!lines) wrong = "no memory to read it";
        else if (uncompress(lines, &size, (const Bytef *)png.packed.at, png.packed.len) != Z_OK || size != whole || !unfilter(&png, lines)
                 || !png_pixels(&png, lines, out))
            wrong = "its pixels are damaged";
        ok = !wrong;
    }
    free(lines);
    buf_free(&png.packed);
    return ok || (wrong ? refuse(arena, error, name, wrong) : false);
}

/* ---- JPEG ---- */

/* The library's own error handling would end the process: it jumps back here instead. */
typedef struct Jpeg { struct jpeg_error_mgr manager; jmp_buf back; struct jpeg_decompress_struct z; bool ok; } Jpeg;
static void jpeg_failed(j_common_ptr info) { longjmp(((Jpeg *)(void *)info->err)->back, 1); }
static void jpeg_silent(j_common_ptr info) { (void)info; }
static void jpeg_silent_level(j_common_ptr info, int level) { (void)info, (void)level; }

static bool jpeg_pixels(Arena *arena, const char *name, Jpeg *j, const uint8_t *bytes, size_t length, Picture *out, char **error) {
    jpeg_create_decompress(&j->z);
    jpeg_mem_src(&j->z, bytes, length);
    jpeg_read_header(&j->z, TRUE);
    j->z.out_color_space = JCS_RGB;
    if (!picture_room(arena, j->z.image_height, j->z.image_width, name, out, error)) return false;
    jpeg_start_decompress(&j->z);
    while (j->z.output_scanline < j->z.output_height) {
        JSAMPROW row = out->rgb + 3 * (size_t)j->z.output_scanline * j->z.output_width;
        jpeg_read_scanlines(&j->z, &row, 1);
    }
    jpeg_finish_decompress(&j->z);
    return true;
}

static bool read_jpeg(Arena *arena, const char *name, const uint8_t *bytes, size_t length, Picture *out, char **error) {
    Jpeg *j = calloc(1, sizeof *j);
    if (!j) return refuse(arena, error, name, "no memory to read it");
    j->z.err = jpeg_std_error(&j->manager);
    j->manager.error_exit = jpeg_failed;
    j->manager.output_message = jpeg_silent;
    j->manager.emit_message = jpeg_silent_level;
    if (setjmp(j->back) == 0) j->ok = jpeg_pixels(arena, name, j, bytes, length, out, error);
    else refuse(arena, error, name, "it is damaged, or a JPEG of a kind that is not read");
    bool ok = j->ok;
    jpeg_destroy_decompress(&j->z);
    free(j);
    return ok;
}

bool read_picture(Arena *arena, const char *name, const void *bytes, size_t length, Picture *out, char **error) {
    static const uint8_t png[] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
    if (length >= sizeof png && memcmp(bytes, png, sizeof png) == 0) return read_png(arena, name, bytes, length, out, error);
    if (length >= 2 && memcmp(bytes, "\xff\xd8", 2) == 0) return read_jpeg(arena, name, bytes, length, out, error);
    return refuse(arena, error, name, "neither a PNG nor a JPEG file");
}
