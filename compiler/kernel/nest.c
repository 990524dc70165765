/* nest.c -- loop nests that compute one stored node, for one vector of lanes: 16 examples, 16 points, or a scalar. */
#include "kernel/region.h"

enum {
    UNROLLED_TREE = 12,                /* inline ops per element up to which a reduction is unrolled 16 times */
    FEATURES = 4,                      /* chains side by side */
    MAX_ALONG = 8                      /* reductions in a nest */
};

static const Node *node_of(const Ctx *c, Val v) { return graph_node(c->r->graph, v); }
static Val in_of(const Ctx *c, Val v, int k) { return graph_in(c->r->graph, v, k); }
static const Shape *shape_at(const Ctx *c, Val v) { return &node_of(c, v)->shape; }

bool is_nest_elementwise(const Region *r, Val v) {
    Op op = (Op)graph_node(r->graph, v)->op;
    return is_elementwise(op) || op == G_OUTER || is_table(op) || op == G_BROADCAST || op == G_RESHAPE ||
           op == G_TRANSPOSE || op == G_SLICE || op == G_CONST || op == G_TABLE || op == G_IOTA || is_summed(r, v) ||
           (op == G_INPUT && (r->body || !r->info[v].varies));
}

/* ---- axes ---- */

static int wide_axes(const Shape *shape) {
    int n = 0;
    for (int k = 0; k < shape->rank; k++) n += shape->dim[k] > 1;
    return n;
}

/* Whether inline nodes below v ask for an index by axes. */
static bool wants_axes(const Ctx *c, Val v) {
    const Node *node = node_of(c, v);
    Op op = (Op)node->op;
    if (op == G_IOTA || op == G_OUTER) return true;
    if (is_summed(c->r, v) || op == G_MAP) return false;
    bool moves = op_class(op) == CLASS_VIEW && !is_flat_view(c->r, v);
    for (int k = 0; k < node->nin; k++) {
        Val in = in_of(c, v, k);
        if (moves && region_size(c->r, in) > 1) return true;
        if (!moves && !c->r->info[in].stored && wants_axes(c, in)) return true;
    }
    return false;
}

static void nest_begin(Ctx *c, const Shape *shape, Index *at) {
    *at = (Index){.flat = false};
    for (int k = 0; k < shape->rank; k++) at->m[k] = loop_begin(c, shape->dim[k]);
}

static void nest_end(Ctx *c, const Shape *shape) {
    for (int k = 0; k < shape->rank; k++) loop_end(c, shape->dim[k]);
}

/* ---- 16 partials ---- */

/* Adds element j (0 .. count-1) to a partial; partial j mod 16. */
typedef struct Partials {
    Ctx *c;
    Op join;                               /* of the tree */
    DType dtype;
    int lanes;
    int64_t count;
    KVal (*add)(void *data, Ix j, KVal acc);
    void *data;
} Partials;

/* An absent partial (0) joins nothing: of MAXIMUM and MINIMUM, where joining a start changes no value. */
static KVal tree16(Ctx *c, Op join, KVal p[16]) {
    for (int by = 8; by > 0; by /= 2)
        for (int k = 0; k < by; k++)
            if (p[k + by]) p[k] = gen_join(&c->g, join, p[k], p[k + by]);
    return p[0];
}

static KVal partials_unrolled(const Partials *s) {
    Ctx *c = s->c;
    int64_t turns = s->count / 16, done = 0;
    bool few = turns < 2 && (s->join == G_MAXIMUM || s->join == G_MINIMUM);
    KVal p[16] = {0};
    for (int k = 0; k < 16 && !few; k++) p[k] = gen_widen(&c->g, gen_start(&c->g, s->join, s->dtype), s->lanes);
    if (turns > 1) {
        KType type = k_type(c->g.f, p[0]);
        KVal j = k_for(c->g.m, c->g.f, gen_i64(&c->g, 0), gen_i64(&c->g, turns * 16), 16), next[16];
        for (int k = 0; k < 16; k++) p[k] = k_carry(c->g.m, c->g.f, p[k]);
        for (int k = 0; k < 16; k++) next[k] = s->add(s->data, (Ix){j, k}, p[k]);
        for (int k = 0; k < 16; k++) k_next(c->g.m, c->g.f, next[k]);
        k_end(c->g.m, c->g.f);
        for (int k = 0; k < 16; k++) p[k] = k_result(c->g.m, c->g.f, k, type);
        done = turns * 16;
    }
    for (int64_t j = done; j < s->count; j++) p[j % 16] = s->add(s->data, (Ix){0, j}, p[j % 16]);
    return tree16(c, s->join, p);
}

