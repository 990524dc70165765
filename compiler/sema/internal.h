/* internal.h -- what the parts of the evaluator share with each other and with nobody else. */
#ifndef NIN_SEMA_INTERNAL_H
#define NIN_SEMA_INTERNAL_H

#include "sema/objects.h"
#include "sema/session.h"

/* Names that the evaluator looks for, interned once per session. */
typedef struct Words { Name builtin, none, is_training, end, all, shape, dropout; } Words;

/* ---- scopes ---- */
typedef struct Local { Name name; Value value; Span span; } Local;
/* A top-level name.  Values are kept per mode: what a check knows is less than what a run knows. */
typedef enum BindingState { BINDING_NEW, BINDING_BUSY, BINDING_DONE, BINDING_FAILED } BindingState;
typedef struct Binding {
    Name name; Span span; const Ast *ast;          /* AST_DEF, AST_ALIAS, AST_BIND; NULL for a module */
    Scope *home;
    struct Binding *target;                        /* imported by `use` */
    Arena *arena; struct PromptItem *item;         /* of its value; the input that made it (sema/prompt.h), or NULL */
    bool held;                                     /* a late one, evaluated: its item holds what it reached */
    Value value[2]; int state[2];                  /* by EvalMode; state read and written atomically */
} Binding;
struct Scope {
    Scope *parent; ScopeKind kind; Arena *arena;
    Local *at; int len, cap;                       /* inner scopes */
    Map top;                                       /* modules and the prelude: Name -> Binding */
    struct Session *session; const char *path;
};
typedef enum Found { FOUND_NOT, FOUND_LOCAL, FOUND_TOP, FOUND_FAILED } Found;
Found scope_lookup(Eval *e, const Scope *scope, Name name, Value *out);
Local *scope_local(const Scope *scope, Name name);          /* up to the definition's own scope; NULL if none */
bool scope_assign(Eval *e, Scope *scope, Name name, const Value *value, Span span);
bool binding_force(Eval *e, Binding *binding, Value *out);
const char *scope_nearest(const Scope *scope, const char *name);        /* near name, or NULL */

/* ---- modules (session.c, check.c) ---- */
Value definition_value(Eval *e, const Ast *ast, Scope *scope, bool library);
Binding *binding_add(Session *s, Scope *scope, Name name, Span span, const Ast *ast);
void bind_known(Session *s, Scope *scope, Name name, Span span, const Ast *ast, Value value);
void bind_items(Session *s, LoadedModule *m, bool library);
void module_use(Session *s, LoadedModule *m, const Ast *use);
const char *folder_of(Session *s, const char *file);
void check_item(Eval *e, LoadedModule *module, const Ast *ast);

/* ---- types (types.c) ---- */
const TypeValue *type_of_ast(Eval *e, const Ast *ast);  /* static part; E0301; never NULL */
const TypeValue *type_named(Eval *e, const char *name); /* NULL if no type has the name */
bool type_eval(Eval *e, const Ast *ast, Scope *scope, TypeValue *out);  /* with its dimensions computed */
/* Binds the dimensions of a formal's type from a value's shape, or compares them: E0403. */
bool type_bind(Eval *e, const TypeValue *type, Scope *body, const Value *value, Span span, const char *callee,
               Name formal);
/* false: not made of numbers; no diagnostic */
bool value_shape(Eval *e, const Value *value, Shape *shape, DType *dtype);
bool type_is_numeric(const TypeValue *type);
const char *type_text(Eval *e, const TypeValue *type);
const char *shape_text(Eval *e, DType dtype, const Shape *shape);       /* "f32[64]": f32 is the working precision */
const char *nearest_name(const char *name, const char *const *names, int n);
/* Fits or explains: E0412, E0312, E0314. */
bool value_convert(Eval *e, const Value *value, const TypeValue *type, Span span, const char *callee,
                   const char *formal, Value *out);

