/* device_special.c -- a stage's function with its range, batch size and order known: constants folded, loops of one
 * turn opened, those of none dropped.
 *
 * A walk over the source that appends to a new function; map[source value] = new value.  Only integers are folded:
 * what is computed in floating point stays as it is. */
#include "kernel/device.h"

#include <assert.h>

typedef struct Special {
    const KFunc *f;
    KModule *m;
    KFunc *to;
    KVal *map, step;
    const Lowered *low;
    const Stage *stage;
    int64_t examples, lo, hi;
} Special;

static KVal append(Special *s, KInst inst) {
    vec_push(s->m->arena, &s->to->code, inst);
    return (KVal)(s->to->code.len - 1);
}

static const KInst *made(const Special *s, KVal v) { return &s->to->code.at[v]; }
static bool is_int(const Special *s, KVal v) { return made(s, v)->op == K_INT && made(s, v)->type.lanes == 1; }
static bool equals(const Special *s, KVal v, int64_t x) { return is_int(s, v) && made(s, v)->imm == x; }

static KVal number(Special *s, KType type, int64_t x) {
    if (type.scalar == KS_I32) x = (int32_t)(uint32_t)(uint64_t)x;
    return append(s, (KInst){.op = K_INT, .type = type, .imm = x});
}

/* ---- integers ---- */

static bool fold_constants(int op, KType type, int64_t a, int64_t b, int64_t *out) {
    uint64_t x = (uint64_t)a, y = (uint64_t)b;
    bool narrow = type.scalar == KS_I32;
    switch (op) {
    case K_ADD: *out = (int64_t)(x + y); return true;
    case K_SUB: *out = (int64_t)(x - y); return true;
    case K_MUL: *out = (int64_t)(x * y); return true;
    case K_DIV: *out = b == 0 ? 0 : b == -1 ? (int64_t)(0 - x) : a / b; return true;
    case K_REM: *out = b == 0 || b == -1 ? 0 : a % b; return true;
    case K_LT: *out = a < b; return true;
    case K_LE: *out = a <= b; return true;
    case K_EQ: *out = a == b; return true;
    case K_NE: *out = a != b; return true;
    case K_AND: *out = a & b; return true;
    case K_OR: *out = a | b; return true;
    case K_XOR: *out = a ^ b; return true;
    case K_SHL: *out = (int64_t)(x << (y & (narrow ? 31 : 63))); return true;
    case K_SHR: *out = (int64_t)((narrow ? (uint32_t)x : x) >> (y & (narrow ? 31 : 63))); return true;
    default: return false;
    }
}

/* x + 0, x * 1 and their like; 0: none of them. */
static KVal fold_neutral(Special *s, int op, KType type, KVal a, KVal b) {
    if (op == K_ADD && equals(s, a, 0)) return b;
    if ((op == K_ADD || op == K_SUB) && equals(s, b, 0)) return a;
    if (op == K_SUB && a == b) return number(s, type, 0);
    if (op == K_MUL && equals(s, a, 1)) return b;
    if ((op == K_MUL || op == K_DIV) && equals(s, b, 1)) return a;
    if (op == K_MUL && (equals(s, a, 0) || equals(s, b, 0))) return number(s, type, 0);
    return 0;
}

static KVal binary(Special *s, const KInst *i, KVal a, KVal b) {
    KType of = made(s, a)->type;
    int64_t x;
    if (of.lanes == 1 && of.scalar != KS_F32 && of.scalar != KS_F64) {
        if (is_int(s, a) && is_int(s, b) && fold_constants(i->op, of, made(s, a)->imm, made(s, b)->imm, &x))
            return number(s, i->type, x);
        KVal simple = fold_neutral(s, i->op, i->type, a, b);
        if (simple) return simple;
    }
    return append(s, (KInst){.op = i->op, .type = i->type, .a = a, .b = b});
}

static KVal converted(Special *s, const KInst *i, KVal a) {
    bool whole = i->type.scalar == KS_I32 || i->type.scalar == KS_I64;
    if (whole && is_int(s, a)) return number(s, i->type, made(s, a)->imm);
    return append(s, (KInst){.op = K_CONVERT, .type = i->type, .a = a});
}

/* ---- what is known of the batch ---- */

static const Entry *entry_at(const Special *s, KVal pointer) {
    const KInst *i = &s->f->code.at[pointer];
    return i->op == K_ARG ? &s->low->entry[s->stage->arg[i->imm]] : NULL;
}

static KVal loaded(Special *s, const KInst *i) {
    const Entry *entry = entry_at(s, i->a);
    KVal index = s->map[i->b];
    if (entry && entry->kind == ENTRY_ORDER)                       /* the examples in order */
        return converted(s, &(KInst){.op = K_CONVERT, .type = KT(I32)}, index);
    if (entry && entry->kind == ENTRY_SHAPE && is_int(s, index)) {
        int64_t what = made(s, index)->imm;
        if (what == 1 || what == 2) return number(s, KT(I64), what == 1 ? s->examples : 0);
        return s->step;
    }
    return append(s, (KInst){.op = K_LOAD, .type = i->type, .a = s->map[i->a], .b = index});
}

