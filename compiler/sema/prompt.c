/* prompt.c -- inputs of a prompt: names replaced, arenas freed (prompt.h). */
#include "sema/prompt.h"

#include "sema/internal.h"

enum { DEAD_MOST = 128 };
#define DEAD_BYTES ((size_t)64 << 20)

Prompt *prompt_new(Session *session, const char *name) {
    Prompt *p = arena_new_of(session->arena, Prompt);
    p->session = session;
    p->arena = session->arena;
    p->module = session_load_text(session, name, "");
    p->module->prompt = true;
    return p;
}

void prompt_free(Prompt *p) {
    for (int i = 0; i < p->items.len; i++) arena_free(p->items.at[i]->arena);
    p->items.len = 0;
}

size_t prompt_bytes(const Prompt *p) {
    size_t bytes = arena_used(p->arena);
    for (int i = 0; i < p->items.len; i++) bytes += arena_used(p->items.at[i]->arena);
    return bytes;
}

/* Does something stand in the text of an input? */
static bool in_item(const PromptItem *item, Span span) {
    return item->source && span.lo >= item->source->base && span.lo <= item->source->base + item->source->length;
}

/* The input in whose text a binding stands. */
static PromptItem *item_of(const Binding *b) {
    const PromptItem *item = b->item;
    for (int i = 0; item && item->derived && i < item->holds_len; i++)
        if (in_item(item->holds[i], b->span)) return item->holds[i];
    return b->item;
}

bool prompt_name(const Scope *scope, int i, PromptName *out) {
    *out = (PromptName){0};
    if (i >= scope->top.len) return false;
    const Binding *b = scope->top.value[i];
    if (!b) return true;
    *out = (PromptName){.name = b->name, .span = b->span, .item = item_of(b)};
    while (b->target) b = b->target;
    out->ast = b->ast;
    if (b->state[EVAL_RUN] == BINDING_DONE) out->value = &b->value[EVAL_RUN];
    if (out->value && out->value->kind == V_MODULE) out->module = out->value->module;
    return true;
}

bool prompt_has(const Scope *scope, Name name) { return map_get(&scope->top, name) != NULL; }

/* ---- opening and closing ---- */

static void arena_swap(Prompt *p, Arena *arena, PromptItem *item) {
    p->session->arena = arena;
    p->session->item = item;
    diags_init(&p->session->diags, arena, p->session->sources);
}

PromptItem *prompt_open(Prompt *p, const char *title, const char *text, size_t length, bool file) {
    Session *s = p->session;
    Arena *arena = arena_new();
    PromptItem *item = arena_new_of(arena, PromptItem);
    *item = (PromptItem){.arena = arena, .number = ++p->number, .last = p->number, .file = file};
    arena_swap(p, arena, item);
    p->open = item;
    item->source = sources_add(s->sources, title, text, length);
    ParseContext context = {arena, s->names, &s->diags, &s->next_id, !file};
    Module *empty = arena_new_of(arena, Module);
    empty->complete = true;
    item->parsed = item->source ? parse_module(&context, item->source) : empty;
    vec_push(p->arena, &p->items, item);
    return item;
}

/* Names that a tree mentions: what they are bound to, and what that mentions. */
typedef struct Reach { const Prompt *p; Arena *arena; Map seen, names; VEC(Binding *) list; } Reach;

static void reach_name(Reach *r, Name name) {
    map_put(&r->names, name, (void *)(uintptr_t)name);
    Binding *b = map_get(&r->p->module->scope->top, name);
    if (!b || map_has(&r->seen, b)) return;
    map_put(&r->seen, b, b);
    vec_push(r->arena, &r->list, b);
}

static void reach_ast(void *data, Ast *ast) {
    Reach *r = data;
    if (!ast) return;
    if (ast->kind == AST_NAME) reach_name(r, ast->name);
    ast_children(ast, reach_ast, r);
}

static bool is_definition(const Binding *b) { return b->ast && b->ast->kind == AST_DEF; }
/* Evaluated later, by what the names of its text are then. */
static bool is_late(const Binding *b) { return is_definition(b) || (b->ast && b->state[EVAL_RUN] != BINDING_DONE); }

static Reach reach_from(const Prompt *p, Arena *arena, const Ast *ast) {
    Reach r = {.p = p, .arena = arena};
    map_init(&r.seen, arena);
    map_init(&r.names, arena);
    reach_ast(&r, (Ast *)(uintptr_t)ast);
    for (int i = 0; i < r.list.len; i++)
        if (is_late(r.list.at[i])) reach_ast(&r, (Ast *)(uintptr_t)r.list.at[i]->ast);
    return r;
}

