/* device_range.c -- bounds of integers in a kernel, and what its pointers point to.
 *
 * One pass over the code in order: operands come first, a loop's index lies between its bounds.  Values that are
 * carried from turn to turn, and what is read from memory, are unknown. */
#include "kernel/device.h"

static bool whole(KType t) { return t.lanes == 1 && (t.scalar == KS_I32 || t.scalar == KS_I64); }

static Range bounds(int64_t a, int64_t b) { return a < b ? (Range){a, b, true} : (Range){b, a, true}; }

static Range joined(Range a, Range b) {
    if (!a.known || !b.known) return (Range){0};
    return (Range){a.lo < b.lo ? a.lo : b.lo, a.hi > b.hi ? a.hi : b.hi, true};
}

static Range product(Range a, Range b) {
    int64_t p[4];
    bool over = __builtin_mul_overflow(a.lo, b.lo, &p[0]) | __builtin_mul_overflow(a.lo, b.hi, &p[1]) |
                __builtin_mul_overflow(a.hi, b.lo, &p[2]) | __builtin_mul_overflow(a.hi, b.hi, &p[3]);
    return over ? (Range){0} : joined(bounds(p[0], p[1]), bounds(p[2], p[3]));
}

static Range sum(Range a, Range b) {
    Range r = {0, 0, true};
    if (__builtin_add_overflow(a.lo, b.lo, &r.lo) || __builtin_add_overflow(a.hi, b.hi, &r.hi)) return (Range){0};
    return r;
}

static Range difference(Range a, Range b) {
    Range r = {0, 0, true};
    if (__builtin_sub_overflow(a.lo, b.hi, &r.lo) || __builtin_sub_overflow(a.hi, b.lo, &r.hi)) return (Range){0};
    return r;
}

static Range binary(int op, Range a, Range b) {
    bool fixed = b.lo == b.hi;
    if (!a.known || !b.known) return (Range){0};
    switch (op) {
    case K_ADD: return sum(a, b);
    case K_SUB: return difference(a, b);
    case K_MUL: return product(a, b);
    case K_DIV: return fixed && b.lo > 0 ? bounds(a.lo / b.lo, a.hi / b.lo) : (Range){0};
    case K_REM: return fixed && b.lo > 0 && a.lo >= 0 ? (Range){0, a.hi < b.lo ? a.hi : b.lo - 1, true} : (Range){0};
    case K_SHR:
    case K_SAR: return fixed && b.lo >= 0 && b.lo < 31 && a.lo >= 0 ? bounds(a.lo >> b.lo, a.hi >> b.lo) : (Range){0};
    case K_AND: return fixed && b.lo >= 0 ? (Range){0, b.lo, true} : (Range){0};
    default: return (Range){0};
    }
}

/* select(a < b, a, b) and select(a < b, b, a). */
static bool least_or_most(const KFunc *f, const KInst *i, const Range *of, Range *out) {
    const KInst *test = &f->code.at[i->a];
    if (test->op != K_LT || !of[test->a].known || !of[test->b].known) return false;
    Range a = of[test->a], b = of[test->b];
    if (test->a == i->b && test->b == i->c)
        *out = (Range){a.lo < b.lo ? a.lo : b.lo, a.hi < b.hi ? a.hi : b.hi, true};
    else if (test->a == i->c && test->b == i->b)
        *out = (Range){a.lo > b.lo ? a.lo : b.lo, a.hi > b.hi ? a.hi : b.hi, true};
    else return false;
    return true;
}

static Range range_of(const KFunc *f, const KInst *i, const Range *of) {
    Range r = {0};
    switch (i->op) {
    case K_INT: return (Range){i->imm, i->imm, true};
    case K_FOR: return of[i->a].known && of[i->b].known ? (Range){of[i->a].lo, of[i->b].hi - 1, true} : r;
    case K_SELECT: return least_or_most(f, i, of, &r) ? r : joined(of[i->b], of[i->c]);
    case K_CONVERT:
        if (!whole(f->code.at[i->a].type)) return r;
        r = of[i->a].known                           ? of[i->a]
            : f->code.at[i->a].type.scalar == KS_I32 ? (Range){INT32_MIN, INT32_MAX, true}
                                                     : r;
        break;
    default:
        if (kop_operands((KOp)i->op) != 2) return r;
        r = binary(i->op, of[i->a], of[i->b]);
    }
    if (i->type.scalar == KS_I32 && (r.lo < INT32_MIN || r.hi > INT32_MAX)) r.known = false;
    return r;
}

Range *function_ranges(Arena *arena, const KFunc *f) {
    Range *of = arena_array(arena, Range, f->code.len + 1);
    for (int v = 1; v < f->code.len; v++)
        if (whole(f->code.at[v].type)) of[v] = range_of(f, &f->code.at[v], of);
    return of;
}

KVal pointer_root(const KFunc *f, KVal pointer) {
    for (;;) {
        const KInst *i = &f->code.at[pointer];
        if (i->op != K_OFFSET && i->op != K_CARRY && i->op != K_RESULT && i->op != K_SELECT) return pointer;
        pointer = i->op == K_SELECT ? i->b : i->a;
    }
}

/* ARGs of one entry are one root. */
static bool same_root(const KFunc *f, KVal a, KVal b) {
    const KInst *x = &f->code.at[a], *y = &f->code.at[b];
    return a == b || (x->op == y->op && (x->op == K_ARG || x->op == K_DATA) && x->imm == y->imm);
}

KScalar root_element(const KFunc *f, KVal root, bool *written) {
    KScalar element = KS_VOID;
    *written = false;
    for (int v = 1; v < f->code.len; v++) {
        const KInst *i = &f->code.at[v];
        if ((i->op != K_LOAD && i->op != K_STORE) || !same_root(f, pointer_root(f, i->a), root)) continue;
        KScalar own = (KScalar)(i->op == K_LOAD ? i->type.scalar : f->code.at[i->c].type.scalar);
        *written |= i->op == K_STORE;
        element = element == KS_VOID || element == own ? own : KS_PTR;
    }
    return element;
}