/* The step is read once, at the start. */
static void load_step(Special *s) {
    for (KVal v = 1; v < (KVal)s->f->code.len; v++) {
        const Entry *entry = s->f->code.at[v].op == K_ARG ? entry_at(s, v) : NULL;
        if (!entry || entry->kind != ENTRY_SHAPE) continue;
        KVal at = append(s, (KInst){.op = K_ARG, .type = KT(PTR), .imm = s->stage->arg[s->f->code.at[v].imm]});
        s->step = append(s, (KInst){.op = K_LOAD, .type = KT(I64), .a = at, .b = number(s, KT(I64), 0)});
        return;
    }
}

/* ---- loops ---- */

static KVal end_of(const KFunc *f, KVal loop) {
    int depth = 0;
    for (KVal v = loop;; v++) {
        depth += (f->code.at[v].op == K_FOR) - (f->code.at[v].op == K_END);
        if (!depth) return v;
    }
}

static void walk(Special *s, KVal from, KVal to);

/* Zero turns, or one: the loop's values are its starts, or what the body gives. */
static void open_loop(Special *s, KVal loop, KVal end, int64_t lo, bool turns) {
    const KInst *code = s->f->code.at;
    KVal body = loop + 1, next = end;
    for (; code[body].op == K_CARRY; body++) s->map[body] = s->map[code[body].a];
    while (code[next - 1].op == K_NEXT) next--;
    if (turns) {
        s->map[loop] = number(s, KT(I64), lo);
        walk(s, body, next);
    }
    for (KVal r = end + 1; r < (KVal)s->f->code.len && code[r].op == K_RESULT; r++)
        s->map[r] = turns ? s->map[code[next + (KVal)code[r].imm].a] : s->map[code[code[r].a].a];
}

static void keep_loop(Special *s, KVal loop, KVal end) {
    const KInst *code = s->f->code.at;
    KVal body = loop + 1, next = end,
         at = s->map[loop] = k_for(s->m, s->to, s->map[code[loop].a], s->map[code[loop].b], code[loop].imm);
    for (; code[body].op == K_CARRY; body++) s->map[body] = k_carry(s->m, s->to, s->map[code[body].a]);
    while (code[next - 1].op == K_NEXT) next--;
    walk(s, body, next);
    for (KVal n = next; n < end; n++) k_next(s->m, s->to, s->map[code[n].a]);
    k_end(s->m, s->to);
    for (KVal r = end + 1; r < (KVal)s->f->code.len && code[r].op == K_RESULT; r++)
        s->map[r] = append(
            s, (KInst){.op = K_RESULT, .type = code[r].type, .a = at + 1 + (KVal)code[r].imm, .imm = code[r].imm});
}

static KVal walk_loop(Special *s, KVal loop) {
    const KInst *i = &s->f->code.at[loop];
    KVal end = end_of(s->f, loop), lo = s->map[i->a], hi = s->map[i->b];
    int64_t from = made(s, lo)->imm, to = made(s, hi)->imm;
    bool known = is_int(s, lo) && is_int(s, hi);
    if (known && from + i->imm >= to) open_loop(s, loop, end, from, from < to);
    else keep_loop(s, loop, end);
    return end;
}

/* ---- instructions ---- */

static KVal instruction(Special *s, const KInst *i) {
    KInst copy = *i;
    int n = kop_operands((KOp)i->op);
    copy.a = n > 0 ? s->map[i->a] : 0;
    copy.b = n > 1 ? s->map[i->b] : 0;
    copy.c = n > 2 ? s->map[i->c] : 0;
    switch (i->op) {
    case K_ARG: copy.imm = s->stage->arg[i->imm]; return append(s, copy);
    case K_LO: return number(s, KT(I64), s->lo);
    case K_HI: return number(s, KT(I64), s->hi);
    case K_LOAD: return loaded(s, i);
    case K_CONVERT: return converted(s, i, copy.a);
    case K_SELECT:
        if (is_int(s, copy.a)) return made(s, copy.a)->imm ? copy.b : copy.c;
        return append(s, copy);
    case K_OFFSET: return equals(s, copy.b, 0) ? copy.a : append(s, copy);
    default: return n == 2 ? binary(s, i, copy.a, copy.b) : append(s, copy);
    }
}

static void walk(Special *s, KVal from, KVal to) {
    for (KVal v = from; v < to; v++) {
        const KInst *i = &s->f->code.at[v];
        if (i->op == K_FOR) v = walk_loop(s, v);
        else if (i->op != K_NOP && i->op != K_RESULT) s->map[v] = instruction(s, i);
    }
}

KFunc *special_stage(KModule *module, const Lowered *low, const Stage *stage, int64_t examples) {
    const KFunc *f = low->module->func.at[stage->func];
    Special s = {
        .f = f, .m = module, .to = kfunc_new(module, f->name), .low = low, .stage = stage, .examples = examples};
    s.map = arena_array(module->arena, KVal, f->code.len + 1);
    assert(stage->split != STAGE_SUMS); /* plain C has none */
    bool range = stage->split != STAGE_ONCE && stage->split != STAGE_STEPS;
    s.hi = stage->split == STAGE_SHARDS ? (examples + SHARD - 1) / SHARD : range ? stage->count : 1;
    load_step(&s);
    walk(&s, 1, (KVal)f->code.len);
    return s.to;
}
