/* builtins.c -- the table of builtins, and the grids and axes they share (builtins.h). */
#include "sema/builtins.h"

#include "sema/session.h"

const BuiltinRow builtins_core[] = {
#define BUILTIN(name) { #name, builtin_##name },
#include "sema/builtins.def"
#undef BUILTIN
    { NULL, NULL }
};

/* ---- looking into values ---- */

static bool value_holds(const Value *value, bool (*test)(const Value *))
{
    if (test(value)) return true;
    if (value->kind == V_LIST) {
        for (int i = 0; i < value->list->len; i++)
            if (value_holds(&value->list->at[i], test)) return true;
    }
    return false;
}

static bool is_node(const Value *value) { return value->kind == V_NODE || value->node; }
static bool is_abstract(const Value *value) { return value->kind == V_ABSTRACT; }
static bool is_poison(const Value *value) { return value->kind == V_ERROR; }

bool value_has_node(const Value *value)
{
    return value_holds(value, is_node);
}

bool value_has_abstract(const Value *value)
{
    return value_holds(value, is_abstract);
}

bool builtin_absorbs(const BuiltinCall *call, Value *out)
{
    bool abstract = false;
    for (int i = 0; i < call->args_len; i++) {
        if (value_holds(&call->args[i], is_poison)) {
            *out = value_error();
            return true;
        }
        abstract = abstract || value_has_abstract(&call->args[i]);
    }
    if (abstract) *out = value_abstract(NULL);
    return abstract;
}

bool builtin_fail(Eval *e, Value *out, DiagCode code, Span span, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    char *text = arena_vprintf(e->arena, format, args);
    va_end(args);
    eval_diag(e, code, span, "%s", text);
    return eval_fail(out);
}

DType trace_precision(const Eval *e)
{
    return e->trace ? e->trace->precision : e->session->precision == DT_F64 ? DT_F64 : DT_F32;
}

double real_op(Eval *e, Op op, double x)
{
    Value in = value_real(x), out;
    if (!eval_op(e, op, &in, 1, (Span){ 0, 0 }, &out)) return 0;
    return out.kind == V_INT ? (double)out.integer : out.real;
}

/* ---- axes ---- */

static const char *word_of(const Value *value)
{
    if (value->kind == V_CHOICE) return value->choice;
    if (value->kind == V_CALLABLE && value->callable->def) return value->callable->def->name;
    return "";
}

bool value_axis(Eval *e, const Value *value, int rank, Span span, int *out)
{
    int64_t axis;
    if (!value_as_int(e, value, span, &axis)) return false;
    if (axis < -rank || axis == 0 || axis > rank) {
        Diag *diag = eval_diag(e, D_E0405, span, "axis %lld of a tensor with %d %s", (long long)axis, rank,
                               rank == 1 ? "axis" : "axes");
        if (axis == 0) diag_hint(diag, "the first axis is 1");
        return false;
    }
    *out = (int)(axis < 0 ? rank + axis : axis - 1);
    return true;
}

bool value_axes(Eval *e, const Value *over, int rank, Span span, Axes *out)
{
    const char *word = word_of(over);
    uint32_t every = (1u << rank) - 1;
    if (!strcmp(word, "all")) {
        out->mask |= every;
    } else if (!strcmp(word, "places")) {
        out->mask |= every & ~1u;
    } else if (!strcmp(word, "batch")) {
        out->batch = true;
    } else if (over->kind == V_LIST) {
        for (int i = 0; i < over->list->len; i++)
            if (!value_axes(e, &over->list->at[i], rank, span, out)) return false;
    } else if (over->kind == V_INT) {
        int axis;
        if (!value_axis(e, over, rank, span, &axis)) return false;
        out->mask |= 1u << axis;
    } else {
        eval_diag(e, D_E0314, span, "%s is no axis: a number from 1, `all`, `places`, `batch`, or a list of them",
                  value_kind_name(over));
        return false;
    }
    return true;
}

/* ---- grids ---- */

static bool leaf(const Value *value)
{
    return value->kind != V_LIST && value->kind != V_TENSOR && value->kind != V_RANGE;
}

static Value number_at(const Tensor *t, int64_t i)
{
    switch (t->dtype) {
    case DT_BOOL: return value_bool(((const uint8_t *)t->data)[i]);
    case DT_I32: return value_int(((const int32_t *)t->data)[i]);
    case DT_F32: return value_real((double)((const float *)t->data)[i]);
    case DT_F64: return value_real(((const double *)t->data)[i]);
    }
    return value_none();
}

/* The shape of nested lists along their first elements. */
static bool nested_shape(Eval *e, const Value *value, Shape *shape)
{
    while (!leaf(value)) {
        ValueList elements;
        if (value->kind == V_TENSOR) {
            const Shape *inner = &value->tensor->shape;
            for (int i = 0; i < inner->rank && shape->rank < MAX_RANK; i++) shape->dim[shape->rank++] = inner->dim[i];
            return true;
        }
        if (shape->rank == MAX_RANK || !eval_elements(e, value, (Span){ 0, 0 }, &elements)) return false;
        shape->dim[shape->rank++] = elements.len;
        if (!elements.len) return true;
        value = &elements.at[0];
    }
    return true;
}

