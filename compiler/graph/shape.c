/* shape.c -- one shape rule per op: which operands fit, and the type of the result.
 *
 * A rule sees its operands' types and fills in the result's dtype and shape; `batched` is set before it runs
 * (any operand is batched) and changed by the few rules that differ.  It returns NULL or the reason for refusal. */
#include "graph/graph.h"
#include "graph/rules.h"
#include "graph/lookup.h"

#include <stdarg.h>

typedef struct Rule {
    const Graph *graph;
    int nin;
    const Val *in;
    const NodeType *type;       /* of the operands */
    const Attr *attr;           /* never NULL */
    const NodeType *like;       /* may be NULL */
    NodeType *out;
} Rule;

/* ---- names, sizes ---- */

typedef struct OpRow { const char *text; OpClass class; int arity; } OpRow;
static const OpRow op_rows[G_COUNT] = {
#define OP(name, arity, class, text) [G_##name] = {text, CLASS_##class, arity},
#include "ops.def"
#undef OP
};

const char *op_name(Op op) { return op_rows[op].text; }
OpClass op_class(Op op) { return op_rows[op].class; }
int op_arity(Op op) { return op_rows[op].arity; }

static const struct { const char *name; size_t size; } dtype_rows[] = {
    [DT_BOOL] = {"bool", 1}, [DT_I32] = {"i32", 4}, [DT_F32] = {"f32", 4}, [DT_F64] = {"f64", 8},
};
const char *dtype_name(DType dtype) { return dtype_rows[dtype].name; }
size_t dtype_size(DType dtype) { return dtype_rows[dtype].size; }
bool dtype_is_float(DType dtype) { return dtype == DT_F32 || dtype == DT_F64; }

int64_t shape_size(const Shape *shape) {
    int64_t n = 1;
    for (int i = 0; i < shape->rank; i++) n *= shape->dim[i];
    return n;
}

bool shape_equal(const Shape *a, const Shape *b) {
    return a->rank == b->rank && memcmp(a->dim, b->dim, sizeof(int64_t) * (size_t)a->rank) == 0;
}

Shape shape_of(int rank, ...) {
    Shape shape = {.rank = rank};
    va_list args;
    va_start(args, rank);
    for (int i = 0; i < rank; i++) shape.dim[i] = va_arg(args, int64_t);
    va_end(args);
    return shape;
}

void shape_print(const Shape *shape, Buf *out) {
    buf_text(out, "[");
    for (int i = 0; i < shape->rank; i++) {
        if (i) buf_text(out, ", ");
        buf_int(out, shape->dim[i]);
    }
    buf_text(out, "]");
}

uint32_t attr_uses(Op op) {
    static const uint16_t uses[G_COUNT] = {
        [G_CONST] = USES_VALUE, [G_TABLE] = USES_BLOB, [G_INPUT] = USES_INDEX, [G_IOTA] = USES_AXIS,
        [G_NOISE] = USES_INDEX, [G_NORMAL] = USES_INDEX, [G_TRANSPOSE] = USES_STARTS, [G_SLICE] = USES_STARTS,
        [G_PAD] = USES_STARTS, [G_CONCAT] = USES_AXIS, [G_SUM] = USES_AXES, [G_MAXIMUM] = USES_AXES,
        [G_INTERPOLATE] = USES_AXES, [G_LOOKUP] = USES_AXES, [G_BATCH_INTERPOLATE] = USES_AXES,
        [G_MINIMUM] = USES_AXES, [G_PROD] = USES_AXES, [G_BATCH_SUM] = USES_AXES,
        [G_MAP] = USES_MAPPED | USES_BODY | USES_ZEROS, [G_PROJ] = USES_INDEX, [G_HOLE] = USES_INDEX,
        [G_SCAN] = USES_VALUE | USES_INDEX | USES_MAPPED | USES_BODY, [G_CONV] = USES_WINDOW,
        [G_BATCH_CONV] = USES_WINDOW,
    };
    return uses[op];
}

int window_axes(Op op, int rank) { return rank - (op == G_CONV ? 1 : 2); }

Window window_normal(const Window *window, int axes) {
    Window normal = {.groups = window->groups, .reversed = window->reversed != 0};
    for (int i = 0; i < axes && i < MAX_PLACES; i++) {
        normal.stride[i] = window->stride[i];
        normal.pad[i] = window->pad[i];
        normal.dilation[i] = window->dilation[i];
    }
    return normal;
}

