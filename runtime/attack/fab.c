/* fab.c -- Fast Adaptive Boundary: the smallest change that fools, by projections on the linearised decision boundary
 * (Croce and Hein 2020, algorithm 1; alpha at most 0.1, extrapolation 1.05, backward steps of 0.9).
 *
 * A step projects two points on one plane, the one at hand and the clean one.  In linf both are done at once: a
 * projection is known by its level and by the room of each number, so that no change is ever written out. */
#include "attack/live.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const double backward = 0.9;

enum { SCRATCH = 7 };                    /* rows of f64 a thread has */

typedef struct State {
    Live live;
    const Fab *o;
    Attacked out;
    void *plane, *slope; /* columns: w of the chosen boundary; of the class at hand (targeted: the same) */
    double *offset, *ratio, *norm;       /* [points] */
    double *scratch;
} State;

/* The boundary to class `aim` at each live point, if it is nearer than the one known: its w and df. */
static void take_nearer(State *s) {
    Live *l = &s->live;
    int64_t n = l->run->victim->inputs;
    AttackNorm dual = l->run->ball.norm == NORM_LINF ? NORM_L1 : l->run->ball.norm == NORM_L2 ? NORM_L2 : NORM_LINF;
    for (int64_t k = 0; k < l->n; k++) {
        int64_t row = l->at[k];
        if (l->aim[k] == l->y[k]) continue;
        live_read(l, live_at(l, s->slope, k), s->scratch);
        double ratio = fabs(l->value[k]) / (1e-12 + norm_of(dual, s->scratch, n));
        if (!(ratio < s->ratio[row])) continue;
        s->ratio[row] = ratio;
        s->offset[row] = l->value[k];
        memcpy(live_at(l, s->plane, k), live_at(l, s->slope, k), l->row);
    }
}

static bool linearise(State *s, uint32_t turn) {
    Live *l = &s->live;
    if (s->o->aim) {
        if (!live_slope(l, ATTACK_DIFFERENCE, turn, s->plane)) return false;
        for (int64_t k = 0; k < l->n; k++) s->offset[l->at[k]] = l->value[k];
        return true;
    }
    for (int64_t k = 0; k < l->n; k++) s->ratio[l->at[k]] = INFINITY;
    for (int c = 0; c < l->run->victim->classes; c++) {
        for (int64_t k = 0; k < l->n; k++) l->aim[k] = c;
        if (!live_slope(l, ATTACK_DIFFERENCE, turn, s->slope)) return false;
        take_nearer(s);
    }
    return true;
}

/* ---- a step ---- */

/* x1 = (1 - alpha) (x1 + 1.05 d1) + alpha (x + 1.05 d2), in the box. */
static void combine(const Ball *ball, double alpha, const double *x, const double *d1, const double *d2, int64_t n,
                    double *x1) {
    for (int64_t i = 0; i < n; i++) {
        double u = (1 - alpha) * (x1[i] + FAB_BEYOND * d1[i]) + alpha * (x[i] + FAB_BEYOND * d2[i]);
        x1[i] = u < ball->lo ? ball->lo : u > ball->hi ? ball->hi : u;
    }
}

static double alpha_of(double a1, double a2) {
    a1 = fmax(a1, 1e-8);
    a2 = fmax(a2, 1e-8);
    return fmin(fmax(a1 / (a1 + a2), 0), FAB_ALPHA);
}

/* l2 and l1. */
static void move_wide(const Live *l, void *x1, const void *x, const void *w, double offset, double *at) {
    const Ball *ball = &l->run->ball;
    int64_t n = l->run->victim->inputs;
    double *x1_wide = at, *x_wide = at + n, *w_wide = at + 2 * n, *d1 = at + 3 * n, *d2 = at + 4 * n,
           *scratch = at + 5 * n;
    live_read(l, x1, x1_wide);
    live_read(l, x, x_wide);
    live_read(l, w, w_wide);
    double b = l->loops->dot(w_wide, x1_wide, n) - offset;
    plane_project(ball, x1_wide, w_wide, b, n, scratch, d1);
    plane_project(ball, x_wide, w_wide, b, n, scratch, d2);
    combine(ball, alpha_of(norm_of(ball->norm, d1, n), norm_of(ball->norm, d2, n)), x_wide, d1, d2, n, x1_wide);
    live_write(l, x1, x1_wide);
}

