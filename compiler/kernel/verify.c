/* verify.c -- checks every invariant of kernel.h: operand types, visibility, and the form of loops.
 *
 * A value is visible from its instruction to the end of the block (function or loop body) that holds it; RESULT alone
 * reaches back, to a CARRY of the loop just ended. */
#include "kernel/kernel.h"

typedef struct Verify {
    const KModule *module;
    const KFunc *func;
    bool *visible;
    VEC(KVal) open;
    Arena *arena;
    const char *problem;
} Verify;

static bool fail(Verify *v, KVal at, const char *what)
{
    if (!v->problem)
        v->problem = arena_printf(v->arena, "kernel %s, %%%u (%s): %s", v->func->name, at,
                                  v->func->code.at[at].op < K_COUNT ? kop_name(v->func->code.at[at].op) : "?", what);
    return false;
}

static KType type_of(const Verify *v, KVal x) { return v->func->code.at[x].type; }
static bool same(KType a, KType b) { return a.scalar == b.scalar && a.lanes == b.lanes; }
static bool is_float(KType t) { return t.scalar == KS_F32 || t.scalar == KS_F64; }
static bool is_int(KType t) { return t.scalar == KS_I32 || t.scalar == KS_I64; }
static bool is_scalar(KType t, KScalar s) { return t.scalar == s && t.lanes == 1; }
static bool is_value(KType t) { return t.scalar >= KS_BOOL && t.scalar <= KS_F64 && (t.lanes == 1 || t.lanes == 16); }

static bool check_operand(Verify *v, KVal at, KVal x)
{
    if (x == 0 || x >= at)
        return fail(v, at, "an operand is not an earlier value");
    if (type_of(v, x).scalar == KS_VOID)
        return fail(v, at, "an operand has no value");
    if (v->func->code.at[at].op != K_RESULT && !v->visible[x])
        return fail(v, at, "an operand is used outside the loop that makes it");
    return true;
}

static bool check_operands(Verify *v, KVal at)
{
    const KInst *i = &v->func->code.at[at];
    int n = kop_operands(i->op);
    return (n < 1 || check_operand(v, at, i->a)) && (n < 2 || check_operand(v, at, i->b)) &&
           (n < 3 || check_operand(v, at, i->c));
}

static bool check_leaf(Verify *v, KVal at)
{
    const KInst *i = &v->func->code.at[at];
    KType t = i->type;
    switch (i->op) {
    case K_ARG: return (is_scalar(t, KS_PTR) && i->imm >= 0) || fail(v, at, "not a pointer entry");
    case K_LO: case K_HI: return is_scalar(t, KS_I64) || fail(v, at, "not an i64");
    case K_INT: return (is_value(t) && !is_float(t)) || fail(v, at, "not an integer type");
    case K_REAL: return (is_value(t) && is_float(t)) || fail(v, at, "not a float type");
    case K_LOCAL: return (is_scalar(t, KS_PTR) && i->imm > 0) || fail(v, at, "not a pointer to at least one byte");
    case K_DATA:
        return (is_scalar(t, KS_PTR) && i->imm >= 0 && i->imm < v->module->data.len) || fail(v, at, "no such data");
    default: return (is_value(t) && t.lanes == 16 && t.scalar != KS_BOOL) || fail(v, at, "not a vector of numbers");
    }
}

/* Operators whose operands and value share one type, but for comparisons, which give bools. */
static bool check_operator(Verify *v, KVal at)
{
    const KInst *i = &v->func->code.at[at];
    KOp op = i->op;
    KType a = type_of(v, i->a), result = a;
    int n = kop_operands(op);
    if (!is_value(a) || (n > 1 && !same(a, type_of(v, i->b))) || (n > 2 && !same(a, type_of(v, i->c))))
        return fail(v, at, "operand types differ");
    bool compare = op >= K_LT && op <= K_NE;
    if (compare)
        result.scalar = KS_BOOL;
    if (!same(i->type, result))
        return fail(v, at, "wrong type of value");
    bool ok = is_float(a);
    if (op == K_AND || op == K_OR || op == K_XOR)
        ok = !is_float(a);
    else if (op == K_REM || op == K_SHL || op == K_SHR || op == K_SAR)
        ok = is_int(a);
    else if (op == K_MULHI)
        ok = a.scalar == KS_I32;
    else if (compare || op == K_ADD || op == K_SUB || op == K_MUL || op == K_DIV)
        ok = is_int(a) || is_float(a);
    return ok || fail(v, at, "no such operation on this type");
}

