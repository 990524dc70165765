/* simple.c -- noises, blurs, and changes of colour. */
#include "corrupt/parts.h"

#include <math.h>
#include <string.h>

#include "support/math.h"

/* ---- noise ---- */

void corrupt_gaussian_noise(Corruptor *c, uint8_t *out) {
    for (int i = 0; i < c->numbers; i++) out[i] = byte_of(c->x[i] + draw(c, DRAW_NORMAL, 0, c->p[0]));
}

void corrupt_shot_noise(Corruptor *c, uint8_t *out) {
    for (int i = 0; i < c->numbers; i++) out[i] = byte_of(draw(c, DRAW_POISSON, c->p[0] * c->x[i], 0) / c->p[0]);
}

void corrupt_impulse_noise(Corruptor *c, uint8_t *out) {
    for (int i = 0; i < c->numbers; i++) {
        double u = draw(c, DRAW_UNIFORM, 0, 1), amount = c->p[0];
        out[i] = u < amount / 2 ? 255 : u < amount ? 0 : c->in[i];
    }
}

void corrupt_speckle_noise(Corruptor *c, uint8_t *out) {
    for (int i = 0; i < c->numbers; i++) out[i] = byte_of(c->x[i] + c->x[i] * draw(c, DRAW_NORMAL, 0, c->p[0]));
}

/* ---- blur ---- */

void corrupt_gaussian_blur(Corruptor *c, uint8_t *out) {
    gauss(c, c->x, c->o.channels, c->p[0], BORDER_EDGE, 4);
    for (int i = 0; i < c->numbers; i++) out[i] = byte_of(c->x[i]);
}

/* A disc on a grid, its edge smoothed by a 3x3 Gaussian: with these radii it fits in 5x5, and what is not zero in f32
 * in 3x3 but for the corners of radius 1.5. */
void corrupt_defocus_blur(Corruptor *c, uint8_t *out) {
    double radius = c->p[0], sigma = c->p[1], disc[7][7] = {{0}}, kernel[7][7] = {{0}}, total = 0;
    for (int y = -2; y <= 2; y++)
        for (int x = -2; x <= 2; x++) total += disc[y + 3][x + 3] = x * x + y * y <= radius * radius;
    double side = nin_exp_f64(-1 / (2 * sigma * sigma)),
           g[3] = {side / (1 + 2 * side), 1 / (1 + 2 * side), side / (1 + 2 * side)};
    for (int y = 1; y < 6; y++)
        for (int x = 1; x < 6; x++)
            for (int i = 0; i < 9; i++)
                kernel[y][x] += disc[y + i / 3 - 1][x + i % 3 - 1] / total * g[i / 3] * g[i % 3];
    int h = c->o.height, w = c->o.width, n = c->o.channels;
    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++)
            for (int ch = 0; ch < n; ch++) {
                double sum = 0;
                for (int i = 0; i < 49; i++) {
                    if (kernel[i / 7][i % 7] == 0) continue;
                    int row = border_at(BORDER_REFLECT101, y + i / 7 - 3, h),
                        column = border_at(BORDER_REFLECT101, x + i % 7 - 3, w);
                    sum += (float)kernel[i / 7][i % 7] * c->x[(row * w + column) * n + ch];
                }
                *out++ = byte_of(sum);
            }
}

/* Bytes blurred; then pixels copied from a neighbour above or left, in place, from the last pixel backwards. */
void corrupt_glass_blur(Corruptor *c, uint8_t *out) {
    int h = c->o.height, w = c->o.width, n = c->o.channels, far = (int)c->p[1];
    uint8_t *z = c->byte[0];
    gauss(c, c->x, n, c->p[0], BORDER_EDGE, 4);
    for (int i = 0; i < c->numbers; i++) z[i] = (uint8_t)(255 * c->x[i]);
    if ((int)(4 * c->p[0] + 0.5) == 0) memcpy(z, c->in, (size_t)c->numbers);
    for (int pass = 0; pass < (int)c->p[2]; pass++)
        for (int y = h - 1; y > far; y--)
            for (int x = w - 1; x > far; x--) {
                int dx = (int)draw(c, DRAW_BELOW, 2 * far, 0) - far, dy = (int)draw(c, DRAW_BELOW, 2 * far, 0) - far;
                memmove(z + (y * w + x) * n, z + ((y + dy) * w + x + dx) * n, (size_t)n);
            }
    for (int i = 0; i < c->numbers; i++) c->x[i] = z[i] / 255.0;
    gauss(c, c->x, n, c->p[0], BORDER_EDGE, 4);
    for (int i = 0; i < c->numbers; i++) out[i] = byte_of(c->x[i]);
}

