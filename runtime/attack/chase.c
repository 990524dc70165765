/* chase.c -- see chase.h.
 *
 * A point is a side for each input.  What the product sees of its proposal stands beside it in full, with the patches
 * that were painted there and what was below them.
 *
 * Sums are kept at `places` places of the chain, `step` inputs apart: kept[point][place][wide], of the point so far, up
 * to place valid[point].  A look begins at the place before the first change, or at the last valid one; on its way to
 * the first change it passes sums of the point itself, and keeps them.  What is refused leaves no trace, what is taken
 * makes later places invalid.  Points go on in groups of CARRIED, those together that begin at about the same place. */
#include "attack/chase.h"
#include "attack/loops.h"

#include <stdlib.h>
#include <string.h>

enum { PLACES = 28 };
enum { LOW, HIGH, STUCK };               /* sides; STUCK: where both are one number */

typedef struct Painted { Patch patch; int side; } Painted;

struct Chase {
    const Front *front;
    const Loops *loops;
    Chains chains;
    int64_t points, places, step;
    const float *hi, *lo;
    float *hi_seen, *lo_seen, *proposed, *below;                             /* [points, inputs] */
    unsigned char *now;                  /* [points, inputs]: sides of the point */
    Painted *painted;                    /* [points, patches]; patch[points]: how many there are */
    int patches, *patch;
    float *kept, *sums, *h;              /* sums: of a group; h: rows of a look */
    int64_t *first;                      /* [points]: first input that differs */
    int64_t *valid, *place, *begin, *sorted;
    void *block;
};

static void *take(char *block, size_t *used, int64_t n, size_t size) {
    size_t at = *used;
    *used += ((size_t)n * size + 63) / 64 * 64;
    return block ? block + at : NULL;
}

/* Lays out the block, or, where it is NULL, gives its size alone. */
static size_t lay_out(Chase *c, char *block) {
    const Front *f = c->front;
    int64_t all = c->points * f->inputs, n = c->points;
    size_t used = 0;
    float **rows[] = {&c->hi_seen, &c->lo_seen, &c->proposed, &c->below};
    int64_t **numbers[] = {&c->first, &c->valid, &c->place, &c->begin, &c->sorted};
    for (int i = 0; i < COUNT(rows); i++) *rows[i] = take(block, &used, all + 16, sizeof(float));
    for (int i = 0; i < COUNT(numbers); i++) *numbers[i] = take(block, &used, n, sizeof(int64_t));
    c->now = take(block, &used, all, 1);
    c->painted = take(block, &used, n * c->patches, sizeof *c->painted);
    c->patch = take(block, &used, n, sizeof *c->patch);
    c->kept = take(block, &used, n * c->places * f->wide, sizeof(float));
    c->sums = take(block, &used, CARRIED * f->wide, sizeof(float));
    c->h = take(block, &used, n * f->outs + 16, sizeof(float));
    return used;
}

/* Points as they are before any proposal: nothing is known but the sums at the start. */
static bool start(Chase *c) {
    const Front *f = c->front;
    int64_t all = c->points * f->inputs;
    for (int64_t i = 0; i < all; i++) c->now[i] = c->hi[i] == c->lo[i] ? STUCK : LOW;
    for (int64_t i = 0; i < c->points; i++) {
        c->first[i] = f->inputs;
        c->valid[i] = c->patch[i] = 0;
        memcpy(c->kept + i * c->places * f->wide, f->b, sizeof(float) * (size_t)f->wide);
    }
    bool ok = f->seen(f->data, c->hi, c->points, c->hi_seen) && f->seen(f->data, c->lo, c->points, c->lo_seen);
    if (ok) memcpy(c->proposed, c->lo_seen, sizeof(float) * (size_t)all);
    return ok;
}

