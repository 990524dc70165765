/* idx.c -- the IDX format of the MNIST files: 0 0 type rank, rank big-endian u32 sizes, big-endian elements. */
#include "data/data.h"
#include "data/input.h"

typedef struct IdxType { uint8_t code, size; DataType type; } IdxType;
static const IdxType idx_types[] = {
    {0x08, 1, DATA_U8}, {0x09, 1, DATA_I32}, {0x0b, 2, DATA_I32}, {0x0c, 4, DATA_I32}, {0x0d, 4, DATA_F32},
    {0x0e, 8, DATA_F64},
};

static uint64_t big_endian(const uint8_t *at, int size) {
    uint64_t x = 0;
    for (int i = 0; i < size; i++) x = x << 8 | at[i];
    return x;
}

static const IdxType *idx_magic(Input *input, int *rank, char **error) {
    const uint8_t *magic;
    if (!input_take(input, 4, "the magic number", &magic, error)) return NULL;
    for (int i = 0; i < COUNT(idx_types); i++) {
        if (magic[0] || magic[1] || magic[2] != idx_types[i].code) continue;
        *rank = magic[3];
        if (*rank >= 1 && *rank <= MAX_RANK) return &idx_types[i];
        input_fail(input, error, 3, "%d axes; 1 to %d are possible", *rank, MAX_RANK);
        return NULL;
    }
    input_fail(input, error, 0, "not an IDX file: it begins with %02x %02x %02x %02x, not 00 00 08 0N", magic[0],
               magic[1], magic[2], magic[3]);
    return NULL;
}

/* Number of elements; 0 with an error if it is none or absurd. */
static uint64_t idx_sizes(Input *input, int rank, DataArray *out, char **error) {
    const uint8_t *sizes;
    uint64_t count = 1;
    if (!input_take(input, 4 * (uint64_t)rank, "the sizes of the axes", &sizes, error)) return 0;
    for (int i = 0; i < rank; i++) {
        uint64_t n = big_endian(sizes + 4 * i, 4);
        if (n == 0) return input_fail(input, error, 4 + 4 * (uint64_t)i, "axis %d has size 0", i + 1);
        if (i == 0) out->rows = (int64_t)n;
        else out->shape.dim[out->shape.rank++] = (int64_t)n;
        if (__builtin_mul_overflow(count, n, &count) || count > UINT64_C(1) << 48)
            return input_fail(input, error, 4, "the sizes of the axes are absurd");
    }
    return count;
}

/* Elements of one byte stay as they lie; others are turned to native order. */
static void idx_convert(const IdxType *type, const uint8_t *from, uint64_t count, void *to) {
    for (uint64_t i = 0; i < count; i++, from += type->size) {
        uint64_t bits = big_endian(from, type->size);
        if (type->type == DATA_F64) ((uint64_t *)to)[i] = bits;
        else if (type->size == 4) ((uint32_t *)to)[i] = (uint32_t)bits;
        else ((int32_t *)to)[i] = type->size == 1 ? (int8_t)bits : (int16_t)bits;
    }
}

static bool idx_body(Input *input, DataArray *out, char **error) {
    int rank = 0;
    const IdxType *type = idx_magic(input, &rank, error);
    *out = (DataArray){0};
    uint64_t count = type ? idx_sizes(input, rank, out, error) : 0;
    const uint8_t *bytes;
    if (!count || !input_take(input, count * type->size, "the data that the header declares", &bytes, error))
        return false;
    if (!input_end(input, error)) return false;
    out->type = type->type;
    out->bytes = (void *)(uintptr_t)bytes;
    if (type->type == DATA_U8) return true;
    out->bytes = arena_alloc(input->arena, count * data_size(type->type));
    idx_convert(type, bytes, count, out->bytes);
    return true;
}

bool read_idx(Arena *arena, const char *path, const ReadLimits *limits, DataArray *out, char **error) {
    Input input;
    if (!input_open(&input, arena, path, limits, error)) return false;
    bool ok = idx_body(&input, out, error);
    input_close(&input);
    return ok;
}
