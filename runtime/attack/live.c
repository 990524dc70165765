/* live.c -- see live.h; a victim's logits at rows of f64; and the random numbers of attacks. */
#include "attack/live.h"

#include <stdlib.h>
#include <string.h>

#include "support/rng.h"

enum { ALIGN = 64, BEHIND = 64 };                    /* a program may read and write a little behind its rows */

static size_t round_up(size_t n) { return (n + ALIGN - 1) / ALIGN * ALIGN; }

void live_read(const Live *l, const void *row, double *out) { l->rows->read(row, out, l->run->victim->inputs); }
void live_write(const Live *l, void *row, const double *x) { l->rows->write(x, row, l->run->victim->inputs); }

bool live_open(Live *l, const AttackRun *run, Points points, const int32_t *aim, int columns) {
    const Victim *v = run->victim;
    size_t n = (size_t)points.n, classes = (size_t)v->classes;
    *l = (Live){.run = run, .loops = attack_loops(), .points = points, .n = points.n, .most = columns + 2,
                .row = (size_t)v->inputs * (v->f32 ? sizeof(float) : sizeof(double))};
    l->rows = &l->loops->rows[v->f32];
    l->stride = round_up(n * l->row + BEHIND);
    size_t numbers = n * (classes + 1) * sizeof(double) + n * sizeof(int64_t) + 2 * n * sizeof(int32_t);
    l->block = aligned_alloc(ALIGN, round_up((size_t)l->most * l->stride + numbers + ALIGN));
    if (!l->block || l->most > LIVE_COLUMNS) {
        free(l->block);
        return false;
    }
    l->z = (double *)(void *)((char *)l->block + (size_t)l->most * l->stride);
    l->value = l->z + n * classes;
    l->at = (int64_t *)(void *)(l->value + n);
    l->y = (int32_t *)(void *)(l->at + n);
    l->aim = l->y + n;
    l->clean = live_column(l);
    l->x = live_column(l);
    l->rows->write(points.x, l->clean, points.n * v->inputs);
    memcpy(l->x, l->clean, n * l->row);
    for (int64_t i = 0; i < points.n; i++) {
        l->at[i] = i;
        l->y[i] = points.y[i];
        l->aim[i] = aim ? aim[i] : 0;
    }
    return true;
}

void live_close(Live *l) { free(l->block); }

void *live_column(Live *l) {
    char *column = (char *)l->block + (size_t)l->columns * l->stride;
    return l->column[l->columns++] = column;
}

bool live_logits(Live *l, uint32_t turn) {
    return l->n == 0 || l->run->victim->logits(l->run->victim->data, l->x, l->n, turn, l->z);
}

bool live_slope(Live *l, AttackLoss loss, uint32_t turn, void *dx) {
    const Victim *v = l->run->victim;
    return l->n == 0 || v->slope(v->data, loss, l->x, l->y, l->aim, l->n, turn, l->z, l->value, dx);
}

int live_class(const Live *l, int64_t k) {
    int classes = l->run->victim->classes, best = 0;
    const double *z = l->z + k * classes;
    for (int i = 1; i < classes; i++)
        if (z[i] > z[best]) best = i;
    return best;
}

void live_take(const Live *l, int64_t k, Attacked out) {
    out.fooled[l->at[k]] = true;
    live_read(l, live_at(l, l->x, k), out.adv + l->at[k] * l->run->victim->inputs);
}

void live_drop(Live *l, const bool *done) {
    int64_t kept = 0, classes = l->run->victim->classes;
    for (int64_t k = 0; k < l->n; k++) {
        if (done[l->at[k]]) continue;
        for (int i = 0; i < l->columns && kept < k; i++)
            memcpy(live_at(l, l->column[i], kept), live_at(l, l->column[i], k), l->row);
        if (kept < k) memcpy(l->z + kept * classes, l->z + k * classes, (size_t)classes * sizeof *l->z);
        l->value[kept] = l->value[k];
        l->at[kept] = l->at[k];
        l->y[kept] = l->y[k];
        l->aim[kept++] = l->aim[k];
    }
    l->n = kept;
}

static void swap_bytes(void *a, void *b, size_t n) {
    char *x = a, *y = b, part[256];
    for (size_t i = 0, m; i < n; i += m) {
        m = n - i < sizeof part ? n - i : sizeof part;
        memcpy(part, x + i, m);
        memcpy(x + i, y + i, m);
        memcpy(y + i, part, m);
    }
}

void live_swap(Live *l, int64_t a, int64_t b) {
    int64_t classes = l->run->victim->classes;
    for (int i = 0; i < l->columns; i++)
        swap_bytes(live_at(l, l->column[i], a), live_at(l, l->column[i], b), l->row);
    swap_bytes(l->z + a * classes, l->z + b * classes, (size_t)classes * sizeof *l->z);
    swap_bytes(l->value + a, l->value + b, sizeof *l->value);
    swap_bytes(l->at + a, l->at + b, sizeof *l->at);
    swap_bytes(l->y + a, l->y + b, sizeof *l->y);
    swap_bytes(l->aim + a, l->aim + b, sizeof *l->aim);
}

void live_each(Live *l, void (*work)(void *data, int thread, int64_t lo, int64_t hi), void *data) {
    pool_run(l->run->pool, l->n, work, data);
}

bool victim_logits(const Victim *v, const double *x, int64_t n, uint32_t turn, double *z) {
    if (!v->f32) return v->logits(v->data, x, n, turn, z);
    float *rows = malloc((size_t)(n * v->inputs) * sizeof *rows + BEHIND);
    if (rows) attack_loops()->rows[1].write(x, rows, n * v->inputs);
    bool ok = rows && v->logits(v->data, rows, n, turn, z);
    free(rows);
    return ok;
}

/* ---- random numbers ---- */

AttackKey attack_key(uint64_t seed, const char *name) { return (AttackKey){rng_key(seed, "attack", 0, name, 0)}; }

/* Four words of a counter at a time. */
static void key_fill(void *data, bool normal, int64_t point, uint32_t run, int64_t n, double *out) {
    const AttackKey *key = data;
    for (int64_t i = 0; i < n; i += 4) {
        uint32_t counter[4] = {(uint32_t)(i / 4), (uint32_t)point, run, 0}, word[4];
        float z[4];
        rng_words(key->key, counter, word);
        if (normal) {
            rng_normals_of(word[0], word[1], z);
            rng_normals_of(word[2], word[3], z + 2);
        }
        for (int k = 0; k < 4 && i + k < n; k++) out[i + k] = normal ? z[k] : rng_uniform_of(word[k]);
    }
}

AttackDraws attack_draws(AttackKey *key) { return (AttackDraws){key, key_fill}; }
