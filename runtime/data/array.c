/* array.c -- what the readers of data.h share. */
#include "data/data.h"

#include <math.h>

size_t data_size(DataType type) {
    static const size_t sizes[] = {
        [DATA_U8] = 1, [DATA_BOOL] = 1, [DATA_I32] = 4, [DATA_I64] = 8, [DATA_F32] = 4, [DATA_F64] = 8};
    return sizes[type];
}

double data_at(const DataArray *array, int64_t index) {
    switch (array->type) {
    case DATA_U8: case DATA_BOOL: return ((const uint8_t *)array->bytes)[index];
    case DATA_I32: return ((const int32_t *)array->bytes)[index];
    case DATA_I64: return (double)((const int64_t *)array->bytes)[index];
    case DATA_F32: return ((const float *)array->bytes)[index];
    case DATA_F64: return ((const double *)array->bytes)[index];
    }
    return 0;
}

bool data_finite(Arena *arena, const char *path, const DataArray *array, char **error) {
    int64_t width = shape_size(&array->shape), count = array->rows * width;
    if (array->type != DATA_F32 && array->type != DATA_F64) return true;
    for (int64_t i = 0; i < count; i++) {
        double x = data_at(array, i);
        if (isfinite(x)) continue;
        *error = arena_printf(arena, "%s: row %lld, column %lld is %s", path, (long long)(i / width + 1),
                              (long long)(i % width + 1), isnan(x) ? "not a number (NaN)" : "infinite");
        return false;
    }
    return true;
}
