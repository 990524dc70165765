/* pgd.c -- projected gradient descent with steps of one size (Madry et al. 2018); from the clean point with one step of size
 * eps it is FGSM (Goodfellow et al. 2015).  A point counts as fooled if any iterate fools. */
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

static void note_fooled(Live *l, Attacked out) {
    size_t bytes = (size_t)l->run->victim->inputs * sizeof(double);
    for (int64_t k = 0; k < l->n; k++) {
        if (!live_fooled(l, k) || out.fooled[l->at[k]]) continue;
        out.fooled[l->at[k]] = true;
        memcpy(live_row(l, out.adv, k), l->x + k * l->run->victim->inputs, bytes);
    }
    live_drop(l, out.fooled);
}

bool attack_pgd(const AttackRun *run, const Pgd *options, Points points, Attacked out) {
    int64_t n = run->victim->inputs;
    double *current = malloc((size_t)(points.n * n + 1) * sizeof *current);
    Live live;
    bool ok = current && live_open(&live, run, points);
    if (!ok) {
        free(current);
        return false;
    }
    memcpy(current, points.x, (size_t)(points.n * n) * sizeof *current);
    for (int64_t i = 0; options->random_start && i < points.n; i++) drawn_start(run, points.number[i], points.x + i * n, current + i * n);
    for (int step = 0; ok && step < options->steps && live.n; step++) {
        uint32_t turn = run->run * (uint32_t)(options->steps + 1) + (uint32_t)step;
        live_gather(&live, current, NULL);
        ok = live_slope(&live, options->loss, turn);
        for (int64_t k = 0; ok && k < live.n; k++) {
            double *u = live_row(&live, current, k);
            ascend(&run->ball, options->step, live.dx + k * n, u, n);
            ball_project(&run->ball, points.x + live.at[k] * n, u, n);
        }
        live_gather(&live, current, NULL);
        if (ok && (ok = live_logits(&live, turn + 1))) note_fooled(&live, out);
    }
    live_close(&live);
    free(current);
    return ok;
}
