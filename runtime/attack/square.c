/* square.c -- Square Attack: random search with square windows on the margin z_y - max of the others (Andriushchenko et
 * al. 2020).
 *
 * Windows and signs are drawn for each point.  The side shrinks by a fixed schedule that is not rescaled to the budget;
 * a window's offset is floor(u (side of the image - side)), so that the last one is never drawn, as in the reference.
 *
 * Where an input has the sign already that a window gives it, or stands at the edge of the box, nothing changes; a
 * proposal that is the point itself cannot be better, so the victim is not asked (one that draws random numbers is).  A
 * point then goes on to its next proposal at once: points of a batch are at different queries.
 *
 * Where the victim shows the product that it begins with, a proposal takes it up where its window begins (chase.c). */
#include "attack/chase.h"
#include "attack/live.h"
#include "attack/rows.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct Plane { int planes, height, width; } Plane;
typedef struct Window { int row, column, side; } Window;
typedef struct State {
    Live live;
    const Square *o;
    Ball ball;
    Attacked out;
    Plane p;
    Real *current;                       /* column; live.x: the proposals */
    Window *window;                      /* [points]: in linf, where a proposal may differ */
    int *query;                          /* [points]: of the proposal */
    bool *over;                          /* [points]: fooled, or without queries */
    bool together;                       /* all points are at the same query, and each is asked */
    Chase *chase;                        /* or NULL */
    double *margin, *scratch;            /* [points]; of each thread: 6 inputs and the draws */
} State;

static double share_of_side(int query) {
    static const struct {
        int until;
        double p;
    } plan[] = {{10, 0.8},     {50, 0.4},      {200, 0.2},      {500, 0.1},       {1000, 0.05},
                {2000, 0.025}, {4000, 0.0125}, {6000, 0.00625}, {8000, 0.8 / 256}};
    for (int i = 0; i < COUNT(plan); i++)
        if (query <= plan[i].until) return plan[i].p;
    return 0.8 / 512;
}

