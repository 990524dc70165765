/* names.c -- static name resolution (names.h).
 *
 * One walk over each top-level item.  Frames are the blocks around the place that is looked at; a frame knows whether a
 * loop of an experiment opened it, because its turns may not give an outer name a new value (E0802).  Words that a
 * callee's formals give a meaning - choices, formulas, labels - are resolved by the formal's type where the callee is
 * known; arguments of what is not known are visited in silence, so that one mistake gives one message. */
#include "sema/names.h"

#include "sema/objects.h"
#include "sema/prelude.h"

typedef enum LocalKind { LOCAL_FORMAL, LOCAL_DIM, LOCAL_LOOP, LOCAL_BOUND, LOCAL_PARAM, LOCAL_STATE } LocalKind;
typedef struct Local { Name name; Span span; LocalKind kind; bool used, assigned; } Local;
/* turns: an experiment's loop */
typedef struct Frame { struct Frame *up; bool turns; VEC(Local *) locals; } Frame;
typedef enum Home { HOME_FILE, HOME_CELL, HOME_NET, HOME_FN, HOME_EXPERIMENT, HOME_TEST } Home;

/* A top-level name: where it is defined, and for E0306 the names that its definition uses. */
typedef struct Item {
    Name name; Span span; const Ast *ast; LoadedModule *from;
    VEC(struct Item *) uses; int state;
} Item;

typedef struct Names {
    Session *session; LoadedModule *module; Diags *diags; Arena *arena;
    bool library;                             /* a file of the library itself */
    bool late;                                /* a binding's name is new behind it: x = x + 1 at a prompt */
    Map items, prelude;                       /* Name -> Item */
    Map modules;                              /* `use kim` -> LoadedModule */
    Item *current; Home home; Frame *frame;
    int quiet, in_match, in_brackets; bool in_formula;
    Map rows, keys;                           /* columns and keys of the experiment; keys: loop names only */
    Map reported;
} Names;

static void visit(Names *n, const Ast *ast);
static void visit_block(Names *n, const Ast *ast);

static const char *const special_words[] = { "none", "is_training" };

static bool is_special(const char *name)
{
    for (int i = 0; i < COUNT(special_words); i++)
        if (!strcmp(special_words[i], name)) return true;
    return false;
}

/* ---- frames ---- */

static void frame_open(Names *n, bool turns)
{
    Frame *frame = arena_new_of(n->arena, Frame);
    frame->up = n->frame;
    frame->turns = turns;
    n->frame = frame;
}

static bool may_warn_unused(const Names *n, const Local *local)
{
    return local->kind == LOCAL_BOUND && !local->used && local->name[0] != '_' && n->home != HOME_FILE && !n->quiet;
}

static void frame_close(Names *n)
{
    for (int i = 0; i < n->frame->locals.len; i++) {
        const Local *local = n->frame->locals.at[i];
        if (may_warn_unused(n, local))
            diag_hint(diag_add(n->diags, D_W0315, local->span, "`%s` is never used", local->name),
                      "remove it, or call it `_%s`", local->name);
        if (local->kind == LOCAL_STATE && !local->assigned && n->home != HOME_CELL && !n->quiet)
            diag_hint(diag_add(n->diags, D_E0509, local->span, "`%s` never changes", local->name),
                      "a state gets a new value in the body: %s = ...; what does not change is no state", local->name);
    }
    n->frame = n->frame->up;
}

static Local *frame_find(const Frame *frame, Name name)
{
    for (int i = frame->locals.len - 1; i >= 0; i--)
        if (frame->locals.at[i]->name == name) return frame->locals.at[i];
    return NULL;
}

static Local *local_find(const Names *n, Name name)
{
    for (const Frame *frame = n->frame; frame; frame = frame->up) {
        Local *local = frame_find(frame, name);
        if (local) return local;
    }
    return NULL;
}

static Local *local_add(Names *n, Name name, Span span, LocalKind kind)
{
    Local *local = arena_new_of(n->arena, Local);
    *local = (Local){ name, span, kind, false, false };
    vec_push(n->arena, &n->frame->locals, local);
    return local;
}

