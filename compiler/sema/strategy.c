/* strategy.c -- strategies as values, and a cell's call as a strategy makes it: strategy.h, lang/arithmetic.md. */
#include "sema/strategy.h"

#include "graph/lookup.h"
#include "sema/internal.h"

/* ---- values ---- */

static void put_tensor_hash(const char *what, const Tensor *t, uint64_t hash, Buf *out) {
    buf_printf(out, " %s ", what);
    shape_print(&t->shape, out);
    buf_printf(out, "#%016llx", (unsigned long long)hash);
}

static uint64_t bytes_hash(const Tensor *t) {
    return fnv1a(t->data, (size_t)shape_size(&t->shape) * dtype_size(t->dtype), FNV1A_START);
}

static void strategy_identity(const Object *self, Buf *out) {
    const Strategy *s = (const Strategy *)self;
    buf_text(out, s->asked);
    if (s->table) put_tensor_hash("table", s->table, s->table_hash, out);
    if (s->table) put_tensor_hash("in blocks", s->index, s->index_hash, out);
    if (s->coefficients) put_tensor_hash("from", s->coefficients, bytes_hash(s->coefficients), out);
}

static void strategy_show(const Object *self, Buf *out) { buf_text(out, ((const Strategy *)self)->asked); }

const ObjectClass strategy_class = {.name = "strategy", .identity = strategy_identity, .show = strategy_show};

void strategy_text(const Strategy *s, Buf *out) {
    buf_text(out, s->asked);
    if (!s->table) return;
    long long blocks = shape_size(&s->index->shape);
    buf_printf(out, " with %lld values in %lld block%s, proved to %.3g", (long long)shape_size(&s->table->shape),
               blocks, blocks == 1 ? "" : "s", s->bound);
}

const Strategy *strategies_find(const Strategies *strategies, const char *cell) {
    for (int i = 0; strategies && i < strategies->n; i++)
        if (strcmp(strategies->at[i].cell, cell) == 0) return strategies->at[i].strategy;
    return NULL;
}

void strategies_identity(const Strategies *strategies, Buf *out) {
    buf_text(out, " with {");
    for (int i = 0; i < strategies->n; i++) {
        buf_printf(out, "%s\"%s\": ", i ? ", " : "", strategies->at[i].path);
        strategy_identity(&strategies->at[i].strategy->object, out);
    }
    buf_text(out, "}");
}

static const Tensor *tensor_keep(Arena *arena, const Tensor *from) {
    if (!from) return NULL;
    Tensor *t = arena_new_of(arena, Tensor);
    *t = *from;
    t->data = arena_copy(arena, from->data, (size_t)shape_size(&from->shape) * dtype_size(from->dtype));
    return t;
}

const Strategies *strategies_keep(Arena *arena, const Strategies *from) {
    if (!from) return NULL;
    Strategies *out = arena_new_of(arena, Strategies);
    *out = (Strategies){from->n, arena_array(arena, CellStrategy, from->n + 1)};
    for (int i = 0; i < from->n; i++) {
        const CellStrategy *c = &from->at[i];
        Strategy *s = arena_new_of(arena, Strategy);
        *s = *c->strategy;
        s->asked = arena_copy(arena, s->asked, strlen(s->asked));
        bool needed = s->region && !s->coefficients && !s->table;
        s->region = needed ? s->region->class->keep(arena, s->region) : NULL;
        s->table = tensor_keep(arena, s->table);
        s->index = tensor_keep(arena, s->index);
        s->coefficients = tensor_keep(arena, s->coefficients);
        out->at[i].cell = arena_copy(arena, c->cell, strlen(c->cell));
        out->at[i].path = arena_copy(arena, c->path, strlen(c->path));
        out->at[i].strategy = s;
    }
    return out;
}

Value strategies_on(Arena *arena, const Value *callable, const Strategies *strategies) {
    Callable *copy = arena_new_of(arena, Callable);
    Value out = *callable;
    *copy = *callable->callable;
    copy->strategies = strategies && strategies->n ? strategies : NULL;
    out.callable = copy;
    return out;
}

/* ---- the terms of a fit ---- */

static int variables_of(const int *exponent, int arguments) {
    int n = 0;
    for (int j = 0; j < arguments; j++) n += exponent[j] > 0;
    return n;
}

