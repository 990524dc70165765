/* graph.c -- building graphs: hash-consing, the way in (graph_add) and its short forms.
 *
 * Representation: nodes, operands and attributes lie in vectors of the arena; index_ is an open-addressing table
 * of node ids (0 = empty, capacity a power of two, at most 5/8 full) with the hash of each node beside it.
 * Invariants: two nodes never agree in op, type, normalised attributes and operands; node.at[0] and attr.at[0]
 * are zero; a node with all-zero attributes has attr 0. */
#include "graph/graph.h"
#include "graph/rules.h"

#include <assert.h>
#include <math.h>

struct GraphIndex {
    Span at;
    uint32_t *slot, slots, used;
    VEC(uint32_t) hash;
};

/* A violated requirement of graph_add is a mistake of the caller: stop with the reason. */
static _Noreturn void graph_refuse(const Graph *graph, Op op, const char *reason) {
    const char *text = arena_printf(graph->arena, "graph_add %s: %s", op_name(op), reason);
    __assert_fail(text, __FILE__, __LINE__, __func__);
}

Graph *graph_new(Arena *arena) {
    Graph *g = arena_new_of(arena, Graph);
    g->arena = arena;
    g->index_ = arena_new_of(arena, struct GraphIndex);
    vec_push(arena, &g->node, (Node){0});
    vec_push(arena, &g->attr, (Attr){0});
    vec_push(arena, &g->operand, 0);
    vec_push(arena, &g->index_->hash, 0);
    return g;
}

/* ---- hash-consing ---- */

static uint64_t mix(uint64_t h, uint64_t x) {
    h = (h ^ x) * UINT64_C(0x9e3779b97f4a7c15);
    return h ^ (h >> 29);
}

static uint64_t hash_attr(uint64_t h, const Attr *attr) {
    h = mix(h, (uint64_t)attr->i64);
    h = mix(h, (uint64_t)(uint32_t)attr->index << 32 | (uint32_t)attr->axis);
    h = mix(h, (uint64_t)(uint32_t)attr->mapped << 32 | attr->axes);
    for (int i = 0; i < MAX_RANK; i++) h = mix(h, (uint64_t)attr->starts[i]);
    const Window *w = &attr->window;
    for (int i = 0; i < MAX_PLACES && w->groups; i++)
        h = mix(mix(h, (uint64_t)(uint32_t)w->stride[i] << 32 | (uint32_t)w->pad[i]), (uint32_t)w->dilation[i]);
    h = mix(h, (uint64_t)(uint32_t)w->groups << 32 | (uint32_t)w->reversed);
    h = mix(h, attr->blob ? attr->blob->hash : 0);
    return mix(h, (uint64_t)(uintptr_t)attr->body);
}

static uint32_t hash_node(Op op, NodeType type, const Attr *attr, const Val *in, int nin) {
    uint64_t h = (uint64_t)op << 16 | (uint64_t)type.dtype << 8 | (uint64_t)type.batched;
    h = mix(h, (uint64_t)type.shape.rank << 32 | (uint64_t)nin);
    for (int i = 0; i < type.shape.rank; i++) h = mix(h, (uint64_t)type.shape.dim[i]);
    for (int i = 0; i < nin; i++) h = mix(h, in[i]);
    if (attr) h = hash_attr(h, attr);
    return (uint32_t)(h >> 32) ^ (uint32_t)h;
}

static bool blob_equal(const Blob *a, const Blob *b) {
    if (a == b) return true;
    if (!a || !b || a->hash != b->hash || a->dtype != b->dtype || !shape_equal(&a->shape, &b->shape)) return false;
    return memcmp(a->data, b->data, (size_t)shape_size(&a->shape) * dtype_size(a->dtype)) == 0;
}

bool attr_equal(const Attr *a, const Attr *b) {
    return a->i64 == b->i64 && a->index == b->index && a->axis == b->axis && a->mapped == b->mapped &&
           a->axes == b->axes && a->body == b->body && memcmp(a->starts, b->starts, sizeof a->starts) == 0 &&
           memcmp(&a->window, &b->window, sizeof a->window) == 0 && blob_equal(a->blob, b->blob);
}

static bool node_matches(const Graph *g, Val v, Op op, NodeType type, const Attr *attr, const Val *in, int nin) {
    static const Attr none;
    const Node *node = graph_node(g, v);
    if (node->op != op || node->dtype != type.dtype || node->batched != type.batched || node->nin != nin) return false;
    if (!shape_equal(&node->shape, &type.shape)) return false;
    if (nin && memcmp(&g->operand.at[node->in], in, sizeof(Val) * (size_t)nin) != 0) return false;
    return attr_equal(&g->attr.at[node->attr], attr ? attr : &none);
}

static void index_grow(Graph *g) {
    struct GraphIndex *x = g->index_;
    x->slots = x->slots ? x->slots * 2 : 64;
    x->slot = arena_array(g->arena, uint32_t, x->slots);
    for (uint32_t v = 1; v < (uint32_t)g->node.len; v++) {
        uint32_t i = x->hash.at[v] & (x->slots - 1);
        while (x->slot[i]) i = (i + 1) & (x->slots - 1);
        x->slot[i] = v;
    }
}

