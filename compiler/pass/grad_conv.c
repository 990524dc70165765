/* grad_conv.c -- derivative rules of convolutions.  With D the dilation and s the stride of y, the input's gradient is
 * a convolution of dy by the reversed kernel whose features are exchanged, with stride D, dilation s, pad k - 1 -
 * pad. */
#include "pass/grad.h"

#define A ad_in(ad, 0)
#define B ad_in(ad, 1)
#define Y (ad->y)
#define DY (ad->dy)

static Val node_at(Ad *ad, Op op, const Val *in, int nin, const Window *window, Shape shape) {
    NodeType like = {(DType)graph_node(ad->g, Y)->dtype, shape, false};
    return graph_add(ad->g, op, in, nin, &(Attr){.window = *window}, &like, graph_node(ad->g, Y)->span);
}

static const Window *window_of(Ad *ad) { return &graph_attr(ad->g, Y)->window; }

/* w[o, n / groups, ...k] -> [n, o / groups, ...k], inside each group. */
static Val exchanged(Ad *ad, Val w, int groups) {
    Shape from = *ad_shape(ad, w), parts = {from.rank + 1, {groups, from.dim[0] / groups}}, to = from;
    int axes[MAX_RANK] = {0, 2, 1, 3, 4, 5}, plain[MAX_RANK] = {1, 0, 2, 3, 4, 5};
    to.dim[0] = from.dim[1] * groups;
    to.dim[1] = from.dim[0] / groups;
    if (groups == 1) return graph_transpose(ad->g, w, plain);
    for (int i = 1; i < from.rank; i++) parts.dim[i + 1] = from.dim[i];
    return graph_reshape(ad->g, graph_transpose(ad->g, graph_reshape(ad->g, w, parts), axes), to);
}

/* The gradient for an input of shape x, from w and dy. */
static Val conv_back(Ad *ad, Val w, Val dy, Shape x) {
    const Window *forth = window_of(ad);
    const Shape *kernel = ad_shape(ad, w);
    Window back = {.groups = forth->groups, .reversed = !forth->reversed};
    for (int i = 0; i < x.rank - 1; i++) {
        back.stride[i] = forth->dilation[i];
        back.dilation[i] = forth->stride[i];
        back.pad[i] = (int32_t)kernel->dim[i + 2] - 1 - forth->pad[i];
    }
    Val in[2] = {exchanged(ad, w, forth->groups), dy};
    return node_at(ad, G_CONV, in, 2, &back, x);
}

/* What every place of the result meets at one position of the kernel: 0 where there is nothing. */
static Val met_at(Ad *ad, Val x, const Shape *kernel, int64_t position) {
    Window one = *window_of(ad);
    Shape shape = *ad_shape(ad, Y), ones = {shape.rank + 1, {ad_shape(ad, x)->dim[0], 1, 1, 1, 1, 1}};
    one.groups = (int32_t)ones.dim[0];
    for (int i = shape.rank - 2; i >= 0; i--) {
        int64_t size = kernel->dim[i + 2], k = position % size;
        position /= size;
        one.pad[i] -= (int32_t)(one.reversed ? size - 1 - k : k);
    }
    shape.dim[0] = ones.dim[0];
    Val in[2] = {graph_broadcast(ad->g, ad_number(ad, 1), ones), x};
    return node_at(ad, G_CONV, in, 2, &one, shape);
}

/* dw where the weight belongs to an example, or nothing does to the batch: position by position, group by group. */
static Val conv_weight(Ad *ad, Val dy, Val x, const Shape *w) {
    int groups = window_of(ad)->groups;
    int64_t o = w->dim[0] / groups, n = w->dim[1], taps = shape_size(w) / w->dim[0] / n;
    int64_t places = shape_size(ad_shape(ad, dy)) / w->dim[0];
    dy = graph_reshape(ad->g, dy, shape_of(2, w->dim[0], places));
    Val all = 0;
    for (int64_t k = 0; k < taps; k++) {
        Val met = graph_reshape(ad->g, met_at(ad, x, w, k), shape_of(2, n * groups, places)), rows = 0;
        for (int64_t i = 0; i < groups; i++) {
            Val a = graph_slice(ad->g, dy, (const int64_t[]){i * o, 0}, shape_of(2, o, places));
            Val b = graph_slice(ad->g, met, (const int64_t[]){i * n, 0}, shape_of(2, n, places));
            Val part = graph_matmul(ad->g, a, graph_transpose(ad->g, b, (const int[]){1, 0}), 0);
            part = graph_reshape(ad->g, part, shape_of(3, o, n, INT64_C(1)));
            Val two[2] = {rows, part};
            rows = rows ? graph_add(ad->g, G_CONCAT, two, 2, &(Attr){.axis = 0}, NULL, (Span){0}) : part;
        }
        Val two[2] = {all, rows};
        all = all ? graph_add(ad->g, G_CONCAT, two, 2, &(Attr){.axis = 2}, NULL, (Span){0}) : rows;
    }
    return graph_reshape(ad->g, all, *w);
}

/* y = conv(w, x) + init.  dx: see above; dw = sum of dy and what it met, over places and batch; dinit = dy summed */
void vjp_CONV(Ad *ad) {
    Val w = A, x = B;
    Shape shape = *ad_shape(ad, w);
    if (ad_wants(ad, 0)) {
        if (ad_batched(ad, w) || !ad_batched(ad, Y)) {
            ad_give(ad, 0, conv_weight(ad, DY, x, &shape));
        } else {
            Val in[2] = {ad_batched(ad, x) ? DY : ad_to_batch(ad, DY), x};
            ad_give_whole(ad, 0, node_at(ad, G_BATCH_CONV, in, 2, window_of(ad), shape));
        }
    }
    GIVE(1, conv_back(ad, w, DY, *ad_shape(ad, x)));
    if (ad_wants(ad, 2)) ad_give_over(ad, 2, DY, (1u << ad_shape(ad, Y)->rank) - 2);
}

/* y = the gradient of w in conv(w, b) for a.  da = conv(dy, b); db: the gradient of its input */
void vjp_BATCH_CONV(Ad *ad) {
    GIVE(0, node_at(ad, G_CONV, (const Val[]){DY, B}, 2, window_of(ad), *ad_shape(ad, A)));
    GIVE(1, conv_back(ad, DY, A, *ad_shape(ad, B)));
}
