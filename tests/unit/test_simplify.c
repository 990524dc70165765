/* test_simplify.c -- each identity of pass_simplify on special values, in f32 and f64: it applies, and the bits stay.
 * What looks like an identity and is none must be left alone.  Views, repetition, constants, MAPs, dead code. */
#include "numbers.h"

/* ---- element by element, on all pairs of special values ---- */

static const double special[] = {NAN, 0.0, -0.0, INFINITY, -INFINITY, 1, -1, 2.5, -0.3, 5e-324, -1e-45, 1e-40,
                                 3.4e38, 1.7e308};
enum { SPECIALS = COUNT(special), WIDTH = 6 };

typedef struct In { Graph *g; Val x, y, c; DType dtype; } In;      /* c: x < y */
static Val k(const In *in, double x) { return graph_const(in->g, in->dtype, x); }
static Val one(const In *in, Op op, Val a) { return graph_1(in->g, op, a); }
static Val two(const In *in, Op op, Val a, Val b) { return graph_2(in->g, op, a, b); }
static Val three(const In *in, Op op, Val a, Val b, Val c) { return graph_3(in->g, op, a, b, c); }
static Val cast(const In *in, DType dtype, Val a) { return graph_cast(in->g, a, dtype); }
static Val truth(const In *in, bool x) { return graph_const(in->g, DT_BOOL, x); }
static Val power(const In *in, int n) { return two(in, G_POWI, in->x, graph_int(in->g, n)); }

/* The larger of y and x is there before the comparison. */
static Val where_less(const In *in, bool than_larger) {
    Val most = two(in, G_MAX, in->y, in->x);
    return three(in, G_SELECT, two(in, G_LT, in->y, than_larger ? most : in->x), most, k(in, 3));
}
static Val where_less_turned(const In *in, bool than_larger) {
    Val most = two(in, G_MAX, in->x, in->y);
    return three(in, G_SELECT, two(in, G_LT, in->y, than_larger ? most : in->x), most, k(in, 3));
}

