/* grad.c -- reverse mode on graphs: one loop over ids, descending.
 *
 * Each node keeps a list of its uses' contributions, sorted by (user, operand); when the loop reaches the node all
 * its users have been visited, the contributions are added in program order and the node's rule is run.  Only nodes
 * that depend on a wanted one take part; a missing adjoint is zero and costs nothing.
 *
 * Integers carry no adjoint.  Where an i32 or bool value becomes a float by a cast, what it was made from is only
 * *touched*: comparisons have derivative zero, rounding and argmax on such a path are E0501. */
#include "pass/grad.h"
#include "pass/pass.h"

static void (*const vjp_rules[G_COUNT])(Ad *) = {
#define OP(name, arity, class, text) [G_##name] = vjp_##name,
#include "ops.def"
#undef OP
};

static bool is_float(const Ad *ad, Val v) {
    return graph_node(ad->g, v)->dtype == DT_F32 || graph_node(ad->g, v)->dtype == DT_F64;
}

/* ---- the sweep ---- */

void ad_init(Ad *ad, Graph *graph, Diags *diags, Arena *scratch, Val top) {
    *ad = (Ad){.g = graph, .diags = diags, .scratch = scratch, .top = top};
    ad->mark = arena_array(scratch, uint8_t, top + 1);
    ad->first = arena_array(scratch, int, top + 1);
    vec_push(scratch, &ad->use, (Use){0});
}

void ad_want(Ad *ad, Val v) {
    if (v <= ad->top) ad->mark[v] |= AD_WRT | AD_ACTIVE;
}

void ad_spread(Ad *ad) {
    for (Val v = 1; v <= ad->top; v++)
        for (int i = v == ad->held ? graph_node(ad->g, v)->nin : 0;
             i < graph_node(ad->g, v)->nin && !(ad->mark[v] & AD_ACTIVE); i++)
            ad->mark[v] |= ad->mark[graph_in(ad->g, v, i)] & AD_ACTIVE;
}

/* Uses arrive with descending users and ascending operands; the list stays sorted, equal ones in order of arrival. */
static void ad_push(Ad *ad, Val v, Val user, int port, Val value) {
    int *at = &ad->first[v];
    while (*at) {
        const Use *use = &ad->use.at[*at];
        if (use->user > user || (use->user == user && use->port > port)) break;
        at = &ad->use.at[*at].next;
    }
    Use new = {user, port, value, *at};
    *at = ad->use.len;
    vec_push(ad->scratch, &ad->use, new);
}

void ad_seed(Ad *ad, Val v, Val adjoint) {
    if (ad->mark[v] & AD_ACTIVE) ad_push(ad, v, UINT32_MAX, 0, graph_broadcast(ad->g, adjoint, *ad_shape(ad, v)));
}

Val ad_total(Ad *ad, Val v) {
    Val sum = 0;
    for (int i = ad->first[v]; i; i = ad->use.at[i].next)
        sum = sum ? graph_2(ad->g, G_ADD, sum, ad->use.at[i].value) : ad->use.at[i].value;
    return sum;
}

/* An integer on the way to a float: looks for what would need a derivative. */
static void ad_touched(Ad *ad) {
    Op op = (Op)graph_node(ad->g, ad->y)->op;
    if (op == G_ARGMAX) ad_stop(ad, op_name(op));
    else if (op == G_CAST && is_float(ad, ad_in(ad, 0))) ad_stop(ad, "rounding to an int");
    else if (op != G_LT && op != G_LE && op != G_EQ && op != G_NE)
        for (int i = op == G_SELECT; i < graph_node(ad->g, ad->y)->nin; i++) ad_touch(ad, i);
}

void ad_run(Ad *ad) {
    for (Val v = ad->top; v > 0 && !ad->failed; v--) {
        bool touched = ad->mark[v] & AD_TOUCHED;
        if (ad->within && !ad->within[v]) continue;
        if (!(ad->mark[v] & AD_ACTIVE) || (!ad->first[v] && !touched)) continue;
        const Node *node = graph_node(ad->g, v);
        graph_at(ad->g, node->span);
        ad->y = v;
        ad->dy = node->op == G_MAP || node->op == G_SCAN ? 0 : ad_total(ad, v);
        if (touched) ad_touched(ad);
        else vjp_rules[node->op](ad);
    }
}

/* ---- for rules ---- */

Val ad_in(const Ad *ad, int i) { return graph_in(ad->g, ad->y, i); }
const Shape *ad_shape(const Ad *ad, Val v) { return &graph_node(ad->g, v)->shape; }
bool ad_batched(const Ad *ad, Val v) { return graph_node(ad->g, v)->batched; }
Val ad_number(Ad *ad, double x) { return graph_const(ad->g, (DType)graph_node(ad->g, ad->y)->dtype, x); }

