/* region.c -- see region.h: analysis, index arithmetic, reading and storing. */
#include "kernel/region.h"

enum {
    MAX_DEPTH = 40,
    SHORT_AXIS = 4                         /* nests may be written out along it */
};

int64_t region_size(const Region *r, Val v) { return shape_size(&graph_node(r->graph, v)->shape); }
static Op op_of(const Region *r, Val v) { return (Op)graph_node(r->graph, v)->op; }
static Val in_of(const Region *r, Val v, int k) { return graph_in(r->graph, v, k); }

bool is_elementwise(Op op) {
    OpClass class = op_class(op);
    return class == CLASS_UNARY || class == CLASS_BINARY || class == CLASS_TERNARY;
}

bool is_flat_view(const Region *r, Val v) {
    return op_of(r, v) == G_RESHAPE || (op_of(r, v) == G_BROADCAST &&
                                        region_size(r, v) == region_size(r, in_of(r, v, 0)) &&
                                        r->info[v].varies == r->info[in_of(r, v, 0)].varies);
}

bool is_summed(const Region *r, Val v) {
    if (r->body) return false;
    if (op_class(op_of(r, v)) == CLASS_BATCH) return true;
    return op_of(r, v) == G_PROJ && r->info[in_of(r, v, 0)].varies && !r->info[v].varies;
}

Val region_base(const Region *r, Val v) {
    while (is_flat_view(r, v)) v = in_of(r, v, 0);
    return v;
}

/* ---- what varies, what is used ---- */

static bool body_varies(const Region *r, Val v, const bool *input_varies) {
    if (op_of(r, v) == G_INPUT) {
        int index = graph_attr(r->graph, v)->index;
        return input_varies ? input_varies[index] : r->graph->inputs.at[index].kind == IN_MAPPED;
    }
    for (int k = 0; k < graph_node(r->graph, v)->nin; k++)
        if (r->info[in_of(r, v, k)].varies) return true;
    return false;
}

static void find_live(Region *r, const bool *wanted) {
    for (int k = 0; k < r->graph->outputs.len; k++) {
        if (wanted && !wanted[k]) continue;
        r->info[r->graph->outputs.at[k].value].live = true;
        r->info[r->graph->outputs.at[k].value].uses++;
    }
    for (Val v = (Val)r->graph->node.len - 1; v > 0; v--) {
        for (int k = 0; r->info[v].live && k < graph_node(r->graph, v)->nin; k++) {
            r->info[in_of(r, v, k)].live = true;
            r->info[in_of(r, v, k)].uses++;
        }
    }
}

/* ---- what is stored ---- */

static bool is_leaf(const Region *r, Val v) {
    Op op = op_of(r, v);
    return op == G_CONST || op == G_TABLE || op == G_IOTA || (op == G_INPUT && !r->info[v].varies);
}

static bool is_view(Op op) { return op == G_BROADCAST || op == G_RESHAPE || op == G_TRANSPOSE || op == G_SLICE; }

/* Kept in memory below its flat views (or a leaf that is memory already). */
static void need(Region *r, Val v) {
    v = region_base(r, v);
    if (!is_leaf(r, v) || op_of(r, v) == G_IOTA) r->info[v].stored = true;
}

static void need_below_views(Region *r, Val v) {
    while (is_view(op_of(r, v))) v = in_of(r, v, 0);
    if (!is_leaf(r, v)) r->info[v].stored = true;
}

bool is_joined(const Region *r, Val v) { return op_of(r, v) == G_BATCH_CONV && conv_weight_is_tiled(r, v); }

/* Of a SCAN's operand: its turns are reached by pointers. */
static void need_in_memory(Region *r, Val v) {
    v = region_base(r, v);
    bool slot = op_of(r, v) == G_INPUT && r->graph->inputs.at[graph_attr(r->graph, v)->index].kind == IN_BLOCK;
    if (!slot) r->info[v].stored = true;
}

