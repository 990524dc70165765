/* test_lower.c -- lowered programs give the interpreter's bits: every way of compiling, threads, cuts. */
#include "graph/lookup.h"
#include "lower_case.h"

static void run(Case *c, int64_t examples, int64_t batch, bool ordered) { case_check(c, examples, batch, ordered); }

static void xor_neuron(void **state) {
    (void)state;
    for (int k = 0; k < 2; k++) {
        Case c = case_new(k ? DT_F64 : DT_F32);
        Val x = case_row(&c, c.real, shape_of(1, (int64_t)2), 0), t = case_row(&c, c.real, shape_of(1, (int64_t)1), 0);
        Val w = case_slot(&c, c.real, shape_of(2, (int64_t)1, (int64_t)2)), a = case_slot(&c, c.real, SHAPE0);
        Val y = case_prelu(&c, graph_matmul(c.g, w, x, 0), a), wrt[] = {w, a};
        case_train(&c, case_mse(&c, y, t), wrt, 2, 0.1);
        case_show(&c, y);
        run(&c, 4, 4, false);
        run(&c, 4, 4, true);
        arena_free(c.arena);
    }
}

static void tanh_mlp(void **state) {
    (void)state;
    Case c = case_new(DT_F32);
    Val x = case_row(&c, c.real, shape_of(1, (int64_t)2), 0), t = case_row(&c, c.real, shape_of(1, (int64_t)1), 0);
    Val w1 = case_slot(&c, c.real, shape_of(2, (int64_t)2, (int64_t)2)),
        b1 = case_slot(&c, c.real, shape_of(1, (int64_t)2));
    Val w2 = case_slot(&c, c.real, shape_of(2, (int64_t)1, (int64_t)2)), wrt[] = {w1, b1, w2};
    Val h = graph_1(c.g, G_TANH, graph_matmul(c.g, w1, x, b1));
    Val y = graph_matmul(c.g, w2, h, 0);
    case_train(&c, case_mse(&c, y, t), wrt, 3, 0.05);
    case_show(&c, h);
    run(&c, 4, 4, false);
    run(&c, 3, 3, true);
    arena_free(c.arena);
}

/* ---- every op alone, batched and not ---- */

static const int64_t sizes[] = {1, 3, 17, 130};
static const int64_t batches[][2] = {{1, 1}, {7, 7}, {32, 32}, {33, 33}, {70, 32}};

typedef void (*Show)(Case *c, Val x, Val y, Val k, int which);

static void show_elementwise(Case *c, Val x, Val y, Val k, int which) {
    static const Op one[] = {G_NEG, G_ABS, G_SIGN, G_SQRT, G_EXP, G_LOG, G_SIN, G_COS, G_TANH, G_ERF, G_FLOOR, G_CEIL,
                             G_ROUND};
    static const Op two[] = {G_ADD, G_SUB, G_MUL, G_DIV, G_MOD, G_MAX, G_MIN, G_POW, G_LT, G_LE, G_EQ, G_NE};
    for (int i = which * 4; i < which * 4 + 4 && i < COUNT(one); i++) case_show(c, graph_1(c->g, one[i], x));
    for (int i = which * 3; i < which * 3 + 3 && i < COUNT(two); i++) case_show(c, graph_2(c->g, two[i], x, y));
    Val j = graph_2(c->g, G_SUB, k, graph_int(c->g, 1));
    if (which == 0) case_show(c, graph_2(c->g, G_POWI, x, j));
    Val less = graph_2(c->g, G_LT, x, y), equal = graph_2(c->g, G_EQ, k, j);
    if (which == 1) case_show(c, graph_3(c->g, G_SELECT, graph_2(c->g, G_AND, graph_1(c->g, G_NOT, less), less), x, y));
    if (which == 2) case_show(c, graph_2(c->g, G_NE, less, graph_2(c->g, G_OR, equal, less)));
    if (which == 3) case_show(c, graph_cast(c->g, graph_2(c->g, G_MUL, x, real_const(c, 100)), DT_I32));
}

static void show_integers(Case *c, Val x, Val y, Val k, int which) {
    (void)which;
    Val j = graph_cast(c->g, graph_2(c->g, G_MUL, x, real_const(c, 5)), DT_I32),
        i = graph_2(c->g, G_SUB, k, graph_int(c->g, 2));
    case_show(c, graph_2(c->g, G_MOD, j, i));
    case_show(c, graph_2(c->g, G_MAX, j, i));
    case_show(c, graph_1(c->g, G_SIGN, j));
    case_show(c, graph_1(c->g, G_ABS, graph_2(c->g, G_MUL, j, i)));
    case_show(c, graph_cast(c->g, graph_cast(c->g, graph_2(c->g, G_LE, j, i), c->real), DT_BOOL));
    case_show(c, graph_cast(c->g, graph_2(c->g, G_MIN, graph_1(c->g, G_NEG, j), i), c->real));
    case_show(c, graph_cast(c->g, graph_cast(c->g, y, c->real == DT_F32 ? DT_F64 : DT_F32), c->real));
}

static void show_reduces(Case *c, Val x, Val y, Val k, int which) {
    (void)which;
    uint32_t all = (1u << graph_type(c->g, x).shape.rank) - 1;
    case_show(c, graph_reduce(c->g, G_SUM, x, all));
    case_show(c, graph_reduce(c->g, G_SUM, graph_2(c->g, G_MUL, x, y), 1));
    case_show(c, graph_reduce(c->g, G_MAXIMUM, x, 1));
    case_show(c, graph_reduce(c->g, G_MINIMUM, graph_1(c->g, G_EXP, x), all));
    case_show(c, graph_reduce(c->g, G_PROD, x, all));
    case_show(c, graph_1(c->g, G_ARGMAX, x));
    case_show(c, graph_reduce(c->g, G_SUM, k, all));
}

