/* llvm.c -- kernel IR as an LLVM module, through the C API.
 *
 * One instruction gives one to a few LLVM instructions; nothing is decided here.  A loop is tested at its end, behind a
 * guard unless both bounds are constants; carried values are phis.  Pointer table entries are loaded, and local arrays
 * stand, in the entry block.  No instruction has a fast-math flag, so nothing is contracted or reordered. */
#include "emit/llvm.h"

#include <stdlib.h>

typedef struct Loop { KVal loop; LLVMBasicBlockRef before, body; bool guarded; } Loop;

typedef struct Printer {
    LLVMContextRef cx;
    LLVMModuleRef mod;
    LLVMBuilderRef b;               /* at the end of the current block */
    LLVMBuilderRef entry;           /* before the end of the entry block */
    LLVMValueRef *data;             /* one global per KData */
    struct { KVal a, b; LLVMBasicBlockRef block; LLVMValueRef row[4]; } quad;      /* the last QUAD's */
    const KFunc *func;
    LLVMValueRef fn, *value;        /* value[KVal] */
    Loop *loop;                     /* stack of the open loops */
    int loops;
    Loop last;                      /* the loop ended last, its latch and its END: for RESULT */
    LLVMBasicBlockRef latch;
    KVal end;
} Printer;

static LLVMTypeRef scalar_type(const Printer *p, KScalar s)
{
    switch (s) {
    case KS_VOID: return LLVMVoidTypeInContext(p->cx);
    case KS_BOOL: return LLVMInt1TypeInContext(p->cx);
    case KS_I32: return LLVMInt32TypeInContext(p->cx);
    case KS_I64: return LLVMInt64TypeInContext(p->cx);
    case KS_F32: return LLVMFloatTypeInContext(p->cx);
    case KS_F64: return LLVMDoubleTypeInContext(p->cx);
    case KS_PTR: return LLVMPointerTypeInContext(p->cx, 0);
    }
    return NULL;
}

static LLVMTypeRef type_of(const Printer *p, KType t)
{
    LLVMTypeRef s = scalar_type(p, t.scalar);
    return t.lanes == 16 ? LLVMVectorType(s, 16) : s;
}

static LLVMTypeRef memory_type(const Printer *p, KType t)
{
    LLVMTypeRef s = t.scalar == KS_BOOL ? LLVMInt8TypeInContext(p->cx) : scalar_type(p, t.scalar);
    return t.lanes == 16 ? LLVMVectorType(s, 16) : s;
}

static bool is_float(KType t) { return t.scalar == KS_F32 || t.scalar == KS_F64; }
static KType type_at(const Printer *p, KVal v) { return p->func->code.at[v].type; }
static int width_of(KType t) { return t.scalar == KS_BOOL ? 1 : t.scalar == KS_I32 ? 32 : 64; }

static int bytes_of(KType t)
{
    return t.scalar == KS_BOOL ? 1 : t.scalar == KS_I32 || t.scalar == KS_F32 ? 4 : 8;
}

static LLVMValueRef splat_constant(LLVMValueRef x, KType t)
{
    if (t.lanes == 1)
        return x;
    LLVMValueRef lanes[16];
    for (int k = 0; k < 16; k++)
        lanes[k] = x;
    return LLVMConstVector(lanes, 16);
}

static LLVMValueRef int_constant(const Printer *p, KType t, int64_t x)
{
    return splat_constant(LLVMConstInt(scalar_type(p, t.scalar), (unsigned long long)x, true), t);
}

static LLVMValueRef lanes_constant(const Printer *p, KType t)
{
    LLVMValueRef lanes[16];
    for (int k = 0; k < 16; k++)
        lanes[k] = is_float(t) ? LLVMConstReal(scalar_type(p, t.scalar), k)
                               : LLVMConstInt(scalar_type(p, t.scalar), (unsigned long long)k, true);
    return LLVMConstVector(lanes, 16);
}

