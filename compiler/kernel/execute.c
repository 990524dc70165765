/* execute.c -- runs a lowered program step by step.
 *
 * A call owns one piece of memory: for each thread the stages' tables of pointers and its scratch buffers, and the
 * shared buffers (memory.c lays buffers out); the program, or the pool if it is large, keeps it for the next call
 * (nothing in it outlives a call).
 * Tables differ between threads in their scratch entries only.  A run of STAGE_SHARDS stages needs nothing of other
 * shards, so each shard goes through all of them before the next (its values stay in the cache).
 * Stages outside of loops are one job of the pool: each thread goes through all of them, does its share, and waits for
 * the others where a stage needs what they did (waits.c).
 * A loop runs its stages turn after turn with some pointers moved; one of shards alone does so shard by shard.
 * Neither the number of threads nor the cuts of a session change a bit: shards are fixed by the batch. */
#include "kernel/execute.h"
#include "kernel/memory.h"
#include "kernel/waits.h"
#include "support/threads.h"

#include <stdlib.h>
#include <sys/mman.h>

enum {
    ALIGN = 64, HUGE_PAGE = 1 << 21,
    SPARES = 4,                                /* calls side by side whose memory is kept */
    GROUPS = MAX_GROUPS + 1,
    QUEUE_CUTS = 16                            /* the least that a thread takes: that part of its share */
};

typedef struct Executable {
    Program program;                           /* first: a Program * is an Executable * */
    const Lowered *lowered;
    const KernelFn *functions;
    void *owner;
    void (*free_owner)(void *);
    struct Layout *layout[SPARES];             /* of calls that are over; taken and given back as spares are */
    struct Spare *spare[SPARES];               /* taken and given back atomically; NULL: in use or none */
} Executable;

/* Memory that a call left behind; `at` is aligned. */
typedef struct Spare { size_t bytes; void *at; } Spare;

/* What nobody has taken of a thread's share of a stage: first << 32 | end. */
typedef struct Queue { _Alignas(ALIGN) uint64_t left; } Queue;

typedef struct Run {
    const Executable *it;
    const Feed *feed;
    Pool *pool;
    int threads;
    char *block, *memory;
    size_t used;
    int64_t batch, per_epoch;                  /* examples of a full batch, steps of an epoch */
    int64_t shape[4];                          /* ENTRY_SHAPE */
    int32_t *order;                            /* ENTRY_ORDER */
    bool order_fixed;
    uint64_t *no_keys;
    void **buffer;                             /* [thread][buffer] */
    void **table;                              /* [thread][stage][argument] */
    MemoryPlan plan;                           /* of the buffers; the layout's */
    const Wait *wait;                          /* of each stage; the layout's */
    int *start, width;                         /* of each stage's table; of a thread's tables */
    double *series[COUNT(((Feed *)0)->series)];
    void *out_rows[COUNT(((Feed *)0)->out_rows)];
    const StageLoop *loop;                     /* that work_turns does */
    int from, end;                             /* the stages of the job at hand */
    Queue *queue;                              /* of each stage and thread */
    PoolMark *done;                            /* of each thread: stages that it has been through in this job, times */
                                               /* GROUPS, plus groups of the relay that it is at */
} Run;

/* ---- memory: laid out twice, once for its size, once for real ---- */

static size_t round_up(size_t n, size_t to) { return (n + to - 1) / to * to; }

static void *take(Run *r, size_t bytes) {
    size_t at = r->used;
    r->used = round_up(at + bytes, ALIGN);
    return r->memory ? r->memory + at : NULL;
}

static size_t row_bytes(const Graph *graph, Val v) {
    const Node *node = graph_node(graph, v);
    return (size_t)shape_size(&node->shape) * dtype_size((DType)node->dtype);
}

