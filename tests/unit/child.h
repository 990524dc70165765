/* child.h -- for tests that run build/nin: a folder of their own, files in it, children and what they print. */
#ifndef CHILD_H
#define CHILD_H

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "support/file.h"
#include "support/sha256.h"
#include "tests/nintest/process.c"

enum { CHILD_TIME = 300, CHILD_ARGUMENTS = 24 };

typedef struct Child { Arena *arena; const char *nin, *folder; } Child;

static inline int child_open(void **state)
{
    Arena *arena = arena_new();
    Child *c = arena_new_of(arena, Child);
    const char *plugin = NIN_PLUGIN;
    c->arena = arena;
    c->nin = arena_printf(arena, "%.*s/nin", (int)(strrchr(plugin, '/') - plugin), plugin);
    char *folder = arena_printf(arena, "%.*s/cli-XXXXXX", (int)(strrchr(plugin, '/') - plugin), plugin);
    c->folder = mkdtemp(folder);
    assert_non_null(c->folder);
    *state = c;
    return 0;
}

static inline int child_close(void **state)
{
    Child *c = *state;
    folder_clear(c->folder);
    arena_free(c->arena);
    return 0;
}

static inline const char *child_path(Child *c, const char *name) { return path_join(c->arena, c->folder, name); }

/* A file in the test's folder; its path. */
static inline const char *child_bytes(Child *c, const char *name, const void *bytes, size_t length)
{
    char *error = NULL;
    const char *path = child_path(c, name);
    if (!file_write(c->arena, path, bytes, length, FILE_NO_SYNC, &error))
        fail_msg("%s", error);
    return path;
}

static inline const char *child_text(Child *c, const char *name, const char *text)
{
    return child_bytes(c, name, text, strlen(text));
}

/* SHA-256 of all records and weights under a part of a folder, by name; links are followed. */
static inline char *child_hashes(Child *c, const char *folder, const char *part)
{
    const char *argv[] = {"/bin/sh", "-c", arena_printf(c->arena,
                          "cd '%s' && find -L %s -type f \\( -name records.jsonl -o -name '*.safetensors' \\) "
                          "| LC_ALL=C sort | xargs sha256sum", folder, part), NULL};
    Outcome o = process_run(c->arena, argv, CHILD_TIME);
    assert_int_equal(o.status, 0);
    return o.out;
}

/* nin with arguments, the last of which is NULL. */
static inline Outcome child_run(Child *c, ...)
{
    const char *argv[CHILD_ARGUMENTS] = {c->nin};
    va_list args;
    int n = 1;
    va_start(args, c);
    while (n < CHILD_ARGUMENTS - 1 && (argv[n] = va_arg(args, const char *)))
        n++;
    va_end(args);
    Outcome o = process_run(c->arena, argv, CHILD_TIME);
    if (o.timed_out)
        fail_msg("time is up: %s", process_shown(c->arena, argv));
    return o;
}

static inline void expect_status(const Outcome *o, int status)
{
    if (o->status != status)
        fail_msg("exit %d, not %d\n%s%s", o->status, status, o->out, o->err);
}

static inline void expect_text(const char *in, const char *text)
{
    if (!strstr(in, text))
        fail_msg("\"%s\" is missing in:\n%s", text, in);
}

#endif