static LLVMValueRef call(Printer *p, const char *intrinsic, LLVMTypeRef *types, size_t count, LLVMValueRef *args,
                         unsigned nargs)
{
    unsigned id = LLVMLookupIntrinsicID(intrinsic, strlen(intrinsic));
    LLVMValueRef f = LLVMGetIntrinsicDeclaration(p->mod, id, types, count);
    return LLVMBuildCall2(p->b, LLVMIntrinsicGetType(p->cx, id, types, count), f, args, nargs, "");
}

static LLVMValueRef call_same(Printer *p, const char *intrinsic, KType t, LLVMValueRef a, LLVMValueRef b,
                              LLVMValueRef c)
{
    LLVMTypeRef type = type_of(p, t);
    LLVMValueRef args[] = {a, b, c};
    return call(p, intrinsic, &type, 1, args, c ? 3 : b ? 2 : 1);
}

static LLVMValueRef high_product(Printer *p, KType t, LLVMValueRef a, LLVMValueRef b)
{
    LLVMTypeRef wide = type_of(p, (KType){KS_I64, t.lanes});
    LLVMValueRef product = LLVMBuildMul(p->b, LLVMBuildZExt(p->b, a, wide, ""), LLVMBuildZExt(p->b, b, wide, ""), "");
    LLVMValueRef high = LLVMBuildLShr(p->b, product, int_constant(p, (KType){KS_I64, t.lanes}, 32), "");
    return LLVMBuildTrunc(p->b, high, type_of(p, t), "");
}

/* x / 0 = x mod 0 = 0 and x / -1 = -x (wrapping): the divisor is replaced by 1 where it is 0 or -1. */
static LLVMValueRef divide(Printer *p, const KInst *i, KType t, LLVMValueRef a, LLVMValueRef b)
{
    const KInst *divisor = &p->func->code.at[i->b];
    if (divisor->op == K_INT && divisor->imm != 0 && divisor->imm != -1)
        return i->op == K_DIV ? LLVMBuildSDiv(p->b, a, b, "") : LLVMBuildSRem(p->b, a, b, "");
    LLVMValueRef zero = int_constant(p, t, 0);
    LLVMValueRef by_zero = LLVMBuildICmp(p->b, LLVMIntEQ, b, zero, "");
    LLVMValueRef by_minus = LLVMBuildICmp(p->b, LLVMIntEQ, b, int_constant(p, t, -1), "");
    LLVMValueRef odd = LLVMBuildOr(p->b, by_zero, by_minus, "");
    LLVMValueRef safe = LLVMBuildSelect(p->b, odd, int_constant(p, t, 1), b, "");
    if (i->op == K_REM)
        return LLVMBuildSRem(p->b, a, safe, "");
    LLVMValueRef quotient = LLVMBuildSDiv(p->b, a, safe, "");
    quotient = LLVMBuildSelect(p->b, by_minus, LLVMBuildNeg(p->b, a, ""), quotient, "");
    return LLVMBuildSelect(p->b, by_zero, zero, quotient, "");
}

static LLVMValueRef arithmetic(Printer *p, const KInst *i, LLVMValueRef a, LLVMValueRef b)
{
    KType t = type_at(p, i->a);
    bool f = is_float(t);
    switch (i->op) {
    case K_ADD: return f ? LLVMBuildFAdd(p->b, a, b, "") : LLVMBuildAdd(p->b, a, b, "");
    case K_SUB: return f ? LLVMBuildFSub(p->b, a, b, "") : LLVMBuildSub(p->b, a, b, "");
    case K_MUL: return f ? LLVMBuildFMul(p->b, a, b, "") : LLVMBuildMul(p->b, a, b, "");
    case K_MULHI: return high_product(p, t, a, b);
    case K_DIV: return f ? LLVMBuildFDiv(p->b, a, b, "") : divide(p, i, t, a, b);
    default: return divide(p, i, t, a, b);
    }
}

static LLVMValueRef unary(Printer *p, const KInst *i, LLVMValueRef a)
{
    switch (i->op) {
    case K_NEG: return LLVMBuildFNeg(p->b, a, "");
    case K_ABS: return call_same(p, "llvm.fabs", i->type, a, NULL, NULL);
    case K_SQRT: return call_same(p, "llvm.sqrt", i->type, a, NULL, NULL);
    case K_FLOOR: return call_same(p, "llvm.floor", i->type, a, NULL, NULL);
    case K_CEIL: return call_same(p, "llvm.ceil", i->type, a, NULL, NULL);
    default: return call_same(p, "llvm.rint", i->type, a, NULL, NULL);
    }
}

