/* builtins_reduce.c -- sums, means and extremes over axes, in the graph or of known numbers.
 *
 * mean = SUM / n, one division; over the batch BATCH_SUM / (batch size * places).  var = mean of (x - mean)^2; sd = the
 * root of the sum of (x - mean)^2 over n - 1.  Known numbers are summed in f64 (lists) or in the tensor's precision, in
 * the order of the language: 16 partial sums, then the tree 8, 4, 2, 1. */
#include "sema/builtins.h"

typedef enum Reduction { RED_SUM, RED_PROD, RED_MEAN, RED_VAR, RED_SD, RED_MAX, RED_MIN } Reduction;

/* ---- in the graph ---- */

static Shape kept_shape(const Shape *shape, uint32_t mask)
{
    Shape kept = *shape;
    for (int i = 0; i < kept.rank; i++)
        if (mask >> i & 1) kept.dim[i] = 1;
    return kept;
}

/* How many elements one result is made of, as a node of the dtype. */
static Val reduced_count(Graph *g, const NodeType *type, Axes axes)
{
    int64_t n = 1;
    for (int i = 0; i < type->shape.rank; i++)
        if (axes.mask >> i & 1) n *= type->shape.dim[i];
    if (!axes.batch) return graph_const(g, type->dtype, (double)n);
    Val batch = graph_input(g, IN_BATCH, 0, "batch", (NodeType){ DT_I32, SHAPE0, false });
    return graph_cast(g, n == 1 ? batch : graph_2(g, G_MUL, batch, graph_int(g, n)), type->dtype);
}

static Val sum_node(Graph *g, Val x, Axes axes)
{
    return graph_reduce(g, axes.batch ? G_BATCH_SUM : G_SUM, x, axes.mask);
}

static Val deviations_squared(Graph *g, Val x, Axes axes)
{
    NodeType type = graph_type(g, x);
    Val mean = graph_2(g, G_DIV, sum_node(g, x, axes), reduced_count(g, &type, axes));
    mean = graph_broadcast(g, graph_reshape(g, mean, kept_shape(&type.shape, axes.mask)), type.shape);
    Val centred = graph_2(g, G_SUB, x, mean);
    return sum_node(g, graph_2(g, G_MUL, centred, centred), axes);
}

static Val reduce_node(Graph *g, Reduction what, Val x, Axes axes)
{
    NodeType type = graph_type(g, x);
    Val n = reduced_count(g, &type, axes), one = graph_const(g, type.dtype, 1);
    switch (what) {
    case RED_SUM: return sum_node(g, x, axes);
    case RED_PROD: return graph_reduce(g, G_PROD, x, axes.mask);
    case RED_MAX: return graph_reduce(g, G_MAXIMUM, x, axes.mask);
    case RED_MIN: return graph_reduce(g, G_MINIMUM, x, axes.mask);
    case RED_MEAN: return graph_2(g, G_DIV, sum_node(g, x, axes), n);
    case RED_VAR: return graph_2(g, G_DIV, deviations_squared(g, x, axes), n);
    case RED_SD:
        return graph_1(g, G_SQRT, graph_2(g, G_DIV, deviations_squared(g, x, axes), graph_2(g, G_SUB, n, one)));
    }
    return x;
}

static bool reduce_traced(Eval *e, Reduction what, const Value *value, const Value *over, bool keep,
                          const BuiltinCall *call, Value *out)
{
    Val x;
    Axes axes = { 0, false };
    Graph *g = e->trace->graph;
    if (!value_as_node(e, value, call->span, &x)) return eval_fail(out);
    NodeType type = graph_type(g, x);
    if (!value_axes(e, over, type.shape.rank, call->span, &axes)) return eval_fail(out);
    if (type.dtype == DT_BOOL || (type.dtype == DT_I32 && what != RED_MAX && what != RED_MIN)) {
        x = graph_cast(g, x, e->trace->precision);
        type = graph_type(g, x);
    }
    if (axes.batch && (what == RED_MAX || what == RED_MIN || what == RED_PROD))
        return call_fail(e, call, out, D_E0314, "only sum, mean, var and sd reach over the batch");
    if (axes.batch && !type.batched)
        return call_fail(e, call, out, D_E0314, "this value is the same for every example: it has no batch");
    Val y = reduce_node(g, what, x, axes);
    if (keep) {
        y = graph_reshape(g, y, kept_shape(&type.shape, axes.mask));
        trace_mark_stretch(e->trace, y);
    }
    *out = trace_value(y);
    return true;
}

