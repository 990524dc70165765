/* attack.h -- adversarial attacks on a classifier: APGD, FAB, Square, PGD, and ensembles of them.
 *
 * Sources: Croce and Hein, ICML 2020 (APGD, the losses DLR and targeted DLR, the ensemble AutoAttack); Croce and Hein,
 * ICML 2020 (FAB); Andriushchenko et al., ECCV 2020 (Square); Croce and Hein, ICML 2021 (APGD for l1); Madry et al.,
 * ICLR 2018 (PGD); Goodfellow et al., ICLR 2015 (FGSM).
 *
 * A victim gives logits, and the input gradient of a loss, and may show the product that it begins with; nothing else
 * of it is known.  Points are rows of `inputs`
 * numbers in the units of the box, attacked one by one: what happens to a point depends on the victim, the point, its
 * number and the seed alone, not on the other points or on threads.  All arithmetic here is f64, but points, gradients
 * and what else has a number for each input are kept from step to step in the victim's precision (live.h): what a step
 * makes of them is rounded to it once, as it is stored.  Points come and leave in f64.  A point that is fooled is
 * finished at once, where nothing can change any more. */
#ifndef NIN_ATTACK_H
#define NIN_ATTACK_H

#include "base/base.h"
#include "support/threads.h"

typedef enum AttackNorm { NORM_LINF, NORM_L2, NORM_L1 } AttackNorm;
typedef enum AttackLoss {
    ATTACK_CE,                 /* logsumexp(z) - z_y */
    ATTACK_DLR,                /* -(z_y - z_o) / (z_1 - z_3 + 1e-12), sorted; o: the largest that is not y */
    ATTACK_DLR_TARGETED,       /* -(z_y - z_aim) / (z_1 - (z_3 + z_4) / 2 + 1e-12) */
    ATTACK_DIFFERENCE          /* z_aim - z_y */
} AttackLoss;

/* A victim of f32 that begins with h = b + w x', where x' is what each input becomes by itself (front.h).  wide: outs
 * rounded up to a multiple of 16; w: panels of FRONT_PANEL outs, [inputs, FRONT_PANEL], the last as wide as what is
 * left.  seen: x' of n points; rest: the logits at n rows of h, [n, outs]. */
enum { FRONT_PANEL = 64 };
typedef struct Front {
    int64_t inputs, outs, wide;
    const float *w, *b;
    void *data;
    bool (*seen)(void *data, const float *x, int64_t n, float *out);
    bool (*rest)(void *data, const float *h, int64_t n, double *z);
} Front;

/* x: [n, inputs]; y, aim: [n] classes from 0; z: [n, classes]; value: [n]; dx: [n, inputs].  x and dx: of f32 if `f32`,
 * else of f64, with 64 bytes behind them that may be read and written.  turn: names the random numbers of a victim that
 * draws some.  False: it could not be computed (out of memory, interrupted). */
typedef struct Victim {
    void *data;
    int classes;
    int64_t inputs;
    int planes, height, width; /* inputs = planes * height * width; an input without places: 1, 1, n */
    bool f32, random;
    bool (*logits)(void *data, const void *x, int64_t n, uint32_t turn, double *z);
    bool (*slope)(void *data, AttackLoss loss, const void *x, const int32_t *y, const int32_t *aim, int64_t n,
                  uint32_t turn, double *z, double *value, void *dx);
    /* What attack `which` of the protocol, of kind KIND_OWN, makes of points with these numbers: out [n, inputs]; both
     * of f64. NULL: none. */
    bool (*change)(void *data, int which, const double *x, const int32_t *y, const int64_t *number, int64_t n,
                   double *out);
    /* What it begins with, or NULL; NULL: nothing is known of that. */
    const Front *(*front)(void *data);
} Victim;
/* At rows of f64. */
bool victim_logits(const Victim *v, const double *x, int64_t n, uint32_t turn, double *z);

/* Within eps of the clean point, in the norm, and in lo .. hi. */
typedef struct Ball { AttackNorm norm; double eps, lo, hi; } Ball;

/* Random numbers of point `point`: n uniforms in [0, 1) or standard normals. */
typedef struct AttackDraws {
    void *data;
    void (*fill)(void *data, bool normal, int64_t point, uint32_t run, int64_t n, double *out);
} AttackDraws;
/* Key (seed, "attack", 0, name, 0); element, example = point, step = run. */
typedef struct AttackKey { uint64_t key; } AttackKey;
AttackKey attack_key(uint64_t seed, const char *name);
AttackDraws attack_draws(AttackKey *key);

