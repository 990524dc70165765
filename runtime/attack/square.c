/* square.c -- Square Attack: random search with square windows on the margin z_y - max of the others (Andriushchenko et al. 2020).
 *
 * Windows and signs are drawn for each point.  The side shrinks by a fixed schedule that is not rescaled to the budget; a
 * window's offset is floor(u (side of the image - side)), so that the last one is never drawn, as in the reference. */
#include "attack/live.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct Plane { int planes, height, width; } Plane;
typedef struct State {
    Live live;
    const Square *o;
    Ball ball;
    Attacked out;
    Plane p;
    int query;
    double *current, *candidate;         /* [points, inputs] */
    double *margin, *scratch;            /* [points]; of each thread: 3 inputs and the draws */
} State;

static double share_of_side(int query) {
    static const struct { int until; double p; } plan[] = {{10, 0.8}, {50, 0.4}, {200, 0.2}, {500, 0.1}, {1000, 0.05}, {2000, 0.025},
                                                           {4000, 0.0125}, {6000, 0.00625}, {8000, 0.8 / 256}};
    for (int i = 0; i < COUNT(plan); i++)
        if (query <= plan[i].until) return plan[i].p;
    return 0.8 / 512;
}

static int side_at(const State *s) {
    int h = s->p.height, w = s->p.width, least = h < w ? h : w;
    int side = (int)nearbyint(sqrt(share_of_side(s->query - 1) * h * w));
    if (s->ball.norm != NORM_LINF) {
        if (side < 3) side = 3;
        side += side % 2 == 0;
    }
    return side < 1 ? 1 : side > least ? least : side;
}

static double sign_of(double u) { return u < 0.5 ? -1 : 1; }

/* ---- l2 and l1: bumps that are moved about ---- */

/* A pile of rectangles around the centre, in l2 of weights 1 / (j + 1)^2, in l1 of 1 / (j + 1)^4. */
static void pile(AttackNorm norm, int rows, int columns, double *out) {
    int cy = rows / 2, cx = columns / 2, n = cy > cx ? cy : cx;
    for (int i = 0; i < rows * columns; i++) out[i] = 0;
    for (int j = 0; j <= n; j++) {
        double weight = norm == NORM_L2 ? 1.0 / ((j + 1) * (j + 1)) : 1.0 / ((double)(j + 1) * (j + 1) * (j + 1) * (j + 1));
        for (int y = cy - j; y <= cy + j; y++)
            for (int x = cx - j; x <= cx + j; x++)
                if (y >= 0 && x >= 0 && y < rows && x < columns) out[y * columns + x] += weight;
    }
    double size = norm_of(norm, out, rows * columns);
    for (int i = 0; i < rows * columns; i++) out[i] /= size;
}

/* side x side: one half a pile, the other half its negative; turned by 90 degrees if `turn`. */
static void bump(AttackNorm norm, int side, bool turn, double *out, double *half) {
    int top = side / 2;
    pile(norm, top, side, half);
    for (int i = 0; i < top * side; i++) out[i] = half[i];
    pile(norm, side - top, side, half);
    for (int i = 0; i < (side - top) * side; i++) out[top * side + i] = -half[i];
    double size = norm_of(norm, out, (int64_t)side * side);
    for (int i = 0; i < side * side; i++) half[i] = out[i] / size;
    for (int y = 0; y < side; y++)
        for (int x = 0; x < side; x++) out[y * side + x] = turn ? half[x * side + y] : half[y * side + x];
}

typedef struct Window { int row, column, side; } Window;
static bool inside(Window w, int y, int x) { return y >= w.row && y < w.row + w.side && x >= w.column && x < w.column + w.side; }

/* The norm of d in the windows (b may be NULL), of plane c; in l2 of the squares, not the root. */
static double part_size(const State *s, const double *d, int c, Window a, const Window *b) {
    double sum = 0;
    for (int y = 0; y < s->p.height; y++)
        for (int x = 0; x < s->p.width; x++) {
            if (!inside(a, y, x) && !(b && inside(*b, y, x))) continue;
            double v = d[(c * s->p.height + y) * s->p.width + x];
            sum += s->ball.norm == NORM_L2 ? v * v : fabs(v);
        }
    return sum;
}