static LLVMValueRef compare(Printer *p, const KInst *i, LLVMValueRef a, LLVMValueRef b)
{
    static const LLVMRealPredicate real[] = {LLVMRealOLT, LLVMRealOLE, LLVMRealOEQ, LLVMRealUNE};
    static const LLVMIntPredicate integer[] = {LLVMIntSLT, LLVMIntSLE, LLVMIntEQ, LLVMIntNE};
    return is_float(type_at(p, i->a)) ? LLVMBuildFCmp(p->b, real[i->op - K_LT], a, b, "")
                                      : LLVMBuildICmp(p->b, integer[i->op - K_LT], a, b, "");
}

static LLVMValueRef bitwise(Printer *p, const KInst *i, LLVMValueRef a, LLVMValueRef b)
{
    if (i->op >= K_SHL)
        b = LLVMBuildAnd(p->b, b, int_constant(p, i->type, width_of(i->type) - 1), "");
    switch (i->op) {
    case K_AND: return LLVMBuildAnd(p->b, a, b, "");
    case K_OR: return LLVMBuildOr(p->b, a, b, "");
    case K_XOR: return LLVMBuildXor(p->b, a, b, "");
    case K_SHL: return LLVMBuildShl(p->b, a, b, "");
    case K_SHR: return LLVMBuildLShr(p->b, a, b, "");
    default: return LLVMBuildAShr(p->b, a, b, "");
    }
}

/* 16 lanes from float to integer, as llvm.fptosi.sat, which LLVM does lane by lane: what fits is converted, the rest
 * chosen. */
static LLVMValueRef saturate(Printer *p, KType from, KType to, LLVMValueRef a)
{
    bool wide = to.scalar == KS_I64;
    double bound = wide ? 0x1p63 : 0x1p31;
    LLVMTypeRef real = scalar_type(p, from.scalar);
    LLVMValueRef top = splat_constant(LLVMConstReal(real, bound), from);
    LLVMValueRef bottom = splat_constant(LLVMConstReal(real, -bound), from);
    LLVMValueRef above = LLVMBuildFCmp(p->b, LLVMRealOGE, a, top, "");
    LLVMValueRef below = LLVMBuildFCmp(p->b, LLVMRealOLT, a, bottom, "");
    LLVMValueRef inside = LLVMBuildAnd(p->b, LLVMBuildFCmp(p->b, LLVMRealOLT, a, top, ""),
                                       LLVMBuildFCmp(p->b, LLVMRealOGE, a, bottom, ""), "");
    LLVMValueRef safe = LLVMBuildSelect(p->b, inside, a, LLVMConstNull(type_of(p, from)), "");
    LLVMValueRef x = LLVMBuildFPToSI(p->b, safe, type_of(p, to), "");
    x = LLVMBuildSelect(p->b, above, int_constant(p, to, wide ? INT64_MAX : INT32_MAX), x, "");
    return LLVMBuildSelect(p->b, below, int_constant(p, to, wide ? INT64_MIN : INT32_MIN), x, "");
}

static LLVMValueRef convert(Printer *p, const KInst *i, LLVMValueRef a)
{
    KType from = type_at(p, i->a), to = i->type;
    LLVMTypeRef type = type_of(p, to), types[2] = {type, type_of(p, from)};
    if (is_float(from) && is_float(to))
        return LLVMBuildFPCast(p->b, a, type, "");
    if (is_float(from) && from.lanes == 16)
        return saturate(p, from, to, a);
    if (is_float(from))
        return call(p, "llvm.fptosi.sat", types, 2, &a, 1);
    if (is_float(to))
        return from.scalar == KS_BOOL ? LLVMBuildUIToFP(p->b, a, type, "") : LLVMBuildSIToFP(p->b, a, type, "");
    if (from.scalar == KS_BOOL)
        return LLVMBuildZExt(p->b, a, type, "");
    return width_of(to) < width_of(from) ? LLVMBuildTrunc(p->b, a, type, "") : LLVMBuildSExt(p->b, a, type, "");
}

