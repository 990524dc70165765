/* prove.h -- what is known of a cell on a box (prove.c): linear bounds of its value and its derivatives, the error of
 * its own arithmetic, a bound on its slope; and the smallest table with a proved error (tabulate.c). */
#ifndef NIN_PROVE_H
#define NIN_PROVE_H

#include "experiment/strategy.h"
#include "pass/bound.h"

/* A compiled computation of the forms (pass/bound.h) of `values` values on many boxes; the first is the cell's. */
typedef struct Prover {
    Eval *e; Span span;
    Arena *arena;                              /* its own */
    CellGraph cell;
    DType precision;
    int n, values;
    Program *program, *points; void *block;    /* points: boxes of no size */
    const char *unknown;                       /* made without a program: an operation that has no bound */
    bool jumps;                                /* the cell may jump: it has an operation or a choice that does */
} Prover;

/* derivatives: the values are followed by the derivative along each argument.  False after diagnostics. */
bool prover_make(Eval *e, const Value *cell, int arity, DType precision, bool derivatives, Span span, Prover *out);
/* The parameters of a trace at their starting values (of a trained cell: its weights), as a block; NULL after E0408. */
void *trace_block(Eval *e, Arena *arena, const Trace *trace, Span span, BlockLayout *layout);
void prover_free(Prover *p);
/* middle, half: [count][n]; half NULL: points.  forms: [count][values][n + 2]: c, slopes, r. */
bool prover_run(Prover *p, int64_t count, const double *middle, const double *half, double *forms);
/* A bound on how far the cell's value in its own precision lies from the exact one, anywhere in the box. */
bool prover_rounding(Prover *p, const double *lo, const double *hi, double wanted, double *out);

/* Fills nodes, table, bound, hi of a strategy that was read; E0614. */
bool table_make(Eval *e, const Value *cell, int arguments, DType precision, Span span, Strategy *s);

#endif
