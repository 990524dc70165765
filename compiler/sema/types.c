/* types.c -- types as written, as values, and whether a value fits one.
 *
 * A type in a signature has a static part (its kind), found once when the definition is bound, and dimensions that are
 * bound from the argument's shape at each call: the first mention of a lower-case name binds it, later ones and all
 * other expressions are computed and compared. */
#include "sema/internal.h"

#include <math.h>

static const struct { const char *name; TypeKind kind; } type_table[] = {
    {"any", TYPE_ANY}, {"f32", TYPE_F32}, {"f64", TYPE_F64}, {"int", TYPE_INT}, {"real", TYPE_REAL},
        {"bool", TYPE_BOOL},
    {"text", TYPE_TEXT}, {"class", TYPE_CLASS}, {"list", TYPE_LIST}, {"range", TYPE_RANGE}, {"record", TYPE_RECORD},
    {"session", TYPE_RECORD}, {"cell", TYPE_CELL}, {"cells", TYPE_CELLS}, {"net", TYPE_NET}, {"fn", TYPE_FN},
    {"rate", TYPE_RATE}, {"initializer", TYPE_INITIALIZER}, {"formula", TYPE_FORMULA}, {"type", TYPE_TYPE},
    {"rest", TYPE_REST}, {"labels", TYPE_LABELS}, {"columns", TYPE_COLUMNS}, {"measure", TYPE_CHOICE},
    /* What takes names, objects and other values alike. */
    {"axes", TYPE_ANY}, {"selection", TYPE_ANY}, {"strategy", TYPE_ANY}, {"optimizer", TYPE_FN}, {"attack", TYPE_FN},
    /* Things of the laboratory, by the name of their class. */
    {"data", TYPE_OBJECT}, {"model", TYPE_OBJECT}, {"run", TYPE_OBJECT}, {"distribution", TYPE_OBJECT},
    {"protocol", TYPE_OBJECT}, {"corruption", TYPE_FN}, {"artifact", TYPE_OBJECT}, {"progress", TYPE_RECORD},
    {"table", TYPE_OBJECT}, {"mark", TYPE_OBJECT}, {"axis", TYPE_OBJECT},
};

const TypeValue *type_named(Eval *e, const char *name) {
    TypeValue *type = NULL;
    for (int i = 0; i < COUNT(type_table) && !type; i++) {
        if (strcmp(type_table[i].name, name) != 0) continue;
        type = arena_new_of(e->arena, TypeValue);
        type->kind = type_table[i].kind;
    }
    if (!type && names_choices(name)) {
        type = arena_new_of(e->arena, TypeValue);
        type->kind = TYPE_CHOICE;
    }
    if (type && strcmp(name, "f32") != 0) type->name = intern_text(e->session->names, name);
    return type;
}

static const TypeValue *type_unknown(Eval *e, const Ast *ast, const char *name) {
    const char *names[COUNT(type_table)];
    for (int i = 0; i < COUNT(type_table); i++) names[i] = type_table[i].name;
    Diag *d = eval_diag(e, D_E0301, ast->span, "no type is called %s", name);
    const char *near = nearest_name(name, names, COUNT(type_table));
    if (near) diag_hint(d, "did you mean %s?", near);
    return arena_new_of(e->arena, TypeValue);
}

bool type_is_numeric(const TypeValue *type) {
    return type->kind == TYPE_F32 || type->kind == TYPE_F64 || type->kind == TYPE_CLASS ||
           ((type->kind == TYPE_INT || type->kind == TYPE_BOOL || type->kind == TYPE_REAL) && type->shaped);
}

