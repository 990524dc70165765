/* test_eval.c -- the interpreter: each op against values worked out by hand, and the order of arithmetic against
 * small independent loops. */
#include "graph/program.h"
#include "support/rng.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static Val add(Graph *g, Op op, const Val *in, int nin, Attr attr, NodeType like) {
    return graph_add(g, op, in, nin, &attr, &like, (Span){0, 0});
}

static NodeType type_of(DType dtype, bool batched, Shape shape) { return (NodeType){dtype, shape, batched}; }
static Shape shape1(int64_t n) { return shape_of(1, n); }
static Shape shape2(int64_t m, int64_t n) { return shape_of(2, m, n); }

/* Same bits; any NaN equals any NaN. */
static void check_f32(const float *got, const float *want, int64_t n, const char *what) {
    for (int64_t i = 0; i < n; i++) {
        if (isnan(got[i]) && isnan(want[i])) continue;
        if (memcmp(&got[i], &want[i], 4) != 0)
            fail_msg("%s [%d]: %a, wanted %a", what, (int)i, (double)got[i], (double)want[i]);
    }
}

/* Numbers that make every order of addition give other bits. */
static void fill(float *out, int64_t n, uint32_t seed) {
    for (int64_t i = 0; i < n; i++) {
        seed = seed * 1664525u + 1013904223u;
        out[i] = ((float)(seed >> 8) * 0x1p-23f - 1) * (float)(1 << (seed & 15));
    }
}

/* Evaluates a graph of f32 inputs and one output. */
static const void *evaluate(Arena *arena, const Graph *g, int64_t examples, const void *const *inputs) {
    const void *out[16] = {NULL};
    const char *wrong = graph_verify(g, arena);
    if (wrong) fail_msg("%s", wrong);
    assert_true(graph_eval(arena, g, examples, inputs, out, NULL, 0));
    return out[0];
}

/* ---- element by element ---- */

static const float nan32 = (float)NAN, inf = (float)INFINITY;

typedef struct Case { Op op; float in[8], want[8]; } Case;

static void test_unary(void **state) {
    (void)state;
    static const Case cases[] = {
        {G_NEG, {1, -2, 0, -0.0f, NAN, INFINITY, 3, 4}, {-1, 2, -0.0f, 0, NAN, -INFINITY, -3, -4}},
        {G_ABS, {1, -2, 0, -0.0f, NAN, -INFINITY, 3, -4}, {1, 2, 0, 0, NAN, INFINITY, 3, 4}},
        {G_SIGN, {5, -2, 0, -0.0f, NAN, -INFINITY, 1e-45f, -1e-45f}, {1, -1, 0, -0.0f, NAN, -1, 1, -1}},
        {G_SQRT, {4, 0, -0.0f, -1, INFINITY, 2, 0.25f, NAN}, {2, 0, -0.0f, NAN, INFINITY, 0x1.6a09e6p0f, 0.5f, NAN}},
        {G_FLOOR, {1.5f, -1.5f, -0.0f, 2, -0.2f, INFINITY, NAN, 1e20f}, {1, -2, -0.0f, 2, -1, INFINITY, NAN, 1e20f}},
        {G_CEIL, {1.5f, -1.5f, -0.0f, 2, -0.2f, INFINITY, NAN, 0.1f}, {2, -1, -0.0f, 2, -0.0f, INFINITY, NAN, 1}},
        {G_ROUND, {0.5f, 1.5f, 2.5f, -0.5f, -1.5f, 2.4f, NAN, -2.6f}, {0, 2, 2, -0.0f, -2, 2, NAN, -3}},
        {G_EXP, {0, -INFINITY, INFINITY, NAN, 0, 0, -0.0f, 0}, {1, 0, INFINITY, NAN, 1, 1, 1, 1}},
        {G_LOG, {1, 0, INFINITY, NAN, -1, 1, 1, 1}, {0, -INFINITY, INFINITY, NAN, NAN, 0, 0, 0}},
        {G_TANH, {0, INFINITY, -INFINITY, NAN, 0, 0, 0, 0}, {0, 1, -1, NAN, 0, 0, 0, 0}},
        {G_ERF, {0, INFINITY, -INFINITY, NAN, 0, 0, 0, 0}, {0, 1, -1, NAN, 0, 0, 0, 0}},
        {G_SIN, {0, INFINITY, NAN, 0, 0, 0, 0, 0}, {0, NAN, NAN, 0, 0, 0, 0, 0}},
        {G_COS, {0, INFINITY, NAN, 0, 0, 0, 0, 0}, {1, NAN, NAN, 1, 1, 1, 1, 1}},
    };
    for (int i = 0; i < COUNT(cases); i++) {
        Arena *arena = arena_new();
        Graph *g = graph_new(arena);
        Val x = graph_input(g, IN_ROWS, 0, "x", type_of(DT_F32, true, shape1(4)));
        graph_output(g, OUT_VALUE, 0, "", graph_1(g, cases[i].op, x));
        check_f32(evaluate(arena, g, 2, (const void *[]){cases[i].in}), cases[i].want, 8, op_name(cases[i].op));
        arena_free(arena);
    }
}

typedef struct Case2 { Op op; float a[8], b[8], want[8]; } Case2;

