/* numbers.c -- elementwise arithmetic on whatever holds numbers.
 *
 * Known ints stay ints (int64; on overflow they become reals), everything else known is f64; lists go element by
 * element, known tensors in their own precision.  As soon as a node takes part, the operation becomes a node: its
 * dtype is the working precision if a tensor of it takes part, else f64 for reals, i32 for ints.  Reals meet a tensor
 * through one cast.  A known real with a twin keeps both its number and its node. */
#include "sema/internal.h"
#include "support/math.h"

#include <math.h>

/* ---- what values hold ---- */

bool value_is_number(const Value *value) {
    return value->kind == V_INT || value->kind == V_REAL || value->kind == V_BOOL;
}

double value_number(const Value *value) {
    if (value->kind == V_INT) return (double)value->integer;
    if (value->kind == V_BOOL) return value->boolean;
    if (value->kind == V_TENSOR) {
        const Tensor *t = value->tensor;
        switch (t->dtype) {
        case DT_BOOL: return *(const uint8_t *)t->data;
        case DT_I32: return *(const int32_t *)t->data;
        case DT_F32: return (double)*(const float *)t->data;
        case DT_F64: return *(const double *)t->data;
        }
    }
    return value->real;
}

bool value_is_traced(const Value *value) {
    if (value->kind == V_NODE) return true;
    if (value->kind == V_LIST)
        for (int i = 0; i < value->list->len; i++)
            if (value_is_traced(&value->list->at[i])) return true;
    return false;
}

bool value_is_known_tensor(const Value *value) {
    if (value->kind == V_TENSOR) return true;
    if (value->kind == V_RANGE) return value->range->whole;
    if (value->kind != V_LIST) return false;
    for (int i = 0; i < value->list->len; i++)
        if (!value_is_number(&value->list->at[i]) && !value_is_known_tensor(&value->list->at[i])) return false;
    return true;
}

/* ---- known numbers ---- */

static double power_whole(double a, int64_t n) {
    uint64_t bits = n < 0 ? (uint64_t)-(n + 1) + 1 : (uint64_t)n;
    if (!bits) return 1;
    double r = a;
    for (int i = 62 - __builtin_clzll(bits); i >= 0; i--) {
        r *= r;
        if (bits >> i & 1) r *= a;
    }
    return n < 0 ? 1 / r : r;
}

static double real_op(Op op, double a, double b) {
    switch ((int)op) {
    case G_NEG: return -a;
    case G_ABS: return fabs(a);
    case G_SIGN: return a > 0 ? 1 : a < 0 ? -1 : a;
    case G_SQRT: return sqrt(a);
    case G_EXP: return nin_exp_f64(a);
    case G_LOG: return nin_log_f64(a);
    case G_SIN: return nin_sin_f64(a);
    case G_COS: return nin_cos_f64(a);
    case G_TANH: return nin_tanh_f64(a);
    case G_ERF: return nin_erf_f64(a);
    case G_FLOOR: return floor(a);
    case G_CEIL: return ceil(a);
    case G_ROUND: return rint(a);
    case G_ADD: return a + b;
    case G_SUB: return a - b;
    case G_MUL: return a * b;
    case G_DIV: return a / b;
    case G_MOD: return a - b * floor(a / b);
    case G_MAX: return a < b ? b : a >= b ? a : a + b;
    case G_MIN: return b < a ? b : b >= a ? a : a + b;
    case G_POW: return nin_exp_f64(b * nin_log_f64(a));
    default: return NAN;
    }
}

