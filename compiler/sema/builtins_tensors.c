/* builtins_tensors.c -- making and moving tensors.
 *
 * Each function has two ways: views in the graph where an operand is a node, strided copies of a grid where all are
 * known. */
#include "sema/builtins.h"
#include "sema/internal.h"

static bool wants_graph(const Eval *e, const BuiltinCall *call)
{
    for (int i = 0; i < call->args_len; i++)
        if (e->trace && value_has_node(&call->args[i])) return true;
    return false;
}

static void strides_of(const Shape *shape, int64_t *stride)
{
    int64_t step = 1;
    for (int i = shape->rank - 1; i >= 0; i--) {
        stride[i] = step;
        step *= shape->dim[i];
    }
}

static bool size_fits(Eval *e, const Shape *shape, Span span, Value *out)
{
    if (shape_size(shape) <= (int64_t)1 << 31) return true;
    return builtin_fail(e, out, D_E0414, span, "%lld elements: the limit is 2^31", (long long)shape_size(shape));
}

/* ---- filled ---- */

static bool filled(Eval *e, const BuiltinCall *call, double x, Value *out)
{
    Shape shape;
    if (builtin_absorbs(call, out)) return out->kind != V_ERROR;
    if (!arg_shape(e, call, 0, &shape) || !size_fits(e, &shape, call->span, out)) return eval_fail(out);
    DType dtype = trace_precision(e);
    Grid grid = grid_new(e, &(Grid){ .tensor = true, .dtype = dtype, .size = dtype_size(dtype) }, shape);
    for (int64_t i = 0, n = shape_size(&shape); i < n; i++) {
        if (grid.dtype == DT_F32) ((float *)(void *)grid.data)[i] = (float)x;
        else ((double *)(void *)grid.data)[i] = x;
    }
    *out = grid_value(e, &grid);
    return true;
}

bool builtin_zeros(Eval *e, const BuiltinCall *call, Value *out) { return filled(e, call, 0, out); }
bool builtin_ones(Eval *e, const BuiltinCall *call, Value *out) { return filled(e, call, 1, out); }

/* ---- a new axis ---- */

static Shape with_axis(const Shape *shape, int axis, int64_t n)
{
    Shape wider = { .rank = shape->rank + 1 };
    for (int i = 0, k = 0; i < wider.rank; i++) wider.dim[i] = i == axis ? n : shape->dim[k++];
    return wider;
}

static bool room_for_axis(Eval *e, const Shape *shape, Span span, Value *out)
{
    return shape->rank < MAX_RANK || builtin_fail(e, out, D_E0414, span, "a tensor has at most %d axes", MAX_RANK);
}

bool builtin_repeat(Eval *e, const BuiltinCall *call, Value *out)
{
    int64_t n;
    int axis;
    Grid grid;
    if (builtin_absorbs(call, out)) return out->kind != V_ERROR;
    if (!arg_int(e, call, 1, &n)) return eval_fail(out);
    if (n < 1) return arg_fail(e, call, 1, out, D_E0404, "%lld copies", (long long)n);
    if (wants_graph(e, call)) {
        Val x;
        Graph *g = e->trace->graph;
        if (!arg_node(e, call, 0, &x)) return eval_fail(out);
        Shape shape = graph_type(g, x).shape;
        if (!room_for_axis(e, &shape, call->span, out)
            || !value_axis(e, &call->args[2], shape.rank + 1, call->arg_spans[2], &axis))
            return eval_fail(out);
        x = graph_reshape(g, x, with_axis(&shape, axis, 1));
        *out = trace_value(graph_broadcast(g, x, with_axis(&shape, axis, n)));
        return true;
    }
    if (!arg_grid(e, call, 0, &grid) || !room_for_axis(e, &grid.shape, call->span, out)
        || !value_axis(e, &call->args[2], grid.shape.rank + 1, call->arg_spans[2], &axis)) return eval_fail(out);
    int64_t stride[MAX_RANK], wider[MAX_RANK];
    strides_of(&grid.shape, stride);
    for (int i = 0, k = 0; i <= grid.shape.rank; i++) wider[i] = i == axis ? 0 : stride[k++];
    Shape shape = with_axis(&grid.shape, axis, n);
    if (!size_fits(e, &shape, call->span, out)) return false;
    Grid result = grid_view(e, &grid, shape, 0, wider);
    *out = grid_value(e, &result);
    return true;
}

