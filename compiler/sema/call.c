/* call.c -- brackets make ready, parentheses use: one way of matching arguments to formals for all definitions.
 *
 * Arguments come as text (evaluated here, because a formal's type decides how: formulas not at all, choices by bare
 * name) or as values.  They are evaluated in the order of the text, defaults after them in the order of the formals,
 * each seeing the formals before it. */
#include "sema/internal.h"

typedef struct Arg { Name label; Span span; const Ast *ast; Value value; bool ready; } Arg;
typedef struct Args { Arg *at; int len; Scope *scope; Span span; const Ast *call; } Args;
typedef struct Formals { const char *callee; const AstFormal *at; const TypeValue **types; int len; Scope *home;
                         const Definition *def; bool settings; } Formals;
typedef struct Bound { Value *value; Span *span; uint64_t given; } Bound;

/* ---- arguments ---- */

static bool args_of_ast(Eval *e, const Ast *call, Scope *scope, Args *out) {
    *out = (Args){.at = arena_array(e->arena, Arg, call->call.len), .scope = scope, .span = call->span, .call = call};
    for (int i = 0; i < call->call.len; i++) {
        const AstArg *arg = &call->call.args[i];
        if (!arg->spread) {
            out->at[out->len++] = (Arg){arg->label, arg->value->span, arg->value, {0}, false};
            continue;
        }
        Value value;
        ValueList parts;
        if (!eval_expr(e, arg->value, scope, &value)) return false;
        if (!eval_elements(e, &value, arg->value->span, &parts)) return false;
        Arg *more = arena_array(e->arena, Arg, out->len + parts.len + call->call.len - i);
        if (out->len) memcpy(more, out->at, sizeof *more * (size_t)out->len);
        out->at = more;
        for (int k = 0; k < parts.len; k++)
            out->at[out->len++] = (Arg){NULL, arg->value->span, NULL, parts.at[k], true};
    }
    return true;
}

static Args args_of_values(Eval *e, const Name *labels, const Value *values, int n, Span span) {
    Args out = {.at = arena_array(e->arena, Arg, n), .len = n, .span = span};
    for (int i = 0; i < n; i++) out.at[i] = (Arg){labels ? labels[i] : NULL, span, NULL, values[i], true};
    return out;
}

/* The bare name `all` among axes or parameters is not the function of that name. */
static bool bare_all(Eval *e, const TypeValue *type, const Ast *ast, Scope *scope, Value *out) {
    if (type->kind != TYPE_ANY || !type->name || ast->kind != AST_NAME ||
        ast->name != e->session->words->all) return false;
    if (strcmp(type->name, "axes") != 0 && strcmp(type->name, "selection") != 0) return false;
    Found found = scope_lookup(e, scope, ast->name, out);
    if (found == FOUND_LOCAL || found == FOUND_FAILED) return false;
    if (found == FOUND_TOP && !(out->kind == V_CALLABLE && out->callable->def->library)) return false;
    *out = (Value){.kind = V_CHOICE, .choice = ast->name};
    return true;
}

/* [class, logits]: several choices. */
static bool eval_choices(Eval *e, const TypeValue *type, const Ast *ast, Scope *scope, Value *out) {
    Value *at = arena_array(e->arena, Value, ast->list.len + 1);
    for (int i = 0; i < ast->list.len; i++)
        if (!eval_choice(e, type, ast->list.args[i].value, scope, &at[i])) return eval_fail(out);
    *out = value_list(e->arena, at, ast->list.len);
    return true;
}

bool eval_choice(Eval *e, const TypeValue *type, const Ast *ast, Scope *scope, Value *out) {
    if (ast->kind == AST_LIST) return eval_choices(e, type, ast, scope, out);
    if (ast->kind != AST_NAME) return eval_expr(e, ast, scope, out);
    Value choice = {.kind = V_CHOICE, .choice = ast->name}, fitted;
    Found found = scope_lookup(e, scope, ast->name, out);
    bool bound = found == FOUND_LOCAL || found == FOUND_TOP;
    if (bound && value_fits(e, out, type, &fitted)) return true;
    if (value_fits(e, &choice, type, &fitted)) return *out = choice, true;
    if (bound && out->kind != V_CALLABLE) return true;
    *out = choice;
    return found != FOUND_FAILED || eval_fail(out);
}

