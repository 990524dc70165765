/* builtins_objects.c -- distributions and selections (objects.h). */
#include "sema/builtins.h"

#include "sema/objects.h"

/* ---- distributions ---- */

static const char *const distribution_names[] = { "uniform", "normal", "truncated", "orthogonal" };

static void distribution_identity(const Object *self, Buf *out)
{
    const Distribution *d = (const void *)self;
    char a[32], b[32];
    text_of_f64(a, d->a);
    text_of_f64(b, d->b);
    if (d->kind == DIST_ORTHOGONAL) buf_printf(out, "orthogonal(%s)", a);
    else buf_printf(out, "%s(%s, %s)", distribution_names[d->kind], a, b);
}

static const char *const no_fields[] = { NULL };
const ObjectClass distribution_class = {
    .name = "distribution", .fields = no_fields, .identity = distribution_identity };

const Distribution *value_distribution(const Value *value)
{
    if (value->kind != V_OBJECT || value->object->class != &distribution_class) return NULL;
    return (const void *)value->object;
}

Value distribution_value(Arena *arena, DistributionKind kind, double a, double b)
{
    Distribution *d = arena_new_of(arena, Distribution);
    *d = (Distribution){ { &distribution_class }, kind, a, b };
    return value_object(&d->object);
}

static bool distribution(Eval *e, const BuiltinCall *call, DistributionKind kind, Value *out)
{
    double a, b = 0;
    if (builtin_absorbs(call, out)) return out->kind != V_ERROR;
    if (!arg_real(e, call, 0, &a)) return eval_fail(out);
    if (call->args_len > 1 && !arg_real(e, call, 1, &b)) return eval_fail(out);
    if (!(a - a == 0) || !(b - b == 0)) return call_fail(e, call, out, D_E0314, "a distribution needs finite numbers");
    if (kind == DIST_UNIFORM && !(a <= b))
        return call_fail(e, call, out, D_E0314, "uniform goes from a lower number to a higher one");
    if ((kind == DIST_NORMAL || kind == DIST_TRUNCATED) && !(b >= 0))
        return arg_fail(e, call, 1, out, D_E0314, "a standard deviation is not negative");
    *out = distribution_value(e->arena, kind, a, b);
    return true;
}

bool builtin_uniform(Eval *e, const BuiltinCall *call, Value *out) { return distribution(e, call, DIST_UNIFORM, out); }
bool builtin_normal(Eval *e, const BuiltinCall *call, Value *out) { return distribution(e, call, DIST_NORMAL, out); }
bool builtin_truncated(Eval *e, const BuiltinCall *call, Value *out)
{
    return distribution(e, call, DIST_TRUNCATED, out);
}
bool builtin_orthogonal(Eval *e, const BuiltinCall *call, Value *out)
{
    return distribution(e, call, DIST_ORTHOGONAL, out);
}

bool builtin_initial(Eval *e, const BuiltinCall *call, Value *out)
{
    const Value *init = &call->args[0];
    if (builtin_absorbs(call, out)) return out->kind != V_ERROR;
    if (init->kind == V_CALLABLE && init->callable->what == DEF_FN)
        return eval_call(e, init, &call->args[1], 2, call->span, out);
    bool number = init->kind == V_INT || init->kind == V_REAL || init->kind == V_TENSOR || init->kind == V_LIST;
    if (number || value_distribution(init)) {
        *out = *init;
        return true;
    }
    return arg_fail(e, call, 0, out, D_E0314, "%s is no initialiser, distribution or number", value_kind_name(init));
}

/* ---- selections ---- */

static void selection_text(const Selection *s, Buf *out)
{
    switch (s->kind) {
    case SELECT_ALL: buf_text(out, "all"); break;
    case SELECT_CELLS: buf_text(out, "cells"); break;
    case SELECT_OUTER: buf_text(out, "outer"); break;
    case SELECT_PARAMS: buf_printf(out, "params(\"%s\")", s->pattern); break;
    case SELECT_NOT: buf_text(out, "not "); selection_text(s->a, out); break;
    case SELECT_AND: case SELECT_OR:
        buf_text(out, "(");
        selection_text(s->a, out);
        buf_text(out, s->kind == SELECT_AND ? " and " : " or ");
        selection_text(s->b, out);
        buf_text(out, ")");
        break;
    }
}

