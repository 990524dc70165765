/* own.c -- an attack that somebody else computes: one change of each point, looked at once. */
#include "attack/live.h"

#include <stdlib.h>

bool attack_own(const AttackRun *run, int which, Points points, Attacked out) {
    const Victim *v = run->victim;
    double *changed = malloc((size_t)(points.n * v->inputs + 1) * sizeof *changed);
    Live live;
    bool ok = changed && v->change && live_open(&live, run, points, NULL, 0);
    if (ok) {
        ok = points.n == 0 || v->change(v->data, which, points.x, points.y, points.number, points.n, changed);
        for (int64_t k = 0; ok && k < points.n; k++)
            live_write(&live, live_at(&live, live.x, k), changed + k * v->inputs);
        ok = ok && live_logits(&live, run->run);
        for (int64_t k = 0; ok && k < points.n; k++)
            if (live_fooled(&live, k)) live_take(&live, k, out);
        live_close(&live);
    }
    free(changed);
    return ok;
}
