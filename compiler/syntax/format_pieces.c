/* format_pieces.c -- pieces from tokens and comments: what they are, the blanks between them, the breaks that the
 * author made. */
#include "syntax/format_parts.h"

static int width_of(const char *text, int bytes)
{
    int n = 0;
    for (int i = 0; i < bytes; i++)
        n += ((unsigned char)text[i] & 0xC0) != 0x80;
    return n;
}

/* ---- pieces in the order of the text ---- */
/* `column` is that of `seen`. */
typedef struct Reader {
    Pieces *pieces;
    const Source *source;
    uint32_t end, seen;
    int column;
    bool sep;
    VEC(int) open;
} Reader;

/* Line ends, blanks and the column before an offset, since the end of the piece before. */
static void place(Reader *r, Piece *p, uint32_t lo)
{
    const char *text = r->source->text;
    uint32_t at = lo - r->source->base, from = r->seen;
    for (uint32_t i = r->end; i < at; i++)
        p->lines += text[i] == '\n';
    for (uint32_t i = from; i < at; i++)
        if (text[i] == '\n') {
            r->column = 0;
            from = i + 1;
        }
    p->column = r->column += width_of(text + from, (int)(at - from));
    r->seen = at;
    p->gap = p->lines ? 0 : (int)(at - r->end);
    p->lines = p->lines > 2 ? 2 : p->lines;
}

static void add(Reader *r, int kind, Span span)
{
    Pieces *pieces = r->pieces;
    Piece *p = &pieces->at[pieces->len];
    *p = (Piece){.kind = kind, .text = r->source->text + (span.lo - r->source->base), .bytes = (int)(span.hi - span.lo),
                 .match = -1, .inside = r->open.len ? r->open.at[r->open.len - 1] : -1};
    place(r, p, span.lo);
    while (kind == PIECE_COMMENT && p->bytes && strchr(" \t\r", p->text[p->bytes - 1]))
        p->bytes--;
    p->width = width_of(p->text, p->bytes);
    p->sep = r->sep;
    r->end = span.hi - r->source->base;
    if (piece_closes(p)) {
        p->match = p->inside;
        pieces->at[p->match].match = pieces->len;
        p->inside = pieces->at[p->match].inside;
        r->open.len--;
    } else if (piece_opens(p)) {
        vec_push(pieces->arena, &r->open, pieces->len);
    }
    if (kind != PIECE_COMMENT)
        r->sep = false;
    pieces->len++;
}

static void read_all(Pieces *pieces, Lexer *lexer)
{
    Reader r = {.pieces = pieces, .source = lexer->source};
    int comment = 0;
    for (int i = 0; i < lexer->tokens.len; i++) {
        const Token *token = &lexer->tokens.at[i];
        uint32_t lo = token->kind == T_END ? UINT32_MAX : token->span.lo;
        bool written = token->span.hi > token->span.lo; /* an end of a line has no text; comments come behind it */
        bool behind = token->kind == T_SEP && !written;
        for (; !behind && comment < lexer->comments.len && lexer->comments.at[comment].span.lo < lo; comment++)
            add(&r, PIECE_COMMENT, lexer->comments.at[comment].span);
        if (token->kind == T_SEP) {
            r.sep = true;
            r.end = written ? token->span.hi - r.source->base : r.end;
            continue;
        }
        if (token->kind != T_END)
            add(&r, token->kind, token->span);
    }
}

/* ---- what they are ---- */
int pieces_token_before(const Pieces *pieces, int i)
{
    for (i--; i >= 0 && pieces->at[i].kind == PIECE_COMMENT; i--)
        ;
    return i;
}

static int token_after(const Pieces *pieces, int i)
{
    for (i++; i < pieces->len && pieces->at[i].kind == PIECE_COMMENT; i++)
        ;
    return i;
}

/* Names, and the words that are names but where they begin something. */
static bool is_name(int kind)
{
    switch (kind) {
    case T_NAME:
    case T_USE:
    case T_CELL:
    case T_NET:
    case T_FN:
    case T_EXPERIMENT:
    case T_TEST:
    case T_PARAM:
    case T_STATE:
    case T_PER: return true;
    default: return false;
    }
}

static bool ends_operand(int kind)
{
    return is_name(kind) || kind == T_INT || kind == T_REAL || kind == T_STRING || kind == T_TRUE || kind == T_FALSE ||
           kind == T_HOLE || kind == T_RPAR || kind == T_RBRACKET || kind == T_RBRACE;
}

/* What a statement is, as far as it was read, at each level of brackets. */
typedef struct Level { int first; bool def, own; } Level;

static bool is_block(const Pieces *pieces, int i, int before)
{
    int kind = before >= 0 ? pieces->at[before].kind : T_SEP;
    return !pieces->at[i].sep && before != pieces->at[i].inside && (ends_operand(kind) || kind == T_ELSE);
}

