/* input.h -- the bytes of a data file, decompressed if they begin with the gzip magic, taken front to back.
 *
 * `offset` counts decompressed bytes; it is what errors name.  A gzip file is never decompressed beyond what a reader
 * asked for or the limit allows, so a small file cannot fill the memory. */
#ifndef NIN_INPUT_H
#define NIN_INPUT_H

#include "data/data.h"

typedef struct Input {
    Arena *arena;                   /* of what is taken */
    Arena *scratch;                 /* of the compressed bytes; freed by input_close */
    const char *path;
    const uint8_t *stored; size_t length;
    uint64_t offset, limit;         /* limit: most decompressed bytes */
    struct z_stream_s *stream;      /* NULL: not compressed */
    bool ended;                     /* the last gzip member is at its end */
} Input;

bool input_open(Input *input, Arena *arena, const char *path, const ReadLimits *limits, char **error);
bool input_open_bytes(Input *input, Arena *arena, const char *name, const void *bytes, size_t length,
                      const ReadLimits *limits, char **error);
void input_close(Input *input);

/* Exactly n bytes, valid as long as the arena; an error if the file ends before.  `what` is for the message. */
bool input_take(Input *input, uint64_t n, const char *what, const uint8_t **out, char **error);
/* All that is left. */
bool input_rest(Input *input, const uint8_t **out, size_t *length, char **error);
/* True at the end; else an error: bytes too many. */
bool input_end(Input *input, char **error);
/* Could the rest of the file hold n bytes?  Exact for plain files; for gzip by its greatest ratio, 1032. */
bool input_may_hold(const Input *input, uint64_t n);
/* "PATH: byte N: ..." for offset `at`. */
bool input_fail(const Input *input, char **error, uint64_t at, const char *format, ...) NIN_PRINTF(4, 5);

#endif
