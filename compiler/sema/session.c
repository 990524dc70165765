/* session.c -- loading modules: parse, resolve, bind.  What can be known without running is checked in check.c.
 *
 * Definitions become Callables at once, with the static parts of their formals' types; other top-level names are
 * bindings that scope.c evaluates on first use.  The library is one scope, parsed once per session. */
#include "sema/internal.h"

#include "sema/names.h"

#include <stdlib.h>

/* ---- sessions ---- */

static Words *words_new(Session *s) {
    Words *w = arena_new_of(s->arena, Words);
    w->builtin = intern_text(s->names, "builtin");
    w->none = intern_text(s->names, "none");
    w->is_training = intern_text(s->names, "is_training");
    w->end = intern_text(s->names, "end");
    w->all = intern_text(s->names, "all");
    w->shape = intern_text(s->names, "shape");
    w->dropout = intern_text(s->names, "dropout");
    return w;
}

Session *session_new(const BuiltinRow *lab_builtins) {
    Arena *arena = arena_new();
    Session *s = arena_new_of(arena, Session);
    pthread_mutexattr_t recursive;
    s->arena = arena;
    s->names = intern_new();
    s->sources = sources_new(arena);
    diags_init(&s->diags, arena, s->sources);
    map_init(&s->modules, arena);
    s->builtins[s->builtin_tables++] = builtins_core;
    s->builtins[s->builtin_tables++] = builtins_sema;
    if (lab_builtins) s->builtins[s->builtin_tables++] = lab_builtins;
    pthread_mutexattr_init(&recursive);
    pthread_mutexattr_settype(&recursive, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(&s->lock, &recursive);
    pthread_mutexattr_destroy(&recursive);
    s->words = words_new(s);
    s->precision = DT_F32;
    return s;
}

void session_free(Session *session) {
    if (!session) return;
    pthread_mutex_destroy(&session->lock);
    intern_free(session->names);
    arena_free(session->arena);
}

/* ---- definitions ---- */

static const TypeValue *const *types_of(Eval *e, const AstFormal *formals, int n) {
    const TypeValue **types = arena_array(e->arena, const TypeValue *, n + 1);
    const TypeValue *any = arena_new_of(e->arena, TypeValue);
    for (int i = 0; i < n; i++) types[i] = formals[i].type ? type_of_ast(e, formals[i].type) : any;
    return types;
}

static void find_state(void *found, Ast *child) {
    if (child->kind == AST_STATE) *(bool *)found = true;
    else ast_children(child, find_state, found);
}

static const BuiltinRow *row_named(const Session *s, const char *name) {
    for (int t = s->builtin_tables - 1; t >= 0; t--)
        for (const BuiltinRow *row = s->builtins[t]; row->name; row++)
            if (strcmp(row->name, name) == 0) return row;
    return NULL;
}

Value definition_value(Eval *e, const Ast *ast, Scope *scope, bool library) {
    Session *s = e->session;
    Definition *def = arena_new_of(e->arena, Definition);
    const Ast *body = ast->def.body;
    *def = (Definition){.ast = ast, .name = ast->def.name, .scope = scope, .library = library};
    def->builtin = library && body->kind == AST_NAME && body->name == s->words->builtin;
    def->setting_types = (const TypeValue **)types_of(e, ast->def.settings, ast->def.settings_len);
    def->formal_types = (const TypeValue **)types_of(e, ast->def.formals, ast->def.formals_len);
    if (ast->def.type) def->result_type = type_of_ast(e, ast->def.type);
    if (def->builtin) def->row = row_named(s, def->name);
    if (ast->def.what == DEF_FN) ast_children(body, find_state, &def->has_state);
    Callable *callable = arena_new_of(e->arena, Callable);
    *callable = (Callable){.def = def, .what = ast->def.what};
    return (Value){.kind = V_CALLABLE, .callable = callable, .label = def->name};
}

/* ---- binding the names of a module ---- */

Binding *binding_add(Session *s, Scope *scope, Name name, Span span, const Ast *ast) {
    Binding *b = arena_new_of(s->arena, Binding);
    *b = (Binding){.name = name, .span = span, .ast = ast, .home = scope, .arena = s->arena, .item = s->item};
    if (!map_get(&scope->top, name)) map_put(&scope->top, name, b);
    return b;
}

void bind_known(Session *s, Scope *scope, Name name, Span span, const Ast *ast, Value value) {
    Binding *b = binding_add(s, scope, name, span, ast);
    for (int mode = 0; mode < 2; mode++) {
        b->value[mode] = value;
        b->state[mode] = BINDING_DONE;
    }
}

static void bind_pattern(Session *s, Scope *scope, const Ast *pattern, const Ast *ast) {
    if (pattern->kind == AST_NAME) binding_add(s, scope, pattern->name, pattern->span, ast);
    else if (pattern->kind == AST_LIST)
        for (int i = 0; i < pattern->list.len; i++) bind_pattern(s, scope, pattern->list.args[i].value, ast);
}

void bind_items(Session *s, LoadedModule *m, bool library) {
    Eval e;
    eval_init(&e, s, s->arena, &s->diags, EVAL_CHECK);
    for (int i = 0; i < m->module->items.len; i++) {
        const Ast *ast = m->module->items.at[i];
        if (ast->kind == AST_DEF) bind_known(s, m->scope, ast->def.name, ast->def.name_span, ast,
                                             definition_value(&e, ast, m->scope, library));
        else if (ast->kind == AST_ALIAS) binding_add(s, m->scope, ast->alias.name, ast->alias.name_span, ast);
        else if (ast->kind == AST_BIND) bind_pattern(s, m->scope, ast->bind.pattern, ast);
        else if (ast->kind == AST_EXPERIMENT) vec_push(s->arena, &m->experiments, ast);
        else if (ast->kind == AST_TEST) vec_push(s->arena, &m->tests, ast);
    }
}

static void prelude_load(Session *s) {
    if (s->prelude) return;
    names_library(s);
    s->prelude = scope_new(s->arena, NULL, SCOPE_PRELUDE);
    s->prelude->session = s;
    for (int i = 0; i < s->library.len; i++) {
        s->library.at[i]->scope = s->prelude;
        bind_items(s, s->library.at[i], true);
    }
}

/* ---- modules ---- */

static LoadedModule *module_parse(Session *s, Name path, const char *file, const char *text, size_t length, bool used);

static Name dotted(Session *s, const Ast *use) {
    Buf buf = {0};
    for (int i = 0; i < use->use.path_len; i++) buf_printf(&buf, "%s%s", i ? "." : "", use->use.path[i]);
    Name name = intern(s->names, buf.at, buf.len);
    buf_free(&buf);
    return name;
}

static char *module_read(Session *s, const char *folder, const Ast *use, const char **file, size_t *length) {
    const char *error, *folders[] = {folder, s->library_folder};
    for (int k = 0; k < COUNT(folders) && s->read_file; k++) {
        if (!folders[k]) continue;
        Buf buf = {0};
        buf_text(&buf, folders[k]);
        for (int i = 0; i < use->use.path_len; i++) buf_printf(&buf, "%s%s", i || buf.len ? "/" : "", use->use.path[i]);
        buf_text(&buf, ".nin");
        *file = buf_done(&buf, s->arena);
        char *text = s->read_file(s->arena, *file, length, &error);
        if (text) return text;
    }
    return NULL;
}

static LoadedModule *module_used(Session *s, const char *folder, const Ast *use) {
    Name path = dotted(s, use);
    LoadedModule *known = map_get(&s->modules, path);
    if (known) {
        if (known->module) return known;
        diag_add(&s->diags, D_E0306, use->span, "%s uses itself, through the modules that it uses", path);
        return NULL;
    }
    const char *file;
    size_t length;
    char *text = module_read(s, folder, use, &file, &length);
    if (!text) {
        Diag *d = diag_add(&s->diags, D_E0305, use->span, "there is no module %s", path);
        diag_note(d, "looked for %s%s%s.nin%s%s", folder ? folder : "", folder && *folder ? "/" : "", path,
                  s->library_folder ? " and in " : "", s->library_folder ? s->library_folder : "");
        return NULL;
    }
    LoadedModule *m = arena_new_of(s->arena, LoadedModule);
    map_put(&s->modules, path, m);
    LoadedModule *loaded = module_parse(s, path, file, text, length, true);
    if (loaded) *m = *loaded;
    return loaded ? m : NULL;
}

void module_use(Session *s, LoadedModule *m, const Ast *use) {
    LoadedModule *from = module_used(s, m->folder, use);
    if (!from) return;
    if (!use->use.names_len) {
        Value value = {.kind = V_MODULE, .module = from};
        bind_known(s, m->scope, use->use.path[use->use.path_len - 1], use->span, NULL, value);
    }
    for (int i = 0; i < use->use.names_len; i++) {
        Binding *target = map_get(&from->scope->top, use->use.names[i]);
        if (!target || use->use.names[i][0] == '_') continue;                 /* names.c tells */
        binding_add(s, m->scope, use->use.names[i], use->use.name_spans[i], NULL)->target = target;
    }
}

const char *folder_of(Session *s, const char *file) {
    const char *slash = strrchr(file, '/');
    return slash ? arena_copy(s->arena, file, (size_t)(slash - file)) : "";
}

static LoadedModule *module_parse(Session *s, Name path, const char *file, const char *text, size_t length, bool used) {
    ParseContext context = {s->arena, s->names, &s->diags, &s->next_id};
    LoadedModule *m = arena_new_of(s->arena, LoadedModule);
    prelude_load(s);
    m->path = path;
    m->used = used;
    m->folder = folder_of(s, file);
    int errors_before = s->diags.errors;
    const Module *parsed = parse_module(&context, sources_add(s->sources, file, text, length));
    bool parses = s->diags.errors == errors_before;
    m->scope = scope_new(s->arena, s->prelude, SCOPE_MODULE);
    m->scope->session = s;
    m->scope->path = file;
    for (int i = 0; i < parsed->items.len; i++)
        if (parsed->items.at[i]->kind == AST_USE) module_use(s, m, parsed->items.at[i]);
    m->module = parsed;
    bind_items(s, m, false);
    if (parses) names_check(s, m);
    return m;
}

/* The name under which other modules would use this file. */
static Name module_name(Session *s, const char *path) {
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path, *dot = strrchr(name, '.');
    return intern(s->names, name, dot ? (size_t)(dot - name) : strlen(name));
}

static LoadedModule *load_text(Session *s, const char *path, const char *text, size_t length) {
    LoadedModule *busy = arena_new_of(s->arena, LoadedModule);
    Name name = module_name(s, path);
    map_put(&s->modules, name, busy);
    LoadedModule *m = module_parse(s, name, path, text, length, false);
    if (m) *busy = *m;
    return m ? busy : NULL;
}

LoadedModule *session_load_text(Session *session, const char *path, const char *text) {
    return load_text(session, path, text, strlen(text));
}

LoadedModule *session_load(Session *session, const char *path) {
    const char *error = "no reader";
    size_t length;
    char *text = session->read_file ? session->read_file(session->arena, path, &length, &error) : NULL;
    if (text) return load_text(session, path, text, length);
    diag_add(&session->diags, D_E0305, (Span){0}, "cannot read %s: %s", path, error);
    return NULL;
}

bool eval_module_field(Eval *e, LoadedModule *module, Name field, Span span, Value *out) {
    Binding *b = field[0] == '_' ? NULL : map_get(&module->scope->top, field);
    if (b) return binding_force(e, b, out) || eval_fail(out);
    eval_diag(e, D_E0305, span, "%s has no %s", module->path, field);
    return eval_fail(out);
}

bool session_value(Eval *e, LoadedModule *module, const char *name, Value *out, bool *found) {
    Scope *scope = module ? module->scope : e->session->prelude;
    return scope_find(e, scope, intern_text(e->session->names, name), out, found);
}
