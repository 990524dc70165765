/* directives.c -- reads the expectations that a .nin file carries in comments "#: ...". */
#include "tests/nintest/nintest.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

typedef struct Reader { Arena *arena; const char *at, *end; const char *error; } Reader;

static void skip_blanks(Reader *r)
{
    while (r->at < r->end && (*r->at == ' ' || *r->at == '\t' || *r->at == '\r'))
        r->at++;
}

static const char *read_word(Reader *r)
{
    skip_blanks(r);
    const char *start = r->at;
    while (r->at < r->end && !isspace((unsigned char)*r->at))
        r->at++;
    return arena_copy(r->arena, start, (size_t)(r->at - start));
}

/* A string in quotes, with \" and \\; NULL if there is none here. */
static const char *read_string(Reader *r)
{
    skip_blanks(r);
    if (r->at == r->end || *r->at != '"')
        return NULL;
    Buf text = {0};
    for (r->at++; r->at < r->end && *r->at != '"'; r->at++) {
        if (*r->at == '\\' && r->at + 1 < r->end)
            r->at++;
        buf_put(&text, r->at, 1);
    }
    if (r->at == r->end)
        r->error = "a string is not closed";
    else
        r->at++;
    return buf_done(&text, r->arena);
}

static const char *read_rest(Reader *r)
{
    skip_blanks(r);
    const char *end = r->end;
    while (end > r->at && isspace((unsigned char)end[-1]))
        end--;
    const char *rest = arena_copy(r->arena, r->at, (size_t)(end - r->at));
    r->at = r->end;
    return rest;
}

static bool word_next(Reader *r, const char *word)
{
    skip_blanks(r);
    size_t n = strlen(word);
    if ((size_t)(r->end - r->at) < n || strncmp(r->at, word, n) != 0)
        return false;
    r->at += n;
    return true;
}

static int read_number(Reader *r)
{
    const char *word = read_word(r);
    char *end;
    long value = strtol(word, &end, 10);
    if (!*word || *end)
        r->error = "a number is missing";
    return (int)value;
}

static void read_diagnostic(Reader *r, Directive *d, const char *severity)
{
    DiagCode code;
    d->kind = DIRECTIVE_DIAGNOSTIC;
    d->severity = severity;
    d->code = read_word(r);
    if (!diag_by_name(d->code, &code))
        r->error = "no such code";
    d->message = read_string(r);
    if (word_next(r, "at")) {
        d->at = read_string(r);
        if (!d->at)
            r->error = "`at` needs a string";
    }
}

static void read_run(Reader *r, Directive *d)
{
    const char *rest = read_rest(r), *exact = strstr(rest, " => "), *near = strstr(rest, " ~> "),
               *mark = exact ? exact : near;
    d->kind = exact ? DIRECTIVE_RUN : DIRECTIVE_RUN_NEAR;
    if (!mark) {
        r->error = "`run` needs => or ~>";
        return;
    }
    d->expression = arena_copy(r->arena, rest, (size_t)(mark - rest));
    d->value = mark + 4;
    if (!exact) {
        const char *within = strstr(d->value, " within ");
        if (!within) {
            r->error = "`~>` needs `within`";
            return;
        }
        d->within = strtod(within + 8, NULL);
        d->value = arena_copy(r->arena, d->value, (size_t)(within - d->value));
    }
}

static void read_count(Reader *r, Directive *d)
{
    d->kind = DIRECTIVE_COUNT;
    d->stage = read_word(r);
    if (word_next(r, "of "))
        d->net = read_word(r);
    d->text = read_string(r);
    if (!d->text)
        r->error = "`count` needs a string";
    else
        d->number = read_number(r);
}