static bool int_op(Op op, int64_t a, int64_t b, int64_t *out) {
    switch ((int)op) {
    case G_NEG: return !__builtin_sub_overflow((int64_t)0, a, out);
    case G_ABS: return a >= 0 ? (*out = a, true) : !__builtin_sub_overflow((int64_t)0, a, out);
    case G_SIGN: *out = (a > 0) - (a < 0); return true;
    case G_FLOOR: case G_CEIL: case G_ROUND: *out = a; return true;
    case G_ADD: return !__builtin_add_overflow(a, b, out);
    case G_SUB: return !__builtin_sub_overflow(a, b, out);
    case G_MUL: return !__builtin_mul_overflow(a, b, out);
    case G_MAX: *out = a > b ? a : b; return true;
    case G_MIN: *out = a < b ? a : b; return true;
    case G_DIV:                                                  /* 6 / 3 is an int, 7 / 3 is not */
        if (b == -1) return !__builtin_sub_overflow(0, a, out);
        if (b == 0 || a % b) return false;
        *out = a / b;
        return true;
    case G_MOD:
        if (b == 0 || b == -1) return b == -1 ? (*out = 0, true) : false;
        *out = a % b;
        if (*out && (*out < 0) != (b < 0)) *out += b;
        return true;
    case G_POW:
        if (b < 0) return false;
        if (a >= -1 && a <= 1) return *out = a < 0 && b % 2 == 0 ? 1 : b == 0 ? 1 : a, true;
        *out = 1;
        for (int64_t i = 0; i < b; i++) {
            if (__builtin_mul_overflow(*out, a, out)) return false;
            if (*out == 0 || (*out == 1 && i > 0)) break;
        }
        if (a == -1) *out = b & 1 ? -1 : 1;
        return true;
    default: return false;
    }
}

static bool known_compare(Op op, double a, double b) {
    switch ((int)op) {
    case G_LT: return a < b;
    case G_LE: return a <= b;
    case G_EQ: return a == b;
    default: return a != b;
    }
}

static bool is_compare(Op op) { return op == G_LT || op == G_LE || op == G_EQ || op == G_NE; }
static bool is_rounding(Op op) { return op == G_FLOOR || op == G_CEIL || op == G_ROUND; }

static Val twin_node(Eval *e, const Value *value) {
    if (value->node) return graph_cast(e->trace->graph, value->node, DT_F64);
    return graph_const(e->trace->graph, DT_F64, value_number(value));
}

static Val twin_op(Eval *e, Op op, const Value *args, int n) {
    Graph *g = e->trace->graph;
    if (op == G_POW && args[1].kind == V_INT && !args[1].node)
        return graph_2(g, G_POWI, twin_node(e, &args[0]), graph_int(g, args[1].integer));
    Val a = twin_node(e, &args[0]);
    return n == 1 ? graph_1(g, op, a) : graph_2(g, op, a, twin_node(e, &args[1]));
}

static bool known_scalar(Eval *e, Op op, const Value *args, int n, Value *out) {
    double a = value_number(&args[0]), b = n > 1 ? value_number(&args[1]) : 0;
    bool twin = e->trace && (args[0].node || (n > 1 && args[1].node));
    if (op == G_AND || op == G_OR || op == G_NOT) {
        *out = value_bool(op == G_NOT ? a == 0 : op == G_AND ? a != 0 && b != 0 : a != 0 || b != 0);
        return true;
    }
    if (is_compare(op) || is_rounding(op)) {
        for (int i = 0; twin && i < n; i++) trace_pin(e, &args[i]);
        twin = false;
    }
    if (is_compare(op)) {
        *out = value_bool(known_compare(op, a, b));
        return true;
    }
    int64_t whole;
    bool ints = args[0].kind != V_REAL && (n == 1 || args[1].kind != V_REAL);
    if (ints && int_op(op, (int64_t)a, (int64_t)b, &whole) && fabs(a) < 0x1p53 && fabs(b) < 0x1p53) {
        *out = value_int(whole);
        return true;
    }
    double r = op == G_POW && args[1].kind == V_INT ? power_whole(a, args[1].integer) : real_op(op, a, b);
    if (is_rounding(op) && fabs(r) < 0x1p62) *out = value_int((int64_t)r);
    else *out = value_real(r);
    if (twin) out->node = twin_op(e, op, args, n);
    return true;
}

/* ---- known tensors ---- */

typedef struct OpWork { Op op; const Value *args; int n; Span span; } OpWork;

static bool op_outside(Eval *e, void *data, Value *out) {
    OpWork *work = data;
    Value args[3];
    for (int i = 0; i < work->n; i++) {
        args[i] = work->args[i];
        if (value_is_number(&args[i])) continue;
        Val node;
        if (!value_as_node(e, &args[i], work->span, &node)) return eval_fail(out);
        args[i] = trace_value(node);
    }
    return eval_op(e, work->op, args, work->n, work->span, out);
}

