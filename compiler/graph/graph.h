/* graph.h -- the tensor graph: SSA, hash-consed, append-only; operands' ids are smaller than their user's.
 *
 * A node's value is a tensor for *each example* if `batched`, else one tensor; the batch is never an axis
 * of a shape.  Only BATCH_* nodes lead from batched to not batched.  Element order is the language's: first
 * axis = features, then places, row-major.  All construction goes through graph_add, which applies the shape
 * rule of the op, and hash-conses (floats by their bits).  NOISE and NORMAL are consed too: a draw is named by
 * its key slot.
 *
 * MAP is a region: `body` is another Graph of the same arena whose inputs are numbered
 *   IN_MAPPED k : a scalar, taken element by element from operand k (k < attr.mapped; equal shapes; operands
 *                 that are not batched are the same for each example)
 *   IN_SHARED k : the whole tensor of operand attr.mapped + k (never batched)
 * and whose outputs are OUT_MAPPED (a scalar per element; result has the mapped shape, batched if any mapped
 * operand is) or OUT_SUMMED (added over all examples and elements in the order example, place, unit, in shards
 * if batched: an OUTER at the root as an fma chain; result not batched).  PROJ reads output k.
 * Bodies of MAPs hold no batch and no random numbers.
 *
 * SCAN is a loop of attr.i64 turns, one after the other.  Operands: attr.mapped starts of carries, attr.index slices,
 * then what is whole.  The body's nodes are batched as those of the graph around it; its inputs are
 *   IN_CARRY k       carry k as the turn begins; the first turn begins with operand k
 *   IN_SLICE k       the turn's part of operand carries + k, along its first axis (one part for each turn);
 *   IN_SLICE_BACK k  the same from the last part to the first
 *   IN_WHOLE k       operand carries + slices + k, in every turn
 * and its outputs, numbered for PROJ as they stand: first OUT_CARRY 0, 1, ... (carry k for the next turn, of the
 * carry's type; PROJ: after the last turn), then any OUT_STACK and OUT_STACK_BACK (PROJ: the turns' values along a new
 * first axis, in order or the last turn first).  Bodies of SCANs hold no random numbers and no step's inputs.
 *
 * Semantics to the bit: lang/reference.md, "The order of arithmetic"; graph/eval*.c is the oracle. */
#ifndef NIN_GRAPH_H
#define NIN_GRAPH_H

#include "base/diag.h"

typedef enum DType { DT_BOOL, DT_I32, DT_F32, DT_F64 } DType;

typedef enum Op {
#define OP(name, arity, class, text) G_##name,
#include "ops.def"
#undef OP
    G_COUNT
} Op;
typedef enum OpClass { CLASS_LEAF, CLASS_UNARY, CLASS_BINARY, CLASS_TERNARY, CLASS_VIEW, CLASS_REDUCE,
                       CLASS_BATCH, CLASS_CONTRACT, CLASS_REGION } OpClass;

enum { MAX_RANK = 6, MAX_PLACES = MAX_RANK - 3, SHARD = 32 }; /* SHARD: examples per shard (S of semantics version 1) */

typedef struct Shape { int rank; int64_t dim[MAX_RANK]; } Shape;
int64_t shape_size(const Shape *shape);
bool shape_equal(const Shape *a, const Shape *b);
Shape shape_of(int rank, ...);              /* int64_t dims */
#define SHAPE0 ((Shape){0})

typedef uint32_t Val;                       /* a node id; 0 = none */
typedef struct Graph Graph;
typedef struct Blob { DType dtype; Shape shape; const void *data; uint64_t hash; } Blob;

/* How a convolution's kernel moves, by place axis: place p of the result and position k of the kernel meet place j of
 * the input where dilation * j = p * stride + k - pad; what lies outside or between is left out.  reversed: the weight
 * at k is that of the position counted from the end. */
typedef struct Window {
    int32_t groups, reversed, stride[MAX_PLACES], pad[MAX_PLACES], dilation[MAX_PLACES];
} Window;

/* Attr.index of a MAP: NODES: its gradient leaves out the points whose adjoint is 0, whatever the body is;
 * ZEROS_OF + k: points at which its mapped operand k is 0 are left out of the sums, and the mapped outputs are +0
 * there. */
enum { NODES = 1, ZEROS_OF = 2 };

typedef struct Attr {                       /* zero unless the op uses it; compared bitwise */
    union { double f64; int64_t i64; };
    int32_t index, axis, mapped;
    uint32_t axes;                          /* bit i: axis i is reduced */
    int64_t starts[MAX_RANK];               /* SLICE, PAD; TRANSPOSE keeps its permutation here */
    Window window;                          /* CONV, BATCH_CONV */
    const Blob *blob;
    const Graph *body;
} Attr;

typedef struct Node {
    uint8_t op, dtype; bool batched; uint8_t nin;   /* nin <= 255 */
    uint32_t in;                            /* first operand in Graph.operand */
    Shape shape;
    uint32_t attr;                          /* index into Graph.attr; 0 = all zero */
    Span span;
} Node;

typedef enum InputKind {
    IN_ROWS,      /* batched: column `index` of the data (0 = x, 1 = target, ...), one row per example */
    IN_BLOCK,     /* not batched: slot `index` of the run's state block */
    IN_SETTING,   /* f64 scalar: setting `index` (a real in brackets, a rate's constant) */
    IN_STEP,      /* i32 scalar: steps since the session began, from 0 */
    IN_BATCH,     /* i32 scalar: number of examples in this batch */
    IN_MAPPED, IN_SHARED,
    IN_CARRY, IN_SLICE, IN_SLICE_BACK, IN_WHOLE
} InputKind;
typedef struct GraphInput {
    InputKind kind; int index; const char *name; DType dtype; Shape shape; bool batched;
} GraphInput;

