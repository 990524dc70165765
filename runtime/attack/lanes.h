/* lanes.h -- sixteen numbers at a time, in whatever vectors the file that includes this is compiled for.
 *
 * Sums and maxima over a point are sixteen partials (index mod 16), added as a tree 16-8-4-2-1, the same on every
 * machine: what differs is only how many instructions the sixteen take.  Numbers behind the end of a row count as 0. */
#ifndef NIN_ATTACK_LANES_H
#define NIN_ATTACK_LANES_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

enum { LANES = 16 };

#if defined(__AVX512F__)
#include <immintrin.h>
typedef __m512d Part;
#define EACH(P) (Lanes){{P(0), P(1)}}
#define PART_ALL(v) _mm512_set1_pd(v)
#define PART_AT(p, k) _mm512_loadu_pd((p) + 8 * (k))
#define PART_AT_F32(p, k) _mm512_cvtps_pd(_mm256_loadu_ps((p) + 8 * (k)))
#define PART_PUT(p, k, v) _mm512_storeu_pd((p) + 8 * (k), v)
#define PART_PUT_F32(p, k, v) _mm256_storeu_ps((p) + 8 * (k), _mm512_cvtpd_ps(v))
#define PART_MAX(a, b) _mm512_max_pd(a, b)
#define PART_MIN(a, b) _mm512_min_pd(a, b)
#define PART_ABS(a) _mm512_abs_pd(a)
#define PART_ABOVE(a, b, p, q) _mm512_mask_blend_pd(_mm512_cmp_pd_mask(a, b, _CMP_GT_OQ), q, p)
#define PART_MOST(a, b, p, q) _mm512_mask_blend_pd(_mm512_cmp_pd_mask(a, b, _CMP_LE_OQ), q, p)
#define PART_ADD_MOST(a, b, s, v) _mm512_mask_add_pd(s, _mm512_cmp_pd_mask(a, b, _CMP_LE_OQ), s, v)
#define PART_ADD_NOT_MOST(a, b, s, v) _mm512_mask_add_pd(s, _mm512_cmp_pd_mask(a, b, _CMP_NLE_UQ), s, v)
#define PART_POSITIVE(v) _mm512_cmp_pd_mask(v, _mm512_setzero_pd(), _CMP_GT_OQ)
#define PART_NEGATIVE(v) _mm512_cmp_pd_mask(v, _mm512_setzero_pd(), _CMP_LT_OQ)
#define PART_BETWEEN(v, a, b, c, d) \
    _mm512_mask_sub_pd(_mm512_maskz_sub_pd(PART_POSITIVE(v), a, b), PART_NEGATIVE(v), c, d)
#define PART_AGAINST(v, x, m) \
    _mm512_mask_add_pd(_mm512_mask_sub_pd(x, PART_POSITIVE(v), x, m), PART_NEGATIVE(v), x, m)
#define PART_ALONG(v, x, m) \
    _mm512_mask_sub_pd(_mm512_mask_add_pd(x, PART_POSITIVE(v), x, m), PART_NEGATIVE(v), x, m)
#define PARTS 2
#elif defined(__AVX2__)
#include <immintrin.h>
typedef __m256d Part;
#define EACH(P) (Lanes){{P(0), P(1), P(2), P(3)}}
#define PART_ALL(v) _mm256_set1_pd(v)
#define PART_AT(p, k) _mm256_loadu_pd((p) + 4 * (k))
#define PART_AT_F32(p, k) _mm256_cvtps_pd(_mm_loadu_ps((p) + 4 * (k)))
#define PART_PUT(p, k, v) _mm256_storeu_pd((p) + 4 * (k), v)
#define PART_PUT_F32(p, k, v) _mm_storeu_ps((p) + 4 * (k), _mm256_cvtpd_ps(v))
#define PART_MAX(a, b) _mm256_max_pd(a, b)
#define PART_MIN(a, b) _mm256_min_pd(a, b)
#define PART_ABS(a) _mm256_andnot_pd(_mm256_set1_pd(-0.0), a)
#define PART_ABOVE(a, b, p, q) _mm256_blendv_pd(q, p, _mm256_cmp_pd(a, b, _CMP_GT_OQ))
#define PART_MOST(a, b, p, q) _mm256_blendv_pd(q, p, _mm256_cmp_pd(a, b, _CMP_LE_OQ))
#define PARTS 4
#else
typedef double Part;
#define EACH(P)                                                                                           \
    (Lanes){{P(0), P(1), P(2), P(3), P(4), P(5), P(6), P(7), P(8), P(9), P(10), P(11), P(12), P(13), P(14), P(15)}}
