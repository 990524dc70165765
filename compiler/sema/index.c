/* index.c -- x[2], x[2..5], x[.., t], x[end], and what a dot reads.  Indices count from 1, ends included. */
#include "sema/internal.h"
#include "sema/strategy.h"

#include <math.h>

/* ---- elements ---- */

static bool range_elements(Eval *e, const ValueRange *range, Span span, ValueList *out) {
    if (!range->whole) {
        eval_diag(e, D_E0412, span, "this range has an end that is not an int, so it is no list");
        return false;
    }
    double n = range->hi - range->lo + 1;
    if (n > 1e7) {
        eval_diag(e, D_E0414, span, "a list of %.0f elements is too large", n);
        return false;
    }
    out->len = n > 0 ? (int)n : 0;
    out->at = arena_array(e->arena, Value, out->len);
    for (int i = 0; i < out->len; i++) out->at[i] = value_int((int64_t)range->lo + i);
    return true;
}

static Shape shape_tail(const Shape *shape) {
    Shape tail = {.rank = shape->rank - 1};
    memcpy(tail.dim, shape->dim + 1, sizeof tail.dim[0] * (size_t)tail.rank);
    return tail;
}

/* Element i (from 0) along the first axis of a known tensor; a rank-1 tensor gives numbers of its dtype. */
static Value tensor_row(Eval *e, const Tensor *t, int64_t i) {
    Tensor *row = arena_new_of(e->arena, Tensor);
    *row = (Tensor){t->dtype, shape_tail(&t->shape), NULL};
    row->data = (char *)t->data + (size_t)(i * shape_size(&row->shape)) * dtype_size(t->dtype);
    return (Value){.kind = V_TENSOR, .tensor = row};
}

static Value node_row(Eval *e, Val v, int64_t i, Span span) {
    Graph *g = e->trace->graph;
    Shape whole = graph_node(g, v)->shape, part = whole;
    int64_t starts[MAX_RANK] = {i};
    part.dim[0] = 1;
    graph_at(g, span);
    Val slice = whole.dim[0] == 1 ? v : graph_slice(g, v, starts, part);
    return trace_value(graph_reshape(g, slice, shape_tail(&whole)));
}

bool eval_elements(Eval *e, const Value *value, Span span, ValueList *out) {
    Shape shape;
    DType dtype;
    switch (value->kind) {
    case V_LIST: *out = *value->list; return true;
    case V_RANGE: return range_elements(e, value->range, span, out);
    case V_RECORD: *out = (ValueList){value->record->at, value->record->len}; return true;
    case V_TENSOR: case V_NODE:
        if (!value_shape(e, value, &shape, &dtype) || !shape.rank) break;
        if (shape.dim[0] > 10000000 || (value->kind == V_NODE && shape.dim[0] > 100000)) {
            eval_diag(e, D_E0414, span, "a list of %lld elements is too large", (long long)shape.dim[0]);
            return false;
        }
        out->len = (int)shape.dim[0];
        out->at = arena_array(e->arena, Value, out->len);
        for (int i = 0; i < out->len; i++)
            out->at[i] = value->kind == V_NODE ? node_row(e, value->node, i, span) : tensor_row(e, value->tensor, i);
        return true;
    case V_ERROR: return false;
    case V_NONE: case V_BOOL: case V_INT: case V_REAL: case V_TEXT: case V_TYPE: case V_CHOICE: case V_CALLABLE:
    case V_FORMULA:
    case V_OBJECT: case V_MODULE: case V_ABSTRACT: break;
    }
    eval_diag(e, D_E0314, span, "a list is needed here; this is %s", value_kind_name(value));
    return false;
}

/* ---- one axis ---- */

typedef struct Cut { int64_t from, count; bool drop; } Cut;        /* from 0 */

static bool out_of_range(Eval *e, int64_t index, int64_t size, int axis, Span span) {
    /* The check lets pass what only a run knows. */
    DiagCode code = e->mode == EVAL_RUN && !e->trace ? D_R0101 : D_E0405;
    Diag *d = eval_diag(e, code, span, "index %lld of axis %d, which has %lld; indices start at 1", (long long)index,
                        axis + 1, (long long)size);
    if (index == 0) diag_hint(d, "the first is 1");
    else if (index < 0) diag_hint(d, "the last is `end`");
    return false;
}