static void memory_begin(const Partials *s, KVal at) {
    Gen *g = &s->c->g;
    KVal start = gen_widen(g, gen_start(g, s->join, s->dtype), s->lanes);
    for (int k = 0; k < 16; k++) k_store(g->m, g->f, at, gen_i64(g, k * s->lanes), start);
}

static void memory_add(const Partials *s, KVal at, Ix partial, Ix j) {
    Gen *g = &s->c->g;
    KVal which = gen_2(g, K_MUL, gen_2(g, K_AND, ix_value(g, partial), gen_i64(g, 15)), gen_i64(g, s->lanes));
    KVal acc = k_load(g->m, g->f, (KType){gen_scalar(s->dtype), (uint8_t)s->lanes}, at, which);
    k_store(g->m, g->f, at, which, s->add(s->data, j, acc));
}

static KVal memory_end(const Partials *s, KVal at) {
    Gen *g = &s->c->g;
    KVal p[16];
    for (int k = 0; k < 16; k++)
        p[k] = k_load(g->m, g->f, (KType){gen_scalar(s->dtype), (uint8_t)s->lanes}, at, gen_i64(g, k * s->lanes));
    return tree16(s->c, s->join, p);
}

static KVal partials_in_memory(const Partials *s) {
    KVal at = k_local(s->c->g.m, s->c->g.f, gen_scalar(s->dtype), 16 * s->lanes);
    memory_begin(s, at);
    Ix j = loop_begin(s->c, s->count);
    memory_add(s, at, j, j);
    loop_end(s->c, s->count);
    return memory_end(s, at);
}

/* ---- element by element ---- */

/* A reduction done in a nest: its partials in memory, that of the feature at hand in a register. */
typedef struct Along { Val v; Partials p; KVal memory, at, acc; } Along;

/* Roots of one shape; axes `known` are written out, so that their index is known; axes behind the first `behind` are
 * places of one feature of the reductions. */
typedef struct Roots {
    const Val *root;
    int n;
    const Shape *shape;
    uint32_t known;
    Index at;
    Along *along;
    int along_count, behind;
} Roots;

static void roots_body(Ctx *c, Roots *s) {
    Ix here = ix_flat(c, s->shape, &s->at);
    ctx_fresh(c, &s->at);
    for (int k = 0; k < s->n; k++) {
        KVal x = compute(c, s->root[k], &s->at);
        store_value(c, s->root[k], here, x);
        ctx_keep(c, s->root[k], x);
    }
    for (int k = 0; k < s->along_count; k++) {
        Along *a = &s->along[k];
        Val in = in_of(c, a->v, 0);
        Index flat = index_flat(here);
        bool own = s->at.flat || shape_equal(shape_at(c, in), s->shape);
        KVal x = gen_widen(&c->g, pull(c, in, own ? &s->at : &flat), c->lanes);
        a->acc = gen_join(&c->g, a->p.join, a->acc, x);
    }
}

/* Around the places of a feature. */
static void feature_begin(Ctx *c, Roots *s, Ix feature) {
    Gen *g = &c->g;
    for (int k = 0; k < s->along_count; k++) {
        Along *a = &s->along[k];
        KVal which = gen_2(g, K_AND, ix_value(g, feature), gen_i64(g, 15));
        a->at = gen_2(g, K_MUL, which, gen_i64(g, c->lanes));
        a->acc = k_load(g->m, g->f, (KType){gen_scalar(a->p.dtype), (uint8_t)c->lanes}, a->memory, a->at);
    }
}