static bool arg_eval(Eval *e, const TypeValue *type, Arg *arg, Scope *scope) {
    if (arg->ready) return arg->value.kind != V_ERROR;
    arg->ready = true;
    if (type->kind == TYPE_FORMULA || type->kind == TYPE_COLUMNS) {
        Formula *formula = arena_new_of(e->arena, Formula);
        *formula = (Formula){arg->ast, scope};
        arg->value = (Value){.kind = V_FORMULA, .formula = formula};
        return true;
    }
    if (type->kind == TYPE_CHOICE) return eval_choice(e, type, arg->ast, scope, &arg->value);
    if (bare_all(e, type, arg->ast, scope, &arg->value)) return true;
    return eval_expr(e, arg->ast, scope, &arg->value);
}

/* ---- matching ---- */

static int formal_index(const Formals *f, Name label) {
    for (int i = 0; i < f->len; i++)
        if (f->at[i].name == label && f->types[i]->kind != TYPE_LABELS && f->types[i]->kind != TYPE_COLUMNS) return i;
    return -1;
}

static int formal_of_kind(const Formals *f, TypeKind a, TypeKind b) {
    for (int i = 0; i < f->len; i++)
        if (f->types[i]->kind == a || f->types[i]->kind == b) return i;
    return -1;
}

static void show_formals(const AstFormal *at, int n, const char *open, const char *close, Buf *out) {
    buf_text(out, open);
    for (int i = 0; i < n; i++) {
        buf_printf(out, "%s%s", i ? ", " : "", at[i].name);
        if (at[i].initial) buf_text(out, " = ...");
    }
    buf_text(out, close);
}

void callable_show_signature(const Definition *def, Buf *out) {
    buf_text(out, def->name);
    if (def->ast->def.settings_len) show_formals(def->ast->def.settings, def->ast->def.settings_len, "[", "]", out);
    show_formals(def->ast->def.formals, def->ast->def.formals_len, "(", ")", out);
}

static void note_signature(Diag *d, const Definition *def) {
    Buf buf = {0};
    callable_show_signature(def, &buf);
    diag_note(d, "%s", buf.at);
    buf_free(&buf);
}

static bool is_setting(const Definition *def, Name name) {
    for (int i = 0; i < def->ast->def.settings_len; i++)
        if (def->ast->def.settings[i].name == name) return true;
    return false;
}

static void unknown_label(Eval *e, const Formals *f, const Arg *arg) {
    if (!f->settings && is_setting(f->def, arg->label)) {
        Diag *d = eval_diag(e, D_E0307, arg->span, "%s is made ready with brackets", f->callee);
        diag_hint(d, "%s[%s: ...]", f->callee, arg->label);
        return;
    }
    const char *names[64];
    int n = 0;
    for (; n < f->len && n < COUNT(names); n++) names[n] = f->at[n].name;
    Diag *d = eval_diag(e, D_E0313, arg->span, "%s has no %s %s", f->callee, f->settings ? "setting" : "argument",
                        arg->label);
    const char *near = nearest_name(arg->label, names, n);
    if (near) diag_hint(d, "did you mean %s?", near);
    note_signature(d, f->def);
}

static void too_many(Eval *e, const Formals *f, int count, Span span) {
    Diag *d = eval_diag(e, D_E0309, span, "%s takes %d %s%s, here are %d", f->callee, f->len,
                        f->settings ? "setting" : "argument",
                        f->len == 1 ? "" : "s", count);
    note_signature(d, f->def);
}

