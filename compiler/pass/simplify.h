/* simplify.h -- what the files of pass_simplify share: building a node through the identities. */
#ifndef NIN_PASS_SIMPLIFY_H
#define NIN_PASS_SIMPLIFY_H

#include "graph/graph.h"

typedef struct Simplifier {
    Graph *g;                   /* the graph being built */
    Arena *scratch;
    int applied;                /* identities used so far */
    Span span;
} Simplifier;

/* A node about to be built. */
typedef struct Draft { Op op; const Val *in; int nin; const Attr *attr; NodeType type; } Draft;

/* As graph_add, but an identity that applies gives an equal, cheaper node of the same type. */
Val simple_add(Simplifier *s, Op op, const Val *in, int nin, const Attr *attr, const NodeType *like);

/* ---- matching and short forms ---- */
Op simple_op(const Simplifier *s, Val v);
Val simple_arg(const Simplifier *s, Val v, int i);
const Shape *simple_shape(const Simplifier *s, Val v);
bool simple_number(const Simplifier *s, Val v, double *x);  /* a constant, also one that is repeated */
bool simple_is(const Simplifier *s, Val v, double x);       /* that constant, to the bit */
Val simple_splat(Simplifier *s, double x, NodeType type);   /* the constant, repeated to the type */
Val simple_1(Simplifier *s, Op op, Val a);
Val simple_2(Simplifier *s, Op op, Val a, Val b);
Val simple_view(Simplifier *s, Op op, Val a, const int64_t *starts, NodeType type);
bool type_equal(const NodeType *a, const NodeType *b);

/* The rules of views (simplify_moves.c): 0 = none applies. */
Val simple_move(Simplifier *s, const Draft *d);
/* A constant operand everywhere: the constant that the interpreter gives (fold.c); 0 = none. */
Val simple_fold(Simplifier *s, const Draft *d);

/* One round over a graph: an equal one without what is dead (simplify_map.c). */
Graph *simple_round(Arena *arena, const Graph *from, int *applied);

#endif
