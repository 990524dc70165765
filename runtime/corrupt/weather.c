/* weather.c -- snow, frost and fog. */
#include "corrupt/parts.h"

#include <math.h>
#include <string.h>

static double luminance(const double *x, int channels) {
    return channels == 1 ? x[0] : .299 * x[0] + .587 * x[1] + .114 * x[2];
}

/* Flakes: normal noise, zoomed, cut below a threshold, blurred along a drawn direction; they and themselves turned by
 * half are added to the whitened image. */
void corrupt_snow(Corruptor *c, uint8_t *out) {
    const double *p = c->p;
    double *noise = c->plane[0], *layer = c->plane[1], mix = p[6];
    uint8_t *flakes = c->byte[0], *blurred = c->byte[1];
    int n = c->o.channels;
    for (int i = 0; i < c->pixels; i++) noise[i] = draw(c, DRAW_NORMAL, p[0], p[1]);
    clip_zoom(c, noise, 1, p[2], layer);
    for (int i = 0; i < c->pixels; i++) flakes[i] = layer[i] < p[3] ? 0 : byte_of(layer[i]);
    motion(c, flakes, 1, p[4], p[5], draw(c, DRAW_UNIFORM, -135, -45), blurred);
    for (int i = 0; i < c->pixels; i++) {
        double white = luminance(c->x + i * n, n) * 1.5 + 0.5,
               snow = blurred[i] / 255.0 + blurred[c->pixels - 1 - i] / 255.0;
        for (int k = 0; k < n; k++) {
            double x = c->x[i * n + k];
            out[i * n + k] = byte_of(mix * x + (1 - mix) * fmax(x, white) + snow);
        }
    }
}

/* ---- frost ---- */

/* Means and deviations (RGB) of the published textures at a fifth of their size; the second and third are one
 * picture. */
static const double frost_like[5][6] = {{77, 149, 166, 27, 16, 15},
                                        {201, 205, 214, 21, 22, 23},
                                        {201, 205, 214, 21, 22, 23},
                                        {138, 153, 166, 29, 29, 30},
                                        {112, 123, 135, 44, 43, 42}};

/* Two fifths of the variance is white noise, the rest noise blurred by a Gaussian of 8 pixels. */
static void frost_drawn(Corruptor *c, double *texture) {
    enum { BLUR = 8 };
    const double *row = frost_like[(int)draw(c, DRAW_BELOW, 5, 0)];
    double *smooth = c->plane[1], *white = c->plane[2], gain = 2 * BLUR * sqrt(3.14159265358979323846);
    for (int i = 0; i < c->pixels; i++) smooth[i] = draw(c, DRAW_NORMAL, 0, 1);
    for (int i = 0; i < c->pixels; i++) white[i] = draw(c, DRAW_NORMAL, 0, 1);
    gauss(c, smooth, 1, BLUR, BORDER_REFLECT, 4);
    for (int i = 0; i < c->pixels; i++)
        for (int k = 0; k < 3; k++) {
            double value = row[k] + row[3 + k] * (sqrt(0.4) * white[i] + sqrt(0.6) * gain * smooth[i]);
            texture[3 * i + k] = value < 0 ? 0 : value > 255 ? 255 : floor(value);
        }
}

/* A window of one of the first five textures, every fifth pixel. */
static void frost_taken(Corruptor *c, double *texture) {
    int many = c->o.frosts > 5 ? 5 : c->o.frosts;
    const FrostTexture *t = &c->o.frost[(int)draw(c, DRAW_BELOW, many, 0)];
    int h = (t->height + 2) / 5, w = (t->width + 2) / 5;
    int top = (int)draw(c, DRAW_BELOW, h - c->o.height, 0), left = (int)draw(c, DRAW_BELOW, w - c->o.width, 0);
    for (int y = 0; y < c->o.height; y++)
        for (int x = 0; x < c->o.width; x++)
            for (int k = 0; k < 3; k++)
                texture[3 * (y * c->o.width + x) + k] =
                    t->rgb[3 * ((5 * (top + y) + 2) * t->width + 5 * (left + x) + 2) + k];
}

void corrupt_frost(Corruptor *c, uint8_t *out) {
    double *texture = c->frost;
    int n = c->o.channels;
    if (c->o.frosts) frost_taken(c, texture);
    else frost_drawn(c, texture);
    for (int i = 0; i < c->numbers; i++) {
        double add = n == 3 ? texture[i] : luminance(texture + 3 * i, 3), value = c->p[0] * c->in[i] + c->p[1] * add;
        out[i] = (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value);
    }
}

/* ---- fog ---- */

/* One stage of the diamond-square: cell (i, j) of each step, offset (di, dj): the mean of four, and a drawn change. */
typedef struct Fog { double *a; int n, step; double wibble; } Fog;
static double fog_at(const Fog *f, int y, int x) { return f->a[(y & (f->n - 1)) * f->n + (x & (f->n - 1))]; }

static void fog_stage(Corruptor *c, const Fog *f, int dy, int dx, const int from[4][2]) {
    for (int y = 0; y < f->n; y += f->step)
        for (int x = 0; x < f->n; x += f->step) {
            double sum = 0;
            for (int k = 0; k < 4; k++) sum += fog_at(f, y + from[k][0], x + from[k][1]);
            f->a[(y + dy) * f->n + x + dx] = sum / 4 + f->wibble * draw(c, DRAW_UNIFORM, -f->wibble, f->wibble);
        }
}

/* Toroidal diamond-square on 2^k points; the amplitude of a level is the square of its width.  0 .. 1. */
static void fog_map(Corruptor *c, Fog f, double decay) {
    f.a[0] = 0;
    for (f.step = f.n, f.wibble = 100; f.step >= 2; f.step /= 2, f.wibble /= decay) {
        int s = f.step, h = s / 2;
        const int square[4][2] = {{0, 0}, {s, 0}, {0, s}, {s, s}}, right[4][2] = {{h, h}, {h - s, h}, {0, 0}, {0, s}},
                  below[4][2] = {{h, h}, {h, h - s}, {0, 0}, {s, 0}};
        fog_stage(c, &f, h, h, square);
        fog_stage(c, &f, 0, h, right);
        fog_stage(c, &f, h, 0, below);
    }
    double lo = f.a[0], hi = f.a[0];
    for (int i = 0; i < f.n * f.n; i++) {
        lo = fmin(lo, f.a[i]);
        hi = fmax(hi, f.a[i]);
    }
    for (int i = 0; i < f.n * f.n; i++) f.a[i] = (f.a[i] - lo) / (hi - lo);
}

void corrupt_fog(Corruptor *c, uint8_t *out) {
    int h = c->o.height, w = c->o.width, n = c->o.channels;
    double most = 0, strength = c->p[0];
    fog_map(c, (Fog){c->fog, c->fog_side, 0, 0}, c->p[1]);
    for (int i = 0; i < c->numbers; i++) most = fmax(most, c->x[i]);
    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++)
            for (int k = 0; k < n; k++) {
                int i = (y * w + x) * n + k;
                out[i] = byte_of((c->x[i] + strength * c->fog[y * c->fog_side + x]) * most / (most + strength));
            }
}