/* Which formal each argument goes to; -1: unknown (told). */
static bool match_args(Eval *e, const Formals *f, const Args *args, int *target) {
    int rest = formal_of_kind(f, TYPE_REST, TYPE_REST), more = formal_of_kind(f, TYPE_LABELS, TYPE_COLUMNS),
        positional = 0;
    bool ok = true;
    for (int i = 0; i < args->len; i++) {
        const Arg *arg = &args->at[i];
        if (!arg->label) {
            int k = rest >= 0 && positional >= rest ? rest : positional;
            positional++;
            target[i] = k < f->len && k != more ? k : -1;
        } else {
            target[i] = formal_index(f, arg->label);
            if (target[i] < 0) target[i] = more;
            if (target[i] < 0) {
                unknown_label(e, f, arg);
                ok = false;
            }
        }
        for (int j = 0; ok && j < i; j++) {
            if (target[j] != target[i] || target[i] < 0 || target[i] == rest || target[i] == more) continue;
            eval_diag(e, D_E0209, arg->span, "%s is given twice", f->at[target[i]].name);
            ok = false;
        }
    }
    int room = more >= 0 ? f->len - 1 : f->len;
    if (rest < 0 && positional > room) {
        too_many(e, f, positional, args->span);
        ok = false;
    }
    return ok;
}

static bool none_allowed(Eval *e, const AstFormal *formal, const Value *value) {
    return value->kind == V_NONE && formal->initial && formal->initial->kind == AST_NAME &&
           formal->initial->name == e->session->words->none;
}

static bool collect(Eval *e, const Formals *f, Args *args, const int *target, int k, Value *out) {
    Value *values = arena_array(e->arena, Value, args->len);
    Name *names = arena_array(e->arena, Name, args->len);
    int n = 0;
    for (int i = 0; i < args->len; i++) {
        if (target[i] != k) continue;
        names[n] = args->at[i].label;
        values[n++] = args->at[i].value;
    }
    *out = f->types[k]->kind == TYPE_REST ? value_list(e->arena, values, n) : value_record(e->arena, names, values, n);
    return true;
}

static bool missing(Eval *e, const Formals *f, int k, const Args *args) {
    Diag *d = f->settings ? eval_diag(e, D_E0310, args->span, "%s needs %s", f->callee, f->at[k].name)
                          : eval_diag(e, D_E0309, args->span, "%s needs %s", f->callee, f->at[k].name);
    note_signature(d, f->def);
    return false;
}

static bool mentions_formal(const Formals *f, const Ast *initial) {
    if (initial->kind == AST_INT || initial->kind == AST_REAL || initial->kind == AST_TEXT ||
        initial->kind == AST_BOOL) return false;
    return initial->kind != AST_NAME || formal_index(f, initial->name) >= 0;
}

static bool fill_default(Eval *e, const Formals *f, int k, Bound *bound, Scope **scope) {
    const AstFormal *formal = &f->at[k];
    Scope *where = f->home;
    if (mentions_formal(f, formal->initial)) {
        if (!*scope) *scope = scope_new(e->arena, f->home, SCOPE_FN);
        where = *scope;
        for (int i = 0; i < k; i++) scope_bind(where, f->at[i].name, &bound->value[i], f->at[i].span);
    }
    Arg arg = {.span = formal->initial->span, .ast = formal->initial};
    const IndexContext *index = e->index;
    e->index = NULL;
    bool ok = arg_eval(e, f->types[k], &arg, where);
    e->index = index;
    bound->value[k] = arg.value;
    return ok;
}

/* All arguments to all formals.  `scope`, if given, is where defaults that use earlier formals are evaluated. */
static bool bind_args(Eval *e, const Formals *f, Args *args, Bound *bound, Scope *scope) {
    int *target = arena_array(e->arena, int, args->len);
    *bound = (Bound){arena_array(e->arena, Value, f->len), arena_array(e->arena, Span, f->len), 0};
    if (!match_args(e, f, args, target)) return false;
    bool ok = true;
    for (int i = 0; i < args->len; i++) {
        int k = target[i];
        if (!arg_eval(e, f->types[k], &args->at[i], args->scope)) {
            ok = false;
            continue;
        }
        bound->given |= UINT64_C(1) << (k & 63);
        bound->value[k] = args->at[i].value;
        bound->span[k] = args->at[i].span;
    }
    if (!ok) return false;
    for (int k = 0; k < f->len; k++) {
        TypeKind kind = f->types[k]->kind;
        bool given = bound->given >> (k & 63) & 1;
        if (!given) bound->span[k] = args->span;
        if (kind == TYPE_REST || kind == TYPE_LABELS || kind == TYPE_COLUMNS) {
            collect(e, f, args, target, k, &bound->value[k]);
            continue;
        }
        if (!given && !f->at[k].initial) return missing(e, f, k, args);
        if (!given && !fill_default(e, f, k, bound, &scope)) return false;
        if (kind == TYPE_ANY || kind == TYPE_FORMULA || none_allowed(e, &f->at[k], &bound->value[k])) continue;
        if (!f->settings && type_is_numeric(f->types[k])) continue;
        if (!value_convert(e, &bound->value[k], f->types[k], bound->span[k], f->callee, f->at[k].name,
                           &bound->value[k])) return false;
    }
    return true;
}

