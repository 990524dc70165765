/* chase.c -- see chase.h.
 *
 * A point is a side for each input, of what it is and of what is proposed; what the product sees of the proposal stands
 * beside it in full.  Sums are kept at `places` places of the chain, `step` inputs apart: kept[point][place][wide], of
 * the point so far, up to place valid[point].  A look begins at the place before the first change, or at the last valid
 * one; on its way to the first change it passes sums of the point itself, and keeps them.  What is refused leaves no
 * trace, what is taken makes later places invalid.  Points go on in groups of CARRIED, those together that begin at
 * about the same place. */
#include "attack/chase.h"
#include "attack/loops.h"

#include <stdlib.h>
#include <string.h>

enum { PLACES = 28 };
enum { LOW, HIGH, STUCK, NEITHER };      /* sides: STUCK where both are one number; NEITHER before the first proposal */

struct Chase {
    const Front *front;
    const Loops *loops;
    Chains chains;
    int64_t points, places, step;
    const float *hi, *lo;
    float *hi_seen, *lo_seen, *proposed; /* [points, inputs] */
    unsigned char *now, *next;           /* [points, inputs]: sides of the point, of the proposal */
    float *kept, *sums, *h;              /* sums: of a look's points, as sorted, and a group more; h: by row */
    int64_t *first;                      /* [points]: first input that differs */
    int64_t *valid, *place, *begin, *sorted;
    void *block;
};

static void *take(char **at, int64_t n, size_t size) {
    void *taken = *at;
    *at += ((size_t)n * size + 63) / 64 * 64;
    return taken;
}

/* Lays out the block from `at`; gives its end. */
static char *lay_out(Chase *c, char *at) {
    const Front *f = c->front;
    int64_t all = c->points * f->inputs, n = c->points;
    float **rows[] = {&c->hi_seen, &c->lo_seen, &c->proposed};
    int64_t **numbers[] = {&c->first, &c->valid, &c->place, &c->begin, &c->sorted};
    for (int i = 0; i < COUNT(rows); i++) *rows[i] = take(&at, all + 16, sizeof(float));
    for (int i = 0; i < COUNT(numbers); i++) *numbers[i] = take(&at, n, sizeof(int64_t));
    c->now = take(&at, all, 1);
    c->next = take(&at, all, 1);
    c->kept = take(&at, n * c->places * f->wide, sizeof(float));
    c->sums = take(&at, (n + CARRIED) * f->wide, sizeof(float));
    c->h = take(&at, n * f->outs + 16, sizeof(float));
    return at;
}

Chase *chase_open(const Front *f, int64_t points, const float *hi, const float *lo) {
    int64_t step = (f->inputs + PLACES - 1) / PLACES, all = points * f->inputs;
    Chase *c = malloc(sizeof *c);
    if (!c) return NULL;
    *c = (Chase){.front = f, .loops = attack_loops(), .chains = {f->inputs, f->wide, f->w}, .points = points,
                 .places = (f->inputs + step - 1) / step, .step = step, .hi = hi, .lo = lo};
    c->block = aligned_alloc(64, (size_t)(lay_out(c, NULL) - (char *)NULL));
    if (c->block) {
        lay_out(c, c->block);
        for (int64_t i = 0; i < all; i++) c->now[i] = c->next[i] = hi[i] == lo[i] ? STUCK : NEITHER;
        for (int64_t i = 0; i < points; i++) {
            c->first[i] = f->inputs;
            c->valid[i] = 0;
            memcpy(c->kept + i * c->places * f->wide, f->b, sizeof(float) * (size_t)f->wide);
        }
        if (f->seen(f->data, hi, points, c->hi_seen) && f->seen(f->data, lo, points, c->lo_seen)) {
            memcpy(c->proposed, c->lo_seen, sizeof(float) * (size_t)all);
            return c;
        }
    }
    chase_close(c);
    return NULL;
}

void chase_close(Chase *c) {
    if (c) free(c->block);
    free(c);
}

void chase_read(const Chase *c, int64_t point, float *x) {
    int64_t n = c->front->inputs, at = point * n;
    for (int64_t i = 0; i < n; i++) x[i] = c->next[at + i] == HIGH ? c->hi[at + i] : c->lo[at + i];
}

/* The first input of the patch that is on the other side, or -1. */
static int64_t first_other(const unsigned char *now, Patch p, unsigned char side) {
    for (int y = 0; y < p.rows; y++)
        for (int64_t i = p.from + y * p.stride, end = i + p.width; i < end; i++)
            if (now[i] != side && now[i] != STUCK) return i;
    return -1;
}

