/* least_squares.c -- see least_squares.h. */
#include "analysis/least_squares.h"

#include <math.h>

static double dot(const double *a, const double *b, int64_t n) {
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += a[i] * b[i];
    return sum;
}

static void subtract(double *a, double factor, const double *b, int64_t n) {
    for (int64_t i = 0; i < n; i++) a[i] -= factor * b[i];
}

/* column[k] becomes a unit vector orthogonal to those before it, or 0; r[i] is what of it lies along column[i]. */
static bool orthogonal(double *const *column, int k, int64_t n, double *r) {
    double before = sqrt(dot(column[k], column[k], n));
    for (int i = 0; i <= k; i++) r[i] = 0;
    for (int pass = 0; pass < 2; pass++)
        for (int i = 0; i < k; i++) {
            double along = dot(column[i], column[k], n);
            r[i] += along;
            subtract(column[k], along, column[i], n);
        }
    double norm = sqrt(dot(column[k], column[k], n));
    bool new = norm > 1e-12 * before;
    for (int64_t i = 0; i < n; i++) column[k][i] = new ? column[k][i] / norm : 0;
    r[k] = new ? norm : 0;
    return new;
}

static void spread_of(const double *y, const double *weight, int64_t n, LeastSquares *out) {
    double sum = 0;
    for (int64_t i = 0; i < n; i++) {
        out->weight += weight ? weight[i] : 1;
        sum += (weight ? weight[i] : 1) * y[i];
    }
    double mean = out->weight > 0 ? sum / out->weight : 0;
    for (int64_t i = 0; i < n; i++) out->total += (weight ? weight[i] : 1) * (y[i] - mean) * (y[i] - mean);
}

LeastSquares least_squares(double *const *column, int columns, const double *y, const double *weight, int64_t n,
                           double *c) {
    LeastSquares out = {0};
    Arena *scratch = arena_new();
    double *rest = arena_array(scratch, double, n + 1), *r = arena_array(scratch, double, columns * columns + 1);
    spread_of(y, weight, n, &out);
    for (int64_t i = 0; i < n; i++) rest[i] = weight ? y[i] * sqrt(weight[i]) : y[i];
    for (int k = 0; k < columns; k++) {
        for (int64_t i = 0; weight && i < n; i++) column[k][i] *= sqrt(weight[i]);
        out.rank += orthogonal(column, k, n, r + k * columns);
    }
    for (int k = 0; k < columns; k++) {
        c[k] = dot(column[k], rest, n);
        subtract(rest, c[k], column[k], n);
    }
    for (int k = columns - 1; k >= 0; k--) {
        for (int i = k + 1; i < columns; i++) c[k] -= r[i * columns + k] * c[i];
        c[k] = r[k * columns + k] > 0 ? c[k] / r[k * columns + k] : 0;
    }
    out.residual = dot(rest, rest, n);
    arena_free(scratch);
    return out;
}

double least_squares_r2(const LeastSquares *fit) {
    return fit->total > 0 ? 1 - fit->residual / fit->total : fit->residual > 0 ? -INFINITY : 1;
}

/* ---- small symmetric matrices ---- */

static double off_diagonal(int n, const double *a) {
    double sum = 0;
    for (int i = 0; i < n; i++)
        for (int k = 0; k < i; k++) sum += a[i * n + k] * a[i * n + k];
    return sum;
}

/* One rotation that makes a[p][q] nothing. */
static void rotate(int n, double *a, double *v, int p, int q) {
    if (a[p * n + q] == 0) return;
    double theta = (a[q * n + q] - a[p * n + p]) / (2 * a[p * n + q]);
    double t = (theta < 0 ? -1 : 1) / (fabs(theta) + sqrt(theta * theta + 1)), c = 1 / sqrt(t * t + 1), s = t * c;
    for (int k = 0; k < n; k++) {
        double x = a[k * n + p], y = a[k * n + q];
        a[k * n + p] = c * x - s * y;
        a[k * n + q] = s * x + c * y;
    }
    for (int k = 0; k < n; k++) {
        double x = a[p * n + k], y = a[q * n + k], u = v[p * n + k], w = v[q * n + k];
        a[p * n + k] = c * x - s * y;
        a[q * n + k] = s * x + c * y;
        v[p * n + k] = c * u - s * w;
        v[q * n + k] = s * u + c * w;
    }
}

static void sort_eigen(int n, double *value, double *vector) {
    for (int i = 0; i < n; i++)
        for (int k = i + 1; k < n; k++) {
            if (value[k] <= value[i]) continue;
            double x = value[i];
            value[i] = value[k];
            value[k] = x;
            for (int j = 0; j < n; j++) {
                x = vector[i * n + j];
                vector[i * n + j] = vector[k * n + j];
                vector[k * n + j] = x;
            }
        }
    for (int i = 0; i < n; i++) {
        int j = 0;
        while (j < n - 1 && fabs(vector[i * n + j]) < 1e-12) j++;
        double sign = vector[i * n + j] < 0 ? -1 : 1;
        for (int k = 0; k < n; k++) vector[i * n + k] *= sign;
    }
}

void symmetric_eigen(int n, double *a, double *value, double *vector) {
    for (int i = 0; i < n * n; i++) vector[i] = i % (n + 1) == 0;
    for (int sweep = 0; sweep < 60 && off_diagonal(n, a) > 0; sweep++)
        for (int p = 0; p < n; p++)
            for (int q = p + 1; q < n; q++) rotate(n, a, vector, p, q);
    for (int i = 0; i < n; i++) value[i] = a[i * n + i];
    sort_eigen(n, value, vector);
}

double symmetric_determinant(int n, const double *a) {
    double m[64], det = 1;
    memcpy(m, a, sizeof *m * (size_t)(n * n));
    for (int k = 0; k < n; k++) {
        int p = k;
        for (int i = k + 1; i < n; i++)
            if (fabs(m[i * n + k]) > fabs(m[p * n + k])) p = i;
        if (m[p * n + k] == 0) return 0;
        if (p != k) det = -det;
        for (int j = 0; j < n && p != k; j++) {
            double x = m[k * n + j];
            m[k * n + j] = m[p * n + j];
            m[p * n + j] = x;
        }
        det *= m[k * n + k];
        for (int i = k + 1; i < n; i++) subtract(m + i * n + k, m[i * n + k] / m[k * n + k], m + k * n + k, n - k);
    }
    return det;
}

bool cholesky(int n, const double *a, double *l) {
    for (int i = 0; i < n; i++)
        for (int k = 0; k < n; k++) {
            if (k > i) { l[i * n + k] = 0; continue; }
            double x = a[i * n + k];
            for (int j = 0; j < k; j++) x -= l[i * n + j] * l[k * n + j];
            if (k < i) { l[i * n + k] = x / l[k * n + k]; continue; }
            if (!(x > 0)) return false;
            l[i * n + i] = sqrt(x);
        }
    return true;
}
