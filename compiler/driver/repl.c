/* repl.c -- one input of the prompt: is it complete, what is it, what is answered (repl.h). */
#include "driver/repl_parts.h"

#include <stdlib.h>

#include "experiment/experiment.h"

/* ---- saying ---- */

void repl_put(Repl *repl, const Buf *text)
{
    if (text->len)
        repl->options.put(repl->options.data, text->at, text->len);
}

void repl_say(Repl *repl, const char *format, ...)
{
    Arena *scratch = arena_new();
    va_list args;
    va_start(args, format);
    const char *text = arena_vprintf(scratch, format, args);
    va_end(args);
    repl->options.put(repl->options.data, text, strlen(text));
    arena_free(scratch);
}

void repl_error(Repl *repl, const char *format, ...)
{
    Arena *scratch = arena_new();
    va_list args;
    va_start(args, format);
    const char *text = arena_vprintf(scratch, format, args);
    va_end(args);
    repl_say(repl, repl->options.color ? "\033[1;31merror\033[0m: %s\n" : "error: %s\n", text);
    repl->failed = true;
    arena_free(scratch);
}

/* What is typed replaces what had its name, the library's too: that needs no note, as it does in a program. */
static void forget_hiding(const Repl *repl, Diags *diags)
{
    int kept = 0;
    const PromptItem *open = repl->prompt->open;
    for (int i = 0; i < diags->list.len; i++)
        if (diags->list.at[i]->code != D_N0304 || (open && open->file))
            diags->list.at[kept++] = diags->list.at[i];
    diags->list.len = kept;
}

bool repl_show_diags(Repl *repl)
{
    enum { MOST_SHOWN = 10 };
    Diags *diags = &repl->session->diags;
    Buf text = {0};
    bool errors = false;
    forget_hiding(repl, diags);
    for (int i = 0; i < diags->list.len; i++) {
        Severity severity = diag_severity(diags->list.at[i]->code);
        errors |= severity == SEVERITY_ERROR || (severity == SEVERITY_RUNTIME && diags->list.at[i]->code != D_R0102);
    }
    if (diags->list.len)
        diags_render(diags, DIAG_HUMAN, repl->options.color, repl->options.width, MOST_SHOWN, &text);
    repl_put(repl, &text);
    buf_free(&text);
    diags_discard(diags, 0);
    repl->failed |= errors;
    return !errors;
}

void repl_eval(Repl *repl, Eval *e, EvalMode mode)
{
    eval_init(e, repl->session, repl->session->arena, &repl->session->diags, mode);
    repl->turn = (LabTurn){.lab = repl->lab, .pool = repl->lab->pool, .keep = repl->session->arena};
    e->lab = &repl->turn;
}

/* ---- life ---- */

static bool needed(void *data, int64_t from, int64_t to) { return prompt_alive(data, from, to); }

static void forget(void *data, Prompt *prompt)
{
    Repl *repl = data;
    lab_forget(repl->lab, prompt->number, needed, prompt);
}

Repl *repl_new(Session *session, Lab *lab, const ReplOptions *options)
{
    Arena *arena = arena_new();
    Repl *repl = arena_new_of(arena, Repl);
    *repl = (Repl){.arena = arena, .session = session, .lab = lab, .options = *options};
    repl_resize(repl, options->width, options->height);
    repl->prompt = prompt_new(session, "prompt");
    repl->prompt->forget = forget;
    repl->prompt->forget_data = repl;
    repl->ans = intern_text(session->names, "ans");
    return repl;
}

/* The laboratory goes before the names that it points to: free it first. */
void repl_free(Repl *repl)
{
    prompt_free(repl->prompt);
    arena_free(repl->arena);
}

void repl_resize(Repl *repl, int width, int height)
{
    repl->options.width = width < 20 ? 20 : width > 400 ? 400 : width;
    repl->options.height = height < 10 ? 10 : height > 200 ? 200 : height;
    repl->lab->options.width = repl->options.width;
}

size_t repl_bytes(const Repl *repl)
{
    return prompt_bytes(repl->prompt) + arena_used(repl->arena) + arena_used(repl->lab->arena);
}
size_t repl_programs(const Repl *repl) { return lab_programs(repl->lab); }

/* ---- is it complete? ---- */

static bool is_blank(const char *text) { return text[strspn(text, " \t\r\n")] == 0; }

/* A doc comment belongs to the definition on the next line. */
static bool ends_in_doc(const char *text)
{
    size_t n = strlen(text);
    while (n && strchr(" \t\r\n", text[n - 1]))
        n--;
    while (n && text[n - 1] != '\n')
        n--;
    return strncmp(text + n + strspn(text + n, " \t"), "##", 2) == 0;
}

/* Parsed beside the session: what is thrown away takes no place in it. */
static bool complete(const Repl *repl, const char *text)
{
    Arena *scratch = arena_new();
    Sources *sources = sources_new(scratch);
    Diags diags;
    uint32_t id = 1;
    diags_init(&diags, scratch, sources);
    ParseContext context = {scratch, repl->session->names, &diags, &id, true};
    const Source *source = sources_add(sources, "prompt", text, strlen(text));
    const Module *module = source ? parse_module(&context, source) : NULL;
    bool whole = !module || (module->complete && (module->items.len || diags.errors || !ends_in_doc(text)));
    arena_free(scratch);
    return whole;
}

/* ---- answering ---- */

static bool name_value(Repl *repl, Name name, Value *out)
{
    Eval e;
    bool found;
    repl_eval(repl, &e, EVAL_RUN);
    return scope_find(&e, repl->prompt->module->scope, name, out, &found) && found;
}

