/* picture.c -- see picture.h. */
#include "data/picture.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include <jpeglib.h>
#include <png.h>

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
        return refuse(arena, error, name,
                      arena_printf(arena, "a picture of %llu x %llu is not read", (unsigned long long)height,
                                   (unsigned long long)width));
    *out = (Picture){(int)height, (int)width, arena_alloc(arena, height * width * 3)};
    return true;
}

/* ---- PNG ---- */

/* The libraries' own error handling would end the process: they jump back here instead. */
typedef struct Png {
    jmp_buf back; png_structp read; png_infop info;
    const uint8_t *at; size_t left;      /* of the file, to be read */
    char wrong[80]; bool ok;
} Png;

static void png_failed(png_structp read, png_const_charp what) {
    Png *p = png_get_error_ptr(read);
    snprintf(p->wrong, sizeof p->wrong, "%s", what);
    longjmp(p->back, 1);
}
static void png_silent(png_structp read, png_const_charp what) { (void)read, (void)what; }

static void png_take(png_structp read, png_bytep to, size_t n) {
    Png *p = png_get_io_ptr(read);
    if (n > p->left) png_error(read, "it ends too early");
    memcpy(to, p->at, n);
    p->at += n;
    p->left -= n;
}

static bool png_pixels(Arena *arena, const char *name, Png *p, Picture *out, char **error) {
    png_set_read_fn(p->read, p, png_take);
    png_set_user_limits(p->read, PNG_UINT_31_MAX, PNG_UINT_31_MAX);         /* picture_room has its own */
    png_read_info(p->read, p->info);
    png_uint_32 height = png_get_image_height(p->read, p->info), width = png_get_image_width(p->read, p->info);
    if (!picture_room(arena, height, width, name, out, error)) return false;
    png_set_expand(p->read);
    png_set_strip_16(p->read);
    png_set_gray_to_rgb(p->read);
    png_set_strip_alpha(p->read);
    png_set_interlace_handling(p->read);
    png_read_update_info(p->read, p->info);
    png_bytep *row = arena_array(arena, png_bytep, out->height);
    for (int y = 0; y < out->height; y++) row[y] = out->rgb + 3 * (size_t)y * (size_t)out->width;
    png_read_image(p->read, row);
    png_read_end(p->read, NULL);
    return true;
}

static bool read_png(Arena *arena, const char *name, const uint8_t *bytes, size_t length, Picture *out, char **error) {
    Png *p = calloc(1, sizeof *p);
    if (p) *p = (Png){.at = bytes, .left = length};
    if (p) p->read = png_create_read_struct(PNG_LIBPNG_VER_STRING, p, png_failed, png_silent);
    if (p && p->read) p->info = png_create_info_struct(p->read);
    if (!p || !p->info) refuse(arena, error, name, "no memory to read it");
    else if (setjmp(p->back) == 0) p->ok = png_pixels(arena, name, p, out, error);
    else refuse(arena, error, name, p->wrong);
    bool ok = p && p->ok;
    if (p) png_destroy_read_struct(&p->read, &p->info, NULL);
    free(p);
    return ok;
}

/* ---- JPEG ---- */

typedef struct Jpeg { struct jpeg_error_mgr manager; jmp_buf back; struct jpeg_decompress_struct z; bool ok; } Jpeg;
static void jpeg_failed(j_common_ptr info) { longjmp(((Jpeg *)(void *)info->err)->back, 1); }
static void jpeg_silent(j_common_ptr info) { (void)info; }
static void jpeg_silent_level(j_common_ptr info, int level) { (void)info, (void)level; }

static bool jpeg_pixels(Arena *arena, const char *name, Jpeg *j, const uint8_t *bytes, size_t length, Picture *out,
                        char **error) {
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
    if (length >= sizeof png && memcmp(bytes, png, sizeof png) == 0)
        return read_png(arena, name, bytes, length, out, error);
    if (length >= 2 && memcmp(bytes, "\xff\xd8", 2) == 0) return read_jpeg(arena, name, bytes, length, out, error);
    return refuse(arena, error, name, "neither a PNG nor a JPEG file");
}
