/* tabulate.c -- the smallest table of a cell whose error is proved: `tabulated[error:, over:, outside:]`.
 *
 * With values v[i] at the even nodes of the box, I the multilinear function between them, f the cell in real numbers:
 *
 *     |computed table - computed cell|  <=  |I - f|  +  what reading the table rounds  +  what the cell itself rounds
 *
 * The third is bounded by prover_rounding, the second below (reading_error).  The first is proved by cutting the box,
 * measured in nodes, until each piece is good:
 *   - a piece of whole cells of the table: f lies within r of a linear function, so does each v but for its rounding d,
 *     and I reproduces linear functions; so |I - f| <= 2 r + d (whole_bound).
 *   - a piece in one cell of the table: I is linear but for small mixed terms, known; with the form of f
 *     |I - f| <= |c - c'| + |slope - slope'| + r + r' (cell_bound).
 * A piece whose middle is surely too far off (found by the same form) shows that the table is too small.
 * The number of nodes is doubled until a proof succeeds, then found by bisection, to 1 in NEAR; where earlier tables
 * failed is looked at first.  Only values that a proof asks for are computed; d and what reading rounds are guessed from
 * a sample, and checked when the table that was found is filled.  Nothing depends on the machine. */
#include "experiment/prove.h"

#include <math.h>

enum { CHUNK = 1 << 14, HOT = 64, CORNERS = 8, SAMPLE = 4096, NEAR = 64 };
static const double DEEPEST = 0x1p-12;         /* of a cell of the table */
static const int64_t MOST_PIECES = (int64_t)1 << 25, MOST_BYTES = (int64_t)1 << 27;

/* In nodes.  known: the values at the corners of its cell of the table. */
typedef struct Piece { double lo[BOUND_ARGUMENTS], hi[BOUND_ARGUMENTS], corner[CORNERS]; bool known; } Piece;

typedef enum Verdict { PROVED, TOO_SMALL, OPEN } Verdict;

typedef struct Search {
    Prover *p;
    Strategy *s;
    int k;
    double unit;                               /* half of the distance between neighbours at 1 */
    Arena *arena;                              /* of one attempt */
    double scale[BOUND_ARGUMENTS];
    double cell_error, off, reading;           /* the cell's rounding; most that a value is off; what reading rounds */
    double target;                             /* for |I - f| */
    double worst;                              /* the largest bound that was accepted; or what was seen where not */
    double seen;                               /* the root mean square of the error on a sample */
    double at[BOUND_ARGUMENTS];                /* where it failed */
    VEC(Piece) stack;
    double hot[HOT][BOUND_ARGUMENTS]; int hots;
} Search;

/* ---- the table ---- */

static int64_t nodes_in_all(const Search *q) {
    int64_t n = 1;
    for (int j = 0; j < q->k; j++) n *= q->s->nodes;
    return n;
}

static double node_place(const Search *q, int j, double i) { return q->s->lo[j] + i / q->scale[j]; }

/* A value as it will be read; *off: how far from the cell it may be. */
static double value_of(const Search *q, const double *form, double *off) {
    double c = form[0];
    *off = form[q->k + 1] + fabs(c) * q->unit + 0x1p-149;
    if (!isfinite(*off)) *off = INFINITY;
    return q->unit < 0x1p-30 ? c : (double)(float)c;
}

/* All values; *off: the most that one of them is off. */
static bool table_fill(Search *q, double *value, double *off) {
    int64_t n = nodes_in_all(q);
    int parts = q->k + 2;
    double *middle = arena_array(q->arena, double, (size_t)CHUNK * q->k),
           *form = arena_array(q->arena, double, (size_t)CHUNK *parts);
    *off = 0;
    for (int64_t first = 0; first < n; first += CHUNK) {
        int64_t count = n - first < CHUNK ? n - first : CHUNK;
        for (int64_t i = 0; i < count; i++) {
            int64_t at = first + i;
            for (int j = q->k - 1; j >= 0; j--, at /= q->s->nodes)
                middle[i * q->k + j] = node_place(q, j, (double)(at % q->s->nodes));
        }
        if (!prover_run(q->p, count, middle, NULL, form)) return false;
        for (int64_t i = 0; i < count; i++) {
            double one;
            value[first + i] = value_of(q, form + i * parts, &one);
            *off = fmax(*off, one);
        }
    }
    return true;
}

