/* pretty_where.c -- comparisons and choices in formulas.
 *
 * A comparison is brought to  e rel number  (e without constant part, first factor 1), so that two of them about the
 * same e are intervals: one may follow from the other or exclude it.  Inside a branch what its condition says is
 * used: max(0, x) is x where x > 0. */
#include "pass/pretty.h"

#include <math.h>

static const Rel turned[] = {[REL_LT] = REL_GT, [REL_LE] = REL_GE, [REL_GT] = REL_LT, [REL_GE] = REL_LE,
                             [REL_EQ] = REL_EQ, [REL_NE] = REL_NE};
static const Rel opposite[] = {[REL_LT] = REL_GE, [REL_LE] = REL_GT, [REL_GT] = REL_LE, [REL_GE] = REL_LT,
                               [REL_EQ] = REL_NE, [REL_NE] = REL_EQ};

static bool holds(Rel rel, double a, double b) {
    switch (rel) {
    case REL_LT: return a < b;
    case REL_LE: return a <= b;
    case REL_GT: return a > b;
    case REL_GE: return a >= b;
    case REL_EQ: return a == b;
    case REL_NE: return a != b;
    }
    return false;
}

static bool is_call(const Expr *e, const char *name) { return e->kind == E_FUNC && strcmp(e->name, name) == 0; }

/* exp u < 1, tanh u < 0: as conditions on u. */
static const Expr *compare_inside(Algebra *al, Rel rel, const Expr *e, Num k) {
    if (is_call(e, "exp") && num_is(k, 1)) return expr_compare(al, rel, e->arg[0], expr_value(al, 0));
    if ((is_call(e, "tanh") || is_call(e, "erf")) && k.p == 0)
        return expr_compare(al, rel, e->arg[0], expr_value(al, 0));
    return NULL;
}

const Expr *expr_compare(Algebra *al, Rel rel, const Expr *a, const Expr *b) {
    const Expr *d = expr_add(al, a, expr_scale(al, num_of(-1, 1), b));
    if (d->kind == E_NUM) return expr_value(al, holds(rel, num_value(d->num), 0));
    Num constant = {0, 1}, factor = {1, 1};
    if (d->kind == E_SUM) {
        constant = d->num;
        int first = 0;                             /* the term that was there first decides the side */
        for (int i = 1; i < d->terms; i++)
            if (d->term[i].e->id < d->term[first].e->id) first = i;
        factor = d->term[first].num;
        if (d->terms > 1) factor = num_of(factor.p < 0 ? -1 : 1, 1);
        d = expr_add(al, d, expr_number(al, num_of(-constant.p, constant.q)));
        d = expr_scale(al, num_power(factor, -1), d);
    }
    if (factor.p < 0) rel = turned[rel];
    Num k = num_mul(num_of(-constant.p, constant.q), num_power(factor, -1));
    const Expr *inner = compare_inside(al, rel, d, k);
    return inner ? inner : expr_intern(al, (Expr){.kind = E_CMP, .rel = rel, .num = k, .arg = &d, .args = 1});
}

/* ---- what follows from what ---- */

typedef struct Interval { double lo, hi; bool lo_in, hi_in; } Interval;

static Interval interval_of(Rel rel, double k) {
    switch (rel) {
    case REL_LT: return (Interval){-INFINITY, k, false, false};
    case REL_LE: return (Interval){-INFINITY, k, false, true};
    case REL_GT: return (Interval){k, INFINITY, false, false};
    case REL_GE: return (Interval){k, INFINITY, true, false};
    case REL_EQ: return (Interval){k, k, true, true};
    case REL_NE: break;
    }
    return (Interval){-INFINITY, INFINITY, false, false};
}

static bool apart(Interval a, Interval b) {
    return a.hi < b.lo || b.hi < a.lo || (a.hi == b.lo && !(a.hi_in && b.lo_in)) ||
           (b.hi == a.lo && !(b.hi_in && a.lo_in));
}

/* Given e fact k0, does e rel k hold? */
static int follows(Rel fact, double k0, Rel rel, double k) {
    if (fact == REL_NE) return k0 != k ? -1 : rel == REL_NE ? 1 : rel == REL_EQ ? 0 : -1;
    Interval given = interval_of(fact, k0);
    if (rel == REL_NE) return apart(given, interval_of(REL_EQ, k)) ? 1 : fact == REL_EQ ? 0 : -1;
    if (apart(given, interval_of(rel, k))) return 0;
    if (rel != REL_EQ && apart(given, interval_of(opposite[rel], k))) return 1;
    return rel == REL_EQ && fact == REL_EQ && k0 == k ? 1 : -1;
}

int expr_decide(const Expr *c, const Expr *fact, bool truth) {
    if (c == fact) return truth;
    if (c->kind != E_CMP || fact->kind != E_CMP || c->arg[0] != fact->arg[0]) return -1;
    return follows(truth ? fact->rel : opposite[fact->rel], num_value(fact->num), c->rel, num_value(c->num));
}

/* ---- branches ---- */

typedef struct Assume { Algebra *al; const Expr *fact; bool truth; Map memo; } Assume;
static const Expr *assume(Assume *s, const Expr *e);

