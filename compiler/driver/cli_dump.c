/* cli_dump.c -- nin dump: the stages from text to machine code; nin grad: derivatives as formulas.
 *
 * tokens, ast: the file's own.  graph: of a net in evaluation.  grad: of the sum of the squares of the net's output
 * with respect to its parameters, in training.  kernel, c, llvm, asm: of the one, or with --training of the other. */
#include <stdio.h>

#include "driver/cli.h"
#include "kernel/lower.h"
#include "pass/pass.h"
#include "support/file.h"

typedef enum DumpStage { STAGE_TOKENS, STAGE_AST, STAGE_GRAPH, STAGE_GRAD, STAGE_KERNEL, STAGE_C, STAGE_LLVM, STAGE_ASM, STAGES } DumpStage;
static const char *const stage_names[STAGES] = {"tokens", "ast", "graph", "grad", "kernel", "c", "llvm", "asm"};

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
        cli_error(cli, "there is no stage `%s`%s%s%s", cli->stage, near ? "; did you mean `" : "", near ? near : "", near ? "`?" : "");
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

/* The sum of y * y over features and batch as series 0, and its gradient with respect to every parameter in the slot of
 * the parameter. */
static bool add_gradient(Cli *cli, Trace *trace, Val y)
{
    Graph *g = trace->graph;
    int n = 0;
    Val *wrt = arena_array(cli->arena, Val, trace->params.len + 1), *out = arena_array(cli->arena, Val, trace->params.len + 1);
    Val loss = graph_2(g, G_MUL, y, y);
    int rank = graph_node(g, loss)->shape.rank;
    if (rank)
        loss = graph_reduce(g, G_SUM, loss, (1u << rank) - 1);
    for (int i = 0; i < trace->params.len; i++)
        if (!trace->params.at[i].state)
            wrt[n++] = trace->params.at[i].node;
    if (!pass_grad(g, loss, 0, wrt, n, out, &cli->session->diags))
        return false;
    graph_output(g, OUT_SERIES, 0, "loss", graph_node(g, loss)->batched ? graph_reduce(g, G_BATCH_SUM, loss, 0) : loss);
    for (int i = 0, k = 0; i < trace->params.len; i++) {
        const ParamInfo *param = &trace->params.at[i];
        Val value = param->state ? param->next : out[k++];
        if (value)
            graph_output(g, OUT_BLOCK, i, param->path, value);
    }
    return true;
}

static BlockLayout layout_of(Cli *cli, const Trace *trace)
{
    BlockLayout layout;
    Slot *slots = arena_array(cli->arena, Slot, trace->params.len + 1);
    for (int i = 0; i < trace->params.len; i++) {
        const ParamInfo *param = &trace->params.at[i];
        slots[i] = (Slot){.path = param->path, .dtype = param->dtype, .shape = param->shape};
    }
    block_layout(slots, trace->params.len, &layout);
    return layout;
}

/* From the graph on: kernels, C, LLVM's text, machine code. */
static bool dump_code(Cli *cli, DumpStage stage, const Graph *graph, BlockLayout layout, Buf *text)
{
    CodeOptions *options = &cli->lab_options.code;
    Target target = {.vector_bytes = 4, .registers = 16};
    const char *error = NULL;
    if (stage != STAGE_C && !emit_target(options, &target, &error)) {
        cli_error(cli, "%s", error);
        cli->machine = true;
        return false;
    }
    Lowered *lowered = lower(cli->arena, graph, layout, 0, target);
    if (stage == STAGE_KERNEL)
        kernel_print(lowered->module, text);
    else if (stage == STAGE_C)
        emit_c(lowered->module, text);
    else if (!emit_llvm(cli->arena, lowered->module, options, stage == STAGE_ASM, text, &error)) {
        cli_error(cli, "%s", error);
        cli->machine = true;
        return false;
    }
    return true;
}

static bool dump_net(Cli *cli, DumpStage stage, Buf *text)
{
    LoadedModule *module = cli_load(cli, cli->arguments.at[0]);
    bool training = stage == STAGE_GRAD || cli->training;
    Value net, y;
    Eval e;
    if (!module)
        return false;
    eval_init(&e, cli->session, cli->session->arena, &cli->session->diags, EVAL_RUN);
    if (!net_value(cli, &e, module, &net))
        return false;
    Span span = net.callable->def->ast->span;
    Trace *trace = net_trace(&e, &net, cli->session->precision, training, NULL, 0, span, &y);
    if (!trace)
        return false;
    Val node;
    e.trace = trace;
    bool ok = value_as_node(&e, &y, span, &node);
    if (ok && training)
        ok = add_gradient(cli, trace, node);
    else if (ok)
        graph_output(trace->graph, OUT_ROWS, 0, "y", node);
    e.trace = NULL;
    if (!ok)
        return false;
    const Graph *graph = pass_simplify(cli->arena, graph_copy(cli->arena, trace->graph));
    if (stage == STAGE_GRAPH || stage == STAGE_GRAD) {
        graph_print(graph, text);
        return true;
    }
    return dump_code(cli, stage, graph, layout_of(cli, trace), text);
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

/* d value / d argument k, and its name; NULL after diagnostics. */
static char *derivative_text(Cli *cli, const CellGraph *cell, int k)
{
    Graph *g = cell->trace->graph;
    Val out;
    if (!pass_grad(g, cell->value, 0, &cell->args[k], 1, &out, &cli->session->diags))
        return NULL;
    return out ? pass_pretty(cli->arena, g, out, cli->latex) : "0";
}

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
        char *text = derivative_text(cli, &graph, k);
        if (!text)
            return false;
        const char *name = graph.trace->graph->inputs.at[k].name;
        if (graph.arity == 1 || cli->argument)
            printf("%s\n", text);
        else
            printf("d/d%s = %s\n", name ? name : arena_printf(cli->arena, "x%d", k + 1), text);
    }
    return true;
}

int command_grad(Cli *cli)
{
    Value cell;
    Eval e;
    if (!cli->cell) {
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
