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
    Lanes eps, lo, hi, step, part, rest;
    const Real *x, *g;
    Real *current, *previous;
} ROWS(Ascent);

LANES_FN void ROWS(ascend_part)(const ROWS(Ascent) *a, int64_t i, int64_t left) {
    Lanes x = LOAD(a->x + i, left), lo = lanes_sub(x, a->eps), hi = lanes_add(x, a->eps),
          c = LOAD(a->current + i, left);
    Lanes momentum = lanes_sub(c, LOAD(a->previous + i, left));
    Lanes v = lanes_moved(true, LOAD(a->g + i, left), c, a->step);
    v = lanes_min(lanes_max(lanes_min(lanes_max(v, lo), hi), a->lo), a->hi);
    memcpy(a->previous + i, a->current + i, (size_t)left * sizeof *a->previous);
    v = lanes_add(lanes_add(c, lanes_mul(a->part, lanes_sub(v, c))), lanes_mul(a->rest, momentum));
    STORE(a->current + i, left, lanes_min(lanes_max(lanes_min(lanes_max(v, lo), hi), a->lo), a->hi));
}

static void ROWS(ascend)(const Ball *b, double step, double a, int64_t n, const void *x, const void *g, void *current,
                         void *previous) {
    const ROWS(Ascent) all = {lanes_all(b->eps), lanes_all(b->lo), lanes_all(b->hi), lanes_all(step),
                              lanes_all(a), lanes_all(1 - a), x, g, current, previous};
#define BODY(i, left) ROWS(ascend_part)(&all, i, left)
    LANES_EACH(n, BODY);
#undef BODY
}

/* ---- FAB ---- */

/* Of two points, x1 and x: their products with w; the rooms on the side where w times the sign sends them, in m, with
 * |w| in `size`; sums of |w| m, and of |w| where there is room. */
typedef struct ROWS(Rooms) {
    double *size, *m[2];
    Lanes lo, hi, dot[2], weight[2], sum[2];
} ROWS(Rooms);

