/* eval_conv.c -- convolutions, in the order that lang/arithmetic.md states: a chain over (kernel place, input feature),
 * what lies outside the input left out; a weight's gradient over (example, place), each example by itself
 * where conv_by_example says so. */
#include "graph/eval.h"
#include "graph/window.h"

#include <math.h>

/* Sizes by place axis, and of all places together. */
typedef struct Conv {
    const Window *window;
    int axes;
    const int64_t *kernel, *size, *result;
    int64_t taps, inputs, places;
    int64_t outs, each;                    /* output features; input features of a group */
} Conv;

static Conv conv_open(const Work *w, const Shape *weight, const Shape *x, const Shape *y) {
    Conv c = {.window = &w->attr->window, .axes = x->rank - 1, .kernel = weight->dim + 2, .size = x->dim + 1,
              .result = y->dim + 1, .taps = 1, .inputs = 1, .places = 1, .outs = weight->dim[0],
              .each = weight->dim[1]};
    for (int i = 0; i < c.axes; i++) {
        c.taps *= c.kernel[i];
        c.inputs *= c.size[i];
        c.places *= c.result[i];
    }
    return c;
}

static int64_t first_feature(const Conv *c, int64_t o) { return o / (c->outs / c->window->groups) * c->each; }

#define CONV(T, FMA)                                                                                               \
    static T conv_at_##T(const Conv *c, const T *weight, const T *x, int64_t place, T acc) {                           \
        Taps taps = taps_open(c->window, c->axes, c->kernel, c->size, c->result, place);                               \
        for (int64_t k, j; taps_next(&taps, &k, &j);)                                                                  \
            for (int64_t n = 0; n < c->each; n++) acc = FMA(weight[n * c->taps + k], x[n * c->inputs + j], acc);       \
        return acc;                                                                                                    \
    }                                                                                                                  \
    static void conv_all_##T(Work *w, const Conv *c) {                                                                 \
        for (int64_t e = 0; e < w->rows; e++) {                                                                        \
            const T *weight = value_row(w->in[0], e), *x = value_row(w->in[1], e);                                     \
            const T *start = w->node->nin == 3 ? value_row(w->in[2], e) : NULL;                                        \
            for (int64_t i = 0; i < w->out->size; i++) {                                                               \
                int64_t o = i / c->places;                                                                             \
                ((T *)value_row(w->out, e))[i] =                                                                       \
                    conv_at_##T(c, weight + o * c->each * c->taps, x + first_feature(c, o) * c->inputs, i % c->places, \
                                start ? start[o] : 0);                                                                 \
            }                                                                                                          \
        }                                                                                                              \
    }                                                                                                                  \
    /* The chain over one example's places, for one weight. */                                                         \
    static T weight_at_##T(const Conv *c, const T *dy, const T *x, int64_t k, T acc) {                                 \
        for (int64_t p = 0; p < c->places; p++) {                                                                      \
            int64_t j = window_place(c->window, c->axes, c->kernel, c->size, c->result, p, k);                         \
            if (j >= 0) acc = FMA(dy[p], x[j], acc);                                                                   \
        }                                                                                                              \
        return acc;                                                                                                    \
    }                                                                                                                  \
    static void weight_all_##T(Work *w, const Conv *c) {                                                               \
        bool apart = conv_by_example(c->places, c->taps * c->each);                                                    \
        for (int64_t i = 0; i < w->out->size; i++) {                                                                   \
            int64_t o = i / c->taps / c->each, n = first_feature(c, o) + i / c->taps % c->each;                        \
            T total = 0;                                                                                               \
            for (int64_t first = 0; first < w->frame->examples; first += SHARD) {                                      \
                T acc = 0;                                                                                             \
                for (int64_t e = first; e < w->frame->examples && e < first + SHARD; e++) {                            \
                    T sum = weight_at_##T(c, (const T *)value_row(w->in[0], e) + o * c->places,                        \
                                          (const T *)value_row(w->in[1], e) + n * c->inputs, i % c->taps,              \
                                          apart ? 0 : acc);                                                            \
                    acc = apart ? acc + sum : sum;                                                                     \
                }                                                                                                      \
                total = first ? total + acc : acc;                                                                     \
            }                                                                                                          \
            ((T *)w->out->data)[i] = total;                                                                            \
        }                                                                                                              \
    }

CONV(float, fmaf)
CONV(double, fma)

void eval_CONV(Work *w) {
    Conv c = conv_open(w, w->shape[0], w->shape[1], &w->node->shape);
    if (w->out->dtype == DT_F32) conv_all_float(w, &c);
    else conv_all_double(w, &c);
}

void eval_BATCH_CONV(Work *w) {
    Conv c = conv_open(w, &w->node->shape, w->shape[1], w->shape[0]);
    if (w->out->dtype == DT_F32) weight_all_float(w, &c);
    else weight_all_double(w, &c);
}
