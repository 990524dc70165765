/* test_zeros.c -- products of cells leave out terms that are 0, points are sorted for that (kernel/map_zeros.c,
 * map_near.c): no bit may depend on it, whatever the weights, arguments and adjoints are. */
#include "lower_case.h"

enum Odd { PLAIN, INFINITE_WEIGHT, TINY, NAN_ARGUMENTS, EQUAL_ARGUMENTS, ODD_COUNT };

typedef struct Cells {
    enum Odd odd;
    DType dtype;
    int arguments;
    int64_t hidden, units, places;
    int examples;
    bool slots;                            /* the arguments are no batch */
} Cells;

static Val everywhere(Case *c, double x, Val like) {
    return graph_broadcast(c->g, real_const(c, x), graph_type(c->g, like).shape);
}

/* y where x is below `bound`, else x. */
static Val below(Case *c, Val x, double bound, double y) {
    Val in[] = {graph_2(c->g, G_LT, x, everywhere(c, bound, x)), everywhere(c, y, x), x};
    return graph_add(c->g, G_SELECT, in, 3, NULL, NULL, (Span){0});
}

static Val times(Case *c, Val x, double by) { return graph_2(c->g, G_MUL, x, everywhere(c, by, x)); }

static void odd_operands(Case *c, const Cells *s, Val *in) {
    bool f64 = c->real == DT_F64;
    for (int k = 0; k < s->arguments; k++) {
        if (s->odd == NAN_ARGUMENTS) in[k] = below(c, below(c, in[k], -0.9, k ? NAN : -INFINITY), -0.8, INFINITY);
        if (s->odd == EQUAL_ARGUMENTS) in[k] = times(c, in[k], 0);
        if (s->odd == TINY) in[k] = times(c, in[k], f64 ? 1e-200 : 1e-22);
    }
    Val *w = in + s->arguments;
    if (s->odd == INFINITE_WEIGHT) w[2] = below(c, w[2], -0.99, -INFINITY);
    for (int k = 0; k < 6 && s->odd == TINY; k++) w[k] = times(c, w[k], f64 ? 1e-121 : k == 2 ? 1e-20 : 1e-3);
}

static void check_cells(const Cells *s, bool backward, bool sums) {
    Case c = case_new(s->dtype);
    int n = s->arguments;
    Shape shape = s->places ? shape_of(2, s->units, s->places) : shape_of(1, s->units);
    Val in[10], dy, grad[10];
    for (int k = 0; k < n; k++) in[k] = s->slots ? case_slot(&c, c.real, shape) : case_row(&c, c.real, shape, 0);
    case_inner_slots(&c, n, s->hidden, in + n);
    odd_operands(&c, s, in);
    Val y = graph_proj(c.g, case_map(&c, case_inner_body(&c, n, s->hidden), in, n + 6, n), 0);
    c.quick = s->examples * s->units > 2000 || s->hidden > 100;
    c.no_c = s->odd > INFINITE_WEIGHT;
    if (backward) {
        dy = s->slots ? case_slot(&c, c.real, shape) : case_row(&c, c.real, shape, 0);
        if (s->odd == TINY) dy = times(&c, dy, c.real == DT_F64 ? 1e-60 : 1e-15);
        assert_true(pass_grad(c.g, y, dy, in, sums ? n + 6 : n, grad, NULL));
        for (int k = 0; k < n; k++) case_show(&c, grad[k]);
        if (sums) case_show(&c, grad[n + 2]);
    }
    case_show(&c, y);
    case_check(&c, s->examples, s->examples, false);
    arena_free(c.arena);
}

