/* test_attacks.c -- attacks against runs of the reference (tests/data/attacks): projections, APGD's trajectories, FAB's
 * norms and Square's replay in f64; robust accuracies of whole ensembles in f32.  Tolerances are those of the
 * READMEs. */
#include "traced.h"
#include "nets.h"

#include "attack/front.h"
#include "attack/loops.h"
#include "data/data.h"

enum { PIXELS = 784, CLASSES = 10, IMAGES = 200, POINTS = 10, STEPS = 100, LOSSES = 4 };

static const char *const loss_fn[LOSSES] = {"ce", "dlr", "dlr_aimed", "difference"};

/* ---- files ---- */

static DataArray read_file(Arena *arena, const char *format, ...) {
    va_list args;
    va_start(args, format);
    const char *path = arena_printf(arena, "%s/data/%s.npy", NIN_TESTS, arena_vprintf(arena, format, args));
    va_end(args);
    DataArray array;
    char *error = NULL;
    if (!read_npy(arena, path, NULL, &array, &error)) fail_msg("%s", error);
    return array;
}

static double *numbers(Arena *arena, const DataArray *a) {
    int64_t n = a->rows * shape_size(&a->shape);
    double *out = arena_array(arena, double, n);
    for (int64_t i = 0; i < n; i++) out[i] = data_at(a, i);
    return out;
}

#define READ(...) numbers(w->arena, &(DataArray[1]){read_file(w->arena, __VA_ARGS__)}[0])

/* ---- a victim: one program for the logits, one for each loss ---- */

typedef struct Net {
    Text text;
    Arena *arena;
    const char *folder;
    DType precision;
    Program *look, *slope[LOSSES], *seen, *rest;   /* seen, rest: of its front; fronts: looks at rest */
    int fronts;
    void *block;
    Victim victim; Front front;
    double *image; int32_t label[IMAGES];
} Net;

static Program *net_program(Net *w, const char *net, int loss) {
    const Way way = {"jit", WAY_JIT, 2, NULL};
    Val args[3], dx, x = 0;
    Trace *trace = text_trace(&w->text, net, w->precision, false, shape_of(1, (int64_t)PIXELS), &args[0]);
    Graph *g = trace->graph;
    for (Val v = 1; !x; v++)
        if (graph_node(g, v)->op == G_INPUT && graph_node(g, v)->batched) x = v;
    graph_output(g, OUT_ROWS, 0, "logits", args[0]);
    if (loss >= 0) {
        for (int k = 1; k < 3; k++) {
            args[k] = graph_input(g, IN_ROWS, k, k == 1 ? "target" : "aim", (NodeType){DT_I32, SHAPE0, true});
            trace_mark_classes(trace, args[k], CLASSES);
        }
        Val value = text_call(&w->text, trace, "loss", loss_fn[loss], args, 3);
        graph_output(g, OUT_ROWS, 1, "loss", value);
        if (!pass_grad(g, value, 0, &x, 1, &dx, &w->text.session->diags)) text_fail(&w->text, "gradient");
        graph_output(g, OUT_ROWS, 2, "slope", dx);
    }
    Slot *slot = arena_array(w->arena, Slot, trace->params.len);
    for (int i = 0; i < trace->params.len; i++) {
        const ParamInfo *p = &trace->params.at[i];
        slot[i] = (Slot){p->path, p->dtype, p->shape, 0};
    }
    BlockLayout layout;
    block_layout(slot, trace->params.len, &layout);
    if (!w->block) {
        w->block = arena_alloc(w->arena, layout.size + 64);
        for (int i = 0; i < layout.slots; i++) {
            DataArray weights = read_file(w->arena, "nets/%s/%s", w->folder, nets_file(w->arena, layout.slot[i].path));
            for (int64_t k = 0; k < shape_size(&layout.slot[i].shape); k++) {
                char *at = (char *)w->block + layout.slot[i].offset;
                if (w->precision == DT_F32) ((float *)(void *)at)[k] = (float)data_at(&weights, k);
                else ((double *)(void *)at)[k] = data_at(&weights, k);
            }
        }
    }
    return way_program(w->arena, &way, g, layout, 0);
}

