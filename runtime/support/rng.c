/* rng.c -- see rng.h.  Everything is integer arithmetic but rng_uniform_of (exact) and rng_normals_of, the one
 * place that needs the language's own log, cos and sin. */
#include "support/rng.h"

#include <math.h>

#include "base/base.h"
#include "support/math.h"

/* One round: c0' = hi(M1 c2) ^ c1 ^ k0, c1' = lo(M1 c2), c2' = hi(M0 c0) ^ c3 ^ k1, c3' = lo(M0 c0). */
void rng_words(uint64_t key, const uint32_t counter[4], uint32_t out[4]) {
    uint32_t k0 = (uint32_t)key, k1 = (uint32_t)(key >> 32);
    uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3];
    for (int round = 0; round < 10; round++) {
        uint64_t a = (uint64_t)0xD2511F53u * c0, b = (uint64_t)0xCD9E8D57u * c2;
        c0 = (uint32_t)(b >> 32) ^ c1 ^ k0;
        c1 = (uint32_t)b;
        c2 = (uint32_t)(a >> 32) ^ c3 ^ k1;
        c3 = (uint32_t)a;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    out[0] = c0, out[1] = c1, out[2] = c2, out[3] = c3;
}

static uint64_t hash_number(uint64_t hash, uint64_t number, int bytes) {
    unsigned char le[8];
    for (int i = 0; i < bytes; i++) le[i] = (unsigned char)(number >> (8 * i));
    return fnv1a(le, (size_t)bytes, hash);
}

uint64_t rng_key(uint64_t seed, const char *purpose, uint32_t session, const char *path, uint32_t occurrence) {
    uint64_t hash = hash_number(FNV1A_START, seed, 8);
    hash = fnv1a(purpose, strlen(purpose) + 1, hash);
    hash = hash_number(hash, session, 4);
    hash = hash_number(hash, fnv1a(path, strlen(path), FNV1A_START), 8);
    return hash_number(hash, occurrence, 4);
}

float rng_uniform_of(uint32_t word) { return (float)(word >> 8) * 0x1p-24f; }

void rng_normals_of(uint32_t w0, uint32_t w1, float z[2]) {
    float u1 = (float)((w0 >> 8) + 1) * 0x1p-24f, angle = 6.28318530717958647692f * rng_uniform_of(w1);
    float r = sqrtf(-2.0f * nin_log_f32(u1));
    z[0] = r * nin_cos_f32(angle);
    z[1] = r * nin_sin_f32(angle);
}

/* ---- one element ---- */
static void words_at(uint64_t key, uint32_t block, uint32_t example, uint32_t step, uint32_t attempt, uint32_t out[4]) {
    rng_words(key, (uint32_t[4]){block, example, step, attempt}, out);
}

float rng_uniform(uint64_t key, uint32_t element, uint32_t example, uint32_t step) {
    uint32_t word[4];
    words_at(key, element / 4, example, step, 0, word);
    return rng_uniform_of(word[element % 4]);
}

static float normal_at(uint64_t key, uint32_t element, uint32_t example, uint32_t step, uint32_t attempt) {
    uint32_t word[4], pair = element % 4 / 2 * 2;
    float z[2];
    words_at(key, element / 4, example, step, attempt, word);
    rng_normals_of(word[pair], word[pair + 1], z);
    return z[element % 2];
}

float rng_normal(uint64_t key, uint32_t element, uint32_t example, uint32_t step) {
    return normal_at(key, element, example, step, 0);
}

enum { ATTEMPTS = 256 };

/* Goes on from a first attempt z. */
static float truncate_normal(float z, uint64_t key, uint32_t element, uint32_t example, uint32_t step, float limit) {
    for (uint32_t attempt = 1; attempt < ATTEMPTS && fabsf(z) > limit; attempt++)
        z = normal_at(key, element, example, step, attempt);
    return z > limit ? limit : z < -limit ? -limit : z;
}

float rng_truncated(uint64_t key, uint32_t element, uint32_t example, uint32_t step, float limit) {
    return truncate_normal(normal_at(key, element, example, step, 0), key, element, example, step, limit);
}

/* ---- whole tensors ---- */
void rng_fill_uniform(uint64_t key, int64_t n, float *out) {
    for (int64_t i = 0; i < n; i += 4) {
        uint32_t word[4];
        words_at(key, (uint32_t)(i / 4), 0, 0, 0, word);
        for (int k = 0; k < 4 && i + k < n; k++) out[i + k] = rng_uniform_of(word[k]);
    }
}

void rng_fill_normal(uint64_t key, int64_t n, float *out) {
    for (int64_t i = 0; i < n; i += 4) {
        uint32_t word[4];
        float z[4];
        words_at(key, (uint32_t)(i / 4), 0, 0, 0, word);
        rng_normals_of(word[0], word[1], z);
        rng_normals_of(word[2], word[3], z + 2);
        for (int k = 0; k < 4 && i + k < n; k++) out[i + k] = z[k];
    }
}

void rng_fill_truncated(uint64_t key, int64_t n, float limit, float *out) {
    rng_fill_normal(key, n, out);
    for (int64_t i = 0; i < n; i++) out[i] = truncate_normal(out[i], key, (uint32_t)i, 0, 0, limit);
}

/* ---- streams ---- */
RngStream rng_stream(uint64_t key, uint32_t step) { return (RngStream){.key = key, .step = step}; }

uint32_t rng_next(RngStream *stream) {
    uint32_t at = stream->next++;
    if (at % 4 == 0) words_at(stream->key, at / 4, 0, stream->step, 0, stream->word);
    return stream->word[at % 4];
}

uint32_t rng_below(RngStream *stream, uint32_t bound) {
    uint32_t least = (0u - bound) % bound, word;                   /* 2^32 mod bound */
    do word = rng_next(stream);
    while (word < least);
    return word % bound;
}

void rng_permutation(uint64_t key, uint32_t step, uint32_t n, uint32_t *out) {
    RngStream stream = rng_stream(key, step);
    for (uint32_t i = 0; i < n; i++) out[i] = i;
    for (uint32_t i = n; i-- > 1;) {
        uint32_t j = rng_below(&stream, i + 1), kept = out[i];
        out[i] = out[j];
        out[j] = kept;
    }
}
