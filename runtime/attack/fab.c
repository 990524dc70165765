/* fab.c -- Fast Adaptive Boundary: the smallest change that fools, by projections on the linearised decision boundary
 * (Croce and Hein 2020, algorithm 1; alpha at most 0.1, extrapolation 1.05, backward steps of 0.9).
 *
 * A step projects two points on one plane, the one at hand and the clean one.  In linf both are done at once: a projection
 * is known by its level and by the room of each number, so that no change is ever written out. */
#include "attack/live.h"
#include "attack/rows.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const double most_alpha = 0.1, beyond = 1.05, backward = 0.9;

enum { SCRATCH = 7 };                    /* rows of f64 a thread has */

typedef struct State {
    Live live;
    const Fab *o;
    Attacked out;
    Real *plane, *slope;                 /* columns: w of the chosen boundary; of the class at hand (targeted: the same) */
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
        live_read(l, s->slope + k * n, s->scratch);
        double ratio = fabs(l->value[k]) / (1e-12 + norm_of(dual, s->scratch, n));
        if (!(ratio < s->ratio[row])) continue;
        s->ratio[row] = ratio;
        s->offset[row] = l->value[k];
        memcpy(s->plane + k * n, s->slope + k * n, l->row);
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
static void combine(const Ball *ball, double alpha, const double *x, const double *d1, const double *d2, int64_t n, double *x1) {
    for (int64_t i = 0; i < n; i++) {
        double u = (1 - alpha) * (x1[i] + beyond * d1[i]) + alpha * (x[i] + beyond * d2[i]);
        x1[i] = u < ball->lo ? ball->lo : u > ball->hi ? ball->hi : u;
    }
}

static double alpha_of(double a1, double a2) {
    a1 = fmax(a1, 1e-8);
    a2 = fmax(a2, 1e-8);
    return fmin(fmax(a1 / (a1 + a2), 0), most_alpha);
}

/* Any norm. */
static void move_wide(const State *s, Real *x1, const Real *x, const Real *w, double offset, double *at) {
    const Live *l = &s->live;
    const Ball *ball = &l->run->ball;
    int64_t n = l->run->victim->inputs;
    double *x1_wide = at, *x_wide = at + n, *w_wide = at + 2 * n, *d1 = at + 3 * n, *d2 = at + 4 * n, *scratch = at + 5 * n;
    live_read(l, x1, x1_wide);
    live_read(l, x, x_wide);
    live_read(l, w, w_wide);
    double b = wide_dot(w_wide, x1_wide, n) - offset;
    plane_project(ball, x1_wide, w_wide, b, n, scratch, d1);
    plane_project(ball, x_wide, w_wide, b, n, scratch, d2);
    combine(ball, alpha_of(norm_of(ball->norm, d1, n), norm_of(ball->norm, d2, n)), x_wide, d1, d2, n, x1_wide);
    live_write(l, x1, x1_wide);
}

/* linf: <w, x1> and <w, x>. */
WIDE static void pair_dots(const Real *w, const Real *x1, const Real *x, int64_t n, double dot[2]) {
    Wide a = {0}, b = {0};
    double a_rest = 0, b_rest = 0;
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        Wide v = ROW_AT(w + i);
        a += v * ROW_AT(x1 + i);
        b += v * ROW_AT(x + i);
    }
    for (; i < n; i++) {
        a_rest += (double)w[i] * x1[i];
        b_rest += (double)w[i] * x[i];
    }
    dot[0] = WIDE_TREE(a) + a_rest;
    dot[1] = WIDE_TREE(b) + b_rest;
}

/* |w|, and the rooms m of a point on the side where w * sign sends it; sums |w| m, and the largest m. */
typedef struct Room { double sign, *m, sum, most; } Room;

WIDE static void pair_rooms(const Ball *ball, const Real *w, const Real *x1, const Real *x, int64_t n, double *size, Room r[2]) {
    Wide sum[2] = {{0}}, most[2] = {{0}}, lo = WIDE_ALL(ball->lo), hi = WIDE_ALL(ball->hi), zero = {0};
    double sums[2] = {0}, largest[2] = {0};
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        Wide v = ROW_AT(w + i), magnitude = WIDE_ABS(v), at[2] = {ROW_AT(x1 + i), ROW_AT(x + i)};
        WIDE_PUT(size + i) = magnitude;
        for (int k = 0; k < 2; k++) {
            Wide side = v * WIDE_ALL(r[k].sign), room = WIDE_SELECT(side > zero, at[k] - lo, WIDE_SELECT(side < zero, hi - at[k], zero));
            WIDE_PUT(r[k].m + i) = room;
            sum[k] += magnitude * room;
            most[k] = WIDE_MAX(most[k], room);
        }
    }
    for (; i < n; i++) {
        double v = w[i], at[2] = {x1[i], x[i]};
        size[i] = fabs(v);
        for (int k = 0; k < 2; k++) {
            double side = v * r[k].sign, room = side > 0 ? at[k] - ball->lo : side < 0 ? ball->hi - at[k] : 0;
            r[k].m[i] = room;
            sums[k] += size[i] * room;
            if (room > largest[k]) largest[k] = room;
        }
    }
    for (int k = 0; k < 2; k++) {
        r[k].sum = WIDE_TREE(sum[k]) + sums[k];
        for (int j = 0; j < LANES; j++)
            if (most[k][j] > largest[k]) largest[k] = most[k][j];
        r[k].most = largest[k];
    }
}

/* The change of a number: as far as the level goes, or its room; against the sign of side = w * sign. */
#define CHANGE(side, level, m) WIDE_SELECT((side) > zero, -WIDE_MIN(level, m), WIDE_SELECT((side) < zero, WIDE_MIN(level, m), zero))
static double change(double side, double level, double m) {
    double move = m < level ? m : level;
    return side > 0 ? -move : side < 0 ? move : 0;
}