/* ---- of known numbers ---- */

typedef struct Fold { double part[16]; bool single; } Fold;      /* single: every addition rounds to f32 */

static double fold_round(const Fold *fold, double x)
{
    return fold->single ? (double)(float)x : x;
}

static double fold_tree(Fold *fold)
{
    for (int width = 8; width; width /= 2)
        for (int i = 0; i < width; i++) fold->part[i] = fold_round(fold, fold->part[i] + fold->part[i + width]);
    return fold->part[0];
}

static double sum_of(const double *x, const int *part, int64_t n, bool single)
{
    Fold fold = { { 0 }, single };
    for (int64_t i = 0; i < n; i++) fold.part[part[i]] = fold_round(&fold, fold.part[part[i]] + x[i]);
    return fold_tree(&fold);
}

static double extreme_of(const double *x, int64_t n, bool largest)
{
    double best = x[0];
    for (int64_t i = 1; i < n; i++) {
        if (best != best) break;
        if (x[i] != x[i] || (largest ? best < x[i] : x[i] < best)) best = x[i];
    }
    return best;
}

static double reduce_numbers(Eval *e, Reduction what, double *x, const int *part, int64_t n, bool single)
{
    Fold fold = { { 0 }, single };
    double mean, product = 1;
    switch (what) {
    case RED_SUM: return sum_of(x, part, n, single);
    case RED_MEAN: return fold_round(&fold, sum_of(x, part, n, single) / (double)n);
    case RED_MAX: return extreme_of(x, n, true);
    case RED_MIN: return extreme_of(x, n, false);
    case RED_PROD:
        for (int64_t i = 0; i < n; i++) product = fold_round(&fold, product * x[i]);
        return product;
    case RED_VAR: case RED_SD:
        mean = fold_round(&fold, sum_of(x, part, n, single) / (double)n);
        for (int64_t i = 0; i < n; i++) {
            double d = fold_round(&fold, x[i] - mean);
            x[i] = fold_round(&fold, d * d);
        }
        mean = fold_round(&fold, sum_of(x, part, n, single) / (double)(what == RED_SD ? n - 1 : n));
        return what == RED_SD ? fold_round(&fold, real_op(e, G_SQRT, mean)) : mean;
    }
    return 0;
}

/* Ints stay ints where the result is one. */
static Value number_value(Reduction what, double y, bool whole)
{
    bool stays = whole && what != RED_MEAN && what != RED_VAR && what != RED_SD && y >= -9e15 && y <= 9e15;
    return stays ? value_int((int64_t)y) : value_real(y);
}

typedef struct Walk {
    Shape shape, outer, inner;                /* kept and reduced axes */
    int64_t outer_stride[MAX_RANK], inner_stride[MAX_RANK];
    int first;                                /* is the first axis reduced? */
} Walk;

static Walk walk_new(const Shape *shape, uint32_t mask)
{
    Walk walk = { .shape = *shape };
    int64_t stride[MAX_RANK], step = 1;
    for (int i = shape->rank - 1; i >= 0; i--) {
        stride[i] = step;
        step *= shape->dim[i];
    }
    for (int i = 0; i < shape->rank; i++) {
        if (mask >> i & 1) {
            walk.inner_stride[walk.inner.rank] = stride[i];
            walk.inner.dim[walk.inner.rank++] = shape->dim[i];
        } else {
            walk.outer_stride[walk.outer.rank] = stride[i];
            walk.outer.dim[walk.outer.rank++] = shape->dim[i];
        }
    }
    walk.first = mask & 1;
    return walk;
}

static int64_t walk_offset(const Shape *shape, const int64_t *stride, int64_t i)
{
    int64_t offset = 0;
    for (int axis = shape->rank - 1; axis >= 0; axis--) {
        offset += i % shape->dim[axis] * stride[axis];
        i /= shape->dim[axis];
    }
    return offset;
}