static LLVMValueRef shuffle(Printer *p, LLVMValueRef v, int by, bool splat)
{
    LLVMTypeRef i32 = LLVMInt32TypeInContext(p->cx);
    LLVMValueRef mask[16];
    for (int k = 0; k < 16; k++)
        mask[k] = LLVMConstInt(i32, splat ? 0 : (unsigned)((k + by) & 15), false);
    return LLVMBuildShuffleVector(p->b, v, LLVMGetPoison(LLVMTypeOf(v)), LLVMConstVector(mask, 16), "");
}

static LLVMValueRef move(Printer *p, const KInst *i, LLVMValueRef a)
{
    LLVMTypeRef i32 = LLVMInt32TypeInContext(p->cx);
    LLVMValueRef lane = LLVMConstInt(i32, (unsigned long long)i->imm, false);
    switch (i->op) {
    case K_SELECT: return LLVMBuildSelect(p->b, a, p->value[i->b], p->value[i->c], "");
    case K_CONVERT: return convert(p, i, a);
    case K_BITCAST: return LLVMBuildBitCast(p->b, a, type_of(p, i->type), "");
    case K_SPLAT:
        if (LLVMIsConstant(a))
            return splat_constant(a, i->type);
        lane = LLVMConstInt(i32, 0, false);
        return shuffle(p, LLVMBuildInsertElement(p->b, LLVMGetPoison(type_of(p, i->type)), a, lane, ""), 0, true);
    case K_MASK: {
        LLVMTypeRef i16 = LLVMInt16TypeInContext(p->cx);
        return LLVMBuildZExt(p->b, LLVMBuildBitCast(p->b, a, i16, ""), type_of(p, i->type), "");
    }
    case K_ONES: return call_same(p, "llvm.ctpop", i->type, a, NULL, NULL);
    case K_FIRST: {
        LLVMTypeRef type = type_of(p, i->type);
        LLVMValueRef in[] = {a, LLVMConstInt(LLVMInt1TypeInContext(p->cx), 0, false)};
        return call(p, "llvm.cttz", &type, 1, in, 2);
    }
    case K_LANE: return LLVMBuildExtractElement(p->b, a, lane, "");
    case K_INSERT: return LLVMBuildInsertElement(p->b, a, p->value[i->b], lane, "");
    default: return shuffle(p, a, (int)i->imm, false);
    }
}

static LLVMValueRef address(Printer *p, LLVMTypeRef element, LLVMValueRef base, LLVMValueRef index)
{
    return LLVMBuildGEP2(p->b, element, base, &index, 1, "");
}

/* Of a and b, elements from of groups of four; step 1: a0 b0 a1 b1 .., 2: a0 a1 b0 b1 .. */
static LLVMValueRef weave(Printer *p, LLVMValueRef a, LLVMValueRef b, int from, bool pairs)
{
    LLVMValueRef mask[16];
    for (int k = 0; k < 16; k++) {
        int within = pairs ? from + k % 2 : from + k % 4 / 2, of_b = pairs ? k % 4 / 2 : k % 2;
        mask[k] = LLVMConstInt(LLVMInt32TypeInContext(p->cx), (unsigned)(k / 4 * 4 + within + 16 * of_b), false);
    }
    return LLVMBuildShuffleVector(p->b, a, b, LLVMConstVector(mask, 16), "");
}

static LLVMValueRef local(Printer *p, int64_t bytes);

/* The lanes of a vector of i32 as 16 numbers: through memory, as moving them out one by one would take the unit that
 * puts vectors together. */