static bool always_stored(const Region *r, Val v) {
    const Node *node = graph_node(r->graph, v);
    switch (op_class((Op)node->op)) {
    case CLASS_LEAF: return node->op == G_NOISE || node->op == G_NORMAL || (node->op == G_INPUT && r->info[v].varies);
    case CLASS_UNARY: case CLASS_BINARY: case CLASS_TERNARY: return false;
    case CLASS_VIEW: return !is_view((Op)node->op) && !is_summed(r, v);
    case CLASS_REDUCE: return true;
    case CLASS_BATCH: return is_outer_tiled(r, v) || is_joined(r, v);
    case CLASS_CONTRACT: return node->op != G_OUTER;
    case CLASS_REGION: return r->body;
    }
    return true;
}

static bool computed_again(const Region *r, Val v);

/* Worth keeping if it is read twice. */
static bool is_computed(const Region *r, Val v) {
    Op op = op_of(r, v);
    return is_elementwise(op) || op == G_OUTER || is_table(op) || is_summed(r, v);
}

static void store_for_user(Region *r, Val u, int k) {
    Val v = in_of(r, u, k);
    Op op = op_of(r, u);
    bool computed = is_computed(r, v);
    Affine a;
    switch (op_class(op)) {
    case CLASS_BATCH: case CLASS_REGION:
        if (op == G_SCAN) need_in_memory(r, v);
        else if (op == G_BATCH_INTERPOLATE ? k == 1 || k == 2 : op != G_BATCH_MAXIMUM) need(r, v);
        break;
    case CLASS_CONTRACT:
        if (is_table(op)) {
            if (k < (op == G_LOOKUP ? 4 : 3) && !r->info[v].varies) need(r, v);
        } else if (op != G_OUTER && k == 0 && !r->info[v].varies && affine_of(r, v, &a)) need_below_views(r, v);
        else need(r, v);
        break;
    case CLASS_VIEW:
        if (op == G_PICK || op == G_EMBED) need(r, v);
        else if (op == G_BROADCAST && region_size(r, u) > region_size(r, v)) need(r, v);
        else if (is_view(op) && r->info[u].uses > 1 && computed && !computed_again(r, region_base(r, v))) need(r, v);
        break;
    case CLASS_UNARY: case CLASS_BINARY: case CLASS_TERNARY:
        if (!r->info[u].varies && !r->body && region_size(r, u) > 1 && is_view(op_of(r, v)) && !is_flat_view(r, v) &&
            region_size(r, in_of(r, v, 0)) > 1) r->info[v].stored = true;
        if (!r->info[u].varies && op_of(r, v) == G_IOTA) r->info[v].stored = true;
        break;
    case CLASS_LEAF: case CLASS_REDUCE: break;
    }
    if (r->info[u].varies && !r->info[v].varies) need_below_views(r, v);
}

/* ---- what is computed again rather than kept: big, cheap, and made of no more than one kept value of its size ---- */

enum { AGAIN_FROM = 4096, AGAIN_OPS = 4 };

static bool is_cheap(Op op) {
    return op == G_NEG || op == G_ABS || op == G_NOT || op == G_ADD || op == G_SUB || op == G_MUL || op == G_MAX ||
           op == G_MIN || op == G_LT || op == G_LE || op == G_EQ || op == G_NE || op == G_AND || op == G_OR ||
           op == G_SELECT;
}

/* Looks below v for the values of its size that it is made of. */
static bool made_of_one(const Region *r, Val v, int64_t size, int *ops, Val *base) {
    for (int k = 0; k < graph_node(r->graph, v)->nin; k++) {
        Val in = region_base(r, in_of(r, v, k));
        Op op = op_of(r, in);
        if (op == G_BROADCAST && region_size(r, in_of(r, in, 0)) == 1) continue;
        if (op == G_CONST || region_size(r, in) == 1) continue;
        if (region_size(r, in) != size || !r->info[in].varies) return false;
        if (is_cheap(op) && *ops > 0) {
            --*ops;
            if (!made_of_one(r, in, size, ops, base)) return false;
            continue;
        }
        bool kept = always_stored(r, in) || (is_elementwise(op) && !is_cheap(op) && r->info[in].uses > 1);
        if (!kept || (*base && *base != in)) return false;
        *base = in;
    }
    return true;
}