bool chase_paint(Chase *c, int64_t point, Patch p, bool high) {
    int64_t at = point * c->front->inputs;
    unsigned char side = high ? HIGH : LOW, *next = c->next + at;
    const float *seen = (high ? c->hi_seen : c->lo_seen) + at;
    int64_t first = first_other(c->now + at, p, side);
    if (first < 0) return false;
    if (first < c->first[point]) c->first[point] = first;
    for (int y = 0; y < p.rows; y++)
        for (int64_t i = p.from + y * p.stride, end = i + p.width; i < end; i++) {
            c->proposed[at + i] = seen[i];
            if (next[i] != STUCK) next[i] = side;
        }
    return true;
}

void chase_settle(Chase *c, int64_t point, Patch p, bool taken) {
    int64_t at = point * c->front->inputs;
    unsigned char *now = c->now + at, *next = c->next + at;
    for (int y = 0; y < p.rows; y++)
        for (int64_t i = p.from + y * p.stride, end = i + p.width; i < end; i++) {
            if (taken) now[i] = next[i];
            else c->proposed[at + i] = (now[i] == HIGH ? c->hi_seen : c->lo_seen)[at + i];
            next[i] = now[i];
        }
}

void chase_end(Chase *c, int64_t point, bool taken) {
    if (taken && c->place[point] < c->valid[point]) c->valid[point] = c->place[point];
    c->first[point] = c->front->inputs;
}

/* Where each of n points changes and begins, and the points, by their places in the list, in the order of that. */
static void sort_points(Chase *c, const int64_t *point, int64_t n) {
    int64_t count[PLACES + 1] = {0};
    for (int64_t k = 0; k < n; k++) {
        int64_t p = point[k], place = c->first[p] / c->step;
        c->place[p] = place < c->places ? place : c->places - 1;
        c->begin[p] = c->place[p] < c->valid[p] ? c->place[p] : c->valid[p];
        count[c->begin[p] + 1]++;
    }
    for (int i = 0; i < PLACES; i++) count[i + 1] += count[i];
    for (int64_t k = 0; k < n; k++) c->sorted[count[c->begin[point[k]]]++] = k;
}

/* A group of the points sorted.  Behind the last point it stands again: the same is done twice. */
typedef struct Group { int64_t point[CARRIED], begin, first; const float *x[CARRIED]; } Group;

static Group group_of(const Chase *c, const int64_t *point, int64_t first, int64_t n) {
    Group g = {.begin = c->begin[point[c->sorted[first]]], .first = first};
    for (int r = 0; r < CARRIED; r++) {
        g.point[r] = point[c->sorted[first + r < n ? first + r : n - 1]];
        g.x[r] = c->proposed + g.point[r] * c->front->inputs;
    }
    return g;
}

/* Where the sums before a place stand. */
static float *sums_at(const Chase *c, const Group *g, int r, int64_t place) {
    bool own = place <= c->place[g->point[r]];
    return own ? c->kept + (g->point[r] * c->places + place) * c->front->wide : c->sums + (g->first + r) * c->front->wide;
}

static void carry_between(const Chase *c, const Group *g, int64_t panel, int64_t from, int64_t to) {
    const float *before[CARRIED];
    float *after[CARRIED];
    int64_t end = to * c->step;
    for (int r = 0; r < CARRIED; r++) {
        before[r] = sums_at(c, g, r, from);
        after[r] = sums_at(c, g, r, to);
    }
    c->loops->carry(&c->chains, panel, from * c->step, end < c->front->inputs ? end : c->front->inputs, g->x, before,
                    after);
}

/* What is not yet valid is kept place by place. */
static void carry_group(const Chase *c, const Group *g, int64_t panel) {
    int64_t at = g->begin, last = at;
    for (int r = 0; r < CARRIED; r++) {
        int64_t place = c->place[g->point[r]];
        if (place > c->valid[g->point[r]] && place > last) last = place;
    }
    for (; at < last; at++) carry_between(c, g, panel, at, at + 1);
    carry_between(c, g, panel, at, c->places);
}

static void carry_all(const Chase *c, const int64_t *point, int64_t n) {
    for (int64_t panel = 0; panel * FRONT_PANEL < c->front->wide; panel++)
        for (int64_t k = 0; k < n; k += CARRIED) {
            const Group g = group_of(c, point, k, n);
            carry_group(c, &g, panel);
        }
}

bool chase_look(Chase *c, const int64_t *point, int64_t n, double *z) {
    const Front *f = c->front;
    if (n == 0) return true;
    sort_points(c, point, n);
    carry_all(c, point, n);
    for (int64_t k = 0; k < n; k++) {
        int64_t row = c->sorted[k], p = point[row];
        memcpy(c->h + row * f->outs, c->sums + k * f->wide, sizeof(float) * (size_t)f->outs);
        if (c->valid[p] < c->place[p]) c->valid[p] = c->place[p];
    }
    return f->rest(f->data, c->h, n, z);
}
