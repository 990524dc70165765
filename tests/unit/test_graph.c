/* test_graph.c -- hash-consing, shape rules and their refusals, the text form, the verifier, copies. */
#include "graph/program.h"
#include "graph/scan.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static const NodeType f32_3 = {DT_F32, {1, {3}}, false};
static const NodeType f32_23 = {DT_F32, {2, {2, 3}}, false};
static const NodeType batch_3 = {DT_F32, {1, {3}}, true};
static const NodeType i32_3 = {DT_I32, {1, {3}}, false};
static const NodeType f64_0 = {DT_F64, {0}, false};
static const NodeType i32_0 = {DT_I32, {0}, false};

static char *text_of(Arena *arena, const Graph *g) {
    Buf buf = {0};
    graph_print(g, &buf);
    return buf_done(&buf, arena);
}

static void test_consing(void **state) {
    (void)state;
    Arena *arena = arena_new();
    Graph *g = graph_new(arena);
    Val x = graph_input(g, IN_BLOCK, 0, "x", f32_3), y = graph_input(g, IN_BLOCK, 1, "y", f32_3);
    assert_int_equal(x, graph_input(g, IN_BLOCK, 0, "x", f32_3));
    assert_int_equal(g->inputs.len, 2);
    assert_int_equal(graph_2(g, G_ADD, x, y), graph_2(g, G_ADD, x, y));
    assert_int_not_equal(graph_2(g, G_ADD, x, y), graph_2(g, G_ADD, y, x));
    assert_int_not_equal(graph_const(g, DT_F32, 0.0), graph_const(g, DT_F32, -0.0));
    assert_int_not_equal(graph_const(g, DT_F32, 1), graph_const(g, DT_F64, 1));
    assert_int_equal(graph_const(g, DT_F32, 0.1), graph_const(g, DT_F32, (double)0.1f));
    assert_int_equal(graph_const(g, DT_F32, NAN), graph_const(g, DT_F32, -NAN));
    assert_int_equal(graph_reduce(g, G_SUM, x, 0), x);
    assert_int_equal(graph_noise(g, G_NOISE, f32_3, "a"), graph_noise(g, G_NOISE, f32_3, "a"));
    assert_int_not_equal(graph_noise(g, G_NOISE, f32_3, "a"), graph_noise(g, G_NOISE, f32_3, "b"));
    assert_int_equal(g->keys, 2);
    float a[3] = {1, 2, 3}, b[3] = {1, 2, 3};
    Blob one = {DT_F32, f32_3.shape, a, 7}, two = {DT_F32, f32_3.shape, b, 7};
    Val ta = graph_add(g, G_TABLE, NULL, 0, &(Attr){.blob = &one}, NULL, (Span){0, 0});
    assert_int_equal(ta, graph_add(g, G_TABLE, NULL, 0, &(Attr){.blob = &two}, NULL, (Span){0, 0}));
    assert_null(graph_verify(g, arena));
    arena_free(arena);
}

static void test_broadcast(void **state) {
    (void)state;
    Arena *arena = arena_new();
    Graph *g = graph_new(arena);
    Val x = graph_input(g, IN_BLOCK, 0, "x", f32_23);
    Val b = graph_input(g, IN_ROWS, 0, "b", (NodeType){DT_F32, {1, {2}}, true});
    NodeType sum = graph_type(g, graph_2(g, G_ADD, x, b));
    assert_true(sum.batched && shape_equal(&sum.shape, &f32_23.shape));
    NodeType product = graph_type(g, graph_2(g, G_MUL, graph_const(g, DT_F32, 2), x));
    assert_true(!product.batched && shape_equal(&product.shape, &f32_23.shape));
    NodeType wide = {DT_F32, f32_23.shape, true};
    Val each = graph_add(g, G_BROADCAST, &x, 1, NULL, &wide, (Span){0, 0});
    assert_true(graph_node(g, each)->batched);
    assert_null(graph_verify(g, arena));
    arena_free(arena);
}