static void test_binary(void **state) {
    (void)state;
    static const Case2 cases[] = {
        {G_ADD, {1, -0.0f, 0, INFINITY, 1, 2, 3, 0x1p24f}, {2, -0.0f, -0.0f, -INFINITY, NAN, 3, 4, 1},
         {3, -0.0f, 0, NAN, NAN, 5, 7, 0x1p24f}},
        {G_SUB, {1, 0, 0, 1, 2, 3, 4, 5}, {2, 0, -0.0f, 1, NAN, 1, 1, 1}, {-1, 0, 0, 0, NAN, 2, 3, 4}},
        {G_MUL, {2, -1, INFINITY, 3, 1, 1, 1, 1}, {3, 0, 0, NAN, 1, 1, 1, 1}, {6, -0.0f, NAN, NAN, 1, 1, 1, 1}},
        {G_DIV, {1, 1, -1, 0, 7, 1, 1, 1}, {4, 0, 0, 0, NAN, -INFINITY, 1, 1},
         {0.25f, INFINITY, -INFINITY, NAN, NAN, -0.0f, 1, 1}},
        {G_MOD, {5, -5, 5, -5, 0.5f, 1, 1, 3}, {3, 3, -3, -3, 1, 0, NAN, 3}, {2, 1, -1, -2, 0.5f, NAN, NAN, 0}},
        {G_MAX, {1, 0, -0.0f, NAN, 1, -INFINITY, NAN, INFINITY}, {2, -0.0f, 0, 1, NAN, 3, NAN, NAN},
         {2, 0, -0.0f, NAN, NAN, 3, NAN, NAN}},
        {G_MIN, {1, 0, -0.0f, NAN, 1, -INFINITY, NAN, INFINITY}, {2, -0.0f, 0, 1, NAN, 3, NAN, NAN},
         {1, 0, -0.0f, NAN, NAN, -INFINITY, NAN, NAN}},
        {G_POW, {1, 1, 0, INFINITY, 1, 1, 1, 1}, {5, -2, 2, 1, 0, 0, 0, NAN}, {1, 1, 0, INFINITY, 1, 1, 1, NAN}},
    };
    for (int i = 0; i < COUNT(cases); i++) {
        Arena *arena = arena_new();
        Graph *g = graph_new(arena);
        Val a = graph_input(g, IN_ROWS, 0, "a", type_of(DT_F32, true, shape1(4)));
        Val b = graph_input(g, IN_ROWS, 1, "b", type_of(DT_F32, true, shape1(4)));
        graph_output(g, OUT_VALUE, 0, "", graph_2(g, cases[i].op, a, b));
        check_f32(evaluate(arena, g, 2, (const void *[]){cases[i].a, cases[i].b}), cases[i].want, 8,
                  op_name(cases[i].op));
        arena_free(arena);
    }
}

static void test_compare_and_select(void **state) {
    (void)state;
    static const float a[5] = {1, 2, 0, NAN, 3}, b[5] = {2, 1, -0.0f, 1, 3};
    static const struct { Op op; uint8_t want[5]; } cases[] = {
        {G_LT, {1, 0, 0, 0, 0}}, {G_LE, {1, 0, 1, 0, 1}}, {G_EQ, {0, 0, 1, 0, 1}}, {G_NE, {1, 1, 0, 1, 0}},
    };
    for (int i = 0; i < COUNT(cases); i++) {
        Arena *arena = arena_new();
        Graph *g = graph_new(arena);
        Val x = graph_input(g, IN_BLOCK, 0, "a", type_of(DT_F32, false, shape1(5)));
        Val y = graph_input(g, IN_BLOCK, 1, "b", type_of(DT_F32, false, shape1(5)));
        Val truth = graph_2(g, cases[i].op, x, y), both = graph_2(g, G_AND, truth, graph_2(g, G_LE, x, y));
        graph_output(g, OUT_VALUE, 0, "", truth);
        graph_output(g, OUT_VALUE, 1, "", graph_3(g, G_SELECT, truth, x, y));
        graph_output(g, OUT_VALUE, 2, "", graph_2(g, G_OR, graph_1(g, G_NOT, truth), both));
        const void *out[3];
        assert_true(graph_eval(arena, g, 1, (const void *[]){a, b}, out, NULL, 0));
        assert_memory_equal(out[0], cases[i].want, 5);
        for (int k = 0; k < 5; k++) {
            bool t = cases[i].want[k];
            check_f32((const float *)out[1] + k, t ? &a[k] : &b[k], 1, "select");
            assert_int_equal(((const uint8_t *)out[2])[k], !t || (t && a[k] <= b[k]));
        }
        arena_free(arena);
    }
}

static void test_cast(void **state) {
    (void)state;
    static const double from[8] = {1.9, -1.9, 1e20, -1e20, NAN, 0.1, -0.0, 2147483647.5};
    static const int32_t ints[8] = {1, -1, INT32_MAX, INT32_MIN, 0, 0, 0, INT32_MAX};
    static const uint8_t truths[8] = {1, 1, 1, 1, 1, 1, 0, 1};
    Arena *arena = arena_new();
    Graph *g = graph_new(arena);
    Val x = graph_input(g, IN_BLOCK, 0, "", type_of(DT_F64, false, shape1(8)));
    Val k = graph_input(g, IN_BLOCK, 1, "", type_of(DT_I32, false, shape1(8)));
    graph_output(g, OUT_VALUE, 0, "", graph_cast(g, x, DT_I32));
    graph_output(g, OUT_VALUE, 1, "", graph_cast(g, x, DT_BOOL));
    graph_output(g, OUT_VALUE, 2, "", graph_cast(g, x, DT_F32));
    graph_output(g, OUT_VALUE, 3, "", graph_cast(g, k, DT_F32));
    graph_output(g, OUT_VALUE, 4, "", graph_cast(g, graph_cast(g, x, DT_BOOL), DT_F64));
    const void *out[5];
    assert_true(graph_eval(arena, g, 1, (const void *[]){from, ints}, out, NULL, 0));
    assert_memory_equal(out[0], ints, sizeof ints);
    assert_memory_equal(out[1], truths, sizeof truths);
    for (int i = 0; i < 8; i++) {
        check_f32((const float *)out[2] + i, &(float){(float)from[i]}, 1, "f64 to f32");
        check_f32((const float *)out[3] + i, &(float){(float)ints[i]}, 1, "i32 to f32");
        assert_true(((const double *)out[4])[i] == truths[i]);
    }
    arena_free(arena);
}

