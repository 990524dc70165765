/* pretty_print.c -- formulas as text of the language: "cos(x) - x * sin(x)".
 *
 * A formula that would be long because parts of it come several times gets names for these:
 * "w3 @ h2 with h1 = ..., h2 = ...". */
#include "pass/pretty.h"

#include <math.h>

enum Level { LEVEL_SUM, LEVEL_PRODUCT, LEVEL_SIGN, LEVEL_POWER, LEVEL_ATOM };
enum { MAX_NAMED = 64 };

typedef struct Printer {
    Buf *out;
    const Expr *named[MAX_NAMED];
    int names, hidden;              /* hidden: this one is written out (-1: none) */
} Printer;

static void print_expr(Printer *p, const Expr *e, int level);

/* ---- order ---- */

Num num_shown(Num n) { return n.q == 2 || n.q == 4 || n.q == 8 ? (Num){n.p / n.q, 1} : n; }

/* Is term a a fraction or a choice, and longer than term b? */
static bool is_heavier(const Expr *sum, int a, int b) {
    const Expr *e = a < 0 ? NULL : sum->term[a].e;
    if (!e || sum->matrix || e->size < sum->term[b].e->size + 2) return false;
    bool heavy = e->kind == E_WHERE;
    for (int i = 0; e->kind == E_PROD && i < e->terms; i++) heavy = heavy || e->term[i].num.p < 0;
    return heavy;
}

void expr_order_terms(const Expr *sum, int *order, int *n) {
    int first = 0;
    *n = 0;
    for (int i = 0; i <= sum->terms; i++) {
        if (i == sum->at && sum->num.p != 0) order[(*n)++] = -1;
        if (i < sum->terms) order[(*n)++] = i;
    }
    for (int i = 1; i < *n; i++) {
        int k = i, moving = order[i];
        for (; k && moving >= 0 && is_heavier(sum, order[k - 1], moving); k--) order[k] = order[k - 1];
        order[k] = moving;
    }
    while (first < *n && (order[first] < 0 ? sum->num : sum->term[order[first]].num).p < 0) first++;
    if (first == *n) return;
    int moved = order[first];
    for (int i = first; i > 0; i--) order[i] = order[i - 1];
    order[0] = moved;
}

static int factor_rank(const Expr *e, bool calls_last) {
    switch (e->kind) {
    case E_NUM: return 0;
    case E_NAME: return e->fixed ? 1 : 2;
    case E_FUNC: return e->index ? e->fixed ? 1 : 2 : calls_last ? 5 : 3;
    case E_SUM:
    case E_PROD:
    case E_CMP: return 4;
    case E_WHERE: return 6;
    }
    return 4;
}

/* Does a come after b?  Names in the order of inputs, all else as it was written. */
static bool factor_after(const Expr *a, const Expr *b, bool calls_last) {
    int x = factor_rank(a, calls_last), y = factor_rank(b, calls_last);
    return x != y ? x > y : (x == 1 || x == 2) && a->id > b->id;
}

void expr_order_factors(const Expr *product, bool calls_last, int *order) {
    for (int i = 0; i < product->terms; i++) {
        int k = i;
        const Expr *e = product->term[i].e;
        for (; k && factor_after(product->term[order[k - 1]].e, e, calls_last); k--) order[k] = order[k - 1];
        order[k] = i;
    }
}

/* ---- names for what comes again ---- */

typedef struct Seen { Map count; Arena *arena; } Seen;

static void count_uses(Seen *seen, const Expr *e) {
    int *n = map_get(&seen->count, e);
    if (n) {
        ++*n;
        return;
    }
    n = arena_new_of(seen->arena, int);
    *n = 1;
    map_put(&seen->count, e, n);
    for (int i = 0; i < e->terms; i++) count_uses(seen, e->term[i].e);
    for (int i = 0; i < e->args; i++) count_uses(seen, e->arg[i]);
}

/* Of a long formula: parts with matrices that come again; of a very long one, all big ones. */
static void choose_names(Printer *p, const Expr *e) {
    Seen seen = {.arena = arena_new()};
    map_init(&seen.count, seen.arena);
    count_uses(&seen, e);
    for (int i = 0; i < seen.count.len && e->size > 24 && p->names < MAX_NAMED; i++) {
        const Expr *part = seen.count.key[i];
        bool big = part->matrix ? part->size > 3 : e->size > 90 && part->size > 6;
        bool plain = part->kind == E_NUM || part->kind == E_NAME || part->kind == E_CMP || part == e;
        if (*(int *)seen.count.value[i] > 1 && big && !plain) p->named[p->names++] = part;
    }
    for (int i = 1; i < p->names; i++) {               /* in the order they were made: the inner before the outer */
        const Expr *part = p->named[i];
        int k = i;
        for (; k && p->named[k - 1]->id > part->id; k--) p->named[k] = p->named[k - 1];
        p->named[k] = part;
    }
    arena_free(seen.arena);
}

