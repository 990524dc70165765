/* lexer.re -- one raw token (lang/reference.md, section 2).  What a rule does is in compiler/syntax/lexer.c. */
#include "syntax/token.h"

int lexer_scan(Lexer *lexer)
{
#define HERE return
    for (;;) {
        lexer->start = lexer->cursor;
/*!re2c
        re2c:define:YYCTYPE = "unsigned char";
        re2c:define:YYCURSOR = lexer->cursor;
        re2c:define:YYLIMIT = lexer->limit;
        re2c:define:YYMARKER = lexer->marker;
        re2c:yyfill:enable = 0;
        re2c:eof = 0;

        digits = [0-9] ("_"? [0-9])*;
        name   = [A-Za-z_] [A-Za-z0-9_]*;
        real   = digits "." digits ([eE] [+-]? [0-9]+)? | digits [eE] [+-]? [0-9]+;
        number = digits | real;

        $                   { return T_END; }
        [ \t]+              { continue; }
        "\r"? "\n"          { lexer_line_end(lexer); continue; }
        "#" [^\n]*          { lexer_comment(lexer); continue; }

        "for" { HERE T_FOR; }        "in"   { HERE T_IN; }    "if"   { HERE T_IF; }    "else"  { HERE T_ELSE; }
        "and" { HERE T_AND; }        "or"   { HERE T_OR; }    "not"  { HERE T_NOT; }   "true"  { HERE T_TRUE; }
        "use" { HERE T_USE; }        "cell" { HERE T_CELL; }  "net"  { HERE T_NET; }   "false" { HERE T_FALSE; }
        "fn"  { HERE T_FN; }         "test" { HERE T_TEST; }  "per"  { HERE T_PER; }   "param" { HERE T_PARAM; }
        "experiment" { HERE T_EXPERIMENT; }                   "state" { HERE T_STATE; }
        name                { return T_NAME; }

        digits              { return T_INT; }
        real                { return T_REAL; }
        number "..""."?     { return lexer_number_before_range(lexer); }
        number name         { lexer_bad_number(lexer); return T_INT; }
        number "." name?    { lexer_bad_point(lexer); return T_INT; }
        "." [0-9] [A-Za-z0-9_]*  { lexer_bad_point(lexer); return T_REAL; }
        ["]                 { return T_STRING; }

        "+"  { HERE T_PLUS; }     "-"   { HERE T_MINUS; }   "*"  { HERE T_STAR; }    "/"  { HERE T_SLASH; }
        "@"  { HERE T_AT; }       "^"   { HERE T_POWER; }   "==" { HERE T_EQ; }      "!=" { HERE T_NE; }
        "<"  { HERE T_LT; }       "<="  { HERE T_LE; }      ">"  { HERE T_GT; }      ">=" { HERE T_GE; }
        "="  { HERE T_ASSIGN; }   "->"  { HERE T_ARROW; }   "."  { HERE T_DOT; }     ".." { HERE T_RANGE; }
        "?"  { HERE T_HOLE; }     "..." { HERE T_SPREAD; }  ":"  { HERE T_COLON; }   ","  { HERE T_COMMA; }
        "("  { HERE T_LPAR; }     ")"   { HERE T_RPAR; }    "["  { HERE T_LBRACKET; } "]" { HERE T_RBRACKET; }
        "{"  { HERE T_LBRACE; }   "}"   { HERE T_RBRACE; }  ";"  { HERE T_SEP; }
        *    { return lexer_stray(lexer); }
*/
    }
#undef HERE
}
