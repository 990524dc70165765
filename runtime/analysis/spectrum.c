/* spectrum.c -- see spectrum.h. */
#include "analysis/spectrum.h"

#include "analysis/least_squares.h"

#include <math.h>

/* ---- quadrature ---- */

/* h[k], k < n: Hermite polynomials orthonormal under N(0, 1): h[k+1] = (x h[k] - sqrt(k) h[k-1]) / sqrt(k+1). */
static void hermite_at(double x, int n, double *h) {
    for (int k = 0; k < n; k++) h[k] = k == 0 ? 1 : (x * h[k - 1] - (k > 1 ? sqrt(k - 1) * h[k - 2] : 0)) / sqrt(k);
}

/* How many roots of h[n] lie above x: the changes of sign in h[0], ..., h[n] (Sturm). */
static int roots_above(double x, int n, double *h) {
    int changes = 0;
    hermite_at(x, n + 1, h);
    for (int k = 0; k < n; k++) changes += (h[k] < 0) != (h[k + 1] < 0);
    return changes;
}

/* Roots of h[n] by bisection; weights 1 / sum h[k]^2. */
static void gauss_hermite(int n, double *x, double *weight, double *h) {
    for (int i = 0; i < n; i++) {
        double lo = -2 * sqrt(n) - 1, hi = -lo;
        for (int step = 0; step < 80; step++) {
            double middle = (lo + hi) / 2;
            if (roots_above(middle, n, h) >= n - i) lo = middle;         /* root i has n - i roots at or above it */
            else hi = middle;
        }
        x[i] = (lo + hi) / 2;
        double sum = 0;
        hermite_at(x[i], n, h);
        for (int k = 0; k < n; k++) sum += h[k] * h[k];
        weight[i] = 1 / sum;
    }
}

bool quadrature_make(Arena *arena, int axes, int side, const double *mean, const double *covariance, Quadrature *q) {
    double root[SPECTRUM_AXES * SPECTRUM_AXES], *node = arena_array(arena, double, 3 * side + 4), *weight = node + side;
    if (!cholesky(axes, covariance, root)) return false;
    *q = (Quadrature){.axes = axes, .side = side, .n = 1};
    for (int j = 0; j < axes; j++) q->n *= side;
    gauss_hermite(side, node, weight, weight + side);
    q->weight = arena_array(arena, double, q->n);
    for (int j = 0; j < axes; j++) {
        q->x[j] = arena_array(arena, double, q->n);
        q->z[j] = arena_array(arena, double, q->n);
    }
    for (int64_t i = 0; i < q->n; i++) {
        int64_t rest = i;
        q->weight[i] = 1;
        for (int j = axes - 1; j >= 0; j--, rest /= side) {
            q->z[j][i] = node[rest % side];
            q->weight[i] *= weight[rest % side];
        }
        for (int j = 0; j < axes; j++) {
            q->x[j][i] = mean[j];
            for (int k = 0; k <= j; k++) q->x[j][i] += root[j * axes + k] * q->z[k][i];
        }
    }
    return true;
}

double quadrature_mean(const Quadrature *q, const double *y) {
    double sum = 0;
    for (int64_t i = 0; i < q->n; i++) sum += q->weight[i] * y[i];
    return sum;
}

/* ---- Hermite ---- */

enum { SIDE = SPECTRUM_DEGREE + 1 };

/* E h[a](z1) h[b](z2) h[c](z3) f for all a + b + c up to degree; coefficient[(a SIDE + b) SIDE + c]. */
static void hermite_coefficients(const Quadrature *q, const double *y, int degree, double *coefficient) {
    double h[SPECTRUM_AXES][SIDE];
    memset(coefficient, 0, sizeof *coefficient * SIDE * SIDE * SIDE);
    for (int64_t i = 0; i < q->n; i++) {
        double wy = q->weight[i] * y[i];
        for (int j = 0; j < q->axes; j++) hermite_at(q->z[j][i], degree + 1, h[j]);
        for (int a = 0; a <= degree; a++)
            for (int b = 0; b <= (q->axes > 1 ? degree - a : 0); b++)
                for (int c = 0; c <= (q->axes > 2 ? degree - a - b : 0); c++)
                    coefficient[(a * SIDE + b) * SIDE + c] +=
                        wy * h[0][a] * (q->axes > 1 ? h[1][b] : 1) * (q->axes > 2 ? h[2][c] : 1);
    }
}

