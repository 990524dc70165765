/* lanes.h -- runs a training loop whose lanes are trials (lower_lanes). */
#ifndef NIN_LANES_H
#define NIN_LANES_H

#include "kernel/lower.h"

/* Steps from..to of n <= lowered->trials trials: block[i], fed by feed[i], advances as the one program of `lower`
 * would. All feeds have the same rows and examples, and the same value in each setting that the Lanes say is shared;
 * all examples are one batch, in order.  A feed's series are written where they are not NULL.
 * beyond: then the series of one step more, of the blocks as they are left.
 * Calls may run at once.  0, or -1 if out of memory. */
int lanes_run(const Lowered *lowered, KernelFn function, int n, void *const *block, const Feed *feed, int64_t from,
              int64_t to, bool beyond);

#endif