/* Numbers of the net's precision, in f64. */
static void rows_from(const Net *w, void *rows, int64_t n, double *out) {
    for (int64_t i = 0; i < n; i++) out[i] = w->precision == DT_F32 ? (double)((float *)rows)[i] : ((double *)rows)[i];
    free(rows);
}

static bool net_run(const Net *w, Program *p, const void *x, const int32_t *y, const int32_t *aim, int64_t n, double *z,
                    double *value, void *dx) {
    size_t width = dtype_size(w->precision);
    void *out[2] = {malloc((size_t)n * CLASSES * width + 64), malloc((size_t)n * width + 64)};
    Feed feed = {.rows = {x, y, aim}, .examples = n, .batch = n < 128 ? n : 128, .out_rows = {out[0], out[1], dx}};
    bool ok = p->run(p, w->block, &feed, 0, (n + feed.batch - 1) / feed.batch, NULL) == 0;
    rows_from(w, out[0], n * CLASSES, z);
    if (value) rows_from(w, out[1], n, value);
    else free(out[1]);
    return ok;
}

static bool net_logits(void *data, const void *x, int64_t n, uint32_t turn, double *z) {
    const Net *w = data;
    (void)turn;
    return net_run(w, w->look, x, NULL, NULL, n, z, NULL, NULL);
}

static bool net_slope(void *data, AttackLoss loss, const void *x, const int32_t *y, const int32_t *aim, int64_t n,
                      uint32_t turn, double *z, double *value, void *dx) {
    const Net *w = data;
    (void)turn;
    return net_run(w, w->slope[loss], x, y, aim, n, z, value, dx);
}

/* An attack of somebody else's: lighter, and darker, by the number of the point. */
static bool net_change(void *data, int which, const double *x, const int32_t *y, const int64_t *number, int64_t n,
                       double *out) {
    (void)data, (void)y;
    assert_int_equal(which, 4);
    for (int64_t i = 0; i < n * PIXELS; i++) out[i] = fmin(1, fmax(0, x[i] + (number[i / PIXELS] % 2 ? 0.05 : -0.05)));
    return true;
}

/* ---- the product that it begins with ---- */

static bool front_run(const Net *w, Program *p, const float *x, int64_t n, void *out) {
    Feed feed = {.rows = {x, NULL, NULL, x}, .examples = n, .batch = n, .out_rows = {out}};
    return p->run(p, w->block, &feed, 0, 1, NULL) == 0;
}

static bool front_seen(void *data, const float *x, int64_t n, float *out) {
    const Net *w = data;
    return front_run(w, w->seen, x, n, out);
}

static bool front_rest(void *data, const float *h, int64_t n, double *z) {
    Net *w = data;
    float *rows = malloc((size_t)n * CLASSES * sizeof *rows + 64);
    bool ok = front_run(w, w->rest, h, n, rows);
    w->fronts++;
    rows_from(w, rows, n * CLASSES, z);
    return ok;
}

static const Front *net_front(void *data) {
    Net *w = data;
    const Way way = {"jit", WAY_JIT, 2, NULL};
    FrontCut cut;
    if (w->seen) return &w->front;
    assert_true(front_cut(w->arena, w->look->graph, &cut));
    front_weights(w->arena, &cut, &w->look->layout, w->block, &w->front);
    w->front.data = w;
    w->front.seen = front_seen;
    w->front.rest = front_rest;
    w->seen = way_program(w->arena, &way, cut.seen, w->look->layout, 0);
    w->rest = way_program(w->arena, &way, cut.rest, w->look->layout, 0);
    return &w->front;
}

