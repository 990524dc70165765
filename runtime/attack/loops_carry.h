/* loops_carry.h -- chains of products of CARRIED points at a time, elements in lanes; included by loops_body.h where
 * the instruction set has fused products.  An element's chain is that of the product in a program: inputs in order. */
#if defined(__AVX512F__)
typedef __m512 Sums;
enum { SUMS = 16 };
#define SUMS_AT(p) _mm512_loadu_ps(p)
#define SUMS_PUT(p, v) _mm512_storeu_ps(p, v)
#define SUMS_ALL(x) _mm512_set1_ps(x)
#define SUMS_FMA(a, b, c) _mm512_fmadd_ps(a, b, c)
#else
typedef __m256 Sums;
enum { SUMS = 8 };
#define SUMS_AT(p) _mm256_loadu_ps(p)
#define SUMS_PUT(p, v) _mm256_storeu_ps(p, v)
#define SUMS_ALL(x) _mm256_set1_ps(x)
#define SUMS_FMA(a, b, c) _mm256_fmadd_ps(a, b, c)
#endif

#define CARRY_EACH(DO, v) DO(0, v) DO(1, v) DO(2, v) DO(3, v) DO(4, v) DO(5, v)
#define CARRY_LOAD(r, v) Sums s##r##v = SUMS_AT(before[r] + o + v * SUMS);
#define CARRY_STORE(r, v) SUMS_PUT(sums[r] + o + v * SUMS, s##r##v);
#define CARRY_STEP(r, v) s##r##v = SUMS_FMA(in, w##v, s##r##v);
#define CARRY_WEIGHT(v) Sums w##v = SUMS_AT(w + v * SUMS);
/* Point by point: 24 sums, 4 weights and one input are what 32 registers hold. */
#define CARRY_POINT(r, STEPS) \
    {                         \
        Sums in = SUMS_ALL(x[r][k]); \
        STEPS(r)              \
    }

/* Elements o and behind, as many as the parts name; w: of input k, a panel `width` wide. */
#define CARRY_LOOP(name, VECTORS, WEIGHTS, STEPS)                                                                      \
    static void name(const float *w, int64_t width, int64_t o, int64_t k, int64_t end, const float *const *x,          \
                     const float *const *before, float *const *sums) {                                                 \
        VECTORS(CARRY_LOAD)                                                                                            \
        for (; k < end; k++, w += width) {                                                                             \
            WEIGHTS                                                                                                    \
            CARRY_EACH(CARRY_POINT, STEPS)                                                                             \
        }                                                                                                              \
        VECTORS(CARRY_STORE)                                                                                           \
    }
#define CARRY_1(DO) CARRY_EACH(DO, 0)
#define CARRY_2(DO) CARRY_1(DO) CARRY_EACH(DO, 1)
#define CARRY_4(DO) CARRY_2(DO) CARRY_EACH(DO, 2) CARRY_EACH(DO, 3)
#define STEP_1(r) CARRY_STEP(r, 0)
#define STEP_2(r) STEP_1(r) CARRY_STEP(r, 1)
#define STEP_4(r) STEP_2(r) CARRY_STEP(r, 2) CARRY_STEP(r, 3)
#if defined(__AVX512F__)
CARRY_LOOP(carry_one, CARRY_1, CARRY_WEIGHT(0), STEP_1)
CARRY_LOOP(carry_most, CARRY_4, CARRY_WEIGHT(0) CARRY_WEIGHT(1) CARRY_WEIGHT(2) CARRY_WEIGHT(3), STEP_4)
enum { CARRY_MOST = 4 * SUMS };
#else
CARRY_LOOP(carry_one, CARRY_2, CARRY_WEIGHT(0) CARRY_WEIGHT(1), STEP_2)
#define carry_most carry_one
enum { CARRY_MOST = 2 * SUMS };
#endif

static void carry_loop(const Chains *c, int64_t panel, int64_t from, int64_t to, const float *const x[CARRIED],
                       const float *const before[CARRIED], float *const sums[CARRIED]) {
    int64_t first = panel * FRONT_PANEL, rest = c->wide - first, width = rest < FRONT_PANEL ? rest : FRONT_PANEL, o = 0;
    const float *w = c->w + first * c->inputs + from * width;
    for (; o + CARRY_MOST <= width; o += CARRY_MOST) carry_most(w + o, width, first + o, from, to, x, before, sums);
    for (; o < width; o += 16) carry_one(w + o, width, first + o, from, to, x, before, sums);
}
