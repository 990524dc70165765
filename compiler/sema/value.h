/* value.h -- what an expression evaluates to, at whatever time.
 *
 * One evaluator serves checking, tracing and running ("each part as early as it can"): a value is a known thing,
 * or a node of the graph being traced (V_NODE), or something that only a run can tell (V_ABSTRACT, in check mode).
 * A V_REAL or V_INT may have a node as well: a real setting stays an input of the graph (IN_SETTING), so that a
 * sweep over it is one kernel; its number is still known, and asking for it *pins* the setting (trace_pin). */
#ifndef NIN_VALUE_H
#define NIN_VALUE_H

#include "graph/graph.h"
#include "syntax/ast.h"

typedef enum ValueKind {
    V_ERROR,          /* poison: absorbs silently, a diagnostic was given */
    V_NONE, V_BOOL, V_INT, V_REAL, V_TEXT,
    V_LIST, V_RECORD,
    V_RANGE,          /* lo..hi; as a list the integers, as an interval the reals */
    V_TENSOR,         /* known numbers */
    V_NODE,           /* a node of the trace's graph */
    V_TYPE, V_CHOICE,
    V_CALLABLE,       /* cell, net, fn, builtin: a definition with settings */
    V_FORMULA,        /* an argument of type formula: evaluated per group of rows */
    V_OBJECT,         /* a thing of the laboratory: data, run, model, distribution, table, ... */
    V_MODULE,         /* `use kim`: kim.inner */
    V_ABSTRACT        /* known only when run; `type` says what it will be (NULL: anything) */
} ValueKind;

typedef struct Value Value;
typedef struct Eval Eval;
typedef struct ValueList { Value *at; int len; } ValueList;
typedef struct ValueRecord { Name *name; Value *at; int len; } ValueRecord;
typedef struct ValueRange { double lo, hi; bool whole; } ValueRange;                  /* whole: both ends are ints */
/* Dense, row-major.  stretch: made by keep: true, its axes of size 1 agree with any size. */
typedef struct Tensor { DType dtype; Shape shape; void *data; bool stretch; } Tensor;
typedef struct Callable Callable;
typedef struct TypeValue TypeValue;
typedef struct Scope Scope;
typedef struct Formula { const Ast *ast; Scope *scope; } Formula;
typedef struct ObjectClass ObjectClass;
typedef struct Object { const ObjectClass *class; } Object;                           /* first member of every object */

struct Value {
    ValueKind kind;
    Val node;                                     /* V_NODE; V_REAL, V_INT: the twin in the trace, or 0 */
    Name label;                                   /* the top-level name it was bound to, for keys; or NULL */
    union {
        bool boolean; int64_t integer; double real; const char *text; Name choice;
        const ValueList *list; const ValueRecord *record; const ValueRange *range; const Tensor *tensor;
        const TypeValue *type; Callable *callable; const Formula *formula; Object *object;
        struct LoadedModule *module;
    };
};

/* An object's behaviour.  NULL entries give E0311/E0314. */
struct ObjectClass {
    const char *name;                                                     /* "run", "data": also the type's name */
    const char *const *fields;                                            /* for "did you mean"; ends with NULL */
    bool (*field)(Eval *e, Object *self, Name field, Span span, Value *out);         /* false: no such field */
    bool (*index)(Eval *e, Object *self, const Value *args, int n, Span span, Value *out);
    bool (*call)(Eval *e, Object *self, const Value *args, int n, Span span, Value *out);
    void (*identity)(const Object *self, Buf *out);                       /* canonical text: equality, hashes, keys */
    void (*show)(const Object *self, Buf *out);                           /* for people; NULL: identity */
    /* For cell-like objects (a derivative, a fit, a trained cell's stand-in): traces a call on nodes; NULL: not
     * traceable.
     * `call` is used outside traces.  arity 0: not cell-like. */
    bool (*trace)(Eval *e, Object *self, const Value *args, int n, Span span, Value *out);
    int (*arity)(const Object *self);
    /* An operation on args, of which args[self] is this object and the others are known numbers: log(surface). */
    bool (*elementwise)(Eval *e, Op op, const Value *args, int n, int self, Span span, Value *out);
    Object *(*keep)(Arena *arena, const Object *self); /* a copy that shares no memory; NULL: it cannot be had */
};

