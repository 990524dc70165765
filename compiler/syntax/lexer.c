/* lexer.c -- what the rules of lang/lexer.re do: literals, comments, doc comments, stray characters.
 *
 * A malformed literal or character is reported once and still gives a token, so that the parser goes on. */
#include "syntax/token.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

static Span span_of(const Lexer *lexer, const unsigned char *lo, const unsigned char *hi)
{
    const unsigned char *text = (const unsigned char *)lexer->source->text;
    return (Span){lexer->source->base + (uint32_t)(lo - text), lexer->source->base + (uint32_t)(hi - text)};
}

void lexer_init(Lexer *lexer, const ParseContext *context, Arena *scratch, const Source *source)
{
    const unsigned char *text = (const unsigned char *)source->text;
    bool mark = source->length >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0;
    *lexer = (Lexer){.cx = context, .scratch = scratch, .source = source, .cursor = text + (mark ? 3 : 0),
                     .limit = text + source->length, .line_start = true};
}

void lexer_line_end(Lexer *lexer)
{
    if (lexer->line_start)
        lexer->doc = 0;                                        /* an empty line */
    lexer->line_start = true;
}

/* The length of the UTF-8 sequence at `at`, or 0 if there is none. */
static int utf8_length(const unsigned char *at, const unsigned char *limit)
{
    int length = *at < 0x80 ? 1 : *at < 0xC2 ? 0 : *at < 0xE0 ? 2 : *at < 0xF0 ? 3 : *at < 0xF5 ? 4 : 0;
    if (length > limit - at)
        return 0;
    for (int i = 1; i < length; i++)
        if ((at[i] & 0xC0) != 0x80)
            return 0;
    bool bad = (*at == 0xE0 && at[1] < 0xA0) || (*at == 0xED && at[1] > 0x9F) || (*at == 0xF0 && at[1] < 0x90) ||
               (*at == 0xF4 && at[1] > 0x8F);
    return bad ? 0 : length;
}

static void control_report(Lexer *lexer, const unsigned char *at, const unsigned char *hi)
{
    if (*at >= 0x80)
        diag_add(lexer->cx->diags, D_E0101, span_of(lexer, at, hi), "this is not UTF-8 text");
    else
        diag_add(lexer->cx->diags, D_E0101, span_of(lexer, at, hi),
                 "the control character %d is not part of the language", *at);
}

/* Comments and strings hold any text, but no control characters and nothing that is not UTF-8. */
static void check_text(Lexer *lexer, const unsigned char *at, const unsigned char *limit)
{
    while (at < limit) {
        int length = utf8_length(at, limit);
        if (length == 0 || (*at < ' ' && *at != '\t') || *at == 0x7F) {
            control_report(lexer, at, at + 1);
            return;
        }
        at += length;
    }
}

void lexer_comment(Lexer *lexer)
{
    const unsigned char *end = lexer->cursor;
    if (end > lexer->start && end[-1] == '\r')
        end--;
    check_text(lexer, lexer->start, end);
    bool doc = end - lexer->start >= 2 && lexer->start[1] == '#';
    Comment comment = {span_of(lexer, lexer->start, end), lexer->line_start, doc};
    vec_push(lexer->scratch, &lexer->comments, comment);
    lexer->doc = doc && lexer->line_start ? lexer->comments.len : 0;
    lexer->line_start = false;                                 /* so that the line's end is not an empty line */
    if (*lexer->cursor == '\n' && lexer->cursor < lexer->limit) {
        lexer->cursor++;
        lexer->line_start = true;
    }
}

static void escape_bad(Lexer *lexer, const unsigned char *at)
{
    int length = utf8_length(at + 1, lexer->limit);
    diag_add(lexer->cx->diags, D_E0102, span_of(lexer, at, at + 1 + (length ? length : 1)),
             "unknown escape in a string; there are \\n, \\t, \\\" and \\\\");
}

