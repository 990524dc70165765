/* inspect.h -- looking at nets and cells without running them: parameters, graphs, kernels, code, derivatives.  What
 * `nin dump`, `nin params`, `nin grad` and the prompt show. */
#ifndef NIN_INSPECT_H
#define NIN_INSPECT_H

#include "emit/emit.h"
#include "report/table.h"
#include "sema/session.h"

typedef enum DumpStage {
    STAGE_TOKENS, STAGE_AST, STAGE_GRAPH, STAGE_GRAD, STAGE_KERNEL, STAGE_C, STAGE_LLVM, STAGE_ASM, STAGES
} DumpStage;
extern const char *const stage_names[STAGES];

/* GRAPH and later, of a net whose input is known: of its evaluation, or of the gradient of the sum of the squares of
 * its output with respect to its parameters (GRAD, or training).  False after diagnostics, or with *error. */
bool inspect_net(Eval *e, const Value *net, DumpStage stage, bool training, const CodeOptions *options, Buf *text,
                 const char **error);

/* What a step is looked at for: code, examples of a batch, threads. */
typedef struct StepCase { const CodeOptions *options; int64_t batch; int threads; } StepCase;
enum { USUAL_BATCH = 100 };
/* A net's parameters: shapes, multiply-adds of one example, bytes; with `step`, in a note, the memory that a prediction
 * and a training step need beside parameters, the optimizer's state and data.  NULL after diagnostics. */
const Table *inspect_params(Eval *e, const Value *net, const char *title, DType precision, const StepCase *step);

/* d cell / d argument k (from 0) as a formula; k < 0: the cell itself.  NULL after diagnostics. */
char *inspect_formula(Eval *e, const CellGraph *cell, int k, bool latex);
/* The name of an argument; "x1" where it has none. */
const char *inspect_argument(Arena *arena, const CellGraph *cell, int k);

#endif
