/* grammar.y -- the grammar of lang/reference.md, section 3, as LALR(1) without conflicts and without precedence.
 *
 * Wider than the language in four places, so that the error can be told where it is (compiler/syntax/build.c):
 * a pattern on the left of "=" is read as an expression (E0203); arguments may mix (E0202); comparisons may chain
 * (E0204); any statement may stand at the top (E0205).
 * ERROR stands for a statement that could not be read: the parser's loop feeds it when it recovers. */
%include {
#define NDEBUG 1
#include <stdlib.h>
#include "syntax/parse.h"
}
%name automaton
%token_prefix T_
%token_type {const Token *}
%extra_context {Parser *p}
%stack_size 0
%stack_overflow { parse_too_deep(p); }
%start_symbol module

%token ERROR NAME INT REAL STRING TRUE FALSE HOLE.
%token PLUS MINUS STAR SLASH AT POWER EQ NE LT LE GT GE RANGE AND OR NOT.
%token ASSIGN ARROW DOT SPREAD COLON COMMA SEP LPAR RPAR LBRACKET RBRACKET LBRACE RBRACE FOR IN IF ELSE.
%fallback NAME USE CELL NET FN EXPERIMENT TEST PARAM STATE PER.

/* ---- a file ---- */
%type items {Chain *}
%type item {Ast *}
module ::= .
module ::= items(A).                                { p->items = A; }
items(A) ::= item(B).                               { A = chain_node(p, NULL, B); }
items(A) ::= items(B) SEP item(C).                  { A = chain_node(p, B, C); }

item(A) ::= statement(B).                           { A = build_top(p, B); }
item(A) ::= USE(K) path(B).                         { A = build_use(p, K, B, NULL); }
item(A) ::= USE(K) path(B) COLON names(C).          { A = build_use(p, K, B, C); }
item(A) ::= CELL(K) NAME(N) ASSIGN expr(E).         { A = build_alias(p, K, N, E); }
item(A) ::= CELL(K) NAME(N) signature(S) body(B).   { A = build_def(p, DEF_CELL, K, N, S, B); }
item(A) ::= NET(K) NAME(N) signature(S) body(B).    { A = build_def(p, DEF_NET, K, N, S, B); }
item(A) ::= FN(K) NAME(N) signature(S) body(B).     { A = build_def(p, DEF_FN, K, N, S, B); }
item(A) ::= EXPERIMENT(K) NAME(N) block(B).         { A = build_experiment(p, K, N, NULL, B); }
item(A) ::= EXPERIMENT(K) NAME(N) LPAR formals_opt(F) RPAR block(B).  { A = build_experiment(p, K, N, F, B); }
item(A) ::= TEST(K) STRING(N) block(B).             { A = build_test(p, K, N, B); }

%type path {Chain *}
%type names {Chain *}
path(A) ::= NAME(N).                                { A = chain_name(p, NULL, N); }
path(A) ::= path(B) DOT NAME(N).                    { A = chain_name(p, B, N); }
names(A) ::= NAME(N).                               { A = chain_name(p, NULL, N); }
names(A) ::= names(B) COMMA NAME(N).                { A = chain_name(p, B, N); }

%type signature {Signature}
signature(A) ::= LPAR formals_opt(F) RPAR result(R).
    { A = (Signature){.formals = F, .type = R}; }
signature(A) ::= LBRACKET formals(S) RBRACKET LPAR formals_opt(F) RPAR result(R).
    { A = (Signature){.has_settings = true, .settings = S, .formals = F, .type = R}; }
%type result {Ast *}
result(A) ::= .                                     { A = NULL; }
result(A) ::= ARROW type(B).                        { A = B; }

%type formals_opt {Chain *}
%type formals {Chain *}
%type formal_list {Chain *}
%type annotation {Ast *}
%type initial {Ast *}
formals_opt(A) ::= .                                { A = NULL; }
formals_opt(A) ::= formals(B).                      { A = B; }
formals(A) ::= formal_list(B).                      { A = B; }
formals(A) ::= formal_list(B) COMMA.                { A = B; }
formal_list(A) ::= NAME(N) annotation(T) initial(I).                       { A = chain_formal(p, NULL, N, T, I); }
formal_list(A) ::= formal_list(B) COMMA NAME(N) annotation(T) initial(I).  { A = chain_formal(p, B, N, T, I); }
annotation(A) ::= .                                 { A = NULL; }
annotation(A) ::= COLON type(B).                    { A = B; }
initial(A) ::= .                                    { A = NULL; }
initial(A) ::= ASSIGN expr(B).                      { A = B; }
%type type {Ast *}
type(A) ::= postfix(B).                             { A = B; }

