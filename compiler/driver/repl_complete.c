/* repl_complete.c -- what may stand at the end of a line: commands, files, fields, settings and arguments, names. */
#include "driver/repl_parts.h"

#include <ctype.h>
#include <dirent.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "experiment/experiment.h"

typedef struct Words { Arena *arena; VEC(const char *) at; const char *prefix; size_t length; } Words;

static void offer(Words *w, const char *word)
{
    enum { MOST = 2000 };
    if (strncmp(word, w->prefix, w->length) != 0 || w->at.len >= MOST || (word[0] == '_' && !w->length))
        return;
    for (int i = 0; i < w->at.len; i++)
        if (strcmp(w->at.at[i], word) == 0)
            return;
    vec_push(w->arena, &w->at, (const char *)arena_copy(w->arena, word, strlen(word)));
}

static int compare(const void *a, const void *b) { return strcmp(*(const char *const *)a, *(const char *const *)b); }

static ReplWords done(Words *w, size_t from)
{
    if (w->at.len > 1)
        qsort(w->at.at, (size_t)w->at.len, sizeof *w->at.at, compare);
    return (ReplWords){w->at.at, w->at.len, (int)from};
}

static bool in_word(char c) { return isalnum((unsigned char)c) || c == '_'; }

/* ---- names ---- */

static bool scope_value(const Scope *scope, const char *name, PromptName *out)
{
    for (int i = 0; scope && prompt_name(scope, i, out); i++)
        if (out->name && strcmp(out->name, name) == 0)
            return true;
    return false;
}

static bool known(Repl *repl, const char *name, PromptName *out)
{
    return scope_value(repl->prompt->module->scope, name, out) || scope_value(repl->session->prelude, name, out);
}

static void offer_names(Repl *repl, Words *w)
{
    static const char *const words[] = {"cell",  "net",   "fn",   "experiment", "test", "use", "for", "if",  "else",
                                        "param", "state", "true", "false",      "none", "and", "or",  "not", "in"};
    const Scope *scopes[] = {repl->prompt->module->scope, repl->session->prelude};
    PromptName name;
    for (int k = 0; k < COUNT(scopes); k++)
        for (int i = 0; scopes[k] && prompt_name(scopes[k], i, &name); i++)
            if (name.name)
                offer(w, name.name);
    for (int i = 0; i < COUNT(words); i++)
        offer(w, words[i]);
}

/* ---- settings and arguments: of the innermost bracket that is open ---- */

static size_t open_bracket(const char *line, size_t length)
{
    int depth = 0;
    for (size_t i = length; i > 0; i--) {
        char c = line[i - 1];
        depth += c == ')' || c == ']' || c == '}';
        if ((c == '(' || c == '[' || c == '{') && depth-- == 0)
            return i;
    }
    return 0;
}

static void offer_formals(Repl *repl, const char *line, size_t length, Words *w)
{
    size_t open = open_bracket(line, length), end;
    PromptName name;
    if (!open || line[open - 1] == '{')
        return;
    end = open - 1;
    bool settings = line[end] == '[';
    if (!settings && end && line[end - 1] == ']') {                /* f[...]( */
        size_t inner = open_bracket(line, end - 1);
        end = inner ? inner - 1 : 0;
    }
    size_t from = end;
    while (from && in_word(line[from - 1]))
        from--;
    const char *callee = arena_copy(w->arena, line + from, end - from);
    if (!known(repl, callee, &name) || !name.ast || name.ast->kind != AST_DEF)
        return;
    const AstFormal *formals = settings ? name.ast->def.settings : name.ast->def.formals;
    int n = settings ? name.ast->def.settings_len : name.ast->def.formals_len;
    for (int i = 0; i < n; i++)
        offer(w, arena_printf(w->arena, "%s: ", formals[i].name));
}

/* ---- fields ---- */

static void offer_model(const Model *model, Words *w)
{
    for (int i = 0; i < model->info->params; i++) {
        const char *path = model->info->param[i].path;
        offer(w, arena_copy(w->arena, path, strcspn(path, ".[")));
    }
    for (int i = 0; i < model->info->cells; i++)
        offer(w, model->info->cell[i].path);
}

static void offer_fields(const Value *value, Words *w)
{
    if (value->kind == V_RECORD)
        for (int i = 0; i < value->record->len; i++)
            offer(w, value->record->name[i]);
    if (value->kind == V_MODULE) {
        PromptName name;
        for (int i = 0; prompt_name(value->module->scope, i, &name); i++)
            if (name.name && name.name[0] != '_')
                offer(w, name.name);
    }
    if (value->kind == V_CALLABLE) {
        offer(w, "arity");
        for (int i = 0; value->callable->weights && i < value->callable->weights->len; i++) {
            const char *path = value->callable->weights->name[i];
            offer(w, arena_copy(w->arena, path, strcspn(path, ".[")));
        }
    }
    if (value->kind != V_OBJECT)
        return;
    for (const char *const *field = value->object->class->fields; field && *field; field++)
        offer(w, *field);
    if (value->object->class == &run_class) {
        const Curve *curve = &((const Run *)value->object)->curve;
        for (int i = 0; i < curve->columns; i++)
            offer(w, curve->column[i].name);
    }
    if (value->object->class == &model_class)
        offer_model((const Model *)value->object, w);
}

