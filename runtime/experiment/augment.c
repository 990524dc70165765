/* augment.c -- `augment:` of a session: functions of one image, traced into the training step before the net.
 *
 * The images are drawn anew in every step inside of the compiled step itself, so nothing is prepared or waited for, and
 * what an example becomes depends on the seed, the session, the function's place in the list, the step and the
 * example's position in the batch alone.  The functions see raw values: given * sd + mean, each rounded once; their
 * result is normalised again.  Evaluation has none of it. */
#include "experiment/train.h"

static bool refuse(Eval *e, const SessionSpec *s, const Value *value, Span span) {
    Diag *diag = diag_add(e->diags, D_E0314, span, "augment of %s is a list of functions of one image; this is %s",
                          s->name, value_kind_name(value));
    diag_hint(diag, "augment: [pad_crop[4], flip]");
    return false;
}

bool augment_read(Eval *e, SessionSpec *s, Span span) {
    const Value *value = s->augment;
    s->augments = 0;
    if (!value || value->kind == V_ABSTRACT) return true;
    int n = value->kind == V_LIST ? value->list->len : 1;
    const Value *at = value->kind == V_LIST ? value->list->at : value;
    if (s->fit) {
        diag_add(e->diags, D_E0314, span, "%s fits cells: augment is for the images that a net learns from",
                 s->title);
        return false;
    }
    if (n > MAX_AUGMENTS) {
        diag_add(e->diags, D_E0314, span, "at most %d augmentations; here are %d", MAX_AUGMENTS, n);
        return false;
    }
    for (int i = 0; i < n; i++) {
        if (at[i].kind != V_CALLABLE || at[i].callable->what != DEF_FN) return refuse(e, s, &at[i], span);
        s->augmentation[s->augments++] = &at[i];
    }
    return true;
}

/* One number for each feature of x, as a tensor of x's rank that repeats over the rest. */
static Val feature_numbers(Eval *e, const double *at, int n, int rank, DType dtype, Span span) {
    Tensor *t = arena_new_of(e->arena, Tensor);
    *t = (Tensor){.dtype = dtype, .shape = {.rank = rank}, .data = arena_alloc(e->arena, sizeof(double) * (size_t)n)};
    for (int i = 0; i < rank; i++) t->shape.dim[i] = i ? 1 : n;
    for (int i = 0; i < n; i++) {
        if (dtype == DT_F64) ((double *)t->data)[i] = at[i];
        else ((float *)t->data)[i] = (float)at[i];
    }
    Value value = {.kind = V_TENSOR, .tensor = t};
    Val node = 0;
    return value_as_node(e, &value, span, &node) ? node : 0;
}

/* In the order of the data's own map. */
bool affine_trace(Eval *e, const Affine *map, bool back, Span span, Val *x) {
    Graph *g = e->trace->graph;
    NodeType type = graph_type(g, *x);
    Shape shape = type.shape, planes = shape;
    if (shape.rank == 0 || map->features != shape.dim[0]) {              /* one for all, or colour planes in one row */
        planes = shape_of(2, (int64_t)map->features, shape_size(&shape) / map->features);
        *x = graph_reshape(g, *x, planes);
    }
    Val mean = feature_numbers(e, map->mean, map->features, planes.rank, (DType)type.dtype, span);
    Val sd = feature_numbers(e, map->sd, map->features, planes.rank, (DType)type.dtype, span);
    if (!mean || !sd) return false;
    mean = graph_broadcast(g, mean, planes);
    sd = graph_broadcast(g, sd, planes);
    *x = back ? graph_2(g, G_ADD, graph_2(g, G_MUL, *x, sd), mean) : graph_2(g, G_DIV, graph_2(g, G_SUB, *x, mean), sd);
    *x = graph_reshape(g, *x, shape);
    return true;
}

/* The path of its random numbers: its name, numbered where the list has it more than once. */
static const char *augment_path(Eval *e, const SessionSpec *s, int i) {
    const char *name = s->augmentation[i]->callable->def->name;
    int number = 1;
    for (int k = 0; k < i; k++) number += strcmp(s->augmentation[k]->callable->def->name, name) == 0;
    return number > 1 ? arena_printf(e->arena, "%s[%d]", name, number) : name;
}

static bool result_fits(Eval *e, const char *name, NodeType got, NodeType want, Span span) {
    if (got.dtype == want.dtype && shape_equal(&got.shape, &want.shape)) return true;
    Buf text = {0};
    shape_print(&want.shape, &text);
    buf_printf(&text, ", %s gives %s", name, dtype_name((DType)got.dtype));
    shape_print(&got.shape, &text);
    diag_add(e->diags, D_E0409, span, "an augmentation gives an image like the one it got: of %s%.*s",
             dtype_name((DType)want.dtype), (int)text.len, text.at);
    buf_free(&text);
    return false;
}

static bool augment_one(Eval *e, const SessionSpec *s, int i, const Value *fn, Span span, Val *x) {
    Graph *g = e->trace->graph;
    const char *name = fn->callable->def->name;
    NodeType want = graph_type(g, *x), got;
    Value in = {.kind = V_NODE, .node = *x}, y;
    Val out;
    if (callable_arity(e, fn) != 1) {
        diag_add(e->diags, D_E0309, span, "an augmentation is a function of one image; %s takes %d", name,
                 callable_arity(e, fn));
        return false;
    }
    if (!trace_call(e, e->trace, augment_path(e, s, i), fn, &in, 1, span, &y) || !value_as_node(e, &y, span, &out))
        return false;
    got = graph_type(g, out);
    if (!result_fits(e, name, got, want, span)) return false;
    *x = got.batched ? out : graph_add(g, G_BROADCAST, &out, 1, NULL, &want, span);
    return true;
}

bool augment_trace(Eval *e, const SessionSpec *s, const Value *const *fns, const Affine *affine, Span span, Val *x) {
    if (!s || !s->augments) return true;
    DType dtype = (DType)graph_type(e->trace->graph, *x).dtype;
    if (dtype != DT_F32 && dtype != DT_F64) {
        diag_add(e->diags, D_E0403, span, "augment of %s is for images; these examples are tokens", s->name);
        return false;
    }
    e->trace->purpose = "augment";
    bool ok = !affine || affine_trace(e, affine, true, span, x);
    for (int i = 0; ok && i < s->augments; i++) ok = augment_one(e, s, i, fns[i], span, x);
    e->trace->purpose = NULL;
    return ok && (!affine || affine_trace(e, affine, false, span, x));
}
