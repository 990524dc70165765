/* eval.h -- the evaluator: checks, traces and runs programs.
 *
 * Check mode visits every definition and experiment once: lists of numbers in experiment loops are visited at their
 * first element, other lists at each; what only a run can tell is V_ABSTRACT.  Run mode does the same for real.
 * An Eval belongs to one thread; several may share a Session (whose caches lock).
 *
 * All functions that return bool: false means that a diagnostic was given, now or before, and *out is V_ERROR.
 *
 * Types of formals with a meaning of their own, for library and user definitions alike:
 *   formula   not evaluated: V_FORMULA        rest      the remaining positional arguments: V_LIST
 *   columns   the remaining labelled ones, not evaluated: V_RECORD of V_FORMULA
 *   labels    the remaining labelled ones: V_RECORD of values
 *   scope, norm, order, axis_scale: choices (names_choices); measure: a bare name such as valid_loss: V_CHOICE
 *   axes: ints, `places`, `batch`, `all` and lists of them; selection: see sema/objects.h
 * A default `none` is accepted whatever the formal's type.  A bare name in an argument of a choice type is a V_CHOICE;
 * so is the bare name `all` in arguments of the types axes and selection.
 * A definition whose body is the single name `builtin` ("fn sqrt(x) = builtin") is a row of session->builtins; the last
 * table that has it wins.  A binding `NAME = builtin` of the library is the V_CHOICE of its own name (places, cells,
 * exact, last, solid, ...), unless it has a row, which is then called without arguments. */
#ifndef NIN_EVAL_H
#define NIN_EVAL_H

#include "sema/value.h"

typedef enum EvalMode { EVAL_CHECK, EVAL_RUN } EvalMode;

/* One C implementation of a `builtin` definition.  args: by formal, in order (defaults filled in; collecting formals
 * give
 * a list or record).  Returns false after a diagnostic. */
typedef struct BuiltinCall { const Value *settings; int settings_len; const Value *args; int args_len; Span span;
                             const Span *arg_spans;       /* by formal; that of the call where defaulted */
                             const Callable *callable;
                             /* the AST_CALL and its scope; NULL when called from C */
                             const Ast *ast; Scope *scope;
} BuiltinCall;
typedef bool (*BuiltinFn)(Eval *e, const BuiltinCall *call, Value *out);
/* ready, or NULL: asked before the arguments are evaluated; true if the result of this call is there already. */
typedef struct BuiltinRow {
    const char *name;
    BuiltinFn fn;
    bool (*ready)(Eval *e, const Ast *call, Value *out);
} BuiltinRow;
/* numbers, tensors, distributions, cells: sema/builtins_*.c; ends with NULL */
extern const BuiltinRow builtins_core[];
extern const BuiltinRow builtins_sema[];          /* count, match, gradient, derivative, text: sema/builtins_sema.c */

/* ---- tracing: from a net to a graph ---- */
typedef struct ParamInfo {
    const char *path; Shape shape; DType dtype;
    Value initial;                                /* a number, a tensor, or a distribution object */
    bool state;                                   /* `state`, not `param` */
    Name cell;                                    /* the cell type it belongs to, or NULL: outer */
    Val node;                                     /* its IN_BLOCK input (index = its place in Trace.params) */
    Val next;                                     /* a state's new value; 0: unchanged */
    Span span;
    struct Instance *instance; Name name;         /* whose it is; path = the instance's path "." name */
} ParamInfo;
typedef struct Setting { double value; bool pinned; } Setting;
typedef struct Trace {
    Graph *graph; Arena *arena;
    DType precision;                              /* DT_F32 or DT_F64: what f32 means */
    bool is_training, random;                     /* noise allowed here */
    VEC(ParamInfo) params;
    VEC(Setting) settings;
    const char *purpose;                          /* of random numbers drawn now: "dropout", "noise", "augment" */
    Value progress;                               /* what a `rate` that is a fn is called with; V_NONE: none at hand */
    struct Instance *root, *at;                   /* instances, for paths and sharing; see sema/instance.h */
    struct Trace *outer;                          /* of a MAP body: the trace that holds its MAP */
    const struct Strategies *strategies;          /* of the net's cells; NULL: all exact */
    bool at_nodes;                                /* the call at hand is that of a grid's nodes */
    bool exact_cells;                             /* cells are exact, and ask for their boxes (trace_boxes) */
    bool watch;                                   /* notes what cells are called with (trace_uses) */
    struct TraceFacts *facts;                     /* side tables by node: see trace.c */
} Trace;