static bool cut_axis(Eval *e, const Value *index, int64_t size, int axis, Span span, Cut *cut) {
    if (index->kind == V_NONE) return *cut = (Cut){0, size, false}, true;
    if (index->kind == V_RANGE) {
        if (!index->range->whole) {
            eval_diag(e, D_E0412, span, "an index must be an int");
            return false;
        }
        int64_t lo = (int64_t)index->range->lo, hi = (int64_t)index->range->hi;
        if (lo < 1 || (lo > size && hi >= lo)) return out_of_range(e, lo, size, axis, span);
        if (hi > size) return out_of_range(e, hi, size, axis, span);
        *cut = (Cut){lo - 1, hi < lo ? 0 : hi - lo + 1, false};
        return true;
    }
    int64_t at;
    if (!value_as_int(e, index, span, &at)) return false;
    if (at < 1 || at > size) return out_of_range(e, at, size, axis, span);
    *cut = (Cut){at - 1, 1, true};
    return true;
}

/* ---- tensors ---- */

static bool cut_shape(Eval *e, const Shape *shape, const Value *args, int n, Span span, Cut *cuts) {
    if (n > shape->rank) {
        eval_diag(e, D_E0405, span, "%d indices for a tensor with %d axes", n, shape->rank);
        return false;
    }
    for (int i = 0; i < shape->rank; i++) {
        Value whole = value_none();
        if (!cut_axis(e, i < n ? &args[i] : &whole, shape->dim[i], i, span, &cuts[i])) return false;
        if (cuts[i].count) continue;
        eval_diag(e, D_E0405, span, "this part of the tensor is empty");
        return false;
    }
    return true;
}

static bool index_node(Eval *e, Val v, const Value *args, int n, Span span, Value *out) {
    Graph *g = e->trace->graph;
    Shape shape = graph_node(g, v)->shape, part = shape, kept = {0};
    Cut cuts[MAX_RANK];
    int64_t starts[MAX_RANK] = {0};
    if (!cut_shape(e, &shape, args, n, span, cuts)) return eval_fail(out);
    for (int i = 0; i < shape.rank; i++) {
        starts[i] = cuts[i].from;
        part.dim[i] = cuts[i].count;
        if (!cuts[i].drop) kept.dim[kept.rank++] = cuts[i].count;
    }
    graph_at(g, span);
    Val slice = shape_equal(&shape, &part) ? v : graph_slice(g, v, starts, part);
    *out = trace_value(graph_reshape(g, slice, kept));
    return true;
}

static void copy_cut(const Tensor *from, const Cut *cuts, int axis, int64_t offset, char **to) {
    size_t size = dtype_size(from->dtype);
    if (axis == from->shape.rank) {
        memcpy(*to, (const char *)from->data + (size_t)offset * size, size);
        *to += size;
        return;
    }
    for (int64_t i = 0; i < cuts[axis].count; i++)
        copy_cut(from, cuts, axis + 1, offset * from->shape.dim[axis] + cuts[axis].from + i, to);
}

static bool index_tensor(Eval *e, const Tensor *t, const Value *args, int n, Span span, Value *out) {
    Cut cuts[MAX_RANK];
    Tensor *part = arena_new_of(e->arena, Tensor);
    if (!cut_shape(e, &t->shape, args, n, span, cuts)) return eval_fail(out);
    part->dtype = t->dtype;
    int64_t count = 1;
    for (int i = 0; i < t->shape.rank; i++) {
        count *= cuts[i].count;
        if (!cuts[i].drop) part->shape.dim[part->shape.rank++] = cuts[i].count;
    }
    part->data = arena_alloc(e->arena, (size_t)count * dtype_size(t->dtype));
    char *to = part->data;
    copy_cut(t, cuts, 0, 0, &to);
    *out = (Value){.kind = V_TENSOR, .tensor = part};
    return true;
}

/* ---- lists ---- */

static bool index_list(Eval *e, const ValueList *list, const Value *args, int n, Span span, Value *out) {
    Cut cut;
    if (!cut_axis(e, &args[0], list->len, 0, span, &cut)) return eval_fail(out);
    if (cut.drop) {
        *out = list->at[cut.from];
        return n == 1 ? out->kind != V_ERROR : eval_index(e, &list->at[cut.from], args + 1, n - 1, span, out);
    }
    *out = value_list(e->arena, list->at + cut.from, (int)cut.count);
    for (int i = 0; n > 1 && i < out->list->len; i++) {
        Value item = out->list->at[i];
        if (!eval_index(e, &item, args + 1, n - 1, span, &out->list->at[i])) return eval_fail(out);
    }
    return true;
}

static bool index_fail(Eval *e, const Value *of, Span span, Value *out) {
    eval_diag(e, of->kind == V_CALLABLE ? D_E0308 : D_E0314, span, "%s has no elements to index", value_kind_name(of));
    return eval_fail(out);
}

