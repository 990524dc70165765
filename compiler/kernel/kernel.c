/* kernel.c -- building kernel IR, one instruction at a time.
 *
 * Builders append to KFunc.code and derive result types from operands; misuse is an assertion here and a message in
 * verify.c.  KFunc.open and KFunc.next hold the loops being built and their next values. */
#include "kernel/kernel.h"

#include <assert.h>

#define NONE ((KType){KS_VOID, 0})

static const struct { const char *name; int operands; } op_table[K_COUNT] = {
#define KOP(name, operands, text) {text, operands},
#include "kernel/kernel.def"
#undef KOP
};

const char *kop_name(KOp op) { return op_table[op].name; }
int kop_operands(KOp op) { return op_table[op].operands; }

int kscalar_bytes(KScalar scalar)
{
    switch (scalar) {
    case KS_VOID: return 0;
    case KS_BOOL: return 1;
    case KS_I32: case KS_F32: return 4;
    case KS_I64: case KS_F64: case KS_PTR: return 8;
    }
    return 0;
}

KModule *kmodule_new(Arena *arena)
{
    KModule *module = arena_new_of(arena, KModule);
    module->arena = arena;
    return module;
}

int kmodule_data(KModule *module, const void *bytes, size_t size)
{
    for (int i = 0; i < module->data.len; i++)
        if (module->data.at[i].size == size && memcmp(module->data.at[i].bytes, bytes, size) == 0) return i;
    void *copy = arena_alloc(module->arena, size ? size : 1);
    memcpy(copy, bytes, size);
    vec_push(module->arena, &module->data, ((KData){copy, size}));
    return module->data.len - 1;
}

KFunc *kfunc_new(KModule *module, const char *name)
{
    KFunc *func = arena_new_of(module->arena, KFunc);
    func->name = arena_copy(module->arena, name, strlen(name));
    vec_push(module->arena, &module->func, func);
    vec_push(module->arena, &func->code, (KInst){0});
    return func;
}

static KVal add(KModule *m, KFunc *f, KInst inst)
{
    vec_push(m->arena, &f->code, inst);
    return (KVal)(f->code.len - 1);
}

static bool is_float(KType t) { return t.scalar == KS_F32 || t.scalar == KS_F64; }
static bool is_int(KType t) { return t.scalar == KS_I32 || t.scalar == KS_I64; }
static bool same(KType a, KType b) { return a.scalar == b.scalar && a.lanes == b.lanes; }

KVal k_arg(KModule *m, KFunc *f, int entry) { return add(m, f, (KInst){.op = K_ARG, .type = KT(PTR), .imm = entry}); }
KVal k_lo(KModule *m, KFunc *f) { return add(m, f, (KInst){.op = K_LO, .type = KT(I64)}); }
KVal k_hi(KModule *m, KFunc *f) { return add(m, f, (KInst){.op = K_HI, .type = KT(I64)}); }

KVal k_ints(KModule *m, KFunc *f, KType type, int64_t x)
{
    assert(is_int(type) || type.scalar == KS_BOOL);
    if (type.scalar == KS_I32)
        x = (int32_t)(uint32_t)(uint64_t)x;
    if (type.scalar == KS_BOOL)
        x = x != 0;
    return add(m, f, (KInst){.op = K_INT, .type = type, .imm = x});
}

KVal k_int(KModule *m, KFunc *f, KScalar type, int64_t x) { return k_ints(m, f, (KType){type, 1}, x); }

KVal k_lanes(KModule *m, KFunc *f, KType type)
{
    assert(type.lanes == 16 && (is_int(type) || is_float(type)));
    return add(m, f, (KInst){.op = K_LANES, .type = type});
}

KVal k_real(KModule *m, KFunc *f, KType type, double x)
{
    assert(is_float(type));
    return add(m, f, (KInst){.op = K_REAL, .type = type, .real = type.scalar == KS_F32 ? (double)(float)x : x});
}

static bool takes(KOp op, KType t)
{
    if (op == K_ADD || op == K_SUB || op == K_MUL || op == K_DIV)
        return is_int(t) || is_float(t);
    if (op == K_REM || op == K_SHL || op == K_SHR || op == K_SAR)
        return is_int(t);
    if (op == K_MULHI)
        return t.scalar == KS_I32;
    if (op == K_AND || op == K_OR || op == K_XOR)
        return is_int(t) || t.scalar == KS_BOOL;
    if (op == K_LT || op == K_LE || op == K_EQ || op == K_NE)
        return is_int(t) || is_float(t);
    return is_float(t);
}

KVal k_1(KModule *m, KFunc *f, KOp op, KVal a)
{
    assert((op >= K_NEG && op <= K_ROUND) && takes(op, k_type(f, a)));
    return add(m, f, (KInst){.op = op, .type = k_type(f, a), .a = a});
}