/* The reason why a graph of one line after fixed inputs is refused, or NULL. */
static const char *refusal(Arena *arena, const char *line) {
    const char *error = NULL;
    graph_read(arena, arena_printf(arena,
        "graph {\ninput rows 0 \"x\" : batch f32[3]\ninput block 0 \"w\" : f32[2, 3]\ninput block 1 \"k\" : i32[3]\n"
        "%%1 = input 0 : batch f32[3]\n%%2 = input 1 : f32[2, 3]\n%%3 = input 2 : i32[3]\n%s\n}", line), &error);
    return error;
}

static void test_refusals(void **state) {
    (void)state;
    static const struct { const char *line, *reason; } cases[] = {
        {"%4 = add %1 %2 : batch f32[3]", "shapes differ"},
        {"%4 = add %1 %3 : batch f32[3]", "dtypes differ"},
        {"%4 = exp %3 : i32[3]", "f32 or f64"},
        {"%4 = not %1 : batch bool[3]", "must be bool"},
        {"%4 = add %1 : batch f32[3]", "number of operands"},
        {"%4 = matmul %2 %3 : f32[2]", "dtypes differ"},
        {"%4 = matmul %1 %2 : batch f32[3]", "inner sizes differ"},
        {"%4 = matmul %2 %1 %1 : batch f32[2]", "does not fit"},
        {"%4 = reshape %2 : f32[5]", "number of elements"},
        {"%4 = broadcast %2 : f32[2, 4]", "is not 1"},
        {"%4 = transpose %2 at [0, 0] : f32[2, 2]", "permutation"},
        {"%4 = slice %2 at [1, 1] : f32[2, 2]", "outside"},
        {"%4 = pad %2 at [0, 0] : f32[2, 2]", "outside"},
        {"%4 = concat %2 %2 axis 2 : f32[2, 3]", "no such axis"},
        {"%4 = concat %2 %1 axis 0 : f32[2, 3]", "number of axes"},
        {"%4 = sum %2 axes [] : f32[2, 3]", "no axis"},
        {"%4 = sum %2 axes [2] : f32[2, 3]", "no such axis"},
        {"%4 = batch_sum %2 axes [] : f32[2, 3]", "must be batched"},
        {"%4 = batch_outer %1 %2 : f32[3, 2]", "places differ"},
        {"%4 = pick %2 %3 : f32[3]\n%5 = pick %2 %1 : f32[3]", "must be i32"},
        {"%4 = embed %1 %3 : f32[3]", "two axes"},
        {"%4 = outer %1 %2 : f32[3, 2]", "one axis"},
        {"%4 = iota axis 1 : i32[3]", "no such axis"},
        {"%4 = noise 0 : f32[3]", "key slot"},
        {"%4 = input 9 : f32[3]", "no such input"},
        {"%4 = const 1 : f32[3]", "scalar"},
        {"%4 = select %1 %1 %1 : batch f32[3]", "must be bool"},
        {"%4 = powi %1 %1 : batch f32[3]", "must be i32"},
        {"%4 = proj %1 0 : batch f32[3]", "no map"},
        {"%4 = neg %1 : f32[3]", "not that of the result"},
        {"%4 = neg %9 : f32[3]", "not defined"},
        {"%4 = frobnicate %1 : f32[3]", "unknown op"},
        {"%4 = neg %1 : f32[0]", "impossible size"},
        {"%4 = iota axis 0 : i32[99999999999, 99999999999]", "impossible size"},
        {"%4 = table {1 2} : f32[3]", "expected a number"},
        {"output rows 0 \"y\" %2", "must be batched"},
        {"output block 0 \"y\" %2\noutput block 0 \"z\" %2", "written twice"},
        {"input rows 0 \"x2\" : batch f32[3]", "twice"},
        {"%1 = input 0 : batch f32[3]", "given twice"},
        {"garbage", "expected"},
    };
    Arena *arena = arena_new();
    for (int i = 0; i < COUNT(cases); i++) {
        const char *error = refusal(arena, cases[i].line);
        if (!error || !strstr(error, cases[i].reason))
            fail_msg("%s: wanted \"%s\", got \"%s\"", cases[i].line, cases[i].reason, error ? error : "no error");
    }
    assert_null(refusal(arena, "%4 = neg %1 : batch f32[3]"));
    arena_free(arena);
}

