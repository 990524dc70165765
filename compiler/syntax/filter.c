/* filter.c -- pairs brackets and decides where statements end (lang/reference.md, "Statement ends").
 *
 * Brackets are paired twice if need be: plainly, and, if that leaves one open, once more with the help of the
 * indentation, which tells which one was forgotten.  Where a closing bracket is missing one is inserted: before the
 * first line that is indented no deeper than the line of the opening one, else before the token that showed the
 * mistake.  So one forgotten bracket is one diagnostic, and what follows is read as it was meant. */
#include "syntax/token.h"

/* An open bracket: its raw index, that of the first token of its line, the indentation of that line, and the first
 * line inside it that is indented no deeper (-1: none). */
typedef struct Open { int index, line, indent, suspect; } Open;
typedef struct Insert { int before; uint8_t kind; } Insert;

typedef struct Filter {
    Lexer *lexer;
    VEC(Open) open;
    VEC(Insert) inserts;                                       /* in the order they were decided */
    bool *drop;
    int line, indent;                                          /* where `pair` is */
    int forgiven[3];                                           /* closers that an earlier mistake leaves over */
    bool by_indentation, quiet, faulty, aborted;
} Filter;

static bool is_open(int kind)
{
    return kind == T_LPAR || kind == T_LBRACKET || kind == T_LBRACE;
}

static bool is_close(int kind)
{
    return kind == T_RPAR || kind == T_RBRACKET || kind == T_RBRACE;
}

static uint8_t closer_of(int kind)
{
    return kind == T_LPAR ? T_RPAR : kind == T_LBRACKET ? T_RBRACKET : T_RBRACE;
}

static int closer_number(int kind)
{
    return kind == T_RPAR ? 0 : kind == T_RBRACKET ? 1 : 2;
}

static const Token *raw(const Filter *filter, int index)
{
    return &filter->lexer->raw.at[index];
}

/* Bytes before the first token of a line. */
static int indent_of(const Filter *filter, int first)
{
    const Source *source = filter->lexer->source;
    uint32_t at = raw(filter, first)->span.lo - source->base, n = 0;
    while (n < at && source->text[at - n - 1] != '\n')
        n++;
    return (int)n;
}

static const char *quoted(const Filter *filter, int index)
{
    return token_describe(raw(filter, index)->kind);
}

static void insert_closer(Filter *filter, const Open *open, int at_latest)
{
    int before = open->suspect >= 0 && open->suspect < at_latest ? open->suspect : at_latest;
    int before_least = filter->inserts.len ? filter->inserts.at[filter->inserts.len - 1].before : 0;
    if (before_least > before && before_least <= at_latest)
        before = before_least;                                 /* the inner one was closed there */
    vec_push(filter->lexer->scratch, &filter->inserts, ((Insert){before, closer_of(raw(filter, open->index)->kind)}));
}

static void report_unclosed(Filter *filter, const Open *open)
{
    filter->faulty = true;
    if (filter->quiet)
        return;
    Diag *diag = diag_add(filter->lexer->cx->diags, D_E0105, raw(filter, open->index)->span, "%s is never closed",
                          quoted(filter, open->index));
    if (open->suspect >= 0)
        diag_label(diag, raw(filter, open->suspect)->span, "by its indentation, this line stands outside");
}

static void report_crossed(Filter *filter, int open, int close)
{
    filter->faulty = true;
    if (filter->quiet)
        return;
    Sources *sources = filter->lexer->cx->diags->sources;
    Diag *diag = diag_add(filter->lexer->cx->diags, D_E0104, raw(filter, close)->span, "%s closes the %s of line %d",
                          quoted(filter, close), quoted(filter, open),
                          sources_place(sources, raw(filter, open)->span.lo).line);
    diag_label(diag, raw(filter, open)->span, "opened here");
}

static void report_unopened(Filter *filter, int close)
{
    filter->faulty = true;
    if (!filter->quiet)
        diag_add(filter->lexer->cx->diags, D_E0104, raw(filter, close)->span, "%s closes nothing: no bracket is open",
                 quoted(filter, close));
}