/* ---- joining ---- */

static bool shapes_join(Eval *e, const Shape *a, const Shape *b, int axis, Span span)
{
    bool fits = a->rank == b->rank;
    for (int i = 0; fits && i < a->rank; i++) fits = i == axis || a->dim[i] == b->dim[i];
    if (fits) return true;
    Buf text = { 0 };
    shape_print(a, &text);
    buf_text(&text, " and ");
    shape_print(b, &text);
    eval_diag(e, D_E0401, span, "%s cannot be joined along axis %d", buf_done(&text, e->arena), axis + 1);
    return false;
}

/* The first axis moved to where the new one is. */
static Val stack_along(Graph *g, Val stack, int axis)
{
    int order[MAX_RANK], rank = graph_node(g, stack)->shape.rank;
    for (int i = 0; i < rank; i++) order[i] = i < axis ? i + 1 : i == axis ? 0 : i;
    return graph_transpose(g, stack, order);
}

static bool join_nodes(Eval *e, const ValueList *list, const Value *axis_value, bool new_axis, const BuiltinCall *call,
                       Value *out)
{
    Graph *g = e->trace->graph;
    ValueList short_list = { arena_array(e->arena, Value, list->len), 0 }, *xs = &short_list;
    Val *in = arena_array(e->arena, Val, list->len), *whole = arena_array(e->arena, Val, list->len);
    int axis = 0;
    for (int i = 0; i < list->len; i++) {
        int rows = new_axis ? scan_rows(g, list, i, &whole[xs->len]) : 0;
        if (!rows) whole[xs->len] = 0;
        xs->at[xs->len++] = list->at[i];
        if (rows) i += rows - 1;
    }
    if (xs->len > 255) return call_fail(e, call, out, D_E0414, "at most 255 tensors can be joined at once");
    for (int i = 0; i < xs->len; i++) {
        if (!value_as_node(e, &xs->at[i], call->span, &in[i])) return eval_fail(out);
        Shape shape = graph_type(g, in[i]).shape;
        if (!new_axis && shape.rank == 0) in[i] = graph_reshape(g, in[i], shape = shape_of(1, (int64_t)1));
        if (i == 0 && !value_axis(e, axis_value, shape.rank + new_axis, call->span, &axis)) return eval_fail(out);
        if (new_axis && !room_for_axis(e, &shape, call->span, out)) return false;
        if (new_axis) in[i] = whole[i] ? stack_along(g, graph_cast(g, whole[i], graph_type(g, in[i]).dtype), axis)
                                     : graph_reshape(g, in[i], with_axis(&shape, axis, 1));
        Shape first = graph_type(g, in[0]).shape, here = graph_type(g, in[i]).shape;
        if (!shapes_join(e, &first, &here, axis, call->span)) return eval_fail(out);
        if (graph_type(g, in[i]).dtype != graph_type(g, in[0]).dtype)
            in[i] = graph_cast(g, in[i], graph_type(g, in[0]).dtype);
    }
    Attr attr = { .axis = axis };
    *out = trace_value(xs->len == 1 ? in[0] : graph_add(g, G_CONCAT, in, xs->len, &attr, NULL, call->span));
    return true;
}

/* One kind of element for all: tensors of one dtype stay tensors, anything else becomes Values. */
static bool common_grids(Eval *e, const ValueList *xs, Span span, Grid *grids)
{
    bool tensors = true;
    for (int i = 0; i < xs->len; i++)
        tensors = tensors && xs->at[i].kind == V_TENSOR && xs->at[i].tensor->dtype == xs->at[0].tensor->dtype;
    for (int i = 0; i < xs->len; i++) {
        Value wrapped = tensors ? xs->at[i] : value_list(e->arena, &xs->at[i], 1);
        if (!grid_of(e, &wrapped, span, &grids[i])) return false;
        if (tensors) continue;
        memmove(grids[i].shape.dim, grids[i].shape.dim + 1, sizeof(int64_t) * (MAX_RANK - 1));
        grids[i].shape.rank--;
    }
    return true;
}