/* Reading: u = (x - lo) scale is off by two roundings; each axis subtracts and does one fma.  The part of u behind the
 * point is exact.  With D[j] the largest difference of neighbours along axis j and V the largest value. */
static double reading_error(const Search *q, const double *value) {
    int64_t n = nodes_in_all(q), step = 1;
    double most = 0, sum = 0, steepest = 0;
    for (int64_t i = 0; i < n; i++) most = fmax(most, fabs(value[i]));
    for (int j = q->k - 1; j >= 0; j--, step *= q->s->nodes) {
        double difference = 0;
        for (int64_t i = 0; i < n; i++)
            if (i / step % q->s->nodes + 1 < q->s->nodes)
                difference = fmax(difference, fabs(value[i + step] - value[i]));
        sum += difference * 2.01 * q->unit * (double)q->s->nodes;
        steepest = fmax(steepest, difference);
    }
    return 1.01 * (sum + q->k * q->unit * (most + 2 * steepest)) + 0x1p-140;
}

/* ---- pieces ---- */

static bool is_single(const Search *q, const Piece *piece) {
    for (int j = 0; j < q->k; j++)
        if (ceil(piece->hi[j]) - floor(piece->lo[j]) > 1) return false;
    return true;
}

/* The corners of a piece's cell of the table: corner m is one node further along the axes of m's bits. */
static void corner_places(const Search *q, const Piece *piece, double *at) {
    for (int m = 0; m < 1 << q->k; m++)
        for (int j = 0; j < q->k; j++) {
            double i = fmin(floor(piece->lo[j]), (double)(q->s->nodes - 2));
            at[m * q->k + j] = node_place(q, j, i + (m >> j & 1));
        }
}

/* The multilinear function on a piece of one cell of the table, as a form: c, slopes, r of the mixed terms. */
static void table_form(const Search *q, const Piece *piece, double *c, double *slope, double *r) {
    double v[CORNERS] = {0}, size = 0;
    for (int m = 0; m < 1 << q->k; m++) size += fabs(v[m] = piece->corner[m]);
    /* axis by axis: the value at the middle, half the rise over the piece; bit j: the coefficient of e[j] */
    for (int j = 0; j < q->k; j++) {
        double t = (piece->lo[j] + piece->hi[j]) / 2 - fmin(floor(piece->lo[j]), (double)(q->s->nodes - 2));
        for (int m = 0; m < 1 << q->k; m++) {
            if (m >> j & 1) continue;
            double a = v[m], rise = v[m | 1 << j] - a;
            v[m] = a + t * rise;
            v[m | 1 << j] = (piece->hi[j] - piece->lo[j]) / 2 * rise;
        }
    }
    *c = v[0];
    *r = 0x1p-44 * size;
    for (int j = 0; j < q->k; j++) slope[j] = v[1 << j];
    for (int m = 3; m < 1 << q->k; m++)
        if (m & (m - 1)) *r += fabs(v[m]);
}

/* Of whole cells of the table; parts of one have known corners. */
static double whole_bound(const Search *q, const Piece *piece, const double *form) {
    return piece->known ? INFINITY : 2 * form[q->k + 1] + q->off;
}

/* *least: what |I - f| is at least, at the middle. */
static double cell_bound(const Search *q, const Piece *piece, const double *form, double *least) {
    double rest = form[q->k + 1], c, r, slope[BOUND_ARGUMENTS];
    table_form(q, piece, &c, slope, &r);
    double apart = fabs(form[0] - c), bound = apart + rest + r;
    for (int j = 0; j < q->k; j++) bound += fabs(form[1 + j] - slope[j]);
    *least = apart - rest - r;
    return bound;
}

