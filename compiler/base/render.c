/* render.c -- diagnostics for people, for tools that read lines, and as JSON.
 *
 * HUMAN shows each line that a span touches once per window, with a row of carets per span: ^ under the diagnostic's
 * own span, - under its labels.  A line wider than the page is cut to a window around its first mark. */
#include "base/diag.h"

#include <stdlib.h>

typedef struct Mark { Span span; const char *text; bool primary; const Source *source; Place place; int order; } Mark;
typedef struct Render { const Diags *diags; Buf *out; bool color; int width; } Render;

/* ---- order ---- */
typedef struct Entry { const Diag *diag; int order; } Entry;

static int entry_compare(const void *pa, const void *pb)
{
    const Entry *a = pa, *b = pb;
    if (a->diag->span.lo != b->diag->span.lo)
        return a->diag->span.lo < b->diag->span.lo ? -1 : 1;
    if (a->diag->code != b->diag->code)
        return a->diag->code < b->diag->code ? -1 : 1;
    int text = strcmp(a->diag->message, b->diag->message);
    return text ? text : a->order - b->order;
}

static bool entry_equal(const Entry *a, const Entry *b)
{
    return a->diag->span.lo == b->diag->span.lo && a->diag->span.hi == b->diag->span.hi &&
           a->diag->code == b->diag->code && strcmp(a->diag->message, b->diag->message) == 0;
}

static Entry *entries_sorted(const Diags *diags, Arena *scratch, int *count)
{
    Entry *entries = arena_array(scratch, Entry, diags->list.len);
    for (int i = 0; i < diags->list.len; i++)
        entries[i] = (Entry){diags->list.at[i], i};
    if (diags->list.len)
        qsort(entries, (size_t)diags->list.len, sizeof *entries, entry_compare);
    int kept = 0;
    for (int i = 0; i < diags->list.len; i++)
        if (kept == 0 || !entry_equal(&entries[kept - 1], &entries[i]))
            entries[kept++] = entries[i];
    *count = kept;
    return entries;
}

static const char *severity_text(DiagCode code)
{
    static const char *const texts[] = {"note", "warning", "error", "error"};
    return texts[diag_severity(code)];
}

/* ---- characters: a place is a code point; it takes 0, 1, 2 or, for a tab, 4 columns of the page ---- */
static uint32_t utf8_read(const unsigned char *at, const unsigned char *end, int *length)
{
    int more = *at < 0xC0 ? 0 : *at < 0xE0 ? 1 : *at < 0xF0 ? 2 : *at < 0xF8 ? 3 : 0;
    if (*at >= 0x80 && (more == 0 || end - at <= more)) {
        *length = 1;
        return 0xFFFD;
    }
    uint32_t point = more ? *at & (0x3Fu >> more) : *at;
    for (int i = 1; i <= more; i++) {
        if ((at[i] & 0xC0) != 0x80) {
            *length = 1;
            return 0xFFFD;
        }
        point = point << 6 | (at[i] & 0x3Fu);
    }
    *length = more + 1;
    return point;
}

static int point_width(uint32_t c)
{
    if (c == '\t')
        return 4;
    if (c >= 0x300 && c < 0x370)
        return 0;
    bool wide = (c >= 0x1100 && c < 0x1160) || (c >= 0x2E80 && c < 0xA4D0) || (c >= 0xAC00 && c < 0xD7A4) ||
                (c >= 0xF900 && c < 0xFB00) || (c >= 0xFE30 && c < 0xFE70) || (c >= 0xFF00 && c < 0xFF61) ||
                (c >= 0x1F300 && c < 0x1FB00) || (c >= 0x20000 && c < 0x40000);
    return wide ? 2 : 1;
}

static int columns(const char *text, size_t length)
{
    const unsigned char *at = (const unsigned char *)text, *end = at + length;
    int sum = 0;
    for (int n; at < end; at += n)
        sum += point_width(utf8_read(at, end, &n));
    return sum;
}

/* Text between page columns lo and hi of a line; control characters and broken UTF-8 show as '?'. */
static void put_window(Buf *out, const char *text, size_t length, int lo, int hi)
{
    const unsigned char *at = (const unsigned char *)text, *end = at + length;
    int column = 0, n;
    for (; at < end; at += n) {
        uint32_t point = utf8_read(at, end, &n);
        int width = point_width(point);
        bool shown = column >= lo && column + width <= hi;
        column += width;
        if (!shown)
            continue;
        if (point == '\t')
            buf_text(out, "    ");
        else if (point < ' ' || point == 0x7F || (point == 0xFFFD && n == 1))
            buf_text(out, "?");
        else
            buf_put(out, at, (size_t)n);
    }
}

