/* eval.c -- expressions.  One walk over the tree for checking, tracing and running: see eval.h. */
#include "sema/internal.h"
#include "sema/names.h"

#include <stdio.h>

enum { DEPTH_LIMIT = 1500 };
#define MEMORY_LIMIT ((size_t)4 << 30)

void eval_init(Eval *e, Session *session, Arena *arena, Diags *diags, EvalMode mode) {
    *e = (Eval){.session = session, .arena = arena, .diags = diags, .mode = mode};
}

bool eval_fail(Value *out) {
    *out = value_error();
    return false;
}

/* One diagnostic for one place: loops and sharing come back to the same text. */
static bool already_told(const Diags *diags, DiagCode code, Span span) {
    for (int i = 0; i < diags->list.len; i++) {
        const Diag *d = diags->list.at[i];
        if (d->code == code && d->span.lo == span.lo && d->span.hi == span.hi) return true;
    }
    return false;
}

bool eval_in_library(const Eval *e, Span span) {
    const Source *source = sources_of(e->session->sources, span);
    return source && strncmp(source->path, "stdlib/", 7) == 0;
}

Diag *eval_diag(Eval *e, DiagCode code, Span span, const char *format, ...) {
    bool moved = e->site.lo && eval_in_library(e, span);
    scan_refuse(e);
    Span at = moved ? e->site : span;
    va_list args;
    va_start(args, format);
    const char *text = arena_vprintf(e->diags->arena, format, args);
    va_end(args);
    if (already_told(e->diags, code, at)) {
        Diag *silent = arena_new_of(e->arena, Diag);
        silent->owner = e->diags;
        return silent;
    }
    Diag *d = diag_add(e->diags, code, at, "%s", text);
    if (moved) diag_label(d, span, "in the library, here");
    return d;
}

bool eval_memory(Eval *e, Span span) {
    if (!e->trace && e->session->interrupted && e->session->interrupted(NULL)) {
        eval_diag(e, D_R0103, span, "interrupted");
        return false;
    }
    if (arena_used(e->arena) <= MEMORY_LIMIT) return true;
    eval_diag(e, D_E0414, span, "this needs more than %d GB", (int)(MEMORY_LIMIT >> 30));
    return false;
}

bool shape_allowed(Eval *e, const Shape *shape, Span span) {
    double n = 1;
    for (int i = 0; i < shape->rank; i++) n *= (double)shape->dim[i];
    if (n * 4 <= (double)MEMORY_LIMIT) return true;
    Diag *d = eval_diag(e, D_E0414, span, "a tensor of %.3g numbers needs %.3g GB", n, n * 4 / (1 << 30));
    diag_note(d, "the limit is %d GB", (int)(MEMORY_LIMIT >> 30));
    return false;
}

/* ---- names ---- */

static bool name_end(Eval *e, const Ast *ast, Value *out) {
    Shape shape;
    DType dtype;
    const Value *of = e->index->of;
    if (of->kind == V_LIST && e->index->axis == 0) *out = value_int(of->list->len);
    else if (value_shape(e, of, &shape, &dtype) && e->index->axis < shape.rank)
        *out = value_int(shape.dim[e->index->axis]);
    else if (of->kind == V_ABSTRACT) *out = value_abstract(NULL);
    else if (of->kind == V_OBJECT) {
        Value size;
        if (!eval_field(e, of, intern_text(e->session->names, "size"), ast->span, &size)) return eval_fail(out);
        *out = size;
    } else {
        eval_diag(e, D_E0405, ast->span, "%s has no axis %d", value_kind_name(of), e->index->axis + 1);
        return eval_fail(out);
    }
    return true;
}

/* names.c tells each unknown name once for each definition; what it could not see is told here. */
static bool name_told(Eval *e, const char *name) {
    const Diags *diags = &e->session->diags;
    for (int i = 0; i < diags->list.len; i++) {
        const Diag *d = diags->list.at[i];
        if (d->code == D_E0301 && strcmp(sources_text(e->session->sources, e->arena, d->span), name) == 0) return true;
    }
    return false;
}