static bool computed_again(const Region *r, Val v) {
    Val base = 0;
    int ops = AGAIN_OPS;
    return !r->body && r->lanes == 16 && r->info[v].varies && region_size(r, v) >= AGAIN_FROM &&
           is_cheap(op_of(r, v)) && made_of_one(r, v, region_size(r, v), &ops, &base);
}

/* ---- PADs that are read in place: by nests that take the axes it pads one index at a time ---- */

uint32_t region_padded(const Region *r, Val v) {
    uint32_t axes = 0;
    if (r->info[v].stored) return 0;
    const Shape *shape = &graph_node(r->graph, v)->shape;
    if (op_of(r, v) == G_PAD) {
        for (int k = 0; k < shape->rank; k++)
            axes |= (uint32_t)(shape->dim[k] != graph_node(r->graph, in_of(r, v, 0))->shape.dim[k]) << k;
        return axes;
    }
    for (int k = 0; is_elementwise(op_of(r, v)) && k < graph_node(r->graph, v)->nin; k++)
        axes |= region_padded(r, in_of(r, v, k));
    return axes;
}

/* Short axes alone, as those of a cell's arguments. */
static bool pads_short_axes(const Region *r, Val v) {
    const Shape *to = &graph_node(r->graph, v)->shape, *from = &graph_node(r->graph, in_of(r, v, 0))->shape;
    for (int k = 0; k < to->rank; k++)
        if (to->dim[k] != from->dim[k] && to->dim[k] > SHORT_AXIS) return false;
    return !r->body && r->info[v].varies && r->info[v].uses == 1;
}

static void inline_pads(Region *r) {
    for (Val u = 1; u < (Val)r->graph->node.len; u++)
        for (int k = 0; r->info[u].live && is_elementwise(op_of(r, u)) && k < graph_node(r->graph, u)->nin; k++) {
            Val v = in_of(r, u, k);
            if (op_of(r, v) == G_PAD && pads_short_axes(r, v)) r->info[v].stored = false;
        }
}

/* What is made of them is read element by element at the same index, or kept. */
static void keep_padded(Region *r) {
    for (Val u = 1; u < (Val)r->graph->node.len; u++)
        for (int k = 0; r->info[u].live && !is_elementwise(op_of(r, u)) && k < graph_node(r->graph, u)->nin; k++)
            if (region_padded(r, in_of(r, u, k))) r->info[in_of(r, u, k)].stored = true;
}

static void find_stored(Region *r) {
    for (Val v = 1; v < (Val)r->graph->node.len; v++)
        if (r->info[v].live && always_stored(r, v)) r->info[v].stored = true;
    inline_pads(r);
    for (Val u = 1; u < (Val)r->graph->node.len; u++) {
        if (!r->info[u].live) continue;
        bool computed = is_computed(r, u);
        if (computed && r->info[u].uses > 1 && !computed_again(r, u)) r->info[u].stored = true;
        for (int k = 0; k < graph_node(r->graph, u)->nin; k++) store_for_user(r, u, k);
    }
    for (int k = 0; k < r->graph->outputs.len; k++) {
        OutputKind kind = r->graph->outputs.at[k].kind;
        Val v = r->graph->outputs.at[k].value;
        const GraphInput *input = op_of(r, v) == G_INPUT ? &r->graph->inputs.at[graph_attr(r->graph, v)->index] : NULL;
        bool kept = input && input->kind == IN_BLOCK && kind == OUT_BLOCK &&
            input->index == r->graph->outputs.at[k].index;
        if (!r->info[v].live) continue;
        if (kind == OUT_SUMMED && op_of(r, v) == G_OUTER) {
            need(r, in_of(r, v, 0));
            need(r, in_of(r, v, 1));
        } else if (kind == OUT_ROWS || kind == OUT_MAPPED || kind == OUT_SUMMED) need(r, v);
        else if (!kept) r->info[v].stored = true;
    }
    keep_padded(r);
    for (Val v = 1; v < (Val)r->graph->node.len; v++) {
        Info *info = &r->info[v];
        if (info->stored || !info->live) continue;
        for (int k = 0; k < graph_node(r->graph, v)->nin; k++) {
            const Info *in = &r->info[in_of(r, v, k)];
            if (!in->stored && in->depth >= info->depth) info->depth = in->depth + 1;
        }
        if (info->depth > MAX_DEPTH && op_of(r, v) != G_MAP && op_of(r, v) != G_SCAN) {
            info->stored = true;
            info->depth = 0;
        }
    }
}

