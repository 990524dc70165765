/* blocks.c -- the proof of a table of blocks, and its values (tabulate.h).
 *
 * With I the function that the table gives in real arithmetic and f the cell's, each block is proved by cutting it
 * until each piece is good:
 *   - a piece of whole cells: f lies within r of a linear function, so does each value but for its rounding `off`, and
 *     I reproduces linear functions; so |I - f| <= 2 r + off (whole_bound).
 *   - a piece in one cell: I is linear but for small mixed terms, known; with the form of f
 *     |I - f| <= |c - c'| + |slope - slope'| + r + r' (cell_bound).
 * A bound well above all errors that were met is made closer by cutting further, within limits, so that what is proved
 * is no more than needed.  A piece whose middle is surely too far off, or that became too small, raises its block's
 * level, and the block starts again.  Rounding may put a place into the block beside: pieces at an inner border of a
 * block reach beyond it by `edge`, where I goes on linearly (so weights may leave 0 .. 1, by edge times the cells
 * of a block). */
#include "experiment/tabulate.h"

#include <math.h>

static const double DEEPEST = 0x1p-12, SMALL = 0x1p-3;        /* of a cell */
static const int64_t MOST_PIECES = (int64_t)1 << 27;

/* In blocks.  known: the values at the corners of its cell. */
typedef struct Piece {
    double lo[BOUND_ARGUMENTS], hi[BOUND_ARGUMENTS], corner[TABLE_CORNERS];
    int64_t block; uint8_t level; bool known;
} Piece;

typedef struct Round { double *middle, *half, *form, *place, *value; Piece *piece; int *need; } Round;
/* next: the first block that was not begun; seen: the largest error met. */
typedef struct Proof {
    Tabling *t;
    Arena *arena;
    VEC(Piece) stack;
    Round r;
    int64_t next, pieces;
    double seen;
    ProofEnd end;
} Proof;

double table_place(const Tabling *t, int j, double u) { return t->s->lo[j] + u / t->scale[j]; }

double table_value(const Tabling *t, const double *form, double *off) {
    double c = form[0];
    *off = form[t->k + 1] + fabs(c) * t->unit + 0x1p-149;
    if (!isfinite(*off)) *off = INFINITY;
    return t->unit < 0x1p-30 ? c : (double)(float)c;
}

static void block_corner(const Tabling *t, int64_t block, double *lo) {
    for (int j = t->k - 1; j >= 0; j--, block /= t->blocks) lo[j] = (double)(block % t->blocks);
}

/* ---- pieces ---- */

/* Cells of its block along each argument. */
static double cells_of(const Piece *piece) { return (double)(1 << piece->level); }

static bool is_single(const Tabling *t, const Piece *piece) {
    double r = cells_of(piece);
    for (int j = 0; j < t->k; j++)
        if (ceil(piece->hi[j] * r) - floor(piece->lo[j] * r) > 1) return false;
    return true;
}

/* With the reach over inner borders of its block. */
static void reach(const Tabling *t, const Piece *piece, int j, double *lo, double *hi) {
    *lo = piece->lo[j], *hi = piece->hi[j];
    if (*lo == floor(*lo) && *lo > 0) *lo -= t->edge;
    if (*hi == floor(*hi) && *hi < (double)t->blocks) *hi += t->edge;
}

/* The corners of a piece's cell: corner m is one node further along the axes of m's bits. */
static void corner_places(const Tabling *t, const Piece *piece, double *at) {
    double r = cells_of(piece);
    for (int m = 0; m < 1 << t->k; m++)
        for (int j = 0; j < t->k; j++)
            at[m * t->k + j] = table_place(t, j, (floor(piece->lo[j] * r) + (m >> j & 1)) / r);
}

/* The multilinear function on a piece of one cell, as a form: c, slopes, r of the mixed terms.
 * Axis by axis: the value at the middle, half the rise over the piece; bit j: the coefficient of e[j]. */
