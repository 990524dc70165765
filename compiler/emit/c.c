/* c.c -- kernel IR as plain C99: a second, independent printer of the same array.
 *
 * A value is a variable v<number>; a vector is a struct of 16 elements and a loop over them.  A carried value is a
 * variable declared before its loop, set at the end of each turn.  Memory is reached by memcpy, so buffers may hold
 * any type.  Needs of the C library: memcpy, fma, sqrt, floor, ceil, rint, fabs. */
#include "emit/plugin.h"

#include <math.h>

static const char prelude[] =
    "/* Made by nin.  Compile without contraction of floating-point operations (-ffp-contract=off). */\n"
    "#include <math.h>\n#include <stdint.h>\n#include <string.h>\n\n"
    "#ifdef __clang__\n#pragma STDC FP_CONTRACT OFF\n#endif\n"
    "#define EACH for (int l = 0; l < 16; l++)\n\n"
    "typedef unsigned char bool8;\n"
    "typedef struct { bool8 l[16]; } bool8x16;\ntypedef struct { int32_t l[16]; } int32x16;\n"
    "typedef struct { int64_t l[16]; } int64x16;\ntypedef struct { float l[16]; } floatx16;\n"
    "typedef struct { double l[16]; } doublex16;\n\n"
    "/* Integers wrap; x / 0 = x mod 0 = 0; shift counts are taken modulo the width. */\n"
    "#define INTEGERS(T, U, N, W) \\\n"
    "    static inline T add_##N(T a, T b) { return (T)((U)a + (U)b); } \\\n"
    "    static inline T sub_##N(T a, T b) { return (T)((U)a - (U)b); } \\\n"
    "    static inline T mul_##N(T a, T b) { return (T)((U)a * (U)b); } \\\n"
    "    static inline T div_##N(T a, T b) { return b == 0 ? 0 : b == -1 ? (T)(0 - (U)a) : a / b; } \\\n"
    "    static inline T rem_##N(T a, T b) { return b == 0 || b == -1 ? 0 : a % b; } \\\n"
    "    static inline T shl_##N(T a, T b) { return (T)((U)a << (b & (W - 1))); } \\\n"
    "    static inline T shr_##N(T a, T b) { return (T)((U)a >> (b & (W - 1))); } \\\n"
    "    static inline T sar_##N(T a, T b) { return a < 0 ? ~(T)((U)~a >> (b & (W - 1))) : shr_##N(a, b); }\n"
    "INTEGERS(int32_t, uint32_t, i32, 32)\nINTEGERS(int64_t, uint64_t, i64, 64)\n"
    "static inline int32_t mulhi_i32(int32_t a, int32_t b)\n"
    "{\n    return (int32_t)(uint32_t)((uint64_t)(uint32_t)a * (uint32_t)b >> 32);\n}\n\n"
    "/* Float to integer: towards zero, saturating, NaN gives 0. */\n"
    "#define TO_INTEGER(F, N, T, LO, HI) \\\n"
    "    static inline T N(F x) { return x != x ? 0 : x <= (F)LO ? LO : x >= -(F)LO ? HI : (T)x; }\n"
    "TO_INTEGER(float, f32_to_i32, int32_t, INT32_MIN, INT32_MAX)\n"
    "TO_INTEGER(float, f32_to_i64, int64_t, INT64_MIN, INT64_MAX)\n"
    "TO_INTEGER(double, f64_to_i32, int32_t, INT32_MIN, INT32_MAX)\n"
    "TO_INTEGER(double, f64_to_i64, int64_t, INT64_MIN, INT64_MAX)\n\n"
    "#define BITS(A, B, N) static inline B N(A x) { B y; memcpy(&y, &x, sizeof y); return y; }\n"
    "BITS(float, int32_t, f32_bits_i32)\nBITS(int32_t, float, i32_bits_f32)\n"
    "BITS(double, int64_t, f64_bits_i64)\nBITS(int64_t, double, i64_bits_f64)\n\n"
    "#define MEMORY(T, N) \\\n"
    "    static inline T load_##N(const void *p, int64_t i) \\\n"
    "    { \\\n"
    "        T x; \\\n"
    "        memcpy(&x, (const T *)p + i, sizeof x); \\\n"
    "        return x; \\\n"
    "    } \\\n"
    "    static inline void store_##N(void *p, int64_t i, T x) { memcpy((T *)p + i, &x, sizeof x); } \\\n"
    "    static inline T##x16 load_##N##x16(const void *p, int64_t i) \\\n"
    "    { \\\n"
    "        T##x16 x; \\\n"
    "        memcpy(&x, (const T *)p + i, sizeof x); \\\n"
    "        return x; \\\n"
    "    } \\\n"
    "    static inline void store_##N##x16(void *p, int64_t i, T##x16 x) { memcpy((T *)p + i, &x, sizeof x); } \\\n"
    "    static inline void compress_##N##x16(void *p, bool8x16 mask, T##x16 x) \\\n"
    "    { \\\n"
    "        int n = 0; \\\n"
    "        EACH if (mask.l[l]) memcpy((T *)p + n++, &x.l[l], sizeof x.l[l]); \\\n"
    "    } \\\n"
    "    static inline T##x16 expand_##N##x16(const void *p, bool8x16 mask) \\\n"
    "    { \\\n"
    "        T##x16 x = {{0}}; \\\n"
    "        int n = 0; \\\n"
    "        EACH if (mask.l[l]) memcpy(&x.l[l], (const T *)p + n++, sizeof x.l[l]); \\\n"
    "        return x; \\\n"
    "    }\n"
    "static inline int64_t mask_bits(bool8x16 a)\n"
    "{\n"
    "    int64_t bits = 0;\n"
    "    EACH bits |= (int64_t)(a.l[l] & 1) << l;\n"
    "    return bits;\n"
    "}\n"
    "typedef int32x16 int32_tx16;\ntypedef int64x16 int64_tx16;\n"
    "MEMORY(bool8, bool)\nMEMORY(int32_t, i32)\nMEMORY(int64_t, i64)\nMEMORY(float, f32)\nMEMORY(double, f64)\n";