/* Where an unclosed string is taken to end: before the closing brackets and commas at the end of its line. */
static const unsigned char *string_give_up(Lexer *lexer, const unsigned char *end)
{
    diag_add(lexer->cx->diags, D_E0102, span_of(lexer, lexer->start, end), "this string is not closed on its line");
    while (end > lexer->start + 1 && strchr(")]}, \t\r", end[-1]))
        end--;
    return end;
}

void lexer_string(Lexer *lexer, Token *token)
{
    Buf text = {0};
    const unsigned char *at = lexer->start + 1;
    for (; at < lexer->limit && *at != '"' && *at != '\n' && !(*at == '\r' && at[1] == '\n'); at++) {
        unsigned char byte = *at;
        if (byte == '\\' && at + 1 < lexer->limit && at[1] != '\n' && at[1] != '\r') {
            static const char from[] = "nt\"\\", to[] = "\n\t\"\\";
            const char *known = at[1] ? strchr(from, at[1]) : NULL;
            if (!known)
                escape_bad(lexer, at);
            byte = known ? (unsigned char)to[known - from] : at[1];
            at++;
        }
        buf_put(&text, &byte, 1);
    }
    bool closed = at < lexer->limit && *at == '"';
    check_text(lexer, lexer->start, at);
    lexer->cursor = closed ? at + 1 : string_give_up(lexer, at);
    token->name = intern(lexer->cx->names, text.at ? text.at : "", text.len);
    buf_free(&text);
}

/* Alternatives that come from other languages: what stands there, the token it is read as, the right way. */
static const struct { const char *text; int kind; const char *hint; } strays[] = {
    {"&&", T_AND, "and"}, {"&", T_AND, "and"}, {"||", T_OR, "or"}, {"|", T_OR, "or"},
    {"!", T_NOT, "not"},  {"%", T_STAR, NULL},
};

static int stray_foreign(Lexer *lexer)
{
    for (int i = 0; i < COUNT(strays); i++) {
        size_t length = strlen(strays[i].text);
        if ((size_t)(lexer->limit - lexer->start) < length || memcmp(lexer->start, strays[i].text, length) != 0)
            continue;
        lexer->cursor = lexer->start + length;
        Span span = span_of(lexer, lexer->start, lexer->cursor);
        Diag *diag = diag_add(lexer->cx->diags, D_E0101, span, "'%s' is not part of the language", strays[i].text);
        if (strays[i].hint) {
            diag_hint(diag, "write '%s'", strays[i].hint);
            diag_fix(diag, span, strays[i].hint);
        } else {
            diag_hint(diag, "the remainder is mod(a, b)");
        }
        return strays[i].kind;
    }
    return 0;
}

/* 'text' or `text`: read as a string if it is closed on its line. */
static int stray_quote(Lexer *lexer)
{
    const unsigned char *at = lexer->cursor;
    while (at < lexer->limit && *at != *lexer->start && *at != '\n')
        at++;
    bool closed = at < lexer->limit && *at == *lexer->start;
    Span span = span_of(lexer, lexer->start, closed ? at + 1 : lexer->cursor);
    Diag *diag = diag_add(lexer->cx->diags, D_E0101, span, "'%c' is not part of the language", *lexer->start);
    diag_hint(diag, "a string is written \"...\"");
    if (closed)
        lexer->cursor = at + 1;
    return T_ERROR;
}

int lexer_stray(Lexer *lexer)
{
    unsigned char first = *lexer->start;
    int length = utf8_length(lexer->start, lexer->limit);
    if (first < ' ' || first == 0x7F || length == 0) {
        control_report(lexer, lexer->start, lexer->cursor);
        return T_ERROR;
    }
    int foreign = stray_foreign(lexer);
    if (foreign)
        return foreign;
    if (first == '\'' || first == '`')
        return stray_quote(lexer);
    lexer->cursor = lexer->start + length;
    while (first >= 0x80 && lexer->cursor < lexer->limit && *lexer->cursor >= 0x80 &&
           (length = utf8_length(lexer->cursor, lexer->limit)) > 0)
        lexer->cursor += length;
    Span span = span_of(lexer, lexer->start, lexer->cursor);
    Diag *diag = diag_add(lexer->cx->diags, D_E0101, span, "'%.*s' is not part of the language",
                          (int)(lexer->cursor - lexer->start), (const char *)lexer->start);
    if (first >= 0x80)
        diag_hint(diag, "names are made of the letters a to z, digits and '_'; strings and comments may hold any text");
    return T_ERROR;
}

