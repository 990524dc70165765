/* ensemble.c -- attacks one after the other: each gets the clean points that all before it left right (AutoAttack's
 * procedure).
 *
 * Accuracies are over all points.  A point that is wrong from the start is never attacked.  Targeted runs take as aim
 * the class with the r-th largest logit at the clean point, r = 2, 3, ...
 *
 * Points go in batches, and batches to threads, a batch from its start to its end on one: a batch changes no result, so
 * their size suits the threads.  A victim that draws random numbers draws them by the place in a batch: there the size
 * is always the same. */
#include "attack/attack.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* WAVE: batches of a thread between two looks at the watch. */
enum { BATCH = 128, LEAST_BATCH = 16, WAVE = 4 };

typedef struct Stage {
    const Victim *victim;
    const AttackSpec *spec;
    Ball ball;
    Pool *pool;
    AttackKey key;
    Points all;
    const double *clean;                 /* logits at the clean points */
    AttackReport *report;
    const AttackWatch *watch;
    int number;
    AttackPlace from;                    /* where this stage begins: a run, a point */
    bool *attacked;                      /* points that this attack is made on */
    bool stopped;
} Stage;

static bool is_targeted(AttackKind kind) { return kind == KIND_APGD_TARGETED || kind == KIND_FAB_TARGETED; }

static int best_class(const double *z, int classes) {
    int best = 0;
    for (int k = 1; k < classes; k++)
        if (z[k] > z[best]) best = k;
    return best;
}

/* The class whose logit has `rank` - 1 others before it; of equals the lower class first. */
static int32_t ranked_class(const double *z, int classes, int rank) {
    for (int k = 0; k < classes; k++) {
        int before = 0;
        for (int i = 0; i < classes; i++) before += z[i] > z[k] || (z[i] == z[k] && i < k);
        if (before == rank - 1) return k;
    }
    return 0;
}

static double robust_share(const Stage *s) {
    int64_t n = 0;
    for (int64_t i = 0; i < s->all.n; i++) n += s->report->robust[i];
    return s->all.n ? (double)n / (double)s->all.n : 0;
}

/* ---- one run on one batch ---- */

typedef struct Batch {
    int64_t row[BATCH], number[BATCH], n;
    int32_t y[BATCH], aim[BATCH];
    bool fooled[BATCH], ok;
    double *x, *adv, *from;
} Batch;

static bool run_once(const Stage *s, Batch *b, int run, int restart) {
    const AttackSpec *o = s->spec;
    AttackKey key = s->key;
    AttackRun r = {
        .victim = s->victim, .ball = s->ball, .draws = attack_draws(&key), .pool = s->pool, .run = (uint32_t)run};
    Points points = {b->x, b->y, b->number, b->n};
    Attacked out = {b->fooled, b->adv};
    switch (o->kind) {
    case KIND_FGSM: return attack_pgd(&r, &(Pgd){o->loss, 1, s->ball.eps, false}, points, out);
    case KIND_PGD: return attack_pgd(&r, &(Pgd){o->loss, o->steps, o->step, true}, points, out);
    case KIND_APGD:
        return attack_apgd(&r, &(Apgd){.loss = o->loss, .steps = o->steps, .samples = o->samples}, points, out);
    case KIND_APGD_TARGETED:
        return attack_apgd(
            &r, &(Apgd){.loss = ATTACK_DLR_TARGETED, .steps = o->steps, .samples = o->samples, .aim = b->aim}, points,
            out);
    case KIND_FAB: return attack_fab(&r, &(Fab){.steps = o->steps, .random_start = restart > 0}, points, out);
    case KIND_FAB_TARGETED:
        return attack_fab(&r, &(Fab){.steps = o->steps, .random_start = restart > 0, .aim = b->aim}, points, out);
    case KIND_SQUARE: return attack_square(&r, &(Square){o->queries, NULL}, points, out);
    case KIND_OWN: return attack_own(&r, s->number, points, out);
    }
    return false;
}

/* l1 with a large eps: radii 3, 2, 1 times eps, each stage from the best point of the one before. */
static bool run_stages(const Stage *s, Batch *b, int run) {
    const AttackSpec *o = s->spec;
    AttackKey key = s->key;
    int64_t inputs = s->victim->inputs;
    int third = (int)ceil(0.3 * o->steps), steps[3] = {third, third, o->steps - 2 * third};
    double *best = malloc((size_t)(b->n * inputs + 1) * sizeof *best),
           *value = malloc((size_t)(b->n + 1) * sizeof *value);
    bool ok = best && value;
    for (int stage = 0; ok && stage < 3; stage++) {
        Ball ball = s->ball;
        ball.eps *= 3 - stage;
        AttackRun r = {.victim = s->victim,
                       .ball = ball,
                       .draws = attack_draws(&key),
                       .pool = s->pool,
                       .run = (uint32_t)(3 * run + stage)};
        for (int64_t i = 0; stage && i < b->n; i++)
            ball_project(&ball, b->x + i * inputs, b->from + i * inputs, inputs);
        memset(b->fooled, 0, sizeof b->fooled);
        Apgd apgd = {.loss = o->kind == KIND_APGD_TARGETED ? ATTACK_DLR_TARGETED : o->loss, .steps = steps[stage],
                     .samples = o->samples, .start = stage ? b->from : NULL, .aim = b->aim,
                     .best = stage < 2 ? best : NULL, .best_value = stage < 2 ? value : NULL};
        ok = attack_apgd(&r, &apgd, (Points){b->x, b->y, b->number, b->n}, (Attacked){b->fooled, b->adv});
        if (stage < 2) memcpy(b->from, best, (size_t)(b->n * inputs) * sizeof *best);
    }
    free(best);
    free(value);
    return ok;
}

