/* training.h -- one training under way: what its files share (train.c, fit.c, checkpoint.c). */
#ifndef NIN_TRAINING_H
#define NIN_TRAINING_H

#include "experiment/experiment.h"

/* One session under way.  In a session that fits cells, info, model and data are those of the cell that is fitted now;
 * net is always the whole. */
typedef struct Training {
    Eval *e; const TrainRequest *r; const NetInfo *info; Model *model, *net; Run *run; const DataObject *data;
    const SessionSpec *s; int number;                                    /* of the session, from 1 */
    int part; const NetCell *cell;                                       /* the fitted cell, from 0 */
    bool *learn;                                                         /* by parameter of info */
    TrainPlan *plan; const double *settings; const uint64_t *keys;
    char *block, *before;                                                /* before: as the cut began */
    Value measure[7]; int measures;
    double *series[8]; int64_t series_from;                              /* the step that they begin with */
    int64_t batch, per_epoch, total, done;
    int64_t most, cut; /* steps that series hold; steps between two looks round */
    uint32_t *order;
    double best; char *best_block;
    double lowest; int64_t since_lowest;
    bool by_epoch, stop;
    bool claimed; int lock;                                              /* checkpoint.c; lock: -1 */
    Run *found;                                                          /* another process has trained it */
    int jump;                                                            /* go on with this session, from 0; -1: no */
    struct Checkpoint *saved; /* the middle of that session; NULL: its start */
    double saved_at;
} Training;

int training_row(Training *t, int number, const char *session, int64_t epoch);
CurveColumn *training_column(Training *t, const char *name, int row);
void training_add_snapshot(Training *t, Snapshot snapshot);
/* The start of a session's weights in the model that goes on. */
void training_to_model(const Training *t);

void *training_aligned(Arena *arena, size_t size);
/* The parts of a run: its start (*t, its Run and Model), one session up to its first step, and the Run that it
 * gives. */
bool training_begin(Eval *e, const TrainRequest *request, Training *t);
bool training_session_open(Training *t, int number);
bool training_part_open(Training *t);
bool training_end(Training *t, double start, bool ok, Run **out);
void training_feed(Training *t, Feed *feed, int64_t epoch);
/* The session's steps on t->info, t->model and t->data; t->model holds the result. */
bool training_part(Training *t);

/* ---- checkpoint.c: states of a run under way in OUT/runs/HASH/state ---- */
/* Takes the run for this process, waiting for another that trains it; then looks how far it is: t->found or t->jump. */
bool checkpoint_claim(Training *t);
/* The saved middle of this session and part, if there is one, into t->block and the rest of t.  False after E0902. */
bool checkpoint_restore(Training *t);
int checkpoint_part(const Training *t);          /* the fitted cell that was under way, from 0 */
/* After a cut: saves the state if it is time (or now). */
bool checkpoint_save(Training *t, bool now);
bool checkpoint_session_end(Training *t);
void checkpoint_release(Training *t, bool done);

/* ---- lanes.c: the first trainings of a loop's turns, side by side ----
 * A turn is looked at: its body is evaluated up to its first training, which is offered; then the offered trainings of
 * many turns run; then each body is evaluated again, and that training is there. */
typedef struct LaneTrial LaneTrial;
LaneTrial *lane_trial_new(Arena *arena);
/* May the turns of a loop be looked at: is there nothing but bindings before the first `train`? */
bool lanes_suit(const Experiment *x, const Ast *loop);
/* In `train`: true if the turn is only looked at (its evaluation ends here).  call: it, or NULL; label: of its data. */
bool lanes_offer(Eval *e, const TrainRequest *request, const Ast *call, const char *label);
/* Evaluating up to there had something to say, so that it must be done again. */
void lanes_said(LaneTrial *trial);
bool lanes_offered(const LaneTrial *trial);
/* Runs what was offered; a trial that cannot stay is trained by itself later. */
void lanes_train(Eval *e, LaneTrial *const *trial, int n);
/* In `train`: the run that a lane has made for this turn, once; NULL: none.  call: before the arguments of this one are
 * evaluated, to its *label; NULL: after. */
Run *lanes_take(Eval *e, const Ast *call, const char **label);

/* ---- fit.c: cells by themselves ---- */
/* The cell types that a session fits: indices into info->cell.  0 after a diagnostic. */
int fit_cells(Eval *e, const NetInfo *info, const SessionSpec *s, Span span, int *cell);
/* hash: of what is fitted, joined to what stands there. */
bool fit_check(Eval *e, const TrainRequest *r, const NetInfo *info, const SessionSpec *s, uint64_t *hash);
bool fit_session(Training *t);
void fit_copy(const Training *t, Model *own, bool to_net);

#endif
