/* loops_rows.h -- RowLoops for rows of Real; included by loops_body.h for f64 and for f32, with Real, LOAD, STORE and
 * ROWS(name) defined. */

LANES_FN void ROWS(read_part)(const Real *row, double *out, int64_t left) {
    lanes_store_f64(out, left, LOAD(row, left));
}

static void ROWS(read)(const void *row, double *out, int64_t n) {
    const Real *from = row;
#define BODY(i, left) ROWS(read_part)(from + (i), out + (i), left)
    LANES_EACH(n, BODY);
#undef BODY
}

LANES_FN void ROWS(write_part)(const double *x, Real *row, int64_t left) { STORE(row, left, lanes_load_f64(x, left)); }

static void ROWS(write)(const double *x, void *row, int64_t n) {
    Real *to = row;
#define BODY(i, left) ROWS(write_part)(x + (i), to + (i), left)
    LANES_EACH(n, BODY);
#undef BODY
}

/* ---- APGD ---- */

/* First the ball, then the box: a clean point may lie outside of a box that was chosen wrongly. */
typedef struct ROWS(Ascent) {
    Lanes eps, lo, hi, step, back, part, rest;
    const Real *x, *g;
    Real *current, *previous;
} ROWS(Ascent);

LANES_FN void ROWS(ascend_part)(const ROWS(Ascent) *a, int64_t i, int64_t left) {
    Lanes x = LOAD(a->x + i, left), lo = lanes_sub(x, a->eps), hi = lanes_add(x, a->eps),
          c = LOAD(a->current + i, left);
    Lanes momentum = lanes_sub(c, LOAD(a->previous + i, left));
    Lanes v = lanes_add(c, lanes_by_sign(LOAD(a->g + i, left), a->step, a->back));
    v = lanes_min(lanes_max(lanes_min(lanes_max(v, lo), hi), a->lo), a->hi);
    STORE(a->previous + i, left, c);
    v = lanes_add(lanes_add(c, lanes_mul(a->part, lanes_sub(v, c))), lanes_mul(a->rest, momentum));
    STORE(a->current + i, left, lanes_min(lanes_max(lanes_min(lanes_max(v, lo), hi), a->lo), a->hi));
}

static void ROWS(ascend)(const Ball *b, double step, double a, int64_t n, const void *x, const void *g, void *current,
                         void *previous) {
    const ROWS(Ascent) all = {lanes_all(b->eps), lanes_all(b->lo), lanes_all(b->hi), lanes_all(step),
                              lanes_all(-step), lanes_all(a), lanes_all(1 - a),
                              x, g, current, previous};
#define BODY(i, left) ROWS(ascend_part)(&all, i, left)
    LANES_EACH(n, BODY);
#undef BODY
}

/* ---- FAB ---- */

/* <w, x1> and <w, x>. */
typedef struct ROWS(Dots) { Lanes x1, x; } ROWS(Dots);

LANES_FN void ROWS(dots_part)(ROWS(Dots) *d, const Real *w, const Real *x1, const Real *x, int64_t left) {
    Lanes v = LOAD(w, left);
    d->x1 = lanes_add(d->x1, lanes_mul(v, LOAD(x1, left)));
    d->x = lanes_add(d->x, lanes_mul(v, LOAD(x, left)));
}

/* The rooms of two points on the side where w times the sign sends them: |w| in `size`, the rooms in m; sums of |w| and
 * |w| m, and the largest m. */
typedef struct ROWS(Rooms) {
    double *size, *m[2];
    Lanes down[2], up[2], sign[2], back[2], weight, sum[2], most[2];
} ROWS(Rooms);

