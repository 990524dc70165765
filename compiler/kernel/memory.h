/* memory.h -- where the buffers of a lowered program lie. */
#ifndef NIN_MEMORY_H
#define NIN_MEMORY_H

#include "kernel/lower.h"

/* offset, bytes: by buffer, in the memory that threads share, or, of scratch buffers, in that of each thread. */
typedef struct MemoryPlan { size_t *offset, *bytes, shared, scratch; } MemoryPlan;

/* For batches of so many examples at most; false if out of memory. */
bool memory_plan(const Lowered *low, int64_t batch, MemoryPlan *plan);
void memory_plan_free(MemoryPlan *plan);
/* What the buffers take. */
size_t memory_bytes(const Lowered *low, int64_t batch, int threads);

#endif