static void hold(const PromptItem *holder, Map *held, PromptItem *item) {
    if (!item || item == holder || map_has(held, item)) return;
    map_put(held, item, item);
    for (int i = 0; i < item->holds_len; i++) hold(holder, held, item->holds[i]);
}

/* The item's values may point into the items of all that the tree reaches. */
static void hold_reached(const Prompt *p, PromptItem *holder, const Ast *ast) {
    Arena *scratch = arena_new();
    Map held;
    map_init(&held, scratch);
    for (int i = 0; i < holder->holds_len; i++) map_put(&held, holder->holds[i], holder->holds[i]);
    Reach r = reach_from(p, scratch, ast);
    for (int i = 0; i < r.list.len; i++) hold(holder, &held, r.list.at[i]->item);
    if (held.len > holder->holds_len) {
        holder->holds = arena_array(holder->arena, PromptItem *, held.len);
        for (int i = 0; i < held.len; i++) holder->holds[i] = held.value[i];
        holder->holds_len = held.len;
    }
    arena_free(scratch);
}

/* Bindings of a loaded program that were evaluated by this input. */
static void hold_late(Prompt *p) {
    const Map *top = &p->module->scope->top;
    for (int i = 0; i < top->len; i++) {
        Binding *b = top->value[i];
        if (!b || !b->item || !b->item->file || !b->ast || is_definition(b) || b->held) continue;
        if (b->state[EVAL_RUN] == BINDING_NEW && b->state[EVAL_CHECK] == BINDING_NEW) continue;
        hold_reached(p, b->item, b->ast);
        b->held = b->state[EVAL_RUN] != BINDING_NEW;
    }
}

static void item_mark(PromptItem *item) {
    if (!item || item->marked) return;
    item->marked = true;
    for (int i = 0; i < item->holds_len; i++) item_mark(item->holds[i]);
}

static void free_dead(Prompt *p) {
    int kept = 0;
    if (p->forget) p->forget(p->forget_data, p);
    for (int i = 0; i < p->items.len; i++) {
        if (p->items.at[i]->dead) arena_free(p->items.at[i]->arena);
        else p->items.at[kept++] = p->items.at[i];
    }
    p->items.len = kept;
    p->dead = 0;
    p->dead_bytes = 0;
}

/* Is one of the experiments or tests that are found by name part of the item's text? */
static bool has_block(const PromptItem *item, const BlockList *blocks) {
    for (int i = 0; i < blocks->len; i++)
        if (in_item(item, blocks->at[i]->span)) return true;
    return false;
}

static void sweep(Prompt *p) {
    const Map *top = &p->module->scope->top;
    for (int i = 0; i < p->items.len; i++) p->items.at[i]->marked = false;
    for (int i = 0; i < top->len; i++)
        if (top->value[i]) item_mark(((const Binding *)top->value[i])->item);
    for (int i = 0; i < p->items.len; i++)
        if (has_block(p->items.at[i], &p->module->experiments) || has_block(p->items.at[i], &p->module->tests))
            item_mark(p->items.at[i]);
    for (int i = 0; i < p->items.len; i++) {
        PromptItem *item = p->items.at[i];
        if (item->marked || item->dead) continue;
        item->dead = true;
        p->dead++;
        p->dead_bytes += arena_used(item->arena);
    }
    if (p->dead >= DEAD_MOST || p->dead_bytes > DEAD_BYTES) free_dead(p);
}

void prompt_close(Prompt *p) {
    hold_late(p);
    arena_swap(p, p->arena, NULL);
    p->open = NULL;
    sweep(p);
}

bool prompt_alive(const Prompt *p, int64_t from, int64_t to) {
    for (int i = 0; i < p->items.len; i++) {
        const PromptItem *item = p->items.at[i];
        bool computes = item->holds_len || item->file;
        if (!item->dead && computes && item->number <= to && item->last >= from) return true;
    }
    return false;
}

/* ---- versions ---- */