static bool join_grids(Eval *e, const ValueList *xs, const Value *axis_value, bool new_axis, const BuiltinCall *call,
                       Value *out)
{
    Grid *grids = arena_array(e->arena, Grid, xs->len);
    int axis = 0;
    if (!common_grids(e, xs, call->span, grids)) return eval_fail(out);
    for (int i = 0; i < xs->len; i++) {
        if (!new_axis && grids[i].shape.rank == 0) grids[i].shape = shape_of(1, (int64_t)1);
        if (i == 0 && !value_axis(e, axis_value, grids[i].shape.rank + new_axis, call->span, &axis))
            return eval_fail(out);
        if (new_axis && !room_for_axis(e, &grids[i].shape, call->span, out)) return false;
        if (new_axis) grids[i].shape = with_axis(&grids[i].shape, axis, 1);
        if (!shapes_join(e, &grids[0].shape, &grids[i].shape, axis, call->span)) return eval_fail(out);
    }
    Shape shape = grids[0].shape;
    int64_t inner = 1, outer = 1, total = 0;
    for (int i = 0; i < axis; i++) outer *= shape.dim[i];
    for (int i = axis + 1; i < shape.rank; i++) inner *= shape.dim[i];
    for (int i = 0; i < xs->len; i++) total += grids[i].shape.dim[axis];
    shape.dim[axis] = total;
    if (!size_fits(e, &shape, call->span, out)) return false;
    Grid result = grid_new(e, &grids[0], shape);
    char *to = result.data;
    for (int64_t k = 0; k < outer; k++)
        for (int i = 0; i < xs->len; i++) {
            size_t bytes = (size_t)(grids[i].shape.dim[axis] * inner) * result.size;
            memcpy(to, grids[i].data + (size_t)k * bytes, bytes);
            to += bytes;
        }
    *out = grid_value(e, &result);
    return true;
}

static bool join(Eval *e, const BuiltinCall *call, bool new_axis, Value *out)
{
    ValueList xs;
    if (builtin_absorbs(call, out)) return out->kind != V_ERROR;
    if (!eval_elements(e, &call->args[0], call->arg_spans[0], &xs)) return eval_fail(out);
    if (!xs.len) return call_fail(e, call, out, D_E0309, "nothing to join");
    return wants_graph(e, call) ? join_nodes(e, &xs, &call->args[1], new_axis, call, out)
                                : join_grids(e, &xs, &call->args[1], new_axis, call, out);
}

bool builtin_concat(Eval *e, const BuiltinCall *call, Value *out) { return join(e, call, false, out); }
bool builtin_stack(Eval *e, const BuiltinCall *call, Value *out) { return join(e, call, true, out); }

/* ---- taking apart ---- */

bool builtin_split(Eval *e, const BuiltinCall *call, Value *out)
{
    int64_t k, stride[MAX_RANK], starts[MAX_RANK] = { 0 };
    int axis;
    Grid grid = { 0 };
    Val x = 0;
    if (builtin_absorbs(call, out)) return out->kind != V_ERROR;
    bool traced = wants_graph(e, call);
    if (!arg_int(e, call, 1, &k)
        || (traced ? !arg_node(e, call, 0, &x)
                   : !arg_grid(e, call, 0, &grid))) return eval_fail(out);
    Shape shape = traced ? graph_type(e->trace->graph, x).shape : grid.shape;
    if (!value_axis(e, &call->args[2], shape.rank, call->arg_spans[2], &axis)) return eval_fail(out);
    if (k < 1 || shape.dim[axis] % k)
        return call_fail(e, call, out, D_E0407, "%lld features do not split into %lld equal parts",
                            (long long)shape.dim[axis], (long long)k);
    strides_of(&shape, stride);
    shape.dim[axis] /= k;
    Value *at = arena_array(e->arena, Value, k);
    for (int64_t i = 0; i < k; i++) {
        starts[axis] = i * shape.dim[axis];
        if (traced) {
            at[i] = trace_value(graph_slice(e->trace->graph, x, starts, shape));
        } else {
            Grid part = grid_view(e, &grid, shape, starts[axis] * stride[axis], stride);
            at[i] = grid_value(e, &part);
        }
    }
    *out = value_list(e->arena, at, (int)k);
    return true;
}