/* Only the attributes that the op uses are kept, floats are rounded to the dtype, every NaN is one NaN. */
static bool attr_normalise(Op op, NodeType type, const Attr *given, Attr *out) {
    uint32_t uses = attr_uses(op);
    *out = (Attr){0};
    if (!given || !uses) return false;
    if (uses & USES_VALUE) out->i64 = const_normal(type.dtype, given);
    if (uses & (USES_INDEX | USES_ZEROS)) out->index = given->index;
    if (uses & USES_AXIS) out->axis = given->axis;
    if (uses & USES_MAPPED) out->mapped = given->mapped;
    if (uses & USES_AXES) out->axes = given->axes;
    if (uses & USES_STARTS) memcpy(out->starts, given->starts, sizeof(int64_t) * (size_t)type.shape.rank);
    if (uses & USES_WINDOW) out->window = window_normal(&given->window, window_axes(op, type.shape.rank));
    if (uses & USES_BLOB) out->blob = given->blob;
    if (uses & USES_BODY) out->body = given->body;
    static const Attr none;
    return !attr_equal(out, &none);
}

int64_t const_normal(DType dtype, const Attr *attr) {
    Attr out = {0};
    if (dtype == DT_F32 || dtype == DT_F64) {
        out.f64 = isnan(attr->f64) ? (double)NAN : dtype == DT_F32 ? (double)(float)attr->f64 : attr->f64;
        if (isnan(out.f64)) out.i64 &= INT64_MAX;
    } else {
        out.i64 = dtype == DT_BOOL ? attr->i64 != 0 : (int32_t)(uint32_t)(uint64_t)attr->i64;
    }
    return out.i64;
}

static Val node_append(Graph *g, Op op, NodeType type, const Attr *attr, const Val *in, int nin, Span span) {
    Node node = {.op = (uint8_t)op, .dtype = (uint8_t)type.dtype, .batched = type.batched, .nin = (uint8_t)nin,
                 .in = (uint32_t)g->operand.len, .shape = type.shape, .span = span};
    for (int i = 0; i < nin; i++) vec_push(g->arena, &g->operand, in[i]);
    if (attr) {
        node.attr = (uint32_t)g->attr.len;
        vec_push(g->arena, &g->attr, *attr);
    }
    vec_push(g->arena, &g->node, node);
    return (Val)(g->node.len - 1);
}

Val graph_add(Graph *g, Op op, const Val *in, int nin, const Attr *attr, const NodeType *like, Span span) {
    NodeType type;
    const char *reason = "";
    if (!graph_infer(g, op, in, nin, attr, like, &type, &reason)) graph_refuse(g, op, reason);
    Attr normal;
    const Attr *kept = attr_normalise(op, type, attr, &normal) ? &normal : NULL;
    struct GraphIndex *x = g->index_;
    if ((x->used + 1) * 8 > x->slots * 5) index_grow(g);
    uint32_t hash = hash_node(op, type, kept, in, nin), i = hash & (x->slots - 1);
    for (; x->slot[i]; i = (i + 1) & (x->slots - 1))
        if (x->hash.at[x->slot[i]] == hash && node_matches(g, x->slot[i], op, type, kept, in, nin)) return x->slot[i];
    Val v = node_append(g, op, type, kept, in, nin, span);
    vec_push(g->arena, &x->hash, hash);
    x->slot[i] = v;
    x->used++;
    return v;
}

Val graph_find(const Graph *g, Op op, const Val *in, int nin, NodeType type) {
    const struct GraphIndex *x = g->index_;
    uint32_t hash = hash_node(op, type, NULL, in, nin), i = hash & (x->slots - 1);
    for (; x->slots && x->slot[i]; i = (i + 1) & (x->slots - 1))
        if (x->hash.at[x->slot[i]] == hash && node_matches(g, x->slot[i], op, type, NULL, in, nin)) return x->slot[i];
    return 0;
}

NodeType graph_type(const Graph *g, Val v) {
    const Node *node = graph_node(g, v);
    return (NodeType){(DType)node->dtype, node->shape, node->batched};
}

/* ---- short forms ---- */

void graph_at(Graph *g, Span span) { g->index_->at = span; }

static Val add_at(Graph *g, Op op, const Val *in, int nin, const Attr *attr, const NodeType *like) {
    return graph_add(g, op, in, nin, attr, like, g->index_->at);
}

Val graph_input(Graph *g, InputKind kind, int index, const char *name, NodeType type) {
    int i = 0;
    while (i < g->inputs.len && (g->inputs.at[i].kind != kind || g->inputs.at[i].index != index)) i++;
    if (i == g->inputs.len) {
        GraphInput input = {kind, index, name ? name : "", type.dtype, type.shape, type.batched};
        vec_push(g->arena, &g->inputs, input);
    }
    return add_at(g, G_INPUT, NULL, 0, &(Attr){.index = i}, &type);
}