/* ---- HUMAN ---- */
static void paint(const Render *r, const char *color)
{
    if (r->color)
        buf_printf(r->out, "\x1b[%sm", color);
}

static const char *color_of(DiagCode code)
{
    switch (diag_severity(code)) {
    case SEVERITY_NOTE: return "1;36";
    case SEVERITY_WARNING: return "1;33";
    case SEVERITY_ERROR: return "1;31";
    case SEVERITY_RUNTIME: return "1;35";
    }
    return "0";
}

static void put_gutter(const Render *r, int digits, int line)
{
    paint(r, "1;34");
    if (line > 0)
        buf_printf(r->out, " %*d |", digits, line);
    else
        buf_printf(r->out, " %*s |", digits, "");
    paint(r, "0");
}

typedef struct Line { const char *text; size_t length; } Line;

static Line line_of(const Source *source, uint32_t offset)
{
    uint32_t lo = offset - source->base, hi = lo;
    while (lo > 0 && source->text[lo - 1] != '\n')
        lo--;
    while (hi < source->length && source->text[hi] != '\n')
        hi++;
    if (hi > lo && source->text[hi - 1] == '\r')
        hi--;
    return (Line){source->text + lo, hi - lo};
}

typedef struct Window { int lo, hi; } Window;

static Window window_of(int line, int mark, int room)
{
    if (line <= room)
        return (Window){0, line};
    int lo = mark - room / 3;
    lo = lo + room > line ? line - room : lo;
    lo = lo < 0 ? 0 : lo;
    return (Window){lo, lo + room};
}

static void put_excerpt(const Render *r, const Mark *mark, Line line, Window window, int all, int digits)
{
    put_gutter(r, digits, mark->place.line);
    buf_text(r->out, window.lo > 0 ? "..." : " ");
    put_window(r->out, line.text, line.length, window.lo > 0 ? window.lo + 2 : 0, window.hi);
    buf_text(r->out, window.hi < all ? "...\n" : "\n");
}

static void put_indented(const Render *r, const char *text, int indent)
{
    for (;;) {
        size_t length = strcspn(text, "\n");
        buf_put(r->out, text, length);
        buf_text(r->out, "\n");
        if (!text[length])
            return;
        text += length + 1;
        if (*text)
            buf_printf(r->out, "%*s", indent, "");
    }
}

static void put_carets(const Render *r, const Diag *diag, const Mark *mark, int lo, int hi, Window window, int digits)
{
    put_gutter(r, digits, 0);
    int from = lo - window.lo, to = (hi > window.hi ? window.hi : hi) - window.lo;
    buf_printf(r->out, " %*s", from, "");
    paint(r, mark->primary ? color_of(diag->code) : "1;34");
    for (int i = from; i < to || i == from; i++)
        buf_text(r->out, mark->primary ? "^" : "-");
    if (mark->text && *mark->text) {
        buf_text(r->out, " ");
        put_indented(r, mark->text, digits + 4 + (to > from ? to : from + 1) + 1);
        r->out->len--;
    }
    paint(r, "0");
    buf_text(r->out, "\n");
}

static int mark_compare(const void *pa, const void *pb)
{
    const Mark *a = pa, *b = pb;
    if (a->source != b->source)
        return a->order - b->order;
    if (a->place.line != b->place.line)
        return a->place.line < b->place.line ? -1 : 1;
    return a->primary != b->primary ? (a->primary ? -1 : 1) : a->order - b->order;
}

/* All places a diagnostic points at; `order` keeps the files in order of first mention. */
static int marks_of(const Render *r, const Diag *diag, Arena *scratch, Mark **marks)
{
    int count = 0;
    *marks = arena_array(scratch, Mark, diag->labels.len + 1);
    for (int i = -1; i < diag->labels.len; i++) {
        Span span = i < 0 ? diag->span : diag->labels.at[i].span;
        const Source *source = sources_of(r->diags->sources, span);
        if (!source)
            continue;
        (*marks)[count++] = (Mark){span, i < 0 ? NULL : diag->labels.at[i].text, i < 0, source,
                                   sources_place(r->diags->sources, span.lo), i};
    }
    for (int i = 0; i < count; i++)
        for (int j = 0; j < i; j++)
            if ((*marks)[j].source == (*marks)[i].source && i > 0)
                (*marks)[i].order = (*marks)[j].order > (*marks)[i].order ? (*marks)[j].order : (*marks)[i].order;
    return count;
}