static void feature_end(Ctx *c, Roots *s) {
    for (int k = 0; k < s->along_count; k++)
        k_store(c->g.m, c->g.f, s->along[k].memory, s->along[k].at, s->along[k].acc);
}

/* Loops that carry the sums. */
static Ix places_begin(Ctx *c, Roots *s, int64_t n) {
    Ix i = loop_begin(c, n);
    for (int k = 0; k < s->along_count && n != 1; k++) s->along[k].acc = k_carry(c->g.m, c->g.f, s->along[k].acc);
    return i;
}

static void places_end(Ctx *c, Roots *s, int64_t n) {
    KType type[MAX_ALONG];
    if (n == 1) return;
    for (int k = 0; k < s->along_count; k++) {
        type[k] = k_type(c->g.f, s->along[k].acc);
        k_next(c->g.m, c->g.f, s->along[k].acc);
    }
    k_end(c->g.m, c->g.f);
    for (int k = 0; k < s->along_count; k++) s->along[k].acc = k_result(c->g.m, c->g.f, k, type[k]);
}

static Ix feature_at(Ctx *c, const Roots *s) {
    Shape features = *s->shape;
    features.rank = s->behind;
    return ix_flat(c, &features, &s->at);
}

static void roots_level(Ctx *c, Roots *s, int axis) {
    if (axis == s->shape->rank) {
        roots_body(c, s);
        return;
    }
    int64_t n = s->shape->dim[axis];
    bool places = s->along_count && axis >= s->behind;
    if (s->along_count && axis == s->behind) feature_begin(c, s, feature_at(c, s));
    if (s->known >> axis & 1) {
        for (int64_t i = 0; i < n; i++) {
            s->at.m[axis] = (Ix){0, i};
            roots_level(c, s, axis + 1);
        }
    } else {
        s->at.m[axis] = places ? places_begin(c, s, n) : loop_begin(c, n);
        roots_level(c, s, axis + 1);
        if (places) places_end(c, s, n);
        else loop_end(c, n);
    }
    if (s->along_count && axis == s->behind) feature_end(c, s);
}

static void roots_flat(Ctx *c, Roots *s) {
    int64_t size = shape_size(s->shape), features = 1;
    for (int k = 0; k < s->behind; k++) features *= s->shape->dim[k];
    if (!s->along_count) features = 1;
    Ix f = loop_begin(c, features);
    feature_begin(c, s, f);
    Ix place = places_begin(c, s, size / features);
    s->at.f = ix_plus(&c->g, ix_times(&c->g, f, size / features), place);
    roots_body(c, s);
    places_end(c, s, size / features);
    feature_end(c, s);
    loop_end(c, features);
}

static uint32_t root_padded(const Ctx *c, Val v) {
    uint32_t axes = 0;
    for (int k = 0; is_elementwise((Op)node_of(c, v)->op) && k < node_of(c, v)->nin; k++)
        axes |= region_padded(c->r, in_of(c, v, k));
    return axes;
}

/* The axes of a nest over which lie the features of a reduction: the first ones; 0: none do. */
static int feature_axes(const Shape *nest, int64_t features) {
    int64_t n = 1;
    for (int k = 0; k < nest->rank; k++)
        if ((n *= nest->dim[k]) == features && k + 1 < nest->rank) return k + 1;
    return 0;
}

bool is_whole_reduction(const Region *r, Val v) {
    const Node *node = graph_node(r->graph, v);
    if (op_class((Op)node->op) != CLASS_REDUCE || node->op == G_ARGMAX || r->body || !r->info[v].varies) return false;
    const Shape *from = &graph_node(r->graph, graph_in(r->graph, v, 0))->shape;
    return graph_attr(r->graph, v)->axes == (1u << from->rank) - 1 && shape_size(from) >= 16 * from->dim[0];
}

bool nest_takes(const Region *r, const Shape *nest, Val sum) {
    if (!is_whole_reduction(r, sum)) return false;
    const Shape *from = &graph_node(r->graph, graph_in(r->graph, sum, 0))->shape;
    return shape_size(nest) == shape_size(from) && feature_axes(nest, from->dim[0]);
}

