/* train.h -- what training is made of: sessions as checked records, paths and selections, plans, runs. */
#ifndef NIN_TRAIN_H
#define NIN_TRAIN_H

#include "data/dataset.h"
#include "experiment/lab.h"
#include "sema/objects.h"
#include "support/file.h"

/* ---- paths and selections (path.c) ---- */
typedef struct PathRef { int param; bool element; int64_t offset; } PathRef;     /* offset: of the element */
bool path_select(Eval *e, const NetInfo *info, const char *pattern, Span span, bool *mask);    /* E0603 */
bool path_find(Eval *e, const NetInfo *info, const char *text, Span span, PathRef *out);       /* E0603, E0405 */
bool selection_mask(Eval *e, const Value *selection, const NetInfo *info, Span span, bool *mask);

/* ---- sessions (session.c): LANGUAGE 4.10 ---- */
enum { MAX_AUGMENTS = 8 };
typedef struct SessionSpec {
    const char *name;                             /* its label in the schedule, or "session" */
    const char *title;                            /* in messages: "session NAME", or "the session" */
    const Value *learn, *reset, *loss, *optimizer, *take, *clip, *augment, *against, *cells, *fit,
        *to;                                      /* NULL: not given */
    int64_t batch, epochs;                        /* batch 0: all */
    int patience; const char *patience_measure;   /* 0: no stopping */
    const char *best_measure;                     /* take: best(...); NULL: last */
    double clip_norm;                             /* where clip is given */
    bool given_order;
    double against_eps; Name against_norm;        /* of the library's attacks; norm NULL: not known */
    const Value *augmentation[MAX_AUGMENTS];
    int augments;                                 /* of augment: functions of one image, in order */
    const Value *record;                          /* the session as values: its identity */
} SessionSpec;
typedef struct Schedule { SessionSpec *session; int sessions; } Schedule;
/* Reads a session, or a record of sessions.  E0606, E0312, E0314, E0609, ... */
bool schedule_read(Eval *e, const Value *with, Span span, Schedule *out);

/* ---- augmentation (augment.c) ---- */
bool augment_read(Eval *e, SessionSpec *s, Span span);                   /* E0314 */
/* (x - mean) / sd in e->trace, or back, as the data had it. */
bool affine_trace(Eval *e, const struct Affine *map, bool back, Span span, Val *x);
/* Puts the session's augmentations (fns: as they stand in the trace) before what reads *x, in e->trace. */
bool augment_trace(Eval *e, const SessionSpec *s, const Value *const *fns, const struct Affine *affine, Span span,
                   Val *x);

/* ---- attacks in a step (against.c) ---- */
/* x, out: the net's input and output in e->trace; affine: of x, or NULL; lo, hi: of raw values. */
/* raw: the raw input, where it is there already; then what fn gives stays as it is, else it is put into lo .. hi. */
typedef struct AttackSite {
    const Value *fn; const struct Affine *affine; double lo, hi; Val x, raw, out, target; Span span;
} AttackSite;
/* The input that fn(model, x, y) gives, in raw values and as the net takes it. */
bool against_trace(Eval *e, const AttackSite *site, Val *raw, Val *changed);
bool against_read(Eval *e, SessionSpec *s, Span span);                   /* E0618 */
bool against_check(Eval *e, const SessionSpec *s, const struct DataObject *data, Span span);      /* E0618, E0703 */
bool against_is_trades(const SessionSpec *s);
int against_setting(const Value *fn, const char *name);                  /* its place in the brackets; -1 */

/* The library's definition of a name (protocol.c). */
bool library_value(Eval *e, const char *name, Value *out);

