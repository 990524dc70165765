/* cli_params.c -- nin params FILE: the parameters of the nets of a program, with the multiply-adds of one example that
 * use each of them and the memory that they take, and what a prediction and a training step need.
 *
 * Shown are the nets bound to names at the top of the file and those defined there that need no brackets; or --net.
 * Nothing is trained and no data is read: the program is looked at as `nin check` does. */
#include <stdio.h>

#include "driver/cli.h"
#include "driver/inspect.h"

static void show(Cli *cli, const Table *table)
{
    TableStyle style = {.width = cli->out_terminal ? cli->width : 0, .bold = cli->out_terminal && cli->color};
    Buf text = {0};
    if (cli->tsv)
        table_tsv(table, &text);
    else
        table_text(table, &style, &text);
    printf("%.*s%s", (int)text.len, text.at, cli->tsv ? "" : "\n");
    buf_free(&text);
}

/* False after diagnostics, if `must`; else nets whose input is open are passed over. */
static bool net_show(Cli *cli, LoadedModule *module, const char *name, bool must, int *shown)
{
    Eval e;
    Value net;
    Diags *diags = &cli->session->diags;
    int mark = diags_mark(diags);
    eval_init(&e, cli->session, cli->session->arena, diags, EVAL_CHECK);
    bool known = cli_evaluate(cli, &e, module, "--net", name, &net);
    if (known && (net.kind != V_CALLABLE || net.callable->what != DEF_NET)) {
        if (must)
            cli_error(cli, "%s is no net", name);
        return !must;
    }
    const char *whole = known ? value_shown(&e, &net) : name;
    const char *title = strcmp(whole, name) ? arena_printf(cli->arena, "%s = %s", name, whole) : name;
    StepCase step = {&cli->lab_options.code, cli->batch ? cli->batch : USUAL_BATCH, cli->lab_options.threads};
    const Table *table = known ? inspect_params(&e, &net, title, cli->precision, &step) : NULL;
    if (!table) {
        if (!must)
            diags_discard(diags, mark);
        return !must;
    }
    show(cli, table);
    (*shown)++;
    return true;
}

static bool ready(const Ast *def)
{
    for (int i = 0; i < def->def.settings_len; i++)
        if (!def->def.settings[i].initial)
            return false;
    return true;
}

int command_params(Cli *cli)
{
    LoadedModule *module = cli_load(cli, cli->arguments.at[0]);
    bool ok = module && !cli->session->diags.errors;
    int shown = 0;
    if (ok && cli->net)
        ok = net_show(cli, module, cli->net, true, &shown);
    for (int i = 0; ok && !cli->net && i < module->module->items.len; i++) {
        const Ast *item = module->module->items.at[i];
        if (item->kind == AST_DEF && item->def.what == DEF_NET && ready(item))
            net_show(cli, module, item->def.name, false, &shown);
        else if (item->kind == AST_BIND && item->bind.pattern->kind == AST_NAME)
            net_show(cli, module, item->bind.pattern->name, false, &shown);
    }
    if (!cli->session)
        return cli_status(cli, false);
    ok &= cli_show(cli, stderr);
    if (ok && !shown && !cli->net) {
        cli_error(cli, "%s has no net whose input is known; --net 'mlp[relu, 64]' names one", cli->arguments.at[0]);
        return EXIT_PROGRAM;
    }
    return cli_status(cli, ok);
}