static Net *net_open(const char *folder, DType precision) {
    Arena *arena = arena_new();
    Net *w = arena_new_of(arena, Net);
    *w = (Net){.text = text_open(nets_text), .arena = arena, .folder = folder, .precision = precision};
    const char *net = strcmp(folder, "twoarg_std") == 0 ? "two_net" : "relu_net";
    w->look = net_program(w, net, -1);
    for (int k = 0; k < LOSSES; k++) w->slope[k] = net_program(w, net, k);
    w->victim = (Victim){w, CLASSES, PIXELS, 1, 28, 28, precision == DT_F32, false, net_logits, net_slope,
                         net_change, net_front};
    w->image = READ("nets/images_u8");
    const double *label = READ("nets/labels");
    for (int i = 0; i < IMAGES * PIXELS; i++) w->image[i] /= 255;
    for (int i = 0; i < IMAGES; i++) w->label[i] = (int32_t)label[i];
    return w;
}

static void net_close(Net *w) {
    w->look->free(w->look);
    if (w->seen) w->seen->free(w->seen);
    if (w->rest) w->rest->free(w->rest);
    for (int k = 0; k < LOSSES; k++) w->slope[k]->free(w->slope[k]);
    text_close(&w->text);
    arena_free(w->arena);
}

static const char *const folders[] = {"relu_std", "twoarg_std", "relu_adv"};
static const char *const norms[] = {"Linf", "L2", "L1"};

static void expect_near(const char *what, const double *ours, const double *theirs, int64_t n, double tolerance) {
    for (int64_t i = 0; i < n; i++)
        if (!(fabs(ours[i] - theirs[i]) <= tolerance))
            fail_msg("%s: [%lld] is %.17g, not %.17g", what, (long long)i, ours[i], theirs[i]);
}

/* ---- projections ---- */

static void test_projections(void **state) {
    (void)state;
    enum { CASES = 40, N = 30 };
    Net only = {.arena = arena_new()}, *w = &only;
    for (int norm = 0; norm < 3; norm++) {
        const double *t = READ("attacks/det/projections/%s_t", norms[norm]),
                     *plane = READ("attacks/det/projections/%s_w", norms[norm]);
        const double *b = READ("attacks/det/projections/%s_b", norms[norm]),
                     *d = READ("attacks/det/projections/%s_d", norms[norm]);
        for (int i = 0; i < CASES; i++) {
            double ours[N], scratch[2 * N];
            plane_project(&(Ball){(AttackNorm)norm, 0, 0, 1}, t + i * N, plane + i * N, b[i], N, scratch, ours);
            expect_near(norms[norm], ours, d + i * N, N, 1e-10);
        }
    }
    const double *x = READ("attacks/det/projections/L1ball_x"), *y = READ("attacks/det/projections/L1ball_y"),
                 *d = READ("attacks/det/projections/L1ball_delta");
    enum { BALLS = 30, M = 40 };
    for (int i = 0; i < BALLS; i++) {
        double u[M];
        for (int k = 0; k < M; k++) u[k] = x[i * M + k] + y[i * M + k];
        ball_project(&(Ball){NORM_L1, 1.5, 0, 1}, x + i * M, u, M);
        for (int k = 0; k < M; k++) u[k] = u[k] - x[i * M + k] - y[i * M + k];
        expect_near(arena_printf(only.arena, "l1 ball %d", i), u, d + i * M, M, 1e-10);
    }
    arena_free(only.arena);
}

/* ---- APGD ---- */

typedef struct Course { double value[STEPS + 1][POINTS], step[STEPS + 1][POINTS]; } Course;
static void course_look(void *data, int iteration, const double *value, const double *step) {
    Course *c = data;
    memcpy(c->value[iteration], value, sizeof c->value[0]);
    if (iteration) memcpy(c->step[iteration - 1], step, sizeof c->step[0]);
}

static void ten_points(Net *w, Points *points, int64_t *number, int32_t *y, double *x) {
    const double *index = READ("attacks/det/%s/idx", w->folder), *label = READ("attacks/det/%s/label", w->folder);
    for (int i = 0; i < POINTS; i++) {
        number[i] = (int64_t)index[i];
        y[i] = (int32_t)label[i];
        memcpy(x + i * PIXELS, w->image + number[i] * PIXELS, PIXELS * sizeof *x);
    }
    *points = (Points){x, y, number, POINTS};
}

