/* base.h -- memory, text and containers that everything above uses.
 *
 * One arena per lifetime; nothing is freed singly (invariant 7).  Out of memory is the one condition
 * that has no return value: arena_alloc calls the hook of arena_on_exhausted, or aborts.
 * Nothing here has mutable globals; nothing prints, exits or reads the environment. */
#ifndef NIN_BASE_H
#define NIN_BASE_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define NIN_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

/* ---- arena: bump allocation, zeroed, 16-byte aligned; freed whole ---- */
typedef struct Arena Arena;
Arena *arena_new(void);
void arena_free(Arena *arena);
void arena_join(Arena *into, Arena *from);             /* what `from` holds belongs to `into`; `from` is gone */
void *arena_alloc(Arena *arena, size_t size);
void arena_limit(Arena *arena, size_t bytes);          /* 0 = none; exceeding it counts as exhausted */
void arena_on_exhausted(Arena *arena, void (*hook)(void *data), void *data);   /* must not return */
size_t arena_used(const Arena *arena);
char *arena_copy(Arena *arena, const char *text, size_t length);          /* adds the final NUL */
char *arena_printf(Arena *arena, const char *format, ...) NIN_PRINTF(2, 3);
char *arena_vprintf(Arena *arena, const char *format, va_list args);
#define arena_new_of(arena, T) ((T *)arena_alloc((arena), sizeof(T)))
#define arena_array(arena, T, n) ((T *)arena_alloc((arena), sizeof(T) * (size_t)(n)))

/* ---- vector in an arena: VEC(int) v = {0}; vec_push(arena, &v, 3); v.at[i], v.len ---- */
#define VEC(T) struct { T *at; int len, cap; }
#define vec_push(arena, v, x)                                                                        \
    ((v)->len == (v)->cap                                                                            \
         ? (void)((v)->at = vec_grow_((arena), (v)->at, (v)->len, &(v)->cap, sizeof *(v)->at))       \
         : (void)0,                                                                                  \
     (v)->at[(v)->len++] = (x))
void *vec_grow_(Arena *arena, void *at, int len, int *cap, size_t element);

/* ---- interned names: equal text, equal pointer.  Safe to call from several threads ---- */
typedef const char *Name;
typedef struct Intern Intern;
Intern *intern_new(void);
void intern_free(Intern *table);
Name intern(Intern *table, const char *text, size_t length);
Name intern_text(Intern *table, const char *text);

/* ---- map from a pointer (a Name, a node) to a pointer; iteration is in order of insertion ---- */
typedef struct Map { Arena *arena; const void **key; void **value; int len, cap; int *slot; int slots; } Map;
void map_init(Map *map, Arena *arena);
void *map_get(const Map *map, const void *key);                           /* NULL if absent */
bool map_has(const Map *map, const void *key);
void map_put(Map *map, const void *key, void *value);                     /* replaces */

/* ---- growing text, heap-backed ---- */
typedef struct Buf { char *at; size_t len, cap; } Buf;
void buf_put(Buf *buf, const void *bytes, size_t length);
void buf_text(Buf *buf, const char *text);
void buf_int(Buf *buf, int64_t x);                               /* in decimal, without the cost of a format */
void buf_printf(Buf *buf, const char *format, ...) NIN_PRINTF(2, 3);
void buf_free(Buf *buf);
char *buf_done(Buf *buf, Arena *arena);                                   /* copies to the arena, frees the buf */

/* ---- numbers as text ---- */
/* The shortest decimal that reads back to the same bits: "0.1", "1e-08", "-0", "inf", "nan"; whole numbers
 * below 1e9 print in full ("50000"). */
void text_of_f64(char out[32], double x);
void text_of_f32(char out[32], float x);
/* Edit distance (insertions, deletions, replacements, swaps of neighbours), cut off at limit + 1. */
int text_distance(const char *a, const char *b, int limit);

/* ---- 64-bit FNV-1a, the hash of paths in RNG keys (LANGUAGE 4.12) and of tables ---- */
uint64_t fnv1a(const void *bytes, size_t length, uint64_t seed);
#define FNV1A_START UINT64_C(14695981039346656037)

#endif