/* ---- pieces of rules ---- */

static const char *shape_valid(const Shape *shape) {
    int64_t n = 1;
    if (shape->rank < 0 || shape->rank > MAX_RANK) return "more than 6 axes";
    for (int i = 0; i < shape->rank; i++) {
        if (shape->dim[i] < 1) return "an axis of size below 1";
        if (n > (INT64_C(1) << 40) / shape->dim[i]) return "more than 2^40 elements";
        n *= shape->dim[i];
    }
    return NULL;
}

/* The shape of `from` without its first `skip` axes, after the axes that `out` already has. */
static const char *shape_append(Shape *out, const Shape *from, int skip) {
    if (out->rank + from->rank - skip > MAX_RANK) return "the result has more than 6 axes";
    for (int i = skip; i < from->rank; i++) out->dim[out->rank++] = from->dim[i];
    return NULL;
}

static bool places_equal(const Shape *a, int skip_a, const Shape *b, int skip_b) {
    if (a->rank - skip_a != b->rank - skip_b) return false;
    for (int i = skip_a; i < a->rank; i++)
        if (a->dim[i] != b->dim[i - skip_a + skip_b]) return false;
    return true;
}

static const char *elementwise(Rule *r) {
    for (int i = 1; i < r->nin; i++)
        if (!shape_equal(&r->type[0].shape, &r->type[i].shape)) return "the operands' shapes differ";
    r->out->shape = r->type[0].shape;
    return NULL;
}

static const char *same_dtype(const Rule *r, int from) {
    for (int i = from + 1; i < r->nin; i++)
        if (r->type[i].dtype != r->type[from].dtype) return "the operands' dtypes differ";
    return NULL;
}

static const char *unary(Rule *r, bool fits, const char *reason) {
    r->out->dtype = r->type[0].dtype;
    return fits ? elementwise(r) : reason;
}

static const char *binary(Rule *r, bool fits, const char *reason) {
    const char *why = same_dtype(r, 0);
    r->out->dtype = r->type[0].dtype;
    return why ? why : fits ? elementwise(r) : reason;
}

static const char *compare(Rule *r, bool fits, const char *reason) {
    const char *why = binary(r, fits, reason);
    r->out->dtype = DT_BOOL;
    return why;
}

static bool first_is_float(const Rule *r) { return dtype_is_float(r->type[0].dtype); }
static bool first_is_number(const Rule *r) { return r->type[0].dtype != DT_BOOL; }
static bool first_is_bool(const Rule *r) { return r->type[0].dtype == DT_BOOL; }
static const char *const want_float = "the operand must be f32 or f64";
static const char *const want_number = "the operand must be a number";
static const char *const want_bool = "the operand must be bool";

/* ---- leaves ---- */

static const char *shape_CONST(Rule *r) {
    if (!r->like) return "no type given";
    r->out->dtype = r->like->dtype;
    return r->like->shape.rank ? "a constant is a scalar" : NULL;
}

static const char *shape_TABLE(Rule *r) {
    const Blob *blob = r->attr->blob;
    if (!blob || !blob->data) return "no table given";
    r->out->dtype = blob->dtype;
    r->out->shape = blob->shape;
    return NULL;
}

static const char *shape_INPUT(Rule *r) {
    if (r->attr->index < 0 || r->attr->index >= r->graph->inputs.len) return "no such input";
    const GraphInput *input = &r->graph->inputs.at[r->attr->index];
    *r->out = (NodeType){input->dtype, input->shape, input->batched};
    if (r->like && (r->like->dtype != input->dtype || r->like->batched != input->batched ||
                    !shape_equal(&r->like->shape, &input->shape))) return "the input exists with another type";
    return NULL;
}

static const char *shape_HOLE(Rule *r) {
    if (!r->like) return "no type given";
    *r->out = *r->like;
    return NULL;
}

static const char *shape_IOTA(Rule *r) {
    if (!r->like) return "no shape given";
    r->out->dtype = DT_I32;
    r->out->shape = r->like->shape;
    return r->attr->axis < 0 || r->attr->axis >= r->like->shape.rank ? "no such axis" : NULL;
}

