/* bench_conv.c -- the convolutions of the convolutional net of Kim et al. on CIFAR-10 as the kernels of a compiled step
 * compute them: forward, gradient of the input and of the weights, against oneDNN and the FMA peak, in one run.
 *
 * Activations stand as programs keep them, lanes are examples; what a kernel packs, turns or adds up afterwards is
 * part of its time.  oneDNN chooses the layouts of everything itself (`format any`); its reorders are not counted; the
 * faster of its direct and its automatic algorithm; its memory in large pages, as ours is.  Flops are those of the
 * convolution, whatever either side pads.
 * Usage: bench_conv [-c cpu] [-n examples] [direction's first letter: f, i, w].  One thread, minima. */
#include <sys/mman.h>
#include <unistd.h>

#include "bench.h"

#ifdef NIN_ONEDNN
#include <oneapi/dnnl/dnnl.h>
#endif

typedef enum Direction { FORWARD, INPUT_GRADIENT, WEIGHT_GRADIENT } Direction;
typedef struct Layer { int64_t in, out, size; } Layer;         /* features, features, places each way of the input */

/* Kernels of 3 x 3, stride 1, no padding; a pooling of 2 x 2 follows each. */
enum { KERNEL = 3 };
static const Layer layers[] = {{3, 120, 32}, {60, 240, 15}, {120, 240, 6}};
static const char *const names[] = {"forward", "input gradient", "weight gradient"};

static Shape image(int64_t features, int64_t size) { return shape_of(3, features, size, size); }

/* A value in lanes, which rows of data are not. */
static Val in_lanes(Net *n, Shape shape) {
    Val x = add_rows(n, shape);
    return graph_2(n->g, G_MUL, x, graph_broadcast(n->g, graph_const(n->g, DT_F32, 0.5), shape));
}

static double measure(Bench *b, Layer l, Direction direction, int64_t examples, int repeats) {
    static const char *const product[] = {"conv", "weights", NULL};
    static const char *const sums[] = {"sum", "join", NULL};
    int64_t result = l.size - KERNEL + 1;
    Net n = net_new(b);
    Shape weight = shape_of(4, l.out, l.in, (int64_t)KERNEL, (int64_t)KERNEL);
    Window window = {.groups = 1, .stride = {1, 1}, .dilation = {1, 1}};
    if (direction == WEIGHT_GRADIENT) {
        Val both[] = {in_lanes(&n, image(l.out, result)), in_lanes(&n, image(l.in, l.size))};
        NodeType like = {DT_F32, weight, false};
        write_slot(&n, graph_add(n.g, G_BATCH_CONV, both, 2, &(Attr){.window = window}, &like, (Span){0}));
        return measure_net(b, &n, examples, sums, repeats).step;
    }
    Val w = add_slot(&n, weight), y;
    if (direction == FORWARD) {
        y = graph_conv(n.g, w, in_lanes(&n, image(l.in, l.size)), 0, &window, (int64_t[]){result, result});
    } else {
        window.reversed = true;
        window.pad[0] = window.pad[1] = KERNEL - 1;
        w = graph_transpose(n.g, w, (int[]){1, 0, 2, 3});
        y = graph_conv(n.g, w, in_lanes(&n, image(l.out, result)), 0, &window, (int64_t[]){l.size, l.size});
    }
    write_slot(&n, graph_reduce(n.g, G_BATCH_SUM, y, 0));
    return measure_net(b, &n, examples, product, repeats).step;
}

#ifdef NIN_ONEDNN
static void need(dnnl_status_t status) {
    if (status == dnnl_success) return;
    fprintf(stderr, "oneDNN: status %d\n", (int)status);
    exit(1);
}