/* ---- another shape ---- */

static bool reshaped(Eval *e, const BuiltinCall *call, const Shape *wanted, Value *out)
{
    bool traced = wants_graph(e, call);
    Val x = 0;
    Grid grid = { 0 };
    if (traced ? !arg_node(e, call, 0, &x) : !arg_grid(e, call, 0, &grid))
        return eval_fail(out);
    Shape from = traced ? graph_type(e->trace->graph, x).shape : grid.shape;
    Shape to = wanted ? *wanted : shape_of(1, shape_size(&from));
    if (shape_size(&from) != shape_size(&to)) {
        Buf text = { 0 };
        shape_print(&to, &text);
        return call_fail(e, call, out, D_E0403, "%lld elements do not fit the shape %s", (long long)shape_size(&from),
                            buf_done(&text, e->arena));
    }
    if (traced) {
        *out = trace_value(graph_reshape(e->trace->graph, x, to));
    } else {
        grid.shape = to;
        *out = grid_value(e, &grid);
    }
    return true;
}

bool builtin_flatten(Eval *e, const BuiltinCall *call, Value *out)
{
    if (builtin_absorbs(call, out)) return out->kind != V_ERROR;
    return reshaped(e, call, NULL, out);
}

bool builtin_reshape(Eval *e, const BuiltinCall *call, Value *out)
{
    Shape shape;
    if (builtin_absorbs(call, out)) return out->kind != V_ERROR;
    if (!arg_shape(e, call, 1, &shape)) return eval_fail(out);
    return reshaped(e, call, &shape, out);
}

bool builtin_transpose(Eval *e, const BuiltinCall *call, Value *out)
{
    Grid grid = { 0 };
    Val x = 0;
    if (builtin_absorbs(call, out)) return out->kind != V_ERROR;
    bool traced = wants_graph(e, call);
    if (traced ? !arg_node(e, call, 0, &x) : !arg_grid(e, call, 0, &grid))
        return eval_fail(out);
    Shape shape = traced ? graph_type(e->trace->graph, x).shape : grid.shape;
    int last = shape.rank - 1;
    if (last < 1) return call_fail(e, call, out, D_E0403, "transpose needs two axes at least");
    if (traced) {
        int axes[MAX_RANK];
        for (int i = 0; i <= last; i++) axes[i] = i == last ? last - 1 : i == last - 1 ? last : i;
        *out = trace_value(graph_transpose(e->trace->graph, x, axes));
        return true;
    }
    int64_t stride[MAX_RANK], step;
    strides_of(&shape, stride);
    step = stride[last]; stride[last] = stride[last - 1]; stride[last - 1] = step;
    step = shape.dim[last]; shape.dim[last] = shape.dim[last - 1]; shape.dim[last - 1] = step;
    Grid result = grid_view(e, &grid, shape, 0, stride);
    *out = grid_value(e, &result);
    return true;
}

/* ---- types and sizes ---- */

static bool cast_number(Value *x, TypeKind to)
{
    double real = x->kind == V_INT ? (double)x->integer : x->kind == V_BOOL ? x->boolean : x->real;
    if (x->kind != V_INT && x->kind != V_BOOL && x->kind != V_REAL) return false;
    if (to == TYPE_INT && !(real >= -9e15 && real <= 9e15)) return false;
    *x = to == TYPE_INT ? value_int((int64_t)real) : to == TYPE_BOOL ? value_bool(real != 0)
       : to == TYPE_F32 ? value_real((double)(float)real) : value_real(real);
    return true;
}

