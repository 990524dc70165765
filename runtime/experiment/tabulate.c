/* tabulate.c -- the smallest table of a cell whose error is proved: `tabulated[error:, over:, outside:]`.
 *
 * With I the multilinear function between the nodes of each block (tabulate.h), f the cell in real numbers:
 *
 *     |computed table - computed cell|  <=  |I - f|  +  what reading the table rounds  +  what the cell itself rounds
 *
 * The third is bounded by prover_rounding, the second when the table is filled, the first proved block by block
 * (blocks.c). How many blocks, and how fine each: the box is cut into 1, 3, 5 or 7 cells along each argument, and those
 * into halves again and again, wherever the multilinear function of a cell differs too much from the cell's value
 * between its nodes. A block is as fine as the finest cell in it needs; the number of blocks is the one, of all
 * halvings of all four, that needs the fewest bytes.  The proof makes blocks finer that still are not good enough. 
 * What reading rounds, and what a value is off, are guessed from a sample, and checked when the table is filled. 
 * Nothing depends on the machine. */
#include "experiment/tabulate.h"

#include <math.h>
#include <stdlib.h>

enum { SAMPLE = 4096, SCOUTS = 4096, DEEP = 24, LATTICE = 27 };

/* ---- rounding, guessed ---- */

/* Number i of places spread evenly over the box, the same ones for all tables: the additive recurrence with the roots
 * of x^(k+1) = x + 1. */
static double sample_place(const Tabling *q, int i, int j) {
    static const double step[3][3] = {{0.6180339887498949}, {0.7548776662466927, 0.5698402909980532},
                                      {0.8191725133961645, 0.6710436067037893, 0.5497004779019703}};
    return q->s->lo[j] + fmod(0.5 + i * step[q->k - 1][j], 1) * (q->s->hi[j] - q->s->lo[j]);
}

