/* distill.c -- see distill.h. */
#include "analysis/distill.h"

#include "analysis/least_squares.h"
#include "support/math.h"
#include "support/rng.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { N = FORMULA_NUMBERS, CURVES = 6, STARTS = 5 };

/* ---- values and slopes ---- */

int formula_parameter(const FormulaFit *f, int term, int factor) {
    int at = 1;
    for (int t = 0; t < term; t++) at += 1 + f->term[t].factors * (f->arguments + 1);
    return factor < 0 ? at : at + 1 + factor * (f->arguments + 1);
}

static double curve_at(FactorCurve curve, double u, double *slope) {
    double y;
    switch (curve) {
    case CURVE_LINE: *slope = 1; return u;
    case CURVE_TANH: y = nin_tanh_f64(u); *slope = 1 - y * y; return y;
    case CURVE_RELU: *slope = u > 0; return u > 0 ? u : 0;
    case CURVE_ABS: *slope = (u > 0) - (u < 0); return fabs(u);
    case CURVE_SIN: *slope = nin_cos_f64(u); return nin_sin_f64(u);
    case CURVE_EXP: *slope = y = nin_exp_f64(fmin(u, 50)); return y;
    }
    return *slope = 0;
}

/* A term's value; gradient (NULL: not wanted) by its numbers. */
static double term_at(const FormulaFit *f, int t, const double *x, double *gradient) {
    int n = f->arguments, at = formula_parameter(f, t, -1);
    double y[FORMULA_FACTORS], slope[FORMULA_FACTORS], product = 1;
    const FormulaTerm *term = &f->term[t];
    for (int k = 0; k < term->factors; k++) {
        const double *w = f->p + formula_parameter(f, t, k);
        double u = w[n];
        for (int j = 0; j < n; j++) u += w[j] * x[j];
        y[k] = curve_at(term->curve[k], u, &slope[k]);
        product *= y[k];
    }
    if (!gradient) return f->p[at] * product;
    gradient[at] = product;
    for (int k = 0; k < term->factors; k++) {
        double by = f->p[at] * slope[k], *g = gradient + formula_parameter(f, t, k);
        for (int i = 0; i < term->factors; i++) by *= i == k ? 1 : y[i];
        for (int j = 0; j < n; j++) g[j] = by * x[j];
        g[n] = by;
    }
    return f->p[at] * product;
}

static double formula_at(const FormulaFit *f, const double *x, double *gradient) {
    double sum = f->p[0];
    if (gradient) gradient[0] = 1;
    for (int t = 0; t < f->terms; t++) sum += term_at(f, t, x, gradient);
    return sum;
}
double formula_value(const FormulaFit *f, const double *x) { return formula_at(f, x, NULL); }

static double weight_of(const FormulaTarget *target, int64_t i) { return target->weight ? target->weight[i] : 1; }

/* Sum of squares of y about its mean, weighed. */
static double spread(const FormulaTarget *target) {
    double sum = 0, weight = 0, squares = 0;
    for (int64_t i = 0; i < target->n; i++) sum += weight_of(target, i) * target->y[i], weight += weight_of(target, i);
    for (int64_t i = 0; i < target->n; i++) {
        double d = target->y[i] - sum / weight;
        squares += weight_of(target, i) * d * d;
    }
    return squares;
}

static double squares_left(const FormulaFit *f, const FormulaTarget *target) {
    double sum = 0, x[FORMULA_ARGUMENTS];
    for (int64_t i = 0; i < target->n; i++) {
        for (int j = 0; j < f->arguments; j++) x[j] = target->x[j][i];
        double r = target->y[i] - formula_at(f, x, NULL);
        sum += weight_of(target, i) * r * r;
    }
    return sum;
}

double formula_error(const FormulaFit *f, const FormulaTarget *target) {
    double all = spread(target), left = squares_left(f, target);
    return all > 0 ? sqrt(left / all) : left > 0 ? INFINITY : 0;
}

/* ---- Levenberg and Marquardt ---- */

typedef struct Normal { int n, at[N]; double a[N * N], b[N]; } Normal;

static void normal_equations(const FormulaFit *f, const FormulaTarget *target, Normal *m) {
    double g[N], x[FORMULA_ARGUMENTS];
    m->n = 0;
    for (int k = 0; k < f->numbers; k++)
        if (!f->fixed[k]) m->at[m->n++] = k;
    memset(m->a, 0, sizeof m->a);
    memset(m->b, 0, sizeof m->b);
    for (int64_t i = 0; i < target->n; i++) {
        for (int j = 0; j < f->arguments; j++) x[j] = target->x[j][i];
        double w = weight_of(target, i), r = target->y[i] - formula_at(f, x, g);
        for (int j = 0; j < m->n; j++) {
            double wg = w * g[m->at[j]];
            for (int k = 0; k <= j; k++) m->a[j * m->n + k] += wg * g[m->at[k]];
            m->b[j] += wg * r;
        }
    }
}