static void numbers(Printer *p, LLVMValueRef vector, LLVMValueRef *out)
{
    LLVMTypeRef i32 = LLVMInt32TypeInContext(p->cx), i64 = LLVMInt64TypeInContext(p->cx);
    LLVMValueRef at = local(p, 64), mask[16];
    for (int k = 0; k < 16; k++) mask[k] = LLVMConstInt(i32, (unsigned)k, false);
    for (int h = 0; h < 2; h++) {
        LLVMValueRef half = LLVMBuildShuffleVector(p->b, vector, vector, LLVMConstVector(mask + 8 * h, 8), "");
        LLVMValueRef store = LLVMBuildStore(p->b, half,
                                            address(p, i32, at, LLVMConstInt(i64, 8u * (unsigned)h, false)));
        LLVMSetVolatile(store, true);
    }
    for (int e = 0; e < 16; e++) {
        LLVMValueRef lane = LLVMConstInt(i64, (unsigned)e, false);
        LLVMValueRef x = LLVMBuildLoad2(p->b, i32, address(p, i32, at, lane), "");
        LLVMSetVolatile(x, true);
        out[e] = LLVMBuildZExt(p->b, x, i64, "");
    }
}

static LLVMValueRef each(Printer *p, const KInst *i, LLVMValueRef a, LLVMValueRef b)
{
    LLVMTypeRef i1 = LLVMInt1TypeInContext(p->cx), i32 = LLVMInt32TypeInContext(p->cx),
                i64 = LLVMInt64TypeInContext(p->cx), type = type_of(p, i->type);
    LLVMValueRef number = LLVMBuildZExt(p->b, b, LLVMVectorType(i64, 16), "");
    LLVMValueRef in[] = {LLVMBuildGEP2(p->b, scalar_type(p, i->type.scalar), a, &number, 1, ""),
                         LLVMConstInt(i32, 4, false), LLVMConstAllOnes(LLVMVectorType(i1, 16)), LLVMGetPoison(type)};
    LLVMTypeRef types[] = {type, LLVMTypeOf(in[0])};
    return call(p, "llvm.masked.gather", types, 2, in, 4);
}

/* Sixteen vectors of four as four of sixteen: those of lanes r, r + 4, r + 8, r + 12 joined.  The QUADs of a cell
 * follow each other and share them. */
static void quad_rows(Printer *p, const KInst *i, LLVMValueRef a, LLVMValueRef b)
{
    LLVMTypeRef i32 = LLVMInt32TypeInContext(p->cx), f32 = LLVMFloatTypeInContext(p->cx);
    LLVMBasicBlockRef block = LLVMGetInsertBlock(p->b);
    LLVMValueRef number[16], mask[16];
    if (p->quad.a == i->a && p->quad.b == i->b && p->quad.block == block) return;
    p->quad.a = i->a, p->quad.b = i->b, p->quad.block = block;
    numbers(p, b, number);
    for (int k = 0; k < 16; k++) mask[k] = LLVMConstInt(i32, (unsigned)k, false);
    for (int r = 0; r < 4; r++) {
        LLVMValueRef part[4], half[2];
        for (int g = 0; g < 4; g++) {
            part[g] = LLVMBuildLoad2(p->b, LLVMVectorType(f32, 4), address(p, f32, a, number[4 * g + r]), "");
            LLVMSetAlignment(part[g], 4);
        }
        for (int h = 0; h < 2; h++)
            half[h] = LLVMBuildShuffleVector(p->b, part[2 * h], part[2 * h + 1], LLVMConstVector(mask, 8), "");
        p->quad.row[r] = LLVMBuildShuffleVector(p->b, half[0], half[1], LLVMConstVector(mask, 16), "");
    }
}

/* The rows turned within their groups of four. */
static LLVMValueRef quad(Printer *p, const KInst *i, LLVMValueRef a, LLVMValueRef b)
{
    quad_rows(p, i, a, b);
    int high = i->imm >= 2 ? 2 : 0;
    const LLVMValueRef *row = p->quad.row;
    LLVMValueRef front = weave(p, row[0], row[1], high, false), back = weave(p, row[2], row[3], high, false);
    return weave(p, front, back, i->imm % 2 ? 2 : 0, true);
}