/* A guess at q->off and q->reading: the cell's values on a sample, and its slopes over a thousandth of the box. */
static bool guess_rounding(Tabling *q) {
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
        double c = table_value(q, form + i * each * parts, &off);
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

/* ---- how fine it must be ---- */

/* Cells of one depth: numbers along each argument, m << depth of them.  Of all that there are, `share` were looked
 * at. */
typedef struct Cells { uint32_t *at; int64_t n; double share; } Cells;
/* worst: by depth, the largest difference met; failed: by depth, those too far off; leaves: how many cells are needed.
 * open: more than were looked at. */
typedef struct Tree { int m, depths; Cells failed[DEEP + 1]; double worst[DEEP + 1], leaves; bool open; } Tree;

typedef struct Looking { Tabling *t; Arena *arena; int m, depth; double *place, *form; } Looking;

/* Between the nodes of a cell: the largest difference of its lattice of 3 places along each argument; `form` holds the
 * cell's values there. */
static double lattice_error(const Tabling *t, const double *form) {
    int n = t->k == 1 ? 3 : t->k == 2 ? 9 : 27;
    double worst = 0, off;
    for (int i = 0; i < n; i++) {
        double sum = 0, corners = 0;
        for (int c = 0; c < n; c++) {           /* the corners around: an axis in the middle has both of its ends */
            bool fits = true;
            for (int j = 0, a = i, b = c; j < t->k; j++, a /= 3, b /= 3)
                fits = fits && b % 3 != 1 && (a % 3 == 1 || a % 3 == b % 3);
            if (!fits) continue;
            sum += table_value(t, form + c * (t->k + 2), &off);
            corners++;
        }
        double apart = fabs(sum / corners - form[i * (t->k + 2)]);
        worst = fmax(worst, isnan(apart) ? INFINITY : apart);
    }
    return worst;
}

static void lattice_places(const Looking *l, const uint32_t *cell, double *place) {
    const Tabling *t = l->t;
    int n = t->k == 1 ? 3 : t->k == 2 ? 9 : 27;
    double wide = (double)l->m * (double)(1 << l->depth);
    for (int i = 0; i < n; i++)
        for (int j = 0, a = i; j < t->k; j++, a /= 3) {
            double u = ((double)cell[j] + a % 3 * 0.5) / wide;
            place[i * t->k + j] = t->s->lo[j] + u * (t->s->hi[j] - t->s->lo[j]);
        }
}

/* Those of `cells` that are too far off, into *failed. */
static bool look(Looking *l, const Cells *cells, Cells *failed, double *worst) {
    Tabling *t = l->t;
    int n = t->k == 1 ? 3 : t->k == 2 ? 9 : 27, each = TABLE_CHUNK / LATTICE;
    *failed = (Cells){arena_array(l->arena, uint32_t, cells->n * t->k + 1), 0, cells->share};
    *worst = 0;
    for (int64_t first = 0; first < cells->n; first += each) {
        int64_t count = cells->n - first < each ? cells->n - first : each;
        for (int64_t i = 0; i < count; i++) lattice_places(l, cells->at + (first + i) * t->k, l->place + i * n * t->k);
        if (!prover_run(t->p, count * n, l->place, NULL, l->form)) return false;
        for (int64_t i = 0; i < count; i++) {
            const uint32_t *cell = cells->at + (first + i) * t->k;
            double error = lattice_error(t, l->form + i * n * (t->k + 2));
            if (error > *worst)
                for (int j = 0; j < t->k; j++) t->at[j] = l->place[(i * n + n / 2) * t->k + j];
            *worst = fmax(*worst, error);
            if (error > t->target) memcpy(failed->at + failed->n++ * t->k, cell, sizeof *cell * (size_t)t->k);
        }
    }
    return true;
}

/* The halves of cells; at most `most` of them (0: all), evenly picked. */
static Cells halves(Looking *l, const Cells *cells, int64_t most) {
    int k = l->t->k, parts = 1 << k;
    int64_t all = cells->n * parts, step = most && all > most ? all / most : 1;
    Cells out = {arena_array(l->arena, uint32_t, (all / step + 1) * k), 0, cells->share / (double)step};
    for (int64_t i = 0; i < all; i += step) {
        for (int j = 0; j < k; j++)
            out.at[out.n * k + j] = 2 * cells->at[i / parts * k + j] + (uint32_t)(i % parts >> j & 1);
        out.n++;
    }
    return out;
}

static Cells all_cells(Looking *l) {
    int k = l->t->k;
    int64_t n = 1;
    for (int j = 0; j < k; j++) n *= l->m;
    Cells out = {arena_array(l->arena, uint32_t, n * k), n, 1};
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0, a = i; j < k; j++, a /= l->m) out.at[i * k + j] = (uint32_t)(a % l->m);
    return out;
}

/* Which cells are too large; the first depths are looked at everywhere, so that little is overlooked. */
static bool grow(Tabling *t, Arena *arena, int m, int64_t most, Tree *tree) {
    Looking l = {.t = t, .arena = arena, .m = m};
    l.place = arena_array(arena, double, TABLE_CHUNK * t->k);
    l.form = arena_array(arena, double, TABLE_CHUNK *(t->k + 2));
    Cells cells = all_cells(&l);
    *tree = (Tree){.m = m};
    int everywhere = t->k == 1 ? 64 : t->k == 2 ? 32 : 12, deep = t->k == 1 ? DEEP : t->k == 2 ? 16 : 12;
    for (; cells.n && l.depth <= deep; l.depth++) {
        Cells *failed = &tree->failed[l.depth];
        if (!look(&l, &cells, failed, &tree->worst[l.depth])) return false;
        bool every = m << l.depth < everywhere;
        tree->depths = failed->n ? l.depth + 1 : tree->depths;
        tree->leaves += (double)failed->n / failed->share * ((1 << t->k) - 1);
        if (tree->leaves > (double)TABLE_BYTES * 64 || (!most && tree->leaves > TABLE_BYTES / 8)) break;
        cells = halves(&l, every ? &cells : failed, most);
    }
    tree->open = cells.n > 0;
    return true;
}

/* ---- how many blocks ---- */

/* Levels of m << b blocks along each argument. */
static void find_levels(const Tree *tree, int k, int b, uint8_t *level) {
    int64_t blocks = (int64_t)tree->m << b;
    for (int d = b; d < tree->depths; d++)
        for (int64_t i = 0; i < tree->failed[d].n; i++) {
            int64_t at = 0;
            for (int j = 0; j < k; j++) at = at * blocks + (tree->failed[d].at[i * k + j] >> (d - b));
            if (level[at] < d + 1 - b) level[at] = (uint8_t)(d + 1 - b);
        }
}