/* All exponents of one degree and number of variables, the first argument's falling. */
static int terms_of(int arguments, int degree, int variables, int exponent[FIT_TERMS][STRATEGY_ARGUMENTS], int n) {
    int e[STRATEGY_ARGUMENTS] = {0};
    int most[STRATEGY_ARGUMENTS] = {degree, arguments > 1 ? degree : 0, arguments > 2 ? degree : 0};
    for (e[0] = most[0]; e[0] >= 0; e[0]--)
        for (e[1] = most[1]; e[1] >= 0; e[1]--)
            for (e[2] = most[2]; e[2] >= 0; e[2]--) {
                if (e[0] + e[1] + e[2] != degree || variables_of(e, arguments) != variables) continue;
                if (n >= FIT_TERMS) return FIT_TERMS + 1;
                memcpy(exponent[n++], e, sizeof e);
            }
    return n;
}

int fit_terms(int arguments, int degree, int exponent[FIT_TERMS][STRATEGY_ARGUMENTS]) {
    int n = 0;
    for (int d = degree; d >= 0; d--)
        for (int variables = 0; variables <= arguments && n <= FIT_TERMS; variables++)
            n = terms_of(arguments, d, variables, exponent, n);
    return n <= FIT_TERMS ? n : 0;
}

int fit_size(const Strategy *s, int arguments) {
    int exponent[FIT_TERMS][STRATEGY_ARGUMENTS], n = fit_terms(arguments, s->degree, exponent);
    return s->rational && n ? 2 * n - 1 : n;
}

/* ---- parameters and states of a strategy ---- */

/* Of a trained cell: what it holds under that name. */
static int own_param(Eval *e, Instance *instance, const char *name, bool state, const Tensor *start, Span span) {
    Name word = intern_text(e->session->names, name);
    Value initial = {.kind = V_TENSOR, .tensor = start};
    return param_own(e, instance, word, state, trace_root(e->trace)->precision, &start->shape, &initial, span);
}

static const Tensor *tensor_of(Eval *e, Shape shape, double (*at)(int64_t)) {
    Tensor *t = arena_new_of(e->arena, Tensor);
    int64_t n = shape_size(&shape);
    *t = (Tensor){DT_F64, shape, arena_array(e->arena, double, n + 1)};
    for (int64_t i = 0; i < n; i++) ((double *)t->data)[i] = at(i);
    return t;
}

static double unit_box(int64_t i) { return i % 2 ? 1 : -1; }
static double nothing(int64_t i) { return 0 * (double)i; }

/* ---- boxes and nodes ---- */

typedef struct Box { Val lo, hi, scale; } Box;                         /* [arguments] each */

static Val numbers(Graph *g, Eval *e, DType dtype, const double *x, int n) {
    Blob *blob = arena_new_of(g->arena, Blob);
    void *data = arena_alloc(g->arena, (size_t)n * dtype_size(dtype));
    for (int i = 0; i < n; i++) {
        if (dtype == DT_F64) ((double *)data)[i] = x[i];
        else ((float *)data)[i] = (float)x[i];
    }
    (void)e;
    *blob = (Blob){dtype, shape_of(1, (int64_t)n), data, fnv1a(data, (size_t)n * dtype_size(dtype), FNV1A_START)};
    return graph_add(g, G_TABLE, NULL, 0, &(Attr){.blob = blob}, &(NodeType){dtype, blob->shape, false}, (Span){0});
}

static Val column(Graph *g, Val box, int64_t n, int64_t side) {
    Val part = graph_slice(g, box, (const int64_t[]){0, side}, shape_of(2, n, (int64_t)1));
    return graph_reshape(g, part, shape_of(1, n));
}

static Val element(Graph *g, Val v, int64_t i) {
    return graph_reshape(g, graph_slice(g, v, &i, shape_of(1, (int64_t)1)), SHAPE0);
}

/* A box known now: its numbers are rounded once, the scale is (nodes - 1) / (hi - lo) in f64; a table has its own. */
static Box box_known(Eval *e, const Strategy *s, int n) {
    Graph *g = e->trace->graph;
    DType dtype = e->trace->precision;
    double scale[STRATEGY_ARGUMENTS];
    int64_t steps = s->kind == STRATEGY_TABLE ? 1 : s->nodes - 1;
    for (int j = 0; j < n; j++) scale[j] = s->table ? s->scale[j] : (double)steps / (s->hi[j] - s->lo[j]);
    return (Box){numbers(g, e, dtype, s->lo, n), numbers(g, e, dtype, s->hi, n), numbers(g, e, dtype, scale, n)};
}