/* ---- making ready ---- */

static const char *callee_name(const Callable *c) { return c->type_name ? c->type_name : c->def->name; }

static Formals formals_of(const Callable *c, bool settings) {
    const Definition *def = c->def;
    return settings ? (Formals){callee_name(c), def->ast->def.settings, def->setting_types,
                                 def->ast->def.settings_len, def->scope, def, true}
                    : (Formals){callee_name(c), def->ast->def.formals, def->formal_types, def->ast->def.formals_len,
                                 def->scope, def, false};
}

static bool make_ready(Eval *e, const Value *callee, Args *args, Value *out) {
    Formals formals = formals_of(callee->callable, true);
    Bound bound;
    if (!bind_args(e, &formals, args, &bound, NULL)) return eval_fail(out);
    Callable *ready = arena_new_of(e->arena, Callable);
    *ready = *callee->callable;
    ready->settings = bound.value;
    ready->settings_len = formals.len;
    ready->given = bound.given;
    *out = (Value){.kind = V_CALLABLE, .callable = ready};
    if (e->trace && callable_owns(ready) && !ready->instance) *out = callable_mention(e, out);
    return true;
}

bool callable_ready(Eval *e, const Value *callee, Span span, Value *out) {
    Callable *c = callee->callable;
    *out = *callee;
    if (c->settings || !c->def->ast->def.settings_len) return true;
    Args none = {.span = span};
    if (!make_ready(e, callee, &none, out)) return false;
    out->label = callee->label;
    return true;
}

static bool no_brackets(Eval *e, const Value *callee, const Ast *ast, Value *out) {
    const Callable *c = callee->callable;
    if (c->settings) {
        eval_diag(e, D_E0309, ast->span, "%s has its brackets already", callee_name(c));
    } else {
        Diag *d = eval_diag(e, D_E0308, ast->span, c->what == DEF_FN ? "%s is a call" : "%s has no settings",
                            callee_name(c));
        diag_hint(d, "%s(...)", callee_name(c));
    }
    return eval_fail(out);
}

static bool type_brackets(Eval *e, const Value *of, const Ast *ast, Scope *scope, Value *out) {
    TypeValue *type = arena_new_of(e->arena, TypeValue);
    (void)of;
    if (!type_eval(e, ast, scope, type)) return eval_fail(out);
    type->pattern = NULL;
    type->count = NULL;
    *out = (Value){.kind = V_TYPE, .type = type};
    return true;
}

bool eval_brackets_ast(Eval *e, const Ast *ast, Scope *scope, Value *out) {
    Value of;
    if (!eval_expr(e, ast->call.of, scope, &of)) return eval_fail(out);
    if (of.kind == V_TYPE) return type_brackets(e, &of, ast, scope, out);
    if (of.kind != V_CALLABLE) return eval_index_ast(e, &of, ast, scope, out);
    if (of.callable->settings || !of.callable->def->ast->def.settings_len) return no_brackets(e, &of, ast, out);
    Args args;
    if (!args_of_ast(e, ast, scope, &args)) return eval_fail(out);
    return make_ready(e, &of, &args, out);
}

/* ---- bodies ---- */

static ScopeKind body_kind(AstDefKind what) {
    return what == DEF_CELL ? SCOPE_CELL : what == DEF_NET ? SCOPE_NET : SCOPE_FN;
}

/* A rate that is a function of progress reads as its number now. */
static bool rate_now(Eval *e, const TypeValue *type, Value *value, Span span) {
    if (type->kind != TYPE_RATE || !e->trace || (value->kind != V_CALLABLE && value->kind != V_OBJECT)) return true;
    Trace *root = trace_root(e->trace);
    if (root->progress.kind == V_NONE) return true;
    Value rate = *value, progress = root->progress;
    return eval_call(e, &rate, &progress, 1, span, value);
}

