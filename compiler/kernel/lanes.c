/* lanes.c -- trials side by side: blocks, settings and keys go into arrays whose last axis is the trial, series come
 * back out of such arrays.  Lanes without a trial repeat the last one.
 *
 * The steps are cut so that the series of a cut stay in the cache; the packed blocks stay as they are between cuts. */
#include "kernel/lanes.h"

#include <stdlib.h>

enum { ALIGN = 64, CUT = 64 };                 /* steps between two unpackings of series */

typedef struct LaneRun {
    const Lowered *low;
    KernelFn function;
    int n;
    void *const *block;
    const Feed *feed;
    char *memory;
    size_t used;
    char *packed;                              /* the slots, one after the other */
    double *settings, *series[COUNT(((Feed *)0)->series)];
    int32_t *keys, *order;
    void **table;
    int64_t shape[4];
} LaneRun;

static size_t round_up(size_t n, size_t to) { return (n + to - 1) / to * to; }

static void *take(LaneRun *r, size_t bytes) {
    size_t at = r->used;
    r->used = round_up(at + bytes, ALIGN);
    return r->memory ? r->memory + at : NULL;
}

static size_t slot_elements(const LaneRun *r, int slot) {
    return (size_t)shape_size(&r->low->layout.slot[slot].shape);
}

static size_t slot_bytes(const LaneRun *r, int slot) {
    size_t trials = r->low->slot_varies[slot] ? (size_t)r->low->trials : 1;
    return round_up(slot_elements(r, slot) * trials * dtype_size(r->low->layout.slot[slot].dtype), ALIGN);
}

static int count_settings(const Graph *graph) {
    int n = 0;
    for (int i = 0; i < graph->inputs.len; i++)
        if (graph->inputs.at[i].kind == IN_SETTING && graph->inputs.at[i].index >= n) n = graph->inputs.at[i].index + 1;
    return n;
}

static void lay_out(LaneRun *r, int settings) {
    const Graph *graph = r->low->graph;
    size_t trials = (size_t)r->low->trials, bytes = 0;
    r->used = 0;
    for (int s = 0; s < r->low->layout.slots; s++) bytes += slot_bytes(r, s);
    r->packed = take(r, bytes);
    r->settings = take(r, sizeof(double) * trials * (size_t)settings);
    r->keys = take(r, sizeof(int32_t) * 2 * trials * (size_t)graph->keys);
    r->order = take(r, sizeof(int32_t) * round_up((size_t)r->low->examples + 1, SHARD));
    r->table = take(r, sizeof(void *) * (size_t)r->low->entries);
    for (int k = 0; k < graph->outputs.len; k++)
        if (graph->outputs.at[k].kind == OUT_SERIES)
            r->series[graph->outputs.at[k].index] = take(r, sizeof(double) * trials * CUT);
}

/* ---- blocks, settings, keys ---- */

static void spread(void *to, const void *from, size_t elements, size_t trials, size_t lane, size_t size) {
    for (size_t i = 0; i < elements; i++)
        memcpy((char *)to + (i * trials + lane) * size, (const char *)from + i * size, size);
}

static void collect(void *to, const void *from, size_t elements, size_t trials, size_t lane, size_t size) {
    for (size_t i = 0; i < elements; i++)
        memcpy((char *)to + i * size, (const char *)from + (i * trials + lane) * size, size);
}

static void pack_blocks(LaneRun *r) {
    char *at = r->packed;
    for (int s = 0; s < r->low->layout.slots; at += slot_bytes(r, s++)) {
        const Slot *slot = &r->low->layout.slot[s];
        int trials = r->low->slot_varies[s] ? r->low->trials : 1;
        for (int t = 0; t < trials; t++) {
            const char *from = r->block[t < r->n ? t : r->n - 1];
            spread(at, from + slot->offset, slot_elements(r, s), (size_t)trials, (size_t)t, dtype_size(slot->dtype));
        }
    }
}