static void piece_cut(Search *q, const Piece *piece) {
    int widest = 0;
    double most = -1;
    bool single = is_single(q, piece);
    for (int j = 0; j < q->k; j++) {
        double width = single ? piece->hi[j] - piece->lo[j] : ceil(piece->hi[j]) - floor(piece->lo[j]);
        if (width > most) most = width, widest = j;
    }
    double middle = (piece->lo[widest] + piece->hi[widest]) / 2;
    Piece a = *piece, b = *piece;
    if (!single) middle = floor(middle);
    a.hi[widest] = b.lo[widest] = middle;
    vec_push(q->arena, &q->stack, b);
    vec_push(q->arena, &q->stack, a);
}

static bool is_deepest(const Search *q, const Piece *piece) {
    for (int j = 0; j < q->k; j++)
        if (piece->hi[j] - piece->lo[j] > DEEPEST) return false;
    return true;
}

static void note_failure(Search *q, const Piece *piece, double seen) {
    double *hot = q->hot[q->hots++ % HOT];
    for (int j = 0; j < q->k; j++) q->at[j] = hot[j] = node_place(q, j, (piece->lo[j] + piece->hi[j]) / 2);
    q->worst = seen;
}

/* The whole box, and above it the cells where earlier tables failed. */
static void stack_begin(Search *q) {
    Piece all = {.known = false};
    for (int j = 0; j < q->k; j++) all.lo[j] = 0, all.hi[j] = (double)(q->s->nodes - 1);
    vec_push(q->arena, &q->stack, all);
    for (int i = 0; i < q->hots && i < HOT; i++) {
        for (int j = 0; j < q->k; j++) {
            double t = floor((q->hot[i][j] - q->s->lo[j]) * q->scale[j]);
            all.lo[j] = fmax(0, fmin(t, (double)(q->s->nodes - 2)));
            all.hi[j] = all.lo[j] + 1;
        }
        vec_push(q->arena, &q->stack, all);
    }
}

typedef struct Round { double *middle, *half, *form, *place, *value; Piece *piece; int *need; } Round;

static Round round_new(const Search *q) {
    int corners = 1 << q->k;
    return (Round){arena_array(q->arena, double, CHUNK * q->k),
                   arena_array(q->arena, double, CHUNK * q->k),
                   arena_array(q->arena, double, CHUNK *(q->k + 2)),
                   arena_array(q->arena, double, CHUNK * q->k * corners),
                   arena_array(q->arena, double, CHUNK *(q->k + 2) * corners),
                   arena_array(q->arena, Piece, CHUNK),
                   arena_array(q->arena, int, CHUNK)};
}

static int take_pieces(Search *q, Round *r) {
    int count = q->stack.len < CHUNK ? q->stack.len : CHUNK;
    q->stack.len -= count;
    for (int i = 0; i < count; i++) {
        r->piece[i] = q->stack.at[q->stack.len + count - 1 - i];
        for (int j = 0; j < q->k; j++) {
            double lo = node_place(q, j, r->piece[i].lo[j]), hi = node_place(q, j, r->piece[i].hi[j]);
            r->middle[i * q->k + j] = lo + (hi - lo) / 2;
            r->half[i * q->k + j] = (hi - lo) / 2;
        }
    }
    return count;
}

/* The corners of the pieces r->need[0 .. n). */
static bool find_corners(Search *q, Round *r, int n) {
    int corners = 1 << q->k;
    for (int i = 0; i < n; i++) corner_places(q, &r->piece[r->need[i]], r->place + (size_t)i * corners * q->k);
    if (n && !prover_run(q->p, (int64_t)n * corners, r->place, NULL, r->value)) return false;
    for (int i = 0; i < n; i++) {
        Piece *piece = &r->piece[r->need[i]];
        double off;
        piece->known = true;
        for (int m = 0; m < corners; m++)
            piece->corner[m] = value_of(q, r->value + (size_t)(i * corners + m) * (q->k + 2), &off);
    }
    return true;
}