#define X in->x
#define Y in->y
#define C in->c
#define NEG_(a) one(in, G_NEG, a)
#define ABS_(a) one(in, G_ABS, a)
#define NOT_(a) one(in, G_NOT, a)
#define B_(op, a, b) two(in, G_##op, a, b)
#define WHERE_(c, a, b) three(in, G_SELECT, c, a, b)
#define ALL(R)                                                                                                   \
    R(add_minus_zero, B_(ADD, X, k(in, -0.0)), X)                                                                \
    R(minus_zero_add, B_(ADD, k(in, -0.0), X), X)                                                                \
    R(add_neg, B_(ADD, X, NEG_(Y)), B_(SUB, X, Y))                                                               \
    R(neg_add, B_(ADD, NEG_(X), Y), B_(SUB, Y, X))                                                               \
    R(sub_zero, B_(SUB, X, k(in, 0.0)), X)                                                                       \
    R(minus_zero_sub, B_(SUB, k(in, -0.0), X), NEG_(X))                                                          \
    R(sub_neg, B_(SUB, X, NEG_(Y)), B_(ADD, X, Y))                                                               \
    R(mul_one, B_(MUL, X, k(in, 1)), X)                                                                          \
    R(one_mul, B_(MUL, k(in, 1), X), X)                                                                          \
    R(mul_minus_one, B_(MUL, X, k(in, -1)), NEG_(X))                                                             \
    R(minus_one_mul, B_(MUL, k(in, -1), X), NEG_(X))                                                             \
    R(neg_mul_neg, B_(MUL, NEG_(X), NEG_(Y)), B_(MUL, X, Y))                                                     \
    R(div_one, B_(DIV, X, k(in, 1)), X)                                                                          \
    R(div_two, B_(DIV, X, k(in, 2)), B_(MUL, X, k(in, 0.5)))                                                     \
    R(div_power, B_(DIV, X, k(in, -0x1p-40)), B_(MUL, X, k(in, -0x1p40)))                                        \
    R(div_minus_one, B_(DIV, X, k(in, -1)), NEG_(X))                                                             \
    R(neg_div_neg, B_(DIV, NEG_(X), NEG_(Y)), B_(DIV, X, Y))                                                     \
    R(neg_neg, NEG_(NEG_(X)), X)                                                                                 \
    R(abs_neg, ABS_(NEG_(X)), ABS_(X))                                                                           \
    R(abs_abs, ABS_(ABS_(X)), ABS_(X))                                                                           \
    R(max_same, B_(MAX, X, X), X)                                                                                \
    R(min_same, B_(MIN, X, X), X)                                                                                \
    R(not_eq, cast(in, DT_F64, NOT_(B_(EQ, X, Y))), cast(in, DT_F64, B_(NE, X, Y)))                              \
    R(not_ne, cast(in, DT_F64, NOT_(B_(NE, X, Y))), cast(in, DT_F64, B_(EQ, X, Y)))                              \
    R(power_0, power(in, 0), k(in, 1))                                                                           \
    R(power_1, power(in, 1), X)                                                                                  \
    R(power_2, power(in, 2), B_(MUL, X, X))                                                                      \
    R(power_3, power(in, 3), B_(MUL, B_(MUL, X, X), X))                                                          \
    R(power_5, power(in, 5), B_(MUL, B_(MUL, B_(MUL, X, X), B_(MUL, X, X)), X))                                  \
    R(power_minus_1, power(in, -1), B_(DIV, k(in, 1), X))                                                        \
    R(power_minus_2, power(in, -2), B_(DIV, k(in, 1), B_(MUL, X, X)))                                            \
    R(where_same, WHERE_(C, X, X), X)                                                                            \
    R(where_not, WHERE_(NOT_(C), X, Y), WHERE_(C, Y, X))                                                         \
    R(where_true, WHERE_(truth(in, 1), X, Y), X)                                                                 \
    R(where_false, WHERE_(truth(in, 0), X, Y), Y)                                                                \
    R(where_then_where, WHERE_(C, WHERE_(C, X, k(in, 7)), Y), WHERE_(C, X, Y))                                   \
    R(where_else_where, WHERE_(C, X, WHERE_(C, k(in, 7), Y)), WHERE_(C, X, Y))                                   \
    R(where_bools, WHERE_(WHERE_(C, truth(in, 1), truth(in, 0)), X, Y), WHERE_(C, X, Y))                         \
    R(not_not, WHERE_(NOT_(NOT_(C)), X, Y), WHERE_(C, X, Y))                                                     \
    R(and_true, WHERE_(B_(AND, C, truth(in, 1)), X, Y), WHERE_(C, X, Y))                                         \
    R(and_false, WHERE_(B_(AND, truth(in, 0), C), X, Y), Y)                                                      \
    R(or_true, WHERE_(B_(OR, C, truth(in, 1)), X, Y), X)                                                         \
    R(or_false, WHERE_(B_(OR, truth(in, 0), C), X, Y), WHERE_(C, X, Y))                                          \
    R(and_same, WHERE_(B_(AND, C, C), X, Y), WHERE_(C, X, Y))                                                    \
    R(less_than_itself, WHERE_(B_(LT, X, X), X, Y), Y)                                                           \
    R(less_than_larger, where_less(in, false), where_less(in, true))                                             \
    R(less_than_larger_turned, where_less_turned(in, false), where_less_turned(in, true))                        \
    R(wide_and_back, cast(in, in->dtype, cast(in, DT_F64, X)), X)                                                \
    R(bool_through_int, cast(in, DT_F64, cast(in, DT_I32, C)), cast(in, DT_F64, C))

/* These change for some special value. */
#define NONE(R)                                                                                                  \
    R(add_zero, B_(ADD, X, k(in, 0)))                                                                            \
    R(zero_add, B_(ADD, k(in, 0), X))                                                                            \
    R(sub_minus_zero, B_(SUB, X, k(in, -0.0)))                                                                   \
    R(zero_sub, B_(SUB, k(in, 0), X))                                                                            \
    R(mul_zero, B_(MUL, X, k(in, 0)))                                                                            \
    R(sub_itself, B_(SUB, X, X))                                                                                 \
    R(div_itself, B_(DIV, X, X))                                                                                 \
    R(div_three, B_(DIV, X, k(in, 3)))                                                                           \
    R(neg_sub, NEG_(B_(SUB, X, Y)))                                                                              \
    R(equal_itself, cast(in, DT_F64, B_(EQ, X, X)))                                                              \
    R(narrow_and_back, cast(in, DT_F64, cast(in, DT_F32, cast(in, DT_F64, X))))                                  \
    R(exp_log, one(in, G_EXP, one(in, G_LOG, X)))                                                                \
    R(sum_of_three, B_(ADD, B_(ADD, X, k(in, 1)), k(in, 2)))

