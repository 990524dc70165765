/* project.c -- projections on balls and hyperplanes, inside a box. */
#include "attack/attack.h"
#include "attack/loops.h"

#include <math.h>
#include <stdlib.h>

double norm_of(AttackNorm norm, const double *d, int64_t n) { return attack_loops()->norm(norm, d, n); }

double ball_slack(const Ball *b, int64_t n) {
    double each = 6e-8 * (1 + fmax(fabs(b->lo), fabs(b->hi)));
    return 1e-6 * b->eps + each * (b->norm == NORM_LINF ? 1 : b->norm == NORM_L2 ? sqrt((double)n) : (double)n);
}

static double clip(const Ball *b, double x) { return x < b->lo ? b->lo : x > b->hi ? b->hi : x; }

/* ---- the l1 ball ---- */

/* |displacement| of u shrunk by s and clipped: min(max(|u - x| - s, 0), room). */
static double l1_part(const Ball *b, double x, double u, double s) {
    double y = fabs(u - x) - s, room = u > x ? b->hi - x : x - b->lo;
    return y <= 0 ? 0 : y < room ? y : room;
}

static double l1_sum(const Ball *b, const double *x, const double *u, double s, int64_t n) {
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += l1_part(b, x[i], u[i], s);
    return sum;
}

/* The sum falls as s grows, and is linear between break points: halving finds the piece, a division the point on it. */
static double l1_shrink(const Ball *b, const double *x, const double *u, int64_t n) {
    double lo = 0, hi = 0, fixed = 0, moving = 0;
    int64_t count = 0;
    for (int64_t i = 0; i < n; i++) hi = fmax(hi, fabs(u[i] - x[i]));
    for (int k = 0; k < 64; k++) {
        double middle = (lo + hi) / 2;
        if (l1_sum(b, x, u, middle, n) > b->eps) lo = middle;
        else hi = middle;
    }
    for (int64_t i = 0; i < n; i++) {
        double y = fabs(u[i] - x[i]), part = l1_part(b, x[i], u[i], hi);
        if (part == 0) continue;
        if (part < y - hi) fixed += part;
        else { moving += y; count++; }
    }
    double exact = count ? (moving + fixed - b->eps) / (double)count : hi;
    return exact > lo && exact < 2 * hi ? exact : hi;
}

static void l1_project(const Ball *b, const double *x, double *u, int64_t n) {
    double s = l1_sum(b, x, u, 0, n) <= b->eps ? 0 : l1_shrink(b, x, u, n);
    for (int64_t i = 0; i < n; i++) {
        double part = l1_part(b, x[i], u[i], s);
        u[i] = x[i] + (u[i] > x[i] ? part : -part);
    }
}

void ball_project(const Ball *b, const double *x, double *u, int64_t n) {
    if (b->norm == NORM_L1) {
        l1_project(b, x, u, n);
    } else if (b->norm == NORM_LINF) {
        for (int64_t i = 0; i < n; i++) {
            double lo = x[i] - b->eps, hi = x[i] + b->eps, v = u[i] < lo ? lo : u[i] > hi ? hi : u[i];
            u[i] = clip(b, v);
        }
    } else {
        double sum = 0;
        for (int64_t i = 0; i < n; i++) sum += (u[i] - x[i]) * (u[i] - x[i]);
        double norm = sqrt(sum), scale = fmin(b->eps, norm) / (norm + 1e-12);
        for (int64_t i = 0; i < n; i++) u[i] = clip(b, x[i] + (u[i] - x[i]) * scale);
    }
}

/* ---- a hyperplane (weights below 1e-8 do not count in l2 and l1): moves d_i = -sign(w_i) s_i, 0 <= s_i <= m_i (the
 * room), sum |w_i| s_i = c ---- */

typedef struct Order { double w; int64_t i; } Order;
static int by_weight(const void *a, const void *b) {
    const Order *x = a, *y = b;
    return x->w > y->w ? -1 : x->w < y->w ? 1 : x->i < y->i ? -1 : 1;
}

/* l1: the largest weights first, each as far as it goes. */
static void plane_greedy(Sides s, const double *w, double sign, double c, double *d) {
    Order *order = malloc(sizeof *order * (size_t)s.n);
    for (int64_t i = 0; i < s.n; i++) d[i] = 0;
    if (!order) return;
    for (int64_t i = 0; i < s.n; i++) order[i] = (Order){s.w[i], i};
    qsort(order, (size_t)s.n, sizeof *order, by_weight);
    for (int64_t k = 0; k < s.n && c > 0; k++) {
        int64_t i = order[k].i;
        if (s.w[i] < 1e-8) break;
        double move = s.w[i] * s.m[i] <= c ? s.m[i] : c / s.w[i];
        c -= s.w[i] * s.m[i];
        d[i] = w[i] * sign > 0 ? -move : move;
    }
    free(order);
}

void plane_project(const Ball *box, const double *t, const double *w, double b, int64_t n, double *scratch, double *d) {
    const Loops *loops = attack_loops();
    Sides s = {scratch, scratch + n, n};
    double c = loops->dot(w, t, n) - b, sign = 1;
    if (c < 0) {
        c = -c;
        sign = -1;
    }
    bool far = c >= loops->sides(box, t, w, sign, s), l2 = box->norm == NORM_L2;
    if (far) loops->moves(false, w, sign, INFINITY, s, d);
    else if (box->norm == NORM_L1) plane_greedy(s, w, sign, c, d);
    else loops->moves(l2, w, sign, loops->level(l2, s, c), s, d);
}