static void selection_identity(const Object *self, Buf *out)
{
    selection_text((const void *)self, out);
}

const ObjectClass selection_class = { .name = "selection", .fields = no_fields, .identity = selection_identity };

static Selection *selection_new(Arena *arena, SelectionKind kind)
{
    Selection *s = arena_new_of(arena, Selection);
    s->object.class = &selection_class;
    s->kind = kind;
    return s;
}

const Selection *value_selection(Arena *arena, const Value *value)
{
    const char *word = value->kind == V_CHOICE ? value->choice : "";
    if (value->kind == V_OBJECT && value->object->class == &selection_class) return (const void *)value->object;
    if (value->kind == V_CALLABLE && value->callable->def && value->callable->def->builtin)
        word = value->callable->def->name;
    if (!strcmp(word, "all")) return selection_new(arena, SELECT_ALL);
    if (!strcmp(word, "cells")) return selection_new(arena, SELECT_CELLS);
    if (!strcmp(word, "outer")) return selection_new(arena, SELECT_OUTER);
    return NULL;
}

bool selection_join(Arena *arena, SelectionKind kind, const Value *a, const Value *b, Value *out)
{
    Selection *s = selection_new(arena, kind);
    s->a = value_selection(arena, a);
    s->b = b ? value_selection(arena, b) : NULL;
    if (!s->a || (b && !s->b)) return false;
    *out = value_object(&s->object);
    return true;
}

/* One part of a path: "dense[2]" has the name "dense" and the number "[2]". */
static const char *part_end(const char *text)
{
    while (*text && *text != '.') text++;
    return text;
}

static bool text_fits(const char *pattern, const char *pattern_end, const char *text, const char *text_end)
{
    if (pattern == pattern_end) return text == text_end;
    if (*pattern == '*') {
        for (const char *at = text; at <= text_end; at++)
            if (text_fits(pattern + 1, pattern_end, at, text_end)) return true;
        return false;
    }
    return text < text_end && *pattern == *text && text_fits(pattern + 1, pattern_end, text + 1, text_end);
}

static bool part_fits(const char *pattern, const char *pattern_end, const char *part, const char *end)
{
    const char *number = memchr(part, '[', (size_t)(end - part));
    if (text_fits(pattern, pattern_end, part, end)) return true;
    bool first = number && end - number == 3 && number[1] == '1';
    return first && !memchr(pattern, '[', (size_t)(pattern_end - pattern))
        && text_fits(pattern, pattern_end, part, number);
}

/* `*` in a part stands for any text in it; a part that is `*` alone and last, for the rest of the path. */
bool path_fits(const char *pattern, const char *path)
{
    if (!strcmp(pattern, "*")) return true;
    const char *pattern_end = part_end(pattern), *end = part_end(path);
    if (!part_fits(pattern, pattern_end, path, end)) return false;
    if (!*pattern_end || !*end) return !*pattern_end && !*end;
    return path_fits(pattern_end + 1, end + 1);
}

bool selection_has(const Selection *s, const char *path, bool of_cell)
{
    switch (s->kind) {
    case SELECT_ALL: return true;
    case SELECT_CELLS: return of_cell;
    case SELECT_OUTER: return !of_cell;
    case SELECT_PARAMS: return path_fits(s->pattern, path);
    case SELECT_NOT: return !selection_has(s->a, path, of_cell);
    case SELECT_AND: return selection_has(s->a, path, of_cell) && selection_has(s->b, path, of_cell);
    case SELECT_OR: return selection_has(s->a, path, of_cell) || selection_has(s->b, path, of_cell);
    }
    return false;
}

bool builtin_params(Eval *e, const BuiltinCall *call, Value *out)
{
    if (builtin_absorbs(call, out)) return out->kind != V_ERROR;
    if (call->args[0].kind != V_TEXT)
        return arg_fail(e, call, 0, out, D_E0314, "params needs a pattern, as \"dense[1].*\"");
    Selection *s = selection_new(e->arena, SELECT_PARAMS);
    s->pattern = call->args[0].text;
    *out = value_object(&s->object);
    return true;
}
