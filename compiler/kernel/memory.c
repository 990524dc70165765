/* memory.c -- where the buffers of a program lie: two may lie in the same place if no stage needs both.
 *
 * A buffer is needed from the first stage that has it among its arguments to the last; of those that one stage alone
 * needs, in some of its parts, two may share a place as well.  Shards go through a run of STAGE_SHARDS stages at
 * different times, so one that all threads share is needed in the whole of such a run; scratch buffers belong to the
 * one shard that a thread is at; so are the two stages of a relay one run; a STAGE_SUMS begins within such a run.  What
 * a stage of a loop needs is needed in all of the loop, and so is what its moving pointers reach.  The largest are
 * placed first, each in the lowest gap that is wide enough.  Sizes depend on the batch, so this is done once for each
 * call, not for each step. */
#include "kernel/memory.h"

#include <stdlib.h>

enum {
    ALIGN = 64,
    APART_TO = 1 << 22                     /* shared buffers so small keep apart from those of the run before theirs */
};

typedef struct Room { size_t bytes; int first, last, part, last_part; bool scratch, placed; } Room;

static size_t round_up(size_t n, size_t to) { return (n + to - 1) / to * to; }

static size_t buffer_bytes(const Lowered *low, const Buffer *b, int64_t batch) {
    size_t shards = (size_t)(batch + SHARD - 1) / SHARD, rows = round_up((size_t)batch, (size_t)low->lanes);
    if (b->scratch && rows > SHARD) rows = SHARD;
    return round_up(b->fixed + b->per_shard * (shards ? shards : 1) + b->per_example * rows, ALIGN);
}

static bool is_shards(const Lowered *low, int s) {
    return s >= 0 && s < low->stages && low->stage[s].split == STAGE_SHARDS;
}

/* The run of stages that stage s belongs to: itself, or consecutive ones of shards (and what begins in them), or a
 * relay's two. */
static void run_of(const Lowered *low, int s, int *first, int *last) {
    *first = *last = s;
    if (low->stage[s].split == STAGE_RELAY) --*first;
    if (s + 1 < low->stages && low->stage[s + 1].split == STAGE_RELAY) ++*last;
    if (!is_shards(low, s) && !stage_begins_early(low->stage, s)) return;
    while (is_shards(low, *first - 1)) --*first;
    while (is_shards(low, *last) && is_shards(low, *last + 1)) ++*last;
}

static void need(const Lowered *low, Room *room, int entry, int from, int to) {
    const Entry *e = &low->entry[entry];
    if (e->kind != ENTRY_BUFFER && e->kind != ENTRY_SCRATCH) return;
    Room *r = &room[e->index];
    if (r->first > from) r->first = from;
    if (r->last < to) r->last = to;
}

static bool is_scratch(const Lowered *low, int entry) { return low->entry[entry].kind == ENTRY_SCRATCH; }

static void find_lives(const Lowered *low, Room *room) {
    for (int s = 0; s < low->stages; s++) {
        int first, last;
        run_of(low, s, &first, &last);
        for (int a = 0; a < low->stage[s].args; a++) {
            int entry = low->stage[s].arg[a];
            bool own = is_scratch(low, entry);
            need(low, room, entry, own ? s : first, own ? s : last);
        }
    }
}

static void find_loop_lives(const Lowered *low, Room *room) {
    for (int k = 0; k < low->loops; k++) {
        int first = low->loop[k].first, last = first + low->loop[k].stages - 1;
        for (int s = first; s <= last; s++)
            for (int a = 0; a < low->stage[s].args; a++)
                if (!is_scratch(low, low->stage[s].arg[a])) need(low, room, low->stage[s].arg[a], first, last);
    }
    for (int k = 0; k < low->turns; k++) {
        const Moving *m = &low->turn[k];
        int first = low->loop[m->loop].first, last = first + low->loop[m->loop].stages - 1;
        int entry[] = {m->first, m->odd, m->even};
        for (int i = 0; i < 3; i++) need(low, room, entry[i], first, last);
    }
}

/* The first stage of the run before the one that begins at s; 0: none. */
static int run_before(const Lowered *low, int s) {
    int first = 0, last;
    if (s > 0) run_of(low, s - 1, &first, &last);
    return first;
}

/* In the place of what the run before needs, a buffer would make its first stage wait for all threads to end that
 * run. */
static void keep_apart(const Lowered *low, Room *room) {
    for (int b = 0; b < low->buffers; b++)
        if (!room[b].scratch && room[b].bytes <= APART_TO && room[b].last >= 0)
            room[b].first = run_before(low, room[b].first);
}

static bool meet(const Room *a, const Room *b) {
    if (a->part && b->part && a->first == b->first) return a->part <= b->last_part && b->part <= a->last_part;
    return a->first <= b->last && b->first <= a->last;
}

/* placed: by rising offset. */
static size_t lowest_gap(const Room *room, const size_t *offset, const int *placed, int n, int b) {
    size_t at = 0;
    for (int k = 0; k < n; k++) {
        const Room *other = &room[placed[k]];
        if (other->scratch != room[b].scratch || !meet(other, &room[b])) continue;
        if (offset[placed[k]] >= at + room[b].bytes) break;
        if (offset[placed[k]] + other->bytes > at) at = offset[placed[k]] + other->bytes;
    }
    return at;
}

static int largest(const Room *room, int n) {
    int best = -1;
    for (int b = 0; b < n; b++)
        if (!room[b].placed && (best < 0 || room[b].bytes > room[best].bytes)) best = b;
    return best;
}

static void place_all(MemoryPlan *plan, Room *room, int *placed, int n) {
    for (int k = 0; k < n; k++) {
        int b = largest(room, n), i = k;
        size_t at = lowest_gap(room, plan->offset, placed, k, b);
        size_t *end = room[b].scratch ? &plan->scratch : &plan->shared;
        room[b].placed = true;
        plan->offset[b] = at;
        if (at + room[b].bytes > *end) *end = at + room[b].bytes;
        for (; i > 0 && plan->offset[placed[i - 1]] > at; i--) placed[i] = placed[i - 1];
        placed[i] = b;
    }
}

bool memory_plan(const Lowered *low, int64_t batch, MemoryPlan *plan) {
    size_t n = (size_t)low->buffers + 1;
    Room *room = malloc(n * (sizeof *room + sizeof(int)));
    *plan = (MemoryPlan){.offset = malloc(2 * n * sizeof *plan->offset)};
    if (!room || !plan->offset) {
        free(room);
        memory_plan_free(plan);
        return false;
    }
    plan->bytes = plan->offset + n;
    for (int b = 0; b < low->buffers; b++) {
        plan->bytes[b] = buffer_bytes(low, &low->buffer[b], batch);
        room[b] = (Room){plan->bytes[b], low->stages, -1, low->buffer[b].part, low->buffer[b].last_part,
                         low->buffer[b].scratch, false};
    }
    find_lives(low, room);
    find_loop_lives(low, room);
    keep_apart(low, room);
    place_all(plan, room, (int *)(room + n), low->buffers);
    free(room);
    return true;
}

void memory_plan_free(MemoryPlan *plan) {
    free(plan->offset);
    plan->offset = plan->bytes = NULL;
}

size_t memory_bytes(const Lowered *low, int64_t batch, int threads) {
    MemoryPlan plan;
    if (!memory_plan(low, batch, &plan)) return 0;
    memory_plan_free(&plan);
    return plan.shared + plan.scratch * (size_t)threads;
}