%type body {Ast *}
%type block {Ast *}
%type statements {Chain *}
body(A) ::= ASSIGN expr(B).                         { A = B; }
body(A) ::= block(B).                               { A = B; }
block(A) ::= LBRACE(L) RBRACE(R).                   { A = build_block(p, L, NULL, R); }
block(A) ::= LBRACE(L) statements(B) RBRACE(R).     { A = build_block(p, L, B, R); }
statements(A) ::= statement(B).                     { A = chain_node(p, NULL, B); }
statements(A) ::= statements(B) SEP statement(C).   { A = chain_node(p, B, C); }

/* ---- statements ---- */
%type statement {Ast *}
%type per {Ast *}
statement(A) ::= ERROR(T).                          { A = build_error(p, T); }
statement(A) ::= expr(B).                           { A = B; }
statement(A) ::= expr(B) ASSIGN expr(C).            { A = build_bind(p, B, NULL, C); }
statement(A) ::= NAME(N) COLON type(T) ASSIGN expr(C). { A = build_bind(p, build_name(p, N), T, C); }
statement(A) ::= FOR(K) iterators(I) block(B).      { A = build_for(p, K, I, B); }
statement(A) ::= PARAM(K) NAME(N) annotation(T) per(S) ASSIGN expr(E).
    { A = build_own(p, AST_PARAM, K, N, T, S, E); }
statement(A) ::= STATE(K) NAME(N) annotation(T) ASSIGN expr(E).
    { A = build_own(p, AST_STATE, K, N, T, NULL, E); }
per(A) ::= .                                        { A = NULL; }
per(A) ::= PER postfix(B).                          { A = B; }

%type iterators {Chain *}
%type iterator {AstIterator}
%type pattern {Ast *}
%type patterns {Chain *}
iterators(A) ::= iterator(B).                       { A = chain_iterator(p, NULL, B); }
iterators(A) ::= iterators(B) COMMA iterator(C).    { A = chain_iterator(p, B, C); }
iterator(A) ::= pattern(B) IN expr(C).              { A = (AstIterator){B, C}; }
pattern(A) ::= NAME(N).                             { A = build_name(p, N); }
pattern(A) ::= LBRACKET(L) patterns(B) RBRACKET(R). { A = build_list(p, AST_LIST, L, B, R); }
patterns(A) ::= pattern(B).                         { A = chain_arg(p, NULL, NULL, false, B); }
patterns(A) ::= patterns(B) COMMA pattern(C).       { A = chain_arg(p, B, NULL, false, C); }