/* ---- calls (call.c) ---- */
bool eval_call_ast(Eval *e, const Ast *ast, Scope *scope, Value *out);
bool eval_brackets_ast(Eval *e, const Ast *ast, Scope *scope, Value *out);
/* The body of a definition with its settings bound; formals not yet. */
Scope *callable_scope(Eval *e, const Callable *c, Span span);
bool callable_body(Eval *e, const Callable *c, Scope *body, Span span, Value *out);
void callable_show_signature(const Definition *def, Buf *out);
/* An argument of a choice type: a bare name may be a choice. */
bool eval_choice(Eval *e, const TypeValue *type, const Ast *ast, Scope *scope, Value *out);

bool eval_in_library(const Eval *e, Span span);
/* False: E0414, once the values of this evaluation fill the memory that a program may have; or interrupted. */
bool eval_memory(Eval *e, Span span);
bool shape_allowed(Eval *e, const Shape *shape, Span span);           /* E0414 */

/* ---- statements and indexing ---- */
typedef struct IndexContext { const Value *of; int axis; const struct IndexContext *outer; } IndexContext;
bool eval_index_ast(Eval *e, const Value *of, const Ast *ast, Scope *scope, Value *out);
bool eval_condition(Eval *e, const Value *value, Span span, bool *known, bool *out);
Name pattern_name(const Ast *pattern);
bool eval_module_field(Eval *e, struct LoadedModule *module, Name field, Span span, Value *out);

/* ---- loops that become scans (loop_scan.c) ---- */
typedef struct ScanTry ScanTry;
/* What an attempt said: told after all (scan_tell) where the loop written out fails without a word of its own, since
 * what failed was evaluated once, in the attempt. */
typedef struct LostDiags { VEC(Diag *) list; int errors; } LostDiags;
bool scan_loop(Eval *e, const Ast *loop, const Value *over, Scope *scope, LostDiags *lost);   /* false: write it out */
void scan_tell(Eval *e, const LostDiags *lost);
bool scan_failed(const Eval *e);                   /* an attempt is under way, and no use going on */
bool scan_refuse(Eval *e);                         /* lets the attempt under way fail; false: there is none */
bool scan_makes(const Eval *e, const struct Instance *instance);     /* a layer that each turn makes anew */
/* A cell's call in an attempt: noted when it has come off, with what it is called with in all turns. */
bool scan_use(Eval *e, struct Instance *instance, const Val *nodes, int n);
/* of[args] with the loop's number among args; *done: it was, and *out is the turn's part. */
bool scan_index(Eval *e, const Value *of, const Value *args, int n, Span span, Value *out, bool *done);
/* All rows of a scan's result, in order, from xs[from] on: how many; 0: none. */
int scan_rows(const Graph *g, const ValueList *xs, int from, Val *stack);

/* ---- numbers ---- */
bool value_is_number(const Value *value);          /* known int, real or bool */
double value_number(const Value *value);
bool value_is_traced(const Value *value);           /* V_NODE, or a list with one */
bool value_is_known_tensor(const Value *value);    /* V_TENSOR, or a list of numbers (nested) */
bool eval_matmul(Eval *e, const Value *w, const Value *x, const Value *init, Span span, Value *out);

