/* eval_view.c -- leaves, and ops that only move elements. */
#include "graph/eval.h"
#include "support/rng.h"

/* ---- leaves ---- */

void eval_CONST(Work *w) {
    switch (w->out->dtype) {
    case DT_BOOL: *(uint8_t *)w->out->data = w->attr->i64 != 0; return;
    case DT_I32: *(int32_t *)w->out->data = (int32_t)w->attr->i64; return;
    case DT_F32: *(float *)w->out->data = (float)w->attr->f64; return;
    case DT_F64: *(double *)w->out->data = w->attr->f64; return;
    }
}

void eval_TABLE(Work *w) {
    memcpy(w->out->data, w->attr->blob->data, (size_t)w->out->size * dtype_size(w->out->dtype));
}

/* Inputs are borrowed from the frame's feed by eval_node. */
void eval_INPUT(Work *w) { *w->out = w->frame->inputs[w->attr->index]; }

void eval_HOLE(Work *w) { memset(w->out->data, 0, (size_t)w->rows * (size_t)w->out->size * dtype_size(w->out->dtype)); }

/* Row-major strides: how far apart neighbours along each axis are. */
static void strides_of(const Shape *shape, int64_t stride[MAX_RANK]) {
    int64_t n = 1;
    for (int i = shape->rank - 1; i >= 0; i--) {
        stride[i] = n;
        n *= shape->dim[i];
    }
}

void eval_IOTA(Work *w) {
    int64_t stride[MAX_RANK];
    int32_t *out = w->out->data;
    int axis = w->attr->axis;
    strides_of(&w->node->shape, stride);
    for (int64_t i = 0; i < w->out->size; i++) out[i] = (int32_t)(i / stride[axis] % w->node->shape.dim[axis]);
}

typedef float (*Draw)(uint64_t key, uint32_t element, uint32_t example, uint32_t step);

/* f64 tensors take the same numbers, widened. */
static void eval_random(Work *w, Draw draw) {
    uint64_t key = w->frame->keys ? w->frame->keys[w->attr->index] : 0;
    for (int64_t e = 0; e < w->rows; e++) {
        void *out = value_row(w->out, e);
        for (int64_t i = 0; i < w->out->size; i++) {
            float x = draw(key, (uint32_t)i, (uint32_t)e, w->frame->step);
            if (w->out->dtype == DT_F32) ((float *)out)[i] = x;
            else ((double *)out)[i] = (double)x;
        }
    }
}

void eval_NOISE(Work *w) { eval_random(w, rng_uniform); }
void eval_NORMAL(Work *w) { eval_random(w, rng_normal); }

/* ---- moves: element i of the result is element from[i] of the operand ---- */

static void copy_element(const Work *w, char *out, int64_t i, const char *in, int64_t from) {
    size_t size = dtype_size(w->out->dtype);
    memcpy(out + (size_t)i * size, in + (size_t)from * size, size);
}

/* Result axis k walks the operand with step[k], starting at `first`. */
static void move(Work *w, int64_t first, const int64_t step[MAX_RANK]) {
    const Shape *shape = &w->node->shape;
    int64_t stride[MAX_RANK];
    strides_of(shape, stride);
    for (int64_t e = 0; e < w->rows; e++) {
        const char *in = value_row(w->in[0], e);
        char *out = value_row(w->out, e);
        for (int64_t i = 0; i < w->out->size; i++) {
            int64_t from = first;
            for (int k = 0; k < shape->rank; k++) from += i / stride[k] % shape->dim[k] * step[k];
            copy_element(w, out, i, in, from);
        }
    }
}

void eval_BROADCAST(Work *w) {
    const Shape *from = w->shape[0];
    int64_t step[MAX_RANK] = {0};
    strides_of(from, step);
    for (int k = 0; k < MAX_RANK; k++)
        if (k >= from->rank || from->dim[k] == 1) step[k] = 0;
    move(w, 0, step);
}

