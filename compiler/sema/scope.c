/* scope.c -- names to values, inner scopes to outer; top-level names are evaluated on first use.
 *
 * Inner scopes are short arrays searched from the end; modules and the prelude are maps to Bindings.  A top-level
 * binding is evaluated once per mode, under the session's lock, into the session's arena; BUSY marks a cycle. */
#include "sema/internal.h"
#include "sema/prompt.h"

Scope *scope_new(Arena *arena, Scope *parent, ScopeKind kind) {
    Scope *scope = arena_new_of(arena, Scope);
    scope->parent = parent;
    scope->kind = kind;
    scope->arena = arena;
    map_init(&scope->top, arena);
    if (parent) scope->session = parent->session;
    return scope;
}

void scope_bind(Scope *scope, Name name, const Value *value, Span span) {
    for (int i = 0; i < scope->len; i++) {
        if (scope->at[i].name != name) continue;
        scope->at[i].value = *value;
        return;
    }
    if (scope->len == scope->cap) {
        int cap = scope->cap ? scope->cap * 2 : 4;
        Local *at = arena_array(scope->arena, Local, cap);
        if (scope->len) memcpy(at, scope->at, sizeof *at * (size_t)scope->len);
        scope->at = at;
        scope->cap = cap;
    }
    scope->at[scope->len++] = (Local){name, *value, span};
}

static bool kind_is_body(ScopeKind kind) { return kind >= SCOPE_CELL && kind <= SCOPE_FORMULA; }

ScopeKind scope_owner(const Scope *scope) {
    while (scope && !kind_is_body(scope->kind) && scope->kind < SCOPE_MODULE) scope = scope->parent;
    return scope ? scope->kind : SCOPE_MODULE;
}

static Local *local_in(const Scope *scope, Name name) {
    for (int i = scope->len - 1; i >= 0; i--)
        if (scope->at[i].name == name) return &scope->at[i];
    return NULL;
}

Local *scope_local(const Scope *scope, Name name) {
    for (; scope && scope->kind < SCOPE_MODULE; scope = scope->parent) {
        Local *local = local_in(scope, name);
        if (local) return local;
        if (kind_is_body(scope->kind)) break;
    }
    return NULL;
}

bool scope_assign(Eval *e, Scope *scope, Name name, const Value *value, Span span) {
    bool turn = false;
    for (Scope *at = scope; at && at->kind < SCOPE_MODULE; at = at->parent) {
        Local *local = local_in(at, name);
        if (local && turn) {
            Diag *d = eval_diag(e, D_E0802, span, "%s is changed by every turn of this loop", name);
            diag_label(d, local->span, "%s is bound here, outside of the loop", name);
            diag_hint(d, "turns are independent: record(...) a value in each, and look at all of them in a table");
            return false;
        }
        if (local) {
            local->value = *value;
            return true;
        }
        turn = turn || at->kind == SCOPE_TURN;
        if (kind_is_body(at->kind)) break;
    }
    scope_bind(scope, name, value, span);
    return true;
}

/* ---- top-level names ---- */

static bool binding_eval(Eval *e, Binding *b, Value *out) {
    const Ast *ast = b->ast;
    if (ast->kind == AST_ALIAS) {
        if (!eval_expr(e, ast->alias.value, b->home, out)) return false;
        if (out->kind != V_CALLABLE || out->callable->what != DEF_CELL) {
            eval_diag(e, D_E0314, ast->alias.value->span, "%s must be made from a cell; this is %s", b->name,
                      value_kind_name(out));
            return eval_fail(out);
        }
        if (!callable_ready(e, out, ast->alias.value->span, out)) return false;
        Callable *copy = arena_new_of(e->arena, Callable);
        *copy = *out->callable;
        copy->type_name = b->name;
        out->callable = copy;
        return true;
    }
    if (ast->bind.value->kind == AST_NAME && ast->bind.value->name == e->session->words->builtin) {
        for (int t = e->session->builtin_tables - 1; t >= 0; t--)
            for (const BuiltinRow *row = e->session->builtins[t]; row->name; row++)
                if (strcmp(row->name, b->name) == 0) return row->fn(e, &(BuiltinCall){.span = ast->span}, out);
        *out = (Value){.kind = V_CHOICE, .choice = b->name};
        return true;
    }
    Scope *scope = scope_new(e->arena, b->home, SCOPE_BLOCK);
    if (!eval_expr(e, ast->bind.value, scope, out)) return false;
    if (ast->bind.type)
        return value_convert(e, out, type_of_ast(e, ast->bind.type), ast->bind.value->span, NULL, b->name, out);
    return true;
}

