/* grad_moves.c -- derivative rules of what moves, reduces and contracts elements, each under its formula. */
#include "pass/grad.h"

#define A ad_in(ad, 0)
#define B ad_in(ad, 1)
#define Y (ad->y)
#define DY (ad->dy)

static Val mul(Ad *ad, Val a, Val b) { return graph_2(ad->g, G_MUL, a, b); }
static Val over(Ad *ad, Val a, Val b) { return graph_2(ad->g, G_DIV, a, b); }
static Val choose(Ad *ad, Val c, Val a, Val b) { return graph_3(ad->g, G_SELECT, c, a, b); }
static Val transposed(Ad *ad, Val a) { return graph_transpose(ad->g, a, (const int[]){1, 0}); }

static Val node_at(Ad *ad, Op op, const Val *in, int nin, const Attr *attr, const NodeType *like) {
    return graph_add(ad->g, op, in, nin, attr, like, graph_node(ad->g, Y)->span);
}

/* [size, ...places of from without its first `skip` axes] */
static Shape with_places(int64_t size, const Shape *from, int skip) {
    Shape shape = {1, {size}};
    for (int i = skip; i < from->rank; i++) shape.dim[shape.rank++] = from->dim[i];
    return shape;
}

/* ---- views ---- */

/* y: the same elements in another shape.  dx: dy in x's */
void vjp_RESHAPE(Ad *ad) { GIVE(0, graph_reshape(ad->g, DY, *ad_shape(ad, A))); }

/* y: axes permuted.  dx: permuted back */
void vjp_TRANSPOSE(Ad *ad) {
    int back[MAX_RANK];
    for (int i = 0; i < ad_shape(ad, Y)->rank; i++) back[graph_attr(ad->g, Y)->starts[i]] = i;
    GIVE(0, graph_transpose(ad->g, DY, back));
}

/* y: a part of x.  dx: dy there, 0 elsewhere */
void vjp_SLICE(Ad *ad) {
    Attr attr = *graph_attr(ad->g, Y);
    NodeType like = graph_type(ad->g, A);
    GIVE(0, node_at(ad, G_PAD, &DY, 1, &attr, &like));
}

/* y: x with zeros around.  dx: that part of dy */
void vjp_PAD(Ad *ad) {
    Attr attr = *graph_attr(ad->g, Y);
    GIVE(0, graph_slice(ad->g, DY, attr.starts, *ad_shape(ad, A)));
}

/* y: a, b, ... joined.  Each gets its part of dy */
void vjp_CONCAT(Ad *ad) {
    int axis = graph_attr(ad->g, Y)->axis;
    int64_t starts[MAX_RANK] = {0};
    for (int i = 0; i < graph_node(ad->g, Y)->nin; i++) {
        Shape part = *ad_shape(ad, ad_in(ad, i));
        GIVE(i, graph_slice(ad->g, DY, starts, part));
        starts[axis] += part.dim[axis];
    }
}

/* y[p] = x[k[p], p].  dx[i, p] = dy[p] where i = k[p], else 0 */
void vjp_PICK(Ad *ad) {
    if (!ad_wants(ad, 0)) return;
    Shape shape = *ad_shape(ad, A);
    NodeType like = {DT_I32, shape, false};
    Val index = node_at(ad, G_IOTA, NULL, 0, &(Attr){.axis = 0}, &like);
    Val hit = graph_2(ad->g, G_EQ, index, ad_expand(ad, B, 1, shape));
    ad_give(ad, 0, choose(ad, hit, ad_expand(ad, DY, 1, shape), ad_number(ad, 0)));
}

/* y[., p] = table[k[p], .].  dtable[v, .] = sum of dy[., p] over the p with k[p] = v (and over the batch) */
void vjp_EMBED(Ad *ad) {
    Shape table = *ad_shape(ad, A);
    int64_t places = shape_size(ad_shape(ad, B));
    if (!ad_wants(ad, 0)) return;
    if (!ad_batched(ad, A) && ad_batched(ad, Y)) {
        NodeType like = graph_type(ad->g, A);
        ad_give_whole(ad, 0, node_at(ad, G_BATCH_EMBED, (const Val[]){DY, B}, 2, NULL, &like));
        return;
    }
    NodeType like = {DT_I32, shape_of(2, table.dim[0], places), false};
    Val index = node_at(ad, G_IOTA, NULL, 0, &(Attr){.axis = 0}, &like);
    Val hit = graph_2(ad->g, G_EQ, index, ad_expand(ad, graph_reshape(ad->g, B, shape_of(1, places)), 1, like.shape));
    Val rows = transposed(ad, graph_reshape(ad->g, DY, shape_of(2, table.dim[1], places)));
    ad_give(ad, 0, graph_matmul(ad->g, graph_cast(ad->g, hit, (DType)graph_node(ad->g, Y)->dtype), rows, 0));
}

/* ---- reductions ---- */

/* y = sum of x along axes.  dx: dy repeated along them */
void vjp_SUM(Ad *ad) { GIVE(0, ad_expand(ad, DY, graph_attr(ad->g, Y)->axes, *ad_shape(ad, A))); }

