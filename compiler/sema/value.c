/* value.c -- values: making, comparing, showing them.
 *
 * A value is small and copied freely; what it points to lies in an arena and is never changed.  Text for people
 * is value_show; canonical text, equal for equal values, is value_identity (identity.c). */
#include "sema/eval.h"

#include <math.h>
#include <stdio.h>

Value value_error(void) { return (Value){.kind = V_ERROR}; }
Value value_none(void) { return (Value){.kind = V_NONE}; }
Value value_bool(bool x) { return (Value){.kind = V_BOOL, .boolean = x}; }
Value value_int(int64_t x) { return (Value){.kind = V_INT, .integer = x}; }
Value value_real(double x) { return (Value){.kind = V_REAL, .real = x}; }
Value value_text(const char *text) { return (Value){.kind = V_TEXT, .text = text}; }
Value value_object(Object *object) { return (Value){.kind = V_OBJECT, .object = object}; }
Value value_abstract(const TypeValue *type) { return (Value){.kind = V_ABSTRACT, .type = type}; }

Value value_list(Arena *arena, const Value *at, int len) {
    ValueList *list = arena_new_of(arena, ValueList);
    list->at = arena_array(arena, Value, len);
    list->len = len;
    if (len) memcpy(list->at, at, sizeof *at * (size_t)len);
    return (Value){.kind = V_LIST, .list = list};
}

Value value_record(Arena *arena, const Name *names, const Value *at, int len) {
    ValueRecord *record = arena_new_of(arena, ValueRecord);
    record->name = arena_array(arena, Name, len);
    record->at = arena_array(arena, Value, len);
    record->len = len;
    if (len) memcpy(record->name, names, sizeof *names * (size_t)len);
    if (len) memcpy(record->at, at, sizeof *at * (size_t)len);
    return (Value){.kind = V_RECORD, .record = record};
}

const Value *record_get(const Value *record, const char *name) {
    if (record->kind != V_RECORD) return NULL;
    const ValueRecord *r = record->record;
    for (int i = 0; i < r->len; i++)
        if (r->name[i] == name || (r->name[i][0] == name[0] && strcmp(r->name[i], name) == 0)) return &r->at[i];
    return NULL;
}

/* ---- equality ---- */

static double tensor_at(const Tensor *t, int64_t i) {
    switch (t->dtype) {
    case DT_BOOL: return ((const uint8_t *)t->data)[i];
    case DT_I32: return ((const int32_t *)t->data)[i];
    case DT_F32: return (double)((const float *)t->data)[i];
    case DT_F64: return ((const double *)t->data)[i];
    }
    return 0;
}

static bool tensor_equal(const Tensor *a, const Tensor *b) {
    if (!shape_equal(&a->shape, &b->shape)) return false;
    bool single = a->dtype == DT_F32 || b->dtype == DT_F32;
    for (int64_t i = 0, n = shape_size(&a->shape); i < n; i++) {
        double x = tensor_at(a, i), y = tensor_at(b, i);
        if (single ? (float)x != (float)y : x != y) return false;
    }
    return true;
}

/* A tensor against nested lists of numbers: element i of the flattened tensor onwards. */
static bool tensor_equals_list(const Tensor *t, int axis, int64_t *i, const Value *value) {
    if (axis == t->shape.rank) {
        double x = tensor_at(t, (*i)++), y;
        if (value->kind == V_INT) y = (double)value->integer;
        else if (value->kind == V_REAL) y = value->real;
        else if (value->kind == V_BOOL) y = value->boolean;
        else return false;
        return t->dtype == DT_F32 ? (float)x == (float)y : x == y;
    }
    if (value->kind != V_LIST || value->list->len != t->shape.dim[axis]) return false;
    for (int k = 0; k < value->list->len; k++)
        if (!tensor_equals_list(t, axis + 1, i, &value->list->at[k])) return false;
    return true;
}

static bool type_equal(const TypeValue *a, const TypeValue *b) {
    if (a->kind != b->kind || a->name != b->name || a->classes != b->classes) return false;
    if (a->shaped != b->shaped || !shape_equal(&a->shape, &b->shape)) return false;
    return a->of && b->of ? type_equal(a->of, b->of) : a->of == b->of;
}

static bool callable_equal(const Callable *a, const Callable *b) {
    if (a == b) return true;
    if (a->def != b->def || a->type_name != b->type_name || a->copy != b->copy ||
        a->weights != b->weights) return false;
    if (a->settings_len != b->settings_len || !a->settings != !b->settings) return false;
    for (int i = 0; a->settings && i < a->settings_len; i++)
        if (!value_equal(&a->settings[i], &b->settings[i])) return false;
    return true;
}

