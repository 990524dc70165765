/* masked.c -- does a model hide its gradient from an attack?  E0706: what a protocol that claims the published set-up
 * is held to.
 *
 * Hidden: by a strategy that puts interpolation in a cell's place; by a cell that is flat or has no derivative by any
 * of its arguments; by a net whose outputs do not depend smoothly on its input at all.  What is computed from a
 * derivative that vanishes in numbers only is seen by the attack itself (R0713). */
#include "experiment/attacking.h"
#include "experiment/strategy.h"
#include "pass/pass.h"

enum { MAX_CELLS = 32 };

static bool masked(Eval *e, Span span, const char *hint, const char *format, const char *name) {
    Diag *diag = diag_add(e->diags, D_E0706, span, format, name);
    if (hint) diag_hint(diag, "%s", hint);
    return false;
}

static bool strategies_show(Eval *e, const NetInfo *info, Span span) {
    static const char hint[] = "replace(model, cells: exact), or a protocol of its own label";
    const Strategies *s = info_strategies(info);
    for (int i = 0; s && i < s->n; i++) switch (s->at[i].strategy->kind) {
        case STRATEGY_GRID:
            return masked(e, span, hint, "%s is on a grid, whose derivative has steps; attack the exact cell",
                          s->at[i].path);
        case STRATEGY_TABLE: return masked(e, span, hint, "%s is tabulated; attack the exact cell", s->at[i].path);
        case STRATEGY_FIT: break;
        }
    return true;
}

/* Has y a derivative by any of these? */
static bool moves(Graph *g, Val y, const Val *wrt, int n, Arena *arena) {
    Val *dx = arena_array(arena, Val, n + 1);
    Node node = *graph_node(g, y);
    if (node.dtype != DT_F32 && node.dtype != DT_F64) return false;
    if (node.shape.rank) y = graph_reduce(g, G_SUM, y, (1u << node.shape.rank) - 1);
    if (!pass_grad(g, y, 0, wrt, n, dx, NULL)) return false;
    for (int i = 0; i < n; i++)
        if (dx[i]) return true;
    return false;
}

static bool cells_move(Eval *e, const Trace *trace, Span span) {
    const char *paths[MAX_CELLS];
    Value cells[MAX_CELLS];
    int n = trace_cells(trace, paths, cells, MAX_CELLS);
    for (int i = 0; i < n; i++) {
        CellGraph cell;
        int mark = diags_mark(e->diags);
        if (!cell_graph(e, &cells[i], DT_F64, span, &cell)) {
            diags_discard(e->diags, mark);
            continue;
        }
        if (!moves(cell.trace->graph, cell.value, cell.args, cell.arity, e->arena))
            return masked(e, span, "a smooth cell, or a protocol of its own label",
                          "%s is a step: its derivative is 0 or nowhere, and the attack sees no way", paths[i]);
    }
    return true;
}

bool masked_check(Eval *e, const Model *model, Span span) {
    const NetInfo *info = model->info;
    if (!strategies_show(e, info, span)) return false;
    Eval sub = *e;
    Trace *trace = trace_new(&sub, info->precision, false);
    Value result;
    Val y;
    sub.trace = NULL;
    NodeType type = {info->input.dtype == DT_I32 ? DT_I32 : info->precision, info->input.shape, true};
    Val x = graph_input(trace->graph, IN_ROWS, 0, "x", type);
    if (!net_apply(&sub, trace, &info->net, x, span, &result)) return false;
    sub.trace = trace;
    if (!value_as_node(&sub, &result, span, &y)) return false;
    sub.trace = NULL;
    if (!cells_move(&sub, trace, span)) return false;
    return moves(trace->graph, y, &x, 1, e->arena) ||
           masked(e, span, NULL,
                  "the derivative of the model's %s by its input is 0 or nowhere: attacks by gradients see no way",
                  "output");
}
