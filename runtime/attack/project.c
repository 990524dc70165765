/* project.c -- projections on balls and hyperplanes, inside a box. */
#include "attack/attack.h"
#include "attack/wide.h"

#include <math.h>
#include <stdlib.h>

WIDE double norm_of(AttackNorm norm, const double *d, int64_t n) {
    Wide sum = {0};
    double rest = 0;
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        Wide x = WIDE_AT(d + i), size = WIDE_ABS(x);
        if (norm == NORM_LINF) sum = WIDE_MAX(sum, size);
        else sum += norm == NORM_L2 ? x * x : size;
    }
    if (norm == NORM_LINF) {
        for (int k = 0; k < LANES; k++) rest = rest < sum[k] ? sum[k] : rest;
        for (; i < n; i++) rest = rest < fabs(d[i]) ? fabs(d[i]) : rest;
        return rest;
    }
    for (; i < n; i++) rest += norm == NORM_L2 ? d[i] * d[i] : fabs(d[i]);
    rest += WIDE_TREE(sum);
    return norm == NORM_L2 ? sqrt(rest) : rest;
}

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

/* ---- a hyperplane (weights below 1e-8 do not count in l2 and l1): moves d_i = -sign(w_i) s_i, 0 <= s_i <= m_i (the room), sum |w_i| s_i = c ---- */

/* Fills the sides; gives sum |w| m. */
WIDE static double sides_fill(const Ball *box, const double *t, const double *w, double sign, Sides s) {
    double least = box->norm == NORM_L2 ? 1e-8 : 0, rest = 0;
    Wide sum = {0}, lo = WIDE_ALL(box->lo), hi = WIDE_ALL(box->hi), zero = {0}, side = WIDE_ALL(sign), bound = WIDE_ALL(least);
    int64_t i = 0;
    for (; i + LANES <= s.n; i += LANES) {
        Wide v = WIDE_AT(w + i) * side, x = WIDE_AT(t + i), size = WIDE_ABS(v);
        Wide room = WIDE_SELECT(v > zero, x - lo, WIDE_SELECT(v < zero, hi - x, zero));
        sum += size * room;
        WIDE_PUT(s.w + i) = WIDE_SELECT(size < bound, zero, size);
        WIDE_PUT(s.m + i) = room;
    }
    for (; i < s.n; i++) {
        double v = w[i] * sign, size = fabs(v);
        s.m[i] = v > 0 ? t[i] - box->lo : v < 0 ? box->hi - t[i] : 0;
        rest += size * s.m[i];
        s.w[i] = size < least ? 0 : size;
    }
    return WIDE_TREE(sum) + rest;
}

/* At a level: the sum of |w| m of those at their room, and the slope of the others.  first: none is. */
WIDE static void level_sums(bool l2, Sides s, double level, bool first, double *full, double *slope) {
    Wide at = {0}, rise = {0}, all = WIDE_ALL(level), zero = {0}, none = WIDE_ALL(first ? -INFINITY : 0);
    double at_rest = 0, rise_rest = 0;
    int64_t i = 0;
    for (; i + LANES <= s.n; i += LANES) {
        Wide w = WIDE_AT(s.w + i), m = WIDE_AT(s.m + i), reach = (l2 ? all * w : all) + none;
        WideMask there = m <= reach;
        at += WIDE_SELECT(there, w * m, zero);
        rise += WIDE_SELECT(there, zero, l2 ? w * w : w);
    }
    for (; i < s.n; i++) {
        double w = s.w[i], m = s.m[i];
        if (!first && m <= (l2 ? level * w : level)) at_rest += w * m;
        else rise_rest += l2 ? w * w : w;
    }
    *full = WIDE_TREE(at) + at_rest;
    *slope = WIDE_TREE(rise) + rise_rest;
}

/* sum |w| min(g, m) rises with the level and is concave: Newton's steps from below end at the level in finitely many. */
double plane_level(bool l2, Sides s, double c) {
    double level = 0;
    for (int k = 0; k < 200; k++) {
        double full, slope;
        level_sums(l2, s, level, k == 0, &full, &slope);
        double next = slope > 0 ? (c - full) / slope : INFINITY;
        if (!(next > level)) break;
        level = next;
    }
    return level;
}

/* d: each as far as the level (times |w|) goes, or its room; against the sign of w. */
WIDE static void plane_moves(const Ball *box, const double *w, double sign, double level, bool far, Sides s, double *d) {
    bool l2 = box->norm == NORM_L2;
    Wide zero = {0}, side = WIDE_ALL(sign), all = WIDE_ALL(level), infinite = WIDE_ALL(far ? INFINITY : 0);
    int64_t i = 0;
    for (; i + LANES <= s.n; i += LANES) {
        Wide v = WIDE_AT(w + i) * side, reach = (l2 ? all * WIDE_AT(s.w + i) : all) + infinite, move = WIDE_MIN(reach, WIDE_AT(s.m + i));
        WIDE_PUT(d + i) = WIDE_SELECT(v > zero, -move, WIDE_SELECT(v < zero, move, zero));
    }
    for (; i < s.n; i++) {
        double v = w[i] * sign, reach = l2 ? level * s.w[i] : level, move = far || reach > s.m[i] ? s.m[i] : reach;
        d[i] = v > 0 ? -move : v < 0 ? move : 0;
    }
}

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
    Sides s = {scratch, scratch + n, n};
    double c = wide_dot(w, t, n) - b, sign = 1;
    if (c < 0) {
        c = -c;
        sign = -1;
    }
    double room = sides_fill(box, t, w, sign, s);
    bool far = c >= room, l2 = box->norm == NORM_L2;
    if (!far && box->norm == NORM_L1) plane_greedy(s, w, sign, c, d);
    else plane_moves(box, w, sign, far ? 0 : plane_level(l2, s, c), far, s, d);
}
