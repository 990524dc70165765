/* test_scan.c -- SCANs: a loop and the same loop written out have the same bits, values and gradients, after training
 * steps too; every way of compiling gives the interpreter's; gradients agree with central differences. */
#include "graph/scan.h"
#include "lower_case.h"

enum { D = 5, H = 6 };

/* What a turn begins with and leaves, by the number of the loop. */
typedef struct Loop {
    Case *c;
    Val w[16];                             /* parameters */
    Val carry[3], x[2], y[2];              /* carries, parts; what is stacked */
    int carries, parts, stacks;
    const Graph *cell;
} Loop;

typedef struct Net {
    const char *name;
    int64_t turns;
    bool back;                             /* parts and results from the last turn to the first */
    void (*begin)(Loop *l, int64_t turns, Val *parts);     /* parameters, starts, what is sliced: [turns, ...] */
    void (*turn)(Loop *l);
    bool exact;                            /* its gradients have the bits of the loop written out */
} Net;

static Val part_of(Graph *g, Val of, int64_t t) {
    Shape shape = graph_node(g, of)->shape;
    shape.dim[0] = 1;
    return graph_reshape(g, graph_slice(g, of, (int64_t[]){t, 0, 0, 0, 0, 0}, shape), scan_part(g, of).shape);
}

static void write_out(Loop *l, const Net *net, const Val *parts, Val *stack) {
    Val at[2][64];
    for (int64_t t = 0; t < net->turns; t++) {
        int64_t place = net->back ? net->turns - 1 - t : t;
        for (int i = 0; i < l->parts; i++) l->x[i] = part_of(l->c->g, parts[i], place);
        net->turn(l);
        for (int i = 0; i < l->stacks; i++) at[i][place] = l->y[i];
    }
    for (int i = 0; i < l->stacks; i++) {
        Shape row = graph_node(l->c->g, at[i][0])->shape;
        memmove(row.dim + 1, row.dim, sizeof *row.dim * (size_t)row.rank++);
        row.dim[0] = 1;
        for (int64_t t = 0; t < net->turns; t++) at[i][t] = graph_reshape(l->c->g, at[i][t], row);
        stack[i] = graph_add(l->c->g, G_CONCAT, at[i], (int)net->turns, NULL, NULL, (Span){0});
    }
}

static void scan(Loop *l, const Net *net, const Val *parts, Val *stack, bool keep) {
    Graph *g = l->c->g;
    ScanDraft d = {.turns = net->turns};
    Val holes[3];
    for (int k = 0; k < l->carries; k++) {
        ScanCarry carry = {scan_hole(g, graph_type(g, l->carry[k])), l->carry[k], 0};
        vec_push(l->c->arena, &d.carry, carry);
        l->carry[k] = holes[k] = carry.hole;
    }
    for (int i = 0; i < l->parts; i++) {
        ScanSlice slice = {scan_hole(g, scan_part(g, parts[i])), parts[i], net->back};
        vec_push(l->c->arena, &d.slice, slice);
        l->x[i] = slice.hole;
    }
    net->turn(l);
    for (int k = 0; k < l->carries; k++) d.carry.at[k].next = l->carry[k];
    for (int i = 0; i < l->stacks; i++) vec_push(l->c->arena, &d.stack, ((ScanStack){l->y[i], net->back}));
    for (int k = 0; k < l->carries && keep; k++) vec_push(l->c->arena, &d.stack, ((ScanStack){holes[k], false}));
    Val made = scan_make(g, &d);
    assert_true(made != 0);
    for (int k = 0; k < l->carries; k++) l->carry[k] = graph_proj(g, made, k);
    for (int i = 0; i < l->stacks; i++) stack[i] = graph_proj(g, made, l->carries + i);
}

/* ---- nets ---- */

static Val zeros(Case *c, Shape shape, bool batched) {
    NodeType type = {c->real, shape, batched};
    Val zero = real_const(c, 0);
    return graph_add(c->g, G_BROADCAST, &zero, 1, NULL, &type, (Span){0});
}

static Val param(Loop *l, int k, Shape shape) { return l->w[k] = case_slot(l->c, l->c->real, shape); }

static Val quarter(Graph *g, Val z, int64_t k) {
    return graph_slice(g, z, (int64_t[]){k * H}, shape_of(1, (int64_t)H));
}