static const char *shape_NOISE(Rule *r) {
    if (!r->like) return "no type given";
    *r->out = *r->like;
    if (!dtype_is_float(r->like->dtype)) return "random numbers are f32 or f64";
    return r->attr->index < 0 || r->attr->index >= r->graph->keys ? "no such key slot" : NULL;
}

static const char *shape_NORMAL(Rule *r) { return shape_NOISE(r); }

/* ---- element by element ---- */

static const char *shape_NEG(Rule *r) { return unary(r, first_is_number(r), want_number); }
static const char *shape_ABS(Rule *r) { return unary(r, first_is_number(r), want_number); }
static const char *shape_SIGN(Rule *r) { return unary(r, first_is_number(r), want_number); }
static const char *shape_SQRT(Rule *r) { return unary(r, first_is_float(r), want_float); }
static const char *shape_EXP(Rule *r) { return unary(r, first_is_float(r), want_float); }
static const char *shape_LOG(Rule *r) { return unary(r, first_is_float(r), want_float); }
static const char *shape_SIN(Rule *r) { return unary(r, first_is_float(r), want_float); }
static const char *shape_COS(Rule *r) { return unary(r, first_is_float(r), want_float); }
static const char *shape_TANH(Rule *r) { return unary(r, first_is_float(r), want_float); }
static const char *shape_ERF(Rule *r) { return unary(r, first_is_float(r), want_float); }
static const char *shape_FLOOR(Rule *r) { return unary(r, first_is_float(r), want_float); }
static const char *shape_CEIL(Rule *r) { return unary(r, first_is_float(r), want_float); }
static const char *shape_ROUND(Rule *r) { return unary(r, first_is_float(r), want_float); }
static const char *shape_NOT(Rule *r) { return unary(r, first_is_bool(r), want_bool); }

static const char *shape_CAST(Rule *r) {
    if (!r->like) return "no dtype given";
    r->out->dtype = r->like->dtype;
    return elementwise(r);
}

static const char *shape_ADD(Rule *r) { return binary(r, first_is_number(r), want_number); }
static const char *shape_SUB(Rule *r) { return binary(r, first_is_number(r), want_number); }
static const char *shape_MUL(Rule *r) { return binary(r, first_is_number(r), want_number); }
static const char *shape_DIV(Rule *r) { return binary(r, first_is_float(r), want_float); }
static const char *shape_MOD(Rule *r) { return binary(r, first_is_number(r), want_number); }
static const char *shape_MAX(Rule *r) { return binary(r, first_is_number(r), want_number); }
static const char *shape_MIN(Rule *r) { return binary(r, first_is_number(r), want_number); }
static const char *shape_POW(Rule *r) { return binary(r, first_is_float(r), want_float); }

static const char *shape_POWI(Rule *r) {
    r->out->dtype = r->type[0].dtype;
    if (!first_is_float(r)) return want_float;
    return r->type[1].dtype == DT_I32 ? elementwise(r) : "the exponent must be i32";
}

static const char *shape_LT(Rule *r) { return compare(r, first_is_number(r), want_number); }
static const char *shape_LE(Rule *r) { return compare(r, first_is_number(r), want_number); }
static const char *shape_EQ(Rule *r) { return compare(r, true, NULL); }
static const char *shape_NE(Rule *r) { return compare(r, true, NULL); }
static const char *shape_AND(Rule *r) { return compare(r, first_is_bool(r), want_bool); }
static const char *shape_OR(Rule *r) { return compare(r, first_is_bool(r), want_bool); }

static const char *shape_SELECT(Rule *r) {
    const char *why = same_dtype(r, 1);
    r->out->dtype = r->type[1].dtype;
    if (!first_is_bool(r)) return "the condition must be bool";
    return why ? why : elementwise(r);
}

/* ---- views ---- */

static const char *like_shape(Rule *r) {
    r->out->dtype = r->type[0].dtype;
    if (!r->like) return "no shape given";
    r->out->shape = r->like->shape;
    return shape_valid(&r->like->shape);
}