static void unpack_blocks(const LaneRun *r) {
    const char *at = r->packed;
    for (int s = 0; s < r->low->layout.slots; at += slot_bytes(r, s++)) {
        const Slot *slot = &r->low->layout.slot[s];
        bool varies = r->low->slot_varies[s];
        for (int t = 0; t < r->n; t++)
            collect((char *)r->block[t] + slot->offset, at, slot_elements(r, s), varies ? (size_t)r->low->trials : 1,
                    varies ? (size_t)t : 0, dtype_size(slot->dtype));
    }
}

static void pack_inputs(LaneRun *r, int settings) {
    size_t trials = (size_t)r->low->trials, keys = (size_t)r->low->graph->keys;
    for (size_t t = 0; t < trials; t++) {
        const Feed *feed = &r->feed[t < (size_t)r->n ? t : (size_t)r->n - 1];
        spread(r->settings, feed->settings, (size_t)settings, trials, t, sizeof(double));
        if (feed->keys) spread(r->keys, feed->keys, 2 * keys, trials, t, sizeof(int32_t));
    }
    for (size_t i = 0; i < round_up((size_t)r->low->examples + 1, SHARD); i++)
        r->order[i] = (int32_t)i < (int32_t)r->low->examples ? (int32_t)i : (int32_t)r->low->examples - 1;
}

static void *entry_pointer(LaneRun *r, const Entry *entry) {
    char *at = r->packed;
    switch (entry->kind) {
    case ENTRY_BLOCK:
        for (int s = 0; s < entry->index; s++) at += slot_bytes(r, s);
        return at;
    case ENTRY_ROWS: return (void *)(uintptr_t)r->feed->rows[entry->index];
    case ENTRY_ORDER: return r->order;
    case ENTRY_SETTINGS: return r->settings;
    case ENTRY_KEYS: return r->keys;
    case ENTRY_SERIES: return r->series[entry->index];
    case ENTRY_SHAPE: return r->shape;
    case ENTRY_OUT_ROWS: case ENTRY_BUFFER: case ENTRY_SCRATCH: case ENTRY_TURN: break;
    }
    return NULL;
}

/* ---- steps ---- */

static void unpack_series(const LaneRun *r, int64_t from, int64_t to) {
    int trials = r->low->trials;
    for (int k = 0; k < COUNT(r->series); k++) {
        const double *series = r->series[k];
        for (int t = 0; series && t < r->n; t++) {
            double *out = r->feed[t].series[k] ? r->feed[t].series[k] + (from - r->feed[t].series_first) : NULL;
            for (int64_t i = 0; out && i < to - from; i++) out[i] = series[i * trials + t];
        }
    }
}

static void steps(LaneRun *r, int64_t from, int64_t to) {
    for (int64_t end; from < to; from = end) {
        end = from + CUT < to ? from + CUT : to;
        r->shape[0] = r->shape[3] = from;
        r->function(r->table, from, end);
        unpack_series(r, from, end);
    }
}

int lanes_run(const Lowered *lowered, KernelFn function, int n, void *const *block, const Feed *feed, int64_t from,
              int64_t to, bool beyond) {
    LaneRun r = {.low = lowered, .function = function, .n = n, .block = block, .feed = feed};
    int settings = count_settings(lowered->graph);
    lay_out(&r, settings);
    r.memory = aligned_alloc(ALIGN, round_up(r.used + ALIGN, ALIGN));
    if (!r.memory) return -1;
    memset(r.memory, 0, r.used);
    lay_out(&r, settings);
    pack_blocks(&r);
    pack_inputs(&r, settings);
    r.shape[1] = lowered->examples;
    for (int a = 0; a < lowered->stage[0].args; a++)
        r.table[a] = entry_pointer(&r, &lowered->entry[lowered->stage[0].arg[a]]);
    steps(&r, from, to);
    unpack_blocks(&r);
    if (beyond) steps(&r, to, to + 1);
    free(r.memory);
    return 0;
}
