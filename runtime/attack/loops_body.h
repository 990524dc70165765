/* loops_body.h -- the loops of loops.h for the instruction set that the file which includes this is compiled for; LOOPS
 * names the table. */
#include "attack/lanes.h"
#include "attack/loops.h"

#include <math.h>

/* ---- f64 alone ---- */

LANES_FN Lanes norm_add(AttackNorm norm, Lanes sum, Lanes d) {
    if (norm == NORM_LINF) return lanes_max(sum, lanes_abs(d));
    return lanes_add(sum, norm == NORM_L2 ? lanes_mul(d, d) : lanes_abs(d));
}

static double norm_end(AttackNorm norm, Lanes sum) {
    if (norm == NORM_LINF) return lanes_largest(sum);
    return norm == NORM_L2 ? sqrt(lanes_tree(sum)) : lanes_tree(sum);
}

static double norm_loop(AttackNorm norm, const double *d, int64_t n) {
    Lanes sum = lanes_all(0);
#define BODY(i, left) sum = norm_add(norm, sum, lanes_load_f64(d + (i), left))
    LANES_EACH(n, BODY);
#undef BODY
    return norm_end(norm, sum);
}

static double largest_loop(const double *m, int64_t n) {
    Lanes most = lanes_all(0);
#define BODY(i, left) most = lanes_max(most, lanes_load_f64(m + (i), left))
    LANES_EACH(n, BODY);
#undef BODY
    return lanes_largest(most);
}

static double dot_loop(const double *a, const double *b, int64_t n) {
    Lanes sum = lanes_all(0);
#define BODY(i, left) sum = lanes_add(sum, lanes_mul(lanes_load_f64(a + (i), left), lanes_load_f64(b + (i), left)))
    LANES_EACH(n, BODY);
#undef BODY
    return lanes_tree(sum);
}

typedef struct Filling { Lanes side, lo, hi, bound, sum; } Filling;

LANES_FN void sides_part(Filling *f, const double *t, const double *w, Sides s, int64_t i, int64_t left) {
    Lanes v = lanes_mul(lanes_load_f64(w + i, left), f->side), x = lanes_load_f64(t + i, left), size = lanes_abs(v);
    Lanes room = lanes_by_sign(v, lanes_sub(x, f->lo), lanes_sub(f->hi, x));
    f->sum = lanes_add(f->sum, lanes_mul(size, room));
    lanes_store_f64(s.w + i, left, lanes_if_above(f->bound, size, lanes_all(0), size));
    lanes_store_f64(s.m + i, left, room);
}

/* Fills the sides; gives sum |w| m. */
static double sides_loop(const Ball *box, const double *t, const double *w, double sign, Sides s) {
    Filling f = {lanes_all(sign), lanes_all(box->lo), lanes_all(box->hi), lanes_all(box->norm == NORM_L2 ? 1e-8 : 0),
                 lanes_all(0)};
#define BODY(i, left) sides_part(&f, t, w, s, i, left)
    LANES_EACH(s.n, BODY);
#undef BODY
    return lanes_tree(f.sum);
}

/* At a level: sums of |w| m of those at their room, and the slope of the others. */
typedef struct Reach { Lanes level, full, slope; } Reach;

LANES_FN void reach_part(bool l2, Reach *r, Lanes w, Lanes m) {
    Lanes g = l2 ? lanes_mul(r->level, w) : r->level;
    r->full = lanes_add_most(m, g, r->full, lanes_mul(w, m));
    r->slope = lanes_add_rest(m, g, r->slope, l2 ? lanes_mul(w, w) : w);
}

LANES_FN void reach_sums(bool l2, Sides s, double level, double *full, double *slope) {
    Reach r = {lanes_all(level), lanes_all(0), lanes_all(0)};
#define BODY(i, left) reach_part(l2, &r, lanes_load_f64(s.w + (i), left), lanes_load_f64(s.m + (i), left))
    LANES_EACH(s.n, BODY);
#undef BODY
    *full = lanes_tree(r.full);
    *slope = lanes_tree(r.slope);
}

/* sum |w| min(g, m) rises with the level and is concave: Newton's steps from below end at the level in finitely many.
 * weight: the slope where none is at its room. */
enum { LEVEL_STEPS = 200 };
LANES_FN double level_first(double c, double weight) { return weight > 0 ? c / weight : INFINITY; }