/* ---- nets (net.c) ---- */
void net_info_free(NetInfo *info);
/* Applies a net to its input in a trace; a cell to the features of its input, giving one feature. */
bool net_apply(Eval *e, Trace *trace, const Value *net, Val x, Span span, Value *out);
/* The type of input that a net declares; E0416 if it is open. */
bool net_declared_input(Eval *e, const Value *net, Span span, Column *out);
/* Where a parameter of a trace stands in the net's table; -1: an optimizer's state. */
int net_param_index(const NetInfo *info, const char *path);

/* Multiplications of one example, those inside of mapped cells too (builtins_misc.c). */
int64_t graph_multiplies(const Graph *g);

/* ---- plans (plan.c) ---- */
typedef struct PlanRequest {
    Eval *e; const NetInfo *info; Column x, y;
    const struct Affine *affine;                  /* of x, where the session augments; NULL: as they are */
    const SessionSpec *session;                   /* NULL: evaluation */
    const bool *learn;                            /* by parameter of info */
    const Value *measures;
    int measure_count; /* fns of (y, target); evaluation rows, or series of the training loop */
    int64_t examples;                             /* known number of examples per step (batch: all), else 0 */
    int64_t visits;                               /* how often an example is looked at in all; 0: not known */
    bool outputs;                                 /* evaluation: the net's own output as rows 0 */
    bool boxes;                                   /* only the new boxes of automatic grids, from exact cells */
    bool accuracy;                                /* class targets: right or not, before the measures */
    bool answer;                                  /* the largest output's class, after those */
    const char *uses; /* evaluation: what this cell type is called with, as rows 0; else NULL */
    bool raw;                                     /* x is in raw units: normalised by `affine` first */
    /* Under attack (raw where the protocol is): rows are the logits, and with `slope`, a fn of (y, target, aim), its
     * value and its gradient by x; aim is rows 2.  training: random numbers are drawn as in training. */
    bool attack, training; const Value *slope;
    const Value *attacker;                        /* a fn of (model, x, y): rows are what it gives, in the units of x */
    double raw_lo, raw_hi;                        /* of raw values, where inputs are attacked in the step */
    Span span;
} PlanRequest;
struct TrainPlan {
    Arena *arena;
    Program *program;
    int *slot_of_param;                           /* info's parameter -> slot of the program; -1: not used there */
    int slots; bool *is_optimizer;                /* slots that are not the net's start at `start` */
    double *start;                                /* of optimizer states: a number each */
    int settings; double *setting; bool *pinned; int per_epoch_setting, total_setting, clip_setting;     /* -1: none */
    int keys; const char *const *key_names;
    bool loss_series; int series;                 /* series 0: train_loss, then one per measure */
    int rows; DType row_type[8]; Shape row_shape[8];
    int uses, use_arity;
    int64_t *use_size; /* of PlanRequest.uses: calls; a row has, by call, size numbers per argument */
    int64_t examples; bool neuron;                /* neuron: one kernel is the whole loop */
    bool quick;                                   /* compiled without optimisation */
    Lowered *lazy;                                /* compiled when it first runs: plan_ready; NULL: it is */
    Target target;
    const double *seen; bool *differs;            /* by setting: of the first trial in lanes; does any other differ? */
    struct LaneCode *lanes;                       /* trials in lanes; the newest first */
};
typedef struct TrainPlan TrainPlan;
typedef struct LaneCode {
    Lowered *lowered; Code *code; KernelFn function; bool *setting; struct LaneCode *before;
} LaneCode;
/* Cached by what the program depends on; reals in brackets do not count: `settings` receives this request's, in the
 * plan's order (arena of the Eval). */
TrainPlan *plan_get(const PlanRequest *request, const double **settings);
/* Compiles what plan_get left for later; before the program runs.  False after R0103. */
bool plan_ready(Eval *e, TrainPlan *plan, Span span);
void kept_table_free(void *kept);                 /* an entry of Lab.tables (tabulate.c) */
/* Any graph as a program, compiled as the lab's options say; its owner frees it.  NULL after R0103. */
Program *lab_program(Eval *e, Arena *arena, const Graph *graph, BlockLayout layout, Span span);
/* A trial with these settings is about to run in lanes. */
void plan_lanes_note(Eval *e, TrainPlan *plan, const double *settings);
/* The kernel with a trial in each lane, for all trials noted so far; NULL if there is none. */
const LaneCode *plan_lanes(Eval *e, TrainPlan *plan);
/* A plan of its own, not cached: its graph, simplified, its layout, and the program.  All in the arena; plan->program
 * is freed by its own `free`. */
