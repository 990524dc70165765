/* tabulate.c -- the smallest table of a cell whose error is proved: `tabulated[error:, over:, outside:]`.
 *
 * With values v[i] at the even nodes of the box, I the multilinear function between them, f the cell in real arithmetic:
 *
 *     |computed table - computed cell|  <=  |I - f|  +  what reading the table rounds  +  what the cell itself rounds
 *
 * The third is bounded by prover_rounding, the second below (reading_error).  The first is proved by cutting the box,
 * measured in nodes, until each piece is good (piece_bound):
 *   - a piece of several cells of the table: f lies within r of a linear function, so does each v but for its rounding d,
 *     and I reproduces linear functions; so |I - f| <= 2 r + d.
 *   - a piece of one cell of the table: I is linear but for small mixed terms, known; with the form of f
 *     |I - f| <= |c - c'| + |slope - slope'| + r + r'.
 * A piece whose middle is surely too far off (found by the same form) shows that the table is too small.
 * The number of nodes is doubled until a proof succeeds, then found by bisection; where earlier tables failed is
 * looked at first.  Nothing depends on the machine. */
#include "experiment/prove.h"

#include <math.h>

enum { CHUNK = 1 << 14, HOT = 64 };
static const double DEEPEST = 0x1p-12;         /* of a cell of the table */
static const int64_t MOST_PIECES = (int64_t)1 << 25, MOST_BYTES = (int64_t)1 << 24;

typedef struct Piece { double lo[BOUND_ARGUMENTS], hi[BOUND_ARGUMENTS]; } Piece;      /* in nodes */

typedef enum Verdict { PROVED, TOO_SMALL, OPEN } Verdict;