/* False: the level is found. */
LANES_FN bool level_step(double c, double full, double slope, double *level) {
    double next = slope > 0 ? (c - full) / slope : INFINITY;
    if (!(next > *level)) return false;
    *level = next;
    return true;
}

LANES_FN double level_from(bool l2, Sides s, double c, double level, int steps) {
    double full, slope;
    do reach_sums(l2, s, level, &full, &slope);
    while (steps-- > 0 && level_step(c, full, slope, &level));
    return level;
}

/* Those of two in linf that are wanted, of the same weights: their steps are taken side by side. */
LANES_FN void level_pair(const double *w, double *const m[2], int64_t n, const double c[2], const bool wanted[2],
                         double level[2]) {
    bool on[2] = {wanted[0], wanted[1]};
    int steps = LEVEL_STEPS;
    for (; steps > 0 && on[0] && on[1]; steps--) {
        Reach r[2] = {{lanes_all(level[0]), lanes_all(0), lanes_all(0)},
                      {lanes_all(level[1]), lanes_all(0), lanes_all(0)}};
#define BODY(i, left)                                                        \
    do {                                                                     \
        Lanes v = lanes_load_f64(w + (i), left);                             \
        reach_part(false, &r[0], v, lanes_load_f64(m[0] + (i), left));       \
        reach_part(false, &r[1], v, lanes_load_f64(m[1] + (i), left));       \
    } while (0)
        LANES_EACH(n, BODY);
#undef BODY
        for (int k = 0; k < 2; k++) on[k] = level_step(c[k], lanes_tree(r[k].full), lanes_tree(r[k].slope), &level[k]);
    }
    for (int k = 0; k < 2; k++)
        if (on[k]) level[k] = level_from(false, (Sides){(double *)(uintptr_t)w, m[k], n}, c[k], level[k], steps);
}

static double level_loop(bool l2, Sides s, double c) {
    Lanes weight = lanes_all(0);
#define PART_OF(w) (l2 ? lanes_mul(w, w) : w)
#define BODY(i, left) weight = lanes_add(weight, PART_OF(lanes_load_f64(s.w + (i), left)))
    LANES_EACH(s.n, BODY);
#undef BODY
#undef PART_OF
    double level = level_first(c, lanes_tree(weight));
    return l2 ? level_from(true, s, c, level, LEVEL_STEPS) : level_from(false, s, c, level, LEVEL_STEPS);
}

LANES_FN void moves_part(bool l2, const double *w, Lanes side, Lanes level, Sides s, double *d, int64_t i,
                         int64_t left) {
    Lanes v = lanes_mul(lanes_load_f64(w + i, left), side),
          g = l2 ? lanes_mul(level, lanes_load_f64(s.w + i, left)) : level;
    Lanes move = lanes_min(g, lanes_load_f64(s.m + i, left));
    lanes_store_f64(d + i, left, lanes_by_sign(v, lanes_sub(lanes_all(0), move), move));
}

static void moves_loop(bool l2, const double *w, double sign, double level, Sides s, double *d) {
    Lanes side = lanes_all(sign), all = lanes_all(level);
#define BODY(i, left) moves_part(l2, w, side, all, s, d, i, left)
    LANES_EACH(s.n, BODY);
#undef BODY
}

static double fab_alpha(double a1, double a2) {
    a1 = fmax(a1, 1e-8);
    a2 = fmax(a2, 1e-8);
    return fmin(fmax(a1 / (a1 + a2), 0), FAB_ALPHA);
}

/* ---- rows ---- */

#define Real double
#define LOAD lanes_load_f64
#define STORE lanes_store_f64
#define ROWS(name) name##_f64
#include "attack/loops_rows.h"
#undef Real
#undef LOAD
#undef STORE
#undef ROWS
#define Real float
#define LOAD lanes_load_f32
#define STORE lanes_store_f32
#define ROWS(name) name##_f32
#include "attack/loops_rows.h"

#if defined(__AVX512F__) || defined(__FMA__)
#include "attack/loops_carry.h"
#define CARRY carry_loop
#else
#define CARRY NULL
#endif

const Loops LOOPS = {{{read_f64, write_f64, ascend_f64, approach_f64, distance_f64, draw_back_f64},
                      {read_f32, write_f32, ascend_f32, approach_f32, distance_f32, draw_back_f32}},
                     dot_loop, norm_loop, sides_loop, level_loop, moves_loop, CARRY};