/* The deepest-lying open bracket that `close` may close, by kind and, if asked, by indentation; -1: none. */
static int partner_of(const Filter *filter, int close, bool by_indentation)
{
    int kind = raw(filter, close)->kind;
    for (int i = filter->open.len - 1; i >= 0; i--)
        if (closer_of(raw(filter, filter->open.at[i].index)->kind) == kind &&
            (!by_indentation || filter->open.at[i].indent == filter->indent))
            return i;
    return -1;
}

/* Closes all open brackets above entry `partner`, which have no closing bracket of their own. */
static void close_above(Filter *filter, int partner, int close)
{
    while (filter->open.len - 1 > partner) {
        const Open *top = &filter->open.at[filter->open.len - 1];
        insert_closer(filter, top, close);
        filter->forgiven[closer_number(closer_of(raw(filter, top->index)->kind))]++;
        filter->open.len--;
    }
}

static void close_bracket(Filter *filter, int close)
{
    int top = filter->open.len - 1, partner = partner_of(filter, close, false);
    if (filter->by_indentation && raw(filter, close)->line_start && top >= 0 &&
        filter->open.at[top].indent > filter->indent) {
        int outer = partner_of(filter, close, true);
        if (outer >= 0 && outer < top) {
            report_unclosed(filter, &filter->open.at[top]);
            close_above(filter, outer, close);
            filter->open.len--;
            return;
        }
    }
    if (partner >= 0 && partner == top) {
        filter->open.len--;
    } else if (partner >= 0) {
        report_crossed(filter, filter->open.at[top].index, close);
        close_above(filter, partner, close);
        filter->open.len--;
    } else if (filter->forgiven[closer_number(raw(filter, close)->kind)] > 0) {
        filter->forgiven[closer_number(raw(filter, close)->kind)]--;
        filter->drop[close] = true;
    } else if (top >= 0 && !raw(filter, close)->line_start) {
        report_crossed(filter, filter->open.at[top].index, close);      /* the wrong kind: read as the right one */
        filter->drop[close] = true;
        if (filter->open.at[top].line != filter->line)
            return;                                            /* of a block that began above: a slip, left out */
        vec_push(filter->lexer->scratch, &filter->inserts,
                 ((Insert){close, closer_of(raw(filter, filter->open.at[top].index)->kind)}));
        filter->open.len--;
    } else {
        report_unopened(filter, close);
        filter->drop[close] = true;
    }
}

static void open_bracket(Filter *filter, int index)
{
    vec_push(filter->lexer->scratch, &filter->open, ((Open){index, filter->line, filter->indent, -1}));
    if (filter->open.len > TOKEN_NESTING && !filter->aborted) {
        filter->aborted = true;
        diag_add(filter->lexer->cx->diags, D_E0210, raw(filter, index)->span,
                 "brackets nested more than %d levels deep", TOKEN_NESTING);
    }
}

/* One bracket per line is reported: the innermost of those that the line leaves open. */
static void close_at_end(Filter *filter, int end)
{
    int line_of_last = -1;
    while (filter->open.len) {
        const Open *top = &filter->open.at[filter->open.len - 1];
        if (top->line != line_of_last)
            report_unclosed(filter, top);
        line_of_last = top->line;
        insert_closer(filter, top, end);
        filter->open.len--;
        filter->lexer->unclosed = true;
    }
}

static void pair(Filter *filter)
{
    TokenList *list = &filter->lexer->raw;
    for (int i = 0; i < list->len && !filter->aborted; i++) {
        const Token *token = &list->at[i];
        if (token->line_start) {
            filter->line = i;
            filter->indent = indent_of(filter, i);
            Open *top = filter->open.len ? &filter->open.at[filter->open.len - 1] : NULL;
            if (top && top->suspect < 0 && !is_close(token->kind) && token->kind != T_END &&
                filter->indent <= top->indent)
                top->suspect = i;
        }
        if (is_open(token->kind))
            open_bracket(filter, i);
        else if (is_close(token->kind))
            close_bracket(filter, i);
    }
    if (!filter->aborted)
        close_at_end(filter, list->len - 1);
}

/* ---- statement ends ---- */
static bool can_end(int kind)
{
    switch (kind) {
    case T_PLUS: case T_MINUS: case T_STAR: case T_SLASH: case T_AT: case T_POWER: case T_EQ: case T_NE: case T_LT:
    case T_LE: case T_GT: case T_GE: case T_RANGE: case T_AND: case T_OR: case T_NOT: case T_ASSIGN: case T_ARROW:
    case T_DOT: case T_SPREAD: case T_COLON: case T_COMMA: case T_LPAR: case T_LBRACKET: case T_LBRACE: case T_FOR:
    case T_IN: case T_IF: case T_ELSE: case T_SEP:
        return false;
    default:
        return true;
    }
}

