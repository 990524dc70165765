/* chase.h -- points that change here and there, looked at through a victim's first product from where they change. */
#ifndef NIN_ATTACK_CHASE_H
#define NIN_ATTACK_CHASE_H

#include "attack/attack.h"

typedef struct Chase Chase;
/* hi, lo: rows that each input of a point is taken from.  NULL: no memory. */
Chase *chase_open(const Front *front, int64_t points, const float *hi, const float *lo);
void chase_close(Chase *chase);
/* x, the proposal of `point`, may differ from the point so far in inputs from .. to - 1. */
void chase_note(Chase *chase, int64_t point, const float *x, int64_t from, int64_t to);
/* After a look, for all that was noted: the point becomes as the proposal there, or the proposal as the point. */
void chase_settle(Chase *chase, int64_t point, int64_t from, int64_t to, bool taken);
/* Ends what was noted. */
void chase_end(Chase *chase, int64_t point, bool taken);
/* The outputs at the proposals of n points: z [n, classes]. */
bool chase_look(Chase *chase, const int64_t *point, int64_t n, double *z);

#endif