static bool name_unknown(Eval *e, const Ast *ast, Scope *scope, Value *out) {
    if (e->mode == EVAL_CHECK && name_told(e, ast->name)) return eval_fail(out);
    Diag *d = eval_diag(e, D_E0301, ast->span, "nothing is called %s", ast->name);
    const char *near = scope_nearest(scope, ast->name);
    if (near) diag_hint(d, "did you mean %s?", near);
    return eval_fail(out);
}

static bool eval_name(Eval *e, const Ast *ast, Scope *scope, Value *out) {
    const Words *words = e->session->words;
    switch (scope_lookup(e, scope, ast->name, out)) {
    case FOUND_FAILED: return eval_fail(out);
    case FOUND_LOCAL: return true;
    case FOUND_TOP:
        if (e->trace && out->kind == V_CALLABLE && callable_owns(out->callable)) *out = callable_mention(e, out);
        return true;
    case FOUND_NOT: break;
    }
    if (ast->name == words->none) return *out = value_none(), true;
    if (ast->name == words->is_training) return *out = value_bool(e->trace && trace_root(e->trace)->is_training), true;
    if (ast->name == words->end && e->index) return name_end(e, ast, out);
    const TypeValue *type = word_is_value_type(ast->name) ? type_named(e, ast->name) : NULL;
    if (type) return *out = (Value){.kind = V_TYPE, .type = type}, true;
    return name_unknown(e, ast, scope, out);
}

/* ---- lists and records ---- */

typedef struct Items { VEC(Value) list; } Items;

static bool eval_items(Eval *e, const AstArg *args, int len, Scope *scope, Items *items) {
    bool ok = true;
    for (int i = 0; i < len; i++) {
        Value value;
        if (!eval_expr(e, args[i].value, scope, &value)) {
            ok = false;
            continue;
        }
        if (!args[i].spread) {
            vec_push(e->arena, &items->list, value);
            continue;
        }
        ValueList parts;
        if (!eval_elements(e, &value, args[i].value->span, &parts)) ok = false;
        else for (int k = 0; k < parts.len; k++) vec_push(e->arena, &items->list, parts.at[k]);
    }
    return ok;
}

static bool eval_list(Eval *e, const Ast *ast, Scope *scope, Value *out) {
    Items items = {0};
    if (!eval_items(e, ast->list.args, ast->list.len, scope, &items)) return eval_fail(out);
    *out = value_list(e->arena, items.list.at, items.list.len);
    return true;
}

typedef struct Fields { VEC(Name) names; VEC(Value) values; } Fields;

static void field_put(Eval *e, Fields *fields, Name name, const Value *value) {
    for (int i = 0; i < fields->names.len; i++) {
        if (fields->names.at[i] != name) continue;
        fields->values.at[i] = *value;
        return;
    }
    vec_push(e->arena, &fields->names, name);
    vec_push(e->arena, &fields->values, *value);
}

static bool eval_record(Eval *e, const Ast *ast, Scope *scope, Value *out) {
    Fields fields = {0};
    bool ok = true;
    for (int i = 0; i < ast->list.len; i++) {
        const AstArg *arg = &ast->list.args[i];
        Value value;
        if (!eval_expr(e, arg->value, scope, &value)) {
            ok = false;
        } else if (!arg->spread) {
            field_put(e, &fields, arg->label, &value);
        } else if (value.kind == V_RECORD) {
            for (int k = 0; k < value.record->len; k++)
                field_put(e, &fields, value.record->name[k], &value.record->at[k]);
        } else if (value.kind != V_ABSTRACT) {
            eval_diag(e, D_E0314, arg->value->span, "a record is spread here; this is %s", value_kind_name(&value));
            ok = false;
        }
    }
    if (!ok) return eval_fail(out);
    *out = value_record(e->arena, fields.names.at, fields.values.at, fields.names.len);
    return true;
}

