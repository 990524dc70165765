/* eval_element.c -- ops that work element by element: one IEEE rounding per arithmetic operation.
 *
 * EACH1, EACH2 run an expression over a, b (the operands' elements) for all rows.  i32 arithmetic wraps. */
#include "graph/eval.h"
#include "support/math.h"

#include <math.h>

#define EACH1(A, T, expression)                                                                                        \
    for (int64_t e = 0; e < w->rows; e++) {                                                                            \
        const A *in = value_row(w->in[0], e);                                                                          \
        T *out = value_row(w->out, e);                                                                                 \
        for (int64_t i = 0; i < w->out->size; i++) {                                                                   \
            A a = in[i];                                                                                               \
            out[i] = (T)(expression);                                                                                  \
        }                                                                                                              \
    }
#define EACH2(A, B, T, expression)                                                                                     \
    for (int64_t e = 0; e < w->rows; e++) {                                                                            \
        const A *in = value_row(w->in[0], e);                                                                          \
        const B *with = value_row(w->in[1], e);                                                                        \
        T *out = value_row(w->out, e);                                                                                 \
        for (int64_t i = 0; i < w->out->size; i++) {                                                                   \
            A a = in[i];                                                                                               \
            B b = with[i];                                                                                             \
            out[i] = (T)(expression);                                                                                  \
        }                                                                                                              \
    }
/* The cases that an op has; shape rules see to it that no other dtype comes here. */
#define CASE1(dt, A, expression) if (w->in[0]->dtype == dt) EACH1(A, A, expression)
#define CASE2(dt, A, expression) if (w->in[0]->dtype == dt) EACH2(A, A, A, expression)
#define TEST2(dt, A, expression) if (w->in[0]->dtype == dt) EACH2(A, A, uint8_t, expression)

#define wrap(a, operator, b) (int32_t)((uint32_t)(a) operator (uint32_t)(b))

/* ---- one operand ---- */

void eval_NEG(Work *w) {
    CASE1(DT_F32, float, -a)
    CASE1(DT_F64, double, -a)
    CASE1(DT_I32, int32_t, wrap(0, -, a))
}

void eval_ABS(Work *w) {
    CASE1(DT_F32, float, fabsf(a))
    CASE1(DT_F64, double, fabs(a))
    CASE1(DT_I32, int32_t, a < 0 ? wrap(0, -, a) : a)
}

void eval_SIGN(Work *w) {
    CASE1(DT_F32, float, a > 0 ? 1 : a < 0 ? -1 : a)
    CASE1(DT_F64, double, a > 0 ? 1 : a < 0 ? -1 : a)
    CASE1(DT_I32, int32_t, (a > 0) - (a < 0))
}

void eval_SQRT(Work *w) {
    CASE1(DT_F32, float, sqrtf(a))
    CASE1(DT_F64, double, sqrt(a))
}

void eval_EXP(Work *w) {
    CASE1(DT_F32, float, nin_exp_f32(a))
    CASE1(DT_F64, double, nin_exp_f64(a))
}

void eval_LOG(Work *w) {
    CASE1(DT_F32, float, nin_log_f32(a))
    CASE1(DT_F64, double, nin_log_f64(a))
}

void eval_SIN(Work *w) {
    CASE1(DT_F32, float, nin_sin_f32(a))
    CASE1(DT_F64, double, nin_sin_f64(a))
}

void eval_COS(Work *w) {
    CASE1(DT_F32, float, nin_cos_f32(a))
    CASE1(DT_F64, double, nin_cos_f64(a))
}

void eval_TANH(Work *w) {
    CASE1(DT_F32, float, nin_tanh_f32(a))
    CASE1(DT_F64, double, nin_tanh_f64(a))
}

void eval_ERF(Work *w) {
    CASE1(DT_F32, float, nin_erf_f32(a))
    CASE1(DT_F64, double, nin_erf_f64(a))
}

void eval_FLOOR(Work *w) {
    CASE1(DT_F32, float, floorf(a))
    CASE1(DT_F64, double, floor(a))
}

void eval_CEIL(Work *w) {
    CASE1(DT_F32, float, ceilf(a))
    CASE1(DT_F64, double, ceil(a))
}

void eval_ROUND(Work *w) {
    CASE1(DT_F32, float, rintf(a))
    CASE1(DT_F64, double, rint(a))
}

void eval_NOT(Work *w) { CASE1(DT_BOOL, uint8_t, !a) }

/* Towards zero; beyond the range of i32 its nearest end; NaN gives 0. */
static int32_t int_of(double a) {
    if (a != a) return 0;
    if (a <= -2147483648.0) return INT32_MIN;
    return a >= 2147483647.0 ? INT32_MAX : (int32_t)a;
}

#define CAST_FROM(dt, A, to_int)                                                                                       \
    if (w->in[0]->dtype == dt) {                                                                                       \
        switch (w->out->dtype) {                                                                                       \
        case DT_BOOL: EACH1(A, uint8_t, a != 0) return;                                                                \
        case DT_I32: EACH1(A, int32_t, to_int) return;                                                                 \
        case DT_F32: EACH1(A, float, a) return;                                                                        \
        case DT_F64: EACH1(A, double, a) return;                                                                       \
        }                                                                                                              \
    }