static void show_batch(Case *c, Val x, Val y, Val k, int which) {
    (void)which;
    Shape shape = graph_type(c->g, x).shape;
    if (!graph_type(c->g, x).batched) return;
    case_show(c, graph_reduce(c->g, G_BATCH_SUM, x, 0));
    case_show(c, graph_reduce(c->g, G_BATCH_SUM, x, 1));
    case_show(c, graph_reduce(c->g, G_BATCH_SUM, k, (1u << shape.rank) - 1));
    Val mean = graph_2(c->g, G_MUL, graph_reduce(c->g, G_BATCH_SUM, graph_2(c->g, G_MUL, x, y), 0),
                       real_const(c, 0.125));
    Val centred = graph_2(c->g, G_SUB, x, graph_broadcast(c->g, mean, shape));
    case_show(c, graph_reduce(c->g, G_BATCH_SUM, centred, 0));
    case_show(c, centred);
    Val outer[] = {x, y};
    case_show(c, graph_add(c->g, G_BATCH_OUTER, outer, 2, NULL, NULL, (Span){0}));
    if (shape.rank > 1) return;
    Val table[] = {x, graph_reshape(c->g, graph_slice(c->g, k, (int64_t[]){0}, shape_of(1, (int64_t)1)), SHAPE0)};
    NodeType like = {c->real, shape_of(2, (int64_t)5, shape.dim[0]), false};
    case_show(c, graph_add(c->g, G_BATCH_EMBED, table, 2, NULL, &like, (Span){0}));
}

static void show_views(Case *c, Val x, Val y, Val k, int which) {
    Graph *g = c->g;
    (void)k;
    Shape shape = graph_type(g, x).shape;
    int64_t n = shape.dim[0], p = shape_size(&shape) / n;
    Val m = graph_reshape(g, x, shape_of(2, n, p)), turned = graph_transpose(g, m, (int[]){1, 0});
    if (which == 0) {
        case_show(c, turned);
        case_show(c, graph_2(g, G_ADD, graph_transpose(g, turned, (int[]){1, 0}),
                             graph_reshape(g, y, shape_of(2, n, p))));
        case_show(c, graph_broadcast(g, m, shape_of(3, n, p, (int64_t)3)));
        Val row = graph_slice(g, m, (int64_t[]){n - 1, 0}, shape_of(2, (int64_t)1, p));
        case_show(c, graph_broadcast(g, row, shape_of(2, n, p)));
        case_show(c, graph_slice(g, turned, (int64_t[]){0, n / 2}, shape_of(2, p, n - n / 2)));
        NodeType like = {DT_I32, shape_of(2, n, p), false};
        Attr axis = {.axis = 1};
        Val iota = graph_add(g, G_IOTA, NULL, 0, &axis, &like, (Span){0});
        case_show(c, graph_2(g, G_ADD, m, graph_cast(g, iota, c->real)));
        return;
    }
    NodeType wide = {c->real, shape_of(2, n + 3, p + 1), false};
    Attr starts = {.starts = {2, 1}}, joined = {.axis = 1};
    Val pad = graph_add(g, G_PAD, &m, 1, &starts, &wide, (Span){0});
    Val parts[] = {m, graph_1(g, G_NEG, m), graph_slice(g, m, (int64_t[]){0, 0}, shape_of(2, n, (int64_t)1))};
    case_show(c, pad);
    case_show(c, graph_add(g, G_CONCAT, parts, 3, &joined, NULL, (Span){0}));
    joined.axis = 0;
    case_show(c, graph_add(g, G_CONCAT, parts, 2, &joined, NULL, (Span){0}));
    Val index = graph_cast(g, graph_2(g, G_MUL, graph_slice(g, m, (int64_t[]){0, 0}, shape_of(2, (int64_t)1, p)),
                                      real_const(c, (double)n)), DT_I32);
    Val pick[] = {m, graph_reshape(g, index, shape_of(1, p))}, embed[] = {m, graph_reshape(g, index, shape_of(1, p))};
    case_show(c, graph_add(g, G_PICK, pick, 2, NULL, NULL, (Span){0}));
    case_show(c, graph_add(g, G_EMBED, embed, 2, NULL, NULL, (Span){0}));
    case_show(c, graph_2(g, G_MUL, graph_reshape(g, x, shape_of(1, n * p)), graph_reshape(g, y, shape_of(1, n * p))));
}

static Val table_const(Graph *g, DType dtype, Shape shape, const void *data) {
    Blob *blob = arena_new_of(g->arena, Blob);
    *blob = (Blob){dtype, shape, data, fnv1a(data, (size_t)shape_size(&shape) * dtype_size(dtype), FNV1A_START)};
    return graph_add(g, G_TABLE, NULL, 0, &(Attr){.blob = blob}, &(NodeType){dtype, shape, false}, (Span){0});
}

/* A table of 3 blocks along each argument, of different refinements, and its derivatives; x well beyond the box. */
static void show_blocks(Case *c, Val x, Val y, Val k, int which) {
    Graph *g = c->g;
    int args = which + 1;
    Shape box = shape_of(1, (int64_t)args);
    (void)k;
    int64_t blocks = args == 1 ? 3 : args == 2 ? 9 : 27, at = 0;
    int32_t *index = arena_array(g->arena, int32_t, blocks);
    for (int64_t b = 0; b < blocks; b++) {
        int level = (int)(b * 7 % 4);
        index[b] = (int32_t)(level << LOOKUP_SHIFT | at);
        at += lookup_values(args, level);
    }
    void *values = arena_alloc(g->arena, (size_t)at * dtype_size(c->real));
    for (int64_t i = 0; i < at; i++) {
        double v = sin((double)(i * i % 101));
        if (c->real == DT_F64) ((double *)values)[i] = v;
        else ((float *)values)[i] = (float)v;
    }
    Val in[] = {table_const(g, c->real, shape_of(1, at), values),
                table_const(g, DT_I32, (Shape){args, {3, args > 1 ? 3 : 0, args > 2 ? 3 : 0}}, index),
                graph_broadcast(g, real_const(c, -0.75), box), graph_broadcast(g, real_const(c, 1.7), box), x, y,
                graph_2(g, G_MUL, x, y)};
    for (uint32_t axes = 0; axes < 1u << args; axes += axes > 4 ? 2 : 1)
        case_show(c, graph_add(g, G_LOOKUP, in, 4 + args, &(Attr){.axes = axes}, NULL, (Span){0}));
}

