/* sha256.c -- see sha256.h.  Written after FIPS 180-4, section 6.2.
 *
 * Much at once goes through the instructions for it where the processor has them: four rounds at a time, the state as
 * the halves a b e f and c d g h (the first named highest). */
#include "support/sha256.h"

#include <stdbool.h>
#include <string.h>
#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>
#endif

enum { MUCH = 4096 };

/* The first 32 bits of the fractional parts of the cube roots of the first 64 primes. */
static const uint32_t round_constant[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static inline uint32_t rotate(uint32_t x, int n) { return x >> n | x << (32 - n); }

static inline uint32_t big_endian(const uint8_t *b) {
    return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

static void add_block(uint32_t state[8], const uint8_t *block) {
    uint32_t w[64], v[8];
    for (int t = 0; t < 16; t++) w[t] = big_endian(block + 4 * t);
    for (int t = 16; t < 64; t++) {
        uint32_t s0 = rotate(w[t - 15], 7) ^ rotate(w[t - 15], 18) ^ w[t - 15] >> 3;
        uint32_t s1 = rotate(w[t - 2], 17) ^ rotate(w[t - 2], 19) ^ w[t - 2] >> 10;
        w[t] = w[t - 16] + s0 + w[t - 7] + s1;
    }
    memcpy(v, state, sizeof v);
    for (int t = 0; t < 64; t++) {
        uint32_t a = v[0], e = v[4];
        uint32_t s1 = rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25), choice = (e & v[5]) ^ (~e & v[6]);
        uint32_t s0 = rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22), major = (a & v[1]) ^ (a & v[2]) ^ (v[1] & v[2]);
        uint32_t t1 = v[7] + s1 + choice + round_constant[t] + w[t];
        memmove(v + 1, v, 7 * sizeof *v);
        v[4] += t1;
        v[0] = t1 + s0 + major;
    }
    for (int i = 0; i < 8; i++) state[i] += v[i];
}

#if defined(__x86_64__)
static bool has_instructions(void) {
    unsigned a, b, c, d;
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b >> 29 & 1);
}

__attribute__((target("sha,sse4.1")))
static void add_blocks(uint32_t state[8], const uint8_t *at, size_t blocks) {
    const __m128i swap = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
    __m128i dcba = _mm_loadu_si128((const void *)state), hgfe = _mm_loadu_si128((const void *)(state + 4));
    __m128i cdab = _mm_shuffle_epi32(dcba, 0xb1), efgh = _mm_shuffle_epi32(hgfe, 0x1b), w[4];
    __m128i abef = _mm_alignr_epi8(cdab, efgh, 8), cdgh = _mm_blend_epi16(efgh, cdab, 0xf0);
    for (; blocks; blocks--, at += 64) {
        __m128i first = abef, second = cdgh;
        for (int i = 0; i < 4; i++) w[i] = _mm_shuffle_epi8(_mm_loadu_si128((const void *)(at + 16 * i)), swap);
        for (int i = 0; i < 16; i++) {
            __m128i *now = &w[i & 3], k = _mm_loadu_si128((const void *)(round_constant + 4 * i));
            k = _mm_add_epi32(k, *now);
            cdgh = _mm_sha256rnds2_epu32(cdgh, abef, k);
            abef = _mm_sha256rnds2_epu32(abef, cdgh, _mm_shuffle_epi32(k, 0x0e));
            if (i >= 12) continue;
            __m128i last = w[(i + 3) & 3], seventh = _mm_alignr_epi8(last, w[(i + 2) & 3], 4);
            *now = _mm_add_epi32(_mm_sha256msg1_epu32(*now, w[(i + 1) & 3]), seventh);
            *now = _mm_sha256msg2_epu32(*now, last);
        }
        abef = _mm_add_epi32(abef, first);
        cdgh = _mm_add_epi32(cdgh, second);
    }
    __m128i feba = _mm_shuffle_epi32(abef, 0x1b), dchg = _mm_shuffle_epi32(cdgh, 0xb1);
    _mm_storeu_si128((void *)state, _mm_blend_epi16(feba, dchg, 0xf0));
    _mm_storeu_si128((void *)(state + 4), _mm_alignr_epi8(dchg, feba, 8));
}
#else
static bool has_instructions(void) { return false; }
static void add_blocks(uint32_t state[8], const uint8_t *at, size_t blocks) { (void)state, (void)at, (void)blocks; }
#endif

void sha256_start(Sha256 *sha) {
    *sha = (Sha256){.state = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                              0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19}};
}

void sha256_add(Sha256 *sha, const void *bytes, size_t length) {
    const uint8_t *at = bytes;
    size_t held = sha->length % 64;
    sha->length += length;
    if (held) {
        size_t part = length < 64 - held ? length : 64 - held;
        memcpy(sha->block + held, at, part);
        at += part, length -= part;
        if (held + part < 64) return;
        add_block(sha->state, sha->block);
    }
    if (length >= MUCH && has_instructions()) {
        add_blocks(sha->state, at, length / 64);
        at += length / 64 * 64, length %= 64;
    }
    for (; length >= 64; at += 64, length -= 64) add_block(sha->state, at);
    if (length) memcpy(sha->block, at, length);
}

void sha256_end(Sha256 *sha, uint8_t digest[32]) {
    uint64_t bits = sha->length * 8;
    uint8_t pad[72] = {0x80};
    size_t held = sha->length % 64, zeros = held < 56 ? 56 - held : 120 - held;
    for (int i = 0; i < 8; i++) pad[zeros + (size_t)i] = (uint8_t)(bits >> (56 - 8 * i));
    sha256_add(sha, pad, zeros + 8);
    for (int i = 0; i < 32; i++) digest[i] = (uint8_t)(sha->state[i / 4] >> (24 - 8 * (i % 4)));
}

void sha256_end_hex(Sha256 *sha, char hex[65]) {
    uint8_t digest[32];
    sha256_end(sha, digest);
    for (int i = 0; i < 32; i++) {
        hex[2 * i] = "0123456789abcdef"[digest[i] >> 4];
        hex[2 * i + 1] = "0123456789abcdef"[digest[i] & 15];
    }
    hex[64] = 0;
}

void sha256_hex(const void *bytes, size_t length, char hex[65]) {
    Sha256 sha;
    sha256_start(&sha);
    sha256_add(&sha, bytes, length);
    sha256_end_hex(&sha, hex);
}