/* x1 towards the boundary, biased to the clean point: both are projected on it. */
static void move_points(void *data, int thread, int64_t lo, int64_t hi) {
    State *s = data;
    const Live *l = &s->live;
    const Ball *ball = &l->run->ball;
    int64_t n = l->run->victim->inputs;
    double *scratch = s->scratch + SCRATCH * thread * n;
    for (int64_t k = lo; k < hi; k++) {
        void *x1 = live_at(l, l->x, k), *x = live_at(l, l->clean, k), *w = live_at(l, s->plane, k);
        double offset = s->offset[l->at[k]];
        if (ball->norm == NORM_LINF) l->rows->approach(ball, n, w, x, offset, scratch, x1);
        else move_wide(l, x1, x, w, offset, scratch);
    }
}

/* Points that fool: kept if nearer than before; then a step back towards the clean point. */
static void step_back(void *data, int thread, int64_t lo, int64_t hi) {
    State *s = data;
    Live *l = &s->live;
    const AttackRun *run = l->run;
    int64_t n = run->victim->inputs;
    (void)thread;
    for (int64_t k = lo; k < hi; k++) {
        if (!live_fooled(l, k)) continue;
        int64_t row = l->at[k];
        void *x1 = live_at(l, l->x, k), *x = live_at(l, l->clean, k);
        double norm = l->rows->distance(run->ball.norm, n, x1, x);
        if (norm < s->norm[row]) {
            s->norm[row] = norm;
            if (norm <= run->ball.eps) live_take(l, k, s->out);
            else if (s->o->norm) live_read(l, x1, s->out.adv + row * n);
        }
        l->rows->draw_back(backward, n, x, x1);
    }
}

/* ---- a run ---- */

static void start_point(State *s, int64_t row) {
    const AttackRun *run = s->live.run;
    const Ball *ball = &run->ball;
    int64_t n = run->victim->inputs;
    const double *x = s->live.points.x + row * n;
    double *u = s->scratch;
    bool linf = ball->norm == NORM_LINF;
    run->draws.fill(run->draws.data, !linf, s->live.points.number[row], run->run, n, u);
    for (int64_t i = 0; linf && i < n; i++) u[i] = 2 * u[i] - 1;
    double scale = 0.5 * ball->eps / (norm_of(ball->norm, u, n) + 1e-12);
    for (int64_t i = 0; i < n; i++) {
        double v = x[i] + scale * u[i];
        u[i] = v < ball->lo ? ball->lo : v > ball->hi ? ball->hi : v;
    }
    live_write(&s->live, live_at(&s->live, s->live.x, row), u);
}

static bool steps(State *s) {
    const AttackRun *run = s->live.run;
    for (int i = 0; i < s->o->steps && s->live.n; i++) {
        uint32_t turn = run->run * 2 * (uint32_t)s->o->steps + 2 * (uint32_t)i;
        if (!linearise(s, turn)) return false;
        live_each(&s->live, move_points, s);
        if (!live_logits(&s->live, turn + 1)) return false;
        live_each(&s->live, step_back, s);
        if (run->look) run->look(run->look_data, i, s->norm, NULL);
        if (!s->o->norm) live_drop(&s->live, s->out.fooled);
    }
    return true;
}

bool attack_fab(const AttackRun *run, const Fab *options, Points points, Attacked out) {
    size_t n = (size_t)points.n, inputs = (size_t)run->victim->inputs, threads = (size_t)pool_threads(run->pool);
    State s = {.o = options, .out = out};
    double *block = calloc(3 * n + SCRATCH * threads * inputs + 1, sizeof *block);
    bool ok = block && live_open(&s.live, run, points, options->aim, 2);
    if (ok) {
        s.plane = live_column(&s.live);
        s.slope = options->aim ? s.plane : live_column(&s.live);
        s.offset = block;
        s.ratio = s.offset + n;
        s.norm = s.ratio + n;
        s.scratch = s.norm + n;
        for (int64_t i = 0; i < points.n; i++) {
            s.norm[i] = 1e10;
            if (options->random_start) start_point(&s, i);
        }
        ok = steps(&s);
        if (ok && options->norm) memcpy(options->norm, s.norm, n * sizeof *s.norm);
        live_close(&s.live);
    }
    free(block);
    return ok;
}
