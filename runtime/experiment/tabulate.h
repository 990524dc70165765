/* tabulate.h -- tables with a proved error (strategy `tabulated`): tables.c finds those that were made before,
 * tabulate.c looks for their blocks, blocks.c proves and fills them.
 *
 * The box is cut into `blocks` blocks along each argument; block n has 2^level[n] cells along each (graph/lookup.h).
 * Places are measured in blocks, so cells are dyadic and exact in f64. */
#ifndef NIN_TABULATE_H
#define NIN_TABULATE_H

#include "experiment/prove.h"
#include "graph/lookup.h"

enum { TABLE_CHUNK = 1 << 14, TABLE_CORNERS = 8, TABLE_BYTES = 1 << 27 };

typedef struct Tabling {
    Prover *p;
    Strategy *s;
    int k;
    double unit;                               /* half of the distance between neighbours at 1 */
    double scale[BOUND_ARGUMENTS];             /* blocks to a unit of each argument */
    int64_t blocks, all; uint8_t *level;
    double edge;                               /* how far rounding moves a place, in blocks */
    double cell_error, off, reading;           /* the cell's rounding; most that a value is off; what reading rounds */
    double target;                             /* for |I - f| */
    double worst;                              /* the largest bound that was accepted */
    double at[BOUND_ARGUMENTS];                /* where it failed */
} Tabling;

/* tabulate.c: looks for the table (E0614); gives its tensors' hashes. */
bool table_find(Eval *e, const Value *cell, int arguments, DType precision, Span span, Strategy *s);
void table_hashes(Strategy *s);
/* blocks.c */
double table_place(const Tabling *t, int j, double u);
/* A value as it will be read, of a form at a point; *off: how far from the cell it may be. */
double table_value(const Tabling *t, const double *form, double *off);
/* Raises levels until |I - f| <= target is proved everywhere.  PROOF_FAILED: not to be had near t->at. */
typedef enum ProofEnd { PROOF_DONE, PROOF_FAILED, PROOF_LONG, PROOF_ERROR } ProofEnd;
ProofEnd table_prove(Tabling *t);
int64_t table_values(const Tabling *t);
/* All values as they lie in memory and the first of each block; *off: most that one is off, *reading: what reading
 * rounds. */
bool table_fill(Tabling *t, double *value, int32_t *index, double *off, double *reading);

#endif
