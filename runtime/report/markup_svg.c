/* markup_svg.c -- an SVG as part of a page: read element by element, and written again from what is known.
 *
 * Unknown elements go with all that they hold, unknown attributes alone.  A reference is to an id of the same drawing
 * or an image as data.  Ids get a prefix.  Ink, paper and grid lines become the page's, which is dark for some readers.
 */
#include <ctype.h>
#include <stdlib.h>

#include "report/markup.h"

enum { DEEPEST = 64, LONGEST_NAME = 32 };

typedef struct Drawing {
    const char *at, *end; Buf *out; const char *prefix, *label;
    char open[DEEPEST][LONGEST_NAME]; bool shown[DEEPEST]; int depth;
    bool begun, bad;
} Drawing;

static const char *const elements[] = {
    "svg", "g", "path", "rect", "circle", "ellipse", "line", "polyline", "polygon", "text", "tspan", "use",
    "defs", "image", "filter", "feFlood", "feComposite", "clipPath", "pattern"};
static const char *const attributes[] = {
    "x", "y", "x1", "y1", "x2", "y2", "dx", "dy", "cx", "cy", "r", "rx", "ry", "d", "points", "width", "height",
    "viewBox", "transform", "fill", "fill-opacity", "fill-rule", "stroke", "stroke-width", "stroke-linecap",
    "stroke-linejoin", "stroke-dasharray", "stroke-opacity", "stroke-miterlimit", "color", "opacity",
    "text-anchor", "font-size", "font-weight", "font-style", "preserveAspectRatio", "shape-rendering",
    "image-rendering", "filterUnits", "patternUnits", "in", "in2", "result", "operator", "flood-color",
    "flood-opacity", "clip-path", "filter", "id", "href", "xlink:href", "style"};

static bool listed(const char *const *list, int n, const char *name) {
    for (int i = 0; i < n; i++)
        if (strcmp(list[i], name) == 0) return true;
    return false;
}

static bool shown(const Drawing *d) { return d->depth == 0 || d->shown[d->depth - 1]; }

/* ---- reading ---- */
static bool starts(const Drawing *d, const char *text) {
    size_t n = strlen(text);
    return (size_t)(d->end - d->at) >= n && strncmp(d->at, text, n) == 0;
}

static void skip_past(Drawing *d, const char *text) {
    while (d->at < d->end && !starts(d, text)) d->at++;
    if (d->at < d->end) d->at += strlen(text);
    else d->bad = true;
}

static void blanks(Drawing *d) {
    while (d->at < d->end && isspace((unsigned char)*d->at)) d->at++;
}

static bool read_name(Drawing *d, char name[LONGEST_NAME]) {
    int n = 0;
    while (d->at < d->end &&
           (isalnum((unsigned char)*d->at) || *d->at == ':' || *d->at == '-' || *d->at == '_' || *d->at == '.')) {
        if (n + 1 < LONGEST_NAME) name[n++] = *d->at;
        d->at++;
    }
    name[n] = 0;
    return n > 0;
}

/* name="value": false at the end of the tag. */
static bool read_attribute(Drawing *d, char name[LONGEST_NAME], const char **value, size_t *length) {
    blanks(d);
    if (d->at >= d->end || *d->at == '>' || *d->at == '/') return false;
    d->bad |= !read_name(d, name);
    blanks(d);
    if (d->bad || d->at >= d->end || *d->at != '=') return d->bad = true, false;
    d->at++;
    blanks(d);
    if (d->at >= d->end || (*d->at != '"' && *d->at != '\'')) return d->bad = true, false;
    char quote = *d->at++;
    *value = d->at;
    while (d->at < d->end && *d->at != quote) d->at++;
    *length = (size_t)(d->at - *value);
    if (d->at >= d->end) return d->bad = true, false;
    d->at++;
    return true;
}

/* ---- values ---- */
static bool plain_id(const char *text, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (!isalnum((unsigned char)text[i]) && text[i] != '_' && text[i] != '-' && text[i] != '.') return false;
    return n > 0;
}