bool eval_index(Eval *e, const Value *of, const Value *args, int n, Span span, Value *out) {
    ValueList items;
    for (int i = 0; i < n; i++) {
        if (args[i].kind == V_ERROR) return eval_fail(out);
        if (args[i].kind == V_ABSTRACT) return *out = value_abstract(NULL), true;
    }
    if (!n) {
        eval_diag(e, D_E0309, span, "which element?");
        return eval_fail(out);
    }
    bool done;
    bool tensor = of->kind == V_NODE || of->kind == V_TENSOR;
    if (tensor && !scan_index(e, of, args, n, span, out, &done)) return eval_fail(out);
    if (tensor && done) return true;
    switch (of->kind) {
    case V_ERROR: return eval_fail(out);
    case V_ABSTRACT: return *out = value_abstract(NULL), true;
    case V_LIST: return index_list(e, of->list, args, n, span, out);
    case V_RANGE:
        if (!eval_elements(e, of, span, &items)) return eval_fail(out);
        return index_list(e, &items, args, n, span, out);
    case V_TENSOR: return index_tensor(e, of->tensor, args, n, span, out);
    case V_NODE: return index_node(e, of->node, args, n, span, out);
    case V_OBJECT:
        if (!of->object->class->index) return index_fail(e, of, span, out);
        return of->object->class->index(e, of->object, args, n, span, out) || eval_fail(out);
    case V_NONE: case V_BOOL: case V_INT: case V_REAL: case V_TEXT: case V_RECORD: case V_TYPE: case V_CHOICE:
    case V_CALLABLE:
    case V_FORMULA: case V_MODULE: break;
    }
    return index_fail(e, of, span, out);
}

bool eval_index_ast(Eval *e, const Value *of, const Ast *ast, Scope *scope, Value *out) {
    Value args[16];
    const IndexContext *outer = e->index;
    bool ok = ast->call.len <= COUNT(args);
    for (int i = 0; ok && i < ast->call.len; i++) {
        IndexContext context = {of, i, outer};
        const AstArg *arg = &ast->call.args[i];
        e->index = &context;
        if (arg->label || arg->spread) {
            eval_diag(e, D_E0313, arg->value->span, "an index has no label");
            ok = false;
        } else {
            ok = eval_expr(e, arg->value, scope, &args[i]);
        }
        e->index = outer;
    }
    return ok ? eval_index(e, of, args, ast->call.len, ast->span, out) : eval_fail(out);
}

/* ---- fields ---- */

static bool no_field(Eval *e, const Value *of, Name field, const char *const *names, int n, Span span, Value *out) {
    Diag *d = eval_diag(e, D_E0311, span, "%s%s has no %s", strchr(value_kind_name(of), ' ') ? "" : "a ",
                        value_kind_name(of), field);
    const char *near = nearest_name(field, names, n);
    if (near) diag_hint(d, "did you mean %s?", near);
    Buf buf = {0};
    for (int i = 0; i < n && i < 12; i++) buf_printf(&buf, "%s%s", i ? ", " : "", names[i]);
    if (buf.len) diag_note(d, "its fields: %s", buf.at);
    buf_free(&buf);
    return eval_fail(out);
}

static bool shape_field(Eval *e, const Value *of, Name field, Span span, Value *out) {
    static const char *const names[] = {"shape", "rank", "size"};
    Shape shape;
    DType dtype;
    if (!value_shape(e, of, &shape, &dtype)) return no_field(e, of, field, names, 3, span, out);
    if (strcmp(field, "rank") == 0) return *out = value_int(shape.rank), true;
    if (strcmp(field, "size") == 0) return *out = value_int(shape_size(&shape)), true;
    if (strcmp(field, "shape") != 0) return no_field(e, of, field, names, 3, span, out);
    Value at[MAX_RANK];
    for (int i = 0; i < shape.rank; i++) at[i] = value_int(shape.dim[i]);
    *out = value_list(e->arena, at, shape.rank);
    return true;
}

/* A column of records or objects: the field of each. */
static bool list_field(Eval *e, const Value *of, Name field, Span span, Value *out) {
    const ValueList *list = of->list;
    bool things = list->len > 0;
    for (int i = 0; i < list->len; i++) {
        ValueKind kind = list->at[i].kind;
        things = things && (kind == V_RECORD || kind == V_OBJECT || kind == V_ABSTRACT || kind == V_CALLABLE ||
                            kind == V_LIST);
    }
    if (!things || strcmp(field, "shape") == 0) return shape_field(e, of, field, span, out);
    Value *at = arena_array(e->arena, Value, list->len);
    for (int i = 0; i < list->len; i++)
        if (!eval_field(e, &list->at[i], field, span, &at[i])) return eval_fail(out);
    *out = value_list(e->arena, at, list->len);
    return true;
}

