/* window.c -- see window.h. */
#include "graph/window.h"

int64_t window_meets(const Window *w, int axis, int64_t p, int64_t k, int64_t size) {
    int64_t at = p * w->stride[axis] + k - w->pad[axis];
    if (at < 0 || at % w->dilation[axis]) return -1;
    at /= w->dilation[axis];
    return at < size ? at : -1;
}

/* The smallest number of steps of d that reach x, at least 0. */
static int64_t steps_to(int64_t x, int64_t d) { return x <= 0 ? 0 : (x + d - 1) / d; }

Taps taps_open(const Window *window, int axes, const int64_t *kernel, const int64_t *size, const int64_t *result,
               int64_t place) {
    Taps t = {.window = window, .kernel = kernel, .size = size, .axes = axes, .more = true};
    for (int i = axes - 1; i >= 0; i--) {
        int64_t d = window->dilation[i], reach = place % result[i] * window->stride[i] - window->pad[i];
        place /= result[i];
        t.first[i] = t.at[i] = steps_to(reach, d);
        t.end[i] = steps_to(reach + kernel[i], d);
        if (t.end[i] > size[i]) t.end[i] = size[i];
        t.start[i] = t.first[i] * d - reach;
        if (t.first[i] >= t.end[i]) t.more = false;
    }
    return t;
}

bool taps_next(Taps *t, int64_t *weight, int64_t *input) {
    if (!t->more) return false;
    *weight = *input = 0;
    for (int i = 0; i < t->axes; i++) {
        int64_t k = t->start[i] + (t->at[i] - t->first[i]) * t->window->dilation[i];
        *weight = *weight * t->kernel[i] + window_weight(t->window, k, t->kernel[i]);
        *input = *input * t->size[i] + t->at[i];
    }
    int i = t->axes - 1;
    for (; i >= 0 && ++t->at[i] == t->end[i]; i--) t->at[i] = t->first[i];
    t->more = i >= 0;
    return true;
}

int64_t window_place(const Window *w, int axes, const int64_t *kernel, const int64_t *size, const int64_t *result,
                     int64_t place, int64_t weight) {
    int64_t at = 0, stride = 1;
    for (int i = axes - 1; i >= 0; i--) {
        int64_t k = window_weight(w, weight % kernel[i], kernel[i]);
        int64_t j = window_meets(w, i, place % result[i], k, size[i]);
        if (j < 0) return -1;
        at += j * stride;
        stride *= size[i];
        place /= result[i];
        weight /= kernel[i];
    }
    return at;
}