static bool check_movement(Verify *v, KVal at)
{
    const KInst *i = &v->func->code.at[at];
    KType t = i->type, a = type_of(v, i->a);
    switch (i->op) {
    case K_SELECT:
        if (a.scalar != KS_BOOL || !is_value(t) || (a.lanes != 1 && a.lanes != t.lanes))
            return fail(v, at, "the condition is not a fitting bool");
        return (same(t, type_of(v, i->b)) && same(t, type_of(v, i->c))) || fail(v, at, "operand types differ");
    case K_CONVERT:
        return (is_value(a) && is_value(t) && t.scalar != KS_BOOL && a.lanes == t.lanes) ||
               fail(v, at, "no such conversion");
    case K_BITCAST:
        return (is_value(a) && is_value(t) && t.scalar != KS_BOOL && a.scalar != KS_BOOL && a.lanes == t.lanes &&
                kscalar_bytes(a.scalar) == kscalar_bytes(t.scalar)) || fail(v, at, "widths differ");
    case K_SPLAT:
        return (is_value(t) && t.lanes == 16 && is_scalar(a, t.scalar)) || fail(v, at, "not a scalar to a vector");
    case K_LANE:
        return (is_value(a) && a.lanes == 16 && is_scalar(t, a.scalar) && i->imm >= 0 && i->imm < 16) ||
               fail(v, at, "not a lane of a vector");
    case K_INSERT:
        return (is_value(a) && a.lanes == 16 && same(t, a) && is_scalar(type_of(v, i->b), a.scalar) && i->imm >= 0 &&
                i->imm < 16) || fail(v, at, "not a scalar into a lane of a vector");
    case K_MASK:
        return (same(a, KV(BOOL)) && is_scalar(t, KS_I64)) || fail(v, at, "not a mask of bools");
    case K_ONES: case K_FIRST:
        return (is_scalar(a, KS_I64) && is_scalar(t, KS_I64)) || fail(v, at, "not bits of an i64");
    default:
        return (is_value(a) && a.lanes == 16 && same(t, a) && i->imm >= 0 && i->imm < 16) ||
               fail(v, at, "not a vector");
    }
}

static bool check_memory(Verify *v, KVal at)
{
    const KInst *i = &v->func->code.at[at];
    if (i->op == K_COMPRESS) {
        KType t = type_of(v, i->c);
        return (is_scalar(type_of(v, i->a), KS_PTR) && same(type_of(v, i->b), KV(BOOL)) && is_value(t) &&
                t.lanes == 16 && kscalar_bytes(t.scalar) >= 4) || fail(v, at, "not a pointer, a mask and a vector");
    }
    if (i->op == K_EXPAND)
        return (is_scalar(type_of(v, i->a), KS_PTR) && same(type_of(v, i->b), KV(BOOL)) && is_value(i->type) &&
                i->type.lanes == 16 && kscalar_bytes(i->type.scalar) >= 4) || fail(v, at, "not a pointer and a mask");
    if (i->op == K_EACH || i->op == K_QUAD) {
        bool quad = i->op == K_QUAD, type = quad ? same(i->type, KV(F32)) : i->type.lanes == 16 && is_value(i->type);
        return (is_scalar(type_of(v, i->a), KS_PTR) && same(type_of(v, i->b), KV(I32)) && type &&
                i->type.scalar != KS_BOOL && i->imm >= 0 && i->imm < (quad ? 4 : 1)) ||
               fail(v, at, "not elements at 16 places");
    }
    if (i->op == K_PREFETCH)
        return (is_scalar(type_of(v, i->a), KS_PTR) && i->imm >= FETCH && i->imm <= FETCH_WRITTEN) ||
               fail(v, at, "not a pointer");
    if (!is_scalar(type_of(v, i->a), KS_PTR) || !is_scalar(type_of(v, i->b), KS_I64))
        return fail(v, at, "not a pointer and an i64 index");
    if (i->op == K_STORE)
        return (is_value(type_of(v, i->c)) && i->type.scalar == KS_VOID) || fail(v, at, "not a value to store");
    if (i->op == K_LOAD)
        return is_value(i->type) || fail(v, at, "not a type to load");
    return (is_scalar(i->type, KS_PTR) && i->imm > 0) || fail(v, at, "not a pointer");
}

