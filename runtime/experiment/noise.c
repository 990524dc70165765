/* noise.c -- smooth_noise: random smooth functions of 1, 2 or 3 numbers, drawn for each run (Kim et al. 2022, session
 * I).
 *
 * The value names what is drawn; each cell that is fitted to it draws its own (noise_draw).  The examples are the
 * points^n points of an even grid over the box, both ends included, first axis slowest; the target is
 *
 *   points   u(i) uniform in -1..1 for each point of the grid, convolved along each axis with
 *            k(d) = exp(-(d h)^2 / (2 sigma^2)) / sum, |d| <= (points - 1) / 2, h the step of the grid, 0 outside;
 *   squares  u(s) uniform in -1..1 for each of squares^n equal squares of the box, 0 outside, blurred exactly:
 *            sum over s of u(s) times the product over axes of Phi((b - x) / sigma) - Phi((a - x) / sigma).
 *
 * All in f64, sums in ascending order; u is 2 v - 1 with v the f32 uniforms of the key, in the grid's order. */
#include "experiment/train.h"
#include "support/math.h"
#include "support/rng.h"
#include "support/sha256.h"

#include <math.h>
#include <stdlib.h>

enum { MOST_POINTS = 1 << 21, MOST_AXES = 3 };

struct NoiseSpec { int64_t points, squares; double lo, hi, sigma; };

static int64_t power(int64_t base, int n) {
    int64_t x = 1;
    for (int i = 0; i < n; i++) x *= base;
    return x;
}

static double point(const NoiseSpec *s, int64_t i) {
    return s->points == 1 ? s->lo : s->lo + (s->hi - s->lo) * ((double)i / (double)(s->points - 1));
}

/* out[i] = sum over j of weight[i][j] in[j], along one axis of a grid whose other axes lie before and after it. */
static void along_axis(const double *in, double *out, const double *weight, int64_t before, int64_t from, int64_t to,
                       int64_t after) {
    for (int64_t b = 0; b < before; b++)
        for (int64_t i = 0; i < to; i++) {
            double *row = out + (b * to + i) * after;
            for (int64_t k = 0; k < after; k++) row[k] = 0;
            for (int64_t j = 0; j < from; j++) {
                double w = weight[i * from + j];
                const double *x = in + (b * from + j) * after;
                if (w != 0) for (int64_t k = 0; k < after; k++) row[k] += w * x[k];
            }
        }
}

/* The blur of one axis as a matrix [points][points or squares]. */
static double *axis_weights(Arena *arena, const NoiseSpec *s) {
    int64_t from = s->squares ? s->squares : s->points;
    double *weight = arena_array(arena, double, s->points * from), total = 0;
    double step = s->points > 1 ? (s->hi - s->lo) / (double)(s->points - 1) : 0, scale = 1 / (2 * s->sigma * s->sigma);
    int64_t reach = (s->points - 1) / 2;
    for (int64_t d = -reach; d <= reach; d++) total += nin_exp_f64(-((double)d * step) * ((double)d * step) * scale);
    for (int64_t i = 0; i < s->points; i++)
        for (int64_t j = 0; j < from; j++) {
            if (s->squares) {
                double side = (s->hi - s->lo) / (double)s->squares, a = s->lo + side * (double)j,
                       root = s->sigma * sqrt(2);
                weight[i * from + j] = 0.5 * (nin_erf_f64((a + side - point(s, i)) / root) -
                                              nin_erf_f64((a - point(s, i)) / root));
            } else {
                double d = (double)(i - j);
                weight[i * from + j] = fabs(d) > (double)reach ? 0
                                                               : nin_exp_f64(-(d * step) * (d * step) * scale) / total;
            }
        }
    return weight;
}

static double *noise_values(Arena *arena, const NoiseSpec *s, uint64_t key, int n) {
    int64_t from = s->squares ? s->squares : s->points, cells = power(from, n);
    float *u = arena_array(arena, float, cells + 1);
    rng_fill_uniform(key, cells, u);
    double *at = arena_array(arena, double, cells + 1), *weight = axis_weights(arena, s);
    for (int64_t i = 0; i < cells; i++) at[i] = 2 * (double)u[i] - 1;
    for (int axis = 0; axis < n; axis++) {
        int64_t before = power(s->points, axis), after = power(from, n - axis - 1);
        double *next = arena_array(arena, double, before * s->points * after + 1);
        along_axis(at, next, weight, before, from, s->points, after);
        at = next;
    }
    return at;
}

