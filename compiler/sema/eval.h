/* eval.h -- the evaluator: checks, traces and runs programs.
 *
 * Check mode visits every definition and experiment once: lists of numbers in experiment loops are visited at their
 * first element, other lists at each; what only a run can tell is V_ABSTRACT.  Run mode does the same for real.
 * An Eval belongs to one thread; several may share a Session (whose caches lock). */
#ifndef NIN_EVAL_H
#define NIN_EVAL_H

#include "sema/value.h"

typedef enum EvalMode { EVAL_CHECK, EVAL_RUN } EvalMode;

/* One C implementation of a `builtin` definition.  args: by formal, in order, defaults filled in (a default `none` is
 * accepted whatever the formal's type).  Returns false after a diagnostic.  Types of formals with a meaning of their own:
 *   formula   not evaluated: V_FORMULA        rest      the remaining positional arguments: V_LIST
 *   columns   the remaining labelled ones, not evaluated: V_RECORD of V_FORMULA
 *   labels    the remaining labelled ones: V_RECORD of values
 *   scope, norm, order, axis_scale: choices (names_choices); measure: a bare name such as valid_loss: V_CHOICE
 *   axes: ints, `places`, `batch`, `all` and lists of them; selection: see sema/objects.h
 * A binding `NAME = builtin` of the library is the V_CHOICE of its own name (places, cells, exact, last, solid, ...). */
typedef struct BuiltinCall { const Value *settings; int settings_len; const Value *args; int args_len; Span span;
                             const Span *arg_spans; const Callable *callable; } BuiltinCall;
typedef bool (*BuiltinFn)(Eval *e, const BuiltinCall *call, Value *out);
typedef struct BuiltinRow { const char *name; BuiltinFn fn; } BuiltinRow;
extern const BuiltinRow builtins_core[];          /* numbers, tensors, distributions, cells: sema/builtins_*.c; ends with NULL */

/* ---- tracing: from a net to a graph ---- */
typedef struct ParamInfo {
    const char *path; Shape shape; DType dtype;
    Value initial;                                /* a number, a tensor, or a distribution object */
    bool state;                                   /* `state`, not `param` */
    Name cell;                                    /* the cell type it belongs to, or NULL: outer */
    Val node;                                     /* its IN_BLOCK input (index = its place in Trace.params) */
    Val next;                                     /* a state's new value */
    Span span;
} ParamInfo;
typedef struct Setting { double value; bool pinned; } Setting;
typedef struct Trace {
    Graph *graph; Arena *arena;
    DType precision;                              /* DT_F32 or DT_F64: what f32 means */
    bool is_training, random;                     /* noise allowed here */
    VEC(ParamInfo) params;
    VEC(Setting) settings;
    const char *purpose;                          /* of random numbers drawn now: "dropout", "noise", "augment" */
    struct Instance *root, *at;                   /* instances, for paths and sharing; see sema/instance.c */
} Trace;

struct Eval {
    struct Session *session; Arena *arena; Diags *diags;
    EvalMode mode;
    Trace *trace;                                 /* NULL outside tracing */
    void *lab;                                    /* the laboratory's state (runtime/experiment) */
    int depth;
};

Trace *trace_new(Eval *e, DType precision, bool is_training);
/* Applies a net (brackets given) to inputs that are nodes of the trace; its parameters appear in trace->params. */
bool trace_net(Eval *e, Trace *trace, const Value *net, const Value *inputs, int n, Span span, Value *out);
double trace_pin(Eval *e, const Value *real);     /* the number of a V_REAL; pins the settings it was made from */
/* A real that stays an input of the graph. */
Value trace_setting(Eval *e, double x);

/* ---- evaluating ---- */
bool eval_expr(Eval *e, const Ast *ast, Scope *scope, Value *out);        /* false: a diagnostic was given; *out = V_ERROR */
bool eval_call(Eval *e, const Value *callee, const Value *args, int n, Span span, Value *out);   /* positional */
bool eval_block(Eval *e, const Ast *block, Scope *scope, Value *out);
/* Evaluates a formula in a scope where the given names are bound first. */
bool eval_formula(Eval *e, const Formula *formula, const Name *names, const Value *values, int n, Value *out);
bool value_as_tensor(Eval *e, const Value *value, DType dtype, Span span, const Tensor **out);   /* lists of numbers, numbers */
bool value_as_node(Eval *e, const Value *value, Span span, Val *out);     /* in the trace, working precision */
bool value_fits(Eval *e, const Value *value, const TypeValue *type, Value *converted);           /* literals, choices, lists */

#endif
