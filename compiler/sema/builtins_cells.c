/* builtins_cells.c -- applying cells to groups of features, cell types and sections; checking and comparing them.
 *
 * apply(c, z): unit i takes features n(i-1)+1 .. ni of the first axis, at every place.  Of a list of cells each gives
 * the same number of units, in order. */
#include "sema/builtins.h"

#include "pass/pass.h"
#include "sema/objects.h"
#include "support/rng.h"

/* ---- arities ---- */

static int arity_of(Eval *e, const Value *cell)
{
    if (cell->kind == V_CALLABLE) return callable_arity(e, cell);
    if (cell->kind == V_OBJECT && cell->object->class->arity) return cell->object->class->arity(cell->object);
    return -1;
}

/* A cell as a list of one.  *per: features of one unit of each, together. */
static bool cells_of(Eval *e, const Value *act, Span span, ValueList *cells, int64_t *per)
{
    if (act->kind == V_LIST) {
        *cells = *act->list;
    } else {
        cells->at = arena_new_of(e->arena, Value);
        cells->at[0] = *act;
        cells->len = 1;
    }
    *per = 0;
    for (int i = 0; i < cells->len; i++) {
        int arity = arity_of(e, &cells->at[i]);
        if (arity < 1) {
            eval_diag(e, D_E0314, span, "%s is no cell", value_kind_name(&cells->at[i]));
            return false;
        }
        *per += arity;
    }
    if (!cells->len) eval_diag(e, D_E0314, span, "an empty list of cells");
    return cells->len > 0;
}

/* ---- apply ---- */

/* Features first + k, first + k + n, ...: argument k of every unit. */
static bool take_argument(Eval *e, const Value *z, Grid *grid, int64_t first, int64_t units, int n, int k, Value *out)
{
    if (grid) {
        int64_t stride[MAX_RANK], step = 1, inner;
        Shape shape = grid->shape;
        for (int i = shape.rank - 1; i >= 0; i--) {
            stride[i] = step;
            step *= shape.dim[i];
        }
        inner = stride[0];
        shape.dim[0] = units;
        stride[0] = inner * n;
        Grid part = grid_view(e, grid, shape, (first + k) * inner, stride);
        *out = grid_value(e, &part);
        return true;
    }
    Graph *g = e->trace->graph;
    Shape shape = graph_type(g, z->node).shape, split = { .rank = shape.rank + 1, .dim = { units, n } };
    int64_t starts[MAX_RANK] = { first };
    shape.dim[0] = units * n;
    Val x = graph_slice(g, z->node, starts, shape);
    for (int i = 1; i < shape.rank; i++) split.dim[i + 1] = shape.dim[i];
    x = graph_reshape(g, x, split);
    starts[0] = 0;
    starts[1] = k;
    split.dim[1] = 1;
    shape.dim[0] = units;
    *out = trace_value(graph_reshape(g, graph_slice(g, x, starts, split), shape));
    return true;
}

static bool apply_one(Eval *e, const Value *cell, const Value *z, Grid *grid, int64_t first, int64_t units, Span span,
                      Value *out)
{
    int n = arity_of(e, cell);
    Shape shape = grid ? grid->shape : graph_type(e->trace->graph, z->node).shape;
    Value *args = arena_array(e->arena, Value, n);
    if (n == 1 && units == shape.dim[0]) return eval_cell_on(e, cell, z, 1, span, out);
    if (!grid && n > 1 && shape.rank == MAX_RANK)
        return builtin_fail(e, out, D_E0414, span, "cells of several arguments apply to at most %d axes", MAX_RANK - 1);
    for (int k = 0; k < n; k++) {
        if (grid || n > 1) {
            take_argument(e, z, grid, first, units, n, k, &args[k]);
        } else {
            int64_t starts[MAX_RANK] = { first };
            shape.dim[0] = units;
            args[k] = trace_value(graph_slice(e->trace->graph, z->node, starts, shape));
        }
    }
    return eval_cell_on(e, cell, args, n, span, out);
}

