/* cpu.h -- processors, without LLVM: what code is generated for, and what tells one machine's code from another's. */
#ifndef NIN_CPU_H
#define NIN_CPU_H

#include "kernel/kernel.h"

/* name NULL: the processor this runs on.  False: no such name. */
bool cpu_target(const char *name, Target *target);
/* Everything that code for this processor depends on, as text; nothing is added, and false, if that cannot be told. */
bool cpu_identity(const char *name, Buf *out);

#endif
