/* live.h -- the points of a run that still have to be looked at, side by side for the victim. */
#ifndef NIN_ATTACK_LIVE_H
#define NIN_ATTACK_LIVE_H

#include "attack/attack.h"

/* at[0 .. n-1]: rows of the run's points.  x, dx: [n, inputs]; z: [n, classes]. */
typedef struct Live {
    const AttackRun *run;
    Points points;
    int64_t n, *at;
    int32_t *y, *aim;
    double *x, *dx, *z, *value;
    void *block;
} Live;

/* All of them at the start.  False: no memory. */
bool live_open(Live *l, const AttackRun *run, Points points);
void live_close(Live *l);
/* Row of live point k in arrays over all points of the run. */
static inline double *live_row(const Live *l, double *rows, int64_t k) { return rows + l->at[k] * l->run->victim->inputs; }
/* The live rows of `from` (rounded to what the victim takes, there too), with their classes: to x, y, aim. */
void live_gather(Live *l, double *from, const int32_t *aim);
bool live_logits(Live *l, uint32_t turn);
bool live_slope(Live *l, AttackLoss loss, uint32_t turn);
int live_class(const Live *l, int64_t k);                             /* the largest logit's, the first of equals */
static inline bool live_fooled(const Live *l, int64_t k) { return live_class(l, k) != l->y[k]; }
/* Leaves out the points with done[row]. */
void live_drop(Live *l, const bool *done);

/* Calls work on ranges of the live points, on the run's threads. */
void live_each(Live *l, void (*work)(void *data, int thread, int64_t lo, int64_t hi), void *data);

#endif
