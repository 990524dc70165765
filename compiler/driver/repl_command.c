/* repl_command.c -- colon commands of the prompt, each a row of a table. */
#include "driver/repl_parts.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "driver/inspect.h"
#include "experiment/experiment.h"
#include "support/file.h"

static double seconds_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* A copy without blanks at either end. */
static char *trimmed(Arena *arena, const char *text)
{
    text += strspn(text, " \t\r\n");
    size_t n = strlen(text);
    while (n && strchr(" \t\r\n", text[n - 1]))
        n--;
    return arena_copy(arena, text, n);
}

/* ---- arguments ---- */

/* "--latex rest" -> "latex"; moves past it. */
static const char *flag_take(Arena *arena, const char **rest)
{
    const char *text = *rest + strspn(*rest, " \t");
    if (strncmp(text, "--", 2) != 0)
        return NULL;
    size_t n = strcspn(text + 2, " \t\r\n,");
    *rest = text + 2 + n;
    return arena_copy(arena, text + 2, n);
}

static bool args_read(Repl *repl, const char *name, CommandArgs *out)
{
    Arena *arena = repl->prompt->open->arena;
    const AstList *items = &repl->prompt->open->parsed->items;
    if (!repl_show_diags(repl))
        return false;
    if (items->len != 1 || items->at[0]->kind != AST_CALL) {
        repl_error(repl, ":%s takes one call's arguments", name);
        return false;
    }
    const Ast *call = items->at[0];
    out->at = arena_array(arena, Value, call->call.len + 1);
    out->label = arena_array(arena, Name, call->call.len + 1);
    out->ast = arena_array(arena, const Ast *, call->call.len + 1);
    for (int i = 0; i < call->call.len; i++) {
        const AstArg *arg = &call->call.args[i];
        repl_eval(repl, &out->e, EVAL_RUN);
        if (!prompt_item(repl->prompt, &out->e, arg->value, &out->at[out->len]) || !repl_show_diags(repl)) {
            repl_show_diags(repl);
            repl->failed = true;
            return false;
        }
        out->ast[out->len] = arg->value;
        out->label[out->len++] = arg->label;
    }
    repl_eval(repl, &out->e, EVAL_RUN);
    return true;
}

bool command_open(Repl *repl, const char *name, const char *rest, CommandArgs *out)
{
    Buf text = {0};
    Arena *scratch = arena_new();
    *out = (CommandArgs){0};
    const char *flag = flag_take(scratch, &rest);
    char *argument = trimmed(scratch, rest);
    buf_printf(&text, "%s(%s)", name, argument);
    prompt_open(repl->prompt, "prompt", text.at, text.len, false);
    out->flag = flag ? arena_copy(repl->prompt->open->arena, flag, strlen(flag)) : NULL;
    arena_free(scratch);
    buf_free(&text);
    return args_read(repl, name, out);
}

bool command_close(Repl *repl, bool ok)
{
    ok &= repl_show_diags(repl);
    prompt_close(repl->prompt);
    return ok && !repl->failed;
}

/* One argument of a kind. */
static bool one_arg(Repl *repl, const char *name, const CommandArgs *args, const char *what)
{
    if (args->len == 1 && !args->label[0])
        return true;
    repl_error(repl, ":%s takes %s", name, what);
    return false;
}

static bool flag_is(Repl *repl, const char *name, const CommandArgs *args, const char *known)
{
    if (!args->flag || (known && strcmp(args->flag, known) == 0))
        return true;
    if (known)
        repl_error(repl, ":%s has no --%s, but --%s", name, args->flag, known);
    else
        repl_error(repl, ":%s has no --%s", name, args->flag);
    return false;
}

/* ---- formulas, types, nets ---- */