const TypeValue *type_of_ast(Eval *e, const Ast *ast) {
    if (ast->kind == AST_NAME) {
        const TypeValue *type = type_named(e, ast->name);
        return type ? type : type_unknown(e, ast, ast->name);
    }
    if (ast->kind != AST_BRACKETS) {
        eval_diag(e, D_E0301, ast->span, "a type is expected here");
        return arena_new_of(e->arena, TypeValue);
    }
    TypeValue *type = arena_new_of(e->arena, TypeValue);
    *type = *type_of_ast(e, ast->call.of);
    if (type->kind == TYPE_LIST) {
        if (ast->call.len == 1) type->of = type_of_ast(e, ast->call.args[0].value);
    } else if (type->kind == TYPE_CLASS && !type->count) {
        if (ast->call.len == 1) type->count = ast->call.args[0].value;
    } else if (type->kind == TYPE_F32 || type->kind == TYPE_F64 || type->kind == TYPE_INT || type->kind == TYPE_CLASS ||
               type->kind == TYPE_BOOL || type->kind == TYPE_REAL) {
        type->shaped = true;
        type->pattern = ast;
    } else if (type->kind != TYPE_ANY) {
        eval_diag(e, D_E0301, ast->span, "%s has no dimensions", type->name ? type->name : "this type");
    }
    return type;
}

/* ---- text ---- */

const char *type_text(Eval *e, const TypeValue *type) {
    Buf buf = {0};
    type_show(type, &buf);
    return buf_done(&buf, e->arena);
}

const char *shape_text(Eval *e, DType dtype, const Shape *shape) {
    Buf buf = {0};
    DType precision = e->trace ? e->trace->precision : e->session->precision;
    if (dtype == precision) buf_text(&buf, "f32");
    else if (dtype == DT_F64 && shape->rank == 0) buf_text(&buf, "real");
    else buf_text(&buf, dtype == DT_I32 ? "int" : dtype_name(dtype));
    if (shape->rank) shape_print(shape, &buf);
    return buf_done(&buf, e->arena);
}

const char *value_shown(Eval *e, const Value *value) {
    Buf buf = {0};
    value_show(value, &buf);
    if (buf.len > 60) {
        buf.len = 57;
        buf_text(&buf, "...");
    }
    return buf_done(&buf, e->arena);
}

static TypeKind kind_of_dtype(DType dtype) {
    switch (dtype) {
    case DT_BOOL: return TYPE_BOOL;
    case DT_I32: return TYPE_INT;
    case DT_F32: return TYPE_F32;
    case DT_F64: return TYPE_F64;
    }
    return TYPE_ANY;
}

const TypeValue *value_type(Eval *e, const Value *value) {
    TypeValue *type = arena_new_of(e->arena, TypeValue);
    Shape shape;
    DType dtype;
    if (value->kind == V_ABSTRACT && value->type) return value->type;
    if ((value->kind == V_NODE || value->kind == V_TENSOR) && value_shape(e, value, &shape, &dtype)) {
        bool working = dtype == (e->trace ? e->trace->precision : e->session->precision);
        type->kind = working ? TYPE_F32 : dtype == DT_F64 && !shape.rank ? TYPE_REAL : kind_of_dtype(dtype);
        type->shaped = true;
        type->shape = shape;
        type->classes = value->kind == V_NODE && e->trace ? trace_classes(e->trace, value->node) : 0;
        if (type->classes) type->kind = TYPE_CLASS;
        return type;
    }
    type->kind = TYPE_OBJECT;
    const char *name = value_kind_name(value);
    const char *space = strchr(name, ' ');
    type->name = space && (name[0] == 'a') ? space + 1 : name;
    return type;
}

/* ---- shapes of values ---- */

static bool list_shape(Eval *e, const ValueList *list, Shape *shape, DType *dtype) {
    Shape inner;
    DType d;
    *shape = (Shape){0};
    *dtype = DT_I32;
    for (int i = 0; i < list->len; i++) {
        if (!value_shape(e, &list->at[i], &inner, &d)) return false;
        if (i && !shape_equal(&inner, shape)) return false;
        *shape = inner;
        *dtype = d > *dtype || i == 0 ? d : *dtype;
    }
    if (!list->len || shape->rank == MAX_RANK) return false;
    memmove(shape->dim + 1, shape->dim, sizeof shape->dim[0] * (size_t)shape->rank);
    shape->dim[0] = list->len;
    shape->rank++;
    return true;
}