/* The pieces on top of the stack: good, cut, or a failure. */
static bool prove_round(Search *q, Round *r, Verdict *verdict) {
    int count = take_pieces(q, r), parts = q->k + 2, need = 0;
    if (!prover_run(q->p, count, r->middle, r->half, r->form)) return false;
    for (int i = 0; i < count; i++)
        if (is_single(q, &r->piece[i]) && !(whole_bound(q, &r->piece[i], r->form + i * parts) <= q->target) &&
            !r->piece[i].known)
            r->need[need++] = i;
    if (!find_corners(q, r, need)) return false;
    for (int i = count - 1; i >= 0; i--) {
        const double *form = r->form + i * parts;
        double least = 0, bound = whole_bound(q, &r->piece[i], form);
        if (!(bound <= q->target) && is_single(q, &r->piece[i])) bound = cell_bound(q, &r->piece[i], form, &least);
        if (bound <= q->target) {
            q->worst = fmax(q->worst, bound);
            continue;
        }
        if (least > q->target || is_deepest(q, &r->piece[i])) {
            *verdict = least > q->target ? TOO_SMALL : OPEN;
            note_failure(q, &r->piece[i], least > q->target ? least : bound);
            return true;
        }
        piece_cut(q, &r->piece[i]);
    }
    return true;
}

/* Is |I - f| <= target everywhere?  False after diagnostics. */
static bool prove(Search *q, Verdict *verdict) {
    Round r = round_new(q);
    int64_t pieces = 0;
    *verdict = PROVED;
    q->worst = 0;
    stack_begin(q);
    while (q->stack.len && *verdict == PROVED) {
        pieces += q->stack.len < CHUNK ? q->stack.len : CHUNK;
        if (!prove_round(q, &r, verdict)) return false;
        if (pieces > MOST_PIECES && q->stack.len) *verdict = OPEN;
    }
    return true;
}

/* Number i of places spread evenly over the box, the same ones for all tables: the additive recurrence with the roots
 * of x^(k+1) = x + 1. */
static double sample_place(const Search *q, int i, int j) {
    static const double step[3][3] = {{0.6180339887498949}, {0.7548776662466927, 0.5698402909980532},
                                      {0.8191725133961645, 0.6710436067037893, 0.5497004779019703}};
    return q->s->lo[j] + fmod(0.5 + i * step[q->k - 1][j], 1) * (q->s->hi[j] - q->s->lo[j]);
}

/* A guess at q->off and q->reading: the cell's values on a sample, and its slopes over a thousandth of the box. */
static bool guess_rounding(Search *q) {
    Arena *arena = arena_new();
    int parts = q->k + 2, each = q->k + 1;
    double *place = arena_array(arena, double, SAMPLE *each * q->k),
           *form = arena_array(arena, double, SAMPLE *each *parts), off, size = 0;
    double slope[BOUND_ARGUMENTS] = {0}, sum = 0;
    for (int i = 0; i < SAMPLE * each; i++)
        for (int j = 0; j < q->k; j++)
            place[i * q->k + j] = sample_place(q, i / each, j) +
                                  (i % each == j + 1 ? (q->s->hi[j] - q->s->lo[j]) / 1000 : 0);
    bool ok = prover_run(q->p, SAMPLE * each, place, NULL, form);
    q->off = 0;
    for (int i = 0; ok && i < SAMPLE; i++) {
        double c = value_of(q, form + i * each * parts, &off);
        q->off = fmax(q->off, off);
        size = fmax(size, fabs(c));
        for (int j = 0; j < q->k; j++) slope[j] = fmax(slope[j], 1000 * fabs(form[(i * each + j + 1) * parts] - c));
    }
    for (int j = 0; j < q->k; j++) sum += slope[j];
    q->off = 2 * q->off + 0x1p-140;
    q->reading = q->unit * (3 * sum + 4 * q->k * size) + 0x1p-130;
    arena_free(arena);
    return ok;
}