/* `name = value`: a new name, or a new value for one of an enclosing block of this definition. */
static void bind_name(Names *n, Name name, Span span)
{
    bool crossed = false;
    for (const Frame *frame = n->frame; frame; frame = frame->up) {
        Local *local = frame_find(frame, name);
        if (local) {
            local->assigned = true;
            if (crossed) {
                local->used = true;
                Diag *diag = diag_add(n->diags, D_E0802, span, "`%s` is changed by every turn of the loop", name);
                diag_label(diag, local->span, "bound outside the loop here");
                diag_hint(diag, "turns are independent: `record(...)` what each gives, then make a table");
            }
            return;
        }
        crossed = crossed || frame->turns;
    }
    local_add(n, name, span, LOCAL_BOUND);
}

static void bind_pattern(Names *n, const Ast *pattern, LocalKind kind)
{
    if (pattern->kind == AST_LIST) {
        for (int i = 0; i < pattern->list.len; i++)
            bind_pattern(n, pattern->list.args[i].value, kind == LOCAL_BOUND ? LOCAL_DIM : kind);
    } else if (pattern->kind == AST_NAME) {
        if (kind == LOCAL_BOUND) bind_name(n, pattern->name, pattern->span);
        else if (kind == LOCAL_LOOP || !local_find(n, pattern->name)) local_add(n, pattern->name, pattern->span, kind);
        else bind_name(n, pattern->name, pattern->span);
    }
}

/* ---- near names ---- */

static const char *near_name(const Names *n, const char *wanted)
{
    Near near = { 0 };
    for (const Frame *frame = n->frame; frame; frame = frame->up)
        for (int i = 0; i < frame->locals.len; i++) near_try(&near, wanted, frame->locals.at[i]->name);
    if (n->in_formula) near_try_map(&near, wanted, &n->rows);
    near_try_map(&near, wanted, &n->items);
    near_try_map(&near, wanted, &n->prelude);
    return near.name;
}

/* A loaded module that has the name, for "`inner` is in kim.nin". */
static const LoadedModule *module_with(const Names *n, Name name)
{
    for (int i = 0; i < n->session->modules.len; i++) {
        const LoadedModule *module = n->session->modules.value[i];
        if (module != n->module && module->module && name[0] != '_' && names_item(module->module, name)) return module;
    }
    return NULL;
}

static void unknown_name(Names *n, Name name, Span span)
{
    if (n->quiet || map_has(&n->reported, name)) return;
    map_put(&n->reported, name, (void *)name);
    bool row = n->in_formula && n->home == HOME_EXPERIMENT;
    Diag *diag = row ? diag_add(n->diags, D_E0801, span, "`%s` is neither key nor column", name)
                     : diag_add(n->diags, D_E0301, span, "nothing is called `%s`", name);
    const char *near = near_name(n, name);
    const LoadedModule *module = module_with(n, name);
    if (module) {                                                        /* the very name, before one like it */
        diag_hint(diag, "module `%s` has it: use %s: %s", module->path, module->path, name);
    } else if (near) {
        diag_hint(diag, "did you mean `%s`?", near);
        diag_fix(diag, span, near);
    }
    if (row) diag_note(diag, "keys are the names of loops, columns the labels of `record(...)`");
}

/* ---- one name ---- */

static Item *item_of(const Names *n, Name name)
{
    Item *item = map_get(&n->items, name);
    return item ? item : map_get(&n->prelude, name);
}

static bool known_word(const Names *n, Name name)
{
    if (is_special(name) || word_is_value_type(name)) return true;
    if (!strcmp(name, "end") && n->in_brackets) return true;
    if (!strcmp(name, "marks") && n->in_formula) return true;
    return n->library && !strcmp(name, "builtin");
}

static void visit_name(Names *n, Name name, Span span)
{
    Local *local = local_find(n, name);
    if (local) local->used = true;
    if (local || (n->in_formula && map_has(&n->rows, name))) return;
    Item *item = item_of(n, name);
    if (item) {
        if (n->current && item->from == n->module) vec_push(n->arena, &n->current->uses, item);
        return;
    }
    if (!known_word(n, name) && !map_has(&n->modules, name)) unknown_name(n, name, span);
}

/* ---- types ---- */