/* Tables of 1, 2 and 3 arguments, their derivatives and their adjoints; x well beyond the box on both sides. */
static void show_tables(Case *c, Val x, Val y, Val k, int which) {
    Graph *g = c->g;
    int args = which + 1;
    NodeType like = {c->real, {args, {7, 5, 4}}, false};
    if (args == 1) like.shape.dim[0] = 19;
    Shape flat = shape_of(1, shape_size(&like.shape)), box = shape_of(1, (int64_t)args);
    Val i = graph_add(g, G_IOTA, NULL, 0, NULL, &(NodeType){DT_I32, flat, false}, (Span){0});
    Val table = graph_reshape(g, graph_1(g, G_SIN, graph_cast(g, i, c->real)), like.shape);
    Val lo = graph_broadcast(g, real_const(c, -0.75), box), scale = graph_broadcast(g, real_const(c, 3.3), box);
    Val third = graph_2(g, G_MUL, x, y), in[] = {table, lo, scale, x, y, third};
    (void)k;
    for (uint32_t axes = 0; axes < 1u << args; axes += axes ? 2 : 1) {
        Attr attr = {.axes = axes};
        case_show(c, graph_add(g, G_INTERPOLATE, in, 3 + args, &attr, NULL, (Span){0}));
        if (!graph_type(g, x).batched) continue;
        in[0] = third;
        case_show(c, graph_add(g, G_BATCH_INTERPOLATE, in, 3 + args, &attr, &like, (Span){0}));
        in[0] = table;
    }
    if (!graph_type(g, x).batched) return;
    case_show(c, graph_1(g, G_BATCH_MAXIMUM, graph_2(g, G_MUL, third, graph_1(g, G_NEG, x))));
    Val zero = graph_1(g, G_BATCH_MAXIMUM, graph_2(g, G_SUB, x, x));
    case_show(c, graph_2(g, G_DIV, real_const(c, 1), zero));
}

static void show_products(Case *c, Val x, Val y, Val k, int which) {
    Graph *g = c->g;
    (void)k;
    Shape shape = graph_type(g, x).shape;
    int64_t n = shape.dim[0], outs = which == 0 ? 1 : which == 1 ? 5 : 37;
    Val w = case_slot(c, c->real, shape_of(2, outs, n)), b = case_slot(c, c->real, shape_of(1, outs));
    Val wt = case_slot(c, c->real, shape_of(2, n, outs));
    case_show(c, graph_matmul(g, w, x, b));
    case_show(c, graph_matmul(g, graph_transpose(g, wt, (int[]){1, 0}), x, 0));
    case_show(c, graph_matmul(g, graph_slice(g, wt, (int64_t[]){n / 2, 0}, shape_of(2, n - n / 2, outs)),
                              graph_matmul(g, w, x, 0), 0));
    Val xs = graph_reshape(g, x, shape_of(2, n, shape_size(&shape) / n)),
        ys = graph_reshape(g, y, shape_of(2, n, shape_size(&shape) / n));
    case_show(c, graph_matmul(g, graph_transpose(g, xs, (int[]){1, 0}), ys, 0));
    if (which == 0) case_show(c, graph_matmul(g, graph_reshape(g, w, shape_of(1, n)), y, graph_reshape(g, b, SHAPE0)));
    if (which == 1) case_show(c, graph_matmul(g, graph_2(g, G_MUL, w, w), graph_1(g, G_TANH, x), 0));
    if (which == 2 && shape.rank == 1) {
        Val outer[] = {x, y};
        case_show(c, graph_add(g, G_OUTER, outer, 2, NULL, NULL, (Span){0}));
        case_show(c, graph_matmul(g, w, case_slot(c, c->real, shape), 0));
    }
}

/* Weights that are packed (rows of memory 2 KiB apart), gradients by output tiles, more shards than one chunk. */
static void large_products(void **state) {
    (void)state;
    static const int64_t of[][2] = {{300, 300}, {40, 33}};
    for (int k = 0; k < COUNT(of); k++) {
        Case c = case_new(k ? DT_F64 : DT_F32);
        c.no_c = k == 1;
        Val dy = case_row(&c, c.real, shape_of(1, (int64_t)29), 0);
        Val h = case_row(&c, c.real, shape_of(1, (int64_t)44), 0);
        Val w = case_slot(&c, c.real, shape_of(2, (int64_t)29, (int64_t)512));
        Val part = graph_slice(c.g, w, (int64_t[]){0, 3}, shape_of(2, (int64_t)29, (int64_t)95));
        Val dx = graph_matmul(c.g, graph_transpose(c.g, part, (int[]){1, 0}), dy, 0);
        Val tall[] = {dx, h}, wide[] = {h, graph_1(c.g, G_NEG, dx)};
        case_show(&c, graph_add(c.g, G_BATCH_OUTER, tall, 2, NULL, NULL, (Span){0}));
        case_show(&c, graph_add(c.g, G_BATCH_OUTER, wide, 2, NULL, NULL, (Span){0}));
        case_show(&c, dx);
        case_check(&c, of[k][0], of[k][1], k);
        arena_free(c.arena);
    }
}

/* x: [n] or [n, 3], seen as an image of 1 or of several features. */
static void show_convolutions(Case *c, Val x, Val y, Val k, int which) {
    static const Window windows[] = {
        {1, 0, {1, 1}, {0, 0}, {1, 1}}, {1, 0, {2, 2}, {1, 1}, {1, 1}}, {1, 1, {1, 1}, {1, 2}, {2, 1}},
        {2, 0, {1, 3}, {1, -1}, {1, 2}}, {1, 0, {1, 1}, {3, 3}, {1, 1}},
    };
    Graph *g = c->g;
    (void)k;
    Shape shape = graph_type(g, x).shape;
    int64_t n = shape_size(&shape), features = n % 4 == 0 ? 4 : n % 2 == 0 ? 2 : 1;
    const Window *w = &windows[which];
    if (features % w->groups) return;
    Val image = graph_reshape(
        g, x,
        shape_of(3, features, (n / features + 5) / 6 > 1 && n / features % 6 == 0 ? n / features / 6 : (int64_t)1,
                 n / features % 6 ? n / features : (int64_t)6));
    for (int64_t outs = 2; outs <= 38; outs += 36) {
        Val weight = case_slot(c, c->real, shape_of(4, outs, features / w->groups, (int64_t)3, (int64_t)2));
        Val b = case_slot(c, c->real, shape_of(1, outs));
        int64_t places[2] = {3, 5};
        Val z = graph_conv(g, weight, image, outs > 2 ? b : 0, w, places);
        case_show(c, z);
        NodeType like = graph_type(g, weight);
        Val both[2] = {z, image};
        if (graph_type(g, x).batched && outs < 4)
            case_show(c, graph_add(g, G_BATCH_CONV, both, 2, &(Attr){.window = *w}, &like, (Span){0}));
        Val wrt[2] = {weight, x}, grad[2];
        Val loss = graph_reduce(g, G_SUM, graph_2(g, G_MUL, z, z), 7);
        if (graph_type(g, x).batched) loss = graph_reduce(g, G_BATCH_SUM, loss, 0);
        if (outs > 2 || !pass_grad(g, loss, 0, wrt, 2, grad, NULL)) continue;
        for (int i = 0; i < 2; i++) if (grad[i]) case_show(c, grad[i]);
    }
    case_show(c, graph_conv(g, graph_reshape(g, y, shape_of(3, features, INT64_C(1), n / features)),
                            graph_reshape(g, x, shape_of(2, INT64_C(1), n)), 0,
                            &(Window){.groups = 1, .stride = {2}, .pad = {1}, .dilation = {1}}, (int64_t[]){4}));
}

