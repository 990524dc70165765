/* bins.c -- counting points over dyadic bins: bins.h. */
#include "analysis/bins.h"

#include <math.h>
#include <stdlib.h>

/* ---- counting ---- */

static size_t counter_cells(const Counter *c) {
    size_t cells = 1;
    for (int j = 0; j < c->axes; j++) cells *= (size_t)c->most;
    return cells;
}

static int64_t most_bins(int axes) { return axes == 1 ? 65536 : axes == 2 ? 1024 : 128; }

bool counter_open(Counter *c, int axes) {
    *c = (Counter){.axes = axes, .most = most_bins(axes)};
    c->count = calloc(counter_cells(c), sizeof *c->count);
    return c->count != NULL;
}

void counter_close(Counter *c) {
    free(c->count);
    c->count = NULL;
}

static int64_t bin_of(double x, double scale) { return (int64_t)floor(x * scale); }

/* The bin of a coarser level that a bin lies in. */
static int64_t coarser(int64_t bin, int levels) { return levels > 62 ? bin < 0 ? -1 : 0 : bin >> levels; }

/* The finest level at which an axis holds lo..hi, from `level` on. */
static int level_for(double lo, double hi, int64_t most, int level) {
    int exponent;
    frexp(fmax(fabs(lo), fabs(hi)), &exponent);
    if (level < -24) level = -24;
    if (level < exponent - 44) level = exponent - 44;
    while (bin_of(hi, ldexp(1, -level)) - bin_of(lo, ldexp(1, -level)) >= most) level++;
    return level;
}

static void axis_place(Counter *c, int j, int level) {
    c->level[j] = level;
    c->scale[j] = ldexp(1, -level);
    int64_t lo = bin_of(c->lo[j], c->scale[j]), used = bin_of(c->hi[j], c->scale[j]) - lo + 1;
    c->base[j] = lo - (c->most - used) / 2;
}

/* Moves the counts to new levels and bases, which cover them. */
static bool counter_move(Counter *c, const Counter *old) {
    int64_t at[BIN_AXES] = {0}, size[BIN_AXES] = {1, 1, 1};
    uint32_t *count = calloc(counter_cells(c), sizeof *count);
    if (!count) return false;
    for (int j = 0; j < c->axes; j++) size[j] = c->most;
    const uint32_t *from = old->count;
    for (at[0] = 0; at[0] < size[0]; at[0]++)
        for (at[1] = 0; at[1] < size[1]; at[1]++)
            for (at[2] = 0; at[2] < size[2]; at[2]++, from++) {
                size_t to = 0;
                if (!*from) continue;
                for (int j = 0; j < c->axes; j++)
                    to = to * (size_t)c->most
                       + (size_t)(coarser(old->base[j] + at[j], c->level[j] - old->level[j]) - c->base[j]);
                count[to] += *from;
            }
    free(old->count);
    c->count = count;
    return true;
}

/* Makes room for lo..hi beside what there is. */
static bool counter_cover(Counter *c, const double *lo, const double *hi) {
    Counter old = *c;
    bool fits = c->n > 0;
    for (int j = 0; j < c->axes; j++) {
        c->lo[j] = c->n ? fmin(c->lo[j], lo[j]) : lo[j];
        c->hi[j] = c->n ? fmax(c->hi[j], hi[j]) : hi[j];
        if (!c->n) continue;
        double first = floor(c->lo[j] * c->scale[j]),
               last = floor(c->hi[j] * c->scale[j]); /* may be beyond any whole number */
        fits = fits && first >= (double)c->base[j] && last < (double)(c->base[j] + c->most)
            && c->level[j] == level_for(c->lo[j], c->hi[j], c->most, c->level[j]);
    }
    if (fits) return true;
    for (int j = 0; j < c->axes; j++)
        axis_place(c, j, level_for(c->lo[j], c->hi[j], c->most, c->n ? c->level[j] : -1000));
    return c->n == 0 || counter_move(c, &old);
}

static bool point_finite(const double *const *x, int axes, int64_t i) {
    for (int j = 0; j < axes; j++)
        if (!isfinite(x[j][i])) return false;
    return true;
}

static void counter_moments(Counter *c, const double *const *x, int64_t i) {
    for (int j = 0; j < c->axes; j++) {
        double a = x[j][i] - c->first[j];
        c->sum[j] += a;
        for (int k = 0; k <= j; k++) c->product[j][k] += a * (x[k][i] - c->first[k]);
    }
}