KVal k_2(KModule *m, KFunc *f, KOp op, KVal a, KVal b)
{
    KType type = k_type(f, a);
    assert(same(type, k_type(f, b)) && takes(op, type));
    assert((op >= K_ADD && op <= K_REM) || (op >= K_LT && op <= K_SAR));
    if (op >= K_LT && op <= K_NE)
        type.scalar = KS_BOOL;
    return add(m, f, (KInst){.op = op, .type = type, .a = a, .b = b});
}

KVal k_3(KModule *m, KFunc *f, KOp op, KVal a, KVal b, KVal c)
{
    assert(op == K_FMA || op == K_SELECT);
    assert(same(k_type(f, b), k_type(f, c)));
    if (op == K_FMA) {
        assert(same(k_type(f, a), k_type(f, b)) && is_float(k_type(f, a)));
    } else {
        assert(k_type(f, a).scalar == KS_BOOL);
        assert(k_type(f, a).lanes == 1 || k_type(f, a).lanes == k_type(f, b).lanes);
    }
    return add(m, f, (KInst){.op = op, .type = k_type(f, b), .a = a, .b = b, .c = c});
}

KVal k_cast(KModule *m, KFunc *f, KType to, KVal a)
{
    assert(k_type(f, a).lanes == to.lanes && (is_int(to) || is_float(to)));
    if (same(to, k_type(f, a)))
        return a;
    return add(m, f, (KInst){.op = K_CONVERT, .type = to, .a = a});
}

KVal k_bits(KModule *m, KFunc *f, KType to, KVal a)
{
    assert(k_type(f, a).lanes == to.lanes && kscalar_bytes(k_type(f, a).scalar) == kscalar_bytes(to.scalar));
    return add(m, f, (KInst){.op = K_BITCAST, .type = to, .a = a});
}

KVal k_splat(KModule *m, KFunc *f, KVal a)
{
    KType type = k_type(f, a);
    assert(type.lanes == 1 && type.scalar != KS_PTR);
    type.lanes = 16;
    return add(m, f, (KInst){.op = K_SPLAT, .type = type, .a = a});
}

KVal k_lane(KModule *m, KFunc *f, KVal vector, int lane)
{
    KType type = k_type(f, vector);
    assert(type.lanes == 16 && lane >= 0 && lane < 16);
    type.lanes = 1;
    return add(m, f, (KInst){.op = K_LANE, .type = type, .a = vector, .imm = lane});
}

KVal k_insert(KModule *m, KFunc *f, KVal vector, int lane, KVal scalar)
{
    KType type = k_type(f, vector);
    assert(type.lanes == 16 && lane >= 0 && lane < 16);
    assert(k_type(f, scalar).lanes == 1 && k_type(f, scalar).scalar == type.scalar);
    return add(m, f, (KInst){.op = K_INSERT, .type = type, .a = vector, .b = scalar, .imm = lane});
}

KVal k_mask(KModule *m, KFunc *f, KVal bools)
{
    assert(same(k_type(f, bools), KV(BOOL)));
    return add(m, f, (KInst){.op = K_MASK, .type = KT(I64), .a = bools});
}

static KVal of_bits(KModule *m, KFunc *f, KOp op, KVal bits)
{
    assert(same(k_type(f, bits), KT(I64)));
    return add(m, f, (KInst){.op = op, .type = KT(I64), .a = bits});
}

KVal k_ones(KModule *m, KFunc *f, KVal bits) { return of_bits(m, f, K_ONES, bits); }
KVal k_first(KModule *m, KFunc *f, KVal bits) { return of_bits(m, f, K_FIRST, bits); }

KVal k_rotate(KModule *m, KFunc *f, KVal vector, int by)
{
    assert(k_type(f, vector).lanes == 16);
    return add(m, f, (KInst){.op = K_ROTATE, .type = k_type(f, vector), .a = vector, .imm = by & 15});
}

KVal k_load(KModule *m, KFunc *f, KType type, KVal pointer, KVal index)
{
    assert(same(k_type(f, pointer), KT(PTR)) && same(k_type(f, index), KT(I64)));
    assert(type.scalar != KS_VOID && type.scalar != KS_PTR);
    return add(m, f, (KInst){.op = K_LOAD, .type = type, .a = pointer, .b = index});
}

KVal k_each(KModule *m, KFunc *f, KScalar type, KVal pointer, KVal numbers)
{
    assert(same(k_type(f, pointer), KT(PTR)) && same(k_type(f, numbers), KV(I32)) && type != KS_PTR && type != KS_BOOL);
    return add(m, f, (KInst){.op = K_EACH, .type = {type, 16}, .a = pointer, .b = numbers});
}

KVal k_quad(KModule *m, KFunc *f, KVal pointer, KVal numbers, int which)
{
    assert(same(k_type(f, pointer), KT(PTR)) && same(k_type(f, numbers), KV(I32)) && which >= 0 && which < 4);
    return add(m, f, (KInst){.op = K_QUAD, .type = KV(F32), .a = pointer, .b = numbers, .imm = which});
}