static void along_begin(Ctx *c, Roots *s, Along *a, Val v) {
    a->v = v;
    a->p = (Partials){.c = c, .join = (Op)node_of(c, v)->op, .dtype = (DType)node_of(c, v)->dtype, .lanes = c->lanes};
    a->memory = k_local(c->g.m, c->g.f, gen_scalar(a->p.dtype), 16 * c->lanes);
    memory_begin(&a->p, a->memory);
    s->behind = feature_axes(s->shape, shape_at(c, in_of(c, v, 0))->dim[0]);
}

static void nest_roots(Ctx *c, Roots *s) {
    bool flat = true;
    for (int k = 0; k < s->n; k++) {
        s->known |= root_padded(c, s->root[k]);
        flat = flat && (wide_axes(s->shape) <= 1 || !wants_axes(c, s->root[k]));
    }
    for (int k = 0; k < s->along_count; k++) {
        Val in = in_of(c, s->along[k].v, 0);
        flat = flat && (c->r->info[in].stored || !wants_axes(c, in));
    }
    s->at.flat = flat && !s->known;
    if (s->at.flat) roots_flat(c, s);
    else roots_level(c, s, 0);
    ctx_fresh(c, NULL);
}

/* As many at a time as take the same features for the parts of their sums. */
void nest_with_sums(Ctx *c, const Val *roots, int n, const Val *sums, int sum_count) {
    Along along[MAX_ALONG];
    Roots s = {.root = roots, .n = n, .shape = shape_at(c, roots[0]), .along = along};
    for (int k = 0; k < sum_count; k++) {
        int64_t features = shape_at(c, in_of(c, sums[k], 0))->dim[0];
        bool fits = s.along_count < MAX_ALONG &&
                    (!s.along_count || feature_axes(s.shape, features) == s.behind);
        if (fits) along_begin(c, &s, &along[s.along_count++], sums[k]);
    }
    nest_roots(c, &s);
    for (int k = 0; k < s.along_count; k++)
        store_value(c, along[k].v, (Ix){0, 0}, memory_end(&along[k].p, along[k].memory));
    for (int k = 0; k < sum_count; k++) {
        bool done = false;
        for (int i = 0; i < s.along_count; i++) done |= along[i].v == sums[k];
        if (!done) nest_node(c, sums[k]);
    }
}

void nest_elementwise(Ctx *c, const Val *roots, int n) { nest_with_sums(c, roots, n, NULL, 0); }

/* ---- reductions inside an example ---- */

typedef struct Reduce { Ctx *c; Val v; Index at; uint32_t axes; int lanes; } Reduce;

/* The j-th of the reduced elements, row-major. */
static KVal reduce_add(void *data, Ix j, KVal acc) {
    Reduce *s = data;
    Val in = in_of(s->c, s->v, 0);
    const Shape *from = shape_at(s->c, in);
    Shape reduced = {0};
    for (int k = 0; k < from->rank; k++)
        if (s->axes >> k & 1) reduced.dim[reduced.rank++] = from->dim[k];
    Index at = s->at;
    Ix rest = j;
    int left = wide_axes(&reduced);
    for (int k = from->rank - 1; k >= 0; k--) {
        if (!(s->axes >> k & 1) || from->dim[k] == 1) continue;
        at.m[k] = rest;
        if (--left) {
            KVal here = ix_value(&s->c->g, rest), size = gen_i64(&s->c->g, from->dim[k]);
            at.m[k] = (Ix){gen_2(&s->c->g, K_REM, here, size), 0};
            rest = (Ix){gen_2(&s->c->g, K_DIV, here, size), 0};
        }
    }
    ctx_fresh(s->c, &at);
    KVal x = pull(s->c, in, &at);
    ctx_fresh(s->c, NULL);
    x = gen_widen(&s->c->g, x, s->lanes);
    return acc ? gen_join(&s->c->g, (Op)node_of(s->c, s->v)->op, acc, x) : x;
}

