/* device_c.c -- kernels of a device as C that can be read: typed arrays, loops, names.
 *
 * A value that is used once is written where it is used, unless that would move a load over a store, a computation into
 * a loop, or a product into a sum: products are statements of their own.  Integers whose bounds are known to fit are
 * int32_t and plain operators; others wrap through helpers. */
#include "emit/artifact.h"

#include <math.h>

typedef struct Fn {
    Arena *arena;
    Buf *out;
    const Device *d;
    const KFunc *f;
    const Range *range;
    bool *slim;                            /* an integer held as int32_t, never overflowing */
    bool *inlined;
    int *uses;
    const char **name;                     /* of values that are variables */
    const char **arg;
    const int *data_number;
    int depth, loops, numbers;
    uint64_t needs;
} Fn;

static const KInst *at(const Fn *w, KVal v) { return &w->f->code.at[v]; }
static bool is_float(KType t) { return t.scalar == KS_F32 || t.scalar == KS_F64; }
static bool is_whole(KType t) { return t.scalar == KS_I32 || t.scalar == KS_I64; }

const char *c_element(KScalar element) {
    switch (element) {
    case KS_BOOL: return "unsigned char";
    case KS_I32: return "int32_t";
    case KS_I64: return "int64_t";
    case KS_F32: return "float";
    case KS_F64: return "double";
    case KS_VOID: case KS_PTR: return "void";
    }
    return "void";
}

static const char *variable_type(const Fn *w, KVal v) {
    KScalar s = (KScalar)at(w, v)->type.scalar;
    return s == KS_BOOL ? "int" : w->slim[v] ? "int32_t" : c_element(s);
}

bool c_real(Buf *out, double x, bool f32) {
    char text[32];
    if (!isfinite(x)) return false;
    if (f32) text_of_f32(text, (float)x);
    else text_of_f64(text, x);
    buf_printf(out, "%s%s%s", text, strpbrk(text, ".e") ? "" : ".0", f32 ? "f" : "");
    return true;
}

/* ---- what is written in place ---- */

static void find_slim(Fn *w) {
    for (KVal v = 1; v < (KVal)w->f->code.len; v++) {
        const KInst *i = at(w, v);
        int n = kop_operands((KOp)i->op);
        Range r = w->range[v];
        if (!is_whole(i->type)) continue;
        bool slim = r.known && r.lo >= INT32_MIN && r.hi <= INT32_MAX && i->op != K_BITCAST && i->op != K_LOAD;
        if (i->op == K_CONVERT)
            slim &= is_whole(at(w, i->a)->type) && (at(w, i->a)->type.scalar == KS_I32 || w->slim[i->a]);
        else if (i->op == K_SELECT) slim &= w->slim[i->b] && w->slim[i->c];
        else for (int k = 0; k < n; k++) slim &= k == 0 ? w->slim[i->a] || at(w, i->a)->type.scalar == KS_I32
                                                        : w->slim[i->b] || at(w, i->b)->type.scalar == KS_I32;
        w->slim[v] = slim;
    }
}

static void count_uses(Fn *w) {
    for (KVal v = (KVal)w->f->code.len - 1; v > 0; v--) {
        const KInst *i = at(w, v);
        int n = kop_operands((KOp)i->op), own = i->op == K_OFFSET && w->uses[v] > 1 ? w->uses[v] : 1;
        KVal in[3] = {i->a, i->b, i->c};
        for (int k = 0; k < n; k++) w->uses[in[k]] += own;
    }
}

static bool is_leaf(const KInst *i) {
    return i->op == K_INT || i->op == K_REAL || i->op == K_ARG || i->op == K_FOR || i->op == K_CARRY;
}

/* What must not lie between a value and the place where it is written. */
static bool crosses(const Fn *w, KVal from, KVal to, bool stores) {
    for (KVal v = from + 1; v < to; v++) {
        int op = at(w, v)->op;
        if (op == K_FOR || op == K_END || (stores && op == K_STORE)) return true;
    }
    return false;
}