/* ---- a stage on all points ---- */

static void batch_fill(const Stage *s, Batch *b, int64_t *next, int rank, int64_t size) {
    int64_t inputs = s->victim->inputs;
    b->n = 0;
    memset(b->fooled, 0, sizeof b->fooled);
    for (; *next < s->all.n && b->n < size; (*next)++) {
        int64_t i = *next;
        if (!s->attacked[i]) continue;
        b->row[b->n] = i;
        b->number[b->n] = s->all.number[i];
        b->y[b->n] = s->all.y[i];
        b->aim[b->n] = rank ? ranked_class(s->clean + i * s->victim->classes, s->victim->classes, rank) : 0;
        memcpy(b->x + b->n * inputs, s->all.x + i * inputs, (size_t)inputs * sizeof(double));
        b->n++;
    }
}

/* Fooled points are looked at once more; those that hold leave the attack. */
static bool batch_take(Stage *s, Batch *b) {
    int64_t inputs = s->victim->inputs;
    double *z = malloc((size_t)(b->n * s->victim->classes + 1) * sizeof *z), *d = malloc((size_t)inputs * sizeof *d);
    bool ok = z && d;
    int64_t n = 0;
    for (int64_t k = 0; ok && k < b->n; k++) {
        if (!b->fooled[k]) continue;
        memmove(b->adv + n * inputs, b->adv + k * inputs, (size_t)inputs * sizeof(double));
        b->row[n] = b->row[k];
        b->y[n++] = b->y[k];
    }
    ok = ok && (n == 0 || victim_logits(s->victim, b->adv, n, 0, z));
    for (int64_t k = 0; ok && k < n; k++) {
        int64_t row = b->row[k];
        if (!s->victim->random && best_class(z + k * s->victim->classes, s->victim->classes) == b->y[k]) continue;
        double *adv = s->report->adv + row * inputs;
        memcpy(adv, b->adv + k * inputs, (size_t)inputs * sizeof *adv);
        for (int64_t i = 0; i < inputs; i++) d[i] = adv[i] - s->all.x[row * inputs + i];
        s->report->largest = fmax(s->report->largest, norm_of(s->ball.norm, d, inputs));
        s->report->robust[row] = s->attacked[row] = false;
    }
    free(z);
    free(d);
    return ok;
}

static int64_t batch_size(const Stage *s) {
    int64_t n = 0, parts = 2 * pool_threads(s->pool);
    if (s->victim->random) return BATCH;
    for (int64_t i = 0; i < s->all.n; i++) n += s->attacked[i];
    int64_t size = (n + parts - 1) / parts;
    return size < LEAST_BATCH ? LEAST_BATCH : size > BATCH ? BATCH : size;
}

typedef struct Wave { const Stage *stage; Batch *batch; int run, restart; } Wave;

static void wave_batch(void *data, int thread, int64_t i) {
    Wave *w = data;
    Batch *b = &w->batch[i];
    bool staged = w->stage->ball.norm == NORM_L1 &&
                  (w->stage->spec->kind == KIND_APGD || w->stage->spec->kind == KIND_APGD_TARGETED);
    (void)thread;
    b->ok = staged ? run_stages(w->stage, b, w->run) : run_once(w->stage, b, w->run, w->restart);
}

/* One run on all points: waves of batches, each wave's fooled points taken before the next. */
static bool stage_runs(Stage *s, Batch *batch, int waves, int rank, int restart, double done, double share) {
    Wave w = {s, batch, (rank ? rank - 2 : 0) * s->spec->restarts + restart, restart};
    int64_t size = batch_size(s), first = w.run == s->from.run ? s->from.next : 0;
    if (w.run < s->from.run) return true;
    for (int64_t next = first; next < s->all.n && !s->stopped;) {
        int n = 0;
        for (; n < waves; n++) {
            batch_fill(s, &batch[n], &next, rank, size);
            if (batch[n].n == 0) break;
        }
        pool_each(s->pool, n, wave_batch, &w);
        for (int i = 0; i < n; i++)
            if (!batch[i].ok || !batch_take(s, &batch[i])) return false;
        if (s->watch && s->watch->progress)
            s->stopped = !s->watch->progress(s->watch->data, s->number, done + share * (double)next / (double)s->all.n,
                                             robust_share(s));
        if (s->watch && s->watch->reached)
            s->watch->reached(s->watch->data, &(AttackPlace){s->number, w.run, next}, s->report, s->stopped);
    }
    return true;
}

