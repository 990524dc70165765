/* outputs.h -- what an output folder holds, read back.
 *
 * An experiment's folder is OUT/PROGRAM/EXPERIMENT: run.json, records.jsonl, tables as NAME.tsv, figures as NAME.svg
 * and NAME.png with their numbers in NAME.plot/, and KEYS.safetensors, links into OUT/runs/HASH/.  Whoever reads does
 * not trust what is there: any file may be missing, damaged, or made to do harm. */
#ifndef NIN_OUTPUTS_H
#define NIN_OUTPUTS_H

#include <jansson.h>

#include "report/table.h"

typedef struct Names { VEC(const char *) list; } Names;
/* What a folder holds, in order of name (numbers in names by size), without hidden and half-written files. */
Names folder_names(Arena *arena, const char *folder);
bool folder_is_experiment(Arena *arena, const char *folder);
Names lines_of(Arena *arena, char *text);              /* the lines of a text that are not empty, each ended by 0 */

/* A table from its TSV; false if there is not even a line of names.  Empty fields are null, what looks like a number is
 * one. */
bool table_read(Arena *arena, const char *title, char *text, Table *table);
/* A recorded value as a field of a TSV. */
void field_text(Buf *out, const json_t *value);

/* Seeds that some rows have and others, of the same `record`, lack: one entry for each group of the other keys. */
typedef struct SeedGap { const char *keys; int have, of; VEC(long long) missing; } SeedGap;
typedef struct SeedGaps { VEC(SeedGap) at; } SeedGaps;
SeedGaps seeds_missing(Arena *arena, Names lines);

/* The rows of one `record`: those whose fields have the same names.  Fields that are lists say only how long they
 * are. */
typedef struct RowsRead { Table table; int64_t total; } RowsRead;       /* table: the first rows of all */
typedef struct RowsOfAll { VEC(RowsRead) sets; int64_t total, damaged; } RowsOfAll;
RowsOfAll rows_read(Arena *arena, Names lines, int64_t most);

#endif
