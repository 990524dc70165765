/* desk.h -- a folder for each test, with files and archives put into it. */
#ifndef NIN_DESK_H
#define NIN_DESK_H

#include <archive.h>
#include <archive_entry.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "support/file.h"

typedef struct Desk { Arena *arena; char *folder; } Desk;

static int desk_setup(void **state) {
    Desk *desk = malloc(sizeof *desk);
    char template[] = P_tmpdir "/nin-test-XXXXXX";
    desk->arena = arena_new();
    if (!mkdtemp(template)) return -1;
    desk->folder = arena_copy(desk->arena, template, strlen(template));
    *state = desk;
    return 0;
}

static int desk_teardown(void **state) {
    Desk *desk = *state;
    int rc = system(arena_printf(desk->arena, "rm -rf %s", desk->folder));
    arena_free(desk->arena);
    free(desk);
    return rc;
}

/* The path of a file, whose folders are made. */
static inline char *desk_path(Desk *desk, const char *name) {
    char *path = path_join(desk->arena, desk->folder, name), *error = NULL;
    char *slash = strrchr(path, '/');
    assert_true(folder_make(desk->arena, arena_copy(desk->arena, path, (size_t)(slash - path)), &error));
    return path;
}

static inline char *desk_put(Desk *desk, const char *name, const void *bytes, size_t length) {
    char *path = desk_path(desk, name), *error = NULL;
    assert_true(file_write(desk->arena, path, bytes, length, FILE_NO_SYNC, &error));
    return path;
}

/* What a command prints. */
static inline char *desk_run(Desk *desk, const char *command) {
    char text[4096];
    FILE *pipe = popen(command, "r");
    assert_non_null(pipe);
    size_t n = fread(text, 1, sizeof text - 1, pipe);
    pclose(pipe);
    return arena_copy(desk->arena, text, n);
}

typedef struct Member { const char *name; const void *bytes; size_t length; } Member;

static inline bool name_ends(const char *name, const char *suffix) {
    size_t n = strlen(name), m = strlen(suffix);
    return n >= m && strcmp(name + n - m, suffix) == 0;
}

/* An archive as its name says: .npz, or a tar that may end in .gz or .xz; members lie in a folder. */
static inline char *desk_archive(Desk *desk, const char *name, const Member *members, int count) {
    char *path = desk_path(desk, name);
    bool zip = name_ends(name, ".npz");
    struct archive *out = archive_write_new();
    if (zip) archive_write_set_format_zip(out);
    else archive_write_set_format_ustar(out);
    if (name_ends(name, ".gz")) archive_write_add_filter_gzip(out);
    if (name_ends(name, ".xz")) archive_write_add_filter_xz(out);
    assert_int_equal(archive_write_open_filename(out, path), ARCHIVE_OK);
    for (int i = 0; i < count; i++) {
        struct archive_entry *entry = archive_entry_new();
        archive_entry_set_pathname(entry,
                                   zip ? members[i].name : arena_printf(desk->arena, "folder/%s", members[i].name));
        archive_entry_set_size(entry, (la_int64_t)members[i].length);
        archive_entry_set_filetype(entry, AE_IFREG);
        archive_entry_set_perm(entry, 0644);
        assert_int_equal(archive_write_header(out, entry), ARCHIVE_OK);
        assert_int_equal(archive_write_data(out, members[i].bytes, members[i].length), members[i].length);
        archive_entry_free(entry);
    }
    assert_int_equal(archive_write_free(out), ARCHIVE_OK);
    return path;
}

#endif
