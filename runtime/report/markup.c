/* markup.c -- see markup.h; SVG is in markup_svg.c. */
#include "report/markup.h"

#include <math.h>

enum { WIDEST = 200, LONGEST = 4000 };

/* U+202A .. U+202E and U+2066 .. U+2069 turn the direction of what follows. */
static bool turns_direction(const unsigned char *at) {
    return at[0] == 0xe2 &&
           ((at[1] == 0x80 && at[2] >= 0xaa && at[2] <= 0xae) || (at[1] == 0x81 && at[2] >= 0xa6 && at[2] <= 0xa9));
}

static void escape(Buf *out, const char *text) {
    for (const unsigned char *at = (const unsigned char *)text; *at; at++) {
        if (*at == '&') buf_text(out, "&amp;");
        else if (*at == '<') buf_text(out, "&lt;");
        else if (*at == '>') buf_text(out, "&gt;");
        else if (*at == '"') buf_text(out, "&quot;");
        else if (*at == '\'') buf_text(out, "&#39;");
        else if (turns_direction(at)) buf_text(out, "\xef\xbf\xbd"), at += 2;
        else buf_put(out, at, 1);
    }
}

static void html_cut(Buf *out, const char *text, int width) {
    Buf clean = {0};
    text_cut(&clean, text, width);
    buf_put(&clean, "", 1);
    escape(out, clean.at);
    buf_free(&clean);
}

void html_text(Buf *out, const char *text) { html_cut(out, text, LONGEST); }

void html_lines(Buf *out, const char *text) {
    while (*text) {
        size_t n = strcspn(text, "\n\t");
        Buf line = {0};
        buf_put(&line, text, n);
        buf_put(&line, "", 1);
        html_text(out, line.at);
        buf_free(&line);
        text += n;
        if (*text) buf_put(out, text++, 1);
    }
}

/* ---- tables ---- */
static bool missing(const Datum *datum) {
    return datum->kind == DATUM_NULL || (datum->kind == DATUM_NUMBER && isnan(datum->number));
}

static void put_rows(Buf *out, Arena *arena, const Table *table, int64_t rows) {
    char ***text = arena_array(arena, char **, table->columns + 1);
    bool *numbers = arena_array(arena, bool, table->columns + 1);
    for (int c = 0; c < table->columns; c++) text[c] = table_column(table, rows, c, WIDEST, arena, &numbers[c]);
    buf_text(out, "<thead><tr>");
    for (int c = 0; c < table->columns; c++) {
        buf_text(out, numbers[c] ? "<th scope=\"col\" class=\"n\">" : "<th scope=\"col\">");
        html_text(out, table->name[c]);
        buf_text(out, "</th>");
    }
    buf_text(out, "</tr></thead>\n<tbody>\n");
    for (int64_t row = 0; row < rows; row++) {
        buf_text(out, "<tr>");
        for (int c = 0; c < table->columns; c++) {
            const Datum *datum = &table->at[row * table->columns + c];
            if (missing(datum)) {
                buf_text(out, numbers[c] ? "<td class=\"n missing\">" : "<td class=\"missing\">");
                buf_text(out, datum->kind == DATUM_NULL ? "missing</td>" : "nan</td>");
                continue;
            }
            buf_text(out, numbers[c] ? "<td class=\"n\">" : "<td>");
            html_text(out, text[c][row]);
            buf_text(out, "</td>");
        }
        buf_text(out, "</tr>\n");
    }
    buf_text(out, "</tbody>");
}

void html_table(Buf *out, Arena *arena, const Table *table, const char *caption, int64_t most) {
    int64_t rows = most && table->rows > most ? most : table->rows;
    buf_text(out, "<div class=\"scroll\" tabindex=\"0\"><table>");
    if (caption) {
        buf_text(out, "<caption>");
        html_text(out, caption);
        buf_text(out, "</caption>");
    }
    put_rows(out, arena, table, rows);
    buf_text(out, "</table></div>\n");
}

/* ---- images ---- */
void html_png(Buf *out, const char *png, size_t length, const char *label) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const unsigned char *at = (const unsigned char *)png;
    buf_text(out, "<img alt=\"");
    html_text(out, label);
    buf_text(out, "\" src=\"data:image/png;base64,");
    for (size_t i = 0; i < length; i += 3) {
        uint32_t three =
            (uint32_t)at[i] << 16 | (uint32_t)(i + 1 < length ? at[i + 1] : 0) << 8 | (i + 2 < length ? at[i + 2] : 0);
        char four[4] = {digits[three >> 18], digits[three >> 12 & 63], i + 1 < length ? digits[three >> 6 & 63] : '=',
                        i + 2 < length ? digits[three & 63] : '='};
        buf_put(out, four, 4);
    }
    buf_text(out, "\" />");
}