typedef struct Writer { Buf *out; const KModule *module; const KFunc *func; int depth; } Writer;

static const char *c_type(KScalar s)
{
    switch (s) {
    case KS_VOID: return "void";
    case KS_BOOL: return "bool8";
    case KS_I32: return "int32_t";
    case KS_I64: return "int64_t";
    case KS_F32: return "float";
    case KS_F64: return "double";
    case KS_PTR: return "char *";
    }
    return "?";
}

static bool is_float(KType t) { return t.scalar == KS_F32 || t.scalar == KS_F64; }
static KType type_at(const Writer *w, KVal v) { return w->func->code.at[v].type; }
static void indent(Writer *w) { buf_printf(w->out, "%*s", 4 * w->depth, ""); }

static void declare(Writer *w, KVal v)
{
    KType t = type_at(w, v);
    buf_printf(w->out, "%s%s%sv%u", c_type(t.scalar), t.lanes == 16 ? "x16" : "", t.scalar == KS_PTR ? "" : " ", v);
}

/* An operand inside an expression: a scalar, or this lane of a vector. */
static void operand(Writer *w, KVal v) { buf_printf(w->out, type_at(w, v).lanes == 16 ? "v%u.l[l]" : "v%u", v); }

static void real_literal(Writer *w, double x, bool f32)
{
    char text[32];
    if (isnan(x) || isinf(x)) {
        buf_text(w->out, isnan(x) ? "NAN" : x < 0 ? "-INFINITY" : "INFINITY");
        return;
    }
    if (f32)
        text_of_f32(text, (float)x);
    else
        text_of_f64(text, x);
    buf_printf(w->out, "%s%s%s", text, strpbrk(text, ".e") ? "" : ".0", f32 ? "f" : "");
}

static void int_literal(Writer *w, KScalar s, int64_t x)
{
    if (s == KS_BOOL)
        buf_text(w->out, x ? "1" : "0");
    else if (s == KS_I32 && x != INT32_MIN)
        buf_printf(w->out, "%lld", (long long)x);
    else if (x == INT32_MIN)
        buf_text(w->out, "(-2147483647 - 1)");
    else if (x == INT64_MIN)
        buf_text(w->out, "(-INT64_C(9223372036854775807) - 1)");
    else
        buf_printf(w->out, "INT64_C(%lld)", (long long)x);
}

static void apply(Writer *w, const char *function, const char *suffix, const KInst *i)
{
    int n = kop_operands(i->op);
    KVal in[] = {i->a, i->b, i->c};
    buf_printf(w->out, "%s%s(", function, suffix);
    for (int k = 0; k < n; k++) {
        buf_text(w->out, k ? ", " : "");
        operand(w, in[k]);
    }
    buf_text(w->out, ")");
}

static void infix(Writer *w, const char *sign, const KInst *i)
{
    operand(w, i->a);
    buf_printf(w->out, " %s ", sign);
    operand(w, i->b);
}

static void integer_operator(Writer *w, const KInst *i)
{
    char suffix[8];
    snprintf(suffix, sizeof suffix, "_%s", kscalar_name(i->type.scalar));
    apply(w, kop_name(i->op), suffix, i);
}