static void reduce_grid(Eval *e, Reduction what, const double *x, const Walk *walk, bool single, double *y)
{
    int64_t n = shape_size(&walk->inner), results = shape_size(&walk->outer);
    double *row = arena_array(e->arena, double, n + 1);
    int *part = arena_array(e->arena, int, n + 1);
    int64_t rest = walk->first ? n / (walk->inner.dim[0] ? walk->inner.dim[0] : 1) : 1;
    for (int64_t i = 0; i < n; i++) part[i] = (int)(walk->first ? i / rest % 16 : i % 16);
    for (int64_t k = 0; k < results; k++) {
        int64_t base = walk_offset(&walk->outer, walk->outer_stride, k);
        for (int64_t i = 0; i < n; i++) row[i] = x[base + walk_offset(&walk->inner, walk->inner_stride, i)];
        y[k] = reduce_numbers(e, what, row, part, n, single);
    }
}

static Value reduced_value(Eval *e, Reduction what, const Grid *grid, const double *y, Shape shape, bool whole)
{
    Grid result = grid_new(e, grid, shape);
    int64_t n = shape_size(&shape);
    if (grid->tensor && grid->dtype != DT_F32 && grid->dtype != DT_F64) {
        result = grid_new(e, &(Grid){ .size = sizeof(Value) }, shape);
        whole = whole && grid->dtype != DT_BOOL;
    }
    for (int64_t i = 0; i < n; i++) {
        if (!result.tensor) ((Value *)(void *)result.data)[i] = number_value(what, y[i], whole);
        else if (result.dtype == DT_F32) ((float *)(void *)result.data)[i] = (float)y[i];
        else ((double *)(void *)result.data)[i] = y[i];
    }
    return grid_value(e, &result);
}

/* With keep: true a tensor, of the working precision if the numbers came in lists. */
static bool kept_tensor(Eval *e, const Grid *grid, const double *y, Shape shape, Value *out)
{
    bool number = grid->tensor && (grid->dtype == DT_F32 || grid->dtype == DT_F64);
    DType dtype = number ? grid->dtype : trace_precision(e);
    Grid kept = grid_new(e, &(Grid){ .tensor = true, .dtype = dtype, .size = dtype_size(dtype) }, shape);
    for (int64_t i = 0, n = shape_size(&shape); i < n; i++) {
        if (dtype == DT_F32) ((float *)(void *)kept.data)[i] = (float)y[i];
        else ((double *)(void *)kept.data)[i] = y[i];
    }
    Tensor *tensor = arena_new_of(e->arena, Tensor);
    *tensor = (Tensor){ dtype, shape, kept.data, true };
    *out = (Value){ .kind = V_TENSOR, .tensor = tensor };
    return true;
}

static bool reduce_known(Eval *e, Reduction what, const Value *value, const Value *over, bool keep,
                         const BuiltinCall *call, Value *out)
{
    Grid grid;
    Axes axes = { 0, false };
    double *x;
    bool whole;
    if (!grid_of(e, value, call->span, &grid) || !value_axes(e, over, grid.shape.rank, call->span, &axes))
        return eval_fail(out);
    if (axes.batch) return call_fail(e, call, out, D_E0314, "there is no batch here");
    if (!grid_numbers(e, &grid, &x, &whole))
        return call_fail(e, call, out, D_E0314, "%s needs numbers",
                         call->callable ? call->callable->def->name : "this");
    Walk walk = walk_new(&grid.shape, axes.mask);
    if (!shape_size(&walk.inner) && what != RED_SUM && what != RED_PROD)
        return call_fail(e, call, out, D_E0314, "there are no numbers to reduce");
    double *y = arena_array(e->arena, double, shape_size(&walk.outer) + 1);
    reduce_grid(e, what, x, &walk, grid.tensor && grid.dtype == DT_F32, y);
    if (!keep) {
        *out = reduced_value(e, what, &grid, y, walk.outer, whole);
        return true;
    }
    return kept_tensor(e, &grid, y, kept_shape(&grid.shape, axes.mask), out);
}

/* ---- the mean of functions ---- */