/* The CARRYs stand right after their FOR, the NEXTs right before its END, as many and in the same order. */
static bool check_end(Verify *v, KVal at)
{
    if (!v->open.len)
        return fail(v, at, "no loop is open");
    const KInst *code = v->func->code.at;
    KVal loop = v->open.at[--v->open.len], carries = 0, nexts = 0;
    while (code[loop + 1 + carries].op == K_CARRY)
        carries++;
    while (code[at - 1 - nexts].op == K_NEXT)
        nexts++;
    if (carries != nexts)
        return fail(v, at, "carried values and their next values differ in number");
    if (code[at].imm != (int64_t)loop)
        return fail(v, at, "ends another loop");
    for (KVal k = 0; k < nexts; k++) {
        const KInst *next = &code[at - nexts + k];
        if (next->imm != (int64_t)(loop + 1 + k) || !same(type_of(v, next->a), code[loop + 1 + k].type))
            return fail(v, at - nexts + k, "does not fit the carried value");
    }
    memset(v->visible + loop, 0, sizeof(bool) * (at - loop + 1));
    return true;
}

static bool check_result(Verify *v, KVal at)
{
    const KInst *code = v->func->code.at, *i = &code[at];
    KVal end = at - 1;
    while (code[end].op == K_RESULT)
        end--;
    if (code[end].op != K_END)
        return fail(v, at, "does not follow the end of a loop");
    if (code[i->a].op != K_CARRY || i->imm < 0 || (int64_t)i->a != code[end].imm + 1 + i->imm)
        return fail(v, at, "is not a carried value of the loop just ended");
    return same(i->type, code[i->a].type) || fail(v, at, "wrong type of value");
}

static bool check_loop(Verify *v, KVal at)
{
    const KInst *code = v->func->code.at, *i = &code[at];
    switch (i->op) {
    case K_FOR:
        if (!is_scalar(i->type, KS_I64) || !is_scalar(type_of(v, i->a), KS_I64) || !is_scalar(type_of(v, i->b), KS_I64))
            return fail(v, at, "bounds and index are not i64");
        if (i->imm <= 0)
            return fail(v, at, "the step is not positive");
        vec_push(v->arena, &v->open, at);
        return true;
    case K_CARRY:
        if (code[at - 1].op != K_FOR && code[at - 1].op != K_CARRY)
            return fail(v, at, "does not follow its loop");
        return (is_value(i->type) && same(i->type, type_of(v, i->a))) || fail(v, at, "wrong type of value");
    case K_NEXT:
        if (at + 1 >= (KVal)v->func->code.len || (code[at + 1].op != K_NEXT && code[at + 1].op != K_END))
            return fail(v, at, "is not at the end of its loop");
        return i->type.scalar == KS_VOID || fail(v, at, "has no value");
    case K_END: return check_end(v, at);
    default: return check_result(v, at);
    }
}

static bool check_inst(Verify *v, KVal at)
{
    KOp op = v->func->code.at[at].op;
    if (op >= K_COUNT)
        return fail(v, at, "no such instruction");
    if (op == K_NOP)
        return true;
    if (!check_operands(v, at))
        return false;
    if (op <= K_LANES)
        return check_leaf(v, at);
    if (op <= K_SAR)
        return check_operator(v, at);
    if (op <= K_ROTATE)
        return check_movement(v, at);
    if (op <= K_OFFSET)
        return check_memory(v, at);
    return check_loop(v, at);
}

static void check_function(Verify *v)
{
    v->visible = arena_array(v->arena, bool, v->func->code.len);
    v->open.len = 0;
    for (KVal at = 1; at < (KVal)v->func->code.len; at++) {
        if (!check_inst(v, at))
            return;
        v->visible[at] = v->func->code.at[at].op != K_NOP && v->func->code.at[at].op != K_END;
    }
    if (v->open.len)
        fail(v, v->open.at[v->open.len - 1], "the loop is not ended");
}

const char *kernel_verify(const KModule *module, Arena *arena)
{
    Verify v = {.module = module, .arena = arena};
    for (int k = 0; k < module->func.len && !v.problem; k++) {
        v.func = module->func.at[k];
        check_function(&v);
    }
    return v.problem;
}