/* The box of the state: the scale is (nodes - 1) / (hi - lo) in the working precision. */
static Box box_state(Eval *e, const Strategy *s, Instance *instance, int n, Span span) {
    Graph *g = e->trace->graph;
    const Tensor *start = tensor_of(e, shape_of(2, (int64_t)n, (int64_t)2), unit_box);
    instance->box = own_param(e, instance, "box", true, start, span);
    Val box = trace_root(e->trace)->params.at[instance->box].node;
    Box b = {column(g, box, n, 0), column(g, box, n, 1), 0};
    Val steps = graph_const(g, e->trace->precision, (double)(s->nodes - 1));
    b.scale = graph_2(g, G_DIV, graph_broadcast(g, steps, shape_of(1, (int64_t)n)), graph_2(g, G_SUB, b.hi, b.lo));
    return b;
}

/* Node i of an axis is lo + i ((hi - lo) / (nodes - 1)). */
static Val axis_nodes(Eval *e, const Strategy *s, const Box *box, int j, const Shape *shape) {
    Graph *g = e->trace->graph;
    DType dtype = e->trace->precision;
    Val lo = element(g, box->lo, j), hi = element(g, box->hi, j);
    Val step = graph_2(g, G_DIV, graph_2(g, G_SUB, hi, lo), graph_const(g, dtype, (double)(s->nodes - 1)));
    Val i = graph_add(g, G_IOTA, NULL, 0, &(Attr){.axis = j}, &(NodeType){DT_I32, *shape, false}, (Span){0});
    return graph_2(g, G_ADD, lo, graph_2(g, G_MUL, graph_cast(g, i, dtype), step));
}

static Shape node_shape(const Strategy *s, int n) {
    return (Shape){n, {s->nodes, n > 1 ? s->nodes : 0, n > 2 ? s->nodes : 0}};
}

static Val interpolation(Eval *e, Val values, const Box *box, const Val *x, int n, Span span) {
    Val in[3 + STRATEGY_ARGUMENTS] = {values, box->lo, box->scale};
    for (int j = 0; j < n; j++) in[3 + j] = x[j];
    return graph_add(e->trace->graph, G_INTERPOLATE, in, 3 + n, NULL, NULL, span);
}

/* ---- the strategies ---- */

static bool grid_call(Eval *e, const StrategyCall *call, const Strategy *s, Val *out) {
    Box box = s->axes ? box_known(e, s, call->n) : box_state(e, s, call->instance, call->n, call->span);
    Val x[STRATEGY_ARGUMENTS], values;
    Shape shape = node_shape(s, call->n);
    if (!s->axes) {
        if (!e->trace->watch) cell_used(e, call->instance, call->nodes, call->n);
    }
    if (e->trace->exact_cells) return cell_exact(e, call, call->nodes, call->shape, out);
    for (int j = 0; j < call->n; j++) x[j] = axis_nodes(e, s, &box, j, &shape);
    e->trace->at_nodes = true;
    bool fine = cell_exact(e, call, x, &shape, &values);
    e->trace->at_nodes = false;
    if (!fine) return false;
    *out = interpolation(e, values, &box, call->nodes, call->n, call->span);
    return true;
}

static Val table_node(Graph *g, DType dtype, const Shape *shape, const void *data, uint64_t hash) {
    Blob *blob = arena_new_of(g->arena, Blob);
    *blob = (Blob){dtype, *shape, data, hash};
    return graph_add(g, G_TABLE, NULL, 0, &(Attr){.blob = blob}, &(NodeType){dtype, *shape, false}, (Span){0});
}

/* The values as they lie in memory, or in another precision. */
static Val table_values(Eval *e, const Strategy *s, int n) {
    Graph *g = e->trace->graph;
    DType dtype = e->trace->precision;
    const Tensor *t = s->table ? s->table : tensor_of(e, shape_of(1, lookup_values(n, 0)), nothing);
    int64_t size = shape_size(&t->shape);
    if (t->dtype == dtype) return table_node(g, dtype, &t->shape, t->data, s->table_hash);
    void *data = arena_alloc(g->arena, (size_t)size * dtype_size(dtype));
    for (int64_t i = 0; i < size; i++) {
        if (dtype == DT_F64) ((double *)data)[i] = ((const float *)t->data)[i];
        else ((float *)data)[i] = (float)((const double *)t->data)[i];
    }
    return table_node(g, dtype, &t->shape, data, fnv1a(data, (size_t)size * dtype_size(dtype), FNV1A_START));
}

