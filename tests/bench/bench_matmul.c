/* bench_matmul.c -- products of matrices as the kernels of a compiled step compute them, forward (y = w x), gradient
 * of the input (dx = w' dy) and of the weights (dw = dy x'), against OpenBLAS's best call and the FMA peak, in one run.
 *
 * A shape M x K x N: M examples, K features in, N out.  Activations stand as programs keep them, lanes are examples;
 * whatever else a kernel packs or turns is part of its time, and so are the lanes that examples do not fill.
 * OpenBLAS: the fastest of sgemm's eight calls (both factors plain or transposed, either first), one thread.
 * Usage: bench_matmul [cpu].  One thread, minima. */
#include <unistd.h>

#include "bench.h"

#ifdef NIN_OPENBLAS
#include <cblas.h>
#endif

typedef enum Direction { FORWARD, INPUT_GRADIENT, WEIGHT_GRADIENT } Direction;
typedef struct Product { int64_t m, k, n; } Product;

static const Product products[] = {{200, 784, 128}, {200, 64, 128}, {200, 3072, 128}, {200, 480, 240}, {512, 512, 512}};
static const char *const names[] = {"forward", "input gradient", "weight gradient"};

/* A value in lanes, which rows of data are not. */
static Val in_lanes(Net *n, int64_t width) {
    Val x = add_rows(n, shape_of(1, width));
    return graph_2(n->g, G_MUL, x, graph_broadcast(n->g, graph_const(n->g, DT_F32, 0.5), shape_of(1, width)));
}

static double measure(Bench *b, Product p, Direction direction, int repeats) {
    static const char *const product[] = {"matmul", "pack", NULL};
    static const char *const sums[] = {"outer", NULL};
    Net n = net_new(b);
    if (direction == WEIGHT_GRADIENT) {
        Val both[] = {in_lanes(&n, p.n), in_lanes(&n, p.k)};
        write_slot(&n, graph_add(n.g, G_BATCH_OUTER, both, 2, NULL, NULL, (Span){0}));
        return measure_net(b, &n, p.m, sums, repeats).step;
    }
    Val w = add_slot(&n, shape_of(2, p.n, p.k)), x = in_lanes(&n, direction == FORWARD ? p.k : p.n);
    if (direction == INPUT_GRADIENT) w = graph_transpose(n.g, w, (int[]){1, 0});
    write_slot(&n, graph_reduce(n.g, G_BATCH_SUM, graph_matmul(n.g, w, x, 0), 0));
    return measure_net(b, &n, p.m, product, repeats).step;
}

#ifdef NIN_OPENBLAS
/* c[m][n] = a[m][k] b[k][n], each factor plain or transposed; or the transposed product. */
static double measure_blas(Arena *arena, int64_t m, int64_t k, int64_t n, int repeats) {
    int64_t larger = (m > n ? m : n) * k;
    float *a = arena_array(arena, float, larger), *b = arena_array(arena, float, larger);
    float *c = arena_array(arena, float, m * n);
    double best = 1e9;
    openblas_set_num_threads(1);
    for (int64_t i = 0; i < larger; i++) a[i] = (float)(i % 17) * 0.125f - 1;
    for (int64_t i = 0; i < larger; i++) b[i] = (float)(i % 13) * 0.125f - 1;
    for (int call = 0; call < 8; call++) {
        CBLAS_TRANSPOSE ta = call & 1 ? CblasTrans : CblasNoTrans, tb = call & 2 ? CblasTrans : CblasNoTrans;
        int rows = (int)(call & 4 ? n : m), columns = (int)(call & 4 ? m : n), deep = (int)k;
        for (int r = 0; r < repeats; r++) {
            double start = seconds();
            cblas_sgemm(CblasRowMajor, ta, tb, rows, columns, deep, 1, a, call & 1 ? rows : deep, b,
                        call & 2 ? deep : columns, 0, c, columns);
            double took = seconds() - start;
            if (took < best) best = took;
        }
    }
    return best;
}
#endif

/* Rounds of ours and theirs in turn: what the machine does beside them hits both. */
static void show(Bench *b, Product p, Direction direction) {
    enum { ROUNDS = 4, REPEATS = 8 };
    double flops = 2.0 * (double)(p.m * p.k * p.n), ours = 1e9, blas = 1e9;
    for (int round = 0; round < ROUNDS; round++) {
        double took = measure(b, p, direction, REPEATS);
        if (took < ours) ours = took;
#ifdef NIN_OPENBLAS
        Product q = direction == FORWARD ? p : direction == INPUT_GRADIENT ? (Product){p.m, p.n, p.k}
                                                                           : (Product){p.n, p.m, p.k};
        took = measure_blas(b->arena, q.m, q.k, q.n, REPEATS);
        if (took < blas) blas = took;
#endif
    }
    char shape[32];
    snprintf(shape, sizeof shape, "%lldx%lldx%lld", (long long)p.m, (long long)p.k, (long long)p.n);
    printf("  %-13s %-16s %7.1f GFLOP/s  %3.0f %% of peak", shape, names[direction], flops / ours * 1e-9,
           100 * flops / ours * 1e-9 / b->peak);
    if (blas < 1e9) printf("   OpenBLAS %7.1f  ratio %.2f", flops / blas * 1e-9, blas / ours);
    printf("\n");
}

#ifdef NIN_OPENBLAS
/* OpenBLAS chooses its kernels when it is loaded, and may not know this CPU: they are named for it. */
static void choose_kernels(const Bench *b, char **argv) {
    if (getenv("OPENBLAS_CORETYPE")) return;
    setenv("OPENBLAS_CORETYPE", b->target.vector_bytes >= 64 ? "SkylakeX" : "Haswell", 1);
    execv("/proc/self/exe", argv);
}
#endif

int main(int argc, char **argv) {
    Bench b = bench_new(argc > 1 ? argv[1] : NULL);
#ifdef NIN_OPENBLAS
    choose_kernels(&b, argv);
#endif
    printf("matrices on %s: %s, FMA peak %.1f GFLOP/s, %s\n", b.options.cpu ? b.options.cpu : "this CPU", bench_isa(&b),
           b.peak,
#ifdef NIN_OPENBLAS
           openblas_get_config()
#else
           "no OpenBLAS here (libopenblas-dev)"
#endif
    );
    for (Direction d = FORWARD; d <= WEIGHT_GRADIENT; d++)
        for (int k = 0; k < COUNT(products); k++) show(&b, products[k], d);
    arena_free(b.arena);
    return 0;
}