static int tree_cost(const Ctx *c, Val v) {
    int cost = 1;
    if (c->r->info[v].stored || is_summed(c->r, v)) return 1;
    Op op = (Op)node_of(c, v)->op;
    if (op == G_EXP || op == G_LOG || op == G_TANH || op == G_SIN || op == G_COS || op == G_ERF || op == G_POW ||
        op == G_POWI)
        cost += 20;
    for (int k = 0; k < node_of(c, v)->nin && cost < 1000; k++) cost += tree_cost(c, in_of(c, v, k));
    return cost;
}

/* Adds the places behind `features` neighbouring indices of the first axis to an accumulator for each. */
static void add_places(Reduce *s, Ix first, int features, int axis, KVal *acc) {
    Gen *g = &s->c->g;
    const Shape *from = shape_at(s->c, in_of(s->c, s->v, 0));
    while (axis < from->rank && !(s->axes >> axis & 1)) axis++;
    if (axis == from->rank) {
        for (int k = 0; k < features; k++) {
            s->at.m[0] = ix_plus(g, first, (Ix){0, k});
            ctx_fresh(s->c, &s->at);
            KVal x = gen_widen(g, pull(s->c, in_of(s->c, s->v, 0), &s->at), s->lanes);
            acc[k] = gen_join(g, (Op)node_of(s->c, s->v)->op, acc[k], x);
            ctx_fresh(s->c, NULL);
        }
        return;
    }
    KType type = k_type(g->f, acc[0]);
    s->at.m[axis] = (Ix){k_for(g->m, g->f, gen_i64(g, 0), gen_i64(g, from->dim[axis]), 1), 0};
    for (int k = 0; k < features; k++) acc[k] = k_carry(g->m, g->f, acc[k]);
    add_places(s, first, features, axis + 1, acc);
    for (int k = 0; k < features; k++) k_next(g->m, g->f, acc[k]);
    k_end(g->m, g->f);
    for (int k = 0; k < features; k++) acc[k] = k_result(g->m, g->f, k, type);
}

static void add_features(Reduce *s, const Partials *p, KVal memory, Ix first, int features) {
    Gen *g = &s->c->g;
    KVal acc[FEATURES], at[FEATURES];
    for (int k = 0; k < features; k++) {
        KVal which = gen_2(g, K_AND, ix_value(g, ix_plus(g, first, (Ix){0, k})), gen_i64(g, 15));
        at[k] = gen_2(g, K_MUL, which, gen_i64(g, p->lanes));
        acc[k] = k_load(g->m, g->f, (KType){gen_scalar(p->dtype), (uint8_t)p->lanes}, memory, at[k]);
    }
    add_places(s, first, features, 1, acc);
    for (int k = 0; k < features; k++) k_store(g->m, g->f, memory, at[k], acc[k]);
}

/* The first axis decides the partial, and places lie behind each of its indices: a few features, whose partials
 * differ, at a time. */
static KVal reduce_behind(Reduce *s, const Partials *p) {
    Gen *g = &s->c->g;
    int64_t features = shape_at(s->c, in_of(s->c, s->v, 0))->dim[0], whole = features / FEATURES * FEATURES;
    KVal memory = k_local(g->m, g->f, gen_scalar(p->dtype), 16 * p->lanes);
    memory_begin(p, memory);
    if (whole) {
        KVal first = k_for(g->m, g->f, gen_i64(g, 0), gen_i64(g, whole), FEATURES);
        add_features(s, p, memory, (Ix){first, 0}, FEATURES);
        k_end(g->m, g->f);
    }
    if (whole < features) add_features(s, p, memory, (Ix){0, whole}, (int)(features - whole));
    return memory_end(p, memory);
}

