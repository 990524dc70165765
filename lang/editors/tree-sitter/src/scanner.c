/* scanner.c -- where statements end: at `;`, and at a line end where the grammar lets one end, but not before `else`.
 * Inside brackets and behind operators the grammar does not ask, and line ends are blanks. */
#include <tree_sitter/parser.h>

enum Token { SEP, ERROR_SENTINEL };

void *tree_sitter_nin_external_scanner_create(void) { return NULL; }
void tree_sitter_nin_external_scanner_destroy(void *payload) { (void)payload; }
unsigned tree_sitter_nin_external_scanner_serialize(void *payload, char *buffer)
{
    (void)payload;
    (void)buffer;
    return 0;
}
void tree_sitter_nin_external_scanner_deserialize(void *payload, const char *buffer, unsigned length)
{
    (void)payload;
    (void)buffer;
    (void)length;
}

static bool is_blank(int32_t c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

/* Blanks, comments and further ends behind the first one; the token ends there, what follows is only looked at. */
static void skip_ends(TSLexer *lexer, bool *ended)
{
    while (!lexer->eof(lexer)) {
        if (lexer->lookahead == '#')
            while (!lexer->eof(lexer) && lexer->lookahead != '\n')
                lexer->advance(lexer, true);
        else if (is_blank(lexer->lookahead) || lexer->lookahead == ';') {
            *ended |= lexer->lookahead == '\n' || lexer->lookahead == ';';
            lexer->advance(lexer, true);
        } else {
            return;
        }
    }
}

bool tree_sitter_nin_external_scanner_scan(void *payload, TSLexer *lexer, const bool *valid)
{
    static const char word[] = "else";
    bool ended = false;
    int i = 0;
    (void)payload;
    if (!valid[SEP] || valid[ERROR_SENTINEL])
        return false;
    lexer->mark_end(lexer);
    skip_ends(lexer, &ended);
    if (!ended || lexer->lookahead == '}')
        return false;
    while (word[i] && lexer->lookahead == word[i]) {
        lexer->advance(lexer, false);
        i++;
    }
    int32_t c = lexer->lookahead;
    bool name = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
    if (!word[i] && !name)
        return false;
    lexer->result_symbol = SEP;
    return true;
}