typedef enum OutputKind {
    OUT_BLOCK,    /* not batched: the new value of slot `index` at the end of the step */
    OUT_ROWS,     /* batched: one row per example of result array `index` */
    OUT_SERIES,   /* not batched scalar: entry [step] of series `index` (stored as f64) */
    OUT_MAPPED, OUT_SUMMED,
    OUT_VALUE,    /* a plain result, for tests, gradients and printing */
    OUT_CARRY, OUT_STACK, OUT_STACK_BACK
} OutputKind;
typedef struct GraphOutput { OutputKind kind; int index; const char *name; Val value; } GraphOutput;

struct Graph {
    Arena *arena;
    VEC(Node) node;                         /* node.at[0] is unused */
    VEC(Val) operand;
    VEC(Attr) attr;
    VEC(GraphInput) inputs;
    VEC(GraphOutput) outputs;
    int keys; VEC(const char *) key_names;  /* random key slots: "dropout/dropout[1]/1" (purpose/path/occurrence) */
    struct GraphIndex *index_;              /* hash-consing */
};

Graph *graph_new(Arena *arena);
/* Adds a node (or finds it).  The shape rule gives shape, dtype and batched; attr may be NULL.
 * For leaves, views and casts that need them, dtype/shape/batched are taken from `like`.
 * Requires what the shape rule requires: callers (sema, grad, reader) check first; violation is an assertion. */
typedef struct NodeType { DType dtype; Shape shape; bool batched; } NodeType;
Val graph_add(Graph *graph, Op op, const Val *in, int nin, const Attr *attr, const NodeType *like, Span span);
/* The node of an op without attributes, if it is there; else 0. */
Val graph_find(const Graph *graph, Op op, const Val *in, int nin, NodeType type);
/* The shape rule alone: false and a reason if the operands do not fit. */
bool graph_infer(const Graph *graph, Op op, const Val *in, int nin, const Attr *attr, const NodeType *like,
                 NodeType *out, const char **reason);

static inline const Node *graph_node(const Graph *g, Val v) { return &g->node.at[v]; }
static inline Val graph_in(const Graph *g, Val v, int i) { return g->operand.at[g->node.at[v].in + (uint32_t)i]; }
static inline const Attr *graph_attr(const Graph *g, Val v) { return &g->attr.at[g->node.at[v].attr]; }
NodeType graph_type(const Graph *graph, Val v);

/* Short forms.  Spans are those of the last graph_at(), kept in the graph's index. */
void graph_at(Graph *graph, Span span);
Val graph_input(Graph *g, InputKind kind, int index, const char *name, NodeType type);
void graph_output(Graph *g, OutputKind kind, int index, const char *name, Val value);
Val graph_const(Graph *g, DType dtype, double x);
Val graph_int(Graph *g, int64_t x);
Val graph_1(Graph *g, Op op, Val a);
Val graph_2(Graph *g, Op op, Val a, Val b);          /* equal shapes; a scalar is broadcast; BROADCASTs are added */
Val graph_3(Graph *g, Op op, Val a, Val b, Val c);
Val graph_cast(Graph *g, Val a, DType dtype);        /* a itself if it has the dtype */
Val graph_broadcast(Graph *g, Val a, Shape shape);   /* a itself if it has the shape; batched as a */
Val graph_reshape(Graph *g, Val a, Shape shape);
Val graph_transpose(Graph *g, Val a, const int *axes);
Val graph_slice(Graph *g, Val a, const int64_t *starts, Shape shape);
Val graph_reduce(Graph *g, Op op, Val a, uint32_t axes);       /* SUM, MAXIMUM, MINIMUM, PROD, BATCH_SUM */
Val graph_matmul(Graph *g, Val w, Val x, Val init);            /* init 0: none */
/* places: sizes of the result's place axes; init 0: none. */
Val graph_conv(Graph *g, Val w, Val x, Val init, const Window *window, const int64_t *places);
Val graph_proj(Graph *g, Val map, int k);
Val graph_noise(Graph *g, Op op, NodeType type, const char *key_name);  /* a key slot per distinct name */

/* Text form: prints, reads back to an equal graph; deterministic.  reader: NULL and *error on failure. */
void graph_print(const Graph *graph, Buf *out);
Graph *graph_read(Arena *arena, const char *text, const char **error);
/* Every invariant of this header; NULL if it holds, else a description of the first violation. */
const char *graph_verify(const Graph *graph, Arena *arena);
/* A copy of what the outputs reach, in a fresh graph of the arena (dead nodes are left behind). */
Graph *graph_copy(Arena *arena, const Graph *graph);
/* v with `to` (of the same type) in the place of `from`: what depends on `from` is added anew, all else is shared. */
Val graph_substitute(Graph *graph, Val from, Val to, Val v);
uint64_t graph_hash(const Graph *graph);             /* of the text form without spans; large tables by their hash */

const char *op_name(Op op);
OpClass op_class(Op op);
int op_arity(Op op);
const char *dtype_name(DType dtype);
size_t dtype_size(DType dtype);
void shape_print(const Shape *shape, Buf *out);      /* "[64, 28]"; "[]" for a scalar */

#endif