static int carries_of(const Fn *w, KVal next) {
    KVal carry = (KVal)at(w, next)->imm, first = carry;
    while (at(w, first - 1)->op == K_CARRY) first--;
    int n = 0;
    while (at(w, first + (KVal)n)->op == K_CARRY) n++;
    return n;
}

static bool plain_integer(const Fn *w, KVal v) {
    const KInst *i = at(w, v);
    return is_whole(i->type) && (i->op == K_ADD || i->op == K_SUB || i->op == K_MUL || i->op == K_CONVERT) &&
           !is_float(at(w, i->a)->type);
}

/* user: the only instruction that uses v; pos: where that one is written. */
static bool goes_inline(const Fn *w, KVal v, KVal user, KVal pos) {
    const KInst *i = at(w, v), *u = at(w, user);
    if (i->op == K_FOR || i->op == K_CARRY || i->op == K_RESULT || i->op == K_LOCAL) return false;
    if (i->op == K_INT || i->op == K_REAL || i->op == K_ARG || i->op == K_OFFSET || i->op == K_DATA) return true;
    if (plain_integer(w, v) && is_leaf(at(w, i->a)) && (kop_operands((KOp)i->op) < 2 || is_leaf(at(w, i->b))))
        return true;
    if (w->uses[v] != 1 || (u->op == K_NEXT && carries_of(w, user) > 1)) return false;
    if (plain_integer(w, v)) return true;
    if (i->op == K_MUL && is_float(i->type) && (u->op == K_ADD || u->op == K_SUB)) return false;
    if (i->op == K_SELECT && u->op != K_STORE && u->op != K_NEXT) return false;
    return !crosses(w, v, pos, i->op == K_LOAD);
}

static void find_inlined(Fn *w) {
    int n = w->f->code.len;
    KVal *user = arena_array(w->arena, KVal, n + 1), *pos = arena_array(w->arena, KVal, n + 1);
    for (KVal v = 1; v < (KVal)n; v++) {
        const KInst *i = at(w, v);
        KVal in[3] = {i->a, i->b, i->c};
        for (int k = 0; k < kop_operands((KOp)i->op); k++) user[in[k]] = v;
    }
    for (KVal v = (KVal)n - 1; v > 0; v--) {
        w->inlined[v] = user[v] && goes_inline(w, v, user[v], pos[user[v]]);
        pos[v] = w->inlined[v] ? pos[user[v]] : v;
    }
}

/* ---- expressions ---- */

enum { LEVEL_ANY, LEVEL_SELECT, LEVEL_BITS, LEVEL_COMPARE, LEVEL_SUM, LEVEL_PRODUCT, LEVEL_UNARY };

static void expression(Fn *w, KVal v, int level);

static void help(Fn *w, CHelperId id) {
    w->needs |= UINT64_C(1) << id;
    buf_text(w->out, c_helpers[id].name);
}

static void call(Fn *w, CHelperId id, const KInst *i) {
    KVal in[3] = {i->a, i->b, i->c};
    help(w, id);
    buf_text(w->out, "(");
    for (int k = 0; k < kop_operands((KOp)i->op); k++) {
        buf_text(w->out, k ? ", " : "");
        expression(w, in[k], LEVEL_ANY);
    }
    buf_text(w->out, ")");
}

static void infix(Fn *w, const KInst *i, const char *sign, int own, int level) {
    buf_text(w->out, own < level ? "(" : "");
    expression(w, i->a, own);
    buf_printf(w->out, " %s ", sign);
    expression(w, i->b, own + 1);
    buf_text(w->out, own < level ? ")" : "");
}

static void int_text(Fn *w, KType t, int64_t x) {
    if (x == INT32_MIN) buf_text(w->out, "(-2147483647 - 1)");
    else if (x == INT64_MIN) buf_text(w->out, "(-INT64_C(9223372036854775807) - 1)");
    else if (t.scalar == KS_I64 && (x > INT32_MAX || x < INT32_MIN)) buf_printf(w->out, "INT64_C(%lld)", (long long)x);
    else buf_printf(w->out, "%lld", (long long)x);
}

