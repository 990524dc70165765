/* strategy.h -- strategies of a model's cells (strategy.c): LANGUAGE 4.11. */
#ifndef NIN_EXPERIMENT_STRATEGY_H
#define NIN_EXPERIMENT_STRATEGY_H

#include "experiment/training.h"
#include "sema/strategy.h"

const Strategies *info_strategies(const NetInfo *info);                  /* NULL: all cells are exact */
/* What `cells:` (NULL: exact) asks for on a net's cells, without tables and coefficients.  E0314, E0603, E0613 */
bool strategies_read(Eval *e, const NetInfo *info, const Value *cells, Span span, const Strategies **out);
const NetInfo *info_with(Eval *e, const NetInfo *info, const Strategies *strategies, Span span);
/* The net that a run's model has after its first sessions; in layout: without tables and coefficients. */
const NetInfo *info_after(Eval *e, const NetInfo *info, const Schedule *schedule, int sessions, Span span);
/* The net that a training starts from. */
const NetInfo *request_info(Eval *e, const TrainRequest *request);
/* Gives snapshots that were read the nets of their sessions; false: a size differs. */
bool snapshots_place(Eval *e, const TrainRequest *request, Run *run);
/* The model in another layout: parameters go by path, new ones start. */
Model *model_on(Eval *e, const Model *model, const NetInfo *info, Span span);
/* The model with these strategies; tables and coefficients that are missing are made from its weights. */
Model *model_with(Eval *e, const Model *model, const Strategies *strategies, Span span);
/* Parameters that stand still whatever is selected: those that a table or a fit stands for. */
void strategies_still(const NetInfo *info, bool *learn);
bool box_read(Eval *e, const Value *over, int arity, const char *what, Span span, Strategy *s);

/* What a callable such as grid[64] asks for on a cell of this arity.  E0613 */
bool strategy_read_callable(Eval *e, const Callable *c, int arity, const char *cell, Span span, Strategy *s);

/* ---- stand_in.c: fits ---- */
/* The cell at the points of a fit: an even grid of its box, or the middles of a region's bins, weighed by their
 * counts. */
typedef struct Samples {
    int arguments;
    int64_t n;
    double *x[STRATEGY_ARGUMENTS], *y, *weight;
} Samples;                                                                            /* weight NULL: 1 */
void samples_place(Eval *e, const Strategy *s, int arguments, Samples *out);          /* without y */
bool samples_take(Eval *e, const Value *cell, const Strategy *s, int arguments, Span span, Samples *out);
/* s->coefficients and s->r2. */
bool fit_samples(Eval *e, const Samples *samples, Strategy *s);
bool fit_make(Eval *e, const Value *cell, int arguments, Span span, Strategy *s);    /* both */
/* The value of a fit with coefficients at a point. */
double fit_value(const Strategy *s, int arguments, const double *x);

/* Automatic boxes of grids from exact forward passes: `steps` steps of the request's data and mode. */
bool has_boxes(const NetInfo *info);
bool boxes_find(Eval *e, Model *model, const PlanRequest *request, const Feed *feed, const Seeds *seeds,
                uint32_t session, int64_t steps, Span span);

#endif
