/* test_grad.c -- gradients against central differences (five points, f64), first and second, of every op in
 * batched and unbatched mixes, of cells, and through MAP; the same after simplification, to the bit. */
#include "graph/lookup.h"
#include "numbers.h"

enum { MAX_OUTS = 8 };

/* The bits of both runs agree; a NaN is a NaN. */
static void expect_same_bits(const char *name, const double *a, const double *b, int64_t n) {
    for (int64_t i = 0; i < n; i++)
        if (memcmp(&a[i], &b[i], sizeof *a) != 0 && !(isnan(a[i]) && isnan(b[i])))
            fail_msg("%s: simplified %.17g, before %.17g", name, b[i], a[i]);
}

static void check_simplified(Bench *b, const char *name, const BenchRun *run) {
    Graph *simple = pass_simplify(b->arena, b->g);
    BenchRun other;
    bench_open(b, simple, &other);
    bench_step(&other);
    for (int k = 0; k < simple->outputs.len; k++)
        expect_same_bits(name, bench_out(run, b->g, k), bench_out(&other, simple, k), bench_out_size(simple, k));
    bench_close(&other);
    assert_true(simple->node.len <= b->g->node.len);
}

/* The sum of output 0 over examples. */
static double objective(const Bench *b, BenchRun *run) {
    double sum = 0;
    bench_load(b, run);
    bench_step(run);
    for (int64_t i = 0; i < bench_out_size(b->g, 0); i++) sum += bench_out(run, b->g, 0)[i];
    return sum;
}

static double difference(const Bench *b, BenchRun *run, double *x) {
    const double at = *x, h = 1e-3;
    double f[4];
    for (int i = 0; i < 4; i++) {
        *x = at + h * (const double[]){-2, -1, 1, 2}[i];
        f[i] = objective(b, run);
    }
    *x = at;
    return (f[0] - 8 * f[1] + 8 * f[2] - f[3]) / (12 * h);
}

/* Elements of every input, a few of large ones. */
static void compare(Bench *b, const char *name, const Val *grad, const double *const *values) {
    BenchRun run;
    Graph *full = b->g;
    int outs = full->outputs.len;
    full->outputs.len = 1;
    Graph alone = *full;
    full->outputs.len = outs;
    bench_open(b, &alone, &run);
    for (int i = 0; i < b->n; i++) {
        BenchInput *in = &b->in[i];
        int64_t step = in->size > 12 ? in->size / 7 : 1;
        for (int64_t k = 0; k < in->size; k += step) {
            double want = difference(b, &run, &in->data[k]), got = grad[i] ? values[i][k] : 0;
            if (!(fabs(want - got) <= 1e-6 * fmax(1, fabs(want))))
                fail_msg("%s: input %d element %d: gradient %.12g, difference %.12g", name, i, (int)k, got, want);
        }
    }
    bench_close(&run);
}

/* Differentiates y (a scalar, batched or not) by all inputs, compares; then the same of a mix of the gradients. */
static void check(Bench *b, const char *name, Val y, int order) {
    Val wrt[BENCH_INPUTS], grad[BENCH_INPUTS];
    const double *values[BENCH_INPUTS] = {0};
    BenchRun run;
    for (int i = 0; i < b->n; i++) wrt[i] = b->in[i].v;
    b->g->outputs.len = 0;
    bench_output(b, b->g, y);
    if (!pass_grad(b->g, y, 0, wrt, b->n, grad, NULL)) fail_msg("%s: no gradient", name);
    for (int i = 0; i < b->n; i++) {
        if (!grad[i]) continue;
        NodeType want = graph_type(b->g, wrt[i]), got = graph_type(b->g, grad[i]);
        assert_true(want.dtype == got.dtype && want.batched == got.batched && shape_equal(&want.shape, &got.shape));
        bench_output(b, b->g, grad[i]);
    }
    bench_open(b, b->g, &run);
    bench_step(&run);
    for (int i = 0, k = 1; i < b->n; i++)
        if (grad[i]) values[i] = bench_out(&run, b->g, k++);
    compare(b, name, grad, values);
    bench_load(b, &run);
    bench_step(&run);
    check_simplified(b, name, &run);
    bench_close(&run);
    if (order < 2) return;
    Val sum = 0;
    for (int i = 0; i < b->n; i++) {
        if (!grad[i]) continue;
        Shape shape = graph_node(b->g, grad[i])->shape;
        Val part = graph_2(b->g, G_MUL, grad[i], bench_table(b, shape));
        part = graph_reduce(b->g, G_SUM, part, (1u << shape.rank) - 1);
        if (graph_node(b->g, part)->batched) part = graph_reduce(b->g, G_BATCH_SUM, part, 0);
        sum = sum ? graph_2(b->g, G_ADD, sum, part) : part;
    }
    if (sum) check(b, arena_printf(b->arena, "%s, again", name), sum, order - 1);
}

/* A scalar from a tensor, no two elements with the same weight. */
static Val weighed(Bench *b, Val v) {
    Shape shape = graph_node(b->g, v)->shape;
    return graph_reduce(b->g, G_SUM, graph_2(b->g, G_MUL, v, bench_table(b, shape)), (1u << shape.rank) - 1);
}

/* ---- element by element ---- */