bool value_shape(Eval *e, const Value *value, Shape *shape, DType *dtype) {
    *shape = (Shape){0};
    switch (value->kind) {
    case V_BOOL: *dtype = DT_BOOL; return true;
    case V_INT: *dtype = DT_I32; return true;
    case V_REAL: *dtype = DT_F64; return true;
    case V_TENSOR:
        *shape = value->tensor->shape;
        *dtype = value->tensor->dtype;
        return true;
    case V_NODE:
        if (!e->trace) return false;
        *shape = graph_node(e->trace->graph, value->node)->shape;
        *dtype = (DType)graph_node(e->trace->graph, value->node)->dtype;
        return true;
    case V_LIST: return list_shape(e, value->list, shape, dtype);
    case V_RANGE:
        if (!value->range->whole || value->range->hi < value->range->lo) return false;
        *shape = (Shape){1, {(int64_t)(value->range->hi - value->range->lo) + 1}};
        *dtype = DT_I32;
        return true;
    case V_ERROR: case V_NONE: case V_TEXT: case V_RECORD: case V_TYPE: case V_CHOICE: case V_CALLABLE: case V_FORMULA:
    case V_OBJECT: case V_MODULE: case V_ABSTRACT: return false;
    }
    return false;
}

/* ---- dimensions ---- */

static bool dimension_eval(Eval *e, const Ast *ast, Scope *scope, int64_t *out) {
    Value value;
    if (!eval_expr(e, ast, scope, &value)) return false;
    if (value.kind == V_INT && value.integer > 0) {
        *out = value.integer;
        return true;
    }
    if (value.kind == V_ABSTRACT)
        eval_diag(e, D_E0416, ast->span, "this dimension is not known before the program runs");
    else
        eval_diag(e, D_E0404, ast->span, "a dimension is a positive int; %s is %s",
                  sources_text(e->session->sources, e->arena, ast->span), value_shown(e, &value));
    return false;
}

/* Appends the dimensions that a spread list stands for. */
static bool dimensions_spread(Eval *e, const Value *list, Span span, Shape *shape) {
    ValueList items;
    if (!eval_elements(e, list, span, &items)) return false;
    for (int i = 0; i < items.len; i++) {
        int64_t n;
        if (!value_as_int(e, &items.at[i], span, &n)) return false;
        if (n < 1 || shape->rank == MAX_RANK) {
            eval_diag(e, D_E0404, span, n < 1 ? "a dimension is a positive int" : "a shape has at most %d axes",
                      MAX_RANK);
            return false;
        }
        shape->dim[shape->rank++] = n;
    }
    return true;
}

static bool shape_eval(Eval *e, const Ast *brackets, Scope *scope, Shape *shape) {
    *shape = (Shape){0};
    for (int i = 0; i < brackets->call.len; i++) {
        const AstArg *arg = &brackets->call.args[i];
        if (arg->spread) {
            Value list;
            if (!eval_expr(e, arg->value, scope, &list) || !dimensions_spread(e, &list, arg->value->span,
                                                                              shape)) return false;
            continue;
        }
        if (shape->rank == MAX_RANK) {
            eval_diag(e, D_E0404, arg->value->span, "a shape has at most %d axes", MAX_RANK);
            return false;
        }
        if (!dimension_eval(e, arg->value, scope, &shape->dim[shape->rank])) return false;
        shape->rank++;
    }
    return shape_allowed(e, shape, brackets->span);
}

bool type_eval(Eval *e, const Ast *ast, Scope *scope, TypeValue *out) {
    *out = *type_of_ast(e, ast);
    if (out->pattern && !shape_eval(e, out->pattern, scope, &out->shape)) return false;
    if (out->count && !dimension_eval(e, out->count, scope, &out->classes)) return false;
    return true;
}

static void put_list(const Value *list, Buf *out) {
    for (int i = 0; i < list->list->len; i++) {
        if (i) buf_text(out, ", ");
        value_show(&list->list->at[i], out);
    }
}