static void real_text(Fn *w, const KInst *i) {
    bool f32 = i->type.scalar == KS_F32;
    if (c_real(w->out, i->real, f32)) return;
    help(w, f32 ? HELP_F32 : HELP_F64);
    buf_text(w->out, isnan(i->real) ? f32 ? "(0x7fc00000u)" : "(UINT64_C(0x7ff8000000000000))"
             : i->real < 0 ? f32 ? "(0xff800000u)" : "(UINT64_C(0xfff0000000000000))"
                           : f32 ? "(0x7f800000u)" : "(UINT64_C(0x7ff0000000000000))");
}

static bool is_constant(const Fn *w, KVal v, int64_t least) { return at(w, v)->op == K_INT && at(w, v)->imm >= least; }

static void integer(Fn *w, KVal v, int level) {
    const KInst *i = at(w, v);
    bool wide = i->type.scalar == KS_I64, plain = w->slim[v] || (w->range[v].known && !wide);
    CHelperId first = wide ? HELP_ADD64 : HELP_ADD32;
    switch (i->op) {
    case K_ADD: if (plain) { infix(w, i, "+", LEVEL_SUM, level); return; } call(w, first, i); return;
    case K_SUB: if (plain) { infix(w, i, "-", LEVEL_SUM, level); return; } call(w, (CHelperId)(first + 1), i); return;
    case K_MUL:
        if (plain) infix(w, i, "*", LEVEL_PRODUCT, level);
        else call(w, (CHelperId)(first + 2), i);
        return;
    case K_DIV:
        if (is_constant(w, i->b, 1)) infix(w, i, "/", LEVEL_PRODUCT, level);
        else call(w, (CHelperId)(first + 3), i);
        return;
    case K_REM:
        if (is_constant(w, i->b, 1)) infix(w, i, "%", LEVEL_PRODUCT, level);
        else call(w, (CHelperId)(first + 4), i);
        return;
    case K_SHL: call(w, (CHelperId)(first + 5), i); return;
    case K_SHR: call(w, (CHelperId)(first + 6), i); return;
    case K_SAR: call(w, (CHelperId)(first + 7), i); return;
    case K_MULHI: call(w, HELP_MULHI, i); return;
    default: return;
    }
}

static void conversion(Fn *w, KVal v, int level) {
    const KInst *i = at(w, v);
    KScalar from = (KScalar)at(w, i->a)->type.scalar, to = (KScalar)i->type.scalar;
    bool f64 = from == KS_F64, i64 = to == KS_I64;
    if (i->op == K_BITCAST && from != to) {
        bool real = to == KS_F32 || to == KS_F64;
        bool wide = to == KS_F64 || from == KS_F64;
        if (!real) buf_text(w->out, wide ? "(int64_t)" : "(int32_t)");
        help(w, real ? wide ? HELP_F64 : HELP_F32 : wide ? HELP_U64 : HELP_U32);
        buf_text(w->out, "(");
        if (real) buf_text(w->out, wide ? "(uint64_t)" : "(uint32_t)");
        expression(w, i->a, real ? LEVEL_UNARY : LEVEL_ANY);
        buf_text(w->out, ")");
    } else if (is_float(at(w, i->a)->type) && !is_float(i->type)) {
        call(w, f64 ? i64 ? HELP_F64I64 : HELP_F64I32 : i64 ? HELP_F32I64 : HELP_F32I32, i);
    } else if (is_whole(i->type) && (w->slim[i->a] || from == KS_BOOL || (from == KS_I32 && i64))) {
        if (from == KS_I32 && i64 && !w->slim[v]) buf_text(w->out, "(int64_t)");
        expression(w, i->a, from == KS_I32 && i64 && !w->slim[v] ? LEVEL_UNARY : level);
    } else {
        buf_printf(w->out, "(%s)", c_element(to));
        expression(w, i->a, LEVEL_UNARY);
    }
}

