/* divide.c -- divisions by what is the same in a loop, without the divide unit and with the same bits.
 *
 * Of a loop without loops inside, a / c where c does not change: before the loop c is computed, y = RN(1 / c), and
 * whether some lane of c is out of [2^-30, 2^30]; in the loop
 *
 *     q0 = RN(a y)    r = RN(q0 c - a)    q = RN(q0 - r y)
 *
 * and, if that flag is set or a lane of a is neither 0 nor of a size in [lo, lo 2^128) (f64: 2^1024; NaN is not), the
 * divisions after all: a loop of one turn at most.  lo = 2^-95 and 2^-895 keep all numbers here from underflow and
 * overflow.
 *
 * q = RN(a / c): of p bits, u = 2^-p, let 1 <= a, c < 2, e = q0 - a / c, y = (1 + d) / c.  |y - 1 / c| <= u / 2, so
 * |d| <= c u / 2; were r exact, q0 - r y = a / c - e d.  This is rounded as a / c is unless a midpoint m of neighbours
 * is as near to a / c; a / c itself is none.
 * - a >= c: q is in [1, 2), neighbours 2u apart, |e| <= a u / 2 + u < 2u.  r is exact: a multiple of 4u^2 below 4u.
 *   Only |q0 - m| = u matters.  a - m c is a multiple of 2u^2, so a / c is 2u^2 / c or more from m; |e d| is about
 *   u c u / 2 there, less as c^2 < 4.
 * - a < c: q is in (1 / 2, 1), neighbours u apart, |e| <= a u / 2 + u / 2 < 3u / 2.  |q0 - m| = u / 2 as above, by
 *   halves.  |q0 - m| = 3u / 2: let a = 2 - 2ju, so j >= 2 and |e| <= 3u / 2 - j u^2; for j = 2, c = 2 - 2u and
 *   |y - 1 / c| < u / 2 - u^2 / 2.  So a / c is 3u^2 or more from m, while |e d| < 3u^2 / 2, and r, a multiple of 2u^2
 *   below 4u, is off by 2u^2 at most, which y, near 1 / 2 there, makes u^2.
 * a = 0 gives a zero of the right sign as c > 0: for -0, r = -0 c + 0 = 0 and q = -0 - 0 y = -0.
 *
 * Made for vectors of 64 bytes alone: 16 divisions take 10 cycles there, these steps 4.  In two halves they take 6 to
 * 8, and gain only where divisions and roots are all that a loop waits for.
 *
 * What c is computed from may be loaded: from a place apart from all that the loop stores to.  Several divisions share
 * a branch: what needs their values waits for a store, or until there are MOST. */
#include "kernel/lower_parts.h"

enum { MOST = 4, WORTH = 8 };          /* divisions of a branch; turns of a loop */

typedef struct Divisor { KVal c, y, odd; } Divisor;

typedef struct Divide {
    const Plan *plan;
    Gen g;                             /* what is being built, */
    const KFunc *from;                 /* from this */
    KVal loop, end;                    /* the loop at hand */
    bool turns;                        /* surely, at least once */
    enum Same { UNKNOWN, SAME, CHANGES } *same;            /* by value of the loop at hand: from turn to turn */
    KVal *to;                          /* by value: in what is being built; 0: not yet */
    int hoisted;                       /* where what stands before the loop begins, */
    VEC(Divisor) divisor;
    VEC(KVal) wait;                    /* values that wait, in order */
    Divisor by[MOST];                  /* of the divisions among them */
    KVal quotient[MOST];
    int n;
} Divide;

static const KInst *inst_of(const Divide *d, KVal v) { return &d->from->code.at[v]; }
static bool is_store(int op) { return op == K_STORE || op == K_COMPRESS; }
static bool is_value(int op) { return op <= K_ROTATE && op != K_NOP; }      /* computed from its operands alone */

static KVal operand(const KInst *i, int k) { return k == 0 ? i->a : k == 1 ? i->b : i->c; }

