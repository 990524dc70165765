/* check.c -- what is done with one .nin file.
 *
 *   nin check      its diagnostics are exactly the expected ones: code, line, text of the span, part of the message
 *   nin eval       `run` and `gradcheck`: on four back ends, the same text each time
 *   nin test       its `test` blocks, on four back ends
 *   nin dump       `count`
 *   nin run        `exit`, `output`, `writes`, `runtime`; `same`: records are equal to the byte on four back ends */
#define _GNU_SOURCE
#include "tests/nintest/nintest.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* Small data in the place of data that the project does not have. */
#define STANDINS "tests/data/standins"

typedef struct Check {
    Arena *arena; const Options *options; TestFile *file; Report *report;
    const char *nin, *folder;                           /* a folder of its own for what it writes */
    int timeout;
} Check;

typedef struct Found { const char *severity, *code, *message, *at; int line; bool expected; } Found;
typedef VEC(Found) FoundList;

enum { BACKENDS = 4, ARGV = 48, EXCERPT = 1500 };
static const char *const backends[BACKENDS][2] = {
    {"--backend=interpret", "--opt=2"},
    {"--backend=jit", "--opt=0"},
    {"--backend=jit", "--opt=2"},
    {"--backend=c", "--opt=2"},
};

void report_pass(Report *report) { report->passed++; }

void report_fail(Report *report, const char *format, ...)
{
    va_list args;
    char line[8192];
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    report->failed++;
    buf_printf(&report->text, "FAIL %s\n", line);
}

void report_skip(Report *report, const char *format, ...)
{
    va_list args;
    char line[1024];
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    report->skipped++;
    buf_printf(&report->text, "SKIP %s\n", line);
}

static const char *excerpt(Arena *arena, const char *text)
{
    size_t n = strlen(text);
    return n <= EXCERPT ? text : arena_printf(arena, "%.*s\n[... %zu bytes more]", EXCERPT, text, n - EXCERPT);
}

static void fail_outcome(Check *c, const char *const *argv, const Outcome *o, const char *why)
{
    report_fail(c->report, "%s: %s\n  $ %s\n  exit %d%s, after %.1f s\n%s%s", c->file->path, why,
                process_shown(c->arena, argv), o->status, o->timed_out ? " (time is up)" : "", o->seconds,
                excerpt(c->arena, o->out), excerpt(c->arena, o->err));
}

/* ---- diagnostics ---- */

/* The byte of a line at a column counted in code points from 1. */
static const char *place_at(const TestFile *file, int line, int column)
{
    if (line < 1 || line > file->lines)
        return file->line[file->lines];
    const char *at = file->line[line - 1], *end = file->line[line];
    for (int i = 1; i < column && at < end; i++)
        for (at++; at < end && (*at & 0xC0) == 0x80; at++)
            ;
    return at;
}

static int json_int(const json_t *of, const char *name) { return (int)json_integer_value(json_object_get(of, name)); }

/* The text a span covers, of its first line only. */
static const char *span_text(Check *c, const json_t *span)
{
    const json_t *last = json_object_get(span, "end");
    int line = json_int(span, "line"), end_line = json_int(last, "line");
    const char *lo = place_at(c->file, line, json_int(span, "column"));
    const char *hi = place_at(c->file, end_line, json_int(last, "column")),
               *newline = memchr(lo, '\n', (size_t)(hi - lo));
    return arena_copy(c->arena, lo, (size_t)((newline ? newline : hi) - lo));
}

static bool found_read(Check *c, const char *text, FoundList *out)
{
    json_error_t error;
    json_t *root = json_loads(text, 0, &error);
    if (!json_is_array(root))
        return false;
    for (size_t i = 0; i < json_array_size(root); i++) {
        const json_t *d = json_array_get(root, i), *span = json_object_get(d, "span");
        if (!json_object_get(d, "code"))
            continue;
        const char *path = json_string_value(json_object_get(span, "file"));
        bool here = path && strcmp(path, c->file->path) == 0;
        Found found = {.severity = json_string_value(json_object_get(d, "severity")),
                       .code = json_string_value(json_object_get(d, "code")),
                       .message = json_string_value(json_object_get(d, "message")),
                       .at = here ? span_text(c, span) : "", .line = here ? json_int(span, "line") : 0};
        vec_push(c->arena, out, found);
    }
    return true;
}