/* "per" before a type; elsewhere it is a name. */
static bool is_per(const Pieces *pieces, const Level *level, int i)
{
    int before = pieces_token_before(pieces, i);
    return level->own && pieces->at[i].kind == T_PER && before > level->first && ends_operand(pieces->at[before].kind);
}

static void mark(Pieces *pieces, Level *level, int i)
{
    Piece *p = &pieces->at[i];
    int before = pieces_token_before(pieces, i), after = token_after(pieces, i);
    if (p->sep || before == p->inside || before < 0) {
        bool named = after < pieces->len && is_name(pieces->at[after].kind);
        level->first = i;
        level->def = named && (p->kind == T_CELL || p->kind == T_NET || p->kind == T_FN);
        level->own = named && p->kind == T_PARAM;
    }
    bool operand =
        before > p->inside && !p->sep && ends_operand(pieces->at[before].kind) && !is_per(pieces, level, before);
    p->prefix = p->kind == T_SPREAD || (p->kind == T_MINUS && !operand);
    p->postfix = (p->kind == T_LPAR || p->kind == T_LBRACKET) && operand;
    p->block = p->kind == T_LBRACE && is_block(pieces, i, before);
    if (p->kind == T_ASSIGN && level->def) {
        p->body = true;
        level->def = false;
    }
}

static void mark_all(Pieces *pieces)
{
    Level *level = arena_array(pieces->arena, Level, pieces->len + 1);      /* by the bracket around, from -1 */
    for (int i = 0; i < pieces->len; i++)
        if (pieces->at[i].kind != PIECE_COMMENT)
            mark(pieces, &level[pieces->at[i].inside + 1], i);
}

/* ---- brackets ---- */
static bool has_line_end(const Pieces *pieces, int open)
{
    const Piece *at = pieces->at;
    for (int i = open + 1; i <= at[open].match; i++) {
        if (at[i].kind == PIECE_COMMENT || at[i].tall)
            return true;
        bool direct = i == at[open].match || at[i].inside == open;
        int before = i - 1;
        if (direct && at[i].lines && (at[i].sep || before == open || i == at[open].match || at[before].kind == T_COMMA))
            return true;
    }
    return false;
}

bool pieces_begins(const Pieces *pieces, int i)
{
    const Piece *p = &pieces->at[i];
    int before = pieces_token_before(pieces, i), n = token_after(pieces, i);
    if (piece_trails(p) && i > 0)
        return false;
    if (p->kind == PIECE_COMMENT)
        return n == pieces->len || (pieces->at[n].inside == p->inside || pieces->at[n].match == p->inside
                                        ? pieces_begins(pieces, n) : false);
    if (piece_closes(p))
        return pieces->at[p->match].tall;
    if (before < 0 || p->sep)
        return true;
    bool tall = p->inside >= 0 && pieces->at[p->inside].tall;
    return tall && (before == p->inside || (!pieces->at[p->inside].block && pieces->at[before].kind == T_COMMA));
}

static bool branch_even(Pieces *pieces, int i)
{
    if (pieces->at[i].kind != T_ELSE)
        return false;
    int then = pieces->at[pieces_token_before(pieces, i)].match, other = i + 1;
    while (!pieces->at[other].block || pieces->at[other].inside != pieces->at[i].inside)
        other++;
    if (pieces->at[then].tall == pieces->at[other].tall)
        return false;
    pieces_make_tall(pieces, pieces->at[then].tall ? other : then);
    return true;
}

/* Between lo and hi: the branches of an `if` are all tall, or none. */
static void branches_even(Pieces *pieces, int lo, int hi)
{
    for (bool changed = true; changed;) {
        changed = false;
        for (int i = lo; i < hi; i++)
            changed |= branch_even(pieces, i);
        for (int i = hi - 1; i >= lo; i--)
            changed |= branch_even(pieces, i);
    }
}

/* The same in the statement around a block. */
static void statement_even(Pieces *pieces, int block)
{
    const Piece *at = pieces->at;
    int lo = block, hi = at[block].match + 1, inside = at[block].inside;
    while (lo > inside + 1 && !at[lo].sep)
        lo = at[lo - 1].match >= 0 && at[lo - 1].match < lo - 1 ? at[lo - 1].match : lo - 1;
    while (hi < pieces->len && !at[hi].sep && !(piece_closes(&at[hi]) && at[hi].match == inside))
        hi = at[hi].match > hi ? at[hi].match + 1 : hi + 1;
    branches_even(pieces, lo, hi);
}