static bool is_division(const KInst *i) {
    return i->op == K_DIV && i->type.lanes == 16 && (i->type.scalar == KS_F32 || i->type.scalar == KS_F64);
}

/* ---- what is the same in all turns ---- */

static const KInst *root_of(const Divide *d, KVal pointer) {
    while (inst_of(d, pointer)->op == K_OFFSET) pointer = inst_of(d, pointer)->a;
    return inst_of(d, pointer);
}

/* Memory that is reached through this entry alone, and is there whenever the function is called. */
static bool is_apart(const Divide *d, const KInst *root) {
    if (root->op == K_LOCAL || root->op == K_DATA) return true;
    if (root->op != K_ARG) return false;
    EntryKind kind = d->plan->entry.at[root->imm].kind;
    return kind == ENTRY_BLOCK || kind == ENTRY_BUFFER || kind == ENTRY_SCRATCH || kind == ENTRY_SETTINGS ||
           kind == ENTRY_SHAPE;
}

static bool same_place(const KInst *a, const KInst *b) {
    return a->op == K_ARG && b->op == K_ARG ? a->imm == b->imm : a == b;
}

/* At a place that is known now: it is there even if the loop has no turns. */
static bool is_fixed(const Divide *d, const KInst *load) {
    for (const KInst *i = load;; i = inst_of(d, i->a)) {
        if (i->op != K_LOAD && i->op != K_OFFSET) return true;
        if (inst_of(d, i->b)->op != K_INT) return false;
    }
}

static bool load_stays(const Divide *d, const KInst *load) {
    const KInst *root = root_of(d, load->a);
    if (!is_apart(d, root) || (!d->turns && !is_fixed(d, load))) return false;
    for (KVal v = d->loop; v < d->end; v++) {
        if (!is_store(inst_of(d, v)->op)) continue;
        const KInst *other = root_of(d, inst_of(d, v)->a);
        if (!is_apart(d, other) || same_place(root, other)) return false;
    }
    return true;
}

static bool stays(Divide *d, KVal v) {
    const KInst *i = inst_of(d, v);
    if (v < d->loop) return true;
    if (d->same[v]) return d->same[v] == SAME;
    bool same = is_value(i->op) || i->op == K_OFFSET || i->op == K_LOAD;
    for (int k = 0; k < kop_operands((KOp)i->op) && same; k++) same = stays(d, operand(i, k));
    if (same && i->op == K_LOAD) same = load_stays(d, i);
    d->same[v] = same ? SAME : CHANGES;
    return same;
}

static bool is_candidate(Divide *d, KVal v) {
    return is_division(inst_of(d, v)) && !stays(d, v) && stays(d, inst_of(d, v)->b);
}

/* ---- before the loop ---- */

static KInst renamed(const Divide *d, KVal v) {
    KInst i = *inst_of(d, v);
    int n = kop_operands((KOp)i.op);
    if (n > 0) i.a = d->to[i.a];
    if (n > 1) i.b = d->to[i.b];
    if (n > 2) i.c = d->to[i.c];
    if (i.op == K_NEXT || i.op == K_END) i.imm = d->to[i.imm];
    return i;
}

static KVal append(Divide *d, KInst i) {
    vec_push(d->g.m->arena, &d->g.f->code, i);
    return (KVal)d->g.f->code.len - 1;
}

static bool equal(const KInst *x, const KInst *y) {
    return x->op == y->op && x->type.scalar == y->type.scalar && x->type.lanes == y->type.lanes && x->a == y->a &&
           x->b == y->b && x->c == y->c && x->imm == y->imm;
}

/* Once, however often the loop computes it. */
static void hoist(Divide *d, KVal v) {
    if (d->to[v]) return;
    const KInst *old = inst_of(d, v);
    for (int k = 0; k < kop_operands((KOp)old->op); k++) hoist(d, operand(old, k));
    KInst i = renamed(d, v);
    for (int at = d->hoisted; at < d->g.f->code.len && !d->to[v] && i.op != K_LOCAL; at++)
        if (equal(&d->g.f->code.at[at], &i)) d->to[v] = (KVal)at;
    if (!d->to[v]) d->to[v] = append(d, i);
}

