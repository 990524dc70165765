/* lexer.re -- one raw token (lang/reference.md, section 2).  What a rule does is in compiler/syntax/lexer.c. */
#include "syntax/token.h"

int lexer_scan(Lexer *lexer)
{
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

        "for" { return T_FOR; }        "in"   { return T_IN; }    "if"   { return T_IF; }    "else"  { return T_ELSE; }
        "and" { return T_AND; }        "or"   { return T_OR; }    "not"  { return T_NOT; }   "true"  { return T_TRUE; }
        "use" { return T_USE; }        "cell" { return T_CELL; }  "net"  { return T_NET; }   "false" { return T_FALSE; }
        "fn"  { return T_FN; }         "test" { return T_TEST; }  "per"  { return T_PER; }   "param" { return T_PARAM; }
        "experiment" { return T_EXPERIMENT; }                   "state" { return T_STATE; }
        name                { return T_NAME; }

        digits              { return T_INT; }
        real                { return T_REAL; }
        number "..""."?     { return lexer_number_before_range(lexer); }
        number name         { lexer_bad_number(lexer); return T_INT; }
        number "." name?    { lexer_bad_point(lexer); return T_INT; }
        "." [0-9] [A-Za-z0-9_]*  { lexer_bad_point(lexer); return T_REAL; }
        ["]                 { return T_STRING; }

        "+"  { return T_PLUS; }     "-"   { return T_MINUS; }   "*"  { return T_STAR; }    "/"  { return T_SLASH; }
        "@"  { return T_AT; }       "^"   { return T_POWER; }   "==" { return T_EQ; }      "!=" { return T_NE; }
        "<"  { return T_LT; }       "<="  { return T_LE; }      ">"  { return T_GT; }      ">=" { return T_GE; }
        "="  { return T_ASSIGN; }   "->"  { return T_ARROW; }   "."  { return T_DOT; }     ".." { return T_RANGE; }
        "?"  { return T_HOLE; }     "..." { return T_SPREAD; }  ":"  { return T_COLON; }   ","  { return T_COMMA; }
        "("  { return T_LPAR; }     ")"   { return T_RPAR; }    "["  { return T_LBRACKET; } "]" { return T_RBRACKET; }
        "{"  { return T_LBRACE; }   "}"   { return T_RBRACE; }  ";"  { return T_SEP; }
        *    { return lexer_stray(lexer); }
*/
    }
}
