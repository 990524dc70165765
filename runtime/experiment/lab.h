/* lab.h -- the laboratory: what an experiment's calls do.
 *
 * The evaluator (compiler/sema) meets `train`, `record`, `table` ... as builtins; their implementations are here and
 * hang off a Lab.  A Lab is shared by all threads of a session (its caches lock); a LabTurn is one turn of the
 * experiment's loops and belongs to one thread: Eval.lab points to it.
 *
 * From a net to numbers:   net_info -> the parameter table and the model's layout        (net.c)
 *                          plan_train, plan_measure -> graphs -> programs, cached          (plan.c)
 *                          run_train -> a Run with its Model and Curve                     (train.c) */
#ifndef NIN_LAB_H
#define NIN_LAB_H

#include <pthread.h>

#include "emit/emit.h"
#include "graph/program.h"
#include "kernel/execute.h"
#include "sema/session.h"
#include "support/threads.h"

enum { SEMANTICS_VERSION = 1 };
#define NIN_VERSION "0.1.0"

typedef enum Backend { BACKEND_JIT, BACKEND_INTERPRET, BACKEND_C } Backend;
typedef struct LabOptions {
    Backend backend;
    CodeOptions code;
    const char *c_compiler, *c_folder;            /* BACKEND_C */
    int threads;
    bool (*interrupted)(void *data); void *interrupted_data;             /* Ctrl-C; NULL: never */
    void (*say)(void *data, const char *text); void *say_data;           /* print(...), tables, notes; NULL: silent */
    /* How far a long piece of work is; called at most every 50 ms or so, from any thread.  NULL: silent */
    void (*progress)(void *data, const char *what, double done, int64_t total, const char *detail); void *progress_data;
    double checkpoint; /* seconds between saved states of a run; 0: 2 s; below: after every cut */
    int shard, shards; /* every shards-th turn of the outermost loops, from the shard-th; 0: all */
    bool pdf;                                     /* figures as PDF as well */
    bool explain;                                 /* list the defaults in force */
    bool tiers;            /* programs of little work are not optimised: the same bits, sooner (a prompt) */
    bool keep_interrupted; /* an interrupted training gives the run that was reached (a prompt) */
    int width; bool bold;                         /* of tables on the screen; 0: any width */
    const char *program;                          /* the program's name, for OUT/PROGRAM/EXPERIMENT */
    const char *program_hash;                     /* SHA-256 of its text */
    const char *program_text; size_t program_length;                     /* kept beside the results; NULL: not */
} LabOptions;

typedef struct RetiredNet { void *net; int64_t from, to; } RetiredNet;
typedef struct Cache Cache;                       /* identity text -> pointer, locked */
typedef struct Lab {
    Session *session; LabOptions options;
    Pool *pool;                                   /* options.threads workers; NULL: one thread */
    Arena *arena; pthread_mutex_t lock;           /* for what lives as long as the lab */
    Cache *nets, *plans, *families;                /* families: which settings a plan pins (plan.c) */
    Cache *tables;                                /* of cells, proved (tabulate.c) */
    struct Experiment *experiment;                /* the one that runs, or NULL */
    struct LabTurn *outside;                      /* what lab_turn gives outside of experiments */
    bool reports_wait;                            /* tables and figures were left out: report_waits */
    VEC(Arena *) adopted;                         /* freed with the lab */
    VEC(RetiredNet) retired; int64_t forgotten;   /* lab_forget */
} Lab;

typedef struct LabTurn LabTurn;
struct LabTurn {
    Lab *lab;
    Pool *pool;                                   /* threads a single training may use; NULL inside parallel turns */
    Arena *keep;                                  /* outlives the turn: rows and what they hold */
    struct Turn *turn;                            /* loop names and rows of the experiment; NULL outside (loop.c) */
    struct LaneTrial *trial;                      /* its first training runs in a lane (lanes.c); NULL: no */
    double preparing;                             /* seconds spent on graphs and machine code: no part of a run's */
};
/* Top-level bindings are evaluated outside of all turns. */
static inline LabTurn *lab_turn(const Eval *e) { return e->lab ? e->lab : ((Lab *)e->session->lab.state)->outside; }
static inline Lab *lab_of(const Eval *e) { return e->session->lab.state; }

Lab *lab_new(Session *session, const LabOptions *options);
void lab_free(Lab *lab);
/* At a prompt, between inputs, which are numbered: drops all programs and nets that were compiled so far.  Tables of
 * nets made after input `forgotten` and up to `now` go when needed(data, forgotten, now) tells that no value is left
 * that may point to them. */
void lab_forget(Lab *lab, int64_t now, bool (*needed)(void *data, int64_t from, int64_t to), void *data);
size_t lab_programs(const Lab *lab);              /* compiled and not forgotten */
/* The laboratory's builtins, for session_new; in the arena. */
const BuiltinRow *lab_builtin_table(Arena *arena);

Cache *cache_new(void);
void cache_free(Cache *cache);
/* The entry of a key, made by `make` (called once, under the cache's lock; NULL results are not kept). */
void *cache_get(Cache *cache, const char *key, size_t length, void *(*make)(void *data), void *data);

/* ---- data (data.c) ---- */
/* classes > 0: class[k], from 0.  source: where rows come from that are put into place when they are first read
 * (data_rows); NULL: they are there. */