/* ---- a graph with every op, twice nested maps included ---- */

static Val add(Graph *g, Op op, const Val *in, int nin, Attr attr, NodeType like) {
    return graph_add(g, op, in, nin, &attr, &like, (Span){0, 0});
}

static Graph *inner_body(Arena *arena) {
    Graph *g = graph_new(arena);
    Val x = graph_input(g, IN_MAPPED, 0, "x", (NodeType){DT_F32, {0}, false});
    graph_output(g, OUT_MAPPED, 0, "", graph_1(g, G_TANH, x));
    graph_output(g, OUT_SUMMED, 0, "", graph_2(g, G_MUL, x, x));
    return g;
}

static Graph *outer_body(Arena *arena) {
    Graph *g = graph_new(arena);
    Val x = graph_input(g, IN_MAPPED, 0, "x", (NodeType){DT_F32, {0}, false});
    Val w = graph_input(g, IN_SHARED, 0, "w", f32_3);
    Val wx = graph_2(g, G_MUL, w, x);
    Val map = add(g, G_MAP, &wx, 1, (Attr){.mapped = 1, .body = inner_body(arena)}, f32_3);
    Val h[2] = {graph_proj(g, map, 0), w};
    graph_output(g, OUT_MAPPED, 0, "y", graph_proj(g, map, 1));
    graph_output(g, OUT_SUMMED, 0, "dw", add(g, G_OUTER, h, 2, (Attr){0}, f32_3));
    return g;
}

static void add_leaves_and_elementwise(Graph *g, Val x, Val k) {
    Val two = graph_const(g, DT_F32, 2), any;
    static const Op unary[] = {G_NEG, G_ABS, G_SIGN, G_SQRT, G_EXP, G_LOG, G_SIN, G_COS, G_TANH, G_ERF, G_FLOOR,
                               G_CEIL, G_ROUND};
    static const Op binary[] = {G_ADD, G_SUB, G_MUL, G_DIV, G_MOD, G_MAX, G_MIN, G_POW};
    static const Op compare[] = {G_LT, G_LE, G_EQ, G_NE};
    Val sum = graph_cast(g, x, DT_F64), truth = graph_2(g, G_LT, x, two);
    for (int i = 0; i < COUNT(unary); i++) sum = graph_2(g, G_ADD, sum, graph_cast(g, graph_1(g, unary[i], x), DT_F64));
    for (int i = 0; i < COUNT(binary); i++)
        sum = graph_2(g, G_SUB, sum, graph_cast(g, graph_2(g, binary[i], x, two), DT_F64));
    for (int i = 0; i < COUNT(compare); i++)
        truth = graph_2(g, i % 2 ? G_AND : G_OR, truth, graph_1(g, G_NOT, graph_2(g, compare[i], x, two)));
    any = graph_3(g, G_SELECT, truth, sum, graph_cast(g, graph_2(g, G_POWI, x, k), DT_F64));
    graph_output(g, OUT_ROWS, 0, "elements", any);
    Val noise = graph_noise(g, G_NOISE, batch_3, "noise/a/1");
    Val normal = graph_noise(g, G_NORMAL, batch_3, "noise/\"b\"\n/1");
    graph_output(g, OUT_ROWS, 1, "noise", graph_2(g, G_ADD, noise, normal));
}

