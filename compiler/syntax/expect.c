/* expect.c -- says why a token cannot stand where it is: E0206, E0207, E0208, and E0201 with the exact set of what
 * could stand there.  The set is asked of the automaton, one terminal after the other. */
#include "syntax/parse.h"

typedef struct Site {
    Parser *p;
    const Grammar *grammar;
    const Token *at, *before;           /* the tokens of the file; `before` is NULL at the first */
    int index;
    bool accepts[256];
    const Token *open;                  /* the innermost open bracket, or NULL */
} Site;

static bool is_definition_word(int kind)
{
    return kind == T_USE || kind == T_CELL || kind == T_NET || kind == T_FN || kind == T_EXPERIMENT || kind == T_TEST;
}

static bool is_contextual(int kind)
{
    return is_definition_word(kind) || kind == T_PARAM || kind == T_STATE || kind == T_PER;
}

static bool is_name(int kind)
{
    return kind == T_NAME || is_contextual(kind);
}

/* Whether the token at `index` begins a statement, as far as the tokens before it tell. */
static bool begins_statement(const Site *site, int index)
{
    if (index <= 0)
        return index == 0;
    int kind = site->p->lexer->tokens.at[index - 1].kind;
    return kind == T_SEP || kind == T_LBRACE;
}

static Site site_at(Parser *p, const Grammar *grammar, int index)
{
    const Token *at = &p->lexer->tokens.at[index];
    Site site = {p, grammar, at, index ? at - 1 : NULL, index, {0}, NULL};
    for (int kind = 0; kind < token_kinds(); kind++)
        site.accepts[kind] = kind != T_ERROR && grammar_accepts(grammar, kind);
    site.open = parse_enclosing(grammar);
    return site;
}

/* ---- the special cases ---- */
static bool report_definition(const Site *site)
{
    if (!site->before || !is_definition_word(site->before->kind) || !site->open ||
        !begins_statement(site, site->index - 1))
        return false;
    int word = site->before->kind;
    if (word == T_TEST ? site->at->kind != T_STRING : !is_name(site->at->kind))
        return false;
    static const char *const texts[][2] = {
        {"use", "a 'use' stands at the top of a file"}, {"cell", "a cell is defined at the top of a file"},
        {"net", "a net is defined at the top of a file"}, {"fn", "a fn is defined at the top of a file"},
        {"experiment", "an experiment is defined at the top of a file"}, {"test", "a test stands at the top of a file"},
    };
    for (int i = 0; i < COUNT(texts); i++)
        if (strcmp(texts[i][0], token_spelling(word)) == 0) {
            Diag *diag = diag_add(site->p->cx->diags, D_E0206, site->before->span, "%s", texts[i][1]);
            diag_label(diag, site->open->span, "this block is open here");
            diag_hint(diag, "move it out; pass what it needs of this body as arguments or settings");
        }
    return true;
}

static bool is_line_end(const Token *token)
{
    return token && token->kind == T_SEP && token->span.lo == token->span.hi;
}

static bool report_operator(const Site *site)
{
    static const uint8_t joining[] = {
        T_PLUS, T_STAR, T_SLASH, T_AT, T_POWER, T_EQ, T_NE, T_LT, T_LE, T_GT, T_GE, T_RANGE, T_AND, T_OR, T_DOT,
        T_ASSIGN, T_ARROW, T_COLON, T_COMMA,
    };
    if (!is_line_end(site->before) || !memchr(joining, site->at->kind, sizeof joining))
        return false;
    Diag *diag = diag_add(site->p->cx->diags, D_E0207, site->at->span, "this line does not continue the one above");
    diag_label(diag, (Span){site->before->span.lo - 1, site->before->span.lo}, "the statement ended here");
    diag_hint(diag, "put '%s' at the end of the line above, or the whole into parentheses",
              token_spelling(site->at->kind));
    return true;
}

/* "param w" or "state v" at the beginning of the statement that ends here. */
static bool report_no_start(const Site *site)
{
    int end = site->at->kind;
    if (!site->accepts[T_ASSIGN] || (end != T_SEP && end != T_RBRACE && end != T_END))
        return false;
    for (int i = grammar_depth(site->grammar); i > 0; i--) {
        const Token *token;
        int kind = grammar_symbol(site->grammar, i, &token);
        if (kind == T_SEP || kind == T_LBRACE)
            return false;
        if (kind != T_PARAM && kind != T_STATE)
            continue;
        int index = (int)(token - site->p->lexer->tokens.at);
        if (!begins_statement(site, index))
            continue;
        Diag *diag = diag_add(site->p->cx->diags, D_E0208, token[1].span, "say how '%s' starts", token[1].name);
        diag_hint(diag, kind == T_PARAM ? "a number or a distribution: = normal(0, 0.1)"
                                        : "its value before the first step: = 0");
        return true;
    }
    return false;
}