static bool found_fits(const Found *found, const Directive *d)
{
    bool severity = strcmp(d->severity, "runtime") == 0 || strcmp(found->severity, d->severity) == 0;
    return strcmp(found->code, d->code) == 0 && severity &&
           (found->line == d->target || found->line == 0) && (!d->message || strstr(found->message, d->message)) &&
           (!d->at || strcmp(found->at, d->at) == 0);
}

/* Pairs what was found with what was expected, of run time or not; says what is left over. */
static bool found_compare(Check *c, FoundList *found, bool runtime)
{
    Buf text = {0};
    for (int i = 0; i < c->file->directives.len; i++) {
        Directive *d = &c->file->directives.at[i];
        if (d->kind != DIRECTIVE_DIAGNOSTIC || (strcmp(d->severity, "runtime") == 0) != runtime)
            continue;
        for (int k = 0; k < found->len && !d->met; k++)
            if (!found->at[k].expected && found_fits(&found->at[k], d))
                d->met = found->at[k].expected = true;
        if (!d->met)
            buf_printf(&text, "  - line %d: %s %s \"%s\"%s%s%s\n", d->target, d->severity, d->code,
                       d->message ? d->message : "", d->at ? " at \"" : "", d->at ? d->at : "", d->at ? "\"" : "");
    }
    for (int k = 0; k < found->len; k++)
        if (!found->at[k].expected)
            buf_printf(&text, "  + line %d: %s %s \"%s\" at \"%s\"\n", found->at[k].line, found->at[k].severity,
                       found->at[k].code, found->at[k].message, found->at[k].at);
    bool equal = text.len == 0;
    if (equal)
        report_pass(c->report);
    else
        report_fail(c->report, "%s: %s differ (- expected, + given)\n%s", c->file->path,
                    runtime ? "diagnostics of the run" : "diagnostics", buf_done(&text, c->arena));
    return equal;
}

static bool expects_errors(const TestFile *file)
{
    for (int i = 0; i < file->directives.len; i++)
        if (file->directives.at[i].kind == DIRECTIVE_DIAGNOSTIC &&
            strcmp(file->directives.at[i].severity, "error") == 0)
            return true;
    return false;
}

static bool check_diagnostics(Check *c)
{
    const char *argv[] = {c->nin, "check", "--json", "--data", STANDINS, c->file->path, NULL};
    Outcome o = process_run(c->arena, argv, c->timeout);
    FoundList found = {0};
    bool errors = expects_errors(c->file);
    if (!found_read(c, o.out, &found) || o.timed_out || o.status > 3) {
        fail_outcome(c, argv, &o, "no list of diagnostics");
        return false;
    }
    if (!found_compare(c, &found, false))
        return false;
    if (errors ? o.status != 1 && o.status != 3 : o.status != 0) {
        fail_outcome(c, argv, &o, "wrong exit code");
        return false;
    }
    return !errors;
}

/* ---- values on four back ends ---- */

static int run_directive(const Directive *d)
{
    return d->kind == DIRECTIVE_RUN || d->kind == DIRECTIVE_RUN_NEAR || d->kind == DIRECTIVE_GRADCHECK;
}

static const char **argv_of(Check *c, const char *command, int backend, int *n)
{
    const char **argv = arena_array(c->arena, const char *, ARGV);
    argv[0] = c->nin;
    argv[1] = command;
    *n = 2;
    if (backend >= 0) {
        argv[(*n)++] = backends[backend][0];
        argv[(*n)++] = backends[backend][1];
        argv[(*n)++] = "--out";                                  /* one way's runs are not another's */
        argv[(*n)++] = arena_printf(c->arena, "%s/way-%d", c->folder, backend);
    }
    argv[(*n)++] = c->file->path;
    return argv;
}

static const char *expression_of(Check *c, const Directive *d)
{
    if (d->kind != DIRECTIVE_GRADCHECK)
        return d->expression;
    return arena_printf(c->arena, "gradients_agree(%s, points: 200, seed: 1, within: 1e-6)", d->expression);
}