/* What `keep: true` leaves of a list, an axis of size 1, stretches as it does in a graph; only the library makes it. */
static bool list_op(Eval *e, Op op, const Value *args, int n, Span span, Value *out) {
    ValueList parts[3];
    int len = -1;
    for (int i = 0; i < n; i++) {
        if (args[i].kind != V_LIST && args[i].kind != V_RANGE) continue;
        if (!eval_elements(e, &args[i], span, &parts[i])) return eval_fail(out);
        bool stretch = len >= 0 && (len == 1 || parts[i].len == 1) && eval_in_library(e, span);
        if (len >= 0 && parts[i].len != len && !stretch) {
            eval_diag(e, D_E0401, span, "lists of %d and of %d elements do not agree", len, parts[i].len);
            return eval_fail(out);
        }
        if (parts[i].len > len) len = parts[i].len;
    }
    Value *at = arena_array(e->arena, Value, len);
    for (int k = 0; k < len; k++) {
        Value one[3];
        for (int i = 0; i < n; i++)
            one[i] = args[i].kind == V_LIST || args[i].kind == V_RANGE ? parts[i].at[parts[i].len == 1 ? 0 : k]
                : args[i];
        if (!eval_op(e, op, one, n, span, &at[k])) return eval_fail(out);
    }
    *out = value_list(e->arena, at, len);
    return true;
}

/* ---- nodes ---- */


static double tensor_element(const Tensor *t, int64_t i) {
    Tensor one = {t->dtype, SHAPE0, (char *)t->data + (size_t)i * dtype_size(t->dtype)};
    return value_number(&(Value){.kind = V_TENSOR, .tensor = &one});
}

static void store_number(DType dtype, void *data, int64_t i, double x) {
    switch (dtype) {
    case DT_BOOL: ((uint8_t *)data)[i] = x != 0; break;
    case DT_I32: ((int32_t *)data)[i] = (int32_t)x; break;
    case DT_F32: ((float *)data)[i] = (float)x; break;
    case DT_F64: ((double *)data)[i] = x; break;
    }
}

Val node_of_tensor(Eval *e, const Tensor *t, DType dtype) {
    Graph *g = e->trace->graph;
    int64_t n = shape_size(&t->shape);
    Blob *blob = arena_new_of(g->arena, Blob);
    *blob = (Blob){dtype, t->shape, arena_alloc(g->arena, (size_t)n * dtype_size(dtype)), 0};
    bool same = true;
    for (int64_t i = 0; i < n; i++) {
        double x = tensor_element(t, i);
        store_number(dtype, (void *)blob->data, i, x);
        same = same && memcmp((const char *)blob->data + (size_t)i * dtype_size(dtype), blob->data,
                              dtype_size(dtype)) == 0;
    }
    Val node;
    if (same) {
        node = graph_broadcast(g, graph_const(g, dtype, tensor_element(t, 0)), t->shape);
    } else {
        blob->hash = fnv1a(blob->data, (size_t)n * dtype_size(dtype), FNV1A_START);
        node = graph_add(g, G_TABLE, NULL, 0, &(Attr){.blob = blob}, NULL, (Span){0});
    }
    if (t->stretch) trace_mark_stretch(e->trace, node);
    return node;
}

/* A list with nodes in it: stacked along a new first axis. */
static bool stack_nodes(Eval *e, const ValueList *list, Span span, Val *out) {
    Graph *g = e->trace->graph;
    Val parts[255], stack;
    if (list->len && scan_rows(g, list, 0, &stack) == list->len)
        return value_as_node(e, &(Value){.kind = V_NODE, .node = stack}, span, out);
    if (list->len < 1 || list->len > COUNT(parts)) {
        eval_diag(e, D_E0414, span, "a list of %d values is no tensor", list->len);
        return false;
    }
    for (int i = 0; i < list->len; i++) {
        if (!value_as_node(e, &list->at[i], span, &parts[i])) return false;
        Shape shape = graph_node(g, parts[i])->shape;
        if (shape.rank == MAX_RANK || (i && !shape_equal(&shape, &graph_node(g, parts[0])->shape))) {
            eval_diag(e, D_E0401, span, "the elements of this list have different shapes");
            return false;
        }
    }
    Shape one = graph_node(g, parts[0])->shape;
    memmove(one.dim + 1, one.dim, sizeof one.dim[0] * (size_t)one.rank++);
    one.dim[0] = 1;
    for (int i = 0; i < list->len; i++) parts[i] = graph_reshape(g, parts[i], one);
    *out = list->len == 1 ? parts[0] : graph_add(g, G_CONCAT, parts, list->len, &(Attr){.axis = 0}, NULL, span);
    return true;
}