typedef Val (*Build)(const In *in);
#define BEFORE(name, from, to) static Val before_##name(const In *in) { return from; }
#define AFTER(name, from, to) static Val after_##name(const In *in) { return to; }
#define KEPT(name, from) static Val kept_##name(const In *in) { return from; }
ALL(BEFORE) ALL(AFTER) NONE(KEPT)

typedef struct Case { const char *name; Build before, after; } Case;
#define ROW(name, from, to) {#name, before_##name, after_##name},
#define KEPT_ROW(name, from) {#name, kept_##name, kept_##name},
static const Case cases[] = {ALL(ROW) NONE(KEPT_ROW)};
static const int kept_from = COUNT(cases) - (int)(0
#define COUNT_ONE(name, from) +1
    NONE(COUNT_ONE));

static Bench special_bench(void) {
    Bench b = bench_new(1);
    Shape shape = shape_of(1, (int64_t)WIDTH);
    bench_in(&b, shape, true, 0, 1);
    bench_in(&b, shape, true, 0, 1);
    for (int i = 0; i < WIDTH * BENCH_BATCH; i++) {
        b.in[0].data[i] = special[i % SPECIALS];
        b.in[1].data[i] = special[i / SPECIALS % SPECIALS];
    }
    return b;
}

static Graph *build(const Bench *b, Build make, DType dtype) {
    Graph *g = graph_new(b->arena);
    NodeType type = graph_type(b->g, b->in[0].v);
    In in = {.g = g, .dtype = dtype};
    in.x = graph_cast(g, graph_input(g, IN_ROWS, 0, "x0", type), dtype);
    in.y = graph_cast(g, graph_input(g, IN_ROWS, 1, "x1", type), dtype);
    in.c = graph_2(g, G_LT, in.x, in.y);
    Val v = graph_cast(g, make(&in), DT_F64);
    if (!graph_node(g, v)->batched)              /* a constant: the same for each example */
        v = graph_add(g, G_BROADCAST, &v, 1, NULL, &type, (Span){0});
    graph_output(g, OUT_ROWS, 0, "", v);
    return g;
}

static char *text_of(const Bench *b, const Graph *g) {
    Buf buf = {0};
    graph_print(g, &buf);
    return buf_done(&buf, b->arena);
}

static void run_rows(const Bench *b, const Graph *g, double *out) {
    BenchRun run;
    bench_open(b, g, &run);
    bench_step(&run);
    memcpy(out, bench_out(&run, g, 0), sizeof(double) * WIDTH * BENCH_BATCH);
    bench_close(&run);
}

static void expect_equal_rows(const Bench *b, const Case *c, DType dtype, const Graph *from, const Graph *to) {
    double x[WIDTH * BENCH_BATCH], y[WIDTH * BENCH_BATCH];
    run_rows(b, from, x);
    run_rows(b, to, y);
    for (int i = 0; i < WIDTH * BENCH_BATCH; i++)
        if (memcmp(&x[i], &y[i], sizeof *x) != 0 && !(isnan(x[i]) && isnan(y[i])))
            fail_msg("%s, %s: of %g and %g: %.17g became %.17g", c->name, dtype_name(dtype), b->in[0].data[i],
                     b->in[1].data[i], x[i], y[i]);
}

static void identities(void **state) {
    (void)state;
    for (int i = 0; i < COUNT(cases); i++)
        for (int wide = 0; wide < 2; wide++) {
            Bench b = special_bench();
            DType dtype = wide ? DT_F64 : DT_F32;
            Graph *from = build(&b, cases[i].before, dtype), *to = pass_simplify(b.arena, from);
            expect_equal_rows(&b, &cases[i], dtype, from, to);
            Graph *want = graph_copy(b.arena, build(&b, cases[i].after, dtype));
            if (i < kept_from) want = pass_simplify(b.arena, want);
            bool narrow_and_back = !wide && strcmp(cases[i].name, "narrow_and_back") == 0;
            if (!narrow_and_back) assert_string_equal(text_of(&b, to), text_of(&b, want));
            bench_free(&b);
        }
}

