/* page_experiment.c -- the section of one experiment: facts, warnings, figures, tables, and what is folded away. */
#include <stdarg.h>
#include <stdlib.h>

#include "report/page_parts.h"
#include "support/file.h"
#include "support/sha256.h"

enum { MOST_ROWS = 100, MOST_TABLE = 2000, MOST_GAPS = 40 };
#define LARGEST ((size_t)64 << 20)                                      /* bytes of a figure or table that are put in */

bool name_ends(const char *name, const char *ending) {
    size_t n = strlen(name), m = strlen(ending);
    return n > m && strcmp(name + n - m, ending) == 0;
}

void page_note(Section *s, const char *format, ...) {
    va_list args;
    va_start(args, format);
    vec_push(s->arena, &s->counts->notes, (const char *)arena_vprintf(s->arena, format, args));
    va_end(args);
}

char *page_file(Section *s, const char *name, size_t limit, size_t *length) {
    char *bytes, *error = NULL;
    if (file_read(s->arena, path_join(s->arena, s->folder, name), limit, &bytes, length, &error)) return bytes;
    page_note(s, "%s", error);
    return NULL;
}

static const char *stem(Section *s, const char *file) {
    return arena_copy(s->arena, file, (size_t)(strrchr(file, '.') - file));
}

static void put_count(Buf *out, int64_t n, const char *one, const char *many) {
    char text[32];
    int at = (int)sizeof text;
    text[--at] = 0;
    int64_t left = n;
    for (int digits = 0; left || !digits; left /= 10, digits++) {
        if (digits && digits % 3 == 0) text[--at] = ',';
        text[--at] = (char)('0' + left % 10);
    }
    buf_printf(out, "%s %s", text + at, n == 1 ? one : many);
}

static void put_facts(Section *s) {
    size_t seeds = json_array_size(json_object_get(json_object_get(s->origin, "seeds"), "seed"));
    size_t data = json_object_size(json_object_get(s->origin, "data"));
    buf_text(s->out, "<p class=\"facts\">");
    put_count(s->out, s->lines.list.len, "row", "rows");
    if (seeds) buf_text(s->out, " \xc2\xb7 "), put_count(s->out, (int64_t)seeds, "seed", "seeds");
    if (data) buf_text(s->out, " \xc2\xb7 "), put_count(s->out, (int64_t)data, "data set", "data sets");
    buf_text(s->out, "</p>\n");
}

/* ---- what a reader has to know first ---- */
static void put_notes(Section *s) {
    const json_t *notes = json_object_get(s->origin, "notes");
    for (size_t i = 0; i < json_array_size(notes); i++) {
        const char *text = json_string_value(json_array_get(notes, i));
        if (!text) continue;
        bool warns = strncmp(text, "interrupted", 11) == 0 || strncmp(text, "shard", 5) == 0;
        buf_text(s->out, warns ? "<p class=\"note\">" : "<p class=\"facts\">");
        html_text(s->out, text);
        buf_text(s->out, "</p>\n");
    }
    if (!s->origin)
        buf_text(s->out, "<p class=\"note\">run.json is missing or damaged: nothing is known about where these numbers "
                         "come from</p>\n");
    if (s->too_large) buf_text(s->out, "<p class=\"note\">records.jsonl is too large to be looked at here</p>\n");
}

static int ascending(const void *a, const void *b) {
    long long x = *(const long long *)a, y = *(const long long *)b;
    return (x > y) - (x < y);
}

static void put_gaps(Section *s) {
    SeedGaps gaps =
        strncmp(s->name, "shard-", 6) ? seeds_missing(s->arena, s->lines) : (SeedGaps){0}; /* a shard has only some */
    if (!gaps.at.len) return;
    buf_text(s->out, "<div class=\"note\">Seeds are missing:<ul>\n");
    for (int i = 0; i < gaps.at.len && i < MOST_GAPS; i++) {
        const SeedGap *gap = &gaps.at.at[i];
        Buf missing = {0};
        qsort(gap->missing.at, (size_t)gap->missing.len, sizeof *gap->missing.at, ascending);
        ranges_text(&missing, gap->missing.at, gap->missing.len);
        buf_put(&missing, "", 1);
        buf_text(s->out, "<li>");
        html_text(s->out, gap->keys);
        buf_printf(s->out, "%s%d of %d seeds; missing: ", *gap->keys ? ": " : "", gap->have, gap->of);
        html_text(s->out, missing.at);
        buf_text(s->out, "</li>\n");
        buf_free(&missing);
    }
    if (gaps.at.len > MOST_GAPS) buf_printf(s->out, "<li>and %d more</li>\n", gaps.at.len - MOST_GAPS);
    buf_text(s->out, "</ul></div>\n");
}

/* ---- figures ---- */
static bool has_file(const Section *s, const char *name) {
    for (int i = 0; i < s->files.list.len; i++)
        if (strcmp(s->files.list.at[i], name) == 0) return true;
    return false;
}

static bool put_drawing(Section *s, const char *name) {
    size_t length = 0;
    const char *svg = arena_printf(s->arena, "%s.svg", name), *png = arena_printf(s->arena, "%s.png", name);
    char *bytes = has_file(s, svg) ? page_file(s, svg, LARGEST, &length) : NULL;
    if (bytes &&
        html_svg(s->out, bytes, length, arena_printf(s->arena, "x%df%d-", s->number, s->counts->figures), name))
        return true;
    if (bytes) page_note(s, "%s/%s is not a drawing that can be put into a page", s->folder, svg);
    bytes = has_file(s, png) ? page_file(s, png, LARGEST, &length) : NULL;
    if (!bytes) return false;
    html_png(s->out, bytes, length, name);
    return true;
}