bool builtin_apply(Eval *e, const BuiltinCall *call, Value *out)
{
    Value z = call->args[1];
    ValueList cells;
    int64_t per, first = 0;
    Grid grid;
    Val node;
    if (builtin_absorbs(call, out)) return out->kind != V_ERROR;
    if (!cells_of(e, &call->args[0], call->arg_spans[0], &cells, &per)) return eval_fail(out);
    bool traced = e->trace && value_has_node(&z);
    if (traced ? !value_as_node(e, &z, call->arg_spans[1], &node) : !grid_of(e, &z, call->arg_spans[1], &grid))
        return eval_fail(out);
    if (traced) z = trace_value(node);
    Shape shape = traced ? graph_type(e->trace->graph, node).shape : grid.shape;
    if (shape.rank < 1)
        return call_fail(e, call, out, D_E0407, "apply needs features along a first axis; this is one number");
    if (shape.dim[0] < 1 || shape.dim[0] % per) {
        Diag *diag = eval_diag(e, D_E0407, call->span, "%lld features do not form groups of %lld",
                               (long long)shape.dim[0], (long long)per);
        diag_hint(diag, "features(act, h) is the number of features that h units need");
        return eval_fail(out);
    }
    int64_t units = shape.dim[0] / per;
    Value *parts = arena_array(e->arena, Value, cells.len);
    for (int i = 0; i < cells.len; i++) {
        if (!apply_one(e, &cells.at[i], &z, traced ? NULL : &grid, first, units, call->span, &parts[i]))
            return eval_fail(out);
        first += units * arity_of(e, &cells.at[i]);
    }
    if (cells.len == 1) {
        *out = parts[0];
        return true;
    }
    Value joined[2] = { value_list(e->arena, parts, cells.len), value_int(1) };
    Span spans[2] = { call->span, call->span };
    BuiltinCall concat = { .args = joined, .args_len = 2, .span = call->span, .arg_spans = spans };
    return builtin_concat(e, &concat, out);
}

bool builtin_features(Eval *e, const BuiltinCall *call, Value *out)
{
    ValueList cells;
    int64_t per, units;
    if (builtin_absorbs(call, out)) return out->kind != V_ERROR;
    if (!cells_of(e, &call->args[0], call->arg_spans[0], &cells, &per)
        || !arg_int(e, call, 1, &units))
        return eval_fail(out);
    if (units < 1 || units % cells.len)
        return call_fail(e, call, out, D_E0407, "%lld units do not divide among %d cells", (long long)units, cells.len);
    *out = value_int(units / cells.len * per);
    return true;
}

/* ---- types ---- */

bool builtin_copies(Eval *e, const BuiltinCall *call, Value *out)
{
    int64_t k;
    const Value *cell = &call->args[0];
    if (builtin_absorbs(call, out)) return out->kind != V_ERROR;
    if (!arg_int(e, call, 1, &k)) return eval_fail(out);
    if (cell->kind != V_CALLABLE || cell->callable->what != DEF_CELL)
        return arg_fail(e, call, 0, out, D_E0314, "copies are made of a cell; this is %s", value_kind_name(cell));
    if (k < 1 || k > 10000) return arg_fail(e, call, 1, out, D_E0314, "%lld copies", (long long)k);
    Value *at = arena_array(e->arena, Value, k);
    for (int64_t i = 0; i < k; i++) {
        Callable *copy = arena_new_of(e->arena, Callable);
        *copy = *cell->callable;
        copy->copy = (int)i + 1;
        at[i] = (Value){ .kind = V_CALLABLE, .callable = copy };
    }
    *out = value_list(e->arena, at, (int)k);
    return true;
}

/* ---- section ---- */

typedef struct Section { Object object; Value cell; int argument, arity; double at; } Section;

static bool section_call(Eval *e, Object *self, const Value *args, int n, Span span, Value *out)
{
    const Section *s = (const void *)self;
    Value *all = arena_array(e->arena, Value, s->arity);
    if (n != s->arity - 1)
        return builtin_fail(e, out, D_E0309, span, "this section takes %d numbers, here are %d", s->arity - 1, n);
    for (int i = 0, k = 0; i < s->arity; i++) all[i] = i == s->argument ? value_real(s->at) : args[k++];
    return eval_cell_on(e, &s->cell, all, s->arity, span, out);
}

static void section_identity(const Object *self, Buf *out)
{
    const Section *s = (const void *)self;
    char at[32];
    text_of_f64(at, s->at);
    buf_text(out, "section(");
    value_identity(&s->cell, out);
    buf_printf(out, ", argument: %d, at: %s)", s->argument + 1, at);
}

static int section_arity(const Object *self)
{
    return ((const Section *)(const void *)self)->arity - 1;
}

static const char *const no_fields[] = { NULL };
static const ObjectClass section_class = {
    .name = "cell", .fields = no_fields, .call = section_call, .identity = section_identity, .trace = section_call,
    .arity = section_arity };

