/* experiment.h -- experiments: loops whose turns are independent, rows recorded in them, formulas over groups of rows,
 * tables and figures (LANGUAGE 4.13).
 *
 * A turn is one pass through the body of an experiment's `for`.  Turns of the outermost loop run on several threads;
 * their rows are put in the order of the turns afterwards, so no result depends on the threads.  A turn's memory goes
 * when it ends, unless it recorded something other than numbers, texts and lists of these. */
#ifndef NIN_EXPERIMENT_H
#define NIN_EXPERIMENT_H

#include "experiment/train.h"
#include "report/datum.h"

typedef struct RowSet RowSet;
typedef struct Turn Turn;

/* One row: the keys of all loops around its `record`, and its columns.  around: the turn it was recorded in. */
/* number: its place among the rows of all turns (2 turn + 1, or 2 turns so far outside of loops), for merging
 * shards. */
typedef struct Row { RowSet *set; const Turn *turn; Value *key, *column; int64_t number; } Row;
struct RowSet {
    const Ast *call;                              /* the `record`; NULL: the rows of a table */
    Name *key; int keys; Name *column; bool *measured; int columns;
    int *pattern;                                 /* keys of one number were bound together; NULL: each by itself */
    VEC(Row *) rows;
};
struct Turn {
    Turn *outer; struct Experiment *experiment;
    const Name *name; Value *value; int names;    /* of its loop */
    const int *pattern;                           /* which iterator bound a name: those of `[net, data]` one */
    VEC(Row *) rows;                              /* recorded in this turn, and in the turns inside it */
    VEC(const Run *) runs;                        /* trained in it */
    int64_t number;                               /* of the outermost turn, from 0 over all loops; -1 outside */
    Arena *arena; bool keeps;                     /* keeps: something recorded points into the arena */
};

typedef struct SavedName { const char *name; Span span; } SavedName;
typedef struct LinkedRun { const Row *row; const char *hash; } LinkedRun;
typedef struct Experiment {
    Lab *lab; Arena *arena; LoadedModule *module; const Ast *ast; Name name;
    const char *folder;                           /* OUT/PROGRAM/EXPERIMENT */
    VEC(RowSet *) sets; VEC(Arena *) kept;
    bool measures_time;                           /* uses .seconds or time_per_call: one trial at a time */
    bool has_runs;                                /* OUT/runs was there when it began */
    bool wide;                                    /* its trainings use the threads themselves: turns one at a time */
    int64_t turns, turns_done, rows, numbered;    /* numbered: turns of all loops so far, of other shards too */
    VEC(const char *) reports;                    /* names of tables and figures so far: E0811 */
    VEC(const char *) files;                      /* written, for the closing lines */
    VEC(SavedName) saved;                         /* names of save(...), by call: E0811 */
    VEC(LinkedRun) linked;                        /* runs trained beside a row, for KEYS.safetensors */
    VEC(const DataObject *) data;                 /* trained on */
    VEC(const char *) strategies;                 /* how cells of its models were evaluated, once each */
    Field *settings; int setting_count;           /* --set, as given */
    double started;
    pthread_mutex_t lock;
} Experiment;

/* ---- loop.c ---- */
bool lab_loop(Eval *e, const Ast *loop, Scope *scope);                    /* LabHooks.loop */
bool lab_check(Eval *e, LoadedModule *module, const Ast *experiment_or_test);    /* LabHooks.check */
/* Runs one experiment of a checked module; false after diagnostics, or when interrupted. */
bool experiment_run(Lab *lab, LoadedModule *module, const Ast *ast, const Name *names, const Value *values, int n);
/* Runs one test: true if all its checks held. */
bool test_run(Lab *lab, LoadedModule *module, const Ast *ast);

bool ast_measures_time(const Ast *ast);
void loop_flush(Experiment *x, Turn *turn);
void experiment_progress(Experiment *x);          /* may be called from any thread */
bool experiment_open(Experiment *x, Eval *e);     /* the folder; E0901, R0103 */
bool experiment_close(Experiment *x, Eval *e);    /* run.json, links, closing lines */
bool lab_interrupted(const Lab *lab);
void lab_adopt(Lab *lab, Arena *arena);           /* frees the arena with the lab */

/* What the keys of a turn are called in the name of a file. */
const char *keys_file(Arena *arena, const Value *key, int keys);