static void table_form(const Tabling *t, const Piece *piece, double *c, double *slope, double *rest) {
    double v[TABLE_CORNERS] = {0}, size = 0, r = cells_of(piece);
    for (int m = 0; m < 1 << t->k; m++) size += fabs(v[m] = piece->corner[m]);
    for (int j = 0; j < t->k; j++) {
        double lo, hi;
        reach(t, piece, j, &lo, &hi);
        double middle = (lo + hi) / 2 * r - floor(piece->lo[j] * r), half = (hi - lo) / 2 * r;
        for (int m = 0; m < 1 << t->k; m++) {
            if (m >> j & 1) continue;
            double a = v[m], rise = v[m | 1 << j] - a;
            v[m] = a + middle * rise;
            v[m | 1 << j] = half * rise;
        }
    }
    *c = v[0];
    *rest = 0x1p-40 * size;
    for (int j = 0; j < t->k; j++) slope[j] = v[1 << j];
    for (int m = 3; m < 1 << t->k; m++)
        if (m & (m - 1)) *rest += fabs(v[m]);
}

/* Of whole cells; parts of one have known corners. */
static double whole_bound(const Tabling *t, const Piece *piece, const double *form) {
    double r = form[t->k + 1], weights = pow(1 + 2.1 * t->edge * cells_of(piece), t->k);
    return piece->known ? INFINITY : r + weights * (r + t->off);
}

/* *least: what |I - f| is at least, at the middle. */
static double cell_bound(const Tabling *t, const Piece *piece, const double *form, double *least) {
    double rest = form[t->k + 1], c, r, slope[BOUND_ARGUMENTS];
    table_form(t, piece, &c, slope, &r);
    double apart = fabs(form[0] - c), bound = apart + rest + r;
    for (int j = 0; j < t->k; j++) bound += fabs(form[1 + j] - slope[j]);
    *least = apart - rest - r;
    return bound;
}

static void piece_cut(Proof *q, const Piece *piece) {
    int k = q->t->k, widest = 0;
    double most = -1, r = cells_of(piece);
    bool single = is_single(q->t, piece);
    for (int j = 0; j < k; j++) {
        double width = piece->hi[j] - piece->lo[j];
        if (width > most) most = width, widest = j;
    }
    double middle = (piece->lo[widest] + piece->hi[widest]) / 2;
    Piece a = *piece, b = *piece;
    if (!single) middle = floor(middle * r) / r;
    a.hi[widest] = b.lo[widest] = middle;
    vec_push(q->arena, &q->stack, b);
    vec_push(q->arena, &q->stack, a);
}

static bool is_within(const Tabling *t, const Piece *piece, double width) {
    for (int j = 0; j < t->k; j++)
        if ((piece->hi[j] - piece->lo[j]) * cells_of(piece) > width) return false;
    return true;
}

static void push_block(Proof *q, int64_t block) {
    Piece all = {.block = block, .level = q->t->level[block]};
    block_corner(q->t, block, all.lo);
    for (int j = 0; j < q->t->k; j++) all.hi[j] = all.lo[j] + 1;
    vec_push(q->arena, &q->stack, all);
}

static void raise_block(Proof *q, const Piece *piece) {
    Tabling *t = q->t;
    for (int j = 0; j < t->k; j++) t->at[j] = table_place(t, j, (piece->lo[j] + piece->hi[j]) / 2);
    if (piece->level >= lookup_deepest(t->k)) q->end = PROOF_FAILED;
    else t->level[piece->block]++, push_block(q, piece->block);
}

/* ---- rounds ---- */

static Round round_new(Arena *arena, int k) {
    int corners = 1 << k;
    return (Round){arena_array(arena, double, TABLE_CHUNK * k),
                   arena_array(arena, double, TABLE_CHUNK * k),
                   arena_array(arena, double, TABLE_CHUNK *(k + 2)),
                   arena_array(arena, double, TABLE_CHUNK * k * corners),
                   arena_array(arena, double, TABLE_CHUNK *(k + 2) * corners),
                   arena_array(arena, Piece, TABLE_CHUNK),
                   arena_array(arena, int, TABLE_CHUNK)};
}

