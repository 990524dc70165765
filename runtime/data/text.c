/* text.c -- a text as numbers: its characters (code points of UTF-8), each the place of the character in the alphabet.
 *
 * Two walks: the first marks which code points occur, so that the alphabet is in their order; the second writes. */
#include "data/data.h"
#include "data/input.h"

enum { CODE_POINTS = 0x110000, LARGEST_TEXT = 1 << 30 };

/* One code point at *at, which moves behind it; -1 if the bytes are none (overlong forms and surrogates included). */
static int64_t code_point(const uint8_t **at, const uint8_t *end) {
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    const uint8_t *p = *at;
    int length = *p < 0x80 ? 1 : (*p & 0xe0) == 0xc0 ? 2 : (*p & 0xf0) == 0xe0 ? 3 : (*p & 0xf8) == 0xf0 ? 4 : 0;
    if (!length || end - p < length) return -1;
    uint32_t code = length == 1 ? *p : *p & (0xffu >> (length + 1));
    for (int i = 1; i < length; i++) {
        if ((p[i] & 0xc0) != 0x80) return -1;
        code = code << 6 | (p[i] & 0x3f);
    }
    if (code < least[length] || code >= CODE_POINTS || (code >= 0xd800 && code < 0xe000)) return -1;
    *at = p + length;
    return code;
}

/* Marks the code points of the text in `place` and counts them; -1 with an error. */
static int64_t mark(Input *input, const uint8_t *bytes, size_t length, int32_t *place, char **error) {
    int64_t n = 0;
    for (const uint8_t *at = bytes, *end = bytes + length; at < end; n++) {
        const uint8_t *from = at;
        int64_t code = code_point(&at, end);
        if (code >= 0) place[code] = 1;
        else return input_fail(input, error, (uint64_t)(from - bytes), "this is no UTF-8 text") ? 0 : -1;
    }
    return n;
}

static bool text_body(Input *input, Arena *arena, TextData *out, char **error) {
    const uint8_t *bytes;
    size_t length;
    if (!input_rest(input, &bytes, &length, error)) return false;
    if (length > LARGEST_TEXT) return input_fail(input, error, LARGEST_TEXT, "the text is larger than 1 GiB");
    int32_t *place = arena_array(input->arena, int32_t, CODE_POINTS);
    *out = (TextData){.length = mark(input, bytes, length, place, error)};
    if (out->length < 0) return false;
    if (out->length == 0) return input_fail(input, error, 0, "the text is empty");
    for (int code = 0; code < CODE_POINTS; code++)
        if (place[code]) place[code] = out->tokens++;
    out->token = arena_array(arena, int32_t, out->length + 16);
    const uint8_t *at = bytes;
    for (int64_t i = 0; i < out->length; i++) out->token[i] = place[code_point(&at, bytes + length)];
    return true;
}

bool read_text(Arena *arena, const char *path, const ReadLimits *limits, TextData *out, char **error) {
    Arena *scratch = arena_new();
    Input input;
    char *failure = NULL;
    bool ok = input_open(&input, scratch, path, limits, &failure);
    if (ok) {
        ok = text_body(&input, arena, out, &failure);
        input_close(&input);
    }
    if (!ok) *error = arena_copy(arena, failure, strlen(failure));
    arena_free(scratch);
    return ok;
}
