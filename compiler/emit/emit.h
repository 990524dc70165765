/* emit.h -- the two printers of kernel IR, and machine code in memory.
 *
 * Only emit/llvm*.c include <llvm-c/...>; they are linked into a shared object of their own, libnin-llvm.so, which
 * code_jit loads (dlopen) when something is first compiled that is not among the kept objects.  Nothing here decides
 * anything: the kernel IR has. */
#ifndef NIN_EMIT_H
#define NIN_EMIT_H

#include "kernel/kernel.h"

typedef struct CodeOptions {
    int opt_level;            /* 0: no optimisation; 2: code generation as KERNELS recommends, light IR passes */
    const char *cpu;          /* NULL: the host; else an LLVM CPU name ("haswell") */
    const char *plugin;       /* path of libnin-llvm.so */
    bool neuron;              /* the module is a whole training loop of scalars: pack them into vectors */
    int threads;              /* compile on so many threads (0: this one alone); the code is the same */
    const char *objects;      /* folder where compiled objects are kept and found again; NULL: none */
} CodeOptions;

typedef struct Code Code;
/* Compiles a module to machine code in this process.  NULL and *error (in the arena) on failure. */
Code *code_jit(Arena *arena, const KModule *module, const CodeOptions *options, const char **error);
/* The same from C: prints the module, compiles it with `compiler` (-O1, no contraction) in folder, loads it. */
Code *code_from_c(Arena *arena, const KModule *module, const char *compiler, const char *folder, const char **error);
KernelFn code_function(const Code *code, int func);
void code_free(Code *code);

/* Text: C99; LLVM IR; assembly of the CPU. */
void emit_c(const KModule *module, Buf *out);
bool emit_llvm(Arena *arena, const KModule *module, const CodeOptions *options, bool assembly, Buf *out,
               const char **error);
/* The vector width and registers of a CPU (NULL: the host), for kernel/lower. */
bool emit_target(const CodeOptions *options, Target *target, const char **error);
/* Loads the code generator before it is needed. */
void emit_warm(const CodeOptions *options);

#endif