typedef struct Ends { VEC(int) open; Token pending; bool has_pending; } Ends;

static bool lines_count(const Ends *ends, const TokenList *tokens)
{
    return ends->open.len == 0 || tokens->at[ends->open.at[ends->open.len - 1]].kind == T_LBRACE;
}

static void emit(Lexer *lexer, Ends *ends, Token token)
{
    TokenList *tokens = &lexer->tokens;
    if (ends->has_pending && tokens->len && tokens->at[tokens->len - 1].kind != T_LBRACE &&
        token.kind != T_RBRACE && token.kind != T_END)
        vec_push(lexer->scratch, tokens, ends->pending);
    ends->has_pending = false;
    if (is_open(token.kind)) {
        vec_push(lexer->scratch, &ends->open, tokens->len);
    } else if (is_close(token.kind) && ends->open.len) {
        token.match = ends->open.at[--ends->open.len];
        tokens->at[token.match].match = tokens->len;
    }
    vec_push(lexer->scratch, tokens, token);
}

static void emit_raw(Lexer *lexer, Ends *ends, Token token)
{
    const Token *last = lexer->tokens.len ? &lexer->tokens.at[lexer->tokens.len - 1] : NULL;
    if (token.line_start && last && !ends->has_pending && lines_count(ends, &lexer->tokens) && can_end(last->kind) &&
        token.kind != T_ELSE) {
        ends->pending = (Token){.kind = T_SEP, .span = {last->span.hi, last->span.hi}, .match = -1};
        ends->has_pending = true;
    }
    if (token.kind == T_END && last)
        token.span = (Span){last->span.hi, last->span.hi};
    if (token.kind != T_SEP) {
        emit(lexer, ends, token);
    } else if (lines_count(ends, &lexer->tokens)) {
        ends->pending = token;
        ends->has_pending = true;
    } else {
        Diag *diag = diag_add(lexer->cx->diags, D_E0106, token.span, "';' cannot stand inside brackets");
        diag_hint(diag, "write ','");
        diag_fix(diag, token.span, ",");
        token.kind = T_COMMA;
        emit(lexer, ends, token);
    }
}

static void weave(Filter *filter)
{
    Lexer *lexer = filter->lexer;
    Ends ends = {0};
    int next = 0;
    for (int i = 0; i < lexer->raw.len; i++) {
        for (; next < filter->inserts.len && filter->inserts.at[next].before <= i; next++) {
            uint32_t at = lexer->tokens.len ? lexer->tokens.at[lexer->tokens.len - 1].span.hi : lexer->source->base;
            emit(lexer, &ends, (Token){.kind = filter->inserts.at[next].kind, .inserted = true, .span = {at, at}});
        }
        if (filter->drop[i]) {
            lexer->raw.at[i + 1].bad = true;                   /* what it leads to was reported with it */
            continue;
        }
        emit_raw(lexer, &ends, lexer->raw.at[i]);
    }
}

/* Inserts are decided inner before outer; later ones may lie earlier in the text. */
static void sort_inserts(Filter *filter)
{
    for (int i = 1; i < filter->inserts.len; i++) {
        Insert insert = filter->inserts.at[i];
        int at = i;
        for (; at > 0 && filter->inserts.at[at - 1].before > insert.before; at--)
            filter->inserts.at[at] = filter->inserts.at[at - 1];
        filter->inserts.at[at] = insert;
    }
}

void filter_run(Lexer *lexer)
{
    Filter filter = {.lexer = lexer, .quiet = true};
    filter.drop = arena_array(lexer->scratch, bool, lexer->raw.len);
    pair(&filter);
    if (filter.faulty && !filter.aborted) {
        filter = (Filter){.lexer = lexer, .by_indentation = true};
        filter.drop = arena_array(lexer->scratch, bool, lexer->raw.len);
        pair(&filter);
        sort_inserts(&filter);
    }
    lexer->too_deep = filter.aborted;
    if (!filter.aborted)
        weave(&filter);
}
