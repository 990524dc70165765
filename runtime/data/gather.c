/* gather.c -- rows of a column as f32 or f64, normalised on the way; see dataset.h.
 *
 * Bytes take at most 256 values a feature, so their results are looked up in a table made by the same arithmetic. */
#include "data/dataset.h"

#define GATHER(T, name)                                                                                              \
    static inline T name##_raw(const DataColumn *column, int64_t index) {                                            \
        switch (column->type) {                                                                                      \
        case DATA_U8: case DATA_BOOL: return (T)((const uint8_t *)column->bytes)[index] / (T)column->divisor;        \
        case DATA_I32: return (T)((const int32_t *)column->bytes)[index] / (T)column->divisor;                       \
        case DATA_I64: return (T)((const int64_t *)column->bytes)[index] / (T)column->divisor;                       \
        case DATA_F32: return (T)((const float *)column->bytes)[index] / (T)column->divisor;                         \
        case DATA_F64: return (T)((const double *)column->bytes)[index] / (T)column->divisor;                        \
        }                                                                                                            \
        return 0;                                                                                                    \
    }                                                                                                                \
    static inline T name##_map(const Affine *affine, int feature, T x) {                                             \
        return affine ? (x - (T)affine->mean[feature]) / (T)affine->sd[feature] : x;                                 \
    }                                                                                                                \
    /* One feature of all rows: `places` neighbours at `at` of every `width`. */                                     \
    static void name##_feature(const DataColumn *column, const Affine *affine, int feature, int64_t at,              \
                               int64_t places, const uint32_t *rows, int64_t first, int64_t count, T *out) {         \
        int64_t width = shape_size(&column->shape);                                                                  \
        bool bytes = column->type == DATA_U8 && count * places >= 256;                                               \
        T table[256];                                                                                                \
        for (int b = 0; bytes && b < 256; b++) table[b] = name##_map(affine, feature, (T)b / (T)column->divisor);    \
        for (int64_t i = 0; i < count; i++) {                                                                        \
            int64_t from = (rows ? (int64_t)rows[i] : first + i) * width + at;                                       \
            T *to = out + i * width + at;                                                                            \
            const uint8_t *raw = (const uint8_t *)column->bytes + from;                                              \
            if (bytes)                                                                                               \
                for (int64_t p = 0; p < places; p++) to[p] = table[raw[p]];                                          \
            else                                                                                                     \
                for (int64_t p = 0; p < places; p++)                                                                 \
                    to[p] = name##_map(affine, feature, name##_raw(column, from + p));                               \
        }                                                                                                            \
    }                                                                                                                \
    void name(const DataColumn *column, const Affine *affine, const uint32_t *rows, int64_t first, int64_t count,    \
              T *out) {                                                                                              \
        int64_t width = shape_size(&column->shape);                                                                  \
        int features = affine && affine->features > 1 ? affine->features : 1;                                        \
        int64_t places = width / features;                                                                           \
        for (int f = 0; f < features; f++)                                                                           \
            name##_feature(column, affine, f, f * places, places, rows, first, count, out);                          \
    }

GATHER(float, column_gather_f32)
GATHER(double, column_gather_f64)

int column_class(const DataColumn *column, int64_t row) { return ((const int32_t *)column->bytes)[row]; }
