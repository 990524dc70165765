/* apgd.c -- Auto-PGD: steps along the gradient with momentum, halved where the loss stops rising (Croce and Hein 2020, section 3;
 * for l1, Croce and Hein 2021: sparse steps without momentum).
 *
 * The window of the first check is 0.22 steps, of the next ones shorter by 0.03 down to 0.06; in l1 all are 0.04.  Losses are
 * kept in a ring of `steps` entries that starts at 0, so the first check compares the first loss with 0. */
#include "attack/live.h"
#include "attack/wide.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct State {
    Live live;
    const Apgd *o;
    Ball ball;
    Attacked out;
    int n_points, iteration, count, window, window_less, window_least;
    double *current, *previous, *slope, *best, *best_slope;              /* [points, inputs] */
    double *history;                                                      /* [points, steps] */
    double *best_value, *check_value, *step, *topk, *sparse;              /* [points] */
    bool *reduced;
    bool watched;
} State;

static double sign_of(double x) { return x > 0 ? 1 : x < 0 ? -1 : 0; }

/* ---- one step of one point ---- */

/* First the ball, then the box: a clean point may lie outside of a box that was chosen wrongly. */
static double within(const Ball *b, double lo, double hi, double u) {
    u = u < lo ? lo : u > hi ? hi : u;
    return u < b->lo ? b->lo : u > b->hi ? b->hi : u;
}

WIDE static void step_linf(const State *s, int64_t row, double a, const double *x, double *current, const double *g) {
    const Ball *b = &s->ball;
    int64_t n = s->live.run->victim->inputs, i = 0;
    double *previous = s->previous + row * n, step = s->step[row];
    Wide eps = WIDE_ALL(b->eps), low = WIDE_ALL(b->lo), high = WIDE_ALL(b->hi), zero = {0}, way = WIDE_ALL(step), part = WIDE_ALL(a), rest = WIDE_ALL(1 - a);
    for (; i + LANES <= n; i += LANES) {
        Wide at = WIDE_AT(x + i), lo = at - eps, hi = at + eps, c = WIDE_AT(current + i), momentum = c - WIDE_AT(previous + i), slope = WIDE_AT(g + i);
        Wide v = c + WIDE_SELECT(slope > zero, way, WIDE_SELECT(slope < zero, -way, zero));
        v = WIDE_MIN(WIDE_MAX(WIDE_MIN(WIDE_MAX(v, lo), hi), low), high);
        WIDE_PUT(previous + i) = c;
        v = c + part * (v - c) + rest * momentum;
        WIDE_PUT(current + i) = WIDE_MIN(WIDE_MAX(WIDE_MIN(WIDE_MAX(v, lo), hi), low), high);
    }
    for (; i < n; i++) {
        double lo = x[i] - b->eps, hi = x[i] + b->eps, c = current[i], momentum = c - previous[i];
        double v = within(b, lo, hi, c + step * sign_of(g[i]));
        previous[i] = c;
        current[i] = within(b, lo, hi, c + a * (v - c) + (1 - a) * momentum);
    }
}

static void step_l2(const State *s, int64_t row, double a, const double *x, double *current, const double *g, double *v) {
    int64_t n = s->live.run->victim->inputs;
    double *previous = s->previous + row * n, norm = norm_of(NORM_L2, g, n) + 1e-12;
    for (int64_t i = 0; i < n; i++) v[i] = current[i] + s->step[row] * g[i] / norm;
    ball_project(&s->ball, x, v, n);
    for (int64_t i = 0; i < n; i++) {
        double c = current[i];
        current[i] = c + a * (v[i] - c) + (1 - a) * (c - previous[i]);
        previous[i] = c;
    }
    ball_project(&s->ball, x, current, n);
}