Chase *chase_open(const Front *f, int64_t points, int patches, const float *hi, const float *lo) {
    int64_t step = (f->inputs + PLACES - 1) / PLACES;
    Chase *c = malloc(sizeof *c);
    if (!c) return NULL;
    *c = (Chase){.front = f, .loops = attack_loops(), .chains = {f->inputs, f->wide, f->w}, .points = points,
                 .patches = patches, .places = (f->inputs + step - 1) / step, .step = step, .hi = hi, .lo = lo};
    c->block = aligned_alloc(64, lay_out(c, NULL));
    if (c->block) {
        lay_out(c, c->block);
        if (start(c)) return c;
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
    for (int64_t i = 0; i < n; i++) x[i] = c->now[at + i] == HIGH ? c->hi[at + i] : c->lo[at + i];
}

void chase_start(Chase *c, int64_t point, int64_t input, bool high) {
    int64_t at = point * c->front->inputs + input;
    if (c->now[at] != STUCK) c->now[at] = high ? HIGH : LOW;
    c->proposed[at] = (high ? c->hi_seen : c->lo_seen)[at];
    c->first[point] = 0;
}

/* The first input of the patch that is on this side, or -1. */
static int64_t first_at(const unsigned char *now, const Patch *p, int side) {
    for (int y = 0; y < p->rows; y++)
        for (int64_t i = p->from + y * p->stride, end = i + p->width; i < end; i++)
            if (now[i] == side) return i;
    return -1;
}

/* What is below the patches of a proposal stands one after the other. */
static float *below_at(const Chase *c, int64_t point) {
    float *at = c->below + point * c->front->inputs;
    for (int k = 0; k < c->patch[point]; k++) {
        const Patch *p = &c->painted[point * c->patches + k].patch;
        at += p->rows * p->width;
    }
    return at;
}

bool chase_paint(Chase *c, int64_t point, Patch p, bool high) {
    int64_t at = point * c->front->inputs, first = first_at(c->now + at, &p, high ? LOW : HIGH);
    const float *seen = (high ? c->hi_seen : c->lo_seen) + at;
    float *proposed = c->proposed + at, *below = below_at(c, point);
    if (first < 0) return false;
    if (first < c->first[point]) c->first[point] = first;
    for (int y = 0; y < p.rows; y++)
        for (int64_t i = p.from + y * p.stride, end = i + p.width; i < end; i++) {
            *below++ = proposed[i];
            proposed[i] = seen[i];
        }
    c->painted[point * c->patches + c->patch[point]++] = (Painted){p, high ? HIGH : LOW};
    return true;
}

static void take_painted(unsigned char *now, const Painted *painted) {
    const Patch *p = &painted->patch;
    for (int y = 0; y < p->rows; y++)
        for (int64_t i = p->from + y * p->stride, end = i + p->width; i < end; i++)
            if (now[i] != STUCK) now[i] = (unsigned char)painted->side;
}

static void uncover(float *proposed, const float *below, const Patch *p) {
    for (int y = 0; y < p->rows; y++)
        for (int64_t i = p->from + y * p->stride, end = i + p->width; i < end; i++) proposed[i] = *below++;
}

void chase_end(Chase *c, int64_t point, bool taken) {
    int64_t at = point * c->front->inputs;
    const Painted *painted = c->painted + point * c->patches;
    for (int k = c->patch[point]; k > 0; k--) {
        c->patch[point] = k - 1;
        if (taken) take_painted(c->now + at, &painted[k - 1]);
        else uncover(c->proposed + at, below_at(c, point), &painted[k - 1].patch);
    }
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
typedef struct Group { int64_t point[CARRIED], begin; const float *x[CARRIED]; } Group;

static Group group_of(const Chase *c, const int64_t *point, int64_t first, int64_t n) {
    Group g = {.begin = c->begin[point[c->sorted[first]]]};
    for (int r = 0; r < CARRIED; r++) {
        g.point[r] = point[c->sorted[first + r < n ? first + r : n - 1]];
        g.x[r] = c->proposed + g.point[r] * c->front->inputs;
    }
    return g;
}

/* Where the sums before a place stand. */
static float *sums_at(const Chase *c, const Group *g, int r, int64_t place) {
    bool own = place <= c->place[g->point[r]];
    return own ? c->kept + (g->point[r] * c->places + place) * c->front->wide : c->sums + r * c->front->wide;
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
    const Front *f = c->front;
    for (int64_t k = 0; k < n; k += CARRIED) {
        const Group g = group_of(c, point, k, n);
        for (int64_t panel = 0; panel * FRONT_PANEL < f->wide; panel++) carry_group(c, &g, panel);
        for (int64_t r = 0; r < CARRIED && k + r < n; r++)
            memcpy(c->h + c->sorted[k + r] * f->outs, c->sums + r * f->wide, sizeof(float) * (size_t)f->outs);
    }
}

bool chase_look(Chase *c, const int64_t *point, int64_t n, double *z) {
    const Front *f = c->front;
    if (n == 0) return true;
    sort_points(c, point, n);
    carry_all(c, point, n);
    for (int64_t k = 0; k < n; k++) {
        int64_t p = point[k];
        if (c->valid[p] < c->place[p]) c->valid[p] = c->place[p];
    }
    return f->rest(f->data, c->h, n, z);
}