/* What is seen of the error on the sample: the root mean square; the largest goes to q->worst. */
static bool sampled_error(Search *q) {
    Round r = round_new(q);
    double sum = 0;
    for (int i = 0; i < SAMPLE; i++) {
        for (int j = 0; j < q->k; j++) {
            double x = r.middle[i * q->k + j] = sample_place(q, i, j);
            r.piece[i].lo[j] = r.piece[i].hi[j] = (x - q->s->lo[j]) * q->scale[j];
        }
        r.need[i] = i;
    }
    if (!find_corners(q, &r, SAMPLE) || !prover_run(q->p, SAMPLE, r.middle, NULL, r.form)) return false;
    for (int i = 0; i < SAMPLE; i++) {
        double c, rest, slope[BOUND_ARGUMENTS];
        table_form(q, &r.piece[i], &c, slope, &rest);
        double apart = fabs(r.form[i * (q->k + 2)] - c);
        q->worst = fmax(q->worst, apart);
        sum += apart * apart;
    }
    q->seen = sqrt(sum / SAMPLE);
    return true;
}

/* ---- the search ---- */

/* scale (hi - lo) <= nodes?  Without slack where difference and product are exact. */
static bool reaches(double scale, double lo, double hi, double nodes) {
    double width = hi - lo, back = width - hi, product = scale * width;
    bool exact = (hi - (width - back)) + (-lo - back) == 0 && fma(scale, width, -product) == 0;
    return exact ? product <= nodes : product * (1 + 0x1p-50) <= nodes;
}

/* The largest scale in the working precision with which the last node is not before hi. */
static double scale_down(double nodes, double lo, double hi, DType precision) {
    double scale = nodes / (hi - lo);
    if (precision == DT_F64) return nextafter(nextafter(scale, 0), 0);
    float down = (float)scale;
    while (!reaches((double)down, lo, hi, nodes)) down = nextafterf(down, 0);
    return down;
}

static void search_size(Search *q, int64_t nodes) {
    q->s->nodes = nodes;
    for (int j = 0; j < q->k; j++)
        q->scale[j] = scale_down((double)(nodes - 1), q->s->lo[j], q->s->hi[j], q->p->precision);
}

/* Can a table of so many nodes be proved? */
static bool attempt(Search *q, int64_t nodes, Verdict *verdict) {
    q->arena = arena_new();
    q->stack.at = NULL, q->stack.len = q->stack.cap = 0;
    search_size(q, nodes);
    q->target = q->s->error - q->cell_error - q->reading;
    bool ok = prove(q, verdict);
    if (ok && *verdict != PROVED) ok = sampled_error(q);
    arena_free(q->arena);
    return ok;
}

/* The table itself, which a proof was found for.  *holds: what was guessed about its rounding is true. */
static bool table_keep(Search *q, int64_t nodes, double worst, bool *holds) {
    Eval *e = q->p->e;
    Strategy *s = q->s;
    DType dtype = q->p->precision;
    double off, *value;
    q->arena = arena_new();
    search_size(q, nodes);
    int64_t n = nodes_in_all(q);
    value = arena_array(q->arena, double, n + 1);
    bool ok = table_fill(q, value, &off);
    *holds = ok && off <= q->off && reading_error(q, value) <= q->reading;
    if (*holds) {
        Tensor *t = arena_new_of(e->arena, Tensor);
        *t = (Tensor){dtype,
                      {q->k, {nodes, q->k > 1 ? nodes : 0, q->k > 2 ? nodes : 0}},
                      arena_alloc(e->arena, (size_t)n * dtype_size(dtype))};
        for (int64_t i = 0; i < n; i++) {
            if (dtype == DT_F64) ((double *)t->data)[i] = value[i];
            else ((float *)t->data)[i] = (float)value[i];
        }
        s->table = t;
        s->table_hash = fnv1a(t->data, (size_t)n * dtype_size(dtype), FNV1A_START);
        s->bound = (worst + q->cell_error + q->reading) * (1 + 0x1p-50);
        memcpy(s->scale, q->scale, sizeof s->scale);
    }
    arena_free(q->arena);
    return ok;
}