const DataObject *noise_draw(Arena *arena, const DataObject *lazy, uint64_t key, int n) {
    const NoiseSpec *s = lazy->noise;
    int64_t rows = power(s->points, n);
    double *x = arena_array(arena, double, rows * n + 1);
    for (int64_t i = 0; i < rows; i++)
        for (int k = n - 1, rest = (int)i; k >= 0; k--, rest /= (int)s->points)
            x[i * n + k] = point(s, rest % s->points);
    DataObject *data = arena_new_of(arena, DataObject);
    *data = (DataObject){.object = {&data_class}, .name = lazy->name, .size = rows, .known = true, .raw_lo = s->lo,
                         .raw_hi = s->hi};
    data->x = (Column){DT_F64, shape_of(1, (int64_t)n), x, 0};
    data->y = (Column){DT_F64, shape_of(1, (int64_t)1), noise_values(arena, s, key, n), 0};
    char *text = arena_printf(arena, "%s %d %016llx", lazy->hash, n, (unsigned long long)key);
    sha256_hex(text, strlen(text), data->hash);
    return data;
}

bool noise_fits(const DataObject *lazy, int n) {
    const NoiseSpec *s = lazy->noise;
    return n >= 1 && n <= MOST_AXES && power(s->points, n) <= MOST_POINTS && power(s->squares, n) <= MOST_POINTS;
}

static bool count_in(Eval *e, const BuiltinCall *call, int arg, const char *what, int64_t *out) {
    *out = call->args[arg].kind == V_INT ? call->args[arg].integer : 0;
    if (*out >= 1 && *out <= 100000) return true;
    diag_add(e->diags, D_E0414, call->arg_spans[arg], "smooth_noise takes from 1 to 100 000 %s on each axis", what);
    return false;
}

/* smooth_noise(points:, squares:, over:, sigma:) */
static bool builtin_smooth_noise(Eval *e, const BuiltinCall *call, Value *out) {
    DataObject *data = arena_new_of(e->arena, DataObject);
    NoiseSpec *s = arena_new_of(e->arena, NoiseSpec);
    const Value *over = &call->args[2];
    if (!count_in(e, call, 0, "points", &s->points)) return eval_fail(out);
    if (call->args[1].kind != V_NONE && !count_in(e, call, 1, "squares", &s->squares)) return eval_fail(out);
    if (over->kind != V_RANGE || !(over->range->lo < over->range->hi)) {
        diag_add(e->diags, D_E0314, call->arg_spans[2], "over: is a range of numbers, the same for each axis");
        return eval_fail(out);
    }
    s->lo = over->range->lo;
    s->hi = over->range->hi;
    if (!value_as_real(e, &call->args[3], call->arg_spans[3], &s->sigma)) return eval_fail(out);
    if (!(s->sigma > 0) || !isfinite(s->sigma)) {
        diag_add(e->diags, D_E0314, call->arg_spans[3],
                 "sigma is above zero: the width of the Gaussian in the units of over");
        return eval_fail(out);
    }
    *data = (DataObject){.object = {&data_class}, .name = "smooth_noise", .noise = s, .raw_lo = s->lo, .raw_hi = s->hi};
    data->x = data->y = (Column){.dtype = DT_F64, .shape = shape_of(1, (int64_t)0)};
    char *text = arena_printf(e->arena, "smooth_noise %lld %lld %.17g %.17g %.17g", (long long)s->points,
                              (long long)s->squares, s->lo, s->hi, s->sigma);
    sha256_hex(text, strlen(text), data->hash);
    *out = value_object(&data->object);
    return true;
}

const BuiltinRow builtins_noise[] = {{"smooth_noise", builtin_smooth_noise}, {NULL, NULL}};