typedef struct UnaryCase { Op op; double lo, hi; int order; } UnaryCase;
static const UnaryCase unary_cases[] = {
    {G_NEG, -2, 2, 1}, {G_ABS, -2, 2, 2}, {G_SIGN, -2, 2, 1}, {G_SQRT, 0.5, 4, 2}, {G_EXP, -2, 2, 2},
    {G_LOG, 0.5, 4, 2},
    {G_SIN, -3, 3, 2}, {G_COS, -3, 3, 2}, {G_TANH, -2, 2, 2}, {G_ERF, -2, 2, 2},
};

static void unary_ops(void **state) {
    (void)state;
    for (int i = 0; i < COUNT(unary_cases); i++)
        for (int batched = 0; batched < 2; batched++) {
            Bench b = bench_new((uint64_t)i);
            Val x = bench_in(&b, shape_of(2, INT64_C(2), INT64_C(3)), batched, unary_cases[i].lo, unary_cases[i].hi);
            check(&b, op_name(unary_cases[i].op), weighed(&b, graph_1(b.g, unary_cases[i].op, x)),
                unary_cases[i].order);
            bench_free(&b);
        }
}

typedef struct BinaryCase { Op op; double lo, hi, lo2, hi2; } BinaryCase;
static const BinaryCase binary_cases[] = {
    {G_ADD, -2, 2, -2, 2}, {G_SUB, -2, 2, -2, 2}, {G_MUL, -2, 2, -2, 2}, {G_DIV, -2, 2, 1, 3}, {G_MAX, -2, 2, -2, 2},
    {G_MIN, -2, 2, -2, 2}, {G_POW, 0.5, 2, -2, 2},
};
typedef struct Mix { bool batched[2]; int rank[2]; } Mix;
static const Mix mixes[] = {
    {{1, 1}, {2, 2}}, {{1, 0}, {2, 2}}, {{0, 1}, {2, 2}}, {{0, 0}, {2, 2}}, {{1, 0}, {2, 0}}, {{0, 1}, {0, 2}},
    {{1, 0}, {2, 1}}, {{0, 1}, {1, 2}}, {{1, 1}, {2, 0}}, {{0, 1}, {2, 0}}, {{0, 0}, {1, 2}}, {{0, 1}, {2, 1}},
};

static void binary_ops(void **state) {
    (void)state;
    for (int i = 0; i < COUNT(binary_cases); i++)
        for (int m = 0; m < COUNT(mixes); m++) {
            const BinaryCase *c = &binary_cases[i];
            Bench b = bench_new((uint64_t)(i * 100 + m));
            Shape shape[2] = {{mixes[m].rank[0], {2, 3}}, {mixes[m].rank[1], {2, 3}}};
            Val x = bench_in(&b, shape[0], mixes[m].batched[0], c->lo, c->hi);
            Val y = bench_in(&b, shape[1], mixes[m].batched[1], c->lo2, c->hi2);
            check(&b, op_name(c->op), weighed(&b, graph_2(b.g, c->op, x, y)), 2);
            bench_free(&b);
        }
}

static void selects(void **state) {
    (void)state;
    for (int m = 0; m < COUNT(mixes); m++) {
        Bench b = bench_new((uint64_t)m);
        Shape shape[2] = {{mixes[m].rank[0], {2, 3}}, {mixes[m].rank[1], {2, 3}}};
        Val x = bench_in(&b, shape[0], mixes[m].batched[0], -2, 2);
        Val y = bench_in(&b, shape[1], mixes[m].batched[1], -2, 2);
        Val either = graph_3(b.g, G_SELECT, graph_2(b.g, G_LT, x, y), graph_2(b.g, G_MUL, x, y),
                             graph_1(b.g, G_SIN, y));
        Val mod = graph_2(b.g, G_MOD, either, graph_const(b.g, DT_F64, 0.7));
        check(&b, "select", weighed(&b, either), 2);
        bench_free(&b);
        (void)mod;
    }
}

static void powers(void **state) {
    (void)state;
    for (int n = -3; n <= 5; n++) {
        Bench b = bench_new(3);
        Val x = bench_in(&b, shape_of(1, INT64_C(4)), n & 1, 0.5, 2);
        check(&b, "powi", weighed(&b, graph_2(b.g, G_POWI, x, graph_int(b.g, n))), n == 0 ? 1 : 2);
        bench_free(&b);
    }
    Bench b = bench_new(4);
    Val x = bench_in(&b, shape_of(1, INT64_C(4)), true, 0.5, 2);
    NodeType like = {DT_I32, shape_of(1, INT64_C(4)), false};
    Val n = graph_add(b.g, G_IOTA, NULL, 0, &(Attr){.axis = 0}, &like, (Span){0});
    check(&b, "powi of a tensor", weighed(&b, graph_2(b.g, G_POWI, x, n)), 2);
    Val mod = graph_2(b.g, G_MOD, x, graph_const(b.g, DT_F64, 0.775));
    check(&b, "mod", weighed(&b, graph_2(b.g, G_MUL, mod, mod)), 2);
    bench_free(&b);
}

/* ---- moves and sums ---- */