/* Types as values: f32[64], list[int], cell, class[10], data, rate ... */
typedef enum TypeKind { TYPE_ANY, TYPE_F32 /* working precision */, TYPE_F64, TYPE_INT, TYPE_REAL, TYPE_BOOL, TYPE_TEXT,
                        TYPE_CLASS, TYPE_LIST, TYPE_RANGE, TYPE_RECORD, TYPE_CELL, TYPE_CELLS, TYPE_NET, TYPE_FN,
                        TYPE_CHOICE, TYPE_OBJECT, TYPE_RATE, TYPE_INITIALIZER, TYPE_FORMULA, TYPE_TYPE,
                        TYPE_REST, TYPE_LABELS, TYPE_COLUMNS /* formals that collect: see eval.h */ } TypeKind;
struct TypeValue {
    TypeKind kind; Name name;                     /* choice or object class */
    bool shaped; Shape shape;                     /* F32, F64, INT, CLASS with a shape */
    int64_t classes; const TypeValue *of;         /* class[k]; list[of] */
    const Ast *count;                             /* of a formal's class[k]: k as written */
    /* of a formal: the dimensions as written (AST_BRACKETS), not evaluated */
    const Ast *pattern;
};

/* A definition made ready (or not yet): what brackets made it. */
typedef struct Definition {                       /* a cell, net or fn of a module, or an alias "cell a = inner[2]" */
    const Ast *ast;                               /* AST_DEF or AST_ALIAS */
    Name name; Scope *scope;                      /* where its body's free names are found */
    bool builtin;                                 /* body is `builtin`: implemented in C under its name */
    bool library;                                 /* stands in a file of the prelude */
    const TypeValue **setting_types, **formal_types;      /* by formal; ANY where no type is written */
    const TypeValue *result_type;                 /* or NULL */
    const struct BuiltinRow *row;                 /* of a builtin; NULL: its name is not registered */
    bool has_state;                               /* a fn with `state`: an instance of its own wherever it is used */
    uint64_t version; /* at a prompt, where definitions are replaced: prompt_version; else 0 */
} Definition;
struct Callable {
    const Definition *def;
    AstDefKind what;
    Value *settings; int settings_len;            /* by formal, defaults filled in; NULL while not ready */
    uint64_t given;                               /* bit i: setting i was written in the brackets, not defaulted */
    Name type_name;                               /* of a cell type: its own name, that of its alias, or its copy */
    int copy;                                     /* copies(c, k): 1..k; else 0 */
    struct Instance *instance;                    /* inside a trace: the one layer that a name in a body holds */
    /* A trained cell: its parameters by path below the cell ("dense[1].w"); or NULL. */
    const ValueRecord *weights;
    /* A cell of a model: its fields beyond its own.  Without weights (checking) its value is abstract.  NULL: no
     * model's. */
    Object *parts;
    const struct Strategies *strategies;          /* how its learned cells are evaluated (strategy.h); NULL: exactly */
};
/* numbers a cell takes; formals of a net or fn; -1: unknown */
int callable_arity(Eval *e, const Value *callable);

bool value_equal(const Value *a, const Value *b);
/* Canonical text: equal values have equal text; settings spelt out; hashed for identities, shown as keys. */
void value_identity(const Value *value, Buf *out);
/* In that text a definition of a prompt has its version behind its name, between VERSION_OPEN and VERSION_CLOSE: this
 * takes them out, for people. */
enum { VERSION_OPEN = 1, VERSION_CLOSE = 2 };
void identity_unversioned(Buf *text, size_t from);
void value_show(const Value *value, Buf *out);    /* for people: 0.5403023, [1, 2], "text", dense[64] */
void type_show(const TypeValue *type, Buf *out);
const char *value_kind_name(const Value *value);  /* "a list", "a run" */
Value value_error(void), value_none(void), value_bool(bool x), value_int(int64_t x), value_real(double x);
Value value_text(const char *text), value_object(Object *object), value_abstract(const TypeValue *type);
Value value_list(Arena *arena, const Value *at, int len);                 /* copies */
Value value_record(Arena *arena, const Name *names, const Value *at, int len);
const Value *record_get(const Value *record, const char *name);           /* NULL if absent */

#endif
