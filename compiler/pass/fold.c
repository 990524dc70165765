/* fold.c -- constants folded by the interpreter itself, so that folding can't disagree with it. */
#include "graph/program.h"
#include "pass/simplify.h"

static Val copy_const(const Simplifier *s, Graph *g, Val v) {
    NodeType like = graph_type(s->g, v);
    return graph_add(g, G_CONST, NULL, 0, graph_attr(s->g, v), &like, s->span);
}

/* Runs a graph of one node; its value lies in slot 0 of the block. */
static bool run_once(Arena *arena, Graph *g, Val v, void *out) {
    Slot slot = {"value", (DType)graph_node(g, v)->dtype, SHAPE0, 0};
    BlockLayout layout;
    block_layout(&slot, 1, &layout);
    graph_output(g, OUT_BLOCK, 0, "value", v);
    Program *program = program_interpret(arena, g, layout);
    if (!program) return false;
    void *block = arena_alloc(arena, layout.size);
    Feed feed = {.examples = 1, .batch = 1};
    bool done = program->run(program, block, &feed, 0, 1, NULL) == 0;
    memcpy(out, block, dtype_size(slot.dtype));
    program->free(program);
    return done;
}

static Attr attr_of(DType dtype, const void *at) {
    Attr attr = {0};
    switch (dtype) {
    case DT_BOOL: attr.i64 = *(const uint8_t *)at != 0; break;
    case DT_I32: attr.i64 = *(const int32_t *)at; break;
    case DT_F32: attr.f64 = (double)*(const float *)at; break;
    case DT_F64: attr.f64 = *(const double *)at; break;
    }
    return attr;
}

Val simple_fold(Simplifier *s, const Draft *d) {
    OpClass class = op_class(d->op);
    if (class != CLASS_UNARY && class != CLASS_BINARY && class != CLASS_TERNARY) return 0;
    for (int i = 0; i < d->nin; i++)
        if (simple_op(s, d->in[i]) != G_CONST) return 0;
    Arena *arena = arena_new();
    Graph *g = graph_new(arena);
    Val in[3];
    for (int i = 0; i < d->nin; i++) in[i] = copy_const(s, g, d->in[i]);
    Val v = graph_add(g, d->op, in, d->nin, d->attr, &d->type, s->span);
    double bits = 0;
    bool done = run_once(arena, g, v, &bits);
    arena_free(arena);
    Attr attr = attr_of(d->type.dtype, &bits);
    return done ? graph_add(s->g, G_CONST, NULL, 0, &attr, &d->type, s->span) : 0;
}