static const char *shape_BROADCAST(Rule *r) {
    const char *why = like_shape(r);
    const Shape *from = &r->type[0].shape, *to = &r->out->shape;
    if (why) return why;
    r->out->batched = r->out->batched || r->like->batched;
    if (from->rank > to->rank) return "the operand has more axes than the result";
    for (int i = 0; i < from->rank; i++)
        if (from->dim[i] != to->dim[i] && from->dim[i] != 1) return "an axis differs and is not 1";
    r->out->batched = r->out->batched || r->like->batched;      /* one value may become one for each example */
    return NULL;
}

static const char *shape_RESHAPE(Rule *r) {
    const char *why = like_shape(r);
    if (why) return why;
    return shape_size(&r->type[0].shape) == shape_size(&r->out->shape) ? NULL : "the number of elements differs";
}

static const char *shape_TRANSPOSE(Rule *r) {
    const Shape *from = &r->type[0].shape;
    uint32_t seen = 0;
    r->out->dtype = r->type[0].dtype;
    r->out->shape.rank = from->rank;
    for (int i = 0; i < from->rank; i++) {
        int64_t axis = r->attr->starts[i];
        if (axis < 0 || axis >= from->rank || (seen >> axis & 1)) return "not a permutation of the axes";
        seen |= 1u << axis;
        r->out->shape.dim[i] = from->dim[axis];
    }
    return NULL;
}

static const char *inside(const Shape *part, const int64_t *starts, const Shape *whole) {
    if (part->rank != whole->rank) return "the number of axes differs";
    for (int i = 0; i < part->rank; i++)
        if (starts[i] < 0 || starts[i] > whole->dim[i] - part->dim[i]) return "the part lies outside the tensor";
    return NULL;
}

static const char *shape_SLICE(Rule *r) {
    const char *why = like_shape(r);
    return why ? why : inside(&r->out->shape, r->attr->starts, &r->type[0].shape);
}

static const char *shape_PAD(Rule *r) {
    const char *why = like_shape(r);
    return why ? why : inside(&r->type[0].shape, r->attr->starts, &r->out->shape);
}

static const char *shape_CONCAT(Rule *r) {
    int axis = r->attr->axis;
    if (r->nin < 1) return "nothing to join";
    Shape out = r->type[0].shape;
    if (axis < 0 || axis >= out.rank) return "no such axis";
    for (int i = 1; i < r->nin; i++) {
        Shape part = r->type[i].shape;
        if (part.rank != out.rank) return "the number of axes differs";
        out.dim[axis] += part.dim[axis];
        part.dim[axis] = out.dim[axis];
        if (!shape_equal(&part, &out)) return "an axis other than the joined one differs";
    }
    r->out->dtype = r->type[0].dtype;
    r->out->shape = out;
    return same_dtype(r, 0);
}

static const char *shape_PICK(Rule *r) {
    const Shape *x = &r->type[0].shape, *k = &r->type[1].shape;
    if (x->rank < 1 || !places_equal(x, 1, k, 0)) return "the index must have the places of the operand";
    if (r->type[1].dtype != DT_I32) return "the index must be i32";
    r->out->dtype = r->type[0].dtype;
    r->out->shape = *k;
    return NULL;
}

static const char *shape_EMBED(Rule *r) {
    if (r->type[0].shape.rank != 2) return "the table must have two axes";
    if (r->type[1].dtype != DT_I32) return "the index must be i32";
    r->out->dtype = r->type[0].dtype;
    r->out->shape = (Shape){1, {r->type[0].shape.dim[1]}};
    return shape_append(&r->out->shape, &r->type[1].shape, 0);
}

/* ---- reductions ---- */

static const char *reduced(Rule *r, bool fits, const char *reason) {
    const Shape *from = &r->type[0].shape;
    if (!fits) return reason;
    if (r->attr->axes >> from->rank) return "no such axis";
    r->out->dtype = r->type[0].dtype;
    for (int i = 0; i < from->rank; i++)
        if (!(r->attr->axes >> i & 1)) r->out->shape.dim[r->out->shape.rank++] = from->dim[i];
    return NULL;
}

static const char *reduce_some(Rule *r) {
    return r->attr->axes ? reduced(r, first_is_number(r), want_number) : "no axis to reduce";
}

static const char *shape_SUM(Rule *r) { return reduce_some(r); }
static const char *shape_MAXIMUM(Rule *r) { return reduce_some(r); }
static const char *shape_MINIMUM(Rule *r) { return reduce_some(r); }
static const char *shape_PROD(Rule *r) { return reduce_some(r); }