/* y = max of x along axes.  dx = dy / n where x = y, n the number of such elements; else 0 */
static void extremum(Ad *ad) {
    uint32_t axes = graph_attr(ad->g, Y)->axes;
    Shape shape = *ad_shape(ad, A);
    Val one = ad_number(ad, 1), zero = ad_number(ad, 0);
    if (!ad_wants(ad, 0)) return;
    Val hit = graph_2(ad->g, G_EQ, A, ad_expand(ad, Y, axes, shape));
    Val hits = graph_reduce(ad->g, G_SUM, choose(ad, hit, one, zero), axes);
    ad_give(ad, 0, choose(ad, hit, ad_expand(ad, over(ad, DY, hits), axes, shape), zero));
}
void vjp_MAXIMUM(Ad *ad) { extremum(ad); }
void vjp_MINIMUM(Ad *ad) { extremum(ad); }

/* y = product of x along axes.  With p the product and z the number of the elements that are (not) zero:
 * dx = dy p / x if z = 0, dy p at the one zero if z = 1, else 0 */
void vjp_PROD(Ad *ad) {
    uint32_t axes = graph_attr(ad->g, Y)->axes;
    Shape shape = *ad_shape(ad, A);
    Val one = ad_number(ad, 1), zero = ad_number(ad, 0);
    if (!ad_wants(ad, 0)) return;
    Val is_zero = graph_2(ad->g, G_EQ, A, zero), rest = choose(ad, is_zero, one, A);
    Val zeros = graph_reduce(ad->g, G_SUM, choose(ad, is_zero, one, zero), axes);
    Val others = mul(ad, DY, graph_reduce(ad->g, G_PROD, rest, axes));
    Val at_none = ad_expand(ad, choose(ad, graph_2(ad->g, G_EQ, zeros, zero), others, zero), axes, shape);
    Val at_one = ad_expand(ad, choose(ad, graph_2(ad->g, G_EQ, zeros, one), others, zero), axes, shape);
    ad_give(ad, 0, choose(ad, is_zero, at_one, over(ad, at_none, rest)));
}

/* y is an integer: it carries no adjoint, and where one is needed ad_touched stops. */
void vjp_ARGMAX(Ad *ad) { (void)ad; }

/* ---- over the batch ---- */

/* y = sum over examples and axes of x.  dx: dy for each example, repeated along the axes */
void vjp_BATCH_SUM(Ad *ad) { vjp_SUM(ad); }

/* y[v, .] = sum of d[., p] where k[p] = v.  dd[., p] = dy[k[p], .] */
void vjp_BATCH_EMBED(Ad *ad) { GIVE(0, node_at(ad, G_EMBED, (const Val[]){DY, B}, 2, NULL, NULL)); }

/* A bound for a table, not a value that is learned through. */
void vjp_BATCH_MAXIMUM(Ad *ad) { ad_stop(ad, "the largest of a batch"); }

/* ---- tables ---- */

/* The operands of y from `from` on, after `first`: lo, scale, x1 .. xk. */
static int table_operands(Ad *ad, Val first, Val *in) {
    int n = graph_node(ad->g, Y)->nin;
    in[0] = first;
    for (int i = 1; i < n; i++) in[i] = ad_in(ad, i);
    return n;
}

/* dy times the derivative of table along x_j, the derivatives that y has already included; a second one along the
 * same axis is 0 everywhere. */
static void table_slopes(Ad *ad, Val table, Val dy) {
    Val in[6];
    int n = table_operands(ad, table, in);
    for (int i = 1; i < 3; i++)
        if (ad_wants(ad, i)) ad_stop(ad, "the box of a table");
    for (int j = 0; j < n - 3; j++) {
        uint32_t axes = graph_attr(ad->g, Y)->axes;
        if (!ad_wants(ad, 3 + j) || axes >> j & 1) continue;
        ad_give(ad, 3 + j, mul(ad, dy, node_at(ad, G_INTERPOLATE, in, n, &(Attr){.axes = axes | 1u << j}, NULL)));
    }
}

/* y = table(x).  dtable = dy spread on the nodes around x, summed over the batch; dx_j = dy dtable(x) / dx_j */
void vjp_INTERPOLATE(Ad *ad) {
    Val in[6];
    int n = table_operands(ad, DY, in);
    NodeType like = graph_type(ad->g, A);
    if (ad_wants(ad, 0) && !ad_batched(ad, Y)) ad_stop(ad, "a table whose arguments are the same for each example");
    else if (ad_wants(ad, 0))
        ad_give_whole(ad, 0, node_at(ad, G_BATCH_INTERPOLATE, in, n, graph_attr(ad->g, Y), &like));
    table_slopes(ad, A, DY);
}