static bool comprehend(Eval *e, const Ast *ast, int k, Scope *scope, Items *items) {
    Value value;
    if (k == ast->comprehension.len) {
        if (!eval_memory(e, ast->span) || !eval_expr(e, ast->comprehension.value, scope, &value)) return false;
        vec_push(e->arena, &items->list, value);
        return true;
    }
    const AstIterator *it = &ast->comprehension.iterators[k];
    ValueList parts;
    if (!eval_expr(e, it->in, scope, &value)) return false;
    if (value.kind == V_ABSTRACT) parts = (ValueList){&value, 1};
    else if (!eval_elements(e, &value, it->in->span, &parts)) return false;
    for (int i = 0; i < parts.len; i++) {
        Scope *turn = scope_new(e->arena, scope, SCOPE_BLOCK);
        if (!eval_pattern(e, it->pattern, &parts.at[i], turn) || !comprehend(e, ast, k + 1, turn, items)) return false;
    }
    return true;
}

static bool eval_comprehension(Eval *e, const Ast *ast, Scope *scope, Value *out) {
    Items items = {0};
    if (!comprehend(e, ast, 0, scope, &items)) return eval_fail(out);
    *out = value_list(e->arena, items.list.at, items.list.len);
    return true;
}

/* ---- operators ---- */

static bool logic_known(Eval *e, const Value *value, Span span, Value *out) {
    if (value->kind == V_BOOL || value->kind == V_ABSTRACT || value_is_traced(value) ||
        value->kind == V_LIST) return true;
    eval_diag(e, D_E0314, span, "a bool is needed here; this is %s", value_kind_name(value));
    return eval_fail(out);
}

static bool eval_logic(Eval *e, const Ast *ast, Scope *scope, Value *out) {
    bool and = ast->binary.op == OP_AND;
    Value args[2];
    if (!eval_expr(e, ast->binary.a, scope, &args[0])) return eval_fail(out);
    if (args[0].kind == V_BOOL && args[0].boolean != and) return *out = args[0], true;
    if (!eval_expr(e, ast->binary.b, scope, &args[1])) return eval_fail(out);
    if (selection_join(e->arena, and ? SELECT_AND : SELECT_OR, &args[0], &args[1], out)) return true;
    if (!logic_known(e, &args[0], ast->binary.a->span, out) || !logic_known(e, &args[1], ast->binary.b->span, out))
        return eval_fail(out);
    return eval_op(e, and ? G_AND : G_OR, args, 2, ast->span, out);
}

static bool eval_unary(Eval *e, const Ast *ast, Scope *scope, Value *out) {
    Value a;
    if (!eval_expr(e, ast->unary.a, scope, &a)) return eval_fail(out);
    if (ast->unary.op == OP_NEG) return eval_op(e, G_NEG, &a, 1, ast->span, out);
    if (selection_join(e->arena, SELECT_NOT, &a, NULL, out)) return true;
    if (!logic_known(e, &a, ast->unary.a->span, out)) return eval_fail(out);
    return eval_op(e, G_NOT, &a, 1, ast->span, out);
}

/* w @ x + b: the chain starts from b. */
static bool eval_product_sum(Eval *e, const Ast *ast, Scope *scope, Value *out) {
    const Ast *product = ast->binary.a;
    Value w, x, b;
    bool ok = eval_expr(e, product->binary.a, scope, &w);
    ok = eval_expr(e, product->binary.b, scope, &x) && ok;
    ok = eval_expr(e, ast->binary.b, scope, &b) && ok;
    if (!ok) return eval_fail(out);
    if (b.kind == V_NODE && e->trace) return eval_matmul(e, &w, &x, &b, ast->span, out);
    if (!eval_matmul(e, &w, &x, NULL, product->span, &w)) return eval_fail(out);
    return eval_binary(e, OP_ADD, &w, &b, ast->span, out);
}

