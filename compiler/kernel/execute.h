/* execute.h -- runs the stages of a lowered program over steps, on one or more threads. */
#ifndef NIN_EXECUTE_H
#define NIN_EXECUTE_H

#include "kernel/lower.h"

/* A program whose kernels are functions[stage.func]; `owner` is released with free_owner when the program is freed.
 * Each running call has buffers of its own, so one program may run on several threads at once. */
Program *program_execute(Arena *arena, const Lowered *lowered, const KernelFn *functions, void *owner,
                         void (*free_owner)(void *));
/* Gives functions to a program that was made without (NULL); before it first runs. */
void program_functions(Program *program, const KernelFn *functions, void *owner, void (*free_owner)(void *));

#endif
