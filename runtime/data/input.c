/* input.c -- see input.h. */
#include "data/input.h"

#include <stdlib.h>
#include <zlib.h>

#include "support/file.h"

enum { GZIP_WINDOW = 15 + 16, GZIP_RATIO = 1032, FIRST_PIECE = 1 << 16 };
static const uint64_t DEFAULT_LIMIT = UINT64_C(4) << 30;

bool input_fail(const Input *input, char **error, uint64_t at, const char *format, ...) {
    va_list args;
    va_start(args, format);
    char *text = arena_vprintf(input->arena, format, args);
    va_end(args);
    *error = arena_printf(input->arena, "%s: byte %llu%s: %s", input->path, (unsigned long long)at,
                          input->stream ? " of the decompressed data" : "", text);
    return false;
}

static bool is_gzip(const Input *input) {
    return input->length >= 3 && memcmp(input->stored, "\x1f\x8b\x08", 3) == 0;
}

static bool start_stream(Input *input, char **error) {
    if (!is_gzip(input)) return true;
    input->stream = arena_new_of(input->arena, z_stream);
    input->stream->next_in = (Bytef *)(uintptr_t)input->stored;
    if (inflateInit2(input->stream, GZIP_WINDOW) == Z_OK) return true;
    input->stream = NULL;
    *error = arena_printf(input->arena, "%s: no memory to decompress it", input->path);
    return false;
}

static void start(Input *input, Arena *arena, const char *path, const ReadLimits *limits) {
    *input = (Input){.arena = arena, .path = path, .limit = limits && limits->array ? limits->array : DEFAULT_LIMIT};
}

bool input_open_bytes(Input *input, Arena *arena, const char *name, const void *bytes, size_t length,
                      const ReadLimits *limits, char **error) {
    start(input, arena, name, limits);
    input->stored = bytes, input->length = length;
    return start_stream(input, error);
}

/* Bytes of a plain file are handed out as they lie, so they belong to the caller's arena; compressed ones do not. */
bool input_open(Input *input, Arena *arena, const char *path, const ReadLimits *limits, char **error) {
    char *bytes, *failure = NULL;
    size_t stored = limits && limits->stored ? limits->stored : DEFAULT_LIMIT, n = strlen(path);
    start(input, arena, arena_copy(arena, path, n), limits);
    if (n > 3 && strcmp(path + n - 3, ".gz") == 0) input->scratch = arena_new();
    if (!file_read(input->scratch ? input->scratch : arena, path, stored, &bytes, &input->length, &failure)) {
        *error = arena_copy(arena, failure, strlen(failure));
        input_close(input);
        return false;
    }
    input->stored = (const uint8_t *)bytes;
    if (input->scratch && !is_gzip(input)) {
        input_fail(input, error, 0, "named .gz, but not a gzip file");
        input_close(input);
        return false;
    }
    return start_stream(input, error);
}

void input_close(Input *input) {
    if (input->stream) inflateEnd(input->stream);
    if (input->scratch) arena_free(input->scratch);
    input->stream = NULL, input->scratch = NULL;
}

bool input_may_hold(const Input *input, uint64_t n) {
    uint64_t left = input->length - (input->stream ? 0 : input->offset);
    return input->stream ? n / GZIP_RATIO <= left : n <= left;
}

/* ---- decompression ---- */
/* The stream wants bytes that are further on in memory than avail_in (32 bits) may say. */
static void feed(Input *input) {
    z_stream *z = input->stream;
    size_t left = (size_t)(input->stored + input->length - z->next_in);
    z->avail_in = left > 1u << 30 ? 1u << 30 : (uInt)left;
}

static bool bad_stream(Input *input, int code, char **error) {
    const char *reason = input->stream->msg ? input->stream->msg : "bad data";
    if (code == Z_MEM_ERROR) reason = "out of memory";
    return input_fail(input, error, input->offset, "the gzip data is damaged: %s", reason);
}