/* In the type of a formal a name that is no setting, no other formal and no constant of the file is a dimension. */
static void visit_type(Names *n, const Ast *type, bool binds);

static void visit_dim(Names *n, const AstArg *arg, bool binds)
{
    const Ast *value = arg->value;
    if (!binds || value->kind != AST_NAME) {
        visit(n, value);
        return;
    }
    const Item *item = map_get(&n->items, value->name);
    bool constant = item && item->ast && item->ast->kind == AST_BIND;
    if (local_find(n, value->name) || constant) visit_name(n, value->name, value->span);
    else local_add(n, value->name, value->span, LOCAL_DIM);
}

static void visit_type(Names *n, const Ast *type, bool binds)
{
    if (type->kind == AST_NAME) {
        if (word_is_type(type->name) || local_find(n, type->name)) return;
        if (!n->quiet && !map_has(&n->reported, type->name)) {
            map_put(&n->reported, type->name, (void *)type->name);
            Diag *diag = diag_add(n->diags, D_E0301, type->span, "no type is called `%s`", type->name);
            if (near_type(type->name)) diag_hint(diag, "did you mean `%s`?", near_type(type->name));
        }
    } else if (type->kind == AST_BRACKETS) {
        visit_type(n, type->call.of, binds);
        bool of_types = type->call.of->kind == AST_NAME && !strcmp(type->call.of->name, "list");
        n->in_brackets++;
        for (int i = 0; i < type->call.len; i++) {
            if (of_types) visit_type(n, type->call.args[i].value, binds);
            else visit_dim(n, &type->call.args[i], binds);
        }
        n->in_brackets--;
    } else if (type->kind != AST_ERROR) {
        visit(n, type);
    }
}

/* ---- calls ---- */

static const Ast *definition_of(const Names *n, const Ast *callee)
{
    if (callee->kind == AST_BRACKETS) callee = callee->call.of;
    if (callee->kind != AST_NAME || local_find(n, callee->name)) return NULL;
    const Item *item = item_of(n, callee->name);
    return item && item->ast && item->ast->kind == AST_DEF ? item->ast : NULL;
}

static bool formal_is(const AstFormal *formal, const char *type)
{
    return formal && formal->type && formal->type->kind == AST_NAME && !strcmp(formal->type->name, type);
}

static const AstFormal *formal_typed(const AstFormal *formals, int len, const char *type)
{
    for (int i = 0; i < len; i++)
        if (formal_is(&formals[i], type)) return &formals[i];
    return NULL;
}

/* The formal that an argument goes to; NULL if that cannot be told. */
static const AstFormal *formal_of(const AstFormal *formals, int len, const AstArg *arg, int position, bool after_spread)
{
    if (arg->label) {
        for (int i = 0; i < len; i++)
            if (formals[i].name == arg->label) return &formals[i];
        const AstFormal *columns = formal_typed(formals, len, "columns");
        return columns ? columns : formal_typed(formals, len, "labels");
    }
    if (after_spread) return NULL;
    for (int i = 0; i < len && i <= position; i++)
        if (formal_is(&formals[i], "rest")) return &formals[i];
    return position < len ? &formals[position] : NULL;
}

static void visit_choice(Names *n, const Ast *value, const char *type, const char *const *members)
{
    if (word_is_choice(type, value->name) || is_special(value->name)) return;
    if (n->quiet || local_find(n, value->name) || item_of(n, value->name)) {
        visit_name(n, value->name, value->span);
        return;
    }
    Buf list = { 0 };
    Near near = { 0 };
    for (int i = 0; members[i]; i++) {
        buf_printf(&list, "%s`%s`", i ? ", " : "", members[i]);
        near_try(&near, value->name, members[i]);
    }
    Diag *diag = diag_add(n->diags, D_E0312, value->span, "`%s` is none of the choices %s", value->name,
                          buf_done(&list, n->arena));
    if (near.name) diag_hint(diag, "did you mean `%s`?", near.name);
}