static void test_ints(void **state) {
    (void)state;
    static const int32_t a[6] = {7, -7, INT32_MAX, INT32_MIN, 7, -7}, b[6] = {3, 3, 1, -1, 0, -3};
    static const struct { Op op; int32_t want[6]; } cases[] = {
        {G_ADD, {10, -4, INT32_MIN, INT32_MAX, 7, -10}}, {G_SUB, {4, -10, INT32_MAX - 1, INT32_MIN + 1, 7, -4}},
        {G_MUL, {21, -21, INT32_MAX, INT32_MIN, 0, 21}}, {G_MOD, {1, 2, 0, 0, 0, -1}},
        {G_MAX, {7, 3, INT32_MAX, -1, 7, -3}}, {G_MIN, {3, -7, 1, INT32_MIN, 0, -7}},
    };
    for (int i = 0; i < COUNT(cases); i++) {
        Arena *arena = arena_new();
        Graph *g = graph_new(arena);
        Val x = graph_input(g, IN_BLOCK, 0, "a", type_of(DT_I32, false, shape1(6)));
        Val y = graph_input(g, IN_BLOCK, 1, "b", type_of(DT_I32, false, shape1(6)));
        graph_output(g, OUT_VALUE, 0, "", graph_2(g, cases[i].op, x, y));
        assert_memory_equal(evaluate(arena, g, 1, (const void *[]){a, b}), cases[i].want, sizeof a);
        arena_free(arena);
    }
}

static void test_powi(void **state) {
    (void)state;
    static const float a[6] = {1.1f, 1.1f, 1.1f, 0, -2, 1.1f};
    static const int32_t n[6] = {0, 11, -3, -1, 3, INT32_MIN};
    float x = 1.1f, x2 = x * x, x5 = x2 * x2 * x, x11 = x5 * x5 * x;
    const float want[6] = {1, x11, 1 / (x2 * x), inf, -8, 0};
    Arena *arena = arena_new();
    Graph *g = graph_new(arena);
    Val base = graph_input(g, IN_BLOCK, 0, "", type_of(DT_F32, false, shape1(6)));
    Val exponent = graph_input(g, IN_BLOCK, 1, "", type_of(DT_I32, false, shape1(6)));
    graph_output(g, OUT_VALUE, 0, "", graph_2(g, G_POWI, base, exponent));
    check_f32(evaluate(arena, g, 1, (const void *[]){a, n}), want, 6, "powi");
    arena_free(arena);
}

/* ---- views ---- */

static void check_view(Arena *arena, Graph *g, Val v, const void *const *inputs, const float *want) {
    const Node *node = graph_node(g, v);
    int64_t n = shape_size(&node->shape) * (node->batched ? 2 : 1);
    g->outputs.len = 0;
    graph_output(g, OUT_VALUE, 0, "", v);
    check_f32(evaluate(arena, g, 2, inputs), want, n, op_name((Op)node->op));
}

static void test_views(void **state) {
    (void)state;
    Arena *arena = arena_new();
    Graph *g = graph_new(arena);
    static const float data[12] = {1, 2, 3, 4, 5, 6, 11, 12, 13, 14, 15, 16}, column[2] = {7, 8};
    static const int32_t index[3] = {1, 0, 9};
    const void *in[3] = {data, column, index};
    Val x = graph_input(g, IN_ROWS, 0, "x", type_of(DT_F32, true, shape2(2, 3)));
    Val c = graph_input(g, IN_BLOCK, 0, "c", type_of(DT_F32, false, shape1(2)));
    Val k = graph_input(g, IN_BLOCK, 1, "k", type_of(DT_I32, false, shape1(3)));
    check_view(arena, g, graph_broadcast(g, c, shape2(2, 3)), in, (float[]){7, 7, 7, 8, 8, 8});
    Val line = graph_reshape(g, c, shape2(1, 2));
    check_view(arena, g, graph_broadcast(g, line, shape2(2, 2)), in, (float[]){7, 8, 7, 8});
    check_view(arena, g, add(g, G_BROADCAST, &c, 1, (Attr){0}, type_of(DT_F32, true, shape1(2))), in,
               (float[]){7, 8, 7, 8});
    check_view(arena, g, graph_transpose(g, x, (int[]){1, 0}), in, (float[]){1, 4, 2, 5, 3, 6, 11, 14, 12, 15, 13, 16});
    check_view(arena, g, graph_reshape(g, x, shape2(3, 2)), in, data);
    check_view(arena, g, graph_slice(g, x, (int64_t[]){1, 1}, shape2(1, 2)), in, (float[]){5, 6, 15, 16});
    check_view(arena, g, add(g, G_PAD, &c, 1, (Attr){.starts = {1}}, type_of(DT_F32, false, shape1(4))), in,
               (float[]){0, 7, 8, 0});
    Val join[2] = {x, graph_broadcast(g, c, shape2(2, 1))};
    check_view(arena, g, add(g, G_CONCAT, join, 2, (Attr){.axis = 1}, type_of(DT_F32, true, SHAPE0)), in,
               (float[]){1, 2, 3, 7, 4, 5, 6, 8, 11, 12, 13, 7, 14, 15, 16, 8});
    Val iota = add(g, G_IOTA, NULL, 0, (Attr){.axis = 1}, type_of(DT_I32, false, shape2(2, 3)));
    check_view(arena, g, graph_cast(g, iota, DT_F32), in, (float[]){0, 1, 2, 0, 1, 2});
    Val pick[2] = {x, k}, embed[2] = {graph_reshape(g, c, shape2(1, 2)), k};
    check_view(arena, g, add(g, G_PICK, pick, 2, (Attr){0}, type_of(DT_F32, true, SHAPE0)), in,
               (float[]){4, 2, 6, 14, 12, 16});
    check_view(arena, g, add(g, G_EMBED, embed, 2, (Attr){0}, type_of(DT_F32, false, SHAPE0)), in,
               (float[]){7, 7, 7, 8, 8, 8});
    arena_free(arena);
}