static void one_course(Net *w, int norm, int loss, double eps) {
    static const char *const names[] = {"ce", "dlr", "dlrt"};
    int64_t number[POINTS];
    int32_t y[POINTS], aim[POINTS] = {0};
    double *x = arena_array(w->arena, double, POINTS *PIXELS), *adv = arena_array(w->arena, double, POINTS *PIXELS),
           best_value[POINTS];
    bool fooled[POINTS] = {false};
    Points points;
    Course course;
    ten_points(w, &points, number, y, x);
    const char *name = arena_printf(w->arena, "%s/%s_%s", w->folder, norms[norm], names[loss]);
    if (loss == 2) {
        const double *target = READ("attacks/det/%s_target", name);
        for (int i = 0; i < POINTS; i++) aim[i] = (int32_t)target[i];
    }
    AttackRun run = {
        .victim = &w->victim, .ball = {(AttackNorm)norm, eps, 0, 1}, .look = course_look, .look_data = &course};
    Apgd apgd = {.loss = (AttackLoss)loss, .steps = STEPS, .samples = 1,
                 .start = READ("attacks/det/%s/%s_x0", w->folder, norms[norm]), .aim = aim,
                 .best = arena_array(w->arena, double, POINTS * PIXELS), .best_value = best_value};
    assert_true(attack_apgd(&run, &apgd, points, (Attacked){fooled, adv}));
    const double *traj = READ("attacks/det/%s_traj", name), *best = READ("attacks/det/%s_best_loss", name),
                 *robust = READ("attacks/det/%s_robust", name);
    const double *step = READ("attacks/det/%s_step", name);
    for (int i = 0; i < POINTS; i++) {
        bool noise = norm == NORM_L2 &&
                     loss == ATTACK_DLR; /* behind a loss of exactly 1 its gradient is rounding noise */
        int last = 0;
        for (bool more = true; more && last <= STEPS; last++) {
            double d = fabs(course.value[last][i] - traj[last * POINTS + i]);
            if (d > 1e-8) fail_msg("%s, point %d, step %d: the loss differs by %g", name, i, last, d);
            if (last && course.step[last - 1][i] != step[(last - 1) * POINTS + i])
                fail_msg("%s, point %d: another step size at %d", name, i, last);
            more = !noise || fabs(traj[last * POINTS + i] - 1) > 1e-9;
        }
        assert_int_equal(!fooled[i], (int)robust[i]);
        if (last > STEPS) expect_near(name, &best_value[i], &best[i], 1, 1e-8);
    }
}

static void test_apgd(void **state) {
    (void)state;
    static const double eps[3][2] = {{0.06, 0.7}, {0.07, 0.7}, {0.15, 1.2}};
    for (int f = 0; f < COUNT(folders); f++) {
        Net *w = net_open(folders[f], DT_F64);
        for (int norm = 0; norm < 2; norm++)
            for (int loss = 0; loss < 3; loss++) one_course(w, norm, loss, eps[f][norm]);
        net_close(w);
    }
}

/* ---- FAB ---- */

static void fab_look(void *data, int iteration, const double *value, const double *step) {
    (void)step;
    memcpy(((Course *)data)->value[iteration], value, sizeof ((Course *)data)->value[0]);
}