static Val moved(Bench *b, Val x, int which) {
    Graph *g = b->g;
    const int64_t at[] = {1, 0, 1};
    Shape part = shape_of(3, INT64_C(2), INT64_C(2), INT64_C(3)),
          whole = shape_of(3, INT64_C(5), INT64_C(3), INT64_C(6));
    NodeType like = {DT_F64, whole, graph_node(g, x)->batched};
    Attr pad = {.starts = {1, 0, 1}};
    Val in[3];
    switch (which) {
    case 0: return graph_reshape(g, x, shape_of(2, INT64_C(6), INT64_C(4)));
    case 1: return graph_transpose(g, x, (const int[]){2, 0, 1});
    case 2: return graph_slice(g, x, at, part);
    case 3: return graph_add(g, G_PAD, &x, 1, &pad, &like, (Span){0});
    case 4:
        in[0] = in[2] = x;
        in[1] = graph_1(g, G_SIN, x);
        return graph_add(g, G_CONCAT, in, 3, &(Attr){.axis = 1}, NULL, (Span){0});
    case 5: return graph_broadcast(g, graph_reduce(g, G_SUM, x, 6), shape_of(2, INT64_C(3), INT64_C(7)));
    case 6: return graph_broadcast(g, graph_reshape(g, x, shape_of(3, INT64_C(24), INT64_C(1), INT64_C(1))),
                                   shape_of(3, INT64_C(24), INT64_C(1), INT64_C(2)));
    default: return 0;
    }
}

static void moves(void **state) {
    (void)state;
    for (int which = 0; which < 7; which++)
        for (int batched = 0; batched < 2; batched++) {
            Bench b = bench_new((uint64_t)which);
            Val x = bench_in(&b, shape_of(3, INT64_C(3), INT64_C(2), INT64_C(4)), batched, -2, 2);
            Val y = moved(&b, x, which);
            check(&b, arena_printf(b.arena, "move %d", which), weighed(&b, graph_2(b.g, G_MUL, y, y)), 2);
            bench_free(&b);
        }
}

static void reductions(void **state) {
    (void)state;
    static const Op ops[] = {G_SUM, G_MAXIMUM, G_MINIMUM, G_PROD};
    for (int i = 0; i < COUNT(ops); i++)
        for (uint32_t axes = 1; axes < 8; axes++)
            for (int batched = 0; batched < 2; batched++) {
                Bench b = bench_new(axes);
                Val x = bench_in(&b, shape_of(3, INT64_C(3), INT64_C(2), INT64_C(2)), batched, 0.5, 3);
                for (int64_t k = 0; k < b.in[0].size; k++)          /* no two equal: no kinks near */
                    b.in[0].data[k] += 0.013 * (double)(k % 12);
                Val y = graph_reduce(b.g, ops[i], x, axes);
                check(&b, op_name(ops[i]), weighed(&b, graph_2(b.g, G_MUL, y, y)), ops[i] == G_PROD ? 1 : 2);
                bench_free(&b);
            }
}

static void products_with_zeros(void **state) {
    (void)state;
    for (int zeros = 1; zeros < 3; zeros++) {
        Bench b = bench_new(9);
        Val x = bench_in(&b, shape_of(1, INT64_C(5)), false, 0.5, 3);
        for (int k = 0; k < zeros; k++) b.in[0].data[k * 2] = 0;
        check(&b, "product with zeros", graph_reduce(b.g, G_PROD, x, 1), 1);
        bench_free(&b);
    }
}

static void ties_share(void **state) {
    (void)state;
    Bench b = bench_new(9);
    Val x = bench_in(&b, shape_of(1, INT64_C(4)), false, 0.5, 3), grad;
    for (int k = 0; k < 4; k++) b.in[0].data[k] = k == 1 ? 1 : 2;
    BenchRun run;
    assert_true(pass_grad(b.g, graph_reduce(b.g, G_MAXIMUM, x, 1), 0, &x, 1, &grad, NULL));
    bench_output(&b, b.g, grad);
    bench_open(&b, b.g, &run);
    bench_step(&run);
    for (int k = 0; k < 4; k++) assert_true(bench_out(&run, b.g, 0)[k] == (k == 1 ? 0.0 : 1.0 / 3));
    bench_close(&run);
    bench_free(&b);
}

static Val square_sum(Bench *b, Val v) { return weighed(b, graph_2(b->g, G_MUL, v, v)); }

static void batch_sums(void **state) {
    (void)state;
    for (uint32_t axes = 0; axes < 4; axes++) {
        Bench b = bench_new(axes);
        Val x = bench_in(&b, shape_of(2, INT64_C(3), INT64_C(2)), true, -1, 1);
        Val y = bench_in(&b, shape_of(2, INT64_C(3), INT64_C(2)), false, -1, 1);
        Val xy = graph_2(b.g, G_MUL, x, y);
        Val m = graph_2(b.g, G_DIV, graph_reduce(b.g, G_BATCH_SUM, xy, axes), graph_const(b.g, DT_F64, BENCH_BATCH));
        check(&b, "batch_sum", square_sum(&b, m), 2);
        if (!axes) check(&b, "normalised", square_sum(&b, graph_2(b.g, G_SUB, xy, m)), 1);
        bench_free(&b);
    }
}