void region_analyse(Region *r, Plan *plan, const Graph *graph, bool body, const bool *wanted,
                    const bool *input_varies) {
    *r = (Region){.plan = plan, .graph = graph, .lanes = plan->lanes, .body = body};
    r->info = arena_array(plan->arena, Info, graph->node.len);
    r->memo = arena_array(plan->arena, struct Memo, graph->node.len);
    for (Val v = 1; v < (Val)graph->node.len; v++)
        r->info[v].varies = body ? body_varies(r, v, input_varies) : graph_node(graph, v)->batched;
    find_live(r, wanted);
    find_stored(r);
}

typedef struct Reads { void (*read)(void *data, Val v, bool same); void *data; } Reads;

static void reads_of(const Region *r, Val v, bool same, const Reads *reads) {
    const Node *node = graph_node(r->graph, v);
    if (is_summed(r, v)) return;
    if (node->op == G_INPUT) reads->read(reads->data, v, same);
    for (int k = 0; k < node->nin; k++) {
        Val in = in_of(r, v, k);
        bool still = same && (is_elementwise((Op)node->op) || is_flat_view(r, v));
        if ((op_of(r, in) == G_MAP || op_of(r, in) == G_SCAN) && !r->body) continue;
        if (r->info[in].stored || op_of(r, in) == G_INPUT) reads->read(reads->data, in, still);
        else reads_of(r, in, still, reads);
    }
}

void region_reads(const Region *r, Val root, void (*read)(void *data, Val v, bool same), void *data) {
    Reads reads = {read, data};
    Val in = is_whole_reduction(r, root) ? in_of(r, root, 0) : root;
    if (in != root && (r->info[in].stored || op_of(r, in) == G_INPUT)) read(data, in, true);
    else reads_of(r, in, true, &reads);
}

void region_reads_summed(const Region *r, Val root, void (*read)(void *data, Val v, bool same), void *data) {
    Reads reads = {read, data};
    for (int k = 0; k < graph_node(r->graph, root)->nin; k++) {
        Val in = in_of(r, root, k);
        if (r->info[in].stored || op_of(r, in) == G_INPUT) read(data, in, false);
        else reads_of(r, in, false, &reads);
    }
}

/* ---- indices ---- */

KVal ix_value(Gen *g, Ix ix) {
    if (!ix.var) return gen_i64(g, ix.add);
    return ix.add ? gen_2(g, K_ADD, ix.var, gen_i64(g, ix.add)) : ix.var;
}

Ix ix_plus(Gen *g, Ix a, Ix b) {
    KVal var = !a.var ? b.var : !b.var ? a.var : gen_2(g, K_ADD, a.var, b.var);
    return (Ix){var, a.add + b.add};
}

Ix ix_times(Gen *g, Ix a, int64_t by) {
    if (by == 0) return (Ix){0, 0};
    return (Ix){a.var && by != 1 ? gen_2(g, K_MUL, a.var, gen_i64(g, by)) : a.var, a.add * by};
}

static Ix ix_divide(Gen *g, Ix a, int64_t by, bool rest) {
    if (!a.var) return (Ix){0, rest ? a.add % by : a.add / by};
    if (by == 1) return rest ? (Ix){0, 0} : a;
    return (Ix){gen_2(g, rest ? K_REM : K_DIV, ix_value(g, a), gen_i64(g, by)), 0};
}

Index index_flat(Ix f) { return (Index){.flat = true, .f = f}; }

Ix ix_flat(Ctx *c, const Shape *shape, const Index *at) {
    if (at->flat) return at->f;
    Ix flat = {0, 0};
    int64_t stride = 1;
    for (int k = shape->rank - 1; k >= 0; k--) {
        if (shape->dim[k] > 1) flat = ix_plus(&c->g, flat, ix_times(&c->g, at->m[k], stride));
        stride *= shape->dim[k];
    }
    return flat;
}