/* Its number from 1, or 0. */
static int name_of(const Printer *p, const Expr *e) {
    for (int i = 0; i < p->names; i++)
        if (p->named[i] == e && i != p->hidden) return i + 1;
    return 0;
}

/* ---- parts ---- */

static void print_number(Buf *out, double x) {
    char text[32];
    text_of_f64(text, x);
    buf_text(out, text);
}

static void print_open(Printer *p, bool need) { if (need) buf_text(p->out, "("); }
static void print_close(Printer *p, bool need) { if (need) buf_text(p->out, ")"); }

static void print_list(Printer *p, const char *open, const Expr *e, const char *close) {
    buf_text(p->out, open);
    for (int i = 0; i < e->args; i++) {
        if (i) buf_text(p->out, ", ");
        print_expr(p, e->arg[i], LEVEL_SUM);
    }
    buf_text(p->out, close);
}

static void print_power(Printer *p, const Expr *base, Num n) {
    if (num_is(n, 1)) {
        print_expr(p, base, LEVEL_SIGN);
        return;
    }
    print_expr(p, base, LEVEL_ATOM);
    buf_text(p->out, "^");
    print_open(p, n.q != 1 || n.p < 0);
    print_number(p->out, n.p);
    if (n.q != 1) buf_printf(p->out, "/%g", n.q);
    print_close(p, n.q != 1 || n.p < 0);
}

/* Bases of ^(1/2), or of ^(-1/2), under one root. */
static bool print_roots(Printer *p, const Expr *e, const int *order, double half, bool first) {
    int n = 0;
    for (int i = 0; i < e->terms; i++) n += num_value(e->term[i].num) == half;
    if (!n) return first;
    buf_text(p->out, first ? "sqrt(" : " * sqrt(");
    for (int i = 0, k = 0; i < e->terms; i++) {
        if (num_value(e->term[order[i]].num) != half) continue;
        if (k++) buf_text(p->out, " * ");
        print_expr(p, e->term[order[i]].e, n > 1 ? LEVEL_SIGN : LEVEL_SUM);
    }
    buf_text(p->out, ")");
    return false;
}

/* The factors with positive (sign 1) or negative (-1) exponents, after a number if it is not 1. */
static void print_side(Printer *p, double number, const Expr *e, int sign) {
    int order[256];
    bool first = true;
    if (number != 1) {
        print_number(p->out, number);
        first = false;
    }
    expr_order_factors(e, false, order);
    for (int pass = 0; pass < 2; pass++) {             /* numbers and names, then roots, then the rest */
        for (int i = 0; i < e->terms; i++) {
            Term t = e->term[order[i]];
            bool early = t.e->kind == E_NAME || t.e->index;
            if (t.num.p * sign < 0 || fabs(num_value(t.num)) == 0.5 || early == (pass == 1)) continue;
            if (!first) buf_text(p->out, " * ");
            first = false;
            print_power(p, t.e, num_of(t.num.p * sign, t.num.q));
        }
        if (pass == 0) first = print_roots(p, e, order, 0.5 * sign, first);
    }
    if (first) buf_text(p->out, "1");
}

static int count_side(const Expr *e, int sign) {
    int n = 0;
    bool roots = false;
    for (int i = 0; i < e->terms; i++) {
        bool root = fabs(num_value(e->term[i].num)) == 0.5;
        if (e->term[i].num.p * sign < 0) continue;
        n += !root || !roots;
        roots = roots || root;
    }
    return n;
}

/* c * e without c's sign; e as a product. */
static void print_scaled(Printer *p, Num c, const Expr *e) {
    Term one = {e, {1, 1}};
    Expr alone = {.kind = E_PROD, .term = &one, .terms = 1};
    if (e->kind != E_PROD || name_of(p, e)) e = &alone;
    int below = count_side(e, -1) + (c.q != 1);
    if (e->terms > 255) {
        buf_text(p->out, "...");
        return;
    }
    print_side(p, fabs(c.p), e, 1);
    if (!below) return;
    buf_text(p->out, below > 1 ? " / (" : " / ");
    print_side(p, c.q, e, -1);
    print_close(p, below > 1);
}

static void print_signed(Printer *p, Num c, const Expr *e, bool first) {
    if (first) buf_text(p->out, c.p < 0 ? "-" : "");
    else buf_text(p->out, c.p < 0 ? " - " : " + ");
    if (!e) {
        c = num_shown(c);
        print_number(p->out, fabs(c.p));
        if (c.q != 1) buf_printf(p->out, " / %g", c.q);
    } else if (num_is(c, 1) || num_is(c, -1)) {
        print_expr(p, e, LEVEL_PRODUCT);
    } else {
        print_scaled(p, c, e);
    }
}