static void sequence(Loop *l, int64_t turns, Val *parts) {
    Val x = case_row(l->c, l->c->real, shape_of(2, (int64_t)D, turns), 0);
    parts[0] = graph_transpose(l->c->g, x, (int[]){1, 0});
    l->parts = 1;
}

/* An LSTM whose gates are a learned cell of two arguments, used three times in a turn. */
static void lstm_begin(Loop *l, int64_t turns, Val *parts) {
    sequence(l, turns, parts);
    param(l, 0, shape_of(2, (int64_t)4 * H, (int64_t)D));
    param(l, 1, shape_of(1, (int64_t)4 * H));
    param(l, 2, shape_of(2, (int64_t)4 * H, (int64_t)H));
    case_inner_slots(l->c, 2, 4, l->w + 3);
    l->cell = case_inner_body(l->c, 2, 4);
    l->carry[0] = l->carry[1] = zeros(l->c, shape_of(1, (int64_t)H), true);
    l->carries = 2;
    l->stacks = 1;
}

static Val gate(Loop *l, Val a, Val b) {
    Val in[8] = {a, b};
    for (int k = 0; k < 6; k++) in[2 + k] = l->w[3 + k];
    return graph_proj(l->c->g, case_map(l->c, l->cell, in, 8, 2), 0);
}

static void lstm_turn(Loop *l) {
    Graph *g = l->c->g;
    Val z = graph_2(g, G_ADD, graph_matmul(g, l->w[0], l->x[0], l->w[1]), graph_matmul(g, l->w[2], l->carry[1], 0));
    Val f = graph_1(g, G_TANH, quarter(g, z, 0)), i = graph_1(g, G_TANH, quarter(g, z, 1));
    Val s = graph_2(g, G_ADD, gate(l, f, l->carry[0]), gate(l, i, graph_1(g, G_TANH, quarter(g, z, 2))));
    l->carry[0] = s;
    l->carry[1] = l->y[0] = gate(l, graph_1(g, G_TANH, quarter(g, z, 3)), graph_1(g, G_TANH, s));
}

/* A gated unit: the carry is used often in a turn; from the end of the sequence; a shift register beside it. */
static void gru_begin(Loop *l, int64_t turns, Val *parts) {
    sequence(l, turns, parts);
    param(l, 0, shape_of(2, (int64_t)H, (int64_t)D));
    param(l, 1, shape_of(2, (int64_t)H, (int64_t)H));
    param(l, 2, shape_of(2, (int64_t)H, (int64_t)H));
    param(l, 3, SHAPE0);
    l->carry[0] = l->carry[1] = l->carry[2] = zeros(l->c, shape_of(1, (int64_t)H), true);
    l->carries = 3;
    l->stacks = 2;
}

static void gru_turn(Loop *l) {
    Graph *g = l->c->g;
    Val h = l->carry[0], u = graph_matmul(g, l->w[0], l->x[0], 0);
    Val r = graph_1(g, G_TANH, graph_2(g, G_ADD, u, graph_matmul(g, l->w[1], h, 0)));
    Val n = graph_1(g, G_TANH, graph_2(g, G_ADD, u, graph_matmul(g, l->w[2], graph_2(g, G_MUL, r, h), 0)));
    Val older = graph_2(g, G_MUL, graph_2(g, G_MUL, n, l->w[3]), l->carry[2]);
    Val next = graph_2(g, G_ADD, graph_2(g, G_MUL, r, h), older);
    l->carry[2] = l->carry[1];
    l->carry[1] = n;
    l->carry[0] = graph_2(g, G_ADD, next, graph_2(g, G_MUL, l->w[3], n));
    l->y[0] = graph_2(g, G_MUL, l->carry[0], l->carry[2]);
    l->y[1] = n;
}

/* Tokens of an embedding, a learned start, a part of the batch in every turn. */
static void tokens_begin(Loop *l, int64_t turns, Val *parts) {
    parts[0] = case_row(l->c, DT_I32, shape_of(1, turns), 7);
    l->parts = 1;
    param(l, 0, shape_of(2, (int64_t)7, (int64_t)H));
    param(l, 1, shape_of(2, (int64_t)H, (int64_t)H));
    l->w[3] = case_row(l->c, l->c->real, shape_of(1, (int64_t)H), 0);
    Val start = param(l, 2, shape_of(1, (int64_t)H));
    NodeType type = {l->c->real, shape_of(1, (int64_t)H), true};
    l->carry[0] = graph_add(l->c->g, G_BROADCAST, &start, 1, NULL, &type, (Span){0});
    l->carries = 1;
    l->stacks = 1;
}