static Index unflat(Ctx *c, const Shape *shape, const Index *at) {
    if (!at->flat) return *at;
    Index multi = {.flat = false};
    Ix rest = at->f;
    int axes = 0;
    for (int k = 0; k < shape->rank; k++) axes += shape->dim[k] > 1;
    for (int k = shape->rank - 1; k >= 0; k--) {
        if (shape->dim[k] == 1) continue;
        multi.m[k] = axes == 1 ? rest : ix_divide(&c->g, rest, shape->dim[k], true);
        if (--axes) rest = ix_divide(&c->g, rest, shape->dim[k], false);
    }
    return multi;
}

/* ---- contexts ---- */

Ctx ctx_new(Region *r, Gen g, int lanes) {
    return (Ctx){.r = r, .g = g, .lanes = lanes};
}

void ctx_fresh(Ctx *c, const Index *own) {
    c->own = own;
    c->r->stamp++;
}

void ctx_keep(Ctx *c, Val v, KVal x) { c->r->memo[v] = (struct Memo){x, c->r->stamp}; }

KVal ctx_entry(Ctx *c, int entry) {
    for (int k = 0; k < c->moves; k++)
        if (c->moved[k].entry == entry) return c->moved[k].at;
    return k_arg(c->g.m, c->g.f, entry);
}

KVal ctx_kind(Ctx *c, EntryKind kind, int index) { return ctx_entry(c, plan_entry(c->r->plan, kind, index)); }
KVal ctx_shape(Ctx *c, int what) {
    return k_load(c->g.m, c->g.f, KT(I64), ctx_kind(c, ENTRY_SHAPE, 0), gen_i64(&c->g, what));
}

Ix loop_begin(Ctx *c, int64_t n) {
    if (n == 1) return (Ix){0, 0};
    return (Ix){k_for(c->g.m, c->g.f, gen_i64(&c->g, 0), gen_i64(&c->g, n), 1), 0};
}

void loop_end(Ctx *c, int64_t n) {
    if (n != 1) k_end(c->g.m, c->g.f);
}

/* ---- memory ---- */

Ix home_index(Ctx *c, const Home *home, Ix flat) {
    Ix vec = ix_times(&c->g, home->global ? c->global : c->local, home->vec);
    return ix_plus(&c->g, vec, ix_times(&c->g, flat, home->elem));
}

static KType element_type(Ctx *c, Val v, int lanes) {
    return (KType){gen_scalar((DType)graph_node(c->r->graph, v)->dtype), (uint8_t)lanes};
}

static KVal load_at(Ctx *c, KType type, KVal pointer, Ix at) {
    return k_load(c->g.m, c->g.f, type, pointer, ix_value(&c->g, at));
}

/* Lanes of a value that does not vary. */
static int dense_lanes(const Ctx *c, Val v) { return c->wide && region_size(c->r, v) == c->wide_size ? 16 : 1; }
static int lanes_at(const Ctx *c, Val v) { return c->r->rows || !c->r->info[v].varies ? dense_lanes(c, v) : c->lanes; }

static KVal load_input(Ctx *c, Val v, Ix flat) {
    const GraphInput *input = &c->r->graph->inputs.at[graph_attr(c->r->graph, v)->index];
    Index at = index_flat(flat);
    switch (input->kind) {
    case IN_BLOCK: return load_at(c, element_type(c, v, dense_lanes(c, v)), ctx_kind(c, ENTRY_BLOCK, input->index),
                                  flat);
    case IN_SETTING: return load_at(c, KT(F64), ctx_kind(c, ENTRY_SETTINGS, 0), (Ix){0, input->index});
    case IN_STEP: return k_cast(c->g.m, c->g.f, KT(I32), ctx_shape(c, 0));
    case IN_BATCH: return k_cast(c->g.m, c->g.f, KT(I32), ctx_shape(c, 1));
    case IN_MAPPED: return c->mapped(c, input->index);
    case IN_SHARED:
        return pull(c->outer, graph_in(c->outer->r->graph, c->map,
                                       graph_attr(c->outer->r->graph, c->map)->mapped + input->index), &at);
    case IN_ROWS: case IN_CARRY: case IN_SLICE: case IN_SLICE_BACK: case IN_WHOLE: break;
    }
    return 0;
}