static void check_value(Check *c, const Directive *d, const char *actual, const char *backend)
{
    const char *expected = d->kind == DIRECTIVE_GRADCHECK ? "true" : d->value;
    bool equal = d->kind == DIRECTIVE_RUN_NEAR ? text_near(expected, actual, d->within) : strcmp(expected, actual) == 0;
    if (equal)
        report_pass(c->report);
    else
        report_fail(c->report, "%s:%d: %s (%s)\n  - %s\n  + %s", c->file->path, d->line, expression_of(c, d), backend,
                    expected, actual);
}

/* One child per back end evaluates all expressions; each prints one line. */
static void check_values(Check *c)
{
    const char *first = NULL;
    for (int b = 0; b < BACKENDS; b++) {
        int n;
        const char **argv = argv_of(c, "eval", b, &n);
        int before = n;
        for (int i = 0; i < c->file->directives.len; i++)
            if (run_directive(&c->file->directives.at[i]) && n < ARGV - 1)
                argv[n++] = expression_of(c, &c->file->directives.at[i]);
        if (n == before)
            return;
        Outcome o = process_run(c->arena, argv, c->timeout);
        if (o.status != 0) {
            fail_outcome(c, argv, &o, "the expressions have no values");
            continue;
        }
        if (first && strcmp(first, o.out) != 0)
            report_fail(c->report, "%s: %s %s differs from %s %s\n- %s\n+ %s", c->file->path, backends[b][0],
                        backends[b][1], backends[0][0], backends[0][1], first, o.out);
        first = first ? first : o.out;
        char *at = arena_copy(c->arena, o.out, strlen(o.out));
        for (int i = 0; i < c->file->directives.len; i++) {
            if (!run_directive(&c->file->directives.at[i]))
                continue;
            char *line = strsep(&at, "\n");
            check_value(c, &c->file->directives.at[i], line ? line : "",
                        arena_printf(c->arena, "%s %s", backends[b][0], backends[b][1]));
        }
    }
}

static void check_tests(Check *c)
{
    for (int b = 0; b < BACKENDS && c->file->has_tests; b++) {
        int n;
        const char **argv = argv_of(c, "test", b, &n);
        Outcome o = process_run(c->arena, argv, c->timeout);
        if (o.status == 0)
            report_pass(c->report);
        else
            fail_outcome(c, argv, &o, "its tests fail");
    }
}

static void check_counts(Check *c)
{
    for (int i = 0; i < c->file->directives.len; i++) {
        const Directive *d = &c->file->directives.at[i];
        if (d->kind != DIRECTIVE_COUNT)
            continue;
        const char *argv[] = {c->nin, "dump", c->file->path, "--stage", d->stage, d->net ? "--net" : NULL,
                              d->net, NULL};
        Outcome o = process_run(c->arena, argv, c->timeout);
        int count = count_words(o.out, d->text);
        if (o.status != 0)
            fail_outcome(c, argv, &o, "cannot be dumped");
        else if (count != d->number)
            report_fail(c->report, "%s:%d: \"%s\" occurs %d times, not %d\n  $ %s\n%s", c->file->path, d->line, d->text,
                        count, d->number, process_shown(c->arena, argv), excerpt(c->arena, o.out));
        else
            report_pass(c->report);
    }
}

/* ---- whole programs ---- */

static const Directive *directive_find(const TestFile *file, DirectiveKind kind)
{
    for (int i = 0; i < file->directives.len; i++)
        if (file->directives.at[i].kind == kind)
            return &file->directives.at[i];
    return NULL;
}

static bool runs_program(const TestFile *file)
{
    for (int i = 0; i < file->directives.len; i++) {
        const Directive *d = &file->directives.at[i];
        if (d->kind == DIRECTIVE_DIAGNOSTIC ? strcmp(d->severity, "runtime") == 0
                                            : d->kind == DIRECTIVE_EXIT || d->kind == DIRECTIVE_OUTPUT ||
                                                  d->kind == DIRECTIVE_WRITES || d->kind == DIRECTIVE_SAME)
            return true;
    }
    return false;
}

static Outcome program_run(Check *c, int backend, const char *out, const char **argv, int n)
{
    const Directive *args = directive_find(c->file, DIRECTIVE_ARGS);
    if (backend >= 0) {
        argv[n++] = backends[backend][0];
        argv[n++] = backends[backend][1];
    }
    argv[n++] = "--json";
    argv[n++] = "--out";
    argv[n++] = out;
    char *rest = args ? arena_copy(c->arena, args->text, strlen(args->text)) : NULL;
    for (char *word; (word = strsep(&rest, " ")) && n < ARGV - 1;)
        if (*word)
            argv[n++] = word;
    return process_run(c->arena, argv, c->timeout);
}

