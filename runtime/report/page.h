/* page.h -- one HTML page of what experiments left: figures, tables, seeds that are missing, where the numbers come
 * from and how to have them again.
 *
 * The page needs nothing else: no network, no script; figures are inside it, and its policy (Content-Security-Policy)
 * forbids the reader's browser to load anything.  Light or dark as the reader has it, for narrow screens and for paper.
 * The same folder gives the same bytes. */
#ifndef NIN_PAGE_H
#define NIN_PAGE_H

#include "base/base.h"

typedef struct PageOptions {
    const char *const *experiments; int experiment_count;               /* only these; 0: all */
    const char *version;                                                /* of nin */
} PageOptions;
typedef struct PageCounts { int experiments, tables, figures, runs; int64_t rows; VEC(const char *) notes; } PageCounts;

/* The page of a folder: an output folder, one program's folder in it, or one experiment's.  False with an error: there
 * is no experiment there. */
bool page_make(Arena *arena, const char *folder, const PageOptions *options, Buf *out, PageCounts *counts,
               char **error);

#endif