static dnnl_memory_t memory_for(dnnl_engine_t engine, const_dnnl_primitive_desc_t pd, dnnl_query_t what) {
    const dnnl_memory_desc_t *md = dnnl_primitive_desc_query_md(pd, what, 0);
    size_t page = (size_t)1 << 21, bytes = (dnnl_memory_desc_get_size(md) + page - 1) / page * page;
    dnnl_memory_t memory;
    float *x = aligned_alloc(page, bytes);
    madvise(x, bytes, MADV_HUGEPAGE);
    for (size_t i = 0; i < bytes / 4; i++) x[i] = (float)(i % 17) * 0.125f - 1;
    need(dnnl_memory_create(&memory, md, engine, x));
    return memory;
}

static dnnl_status_t describe(dnnl_convolution_desc_t *d, Layer l, Direction direction, int64_t examples,
                              dnnl_alg_kind_t algorithm) {
    int64_t result = l.size - KERNEL + 1;
    dnnl_dims_t x = {examples, l.in, l.size, l.size}, w = {l.out, l.in, KERNEL, KERNEL};
    dnnl_dims_t y = {examples, l.out, result, result}, ones = {1, 1}, none = {0, 0};
    dnnl_memory_desc_t mx, mw, my;
    need(dnnl_memory_desc_init_by_tag(&mx, 4, x, dnnl_f32, dnnl_format_tag_any));
    need(dnnl_memory_desc_init_by_tag(&mw, 4, w, dnnl_f32, dnnl_format_tag_any));
    need(dnnl_memory_desc_init_by_tag(&my, 4, y, dnnl_f32, dnnl_format_tag_any));
    if (direction == FORWARD)
        return dnnl_convolution_forward_desc_init(d, dnnl_forward_training, algorithm, &mx, &mw, NULL, &my, ones, none,
                                                  none);
    if (direction == INPUT_GRADIENT)
        return dnnl_convolution_backward_data_desc_init(d, algorithm, &mx, &mw, &my, ones, none, none);
    return dnnl_convolution_backward_weights_desc_init(d, algorithm, &mx, &mw, NULL, &my, ones, none, none);
}

static double time_primitive(dnnl_engine_t engine, const dnnl_primitive_desc_t pd, Direction direction, int repeats) {
    static const int args[][3] = {
        {DNNL_ARG_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_DST}, {DNNL_ARG_DIFF_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_DIFF_DST},
        {DNNL_ARG_SRC, DNNL_ARG_DIFF_WEIGHTS, DNNL_ARG_DIFF_DST}};
    static const dnnl_query_t queries[][3] = {
        {dnnl_query_src_md, dnnl_query_weights_md, dnnl_query_dst_md},
        {dnnl_query_diff_src_md, dnnl_query_weights_md, dnnl_query_diff_dst_md},
        {dnnl_query_src_md, dnnl_query_diff_weights_md, dnnl_query_diff_dst_md}};
    dnnl_stream_t stream;
    dnnl_primitive_t primitive;
    dnnl_exec_arg_t arg[3];
    double best = 1e9;
    need(dnnl_primitive_create(&primitive, pd));
    need(dnnl_stream_create(&stream, engine, dnnl_stream_default_flags));
    for (int k = 0; k < 3; k++)
        arg[k] = (dnnl_exec_arg_t){args[direction][k], memory_for(engine, pd, queries[direction][k])};
    for (int r = 0; r < repeats; r++) {
        double start = seconds();
        need(dnnl_primitive_execute(primitive, stream, 3, arg));
        need(dnnl_stream_wait(stream));
        double took = seconds() - start;
        if (took < best) best = took;
    }
    for (int k = 0; k < 3; k++) {
        void *at;
        need(dnnl_memory_get_data_handle(arg[k].memory, &at));
        dnnl_memory_destroy(arg[k].memory);
        free(at);
    }
    dnnl_stream_destroy(stream);
    dnnl_primitive_destroy(primitive);
    return best;
}