static void operator(Writer *w, const KInst *i)
{
    static const char *const signs[] = {
        [K_ADD] = "+", [K_SUB] = "-", [K_MUL] = "*", [K_DIV] = "/", [K_LT] = "<", [K_LE] = "<=", [K_EQ] = "==",
        [K_NE] = "!=", [K_AND] = "&", [K_OR] = "|", [K_XOR] = "^",
    };
    static const char *const names[] = {
        [K_FMA] = "fma", [K_ABS] = "fabs", [K_SQRT] = "sqrt", [K_FLOOR] = "floor", [K_CEIL] = "ceil",
        [K_ROUND] = "rint",
    };
    KOp op = i->op;
    if (op == K_NEG) {
        buf_text(w->out, "-");
        operand(w, i->a);
    } else if (op >= K_FMA && op <= K_ROUND) {
        apply(w, names[op], i->type.scalar == KS_F32 ? "f" : "", i);
    } else if ((op >= K_LT && op <= K_XOR) || is_float(i->type)) {
        infix(w, signs[op], i);
    } else {
        integer_operator(w, i);
    }
}

static void conversion(Writer *w, const KInst *i)
{
    KScalar from = type_at(w, i->a).scalar, to = i->type.scalar;
    char name[24];
    if (i->op == K_BITCAST && from != to)
        snprintf(name, sizeof name, "%s_bits_%s", kscalar_name(from), kscalar_name(to));
    else if (i->op == K_CONVERT && is_float(type_at(w, i->a)) && !is_float(i->type))
        snprintf(name, sizeof name, "%s_to_%s", kscalar_name(from), kscalar_name(to));
    else
        snprintf(name, sizeof name, "(%s)", c_type(to));
    apply(w, name, "", i);
}

/* The value of one scalar, or of lane l of a vector. */
static void expression(Writer *w, const KInst *i)
{
    switch (i->op) {
    case K_INT: int_literal(w, i->type.scalar, i->imm); return;
    case K_REAL: real_literal(w, i->real, i->type.scalar == KS_F32); return;
    case K_LANES: buf_text(w->out, "l"); return;
    case K_SELECT:
        operand(w, i->a);
        buf_text(w->out, " ? ");
        operand(w, i->b);
        buf_text(w->out, " : ");
        operand(w, i->c);
        return;
    case K_CONVERT: case K_BITCAST: conversion(w, i); return;
    case K_SPLAT: operand(w, i->a); return;
    case K_LANE: buf_printf(w->out, "v%u.l[%lld]", i->a, (long long)i->imm); return;
    case K_INSERT:
        buf_printf(w->out, "l == %lld ? v%u : v%u.l[l]", (long long)i->imm, i->b, i->a);
        return;
    case K_MASK: buf_printf(w->out, "mask_bits(v%u)", i->a); return;
    case K_ONES: buf_printf(w->out, "__builtin_popcountll((unsigned long long)v%u)", i->a); return;
    case K_FIRST: buf_printf(w->out, "v%u ? __builtin_ctzll((unsigned long long)v%u) : 64", i->a, i->a); return;
    case K_ROTATE: buf_printf(w->out, "v%u.l[(l + %lld) & 15]", i->a, (long long)i->imm); return;
    case K_LO: buf_text(w->out, "lo"); return;
    case K_HI: buf_text(w->out, "hi"); return;
    case K_ARG: buf_printf(w->out, "table[%lld]", (long long)i->imm); return;
    case K_DATA: buf_printf(w->out, "(char *)data_%lld.bytes", (long long)i->imm); return;
    case K_OFFSET: buf_printf(w->out, "v%u + v%u * %lld", i->a, i->b, (long long)i->imm); return;
    default: operator(w, i); return;
    }
}

static void assignment(Writer *w, KVal at)
{
    const KInst *i = &w->func->code.at[at];
    indent(w);
    declare(w, at);
    if (i->op == K_LOAD) {
        buf_printf(w->out, " = load_%s%s(v%u, v%u);\n", kscalar_name(i->type.scalar), i->type.lanes == 16 ? "x16" : "",
                   i->a, i->b);
        return;
    }
    if (i->op == K_EXPAND) {
        buf_printf(w->out, " = expand_%sx16(v%u, v%u);\n", kscalar_name(i->type.scalar), i->a, i->b);
        return;
    }
    if (i->op == K_EACH || i->op == K_QUAD) {
        buf_printf(w->out, "; EACH v%u.l[l] = load_%s(v%u, v%u.l[l] + %lld);\n", at, kscalar_name(i->type.scalar), i->a,
                   i->b, (long long)i->imm);
        return;
    }
    if (i->type.lanes == 16) {
        buf_printf(w->out, "; EACH v%u.l[l]", at);
    }
    buf_text(w->out, " = ");
    expression(w, i);
    buf_text(w->out, ";\n");
}

