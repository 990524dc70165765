/* page.c -- see page.h: finds the experiments, frames the page. */
#include "report/page.h"

#include <ctype.h>
#include <stdlib.h>

#include "report/page_parts.h"
#include "support/file.h"

typedef struct Found {
    const char *program, *name, *folder;
    int shards;
} Found; /* shards > 0: only these are there */
typedef struct Finding { Arena *arena; const PageOptions *options; VEC(Found) at; } Finding;

/* ---- which experiments there are ---- */
static const char *last_name(Arena *arena, const char *folder) {
    size_t n = strlen(folder);
    while (n > 1 && folder[n - 1] == '/') n--;
    size_t from = n;
    while (from > 0 && folder[from - 1] != '/') from--;
    return arena_copy(arena, folder + from, n - from);
}

static bool asked(const PageOptions *options, const char *name) {
    for (int i = 0; i < options->experiment_count; i++)
        if (strcmp(options->experiments[i], name) == 0) return true;
    return options->experiment_count == 0;
}

static bool find_experiment(Finding *f, const char *program, const char *name, const char *folder) {
    bool is = folder_is_experiment(f->arena, folder);
    int shards = 0;
    Names parts = is ? (Names){0} : folder_names(f->arena, folder);
    for (int i = 0; i < parts.list.len; i++) {
        const char *part = parts.list.at[i];
        shards += strncmp(part, "shard-", 6) == 0 && folder_is_experiment(f->arena, path_join(f->arena, folder, part));
    }
    if (!is && !shards) return false;
    if (asked(f->options, name)) vec_push(f->arena, &f->at, ((Found){program, name, folder, shards}));
    return true;
}

/* Where a program says "experiment NAME"; its length if it does not. */
static size_t place_in(const char *text, const char *name) {
    size_t n = strlen(name);
    for (const char *at = text; (at = strstr(at, "experiment ")); at++)
        if (strncmp(at + 11, name, n) == 0 && !isalnum((unsigned char)at[11 + n]) && at[11 + n] != '_')
            return (size_t)(at - text);
    return strlen(text);
}

/* Experiments in the order of their program's text, if it is there. */
static void order_by_text(Finding *f, int from) {
    char *text, *error = NULL;
    size_t length;
    for (int i = from; i < f->at.len; i++) {
        const char *path = path_join(f->arena, f->at.at[i].folder, "program.nin");
        if (!file_exists(path) || !file_read(f->arena, path, (size_t)4 << 20, &text, &length, &error)) continue;
        for (int k = from + 1; k < f->at.len; k++)
            for (int j = k; j > from && place_in(text, f->at.at[j].name) < place_in(text, f->at.at[j - 1].name); j--) {
                Found other = f->at.at[j];
                f->at.at[j] = f->at.at[j - 1], f->at.at[j - 1] = other;
            }
        return;
    }
}

static bool find_program(Finding *f, const char *program, const char *folder) {
    Names names = folder_names(f->arena, folder);
    int from = f->at.len;
    bool any = false;
    for (int i = 0; i < names.list.len; i++)
        any |= find_experiment(f, program, names.list.at[i], path_join(f->arena, folder, names.list.at[i]));
    order_by_text(f, from);
    return any;
}

/* The name of the folder that a folder is in: "." has none that can be told. */
static const char *name_above(Arena *arena, const char *folder) {
    char *whole = realpath(folder, NULL), *slash = whole ? strrchr(whole, '/') : NULL;
    if (slash) *slash = 0;
    const char *name = whole ? last_name(arena, whole) : "";
    free(whole);
    return name;
}

static const char *real_name(Arena *arena, const char *folder) {
    char *whole = realpath(folder, NULL);
    const char *name = last_name(arena, whole ? whole : folder);
    free(whole);
    return name;
}

/* An experiment, a program, or all of them. */
static bool find_all(Finding *f, const char *folder) {
    if (find_experiment(f, name_above(f->arena, folder), real_name(f->arena, folder), folder)) return true;
    if (find_program(f, real_name(f->arena, folder), folder)) return true;
    Names names = folder_names(f->arena, folder);
    bool any = false;
    for (int i = 0; i < names.list.len; i++)
        if (strcmp(names.list.at[i], "runs") != 0)
            any |= find_program(f, names.list.at[i], path_join(f->arena, folder, names.list.at[i]));
    return any;
}

/* ---- the page ---- */
static bool one_program(const Finding *f) {
    for (int i = 1; i < f->at.len; i++)
        if (strcmp(f->at.at[i].program, f->at.at[0].program) != 0) return false;
    return true;
}

static void put_links(const Finding *f, Buf *out) {
    if (f->at.len < 2) return;
    buf_text(out, "<nav><ul>\n");
    for (int i = 0; i < f->at.len; i++) {
        buf_printf(out, "<li><a href=\"#x%d\">", i + 1);
        if (!one_program(f)) html_text(out, f->at.at[i].program), buf_text(out, " / ");
        html_text(out, f->at.at[i].name);
        buf_text(out, "</a></li>\n");
    }
    buf_text(out, "</ul></nav>\n");
}