/* Within eps in l2 by scaling, in l1 by projection on a ball that is a millionth smaller. */
static void bounded(const State *s, const double *x, double *d, double *out) {
    int64_t n = s->live.run->victim->inputs;
    Ball ball = s->ball;
    if (ball.norm == NORM_L1) {
        ball.eps *= 1 - 1e-6;
        for (int64_t i = 0; i < n; i++) out[i] = x[i] + d[i];
        ball_project(&ball, x, out, n);
        return;
    }
    double scale = ball.eps / (norm_of(NORM_L2, d, n) + 1e-12);
    for (int64_t i = 0; i < n; i++) {
        double u = x[i] + scale * d[i];
        out[i] = u < ball.lo ? ball.lo : u > ball.hi ? ball.hi : u;
    }
}

/* The second window is emptied; the first one's change and a new bump share what is free. */
static void move_bump(const State *s, const double *x, const double *current, const double *draw, double *d, double *out) {
    int side = side_at(s), h = s->p.height, w = s->p.width;
    int64_t n = s->live.run->victim->inputs;
    bool l2 = s->ball.norm == NORM_L2;
    Window a = {(int)(draw[0] * (h - side)), (int)(draw[1] * (w - side)), side}, b = {(int)(draw[2] * (h - side)), (int)(draw[3] * (w - side)), side};
    double *shape = d + n, *fresh = shape + side * side, eps = s->ball.eps;
    for (int64_t i = 0; i < n; i++) d[i] = current[i] - x[i];
    double size = norm_of(s->ball.norm, d, n), left = l2 ? fmax(eps * eps - size * size, 0) : fmax(eps - size, 0);
    bump(s->ball.norm, side, draw[4] >= 0.5, shape, fresh);
    for (int c = 0; c < s->p.planes; c++) {
        double own = part_size(s, d, c, a, NULL), both = part_size(s, d, c, a, &b), total = 0, sign = sign_of(draw[5 + c]);
        if (l2) own = sqrt(own);
        for (int i = 0; i < side * side; i++) {
            fresh[i] = shape[i] * sign + d[(c * h + a.row + i / side) * w + a.column + i % side] / (1e-12 + own);
            total += l2 ? fresh[i] * fresh[i] : fabs(fresh[i]);
        }
        double scale = l2 ? sqrt(left / s->p.planes + both) / (1e-12 + sqrt(total)) : s->p.planes * (left / s->p.planes + both) / (1e-12 + total);
        for (int y = b.row; y < b.row + side; y++) memset(d + (c * h + y) * w + b.column, 0, (size_t)side * sizeof *d);
        for (int i = 0; i < side * side; i++) d[(c * h + a.row + i / side) * w + a.column + i % side] = fresh[i] * scale;
    }
    bounded(s, x, d, out);
}

/* Tiles of a fifth of the height, each a bump of a drawn sign. */
static void tiles(const State *s, const double *x, const double *draw, double *d, double *out) {
    int h = s->p.height, w = s->p.width, side = h / 5 > 0 ? h / 5 : 1, top = (h - 5 * side) / 2, number = 0;
    int64_t n = s->live.run->victim->inputs;
    double *shape = d + n, *half = shape + side * side;
    memset(d, 0, (size_t)n * sizeof *d);
    for (int y = top; y + side <= h; y += side)
        for (int x0 = top; x0 + side <= w; x0 += side) {
            bump(s->ball.norm, side, draw[number++] >= 0.5, shape, half);
            for (int c = 0; c < s->p.planes; c++) {
                double sign = sign_of(draw[number++]);
                for (int i = 0; i < side * side; i++) d[(c * h + y + i / side) * w + x0 + i % side] += shape[i] * sign;
            }
        }
    bounded(s, x, d, out);
}

/* ---- linf: windows of one sign a plane ---- */

static void stripes(const State *s, const double *x, const double *draw, double *out) {
    for (int64_t i = 0; i < s->live.run->victim->inputs; i++) {
        int plane = (int)(i / (s->p.height * s->p.width)), column = (int)(i % s->p.width);
        double u = x[i] + s->ball.eps * sign_of(draw[plane * s->p.width + column]);
        out[i] = u < s->ball.lo ? s->ball.lo : u > s->ball.hi ? s->ball.hi : u;
    }
}

static void paint(const State *s, const double *x, const double *current, const double *draw, double *out) {
    int side = side_at(s), h = s->p.height, w = s->p.width, row = (int)(draw[0] * (h - side)), column = (int)(draw[1] * (w - side));
    memcpy(out, current, (size_t)s->live.run->victim->inputs * sizeof *out);
    for (int c = 0; c < s->p.planes; c++)
        for (int y = row; y < row + side; y++)
            for (int k = column; k < column + side; k++) {
                int i = (c * h + y) * w + k;
                double u = x[i] + s->ball.eps * sign_of(draw[2 + c]);
                out[i] = u < s->ball.lo ? s->ball.lo : u > s->ball.hi ? s->ball.hi : u;
            }
}