bool builtin_section(Eval *e, const BuiltinCall *call, Value *out)
{
    int64_t argument;
    double at;
    if (builtin_absorbs(call, out)) return out->kind != V_ERROR;
    if (!arg_int(e, call, 1, &argument)
        || !arg_real(e, call, 2, &at))
        return eval_fail(out);
    int arity = arity_of(e, &call->args[0]);
    if (arity < 2) return arg_fail(e, call, 0, out, D_E0314, "a section needs a cell of two arguments or more");
    if (argument < 1 || argument > arity)
        return arg_fail(e, call, 1, out, D_E0405, "argument %lld of %d", (long long)argument, arity);
    Section *section = arena_new_of(e->arena, Section);
    *section = (Section){ { &section_class }, call->args[0], (int)argument - 1, arity, at };
    *out = value_object(&section->object);
    return true;
}

/* ---- gradients against central differences ---- */

typedef struct Probe {
    Eval *e; CellGraph cell; int64_t rows; uint64_t seed; Span span;
    double **x, **result;                       /* columns; result[0]: the value,
        result[1 + k]: its derivative by argument k */
} Probe;

/* Random starting values, by path. */
static bool probe_draw(void *data, const ParamInfo *param, void *out)
{
    const Probe *p = data;
    const Distribution *d = value_distribution(&param->initial);
    int64_t n = shape_size(&param->shape);
    uint64_t key = rng_key(p->seed, "init", 0, param->path, 0);
    if (!d) return false;
    for (int64_t i = 0; i < n; i++) {
        double u = (double)rng_uniform(key, (uint32_t)i, 0, 0), z = (double)rng_normal(key, (uint32_t)i, 0, 0);
        double y = d->kind == DIST_UNIFORM ? d->a + (d->b - d->a) * u : d->kind == DIST_ORTHOGONAL ? d->a * z
            : d->a + d->b * z;
        if (param->dtype == DT_F32) ((float *)out)[i] = (float)y;
        else ((double *)out)[i] = y;
    }
    return true;
}

static bool probe_run(Probe *p, double **results)
{
    return trace_evaluate(p->e, p->cell.trace, (const void *const *)p->x, p->rows, probe_draw, p,
                          (void *const *)results, p->span);
}

static double **probe_columns(Probe *p, int n)
{
    double **columns = arena_array(p->e->arena, double *, n);
    for (int i = 0; i < n; i++) columns[i] = arena_array(p->e->arena, double, p->rows);
    return columns;
}

static bool probe_build(Probe *p)
{
    Graph *g = p->cell.trace->graph;
    int n = p->cell.arity;
    Val *derivative = arena_array(p->e->arena, Val, n);
    if (!pass_grad(g, p->cell.value, 0, p->cell.args, n, derivative, p->e->diags)) return false;
    graph_output(g, OUT_ROWS, 0, "value", p->cell.value);
    for (int k = 0; k < n; k++) {
        Val zero = graph_2(g, G_MUL, p->cell.args[k], graph_const(g, DT_F64, 0));
        graph_output(g, OUT_ROWS, k + 1, "derivative", derivative[k] ? derivative[k] : zero);
    }
    p->x = probe_columns(p, n);
    p->result = probe_columns(p, n + 1);
    uint64_t key = rng_key(p->seed, "points", 0, "", 0);
    for (int k = 0; k < n; k++)
        for (int64_t i = 0; i < p->rows; i++)
            p->x[k][i] = 6.0 * (double)rng_uniform(key, (uint32_t)k, (uint32_t)i, 0) - 3.0;
    return true;
}

static double size_of(double x)
{
    return x < 0 ? -x : x;
}

/* A kink within the step shows as one-sided differences that disagree; such points are passed over. */
static bool probe_agrees(Probe *p, double within, bool *agrees)
{
    const double h = 1e-5;
    int n = p->cell.arity;
    double **up = probe_columns(p, n + 1), **down = probe_columns(p, n + 1);
    *agrees = true;
    if (!probe_run(p, p->result)) return false;
    for (int k = 0; k < n; k++) {
        double *kept = p->x[k];
        for (int side = 0; side < 2; side++) {
            p->x[k] = arena_array(p->e->arena, double, p->rows);
            for (int64_t i = 0; i < p->rows; i++) p->x[k][i] = side ? kept[i] - h : kept[i] + h;
            if (!probe_run(p, side ? down : up)) return false;
        }
        p->x[k] = kept;
        for (int64_t i = 0; i < p->rows; i++) {
            double middle = p->result[0][i], exact = p->result[k + 1][i];
            double right = (up[0][i] - middle) / h, left = (middle - down[0][i]) / h, central =
                (up[0][i] - down[0][i]) / (2 * h);
            if (size_of(right - left) > 1e-2 * (1 + size_of(central))) continue;
            if (!(size_of(exact - central) <= within * (1 + size_of(central)))) *agrees = false;
        }
    }
    return true;
}

