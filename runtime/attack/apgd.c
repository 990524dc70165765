/* apgd.c -- Auto-PGD: steps along the gradient with momentum, halved where the loss stops rising (Croce and Hein 2020,
 * section 3; for l1, Croce and Hein 2021: sparse steps without momentum).
 *
 * The window of the first check is 0.22 steps, of the next ones shorter by 0.03 down to 0.06; in l1 all are 0.04.
 * Losses are kept in a ring of `steps` entries that starts at 0, so the first check compares the first loss with 0.
 *
 * In corners of the ball points stand still, step after step: one that is where it was last looked at is not looked at
 * again.  What a look gives stands in its row: gradient, logits, value. */
#include "attack/live.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct State {
    Live live;
    const Apgd *o;
    Ball ball;
    Attacked out;
    int n_points, iteration, count, window, window_less, window_least;
    void *current, *previous, *slope, *best, *best_slope,
        *sample; /* columns; sample: of several, the gradient at hand */
    double *scratch;                                                      /* of each thread: 5 rows of f64 */
    double *history;                                                      /* [points, steps] */
    double *best_value, *check_value, *step, *topk, *sparse;              /* [points] */
    bool *reduced;
    bool watched;
} State;

static double sign_of(double x) { return x > 0 ? 1 : x < 0 ? -1 : 0; }

/* ---- one step of one point ---- */

/* A point on its way, in f64; v: scratch. */
typedef struct Walk { double *x, *current, *previous, *g, *v; int64_t n; } Walk;

static void step_l2(const Ball *b, double step, double a, Walk w) {
    double norm = norm_of(NORM_L2, w.g, w.n) + 1e-12;
    for (int64_t i = 0; i < w.n; i++) w.v[i] = w.current[i] + step * w.g[i] / norm;
    ball_project(b, w.x, w.v, w.n);
    for (int64_t i = 0; i < w.n; i++) {
        double c = w.current[i];
        w.current[i] = c + a * (w.v[i] - c) + (1 - a) * (c - w.previous[i]);
        w.previous[i] = c;
    }
    ball_project(b, w.x, w.current, w.n);
}

