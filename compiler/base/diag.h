/* diag.h -- sources, spans and diagnostics.
 *
 * A Span is a pair of offsets in one space that all files of a session share; line and column are
 * computed only when something is shown.  A diagnostic is data: code, message, labelled spans, notes,
 * a hint, a fix.  The list is collected; three renderers show it (human, one-line, JSON).
 * Codes, severities, titles and explanations are rows of lang/diagnostics.def. */
#ifndef NIN_DIAG_H
#define NIN_DIAG_H

#include "base/base.h"

typedef struct Span { uint32_t lo, hi; } Span;                 /* [lo, hi); {0, 0} = nowhere */

typedef struct Source { const char *path; const char *text; uint32_t base, length; } Source;
typedef struct Sources Sources;
Sources *sources_new(Arena *arena);
/* Registers text (copied) under a path; offsets of its spans start at the returned source's base (>= 1).
 * NULL if the offsets of all files together would no longer fit in 32 bits. */
const Source *sources_add(Sources *sources, const char *path, const char *text, size_t length);
const Source *sources_of(const Sources *sources, Span span);   /* NULL for nowhere */
typedef struct Place { const char *path; int line, column; } Place;       /* both from 1; column in code points */
Place sources_place(const Sources *sources, uint32_t offset);
/* The text a span covers, copied into the arena ("" for nowhere). */
const char *sources_text(const Sources *sources, Arena *arena, Span span);

typedef enum DiagCode {
#define DIAG(code, severity, title, explanation) D_##code,
#include "diagnostics.def"
#undef DIAG
    DIAG_COUNT
} DiagCode;
typedef enum Severity { SEVERITY_NOTE, SEVERITY_WARNING, SEVERITY_ERROR, SEVERITY_RUNTIME } Severity;

typedef struct DiagLabel { Span span; const char *text; } DiagLabel;
typedef struct DiagFix { Span span; const char *replacement; } DiagFix;
typedef struct Diag {
    DiagCode code; Span span; const char *message;
    VEC(DiagLabel) labels; VEC(const char *) notes; const char *hint;      /* "did you mean ..." */
    VEC(DiagFix) fixes;
    struct Diags *owner;
} Diag;
typedef struct Diags { Arena *arena; Sources *sources; VEC(Diag *) list; int errors; } Diags;

void diags_init(Diags *diags, Arena *arena, Sources *sources);
Diag *diag_add(Diags *diags, DiagCode code, Span span, const char *format, ...) NIN_PRINTF(4, 5);
void diag_label(Diag *diag, Span span, const char *format, ...) NIN_PRINTF(3, 4);
void diag_note(Diag *diag, const char *format, ...) NIN_PRINTF(2, 3);
void diag_hint(Diag *diag, const char *format, ...) NIN_PRINTF(2, 3);
void diag_fix(Diag *diag, Span span, const char *replacement);
int diags_mark(const Diags *diags);                            /* for speculative checks */
void diags_discard(Diags *diags, int mark);                    /* forget all since the mark */
void diags_take(Diags *to, const Diags *from);                 /* copies of all, in to's arena */

const char *diag_name(DiagCode code);                          /* "E0401" */
const char *diag_title(DiagCode code);
const char *diag_explanation(DiagCode code);
Severity diag_severity(DiagCode code);
bool diag_by_name(const char *name, DiagCode *code);

/* Renderers.  Sorted by position, equal ones once, at most `limit` (0 = all) with a closing count. */
typedef enum DiagStyle { DIAG_HUMAN, DIAG_LINE, DIAG_JSON } DiagStyle;
void diags_render(const Diags *diags, DiagStyle style, bool color, int width, int limit, Buf *out);

#endif
