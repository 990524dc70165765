/* repl_help.c -- ?name: what a name is, from its definition and the doc comment above it; what a code means. */
#include "driver/repl_parts.h"

#include <ctype.h>

#include "experiment/experiment.h"

static const char *doc_of(const Ast *ast)
{
    switch ((int)ast->kind) {
    case AST_DEF: return ast->def.doc;
    case AST_ALIAS: return ast->alias.doc;
    case AST_BIND: return ast->bind.doc;
    default: return NULL;
    }
}

static void put_doc(Repl *repl, const char *doc)
{
    while (doc && *doc) {
        size_t n = strcspn(doc, "\n");
        doc += *doc == ' ';
        n = strcspn(doc, "\n");
        repl_say(repl, "  %.*s\n", (int)n, doc);
        doc += n + (doc[n] == '\n');
    }
}

static bool find(const Scope *scope, const char *name, PromptName *out)
{
    bool found = false;
    PromptName at;
    for (int i = 0; scope && !found && prompt_name(scope, i, &at); i++)
        if (at.name && strcmp(at.name, name) == 0) {
            *out = at;
            found = true;
        }
    return found;
}

static void put_name(Repl *repl, const PromptName *name)
{
    Buf line = {0};
    Eval e;
    const Ast *ast = name->ast;
    if (ast && ast->kind == AST_DEF) {
        show_signature(repl, ast, &line);
    } else if (ast && ast->kind == AST_ALIAS) {
        buf_printf(&line, "cell %s = ", name->name);
        Arena *scratch = arena_new();
        buf_text(&line, sources_text(repl->session->sources, scratch, ast->alias.value->span));
        arena_free(scratch);
    } else {
        buf_printf(&line, "%s", name->name);
    }
    if (name->value && !(ast && (ast->kind == AST_DEF || ast->kind == AST_ALIAS))) {
        repl_eval(repl, &e, EVAL_RUN);
        buf_text(&line, ": ");
        show_type(repl, &e, name->value, &line);
    }
    repl_say(repl, "%.*s\n", (int)line.len, line.at);
    buf_free(&line);
    if (ast)
        put_doc(repl, doc_of(ast));
}

static const char *near_name(Repl *repl, const char *name)
{
    const Scope *scopes[] = {repl->prompt->module->scope, repl->session->prelude};
    const char *near = NULL;
    int best = strlen(name) < 4 ? 2 : 3;
    PromptName at;
    for (int k = 0; k < COUNT(scopes); k++)
        for (int i = 0; prompt_name(scopes[k], i, &at); i++) {
            int distance = at.name && at.name[0] != '_' ? text_distance(name, at.name, best) : best;
            if (distance < best) {
                best = distance;
                near = at.name;
            }
        }
    return near;
}

static bool put_command(Repl *repl, const char *name)
{
    for (const ReplCommand *c = repl_commands; c->name; c++)
        if (strcmp(c->name, name) == 0) {
            repl_say(repl, ":%s %s\n  %s\n", c->name, c->arguments, c->help);
            return true;
        }
    return false;
}

static bool put_code(Repl *repl, const char *name)
{
    char code[8] = "";
    DiagCode found;
    for (size_t i = 0; i < sizeof code - 1 && name[i]; i++)
        code[i] = (char)toupper((unsigned char)name[i]);
    if (strlen(name) >= sizeof code || !diag_by_name(code, &found))
        return false;
    repl_say(repl, "%s: %s\n\n%s\n", diag_name(found), diag_title(found), diag_explanation(found));
    return true;
}

bool help_show(Repl *repl, const char *text)
{
    PromptItem *item = prompt_open(repl->prompt, "prompt", "", 0, false);
    PromptName name;
    text += strspn(text, " \t");
    size_t n = strcspn(text, " \t\r\n([?");
    char *word = arena_copy(item->arena, text, n);
    if (!*word) {
        repl_say(repl, "?name tells what something is: ?gcu, ?train, ?plot, ?E0401. :help lists the commands.\n");
    } else if (*word == ':' && put_command(repl, word + 1)) {
        ;
    } else if (find(repl->prompt->module->scope, word, &name) || find(repl->session->prelude, word, &name)) {
        put_name(repl, &name);
    } else if (!put_code(repl, word) && !put_command(repl, word)) {
        const char *near = near_name(repl, word);
        repl_error(repl, "nothing is called `%s`%s%s%s", word, near ? "; did you mean `" : "", near ? near : "",
                   near ? "`?" : "");
    }
    repl_show_diags(repl);
    prompt_close(repl->prompt);
    return !repl->failed;
}
