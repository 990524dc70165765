/* fab.c -- Fast Adaptive Boundary: the smallest change that fools, by projections on the linearised decision boundary
 * (Croce and Hein 2020, algorithm 1; alpha at most 0.1, extrapolation 1.05, backward steps of 0.9). */
#include "attack/live.h"
#include "attack/wide.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const double most_alpha = 0.1, beyond = 1.05, backward = 0.9;

typedef struct State {
    Live live;
    const Fab *o;
    Attacked out;
    double *current, *plane;             /* [points, inputs]: x1; w of the chosen boundary */
    double *offset, *ratio, *norm;       /* [points] */
    double *scratch;                     /* of each thread: 2 inputs */
    int32_t *aim;                        /* of an untargeted run, the class at hand */
} State;

/* The boundary to class `aim` at each live point, if it is nearer than the one known: its w and df. */
static void take_nearer(State *s, bool first) {
    Live *l = &s->live;
    int64_t n = l->run->victim->inputs;
    AttackNorm dual = l->run->ball.norm == NORM_LINF ? NORM_L1 : l->run->ball.norm == NORM_L2 ? NORM_L2 : NORM_LINF;
    for (int64_t k = 0; k < l->n; k++) {
        int64_t row = l->at[k];
        if (l->aim[k] == l->y[k]) continue;
        const double *w = l->dx + k * n;
        double ratio = fabs(l->value[k]) / (1e-12 + norm_of(dual, w, n));
        if (!first && !(ratio < s->ratio[row])) continue;
        s->ratio[row] = ratio;
        s->offset[row] = l->value[k];
        memcpy(s->plane + row * n, w, (size_t)n * sizeof *w);
    }
}

static bool linearise(State *s, uint32_t turn) {
    Live *l = &s->live;
    if (s->o->aim) {
        live_gather(l, s->current, s->o->aim);
        if (!live_slope(l, ATTACK_DIFFERENCE, turn)) return false;
        take_nearer(s, true);
        return true;
    }
    for (int64_t k = 0; k < l->n; k++) s->ratio[l->at[k]] = INFINITY;
    for (int c = 0; c < l->run->victim->classes; c++) {
        for (int64_t i = 0; i < l->points.n; i++) s->aim[i] = c;
        live_gather(l, s->current, s->aim);
        if (!live_slope(l, ATTACK_DIFFERENCE, turn)) return false;
        take_nearer(s, false);
    }
    return true;
}

/* x1 = (1 - alpha) (x1 + 1.05 d1) + alpha (x + 1.05 d2), in the box. */
WIDE static void combine(const Ball *ball, double alpha, const double *x, const double *d1, const double *d2, int64_t n, double *x1) {
    Wide rest = WIDE_ALL(1 - alpha), part = WIDE_ALL(alpha), far = WIDE_ALL(beyond), lo = WIDE_ALL(ball->lo), hi = WIDE_ALL(ball->hi);
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        Wide u = rest * (WIDE_AT(x1 + i) + far * WIDE_AT(d1 + i)) + part * (WIDE_AT(x + i) + far * WIDE_AT(d2 + i));
        WIDE_PUT(x1 + i) = WIDE_MIN(WIDE_MAX(u, lo), hi);
    }
    for (; i < n; i++) {
        double u = (1 - alpha) * (x1[i] + beyond * d1[i]) + alpha * (x[i] + beyond * d2[i]);
        x1[i] = u < ball->lo ? ball->lo : u > ball->hi ? ball->hi : u;
    }
}

/* x1 towards the boundary, biased to the clean point: both are projected on it. */
static void move_points(void *data, int thread, int64_t lo, int64_t hi) {
    State *s = data;
    Live *l = &s->live;
    const Ball *ball = &l->run->ball;
    int64_t n = l->run->victim->inputs;
    double *scratch = s->scratch + 2 * thread * n;
    for (int64_t k = lo; k < hi; k++) {
        int64_t row = l->at[k];
        const double *x = l->points.x + row * n, *w = s->plane + row * n;
        double *x1 = s->current + row * n, *d1 = l->x + k * n, *d2 = l->dx + k * n, b = wide_dot(w, x1, n) - s->offset[row];
        plane_project(ball, x1, w, b, n, scratch, d1);
        plane_project(ball, x, w, b, n, scratch, d2);
        double a1 = fmax(norm_of(ball->norm, d1, n), 1e-8), a2 = fmax(norm_of(ball->norm, d2, n), 1e-8);
        combine(ball, fmin(fmax(a1 / (a1 + a2), 0), most_alpha), x, d1, d2, n, x1);
    }
}