/* A choice compared with a bare name that nothing else has: `norm == linf`. */
static bool bare_choice(Eval *e, const Value *a, const Ast *b, Scope *scope, Value *out) {
    Value other;
    if (a->kind != V_CHOICE || b->kind != AST_NAME || b->name == e->session->words->none) return false;
    Found found = scope_lookup(e, scope, b->name, &other);
    if ((found == FOUND_LOCAL || found == FOUND_TOP) && other.kind == V_CHOICE) return false;
    *out = (Value){.kind = V_CHOICE, .choice = b->name};
    return true;
}

static bool eval_binary_ast(Eval *e, const Ast *ast, Scope *scope, Value *out) {
    AstOp op = ast->binary.op;
    if (op == OP_AND || op == OP_OR) return eval_logic(e, ast, scope, out);
    if (op == OP_ADD && ast->binary.a->kind == AST_BINARY && ast->binary.a->binary.op == OP_AT)
        return eval_product_sum(e, ast, scope, out);
    Value a, b;
    bool ok = eval_expr(e, ast->binary.a, scope, &a);
    bool choice = ok && (op == OP_EQ || op == OP_NE) && bare_choice(e, &a, ast->binary.b, scope, &b);
    if (!choice) ok = eval_expr(e, ast->binary.b, scope, &b) && ok;
    if (!ok) return eval_fail(out);
    return eval_binary(e, op, &a, &b, ast->span, out);
}

static bool eval_range(Eval *e, const Ast *ast, Scope *scope, Value *out) {
    Value lo, hi;
    bool ok = eval_expr(e, ast->range.lo, scope, &lo);
    ok = eval_expr(e, ast->range.hi, scope, &hi) && ok;
    if (!ok) return eval_fail(out);
    if (lo.kind == V_ABSTRACT || hi.kind == V_ABSTRACT) return *out = value_abstract(NULL), true;
    ValueRange *range = arena_new_of(e->arena, ValueRange);
    range->whole = lo.kind == V_INT && hi.kind == V_INT;
    if (!value_as_real(e, &lo, ast->range.lo->span, &range->lo)) return eval_fail(out);
    if (!value_as_real(e, &hi, ast->range.hi->span, &range->hi)) return eval_fail(out);
    *out = (Value){.kind = V_RANGE, .range = range};
    return true;
}

/* ---- if ---- */

bool eval_condition(Eval *e, const Value *value, Span span, bool *known, bool *out) {
    *known = true;
    *out = false;
    switch (value->kind) {
    case V_BOOL: *out = value->boolean; return true;
    case V_TENSOR:
        if (value->tensor->shape.rank || value->tensor->dtype != DT_BOOL) break;
        *out = value_number(value) != 0;
        return true;
    case V_ABSTRACT: *known = false; return true;
    case V_ERROR: return false;
    case V_NODE: {
        Diag *d = eval_diag(e, D_E0411, span, "%s is known only in the kernel",
                            sources_text(e->session->sources, e->arena, span));
        diag_hint(d, "where(condition, a, b) chooses element by element");
        return false;
    }
    case V_NONE: case V_INT: case V_REAL: case V_TEXT: case V_LIST: case V_RECORD: case V_RANGE: case V_TYPE:
    case V_CHOICE:
    case V_CALLABLE: case V_FORMULA: case V_OBJECT: case V_MODULE: break;
    }
    eval_diag(e, D_E0314, span, "a condition must be a bool; this is %s", value_kind_name(value));
    return false;
}

static bool eval_branch(Eval *e, const Ast *ast, Scope *scope, Value *out) {
    if (!ast) return *out = value_none(), true;
    if (ast->kind == AST_IF) return eval_expr(e, ast, scope, out);
    return eval_block(e, ast, scope_new(e->arena, scope, SCOPE_BLOCK), out);
}

