/* simplify_moves.c -- identities of views: elements move, their bits do not change.
 *
 *   no change     reshape, broadcast, slice, pad to the same type; the identity permutation; a join of one
 *   twice         reshape, broadcast, transpose, slice, pad of their own kind: one
 *   repeated      reshape, transpose, slice of a repeated scalar: the scalar repeated; a slice of any repetition
 *   order kept    a transpose that moves only axes of size 1 is a reshape
 *   parts         a slice of a join inside one part; of a pad inside or outside of its middle;
 *                 neighbouring slices of one tensor joined again */
#include "pass/simplify.h"

static bool is(const Simplifier *s, Val v, Op op) { return simple_op(s, v) == op; }

static bool same_type(const Simplifier *s, Val v, const Draft *d) {
    NodeType type = graph_type(s->g, v);
    return type_equal(&type, &d->type);
}

static bool repeats_scalar(const Simplifier *s, Val v) {
    return is(s, v, G_BROADCAST) && simple_shape(s, simple_arg(s, v, 0))->rank == 0;
}

static Val move_transpose(Simplifier *s, const Draft *d) {
    Val a = d->in[0];
    const Shape *from = simple_shape(s, a);
    int64_t axes[MAX_RANK] = {0}, last = -1;
    bool ordered = true;
    for (int i = 0; i < from->rank; i++) {
        int64_t axis = d->attr->starts[i];
        if (from->dim[axis] == 1) continue;
        ordered = ordered && axis > last;
        last = axis;
    }
    if (ordered) return simple_view(s, G_RESHAPE, a, NULL, d->type);
    if (!is(s, a, G_TRANSPOSE)) return 0;
    for (int i = 0; i < from->rank; i++) axes[i] = graph_attr(s->g, a)->starts[d->attr->starts[i]];
    return simple_view(s, G_TRANSPOSE, simple_arg(s, a, 0), axes, d->type);
}

/* slice(repeat x): the part of x, repeated. */
static Val slice_repeat(Simplifier *s, const Draft *d, Val a) {
    Val x = simple_arg(s, a, 0);
    NodeType part = graph_type(s->g, x);
    int64_t starts[MAX_RANK] = {0};
    for (int i = 0; i < part.shape.rank; i++) {
        if (part.shape.dim[i] == 1) continue;
        starts[i] = d->attr->starts[i];
        part.shape.dim[i] = d->type.shape.dim[i];
    }
    return simple_view(s, G_BROADCAST, simple_view(s, G_SLICE, x, starts, part), NULL, d->type);
}

static Val slice_pad(Simplifier *s, const Draft *d, Val a) {
    Val x = simple_arg(s, a, 0);
    const int64_t *pad = graph_attr(s->g, a)->starts;
    const Shape *middle = simple_shape(s, x);
    int64_t starts[MAX_RANK] = {0};
    bool inside = true;
    for (int i = 0; i < middle->rank; i++) {
        int64_t lo = d->attr->starts[i] - pad[i], hi = lo + d->type.shape.dim[i];
        if (hi <= 0 || lo >= middle->dim[i]) return simple_splat(s, 0, d->type);
        inside = inside && lo >= 0 && hi <= middle->dim[i];
        starts[i] = lo;
    }
    return inside ? simple_view(s, G_SLICE, x, starts, d->type) : 0;
}

static Val slice_concat(Simplifier *s, const Draft *d, Val a) {
    int axis = graph_attr(s->g, a)->axis;
    int64_t starts[MAX_RANK];
    memcpy(starts, d->attr->starts, sizeof starts);
    for (int i = 0; i < graph_node(s->g, a)->nin; i++) {
        Val part = simple_arg(s, a, i);
        int64_t size = simple_shape(s, part)->dim[axis];
        if (starts[axis] < size) {
            if (starts[axis] + d->type.shape.dim[axis] > size) return 0;
            NodeType type = d->type;
            type.batched = graph_node(s->g, part)->batched;
            return simple_view(s, G_SLICE, part, starts, type);
        }
        starts[axis] -= size;
    }
    return 0;
}

static Val move_slice(Simplifier *s, const Draft *d) {
    Val a = d->in[0];
    if (same_type(s, a, d)) return a;
    if (is(s, a, G_BROADCAST)) return slice_repeat(s, d, a);
    if (is(s, a, G_PAD)) return slice_pad(s, d, a);
    if (is(s, a, G_CONCAT)) return slice_concat(s, d, a);
    if (!is(s, a, G_SLICE)) return 0;
    int64_t starts[MAX_RANK];
    for (int i = 0; i < MAX_RANK; i++) starts[i] = d->attr->starts[i] + graph_attr(s->g, a)->starts[i];
    return simple_view(s, G_SLICE, simple_arg(s, a, 0), starts, d->type);
}

static Val move_pad(Simplifier *s, const Draft *d) {
    Val a = d->in[0];
    if (same_type(s, a, d)) return a;
    if (!is(s, a, G_PAD)) return 0;
    int64_t starts[MAX_RANK];
    for (int i = 0; i < MAX_RANK; i++) starts[i] = d->attr->starts[i] + graph_attr(s->g, a)->starts[i];
    return simple_view(s, G_PAD, simple_arg(s, a, 0), starts, d->type);
}

/* Does slice b begin where slice a of the same tensor ends along the axis, and agree elsewhere? */
static bool follows(const Simplifier *s, Val a, Val b, int axis) {
    if (!is(s, a, G_SLICE) || !is(s, b, G_SLICE) || simple_arg(s, a, 0) != simple_arg(s, b, 0)) return false;
    const int64_t *at = graph_attr(s->g, a)->starts, *bt = graph_attr(s->g, b)->starts;
    for (int i = 0; i < simple_shape(s, a)->rank; i++)
        if (bt[i] != at[i] + (i == axis ? simple_shape(s, a)->dim[i] : 0)) return false;
    return true;
}

static Val move_concat(Simplifier *s, const Draft *d) {
    int axis = d->attr->axis, n = 0;
    Val in[255];
    if (d->nin == 1) return d->in[0];
    for (int i = 0; i < d->nin; i++) {
        Val part = d->in[i];
        if (n && follows(s, in[n - 1], part, axis)) {
            NodeType joined = graph_type(s->g, in[n - 1]);
            joined.shape.dim[axis] += simple_shape(s, part)->dim[axis];
            part = simple_view(s, G_SLICE, simple_arg(s, part, 0), graph_attr(s->g, in[--n])->starts, joined);
        }
        in[n++] = part;
    }
    return n == d->nin ? 0 : simple_add(s, G_CONCAT, in, n, d->attr, NULL);
}

Val simple_move(Simplifier *s, const Draft *d) {
    Val a = d->in[0];
    bool same = same_type(s, a, d);
    if ((d->op == G_RESHAPE || d->op == G_TRANSPOSE) && repeats_scalar(s, a))
        return simple_view(s, G_BROADCAST, simple_arg(s, a, 0), NULL, d->type);
    if (d->op == G_BROADCAST || d->op == G_RESHAPE) {
        if (same) return a;
        return is(s, a, d->op) ? simple_view(s, d->op, simple_arg(s, a, 0), NULL, d->type) : 0;
    }
    if (d->op == G_TRANSPOSE) return move_transpose(s, d);
    if (d->op == G_SLICE) return move_slice(s, d);
    return d->op == G_PAD ? move_pad(s, d) : move_concat(s, d);
}