/* Points that fool: kept if nearer than before; then a step back towards the clean point. */
static void step_back(State *s) {
    Live *l = &s->live;
    int64_t n = l->run->victim->inputs;
    for (int64_t k = 0; k < l->n; k++) {
        if (!live_fooled(l, k)) continue;
        int64_t row = l->at[k];
        const double *x = l->points.x + row * n;
        double *x1 = s->current + row * n, *difference = l->dx + k * n;
        for (int64_t i = 0; i < n; i++) difference[i] = x1[i] - x[i];
        double norm = norm_of(l->run->ball.norm, difference, n);
        if (norm < s->norm[row]) {
            s->norm[row] = norm;
            memcpy(s->out.adv + row * n, x1, (size_t)n * sizeof *x1);
            if (norm <= l->run->ball.eps) s->out.fooled[row] = true;
        }
        for (int64_t i = 0; i < n; i++) x1[i] = x[i] + backward * difference[i];
    }
}

static void start_point(State *s, int64_t row) {
    const AttackRun *run = s->live.run;
    const Ball *ball = &run->ball;
    int64_t n = run->victim->inputs;
    const double *x = s->live.points.x + row * n;
    double *u = s->current + row * n;
    memcpy(u, x, (size_t)n * sizeof *u);
    if (!s->o->random_start) return;
    bool linf = ball->norm == NORM_LINF;
    run->draws.fill(run->draws.data, !linf, s->live.points.number[row], run->run, n, u);
    for (int64_t i = 0; linf && i < n; i++) u[i] = 2 * u[i] - 1;
    double scale = 0.5 * ball->eps / (norm_of(ball->norm, u, n) + 1e-12);
    for (int64_t i = 0; i < n; i++) {
        double v = x[i] + scale * u[i];
        u[i] = v < ball->lo ? ball->lo : v > ball->hi ? ball->hi : v;
    }
}

static bool steps(State *s) {
    const AttackRun *run = s->live.run;
    for (int i = 0; i < s->o->steps && s->live.n; i++) {
        uint32_t turn = run->run * 2 * (uint32_t)s->o->steps + 2 * (uint32_t)i;
        if (!linearise(s, turn)) return false;
        live_each(&s->live, move_points, s);
        live_gather(&s->live, s->current, NULL);
        if (!live_logits(&s->live, turn + 1)) return false;
        step_back(s);
        if (run->look) run->look(run->look_data, i, s->norm, NULL);
        if (!s->o->norm) live_drop(&s->live, s->out.fooled);
    }
    return true;
}

bool attack_fab(const AttackRun *run, const Fab *options, Points points, Attacked out) {
    size_t n = (size_t)points.n, inputs = (size_t)run->victim->inputs;
    State s = {.o = options, .out = out};
    size_t threads = (size_t)pool_threads(run->pool);
    double *block = calloc(n * (2 * inputs + 3) + 2 * threads * inputs + 1, sizeof *block);
    s.aim = calloc(n + 1, sizeof *s.aim);
    bool ok = block && s.aim && live_open(&s.live, run, points);
    if (ok) {
        s.current = block;
        s.plane = s.current + n * inputs;
        s.offset = s.plane + n * inputs;
        s.ratio = s.offset + n;
        s.norm = s.ratio + n;
        s.scratch = s.norm + n;
        for (int64_t i = 0; i < points.n; i++) {
            s.norm[i] = 1e10;
            start_point(&s, i);
        }
        ok = steps(&s);
        if (ok && options->norm) memcpy(options->norm, s.norm, n * sizeof *s.norm);
        live_close(&s.live);
    }
    free(block);
    free(s.aim);
    return ok;
}