/* ---- expressions, loosest first ---- */
%type expr {Ast *}
%type if {Ast *}
%type or {Ast *}
%type and {Ast *}
%type not {Ast *}
%type comparison {Ast *}
%type compared {Ast *}
%type compare {const Token *}
%type range {Ast *}
%type sum {Ast *}
%type product {Ast *}
%type unary {Ast *}
%type power {Ast *}
%type postfix {Ast *}
%type primary {Ast *}
expr(A) ::= if(B).                                  { A = B; }
expr(A) ::= or(B).                                  { A = B; }
if(A) ::= IF(K) expr(C) block(B).                   { A = build_if(p, K, C, B, NULL); }
if(A) ::= IF(K) expr(C) block(B) ELSE block(D).     { A = build_if(p, K, C, B, D); }
if(A) ::= IF(K) expr(C) block(B) ELSE if(D).        { A = build_if(p, K, C, B, D); }
or(A) ::= and(B).                                   { A = B; }
or(A) ::= or(B) OR(O) and(C).                       { A = build_binary(p, OP_OR, B, O, C); }
and(A) ::= not(B).                                  { A = B; }
and(A) ::= and(B) AND(O) not(C).                    { A = build_binary(p, OP_AND, B, O, C); }
not(A) ::= comparison(B).                           { A = B; }
not(A) ::= NOT(O) not(B).                           { A = build_unary(p, OP_NOT, O, B); }
comparison(A) ::= range(B).                         { A = B; }
comparison(A) ::= compared(B).                      { A = B; }
compared(A) ::= range(B) compare(O) range(C).       { A = build_binary(p, build_comparison(O), B, O, C); }
compared(A) ::= compared(B) compare(O) range(C).    { A = build_chained(p, B, O, C); }
compare(A) ::= EQ(O).                               { A = O; }
compare(A) ::= NE(O).                               { A = O; }
compare(A) ::= LT(O).                               { A = O; }
compare(A) ::= LE(O).                               { A = O; }
compare(A) ::= GT(O).                               { A = O; }
compare(A) ::= GE(O).                               { A = O; }
range(A) ::= sum(B).                                { A = B; }
range(A) ::= sum(B) RANGE sum(C).                   { A = build_range(p, B, C); }
sum(A) ::= product(B).                              { A = B; }
sum(A) ::= sum(B) PLUS(O) product(C).               { A = build_binary(p, OP_ADD, B, O, C); }
sum(A) ::= sum(B) MINUS(O) product(C).              { A = build_binary(p, OP_SUB, B, O, C); }
product(A) ::= unary(B).                            { A = B; }
product(A) ::= product(B) STAR(O) unary(C).         { A = build_binary(p, OP_MUL, B, O, C); }
product(A) ::= product(B) SLASH(O) unary(C).        { A = build_binary(p, OP_DIV, B, O, C); }
product(A) ::= product(B) AT(O) unary(C).           { A = build_binary(p, OP_AT, B, O, C); }
unary(A) ::= power(B).                              { A = B; }
unary(A) ::= MINUS(O) unary(B).                     { A = build_unary(p, OP_NEG, O, B); }
power(A) ::= postfix(B).                            { A = B; }
power(A) ::= postfix(B) POWER(O) unary(C).          { A = build_binary(p, OP_POW, B, O, C); }
postfix(A) ::= primary(B).                          { A = B; }
postfix(A) ::= postfix(B) DOT NAME(N).              { A = build_select(p, B, N); }
postfix(A) ::= postfix(B) LPAR(L) args(C) RPAR(R).  { A = build_call(p, AST_CALL, B, L, C, R); }
postfix(A) ::= postfix(B) LBRACKET(L) args(C) RBRACKET(R).  { A = build_call(p, AST_BRACKETS, B, L, C, R); }

primary(A) ::= NAME(N).                             { A = build_name(p, N); }
primary(A) ::= INT(N).                              { A = build_literal(p, AST_INT, N); }
primary(A) ::= REAL(N).                             { A = build_literal(p, AST_REAL, N); }
primary(A) ::= STRING(N).                           { A = build_literal(p, AST_TEXT, N); }
primary(A) ::= TRUE(N).                             { A = build_literal(p, AST_BOOL, N); }
primary(A) ::= FALSE(N).                            { A = build_literal(p, AST_BOOL, N); }
primary(A) ::= HOLE(N).                             { A = build_literal(p, AST_HOLE, N); }
primary(A) ::= LPAR(L) expr(B) RPAR(R).             { A = build_parentheses(B, L, R); }
primary(A) ::= LBRACKET(L) RBRACKET(R).             { A = build_list(p, AST_LIST, L, NULL, R); }
primary(A) ::= LBRACKET(L) elements(B) RBRACKET(R). { A = build_list(p, AST_LIST, L, B, R); }
primary(A) ::= LBRACKET(L) elements(B) COMMA RBRACKET(R).       { A = build_list(p, AST_LIST, L, B, R); }
primary(A) ::= LBRACKET(L) expr(B) FOR iterators(I) RBRACKET(R). { A = build_comprehension(p, L, B, I, R); }
primary(A) ::= LBRACE(L) RBRACE(R).                 { A = build_list(p, AST_RECORD, L, NULL, R); }
primary(A) ::= LBRACE(L) fields(B) RBRACE(R).       { A = build_list(p, AST_RECORD, L, B, R); }
primary(A) ::= LBRACE(L) fields(B) COMMA RBRACE(R). { A = build_list(p, AST_RECORD, L, B, R); }

