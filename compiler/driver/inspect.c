/* inspect.c -- looking at nets and cells: inspect.h. */
#include "driver/inspect.h"

#include "kernel/memory.h"
#include "pass/pass.h"

const char *const stage_names[STAGES] = {"tokens", "ast", "graph", "grad", "kernel", "c", "llvm", "asm"};

/* The net applied to nodes of its declared input; its result in *y. */
static Trace *net_traced(Eval *e, const Value *net, DType precision, bool training, Val *y)
{
    Value result;
    Span span = net->callable->def->ast->span;
    Trace *trace = net_trace(e, net, precision, training, NULL, 0, span, &result);
    if (!trace)
        return NULL;
    e->trace = trace;
    bool ok = value_as_node(e, &result, span, y);
    e->trace = NULL;
    return ok ? trace : NULL;
}

/* ---- stages ---- */

/* The sum of y * y over features and batch as series 0, and its gradient with respect to every parameter in the slot of
 * the parameter. */
static bool add_gradient(Eval *e, Trace *trace, Val y)
{
    Graph *g = trace->graph;
    int n = 0;
    Val *wrt = arena_array(e->arena, Val, trace->params.len + 1),
        *out = arena_array(e->arena, Val, trace->params.len + 1);
    Val loss = graph_2(g, G_MUL, y, y);
    int rank = graph_node(g, loss)->shape.rank;
    if (rank)
        loss = graph_reduce(g, G_SUM, loss, (1u << rank) - 1);
    for (int i = 0; i < trace->params.len; i++)
        if (!trace->params.at[i].state)
            wrt[n++] = trace->params.at[i].node;
    if (!pass_grad(g, loss, 0, wrt, n, out, e->diags))
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

static BlockLayout layout_of(Arena *arena, const Trace *trace)
{
    BlockLayout layout;
    Slot *slots = arena_array(arena, Slot, trace->params.len + 1);
    for (int i = 0; i < trace->params.len; i++) {
        const ParamInfo *param = &trace->params.at[i];
        slots[i] = (Slot){.path = param->path, .dtype = param->dtype, .shape = param->shape};
    }
    block_layout(slots, trace->params.len, &layout);
    return layout;
}

/* From the graph on: kernels, C, LLVM's text, machine code. */
static bool put_code(Arena *arena, DumpStage stage, const Graph *graph, BlockLayout layout, const CodeOptions *options,
                     Buf *text, const char **error)
{
    Target target = {.vector_bytes = 4, .registers = 16};
    if (stage != STAGE_C && !emit_target(options, &target, error))
        return false;
    Lowered *lowered = lower(arena, pass_needed(arena, graph), layout, 0, target);
    if (stage == STAGE_KERNEL)
        kernel_print(lowered->module, text);
    else if (stage == STAGE_C)
        emit_c(lowered->module, text);
    else
        return emit_llvm(arena, lowered->module, options, stage == STAGE_ASM, text, error);
    return true;
}

bool inspect_net(Eval *e, const Value *net, DumpStage stage, bool training, const CodeOptions *options, Buf *text,
                 const char **error)
{
    Val y;
    training |= stage == STAGE_GRAD;
    Trace *trace = net_traced(e, net, e->session->precision, training, &y);
    if (!trace || (training && !add_gradient(e, trace, y)))
        return false;
    if (!training)
        graph_output(trace->graph, OUT_ROWS, 0, "y", y);
    const Graph *graph = pass_simplify(e->arena, graph_copy(e->arena, trace->graph));
    if (stage == STAGE_GRAPH || stage == STAGE_GRAD) {
        graph_print(graph, text);
        return true;
    }
    return put_code(e->arena, stage, graph, layout_of(e->arena, trace), options, text, error);
}

/* ---- parameters ---- */

typedef struct Count { int64_t *of_param, other; } Count;

/* The place in Trace.params that a value is a view of; -1: none.  shared: those of a MAP's shared operands, or a SCAN's
 * whole ones. */
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
    return in->kind == IN_BLOCK                                        ? in->index
           : (in->kind == IN_SHARED || in->kind == IN_WHOLE) && shared ? shared[in->index]
                                                                       : -1;
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
            count_graph(arena, graph_attr(g, v)->body, times * shape_size(&graph_node(g, graph_in(g, v, 0))->shape),
                        inner, out);
        } else if (node->op == G_SCAN) {
            const Attr *attr = graph_attr(g, v);
            int whole = attr->mapped + attr->index, *inner = arena_array(arena, int, node->nin + 1);
            for (int k = whole; k < node->nin; k++)
                inner[k - whole] = param_of(g, graph_in(g, v, k), shared);
            count_graph(arena, attr->body, times * attr->i64, inner, out);
        } else if (node->op == G_MUL && real) {
            out->other += times * shape_size(&node->shape);
        }
    }
}

static Datum shape_datum(Arena *arena, const Shape *shape)
{
    Buf text = {0};
    shape_print(shape, &text);
    buf_put(&text, "", 1);
    return datum_text(buf_done(&text, arena));
}

enum { PARAM_COLUMNS = 5 };
static const char *const param_columns[PARAM_COLUMNS] = {"parameter", "shape", "numbers", "multiplies", "bytes"};