static void test_random(void **state) {
    (void)state;
    Arena *arena = arena_new();
    Graph *g = graph_new(arena);
    const uint64_t keys[2] = {12345, 678};
    graph_output(g, OUT_VALUE, 0, "", graph_noise(g, G_NOISE, type_of(DT_F32, true, shape1(5)), "a"));
    graph_output(g, OUT_VALUE, 1, "", graph_noise(g, G_NORMAL, type_of(DT_F64, true, shape1(5)), "b"));
    const void *out[2];
    assert_true(graph_eval(arena, g, 3, NULL, out, keys, 9));
    for (uint32_t e = 0; e < 3; e++)
        for (uint32_t i = 0; i < 5; i++) {
            assert_true(((const float *)out[0])[e * 5 + i] == rng_uniform(12345, i, e, 9));
            assert_true(((const double *)out[1])[e * 5 + i] == (double)rng_normal(678, i, e, 9));
        }
    arena_free(arena);
}

/* ---- the order of arithmetic ---- */

static float tree(const float p[16]) {
    float a[8], b[4];
    for (int i = 0; i < 8; i++) a[i] = p[i] + p[i + 8];
    for (int i = 0; i < 4; i++) b[i] = a[i] + a[i + 4];
    float c0 = b[0] + b[2], c1 = b[1] + b[3];
    return c0 + c1;
}

static void test_sum(void **state) {
    (void)state;
    enum { F = 37, P = 21 };
    static float x[F * P], over_features[P], over_places[F], over_all[1];
    float p[16];
    fill(x, F * P, 1);
    for (int j = 0; j < P; j++) {
        memset(p, 0, sizeof p);
        for (int i = 0; i < F; i++) p[i % 16] += x[i * P + j];
        over_features[j] = tree(p);
    }
    for (int i = 0; i < F; i++) {
        memset(p, 0, sizeof p);
        for (int j = 0; j < P; j++) p[j % 16] += x[i * P + j];
        over_places[i] = tree(p);
    }
    memset(p, 0, sizeof p);
    for (int i = 0; i < F; i++)
        for (int j = 0; j < P; j++) p[i % 16] += x[i * P + j];
    over_all[0] = tree(p);
    Arena *arena = arena_new();
    Graph *g = graph_new(arena);
    Val v = graph_input(g, IN_BLOCK, 0, "", type_of(DT_F32, false, shape2(F, P)));
    check_view(arena, g, graph_reduce(g, G_SUM, v, 1), (const void *[]){x}, over_features);
    check_view(arena, g, graph_reduce(g, G_SUM, v, 2), (const void *[]){x}, over_places);
    check_view(arena, g, graph_reduce(g, G_SUM, v, 3), (const void *[]){x}, over_all);
    arena_free(arena);
}

static void test_reductions(void **state) {
    (void)state;
    static const float x[12] = {3, 1, -0.0f, 3, 2, NAN, 4, NAN, -1, -5, 7, 2};
    Arena *arena = arena_new();
    Graph *g = graph_new(arena);
    Val v = graph_input(g, IN_BLOCK, 0, "", type_of(DT_F32, false, shape2(4, 3)));
    check_view(arena, g, graph_reduce(g, G_MAXIMUM, v, 1), (const void *[]){x}, (float[]){4, nan32, nan32});
    check_view(arena, g, graph_reduce(g, G_MINIMUM, v, 2), (const void *[]){x}, (float[]){-0.0f, nan32, nan32, -5});
    check_view(arena, g, graph_reduce(g, G_PROD, v, 2), (const void *[]){x}, (float[]){-0.0f, nan32, nan32, -70});
    check_view(arena, g, graph_reduce(g, G_MAXIMUM, graph_slice(g, v, (int64_t[]){0, 0}, shape2(1, 3)), 3),
               (const void *[]){x}, (float[]){3});
    check_view(arena, g, graph_cast(g, graph_1(g, G_ARGMAX, v), DT_F32), (const void *[]){x}, (float[]){2, 2, 1});
    static const float none[4] = {-INFINITY, -INFINITY, -INFINITY, -INFINITY};
    Graph *h = graph_new(arena);
    v = graph_input(h, IN_BLOCK, 0, "", type_of(DT_F32, false, shape1(4)));
    check_view(arena, h, graph_reduce(h, G_MAXIMUM, v, 1), (const void *[]){none}, none);
    check_view(arena, h, graph_cast(h, graph_1(h, G_ARGMAX, v), DT_F32), (const void *[]){none}, (float[]){0});
    arena_free(arena);
}

