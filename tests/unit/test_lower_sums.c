/* test_lower_sums.c -- lowered convolutions with their gradients, long sums over the batch and adjoints of grids give
 * the interpreter's bits: tails of every kind, each way to a gradient of weights.  The rest of lowering is
 * test_lower.c's. */
#include "lower_case.h"

typedef struct Sizes {
    int64_t features, outs, groups, h, w, k, stride, pad, batch;
    int64_t dilation;                      /* 0: 1 */
    bool reversed, f64;
} Sizes;

/* A convolution with a bias, and its gradients for both and the input. */
static void check_conv(const Sizes *s, bool quick, bool cut) {
    Case c = case_new(s->f64 ? DT_F64 : DT_F32);
    c.quick = quick;
    c.no_c = true;
    int32_t stride = (int32_t)s->stride, pad = (int32_t)s->pad, d = s->dilation ? (int32_t)s->dilation : 1;
    Window window = {(int32_t)s->groups, s->reversed, {stride, stride}, {pad, pad}, {d, d}};
    int64_t across = s->k < s->w + 2 * pad ? s->k : 1;
    int64_t places[2] = {((s->h - 1) * d + 1 + 2 * pad - s->k) / stride + 1,
                         ((s->w - 1) * d + 1 + 2 * pad - across) / stride + 1};
    Val x = case_row(&c, c.real, shape_of(3, s->features, s->h, s->w), 0), wrt[3], grad[3];
    wrt[0] = case_slot(&c, c.real, shape_of(4, s->outs, s->features / s->groups, s->k, across));
    wrt[1] = case_slot(&c, c.real, shape_of(1, s->outs));
    wrt[2] = x;
    Val z = graph_conv(c.g, wrt[0], x, wrt[1], &window, places);
    Val loss = graph_reduce(c.g, G_BATCH_SUM, graph_reduce(c.g, G_SUM, graph_2(c.g, G_MUL, z, z), 7), 0);
    assert_true(pass_grad(c.g, loss, 0, wrt, 3, grad, NULL));
    case_show(&c, z);
    for (int k = 0; k < 3; k++) case_show(&c, grad[k]);
    case_check(&c, s->batch, s->batch == 40 ? 20 : s->batch, cut);
    arena_free(c.arena);
}

/* Tails of every kind: features, output features, rows of tiles, blocks, shards; padding, stride, groups; few
 * input features, gradients of weights in pieces of examples and of places. */
static void conv_tiles(void **state) {
    (void)state;
    static const Sizes all[] = {
        {17, 50, 1, 4, 5, 2, 1, 0, 37}, {3, 26, 1, 5, 4, 3, 2, 1, 33}, {36, 70, 2, 3, 3, 3, 1, 1, 16},
        {16, 16, 1, 3, 2, 1, 1, 0, 40, .f64 = true}, {5, 33, 1, 6, 1, 3, 1, 2, 8}, {4, 8, 4, 4, 4, 2, 2, 0, 50},
        {2, 35, 1, 7, 8, 3, 1, 0, 40},  {8, 48, 1, 15, 15, 3, 1, 1, 20},
        {6, 20, 2, 5, 21, 3, 1, 0, 37}, {1, 9, 1, 11, 12, 5, 2, 0, 17},
    };
    for (int i = 0; i < COUNT(all); i++) check_conv(&all[i], i > 1, i == 2);
}

/* 256 places or more: each example is a chain by itself, for few weights in lanes (conv_chains.c), dilated weight by
 * weight, for many weights only the sum of dy. */
static void conv_chains(void **state) {
    (void)state;
    static const Sizes all[] = {
        {3, 10, 1, 18, 18, 3, 1, 0, 37}, {2, 9, 1, 20, 17, 3, 1, 1, 33}, {4, 6, 2, 34, 34, 3, 2, 1, 20},
        {1, 17, 1, 9, 90, 4, 1, 2, 17, .f64 = true}, {1, 5, 1, 300, 1, 7, 1, 3, 16},
        {2, 5, 1, 18, 19, 2, 1, 0, 18, .reversed = true}, {2, 3, 1, 12, 12, 3, 1, 0, 5, .dilation = 2},
        {8, 40, 1, 16, 17, 3, 1, 1, 18}, {63, 4, 1, 16, 16, 1, 1, 0, 9}, {1, 3, 1, 17, 2, 5, 1, 8, 33},
    };
    for (int i = 0; i < COUNT(all); i++) check_conv(&all[i], i > 1, i == 2);
}