/* ---- E0201 ---- */
typedef struct Names { const char *at[64]; int len; } Names;

static void take(Site *site, const uint8_t *kinds, size_t count)
{
    for (size_t i = 0; i < count; i++)
        site->accepts[kinds[i]] = false;
}

/* Groups that are wholly there are named as such; what is left is listed one by one. */
static Names expected(Site site)
{
    static const uint8_t values[] = {T_NAME, T_INT, T_REAL, T_STRING, T_TRUE, T_FALSE, T_HOLE, T_LPAR, T_LBRACKET,
                                     T_LBRACE, T_MINUS, T_NOT, T_IF};
    static const uint8_t operators[] = {T_PLUS, T_MINUS, T_STAR, T_SLASH, T_AT, T_POWER, T_EQ, T_NE, T_LT, T_LE, T_GT,
                                        T_GE, T_RANGE, T_AND, T_OR, T_DOT, T_LPAR, T_LBRACKET};
    static const uint8_t postfix[] = {T_DOT, T_LPAR, T_LBRACKET};
    static const uint8_t words[] = {T_USE, T_CELL, T_NET, T_FN, T_EXPERIMENT, T_TEST, T_PARAM, T_STATE, T_PER};
    static const uint8_t statements[] = {T_FOR};
    bool value = site.accepts[T_INT], statement = value && site.accepts[T_FOR], operator = site.accepts[T_STAR];
    bool name = site.accepts[T_NAME];
    if (name)
        take(&site, words, sizeof words);
    if (value)
        take(&site, values, sizeof values);
    if (statement)
        take(&site, statements, sizeof statements);
    if (operator)
        take(&site, operators, sizeof operators);
    else if (site.accepts[T_DOT])
        take(&site, postfix, sizeof postfix);
    Names names = {0};
    for (int kind = 1; kind < token_kinds(); kind++)
        if (site.accepts[kind] && !(kind == T_REAL && site.accepts[T_INT]))
            names.at[names.len++] = token_describe(kind);
    if (site.accepts[T_END])
        names.at[names.len++] = token_describe(T_END);
    if (value)
        names.at[names.len++] = statement ? "a statement" : "an expression";
    if (operator)
        names.at[names.len++] = "an operator";
    return names;
}

static const char *found(const Site *site)
{
    const Token *token = site->at;
    Arena *scratch = site->p->scratch;
    const char *text = site->p->source->text + (token->span.lo - site->p->source->base);
    int length = (int)(token->span.hi - token->span.lo);
    if (is_name(token->kind))
        return arena_printf(scratch, "the name '%.*s'", length, text);
    if (token->kind == T_INT || token->kind == T_REAL)
        return arena_printf(scratch, "the number %.*s", length, text);
    if (token->kind == T_SEP && length > 0)
        return "';'";
    return token_describe(token->kind);
}

/* Words that begin something in other languages. */
static const char *foreign_hint(const char *word)
{
    static const char *const hints[][2] = {
        {"let", "a binding needs no word: x = ..."}, {"const", "a binding needs no word: x = ..."},
        {"var", "a binding needs no word: x = ..."}, {"val", "a binding needs no word: x = ..."},
        {"def", "a function is written: fn f(x) = ..."}, {"function", "a function is written: fn f(x) = ..."},
        {"func", "a function is written: fn f(x) = ..."},
        {"lambda", "functions have names: fn f(x) = ..., at the top of a file"},
        {"return", "the last expression of a block is its value; there is no 'return'"},
        {"while", "loops run over lists: for i in 1..n { ... }"}, {"import", "write: use module: name, name"},
        {"from", "write: use module: name, name"},
        {"class", "there are records, { name: value }, and cells, nets and fns"},
        {"elif", "write: else if"}, {"elseif", "write: else if"},
        {"session", "a session is a call: name = session(...)"},
        {"train", "training is a call: run = train(net, on: data, with: session, seed: 1)"},
        {"schedule", "a schedule is a record of sessions: name = { first: session(...) }"},
        {"data", "data sets are values: name = dataset(...)"}, {"figure", "a figure is a call: figure(...)"},
        {"table", "a table is a call: table(...)"}, {"layer", "a layer is a net: net name(x: f32[n]) -> f32[m] = ..."},
    };
    for (int i = 0; i < COUNT(hints); i++)
        if (strcmp(hints[i][0], word) == 0)
            return hints[i][1];
    return NULL;
}