#define PART_ALL(v) (v)
#define PART_AT(p, k) (p)[k]
#define PART_AT_F32(p, k) (double)(p)[k]
#define PART_PUT(p, k, v) (p)[k] = (v)
#define PART_PUT_F32(p, k, v) (p)[k] = (float)(v)
#define PART_MAX(a, b) ((a) > (b) ? (a) : (b))
#define PART_MIN(a, b) ((a) < (b) ? (a) : (b))
#define PART_ABS(a) __builtin_fabs(a)
#define PART_ABOVE(a, b, p, q) ((a) > (b) ? (p) : (q))
#define PART_MOST(a, b, p, q) ((a) <= (b) ? (p) : (q))
#define PARTS 16
#endif

#ifndef PART_ADD_MOST
#define PART_ADD_MOST(a, b, s, v) (s) + PART_MOST(a, b, v, PART_ALL(0))
#define PART_ADD_NOT_MOST(a, b, s, v) (s) + PART_MOST(a, b, PART_ALL(0), v)
#endif

typedef struct Lanes { Part p[PARTS]; } Lanes;
#define LANES_FN static inline __attribute__((always_inline))
#define PART_2(name, op) LANES_FN Lanes lanes_##name(Lanes x, Lanes y) { return EACH(op); }
#define PART_4(name, op) LANES_FN Lanes lanes_##name(Lanes x, Lanes y, Lanes p, Lanes q) { return EACH(op); }

#define PART_K(k) PART_ALL(v)
LANES_FN Lanes lanes_all(double v) { return EACH(PART_K); }
#define PART_ADD(k) x.p[k] + y.p[k]
#define PART_SUB(k) x.p[k] - y.p[k]
#define PART_MUL(k) x.p[k] * y.p[k]
#define PART_LARGER(k) PART_MAX(y.p[k], x.p[k])
#define PART_SMALLER(k) PART_MIN(y.p[k], x.p[k])
#define PART_IF_ABOVE(k) PART_ABOVE(x.p[k], y.p[k], p.p[k], q.p[k])
#define PART_IF_MOST(k) PART_MOST(x.p[k], y.p[k], p.p[k], q.p[k])
PART_2(add, PART_ADD)
PART_2(sub, PART_SUB)
PART_2(mul, PART_MUL)
PART_2(max, PART_LARGER)                 /* x < y ? y : x */
PART_2(min, PART_SMALLER)                /* y < x ? y : x */
#define PART_SUM_MOST(k) PART_ADD_MOST(x.p[k], y.p[k], p.p[k], q.p[k])
#define PART_SUM_REST(k) PART_ADD_NOT_MOST(x.p[k], y.p[k], p.p[k], q.p[k])
PART_4(add_most, PART_SUM_MOST)          /* p + (x <= y ? q : 0), p no -0 */
PART_4(add_rest, PART_SUM_REST)          /* p + (x <= y ? 0 : q) */
PART_4(if_above, PART_IF_ABOVE)          /* x > y ? p : q */
PART_4(if_most, PART_IF_MOST)            /* x <= y ? p : q */
#define PART_SIZE(k) PART_ABS(x.p[k])
LANES_FN Lanes lanes_abs(Lanes x) { return EACH(PART_SIZE); }
/* v > 0 ? p : v < 0 ? q : 0 */
LANES_FN Lanes lanes_by_sign(Lanes v, Lanes p, Lanes q) {
    Lanes zero = lanes_all(0);
    return lanes_if_above(v, zero, p, lanes_if_above(zero, v, q, zero));
}
/* v > 0 ? a - b : v < 0 ? c - d : 0 */
LANES_FN Lanes lanes_between(Lanes v, Lanes a, Lanes b, Lanes c, Lanes d) {
#ifdef PART_BETWEEN
#define PART_APART(k) PART_BETWEEN(v.p[k], a.p[k], b.p[k], c.p[k], d.p[k])
    return EACH(PART_APART);
#else
    return lanes_by_sign(v, lanes_sub(a, b), lanes_sub(c, d));
#endif
}
/* x moved by m along the sign of v, or against it; where v is 0, x */
LANES_FN Lanes lanes_moved(bool along, Lanes v, Lanes x, Lanes m) {
#ifdef PART_BETWEEN
#define PART_MOVED(k) along ? PART_ALONG(v.p[k], x.p[k], m.p[k]) : PART_AGAINST(v.p[k], x.p[k], m.p[k])
    return EACH(PART_MOVED);
#else
    Lanes up = lanes_add(x, m), down = lanes_sub(x, m), zero = lanes_all(0);
    return lanes_if_above(v, zero, along ? up : down, lanes_if_above(zero, v, along ? down : up, x));
#endif
}