static const char *shape_ARGMAX(Rule *r) {
    if (!first_is_number(r)) return want_number;
    if (r->type[0].shape.rank < 1) return "the operand must have an axis";
    r->out->dtype = DT_I32;
    return shape_append(&r->out->shape, &r->type[0].shape, 1);
}

static const char *shape_BATCH_SUM(Rule *r) {
    if (!r->out->batched) return "the operand must be batched";
    r->out->batched = false;
    return reduced(r, first_is_number(r), want_number);
}

static const char *shape_BATCH_MAXIMUM(Rule *r) {
    if (!r->out->batched) return "the operand must be batched";
    if (!first_is_float(r)) return want_float;
    *r->out = (NodeType){.dtype = r->type[0].dtype};
    return NULL;
}

/* lo, scale, x1 .. xk from operand 1 on, for a table of shape `nodes`. */
static const char *interpolation(const Rule *r, const Shape *nodes) {
    int k = r->nin - 3;
    if (k < 1 || k > 3 || nodes->rank != k) return "an interpolation has one to three arguments, as many as axes";
    if (r->attr->axes >> k) return "no such axis";
    for (int i = 0; i < k; i++)
        if (nodes->dim[i] < 2 || nodes->dim[i] > 1 << 24) return "each axis needs two nodes or more";
    for (int i = 1; i < 3; i++) {
        if (r->type[i].batched) return "the box must not be batched";
        if (r->type[i].shape.rank != 1 || r->type[i].shape.dim[0] != k) return "the box does not fit the arguments";
    }
    for (int i = 4; i < r->nin; i++)
        if (!shape_equal(&r->type[i].shape, &r->type[3].shape)) return "the arguments' shapes differ";
    return same_dtype(r, 0);
}

static const char *shape_INTERPOLATE(Rule *r) {
    if (r->nin < 4) return "an interpolation has one to three arguments, as many as axes";
    if (!first_is_float(r)) return want_float;
    if (r->type[0].batched) return "the values must not be batched";
    r->out->dtype = r->type[0].dtype;
    r->out->shape = r->type[3].shape;
    return interpolation(r, &r->type[0].shape);
}

static const char *shape_LOOKUP(Rule *r) {
    int k = r->nin - 4;
    const Shape *index = &r->type[1].shape;
    if (k < 1 || k > 3 || index->rank != k) return "a table of blocks has one to three arguments, as many as axes";
    if (r->attr->axes >> k) return "no such axis";
    if (!first_is_float(r)) return want_float;
    if (r->type[0].shape.rank != 1 || r->type[1].dtype != DT_I32) return "no values and index of blocks";
    if (shape_size(index) > LOOKUP_BLOCKS) return "too many blocks";
    for (int i = 0; i < 4; i++)
        if (r->type[i].batched) return "the table must not be batched";
    for (int i = 2; i < 4; i++)
        if (r->type[i].shape.rank != 1 || r->type[i].shape.dim[0] != k) return "the box does not fit the arguments";
    for (int i = 5; i < r->nin; i++)
        if (!shape_equal(&r->type[i].shape, &r->type[4].shape)) return "the arguments' shapes differ";
    if (r->type[2].dtype != r->type[0].dtype) return "the operands' dtypes differ";
    r->out->dtype = r->type[0].dtype;
    r->out->shape = r->type[4].shape;
    return same_dtype(r, 2);
}

static const char *shape_BATCH_INTERPOLATE(Rule *r) {
    if (r->nin < 4) return "an interpolation has one to three arguments, as many as axes";
    if (!r->out->batched) return "an operand must be batched";
    if (!first_is_float(r)) return want_float;
    if (!r->like) return "no table shape given";
    if (!shape_equal(&r->type[0].shape, &r->type[3].shape)) return "the arguments' shapes differ";
    *r->out = (NodeType){r->type[0].dtype, r->like->shape, false};
    return interpolation(r, &r->like->shape);
}

static const char *shape_BATCH_OUTER(Rule *r) {
    const Shape *dy = &r->type[0].shape, *x = &r->type[1].shape;
    if (!r->out->batched) return "an operand must be batched";
    if (!first_is_float(r)) return want_float;
    if (dy->rank < 1 || x->rank < 1 || !places_equal(dy, 1, x, 1)) return "the operands' places differ";
    *r->out = (NodeType){r->type[0].dtype, {2, {dy->dim[0], x->dim[0]}}, false};
    return same_dtype(r, 0);
}