/* The step for a damping; false: none. */
static bool damped_step(const Normal *m, double damping, double *step) {
    double l[N * N];
    int n = m->n;
    memcpy(l, m->a, sizeof *l * (size_t)(n * n));
    for (int j = 0; j < n; j++) l[j * n + j] += damping * (m->a[j * n + j] > 1e-12 ? m->a[j * n + j] : 1e-12);
    if (!cholesky(n, l, l)) return false;
    for (int j = 0; j < n; j++) {
        step[j] = m->b[j];
        for (int k = 0; k < j; k++) step[j] -= l[j * n + k] * step[k];
        step[j] /= l[j * n + j];
    }
    for (int j = n - 1; j >= 0; j--) {
        for (int k = j + 1; k < n; k++) step[j] -= l[k * n + j] * step[k];
        step[j] /= l[j * n + j];
    }
    return true;
}

static double improve(FormulaFit *f, const FormulaTarget *target, int steps) {
    double left = squares_left(f, target), damping = 1e-2, step[N];
    Normal m;
    for (int i = 0; i < steps && damping < 1e8; i++) {
        double before = left;
        normal_equations(f, target, &m);
        for (bool better = false; !better && damping < 1e8;) {
            FormulaFit moved = *f;
            bool made = damped_step(&m, damping, step);
            for (int j = 0; made && j < m.n; j++) moved.p[m.at[j]] += step[j];
            double now = made ? squares_left(&moved, target) : INFINITY;
            better = now < left;
            damping = better ? fmax(damping / 9, 1e-14) : damping * 4;
            if (better) *f = moved, left = now;
        }
        if (left >= before * (1 - 1e-7)) break;
    }
    f->error = formula_error(f, target);
    return f->error;
}

/* ---- shapes ---- */

static const FormulaTerm *term_list(int *n) {
    static const FormulaTerm terms[] = {{1, {CURVE_LINE}},
                                        {1, {CURVE_TANH}},
                                        {1, {CURVE_RELU}},
                                        {1, {CURVE_ABS}},
                                        {1, {CURVE_SIN}},
                                        {1, {CURVE_EXP}},
                                        {2, {CURVE_LINE, CURVE_LINE}},
                                        {2, {CURVE_LINE, CURVE_TANH}},
                                        {2, {CURVE_LINE, CURVE_RELU}},
                                        {2, {CURVE_LINE, CURVE_ABS}},
                                        {2, {CURVE_LINE, CURVE_SIN}},
                                        {2, {CURVE_LINE, CURVE_EXP}},
                                        {3, {CURVE_LINE, CURVE_LINE, CURVE_LINE}},
                                        {2, {CURVE_TANH, CURVE_TANH}},
                                        {2, {CURVE_TANH, CURVE_RELU}},
                                        {2, {CURVE_RELU, CURVE_RELU}},
                                        {2, {CURVE_SIN, CURVE_SIN}},
                                        {2, {CURVE_EXP, CURVE_SIN}},
                                        {2, {CURVE_TANH, CURVE_EXP}},
                                        {2, {CURVE_ABS, CURVE_ABS}}};
    *n = COUNT(terms);
    return terms;
}

static int term_size(const FormulaTerm *t) {
    int size = 2 * t->factors - 1;
    for (int k = 0; k < t->factors; k++) size += t->curve[k] != CURVE_LINE;
    return size;
}

static bool all_lines(const FormulaTerm *t) {
    for (int k = 0; k < t->factors; k++)
        if (t->curve[k] != CURVE_LINE) return false;
    return true;
}

/* Numbers that another makes superfluous stand still: the c of lines, the b of a line alone and of an exp. */
static void shape_open(FormulaFit *f) {
    int n = f->arguments;
    memset(f->p, 0, sizeof f->p);
    memset(f->fixed, 0, sizeof f->fixed);
    f->numbers = formula_parameter(f, f->terms, -1);
    for (int t = 0; t < f->terms; t++) {
        const FormulaTerm *term = &f->term[t];
        int c = formula_parameter(f, t, -1);
        f->p[c] = 1;
        f->fixed[c] = all_lines(term);
        for (int k = 0; k < term->factors; k++)
            f->fixed[formula_parameter(f, t, k) + n] = term->curve[k] == CURVE_EXP
                                                    || (term->factors == 1 && term->curve[k] == CURVE_LINE);
    }
}