/* A layer that a parameter holds is one instance, named after the parameter. */
static void held_instance(Eval *e, Value *value, Name formal) {
    if (!e->trace || value->kind != V_CALLABLE || !callable_owns(value->callable) || value->callable->instance) return;
    *value = callable_mention(e, value);
    instance_bind(e->trace, value->callable->instance, formal);
}

Scope *callable_scope(Eval *e, const Callable *c, Span span) {
    Scope *body = scope_new(e->arena, c->def->scope, body_kind(c->what));
    for (int i = 0; i < c->settings_len && c->settings; i++) {
        const AstFormal *formal = &c->def->ast->def.settings[i];
        Value value = c->settings[i];
        if (!rate_now(e, c->def->setting_types[i], &value, span)) value = value_error();
        held_instance(e, &value, formal->name);
        scope_bind(body, formal->name, &value, formal->span);
    }
    return body;
}

static bool result_fits(Eval *e, const Callable *c, Scope *body, Value *out) {
    const Ast *ast = c->def->ast;
    const Ast *last = ast->def.body;
    TypeValue type;
    Shape shape;
    DType dtype;
    if (!ast->def.type || out->kind == V_ABSTRACT) return true;
    while (last->kind == AST_BLOCK && last->block.len) last = last->block.at[last->block.len - 1];
    if (!type_eval(e, ast->def.type, body, &type)) return false;
    bool fits = value_fits(e, out, &type, out);
    if (fits && type_is_numeric(&type)) fits = value_shape(e, out, &shape, &dtype) && shape_equal(&shape, &type.shape);
    if (fits) return true;
    Diag *d = eval_diag(e, D_E0409, last->span, "%s gives %s, but this is %s", callee_name(c), type_text(e, &type),
                        type_text(e, value_type(e, out)));
    diag_label(d, ast->def.type->span, "declared here");
    return false;
}

static bool site_moves(const Eval *e, const Callable *c, Span span) {
    return c->def->library && span.lo && !eval_in_library(e, span);
}

bool callable_body(Eval *e, const Callable *c, Scope *body, Span span, Value *out) {
    Span site = e->site;
    const IndexContext *index = e->index;
    if (site_moves(e, c, span)) e->site = span;
    e->index = NULL;
    e->depth += 10;
    bool ok = eval_block(e, c->def->ast->def.body, body, out) && result_fits(e, c, body, out);
    e->depth -= 10;
    e->index = index;
    e->site = site;
    if (!ok || out->kind == V_ERROR) return eval_fail(out);
    if (e->trace && out->kind == V_NODE && site_moves(e, c, span)) trace_origin(e->trace, out->node, span);
    return true;
}

static bool call_fn(Eval *e, const Callable *c, Bound *bound, Span span, Value *out) {
    Scope *body = callable_scope(e, c, span);
    const AstFormal *formals = c->def->ast->def.formals;
    int n = c->def->ast->def.formals_len;
    for (int i = 0; i < n; i++) {
        if (!rate_now(e, c->def->formal_types[i], &bound->value[i], span)) return eval_fail(out);
        held_instance(e, &bound->value[i], formals[i].name);
        scope_bind(body, formals[i].name, &bound->value[i], formals[i].span);
    }
    for (int i = 0; i < n; i++) {
        const TypeValue *type = c->def->formal_types[i];
        if (!type_is_numeric(type) || none_allowed(e, &formals[i], &bound->value[i])) continue;
        if (!type_bind(e, type, body, &bound->value[i], bound->span[i], callee_name(c), formals[i].name))
            return eval_fail(out);
    }
    int states = e->trace ? e->trace->facts->states.len : 0;
    Instance *at = e->trace ? e->trace->at : NULL;
    if (e->trace && c->def->has_state) {
        Instance *mine = c->instance ? c->instance : instance_mention(e->trace);
        e->trace->at = instance_use(e->trace, mine, c->def->name);
        instance_enter(e->trace->at);
    }
    bool ok = callable_body(e, c, body, span, out);
    if (e->trace) {
        if (ok) states_store(e, body, states);
        e->trace->facts->states.len = states;
        e->trace->at = at;
    }
    return ok;
}