static void test_fab(void **state) {
    (void)state;
    for (int f = 0; f < COUNT(folders); f++) {
        Net *w = net_open(folders[f], DT_F64);
        int64_t number[POINTS];
        int32_t y[POINTS], aim[POINTS];
        double *x = arena_array(w->arena, double, POINTS *PIXELS), *adv = arena_array(w->arena, double, POINTS *PIXELS),
               norm_found[POINTS];
        Points points;
        ten_points(w, &points, number, y, x);
        for (int norm = 0; norm < 3; norm++)
            for (int rank = 2; rank < 4; rank++) {
                bool fooled[POINTS] = {false};
                Course course;
                const char *name = arena_printf(w->arena, "%s/fab_%s_t%d", w->folder, norms[norm], rank);
                const double *target = READ("attacks/det/%s_target", name);
                for (int i = 0; i < POINTS; i++) aim[i] = (int32_t)target[i];
                AttackRun run = {
                    .victim = &w->victim, .ball = {(AttackNorm)norm, 0, 0, 1}, .look = fab_look, .look_data = &course};
                assert_true(attack_fab(&run, &(Fab){.steps = STEPS, .aim = aim, .norm = norm_found}, points,
                                       (Attacked){fooled, adv}));
                expect_near(name, norm_found, READ("attacks/det/%s_norm", name), POINTS, 1e-8);
                expect_near(name, course.value[0], READ("attacks/det/%s_trace", name), STEPS * POINTS, 1e-8);
            }
        net_close(w);
    }
}

/* ---- Square: recorded windows and signs, which all images share ---- */

typedef struct Tape { const double *init, *position, *side, *sign; const double *index; double margin[601][16]; } Tape;

static void tape_fill(void *data, bool normal, int64_t point, uint32_t run, int64_t n, double *out) {
    const Tape *t = data;
    assert_false(normal);
    if (run == 0) {
        for (int64_t i = 0; i < n; i++) out[i] = t->init[point * 28 + i] < 0 ? 0.25 : 0.75;
        return;
    }
    assert_int_equal(n, 3);
    double room = 28 - t->side[run - 1];
    for (int k = 0; k < 2; k++) out[k] = room > 0 ? (t->position[2 * (run - 1) + (uint32_t)k] + 0.5) / room : 0;
    out[2] = t->sign[run - 1] < 0 ? 0.25 : 0.75;
}

static void tape_look(void *data, int iteration, const double *value, const double *step) {
    (void)step;
    memcpy(((Tape *)data)->margin[iteration], value, sizeof ((Tape *)data)->margin[0]);
}

static void test_square(void **state) {
    (void)state;
    enum { N = 16, QUERIES = 600 };
    Net *w = net_open("relu_std", DT_F64);
    Tape *tape = arena_new_of(w->arena, Tape);
    const double *index = READ("attacks/det/square_relu_std/image_index"),
                 *margins = READ("attacks/det/square_relu_std/margin_history");
    const double *queries = READ("attacks/det/square_relu_std/queries"),
                 *x_final = READ("attacks/det/square_relu_std/x_final");
    *tape = (Tape){READ("attacks/det/square_relu_std/init_sign"), READ("attacks/det/square_relu_std/position_v_h"),
                   READ("attacks/det/square_relu_std/side"), READ("attacks/det/square_relu_std/sign"), index, {{0}}};
    int64_t number[N], used[N] = {0};
    int32_t y[N];
    bool fooled[N] = {false};
    double *x = arena_array(w->arena, double, N * PIXELS), *adv = arena_array(w->arena, double, N * PIXELS);
    for (int i = 0; i < N; i++) {
        number[i] = i;
        y[i] = w->label[(int)index[i]];
        memcpy(x + i * PIXELS, w->image + (int)index[i] * PIXELS, PIXELS * sizeof *x);
    }
    AttackRun run = {.victim = &w->victim,
                     .ball = {NORM_LINF, 0.06, 0, 1},
                     .draws = {tape, tape_fill},
                     .look = tape_look,
                     .look_data = tape};
    assert_true(attack_square(&run, &(Square){QUERIES, used}, (Points){x, y, number, N}, (Attacked){fooled, adv}));
    expect_near("margins", tape->margin[0], margins, (QUERIES + 1) * N, 1e-9);
    for (int i = 0; i < N; i++) {
        assert_int_equal(used[i], (int64_t)queries[i]);
        if (fooled[i]) expect_near("final points", adv + i * PIXELS, x_final + i * PIXELS, PIXELS, 1e-6);
    }
    net_close(w);
}