/* What a formal asks for, with the dimensions that are known by now filled in: "f32[2, time]". */
static const char *pattern_text(Eval *e, const TypeValue *type, Scope *body) {
    Buf buf = {0};
    TypeValue plain = *type;
    plain.shaped = false;
    type_show(&plain, &buf);
    if (type->pattern) buf_text(&buf, "[");
    for (int i = 0; type->pattern && i < type->pattern->call.len; i++) {
        const AstArg *arg = &type->pattern->call.args[i];
        Local *local = arg->value->kind == AST_NAME ? scope_local(body, arg->value->name) : NULL;
        if (i) buf_text(&buf, ", ");
        if (local && arg->spread && local->value.kind == V_LIST) put_list(&local->value, &buf);
        else if (local && local->value.kind == V_INT) buf_printf(&buf, "%lld", (long long)local->value.integer);
        else buf_printf(&buf, "%s%s", arg->spread ? "..." : "",
                        sources_text(e->session->sources, e->arena, arg->value->span));
    }
    if (type->pattern) buf_text(&buf, "]");
    return buf_done(&buf, e->arena);
}

static bool bind_one(Eval *e, const Ast *ast, Scope *body, int64_t actual, bool *fits) {
    if (ast->kind == AST_NAME && !scope_local(body, ast->name)) {
        Value n = value_int(actual);
        scope_bind(body, ast->name, &n, ast->span);
        return true;
    }
    int64_t expected;
    if (!dimension_eval(e, ast, body, &expected)) return false;
    if (expected != actual) *fits = false;
    return true;
}

static bool bind_spread(Eval *e, const Ast *ast, Scope *body, const int64_t *dims, int n, bool *fits) {
    if (ast->kind == AST_NAME && !scope_local(body, ast->name)) {
        Value at[MAX_RANK];
        for (int i = 0; i < n; i++) at[i] = value_int(dims[i]);
        Value list = value_list(e->arena, at, n);
        scope_bind(body, ast->name, &list, ast->span);
        return true;
    }
    Value list;
    Shape shape = {0};
    if (!eval_expr(e, ast, body, &list) || !dimensions_spread(e, &list, ast->span, &shape)) return false;
    if (shape.rank != n || (n && memcmp(shape.dim, dims, sizeof *dims * (size_t)n) != 0)) *fits = false;
    return true;
}

static bool bind_dims(Eval *e, const Ast *brackets, Scope *body, const Shape *shape, bool *fits) {
    int n = brackets->call.len, spread = -1, at = 0;
    const AstArg *args = brackets->call.args;
    for (int i = 0; i < n; i++)
        if (args[i].spread) spread = i;
    int rest = shape->rank - (n - 1);
    if (spread < 0 ? shape->rank != n : rest < 0) {
        *fits = false;
        return true;
    }
    for (int i = 0; i < n; i++) {
        bool ok = args[i].spread ? bind_spread(e, args[i].value, body, shape->dim + at, rest, fits)
                                 : bind_one(e, args[i].value, body, shape->dim[at], fits);
        if (!ok) return false;
        at += args[i].spread ? rest : 1;
    }
    return true;
}

static bool dtype_suits(Eval *e, const TypeValue *type, const Value *value, DType dtype) {
    DType precision = e->trace ? e->trace->precision : e->session->precision;
    bool known = value->kind != V_NODE;
    switch (type->kind) {
    case TYPE_F32: return dtype == precision || (known && dtype != DT_BOOL) || (dtype == DT_F64);
    case TYPE_F64: case TYPE_REAL: return dtype == DT_F64 || (known && dtype != DT_BOOL);
    case TYPE_INT: case TYPE_CLASS: return dtype == DT_I32;
    case TYPE_BOOL: return dtype == DT_BOOL;
    case TYPE_ANY: case TYPE_TEXT: case TYPE_LIST: case TYPE_RANGE: case TYPE_RECORD: case TYPE_CELL: case TYPE_CELLS:
    case TYPE_NET: case TYPE_FN: case TYPE_CHOICE: case TYPE_OBJECT: case TYPE_RATE: case TYPE_INITIALIZER:
    case TYPE_FORMULA: case TYPE_TYPE: case TYPE_REST: case TYPE_LABELS: case TYPE_COLUMNS: return true;
    }
    return true;
}

