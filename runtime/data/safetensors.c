/* safetensors.c -- see safetensors.h. */
#define _GNU_SOURCE
#include "data/safetensors.h"

#include <jansson.h>
#include <stdlib.h>

#include "data/input.h"

enum { HEADER_LIMIT = 100 << 20 };                     /* the format's own bound */
static const char *const dtype_names[] = {[DT_BOOL] = "BOOL", [DT_I32] = "I32", [DT_F32] = "F32", [DT_F64] = "F64"};

/* ---- writing ---- */
static uint64_t tensor_bytes(const NamedTensor *tensor) {
    return (uint64_t)shape_size(&tensor->shape) * dtype_size(tensor->dtype);
}

static json_t *tensor_entry(const NamedTensor *tensor, uint64_t begin) {
    json_t *shape = json_array();
    for (int i = 0; i < tensor->shape.rank; i++) json_array_append_new(shape, json_integer(tensor->shape.dim[i]));
    return json_pack("{s:s, s:o, s:[I, I]}", "dtype", dtype_names[tensor->dtype], "shape", shape, "data_offsets",
                     (json_int_t)begin, (json_int_t)(begin + tensor_bytes(tensor)));
}

static char *header_text(const NamedTensor *tensors, int count, const MetaText *meta, int meta_count) {
    json_t *header = json_object(), *notes = json_object();
    uint64_t at = 0;
    bool ok = true;
    for (int i = 0; i < meta_count; i++) ok &= json_object_set_new(notes, meta[i].key, json_string(meta[i].value)) == 0;
    if (meta_count) json_object_set(header, "__metadata__", notes);
    for (int i = 0; i < count && ok; i++) {
        ok = !json_object_get(header, tensors[i].name) &&
             json_object_set_new(header, tensors[i].name, tensor_entry(&tensors[i], at)) == 0;
        at += tensor_bytes(&tensors[i]);
    }
    char *text = ok ? json_dumps(header, JSON_COMPACT) : NULL;     /* in order of insertion */
    json_decref(notes);
    json_decref(header);
    return text;
}

bool safetensors_write(Arena *arena, const char *path, const NamedTensor *tensors, int count, const MetaText *meta,
                       int meta_count, FileSync sync, char **error) {
    char *text = header_text(tensors, count, meta, meta_count);
    if (!text) {
        *error = arena_printf(arena, "%s: cannot write: a name is given twice or is not UTF-8", path);
        return false;
    }
    FileWriter writer;
    bool ok = writer_open(&writer, arena, path, sync, error);
    if (ok) {
        uint64_t length = strlen(text), padded = (length + 7) / 8 * 8;
        uint8_t le[8];
        for (int i = 0; i < 8; i++) le[i] = (uint8_t)(padded >> (8 * i));
        writer_put(&writer, le, 8);
        writer_put(&writer, text, length);
        writer_put(&writer, "       ", padded - length);
        for (int i = 0; i < count; i++) writer_put(&writer, tensors[i].data, tensor_bytes(&tensors[i]));
        ok = writer_close(&writer, error);
    }
    free(text);
    return ok;
}

/* ---- reading ---- */
typedef struct Entry { NamedTensor tensor; uint64_t begin, end; } Entry;
typedef struct Reading { Input *input; const char *header; uint64_t length, data; char **error; Arena *arena; } Reading;

/* Where a name stands in the header; its beginning if it is written with escapes. */
static uint64_t place_of(const Reading *r, const char *name) {
    const char *quoted = arena_printf(r->arena, "\"%s\"", name);
    const char *at = memmem(r->header, r->length, quoted, strlen(quoted));
    return at ? 8 + (uint64_t)(at - r->header) : 8;
}

static bool refuse(Reading *r, const char *name, const char *what) {
    return input_fail(r->input, r->error, place_of(r, name), "tensor \"%.100s\": %s", name, what);
}

static bool size_of(json_t *value, uint64_t *out) {
    if (!json_is_integer(value) || json_integer_value(value) < 0) return false;
    *out = (uint64_t)json_integer_value(value);
    return true;
}

static bool entry_shape(Reading *r, Entry *entry, json_t *dims) {
    uint64_t bytes = dtype_size(entry->tensor.dtype), most = bytes, n;
    if (!json_is_array(dims)) return refuse(r, entry->tensor.name, "has no shape");
    if (json_array_size(dims) > MAX_RANK) return refuse(r, entry->tensor.name, "has too many axes");
    for (size_t i = 0; i < json_array_size(dims); i++) {
        if (!size_of(json_array_get(dims, i), &n)) return refuse(r, entry->tensor.name, "has a size that is no number");
        if (__builtin_mul_overflow(most, n ? n : 1, &most) || most > INT64_MAX)
            return refuse(r, entry->tensor.name, "is absurdly large");
        bytes *= n;
        entry->tensor.shape.dim[entry->tensor.shape.rank++] = (int64_t)n;
    }
    if (entry->end - entry->begin != bytes) return refuse(r, entry->tensor.name, "its shape and its offsets disagree");
    return true;
}

