/* artifact.h -- what is built for a device: functions, weights, vectors of a self-test; printed as C, or as machine
 * code.
 *
 * Three functions share one state and one workspace:  predict (x -> outputs),  loss (x, target -> a number) and
 * train_step (x, target -> new weights, the loss before).  Fields are the weights and states, by path; those that a
 * training step writes (or all, if the weights are loaded) lie in the state struct, the others are constants of the
 * code. The struct's fields stand in the order of falling element sizes, so its layout is the same in C and in machine
 * code. */
#ifndef NIN_ARTIFACT_H
#define NIN_ARTIFACT_H

#include "emit/emit.h"
#include "kernel/device.h"

typedef struct ArtifactField {
    const char *path, *name;               /* "dense[1].w", "dense_1_w" */
    Shape shape; KScalar element;
    const void *value;                     /* at the start */
    bool in_state;
    int64_t offset;                        /* bytes in the state */
} ArtifactField;

enum { NO_FIELD = -1 };
typedef enum ArtifactRole { ROLE_PREDICT, ROLE_LOSS, ROLE_TRAIN, ROLES } ArtifactRole;
typedef struct ArtifactFn {
    const Device *device;                  /* NULL: the artifact has none */
    int *data;                             /* by number in the device's module: which of the artifact's data */
    int *field;                            /* by slot of the device's layout; NO_FIELD: no call reads or writes it */
    const double *settings; int setting_count;
    const uint64_t *keys; int key_count;
} ArtifactFn;

/* Constants of the kernels; equal ones of several functions stand once.  element KS_VOID: not read. */
typedef struct ArtifactData { const void *bytes; int64_t size; KScalar element; } ArtifactData;

/* What was measured of the text by a C compiler; compiler NULL: nothing was. */
typedef struct ArtifactMeasure { const char *compiler; int64_t code, constants, stack; } ArtifactMeasure;

typedef struct Artifact {
    const char *prefix, *origin;           /* origin: what it was made from, one line */
    const char *const *notes; int note_count;
    ArtifactField *field; int fields;
    ArtifactData *data; int datas;
    int64_t state_bytes;
    bool separate;                         /* weights are loaded */
    ArtifactFn fn[ROLES];
    int64_t inputs, outputs, classes, targets;     /* numbers of an example; classes 0: no class is told */
    KScalar input_element, output_element;
    bool gives_values, gives_class;
    bool target_class;                     /* a target is a class's number */
    /* Vectors: inputs row by row, the exact answers, targets and losses of successive steps. */
    int vectors;
    const void *vector_x, *vector_y, *vector_target; const int32_t *vector_class; const float *vector_loss;
    ArtifactMeasure measure;
} Artifact;

/* After the functions are made: finds their constants. */
void artifact_share_data(Arena *arena, Artifact *artifact);
int64_t artifact_work_elements(const Artifact *artifact, KScalar element);
int64_t artifact_work_bytes(const Artifact *artifact);
int64_t artifact_constant_bytes(const Artifact *artifact);

/* The text of PREFIX.h and PREFIX.c; `header` is the name that the .c includes. */
void artifact_header(const Artifact *artifact, Buf *out);
void artifact_source(const Artifact *artifact, const char *header, Buf *out);

/* The same functions for machine code (emit/machine.h). */
struct MachineCode *artifact_machine(Arena *arena, const Artifact *artifact);

/* ---- parts ---- */

/* Helpers that a text may need; bit k: c_helpers[k]. */
typedef struct CHelper { const char *name; uint64_t needs; const char *text; } CHelper;
typedef enum CHelperId {
#define HELPER(id) HELP_##id,
#define HELPERS                                                                                                     \
    HELPER(U32) HELPER(F32) HELPER(U64) HELPER(F64) HELPER(FMAF) HELPER(FMA) HELPER(SQRTF) HELPER(SQRT) HELPER(ABSF) \
    HELPER(ABS) HELPER(FLOORF) HELPER(FLOOR) HELPER(CEILF) HELPER(CEIL) HELPER(ROUNDF) HELPER(ROUND) HELPER(ADD32)   \
    HELPER(SUB32) HELPER(MUL32) HELPER(DIV32) HELPER(REM32) HELPER(SHL32) HELPER(SHR32) HELPER(SAR32) HELPER(ADD64)  \
    HELPER(SUB64) HELPER(MUL64) HELPER(DIV64) HELPER(REM64) HELPER(SHL64) HELPER(SHR64) HELPER(SAR64) HELPER(MULHI)  \
    HELPER(F32I32) HELPER(F32I64) HELPER(F64I32) HELPER(F64I64)
    HELPERS
#undef HELPER
    HELP_COUNT
} CHelperId;
extern const CHelper c_helpers[];
void c_helpers_print(uint64_t needed, Buf *out);
/* A number so that it reads back to the same bits; not finite: false. */
bool c_real(Buf *out, double x, bool f32);
const char *c_element(KScalar element);                  /* "float", "unsigned char" */

/* The functions of a device, named; call_name[k] is the function of call k. */
typedef struct CFunctions { const char **call_name; uint64_t needs; } CFunctions;
/* data_number: by K_DATA's number, the constant nin_data_N.  arg_name(data, spot): how an argument is called if all
 * calls of a function agree on it. */
CFunctions c_functions(Arena *arena, const Device *device, const char *role, const int *data_number,
                       const char *(*spot_name)(void *data, int spot), const char *(*call_label)(void *data, int call),
                       void *data, Buf *out);

#endif