static void show_random(Case *c, Val x, Val y, Val k, int which) {
    Graph *g = c->g;
    NodeType type = graph_type(g, x);
    (void)y, (void)k, (void)which;
    case_show(c, graph_noise(g, G_NOISE, type, "a"));
    Val keep = graph_2(g, G_LT, graph_noise(g, G_NOISE, type, "b"), real_const(c, 0.5));
    case_show(c, graph_3(g, G_SELECT, keep, x, real_const(c, 0)));
    case_show(c, graph_noise(g, G_NORMAL, type, "c"));
}

static void show_all(Show show, int which, DType real, int rank, int64_t n, bool batched, const int64_t *batch,
                     bool quick) {
    Case c = case_new(real);
    Shape shape = rank == 1 ? shape_of(1, n) : shape_of(2, n, (int64_t)3);
    Val x, y, k;
    c.quick = quick;
    if (batched) {
        x = case_row(&c, real, shape, 0), y = case_row(&c, real, shape, 0), k = case_row(&c, DT_I32, shape, 5);
    } else {
        x = case_slot(&c, real, shape), y = case_slot(&c, real, shape), k = case_slot(&c, DT_I32, shape);
    }
    show(&c, x, y, k, which);
    if (c.g->outputs.len) case_check(&c, batch[0], batch[1], batch[0] == 70);
    arena_free(c.arena);
}

/* Every way of compiling for one of them. */
static void corpus(Show show, int variants) {
    for (int which = 0; which < variants; which++) {
        for (int i = 0; i < COUNT(sizes); i++)
            show_all(show, which, DT_F32, 1, sizes[i], true, batches[i + 1], i != 1 || which);
        show_all(show, which, DT_F32, 2, 19, true, batches[2], true);
        show_all(show, which, DT_F32, 2, 4, true, batches[0], true);
        show_all(show, which, DT_F32, 1, 67, false, batches[0], true);
        show_all(show, which, DT_F64, 1, 17, true, batches[4], true);
        show_all(show, which, DT_F64, 2, 18, false, batches[0], true);
    }
}

static void elementwise(void **state) { (void)state; corpus(show_elementwise, 4); }
static void integers(void **state) { (void)state; corpus(show_integers, 1); }
static void reduces(void **state) { (void)state; corpus(show_reduces, 1); }
static void over_batch(void **state) { (void)state; corpus(show_batch, 1); }
static void views(void **state) { (void)state; corpus(show_views, 2); }
static void tables(void **state) { (void)state; corpus(show_tables, 3); }
static void blocks(void **state) { (void)state; corpus(show_blocks, 3); }
static void products(void **state) { (void)state; corpus(show_products, 3); }
static void convolutions(void **state) { (void)state; corpus(show_convolutions, 5); }
static void random_numbers(void **state) { (void)state; corpus(show_random, 1); }

/* ---- regions ---- */

static void check_inner(DType real, int n, int64_t h, int64_t units, int64_t places, const int64_t *batch, bool quick) {
    Case c = case_new(real);
    Val shared[6], wrt[7];
    c.quick = quick;
    c.no_c = true;
    Shape shape = places == 1 ? shape_of(1, units * n) : shape_of(2, units * n, places);
    Val x = case_row(&c, real, shape, 0), scale = case_slot(&c, real, shape);
    case_inner_slots(&c, n, h, shared);
    Val z = graph_2(c.g, G_MUL, x, scale), y = case_cell(&c, case_inner_body(&c, n, h), z, n, shared, 6);
    case_show(&c, y);
    Val loss = graph_reduce(c.g, G_SUM, graph_2(c.g, G_MUL, y, y), places == 1 ? 1 : 3);
    for (int k = 0; k < 6; k++) wrt[k] = shared[k];
    wrt[6] = scale;
    case_train(&c, loss, wrt, 7, 0.01);
    case_check(&c, batch[0], batch[1], batch[0] == 70);
    arena_free(c.arena);
}

static void inner_nets(void **state) {
    (void)state;
    check_inner(DT_F32, 2, 20, 16, 1, batches[3], false);
    check_inner(DT_F32, 2, 64, 16, 1, batches[4], true);
    check_inner(DT_F32, 1, 17, 3, 1, batches[0], true);
    check_inner(DT_F32, 3, 20, 32, 1, batches[1], true);
    check_inner(DT_F32, 2, 5, 4, 3, batches[2], true);
    check_inner(DT_F64, 2, 18, 7, 1, batches[1], true);
    check_inner(DT_F32, 1, 48, 5, 2, batches[1], true);
    check_inner(DT_F32, 2, 80, 3, 1, batches[2], true);
    check_inner(DT_F64, 2, 32, 7, 1, batches[1], true);
    check_inner(DT_F32, 2, 16, 21, 3, batches[3], true);
}

