/* pretty_algebra.c -- numbers, sums and products of formulas in normal form (see pretty.h). */
#include "pass/pretty.h"

#include <math.h>

/* ---- numbers ---- */

static bool whole(double x) { return x == floor(x) && fabs(x) < 9e15; }

Num num_of(double p, double q) {
    if (q < 0) {
        p = -p;
        q = -q;
    }
    if (!whole(q) || q == 0 || q > 1e9) return (Num){p / q, 1};
    if (p == 0) return (Num){0, 1};
    if (!whole(p)) return (Num){p, q};
    double a = fabs(p), b = q;
    while (b != 0) {
        double rest = fmod(a, b);
        a = b;
        b = rest;
    }
    return (Num){p / a, q / a};
}

Num num_add(Num a, Num b) {
    return a.q == b.q ? num_of(a.p + b.p, a.q) : num_of(a.p * b.q + b.p * a.q, a.q * b.q);
}
Num num_mul(Num a, Num b) { return num_of(a.p * b.p, a.q * b.q); }

Num num_power(Num a, int n) {
    Num out = {1, 1};
    for (int i = 0; i < (n < 0 ? -n : n); i++) out = num_mul(out, a);
    return n < 0 ? num_of(out.q, out.p) : out;
}

/* ---- consing ---- */

static void key_number(Buf *key, Num n) { buf_printf(key, "%a/%a,", n.p, n.q); }

static int by_id(const Term *a, const Term *b) { return a->e->id - b->e->id; }

/* The order of terms and factors does not count. */
static void key_terms(Algebra *al, Buf *key, const Expr *e) {
    Term *sorted = arena_array(al->arena, Term, e->terms);
    for (int i = 0; i < e->terms; i++) {
        int k = i;
        for (; k && by_id(&sorted[k - 1], &e->term[i]) > 0; k--) sorted[k] = sorted[k - 1];
        sorted[k] = e->term[i];
    }
    for (int i = 0; i < e->terms; i++) {
        buf_printf(key, "%d^", sorted[i].e->id);
        key_number(key, sorted[i].num);
    }
}

const Expr *expr_intern(Algebra *al, Expr e) {
    Buf key = {0};
    buf_printf(&key, "%d %d %s %s ", (int)e.kind, (int)e.rel, e.name ? e.name : "", e.index ? e.index : "");
    if (e.kind == E_NUM || e.kind == E_SUM || e.kind == E_CMP) key_number(&key, e.num);
    key_terms(al, &key, &e);
    for (int i = 0; i < e.args; i++) buf_printf(&key, "%d,", e.arg[i]->id);
    Name name = intern(al->keys, key.at, key.len);
    buf_free(&key);
    Expr *out = map_get(&al->known, name);
    if (out) return out;
    out = arena_new_of(al->arena, Expr);
    *out = e;
    out->id = al->known.len + 1;
    out->size = 1;
    out->matrix = e.kind == E_FUNC && strcmp(e.name, "@") == 0;
    Term *term = arena_array(al->arena, Term, e.terms);
    const Expr **arg = arena_array(al->arena, const Expr *, e.args);
    for (int i = 0; i < e.terms; i++) {
        term[i] = e.term[i];
        out->size += term[i].e->size;
        out->matrix = out->matrix || term[i].e->matrix;
    }
    for (int i = 0; i < e.args; i++) {
        arg[i] = e.arg[i];
        out->size += arg[i]->size;
        out->matrix = out->matrix || arg[i]->matrix;
    }
    if (e.index) out->fixed = e.arg[0]->fixed;
    out->term = term;
    out->arg = arg;
    map_put(&al->known, name, out);
    return out;
}

const Expr *expr_number(Algebra *al, Num n) { return expr_intern(al, (Expr){.kind = E_NUM, .num = n}); }
const Expr *expr_value(Algebra *al, double x) { return expr_number(al, num_of(x, 1)); }
const Expr *expr_name(Algebra *al, const char *name, bool fixed) {
    return expr_intern(al, (Expr){.kind = E_NAME, .name = name, .fixed = fixed});
}
bool expr_is(const Expr *e, double x) { return e->kind == E_NUM && num_is(e->num, x); }

/* ---- sums ---- */

typedef struct Terms { Algebra *al; VEC(Term) list; Num constant; int at; } Terms;

