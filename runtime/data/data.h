/* data.h -- arrays of numbers read from files: IDX, NPY, NPZ and CSV, each plain or gzip.
 *
 * A DataArray is dense and row-major; its first axis counts the rows (examples).  A reader checks what a file declares
 * against the file's size and the limits before it allocates.  Every error is one line that begins with the path, and
 * names the place: a byte offset (of the decompressed data), a line and column, or a row and column. */
#ifndef NIN_DATA_H
#define NIN_DATA_H

#include "graph/graph.h"

typedef enum DataType { DATA_U8, DATA_BOOL, DATA_I32, DATA_I64, DATA_F32, DATA_F64 } DataType;
size_t data_size(DataType type);

/* `rows` entries of a shape.  An array of rank 0 in a file is one row. */
typedef struct DataArray { DataType type; int64_t rows; Shape shape; void *bytes; } DataArray;

/* In bytes; 0 means 4 GiB.  `stored` bounds the file, `array` what is made of it (decompressed text included). */
typedef struct ReadLimits { uint64_t stored, array; } ReadLimits;

bool read_idx(Arena *arena, const char *path, const ReadLimits *limits, DataArray *out, char **error);
/* C order; descr <f4 <f8 |u1 |b1 <i4 <i8. */
bool read_npy(Arena *arena, const char *path, const ReadLimits *limits, DataArray *out, char **error);

/* The same from memory; `name` stands for the path. */
bool read_npy_bytes(Arena *arena, const char *name, const void *bytes, size_t length, const ReadLimits *limits,
                    DataArray *out, char **error);
/* Of an .npz (a zip archive of .npy files): the arrays that have these names; found[i] is false for one it lacks. */
bool read_npz(Arena *arena, const char *path, const ReadLimits *limits, const char *const *names, int count,
              DataArray *out, bool *found, char **error);

/* Numbers separated by commas; f64 rows [columns].  A first line with a field that is no number is a header; `names`
 * then holds its fields, else NULL.  Fields may be quoted; lines end in \n or \r\n; empty lines are passed over.
 * Every number must be finite. */
typedef struct CsvData { DataArray array; const char **names; const char **labels; int64_t label_count; } CsvData;
bool read_csv(Arena *arena, const char *path, const ReadLimits *limits, CsvData *out, char **error);
/* The same, where the last field of a line may be any text: if not all of them are numbers, `labels` holds the
 * different ones in the order of their bytes, and a field is the number of its own, from 0. */
bool read_csv_labelled(Arena *arena, const char *path, const ReadLimits *limits, CsvData *out, char **error);
/* The same from memory (plain or gzip); `name` stands for the path. */
bool read_csv_bytes(Arena *arena, const char *name, const void *bytes, size_t length, const ReadLimits *limits,
                    CsvData *out, char **error);

/* The characters of a text in UTF-8 (plain or gzip), numbered from 0 in the order of their code points. */
typedef struct TextData { int32_t *token; int64_t length; int tokens; } TextData;
bool read_text(Arena *arena, const char *path, const ReadLimits *limits, TextData *out, char **error);

/* The first entry that is NaN or infinite; false and "PATH: row 3, column 7 is not a number" if there is one. */
bool data_finite(Arena *arena, const char *path, const DataArray *array, char **error);
double data_at(const DataArray *array, int64_t index); /* element `index` of the whole array */

#endif
