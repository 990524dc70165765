/* transcript.c -- recorded sessions of the prompt, tests/repl/(*).repl, played again over a pipe.
 *
 * Lines that begin with "> " are inputs, those with ". " go on with them; all others are what is answered, exactly, but
 * for times: a number with a unit (2.3 ms) stands for any.  Lines that begin with "#:" are for the reader.  The exit
 * code must be 1 if an answer begins with "error", else 0. */
#include "tests/nintest/nintest.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "support/file.h"

/* "in 2.3 ms" -> "in TIME". */
static void put_masked(Buf *out, const char *line, size_t n)
{
    static const char *const units[] = {" ns", " us", " ms", " s"};
    for (size_t i = 0; i < n;) {
        size_t k = 0;
        while (isdigit((unsigned char)line[i]) && i + k < n &&
               (isdigit((unsigned char)line[i + k]) || strchr(".e+-", line[i + k])))
            k++;
        for (int u = 0; k && u < COUNT(units); u++) {
            size_t m = strlen(units[u]);
            if (i + k + m > n || strncmp(line + i + k, units[u], m) != 0 || isalnum((unsigned char)line[i + k + m]))
                continue;
            buf_text(out, "TIME");
            i += k + m;
            k = 0;
            break;
        }
        if (i < n)
            buf_put(out, line + i, k ? k : 1);
        i += k ? k : 1;
    }
}

typedef struct Transcript { Buf inputs, expected; bool fails; } Transcript;

static void transcript_read(const char *text, Transcript *out)
{
    for (const char *line = text; *line;) {
        size_t n = strcspn(line, "\n");
        bool input = (*line == '>' || *line == '.') && (line[1] == ' ' || n == 1);
        if (input) {
            buf_put(&out->inputs, line + 1 + (n > 1), n - 1 - (n > 1));
            buf_text(&out->inputs, "\n");
        } else if (strncmp(line, "#:", 2) != 0) {
            out->fails |= strncmp(line, "error", 5) == 0;
            put_masked(&out->expected, line, n);
            buf_text(&out->expected, "\n");
        }
        line += n + (line[n] == '\n');
    }
    buf_put(&out->expected, "", 1);
}

/* The first line that differs. */
static void explain(Report *report, const char *path, const char *expected, const char *actual)
{
    int line = 1;
    while (*expected && *actual) {
        size_t n = strcspn(expected, "\n"), m = strcspn(actual, "\n");
        if (n != m || strncmp(expected, actual, n) != 0)
            break;
        expected += n + (expected[n] == '\n');
        actual += m + (actual[m] == '\n');
        line++;
    }
    report_fail(report, "%s: answer %d\n  expected: %.*s\n  actual:   %.*s", path, line, (int)strcspn(expected, "\n"),
                expected, (int)strcspn(actual, "\n"), actual);
}

void check_transcript(Arena *arena, const Options *options, const char *path, Report *report)
{
    static const char script[] = "cd \"$1\" && COLUMNS=80 exec \"$0\" repl < input 2>&1";
    Transcript t = {0};
    Buf actual = {0};
    size_t length;
    char *text, *error, *build = realpath(options->build, NULL);
    char *folder = arena_printf(arena, "%s/repl-XXXXXX", build ? build : ".");
    const char *nin = arena_printf(arena, "%s/nin", build ? build : ".");
    free(build);
    if (!file_read(arena, path, 0, &text, &length, &error) || !mkdtemp(folder)) {
        report_fail(report, "%s: %s", path, error);
        return;
    }
    transcript_read(text, &t);
    if (!file_write(arena, path_join(arena, folder, "input"), t.inputs.at ? t.inputs.at : "", t.inputs.len,
                    FILE_NO_SYNC, &error)) {
        report_fail(report, "%s: %s", path, error);
        return;
    }
    const char *argv[] = {"/bin/sh", "-c", script, nin, folder, NULL};
    Outcome o = process_run(arena, argv, 120);
    put_masked(&actual, o.out, strlen(o.out));
    buf_put(&actual, "", 1);
    if (strcmp(actual.at, t.expected.at) != 0)
        explain(report, path, t.expected.at, actual.at);
    else if (o.status != t.fails)
        report_fail(report, "%s: exit %d, not %d%s", path, o.status, t.fails, o.timed_out ? " (time is up)" : "");
    else
        report_pass(report);
    buf_free(&actual);
    buf_free(&t.inputs);
    buf_free(&t.expected);
    folder_clear(folder);
}