static bool object_field(Eval *e, const Value *of, Name field, Span span, Value *out) {
    Object *object = of->object;
    int before = e->diags->list.len, n = 0;
    *out = value_error();
    if (object->class->field && object->class->field(e, object, field, span, out)) return out->kind != V_ERROR;
    if (e->diags->list.len > before) return eval_fail(out);
    while (object->class->fields && object->class->fields[n]) n++;
    return no_field(e, of, field, object->class->fields, n, span, out);
}

static bool net_field(Eval *e, const Value *of, bool output, Span span, Value *out) {
    Value result, *type = &result;
    Trace *trace = net_trace(e, of, e->session->precision, false, NULL, 0, span, &result);
    if (!trace) return eval_fail(out);
    if (!output) {
        for (int i = 0; i < trace->graph->inputs.len; i++) {
            const GraphInput *in = &trace->graph->inputs.at[i];
            if (in->kind != IN_ROWS || in->index != 0) continue;
            result = trace_value(graph_add(trace->graph, G_INPUT, NULL, 0, &(Attr){.index = i}, NULL, span));
        }
    }
    Trace *outer = e->trace;
    e->trace = trace;
    *out = (Value){.kind = V_TYPE, .type = value_type(e, type)};
    e->trace = outer;
    return true;
}

/* What is proved of a cell's strategy: nothing is lost exactly; a grid or a fit has no bound. */
static Value error_bound(const Callable *c) {
    const Strategy *s = c->strategies && c->strategies->n ? c->strategies->at[0].strategy : NULL;
    if (!s) return value_real(0);
    if (s->kind != STRATEGY_TABLE) return value_real(NAN);
    return s->table ? value_real(s->bound) : value_abstract(NULL);
}

static bool callable_field(Eval *e, const Value *of, Name field, Span span, Value *out) {
    static const char *const names[] = {"arity", "output", "input", "parameters", "name", "error_bound"};
    const Callable *c = of->callable;
    if (strcmp(field, "arity") == 0) return *out = value_int(callable_arity(e, of)), true;
    if (strcmp(field, "error_bound") == 0 && c->what == DEF_CELL) return *out = error_bound(c), true;
    if (strcmp(field, "name") == 0) return *out = value_text(c->type_name ? c->type_name : c->def->name), true;
    if (c->what == DEF_NET && (strcmp(field, "output") == 0 || strcmp(field, "input") == 0))
        return net_field(e, of, field[0] == 'o', span, out);
    if (strcmp(field, "parameters") == 0) {
        int64_t in_cells, outer;
        if (!count_parameters(e, of, NULL, 0, span, &in_cells, &outer)) return eval_fail(out);
        return *out = value_int(in_cells + outer), true;
    }
    for (int i = 0; c->settings && i < c->settings_len; i++)
        if (c->def->ast->def.settings[i].name == field) return *out = c->settings[i], true;
    if (c->parts && c->parts->class->field(e, c->parts, field, span, out)) return true;
    return no_field(e, of, field, names, COUNT(names), span, out);
}

bool eval_field(Eval *e, const Value *of, Name field, Span span, Value *out) {
    const Value *found;
    switch (of->kind) {
    case V_ERROR: return eval_fail(out);
    case V_ABSTRACT: return *out = value_abstract(NULL), true;
    case V_RECORD:
        found = record_get(of, field);
        if (!found) return no_field(e, of, field, (const char *const *)of->record->name, of->record->len, span, out);
        *out = *found;
        return out->kind != V_ERROR;
    case V_NODE: case V_TENSOR: return shape_field(e, of, field, span, out);
    case V_LIST: return list_field(e, of, field, span, out);
    case V_RANGE:
        if (strcmp(field, "lo") == 0) return *out = value_real(of->range->lo), true;
        if (strcmp(field, "hi") == 0) return *out = value_real(of->range->hi), true;
        return no_field(e, of, field, (const char *const[]){"lo", "hi"}, 2, span, out);
    case V_CALLABLE: return callable_field(e, of, field, span, out);
    case V_OBJECT: return object_field(e, of, field, span, out);
    case V_MODULE: return eval_module_field(e, of->module, field, span, out);
    case V_NONE: case V_BOOL: case V_INT: case V_REAL: case V_TEXT: case V_TYPE: case V_CHOICE: case V_FORMULA: break;
    }
    return no_field(e, of, field, NULL, 0, span, out);
}
