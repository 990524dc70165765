/* live.c -- see live.h; and the random numbers of attacks. */
#include "attack/live.h"
#include "attack/wide.h"

#include <stdlib.h>
#include <string.h>

#include "support/rng.h"

bool live_open(Live *l, const AttackRun *run, Points points) {
    const Victim *v = run->victim;
    size_t n = (size_t)points.n, inputs = (size_t)v->inputs, classes = (size_t)v->classes;
    size_t doubles = n * (2 * inputs + classes + 1), bytes = doubles * sizeof(double) + n * sizeof(int64_t) + 2 * n * sizeof(int32_t);
    *l = (Live){.run = run, .points = points, .n = points.n, .block = malloc(bytes + 1)};
    if (!l->block) return false;
    l->x = l->block;
    l->dx = l->x + n * inputs;
    l->z = l->dx + n * inputs;
    l->value = l->z + n * classes;
    l->at = (int64_t *)(void *)(l->value + n);
    l->y = (int32_t *)(void *)(l->at + n);
    l->aim = l->y + n;
    for (int64_t i = 0; i < points.n; i++) l->at[i] = i;
    return true;
}

void live_close(Live *l) { free(l->block); }

void live_gather(Live *l, double *from, const int32_t *aim) {
    int64_t inputs = l->run->victim->inputs;
    for (int64_t k = 0; k < l->n; k++) {
        double *row = live_row(l, from, k);
        if (l->run->victim->f32) wide_round(row, inputs);
        memcpy(l->x + k * inputs, row, (size_t)inputs * sizeof *row);
        l->y[k] = l->points.y[l->at[k]];
        l->aim[k] = aim ? aim[l->at[k]] : 0;
    }
}

bool live_logits(Live *l, uint32_t turn) { return l->n == 0 || l->run->victim->logits(l->run->victim->data, l->x, l->n, turn, l->z); }

bool live_slope(Live *l, AttackLoss loss, uint32_t turn) {
    const Victim *v = l->run->victim;
    return l->n == 0 || v->slope(v->data, loss, l->x, l->y, l->aim, l->n, turn, l->z, l->value, l->dx);
}

int live_class(const Live *l, int64_t k) {
    int classes = l->run->victim->classes, best = 0;
    const double *z = l->z + k * classes;
    for (int i = 1; i < classes; i++)
        if (z[i] > z[best]) best = i;
    return best;
}

void live_drop(Live *l, const bool *done) {
    int64_t kept = 0;
    for (int64_t k = 0; k < l->n; k++)
        if (!done[l->at[k]]) l->at[kept++] = l->at[k];
    l->n = kept;
}

void live_each(Live *l, void (*work)(void *data, int thread, int64_t lo, int64_t hi), void *data) { pool_run(l->run->pool, l->n, work, data); }

/* ---- random numbers ---- */

AttackKey attack_key(uint64_t seed, const char *name) { return (AttackKey){rng_key(seed, "attack", 0, name, 0)}; }

static void key_fill(void *data, bool normal, int64_t point, uint32_t run, int64_t n, double *out) {
    const AttackKey *key = data;
    for (int64_t i = 0; i < n; i++)
        out[i] = normal ? rng_normal(key->key, (uint32_t)i, (uint32_t)point, run) : rng_uniform(key->key, (uint32_t)i, (uint32_t)point, run);
}

AttackDraws attack_draws(AttackKey *key) { return (AttackDraws){key, key_fill}; }
