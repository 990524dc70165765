/* live.h -- the points of a run that still have to be looked at, side by side for the victim, and what an attack keeps
 * of them.
 *
 * Whatever has a row of `inputs` numbers for each point is a column: row k belongs to live point k, and rows move up
 * where points are left out.  Rows of columns have the victim's precision.  Single numbers stay where they are, by
 * at[k]. */
#ifndef NIN_ATTACK_LIVE_H
#define NIN_ATTACK_LIVE_H

#include "attack/loops.h"

enum { LIVE_COLUMNS = 8 };

/* at[0 .. n-1]: rows of the run's points.  y, aim: [n]; clean, x: columns, x what the victim sees; z: [n, classes]. */
typedef struct Live {
    const AttackRun *run;
    const Loops *loops;
    const RowLoops *rows;
    Points points;
    int64_t n, *at;
    int32_t *y, *aim;
    void *clean, *x;
    double *z, *value;
    char *column[LIVE_COLUMNS];
    int columns, most;
    size_t row, stride;                  /* bytes of a row; of a column */
    void *block;
} Live;

/* All of them at the start, with x at the clean points; room for `columns` more columns.  aim: of each point, or NULL.
 * False: no memory. */
bool live_open(Live *l, const AttackRun *run, Points points, const int32_t *aim, int columns);
void live_close(Live *l);
/* The next column. */
void *live_column(Live *l);
/* Row k of a column; as f64, and from f64. */
static inline void *live_at(const Live *l, void *column, int64_t k) { return (char *)column + (size_t)k * l->row; }
void live_read(const Live *l, const void *row, double *out);
void live_write(const Live *l, void *row, const double *x);
bool live_logits(Live *l, uint32_t turn);
/* dx: a column. */
bool live_slope(Live *l, AttackLoss loss, uint32_t turn, void *dx);
int live_class(const Live *l, int64_t k);                             /* the largest logit's, the first of equals */
static inline bool live_fooled(const Live *l, int64_t k) { return live_class(l, k) != l->y[k]; }
/* Live point k fools where it is now: *out says so. */
void live_take(const Live *l, int64_t k, Attacked out);
/* Leaves out the points with done[at[k]]. */
void live_drop(Live *l, const bool *done);
/* Two live points change places. */
void live_swap(Live *l, int64_t a, int64_t b);

/* Calls work on ranges of the live points, on the run's threads. */
void live_each(Live *l, void (*work)(void *data, int thread, int64_t lo, int64_t hi), void *data);

#endif
