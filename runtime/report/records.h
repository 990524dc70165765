/* records.h -- rows of an experiment as a .jsonl file: one JSON object a line, fields in the order given.
 *
 * Rows may be put from several threads and in any order; the file holds them by ascending turn, rows of one turn in the
 * order they were put.  So equal rows give equal bytes, whatever the threads.  The file appears when it is closed,
 * complete; closed after an interruption, it holds what was put until then. */
#ifndef NIN_RECORDS_H
#define NIN_RECORDS_H

#include "report/datum.h"
#include "support/file.h"

typedef struct Records Records;
/* Checks at once that the file can be made.  NULL with an error otherwise. */
Records *records_open(Arena *arena, const char *path, FileSync sync, char **error);
void records_put(Records *records, int64_t turn, const Field *fields, int count);      /* any thread */
int64_t records_count(Records *records);               /* rows put until now; any thread */
bool records_close(Records *records, char **error);    /* writes the file, frees the rows */
void records_cancel(Records *records);                 /* frees the rows, leaves what was there before */

#endif
