/* eval.c -- the interpreter's driver: node after node, in the order of ids.  The oracle of every other way to run.
 *
 * What each op computes stands in eval_element.c (element by element), eval_view.c (leaves and moves),
 * eval_reduce.c (sums and contractions), eval_map.c and eval_scan.c (regions). */
#include "graph/eval.h"
#include "graph/program.h"

#include <stdlib.h>

static void (*const eval_rules[G_COUNT])(Work *) = {
#define OP(name, arity, class, text) [G_##name] = eval_##name,
#include "ops.def"
#undef OP
};

/* ---- memory ---- */

bool value_alloc(Frame *frame, Value *value, int64_t examples) {
    size_t bytes = dtype_size(value->dtype);
    bool wide = __builtin_mul_overflow(bytes, (size_t)value->size, &bytes);
    if (value->varies && __builtin_mul_overflow(bytes, (size_t)examples, &bytes)) wide = true;
    value->data = wide ? NULL : malloc(bytes ? bytes : 1);
    if (!value->data) frame->exhausted = true;
    return value->data != NULL;
}

void value_free(Value *value) {
    for (int i = 0; i < value->parts; i++) value_free(&value->part[i]);
    free(value->part);
    if (!value->borrowed) free(value->data);
    *value = (Value){0};
}

/* ---- which values are needed, and how often ---- */

static bool is_summed_outer(const Graph *g, const GraphOutput *output) {
    return output->kind == OUT_SUMMED && graph_node(g, output->value)->op == G_OUTER;
}

static void count_uses(Frame *f) {
    const Graph *g = f->graph;
    for (int i = 0; i < g->outputs.len; i++) {
        const GraphOutput *output = &g->outputs.at[i];
        f->uses[output->value]++;
        for (int k = 0; k < 2 && is_summed_outer(g, output); k++) f->uses[graph_in(g, output->value, k)]++;
    }
    for (Val v = (Val)g->node.len - 1; v > 0; v--)
        for (int i = 0; f->uses[v] && i < graph_node(g, v)->nin; i++) f->uses[graph_in(g, v, i)]++;
}

/* ---- one node ---- */

static bool varies(const Work *w) {
    if (op_class((Op)w->node->op) == CLASS_BATCH) return false;
    if (w->node->op == G_PROJ) return w->in[0]->part[w->attr->index].varies;
    bool any = w->node->batched;
    for (int i = 0; i < w->node->nin; i++) any = any || w->in[i]->varies;
    return any;
}

static void eval_node(Frame *f, Val v) {
    const Graph *g = f->graph;
    const Node *node = graph_node(g, v);
    const Value *in[255];
    const Shape *shape[255];
    for (int i = 0; i < node->nin; i++) {
        in[i] = &f->value[graph_in(g, v, i)];
        shape[i] = &graph_node(g, graph_in(g, v, i))->shape;
    }
    Value *out = &f->value[v];
    Work w = {f, node, graph_attr(g, v), in, shape, out, 1};
    *out = (Value){.dtype = (DType)node->dtype, .size = shape_size(&node->shape)};
    if (node->op == G_INPUT) {
        *out = f->inputs[w.attr->index];
        out->borrowed = true;
        return;
    }
    out->varies = varies(&w);
    w.rows = out->varies ? f->examples : 1;
    if (node->op == G_MAP || node->op == G_SCAN || value_alloc(f, out, f->examples)) eval_rules[node->op](&w);
}

static void release_operands(Frame *f, Val v) {
    for (int i = 0; i < graph_node(f->graph, v)->nin; i++) {
        Val used = graph_in(f->graph, v, i);
        if (--f->uses[used] == 0) value_free(&f->value[used]);
    }
}

bool frame_open(Frame *f) {
    int n = f->graph->node.len;
    f->value = calloc((size_t)n, sizeof *f->value);
    f->uses = calloc((size_t)n, sizeof *f->uses);
    f->exhausted = !f->value || !f->uses;
    if (f->exhausted) return false;
    count_uses(f);
    for (Val v = 1; v < (Val)n && !f->exhausted; v++) {
        if (!f->uses[v]) continue;
        eval_node(f, v);
        release_operands(f, v);
    }
    return !f->exhausted;
}

void frame_close(Frame *f) {
    for (int v = 0; f->value && v < f->graph->node.len; v++) value_free(&f->value[v]);
    free(f->value);
    free(f->uses);
    f->value = NULL;
    f->uses = NULL;
}

/* ---- direct evaluation ---- */

static Value input_value(const GraphInput *input, const void *data) {
    return (Value){.data = (void *)(uintptr_t)data, .dtype = input->dtype, .varies = input->batched, .borrowed = true,
                   .size = shape_size(&input->shape)};
}

bool graph_eval(Arena *arena, const Graph *graph, int64_t examples, const void *const *inputs, const void **outputs,
                const uint64_t *keys, int32_t step) {
    Value *values = arena_array(arena, Value, graph->inputs.len);
    int32_t count = (int32_t)examples;
    for (int i = 0; i < graph->inputs.len; i++) {
        const GraphInput *input = &graph->inputs.at[i];
        const void *data = inputs ? inputs[i] : NULL;
        if (!data && input->kind == IN_STEP) data = &step;
        if (!data && input->kind == IN_BATCH) data = &count;
        values[i] = input_value(input, data);
    }
    Frame frame = {.graph = graph, .examples = examples, .inputs = values, .keys = keys, .step = (uint32_t)step};
    bool fine = frame_open(&frame);
    for (int i = 0; i < graph->outputs.len && fine; i++) {
        const Value *value = &frame.value[graph->outputs.at[i].value];
        size_t rows = value->varies ? (size_t)examples : 1;
        outputs[i] = arena_copy(arena, value->data, rows * (size_t)value->size * dtype_size(value->dtype));
    }
    frame_close(&frame);
    return fine;
}