typedef struct PlanGraph { const Graph *graph; BlockLayout layout; TrainPlan *plan; } PlanGraph;
bool plan_graph(const PlanRequest *request, Arena *arena, PlanGraph *out);
/* Only builds the graph, for its diagnostics, and for its hash (NULL: not wanted): what the fns in it compute. */
bool plan_check(const PlanRequest *request, uint64_t *hash);
void plan_free(TrainPlan *plan);
void plan_family_free(void *family);
/* Philox keys of a plan under seeds, in its order. */
const uint64_t *plan_keys(Eval *e, const TrainPlan *plan, const Seeds *seeds, uint32_t session);

/* ---- evaluation (measure.c) ---- */
/* Rows of fns over a data set: result[k] has data->size rows of the request's row_type/shape.  Arena of the Eval. */
bool model_rows(Eval *e, const Model *model, const DataObject *data, const Value *fns, int n, bool outputs,
                bool accuracy, Span span, const TrainPlan **plan, void **result);
/* The model and the data set of a call's arguments 0 and data_arg, which fit; *done: *out is the result already
 * (abstract). */
const Model *value_model(const Value *value);       /* of a model or a run; NULL if it is neither */
bool model_on_data(Eval *e, const BuiltinCall *call, int data_arg, const Model **model, const DataObject **data,
                   Value *out, bool *done);
/* A plan's block from a model's. */
void model_block(const Model *model, const TrainPlan *plan, void *block);
/* The mean of n f32/f64/bool rows in the order of arithmetic: shards of SHARD examples. */
double rows_mean(const void *rows, DType dtype, int64_t n, DType precision);
/* loss, accuracy (if class targets) and measures of a block; NaN where there is none. */
typedef struct Metrics { double loss, accuracy; double measure[8]; } Metrics;
bool model_metrics(Eval *e, const Model *model, const DataObject *data, const Value *loss, const Value *measures, int n,
                   Span span, Metrics *out);

/* `count` rows of a file's column, row[0 .. count-1] (NULL: from `first` on), that are read when they are needed. */
Column column_later(Arena *arena, const DataColumn *column, const Affine *affine, const uint32_t *row, int64_t first,
                    int64_t count, Shape shape);
/* The rows of a column (0 = x, 1 = y) in the working precision; converted once and kept.  The only way to them. */
const void *data_rows(Lab *lab, const DataObject *data, int column, DType precision);
/* Which of the map's features number i of an example belongs to; its raw value (of images k / 255: what was rounded on
 * the way is put right); all raw values, kept with the data. */
int64_t data_feature(const DataObject *data, int64_t i);
double data_raw_number(const DataObject *data, int64_t i, double x);
const float *data_raw(Lab *lab, const DataObject *data);
static inline bool data_has_classes(const DataObject *data) { return data->y.classes > 0 && data->y.shape.rank == 0; }