/* down: the sign of each point is 1. */
LANES_FN void ROWS(rooms_part)(const bool *down, ROWS(Rooms) *r, const Real *w, const Real *x1, const Real *x,
                               int64_t i, int64_t left) {
    Lanes v = LOAD(w + i, left), size = lanes_abs(v), at[2] = {LOAD(x1 + i, left), LOAD(x + i, left)};
    lanes_store_f64(r->size + i, left, size);
#define POINT(k)                                                                                       \
    Lanes room##k = down[k] ? lanes_between(v, at[k], r->lo, r->hi, at[k])                             \
                            : lanes_between(v, r->hi, at[k], at[k], r->lo);                            \
    lanes_store_f64(r->m[k] + i, left, room##k);                                                       \
    r->dot[k] = lanes_add(r->dot[k], lanes_mul(v, at[k]));                                             \
    r->sum[k] = lanes_add(r->sum[k], lanes_mul(size, room##k));                                        \
    r->weight[k] = lanes_add_rest(room##k, lanes_all(0), r->weight[k], size);
    POINT(0)
    POINT(1)
#undef POINT
}

/* x1 = (1 - alpha) (x1 + beyond d1) + alpha (x + beyond d2) in the box; d: against the sign of w times sign, by level
 * or room. */
typedef struct ROWS(Mix) { Lanes rest, part, lo, hi, far, level[2]; const double *m[2]; } ROWS(Mix);

LANES_FN Lanes ROWS(beyond)(bool down, const ROWS(Mix) *a, int k, Lanes v, Lanes x, int64_t i, int64_t left) {
    Lanes move = lanes_mul(a->far, lanes_min(a->level[k], lanes_load_f64(a->m[k] + i, left)));
    return lanes_moved(!down, v, x, move);
}

LANES_FN void ROWS(mix_part)(const bool *down, const ROWS(Mix) *a, const Real *w, const Real *x, Real *x1, int64_t i,
                             int64_t left) {
    Lanes v = LOAD(w + i, left), u1 = ROWS(beyond)(down[0], a, 0, v, LOAD(x1 + i, left), i, left),
          u2 = ROWS(beyond)(down[1], a, 1, v, LOAD(x + i, left), i, left);
    Lanes u = lanes_add(lanes_mul(a->rest, u1), lanes_mul(a->part, u2));
    STORE(x1 + i, left, lanes_min(lanes_max(u, a->lo), a->hi));
}

LANES_FN ROWS(Rooms) ROWS(rooms_of)(const bool *down, const Ball *b, double *scratch, int64_t n, const Real *w,
                                    const Real *x1, const Real *x) {
    Lanes zero = lanes_all(0);
    ROWS(Rooms) r = {scratch, {scratch + n, scratch + 2 * n}, lanes_all(b->lo), lanes_all(b->hi),
                     {zero, zero}, {zero, zero}, {zero, zero}};
#define BODY(i, left) ROWS(rooms_part)(down, &r, w, x1, x, i, left)
    LANES_EACH(n, BODY);
#undef BODY
    return r;
}

LANES_FN void ROWS(mix_of)(const bool *down, const ROWS(Mix) *all, int64_t n, const Real *w, const Real *x, Real *x1) {
#define BODY(i, left) ROWS(mix_part)(down, all, w, x, x1, i, left)
    LANES_EACH(n, BODY);
#undef BODY
}

/* A loop of its own for each pair of signs. */
#define BY_SIDES(down, CALL)                          \
    switch (2 * (down)[0] + (down)[1]) {              \
    case 0: CALL(((const bool[]){false, false})); break; \
    case 1: CALL(((const bool[]){false, true})); break;  \
    case 2: CALL(((const bool[]){true, false})); break;  \
    default: CALL(((const bool[]){true, true})); break;  \
    }

static void ROWS(mix)(const Ball *b, double alpha, const bool *down, const double *level, double *const *m, int64_t n,
                      const Real *w, const Real *x, Real *x1) {
    const ROWS(Mix) all = {lanes_all(1 - alpha), lanes_all(alpha), lanes_all(b->lo), lanes_all(b->hi),
                           lanes_all(FAB_BEYOND), {lanes_all(level[0]), lanes_all(level[1])}, {m[0], m[1]}};
#define CALL(sides) ROWS(mix_of)(sides, &all, n, w, x, x1)
    BY_SIDES(down, CALL)
#undef CALL
}

static void ROWS(rooms)(const bool *down, const Ball *b, double *scratch, int64_t n, const Real *w, const Real *x1,
                        const Real *x, ROWS(Rooms) *out) {
#define CALL(sides) *out = ROWS(rooms_of)(sides, b, scratch, n, w, x1, x)
    BY_SIDES(down, CALL)
#undef CALL
}
#undef BY_SIDES

/* How far a point goes at most: its level, or its largest room where no level reaches the plane. */
static double ROWS(reach)(double level, const double *m, int64_t n) {
    return isinf(level) ? largest_loop(m, n) : level;
}

/* The sides are guessed first, as they are mostly: x1 where the offset says, the clean point before the plane. */
static void ROWS(approach)(const Ball *b, int64_t n, const void *plane, const void *clean, double offset,
                           double *scratch, void *point) {
    const Real *w = plane, *x = clean;
    Real *x1 = point;
    ROWS(Rooms) r;
    bool guess[2] = {offset >= 0, false}, down[2], near[2];
    double dot[2], b0, c[2], level[2];
    ROWS(rooms)(guess, b, scratch, n, w, x1, x, &r);
    for (int k = 0; k < 2; k++) dot[k] = lanes_tree(r.dot[k]);
    b0 = dot[0] - offset;
    for (int k = 0; k < 2; k++) down[k] = !(dot[k] - b0 < 0);
    if (down[0] != guess[0] || down[1] != guess[1]) ROWS(rooms)(down, b, scratch, n, w, x1, x, &r);
    for (int k = 0; k < 2; k++) {
        c[k] = fabs(dot[k] - b0);
        near[k] = !(c[k] >= lanes_tree(r.sum[k]));
        level[k] = near[k] ? level_first(c[k], lanes_tree(r.weight[k])) : INFINITY;
    }
    level_pair(r.size, r.m, n, c, near, level);
    ROWS(mix)(b, fab_alpha(ROWS(reach)(level[0], r.m[0], n), ROWS(reach)(level[1], r.m[1], n)), down, level, r.m, n, w,
              x, x1);
}

LANES_FN Lanes ROWS(change)(const Real *x1, const Real *x, int64_t left) {
    return lanes_sub(LOAD(x1, left), LOAD(x, left));
}

static double ROWS(distance)(AttackNorm norm, int64_t n, const void *point, const void *clean) {
    const Real *x1 = point, *x = clean;
    Lanes sum = lanes_all(0);
#define BODY(i, left) sum = norm_add(norm, sum, ROWS(change)(x1 + (i), x + (i), left))
    LANES_EACH(n, BODY);
#undef BODY
    return norm_end(norm, sum);
}

LANES_FN void ROWS(draw_part)(Lanes part, const Real *x, Real *x1, int64_t left) {
    STORE(x1, left, lanes_add(LOAD(x, left), lanes_mul(part, ROWS(change)(x1, x, left))));
}

static void ROWS(draw_back)(double part, int64_t n, const void *clean, void *point) {
    const Real *x = clean;
    Real *x1 = point;
    Lanes all = lanes_all(part);
#define BODY(i, left) ROWS(draw_part)(all, x + (i), x1 + (i), left)
    LANES_EACH(n, BODY);
#undef BODY
}