/* y the same for each example: its adjoint too, and a parameter gets it once for each. */
static void same_adjoint(void **state) {
    (void)state;
    Bench b = bench_new(1);
    Val x = bench_in(&b, SHAPE0, true, -1, 1), p = bench_in(&b, SHAPE0, false, -1, 1);
    check(&b, "a sum", graph_2(b.g, G_ADD, x, p), 1);
    bench_free(&b);
}

static void picks(void **state) {
    (void)state;
    for (int batched = 0; batched < 4; batched++) {
        Bench b = bench_new(7);
        Val x = bench_in(&b, shape_of(2, INT64_C(5), INT64_C(3)), batched & 1, -2, 2);
        Val i = bench_in(&b, shape_of(1, INT64_C(3)), batched >> 1, 0, 4.9);
        Val k = graph_cast(b.g, graph_1(b.g, G_ABS, i), DT_I32);
        check(&b, "pick", square_sum(&b, graph_add(b.g, G_PICK, (Val[]){x, k}, 2, NULL, NULL, (Span){0})), 2);
        Val e = graph_add(b.g, G_EMBED, (Val[]){x, k}, 2, NULL, NULL, (Span){0});
        check(&b, "embed", square_sum(&b, e), 2);
        bench_free(&b);
    }
}

/* A table of blocks of different refinements: arguments, second derivatives too. */
static void blocks(void **state) {
    (void)state;
    for (int k = 1; k <= 3; k++) {
        Bench b = bench_new((uint64_t)k + 31);
        int64_t all = k == 1 ? 2 : k == 2 ? 4 : 8, at = 0;
        int32_t index[8];
        double values[1024];
        for (int64_t i = 0; i < all; i++) {
            int level = (int)(i % 3);
            index[i] = (int32_t)(level << LOOKUP_SHIFT | at);
            at += lookup_values(k, level);
        }
        assert_true(at <= COUNT(values));
        for (int64_t i = 0; i < at; i++) values[i] = sin((double)(7 * i));
        Shape box = {1, {k}}, x = {1, {3}}, two = {k, {2, k > 1 ? 2 : 0, k > 2 ? 2 : 0}};
        Blob of_values = {DT_F64, {1, {at}}, values, 1}, of_index = {DT_I32, two, index, 2};
        Val in[7] = {
            graph_add(b.g, G_TABLE, NULL, 0, &(Attr){.blob = &of_values}, &(NodeType){DT_F64, {1, {at}}, false},
                      (Span){0}),
            graph_add(b.g, G_TABLE, NULL, 0, &(Attr){.blob = &of_index}, &(NodeType){DT_I32, two, false}, (Span){0}),
            graph_broadcast(b.g, graph_const(b.g, DT_F64, -1.15), box),
            graph_broadcast(b.g, graph_const(b.g, DT_F64, 1), box)};
        for (int j = 0; j < k; j++) in[4 + j] = bench_in(&b, x, j < 2, -1.4, 1.4);
        check(&b, "blocks", square_sum(&b, graph_add(b.g, G_LOOKUP, in, 4 + k, NULL, NULL, (Span){0})), 2);
        bench_free(&b);
    }
}

/* Values and arguments; second derivatives, too. */
static void tables(void **state) {
    (void)state;
    for (int k = 1; k <= 3; k++)
        for (int places = 0; places < 2; places++) {
            Bench b = bench_new((uint64_t)k + 11);
            Shape nodes = {k, {4, 3, 2}}, x = {1 + places, {3, 2}}, box = {1, {k}};
            Val in[6] = {bench_in(&b, nodes, false, -1, 1),
                         graph_broadcast(b.g, graph_const(b.g, DT_F64, -0.7), box),
                         graph_broadcast(b.g, graph_const(b.g, DT_F64, 1.9), box)};
            for (int j = 0; j < k; j++) in[3 + j] = bench_in(&b, x, j < 2, -1.4, 1.4);
            Val y = graph_add(b.g, G_INTERPOLATE, in, 3 + k, NULL, NULL, (Span){0});
            check(&b, "a table", square_sum(&b, y), 2);
            bench_free(&b);
        }
}

/* ---- contractions ---- */

typedef struct MatmulCase { int w_rank; int64_t w[3]; int x_rank; int64_t x[3]; } MatmulCase;
static const MatmulCase matmul_cases[] = {
    {2, {3, 4}, 1, {4}}, {1, {4}, 1, {4}}, {2, {3, 4}, 2, {4, 2}}, {1, {4}, 2, {4, 3}}, {2, {2, 17}, 2, {17, 2}},
    {3, {2, 3, 4}, 2, {4, 2}}, {2, {1, 18}, 1, {18}}, {2, {18, 1}, 1, {1}}, {1, {17}, 3, {17, 2, 2}},
};