static void test_matmul(void **state) {
    (void)state;
    enum { O = 3, N = 37, P = 2 };
    static float w[O * N], x[2 * N * P], start[O], many[2 * O * P], one[2 * P], plain[2 * P];
    fill(w, O * N, 1), fill(x, 2 * N * P, 2), fill(start, O, 3);
    for (int e = 0; e < 2; e++)
        for (int place = 0; place < P; place++) {
            const float *row = x + e * N * P + place;
            for (int o = 0; o < O; o++) {
                float acc = start[o];
                for (int k = 0; k < N; k++) acc = fmaf(w[o * N + k], row[k * P], acc);
                many[(e * O + o) * P + place] = acc;
            }
            float p[16] = {0};
            for (int k = 0; k < N; k++) p[k % 16] = fmaf(w[k], row[k * P], p[k % 16]);
            plain[e * P + place] = tree(p);
            one[e * P + place] = tree(p) + start[0];
        }
    Arena *arena = arena_new();
    Graph *g = graph_new(arena);
    const void *in[3] = {w, x, start};
    Val vw = graph_input(g, IN_BLOCK, 0, "", type_of(DT_F32, false, shape2(O, N)));
    Val vx = graph_input(g, IN_ROWS, 0, "", type_of(DT_F32, true, shape2(N, P)));
    Val vs = graph_input(g, IN_BLOCK, 1, "", type_of(DT_F32, false, shape1(O)));
    Val row = graph_slice(g, vw, (int64_t[]){0, 0}, shape2(1, N));
    Val first = graph_slice(g, vs, (int64_t[]){0}, shape1(1));
    check_view(arena, g, graph_matmul(g, vw, vx, vs), in, many);
    check_view(arena, g, graph_matmul(g, row, vx, first), in, one);
    check_view(arena, g, graph_matmul(g, row, vx, 0), in, plain);
    check_view(arena, g, graph_matmul(g, graph_reshape(g, row, shape1(N)), vx, 0), in, plain);
    arena_free(arena);
}

enum { EXAMPLES = 70 };

static void test_batch_sum(void **state) {
    (void)state;
    enum { F = 3, P = 5 };
    static float x[EXAMPLES * F * P], all[1], kept[F];
    fill(x, EXAMPLES * F * P, 1);
    for (int k = -1; k < F; k++) {
        float total = 0, chain = 0;
        for (int e = 0; e < EXAMPLES; e++) {
            if (e % 32 == 0) chain = 0;
            for (int p = 0; p < P; p++)
                for (int f = 0; f < F; f++)
                    if (k < 0 || f == k) chain += x[(e * F + f) * P + p];
            if (e == 31) total = chain;
            else if (e % 32 == 31 || e == EXAMPLES - 1) total += chain;
        }
        if (k < 0) all[0] = total;
        else kept[k] = total;
    }
    Arena *arena = arena_new();
    Graph *g = graph_new(arena);
    Val v = graph_input(g, IN_ROWS, 0, "", type_of(DT_F32, true, shape2(F, P)));
    graph_output(g, OUT_VALUE, 0, "", graph_reduce(g, G_BATCH_SUM, v, 3));
    check_f32(evaluate(arena, g, EXAMPLES, (const void *[]){x}), all, 1, "batch_sum of all");
    g->outputs.len = 0;
    graph_output(g, OUT_VALUE, 0, "", graph_reduce(g, G_BATCH_SUM, v, 2));
    check_f32(evaluate(arena, g, EXAMPLES, (const void *[]){x}), kept, F, "batch_sum over places");
    arena_free(arena);
}

static void test_batch_outer(void **state) {
    (void)state;
    enum { O = 2, N = 3, P = 2 };
    static float dy[EXAMPLES * O * P], x[EXAMPLES * N * P], want[O * N], embedded[4 * O];
    static int32_t index[EXAMPLES * P];
    fill(dy, EXAMPLES * O * P, 1), fill(x, EXAMPLES * N * P, 2);
    for (int i = 0; i < EXAMPLES * P; i++) index[i] = i % 5 - (i == 13);
    for (int first = 0; first < EXAMPLES; first += 32) {
        float part[O * N] = {0}, rows[4 * O] = {0};
        for (int e = first; e < first + 32 && e < EXAMPLES; e++)
            for (int p = 0; p < P; p++) {
                int row = index[e * P + p] > 3 ? 3 : index[e * P + p];
                for (int o = 0; o < O; o++) rows[row * O + o] += dy[(e * O + o) * P + p];
                for (int i = 0; i < O * N; i++)
                    part[i] = fmaf(dy[(e * O + i / N) * P + p], x[(e * N + i % N) * P + p], part[i]);
            }
        for (int i = 0; i < O * N; i++) want[i] = first ? want[i] + part[i] : part[i];
        for (int i = 0; i < 4 * O; i++) embedded[i] = first ? embedded[i] + rows[i] : rows[i];
    }
    Arena *arena = arena_new();
    Graph *g = graph_new(arena);
    const void *in[3] = {dy, x, index}, *out[2];
    Val a[2] = {graph_input(g, IN_ROWS, 0, "", type_of(DT_F32, true, shape2(O, P))),
                graph_input(g, IN_ROWS, 1, "", type_of(DT_F32, true, shape2(N, P)))};
    graph_output(g, OUT_VALUE, 0, "", add(g, G_BATCH_OUTER, a, 2, (Attr){0}, type_of(DT_F32, false, SHAPE0)));
    a[1] = graph_input(g, IN_ROWS, 2, "", type_of(DT_I32, true, shape1(P)));
    graph_output(g, OUT_VALUE, 1, "", add(g, G_BATCH_EMBED, a, 2, (Attr){0}, type_of(DT_F32, false, shape2(4, O))));
    assert_true(graph_eval(arena, g, EXAMPLES, in, out, NULL, 0));
    check_f32(out[0], want, O * N, "batch_outer");
    check_f32(out[1], embedded, 4 * O, "batch_embed");
    arena_free(arena);
}