static KVal load_table(Ctx *c, Val v, Ix flat) {
    const Blob *blob = graph_attr(c->r->graph, v)->blob;
    size_t bytes = (size_t)shape_size(&blob->shape) * dtype_size(blob->dtype);
    KVal data = k_data(c->g.m, c->g.f, kmodule_data(c->g.m, blob->data, bytes));
    return load_at(c, element_type(c, v, dense_lanes(c, v)), data, flat);
}

static KVal load_leaf(Ctx *c, Val v, Ix flat) {
    if (op_of(c->r, v) == G_CONST) return gen_const(&c->g, c->r->graph, v);
    return op_of(c->r, v) == G_INPUT ? load_input(c, v, flat) : load_table(c, v, flat);
}

KVal load_value(Ctx *c, Val v, Ix flat) {
    const Info *info = &c->r->info[v];
    if (!info->stored) return load_leaf(c, v, flat);
    if (info->varies) flat = home_index(c, &info->home, flat);
    return load_at(c, element_type(c, v, lanes_at(c, v)), ctx_entry(c, info->home.entry), flat);
}

KVal load_lane(Ctx *c, Val v, Ix flat, Ix lane) {
    const Info *info = &c->r->info[v];
    if (!info->varies) return load_value(c, v, flat);
    Ix at = ix_plus(&c->g, home_index(c, &info->home, flat), lane);
    return load_at(c, element_type(c, v, 1), ctx_entry(c, info->home.entry), at);
}

void store_value(Ctx *c, Val v, Ix flat, KVal x) {
    const Info *info = &c->r->info[v];
    if (info->varies) flat = home_index(c, &info->home, flat);
    x = gen_widen(&c->g, x, lanes_at(c, v));
    k_store(c->g.m, c->g.f, ctx_entry(c, info->home.entry), ix_value(&c->g, flat), x);
}

/* ---- reading through inline nodes ---- */

/* The shards' sums in index order. */
static KVal combine(Ctx *c, Val v, Ix flat) {
    KType type = element_type(c, v, dense_lanes(c, v));
    KVal from = ctx_entry(c, c->r->info[v].partial);
    KVal shards = gen_2(&c->g, K_SHR, gen_2(&c->g, K_ADD, ctx_shape(c, 1), gen_i64(&c->g, SHARD - 1)),
                        gen_i64(&c->g, 5));
    KVal first = load_at(c, type, from, flat), at = ix_value(&c->g, flat);
    Op join = op_of(c->r, v) == G_BATCH_MAXIMUM ? G_MAXIMUM : G_SUM;
    KVal shard = k_for(c->g.m, c->g.f, gen_i64(&c->g, 1), shards, 1), sum = k_carry(c->g.m, c->g.f, first);
    Ix here = ix_plus(&c->g, ix_times(&c->g, (Ix){shard, 0}, region_size(c->r, v)), (Ix){at, 0});
    k_next(c->g.m, c->g.f, gen_join(&c->g, join, sum, load_at(c, type, from, here)));
    k_end(c->g.m, c->g.f);
    return k_result(c->g.m, c->g.f, 0, type);
}

/* Whether a RESHAPE only splits axes (and adds or drops 1s). */
static bool splits(const Shape *from, const Shape *to) {
    int j = 0;
    for (int i = 0; i < from->rank; i++) {
        int64_t n = 1;
        while (n < from->dim[i] && j < to->rank) n *= to->dim[j++];
        if (n != from->dim[i]) return false;
    }
    while (j < to->rank && to->dim[j] == 1) j++;
    return j == to->rank;
}

/* Its operand's index: sums of products, no division. */
static Index split_index(Ctx *c, const Shape *from, const Shape *to, const Index *at) {
    Index out = {.flat = false};
    for (int i = 0, j = 0; i < from->rank; i++) {
        Ix sum = {0, 0};
        for (int64_t n = 1; n < from->dim[i]; n *= to->dim[j++])
            sum = ix_plus(&c->g, ix_times(&c->g, sum, to->dim[j]), to->dim[j] > 1 ? at->m[j] : (Ix){0, 0});
        out.m[i] = sum;
    }
    return out;
}

