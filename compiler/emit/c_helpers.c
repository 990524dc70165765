/* c_helpers.c -- the routines that emitted C carries with it, each printed only if something needs it.
 *
 * fma: the machine's where a builtin is sure to become its instruction, else correctly rounded by our own.  In single
 * precision the product is exact in double, and the sum is rounded to odd there; in double precision all is done in
 * integers. sqrt: the machine's instruction, else digit by digit.  Integers wrap; x / 0 = x mod 0 = 0; float to integer
 * saturates. */
#include "emit/artifact.h"

#define BIT(id) (UINT64_C(1) << HELP_##id)

#define INTEGER(T, U, N, W)                                                                                       \
    [HELP_ADD##W] = {"nin_add_" N, 0,                                                                           \
                     "static " T " nin_add_" N "(" T " a, " T " b)\n{\n"                                        \
                     "    return (" T ")((" U ")a + (" U ")b);\n}\n"},                                          \
    [HELP_SUB##W] = {"nin_sub_" N, 0,                                                                           \
                     "static " T " nin_sub_" N "(" T " a, " T " b)\n{\n"                                        \
                     "    return (" T ")((" U ")a - (" U ")b);\n}\n"},                                          \
    [HELP_MUL##W] = {"nin_mul_" N, 0,                                                                           \
                     "static " T " nin_mul_" N "(" T " a, " T " b)\n{\n"                                        \
                     "    return (" T ")((" U ")a * (" U ")b);\n}\n"},                                          \
    [HELP_DIV##W] = {"nin_div_" N, 0, "static " T " nin_div_" N "(" T " a, " T " b)\n{\n"                          \
                     "    return b == 0 ? 0 : b == -1 ? (" T ")(0 - (" U ")a) : a / b;\n}\n"},                    \
    [HELP_REM##W] = {"nin_rem_" N, 0, "static " T " nin_rem_" N "(" T " a, " T " b)\n{\n"                          \
                     "    return b == 0 || b == -1 ? 0 : a % b;\n}\n"},                                           \
    [HELP_SHL##W] = {"nin_shl_" N, 0, "static " T " nin_shl_" N "(" T " a, " T " b)\n{\n"                          \
                     "    return (" T ")((" U ")a << ((" U ")b & (" #W " - 1)));\n}\n"},                          \
    [HELP_SHR##W] = {"nin_shr_" N, 0, "static " T " nin_shr_" N "(" T " a, " T " b)\n{\n"                          \
                     "    return (" T ")((" U ")a >> ((" U ")b & (" #W " - 1)));\n}\n"},                          \
    [HELP_SAR##W] = {"nin_sar_" N, 0, "static " T " nin_sar_" N "(" T " a, " T " b)\n{\n"                          \
                     "    const " U " u = a < 0 ? ~(" U ")a : (" U ")a, s = u >> ((" U ")b & (" #W " - 1));\n"     \
                     "    return (" T ")(a < 0 ? ~s : s);\n}\n"}

#define TO_INTEGER(F, N, T, LO, HI, BOUND)                                                                        \
    {"nin_" N, 0, "static " T " nin_" N "(" F " x)\n{\n"                                                           \
     "    return !(x == x) ? 0 : x <= -" BOUND " ? " LO " : x >= " BOUND " ? " HI " : (" T ")x;\n}\n"}

/* Towards zero and back, below the numbers that have no fraction; the sign of zero is kept. */
#define WHOLE(NAME, F, U, BITS, MAKE, ABSOLUTE, SIGN, LIMIT, BODY)                                                    \
    "static " F " " NAME "(" F " x)\n{\n    const " F " a = " ABSOLUTE "(x);\n"                                        \
    "    if (!(a < " LIMIT "))\n        return x;\n" BODY                                                             \
    "    return " MAKE "(" BITS "(t) | (" BITS "(x) & " SIGN "));\n}\n"
#define WHOLE_F32(NAME, BODY) \
    WHOLE(NAME, "float", "uint32_t", "nin_f32_bits", "nin_bits_f32", "nin_fabsf", "0x80000000u", \
          "8388608.0f", BODY)
#define WHOLE_F64(NAME, BODY) \
    WHOLE(NAME, "double", "uint64_t", "nin_f64_bits", "nin_bits_f64", "nin_fabs", "0x8000000000000000u", \
          "4503599627370496.0", BODY)

const CHelper c_helpers[HELP_COUNT] = {
    [HELP_U32] = {"nin_f32_bits", 0,
                  "static uint32_t nin_f32_bits(float x)\n{\n    uint32_t u;\n    memcpy(&u, &x, sizeof u);\n"
                  "    return u;\n}\n"},
    [HELP_F32] = {"nin_bits_f32", 0,
                  "static float nin_bits_f32(uint32_t u)\n{\n    float x;\n    memcpy(&x, &u, sizeof x);\n"
                  "    return x;\n}\n"},
    [HELP_U64] = {"nin_f64_bits", 0,
                  "static uint64_t nin_f64_bits(double x)\n{\n    uint64_t u;\n    memcpy(&u, &x, sizeof u);\n"
                  "    return u;\n}\n"},
    [HELP_F64] = {"nin_bits_f64", 0,
                  "static double nin_bits_f64(uint64_t u)\n{\n    double x;\n    memcpy(&x, &u, sizeof x);\n"
                  "    return x;\n}\n"},
    [HELP_FMAF] = {"nin_fmaf", BIT(U64) | BIT(F64),
        "/* a * b + c, rounded once.  The product is exact in double; the sum is rounded to odd there, "
        "so that rounding it\n"
        "   again, to float, is right. */\n"
        "static float nin_fmaf(float a, float b, float c)\n{\n"
        "#ifdef NIN_HARDWARE_FMAF\n    return NIN_HARDWARE_FMAF(a, b, c);\n#else\n"
        "    const double p = (double)a * (double)b, z = (double)c;\n"
        "    const double s = p + z;\n    const double t = s - p, r = s - t;\n"
        "    const double e = (p - r) + (z - t);\n"
        "    uint64_t u = nin_f64_bits(s);\n"
        "    if ((u >> 52 & 2047u) != 2047u && (u & 1u) == 0u && (e < 0.0 || e > 0.0))\n"
        "        u = (e > 0.0) == (s > 0.0) ? u + 1u : u - 1u;\n"
        "    return (float)nin_bits_f64(u);\n#endif\n}\n"},
    [HELP_FMA] = {"nin_fma", BIT(U64) | BIT(F64),
        "#ifndef NIN_HARDWARE_FMA\n"
        "/* Shifts the 128 bits of v[1] v[0] right; a bit that is lost sets the last one. */\n"
        "static void nin_jam(uint64_t v[2], int32_t by)\n{\n    uint64_t lost = 0;\n"
        "    for (; by >= 64; by -= 64) {\n        lost |= v[0];\n        v[0] = v[1];\n        v[1] = 0;\n    }\n"
        "    if (by > 0) {\n        lost |= v[0] << (64 - by);\n        v[0] = v[0] >> by | v[1] << (64 - by);\n"
        "        v[1] >>= by;\n    }\n"
        "    v[0] |= (uint64_t)(lost != 0u);\n}\n\n"
        "/* |x| = m * 2^e with 2^52 <= m < 2^53. */\n"
        "static int32_t nin_split(uint64_t u, uint64_t *m)\n{\n    int32_t e = (int32_t)(u >> 52 & 2047u);\n"
        "    *m = u & 0xfffffffffffffu;\n    if (e != 0) {\n        *m |= 0x10000000000000u;\n    } else {\n"
        "        e = 1;\n"
        "        while (*m < 0x10000000000000u) {\n            *m <<= 1;\n            e--;\n        }\n    }\n"
        "    return e - 1075;\n}\n\n"
        "/* The number with magnitude v * 2^e, rounded once. */\n"
        "static double nin_round(uint64_t v[2], int32_t e, uint64_t sign)\n{\n"
        "    int32_t by;\n    uint64_t m, rest;\n    if (v[1] == 0u && v[0] == 0u)\n        return 0.0;\n"
        "    while (v[1] >> 62 == 0u) {\n        v[1] = v[1] << 1 | v[0] >> 63;\n        v[0] <<= 1;\n        e--;\n"
        "    }\n"
        "    by = e < -1148 ? -1074 - e : 74;\n"
        "    if (by > 74)\n        nin_jam(v, by - 74);\n"
        "    e += by;\n    m = v[1] >> 10;\n    rest = (v[1] & 1023u) << 1 | (uint64_t)(v[0] != 0u);\n"
        "    m += (uint64_t)(rest > 1024u || (rest == 1024u && (m & 1u) != 0u));\n"
        "    if (m >= 0x10000000000000u)\n        m += ((uint64_t)(uint32_t)(e + 1075) << 52) - 0x10000000000000u;\n"
        "    if (e > 971 || m >= 0x7ff0000000000000u)\n        m = 0x7ff0000000000000u;\n"
        "    return nin_bits_f64(m | sign);\n}\n#endif\n\n"
        "/* a * b + c, rounded once. */\n"
        "static double nin_fma(double a, double b, double c)\n{\n"
        "#ifdef NIN_HARDWARE_FMA\n    return NIN_HARDWARE_FMA(a, b, c);\n#else\n"
        "    const uint64_t x = nin_f64_bits(a), y = nin_f64_bits(b), z = nin_f64_bits(c), top = 0x8000000000000000u;\n"
        "    const double p = a * b;\n    uint64_t m, n, l, low, mid, v[2], w[2], sign = (x ^ y) & top;\n"
        "    int32_t e, f, by;\n"
        "    if ((x >> 52 & 2047u) == 2047u || (y >> 52 & 2047u) == 2047u || a == 0.0 || b == 0.0)\n"
        "        return p + c;\n    if (c == 0.0)\n        return p;\n    if ((z >> 52 & 2047u) == 2047u)\n"
        "        return c;\n"
        "    e = nin_split(x, &m);\n    e += nin_split(y, &n) - 20;\n    f = nin_split(z, &l) - 73;\n"
        "    low = (m & 0xffffffffu) * (n & 0xffffffffu);\n"
        "    mid = (m >> 32) * (n & 0xffffffffu) + (low >> 32);\n"
        "    v[1] = (m >> 32) * (n >> 32) + (mid >> 32);\n"
        "    mid = (mid & 0xffffffffu) + (m & 0xffffffffu) * (n >> 32);\n"
        "    v[1] += mid >> 32;\n    v[0] = mid << 32 | (low & 0xffffffffu);\n"
        "    v[1] = v[1] << 20 | v[0] >> 44;\n    v[0] <<= 20;\n"
        "    w[1] = l << 9;\n    w[0] = 0;\n"
        "    by = e - f;\n    if (by > 0)\n        nin_jam(w, by > 200 ? 200 : by);\n    else if (by < 0)\n"
        "        nin_jam(v, by < -200 ? 200 : -by);\n"
        "    e = by > 0 ? e : f;\n"
        "    if (sign == (z & top)) {\n        v[0] += w[0];\n        v[1] += w[1] + (uint64_t)(v[0] < w[0]);\n"
        "    } else if (v[1] > w[1] || (v[1] == w[1] && v[0] >= w[0])) {\n"
        "        v[1] -= w[1] + (uint64_t)(v[0] < w[0]);\n        v[0] -= w[0];\n"
        "    } else {\n        v[1] = w[1] - v[1] - (uint64_t)(w[0] < v[0]);\n        v[0] = w[0] - v[0];\n"
        "        sign ^= top;\n    }\n"
        "    return nin_round(v, e, sign);\n#endif\n}\n"},
    [HELP_SQRTF] = {"nin_sqrtf", BIT(U32) | BIT(F32),
        "/* Correctly rounded: the machine's instruction, else digit by digit. */\n"
        "static float nin_sqrtf(float x)\n{\n"
        "#if defined(NIN_SQRTF)\n    float r;\n    NIN_SQRTF(r, x);\n    return r;\n#else\n"
        "    uint32_t u = nin_f32_bits(x), m = u & 0x7fffffu, root = 0, rest = 0, digit;\n"
        "    int32_t e = (int32_t)(u >> 23 & 255u), i;\n"
        "    if (!(x > 0.0f) || e == 255)\n        return x < 0.0f ? nin_bits_f32(0x7fc00000u) : x;\n"
        "    if (e != 0)\n        m |= 0x800000u;\n    else\n        for (e = 1; m < 0x800000u; e--)\n"
        "            m <<= 1;\n"
        "    e -= 151;\n    m <<= 1;\n    if ((e & 1) != 0) {\n        m <<= 1;\n        e--;\n    }\n"
        "    for (i = 0; i < 25; i++) {\n"
        "        rest = rest << 2 | (i < 13 ? m >> (24 - 2 * i) & 3u : 0u);\n        digit = root << 2 | 1u;\n"
        "        root <<= 1;\n"
        "        if (rest >= digit) {\n            rest -= digit;\n            root |= 1u;\n        }\n    }\n"
        "    return nin_bits_f32(((uint32_t)(e / 2 + 139) << 23) + ((root + 1u) >> 1) - 0x800000u);\n#endif\n}\n"},
    [HELP_SQRT] = {"nin_sqrt", BIT(U64) | BIT(F64),
        "/* Correctly rounded: the machine's instruction, else digit by digit. */\n"
        "static double nin_sqrt(double x)\n{\n"
        "#if defined(NIN_SQRT)\n    double r;\n    NIN_SQRT(r, x);\n    return r;\n#else\n"
        "    uint64_t u = nin_f64_bits(x), m = u & 0xfffffffffffffu, root = 0, rest = 0, digit;\n"
        "    int32_t e = (int32_t)(u >> 52 & 2047u), i;\n"
        "    if (!(x > 0.0) || e == 2047)\n        return x < 0.0 ? nin_bits_f64(0x7ff8000000000000u) : x;\n"
        "    if (e != 0)\n        m |= 0x10000000000000u;\n    else\n        for (e = 1; m < 0x10000000000000u; e--)\n"
        "            m <<= 1;\n"
        "    e -= 1075;\n    if ((e & 1) != 0) {\n        m <<= 1;\n        e--;\n    }\n"
        "    for (i = 0; i < 54; i++) {\n"
        "        rest = rest << 2 | (i < 27 ? m >> (52 - 2 * i) & 3u : 0u);\n        digit = root << 2 | 1u;\n"
        "        root <<= 1;\n"
        "        if (rest >= digit) {\n            rest -= digit;\n            root |= 1u;\n        }\n    }\n"
        "    return nin_bits_f64(((uint64_t)(uint32_t)(e / 2 + 1049) << 52) + ((root + 1u) >> 1) "
        "- 0x10000000000000u);\n#endif\n}\n"},
    [HELP_ABSF] = {"nin_fabsf", BIT(U32) | BIT(F32),
                   "static float nin_fabsf(float x)\n{\n    return nin_bits_f32(nin_f32_bits(x) & 0x7fffffffu);\n}\n"},
    [HELP_ABS] = {"nin_fabs", BIT(U64) | BIT(F64),
                  "static double nin_fabs(double x)\n{\n"
                  "    return nin_bits_f64(nin_f64_bits(x) & 0x7fffffffffffffffu);\n}\n"},
    [HELP_FLOORF] = {"nin_floorf", BIT(U32) | BIT(F32) | BIT(ABSF),
        WHOLE_F32("nin_floorf", "    float t = (float)(int32_t)x;\n    if (t > x)\n        t = t - 1.0f;\n")},
    [HELP_FLOOR] = {"nin_floor", BIT(U64) | BIT(F64) | BIT(ABS),
        WHOLE_F64("nin_floor", "    double t = (double)(int64_t)x;\n    if (t > x)\n        t = t - 1.0;\n")},
    [HELP_CEILF] = {"nin_ceilf", BIT(U32) | BIT(F32) | BIT(ABSF),
        WHOLE_F32("nin_ceilf", "    float t = (float)(int32_t)x;\n    if (t < x)\n        t = t + 1.0f;\n")},
    [HELP_CEIL] = {"nin_ceil", BIT(U64) | BIT(F64) | BIT(ABS),
        WHOLE_F64("nin_ceil", "    double t = (double)(int64_t)x;\n    if (t < x)\n        t = t + 1.0;\n")},
    [HELP_ROUNDF] = {"nin_rintf", BIT(U32) | BIT(F32) | BIT(ABSF),
        WHOLE_F32("nin_rintf", "    const float up = a + 8388608.0f;\n    const float t = up - 8388608.0f;\n")},
    [HELP_ROUND] = {"nin_rint", BIT(U64) | BIT(F64) | BIT(ABS),
        WHOLE_F64("nin_rint", "    const double up = a + 4503599627370496.0;\n"
                              "    const double t = up - 4503599627370496.0;\n")},
    INTEGER("int32_t", "uint32_t", "i32", 32),
    INTEGER("int64_t", "uint64_t", "i64", 64),
    [HELP_MULHI] = {"nin_mulhi", 0,
        "static int32_t nin_mulhi(int32_t a, int32_t b)\n{\n"
        "    return (int32_t)(uint32_t)((uint64_t)(uint32_t)a * (uint32_t)b >> 32);\n}\n"},
    [HELP_F32I32] = TO_INTEGER("float", "f32_i32", "int32_t", "(-2147483647 - 1)", "2147483647", "2147483648.0f"),
    [HELP_F32I64] = TO_INTEGER("float", "f32_i64", "int64_t", "(-INT64_C(9223372036854775807) - 1)",
                               "INT64_C(9223372036854775807)",
                               "9223372036854775808.0f"),
    [HELP_F64I32] = TO_INTEGER("double", "f64_i32", "int32_t", "(-2147483647 - 1)", "2147483647", "2147483648.0"),
    [HELP_F64I64] = TO_INTEGER("double", "f64_i64", "int64_t", "(-INT64_C(9223372036854775807) - 1)",
                               "INT64_C(9223372036854775807)",
                               "9223372036854775808.0"),
};

static const char hardware_fma[] =
    "/* Builtins that are sure to become an instruction, never a call of the C library. */\n"
    "#if defined(__GNUC__)\n"
    "#if defined(__FMA__) || (defined(__ARM_FEATURE_FMA) && (defined(__aarch64__) || (__ARM_FP & 4))) "
    "|| (defined(__riscv_flen) && __riscv_flen >= 32)\n"
    "#define NIN_HARDWARE_FMAF __builtin_fmaf\n#endif\n"
    "#if defined(__FMA__) || (defined(__ARM_FEATURE_FMA) && (defined(__aarch64__) || (__ARM_FP & 8))) "
    "|| (defined(__riscv_flen) && __riscv_flen >= 64)\n"
    "#define NIN_HARDWARE_FMA __builtin_fma\n#endif\n#endif\n\n";
static const char hardware_sqrt[] =
    "#if defined(__GNUC__) && defined(__SSE2_MATH__)\n"
    "#define NIN_SQRTF(r, x) __asm__(\"sqrtss %1, %0\" : \"=x\"(r) : \"x\"(x))\n"
    "#define NIN_SQRT(r, x) __asm__(\"sqrtsd %1, %0\" : \"=x\"(r) : \"x\"(x))\n"
    "#elif defined(__GNUC__) && defined(__aarch64__)\n"
    "#define NIN_SQRTF(r, x) __asm__(\"fsqrt %s0, %s1\" : \"=w\"(r) : \"w\"(x))\n"
    "#define NIN_SQRT(r, x) __asm__(\"fsqrt %d0, %d1\" : \"=w\"(r) : \"w\"(x))\n"
    "#elif defined(__GNUC__) && defined(__arm__) && defined(__ARM_FP) && (__ARM_FP & 4) && !defined(__SOFTFP__)\n"
    "#define NIN_SQRTF(r, x) __asm__(\"vsqrt.f32 %0, %1\" : \"=t\"(r) : \"t\"(x))\n"
    "#elif defined(__GNUC__) && defined(__riscv_flen)\n"
    "#define NIN_SQRTF(r, x) __asm__(\"fsqrt.s %0, %1\" : \"=f\"(r) : \"f\"(x))\n"
    "#if __riscv_flen >= 64\n#define NIN_SQRT(r, x) __asm__(\"fsqrt.d %0, %1\" : \"=f\"(r) : \"f\"(x))\n#endif\n"
    "#endif\n\n";

/* Helpers that only the routines without hardware need stand behind their conditions. */
static void condition(uint64_t all, int helper, Buf *out) {
    static const struct { int user; const char *macro; } soft[] = {
        {HELP_FMAF, "NIN_HARDWARE_FMAF"}, {HELP_FMA, "NIN_HARDWARE_FMA"}, {HELP_SQRTF, "NIN_SQRTF"},
        {HELP_SQRT, "NIN_SQRT"}};
    const char *sign = "#if ";
    for (int k = 0; k < COUNT(soft); k++)
        if (all >> soft[k].user & 1 && c_helpers[soft[k].user].needs >> helper & 1) {
            buf_printf(out, "%s!defined(%s)", sign, soft[k].macro);
            sign = " || ";
        }
    buf_text(out, "\n");
}

void c_helpers_print(uint64_t needed, Buf *out) {
    static const int order[] = {HELP_U32, HELP_F32, HELP_U64, HELP_F64, HELP_ABSF, HELP_ABS};
    const uint64_t soft = BIT(FMAF) | BIT(FMA) | BIT(SQRTF) | BIT(SQRT);
    uint64_t all = needed, sure = needed, first = 0;
    for (int turn = 0; turn < 2; turn++)
        for (int k = 0; k < HELP_COUNT; k++) {
            if (all >> k & 1) all |= c_helpers[k].needs;
            if ((sure & ~soft) >> k & 1) sure |= c_helpers[k].needs;
        }
    if (all & (BIT(FMAF) | BIT(FMA))) buf_text(out, hardware_fma);
    if (all & (BIT(SQRTF) | BIT(SQRT))) buf_text(out, hardware_sqrt);
    for (int k = 0; k < COUNT(order); k++) {
        first |= UINT64_C(1) << order[k];
        if (!(all >> order[k] & 1)) continue;
        if (!(sure >> order[k] & 1)) condition(all, order[k], out);
        buf_printf(out, "%s%s\n", c_helpers[order[k]].text, sure >> order[k] & 1 ? "" : "#endif\n");
    }
    for (int k = 0; k < HELP_COUNT; k++)
        if ((all & ~first) >> k & 1) buf_printf(out, "%s\n", c_helpers[k].text);
}
