/* machine.h -- an artifact as machine code: its kernels, constants and the functions of its header, told to the plugin.
 *
 * A function has pointers as parameters, and perhaps a last i32 by value.  Its body is a list of calls; their pointers
 * are parameters, constants, or locals of the function, with an offset in bytes. */
#ifndef NIN_MACHINE_H
#define NIN_MACHINE_H

#include "emit/emit.h"

typedef enum MachineBase { BASE_PARAM, BASE_CONSTANT, BASE_LOCAL } MachineBase;
typedef struct MachinePointer { MachineBase base; int index; int64_t offset; } MachinePointer;
typedef enum MachineCallKind {
    CALL_KERNEL,      /* module->func.at[func] with a table of arg, lo, hi */
    CALL_ENTRY,       /* function `func` of this code; a last parameter by value is read through its pointer */
    CALL_COPY         /* `lo` bytes from arg[1] to arg[0] */
} MachineCallKind;
/* result: the local that takes the value of an entry; -1: none */
typedef struct MachineCall {
    MachineCallKind kind; int func; MachinePointer *arg; int args; int64_t lo, hi; int result;
} MachineCall;

enum { MACHINE_LOCALS = 4 };
typedef struct MachineFn {
    const char *name;
    int params;                            /* pointers */
    bool by_value;                         /* and an i32, kept in local 0 */
    int64_t local[MACHINE_LOCALS]; int locals;     /* bytes, zero at the start */
    MachineCall *call; int calls;
    int result;
    KScalar kept, given; /* the local that is given back, its type, the type it is given as; -1: nothing */
    bool counts;                           /* adds 1 to the i64 that parameter 0 points to */
} MachineFn;

typedef struct MachineCode {
    KModule *module;
    KData *constant; int constants;
    MachineFn *fn; int fns;
} MachineCode;

typedef enum MachineForm { FORM_OBJECT, FORM_ASM, FORM_LLVM, FORM_BITCODE } MachineForm;
/* triple NULL: this machine; cpu NULL: a plain one of its kind that has fma. */
typedef struct MachineTarget { const char *triple, *cpu; MachineForm form; } MachineTarget;

/* The bytes of an object file or a text, appended to out. */
bool emit_machine(Arena *arena, const MachineCode *code, const MachineTarget *target, const char *plugin, Buf *out,
                  const char **error);

#endif
