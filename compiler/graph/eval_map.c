/* eval_map.c -- MAP: the body at each point, results put in place or summed.
 *
 * The points of a map are numbered example, place, unit (the first axis, fastest).  They are evaluated as the
 * examples of the body's frame, some at a time, which changes nothing: points do not touch each other, and
 * summed outputs take them one by one in order.  A map over batched operands is one group of points with sums in
 * shards; any other map (one inside a body, too) is a group for each row of its operands, its sum one chain. */
#include "graph/eval.h"

#include <math.h>

enum { CHUNK = 256 };

typedef struct Group {
    Work *w;
    const Graph *body;
    Value *part;                /* the map's outputs */
    Value *acc;                 /* by output: the running chain of a summed one */
    int64_t row;                /* of shared operands and results; the first example of mapped ones */
    int64_t size, units;        /* points per example, and of these per place */
    int64_t points;
    bool shards;
} Group;

/* The row of operands, and the element of a tensor, that a point stands for. */
static int64_t point_row(const Group *g, int64_t point) { return g->row + point / g->size; }

static int64_t point_element(const Group *g, int64_t point) {
    int64_t within = point % g->size;
    return within % g->units * (g->size / g->units) + within / g->units;
}

static char *element_at(const Value *value, int64_t row, int64_t element) {
    return (char *)value_row(value, row) + (size_t)element * dtype_size(value->dtype);
}

/* ---- in ---- */

static bool gather(const Group *g, const Value *from, int64_t first, int64_t count, Value *to) {
    *to = (Value){.dtype = from->dtype, .varies = true, .size = 1};
    if (!value_alloc(g->w->frame, to, count)) return false;
    for (int64_t i = 0; i < count; i++) {
        int64_t point = first + i;
        memcpy(element_at(to, i, 0), element_at(from, point_row(g, point), point_element(g, point)),
               dtype_size(to->dtype));
    }
    return true;
}

static Value share(const Group *g, const Value *from) {
    Value to = *from;
    to.data = value_row(from, g->row);
    to.varies = false;
    to.borrowed = true;
    return to;
}

static bool body_inputs(const Group *g, int64_t first, int64_t count, Value *inputs) {
    int mapped = g->w->attr->mapped;
    for (int i = 0; i < g->body->inputs.len; i++) {
        const GraphInput *input = &g->body->inputs.at[i];
        if (input->kind == IN_SHARED) inputs[i] = share(g, g->w->in[mapped + input->index]);
        else if (!gather(g, g->w->in[input->index], first, count, &inputs[i])) return false;
    }
    return true;
}

/* ---- out ---- */

static bool left_out(const Group *g, int64_t point) {
    int operand = g->w->attr->index - ZEROS_OF;
    if (operand < 0) return false;
    const Value *value = g->w->in[operand];
    const void *at = element_at(value, point_row(g, point), point_element(g, point));
    return value->dtype == DT_F32 ? *(const float *)at == 0 : *(const double *)at == 0;
}

static void scatter(const Group *g, const Value *from, int64_t first, int64_t count, Value *to) {
    for (int64_t i = 0; i < count; i++) {
        int64_t point = first + i;
        char *at = element_at(to, point_row(g, point), point_element(g, point));
        if (left_out(g, point)) memset(at, 0, dtype_size(to->dtype));
        else memcpy(at, element_at(from, i, 0), dtype_size(to->dtype));
    }
}

static void add_into(Value *acc, const void *row) {
    for (int64_t k = 0; k < acc->size; k++) {
        if (acc->dtype == DT_F32) ((float *)acc->data)[k] += ((const float *)row)[k];
        else if (acc->dtype == DT_F64) ((double *)acc->data)[k] += ((const double *)row)[k];
        else ((uint32_t *)acc->data)[k] += ((const uint32_t *)row)[k];
    }
}

static void fma_into(Value *acc, const void *a, const void *b, int64_t n) {
    for (int64_t k = 0; k < acc->size; k++) {
        if (acc->dtype == DT_F32) {
            float *at = (float *)acc->data + k;
            *at = fmaf(((const float *)a)[k / n], ((const float *)b)[k % n], *at);
        } else {
            double *at = (double *)acc->data + k;
            *at = fma(((const double *)a)[k / n], ((const double *)b)[k % n], *at);
        }
    }
}