static void matmuls(void **state) {
    (void)state;
    for (int i = 0; i < COUNT(matmul_cases); i++)
        for (int mix = 0; mix < 16; mix++) {
            const MatmulCase *c = &matmul_cases[i];
            Bench b = bench_new((uint64_t)(i * 16 + mix));
            Shape w_shape = {c->w_rank, {c->w[0], c->w[1], c->w[2]}},
                  x_shape = {c->x_rank, {c->x[0], c->x[1], c->x[2]}};
            Shape init_shape = w_shape;
            init_shape.rank--;
            init_shape.dim[init_shape.rank] = 0;
            Val w = bench_in(&b, w_shape, mix & 1, -1, 1), x = bench_in(&b, x_shape, mix >> 1 & 1, -1, 1);
            Val init = mix & 4 ? bench_in(&b, init_shape, mix >> 3 & 1, -1, 1) : 0;
            Val y = graph_matmul(b.g, w, x, init);
            check(&b, arena_printf(b.arena, "matmul %d mix %d", i, mix), square_sum(&b, y), i < 4 ? 2 : 1);
            check(&b, arena_printf(b.arena, "matmul %d mix %d, linear", i, mix), weighed(&b, y), 2);
            bench_free(&b);
        }
}

static void outers(void **state) {
    (void)state;
    for (int mix = 0; mix < 4; mix++) {
        Bench b = bench_new((uint64_t)mix);
        Val x = bench_in(&b, shape_of(1, INT64_C(3)), mix & 1, -1, 1);
        Val y = bench_in(&b, shape_of(1, INT64_C(4)), mix >> 1, -1, 1);
        check(&b, "outer", square_sum(&b, graph_add(b.g, G_OUTER, (Val[]){x, y}, 2, NULL, NULL, (Span){0})), 2);
        bench_free(&b);
    }
    for (int mix = 1; mix < 4; mix++) {
        Bench b = bench_new((uint64_t)mix);
        Val x = bench_in(&b, shape_of(2, INT64_C(3), INT64_C(2)), mix & 1, -1, 1);
        Val y = bench_in(&b, shape_of(2, INT64_C(4), INT64_C(2)), mix >> 1, -1, 1);
        Val o = graph_add(b.g, G_BATCH_OUTER, (Val[]){x, y}, 2, NULL, NULL, (Span){0});
        check(&b, "batch_outer", square_sum(&b, graph_2(b.g, G_MUL, o, graph_const(b.g, DT_F64, 0.1))), 2);
        bench_free(&b);
    }
}

/* ---- convolutions ---- */

typedef struct ConvCase { Window window; Shape w, x; int64_t places[2]; } ConvCase;
static const ConvCase conv_cases[] = {
    {{1, 0, {1}, {0}, {1}}, {3, {3, 2, 3}}, {2, {2, 5}}, {3}},
    {{1, 0, {2}, {1}, {1}}, {3, {2, 2, 3}}, {2, {2, 6}}, {3}},
    {{2, 0, {3}, {2}, {1}}, {3, {4, 1, 2}}, {2, {2, 4}}, {3}},
    {{1, 1, {1}, {-1}, {2}}, {3, {2, 1, 2}}, {2, {1, 3}}, {4}},
    {{1, 0, {1, 1}, {1, 1}, {1, 1}}, {4, {2, 2, 3, 3}}, {3, {2, 3, 2}}, {3, 2}},
    {{1, 0, {2, 1}, {1, 0}, {1, 1}}, {4, {2, 1, 3, 2}}, {3, {1, 5, 3}}, {3, 2}},
    {{3, 0, {2, 2}, {0, 1}, {1, 1}}, {4, {3, 1, 2, 2}}, {3, {3, 4, 3}}, {2, 2}},
    {{2, 1, {1, 3}, {2, 0}, {2, 1}}, {4, {2, 2, 2, 3}}, {3, {4, 2, 4}}, {3, 1}},
    {{1, 0, {2, 2}, {0, 0}, {1, 1}}, {4, {2, 1, 1, 1}}, {3, {1, 3, 3}}, {2, 2}},
};

static void convolutions(void **state) {
    (void)state;
    for (int i = 0; i < COUNT(conv_cases); i++)
        for (int mix = 0; mix < 8; mix++) {
            const ConvCase *c = &conv_cases[i];
            Bench b = bench_new((uint64_t)(i * 8 + mix));
            Val w = bench_in(&b, c->w, mix & 1, -1, 1), x = bench_in(&b, c->x, mix >> 1 & 1, -1, 1);
            Val init = mix & 4 ? bench_in(&b, shape_of(1, c->w.dim[0]), false, -1, 1) : 0;
            Val y = graph_conv(b.g, w, x, init, &c->window, c->places);
            check(&b, arena_printf(b.arena, "conv %d mix %d", i, mix), square_sum(&b, y), i & 1 ? 1 : 2);
            check(&b, arena_printf(b.arena, "conv %d mix %d, linear", i, mix), weighed(&b, y), 1);
            bench_free(&b);
        }
}

static void conv_weights(void **state) {
    (void)state;
    for (int i = 0; i < COUNT(conv_cases); i++)
        for (int mix = 1; mix < 4; mix++) {
            const ConvCase *c = &conv_cases[i];
            Bench b = bench_new((uint64_t)(i * 4 + mix));
            Shape y = c->x;
            y.dim[0] = c->w.dim[0];
            memcpy(y.dim + 1, c->places, sizeof *c->places * (size_t)(y.rank - 1));
            Val dy = bench_in(&b, y, mix & 1, -1, 1), x = bench_in(&b, c->x, mix >> 1, -1, 1);
            NodeType like = {DT_F64, c->w, false};
            Val in[2] = {dy, x},
                dw = graph_add(b.g, G_BATCH_CONV, in, 2, &(Attr){.window = c->window}, &like, (Span){0});
            check(&b, "batch_conv", square_sum(&b, graph_2(b.g, G_MUL, dw, graph_const(b.g, DT_F64, 0.1))), 2);
            bench_free(&b);
        }
}