static bool object_equal(const Object *a, const Object *b) {
    if (a == b) return true;
    if (a->class != b->class || !a->class->identity) return false;
    Buf x = {0}, y = {0};
    a->class->identity(a, &x);
    b->class->identity(b, &y);
    bool same = x.len == y.len && (!x.len || memcmp(x.at, y.at, x.len) == 0);
    buf_free(&x);
    buf_free(&y);
    return same;
}

static bool list_equal(const ValueList *a, const ValueList *b) {
    if (a->len != b->len) return false;
    for (int i = 0; i < a->len; i++)
        if (!value_equal(&a->at[i], &b->at[i])) return false;
    return true;
}

static bool record_equal(const ValueRecord *a, const ValueRecord *b) {
    if (a->len != b->len) return false;
    for (int i = 0; i < a->len; i++)
        if (a->name[i] != b->name[i] || !value_equal(&a->at[i], &b->at[i])) return false;
    return true;
}

static bool mixed_equal(const Value *a, const Value *b) {
    if (a->kind == V_INT && b->kind == V_REAL) return (double)a->integer == b->real;
    if (a->kind == V_TENSOR) {
        int64_t i = 0;
        return tensor_equals_list(a->tensor, 0, &i, b);
    }
    return false;
}

bool value_equal(const Value *a, const Value *b) {
    if (a->kind != b->kind) return mixed_equal(a, b) || mixed_equal(b, a);
    switch (a->kind) {
    case V_ERROR: case V_ABSTRACT: return false;
    case V_NONE: return true;
    case V_BOOL: return a->boolean == b->boolean;
    case V_INT: return a->integer == b->integer;
    case V_REAL: return a->real == b->real;
    case V_TEXT: return strcmp(a->text, b->text) == 0;
    case V_LIST: return list_equal(a->list, b->list);
    case V_RECORD: return record_equal(a->record, b->record);
    case V_RANGE: return a->range->lo == b->range->lo && a->range->hi == b->range->hi;
    case V_TENSOR: return tensor_equal(a->tensor, b->tensor);
    case V_NODE: return a->node == b->node;
    case V_TYPE: return type_equal(a->type, b->type);
    case V_CHOICE: return a->choice == b->choice || strcmp(a->choice, b->choice) == 0;
    case V_CALLABLE: return callable_equal(a->callable, b->callable);
    case V_FORMULA: return a->formula->ast == b->formula->ast;
    case V_OBJECT: return object_equal(a->object, b->object);
    case V_MODULE: return a->module == b->module;
    }
    return false;
}

/* ---- showing ---- */

static const char *const type_names[] = {
    [TYPE_ANY] = "any", [TYPE_F32] = "f32", [TYPE_F64] = "f64", [TYPE_INT] = "int", [TYPE_REAL] = "real",
    [TYPE_BOOL] = "bool", [TYPE_TEXT] = "text", [TYPE_CLASS] = "class", [TYPE_LIST] = "list", [TYPE_RANGE] = "range",
    [TYPE_RECORD] = "record", [TYPE_CELL] = "cell", [TYPE_CELLS] = "cells", [TYPE_NET] = "net", [TYPE_FN] = "fn",
    [TYPE_CHOICE] = "choice", [TYPE_OBJECT] = "object", [TYPE_RATE] = "rate", [TYPE_INITIALIZER] = "initializer",
    [TYPE_FORMULA] = "formula", [TYPE_TYPE] = "type", [TYPE_REST] = "rest", [TYPE_LABELS] = "labels",
    [TYPE_COLUMNS] = "columns",
};

void type_show(const TypeValue *type, Buf *out) {
    buf_text(out, type->name ? type->name : type_names[type->kind]);
    if (type->kind == TYPE_CLASS && type->classes) buf_printf(out, "[%lld]", (long long)type->classes);
    if (type->of) {
        buf_text(out, "[");
        type_show(type->of, out);
        buf_text(out, "]");
    }
    if (type->shaped && type->shape.rank) shape_print(&type->shape, out);
}

static void text_show(const char *text, Buf *out) {
    buf_text(out, "\"");
    for (const char *p = text; *p; p++) {
        if (*p == '"' || *p == '\\') buf_printf(out, "\\%c", *p);
        else if (*p == '\n') buf_text(out, "\\n");
        else if (*p == '\t') buf_text(out, "\\t");
        else buf_put(out, p, 1);
    }
    buf_text(out, "\"");
}

static void number_show(DType dtype, double x, Buf *out) {
    char text[32];
    if (dtype == DT_F32) text_of_f32(text, (float)x);
    else text_of_f64(text, x);
    buf_text(out, dtype == DT_BOOL ? (x != 0 ? "true" : "false") : text);
}