static bool read_entry(Reading *r, const char *name, json_t *value, Entry *entry) {
    json_t *offsets = json_object_get(value, "data_offsets"), *dtype = json_object_get(value, "dtype");
    const char *type = json_string_value(dtype);
    *entry = (Entry){.tensor = {.name = arena_copy(r->arena, name, strlen(name))}};
    int at = 0;
    while (at < COUNT(dtype_names) && type && strcmp(type, dtype_names[at]) != 0) at++;
    if (!type || at == COUNT(dtype_names)) return refuse(r, name, "its dtype is not BOOL, I32, F32 or F64");
    entry->tensor.dtype = (DType)at;
    if (json_array_size(offsets) != 2 || !size_of(json_array_get(offsets, 0), &entry->begin) ||
        !size_of(json_array_get(offsets, 1), &entry->end) || entry->begin > entry->end)
        return refuse(r, name, "has no valid data_offsets");
    if (entry->end > r->data) return refuse(r, name, "lies beyond the end of the file");
    return entry_shape(r, entry, json_object_get(value, "shape"));
}

static int by_offset(const void *a, const void *b) {
    const Entry *x = a, *y = b;
    if (x->begin != y->begin) return x->begin < y->begin ? -1 : 1;
    if (x->end != y->end) return x->end < y->end ? -1 : 1;
    return strcmp(x->tensor.name, y->tensor.name);
}

static bool read_meta(Reading *r, json_t *value, TensorFile *out) {
    const char *key;
    json_t *text;
    out->meta = arena_array(r->arena, MetaText, json_object_size(value) + 1);
    json_object_foreach(value, key, text) {
        if (!json_is_string(text)) return refuse(r, "__metadata__", "holds something that is no text");
        out->meta[out->meta_count++] = (MetaText){
            arena_copy(r->arena, key, strlen(key)),
            arena_copy(r->arena, json_string_value(text), json_string_length(text))};
    }
    return true;
}

static bool read_header(Reading *r, json_t *header, TensorFile *out) {
    const char *name;
    json_t *value;
    Entry *entries = arena_array(r->arena, Entry, json_object_size(header) + 1);
    json_object_foreach(header, name, value) {
        bool meta = strcmp(name, "__metadata__") == 0;
        if (meta ? !read_meta(r, value, out) : !read_entry(r, name, value, &entries[out->count])) return false;
        out->count += !meta;
    }
    qsort(entries, (size_t)out->count, sizeof *entries, by_offset);
    out->tensors = arena_array(r->arena, NamedTensor, out->count + 1);
    uint64_t at = 0;
    for (int i = 0; i < out->count; i++) {
        Entry *e = &entries[i];
        if (e->begin != at) return refuse(r, e->tensor.name, "leaves a gap or overlaps another");
        const uint8_t *bytes;
        if (!input_take(r->input, e->end - e->begin, "a tensor", &bytes, r->error)) return false;
        char *data = arena_alloc(r->arena, e->end - e->begin + 1);        /* aligned */
        memcpy(data, bytes, e->end - e->begin);
        e->tensor.data = data;
        out->tensors[i] = e->tensor;
        at = e->end;
    }
    return input_end(r->input, r->error);
}

static bool read_file(Input *input, TensorFile *out, char **error) {
    const uint8_t *at;
    uint64_t length = 0;
    json_error_t why;
    *out = (TensorFile){0};
    if (!input_take(input, 8, "the header's length", &at, error)) return false;
    for (int i = 0; i < 8; i++) length |= (uint64_t)at[i] << (8 * i);
    if (length > HEADER_LIMIT || !input_may_hold(input, length))
        return input_fail(input, error, 0, "not a .safetensors file: a header of %llu bytes is declared",
                          (unsigned long long)length);
    if (!input_take(input, length, "the header", &at, error)) return false;
    json_t *header = json_loadb((const char *)at, length, JSON_REJECT_DUPLICATES, &why);
    uint64_t position = !header && why.position > 0 ? (uint64_t)why.position : 0;
    if (!header) return input_fail(input, error, 8 + position, "bad JSON: %s", why.text);
    Reading reading = {.input = input, .header = (const char *)at, .length = length, .data = input->length - 8 - length,
                       .error = error, .arena = input->arena};
    bool ok = json_is_object(header) ? read_header(&reading, header, out)
                                     : input_fail(input, error, 8, "the header is no JSON object");
    json_decref(header);
    return ok;
}

/* Not input_open: a header's length may begin with the gzip magic. */
bool safetensors_read(Arena *arena, const char *path, const ReadLimits *limits, TensorFile *out, char **error) {
    char *bytes;
    size_t length;
    if (!file_read(arena, path, limits ? limits->stored : 0, &bytes, &length, error)) return false;
    Input input = {.arena = arena, .path = path, .stored = (uint8_t *)bytes, .length = length, .limit = UINT64_MAX};
    return read_file(&input, out, error);
}

const NamedTensor *safetensors_find(const TensorFile *file, const char *name) {
    for (int i = 0; i < file->count; i++)
        if (strcmp(file->tensors[i].name, name) == 0) return &file->tensors[i];
    return NULL;
}