static bool node_in(Eval *e, const Value *value, DType dtype, Span span, Val *out) {
    Graph *g = e->trace->graph;
    if (value->kind == V_NODE) {
        *out = graph_cast(g, value->node, dtype);
        return true;
    }
    if (value_is_number(value)) {
        *out = value->node ? graph_cast(g, value->node, dtype) : graph_const(g, dtype, value_number(value));
        return true;
    }
    if (value_is_traced(value)) {
        if (!stack_nodes(e, value->list, span, out)) return false;
        *out = graph_cast(g, *out, dtype);
        return true;
    }
    const Tensor *tensor;
    if (!value_as_tensor(e, value, dtype, span, &tensor)) return false;
    *out = node_of_tensor(e, tensor, dtype);
    return true;
}

bool value_as_node(Eval *e, const Value *value, Span span, Val *out) {
    if (value->kind == V_ERROR) return false;
    if (!e->trace) {
        eval_diag(e, D_E0411, span, "this value is needed in a net, but no net is being traced here");
        return false;
    }
    graph_at(e->trace->graph, span);
    if (value->kind == V_NODE) {
        const Node *node = graph_node(e->trace->graph, value->node);
        bool real = node->dtype == DT_F64 && e->trace->precision == DT_F32;
        *out = real ? graph_cast(e->trace->graph, value->node, DT_F32) : value->node;
        return true;
    }
    return node_in(e, value, e->trace->precision, span, out);
}

/* What takes part in an operation on nodes. */
typedef struct Mix { bool working, real, whole, boolean, wide_int, wide_f64, tensor; } Mix;

static void mix_add(Eval *e, const Value *value, Mix *mix) {
    if (value->kind == V_NODE) {
        const Node *node = graph_node(e->trace->graph, value->node);
        bool wide = node->batched || node->shape.rank;
        if (node->dtype == DT_BOOL) mix->boolean = true;
        else if (node->dtype == DT_I32) wide ? (mix->wide_int = true) : (mix->whole = true);
        else if (node->dtype == e->trace->precision) mix->working = true;
        else wide ? (mix->wide_f64 = true) : (mix->real = true);
    } else if (value->kind == V_LIST) {
        for (int i = 0; i < value->list->len; i++) mix_add(e, &value->list->at[i], mix);
        mix->tensor = true;
    } else if (value->kind == V_REAL) {
        mix->real = true;
    } else if (value->kind == V_INT) {
        mix->whole = true;
    } else if (value->kind == V_BOOL) {
        mix->boolean = true;
    } else {
        mix->tensor = true;
        if (value->kind == V_TENSOR && value->tensor->dtype != DT_I32 &&
            value->tensor->dtype != DT_BOOL) mix->working = true;
    }
}

static bool needs_float(Op op) {
    return op == G_DIV || op == G_POW || (op >= G_SQRT && op <= G_ROUND);
}

/* The dtype that an operation's operands take; DT_BOOL only where all are bools. */
static bool mix_dtype(Eval *e, Op op, const Mix *mix, Span span, DType *out) {
    if (mix->wide_f64 && mix->working) {
        Diag *d = eval_diag(e, D_E0412, span, "f32 and f64 do not mix");
        diag_hint(d, "cast(x, f32) or cast(x, f64)");
        return false;
    }
    if (mix->wide_int && (mix->working || mix->real || needs_float(op))) {
        Diag *d = eval_diag(e, D_E0412, span, "a tensor of ints or classes takes no part in arithmetic with reals");
        diag_hint(d, "cast(x, f32), or one_hot(x) for classes");
        return false;
    }
    if (mix->working || (mix->tensor && mix->real && !mix->wide_f64)) *out = e->trace->precision;
    else if (mix->real || mix->wide_f64 || (needs_float(op) && (mix->whole || mix->boolean))) *out = DT_F64;
    else if (mix->whole || mix->wide_int) *out = DT_I32;
    else *out = mix->tensor ? e->trace->precision : DT_BOOL;
    return true;
}