static int64_t most_nodes(const Search *q) {
    double each = q->p->precision == DT_F64 ? 8 : 4, n = (double)MOST_BYTES / each;
    return (int64_t)floor(q->k == 1 ? fmin(n, 1 << 20) : q->k == 2 ? sqrt(n) : cbrt(n) + 1e-9);
}

static const char *bytes_text(Arena *arena, double bytes) {
    static const char *const units[] = {"kB", "MB", "GB", "TB"};
    int u = 0;
    for (bytes /= 1e3; bytes >= 1000 && u < 3; u++) bytes /= 1e3;
    return bytes < 1e6 ? arena_printf(arena, "%.0f %s", bytes, units[u]) : "more than any machine has";
}

static const char *place_text(const Search *q) {
    Buf text = {0};
    for (int j = 0; j < q->k; j++) buf_printf(&text, "%s%.4g", j ? ", " : "", q->at[j]);
    return buf_done(&text, q->p->e->arena);
}

static bool refuse(Search *q, const char *why, const char *hint) {
    Diag *d = diag_add(q->p->e->diags, D_E0614, q->p->span, "%s: %s", q->s->asked, why);
    diag_hint(d, "%s", hint);
    return false;
}

/* The largest table failed: would a larger one do?  Where nodes are twice as many, the mean square of the error falls
 * to 1/16 with a smooth cell, to 1/8 with kinks (half as high and half as wide), to 1/2 with jumps (half as wide). */
static bool too_large(Search *q, int64_t nodes, double seen, int64_t fewer, double before) {
    Arena *arena = q->p->e->arena;
    double order = log(before / seen) / log((double)nodes / (double)fewer), bytes = q->p->precision == DT_F64 ? 8 : 4;
    if (!(order > 1))
        return refuse(q, arena_printf(arena, "the cell is not Lipschitz on this box (near %s)", place_text(q)),
                      "a smaller box");
    double more = pow(1.2 * q->worst / q->target, order > 1.75 ? 0.5 : 1);
    for (int j = 0; j < q->k; j++) bytes *= more * (double)nodes;
    return refuse(q,
                  arena_printf(arena, "needs about %s; a table has at most %s", bytes_text(arena, bytes),
                               bytes_text(arena, (double)MOST_BYTES)),
                  "a smaller box, a larger error");
}

/* From `bad` nodes, which are too few: the fewest that a proof is found for, and its bound. */
static bool fewest(Search *q, int64_t bad, int64_t *out, double *bound) {
    int64_t most = most_nodes(q), good = 0, n = bad + 1;
    double seen = INFINITY;
    Verdict verdict;
    while (!good || good - bad > 1 + good / NEAR) {
        if (!attempt(q, n, &verdict)) return false;
        if (verdict == PROVED) good = n, *bound = q->worst;
        else if (!good && n == most) return too_large(q, n, q->seen, bad, seen);
        else bad = n, seen = q->seen;
        n = good ? bad + (good - bad) / 2 : 2 * n - 1 < most ? 2 * n - 1 : most;
    }
    *out = good;
    return true;
}

static bool search(Search *q) {
    int64_t nodes = 1;
    double bound;
    bool holds = false;
    for (int turn = 0; turn < 8 && !holds; turn++, q->off *= 4, q->reading *= 4) {
        if (q->s->error - q->cell_error - q->reading <= 0)
            return refuse(
                q, arena_printf(q->p->e->arena, "what f32 rounds here is up to %.2g", q->cell_error + q->reading),
                "a larger error");
        if (!fewest(q, turn ? nodes - 1 : 1, &nodes, &bound) || !table_keep(q, nodes, bound, &holds)) return false;
    }
    return holds || refuse(q, "the cell is not Lipschitz on this box", "a smaller box");
}