/* The points at hand: rows of x, with their numbers in the data set. */
typedef struct Points { const double *x; const int32_t *y; const int64_t *number; int64_t n; } Points;

/* What a run leaves for each of its points.  adv: the fooling point, if any. */
typedef struct Attacked { bool *fooled; double *adv; } Attacked;

typedef struct AttackRun {
    const Victim *victim;
    Ball ball;
    AttackDraws draws;
    Pool *pool;
    uint32_t run;                                /* number of this run of the attack: restarts, targets */
    /* Looks on after every iteration, with the points' values then; or NULL.  No point is finished early while it
     * looks. */
    void (*look)(void *data, int iteration, const double *value, const double *step);
    void *look_data;
} AttackRun;

/* ---- apgd.c ---- */
typedef struct Apgd {
    AttackLoss loss;
    int steps, samples;
    const double *start;
    const int32_t *aim;
    double *best, *best_value;
} Apgd;
/* start: [n, inputs] instead of a drawn one; best, best_value: where the highest loss was, or NULL. */
bool attack_apgd(const AttackRun *run, const Apgd *options, Points points, Attacked out);

/* ---- pgd.c: steps of size `step`; fgsm is one of size eps ---- */
typedef struct Pgd { AttackLoss loss; int steps; double step; bool random_start; } Pgd;
bool attack_pgd(const AttackRun *run, const Pgd *options, Points points, Attacked out);

/* ---- fab.c: the smallest change that fools; aim NULL: towards any class ---- */
typedef struct Fab { int steps; bool random_start; const int32_t *aim; double *norm; } Fab;
/* norm: [n], of the smallest fooling change found (1e10: none), or NULL; then points go on below eps. */
bool attack_fab(const AttackRun *run, const Fab *options, Points points, Attacked out);

/* ---- square.c ---- */
typedef struct Square { int queries; int64_t *used; } Square;         /* used: queries of each point, or NULL */
bool attack_square(const AttackRun *run, const Square *options, Points points, Attacked out);

/* ---- own.c: the victim's own function says what becomes of a point ---- */
bool attack_own(const AttackRun *run, int which, Points points, Attacked out);

/* ---- project.c ---- */
/* u into the ball around x and into the box, in place. */
void ball_project(const Ball *ball, const double *x, double *u, int64_t n);
/* d: the smallest change of t, lo <= t + d <= hi, that has <w, t + d> = b; as far as the box lets it.  scratch: [2
 * n]. */
void plane_project(const Ball *box, const double *t, const double *w, double b, int64_t n, double *scratch, double *d);
double norm_of(AttackNorm norm, const double *d, int64_t n);
/* What rounding n numbers of 0..1 to f32 may add to a change. */
double ball_slack(const Ball *ball, int64_t n);

/* ---- ensemble.c ---- */
typedef enum AttackKind { KIND_FGSM, KIND_PGD, KIND_APGD, KIND_APGD_TARGETED, KIND_FAB, KIND_FAB_TARGETED, KIND_SQUARE,
                          KIND_OWN } AttackKind;
typedef struct AttackSpec {
    const char *name;                            /* "apgd[cross_entropy]" */
    AttackKind kind; AttackLoss loss;
    int steps, restarts, targets, samples, queries;
    double step;
} AttackSpec;
typedef struct Protocol { const AttackSpec *attack; int attacks; Ball ball; bool individual; } Protocol;

typedef struct AttackReport {
    double clean, *after; /* accuracies; after[i]: of points that all attacks up to i left right */
    int done;                                    /* attacks that ran */
    bool *robust; double *adv;                   /* by point: the fooling point, else the clean one */
    double largest;                              /* change, in the norm */
} AttackReport;
/* Where an ensemble is: in which attack, in which of its runs (restarts, targets), before which point. */
typedef struct AttackPlace { int attack, run; int64_t next; } AttackPlace;
/* progress: attack, share of it that is done, robust accuracy so far; false ends the attack (*out holds what is
 * known). */
/* restore: fills *place and the report with what was reached before; false: nothing.  reached: they may be kept, and
 * must be if `now`.  Either may be NULL. */
typedef struct AttackWatch {
    void *data;
    bool (*progress)(void *data, int attack, double share, double robust);
    bool (*restore)(void *data, AttackPlace *place, AttackReport *report);
    void (*reached)(void *data, const AttackPlace *place, const AttackReport *report, bool now);
} AttackWatch;
bool attack_ensemble(Arena *arena, const Victim *victim, const Protocol *protocol, Pool *pool, uint64_t seed,
                     Points points, const AttackWatch *watch, AttackReport *out);

#endif
