/* strategy.h -- how a learned cell is evaluated (LANGUAGE 4.11): exactly, on a grid, in a table, by a fit.
 *
 * A Strategy is immutable and says all that a call of the cell needs; its identity is part of the net's.  A net's
 * Callable holds one for each of its cell types that is not exact, in the net's order (Strategies); a cell's own
 * Callable holds at most one.  Cells inside of cells are exact, whatever the net says.
 *
 *   grid    the cell at nodes[k] of its box, once a step; calls interpolate (INTERPOLATE), gradients go through it
 *           to arguments and parameters.  axes 0: the box is the state `box` of the cell, f32[arity, 2]: trace_boxes.
 *   table   LOOKUP in constant values and their index of blocks; the cell's parameters are kept and not used, but
 *   outside the box if exact
 *   fit     a polynomial, or the quotient of two, whose coefficients are the cell's parameter `fit` */
#ifndef NIN_STRATEGY_H
#define NIN_STRATEGY_H

#include "sema/eval.h"

typedef enum StrategyKind { STRATEGY_GRID, STRATEGY_TABLE, STRATEGY_FIT } StrategyKind;
typedef enum Outside { OUTSIDE_CLAMP, OUTSIDE_EXACT, OUTSIDE_LINEAR } Outside;
enum { STRATEGY_ARGUMENTS = 3, FIT_TERMS = 84 };

typedef struct Strategy {
    Object object;
    StrategyKind kind;
    const char *asked;                            /* what was written: "grid[nodes: 64, over: auto]" */
    const Object *region;                         /* over a region of a cell's inputs, of which this is the box; NULL */
    int axes; double lo[STRATEGY_ARGUMENTS], hi[STRATEGY_ARGUMENTS];     /* its box; axes 0: automatic */
    int64_t nodes;                                /* grid: along each axis */
    int64_t blocks;                               /* table: the same */
    Outside outside; double error, bound;         /* table: what was asked for; what is proved */
    double scale[STRATEGY_ARGUMENTS];             /* table: blocks to a unit of each argument */
    const Tensor *table, *index;                  /* f32 or f64, and i32 [blocks, ..] (graph/lookup.h); NULL: not made
                                                     yet (checking): zeros */
    uint64_t table_hash, index_hash;              /* of their bytes */
    int degree; bool rational;                    /* fit: of numerator and denominator */
    const Tensor *coefficients; double r2;        /* f64; NULL: not made yet: zeros */
} Strategy;
extern const ObjectClass strategy_class;

typedef struct CellStrategy {
    const char *cell, *path;                      /* the cell's identity; its path */
    const Strategy *strategy;
} CellStrategy;
struct Strategies { int n; CellStrategy *at; };
typedef struct Strategies Strategies;
void strategy_text(const Strategy *s, Buf *out);  /* as it was asked for; of a table: its size and what is proved */
const Strategy *strategies_find(const Strategies *strategies, const char *cell);    /* by the cell's identity; NULL */
void strategies_identity(const Strategies *strategies, Buf *out);
/* A deep copy in another arena. */
const Strategies *strategies_keep(Arena *arena, const Strategies *strategies);
/* The callable with these strategies; n 0: with none. */
Value strategies_on(Arena *arena, const Value *callable, const Strategies *strategies);

/* Exponents of a fit's terms, [term][argument]: total degree from high to low; within a degree few variables before
 * many, high exponents of the first argument first.  quadratic, 2 arguments: x1^2 x2^2 x1x2 x1 x2 1.  The number of
 * terms; 0: more than FIT_TERMS.  A rational fit has these terms, then those of its denominator but the constant. */
int fit_terms(int arguments, int degree, int exponent[FIT_TERMS][STRATEGY_ARGUMENTS]);
int fit_size(const Strategy *s, int arguments);   /* coefficients in all */

/* In a training trace, after the net: each cell with an automatic box gets the new value of its state: the range of
 * what it was called with in this batch, widened.  False: there is none. */
bool trace_boxes(Eval *e, Trace *trace);

#endif