/* ---- constants ---- */

static Val folded(Bench *b, Val v) {
    b->g->outputs.len = 0;
    graph_output(b->g, OUT_VALUE, 0, "", v);
    Graph *g = pass_simplify(b->arena, b->g);
    Val out = g->outputs.at[0].value;
    assert_int_equal(graph_node(g, out)->op, G_CONST);
    b->g = g;
    return out;
}

static void constants(void **state) {
    (void)state;
    static const Op ops[] = {G_EXP, G_SQRT, G_TANH, G_NEG, G_ERF, G_FLOOR, G_SIGN};
    for (int i = 0; i < COUNT(ops); i++)
        for (int wide = 0; wide < 2; wide++) {
            Bench b = bench_new(1);
            Val v = folded(&b, graph_1(b.g, ops[i], graph_const(b.g, wide ? DT_F64 : DT_F32, 1.7)));
            assert_int_equal(graph_node(b.g, v)->dtype, wide ? DT_F64 : DT_F32);
            bench_free(&b);
        }
    Bench b = bench_new(1);
    Val third = graph_2(b.g, G_DIV, graph_const(b.g, DT_F32, 1), graph_const(b.g, DT_F32, 3));
    Val v = folded(&b, graph_2(b.g, G_MUL, third, graph_const(b.g, DT_F32, 0.1f)));
    assert_true(graph_attr(b.g, v)->f64 == (double)((1.0f / 3.0f) * 0.1f));
    v = folded(&b, graph_cast(b.g, graph_const(b.g, DT_F64, 0.1), DT_F32));
    assert_true(graph_attr(b.g, v)->f64 == (double)0.1f);
    v = folded(&b, graph_cast(b.g, graph_2(b.g, G_LT, graph_int(b.g, 3), graph_int(b.g, 4)), DT_I32));
    assert_int_equal(graph_attr(b.g, v)->i64, 1);
    v = folded(&b, graph_2(b.g, G_POWI, graph_const(b.g, DT_F64, 3), graph_int(b.g, -70)));
    assert_true(fabs(graph_attr(b.g, v)->f64 / pow(3, -70) - 1) < 1e-13);
    bench_free(&b);
}

/* ---- views ---- */

/* The simplified value of v; its bits agree with those of v (x0 and x1 hold numbers). */
static Val simple(Bench *b, Val v, const Graph **out) {
    BenchRun runs[2];
    b->g->outputs.len = 0;
    bench_output(b, b->g, v);
    const Graph *g[2] = {b->g, pass_simplify(b->arena, b->g)};
    for (int i = 0; i < 2; i++) {
        bench_open(b, g[i], &runs[i]);
        bench_step(&runs[i]);
    }
    int64_t size = bench_out_size(b->g, 0);
    assert_memory_equal(bench_out(&runs[0], g[0], 0), bench_out(&runs[1], g[1], 0), sizeof(double) * (size_t)size);
    for (int i = 0; i < 2; i++) bench_close(&runs[i]);
    *out = g[1];
    return g[1]->outputs.at[0].value;
}

static void expect_chain(Bench *b, Val v, int n, const Op *ops) {
    const Graph *g;
    Val s = simple(b, v, &g);
    for (int i = 0; i < n; i++) {
        if (graph_node(g, s)->op != ops[i])
            fail_msg("%s instead of %s in\n%s", op_name((Op)graph_node(g, s)->op), op_name(ops[i]), text_of(b, g));
        if (graph_node(g, s)->nin) s = graph_in(g, s, 0);
    }
}
#define EXPECT(v, ...) expect_chain(&b, v, COUNT(((Op[]){__VA_ARGS__})), (Op[]){__VA_ARGS__})

static Val slice(Bench *b, Val v, int64_t s0, int64_t s1, int64_t n0, int64_t n1) {
    return graph_slice(b->g, v, (const int64_t[]){s0, s1}, shape_of(2, n0, n1));
}
static Val pad(Bench *b, Val v, int64_t s0, int64_t s1, int64_t n0, int64_t n1) {
    NodeType like = graph_type(b->g, v);
    like.shape = shape_of(2, n0, n1);
    return graph_add(b->g, G_PAD, &v, 1, &(Attr){.starts = {s0, s1}}, &like, (Span){0});
}
static Val join(Bench *b, int n, const Val *in, int axis) {
    return graph_add(b->g, G_CONCAT, in, n, &(Attr){.axis = axis}, NULL, (Span){0});
}