void corrupt_motion_blur(Corruptor *c, uint8_t *out) {
    motion(c, c->in, c->o.channels, c->p[0], c->p[1], draw(c, DRAW_UNIFORM, -45, 45), out);
}

/* (x + the zooms) / (their number + 1), in f32; the first zoom is the image itself. */
void corrupt_zoom_blur(Corruptor *c, uint8_t *out) {
    int count = (int)c->p[0];
    double *sum = c->plane[0], *zoomed = c->plane[1], step = (1 + 0.01) - 1;
    for (int i = 0; i < c->numbers; i++) {
        c->x[i] = (float)c->x[i];
        sum[i] = 0;
    }
    for (int k = 0; k < count; k++) {
        clip_zoom(c, c->x, c->o.channels, 1 + k * step, zoomed);
        for (int i = 0; i < c->numbers; i++) sum[i] = (float)((float)sum[i] + (float)zoomed[i]);
    }
    for (int i = 0; i < c->numbers; i++) out[i] = byte_of_f32(((float)c->x[i] + (float)sum[i]) / (float)(count + 1));
}

/* ---- colour ---- */

typedef struct Hsv { double h, s, v; } Hsv;

/* Ties of the largest channel: blue before green before red. */
static Hsv hsv_of(const double *rgb) {
    double r = rgb[0], g = rgb[1], b = rgb[2], v = fmax(r, fmax(g, b)), least = fmin(r, fmin(g, b)), range = v - least;
    if (range == 0) return (Hsv){0, 0, v};
    double hue = b == v ? 4 + (r - g) / range : g == v ? 2 + (b - r) / range : (g - b) / range;
    hue /= 6;
    return (Hsv){hue - floor(hue), range / v, v};
}

static void rgb_of(Hsv a, double *rgb) {
    double sector = floor(6 * a.h), f = 6 * a.h - sector, p = a.v * (1 - a.s), q = a.v * (1 - f * a.s),
           t = a.v * (1 - (1 - f) * a.s);
    const double by[6][3] = {{a.v, t, p}, {q, a.v, p}, {p, a.v, t}, {p, q, a.v}, {t, p, a.v}, {a.v, p, q}};
    memcpy(rgb, by[(int)sector % 6], 3 * sizeof *rgb);
}

void corrupt_brightness(Corruptor *c, uint8_t *out) {
    double *x = c->x;
    for (int i = 0; i < c->pixels; i++, x += c->o.channels) {
        if (c->o.channels == 1) { x[0] += c->p[0]; continue; }
        Hsv a = hsv_of(x);
        a.v = clip01(a.v + c->p[0]);
        rgb_of(a, x);
    }
    for (int i = 0; i < c->numbers; i++) out[i] = byte_of(c->x[i]);
}

void corrupt_saturate(Corruptor *c, uint8_t *out) {
    double *x = c->x;
    if (c->o.channels == 1) { memcpy(out, c->in, (size_t)c->numbers); return; }
    for (int i = 0; i < c->pixels; i++, x += 3) {
        Hsv a = hsv_of(x);
        a.s = clip01(a.s * c->p[0] + c->p[1]);
        rgb_of(a, x);
    }
    for (int i = 0; i < c->numbers; i++) out[i] = byte_of(c->x[i]);
}

void corrupt_contrast(Corruptor *c, uint8_t *out) {
    for (int k = 0; k < c->o.channels; k++) {
        double mean = 0;
        for (int i = k; i < c->numbers; i += c->o.channels) mean += c->x[i];
        mean /= c->pixels;
        for (int i = k; i < c->numbers; i += c->o.channels) out[i] = byte_of((c->x[i] - mean) * c->p[0] + mean);
    }
}
