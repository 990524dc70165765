/* eval_reduce.c -- sums and contractions, in the order that lang/arithmetic.md states.
 *
 * PARTIALS below are the 16 accumulators of a sum inside an example; TREE adds them 16-8-4-2-1.  A sum over the
 * batch is one chain per shard, and the shards' sums added in order. */
#include "graph/eval.h"
#include "graph/window.h"

#include <math.h>

enum { PARTIALS = 16 };

/* ---- positions ---- */

int64_t axes_size(const Shape *shape, uint32_t axes) {
    int64_t n = 1;
    for (int i = 0; i < shape->rank; i++)
        if (axes >> i & 1) n *= shape->dim[i];
    return n;
}

int64_t axes_offset(const Shape *shape, uint32_t axes, int64_t position) {
    int64_t offset = 0, stride = 1;
    for (int i = shape->rank - 1; i >= 0; i--) {
        if (axes >> i & 1) {
            offset += position % shape->dim[i] * stride;
            position /= shape->dim[i];
        }
        stride *= shape->dim[i];
    }
    return offset;
}

/* The offsets of an example's elements that are summed into one result, relative to its first one, and how many
 * lie behind one index of the first axis (0 if that axis is kept). */
typedef struct Group { int64_t count, per_first; int64_t *offset; uint32_t kept; } Group;

static bool group_open(Work *w, Group *group, bool feature_fastest) {
    const Shape *shape = w->shape[0];
    uint32_t axes = w->attr->axes, places = axes & ~1u;
    int64_t features = axes & 1 ? shape->dim[0] : 1, behind = axes_size(shape, places);
    int64_t feature_stride = shape->rank ? shape_size(shape) / shape->dim[0] : 1;
    Value offsets = {.dtype = DT_F64, .size = axes_size(shape, axes)};
    *group = (Group){offsets.size, axes & 1 ? behind : 0, NULL, ((1u << shape->rank) - 1) & ~axes};
    if (!value_alloc(w->frame, &offsets, 1)) return false;
    group->offset = offsets.data;
    for (int64_t j = 0; j < group->count; j++) {
        int64_t feature = feature_fastest ? j % features : j / behind;
        int64_t place = feature_fastest ? j / features : j % behind;
        group->offset[j] = feature * feature_stride + axes_offset(shape, places, place);
    }
    return true;
}

static void group_close(Group *group) {
    Value offsets = {.data = group->offset};
    value_free(&offsets);
}

/* Which partial takes the j-th element: by the first axis if it is reduced, else by position. */
static int partial_of(const Group *group, int64_t j) {
    return (int)((group->per_first ? j / group->per_first : j) % PARTIALS);
}

/* ---- reductions inside an example ---- */

#define REDUCE(dt, T, START, COMBINE)                                                                                  \
    if (w->out->dtype == dt)                                                                                           \
        for (int64_t e = 0; e < w->rows; e++)                                                                          \
            for (int64_t k = 0; k < w->out->size; k++) {                                                               \
                const T *in = (const T *)value_row(w->in[0], e) + axes_offset(w->shape[0], group.kept, k);             \
                T p[PARTIALS], a, b;                                                                                   \
                for (int i = 0; i < PARTIALS; i++) p[i] = START;                                                       \
                for (int64_t j = 0; j < group.count; j++) {                                                            \
                    a = p[partial_of(&group, j)], b = in[group.offset[j]];                                             \
                    p[partial_of(&group, j)] = COMBINE;                                                                \
                }                                                                                                      \
                for (int half = PARTIALS / 2; half; half /= 2)                                                         \
                    for (int i = 0; i < half; i++) {                                                                   \
                        a = p[i], b = p[i + half];                                                                     \
                        p[i] = COMBINE;                                                                                \
                    }                                                                                                  \
                ((T *)value_row(w->out, e))[k] = p[0];                                                                 \
            }

#define wrap(a, operator, b) (int32_t)((uint32_t)(a) operator (uint32_t)(b))

void eval_SUM(Work *w) {
    Group group;
    if (!group_open(w, &group, false)) return;
    REDUCE(DT_F32, float, 0, a + b)
    REDUCE(DT_F64, double, 0, a + b)
    REDUCE(DT_I32, int32_t, 0, wrap(a, +, b))
    group_close(&group);
}

void eval_MAXIMUM(Work *w) {
    Group group;
    if (!group_open(w, &group, false)) return;
    REDUCE(DT_F32, float, -INFINITY, a < b ? b : a >= b ? a : a + b)
    REDUCE(DT_F64, double, (double)-INFINITY, a < b ? b : a >= b ? a : a + b)
    REDUCE(DT_I32, int32_t, INT32_MIN, a < b ? b : a)
    group_close(&group);
}

