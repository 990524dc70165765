/* cli_fmt.c -- nin fmt: programs in the one style, in place or through a pipe. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "driver/cli.h"
#include "support/file.h"
#include "syntax/format.h"

enum { PASSES = 4, INPUT_LIMIT = 64 << 20 };

/* One file on its way. */
typedef struct Formatted { Arena *arena; Intern *names; Sources *sources; Diags diags; uint32_t ids; } Formatted;

static void open_one(Formatted *f)
{
    *f = (Formatted){.arena = arena_new(), .names = intern_new(), .ids = 1};
    f->sources = sources_new(f->arena);
    diags_init(&f->diags, f->arena, f->sources);
}

static void close_one(Formatted *f)
{
    arena_free(f->arena);
    intern_free(f->names);
}

static void show(const Cli *cli, const Formatted *f)
{
    Buf text = {0};
    diags_render(&f->diags, cli->style, cli->color && cli->err_terminal, cli->width ? cli->width : 100, 20, &text);
    if (text.len)
        fwrite(text.at, 1, text.len, stderr);
    buf_free(&text);
}

static bool read_input(Cli *cli, const char *path, char **text, size_t *length)
{
    char *error = NULL;
    if (strcmp(path, "-") != 0) {
        if (file_read(cli->arena, path, INPUT_LIMIT, text, length, &error))
            return true;
        cli_error(cli, "%s", error);
        return false;
    }
    Buf all = {0};
    char piece[4096];
    for (size_t n; all.len < INPUT_LIMIT && (n = fread(piece, 1, sizeof piece, stdin)) > 0;)
        buf_put(&all, piece, n);
    bool ok = !ferror(stdin) && feof(stdin);
    if (!ok)
        cli_error(cli, "the input could not be read");
    *length = all.len;
    *text = buf_done(&all, cli->arena);
    return ok;
}

/* Formats, and makes sure that the result is the same program and stays as it is; *out is NULL after diagnostics. */
static bool format_one(Formatted *f, const char *path, const char *text, size_t length, const char **out,
                       size_t *out_length)
{
    ParseContext context = {f->arena, f->names, &f->diags, &f->ids, false};
    const Source *source = sources_add(f->sources, path, text, length);
    const Module *first = source ? parse_module(&context, source) : NULL;
    *out = NULL;
    if (!first || f->diags.errors)
        return true;
    for (int pass = 0; pass < PASSES; pass++) {
        Buf made = {0};
        bool done = format_source(&context, source, &made);
        bool fixed = made.len == source->length && (made.len == 0 || memcmp(made.at, source->text, made.len) == 0);
        *out_length = made.len;
        const char *result = buf_done(&made, f->arena);
        source = done ? sources_add(f->sources, path, result, *out_length) : NULL;
        if (!source || !format_same(first, parse_module(&context, source)))
            return false;
        *out = result;
        if (fixed)
            return true;
    }
    return true;
}

/* The file behind the name gets the new text whole or keeps the old one; who may read and write it stays. */
static bool rewrite(Cli *cli, const char *path, const char *text, size_t length)
{
    char *error = NULL, *real = realpath(path, NULL);
    struct stat before;
    bool known = real && stat(real, &before) == 0,
         ok = file_write(cli->arena, real ? real : path, text, length, FILE_NO_SYNC, &error);
    if (!ok)
        cli_error(cli, "%s", error);
    else if (known && chmod(real, before.st_mode & 07777) != 0)
        cli_error(cli, "%s: the permissions could not be kept", path);
    free(real);
    return ok;
}

typedef enum Outcome { FMT_SAME, FMT_CHANGED, FMT_FAULTY, FMT_MACHINE } Outcome;

static Outcome put_result(Cli *cli, const char *path, const char *text, size_t length, bool changed)
{
    if (cli->fmt_check) {
        if (changed)
            printf("%s\n", strcmp(path, "-") == 0 ? "standard input" : path);
    } else if (strcmp(path, "-") == 0) {
        fwrite(text, 1, length, stdout);
    } else if (changed && !rewrite(cli, path, text, length)) {
        return FMT_MACHINE;
    }
    return changed ? FMT_CHANGED : FMT_SAME;
}

static Outcome command_one(Cli *cli, const char *path)
{
    char *text;
    const char *out;
    size_t length, out_length = 0;
    if (!read_input(cli, path, &text, &length))
        return FMT_MACHINE;
    Formatted f;
    open_one(&f);
    Outcome outcome = FMT_FAULTY;
    if (!format_one(&f, strcmp(path, "-") == 0 ? "standard input" : path, text, length, &out, &out_length))
        cli_error(cli, "%s is left as it is: its formatted text would be another program (a fault of nin fmt)", path);
    else if (!out)
        show(cli, &f);
    else
        outcome = put_result(cli, path, out, out_length, length != out_length || memcmp(text, out, length) != 0);
    close_one(&f);
    return outcome;
}

int command_fmt(Cli *cli)
{
    int status = EXIT_DONE;
    for (int i = 0; i < cli->arguments.len && !cli_interrupted(NULL); i++) {
        Outcome outcome = command_one(cli, cli->arguments.at[i]);
        if (outcome == FMT_MACHINE)
            status = EXIT_MACHINE;
        else if ((outcome == FMT_FAULTY || (outcome == FMT_CHANGED && cli->fmt_check)) && status == EXIT_DONE)
            status = EXIT_PROGRAM;
    }
    return status;
}