/* ---- record.c ---- */
/* The names and values of all loops around a turn, outermost first; either may be NULL.  Gives how many. */
int turn_keys(const Turn *turn, Name *names, Value *values);
/* Do two keys of a set take their values together, as those of `for [name, net] in ...`? */
bool keys_together(const RowSet *set, Name a, Name b);
Row *row_settle(Experiment *x, const Row *row);
void row_add(Experiment *x, Row *settled);
/* In check mode: whether the recorded curves may have the fields that a table or figure reads of them (E0311). */
bool row_fields_check(Eval *e, const Turn *turn, const Ast *call);
bool row_around(const Row *row);                  /* does a turn around it have rows of its own? */
extern const BuiltinRow builtins_record[];
Value value_keep(Arena *arena, const Value *value, bool *plain); /* a copy; *plain = false if it still shares memory */
/* A column or key as seen from a row, its own or of a `record` around it. */
bool row_value(const Row *row, Name name, Value *out);
bool records_write(Experiment *x, Eval *e); /* records.jsonl, measured.jsonl, shard.json */
/* What stands for a key: the name it was bound to, else its canonical text. */
void key_label(const Value *value, Buf *out);
Datum value_datum(Arena *arena, const Value *value), key_datum(Arena *arena, const Value *key);

/* ---- formula.c ---- */
typedef struct Point { const Row *row; int index; } Point;                /* index: of an unfolded column; -1: none */
/* key, value: what it was grouped by; all: what `at` looks into. */
typedef struct Group {
    Point *at; int len; const Name *key; const Value *value; int keys; const struct Group *all;
} Group;
typedef struct Compiled Compiled;
Compiled *formula_compile(Eval *e, const Formula *formula);
bool formula_aggregates(const Compiled *formula);
/* Of a group as a whole: a value; without an aggregate a list over its points (or the one value of its keys). */
bool formula_group(Eval *e, const Compiled *formula, const Group *group, Value *out);
bool formula_point(Eval *e, const Compiled *formula, const Group *group, const Point *point, Value *out);
/* The set whose rows have everything that the formulas name: E0801, E0804. */
RowSet *formula_rows(Eval *e, Experiment *x, Compiled *const *formulas, int n, Span span);
/* All rows of a set that satisfy `where`, unfolded where a formula uses a column of a table. */
bool group_all(Eval *e, RowSet *set, Compiled *const *formulas, int n, const Compiled *where, Group *out);
/* Splits by the values of formulas (keys, mostly), in the order of first appearance. */
bool group_split(Eval *e, const Group *group, Compiled *const *by, const Name *names, int n, Group **out, int *count);
bool group_warn(Eval *e, const Group *groups, int count, Span span);      /* W0808, once; was there one? */
/* `by: [net, lr]`: the formulas of its elements and their names. */
bool formula_given(const Value *value);           /* a formula, and not the default `none` */
int formula_list(Eval *e, const Value *by, Compiled **out, Name *names, int most);
void group_warn_missing(Eval *e, const Group *groups, int count, Span span);      /* W0810 */

/* The mean of functions of numbers (models, cells), as a function. */
bool mean_function(Eval *e, const Value *fns, int n, Span span, Value *out);

/* ---- table.c, figure.c ---- */
extern const ObjectClass table_class;
typedef struct TableObject { Object object; RowSet *set; const char *name; bool known; } TableObject;
extern const BuiltinRow builtins_train[], builtins_table[], builtins_figure[], builtins_misc[], builtins_corruption[],
    builtins_protocol[], builtins_attack[], builtins_surfaces[], builtins_save[];
/* A function of two numbers at points xy[i][2]. */
bool function_grid(Eval *e, const Value *f, const double *xy, int points, Span span, double *z);
bool function_of_vector(const Value *f);          /* a model, or a mean of models: of one vector */
bool plane_grid(Eval *e, const Object *f, const double *xy, int points, Span span, double *z,
                bool *is); /* *is: f is a plane */
bool grid_calls(Eval *e, const Value *f, const double *xy, int points, Span span, double *z);
/* Surfaces: z over a grid of x and y. */
extern const ObjectClass surface_class;
typedef struct Surface {
    Object object; int nx, ny; double *x, *y, *z; const char *x_name, *y_name; bool known;
} Surface;
bool report_name(Eval *e, Experiment *x, const char *name, Span span);    /* E0811, E0901 */
bool report_waits(Experiment *x);                 /* a shard has not all rows: it makes no tables and figures */
bool name_of_file(Eval *e, const char *name, Span span);                  /* E0901 */

#endif