/* Lines that cross the points, drawn for a start's number. */
static void shape_start(FormulaFit *f, const FormulaTarget *target, uint32_t start) {
    uint64_t key = rng_key(0, "distill", 0, "", 0);
    int n = f->arguments;
    uint32_t element = 0;
    for (int t = 0; t < f->terms; t++)
        for (int k = 0; k < f->term[t].factors; k++) {
            double *w = f->p + formula_parameter(f, t, k), b = 0.5 * (double)rng_normal(key, element++, 0, start);
            for (int j = 0; j < n; j++) {
                double sum = 0, square = 0, points = (double)target->n;
                for (int64_t i = 0; i < target->n; i++)
                    sum += target->x[j][i], square += target->x[j][i] * target->x[j][i];
                double sd = sqrt(fmax(square / points - sum / points * (sum / points), 1e-300));
                w[j] = (double)rng_normal(key, element++, 0, start) / sd;
                b -= w[j] * sum / points;
            }
            w[n] = f->fixed[formula_parameter(f, t, k) + n] ? 0 : b;
        }
}

/* ---- making what was found simple ---- */

static bool factor_lives(const FormulaFit *f, int t, int k) {
    const double *w = f->p + formula_parameter(f, t, k);
    for (int j = 0; j < f->arguments; j++)
        if (w[j] != 0) return true;
    return false;
}

static bool formula_lives(const FormulaFit *f) {
    bool lives = true;
    for (int t = 0; t < f->terms; t++)
        for (int k = 0; k < f->term[t].factors; k++)
            lives &= f->p[formula_parameter(f, t, -1)] != 0 && factor_lives(f, t, k);
    return lives;
}

/* Numbers go to 0, the others are fitted again, as long as the error allows it. */
static void prune(FormulaFit *f, const FormulaTarget *target, double within) {
    bool went = true;
    for (int pass = 0; pass < 3 && went; pass++) {
        went = false;
        for (int k = 0; k < f->numbers; k++) {
            FormulaFit less = *f;
            if (f->fixed[k] || f->p[k] == 0) continue;
            less.p[k] = 0;
            less.fixed[k] = true;
            if (!formula_lives(&less) || improve(&less, target, 30) > within) continue;
            *f = less;
            went = true;
        }
    }
}

static double largest_of(const double *w, int n) {
    double most = 0;
    for (int j = 0; j < n; j++) most = fabs(w[j]) > fabs(most) ? w[j] : most;
    return most;
}

/* The scale of a line goes to the last line of the term, or to its c: one of its weights becomes 1. */
static void normalise(FormulaFit *f) {
    int n = f->arguments;
    for (int t = 0; t < f->terms; t++) {
        const FormulaTerm *term = &f->term[t];
        bool lines = all_lines(term);
        double *c = f->p + formula_parameter(f, t, -1), *last = f->p + formula_parameter(f, t, term->factors - 1);
        for (int k = 0; k < term->factors - lines; k++) {
            double *w = f->p + formula_parameter(f, t, k), s = largest_of(w, n);
            bool even = term->curve[k] == CURVE_RELU || term->curve[k] == CURVE_ABS,
                 odd = term->curve[k] == CURVE_TANH || term->curve[k] == CURVE_SIN;
            if (even) s = fabs(s);
            else if (odd) s = s < 0 ? -1 : 1;
            else if (term->curve[k] == CURVE_EXP) continue;
            if (s == 0) continue;
            for (int j = 0; j <= n; j++) w[j] /= s;
            for (int j = 0; lines && j <= n; j++) last[j] *= s;
            if (!lines) *c *= s;
        }
    }
}

static double rounded(double x, int digits) {
    char text[40];
    snprintf(text, sizeof text, "%.*e", digits - 1, x);
    return strtod(text, NULL);
}

static void round_numbers(FormulaFit *f, const FormulaTarget *target, double within) {
    for (int digits = 1; digits <= 8; digits++) {
        FormulaFit less = *f;
        for (int k = 0; k < f->numbers; k++) less.p[k] = rounded(f->p[k], digits);
        less.error = formula_error(&less, target);
        if (less.error > within || !formula_lives(&less)) continue;
        *f = less;
        return;
    }
}

/* ---- text ---- */

static void put_number(double x, Buf *out) {
    char text[32];
    text_of_f64(text, x);
    buf_text(out, text);
}

static void put_sign(bool first, bool negative, Buf *out) {
    buf_text(out, first ? negative ? "-" : "" : negative ? " - " : " + ");
}

/* w1 x1 + ... + b; *parts: how many summands. */
static int put_line(const double *w, int n, int *parts, Buf *out) {
    int size = 0;
    *parts = 0;
    for (int j = 0; j <= n; j++) {
        double size_of = fabs(w[j]);
        if (size_of == 0) continue;
        put_sign(*parts == 0, w[j] < 0, out);
        size += *parts > 0;
        if (j == n || size_of != 1) put_number(size_of, out), size++;
        if (j < n && size_of != 1) buf_text(out, " * "), size++;
        if (j < n) buf_printf(out, n == 1 ? "x" : "x%d", j + 1), size++;
        (*parts)++;
    }
    return size;
}