/* stderr of a run with --json: the list of diagnostics begins at a line "[". */
static const char *json_part(const char *text)
{
    const char *at = strncmp(text, "[\n", 2) == 0 ? text : strstr(text, "\n[\n");
    return !at ? "[]" : *at == '\n' ? at + 1 : at;
}

static bool file_there(Check *c, const char *out, const char *name)
{
    struct stat info;
    return stat(arena_printf(c->arena, "%s/%s", out, name), &info) == 0;
}

static void check_program(Check *c)
{
    const Directive *status = directive_find(c->file, DIRECTIVE_EXIT);
    const char *out = arena_printf(c->arena, "%s/out", c->folder);
    int n;
    const char **argv = argv_of(c, "run", -1, &n);
    folder_clear(out);
    Outcome o = program_run(c, -1, out, argv, n);
    FoundList found = {0};
    bool runtime = false;
    for (int i = 0; i < c->file->directives.len; i++)
        runtime |= c->file->directives.at[i].kind == DIRECTIVE_DIAGNOSTIC &&
                   strcmp(c->file->directives.at[i].severity, "runtime") == 0;
    if (status ? o.status != status->number : runtime ? o.status > 3 : o.status != 0)
        fail_outcome(c, argv, &o, "wrong exit code");
    else if (runtime && found_read(c, json_part(o.err), &found))
        found_compare(c, &found, true);
    else
        report_pass(c->report);
    for (int i = 0; i < c->file->directives.len; i++) {
        const Directive *d = &c->file->directives.at[i];
        if (d->kind == DIRECTIVE_OUTPUT && !strstr(o.out, d->text) && !strstr(o.err, d->text))
            fail_outcome(c, argv, &o, arena_printf(c->arena, "line %d: the output lacks \"%s\"", d->line, d->text));
        if (d->kind == DIRECTIVE_WRITES && strcmp(d->text, "nothing") != 0 && !file_there(c, out, d->text))
            fail_outcome(c, argv, &o, arena_printf(c->arena, "line %d: there is no %s", d->line, d->text));
        if (d->kind == DIRECTIVE_WRITES && strcmp(d->text, "nothing") == 0 && file_there(c, out, ""))
            fail_outcome(c, argv, &o, arena_printf(c->arena, "line %d: something was written", d->line));
    }
}

/* All records of a program, one experiment after another, as they lie under its output folder. */
static char *records_of(Check *c, const char *out)
{
    const char *argv[] = {"/usr/bin/find", out, "-name", "records.jsonl", "-exec", "/bin/cat", "{}", ";", NULL};
    return process_run(c->arena, argv, c->timeout).out;
}

static void check_same(Check *c)
{
    const char *first = NULL;
    for (int b = 0; b < BACKENDS; b++) {
        const char *out = arena_printf(c->arena, "%s/same-%d", c->folder, b);
        int n;
        const char **argv = argv_of(c, "run", -1, &n);
        folder_clear(out);
        Outcome o = program_run(c, b, out, argv, n);
        const char *records = o.status == 0 ? records_of(c, out) : NULL;
        if (!records || !*records)
            fail_outcome(c, argv, &o, "no records");
        else if (first && strcmp(first, records) != 0)
            report_fail(c->report, "%s: records of %s %s differ from those of %s %s\n- %s\n+ %s", c->file->path,
                        backends[b][0], backends[b][1], backends[0][0], backends[0][1], excerpt(c->arena, first),
                        excerpt(c->arena, records));
        else
            report_pass(c->report);
        first = first ? first : records;
    }
}

static bool data_there(Arena *arena, const char *name)
{
    const char *folder = getenv("NIN_DATA");
    if (access(arena_printf(arena, "%s/%s", STANDINS, name), R_OK) == 0)
        return true;
    if (folder && access(arena_printf(arena, "%s/%s", folder, name), R_OK) == 0)
        return true;
    char *package = arena_printf(arena, "/usr/share/datasets/%s", name);    /* Debian's packages write hyphens */
    for (char *c = package; *c; c++) *c = *c == '_' ? '-' : *c;
    return access(package, R_OK) == 0;
}

