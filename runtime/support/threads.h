/* threads.h -- a pool of parked worker threads, for loops whose result does not depend on how they are split.
 *
 * The caller takes part, as thread 0; a call returns when all parts are done, and everything the parts wrote is
 * visible to it.  A NULL pool, a pool of one thread, and a pool that is busy (a call from inside a part, or from a
 * second thread) run the whole loop in the caller, as thread 0.  Workers block all signals. */
#ifndef NIN_THREADS_H
#define NIN_THREADS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct Pool Pool;
/* threads counts the caller: threads - 1 workers are started (fewer if the system refuses).  NULL: out of memory. */
Pool *pool_new(int threads);
void pool_free(Pool *pool);
int pool_threads(const Pool *pool);                    /* 1 for NULL */

/* 0 .. count-1 cut into one contiguous range a thread: thread t gets [count t / T, count (t+1) / T); empty ones are
 * not called. */
void pool_run(Pool *pool, int64_t count, void (*work)(void *data, int thread, int64_t lo, int64_t hi), void *data);
/* One index at a time, handed out in ascending order to whichever thread is free: for turns of unequal length. */
void pool_each(Pool *pool, int64_t count, void (*work)(void *data, int thread, int64_t i), void *data);

/* A number that one part of a pool_run raises and others wait for.  A part may wait only for parts before it, or for
 * what those that run beside it raise without waiting for it: pool_run of as many as there are threads runs all of them
 * at once, or all in the caller. */
typedef struct PoolMark { _Alignas(64) atomic_uint value; } PoolMark;
void pool_raise(Pool *pool, PoolMark *mark, unsigned value);
void pool_await(Pool *pool, const PoolMark *mark, unsigned value);     /* until it is at least value */

/* Memory that goes from one call to the next, whatever they run: what was given last, or nothing.  NULL: none. */
typedef struct PoolMemory { size_t bytes; void *at; } PoolMemory;       /* at: from malloc or aligned_alloc */
PoolMemory pool_take(Pool *pool);
bool pool_give(Pool *pool, PoolMemory memory);         /* what was given before is freed; false for NULL: not taken */

int threads_available(void);                           /* processors this process may use, at least 1 */

#endif
