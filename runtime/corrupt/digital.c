/* digital.c -- elastic transform, pixelation, JPEG. */
#include "corrupt/parts.h"

#include <math.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>

/* ---- elastic transform ---- */

/* The inverse of the affine map that takes three points near the corners to where they were drawn to. */
typedef struct AffineMap {
    double m[6];
} AffineMap; /* x' = m0 x + m1 y + m2, y' = m3 x + m4 y + m5 */

/* Of three points from -> to: differences from the last one give the linear part. */
static AffineMap affine_of(const double from[3][2], const double to[3][2]) {
    double a = from[0][0] - from[2][0], b = from[0][1] - from[2][1], d = from[1][0] - from[2][0],
           e = from[1][1] - from[2][1];
    double det = a * e - b * d;
    AffineMap map;
    for (int k = 0; k < 2; k++) {
        double u = to[0][k] - to[2][k], v = to[1][k] - to[2][k];
        double mx = (u * e - v * b) / det, my = (a * v - d * u) / det;
        map.m[3 * k] = mx;
        map.m[3 * k + 1] = my;
        map.m[3 * k + 2] = to[2][k] - mx * from[2][0] - my * from[2][1];
    }
    return map;
}

static AffineMap map_inverse(AffineMap f) {
    double det = f.m[0] * f.m[4] - f.m[1] * f.m[3], d = det != 0 ? 1 / det : 0;
    AffineMap g = {{f.m[4] * d, -f.m[1] * d, 0, -f.m[3] * d, f.m[0] * d, 0}};
    g.m[2] = -g.m[0] * f.m[2] - g.m[1] * f.m[5];
    g.m[5] = -g.m[3] * f.m[2] - g.m[4] * f.m[5];
    return g;
}

static double bilinear(const Corruptor *c, const double *a, int y, int x, double fy, double fx, Border border, int k) {
    int h = c->o.height, w = c->o.width, n = c->o.channels;
    int y0 = border_at(border, y, h), y1 = border_at(border, y + 1, h), x0 = border_at(border, x, w),
        x1 = border_at(border, x + 1, w);
    return a[(y0 * w + x0) * n + k] * (1 - fy) * (1 - fx) + a[(y0 * w + x1) * n + k] * (1 - fy) * fx
         + a[(y1 * w + x0) * n + k] * fy * (1 - fx) + a[(y1 * w + x1) * n + k] * fy * fx;
}

/* Coordinates in steps of 1/32 pixel, as fixed-point arithmetic makes them. */
static void warp_affine(const Corruptor *c, const double *a, AffineMap inverse, double *out) {
    const double *m = inverse.m;
    for (int y = 0; y < c->o.height; y++)
        for (int x = 0; x < c->o.width; x++) {
            long fx = lrint(1024 * m[0] * x) + lrint(1024 * (m[1] * y + m[2])) + 16,
                 fy = lrint(1024 * m[3] * x) + lrint(1024 * (m[4] * y + m[5])) + 16;
            fx >>= 5;
            fy >>= 5;
            for (int k = 0; k < c->o.channels; k++)
                *out++ = (float)bilinear(c, a, (int)(fy >> 5), (int)(fx >> 5), (double)(fy & 31) / 32,
                                         (double)(fx & 31) / 32, BORDER_REFLECT101, k);
        }
}

static void displacement(Corruptor *c, double *field) {
    for (int i = 0; i < c->pixels; i++) field[i] = draw(c, DRAW_UNIFORM, -1, 1);
    gauss(c, field, 1, c->p[1], BORDER_REFLECT, 3);
    for (int i = 0; i < c->pixels; i++) field[i] = (float)(field[i] * c->p[0]);
}

void corrupt_elastic_transform(Corruptor *c, uint8_t *out) {
    int h = c->o.height, w = c->o.width, n = c->o.channels;
    double y = h / 2, x = w / 2, s = (h < w ? h : w) / 3, from[3][2] = {{x + s, y + s}, {x + s, y - s}, {x - s, y - s}},
           to[3][2];
    double *warped = c->plane[0], *dx = c->plane[1], *dy = c->plane[2];
    for (int i = 0; i < 3; i++)
        for (int k = 0; k < 2; k++) to[i][k] = (float)(from[i][k] + draw(c, DRAW_UNIFORM, -c->p[2], c->p[2]));
    for (int i = 0; i < c->numbers; i++) c->x[i] = (float)c->x[i];
    warp_affine(c, c->x, map_inverse(affine_of(from, to)), warped);
    displacement(c, dx);
    displacement(c, dy);
    for (int row = 0, i = 0; row < h; row++)
        for (int column = 0; column < w; column++, i++) {
            double py = row + dy[i], px = column + dx[i], iy = floor(py), ix = floor(px);
            for (int k = 0; k < n; k++)
                out[i * n + k] = byte_of_f32(
                    (float)bilinear(c, warped, (int)iy, (int)ix, py - iy, px - ix, BORDER_REFLECT, k));
        }
}

/* ---- pixelate ---- */