static int by_size(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/* Along the signs of the components of the gradient that belong to the topk largest. */
static void step_l1(const Ball *b, double step, double topk, Walk w) {
    int64_t n = w.n, kept = 0, at = (int64_t)((1 - topk) * (double)n);
    at = at < 0 ? 0 : at > n - 1 ? n - 1 : at;
    for (int64_t i = 0; i < n; i++) w.v[i] = fabs(w.g[i]);
    qsort(w.v, (size_t)n, sizeof *w.v, by_size);
    double least = w.v[at];
    for (int64_t i = 0; i < n; i++) kept += fabs(w.g[i]) >= least && w.g[i] != 0;
    for (int64_t i = 0; i < n; i++)
        if (fabs(w.g[i]) >= least) w.current[i] += step * sign_of(w.g[i]) / ((double)kept + 1e-10);
    ball_project(b, w.x, w.current, n);
}

static void step_point(const State *s, int64_t k, double a, Walk w) {
    const Live *l = &s->live;
    double step = s->step[l->at[k]];
    void *x = live_at(l, l->clean, k), *g = live_at(l, s->slope, k), *current = live_at(l, s->current, k),
         *previous = live_at(l, s->previous, k);
    if (s->ball.norm == NORM_LINF) {
        l->rows->ascend(&s->ball, step, a, w.n, x, g, current, previous);
        return;
    }
    live_read(l, x, w.x);
    live_read(l, g, w.g);
    live_read(l, current, w.current);
    live_read(l, previous, w.previous);
    if (s->ball.norm == NORM_L2) step_l2(&s->ball, step, a, w);
    else step_l1(&s->ball, step, s->topk[l->at[k]], w);
    live_write(l, current, w.current);
    live_write(l, previous, w.previous);
}

static void step_points(void *data, int thread, int64_t lo, int64_t hi) {
    const State *s = data;
    int64_t n = s->live.run->victim->inputs;
    double *at = s->scratch + 5 * thread * n;
    for (int64_t k = lo; k < hi; k++)
        step_point(s, k, s->iteration ? 0.75 : 1, (Walk){at, at + n, at + 2 * n, at + 3 * n, at + 4 * n, n});
}

/* ---- looking at where the points are ---- */

/* The mean of the samples' gradients, so far. */
static void add_sample(State *s, int sample) {
    const Live *l = &s->live;
    int64_t n = l->run->victim->inputs;
    double *mean = s->scratch, *g = mean + n;
    for (int64_t k = 0; k < l->n; k++) {
        live_read(l, live_at(l, s->slope, k), mean);
        live_read(l, live_at(l, s->sample, k), g);
        for (int64_t i = 0; i < n; i++) mean[i] = (sample ? mean[i] : 0) + g[i] / s->o->samples;
        live_write(l, live_at(l, s->slope, k), mean);
    }
}

static bool is_still(const State *s, int64_t k) {
    const Live *l = &s->live;
    return memcmp(live_at(l, s->current, k), live_at(l, s->previous, k), l->row) == 0;
}

/* Points that have moved come first; gives how many have.  At step 0, and where points are watched, all count. */
static int64_t moved_first(State *s, int iteration) {
    Live *l = &s->live;
    int64_t moved = 0, end = l->n;
    if (iteration == 0 || s->watched || l->run->victim->random || s->ball.norm == NORM_L1) return l->n;
    for (;; moved++) {
        while (moved < end && is_still(s, end - 1)) end--;
        while (moved < end && !is_still(s, moved)) moved++;
        if (moved == end) return moved;
        live_swap(l, moved, --end);
    }
}

/* Value, class and gradient at s->current. */
static bool look_around(State *s, int iteration) {
    Live *l = &s->live;
    int64_t all = l->n;
    uint32_t turn = l->run->run * (uint32_t)(s->o->steps + 1) * (uint32_t)s->o->samples +
                    (uint32_t)(iteration * s->o->samples);
    l->n = moved_first(s, iteration);
    for (int sample = 0; sample < s->o->samples; sample++) {
        if (!live_slope(l, s->o->loss, turn + (uint32_t)sample, s->sample)) return false;
        if (s->sample != s->slope) add_sample(s, sample);
    }
    for (int64_t k = 0; k < l->n; k++)
        if (live_fooled(l, k)) live_take(l, k, s->out);
    l->n = all;
    return true;
}

static void copy_row(const State *s, void *to, void *from, int64_t k) {
    memcpy(live_at(&s->live, to, k), live_at(&s->live, from, k), s->live.row);
}

static void take_best(State *s, int64_t k) {
    copy_row(s, s->best, s->current, k);
    copy_row(s, s->best_slope, s->slope, k);
}

static void return_to_best(State *s, int64_t k) {
    s->live.value[k] = s->best_value[s->live.at[k]];
    copy_row(s, s->current, s->best, k);
    copy_row(s, s->slope, s->best_slope, k);
}

/* ---- the check at the end of a window ---- */

static void check_momentum(State *s, int64_t k) {
    int64_t row = s->live.at[k];
    int steps = s->o->steps, up = 0;
    const double *h = s->history + row * steps;
    for (int c = 0; c < s->count; c++) up += h[s->iteration - c] > h[(s->iteration - c - 1 + steps) % steps];
    bool reduce = up <= 0.75 * s->count || (!s->reduced[row] && s->check_value[row] >= s->best_value[row]);
    s->reduced[row] = reduce;
    s->check_value[row] = s->best_value[row];
    if (!reduce) return;
    s->step[row] /= 2;
    return_to_best(s, k);
}

static double changed_of(const State *s, int64_t k, void *from) {
    const Live *l = &s->live;
    int64_t n = l->run->victim->inputs, changed = 0;
    double *x = s->scratch, *u = x + n;
    live_read(l, live_at(l, l->clean, k), x);
    live_read(l, live_at(l, from, k), u);
    for (int64_t i = 0; i < n; i++) changed += u[i] != x[i];
    return (double)changed;
}

static void check_sparse(State *s, int64_t k) {
    int64_t row = s->live.at[k];
    double sparse = changed_of(s, k, s->best), inputs = (double)s->live.run->victim->inputs;
    bool sparser = sparse / s->sparse[row] < 0.95;
    s->topk[row] = sparse / (1.5 * inputs);
    if (sparser) {
        s->step[row] = s->ball.eps;
        return_to_best(s, k);
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
            take_best(s, k);
        }
        if (check && s->ball.norm == NORM_L1) check_sparse(s, k);
        else if (check) check_momentum(s, k);
    }
    if (!check) return;
    s->count = 0;
    if (s->ball.norm != NORM_L1)
        s->window = s->window - s->window_less > s->window_least ? s->window - s->window_less : s->window_least;
}