static const Table *params_table(Arena *arena, const char *title, const Trace *trace, const Graph *graph,
                                 const char *memory)
{
    int n = trace->params.len;
    Count count = {arena_array(arena, int64_t, n + 1), 0};
    Datum *at = arena_array(arena, Datum, PARAM_COLUMNS * (n + 2));
    int64_t numbers = 0, in_cells = 0, bytes = 0, multiplies;
    count_graph(arena, graph, 1, NULL, &count);
    multiplies = count.other;
    for (int i = 0; i < n; i++) {
        const ParamInfo *p = &trace->params.at[i];
        int64_t size = shape_size(&p->shape), room = size * (int64_t)dtype_size(p->dtype);
        const char *path = p->state ? arena_printf(arena, "%s (state)", p->path) : p->path;
        Datum row[PARAM_COLUMNS] = {datum_text(path), shape_datum(arena, &p->shape), datum_int(size),
                                    datum_int(count.of_param[i]), datum_int(room)};
        memcpy(at + PARAM_COLUMNS * i, row, sizeof row);
        numbers += p->state ? 0 : size;
        in_cells += p->cell && !p->state ? size : 0;
        bytes += room;
        multiplies += count.of_param[i];
    }
    const char **notes = arena_array(arena, const char *, 2);
    notes[0] = arena_printf(arena, "%lld parameters, %lld of them in cells; %lld bytes; "
                                   "%lld multiplications for one example, %lld of them by no parameter",
                            (long long)numbers, (long long)in_cells, (long long)bytes, (long long)multiplies,
                            (long long)count.other);
    notes[1] = memory;
    Table *table = arena_new_of(arena, Table);
    *table = (Table){.title = title, .keys = 1, .columns = PARAM_COLUMNS, .rows = n, .name = param_columns, .at = at,
                     .notes = notes, .note_count = memory ? 2 : 1};
    return table;
}

/* In bytes; negative if it cannot be had. */
static double step_memory(Eval *e, const Value *net, DType precision, const StepCase *step, bool training)
{
    Val y;
    Target target;
    const char *error = NULL;
    int mark = diags_mark(e->diags);
    Trace *trace = net_traced(e, net, precision, training, &y);
    if (!trace || (training && !add_gradient(e, trace, y)) || !emit_target(step->options, &target, &error)) {
        diags_discard(e->diags, mark);
        return -1;
    }
    if (!training)
        graph_output(trace->graph, OUT_ROWS, 0, "y", y);
    const Graph *graph = pass_simplify(e->arena, graph_copy(e->arena, trace->graph));
    const Lowered *lowered = lower(e->arena, pass_needed(e->arena, graph), layout_of(e->arena, trace), 0, target);
    return (double)memory_bytes(lowered, step->batch, lowered->neuron ? 1 : step->threads);
}

static void put_bytes(Buf *out, double bytes)
{
    if (bytes < 1e5)
        buf_printf(out, "%.1f kB", bytes / 1e3);
    else
        buf_printf(out, "%.1f MB", bytes / 1e6);
}

static const char *memory_note(Eval *e, const Value *net, DType precision, const StepCase *step)
{
    double predicts = step_memory(e, net, precision, step, false), trains = step_memory(e, net, precision, step, true);
    if (predicts < 0)
        return NULL;
    Buf text = {0};
    put_bytes(&text, predicts);
    buf_text(&text, " for a prediction");
    if (trains >= 0) {
        buf_text(&text, ", ");
        put_bytes(&text, trains);
        buf_text(&text, " for the gradient of a training step");
    }
    buf_printf(&text,
               ", in batches of %lld on %d thread%s, beside the parameters, their optimizer's state and the data",
               (long long)step->batch, step->threads, step->threads == 1 ? "" : "s");
    buf_put(&text, "", 1);
    return buf_done(&text, e->arena);
}

const Table *inspect_params(Eval *e, const Value *net, const char *title, DType precision, const StepCase *step)
{
    Val y;
    Value result;
    Trace *trace = net_trace(e, net, precision, false, NULL, 0, (Span){0}, &result);
    e->trace = trace;
    bool ok = trace && value_as_node(e, &result, (Span){0}, &y);
    e->trace = NULL;
    if (!ok)
        return NULL;
    graph_output(trace->graph, OUT_VALUE, 0, "y", y);
    const char *memory = step ? memory_note(e, net, precision, step) : NULL;
    return params_table(e->arena, title, trace, graph_copy(e->arena, trace->graph), memory);
}

/* ---- formulas ---- */

char *inspect_formula(Eval *e, const CellGraph *cell, int k, bool latex)
{
    Graph *g = cell->trace->graph;
    Val out = cell->value;
    if (k >= 0 && !pass_grad(g, cell->value, 0, &cell->args[k], 1, &out, e->diags))
        return NULL;
    return out ? pass_pretty(e->arena, g, out, latex) : arena_copy(e->arena, "0", 1);
}

const char *inspect_argument(Arena *arena, const CellGraph *cell, int k)
{
    const char *name = cell->trace->graph->inputs.at[k].name;
    return name ? name : arena_printf(arena, "x%d", k + 1);
}