/* ---- agreement of shapes ---- */

static bool stretches(Eval *e, Val v) {
    struct TraceFacts *facts = e->trace->facts;
    return v < (Val)facts->stretch.len && facts->stretch.at[v];
}

/* How an operation is written, between its operands. */
static const char *op_written(Op op) {
    static const struct { Op op; const char *text; } table[] = {
        {G_ADD, "+"}, {G_SUB, "-"}, {G_MUL, "*"}, {G_DIV, "/"}, {G_POW, "^"}, {G_LT, "<"}, {G_LE, "<="}, {G_EQ, "=="},
        {G_NE, "!="},
        {G_AND, "and"}, {G_OR, "or"},
    };
    for (int i = 0; i < COUNT(table); i++)
        if (table[i].op == op) return table[i].text;
    return "with";
}

static void shapes_differ(Eval *e, Op op, Val a, Val b, int axis, Span span) {
    const Node *x = graph_node(e->trace->graph, a), *y = graph_node(e->trace->graph, b);
    const char *left = shape_text(e, (DType)x->dtype, &x->shape), *right = shape_text(e, (DType)y->dtype, &y->shape);
    Diag *d = eval_diag(e, D_E0401, span, "%s %s %s: axis %d is %lld and %lld", left, op_written(op), right, axis + 1,
                        (long long)x->shape.dim[axis], (long long)y->shape.dim[axis]);
    diag_label(d, trace_origin_of(e->trace, a), "%s comes from here", left);
    diag_label(d, trace_origin_of(e->trace, b), "%s comes from here", right);
    if (axis == 0 && x->shape.rank != y->shape.rank)
        diag_note(d, "shapes are compared from the left; axes missing on the right are repeated");
}

static bool agree(Eval *e, Op op, const Val *v, int n, Span span, Shape *shape, bool *stretch) {
    Graph *g = e->trace->graph;
    int widest = -1;
    *shape = SHAPE0;
    *stretch = true;
    for (int i = 0; i < n; i++) {
        const Shape *s = &graph_node(g, v[i])->shape;
        if (!s->rank) continue;
        bool loose = stretches(e, v[i]);
        *stretch = *stretch && loose;
        if (widest < 0) {
            *shape = *s;
            widest = i;
            continue;
        }
        bool wide = stretches(e, v[widest]);
        int common = s->rank < shape->rank ? s->rank : shape->rank;
        for (int k = 0; k < common; k++) {
            if (s->dim[k] == shape->dim[k] || (loose && s->dim[k] == 1)) continue;
            if (wide && shape->dim[k] == 1) {
                shape->dim[k] = s->dim[k];
                continue;
            }
            shapes_differ(e, op, v[widest], v[i], k, span);
            return false;
        }
        for (int k = shape->rank; k < s->rank; k++) shape->dim[shape->rank++] = s->dim[k];
        if (!loose) widest = i;
    }
    *stretch = *stretch && shape->rank;
    return true;
}

/* where(x > 0, 1, 0): both are numbers of a tensor's place. */
static bool chooses_numbers(Eval *e, const Value *args) {
    if (args[0].kind != V_NODE || args[1].kind == V_BOOL || !value_is_number(&args[1]) ||
        !value_is_number(&args[2])) return false;
    const Node *condition = graph_node(e->trace->graph, args[0].node);
    return condition->batched || condition->shape.rank;
}