static Val table_index(Eval *e, const Strategy *s, int n) {
    static const int32_t one_block = 0;
    Shape one = {n, {1, n > 1, n > 2}};
    if (!s->index) return table_node(e->trace->graph, DT_I32, &one, &one_block, 0);
    return table_node(e->trace->graph, DT_I32, &s->index->shape, s->index->data, s->index_hash);
}

/* x < lo ? lo : hi < x ? hi : x; NaN passes. */
static Val clamped(Graph *g, Val x, Val lo, Val hi) {
    Val high = graph_3(g, G_SELECT, graph_2(g, G_LT, hi, x), graph_broadcast(g, hi, graph_node(g, x)->shape), x);
    return graph_3(g, G_SELECT, graph_2(g, G_LT, x, lo), graph_broadcast(g, lo, graph_node(g, x)->shape), high);
}

static bool table_call(Eval *e, const StrategyCall *call, const Strategy *s, Val *out) {
    Graph *g = e->trace->graph;
    Box box = box_known(e, s, call->n);
    Val x[STRATEGY_ARGUMENTS], inside = 0, exact;
    for (int j = 0; j < call->n; j++) {
        Val lo = element(g, box.lo, j), hi = element(g, box.hi, j);
        x[j] = call->nodes[j];
        if (s->outside == OUTSIDE_CLAMP) x[j] = clamped(g, x[j], lo, hi);
        Val within = graph_2(g, G_AND, graph_2(g, G_LE, lo, x[j]), graph_2(g, G_LE, x[j], hi));
        inside = inside ? graph_2(g, G_AND, inside, within) : within;
    }
    Val in[4 + STRATEGY_ARGUMENTS] = {table_values(e, s, call->n), table_index(e, s, call->n), box.lo, box.scale};
    memcpy(in + 4, x, sizeof *x * (size_t)call->n);
    *out = graph_add(g, G_LOOKUP, in, 4 + call->n, NULL, NULL, call->span);
    if (s->outside != OUTSIDE_EXACT) return true;
    if (!cell_exact(e, call, call->nodes, call->shape, &exact)) return false;
    *out = graph_3(g, G_SELECT, inside, *out, exact);
    return true;
}

static Val power(Graph *g, Val x, int exponent) {
    Val y = x;
    for (int i = 1; i < exponent; i++) y = graph_2(g, G_MUL, y, x);
    return y;
}

/* Term by term: c m, added in order; m = x1^a x2^b x3^c from left to right, powers by repeated multiplication. */
static Val polynomial(Eval *e, Val c, int first, int count, int exponent[FIT_TERMS][STRATEGY_ARGUMENTS],
                      const StrategyCall *call) {
    Graph *g = e->trace->graph;
    Val sum = 0;
    for (int i = 0; i < count; i++) {
        Val term = graph_broadcast(g, element(g, c, first + i), *call->shape);
        for (int j = 0; j < call->n; j++)
            if (exponent[i][j]) term = graph_2(g, G_MUL, term, power(g, call->nodes[j], exponent[i][j]));
        sum = sum ? graph_2(g, G_ADD, sum, term) : term;
    }
    return sum;
}

static bool fit_call(Eval *e, const StrategyCall *call, const Strategy *s, Val *out) {
    Graph *g = e->trace->graph;
    int exponent[FIT_TERMS][STRATEGY_ARGUMENTS], terms = fit_terms(call->n, s->degree, exponent);
    const Tensor *start = s->coefficients;
    if (!start) start = tensor_of(e, shape_of(1, (int64_t)fit_size(s, call->n)), nothing);
    int k = own_param(e, call->instance, "fit", false, start, call->span);
    Val c = trace_root(e->trace)->params.at[k].node;
    *out = polynomial(e, c, 0, terms, exponent, call);
    if (!s->rational || terms < 2) return true;
    Val bottom = graph_1(g, G_ABS, polynomial(e, c, terms, terms - 1, exponent, call));
    *out = graph_2(g, G_DIV, *out, graph_2(g, G_ADD, graph_const(g, e->trace->precision, 1), bottom));
    return true;
}

