/* datum.c -- see datum.h. */
#include "report/datum.h"

#include <math.h>
#include <stdio.h>

Datum datum_null(void) { return (Datum){.kind = DATUM_NULL}; }
Datum datum_bool(bool x) { return (Datum){.kind = DATUM_BOOL, .boolean = x}; }
Datum datum_int(int64_t x) { return (Datum){.kind = DATUM_INT, .integer = x}; }
Datum datum_number(double x) { return (Datum){.kind = DATUM_NUMBER, .number = x}; }
Datum datum_text(const char *text) { return (Datum){.kind = DATUM_TEXT, .text = text}; }
Datum datum_list(const Datum *at, int len) { return (Datum){.kind = DATUM_LIST, .list = {at, len}}; }

/* ---- UTF-8 ---- */
/* The code point at *at, which moves past it; U+FFFD for a byte that begins none (overlong forms, surrogates
 * included). */
static uint32_t next_point(const unsigned char **at) {
    const unsigned char *p = *at;
    int more = *p < 0x80 ? 0 : *p < 0xc2 ? -1 : *p < 0xe0 ? 1 : *p < 0xf0 ? 2 : *p < 0xf5 ? 3 : -1;
    uint32_t point = more == 0 ? *p : more == 1 ? *p & 0x1f : more == 2 ? *p & 0x0f : *p & 0x07;
    static const uint32_t least[] = {0, 0x80, 0x800, 0x10000};
    ++*at;
    for (int i = 1; i <= more; i++) {
        if ((p[i] & 0xc0) != 0x80) return 0xfffd;
        point = point << 6 | (p[i] & 0x3f);
    }
    if (more < 0 || point < least[more] || (point >= 0xd800 && point < 0xe000) || point > 0x10ffff) return 0xfffd;
    *at += more;
    return point;
}

static void put_point(Buf *out, uint32_t c) {
    if (c < 0x80) buf_put(out, &(char){(char)c}, 1);
    else if (c < 0x800) buf_put(out, (char[]){(char)(0xc0 | c >> 6), (char)(0x80 | (c & 0x3f))}, 2);
    else if (c < 0x10000)
        buf_put(out, (char[]){(char)(0xe0 | c >> 12), (char)(0x80 | (c >> 6 & 0x3f)), (char)(0x80 | (c & 0x3f))}, 3);
    else
        buf_put(out, (char[]){(char)(0xf0 | c >> 18), (char)(0x80 | (c >> 12 & 0x3f)), (char)(0x80 | (c >> 6 & 0x3f)),
                              (char)(0x80 | (c & 0x3f))}, 4);
}

static int point_width(uint32_t c) {
    static const struct { uint32_t from, to; } wide[] = {{0x1100, 0x115f}, {0x2e80, 0xa4cf}, {0xac00, 0xd7a3},
        {0xf900, 0xfaff}, {0xfe30, 0xfe6f}, {0xff00, 0xff60}, {0xffe0, 0xffe6}, {0x1f300, 0x1faff}, {0x20000, 0x3fffd}};
    if (c < 0x20 || (c >= 0x7f && c < 0xa0)) return 0;
    if ((c >= 0x300 && c <= 0x36f) || (c >= 0x20d0 && c <= 0x20ff) || c == 0x200d || (c >= 0xfe00 && c <= 0xfe0f))
        return 0;
    for (int i = 0; i < COUNT(wide); i++)
        if (c >= wide[i].from && c <= wide[i].to) return 2;
    return 1;
}

int text_width(const char *text) {
    int width = 0;
    for (const unsigned char *at = (const unsigned char *)text; *at;) width += point_width(next_point(&at));
    return width;
}

void text_cut(Buf *out, const char *text, int width) {
    int room = text_width(text) <= width ? width : width - 1, used = 0;
    const unsigned char *at = (const unsigned char *)text;
    while (*at) {
        uint32_t c = next_point(&at);
        if ((used += point_width(c)) > room) break;
        put_point(out, c < 0x20 || c == 0x7f ? ' ' : c);           /* line ends and escapes do not reach the screen */
    }
    if (room < width && width > 0) buf_text(out, "\xe2\x80\xa6");
}

size_t text_line(const char *text, int width) {
    const unsigned char *start = (const unsigned char *)text, *at = start, *blank = NULL;
    int used = 0;
    while (*at) {
        const unsigned char *here = at;
        used += point_width(next_point(&at));
        if (*here == ' ' && here > start) blank = here;
        if (used > width) return (size_t)((blank ? blank : here > start ? here : at) - start);
    }
    return (size_t)(at - start);
}

/* ---- numbers ---- */
void text_of_number(Buf *out, double x, int digits) {
    if (isnan(x)) buf_text(out, "nan");
    else buf_printf(out, "%.*g", digits, x);
}

/* ---- JSON ---- */
void json_text(Buf *out, const char *text) {
    buf_text(out, "\"");
    for (const unsigned char *at = (const unsigned char *)text; *at;) {
        uint32_t c = next_point(&at);
        if (c == '"' || c == '\\') buf_printf(out, "\\%c", (char)c);
        else if (c == '\n') buf_text(out, "\\n");
        else if (c == '\t') buf_text(out, "\\t");
        else if (c < 0x20 || c == 0x7f) buf_printf(out, "\\u%04x", c);
        else put_point(out, c);
    }
    buf_text(out, "\"");
}

void json_datum(Buf *out, const Datum *datum) {
    char number[32];
    switch (datum->kind) {
    case DATUM_NULL: buf_text(out, "null"); break;
    case DATUM_BOOL: buf_text(out, datum->boolean ? "true" : "false"); break;
    case DATUM_INT: buf_printf(out, "%lld", (long long)datum->integer); break;
    case DATUM_NUMBER:
        text_of_f64(number, datum->number);
        buf_printf(out, isfinite(datum->number) ? "%s" : "\"%s\"", number);
        break;
    case DATUM_TEXT: json_text(out, datum->text); break;
    case DATUM_LIST:
        buf_text(out, "[");
        for (int i = 0; i < datum->list.len; i++) {
            if (i) buf_text(out, ",");
            json_datum(out, &datum->list.at[i]);
        }
        buf_text(out, "]");
        break;
    }
}

void json_fields(Buf *out, const Field *fields, int count) {
    buf_text(out, "{");
    for (int i = 0; i < count; i++) {
        if (i) buf_text(out, ",");
        json_text(out, fields[i].name);
        buf_text(out, ":");
        json_datum(out, &fields[i].value);
    }
    buf_text(out, "}");
}