void eval_RESHAPE(Work *w) {
    size_t size = (size_t)w->out->size * dtype_size(w->out->dtype);
    for (int64_t e = 0; e < w->rows; e++) memcpy(value_row(w->out, e), value_row(w->in[0], e), size);
}

void eval_TRANSPOSE(Work *w) {
    int64_t stride[MAX_RANK], step[MAX_RANK] = {0};
    strides_of(w->shape[0], stride);
    for (int k = 0; k < w->node->shape.rank; k++) step[k] = stride[w->attr->starts[k]];
    move(w, 0, step);
}

void eval_SLICE(Work *w) {
    int64_t step[MAX_RANK] = {0}, first = 0;
    strides_of(w->shape[0], step);
    for (int k = 0; k < w->node->shape.rank; k++) first += w->attr->starts[k] * step[k];
    move(w, first, step);
}

void eval_PAD(Work *w) {
    const Shape *from = w->shape[0];
    int64_t stride[MAX_RANK], step[MAX_RANK], first = 0;
    strides_of(from, stride);
    strides_of(&w->node->shape, step);
    for (int k = 0; k < from->rank; k++) first += w->attr->starts[k] * step[k];
    for (int64_t e = 0; e < w->rows; e++) {
        const char *in = value_row(w->in[0], e);
        char *out = value_row(w->out, e);
        memset(out, 0, (size_t)w->out->size * dtype_size(w->out->dtype));
        for (int64_t i = 0; i < w->in[0]->size; i++) {
            int64_t to = first;
            for (int k = 0; k < from->rank; k++) to += i / stride[k] % from->dim[k] * step[k];
            copy_element(w, out, to, in, i);
        }
    }
}

/* With the joined axis, an operand is `outer` runs of `run` elements, which interleave in the result. */
void eval_CONCAT(Work *w) {
    size_t size = dtype_size(w->out->dtype);
    int64_t outer = 1, done = 0, whole;
    for (int k = 0; k < w->attr->axis; k++) outer *= w->node->shape.dim[k];
    whole = w->out->size / outer;
    for (int p = 0; p < w->node->nin; p++) {
        int64_t run = w->in[p]->size / outer;
        for (int64_t e = 0; e < w->rows; e++)
            for (int64_t o = 0; o < outer; o++)
                memcpy((char *)value_row(w->out, e) + (size_t)(o * whole + done) * size,
                       (const char *)value_row(w->in[p], e) + (size_t)(o * run) * size, (size_t)run * size);
        done += run;
    }
}

/* An index outside 0 .. n-1 means the nearest of them. */
static int64_t index_within(int32_t k, int64_t n) { return k < 0 ? 0 : k >= n ? n - 1 : k; }

void eval_PICK(Work *w) {
    int64_t places = w->out->size;
    for (int64_t e = 0; e < w->rows; e++) {
        const int32_t *k = value_row(w->in[1], e);
        for (int64_t p = 0; p < places; p++) {
            int64_t row = index_within(k[p], w->shape[0]->dim[0]);
            copy_element(w, value_row(w->out, e), p, value_row(w->in[0], e), row * places + p);
        }
    }
}

void eval_EMBED(Work *w) {
    int64_t places = w->in[1]->size, rows = w->shape[0]->dim[0], width = w->shape[0]->dim[1];
    for (int64_t e = 0; e < w->rows; e++) {
        const int32_t *k = value_row(w->in[1], e);
        for (int64_t d = 0; d < width; d++)
            for (int64_t p = 0; p < places; p++)
                copy_element(w, value_row(w->out, e), d * places + p, value_row(w->in[0], e),
                             index_within(k[p], rows) * width + d);
    }
}

void eval_PROJ(Work *w) {
    const Value *part = &w->in[0]->part[w->attr->index];
    memcpy(w->out->data, part->data, (size_t)w->rows * (size_t)part->size * dtype_size(part->dtype));
}