/* ---- training (train.c) ---- */
typedef struct TrainRequest {
    const Value *net; const DataObject *data; Schedule schedule; Seeds seeds; uint64_t seed_text;
    const Value *start;                           /* NULL; a model; a record of paths */
    const Model *from;                            /* goes on from a model */
    const Value *keep; const ValueRecord *measures;
    DType precision; Span span; int threads;
    char (*chain)[65];                            /* [i]: the hash of the run after its first i sessions; 0: none */
    const char *asked; /* beside the hash: identities of kept epochs and measures; "": none */
} TrainRequest;
/* The loss that a model is looked at with where none is named: that of the last session that trained the whole net. */
const Value *request_loss(Eval *e, const TrainRequest *request);
/* What a model is known for by the sessions that made it: its loss, and what it was trained against. */
void request_facts(Eval *e, const TrainRequest *request, Model *model);
/* Makes request->chain and request->asked.  info: of its net.  False after diagnostics. */
bool run_chain(Eval *e, TrainRequest *request, const NetInfo *info);
double training_seconds(void);                    /* of a clock that never goes back */
bool train_run(Eval *e, const TrainRequest *request, Run **out);
bool seeds_read(Eval *e, const Value *seed, Span span, Seeds *out);       /* a number, or a record by purpose */

double curve_value(const Curve *curve, const char *name, int row);        /* NaN if there is no such column */
/* Notes where in the step the first value that is not finite arises, by the interpreter. */
void train_explain_divergence(Diag *diag, const TrainPlan *plan, const void *block, const Feed *feed, int64_t step);
bool model_start(Eval *e, Model *model, const Value *start, Span span);   /* start: a model, or values by path: E0605 */
/* On the way: done of total, where one turn runs at a time. */
void lab_progress_text(Eval *e, const char *what, double done, int64_t total, const char *detail);
/* done: epochs, the one at hand in part. */
void lab_progress(Eval *e, const char *session, double done, int64_t epochs, const Curve *curve);
/* ---- warnings while checking (warn.c) ---- */
void warn_training(Eval *e, const NetInfo *info, const DataObject *data, const Value *loss, Span span);
void warn_evaluation(Eval *e, const Model *model, const DataObject *data, Span span);

/* ---- runs on disk (store.c) ---- */
const char *run_folder(Arena *arena, const Session *session, const char *hash);
bool store_find(Eval *e, const TrainRequest *request, const NetInfo *info, Run **out);
bool store_usable(const Eval *e);                /* may a stored run stand for one of this experiment? */
/* Weights, then the curve: the folder is complete once that is there. */
bool store_save(Eval *e, const Model *model, const Run *run, const char *hash, Span span);
/* run->curve, run->diverged and the block of the net's layout; false: not there, or not whole. */
bool store_load(Eval *e, const TrainRequest *request, const NetInfo *info, const char *hash, Run *run, void *block);
bool store_put(Eval *e, Run *run, bool recorded, Span span);
bool model_write(Eval *e, const Model *model, const char *path, FileSync sync, Span span);
bool model_read(Eval *e, const NetInfo *info, void *block, const char *path, Span span, bool quiet); /* E0601, E0902 */

enum { CUT_STEPS = 8192 };                        /* most steps between two looks of the host */


/* ---- data (data.c, dataset.c, synthetic.c) ---- */
DataObject *data_slice(Arena *arena, const DataObject *data, int64_t from, int64_t count, const char *part);
void data_split(Arena *arena, DataObject *data, int64_t valid, int64_t test);
/* How many examples of n a part takes that `valid:` or `test:` gives: a number, a share, or shuffled(...) (*drawn). */
bool dataset_part_count(Eval *e, const Value *value, int64_t n, const char *what, Span span, int64_t *count,
                        bool *drawn);
/* dataset(...) of a text; the numbers of its arguments. */
typedef struct TextArguments { int name, normalize, valid, test, file, tokens, window; } TextArguments;
bool dataset_text(Eval *e, const BuiltinCall *call, const TextArguments *at, DataObject *data);
/* Do two data sets from files give raw values in the same way?  E0602. */
bool data_same_values(Eval *e, const DataObject *trained, const DataObject *data, Span span);
/* Identity and raw range, from the rows. */
void data_finish(DataObject *data);
extern const BuiltinRow builtins_strategy[], builtins_cell_facts[], builtins_data[], builtins_dataset[],
    builtins_synthetic[], builtins_noise[];

#endif