void hermite_power(const Quadrature *q, const double *y, int degree, double *power) {
    double coefficient[SIDE * SIDE * SIDE];
    hermite_coefficients(q, y, degree, coefficient);
    for (int l = 0; l <= degree; l++) power[l] = 0;
    for (int a = 0; a <= degree; a++)
        for (int b = 0; a + b <= degree; b++)
            for (int c = 0; a + b + c <= degree; c++) {
                double x = coefficient[(a * SIDE + b) * SIDE + c];
                power[a + b + c] += x * x;
            }
}

double soft_xor(const Quadrature *q, const double *y) {
    double coefficient[SIDE * SIDE * SIDE], power[3] = {0}, form[4], value[2], vector[4];
    hermite_coefficients(q, y, 2, coefficient);
    for (int a = 0; a <= 2; a++)
        for (int b = 0; a + b <= 2; b++)
            power[a + b] += coefficient[(a * SIDE + b) * SIDE] * coefficient[(a * SIDE + b) * SIDE];
    form[0] = coefficient[2 * SIDE * SIDE] / sqrt(2);
    form[3] = coefficient[2 * SIDE] / sqrt(2);
    form[1] = form[2] = coefficient[(SIDE + 1) * SIDE] / 2;
    symmetric_eigen(2, form, value, vector);
    double square = 0, size = value[0] * value[0] + value[1] * value[1];
    for (int64_t i = 0; i < q->n; i++) square += q->weight[i] * y[i] * y[i];
    double moving = square - power[0];                                    /* all degrees above 0 */
    if (!(moving > 1e-24 * square) || !(size > 0)) return 0;
    return power[2] / moving * (-2 * value[0] * value[1] / size);
}

/* ---- solid harmonics ---- */

static double factorial(int n) { return n < 2 ? 1 : n * factorial(n - 1); }
static double odd_factorial(int n) { return n < 2 ? 1 : n * odd_factorial(n - 2); }    /* n!! of an odd n */

/* E (p_lm Re (x + iy)^m)^2 under N(0, I): the mean over the sphere times E r^(2l). */
static double solid_square(int l, int m) {
    return factorial(l + m) / ((2 * l + 1) * factorial(l - m)) * (m ? 0.5 : 1) * odd_factorial(2 * l + 1);
}

/* p[l][m] = r^(l-m) P_lm(z / r) / sin^m: p_mm = (2m-1)!!, p_lm = ((2l-1) z p_(l-1)m - (l+m-1) r^2 p_(l-2)m) / (l-m). */
static void solid_at(double z, double r2, int degree, double p[SIDE][SIDE]) {
    for (int m = 0; m <= degree; m++) {
        p[m][m] = odd_factorial(2 * m - 1);
        for (int l = m + 1; l <= degree; l++)
            p[l][m] = ((2 * l - 1) * z * p[l - 1][m] - (l > m + 1 ? (l + m - 1) * r2 * p[l - 2][m] : 0)) / (l - m);
    }
}

void solid_power(const Quadrature *q, const double *y, int degree, double *power) {
    double even[SIDE][SIDE] = {{0}}, odd[SIDE][SIDE] = {{0}}, p[SIDE][SIDE];
    for (int64_t i = 0; i < q->n; i++) {
        double a = q->z[0][i], b = q->z[1][i], c = q->z[2][i], re = 1, im = 0, wy = q->weight[i] * y[i];
        solid_at(c, a * a + b * b + c * c, degree, p);
        for (int m = 0; m <= degree; m++) {
            for (int l = m; l <= degree; l++) {
                even[l][m] += wy * p[l][m] * re;
                odd[l][m] += wy * p[l][m] * im;
            }
            double next = re * a - im * b;
            im = re * b + im * a;
            re = next;
        }
    }
    for (int l = 0; l <= degree; l++) {
        power[l] = 0;
        for (int m = 0; m <= l; m++) power[l] += (even[l][m] * even[l][m] + odd[l][m] * odd[l][m]) / solid_square(l, m);
    }
}