/* Whether something inline at or below v asks for an index by axes. */
static bool asks_axes(const Region *r, Val v) {
    Op op = op_of(r, v);
    if (r->info[v].stored || is_summed(r, v)) return false;
    if (op == G_IOTA || op == G_OUTER) return true;
    if (is_view(op) && !is_flat_view(r, v)) return region_size(r, in_of(r, v, 0)) > 1;
    if (!is_view(op) && !is_elementwise(op)) return false;
    for (int k = 0; k < graph_node(r->graph, v)->nin; k++)
        if (asks_axes(r, in_of(r, v, k))) return true;
    return false;
}

/* As split_index where v joins axes of its operand: a division for each that is joined. */
static Index joined_index(Ctx *c, const Shape *from, const Shape *to, const Index *at) {
    Index out = {.flat = false};
    for (int i = 0, j = 0; i < to->rank; i++) {
        int first = j;
        for (int64_t n = 1; n < to->dim[i]; j++) n *= from->dim[j];
        Ix rest = at->m[i];
        for (int k = j - 1; k >= first; k--) {
            out.m[k] = k == first ? rest : ix_divide(&c->g, rest, from->dim[k], true);
            if (k > first) rest = ix_divide(&c->g, rest, from->dim[k], false);
        }
    }
    return out;
}

static KVal pull_view(Ctx *c, Val v, const Index *at) {
    Val in = in_of(c->r, v, 0);
    const Shape *from = &graph_node(c->r->graph, in)->shape, *shape = &graph_node(c->r->graph, v)->shape;
    const Attr *attr = graph_attr(c->r->graph, v);
    if (is_flat_view(c->r, v)) {
        if (at->flat && at == c->own) return pull(c, in, at);
        if (op_of(c->r, v) == G_RESHAPE && !c->r->info[in].stored && !at->flat && splits(from, shape)) {
            Index parts = split_index(c, from, shape, at);
            return pull(c, in, &parts);
        }
        if (op_of(c->r, v) == G_RESHAPE && !at->flat && splits(shape, from) && asks_axes(c->r, in)) {
            Index parts = joined_index(c, from, shape, at);
            return pull(c, in, &parts);
        }
        Index flat = index_flat(ix_flat(c, shape, at));
        return pull(c, in, &flat);
    }
    Index inner = {.flat = false};
    if (shape_size(from) > 1) {
        Index multi = unflat(c, shape, at);
        for (int k = 0; k < from->rank; k++) {
            if (op_of(c->r, v) == G_TRANSPOSE) inner.m[attr->starts[k]] = multi.m[k];
            else inner.m[k] = from->dim[k] == 1 ? (Ix){0, 0} : multi.m[k];
            if (op_of(c->r, v) == G_SLICE) inner.m[k].add += attr->starts[k];
        }
    } else {
        inner = index_flat((Ix){0, 0});
    }
    return pull(c, in, &inner);
}

/* Of an index that is known along the axes it pads. */
static KVal pull_pad(Ctx *c, Val v, const Index *at) {
    Val in = in_of(c->r, v, 0);
    const Shape *from = &graph_node(c->r->graph, in)->shape;
    const Node *node = graph_node(c->r->graph, v);
    Index inner = *at;
    for (int k = 0; k < from->rank; k++) {
        int64_t start = graph_attr(c->r->graph, v)->starts[k];
        if (from->dim[k] == node->shape.dim[k]) continue;
        inner.m[k].add -= start;
        if (inner.m[k].add < 0 || inner.m[k].add >= from->dim[k])
            return gen_widen(&c->g, gen_number(&c->g, (DType)node->dtype, 0), c->lanes);
    }
    return pull(c, in, &inner);
}

static KVal pull_outer(Ctx *c, Val v, const Index *at) {
    Index multi = unflat(c, &graph_node(c->r->graph, v)->shape, at), a = index_flat(multi.m[0]),
        b = index_flat(multi.m[1]);
    return gen_2(&c->g, K_MUL, pull(c, in_of(c->r, v, 0), &a), pull(c, in_of(c->r, v, 1), &b));
}

