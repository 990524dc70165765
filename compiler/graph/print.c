/* print.c -- the text form of a graph, and its hash.
 *
 *   graph {
 *     key "dropout/drop/1"                        key slots, in order
 *     input rows 0 "x" : batch f32[2]             inputs, in order; `batch`: one value per example
 *     body 0 { ... }                              bodies of MAPs and SCANs, by first use; inside: the same form
 *     %1 = input 0 : batch f32[2]                 nodes: op, operands, attributes, type
 *     %2 = sum %1 axes [0] : batch f32[]
 *     output value 0 "loss" %2
 *   }
 *
 * Deterministic: ids are dense, numbers are the shortest that read back, nothing depends on addresses.  Spans
 * are not part of it.  read.c is the inverse. */
#include "graph/text.h"

const char *const graph_input_kinds[INPUT_KINDS] = {
    [IN_ROWS] = "rows", [IN_BLOCK] = "block", [IN_SETTING] = "setting", [IN_STEP] = "step", [IN_BATCH] = "batch",
    [IN_MAPPED] = "mapped", [IN_SHARED] = "shared", [IN_CARRY] = "carry",
    [IN_SLICE] = "slice", [IN_SLICE_BACK] = "slice_back", [IN_WHOLE] = "whole",
};
const char *const graph_output_kinds[OUTPUT_KINDS] = {
    [OUT_BLOCK] = "block", [OUT_ROWS] = "rows", [OUT_SERIES] = "series", [OUT_MAPPED] = "mapped",
    [OUT_SUMMED] = "summed", [OUT_VALUE] = "value", [OUT_CARRY] = "carry", [OUT_STACK] = "stack",
    [OUT_STACK_BACK] = "stack_back",
};

typedef struct Printer { Buf *out; int depth; bool brief; } Printer;
static void print_graph(Printer *p, const Graph *g);

static void print_line(Printer *p) { buf_printf(p->out, "\n%*s", p->depth * 2, ""); }

static void print_text(Buf *out, const char *text) {
    buf_text(out, "\"");
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        if (c == '"' || c == '\\') buf_printf(out, "\\%c", c);
        else if (c < 0x20 || c == 0x7f) buf_printf(out, "\\x%02x", c);
        else buf_put(out, text, 1);
    }
    buf_text(out, "\"");
}

static void print_type(Buf *out, NodeType type) {
    buf_printf(out, " : %s%s", type.batched ? "batch " : "", dtype_name(type.dtype));
    shape_print(&type.shape, out);
}

/* One element of a dtype, as it lies in memory. */
static void print_element(Buf *out, DType dtype, const void *at) {
    char text[32];
    switch (dtype) {
    case DT_BOOL: buf_text(out, *(const uint8_t *)at ? "true" : "false"); return;
    case DT_I32: buf_printf(out, "%d", (int)*(const int32_t *)at); return;
    case DT_F32: text_of_f32(text, *(const float *)at); break;
    case DT_F64: text_of_f64(text, *(const double *)at); break;
    }
    buf_text(out, text);
}

static void print_const(Buf *out, DType dtype, const Attr *attr) {
    float f32 = (float)attr->f64;
    int32_t i32 = (int32_t)attr->i64;
    uint8_t truth = attr->i64 != 0;
    const void *at[] = {[DT_BOOL] = &truth, [DT_I32] = &i32, [DT_F32] = &f32, [DT_F64] = &attr->f64};
    buf_text(out, " ");
    print_element(out, dtype, at[dtype]);
}

static void print_table(Buf *out, const Blob *blob, bool brief) {
    enum { BRIEF = 256 };
    int64_t n = shape_size(&blob->shape);
    if (brief && n > BRIEF) {
        buf_printf(out, " {#%016llx}", (unsigned long long)blob->hash);
        return;
    }
    size_t size = dtype_size(blob->dtype);
    buf_text(out, " {");
    for (int64_t i = 0; i < n; i++) {
        if (i) buf_text(out, " ");
        print_element(out, blob->dtype, (const char *)blob->data + (size_t)i * size);
    }
    buf_text(out, "}");
}

static void print_axes(Buf *out, uint32_t axes) {
    const char *comma = "";
    buf_text(out, " axes [");
    for (int i = 0; i < MAX_RANK; i++) {
        if (!(axes >> i & 1)) continue;
        buf_printf(out, "%s%d", comma, i);
        comma = ", ";
    }
    buf_text(out, "]");
}

static void print_starts(Buf *out, const Attr *attr, int rank) {
    Shape list = {.rank = rank};
    memcpy(list.dim, attr->starts, sizeof list.dim);
    buf_text(out, " at ");
    shape_print(&list, out);
}

