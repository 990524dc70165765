/* token.h -- from text to the clean tokens that the grammar sees.
 *
 * lexer_run makes raw tokens (lang/lexer.re): no line ends, but a flag on the first token of each line.
 * filter_run then pairs brackets, supplies missing closing ones where indentation suggests it, and puts T_SEP
 * where a statement ends (lang/reference.md, "Statement ends"); its last token is the end of the file (kind 0).
 * Kinds are the terminals of lang/grammar.y. */
#ifndef NIN_TOKEN_H
#define NIN_TOKEN_H

#include "syntax/ast.h"
#include "grammar.h"

enum { T_END = 0, TOKEN_NESTING = 200 };

typedef struct Token {
    uint8_t kind;
    bool line_start;                    /* first of its line */
    bool inserted;                      /* a closing bracket supplied by the filter */
    bool bad;                           /* an error was reported at it */
    Span span;                          /* of a line end: empty, behind the last token of the line */
    int match;                          /* of a bracket: index of its partner */
    int doc;                            /* 1 + index of the last line of the doc comment directly above; 0: none */
    union { Name name; int64_t integer; double real; };
} Token;
typedef struct TokenList { Token *at; int len, cap; } TokenList;

typedef struct Lexer {
    const ParseContext *cx;
    Arena *scratch;
    const Source *source;
    const unsigned char *cursor, *limit, *marker, *start;
    bool line_start;
    int doc;                            /* for the next token, if it begins the next line */
    TokenList raw, tokens;
    struct { Comment *at; int len, cap; } comments;
    bool unclosed;                      /* a bracket was open at the end of the file */
    bool too_deep;
} Lexer;

void lexer_init(Lexer *lexer, const ParseContext *context, Arena *scratch, const Source *source);
void lexer_run(Lexer *lexer);
void filter_run(Lexer *lexer);

/* For lang/lexer.re: one raw token, and what its rules do. */
int lexer_scan(Lexer *lexer);
void lexer_comment(Lexer *lexer);
void lexer_line_end(Lexer *lexer);
void lexer_string(Lexer *lexer, Token *token);
int lexer_stray(Lexer *lexer);
int lexer_number_before_range(Lexer *lexer);
void lexer_bad_number(Lexer *lexer);
void lexer_bad_point(Lexer *lexer);

/* The text of a terminal in messages ("'('", "a name"), and its plain spelling or NULL. */
const char *token_describe(int kind);
const char *token_spelling(int kind);
int token_kinds(void);                                         /* kinds are 0 .. token_kinds() - 1 */
/* The text of the doc comment that ends with comment `doc - 1`; NULL if doc is 0. */
const char *doc_text(const Source *source, const Comment *comments, int doc, Arena *arena);

#endif
