/* scan.h -- building SCANs, and taking them apart.
 *
 * What a turn computes is built in the graph itself, from HOLEs that stand for the carries and the parts of slices;
 * then scan_make moves it into a body.  What does not depend on a hole stays outside, computed once, and is whole in
 * the body; constants and views (they cost nothing) are made again inside. */
#ifndef NIN_GRAPH_SCAN_H
#define NIN_GRAPH_SCAN_H

#include "graph/graph.h"

typedef struct ScanCarry { Val hole, start, next; } ScanCarry;          /* three of one type */
typedef struct ScanSlice { Val hole, of; bool back; } ScanSlice;        /* back: from the last part to the first */
typedef struct ScanStack { Val value; bool back; } ScanStack;
typedef struct ScanDraft {
    int64_t turns;
    VEC(ScanCarry) carry;
    VEC(ScanSlice) slice;
    VEC(ScanStack) stack;
} ScanDraft;

Val scan_hole(Graph *g, NodeType type);                                 /* one that is like no other */
NodeType scan_part(const Graph *g, Val of);                             /* the type of a turn's part of a slice */
/* Needs a carry or a stack.  PROJ k: carry k after the last turn, then the stacks.  0: too many operands or outputs. */
Val scan_make(Graph *g, const ScanDraft *draft);
/* Adds the nodes of a body; given: by its inputs.  Returns their values, by node of the body. */
Val *scan_instance(Graph *g, Arena *scratch, const Graph *body, const Val *given);

bool graph_has_scan(const Graph *graph);
/* The same graph, every SCAN written out turn by turn: equal to the bit. */
Graph *graph_unroll(Arena *arena, const Graph *graph);

#endif