/* The value of "name.field.field"; nothing that would have to be computed is. */
static bool path_value(Repl *repl, Eval *e, char *path, Value *out)
{
    char *rest = path, *part = strsep(&rest, ".");
    PromptName name;
    if (!known(repl, part, &name) || !name.value)
        return false;
    *out = *name.value;
    while (rest && (part = strsep(&rest, ".")))
        if (!eval_field(e, out, intern_text(repl->session->names, part), (Span){0}, out))
            return false;
    return true;
}

static void offer_path(Repl *repl, const char *line, size_t dot, Words *w)
{
    size_t from = dot;
    Value value;
    Eval e;
    Diags diags;
    while (from && (in_word(line[from - 1]) || line[from - 1] == '.'))
        from--;
    diags_init(&diags, w->arena, repl->session->sources);
    repl_eval(repl, &e, EVAL_RUN);
    e.arena = w->arena;
    e.diags = &diags;
    if (path_value(repl, &e, arena_copy(w->arena, line + from, dot - from), &value))
        offer_fields(&value, w);
}

/* ---- files ---- */

static void offer_files(const char *path, Words *w)
{
    const char *slash = strrchr(path, '/');
    char *folder = slash ? arena_copy(w->arena, path, (size_t)(slash - path) + 1) : arena_copy(w->arena, "", 0);
    DIR *dir = opendir(*folder ? folder : ".");
    for (struct dirent *entry; dir && (entry = readdir(dir));) {
        struct stat facts;
        if (entry->d_name[0] == '.' && (!slash || slash[1] != '.'))
            continue;
        const char *whole = arena_printf(w->arena, "%s%s", folder, entry->d_name);
        bool is_folder = stat(whole, &facts) == 0 && S_ISDIR(facts.st_mode);
        offer(w, is_folder ? arena_printf(w->arena, "%s/", whole) : whole);
    }
    if (dir)
        closedir(dir);
}

/* The begin of the file's name that the cursor stands in; -1: in none. */
static long file_start(const char *line, size_t length)
{
    static const char *const commands[] = {":load ", ":save "};
    size_t blanks = strspn(line, " \t"), quotes = 0, last = 0;
    for (int i = 0; i < COUNT(commands); i++)
        if (strncmp(line + blanks, commands[i], strlen(commands[i])) == 0)
            return (long)(blanks + strlen(commands[i]) + strspn(line + blanks + strlen(commands[i]), " \""));
    for (size_t i = 0; i < length; i++)
        if (line[i] == '"' && (!i || line[i - 1] != '\\')) {
            quotes++;
            last = i + 1;
        }
    return quotes % 2 ? (long)last : -1;
}

/* The name of a setting behind ":set ". */
static bool in_setting(const char *line, size_t from)
{
    size_t blanks = strspn(line, " \t");
    return strncmp(line + blanks, ":set ", 5) == 0 && blanks + 5 + strspn(line + blanks + 5, " ") == from;
}

ReplWords repl_complete(Repl *repl, Arena *arena, const char *line)
{
    Words w = {.arena = arena};
    size_t length = strlen(line), from = length, blanks = strspn(line, " \t");
    long file = file_start(line, length);
    if (file >= 0) {
        w.prefix = line + file;
        w.length = length - (size_t)file;
        offer_files(w.prefix, &w);
        return done(&w, (size_t)file);
    }
    while (from && in_word(line[from - 1]))
        from--;
    w.prefix = line + from;
    w.length = length - from;
    bool command = line[blanks] == ':' && from == blanks + 1;
    if (command) {
        for (const ReplCommand *c = repl_commands; c->name; c++)
            offer(&w, *c->arguments ? arena_printf(arena, "%s ", c->name) : c->name);
    } else if (in_setting(line, from)) {
        for (const char *const *name = repl_settings; *name; name++)
            offer(&w, arena_printf(arena, "%s ", *name));
    } else if (from && line[from - 1] == '.' && (from < 2 || line[from - 2] != '.')) {
        offer_path(repl, line, from - 1, &w);
    } else if (w.length || open_bracket(line, from)) {
        offer_formals(repl, line, from, &w);
        if (w.length)
            offer_names(repl, &w);
    }
    return done(&w, from);
}