static bool call_builtin(Eval *e, const Callable *c, const Args *args, Bound *bound, Value *out) {
    const BuiltinRow *row = c->def->row;
    if (!row) {
        eval_diag(e, D_E0301, args->span, "%s is not part of this version", c->def->name);
        return eval_fail(out);
    }
    BuiltinCall call = {c->settings, c->settings_len, bound->value, c->def->ast->def.formals_len, args->span,
                        bound->span, c, args->call, args->scope};
    Span site = e->site;
    if (site_moves(e, c, args->span)) e->site = args->span;
    if (e->trace) graph_at(e->trace->graph, args->span);
    bool ok = row->fn(e, &call, out);
    e->site = site;
    return ok ? true : eval_fail(out);
}

/* ---- calls ---- */

static bool plain_args(Eval *e, const Callable *c, Args *args, Value **values, Span **spans, bool *abstract) {
    bool ok = true;
    *values = arena_array(e->arena, Value, args->len);
    *spans = arena_array(e->arena, Span, args->len);
    *abstract = false;
    for (int i = 0; i < args->len; i++) {
        Arg *arg = &args->at[i];
        if (arg->label) {
            Formals formals = formals_of(c, false);
            if (is_setting(c->def, arg->label)) unknown_label(e, &formals, arg);
            else eval_diag(e, D_E0313, arg->span, "the arguments of a %s have no labels",
                           c->what == DEF_CELL ? "cell" : "net");
            ok = false;
        }
        ok = arg_eval(e, &(TypeValue){0}, arg, args->scope) && ok;
        (*values)[i] = arg->value;
        (*spans)[i] = arg->span;
        *abstract = *abstract || arg->value.kind == V_ABSTRACT;
    }
    return ok;
}

static bool cell_arity_fits(Eval *e, const Value *cell, const Value *values, int n, Span span) {
    int arity = callable_arity(e, cell);
    Shape shape;
    DType dtype;
    if (arity < 0 || n == arity) return arity >= 0;
    const char *shown = value_shown(e, cell);
    if (n == 1 && value_shape(e, &values[0], &shape, &dtype) && shape.rank) {
        Diag *d = eval_diag(e, D_E0406, span, "%s takes %d tensors, here is one", shown, arity);
        diag_hint(d, "apply(%s, z) gives it adjacent features", shown);
    } else {
        eval_diag(e, D_E0309, span, "%s takes %d number%s, here %s %d", shown, arity, arity == 1 ? "" : "s",
                  n == 1 ? "is" : "are", n);
    }
    return false;
}

static bool call_owner(Eval *e, const Value *callee, Args *args, Value *out) {
    Value *values;
    Span *spans;
    bool abstract;
    const Callable *c = callee->callable;
    if (!plain_args(e, c, args, &values, &spans, &abstract)) return eval_fail(out);
    if (e->trace && args->call) e->trace->facts->place = args->call;
    if (c->what == DEF_NET) {
        if (abstract) return *out = value_abstract(NULL), true;
        return eval_net_call(e, callee, values, args->len, spans, args->span, out);
    }
    if (!cell_arity_fits(e, callee, values, args->len, args->span)) return eval_fail(out);
    if (abstract) return *out = value_abstract(NULL), true;
    return eval_cell_on(e, callee, values, args->len, args->span, out);
}

static bool call_callable(Eval *e, const Value *callee, Args *args, Value *out) {
    Value ready;
    Callable *c = callee->callable;
    for (int i = 0; !c->settings && c->def->ast->def.settings_len && i < args->len; i++) {
        Formals formals = formals_of(c, false);
        if (!args->at[i].label || formal_index(&formals, args->at[i].label) >= 0 ||
            !is_setting(c->def, args->at[i].label)) continue;
        unknown_label(e, &formals, &args->at[i]);
        return eval_fail(out);
    }
    if (!callable_ready(e, callee, args->span, &ready)) return eval_fail(out);
    c = ready.callable;
    const BuiltinRow *row = c->def->builtin ? c->def->row : NULL;
    if (row && row->ready && args->call && row->ready(e, args->call, out)) return true;
    if (c->what != DEF_FN && !(c->def->builtin && c->what == DEF_CELL)) return call_owner(e, &ready, args, out);
    Formals formals = formals_of(c, false);
    Bound bound;
    if (!bind_args(e, &formals, args, &bound, NULL)) return eval_fail(out);
    if (e->trace && args->call) e->trace->facts->place = args->call;
    return c->def->builtin ? call_builtin(e, c, args, &bound, out) : call_fn(e, c, &bound, args->span, out);
}

