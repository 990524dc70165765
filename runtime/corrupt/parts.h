/* parts.h -- what the files of this folder share: an image as numbers, and the building blocks.
 *
 * Planes are f64 [height, width, channels].  x is the image / 255; a corruption writes the new values into out.
 * Intermediate values are rounded to f32 where the reference computes in f32: its result is truncated to bytes. */
#ifndef NIN_CORRUPT_PARTS_H
#define NIN_CORRUPT_PARTS_H

#include "corrupt/corrupt.h"

/* A Poisson distribution: sum[k] = P(0) + ... + P(k). */
typedef struct Cdf { double mean; int n; double *sum; } Cdf;

struct Corruptor {
    CorruptOptions o;
    const double *p;                     /* the parameters of this kind and severity */
    int pixels, numbers;                 /* height * width; * channels */
    double *x, *plane[4];                /* f64 [numbers]; plane[3] is scratch of the building blocks */
    double *frost;                       /* f64 [pixels, 3] */
    double *fog; int fog_side;           /* f64 [side, side], side a power of 2 */
    uint8_t *byte[4];
    Cdf cdf[256]; Arena *arena;          /* of the grey levels that were met */
    const uint8_t *in;
    CorruptDraws draws;
};

typedef enum Border { BORDER_EDGE, BORDER_REFLECT, BORDER_REFLECT101 } Border;
int border_at(Border border, int i, int n);

static inline double clip01(double x) { return x < 0 ? 0 : x > 1 ? 1 : x; }
static inline uint8_t byte_of(double x) { return (uint8_t)(255 * clip01(x)); }
static inline uint8_t byte_of_f32(float x) { return (uint8_t)(255.0f * (x < 0 ? 0 : x > 1 ? 1 : x)); }
static inline double draw(Corruptor *c, DrawKind kind, double a, double b)
{
    return c->draws.draw(c->draws.data, kind, a, b);
}

/* Separable, axis 0 then axis 1; sum in the order centre, then pairs from the outermost inwards; sigma 0: unchanged. */
void gauss(Corruptor *c, double *a, int channels, double sigma, Border border, double truncate);
/* Crop the middle and enlarge it, bilinear; out may not be a. */
void clip_zoom(const Corruptor *c, const double *a, int channels, double factor, double *out);
/* Along one direction from each pixel; angle in degrees; bytes [height, width, channels]; out may not be a. */
void motion(const Corruptor *c, const uint8_t *a, int channels, double radius, double sigma, double angle,
            uint8_t *out);
void correlate(const Corruptor *c, const double *a, int channels, const double kernel[9], Border border, double *out);

/* Each reads c->in and c->x and writes bytes. */
void corrupt_gaussian_noise(Corruptor *c, uint8_t *out);
void corrupt_shot_noise(Corruptor *c, uint8_t *out);
void corrupt_impulse_noise(Corruptor *c, uint8_t *out);
void corrupt_speckle_noise(Corruptor *c, uint8_t *out);
void corrupt_gaussian_blur(Corruptor *c, uint8_t *out);
void corrupt_defocus_blur(Corruptor *c, uint8_t *out);
void corrupt_glass_blur(Corruptor *c, uint8_t *out);
void corrupt_motion_blur(Corruptor *c, uint8_t *out);
void corrupt_zoom_blur(Corruptor *c, uint8_t *out);
void corrupt_snow(Corruptor *c, uint8_t *out);
void corrupt_frost(Corruptor *c, uint8_t *out);
void corrupt_fog(Corruptor *c, uint8_t *out);
void corrupt_brightness(Corruptor *c, uint8_t *out);
void corrupt_saturate(Corruptor *c, uint8_t *out);
void corrupt_contrast(Corruptor *c, uint8_t *out);
void corrupt_elastic_transform(Corruptor *c, uint8_t *out);
void corrupt_pixelate(Corruptor *c, uint8_t *out);
void corrupt_jpeg_compression(Corruptor *c, uint8_t *out);
void corrupt_spatter(Corruptor *c, uint8_t *out);

#endif
