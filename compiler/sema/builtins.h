/* builtins.h -- what the C side of the library shares.
 *
 * A builtin sees its arguments as values.  Where one holds a node of the trace, the work is done in the graph; where
 * all are known, on a Grid: a dense array whose elements are either raw numbers (of a tensor) or Values (of nested
 * lists), so that moving elements is one function for both.  An argument that is V_ABSTRACT makes the result so. */
#ifndef NIN_BUILTINS_H
#define NIN_BUILTINS_H

#include "sema/eval.h"

#define BUILTIN(name) bool builtin_##name(Eval *e, const BuiltinCall *call, Value *out);
#include "sema/builtins.def"
#undef BUILTIN

/* Deep: is there a node (or a real with a twin), something abstract, a poison in the value? */
bool value_has_node(const Value *value);
bool value_has_abstract(const Value *value);
/* True if an argument is poison or abstract: *out is then the result, and `return out->kind != V_ERROR` is right. */
bool builtin_absorbs(const BuiltinCall *call, Value *out);

/* Axes to reduce over: bit i = axis i; batch: the examples as well.  E0314, E0405. */
typedef struct Axes { uint32_t mask; bool batch; } Axes;
bool value_axes(Eval *e, const Value *over, int rank, Span span, Axes *out);
/* One axis, counted from 1, -1 the last; *out from 0.  rank: number of axes it may name.  E0405. */
bool value_axis(Eval *e, const Value *value, int rank, Span span, int *out);

typedef struct Grid {
    Shape shape;
    bool tensor; DType dtype;                 /* raw numbers of a dtype; else elements are Values */
    size_t size;                              /* of an element */
    char *data;                               /* row-major */
} Grid;
bool grid_of(Eval *e, const Value *value, Span span, Grid *out);          /* E0401 for ragged lists */
Grid grid_new(Eval *e, const Grid *like, Shape shape);
Value grid_value(Eval *e, const Grid *grid);                              /* a tensor, nested lists, or one element */
/* out[i...] = from[offset + i . stride], strides in elements. */
Grid grid_view(Eval *e, const Grid *from, Shape shape, int64_t offset, const int64_t *stride);
/* The elements as numbers; bools are 0 and 1.  false: one is no number (no diagnostic). */
bool grid_numbers(Eval *e, const Grid *grid, double **out, bool *whole);
DType trace_precision(const Eval *e);                                     /* working precision here */

/* A function of one known number through the graph's own definition: eval_op on a V_REAL. */
double real_op(Eval *e, Op op, double x);
/* Diagnostics: *out = V_ERROR, false.  At a span, at the call, at argument i. */
bool builtin_fail(Eval *e, Value *out, DiagCode code, Span span, const char *format, ...) NIN_PRINTF(5, 6);
#define call_fail(e, call, out, code, ...) builtin_fail(e, out, code, (call)->span, __VA_ARGS__)
#define arg_fail(e, call, i, out, code, ...) builtin_fail(e, out, code, (call)->arg_spans[i], __VA_ARGS__)

/* Argument i as what is needed, with its span. */
static inline bool arg_int(Eval *e, const BuiltinCall *call, int i, int64_t *out)
{
    return value_as_int(e, &call->args[i], call->arg_spans[i], out);
}
static inline bool arg_real(Eval *e, const BuiltinCall *call, int i, double *out)
{
    return value_as_real(e, &call->args[i], call->arg_spans[i], out);
}
static inline bool arg_shape(Eval *e, const BuiltinCall *call, int i, Shape *out)
{
    return value_as_shape(e, &call->args[i], call->arg_spans[i], out);
}
static inline bool arg_node(Eval *e, const BuiltinCall *call, int i, Val *out)
{
    return value_as_node(e, &call->args[i], call->arg_spans[i], out);
}
static inline bool arg_grid(Eval *e, const BuiltinCall *call, int i, Grid *out)
{
    return grid_of(e, &call->args[i], call->arg_spans[i], out);
}

#endif