/* As combine, with the changes from levels and rooms. */
WIDE static void pair_combine(const Ball *ball, double alpha, const Real *w, const Real *x, const Room r[2], const double level[2], int64_t n, Real *x1) {
    Wide rest = WIDE_ALL(1 - alpha), part = WIDE_ALL(alpha), far = WIDE_ALL(beyond), lo = WIDE_ALL(ball->lo), hi = WIDE_ALL(ball->hi), zero = {0};
    Wide sign[2] = {WIDE_ALL(r[0].sign), WIDE_ALL(r[1].sign)}, to[2] = {WIDE_ALL(level[0]), WIDE_ALL(level[1])};
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        Wide v = ROW_AT(w + i), m1 = WIDE_AT(r[0].m + i), m2 = WIDE_AT(r[1].m + i), side1 = v * sign[0], side2 = v * sign[1];
        Wide d1 = CHANGE(side1, to[0], m1), d2 = CHANGE(side2, to[1], m2);
        Wide u = rest * (ROW_AT(x1 + i) + far * d1) + part * (ROW_AT(x + i) + far * d2);
        ROW_PUT(x1 + i, WIDE_MIN(WIDE_MAX(u, lo), hi));
    }
    for (; i < n; i++) {
        double d1 = change(w[i] * r[0].sign, level[0], r[0].m[i]), d2 = change(w[i] * r[1].sign, level[1], r[1].m[i]);
        double u = (1 - alpha) * (x1[i] + beyond * d1) + alpha * (x[i] + beyond * d2);
        x1[i] = (Real)(u < ball->lo ? ball->lo : u > ball->hi ? ball->hi : u);
    }
}

static void move_linf(const State *s, Real *x1, const Real *x, const Real *w, double offset, double *at) {
    const Ball *ball = &s->live.run->ball;
    int64_t n = s->live.run->victim->inputs;
    double *size = at, dot[2], level[2], far[2];
    Room r[2] = {{.m = at + n}, {.m = at + 2 * n}};
    pair_dots(w, x1, x, n, dot);
    double b = dot[0] - offset;
    for (int k = 0; k < 2; k++) r[k].sign = dot[k] - b < 0 ? -1 : 1;
    pair_rooms(ball, w, x1, x, n, size, r);
    for (int k = 0; k < 2; k++) {
        double c = fabs(dot[k] - b);
        level[k] = c >= r[k].sum ? INFINITY : plane_level(false, (Sides){size, r[k].m, n}, c);
        far[k] = r[k].most < level[k] ? r[k].most : level[k];
    }
    pair_combine(ball, alpha_of(far[0], far[1]), w, x, r, level, n, x1);
}

/* x1 towards the boundary, biased to the clean point: both are projected on it. */
static void move_points(void *data, int thread, int64_t lo, int64_t hi) {
    State *s = data;
    Live *l = &s->live;
    int64_t n = l->run->victim->inputs;
    for (int64_t k = lo; k < hi; k++) {
        Real *x1 = (Real *)l->x + k * n;
        (l->run->ball.norm == NORM_LINF ? move_linf : move_wide)(s, x1, (Real *)l->clean + k * n, s->plane + k * n, s->offset[l->at[k]],
                                                                 s->scratch + SCRATCH * thread * n);
    }
}

/* d = x1 - x. */
WIDE static void difference(const Real *x1, const Real *x, int64_t n, double *d) {
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES) WIDE_PUT(d + i) = ROW_AT(x1 + i) - ROW_AT(x + i);
    for (; i < n; i++) d[i] = (double)x1[i] - x[i];
}

WIDE static void draw_back(const Real *x, const double *d, int64_t n, Real *x1) {
    Wide part = WIDE_ALL(backward);
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES) ROW_PUT(x1 + i, ROW_AT(x + i) + part * WIDE_AT(d + i));
    for (; i < n; i++) x1[i] = (Real)(x[i] + backward * d[i]);
}

/* Points that fool: kept if nearer than before; then a step back towards the clean point. */
static void step_back(void *data, int thread, int64_t lo, int64_t hi) {
    State *s = data;
    Live *l = &s->live;
    const AttackRun *run = l->run;
    int64_t n = run->victim->inputs;
    double *d = s->scratch + SCRATCH * thread * n;
    for (int64_t k = lo; k < hi; k++) {
        if (!live_fooled(l, k)) continue;
        int64_t row = l->at[k];
        const Real *x = (const Real *)l->clean + k * n;
        Real *x1 = (Real *)l->x + k * n;
        difference(x1, x, n, d);
        double norm = norm_of(run->ball.norm, d, n);
        if (norm < s->norm[row]) {
            s->norm[row] = norm;
            if (norm <= run->ball.eps) live_take(l, k, s->out);
            else if (s->o->norm) live_read(l, x1, s->out.adv + row * n);
        }
        draw_back(x, d, n, x1);
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
    live_write(&s->live, (Real *)s->live.x + row * n, u);
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

bool TYPED(attack_fab)(const AttackRun *run, const Fab *options, Points points, Attacked out);
bool TYPED(attack_fab)(const AttackRun *run, const Fab *options, Points points, Attacked out) {
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

#ifdef ATTACK_CHOOSES
bool attack_fab_f32(const AttackRun *run, const Fab *options, Points points, Attacked out);
bool attack_fab(const AttackRun *run, const Fab *options, Points points, Attacked out) {
    return (run->victim->f32 ? attack_fab_f32 : attack_fab_f64)(run, options, points, out);
}
#endif
