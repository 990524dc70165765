/* window.h -- what a place of a convolution's result sees of the input. */
#ifndef NIN_GRAPH_WINDOW_H
#define NIN_GRAPH_WINDOW_H

#include "graph/graph.h"

/* Whether a sum over the batch takes what one example gives to a result as a chain by itself, by shape alone
 * (arithmetic, 27, 28): of `terms` elements that are added; of a convolution's weight, by the places of the result and
 * the weights of an output feature. */
enum { LONG_EXAMPLE = 256, FEW_WEIGHTS = 64 };
static inline bool sum_by_example(int64_t terms) { return terms >= LONG_EXAMPLE; }
static inline bool conv_by_example(int64_t places, int64_t weights) {
    return places >= LONG_EXAMPLE && weights < FEW_WEIGHTS;
}

/* The weight's position for position k of a kernel of size `kernel`. */
static inline int64_t window_weight(const Window *w, int64_t k, int64_t kernel) {
    return w->reversed ? kernel - 1 - k : k;
}

/* The input's place, along one axis of size `size`, that place p meets at position k; -1: none. */
int64_t window_meets(const Window *w, int axis, int64_t p, int64_t k, int64_t size);

/* The input's places that one place of the result sees, row-major: the order of the chain. */
typedef struct Taps {
    const Window *window;
    const int64_t *kernel, *size;                        /* sizes of the kernel and of the input, by place axis */
    int axes;
    bool more;
    int64_t first[MAX_PLACES], end[MAX_PLACES], start[MAX_PLACES], at[MAX_PLACES];
} Taps;
/* place: row-major among the result's places, whose sizes are `result`. */
Taps taps_open(const Window *window, int axes, const int64_t *kernel, const int64_t *size, const int64_t *result,
               int64_t place);
/* Row-major indices of the weight's position and of the input's place; false: no more. */
bool taps_next(Taps *taps, int64_t *weight, int64_t *input);

/* For place p of a result the input's place is j = p's, at position k of every axis; -1 if any is left out. */
int64_t window_place(const Window *window, int axes, const int64_t *kernel, const int64_t *size, const int64_t *result,
                     int64_t place, int64_t weight);

#endif