/* array[offsets + index] */
static void element(Fn *w, KVal pointer, KVal index) {
    const KInst *i = at(w, pointer);
    KVal chain[16], root = pointer;
    int n = 0;
    for (; i->op == K_OFFSET && n < 15; i = at(w, root)) {
        chain[n++] = i->b;
        root = i->a;
    }
    if (i->op == K_ARG) buf_text(w->out, w->arg[i->imm]);
    else if (i->op == K_DATA) buf_printf(w->out, "nin_data_%d", w->data_number[i->imm]);
    else buf_text(w->out, w->name[root]);
    buf_text(w->out, "[");
    while (n > 0) {
        expression(w, chain[--n], LEVEL_SUM);
        buf_text(w->out, " + ");
    }
    expression(w, index, LEVEL_SUM);
    buf_text(w->out, "]");
}

static void unary(Fn *w, const KInst *i, int level) {
    static const CHelperId of[] = {[K_ABS] = HELP_ABSF,
                                   [K_SQRT] = HELP_SQRTF,
                                   [K_FLOOR] = HELP_FLOORF,
                                   [K_CEIL] = HELP_CEILF,
                                   [K_ROUND] = HELP_ROUNDF};
    if (i->op == K_NEG) {
        buf_text(w->out, level >= LEVEL_UNARY ? "(-" : "-");
        expression(w, i->a, LEVEL_UNARY);
        buf_text(w->out, level >= LEVEL_UNARY ? ")" : "");
        return;
    }
    call(w, (CHelperId)(of[i->op] + (i->type.scalar == KS_F64)), i);
}

static void choice(Fn *w, const KInst *i, int level) {
    buf_text(w->out, level > LEVEL_SELECT ? "(" : "");
    expression(w, i->a, LEVEL_BITS);
    buf_text(w->out, " ? ");
    expression(w, i->b, LEVEL_BITS);
    buf_text(w->out, " : ");
    expression(w, i->c, LEVEL_SELECT);
    buf_text(w->out, level > LEVEL_SELECT ? ")" : "");
}

static void computed(Fn *w, KVal v, int level) {
    static const char *const signs[] = {
        [K_LT] = "<", [K_LE] = "<=", [K_EQ] = "==", [K_NE] = "!=", [K_AND] = "&", [K_OR] = "|", [K_XOR] = "^"};
    const KInst *i = at(w, v);
    int op = i->op;
    if (op == K_INT) int_text(w, i->type, i->imm);
    else if (op == K_REAL) real_text(w, i);
    else if (op == K_ARG) buf_text(w->out, w->arg[i->imm]);
    else if (op == K_LOAD) {
        element(w, i->a, i->b);
    } else if (op == K_CONVERT || op == K_BITCAST) conversion(w, v, level);
    else if (op == K_SELECT) choice(w, i, level);
    else if (op == K_FMA) call(w, i->type.scalar == KS_F32 ? HELP_FMAF : HELP_FMA, i);
    else if (op >= K_NEG && op <= K_ROUND) unary(w, i, level);
    else if (op >= K_LT && op <= K_NE) infix(w, i, signs[op], LEVEL_COMPARE, level);
    else if (op >= K_AND && op <= K_XOR) {
        buf_text(w->out, level > LEVEL_ANY ? "(" : "");
        infix(w, i, signs[op], LEVEL_UNARY - 1, LEVEL_ANY);
        buf_text(w->out, level > LEVEL_ANY ? ")" : "");
    } else if (is_whole(i->type)) integer(w, v, level);
    else infix(w, i, op == K_ADD ? "+" : op == K_SUB ? "-" : op == K_MUL ? "*" : "/",
               op <= K_SUB ? LEVEL_SUM : LEVEL_PRODUCT, level);
}

static void expression(Fn *w, KVal v, int level) {
    const KInst *i = at(w, v);
    if (i->op == K_RESULT) expression(w, i->a, level);
    else if (!w->inlined[v] && w->name[v]) buf_text(w->out, w->name[v]);
    else computed(w, v, level);
}

/* ---- statements ---- */

static void indent(Fn *w) { buf_printf(w->out, "%*s", 4 * w->depth, ""); }