static void nest_reduce(Ctx *c, Val v) {
    const Node *node = node_of(c, v);
    const Shape *from = shape_at(c, in_of(c, v, 0));
    uint32_t axes = graph_attr(c->r->graph, v)->axes;
    Reduce s = {.c = c, .v = v, .axes = axes, .at = {.flat = false}, .lanes = c->r->info[v].varies ? c->lanes : 1};
    Index result = {.flat = false};
    int kept = 0;
    int64_t count = 1;
    for (int k = 0; k < from->rank; k++) {
        if (axes >> k & 1) count *= from->dim[k];
        else s.at.m[k] = result.m[kept++] = loop_begin(c, from->dim[k]);
    }
    Partials p = {c, (Op)node->op, (DType)node->dtype, c->r->info[v].varies ? c->lanes : 1, count, reduce_add, &s};
    bool behind = axes & 1 && count > from->dim[0];
    KVal x = behind ? reduce_behind(&s, &p)
             : tree_cost(c, in_of(c, v, 0)) <= UNROLLED_TREE || count <= 16 ? partials_unrolled(&p)
                 : partials_in_memory(&p);
    store_value(c, v, ix_flat(c, &node->shape, &result), x);
    for (int k = 0; k < from->rank; k++)
        if (!(axes >> k & 1)) loop_end(c, from->dim[k]);
}

static void nest_argmax(Ctx *c, Val v) {
    Val in = in_of(c, v, 0);
    int64_t places = region_size(c->r, v), count = shape_at(c, in)->dim[0];
    Gen *g = &c->g;
    Ix p = loop_begin(c, places);
    Index at = index_flat(p);
    KVal best = pull(c, in, &at), index = gen_widen(g, gen_number(g, DT_I32, 0), gen_lanes(g, best));
    KType type = k_type(g->f, best), itype = k_type(g->f, index);
    KVal k = k_for(g->m, g->f, gen_i64(g, 1), gen_i64(g, count), 1), b = k_carry(g->m, g->f, best),
        i = k_carry(g->m, g->f, index);
    at = index_flat(ix_plus(g, ix_times(g, (Ix){k, 0}, places), p));
    KVal x = pull(c, in, &at), wins = gen_argmax_wins(g, x, b);
    k_next(g->m, g->f, gen_select(g, wins, x, b));
    k_next(g->m, g->f, gen_select(g, wins, gen_widen(g, k_cast(g->m, g->f, KT(I32), k), itype.lanes), i));
    k_end(g->m, g->f);
    k_result(g->m, g->f, 0, type);
    store_value(c, v, p, k_result(g->m, g->f, 1, itype));
    loop_end(c, places);
}

/* ---- contractions without tiles ---- */

typedef struct Product { Ctx *c; Val w, x; Ix o, p; int64_t n, places; } Product;

static KVal product_add(void *data, Ix k, KVal acc) {
    Product *s = data;
    Gen *g = &s->c->g;
    Index w = index_flat(ix_plus(g, ix_times(g, s->o, s->n), k));
    Index x = index_flat(ix_plus(g, ix_times(g, k, s->places), s->p));
    if (shape_at(s->c, s->w)->rank == 2) w = (Index){.m = {s->o, k}};
    KVal a = pull(s->c, s->w, &w);
    return gen_fma(g, a, pull(s->c, s->x, &x), acc);
}

static void nest_matmul(Ctx *c, Val v) {
    const Node *node = node_of(c, v);
    Gen *g = &c->g;
    Product s = {.c = c, .w = in_of(c, v, 0), .x = in_of(c, v, 1)};
    s.n = shape_at(c, s.x)->dim[0];
    s.places = region_size(c->r, s.x) / s.n;
    int64_t outs = region_size(c->r, v) / s.places;
    int lanes = c->r->info[v].varies ? c->lanes : 1;
    s.o = loop_begin(c, outs);
    s.p = loop_begin(c, s.places);
    Index o = index_flat(s.o);
    KVal init = node->nin > 2 ? gen_widen(g, pull(c, in_of(c, v, 2), &o), lanes) : 0, sum;
    KVal zero = gen_widen(g, gen_number(g, (DType)node->dtype, 0), lanes);
    if (outs > 1) {
        KType type = k_type(g->f, zero);
        KVal k = k_for(g->m, g->f, gen_i64(g, 0), gen_i64(g, s.n), 1), acc = k_carry(g->m, g->f, init ? init : zero);
        k_next(g->m, g->f, product_add(&s, (Ix){k, 0}, acc));
        k_end(g->m, g->f);
        sum = k_result(g->m, g->f, 0, type);
    } else {
        Partials p = {c, G_SUM, (DType)node->dtype, lanes, s.n, product_add, &s};
        sum = partials_unrolled(&p);
        if (init) sum = gen_2(g, K_ADD, sum, init);
    }
    store_value(c, v, ix_plus(g, ix_times(g, s.o, s.places), s.p), sum);
    loop_end(c, s.places);
    loop_end(c, outs);
}