struct Eval {
    struct Session *session; Arena *arena; Diags *diags;
    EvalMode mode;
    Trace *trace;                                 /* NULL outside tracing */
    void *lab;                                    /* the laboratory's state (runtime/experiment) */
    int depth;
    const Value *hole;                            /* what `?` is, inside `match` */
    Span site;                                    /* innermost call in the user's own text */
    const struct IndexContext *index;             /* for `end` */
    struct ScanTry *scan;                         /* a loop that is tried as a scan (loop_scan.c) */
};
/* An evaluator for this thread.  arena: of the values it makes; may be changed between turns. */
void eval_init(Eval *e, struct Session *session, Arena *arena, Diags *diags, EvalMode mode);
/* A diagnostic at span; one inside the library's text is moved to the user's call and labelled.  Returns it. */
Diag *eval_diag(Eval *e, DiagCode code, Span span, const char *format, ...) NIN_PRINTF(4, 5);
bool eval_fail(Value *out);                       /* *out = V_ERROR; returns false: "return eval_fail(out)" */

Trace *trace_new(Eval *e, DType precision, bool is_training);
/* Applies a net (brackets given) to inputs that are nodes of the trace; its parameters appear in trace->params.
 * Its real settings, and those of callables in its settings, become IN_SETTINGs (trace_lift). */
bool trace_net(Eval *e, Trace *trace, const Value *net, const Value *inputs, int n, Span span, Value *out);
/* Calls anything (loss, optimizer, attack, rate) inside the trace; its states get paths under `path` ("adam/dense[1].w"
 * gives "adam/dense[1].w.m").  Real settings of the callee become IN_SETTINGs once per Callable. */
bool trace_call(Eval *e, Trace *trace, const char *path, const Value *callee, const Value *args, int n, Span span,
                Value *out);
/* The callable with its real settings (depth first, in order) as IN_SETTINGs of the trace. */
Value trace_lift(Eval *e, Trace *trace, const Value *callable);
/* Identity with the reals that trace_lift would lift written "~", and their numbers appended in its order. */
typedef struct RealList { Arena *arena; VEC(double) list; } RealList;
void value_kernel_identity(const Value *value, Buf *out, RealList *reals);
double trace_pin(Eval *e, const Value *real);     /* the number of a V_REAL; pins the settings it was made from */
Value trace_setting(Eval *e, double x);           /* a real that stays an input of the graph */
Value trace_value(Val node);                      /* V_NODE */
/* i32 node as one of k classes; 0 = none. */
void trace_mark_classes(Trace *trace, Val node, int64_t classes);
int64_t trace_classes(const Trace *trace, Val node);
void trace_mark_stretch(Trace *trace, Val node);  /* made by keep: true: its axes of size 1 stretch */
/* The place of a path in trace->params: exact, or with [1] left out where there is one; -1: none. */
int trace_find(const Trace *trace, const char *path);
/* The cell types that a trace used, in order: their paths and themselves.  At most `most`. */
int trace_cells(const Trace *trace, const char **paths, Value *cells, int most);
/* What a cell type of at most 3 arguments was called with, call by call; calls inside of a MAP are not seen. */
typedef struct CellUse { Val x[3]; int n; } CellUse;
int trace_uses(const Trace *trace, const char *path, const CellUse **uses);
/* Does a pattern ("dense[4].*", "conv[*].w", "dense.w") select a path?  Numbers may be left out where there is one. */
bool trace_selects(const Trace *trace, const char *pattern, const char *path);
/* The name of the next random draw here: "purpose/path/occurrence"; E0408 and NULL where random numbers are not
 * allowed. */
const char *trace_draw(Eval *e, Span span);
/* The fan of a path's layer etc. are in the initial value: a V_OBJECT of class "distribution". */

/* ---- evaluating ---- */
bool eval_expr(Eval *e, const Ast *ast, Scope *scope, Value *out);
bool callable_ready(Eval *e, const Value *callee, Span span, Value *out);    /* brackets all defaulted; E0310 */
bool eval_call(Eval *e, const Value *callee, const Value *args, int n, Span span, Value *out);   /* positional */
/* With labels (NULL: positional).  As if written in the text. */
bool eval_call_named(Eval *e, const Value *callee, const Name *labels, const Value *args, int n, Span span, Value *out);
bool eval_block(Eval *e, const Ast *block, Scope *scope, Value *out);
bool eval_field(Eval *e, const Value *of, Name field, Span span, Value *out);
bool eval_index(Eval *e, const Value *of, const Value *args, int n, Span span, Value *out);
/* Elementwise operation of the graph (lang/ops.def) on numbers, reals with a twin, lists, tensors and nodes alike:
 * shapes agree from the left (E0401), literals take the type of their place. */