static void store(Writer *w, const KInst *i)
{
    KType t = type_at(w, i->c);
    indent(w);
    buf_printf(w->out, "store_%s%s(v%u, v%u, v%u);\n", kscalar_name(t.scalar), t.lanes == 16 ? "x16" : "", i->a, i->b,
               i->c);
}

static void compress(Writer *w, const KInst *i)
{
    indent(w);
    buf_printf(w->out, "compress_%sx16(v%u, v%u, v%u);\n", kscalar_name(type_at(w, i->c).scalar), i->a, i->b, i->c);
}

static void prefetch(Writer *w, const KInst *i)
{
    indent(w);
    int cache = i->imm == FETCH_NEAR ? 3 : 2;
    buf_printf(w->out, "__builtin_prefetch(v%u, %d, %d);\n", i->a, i->imm == FETCH_WRITTEN, cache);
}

/* All next values are read before any carried variable is set. */
static void end_turn(Writer *w, KVal end)
{
    const KInst *code = w->func->code.at;
    KVal first = end;
    while (code[first - 1].op == K_NEXT)
        first--;
    for (KVal k = first; k < end; k++) {
        KType t = type_at(w, code[k].a);
        indent(w);
        buf_printf(w->out, "%s%s next_%lld = v%u;\n", c_type(t.scalar), t.lanes == 16 ? "x16" : "",
                   (long long)code[k].imm, code[k].a);
    }
    for (KVal k = first; k < end; k++) {
        indent(w);
        buf_printf(w->out, "v%lld = next_%lld;\n", (long long)code[k].imm, (long long)code[k].imm);
    }
}

static void begin_loop(Writer *w, KVal at)
{
    const KInst *code = w->func->code.at;
    for (KVal k = at + 1; code[k].op == K_CARRY; k++) {
        indent(w);
        declare(w, k);
        buf_printf(w->out, " = v%u;\n", code[k].a);
    }
    indent(w);
    buf_printf(w->out, "for (int64_t v%u = v%u; v%u < v%u; v%u += %lld) {\n", at, code[at].a, at, code[at].b, at,
               (long long)code[at].imm);
    w->depth++;
}

static void statement(Writer *w, KVal at)
{
    const KInst *i = &w->func->code.at[at];
    switch (i->op) {
    case K_NOP: case K_CARRY: case K_NEXT: case K_LOCAL: return;
    case K_STORE: store(w, i); return;
    case K_COMPRESS: compress(w, i); return;
    case K_PREFETCH: prefetch(w, i); return;
    case K_FOR: begin_loop(w, at); return;
    case K_END:
        end_turn(w, at);
        w->depth--;
        indent(w);
        buf_text(w->out, "}\n");
        return;
    case K_RESULT:
        indent(w);
        declare(w, at);
        buf_printf(w->out, " = v%u;\n", i->a);
        return;
    default: assignment(w, at); return;
    }
}

static void locals(Writer *w)
{
    for (KVal at = 1; at < (KVal)w->func->code.len; at++) {
        const KInst *i = &w->func->code.at[at];
        if (i->op != K_LOCAL)
            continue;
        indent(w);
        buf_printf(w->out, "double local_%u[%lld]; char *v%u = (char *)local_%u;\n", at, (long long)(i->imm + 7) / 8,
                   at, at);
    }
}

static void data(const KData *d, int number, Buf *out)
{
    buf_printf(out, "\nstatic const union { unsigned char bytes[%zu]; double align; } data_%d = {{",
               d->size ? d->size : 1, number);
    for (size_t k = 0; k < d->size; k++)
        buf_printf(out, "%s%u,", k % 24 ? "" : "\n    ", ((const unsigned char *)d->bytes)[k]);
    buf_text(out, d->size ? "\n}};\n" : "0}};\n");
}

void emit_c(const KModule *module, Buf *out)
{
    buf_text(out, prelude);
    for (int k = 0; k < module->data.len; k++)
        data(&module->data.at[k], k, out);
    for (int k = 0; k < module->func.len; k++) {
        char symbol[64];
        kernel_symbol(symbol, module, k);
        Writer w = {out, module, module->func.at[k], 1};
        buf_printf(out, "\nvoid %s(void *const *table, int64_t lo, int64_t hi)\n{\n", symbol);
        locals(&w);
        for (KVal at = 1; at < (KVal)w.func->code.len; at++)
            statement(&w, at);
        buf_text(out, "}\n");
    }
}