static LLVMValueRef memory(Printer *p, const KInst *i, LLVMValueRef a, LLVMValueRef b)
{
    if (i->op == K_EACH) return each(p, i, a, b);
    if (i->op == K_QUAD) return quad(p, i, a, b);
    KType t = i->op == K_STORE ? type_at(p, i->c) : i->type;
    if (i->op == K_COMPRESS) {
        LLVMTypeRef type = type_of(p, type_at(p, i->c));
        LLVMValueRef args[] = {p->value[i->c], a, b};
        call(p, "llvm.masked.compressstore", &type, 1, args, 3);
        return NULL;
    }
    if (i->op == K_EXPAND) {
        LLVMTypeRef type = type_of(p, t);
        LLVMValueRef args[] = {a, b, LLVMConstNull(type)};
        return call(p, "llvm.masked.expandload", &type, 1, args, 3);
    }
    if (i->op == K_PREFETCH) {
        LLVMTypeRef type = LLVMPointerTypeInContext(p->cx, 0), i32 = LLVMInt32TypeInContext(p->cx);
        LLVMValueRef written = LLVMConstInt(i32, i->imm == FETCH_WRITTEN, false);
        LLVMValueRef cache = LLVMConstInt(i32, i->imm == FETCH_NEAR ? 3 : 2, false);
        LLVMValueRef args[] = {a, written, cache, LLVMConstInt(i32, 1, false)};
        call(p, "llvm.prefetch", &type, 1, args, 4);
        return NULL;
    }
    if (i->op == K_OFFSET) {
        LLVMTypeRef i64 = LLVMInt64TypeInContext(p->cx), i8 = LLVMInt8TypeInContext(p->cx);
        LLVMTypeRef element = i->imm == 4 ? LLVMInt32TypeInContext(p->cx) : i->imm == 8 ? i64 : i8;
        if (i->imm != 4 && i->imm != 8 && i->imm != 1)
            b = LLVMBuildMul(p->b, b, LLVMConstInt(i64, (unsigned long long)i->imm, true), "");
        return address(p, element, a, b);
    }
    LLVMTypeRef type = memory_type(p, t);
    LLVMValueRef at = address(p, memory_type(p, (KType){t.scalar, 1}), a, b), done;
    if (i->op == K_STORE) {
        LLVMValueRef x = p->value[i->c];
        done = LLVMBuildStore(p->b, t.scalar == KS_BOOL ? LLVMBuildZExt(p->b, x, type, "") : x, at);
        LLVMSetAlignment(done, (unsigned)bytes_of(t));
        return NULL;
    }
    done = LLVMBuildLoad2(p->b, type, at, "");
    LLVMSetAlignment(done, (unsigned)(bytes_of(t) < 4 ? bytes_of(t) : 4));
    if (t.scalar == KS_BOOL)
        done = LLVMBuildICmp(p->b, LLVMIntNE, done, LLVMConstNull(type), "");
    return done;
}

static LLVMValueRef table_entry(Printer *p, int64_t entry)
{
    LLVMTypeRef ptr = LLVMPointerTypeInContext(p->cx, 0);
    LLVMValueRef index = LLVMConstInt(LLVMInt64TypeInContext(p->cx), (unsigned long long)entry, false);
    LLVMValueRef at = LLVMBuildGEP2(p->entry, ptr, LLVMGetParam(p->fn, 0), &index, 1, "");
    return LLVMBuildLoad2(p->entry, ptr, at, "");
}

static LLVMValueRef local(Printer *p, int64_t bytes)
{
    LLVMTypeRef type = LLVMArrayType2(LLVMInt8TypeInContext(p->cx), (uint64_t)bytes);
    LLVMValueRef at = LLVMBuildAlloca(p->entry, type, "");
    LLVMSetAlignment(at, 64);
    return at;
}

static LLVMValueRef leaf(Printer *p, const KInst *i)
{
    switch (i->op) {
    case K_ARG: return table_entry(p, i->imm);
    case K_LO: return LLVMGetParam(p->fn, 1);
    case K_HI: return LLVMGetParam(p->fn, 2);
    case K_INT: return int_constant(p, i->type, i->imm);
    case K_REAL: return splat_constant(LLVMConstReal(scalar_type(p, i->type.scalar), i->real), i->type);
    case K_LOCAL: return local(p, i->imm);
    case K_DATA: return p->data[i->imm];
    default: return lanes_constant(p, i->type);
    }
}

