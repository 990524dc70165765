/* eval_interpolate.c -- tables: multilinear interpolation, its derivatives, and its adjoint for the table.
 *
 * Along each axis u = (x - lo) * scale; the cell is i = u towards zero, but at least 0 and at most n - 2 (0 for a NaN);
 * f = u - i.  Between two neighbours a and b: fma(f, b - a, a), or b - a along an axis of the derivative; the last axis
 * comes first.  At the end the scales of the derivative's axes are multiplied, in order.  The adjoint does the same
 * steps backward: g = dy and the scales, in order; then, from the first axis to the last, b gets f * g and a gets
 * g - f * g (b: g and a: -g along an axis of the derivative).
 *
 * In a table of blocks (LOOKUP) i finds the block in the same way, at most n - 1; f times its cells along an axis is
 * its u.  A derivative is multiplied by the scale and then by the number of cells. */
#include "graph/eval.h"
#include "graph/lookup.h"

#include <math.h>

enum { MAX_CORNERS = 8 };

typedef struct Table { int k; int64_t n[3], step[3]; uint32_t axes; } Table;

static Table table_of(const Shape *nodes, uint32_t axes) {
    Table t = {.k = nodes->rank, .axes = axes};
    int64_t step = 1;
    for (int j = t.k - 1; j >= 0; j--) {
        t.n[j] = nodes->dim[j];
        t.step[j] = step;
        step *= t.n[j];
    }
    return t;
}

/* Where corner c (its bits: the axes, the last one lowest) of a cell stands. */
static int64_t corner_at(const Table *t, int64_t cell, int c) {
    for (int j = 0; j < t->k; j++) cell += c >> (t->k - 1 - j) & 1 ? t->step[j] : 0;
    return cell;
}

#define TABLE(T, FMA)                                                                                                  \
    static int64_t cell_##T(const Table *t, const T *lo, const T *scale, const T *x, T *f) {                           \
        int64_t cell = 0;                                                                                              \
        for (int j = 0; j < t->k; j++) {                                                                               \
            T u = (x[j] - lo[j]) * scale[j];                                                                           \
            int64_t last = t->n[j] - 2, i = u >= (T)last ? last : u > 0 ? (int64_t)u : 0;                              \
            f[j] = u - (T)i;                                                                                           \
            cell += i * t->step[j];                                                                                    \
        }                                                                                                              \
        return cell;                                                                                                   \
    }                                                                                                                  \
    static T between_##T(const Table *t, const T *values, int64_t cell, const T *f, const T *scale) {                  \
        T c[MAX_CORNERS];                                                                                              \
        for (int i = 0; i < 1 << t->k; i++) c[i] = values[corner_at(t, cell, i)];                                      \
        for (int j = t->k - 1; j >= 0; j--)                                                                            \
            for (int i = 0; i < 1 << j; i++) {                                                                         \
                T a = c[2 * i], b = c[2 * i + 1];                                                                      \
                c[i] = t->axes >> j & 1 ? b - a : FMA(f[j], b - a, a);                                                 \
            }                                                                                                          \
        for (int j = 0; j < t->k; j++)                                                                                 \
            if (t->axes >> j & 1) c[0] = c[0] * scale[j];                                                              \
        return c[0];                                                                                                   \
    }                                                                                                                  \
    static void spread_##T(const Table *t, T *acc, int64_t cell, const T *f, const T *scale, T dy) {                   \
        T c[MAX_CORNERS];                                                                                              \
        for (int j = 0; j < t->k; j++)                                                                                 \
            if (t->axes >> j & 1) dy = dy * scale[j];                                                                  \
        c[0] = dy;                                                                                                     \
        for (int j = 0; j < t->k; j++)                                                                                 \
            for (int i = (1 << j) - 1; i >= 0; i--) {                                                                  \
                T g = c[i], b = t->axes >> j & 1 ? g : f[j] * g;                                                       \
                c[2 * i + 1] = b;                                                                                      \
                c[2 * i] = t->axes >> j & 1 ? -g : g - b;                                                              \
            }                                                                                                          \
        for (int i = 0; i < 1 << t->k; i++) acc[corner_at(t, cell, i)] += c[i];                                        \
    }                                                                                                                  \
    static void interpolate_##T(Work *w, const Table *t) {                                                             \
        const T *values = w->in[0]->data, *lo = w->in[1]->data, *scale = w->in[2]->data;                               \
        T x[3], f[3];                                                                                                  \
        for (int64_t e = 0; e < w->rows; e++)                                                                          \
            for (int64_t i = 0; i < w->out->size; i++) {                                                               \
                for (int j = 0; j < t->k; j++) x[j] = ((const T *)value_row(w->in[3 + j], e))[i];                      \
                int64_t cell = cell_##T(t, lo, scale, x, f);                                                           \
                ((T *)value_row(w->out, e))[i] = between_##T(t, values, cell, f, scale);                               \
            }                                                                                                          \
    }                                                                                                                  \
    static void adjoint_##T(Work *w, const Table *t, T *acc, int64_t units) {                                          \
        const T *lo = w->in[1]->data, *scale = w->in[2]->data;                                                         \
        T x[3], f[3], *total = w->out->data;                                                                           \
        int64_t size = w->in[0]->size, nodes = w->out->size;                                                           \
        for (int64_t e = 0; e < w->frame->examples; e++) {                                                             \
            for (int64_t p = 0; p < size; p++) {                                                                       \
                int64_t i = p % units * (size / units) + p / units;                                                    \
                for (int j = 0; j < t->k; j++) x[j] = ((const T *)value_row(w->in[3 + j], e))[i];                      \
                int64_t cell = cell_##T(t, lo, scale, x, f);                                                           \
                spread_##T(t, acc, cell, f, scale, ((const T *)value_row(w->in[0], e))[i]);                            \
            }                                                                                                          \
            if ((e + 1) % SHARD && e + 1 < w->frame->examples) continue;                                               \
            for (int64_t i = 0; i < nodes; i++) total[i] = e < SHARD ? acc[i] : total[i] + acc[i];                     \
            memset(acc, 0, (size_t)nodes * sizeof(T));                                                                 \
        }                                                                                                              \
    }