static bool table_find(Eval *e, const Value *cell, int arguments, DType precision, Span span, Strategy *s) {
    Prover p;
    bool ok = prover_make(e, cell, arguments, precision, false, span, &p);
    Search q = {.p = &p, .s = s, .k = arguments, .unit = precision == DT_F64 ? 0x1p-53 : 0x1p-24};
    if (ok && p.unknown)
        ok = refuse(&q, arena_printf(e->arena, "no bound is known for %s, which the cell uses", p.unknown),
                    "grid, a fit, or exact");
    ok = ok && prover_rounding(&p, s->lo, s->hi, 0.02 * s->error, &q.cell_error);
    for (int j = 0; j < arguments; j++) q.at[j] = (s->lo[j] + s->hi[j]) / 2;
    if (ok && !(q.cell_error < INFINITY))
        ok = refuse(&q, "the cell is not Lipschitz on this box: it has no bound there", "a smaller box");
    if (ok && q.cell_error >= s->error && p.jumps)
        ok = refuse(&q, "the cell is not Lipschitz on this box: it jumps", "grid, or exact");
    if (ok && q.cell_error >= s->error)
        ok = refuse(&q,
                    arena_printf(e->arena, "the cell's own arithmetic is off by up to %.2g on this box", q.cell_error),
                    "a larger error");
    ok = ok && guess_rounding(&q) && search(&q);
    prover_free(&p);
    return ok;
}

/* ---- tables that were made before ---- */

typedef struct KeptTable { Arena *arena; Strategy strategy; } KeptTable;

void kept_table_free(void *kept) { arena_free(((KeptTable *)kept)->arena); }

static void *keep_nothing(void *data) { return data; }

static void table_take(Arena *arena, const Strategy *from, Strategy *s) {
    Tensor *t = arena_new_of(arena, Tensor);
    *t = *from->table;
    t->data = arena_copy(arena, t->data, (size_t)shape_size(&t->shape) * dtype_size(t->dtype));
    s->table = t;
    s->table_hash = from->table_hash;
    s->nodes = from->nodes;
    s->bound = from->bound;
    memcpy(s->scale, from->scale, sizeof s->scale);
}

/* The box in the working precision: nodes of a table must lie apart in it. */
static bool box_round(Eval *e, int arguments, DType precision, Span span, Strategy *s) {
    for (int j = 0; j < arguments; j++) {
        if (precision == DT_F32) s->lo[j] = (float)s->lo[j], s->hi[j] = (float)s->hi[j];
        double size = fmax(fabs(s->lo[j]), fabs(s->hi[j])), width = s->hi[j] - s->lo[j];
        if (width >= 0x1p-20 * size && width >= 0x1p-80 && width <= 0x1p120) continue;
        diag_add(e->diags, D_E0613, span, "a table over %g..%g has no room for its nodes in %s", s->lo[j], s->hi[j],
                 dtype_name(precision));
        return false;
    }
    return true;
}

bool table_make(Eval *e, const Value *cell, int arguments, DType precision, Span span, Strategy *s) {
    if (!box_round(e, arguments, precision, span, s)) return false;
    Cache *tables = lab_of(e)->tables;
    Buf key = {0};
    value_identity(cell, &key);
    buf_printf(&key, " in %s by %s", dtype_name(precision), s->asked);
    KeptTable *kept = cache_get(tables, key.at, key.len, keep_nothing, NULL);
    bool ok = kept || table_find(e, cell, arguments, precision, span, s);
    if (kept) table_take(e->arena, &kept->strategy, s);
    else if (ok) {
        Arena *arena = arena_new();
        kept = arena_new_of(arena, KeptTable);
        *kept = (KeptTable){.arena = arena, .strategy = *s};
        table_take(arena, s, &kept->strategy);
        if (cache_get(tables, key.at, key.len, keep_nothing, kept) != kept) kept_table_free(kept);
    }
    buf_free(&key);
    return ok;
}
