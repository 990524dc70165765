/* file.c -- see file.h. */
#define _GNU_SOURCE
#include "support/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support/sha256.h"

enum { PENDING = 1 << 16, HASHED = 1 << 16 };          /* bytes a FileWriter gathers before it writes; read at once */

/* strerror_r of glibc may return a text of its own; with _GNU_SOURCE it is this variant. */
char *file_error(Arena *arena, const char *path, const char *what, int number) {
    char text[128];
    if (number == ENOSPC || number == EDQUOT)
        return arena_printf(arena, "%s: cannot %s: the disk is full", path, what);
    return arena_printf(arena, "%s: cannot %s: %s", path, what, strerror_r(number, text, sizeof text));
}

static bool fail(Arena *arena, const char *path, const char *what, int number, char **error) {
    *error = file_error(arena, path, what, number);
    return false;
}

/* ---- reading ---- */
static bool regular(Arena *arena, const char *path, const struct stat *st, char **error) {
    if (S_ISREG(st->st_mode)) return true;
    *error = arena_printf(arena, "%s: is %s, not a file", path, S_ISDIR(st->st_mode) ? "a folder" : "a device or pipe");
    return false;
}

static bool read_open(Arena *arena, const char *path, int fd, size_t limit, char **bytes, size_t *length,
                      char **error) {
    struct stat st;
    if (fstat(fd, &st) != 0) return fail(arena, path, "read", errno, error);
    if (!regular(arena, path, &st, error)) return false;
    size_t size = (size_t)st.st_size, got = 0;
    if (size > limit) {
        *error = arena_printf(arena, "%s: has %zu bytes; the limit is %zu", path, size, limit);
        return false;
    }
    char *at = arena_alloc(arena, size + 1);
    while (got < size) {
        ssize_t n = read(fd, at + got, size - got);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return fail(arena, path, "read", errno, error);
        if (n == 0) break;
        got += (size_t)n;
    }
    *bytes = at, *length = got;
    return true;
}

bool file_read(Arena *arena, const char *path, size_t limit, char **bytes, size_t *length, char **error) {
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) return fail(arena, path, "open", errno, error);
    bool ok = read_open(arena, path, fd, limit ? limit : (size_t)1 << 40, bytes, length, error);
    close(fd);
    return ok;
}

bool file_sha256(Arena *arena, const char *path, char hex[65], char **error) {
    uint8_t block[HASHED];
    uint64_t size;
    Sha256 sha;
    ssize_t n;
    if (!file_size(arena, path, &size, error)) return false;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) return fail(arena, path, "open", errno, error);
    sha256_start(&sha);
    while ((n = read(fd, block, sizeof block)) != 0) {
        if (n > 0) sha256_add(&sha, block, (size_t)n);
        else if (errno != EINTR) break;
    }
    int number = errno;
    close(fd);
    sha256_end_hex(&sha, hex);
    return n == 0 || fail(arena, path, "read", number, error);
}

bool file_size(Arena *arena, const char *path, uint64_t *size, char **error) {
    struct stat st;
    if (stat(path, &st) != 0) return fail(arena, path, "open", errno, error);
    *size = (uint64_t)st.st_size;
    return regular(arena, path, &st, error);
}