static bool is_scaled(const Expr *e) { return e->kind == E_SUM && e->terms == 1 && e->num.p == 0; }

static void sum_take(Terms *s, Num c, const Expr *e) {
    if (c.p == 0) return;
    if (e->kind == E_NUM) {
        if (s->at < 0) s->at = s->list.len;
        s->constant = num_add(s->constant, num_mul(c, e->num));
    } else if (e->kind == E_SUM && (is_scaled(e) || fabs(num_value(c)) == 1)) {
        for (int i = 0; i <= e->terms; i++) {
            if (i == e->at && e->num.p != 0) {
                if (s->at < 0) s->at = s->list.len;
                s->constant = num_add(s->constant, num_mul(c, e->num));
            }
            if (i < e->terms) sum_take(s, num_mul(c, e->term[i].num), e->term[i].e);
        }
    } else {
        for (int i = 0; i < s->list.len; i++) {
            if (s->list.at[i].e != e) continue;
            s->list.at[i].num = num_add(s->list.at[i].num, c);
            return;
        }
        Term term = {e, c};
        vec_push(s->al->arena, &s->list, term);
    }
}

static void sum_drop_zeros(Terms *s) {
    int n = 0;
    for (int i = 0; i < s->list.len; i++) {
        if (i == s->at) s->at = n;
        if (s->list.at[i].num.p != 0) s->list.at[n++] = s->list.at[i];
    }
    if (s->at > n || s->at < 0) s->at = n;
    s->list.len = n;
}

/* Two choices that can be written as one, with what they are replaced by. */
static bool sum_join(Terms *s) {
    for (int i = 0; i < s->list.len; i++)
        for (int k = i + 1; k < s->list.len; k++) {
            const Term a = s->list.at[i], b = s->list.at[k];
            if (a.e->kind != E_WHERE || b.e->kind != E_WHERE) continue;
            const Expr *joined = expr_join_wheres(s->al, expr_scale(s->al, a.num, a.e), expr_scale(s->al, b.num, b.e));
            if (!joined) continue;
            s->list.at[i].num = s->list.at[k].num = num_of(0, 1);
            sum_drop_zeros(s);
            sum_take(s, num_of(1, 1), joined);
            return true;
        }
    return false;
}

const Expr *expr_sum(Algebra *al, Num constant, const Term *terms, int n) {
    Terms s = {.al = al, .constant = constant, .at = constant.p != 0 ? 0 : -1};
    for (int i = 0; i < n; i++) sum_take(&s, terms[i].num, terms[i].e);
    do sum_drop_zeros(&s);
    while (sum_join(&s));
    sum_drop_zeros(&s);
    if (s.list.len == 0) return expr_number(al, s.constant);
    if (s.list.len == 1 && s.constant.p == 0 && num_is(s.list.at[0].num, 1)) return s.list.at[0].e;
    if (s.constant.p == 0) s.at = s.list.len;
    Expr sum = {.kind = E_SUM, .num = s.constant, .at = s.at, .term = s.list.at, .terms = s.list.len};
    return expr_intern(al, sum);
}

const Expr *expr_add(Algebra *al, const Expr *a, const Expr *b) {
    const Term terms[2] = {{a, {1, 1}}, {b, {1, 1}}};
    return expr_sum(al, num_of(0, 1), terms, 2);
}

const Expr *expr_scale(Algebra *al, Num c, const Expr *e) {
    if (num_is(c, 1)) return e;
    if (e->kind == E_WHERE && c.p != 0 && (expr_has_zero_branch(e) || num_is(c, -1)))
        return expr_where(al, e->arg[0], expr_scale(al, c, e->arg[1]), expr_scale(al, c, e->arg[2]));
    return expr_sum(al, num_of(0, 1), &(Term){e, c}, 1);
}

/* ---- products ---- */

typedef struct Factors { Algebra *al; VEC(Term) list; Num c; } Factors;

static bool is_call(const Expr *e, const char *name) { return e->kind == E_FUNC && strcmp(e->name, name) == 0; }

/* Is e ^ n no factor of its own, but several, or part of the number in front? */
static bool comes_apart(const Expr *e, Num n) {
    bool exact = num_whole(n) && fabs(n.p) <= 64;
    if (n.p == 0 || expr_is(e, 1)) return true;
    if (e->kind == E_NUM) return exact && (e->num.p != 0 || n.p > 0);
    return is_scaled(e) ? exact || e->term[0].num.p > 0 : e->kind == E_PROD && exact;
}