/* What a definition means: its text and number, and those of all that it reaches; of values their identity. */
static void version_set(Prompt *p, Definition *def) {
    Arena *scratch = arena_new();
    Reach r = reach_from(p, scratch, def->ast);
    uint64_t hash = fnv1a(def->name, strlen(def->name), FNV1A_START);
    for (int i = 0; i < r.list.len; i++) {
        const Binding *b = r.list.at[i];
        Buf text = {0};
        buf_printf(&text, "%s %lld ", b->name, (long long)(b->item ? b->item->number : 0));
        if (is_late(b)) buf_text(&text, sources_text(p->session->sources, scratch, b->ast->span));
        else if (b->state[EVAL_RUN] == BINDING_DONE && b->value[EVAL_RUN].kind != V_CALLABLE)
            value_identity(&b->value[EVAL_RUN], &text);
        hash = fnv1a(text.at, text.len, hash);
        buf_free(&text);
    }
    const char *own = sources_text(p->session->sources, scratch, def->ast->span);
    hash = fnv1a(own, strlen(own), hash);
    def->version = hash ? hash : 1;
    arena_free(scratch);
}

static void versions_set(Prompt *p) {
    const Map *top = &p->module->scope->top;
    for (int i = 0; i < top->len; i++) {
        Binding *b = top->value[i];
        if (b && b->item && is_definition(b) && b->value[EVAL_RUN].kind == V_CALLABLE)
            version_set(p, (Definition *)(uintptr_t)b->value[EVAL_RUN].callable->def);
    }
}

/* ---- binding ---- */

static bool value_is_plain(const Value *value) {
    switch (value->kind) {
    case V_ERROR: case V_NONE: case V_BOOL: case V_INT: case V_REAL: case V_TEXT: case V_RANGE: case V_TENSOR:
    case V_CHOICE: return true;
    case V_LIST:
        for (int i = 0; i < value->list->len; i++)
            if (!value_is_plain(&value->list->at[i])) return false;
        return true;
    case V_RECORD:
        for (int i = 0; i < value->record->len; i++)
            if (!value_is_plain(&value->record->at[i])) return false;
        return true;
    case V_NODE: case V_TYPE: case V_CALLABLE: case V_FORMULA: case V_OBJECT: case V_MODULE:
    case V_ABSTRACT: return false;
    }
    return false;
}

/* Where a plain value lies: other inputs' texts and tensors may be part of it. */
static Value value_copied(Arena *arena, const Value *value) {
    Value copy = *value;
    copy.node = 0;
    if (value->kind == V_TEXT) copy.text = arena_copy(arena, value->text, strlen(value->text));
    if (value->kind == V_RANGE) {
        ValueRange *range = arena_new_of(arena, ValueRange);
        *range = *value->range;
        copy.range = range;
    }
    if (value->kind == V_TENSOR) {
        Tensor *t = arena_new_of(arena, Tensor);
        size_t size = (size_t)shape_size(&value->tensor->shape) * dtype_size(value->tensor->dtype);
        *t = *value->tensor;
        t->data = arena_alloc(arena, size + 1);
        memcpy(t->data, value->tensor->data, size);
        copy.tensor = t;
    }
    if (value->kind == V_LIST) {
        copy = value_list(arena, value->list->at, value->list->len);
        for (int i = 0; i < value->list->len; i++) copy.list->at[i] = value_copied(arena, &value->list->at[i]);
    }
    if (value->kind == V_RECORD) {
        copy = value_record(arena, value->record->name, value->record->at, value->record->len);
        for (int i = 0; i < value->record->len; i++) copy.record->at[i] = value_copied(arena, &value->record->at[i]);
    }
    return copy;
}

/* ---- what a name's replacement does to the definitions that use it ---- */

typedef struct Frozen { Binding *binding; Reach reach; } Frozen;
typedef struct Freeze { Prompt *p; Arena *scratch; Map replaced; VEC(Frozen) list; } Freeze;

static Definition *definition_of(const Binding *b) {
    const Value *value = &b->value[EVAL_RUN];
    return is_definition(b) && value->kind == V_CALLABLE ? (Definition *)(uintptr_t)value->callable->def : NULL;
}

/* Before the names are replaced: the definitions that use one of them, or are one, and what they see. */
static Freeze freeze_begin(Prompt *p, const Name *names, int n) {
    const Map *top = &p->module->scope->top;
    Freeze f = {.p = p, .scratch = arena_new()};
    map_init(&f.replaced, f.scratch);
    for (int i = 0; i < n; i++) map_put(&f.replaced, names[i], (void *)(uintptr_t)names[i]);
    for (int i = 0; i < top->len; i++) {
        Binding *b = top->value[i];
        if (!b || !b->item || !definition_of(b)) continue;
        Frozen frozen = {b, reach_from(p, f.scratch, b->ast)};
        bool uses = map_has(&f.replaced, b->name);
        for (int k = 0; k < n && !uses; k++) uses = map_has(&frozen.reach.names, names[k]);
        if (uses) vec_push(f.scratch, &f.list, frozen);
    }
    return f;
}