static bool node_op(Eval *e, Op op, const Value *args, int n, Span span, Value *out) {
    Graph *g = e->trace->graph;
    Mix mix = {0};
    DType dtype;
    Val v[3];
    bool whole_power = op == G_POW && (args[1].kind == V_INT || (args[1].kind == V_NODE &&
                       graph_node(g, args[1].node)->dtype == DT_I32));
    int first = op == G_SELECT ? 1 : 0;
    for (int i = first; i < n; i++)
        if (!(whole_power && i == 1)) mix_add(e, &args[i], &mix);
    if (!mix_dtype(e, op, &mix, span, &dtype)) return eval_fail(out);
    if (op == G_SELECT && chooses_numbers(e, args)) dtype = e->trace->precision;
    if (dtype == DT_BOOL && op != G_EQ && op != G_NE && op != G_AND && op != G_OR && op != G_NOT && op != G_SELECT) {
        eval_diag(e, D_E0314, span, "%s takes numbers; this is a bool", op_name(op));
        return eval_fail(out);
    }
    graph_at(g, span);
    for (int i = 0; i < n; i++) {
        DType want = i < first ? DT_BOOL : whole_power && i == 1 ? DT_I32 : dtype;
        if ((op == G_AND || op == G_OR || op == G_NOT) && dtype != DT_BOOL) {
            eval_diag(e, D_E0314, span, "%s takes bools", op_name(op));
            return eval_fail(out);
        }
        if (!node_in(e, &args[i], want, span, &v[i])) return eval_fail(out);
    }
    Shape shape;
    bool stretch;
    if (!agree(e, op, v, n, span, &shape, &stretch)) return eval_fail(out);
    if (!shape_allowed(e, &shape, span)) return eval_fail(out);
    for (int i = 0; i < n; i++) v[i] = graph_broadcast(g, v[i], shape);
    Val r = graph_add(g, whole_power ? G_POWI : op, v, n, NULL, NULL, span);
    if (stretch) trace_mark_stretch(e->trace, r);
    *out = trace_value(r);
    return true;
}

/* ---- the one entry ---- */

static bool op_fits(Eval *e, Op op, const Value *value, Span span) {
    if (value_is_number(value) || value->kind == V_NODE || value->kind == V_TENSOR ||
        value->kind == V_LIST) return true;
    if (value->kind == V_RANGE && value->range->whole) return true;
    Diag *d = eval_diag(e, D_E0314, span, "%s takes numbers; this is %s", op_name(op), value_kind_name(value));
    if (value->kind == V_CALLABLE && value->callable->what == DEF_CELL)
        diag_hint(d, "call the cell: %s(x)", value->callable->def->name);
    return false;
}

bool eval_op(Eval *e, Op op, const Value *args, int n, Span span, Value *out) {
    bool node = false, list = false, tensor = false, abstract = false;
    for (int i = 0; i < n; i++) {
        if (args[i].kind == V_ERROR) return eval_fail(out);
        if (args[i].kind == V_ABSTRACT) {
            abstract = true;
            continue;
        }
        if (args[i].kind == V_OBJECT && args[i].object->class->elementwise)
            return args[i].object->class->elementwise(e, op, args, n, i, span, out) || eval_fail(out);
        if (!op_fits(e, op, &args[i], span)) return eval_fail(out);
        node = node || value_is_traced(&args[i]);
        list = list || args[i].kind == V_LIST || args[i].kind == V_RANGE;
        tensor = tensor || args[i].kind == V_TENSOR;
    }
    if (abstract) {
        *out = value_abstract(NULL);
        return true;
    }
    if (node && e->trace) return node_op(e, op, args, n, span, out);
    if (op == G_SELECT && args[0].kind == V_BOOL) {
        *out = args[0].boolean ? args[1] : args[2];
        return true;
    }
    if (tensor) {
        if (e->trace) return node_op(e, op, args, n, span, out);
        return eval_outside(e, op_outside, &(OpWork){op, args, n, span}, span, out);
    }
    if (list) return list_op(e, op, args, n, span, out);
    return known_scalar(e, op, args, n, out);
}