static void put_head(const Finding *f, const char *title, Buf *out) {
    buf_text(out, "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\" />\n"
                  "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src "
                  "'unsafe-inline'; img-src data:\" />\n"
                  "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\" />\n"
                  "<meta name=\"color-scheme\" content=\"light dark\" />\n<meta name=\"generator\" content=\"nin ");
    html_text(out, f->options->version ? f->options->version : "");
    buf_text(out, "\" />\n<title>");
    html_text(out, title);
    buf_text(out, "</title>\n<link rel=\"icon\" href=\"data:,\" />\n<style>\n");
    buf_text(out, page_style);
    buf_text(out, "</style>\n</head>\n<body>\n<header>\n<h1>");
    html_text(out, title);
    buf_text(out, "</h1>\n");
}

static void put_shards(const Found *found, int number, Buf *out) {
    buf_printf(out, "<section id=\"x%d\">\n<h2>", number);
    html_text(out, found->name);
    buf_printf(out,
               "</h2>\n<p class=\"note\">%d shard%s, not yet joined: <code>nin results merge</code> joins them, and "
               "<code>nin run</code> then makes tables and figures</p>\n</section>\n",
               found->shards, found->shards == 1 ? "" : "s");
}

/* The programs, each once; their texts are told apart by their hashes. */
static void put_program(const char *program, const Section *section, Buf *out) {
    if (!section->text) return;
    buf_text(out, "<section>\n<h2>The program</h2>\n<p class=\"facts\"><code>");
    html_text(out, program);
    buf_printf(out, ".nin</code> <span class=\"hash\">%s</span></p>\n<details><summary>Its text</summary><pre>",
               section->text_hash);
    html_lines(out, section->text);
    buf_text(out, "</pre></details>\n</section>\n");
}

static void put_sections(const Finding *f, Arena *arena, PageCounts *counts, Buf *out) {
    Section last = {0};
    for (int i = 0; i < f->at.len; i++) {
        const Found *found = &f->at.at[i];
        bool first = i == 0 || strcmp(f->at.at[i - 1].program, found->program) != 0;
        if (first && i) put_program(last.program, &last, out), last = (Section){0};
        if (first && !one_program(f)) {
            buf_text(out, "<h1>");
            html_text(out, found->program);
            buf_text(out, "</h1>\n");
        }
        if (found->shards) {
            put_shards(found, i + 1, out);
            continue;
        }
        Section section = {.arena = arena,
                           .program = found->program,
                           .name = found->name,
                           .folder = found->folder,
                           .number = i + 1,
                           .files = folder_names(arena, found->folder),
                           .counts = counts,
                           .out = out};
        page_experiment(&section);
        if (last.text && (!section.text || strcmp(last.text_hash, section.text_hash) != 0))
            put_program(last.program, &last, out);
        last = section;
    }
    put_program(last.program, &last, out);
}

static char *nothing_there(Arena *arena, const char *folder, const PageOptions *options, bool any) {
    char *missing = folder_missing(arena, folder);
    if (missing) return missing;
    if (any) return arena_printf(arena, "%s: there is no experiment %s here", folder, options->experiments[0]);
    return arena_printf(arena,
                        "%s: no experiment has left results here; it takes a folder that `nin run` wrote (results, or "
                        "what --out named), "
                        "or one of a program or an experiment in it",
                        folder);
}

bool page_make(Arena *arena, const char *folder, const PageOptions *options, Buf *out, PageCounts *counts,
               char **error) {
    Finding f = {.arena = arena, .options = options};
    *counts = (PageCounts){0};
    bool any = folder_exists(folder) && find_all(&f, folder);
    if (!f.at.len) {
        *error = nothing_there(arena, folder, options, any);
        return false;
    }
    counts->experiments = f.at.len;
    const char *title = !one_program(&f) ? real_name(arena, folder) : f.at.at[0].program;
    Buf sections = {0};
    put_sections(&f, arena, counts, &sections);
    put_head(&f, title, out);
    buf_printf(out, "<p class=\"facts\">%d experiment%s \xc2\xb7 %lld rows \xc2\xb7 %d figure%s \xc2\xb7 %d table%s",
               f.at.len, f.at.len == 1 ? "" : "s", (long long)counts->rows, counts->figures,
               counts->figures == 1 ? "" : "s", counts->tables, counts->tables == 1 ? "" : "s");
    if (counts->runs) buf_printf(out, " \xc2\xb7 %d run%s kept", counts->runs, counts->runs == 1 ? "" : "s");
    buf_text(out, "</p>\n");
    put_links(&f, out);
    buf_text(out, "</header>\n<main>\n");
    buf_put(out, sections.at, sections.len);
    buf_free(&sections);
    buf_text(out, "</main>\n<footer><p>Made by <code>nin report</code> from the files that <code>nin run</code> left; "
                  "this page needs nothing "
                  "else.</p></footer>\n</body>\n</html>\n");
    return true;
}