/* a max(0, x) + b x y, also summed; operands that do not vary; maps that do not vary. */
static void small_cells(void **state) {
    (void)state;
    for (int k = 0; k < 3; k++) {
        Case c = case_new(DT_F32);
        Graph *b = graph_new(c.arena);
        NodeType scalar = {DT_F32, SHAPE0, false};
        Val x = graph_input(b, IN_MAPPED, 0, "x", scalar), y = graph_input(b, IN_MAPPED, 1, "y", scalar);
        Val p = graph_input(b, IN_SHARED, 0, "p", (NodeType){DT_F32, shape_of(1, (int64_t)3), false});
        Val a = graph_reshape(b, graph_slice(b, p, (int64_t[]){1}, shape_of(1, (int64_t)1)), SHAPE0);
        Val relu = graph_2(b, G_MAX, graph_const(b, DT_F32, 0), x), xy = graph_2(b, G_MUL, x, y);
        graph_output(b, OUT_MAPPED, 0, "y", graph_2(b, G_ADD, graph_2(b, G_MUL, a, relu), xy));
        graph_output(b, OUT_SUMMED, 1, "s", graph_2(b, G_MUL, p, graph_broadcast(b, xy, shape_of(1, (int64_t)3))));
        graph_output(b, OUT_SUMMED, 2, "one", graph_const(b, DT_F32, 1));
        Shape shape = k == 1 ? shape_of(2, (int64_t)6, (int64_t)3) : shape_of(1, (int64_t)50);
        Val u = k == 2 ? case_slot(&c, DT_F32, shape) : case_row(&c, DT_F32, shape, 0),
            v = case_slot(&c, DT_F32, shape);
        Val shared = case_slot(&c, DT_F32, shape_of(1, (int64_t)3)), in[] = {u, v, shared};
        Val map = case_map(&c, b, in, 3, 2);
        for (int i = 0; i < 3; i++) case_show(&c, graph_proj(c.g, map, i));
        case_check(&c, 37, 37, false);
        arena_free(c.arena);
    }
}

/* Sums that leave out the points at which an operand is 0, where the other is infinite: unrolled and in blocks; in a
 * body point by point (second part), with a batch around it. */
static Graph *zeros_body(Case *c) {
    Graph *b = graph_new(c->arena);
    NodeType scalar = {DT_F32, SHAPE0, false};
    Val x = graph_input(b, IN_MAPPED, 0, "x", scalar), y = graph_input(b, IN_MAPPED, 1, "y", scalar);
    Val p = graph_input(b, IN_SHARED, 0, "p", (NodeType){DT_F32, shape_of(1, (int64_t)3), false});
    Val xyp = graph_2(b, G_MUL, p, graph_broadcast(b, graph_2(b, G_MUL, x, y), shape_of(1, (int64_t)3)));
    graph_output(b, OUT_SUMMED, 0, "s", xyp);
    graph_output(b, OUT_SUMMED, 1, "o", graph_add(b, G_OUTER, (Val[]){xyp, p}, 2, NULL, NULL, (Span){0}));
    graph_output(b, OUT_SUMMED, 2, "n", graph_const(b, DT_F32, 1));
    return b;
}

static Val splat(Graph *g, double x, Shape shape) { return graph_broadcast(g, graph_const(g, DT_F32, x), shape); }

static void left_out(void **state) {
    (void)state;
    for (int k = 0; k < 4; k++) {
        Case c = case_new(DT_F32);
        Shape shape = k == 0 ? shape_of(1, (int64_t)7) : shape_of(2, (int64_t)9, (int64_t)k == 1 ? 5 : 130);
        Val x = case_slot(&c, DT_F32, shape), y = case_slot(&c, DT_F32, shape);
        Val none = splat(c.g, 0, shape), some = graph_2(c.g, G_LT, y, none);
        y = graph_add(c.g, G_SELECT, (Val[]){some, none, y}, 3, NULL, NULL, (Span){0});
        Val far = graph_2(c.g, G_DIV, splat(c.g, 1, shape), none);
        x = graph_add(c.g, G_SELECT, (Val[]){some, far, x}, 3, NULL, NULL, (Span){0});
        if (k == 3) y = graph_2(c.g, G_MUL, y, none);
        Val in[] = {x, y, case_slot(&c, DT_F32, shape_of(1, (int64_t)3))};
        Attr attr = {.mapped = 2, .index = ZEROS_OF + 1, .body = zeros_body(&c)};
        Val map = graph_add(c.g, G_MAP, in, 3, &attr, NULL, (Span){0});
        for (int i = 0; i < 3; i++) case_show(&c, graph_proj(c.g, map, i));
        case_check(&c, 3, 3, false);
        arena_free(c.arena);
    }
}

/* Results that are 0 where a point is left out: of a batch, with none, some and all of its points; of no batch, with
 * sums (6) and without (7). */
static void left_out_of_results(void **state) {
    (void)state;
    for (int k = 0; k < 8; k++) {
        Case c = case_new(k == 4 ? DT_F64 : DT_F32);
        NodeType scalar = {c.real, SHAPE0, false};
        Shape shape = shape_of(2, (int64_t)(k == 3 ? 32 : 37), (int64_t)3);
        if (k == 0 || k == 7) shape = shape_of(1, (int64_t)(k ? 1040 : 7));
        Graph *b = graph_new(c.arena);
        Val at = graph_input(b, IN_MAPPED, 0, "x", scalar), by = graph_input(b, IN_MAPPED, 1, "y", scalar);
        Val p = graph_input(b, IN_SHARED, 0, "p", (NodeType){c.real, shape_of(1, (int64_t)3), false});
        Val xyp = graph_2(b, G_MUL, p, graph_broadcast(b, graph_2(b, G_MUL, at, by), shape_of(1, (int64_t)3)));
        graph_output(b, OUT_MAPPED, 0, "q", graph_2(b, G_SUB, at, by));
        bool sums = k != 5 && k != 7;
        if (sums) graph_output(b, OUT_SUMMED, 1, "s", xyp);
        graph_output(b, OUT_MAPPED, sums ? 2 : 1, "r", graph_2(b, G_ADD, graph_2(b, G_MUL, at, by), at));
        Val x = k < 6 ? case_row(&c, c.real, shape, 0) : case_slot(&c, c.real, shape);
        Val y = k < 6 ? case_row(&c, c.real, shape, 0) : case_slot(&c, c.real, shape);
        Val none = graph_broadcast(c.g, graph_const(c.g, c.real, 0), shape), some = graph_2(c.g, G_LT, y, none);
        if (k != 2) y = graph_add(c.g, G_SELECT, (Val[]){some, none, y}, 3, NULL, NULL, (Span){0});
        if (k == 1) y = graph_2(c.g, G_MUL, y, none);
        Val in[] = {x, y, case_slot(&c, c.real, shape_of(1, (int64_t)3))};
        Attr attr = {.mapped = 2, .index = ZEROS_OF + 1, .body = b};
        Val map = graph_add(c.g, G_MAP, in, 3, &attr, NULL, (Span){0});
        for (int i = 0; i < b->outputs.len; i++) case_show(&c, graph_proj(c.g, map, i));
        case_check(&c, 83, 50, false);
        arena_free(c.arena);
    }
}