/* Up to n bytes; *got < n only at the end of the last member. */
static bool inflate_some(Input *input, uint8_t *out, size_t n, size_t *got, char **error) {
    z_stream *z = input->stream;
    *got = 0;
    while (*got < n && !input->ended) {
        size_t want = n - *got;
        feed(input);
        uInt had = z->avail_in;
        z->next_out = out + *got, z->avail_out = want > 1u << 30 ? 1u << 30 : (uInt)want;
        uInt room = z->avail_out;
        int code = inflate(z, Z_NO_FLUSH);
        *got += room - z->avail_out, input->offset += room - z->avail_out;
        if (code == Z_STREAM_END) {
            input->ended = z->next_in == input->stored + input->length;
            if (!input->ended && inflateReset(z) != Z_OK) return bad_stream(input, Z_DATA_ERROR, error);
            continue;
        }
        if (code != Z_OK && code != Z_BUF_ERROR) return bad_stream(input, code, error);
        if (room == z->avail_out && had == z->avail_in)
            return input_fail(input, error, input->offset, "the gzip data ends too early: the file is cut off");
    }
    return true;
}

/* ---- taking ---- */
static bool ends_early(const Input *input, uint64_t at, uint64_t n, uint64_t got, const char *what, char **error) {
    return input_fail(input, error, at + got, "the file ends here; %s needs %llu more byte%s", what,
                      (unsigned long long)(n - got), n - got == 1 ? "" : "s");
}

bool input_take(Input *input, uint64_t n, const char *what, const uint8_t **out, char **error) {
    uint64_t at = input->offset;
    if (n > input->limit || at > input->limit - n)
        return input_fail(input, error, at, "%s of %llu bytes is above the limit of %llu", what, (unsigned long long)n,
                          (unsigned long long)input->limit);
    if (!input->stream) {
        uint64_t left = input->length - at;
        if (n > left) return ends_early(input, at, n, left, what, error);
        *out = input->stored + at;
        input->offset += n;
        return true;
    }
    if (!input_may_hold(input, n))
        return input_fail(input, error, at, "%s needs %llu bytes, which a file of %zu bytes cannot hold", what,
                          (unsigned long long)n, input->length);
    size_t got;
    uint8_t *bytes = arena_alloc(input->arena, n ? n : 1);
    *out = bytes;
    if (!inflate_some(input, bytes, n, &got, error)) return false;
    return got == n || ends_early(input, at, n, got, what, error);
}

static bool rest_of_stream(Input *input, const uint8_t **out, size_t *length, char **error) {
    size_t cap = FIRST_PIECE, len = 0, got;
    uint8_t *bytes = malloc(cap);
    bool ok = bytes != NULL;
    if (!ok) *error = arena_printf(input->arena, "%s: out of memory", input->path);
    while (ok && !input->ended) {
        if (len == cap) {
            uint8_t *larger = realloc(bytes, cap *= 2);
            if (!larger) {
                *error = arena_printf(input->arena, "%s: out of memory", input->path);
                ok = false;
                break;
            }
            bytes = larger;
        }
        ok = inflate_some(input, bytes + len, cap - len, &got, error);
        len += got;
        if (ok && input->offset > input->limit)
            ok = input_fail(input, error, input->offset, "decompressed, it is larger than the limit of %llu bytes",
                            (unsigned long long)input->limit);
    }
    if (ok) *out = (const uint8_t *)arena_copy(input->arena, (char *)bytes, len), *length = len;
    free(bytes);
    return ok;
}

bool input_rest(Input *input, const uint8_t **out, size_t *length, char **error) {
    if (input->stream) return rest_of_stream(input, out, length, error);
    *out = input->stored + input->offset;
    *length = input->length - input->offset;
    input->offset = input->length;
    return true;
}

bool input_end(Input *input, char **error) {
    size_t got = 0;
    uint8_t extra;
    uint64_t at = input->offset;
    if (input->stream && !inflate_some(input, &extra, 1, &got, error)) return false;
    if (input->stream ? got == 0 : at == input->length) return true;
    return input_fail(input, error, at, "the data should end here, but the file goes on");
}