/* Pieces from the top of the stack, filled up with blocks that were not begun; those of a lower level fall away. */
static int take_pieces(Proof *q) {
    Tabling *t = q->t;
    Round *r = &q->r;
    int count = 0;
    while (count < TABLE_CHUNK) {
        if (!q->stack.len && q->next < t->all) push_block(q, q->next++);
        if (!q->stack.len) break;
        Piece piece = q->stack.at[--q->stack.len];
        if (piece.level != t->level[piece.block]) continue;
        r->piece[count] = piece;
        for (int j = 0; j < t->k; j++) {
            double from, to;
            reach(t, &piece, j, &from, &to);
            double lo = table_place(t, j, from), hi = table_place(t, j, to);
            r->middle[count * t->k + j] = lo + (hi - lo) / 2;
            r->half[count * t->k + j] = (hi - lo) / 2;
        }
        count++;
    }
    return count;
}

/* The corners of the pieces r->need[0 .. n). */
static bool find_corners(Proof *q, int n) {
    Tabling *t = q->t;
    Round *r = &q->r;
    int corners = 1 << t->k;
    for (int i = 0; i < n; i++) corner_places(t, &r->piece[r->need[i]], r->place + (size_t)i * corners * t->k);
    if (n && !prover_run(t->p, (int64_t)n * corners, r->place, NULL, r->value)) return false;
    for (int i = 0; i < n; i++) {
        Piece *piece = &r->piece[r->need[i]];
        double off;
        piece->known = true;
        for (int m = 0; m < corners; m++)
            piece->corner[m] = table_value(t, r->value + (size_t)(i * corners + m) * (t->k + 2), &off);
    }
    return true;
}

static void judge(Proof *q, const Piece *piece, const double *form) {
    Tabling *t = q->t;
    double least = 0, bound = whole_bound(t, piece, form);
    if (piece->level != t->level[piece->block]) return;
    if (!(bound <= t->target) && is_single(t, piece)) bound = cell_bound(t, piece, form, &least);
    q->seen = fmax(q->seen, least);
    bool close = bound <= 1.05 * q->seen || bound <= 0.5 * t->target || is_within(t, piece, SMALL);
    if (bound <= t->target && close) t->worst = fmax(t->worst, bound);
    else if (bound <= t->target) piece_cut(q, piece);
    else if (least > t->target || is_within(t, piece, DEEPEST)) raise_block(q, piece);
    else piece_cut(q, piece);
}

static bool prove_round(Proof *q, int count) {
    Tabling *t = q->t;
    Round *r = &q->r;
    int parts = t->k + 2, need = 0;
    if (!prover_run(t->p, count, r->middle, r->half, r->form)) return false;
    for (int i = 0; i < count; i++) {
        const Piece *piece = &r->piece[i];
        bool open = !piece->known && is_single(t, piece);
        if (open && !(whole_bound(t, piece, r->form + i * parts) <= t->target)) r->need[need++] = i;
    }
    if (!find_corners(q, need)) return false;
    for (int i = count - 1; i >= 0 && q->end == PROOF_DONE; i--) judge(q, &r->piece[i], r->form + i * parts);
    return true;
}

ProofEnd table_prove(Tabling *t) {
    Proof q = {.t = t, .arena = arena_new()};
    q.r = round_new(q.arena, t->k);
    t->worst = 0;
    while (q.end == PROOF_DONE && (q.stack.len || q.next < t->all)) {
        int count = take_pieces(&q);
        q.pieces += count;
        if (q.pieces > MOST_PIECES) q.end = PROOF_LONG;
        else if (count && !prove_round(&q, count)) q.end = PROOF_ERROR;
    }
    arena_free(q.arena);
    return q.end;
}

/* ---- values ---- */

int64_t table_values(const Tabling *t) {
    int64_t n = 0;
    for (int64_t b = 0; b < t->all; b++) n += lookup_values(t->k, t->level[b]);
    return n;
}