static bool stage_run(Stage *s) {
    const AttackSpec *o = s->spec;
    size_t rows = BATCH * (size_t)s->victim->inputs;
    int waves = WAVE * pool_threads(s->pool), most = (int)((s->all.n + LEAST_BATCH - 1) / LEAST_BATCH);
    if (waves > most) waves = most;
    Batch *b = malloc((size_t)(waves + 1) * sizeof *b);
    double *block = malloc((3 * rows * (size_t)waves + 1) * sizeof *block);
    bool ok = b && block;
    int ranks = is_targeted(o->kind) ? (o->targets < s->victim->classes - 1 ? o->targets : s->victim->classes - 1) : 1;
    for (int i = 0; ok && i < waves; i++) {
        b[i].x = block + 3 * rows * (size_t)i;
        b[i].adv = b[i].x + rows;
        b[i].from = b[i].adv + rows;
    }
    for (int rank = 0; ok && rank < ranks && !s->stopped; rank++)
        for (int restart = 0; ok && restart < o->restarts && !s->stopped; restart++) {
            double runs = (double)ranks * o->restarts, done = ((double)rank * o->restarts + restart) / runs;
            ok = stage_runs(s, b, waves, is_targeted(o->kind) ? rank + 2 : 0, restart, done, 1 / runs);
        }
    free(b);
    free(block);
    return ok;
}

/* Logits at the clean points, and who is right there. */
static bool clean_look(const Victim *v, Points points, double *z, AttackReport *out) {
    int64_t right = 0;
    for (int64_t lo = 0; lo < points.n; lo += BATCH) {
        int64_t n = points.n - lo < BATCH ? points.n - lo : BATCH;
        if (!victim_logits(v, points.x + lo * v->inputs, n, (uint32_t)(lo / BATCH), z + lo * v->classes)) return false;
    }
    for (int64_t i = 0; i < points.n; i++)
        right += out->robust[i] = best_class(z + i * v->classes, v->classes) == points.y[i];
    out->clean = points.n ? (double)right / (double)points.n : 0;
    return true;
}

bool attack_ensemble(Arena *arena, const Victim *victim, const Protocol *protocol, Pool *pool, uint64_t seed,
                     Points points, const AttackWatch *watch, AttackReport *out) {
    size_t rows = (size_t)(points.n * victim->inputs);
    *out = (AttackReport){.after = arena_array(arena, double, protocol->attacks + 1),
                          .robust = arena_array(arena, bool, points.n + 1),
                          .adv = arena_array(arena, double, rows + 1)};
    double *z = arena_array(arena, double, points.n * victim->classes + 1);
    bool *right = arena_array(arena, bool, points.n + 1);
    memcpy(out->adv, points.x, rows * sizeof(double));
    AttackPlace place = {0};
    if (!clean_look(victim, points, z, out)) return false;
    if (watch && watch->restore && !protocol->individual && !watch->restore(watch->data, &place, out)) {
        place = (AttackPlace){0};
        out->done = 0;
        out->largest = 0;
        memcpy(out->adv, points.x, rows * sizeof(double));
        if (!clean_look(victim, points, z, out)) return false;
    }
    memcpy(right, out->robust, (size_t)points.n * sizeof *right);
    bool *attacked = arena_array(arena, bool, points.n + 1), *all = out->robust;
    for (int i = place.attack; i < protocol->attacks; i++) {
        Stage s = {.victim = victim, .spec = &protocol->attack[i], .ball = protocol->ball, .pool = pool, .clean = z,
                   .all = points, .report = out, .key = attack_key(seed, protocol->attack[i].name), .watch = watch,
                   .number = i, .attacked = attacked};
        if (i == place.attack) s.from = place;
        AttackReport own = *out;
        if (protocol->individual) {                                     /* each from all points that are right */
            own.robust = arena_array(arena, bool, points.n + 1);
            memcpy(own.robust, right, (size_t)points.n * sizeof *right);
            s.report = &own;
        }
        memcpy(attacked, s.report->robust, (size_t)points.n * sizeof *attacked);
        if (!stage_run(&s)) return false;
        if (s.stopped) break;
        out->after[i] = robust_share(&s);
        out->largest = s.report->largest;
        for (int64_t k = 0; k < points.n; k++) all[k] = all[k] && s.report->robust[k];
        out->done++;
        if (watch && watch->reached)
            watch->reached(watch->data, &(AttackPlace){i + 1, 0, 0}, out, i + 1 == protocol->attacks);
    }
    return true;
}