static void tensor_show(const Tensor *t, int axis, int64_t *i, Buf *out) {
    if (axis == t->shape.rank) {
        number_show(t->dtype, tensor_at(t, (*i)++), out);
        return;
    }
    buf_text(out, "[");
    for (int64_t k = 0; k < t->shape.dim[axis]; k++) {
        if (k) buf_text(out, ", ");
        tensor_show(t, axis + 1, i, out);
    }
    buf_text(out, "]");
}

static bool is_name(const char *text) {
    if (!*text || (*text >= '0' && *text <= '9')) return false;
    for (; *text; text++)
        if (!(*text == '_' || (*text >= 'a' && *text <= 'z') || (*text >= 'A' && *text <= 'Z') ||
              (*text >= '0' && *text <= '9'))) return false;
    return true;
}

static void record_show(const ValueRecord *record, Buf *out) {
    buf_text(out, record->len ? "{ " : "{}");
    for (int i = 0; i < record->len; i++) {
        if (i) buf_text(out, ", ");
        if (is_name(record->name[i])) buf_text(out, record->name[i]);
        else text_show(record->name[i], out);
        buf_text(out, ": ");
        value_show(&record->at[i], out);
    }
    if (record->len) buf_text(out, " }");
}

static const char *callable_name(const Callable *c) { return c->type_name ? c->type_name : c->def->name; }

/* An alias stands for its form: its brackets are part of what its name means. */
static bool is_alias(const Callable *c) { return c->type_name && c->type_name != c->def->name; }

static void callable_show(const Callable *c, Buf *out) {
    buf_text(out, callable_name(c));
    bool gap = false, first = true;
    for (int i = 0; c->settings && i < c->settings_len && !is_alias(c); i++) {
        if (!(c->given >> (i & 63) & 1)) {
            gap = true;
            continue;
        }
        buf_text(out, first ? "[" : ", ");
        first = false;
        if (gap) buf_printf(out, "%s: ", c->def->ast->def.settings[i].name);
        value_show(&c->settings[i], out);
    }
    if (!first) buf_text(out, "]");
    if (c->copy) buf_printf(out, " (copy %d)", c->copy);
}

static void list_show(const ValueList *list, Buf *out) {
    buf_text(out, "[");
    for (int i = 0; i < list->len; i++) {
        if (i) buf_text(out, ", ");
        value_show(&list->at[i], out);
    }
    buf_text(out, "]");
}

static void object_show(const Object *object, Buf *out) {
    if (object->class->show) object->class->show(object, out);
    else if (object->class->identity) object->class->identity(object, out);
    else buf_printf(out, "a %s", object->class->name);
}

void value_show(const Value *value, Buf *out) {
    switch (value->kind) {
    case V_ERROR: buf_text(out, "an error"); break;
    case V_NONE: buf_text(out, "none"); break;
    case V_BOOL: buf_text(out, value->boolean ? "true" : "false"); break;
    case V_INT: buf_int(out, value->integer); break;
    case V_REAL: number_show(DT_F64, value->real, out); break;
    case V_TEXT: text_show(value->text, out); break;
    case V_LIST: list_show(value->list, out); break;
    case V_RECORD: record_show(value->record, out); break;
    case V_RANGE:
        number_show(DT_F64, value->range->lo, out);
        buf_text(out, "..");
        number_show(DT_F64, value->range->hi, out);
        break;
    case V_TENSOR: {
        int64_t i = 0;
        tensor_show(value->tensor, 0, &i, out);
        break;
    }
    case V_NODE: buf_text(out, "a value of the net"); break;
    case V_TYPE: type_show(value->type, out); break;
    case V_CHOICE: buf_text(out, value->choice); break;
    case V_CALLABLE: callable_show(value->callable, out); break;
    case V_FORMULA: buf_text(out, "a formula"); break;
    case V_OBJECT: object_show(value->object, out); break;
    case V_MODULE: buf_text(out, "a module"); break;
    case V_ABSTRACT: buf_text(out, "a value known only when run"); break;
    }
}

const char *value_kind_name(const Value *value) {
    switch (value->kind) {
    case V_ERROR: return "an error";
    case V_NONE: return "none";
    case V_BOOL: return "a bool";
    case V_INT: return "an int";
    case V_REAL: return "a real";
    case V_TEXT: return "a text";
    case V_LIST: return "a list";
    case V_RECORD: return "a record";
    case V_RANGE: return "a range";
    case V_TENSOR: return "a tensor";
    case V_NODE: return "a tensor";
    case V_TYPE: return "a type";
    case V_CHOICE: return "a choice";
    case V_CALLABLE:
        return value->callable->what == DEF_CELL ? "a cell" : value->callable->what == DEF_NET ? "a net" : "a fn";
    case V_FORMULA: return "a formula";
    case V_OBJECT: return value->object->class->name;
    case V_MODULE: return "a module";
    case V_ABSTRACT: return value->type && value->type->name ? value->type->name : "a value known only when run";
    }
    return "a value";
}
