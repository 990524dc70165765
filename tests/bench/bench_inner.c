/* bench_inner.c -- the fused inner net 2 -> 64 -> 64 -> 1, forward and backward, against the FMA peak of this machine
 * measured in the same run.  Usage: bench_inner [cpu ...]; default: the host and haswell.  One thread, minima. */
#include "bench.h"

enum { UNITS = 64, EXAMPLES = 64, HIDDEN = 64, REPEATS = 200, FORWARD = 8576, BACKWARD = 25728 };

/* ---- the net ---- */

static Shape shapes[6];

static Graph *inner_body(Arena *arena) {
    Graph *b = graph_new(arena);
    Val x[2], s[6];
    for (int k = 0; k < 2; k++)
        x[k] = graph_reshape(b, graph_input(b, IN_MAPPED, k, "x", (NodeType){DT_F32, SHAPE0, false}),
                             shape_of(1, (int64_t)1));
    for (int k = 0; k < 6; k++) s[k] = graph_input(b, IN_SHARED, k, "p", (NodeType){DT_F32, shapes[k], false});
    Attr joined = {.axis = 0};
    Val in = graph_add(b, G_CONCAT, x, 2, &joined, NULL, (Span){0});
    Val zero = graph_broadcast(b, graph_const(b, DT_F32, 0), shape_of(1, (int64_t)HIDDEN));
    Val h1 = graph_2(b, G_MAX, zero, graph_matmul(b, s[0], in, s[1]));
    Val h2 = graph_2(b, G_MAX, zero, graph_matmul(b, s[2], h1, s[3]));
    graph_output(b, OUT_MAPPED, 0, "y", graph_reshape(b, graph_matmul(b, s[4], h2, s[5]), SHAPE0));
    return b;
}

static void build(Bench *b, Net *n, bool backward) {
    *n = net_new(b);
    Shape row = shape_of(1, (int64_t)UNITS);
    Val in[8], grad[8], dy;
    for (int k = 0; k < 2; k++) in[k] = add_rows(n, row);
    for (int k = 0; k < 6; k++) in[2 + k] = add_slot(n, shapes[k]);
    Attr attr = {.mapped = 2, .body = inner_body(b->arena)};
    Val y = graph_proj(n->g, graph_add(n->g, G_MAP, in, 8, &attr, NULL, (Span){0}), 0);
    if (!backward) {
        write_slot(n, graph_reduce(n->g, G_BATCH_SUM, y, 0));
        return;
    }
    dy = add_rows(n, row);
    Diags diags = {0};
    if (!pass_grad(n->g, y, dy, in, 8, grad, &diags)) exit(1);
    for (int k = 0; k < 2; k++) write_slot(n, graph_reduce(n->g, G_BATCH_SUM, grad[k], 0));
    for (int k = 2; k < 8; k++) write_slot(n, grad[k]);
}

static void measure(Bench *b, bool backward) {
    Net n;
    build(b, &n, backward);
    Measured best = measure_net(b, &n, EXAMPLES, NULL, REPEATS);
    double ns = best.step * 1e9 / (EXAMPLES * UNITS), rate = (backward ? BACKWARD : FORWARD) / ns;
    printf("  %-8s %7.1f ns a call  %6.1f GFLOP/s  %3.0f %% of peak   (lowered in %.1f ms, compiled in %.0f ms)\n",
           backward ? "backward" : "forward", ns, rate, 100 * rate / b->peak, best.lowering * 1e3,
           best.compiling * 1e3);
}

int main(int argc, char **argv) {
    const char *default_cpus[] = {NULL, "haswell"};
    shapes[0] = shape_of(2, (int64_t)HIDDEN, (int64_t)2), shapes[1] = shapes[3] = shape_of(1, (int64_t)HIDDEN);
    shapes[2] = shape_of(2, (int64_t)HIDDEN, (int64_t)HIDDEN), shapes[4] = shape_of(2, (int64_t)1, (int64_t)HIDDEN);
    shapes[5] = shape_of(1, (int64_t)1);
    for (int k = 0; k < (argc > 1 ? argc - 1 : COUNT(default_cpus)); k++) {
        Bench b = bench_new(argc > 1 ? argv[1 + k] : default_cpus[k]);
        printf("inner net 2-64-64-1 on %s: %s, FMA peak %.1f GFLOP/s\n", b.options.cpu ? b.options.cpu : "this CPU",
               bench_isa(&b), b.peak);
        measure(&b, false);
        measure(&b, true);
        double again = measure_peak(&b);
        if (again > b.peak) printf("  (peak measured again: %.1f GFLOP/s)\n", again);
        arena_free(b.arena);
    }
    return 0;
}
