/* loops.h -- the loops over the numbers of a point, compiled for several instruction sets: the machine takes the best
 * it has.
 *
 * All arithmetic is f64; rows have a victim's precision: the loops of rows stand in pairs, [0] for f64, [1] for f32. */
#ifndef NIN_ATTACK_LOOPS_H
#define NIN_ATTACK_LOOPS_H

#include "attack/attack.h"

typedef struct RowLoops {
    void (*read)(const void *row, double *out, int64_t n);
    void (*write)(const double *x, void *row, int64_t n);
    /* APGD's step in linf along the signs of g, with momentum: current moves, previous is where it was. */
    void (*ascend)(const Ball *ball, double step, double a, int64_t n, const void *x, const void *g, void *current,
                   void *previous);
    /* FAB's step in linf, in place of x1; scratch: 3 rows of f64. */
    void (*approach)(const Ball *ball, int64_t n, const void *w, const void *x, double offset, double *scratch,
                     void *x1);
    /* The norm of x1 - x; x1 = x + part (x1 - x). */
    double (*distance)(AttackNorm norm, int64_t n, const void *x1, const void *x);
    void (*draw_back)(double part, int64_t n, const void *x, void *x1);
} RowLoops;

/* Of n numbers: |w|, in l2 0 where it is below 1e-8, and the room on the side where w is to go. */
typedef struct Sides { double *w, *m; int64_t n; } Sides;

/* Chains over `inputs` numbers, `wide` side by side; w as in a Front. */
enum { CARRIED = 6 };
typedef struct Chains { int64_t inputs, wide; const float *w; } Chains;

typedef struct Loops {
    RowLoops rows[2];
    double (*dot)(const double *a, const double *b, int64_t n);
    double (*norm)(AttackNorm norm, const double *d, int64_t n);
    /* The parts of plane_project (project.c). */
    double (*sides)(const Ball *box, const double *t, const double *w, double sign, Sides s);
    /* The level at which sum |w| min(g, m) = c, g = level (linf) or level |w| (l2); c is below sum |w| m. */
    double (*level)(bool l2, Sides s, double c);
    /* d: each number as far as its g, or its room; against the sign of w. */
    void (*moves)(bool l2, const double *w, double sign, double level, Sides s, double *d);
    /* Of CARRIED points x, of a panel of w: from the sums before input `from`, [wide], to those before input `to`.
     * NULL without fused products. */
    void (*carry)(const Chains *c, int64_t panel, int64_t from, int64_t to, const float *const x[CARRIED],
                  const float *const before[CARRIED], float *const sums[CARRIED]);
} Loops;

const Loops *attack_loops(void);
extern const Loops loops_baseline, loops_avx2, loops_avx512;

/* FAB: changes go beyond the plane, and at most so much of the way is towards the clean point's projection. */
#define FAB_BEYOND 1.05
#define FAB_ALPHA 0.1

#endif