static void product_take(Factors *f, const Expr *e, Num n) {
    if (n.p == 0 || expr_is(e, 1)) return;
    if (e->kind == E_NUM && comes_apart(e, n)) {
        f->c = num_mul(f->c, num_power(e->num, (int)n.p));
    } else if (is_scaled(e) && comes_apart(e, n)) {
        product_take(f, expr_number(f->al, e->term[0].num), n);
        product_take(f, e->term[0].e, n);
    } else if (comes_apart(e, n)) {
        for (int i = 0; i < e->terms; i++) product_take(f, e->term[i].e, num_mul(e->term[i].num, n));
    } else {
        for (int i = 0; i < f->list.len; i++) {
            if (f->list.at[i].e != e) continue;
            f->list.at[i].num = num_add(f->list.at[i].num, n);
            return;
        }
        Term factor = {e, n};
        vec_push(f->al->arena, &f->list, factor);
    }
}

/* exp(a)^m exp(b)^n = exp(m a + n b), in the first one's place. */
static void product_join_exps(Factors *f) {
    Algebra *al = f->al;
    const Expr *sum = NULL;
    int first = -1, n = 0;
    for (int i = 0; i < f->list.len; i++) {
        Term t = f->list.at[i];
        if (is_call(t.e, "exp") && t.num.p != 0) {
            const Expr *part = expr_scale(al, t.num, t.e->arg[0]);
            sum = sum ? expr_add(al, sum, part) : part;
            if (first >= 0) continue;
            first = n;
        }
        f->list.at[n++] = t;
    }
    f->list.len = n;
    if (first < 0) return;
    f->list.at[first] = (Term){expr_func1(al, "exp", sum), {1, 1}};
}

/* Drops what has become 1; takes anew what has got a whole exponent. */
static bool product_settle(Factors *f) {
    VEC(Term) old = {f->list.at, f->list.len, f->list.cap};
    bool again = false;
    f->list.at = NULL;
    f->list.len = f->list.cap = 0;
    for (int i = 0; i < old.len; i++) {
        again = again || comes_apart(old.at[i].e, old.at[i].num);
        product_take(f, old.at[i].e, old.at[i].num);
    }
    return again;
}

/* f * (c ? a : 0) = c ? f * a : 0 */
static const Expr *product_of_where(Factors *f) {
    Algebra *al = f->al;
    for (int i = 0; i < f->list.len; i++) {
        const Expr *w = f->list.at[i].e;
        if (w->kind != E_WHERE || !num_is(f->list.at[i].num, 1) || !expr_has_zero_branch(w)) continue;
        if (f->list.len == 1 && num_is(f->c, 1)) return w;
        f->list.at[i] = (Term){expr_value(al, 1), {1, 1}};
        const Expr *rest = expr_product(al, f->c, f->list.at, f->list.len);
        return expr_where(al, w->arg[0], expr_mul(al, rest, w->arg[1]), expr_mul(al, rest, w->arg[2]));
    }
    return NULL;
}

static bool has_fraction(const Expr *sum) {
    for (int i = 0; i < sum->terms; i++)
        for (int k = 0; sum->term[i].e->kind == E_PROD && k < sum->term[i].e->terms; k++)
            if (sum->term[i].e->term[k].num.p < 0) return true;
    return false;
}

/* f * (a / b + c) = f * a / b + f * c: a sum of fractions is not left in brackets. */
static const Expr *product_of_fractions(Factors *f) {
    enum { MOST = 6 };
    Algebra *al = f->al;
    for (int i = 0; i < f->list.len; i++) {
        const Expr *sum = f->list.at[i].e;
        bool fits = sum->kind == E_SUM && sum->terms <= MOST && num_is(f->list.at[i].num, 1) && has_fraction(sum);
        if (!fits || (f->list.len == 1 && num_is(f->c, 1))) continue;
        Term term[MOST + 1];
        f->list.at[i].e = expr_value(al, 1);
        const Expr *rest = expr_product(al, f->c, f->list.at, f->list.len);
        for (int k = 0; k < sum->terms; k++)
            term[k] = (Term){expr_mul(al, rest, sum->term[k].e), sum->term[k].num};
        term[sum->terms] = (Term){rest, sum->num};
        return expr_sum(al, num_of(0, 1), term, sum->terms + 1);
    }
    return NULL;
}