/* ---- cells, direct and as MAPs ---- */

typedef enum CellName { GCU, SILU, GELU, LECUN_TANH, SWIGLU, CELLS } CellName;

static Val sigmoid(Graph *g, Val x) {
    Val one = graph_const(g, DT_F64, 1);
    return graph_2(g, G_DIV, one, graph_2(g, G_ADD, one, graph_1(g, G_EXP, graph_1(g, G_NEG, x))));
}

static Val cell(Graph *g, CellName name, Val x, Val x2) {
    switch (name) {
    case GCU: return graph_2(g, G_MUL, x, graph_1(g, G_COS, x));
    case SILU: return graph_2(g, G_MUL, x, sigmoid(g, x));
    case GELU: {
        Val root = graph_1(g, G_SQRT, graph_const(g, DT_F64, 2));
        Val e = graph_2(g, G_ADD, graph_const(g, DT_F64, 1), graph_1(g, G_ERF, graph_2(g, G_DIV, x, root)));
        return graph_2(g, G_DIV, graph_2(g, G_MUL, x, e), graph_const(g, DT_F64, 2));
    }
    case LECUN_TANH: {
        Val t = graph_2(g, G_DIV, graph_2(g, G_MUL, graph_const(g, DT_F64, 2), x), graph_const(g, DT_F64, 3));
        return graph_2(g, G_MUL, graph_const(g, DT_F64, 1.7159), graph_1(g, G_TANH, t));
    }
    case SWIGLU: return graph_2(g, G_MUL, graph_2(g, G_MUL, x, sigmoid(g, x)), x2);
    case CELLS: break;
    }
    return 0;
}

static Val body_in(Graph *body, InputKind kind, int index, Shape shape) {
    return graph_input(body, kind, index, "", (NodeType){DT_F64, shape, false});
}

static Val map_of(Bench *b, Graph *body, const Val *in, int mapped, int n) {
    Attr attr = {.mapped = mapped, .body = body};
    return graph_add(b->g, G_MAP, in, n, &attr, NULL, (Span){0});
}

static void cells(void **state) {
    (void)state;
    for (int c = 0; c < CELLS; c++)
        for (int how = 0; how < 6; how++) {
            Bench b = bench_new((uint64_t)c);
            Shape shape = shape_of(1, INT64_C(3));
            Val in[2] = {bench_in(&b, shape, how & 1, -2, 2), bench_in(&b, shape, how >> 1 & 1, -2, 2)}, y;
            if (how < 4) {
                y = cell(b.g, (CellName)c, in[0], in[1]);
            } else {
                Graph *body = graph_new(b.arena);
                Val x = body_in(body, IN_MAPPED, 0, SHAPE0), x2 = body_in(body, IN_MAPPED, 1, SHAPE0);
                graph_output(body, OUT_MAPPED, 0, "", cell(body, (CellName)c, x, x2));
                y = graph_proj(b.g, map_of(&b, body, in, 2, 2), 0);
            }
            check(&b, arena_printf(b.arena, "cell %d, way %d", c, how), square_sum(&b, y), how == 4 ? 3 : 2);
            bench_free(&b);
        }
}

/* 2 -> 8 -> 8 -> 1, tanh; a scalar parameter besides. */
static Graph *inner_net(Bench *b, const Val *shared) {
    Graph *g = graph_new(b->arena);
    Shape one = shape_of(1, INT64_C(1));
    Val s[7], x[2];
    for (int i = 0; i < 7; i++) s[i] = body_in(g, IN_SHARED, i, graph_node(b->g, shared[i])->shape);
    for (int i = 0; i < 2; i++) x[i] = graph_reshape(g, body_in(g, IN_MAPPED, i, SHAPE0), one);
    Val h = graph_add(g, G_CONCAT, x, 2, &(Attr){.axis = 0}, NULL, (Span){0});
    h = graph_1(g, G_TANH, graph_matmul(g, s[0], h, s[1]));
    h = graph_1(g, G_TANH, graph_matmul(g, s[2], h, s[3]));
    Val y = graph_reshape(g, graph_matmul(g, s[4], h, s[5]), SHAPE0);
    y = graph_2(g, G_MUL, y, s[6]);
    graph_output(g, OUT_MAPPED, 0, "", y);
    graph_output(g, OUT_SUMMED, 1, "", graph_2(g, G_MUL, y, y));
    graph_output(g, OUT_SUMMED, 2, "", graph_add(g, G_OUTER, (Val[]){h, h}, 2, NULL, NULL, (Span){0}));
    return g;
}