/* Rows of a batch: points are sorted, but for few. */
static void sorted(void **state) {
    (void)state;
    for (int odd = 0; odd < ODD_COUNT; odd++)
        check_cells(&(Cells){(enum Odd)odd, odd == 1 ? DT_F64 : DT_F32, 2, 32, 13, 0, 37, false}, true, false);
    check_cells(&(Cells){PLAIN, DT_F32, 1, 48, 9, 0, 33, false}, true, false);
    check_cells(&(Cells){PLAIN, DT_F32, 3, 80, 3, 4, 33, false}, true, false);
    check_cells(&(Cells){PLAIN, DT_F32, 4, 16, 8, 0, 33, false}, false, false);
    check_cells(&(Cells){PLAIN, DT_F32, 2, 272, 8, 0, 33, false}, true, false);
    check_cells(&(Cells){PLAIN, DT_F32, 2, 16, 140, 0, 33, false}, true, false);
    check_cells(&(Cells){PLAIN, DT_F32, 2, 16, 50, 0, 33, false}, true, true);
    check_cells(&(Cells){NAN_ARGUMENTS, DT_F32, 3, 32, 5, 3, 33, false}, true, true);
    check_cells(&(Cells){TINY, DT_F64, 2, 64, 1, 7, 33, false}, true, true);
}

/* Points that are no batch, in order. */
static void nodes(void **state) {
    (void)state;
    for (int odd = 0; odd < ODD_COUNT; odd++)
        check_cells(&(Cells){(enum Odd)odd, odd == 2 ? DT_F64 : DT_F32, 2, 32, 41, 26, 1, true}, true, odd % 2);
    check_cells(&(Cells){PLAIN, DT_F32, 1, 80, 1040, 0, 1, true}, false, false);
}

/* The gradients of parameters alone, from points that are no batch, and near: sums in stripes (map_stripes.c). */
static void check_stripes(const Cells *s) {
    Case c = case_new(s->dtype);
    int n = s->arguments;
    Shape shape = shape_of(1, s->units);
    Val in[10], dy, grad[6];
    Val ramp = graph_add(c.g, G_IOTA, NULL, 0, NULL, &(NodeType){DT_I32, shape, false}, (Span){0});
    ramp = times(&c, graph_cast(c.g, ramp, c.real), 2.0 / (double)s->units);
    ramp = graph_2(c.g, G_SUB, ramp, everywhere(&c, 1, ramp));
    for (int k = 0; k < n; k++) in[k] = graph_2(c.g, G_ADD, ramp, times(&c, case_slot(&c, c.real, shape), 0.1));
    case_inner_slots(&c, n, s->hidden, in + n);
    dy = case_slot(&c, c.real, shape);
    if (s->odd != TINY) odd_operands(&c, s, in);
    for (int k = 0; k < 4 && s->odd == TINY; k++)
        if (k != 2) in[n + k] = times(&c, in[n + k], c.real == DT_F64 ? 1e-250 : 1e-24);
    if (s->odd == TINY) dy = times(&c, dy, c.real == DT_F64 ? 1e-100 : 1e-25);
    Val y = graph_proj(c.g, case_map(&c, case_inner_body(&c, n, s->hidden), in, n + 6, n), 0);
    assert_true(pass_grad(c.g, y, dy, in + n, 6, grad, NULL));
    for (int k = 0; k < 6; k++) case_show(&c, grad[k]);
    c.quick = s->hidden > 32;
    c.no_c = s->odd > INFINITE_WEIGHT;
    case_check(&c, 1, 1, false);
    arena_free(c.arena);
}

/* Terms that are 0 are left out, unless a chain would end as -0 (products of what is tiny underflow) or a factor is not
 * finite. */
static void stripes(void **state) {
    (void)state;
    for (int odd = 0; odd < ODD_COUNT; odd++) {
        check_stripes(&(Cells){(enum Odd)odd, DT_F32, 2, odd == TINY ? 32 : 48, 1070, 0, 1, true});
        check_stripes(&(Cells){(enum Odd)odd, DT_F64, 1, 32, 1082, 0, 1, true});
    }
    check_stripes(&(Cells){PLAIN, DT_F32, 2, 112, 1025, 0, 1, true});
}