static double measure_onednn(Layer l, Direction direction, int64_t examples, int repeats) {
    static const dnnl_alg_kind_t algorithms[] = {dnnl_convolution_direct, dnnl_convolution_auto};
    dnnl_engine_t engine;
    double best = 1e9;
    need(dnnl_engine_create(&engine, dnnl_cpu, 0));
    for (int a = 0; a < COUNT(algorithms); a++) {
        dnnl_convolution_desc_t d;
        dnnl_primitive_desc_t pd, forward = NULL;
        if (describe(&d, l, direction, examples, algorithms[a]) != dnnl_success) continue;
        if (direction != FORWARD) {
            dnnl_convolution_desc_t f;
            need(describe(&f, l, FORWARD, examples, algorithms[a]));
            if (dnnl_primitive_desc_create(&forward, &f, NULL, engine, NULL) != dnnl_success) continue;
        }
        if (dnnl_primitive_desc_create(&pd, &d, NULL, engine, forward) == dnnl_success) {
            double took = time_primitive(engine, pd, direction, repeats);
            if (took < best) best = took;
            dnnl_primitive_desc_destroy(pd);
        }
        if (forward) dnnl_primitive_desc_destroy(forward);
    }
    dnnl_engine_destroy(engine);
    return best;
}
#endif

/* Rounds of ours and theirs in turn: what the machine does beside them hits both. */
static void show(Bench *b, Layer l, Direction direction, int64_t examples) {
    enum { ROUNDS = 3, REPEATS = 2 };
    int64_t result = l.size - KERNEL + 1;
    double flops = 2.0 * (double)(examples * l.in * l.out * result * result * KERNEL * KERNEL);
    double ours = 1e9, theirs = 1e9;
    for (int round = 0; round < ROUNDS; round++) {
        double took = measure(b, l, direction, examples, REPEATS);
        if (took < ours) ours = took;
#ifdef NIN_ONEDNN
        took = measure_onednn(l, direction, examples, 3 * REPEATS);
        if (took < theirs) theirs = took;
#endif
    }
    char shape[32];
    snprintf(shape, sizeof shape, "%d -> %d, %dx%d", (int)l.in, (int)l.out, (int)l.size, (int)l.size);
    printf("  %-17s %-16s %7.1f GFLOP/s  %3.0f %% of peak", shape, names[direction], flops / ours * 1e-9,
           100 * flops / ours * 1e-9 / b->peak);
    if (theirs < 1e9) printf("   oneDNN %7.1f  ratio %.2f", flops / theirs * 1e-9, theirs / ours);
    printf("\n");
    fflush(stdout);
}

int main(int argc, char **argv) {
    const char *cpu = NULL, *only = "fiw";
    int64_t examples = 64;
    for (int k = 1; k < argc; k++) {
        if (strcmp(argv[k], "-c") == 0 && k + 1 < argc) cpu = argv[++k];
        else if (strcmp(argv[k], "-n") == 0 && k + 1 < argc) examples = atoll(argv[++k]);
        else only = argv[k];
    }
#ifdef NIN_ONEDNN
    if (!getenv("OMP_NUM_THREADS")) {                          /* read when the library is loaded */
        setenv("OMP_NUM_THREADS", "1", 1);
        execv("/proc/self/exe", argv);
    }
    const dnnl_version_t *v = dnnl_version();
#endif
    Bench b = bench_new(cpu);
    printf("convolutions of %d examples on %s: %s, FMA peak %.1f GFLOP/s, ", (int)examples, cpu ? cpu : "this CPU",
           bench_isa(&b), b.peak);
#ifdef NIN_ONEDNN
    printf("oneDNN %d.%d.%d\n", v->major, v->minor, v->patch);
#else
    printf("no oneDNN here (libdnnl-dev)\n");
#endif
    for (Direction d = FORWARD; d <= WEIGHT_GRADIENT; d++)
        for (int k = 0; k < COUNT(layers); k++)
            if (strchr(only, names[d][0])) show(&b, layers[k], d, examples);
    arena_free(b.arena);
    return 0;
}