static void views(void **state) {
    (void)state;
    Bench b = bench_new(2);
    Graph *g = b.g;
    const int64_t four = 4, six = 6;
    Val x = bench_in(&b, shape_of(2, four, six), true, -1, 1), y = bench_in(&b, shape_of(2, four, six), true, -1, 1);
    Val p = bench_in(&b, shape_of(1, four), false, -1, 1), s = bench_in(&b, SHAPE0, true, -1, 1);
    const int swap[] = {1, 0};
    EXPECT(graph_reshape(g, graph_reshape(g, x, shape_of(1, INT64_C(24))), shape_of(2, four, six)), G_INPUT);
    EXPECT(graph_reshape(g, graph_reshape(g, x, shape_of(1, INT64_C(24))), shape_of(2, six, four)), G_RESHAPE, G_INPUT);
    EXPECT(graph_transpose(g, graph_transpose(g, x, swap), swap), G_INPUT);
    EXPECT(graph_transpose(g, graph_reshape(g, p, shape_of(2, INT64_C(1), four)), swap), G_RESHAPE, G_INPUT);
    EXPECT(graph_transpose(g, graph_broadcast(g, s, shape_of(2, four, six)), swap), G_BROADCAST, G_INPUT);
    EXPECT(graph_broadcast(g, graph_broadcast(g, p, shape_of(2, four, six)), shape_of(3, four, six, six)),
           G_BROADCAST, G_INPUT);
    EXPECT(slice(&b, x, 0, 0, 4, 6), G_INPUT);
    EXPECT(slice(&b, slice(&b, x, 1, 1, 3, 4), 1, 2, 2, 2), G_SLICE, G_INPUT);
    EXPECT(slice(&b, graph_broadcast(g, p, shape_of(2, four, six)), 1, 2, 2, 3), G_BROADCAST, G_SLICE, G_INPUT);
    EXPECT(slice(&b, pad(&b, x, 1, 2, 8, 9), 1, 2, 4, 6), G_INPUT);
    EXPECT(slice(&b, pad(&b, x, 1, 2, 8, 9), 2, 3, 3, 5), G_SLICE, G_INPUT);
    EXPECT(slice(&b, pad(&b, x, 1, 2, 8, 9), 5, 0, 3, 9), G_BROADCAST, G_CONST);
    EXPECT(slice(&b, pad(&b, x, 1, 2, 8, 9), 0, 0, 3, 9), G_SLICE, G_PAD, G_INPUT);
    EXPECT(pad(&b, pad(&b, x, 1, 1, 5, 7), 1, 1, 6, 8), G_PAD, G_INPUT);
    Val both[] = {x, y}, parts[] = {slice(&b, x, 0, 0, 1, 6), slice(&b, x, 1, 0, 2, 6), slice(&b, x, 3, 0, 1, 6)};
    EXPECT(slice(&b, join(&b, 2, both, 0), 4, 0, 4, 6), G_INPUT);
    EXPECT(slice(&b, join(&b, 2, both, 1), 1, 7, 2, 3), G_SLICE, G_INPUT);
    EXPECT(slice(&b, join(&b, 2, both, 0), 3, 0, 2, 6), G_SLICE, G_CONCAT, G_INPUT);
    EXPECT(join(&b, 3, parts, 0), G_INPUT);
    EXPECT(join(&b, 2, parts, 0), G_SLICE, G_INPUT);
    EXPECT(join(&b, 1, &x, 0), G_INPUT);
    bench_free(&b);
}

static void repetition(void **state) {
    (void)state;
    Bench b = bench_new(2);
    Graph *g = b.g;
    Shape shape = shape_of(2, INT64_C(4), INT64_C(6));
    Val p = bench_in(&b, shape_of(1, INT64_C(4)), false, -1, 1), s = bench_in(&b, SHAPE0, true, -1, 1);
    Val wide = graph_2(g, G_MUL, graph_broadcast(g, p, shape), graph_broadcast(g, s, shape));
    EXPECT(wide, G_BROADCAST, G_MUL, G_INPUT);
    NodeType each = {DT_F64, shape_of(1, INT64_C(4)), true};
    Val same = graph_add(g, G_BROADCAST, &p, 1, NULL, &each, (Span){0});
    EXPECT(graph_1(g, G_SIN, same), G_BROADCAST, G_SIN, G_INPUT);
    EXPECT(graph_reduce(g, G_BATCH_SUM, same, 0), G_BATCH_SUM, G_BROADCAST, G_INPUT);
    bench_free(&b);
}