void k_store(KModule *m, KFunc *f, KVal pointer, KVal index, KVal value)
{
    assert(same(k_type(f, pointer), KT(PTR)) && same(k_type(f, index), KT(I64)));
    assert(k_type(f, value).scalar != KS_VOID && k_type(f, value).scalar != KS_PTR);
    add(m, f, (KInst){.op = K_STORE, .type = NONE, .a = pointer, .b = index, .c = value});
}

void k_prefetch(KModule *m, KFunc *f, KVal pointer, Fetch how)
{
    add(m, f, (KInst){.op = K_PREFETCH, .type = NONE, .a = pointer, .imm = how});
}

void k_compress(KModule *m, KFunc *f, KVal pointer, KVal mask, KVal vector)
{
    assert(same(k_type(f, pointer), KT(PTR)) && same(k_type(f, mask), KV(BOOL)));
    assert(k_type(f, vector).lanes == 16 && kscalar_bytes(k_type(f, vector).scalar) >= 4);
    add(m, f, (KInst){.op = K_COMPRESS, .type = NONE, .a = pointer, .b = mask, .c = vector});
}

KVal k_expand(KModule *m, KFunc *f, KScalar type, KVal pointer, KVal mask)
{
    assert(same(k_type(f, pointer), KT(PTR)) && same(k_type(f, mask), KV(BOOL)) && kscalar_bytes(type) >= 4);
    return add(m, f, (KInst){.op = K_EXPAND, .type = {type, 16}, .a = pointer, .b = mask});
}

KVal k_local(KModule *m, KFunc *f, KScalar element, int64_t count)
{
    assert(count > 0 && kscalar_bytes(element) > 0);
    return add(m, f, (KInst){.op = K_LOCAL, .type = KT(PTR), .imm = count * kscalar_bytes(element)});
}

KVal k_data(KModule *m, KFunc *f, int data)
{
    assert(data >= 0 && data < m->data.len);
    return add(m, f, (KInst){.op = K_DATA, .type = KT(PTR), .imm = data});
}

KVal k_offset(KModule *m, KFunc *f, KScalar element, KVal pointer, KVal index)
{
    assert(same(k_type(f, pointer), KT(PTR)) && same(k_type(f, index), KT(I64)));
    return add(m, f, (KInst){.op = K_OFFSET, .type = KT(PTR), .a = pointer, .b = index, .imm = kscalar_bytes(element)});
}

KVal k_for(KModule *m, KFunc *f, KVal lo, KVal hi, int64_t step)
{
    assert(same(k_type(f, lo), KT(I64)) && same(k_type(f, hi), KT(I64)) && step > 0);
    KVal loop = add(m, f, (KInst){.op = K_FOR, .type = KT(I64), .a = lo, .b = hi, .imm = step});
    vec_push(m->arena, &f->open, loop);
    return loop;
}

KVal k_carry(KModule *m, KFunc *f, KVal start)
{
    assert(f->open.len && (f->code.at[f->code.len - 1].op == K_FOR || f->code.at[f->code.len - 1].op == K_CARRY));
    return add(m, f, (KInst){.op = K_CARRY, .type = k_type(f, start), .a = start});
}

static int carries(const KFunc *f, KVal loop)
{
    int n = 0;
    while ((int)loop + 1 + n < f->code.len && f->code.at[loop + 1 + (KVal)n].op == K_CARRY)
        n++;
    return n;
}

void k_next(KModule *m, KFunc *f, KVal value)
{
    assert(f->open.len);
    vec_push(m->arena, &f->next, value);
}

void k_end(KModule *m, KFunc *f)
{
    assert(f->open.len);
    KVal loop = f->open.at[--f->open.len];
    int n = carries(f, loop);
    assert(f->next.len >= n);
    f->next.len -= n;
    for (int k = 0; k < n; k++) {
        KVal carry = loop + 1 + (KVal)k, value = f->next.at[f->next.len + k];
        assert(same(k_type(f, carry), k_type(f, value)));
        add(m, f, (KInst){.op = K_NEXT, .type = NONE, .a = value, .imm = carry});
    }
    add(m, f, (KInst){.op = K_END, .type = NONE, .imm = loop});
}

KVal k_result(KModule *m, KFunc *f, int number, KType type)
{
    int at = f->code.len - 1;
    while (f->code.at[at].op == K_RESULT)
        at--;
    assert(f->code.at[at].op == K_END);
    KVal carry = (KVal)f->code.at[at].imm + 1 + (KVal)number;
    assert(f->code.at[carry].op == K_CARRY && same(k_type(f, carry), type));
    return add(m, f, (KInst){.op = K_RESULT, .type = type, .a = carry, .imm = number});
}

KVal k_tree(KModule *m, KFunc *f, KOp op, KVal vector)
{
    for (int by = 8; by > 0; by /= 2)
        vector = k_2(m, f, op, vector, k_rotate(m, f, vector, by));
    return k_lane(m, f, vector, 0);
}