static void visit_argument(Names *n, const AstFormal *formal, const AstArg *arg)
{
    const char *type = formal && formal->type && formal->type->kind == AST_NAME ? formal->type->name : "";
    const char *const *members = names_choices(type);
    if (members && arg->value->kind == AST_NAME) {
        visit_choice(n, arg->value, type, members);
    } else if (members && arg->value->kind == AST_LIST) {
        for (int i = 0; i < arg->value->list.len; i++)
            visit_argument(n, formal, &arg->value->list.args[i]);
    } else if (!strcmp(type, "formula") || !strcmp(type, "columns")) {
        bool outer = n->in_formula;
        n->in_formula = true;
        visit(n, arg->value);
        n->in_formula = outer;
    } else if (!formal && arg->value->kind == AST_NAME && word_is_any_choice(arg->value->name)
               && !local_find(n, arg->value->name)) {
        return;
    } else {
        visit(n, arg->value);
    }
}

static void visit_at_labels(Names *n, const Ast *call, const Ast *def)
{
    const AstFormal *labels = formal_typed(def->def.formals, def->def.formals_len, "labels");
    if (!labels || strcmp(def->def.name, "at") || n->home != HOME_EXPERIMENT || n->quiet) return;
    for (int i = 0; i < call->call.len; i++) {
        const AstArg *arg = &call->call.args[i];
        if (!arg->label || arg->label == def->def.formals[0].name || map_has(&n->keys, arg->label)) continue;
        Near near = { 0 };
        near_try_map(&near, arg->label, &n->keys);
        Diag *diag = diag_add(n->diags, D_E0801, arg->label_span, "`%s` is no key", arg->label);
        if (near.name) diag_hint(diag, "did you mean `%s`?", near.name);
    }
}

static bool callee_unknown(const Names *n, const Ast *callee)
{
    if (callee->kind == AST_BRACKETS || callee->kind == AST_CALL) return callee_unknown(n, callee->call.of);
    return callee->kind == AST_NAME && !local_find(n, callee->name) && !item_of(n, callee->name)
        && !known_word(n, callee->name);
}

static void enter_match(Names *n, const Ast *call)
{
    if (n->in_match++ && !n->quiet)
        diag_add(n->diags, D_E0316, call->span, "a `match` inside a `match`: `?` would have two meanings");
}

static void visit_call(Names *n, const Ast *call)
{
    const Ast *callee = call->call.of, *def = definition_of(n, callee);
    bool brackets = call->kind == AST_BRACKETS, silent = callee_unknown(n, callee);
    bool match = !brackets && callee->kind == AST_NAME && def && !strcmp(callee->name, "match");
    visit(n, callee);
    if (match) enter_match(n, call);
    n->quiet += silent;
    n->in_brackets += brackets;
    const AstFormal *formals = !def ? NULL : brackets ? def->def.settings : def->def.formals;
    int len = !def ? 0 : brackets ? def->def.settings_len : def->def.formals_len;
    bool spread = false;
    for (int i = 0; i < call->call.len; i++) {
        const AstArg *arg = &call->call.args[i];
        spread = spread || arg->spread;
        visit_argument(n, formal_of(formals, len, arg, i, spread), arg);
    }
    if (def && !brackets) visit_at_labels(n, call, def);
    n->in_brackets -= brackets;
    n->quiet -= silent;
    n->in_match -= match;
}

/* kim.inner, where `use kim` stands above. */
static void visit_select(Names *n, const Ast *ast)
{
    const Ast *of = ast->select.of;
    bool plain = of->kind == AST_NAME && !local_find(n, of->name) && !item_of(n, of->name);
    LoadedModule *module = plain ? map_get(&n->modules, of->name) : NULL;
    if (!module || !module->module) {
        visit(n, of);
    } else if ((ast->select.field[0] == '_' || !names_item(module->module, ast->select.field)) && !n->quiet) {
        diag_add(n->diags, D_E0305, ast->select.field_span, "%s has no `%s`", module->path, ast->select.field);
    }
}

/* ---- statements ---- */

static void visit_iterators(Names *n, const AstIterator *iterators, int len)
{
    for (int i = 0; i < len; i++) {
        visit(n, iterators[i].in);
        bind_pattern(n, iterators[i].pattern, LOCAL_LOOP);
    }
}