TABLE(float, fmaf)
TABLE(double, fma)

/* ---- tables of blocks ---- */

static int64_t inside(int64_t at, int64_t n) { return at < n ? at : n - 1; }

#define LOOKUP(T, FMA)                                                                                                 \
    static int64_t whole_##T(T u, int64_t last) { return u >= (T)last ? last : u > 0 ? (int64_t)u : 0; }               \
    static T lookup_##T(const Work *w, const Table *t, const T *x) {                                                   \
        const T *values = w->in[0]->data, *lo = w->in[2]->data, *scale = w->in[3]->data;                               \
        const int32_t *index = w->in[1]->data;                                                                         \
        int64_t block = 0, cell[3];                                                                                    \
        T f[3], c[MAX_CORNERS];                                                                                        \
        for (int j = 0; j < t->k; j++) {                                                                               \
            T u = (x[j] - lo[j]) * scale[j];                                                                           \
            int64_t i = whole_##T(u, t->n[j] - 1);                                                                     \
            f[j] = u - (T)i;                                                                                           \
            block += i * t->step[j];                                                                                   \
        }                                                                                                              \
        int level = lookup_level(index[block]);                                                                        \
        T r = (T)(1 << level);                                                                                         \
        for (int j = 0; j < t->k; j++) {                                                                               \
            T u = f[j] * r;                                                                                            \
            cell[j] = whole_##T(u, (1 << level) - 1);                                                                  \
            f[j] = u - (T)cell[j];                                                                                     \
        }                                                                                                              \
        int64_t first = lookup_first(index[block]) + lookup_cell(t->k, level, cell);                                   \
        for (int i = 0; i < 1 << t->k; i++) {                                                                          \
            int64_t at = first;                                                                                        \
            for (int j = 0; j < t->k; j++) at += i >> (t->k - 1 - j) & 1 ? lookup_beside(t->k, level, j) : 0;          \
            c[i] = values[inside(at, w->in[0]->size)];                                                                 \
        }                                                                                                              \
        for (int j = t->k - 1; j >= 0; j--)                                                                            \
            for (int i = 0; i < 1 << j; i++) {                                                                         \
                T rise = c[2 * i + 1] - c[2 * i];                                                                      \
                c[i] = t->axes >> j & 1 ? rise : FMA(f[j], rise, c[2 * i]);                                            \
            }                                                                                                          \
        for (int j = 0; j < t->k; j++)                                                                                 \
            if (t->axes >> j & 1) c[0] = c[0] * scale[j] * r;                                                          \
        return c[0];                                                                                                   \
    }                                                                                                                  \
    static void lookups_##T(Work *w, const Table *t) {                                                                 \
        T x[3];                                                                                                        \
        for (int64_t e = 0; e < w->rows; e++)                                                                          \
            for (int64_t i = 0; i < w->out->size; i++) {                                                               \
                for (int j = 0; j < t->k; j++) x[j] = ((const T *)value_row(w->in[4 + j], e))[i];                      \
                ((T *)value_row(w->out, e))[i] = lookup_##T(w, t, x);                                                  \
            }                                                                                                          \
    }

LOOKUP(float, fmaf)
LOOKUP(double, fma)

void eval_LOOKUP(Work *w) {
    Table t = table_of(w->shape[1], w->attr->axes);
    if (w->out->dtype == DT_F32) lookups_float(w, &t);
    else lookups_double(w, &t);
}

void eval_INTERPOLATE(Work *w) {
    Table t = table_of(w->shape[0], w->attr->axes);
    if (w->out->dtype == DT_F32) interpolate_float(w, &t);
    else interpolate_double(w, &t);
}

void eval_BATCH_INTERPOLATE(Work *w) {
    Table t = table_of(&w->node->shape, w->attr->axes);
    Value acc = {.dtype = w->out->dtype, .size = w->out->size};
    int64_t units = w->shape[0]->rank ? w->shape[0]->dim[0] : 1;
    if (!value_alloc(w->frame, &acc, 1)) return;
    memset(acc.data, 0, (size_t)acc.size * dtype_size(acc.dtype));
    memset(w->out->data, 0, (size_t)acc.size * dtype_size(acc.dtype));
    if (acc.dtype == DT_F32) adjoint_float(w, &t, acc.data, units);
    else adjoint_double(w, &t, acc.data, units);
    value_free(&acc);
}
