/* chase.c -- see chase.h.
 *
 * Sums are kept at `places` places of the chain, `step` inputs apart: kept[point][place][wide] of the point so far, and
 * tried[][][] of its proposal, where that differs.  Points go on in groups of CARRIED, those together that begin
 * at about the same place. */
#include "attack/chase.h"
#include "attack/loops.h"

#include <stdlib.h>
#include <string.h>

enum { PLACES = 8 };


struct Chase {
    const Front *front;
    const Loops *loops;
    Chains chains;
    int64_t points, places, row;                     /* row: numbers of a point's sums */
    const float *hi;
    float *hi_seen, *lo_seen, *current, *proposed;   /* [points, inputs]: x' */
    float *kept, *tried, *h;
    int64_t *from, *sorted;                          /* [points]: first input that differs, then the place begun at */
    void *block;
};

static float *take(float **at, int64_t n) {
    float *taken = *at;
    *at += (n + 15) / 16 * 16;
    return taken;
}

Chase *chase_open(const Front *f, int64_t points, const float *hi, const float *lo) {
    int64_t all = points * f->inputs, step = (f->inputs + PLACES - 1) / PLACES;
    int64_t places = (f->inputs + step - 1) / step,
            row = (places + 1) * f->wide, h = points * f->outs;
    size_t bytes = sizeof(float) * (size_t)(4 * all + 2 * points * row + h + 16 * 8) +
                   sizeof(int64_t) * 2 * (size_t)points + 64;
    Chase *c = malloc(sizeof *c);
    void *block = aligned_alloc(64, (bytes + 63) / 64 * 64);
    float *at = block;
    if (c && block) {
        *c = (Chase){.front = f, .loops = attack_loops(), .points = points, .places = places, .row = row,
                     .hi = hi, .block = block};
        c->chains = (Chains){f->inputs, f->wide, step, f->w};
        c->hi_seen = take(&at, all);
        c->lo_seen = take(&at, all);
        c->current = take(&at, all);
        c->proposed = take(&at, all);
        c->kept = take(&at, points * row);
        c->tried = take(&at, points * row);
        c->h = take(&at, h + 16);
        c->from = (int64_t *)(void *)at;
        c->sorted = c->from + points;
        for (int64_t i = 0; i < points; i++) c->from[i] = f->inputs;
        for (int64_t i = 0; i < points; i++) memcpy(c->kept + i * row, f->b, sizeof(float) * (size_t)f->wide);
        bool ok = f->seen(f->data, hi, points, c->hi_seen) && f->seen(f->data, lo, points, c->lo_seen);
        memset(c->current, 0xff, sizeof(float) * (size_t)all);               /* as nothing that is proposed first */
        if (ok) return c;
    }
    free(block);
    free(c);
    return NULL;
}

void chase_close(Chase *c) {
    if (c) free(c->block);
    free(c);
}

void chase_note(Chase *c, int64_t point, const float *x, int64_t from, int64_t to) {
    int64_t at = point * c->front->inputs, first = c->from[point];
    const uint32_t *hi = (const void *)(c->hi + at), *here = (const void *)x,
                   *current = (const void *)(c->current + at), *hi_seen = (const void *)(c->hi_seen + at),
                   *lo_seen = (const void *)(c->lo_seen + at);
    uint32_t *proposed = (void *)(c->proposed + at);
    for (int64_t i = from; i < to; i++) {
        proposed[i] = here[i] == hi[i] ? hi_seen[i] : lo_seen[i];
        if (i < first && proposed[i] != current[i]) first = i;
    }
    c->from[point] = first;
}

void chase_settle(Chase *c, int64_t point, int64_t from, int64_t to, bool taken) {
    float *current = c->current + point * c->front->inputs, *proposed = c->proposed + point * c->front->inputs;
    size_t bytes = sizeof(float) * (size_t)(to - from);
    if (taken) memcpy(current + from, proposed + from, bytes);
    else memcpy(proposed + from, current + from, bytes);
}

void chase_end(Chase *c, int64_t point, bool taken) {
    int64_t at = point * c->row + (c->from[point] + 1) * c->front->wide;
    size_t bytes = sizeof(float) * (size_t)((point + 1) * c->row - at);
    if (taken) memcpy(c->kept + at, c->tried + at, bytes);
    c->from[point] = c->front->inputs;
}

/* Points by the place that they begin at, c->from of each from now on. */
static void sort_points(Chase *c, const int64_t *point, int64_t n) {
    int64_t count[PLACES + 1] = {0};
    for (int64_t k = 0; k < n; k++) {
        int64_t place = c->from[point[k]] / c->chains.step;
        c->from[point[k]] = place < c->places ? place : c->places - 1;
        count[c->from[point[k]] + 1]++;
    }
    for (int i = 0; i < PLACES; i++) count[i + 1] += count[i];
    for (int64_t k = 0; k < n; k++) c->sorted[count[c->from[point[k]]]++] = point[k];
}

/* Of a group, beginning at c->sorted[first], through one place.  Behind the last point it stands again: the same is
 * done twice. */
static void carry_group(Chase *c, int64_t first, int64_t n, int64_t panel, int64_t place) {
    const float *x[CARRIED], *before[CARRIED];
    float *sums[CARRIED];
    for (int r = 0; r < CARRIED; r++) {
        int64_t point = c->sorted[first + (r < n ? r : n - 1)], at = point * c->row + place * c->front->wide;
        x[r] = c->proposed + point * c->front->inputs;
        before[r] = (place == c->from[point] ? c->kept : c->tried) + at;
        sums[r] = c->tried + at + c->front->wide;
    }
    c->loops->carry(&c->chains, panel, place, x, before, sums);
}

static int64_t group_size(int64_t first, int64_t n) { return n - first < CARRIED ? n - first : CARRIED; }

/* A panel's weights between two places fit the first cache: all points pass them before the next. */
static void carry_all(Chase *c, int64_t n) {
    for (int64_t k = 0; k < n; k += CARRIED)                             /* a group begins where its first point does */
        for (int64_t r = 1; r < group_size(k, n); r++) c->from[c->sorted[k + r]] = c->from[c->sorted[k]];
    for (int64_t panel = 0; panel * FRONT_PANEL < c->front->wide; panel++)
        for (int64_t place = 0; place < c->places; place++)
            for (int64_t k = 0; k < n && c->from[c->sorted[k]] <= place; k += CARRIED)
                carry_group(c, k, group_size(k, n), panel, place);
}

bool chase_look(Chase *c, const int64_t *point, int64_t n, double *z) {
    const Front *f = c->front;
    if (n == 0) return true;
    sort_points(c, point, n);
    carry_all(c, n);
    for (int64_t k = 0; k < n; k++)
        memcpy(c->h + k * f->outs, c->tried + (point[k] + 1) * c->row - f->wide, sizeof(float) * (size_t)f->outs);
    return f->rest(f->data, c->h, n, z);
}
