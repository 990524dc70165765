/* buf.c -- growing text on the heap.  `at` is NUL-terminated whenever it is not NULL. */
#include "base/base.h"

#include <stdio.h>
#include <stdlib.h>

static void buf_reserve(Buf *buf, size_t more)
{
    if (more > SIZE_MAX / 4 - buf->len)
        abort();
    size_t need = buf->len + more + 1;
    if (need <= buf->cap)
        return;
    size_t cap = buf->cap ? buf->cap * 2 : 256;
    while (cap < need)
        cap *= 2;
    char *at = realloc(buf->at, cap);
    if (!at)
        abort();
    buf->at = at;
    buf->cap = cap;
}

void buf_put(Buf *buf, const void *bytes, size_t length)
{
    buf_reserve(buf, length);
    if (length)
        memcpy(buf->at + buf->len, bytes, length);
    buf->len += length;
    buf->at[buf->len] = 0;
}

void buf_text(Buf *buf, const char *text)
{
    buf_put(buf, text, strlen(text));
}

void buf_int(Buf *buf, int64_t x)
{
    char digits[24], *at = digits + sizeof digits;
    uint64_t rest = x < 0 ? -(uint64_t)x : (uint64_t)x;
    do
        *--at = (char)('0' + rest % 10);
    while (rest /= 10);
    if (x < 0)
        *--at = '-';
    buf_put(buf, at, (size_t)(digits + sizeof digits - at));
}

void buf_printf(Buf *buf, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    buf_reserve(buf, 64);
    size_t room = buf->cap - buf->len;
    int length = vsnprintf(buf->at + buf->len, room, format, args);
    if (length > 0 && (size_t)length >= room) {
        buf_reserve(buf, (size_t)length);
        vsnprintf(buf->at + buf->len, (size_t)length + 1, format, again);
    }
    if (length > 0)
        buf->len += (size_t)length;
    va_end(again);
    va_end(args);
}

void buf_free(Buf *buf)
{
    free(buf->at);
    *buf = (Buf){0};
}

char *buf_done(Buf *buf, Arena *arena)
{
    char *text = arena_copy(arena, buf->at, buf->len);
    buf_free(buf);
    return text;
}