/* ---- maps ---- */

static Val body_in(Graph *body, InputKind kind, int index, Shape shape) {
    return graph_input(body, kind, index, "", (NodeType){DT_F64, shape, false});
}

/* Outputs: 0 unused; 1 x0 * 2 + p; 2 the same again; 3 a sum that does not use x1 (batched). */
static void maps(void **state) {
    (void)state;
    Bench b = bench_new(2);
    Graph *body = graph_new(b.arena);
    Shape shape = shape_of(1, INT64_C(4));
    Val x = bench_in(&b, shape, false, -1, 1), y = bench_in(&b, shape, true, -1, 1);
    Val p = bench_in(&b, SHAPE0, false, -1, 1), w = bench_in(&b, shape, false, -1, 1);
    Val in[] = {y, x, x, graph_broadcast(b.g, graph_const(b.g, DT_F64, 2), shape), graph_broadcast(b.g, p, shape), w};
    Val m[5];
    for (int i = 0; i < 5; i++) m[i] = body_in(body, IN_MAPPED, i, SHAPE0);
    graph_output(body, OUT_MAPPED, 0, "", graph_1(body, G_SIN, m[0]));
    graph_output(body, OUT_MAPPED, 1, "", graph_2(body, G_ADD, graph_2(body, G_MUL, m[1], m[3]), m[4]));
    graph_output(body, OUT_MAPPED, 2, "", graph_2(body, G_ADD, graph_2(body, G_MUL, m[2], m[3]), m[4]));
    graph_output(body, OUT_SUMMED, 3, "", graph_2(body, G_MUL, m[1], body_in(body, IN_SHARED, 0, shape)));
    Attr attr = {.mapped = 5, .body = body};
    Val map = graph_add(b.g, G_MAP, in, 6, &attr, NULL, (Span){0});
    Val sum = graph_2(b.g, G_ADD, graph_proj(b.g, map, 1), graph_proj(b.g, map, 2));
    sum = graph_2(b.g, G_ADD, sum, graph_proj(b.g, map, 3));
    const Graph *g;
    Val v = simple(&b, sum, &g);
    while (graph_node(g, v)->op != G_MAP) v = graph_in(g, v, 0);
    const Graph *new = graph_attr(g, v)->body;
    assert_int_equal(graph_attr(g, v)->mapped, 2);          /* x once; y for the batch; p and w shared; 2 inside */
    assert_int_equal(graph_node(g, v)->nin, 4);
    assert_int_equal(new->outputs.len, 2);
    assert_int_equal(new->inputs.len, 3);
    assert_true(graph_node(g, v)->batched);
    bench_free(&b);
}

static void dead_code(void **state) {
    (void)state;
    Bench b = bench_new(2);
    Val x = bench_in(&b, SHAPE0, true, -1, 1), y = bench_in(&b, SHAPE0, true, -1, 1);
    graph_1(b.g, G_EXP, y);
    NodeType type = {DT_F64, SHAPE0, true};
    graph_noise(b.g, G_NOISE, type, "first");
    Val noise = graph_noise(b.g, G_NOISE, type, "second");
    graph_output(b.g, OUT_ROWS, 0, "", graph_2(b.g, G_ADD, x, noise));
    Graph *g = pass_simplify(b.arena, b.g);
    assert_int_equal(g->node.len, 4);
    assert_int_equal(g->keys, 2);                           /* key slots and inputs keep their numbers */
    assert_int_equal(g->inputs.len, 2);
    assert_string_equal(text_of(&b, g), text_of(&b, pass_simplify(b.arena, g)));
    bench_free(&b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(identities), cmocka_unit_test(constants), cmocka_unit_test(views),
        cmocka_unit_test(repetition), cmocka_unit_test(maps), cmocka_unit_test(dead_code),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