void eval_CAST(Work *w) {
    CAST_FROM(DT_BOOL, uint8_t, a)
    CAST_FROM(DT_I32, int32_t, a)
    CAST_FROM(DT_F32, float, int_of((double)a))
    CAST_FROM(DT_F64, double, int_of(a))
}

/* ---- two operands ---- */

void eval_ADD(Work *w) {
    CASE2(DT_F32, float, a + b)
    CASE2(DT_F64, double, a + b)
    CASE2(DT_I32, int32_t, wrap(a, +, b))
}

void eval_SUB(Work *w) {
    CASE2(DT_F32, float, a - b)
    CASE2(DT_F64, double, a - b)
    CASE2(DT_I32, int32_t, wrap(a, -, b))
}

void eval_MUL(Work *w) {
    CASE2(DT_F32, float, a * b)
    CASE2(DT_F64, double, a * b)
    CASE2(DT_I32, int32_t, wrap(a, *, b))
}

void eval_DIV(Work *w) {
    CASE2(DT_F32, float, a / b)
    CASE2(DT_F64, double, a / b)
}

/* The remainder that has the divisor's sign; 0 if the divisor is 0. */
static int32_t mod_i32(int32_t a, int32_t b) {
    if (b == 0 || b == -1) return 0;
    int32_t rest = a % b;
    return rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest;
}

void eval_MOD(Work *w) {
    CASE2(DT_F32, float, a - b * floorf(a / b))
    CASE2(DT_F64, double, a - b * floor(a / b))
    CASE2(DT_I32, int32_t, mod_i32(a, b))
}

void eval_MAX(Work *w) {
    CASE2(DT_F32, float, a < b ? b : a >= b ? a : a + b)
    CASE2(DT_F64, double, a < b ? b : a >= b ? a : a + b)
    CASE2(DT_I32, int32_t, a < b ? b : a)
}

void eval_MIN(Work *w) {
    CASE2(DT_F32, float, b < a ? b : b >= a ? a : a + b)
    CASE2(DT_F64, double, b < a ? b : b >= a ? a : a + b)
    CASE2(DT_I32, int32_t, b < a ? b : a)
}

void eval_POW(Work *w) {
    CASE2(DT_F32, float, nin_exp_f32(b * nin_log_f32(a)))
    CASE2(DT_F64, double, nin_exp_f64(b * nin_log_f64(a)))
}

/* a^n for n = 2^k + ...: start from a, then for each lower bit square, and multiply by a where the bit is set. */
static double powi_f64(double a, int32_t b) {
    uint32_t n = b < 0 ? 0u - (uint32_t)b : (uint32_t)b;
    double r = a;
    if (n == 0) return 1;
    for (int bit = 30 - __builtin_clz(n); bit >= 0; bit--) {
        r = r * r;
        if (n >> bit & 1) r = r * a;
    }
    return b < 0 ? 1 / r : r;
}

static float powi_f32(float a, int32_t b) {
    uint32_t n = b < 0 ? 0u - (uint32_t)b : (uint32_t)b;
    float r = a;
    if (n == 0) return 1;
    for (int bit = 30 - __builtin_clz(n); bit >= 0; bit--) {
        r = r * r;
        if (n >> bit & 1) r = r * a;
    }
    return b < 0 ? 1 / r : r;
}

void eval_POWI(Work *w) {
    if (w->out->dtype == DT_F32) EACH2(float, int32_t, float, powi_f32(a, b))
    else EACH2(double, int32_t, double, powi_f64(a, b))
}

void eval_LT(Work *w) {
    TEST2(DT_F32, float, a < b)
    TEST2(DT_F64, double, a < b)
    TEST2(DT_I32, int32_t, a < b)
}

void eval_LE(Work *w) {
    TEST2(DT_F32, float, a <= b)
    TEST2(DT_F64, double, a <= b)
    TEST2(DT_I32, int32_t, a <= b)
}

void eval_EQ(Work *w) {
    TEST2(DT_F32, float, a == b)
    TEST2(DT_F64, double, a == b)
    TEST2(DT_I32, int32_t, a == b)
    TEST2(DT_BOOL, uint8_t, a == b)
}

void eval_NE(Work *w) {
    TEST2(DT_F32, float, a != b)
    TEST2(DT_F64, double, a != b)
    TEST2(DT_I32, int32_t, a != b)
    TEST2(DT_BOOL, uint8_t, a != b)
}

void eval_AND(Work *w) { TEST2(DT_BOOL, uint8_t, a & b) }
void eval_OR(Work *w) { TEST2(DT_BOOL, uint8_t, a | b) }

/* ---- three ---- */

void eval_SELECT(Work *w) {
    size_t size = dtype_size(w->out->dtype);
    for (int64_t e = 0; e < w->rows; e++) {
        const uint8_t *condition = value_row(w->in[0], e);
        const char *then = value_row(w->in[1], e), *otherwise = value_row(w->in[2], e);
        char *out = value_row(w->out, e);
        for (int64_t i = 0; i < w->out->size; i++) {
            size_t at = (size_t)i * size;
            memcpy(out + at, (condition[i] ? then : otherwise) + at, size);
        }
    }
}