void eval_MINIMUM(Work *w) {
    Group group;
    if (!group_open(w, &group, false)) return;
    REDUCE(DT_F32, float, INFINITY, b < a ? b : b >= a ? a : a + b)
    REDUCE(DT_F64, double, (double)INFINITY, b < a ? b : b >= a ? a : a + b)
    REDUCE(DT_I32, int32_t, INT32_MAX, b < a ? b : a)
    group_close(&group);
}

void eval_PROD(Work *w) {
    Group group;
    if (!group_open(w, &group, false)) return;
    REDUCE(DT_F32, float, 1, a * b)
    REDUCE(DT_F64, double, 1, a * b)
    REDUCE(DT_I32, int32_t, 1, wrap(a, *, b))
    group_close(&group);
}

/* The first of the largest; a NaN counts as larger than all numbers, and the first NaN wins. */
#define ARGMAX(dt, T)                                                                                                  \
    if (w->in[0]->dtype == dt)                                                                                         \
        for (int64_t e = 0; e < w->rows; e++)                                                                          \
            for (int64_t p = 0; p < w->out->size; p++) {                                                               \
                const T *in = (const T *)value_row(w->in[0], e) + p;                                                   \
                int64_t best = 0;                                                                                      \
                for (int64_t k = 1; k < w->shape[0]->dim[0]; k++) {                                                    \
                    T a = in[best * w->out->size], b = in[k * w->out->size];                                           \
                    if (a < b || (b != b && a == a)) best = k;                                                         \
                }                                                                                                      \
                ((int32_t *)value_row(w->out, e))[p] = (int32_t)best;                                                  \
            }

void eval_ARGMAX(Work *w) {
    ARGMAX(DT_F32, float)
    ARGMAX(DT_F64, double)
    ARGMAX(DT_I32, int32_t)
}

/* ---- sums over the batch ---- */

/* One element of the result: chain(e) continues `acc` over example e; the shards' sums are added in order. */
#define SHARDS(T, ADD, CHAIN)                                                                                          \
    T total = 0;                                                                                                       \
    for (int64_t first = 0; first < w->frame->examples; first += SHARD) {                                              \
        int64_t end = first + SHARD < w->frame->examples ? first + SHARD : w->frame->examples;                         \
        T acc = 0;                                                                                                     \
        for (int64_t e = first; e < end; e++) CHAIN                                                                    \
        total = first ? ADD(total, acc) : acc;                                                                         \
    }

#define PLUS(a, b) ((a) + (b))
#define PLUS_I32(a, b) wrap(a, +, b)

#define BATCH_SUM(dt, T, ADD)                                                                                          \
    if (w->out->dtype == dt)                                                                                           \
        for (int64_t k = 0; k < w->out->size; k++) {                                                                   \
            int64_t start = axes_offset(w->shape[0], group.kept, k);                                                   \
            SHARDS(T, ADD, {                                                                                           \
                const T *in = (const T *)value_row(w->in[0], e) + start;                                               \
                T sum = apart ? 0 : acc;                                                                               \
                for (int64_t j = 0; j < group.count; j++) sum = ADD(sum, in[group.offset[j]]);                         \
                acc = apart ? ADD(acc, sum) : sum;                                                                     \
            })                                                                                                         \
            ((T *)w->out->data)[k] = total;                                                                            \
        }

void eval_BATCH_SUM(Work *w) {
    Group group;
    if (!group_open(w, &group, true)) return;
    bool apart = sum_by_example(group.count);
    BATCH_SUM(DT_F32, float, PLUS)
    BATCH_SUM(DT_F64, double, PLUS)
    BATCH_SUM(DT_I32, int32_t, PLUS_I32)
    group_close(&group);
}

#define LARGER(a, b) ((a) < (b) ? (b) : (a) >= (b) ? (a) : (a) + (b))
#define BATCH_MAXIMUM(dt, T)                                                                                           \
    if (w->out->dtype == dt) {                                                                                         \
        T most = (T)-INFINITY;                                                                                         \
        for (int64_t e = 0; e < w->frame->examples; e++)                                                               \
            for (int64_t i = 0; i < w->in[0]->size; i++) {                                                             \
                T x = ((const T *)value_row(w->in[0], e))[i];                                                          \
                most = LARGER(most, x);                                                                                \
            }                                                                                                          \
        *(T *)w->out->data = most + 0;                                                                                 \
    }

void eval_BATCH_MAXIMUM(Work *w) {
    BATCH_MAXIMUM(DT_F32, float)
    BATCH_MAXIMUM(DT_F64, double)
}