static void add_divisor(Divide *d, KVal c) {
    Gen *g = &d->g;
    for (int k = 0; k < d->divisor.len; k++)
        if (d->divisor.at[k].c == c) return;
    KType type = k_type(g->f, c);
    KVal y = k_2(g->m, g->f, K_DIV, k_real(g->m, g->f, type, 1), c);
    KVal low = k_2(g->m, g->f, K_LE, k_real(g->m, g->f, type, 0x1p-30), c);
    KVal fits = k_2(g->m, g->f, K_AND, low, k_2(g->m, g->f, K_LE, c, k_real(g->m, g->f, type, 0x1p30)));
    KVal odd = gen_2(g, K_XOR, k_mask(g->m, g->f, fits), gen_i64(g, 0xffff));
    vec_push(g->m->arena, &d->divisor, ((Divisor){c, y, odd}));
}

static Divisor divisor_of(const Divide *d, KVal c) {
    int k = 0;
    while (d->divisor.at[k].c != c) k++;
    return d->divisor.at[k];
}

/* ---- in the loop ---- */

/* Lanes of a, by exponent, that are not 0 and out of range.  With the bits of lo taken away, those in range have the
 * highest bit of the exponent clear. */
static KVal odd_lanes(Gen *g, KVal a) {
    KType type = k_type(g->f, a), bits = {type.scalar == KS_F32 ? KS_I32 : KS_I64, 16};
    int mantissa = type.scalar == KS_F32 ? 23 : 52, low = type.scalar == KS_F32 ? 32 : 128;
    int64_t top = type.scalar == KS_F32 ? 1 << 30 : (int64_t)1 << 62;
    KVal from = k_2(g->m, g->f, K_SUB, k_bits(g->m, g->f, bits, a),
                    k_ints(g->m, g->f, bits, (int64_t)low << mantissa));
    KVal out = k_2(g->m, g->f, K_AND, from, k_ints(g->m, g->f, bits, top));
    KVal odd = k_2(g->m, g->f, K_NE, out, k_ints(g->m, g->f, bits, 0));
    return k_2(g->m, g->f, K_AND, odd, k_2(g->m, g->f, K_NE, a, k_real(g->m, g->f, type, 0)));
}

static KVal quick(Gen *g, KVal a, const Divisor *by) {
    KVal q = gen_2(g, K_MUL, a, by->y);
    KVal r = gen_fma(g, q, by->c, k_1(g->m, g->f, K_NEG, a));
    return gen_fma(g, k_1(g->m, g->f, K_NEG, r), by->y, q);
}

/* The divisions that wait: quick ones, and the loop of one turn that divides. */
static void divide_all(Divide *d, KVal q[MOST]) {
    Gen *g = &d->g;
    KVal a[MOST], odd = 0, bits = 0;
    for (int k = 0; k < d->n; k++) {
        a[k] = d->to[inst_of(d, d->quotient[k])->a];
        q[k] = quick(g, a[k], &d->by[k]);
        KVal own = odd_lanes(g, a[k]);
        odd = odd ? k_2(g->m, g->f, K_OR, odd, own) : own;
    }
    bits = k_mask(g->m, g->f, odd);
    for (int k = 0; k < d->n; k++) bits = gen_2(g, K_OR, bits, d->by[k].odd);
    k_for(g->m, g->f, gen_i64(g, 0), bits, 1 << 16);
    for (int k = 0; k < d->n; k++) q[k] = k_carry(g->m, g->f, q[k]);
    for (int k = 0; k < d->n; k++) k_next(g->m, g->f, k_2(g->m, g->f, K_DIV, a[k], d->by[k].c));
    k_end(g->m, g->f);
    for (int k = 0; k < d->n; k++) q[k] = k_result(g->m, g->f, k, k_type(g->f, a[k]));
}

