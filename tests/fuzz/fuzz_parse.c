/* fuzz_parse.c -- libFuzzer's entry to the parser: any bytes give a tree or diagnostics, all of which can be shown,
 * and the same bytes give the same ones.  A tree that was said to be sound covers its children's spans. */
#include "syntax/ast.h"

#include <stdlib.h>

enum { LARGEST = 1 << 14 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_spans(void *data, Ast *node)
{
    const Ast *parent = data;
    if (node->span.lo > node->span.hi || node->depth >= parent->depth ||
        (node->kind != AST_ERROR && (node->span.lo < parent->span.lo || node->span.hi > parent->span.hi)))
        abort();
    ast_children(node, check_spans, node);
}

static void parse_once(const uint8_t *data, size_t size, bool prompt, Buf *shown)
{
    Arena *arena = arena_new();
    Intern *names = intern_new();
    Diags diags;
    uint32_t ids = 1;
    diags_init(&diags, arena, sources_new(arena));
    const Source *source = sources_add(diags.sources, "fuzz.nin", (const char *)data, size);
    ParseContext context = {arena, names, &diags, &ids, prompt};
    const Module *module = parse_module(&context, source);
    ast_dump(module, shown);
    diags_render(&diags, DIAG_HUMAN, true, 60, 20, shown);
    diags_render(&diags, DIAG_LINE, false, 80, 5, shown);
    diags_render(&diags, DIAG_JSON, false, 80, 20, shown);
    tokens_dump(source, &context, shown);
    for (int i = 0; i < module->items.len; i++)
        ast_children(module->items.at[i], check_spans, module->items.at[i]);
    intern_free(names);
    arena_free(arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > LARGEST)
        return 0;
    Buf first = {0}, second = {0};
    bool prompt = size && data[size - 1] % 2;
    parse_once(data, size, prompt, &first);
    parse_once(data, size, prompt, &second);
    if (first.len != second.len || (first.len && memcmp(first.at, second.at, first.len) != 0))
        abort();
    buf_free(&first);
    buf_free(&second);
    return 0;
}