static LLVMBasicBlockRef new_block(Printer *p) { return LLVMAppendBasicBlockInContext(p->cx, p->fn, ""); }

static bool surely_turns(const Printer *p, const KInst *i)
{
    const KInst *lo = &p->func->code.at[i->a], *hi = &p->func->code.at[i->b];
    return lo->op == K_INT && hi->op == K_INT && lo->imm < hi->imm;
}

/* The exit block is appended when the loop ends, so that blocks stand in program order; until then the guard
 * branches to the body twice and is set right by end_loop. */
static LLVMValueRef begin_loop(Printer *p, KVal at)
{
    const KInst *i = &p->func->code.at[at];
    Loop *l = &p->loop[p->loops++];
    *l = (Loop){at, LLVMGetInsertBlock(p->b), new_block(p), !surely_turns(p, i)};
    if (l->guarded) {
        LLVMValueRef turns = LLVMBuildICmp(p->b, LLVMIntSLT, p->value[i->a], p->value[i->b], "");
        LLVMBuildCondBr(p->b, turns, l->body, l->body);
    } else {
        LLVMBuildBr(p->b, l->body);
    }
    LLVMPositionBuilderAtEnd(p->b, l->body);
    LLVMValueRef index = LLVMBuildPhi(p->b, LLVMInt64TypeInContext(p->cx), "");
    LLVMAddIncoming(index, &p->value[i->a], &l->before, 1);
    return index;
}

static LLVMValueRef carried(Printer *p, const KInst *i)
{
    LLVMValueRef phi = LLVMBuildPhi(p->b, type_of(p, i->type), "");
    LLVMAddIncoming(phi, &p->value[i->a], &p->loop[p->loops - 1].before, 1);
    return phi;
}

static void end_loop(Printer *p, KVal at)
{
    Loop l = p->loop[--p->loops];
    const KInst *code = p->func->code.at;
    LLVMBasicBlockRef latch = LLVMGetInsertBlock(p->b), out = new_block(p);
    LLVMValueRef step = LLVMConstInt(LLVMInt64TypeInContext(p->cx), (unsigned long long)code[l.loop].imm, true);
    LLVMValueRef next = LLVMBuildNSWAdd(p->b, p->value[l.loop], step, "");
    LLVMValueRef more = LLVMBuildICmp(p->b, LLVMIntSLT, next, p->value[code[l.loop].b], "");
    LLVMBuildCondBr(p->b, more, l.body, out);
    if (l.guarded)
        LLVMSetSuccessor(LLVMGetBasicBlockTerminator(l.before), 1, out);
    LLVMAddIncoming(p->value[l.loop], &next, &latch, 1);
    for (KVal k = at - 1; code[k].op == K_NEXT; k--)
        LLVMAddIncoming(p->value[code[k].imm], &p->value[code[k].a], &latch, 1);
    LLVMPositionBuilderAtEnd(p->b, out);
    p->last = l;
    p->latch = latch;
    p->end = at;
}

static LLVMValueRef loop_result(Printer *p, const KInst *i)
{
    const KInst *code = p->func->code.at;
    KVal first_next = p->end;
    while (code[first_next - 1].op == K_NEXT)
        first_next--;
    LLVMValueRef next = p->value[code[first_next + (KVal)i->imm].a];
    if (!p->last.guarded)
        return next;
    LLVMValueRef phi = LLVMBuildPhi(p->b, type_of(p, i->type), "");
    LLVMAddIncoming(phi, &p->value[code[i->a].a], &p->last.before, 1);
    LLVMAddIncoming(phi, &next, &p->latch, 1);
    return phi;
}