static const Expr *assume_extremum(Assume *s, const Expr *e) {
    const Expr *less = expr_compare(s->al, REL_LT, e->arg[0], e->arg[1]);
    int known = less->kind == E_NUM ? !expr_is(less, 0) : expr_decide(less, s->fact, s->truth);
    if (known < 0) return NULL;
    return assume(s, e->arg[(known == 1) == (strcmp(e->name, "max") == 0)]);
}

static const Expr *assume_abs(Assume *s, const Expr *e) {
    const Expr *negative = expr_compare(s->al, REL_LT, e->arg[0], expr_value(s->al, 0));
    int known = expr_decide(negative, s->fact, s->truth);
    if (known < 0) return NULL;
    return expr_scale(s->al, num_of(known ? -1 : 1, 1), assume(s, e->arg[0]));
}

static const Expr *assume_func(Assume *s, const Expr *e) {
    const Expr *arg[255], *out = NULL;
    if (e->args == 2 && (strcmp(e->name, "max") == 0 || strcmp(e->name, "min") == 0)) out = assume_extremum(s, e);
    if (strcmp(e->name, "abs") == 0) out = assume_abs(s, e);
    if (out) return out;
    for (int i = 0; i < e->args; i++) arg[i] = assume(s, e->arg[i]);
    return expr_func(s->al, e->name, e->index, arg, e->args);
}

static const Expr *assume_terms(Assume *s, const Expr *e) {
    Term *term = arena_array(s->al->arena, Term, e->terms);
    bool same = true;
    for (int i = 0; i < e->terms; i++) {
        term[i] = (Term){assume(s, e->term[i].e), e->term[i].num};
        same = same && term[i].e == e->term[i].e;
    }
    if (same) return e;
    return e->kind == E_SUM ? expr_sum(s->al, e->num, term, e->terms)
                            : expr_product(s->al, num_of(1, 1), term, e->terms);
}

static const Expr *assume_new(Assume *s, const Expr *e) {
    switch (e->kind) {
    case E_NUM:
    case E_NAME: return e;
    case E_SUM:
    case E_PROD: return assume_terms(s, e);
    case E_FUNC: return assume_func(s, e);
    case E_CMP: {
        int known = expr_decide(e, s->fact, s->truth);
        return known < 0 ? e : expr_value(s->al, known);
    }
    case E_WHERE: return expr_where(s->al, assume(s, e->arg[0]), assume(s, e->arg[1]), assume(s, e->arg[2]));
    }
    return e;
}

static const Expr *assume(Assume *s, const Expr *e) {
    const Expr *out = map_get(&s->memo, e);
    if (out) return out;
    out = assume_new(s, e);
    map_put(&s->memo, e, (void *)(uintptr_t)out);
    return out;
}

static const Expr *under(Algebra *al, const Expr *e, const Expr *fact, bool truth) {
    Assume s = {.al = al, .fact = fact, .truth = truth};
    map_init(&s.memo, al->arena);
    return assume(&s, e);
}

const Expr *expr_where(Algebra *al, const Expr *c, const Expr *a, const Expr *b) {
    if (c->kind == E_NUM) return expr_is(c, 0) ? b : a;
    if (is_call(c, "not")) return expr_where(al, c->arg[0], b, a);
    a = under(al, a, c, true);
    b = under(al, b, c, false);
    if (a == b) return a;
    if (b->kind == E_WHERE && b->arg[2] == a && expr_decide(b->arg[0], c, true) == 0) return b;
    const Expr *arg[3] = {c, a, b};
    return expr_intern(al, (Expr){.kind = E_WHERE, .arg = arg, .args = 3});
}

bool expr_has_zero_branch(const Expr *e) {
    return e->kind == E_WHERE && (expr_is(e->arg[1], 0) || expr_is(e->arg[2], 0) || expr_has_zero_branch(e->arg[2]));
}

/* (c ? a : b) + (f ? d : 0), where c excludes f: c ? a : b + (f ? d : 0); done where b is 0 or a choice by f. */
static const Expr *join_apart(Algebra *al, const Expr *a, const Expr *b) {
    const Expr *rest = a->arg[2];
    bool fits = expr_is(rest, 0) || (rest->kind == E_WHERE && rest->arg[0] == b->arg[0]);
    if (!fits || !expr_is(b->arg[2], 0) || expr_decide(b->arg[0], a->arg[0], true) != 0) return NULL;
    return expr_where(al, a->arg[0], a->arg[1], expr_add(al, rest, b));
}

/* (c ? a : b) + (c ? d : e) = c ? a + d : b + e.  Of two that exclude each other the one with > comes first. */
const Expr *expr_join_wheres(Algebra *al, const Expr *a, const Expr *b) {
    if (a->arg[0] == b->arg[0])
        return expr_where(al, a->arg[0], expr_add(al, a->arg[1], b->arg[1]), expr_add(al, a->arg[2], b->arg[2]));
    bool above = b->arg[0]->kind == E_CMP && (b->arg[0]->rel == REL_GT || b->arg[0]->rel == REL_GE);
    const Expr *joined = join_apart(al, above ? b : a, above ? a : b);
    return joined ? joined : join_apart(al, above ? a : b, above ? b : a);
}