static int digits_of(const Mark *marks, int count)
{
    int largest = 1, digits = 1;
    for (int i = 0; i < count; i++)
        if (marks[i].place.line > largest)
            largest = marks[i].place.line;
    while (largest >= 10)
        largest /= 10, digits++;
    return digits;
}

/* A mark with its line, unless the line stands above already in a window that shows the mark. */
static Window put_mark(const Render *r, const Diag *diag, const Mark *mark, const Mark *above, Window shown, int digits)
{
    Line line = line_of(mark->source, mark->span.lo);
    uint32_t start = (uint32_t)(line.text - mark->source->text) + mark->source->base;
    size_t first = mark->span.lo - start, last = mark->span.hi - start;
    int all = columns(line.text, line.length), room = r->width - digits - 4 - 6;
    int lo = columns(line.text, first < line.length ? first : line.length);
    int hi = columns(line.text, last < line.length ? last : line.length);
    bool same = above && above->source == mark->source && above->place.line == mark->place.line;
    Window window = window_of(all, lo, room < 20 ? 20 : room);
    if (same && lo >= shown.lo + (shown.lo > 0 ? 2 : 0) && (lo < shown.hi || shown.hi == all))
        window = shown;
    else
        put_excerpt(r, mark, line, window, all, digits);
    put_carets(r, diag, mark, lo, hi, window, digits);
    return window;
}

static void put_arrow(const Render *r, const char *arrow, Place place, int digits)
{
    paint(r, "1;34");
    buf_printf(r->out, " %*s%s ", digits, "", arrow);
    paint(r, "0");
    buf_printf(r->out, "%s:%d:%d\n", place.path, place.line, place.column);
}

static void put_remark(const Render *r, const char *what, const char *text, int digits)
{
    paint(r, "1;34");
    buf_printf(r->out, " %*s = ", digits, "");
    paint(r, "1;36");
    buf_text(r->out, what);
    paint(r, "0");
    buf_text(r->out, ": ");
    put_indented(r, text, digits + 4 + (int)strlen(what) + 2);
}

static void put_marks(const Render *r, const Diag *diag, Mark *marks, int count, int digits)
{
    if (count && marks[0].primary)
        put_arrow(r, "-->", marks[0].place, digits);
    if (count > 1)
        qsort(marks, (size_t)count, sizeof *marks, mark_compare);
    Window shown = {0, 0};
    for (int i = 0; i < count; i++) {
        const Mark *above = i ? &marks[i - 1] : NULL;
        bool other_file = above ? above->source != marks[i].source
                                : sources_of(r->diags->sources, diag->span) != marks[i].source;
        if (other_file)
            put_arrow(r, ":::", marks[i].place, digits);
        else if (above && marks[i].place.line > above->place.line + 1)
            buf_printf(r->out, " %*s ...\n", digits, "");
        if (!above || other_file) {
            put_gutter(r, digits, 0);
            buf_text(r->out, "\n");
        }
        shown = put_mark(r, diag, &marks[i], above, shown, digits);
    }
}

static void render_human(const Render *r, const Diag *diag, Arena *scratch)
{
    Mark *marks;
    int count = marks_of(r, diag, scratch, &marks), digits = digits_of(marks, count);
    paint(r, color_of(diag->code));
    buf_printf(r->out, "%s %s", severity_text(diag->code), diag_name(diag->code));
    paint(r, "0");
    paint(r, "1");
    buf_text(r->out, ": ");
    put_indented(r, diag->message, 2);
    r->out->len--;
    paint(r, "0");
    buf_text(r->out, "\n");
    put_marks(r, diag, marks, count, digits);
    for (int i = 0; i < diag->notes.len; i++)
        put_remark(r, "note", diag->notes.at[i], digits);
    if (diag->hint)
        put_remark(r, "hint", diag->hint, digits);
    buf_text(r->out, "\n");
}

/* ---- LINE ---- */
static void put_flat(Buf *out, const char *text)
{
    for (; *text; text++)
        buf_put(out, *text == '\n' ? " " : text, 1);
}