static int put_factor(const FormulaFit *f, int t, int k, bool alone, Buf *out) {
    static const char *const names[] = {"", "tanh", "relu", "abs", "sin", "exp"};
    Buf line = {0};
    int parts, n = f->arguments, size = put_line(f->p + formula_parameter(f, t, k), n, &parts, &line);
    FactorCurve curve = f->term[t].curve[k];
    bool bare = curve == CURVE_LINE && (alone || (parts == 1 && line.at[0] != '-'));
    buf_printf(out, bare ? "%s%.*s" : "%s(%.*s)", names[curve], (int)line.len, line.at);
    buf_free(&line);
    return size + (curve != CURVE_LINE);
}

/* |c| * factor * ...; its sign stands before it. */
static int put_term(const FormulaFit *f, int t, Buf *out) {
    const FormulaTerm *term = &f->term[t];
    double c = fabs(f->p[formula_parameter(f, t, -1)]);
    int size = 0;
    if (c != 1) {
        put_number(c, out);
        buf_text(out, " * ");
        size += 2;
    }
    for (int k = 0; k < term->factors; k++) {
        if (k) buf_text(out, " * "), size++;
        size += put_factor(f, t, k, false, out);
    }
    return size;
}

int formula_text(const FormulaFit *f, Buf *out) {
    int size = 0;
    bool first = true;
    for (int t = 0; t < f->terms; t++) {
        bool line = f->term[t].factors == 1 && f->term[t].curve[0] == CURVE_LINE;
        double c = f->p[formula_parameter(f, t, -1)];
        if (line && first) {
            size += put_factor(f, t, 0, true, out);
        } else if (line) {
            buf_text(out, " + ");
            size += 1 + put_factor(f, t, 0, false, out);
        } else {
            put_sign(first, c < 0, out);
            size += !first + put_term(f, t, out);
        }
        first = false;
    }
    if (f->p[0] != 0 || first) {
        put_sign(first, f->p[0] < 0, out);
        put_number(fabs(f->p[0]), out);
        size += 1 + !first;
    }
    return size;
}

/* ---- the search ---- */

typedef struct Search {
    const FormulaTarget *target;
    double within;
    int fits, most;
    FormulaFit best;
    bool found;
} Search;

/* One shape; the best of its starts. */
static void try_shape(Search *s, FormulaFit *f) {
    FormulaFit best = {.arguments = f->arguments, .numbers = 1, .error = INFINITY};
    bool linear = f->terms == 0 || (f->terms == 1 && f->term[0].factors == 1 && f->term[0].curve[0] == CURVE_LINE);
    shape_open(f);
    for (int start = 0; start < (linear ? 1 : STARTS) && s->fits < s->most && best.error > s->within;
         start++, s->fits++) {
        FormulaFit one = *f;
        shape_start(&one, s->target, (uint32_t)start);
        improve(&one, s->target, 12);
        if (one.error < 0.7 || one.error < 3 * s->within) improve(&one, s->target, 60);
        if (one.error < best.error) best = one;
    }
    if (best.error > s->within) {
        if (!s->found && best.error < s->best.error) s->best = best;
        return;
    }
    Buf text = {0};
    prune(&best, s->target, s->within);
    normalise(&best);
    round_numbers(&best, s->target, s->within);
    best.size = formula_text(&best, &text);
    buf_free(&text);
    if (!s->found || best.size < s->best.size || (best.size == s->best.size && best.error < s->best.error))
        s->best = best;
    s->found = true;
}

/* All shapes of this size whose terms come from number `from` on; one line alone at most. */
static void try_sums(Search *s, FormulaFit *f, int size, int from) {
    int n;
    const FormulaTerm *terms = term_list(&n);
    for (int k = from; k < n && f->terms < FORMULA_TERMS && s->fits < s->most; k++) {
        int left = size - term_size(&terms[k]) - (f->terms > 0);
        if (left < 0) continue;
        FormulaFit longer = *f;
        longer.term[longer.terms++] = terms[k];
        if (left == 0) try_shape(s, &longer);
        else try_sums(s, &longer, left, k == 0 ? 1 : k);
    }
}

bool distill_formula(const FormulaTarget *target, double within, int size, int most, FormulaFit *out) {
    Search s = {.target = target,
                .within = within,
                .most = most,
                .best = {.arguments = target->arguments, .numbers = 1, .error = INFINITY}};
    FormulaFit empty = {.arguments = target->arguments};
    try_shape(&s, &empty);
    for (int k = 1; k <= size && !s.found && s.fits < s.most; k++) try_sums(&s, &empty, k, 0);
    *out = s.best;
    if (s.found) return true;
    normalise(out);
    for (int k = 0; k < out->numbers; k++) out->p[k] = rounded(out->p[k], 4);
    out->error = formula_error(out, target);
    return false;
}