typedef struct Search {
    Prover *p;
    Strategy *s;
    int k;
    Arena *arena;                              /* of one table */
    double scale[BOUND_ARGUMENTS];
    double *value;                             /* [nodes, ..], as they will be read */
    double off;                                /* most that a value is off the cell, by rounding */
    double target;                             /* for |I - f| */
    double worst;                              /* the largest bound that was accepted; or what was seen where not */
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

static bool table_fill(Search *q) {
    int64_t n = nodes_in_all(q);
    int parts = q->k + 2;
    q->value = arena_array(q->arena, double, n + 1);
    double *middle = arena_array(q->arena, double, (size_t)CHUNK * q->k), *form = arena_array(q->arena, double, (size_t)CHUNK * parts);
    double unit = q->p->precision == DT_F64 ? 0x1p-53 : 0x1p-24;
    q->off = 0;
    for (int64_t first = 0; first < n; first += CHUNK) {
        int64_t count = n - first < CHUNK ? n - first : CHUNK;
        for (int64_t i = 0; i < count; i++) {
            int64_t at = first + i;
            for (int j = q->k - 1; j >= 0; j--, at /= q->s->nodes) middle[i * q->k + j] = node_place(q, j, (double)(at % q->s->nodes));
        }
        if (!prover_run(q->p, count, middle, NULL, form)) return false;
        for (int64_t i = 0; i < count; i++) {
            double c = form[i * parts], off = form[i * parts + parts - 1] + fabs(c) * unit + 0x1p-149;
            q->value[first + i] = q->p->precision == DT_F64 ? c : (double)(float)c;
            q->off = off <= q->off ? q->off : isfinite(off) ? off : INFINITY;
        }
    }
    return true;
}

/* Reading: u = (x - lo) scale is off by two roundings; each axis subtracts and does one fma.  The part of u behind the
 * point is exact.  With D[j] the largest difference of neighbours along axis j and V the largest value. */
static double reading_error(const Search *q) {
    int64_t n = nodes_in_all(q), step = 1;
    double unit = q->p->precision == DT_F64 ? 0x1p-53 : 0x1p-24, most = 0, sum = 0, steepest = 0;
    for (int64_t i = 0; i < n; i++) most = fmax(most, fabs(q->value[i]));
    for (int j = q->k - 1; j >= 0; j--, step *= q->s->nodes) {
        double difference = 0;
        for (int64_t i = 0; i < n; i++)
            if (i / step % q->s->nodes + 1 < q->s->nodes) difference = fmax(difference, fabs(q->value[i + step] - q->value[i]));
        sum += difference * 2.01 * unit * (double)q->s->nodes;
        steepest = fmax(steepest, difference);
    }
    return 1.01 * (sum + q->k * unit * (most + 2 * steepest)) + 0x1p-140;
}

/* ---- pieces ---- */

static bool is_single(const Search *q, const Piece *piece) {
    for (int j = 0; j < q->k; j++)
        if (ceil(piece->hi[j]) - floor(piece->lo[j]) > 1) return false;
    return true;
}

/* The multilinear function on a piece of one cell of the table, as a form: c, slopes, r of the mixed terms. */
static void table_form(const Search *q, const Piece *piece, double *c, double *slope, double *r) {
    double v[8], t[BOUND_ARGUMENTS], d[BOUND_ARGUMENTS];
    int64_t base = 0, step[BOUND_ARGUMENTS], each = 1;
    for (int j = q->k - 1; j >= 0; j--, each *= q->s->nodes) {
        double i = fmin(floor(piece->lo[j]), (double)(q->s->nodes - 2));
        step[j] = each;
        base += (int64_t)i * each;
        t[j] = (piece->lo[j] + piece->hi[j]) / 2 - i;
        d[j] = (piece->hi[j] - piece->lo[j]) / 2;
    }
    double size = 0;
    for (int m = 0; m < 1 << q->k; m++) {
        int64_t at = base;
        for (int j = 0; j < q->k; j++) at += m >> j & 1 ? step[j] : 0;
        v[m] = q->value[at];
        size += fabs(v[m]);
    }
    /* along each axis: (value at the middle, half the rise over the piece); the coefficient of e[j] .. is that of bit j */
    for (int j = 0; j < q->k; j++)
        for (int m = 0; m < 1 << q->k; m++) {
            if (m >> j & 1) continue;
            double a = v[m], rise = v[m | 1 << j] - a;
            v[m] = a + t[j] * rise;
            v[m | 1 << j] = d[j] * rise;
        }
    *c = v[0];
    *r = 0x1p-44 * size;
    for (int j = 0; j < q->k; j++) slope[j] = v[1 << j];
    for (int m = 3; m < 1 << q->k; m++)
        if (m & (m - 1)) *r += fabs(v[m]);
}

/* A bound on |I - f| over the piece; *least: what it is at least, at the middle. */
static double piece_bound(const Search *q, const Piece *piece, const double *form, double *least) {
    double rest = form[q->k + 1], c, r, slope[BOUND_ARGUMENTS];
    *least = 0;
    if (!is_single(q, piece)) return 2 * rest + q->off;
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
    Piece all;
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

/* One round: the pieces on top of the stack. */
static bool prove_round(Search *q, double *middle, double *half, double *form, Piece *piece, Verdict *verdict) {
    int count = q->stack.len < CHUNK ? q->stack.len : CHUNK, parts = q->k + 2;
    q->stack.len -= count;
    for (int i = 0; i < count; i++) {
        piece[i] = q->stack.at[q->stack.len + count - 1 - i];
        for (int j = 0; j < q->k; j++) {
            double lo = node_place(q, j, piece[i].lo[j]), hi = node_place(q, j, piece[i].hi[j]);
            middle[i * q->k + j] = lo + (hi - lo) / 2;
            half[i * q->k + j] = (hi - lo) / 2;
        }
    }
    if (!prover_run(q->p, count, middle, half, form)) return false;
    for (int i = count - 1; i >= 0; i--) {
        double least, bound = piece_bound(q, &piece[i], form + (size_t)i * parts, &least);
        if (bound <= q->target) {
            q->worst = fmax(q->worst, bound);
            continue;
        }
        if (least > q->target || is_deepest(q, &piece[i])) {
            *verdict = least > q->target ? TOO_SMALL : OPEN;
            note_failure(q, &piece[i], least > q->target ? least : bound);
            return true;
        }
        piece_cut(q, &piece[i]);
    }
    return true;
}

/* Is |I - f| <= target everywhere?  False after diagnostics. */
static bool prove(Search *q, Verdict *verdict) {
    double *middle = arena_array(q->arena, double, (size_t)CHUNK * q->k), *half = arena_array(q->arena, double, (size_t)CHUNK * q->k);
    double *form = arena_array(q->arena, double, (size_t)CHUNK * (q->k + 2));
    Piece *piece = arena_array(q->arena, Piece, CHUNK);
    int64_t pieces = 0;
    *verdict = PROVED;
    q->worst = 0;
    stack_begin(q);
    while (q->stack.len && *verdict == PROVED) {
        pieces += q->stack.len < CHUNK ? q->stack.len : CHUNK;
        if (!prove_round(q, middle, half, form, piece, verdict)) return false;
        if (pieces > MOST_PIECES && q->stack.len) *verdict = OPEN;
    }
    return true;
}

/* What is seen of the error at places spread evenly (the additive recurrence with the roots of x^(k+1) = x + 1), the
 * same ones for all tables of a box: the root mean square; the largest goes to q->worst. */
static bool sampled_error(Search *q, double *seen) {
    enum { SAMPLE = 4096 };
    static const double step[3][3] = {{0.6180339887498949}, {0.7548776662466927, 0.5698402909980532},
                                      {0.8191725133961645, 0.6710436067037893, 0.5497004779019703}};
    double *middle = arena_array(q->arena, double, SAMPLE * q->k), *form = arena_array(q->arena, double, SAMPLE * (q->k + 2)), sum = 0;
    for (int i = 0; i < SAMPLE; i++)
        for (int j = 0; j < q->k; j++)
            middle[i * q->k + j] = q->s->lo[j] + fmod(0.5 + i * step[q->k - 1][j], 1) * (q->s->hi[j] - q->s->lo[j]);
    if (!prover_run(q->p, SAMPLE, middle, NULL, form)) return false;
    for (int i = 0; i < SAMPLE; i++) {
        Piece at;
        double c, r, slope[BOUND_ARGUMENTS];
        for (int j = 0; j < q->k; j++) at.lo[j] = at.hi[j] = (middle[i * q->k + j] - q->s->lo[j]) * q->scale[j];
        table_form(q, &at, &c, slope, &r);
        double apart = fabs(form[i * (q->k + 2)] - c);
        q->worst = fmax(q->worst, apart);
        sum += apart * apart;
    }
    *seen = sqrt(sum / SAMPLE);
    return true;
}

/* ---- the search ---- */

/* The largest scale in the working precision with which the last node is not before hi. */
static double scale_down(double nodes, double lo, double hi, DType precision) {
    double scale = nodes / (hi - lo);
    if (precision == DT_F64) return nextafter(nextafter(scale, 0), 0);
    float down = (float)scale;
    while ((double)down * (hi - lo) * (1 + 0x1p-50) > nodes) down = nextafterf(down, 0);
    return down;
}

/* A table of so many nodes: *verdict; if it is proved, what the strategy then holds; else *bound: the error seen. */
static bool attempt(Search *q, int64_t nodes, double cell_error, double asked, Verdict *verdict, Tensor **table, double *bound) {
    Strategy *s = q->s;
    q->arena = arena_new();
    q->stack.at = NULL, q->stack.len = q->stack.cap = 0;
    s->nodes = nodes;
    for (int j = 0; j < q->k; j++) q->scale[j] = scale_down((double)(nodes - 1), s->lo[j], s->hi[j], q->p->precision);
    bool ok = table_fill(q);
    double reading = ok ? reading_error(q) : 0;
    q->target = asked - cell_error - reading;
    ok = ok && prove(q, verdict);
    if (ok && *verdict != PROVED) ok = sampled_error(q, bound);
    if (ok && *verdict == PROVED) {
        Eval *e = q->p->e;
        int64_t n = nodes_in_all(q);
        *table = arena_new_of(e->arena, Tensor);
        **table = (Tensor){DT_F64, {q->k, {nodes, q->k > 1 ? nodes : 0, q->k > 2 ? nodes : 0}}, arena_array(e->arena, double, n + 1)};
        memcpy((*table)->data, q->value, sizeof(double) * (size_t)n);
        *bound = (q->worst + cell_error + reading) * (1 + 0x1p-50);
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

/* The largest table failed: would a larger one do?  Where nodes are twice as many, the mean square of the error falls to
 * 1/16 with a smooth cell, to 1/8 with kinks (half as high and half as wide), to 1/2 with jumps (half as wide). */
static bool too_large(Search *q, int64_t nodes, double seen, int64_t fewer, double before) {
    Arena *arena = q->p->e->arena;
    double order = log(before / seen) / log((double)nodes / (double)fewer), bytes = q->p->precision == DT_F64 ? 8 : 4;
    if (!(order > 1))
        return refuse(q, arena_printf(arena, "the cell is not Lipschitz on this box (near %s)", place_text(q)), "a smaller box");
    double more = pow(1.2 * q->worst / q->target, order > 1.75 ? 0.5 : 1);
    for (int j = 0; j < q->k; j++) bytes *= more * (double)nodes;
    return refuse(q, arena_printf(arena, "needs about %s; a table has at most %s", bytes_text(arena, bytes), bytes_text(arena, (double)MOST_BYTES)),
                  "a smaller box, a larger error");
}

static bool search(Search *q, double cell_error, Strategy *out) {
    double asked = out->error, seen = INFINITY;
    int64_t most = most_nodes(q), bad = 1, good = 0, n = 2;
    Verdict verdict;
    Tensor *table = NULL;
    while (!good) {
        Strategy s = *out;
        q->s = &s;
        if (!attempt(q, n, cell_error, asked, &verdict, &table, &s.bound)) return false;
        if (verdict == PROVED) good = n, s.table = table, *out = s;
        else if (n == most) return too_large(q, n, s.bound, bad, seen);
        else {
            if (q->target <= 0)
                return refuse(q, arena_printf(q->p->e->arena, "the cell's own arithmetic is off by up to %.2g on this box", cell_error), "a larger error");
            bad = n;
            seen = s.bound;
            n = 2 * n - 1 < most ? 2 * n - 1 : most;
        }
    }
    while (good - bad > 1) {
        Strategy s = *out;
        n = bad + (good - bad) / 2;
        q->s = &s;
        s.bound = 0;
        if (!attempt(q, n, cell_error, asked, &verdict, &table, &s.bound)) return false;
        if (verdict == PROVED) good = n, s.table = table, *out = s;
        else bad = n;
    }
    return true;
}

static bool table_find(Eval *e, const Value *cell, int arguments, DType precision, Span span, Strategy *s) {
    Prover p;
    double cell_error;
    bool ok = prover_make(e, cell, arguments, precision, false, span, &p);
    Search q = {.p = &p, .s = s, .k = arguments};
    if (ok && p.unknown) ok = refuse(&q, arena_printf(e->arena, "no bound is known for %s, which the cell uses", p.unknown), "grid, a fit, or exact");
    ok = ok && prover_rounding(&p, s->lo, s->hi, 0.02 * s->error, &cell_error);
    for (int j = 0; j < arguments; j++) q.at[j] = (s->lo[j] + s->hi[j]) / 2;
    if (ok && !(cell_error < INFINITY)) ok = refuse(&q, "the cell is not Lipschitz on this box: it has no bound there", "a smaller box");
    if (ok && cell_error >= s->error && p.jumps) ok = refuse(&q, "the cell is not Lipschitz on this box: it jumps", "grid, or exact");
    if (ok && cell_error >= s->error)
        ok = refuse(&q, arena_printf(e->arena, "the cell's own arithmetic is off by up to %.2g on this box", cell_error), "a larger error");
    ok = ok && search(&q, cell_error, s);
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
    t->data = arena_copy(arena, t->data, (size_t)shape_size(&t->shape) * sizeof(double));
    s->table = t;
    s->nodes = from->nodes;
    s->bound = from->bound;
    memcpy(s->scale, from->scale, sizeof s->scale);
}

bool table_make(Eval *e, const Value *cell, int arguments, DType precision, Span span, Strategy *s) {
    Cache *tables = lab_of(e)->tables;
    Buf key = {0};
    value_identity(cell, &key);
    buf_printf(&key, " in %s by %s", dtype_name(precision), s->asked);
    for (int j = 0; j < arguments && precision == DT_F32; j++) s->lo[j] = (float)s->lo[j], s->hi[j] = (float)s->hi[j];
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
