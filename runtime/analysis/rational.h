/* rational.h -- least squares of a quotient that is defined everywhere: P(x) / (1 + |Q(x)|).
 *
 * P is a sum of the given terms, Q of all but the last, which is the constant.  Found in two ways, of which the better
 * is taken: reweighed linear least squares, P - y s Q = y, each equation divided by 1 + |Q| of the round before, s the
 * sign of that Q (Sanathanan and Koerner 1963); and from Q = 0, the polynomial; both are then improved by Levenberg
 * and Marquardt's method, whose steps are linear least squares too. */
#ifndef NIN_RATIONAL_H
#define NIN_RATIONAL_H

#include "analysis/least_squares.h"

/* column[k][i]: term k at point i; c[2 terms - 1]: of P, then of Q.  The columns are scaled, and not restored. */
LeastSquares rational_least_squares(double *const *column, int terms, const double *y, const double *weight, int64_t n,
                                    double *c);

#endif