/* Results that nobody asked for are written all the same, to the side. */
static void lay_out_results(Run *r, int64_t steps) {
    const Graph *graph = r->it->lowered->graph;
    for (int k = 0; k < graph->outputs.len; k++) {
        const GraphOutput *output = &graph->outputs.at[k];
        if (output->kind == OUT_SERIES && output->index < COUNT(r->series)) {
            r->series[output->index] = r->feed->series[output->index];
            if (!r->series[output->index]) r->series[output->index] = take(r, sizeof(double) * (size_t)steps);
        }
        if (output->kind == OUT_ROWS && output->index < COUNT(r->out_rows)) {
            r->out_rows[output->index] = r->feed->out_rows[output->index];
            if (!r->out_rows[output->index])
                r->out_rows[output->index] = take(r, row_bytes(graph, output->value) * (size_t)r->batch);
        }
    }
}

static void lay_out(Run *r, int64_t steps) {
    const Lowered *low = r->it->lowered;
    r->used = 0;
    r->width = 0;
    r->start = take(r, sizeof(int) * (size_t)low->stages);
    for (int s = 0; s < low->stages; r->width += low->stage[s++].args)
        if (r->memory) r->start[s] = r->width;
    r->done = take(r, sizeof(PoolMark) * (size_t)r->threads);
    r->queue = take(r, sizeof(Queue) * (size_t)(low->stages * r->threads));
    r->table = take(r, sizeof(void *) * (size_t)r->width * (size_t)r->threads);
    r->buffer = take(r, sizeof(void *) * (size_t)low->buffers * (size_t)r->threads);
    r->order = take(r, sizeof(int32_t) * round_up((size_t)r->batch + 1, SHARD));
    r->no_keys = take(r, sizeof(uint64_t) * (size_t)low->graph->keys);
    if (r->memory) memset(r->no_keys, 0, sizeof(uint64_t) * (size_t)low->graph->keys);
    lay_out_results(r, steps);
    char *shared = take(r, r->plan.shared);
    for (int t = 0; t < r->threads; t++) {
        char *own = take(r, r->plan.scratch);
        for (int b = 0; b < low->buffers && r->memory; b++)
            r->buffer[t * low->buffers + b] = (low->buffer[b].scratch ? own : shared) + r->plan.offset[b];
    }
}

/* ---- tables ---- */

static void *series_start(const Run *r, int index) {
    if (r->feed->series[index]) return r->series[index];
    return (void *)((uintptr_t)r->series[index] - (uintptr_t)(r->shape[0] - r->shape[3]) * sizeof(double));
}

static void *entry_pointer(Run *r, const Entry *entry, int thread) {
    const Lowered *low = r->it->lowered;
    switch (entry->kind) {
    case ENTRY_BLOCK: return r->block + low->layout.slot[entry->index].offset;
    case ENTRY_ROWS: return (void *)(uintptr_t)r->feed->rows[entry->index];
    case ENTRY_ORDER: return r->order;
    case ENTRY_SETTINGS: return (void *)(uintptr_t)r->feed->settings;
    case ENTRY_KEYS: return r->feed->keys ? (void *)(uintptr_t)r->feed->keys : r->no_keys;
    case ENTRY_OUT_ROWS: return r->out_rows[entry->index];
    case ENTRY_SERIES: return series_start(r, entry->index);
    case ENTRY_BUFFER: case ENTRY_SCRATCH: return r->buffer[thread * low->buffers + entry->index];
    case ENTRY_SHAPE: return r->shape;
    case ENTRY_TURN: break;                    /* set_turn */
    }
    return NULL;
}

static void *turn_pointer(Run *r, const Moving *turn, int64_t at, int64_t turns, int thread) {
    int entry = at == 0 ? turn->first : at & 1 ? turn->odd : turn->even;
    char *base = entry_pointer(r, &r->it->lowered->entry[entry], thread);
    return base + turn->stride * (turn->back ? turns - 1 - at : at);
}

