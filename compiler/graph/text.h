/* text.h -- the words that print.c and read.c share. */
#ifndef NIN_GRAPH_TEXT_H
#define NIN_GRAPH_TEXT_H

#include "graph/rules.h"

enum { INPUT_KINDS = IN_WHOLE + 1, OUTPUT_KINDS = OUT_STACK_BACK + 1 };
extern const char *const graph_input_kinds[INPUT_KINDS];
extern const char *const graph_output_kinds[OUTPUT_KINDS];

#endif