static void left_out_inside(void **state) {
    (void)state;
    Case c = case_new(DT_F32);
    Graph *b = graph_new(c.arena);
    Shape shape = shape_of(1, (int64_t)40);
    NodeType scalar = {DT_F32, SHAPE0, false}, many = {DT_F32, shape, false};
    Val at = graph_input(b, IN_MAPPED, 0, "at", scalar), w = graph_input(b, IN_SHARED, 0, "w", many);
    Val p = graph_input(b, IN_SHARED, 1, "p", (NodeType){DT_F32, shape_of(1, (int64_t)3), false});
    Val y = graph_2(b, G_MAX, graph_broadcast(b, at, shape), splat(b, 0, shape));
    Val in[] = {graph_2(b, G_DIV, w, y), y, p};
    Attr attr = {.mapped = 2, .index = ZEROS_OF + 1, .body = zeros_body(&c)};
    Val map = graph_add(b, G_MAP, in, 3, &attr, NULL, (Span){0});
    graph_output(b, OUT_MAPPED, 0, "n", graph_proj(b, map, 2));
    graph_output(b, OUT_MAPPED, 1, "s", graph_reduce(b, G_SUM, graph_proj(b, map, 0), 1));
    Val of[] = {case_row(&c, DT_F32, shape_of(1, (int64_t)30), 0), case_slot(&c, DT_F32, shape),
                case_slot(&c, DT_F32, shape_of(1, (int64_t)3))};
    map = case_map(&c, b, of, 3, 1);
    for (int i = 0; i < 2; i++) case_show(&c, graph_proj(c.g, map, i));
    case_check(&c, 37, 37, false);
    arena_free(c.arena);
}

/* Nothing varies and nothing is summed: threads take parts of the points. */
static void many_points(void **state) {
    (void)state;
    for (int k = 0; k < 2; k++) {
        Case c = case_new(k ? DT_F64 : DT_F32);
        Shape shape = k ? shape_of(2, (int64_t)70, (int64_t)16) : shape_of(1, (int64_t)1040);
        Val shared[6], in[8] = {case_slot(&c, c.real, shape), case_slot(&c, c.real, shape)};
        case_inner_slots(&c, 2, 5, shared);
        memcpy(in + 2, shared, sizeof shared);
        c.quick = true;
        case_show(&c, graph_proj(c.g, case_map(&c, case_inner_body(&c, 2, 5), in, 8, 2), 0));
        case_check(&c, 3, 3, false);
        arena_free(c.arena);
    }
}

static void cell_mlp(void **state) {
    (void)state;
    Case c = case_new(DT_F32);
    Graph *g = c.g;
    enum { CLASSES = 10 };
    int64_t inputs = 20, units = 16;
    c.quick = true;
    Val x = case_row(&c, DT_F32, shape_of(1, inputs), 0), t = case_row(&c, DT_I32, SHAPE0, CLASSES), wrt[12];
    Val w1 = case_slot(&c, DT_F32, shape_of(2, 2 * units, inputs)), b1 = case_slot(&c, DT_F32, shape_of(1, 2 * units));
    Val w2 = case_slot(&c, DT_F32, shape_of(2, (int64_t)CLASSES, units)),
        b2 = case_slot(&c, DT_F32, shape_of(1, (int64_t)CLASSES));
    case_inner_slots(&c, 2, 32, wrt);
    Val z = graph_matmul(g, w1, x, b1), n = real_const(&c, (double)(2 * units)), eps = real_const(&c, 1e-5);
    Val mean = graph_2(g, G_DIV, graph_reduce(g, G_SUM, z, 1), n);
    Val centred = graph_2(g, G_SUB, z, graph_broadcast(g, mean, graph_type(g, z).shape));
    Val var = graph_2(g, G_DIV, graph_reduce(g, G_SUM, graph_2(g, G_MUL, centred, centred), 1), n);
    Val sd = graph_1(g, G_SQRT, graph_2(g, G_ADD, var, eps));
    Val norm = graph_2(g, G_DIV, centred, graph_broadcast(g, sd, graph_type(g, z).shape));
    Val h = case_cell(&c, case_inner_body(&c, 2, 32), norm, 2, wrt, 6);
    Val keep = graph_2(g, G_LT, graph_noise(g, G_NOISE, graph_type(g, h), "dropout"), real_const(&c, 0.5));
    h = graph_3(g, G_SELECT, keep, graph_2(g, G_DIV, h, real_const(&c, 0.5)), real_const(&c, 0));
    Val logits = graph_matmul(g, w2, h, b2), top = graph_reduce(g, G_MAXIMUM, logits, 1);
    Val shifted = graph_2(g, G_SUB, logits, graph_broadcast(g, top, graph_type(g, logits).shape));
    Val total = graph_1(g, G_LOG, graph_reduce(g, G_SUM, graph_1(g, G_EXP, shifted), 1)), pick[] = {shifted, t};
    Val loss = graph_2(g, G_SUB, total, graph_add(g, G_PICK, pick, 2, NULL, NULL, (Span){0}));
    Val all[] = {wrt[0], wrt[1], wrt[2], wrt[3], wrt[4], wrt[5], w1, b1, w2, b2};
    case_show(&c, graph_1(g, G_ARGMAX, logits));
    case_train(&c, loss, all, 10, 1e-3);
    case_check(&c, 70, 32, true);
    case_check(&c, 33, 7, true);
    arena_free(c.arena);
}

static Val whole_mean(Case *c, Val x) {
    Shape shape = graph_type(c->g, x).shape;
    Val sum = graph_reduce(c->g, G_SUM, x, (1u << shape.rank) - 1);
    return graph_2(c->g, G_DIV, sum, real_const(c, (double)shape_size(&shape)));
}

/* Argument k of n of a cell on features and two places. */
static Val argument(Case *c, Val x, int n, int k) {
    Shape s = graph_type(c->g, x).shape;
    int64_t starts[MAX_RANK] = {0, k}, units = s.dim[0] / n;
    Val parts = graph_reshape(c->g, x, shape_of(4, units, (int64_t)n, s.dim[1], s.dim[2]));
    parts = graph_slice(c->g, parts, starts, shape_of(4, units, (int64_t)1, s.dim[1], s.dim[2]));
    return graph_reshape(c->g, parts, shape_of(3, units, s.dim[1], s.dim[2]));
}

