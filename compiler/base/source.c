/* source.c -- the files of a session in one space of offsets.
 *
 * Source k covers [base, base + length]: the offset of its end belongs to it, so "at the end of the file" has a
 * place.  Offset 0 is nowhere.  Lines and columns are found by scanning, only when something is shown. */
#include "base/diag.h"

struct Sources { Arena *arena; VEC(Source *) list; uint32_t next; };

Sources *sources_new(Arena *arena)
{
    Sources *sources = arena_new_of(arena, Sources);
    sources->arena = arena;
    sources->next = 1;
    return sources;
}

const Source *sources_add(Sources *sources, const char *path, const char *text, size_t length)
{
    if (length >= UINT32_MAX - sources->next)
        return NULL;
    Source *source = arena_new_of(sources->arena, Source);
    source->path = arena_copy(sources->arena, path, strlen(path));
    source->text = arena_copy(sources->arena, text, length);
    source->base = sources->next;
    source->length = (uint32_t)length;
    sources->next += (uint32_t)length + 1;
    vec_push(sources->arena, &sources->list, source);
    return source;
}

static const Source *source_at(const Sources *sources, uint32_t offset)
{
    int lo = 0, hi = sources ? sources->list.len : 0;
    while (lo < hi) {
        int middle = lo + (hi - lo) / 2;
        if (sources->list.at[middle]->base <= offset)
            lo = middle + 1;
        else
            hi = middle;
    }
    const Source *source = lo ? sources->list.at[lo - 1] : NULL;
    return source && offset - source->base <= source->length ? source : NULL;
}

const Source *sources_of(const Sources *sources, Span span)
{
    return span.lo ? source_at(sources, span.lo) : NULL;
}

Place sources_place(const Sources *sources, uint32_t offset)
{
    const Source *source = offset ? source_at(sources, offset) : NULL;
    if (!source)
        return (Place){"", 0, 0};
    Place place = {source->path, 1, 1};
    for (const char *at = source->text, *end = at + (offset - source->base); at < end; at++) {
        if (*at == '\n')
            place.line++, place.column = 1;
        else if (((unsigned char)*at & 0xC0) != 0x80)
            place.column++;
    }
    return place;
}

const char *sources_text(const Sources *sources, Arena *arena, Span span)
{
    const Source *source = sources_of(sources, span);
    if (!source || span.hi < span.lo)
        return "";
    uint32_t lo = span.lo - source->base, hi = span.hi - source->base;
    if (hi > source->length)
        hi = source->length;
    return arena_copy(arena, source->text + lo, hi - lo);
}