static void add_views_and_sums(Graph *g, Val x, Val w, Val k) {
    float numbers[6] = {1, -0.0f, (float)NAN, (float)INFINITY, 1e-40f, 0.1f};
    Blob *blob = arena_new_of(g->arena, Blob);
    float *data = arena_array(g->arena, float, 6);
    memcpy(data, numbers, sizeof numbers);
    *blob = (Blob){DT_F32, {2, {2, 3}}, data, fnv1a(data, sizeof numbers, FNV1A_START)};
    Val table = add(g, G_TABLE, NULL, 0, (Attr){.blob = blob}, f32_23);
    Val tall = graph_transpose(g, graph_2(g, G_ADD, table, w), (const int[]){1, 0});
    Val flat = graph_reshape(g, tall, shape_of(1, (int64_t)6));
    Val part = graph_slice(g, flat, (const int64_t[]){1}, shape_of(1, (int64_t)3));
    Val padded = add(g, G_PAD, &part, 1, (Attr){.starts = {2}}, (NodeType){DT_F32, {1, {8}}, false});
    Val join[2] = {padded, part};
    graph_output(g, OUT_BLOCK, 0, "joined", add(g, G_CONCAT, join, 2, (Attr){.axis = 0}, f32_3));
    Val iota = add(g, G_IOTA, NULL, 0, (Attr){.axis = 0}, i32_3), embed[2] = {w, iota}, pick[2] = {w, k};
    Val both = graph_2(g, G_ADD, graph_reduce(g, G_SUM, add(g, G_EMBED, embed, 2, (Attr){0}, f32_3), 3),
                       graph_reduce(g, G_PROD, add(g, G_PICK, pick, 2, (Attr){0}, f32_3), 1));
    graph_output(g, OUT_SERIES, 0, "both", both);
    static const Op reduce[] = {G_SUM, G_MAXIMUM, G_MINIMUM, G_PROD};
    Val all = graph_1(g, G_ARGMAX, x);
    for (int i = 0; i < COUNT(reduce); i++)
        all = graph_2(g, G_ADD, all, graph_cast(g, graph_reduce(g, reduce[i], x, 1), DT_I32));
    graph_output(g, OUT_SERIES, 1, "total", graph_reduce(g, G_BATCH_SUM, all, 0));
    Val outer[2] = {x, x}, back[2] = {x, graph_input(g, IN_ROWS, 1, "class", (NodeType){DT_I32, {0}, true})};
    graph_output(g, OUT_VALUE, 0, "dw", add(g, G_BATCH_OUTER, outer, 2, (Attr){0}, f32_3));
    Val line = graph_reshape(g, x, (Shape){2, {3, 1}});
    NodeType kernel = {DT_F32, {3, {3, 1, 2}}, false};
    Window window = {.groups = 3, .stride = {2}, .pad = {-1}, .dilation = {3}};
    Val dk = add(g, G_BATCH_CONV, (Val[]){line, line}, 2, (Attr){.window = window}, kernel);
    window = (Window){.groups = 3, .reversed = 1, .stride = {1, 7}, .pad = {1}, .dilation = {1}};
    graph_output(g, OUT_VALUE, 3, "conv", graph_conv(g, dk, line, 0, &window, (int64_t[]){2}));
    NodeType rows = {DT_F32, {2, {5, 3}}, false};
    graph_output(g, OUT_VALUE, 1, "de", add(g, G_BATCH_EMBED, back, 2, (Attr){0}, rows));
    Val box = graph_slice(g, flat, (const int64_t[]){0}, shape_of(1, (int64_t)2)), y = graph_1(g, G_NEG, x);
    Val grid[5] = {w, box, box, x, y}, spread[5] = {y, box, box, x, y};
    graph_output(g, OUT_VALUE, 3, "t", add(g, G_INTERPOLATE, grid, 5, (Attr){.axes = 2}, f32_3));
    Val one = graph_slice(g, flat, (const int64_t[]){0}, shape_of(1, (int64_t)1));
    graph_output(g, OUT_VALUE, 6, "l", add(g, G_LOOKUP, (Val[]){flat, k, one, one, x}, 5, (Attr){.axes = 1}, f32_3));
    graph_output(g, OUT_VALUE, 4, "dt", add(g, G_BATCH_INTERPOLATE, spread, 5, (Attr){.axes = 1}, f32_23));
    graph_output(g, OUT_VALUE, 5, "most", graph_1(g, G_BATCH_MAXIMUM, x));
}

