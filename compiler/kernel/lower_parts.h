/* lower_parts.h -- the pieces of lowering, one file each.
 *
 *   lower.c          which way; tables of entries, buffers and stages
 *   generate.c       the ops of graphs as instructions
 *   divide.c         divisions by what is the same in a loop
 *   lower_neuron.c   the whole training loop as one kernel of scalars, or of trials in lanes
 *   unroll.c         a graph's elements one by one, all indices known
 *   lower_staged.c   phases and stages; phases.c: which phase; lower_scan.c: those of a SCAN, in a loop; result_rows.c:
 *                    results by example
 *   region.c         which values are stored, where; reading an element
 *   nest.c, tile.c   loop nests; register-tiled products; pack.c: weights packed for them
 *   batch.c          sums over the batch; outer.c: large gradients of weights
 *   conv.c           convolutions as nests; conv_tile.c, conv_weight.c, conv_chains.c: register-tiled
 *   map.c            a MAP on blocks of points; map_rows.c: with elements in lanes; map_sums.c: its sums over points;
 *                    map_gaps.c: points left out of it; map_near.c, map_zeros.c: points sorted, terms left out
 *   nest_map.c       one inside a body */
#ifndef NIN_LOWER_PARTS_H
#define NIN_LOWER_PARTS_H

#include "kernel/generate.h"
#include "kernel/lower.h"

/* The tables being built.  Entries are shared: asking twice gives the same number. */
typedef struct Plan {
    Arena *arena;
    const Graph *graph;
    Target target;
    KModule *module;
    int lanes;                             /* examples in a block: 16, or 1 for plain C */
    VEC(Stage) stage;
    VEC(Entry) entry;
    VEC(Buffer) buffer;
    VEC(StageLoop) loop;
    VEC(Moving) turn;
    VEC(int) number;                       /* by entry, while a stage's arguments are numbered: number + 1, or 0 */
} Plan;

int plan_entry(Plan *plan, EntryKind kind, int index);
int plan_buffer(Plan *plan, Buffer buffer);                       /* its ENTRY_BUFFER or ENTRY_SCRATCH entry */
void plan_stage(Plan *plan, Gen *g, StageSplit split, int64_t count, const char *what);
int plan_turn(Plan *plan, Moving turn);                            /* its ENTRY_TURN entry */
Gen plan_function(Plan *plan, const char *name);

/* ---- unroll.c ---- */

/* A graph all of whose elements are values: of element i of example e of a batched node,
 * value[node][e * size + i]; of others value[node][i]. */
typedef struct Unrolled Unrolled;
struct Unrolled {
    Gen *g;
    Arena *arena;
    const Graph *graph;
    int64_t examples;
    int lanes;
    KVal **value;
    const Unrolled *outer;                 /* of a body: where its operands stand, */
    Val map;                               /* the MAP, */
    int64_t example, point;                /* and the point */
    /* An INPUT of the program, NOISE, NORMAL. */
    void (*leaf)(void *data, Unrolled *u, Val node, KVal *out);
    void *leaf_data;
};
/* Scalars that unrolling takes, saturating at the limit. */
int64_t unroll_cost(const Graph *graph, int64_t examples, int64_t limit);
void unroll_init(Unrolled *u, Gen *g, Arena *arena, const Graph *graph, int64_t examples);
void unroll_node(Unrolled *u, Val node);
KVal unroll_at(const Unrolled *u, Val node, int64_t example, int64_t element);

bool neuron_fits(const Graph *graph, int64_t examples);
/* lanes: NULL, or trials in lanes; then the number of trials, and slot_varies. */
int neuron_lower(Plan *plan, int64_t examples, const Lanes *lanes, bool **slot_varies);
void staged_lower(Plan *plan);

/* Of a finished function: divides a vector by what is the same in a loop without the divide unit.  The bits stay. */
void divide_by_the_same(Plan *plan, KFunc *f);

#endif