bool type_bind(Eval *e, const TypeValue *type, Scope *body, const Value *value, Span span, const char *callee,
               Name formal) {
    Shape shape;
    DType dtype = DT_F32;
    if (value->kind == V_ABSTRACT) return true;
    bool fits = value_shape(e, value, &shape, &dtype) && dtype_suits(e, type, value, dtype);
    if (fits && type->count) {
        int64_t k = value->kind == V_NODE ? trace_classes(e->trace, value->node) : 0;
        if (k && !bind_one(e, type->count, body, k, &fits)) return false;
    }
    if (fits && type->pattern && !bind_dims(e, type->pattern, body, &shape, &fits)) return false;
    if (fits && !type->pattern && shape.rank) fits = false;
    if (fits) return true;
    Diag *d = eval_diag(e, D_E0403, span, "%s takes %s for %s, this is %s", callee, pattern_text(e, type, body), formal,
                        type_text(e, value_type(e, value)));
    if (value->kind == V_NODE) diag_label(d, trace_origin_of(e->trace, value->node), "its shape comes from here");
    return false;
}

/* ---- fitting ---- */

static bool list_fits(Eval *e, const Value *value, const TypeValue *of, Value *out) {
    ValueList items;
    if (value->kind == V_RANGE && !value->range->whole) return false;
    if (value->kind != V_LIST && value->kind != V_RANGE &&
        !(value->kind == V_TENSOR && value->tensor->shape.rank)) return false;
    if (!eval_elements(e, value, (Span){0}, &items)) return false;
    if (value->kind == V_LIST && !of) {
        *out = *value;
        return true;
    }
    Value *at = arena_array(e->arena, Value, items.len);
    for (int i = 0; i < items.len; i++) {
        at[i] = items.at[i];
        if (of && !value_fits(e, &items.at[i], of, &at[i])) return false;
    }
    Name label = value->label;
    *out = value_list(e->arena, at, items.len);
    out->label = label;
    return true;
}

static bool cell_fits(const Value *value) {
    if (value->kind == V_OBJECT) return value->object->class->arity && value->object->class->arity(value->object) > 0;
    return value->kind == V_CALLABLE && value->callable->what == DEF_CELL;
}

static bool cells_fit(const Value *value) {
    if (value->kind != V_LIST) return cell_fits(value);
    for (int i = 0; i < value->list->len; i++)
        if (!cell_fits(&value->list->at[i])) return false;
    return value->list->len > 0;
}

static bool choice_fits(const Value *value, const TypeValue *type) {
    if (value->kind == V_LIST && strcmp(type->name, "answers") == 0) {   /* several answers at once */
        for (int i = 0; i < value->list->len; i++)
            if (!choice_fits(&value->list->at[i], type)) return false;
        return value->list->len > 0;
    }
    if (value->kind != V_CHOICE) return false;
    const char *const *names = names_choices(type->name);
    for (int i = 0; names && names[i]; i++)
        if (strcmp(names[i], value->choice) == 0) return true;
    return !names;
}

static bool real_fits(Eval *e, const Value *value, Value *out) {
    if (value->kind == V_REAL) return true;
    if (value->kind == V_INT) {
        out->kind = V_REAL;
        out->real = (double)value->integer;
        return true;
    }
    if (value->kind == V_TENSOR && !value->tensor->shape.rank) {
        *out = value_real(value_number(value));
        return true;
    }
    if (value->kind != V_NODE || !e->trace) return false;
    const Node *node = graph_node(e->trace->graph, value->node);
    return !node->shape.rank && !node->batched && node->dtype != DT_BOOL;
}

static bool callable_like(const Value *value) {
    return value->kind == V_CALLABLE || (value->kind == V_OBJECT &&
                                         (value->object->class->call || value->object->class->trace));
}

static bool is_scalar(Eval *e, const Value *value, DType dtype) {
    if (value->kind != V_NODE || !e->trace) return false;
    const Node *node = graph_node(e->trace->graph, value->node);
    return !node->shape.rank && node->dtype == dtype;
}

