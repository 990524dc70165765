/* archive.c -- see archive.h. */
#include "data/archive.h"

#include <archive.h>
#include <archive_entry.h>
#include <stdlib.h>

#include "support/file.h"

enum { BLOCK = 1 << 16, FIRST_PIECE = 1 << 16, MOST_MEMBERS = 1 << 20 };
static const uint64_t DEFAULT_LIMIT = UINT64_C(4) << 30;

bool archive_fail(const ArchiveReader *reader, char **error, uint64_t at, const char *format, ...) {
    va_list args;
    va_start(args, format);
    char *text = arena_vprintf(reader->arena, format, args);
    va_end(args);
    *error = arena_printf(reader->arena, "%s: %s: byte %llu: %s", reader->path, reader->member,
                          (unsigned long long)at, text);
    return false;
}

/* What libarchive says, and how far it had read. */
static bool damaged(ArchiveReader *reader, char **error) {
    const char *text = archive_error_string(reader->handle);
    la_int64_t at = archive_filter_bytes(reader->handle, -1);
    if (!text) text = "bad data";
    *error = arena_printf(reader->arena, "%s: byte %lld of the file: the archive is damaged: %.*s", reader->path,
                          at > 0 ? (long long)at : 0LL, (int)strcspn(text, "\n"), text);
    return false;
}

bool archive_open(ArchiveReader *reader, Arena *arena, const char *path, const ReadLimits *limits, char **error) {
    uint64_t size, stored = limits && limits->stored ? limits->stored : DEFAULT_LIMIT;
    *reader = (ArchiveReader){.arena = arena, .path = arena_copy(arena, path, strlen(path)), .member = ""};
    reader->left = limits && limits->array ? limits->array : DEFAULT_LIMIT;
    if (!file_size(arena, path, &size, error)) return false;
    if (size > stored) {
        *error = arena_printf(arena, "%s: has %llu bytes; the limit is %llu", path, (unsigned long long)size,
                              (unsigned long long)stored);
        return false;
    }
    struct archive *handle = reader->handle = archive_read_new();
    if (!handle) {
        *error = arena_printf(arena, "%s: out of memory", path);
        return false;
    }
    archive_read_support_filter_gzip(handle);
    archive_read_support_filter_xz(handle);
    archive_read_support_format_tar(handle);
    archive_read_support_format_zip(handle);
    if (archive_read_open_filename(handle, path, BLOCK) == ARCHIVE_OK) return true;
    damaged(reader, error);
    archive_close(reader);
    return false;
}

void archive_close(ArchiveReader *reader) {
    if (reader->handle) archive_read_free(reader->handle);
    reader->handle = NULL;
}

static const char *base_name(ArchiveReader *reader, struct archive_entry *entry) {
    const char *name = archive_entry_pathname(entry), *slash = name ? strrchr(name, '/') : NULL;
    if (slash) name = slash + 1;
    return name ? arena_copy(reader->arena, name, strnlen(name, 200)) : "";
}

int archive_next(ArchiveReader *reader, char **error) {
    for (int i = 0; i < MOST_MEMBERS; i++) {
        struct archive_entry *entry;
        int code = archive_read_next_header(reader->handle, &entry);
        if (code == ARCHIVE_EOF) return 0;
        if (code != ARCHIVE_OK && code != ARCHIVE_WARN) {
            damaged(reader, error);
            return -1;
        }
        if (archive_entry_filetype(entry) != AE_IFREG || archive_entry_hardlink(entry)) continue;
        reader->member = base_name(reader, entry);
        reader->offset = 0;
        return 1;
    }
    *error = arena_printf(reader->arena, "%s: has more members than any data set", reader->path);
    return -1;
}

static bool charge(ArchiveReader *reader, size_t got, char **error) {
    if (got > reader->left)
        return archive_fail(reader, error, reader->offset, "decompressed, the files are larger than the limit allows");
    reader->left -= got, reader->offset += got;
    return true;
}

bool archive_rest(ArchiveReader *reader, const uint8_t **out, size_t *length, char **error) {
    size_t cap = FIRST_PIECE, len = 0;
    uint8_t *bytes = malloc(cap);
    bool ok = bytes != NULL;
    while (ok) {
        if (len == cap) {
            uint8_t *larger = realloc(bytes, cap *= 2);
            if (!larger) break;
            bytes = larger;
        }
        la_ssize_t got = archive_read_data(reader->handle, bytes + len, cap - len);
        if (got == 0) break;
        ok = got > 0 ? charge(reader, (size_t)got, error) : damaged(reader, error);
        if (ok) len += (size_t)got;
    }
    if (ok && len == cap) ok = archive_fail(reader, error, reader->offset, "out of memory");
    else if (!bytes) archive_fail(reader, error, 0, "out of memory");
    if (ok) *out = (const uint8_t *)arena_copy(reader->arena, (char *)bytes, len), *length = len;
    free(bytes);
    return ok;
}

bool archive_pieces(ArchiveReader *reader, void (*piece)(void *data, const void *bytes, size_t length), void *data,
                    char **error) {
    uint8_t block[BLOCK];
    for (;;) {
        la_ssize_t got = archive_read_data(reader->handle, block, sizeof block);
        if (got == 0) return true;
        if (got < 0) return damaged(reader, error);
        if (!charge(reader, (size_t)got, error)) return false;
        piece(data, block, (size_t)got);
    }
}

bool archive_named(const char *path) {
    static const char *const endings[] = {".tar", ".tar.gz", ".tgz", ".tar.xz", ".txz"};
    size_t n = strlen(path);
    for (int i = 0; i < COUNT(endings); i++) {
        size_t m = strlen(endings[i]);
        if (n > m && strcmp(path + n - m, endings[i]) == 0) return true;
    }
    return false;
}