/* #id, or an image as data. */
static void put_reference(Drawing *d, const char *value, size_t n) {
    static const char data[] = "data:image/png;base64,";
    if (n > 1 && value[0] == '#' && plain_id(value + 1, n - 1))
        buf_printf(d->out, " href=\"#%s%.*s\"", d->prefix, (int)n - 1, value + 1);
    if (n < sizeof data - 1 || strncmp(value, data, sizeof data - 1) != 0) return;
    buf_printf(d->out, " href=\"%s", data);
    for (size_t i = sizeof data - 1; i < n; i++)
        if (isalnum((unsigned char)value[i]) || value[i] == '+' || value[i] == '/' || value[i] == '=')
            buf_put(d->out, value + i, 1);
    buf_text(d->out, "\"");
}

/* "url(#id)" */
static bool put_url(Drawing *d, const char *name, const char *value, size_t n) {
    if (n < 7 || strncmp(value, "url(#", 5) != 0 || value[n - 1] != ')' || !plain_id(value + 5, n - 6)) return false;
    buf_printf(d->out, " %s=\"url(#%s%.*s)\"", name, d->prefix, (int)n - 6, value + 5);
    return true;
}

/* Colours that have a part on the page: they follow its light. */
static const char *page_color(const char *value, size_t n) {
    static const char *const roles[][2] = {
        {"#ffffff", "var(--paper)"},     {"white", "var(--paper)"}, {"rgb(255,255,255)", "var(--paper)"},
        {"black", "var(--ink)"},         {"#000000", "var(--ink)"}, {"rgb(0,0,0)", "var(--ink)"},
        {"rgb(51,51,51)", "var(--ink)"}, {"#333333", "var(--ink)"}, {"rgb(228,228,228)", "var(--grid)"},
        {"#e4e4e4", "var(--grid)"}};
    char text[32];
    size_t m = 0;
    for (size_t i = 0; i < n && m + 1 < sizeof text; i++)
        if (value[i] != ' ') text[m++] = (char)tolower((unsigned char)value[i]);
    text[m] = 0;
    for (int i = 0; i < COUNT(roles); i++)
        if (strcmp(roles[i][0], text) == 0) return roles[i][1];
    return NULL;
}

static bool harmless(const char *value, size_t n) {
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)value[i];
        if ((c < 0x20 && !isspace(c)) || c >= 0x7f || strchr("<>&\"':;\\", c)) return false;
        if (c == 'u' && n - i > 3 && strncmp(value + i, "url", 3) == 0) return false;
    }
    return true;
}

static void put_attribute(Drawing *d, const char *name, const char *value, size_t n) {
    static const char filter[] = "filter:";
    const char *color = page_color(value, n);
    if (strcmp(name, "href") == 0 || strcmp(name, "xlink:href") == 0) {
        put_reference(d, value, n);
    } else if (strcmp(name, "id") == 0) {
        if (plain_id(value, n)) buf_printf(d->out, " id=\"%s%.*s\"", d->prefix, (int)n, value);
    } else if (strcmp(name, "style") == 0) {
        size_t m = sizeof filter - 1;
        if (n > m && strncmp(value, filter, m) == 0) put_url(d, "filter", value + m, n - m);
    } else if (color) {
        buf_printf(d->out, " %s=\"%s\"", name, color);
    } else if (!put_url(d, name, value, n) && harmless(value, n)) {
        buf_printf(d->out, " %s=\"", name);
        buf_put(d->out, value, n);
        buf_text(d->out, "\"");
    }
}

/* ---- elements ---- */
/* The size of the whole drawing says how wide it is shown. */
static void put_root(Drawing *d, double width, double height) {
    buf_printf(d->out,
               " viewBox=\"0 0 %g %g\" width=\"%g\" height=\"%g\" style=\"--w:%gpx\" role=\"img\" aria-label=\"", width,
               height, width, height, width);
    html_text(d->out, d->label);
    buf_text(d->out, "\"");
}

static void read_tag(Drawing *d, const char *name, bool show) {
    char attribute[LONGEST_NAME];
    const char *value;
    size_t n;
    double size[2] = {0, 0};
    bool root = d->depth == 0;
    while (read_attribute(d, attribute, &value, &n)) {
        if (root && strcmp(attribute, "width") == 0) size[0] = strtod(value, NULL);
        if (root && strcmp(attribute, "height") == 0) size[1] = strtod(value, NULL);
        if (show && !root && listed(attributes, COUNT(attributes), attribute)) put_attribute(d, attribute, value, n);
    }
    if (!root) return;
    d->bad |= strcmp(name, "svg") != 0 || !(size[0] > 0 && size[0] < 1e5 && size[1] > 0 && size[1] < 1e5);
    if (!d->bad) put_root(d, size[0], size[1]);
}