static bool put_derivatives(Repl *repl, CommandArgs *args)
{
    CellGraph graph;
    Value *cell = &args->at[0];
    if (cell->kind != V_OBJECT && (cell->kind != V_CALLABLE || cell->callable->what != DEF_CELL)) {
        repl_error(repl, ":grad takes a cell, a function of numbers; this is %s", value_kind_name(cell));
        return false;
    }
    if (!cell_graph(&args->e, cell, DT_F64, args->ast[0]->span, &graph))
        return false;
    for (int k = 0; k < graph.arity; k++) {
        char *text = inspect_formula(&args->e, &graph, k, args->flag != NULL);
        if (!text)
            return false;
        if (graph.arity > 1)
            repl_say(repl, "d/d%s = ", inspect_argument(args->e.arena, &graph, k));
        repl_say(repl, "%s\n", own_names(args->e.arena, cell, text));
    }
    return true;
}

static bool command_grad(Repl *repl, const char *rest)
{
    CommandArgs args;
    bool ok = command_open(repl, "grad", rest, &args) && flag_is(repl, "grad", &args, "latex") &&
              one_arg(repl, "grad", &args, "one cell") && put_derivatives(repl, &args);
    return command_close(repl, ok);
}

static bool command_type(Repl *repl, const char *rest)
{
    CommandArgs args;
    Buf line = {0};
    bool ok = command_open(repl, "type", rest, &args) && flag_is(repl, "type", &args, NULL) &&
              one_arg(repl, "type", &args, "one expression");
    if (ok) {
        show_type(repl, &args.e, &args.at[0], &line);
        repl_say(repl, "%.*s\n", (int)line.len, line.at);
    }
    buf_free(&line);
    return command_close(repl, ok);
}

/* The net that an argument means: itself, that of a model or a run.  Of a cell it is said which net looks at it. */
static const Value *net_of(Repl *repl, Eval *e, const char *name, const Value *value)
{
    int arity = value->kind == V_CALLABLE && value->callable->what == DEF_CELL ? callable_arity(e, value) : 0;
    if (value->kind == V_OBJECT && value->object->class == &run_class)
        return &((const Run *)value->object)->model->info->net;
    if (value->kind == V_OBJECT && value->object->class == &model_class)
        return &((const Model *)value->object)->info->net;
    if (value->kind == V_CALLABLE && value->callable->what == DEF_NET)
        return value;
    if (arity > 0)
        repl_error(repl, ":%s takes a net; this is a cell. net one(x: f32[%d]) -> f32[1] = apply(%s, x) is a net of it",
                   name, arity, value_shown(e, value));
    else
        repl_error(repl, ":%s takes a net; this is %s", name, value_kind_name(value));
    return NULL;
}

static bool command_params(Repl *repl, const char *rest)
{
    CommandArgs args;
    const Value *net = NULL;
    const Table *table = NULL;
    if (command_open(repl, "params", rest, &args) && flag_is(repl, "params", &args, NULL) &&
        one_arg(repl, "params", &args, "one net"))
        net = net_of(repl, &args.e, "params", &args.at[0]);
    if (net)
        table = inspect_params(&args.e, net, value_shown(&args.e, net), repl->session->precision, NULL);
    if (table) {
        TableStyle style = {.width = repl->options.width, .bold = repl->options.color};
        Buf text = {0};
        table_text(table, &style, &text);
        repl_put(repl, &text);
        buf_free(&text);
    }
    return command_close(repl, table);
}

/* :ir --grad net; :c and :asm: --training. */
static bool show_stage(Repl *repl, const char *name, const char *rest, DumpStage stage, const char *flag)
{
    CommandArgs args;
    const Value *net = NULL;
    const char *error = NULL;
    Buf text = {0};
    if (command_open(repl, name, rest, &args) && flag_is(repl, name, &args, flag) &&
        one_arg(repl, name, &args, "one net"))
        net = net_of(repl, &args.e, name, &args.at[0]);
    bool ok = net && inspect_net(&args.e, net, stage, args.flag != NULL, &repl->lab->options.code, &text, &error);
    if (error)
        repl_error(repl, "%s", error);
    if (ok && text.len && text.at[text.len - 1] != '\n')
        buf_text(&text, "\n");
    repl_put(repl, &text);
    buf_free(&text);
    return command_close(repl, ok);
}