enum { PROBED = 1000 }; /* from here on: inputs that stand for parameters per place, while probing */
/* ---- instances (instance.c): layers and cell types of a trace ---- */
typedef struct CellForm {
    bool known, map, places /* parameters per layer, feature or unit */; const Graph *body; struct SharedParam *shared;
    int shared_len;
} CellForm;
typedef struct InstanceCount { Name name; bool bound; int count; } InstanceCount;
typedef struct Instance {
    struct Instance *parent; Name name; int number; bool bound;      /* bound: its part is a name of the text */
    bool used; struct Instance *same;                                /* placed in the tree; the one it stands for */
    VEC(struct Instance *) children;
    VEC(InstanceCount) counts;                                       /* of parts used since the body was entered */
    int64_t serial;                                                  /* in the order in which a trace makes them */
    int draws, made;                                                 /* random draws; instances made under it */
    Name cell_type; const char *key; CellForm form;                  /* cells: at the root */
    const Ast *place; int place_made;                                /* per layer/feature/unit: where it is applied */
    const ValueRecord *weights; const Callable *cell;
    int box;
    VEC(CellUse) uses; /* of an automatic grid: its state; its calls, or those watched */
} Instance;
Instance *instance_new(Trace *trace, Instance *parent);
Instance *instance_mention(Trace *trace);                            /* unnamed, under the body being traced */
void instance_bind(Trace *trace, Instance *instance, Name name);
Instance *instance_use(Trace *trace, Instance *instance, Name own_name);      /* placed: the one to work in */
void instance_enter(Instance *instance);
Instance *instance_of_cell(Eval *e, const Callable *cell);
Instance *instance_of_place(Trace *trace, const Callable *cell, const Ast *place);
const char *instance_path(const Trace *trace, const Instance *instance);
bool callable_owns(const Callable *c);             /* a net, or a fn with state */
Value callable_mention(Eval *e, const Value *value);                 /* with an instance of its own */
bool eval_param(Eval *e, const Ast *ast, Scope *scope);
/* The parameter or state of an instance that no text declares, made at its first use. */
int param_own(Eval *e, Instance *instance, Name name, bool state, DType dtype, const Shape *shape, const Value *initial,
              Span span);
bool eval_state(Eval *e, const Ast *ast, Scope *scope);
void states_store(Eval *e, const Scope *body, int from);             /* after a body: the states' new values */
void trace_rename(Trace *trace);                   /* final paths of all parameters */

/* ---- traces (trace.c) ---- */
typedef struct Application { Instance *layer; const Ast *place; Shape shape; struct Application *outer; } Application;
typedef struct SharedParam { int param; Val node; } SharedParam;
typedef struct Lifted { const Callable *from; Value to; } Lifted;
typedef struct ActiveState { Instance *instance; int param; Name name; } ActiveState;
struct TraceFacts {
    VEC(uint8_t) stretch;                          /* by node */
    Map classes, origins;                          /* node -> count; node -> Span */
    VEC(Instance *) cells;
    VEC(SharedParam) shared;                       /* of a MAP body */
    VEC(Lifted) lifted;
    VEC(ActiveState) states;
    Application *application;
    const Ast *place;                              /* the call being evaluated */
    bool inline_cells;                             /* a cell's own graph: nothing becomes a MAP */
    int64_t instances;                             /* made so far; of the root */
    bool probing;                                  /* finding out whether a cell needs a MAP */
};
Trace *trace_root(Trace *trace);
Trace *trace_body(Eval *e, Trace *outer);
void trace_origin(Trace *trace, Val node, Span span);
Span trace_origin_of(const Trace *trace, Val node);
Val trace_param_node(Eval *e, int param);          /* in the current graph */
/* Calls work in a trace of its own and gives back known numbers: for cells and tensors outside of nets. */
bool eval_outside(Eval *e, bool (*work)(Eval *e, void *data, Value *out), void *data, Span span, Value *out);
Val node_of_tensor(Eval *e, const Tensor *tensor, DType dtype);

/* ---- cells and strategies (cell.c, strategy.c) ---- */
typedef struct StrategyCall {
    const Callable *cell; Instance *instance;
    const Val *nodes; int n; const Shape *shape;   /* equal shapes */
    Span span;
} StrategyCall;
struct Strategy;
bool strategy_call(Eval *e, const StrategyCall *call, const struct Strategy *s, Val *out);
void cell_used(Eval *e, Instance *instance, const Val *nodes, int n);     /* notes a call */
bool cell_exact(Eval *e, const StrategyCall *call, const Val *nodes, const Shape *shape, Val *out);

/* ---- nets (net.c) ---- */
bool eval_net_call(Eval *e, const Value *net, const Value *args, int n, const Span *spans, Span span, Value *out);
bool net_is_closed(Eval *e, const Callable *c);   /* all brackets defaulted, no open dimension */


#endif