static int by_size(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/* Along the signs of the components of the gradient that belong to the topk largest. */
static void step_l1(const State *s, int64_t row, const double *x, double *current, const double *g, double *v) {
    int64_t n = s->live.run->victim->inputs, kept = 0, at = (int64_t)((1 - s->topk[row]) * (double)n);
    at = at < 0 ? 0 : at > n - 1 ? n - 1 : at;
    for (int64_t i = 0; i < n; i++) v[i] = fabs(g[i]);
    qsort(v, (size_t)n, sizeof *v, by_size);
    double least = v[at];
    for (int64_t i = 0; i < n; i++) kept += fabs(g[i]) >= least && g[i] != 0;
    for (int64_t i = 0; i < n; i++)
        if (fabs(g[i]) >= least) current[i] += s->step[row] * sign_of(g[i]) / ((double)kept + 1e-10);
    ball_project(&s->ball, x, current, n);
}

static void step_points(void *data, int thread, int64_t lo, int64_t hi) {
    State *s = data;
    int64_t n = s->live.run->victim->inputs;
    (void)thread;
    for (int64_t k = lo; k < hi; k++) {
        int64_t row = s->live.at[k];
        const double *x = s->live.points.x + row * n, *g = s->slope + row * n;
        double *current = s->current + row * n, *v = s->live.x + k * n, a = s->iteration ? 0.75 : 1;
        if (s->ball.norm == NORM_LINF) step_linf(s, row, a, x, current, g);
        else if (s->ball.norm == NORM_L2) step_l2(s, row, a, x, current, g, v);
        else step_l1(s, row, x, current, g, v);
    }
}

/* ---- looking at where the points are ---- */

/* Value, class and gradient (the mean of the samples' gradients) at s->current. */
static bool look_around(State *s, int iteration) {
    Live *l = &s->live;
    int64_t inputs = l->run->victim->inputs;
    uint32_t turn = l->run->run * (uint32_t)(s->o->steps + 1) * (uint32_t)s->o->samples + (uint32_t)(iteration * s->o->samples);
    live_gather(l, s->current, s->o->aim);
    for (int sample = 0; sample < s->o->samples; sample++) {
        if (!live_slope(l, s->o->loss, turn + (uint32_t)sample)) return false;
        for (int64_t k = 0; k < l->n; k++) {
            double *g = live_row(l, s->slope, k), *dx = l->dx + k * inputs;
            if (s->o->samples == 1) memcpy(g, dx, (size_t)inputs * sizeof *g);
            else for (int64_t i = 0; i < inputs; i++) g[i] = (sample ? g[i] : 0) + dx[i] / s->o->samples;
        }
    }
    for (int64_t k = 0; k < l->n; k++) {
        if (!live_fooled(l, k)) continue;
        s->out.fooled[l->at[k]] = true;
        memcpy(live_row(l, s->out.adv, k), l->x + k * inputs, (size_t)inputs * sizeof(double));
    }
    return true;
}

static void take_best(State *s, int64_t row) {
    size_t bytes = (size_t)s->live.run->victim->inputs * sizeof(double);
    int64_t at = row * s->live.run->victim->inputs;
    memcpy(s->best + at, s->current + at, bytes);
    memcpy(s->best_slope + at, s->slope + at, bytes);
}

static void return_to_best(State *s, int64_t row) {
    size_t bytes = (size_t)s->live.run->victim->inputs * sizeof(double);
    int64_t at = row * s->live.run->victim->inputs;
    memcpy(s->current + at, s->best + at, bytes);
    memcpy(s->slope + at, s->best_slope + at, bytes);
}

/* ---- the check at the end of a window ---- */

static void check_momentum(State *s, int64_t row) {
    int steps = s->o->steps, up = 0;
    const double *h = s->history + row * steps;
    for (int c = 0; c < s->count; c++) up += h[s->iteration - c] > h[(s->iteration - c - 1 + steps) % steps];
    bool reduce = up <= 0.75 * s->count || (!s->reduced[row] && s->check_value[row] >= s->best_value[row]);
    s->reduced[row] = reduce;
    s->check_value[row] = s->best_value[row];
    if (!reduce) return;
    s->step[row] /= 2;
    return_to_best(s, row);
}

static double changed_of(const State *s, int64_t row, const double *from) {
    int64_t n = s->live.run->victim->inputs, changed = 0;
    for (int64_t i = 0; i < n; i++) changed += from[row * n + i] != s->live.points.x[row * n + i];
    return (double)changed;
}

static void check_sparse(State *s, int64_t row) {
    double sparse = changed_of(s, row, s->best), inputs = (double)s->live.run->victim->inputs;
    bool sparser = sparse / s->sparse[row] < 0.95;
    s->topk[row] = sparse / (1.5 * inputs);
    if (sparser) {
        s->step[row] = s->ball.eps;
        return_to_best(s, row);
    } else {
        s->step[row] /= 1.5;
    }
    s->step[row] = fmin(fmax(s->step[row], s->ball.eps / 10), s->ball.eps);
    s->sparse[row] = sparse;
}

static void after_step(State *s) {
    bool check = ++s->count == s->window;
    for (int64_t k = 0; k < s->live.n; k++) {
        int64_t row = s->live.at[k];
        double value = s->live.value[k];
        s->history[row * s->o->steps + s->iteration] = value;
        if (value > s->best_value[row]) {
            s->best_value[row] = value;
            take_best(s, row);
        }
        if (check && s->ball.norm == NORM_L1) check_sparse(s, row);
        else if (check) check_momentum(s, row);
    }
    if (!check) return;
    s->count = 0;
    if (s->ball.norm != NORM_L1) s->window = s->window - s->window_less > s->window_least ? s->window - s->window_less : s->window_least;
}

/* ---- a run ---- */

static void start_point(State *s, int64_t row) {
    int64_t n = s->live.run->victim->inputs;
    const double *x = s->live.points.x + row * n;
    double *u = s->current + row * n;
    if (s->o->start) {
        memcpy(u, s->o->start + row * n, (size_t)n * sizeof *u);
        return;
    }
    const AttackDraws *d = &s->live.run->draws;
    bool linf = s->ball.norm == NORM_LINF;
    d->fill(d->data, !linf, s->live.points.number[row], s->live.run->run, n, u);
    for (int64_t i = 0; linf && i < n; i++) u[i] = 2 * u[i] - 1;
    double scale = s->ball.norm == NORM_L1 ? 1 : s->ball.eps / (norm_of(s->ball.norm, u, n) + 1e-12);
    for (int64_t i = 0; i < n; i++) u[i] = x[i] + scale * u[i];
    if (s->ball.norm == NORM_L1) ball_project(&s->ball, x, u, n);
    for (int64_t i = 0; i < n; i++) u[i] = u[i] < s->ball.lo ? s->ball.lo : u[i] > s->ball.hi ? s->ball.hi : u[i];
}

static bool start(State *s) {
    int64_t inputs = s->live.run->victim->inputs;
    for (int64_t row = 0; row < s->n_points; row++) start_point(s, row);
    if (!look_around(s, 0)) return false;
    memcpy(s->previous, s->current, (size_t)(s->n_points * inputs) * sizeof(double));
    for (int64_t row = 0; row < s->n_points; row++) {
        s->best_value[row] = s->check_value[row] = s->live.value[row];
        s->step[row] = s->ball.norm == NORM_L1 ? s->ball.eps : 2 * s->ball.eps;
        s->reduced[row] = true;
        s->sparse[row] = s->o->start ? changed_of(s, row, s->current) : (double)inputs;
        s->topk[row] = s->o->start ? s->sparse[row] / (1.5 * (double)inputs) : 0.2;
        take_best(s, row);
    }
    int n = s->o->steps;
    s->window = s->ball.norm == NORM_L1 ? (int)(0.04 * n) : (int)(0.22 * n);
    s->window_less = (int)(0.03 * n);
    s->window_least = (int)(0.06 * n);
    int *windows[] = {&s->window, &s->window_less, &s->window_least};
    for (int i = 0; i < 3; i++)
        if (*windows[i] < 1) *windows[i] = 1;
    return true;
}

static bool steps(State *s) {
    const AttackRun *run = s->live.run;
    if (run->look) run->look(run->look_data, 0, s->live.value, s->step);
    for (s->iteration = 0; s->iteration < s->o->steps; s->iteration++) {
        if (!s->watched && !run->victim->random) live_drop(&s->live, s->out.fooled);
        if (s->live.n == 0) return true;
        double *used = s->check_value + s->n_points;                     /* the steps that this iteration takes */
        memcpy(used, s->step, (size_t)s->n_points * sizeof *used);
        live_each(&s->live, step_points, s);
        if (!look_around(s, s->iteration + 1)) return false;
        if (run->look) run->look(run->look_data, s->iteration + 1, s->live.value, used);
        after_step(s);
    }
    return true;
}

bool attack_apgd(const AttackRun *run, const Apgd *options, Points points, Attacked out) {
    size_t n = (size_t)points.n, inputs = (size_t)run->victim->inputs;
    State s = {.o = options, .ball = run->ball, .out = out, .n_points = (int)points.n, .watched = run->look != NULL || options->best};
    double *block = calloc(n * (5 * inputs + (size_t)options->steps + 6) + 1, sizeof *block);
    bool *flags = calloc(n + 1, sizeof *flags), ok = block && flags && live_open(&s.live, run, points);
    if (ok) {
        double **rows[] = {&s.current, &s.previous, &s.slope, &s.best, &s.best_slope}, *at = block;
        for (int i = 0; i < COUNT(rows); i++, at += n * inputs) *rows[i] = at;
        s.history = at;
        at += n * (size_t)options->steps;
        double **numbers[] = {&s.best_value, &s.step, &s.topk, &s.sparse, &s.check_value};     /* check_value: and as many behind it */
        for (int i = 0; i < COUNT(numbers); i++, at += n) *numbers[i] = at;
        s.reduced = flags;
        ok = start(&s) && steps(&s);
        if (ok && options->best) memcpy(options->best, s.best, n * inputs * sizeof(double));
        if (ok && options->best_value) memcpy(options->best_value, s.best_value, n * sizeof(double));
        live_close(&s.live);
    }
    free(block);
    free(flags);
    return ok;
}