/* One axis of a box-filter resize, in -> out, of `lines` lines: whole pixels with equal weights, in 22-bit fixed
 * point. */
static void box_line(const uint8_t *in, int n, int from, uint8_t *out, int to, int into) {
    double scale = (double)n / to, support = scale > 1 ? scale : 1;
    for (int j = 0; j < to; j++) {
        double centre = (j + 0.5) * scale;
        int first = (int)(centre - support / 2 + 0.5), end = (int)(centre + support / 2 + 0.5), count = 0;
        if (first < 0) first = 0;
        if (end > n) end = n;
        for (int q = first; q < end; q++) {
            double at = (q - centre + 0.5) / support;
            count += at > -0.5 && at <= 0.5;
        }
        int64_t sum = 1 << 21, weight = (int64_t)(0.5 + (double)(1 << 22) / (count ? count : 1));
        for (int q = first; q < end; q++) {
            double at = (q - centre + 0.5) / support;
            if (at > -0.5 && at <= 0.5) sum += weight * in[q * from];
        }
        sum >>= 22;
        out[j * into] = (uint8_t)(sum > 255 ? 255 : sum);
    }
}

static void box_resize(const uint8_t *in, int h, int w, int n, uint8_t *between, uint8_t *out, int high, int wide) {
    for (int y = 0; y < h; y++)
        for (int k = 0; k < n; k++) box_line(in + y * w * n + k, w, n, between + y * wide * n + k, wide, n);
    for (int i = 0; i < wide * n; i++) box_line(between + i, h, wide * n, out + i, high, wide * n);
}

void corrupt_pixelate(Corruptor *c, uint8_t *out) {
    int h = c->o.height, w = c->o.width, n = c->o.channels, side = (int)c->p[0];
    int high = (h * side + 16) / 32, wide = (w * side + 16) / 32;
    box_resize(c->in, h, w, n, c->byte[0], c->byte[1], high, wide);
    box_resize(c->byte[1], high, wide, n, c->byte[0], out, h, w);
}

/* ---- JPEG ---- */

/* The library's own error handling would end the process: it jumps back here instead, within one function. */
typedef struct JpegError { struct jpeg_error_mgr manager; jmp_buf back; } JpegError;
static void jpeg_failed(j_common_ptr info) { longjmp(((JpegError *)info->err)->back, 1); }
static void jpeg_silent(j_common_ptr info) { (void)info; }

static struct jpeg_error_mgr *jpeg_errors(JpegError *error) {
    jpeg_std_error(&error->manager);
    error->manager.error_exit = jpeg_failed;
    error->manager.output_message = jpeg_silent;
    return &error->manager;
}

static void jpeg_encode(const Corruptor *c, struct jpeg_compress_struct *z, unsigned char **file, unsigned long *size) {
    int n = c->o.channels;
    jpeg_create_compress(z);
    jpeg_mem_dest(z, file, size);
    z->image_width = (JDIMENSION)c->o.width;
    z->image_height = (JDIMENSION)c->o.height;
    z->input_components = n;
    z->in_color_space = n == 3 ? JCS_RGB : JCS_GRAYSCALE;
    jpeg_set_defaults(z);
    jpeg_set_quality(z, (int)c->p[0], TRUE);
    jpeg_start_compress(z, TRUE);
    while (z->next_scanline < z->image_height) {
        JSAMPROW row = (JSAMPROW)(uintptr_t)(c->in + (size_t)z->next_scanline * (size_t)(c->o.width * n));
        jpeg_write_scanlines(z, &row, 1);
    }
    jpeg_finish_compress(z);
}

static void jpeg_decode(const Corruptor *c, struct jpeg_decompress_struct *z, const unsigned char *file,
                        unsigned long size, uint8_t *out) {
    jpeg_create_decompress(z);
    jpeg_mem_src(z, file, size);
    jpeg_read_header(z, TRUE);
    jpeg_start_decompress(z);
    while (z->output_scanline < z->output_height) {
        JSAMPROW row = out + (size_t)z->output_scanline * (size_t)(c->o.width * c->o.channels);
        jpeg_read_scanlines(z, &row, 1);
    }
    jpeg_finish_decompress(z);
}

/* Baseline, 4:2:0, standard tables; default decoding.  If memory runs out the image stays as it was. */
void corrupt_jpeg_compression(Corruptor *c, uint8_t *out) {
    struct Jpeg {
        JpegError error;
        struct jpeg_compress_struct write;
        struct jpeg_decompress_struct read;
        unsigned char *file;
        unsigned long size;
    } *j = calloc(1, sizeof *j);
    if (!j) return;
    j->write.err = j->read.err = jpeg_errors(&j->error);
    if (setjmp(j->error.back) == 0) {
        jpeg_encode(c, &j->write, &j->file, &j->size);
        jpeg_decode(c, &j->read, j->file, j->size, out);
    } else {
        memcpy(out, c->in, (size_t)c->numbers);
    }
    jpeg_destroy_compress(&j->write);
    jpeg_destroy_decompress(&j->read);
    free(j->file);
    free(j);
}