static const char *shape_BATCH_EMBED(Rule *r) {
    const Shape *dy = &r->type[0].shape, *k = &r->type[1].shape;
    if (!r->out->batched) return "an operand must be batched";
    if (!first_is_float(r)) return want_float;
    if (r->type[1].dtype != DT_I32) return "the index must be i32";
    if (dy->rank < 1 || !places_equal(dy, 1, k, 0)) return "the operands' places differ";
    if (!r->like || r->like->shape.rank != 2 || r->like->shape.dim[1] != dy->dim[0]) return "no table shape given";
    *r->out = (NodeType){r->type[0].dtype, r->like->shape, false};
    return NULL;
}

/* ---- contractions ---- */

static const char *shape_MATMUL(Rule *r) {
    if (r->nin != 2 && r->nin != 3) return "a matmul has two or three operands";
    const Shape *w = &r->type[0].shape, *x = &r->type[1].shape;
    if (!first_is_float(r)) return want_float;
    if (w->rank < 1 || x->rank < 1) return "both operands must have an axis";
    if (w->dim[w->rank - 1] != x->dim[0]) return "the inner sizes differ";
    r->out->dtype = r->type[0].dtype;
    r->out->shape = *w;
    r->out->shape.rank--;
    if (r->nin == 3 && !shape_equal(&r->out->shape, &r->type[2].shape)) return "the start does not fit the outputs";
    const char *why = shape_append(&r->out->shape, x, 1);
    return why ? why : same_dtype(r, 0);
}

/* w[o, n / groups, ...k] with x[n, ...q] and y[o, ...p]. */
static const char *convolves(const Window *w, const Shape *weight, const Shape *x, const Shape *y) {
    enum { LIMIT = 1 << 20 };
    int axes = x->rank - 1;
    if (axes < 1 || axes > MAX_PLACES) return "a convolution needs one to three place axes";
    if (weight->rank != axes + 2 || y->rank != axes + 1) return "the operands' axes do not fit";
    if (w->groups < 1 || x->dim[0] != weight->dim[1] * w->groups) return "the input features do not fit the groups";
    if (weight->dim[0] % w->groups || y->dim[0] != weight->dim[0]) return "the output features do not fit the groups";
    for (int i = 0; i < axes; i++) {
        if (w->stride[i] < 1 || w->dilation[i] < 1) return "a stride or dilation below 1";
        if (w->stride[i] > LIMIT || w->dilation[i] > LIMIT || w->pad[i] > LIMIT || w->pad[i] < -LIMIT)
            return "a stride, dilation or pad beyond 2^20";
    }
    return NULL;
}

static const char *shape_CONV(Rule *r) {
    if (r->nin != 2 && r->nin != 3) return "a convolution has two or three operands";
    const Shape *w = &r->type[0].shape;
    if (!first_is_float(r)) return want_float;
    if (!r->like) return "no shape given";
    const char *why = convolves(&r->attr->window, w, &r->type[1].shape, &r->like->shape);
    if (why) return why;
    if (r->nin == 3 && (r->type[2].shape.rank != 1 || r->type[2].shape.dim[0] != w->dim[0]))
        return "the start does not fit the outputs";
    r->out->dtype = r->type[0].dtype;
    r->out->shape = r->like->shape;
    return same_dtype(r, 0);
}

static const char *shape_BATCH_CONV(Rule *r) {
    if (!r->out->batched) return "an operand must be batched";
    if (!first_is_float(r)) return want_float;
    if (!r->like) return "no shape given";
    const char *why = convolves(&r->attr->window, &r->like->shape, &r->type[1].shape, &r->type[0].shape);
    if (why) return why;
    *r->out = (NodeType){r->type[0].dtype, r->like->shape, false};
    return same_dtype(r, 0);
}

static const char *shape_OUTER(Rule *r) {
    if (!first_is_float(r)) return want_float;
    if (r->type[0].shape.rank != 1 || r->type[1].shape.rank != 1) return "both operands must have one axis";
    r->out->dtype = r->type[0].dtype;
    r->out->shape = (Shape){2, {r->type[0].shape.dim[0], r->type[1].shape.dim[0]}};
    return same_dtype(r, 0);
}