static void visit_own(Names *n, const Ast *ast)
{
    bool param = ast->kind == AST_PARAM;
    const char *word = param ? "param" : "state";
    if (n->home == HOME_EXPERIMENT || n->home == HOME_TEST || (param && n->home == HOME_FN))
        diag_hint(diag_add(n->diags, D_E0506, ast->span, "%s owns nothing to %s",
                           n->home == HOME_FN ? "a fn" : "this block", param ? "learn" : "carry"),
                  "a `%s` stands in a cell or a net", word);
    if (!param && n->home == HOME_CELL)
        diag_add(n->diags, D_E0506, ast->span, "a cell has no state: it is a function of its arguments and parameters");
    if (ast->own.per && n->home == HOME_NET)
        diag_hint(diag_add(n->diags, D_E0507, ast->own.per->span, "each instance of a net has its own `%s`",
                           ast->own.name), "`per` is for cells");
    if (ast->own.type) visit_type(n, ast->own.type, false);
    if (ast->own.per && !(ast->own.per->kind == AST_NAME && word_is_choice("scope", ast->own.per->name)))
        visit(n, ast->own.per);
    if (ast->own.initial) visit(n, ast->own.initial);
    Local *before = n->frame ? frame_find(n->frame, ast->own.name) : NULL;
    if (before)
        diag_label(diag_add(n->diags, D_E0302, ast->own.name_span, "`%s` is already bound", ast->own.name),
                   before->span, "here");
    local_add(n, ast->own.name, ast->own.name_span, param ? LOCAL_PARAM : LOCAL_STATE);
}

/* In an experiment a run that is trained for its effect, or a table for its file, may go unread. */
static bool has_effect(const Ast *value)
{
    return value->kind == AST_CALL && value->call.of->kind == AST_NAME
        && (!strcmp(value->call.of->name, "train") || !strcmp(value->call.of->name, "table"));
}

static void visit_bind(Names *n, const Ast *ast)
{
    visit(n, ast->bind.value);
    if (ast->bind.type) visit_type(n, ast->bind.type, false);
    bind_pattern(n, ast->bind.pattern, LOCAL_BOUND);
    if (ast->bind.pattern->kind == AST_NAME && has_effect(ast->bind.value)) {
        Local *local = local_find(n, ast->bind.pattern->name);
        if (local) local->used = true;
    }
}

static void visit_for(Names *n, const Ast *ast)
{
    frame_open(n, n->home == HOME_EXPERIMENT);
    visit_iterators(n, ast->loop.iterators, ast->loop.len);
    visit_block(n, ast->loop.body);
    frame_close(n);
}

static void visit_block(Names *n, const Ast *ast)
{
    if (ast->kind != AST_BLOCK) {
        visit(n, ast);
        return;
    }
    frame_open(n, false);
    for (int i = 0; i < ast->block.len; i++) visit(n, ast->block.at[i]);
    frame_close(n);
}

static void visit_args(Names *n, const AstArg *args, int len)
{
    for (int i = 0; i < len; i++) visit(n, args[i].value);
}

static void visit(Names *n, const Ast *ast)
{
    if (!ast) return;
    switch (ast->kind) {
    case AST_NAME: visit_name(n, ast->name, ast->span); break;
    case AST_HOLE:
        if (!n->in_match && !n->quiet)
            diag_add(n->diags, D_E0316, ast->span, "`?` is the unknown of a `match`; here is none");
        break;
    case AST_LIST: case AST_RECORD: visit_args(n, ast->list.args, ast->list.len); break;
    case AST_COMPREHENSION:
        frame_open(n, false);
        visit_iterators(n, ast->comprehension.iterators, ast->comprehension.len);
        visit(n, ast->comprehension.value);
        frame_close(n);
        break;
    case AST_SELECT: visit_select(n, ast); break;
    case AST_CALL: case AST_BRACKETS: visit_call(n, ast); break;
    case AST_UNARY: visit(n, ast->unary.a); break;
    case AST_BINARY: visit(n, ast->binary.a); visit(n, ast->binary.b); break;
    case AST_RANGE: visit(n, ast->range.lo); visit(n, ast->range.hi); break;
    case AST_IF:
        visit(n, ast->branch.condition);
        visit_block(n, ast->branch.then);
        if (ast->branch.otherwise) visit_block(n, ast->branch.otherwise);
        break;
    case AST_BLOCK: visit_block(n, ast); break;
    case AST_BIND: visit_bind(n, ast); break;
    case AST_FOR: visit_for(n, ast); break;
    case AST_PARAM: case AST_STATE: visit_own(n, ast); break;
    case AST_ERROR: case AST_TEXT: case AST_BOOL: case AST_INT: case AST_REAL: case AST_WHOLE: case AST_USE:
    case AST_DEF: case AST_ALIAS: case AST_EXPERIMENT: case AST_TEST: break;
    }
}