static bool skipped(Check *c)
{
    const Directive *needs = directive_find(c->file, DIRECTIVE_REQUIRES),
                    *is_long = directive_find(c->file, DIRECTIVE_LONG);
    if (needs && !data_there(c->arena, needs->text)) {
        report_skip(c->report, "%s: there is no data set %s under NIN_DATA or /usr/share/datasets", c->file->path,
                    needs->text);
        return true;
    }
    return is_long && !c->options->long_too;
}

static Check check_open(Arena *arena, const Options *options, TestFile *file, Report *report)
{
    Check c = {arena, options, file, report, .timeout = 120};
    c.nin = arena_printf(arena, "%s/nin", options->build);
    char *name = arena_copy(arena, file->path, strlen(file->path));
    for (char *at = name; *at; at++)
        if (*at == '/')
            *at = '-';
    const char *all = arena_printf(arena, "%s/tests", options->build);
    mkdir(all, 0777);
    c.folder = arena_printf(arena, "%s/%s", all, name);
    mkdir(c.folder, 0777);
    const Directive *timeout = directive_find(file, DIRECTIVE_TIMEOUT);
    if (timeout)
        c.timeout = timeout->number;
    return c;
}

void check_file(Arena *arena, const Options *options, const char *path, Report *report)
{
    TestFile file = {0};
    Buf error = {0};
    if (!test_file_read(arena, path, &file, &error)) {
        report_fail(report, "%s", buf_done(&error, arena));
        return;
    }
    Check c = check_open(arena, options, &file, report);
    if (skipped(&c))
        return;
    if (check_diagnostics(&c)) {
        check_values(&c);
        check_tests(&c);
        check_counts(&c);
        if (runs_program(&file))
            check_program(&c);
        if (directive_find(&file, DIRECTIVE_SAME))
            check_same(&c);
    }
    folder_clear(c.folder);
}

void check_target(Arena *arena, const Options *options, const char *path, Report *report)
{
    TestFile file = {0};
    Buf error = {0}, text = {0};
    FoundList found = {0};
    if (!test_file_read(arena, path, &file, &error)) {
        report_fail(report, "%s", buf_done(&error, arena));
        return;
    }
    Check c = check_open(arena, options, &file, report);
    const char *argv[] = {c.nin, "check", "--json", path, NULL};
    Outcome o = process_run(arena, argv, c.timeout);
    if (!found_read(&c, o.out, &found)) {
        fail_outcome(&c, argv, &o, "no list of diagnostics");
        return;
    }
    for (int i = 0; i < found.len; i++) {
        const Found *f = &found.at[i];
        if (strcmp(f->severity, "error") == 0 && strcmp(f->code, "E0601") != 0)
            buf_printf(&text, "  + line %d: %s \"%s\" at \"%s\"\n", f->line, f->code, f->message, f->at);
    }
    if (text.len)
        report_fail(report, "%s: errors\n%s", path, buf_done(&text, arena));
    else
        report_pass(report);
    folder_clear(c.folder);
}

/* ---- unit tests: the counts are those that cmocka prints ---- */

static int number_after(const char *text, const char *mark)
{
    int sum = 0;
    for (const char *at = text; (at = strstr(at, mark)); at += strlen(mark))
        sum += atoi(at + strlen(mark));
    return sum;
}

void check_unit(Arena *arena, const char *path, Report *report)
{
    const char *argv[] = {path, NULL};
    Outcome o = process_run(arena, argv, 900);
    char *text = arena_printf(arena, "%s\n%s", o.out, o.err);
    int passed = number_after(text, "[  PASSED  ] "), failed = number_after(text, "[  FAILED  ] "),
        skips = number_after(text, "[  SKIPPED ] ");
    report->passed += passed;
    report->skipped += skips;
    if (skips)
        buf_printf(&report->text, "SKIP %s: %d of its tests\n", path, skips);
    if (o.status == 0 && passed)
        return;
    report_fail(report, "%s: exit %d%s after %.1f s\n%s", path, o.status, o.timed_out ? " (time is up)" : "", o.seconds,
                excerpt(arena, text));
    report->failed += failed > 1 ? failed - 1 : 0;
}