const Expr *expr_product(Algebra *al, Num c, const Term *factors, int n) {
    Factors f = {.al = al, .c = c};
    for (int i = 0; i < n; i++) product_take(&f, factors[i].e, factors[i].num);
    do product_join_exps(&f);
    while (product_settle(&f));
    if (f.c.p == 0) return expr_value(al, 0);
    const Expr *moved = product_of_where(&f);
    if (!moved) moved = product_of_fractions(&f);
    if (moved) return moved;
    if (f.list.len == 0) return expr_number(al, f.c);
    const Expr *e = f.list.at[0].e;
    if (f.list.len > 1 || !num_is(f.list.at[0].num, 1))
        e = expr_intern(al, (Expr){.kind = E_PROD, .term = f.list.at, .terms = f.list.len});
    return expr_scale(al, f.c, e);
}

const Expr *expr_mul(Algebra *al, const Expr *a, const Expr *b) {
    const Term factors[2] = {{a, {1, 1}}, {b, {1, 1}}};
    return expr_product(al, num_of(1, 1), factors, 2);
}

const Expr *expr_power(Algebra *al, const Expr *a, Num n) {
    return expr_product(al, num_of(1, 1), &(Term){a, n}, 1);
}

/* ---- functions ---- */

static const Expr *odd_or_even(Algebra *al, const char *name, const Expr *a) {
    bool odd = strcmp(name, "sin") == 0 || strcmp(name, "tanh") == 0 || strcmp(name, "erf") == 0;
    bool even = strcmp(name, "cos") == 0 || strcmp(name, "abs") == 0;
    if ((!odd && !even) || !is_scaled(a) || a->term[0].num.p > 0) return NULL;
    const Expr *e = expr_func1(al, name, expr_scale(al, num_of(-1, 1), a));
    return odd ? expr_scale(al, num_of(-1, 1), e) : e;
}

static const Expr *func_known(Algebra *al, const char *name, const Expr *a) {
    static const struct { const char *name; double at, value; } points[] = {
        {"exp", 0, 1}, {"log", 1, 0}, {"sin", 0, 0}, {"cos", 0, 1}, {"tanh", 0, 0}, {"erf", 0, 0}, {"abs", 0, 0},
        {"sign", 0, 0},
    };
    for (int i = 0; i < COUNT(points); i++)
        if (strcmp(name, points[i].name) == 0 && expr_is(a, points[i].at)) return expr_value(al, points[i].value);
    if (strcmp(name, "exp") == 0 && is_call(a, "log")) return a->arg[0];
    if (strcmp(name, "log") == 0 && is_call(a, "exp")) return a->arg[0];
    return odd_or_even(al, name, a);
}

static const Expr *func_extremum(Algebra *al, bool is_max, const Expr *a, const Expr *b) {
    if (a == b) return a;
    if (a->kind != E_NUM || b->kind != E_NUM) return NULL;
    double x = num_value(a->num), y = num_value(b->num);
    (void)al;
    return (x > y) == is_max ? a : b;
}

const Expr *expr_func(Algebra *al, const char *name, const char *index, const Expr *const *arg, int n) {
    const Expr *e = NULL;
    if (n == 1) e = func_known(al, name, arg[0]);
    if (n == 2 && strcmp(name, "max") == 0) e = func_extremum(al, true, arg[0], arg[1]);
    if (n == 2 && strcmp(name, "min") == 0) e = func_extremum(al, false, arg[0], arg[1]);
    if (n == 2 && strcmp(name, "@") == 0 && (expr_is(arg[0], 0) || expr_is(arg[1], 0))) e = expr_value(al, 0);
    if (n == 2 && strcmp(name, "pow") == 0 && arg[1]->kind == E_NUM) e = expr_power(al, arg[0], arg[1]->num);
    if (e) return e;
    return expr_intern(al, (Expr){.kind = E_FUNC, .name = name, .index = index, .arg = arg, .args = n});
}

const Expr *expr_func1(Algebra *al, const char *name, const Expr *a) { return expr_func(al, name, NULL, &a, 1); }