/* ---- the search ---- */

enum { MOST_DRAWS = 4096 };

static int draws_of(const State *s) {
    if (s->query > 0) return s->ball.norm == NORM_LINF ? 2 + s->p.planes : 5 + s->p.planes;
    if (s->ball.norm == NORM_LINF) return s->p.planes * s->p.width;
    int side = s->p.height / 5 > 0 ? s->p.height / 5 : 1;
    return (s->p.height / side + 1) * (s->p.width / side + 1) * (1 + s->p.planes);
}

/* Query 0 is the starting point. */
static void propose(void *data, int thread, int64_t lo, int64_t hi) {
    State *s = data;
    int64_t n = s->live.run->victim->inputs;
    double *scratch = s->scratch + thread * (3 * n + MOST_DRAWS), *draw = scratch + 3 * n;
    for (int64_t k = lo; k < hi; k++) {
        int64_t row = s->live.at[k];
        const double *x = s->live.points.x + row * n;
        double *current = s->current + row * n, *out = s->candidate + row * n;
        uint32_t turn = s->live.run->run * (uint32_t)(s->o->queries + 1) + (uint32_t)s->query;
        s->live.run->draws.fill(s->live.run->draws.data, false, s->live.points.number[row], turn, draws_of(s), draw);
        if (s->ball.norm == NORM_LINF) {
            if (s->query) paint(s, x, current, draw, out);
            else stripes(s, x, draw, out);
        } else {
            if (s->query) move_bump(s, x, current, draw, scratch, out);
            else tiles(s, x, draw, scratch, out);
        }
    }
}

static double margin_of(const Live *l, int64_t k) {
    const double *z = l->z + k * l->run->victim->classes;
    double most = -INFINITY;
    for (int i = 0; i < l->run->victim->classes; i++)
        if (i != l->y[k] && z[i] > most) most = z[i];
    return z[l->y[k]] - most;
}

static void accept_better(State *s) {
    Live *l = &s->live;
    size_t bytes = (size_t)l->run->victim->inputs * sizeof(double);
    for (int64_t k = 0; k < l->n; k++) {
        int64_t row = l->at[k];
        double margin = margin_of(l, k);
        if (s->o->used) s->o->used[row]++;
        if (s->query && !(margin < s->margin[row]) && !(margin <= 0)) continue;
        s->margin[row] = margin;
        memcpy(live_row(l, s->current, k), l->x + k * l->run->victim->inputs, bytes);
        if (margin > 0) continue;
        s->out.fooled[row] = true;
        memcpy(live_row(l, s->out.adv, k), l->x + k * l->run->victim->inputs, bytes);
    }
}

static bool search(State *s) {
    const AttackRun *run = s->live.run;
    for (s->query = 0; s->query <= s->o->queries && s->live.n; s->query++) {
        live_each(&s->live, propose, s);
        live_gather(&s->live, s->candidate, NULL);
        if (!live_logits(&s->live, run->run * (uint32_t)(s->o->queries + 1) + (uint32_t)s->query)) return false;
        accept_better(s);
        if (run->look) run->look(run->look_data, s->query, s->margin, NULL);
        live_drop(&s->live, s->out.fooled);
    }
    return true;
}

bool attack_square(const AttackRun *run, const Square *options, Points points, Attacked out) {
    const Victim *v = run->victim;
    size_t n = (size_t)points.n, inputs = (size_t)v->inputs, threads = (size_t)pool_threads(run->pool);
    State s = {.o = options, .ball = run->ball, .out = out, .p = {v->planes, v->height, v->width}};
    if (draws_of(&s) > MOST_DRAWS) return false;
    double *block = calloc(n * (2 * inputs + 1) + threads * (3 * inputs + MOST_DRAWS) + 1, sizeof *block);
    bool ok = block && live_open(&s.live, run, points);
    if (ok) {
        s.current = block;
        s.candidate = s.current + n * inputs;
        s.margin = s.candidate + n * inputs;
        s.scratch = s.margin + n;
        ok = search(&s);
        live_close(&s.live);
    }
    free(block);
    return ok;
}