static void name_value(Fn *w, KVal v, const char *stem) {
    w->name[v] = arena_printf(w->arena, "%s%d", stem, ++w->numbers);
}

static void begin_loop(Fn *w, KVal loop) {
    static const char *const names[] = {"i", "j", "k", "l", "m", "n"};
    const KInst *i = at(w, loop);
    for (KVal c = loop + 1; at(w, c)->op == K_CARRY; c++) {
        name_value(w, c, "s");
        indent(w);
        buf_printf(w->out, "%s %s = ", variable_type(w, c), w->name[c]);
        expression(w, at(w, c)->a, LEVEL_ANY);
        buf_text(w->out, ";\n");
    }
    const char *name = w->name[loop] = w->loops < COUNT(names) ? names[w->loops]
                                                               : arena_printf(w->arena, "i%d", w->loops);
    indent(w);
    buf_printf(w->out, "for (%s %s = ", w->slim[loop] ? "int32_t" : "int64_t", name);
    expression(w, i->a, LEVEL_ANY);
    buf_printf(w->out, "; %s < ", name);
    expression(w, i->b, LEVEL_SUM);
    if (i->imm == 1) buf_printf(w->out, "; %s++) {\n", name);
    else buf_printf(w->out, "; %s += %lld) {\n", name, (long long)i->imm);
    w->depth++;
    w->loops++;
}

/* Values for the next turn; where one of several is itself carried, all are read before any is set. */
static void end_loop(Fn *w, KVal end) {
    KVal first = end;
    bool carried = false;
    while (at(w, first - 1)->op == K_NEXT) first--;
    for (KVal n = first; n < end && end - first > 1; n++) {
        KVal next = at(w, n)->a;
        int op = at(w, next)->op;
        carried |= op == K_CARRY ? next != (KVal)at(w, n)->imm : w->inlined[next] && op != K_INT && op != K_REAL;
    }
    for (KVal n = first; n < end && carried; n++) {
        indent(w);
        buf_printf(w->out, "const %s next_%s = ", variable_type(w, (KVal)at(w, n)->imm), w->name[at(w, n)->imm]);
        expression(w, at(w, n)->a, LEVEL_ANY);
        buf_text(w->out, ";\n");
    }
    for (KVal n = first; n < end; n++) {
        const char *name = w->name[at(w, n)->imm];
        indent(w);
        buf_printf(w->out, "%s = ", name);
        if (carried) buf_printf(w->out, "next_%s", name);
        else expression(w, at(w, n)->a, LEVEL_ANY);
        buf_text(w->out, ";\n");
    }
    w->depth--;
    w->loops--;
    indent(w);
    buf_text(w->out, "}\n");
}

static void store(Fn *w, const KInst *i) {
    indent(w);
    element(w, i->a, i->b);
    buf_text(w->out, at(w, i->c)->type.scalar == KS_BOOL ? " = (unsigned char)" : " = ");
    expression(w, i->c, at(w, i->c)->type.scalar == KS_BOOL ? LEVEL_UNARY : LEVEL_ANY);
    buf_text(w->out, ";\n");
}

static void statement(Fn *w, KVal v) {
    const KInst *i = at(w, v);
    switch (i->op) {
    case K_NOP: case K_CARRY: case K_NEXT: case K_LOCAL: case K_RESULT: return;
    case K_STORE: store(w, i); return;
    case K_FOR: begin_loop(w, v); return;
    case K_END: end_loop(w, v); return;
    default: break;
    }
    if (w->inlined[v]) return;
    indent(w);
    const char *type = variable_type(w, v);
    w->name[v] = NULL;
    buf_printf(w->out, "const %s t%d = ", type, ++w->numbers);
    int number = w->numbers;
    expression(w, v, LEVEL_ANY);
    w->name[v] = arena_printf(w->arena, "t%d", number);
    buf_text(w->out, ";\n");
}

static void locals(Fn *w) {
    bool written;
    for (KVal v = 1; v < (KVal)w->f->code.len; v++) {
        const KInst *i = at(w, v);
        if (i->op != K_LOCAL) continue;
        KScalar type = root_element(w->f, v, &written);
        name_value(w, v, "a");
        indent(w);
        buf_printf(w->out, "%s %s[%lld];\n", c_element(type), w->name[v], (long long)i->imm / kscalar_bytes(type));
    }
}