bool eval_op(Eval *e, Op op, const Value *args, int n, Span span, Value *out);
bool eval_binary(Eval *e, AstOp op, const Value *a, const Value *b, Span span, Value *out);
/* The elements of a list, a whole range, a known tensor, a node (along its first axis), a record's values. */
bool eval_elements(Eval *e, const Value *value, Span span, ValueList *out);
/* Evaluates a formula in a scope where the given names are bound first. */
bool eval_formula(Eval *e, const Formula *formula, const Name *names, const Value *values, int n, Value *out);
/* lists of numbers, numbers */
bool value_as_tensor(Eval *e, const Value *value, DType dtype, Span span, const Tensor **out);
bool value_as_node(Eval *e, const Value *value, Span span, Val *out);     /* in the trace, working precision */
bool value_as_real(Eval *e, const Value *value, Span span, double *out);  /* a known number; pins */
bool value_as_int(Eval *e, const Value *value, Span span, int64_t *out);  /* E0412 */
bool value_as_shape(Eval *e, const Value *value, Span span, Shape *out);  /* a list of sizes, or one: E0404 */
/* literals, choices, lists */
bool value_fits(Eval *e, const Value *value, const TypeValue *type, Value *converted);
const TypeValue *value_type(Eval *e, const Value *value);                 /* for messages */
const char *value_shown(Eval *e, const Value *value);                     /* value_show in e->arena */

/* ---- scopes: arrays of name and value, inner to outer ---- */
typedef enum ScopeKind { SCOPE_BLOCK, SCOPE_TURN /* of an experiment's loop: E0802 */, SCOPE_CELL, SCOPE_NET, SCOPE_FN,
                         SCOPE_EXPERIMENT, SCOPE_TEST, SCOPE_FORMULA, SCOPE_MODULE, SCOPE_PRELUDE } ScopeKind;
Scope *scope_new(Arena *arena, Scope *parent, ScopeKind kind);
void scope_bind(Scope *scope, Name name, const Value *value, Span span);           /* new in this scope */
bool scope_find(Eval *e, const Scope *scope, Name name, Value *out, bool *found);  /* evaluates top-level names */
ScopeKind scope_owner(const Scope *scope);                                         /* the definition it belongs to */
/* binds names; [a, b] takes a list apart */
bool eval_pattern(Eval *e, const Ast *pattern, const Value *value, Scope *scope);
/* The body scope of an experiment: formals bound to the given values or their defaults. */
Scope *eval_experiment_scope(Eval *e, Scope *module, const Ast *experiment, const Name *names, const Value *values,
                             int n);

/* ---- cells ---- */
/* Applies a cell to as many arguments as its arity: numbers, tensors, nodes, element by element. */
bool eval_cell_on(Eval *e, const Value *cell, const Value *args, int n, Span span, Value *out);
/* A graph of a cell (or cell-like object): args[k] are batched scalar IN_ROWS k named by the formals, parameters are
 * trace->params (IN_BLOCK), value is its result.  The caller adds the outputs it wants. */
typedef struct CellGraph { Trace *trace; int arity; Val *args; Val value; } CellGraph;
bool cell_graph(Eval *e, const Value *cell, DType precision, Span span, CellGraph *out);
/* Runs the trace's graph once by the interpreter: feeds columns[i] to IN_ROWS i (dense, of the input's dtype), the
 * parameters' starting values (E0408 if random and draw is NULL), and stores OUT_ROWS k in out[k].  rows may be 1. */
typedef bool (*DrawFn)(void *data, const ParamInfo *param, void *out);
bool trace_evaluate(Eval *e, Trace *trace, const void *const *columns, int64_t rows, DrawFn draw, void *data,
                    void *const *out, Span span);

/* ---- nets ---- */
/* Traces a net on inputs of its declared types, or, where those have open dimensions, of the shapes given (shapes
 * may be
 * NULL: E0416).  training: is_training.  The result is *out. */
Trace *net_trace(Eval *e, const Value *net, DType precision, bool training, const NodeType *inputs, int n, Span span,
                 Value *out);
/* Numbers of learned parameters: in cells (each cell type once), outside of them. */
bool count_parameters(Eval *e, const Value *callable, const NodeType *inputs, int n, Span span, int64_t *in_cells,
                      int64_t *outer);

#endif
