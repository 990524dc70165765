/* names_words.c -- words that are no definitions: types and choices.
 * The near name of a mistaken one is chosen here too, and the library's files are parsed. */
#include "sema/names.h"

#include "sema/objects.h"
#include "sema/prelude.h"

static const char *const value_types[] = { "f32", "f64", "int", "real", "bool", "class", "list", NULL };
static const char *const type_words[] = {
    "f32", "f64", "int", "real", "bool", "class", "list", "text", "range", "record", "cell", "cells", "net", "fn",
    "data", "model", "run", "session", "initializer", "distribution", "rate", "selection", "strategy", "scope", "axes",
    "protocol", "corruption", "artifact", "progress", "formula", "rest", "columns", "labels", "measure", "norm",
    "order", "axis_scale", "outside", "emission", "units", "answers", "storage", "mode", "type", "any", NULL };

static const char *const choices_scope[] = { "model", "layer", "feature", "unit", NULL };
static const char *const choices_norm[] = { "linf", "l2", "l1", NULL };
static const char *const choices_order[] = { "shuffled", "given", NULL };
static const char *const choices_scale[] = { "linear", "log", NULL };
static const char *const choices_outside[] = { "clamp", "exact", "linear", NULL };
static const char *const choices_measure[] = { "train_loss", "valid_loss", "test_loss", "train_accuracy",
                                               "valid_accuracy", "test_accuracy", NULL };
static const char *const choices_emission[] = { "c", "object", "shared", "static", "executable", "header", "llvm",
                                               "bitcode", "asm", NULL };
static const char *const choices_units[] = { "network", "pixels", NULL };
static const char *const choices_answers[] = { "logits", "class", NULL };
static const char *const choices_storage[] = { "embedded", "separate", NULL };
static const char *const choices_mode[] = { "evaluation", "training", NULL };
static const struct { const char *type; const char *const *members;
} choice_types[] = {{"scope", choices_scope},       {"norm", choices_norm},       {"order", choices_order},
                    {"axis_scale", choices_scale},  {"outside", choices_outside}, {"measure", choices_measure},
                    {"emission", choices_emission}, {"units", choices_units},     {"answers", choices_answers},
                    {"storage", choices_storage},   {"mode", choices_mode}};

static bool listed(const char *const *list, const char *name)
{
    for (; *list; list++)
        if (!strcmp(*list, name)) return true;
    return false;
}

bool word_is_type(const char *name)
{
    return listed(type_words, name);
}

bool word_is_value_type(const char *name)
{
    return listed(value_types, name);
}

const char *const *names_choices(const char *type)
{
    for (int i = 0; i < COUNT(choice_types); i++)
        if (!strcmp(choice_types[i].type, type)) return choice_types[i].members;
    return NULL;
}

bool word_is_choice(const char *type, const char *name)
{
    const char *const *members = names_choices(type);
    bool measure = !strncmp(name, "train_", 6) || !strncmp(name, "valid_", 6) || !strncmp(name, "test_", 5);
    if (measure && !strcmp(type, "measure")) return true;
    return members && listed(members, name);
}

bool word_is_any_choice(const char *name)
{
    for (int i = 0; i < COUNT(choice_types); i++)
        if (word_is_choice(choice_types[i].type, name)) return true;
    return false;
}

/* ---- near names ---- */

void near_try(Near *near, const char *wanted, const char *name)
{
    size_t length = strlen(wanted);
    int limit = length < 2 ? 0 : length < 5 ? 1 : 2;                       /* any letter is near to any other */
    int distance = text_distance(wanted, name, limit);
    if (distance <= limit && (!near->name || distance < near->distance)) *near = (Near){ name, distance };
}

void near_try_map(Near *near, const char *wanted, const Map *map)
{
    for (int i = 0; i < map->len; i++) near_try(near, wanted, map->key[i]);
}

void near_try_module(Near *near, const char *wanted, const Module *module)
{
    for (int i = 0; i < module->items.len; i++) {
        const Ast *ast = module->items.at[i];
        if (ast->kind == AST_DEF) near_try(near, wanted, ast->def.name);
        if (ast->kind == AST_ALIAS) near_try(near, wanted, ast->alias.name);
        if (ast->kind == AST_BIND && ast->bind.pattern->kind == AST_NAME)
            near_try(near, wanted, ast->bind.pattern->name);
    }
}

const char *near_type(const char *wanted)
{
    Near near = { 0 };
    for (int i = 0; type_words[i]; i++) near_try(&near, wanted, type_words[i]);
    return near.name;
}

/* ---- items and the library ---- */

static bool pattern_has(const Ast *pattern, Name name)
{
    if (pattern->kind == AST_NAME) return pattern->name == name;
    for (int i = 0; pattern->kind == AST_LIST && i < pattern->list.len; i++)
        if (pattern_has(pattern->list.args[i].value, name)) return true;
    return false;
}

const Ast *names_item(const Module *module, Name name)
{
    for (int i = 0; i < module->items.len; i++) {
        const Ast *ast = module->items.at[i];
        if ((ast->kind == AST_DEF && ast->def.name == name) || (ast->kind == AST_ALIAS && ast->alias.name == name)
            || (ast->kind == AST_BIND && pattern_has(ast->bind.pattern, name))) return ast;
    }
    return NULL;
}

void names_library(Session *session)
{
    if (session->library.len) return;
    ParseContext context = { session->arena, session->names, &session->diags, &session->next_id };
    for (const PreludeFile *file = prelude_files; file->path; file++) {
        LoadedModule *module = arena_new_of(session->arena, LoadedModule);
        const Source *source = sources_add(session->sources, file->path, file->text, strlen(file->text));
        module->path = intern_text(session->names, file->path);
        module->module = parse_module(&context, source);
        vec_push(session->arena, &session->library, module);
    }
}