static void print_sum(Printer *p, const Expr *e, int level) {
    int n, *order = NULL, small[64];
    Arena *scratch = e->terms < 63 ? NULL : arena_new();
    order = scratch ? arena_array(scratch, int, e->terms + 1) : small;
    expr_order_terms(e, order, &n);
    bool one = n == 1, negative = one && e->term[0].num.p < 0;
    bool need = level > (one && !negative ? LEVEL_PRODUCT : LEVEL_SUM) || (negative && level > LEVEL_SUM);
    print_open(p, need);
    for (int i = 0; i < n; i++) {
        if (order[i] < 0) print_signed(p, e->num, NULL, i == 0);
        else print_signed(p, e->term[order[i]].num, e->term[order[i]].e, i == 0);
    }
    print_close(p, need);
    if (scratch) arena_free(scratch);
}

/* e > 0 with several terms: those with a minus go to the other side. */
static void print_compare(Printer *p, const Expr *e, int level) {
    static const char *const text[] = {[REL_LT] = "<", [REL_LE] = "<=", [REL_GT] = ">", [REL_GE] = ">=",
                                       [REL_EQ] = "==", [REL_NE] = "!="};
    const Expr *d = e->arg[0];
    bool split = d->kind == E_SUM && d->terms > 1 && e->num.p == 0 && !name_of(p, d);
    print_open(p, level > LEVEL_SUM);
    int left = 0, right = 0;
    for (int i = 0; split && i < d->terms; i++)
        if (d->term[i].num.p > 0) print_signed(p, d->term[i].num, d->term[i].e, left++ == 0);
    if (split && !left) buf_text(p->out, "0");
    if (!split) print_expr(p, d, LEVEL_SUM);
    buf_printf(p->out, " %s ", text[e->rel]);
    for (int i = 0; split && i < d->terms; i++)
        if (d->term[i].num.p < 0)
            print_signed(p, num_of(-d->term[i].num.p, d->term[i].num.q), d->term[i].e, right++ == 0);
    if (!right) print_signed(p, e->num, NULL, true);
    print_close(p, level > LEVEL_SUM);
}

static bool is_relu(const Expr *e) {
    return e->args == 2 && strcmp(e->name, "max") == 0 && expr_is(e->arg[0], 0) && e->arg[1]->matrix;
}

static void print_func(Printer *p, const Expr *e, int level) {
    bool product = strcmp(e->name, "@") == 0, power = strcmp(e->name, "pow") == 0;
    if (product || power) {
        bool need = level > (product ? LEVEL_PRODUCT : LEVEL_POWER);
        print_open(p, need);
        print_expr(p, e->arg[0], product ? LEVEL_SIGN : LEVEL_ATOM);
        buf_text(p->out, product ? " @ " : "^");
        print_expr(p, e->arg[1], product ? LEVEL_SIGN : LEVEL_ATOM);
        print_close(p, need);
    } else if (e->index) {
        print_expr(p, e->arg[0], LEVEL_ATOM);
        buf_text(p->out, e->index);
    } else if (strcmp(e->name, "list") == 0) {
        print_list(p, "[", e, "]");
    } else if (is_relu(e)) {
        buf_text(p->out, "relu(");
        print_expr(p, e->arg[1], LEVEL_SUM);
        buf_text(p->out, ")");
    } else {
        buf_text(p->out, e->name);
        print_list(p, "(", e, ")");
    }
}

static void print_product(Printer *p, const Expr *e, int level) {
    bool root = e->terms == 1 && num_value(e->term[0].num) == 0.5;
    bool power = e->terms == 1 && e->term[0].num.p > 0 && !root;
    bool need = level > (root ? LEVEL_ATOM : power ? LEVEL_POWER : LEVEL_PRODUCT);
    print_open(p, need);
    print_scaled(p, num_of(1, 1), e);
    print_close(p, need);
}

static void print_expr(Printer *p, const Expr *e, int level) {
    int name = name_of(p, e);
    if (name) {
        buf_printf(p->out, "h%d", name);
        return;
    }
    switch (e->kind) {
    case E_NUM: {
        bool need = (e->num.p < 0 && level > LEVEL_SUM) || (e->num.q != 1 && level > LEVEL_PRODUCT);
        print_open(p, need);
        print_signed(p, e->num, NULL, true);
        print_close(p, need);
        break;
    }
    case E_NAME: buf_text(p->out, e->name); break;
    case E_SUM: print_sum(p, e, level); break;
    case E_PROD: print_product(p, e, level); break;
    case E_FUNC: print_func(p, e, level); break;
    case E_CMP: print_compare(p, e, level); break;
    case E_WHERE: print_list(p, "where(", e, ")"); break;
    }
}

void expr_print(const Expr *e, Buf *out) {
    Printer p = {.out = out, .hidden = -1};
    choose_names(&p, e);
    if (e->size > 1e5 && p.names == MAX_NAMED) {
        buf_text(out, "a formula too long to print");
        return;
    }
    print_expr(&p, e, LEVEL_SUM);
    for (int i = 0; i < p.names; i++) {
        buf_printf(out, "%sh%d = ", i ? ", " : " with ", i + 1);
        p.hidden = i;
        print_expr(&p, p.named[i], LEVEL_SUM);
    }
}