static void print_places(Buf *out, const char *name, const int32_t *at, int axes) {
    Shape list = {.rank = axes};
    for (int i = 0; i < axes; i++) list.dim[i] = at[i];
    buf_printf(out, " %s ", name);
    shape_print(&list, out);
}

static void print_window(Buf *out, const Window *w, int axes) {
    buf_printf(out, " groups %d", w->groups);
    print_places(out, "stride", w->stride, axes);
    print_places(out, "pad", w->pad, axes);
    print_places(out, "dilation", w->dilation, axes);
    if (w->reversed) buf_text(out, " reversed");
}

static void print_node(Printer *p, const Graph *g, Val v, const Map *bodies) {
    const Node *node = graph_node(g, v);
    const Attr *attr = graph_attr(g, v);
    uint32_t uses = attr_uses((Op)node->op);
    print_line(p);
    buf_printf(p->out, "%%%u = %s", v, op_name((Op)node->op));
    for (int i = 0; i < node->nin; i++) buf_printf(p->out, " %%%u", graph_in(g, v, i));
    if (uses & USES_VALUE) print_const(p->out, (DType)node->dtype, attr);
    if (uses & USES_INDEX) buf_printf(p->out, " %d", attr->index);
    if (uses & USES_AXIS) buf_printf(p->out, " axis %d", attr->axis);
    if (uses & USES_MAPPED) buf_printf(p->out, " mapped %d", attr->mapped);
    if (uses & USES_ZEROS && attr->index) buf_printf(p->out, " zeros %d", attr->index);
    if (uses & USES_AXES) print_axes(p->out, attr->axes);
    if (uses & USES_STARTS) print_starts(p->out, attr, node->shape.rank);
    if (uses & USES_WINDOW) print_window(p->out, &attr->window, window_axes((Op)node->op, node->shape.rank));
    if (uses & USES_BLOB) print_table(p->out, attr->blob, p->brief);
    if (uses & USES_BODY) buf_printf(p->out, " body %d", (int)(intptr_t)map_get(bodies, attr->body) - 1);
    print_type(p->out, graph_type(g, v));
}

/* Prints the bodies not yet printed and numbers them from 1 (0 is absent) in `bodies`. */
static void print_bodies(Printer *p, const Graph *g, Map *bodies) {
    for (Val v = 1; v < (Val)g->node.len; v++) {
        const Graph *body = graph_attr(g, v)->body;
        if (!body || map_has(bodies, body)) continue;
        print_line(p);
        buf_printf(p->out, "body %d ", bodies->len);
        map_put(bodies, body, (void *)(intptr_t)(bodies->len + 1));
        print_graph(p, body);
    }
}

static void print_ends(Printer *p, const Graph *g) {
    for (int i = 0; i < g->key_names.len; i++) {
        print_line(p);
        buf_text(p->out, "key ");
        print_text(p->out, g->key_names.at[i]);
    }
    for (int i = 0; i < g->inputs.len; i++) {
        const GraphInput *input = &g->inputs.at[i];
        print_line(p);
        buf_printf(p->out, "input %s %d ", graph_input_kinds[input->kind], input->index);
        print_text(p->out, input->name);
        print_type(p->out, (NodeType){input->dtype, input->shape, input->batched});
    }
}

static void print_outputs(Printer *p, const Graph *g) {
    for (int i = 0; i < g->outputs.len; i++) {
        const GraphOutput *output = &g->outputs.at[i];
        print_line(p);
        buf_printf(p->out, "output %s %d ", graph_output_kinds[output->kind], output->index);
        print_text(p->out, output->name);
        buf_printf(p->out, " %%%u", output->value);
    }
}

static void print_graph(Printer *p, const Graph *g) {
    Arena *scratch = arena_new();
    Map bodies;
    map_init(&bodies, scratch);
    buf_text(p->out, "{");
    p->depth++;
    print_ends(p, g);
    print_bodies(p, g, &bodies);
    for (Val v = 1; v < (Val)g->node.len; v++) print_node(p, g, v, &bodies);
    print_outputs(p, g);
    p->depth--;
    print_line(p);
    buf_text(p->out, "}");
    arena_free(scratch);
}

static void print_whole(const Graph *graph, Buf *out, bool brief) {
    Printer p = {out, 0, brief};
    buf_text(out, "graph ");
    print_graph(&p, graph);
    buf_text(out, "\n");
}

void graph_print(const Graph *graph, Buf *out) {
    print_whole(graph, out, false);
}

uint64_t graph_hash(const Graph *graph) {
    Buf text = {0};
    print_whole(graph, &text, true);
    uint64_t hash = fnv1a(text.at, text.len, FNV1A_START);
    buf_free(&text);
    return hash;
}
