/* pretty_latex.c -- formulas as LaTeX, for mathematics mode: "\cos x - x \sin x". */
#include "pass/pretty.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>

enum Level { LEVEL_SUM, LEVEL_PRODUCT, LEVEL_POWER, LEVEL_ATOM };
static void latex(Buf *out, const Expr *e, int level);

static void open_if(Buf *out, bool need) { if (need) buf_text(out, "\\left("); }
static void close_if(Buf *out, bool need) { if (need) buf_text(out, "\\right)"); }

static void latex_number(Buf *out, double x) {
    char text[32], *e;
    text_of_f64(text, x);
    e = strchr(text, 'e');
    if (!e) {
        buf_text(out, text);
        return;
    }
    buf_put(out, text, (size_t)(e - text));
    buf_printf(out, " \\cdot 10^{%ld}", (long)(e[1] == '-' ? -1 : 1) * (long)strtoul(e + 2, NULL, 10));
}

static void latex_num(Buf *out, Num n) {
    if (n.q != 1) buf_text(out, "\\frac{");
    latex_number(out, n.p);
    if (n.q != 1) buf_printf(out, "}{%g}", n.q);
}

static bool is_greek(const char *name, size_t length) {
    static const char *const greek[] = {"alpha", "beta", "gamma", "delta", "epsilon", "lambda", "mu", "sigma", "tau",
                                        "theta", "omega", "phi", "psi", "rho", "kappa", "eta", "pi", "xi", "nu"};
    for (int i = 0; i < COUNT(greek); i++)
        if (strlen(greek[i]) == length && memcmp(greek[i], name, length) == 0) return true;
    return false;
}

static void latex_escaped(Buf *out, const char *text, size_t length) {
    for (size_t i = 0; i < length; i++) {
        if (strchr("_#%&{}$", text[i])) buf_text(out, "\\");
        if (text[i] == '\\' || text[i] == '^' || text[i] == '~') buf_text(out, "\\text{\\textasciitilde}");
        else buf_put(out, &text[i], 1);
    }
}

/* x1 as x_{1}, alpha as \alpha, several letters upright; index is "[...]" or NULL. */
static void latex_name(Buf *out, const char *name, const char *index) {
    size_t length = strlen(name), stem = length;
    while (stem > 1 && isdigit((unsigned char)name[stem - 1])) stem--;
    if (stem == 1 && isalpha((unsigned char)name[0])) {
        buf_put(out, name, 1);
    } else if (is_greek(name, stem)) {
        buf_text(out, "\\");
        buf_put(out, name, stem);
    } else {
        buf_text(out, "\\mathrm{");
        latex_escaped(out, name, stem);
        buf_text(out, "}");
    }
    if (stem == length && !index) return;
    buf_text(out, "_{");
    buf_put(out, name + stem, length - stem);
    if (index && stem != length) buf_text(out, ",");
    if (index) buf_put(out, index + 1, strlen(index) - 2);
    buf_text(out, "}");
}

/* ---- products ---- */

static bool is_plain(const Expr *e) {
    return e->kind == E_NAME || (e->kind == E_NUM && e->num.q == 1 && e->num.p >= 0);
}

static bool has_symbol(const char *name) {
    static const char *const known[] = {"sin", "cos", "tanh", "log"};
    for (int i = 0; i < COUNT(known); i++)
        if (strcmp(known[i], name) == 0) return true;
    return false;
}

static void latex_exponent(Buf *out, Num n) {
    if (num_is(n, 1)) return;
    buf_text(out, "^{");
    latex_number(out, n.p);
    if (n.q != 1) buf_printf(out, "/%g", n.q);
    buf_text(out, "}");
}

