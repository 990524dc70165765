/* bench_grid.c -- a cell of two arguments on a grid of 64 x 64 nodes, or in a table of 32 x 32 blocks of 2 x 2 cells,
 * forward and backward (the table: to its arguments), per call, in compiled steps: what a program with the cell takes
 * more than one with a sum in its place.  Arguments are uniform over the
 * box, or crowded in its middle.  Usage: bench_grid [cpu ...]; default: the host and haswell.  One thread, minima. */
#include "bench.h"

#include "graph/lookup.h"

typedef enum Way { SUM, GRID, BLOCKS } Way;
enum { UNITS = 64, EXAMPLES = 192, SIDE = 64, REPEATS = 400 };

static Val pair(Net *n, double x) {
    return graph_broadcast(n->g, graph_const(n->g, DT_F32, x), shape_of(1, (int64_t)2));
}

/* crowd: arguments are shrunk to a tenth of the box, about 6 x 6 cells. */
static Val argument(Net *n, bool crowd) {
    Val x = add_rows(n, shape_of(1, (int64_t)UNITS));
    NodeType type = graph_type(n->g, x);
    Val by = graph_add(n->g, G_BROADCAST, (Val[]){graph_const(n->g, DT_F32, crowd ? 0.1 : 1)}, 1, NULL, &type,
                       (Span){0});
    return graph_2(n->g, G_MUL, x, by);
}

static Val constant(Net *n, DType dtype, Shape shape, const void *data) {
    Blob *blob = arena_new_of(n->g->arena, Blob);
    *blob = (Blob){dtype, shape, data, fnv1a(data, (size_t)shape_size(&shape) * 4, FNV1A_START)};
    return graph_add(n->g, G_TABLE, NULL, 0, &(Attr){.blob = blob}, &(NodeType){dtype, shape, false}, (Span){0});
}

static Val lookup(Net *n, const Val *x) {
    enum { ALONG = SIDE / 2, LEVEL = 1 };
    int64_t each = lookup_values(2, LEVEL), all = ALONG * ALONG;
    float *values = arena_array(n->g->arena, float, all * each);
    int32_t *index = arena_array(n->g->arena, int32_t, all);
    for (int64_t i = 0; i < all * each; i++) values[i] = (float)(i % 17);
    for (int64_t i = 0; i < all; i++) index[i] = (int32_t)(LEVEL << LOOKUP_SHIFT | i * each);
    Val in[] = {constant(n, DT_F32, shape_of(1, all * each), values),
                constant(n, DT_I32, shape_of(2, (int64_t)ALONG, (int64_t)ALONG), index),
                pair(n, -1), pair(n, ALONG / 2.0), x[0], x[1]};
    return graph_add(n->g, G_LOOKUP, in, 6, &(Attr){0}, NULL, (Span){0});
}

static Net build(Bench *b, Way way, bool backward, bool crowd) {
    Net n = net_new(b);
    Val table = way == GRID ? add_slot(&n, shape_of(2, (int64_t)SIDE, (int64_t)SIDE)) : 0, x[2], in[5], grad[3];
    for (int k = 0; k < 2; k++) x[k] = argument(&n, crowd);
    in[0] = table, in[1] = pair(&n, -1), in[2] = pair(&n, (SIDE - 1) / 2.0), in[3] = x[0], in[4] = x[1];
    Val y = way == SUM    ? graph_2(n.g, G_ADD, x[0], x[1])
            : way == GRID ? graph_add(n.g, G_INTERPOLATE, in, 5, &(Attr){0}, NULL, (Span){0})
                          : lookup(&n, x);
    if (!backward) {
        write_slot(&n, graph_reduce(n.g, G_BATCH_SUM, y, 0));
        return n;
    }
    Val dy = add_rows(&n, shape_of(1, (int64_t)UNITS));
    Diags diags = {0};
    if (way != SUM && !pass_grad(n.g, y, dy, (Val[]){x[0], x[1], table}, way == GRID ? 3 : 2, grad, &diags)) exit(1);
    for (int k = 0; k < 2; k++)
        write_slot(&n, graph_reduce(n.g, G_BATCH_SUM, way == SUM ? graph_2(n.g, G_ADD, dy, x[k]) : grad[k], 0));
    if (way == GRID) write_slot(&n, grad[2]);
    return n;
}

static double measure(Bench *b, Way way, bool backward, bool crowd) {
    static const char *const names[] = {"lanes", "sum", NULL};
    double took[2];
    for (int cell = 0; cell < 2; cell++) {
        Net n = build(b, cell ? way : SUM, backward, crowd);
        took[cell] = measure_net(b, &n, EXAMPLES, names, REPEATS).step;
    }
    return (took[1] - took[0]) * 1e9 / (EXAMPLES * UNITS);
}

int main(int argc, char **argv) {
    const char *default_cpus[] = {NULL, "haswell"};
    for (int k = 0; k < (argc > 1 ? argc - 1 : COUNT(default_cpus)); k++) {
        Bench b = bench_new(argc > 1 ? argv[1 + k] : default_cpus[k]);
        printf("a cell on 64 x 64 nodes on %s: %s\n", b.options.cpu ? b.options.cpu : "this CPU", bench_isa(&b));
        for (int crowd = 0; crowd < 2; crowd++) {
            for (Way way = GRID; way <= BLOCKS; way++) {
                double forward = measure(&b, way, false, crowd), backward = measure(&b, way, true, crowd);
                printf("  %-6s  %-20s forward %5.2f ns, backward %5.2f ns, both %5.2f ns a call\n",
                       way == GRID ? "grid" : "blocks", crowd ? "a tenth of the box" : "uniform", forward, backward,
                       forward + backward);
            }
        }
        arena_free(b.arena);
    }
    return 0;
}