/* ---- regions ---- */

static const char *map_operands(const Rule *r, int mapped) {
    for (int i = 0; i < mapped; i++)
        if (!shape_equal(&r->type[i].shape, &r->type[0].shape)) return "the mapped operands' shapes differ";
    for (int i = mapped; i < r->nin; i++)
        if (r->type[i].batched) return "a shared operand must not be batched";
    return NULL;
}

static const char *map_inputs(const Rule *r, int mapped) {
    const Graph *body = r->attr->body;
    if (body->inputs.len > 255) return "the body has too many inputs";
    for (int i = 0; i < body->inputs.len; i++) {
        const GraphInput *input = &body->inputs.at[i];
        bool is_mapped = input->kind == IN_MAPPED;
        if (!is_mapped && input->kind != IN_SHARED) return "the body has an input of another kind";
        int operand = input->index + (is_mapped ? 0 : mapped);
        if (input->index < 0 || operand >= (is_mapped ? mapped : r->nin)) return "the body has too many inputs";
        if (input->batched || input->dtype != r->type[operand].dtype) return "a body input's type differs";
        if (is_mapped ? input->shape.rank != 0 : !shape_equal(&input->shape, &r->type[operand].shape))
            return "a body input's shape differs";
    }
    return NULL;
}

static const char *map_outputs(const Graph *body) {
    if (body->outputs.len < 1) return "the body has no output";
    if (body->outputs.len > 255) return "the body has more than 255 outputs";
    for (int i = 0; i < body->outputs.len; i++) {
        const GraphOutput *output = &body->outputs.at[i];
        const Node *node = graph_node(body, output->value);
        if (output->kind != OUT_MAPPED && output->kind != OUT_SUMMED) return "the body has an output of another kind";
        if (output->kind == OUT_MAPPED && node->shape.rank) return "a mapped output must be a scalar";
        if (output->kind == OUT_SUMMED && node->dtype == DT_BOOL) return "a summed output must be a number";
    }
    return NULL;
}

/* Points are left out by an operand that is a float. */
static const char *map_zeros(const Rule *r) {
    int operand = r->attr->index - ZEROS_OF;
    if (r->attr->index < 0 || operand >= r->attr->mapped) return "no such mapped operand";
    if (operand < 0) return NULL;
    if (r->type[operand].dtype != DT_F32 && r->type[operand].dtype != DT_F64) return "zeros must be those of floats";
    return NULL;
}

/* The type of the MAP itself is that of its mapped operands with the dtype of its first output; only PROJ reads it. */
static const char *shape_MAP(Rule *r) {
    int mapped = r->attr->mapped;
    if (!r->attr->body) return "no body given";
    if (mapped < 1 || mapped > r->nin) return "a map needs a mapped operand";
    const char *why = map_operands(r, mapped);
    if (!why) why = map_inputs(r, mapped);
    if (!why) why = map_outputs(r->attr->body);
    if (!why) why = map_zeros(r);
    if (why) return why;
    r->out->shape = r->type[0].shape;
    r->out->dtype = (DType)graph_node(r->attr->body, r->attr->body->outputs.at[0].value)->dtype;
    return NULL;
}

/* ---- scans ---- */

static Shape shape_stacked(const Shape *shape, int64_t turns) {
    Shape out = {.rank = shape->rank + 1, .dim = {turns}};
    memcpy(out.dim + 1, shape->dim, sizeof *shape->dim * (size_t)shape->rank);
    return out;
}

static const char *scan_input(const Rule *r, const GraphInput *input) {
    int carries = r->attr->mapped, slices = r->attr->index, operand = input->index, end = carries;
    bool sliced = input->kind == IN_SLICE || input->kind == IN_SLICE_BACK;
    Shape shape = input->shape;
    if (sliced) operand += carries, end += slices;
    else if (input->kind == IN_WHOLE) operand += carries + slices, end = r->nin;
    else if (input->kind != IN_CARRY) return "the body has an input of another kind";
    if (input->index < 0 || operand >= end) return "the body has too many inputs";
    if (sliced && shape.rank == MAX_RANK) return "too many axes";
    if (sliced) shape = shape_stacked(&shape, r->attr->i64);
    const NodeType *type = &r->type[operand];
    if (input->batched != type->batched || input->dtype != type->dtype || !shape_equal(&shape, &type->shape))
        return "a body input's type differs";
    return NULL;
}