static KVal pull_iota(Ctx *c, Val v, const Index *at) {
    Index multi = unflat(c, &graph_node(c->r->graph, v)->shape, at);
    return k_cast(c->g.m, c->g.f, KT(I32), ix_value(&c->g, multi.m[graph_attr(c->r->graph, v)->axis]));
}

KVal compute(Ctx *c, Val v, const Index *at) {
    const Node *node = graph_node(c->r->graph, v);
    Op op = (Op)node->op;
    if (is_elementwise(op)) {
        KVal in[3];
        for (int k = 0; k < node->nin; k++) in[k] = pull(c, in_of(c->r, v, k), at);
        return gen_elementwise(&c->g, op, (DType)node->dtype, in);
    }
    if (is_summed(c->r, v)) return combine(c, v, ix_flat(c, &node->shape, at));
    if (is_view(op)) return pull_view(c, v, at);
    if (op == G_CONST) return gen_const(&c->g, c->r->graph, v);
    if (op == G_OUTER) return pull_outer(c, v, at);
    if (op == G_PAD) return pull_pad(c, v, at);
    if (is_table(op)) return interpolate(c, v, at);
    if (op == G_IOTA) return pull_iota(c, v, at);
    return load_leaf(c, v, ix_flat(c, &node->shape, at));
}

KVal pull(Ctx *c, Val v, const Index *at) {
    bool own = at == c->own;
    if (own && c->r->memo[v].stamp == c->r->stamp) return c->r->memo[v].value;
    KVal x = c->r->info[v].stored ? load_value(c, v, ix_flat(c, &graph_node(c->r->graph, v)->shape, at))
        : compute(c, v, at);
    if (own) ctx_keep(c, v, x);
    return x;
}

/* ---- strides ---- */

static bool same_but_ones(const Shape *a, const Shape *b) {
    int i = 0, j = 0;
    for (;; i++, j++) {
        while (i < a->rank && a->dim[i] == 1) i++;
        while (j < b->rank && b->dim[j] == 1) j++;
        if (i == a->rank || j == b->rank) return i == a->rank && j == b->rank;
        if (a->dim[i] != b->dim[j]) return false;
    }
}

static void dense_strides(const Shape *shape, Affine *a) {
    int64_t n = 1;
    for (int k = shape->rank - 1; k >= 0; k--) {
        a->stride[k] = n;
        n *= shape->dim[k];
    }
}

/* A flat view of strided elements: fits if it only adds or drops axes of 1. */
static bool affine_reshape(const Shape *from, const Shape *to, Affine *a) {
    Affine in = *a;
    if (!same_but_ones(from, to)) return false;
    for (int i = 0, j = 0; j < to->rank; j++) {
        a->stride[j] = 0;
        if (to->dim[j] == 1) continue;
        while (from->dim[i] == 1) i++;
        a->stride[j] = in.stride[i++];
    }
    return true;
}

bool affine_of(const Region *r, Val v, Affine *a) {
    const Shape *shape = &graph_node(r->graph, v)->shape;
    const Attr *attr = graph_attr(r->graph, v);
    if (r->info[v].varies) return false;
    if (r->info[v].stored || !is_view(op_of(r, v))) {
        *a = (Affine){.source = v};
        dense_strides(shape, a);
        return op_of(r, v) != G_CONST;
    }
    Val in = in_of(r, v, 0);
    const Shape *from = &graph_node(r->graph, in)->shape;
    if (is_flat_view(r, v) && (r->info[in].stored || !is_view(op_of(r, in)))) {
        *a = (Affine){.source = in};
        dense_strides(shape, a);
        return op_of(r, in) != G_CONST;
    }
    if (!affine_of(r, in, a)) return false;
    if (is_flat_view(r, v)) return affine_reshape(from, shape, a);
    Affine whole = *a;
    for (int k = 0; k < MAX_RANK; k++) {
        bool repeats = op_of(r, v) == G_BROADCAST && (k >= from->rank || from->dim[k] == 1);
        a->stride[k] = repeats || k >= shape->rank ? 0 : whole.stride[op_of(r, v) == G_TRANSPOSE ? attr->starts[k] : k];
        if (op_of(r, v) == G_SLICE && k < shape->rank) a->off += attr->starts[k] * whole.stride[k];
    }
    return true;
}
