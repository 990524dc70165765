/* state.h -- the bytes of a run's states: what its files in OUT/runs/HASH are made of (checkpoint.c, kept.c).
 *
 * A file begins with a line that names it, format and semantics (u32); then come fields that are numbers of 8 bytes, or
 * texts and blocks with their length before them; it ends with the SHA-256 of all that as 64 digits.  Little-endian. */
#ifndef NIN_STATE_H
#define NIN_STATE_H

#include "experiment/training.h"

enum { STATE_FORMAT = 2 };
typedef struct Bytes { const char *at; size_t length; } Bytes;
bool bytes_equal(Bytes a, Bytes b);

/* ---- writing ---- */
void state_begin(Buf *out, const char *magic);
void put_int(Buf *out, int64_t x);
void put_real(Buf *out, double x);
void put_bytes(Buf *out, const void *at, size_t length);
void put_curve(Buf *out, const Curve *curve);
void put_snapshots(Buf *out, const Run *run);
void state_seal(Buf *out);

/* ---- reading: past the end, or after what cannot be, everything is 0 and `bad` is set ---- */
typedef struct Cursor { const char *at, *end; bool bad; } Cursor;
typedef enum StateCheck { STATE_OK, STATE_OTHER_FILE, STATE_OTHER_VERSION, STATE_DAMAGED } StateCheck;
StateCheck state_open(const char *bytes, size_t length, const char *magic, Cursor *out, uint32_t version[2]);
/* A whole file of this magic and version, in the arena; false where it is missing or not right. */
bool state_load(Arena *arena, const char *path, const char *magic, Cursor *out);
int64_t take_int(Cursor *c);
double take_real(Cursor *c);
Bytes take_bytes(Cursor *c);                                             /* lies in what is read */
void take_curve(Arena *arena, Cursor *c, Curve *out);
void take_snapshots(Arena *arena, Cursor *c, Run *run);                  /* not placed: snapshots_place */

/* ---- kept.c: the curve with its measures and the kept epochs of a finished run, beside its weights ---- */
bool kept_save(Eval *e, const TrainRequest *request, const Run *run, const char *hash);
bool kept_load(Eval *e, const TrainRequest *request, const char *hash, Run *run);

#endif