bool strategy_call(Eval *e, const StrategyCall *call, const Strategy *s, Val *out) {
    const CellForm *form = &call->instance->form;
    const char *name = call->instance->cell_type;
    if (call->n > STRATEGY_ARGUMENTS) {
        eval_diag(e, D_E0613, call->span, "%.*s needs 1 to %d arguments; %s has %d", (int)strcspn(s->asked, "["),
                  s->asked, STRATEGY_ARGUMENTS, name, call->n);
        return false;
    }
    if (form->places) {
        eval_diag(e, D_E0613, call->span,
                  "%s has parameters for each place where it is applied: it is no single function", name);
        return false;
    }
    switch (s->kind) {
    case STRATEGY_GRID: return grid_call(e, call, s, out);
    case STRATEGY_TABLE: return table_call(e, call, s, out);
    case STRATEGY_FIT: return fit_call(e, call, s, out);
    }
    return false;
}

/* ---- the states of boxes ---- */

/* Of an example first, which can be found while it is computed. */
static Val largest(Graph *g, Val x) {
    if (!graph_node(g, x)->batched) {
        NodeType type = graph_type(g, x);
        type.batched = true;
        x = graph_add(g, G_BROADCAST, &x, 1, NULL, &type, graph_node(g, x)->span);
    }
    int rank = graph_node(g, x)->shape.rank;
    if (rank) x = graph_reduce(g, G_MAXIMUM, x, (1u << rank) - 1);
    return graph_1(g, G_BATCH_MAXIMUM, x);
}

/* Widened by 1/16 of its width on each side; 1e-3 wide at least, around its middle. */
static void widen(Graph *g, DType dtype, Val *lo, Val *hi) {
    Val width = graph_2(g, G_SUB, *hi, *lo), margin = graph_2(g, G_DIV, width, graph_const(g, dtype, 16));
    Val a = graph_2(g, G_SUB, *lo, margin), b = graph_2(g, G_ADD, *hi, margin);
    Val middle = graph_2(g, G_MUL, graph_2(g, G_ADD, *lo, *hi), graph_const(g, dtype, 0.5));
    Val half = graph_const(g, dtype, 5e-4);
    Val narrow = graph_2(g, G_LT, graph_2(g, G_SUB, b, a), graph_const(g, dtype, 1e-3));
    *lo = graph_3(g, G_SELECT, narrow, graph_2(g, G_SUB, middle, half), a);
    *hi = graph_3(g, G_SELECT, narrow, graph_2(g, G_ADD, middle, half), b);
}

static Val pooled_box(Trace *t, const Instance *cell) {
    Graph *g = t->graph;
    int n = cell->uses.at[0].n;
    Val side[2 * STRATEGY_ARGUMENTS];
    for (int j = 0; j < n; j++) {
        Val lo = 0, hi = 0;
        for (int i = 0; i < cell->uses.len; i++) {
            Val x = cell->uses.at[i].x[j], most = largest(g, x), least = largest(g, graph_1(g, G_NEG, x));
            hi = hi ? graph_2(g, G_MAX, hi, most) : most;
            lo = lo ? graph_2(g, G_MAX, lo, least) : least;
        }
        lo = graph_1(g, G_NEG, lo);
        widen(g, t->precision, &lo, &hi);
        side[2 * j] = graph_reshape(g, lo, shape_of(1, (int64_t)1));
        side[2 * j + 1] = graph_reshape(g, hi, shape_of(1, (int64_t)1));
    }
    Val flat = graph_add(g, G_CONCAT, side, 2 * n, &(Attr){.axis = 0}, NULL, (Span){0});
    return graph_reshape(g, flat, shape_of(2, (int64_t)n, (int64_t)2));
}

bool trace_boxes(Eval *e, Trace *trace) {
    bool any = false;
    (void)e;
    for (int i = 0; i < trace->facts->cells.len; i++) {
        const Instance *cell = trace->facts->cells.at[i];
        if (!cell->uses.len) continue;
        trace->params.at[cell->box].next = pooled_box(trace, cell);
        any = true;
    }
    return any;
}