/* The input spread by the dilation and surrounded by zeros, as an array: what a window means, without windows. */
static void expect_conv(int groups, int reversed, const int *stride, const int *pad, const int *dilation) {
    enum { O = 4, N = 4, H = 3, W = 5, KH = 2, KW = 3, P = 3, Q = 2, FAR = 40 };
    static float spread[N][FAR * 2][FAR * 2];
    int each = N / groups;
    float x[N * H * W], w[O * N * KH * KW], b[O], want[O * P * Q];
    memset(spread, 0, sizeof spread);
    for (int i = 0; i < N * H * W; i++) {
        x[i] = (float)((i * 7) % 11 - 5);
        spread[i / (H * W)][FAR + i / W % H * dilation[0] + pad[0]][FAR + i % W * dilation[1] + pad[1]] = x[i];
    }
    for (int i = 0; i < O * N * KH * KW; i++) w[i] = (float)((i * 5) % 13 - 6);
    for (int i = 0; i < O; i++) b[i] = (float)i;
    for (int i = 0; i < O * P * Q; i++) {
        int o = i / (P * Q), p = i / Q % P, q = i % Q;
        want[i] = b[o];
        for (int k = 0; k < each * KH * KW; k++) {
            int n = k / (KH * KW), kh = k / KW % KH, kw = k % KW,
                at = reversed ? KH * KW - 1 - k % (KH * KW) : k % (KH * KW);
            want[i] += w[(o * each + n) * KH * KW + at] *
                       spread[o / (O / groups) * each + n][FAR + p * stride[0] + kh][FAR + q * stride[1] + kw];
        }
    }
    Arena *arena = arena_new();
    Graph *g = graph_new(arena);
    const void *in[3] = {w, x, b}, *out[1];
    Val wv = graph_input(g, IN_BLOCK, 0, "", type_of(DT_F32, false, shape_of(4, INT64_C(4), (int64_t)each, INT64_C(2),
                                                                            INT64_C(3))));
    Val xv = graph_input(g, IN_BLOCK, 1, "", type_of(DT_F32, false, shape_of(3, INT64_C(4), INT64_C(3), INT64_C(5))));
    Val bv = graph_input(g, IN_BLOCK, 2, "", type_of(DT_F32, false, shape1(O)));
    Window window = {groups, reversed, {stride[0], stride[1]}, {pad[0], pad[1]}, {dilation[0], dilation[1]}};
    graph_output(g, OUT_VALUE, 0, "", graph_conv(g, wv, xv, bv, &window, (int64_t[]){P, Q}));
    assert_true(graph_eval(arena, g, 1, in, out, NULL, 0));
    check_f32(out[0], want, O * P * Q, "conv");
    arena_free(arena);
}

static void test_conv(void **state) {
    (void)state;
    for (int groups = 1; groups <= 4; groups *= 2)
        for (int i = 0; i < 81; i++) {
            int stride[2] = {1 + i % 3, 1 + i / 3 % 3}, dilation[2] = {1 + i / 9 % 3, 1 + i / 27 % 3};
            expect_conv(groups, i & 1, stride, (int[]){i % 5 - 2, i % 4 - 1}, dilation);
        }
}

/* What lies outside is left out: an infinite weight there makes no NaN, and -0 stays. */
static void test_conv_outside(void **state) {
    (void)state;
    Arena *arena = arena_new();
    Graph *g = graph_new(arena);
    float w[3] = {INFINITY, 1, NAN}, x[1] = {3}, b[1] = {-0.0f};
    const void *in[3] = {w, x, b}, *out[1];
    Val v[3];
    for (int i = 0; i < 3; i++) {
        Shape shape = i == 0 ? shape_of(3, INT64_C(1), INT64_C(1), INT64_C(3)) : i == 1 ? shape2(1, 1) : shape1(1);
        v[i] = graph_input(g, IN_BLOCK, i, "", type_of(DT_F32, false, shape));
    }
    Window window = {.groups = 1, .stride = {4}, .pad = {1}, .dilation = {1}};
    graph_output(g, OUT_VALUE, 0, "", graph_conv(g, v[0], v[1], v[2], &window, (int64_t[]){2}));
    assert_true(graph_eval(arena, g, 1, in, out, NULL, 0));
    float want[2] = {3, -0.0f};
    assert_memory_equal(out[0], want, sizeof want);
    arena_free(arena);
}

/* y = sum_k w[k] * x * b of each point; dw = summed outer(w * x, w); s = summed x * b. */
static Graph *point_body(Arena *arena) {
    Graph *g = graph_new(arena);
    Val x = graph_input(g, IN_MAPPED, 0, "x", type_of(DT_F32, false, SHAPE0));
    Val b = graph_input(g, IN_MAPPED, 1, "b", type_of(DT_F32, false, SHAPE0));
    Val w = graph_input(g, IN_SHARED, 0, "w", type_of(DT_F32, false, shape1(2)));
    Val wx = graph_2(g, G_MUL, w, x), xb = graph_2(g, G_MUL, x, b), outer[2] = {wx, w};
    graph_output(g, OUT_MAPPED, 0, "y", graph_reduce(g, G_SUM, graph_2(g, G_MUL, w, xb), 1));
    graph_output(g, OUT_SUMMED, 0, "dw", add(g, G_OUTER, outer, 2, (Attr){0}, type_of(DT_F32, false, SHAPE0)));
    graph_output(g, OUT_SUMMED, 1, "s", xb);
    return g;
}

typedef struct MapWant { float y[EXAMPLES * 30], dw[4], s; } MapWant;