/* A search that nobody watches passes over proposals that change nothing, and takes up the first product where they
 * begin, to the same end. */
static void square_alone(const char *folder) {
    enum { N = 24, QUERIES = 300 };
    Net *w = net_open(folder, DT_F32);
    int64_t number[N], used[2][N] = {{0}};
    bool fooled[2][N] = {{false}};
    double *adv[2];
    Tape *tape = arena_new_of(w->arena, Tape);
    AttackKey key = attack_key(3, "square");
    for (int i = 0; i < N; i++) number[i] = i;
    for (int i = 0; i < 2; i++) {
        adv[i] = arena_array(w->arena, double, N * PIXELS);
        AttackRun run = {.victim = &w->victim,
                         .ball = {NORM_LINF, 0.1, 0, 1},
                         .draws = attack_draws(&key),
                         .look = i ? tape_look : NULL,
                         .look_data = tape};
        assert_true(attack_square(&run, &(Square){QUERIES, used[i]}, (Points){w->image, w->label, number, N},
                                  (Attacked){fooled[i], adv[i]}));
    }
    assert_memory_equal(fooled[0], fooled[1], sizeof fooled[0]);
    assert_memory_equal(used[0], used[1], sizeof used[0]);
    assert_memory_equal(adv[0], adv[1], N * PIXELS * sizeof(double));
    int found = 0;
    for (int i = 0; i < N; i++) found += fooled[0][i];
    assert_in_range(found, 1, N - 1);
    assert_int_equal(w->fronts > QUERIES / 2, attack_loops()->carry != NULL);
    net_close(w);
}

static void test_square_alone(void **state) {
    (void)state;
    square_alone("relu_std");
    square_alone("twoarg_std");
}

/* A victim that is no product at its beginning is looked at as a whole. */
static void test_no_front(void **state) {
    (void)state;
    Text text = text_open("net bent(x: f32[784]) -> f32[10] { dense[10](sin(x) * sum(x)) }\n"
                          "net twice(x: f32[784]) -> f32[10] { dense[10](x) + x[1..10] }\n"
                          "net plain(x: f32[784]) -> f32[10] { dense[10](sin(2 * x)) }\n");
    const char *const nets[] = {"bent", "twice", "plain"};
    for (int i = 0; i < 3; i++) {
        FrontCut cut;
        Val y;
        Trace *trace = text_trace(&text, nets[i], DT_F32, false, shape_of(1, (int64_t)PIXELS), &y);
        graph_output(trace->graph, OUT_ROWS, 0, "logits", y);
        assert_int_equal(front_cut(trace->graph->arena, trace->graph, &cut), i == 2);
        if (i < 2) continue;
        assert_int_equal(cut.inputs, PIXELS);
        assert_int_equal(cut.outs, 10);
    }
    text_close(&text);
}

/* ---- ensembles ---- */

static const AttackSpec standard[] = {{"apgd[cross_entropy]", KIND_APGD, ATTACK_CE, 100, 1, 0, 1, 0, 0},
                                      {"apgd_targeted", KIND_APGD_TARGETED, ATTACK_DLR_TARGETED, 100, 1, 9, 1, 0, 0},
                                      {"fab_targeted", KIND_FAB_TARGETED, ATTACK_DIFFERENCE, 100, 1, 9, 1, 0, 0},
                                      {"square", KIND_SQUARE, ATTACK_CE, 0, 1, 0, 1, 5000, 0}};

static AttackReport ensemble(Net *w, const Protocol *protocol, Pool *pool, int64_t n) {
    int64_t *number = arena_array(w->arena, int64_t, IMAGES);
    for (int i = 0; i < IMAGES; i++) number[i] = i;
    AttackReport report;
    assert_true(attack_ensemble(w->arena, &w->victim, protocol, pool, 1, (Points){w->image, w->label, number, n}, NULL,
                                &report));
    assert_int_equal(report.done, protocol->attacks);
    assert_true(report.largest <= protocol->ball.eps + ball_slack(&protocol->ball, PIXELS));
    return report;
}