bool eval_binary(Eval *e, AstOp op, const Value *a, const Value *b, Span span, Value *out) {
    Value args[2] = {*a, *b}, swapped[2] = {*b, *a};
    switch (op) {
    case OP_ADD: return eval_op(e, G_ADD, args, 2, span, out);
    case OP_SUB: return eval_op(e, G_SUB, args, 2, span, out);
    case OP_MUL: return eval_op(e, G_MUL, args, 2, span, out);
    case OP_DIV: return eval_op(e, G_DIV, args, 2, span, out);
    case OP_POW: return eval_op(e, G_POW, args, 2, span, out);
    case OP_LT: return eval_op(e, G_LT, args, 2, span, out);
    case OP_LE: return eval_op(e, G_LE, args, 2, span, out);
    case OP_GT: return eval_op(e, G_LT, swapped, 2, span, out);
    case OP_GE: return eval_op(e, G_LE, swapped, 2, span, out);
    case OP_AT: return eval_matmul(e, a, b, NULL, span, out);
    case OP_EQ: case OP_NE: {
        bool numbers = value_is_number(a) && value_is_number(b);
        bool mixed = (value_is_traced(a) || value_is_traced(b)) && e->trace;
        bool each = (a->kind == V_LIST && value_is_number(b)) || (b->kind == V_LIST && value_is_number(a));
        if (a->kind == V_ERROR || b->kind == V_ERROR) return eval_fail(out);
        if (a->kind == V_ABSTRACT || b->kind == V_ABSTRACT) return *out = value_abstract(NULL), true;
        if (numbers || mixed || each) return eval_op(e, op == OP_EQ ? G_EQ : G_NE, args, 2, span, out);
        *out = value_bool(value_equal(a, b) == (op == OP_EQ));
        return true;
    }
    case OP_AND: case OP_OR: case OP_NOT: case OP_NEG: break;
    }
    return eval_fail(out);
}

/* ---- products ---- */

typedef struct ProductWork { const Value *w, *x; Span span; } ProductWork;

static bool product_outside(Eval *e, void *data, Value *out) {
    ProductWork *work = data;
    return eval_matmul(e, work->w, work->x, NULL, work->span, out);
}

static bool product_fits(Eval *e, Val w, Val x, Span span) {
    const Node *a = graph_node(e->trace->graph, w), *b = graph_node(e->trace->graph, x);
    const char *left = shape_text(e, (DType)a->dtype, &a->shape), *right = shape_text(e, (DType)b->dtype, &b->shape);
    if (!a->shape.rank || !b->shape.rank || a->dtype == DT_I32 || b->dtype == DT_I32 || a->dtype == DT_BOOL ||
        b->dtype == DT_BOOL) {
        eval_diag(e, D_E0402, span, "@ takes two tensors; these are %s and %s", left, right);
        return false;
    }
    int64_t last = a->shape.dim[a->shape.rank - 1];
    if (last == b->shape.dim[0] && a->shape.rank + b->shape.rank - 2 <= MAX_RANK) return true;
    Diag *d = eval_diag(e, D_E0402, span,
                        "%s @ %s: the last axis on the left is %lld, the first on the right is %lld", left, right,
                        (long long)last, (long long)b->shape.dim[0]);
    diag_label(d, trace_origin_of(e->trace, w), "%s comes from here", left);
    diag_label(d, trace_origin_of(e->trace, x), "%s comes from here", right);
    return false;
}

bool eval_matmul(Eval *e, const Value *w, const Value *x, const Value *init, Span span, Value *out) {
    if (w->kind == V_ERROR || x->kind == V_ERROR) return eval_fail(out);
    if (w->kind == V_ABSTRACT || x->kind == V_ABSTRACT) return *out = value_abstract(NULL), true;
    if (!e->trace) return eval_outside(e, product_outside, &(ProductWork){w, x, span}, span, out);
    Val a, b, c = 0;
    Graph *g = e->trace->graph;
    if (!op_fits(e, G_MATMUL, w, span) || !op_fits(e, G_MATMUL, x, span)) return eval_fail(out);
    if (!value_as_node(e, w, span, &a) || !value_as_node(e, x, span, &b)) return eval_fail(out);
    if (!product_fits(e, a, b, span)) return eval_fail(out);
    graph_at(g, span);
    if (init && init->kind == V_NODE && graph_node(g, a)->shape.rank <= 2) {
        const Node *start = graph_node(g, init->node), *rows = graph_node(g, a);
        bool fits = !start->batched && start->shape.rank == 1 && rows->shape.rank == 2 &&
                    start->shape.dim[0] == rows->shape.dim[0] && start->dtype == rows->dtype;
        if (fits) c = init->node;
    }
    *out = trace_value(graph_matmul(g, a, b, c));
    if (init && !c) {
        Value product = *out;
        return eval_binary(e, OP_ADD, &product, init, span, out);
    }
    return true;
}