static void freeze_scope(const Freeze *f, const Frozen *frozen) {
    Binding *b = frozen->binding;
    const Map *library = &f->p->session->prelude->top;
    Scope *scope = scope_new(b->item->arena, f->p->module->scope, SCOPE_MODULE);
    scope->path = f->p->module->scope->path;
    for (int i = 0; i < frozen->reach.list.len; i++)
        map_put(&scope->top, frozen->reach.list.at[i]->name, frozen->reach.list.at[i]);
    for (int i = 0; i < f->replaced.len; i++) {                /* a name that was the library's */
        Name name = f->replaced.value[i];
        if (!map_get(&scope->top, name) && map_get(library, name)) map_put(&scope->top, name, map_get(library, name));
    }
    definition_of(b)->scope = scope;
}

/* An item for definitions that are made anew from the trees of others. */
static PromptItem *item_derived(Prompt *p) {
    Arena *arena = arena_new();
    PromptItem *item = arena_new_of(arena, PromptItem);
    *item = (PromptItem){.arena = arena, .number = ++p->number, .last = p->number, .derived = true};
    vec_push(p->arena, &p->items, item);
    return item;
}

/* After the names were replaced. */
static void freeze_end(Freeze *f) {
    Prompt *p = f->p;
    Session *s = p->session;
    PromptItem *item = NULL, *open = s->item;
    Arena *arena = s->arena;
    for (int i = 0; i < f->list.len; i++) {
        Binding *b = f->list.at[i].binding;
        freeze_scope(f, &f->list.at[i]);
        if (map_has(&f->replaced, b->name)) continue;
        if (!item) item = item_derived(p);
        Eval e;
        s->arena = item->arena;
        s->item = item;
        eval_init(&e, s, s->arena, &s->diags, EVAL_CHECK);
        map_put(&p->module->scope->top, b->name, NULL);
        bind_known(s, p->module->scope, b->name, b->span, b->ast,
                   definition_value(&e, b->ast, p->module->scope, false));
        PromptItem *source = item_of(b);
        PromptItem **holds = arena_array(item->arena, PromptItem *, item->holds_len + 1);
        for (int k = 0; k < item->holds_len; k++) holds[k] = item->holds[k];
        holds[item->holds_len++] = source;
        item->holds = holds;
    }
    s->arena = arena;
    s->item = open;
    arena_free(f->scratch);
}

void prompt_bind(Prompt *p, Name name, Span span, const Ast *ast, const Value *value) {
    Value own = *value;
    if (value_is_plain(value)) own = value_copied(p->open->arena, value);
    else if (ast && !p->open->file) hold_reached(p, p->open, ast);
    if (own.kind != V_CHOICE) own.label = name;
    Freeze freeze = freeze_begin(p, &name, 1);
    map_put(&p->module->scope->top, name, NULL);
    bind_known(p->session, p->module->scope, name, span, NULL, own);
    freeze_end(&freeze);
}

/* ---- one item ---- */

/* The part of an input that is one item, as a module. */
static LoadedModule module_of(Prompt *p, const Ast *const *items, int n) {
    Module *part = arena_new_of(p->open->arena, Module);
    *part = *p->open->parsed;
    part->items = (AstList){(Ast **)(uintptr_t)items, n};
    part->source = p->open->source;
    LoadedModule m = *p->module;
    m.module = part;
    return m;
}

/* Static names of the items; what that needs is forgotten again. */
static bool names_known(Prompt *p, LoadedModule *m) {
    Arena *scratch = arena_new();
    p->session->arena = scratch;
    bool ok = names_check(p->session, m);
    p->session->arena = p->open->arena;
    arena_free(scratch);
    return ok;
}

static bool uses_itself(Prompt *p, const Ast *ast, Name name, Span span) {
    Arena *scratch = arena_new();
    Reach r = reach_from(p, scratch, ast);
    bool found = map_has(&r.seen, map_get(&p->module->scope->top, name));
    arena_free(scratch);
    if (found)
        diag_note(diag_add(&p->session->diags, D_E0306, span, "`%s` uses itself, through what it uses", name),
                  "recursion is not part of the language: every program ends");
    return found;
}