/* "1..3" is a range: the number ends before the first of two points. */
int lexer_number_before_range(Lexer *lexer)
{
    int kind = T_INT;
    for (lexer->cursor = lexer->start; lexer->cursor[0] != '.' || lexer->cursor[1] != '.'; lexer->cursor++)
        if (strchr(".eE", *lexer->cursor))
            kind = T_REAL;
    return kind;
}

void lexer_bad_number(Lexer *lexer)
{
    Span span = span_of(lexer, lexer->start, lexer->cursor);
    diag_add(lexer->cx->diags, D_E0103, span, "a number cannot run into a name: '%.*s'",
             (int)(span.hi - span.lo), (const char *)lexer->start);
}

void lexer_bad_point(Lexer *lexer)
{
    Span span = span_of(lexer, lexer->start, lexer->cursor);
    int length = (int)(span.hi - span.lo);
    const char *text = (const char *)lexer->start;
    if (*text != '.') {
        Diag *diag = diag_add(lexer->cx->diags, D_E0103, span, "a digit must follow the point");
        int digits = (int)strcspn(text, ".");
        if (digits + 1 == length)
            diag_hint(diag, "write %.*s.0", digits, text);
        return;
    }
    Diag *diag = diag_add(lexer->cx->diags, D_E0103, span, "a digit must stand before the point");
    const Token *last = lexer->raw.len ? &lexer->raw.at[lexer->raw.len - 1] : NULL;
    if (last && last->span.hi == span.lo && last->kind != T_INT && last->kind != T_REAL)
        diag_hint(diag, "an element is read with brackets: [%.*s]", length - 1, text + 1);
    else
        diag_hint(diag, "write 0%.*s", length, text);
}

/* The digits of a number without "_"; the caller's buffer holds any that is not absurd. */
static void number_read(Lexer *lexer, Token *token)
{
    char digits[512];
    size_t n = 0;
    for (const unsigned char *at = lexer->start; at < lexer->cursor && n + 1 < sizeof digits; at++)
        if (*at != '_')
            digits[n++] = (char)*at;
    digits[n] = 0;
    errno = 0;
    bool large;
    if (token->kind == T_INT) {
        token->integer = strtoll(digits, NULL, 10);
        large = errno == ERANGE;
    } else {
        token->real = strtod(digits, NULL);
        large = isinf(token->real);
    }
    if (large || n + 1 == sizeof digits)
        diag_add(lexer->cx->diags, D_E0103, token->span, "this number is too large");
}

/* Room for as many tokens as texts usually have (one per three or four bytes). */
static TokenList tokens_room(Lexer *lexer)
{
    int room = (int)(lexer->source->length / 3) + 16;
    return (TokenList){arena_array(lexer->scratch, Token, room), 0, room};
}

void lexer_run(Lexer *lexer)
{
    lexer->raw = tokens_room(lexer);
    lexer->tokens = tokens_room(lexer);
    for (;;) {
        int errors = lexer->cx->diags->errors, kind = lexer_scan(lexer);
        Token token = {.kind = (uint8_t)kind, .line_start = lexer->line_start, .match = -1};
        token.doc = lexer->line_start ? lexer->doc : 0;
        if (kind == T_STRING)
            lexer_string(lexer, &token);
        token.span = span_of(lexer, lexer->start, lexer->cursor);
        token.bad = lexer->cx->diags->errors != errors;
        if ((kind == T_INT || kind == T_REAL) && !token.bad)
            number_read(lexer, &token);
        else if (kind == T_NAME || (kind && token_spelling(kind) && *token_spelling(kind) >= 'a'))
            token.name = intern(lexer->cx->names, (const char *)lexer->start, token.span.hi - token.span.lo);
        vec_push(lexer->scratch, &lexer->raw, token);
        if (kind == T_END)
            return;
        lexer->line_start = false;
        lexer->doc = 0;
    }
}

