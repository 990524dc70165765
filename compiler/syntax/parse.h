/* parse.h -- what the rules of lang/grammar.y call, and the automaton as the parser's loop sees it.
 *
 * Lists grow as chains (newest first, in the scratch arena) and become exact arrays when their owner is built. */
#ifndef NIN_PARSE_H
#define NIN_PARSE_H

#include "syntax/token.h"

typedef struct Grammar Grammar;
typedef struct Chain {
    struct Chain *before;
    int len;
    union { Ast *node; AstArg arg; AstFormal formal; AstIterator iterator; const Token *token; };
} Chain;
typedef struct Signature { bool has_settings; Chain *settings, *formals; Ast *type; } Signature;

typedef struct Parser {
    const ParseContext *cx;
    const Source *source;
    Arena *arena, *scratch;
    Lexer *lexer;
    Chain *items;
    bool stop, incomplete;
} Parser;

/* ---- the automaton (lang/grammar.y) ---- */
Grammar *grammar_new(Parser *p);
void grammar_free(Grammar *grammar);
void grammar_feed(Grammar *grammar, int kind, const Token *token);
bool grammar_accepts(const Grammar *grammar, int kind);        /* would it shift this kind next? (kind 0: accept) */
int grammar_depth(const Grammar *grammar);                     /* of its stack; entries 1..depth hold symbols */
int grammar_symbol(const Grammar *grammar, int depth, const Token **token);   /* terminal there, or -1 */
void grammar_pop(Grammar *grammar);

/* ---- tree building (build.c) ---- */
Chain *chain_node(Parser *p, Chain *chain, Ast *node);
Chain *chain_name(Parser *p, Chain *chain, const Token *name);
Chain *chain_formal(Parser *p, Chain *chain, const Token *name, Ast *type, Ast *initial);
Chain *chain_iterator(Parser *p, Chain *chain, AstIterator iterator);
Chain *chain_made(Parser *p, Chain *chain, AstArg arg);
Chain *chain_arg(Parser *p, Chain *chain, const Token *label, bool spread, Ast *value);
AstList chain_nodes(Parser *p, const Chain *chain);
AstArg build_arg(const Token *label, bool spread, Ast *value);
Ast *build_error(Parser *p, const Token *token);
Ast *build_top(Parser *p, Ast *statement);
Ast *build_use(Parser *p, const Token *word, Chain *path, Chain *names);
Ast *build_alias(Parser *p, const Token *word, const Token *name, Ast *value);
Ast *build_def(Parser *p, AstDefKind what, const Token *word, const Token *name, Signature signature, Ast *body);
Ast *build_experiment(Parser *p, const Token *word, const Token *name, Chain *formals, Ast *body);
Ast *build_test(Parser *p, const Token *word, const Token *name, Ast *body);
Ast *build_block(Parser *p, const Token *open, Chain *statements, const Token *close);
Ast *build_bind(Parser *p, Ast *pattern, Ast *type, Ast *value);
Ast *build_for(Parser *p, const Token *word, Chain *iterators, Ast *body);
Ast *build_own(Parser *p, AstKind kind, const Token *word, const Token *name, Ast *type, Ast *per, Ast *initial);
Ast *build_if(Parser *p, const Token *word, Ast *condition, Ast *then, Ast *otherwise);
Ast *build_name(Parser *p, const Token *name);
Ast *build_literal(Parser *p, AstKind kind, const Token *token);
Ast *build_list(Parser *p, AstKind kind, const Token *open, Chain *args, const Token *close);
Ast *build_comprehension(Parser *p, const Token *open, Ast *value, Chain *iterators, const Token *close);
Ast *build_unary(Parser *p, AstOp op, const Token *sign, Ast *a);
Ast *build_binary(Parser *p, AstOp op, Ast *a, const Token *sign, Ast *b);
Ast *build_chained(Parser *p, Ast *a, const Token *sign, Ast *b);             /* E0204 */
AstOp build_comparison(const Token *sign);
Ast *build_range(Parser *p, Ast *lo, Ast *hi);
Ast *build_select(Parser *p, Ast *of, const Token *field);
Ast *build_call(Parser *p, AstKind kind, Ast *of, const Token *open, Chain *args, const Token *close);
Ast *build_parentheses(Ast *inner, const Token *open, const Token *close);
void parse_too_deep(Parser *p);

/* ---- beside the parse ---- */
/* The innermost open bracket on the stack; NULL at the top of a file. */
const Token *parse_enclosing(const Grammar *grammar);
/* Reports the token that cannot stand where it is (expect.c). */
void expect_report(Parser *p, const Grammar *grammar, int index);
/* Reports values that go nowhere, E0211 (unused.c). */
void unused_check(const ParseContext *context, const AstList *items);

#endif
