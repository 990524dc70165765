/* function.h -- functions of numbers looked at from outside: cells, trained cells, derivatives, fits; fns; models. */
#ifndef NIN_FUNCTION_H
#define NIN_FUNCTION_H

#include "experiment/experiment.h"

/* Numbers it takes; 0 after E0314.  A model takes those of its input. */
int function_arity(Eval *e, const Value *f, Span span);
/* y[i] = f(x[0][i], x[1][i], ...), i < n.  Cells and all that is like them (and fns, where they can be traced) are
 * evaluated in f64 whatever the working precision; a model in its own. */
bool function_values(Eval *e, const Value *f, int arity, const double *const *x, int64_t n, Span span, double *y);

#endif