static bool command_ir(Repl *repl, const char *rest) { return show_stage(repl, "ir", rest, STAGE_GRAPH, "training"); }
static bool command_asm(Repl *repl, const char *rest) { return show_stage(repl, "asm", rest, STAGE_ASM, "training"); }
static bool command_c(Repl *repl, const char *rest) { return show_stage(repl, "c", rest, STAGE_C, "training"); }

/* ---- time ---- */

static void put_time(Buf *out, double seconds)
{
    const char *unit = seconds < 1e-6 ? "ns" : seconds < 1e-3 ? "us" : seconds < 1 ? "ms" : "s";
    double scale = seconds < 1e-6 ? 1e9 : seconds < 1e-3 ? 1e6 : seconds < 1 ? 1e3 : 1;
    buf_printf(out, "%.3g %s", seconds * scale, unit);
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

enum { BENCH_MOST = 1000 };

/* Evaluates again and again for a second at most. */
static int bench(Repl *repl, const Ast *ast, double *seconds)
{
    double start = seconds_now();
    int n = 0;
    while (n < BENCH_MOST && (n < 3 || seconds_now() - start < 1) && !lab_interrupted(repl->lab)) {
        Arena *scratch = arena_new();
        Eval e;
        Value value;
        repl_eval(repl, &e, EVAL_RUN);
        e.arena = scratch;
        double from = seconds_now();
        bool ok = eval_expr(&e, ast, repl->prompt->module->scope, &value);
        seconds[n++] = seconds_now() - from;
        arena_free(scratch);
        if (!ok)
            return 0;
    }
    return n;
}

static bool time_input(Repl *repl, const char *rest, bool again)
{
    const bool tiers = repl->lab->options.tiers;
    Eval e;
    Value value;
    Buf line = {0};
    double *seconds = calloc(BENCH_MOST, sizeof *seconds);
    PromptItem *item = prompt_open(repl->prompt, "prompt", rest, strlen(rest), false);
    bool ok = seconds && repl_show_diags(repl);
    if (ok && (item->parsed->items.len != 1 || item->parsed->items.at[0]->kind == AST_DEF)) {
        repl_error(repl, ":%s takes one expression", again ? "bench" : "time");
        ok = false;
    }
    if (ok) {
        repl_eval(repl, &e, EVAL_RUN);
        repl->lab->options.tiers &= !again;                 /* what is timed again and again is optimised */
        double start = seconds_now();
        ok = prompt_item(repl->prompt, &e, item->parsed->items.at[0], &value);
        put_time(&line, seconds_now() - start);
    }
    if (ok && again) {
        int n = bench(repl, item->parsed->items.at[0], seconds);
        ok = n > 0;
        line.len = 0;
        qsort(seconds, (size_t)n, sizeof *seconds, compare);
        put_time((buf_text(&line, "best "), &line), seconds[0]);
        put_time((buf_text(&line, ", median "), &line), seconds[n / 2]);
        buf_printf(&line, ", %d times", n);
    }
    repl->lab->options.tiers = tiers;
    ok &= repl_show_diags(repl);
    if (ok)
        repl_say(repl, "%.*s\n", (int)line.len, line.at);
    buf_free(&line);
    free(seconds);
    return command_close(repl, ok);
}

static bool command_time(Repl *repl, const char *rest) { return time_input(repl, rest, false); }
static bool command_bench(Repl *repl, const char *rest) { return time_input(repl, rest, true); }

/* ---- files ---- */

/* A file's name, with or without quotes. */
static char *path_of(Arena *arena, const char *rest)
{
    char *path = trimmed(arena, rest);
    size_t n = strlen(path);
    if (n >= 2 && path[0] == '"' && path[n - 1] == '"') {
        path[n - 1] = 0;
        path++;
    }
    return path;
}

static bool command_load(Repl *repl, const char *rest)
{
    char *path = path_of(repl->arena, rest);
    if (*path)
        return repl_load(repl, path);
    repl_error(repl, ":load takes the name of a file");
    return false;
}

static bool command_reload(Repl *repl, const char *rest)
{
    bool ok = true;
    (void)rest;
    if (!repl->files.len) {
        repl_error(repl, "no file was loaded");
        return false;
    }
    for (int i = 0; i < repl->files.len; i++)
        ok &= repl_load(repl, repl->files.at[i]);
    return ok;
}

/* What stands in a program for an input: its own text, or of a loaded file what is still in force. */
static void save_text(Buf *out, const char *text)
{
    size_t n = strlen(text);
    while (n && strchr(" \t\r\n", text[n - 1]))
        n--;
    buf_put(out, text, n);
    buf_text(out, "\n\n");
}

static void save_names(Repl *repl, const PromptItem *item, Buf *out)
{
    const Scope *scope = repl->prompt->module->scope;
    const Ast *last = NULL;
    PromptName name;
    for (int i = 0; prompt_name(scope, i, &name); i++) {
        if (!name.name || name.item != item || name.name == repl->ans)
            continue;
        if (!item->file && item->source) {
            save_text(out, item->source->text);
            return;
        }
        if (name.ast && name.ast != last)
            save_text(out, sources_text(repl->session->sources, repl->prompt->open->arena, name.ast->span));
        last = name.ast;
    }
}

static bool command_save(Repl *repl, const char *rest)
{
    Buf text = {0};
    char *error = NULL;
    PromptItem *item = prompt_open(repl->prompt, "prompt", "", 0, false);
    const char *path = path_of(item->arena, rest);
    const LoadedModule *module = repl->prompt->module;
    for (int i = 0; i < repl->prompt->items.len; i++)
        save_names(repl, repl->prompt->items.at[i], &text);
    for (int i = 0; i < module->experiments.len; i++)
        save_text(&text, sources_text(repl->session->sources, item->arena, module->experiments.at[i]->span));
    for (int i = 0; i < module->tests.len; i++)
        save_text(&text, sources_text(repl->session->sources, item->arena, module->tests.at[i]->span));
    size_t n = text.len ? text.len - 1 : 0;
    if (!*path)
        repl_error(repl, ":save takes the name of a file");
    else if (!file_write(item->arena, path, text.at ? text.at : "", n, FILE_SYNC, &error))
        repl_error(repl, "%s", error);
    else
        repl_say(repl, "saved in %s\n", path);
    buf_free(&text);
    return command_close(repl, true);
}

static bool command_run(Repl *repl, const char *rest)
{
    LoadedModule *module = repl->prompt->module;
    Arena *scratch = arena_new();
    const char *name = trimmed(scratch, rest);
    bool found = false, ok = true;
    prompt_open(repl->prompt, "prompt", "", 0, false);
    for (int i = 0; i < module->experiments.len && ok; i++) {
        const Ast *experiment = module->experiments.at[i];
        if (*name && strcmp(name, experiment->experiment.name) != 0)
            continue;
        found = true;
        ok = experiment_run(repl->lab, module, experiment, NULL, NULL, 0);
    }
    if (!found && *name)
        repl_error(repl, "there is no experiment `%s`", name);
    else if (!found)
        repl_error(repl, "there is no experiment: :load a program that has one, or type one");
    arena_free(scratch);
    return command_close(repl, ok);
}

/* ---- settings ---- */

static bool set_number(Repl *repl, const char *name, const char *value, int least, int most, int *out)
{
    char *end;
    long n = strtol(value, &end, 10);
    if (*value && !*end && n >= least && n <= most) {
        *out = (int)n;
        return true;
    }
    repl_error(repl, "%s is a number from %d to %d", name, least, most);
    return false;
}

static bool set_word(Repl *repl, const char *name, const char *value, const char *const *words, int n, int *out)
{
    for (int i = 0; i < n; i++)
        if (strcmp(words[i], value) == 0) {
            *out = i;
            return true;
        }
    Buf text = {0};
    for (int i = 0; i < n; i++)
        buf_printf(&text, "%s%s", i ? i == n - 1 ? " or " : ", " : "", words[i]);
    repl_error(repl, "%s is %.*s", name, (int)text.len, text.at);
    buf_free(&text);
    return false;
}

static const char *const on_off[] = {"off", "on"}, *const precisions[] = {"f32", "f64"},
                         *const graphics[] = {"text", "sixel", "kitty"};

static void show_settings(Repl *repl)
{
    const ReplOptions *o = &repl->options;
    repl_say(repl, "color      %-8s colours in answers\n", on_off[o->color]);
    repl_say(repl, "graphics   %-8s how :plot draws: text, sixel or kitty\n", graphics[o->graphics]);
    repl_say(repl, "height     %-8d lines of the terminal\n", o->height);
    repl_say(repl, "precision  %-8s what f32 means\n", precisions[repl->session->precision == DT_F64]);
    repl_say(repl, "width      %-8d columns of the terminal\n", o->width);
}

const char *const repl_settings[] = {"color", "graphics", "height", "precision", "width", NULL};

static bool command_set(Repl *repl, const char *rest)
{
    ReplOptions *o = &repl->options;
    char name[32] = "", value[32] = "", more[2] = "";
    int n = 0, parts = sscanf(rest, " %31[a-z] %*[:=] %31s %1s", name, value, more);
    if (parts < 2)
        parts = sscanf(rest, " %31[a-z] %31s %1s", name, value, more);
    if (rest[strspn(rest, " \t\r\n")] == 0) {
        show_settings(repl);
    } else if (parts != 2) {
        repl_error(repl, ":set takes a name and a value: :set width 80; :set alone lists them");
    } else if (strcmp(name, "color") == 0) {
        if (set_word(repl, name, value, on_off, 2, &n))
            o->color = repl->lab->options.bold = n;
    } else if (strcmp(name, "graphics") == 0) {
        if (set_word(repl, name, value, graphics, 3, &n))
            o->graphics = (Graphics)n;
    } else if (strcmp(name, "precision") == 0) {
        if (set_word(repl, name, value, precisions, 2, &n))
            repl->session->precision = n ? DT_F64 : DT_F32;
    } else if (strcmp(name, "width") == 0) {
        if (set_number(repl, name, value, 20, 400, &n))
            repl_resize(repl, n, o->height);
    } else if (strcmp(name, "height") == 0) {
        if (set_number(repl, name, value, 10, 200, &n))
            repl_resize(repl, o->width, n);
    } else {
        repl_error(repl, "there is no setting `%s`: color, graphics, height, precision, width", name);
    }
    return !repl->failed;
}

/* ---- help ---- */

static bool command_explain(Repl *repl, const char *rest)
{
    char code[8] = "";
    DiagCode found;
    sscanf(rest, " %7s", code);
    for (char *at = code; *at; at++)
        *at = (char)toupper((unsigned char)*at);
    if (!*code || !diag_by_name(code, &found)) {
        if (*code)
            repl_error(repl, "no message has the code `%s`; a code is like E0401", code);
        else
            repl_error(repl, ":explain takes the code of a message, like E0401");
        return false;
    }
    repl_say(repl, "%s: %s\n\n%s\n", diag_name(found), diag_title(found), diag_explanation(found));
    return true;
}

static bool command_history(Repl *repl, const char *rest)
{
    Buf text = {0};
    (void)rest;
    if (repl->options.history)
        repl->options.history(repl->options.data, &text);
    repl_put(repl, &text);
    buf_free(&text);
    return true;
}

static bool command_help(Repl *repl, const char *rest)
{
    if (rest[strspn(rest, " \t\r\n")])
        return help_show(repl, rest);
    repl_say(repl, "An expression prints its value, which is then called ans; a definition replaces an earlier one.\n"
                   "?name tells what something is; ?E0401 explains a message.\n\n");
    for (const ReplCommand *c = repl_commands; c->name; c++) {
        char left[64];
        snprintf(left, sizeof left, ":%s %s", c->name, c->arguments);
        if (repl->options.width < 60)
            repl_say(repl, "%s\n    %s\n", left, c->help);
        else
            repl_say(repl, "%-28s %s\n", left, c->help);
    }
    return true;
}

static bool command_quit(Repl *repl, const char *rest)
{
    (void)repl;
    (void)rest;
    return true;
}

const ReplCommand repl_commands[] = {
    {"grad", "[--latex] CELL", "the derivatives of a cell as formulas", true, command_grad},
    {"plot", "F, over: A..B, to: FILE", "draws cells, functions, curves and columns of numbers", true, command_plot},
    {"type", "EXPRESSION", "what an expression is", true, command_type},
    {"params", "NET", "the parameters of a net", true, command_params},
    {"time", "EXPRESSION", "how long it takes, once", true, command_time},
    {"bench", "EXPRESSION", "how long it takes, many times", true, command_bench},
    {"ir", "[--training] NET", "the graph of a net, or of its gradient", true, command_ir},
    {"asm", "[--training] NET", "the machine code of a net", true, command_asm},
    {"c", "[--training] NET", "the C code of a net", true, command_c},
    {"run", "[EXPERIMENT]", "runs experiments that were typed or loaded", false, command_run},
    {"load", "FILE", "takes over the definitions of a program", false, command_load},
    {"reload", "", "reads the loaded files again", false, command_reload},
    {"save", "FILE", "writes the definitions in force as a program", false, command_save},
    {"explain", "CODE", "what the code of a message means", false, command_explain},
    {"set", "[NAME VALUE]", "settings of this prompt", false, command_set},
    {"history", "", "what was typed", false, command_history},
    {"help", "[NAME]", "this text, or what something is", false, command_help},
    {"quit", "", "leaves; so does Ctrl-D", false, command_quit},
    {0},
};

/* "help", "exit()": what people try at a prompt that is new to them. */
const char *command_word(const Repl *repl, const char *text)
{
    static const char *const words[][2] = {{"help", "help"}, {"quit", "quit"}, {"exit", "quit"}};
    size_t n = strspn(text, "abcdefghijklmnopqrstuvwxyz"), rest = n + (strncmp(text + n, "()", 2) == 0 ? 2 : 0);
    if (text[rest + strspn(text + rest, " \t\r\n")])
        return NULL;
    for (int i = 0; i < COUNT(words); i++) {
        bool is = strlen(words[i][0]) == n && strncmp(text, words[i][0], n) == 0;
        if (is && !prompt_has(repl->prompt->module->scope, intern_text(repl->session->names, words[i][0])))
            return words[i][1];
    }
    return NULL;
}

ReplStatus command_input(Repl *repl, const char *text, bool last)
{
    size_t n = 0;
    (void)last;
    while (isalpha((unsigned char)text[n]))
        n++;
    const ReplCommand *found = NULL;
    const char *near = NULL;
    int best = 3;
    Arena *scratch = arena_new();
    const char *name = arena_copy(scratch, text, n);
    for (const ReplCommand *c = repl_commands; c->name; c++) {
        bool begins = n && strncmp(name, c->name, n) == 0;
        int distance = begins ? 0 : text_distance(name, c->name, best);
        if (strcmp(name, c->name) == 0)
            found = c;
        else if (distance < best) {
            best = distance;
            near = c->name;
        }
    }
    if (strcmp(name, "q") == 0)
        found = &repl_commands[COUNT(repl_commands) - 2];
    ReplStatus status = REPL_FAILED;
    if (!found)
        repl_error(repl, "there is no command `:%s`%s%s%s", name, near ? "; did you mean `:" : "; :help lists them",
                   near ? near : "", near ? "`?" : "");
    else if (found->run == command_quit)
        status = REPL_QUIT;
    else
        status = found->run(repl, text + n) && !repl->failed ? REPL_DONE : REPL_FAILED;
    arena_free(scratch);
    return status;
}
