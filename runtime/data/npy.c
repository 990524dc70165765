/* npy.c -- NumPy's array files, versions 1 to 3: \x93NUMPY major minor, header length (u16 or u32 LE), a Python dict
 * {'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }, then the elements.  An .npz is a zip archive of
 * such files, one an array. */
#include "data/archive.h"
#include "data/input.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "elements are taken as they lie");

typedef struct NpyType { const char *descr; DataType type; } NpyType;
static const NpyType npy_types[] = {
    {"<f4", DATA_F32}, {"<f8", DATA_F64}, {"|u1", DATA_U8}, {"|b1", DATA_BOOL}, {"<i4", DATA_I32}, {"<i8", DATA_I64},
};

typedef struct Header {                                /* of the dict; `at` moves over it */
    Input *input; const char *start, *at, *end; uint64_t offset;
    char descr[16]; bool fortran; int rank; int64_t dim[MAX_RANK + 1];
    bool has_descr, has_order, has_shape;
    char **error;
} Header;

static bool npy_fail(const Header *header, const char *what) {
    uint64_t at = header->offset + (uint64_t)(header->at - header->start);
    return input_fail(header->input, header->error, at, "%s", what);
}

static bool skip(Header *header, char expected) {
    while (header->at < header->end && (*header->at == ' ' || *header->at == '\n')) header->at++;
    if (header->at == header->end || *header->at != expected) return false;
    header->at++;
    return true;
}

static bool quoted(Header *header, char *out, size_t room) {
    char quote = skip(header, '\'') ? '\'' : skip(header, '"') ? '"' : 0;
    size_t n = 0;
    if (!quote) return npy_fail(header, "a quoted text is expected in the header");
    while (header->at < header->end && *header->at != quote) {
        if (n + 1 == room) return npy_fail(header, "a text in the header is too long");
        out[n++] = *header->at++;
    }
    out[n] = 0;
    return skip(header, quote) || npy_fail(header, "a text in the header is not closed");
}

static bool number(Header *header, int64_t *out) {
    int digits = 0;
    skip(header, 0);                                   /* blanks only: 0 never stands in a header */
    for (*out = 0; header->at < header->end && *header->at >= '0' && *header->at <= '9'; header->at++, digits++) {
        if (*out > INT64_MAX / 16) return npy_fail(header, "a size in the shape is absurd");
        *out = *out * 10 + (*header->at - '0');
    }
    return digits || npy_fail(header, "a size is expected in the shape");
}

static bool shape(Header *header) {
    if (!skip(header, '(')) return npy_fail(header, "the shape should be a tuple");
    while (!skip(header, ')')) {
        if (header->rank == MAX_RANK + 1) return npy_fail(header, "the array has too many axes");
        if (!number(header, &header->dim[header->rank++])) return false;
        skip(header, 'L');
        if (skip(header, ',')) continue;
        return skip(header, ')') || npy_fail(header, "the shape is not closed");
    }
    return true;
}

static bool word(Header *header, const char *text) {
    size_t n = strlen(text);
    skip(header, 0);
    if ((size_t)(header->end - header->at) < n || memcmp(header->at, text, n) != 0) return false;
    header->at += n;
    return true;
}

static bool field(Header *header) {
    char key[24];
    if (!quoted(header, key, sizeof key)) return false;
    if (!skip(header, ':')) return npy_fail(header, "':' is expected in the header");
    if (strcmp(key, "descr") == 0) {
        header->has_descr = true;
        skip(header, 0);
        if (header->at < header->end && *header->at == '[') return npy_fail(header, "structured arrays are not read");
        return quoted(header, header->descr, sizeof header->descr);
    }
    if (strcmp(key, "fortran_order") == 0) {
        header->has_order = true;
        header->fortran = word(header, "True");
        return header->fortran || word(header, "False") || npy_fail(header, "fortran_order is neither True nor False");
    }
    if (strcmp(key, "shape") != 0) return npy_fail(header, "unknown key in the header");
    if (header->has_shape) return npy_fail(header, "the shape is given twice");
    header->has_shape = true;
    return shape(header);
}

static bool dictionary(Header *header) {
    if (!skip(header, '{')) return npy_fail(header, "the header is no dictionary");
    while (!skip(header, '}')) {
        if (!field(header)) return false;
        if (skip(header, ',')) continue;
        if (skip(header, '}')) break;
        return npy_fail(header, "',' or '}' is expected in the header");
    }
    if (!header->has_descr || !header->has_order || !header->has_shape)
        return npy_fail(header, "the header lacks descr, fortran_order or shape");
    if (header->fortran) return npy_fail(header, "the array is in Fortran order; only C order is read");
    return true;
}