void graph_output(Graph *g, OutputKind kind, int index, const char *name, Val value) {
    GraphOutput output = {kind, index, name ? name : "", value};
    vec_push(g->arena, &g->outputs, output);
}

Val graph_const(Graph *g, DType dtype, double x) {
    NodeType like = {.dtype = dtype};
    Attr attr = {.f64 = x};
    if (dtype == DT_I32 || dtype == DT_BOOL) attr.i64 = (int64_t)x;
    return add_at(g, G_CONST, NULL, 0, &attr, &like);
}

Val graph_int(Graph *g, int64_t x) {
    NodeType like = {.dtype = DT_I32};
    return add_at(g, G_CONST, NULL, 0, &(Attr){.i64 = x}, &like);
}

Val graph_1(Graph *g, Op op, Val a) { return add_at(g, op, &a, 1, NULL, NULL); }

/* The shape both are broadcast to: axes from the left, 1s and missing ones repeat. */
static Shape shape_join(const Shape *a, const Shape *b) {
    Shape out = a->rank >= b->rank ? *a : *b;
    for (int i = 0; i < out.rank; i++) {
        int64_t m = i < a->rank ? a->dim[i] : 1, n = i < b->rank ? b->dim[i] : 1;
        out.dim[i] = m == 1 ? n : m;
    }
    return out;
}

Val graph_2(Graph *g, Op op, Val a, Val b) {
    Shape shape = shape_join(&graph_node(g, a)->shape, &graph_node(g, b)->shape);
    Val in[2] = {graph_broadcast(g, a, shape), graph_broadcast(g, b, shape)};
    return add_at(g, op, in, 2, NULL, NULL);
}

Val graph_3(Graph *g, Op op, Val a, Val b, Val c) {
    Shape shape = shape_join(&graph_node(g, a)->shape, &graph_node(g, b)->shape);
    shape = shape_join(&shape, &graph_node(g, c)->shape);
    Val in[3] = {graph_broadcast(g, a, shape), graph_broadcast(g, b, shape), graph_broadcast(g, c, shape)};
    return add_at(g, op, in, 3, NULL, NULL);
}

Val graph_cast(Graph *g, Val a, DType dtype) {
    NodeType like = graph_type(g, a);
    if (like.dtype == dtype) return a;
    like.dtype = dtype;
    return add_at(g, G_CAST, &a, 1, NULL, &like);
}

static Val view_to(Graph *g, Op op, Val a, const Attr *attr, Shape shape) {
    NodeType like = graph_type(g, a);
    if (op != G_SLICE && op != G_PAD && shape_equal(&like.shape, &shape)) return a;
    like.shape = shape;
    return add_at(g, op, &a, 1, attr, &like);
}

Val graph_broadcast(Graph *g, Val a, Shape shape) { return view_to(g, G_BROADCAST, a, NULL, shape); }
Val graph_reshape(Graph *g, Val a, Shape shape) { return view_to(g, G_RESHAPE, a, NULL, shape); }

Val graph_slice(Graph *g, Val a, const int64_t *starts, Shape shape) {
    Attr attr = {0};
    memcpy(attr.starts, starts, sizeof(int64_t) * (size_t)shape.rank);
    return view_to(g, G_SLICE, a, &attr, shape);
}

Val graph_transpose(Graph *g, Val a, const int *axes) {
    Attr attr = {0};
    bool same = true;
    for (int i = 0; i < graph_node(g, a)->shape.rank; i++) {
        attr.starts[i] = axes[i];
        same = same && axes[i] == i;
    }
    return same ? a : add_at(g, G_TRANSPOSE, &a, 1, &attr, NULL);
}

Val graph_reduce(Graph *g, Op op, Val a, uint32_t axes) {
    if (!axes && op != G_BATCH_SUM) return a;
    return add_at(g, op, &a, 1, &(Attr){.axes = axes}, NULL);
}

Val graph_matmul(Graph *g, Val w, Val x, Val init) {
    Val in[3] = {w, x, init};
    return add_at(g, G_MATMUL, in, init ? 3 : 2, NULL, NULL);
}

Val graph_conv(Graph *g, Val w, Val x, Val init, const Window *window, const int64_t *places) {
    Val in[3] = {w, x, init};
    NodeType like = graph_type(g, x);
    like.shape.dim[0] = graph_node(g, w)->shape.dim[0];
    memcpy(like.shape.dim + 1, places, sizeof *places * (size_t)(like.shape.rank - 1));
    return add_at(g, G_CONV, in, init ? 3 : 2, &(Attr){.window = *window}, &like);
}

Val graph_proj(Graph *g, Val map, int k) { return add_at(g, G_PROJ, &map, 1, &(Attr){.index = k}, NULL); }

Val graph_noise(Graph *g, Op op, NodeType type, const char *key_name) {
    int k = 0;
    while (k < g->key_names.len && strcmp(g->key_names.at[k], key_name) != 0) k++;
    if (k == g->key_names.len) {
        vec_push(g->arena, &g->key_names, key_name);
        g->keys = g->key_names.len;
    }
    return add_at(g, op, NULL, 0, &(Attr){.index = k}, &type);
}