/* ---- arguments, elements, fields ---- */
%type args {Chain *}
%type arg_list {Chain *}
%type elements {Chain *}
%type fields {Chain *}
%type arg {AstArg}
%type element {AstArg}
%type field {AstArg}
args(A) ::= .                                       { A = NULL; }
args(A) ::= arg_list(B).                            { A = B; }
args(A) ::= arg_list(B) COMMA.                      { A = B; }
arg_list(A) ::= arg(B).                             { A = chain_made(p, NULL, B); }
arg_list(A) ::= arg_list(B) COMMA arg(C).           { A = chain_made(p, B, C); }
arg(A) ::= element(B).                              { A = B; }
arg(A) ::= RANGE(T).                                { A = build_arg(NULL, false, build_literal(p, AST_WHOLE, T)); }
arg(A) ::= NAME(N) COLON expr(B).                   { A = build_arg(N, false, B); }
elements(A) ::= element(B).                         { A = chain_made(p, NULL, B); }
elements(A) ::= elements(B) COMMA element(C).       { A = chain_made(p, B, C); }
element(A) ::= expr(B).                             { A = build_arg(NULL, false, B); }
element(A) ::= SPREAD expr(B).                      { A = build_arg(NULL, true, B); }
fields(A) ::= field(B).                             { A = chain_made(p, NULL, B); }
fields(A) ::= fields(B) between field(C).           { A = chain_made(p, B, C); }
between ::= COMMA.
between ::= SEP.
field(A) ::= NAME(N) COLON expr(B).                 { A = build_arg(N, false, B); }
field(A) ::= STRING(N) COLON expr(B).               { A = build_arg(N, false, B); }
field(A) ::= SPREAD expr(B).                        { A = build_arg(NULL, true, B); }

/* ---- the parser's loop looks ahead on the automaton itself (contracts in parse.h) ---- */
%code {
struct Grammar { yyParser parser; };

Grammar *grammar_new(Parser *p)
{
    Grammar *grammar = arena_alloc(p->scratch, sizeof *grammar);
    automatonInit(&grammar->parser, p);
    return grammar;
}

void grammar_free(Grammar *grammar)
{
    automatonFinalize(&grammar->parser);
}

void grammar_feed(Grammar *grammar, int kind, const Token *token)
{
    automaton(&grammar->parser, kind, token);
}

int grammar_depth(const Grammar *grammar)
{
    return (int)(grammar->parser.yytos - grammar->parser.yystack);
}

int grammar_symbol(const Grammar *grammar, int depth, const Token **token)
{
    const yyStackEntry *entry = &grammar->parser.yystack[depth];
    bool terminal = entry->major < YYNTOKEN && depth > 0;
    *token = terminal ? entry->minor.yy0 : NULL;
    return terminal ? entry->major : -1;
}

void grammar_pop(Grammar *grammar)
{
    yy_pop_parser_stack(&grammar->parser);
}

/* Runs the reductions that `kind` would cause on a virtual stack: the real one up to `base`, then `pushed`. */
bool grammar_accepts(const Grammar *grammar, int kind)
{
    enum { PUSHED = 64 };
    const yyParser *parser = &grammar->parser;
    YYACTIONTYPE pushed[PUSHED], state = parser->yytos->stateno;
    int base = grammar_depth(grammar), count = 0;     /* `base` is the real stack's top that is still valid */
    for (;;) {
        YYACTIONTYPE action = yy_find_shift_action((YYCODETYPE)kind, state);
        if (action == YY_ACCEPT_ACTION)
            return kind == 0;
        if (action < YY_MIN_REDUCE)
            return action <= YY_MAX_SHIFTREDUCE;
        int rule = action - YY_MIN_REDUCE, gone = -yyRuleInfoNRhs[rule], popped = gone < count ? gone : count;
        count -= popped;
        base -= gone - popped;
        state = count ? pushed[count - 1] : parser->yystack[base].stateno;
        state = yy_find_reduce_action(state, yyRuleInfoLhs[rule]);
        if (count == PUSHED)
            return true;
        pushed[count++] = state;
    }
}
}
