/* corrupt.c -- the table of corruptions, their parameters, and where random numbers come from. */
#include "corrupt/parts.h"

#include <math.h>
#include <string.h>

#include "support/math.h"
#include "support/rng.h"

typedef struct Kind {
    const char *name, *group;
    void (*apply)(Corruptor *c, uint8_t *out);
    double p[CORRUPT_SEVERITIES][7];
} Kind;

/* Parameters of the CIFAR-10 set (not those of ImageNet-C). */
static const Kind kinds[CORRUPT_KINDS] = {
    {"gaussian_noise", "noise", corrupt_gaussian_noise, {{0.04}, {0.06}, {0.08}, {0.09}, {0.10}}},
    {"shot_noise", "noise", corrupt_shot_noise, {{500}, {250}, {100}, {75}, {50}}},
    {"impulse_noise", "noise", corrupt_impulse_noise, {{0.01}, {0.02}, {0.03}, {0.05}, {0.07}}},
    /* radius, sigma of its edge */
    {"defocus_blur", "blur", corrupt_defocus_blur, {{0.3, 0.4}, {0.4, 0.5}, {0.5, 0.6}, {1, 0.2}, {1.5, 0.1}}},
    /* sigma, distance, passes */
    {"glass_blur", "blur", corrupt_glass_blur, {{0.05, 1, 1}, {0.25, 1, 1}, {0.4, 1, 1}, {0.25, 1, 2}, {0.4, 1, 2}}},
    {"motion_blur", "blur", corrupt_motion_blur, {{6, 1}, {6, 1.5}, {6, 2}, {8, 2}, {9, 2.5}}},
    /* how many factors 1.00, 1.01, ... */
    {"zoom_blur", "blur", corrupt_zoom_blur, {{7}, {12}, {16}, {21}, {26}}},
    /* mean, deviation, zoom, threshold, blur's radius and sigma, mix */
    {"snow", "weather", corrupt_snow,
     {{.1, .2, 1, .6, 8, 3, .95}, {.1, .2, 1, .5, 10, 4, .9}, {.15, .3, 1.75, .55, 10, 4, .9},
      {.25, .3, 2.25, .6, 12, 6, .85}, {.3, .3, 1.25, .65, 14, 12, .8}}},
    {"frost", "weather", corrupt_frost, {{1, .2}, {1, .3}, {.9, .4}, {.85, .4}, {.75, .45}}},
    {"fog", "weather", corrupt_fog, {{.2, 3}, {.5, 3}, {.75, 2.5}, {1, 2}, {1.5, 1.75}}},
    {"brightness", "weather", corrupt_brightness, {{.05}, {.1}, {.15}, {.2}, {.3}}},
    {"contrast", "digital", corrupt_contrast, {{.75}, {.5}, {.4}, {.3}, {.15}}},
    /* amplitude, sigma, distance of the corners */
    {"elastic_transform", "digital", corrupt_elastic_transform,
     {{0, 0, 2.56}, {1.6, 6.4, 2.24}, {2.56, 1.92, 1.92}, {3.2, 1.28, 1.6}, {3.2, 0.96, 0.96}}},
    {"pixelate", "digital", corrupt_pixelate, {{30}, {28}, {27}, {24}, {20}}},
    {"jpeg_compression", "digital", corrupt_jpeg_compression, {{80}, {65}, {58}, {50}, {40}}},
    {"speckle_noise", "noise", corrupt_speckle_noise, {{.06}, {.1}, {.12}, {.16}, {.2}}},
    {"gaussian_blur", "blur", corrupt_gaussian_blur, {{.4}, {.6}, {.7}, {.8}, {1}}},
    /* mean, deviation, sigma, threshold, intensity, mud */
    {"spatter", "weather", corrupt_spatter,
     {{.62, .1, .7, .7, .5, 0}, {.65, .1, .8, .7, .5, 0}, {.65, .3, 1, .69, .5, 0}, {.65, .1, .7, .69, .6, 1},
      {.65, .1, .5, .68, .6, 1}}},
    {"saturate", "digital", corrupt_saturate, {{.3, 0}, {.1, 0}, {1.5, 0}, {2, .1}, {2.5, .2}}},
};

const char *corruption_name(int kind) { return kinds[kind].name; }
const char *corruption_group(int kind) { return kinds[kind].group; }