static void set_turn(Run *r, const StageLoop *loop, int64_t at, int thread) {
    const Lowered *low = r->it->lowered;
    for (int s = loop->first; s < loop->first + loop->stages; s++) {
        for (int a = 0; a < low->stage[s].args; a++) {
            const Entry *entry = &low->entry[low->stage[s].arg[a]];
            if (entry->kind == ENTRY_TURN)
                r->table[thread * r->width + r->start[s] + a] =
                    turn_pointer(r, &low->turn[entry->index], at, loop->turns, thread);
        }
    }
}

static void fill_tables(Run *r) {
    const Lowered *low = r->it->lowered;
    for (int t = 0; t < r->threads; t++)
        for (int s = 0; s < low->stages; s++)
            for (int a = 0; a < low->stage[s].args; a++)
                r->table[t * r->width + r->start[s] + a] = entry_pointer(r, &low->entry[low->stage[s].arg[a]], t);
}

/* Where this batch's first row of a result goes. */
static void *rows_now(const Run *r, int index) {
    const Graph *graph = r->it->lowered->graph;
    if (!r->feed->out_rows[index]) return r->out_rows[index];
    for (int k = 0; k < graph->outputs.len; k++)
        if (graph->outputs.at[k].kind == OUT_ROWS && graph->outputs.at[k].index == index)
            return (char *)r->out_rows[index] + row_bytes(graph, graph->outputs.at[k].value) * (size_t)r->shape[2];
    return NULL;
}

static void place_out_rows(Run *r) {
    const Lowered *low = r->it->lowered;
    for (int s = 0; s < low->stages; s++) {
        for (int a = 0; a < low->stage[s].args; a++) {
            const Entry *entry = &low->entry[low->stage[s].arg[a]];
            for (int t = 0; t < r->threads && entry->kind == ENTRY_OUT_ROWS; t++)
                r->table[t * r->width + r->start[s] + a] = rows_now(r, entry->index);
        }
    }
}

/* ---- one step ---- */

static void fill_order(Run *r, int64_t epoch) {
    int64_t count = r->shape[1], first = r->shape[2], filled = (int64_t)round_up((size_t)count, SHARD);
    if (r->order_fixed) return;
    const int32_t *order = r->feed->order ? r->feed->order + (epoch - r->feed->order_epoch) * r->feed->examples : NULL;
    for (int64_t i = 0; i < count; i++) r->order[i] = order ? order[first + i] : (int32_t)(first + i);
    for (int64_t i = count; i < filled; i++) r->order[i] = count ? r->order[count - 1] : 0;
    r->order_fixed = !r->feed->order && r->per_epoch == 1;
}

static void begin_step(Run *r, int64_t step) {
    int64_t epoch = step / r->per_epoch, first = step % r->per_epoch * r->batch;
    int64_t left = r->feed->examples - first;
    r->shape[0] = step;
    r->shape[1] = left < r->batch ? left : r->batch;
    r->shape[2] = first;
    fill_order(r, epoch);
    if (r->per_epoch > 1) place_out_rows(r);
}

static void call(const Run *r, int stage, int thread, int64_t lo, int64_t hi) {
    const Lowered *low = r->it->lowered;
    r->it->functions[low->stage[stage].func](&r->table[thread * r->width + r->start[stage]], lo, hi);
}

static void work_turns(void *data, int thread, int64_t lo, int64_t hi) {
    Run *r = data;
    for (int64_t shard = lo; shard < hi; shard++) {
        for (int64_t at = 0; at < r->loop->turns; at++) {
            set_turn(r, r->loop, at, thread);
            for (int s = r->loop->first; s < r->loop->first + r->loop->stages; s++)
                call(r, s, thread, shard, shard + 1);
        }
    }
}

static int64_t shards_of(const Run *r) { return (r->shape[1] + SHARD - 1) / SHARD; }

/* A part of a job: the shares lo .. hi of as many as there are threads.  Alone: all of them. */
typedef struct Part { Run *r; int thread; int64_t lo, hi; bool alone; } Part;

static void await_stage(const Part *p, int thread, int stage) {
    if (stage >= p->r->from && thread != p->thread)
        pool_await(p->r->pool, &p->r->done[thread], (unsigned)(stage + 1 - p->r->from) * GROUPS);
}