static Graph *every_op(Arena *arena) {
    Graph *g = graph_new(arena);
    Val x = graph_input(g, IN_ROWS, 0, "x", batch_3), w = graph_input(g, IN_BLOCK, 0, "w", f32_23);
    Val rate = graph_input(g, IN_SETTING, 0, "rate", f64_0), step = graph_input(g, IN_STEP, 0, "", i32_0);
    Val k = graph_input(g, IN_BLOCK, 1, "k", i32_3), n = graph_input(g, IN_BATCH, 0, "", i32_0);
    add_leaves_and_elementwise(g, x, k);
    add_views_and_sums(g, x, w, k);
    Val scale = graph_2(g, G_MUL, rate, graph_cast(g, graph_2(g, G_MUL, step, n), DT_F64));
    Val y = graph_matmul(g, w, x, graph_reduce(g, G_SUM, w, 2));
    graph_output(g, OUT_VALUE, 2, "y", graph_2(g, G_MUL, y, graph_cast(g, scale, DT_F32)));
    Graph *body = outer_body(arena);
    Val in[2] = {x, graph_const(g, DT_F32, 1)};
    in[1] = graph_broadcast(g, in[1], f32_3.shape);
    Val map = add(g, G_MAP, in, 2, (Attr){.mapped = 1, .body = body}, f32_3);
    graph_output(g, OUT_ROWS, 2, "cell", graph_proj(g, map, 0));
    graph_output(g, OUT_BLOCK, 1, "dcell", graph_proj(g, map, 1));
    in[0] = y;
    map = add(g, G_MAP, in, 2, (Attr){.mapped = 1, .index = NODES, .body = body}, f32_3);
    graph_output(g, OUT_ROWS, 3, "again", graph_proj(g, map, 0));
    ScanDraft loop = {.turns = 3};
    Val carry = scan_hole(g, graph_type(g, y)), part = scan_hole(g, scan_part(g, x));
    Val next = graph_2(g, G_ADD, graph_2(g, G_MUL, carry, part), y);
    vec_push(arena, &loop.carry, ((ScanCarry){carry, y, next}));
    vec_push(arena, &loop.slice, ((ScanSlice){part, x, true}));
    vec_push(arena, &loop.stack, ((ScanStack){next, false}));
    vec_push(arena, &loop.stack, ((ScanStack){carry, true}));
    Val scan = scan_make(g, &loop);
    for (int i = 0; i < 3; i++) graph_output(g, OUT_ROWS, 4 + i, "turns", graph_proj(g, scan, i));
    return g;
}

static void test_text_form(void **state) {
    (void)state;
    Arena *arena = arena_new();
    Graph *g = every_op(arena);
    bool seen[G_COUNT] = {false};
    for (Val v = 1; v < (Val)g->node.len; v++) seen[graph_node(g, v)->op] = true;
    seen[G_OUTER] = true;                   /* in the body */
    for (int op = 0; op < G_COUNT; op++)
        if (!seen[op]) fail_msg("the graph lacks %s", op_name((Op)op));
    assert_null(graph_verify(g, arena));
    char *text = text_of(arena, g);
    const char *error = NULL;
    Graph *back = graph_read(arena, text, &error);
    if (!back) fail_msg("%s\n%s", error, text);
    assert_string_equal(text, text_of(arena, back));
    assert_true(graph_hash(g) == graph_hash(back));
    assert_int_equal(back->outputs.len, g->outputs.len);
    assert_string_equal(back->key_names.at[1], "noise/\"b\"\n/1");
    assert_string_equal(back->inputs.at[0].name, "x");
    arena_free(arena);
}