static void inner_nets(void **state) {
    (void)state;
    for (int mix = 0; mix < 4; mix++)
        for (int outs = 1; outs < 8; outs++) {
            if (outs != 1 && outs != 7 && mix != 1) continue;
            Bench b = bench_new((uint64_t)mix);
            Shape shape = shape_of(2, INT64_C(2), INT64_C(2));
            Val in[9] = {bench_in(&b, shape, mix & 1, -1, 1), bench_in(&b, shape, mix >> 1, -1, 1)}, y = 0;
            const Shape shapes[7] = {shape_of(2, INT64_C(8), INT64_C(2)), shape_of(1, INT64_C(8)),
                shape_of(2, INT64_C(8), INT64_C(8)), shape_of(1, INT64_C(8)), shape_of(2, INT64_C(1), INT64_C(8)),
                shape_of(1, INT64_C(1)), SHAPE0};
            for (int i = 0; i < 7; i++) in[2 + i] = bench_in(&b, shapes[i], false, -0.6, 0.6);
            Val map = map_of(&b, inner_net(&b, in + 2), in, 2, 9);
            for (int k = 0; k < 3; k++) {
                if (!(outs >> k & 1)) continue;
                Val part = square_sum(&b, graph_2(b.g, G_MUL, graph_proj(b.g, map, k), graph_const(b.g, DT_F64, 0.1)));
                y = y ? graph_2(b.g, G_ADD, y, part) : part;
            }
            check(&b, arena_printf(b.arena, "inner net, mix %d, outputs %d", mix, outs), y, 2);
            bench_free(&b);
        }
}

/* A parameter per unit, a parameter per net seen as a number of a vector, an operand that repeats. */
static void cell_parameters(void **state) {
    (void)state;
    Bench b = bench_new(5);
    Shape shape = shape_of(2, INT64_C(4), INT64_C(2));
    Val x = bench_in(&b, shape, true, -1, 1), unit = bench_in(&b, shape_of(1, INT64_C(4)), false, -1, 1);
    Val vector = bench_in(&b, shape_of(1, INT64_C(3)), false, -1, 1);
    Graph *g = graph_new(b.arena);
    Val bx = body_in(g, IN_MAPPED, 0, SHAPE0), bu = body_in(g, IN_MAPPED, 1, SHAPE0);
    Val bv = body_in(g, IN_SHARED, 0, shape_of(1, INT64_C(3))), bc = body_in(g, IN_MAPPED, 2, SHAPE0), y = bc;
    for (int64_t i = 0; i < 3; i++) {
        Val c = graph_reshape(g, graph_slice(g, bv, &i, shape_of(1, INT64_C(1))), SHAPE0);
        y = graph_2(g, G_ADD, graph_2(g, G_MUL, y, bx), graph_2(g, G_MUL, c, bu));
    }
    graph_output(g, OUT_MAPPED, 0, "", graph_1(g, G_SIN, y));
    Val in[4] = {x, graph_broadcast(b.g, unit, shape), graph_broadcast(b.g, graph_const(b.g, DT_F64, 0.5), shape),
        vector};
    check(&b, "parameters of a cell", square_sum(&b, graph_proj(b.g, map_of(&b, g, in, 3, 4), 0)), 2);
    bench_free(&b);
}

/* ---- structure ---- */

static void seeds_and_zeros(void **state) {
    (void)state;
    Bench b = bench_new(1);
    Val x = bench_in(&b, SHAPE0, true, -1, 1), z = bench_in(&b, SHAPE0, true, -1, 1);
    Val p = bench_in(&b, SHAPE0, false, -1, 1);
    Val y = graph_2(b.g, G_MUL, x, p), seed = graph_const(b.g, DT_F64, 0.5), grad[4];
    Val wrt[4] = {x, z, p, y};
    assert_true(pass_grad(b.g, y, seed, wrt, 4, grad, NULL));
    assert_int_equal(grad[1], 0);
    assert_int_equal(graph_node(b.g, grad[2])->op, G_BATCH_SUM);
    assert_true(graph_node(b.g, grad[0])->batched && graph_node(b.g, grad[3])->batched);
    /* max(x, x) gives nothing to x: a tie everywhere */
    Val tie = graph_2(b.g, G_MAX, x, x);
    check(&b, "p only", graph_2(b.g, G_MUL, p, graph_2(b.g, G_SUB, tie, tie)), 1);
    bench_free(&b);
}

static void weight_gradient_is_one_outer(void **state) {
    (void)state;
    Bench b = bench_new(1);
    Val w = bench_in(&b, shape_of(2, INT64_C(3), INT64_C(20)), false, -1, 1);
    Val x = bench_in(&b, shape_of(1, INT64_C(20)), true, -1, 1);
    Val bias = bench_in(&b, shape_of(1, INT64_C(3)), false, -1, 1), wrt[3] = {w, x, bias}, grad[3];
    Val y = square_sum(&b, graph_matmul(b.g, w, x, bias));
    assert_true(pass_grad(b.g, y, 0, wrt, 3, grad, NULL));
    assert_int_equal(graph_node(b.g, grad[0])->op, G_BATCH_OUTER);
    assert_int_equal(graph_node(b.g, grad[1])->op, G_MATMUL);
    assert_int_equal(graph_node(b.g, grad[2])->op, G_BATCH_SUM);
    bench_free(&b);
}

