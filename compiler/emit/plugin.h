/* plugin.h -- what libnin-llvm.so gives to emit/code.c: one exported function, a table of functions.
 *
 * The plugin links against LLVM and nothing of ours: it reads KModule as plain data and returns memory of malloc. */
#ifndef NIN_PLUGIN_H
#define NIN_PLUGIN_H

#include <ctype.h>
#include <stdio.h>

#include "emit/emit.h"
#include "emit/machine.h"

typedef struct Jitted Jitted;
typedef struct LlvmPlugin {
    size_t size, instructions;      /* sizeof(LlvmPlugin), K_COUNT: a plugin of another build is refused */
    /* All: NULL, and *error (malloc) on failure.  The CPU of the options is one of emit/cpu.h. */
    char *(*object)(const KModule *module, const CodeOptions *options, size_t *length,
                    char **error); /* 16-byte aligned */
    Jitted *(*link)(const char *object, size_t length, const char *const *symbol, KernelFn *functions, int n,
                    char **error);
    void (*release)(Jitted *code);
    char *(*text)(const KModule *module, const CodeOptions *options, bool assembly, char **error);
    char *(*machine)(const MachineCode *code, const MachineTarget *target, size_t *length, char **error);
} LlvmPlugin;

#define LLVM_PLUGIN_SYMBOL "nin_llvm_plugin"
typedef const LlvmPlugin *LlvmPluginFn(void);
LlvmPluginFn nin_llvm_plugin;

/* The symbol of function k in emitted text: its name made an identifier, and its number. */
static inline void kernel_symbol(char out[64], const KModule *module, int k)
{
    int n = 0;
    for (const char *p = module->func.at[k]->name; *p && n < 48; p++)
        out[n++] = (char)(isalnum((unsigned char)*p) ? *p : '_');
    snprintf(out + n, 16, "_%d", k);
    if (!n || isdigit((unsigned char)out[0]))
        snprintf(out, 16, "k_%d", k);
}

#endif
