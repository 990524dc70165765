/* rng.h -- counter-based random numbers: Philox4x32-10 (Salmon et al., SC 2011).
 *
 * A random number is a pure function of a 64-bit key and a place (element, example, step, attempt); there is no
 * generator state.  The key names *what* is drawn (seed, purpose, session, path, occurrence).  The map from keys to
 * bits to numbers is part of the language: lang/random.md states it, with test vectors.
 *
 * Place to Philox counter:  c0 = element / 4,  c1 = example,  c2 = step,  c3 = attempt (0 but for redraws);
 * the element's word is out[element mod 4]. */
#ifndef NIN_RNG_H
#define NIN_RNG_H

#include <stdbool.h>
#include <stdint.h>

/* The ten rounds of Philox4x32; the key's low half is the generator's first key word. */
void rng_words(uint64_t key, const uint32_t counter[4], uint32_t out[4]);

/* FNV-1a over: seed (u64 LE), purpose with its final 0 byte, session (u32 LE), FNV-1a of the path (u64 LE),
 * occurrence (u32 LE). */
uint64_t rng_key(uint64_t seed, const char *purpose, uint32_t session, const char *path, uint32_t occurrence);

/* From words to numbers. */
float rng_uniform_of(uint32_t word);                               /* (word >> 8) * 2^-24: [0, 1) */
/* Box-Muller, f32 arithmetic: z[0] = r cos(2 pi u2), z[1] = r sin(2 pi u2), r = sqrt(-2 log u1),
 * u1 = ((w0 >> 8) + 1) * 2^-24, u2 = (w1 >> 8) * 2^-24. */
void rng_normals_of(uint32_t w0, uint32_t w1, float z[2]);

/* One element.  f64 tensors take the same values, widened. */
float rng_uniform(uint64_t key, uint32_t element, uint32_t example, uint32_t step);
float rng_normal(uint64_t key, uint32_t element, uint32_t example, uint32_t step);
/* The first normal of attempts 0, 1, ... (counter c3) within [-limit, limit]; after 256 attempts, the last clamped. */
float rng_truncated(uint64_t key, uint32_t element, uint32_t example, uint32_t step, float limit);

/* Whole tensors: elements 0 .. n-1 of example 0, step 0 (initialisation). */
void rng_fill_uniform(uint64_t key, int64_t n, float *out);        /* [0, 1) */
void rng_fill_normal(uint64_t key, int64_t n, float *out);
void rng_fill_truncated(uint64_t key, int64_t n, float limit, float *out);

/* A stream of words: word i is element i of (key, example 0, step). */
typedef struct RngStream { uint64_t key; uint32_t step, next; uint32_t word[4]; } RngStream;
RngStream rng_stream(uint64_t key, uint32_t step);
uint32_t rng_next(RngStream *stream);
/* Uniform in 0 .. bound-1 (bound >= 1): words below 2^32 mod bound are passed over; then word mod bound. */
uint32_t rng_below(RngStream *stream, uint32_t bound);

/* Fisher-Yates: out = 0 .. n-1; for i = n-1 down to 1, swap out[i] and out[rng_below(i + 1)]. */
void rng_permutation(uint64_t key, uint32_t step, uint32_t n, uint32_t *out);

#endif
