/* format_parts.h -- what the files of the formatter share: pieces, from format_pieces.c, laid out by format_lines.c.
 *
 * A piece is a token or a comment, in the order of the text; statement ends are marks on the piece behind them.
 * A break before a piece is
 *   HARD  there whatever else: between statements, around comments, inside tall brackets;
 *   SOFT  inside a statement: left out if the line then has room for everything up to the next hard one.
 * An opening bracket is tall if its contents stand on lines of their own, one level deeper; else they follow it, and
 * lines that go on are aligned behind it.  A record and a block are tall as soon as they have a line end. */
#ifndef NIN_FORMAT_PARTS_H
#define NIN_FORMAT_PARTS_H

#include "syntax/format.h"
#include "syntax/token.h"

enum { PIECE_COMMENT = 255 };
typedef enum Break { BREAK_NONE, BREAK_SOFT, BREAK_HARD } Break;

typedef struct Piece {
    int kind;                           /* the terminal, or PIECE_COMMENT */
    const char *text;
    int bytes, width;                   /* width in code points */
    int match;                          /* of a bracket: its partner; else -1 */
    int inside;                         /* the innermost bracket around it; -1: none */
    int lines, gap, column;             /* in the source: line ends before it (2: more), blanks before it, its column */
    Break brk;
    bool sep;                           /* a statement end stands between the token before and this */
    bool blank;                         /* an empty line stands before it */
    bool block, tall;                   /* of brackets */
    bool prefix, postfix;               /* a sign; a bracket that is applied to what is before it */
    bool body;                          /* the "=" before the body of a definition */
    bool added;                         /* the break was not in the source */
    int pad;                            /* further blanks, for alignment */
    int line, at;                       /* where it stands: line from 0, column from 0 */
} Piece;
typedef struct Pieces { Piece *at; int len, changed; Arena *arena; } Pieces;

/* ---- format_pieces.c ---- */
void pieces_read(Pieces *pieces, Lexer *lexer);
/* Blanks before piece i if it stands on the line of the one before. */
int pieces_space(const Pieces *pieces, int i);
/* The piece before i that is not a comment; -1: none. */
int pieces_token_before(const Pieces *pieces, int i);
/* Does i begin a statement, or an element of a tall bracket, or close one? */
bool pieces_begins(const Pieces *pieces, int i);
/* Puts the contents of a bracket on lines of their own, and what must then be tall, too; `changed` is the first of
 * them. */
void pieces_make_tall(Pieces *pieces, int open);

/* ---- format_lines.c ---- */
void lines_lay(Pieces *pieces);         /* decides the breaks; sets line and at */
void lines_align(Pieces *pieces);       /* columns of neighbouring lines, where the author began to align them */

static inline bool piece_opens(const Piece *p)
{
    return p->kind == T_LPAR || p->kind == T_LBRACKET || p->kind == T_LBRACE;
}
static inline bool piece_closes(const Piece *p)
{
    return p->kind == T_RPAR || p->kind == T_RBRACKET || p->kind == T_RBRACE;
}
static inline bool piece_is_record(const Piece *p) { return p->kind == T_LBRACE && !p->block; }
static inline bool piece_trails(const Piece *p) { return p->kind == PIECE_COMMENT && p->brk == BREAK_NONE; }

#endif