static const char *doubled_hint(int kind)
{
    switch (kind) {
    case T_STAR: return "the power is written '^'";
    case T_SLASH: return "a comment begins with '#'; division is '/'";
    case T_PLUS: return "write x = x + 1";
    case T_POWER: return "the power is one '^'";
    case T_ASSIGN: return "'=' binds and '==' compares";
    default: return NULL;
    }
}

static const char *hint_at_end(const Site *site)
{
    const Token *before = site->before;
    if (before->kind == T_RANGE)
        return "a range has two ends: 2..end";
    if (site->at->kind == T_SEP && site->accepts[T_LBRACE] && site->at[1].kind == T_LBRACE)
        return "'{' belongs at the end of this line";
    return NULL;
}

static const char *hint_equal(const Site *site)
{
    if (site->before->kind != T_NAME && is_contextual(site->before->kind) && begins_statement(site, site->index - 1))
        return arena_printf(site->p->scratch, "'%s' begins something else here; choose another name",
                            token_spelling(site->before->kind));
    if (site->open && site->open->kind != T_LBRACE && is_name(site->before->kind))
        return arena_printf(site->p->scratch, "labels have a colon: %s: ...", site->before->name);
    if (site->before->kind == T_RPAR && site->open && site->open->kind != T_LBRACE)
        return "there are no functions without a name; define it at the top of a file: fn f(x) = ...";
    return site->accepts[T_EQ] ? "'=' binds and '==' compares" : NULL;
}

static const char *hint_for(const Site *site)
{
    const Token *before = site->before;
    if (!before)
        return NULL;
    int kind = site->at->kind;
    const char *hint = kind == before->kind ? doubled_hint(kind) : NULL;
    if (!hint && before->kind == T_NAME && begins_statement(site, site->index - 1))
        hint = foreign_hint(before->name);
    if (hint)
        return hint;
    if (kind == T_ASSIGN)
        return hint_equal(site);
    if (kind == T_IF && site->accepts[T_INT])
        return "an 'if' inside a larger expression needs parentheses";
    if (kind == T_RANGE)
        return "ranges do not chain";
    if (kind == T_ELSE)
        return "an 'else' follows the '}' of an 'if'";
    if (before->kind == T_RANGE && site->open && site->open->kind == T_LBRACKET && !is_name(kind))
        return kind == T_RBRACKET ? "a range has two ends: 2..end" : "a range has two ends: 1..3";
    if (kind == T_SEP || kind == T_RBRACKET || kind == T_RPAR)
        return hint_at_end(site);
    if (is_name(kind) && site->open && site->open->kind == T_LBRACE && site->accepts[T_COMMA])
        return "fields are separated by ',' or a line end";
    return NULL;
}

static void report_unexpected(Site *site)
{
    Names names = expected(*site);
    Buf text = {0};
    for (int i = 0; i < names.len; i++)
        buf_printf(&text, "%s%s", i == 0 ? "" : i == names.len - 1 ? " or " : ", ", names.at[i]);
    Diag *diag = diag_add(site->p->cx->diags, D_E0201, site->at->span, "expected %s here, found %s",
                          text.at ? text.at : "nothing", found(site));
    buf_free(&text);
    int open = site->open ? site->open->kind : 0;
    int closer = open == T_LPAR ? T_RPAR : open == T_LBRACKET ? T_RBRACKET : open == T_LBRACE ? T_RBRACE : 0;
    if (closer && site->accepts[closer])
        diag_label(diag, site->open->span, "this %s is open", token_describe(site->open->kind));
    const char *hint = hint_for(site);
    if (hint)
        diag_hint(diag, "%s", hint);
}

void expect_report(Parser *p, const Grammar *grammar, int index)
{
    const Token *token = &p->lexer->tokens.at[index];
    p->incomplete |= token->kind == T_END;
    if (token->inserted || token->bad || (index && token[-1].inserted))
        return;                                                /* reported already */
    Site site = site_at(p, grammar, index);
    if (!report_definition(&site) && !report_no_start(&site) && !report_operator(&site))
        report_unexpected(&site);
}
