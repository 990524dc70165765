/* arena.c -- bump allocation in chunks that double, and the vectors that live in arenas.
 *
 * A chunk is zeroed when it is made and handed out once, so every allocation is zeroed without a memset.
 * Large requests get a chunk of their own, put behind the current one so that its rest stays usable. */
#include "base/base.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

enum { HUGE_PAGE = 2 << 20, HUGE_FROM = 4 * HUGE_PAGE };
enum { CHUNK_FIRST = 8 << 10, CHUNK_LARGEST = 4 << 20, ALIGNMENT = 16 };

typedef struct Chunk { struct Chunk *next; size_t size; } Chunk;           /* a multiple of 16 bytes; payload follows */

struct Arena {
    Chunk *chunks;                      /* the current one first */
    char *at, *end;                     /* free part of the current chunk */
    size_t chunk_size, used, limit;
    void (*exhausted)(void *data);
    void *data;
};

Arena *arena_new(void)
{
    Arena *arena = calloc(1, sizeof *arena);
    if (!arena)
        abort();
    arena->chunk_size = CHUNK_FIRST;
    return arena;
}

void arena_free(Arena *arena)
{
    if (!arena)
        return;
    for (Chunk *chunk = arena->chunks, *next; chunk; chunk = next) {
        next = chunk->next;
        free(chunk);
    }
    free(arena);
}

void arena_join(Arena *into, Arena *from)
{
    Chunk *last = from->chunks;
    while (last && last->next)
        last = last->next;
    if (last && into->chunks) {
        last->next = into->chunks->next;
        into->chunks->next = from->chunks;
    } else if (last) {
        into->chunks = from->chunks;
    }
    into->used += from->used;
    free(from);
}

void arena_limit(Arena *arena, size_t bytes)
{
    arena->limit = bytes;
}

void arena_on_exhausted(Arena *arena, void (*hook)(void *data), void *data)
{
    arena->exhausted = hook;
    arena->data = data;
}

size_t arena_used(const Arena *arena)
{
    return arena->used;
}

static void exhausted(Arena *arena)
{
    if (arena->exhausted)
        arena->exhausted(arena->data);
    abort();
}

/* Asks for large pages under a large chunk: hundreds of megabytes of examples cost seconds in page faults otherwise. */
static void advise_huge(void *at, size_t size)
{
    uintptr_t from = ((uintptr_t)at + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE,
              to = ((uintptr_t)at + size) / HUGE_PAGE * HUGE_PAGE;
    if (size >= HUGE_FROM && from < to)
        madvise((void *)from, to - from, MADV_HUGEPAGE);                /* refused: no harm */
}

static Chunk *chunk_new(Arena *arena, size_t payload)
{
    Chunk *chunk = payload > SIZE_MAX - sizeof *chunk ? NULL : calloc(1, sizeof *chunk + payload);
    if (!chunk) {
        exhausted(arena);
        abort();
    }
    advise_huge(chunk, sizeof *chunk + payload);
    chunk->size = payload;
    return chunk;
}

static void *alloc_slow(Arena *arena, size_t size)
{
    if (size > arena->chunk_size / 4) {
        Chunk *own = chunk_new(arena, size);
        if (arena->chunks) {
            own->next = arena->chunks->next;
            arena->chunks->next = own;
        } else {
            arena->chunks = own;
        }
        return own + 1;
    }
    Chunk *chunk = chunk_new(arena, arena->chunk_size);
    chunk->next = arena->chunks;
    arena->chunks = chunk;
    arena->at = (char *)(chunk + 1) + size;
    arena->end = (char *)(chunk + 1) + chunk->size;
    if (arena->chunk_size < CHUNK_LARGEST)
        arena->chunk_size *= 2;
    return chunk + 1;
}

void *arena_alloc(Arena *arena, size_t size)
{
    if (size > SIZE_MAX / 2)
        exhausted(arena);
    size = size ? (size + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1) : ALIGNMENT;
    arena->used += size;
    if (arena->limit && arena->used > arena->limit)
        exhausted(arena);
    if (size > (size_t)(arena->end - arena->at))
        return alloc_slow(arena, size);
    void *result = arena->at;
    arena->at += size;
    return result;
}

char *arena_copy(Arena *arena, const char *text, size_t length)
{
    char *copy = arena_alloc(arena, length + 1);
    if (length)
        memcpy(copy, text, length);
    return copy;
}

char *arena_vprintf(Arena *arena, const char *format, va_list args)
{
    char local[256];
    va_list again;
    va_copy(again, args);
    int length = vsnprintf(local, sizeof local, format, args);
    if (length < 0)
        length = 0, local[0] = 0;
    char *text = arena_alloc(arena, (size_t)length + 1);
    if ((size_t)length < sizeof local)
        memcpy(text, local, (size_t)length + 1);
    else
        vsnprintf(text, (size_t)length + 1, format, again);
    va_end(again);
    return text;
}

char *arena_printf(Arena *arena, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    char *text = arena_vprintf(arena, format, args);
    va_end(args);
    return text;
}

void *vec_grow_(Arena *arena, void *at, int len, int *cap, size_t element)
{
    if (*cap > INT32_MAX / 2)
        exhausted(arena);
    int larger = *cap ? *cap * 2 : 8;
    void *moved = arena_alloc(arena, (size_t)larger * element);
    if (len)
        memcpy(moved, at, (size_t)len * element);
    *cap = larger;
    return moved;
}