static void put_figure(Section *s, const char *name) {
    const char *plot = arena_printf(s->arena, "%s.plot", name);
    s->counts->figures++;
    buf_text(s->out, "<figure><div class=\"scroll\" tabindex=\"0\">\n");
    bool drawn = put_drawing(s, name);
    buf_text(s->out, "</div>\n<figcaption>");
    html_text(s->out, name);
    if (!drawn) buf_text(s->out, " was not drawn");
    if (has_file(s, plot)) {
        buf_text(s->out, drawn ? " \xc2\xb7 its numbers are in <code>" : "; its numbers are in <code>");
        html_text(s->out, plot);
        buf_text(s->out, "</code>");
    }
    buf_text(s->out, "</figcaption></figure>\n");
}

/* By their folders of numbers, which are there where nothing was drawn as well; other drawings after them. */
static void put_figures(Section *s) {
    for (int i = 0; i < s->files.list.len; i++)
        if (name_ends(s->files.list.at[i], ".plot")) put_figure(s, stem(s, s->files.list.at[i]));
    for (int i = 0; i < s->files.list.len; i++) {
        const char *file = s->files.list.at[i];
        bool svg = name_ends(file, ".svg"), png = name_ends(file, ".png");
        if (!svg && !png) continue;
        const char *name = stem(s, file);
        if (has_file(s, arena_printf(s->arena, "%s.plot", name)) ||
            (png && has_file(s, arena_printf(s->arena, "%s.svg", name))))
            continue;
        put_figure(s, name);
    }
}

/* ---- tables and rows ---- */
static void put_left_out(Section *s, int64_t shown, int64_t total, const char *file) {
    if (shown >= total) return;
    buf_printf(s->out, "<p class=\"facts\">%lld of %lld rows; all are in <code>", (long long)shown, (long long)total);
    html_text(s->out, file);
    buf_text(s->out, "</code></p>\n");
}

static void put_tables(Section *s) {
    bool any = false;
    for (int i = 0; i < s->files.list.len; i++) {
        const char *file = s->files.list.at[i];
        size_t length;
        Table table;
        if (!name_ends(file, ".tsv")) continue;
        char *text = page_file(s, file, LARGEST, &length);
        if (!text || !table_read(s->arena, NULL, text, &table)) continue;
        if (!any) buf_text(s->out, "<div class=\"tables\">\n");
        any = true;
        s->counts->tables++;
        buf_text(s->out, "<div>\n");
        html_table(s->out, s->arena, &table, stem(s, file), MOST_TABLE);
        put_left_out(s, MOST_TABLE, table.rows, file);
        buf_text(s->out, "</div>\n");
    }
    if (any) buf_text(s->out, "</div>\n");
}

static void put_rows(Section *s) {
    RowsOfAll all = rows_read(s->arena, s->lines, MOST_ROWS);
    if (all.damaged) page_note(s, "%s/records.jsonl: %lld line(s) are damaged", s->folder, (long long)all.damaged);
    if (!all.sets.len) return;
    buf_text(s->out, "<details><summary>Rows recorded (");
    put_count(s->out, all.total, "row", "rows");
    buf_text(s->out, ")</summary>\n");
    for (int i = 0; i < all.sets.len; i++) {
        html_table(s->out, s->arena, &all.sets.at[i].table, NULL, 0);
        put_left_out(s, all.sets.at[i].table.rows, all.sets.at[i].total, "records.jsonl");
    }
    buf_text(s->out, "</details>\n");
}

/* The text of the program, where it is the one that run.json means. */
static void find_program(Section *s) {
    size_t length;
    char hex[65];
    const char *hash = json_string_value(json_object_get(s->origin, "program_sha256"));
    if (!hash || !has_file(s, "program.nin")) return;
    char *text = page_file(s, "program.nin", (size_t)4 << 20, &length);
    if (!text) return;
    sha256_hex(text, length, hex);
    if (strcmp(hex, hash) == 0) s->text = text, s->text_hash = arena_copy(s->arena, hex, 64);
    else page_note(s, "%s/program.nin is not the program that run.json names", s->folder);
}

void page_experiment(Section *s) {
    size_t length;
    Buf command = {0};
    char *text = has_file(s, "records.jsonl") ? page_file(s, "records.jsonl", (size_t)1 << 30, &length) : NULL;
    s->too_large = !text && has_file(s, "records.jsonl");
    s->lines = lines_of(s->arena, text);
    s->counts->rows += s->lines.list.len;
    s->origin = has_file(s, "run.json") ? json_load_file(path_join(s->arena, s->folder, "run.json"), 0, NULL) : NULL;
    buf_printf(s->out, "<section id=\"x%d\">\n<h2>", s->number);
    html_text(s->out, s->name);
    buf_text(s->out, "</h2>\n");
    put_facts(s);
    put_notes(s);
    put_gaps(s);
    put_figures(s);
    put_tables(s);
    buf_text(s->out, "<h3>To have it again</h3>\n<pre>");
    page_command(s, &command);
    buf_put(&command, "", 1);
    html_text(s->out, command.at);
    buf_free(&command);
    buf_text(s->out, "</pre>\n");
    page_origin(s);
    page_runs(s);
    put_rows(s);
    find_program(s);
    buf_text(s->out, "</section>\n");
    json_decref(s->origin);
}