static const NpyType *npy_type(const Header *header) {
    for (int i = 0; i < COUNT(npy_types); i++)
        if (strcmp(header->descr, npy_types[i].descr) == 0 ||
            (data_size(npy_types[i].type) == 1 && strcmp(header->descr + 1, npy_types[i].descr + 1) == 0 &&
             header->descr[0]))
            return &npy_types[i];
    char shown[sizeof header->descr];
    for (size_t i = 0; i < sizeof shown; i++)
        shown[i] = header->descr[i] == 0 || (header->descr[i] >= ' ' && header->descr[i] <= '~') ? header->descr[i]
                                                                                                 : '?';
    input_fail(header->input, header->error, header->offset,
               "elements of type '%s' are not read (f4, f8, u1, i4, i8, b1 are, little-endian)", shown);
    return NULL;
}

static bool npy_header(Input *input, Header *header, char **error) {
    const uint8_t *magic, *size, *text;
    if (!input_take(input, 8, "the magic number", &magic, error)) return false;
    if (memcmp(magic, "\x93NUMPY", 6) != 0) return input_fail(input, error, 0, "not an .npy file");
    if (magic[6] < 1 || magic[6] > 3)
        return input_fail(input, error, 6, "version %d of the format is not known", magic[6]);
    uint64_t bytes = magic[6] == 1 ? 2 : 4;
    if (!input_take(input, bytes, "the header's length", &size, error)) return false;
    uint64_t length = size[0] | (uint64_t)size[1] << 8;
    if (bytes == 4) length |= (uint64_t)size[2] << 16 | (uint64_t)size[3] << 24;
    if (length > 1 << 20)
        return input_fail(input, error, 8, "a header of %llu bytes is absurd", (unsigned long long)length);
    *header = (Header){.input = input, .error = error, .offset = input->offset};
    if (!input_take(input, length, "the header", &text, error)) return false;
    header->start = header->at = (const char *)text, header->end = header->at + length;
    return dictionary(header);
}

static bool npy_body(Input *input, DataArray *out, char **error) {
    Header header;
    if (!npy_header(input, &header, error)) return false;
    const NpyType *type = npy_type(&header);
    if (!type) return false;
    uint64_t bytes = data_size(type->type);
    *out = (DataArray){.type = type->type, .rows = header.rank ? header.dim[0] : 1};
    for (int i = 0; i < header.rank; i++) {
        if (header.dim[i] == 0) return input_fail(input, error, header.offset, "axis %d has size 0", i + 1);
        if (i) out->shape.dim[out->shape.rank++] = header.dim[i];
        if (__builtin_mul_overflow(bytes, (uint64_t)header.dim[i], &bytes) || bytes > UINT64_C(1) << 48)
            return input_fail(input, error, header.offset, "the shape is absurd");
    }
    const uint8_t *data;
    if (!input_take(input, bytes, "the data that the header declares", &data, error)) return false;
    out->bytes = arena_alloc(input->arena, bytes);     /* aligned, which the file's bytes need not be */
    memcpy(out->bytes, data, bytes);
    return input_end(input, error);
}

bool read_npy(Arena *arena, const char *path, const ReadLimits *limits, DataArray *out, char **error) {
    Input input;
    if (!input_open(&input, arena, path, limits, error)) return false;
    bool ok = npy_body(&input, out, error);
    input_close(&input);
    return ok;
}

bool read_npy_bytes(Arena *arena, const char *name, const void *bytes, size_t length, const ReadLimits *limits,
                    DataArray *out, char **error) {
    Input input;
    if (!input_open_bytes(&input, arena, name, bytes, length, limits, error)) return false;
    bool ok = npy_body(&input, out, error);
    input_close(&input);
    return ok;
}

/* ---- .npz ---- */
static int npz_index(const char *member, const char *const *names, int count) {
    size_t n = strlen(member);
    if (n < 4 || strcmp(member + n - 4, ".npy") != 0) return -1;
    for (int i = 0; i < count; i++)
        if (strlen(names[i]) == n - 4 && memcmp(names[i], member, n - 4) == 0) return i;
    return -1;
}

static bool npz_member(ArchiveReader *reader, Arena *arena, const ReadLimits *limits, DataArray *out, char **error) {
    const uint8_t *bytes;
    size_t length;
    char *failure = NULL, *name = arena_printf(arena, "%s: %s", reader->path, reader->member);
    if (!archive_rest(reader, &bytes, &length, &failure)) {
        *error = arena_copy(arena, failure, strlen(failure));
        return false;
    }
    return read_npy_bytes(arena, name, bytes, length, limits, out, error);
}

bool read_npz(Arena *arena, const char *path, const ReadLimits *limits, const char *const *names, int count,
              DataArray *out, bool *found, char **error) {
    Arena *scratch = arena_new();
    ArchiveReader reader;
    char *failure = NULL;
    int more = -1;
    bool ok = true;
    memset(found, 0, sizeof *found * (size_t)count);
    if (archive_open(&reader, scratch, path, limits, &failure)) {
        while (ok && (more = archive_next(&reader, &failure)) == 1) {
            int i = npz_index(reader.member, names, count);
            if (i < 0) continue;
            found[i] = ok = npz_member(&reader, arena, limits, &out[i], error);
        }
        archive_close(&reader);
    }
    if (ok && more < 0) *error = arena_copy(arena, failure, strlen(failure));
    arena_free(scratch);
    return ok && more == 0;
}