/* [a, b] = ... at the top: each name's binding takes its part. */
static bool binding_part(Eval *e, const Ast *pattern, Name name, const Value *value, Value *out) {
    Scope *scope = scope_new(e->arena, NULL, SCOPE_FN);
    if (!eval_pattern(e, pattern, value, scope)) return eval_fail(out);
    Local *local = scope_local(scope, name);
    *out = local ? local->value : value_error();
    return local != NULL;
}

static void report_cycle(Eval *e, Binding *b) {
    eval_diag(e, D_E0306, b->span, "%s uses itself", b->name);
}

bool binding_force(Eval *e, Binding *b, Value *out) {
    while (b->target) b = b->target;
    int mode = e->mode;
    int state = __atomic_load_n(&b->state[mode], __ATOMIC_ACQUIRE);
    if (state == BINDING_NEW || state == BINDING_BUSY) {
        pthread_mutex_lock(&e->session->lock);
        state = b->state[mode];
        if (state == BINDING_BUSY) {
            report_cycle(e, b);
            state = BINDING_FAILED;
        } else if (state == BINDING_NEW) {
            Eval inner;
            if (b->item && e->session->item) b->item->last = e->session->item->number;
            eval_init(&inner, e->session, b->arena, e->diags, e->mode);
            inner.lab = e->lab;
            inner.depth = e->depth;
            b->state[mode] = BINDING_BUSY;
            Value value = value_error();
            bool ok = binding_eval(&inner, b, &value);
            if (ok && b->ast->kind == AST_BIND && b->ast->bind.pattern->kind == AST_LIST)
                ok = binding_part(&inner, b->ast->bind.pattern, b->name, &value, &value);
            if (ok && value.kind != V_CHOICE) value.label = b->name;
            b->value[mode] = ok ? value : value_error();
            state = ok ? BINDING_DONE : BINDING_FAILED;
            __atomic_store_n(&b->state[mode], state, __ATOMIC_RELEASE);
        }
        pthread_mutex_unlock(&e->session->lock);
    }
    *out = b->value[mode];
    return state == BINDING_DONE;
}

Found scope_lookup(Eval *e, const Scope *scope, Name name, Value *out) {
    for (; scope; scope = scope->parent) {
        if (scope->kind < SCOPE_MODULE) {
            Local *local = local_in(scope, name);
            if (!local) continue;
            *out = local->value;
            return out->kind == V_ERROR ? FOUND_FAILED : FOUND_LOCAL;
        }
        Binding *b = map_get(&scope->top, name);
        if (b) return binding_force(e, b, out) ? FOUND_TOP : FOUND_FAILED;
    }
    return FOUND_NOT;
}

bool scope_find(Eval *e, const Scope *scope, Name name, Value *out, bool *found) {
    Found how = scope_lookup(e, scope, name, out);
    *found = how != FOUND_NOT;
    if (how == FOUND_FAILED) return eval_fail(out);
    return true;
}

/* ---- near names ---- */

typedef struct Nearest { const char *name, *best; int distance; } Nearest;

static void nearest_try(Nearest *n, const char *candidate) {
    size_t length = strlen(n->name);
    int limit = length < 2 ? 0 : length < 5 ? 1 : 2;                       /* any letter is near to any other */
    if (candidate[0] == '_') return;
    int distance = text_distance(n->name, candidate, limit);
    if (distance > limit || distance >= n->distance || strcmp(n->name, candidate) == 0) return;
    n->best = candidate;
    n->distance = distance;
}

const char *nearest_name(const char *name, const char *const *names, int count) {
    Nearest n = {name, NULL, 99};
    for (int i = 0; i < count; i++) nearest_try(&n, names[i]);
    return n.best;
}

const char *scope_nearest(const Scope *scope, const char *name) {
    Nearest n = {name, NULL, 99};
    for (; scope; scope = scope->parent) {
        for (int i = 0; i < scope->len; i++) nearest_try(&n, scope->at[i].name);
        for (int i = 0; i < scope->top.len; i++) nearest_try(&n, scope->top.key[i]);
    }
    return n.best;
}

bool eval_pattern(Eval *e, const Ast *pattern, const Value *value, Scope *scope) {
    if (pattern->kind == AST_NAME) {
        scope_bind(scope, pattern->name, value, pattern->span);
        return true;
    }
    if (pattern->kind != AST_LIST) return false;
    ValueList parts = {0};
    bool ok = value->kind != V_ERROR;
    if (ok && value->kind != V_ABSTRACT) {
        ok = eval_elements(e, value, pattern->span, &parts);
        if (ok && parts.len != pattern->list.len) {
            eval_diag(e, D_E0309, pattern->span, "%d names for %d values", pattern->list.len, parts.len);
            ok = false;
        }
    }
    Value other = ok ? value_abstract(NULL) : value_error();
    for (int i = 0; i < pattern->list.len; i++)
        ok = eval_pattern(e, pattern->list.args[i].value, ok && parts.at ? &parts.at[i] : &other, scope) && ok;
    return ok;
}
