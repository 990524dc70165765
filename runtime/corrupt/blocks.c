/* blocks.c -- building blocks of several corruptions: borders, Gaussians, zooms, motion, correlation. */
#include "corrupt/parts.h"

#include <math.h>
#include <string.h>

#include "support/math.h"

/* edge: aaa|abcd|ddd; reflect: cba|abcd|dcb; reflect101: dcb|abcd|cba. */
int border_at(Border border, int i, int n) {
    if (border == BORDER_EDGE || n == 1) return i < 0 ? 0 : i >= n ? n - 1 : i;
    int twice = border == BORDER_REFLECT ? 1 : 0;
    while (i < 0 || i >= n) i = i < 0 ? -i - twice : 2 * (n - 1) - i + twice;
    return i;
}

enum { MOST_TAPS = 128 };

/* One axis: `count` lines of n numbers, `stride` apart. */
static void gauss_line(const double *in, double *out, int n, int stride, const double *w, int r, Border border) {
    for (int i = 0; i < n; i++) {
        double sum = in[i * stride] * w[0];
        for (int k = r; k > 0; k--)
            sum += (in[border_at(border, i - k, n) * stride] + in[border_at(border, i + k, n) * stride]) * w[k];
        out[i * stride] = sum;
    }
}

void gauss(Corruptor *c, double *a, int channels, double sigma, Border border, double truncate) {
    if (sigma <= 1e-15) return;
    double w[MOST_TAPS], total = 0, *b = c->plane[3];
    int r = (int)(truncate * sigma + 0.5), h = c->o.height, wide = c->o.width;
    for (int k = 0; k <= r; k++) {
        w[k] = nin_exp_f64(-0.5 / (sigma * sigma) * k * k);
        total += k ? 2 * w[k] : w[k];
    }
    for (int k = 0; k <= r; k++) w[k] /= total;
    for (int i = 0; i < wide * channels; i++) gauss_line(a + i, b + i, h, wide * channels, w, r, border);
    for (int y = 0; y < h; y++)
        for (int k = 0; k < channels; k++)
            gauss_line(b + y * wide * channels + k, a + y * wide * channels + k, wide, channels, w, r, border);
}

/* Crop ceil(n / factor) in the middle, enlarge to round(crop * factor), crop n in the middle: where output i is
 * read. */
typedef struct Zoom { int first, count; double step; int offset; } Zoom;
static Zoom zoom_axis(int n, double factor) {
    int crop = (int)ceil(n / factor), large = (int)nearbyint(crop * factor);
    return (Zoom){(n - crop) / 2, crop, large > 1 ? (double)(crop - 1) / (large - 1) : 0, (large - n) / 2};
}

static int zoom_at(Zoom z, int i, double *fraction) {
    double at = (i + z.offset) * z.step;
    int whole = (int)floor(at);
    if (whole > z.count - 2) whole = z.count > 1 ? z.count - 2 : 0;
    *fraction = at - whole;
    return z.first + whole;
}

void clip_zoom(const Corruptor *c, const double *a, int channels, double factor, double *out) {
    int h = c->o.height, w = c->o.width;
    Zoom zy = zoom_axis(h, factor), zx = zoom_axis(w, factor);
    for (int y = 0; y < h; y++) {
        double fy, fx;
        int iy = zoom_at(zy, y, &fy);
        for (int x = 0; x < w; x++) {
            const double *p = a + (iy * w + zoom_at(zx, x, &fx)) * channels, *q = p + w * channels;
            for (int k = 0; k < channels; k++)
                *out++ = p[k] * (1 - fy) * (1 - fx) + p[k + channels] * (1 - fy) * fx + q[k] * fy * (1 - fx) +
                    q[k + channels] * fy * fx;
        }
    }
}

/* out(x, y) = sum_i k_i a(x + dx_i, y + dy_i), i = 0 .. 2 ceil(radius), at the nearest pixels; 16-bit rounding, then
 * the truncation to 8 bits. */
void motion(const Corruptor *c, const uint8_t *a, int channels, double radius, double sigma, double angle,
            uint8_t *out) {
    int h = c->o.height, w = c->o.width, taps = 2 * (int)ceil(radius) + 1, dx[MOST_TAPS], dy[MOST_TAPS];
    double k[MOST_TAPS], total = 0, radians = angle * (3.14159265358979323846 / 180);
    for (int i = 0; i < taps; i++) {
        total += k[i] = nin_exp_f64(-(double)i * i / (2 * sigma * sigma));
        dx[i] = (int)ceil(i * nin_cos_f64(radians) - 0.5);
        dy[i] = (int)ceil(i * nin_sin_f64(radians) - 0.5);
    }
    for (int i = 0; i < taps; i++) k[i] /= total;
    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++)
            for (int ch = 0; ch < channels; ch++) {
                double sum = 0;
                for (int i = 0; i < taps; i++)
                    sum +=
                        k[i] *
                        a[(border_at(BORDER_EDGE, y + dy[i], h) * w + border_at(BORDER_EDGE, x + dx[i], w)) * channels +
                          ch];
                *out++ = (uint8_t)floor(floor(257 * sum + 0.5) / 257);
            }
}

void correlate(const Corruptor *c, const double *a, int channels, const double kernel[9], Border border, double *out) {
    int h = c->o.height, w = c->o.width;
    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++)
            for (int ch = 0; ch < channels; ch++) {
                double sum = 0;
                for (int i = 0; i < 9; i++)
                    sum +=
                        kernel[i] *
                        a[(border_at(border, y + i / 3 - 1, h) * w + border_at(border, x + i % 3 - 1, w)) * channels +
                          ch];
                *out++ = sum;
            }
}
