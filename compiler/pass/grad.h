/* grad.h -- what the files of pass_grad share: the state of one reverse sweep and how a rule gives its results.
 *
 * The adjoint of node v has v's dtype and shape.  For a batched v it may be a value that is not batched: then it
 * is the same for each example.  For a v that is not batched it never is.
 * A rule vjp_NAME reads the current node ad->y, its adjoint ad->dy, and gives to each operand that is wanted. */
#ifndef NIN_PASS_GRAD_H
#define NIN_PASS_GRAD_H

#include "graph/graph.h"

typedef struct Use { Val user; int port; Val value; int next; } Use;      /* what one use of a node contributes */
enum AdMark { AD_WRT = 1, AD_ACTIVE = 2, AD_TOUCHED = 4 };

typedef struct Ad {
    Graph *g;
    Diags *diags;
    Arena *scratch;
    Val top;                    /* ids 1..top are differentiated; above lies what the sweep made */
    uint8_t *mark;              /* by id: a set of AdMark */
    int *first;                 /* by id: its uses, in program order (user, port); index into use, 0 = none */
    VEC(Use) use;
    Val held;                   /* a constant here, whatever it was made from; 0: none */
    Val y, dy;                  /* the node whose rule runs, and its adjoint */
    const uint8_t *within;      /* by id: only the rules of these run; NULL: of all */
    bool cell;                  /* the graph is the body of a MAP */
    bool failed;
} Ad;

void ad_init(Ad *ad, Graph *graph, Diags *diags, Arena *scratch, Val top);
void ad_want(Ad *ad, Val v);                        /* before ad_spread */
void ad_spread(Ad *ad);                             /* marks what depends on the wanted ones */
void ad_seed(Ad *ad, Val v, Val adjoint);
void ad_run(Ad *ad);
Val ad_total(Ad *ad, Val v);                        /* the sum of its uses' contributions; 0 = none */

/* ---- for rules ---- */
bool ad_wants(const Ad *ad, int i);                 /* does the adjoint of operand i matter? */
Val ad_in(const Ad *ad, int i);
const Shape *ad_shape(const Ad *ad, Val v);
bool ad_batched(const Ad *ad, Val v);
Val ad_number(Ad *ad, double x);                    /* a constant of y's dtype */
/* Contributes value, of operand i's shape after the sum over `axes`, to operand i; summed over the batch if y or
 * value is batched and the operand is not: then also over the axes of a BROADCAST that leads to it, in one node. */
void ad_give(Ad *ad, int i, Val value);
void ad_give_over(Ad *ad, int i, Val value, uint32_t axes);
void ad_give_whole(Ad *ad, int i, Val value);       /* as it is: the rule has summed over the batch */
void ad_stop(Ad *ad, const char *what);             /* E0501 at y */
void ad_touch(Ad *ad, int i);                       /* an integer operand decides a value: see grad.c */
Val ad_to_batch(Ad *ad, Val v);                     /* the same for each example */
Val ad_expand(Ad *ad, Val v, uint32_t axes, Shape shape);   /* puts reduced axes back by repeating */

#define GIVE(i, value) do { if (ad_wants(ad, (i))) ad_give(ad, (i), (value)); } while (0)

#define OP(name, arity, class, text) void vjp_##name(Ad *ad);
#include "ops.def"
#undef OP

#endif