/* The node whose value stands at `slot` of a block. */
static void slot_node(int k, int level, int64_t slot, int64_t *i) {
    int64_t r = INT64_C(1) << level, s = r + 1, pair = slot / 2, side = slot % 2;
    if (k == 1) i[0] = slot;
    if (k == 2) i[0] = pair / s + side, i[1] = pair % s;
    if (k == 3) i[0] = pair / s / r, i[1] = pair / s % r + side, i[2] = pair % s;
}

/* What neighbours in a block differ by along each axis, times its cells, at most; the largest value and difference. */
static void block_rises(const Tabling *t, int level, const double *v, double *rise, double *most, double *steepest) {
    int64_t n = lookup_values(t->k, level), i[3], r = INT64_C(1) << level;
    for (int64_t slot = 0; slot < n; slot++) {
        slot_node(t->k, level, slot, i);
        *most = fmax(*most, fabs(v[slot]));
        for (int j = 0; j < t->k; j++) {
            bool other = j == t->k - 2 && slot % 2;
            if (i[j] == r || other) continue;
            double difference = fabs(v[slot + lookup_beside(t->k, level, j)] - v[slot]);
            rise[j] = fmax(rise[j], difference * (double)r);
            *steepest = fmax(*steepest, difference);
        }
    }
}

typedef struct Filling {
    Tabling *t;
    double *value, *middle, *form, off;
    int64_t first, count;                      /* values that are due */
} Filling;

static bool fill_due(Filling *f) {
    Tabling *t = f->t;
    if (!prover_run(t->p, f->count, f->middle, NULL, f->form)) return false;
    for (int64_t i = 0; i < f->count; i++) {
        double off;
        f->value[f->first + i] = table_value(t, f->form + i * (t->k + 2), &off);
        f->off = fmax(f->off, off);
    }
    f->first += f->count;
    f->count = 0;
    return true;
}

static bool fill_block(Filling *f, int64_t block) {
    Tabling *t = f->t;
    int level = t->level[block];
    int64_t i[3];
    double lo[BOUND_ARGUMENTS], r = (double)(1 << level);
    block_corner(t, block, lo);
    for (int64_t slot = 0; slot < lookup_values(t->k, level); slot++) {
        slot_node(t->k, level, slot, i);
        for (int j = 0; j < t->k; j++) f->middle[f->count * t->k + j] = table_place(t, j, lo[j] + (double)i[j] / r);
        if (++f->count == TABLE_CHUNK && !fill_due(f)) return false;
    }
    return true;
}

/* Reading: u = (x - lo) scale is off by two roundings; what follows is exact but for one difference and one fma for
 * each axis. */
bool table_fill(Tabling *t, double *value, int32_t *index, double *off, double *reading) {
    Arena *arena = arena_new();
    Filling f = {.t = t, .value = value};
    f.middle = arena_array(arena, double, TABLE_CHUNK * t->k);
    f.form = arena_array(arena, double, TABLE_CHUNK *(t->k + 2));
    bool ok = true;
    int64_t at = 0;
    double rise[BOUND_ARGUMENTS] = {0}, most = 0, steepest = 0, sum = 0;
    for (int64_t b = 0; ok && b < t->all; b++) {
        index[b] = (int32_t)(t->level[b] << LOOKUP_SHIFT | at);
        at += lookup_values(t->k, t->level[b]);
        ok = fill_block(&f, b);
    }
    ok = ok && fill_due(&f);
    for (int64_t b = 0; ok && b < t->all; b++)
        block_rises(t, t->level[b], value + lookup_first(index[b]), rise, &most, &steepest);
    for (int j = 0; j < t->k; j++) sum += rise[j] * 2.01 * t->unit * (double)t->blocks;
    *off = f.off;
    *reading = 1.01 * (sum + t->k * t->unit * (most + 2 * steepest)) + 0x1p-140;
    arena_free(arena);
    return ok;
}