/* after: the reference's accuracies in percent after each stage, and how far ours may be, in images of 200. */
static void one_ensemble(const char *folder, double eps, double clean, const double *after) {
    static const double images[] = {2, 1, 1, 1};
    Net *w = net_open(folder, DT_F32);
    Protocol protocol = {standard, COUNT(standard), {NORM_LINF, eps, 0, 1}, false};
    AttackReport r = ensemble(w, &protocol, NULL, IMAGES);
    assert_true(fabs(100 * r.clean - clean) < 1e-6);
    for (int i = 0; i < COUNT(standard); i++)
        if (fabs(100 * r.after[i] - after[i]) > 0.5 * images[i] + 1e-6)
            fail_msg("%s: %.1f %% after %s, not %.1f %%", folder, 100 * r.after[i], standard[i].name, after[i]);
    DataArray flags = read_file(w->arena, "attacks/aa/%s_flags_sequential", folder);
    int differ = 0;
    for (int i = 0; i < IMAGES; i++) differ += r.robust[i] != (data_at(&flags, 3 * IMAGES + i) != 0);
    assert_in_range(differ, 0, 2);
    net_close(w);
}

static void test_relu(void **state) {
    (void)state;
    one_ensemble("relu_std", 0.06, 86.0, (double[]){32.0, 31.5, 31.5, 31.5});
}
static void test_hardened(void **state) {
    (void)state;
    one_ensemble("relu_adv", 0.15, 80.0, (double[]){30.5, 28.5, 28.0, 28.0});
}
static void test_two(void **state) {
    (void)state;
    one_ensemble("twoarg_std", 0.07, 88.5, (double[]){21.0, 21.0, 21.0, 21.0});
}

/* Each alone on a part of the images: no better than together; the same with threads. */
static void test_alone(void **state) {
    (void)state;
    enum { PART = 40 };
    Net *w = net_open("relu_std", DT_F32);
    AttackSpec quick[COUNT(standard)];
    memcpy(quick, standard, sizeof quick);
    quick[1].targets = quick[2].targets = 2;
    quick[3].queries = 300;
    Protocol single = {quick, COUNT(standard), {NORM_LINF, 0.06, 0, 1}, true},
             together = {quick, COUNT(standard), {NORM_LINF, 0.06, 0, 1}, false};
    Pool *pool = pool_new(2);
    AttackReport r = ensemble(w, &single, NULL, PART), two = ensemble(w, &single, pool, PART),
                 all = ensemble(w, &together, NULL, PART);
    pool_free(pool);
    assert_memory_equal(r.adv, two.adv, PART * PIXELS * sizeof *r.adv);
    assert_memory_equal(r.after, two.after, COUNT(standard) * sizeof *r.after);
    for (int i = 0; i < COUNT(standard); i++)
        assert_true(r.after[i] >= all.after[COUNT(standard) - 1] && r.after[i] < r.clean);
    net_close(w);
}

/* Stops at every third look; what was reached is kept at each. */
typedef struct Cuts {
    int looks, stops; AttackPlace place; AttackReport kept; int attacks; int64_t n; bool known;
} Cuts;

static bool cuts_progress(void *data, int attack, double share, double robust) {
    Cuts *c = data;
    (void)attack, (void)share, (void)robust;
    if (++c->looks % 3) return true;
    c->stops++;
    return false;
}

static void cuts_copy(const Cuts *c, AttackReport *to, const AttackReport *from) {
    to->clean = from->clean;
    to->largest = from->largest;
    to->done = from->done;
    memcpy(to->after, from->after, (size_t)c->attacks * sizeof *to->after);
    memcpy(to->robust, from->robust, (size_t)c->n * sizeof *to->robust);
    memcpy(to->adv, from->adv, (size_t)(c->n * PIXELS) * sizeof *to->adv);
}

