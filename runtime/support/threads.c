/* threads.c -- see threads.h.
 *
 * A job is published by raising `round`.  Workers wait for a round other than the last they saw: first *lingering*,
 * then asleep on a condition variable.  The publisher looks at `sleepers` after raising `round`, a worker at `round`
 * after raising `sleepers`, both sequentially consistent: one of the two sees the other, so no wake-up is lost.  The
 * end of a job (`pending` = 0) is waited for in the same way, with `waiting` for `sleepers`; so are marks, with
 * `awaiting`.
 *
 * Waking a thread whose processor has gone idle takes about as long as a stage of a small step, so lingering lasts
 * longer than what usually lies between two jobs.  It offers its processor to others again and again; when one takes
 * it, the machine is busy, and the thread goes to sleep: that costs little there, as no processor is idle. */
#define _GNU_SOURCE
#include "support/threads.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

enum {
    SPINS = 100,                                               /* between two offers of the processor */
    LINGER_NS = 400000,                                        /* at most */
    TAKEN_NS = 20000,                                          /* an offer that takes so long was taken */
    CACHE_LINE = 64, MAX_THREADS = 1024
};

typedef struct Job {
    int64_t count;
    void (*range)(void *data, int thread, int64_t lo, int64_t hi);
    void (*each)(void *data, int thread, int64_t i);           /* NULL: range */
    void *data;
} Job;

typedef struct Worker { Pool *pool; int thread; pthread_t id; } Worker;

struct Pool {
    int threads;                                               /* with the caller */
    bool lingers;
    atomic_flag busy;
    bool stopping;                                             /* published by round */
    Job job;                                                   /* published by round */
    pthread_mutex_t lock;
    pthread_cond_t start, done, raised;
    _Alignas(CACHE_LINE) atomic_uint round;
    atomic_int sleepers;
    _Alignas(CACHE_LINE) atomic_uint pending;
    atomic_int waiting, awaiting;                              /* for pending; for marks */
    _Alignas(CACHE_LINE) atomic_int_fast64_t next;             /* of pool_each */
    Worker *worker;
    PoolMemory memory;                                         /* under lock */
};

static inline void spin_pause(void) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

int threads_available(void) {
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) != 0) return 1;
    int n = CPU_COUNT(&set);
    return n > 0 ? n : 1;
}

/* ---- parts ---- */
static void run_part(Pool *pool, int thread) {
    const Job *job = &pool->job;
    if (job->each) {
        int64_t i;
        while ((i = atomic_fetch_add_explicit(&pool->next, 1, memory_order_relaxed)) < job->count)
            job->each(job->data, thread, i);
        return;
    }
    int64_t share = job->count / pool->threads, rest = job->count % pool->threads;
    int64_t lo = share * thread + rest * thread / pool->threads;
    int64_t hi = share * (thread + 1) + rest * (thread + 1) / pool->threads;
    if (lo < hi) job->range(job->data, thread, lo, hi);
}

/* ---- lingering ---- */
static int64_t clock_now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* What a number is waited for to be, compared with a value; REACHED: not below it. */
typedef enum Until { EQUAL, OTHER, REACHED } Until;

static bool is_there(unsigned now, unsigned value, Until until) {
    return until == REACHED ? now >= value : (now == value) == (until == EQUAL);
}

/* False: it is time to sleep. */
static bool linger(const Pool *pool, const atomic_uint *at, unsigned value, Until until) {
    if (is_there(atomic_load_explicit(at, memory_order_acquire), value, until)) return true;
    int64_t begin = pool->lingers ? clock_now() : 0, before = begin;
    for (;;) {
        for (int i = 0; i < SPINS; i++) {
            if (is_there(atomic_load_explicit(at, memory_order_acquire), value, until)) return true;
            spin_pause();
        }
        if (!pool->lingers || before - begin > LINGER_NS) return false;
        int64_t offered = clock_now();
        sched_yield();
        before = clock_now();
        if (before - offered > TAKEN_NS) return false;
    }
}

/* ---- workers ---- */
static unsigned wait_for_round(Pool *pool, unsigned seen) {
    unsigned now;
    if (linger(pool, &pool->round, seen, OTHER)) return atomic_load(&pool->round);
    pthread_mutex_lock(&pool->lock);
    atomic_fetch_add(&pool->sleepers, 1);
    while ((now = atomic_load(&pool->round)) == seen) pthread_cond_wait(&pool->start, &pool->lock);
    atomic_fetch_sub(&pool->sleepers, 1);
    pthread_mutex_unlock(&pool->lock);
    return now;
}

static void part_done(Pool *pool) {
    if (atomic_fetch_sub(&pool->pending, 1) == 1 && atomic_load(&pool->waiting)) {
        pthread_mutex_lock(&pool->lock);
        pthread_cond_signal(&pool->done);
        pthread_mutex_unlock(&pool->lock);
    }
}

static void *worker_main(void *at) {
    Worker *self = at;
    unsigned seen = 0;
    for (;;) {
        seen = wait_for_round(self->pool, seen);
        if (self->pool->stopping) return NULL;
        run_part(self->pool, self->thread);
        part_done(self->pool);
    }
}

