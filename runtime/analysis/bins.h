/* bins.h -- where points of 1 to 3 numbers fall: counts over dyadic bins, and their moments.
 *
 * Bin i of axis j covers [(base[j] + i) w, (base[j] + i + 1) w) with w = 2^level[j]: bins of a coarser level are unions
 * of finer ones, so counts at a level do not depend on the order of the points.
 * A Counter collects.  It holds at most `most` bins along each axis (65536, 1024 or 128 for 1, 2 or 3 numbers) and
 * takes the finest level at which they cover all that it has seen: no bin is narrower than 2^-24, nor than 2^-44 of the
 * largest number.  Points with a number that is not finite are `lost`.  Sums run in the order given. */
#ifndef NIN_BINS_H
#define NIN_BINS_H

#include "base/base.h"

enum { BIN_AXES = 3 };

/* scatter: n covariance */
typedef struct Moments { int64_t n; double mean[BIN_AXES], scatter[BIN_AXES][BIN_AXES]; } Moments;
typedef struct Bins {
    int axes, level[BIN_AXES];
    int64_t base[BIN_AXES], size[BIN_AXES]; /* size: the bins from the first to the last that is used */
    int64_t *count, n, lost;                      /* [size[0]][size[1]][size[2]] */
    Moments moments;
} Bins;

typedef struct Counter {
    int axes, level[BIN_AXES]; int64_t base[BIN_AXES], most; double scale[BIN_AXES];    /* scale: 2^-level */
    double lo[BIN_AXES], hi[BIN_AXES];            /* of all points */
    uint32_t *count; int64_t n, lost;
    double first[BIN_AXES], sum[BIN_AXES], product[BIN_AXES][BIN_AXES];   /* of what is beyond the first point */
} Counter;

bool counter_open(Counter *counter, int axes);    /* false: out of memory */
void counter_close(Counter *counter);
enum { COUNTER_MOST = 2000000000 };               /* points that one counter takes; the caller sees to it */
/* Points x[j][i], i < n.  False: out of memory. */
bool counter_add(Counter *counter, const double *const *x, int64_t n);
Bins *counter_bins(Arena *arena, const Counter *counter);

/* All points of several: at the coarsest of their levels, or coarser where they would be more than `most` together. */
Bins *bins_pool(Arena *arena, const Bins *const *bins, int n);
Bins *bins_coarser(Arena *arena, const Bins *bins, const int level[BIN_AXES]);    /* no level below the own one */
/* At the finest level with at most so many along each axis. */
Bins *bins_within(Arena *arena, const Bins *bins, int64_t most);
/* At the level of Scott's rule: the widest bins that are no wider than 3.49 sd n^(-1 / (axes + 2)). */
Bins *bins_scott(Arena *arena, const Bins *bins);
Bins *bins_keep(Arena *arena, const Bins *bins);
double bins_edge(const Bins *bins, int axis, int64_t i);                  /* the lower end of bin i; i may be size */
int64_t bins_total(const Bins *bins);             /* how many bins */
double bins_covariance(const Bins *bins, int i, int k);                  /* divided by n */
uint64_t bins_hash(const Bins *bins);

/* The smallest central box: of the boxes whose sides leave out equally many points at both ends of every axis, rounded
 * outwards to bins, the smallest that holds the share.  Gives the share it holds; NaN if there are no points. */
double bins_box(const Bins *bins, double share, double lo[BIN_AXES], double hi[BIN_AXES]);

/* The region of highest density: the fewest bins, fullest first (of equals the first), that hold the share. */
typedef struct Region {
    const Bins *bins; uint8_t *inside; int64_t cells;                    /* inside: by bin */
    double share, held, lo[BIN_AXES], hi[BIN_AXES];                      /* asked for; held; around its bins */
} Region;
Region *region_find(Arena *arena, const Bins *bins, double share);
Region *region_keep(Arena *arena, const Region *region);
bool region_has(const Region *region, const double *x);

#endif