static void tokens_turn(Loop *l) {
    Graph *g = l->c->g;
    Val e = graph_add(g, G_EMBED, (Val[]){l->w[0], l->x[0]}, 2, NULL, NULL, (Span){0});
    Val h = graph_2(g, G_ADD, graph_matmul(g, l->w[1], l->carry[0], 0), graph_2(g, G_MUL, e, l->w[3]));
    l->carry[0] = l->y[0] = graph_1(g, G_TANH, h);
}

/* Nothing is batched but what comes after. */
static void power_begin(Loop *l, int64_t turns, Val *parts) {
    l->parts = 1;
    param(l, 0, shape_of(2, (int64_t)H, (int64_t)H));
    parts[0] = param(l, 1, shape_of(2, turns, (int64_t)H));
    l->carry[0] = param(l, 2, shape_of(1, (int64_t)H));
    l->carries = 1;
    l->stacks = 1;
}

static void power_turn(Loop *l) {
    Graph *g = l->c->g;
    Val v = graph_matmul(g, l->w[0], graph_2(g, G_ADD, l->carry[0], l->x[0]), 0);
    l->carry[0] = l->y[0] = graph_1(g, G_TANH, v);
}

static const Net nets[] = {
    {"lstm", 9, false, lstm_begin, lstm_turn, true},
    {"gru", 7, true, gru_begin, gru_turn, true},
    {"tokens", 6, false, tokens_begin, tokens_turn, false},
    {"power", 5, false, power_begin, power_turn, true},
    {"once", 1, false, lstm_begin, lstm_turn, true},
};

/* Trains the net on the squares of what it gives; everything is shown. */
static int build(Case *c, const Net *net, bool loop, bool keep) {
    Loop l = {.c = c};
    Val parts[2], stack[2];
    net->begin(&l, net->turns, parts);
    int params = c->nslots;
    if (loop) scan(&l, net, parts, stack, keep);
    else write_out(&l, net, parts, stack);
    Graph *g = c->g;
    Val all = graph_reshape(g, l.carry[0], shape_of(1, (int64_t)H));
    for (int i = 0; i < l.stacks; i++) {
        Val sum = graph_reduce(g, G_SUM, graph_2(g, G_MUL, stack[i], stack[i]), 1);
        all = graph_2(g, G_ADD, all, sum);
    }
    Val scale = case_row(c, c->real, SHAPE0, 0), y = graph_2(g, G_MUL, all, scale);
    Val target = zeros(c, shape_of(1, (int64_t)H), true), wrt[16];
    for (int k = 0; k < params; k++) {
        int at = 0;
        while (g->inputs.at[at].kind != IN_BLOCK || g->inputs.at[at].index != k) at++;
        wrt[k] = graph_input(g, IN_BLOCK, k, "", (NodeType){c->real, c->slots[k].shape, false});
    }
    case_train(c, case_mse(c, y, target), wrt, params, 0.01);
    case_show(c, y);
    case_show(c, stack[0]);
    return params;
}

static void same_as_written_out(void **state) {
    (void)state;
    for (int k = 0; k < COUNT(nets) * 4; k++) {
        const Net *net = &nets[k / 4];
        Case a = case_new(k & 1 ? DT_F64 : DT_F32), b = case_new(a.real);
        build(&a, net, true, k & 2);
        build(&b, net, false, false);
        const char *wrong = graph_verify(a.g, a.arena);
        if (wrong) fail_msg("%s: %s", net->name, wrong);
        Data da = case_data(&a, 37, 37, false), db = case_data(&b, 37, 37, false);
        Result want = case_run(&b, &db, program_interpret(b.arena, b.g, db.layout), NULL, false);
        Result got = case_run(&a, &da, program_interpret(a.arena, a.g, da.layout), NULL, false);
        Graph *simple = pass_simplify(a.arena, a.g), *flat = pass_simplify(a.arena, graph_unroll(a.arena, a.g));
        assert_null(graph_verify(simple, a.arena));
        assert_false(graph_has_scan(flat));
        Result after = case_run(&a, &da, program_interpret(a.arena, simple, da.layout), NULL, false);
        Result taken = case_run(&a, &da, program_interpret(a.arena, flat, da.layout), NULL, false);
        case_compare(&a, &da, &got, &after, arena_printf(a.arena, "%s, simplified", net->name));
        case_compare(&a, &da, &got, &taken, arena_printf(a.arena, "%s, unrolled", net->name));
        if (net->exact) case_compare(&a, &da, &want, &got, net->name);
        case_data_free(&a, &da);
        case_data_free(&b, &db);
        arena_free(a.arena);
        arena_free(b.arena);
    }
}