/* Traces a definition as `nin check` does; the trace is forgotten. */
static bool definition_checks(Prompt *p, LoadedModule *m, const Ast *ast) {
    Session *s = p->session;
    Arena *scratch = arena_new();
    Eval check;
    int before = s->diags.errors;
    eval_init(&check, s, scratch, &s->diags, EVAL_CHECK);
    check_item(&check, m, ast);
    arena_free(scratch);
    return s->diags.errors == before;
}

static bool define(Prompt *p, LoadedModule *m, const Ast *ast) {
    Session *s = p->session;
    Map *top = &m->scope->top;
    bool def = ast->kind == AST_DEF;
    Name name = def ? ast->def.name : ast->alias.name;
    Span span = def ? ast->def.name_span : ast->alias.name_span;
    Binding *before = map_get(top, name);
    Value value;
    Eval e;
    Freeze freeze = freeze_begin(p, &name, 1);
    eval_init(&e, s, s->arena, &s->diags, EVAL_CHECK);
    map_put(top, name, NULL);
    if (def) bind_known(s, m->scope, name, span, ast, definition_value(&e, ast, m->scope, false));
    else binding_add(s, m->scope, name, span, ast);
    bool ok = !uses_itself(p, def ? ast : ast->alias.value, name, span);
    if (ok && def) version_set(p, definition_of(map_get(top, name)));
    if (ok && def) ok = definition_checks(p, m, ast);
    if (ok && !def) {
        Binding *b = map_get(top, name);
        e.mode = EVAL_RUN;
        ok = binding_force(&e, b, &value);
        b->value[EVAL_CHECK] = b->value[EVAL_RUN];
        b->state[EVAL_CHECK] = b->state[EVAL_RUN];
        hold_reached(p, p->open, ast->alias.value);
    }
    if (!ok) {
        map_put(top, name, before);
        freeze.list.len = 0;
    }
    freeze_end(&freeze);
    versions_set(p);
    return ok;
}

static bool define_use(Prompt *p, const Ast *ast) {
    Session *s = p->session;
    Map *top = &p->module->scope->top;
    int errors = s->diags.errors, n = ast->use.names_len;
    const Name *names = n ? ast->use.names : &ast->use.path[ast->use.path_len - 1];
    void **before = arena_array(p->open->arena, void *, n + 1);
    for (int i = 0; i < (n ? n : 1); i++) {
        before[i] = map_get(top, names[i]);
        map_put(top, names[i], NULL);
    }
    s->arena = p->arena;                                      /* what it loads stays */
    s->item = NULL;
    module_use(s, p->module, ast);
    s->arena = p->open->arena;
    s->item = p->open;
    for (int i = 0; i < (n ? n : 1) && s->diags.errors > errors; i++) map_put(top, names[i], before[i]);
    return s->diags.errors == errors;
}

static bool is_binding(const Ast *ast) { return ast->kind == AST_BIND; }

static bool statement_value(Eval *e, const Ast *ast, Scope *scope, Value *out) {
    *out = value_none();
    if (is_binding(ast)) {
        Scope *inner = scope_new(e->arena, scope, SCOPE_BLOCK);
        if (!eval_expr(e, ast->bind.value, inner, out)) return false;
        return !ast->bind.type || value_convert(e, out, type_of_ast(e, ast->bind.type), ast->bind.value->span, NULL,
                                                pattern_name(ast->bind.pattern), out);
    }
    if (ast->kind != AST_FOR) return eval_expr(e, ast, scope_new(e->arena, scope, SCOPE_BLOCK), out);
    Ast block = {
        .kind = AST_BLOCK, .span = ast->span, .depth = ast->depth, .block = {(Ast *[]){(Ast *)(uintptr_t)ast}, 1}};
    Value ignored;
    return eval_block(e, &block, scope_new(e->arena, scope, SCOPE_BLOCK), &ignored);
}

/* What can be known without running is told before anything runs. */
static bool statement_checks(Prompt *p, const Ast *ast) {
    Session *s = p->session;
    Arena *scratch = arena_new();
    Eval e;
    Value ignored;
    int before = s->diags.errors;
    eval_init(&e, s, scratch, &s->diags, EVAL_CHECK);
    bool ok = statement_value(&e, ast, p->module->scope, &ignored);
    arena_free(scratch);
    return ok && s->diags.errors == before;
}

