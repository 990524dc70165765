/* object.h -- an object file linked in memory, without LLVM. */
#ifndef NIN_OBJECT_H
#define NIN_OBJECT_H

#include "kernel/kernel.h"

typedef struct Linked { void *at; size_t size; } Linked;
/* Links one relocatable object of this machine and finds functions by symbol.  False if it is not whole, or asks for
 * something this does not know: then the code generator's own linker may.  Any bytes are safe to give. */
bool object_link(const char *bytes, size_t length, const char *const *symbol, KernelFn *functions, int n, Linked *out);
void object_unlink(Linked *linked);

#endif