static bool flatten_into(Eval *e, const Value *value, const Shape *shape, int axis, Value *at, int64_t *n)
{
    if (leaf(value)) {
        if (axis != shape->rank) return false;
        at[(*n)++] = *value;
        return true;
    }
    if (value->kind == V_TENSOR) {
        const Tensor *t = value->tensor;
        if (t->shape.rank != shape->rank - axis) return false;
        if (memcmp(t->shape.dim, shape->dim + axis, sizeof(int64_t) * (size_t)t->shape.rank)) return false;
        for (int64_t i = 0, size = shape_size(&t->shape); i < size; i++) at[(*n)++] = number_at(t, i);
        return true;
    }
    ValueList elements;
    if (!eval_elements(e, value, (Span){ 0, 0 }, &elements)) return false;
    if (axis >= shape->rank || elements.len != shape->dim[axis]) return false;
    for (int i = 0; i < elements.len; i++)
        if (!flatten_into(e, &elements.at[i], shape, axis + 1, at, n)) return false;
    return true;
}

bool grid_of(Eval *e, const Value *value, Span span, Grid *out)
{
    *out = (Grid){ .size = sizeof(Value) };
    if (value->kind == V_TENSOR) {
        const Tensor *t = value->tensor;
        *out = (Grid){ t->shape, true, t->dtype, dtype_size(t->dtype), t->data };
        return true;
    }
    int64_t n = 0;
    bool fits = nested_shape(e, value, &out->shape);
    if (fits) {
        out->data = arena_alloc(e->arena, sizeof(Value) * (size_t)(shape_size(&out->shape) + 1));
        fits = flatten_into(e, value, &out->shape, 0, (Value *)(void *)out->data, &n);
    }
    if (!fits) eval_diag(e, D_E0401, span, "the rows of this list have different lengths");
    return fits;
}

Grid grid_new(Eval *e, const Grid *like, Shape shape)
{
    Grid grid = *like;
    grid.shape = shape;
    grid.data = arena_alloc(e->arena, grid.size * (size_t)(shape_size(&shape) + 1));
    return grid;
}

static Value nested_lists(Eval *e, const Grid *grid, int axis, int64_t offset)
{
    if (axis == grid->shape.rank) return ((const Value *)(const void *)grid->data)[offset];
    int64_t inner = 1, len = grid->shape.dim[axis];
    for (int i = axis + 1; i < grid->shape.rank; i++) inner *= grid->shape.dim[i];
    ValueList *list = arena_new_of(e->arena, ValueList);
    list->at = arena_array(e->arena, Value, len + 1);
    list->len = (int)len;
    for (int64_t i = 0; i < len; i++) list->at[i] = nested_lists(e, grid, axis + 1, offset + i * inner);
    return (Value){ .kind = V_LIST, .list = list };
}

Value grid_value(Eval *e, const Grid *grid)
{
    if (!grid->tensor) return nested_lists(e, grid, 0, 0);
    Tensor *t = arena_new_of(e->arena, Tensor);
    *t = (Tensor){ grid->dtype, grid->shape, grid->data };
    return (Value){ .kind = V_TENSOR, .tensor = t };
}

static void copy_view(const Grid *to, char *dst, const Grid *from, const char *src, const int64_t *stride, int axis)
{
    if (axis == to->shape.rank) {
        memcpy(dst, src, to->size);
        return;
    }
    int64_t inner = 1;
    for (int i = axis + 1; i < to->shape.rank; i++) inner *= to->shape.dim[i];
    for (int64_t i = 0; i < to->shape.dim[axis]; i++)
        copy_view(to, dst + (size_t)(i * inner) * to->size, from, src + i * stride[axis] * (int64_t)to->size, stride,
                  axis + 1);
}

Grid grid_view(Eval *e, const Grid *from, Shape shape, int64_t offset, const int64_t *stride)
{
    Grid to = grid_new(e, from, shape);
    copy_view(&to, to.data, from, from->data + offset * (int64_t)from->size, stride, 0);
    return to;
}

static bool number_of(const Value *value, double *x, bool *whole)
{
    switch ((int)value->kind) {
    case V_INT: *x = (double)value->integer; return true;
    case V_BOOL: *x = value->boolean; return true;
    case V_REAL: *x = value->real; *whole = false; return true;
    default: return false;
    }
}

bool grid_numbers(Eval *e, const Grid *grid, double **out, bool *whole)
{
    int64_t n = shape_size(&grid->shape);
    *out = arena_array(e->arena, double, n + 1);
    *whole = true;
    const Tensor tensor = { grid->dtype, grid->shape, grid->data };
    for (int64_t i = 0; i < n; i++) {
        Value element = grid->tensor ? number_at(&tensor, i) : ((const Value *)(const void *)grid->data)[i];
        if (!number_of(&element, &(*out)[i], whole)) return false;
    }
    return true;
}
