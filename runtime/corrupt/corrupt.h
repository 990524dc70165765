/* corrupt.h -- the image corruptions of CIFAR-10-C: 15 common ones and 4 more, in 5 severities.
 *
 * Source: Hendrycks and Dietterich, ICLR 2019, with the parameters of their CIFAR-10 set.  An image is bytes [height,
 * width, channels], channels 1 or 3 (RGB), each side 16 or longer; the result is truncated to bytes as theirs is.
 * Sizes other than 32x32 take the same numbers, but for pixelate, whose smaller side is in proportion.  Grey images are
 * corrupted as one channel: colours that a corruption adds count by their luminance, and there is no saturation to
 * change.
 *
 * Random numbers come from CorruptDraws in a stated order, so that a recorded run can be replayed. */
#ifndef NIN_CORRUPT_H
#define NIN_CORRUPT_H

#include "base/base.h"

enum {
    CORRUPT_SEVERITIES = 5, CORRUPT_COMMON = 15, CORRUPT_KINDS = 19, CORRUPT_MIN_SIDE = 16, CORRUPT_MAX_SIDE = 1024
};

/* In the order of the published set: noise, blur, weather, digital; then the four that mCE leaves out. */
const char *corruption_name(int kind);
const char *corruption_group(int kind);
int corruption_find(const char *name);                  /* its number, or -1 */

typedef enum DrawKind {
    DRAW_NORMAL,        /* a: mean, b: standard deviation */
    DRAW_UNIFORM,       /* from a to b */
    DRAW_BELOW,         /* a whole number 0 .. a-1 */
    DRAW_POISSON        /* a: mean */
} DrawKind;
typedef struct CorruptDraws { void *data; double (*draw)(void *data, DrawKind kind, double a, double b); } CorruptDraws;

/* A frost texture: bytes [height, width, 3] as photographed; corruption takes every fifth pixel. */
typedef struct FrostTexture { int height, width; const uint8_t *rgb; } FrostTexture;

typedef struct CorruptOptions {
    int kind, severity;                                 /* severity 1 .. 5 */
    int height, width, channels;
    const FrostTexture *frost; int frosts;              /* none: a drawn texture, to be called "frost-like" */
} CorruptOptions;

/* What is made once for all images: scratch and tables.  For one thread at a time. */
typedef struct Corruptor Corruptor;
Corruptor *corruptor_new(Arena *arena, const CorruptOptions *options);
/* in, out: bytes [height, width, channels]; may be the same. */
void corrupt_image(Corruptor *c, CorruptDraws draws, const uint8_t *in, uint8_t *out);

/* The draws of example `example` of a corruption: key (seed, "corrupt", severity, its name, 0); draw number i takes the
 * words 4i .. 4i+3 of step 0.  Uniforms have 53 bits (first two words); normals are Box-Muller in f64; a Poisson number
 * is the least k whose distribution function is above the uniform. */
typedef struct CorruptStream { uint64_t key; uint32_t example, next; Corruptor *corruptor; } CorruptStream;
CorruptStream corrupt_stream(Corruptor *c, uint64_t seed, uint32_t example);
CorruptDraws corrupt_draws(CorruptStream *stream);

#endif