static bool initializer_fits(const Value *value) {
    return value->kind == V_NONE || value->kind == V_INT || value->kind == V_REAL || value->kind == V_OBJECT ||
        callable_like(value);
}

bool value_fits(Eval *e, const Value *value, const TypeValue *type, Value *out) {
    *out = *value;
    if (value->kind == V_ABSTRACT) return true;
    switch (type->kind) {
    case TYPE_ANY: return true;
    case TYPE_F32: case TYPE_F64: case TYPE_CLASS: {
        Shape shape;
        DType dtype;
        return value_shape(e, value, &shape, &dtype);
    }
    case TYPE_INT:
        if (type->shaped) {
            Shape shape;
            DType dtype;
            return value_shape(e, value, &shape, &dtype) && dtype == DT_I32;
        }
        return value->kind == V_INT || is_scalar(e, value, DT_I32);
    case TYPE_REAL: return real_fits(e, value, out);
    case TYPE_BOOL: return value->kind == V_BOOL || is_scalar(e, value, DT_BOOL);
    case TYPE_TEXT: return value->kind == V_TEXT;
    case TYPE_LIST: return list_fits(e, value, type->of, out);
    case TYPE_RANGE: return value->kind == V_RANGE;
    case TYPE_RECORD: return value->kind == V_RECORD;
    case TYPE_CELL: return cell_fits(value);
    case TYPE_CELLS: return cells_fit(value);
    case TYPE_NET: return callable_like(value) && (value->kind == V_OBJECT || value->callable->what == DEF_NET);
    case TYPE_FN: return callable_like(value);
    case TYPE_CHOICE: return choice_fits(value, type);
    case TYPE_OBJECT: return value->kind == V_OBJECT && strcmp(value->object->class->name, type->name) == 0;
    case TYPE_RATE: return callable_like(value) || real_fits(e, value, out);
    case TYPE_INITIALIZER: return initializer_fits(value);
    case TYPE_FORMULA: return true;
    case TYPE_TYPE: return value->kind == V_TYPE;
    case TYPE_REST: return value->kind == V_LIST;
    case TYPE_LABELS: case TYPE_COLUMNS: return value->kind == V_RECORD;
    }
    return false;
}

static void explain_choice(Eval *e, const Value *value, const TypeValue *type, Span span, const char *formal) {
    Buf buf = {0};
    const char *const *names = names_choices(type->name);
    int n = 0;
    for (; names && names[n]; n++) buf_printf(&buf, "%s%s", n ? ", " : "", names[n]);
    const char *shown = value->kind == V_CHOICE ? value->choice : value_shown(e, value);
    Diag *d = eval_diag(e, D_E0312, span, "%s is one of %s; not %s", formal, buf.at ? buf.at : "its choices", shown);
    const char *near = names ? nearest_name(shown, names, n) : NULL;
    if (near) diag_hint(d, "did you mean %s?", near);
    buf_free(&buf);
}

bool value_convert(Eval *e, const Value *value, const TypeValue *type, Span span, const char *callee,
                   const char *formal,
                   Value *out) {
    Value from = *value;
    if (from.kind == V_ERROR) return eval_fail(out);
    if (value_fits(e, &from, type, out)) return true;
    const char *shown = value_shown(e, &from);
    if (type->kind == TYPE_CHOICE) {
        explain_choice(e, &from, type, span, formal);
    } else if (type->kind == TYPE_INT && (from.kind == V_REAL || from.kind == V_TENSOR)) {
        Diag *d = eval_diag(e, D_E0412, span, "%s must be an int; %s is not an int", formal, shown);
        diag_hint(d, "floor(...), ceil(...) or round(...) give an int");
    } else {
        Diag *d = eval_diag(e, D_E0314, span, "%s must be %s %s; %s is %s", formal,
                            strchr("aeiou", type_text(e, type)[0]) ? "an" : "a", type_text(e, type), shown,
                                value_kind_name(&from));
        if (callee) diag_note(d, "in the arguments of %s", callee);
    }
    return eval_fail(out);
}