/* ---- what an experiment records ---- */

static void collect_pattern(Names *n, const Ast *pattern)
{
    if (pattern->kind == AST_LIST)
        for (int i = 0; i < pattern->list.len; i++) collect_pattern(n, pattern->list.args[i].value);
    else if (pattern->kind == AST_NAME) {
        map_put(&n->rows, pattern->name, (void *)pattern);
        map_put(&n->keys, pattern->name, (void *)pattern);
    }
}

static void collect_rows(void *data, Ast *ast)
{
    Names *n = data;
    if (!ast) return;
    if (ast->kind == AST_FOR)
        for (int i = 0; i < ast->loop.len; i++) collect_pattern(n, ast->loop.iterators[i].pattern);
    if (ast->kind == AST_CALL && ast->call.of->kind == AST_NAME
        && (!strcmp(ast->call.of->name, "record") || !strcmp(ast->call.of->name, "table")))
        for (int i = 0; i < ast->call.len; i++)
            if (ast->call.args[i].label) map_put(&n->rows, ast->call.args[i].label, ast);
    ast_children(ast, collect_rows, n);
}

/* ---- items ---- */

static void visit_formals(Names *n, const AstFormal *formals, int len)
{
    for (int i = 0; i < len; i++) {
        const AstFormal *formal = &formals[i];
        if (formal->type) visit_type(n, formal->type, true);
        if (formal->initial) {
            AstArg arg = { .value = formal->initial };
            bool formula = formal_is(formal, "formula");
            visit_argument(n, formula ? NULL : formal, &arg);
        }
        local_add(n, formal->name, formal->span, LOCAL_FORMAL);
    }
}

static void check_unused_arguments(Names *n, const Ast *def)
{
    if (def->def.what != DEF_CELL) return;
    for (int i = 0; i < def->def.formals_len; i++) {
        const Local *local = frame_find(n->frame, def->def.formals[i].name);
        if (local && !local->used && local->name[0] != '_')
            diag_add(n->diags, D_W0510, local->span, "`%s` is not used by `%s`", local->name, def->def.name);
    }
}

static void visit_def(Names *n, const Ast *def)
{
    n->home = def->def.what == DEF_CELL ? HOME_CELL : def->def.what == DEF_NET ? HOME_NET : HOME_FN;
    const Ast *body = def->def.body;
    bool builtin = n->library && body && body->kind == AST_NAME && !strcmp(body->name, "builtin");
    frame_open(n, false);
    visit_formals(n, def->def.settings, def->def.settings_len);
    visit_formals(n, def->def.formals, def->def.formals_len);
    if (def->def.type) visit_type(n, def->def.type, false);
    if (def->def.body) visit_block(n, def->def.body);
    if (!builtin) check_unused_arguments(n, def);
    frame_close(n);
}

static void visit_experiment(Names *n, const Ast *ast)
{
    n->home = HOME_EXPERIMENT;
    map_init(&n->rows, n->arena);
    map_init(&n->keys, n->arena);
    collect_rows(n, ast->experiment.body);
    frame_open(n, false);
    visit_formals(n, ast->experiment.formals, ast->experiment.formals_len);
    visit_block(n, ast->experiment.body);
    frame_close(n);
}