/* A convolution's norm over everything, cells of some arguments, the largest of 2 x 2, dropout: and back. */
static void norms(void **state) {
    (void)state;
    for (int n = 2; n <= 3; n++) {
        Case c = case_new(n == 2 ? DT_F32 : DT_F64);
        Graph *g = c.g;
        int64_t maps = 12, units = maps / n, side = 7, half = 3, origin[MAX_RANK] = {0};
        Window window = {.groups = 1, .stride = {1, 1}, .dilation = {1, 1}};
        Val x = case_row(&c, c.real, shape_of(3, (int64_t)3, side + 2, side + 2), 0);
        Val w = case_slot(&c, c.real, shape_of(4, maps, (int64_t)3, (int64_t)3, (int64_t)3));
        Val z = graph_conv(g, w, x, 0, &window, (int64_t[]){side, side});
        Shape shape = graph_type(g, z).shape;
        Val centred = graph_2(g, G_SUB, z, graph_broadcast(g, whole_mean(&c, z), shape));
        Val var = whole_mean(&c, graph_2(g, G_MUL, centred, centred));
        Val sd = graph_1(g, G_SQRT, graph_2(g, G_ADD, var, real_const(&c, 1e-5)));
        Val norm = graph_2(g, G_DIV, centred, graph_broadcast(g, sd, shape)), y = argument(&c, norm, n, 0);
        case_show(&c, graph_reduce(g, G_MAXIMUM, graph_1(g, G_NEG, y), 7));
        for (int k = 1; k < n; k++) y = graph_2(g, k & 1 ? G_MUL : G_MAX, y, argument(&c, norm, n, k));
        y = graph_slice(g, y, origin, shape_of(3, units, 2 * half, 2 * half));
        y = graph_reshape(g, y, shape_of(5, units, half, (int64_t)2, half, (int64_t)2));
        y = graph_reduce(g, G_MAXIMUM, y, 1u << 2 | 1u << 4);
        Val keep = graph_2(g, G_LT, graph_noise(g, G_NOISE, graph_type(g, y), "dropout"), real_const(&c, 0.5));
        y = graph_3(g, G_SELECT, keep, graph_2(g, G_MUL, y, real_const(&c, 2)), real_const(&c, 0));
        case_show(&c, y);
        case_train(&c, whole_mean(&c, graph_2(g, G_MUL, y, y)), &w, 1, 1e-2);
        run(&c, 70, 33, true);
        arena_free(c.arena);
    }
}

/* ---- random programs ---- */

typedef struct Bag { Case *c; Graph *g; Val at[400]; int n, body; } Bag;         /* body: how deep */

static uint32_t dice(Bag *b, uint32_t n) { return case_random(b->c) % n; }
static Val any(Bag *b) { return b->at[dice(b, (uint32_t)b->n)]; }
static Val put(Bag *b, Val v) { return b->n < COUNT(b->at) ? b->at[b->n++] = v : v; }
static Shape shape_in(Bag *b, Val v) { return graph_type(b->g, v).shape; }

static Val any_real(Bag *b) {
    for (int i = 0; i < 50; i++) {
        Val v = any(b);
        if (graph_type(b->g, v).dtype == DT_F32) return v;
    }
    return b->at[0];
}

/* Of the same shape as v if there is one, else a scalar spread. */
static Val mate(Bag *b, Val v) {
    Shape shape = shape_in(b, v), other;
    for (int i = 0; i < 10; i++) {
        Val w = any_real(b);
        other = shape_in(b, w);
        if (shape_equal(&shape, &other)) return w;
        if (shape_size(&other) == shape_size(&shape)) return graph_reshape(b->g, w, shape);
        if (other.rank == 0) return graph_broadcast(b->g, w, shape);
    }
    return graph_broadcast(b->g, graph_const(b->g, DT_F32, 0.75), shape);
}

static Val random_view(Bag *b, Val v) {
    Shape shape = shape_in(b, v), part = shape;
    int64_t starts[MAX_RANK] = {0};
    Attr attr = {.axis = 0};
    if (shape.rank == 0) return graph_broadcast(b->g, v,
                                                shape_of(2, (int64_t)(1 + dice(b, 3)), (int64_t)(1 + dice(b, 18))));
    switch (dice(b, 6)) {
    case 0: return graph_reshape(b->g, v, shape_of(1, shape_size(&shape)));
    case 1: return shape.rank == 2 ? graph_transpose(b->g, v, (int[]){1, 0})
        : graph_reshape(b->g, v, shape_of(2, (int64_t)1, shape.dim[0]));
    case 2:
        for (int k = 0; k < shape.rank; k++) {
            part.dim[k] = 1 + dice(b, (uint32_t)shape.dim[k]);
            starts[k] = dice(b, (uint32_t)(shape.dim[k] - part.dim[k] + 1));
        }
        return graph_slice(b->g, v, starts, part);
    case 3:
        for (int k = 0; k < shape.rank; k++) {
            attr.starts[k] = dice(b, 3);
            part.dim[k] += attr.starts[k] + dice(b, 2);
        }
        attr.axis = 0;
        return graph_add(b->g, G_PAD, &v, 1, &attr, &(NodeType){DT_F32, part, graph_type(b->g, v).batched}, (Span){0});
    case 4: {
        Val parts[] = {v, mate(b, v), v};
        attr.axis = (int)dice(b, (uint32_t)shape.rank);
        return graph_add(b->g, G_CONCAT, parts, 2 + (int)dice(b, 2), &attr, NULL, (Span){0});
    }
    default:
        if (shape.rank > 1) return v;
        part = shape_of(2, shape.dim[0], (int64_t)(1 + dice(b, 4)));
        return graph_broadcast(b->g, v, part);
    }
}

static Val random_map(Bag *b);

