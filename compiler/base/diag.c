/* diag.c -- the table of codes, and building diagnostics.  Everything lives in the list's arena. */
#include "base/diag.h"

static const struct { const char *name, *title, *explanation; Severity severity; } codes[] = {
#define DIAG(code, severity, title, explanation) {#code, title, explanation, SEVERITY_##severity},
#include "diagnostics.def"
#undef DIAG
};

const char *diag_name(DiagCode code)
{
    return codes[code].name;
}

const char *diag_title(DiagCode code)
{
    return codes[code].title;
}

const char *diag_explanation(DiagCode code)
{
    return codes[code].explanation;
}

Severity diag_severity(DiagCode code)
{
    return codes[code].severity;
}

bool diag_by_name(const char *name, DiagCode *code)
{
    for (int i = 0; i < DIAG_COUNT; i++)
        if (strcmp(codes[i].name, name) == 0) {
            *code = (DiagCode)i;
            return true;
        }
    return false;
}

void diags_init(Diags *diags, Arena *arena, Sources *sources)
{
    *diags = (Diags){.arena = arena, .sources = sources};
}

static bool is_error(DiagCode code)
{
    return codes[code].severity >= SEVERITY_ERROR;
}

Diag *diag_add(Diags *diags, DiagCode code, Span span, const char *format, ...)
{
    Diag *diag = arena_new_of(diags->arena, Diag);
    va_list args;
    va_start(args, format);
    diag->message = arena_vprintf(diags->arena, format, args);
    va_end(args);
    diag->code = code;
    diag->span = span;
    diag->owner = diags;
    vec_push(diags->arena, &diags->list, diag);
    diags->errors += is_error(code);
    return diag;
}

void diag_label(Diag *diag, Span span, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    DiagLabel label = {span, arena_vprintf(diag->owner->arena, format, args)};
    va_end(args);
    vec_push(diag->owner->arena, &diag->labels, label);
}

void diag_note(Diag *diag, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    const char *note = arena_vprintf(diag->owner->arena, format, args);
    va_end(args);
    vec_push(diag->owner->arena, &diag->notes, note);
}

void diag_hint(Diag *diag, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    diag->hint = arena_vprintf(diag->owner->arena, format, args);
    va_end(args);
}

void diag_fix(Diag *diag, Span span, const char *replacement)
{
    DiagFix fix = {span, arena_copy(diag->owner->arena, replacement, strlen(replacement))};
    vec_push(diag->owner->arena, &diag->fixes, fix);
}

int diags_mark(const Diags *diags)
{
    return diags->list.len;
}

void diags_discard(Diags *diags, int mark)
{
    while (diags->list.len > mark)
        diags->errors -= is_error(diags->list.at[--diags->list.len]->code);
}

static const char *text_keep(Arena *arena, const char *text)
{
    return text ? arena_copy(arena, text, strlen(text)) : NULL;
}

static Diag *diag_keep(Diags *diags, const Diag *from)
{
    Arena *arena = diags->arena;
    Diag *diag = arena_new_of(arena, Diag);
    *diag = (Diag){.code = from->code, .span = from->span, .owner = diags};
    diag->message = text_keep(arena, from->message);
    diag->hint = text_keep(arena, from->hint);
    for (int i = 0; i < from->labels.len; i++)
        vec_push(arena, &diag->labels,
                 ((DiagLabel){from->labels.at[i].span, text_keep(arena, from->labels.at[i].text)}));
    for (int i = 0; i < from->notes.len; i++)
        vec_push(arena, &diag->notes, text_keep(arena, from->notes.at[i]));
    for (int i = 0; i < from->fixes.len; i++)
        vec_push(arena, &diag->fixes,
                 ((DiagFix){from->fixes.at[i].span, text_keep(arena, from->fixes.at[i].replacement)}));
    return diag;
}

void diags_take(Diags *to, const Diags *from)
{
    for (int i = 0; i < from->list.len; i++)
        vec_push(to->arena, &to->list, diag_keep(to, from->list.at[i]));
    to->errors += from->errors;
}