/* \tanh^{2} x; (a + b)^{2}; e^{x}^2 does not occur (see pretty.h) */
static void latex_power(Buf *out, const Expr *e, Num n, bool alone) {
    if (num_value(n) == 0.5) {
        buf_text(out, "\\sqrt{");
        latex(out, e, LEVEL_SUM);
        buf_text(out, "}");
    } else if (e->kind == E_FUNC && has_symbol(e->name)) {
        buf_printf(out, "\\%s", e->name);
        latex_exponent(out, n);
        buf_text(out, is_plain(e->arg[0]) ? " " : "");
        open_if(out, !is_plain(e->arg[0]));
        latex(out, e->arg[0], LEVEL_SUM);
        close_if(out, !is_plain(e->arg[0]));
    } else {
        latex(out, e, !num_is(n, 1) ? LEVEL_ATOM : alone ? LEVEL_SUM : LEVEL_POWER);
        latex_exponent(out, n);
    }
}

static bool on_side(Term t, int sign) { return t.num.p * sign > 0; }

static void latex_side(Buf *out, double number, const Expr *e, int sign) {
    int order[256], n = 0, k = 0;
    for (int i = 0; i < e->terms; i++) n += on_side(e->term[i], sign);
    if (number != 1 || !n) latex_number(out, number);
    if (number != 1 && n) buf_text(out, " ");
    expr_order_factors(e, true, order);
    for (int i = 0; i < e->terms; i++) {
        Term t = e->term[order[i]];
        if (!on_side(t, sign)) continue;
        if (k++) buf_text(out, " ");
        if (t.e->kind == E_NUM && num_value(t.num) * sign != 0.5 && number != 1 && k == 1) buf_text(out, "\\cdot ");
        latex_power(out, t.e, num_of(t.num.p * sign, t.num.q), n == 1 && number == 1);
    }
}

/* |c| * e */
static void latex_scaled(Buf *out, Num c, const Expr *e) {
    Term one = {e, {1, 1}};
    Expr alone = {.kind = E_PROD, .term = &one, .terms = 1};
    bool below = c.q != 1;
    if (e->kind != E_PROD) e = &alone;
    if (e->terms > 255) {
        buf_text(out, "\\ldots");
        return;
    }
    for (int i = 0; i < e->terms; i++) below = below || e->term[i].num.p < 0;
    if (below) buf_text(out, "\\frac{");
    latex_side(out, fabs(c.p), e, 1);
    if (!below) return;
    buf_text(out, "}{");
    latex_side(out, c.q, e, -1);
    buf_text(out, "}");
}

/* ---- sums, conditions, calls ---- */

static void latex_signed(Buf *out, Num c, const Expr *e, bool first) {
    buf_text(out, c.p < 0 ? (first ? "-" : " - ") : first ? "" : " + ");
    if (!e) latex_num(out, num_shown((Num){fabs(c.p), c.q}));
    else if (num_is(c, 1) || num_is(c, -1)) latex(out, e, LEVEL_PRODUCT);
    else latex_scaled(out, c, e);
}

static void latex_sum(Buf *out, const Expr *e, int level) {
    Arena *scratch = arena_new();
    int n, *order = arena_array(scratch, int, e->terms + 1);
    expr_order_terms(e, order, &n);
    bool need = level > (n == 1 && e->term[0].num.p > 0 ? LEVEL_PRODUCT : LEVEL_SUM);
    open_if(out, need);
    for (int i = 0; i < n; i++) {
        if (order[i] < 0) latex_signed(out, e->num, NULL, i == 0);
        else latex_signed(out, e->term[order[i]].num, e->term[order[i]].e, i == 0);
    }
    close_if(out, need);
    arena_free(scratch);
}

static void latex_compare(Buf *out, const Expr *e) {
    static const char *const text[] = {[REL_LT] = "<", [REL_LE] = "\\le", [REL_GT] = ">", [REL_GE] = "\\ge",
                                       [REL_EQ] = "=", [REL_NE] = "\\ne"};
    const Expr *d = e->arg[0];
    bool split = d->kind == E_SUM && d->terms > 1 && e->num.p == 0;
    int left = 0, right = 0;
    for (int i = 0; split && i < d->terms; i++)
        if (d->term[i].num.p > 0) latex_signed(out, d->term[i].num, d->term[i].e, left++ == 0);
    if (split && !left) buf_text(out, "0");
    if (!split) latex(out, d, LEVEL_SUM);
    buf_printf(out, " %s ", text[e->rel]);
    for (int i = 0; split && i < d->terms; i++)
        if (d->term[i].num.p < 0)
            latex_signed(out, num_of(-d->term[i].num.p, d->term[i].num.q), d->term[i].e, right++ == 0);
    if (!right) latex_signed(out, e->num, NULL, true);
}

