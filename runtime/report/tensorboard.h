/* tensorboard.h -- event files of TensorBoard: scalars only.
 *
 * A file is a row of records: length (u64), its checksum (u32), the bytes, theirs (u32), all little-endian; a checksum
 * is CRC-32C, rotated right by 15 and with 0xa282ead8 added.  The bytes are an Event in protobuf's encoding: 1
 * wall_time (double), 2 step (varint), 3 file_version (text) of the first, 5 summary { 1 value { 1 tag (text), 2
 * simple_value (float) } } of the others.  Wall time is what the caller says, so that equal results give equal
 * bytes. */
#ifndef NIN_TENSORBOARD_H
#define NIN_TENSORBOARD_H

#include "base/base.h"

uint32_t crc32c(const void *bytes, size_t length);
void events_begin(Buf *out);
void events_scalar(Buf *out, double wall_time, int64_t step, const char *tag, double value);

#endif
