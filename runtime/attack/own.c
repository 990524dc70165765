/* own.c -- an attack that somebody else computes: one change of each point, looked at once. */
#include "attack/live.h"

#include <stdlib.h>
#include <string.h>

static void note_fooled(const Live *l, Attacked out) {
    size_t bytes = (size_t)l->run->victim->inputs * sizeof(double);
    for (int64_t k = 0; k < l->n; k++) {
        out.fooled[l->at[k]] = live_fooled(l, k);
        memcpy(live_row(l, out.adv, k), l->x + k * l->run->victim->inputs, bytes);
    }
}

bool attack_own(const AttackRun *run, int which, Points points, Attacked out) {
    const Victim *v = run->victim;
    double *changed = malloc((size_t)(points.n * v->inputs + 1) * sizeof *changed);
    Live live;
    bool ok = changed && v->change && live_open(&live, run, points);
    if (ok) {
        ok = points.n == 0 || v->change(v->data, which, points.x, points.y, points.number, points.n, changed);
        if (ok) live_gather(&live, changed, NULL);
        if (ok && (ok = live_logits(&live, run->run))) note_fooled(&live, out);
        live_close(&live);
    }
    free(changed);
    return ok;
}