static void await_before(const Part *p, int stage) {
    const Wait *wait = &p->r->wait[stage];
    if (p->alone) return;
    await_stage(p, 0, wait->first);
    for (int t = 1; t < p->r->threads; t++) await_stage(p, t, wait->others);
}

/* The first of n that share t begins with; one alone is the first share's. */
static int64_t share_from(const Run *r, int64_t n, int64_t t) {
    if (n == 1) return t > 0;
    return n / r->threads * t + n % r->threads * t / r->threads;
}

/* The same where a relay of so many groups follows: a thread gets the chains a group later than the one before it, and
 * has so much more to do until then. */
static int64_t relay_from(const Run *r, int64_t n, int groups, int64_t t) {
    int64_t all = r->threads, before = groups * t + t * (t - 1) / 2, whole = groups * all + all * (all - 1) / 2;
    return n * before / whole;
}

static void part_tiles(const Part *p, int s, const Stage *stage) {
    const Run *r = p->r;
    int64_t lo = share_from(r, stage->count, p->lo), hi = share_from(r, stage->count, p->hi);
    if (s + 1 < p->r->end && stage[1].split == STAGE_RELAY) {
        lo = relay_from(r, stage->count, stage[1].groups, p->lo);
        hi = relay_from(r, stage->count, stage[1].groups, p->hi);
    }
    if (lo == hi) return;
    await_before(p, s);
    call(r, s, p->thread, lo, hi);
}

/* Waits until threads before it have been through what a STAGE_SUMS needs, and those behind it are at the shards. */
static void await_early(const Part *p, int s) {
    const Wait *wait = &p->r->wait[s];
    int before = stage_run_first(p->r->it->lowered->stage, s - 1) - 1;
    for (int t = 0; t < p->r->threads; t++)
        await_stage(p, t, t > p->thread ? before : t ? wait->others : wait->first);
}

/* Begins with the shards of threads before it and its own. */
static void part_sums(const Part *p, int s, const Stage *stage) {
    const Run *r = p->r;
    int64_t lo = share_from(r, stage->count, p->lo), hi = share_from(r, stage->count, p->hi);
    int64_t all = shards_of(r), own = share_from(r, all, p->hi);
    bool early = s > r->from && stage_begins_early(r->it->lowered->stage, s) && own > 0 && own < all;
    if (lo == hi) return;
    if (early) {
        await_early(p, s);
        call(r, s, p->thread, lo, hi + (own << 32));
    }
    await_before(p, s);
    call(r, s, p->thread, early ? lo + (own << 32) : lo, hi + (all << 32));
}

/* Of what is left of a thread's share: ever less, so that threads end together, but not so little that beginning costs
 * more.  The owner takes it from the front, another from the end. */