/* ---- known values asked for ---- */

bool value_as_real(Eval *e, const Value *value, Span span, double *out) {
    if (value->kind == V_ERROR) return false;
    if (value_is_number(value) || (value->kind == V_TENSOR && !value->tensor->shape.rank)) {
        *out = value->kind == V_REAL && value->node && e->trace ? trace_pin(e, value) : value_number(value);
        return true;
    }
    if (value->kind == V_NODE) eval_diag(e, D_E0411, span, "this number must be known before the net runs");
    else eval_diag(e, D_E0314, span, "a number is needed here; %s is %s", value_shown(e, value),
                   value_kind_name(value));
    return false;
}

bool value_as_int(Eval *e, const Value *value, Span span, int64_t *out) {
    if (value->kind == V_ERROR) return false;
    if (value->kind == V_INT) {
        *out = value->integer;
        return true;
    }
    if (value->kind == V_NODE) {
        eval_diag(e, D_E0411, span, "this int must be known before the net runs");
    } else if (value->kind == V_REAL) {
        Diag *d = eval_diag(e, D_E0412, span, "%s is not an int", value_shown(e, value));
        diag_hint(d, "floor(...), ceil(...) or round(...) give an int");
    } else {
        eval_diag(e, D_E0314, span, "an int is needed here; %s is %s", value_shown(e, value), value_kind_name(value));
    }
    return false;
}

bool value_as_shape(Eval *e, const Value *value, Span span, Shape *out) {
    ValueList items = {(Value *)value, 1};
    *out = SHAPE0;
    if (value->kind != V_INT && !eval_elements(e, value, span, &items)) return false;
    for (int i = 0; i < items.len; i++) {
        int64_t n;
        if (!value_as_int(e, &items.at[i], span, &n)) return false;
        if (n < 1 || out->rank == MAX_RANK) {
            eval_diag(e, D_E0404, span, n < 1 ? "a dimension is a positive int" : "a shape has at most %d axes",
                      MAX_RANK);
            return false;
        }
        out->dim[out->rank++] = n;
    }
    return shape_allowed(e, out, span);
}

static bool fill_tensor(Eval *e, const Value *value, const Shape *shape, int axis, DType dtype, void *data,
                        int64_t *at) {
    if (axis == shape->rank) {
        store_number(dtype, data, (*at)++, value_number(value));
        return true;
    }
    if (value->kind == V_TENSOR) {
        for (int64_t i = 0, n = shape_size(&value->tensor->shape); i < n; i++)
            store_number(dtype, data, (*at)++, tensor_element(value->tensor, i));
        return true;
    }
    ValueList items;
    if (!eval_elements(e, value, (Span){0}, &items)) return false;
    for (int i = 0; i < items.len; i++)
        if (!fill_tensor(e, &items.at[i], shape, axis + 1, dtype, data, at)) return false;
    return true;
}

bool value_as_tensor(Eval *e, const Value *value, DType dtype, Span span, const Tensor **out) {
    Shape shape;
    DType from;
    if (value->kind == V_ERROR) return false;
    if (value->kind == V_TENSOR && value->tensor->dtype == dtype) {
        *out = value->tensor;
        return true;
    }
    bool known = value_is_number(value) || value_is_known_tensor(value);
    if (!known || !value_shape(e, value, &shape, &from)) {
        eval_diag(e, D_E0314, span, known ? "the parts of this list have different shapes"
                  : "numbers are needed here; this is %s",
                  value_kind_name(value));
        return false;
    }
    Tensor *tensor = arena_new_of(e->arena, Tensor);
    *tensor = (Tensor){dtype, shape, arena_alloc(e->arena, (size_t)shape_size(&shape) * dtype_size(dtype))};
    int64_t at = 0;
    if (!fill_tensor(e, value, &shape, 0, dtype, tensor->data, &at)) return false;
    *out = tensor;
    return true;
}
