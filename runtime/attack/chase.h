/* chase.h -- points that change here and there, each input between two numbers, looked at through a victim's first
 * product from where they change. */
#ifndef NIN_ATTACK_CHASE_H
#define NIN_ATTACK_CHASE_H

#include "attack/attack.h"

typedef struct Chase Chase;
/* Inputs from, ..., from + width - 1, and as many in the rows below, `stride` further each. */
typedef struct Patch { int64_t from, stride; int rows, width; } Patch;

/* hi, lo: rows that each input of a point is taken from.  patches: of a proposal at most.  NULL: no memory. */
Chase *chase_open(const Front *front, int64_t points, int patches, const float *hi, const float *lo);
void chase_close(Chase *chase);
/* Before any proposal: one input of the point is high, or low. */
void chase_start(Chase *chase, int64_t point, int64_t input, bool high);
/* The point's proposal has these inputs high, or low.  False: so has the point so far, and nothing is done. */
bool chase_paint(Chase *chase, int64_t point, Patch patch, bool high);
/* After a look: the point becomes as the proposal, or the proposal as the point. */
void chase_end(Chase *chase, int64_t point, bool taken);
/* The outputs at the proposals of n points: z [n, classes]. */
bool chase_look(Chase *chase, const int64_t *point, int64_t n, double *z);
/* The point itself. */
void chase_read(const Chase *chase, int64_t point, float *x);

#endif