static void flush(Divide *d) {
    KVal q[MOST];
    int next = 0;
    if (d->n) divide_all(d, q);
    for (int k = 0; k < d->wait.len; k++) {
        KVal v = d->wait.at[k];
        if (next < d->n && d->quotient[next] == v) d->to[v] = q[next++];
        else d->to[v] = append(d, renamed(d, v));
    }
    d->wait.len = d->n = 0;
}

static bool waits(const Divide *d, KVal v) {
    const KInst *i = inst_of(d, v);
    for (int k = 0; k < kop_operands((KOp)i->op); k++)
        if (!d->to[operand(i, k)]) return true;
    return false;
}

static void put_division(Divide *d, KVal v) {
    const KInst *i = inst_of(d, v);
    if (!d->to[i->a] || d->n == MOST) flush(d);
    d->by[d->n] = divisor_of(d, d->to[i->b]);
    d->quotient[d->n++] = v;
    vec_push(d->g.m->arena, &d->wait, v);
}

static void put(Divide *d, KVal v) {
    const KInst *i = inst_of(d, v);
    if (d->to[v]) return;
    if (is_candidate(d, v)) {
        put_division(d, v);
    } else if (waits(d, v) && is_value(i->op)) {
        vec_push(d->g.m->arena, &d->wait, v);
    } else {
        if (i->op == K_NEXT || i->op == K_END || waits(d, v)) flush(d);
        d->to[v] = append(d, renamed(d, v));
    }
}

/* ---- loops ---- */

static KVal end_of(const KFunc *f, KVal loop) {
    for (KVal v = loop + 1;; v++)
        if (f->code.at[v].op == K_END && f->code.at[v].imm == (int64_t)loop) return v;
}

/* A loop without loops inside, not known to be short. */
static bool is_worth(const KFunc *f, KVal loop, KVal end) {
    const KInst *i = &f->code.at[loop], *lo = &f->code.at[i->a], *hi = &f->code.at[i->b];
    if (lo->op == K_INT && hi->op == K_INT && (hi->imm - lo->imm) / i->imm < WORTH) return false;
    for (KVal v = loop + 1; v < end; v++)
        if (f->code.at[v].op == K_FOR) return false;
    return true;
}

static bool enter(Divide *d, KVal loop) {
    bool any = false;
    d->loop = loop;
    d->end = end_of(d->from, loop);
    if (!is_worth(d->from, loop, d->end)) return false;
    d->turns = inst_of(d, inst_of(d, loop)->a)->op == K_INT && inst_of(d, inst_of(d, loop)->b)->op == K_INT;
    d->hoisted = d->g.f->code.len;
    d->divisor.len = 0;
    for (KVal v = loop + 1; v < d->end; v++) {
        if (!is_candidate(d, v)) continue;
        hoist(d, inst_of(d, v)->b);
        any = true;
    }
    for (KVal v = loop + 1; v < d->end && any; v++)
        if (is_candidate(d, v)) add_divisor(d, d->to[inst_of(d, v)->b]);
    return any;
}

static void rewrite(Divide *d) {
    bool inside = false;
    for (KVal v = 1; v < (KVal)d->from->code.len; v++) {
        int op = inst_of(d, v)->op;
        if (op == K_FOR) inside = enter(d, v);
        if (inside) put(d, v);
        else d->to[v] = append(d, renamed(d, v));
        if (op == K_END) inside = false;
    }
}

void divide_by_the_same(Plan *plan, KFunc *f) {
    bool any = false;
    for (int v = 1; v < f->code.len; v++) any |= is_division(&f->code.at[v]);
    if (!any) return;
    KFunc *built = arena_new_of(plan->arena, KFunc);
    Divide d = {.plan = plan, .g = {plan->module, built}, .from = f};
    d.same = arena_array(plan->arena, enum Same, f->code.len);
    d.to = arena_array(plan->arena, KVal, f->code.len);
    append(&d, (KInst){0});
    rewrite(&d);
    f->code.at = built->code.at;
    f->code.len = built->code.len;
    f->code.cap = built->code.cap;
}