static void every_way(void **state) {
    (void)state;
    static const int64_t batches[][2] = {{37, 37}, {70, 32}, {3, 3}};
    for (int k = 0; k < COUNT(nets); k++) {
        for (int b = 0; b < COUNT(batches); b++) {
            Case c = case_new(b == 2 ? DT_F64 : DT_F32);
            build(&c, &nets[k], true, true);
            c.quick = b == 1;
            c.no_c = b != 0;
            case_check(&c, batches[b][0], batches[b][1], b == 1);
            arena_free(c.arena);
        }
    }
}

/* The text form reads back to the same. */
static void text(void **state) {
    (void)state;
    Case c = case_new(DT_F32);
    build(&c, &nets[1], true, true);
    Graph *g = graph_copy(c.arena, c.g);
    Buf once = {0}, twice = {0};
    const char *error = NULL;
    graph_print(g, &once);
    Graph *read = graph_read(c.arena, once.at, &error);
    if (!read) fail_msg("%s", error);
    graph_print(read, &twice);
    assert_string_equal(once.at, twice.at);
    buf_free(&once);
    buf_free(&twice);
    arena_free(c.arena);
}

/* ---- central differences ---- */

typedef struct Numeric { Case c; Graph *alone; Data d; Val loss, grad[16]; int params; } Numeric;

static double total(Numeric *n, const void *const *inputs) {
    const void *out[1];
    Arena *arena = arena_new();
    assert_true(graph_eval(arena, n->alone, n->d.feed.examples, inputs, out, NULL, 0));
    double sum = *(const double *)out[0];
    arena_free(arena);
    return sum;
}

static void differences(void **state) {
    (void)state;
    for (int k = 0; k < COUNT(nets); k++) {
        Numeric n = {.c = case_new(DT_F64)};
        n.params = build(&n.c, &nets[k], true, k & 1);
        Graph *g = n.c.g;
        for (int i = 0; i < g->outputs.len; i++)
            if (g->outputs.at[i].kind == OUT_SERIES) n.loss = g->outputs.at[i].value;
        Val wrt[16];
        for (int p = 0; p < n.params; p++)
            wrt[p] = graph_input(g, IN_BLOCK, p, "", (NodeType){DT_F64, n.c.slots[p].shape, false});
        assert_true(pass_grad(g, n.loss, 0, wrt, n.params, n.grad, NULL));
        n.d = case_data(&n.c, 5, 5, false);
        g->outputs.len = 0;
        for (int p = 0; p < n.params; p++) graph_output(g, OUT_VALUE, p, "", n.grad[p]);
        const void *inputs[256], *grads[16];
        for (int i = 0; i < g->inputs.len; i++) {
            const GraphInput *in = &g->inputs.at[i];
            inputs[i] = in->kind == IN_ROWS ? n.d.feed.rows[in->index]
                      : in->kind == IN_BLOCK ? n.d.block + n.c.slots[in->index].offset : NULL;
        }
        assert_true(graph_eval(n.c.arena, g, 5, inputs, grads, NULL, 0));
        g->outputs.len = 0;
        graph_output(g, OUT_VALUE, 0, "", n.loss);
        n.alone = graph_copy(n.c.arena, g);
        for (int p = 0; p < n.params; p++) {
            double *at = (double *)(n.d.block + n.c.slots[p].offset);
            for (int64_t i = 0; i < shape_size(&n.c.slots[p].shape); i += 5) {
                double x = at[i], h = 1e-5, f[2];
                for (int s = 0; s < 2; s++) at[i] = x + (s ? h : -h), f[s] = total(&n, inputs);
                at[i] = x;
                double want = (f[1] - f[0]) / (2 * h), got = ((const double *)grads[p])[i];
                if (!(fabs(want - got) <= 1e-6 * fmax(1, fabs(want))))
                    fail_msg("%s: parameter %d element %lld: gradient %.12g, difference %.12g", nets[k].name, p,
                             (long long)i, got, want);
            }
        }
        case_data_free(&n.c, &n.d);
        arena_free(n.c.arena);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_as_written_out), cmocka_unit_test(text), cmocka_unit_test(differences),
        cmocka_unit_test(every_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