bool builtin_gradients_agree(Eval *e, const BuiltinCall *call, Value *out)
{
    int64_t points, seed;
    double within;
    bool agrees;
    if (builtin_absorbs(call, out)) return out->kind != V_ERROR;
    if (!arg_int(e, call, 1, &points) || !arg_int(e, call, 2, &seed)
        || !arg_real(e, call, 3, &within)) return eval_fail(out);
    const Value *f = &call->args[0];
    if (arity_of(e, f) < 1 || (f->kind == V_CALLABLE && f->callable->what != DEF_CELL))
        return arg_fail(e, call, 0, out, D_E0314, "gradients_agree looks at a cell; this is %s", value_kind_name(f));
    if (points < 1 || points > 1000000)
        return arg_fail(e, call, 1, out, D_E0314, "%lld points: from 1 to a million", (long long)points);
    Probe p = { .e = e, .rows = points, .seed = (uint64_t)seed, .span = call->span };
    if (!cell_graph(e, &call->args[0], DT_F64, call->span, &p.cell) || !probe_build(&p)
        || !probe_agrees(&p, within, &agrees))
        return eval_fail(out);
    *out = value_bool(agrees);
    return true;
}

/* ---- the largest difference on a grid ---- */

static bool box_of(Eval *e, const Value *over, Span span, ValueRange *box, int *n)
{
    ValueList ranges = { (Value *)(void *)over, 1 };
    if (over->kind == V_LIST) ranges = *over->list;
    *n = ranges.len;
    for (int i = 0; i < ranges.len; i++) {
        if (i >= MAX_RANK || ranges.at[i].kind != V_RANGE) {
            eval_diag(e, D_E0314, span, "over: is a list of ranges, one for each argument");
            return false;
        }
        box[i] = *ranges.at[i].range;
    }
    return true;
}

/* Argument k of all points of an even grid, the last argument fastest. */
static Value grid_column(Eval *e, const ValueRange *range, int64_t points, int64_t total, int64_t inner)
{
    Grid column = grid_new(e, &(Grid){ .tensor = true, .dtype = DT_F64, .size = sizeof(double) }, shape_of(1, total));
    for (int64_t i = 0; i < total; i++) {
        int64_t step = i / inner % points;
        double share = points == 1 ? 0 : (double)step / (double)(points - 1);
        ((double *)(void *)column.data)[i] = range->lo + (range->hi - range->lo) * share;
    }
    return grid_value(e, &column);
}

bool builtin_max_difference(Eval *e, const BuiltinCall *call, Value *out)
{
    ValueRange box[MAX_RANK];
    Value args[MAX_RANK], y[2];
    Grid grids[2];
    double *numbers[2], most = 0;
    int64_t points, total = 1, inner = 1;
    int n;
    bool whole;
    if (builtin_absorbs(call, out)) return out->kind != V_ERROR;
    if (!box_of(e, &call->args[2], call->arg_spans[2], box, &n) || !arg_int(e, call, 3, &points))
        return eval_fail(out);
    for (int i = 0; i < n && total <= 10000000; i++) total *= points;
    if (points < 1 || total > 10000000) return call_fail(e, call, out, D_E0414, "from 1 to 10 million points in all");
    for (int i = n - 1; i >= 0; i--, inner *= points) args[i] = grid_column(e, &box[i], points, total, inner);
    for (int i = 0; i < 2; i++) {
        if (!eval_call(e, &call->args[i], args, n, call->span, &y[i]) || !grid_of(e, &y[i], call->span, &grids[i]))
            return eval_fail(out);
        if (!grid_numbers(e, &grids[i], &numbers[i], &whole) || shape_size(&grids[i].shape) != total)
            return arg_fail(e, call, i, out, D_E0314, "this is no function of %d numbers to a number", n);
    }
    for (int64_t i = 0; i < total; i++) {
        double difference = size_of(numbers[0][i] - numbers[1][i]);
        if (difference > most || difference != difference) most = difference;
    }
    *out = value_real(most);
    return true;
}