static int side_at(const State *s, int query) {
    int h = s->p.height, w = s->p.width, least = h < w ? h : w;
    int side = (int)nearbyint(sqrt(share_of_side(query - 1) * h * w));
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
        double weight = norm == NORM_L2 ? 1.0 / ((j + 1) * (j + 1))
                                        : 1.0 / ((double)(j + 1) * (j + 1) * (j + 1) * (j + 1));
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

static bool inside(Window w, int y, int x) {
    return y >= w.row && y < w.row + w.side && x >= w.column && x < w.column + w.side;
}

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
static void move_bump(const State *s, int side, const double *x, const double *current, const double *draw, double *d,
                      double *out) {
    int h = s->p.height, w = s->p.width;
    int64_t n = s->live.run->victim->inputs;
    bool l2 = s->ball.norm == NORM_L2;
    Window a = {(int)(draw[0] * (h - side)), (int)(draw[1] * (w - side)), side},
           b = {(int)(draw[2] * (h - side)), (int)(draw[3] * (w - side)), side};
    double *shape = d + n, *fresh = shape + side * side, eps = s->ball.eps;
    for (int64_t i = 0; i < n; i++) d[i] = current[i] - x[i];
    double size = norm_of(s->ball.norm, d, n), left = l2 ? fmax(eps * eps - size * size, 0) : fmax(eps - size, 0);
    bump(s->ball.norm, side, draw[4] >= 0.5, shape, fresh);
    for (int c = 0; c < s->p.planes; c++) {
        double own = part_size(s, d, c, a, NULL), both = part_size(s, d, c, a, &b), total = 0,
               sign = sign_of(draw[5 + c]);
        if (l2) own = sqrt(own);
        for (int i = 0; i < side * side; i++) {
            fresh[i] = shape[i] * sign + d[(c * h + a.row + i / side) * w + a.column + i % side] / (1e-12 + own);
            total += l2 ? fresh[i] * fresh[i] : fabs(fresh[i]);
        }
        double scale = l2 ? sqrt(left / s->p.planes + both) / (1e-12 + sqrt(total))
                          : s->p.planes * (left / s->p.planes + both) / (1e-12 + total);
        for (int y = b.row; y < b.row + side; y++) memset(d + (c * h + y) * w + b.column, 0, (size_t)side * sizeof *d);
        for (int i = 0; i < side * side; i++)
            d[(c * h + a.row + i / side) * w + a.column + i % side] = fresh[i] * scale;
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

static Real moved(const Ball *b, Real x, double change) {
    double u = x + change;
    return (Real)(u < b->lo ? b->lo : u > b->hi ? b->hi : u);
}

static void stripes(const State *s, const Real *x, const double *draw, Real *out) {
    for (int64_t i = 0; i < s->live.run->victim->inputs; i++) {
        int plane = (int)(i / (s->p.height * s->p.width)), column = (int)(i % s->p.width);
        out[i] = moved(&s->ball, x[i], s->ball.eps * sign_of(draw[plane * s->p.width + column]));
    }
}

/* Of `out`, which is the point so far.  True: anything changes. */
static bool paint(const State *s, Window w, const Real *x, const double *sign, Real *out) {
    bool changed = false;
    for (int c = 0; c < s->p.planes; c++) {
        double change = s->ball.eps * sign_of(sign[c]);
        for (int y = w.row; y < w.row + w.side; y++)
            for (int i = (c * s->p.height + y) * s->p.width + w.column, end = i + w.side; i < end; i++) {
                Real u = moved(&s->ball, x[i], change);
                changed |= u != out[i];
                out[i] = u;
            }
    }
    return changed;
}

static void copy_window(const State *s, Window w, const Real *from, Real *to) {
    for (int c = 0; c < s->p.planes; c++)
        for (int y = w.row; y < w.row + w.side; y++) {
            int i = (c * s->p.height + y) * s->p.width + w.column;
            memcpy(to + i, from + i, (size_t)w.side * sizeof *to);
        }
}

/* ---- a chase: what a proposal changes, and what becomes of it ---- */

#ifdef ATTACK_F32
/* Stripes, or a window; sign: of each plane, of stripes also of each column. */
static bool chase_propose(const State *s, int64_t row, const double *sign) {
    Window w = s->window[row];
    int planes = s->p.planes, height = s->p.height, width = s->p.width;
    bool changed = false;
    for (int i = 0; !s->query[row] && i < planes * height * width; i++)
        chase_start(s->chase, row, i, sign_of(sign[i / (height * width) * width + i % width]) > 0);
    for (int c = 0; s->query[row] && c < planes; c++)
        changed |= chase_paint(s->chase, row,
                               (Patch){((int64_t)c * height + w.row) * width + w.column, width, w.side, w.side},
                               sign_of(sign[c]) > 0);
    return changed;
}

/* Where the point is, as the row that is proposed. */
static void chase_where(State *s, int64_t k) {
    if (s->chase) chase_read(s->chase, s->live.at[k], (Real *)s->live.x + k * s->live.run->victim->inputs);
}

static void chase_after(State *s, int64_t row, bool taken) { chase_end(s->chase, row, taken); }
static bool look(State *s, uint32_t turn) {
    return s->chase ? chase_look(s->chase, s->live.at, s->live.n, s->live.z) : live_logits(&s->live, turn);
}

/* rows: [2, points, inputs], the points' highest and lowest numbers. */
static Chase *chase_of(const State *s, Real *rows) {
    const Live *l = &s->live;
    const Victim *v = l->run->victim;
    bool may = v->front && l->loops->carry && s->ball.norm == NORM_LINF && !s->together;
    const Front *front = may ? v->front(v->data) : NULL;
    int64_t all = l->n * v->inputs;
    const Real *x = l->clean;
    if (!front) return NULL;
    for (int64_t i = 0; i < all; i++) {
        rows[i] = moved(&s->ball, x[i], s->ball.eps);
        rows[all + i] = moved(&s->ball, x[i], -s->ball.eps);
    }
    return chase_open(front, l->n, s->p.planes, rows, rows + all);
}
#else
static bool chase_propose(const State *s, int64_t row, const double *sign) { return (void)s, (void)row, (void)sign, 0; }
static void chase_after(State *s, int64_t row, bool taken) { (void)s, (void)row, (void)taken; }
static void chase_where(State *s, int64_t k) { (void)s, (void)k; }
static bool look(State *s, uint32_t turn) { return live_logits(&s->live, turn); }
static Chase *chase_of(const State *s, Real *rows) { return (void)s, (void)rows, NULL; }
#endif

/* ---- the search ---- */

enum { MOST_DRAWS = 4096 };

static int draws_of(const State *s, int query) {
    if (query > 0) return s->ball.norm == NORM_LINF ? 2 + s->p.planes : 5 + s->p.planes;
    if (s->ball.norm == NORM_LINF) return s->p.planes * s->p.width;
    int side = s->p.height / 5 > 0 ? s->p.height / 5 : 1;
    return (s->p.height / side + 1) * (s->p.width / side + 1) * (1 + s->p.planes);
}

/* In linf x differs from `current` in the window at most. */
static bool propose_linf(State *s, int64_t k, int query, const double *draw) {
    int64_t n = s->live.run->victim->inputs, row = s->live.at[k];
    const Real *clean = (const Real *)s->live.clean + k * n;
    Real *out = (Real *)s->live.x + k * n;
    if (query == 0) {
        if (s->chase) chase_propose(s, row, draw);
        else stripes(s, clean, draw, out);
        return true;
    }
    int side = side_at(s, query);
    s->window[row] = (Window){(int)(draw[0] * (s->p.height - side)), (int)(draw[1] * (s->p.width - side)), side};
    return s->chase ? chase_propose(s, row, draw + 2) : paint(s, s->window[row], clean, draw + 2, out);
}

static bool propose_wide(const State *s, int64_t k, int query, const double *draw, double *scratch) {
    const Live *l = &s->live;
    int64_t n = l->run->victim->inputs;
    double *x = scratch + 3 * n, *current = x + n, *out = current + n;
    live_read(l, live_at(l, l->clean, k), x);
    live_read(l, s->current + k * n, current);
    if (query) move_bump(s, side_at(s, query), x, current, draw, scratch, out);
    else tiles(s, x, draw, scratch, out);
    live_write(l, live_at(l, l->x, k), out);
    return true;
}

/* Query 0 is the starting point.  Proposals that change nothing are passed over; after the last one a point is over. */
static void propose(void *data, int thread, int64_t lo, int64_t hi) {
    State *s = data;
    const AttackRun *run = s->live.run;
    double *scratch = s->scratch + thread * (6 * run->victim->inputs + MOST_DRAWS),
           *draw = scratch + 6 * run->victim->inputs;
    for (int64_t k = lo; k < hi; k++) {
        int64_t row = s->live.at[k];
        for (bool changed = false; !changed && !s->over[row];) {
            int query = ++s->query[row];
            if (query > s->o->queries) {
                s->over[row] = true;
                break;
            }
            uint32_t turn = run->run * (uint32_t)(s->o->queries + 1) + (uint32_t)query;
            run->draws.fill(run->draws.data, false, s->live.points.number[row], turn, draws_of(s, query), draw);
            changed = s->ball.norm == NORM_LINF ? propose_linf(s, k, query, draw)
                                                : propose_wide(s, k, query, draw, scratch);
            changed |= s->together;
            if (s->o->used) s->o->used[row]++;
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

/* The first of two becomes as the second. */
static void settle(State *s, int64_t k, Real *to, const Real *from) {
    int64_t n = s->live.run->victim->inputs, row = s->live.at[k];
    if (s->chase) chase_after(s, row, to == s->current);
    else if (s->query[row] && s->ball.norm == NORM_LINF) copy_window(s, s->window[row], from + k * n, to + k * n);
    else memcpy(to + k * n, from + k * n, s->live.row);
}

static void accept_better(State *s) {
    Live *l = &s->live;
    for (int64_t k = 0; k < l->n; k++) {
        int64_t row = l->at[k];
        double margin = margin_of(l, k);
        if (s->query[row] && !(margin < s->margin[row]) && !(margin <= 0)) {
            settle(s, k, l->x, s->current);
            continue;
        }
        s->margin[row] = margin;
        settle(s, k, s->current, l->x);
        if (margin > 0) continue;
        chase_where(s, k);
        live_take(l, k, s->out);
        s->over[row] = true;
    }
}

static bool search(State *s) {
    const AttackRun *run = s->live.run;
    for (int turn = 0; s->live.n; turn++) {
        live_each(&s->live, propose, s);
        live_drop(&s->live, s->over);
        if (!look(s, run->run * (uint32_t)(s->o->queries + 1) + (uint32_t)turn)) return false;
        accept_better(s);
        if (run->look && turn <= s->o->queries) run->look(run->look_data, turn, s->margin, NULL);
        live_drop(&s->live, s->over);
    }
    return true;
}

bool TYPED(attack_square)(const AttackRun *run, const Square *options, Points points, Attacked out);
bool TYPED(attack_square)(const AttackRun *run, const Square *options, Points points, Attacked out) {
    const Victim *v = run->victim;
    size_t n = (size_t)points.n, inputs = (size_t)v->inputs, threads = (size_t)pool_threads(run->pool);
    State s = {.o = options,
               .ball = run->ball,
               .out = out,
               .p = {v->planes, v->height, v->width},
               .together = run->look || v->random};
    if (draws_of(&s, 0) > MOST_DRAWS) return false;
    double *block = calloc(n + threads * (6 * inputs + MOST_DRAWS) + 1, sizeof *block);
    Real *rows = NULL;
    s.window = calloc(n + 1, sizeof *s.window);
    s.query = calloc(n + 1, sizeof *s.query);
    s.over = calloc(n + 1, sizeof *s.over);
    bool ok = block && s.window && s.query && s.over && live_open(&s.live, run, points, NULL, 1);
    if (ok) {
        s.current = live_column(&s.live);
        s.margin = block;
        s.scratch = s.margin + n;
        for (size_t i = 0; i < n; i++) s.query[i] = -1;
        rows = v->front ? malloc(2 * n * inputs * sizeof *rows + 64) : NULL;
        s.chase = rows ? chase_of(&s, rows) : NULL;
        ok = search(&s);
        chase_close(s.chase);
        live_close(&s.live);
    }
    free(rows);
    free(block);
    free(s.window);
    free(s.query);
    free(s.over);
    return ok;
}

#ifdef ATTACK_CHOOSES
bool attack_square_f32(const AttackRun *run, const Square *options, Points points, Attacked out);
bool attack_square(const AttackRun *run, const Square *options, Points points, Attacked out) {
    return (run->victim->f32 ? attack_square_f32 : attack_square_f64)(run, options, points, out);
}
#endif
