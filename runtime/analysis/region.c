/* region.c -- boxes and regions that hold a share of the points: bins.h. */
#include "analysis/bins.h"

#include <math.h>
#include <stdlib.h>

/* The least number of points that is the share of n; sums of decimals (0.99 of 100) are not rounded up. */
static int64_t points_of(double share, int64_t n) {
    double points = ceil(share * (double)n * (1 - 1e-15));
    return points < 1 ? 1 : points > (double)n ? n : (int64_t)points;
}

typedef struct Span3 { int64_t from[BIN_AXES], to[BIN_AXES]; } Span3;    /* to: exclusive */

/* How many points lie in a box of bins. */
static int64_t box_points(const Bins *b, const Span3 *s) {
    int64_t n = 0, size1 = b->axes > 1 ? b->size[1] : 1, size2 = b->axes > 2 ? b->size[2] : 1;
    for (int64_t i = s->from[0]; i < s->to[0]; i++)
        for (int64_t j = s->from[1]; j < s->to[1]; j++)
            for (int64_t k = s->from[2]; k < s->to[2]; k++) n += b->count[(i * size1 + j) * size2 + k];
    return n;
}

static void margins(const Bins *b, int64_t **margin) {
    int64_t at[BIN_AXES], k = 0, size1 = b->axes > 1 ? b->size[1] : 1, size2 = b->axes > 2 ? b->size[2] : 1;
    for (at[0] = 0; at[0] < b->size[0]; at[0]++)
        for (at[1] = 0; at[1] < size1; at[1]++)
            for (at[2] = 0; at[2] < size2; at[2]++, k++)
                for (int j = 0; j < b->axes; j++) margin[j][at[j]] += b->count[k];
}

/* The bins that are left when at most `tail` points are left out at either end of every axis. */
static Span3 box_without(const Bins *b, int64_t *const *margin, int64_t tail) {
    Span3 s = {{0}, {1, 1, 1}};
    for (int j = 0; j < b->axes; j++) {
        int64_t below = 0, above = 0;
        s.to[j] = b->size[j];
        while (s.from[j] < s.to[j] - 1 && below + margin[j][s.from[j]] <= tail) below += margin[j][s.from[j]++];
        while (s.to[j] > s.from[j] + 1 && above + margin[j][s.to[j] - 1] <= tail) above += margin[j][--s.to[j]];
    }
    return s;
}

double bins_box(const Bins *b, double share, double lo[BIN_AXES], double hi[BIN_AXES]) {
    int64_t *margin[BIN_AXES] = {0}, need = points_of(share, b->n), least = 0, most = b->n / 2;
    Arena *scratch = arena_new();
    for (int j = 0; j < b->axes; j++) margin[j] = arena_array(scratch, int64_t, b->size[j] + 1);
    margins(b, margin);
    while (least < most) {                                               /* the largest tail that leaves enough */
        int64_t tail = least + (most - least + 1) / 2;
        Span3 s = box_without(b, margin, tail);
        if (box_points(b, &s) >= need) least = tail;
        else most = tail - 1;
    }
    Span3 s = box_without(b, margin, least);
    for (int j = 0; j < b->axes; j++) {
        lo[j] = bins_edge(b, j, s.from[j]);
        hi[j] = bins_edge(b, j, s.to[j]);
    }
    double held = b->n ? (double)box_points(b, &s) / (double)b->n : NAN;
    arena_free(scratch);
    return held;
}

typedef struct Full { int64_t count, bin; } Full;

static int fullest(const void *a, const void *b) {
    const Full *x = a, *y = b;
    if (x->count != y->count) return x->count > y->count ? -1 : 1;
    return (x->bin > y->bin) - (x->bin < y->bin);
}

static void region_extent(Region *r) {
    const Bins *b = r->bins;
    int64_t first[BIN_AXES], last[BIN_AXES] = {-1, -1, -1}, total = bins_total(b);
    for (int j = 0; j < b->axes; j++) first[j] = b->size[j];
    for (int64_t k = 0; k < total; k++) {
        int64_t rest = k;
        for (int j = b->axes - 1; j >= 0 && r->inside[k]; j--, rest /= b->size[j + 1]) {
            int64_t i = rest % b->size[j];
            first[j] = i < first[j] ? i : first[j];
            last[j] = i > last[j] ? i : last[j];
        }
    }
    for (int j = 0; j < b->axes; j++) {
        r->lo[j] = bins_edge(b, j, first[j]);
        r->hi[j] = bins_edge(b, j, last[j] + 1);
    }
}

Region *region_find(Arena *arena, const Bins *b, double share) {
    int64_t total = bins_total(b), used = 0, held = 0, need = points_of(share, b->n);
    Region *r = arena_new_of(arena, Region);
    Arena *scratch = arena_new();
    Full *full = arena_array(scratch, Full, total + 1);
    *r = (Region){.bins = b, .inside = arena_array(arena, uint8_t, total + 1), .share = share};
    for (int64_t k = 0; k < total; k++)
        if (b->count[k]) full[used++] = (Full){b->count[k], k};
    qsort(full, (size_t)used, sizeof *full, fullest);
    for (int64_t k = 0; k < used && held < need; k++) {
        r->inside[full[k].bin] = 1;
        held += full[k].count;
        r->cells++;
    }
    arena_free(scratch);
    r->held = b->n ? (double)held / (double)b->n : NAN;
    region_extent(r);
    return r;
}

Region *region_keep(Arena *arena, const Region *from) {
    Region *r = arena_new_of(arena, Region);
    size_t total = (size_t)bins_total(from->bins);
    *r = *from;
    r->bins = bins_keep(arena, from->bins);
    r->inside = arena_alloc(arena, total + 1);
    memcpy(r->inside, from->inside, total);
    return r;
}

bool region_has(const Region *r, const double *x) {
    const Bins *b = r->bins;
    int64_t place = 0;
    for (int j = 0; j < b->axes; j++) {
        double bin = floor(ldexp(x[j], -b->level[j])) - (double)b->base[j];
        if (!(bin >= 0 && bin < (double)b->size[j])) return false;
        place = place * b->size[j] + (int64_t)bin;
    }
    return r->inside[place];
}