/* int: towards zero. */
bool builtin_cast(Eval *e, const BuiltinCall *call, Value *out)
{
    Grid grid;
    Val x;
    if (builtin_absorbs(call, out)) return out->kind != V_ERROR;
    if (call->args[1].kind != V_TYPE) return arg_fail(e, call, 1, out, D_E0314, "cast to which type?");
    TypeKind to = call->args[1].type->kind;
    if (to != TYPE_F32 && to != TYPE_F64 && to != TYPE_INT && to != TYPE_BOOL && to != TYPE_REAL)
        return arg_fail(e, call, 1, out, D_E0314, "a tensor can be f32, f64, int or bool");
    if (wants_graph(e, call)) {
        if (!arg_node(e, call, 0, &x)) return eval_fail(out);
        DType dtype = to == TYPE_INT ? DT_I32 : to == TYPE_BOOL ? DT_BOOL
                    : to == TYPE_F32 ? e->trace->precision : DT_F64;
        Graph *g = e->trace->graph;
        DType from = graph_type(g, x).dtype;
        bool compare = dtype == DT_BOOL && from != DT_BOOL;
        *out = trace_value(compare ? graph_2(g, G_NE, x, from == DT_I32 ? graph_int(g, 0) : graph_const(g, from, 0))
                                   : graph_cast(g, x, dtype));
        return true;
    }
    if (!arg_grid(e, call, 0, &grid)) return eval_fail(out);
    Grid result = grid;
    if (grid.tensor) {
        Value lists = grid_value(e, &grid);
        Grid values = grid_new(e, &(Grid){ .size = sizeof(Value) }, grid.shape);
        Value wrapped = value_list(e->arena, &lists, 1);
        if (!grid_of(e, &wrapped, call->span, &values)) return eval_fail(out);
        memmove(values.shape.dim, values.shape.dim + 1, sizeof(int64_t) * (MAX_RANK - 1));
        values.shape.rank--;
        result = values;
    } else {
        result = grid_new(e, &grid, grid.shape);
        memcpy(result.data, grid.data, grid.size * (size_t)shape_size(&grid.shape));
    }
    for (int64_t i = 0, n = shape_size(&result.shape); i < n; i++)
        if (!cast_number(&((Value *)(void *)result.data)[i], to))
            return call_fail(e, call, out, D_E0412, "this number cannot be cast");
    *out = grid_value(e, &result);
    return true;
}

bool builtin_sizes(Eval *e, const BuiltinCall *call, Value *out)
{
    Grid grid;
    Axes axes = { 0, false };
    Shape shape;
    if (builtin_absorbs(call, out)) return out->kind != V_ERROR;
    if (call->args[0].kind == V_NODE) {
        shape = graph_type(e->trace->graph, call->args[0].node).shape;
    } else {
        if (!arg_grid(e, call, 0, &grid)) return eval_fail(out);
        shape = grid.shape;
    }
    if (!value_axes(e, &call->args[1], shape.rank, call->arg_spans[1], &axes)) return eval_fail(out);
    Value at[MAX_RANK];
    int n = 0;
    for (int i = 0; i < shape.rank; i++)
        if (axes.mask >> i & 1) at[n++] = value_int(shape.dim[i]);
    *out = value_list(e->arena, at, n);
    return true;
}

bool builtin_spread_over(Eval *e, const BuiltinCall *call, Value *out)
{
    Val in[2];
    Axes axes = { 0, false };
    if (builtin_absorbs(call, out)) return out->kind != V_ERROR;
    if (!e->trace) return call_fail(e, call, out, D_E0411, "spread_over belongs in a net");
    if (!arg_node(e, call, 0, &in[0]) || !arg_node(e, call, 1, &in[1])) return eval_fail(out);
    Graph *g = e->trace->graph;
    Shape shape = graph_type(g, in[1]).shape, from = graph_type(g, in[0]).shape, beside = { 0 };
    if (!value_axes(e, &call->args[2], shape.rank, call->arg_spans[2], &axes)) return eval_fail(out);
    for (int i = 0, n = 0; i < shape.rank; i++) {
        bool given = axes.mask >> i & 1;
        if (given && (n >= from.rank || from.dim[n++] != shape.dim[i]))
            return arg_fail(e, call, 0, out, D_E0403, "spread_over needs the sizes of these axes");
        beside.dim[i] = given ? shape.dim[i] : 1;
        if (given) beside.rank = i + 1;
    }
    if (shape_size(&beside) != shape_size(&from))
        return arg_fail(e, call, 0, out, D_E0403, "spread_over needs the sizes of these axes");
    *out = trace_value(graph_broadcast(g, graph_reshape(g, in[0], beside), shape));
    return true;
}
