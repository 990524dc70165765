/* pgd.c -- projected gradient descent with steps of one size (Madry et al. 2018); from the clean point with one step of
 * size eps it is FGSM (Goodfellow et al. 2015).  A point counts as fooled if any iterate fools. */
#include "attack/live.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static void drawn_start(const AttackRun *run, int64_t number, const double *x, double *u) {
    int64_t n = run->victim->inputs;
    bool linf = run->ball.norm == NORM_LINF;
    run->draws.fill(run->draws.data, !linf, number, run->run, n, u);
    double norm = linf ? 1 : norm_of(run->ball.norm, u, n) + 1e-12;
    for (int64_t i = 0; i < n; i++) u[i] = x[i] + run->ball.eps * (linf ? 2 * u[i] - 1 : u[i] / norm);
    ball_project(&run->ball, x, u, n);
}

/* Steepest ascent in the norm: the signs, the direction, or the largest component alone. */
static void ascend(const Ball *ball, double step, const double *g, double *u, int64_t n) {
    if (ball->norm == NORM_LINF) {
        for (int64_t i = 0; i < n; i++) u[i] += step * ((g[i] > 0) - (g[i] < 0));
    } else if (ball->norm == NORM_L2) {
        double norm = norm_of(NORM_L2, g, n) + 1e-12;
        for (int64_t i = 0; i < n; i++) u[i] += step * g[i] / norm;
    } else {
        int64_t most = 0;
        for (int64_t i = 1; i < n; i++)
            if (fabs(g[i]) > fabs(g[most])) most = i;
        u[most] += step * ((g[most] > 0) - (g[most] < 0));
    }
}

bool attack_pgd(const AttackRun *run, const Pgd *options, Points points, Attacked out) {
    int64_t n = run->victim->inputs;
    double *scratch = malloc((size_t)(2 * n + 1) * sizeof *scratch), *u = scratch, *g = scratch + n;
    Live l;
    if (!scratch || !live_open(&l, run, points, NULL, 1)) {
        free(scratch);
        return false;
    }
    void *dx = live_column(&l);
    for (int64_t i = 0; options->random_start && i < points.n; i++) {
        drawn_start(run, points.number[i], points.x + i * n, u);
        live_write(&l, live_at(&l, l.x, i), u);
    }
    bool ok = true;
    for (int step = 0; ok && step < options->steps && l.n; step++) {
        uint32_t turn = run->run * (uint32_t)(options->steps + 1) + (uint32_t)step;
        ok = live_slope(&l, options->loss, turn, dx);
        for (int64_t k = 0; ok && k < l.n; k++) {
            live_read(&l, live_at(&l, l.x, k), u);
            live_read(&l, live_at(&l, dx, k), g);
            ascend(&run->ball, options->step, g, u, n);
            ball_project(&run->ball, points.x + l.at[k] * n, u, n);
            live_write(&l, live_at(&l, l.x, k), u);
        }
        ok = ok && live_logits(&l, turn + 1);
        for (int64_t k = 0; ok && k < l.n; k++)
            if (live_fooled(&l, k)) live_take(&l, k, out);
        if (ok) live_drop(&l, out.fooled);
    }
    live_close(&l);
    free(scratch);
    return ok;
}