/* Adds the chain to the result (the first one becomes the result) and starts anew from +0. */
static void fold(const Group *g, int output, bool first) {
    Value *acc = &g->acc[output], *part = &g->part[output];
    Value total = *part;
    size_t bytes = (size_t)part->size * dtype_size(part->dtype);
    total.data = value_row(part, g->row);
    if (first) memcpy(total.data, acc->data, bytes);
    else add_into(&total, acc->data);
    memset(acc->data, 0, bytes);
}

static void accumulate(const Group *g, const Frame *frame, int output, int64_t first, int64_t count) {
    Val root = g->body->outputs.at[output].value;
    bool outer = graph_node(g->body, root)->op == G_OUTER;
    Value *acc = &g->acc[output];
    int64_t shard = SHARD * g->size;
    for (int64_t i = 0; i < count; i++) {
        int64_t point = first + i;
        if (g->shards && point && point % shard == 0) fold(g, output, point == shard);
        if (left_out(g, point)) continue;
        if (outer) fma_into(acc, value_row(&frame->value[graph_in(g->body, root, 0)], i),
                            value_row(&frame->value[graph_in(g->body, root, 1)], i),
                            graph_node(g->body, root)->shape.dim[1]);
        else add_into(acc, value_row(&frame->value[root], i));
    }
}

/* ---- the whole ---- */

static void eval_points(Group *g, int64_t first, int64_t count) {
    Value inputs[256] = {0};
    Frame frame = {.graph = g->body, .examples = count, .inputs = inputs, .keys = NULL, .step = g->w->frame->step};
    bool fine = body_inputs(g, first, count, inputs) && frame_open(&frame);
    for (int i = 0; i < g->body->outputs.len && fine; i++) {
        if (g->body->outputs.at[i].kind == OUT_SUMMED) accumulate(g, &frame, i, first, count);
        else scatter(g, &frame.value[g->body->outputs.at[i].value], first, count, &g->part[i]);
    }
    if (!fine) g->w->frame->exhausted = true;
    frame_close(&frame);
    for (int i = 0; i < g->body->inputs.len; i++) value_free(&inputs[i]);
}

static void eval_group(Group *g) {
    Frame *frame = g->w->frame;
    for (int64_t first = 0; first < g->points && !frame->exhausted; first += CHUNK)
        eval_points(g, first, first + CHUNK < g->points ? CHUNK : g->points - first);
    int64_t shard = SHARD * g->size;
    for (int i = 0; i < g->body->outputs.len && !frame->exhausted; i++)
        if (g->body->outputs.at[i].kind == OUT_SUMMED) fold(g, i, !g->shards || g->points <= shard);
}

/* Room for the outputs and, in acc, for the chains. */
static bool map_alloc(Work *w, const Graph *body, Value *acc) {
    Value *out = w->out;
    Value parts = {.dtype = DT_BOOL, .size = (int64_t)sizeof(Value) * body->outputs.len};
    if (!value_alloc(w->frame, &parts, 1)) return false;
    out->part = memset(parts.data, 0, (size_t)parts.size);
    out->parts = body->outputs.len;
    for (int i = 0; i < out->parts; i++) {
        NodeType type = graph_type(body, body->outputs.at[i].value);
        bool summed = body->outputs.at[i].kind == OUT_SUMMED;
        acc[i] = (Value){.dtype = type.dtype, .size = shape_size(&type.shape)};
        out->part[i] = acc[i];
        if (!summed) out->part[i].size = shape_size(&w->node->shape);
        out->part[i].varies = summed && w->node->batched ? false : out->varies;
        if (!value_alloc(w->frame, &out->part[i], w->frame->examples)) return false;
        if (!summed) continue;
        if (!value_alloc(w->frame, &acc[i], 1)) return false;
        memset(acc[i].data, 0, (size_t)acc[i].size * dtype_size(type.dtype));
    }
    return true;
}

void eval_MAP(Work *w) {
    const Graph *body = w->attr->body;
    Value acc[256] = {0};
    if (map_alloc(w, body, acc)) {
        bool whole = w->node->batched;
        int64_t size = shape_size(&w->node->shape);
        Group g = {.w = w, .body = body, .part = w->out->part, .acc = acc, .size = size, .shards = whole};
        g.units = w->node->shape.rank ? w->node->shape.dim[0] : 1;
        g.points = size * (whole ? w->frame->examples : 1);
        int64_t groups = whole ? 1 : w->rows;
        for (g.row = 0; g.row < groups && !w->frame->exhausted; g.row++) eval_group(&g);
    }
    for (int i = 0; i < body->outputs.len; i++) value_free(&acc[i]);
}
