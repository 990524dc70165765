/* cli_dump.c -- nin dump: the stages from text to machine code; nin grad: derivatives as formulas.
 *
 * tokens, ast: the file's own.  graph: of a net in evaluation.  grad: of the sum of the squares of the net's output
 * with respect to its parameters, in training.  kernel, c, llvm, asm: of the one, or with --training of the other. */
#include <stdio.h>

#include "driver/cli.h"
#include "driver/inspect.h"
#include "support/file.h"

static void put_text(Buf *text)
{
    if (text->len)
        fwrite(text->at, 1, text->len, stdout);
    if (text->len && text->at[text->len - 1] != '\n')
        putchar('\n');
    buf_free(text);
}

static bool stage_find(const Cli *cli, DumpStage *out)
{
    for (int i = 0; cli->stage && i < STAGES; i++)
        if (strcmp(cli->stage, stage_names[i]) == 0) {
            *out = (DumpStage)i;
            return true;
        }
    const char *near = cli->stage ? cli_near(cli->stage, stage_names, STAGES) : NULL;
    if (!cli->stage)
        cli_error(cli, "say which stage: --stage tokens, ast, graph, grad, kernel, c, llvm or asm");
    else
        cli_error(cli, "there is no stage `%s`%s%s%s", cli->stage, near ? "; did you mean `" : "", near ? near : "",
                  near ? "`?" : "");
    return false;
}

/* ---- the text's own stages ---- */

static int dump_text(Cli *cli, DumpStage stage)
{
    char *bytes, *error;
    size_t length;
    Buf text = {0};
    cli_open(cli);
    if (!file_read(cli->arena, cli->arguments.at[0], 0, &bytes, &length, &error)) {
        cli_error(cli, "%s", error);
        return EXIT_MACHINE;
    }
    Session *s = cli->session;
    const Source *source = sources_add(s->sources, cli->arguments.at[0], bytes, length);
    ParseContext context = {s->arena, s->names, &s->diags, &s->next_id, false};
    if (stage == STAGE_TOKENS)
        tokens_dump(source, &context, &text);
    else
        ast_dump(parse_module(&context, source), &text);
    put_text(&text);
    return cli_status(cli, cli_show(cli, stderr));
}

/* ---- nets ---- */

static const Ast *first_net(const LoadedModule *module)
{
    const AstList *items = &module->module->items;
    for (int i = 0; i < items->len; i++)
        if (items->at[i]->kind == AST_DEF && items->at[i]->def.what == DEF_NET)
            return items->at[i];
    return NULL;
}

static bool net_value(Cli *cli, Eval *e, LoadedModule *module, Value *out)
{
    const Ast *first = cli->net ? NULL : first_net(module);
    const char *name = cli->net ? cli->net : first ? first->def.name : NULL;
    if (!name) {
        cli_error(cli, "%s defines no net: say which one with --net", cli->arguments.at[0]);
        return false;
    }
    if (!cli_evaluate(cli, e, module, "--net", name, out))
        return false;
    if (out->kind == V_CALLABLE && out->callable->what == DEF_NET)
        return true;
    cli_error(cli, "%s is no net", name);
    return false;
}

static bool dump_net(Cli *cli, DumpStage stage, Buf *text)
{
    LoadedModule *module = cli_load(cli, cli->arguments.at[0]);
    const char *error = NULL;
    Value net;
    Eval e;
    if (!module)
        return false;
    eval_init(&e, cli->session, cli->session->arena, &cli->session->diags, EVAL_RUN);
    if (!net_value(cli, &e, module, &net))
        return false;
    if (inspect_net(&e, &net, stage, cli->training, &cli->lab_options.code, text, &error))
        return true;
    if (error) {
        cli_error(cli, "%s", error);
        cli->machine = true;
    }
    return false;
}

int command_dump(Cli *cli)
{
    DumpStage stage;
    Buf text = {0};
    if (!stage_find(cli, &stage))
        return EXIT_USAGE;
    if (stage == STAGE_TOKENS || stage == STAGE_AST)
        return dump_text(cli, stage);
    bool ok = dump_net(cli, stage, &text);
    put_text(&text);
    if (cli->session)
        ok &= cli_show(cli, stderr);
    return cli_status(cli, ok);
}

/* ---- grad ---- */

static bool print_derivatives(Cli *cli, Eval *e, const Value *cell)
{
    CellGraph graph;
    Span span = cell->kind == V_CALLABLE ? cell->callable->def->ast->span : (Span){0};
    if (cell->kind != V_OBJECT && (cell->kind != V_CALLABLE || cell->callable->what != DEF_CELL)) {
        cli_error(cli, "%s is no cell: a cell maps numbers to one number", cli->cell);
        return false;
    }
    if (!cell_graph(e, cell, DT_F64, span, &graph))
        return false;
    if (cli->argument > graph.arity) {
        cli_error(cli, "%s has %d argument%s", cli->cell, graph.arity, graph.arity == 1 ? "" : "s");
        return false;
    }
    for (int k = 0; k < graph.arity; k++) {
        if (cli->argument && cli->argument != k + 1)
            continue;
        char *text = inspect_formula(e, &graph, k, cli->latex);
        if (!text)
            return false;
        if (graph.arity == 1 || cli->argument)
            printf("%s\n", text);
        else
            printf("d/d%s = %s\n", inspect_argument(cli->arena, &graph, k), text);
    }
    return true;
}

int command_grad(Cli *cli)
{
    Value cell;
    Eval e;
    if (!cli->cell) {
        const char *given = cli->arguments.len ? cli->arguments.at[0] : NULL;
        if (given && !strchr(given, '.') && !strchr(given, '/'))
            cli_error(cli, "say of which cell: nin grad --cell %s", given);
        else
            cli_error(cli, "say of which cell: --cell NAME");
        return EXIT_USAGE;
    }
    LoadedModule *module = cli_load(cli, cli->arguments.len ? cli->arguments.at[0] : NULL);
    bool ok = module;
    if (ok) {
        eval_init(&e, cli->session, cli->session->arena, &cli->session->diags, EVAL_RUN);
        ok = cli_evaluate(cli, &e, module, "--cell", cli->cell, &cell) && print_derivatives(cli, &e, &cell);
    }
    ok &= cli_show(cli, stderr);
    return cli_status(cli, ok);
}