bool counter_add(Counter *c, const double *const *x, int64_t n) {
    double lo[BIN_AXES] = {INFINITY, INFINITY, INFINITY}, hi[BIN_AXES] = {-INFINITY, -INFINITY, -INFINITY};
    int64_t first = -1;
    for (int64_t i = 0; i < n; i++) {
        if (!point_finite(x, c->axes, i)) continue;
        if (first < 0) first = i;
        for (int j = 0; j < c->axes; j++) {
            lo[j] = x[j][i] < lo[j] ? x[j][i] : lo[j];
            hi[j] = x[j][i] > hi[j] ? x[j][i] : hi[j];
        }
    }
    if (first < 0) { c->lost += n; return true; }
    if (!counter_cover(c, lo, hi)) return false;
    for (int j = 0; j < c->axes && !c->n; j++) c->first[j] = x[j][first];
    for (int64_t i = 0; i < n; i++) {
        size_t to = 0;
        if (!point_finite(x, c->axes, i)) { c->lost++; continue; }
        for (int j = 0; j < c->axes; j++)
            to = to * (size_t)c->most + (size_t)(bin_of(x[j][i], c->scale[j]) - c->base[j]);
        c->count[to]++;
        c->n++;
        counter_moments(c, x, i);
    }
    return true;
}

/* ---- bins ---- */

int64_t bins_total(const Bins *b) {
    int64_t n = 1;
    for (int j = 0; j < b->axes; j++) n *= b->size[j];
    return n;
}

double bins_edge(const Bins *b, int axis, int64_t i) { return ldexp((double)(b->base[axis] + i), b->level[axis]); }
double bins_covariance(const Bins *b, int i, int k) { return b->n ? b->moments.scatter[i][k] / (double)b->n : NAN; }

static Bins *bins_new(Arena *arena, const Bins *like) {
    Bins *b = arena_new_of(arena, Bins);
    *b = *like;
    b->count = arena_array(arena, int64_t, bins_total(b) + 1);
    return b;
}

static void counter_used(const Counter *c, Bins *b) {
    for (int j = 0; j < c->axes; j++) {
        b->level[j] = c->level[j];
        b->base[j] = c->n ? bin_of(c->lo[j], c->scale[j]) : 0;
        b->size[j] = c->n ? bin_of(c->hi[j], c->scale[j]) - b->base[j] + 1 : 1;
    }
}

Bins *counter_bins(Arena *arena, const Counter *c) {
    Bins like = {.axes = c->axes, .n = c->n, .lost = c->lost, .size = {1, 1, 1}};
    int64_t at[BIN_AXES] = {0}, k = 0;
    counter_used(c, &like);
    Moments *m = &like.moments;
    double n = (double)c->n;
    m->n = c->n;
    for (int j = 0; j < c->axes && c->n; j++) {
        m->mean[j] = c->first[j] + c->sum[j] / n;
        for (int i = 0; i <= j; i++) m->scatter[j][i] = m->scatter[i][j] = c->product[j][i] - c->sum[j] * c->sum[i] / n;
    }
    Bins *b = bins_new(arena, &like);
    for (at[0] = 0; at[0] < b->size[0]; at[0]++)
        for (at[1] = 0; at[1] < b->size[1]; at[1]++)
            for (at[2] = 0; at[2] < b->size[2]; at[2]++, k++) {
                size_t from = 0;
                for (int j = 0; j < c->axes; j++)
                    from = from * (size_t)c->most + (size_t)(b->base[j] + at[j] - c->base[j]);
                b->count[k] = c->n ? c->count[from] : 0;
            }
    return b;
}

/* Adds the counts of `from` to `to`, which is no finer and covers it. */
static void bins_take(Bins *to, const Bins *from) {
    int64_t at[BIN_AXES] = {0}, k = 0;
    for (at[0] = 0; at[0] < from->size[0]; at[0]++)
        for (at[1] = 0; at[1] < from->size[1]; at[1]++)
            for (at[2] = 0; at[2] < from->size[2]; at[2]++, k++) {
                int64_t place = 0;
                if (!from->count[k]) continue;
                for (int j = 0; j < to->axes; j++)
                    place = place * to->size[j] + coarser(from->base[j] + at[j], to->level[j] - from->level[j])
                          - to->base[j];
                to->count[place] += from->count[k];
            }
}

