/* staged.h -- what the files of the staged way share: jobs and the state of lowering one graph. */
#ifndef NIN_STAGED_H
#define NIN_STAGED_H

#include "kernel/region.h"

/* Where the body of a SCAN finds its inputs and leaves its outputs; its stages before the loop come first. */
typedef struct ScanHomes { int loop; Home *input, *output; } ScanHomes;

typedef enum JobKind {
    JOB_LANES, JOB_TILE, JOB_MAP, JOB_PARTIAL, JOB_ROWS, JOB_PACK, JOB_OUTER, JOB_JOIN, JOB_ONCE,
    JOB_WIDE, JOB_SCAN
} JobKind;
/* with: of a reduction that is done in the nest of its segment that computes `with`, or 0. */
typedef struct Job { JobKind kind; Val v, with; int phase, level, segment, output, stage, packed; } Job;

typedef struct Staged {
    Plan *plan;
    Region r;
    VEC(Job) job;
    int *job_of;                           /* by node: the job that stores it, or -1 */
    int phases, stages, packed;            /* packed: the last phase whose weights were */
    bool *early;                           /* by node: needed by the first shards, which come before large MAPs; */
                                           /* NULL: these come first */
    bool *given;                           /* by node: sums that a convolution's gradient gives */
    bool *done;                            /* of one segment: jobs that are emitted; a fused group */
    Val *group, *sums;
    Val *shown;                            /* by output: 0 if written directly, else what to copy */
    const ScanHomes *homes;                /* of a SCAN's body; or NULL */
} Staged;

/* Stages of a graph, into the plan. */
void staged_region(Plan *plan, const Graph *graph, const ScanHomes *homes);
/* Copies of whole values that do not vary to entries; joined to one stage. */
void staged_copies(Staged *s, Val *root, int *to, int n, const char *what);

/* ---- result_rows.c ---- */
void rows_emit(Staged *s, const Job *job);                        /* a stage of shards */

/* ---- phases.c ---- */
void phases_find(Staged *s);                                      /* sets early and Info.phase */

/* ---- lower_scan.c ---- */
bool is_scan_result(const Region *r, Val v);                      /* a PROJ of a SCAN */
bool scan_packs_before(const Staged *s, Val v);                   /* its weights are the same in each turn */
void scan_place_inputs(Staged *s);
void scan_place_outputs(Staged *s);
void scan_place_results(Staged *s, Val v);                        /* the SCAN's PROJs, in the graph around it */
void scan_emit(Staged *s, Val v);
void scan_emit_outputs(Staged *s);                                /* those that no job writes to their place */

#endif