static void function(Arena *arena, const Device *d, int number, const int *data_number, const char *name,
                     const char **arg, int args, CFunctions *all, Buf *out) {
    const KFunc *f = d->module->func.at[number];
    int n = f->code.len + 1;
    Fn w = {.arena = arena, .out = out, .d = d, .f = f, .arg = arg, .data_number = data_number, .depth = 1};
    w.range = function_ranges(arena, f);
    w.slim = arena_array(arena, bool, n);
    w.inlined = arena_array(arena, bool, n);
    w.uses = arena_array(arena, int, n);
    w.name = arena_array(arena, const char *, n);
    find_slim(&w);
    count_uses(&w);
    find_inlined(&w);
    buf_printf(out, "static void %s(", name);
    for (int k = 0; k < args; k++) {
        bool written = false;
        KScalar type = KS_VOID;
        for (KVal v = 1; v < (KVal)f->code.len && type == KS_VOID; v++)
            if (f->code.at[v].op == K_ARG && f->code.at[v].imm == k) type = root_element(f, v, &written);
        buf_printf(out, "%s%s%s *%s", k ? ", " : "", written ? "" : "const ", c_element(type), arg[k]);
    }
    buf_text(out, ")\n{\n");
    locals(&w);
    for (KVal v = 1; v < (KVal)f->code.len; v++) statement(&w, v);
    buf_text(out, "}\n");
    all->needs |= w.needs;
}

/* Names of arguments: what all calls agree on and no other argument has. */
static const char **argument_names(Arena *arena, const Device *d, int number, const char *(*spot_name)(void *, int),
                                   void *data, int *args) {
    const char **name = NULL;
    for (int c = 0; c < d->calls; c++) {
        const DeviceCall *call = &d->call[c];
        if (call->func != number) continue;
        if (!name) {
            *args = call->args;
            name = arena_array(arena, const char *, call->args + 1);
            for (int k = 0; k < call->args; k++) name[k] = spot_name(data, call->spot[k]);
        }
        for (int k = 0; k < call->args; k++)
            if (name[k] && strcmp(name[k], spot_name(data, call->spot[k])) != 0) name[k] = NULL;
    }
    for (int k = 0; k < *args; k++)
        for (int j = 0; j < k; j++)
            if (name[k] && name[j] && strcmp(name[k], name[j]) == 0) name[k] = NULL;
    for (int k = 0; k < *args; k++)
        if (!name[k]) name[k] = arena_printf(arena, "p%d", k + 1);
    return name;
}

static const char *unused_name(Arena *arena, const char *base, const char **taken, int n) {
    const char *name = base;
    for (int k = 0, number = 1; k < n; k++)
        if (taken[k] && strcmp(taken[k], name) == 0) {
            name = arena_printf(arena, "%s_%d", base, ++number);
            k = -1;
        }
    return name;
}

CFunctions c_functions(Arena *arena, const Device *d, const char *role, const int *data_number,
                       const char *(*spot_name)(void *data, int spot), const char *(*call_label)(void *data, int call),
                       void *data, Buf *out) {
    CFunctions all = {.call_name = arena_array(arena, const char *, d->calls + 1)};
    int n = d->module->func.len;
    const char **taken = arena_array(arena, const char *, n + 1);
    for (int k = 0; k < n; k++) {
        int first = 0, args = 0;
        while (d->call[first].func != k) first++;
        const char **arg = argument_names(arena, d, k, spot_name, data, &args);
        const char *name = taken[k] = unused_name(arena, arena_printf(arena, "%s_%s", role, call_label(data, first)),
                                                  taken, k);
        for (int c = 0; c < d->calls; c++)
            if (d->call[c].func == k) all.call_name[c] = name;
        buf_text(out, "\n");
        function(arena, d, k, data_number, name, arg, args, &all, out);
    }
    return all;
}