static void cuts_reached(void *data, const AttackPlace *place, const AttackReport *report, bool now) {
    Cuts *c = data;
    (void)now;
    c->place = *place;
    c->known = true;
    cuts_copy(c, &c->kept, report);
}

static bool cuts_restore(void *data, AttackPlace *place, AttackReport *report) {
    Cuts *c = data;
    if (!c->known) return false;
    *place = c->place;
    cuts_copy(c, report, &c->kept);
    return true;
}

/* Broken off again and again, on other numbers of threads: the same as in one piece. */
static void test_goes_on(void **state) {
    (void)state;
    enum { PART = 60, ATTACKS = COUNT(standard) + 1 };
    Net *w = net_open("relu_std", DT_F32);
    AttackSpec quick[ATTACKS] = {[COUNT(standard)] = {.name = "own", .kind = KIND_OWN, .restarts = 1, .samples = 1}};
    memcpy(quick, standard, sizeof standard);
    quick[0].steps = quick[1].steps = quick[2].steps = 20;
    quick[0].restarts = 2;
    quick[1].targets = quick[2].targets = 3;
    quick[3].queries = 100;
    Protocol protocol = {quick, ATTACKS, {NORM_LINF, 0.05, 0, 1}, false};
    AttackReport whole = ensemble(w, &protocol, NULL, PART), report = {0};
    int64_t number[PART];
    for (int i = 0; i < PART; i++) number[i] = i;
    Cuts c = {.attacks = ATTACKS, .n = PART};
    c.kept = (AttackReport){.after = arena_array(w->arena, double, ATTACKS),
                            .robust = arena_array(w->arena, bool, PART),
                            .adv = arena_array(w->arena, double, PART *PIXELS)};
    AttackWatch watch = {&c, cuts_progress, cuts_restore, cuts_reached};
    Pool *pool = pool_new(2);
    for (int i = 0; i < 100 && report.done < ATTACKS; i++)
        assert_true(attack_ensemble(w->arena, &w->victim, &protocol, i % 2 ? pool : NULL, 1,
                                    (Points){w->image, w->label, number, PART}, &watch, &report));
    pool_free(pool);
    assert_true(c.stops > 2);
    assert_int_equal(report.done, ATTACKS);
    assert_memory_equal(report.after, whole.after, ATTACKS * sizeof *whole.after);
    assert_memory_equal(report.robust, whole.robust, PART * sizeof *whole.robust);
    assert_memory_equal(report.adv, whole.adv, PART * PIXELS * sizeof *whole.adv);
    net_close(w);
}

/* l2 and l1: changes stay in their balls; a larger one fools more. */
static void test_norms(void **state) {
    (void)state;
    Net *w = net_open("relu_std", DT_F32);
    AttackSpec quick[COUNT(standard)];
    memcpy(quick, standard, sizeof quick);
    quick[1].targets = quick[2].targets = 2;
    quick[3].queries = 200;
    for (int norm = NORM_L2; norm <= NORM_L1; norm++) {
        double before = 1;
        for (int k = 1; k < 4; k += 2) {
            Protocol p = {quick, COUNT(standard), {(AttackNorm)norm, norm == NORM_L2 ? 0.3 * k : 2.0 * k, 0, 1}, false};
            AttackReport r = ensemble(w, &p, NULL, 30);
            assert_true(r.after[3] < r.clean && r.after[3] < before);
            before = r.after[3];
        }
    }
    net_close(w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_projections), cmocka_unit_test(test_apgd),         cmocka_unit_test(test_fab),
        cmocka_unit_test(test_square),      cmocka_unit_test(test_square_alone), cmocka_unit_test(test_no_front),
        cmocka_unit_test(test_relu),        cmocka_unit_test(test_hardened),     cmocka_unit_test(test_two),
        cmocka_unit_test(test_alone),       cmocka_unit_test(test_norms),        cmocka_unit_test(test_goes_on)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