static void visit_item(Names *n, const Ast *ast)
{
    n->home = HOME_FILE;
    n->frame = NULL;
    map_init(&n->reported, n->arena);
    map_init(&n->rows, n->arena);
    switch ((int)ast->kind) {
    case AST_DEF: n->current = map_get(&n->items, ast->def.name); visit_def(n, ast); break;
    case AST_ALIAS: n->current = map_get(&n->items, ast->alias.name); visit(n, ast->alias.value); break;
    case AST_BIND:
        n->current = ast->bind.pattern->kind == AST_NAME ? map_get(&n->items, ast->bind.pattern->name) : NULL;
        visit(n, ast->bind.value);
        if (ast->bind.type) visit_type(n, ast->bind.type, false);
        break;
    case AST_EXPERIMENT: n->current = NULL; visit_experiment(n, ast); break;
    case AST_TEST: n->current = NULL; n->home = HOME_TEST; visit_block(n, ast->test.body); break;
    case AST_USE: case AST_ERROR: break;
    default:                                  /* a statement typed at a prompt */
        n->home = HOME_TEST;
        frame_open(n, false);
        visit(n, ast);
        frame_close(n);
    }
    n->current = NULL;
}

/* ---- the names of a file ---- */

static void add_item(Names *n, Name name, Span span, const Ast *ast, LoadedModule *from)
{
    const Item *before = map_get(&n->items, name);
    if (before) {
        diag_label(diag_add(n->diags, D_E0302, span, "`%s` is already defined", name), before->span,
                   "first defined here");
        return;
    }
    bool again = n->module->prompt && prompt_has(n->module->scope, name);
    if (!n->library && !n->module->used && from == n->module && map_has(&n->prelude, name) && !again)
        diag_add(n->diags, D_N0304, span, "`%s` hides the one of the library", name);
    Item *item = arena_new_of(n->arena, Item);
    *item = (Item){ .name = name, .span = span, .ast = ast, .from = from };
    map_put(&n->items, name, item);
}

static void add_pattern(Names *n, const Ast *pattern, const Ast *bind)
{
    if (pattern->kind == AST_LIST)
        for (int i = 0; i < pattern->list.len; i++) add_pattern(n, pattern->list.args[i].value, bind);
    else if (pattern->kind == AST_NAME) add_item(n, pattern->name, pattern->span, bind, n->module);
}

static Name use_path(Names *n, const Ast *use)
{
    Buf path = { 0 };
    for (int i = 0; i < use->use.path_len; i++) buf_printf(&path, "%s%s", i ? "." : "", use->use.path[i]);
    Name name = intern(n->session->names, path.at, path.len);
    buf_free(&path);
    return name;
}

static void add_used(Names *n, const Ast *use)
{
    Name path = use_path(n, use);
    LoadedModule *from = map_get(&n->session->modules, path);
    if (!use->use.names_len) {
        LoadedModule *known = from ? from : arena_new_of(n->arena, LoadedModule);
        map_put(&n->modules, use->use.path[use->use.path_len - 1], known);
    }
    for (int i = 0; i < use->use.names_len; i++) {
        Name name = use->use.names[i];
        Span span = use->use.name_spans[i];
        const Ast *ast = from && from->module ? names_item(from->module, name) : NULL;
        if (from && from->module && (!ast || name[0] == '_')) {
            Near near = { 0 };
            near_try_module(&near, name, from->module);
            Diag *diag = ast ? diag_add(n->diags, D_E0305, span, "`%s` of %s is private", name, path)
                             : diag_add(n->diags, D_E0305, span, "%s has no `%s`", path, name);
            if (near.name && !ast) diag_hint(diag, "did you mean `%s`?", near.name);
        }
        add_item(n, name, span, ast, from);
    }
}

static void add_items(Names *n)
{
    const AstList *items = &n->module->module->items;
    Map experiments;
    map_init(&experiments, n->arena);
    for (int i = 0; i < items->len; i++) {
        const Ast *ast = items->at[i];
        if (ast->kind == AST_USE) add_used(n, ast);
        else if (ast->kind == AST_DEF) add_item(n, ast->def.name, ast->def.name_span, ast, n->module);
        else if (ast->kind == AST_ALIAS) add_item(n, ast->alias.name, ast->alias.name_span, ast, n->module);
        else if (ast->kind == AST_BIND && !n->late) add_pattern(n, ast->bind.pattern, ast);
        else if (ast->kind == AST_EXPERIMENT) {
            const Ast *before = map_get(&experiments, ast->experiment.name);
            if (before)
                diag_label(diag_add(n->diags, D_E0302, ast->experiment.name_span, "experiment `%s` is already defined",
                                    ast->experiment.name), before->experiment.name_span, "first defined here");
            else map_put(&experiments, ast->experiment.name, (void *)ast);
        }
    }
}