/* ---- the caller's side ---- */
static void publish(Pool *pool) {
    atomic_fetch_add(&pool->round, 1);
    if (!atomic_load(&pool->sleepers)) return;
    pthread_mutex_lock(&pool->lock);
    pthread_cond_broadcast(&pool->start);
    pthread_mutex_unlock(&pool->lock);
}

static void wait_for_parts(Pool *pool) {
    if (linger(pool, &pool->pending, 0, EQUAL)) return;
    pthread_mutex_lock(&pool->lock);
    atomic_store(&pool->waiting, 1);
    while (atomic_load(&pool->pending) != 0) pthread_cond_wait(&pool->done, &pool->lock);
    atomic_store(&pool->waiting, 0);
    pthread_mutex_unlock(&pool->lock);
}

/* False if the job must run inline. */
static bool submit(Pool *pool, Job job) {
    if (!pool || pool->threads == 1 || job.count <= 1) return false;
    if (atomic_flag_test_and_set_explicit(&pool->busy, memory_order_acquire)) return false;
    pool->job = job;
    atomic_store_explicit(&pool->next, 0, memory_order_relaxed);
    atomic_store_explicit(&pool->pending, (unsigned)pool->threads - 1, memory_order_relaxed);
    publish(pool);
    run_part(pool, 0);
    wait_for_parts(pool);
    atomic_flag_clear_explicit(&pool->busy, memory_order_release);
    return true;
}

void pool_run(Pool *pool, int64_t count, void (*work)(void *, int, int64_t, int64_t), void *data) {
    if (!submit(pool, (Job){.count = count, .range = work, .data = data}) && count > 0) work(data, 0, 0, count);
}

void pool_each(Pool *pool, int64_t count, void (*work)(void *, int, int64_t), void *data) {
    if (submit(pool, (Job){.count = count, .each = work, .data = data})) return;
    for (int64_t i = 0; i < count; i++) work(data, 0, i);
}

/* ---- waiting inside a job ---- */
void pool_raise(Pool *pool, PoolMark *mark, unsigned value) {
    atomic_store(&mark->value, value);
    if (!atomic_load(&pool->awaiting)) return;
    pthread_mutex_lock(&pool->lock);
    pthread_cond_broadcast(&pool->raised);
    pthread_mutex_unlock(&pool->lock);
}

void pool_await(Pool *pool, const PoolMark *mark, unsigned value) {
    if (linger(pool, &mark->value, value, REACHED)) return;
    pthread_mutex_lock(&pool->lock);
    atomic_fetch_add(&pool->awaiting, 1);
    while (atomic_load(&mark->value) < value) pthread_cond_wait(&pool->raised, &pool->lock);
    atomic_fetch_sub(&pool->awaiting, 1);
    pthread_mutex_unlock(&pool->lock);
}

static PoolMemory swap_memory(Pool *pool, PoolMemory memory) {
    pthread_mutex_lock(&pool->lock);
    PoolMemory old = pool->memory;
    pool->memory = memory;
    pthread_mutex_unlock(&pool->lock);
    return old;
}

PoolMemory pool_take(Pool *pool) { return pool ? swap_memory(pool, (PoolMemory){0}) : (PoolMemory){0}; }

bool pool_give(Pool *pool, PoolMemory memory) {
    if (!pool) return false;
    free(swap_memory(pool, memory).at);
    return true;
}

int pool_threads(const Pool *pool) { return pool ? pool->threads : 1; }

/* Starts workers 1 .. wanted - 1; all signals stay with the caller's threads. */
static void start_workers(Pool *pool, int wanted) {
    sigset_t all, kept;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &kept);
    for (int t = 1; t < wanted; t++) {
        Worker *worker = &pool->worker[t];
        worker->pool = pool, worker->thread = t;
        if (pthread_create(&worker->id, NULL, worker_main, worker) != 0) break;
        pool->threads = t + 1;
    }
    pthread_sigmask(SIG_SETMASK, &kept, NULL);
}

Pool *pool_new(int threads) {
    if (threads > MAX_THREADS) threads = MAX_THREADS;
    Pool *pool = aligned_alloc(CACHE_LINE, (sizeof *pool + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE);
    Worker *worker = calloc(threads > 1 ? (size_t)threads : 1, sizeof *worker);
    if (!pool || !worker) {
        free(pool), free(worker);
        return NULL;
    }
    *pool = (Pool){.threads = 1, .lingers = threads <= threads_available(), .worker = worker};
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->start, NULL);
    pthread_cond_init(&pool->done, NULL);
    pthread_cond_init(&pool->raised, NULL);
    start_workers(pool, threads);
    return pool;
}

void pool_free(Pool *pool) {
    if (!pool) return;
    pool->stopping = true;
    publish(pool);
    for (int t = 1; t < pool->threads; t++) pthread_join(pool->worker[t].id, NULL);
    pthread_mutex_destroy(&pool->lock);
    pthread_cond_destroy(&pool->start);
    pthread_cond_destroy(&pool->done);
    pthread_cond_destroy(&pool->raised);
    free(pool->memory.at);
    free(pool->worker);
    free(pool);
}