static LLVMValueRef instruction(Printer *p, KVal at)
{
    const KInst *i = &p->func->code.at[at];
    KOp op = i->op;
    LLVMValueRef a = p->value[i->a], b = p->value[i->b];
    if (op <= K_LANES)
        return op == K_NOP ? NULL : leaf(p, i);
    if (op <= K_REM)
        return arithmetic(p, i, a, b);
    if (op == K_FMA)
        return call_same(p, "llvm.fma", i->type, a, b, p->value[i->c]);
    if (op <= K_ROUND)
        return unary(p, i, a);
    if (op <= K_NE)
        return compare(p, i, a, b);
    if (op <= K_SAR)
        return bitwise(p, i, a, b);
    if (op <= K_ROTATE)
        return move(p, i, a);
    if (op <= K_OFFSET)
        return memory(p, i, a, b);
    if (op == K_FOR)
        return begin_loop(p, at);
    if (op == K_CARRY)
        return carried(p, i);
    if (op == K_RESULT)
        return loop_result(p, i);
    if (op == K_END)
        end_loop(p, at);
    return NULL;
}

static int loops_in(const KFunc *func)
{
    int n = 0;
    for (int k = 1; k < func->code.len; k++)
        n += func->code.at[k].op == K_FOR;
    return n;
}

static void set_attributes(Printer *p, const char *cpu, const char *features)
{
    LLVMAttributeRef a[] = {
        LLVMCreateEnumAttribute(p->cx, LLVMGetEnumAttributeKindForName("nounwind", 8), 0),
        LLVMCreateStringAttribute(p->cx, "target-cpu", 10, cpu, (unsigned)strlen(cpu)),
        LLVMCreateStringAttribute(p->cx, "target-features", 15, features, (unsigned)strlen(features)),
    };
    for (int k = 0; k < COUNT(a); k++)
        LLVMAddAttributeAtIndex(p->fn, LLVMAttributeFunctionIndex, a[k]);
}

static void function(Printer *p, const char *symbol, const char *cpu, const char *features)
{
    LLVMTypeRef i64 = LLVMInt64TypeInContext(p->cx), params[] = {LLVMPointerTypeInContext(p->cx, 0), i64, i64};
    p->fn = LLVMAddFunction(p->mod, symbol, LLVMFunctionType(LLVMVoidTypeInContext(p->cx), params, 3, false));
    set_attributes(p, cpu, features);
    p->value = calloc((size_t)p->func->code.len, sizeof *p->value);
    p->loop = calloc((size_t)loops_in(p->func) + 1, sizeof *p->loop);
    p->loops = 0;
    p->quad.block = NULL;
    LLVMBasicBlockRef entry = new_block(p), first = new_block(p);
    LLVMPositionBuilderAtEnd(p->entry, entry);
    LLVMPositionBuilderAtEnd(p->b, first);
    for (KVal at = 1; at < (KVal)p->func->code.len; at++)
        p->value[at] = instruction(p, at);
    LLVMBuildRetVoid(p->b);
    LLVMBuildBr(p->entry, first);
    free(p->value);
    free(p->loop);
}

static LLVMValueRef global_data(Printer *p, const KData *data)
{
    LLVMValueRef bytes = LLVMConstStringInContext2(p->cx, data->bytes, data->size, true);
    LLVMValueRef global = LLVMAddGlobal(p->mod, LLVMTypeOf(bytes), "");
    LLVMSetInitializer(global, bytes);
    LLVMSetLinkage(global, LLVMPrivateLinkage);
    LLVMSetGlobalConstant(global, true);
    LLVMSetAlignment(global, 64);
    return global;
}

LLVMModuleRef llvm_module(LLVMContextRef context, const KModule *module, const char *cpu, const char *features)
{
    Printer p = {.cx = context, .mod = LLVMModuleCreateWithNameInContext("nin", context)};
    p.b = LLVMCreateBuilderInContext(context);
    p.entry = LLVMCreateBuilderInContext(context);
    p.data = calloc((size_t)module->data.len + 1, sizeof *p.data);
    for (int k = 0; k < module->data.len; k++)
        p.data[k] = global_data(&p, &module->data.at[k]);
    for (int k = 0; k < module->func.len; k++) {
        char symbol[64];
        kernel_symbol(symbol, module, k);
        p.func = module->func.at[k];
        function(&p, symbol, cpu, features);
    }
    free(p.data);
    LLVMDisposeBuilder(p.b);
    LLVMDisposeBuilder(p.entry);
    return p.mod;
}