/* A convolution of what a mean over the batch is taken from, so that x comes later than dy: the sum of dy, for the
 * bias, is not the weights' to give. */
static void conv_of_later(void **state) {
    (void)state;
    for (int k = 0; k < 2; k++) {                                        /* places: 16, 256 */
        Case c = case_new(DT_F32);
        int64_t side = k ? 18 : 6, result = side - 2;
        c.quick = k > 0;
        c.no_c = true;
        Shape image = shape_of(3, (int64_t)2, side, side), shape = shape_of(3, (int64_t)5, result, result);
        Val x = case_row(&c, c.real, image, 0), target = case_row(&c, c.real, shape, 0), wrt[2], grad[2];
        Val sum = graph_2(c.g, G_MUL, graph_reduce(c.g, G_BATCH_SUM, x, 0), case_slot(&c, c.real, image));
        wrt[0] = case_slot(&c, c.real, shape_of(4, (int64_t)5, (int64_t)2, (int64_t)3, (int64_t)3));
        wrt[1] = case_slot(&c, c.real, shape_of(1, (int64_t)5));
        Window window = {.groups = 1, .stride = {1, 1}, .dilation = {1, 1}};
        Val z = graph_conv(c.g, wrt[0], graph_2(c.g, G_SUB, x, sum), wrt[1], &window, (int64_t[]){result, result});
        Val loss = graph_reduce(c.g, G_SUM, graph_2(c.g, G_MUL, z, target), 7);
        assert_true(pass_grad(c.g, graph_reduce(c.g, G_BATCH_SUM, loss, 0), 0, wrt, 2, grad, NULL));
        for (int i = 0; i < 2; i++) case_show(&c, grad[i]);
        case_check(&c, 40, 20, false);
        arena_free(c.arena);
    }
}

/* Sums over the batch of 256 elements of an example and of fewer, of all its axes and of some. */
static void long_sums(void **state) {
    (void)state;
    static const DType types[] = {DT_F32, DT_F64, DT_I32};
    for (int i = 0; i < COUNT(types); i++) {
        Case c = case_new(types[i] == DT_F64 ? DT_F64 : DT_F32);
        c.quick = i > 0;
        Val x = case_row(&c, types[i], shape_of(3, (int64_t)5, (int64_t)17, (int64_t)16), types[i] == DT_I32 ? 9 : 0);
        for (uint32_t axes = 1; axes < 8; axes++) case_show(&c, graph_reduce(c.g, G_BATCH_SUM, x, axes));
        case_check(&c, 70, 37, i == 0);
        arena_free(c.arena);
    }
}

/* The adjoint of a grid: more points of an example than are added at a time, all of them and those of few units. */
static void long_rows(void **state) {
    (void)state;
    for (int args = 1; args <= 3; args++) {
        Case c = case_new(args == 1 ? DT_F64 : DT_F32);
        c.quick = args != 2;
        c.no_c = args == 3;
        Shape shape = args == 2 ? shape_of(2, (int64_t)70, (int64_t)5) : shape_of(1, (int64_t)(args == 1 ? 140 : 256));
        Shape box = shape_of(1, (int64_t)args);
        NodeType like = {c.real, {args, {9, 7, 5}}, false};
        Val lo = graph_broadcast(c.g, graph_const(c.g, c.real, -0.75), box);
        Val scale = graph_broadcast(c.g, graph_const(c.g, c.real, 3.3), box), in[6] = {0, lo, scale};
        for (int k = 0; k < args; k++) in[3 + k] = case_row(&c, c.real, shape, 0);
        Val zero = graph_broadcast(c.g, graph_const(c.g, c.real, 0), shape), dy = graph_2(c.g, G_MUL, in[3], in[3]);
        for (int some = 0; some < 2; some++) {
            in[0] = some ? graph_2(c.g, G_MAX, zero, in[3]) : dy;
            case_show(&c, graph_add(c.g, G_BATCH_INTERPOLATE, in, 3 + args, &(Attr){0}, &like, (Span){0}));
        }
        case_check(&c, 37, 37, false);
        arena_free(c.arena);
    }
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(conv_tiles), cmocka_unit_test(conv_chains), cmocka_unit_test(conv_of_later),
        cmocka_unit_test(long_sums), cmocka_unit_test(long_rows),
    };
    if (argc > 1) cmocka_set_test_filter(argv[1]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
