/* eval.h -- inside of the interpreter: values, frames, and one function per op.
 *
 * A Value holds one tensor, or one for each example (`varies`): [examples][size], dense, row-major.  A Frame
 * evaluates one graph for a number of examples; the points of a MAP are the examples of its body's frame.  Values
 * are heap memory, freed after their last use.  After `exhausted` is set nothing is evaluated any more. */
#ifndef NIN_GRAPH_EVAL_H
#define NIN_GRAPH_EVAL_H

#include "graph/rules.h"

typedef struct Value {
    void *data;
    DType dtype;
    bool varies;
    bool borrowed;              /* the memory is someone else's */
    int64_t size;               /* elements of one tensor */
    struct Value *part;         /* of a MAP: its outputs */
    int parts;
} Value;

typedef struct Frame {
    const Graph *graph;
    int64_t examples;
    const Value *inputs;        /* by Graph.inputs order */
    const uint64_t *keys;
    uint32_t step;
    Value *value;               /* by node */
    int *uses;                  /* by node: uses not yet made; outputs count as one that is never made */
    bool exhausted;
} Frame;

/* What the function of an op sees.  `out` is allocated; for all ops but MAP it has its final type. */
typedef struct Work {
    Frame *frame;
    const Node *node;
    const Attr *attr;
    const Value *const *in;
    const Shape *const *shape;  /* of the operands */
    Value *out;
    int64_t rows;               /* tensors in `out` */
} Work;

#define OP(name, arity, class, text) void eval_##name(Work *w);
#include "ops.def"
#undef OP

static inline void *value_row(const Value *value, int64_t example) {
    size_t row = value->varies ? (size_t)example * (size_t)value->size : 0;
    return (char *)value->data + row * dtype_size(value->dtype);
}
/* Allocates what `value` says for `examples`; on failure sets frame->exhausted and leaves data NULL. */
bool value_alloc(Frame *frame, Value *value, int64_t examples);
void value_free(Value *value);

/* Evaluates everything that the outputs reach; the values of outputs (and of the operands of an OUTER that is
 * summed) stay until frame_close.  False if memory is exhausted; frame_close is due in both cases. */
bool frame_open(Frame *frame);
void frame_close(Frame *frame);

/* The offset in a row-major tensor of the `position`-th of the elements of the given axes, others at 0. */
int64_t axes_offset(const Shape *shape, uint32_t axes, int64_t position);
int64_t axes_size(const Shape *shape, uint32_t axes);

#endif
