/* least_squares.h -- linear least squares in f64 by a QR decomposition, and small symmetric matrices. */
#ifndef NIN_LEAST_SQUARES_H
#define NIN_LEAST_SQUARES_H

#include "base/base.h"

/* c[columns] minimises sum_i weight[i] (sum_k c[k] column[k][i] - y[i])^2; weight NULL: all 1.  The columns are made
 * orthonormal one after the other (modified Gram-Schmidt, twice) and overwritten.  One that depends on those before it
 * (less than 1e-12 of it is new) has c = 0. */
typedef struct LeastSquares {
    int rank;
    double weight, residual, total;               /* sums of weights, of squared residuals, of squares about the mean */
} LeastSquares;
LeastSquares least_squares(double *const *column, int columns, const double *y, const double *weight, int64_t n,
                           double *c);
/* 1 - residual / total; 1 where both are nothing (a constant that is met). */
double least_squares_r2(const LeastSquares *fit);

/* Eigenvalues, falling, and unit eigenvectors (rows of vector; their first number that is not 0 is positive) of a
 * symmetric matrix a[n][n], n <= 8, by Jacobi rotations; a is overwritten. */
void symmetric_eigen(int n, double *a, double *value, double *vector);
double symmetric_determinant(int n, const double *a);
/* a = l l^T, l lower triangular; false: a is not positive definite.  l may be a. */
bool cholesky(int n, const double *a, double *l);

#endif