static void element_begin(Drawing *d) {
    char name[LONGEST_NAME];
    d->at++;
    if (!read_name(d, name) || d->depth == DEEPEST || (d->depth == 0 && d->begun)) {
        d->bad = true;
        return;
    }
    bool show = shown(d) && listed(elements, COUNT(elements), name) && (d->depth == 0) == (strcmp(name, "svg") == 0);
    if (show) buf_printf(d->out, "<%s", name);
    read_tag(d, name, show);
    d->begun = true;
    bool empty = d->at < d->end && *d->at == '/';
    d->at += empty;
    if (d->bad || d->at >= d->end || *d->at != '>') {
        d->bad = true;
        return;
    }
    d->at++;
    if (show) buf_text(d->out, empty ? "/>" : ">");
    if (empty) return;
    memcpy(d->open[d->depth], name, sizeof name);
    d->shown[d->depth++] = show;
}

static void element_end(Drawing *d) {
    char name[LONGEST_NAME];
    d->at += 2;
    read_name(d, name);
    blanks(d);
    if (d->depth == 0 || strcmp(d->open[d->depth - 1], name) != 0 || d->at >= d->end || *d->at != '>') {
        d->bad = true;
        return;
    }
    d->at++;
    if (d->shown[--d->depth]) buf_printf(d->out, "</%s>", name);
}

/* &amp; &#x2212; ... as they are; an & alone is escaped. */
static bool entity(const Drawing *d, size_t *length) {
    size_t n = 1;
    while (d->at + n < d->end && n < 10 && (isalnum((unsigned char)d->at[n]) || (n == 1 && d->at[n] == '#'))) n++;
    *length = n + 1;
    static const char *const names[] = {"&amp;", "&lt;", "&gt;", "&quot;", "&apos;"};
    if (d->at + n >= d->end || d->at[n] != ';') return false;
    for (int i = 0; i < COUNT(names); i++)
        if (strlen(names[i]) == n + 1 && strncmp(d->at, names[i], n + 1) == 0) return true;
    long c = d->at[1] != '#' || n < 3 ? 0 : strtol(d->at + (d->at[2] == 'x' ? 3 : 2), NULL, d->at[2] == 'x' ? 16 : 10);
    bool turns = (c >= 0x202a && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069);
    return c >= 0x20 && c < 0xd800 && !turns && !(c >= 0x7f && c < 0xa0);
}

static void read_text(Drawing *d) {
    Buf text = {0};
    bool inside = d->depth > 0 && shown(d) &&
                  (strcmp(d->open[d->depth - 1], "text") == 0 || strcmp(d->open[d->depth - 1], "tspan") == 0);
    while (d->at < d->end && *d->at != '<') {
        size_t n;
        if (*d->at == '&' && entity(d, &n)) {
            buf_put(&text, "", 1);
            if (inside) html_text(d->out, text.at), buf_put(d->out, d->at, n);
            text.len = 0;
            d->at += n;
        } else {
            if (*d->at) buf_put(&text, d->at, 1);
            d->at++;
        }
    }
    buf_put(&text, "", 1);
    if (inside) html_text(d->out, text.at);
    else if (d->depth > 0) buf_text(d->out, "\n");
    buf_free(&text);
}

bool html_svg(Buf *out, const char *svg, size_t length, const char *prefix, const char *label) {
    size_t before = out->len;
    Drawing d = {.at = svg, .end = svg + length, .out = out, .prefix = prefix, .label = label};
    while (d.at < d.end && !d.bad) {
        if (starts(&d, "<!--")) skip_past(&d, "-->");
        else if (starts(&d, "<?")) skip_past(&d, "?>");
        else if (starts(&d, "<![") || (starts(&d, "<!") && d.begun)) d.bad = true;
        else if (starts(&d, "<!")) skip_past(&d, ">");
        else if (starts(&d, "</")) element_end(&d);
        else if (*d.at == '<') element_begin(&d);
        else read_text(&d);
    }
    if (!d.bad && d.begun && d.depth == 0) return true;
    out->len = before;
    return false;
}