int corruption_find(const char *name) {
    for (int i = 0; i < CORRUPT_KINDS; i++)
        if (strcmp(kinds[i].name, name) == 0) return i;
    return -1;
}

/* ---- random numbers ---- */

CorruptStream corrupt_stream(Corruptor *c, uint64_t seed, uint32_t example) {
    return (CorruptStream){rng_key(seed, "corrupt", (uint32_t)c->o.severity, kinds[c->o.kind].name, 0), example, 0, c};
}

static double uniform53(uint32_t w0, uint32_t w1) { return (double)((uint64_t)(w0 >> 5) << 26 | w1 >> 6) * 0x1p-53; }

/* P(0), P(0) + P(1), ... of a mean of 500 at most, terms added upwards, until nothing is added any more; kept by grey
 * level. */
static const Cdf *cdf_of(Corruptor *c, double mean) {
    enum { MOST = 2000 };
    Cdf *cdf = &c->cdf[(int)nearbyint(mean / c->p[0] * 255) & 255];
    if (cdf->n && cdf->mean == mean) return cdf;
    double sum[MOST], p = nin_exp_f64(-mean);
    int n = 0;
    for (sum[n++] = p; n < MOST && (n <= mean || sum[n - 1] + p > sum[n - 1]); n++)
        sum[n] = sum[n - 1] + (p *= mean / n);
    *cdf = (Cdf){mean, n, arena_array(c->arena, double, n)};
    memcpy(cdf->sum, sum, (size_t)n * sizeof *sum);
    return cdf;
}

/* The least k with P(0) + ... + P(k) > u. */
static double poisson(Corruptor *c, double mean, double u) {
    const Cdf *cdf = cdf_of(c, mean);
    int lo = 0, hi = cdf->n - 1;
    while (lo < hi) {
        int middle = (lo + hi) / 2;
        if (cdf->sum[middle] > u) hi = middle;
        else lo = middle + 1;
    }
    return lo;
}

static double stream_draw(void *data, DrawKind kind, double a, double b) {
    CorruptStream *s = data;
    uint32_t counter[4] = {s->next++, s->example, 0, 0}, w[4];
    rng_words(s->key, counter, w);
    double u = uniform53(w[0], w[1]);
    switch (kind) {
    case DRAW_UNIFORM: return a + (b - a) * u;
    case DRAW_BELOW: return floor(a * u);
    case DRAW_POISSON: return poisson(s->corruptor, a, u);
    case DRAW_NORMAL: {
        double r = sqrt(-2 * nin_log_f64(u + 0x1p-53)),
               z = r * nin_cos_f64(2 * 3.14159265358979323846 * uniform53(w[2], w[3]));
        return a + b * z;
    }
    }
    return 0;
}

CorruptDraws corrupt_draws(CorruptStream *stream) { return (CorruptDraws){stream, stream_draw}; }

/* ---- one image ---- */

Corruptor *corruptor_new(Arena *arena, const CorruptOptions *options) {
    Corruptor *c = arena_new_of(arena, Corruptor);
    const CorruptOptions *o = options;
    c->o = *o;
    c->p = kinds[o->kind].p[o->severity - 1];
    c->pixels = o->height * o->width;
    c->numbers = c->pixels * o->channels;
    c->arena = arena;
    c->x = arena_array(arena, double, c->numbers);
    for (int i = 0; i < COUNT(c->plane); i++) c->plane[i] = arena_array(arena, double, c->numbers);
    for (int i = 0; i < COUNT(c->byte); i++) c->byte[i] = arena_array(arena, uint8_t, c->numbers);
    c->frost = arena_array(arena, double, 3 * c->pixels);
    for (c->fog_side = 2; c->fog_side < o->height || c->fog_side < o->width;) c->fog_side *= 2;
    c->fog = arena_array(arena, double, c->fog_side * c->fog_side);
    return c;
}

void corrupt_image(Corruptor *c, CorruptDraws draws, const uint8_t *in, uint8_t *out) {
    c->draws = draws;
    c->in = in;
    if (in == out) {
        memcpy(c->byte[3], in, (size_t)c->numbers);
        c->in = c->byte[3];
    }
    for (int i = 0; i < c->numbers; i++) c->x[i] = c->in[i] / 255.0;
    kinds[c->o.kind].apply(c, out);
}