bool ad_wants(const Ad *ad, int i) {
    return i < graph_node(ad->g, ad->y)->nin && (ad->mark[ad_in(ad, i)] & AD_ACTIVE) && is_float(ad, ad_in(ad, i));
}

void ad_touch(Ad *ad, int i) {
    Val x = ad_in(ad, i);
    if ((ad->mark[x] & AD_ACTIVE) && !is_float(ad, x)) ad->mark[x] |= AD_TOUCHED;
}

void ad_stop(Ad *ad, const char *what) {
    ad->failed = true;
    if (!ad->diags) return;
    diag_add(ad->diags, D_E0501, graph_node(ad->g, ad->y)->span, "%s has no useful derivative here", what);
}

Val ad_to_batch(Ad *ad, Val v) {
    if (ad_batched(ad, v)) return v;
    NodeType like = graph_type(ad->g, v);
    like.batched = true;
    return graph_add(ad->g, G_BROADCAST, &v, 1, NULL, &like, graph_node(ad->g, ad->y)->span);
}

Val ad_expand(Ad *ad, Val v, uint32_t axes, Shape shape) {
    Shape kept = shape;
    for (int i = 0; i < shape.rank; i++)
        if (axes >> i & 1) kept.dim[i] = 1;
    while (kept.rank > 0 && axes >> (kept.rank - 1) & 1) kept.rank--;      /* missing axes repeat by themselves */
    return graph_broadcast(ad->g, graph_reshape(ad->g, v, kept), shape);
}

/* The axes of `to` along which a BROADCAST from `from` repeats. */
static uint32_t repeated_axes(const Shape *from, const Shape *to) {
    uint32_t axes = 0;
    for (int i = 0; i < to->rank; i++)
        if (to->dim[i] != 1 && (i >= from->rank || from->dim[i] != to->dim[i])) axes |= 1u << i;
    return axes;
}

void ad_give_whole(Ad *ad, int i, Val value) {
    Val x = ad_in(ad, i);
    ad_push(ad, x, ad->y, i, graph_reshape(ad->g, value, *ad_shape(ad, x)));
}

void ad_give_over(Ad *ad, int i, Val value, uint32_t axes) {
    Val x = ad_in(ad, i);
    if (!axes) value = graph_reshape(ad->g, value, *ad_shape(ad, x));
    if (!ad_batched(ad, x) && (ad_batched(ad, ad->y) || ad_batched(ad, value))) {
        if (graph_node(ad->g, x)->op == G_BROADCAST && !axes && !(ad->mark[x] & AD_WRT)) {
            Val from = graph_in(ad->g, x, 0);
            axes = repeated_axes(ad_shape(ad, from), ad_shape(ad, x));
            x = from;
        }
        value = graph_reduce(ad->g, G_BATCH_SUM, ad_to_batch(ad, value), axes);
    } else {
        value = graph_reduce(ad->g, G_SUM, value, axes);
    }
    ad_push(ad, x, ad->y, i, graph_reshape(ad->g, value, *ad_shape(ad, x)));
}

void ad_give(Ad *ad, int i, Val value) { ad_give_over(ad, i, value, 0); }

/* x repeated along some axes.  dx: dy summed along them (over the batch, if x was made the same for each example) */
void vjp_BROADCAST(Ad *ad) {
    if (ad_wants(ad, 0))
        ad_give_over(ad, 0, ad->dy, repeated_axes(ad_shape(ad, ad_in(ad, 0)), ad_shape(ad, ad->y)));
}

/* ---- the pass ---- */

bool pass_grad(Graph *graph, Val y, Val seed, const Val *wrt, int n, Val *out, Diags *diags) {
    return pass_grad_held(graph, y, seed, wrt, n, 0, out, diags);
}

bool pass_grad_held(Graph *graph, Val y, Val seed, const Val *wrt, int n, Val held, Val *out, Diags *diags) {
    Arena *scratch = arena_new();
    Ad ad;
    ad_init(&ad, graph, diags, scratch, y);
    ad.held = held;
    for (int i = 0; i < n; i++) ad_want(&ad, wrt[i]);
    ad_spread(&ad);
    graph_at(graph, graph_node(graph, y)->span);
    ad_seed(&ad, y, seed ? seed : graph_const(graph, (DType)graph_node(graph, y)->dtype, 1));
    ad_run(&ad);
    for (int i = 0; i < n; i++) {
        out[i] = wrt[i] <= y && !ad.failed ? ad_total(&ad, wrt[i]) : 0;
        ad.y = wrt[i];
        if (out[i] && ad_batched(&ad, wrt[i])) out[i] = ad_to_batch(&ad, out[i]);
    }
    arena_free(scratch);
    return !ad.failed;
}
