/* device.h -- a lowered program as a device runs it: a known number of examples, no executor, no table of entries.
 *
 * Every stage becomes a *call* of a function that is specialised to it: ranges, batch size and order are constants,
 * loops of one turn are gone, copies of the input and of the results too.  What a call is given are *spots*: weights,
 * input, results, and stretches of a workspace, which holds an array for each element type; stretches whose lives do
 * not overlap share memory.  Requires: lowered for Target.vectors = false.  All indices are proved to lie inside. */
#ifndef NIN_DEVICE_H
#define NIN_DEVICE_H

#include "kernel/lower.h"

typedef enum SpotKind {
    SPOT_WEIGHT,     /* slot `index` of the layout */
    SPOT_INPUT,      /* rows `index`: 0 = x, 1 = target */
    SPOT_RESULT,     /* result rows `index` */
    SPOT_SERIES,     /* series `index`: one f64 */
    SPOT_WORK,       /* workspace[element] + offset */
    SPOT_STEP,       /* one i64: steps since the session began */
    SPOT_SETTINGS, SPOT_KEYS
} SpotKind;
/* extent: elements that are reached, from the place's start. */
typedef struct Spot { SpotKind kind; int index; KScalar element; int64_t offset, extent; bool written; } Spot;
/* Argument k of function `func` is spot[k]. */
typedef struct DeviceCall { int func; int *spot; int args; const char *what; } DeviceCall;
enum { DEVICE_TYPES = KS_F64 + 1 };

typedef struct Device {
    KModule *module;
    DeviceCall *call; int calls;
    Spot *spot; int spots;
    KScalar *data_element;                 /* of module->data */
    int64_t work[DEVICE_TYPES];            /* elements of the workspace, by element type */
    int64_t multiplies;                    /* products, those of multiply-adds among them, of one run */
    BlockLayout layout;
} Device;

/* NULL and *error if the program cannot be run so. */
Device *device_make(Arena *arena, const Lowered *lowered, int64_t examples, const char **error);

/* ---- parts (device_special.c, device_range.c) ---- */

/* A stage's function for so many examples; its ARGs name entries of `lowered`. */
KFunc *special_stage(KModule *module, const Lowered *lowered, const Stage *stage, int64_t examples);

/* Bounds of every integer value of a function; known: they are such (no wrapping, no data). */
typedef struct Range { int64_t lo, hi; bool known; } Range;
Range *function_ranges(Arena *arena, const KFunc *f);
/* The ARG, LOCAL or DATA that a pointer is made from. */
KVal pointer_root(const KFunc *f, KVal pointer);
/* The element type that is read and written through a root; KS_VOID: none, KS_PTR: several. */
KScalar root_element(const KFunc *f, KVal root, bool *written);

#endif