/* y = table(x), values and box constant.  dx_j = dy dtable(x) / dx_j */
void vjp_LOOKUP(Ad *ad) {
    Val in[7];
    int n = graph_node(ad->g, Y)->nin;
    uint32_t axes = graph_attr(ad->g, Y)->axes;
    for (int i = 0; i < n; i++) in[i] = ad_in(ad, i);
    for (int i = 0; i < 4; i++)
        if (ad_wants(ad, i)) ad_stop(ad, "the values of a table of blocks");
    for (int j = 0; j < n - 4; j++) {
        if (!ad_wants(ad, 4 + j) || axes >> j & 1) continue;
        ad_give(ad, 4 + j, mul(ad, DY, node_at(ad, G_LOOKUP, in, n, &(Attr){.axes = axes | 1u << j}, NULL)));
    }
}

/* y = d spread on the nodes around x.  dd = dy(x); dx_j = d times the derivative of dy(x) */
void vjp_BATCH_INTERPOLATE(Ad *ad) {
    Val in[6];
    int n = table_operands(ad, DY, in);
    GIVE(0, node_at(ad, G_INTERPOLATE, in, n, graph_attr(ad->g, Y), NULL));
    table_slopes(ad, DY, A);
}

/* ---- contractions ---- */

/* x + 0, which is +0 for both zeros: kernels may leave out what adds a zero (kernel/map_zeros.c). */
static Val without_sign(Ad *ad, Val x) {
    Val zero = graph_broadcast(ad->g, ad_number(ad, 0), *ad_shape(ad, x));
    return graph_2(ad->g, G_ADD, x, zero);
}

/* transpose(w) @ dy for w[o, n], dy[o, ...p]; with fewer than 16 features n one at a time, then joined. */
static Val contract_back(Ad *ad, Val w, Val dy) {
    enum { FEW = 16 };
    int64_t o = ad_shape(ad, w)->dim[0], n = ad_shape(ad, w)->dim[1];
    Shape row = with_places(1, ad_shape(ad, dy), 1);
    Val rows[FEW];
    if (n >= FEW && o >= FEW && ad->cell) return without_sign(ad, graph_matmul(ad->g, transposed(ad, w), dy, 0));
    if (n >= FEW) return graph_matmul(ad->g, transposed(ad, w), dy, 0);
    for (int64_t i = 0; i < n; i++) {
        Val column = graph_slice(ad->g, w, (const int64_t[]){0, i}, shape_of(2, o, INT64_C(1)));
        Val feature = graph_matmul(ad->g, graph_reshape(ad->g, column, shape_of(1, o)), dy, 0);
        rows[i] = graph_reshape(ad->g, feature, row);
    }
    return n == 1 ? rows[0] : node_at(ad, G_CONCAT, rows, (int)n, &(Attr){.axis = 0}, NULL);
}

/* dw[o, n] = sum of dy[o, p] x[n, p] over places, inside each example. */
static Val contract_weight(Ad *ad, Val dy, Val x) {
    const Shape *a = ad_shape(ad, dy), *b = ad_shape(ad, x);
    int64_t o = a->dim[0], n = b->dim[0], places = shape_size(a) / o;
    if (b->rank == 1) return node_at(ad, G_OUTER, (const Val[]){dy, x}, 2, NULL, NULL);
    Val rows = graph_reshape(ad->g, dy, shape_of(2, o, places));
    return graph_matmul(ad->g, rows, transposed(ad, graph_reshape(ad->g, x, shape_of(2, n, places))), 0);
}

/* y = w @ x + init.  dx = transpose(w) @ dy; dw = dy outer x, summed over places and batch; dinit = dy summed */
void vjp_MATMUL(Ad *ad) {
    Val w = A, x = B;
    int64_t n = ad_shape(ad, x)->dim[0], o = shape_size(ad_shape(ad, w)) / n;
    Shape flat = with_places(o, ad_shape(ad, x), 1);
    Val dy = graph_reshape(ad->g, DY, flat);
    if (ad_wants(ad, 0)) {
        if (ad_batched(ad, w) || !ad_batched(ad, Y)) {
            ad_give(ad, 0, graph_reshape(ad->g, contract_weight(ad, dy, x), *ad_shape(ad, w)));
        } else {
            Val each = ad_batched(ad, x) ? dy : ad_to_batch(ad, dy);
            ad_give_whole(ad, 0, node_at(ad, G_BATCH_OUTER, (const Val[]){each, x}, 2, NULL, NULL));
        }
    }
    if (ad_wants(ad, 1)) ad_give(ad, 1, contract_back(ad, graph_reshape(ad->g, w, shape_of(2, o, n)), dy));
    if (ad_wants(ad, 2)) ad_give_over(ad, 2, dy, (1u << flat.rank) - 2);
}

/* y = sum of a outer b over batch and places.  da = dy @ b, db = transpose(dy) @ a, in each example */
void vjp_BATCH_OUTER(Ad *ad) {
    GIVE(0, graph_matmul(ad->g, DY, B, 0));
    GIVE(1, contract_back(ad, DY, A));
}

/* y = a outer b.  da = dy @ b, db = transpose(dy) @ a */
void vjp_OUTER(Ad *ad) { vjp_BATCH_OUTER(ad); }
