/* parser.c -- libFuzzer target: any bytes are parsed; the tree and the tokens are dumped, diagnostics rendered. */
#include "syntax/ast.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    Arena *arena = arena_new();
    Intern *names = intern_new();
    Sources *sources = sources_new(arena);
    Diags diags;
    uint32_t next_id = 0;
    diags_init(&diags, arena, sources);
    const Source *source = sources_add(sources, "fuzz.nin", (const char *)bytes, length);
    ParseContext context = {arena, names, &diags, &next_id, false};
    if (source) {
        Buf text = {0};
        ast_dump(parse_module(&context, source), &text);
        for (int style = DIAG_HUMAN; style <= DIAG_JSON; style++)
            diags_render(&diags, (DiagStyle)style, style == DIAG_HUMAN, 80, 0, &text);
        buf_free(&text);
    }
    intern_free(names);
    arena_free(arena);
    return 0;
}
