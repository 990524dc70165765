/* spectrum.h -- the power of a function in each degree, under a Gaussian.
 *
 * P_l = sum over the functions phi of degree l of (E phi f)^2, the phi orthonormal under the Gaussian
 * N(mean, covariance):
 *   Hermite  products of Hermite polynomials of the whitened arguments (1 to 3 of them); complete: sum P_l = E f^2
 *   solid    solid harmonics r^l Y_lm of 3 whitened arguments, divided by sqrt((2l+1)!!/(4 pi)); not complete: nothing
 *            that depends on r alone but the constant
 * P_l does not depend on which square root of the covariance whitens.  E is by Gauss-Hermite quadrature: exact for
 * polynomials of degree below 2 side. */
#ifndef NIN_SPECTRUM_H
#define NIN_SPECTRUM_H

#include "base/base.h"

enum { SPECTRUM_AXES = 3, SPECTRUM_DEGREE = 12 };

typedef struct Quadrature {
    int axes, side;
    int64_t n;
    double *x[SPECTRUM_AXES], *z[SPECTRUM_AXES], *weight;
} Quadrature;
/* Points x with weights that sum to 1, and the whitened points z.  False: the covariance is not positive definite. */
bool quadrature_make(Arena *arena, int axes, int side, const double *mean, const double *covariance, Quadrature *out);
double quadrature_mean(const Quadrature *q, const double *y);

/* power[0..degree] of values y at the points. */
void hermite_power(const Quadrature *q, const double *y, int degree, double *power);
void solid_power(const Quadrature *q, const double *y, int degree, double *power);

/* From -1 to 1: P_2 / (P_1 + P_2 + ...) times -2 a b / (a^2 + b^2), a and b the curvatures along the principal axes of
 * the degree 2 part (2 arguments).  1: a (rotated) product and nothing else but a constant; -1: a round bowl; 0: no
 * degree 2, or a valley. */
double soft_xor(const Quadrature *q, const double *y);

#endif
