/* markup.h -- pieces of an HTML page: text, tables, and figures put inside it.
 *
 * Nothing of what a text or file says becomes markup: texts are escaped, and of an SVG only known elements and
 * attributes pass, with references to itself alone.  Every element that is opened is closed, so that the page is XML as
 * well. */
#ifndef NIN_MARKUP_H
#define NIN_MARKUP_H

#include "report/table.h"

/* A text or an attribute's value.  Control characters, and those that turn the direction of writing, are replaced. */
void html_text(Buf *out, const char *text);
void html_lines(Buf *out, const char *text);           /* the same; line ends and tabs stay */
/* The rows of a table, at most `most` (0: all); caption: NULL if there is none. */
void html_table(Buf *out, Arena *arena, const Table *table, const char *caption, int64_t most);
/* An SVG inside a page.  prefix: of its ids, which are the page's; label: what it shows.  False: it is none. */
bool html_svg(Buf *out, const char *svg, size_t length, const char *prefix, const char *label);
/* An image as data. */
void html_png(Buf *out, const char *png, size_t length, const char *label);

#endif