static const char *scan_output(const Rule *r, int k) {
    const GraphOutput *output = &r->attr->body->outputs.at[k];
    bool stack = output->kind == OUT_STACK || output->kind == OUT_STACK_BACK;
    if (k >= r->attr->mapped) return stack ? NULL : "the body has an output of another kind";
    if (output->kind != OUT_CARRY || output->index != k) return "the carries' outputs come first, in order";
    NodeType have = graph_type(r->attr->body, output->value);
    const NodeType *want = &r->type[k];
    if (have.dtype != want->dtype || have.batched != want->batched || !shape_equal(&have.shape, &want->shape))
        return "a carry changes its type";
    return NULL;
}

/* The SCAN itself is an i32 scalar, not batched; only PROJ reads it. */
static const char *shape_SCAN(Rule *r) {
    const Attr *a = r->attr;
    if (!a->body) return "no body given";
    if (a->i64 < 1 || a->i64 > INT32_MAX) return "a scan has one turn or more";
    if (a->mapped < 0 || a->index < 0 || a->mapped > r->nin || a->index > r->nin - a->mapped) return "too few operands";
    if (a->body->outputs.len < a->mapped || a->body->outputs.len < 1) return "the body has too few outputs";
    for (int i = 0; i < a->body->inputs.len; i++) {
        const char *why = scan_input(r, &a->body->inputs.at[i]);
        if (why) return why;
    }
    for (int k = 0; k < a->body->outputs.len; k++) {
        const char *why = scan_output(r, k);
        if (why) return why;
    }
    *r->out = (NodeType){.dtype = DT_I32};
    return NULL;
}

static const char *shape_PROJ(Rule *r) {
    const Node *map = graph_node(r->graph, r->in[0]);
    if (map->op != G_MAP && map->op != G_SCAN) return "the operand is no map";
    const Graph *body = graph_attr(r->graph, r->in[0])->body;
    if (r->attr->index < 0 || r->attr->index >= body->outputs.len) return "no such output";
    const GraphOutput *output = &body->outputs.at[r->attr->index];
    NodeType value = graph_type(body, output->value);
    if (map->op == G_SCAN) {
        *r->out = value;
        if (output->kind == OUT_CARRY) return NULL;
        if (value.shape.rank == MAX_RANK) return "too many axes";
        r->out->shape = shape_stacked(&value.shape, graph_attr(r->graph, r->in[0])->i64);
        return NULL;
    }
    bool summed = output->kind == OUT_SUMMED;
    *r->out = (NodeType){value.dtype, summed ? value.shape : map->shape, !summed && map->batched};
    return NULL;
}

/* ---- the table ---- */

static const char *(*const shape_rules[G_COUNT])(Rule *) = {
#define OP(name, arity, class, text) [G_##name] = shape_##name,
#include "ops.def"
#undef OP
};

static const char *infer(const Graph *g, Op op, const Val *in, int nin, const Attr *attr, const NodeType *like,
                         NodeType *out) {
    static const Attr none;
    NodeType types[255];
    if (nin < 0 || nin > 255) return "more than 255 operands";
    if (op_arity(op) >= 0 && nin != op_arity(op)) return "wrong number of operands";
    *out = (NodeType){0};
    for (int i = 0; i < nin; i++) {
        if (in[i] == 0 || in[i] >= (Val)g->node.len) return "an operand does not exist";
        Op from = (Op)graph_node(g, in[i])->op;
        if ((from == G_MAP || from == G_SCAN) && op != G_PROJ) return "a map can only be read by proj";
        types[i] = graph_type(g, in[i]);
        out->batched = out->batched || types[i].batched;
    }
    Rule rule = {g, nin, in, types, attr ? attr : &none, like, out};
    const char *why = shape_rules[op](&rule);
    return why ? why : shape_valid(&out->shape);
}

bool graph_infer(const Graph *g, Op op, const Val *in, int nin, const Attr *attr, const NodeType *like,
                 NodeType *out, const char **reason) {
    const char *why = infer(g, op, in, nin, attr, like, out);
    if (why && reason) *reason = why;
    return !why;
}
