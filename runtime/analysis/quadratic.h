/* quadratic.h -- the form of a quadratic of 1 to 3 arguments.  Coefficients stand as in fits: squares, products (12,
 * 13, 23), the arguments, 1. */
#ifndef NIN_QUADRATIC_H
#define NIN_QUADRATIC_H

#include "base/base.h"

/* The symmetric matrix a[n][n] with c2(x) = x^T a x: squares on the diagonal, half the products beside it. */
void quadratic_form(int arguments, const double *c, double *a);
/* Its determinant: c1 c2 - c3^2 / 4 for two arguments. */
double quadratic_curvature(int arguments, const double *c);

/* The central share `level` of the curvatures of fits to points drawn anew: in each of `times` fits, point i counts
 * Poisson(count[i]) times instead of count[i] (NULL: 1).  Random numbers by rng.h with this key.  False: no fit was
 * possible. */
bool quadratic_bootstrap(int arguments, const double *const *x, const double *y, const double *count, int64_t n,
                         int times, double level, uint64_t key, double *lo, double *hi);

#endif