static void answer_blocks(Repl *repl, const Ast *ast)
{
    LoadedModule *module = repl->prompt->module;
    if (ast->kind == AST_EXPERIMENT) {
        bool ok = experiment_run(repl->lab, module, ast, NULL, NULL, 0);
        repl->failed |= !ok;
    } else {
        bool held = test_run(repl->lab, module, ast);
        repl_say(repl, "%s %s\n", held ? "ok  " : "FAIL", ast->test.name);
        repl->failed |= !held;
    }
}

/* "run = train(...);": a statement end at the very end keeps the answer to itself. */
static bool is_quiet(const char *text)
{
    size_t n = strlen(text);
    while (n && strchr(" \t\r\n", text[n - 1]))
        n--;
    return n && text[n - 1] == ';';
}

static void answer(Repl *repl, Eval *e, const Ast *ast, const Value *value)
{
    Value defined;
    if (ast->kind == AST_DEF || ast->kind == AST_ALIAS) {
        if (name_value(repl, ast->kind == AST_DEF ? ast->def.name : ast->alias.name, &defined))
            show_definition(repl, e, &defined);
    } else if (ast->kind == AST_EXPERIMENT || ast->kind == AST_TEST) {
        answer_blocks(repl, ast);
    } else if (ast->kind == AST_BIND) {
        if (!repl->quiet)
            show_value(repl, e, value, false);
    } else if (value->kind != V_NONE) {
        if (!repl->quiet)
            show_value(repl, e, value, true);
        prompt_bind(repl->prompt, repl->ans, ast->span, ast, value);
    }
}

/* The items of the open input, one after another, up to the first that fails. */
static void run_items(Repl *repl)
{
    const AstList *items = &repl->prompt->open->parsed->items;
    for (int i = 0; i < items->len && !repl->failed; i++) {
        Eval e;
        Value value;
        repl_eval(repl, &e, EVAL_RUN);
        bool ok = prompt_item(repl->prompt, &e, items->at[i], &value);
        if (!repl_show_diags(repl) || !ok) {
            repl->failed = true;
            break;
        }
        answer(repl, &e, items->at[i], &value);
        repl_show_diags(repl);
    }
}

static ReplStatus run_text(Repl *repl, const char *text)
{
    PromptItem *item = prompt_open(repl->prompt, "prompt", text, strlen(text), false);
    repl->quiet = is_quiet(text);
    if (!item->source)
        repl_error(repl, "the inputs of this prompt fill its memory: :save what is needed and start anew");
    else if (repl_show_diags(repl))
        run_items(repl);
    prompt_close(repl->prompt);
    return repl->failed ? REPL_FAILED : REPL_DONE;
}

/* "xor.nin: xor, neuron, fit; experiments: success" */
static void say_loaded(Repl *repl, const char *path)
{
    const AstList *items = &repl->prompt->open->parsed->items;
    Buf line = {0};
    int names = 0, blocks = 0;
    for (int i = 0; i < items->len; i++) {
        const Ast *ast = items->at[i];
        const char *name = ast->kind == AST_DEF ? ast->def.name : ast->kind == AST_ALIAS ? ast->alias.name : NULL;
        if (ast->kind == AST_BIND && ast->bind.pattern->kind == AST_NAME)
            name = ast->bind.pattern->name;
        if (name)
            buf_printf(&line, "%s%s", names++ ? ", " : "", name);
    }
    for (int i = 0; i < items->len; i++)
        if (items->at[i]->kind == AST_EXPERIMENT)
            buf_printf(&line, "%s%s",
                       blocks++ ? ", "
                       : names  ? "; to :run: "
                                : "to :run: ",
                       items->at[i]->experiment.name);
    buf_put(&line, "", 1);
    repl_say(repl, "%s: %s\n", path, line.at);
    buf_free(&line);
}

bool repl_load(Repl *repl, const char *path)
{
    const char *error = "it cannot be read";
    size_t length = 0;
    Arena *scratch = arena_new();
    char *text = repl->session->read_file ? repl->session->read_file(scratch, path, &length, &error) : NULL;
    repl->failed = false;
    if (!text) {
        repl_error(repl, "%s", error);
        arena_free(scratch);
        return false;
    }
    prompt_open(repl->prompt, path, text, length, true);
    bool ok = prompt_file(repl->prompt);
    ok &= repl_show_diags(repl);
    if (ok)
        say_loaded(repl, path);
    prompt_close(repl->prompt);
    bool known = false;
    for (int i = 0; i < repl->files.len; i++)
        known |= strcmp(repl->files.at[i], path) == 0;
    if (!known)
        vec_push(repl->arena, &repl->files, (const char *)arena_copy(repl->arena, path, strlen(path)));
    arena_free(scratch);
    return ok;
}

ReplStatus repl_input(Repl *repl, const char *text, bool last)
{
    size_t blanks = strspn(text, " \t\r\n");
    repl->failed = false;
    if (is_blank(text))
        return REPL_DONE;
    if (command_word(repl, text + blanks))
        return command_input(repl, command_word(repl, text + blanks), last);
    if (text[blanks] == ':')
        return command_input(repl, text + blanks + 1, last);
    if (text[blanks] == '?')
        return help_show(repl, text + blanks + 1) ? REPL_DONE : REPL_FAILED;
    if (!last && !complete(repl, text))
        return REPL_MORE;
    return run_text(repl, text);
}