/* "## text" without its marks, and without the indentation that the first line has behind them. */
static void doc_line(Buf *out, const Source *source, const Comment *comment)
{
    const char *at = source->text + (comment->span.lo - source->base);
    const char *end = source->text + (comment->span.hi - source->base);
    while (at < end && *at == '#')
        at++;
    if (at < end && *at == ' ')
        at++;
    while (end > at && (end[-1] == ' ' || end[-1] == '\t'))
        end--;
    if (out->len)
        buf_text(out, "\n");
    buf_put(out, at, (size_t)(end - at));
}

/* Whether only blanks and one line end lie between two comments. */
static bool comments_touch(const Source *source, const Comment *above, const Comment *below)
{
    int lines = 0;
    for (uint32_t i = above->span.hi; i < below->span.lo; i++)
        if (source->text[i - source->base] == '\n')
            lines++;
        else if (!strchr(" \t\r", source->text[i - source->base]))
            return false;
    return lines == 1;
}

const char *doc_text(const Source *source, const Comment *comments, int doc, Arena *arena)
{
    if (doc == 0)
        return NULL;
    int first = doc - 1;
    while (first > 0 && comments[first - 1].doc && comments[first - 1].own_line &&
           comments_touch(source, &comments[first - 1], &comments[first]))
        first--;
    Buf text = {0};
    for (int i = first; i < doc; i++)
        doc_line(&text, source, &comments[i]);
    return buf_done(&text, arena);
}

#define WORD(kind, text) [T_##kind] = {"'" text "'", text}
static const struct { const char *description, *spelling; } terminals[] = {
    [T_END] = {"the end of the file", NULL}, [T_ERROR] = {"a stray character", NULL},
    [T_NAME] = {"a name", NULL}, [T_INT] = {"a number", NULL}, [T_REAL] = {"a number", NULL},
    [T_STRING] = {"a string", NULL}, [T_SEP] = {"the end of the line", NULL},
    WORD(TRUE, "true"), WORD(FALSE, "false"), WORD(HOLE, "?"), WORD(PLUS, "+"), WORD(MINUS, "-"), WORD(STAR, "*"),
    WORD(SLASH, "/"), WORD(AT, "@"), WORD(POWER, "^"), WORD(EQ, "=="), WORD(NE, "!="), WORD(LT, "<"), WORD(LE, "<="),
    WORD(GT, ">"), WORD(GE, ">="), WORD(RANGE, ".."), WORD(AND, "and"), WORD(OR, "or"), WORD(NOT, "not"),
    WORD(ASSIGN, "="), WORD(ARROW, "->"), WORD(DOT, "."), WORD(SPREAD, "..."), WORD(COLON, ":"), WORD(COMMA, ","),
    WORD(LPAR, "("), WORD(RPAR, ")"), WORD(LBRACKET, "["), WORD(RBRACKET, "]"), WORD(LBRACE, "{"), WORD(RBRACE, "}"),
    WORD(FOR, "for"), WORD(IN, "in"), WORD(IF, "if"), WORD(ELSE, "else"), WORD(USE, "use"), WORD(CELL, "cell"),
    WORD(NET, "net"), WORD(FN, "fn"), WORD(EXPERIMENT, "experiment"), WORD(TEST, "test"), WORD(PARAM, "param"),
    WORD(STATE, "state"), WORD(PER, "per"),
};
#undef WORD

const char *token_describe(int kind)
{
    return kind < COUNT(terminals) && terminals[kind].description ? terminals[kind].description : "a token";
}

const char *token_spelling(int kind)
{
    return kind < COUNT(terminals) ? terminals[kind].spelling : NULL;
}

int token_kinds(void)
{
    return COUNT(terminals);
}