/* The same in loops; shard: examples per chain. */
static void map_by_hand(const float *x, const float *b, const float *w, int examples, int shard, MapWant *want) {
    enum { U = 5, P = 6 };
    for (int first = 0; first < examples; first += shard) {
        float dw[4] = {0}, s = 0;
        for (int e = first; e < first + shard && e < examples; e++)
            for (int p = 0; p < P; p++)
                for (int u = 0; u < U; u++) {
                    float xi = x[e * U * P + u * P + p], xb = xi * b[u * P + p], sum[16] = {w[0] * xb, w[1] * xb};
                    want->y[e * U * P + u * P + p] = tree(sum);
                    s += xb;
                    for (int i = 0; i < 4; i++) dw[i] = fmaf(w[i / 2] * xi, w[i % 2], dw[i]);
                }
        want->s = first ? want->s + s : s;
        for (int i = 0; i < 4; i++) want->dw[i] = first ? want->dw[i] + dw[i] : dw[i];
    }
}

static void check_map(bool batched, int examples, const float *x, const float *b, const float *w) {
    static MapWant want;
    Arena *arena = arena_new();
    Graph *g = graph_new(arena);
    Val in[3] = {graph_input(g, batched ? IN_ROWS : IN_BLOCK, 0, "x", type_of(DT_F32, batched, shape2(5, 6))),
                 graph_input(g, IN_BLOCK, 1, "b", type_of(DT_F32, false, shape2(5, 6))),
                 graph_input(g, IN_BLOCK, 2, "w", type_of(DT_F32, false, shape1(2)))};
    Val map = add(g, G_MAP, in, 3, (Attr){.mapped = 2, .body = point_body(arena)}, type_of(DT_F32, batched, SHAPE0));
    for (int k = 0; k < 3; k++) graph_output(g, OUT_VALUE, k, "", graph_proj(g, map, k));
    assert_null(graph_verify(g, arena));
    const void *out[3];
    assert_true(graph_eval(arena, g, examples, (const void *[]){x, b, w}, out, NULL, 0));
    map_by_hand(x, b, w, examples, 32, &want);
    check_f32(out[0], want.y, examples * 30, "map: y");
    check_f32(out[1], want.dw, 4, "map: dw");
    check_f32(out[2], &want.s, 1, "map: s");
    arena_free(arena);
}

static void test_map(void **state) {
    (void)state;
    static float x[EXAMPLES * 30], b[30], w[2];
    fill(x, EXAMPLES * 30, 1), fill(b, 30, 2), fill(w, 2, 3);
    check_map(true, EXAMPLES, x, b, w);
    check_map(true, 32, x, b, w);
    check_map(false, 1, x, b, w);
}

/* A map in a map: the inner one sums over its own points, once for each point of the outer one. */
static void test_nested_map(void **state) {
    (void)state;
    static float x[EXAMPLES * 3], w[4], want[EXAMPLES * 3];
    fill(x, EXAMPLES * 3, 1), fill(w, 4, 2);
    for (int i = 0; i < EXAMPLES * 3; i++) {
        float sum = 0;
        for (int k = 0; k < 4; k++) sum += w[k] * x[i] * x[i];
        want[i] = sum;
    }
    Arena *arena = arena_new();
    Graph *inner = graph_new(arena), *outer = graph_new(arena), *g = graph_new(arena);
    NodeType scalar = type_of(DT_F32, false, SHAPE0), four = type_of(DT_F32, false, shape1(4));
    Val a = graph_input(inner, IN_MAPPED, 0, "a", scalar), s = graph_input(inner, IN_SHARED, 0, "s", scalar);
    graph_output(inner, OUT_SUMMED, 0, "", graph_2(inner, G_MUL, graph_2(inner, G_MUL, a, s), s));
    Val in[2] = {graph_input(outer, IN_SHARED, 0, "w", four), graph_input(outer, IN_MAPPED, 0, "x", scalar)};
    Val map = add(outer, G_MAP, in, 2, (Attr){.mapped = 1, .body = inner}, four);
    graph_output(outer, OUT_MAPPED, 0, "", graph_proj(outer, map, 0));
    in[0] = graph_input(g, IN_ROWS, 0, "x", type_of(DT_F32, true, shape1(3)));
    in[1] = graph_input(g, IN_BLOCK, 0, "w", four);
    map = add(g, G_MAP, in, 2, (Attr){.mapped = 1, .body = outer}, four);
    graph_output(g, OUT_VALUE, 0, "", graph_proj(g, map, 0));
    check_f32(evaluate(arena, g, EXAMPLES, (const void *[]){x, w}), want, EXAMPLES * 3, "nested map");
    arena_free(arena);
}

/* A point at which the chosen operand is 0 gives nothing to the sums, whatever the others are. */
static void test_left_out(void **state) {
    (void)state;
    float x[] = {1, INFINITY, 2, NAN, 4}, y[] = {1, 0, -1, -0.0f, 0.5f}, want = 1 - 2 + 2;
    for (int zeros = 0; zeros < 2; zeros++) {
        Arena *arena = arena_new();
        Graph *body = graph_new(arena), *g = graph_new(arena);
        NodeType scalar = type_of(DT_F32, false, SHAPE0), five = type_of(DT_F32, false, shape1(5));
        Val a = graph_input(body, IN_MAPPED, 0, "a", scalar), b = graph_input(body, IN_MAPPED, 1, "b", scalar);
        graph_output(body, OUT_SUMMED, 0, "", graph_2(body, G_MUL, a, b));
        Val in[2] = {graph_input(g, IN_BLOCK, 0, "x", five), graph_input(g, IN_BLOCK, 1, "y", five)};
        Val map = add(g, G_MAP, in, 2, (Attr){.mapped = 2, .index = zeros ? ZEROS_OF + 1 : 0, .body = body}, five);
        graph_output(g, OUT_VALUE, 0, "", graph_proj(g, map, 0));
        const float *sum = evaluate(arena, g, 1, (const void *[]){x, y});
        if (zeros) check_f32(sum, &want, 1, "left out");
        else assert_true(isnan(*sum));
        arena_free(arena);
    }
}