/* What earlier inputs of a prompt have defined. */
static void add_known(Names *n)
{
    PromptName known;
    for (int i = 0; prompt_name(n->module->scope, i, &known); i++) {
        if (!known.name || map_has(&n->items, known.name)) continue;
        if (known.module) {
            map_put(&n->modules, known.name, known.module);
            continue;
        }
        Item *item = arena_new_of(n->arena, Item);
        *item = (Item){ .name = known.name, .span = known.span, .ast = known.ast };
        map_put(&n->items, known.name, item);
    }
}

/* ---- definitions that use themselves ---- */

enum { FRESH, OPEN, DONE };
typedef struct Cycle { Item **path; int len, cap; } Cycle;

static void report_cycle(Names *n, const Cycle *cycle, const Item *again)
{
    int first = 0;
    while (cycle->path[first] != again) first++;
    Buf text = { 0 };
    for (int i = first; i < cycle->len; i++) buf_printf(&text, "%s -> ", cycle->path[i]->name);
    buf_text(&text, again->name);
    Diag *diag = diag_add(n->diags, D_E0306, again->span, "`%s` uses itself: %s", again->name,
                          buf_done(&text, n->arena));
    for (int i = first + 1; i < cycle->len; i++)
        diag_label(diag, cycle->path[i]->span, "`%s` is part of it", cycle->path[i]->name);
    diag_note(diag, "recursion is not part of the language: every program ends");
}

static void find_cycle(Names *n, Item *item, Cycle *cycle)
{
    if (item->state == DONE) return;
    if (item->state == OPEN) {
        report_cycle(n, cycle, item);
        return;
    }
    item->state = OPEN;
    cycle->path[cycle->len++] = item;
    for (int i = 0; i < item->uses.len; i++) find_cycle(n, item->uses.at[i], cycle);
    cycle->len--;
    item->state = DONE;
}

static void check_cycles(Names *n)
{
    Cycle cycle = { arena_array(n->arena, Item *, n->items.len + 1), 0, n->items.len + 1 };
    for (int i = 0; i < n->items.len; i++) find_cycle(n, n->items.value[i], &cycle);
}

/* ---- entry ---- */

static bool is_library(const Session *session, const LoadedModule *module)
{
    for (int i = 0; i < session->library.len; i++)
        if (session->library.at[i] == module || session->library.at[i]->module == module->module) return true;
    for (const PreludeFile *file = prelude_files; file->path; file++)
        if (module->module->source && !strcmp(module->module->source->path, file->path)) return true;
    return false;
}

static void add_library(Names *n)
{
    for (int i = 0; i < n->session->library.len; i++) {
        LoadedModule *from = n->session->library.at[i];
        for (int k = 0; k < from->module->items.len; k++) {
            const Ast *ast = from->module->items.at[k];
            Name name = ast->kind == AST_DEF ? ast->def.name : ast->kind == AST_ALIAS ? ast->alias.name
                      : ast->kind == AST_BIND && ast->bind.pattern->kind == AST_NAME ? ast->bind.pattern->name : NULL;
            if (!name) continue;
            Item *item = arena_new_of(n->arena, Item);
            *item = (Item){ .name = name, .span = ast->span, .ast = ast, .from = from };
            map_put(&n->prelude, name, item);
        }
    }
}

bool names_check(Session *session, LoadedModule *module)
{
    int errors = session->diags.errors;
    names_library(session);
    Names n = { .session = session, .module = module, .diags = &session->diags, .arena = session->arena,
                .library = is_library(session, module) };
    Map *maps[] = { &n.items, &n.prelude, &n.modules, &n.rows, &n.keys, &n.reported };
    for (int i = 0; i < COUNT(maps); i++) map_init(maps[i], n.arena);
    add_library(&n);
    n.late = module->prompt && module->module->items.len == 1;
    add_items(&n);
    if (module->prompt) add_known(&n);
    for (int i = 0; i < module->module->items.len; i++) visit_item(&n, module->module->items.at[i]);
    check_cycles(&n);
    if (!n.library) names_reports(n.diags, n.arena, module->module);
    return session->diags.errors == errors;
}