static bool call_object(Eval *e, const Value *callee, Args *args, Value *out) {
    const ObjectClass *class = callee->object->class;
    Value *values = arena_array(e->arena, Value, args->len);
    bool node = false, ok = true;
    for (int i = 0; i < args->len; i++) {
        ok = arg_eval(e, &(TypeValue){0}, &args->at[i], args->scope) && ok;
        values[i] = args->at[i].value;
        node = node || value_is_traced(&values[i]);
    }
    if (!ok) return eval_fail(out);
    if (node && e->trace && class->trace)
        return class->trace(e, callee->object, values, args->len, args->span, out) || eval_fail(out);
    if (class->call) return class->call(e, callee->object, values, args->len, args->span, out) || eval_fail(out);
    if (class->trace) return eval_cell_on(e, callee, values, args->len, args->span, out);
    eval_diag(e, D_E0314, args->span, "a %s is not called", class->name);
    return eval_fail(out);
}

static bool call_value(Eval *e, const Value *callee, Args *args, Value *out) {
    switch (callee->kind) {
    case V_CALLABLE: return call_callable(e, callee, args, out);
    case V_OBJECT: return call_object(e, callee, args, out);
    case V_ABSTRACT:
        for (int i = 0; i < args->len; i++) arg_eval(e, &(TypeValue){0}, &args->at[i], args->scope);
        return *out = value_abstract(NULL), true;
    case V_ERROR: return eval_fail(out);
    case V_NONE: case V_BOOL: case V_INT: case V_REAL: case V_TEXT: case V_LIST: case V_RECORD: case V_RANGE:
    case V_TENSOR:
    case V_NODE: case V_TYPE: case V_CHOICE: case V_FORMULA: case V_MODULE: break;
    }
    eval_diag(e, D_E0314, args->span, "%s is not called", value_kind_name(callee));
    return eval_fail(out);
}

bool eval_call_ast(Eval *e, const Ast *ast, Scope *scope, Value *out) {
    Value callee;
    Args args;
    if (!eval_expr(e, ast->call.of, scope, &callee)) return eval_fail(out);
    if (!args_of_ast(e, ast, scope, &args)) return eval_fail(out);
    return call_value(e, &callee, &args, out);
}

bool eval_call_named(Eval *e, const Value *callee, const Name *labels, const Value *args, int n, Span span,
                     Value *out) {
    Args list = args_of_values(e, labels, args, n, span);
    return call_value(e, callee, &list, out) && out->kind != V_ERROR;
}

bool eval_call(Eval *e, const Value *callee, const Value *args, int n, Span span, Value *out) {
    return eval_call_named(e, callee, NULL, args, n, span, out);
}

/* ---- arity ---- */

static int cell_arity(Eval *e, const Callable *c) {
    int arity = 0;
    Scope *body = callable_scope(e, c, (Span){0});
    for (int i = 0; i < c->def->ast->def.formals_len; i++) {
        TypeValue type = {0};
        const Ast *written = c->def->ast->def.formals[i].type;
        if (written && !type_eval(e, written, body, &type)) return -1;
        arity += (int)shape_size(&type.shape);
    }
    return arity;
}

int callable_arity(Eval *e, const Value *callee) {
    Value ready;
    if (callee->kind == V_OBJECT)
        return callee->object->class->arity ? callee->object->class->arity(callee->object) : -1;
    if (callee->kind != V_CALLABLE) return -1;
    if (callee->callable->what != DEF_CELL) return callee->callable->def->ast->def.formals_len;
    if (!callable_ready(e, callee, callee->callable->def->ast->span, &ready)) return -1;
    return cell_arity(e, ready.callable);
}