/* The bias of places: one BATCH_SUM over its repetition too. */
static void repeated_bias_is_one_sum(void **state) {
    (void)state;
    Bench b = bench_new(1);
    Val x = bench_in(&b, shape_of(2, INT64_C(3), INT64_C(4)), true, -1, 1);
    Val p = bench_in(&b, shape_of(1, INT64_C(3)), false, -1, 1);
    Val grad, y = square_sum(&b, graph_2(b.g, G_ADD, x, p));
    assert_true(pass_grad(b.g, y, 0, &p, 1, &grad, NULL));
    assert_int_equal(graph_node(b.g, grad)->op, G_BATCH_SUM);
    assert_int_equal(graph_attr(b.g, grad)->axes, 2);
    bench_free(&b);
}

typedef struct StopCase { const char *message; bool stops; } StopCase;

static void expect_stop(Bench *b, Val y, const Val *wrt, int n, const char *message) {
    Diags diags;
    Val grad[4];
    diags_init(&diags, b->arena, sources_new(b->arena));
    assert_int_equal(pass_grad(b->g, y, 0, wrt, n, grad, &diags), message == NULL);
    assert_int_equal(diags.list.len, message != NULL);
    if (!message) return;
    assert_int_equal(diags.list.at[0]->code, D_E0501);
    assert_int_equal(diags.list.at[0]->span.lo, 7);
    assert_string_equal(diags.list.at[0]->message, message);
}

static void stops(void **state) {
    (void)state;
    Bench b = bench_new(1);
    Val x = bench_in(&b, shape_of(1, INT64_C(3)), true, -1, 1), p = bench_in(&b, shape_of(1, INT64_C(3)), false, -1, 1);
    Val wrt[2] = {x, p};
    graph_at(b.g, (Span){7, 9});
    Val floor_x = graph_1(b.g, G_FLOOR, x), sum_p = graph_2(b.g, G_MUL, p, floor_x);
    Val arg = graph_1(b.g, G_ARGMAX, x), cast = graph_cast(b.g, arg, DT_F64);
    Val below = graph_cast(b.g, graph_2(b.g, G_LT, x, p), DT_F64);
    Val rounded = graph_cast(b.g, graph_cast(b.g, x, DT_I32), DT_F64);
    Val picked = graph_add(b.g, G_PICK, (Val[]){x, arg}, 2, NULL, NULL, (Span){7, 9});
    expect_stop(&b, weighed(&b, floor_x), wrt, 2, "floor has no useful derivative here");
    expect_stop(&b, weighed(&b, graph_1(b.g, G_CEIL, x)), wrt, 2, "ceil has no useful derivative here");
    expect_stop(&b, weighed(&b, graph_1(b.g, G_ROUND, x)), wrt, 2, "round has no useful derivative here");
    expect_stop(&b, weighed(&b, graph_2(b.g, G_MOD, x, p)), wrt, 2,
        "the second argument of mod has no useful derivative here");
    expect_stop(&b, weighed(&b, graph_2(b.g, G_MOD, x, p)), wrt, 1, NULL);
    expect_stop(&b, weighed(&b, sum_p), wrt + 1, 1, NULL);
    expect_stop(&b, weighed(&b, sum_p), wrt, 1, "floor has no useful derivative here");
    expect_stop(&b, cast, wrt, 1, "argmax has no useful derivative here");
    expect_stop(&b, weighed(&b, rounded), wrt, 1, "rounding to an int has no useful derivative here");
    expect_stop(&b, weighed(&b, below), wrt, 2, NULL);
    expect_stop(&b, picked, wrt, 1, NULL);
    Graph *body = graph_new(b.arena);
    graph_at(body, (Span){7, 9});
    graph_output(body, OUT_MAPPED, 0, "", graph_1(body, G_FLOOR, body_in(body, IN_MAPPED, 0, SHAPE0)));
    expect_stop(&b, weighed(&b, graph_proj(b.g, map_of(&b, body, &x, 1, 1), 0)), wrt, 1,
                "floor has no useful derivative here");
    bench_free(&b);
}

static void casts(void **state) {
    (void)state;
    Bench b = bench_new(1);
    Val x = bench_in(&b, SHAPE0, true, -1, 1), grad;
    Val narrow = graph_cast(b.g, x, DT_F32), y = graph_2(b.g, G_MUL, narrow, narrow);
    assert_true(pass_grad(b.g, y, 0, &x, 1, &grad, NULL));
    assert_int_equal(graph_node(b.g, grad)->dtype, DT_F64);
    assert_int_equal(graph_node(b.g, grad)->op, G_CAST);
    bench_free(&b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unary_ops), cmocka_unit_test(binary_ops), cmocka_unit_test(selects), cmocka_unit_test(powers),
        cmocka_unit_test(moves), cmocka_unit_test(reductions), cmocka_unit_test(products_with_zeros),
        cmocka_unit_test(ties_share), cmocka_unit_test(batch_sums), cmocka_unit_test(same_adjoint),
        cmocka_unit_test(picks), cmocka_unit_test(tables), cmocka_unit_test(blocks), cmocka_unit_test(matmuls),
        cmocka_unit_test(outers), cmocka_unit_test(convolutions),
        cmocka_unit_test(conv_weights), cmocka_unit_test(cells),
        cmocka_unit_test(inner_nets), cmocka_unit_test(cell_parameters), cmocka_unit_test(seeds_and_zeros),
        cmocka_unit_test(weight_gradient_is_one_outer), cmocka_unit_test(repeated_bias_is_one_sum),
        cmocka_unit_test(stops), cmocka_unit_test(casts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