/* The numbers at p, of which `left` are there.  A loop has a body for LANES of them and for those that are left:
 * LANES_EACH(n, body) calls body(i, left), which is inlined both times. */
#define LANES_EACH(n, body)                                  \
    do {                                                     \
        int64_t i_ = 0;                                      \
        for (; i_ + LANES <= (n); i_ += LANES) body(i_, LANES); \
        if (i_ < (n)) body(i_, (n) - i_);                    \
    } while (0)
#define PART_LOAD(k) PART_AT(p, k)
LANES_FN Lanes lanes_load_f64(const double *p, int64_t left) {
    double part[LANES] = {0};
    if (left < LANES) p = memcpy(part, p, (size_t)left * sizeof *p);
    return EACH(PART_LOAD);
}
#define PART_LOAD_F32(k) PART_AT_F32(p, k)
LANES_FN Lanes lanes_load_f32(const float *p, int64_t left) {
    float part[LANES] = {0};
    if (left < LANES) p = memcpy(part, p, (size_t)left * sizeof *p);
    return EACH(PART_LOAD_F32);
}
LANES_FN void lanes_store_f64(double *p, int64_t left, Lanes x) {
    double part[LANES], *to = left < LANES ? part : p;
    for (int k = 0; k < PARTS; k++) PART_PUT(to, k, x.p[k]);
    if (left < LANES) memcpy(p, part, (size_t)left * sizeof *p);
}
LANES_FN void lanes_store_f32(float *p, int64_t left, Lanes x) {
    float part[LANES], *to = left < LANES ? part : p;
    for (int k = 0; k < PARTS; k++) PART_PUT_F32(to, k, x.p[k]);
    if (left < LANES) memcpy(p, part, (size_t)left * sizeof *p);
}

/* The tree of sums, and the largest of numbers that are none but NaN, at least 0. */
#if PARTS < 16
#define LANES_FOLD(name, PART, HALF, PAIR)                                                             \
    LANES_FN double name(Lanes x) {                                                                    \
        __m256d four = LANES_FOUR(x, PART, HALF);                                                      \
        __m128d two = PAIR(_mm256_castpd256_pd128(four), _mm256_extractf128_pd(four, 1));              \
        return _mm_cvtsd_f64(PAIR(two, _mm_unpackhi_pd(two, two)));                                    \
    }
#if PARTS == 2
#define LANES_EIGHT(x, PART) PART(x.p[0], x.p[1])
#define LANES_FOUR(x, PART, HALF) \
    HALF(_mm512_castpd512_pd256(LANES_EIGHT(x, PART)), _mm512_extractf64x4_pd(LANES_EIGHT(x, PART), 1))
#define PART_PLUS(a, b) _mm512_add_pd(a, b)
#else
#define LANES_FOUR(x, PART, HALF) HALF(PART(x.p[0], x.p[2]), PART(x.p[1], x.p[3]))
#define PART_PLUS(a, b) _mm256_add_pd(a, b)
#endif
LANES_FOLD(lanes_tree, PART_PLUS, _mm256_add_pd, _mm_add_pd)
LANES_FOLD(lanes_top, PART_MAX, _mm256_max_pd, _mm_max_pd)
LANES_FN double lanes_largest(Lanes x) {
    double most = lanes_top(x);
    return 0 < most ? most : 0;
}
#else
static double lanes_tree(Lanes x) {
    double v[LANES];
    lanes_store_f64(v, LANES, x);
    for (int half = LANES / 2; half; half /= 2)
        for (int k = 0; k < half; k++) v[k] += v[k + half];
    return v[0];
}
static double lanes_largest(Lanes x) {
    double v[LANES], most = 0;
    lanes_store_f64(v, LANES, x);
    for (int k = 0; k < LANES; k++) most = most < v[k] ? v[k] : most;
    return most;
}
#endif

#endif