static bool queue_take(Queue *queue, bool owner, uint64_t least, int64_t *lo, int64_t *hi) {
    uint64_t was = __atomic_load_n(&queue->left, __ATOMIC_RELAXED), now;
    do {
        uint64_t first = was >> 32, end = was & UINT32_MAX, some = (end - first) / 2;
        if (first == end) return false;
        if (some < least) some = end - first < least ? end - first : least;
        *lo = (int64_t)(owner ? first : end - some);
        *hi = *lo + (int64_t)some;
        now = owner ? (first + some) << 32 | end : first << 32 | (end - some);
    } while (!__atomic_compare_exchange_n(&queue->left, &was, now, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
    return true;
}

/* Its own share first, which may lie in its cache, then what others have left. */
static void part_queue(const Part *p, int stage, int64_t count) {
    const Run *r = p->r;
    uint64_t least = (uint64_t)(count / (r->threads * QUEUE_CUTS) + 1);
    int64_t lo, hi;
    if (p->alone) {
        call(r, stage, p->thread, 0, count);
        return;
    }
    await_before(p, stage);
    for (int k = 0; k < r->threads; k++) {
        Queue *queue = &r->queue[stage * r->threads + (p->thread + k) % r->threads];
        while (queue_take(queue, k == 0, least, &lo, &hi)) call(r, stage, p->thread, lo, hi);
    }
}

static void fill_queues(Run *r, int from, int end) {
    for (int s = from; s < end; s++) {
        const Stage *stage = &r->it->lowered->stage[s];
        if (stage->split != STAGE_QUEUE && stage->split != STAGE_RANGE) continue;
        for (int t = 0; t < r->threads; t++) {
            uint64_t first = (uint64_t)share_from(r, stage->count, t);
            r->queue[s * r->threads + t].left = first << 32 | (uint64_t)share_from(r, stage->count, t + 1);
        }
    }
}

static void part_shards(const Part *p, int first, int stages) {
    int64_t lo = share_from(p->r, shards_of(p->r), p->lo), hi = share_from(p->r, shards_of(p->r), p->hi);
    for (int s = first; s < first + stages && lo < hi; s++) await_before(p, s);
    for (int64_t shard = lo; shard < hi; shard++)
        for (int s = first; s < first + stages; s++) call(p->r, s, p->thread, shard, shard + 1);
}

static void part_relay(const Part *p, int s, const Stage *stage) {
    int64_t turns = stage->groups + 1, n = stage->count / turns;
    int64_t lo = relay_from(p->r, n, stage->groups, p->lo), hi = relay_from(p->r, n, stage->groups, p->hi);
    unsigned before = (unsigned)(s - p->r->from) * GROUPS;
    if (p->alone) {
        call(p->r, s, p->thread, 0, stage->count);
        return;
    }
    if (lo < hi) await_before(p, s);
    for (unsigned turn = 1; turn < turns; turn++) {
        if (p->thread > 0) pool_await(p->r->pool, &p->r->done[p->thread - 1], before + turn);
        if (lo < hi) call(p->r, s, p->thread, lo * turns + turn, hi * turns + turn);
        pool_raise(p->r->pool, &p->r->done[p->thread], before + turn);
    }
}

static void part_once(const Part *p, int stage, int64_t lo, int64_t hi) {
    if (p->lo > 0) return;
    await_before(p, stage);
    call(p->r, stage, p->thread, lo, hi);
}

/* Consecutive stages of shards are one run; gives how many stages it did. */
static int part_stage(const Part *p, int s) {
    const Lowered *low = p->r->it->lowered;
    const Stage *stage = &low->stage[s];
    int stages = 1;
    switch (stage->split) {
    case STAGE_SHARDS:
        while (s + stages < p->r->end && low->stage[s + stages].split == STAGE_SHARDS) stages++;
        part_shards(p, s, stages);
        break;
    case STAGE_RANGE:
        if (stage_is_serial(stage)) part_once(p, s, 0, stage->count);
        else part_queue(p, s, stage->count);
        break;
    case STAGE_TILES: part_tiles(p, s, stage); break;
    case STAGE_SUMS: part_sums(p, s, stage); break;
    case STAGE_QUEUE: part_queue(p, s, stage->count); break;
    case STAGE_RELAY: part_relay(p, s, stage); break;
    case STAGE_ONCE: part_once(p, s, 0, 1); break;
    case STAGE_STEPS: part_once(p, s, p->r->shape[0], p->r->shape[0] + 1); break;
    }
    return stages;
}

static void work_stages(void *data, int thread, int64_t lo, int64_t hi) {
    Part p = {data, thread, lo, hi, lo == 0 && hi == ((Run *)data)->threads};
    for (int s = p.r->from; s < p.r->end;) {
        s += part_stage(&p, s);
        if (!p.alone) pool_raise(p.r->pool, &p.r->done[thread], (unsigned)(s - p.r->from) * GROUPS);
    }
}

static bool is_shared(const Run *r, const Stage *stage) {
    if (stage->split == STAGE_SHARDS) return shards_of(r) > 1;
    return !stage_is_serial(stage) && stage->count > 1;
}

static void run_range(Run *r, int from, int end) {
    bool shared = false;
    for (int s = from; s < end && r->threads > 1 && !shared; s++) shared = is_shared(r, &r->it->lowered->stage[s]);
    r->from = from;
    r->end = end;
    if (!shared) {
        work_stages(r, 0, 0, r->threads);
        return;
    }
    for (int t = 0; t < r->threads; t++) atomic_store_explicit(&r->done[t].value, 0, memory_order_relaxed);
    fill_queues(r, from, end);
    pool_run(r->pool, r->threads, work_stages, r);
}

static void run_loop(Run *r, const StageLoop *loop) {
    r->loop = loop;
    if (loop->shards) {
        if (shards_of(r) == 1) work_turns(r, 0, 0, 1);
        else pool_run(r->pool, shards_of(r), work_turns, r);
        return;
    }
    for (int64_t at = 0; at < loop->turns; at++) {
        for (int t = 0; t < r->threads; t++) set_turn(r, loop, at, t);
        run_range(r, loop->first, loop->first + loop->stages);
    }
}

static void run_stages(Run *r) {
    const Lowered *low = r->it->lowered;
    int s = 0;
    for (int k = 0; k < low->loops; k++) {
        run_range(r, s, low->loop[k].first);
        run_loop(r, &low->loop[k]);
        s = low->loop[k].first + low->loop[k].stages;
    }
    run_range(r, s, low->stages);
}

/* ---- programs ---- */

/* The loop is inside the kernel; it is left only where the order or the rows of results change. */
static int run_neuron(Run *r, int64_t from, int64_t to) {
    bool whole = !r->feed->order && r->per_epoch == 1;
    for (int64_t step = from; step < to; step = whole ? to : step + 1) {
        begin_step(r, step);
        if (r->shape[1] != r->it->lowered->examples) return -1;
        call(r, 0, 0, step, whole ? to : step + 1);
    }
    return 0;
}

/* ---- memory between calls ---- */

static void spare_free(Spare *spare) {
    if (spare) free(spare->at);
    free(spare);
}

/* In large pages where there is much: neighbours in the tensors of a step lie many small pages apart. */
static void *pages_take(size_t bytes) {
    bool large = bytes >= HUGE_PAGE;
    void *at = large ? aligned_alloc(HUGE_PAGE, round_up(bytes, HUGE_PAGE)) : aligned_alloc(ALIGN, bytes);
#ifdef MADV_HUGEPAGE
    if (at && large) madvise(at, bytes, MADV_HUGEPAGE);
#endif
    return at;
}

/* Where the buffers of a batch lie, and what its stages wait for: kept from call to call. */
typedef struct Layout { int64_t batch; MemoryPlan plan; Wait *wait; } Layout;

static void layout_free(Layout *layout) {
    if (layout) memory_plan_free(&layout->plan);
    if (layout) free(layout->wait);
    free(layout);
}

static Layout *layout_take(Executable *it, int64_t batch) {
    Layout *layout = NULL;
    for (int i = 0; i < SPARES && !layout; i++) layout = __atomic_exchange_n(&it->layout[i], NULL, __ATOMIC_ACQ_REL);
    if (layout && layout->batch == batch) return layout;
    layout_free(layout);
    layout = calloc(1, sizeof *layout);
    if (!layout) return NULL;
    layout->batch = batch;
    layout->wait = malloc(sizeof *layout->wait * (size_t)(it->lowered->stages + 1));
    if (!memory_plan(it->lowered, batch, &layout->plan) || !layout->wait) {
        layout_free(layout);
        return NULL;
    }
    waits_plan(it->lowered, &layout->plan, layout->wait);
    return layout;
}

static void layout_give(Executable *it, Layout *layout) {
    for (int i = 0; i < SPARES && layout; i++) layout = __atomic_exchange_n(&it->layout[i], layout, __ATOMIC_ACQ_REL);
    layout_free(layout);
}

static Spare *spare_new(size_t bytes, void *at) {
    Spare *spare = at ? malloc(sizeof *spare) : NULL;
    if (!spare) free(at);
    else *spare = (Spare){bytes, at};
    return spare;
}

/* What is large goes from program to program, by way of the pool. */
static Spare *pool_spare(Pool *pool, size_t bytes) {
    PoolMemory kept = pool_take(pool);
    if (kept.bytes >= bytes) return spare_new(kept.bytes, kept.at);
    free(kept.at);
    return spare_new(bytes, pages_take(bytes));
}

static Spare *memory_take(Executable *it, size_t bytes, Pool *pool) {
    Spare *spare = NULL;
    if (bytes >= HUGE_PAGE && pool) return pool_spare(pool, bytes);
    for (int i = 0; i < SPARES && !spare; i++) spare = __atomic_exchange_n(&it->spare[i], NULL, __ATOMIC_ACQ_REL);
    if (spare && spare->bytes >= bytes) return spare;
    spare_free(spare);
    return spare_new(bytes, pages_take(bytes));
}

static void memory_give(Executable *it, Spare *spare, Pool *pool) {
    if (spare->bytes >= HUGE_PAGE && pool_give(pool, (PoolMemory){spare->bytes, spare->at})) {
        free(spare);
        return;
    }
    for (int i = 0; i < SPARES && spare; i++) spare = __atomic_exchange_n(&it->spare[i], spare, __ATOMIC_ACQ_REL);
    spare_free(spare);
}

static int execute_run(Program *program, void *block, const Feed *feed, int64_t from, int64_t to, Pool *pool) {
    Executable *it = (Executable *)program;
    Run r = {.it = it, .feed = feed, .pool = pool, .block = block};
    if (from >= to) return 0;
    r.threads = it->lowered->neuron ? 1 : pool_threads(pool);
    r.batch = feed->batch < feed->examples ? feed->batch : feed->examples;
    if (r.batch < 0) r.batch = 0;
    r.per_epoch = r.batch ? (feed->examples + r.batch - 1) / r.batch : 1;
    r.shape[0] = from;
    r.shape[3] = feed->series_first;
    Layout *layout = layout_take(it, r.batch);
    if (!layout) return -1;
    r.plan = layout->plan;
    r.wait = layout->wait;
    lay_out(&r, to - from);
    size_t bytes = round_up(r.used + ALIGN, ALIGN);
    Spare *spare = memory_take(it, bytes, pool);
    r.memory = spare ? spare->at : NULL;
    if (spare) lay_out(&r, to - from);
    if (!spare) {
        layout_give(it, layout);
        return -1;
    }
    fill_tables(&r);
    int status = 0;
    if (it->lowered->neuron) {
        status = run_neuron(&r, from, to);
    } else {
        for (int64_t step = from; step < to; step++) {
            begin_step(&r, step);
            run_stages(&r);
        }
    }
    memory_give(it, spare, pool);
    layout_give(it, layout);
    return status;
}

static void execute_free(Program *program) {
    Executable *it = (Executable *)program;
    for (int i = 0; i < SPARES; i++) layout_free(__atomic_exchange_n(&it->layout[i], NULL, __ATOMIC_ACQ_REL));
    for (int i = 0; i < SPARES; i++) spare_free(__atomic_exchange_n(&it->spare[i], NULL, __ATOMIC_ACQ_REL));
    if (it->free_owner) it->free_owner(it->owner);
    it->free_owner = NULL;
}

Program *program_execute(Arena *arena, const Lowered *lowered, const KernelFn *functions, void *owner,
                         void (*free_owner)(void *)) {
    Executable *it = arena_new_of(arena, Executable);
    it->program = (Program){lowered->graph, lowered->layout, execute_run, execute_free};
    it->lowered = lowered;
    it->functions = functions;
    it->owner = owner;
    it->free_owner = free_owner;
    return &it->program;
}

void program_functions(Program *program, const KernelFn *functions, void *owner, void (*free_owner)(void *)) {
    Executable *it = (Executable *)program;
    it->functions = functions;
    it->owner = owner;
    it->free_owner = free_owner;
}