typedef struct MeanOf { Object object; const ValueList *of; } MeanOf;

static bool mean_call(Eval *e, Object *self, const Value *args, int n, Span span, Value *out)
{
    const ValueList *of = ((const MeanOf *)(const void *)self)->of;
    Value total, one;
    for (int i = 0; i < of->len; i++) {
        if (!eval_call(e, &of->at[i], args, n, span, &one)) return eval_fail(out);
        if (i == 0) {
            total = one;
            continue;
        }
        Value pair[2] = { total, one };
        if (!eval_op(e, G_ADD, pair, 2, span, &total)) return eval_fail(out);
    }
    Value pair[2] = { total, value_real(of->len) };
    return eval_op(e, G_DIV, pair, 2, span, out);
}

static void mean_identity(const Object *self, Buf *out)
{
    const ValueList *of = ((const MeanOf *)(const void *)self)->of;
    buf_text(out, "mean([");
    for (int i = 0; i < of->len; i++) {
        if (i) buf_text(out, ", ");
        value_identity(&of->at[i], out);
    }
    buf_text(out, "])");
}

static const char *const no_fields[] = { NULL };
static const ObjectClass mean_class = {
    .name = "function", .fields = no_fields, .call = mean_call, .identity = mean_identity };

static bool is_function(const Value *value)
{
    return value->kind == V_CALLABLE || (value->kind == V_OBJECT && value->object->class->call);
}

static bool mean_of_functions(Eval *e, const Value *value, Value *out)
{
    if (value->kind != V_LIST || !value->list->len) return false;
    for (int i = 0; i < value->list->len; i++)
        if (!is_function(&value->list->at[i])) return false;
    MeanOf *mean = arena_new_of(e->arena, MeanOf);
    *mean = (MeanOf){ { &mean_class }, value->list };
    *out = value_object(&mean->object);
    return true;
}

/* ---- entries ---- */

static bool reduce(Eval *e, Reduction what, const Value *value, const BuiltinCall *call, Value *out)
{
    bool keep = call->args[2].kind == V_BOOL && call->args[2].boolean;
    if (builtin_absorbs(call, out)) return out->kind != V_ERROR;
    if (what == RED_MEAN && mean_of_functions(e, value, out)) return true;
    if (e->trace && value_has_node(value)) return reduce_traced(e, what, value, &call->args[1], keep, call, out);
    return reduce_known(e, what, value, &call->args[1], keep, call, out);
}

bool builtin_sum(Eval *e, const BuiltinCall *call, Value *out) { return reduce(e, RED_SUM, &call->args[0], call, out); }
bool builtin_prod(Eval *e, const BuiltinCall *call, Value *out)
{
    return reduce(e, RED_PROD, &call->args[0], call, out);
}
bool builtin_mean(Eval *e, const BuiltinCall *call, Value *out)
{
    return reduce(e, RED_MEAN, &call->args[0], call, out);
}
bool builtin_var(Eval *e, const BuiltinCall *call, Value *out) { return reduce(e, RED_VAR, &call->args[0], call, out); }
bool builtin_sd(Eval *e, const BuiltinCall *call, Value *out) { return reduce(e, RED_SD, &call->args[0], call, out); }

/* Of several: element by element, from left to right.  Of one: over its axes. */
static bool extreme(Eval *e, Op op, Reduction what, const BuiltinCall *call, Value *out)
{
    const ValueList *xs = call->args[0].list;
    if (xs->len == 0) return call_fail(e, call, out, D_E0309, "of how many numbers? Here are none");
    if (xs->len == 1) return reduce(e, what, &xs->at[0], call, out);
    *out = xs->at[0];
    for (int i = 1; i < xs->len; i++) {
        Value pair[2] = { *out, xs->at[i] };
        if (!eval_op(e, op, pair, 2, call->span, out)) return eval_fail(out);
    }
    return true;
}

bool builtin_max(Eval *e, const BuiltinCall *call, Value *out) { return extreme(e, G_MAX, RED_MAX, call, out); }
bool builtin_min(Eval *e, const BuiltinCall *call, Value *out) { return extreme(e, G_MIN, RED_MIN, call, out); }
