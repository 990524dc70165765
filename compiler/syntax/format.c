/* format.c -- from source to source in the one style, and whether two texts are one program. */
#include "syntax/format_parts.h"

static void put(Buf *out, const Pieces *pieces)
{
    int column = 0;
    for (int i = 0; i < pieces->len; i++) {
        const Piece *p = &pieces->at[i];
        if (i > 0 && p->brk != BREAK_NONE) {
            buf_text(out, p->blank ? "\n\n" : "\n");
            column = 0;
        } else if (p->sep && !piece_trails(p)) {
            bool record = p->inside >= 0 && piece_is_record(&pieces->at[p->inside]);
            buf_text(out, record ? "," : ";");
            column++;
        }
        for (; column < p->at; column++)
            buf_text(out, " ");
        buf_put(out, p->text, (size_t)p->bytes);
        column += p->width;
    }
    if (pieces->len)
        buf_text(out, "\n");
}

bool format_source(const ParseContext *context, const Source *source, Buf *out)
{
    int errors = context->diags->errors;
    const Module *module = parse_module(context, source);
    if (context->diags->errors > errors || !module->complete)
        return false;
    Arena *scratch = arena_new();
    Lexer lexer;
    Pieces pieces = {.arena = scratch};
    lexer_init(&lexer, context, scratch, source);
    lexer_run(&lexer);
    filter_run(&lexer);
    pieces_read(&pieces, &lexer);
    lines_lay(&pieces);
    lines_align(&pieces);
    put(out, &pieces);
    arena_free(scratch);
    return true;
}

static bool text_equal(const Buf *a, const Buf *b)
{
    return a->len == b->len && (a->len == 0 || memcmp(a->at, b->at, a->len) == 0);
}

/* The comments one a line, without the blanks at their ends. */
static void put_comments(Buf *out, const Module *module)
{
    for (int i = 0; i < module->comments_len; i++) {
        Span span = module->comments[i].span;
        const char *text = module->source->text + (span.lo - module->source->base);
        int length = (int)(span.hi - span.lo);
        while (length && strchr(" \t\r", text[length - 1]))
            length--;
        buf_printf(out, "%s%.*s\n", module->comments[i].own_line ? "" : "behind ", length, text);
    }
}

bool format_same(const Module *a, const Module *b)
{
    Buf x = {0}, y = {0};
    ast_dump_meaning(a, &x);
    ast_dump_meaning(b, &y);
    put_comments(&x, a);
    put_comments(&y, b);
    bool same = text_equal(&x, &y);
    buf_free(&x);
    buf_free(&y);
    return same;
}