typedef struct Column { DType dtype; Shape shape; const void *rows; int64_t classes; struct RowSource *source; } Column;
typedef struct NoiseSpec NoiseSpec;
typedef struct DataObject {
    Object object;
    const char *name;                             /* "mnist.train" */
    int64_t size;
    Column x, y;
    double raw_lo, raw_hi;                        /* of the raw values: images 0..1 */
    double divisor;                               /* raw values are whole numbers over it (bytes); 0: not known */
    const struct Affine *affine;                  /* given = (raw - mean) / sd (data/dataset.h); NULL: as they are */
    bool from_file, fixed_range;                  /* made by dataset(...); the raw range is the format's */
    Shape image;                                  /* of an example in its file; rank 0: not known */
    char hash[65];                                /* SHA-256 of the given values and how they were made */
    const struct DataObject *train, *valid, *test;/* parts; NULL if it has none (then it is its own train) */
    bool known;                                   /* false when the files are missing (check mode): types only */
    void *wide[2];                                /* rows in the other precision, made on demand (data_rows) */
    const float *raw;                             /* x in raw units, made on demand (data_raw); or NULL */
    const struct NoiseSpec *noise;                /* drawn for each run (noise.c): no rows of its own; else NULL */
} DataObject;
extern const ObjectClass data_class;
const DataObject *data_part(const DataObject *data, const char *part);   /* "train", "valid", "test"; NULL if absent */
Value type_of_column(const Column *column);
/* The examples of a smooth_noise for a function of n numbers; can it be had for n? */
const DataObject *noise_draw(Arena *arena, const DataObject *lazy, uint64_t key, int n);
bool noise_fits(const DataObject *lazy, int n);

/* ---- nets and models (net.c, model.c) ---- */
typedef struct NetParam {
    const char *path; Shape shape; Value initial; bool state; Name cell; size_t offset; Span span;
} NetParam;
typedef struct NetCell { const char *path; Value cell; } NetCell;        /* a cell type with parameters, by its name */
typedef struct NetInfo {
    Value net; Column input;                      /* what it is applied to */
    NetParam *param; int params; BlockLayout layout;      /* weights and states of the net */
    NodeType output; DType precision;
    double lo, hi; /* the outputs lie between these, whatever the weights; for warnings */
    char hash[65];                                /* of the evaluation graph, paths and shapes */
    bool same_in_training;                        /* the training graph is the evaluation graph */
    NetCell *cell; int cells;
    int64_t count, count_cells;                   /* parameters (states not counted) */
    bool random;                                  /* draws in training */
} NetInfo;
/* Cached; NULL after diagnostics. */
const NetInfo *net_info(Eval *e, const Value *net, const Column *input, DType precision, Span span);

typedef struct Model {
    Object object;
    const NetInfo *info;
    void *block;                                  /* info->layout */
    const DataObject *data;                       /* trained on; NULL */
    const Value *loss;                            /* of the last session that trained the net; NULL */
    double against_eps; Name against_norm;        /* of a library attack that its last session trained against; 0 */
    const char *run_hash;                         /* hex, of the run that made it; NULL */
    const struct Run *run;                        /* that run; NULL for snapshots and fresh models */
    bool known;                                   /* false in check mode */
} Model;
extern const ObjectClass model_class, run_class;
/* A cell of a model: the cell itself, holding the model's parameters. */
Object *model_part(Arena *arena, const Model *model,
                   const char *path); /* what lies under a path: "dense", "inner[2]" */
Value trained_cell(Eval *e, const Model *model, const NetCell *cell);
void model_hash(const Model *model, char hex[65]);                       /* of paths, shapes and bits */
Value model_param_value(Eval *e, const Model *model, int param);
/* The net's outputs for inputs: one (of the input's shape), or a list of them if `many`. */
bool model_predict(Eval *e, const Model *model, const Value *x, bool many, Span span, Value *out);

typedef struct Seeds { uint64_t init, order, dropout, noise, augment, attack, split; } Seeds;
/* Draws the parameters named by `which` (NULL: all) from their initial values. */
bool model_draw(Eval *e, const NetInfo *info, const Seeds *seeds, uint32_t session, const bool *which, void *block,
                Span span);

/* ---- runs (train.c) ---- */
typedef struct CurveColumn { const char *name; double *at; } CurveColumn;
typedef struct Curve {
    int rows, cap; int *session, *epoch; const char **session_name; CurveColumn *column; int columns;
} Curve;
/* size: as read */
typedef struct Snapshot { int session, epoch; int64_t step; void *block; const NetInfo *info; size_t size; } Snapshot;
struct Run {
    Object object;
    Model *model; Curve curve; double seconds; bool diverged, known;
    bool interrupted;                             /* what was reached when somebody pressed Ctrl-C */
    bool cheap, stored;                           /* cheaper to train again than to read; is in OUT/runs */
    char hash[65];                                /* read it by run_hash */
    const struct TrainRequest *request;
    Eval *maker; /* of a run in a lane: its hash is made when it is asked for */
    Snapshot *snapshot; int snapshots, snapshot_cap; const char **session_name; int sessions;
    const DataObject *data;
    const ValueRecord *measures; bool fits;       /* of one not known: `measure:`; sessions that fit cells to others */
    int64_t part_step, part_steps; /* interrupted within an epoch: after so many steps of so many; else 0 */
};
typedef struct Run Run;
const char *run_hash(const Run *run); /* hexadecimal; of the call that made it (train.h, TrainRequest.chain) */

#endif
