/* llvm.h -- between the two halves of the plugin: the printer (llvm.c) and what compiles its output (llvm_jit.c). */
#ifndef NIN_LLVM_H
#define NIN_LLVM_H

#include "emit/plugin.h"

#include <llvm-c/Core.h>

/* Prints kernels as an LLVM module; cpu and features become attributes of every function.  The module is verified
 * kernel IR: this cannot fail. */
LLVMModuleRef llvm_module(LLVMContextRef context, const KModule *module, const char *cpu, const char *features);

/* The first error of a call, of malloc: later ones are its consequences. */
void llvm_error(char **error, const char *format, ...) NIN_PRINTF(2, 3);

/* An artifact's functions for any machine (llvm_machine.c): bytes of malloc, or NULL and *error. */
char *llvm_machine(const MachineCode *code, const MachineTarget *target, size_t *length, char **error);

#endif
