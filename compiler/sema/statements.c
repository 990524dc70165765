/* statements.c -- blocks: bindings, loops, and what owns parameters.
 *
 * A statement that fails leaves its names as V_ERROR, and the block goes on, so that one mistake is one diagnostic;
 * when running, a failure ends the block. */
#include "sema/internal.h"

/* ---- bindings ---- */

static void pattern_fail(Eval *e, const Ast *pattern, Scope *scope) {
    Value error = value_error();
    if (pattern->kind == AST_NAME) {
        Local *local = scope_local(scope, pattern->name);
        if (local) local->value = error;
        else scope_bind(scope, pattern->name, &error, pattern->span);
    } else if (pattern->kind == AST_LIST) {
        for (int i = 0; i < pattern->list.len; i++) pattern_fail(e, pattern->list.args[i].value, scope);
    }
}

static bool pattern_assign(Eval *e, const Ast *pattern, Value *value, Scope *scope) {
    if (pattern->kind == AST_NAME) {
        if (e->trace && value->kind == V_CALLABLE && value->callable->instance)
            instance_bind(e->trace, value->callable->instance, pattern->name);
        return scope_assign(e, scope, pattern->name, value, pattern->span);
    }
    if (pattern->kind != AST_LIST) return false;
    ValueList parts = {0};
    if (value->kind != V_ABSTRACT) {
        if (!eval_elements(e, value, pattern->span, &parts)) return false;
        if (parts.len != pattern->list.len) {
            eval_diag(e, D_E0309, pattern->span, "%d names for %d values", pattern->list.len, parts.len);
            return false;
        }
    }
    bool ok = true;
    for (int i = 0; i < pattern->list.len; i++) {
        Value part = parts.at ? parts.at[i] : value_abstract(NULL);
        ok = pattern_assign(e, pattern->list.args[i].value, &part, scope) && ok;
    }
    return ok;
}

/* A binding with a type: dimensions are computed, not bound. */
static bool bind_typed(Eval *e, const Ast *ast, Scope *scope, Value *value) {
    TypeValue type;
    if (!type_eval(e, ast->bind.type, scope, &type)) return false;
    const char *name = ast->bind.pattern->kind == AST_NAME ? ast->bind.pattern->name : "this";
    if (!value_convert(e, value, &type, ast->bind.value->span, NULL, name, value)) return false;
    Shape shape;
    DType dtype;
    if (!type.pattern || value->kind == V_ABSTRACT || !value_shape(e, value, &shape, &dtype)) return true;
    if (shape_equal(&shape, &type.shape)) return true;
    eval_diag(e, D_E0403, ast->bind.value->span, "%s is declared %s, this is %s", name, type_text(e, &type),
              type_text(e, value_type(e, value)));
    return false;
}

static bool eval_bind(Eval *e, const Ast *ast, Scope *scope) {
    Value value;
    bool ok = eval_expr(e, ast->bind.value, scope, &value);
    if (ok && ast->bind.type) ok = bind_typed(e, ast, scope, &value);
    if (ok) ok = pattern_assign(e, ast->bind.pattern, &value, scope);
    if (!ok) pattern_fail(e, ast->bind.pattern, scope);
    return ok;
}

/* ---- loops ---- */

static bool all_numbers(const ValueList *list) {
    for (int i = 0; i < list->len; i++)
        if (!value_is_number(&list->at[i])) return false;
    return true;
}

/* Layers made by each of very many turns: a loop that could only run as a scan. */
static bool too_many_layers(Eval *e, int made, const ValueList *turns, Span span) {
    if (!e->trace || turns->len <= 1000 || e->trace->at->made == made) return false;
    eval_diag(e, D_E0415, span, "the layers made in this loop are made %d times", turns->len);
    return true;
}