/* ---- a run ---- */

/* u: [inputs]. */
static void draw_point(const State *s, int64_t row, const double *x, double *u) {
    int64_t n = s->live.run->victim->inputs;
    const AttackDraws *d = &s->live.run->draws;
    bool linf = s->ball.norm == NORM_LINF;
    d->fill(d->data, !linf, s->live.points.number[row], s->live.run->run, n, u);
    for (int64_t i = 0; linf && i < n; i++) u[i] = 2 * u[i] - 1;
    double scale = s->ball.norm == NORM_L1 ? 1 : s->ball.eps / (norm_of(s->ball.norm, u, n) + 1e-12);
    for (int64_t i = 0; i < n; i++) u[i] = x[i] + scale * u[i];
    if (s->ball.norm == NORM_L1) ball_project(&s->ball, x, u, n);
    for (int64_t i = 0; i < n; i++) u[i] = u[i] < s->ball.lo ? s->ball.lo : u[i] > s->ball.hi ? s->ball.hi : u[i];
}

static void start_points(State *s) {
    const Live *l = &s->live;
    int64_t n = l->run->victim->inputs;
    for (int64_t row = 0; row < s->n_points; row++) {
        const double *from = s->o->start ? s->o->start + row * n : s->scratch;
        if (!s->o->start) draw_point(s, row, l->points.x + row * n, s->scratch);
        live_write(l, live_at(l, s->current, row), from);
    }
}

static bool start(State *s) {
    int64_t inputs = s->live.run->victim->inputs;
    start_points(s);
    if (!look_around(s, 0)) return false;
    memcpy(s->previous, s->current, (size_t)s->n_points * s->live.row);
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

/* What was best, of all points: none has left. */
static void give_best(const State *s) {
    int64_t n = s->live.run->victim->inputs;
    for (int64_t k = 0; s->o->best && k < s->n_points; k++)
        live_read(&s->live, live_at(&s->live, s->best, k), s->o->best + k * n);
    if (s->o->best_value) memcpy(s->o->best_value, s->best_value, (size_t)s->n_points * sizeof(double));
}

static void columns(State *s) {
    void **column[] = {&s->previous, &s->slope, &s->best, &s->best_slope};
    for (int i = 0; i < COUNT(column); i++) *column[i] = live_column(&s->live);
    s->current = s->live.x;
    s->sample = s->o->samples > 1 ? live_column(&s->live) : s->slope;
}

bool attack_apgd(const AttackRun *run, const Apgd *options, Points points, Attacked out) {
    size_t n = (size_t)points.n, scratch = 5 * (size_t)run->victim->inputs * (size_t)pool_threads(run->pool);
    State s = {.o = options,
               .ball = run->ball,
               .out = out,
               .n_points = (int)points.n,
               .watched = run->look != NULL || options->best};
    double *block = calloc(n * ((size_t)options->steps + 6) + scratch + 1, sizeof *block);
    bool *flags = calloc(n + 1, sizeof *flags), ok = block && flags && live_open(&s.live, run, points, options->aim, 5);
    if (ok) {
        columns(&s);
        s.scratch = block;
        s.history = block + scratch;
        double *at = s.history + n * (size_t)options->steps;
        double **numbers[] = {&s.best_value, &s.step, &s.topk, &s.sparse,
                              &s.check_value}; /* check_value: and as many behind it */
        for (int i = 0; i < COUNT(numbers); i++, at += n) *numbers[i] = at;
        s.reduced = flags;
        ok = start(&s) && steps(&s);
        if (ok) give_best(&s);
        live_close(&s.live);
    }
    free(block);
    free(flags);
    return ok;
}