static bool bind_value(Prompt *p, Eval *e, const Ast *ast, const Value *value) {
    Scope *names = scope_new(e->arena, NULL, SCOPE_FN);
    if (!eval_pattern(e, ast->bind.pattern, value, names)) return false;
    hold_late(p);
    if (!value_is_plain(value)) hold_reached(p, p->open, ast->bind.value);
    for (int i = 0; i < names->len; i++)
        prompt_bind(p, names->at[i].name, names->at[i].span, ast->bind.value, &names->at[i].value);
    versions_set(p);
    return true;
}

/* Experiments and tests are found by name; one of that name gives way. */
static bool block_keep(Prompt *p, const Ast *ast) {
    LoadedModule *m = p->module;
    bool experiment = ast->kind == AST_EXPERIMENT;
    for (int i = 0; i < (experiment ? m->experiments.len : m->tests.len); i++) {
        const Ast **at = experiment ? &m->experiments.at[i] : &m->tests.at[i];
        if (strcmp(experiment ? (*at)->experiment.name : (*at)->test.name,
                   experiment ? ast->experiment.name : ast->test.name))
            continue;
        *at = ast;
        return true;
    }
    if (experiment) vec_push(p->arena, &m->experiments, ast);
    else vec_push(p->arena, &m->tests, ast);
    return true;
}

/* A run that diverged (R0102) is a result. */
static bool any_error(const Diags *diags) {
    for (int i = 0; i < diags->list.len; i++) {
        DiagCode code = diags->list.at[i]->code;
        if (diag_severity(code) >= SEVERITY_ERROR && code != D_R0102) return true;
    }
    return false;
}

bool prompt_item(Prompt *p, Eval *e, const Ast *ast, Value *out) {
    LoadedModule m = module_of(p, &ast, 1);
    *out = value_none();
    if (ast->kind == AST_USE) return define_use(p, ast) && names_known(p, &m);
    if (!names_known(p, &m)) return false;
    if (ast->kind == AST_DEF || ast->kind == AST_ALIAS) return define(p, &m, ast);
    if (ast->kind == AST_EXPERIMENT || ast->kind == AST_TEST)
        return definition_checks(p, &m, ast) && block_keep(p, ast);
    if (ast->kind == AST_ERROR || !statement_checks(p, ast)) return false;
    if (!statement_value(e, ast, p->module->scope, out)) return false;
    if (any_error(&p->session->diags)) return false;
    return !is_binding(ast) || bind_value(p, e, ast, out);
}

/* ---- a program ---- */

typedef VEC(Name) NameList;

static void pattern_names(Arena *arena, const Ast *pattern, NameList *out) {
    if (pattern->kind == AST_NAME) vec_push(arena, out, pattern->name);
    for (int i = 0; pattern->kind == AST_LIST && i < pattern->list.len; i++)
        pattern_names(arena, pattern->list.args[i].value, out);
}

static NameList names_of(Arena *arena, const AstList *items) {
    NameList names = {0};
    for (int i = 0; i < items->len; i++) {
        const Ast *ast = items->at[i];
        if (ast->kind == AST_DEF) vec_push(arena, &names, ast->def.name);
        else if (ast->kind == AST_ALIAS) vec_push(arena, &names, ast->alias.name);
        else if (ast->kind == AST_BIND) pattern_names(arena, ast->bind.pattern, &names);
    }
    return names;
}

bool prompt_file(Prompt *p) {
    Session *s = p->session;
    const AstList *items = &p->open->parsed->items;
    LoadedModule m = module_of(p, (const Ast *const *)items->at, items->len);
    m.folder = folder_of(s, p->open->source ? p->open->source->path : "");
    if (s->diags.errors) return false;
    hold_late(p);
    NameList names = names_of(p->open->arena, items);
    Freeze freeze = freeze_begin(p, names.at, names.len);
    for (int i = 0; i < items->len; i++) {
        const Ast *ast = items->at[i];
        const char *folder = p->module->folder;
        p->module->folder = m.folder;
        if (ast->kind == AST_USE) define_use(p, ast);
        p->module->folder = folder;
        if (ast->kind == AST_EXPERIMENT || ast->kind == AST_TEST) block_keep(p, ast);
    }
    names_known(p, &m);
    for (int i = 0; i < names.len; i++) map_put(&m.scope->top, names.at[i], NULL);
    m.experiments.cap = m.tests.cap = m.experiments.len = m.tests.len = 0;
    bind_items(s, &m, false);
    freeze_end(&freeze);
    versions_set(p);
    for (int i = 0; i < items->len; i++) definition_checks(p, &m, items->at[i]);
    return s->diags.errors == 0;
}
