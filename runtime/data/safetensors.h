/* safetensors.h -- the .safetensors format: 8 bytes header length (LE), a JSON header, the tensors' bytes.
 *
 * Written: tensors in the order given, dense and row-major, header padded with blanks to 8 bytes; equal input gives
 * equal bytes.  Read: every offset, size and dtype is checked; tensors must cover the data without gaps or overlap. */
#ifndef NIN_SAFETENSORS_H
#define NIN_SAFETENSORS_H

#include "data/data.h"
#include "support/file.h"

typedef struct NamedTensor { const char *name; DType dtype; Shape shape; const void *data; } NamedTensor;
typedef struct MetaText { const char *key, *value; } MetaText;          /* entries of __metadata__ */

bool safetensors_write(Arena *arena, const char *path, const NamedTensor *tensors, int count, const MetaText *meta,
                       int meta_count, FileSync sync, char **error);

typedef struct TensorFile { NamedTensor *tensors; int count; MetaText *meta; int meta_count; } TensorFile;
/* Tensors in the order of their data.  NaN and infinity are values here. */
bool safetensors_read(Arena *arena, const char *path, const ReadLimits *limits, TensorFile *out, char **error);
const NamedTensor *safetensors_find(const TensorFile *file, const char *name);      /* NULL if absent */

#endif