static void render_line(const Render *r, const Diag *diag)
{
    Place place = sources_place(r->diags->sources, diag->span.lo);
    if (place.line)
        buf_printf(r->out, "%s:%d:%d: ", place.path, place.line, place.column);
    buf_printf(r->out, "%s[%s]: ", severity_text(diag->code), diag_name(diag->code));
    put_flat(r->out, diag->message);
    if (diag->hint) {
        buf_text(r->out, " (");
        put_flat(r->out, diag->hint);
        buf_text(r->out, ")");
    }
    buf_text(r->out, "\n");
}

/* ---- JSON ---- */
static void json_text(Buf *out, const char *text)
{
    buf_text(out, "\"");
    const unsigned char *at = (const unsigned char *)text, *end = at + strlen(text);
    for (int n; at < end; at += n) {
        uint32_t point = utf8_read(at, end, &n);
        if (point == '"' || point == '\\')
            buf_printf(out, "\\%c", (char)point);
        else if (point == '\n')
            buf_text(out, "\\n");
        else if (point < ' ' || (point == 0xFFFD && n == 1))
            buf_printf(out, "\\u%04x", point);
        else
            buf_put(out, at, (size_t)n);
    }
    buf_text(out, "\"");
}

static void json_span(const Render *r, Span span)
{
    if (!sources_of(r->diags->sources, span)) {
        buf_text(r->out, "null");
        return;
    }
    Place lo = sources_place(r->diags->sources, span.lo), hi = sources_place(r->diags->sources, span.hi);
    buf_text(r->out, "{\"file\": ");
    json_text(r->out, lo.path);
    buf_printf(r->out, ", \"line\": %d, \"column\": %d, \"end\": {\"line\": %d, \"column\": %d}}", lo.line, lo.column,
               hi.line, hi.column);
}

static void json_spans(const Render *r, const char *name, const Diag *diag, bool labels)
{
    int count = labels ? diag->labels.len : diag->fixes.len;
    buf_printf(r->out, ",\n   \"%s\": [", name);
    for (int i = 0; i < count; i++) {
        buf_text(r->out, i ? ", {\"span\": " : "{\"span\": ");
        json_span(r, labels ? diag->labels.at[i].span : diag->fixes.at[i].span);
        buf_text(r->out, labels ? ", \"text\": " : ", \"replacement\": ");
        json_text(r->out, labels ? diag->labels.at[i].text : diag->fixes.at[i].replacement);
        buf_text(r->out, "}");
    }
    buf_text(r->out, "]");
}

static void render_json(const Render *r, const Diag *diag)
{
    static const char *const severities[] = {"note", "warning", "error", "runtime"};
    buf_printf(r->out, "  {\"code\": \"%s\", \"severity\": \"%s\",\n   \"message\": ", diag_name(diag->code),
               severities[diag_severity(diag->code)]);
    json_text(r->out, diag->message);
    buf_text(r->out, ",\n   \"span\": ");
    json_span(r, diag->span);
    json_spans(r, "labels", diag, true);
    buf_text(r->out, ",\n   \"notes\": [");
    for (int i = 0; i < diag->notes.len; i++) {
        buf_text(r->out, i ? ", " : "");
        json_text(r->out, diag->notes.at[i]);
    }
    buf_text(r->out, "],\n   \"hint\": ");
    if (diag->hint)
        json_text(r->out, diag->hint);
    else
        buf_text(r->out, "null");
    json_spans(r, "fixes", diag, false);
    buf_text(r->out, "}");
}

void diags_render(const Diags *diags, DiagStyle style, bool color, int width, int limit, Buf *out)
{
    Arena *scratch = arena_new();
    int count, shown;
    Entry *entries = entries_sorted(diags, scratch, &count);
    Render render = {diags, out, color && style == DIAG_HUMAN, width < 40 ? 40 : width};
    shown = limit > 0 && count > limit ? limit : count;
    if (style == DIAG_JSON)
        buf_text(out, "[\n");
    for (int i = 0; i < shown; i++) {
        if (style == DIAG_HUMAN)
            render_human(&render, entries[i].diag, scratch);
        else if (style == DIAG_LINE)
            render_line(&render, entries[i].diag);
        else
            render_json(&render, entries[i].diag);
        if (style == DIAG_JSON)
            buf_text(out, i + 1 < shown || shown < count ? ",\n" : "\n");
    }
    if (style == DIAG_JSON)
        buf_printf(out, shown < count ? "  {\"more\": %d}\n]\n" : "]\n", count - shown);
    else if (shown < count)
        buf_printf(out, "and %d more\n", count - shown);
    arena_free(scratch);
}