/* A chain of choices is one table of cases. */
static void latex_where(Buf *out, const Expr *e) {
    buf_text(out, "\\begin{cases} ");
    for (; e->kind == E_WHERE; e = e->arg[2]) {
        latex(out, e->arg[1], LEVEL_SUM);
        buf_text(out, " & ");
        latex(out, e->arg[0], LEVEL_SUM);
        buf_text(out, " \\\\ ");
    }
    latex(out, e, LEVEL_SUM);
    buf_text(out, " & \\text{otherwise} \\end{cases}");
}

static void latex_args(Buf *out, const char *open, const Expr *e, const char *close) {
    buf_text(out, open);
    for (int i = 0; i < e->args; i++) {
        if (i) buf_text(out, ", ");
        latex(out, e->arg[i], LEVEL_SUM);
    }
    buf_text(out, close);
}

static void latex_func(Buf *out, const Expr *e, int level) {
    const char *name = e->name;
    if (has_symbol(name)) {
        bool need = level == LEVEL_ATOM;
        open_if(out, need);
        latex_power(out, e, (Num){1, 1}, true);
        close_if(out, need);
    } else if (strcmp(name, "exp") == 0) {
        latex_args(out, "e^{", e, "}");
    } else if (strcmp(name, "abs") == 0) {
        latex_args(out, "\\left|", e, "\\right|");
    } else if (strcmp(name, "pow") == 0) {
        latex(out, e->arg[0], LEVEL_ATOM);
        buf_text(out, "^{");
        latex(out, e->arg[1], LEVEL_SUM);
        buf_text(out, "}");
    } else if (strcmp(name, "@") == 0) {
        open_if(out, level > LEVEL_PRODUCT);
        latex(out, e->arg[0], LEVEL_POWER);
        buf_text(out, " ");
        latex(out, e->arg[1], LEVEL_POWER);
        close_if(out, level > LEVEL_PRODUCT);
    } else if (strcmp(name, "transpose") == 0) {
        latex(out, e->arg[0], LEVEL_ATOM);
        buf_text(out, "^{\\top}");
    } else if (strcmp(name, "list") == 0) {
        latex_args(out, "\\left[", e, "\\right]");
    } else if (e->index && e->arg[0]->kind == E_NAME) {
        latex_name(out, e->arg[0]->name, e->index);
    } else if (e->index) {
        latex(out, e->arg[0], LEVEL_ATOM);
        buf_printf(out, "_{%.*s}", (int)strlen(e->index) - 2, e->index + 1);
    } else {
        bool minmax = strcmp(name, "max") == 0 || strcmp(name, "min") == 0;
        buf_printf(out, minmax ? "\\%s" : "\\operatorname{%s}", name);
        latex_args(out, "\\left(", e, "\\right)");
    }
}

static void latex(Buf *out, const Expr *e, int level) {
    switch (e->kind) {
    case E_NUM: {
        bool need = (e->num.p < 0 && level > LEVEL_SUM) || (e->num.q != 1 && level > LEVEL_PRODUCT);
        open_if(out, need);
        latex_signed(out, e->num, NULL, true);
        close_if(out, need);
        break;
    }
    case E_NAME: latex_name(out, e->name, NULL); break;
    case E_SUM: latex_sum(out, e, level); break;
    case E_PROD: {
        bool need = level > (e->terms == 1 && num_value(e->term[0].num) == 0.5 ? LEVEL_ATOM : LEVEL_PRODUCT);
        open_if(out, need);
        latex_scaled(out, (Num){1, 1}, e);
        close_if(out, need);
        break;
    }
    case E_FUNC: latex_func(out, e, level); break;
    case E_CMP: latex_compare(out, e); break;
    case E_WHERE: latex_where(out, e); break;
    }
}

void expr_latex(const Expr *e, Buf *out) {
    if (e->size > 1e5) buf_text(out, "\\text{a formula too long to print}");
    else latex(out, e, LEVEL_SUM);
}