static Val random_op(Bag *b) {
    static const Op one[] = {G_NEG, G_ABS, G_SIGN, G_SQRT, G_EXP, G_TANH, G_FLOOR, G_SIN};
    static const Op two[] = {G_ADD, G_SUB, G_MUL, G_MUL, G_MAX, G_MIN, G_DIV, G_ADD};
    static const Op reduce[] = {G_SUM, G_SUM, G_MAXIMUM, G_MINIMUM};
    Val v = any_real(b), w;
    Shape shape = shape_in(b, v), other;
    bool batched = graph_type(b->g, v).batched;
    switch (dice(b, b->body == 1 ? 10 : b->body ? 9 : 12)) {
    case 0: return graph_1(b->g, one[dice(b, COUNT(one))], v);
    case 1: case 2: return graph_2(b->g, two[dice(b, COUNT(two))], v, mate(b, v));
    case 3: return graph_3(b->g, G_SELECT, graph_2(b->g, G_LT, v, mate(b, v)), mate(b, v), v);
    case 4: case 5: return random_view(b, v);
    case 6: return shape.rank ? graph_reduce(b->g, reduce[dice(b, 4)], v, 1 + dice(b, (1u << shape.rank) - 1)) : v;
    case 7: case 8:
        for (int i = 0; i < 20; i++) {
            w = any_real(b), other = shape_in(b, w);
            if (shape.rank && other.rank && other.rank <= 2 && other.dim[other.rank - 1] == shape.dim[0] &&
                shape.rank < 3)
                return graph_matmul(b->g, w, v, 0);
        }
        if (shape.rank == 1 && shape.dim[0] < 40)
            return graph_add(b->g, G_OUTER, (Val[]){v, v}, 2, NULL, NULL, (Span){0});
        return v;
    case 9:
        if (b->body) return random_map(b);
        return batched ? graph_reduce(b->g, G_BATCH_SUM, v, dice(b, 1u << shape.rank)) : v;
    case 10:
        if (!batched || shape.rank != 1) return v;
        w = mate(b, v);
        return graph_add(b->g, G_BATCH_OUTER, (Val[]){v, w}, 2, NULL, NULL, (Span){0});
    default: return random_map(b);
    }
}

/* Small shapes only. */
static void grow(Bag *b, int nodes) {
    for (int i = 0; i < nodes; i++) {
        Val v = random_op(b);
        Shape shape = shape_in(b, v);
        if (shape_size(&shape) <= 400 && shape.rank <= 2) put(b, v);
    }
}

static Val random_map(Bag *b) {
    Graph *body = graph_new(b->c->arena);
    Bag inner = {.c = b->c, .g = body, .body = b->body + 1};
    Val x = any_real(b), in[6] = {x, mate(b, x)}, map;
    int shared = 0;
    for (int k = 0; k < 2; k++) put(&inner, graph_input(body, IN_MAPPED, k, "x", (NodeType){DT_F32, SHAPE0, false}));
    for (int i = 0; i < 40 && shared < 3; i++) {
        Val w = any_real(b);
        if (graph_type(b->g, w).batched) continue;
        put(&inner, graph_input(body, IN_SHARED, shared, "p", (NodeType){DT_F32, shape_in(b, w), false}));
        in[2 + shared++] = w;
    }
    grow(&inner, 12);
    int outs = 0;
    for (int i = inner.n - 1; i >= 0 && outs < 4; i--) {
        Shape shape = shape_in(&inner, inner.at[i]);
        if (graph_type(body, inner.at[i]).dtype != DT_F32) continue;
        graph_output(body, shape.rank || outs == 1 ? OUT_SUMMED : OUT_MAPPED, outs, "o", inner.at[i]);
        outs++;
    }
    Attr attr = {.mapped = 2, .body = body};
    map = graph_add(b->g, G_MAP, in, 2 + shared, &attr, NULL, (Span){0});
    for (int k = 1; k < outs; k++) put(b, graph_proj(b->g, map, k));
    return graph_proj(b->g, map, 0);
}

static void random_programs(void **state) {
    (void)state;
    int64_t only = getenv("NIN_ONLY") ? atoi(getenv("NIN_ONLY")) : -1, count = getenv("NIN_COUNT")
        ? atoi(getenv("NIN_COUNT")) : 12;
    for (int64_t seed = only < 0 ? 0 : only; seed < (only < 0 ? count : only + 1); seed++) {
        Case c = case_new(DT_F32);
        Bag b = {.c = &c, .g = c.g};
        c.random = (uint32_t)seed * 7919u + 17;
        c.quick = true;
        if (count > 12) fprintf(stderr, "seed %d\n", (int)seed);
        put(&b, case_row(&c, DT_F32, shape_of(1, (int64_t)(1 + dice(&b, 40))), 0));
        put(&b, case_row(&c, DT_F32, shape_of(2, (int64_t)(1 + dice(&b, 6)), (int64_t)(1 + dice(&b, 20))), 0));
        for (int k = 0; k < 4; k++) {
            Shape like = shape_in(&b, b.at[0]);
            put(&b, case_slot(&c, DT_F32, k == 0 ? SHAPE0 : k == 1 ? like
                              : shape_of(2, (int64_t)(1 + dice(&b, 70)), k == 2 ? like.dim[0] : 1 + dice(&b, 9))));
        }
        grow(&b, 40);
        for (int i = 0; i < 20; i++) {
            Val v = b.at[b.n - 1 - (int)dice(&b, (uint32_t)(b.n > 30 ? 30 : b.n))];
            if (graph_type(c.g, v).batched ? c.nout < 7 : c.nslots < 30) case_show(&c, v);
        }
        int slots = c.nslots;
        for (Val v = 1; v < (Val)c.g->node.len && slots == c.nslots; v++) {
            NodeType t = graph_type(c.g, v);
            if (graph_node(c.g, v)->op == G_MUL && t.dtype == DT_F32 && !t.batched &&
                shape_equal(&t.shape, &c.slots[1].shape)) {
                graph_output(c.g, OUT_BLOCK, 1, "slot", v);
                break;
            }
        }
        int64_t e = (int64_t[]){1, 5, 33, 40}[dice(&b, 4)];
        case_check(&c, e, dice(&b, 2) ? e : (e + 1) / 2, dice(&b, 2));
        arena_free(c.arena);
    }
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(xor_neuron), cmocka_unit_test(tanh_mlp), cmocka_unit_test(elementwise),
            cmocka_unit_test(integers),
        cmocka_unit_test(reduces), cmocka_unit_test(over_batch), cmocka_unit_test(views), cmocka_unit_test(products),
        cmocka_unit_test(large_products), cmocka_unit_test(convolutions),
        cmocka_unit_test(tables),
        cmocka_unit_test(blocks),
        cmocka_unit_test(random_numbers), cmocka_unit_test(inner_nets), cmocka_unit_test(small_cells),
            cmocka_unit_test(many_points), cmocka_unit_test(left_out), cmocka_unit_test(left_out_of_results),
            cmocka_unit_test(left_out_inside),
            cmocka_unit_test(cell_mlp), cmocka_unit_test(norms), cmocka_unit_test(random_programs),
    };
    if (argc > 1) cmocka_set_test_filter(argv[1]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