/* Threads share the points that take part, and keep what is summed: neither writes into the other's. */
static void shares(void **state) {
    (void)state;
    for (int k = 0; k < 4; k++) {
        Case c = case_new(DT_F32);
        Shape shape = shape_of(1, (int64_t[]){8201, 12001, 8201, 8208}[k]);
        Val in[8], dy, grad[8];
        int first = k == 1 ? 2 : k == 3 ? 0 : 3, count = k == 2 ? 2 : 1;
        for (int i = 0; i < 2; i++) in[i] = case_slot(&c, c.real, shape);
        case_inner_slots(&c, 2, 32, in + 2);
        Val y = graph_proj(c.g, case_map(&c, case_inner_body(&c, 2, 32), in, 8, 2), 0);
        dy = case_slot(&c, c.real, shape);
        dy = graph_2(c.g, G_MAX, everywhere(&c, 0, dy), dy);
        assert_true(pass_grad(c.g, y, dy, in + first, count, grad, NULL));
        for (int i = 0; i < count; i++) case_show(&c, grad[i]);
        c.quick = true;
        for (int again = 0; again < 3; again++) case_check(&c, 1, 1, false);
        arena_free(c.arena);
    }
}

/* Which features of a product behind a relu are +0 rather than -0, where terms underflow: 1 / z tells them apart. */
static Graph *signs_body(Case *c, int64_t h) {
    Graph *b = graph_new(c->arena);
    NodeType scalar = {c->real, SHAPE0, false};
    Shape all = shape_of(1, h);
    Val x = graph_input(b, IN_MAPPED, 0, "x", scalar), w[3];
    w[0] = graph_input(b, IN_SHARED, 0, "v", (NodeType){c->real, all, false});
    w[1] = graph_input(b, IN_SHARED, 1, "w", (NodeType){c->real, shape_of(2, h, h), false});
    w[2] = graph_input(b, IN_SHARED, 2, "u", (NodeType){c->real, shape_of(2, (int64_t)1, h), false});
    Val zero = graph_broadcast(b, graph_const(b, c->real, 0), all), one = graph_const(b, c->real, 1);
    Val relu = graph_2(b, G_MAX, zero, graph_2(b, G_MUL, w[0], graph_broadcast(b, x, all)));
    Val over = graph_2(b, G_DIV, graph_broadcast(b, one, all), graph_matmul(b, w[1], relu, 0));
    Val in[] = {graph_2(b, G_LT, zero, over), graph_broadcast(b, one, all), zero};
    Val positive = graph_add(b, G_SELECT, in, 3, NULL, NULL, (Span){0});
    graph_output(b, OUT_MAPPED, 0, "n", graph_reshape(b, graph_matmul(b, w[2], positive, 0), SHAPE0));
    return b;
}

static void signs(void **state) {
    (void)state;
    for (int slots = 0; slots < 2; slots++) {
        Case c = case_new(DT_F32);
        int64_t h = 32;
        Shape shape = shape_of(1, (int64_t)(slots ? 1040 : 16));
        Val x = slots ? case_slot(&c, c.real, shape) : case_row(&c, c.real, shape, 0);
        Val v = case_slot(&c, c.real, shape_of(1, h)), w = case_slot(&c, c.real, shape_of(2, h, h));
        Val in[] = {x, v, times(&c, w, 2e-45), case_slot(&c, c.real, shape_of(2, (int64_t)1, h))};
        case_show(&c, graph_proj(c.g, case_map(&c, signs_body(&c, h), in, 4, 1), 0));
        case_check(&c, slots ? 1 : 33, slots ? 1 : 33, false);
        arena_free(c.arena);
    }
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(signs), cmocka_unit_test(shares), cmocka_unit_test(sorted), cmocka_unit_test(nodes),
        cmocka_unit_test(stripes),
    };
    if (argc > 1) cmocka_set_test_filter(argv[1]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