static void read_directive(Reader *r, Directive *d)
{
    static const char *const severities[] = {"error", "warning", "note", "runtime"};
    const char *word = read_word(r);
    for (int i = 0; i < COUNT(severities); i++)
        if (strcmp(word, severities[i]) == 0) {
            read_diagnostic(r, d, severities[i]);
            return;
        }
    static const struct { const char *word; DirectiveKind kind; char form; } rows[] = {
        {"exit", DIRECTIVE_EXIT, 'n'}, {"timeout", DIRECTIVE_TIMEOUT, 'n'}, {"output", DIRECTIVE_OUTPUT, 's'},
        {"writes", DIRECTIVE_WRITES, 's'}, {"args", DIRECTIVE_ARGS, 'r'}, {"gradcheck", DIRECTIVE_GRADCHECK, 'r'},
        {"same", DIRECTIVE_SAME, '-'}, {"long", DIRECTIVE_LONG, '-'},
    };
    if (strcmp(word, "run") == 0) {
        read_run(r, d);
        return;
    }
    if (strcmp(word, "count") == 0) {
        read_count(r, d);
        return;
    }
    if (strcmp(word, "requires") == 0) {
        d->kind = DIRECTIVE_REQUIRES;
        if (!word_next(r, "data "))
            r->error = "`requires` needs `data NAME`";
        d->text = read_word(r);
        return;
    }
    for (int i = 0; i < COUNT(rows); i++) {
        if (strcmp(word, rows[i].word) != 0)
            continue;
        d->kind = rows[i].kind;
        if (rows[i].form == 'n')
            d->number = read_number(r);
        if (rows[i].form == 's' && !(d->text = read_string(r)))
            r->error = "a string is missing";
        if (rows[i].form == 'r')
            d->text = d->expression = read_rest(r);
        return;
    }
    r->error = arena_printf(r->arena, "unknown directive `%s`", word);
}

/* The line that a directive speaks of: its own, or the next that is not a directive alone. */
static int target_line(const TestFile *file, int line)
{
    for (int i = line; i < file->lines; i++) {
        const char *at = file->line[i];
        while (*at == ' ' || *at == '\t')
            at++;
        if (strncmp(at, "#:", 2) != 0)
            return i + 1;
    }
    return file->lines;
}

static const char *directive_start(const char *line, const char *end)
{
    for (const char *at = line; at + 1 < end; at++)
        if (at[0] == '#' && at[1] == ':' && (at == line || at[-1] == ' ' || at[-1] == '\t'))
            return at + 2;
    return NULL;
}

static bool read_line(Arena *arena, TestFile *file, int i, Buf *error)
{
    const char *start = file->line[i], *end = file->line[i + 1];
    if (end > start && end[-1] == '\n')
        end--;
    file->has_tests |= end - start > 6 && strncmp(start, "test \"", 6) == 0;
    file->has_experiments |= end - start > 11 && strncmp(start, "experiment ", 11) == 0;
    const char *at = directive_start(start, end);
    if (!at)
        return true;
    Directive directive = {.line = i + 1, .target = target_line(file, i)};
    Reader reader = {arena, at, end, NULL};
    read_directive(&reader, &directive);
    skip_blanks(&reader);
    if (!reader.error && reader.at < reader.end)
        reader.error = "there is more on the line than the directive takes";
    if (reader.error) {
        buf_printf(error, "%s:%d: %s", file->path, i + 1, reader.error);
        return false;
    }
    vec_push(arena, &file->directives, directive);
    return true;
}

bool test_file_read(Arena *arena, const char *path, TestFile *out, Buf *error)
{
    Buf text = {0};
    FILE *f = fopen(path, "rb");
    char chunk[4096];
    if (!f) {
        buf_printf(error, "%s cannot be read", path);
        return false;
    }
    for (size_t n; (n = fread(chunk, 1, sizeof chunk, f)) > 0;)
        buf_put(&text, chunk, n);
    fclose(f);
    size_t length = text.len;
    *out = (TestFile){.path = path, .length = length, .text = buf_done(&text, arena)};
    VEC(const char *) lines = {0};
    for (const char *at = out->text, *end = at + length; at < end;) {
        vec_push(arena, &lines, at);
        const char *next = memchr(at, '\n', (size_t)(end - at));
        at = next ? next + 1 : end;
    }
    out->lines = lines.len;
    vec_push(arena, &lines, out->text + length);
    out->line = lines.at;
    for (int i = 0; i < out->lines; i++)
        if (!read_line(arena, out, i, error))
            return false;
    return true;
}
