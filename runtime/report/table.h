/* table.h -- a table of data: aligned text for the screen, TSV for files.
 *
 * The first `keys` columns name the row.  On the screen a column of numbers has one format: whole numbers as such,
 * others with as many decimals as five significant digits of any of them need; numbers that differ too much in size
 * each for themselves.  A table that is wider than the screen is cut into blocks of columns, each with the keys; what
 * still does not fit is cut with "…"; notes are broken at blanks. */
#ifndef NIN_TABLE_H
#define NIN_TABLE_H

#include "report/datum.h"

typedef struct Table {
    const char *title;                                 /* or NULL */
    int keys, columns; int64_t rows;
    const char *const *name;
    const Datum *at;                                   /* row-major */
    const char *const *notes; int note_count;          /* lines below: "n = 97 of 100" */
} Table;

typedef struct TableStyle {
    int width;                                         /* of the screen; 0: any */
    int64_t rows;                                      /* most rows shown; 0: all.  The last line counts the others */
    bool bold;                                         /* title and names of columns in bold (ANSI) */
} TableStyle;
void table_text(const Table *table, const TableStyle *style, Buf *out);
/* The texts of a column's first rows as the screen shows them, cut to `widest` columns; *numbers: it holds numbers
 * alone. */
char **table_column(const Table *table, int64_t rows, int column, int widest, Arena *arena, bool *numbers);
/* Full precision; tab, line end and backslash in texts as \t, \n, \\; null empty; lists as JSON. */
void table_tsv(const Table *table, Buf *out);

#endif