LANES_FN void ROWS(rooms_part)(ROWS(Rooms) *r, const Real *w, const Real *x1, const Real *x, int64_t i, int64_t left) {
    Lanes v = LOAD(w + i, left), size = lanes_abs(v), at[2] = {LOAD(x1 + i, left), LOAD(x + i, left)};
    lanes_store_f64(r->size + i, left, size);
    r->weight = lanes_add(r->weight, size);
#define POINT(k)                                                                                       \
    Lanes end##k = lanes_if_above(v, lanes_all(0), r->down[k], r->up[k]);                              \
    Lanes room##k = lanes_times_signed(v, lanes_sub(at[k], end##k), r->sign[k], r->back[k]);           \
    lanes_store_f64(r->m[k] + i, left, room##k);                                                       \
    r->sum[k] = lanes_add(r->sum[k], lanes_mul(size, room##k));                                        \
    r->most[k] = lanes_max(r->most[k], room##k);
    POINT(0)
    POINT(1)
#undef POINT
}

/* x1 = (1 - alpha) (x1 + beyond d1) + alpha (x + beyond d2) in the box; d: against the sign of w times sign, by level
 * or room. */
typedef struct ROWS(Mix) { Lanes rest, part, lo, hi, far, level[2], to[2], back[2]; const double *m[2]; } ROWS(Mix);

LANES_FN Lanes ROWS(beyond)(const ROWS(Mix) *x, int k, Lanes v, int64_t i, int64_t left) {
    Lanes move = lanes_mul(x->far, lanes_min(x->level[k], lanes_load_f64(x->m[k] + i, left)));
    return lanes_times_signed(v, move, x->back[k], x->to[k]);
}

LANES_FN void ROWS(mix_part)(const ROWS(Mix) *a, const Real *w, const Real *x, Real *x1, int64_t i, int64_t left) {
    Lanes v = LOAD(w + i, left), d1 = ROWS(beyond)(a, 0, v, i, left), d2 = ROWS(beyond)(a, 1, v, i, left);
    Lanes u = lanes_add(lanes_mul(a->rest, lanes_add(LOAD(x1 + i, left), d1)),
                        lanes_mul(a->part, lanes_add(LOAD(x + i, left), d2)));
    STORE(x1 + i, left, lanes_min(lanes_max(u, a->lo), a->hi));
}

static void ROWS(mix)(const Ball *b, double alpha, const double *sign, const double *level, double *const *m, int64_t n,
                      const Real *w, const Real *x, Real *x1) {
    const ROWS(Mix) all = {lanes_all(1 - alpha), lanes_all(alpha), lanes_all(b->lo), lanes_all(b->hi),
                           lanes_all(FAB_BEYOND), {lanes_all(level[0]), lanes_all(level[1])},
                           {lanes_all(sign[0]), lanes_all(sign[1])},
                           {lanes_all(-sign[0]), lanes_all(-sign[1])}, {m[0], m[1]}};
#define BODY(i, left) ROWS(mix_part)(&all, w, x, x1, i, left)
    LANES_EACH(n, BODY);
#undef BODY
}

LANES_FN ROWS(Rooms) ROWS(rooms)(const Ball *b, const double *sign, double *scratch, int64_t n, const Real *w,
                                 const Real *x1, const Real *x) {
    Lanes zero = lanes_all(0);
    ROWS(Rooms) r = {.size = scratch, .m = {scratch + n, scratch + 2 * n}, .weight = zero, .sum = {zero, zero},
                     .most = {zero, zero}};
    for (int k = 0; k < 2; k++) {
        r.down[k] = lanes_all(sign[k] > 0 ? b->lo : b->hi);
        r.up[k] = lanes_all(sign[k] > 0 ? b->hi : b->lo);
        r.sign[k] = lanes_all(sign[k]);
        r.back[k] = lanes_all(-sign[k]);
    }
#define BODY(i, left) ROWS(rooms_part)(&r, w, x1, x, i, left)
    LANES_EACH(n, BODY);
#undef BODY
    return r;
}

static void ROWS(approach)(const Ball *b, int64_t n, const void *plane, const void *clean, double offset,
                           double *scratch, void *point) {
    const Real *w = plane, *x = clean;
    Real *x1 = point;
    ROWS(Dots) d = {lanes_all(0), lanes_all(0)};
#define BODY(i, left) ROWS(dots_part)(&d, w + (i), x1 + (i), x + (i), left)
    LANES_EACH(n, BODY);
#undef BODY
    double dot[2] = {lanes_tree(d.x1), lanes_tree(d.x)}, b0 = dot[0] - offset, sign[2], level[2], far[2];
    for (int k = 0; k < 2; k++) sign[k] = dot[k] - b0 < 0 ? -1 : 1;
    const ROWS(Rooms) r = ROWS(rooms)(b, sign, scratch, n, w, x1, x);
    double weight = lanes_tree(r.weight), c[2];
    bool near[2];
    for (int k = 0; k < 2; k++) {
        c[k] = fabs(dot[k] - b0);
        near[k] = !(c[k] >= lanes_tree(r.sum[k]));
        level[k] = near[k] ? level_first(c[k], weight) : INFINITY;
    }
    level_pair(r.size, r.m, n, c, near, level);
    for (int k = 0; k < 2; k++) {
        double most = lanes_largest(r.most[k]);
        far[k] = most < level[k] ? most : level[k];
    }
    ROWS(mix)(b, fab_alpha(far[0], far[1]), sign, level, r.m, n, w, x, x1);
}

LANES_FN Lanes ROWS(change_part)(AttackNorm norm, Lanes sum, const Real *x1, const Real *x, double *d, int64_t left) {
    Lanes change = lanes_sub(LOAD(x1, left), LOAD(x, left));
    lanes_store_f64(d, left, change);
    return norm_add(norm, sum, change);
}

static double ROWS(change)(AttackNorm norm, int64_t n, const void *point, const void *clean, double *d) {
    const Real *x1 = point, *x = clean;
    Lanes sum = lanes_all(0);
#define BODY(i, left) sum = ROWS(change_part)(norm, sum, x1 + (i), x + (i), d + (i), left)
    LANES_EACH(n, BODY);
#undef BODY
    return norm_end(norm, sum);
}

LANES_FN void ROWS(draw_part)(Lanes part, const Real *x, const double *d, Real *x1, int64_t left) {
    STORE(x1, left, lanes_add(LOAD(x, left), lanes_mul(part, lanes_load_f64(d, left))));
}

static void ROWS(draw_back)(double part, int64_t n, const void *clean, const double *d, void *point) {
    const Real *x = clean;
    Real *x1 = point;
    Lanes all = lanes_all(part);
#define BODY(i, left) ROWS(draw_part)(all, x + (i), d + (i), x1 + (i), left)
    LANES_EACH(n, BODY);
#undef BODY
}