/* ---- views that are stored ---- */

/* Element flat(lane's index) of a value: gathers lane by lane if the index differs between lanes. */
static KVal gather(Ctx *c, Val v, KVal index, int64_t scale, Ix rest) {
    Gen *g = &c->g;
    KVal out = 0;
    v = region_base(c->r, v);
    for (int lane = 0; lane < gen_lanes(g, index); lane++) {
        KVal one = gen_index(g, gen_lanes(g, index) == 1 ? index : k_lane(g->m, g->f, index, lane));
        Ix flat = ix_plus(g, ix_times(g, (Ix){one, 0}, scale), rest);
        if (gen_lanes(g, index) == 1) return load_value(c, v, flat);
        KVal x = load_lane(c, v, flat, (Ix){0, lane});
        out = lane ? k_insert(g->m, g->f, out, lane, x) : k_splat(g->m, g->f, x);
    }
    return out;
}

static void nest_pick(Ctx *c, Val v) {
    int64_t places = region_size(c->r, v);
    Ix p = loop_begin(c, places);
    Index at = index_flat(p);
    KVal index = gen_clamp(&c->g, pull(c, in_of(c, v, 1), &at), shape_at(c, in_of(c, v, 0))->dim[0]);
    store_value(c, v, p, gather(c, in_of(c, v, 0), index, places, p));
    loop_end(c, places);
}

static void nest_embed(Ctx *c, Val v) {
    const Shape *table = shape_at(c, in_of(c, v, 0));
    int64_t places = region_size(c->r, in_of(c, v, 1)), width = table->dim[1];
    Ix p = loop_begin(c, places);
    Index at = index_flat(p);
    KVal index = gen_clamp(&c->g, pull(c, in_of(c, v, 1), &at), table->dim[0]);
    Ix d = loop_begin(c, width);
    store_value(c, v, ix_plus(&c->g, ix_times(&c->g, d, places), p), gather(c, in_of(c, v, 0), index, width, d));
    loop_end(c, width);
    loop_end(c, places);
}

/* Copies the operand to where its first element has the index `start`. */
static void copy_into(Ctx *c, Val v, Val in, const int64_t start[MAX_RANK]) {
    const Shape *from = shape_at(c, in);
    Index at, to;
    nest_begin(c, from, &at);
    to = at;
    for (int k = 0; k < from->rank; k++) to.m[k].add += start[k];
    ctx_fresh(c, &at);
    store_value(c, v, ix_flat(c, shape_at(c, v), &to), pull(c, in, &at));
    ctx_fresh(c, NULL);
    nest_end(c, from);
}

static void nest_pad(Ctx *c, Val v) {
    Ix i = loop_begin(c, region_size(c->r, v));
    store_value(c, v, i, gen_number(&c->g, (DType)node_of(c, v)->dtype, 0));
    loop_end(c, region_size(c->r, v));
    copy_into(c, v, in_of(c, v, 0), graph_attr(c->r->graph, v)->starts);
}

static void nest_concat(Ctx *c, Val v) {
    int64_t start[MAX_RANK] = {0};
    int axis = graph_attr(c->r->graph, v)->axis;
    for (int k = 0; k < node_of(c, v)->nin; k++) {
        copy_into(c, v, in_of(c, v, k), start);
        start[axis] += shape_at(c, in_of(c, v, k))->dim[axis];
    }
}

/* ---- leaves ---- */