/* out[o, n] = chain over (example, place) of fma(dy[o, place], x[n, place], acc) */
#define BATCH_OUTER(dt, T, FMA)                                                                                        \
    if (w->out->dtype == dt)                                                                                           \
        for (int64_t k = 0; k < w->out->size; k++) {                                                                   \
            int64_t o = k / w->node->shape.dim[1], n = k % w->node->shape.dim[1];                                      \
            SHARDS(T, PLUS, {                                                                                          \
                const T *dy = (const T *)value_row(w->in[0], e) + o * places;                                          \
                const T *x = (const T *)value_row(w->in[1], e) + n * places;                                           \
                for (int64_t p = 0; p < places; p++) acc = FMA(dy[p], x[p], acc);                                      \
            })                                                                                                         \
            ((T *)w->out->data)[k] = total;                                                                            \
        }

void eval_BATCH_OUTER(Work *w) {
    int64_t places = w->in[0]->size / w->node->shape.dim[0];
    BATCH_OUTER(DT_F32, float, fmaf)
    BATCH_OUTER(DT_F64, double, fma)
}

static int64_t row_of(const int32_t *index, int64_t p, int64_t rows) {
    return index[p] < 0 ? 0 : index[p] >= rows ? rows - 1 : index[p];
}

/* out[v, d] = chain over (example, place) with index = v of acc + dy[d, place] */
#define BATCH_EMBED(dt, T)                                                                                             \
    if (w->out->dtype == dt)                                                                                           \
        for (int64_t k = 0; k < w->out->size; k++) {                                                                   \
            int64_t v = k / width, d = k % width;                                                                      \
            SHARDS(T, PLUS, {                                                                                          \
                const T *dy = (const T *)value_row(w->in[0], e) + d * places;                                          \
                const int32_t *index = value_row(w->in[1], e);                                                         \
                for (int64_t p = 0; p < places; p++)                                                                   \
                    if (row_of(index, p, rows) == v) acc = acc + dy[p];                                                \
            })                                                                                                         \
            ((T *)w->out->data)[k] = total;                                                                            \
        }

void eval_BATCH_EMBED(Work *w) {
    int64_t rows = w->node->shape.dim[0], width = w->node->shape.dim[1], places = w->in[1]->size;
    BATCH_EMBED(DT_F32, float)
    BATCH_EMBED(DT_F64, double)
}

/* ---- contractions ---- */

/* Two or more outputs: an fma chain over the features from the start.  One: 16 partials, tree, then the start. */
#define MATMUL(dt, T, FMA)                                                                                             \
    static T matmul_##T(const T *row, const T *x, int64_t features, int64_t places, const T *start, bool single) {     \
        T p[PARTIALS] = {0}, acc = start && !single ? *start : 0;                                                      \
        if (!single) {                                                                                                 \
            for (int64_t k = 0; k < features; k++) acc = FMA(row[k], x[k * places], acc);                              \
            return acc;                                                                                                \
        }                                                                                                              \
        for (int64_t k = 0; k < features; k++) p[k % PARTIALS] = FMA(row[k], x[k * places], p[k % PARTIALS]);          \
        for (int half = PARTIALS / 2; half; half /= 2)                                                                 \
            for (int i = 0; i < half; i++) p[i] = p[i] + p[i + half];                                                  \
        return start ? p[0] + *start : p[0];                                                                           \
    }                                                                                                                  \
    static void matmul_all_##T(Work *w, int64_t features, int64_t places, int64_t outputs) {                           \
        for (int64_t e = 0; e < w->rows; e++) {                                                                        \
            const T *weight = value_row(w->in[0], e), *x = value_row(w->in[1], e);                                     \
            const T *start = w->node->nin == 3 ? value_row(w->in[2], e) : NULL;                                        \
            for (int64_t i = 0; i < w->out->size; i++) {                                                               \
                int64_t o = i / places, place = i % places;                                                            \
                ((T *)value_row(w->out, e))[i] = matmul_##T(weight + o * features, x + place, features, places,        \
                                                            start ? start + o : NULL, outputs == 1);                   \
            }                                                                                                          \
        }                                                                                                              \
    }

MATMUL(DT_F32, float, fmaf)
MATMUL(DT_F64, double, fma)

void eval_MATMUL(Work *w) {
    int64_t features = w->shape[1]->dim[0], places = w->in[1]->size / features;
    int64_t outputs = w->in[0]->size / features;
    if (w->out->dtype == DT_F32) matmul_all_float(w, features, places, outputs);
    else matmul_all_double(w, features, places, outputs);
}

#define OUTER(dt, T)                                                                                                   \
    if (w->out->dtype == dt)                                                                                           \
        for (int64_t e = 0; e < w->rows; e++) {                                                                        \
            const T *a = value_row(w->in[0], e), *b = value_row(w->in[1], e);                                          \
            for (int64_t i = 0; i < w->out->size; i++) ((T *)value_row(w->out, e))[i] = a[i / n] * b[i % n];           \
        }

void eval_OUTER(Work *w) {
    int64_t n = w->node->shape.dim[1];
    OUTER(DT_F32, float)
    OUTER(DT_F64, double)
}