/* ---- programs ---- */

/* w += rate * batch_sum(x * w + noise); swaps two further slots; rows and series out. */
static Graph *training(Arena *arena) {
    Graph *g = graph_new(arena);
    NodeType one = type_of(DT_F32, false, shape1(3)), each = type_of(DT_F32, true, shape1(3));
    Val x = graph_input(g, IN_ROWS, 0, "x", each), w = graph_input(g, IN_BLOCK, 0, "w", one);
    Val rate = graph_input(g, IN_SETTING, 0, "rate", type_of(DT_F64, false, SHAPE0));
    Val step = graph_input(g, IN_STEP, 0, "", type_of(DT_I32, false, SHAPE0));
    Val count = graph_input(g, IN_BATCH, 0, "", type_of(DT_I32, false, SHAPE0));
    Val a = graph_input(g, IN_BLOCK, 1, "a", one), b = graph_input(g, IN_BLOCK, 2, "b", one);
    Val y = graph_2(g, G_ADD, graph_2(g, G_MUL, x, w), graph_noise(g, G_NOISE, each, "noise"));
    Val dw = graph_reduce(g, G_BATCH_SUM, y, 0);
    graph_output(g, OUT_BLOCK, 0, "w", graph_2(g, G_ADD, w, graph_2(g, G_MUL, graph_cast(g, rate, DT_F32), dw)));
    graph_output(g, OUT_BLOCK, 1, "a", b);
    graph_output(g, OUT_BLOCK, 2, "b", a);
    graph_output(g, OUT_ROWS, 0, "y", y);
    graph_output(g, OUT_SERIES, 0, "n", graph_2(g, G_ADD, graph_2(g, G_MUL, step, graph_int(g, 100)), count));
    return g;
}

typedef struct Result { _Alignas(64) float block[48], rows[70 * 3]; double series[9]; } Result;

static void run_training(const int64_t *cuts, int count, Result *result) {
    static float x[70 * 3];
    static int32_t order[3 * 70];
    static const double rate = 0.01;
    static const uint64_t key = 99;
    fill(x, 70 * 3, 1);
    for (int i = 0; i < 3 * 70; i++) order[i] = (i * 37 + i / 70) % 70;
    memset(result, 0, sizeof *result);
    for (int i = 0; i < 3; i++) result->block[i] = 1, result->block[16 + i] = 2, result->block[32 + i] = 3;
    Arena *arena = arena_new();
    NodeType one = type_of(DT_F32, false, shape1(3));
    Slot slots[3] = {{"w", DT_F32, one.shape, 0}, {"a", DT_F32, one.shape, 0}, {"b", DT_F32, one.shape, 0}};
    BlockLayout layout;
    block_layout(slots, 3, &layout);
    Graph *g = training(arena);
    assert_null(graph_verify(g, arena));
    Program *program = program_interpret(arena, g, layout);
    for (int i = 0; i < count; i++) {
        Feed feed = {.rows = {x}, .order = order, .examples = 70, .batch = 32, .settings = &rate, .keys = &key,
                     .out_rows = {result->rows}, .series = {result->series}};
        assert_int_equal(program->run(program, result->block, &feed, cuts[i], cuts[i + 1], NULL), 0);
    }
    program->free(program);
    arena_free(arena);
}

static void test_cuts(void **state) {
    (void)state;
    static Result whole, cut;
    run_training((int64_t[]){0, 9}, 1, &whole);
    run_training((int64_t[]){0, 1, 4, 4, 8, 9}, 5, &cut);
    assert_memory_equal(&whole, &cut, sizeof whole);
    static const double series[9] = {32, 132, 206, 332, 432, 506, 632, 732, 806};
    for (int i = 0; i < 9; i++) assert_true(whole.series[i] == series[i]);
    assert_true(whole.block[16] == 3 && whole.block[32] == 2);          /* swapped an odd number of times */
    assert_true(whole.block[0] != 1 && whole.rows[70 * 3 - 1] != 0);
}

static void test_huge(void **state) {
    (void)state;
    Arena *arena = arena_new();
    Graph *g = graph_new(arena);
    Val x = graph_const(g, DT_F64, 1);
    NodeType like = type_of(DT_F64, true, shape2(1 << 20, 1 << 20));
    graph_output(g, OUT_VALUE, 0, "", add(g, G_BROADCAST, &x, 1, (Attr){0}, like));
    const void *out[1];
    assert_false(graph_eval(arena, g, INT64_C(1) << 40, NULL, out, NULL, 0));
    arena_free(arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_unary), cmocka_unit_test(test_binary), cmocka_unit_test(test_compare_and_select),
        cmocka_unit_test(test_cast), cmocka_unit_test(test_ints), cmocka_unit_test(test_powi),
        cmocka_unit_test(test_views), cmocka_unit_test(test_random), cmocka_unit_test(test_sum),
        cmocka_unit_test(test_reductions), cmocka_unit_test(test_matmul), cmocka_unit_test(test_batch_sum),
        cmocka_unit_test(test_batch_outer), cmocka_unit_test(test_map), cmocka_unit_test(test_nested_map),
        cmocka_unit_test(test_left_out), cmocka_unit_test(test_cuts), cmocka_unit_test(test_conv),
        cmocka_unit_test(test_conv_outside), cmocka_unit_test(test_huge),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