/* The means and scatters of two sets of points together.  Source: Chan, Golub, LeVeque 1979. */
static void moments_join(Moments *a, const Moments *b, int axes) {
    double n = (double)a->n, m = (double)b->n, all = n + m, step[BIN_AXES];
    if (!b->n) return;
    for (int j = 0; j < axes; j++) step[j] = b->mean[j] - a->mean[j];
    for (int j = 0; j < axes; j++) {
        for (int k = 0; k < axes; k++) a->scatter[j][k] += b->scatter[j][k] + step[j] * step[k] * (n * m / all);
        a->mean[j] += step[j] * (m / all);
    }
    a->n += b->n;
}

Bins *bins_pool(Arena *arena, const Bins *const *bins, int n) {
    Bins like = {.axes = bins[0]->axes, .size = {1, 1, 1}};
    for (int j = 0; j < like.axes; j++) {
        int64_t lo = INT64_MAX, hi = INT64_MIN;
        like.level[j] = -1000;
        for (int i = 0; i < n; i++)
            if (bins[i]->n && bins[i]->level[j] > like.level[j]) like.level[j] = bins[i]->level[j];
        for (int i = 0; i < n; i++) {
            if (!bins[i]->n) continue;
            int shift = like.level[j] - bins[i]->level[j];
            int64_t first = coarser(bins[i]->base[j], shift),
                    last = coarser(bins[i]->base[j] + bins[i]->size[j] - 1, shift);
            lo = first < lo ? first : lo;
            hi = last > hi ? last : hi;
        }
        if (lo > hi) { lo = hi = 0; like.level[j] = 0; }
        for (; hi - lo >= most_bins(like.axes); like.level[j]++) lo = coarser(lo, 1), hi = coarser(hi, 1);
        like.base[j] = lo;
        like.size[j] = hi - lo + 1;
    }
    for (int i = 0; i < n; i++) {
        like.n += bins[i]->n;
        like.lost += bins[i]->lost;
        moments_join(&like.moments, &bins[i]->moments, like.axes);
    }
    Bins *b = bins_new(arena, &like);
    for (int i = 0; i < n; i++)
        if (bins[i]->n) bins_take(b, bins[i]);
    return b;
}

Bins *bins_coarser(Arena *arena, const Bins *bins, const int level[BIN_AXES]) {
    Bins like = *bins;
    for (int j = 0; j < like.axes; j++) {
        int shift = level[j] - bins->level[j];
        if (shift <= 0) continue;
        like.level[j] = level[j];
        like.base[j] = coarser(bins->base[j], shift);
        like.size[j] = coarser(bins->base[j] + bins->size[j] - 1, shift) - like.base[j] + 1;
    }
    Bins *b = bins_new(arena, &like);
    bins_take(b, bins);
    return b;
}

Bins *bins_within(Arena *arena, const Bins *b, int64_t most) {
    int level[BIN_AXES];
    for (int j = 0; j < b->axes; j++) {
        int64_t lo = b->base[j], hi = lo + b->size[j] - 1;
        for (level[j] = b->level[j]; hi - lo >= most; level[j]++) lo = coarser(lo, 1), hi = coarser(hi, 1);
    }
    return bins_coarser(arena, b, level);
}

/* Is 2^level at most 3.49 sd n^(-1 / (axes + 2))? */
static bool narrow_enough(const Bins *b, int axis, int level) {
    double ratio = ldexp(1, level) / (3.49 * sqrt(bins_covariance(b, axis, axis))), power = (double)b->n;
    for (int i = 0; i < b->axes + 2; i++) power *= ratio;
    return power <= 1;
}

Bins *bins_scott(Arena *arena, const Bins *b) {
    int level[BIN_AXES];
    for (int j = 0; j < b->axes; j++) {
        level[j] = b->level[j];
        while (narrow_enough(b, j, level[j] + 1)) level[j]++;
    }
    return bins_coarser(arena, b, level);
}

Bins *bins_keep(Arena *arena, const Bins *from) {
    Bins *b = bins_new(arena, from);
    memcpy(b->count, from->count, sizeof *b->count * (size_t)bins_total(b));
    return b;
}

uint64_t bins_hash(const Bins *b) {
    uint64_t hash = fnv1a(b->level, sizeof b->level, FNV1A_START);
    hash = fnv1a(b->base, sizeof b->base, hash);
    hash = fnv1a(b->size, sizeof b->size, hash);
    hash = fnv1a(&b->moments, sizeof b->moments, hash);
    return fnv1a(b->count, sizeof *b->count * (size_t)bins_total(b), hash);
}