bool file_exists(const char *path) {
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

bool folder_exists(const char *path) {
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* ---- folders ---- */
char *folder_missing(Arena *arena, const char *path) {
    if (folder_exists(path)) return NULL;
    return arena_printf(arena, "%s: %s", path,
                        file_exists(path) ? "a file; a folder is wanted" : "there is no such folder");
}

char *path_join(Arena *arena, const char *folder, const char *name) {
    size_t n = strlen(folder);
    while (n > 1 && folder[n - 1] == '/') n--;
    if (n == 0) return arena_copy(arena, name, strlen(name));
    return arena_printf(arena, "%.*s%s%s", (int)n, folder, n == 1 && folder[0] == '/' ? "" : "/", name);
}

bool folder_make(Arena *arena, const char *path, char **error) {
    char *part = arena_copy(arena, path, strlen(path));
    for (char *at = part + (*part == '/');; at++) {
        if (*at != '/' && *at != 0) continue;
        char kept = *at;
        *at = 0;
        if (*part && mkdir(part, 0777) != 0) {
            int number = errno;
            if (!folder_exists(part)) {
                if (number == EEXIST) number = ENOTDIR;
                return fail(arena, part, "make this folder", number, error);
            }
        }
        if (!kept) return true;
        *at = kept;
    }
}

/* ---- writing ---- */
static bool write_all(int fd, const char *at, size_t length, int *number) {
    while (length) {
        ssize_t n = write(fd, at, length);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) {
            *number = n < 0 ? errno : ENOSPC;
            return false;
        }
        at += n, length -= (size_t)n;
    }
    return true;
}

/* So that the rename itself survives a crash.  Some file systems cannot sync a folder: that is no error. */
static void sync_folder_of(Arena *arena, const char *path) {
    const char *slash = strrchr(path, '/');
    const char *folder = !slash ? "." : slash == path ? "/" : arena_copy(arena, path, (size_t)(slash - path));
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return;
    fsync(fd);
    close(fd);
}

bool writer_open(FileWriter *writer, Arena *arena, const char *path, FileSync sync, char **error) {
    *writer = (FileWriter){.arena = arena, .path = arena_copy(arena, path, strlen(path)), .sync = sync, .fd = -1};
    for (int n = 0; n < 1000; n++) {
        writer->temporary = arena_printf(arena, "%s.tmp-%ld-%d", path, (long)getpid(), n);
        writer->fd = open(writer->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (writer->fd >= 0) return true;
        if (errno != EEXIST) break;
    }
    return fail(arena, path, "write", errno, error);
}

static void writer_flush(FileWriter *writer, const void *bytes, size_t length) {
    int number;
    if (!writer->error && !write_all(writer->fd, bytes, length, &number))
        writer->error = file_error(writer->arena, writer->path, "write", number);
}

void writer_put(FileWriter *writer, const void *bytes, size_t length) {
    if (writer->pending.len + length > PENDING) {
        writer_flush(writer, writer->pending.at, writer->pending.len);
        writer->pending.len = 0;
    }
    if (length > PENDING) writer_flush(writer, bytes, length);
    else buf_put(&writer->pending, bytes, length);
}

void writer_cancel(FileWriter *writer) {
    buf_free(&writer->pending);
    if (writer->fd < 0) return;
    close(writer->fd);
    writer->fd = -1;
    unlink(writer->temporary);
}

bool writer_close(FileWriter *writer, char **error) {
    writer_flush(writer, writer->pending.at, writer->pending.len);
    buf_free(&writer->pending);
    if (!writer->error && writer->sync == FILE_SYNC && fsync(writer->fd) != 0)
        writer->error = file_error(writer->arena, writer->path, "write", errno);
    if (close(writer->fd) != 0 && !writer->error)
        writer->error = file_error(writer->arena, writer->path, "write", errno);
    writer->fd = -1;
    if (!writer->error && rename(writer->temporary, writer->path) != 0)
        writer->error = file_error(writer->arena, writer->path, "write", errno);
    if (writer->error) {
        unlink(writer->temporary);
        *error = writer->error;
        return false;
    }
    if (writer->sync == FILE_SYNC) sync_folder_of(writer->arena, writer->path);
    return true;
}

bool file_write(Arena *arena, const char *path, const void *bytes, size_t length, FileSync sync, char **error) {
    FileWriter writer;
    if (!writer_open(&writer, arena, path, sync, error)) return false;
    writer_put(&writer, bytes, length);
    return writer_close(&writer, error);
}

bool file_append(Arena *arena, const char *path, const void *bytes, size_t length, FileSync sync, char **error) {
    int number = 0, fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (fd < 0) return fail(arena, path, "write", errno, error);
    bool ok = write_all(fd, bytes, length, &number);
    if (ok && sync == FILE_SYNC && fsync(fd) != 0) ok = false, number = errno;
    if (close(fd) != 0 && ok) ok = false, number = errno;
    return ok || fail(arena, path, "write", number, error);
}
