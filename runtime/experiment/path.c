/* path.c -- parameters by name: paths, patterns, selections (LANGUAGE 4.5, 4.10).
 *
 * A net's own paths are full: "dense[2].w".  A written path may leave out "[1]" where a layer is the only one of
 * its name; in a pattern "*" stands for any number or any part.  A last "[i, j]" names one element (from 1). */
#include "experiment/train.h"

#include <stdlib.h>

typedef struct Part { const char *name; int length; const char *index; int index_length; } Part;

/* The next part of a path: name, and what stands in its brackets.  Returns the rest, or NULL at the end. */
static const char *part_next(const char *text, Part *part) {
    if (!text || !*text) return NULL;
    const char *p = text;
    *part = (Part){.name = text};
    while (*p && *p != '.' && *p != '[') p++;
    part->length = (int)(p - text);
    if (*p == '[') {
        part->index = ++p;
        while (*p && *p != ']') p++;
        part->index_length = (int)(p - part->index);
        if (*p) p++;
    }
    return *p == '.' ? p + 1 : p;
}

/* Two paths that differ in an index which the writer left out. */
static bool path_ambiguous(const char *pattern, const char *a, const char *b) {
    Part written, in_a, in_b;
    while ((pattern = part_next(pattern, &written)) && (a = part_next(a, &in_a)) && (b = part_next(b, &in_b)))
        if (!written.index && in_a.index
            && (in_a.index_length != in_b.index_length || strncmp(in_a.index, in_b.index, (size_t)in_a.index_length)))
            return true;
    return false;
}

static void path_unknown(Eval *e, const NetInfo *info, const char *text, Span span) {
    Buf net = {0};
    value_identity(&info->net, &net);
    identity_unversioned(&net, 0);
    Diag *diag = diag_add(e->diags, D_E0603, span, "\"%s\" is no parameter of %.*s", text, (int)net.len, net.at);
    buf_free(&net);
    int best = -1, distance = 1 + 2 * (int)strlen(text) / 3;
    for (int i = 0; i < info->params; i++) {
        int d = text_distance(text, info->param[i].path, distance);
        if (d < distance) { distance = d; best = i; }
    }
    if (best >= 0) diag_hint(diag, "did you mean \"%s\"?", info->param[best].path);
    for (int i = 0; i < info->params && i < 12; i++) diag_note(diag, "it has %s", info->param[i].path);
}

bool path_select(Eval *e, const NetInfo *info, const char *pattern, Span span, bool *mask) {
    int first = -1;
    bool found = false;
    for (int i = 0; i < info->params; i++) {
        mask[i] = !info->param[i].state && path_fits(pattern, info->param[i].path);
        if (!mask[i]) continue;
        found = true;
        if (first < 0) first = i;
        else if (path_ambiguous(pattern, info->param[first].path, info->param[i].path)) {
            Diag *diag = diag_add(e->diags, D_E0603, span, "\"%s\" may be %s or %s", pattern, info->param[first].path,
                                  info->param[i].path);
            diag_hint(diag, "write the number, or [*] for all of them");
            return false;
        }
    }
    if (!found) path_unknown(e, info, pattern, span);
    return found;
}

/* "dense.w[1, 2]": the offset of that element, or an error. */
static bool path_element(Eval *e, const NetParam *param, const char *text, const char *index, Span span, PathRef *out) {
    int64_t at[MAX_RANK];
    int n = 0;
    const char *p = index;
    while (n < MAX_RANK) {
        char *end;
        at[n++] = strtoll(p, &end, 10);
        while (*end == ' ') end++;
        p = end + 1;
        if (*end != ',') break;
    }
    bool fits = n == param->shape.rank;
    int64_t offset = 0;
    for (int i = 0; fits && i < n; i++) {
        fits = at[i] >= 1 && at[i] <= param->shape.dim[i];
        offset = offset * param->shape.dim[i] + at[i] - 1;
    }
    if (!fits) {
        Buf shape = {0};
        shape_print(&param->shape, &shape);
        diag_add(e->diags, D_E0405, span, "\"%s\" is no element of %s, which has the shape %.*s; indices start at 1",
                 text, param->path, (int)shape.len, shape.at);
        buf_free(&shape);
        return false;
    }
    out->element = true;
    out->offset = offset;
    return true;
}

bool path_find(Eval *e, const NetInfo *info, const char *text, Span span, PathRef *out) {
    *out = (PathRef){.param = -1};
    Part part = {0}, last = {0};
    for (const char *p = part_next(text, &part); p; p = part_next(p, &part)) last = part;
    const char *base = text;
    if (last.index) base = arena_copy(e->arena, text, (size_t)(last.index - 1 - text));
    for (int i = 0; i < info->params; i++) {
        if (!path_fits(base, info->param[i].path)) continue;
        if (out->param >= 0) {
            diag_add(e->diags, D_E0603, span, "\"%s\" may be %s or %s", text, info->param[out->param].path,
                     info->param[i].path);
            return false;
        }
        out->param = i;
    }
    if (out->param < 0) {
        path_unknown(e, info, text, span);
        return false;
    }
    return !last.index || path_element(e, &info->param[out->param], text, last.index, span, out);
}

bool selection_mask(Eval *e, const Value *value, const NetInfo *info, Span span, bool *mask) {
    const Selection *selection = value_selection(e->arena, value);
    if (!selection) {
        diag_add(e->diags, D_E0314, span, "a selection is all, cells, outer or params(\"...\"); this is %s",
                 value_kind_name(value));
        return false;
    }
    if (selection->kind == SELECT_PARAMS) return path_select(e, info, selection->pattern, span, mask);
    bool found = false;
    for (int i = 0; i < info->params; i++) {
        const NetParam *p = &info->param[i];
        mask[i] = !p->state && selection_has(selection, p->path, p->cell != NULL);
        found |= mask[i];
    }
    if (!found)
        diag_add(e->diags, D_E0607, span,
                 selection->kind == SELECT_CELLS ? "this net has no cells with parameters"
                                                 : "this selects no parameter of the net");
    return found;
}