/* Every truncation and many mutations of the text are refused or read, never a crash. */
static void test_hostile_text(void **state) {
    (void)state;
    Arena *arena = arena_new();
    char *text = text_of(arena, every_op(arena));
    size_t n = strlen(text);
    uint32_t random = 1;
    for (int i = 0; i < 400; i++) {
        Arena *scratch = arena_new();
        char *bad = arena_copy(scratch, text, n);
        random = random * 1664525u + 1013904223u;
        if (i % 2) bad[random % n] = 0;
        else bad[random % n] = "[]%09 -x:\"{"[random >> 28 & 7];
        const char *error = NULL;
        Graph *g = graph_read(scratch, bad, &error);
        assert_true((g == NULL) == (error != NULL));
        arena_free(scratch);
    }
    arena_free(arena);
}

static void test_copy(void **state) {
    (void)state;
    Arena *arena = arena_new(), *other = arena_new();
    Graph *g = every_op(arena);
    Graph *same = graph_copy(arena, g);
    assert_null(graph_verify(same, arena));
    uint64_t hash = graph_hash(same);
    assert_true(graph_hash(graph_copy(arena, same)) == hash);
    Val x = g->outputs.at[0].value;
    graph_1(g, G_NEG, graph_1(g, G_NEG, x));
    assert_true(graph_hash(graph_copy(arena, g)) == hash);
    Graph *moved = graph_copy(other, g);
    arena_free(arena);
    assert_true(graph_hash(moved) == hash);
    assert_null(graph_verify(moved, other));
    arena_free(other);
}

static const char *planted(Arena *arena, int what) {
    Graph *g = every_op(arena);
    Val last = (Val)g->node.len - 1;
    switch (what) {
    case 0: g->operand.at[g->node.at[last].in] = last; break;
    case 1: g->node.at[last].shape.dim[0]++; break;
    case 2: g->node.at[last].batched = !g->node.at[last].batched; break;
    case 3: g->node.at[last].dtype = DT_F64; break;
    case 4: g->outputs.at[0].value = last + 1; break;
    case 5: g->inputs.at[0].batched = false; break;
    case 6: g->keys++; break;
    case 7: g->attr.at[0].axes = 1; break;
    case 8: g->attr.at[g->node.at[last].attr].axes = 1; break;
    case 9: g->node.at[last].op = G_COUNT; break;
    case 10: g->outputs.at[1] = g->outputs.at[0]; break;
    case 11: ((Graph *)(uintptr_t)graph_attr(g, graph_in(g, last, 0))->body)->outputs.at[0].kind = OUT_VALUE; break;
    case 12: g->node.at[last].nin = 200; break;
    case 13: vec_push(arena, &g->node, g->node.at[last]); break;
    }
    return graph_verify(g, arena);
}

static void test_verify(void **state) {
    (void)state;
    for (int what = 0; what < 14; what++) {
        Arena *arena = arena_new();
        if (!planted(arena, what)) fail_msg("violation %d is not seen", what);
        arena_free(arena);
    }
}

static void test_block_layout(void **state) {
    (void)state;
    Slot slots[3] = {{"a", DT_F32, {2, {3, 5}}, 0}, {"b", DT_F64, {0}, 0}, {"c", DT_BOOL, {1, {65}}, 0}};
    BlockLayout layout;
    block_layout(slots, 3, &layout);
    assert_int_equal(layout.slot[1].offset, 64);
    assert_int_equal(layout.slot[2].offset, 128);
    assert_int_equal(layout.size, 256);
}

static void test_many_nodes(void **state) {
    (void)state;
    Arena *arena = arena_new();
    Graph *g = graph_new(arena);
    Val x = graph_input(g, IN_BLOCK, 0, "x", (NodeType){DT_F32, {0}, false});
    for (int turn = 0; turn < 2; turn++) {
        Val sum = x;
        for (int i = 0; i < 20000; i++) sum = graph_2(g, G_ADD, sum, x);
        assert_int_equal(g->node.len, 20002);
    }
    arena_free(arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_consing), cmocka_unit_test(test_broadcast), cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_text_form), cmocka_unit_test(test_hostile_text), cmocka_unit_test(test_copy),
        cmocka_unit_test(test_verify), cmocka_unit_test(test_block_layout), cmocka_unit_test(test_many_nodes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
