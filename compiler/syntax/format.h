/* format.h -- the one style of Nin programs (lang/reference.md, "Style").
 *
 * The text is laid out from its tokens and comments, so nothing is added but blanks and line ends and nothing goes but
 * `;` at a line's end and a comma before a bracket that closes on the same line. */
#ifndef NIN_FORMAT_H
#define NIN_FORMAT_H

#include "syntax/ast.h"

enum { FORMAT_COLUMNS = 120, FORMAT_INDENT = 2 };

/* The source in the one style, appended to `out`.  False, with diagnostics, if it has errors. */
bool format_source(const ParseContext *context, const Source *source, Buf *out);
/* Are two parsed texts one program: equal trees but for places, equal doc comments, the same comments in order? */
bool format_same(const Module *a, const Module *b);

#endif