void pieces_make_tall(Pieces *pieces, int open)
{
    Piece *at = pieces->at, *bracket = &at[open];
    bool listed = !bracket->block;
    bracket->tall = true;
    pieces->changed = open < pieces->changed ? open : pieces->changed;
    at[bracket->match].brk = BREAK_HARD;
    if (open > 0 && at[open - 1].body && at[open].brk == BREAK_SOFT)
        at[open].brk = BREAK_NONE;
    for (int i = open + 1; i < bracket->match; i++) {
        if (at[i].inside != open || piece_trails(&at[i]))
            continue;
        int before = pieces_token_before(pieces, i);
        bool comma = at[before].kind == T_COMMA && listed;
        bool kept = at[i].brk == BREAK_SOFT && !at[i].added;
        if (before == open || at[i].sep || (kept && at[i].kind == T_FOR) ||
            (comma && (kept || piece_is_record(bracket))))
            at[i].brk = BREAK_HARD;
        else if (comma && at[i].brk == BREAK_SOFT)
            at[i].brk = BREAK_NONE;
    }
    for (int i = open; i >= 0; i = at[i].inside)               /* what holds several lines is tall itself */
        if (!at[i].tall && (at[i].block || piece_is_record(&at[i])))
            pieces_make_tall(pieces, i);
    if (bracket->block)
        statement_even(pieces, open);
}

static void brackets_read(Pieces *pieces)
{
    Piece *at = pieces->at;
    for (int i = pieces->len - 1; i >= 0; i--) {
        if (!piece_opens(&at[i]) || at[i].match == i + 1)
            continue;
        const Piece *next = &at[i + 1];
        at[i].tall = at[i].kind == T_LBRACE ? has_line_end(pieces, i) : next->lines > 0 || next->kind == PIECE_COMMENT;
    }
}

/* ---- breaks ---- */
static Break break_before(const Pieces *pieces, int i)
{
    const Piece *p = &pieces->at[i], *before = p - 1;
    if (i == 0 || (p->kind == PIECE_COMMENT && p->lines) || before->kind == PIECE_COMMENT)
        return BREAK_HARD;
    if (p->kind == PIECE_COMMENT)
        return BREAK_NONE;
    if (piece_closes(p))
        return pieces->at[p->match].tall ? BREAK_HARD : BREAK_NONE;
    if (i - 1 == p->inside && before->tall)
        return BREAK_HARD;
    if (!p->lines || p->kind == T_ELSE || p->kind == T_COMMA || (before->body && p->tall))
        return BREAK_NONE;
    bool tall = p->inside >= 0 && pieces->at[p->inside].tall && !pieces->at[p->inside].block;
    return p->sep || (tall && (before->kind == T_COMMA || p->kind == T_FOR)) ? BREAK_HARD : BREAK_SOFT;
}

static void breaks_read(Pieces *pieces)
{
    for (int i = 0; i < pieces->len; i++) {
        Piece *p = &pieces->at[i];
        p->brk = break_before(pieces, i);
        p->blank = p->brk == BREAK_HARD && p->lines > 1 && i > 0 && i - 1 != p->inside && !piece_closes(p);
    }
}

/* Leaves out the commas before brackets that close on the same line. */
static void commas_drop(Pieces *pieces)
{
    int *to = arena_array(pieces->arena, int, pieces->len + 1), n = 0;
    for (int i = 0; i < pieces->len; i++) {
        Piece *p = &pieces->at[i];
        bool drop = p->kind == T_COMMA && i + 1 < pieces->len && piece_closes(p + 1) && p[1].brk == BREAK_NONE;
        to[i] = n;
        n += !drop;
        if (drop)
            p[1].brk = p->brk;                                 /* a comment may stand before it */
        else
            pieces->at[to[i]] = *p;
    }
    pieces->len = n;
    for (int i = 0; i < n; i++) {
        Piece *p = &pieces->at[i];
        p->match = p->match < 0 ? -1 : to[p->match];
        p->inside = p->inside < 0 ? -1 : to[p->inside];
    }
}

int pieces_space(const Pieces *pieces, int i)
{
    const Piece *p = &pieces->at[i], *before = p - 1;
    if (i == 0)
        return 0;
    if (p->kind == PIECE_COMMENT)
        return 2;
    if (p->kind == T_RBRACE)
        return before->kind == T_LBRACE ? 0 : 1;
    if (p->kind == T_DOT)
        return before->kind == T_INT || before->kind == T_REAL;
    if (p->kind == T_COMMA || p->kind == T_COLON || p->kind == T_RANGE || p->kind == T_POWER || p->postfix ||
        piece_closes(p))
        return p->kind == T_RANGE && before->kind == T_COMMA;
    if (before->kind == T_LPAR || before->kind == T_LBRACKET || before->kind == T_DOT || before->kind == T_RANGE ||
        before->kind == T_POWER || before->prefix)
        return 0;
    return 1;
}

void pieces_read(Pieces *pieces, Lexer *lexer)
{
    pieces->at = arena_array(pieces->arena, Piece, lexer->tokens.len + lexer->comments.len + 1);
    read_all(pieces, lexer);
    mark_all(pieces);
    brackets_read(pieces);
    breaks_read(pieces);
    commas_drop(pieces);
    branches_even(pieces, 0, pieces->len);
}
