/* eval_scan.c -- SCAN: the body turn after turn, as a frame of its own over the same examples.
 *
 * Carries are values of two turns: what the turn begins with and what it leaves.  A slice is copied out of its operand,
 * a stacked output into its place along the new first axis. */
#include "graph/eval.h"

#include <stdlib.h>

typedef struct Turns {
    Work *w;
    const Graph *body;
    int64_t turn, turns;
    Value *carry;               /* as the turn begins; memory of its own */
    Value *inputs;
} Turns;

static const Value *operand(const Turns *t, int k) { return t->w->in[k]; }

static int64_t rows_of(const Turns *t, const Value *value) { return value->varies ? t->w->frame->examples : 1; }

static size_t bytes_of(const Value *value) { return (size_t)value->size * dtype_size(value->dtype); }

/* ---- in ---- */

static bool start_carries(Turns *t, Value *carry) {
    for (int k = 0; k < t->w->attr->mapped; k++) {
        Value *to = &carry[k];
        const Value *from = operand(t, k);
        *to = (Value){.dtype = from->dtype, .size = from->size, .varies = from->varies};
        if (!value_alloc(t->w->frame, to, t->w->frame->examples)) return false;
        memcpy(to->data, from->data, (size_t)rows_of(t, from) * bytes_of(from));
    }
    return true;
}

static bool take_slice(Turns *t, const Value *from, int64_t at, Value *to) {
    *to = (Value){.dtype = from->dtype, .size = from->size / t->turns, .varies = from->varies};
    if (!value_alloc(t->w->frame, to, t->w->frame->examples)) return false;
    for (int64_t e = 0; e < rows_of(t, to); e++)
        memcpy(value_row(to, e), (char *)value_row(from, e) + (size_t)at * bytes_of(to), bytes_of(to));
    return true;
}

static bool take_inputs(Turns *t) {
    const Attr *attr = t->w->attr;
    for (int i = 0; i < t->body->inputs.len; i++) {
        const GraphInput *input = &t->body->inputs.at[i];
        Value *to = &t->inputs[i];
        if (input->kind == IN_SLICE || input->kind == IN_SLICE_BACK) {
            int64_t at = input->kind == IN_SLICE ? t->turn : t->turns - 1 - t->turn;
            if (!take_slice(t, operand(t, attr->mapped + input->index), at, to)) return false;
            continue;
        }
        *to = input->kind == IN_CARRY ? t->carry[input->index] : *operand(t, attr->mapped + attr->index + input->index);
        to->borrowed = true;
    }
    return true;
}

/* ---- out ---- */

static bool open_stacks(Turns *t) {
    Value *out = t->w->out;
    out->parts = t->body->outputs.len;
    out->part = calloc((size_t)out->parts, sizeof *out->part);
    if (!out->part) return t->w->frame->exhausted = true, false;
    for (int k = t->w->attr->mapped; k < out->parts; k++) {
        NodeType type = graph_type(t->body, t->body->outputs.at[k].value);
        out->part[k] = (Value){.dtype = type.dtype, .size = t->turns * shape_size(&type.shape), .varies = type.batched};
        if (!value_alloc(t->w->frame, &out->part[k], t->w->frame->examples)) return false;
    }
    return true;
}

static void keep_turn(Turns *t, const Frame *frame) {
    for (int k = 0; k < t->body->outputs.len; k++) {
        const GraphOutput *output = &t->body->outputs.at[k];
        const Value *from = &frame->value[output->value];
        Value *to = k < t->w->attr->mapped ? &t->carry[k] : &t->w->out->part[k];
        int64_t at = output->kind == OUT_CARRY ? 0 : output->kind == OUT_STACK ? t->turn : t->turns - 1 - t->turn;
        for (int64_t e = 0; e < rows_of(t, to); e++)
            memcpy((char *)value_row(to, e) + (size_t)at * bytes_of(from), value_row(from, e), bytes_of(from));
    }
}

/* ---- the whole ---- */

static void swap_carries(Turns *t, Value *other) {
    for (int k = 0; k < t->w->attr->mapped; k++) {
        Value old = t->carry[k];
        t->carry[k] = other[k];
        other[k] = old;
    }
}

/* The new carries are written beside the old ones, which a carry that is only handed on still reads. */
static void eval_turn(Turns *t, Value *other) {
    Frame *outer = t->w->frame;
    Frame frame = {.graph = t->body, .examples = outer->examples, .inputs = t->inputs, .keys = outer->keys,
                   .step = outer->step};
    if (take_inputs(t) && frame_open(&frame)) {
        swap_carries(t, other);
        keep_turn(t, &frame);
    } else {
        outer->exhausted = true;
    }
    frame_close(&frame);
    for (int i = 0; i < t->body->inputs.len; i++) value_free(&t->inputs[i]);
}

void eval_SCAN(Work *w) {
    int carries = w->attr->mapped;
    Turns t = {.w = w, .body = w->attr->body, .turns = w->attr->i64};
    Value *other = calloc((size_t)carries + 1, sizeof *other);
    t.carry = calloc((size_t)carries + 1, sizeof *t.carry);
    t.inputs = calloc((size_t)t.body->inputs.len + 1, sizeof *t.inputs);
    if (!t.carry || !t.inputs || !other) w->frame->exhausted = true;
    else if (open_stacks(&t) && start_carries(&t, other) && start_carries(&t, t.carry))
        for (; t.turn < t.turns && !w->frame->exhausted; t.turn++) eval_turn(&t, other);
    for (int k = 0; k < carries; k++) {
        if (other) value_free(&other[k]);
        if (w->out->part && t.carry) w->out->part[k] = t.carry[k];
        else if (t.carry) value_free(&t.carry[k]);
    }
    free(other);
    free(t.carry);
    free(t.inputs);
}
