/* nintest.h -- the test runner: what its files share.
 *
 * A job is one .nin file or one unit test binary.  Each job runs in a worker process of its own, which runs its
 * children one after another, each with a time limit, and hands back one Report as text: a line of counts, then what
 * failed.  Directives are documented in tests/README.md; an unknown one is a failure. */
#ifndef NINTEST_H
#define NINTEST_H

#include "base/diag.h"

/* ---- process.c: one child, its output and how it ended ---- */
/* status: exit code, 128 + signal */
typedef struct Outcome { int status; bool timed_out; char *out, *err; double seconds; } Outcome;
Outcome process_run(Arena *arena, const char *const *argv, int timeout);
/* As a shell would show it. */
char *process_shown(Arena *arena, const char *const *argv);
void folder_clear(const char *path);                    /* removes what is in it and the folder */

/* ---- directives.c ---- */
typedef enum DirectiveKind {
    DIRECTIVE_DIAGNOSTIC, DIRECTIVE_RUN, DIRECTIVE_RUN_NEAR, DIRECTIVE_GRADCHECK, DIRECTIVE_COUNT, DIRECTIVE_EXIT,
    DIRECTIVE_OUTPUT, DIRECTIVE_ARGS, DIRECTIVE_WRITES, DIRECTIVE_SAME, DIRECTIVE_REQUIRES, DIRECTIVE_LONG,
    DIRECTIVE_TIMEOUT
} DirectiveKind;
typedef struct Directive {
    DirectiveKind kind; int line;                       /* of the directive itself */
    const char *severity, *code, *message, *at;         /* DIAGNOSTIC; message and at may be NULL */
    int target;                                         /* DIAGNOSTIC: the line it must be on */
    const char *expression, *value; double within;      /* RUN, RUN_NEAR, GRADCHECK (expression) */
    const char *stage, *net, *text; int number;         /* COUNT, EXIT, TIMEOUT; text: OUTPUT, WRITES, ARGS, REQUIRES */
    bool met;
} Directive;
typedef struct TestFile {
    const char *path, *text; size_t length;
    const char **line; int lines;                       /* starts of lines; line[lines] = end */
    VEC(Directive) directives;
    bool has_tests, has_experiments;
} TestFile;
/* False with one line in `error`. */
bool test_file_read(Arena *arena, const char *path, TestFile *out, Buf *error);

/* ---- check.c: what is done with one .nin file ---- */
typedef struct Report { int passed, failed, skipped; Buf text; } Report;
typedef struct Options {
    const char *build, *tests;                          /* $(BUILD), the tests' folder */
    bool long_too, list, times; int jobs;
    const char *const *filters; int filters_len;        /* only jobs whose name contains one of these */
} Options;
void check_file(Arena *arena, const Options *options, const char *path, Report *report);
/* A program of tests/data/targets: no error but data that is missing. */
void check_target(Arena *arena, const Options *options, const char *path, Report *report);
/* transcript.c: a recorded session of the prompt. */
void check_transcript(Arena *arena, const Options *options, const char *path, Report *report);
void check_unit(Arena *arena, const char *path, Report *report);
void report_pass(Report *report);
void report_fail(Report *report, const char *format, ...) NIN_PRINTF(2, 3);
void report_skip(Report *report, const char *format, ...) NIN_PRINTF(2, 3);

/* ---- compare.c ---- */
/* Equal but for numbers, which may differ by `within` (nan equals nan). */
bool text_near(const char *expected, const char *actual, double within);
/* Occurrences of text as a whole word (where it begins or ends with a letter, digit or underscore). */
int count_words(const char *in, const char *word);

#endif