static bool loop_nest(Eval *e, const Ast *loop, int k, Scope *scope, ScopeKind kind) {
    Value value;
    if (k == loop->loop.len) return eval_block(e, loop->loop.body, scope, &value);
    const AstIterator *it = &loop->loop.iterators[k];
    ValueList parts = {0};
    LostDiags lost = {0};
    int mark = diags_mark(e->diags);
    bool independent = kind == SCOPE_TURN;
    if (!eval_expr(e, it->in, scope, &value)) return false;
    if (kind == SCOPE_BLOCK && scan_loop(e, loop, &value, scope, &lost)) return true;
    if (value.kind == V_ABSTRACT) parts = (ValueList){&value, 1};
    else if (!eval_elements(e, &value, it->in->span, &parts)) return false;
    if (independent && e->mode == EVAL_CHECK && parts.len && all_numbers(&parts)) parts.len = 1;
    bool ok = true;
    int made = e->trace ? e->trace->at->made : 0;
    for (int i = 0; i < parts.len && (ok || e->mode == EVAL_CHECK); i++) {
        if (i == 1 && e->trace) made = e->trace->at->made;      /* a layer bound before is placed at its first use */
        if (!eval_memory(e, loop->span) || (i == 2 && too_many_layers(e, made, &parts, loop->span))) return false;
        Scope *turn = scope_new(e->arena, scope, kind);
        ok = eval_pattern(e, it->pattern, &parts.at[i], turn) && loop_nest(e, loop, k + 1, turn, kind) && ok;
    }
    if (!ok && diags_mark(e->diags) == mark) scan_tell(e, &lost);
    return ok;
}

static bool eval_for(Eval *e, const Ast *ast, Scope *scope) {
    ScopeKind owner = scope_owner(scope);
    if (owner == SCOPE_EXPERIMENT && e->session->lab.loop) return e->session->lab.loop(e, ast, scope);
    return loop_nest(e, ast, 0, scope, owner == SCOPE_EXPERIMENT ? SCOPE_TURN : SCOPE_BLOCK);
}

/* ---- blocks ---- */

static bool eval_statement(Eval *e, const Ast *ast, Scope *scope, Value *out) {
    switch (ast->kind) {
    case AST_BIND: return eval_bind(e, ast, scope);
    case AST_FOR: return eval_for(e, ast, scope);
    case AST_PARAM: case AST_STATE: {
        Value error = value_error();
        bool ok = ast->kind == AST_PARAM ? eval_param(e, ast, scope) : eval_state(e, ast, scope);
        if (!ok) scope_bind(scope, ast->own.name, &error, ast->own.name_span);
        return ok;
    }
    case AST_ERROR: return false;
    case AST_NAME: case AST_TEXT: case AST_BOOL: case AST_INT: case AST_REAL: case AST_HOLE: case AST_WHOLE:
        case AST_LIST:
    case AST_COMPREHENSION: case AST_RECORD: case AST_SELECT: case AST_CALL: case AST_BRACKETS: case AST_UNARY:
        case AST_BINARY:
    case AST_RANGE: case AST_IF: case AST_BLOCK: case AST_USE: case AST_DEF: case AST_ALIAS: case AST_EXPERIMENT:
        case AST_TEST:
        break;
    }
    return eval_expr(e, ast, scope, out);
}

bool eval_block(Eval *e, const Ast *block, Scope *scope, Value *out) {
    if (block->kind != AST_BLOCK) return eval_expr(e, block, scope, out);
    bool ok = true;
    *out = value_none();
    for (int i = 0; i < block->block.len; i++) {
        const Ast *statement = block->block.at[i];
        *out = value_none();
        if (eval_statement(e, statement, scope, out)) continue;
        ok = false;
        if (e->mode == EVAL_RUN && !e->trace) break;
    }
    return ok ? true : eval_fail(out);
}

Scope *eval_experiment_scope(Eval *e, Scope *module, const Ast *ast, const Name *names, const Value *values, int n) {
    Scope *scope = scope_new(e->arena, module, ast->kind == AST_TEST ? SCOPE_TEST : SCOPE_EXPERIMENT);
    if (ast->kind == AST_TEST) return scope;
    for (int i = 0; i < ast->experiment.formals_len; i++) {
        const AstFormal *formal = &ast->experiment.formals[i];
        Value value = value_error();
        int given = 0;
        while (given < n && names[given] != formal->name) given++;
        if (given < n) value = values[given];
        else if (formal->initial) eval_expr(e, formal->initial, scope, &value);
        else eval_diag(e, D_E0310, formal->span, "%s needs %s", ast->experiment.name, formal->name);
        if (value.kind != V_ERROR && formal->type)
            value_convert(e, &value, type_of_ast(e, formal->type), formal->span, ast->experiment.name, formal->name,
                          &value);
        scope_bind(scope, formal->name, &value, formal->span);
    }
    return scope;
}