static bool eval_if(Eval *e, const Ast *ast, Scope *scope, Value *out) {
    Value condition, other;
    bool known, holds;
    if (!eval_expr(e, ast->branch.condition, scope, &condition)) return eval_fail(out);
    if (!eval_condition(e, &condition, ast->branch.condition->span, &known, &holds)) return eval_fail(out);
    if (known) return eval_branch(e, holds ? ast->branch.then : ast->branch.otherwise, scope, out);
    bool ok = eval_branch(e, ast->branch.then, scope, out);
    ok = eval_branch(e, ast->branch.otherwise, scope, &other) && ok;
    if (!ok) return eval_fail(out);
    if (out->kind != other.kind || value_is_number(out)) *out = value_abstract(NULL);
    return true;
}

/* ---- all ---- */

static bool eval_hole(Eval *e, const Ast *ast, Value *out) {
    if (!e->hole) {
        eval_diag(e, D_E0316, ast->span, "? is the unknown of a match");
        return eval_fail(out);
    }
    *out = *e->hole;
    return true;
}

static bool eval_select(Eval *e, const Ast *ast, Scope *scope, Value *out) {
    Value of;
    if (!eval_expr(e, ast->select.of, scope, &of)) return eval_fail(out);
    return eval_field(e, &of, ast->select.field, ast->select.field_span, out);
}

static bool eval_node(Eval *e, const Ast *ast, Scope *scope, Value *out) {
    switch (ast->kind) {
    case AST_NAME: return eval_name(e, ast, scope, out);
    case AST_TEXT: return *out = value_text(ast->name), true;
    case AST_BOOL: return *out = value_bool(ast->boolean), true;
    case AST_INT: return *out = value_int(ast->integer), true;
    case AST_REAL: return *out = value_real(ast->real), true;
    case AST_HOLE: return eval_hole(e, ast, out);
    case AST_WHOLE: return *out = value_none(), true;
    case AST_LIST: return eval_list(e, ast, scope, out);
    case AST_COMPREHENSION: return eval_comprehension(e, ast, scope, out);
    case AST_RECORD: return eval_record(e, ast, scope, out);
    case AST_SELECT: return eval_select(e, ast, scope, out);
    case AST_CALL: return eval_call_ast(e, ast, scope, out);
    case AST_BRACKETS: return eval_brackets_ast(e, ast, scope, out);
    case AST_UNARY: return eval_unary(e, ast, scope, out);
    case AST_BINARY: return eval_binary_ast(e, ast, scope, out);
    case AST_RANGE: return eval_range(e, ast, scope, out);
    case AST_IF: return eval_if(e, ast, scope, out);
    case AST_BLOCK: return eval_block(e, ast, scope_new(e->arena, scope, SCOPE_BLOCK), out);
    case AST_ERROR: case AST_BIND: case AST_FOR: case AST_PARAM: case AST_STATE: case AST_USE: case AST_DEF:
    case AST_ALIAS:
    case AST_EXPERIMENT: case AST_TEST: break;
    }
    return eval_fail(out);
}

bool eval_expr(Eval *e, const Ast *ast, Scope *scope, Value *out) {
    if (scan_failed(e)) return eval_fail(out);
    if (e->depth >= DEPTH_LIMIT) {
        eval_diag(e, D_E0210, ast->span, "this is nested too deeply");
        return eval_fail(out);
    }
    e->depth++;
    bool ok = eval_node(e, ast, scope, out);
    e->depth--;
    if (!ok) *out = value_error();
    return ok && out->kind != V_ERROR;
}

bool eval_formula(Eval *e, const Formula *formula, const Name *names, const Value *values, int n, Value *out) {
    for (int i = n - 1; formula->ast->kind == AST_NAME && i >= 0; i--)
        if (names[i] == formula->ast->name) return *out = values[i], true;
    Scope *scope = scope_new(e->arena, formula->scope, SCOPE_FORMULA);
    for (int i = 0; i < n; i++) scope_bind(scope, names[i], &values[i], formula->ast->span);
    return eval_expr(e, formula->ast, scope, out);
}