static int64_t block_count(int k, int64_t along) {
    return k == 1 ? along : k == 2 ? along * along : along * along * along;
}

static double bytes_of(const Tabling *t) {
    return (double)table_values(t) * (t->p->precision == DT_F64 ? 8 : 4) + 4 * (double)t->all;
}

/* Takes the number of blocks that needs the fewest bytes, if it is better than `best`. */
static void choose_blocks(Tabling *t, const Tree *tree, double *best) {
    int deepest = lookup_deepest(t->k) - 1;
    for (int b = tree->depths > deepest ? tree->depths - deepest : 0; b <= tree->depths; b++) {
        Tabling other = *t;
        other.blocks = (int64_t)tree->m << b;
        other.all = block_count(t->k, other.blocks);
        if (other.all > LOOKUP_BLOCKS || 4 * (double)other.all > *best) break;
        other.level = calloc((size_t)other.all, 1);
        if (!other.level) break;
        find_levels(tree, t->k, b, other.level);
        bool better = bytes_of(&other) < *best;
        if (better) {
            *best = bytes_of(&other);
            free(t->level);
            t->blocks = other.blocks, t->all = other.all, t->level = other.level;
        } else free(other.level);
    }
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

static const char *bytes_text(Arena *arena, double bytes) {
    static const char *const units[] = {"kB", "MB", "GB", "TB"};
    int u = 0;
    for (bytes /= 1e3; bytes >= 1000 && u < 3; u++) bytes /= 1e3;
    return bytes < 1e6 ? arena_printf(arena, "%.0f %s", bytes, units[u]) : "more than any machine has";
}

static const char *place_text(const Tabling *q) {
    Buf text = {0};
    for (int j = 0; j < q->k; j++) buf_printf(&text, "%s%.4g", j ? ", " : "", q->at[j]);
    return buf_done(&text, q->p->e->arena);
}

void table_hashes(Strategy *s) {
    size_t bytes = (size_t)shape_size(&s->table->shape) * dtype_size(s->table->dtype);
    s->table_hash = fnv1a(s->table->data, bytes, FNV1A_START);
    s->index_hash = fnv1a(s->index->data, (size_t)shape_size(&s->index->shape) * 4, FNV1A_START);
}

static bool refuse(Tabling *q, const char *why, const char *hint) {
    Diag *d = diag_add(q->p->e->diags, D_E0614, q->p->span, "%s: %s", q->s->asked, why);
    diag_hint(d, "%s", hint);
    return false;
}

static bool not_lipschitz(Tabling *q) {
    return refuse(q, arena_printf(q->p->e->arena, "the cell is not Lipschitz on this box (near %s)", place_text(q)),
                  "a smaller box");
}

static bool too_large(Tabling *q, double bytes) {
    Arena *arena = q->p->e->arena;
    return refuse(q,
                  arena_printf(arena, "needs about %s; a table has at most %s", bytes_text(arena, bytes),
                               bytes_text(arena, (double)TABLE_BYTES)),
                  "a smaller box, a larger error");
}

/* About what a table of the tree's cells needs. */
static double tree_bytes(const Tabling *q, const Tree *tree) {
    return tree->leaves * (q->k > 1 ? 2 : 1) * (q->p->precision == DT_F64 ? 8 : 4);
}

/* A look at some cells of each depth: false after E0614, where the table would be far too large or cannot be. */
static bool scout(Tabling *q) {
    Arena *arena = arena_new();
    Tree tree;
    bool ok = grow(q, arena, 1, SCOUTS, &tree);
    int last = tree.depths - 1;
    double bytes = tree_bytes(q, &tree);
    arena_free(arena);
    if (!ok || (!tree.open && bytes <= 2.0 * TABLE_BYTES)) return ok;
    bool falls = last < 4 || tree.worst[last] < 0.6 * tree.worst[last - 2];
    return bytes > TABLE_BYTES && falls ? too_large(q, bytes) : not_lipschitz(q);
}

/* Blocks and levels to begin the proof with. */
static bool plan(Tabling *q) {
    static const int first[] = {1, 3, 5, 7};
    double best = INFINITY, least = INFINITY;
    bool ok = scout(q);
    for (int i = 0; ok && i < COUNT(first); i++) {
        Arena *arena = arena_new();
        Tree tree;
        ok = grow(q, arena, first[i], 0, &tree);
        if (ok) least = fmin(least, tree_bytes(q, &tree));
        if (ok && !tree.open) choose_blocks(q, &tree, &best);
        arena_free(arena);
    }
    if (!ok) return false;
    if (!(best <= TABLE_BYTES)) return too_large(q, best < INFINITY ? best : least);
    for (int j = 0; j < q->k; j++)
        q->scale[j] = scale_down((double)q->blocks, q->s->lo[j], q->s->hi[j], q->p->precision);
    q->edge = 2.02 * q->unit * (double)q->blocks;
    return true;
}

static void table_store(Tabling *q, const double *value, const int32_t *index, int64_t n, double reading) {
    Arena *arena = q->p->e->arena;
    Strategy *s = q->s;
    DType dtype = q->p->precision;
    Tensor *t = arena_new_of(arena, Tensor), *blocks = arena_new_of(arena, Tensor);
    *t = (Tensor){dtype, {1, {n}}, arena_alloc(arena, (size_t)n * dtype_size(dtype))};
    for (int64_t i = 0; i < n; i++) {
        if (dtype == DT_F64) ((double *)t->data)[i] = value[i];
        else ((float *)t->data)[i] = (float)value[i];
    }
    *blocks = (Tensor){DT_I32, {q->k, {q->blocks, q->k > 1 ? q->blocks : 0, q->k > 2 ? q->blocks : 0}},
                       arena_copy(arena, (const char *)index, sizeof *index * (size_t)q->all)};
    s->table = t;
    s->index = blocks;
    s->blocks = q->blocks;
    s->bound = (q->worst + q->cell_error + reading) * (1 + 0x1p-50);
    memcpy(s->scale, q->scale, sizeof s->scale);
    table_hashes(s);
}

/* The table that was proved.  *holds: what was guessed about its rounding is true. */
static bool table_keep(Tabling *q, bool *holds) {
    Arena *arena = arena_new();
    int64_t n = table_values(q);
    double *value = arena_array(arena, double, n + 1), off, reading;
    int32_t *index = arena_array(arena, int32_t, q->all);
    bool ok = table_fill(q, value, index, &off, &reading);
    *holds = ok && off <= q->off && reading <= q->reading;
    if (*holds) table_store(q, value, index, n, reading);
    arena_free(arena);
    return ok;
}

static bool attempt(Tabling *q, bool *holds) {
    q->target = q->s->error - q->cell_error - q->reading;
    if (q->target <= 0)
        return refuse(q, arena_printf(q->p->e->arena, "what f32 rounds here is up to %.2g", q->cell_error + q->reading),
                      "a larger error");
    if (!plan(q)) return false;
    ProofEnd end = table_prove(q);
    if (end == PROOF_FAILED) return not_lipschitz(q);
    if (end == PROOF_LONG) return refuse(q, "the proof takes too many steps", "a smaller box, a larger error");
    if (end == PROOF_DONE && bytes_of(q) > TABLE_BYTES) return too_large(q, bytes_of(q));
    return end == PROOF_DONE && table_keep(q, holds);
}

static bool search(Tabling *q) {
    bool holds = false;
    for (int turn = 0; turn < 8 && !holds; turn++, q->off *= 4, q->reading *= 4)
        if (!attempt(q, &holds)) return false;
    return holds || refuse(q, "the cell is not Lipschitz on this box", "a smaller box");
}

bool table_find(Eval *e, const Value *cell, int arguments, DType precision, Span span, Strategy *s) {
    Prover p;
    bool ok = prover_make(e, cell, arguments, precision, false, span, &p);
    Tabling q = {.p = &p, .s = s, .k = arguments, .unit = precision == DT_F64 ? 0x1p-53 : 0x1p-24};
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
    free(q.level);
    prover_free(&p);
    return ok;
}