static void noise_block(Ctx *c, Val v, Ix block, KVal example, int count) {
    const Node *node = node_of(c, v);
    KVal out[4], keys = ctx_kind(c, ENTRY_KEYS, 0), step = k_cast(c->g.m, c->g.f, KT(I32), ctx_shape(c, 0));
    KVal number = k_cast(c->g.m, c->g.f, KT(I32), ix_value(&c->g, block));
    gen_noise(&c->g, (Op)node->op, (DType)node->dtype, keys, graph_attr(c->r->graph, v)->index, number, example, step,
              out);
    for (int k = 0; k < count; k++) store_value(c, v, ix_plus(&c->g, ix_times(&c->g, block, 4), (Ix){0, k}), out[k]);
}

static void nest_noise(Ctx *c, Val v) {
    int64_t size = region_size(c->r, v), blocks = size / 4;
    int lanes = c->r->info[v].varies ? c->lanes : 1;
    KVal example = gen_number(&c->g, DT_I32, 0);
    if (c->r->info[v].varies) {
        Ix first = ix_times(&c->g, c->global, c->lanes);
        example = gen_widen(&c->g, k_cast(c->g.m, c->g.f, KT(I32), ix_value(&c->g, first)), lanes);
        if (lanes == 16) example = gen_2(&c->g, K_ADD, example, k_lanes(c->g.m, c->g.f, KV(I32)));
    }
    if (blocks) {
        Ix block = loop_begin(c, blocks);
        noise_block(c, v, block, example, 4);
        loop_end(c, blocks);
    }
    if (size % 4) noise_block(c, v, (Ix){0, blocks}, example, (int)(size % 4));
}

/* The examples of a block: rows of the data, through the order. */
static void nest_rows(Ctx *c, Val v) {
    const GraphInput *input = &c->r->graph->inputs.at[graph_attr(c->r->graph, v)->index];
    Gen *g = &c->g;
    int64_t size = region_size(c->r, v), whole = c->lanes == 16 ? size / 16 * 16 : size;
    KType type = {gen_scalar(input->dtype), (uint8_t)c->lanes}, one = {type.scalar, 1};
    KVal rows = ctx_kind(c, ENTRY_ROWS, input->index), order = ctx_kind(c, ENTRY_ORDER, 0), base[16];
    Ix first = ix_times(g, c->global, c->lanes);
    for (int e = 0; e < c->lanes; e++) {
        KVal example = k_load(g->m, g->f, KT(I32), order, ix_value(g, ix_plus(g, first, (Ix){0, e})));
        base[e] = gen_2(g, K_MUL, gen_index(g, example), gen_i64(g, size));
    }
    if (whole) {
        KVal i = k_for(g->m, g->f, gen_i64(g, 0), gen_i64(g, whole), c->lanes), x[16];
        for (int e = 0; e < c->lanes; e++) x[e] = k_load(g->m, g->f, type, rows, gen_2(g, K_ADD, base[e], i));
        if (c->lanes == 16) transpose16(g, x);
        for (int e = 0; e < c->lanes; e++) store_value(c, v, (Ix){i, e}, x[e]);
        k_end(g->m, g->f);
    }
    for (int64_t i = whole; i < size; i++) {
        KVal x = 0;
        for (int e = 0; e < c->lanes; e++) {
            KVal y = k_load(g->m, g->f, one, rows, gen_2(g, K_ADD, base[e], gen_i64(g, i)));
            x = e ? k_insert(g->m, g->f, x, e, y) : k_splat(g->m, g->f, y);
        }
        store_value(c, v, (Ix){0, i}, x);
    }
}

void nest_node(Ctx *c, Val v) {
    Op op = (Op)node_of(c, v)->op;
    if (op == G_NOISE || op == G_NORMAL) nest_noise(c, v);
    else if (op == G_INPUT) nest_rows(c, v);
    else if (op == G_PICK) nest_pick(c, v);
    else if (op == G_EMBED) nest_embed(c, v);
    else if (op == G_PAD) nest_pad(c, v);
    else if (op == G_CONCAT) nest_concat(c, v);
    else if (op == G_ARGMAX) nest_argmax(c, v);
    else if (op == G_MATMUL) nest_matmul(c, v);
    else if (op == G_CONV) nest_conv(c, v);
    else if (op == G_MAP) nest_map(c, v);
    else if (op != G_PROJ) nest_reduce(c, v);             /* a PROJ is stored by its MAP */
}
