/* cli_params.c -- nin params FILE: the parameters of the nets of a program, with the multiply-adds of one example that use
 * each of them and the memory that they take.
 *
 * Shown are the nets bound to names at the top of the file and those defined there that need no brackets; or --net.
 * Nothing is trained and no data is read: the program is looked at as `nin check` does. */
#include <stdio.h>

#include "driver/cli.h"
#include "report/table.h"

typedef struct Count { int64_t *of_param, other; } Count;

/* The place in Trace.params that a value is a view of; -1: none.  shared: those of a MAP's shared operands. */
static int param_of(const Graph *g, Val v, const int *shared)
{
    const Node *node = graph_node(g, v);
    while (op_class((Op)node->op) == CLASS_VIEW || node->op == G_CAST) {
        v = graph_in(g, v, 0);
        node = graph_node(g, v);
    }
    if (node->op != G_INPUT)
        return -1;
    const GraphInput *in = &g->inputs.at[graph_attr(g, v)->index];
    return in->kind == IN_BLOCK ? in->index : in->kind == IN_SHARED && shared ? shared[in->index] : -1;
}

static void count_graph(Arena *arena, const Graph *g, int64_t times, const int *shared, Count *out)
{
    for (Val v = 1; v < (Val)g->node.len; v++) {
        const Node *node = graph_node(g, v);
        bool real = node->dtype == DT_F32 || node->dtype == DT_F64;
        if (node->op == G_MATMUL) {
            const Shape *w = &graph_node(g, graph_in(g, v, 0))->shape;
            int64_t n = times * shape_size(&node->shape) * (w->rank ? w->dim[w->rank - 1] : 1);
            int param = param_of(g, graph_in(g, v, 0), shared);
            *(param >= 0 ? &out->of_param[param] : &out->other) += n;
        } else if (node->op == G_CONV) {
            const Shape *w = &graph_node(g, graph_in(g, v, 0))->shape;
            int64_t n = times * shape_size(&node->shape) * (shape_size(w) / w->dim[0]);
            int param = param_of(g, graph_in(g, v, 0), shared);
            *(param >= 0 ? &out->of_param[param] : &out->other) += n;
        } else if (node->op == G_MAP && node->nin) {
            int mapped = graph_attr(g, v)->mapped, *inner = arena_array(arena, int, node->nin + 1);
            for (int k = mapped; k < node->nin; k++)
                inner[k - mapped] = param_of(g, graph_in(g, v, k), shared);
            count_graph(arena, graph_attr(g, v)->body, times * shape_size(&graph_node(g, graph_in(g, v, 0))->shape), inner, out);
        } else if (node->op == G_MUL && real) {
            out->other += times * shape_size(&node->shape);
        }
    }
}

/* ---- one net ---- */

static Datum shape_datum(Arena *arena, const Shape *shape)
{
    Buf text = {0};
    shape_print(shape, &text);
    return datum_text(buf_done(&text, arena));
}

static void show(Cli *cli, const char *title, const Trace *trace, const Graph *graph)
{
    enum { COLUMNS = 5 };
    static const char *const names[COLUMNS] = {"parameter", "shape", "numbers", "multiplies", "bytes"};
    int n = trace->params.len;
    Count count = {arena_array(cli->arena, int64_t, n + 1), 0};
    Datum *at = arena_array(cli->arena, Datum, COLUMNS * (n + 2));
    int64_t numbers = 0, in_cells = 0, bytes = 0, multiplies;
    memset(count.of_param, 0, sizeof *count.of_param * (size_t)(n + 1));
    count_graph(cli->arena, graph, 1, NULL, &count);
    multiplies = count.other;
    for (int i = 0; i < n; i++) {
        const ParamInfo *p = &trace->params.at[i];
        int64_t size = shape_size(&p->shape), room = size * (int64_t)dtype_size(p->dtype);
        const char *path = p->state ? arena_printf(cli->arena, "%s (state)", p->path) : p->path;
        Datum row[COLUMNS] = {datum_text(path), shape_datum(cli->arena, &p->shape), datum_int(size), datum_int(count.of_param[i]), datum_int(room)};
        memcpy(at + COLUMNS * i, row, sizeof row);
        numbers += p->state ? 0 : size;
        in_cells += p->cell && !p->state ? size : 0;
        bytes += room;
        multiplies += count.of_param[i];
    }
    const char *notes[] = {
        arena_printf(cli->arena, "%lld parameters, %lld of them in cells; %lld bytes; %lld multiplications for one example, %lld of them by no parameter",
                     (long long)numbers, (long long)in_cells, (long long)bytes, (long long)multiplies, (long long)count.other)};
    Table table = {.title = title, .keys = 1, .columns = COLUMNS, .rows = n, .name = names, .at = at, .notes = notes, .note_count = 1};
    TableStyle style = {.width = cli->out_terminal ? cli->width : 0, .bold = cli->out_terminal && cli->color};
    Buf text = {0};
    if (cli->tsv)
        table_tsv(&table, &text);
    else
        table_text(&table, &style, &text);
    printf("%.*s%s", (int)text.len, text.at, cli->tsv ? "" : "\n");
    buf_free(&text);
}

/* False after diagnostics, if `must`; else nets whose input is open are passed over. */
static bool net_show(Cli *cli, LoadedModule *module, const char *name, bool must, int *shown)
{
    Eval e;
    Value net, result;
    Val y;
    Diags *diags = &cli->session->diags;
    int mark = diags_mark(diags);
    eval_init(&e, cli->session, cli->session->arena, diags, EVAL_CHECK);
    bool known = cli_evaluate(cli, &e, module, "--net", name, &net);
    if (known && (net.kind != V_CALLABLE || net.callable->what != DEF_NET)) {
        if (must)
            cli_error(cli, "%s is no net", name);
        return !must;
    }
    Trace *trace = known ? net_trace(&e, &net, cli->precision, false, NULL, 0, (Span){0}, &result) : NULL;
    e.trace = trace;
    if (!trace || !value_as_node(&e, &result, (Span){0}, &y)) {
        if (!must)
            diags_discard(diags, mark);
        return !must;
    }
    graph_output(trace->graph, OUT_VALUE, 0, "y", y);
    const char *whole = value_shown(&e, &net);
    show(cli, strcmp(whole, name) ? arena_printf(cli->arena, "%s = %s", name, whole) : name, trace, graph_copy(cli->arena, trace->graph));
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
