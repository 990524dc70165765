/* dataset.h -- data sets: raw inputs and targets of a train and a test part, from named sets, files or the binary.
 *
 * Values are kept raw: bytes as they lie in the file, with a divisor that makes them raw values (images: 0..1).
 * Normalisation, valid splits and reshaping belong to the caller; column_gather_* apply an affine map on the way. */
#ifndef NIN_DATASET_H
#define NIN_DATASET_H

#include "data/data.h"

/* Element e of a row stands for the raw value bytes[row * size + e] / divisor. */
typedef struct DataColumn { DataType type; Shape shape; const void *bytes; double divisor; } DataColumn;
typedef struct DataPart { int64_t n; DataColumn x, y; } DataPart;       /* n = 0: there is no such part */
typedef struct DataFile { const char *path; char sha256[65]; } DataFile;

typedef struct Dataset {
    const char *name;
    DataPart train, test;
    int classes;                    /* k > 0: y is one i32 a row, a class 0 .. k-1; 0: y is rows of numbers */
    double lo, hi;                  /* raw range: of the format for images (0..1), else least and greatest of train */
    bool fixed_range;               /* of the format */
    DataFile files[8]; int file_count;
    char sha256[65];                /* of the files' hashes, in order: the identity of the data */
} Dataset;

typedef struct DatasetRequest {
    const char *name;               /* a known set, or any name with `file` */
    const char *const *folders;     /* searched for known sets and for relative paths; ends with NULL */
    const char *cache;              /* folder for what was decoded (cache.h), or NULL */
    const char *file;               /* .csv, .npy or idx (each may end in .gz), .npz, or NULL */
    const char *target;             /* file of the targets (.npy or idx); of an .npz: its array of them; or NULL */
    int target_columns;             /* of a csv: its last columns; 0 means 1 */
    int classes;                    /* targets are whole numbers 0 .. classes-1; 0: numbers */
    bool present;                   /* of a known set: only find its folder; *out stays empty (see dataset_facts) */
} DatasetRequest;

typedef enum DatasetFailure { DATASET_MISSING, DATASET_BAD } DatasetFailure;
/* False with *error (one line, or two: what is missing, and where it may be had) and *why.  u8 data of a file count as
 * image bytes: divisor 255. */
bool dataset_read(Arena *arena, const DatasetRequest *request, const ReadLimits *limits, Dataset *out,
                  DatasetFailure *why, char **error);

/* The text of request->file, and the SHA-256 of the file. */
bool dataset_text_read(Arena *arena, const DatasetRequest *request, TextData *out, char sha256[65], char **error);

/* What is known of a named set without its files: NULL if the name is not known. */
typedef struct DatasetFacts { const char *name; Shape shape; int classes; int64_t train, test; double lo, hi;
                              bool builtin; const char *where; } DatasetFacts;
const DatasetFacts *dataset_facts(const char *name);
const char *const *dataset_known(void);                 /* names, for "did you mean"; ends with NULL */

/* (raw - mean) / sd, with one mean and sd for each first-axis feature (or one for all: features = 1).  Both are rounded
 * once to the result's type; then a subtraction and a division.  NULL: the raw value.  For f32
 * all of it is done in f32, element / divisor included. */
typedef struct Affine { int features; const double *mean, *sd; } Affine;
/* Rows rows[0 .. count-1] (rows NULL: first .. first+count-1), one after another, row-major. */
void column_gather_f32(const DataColumn *column, const Affine *affine, const uint32_t *rows, int64_t first,
                       int64_t count, float *out);
void column_gather_f64(const DataColumn *column, const Affine *affine, const uint32_t *rows, int64_t first,
                       int64_t count, double *out);
int column_class(const DataColumn *column, int64_t row);/* of an i32 column of classes */

#endif
