/* training.h -- one training under way: what its files share (train.c, fit.c, checkpoint.c). */
#ifndef NIN_TRAINING_H
#define NIN_TRAINING_H

#include "experiment/experiment.h"

/* One session under way.  In a session that fits cells, info, model and data are those of the cell that is fitted now;
 * net is always the whole. */
typedef struct Training {
    Eval *e; const TrainRequest *r; const NetInfo *info; Model *model, *net; Run *run; const DataObject *data;
    const SessionSpec *s; int number;                                    /* of the session, from 1 */
    int part;                                                            /* the fitted cell, from 0 */
    bool *learn;                                                         /* by parameter of info */
    TrainPlan *plan; const double *settings; const uint64_t *keys;
    char *block, *before;                                                /* before: as the cut began */
    Value measure[7]; int measures;
    double *series[8]; int64_t batch, per_epoch, total, done;
    uint32_t *order;
    double best; char *best_block;
    double lowest; int64_t since_lowest;
    bool by_epoch, stop;
} Training;

void *training_aligned(Arena *arena, size_t size);
/* The session's steps on t->info, t->model and t->data; t->model holds the result. */
bool training_part(Training *t);

/* ---- fit.c: cells by themselves ---- */
/* The cell types that a session fits: indices into info->cell.  0 after a diagnostic. */
int fit_cells(Eval *e, const NetInfo *info, const SessionSpec *s, Span span, int *cell);
bool fit_check(Eval *e, const TrainRequest *r, const NetInfo *info, const SessionSpec *s);
bool fit_session(Training *t);

#endif
