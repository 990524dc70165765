/* parse.c -- the parser's loop: every token is tried on the automaton before it is fed.
 *
 * A token that would not be shifted is an error, reported where it stands with the exact set of what could (expect.c).
 * Recovery is at statement level: the stack is popped to where a statement may begin, the rest of the statement is
 * skipped (brackets are paired already, so blocks inside it are jumped over) and an ERROR token takes its place. */
#include "syntax/parse.h"

enum { STACK_DEEPEST = 20000 };         /* right-recursive rules stack up before a tree shows its depth */

static bool is_open(int kind)
{
    return kind == T_LPAR || kind == T_LBRACKET || kind == T_LBRACE;
}

static bool is_close(int kind)
{
    return kind == T_RPAR || kind == T_RBRACKET || kind == T_RBRACE;
}

/* A closed bracket stays on the stack, with its partner, until its rule is reduced, which the next token does. */
const Token *parse_enclosing(const Grammar *grammar)
{
    int closed = 0;
    for (int i = grammar_depth(grammar); i > 0; i--) {
        const Token *token;
        int kind = grammar_symbol(grammar, i, &token);
        if (is_open(kind) && closed-- == 0)
            return token;
        closed += is_close(kind);
    }
    return NULL;
}

/* Pops to where a statement may begin; counts the open brackets popped, and finds the text's begin. */
static int pop_statement(Grammar *grammar, uint32_t *lo)
{
    int brackets = 0, closed = 0;
    while ((closed > 0 || !grammar_accepts(grammar, T_ERROR)) && grammar_depth(grammar) > 0) {
        const Token *token;
        int kind = grammar_symbol(grammar, grammar_depth(grammar), &token);
        if (is_open(kind) && closed > 0)
            closed--;
        else if (is_open(kind))
            brackets++;
        closed += is_close(kind);
        if (kind >= 0)
            *lo = token->span.lo;
        grammar_pop(grammar);
    }
    return brackets;
}

/* The first token at or behind `index` that ends a statement of the block `open`, `brackets` levels further out. */
static int statement_end(const TokenList *tokens, int index, const Token *open, int brackets)
{
    for (; tokens->at[index].kind != T_END; index++) {
        const Token *token = &tokens->at[index];
        if (token->match > index) {
            index = token->match;
        } else if (token->match >= 0) {
            if (open && &tokens->at[token->match] == open)
                break;
            brackets--;
        } else if (token->kind == T_SEP && brackets == 0) {
            break;
        }
    }
    return index;
}

/* Returns the index of the token to go on with. */
static int recover(Parser *p, Grammar *grammar, int index)
{
    const TokenList *tokens = &p->lexer->tokens;
    Token *error = arena_new_of(p->scratch, Token);
    *error = (Token){.kind = T_ERROR, .span = tokens->at[index].span, .match = -1};
    int brackets = pop_statement(grammar, &error->span.lo);
    int end = statement_end(tokens, index, parse_enclosing(grammar), brackets);
    if (end > index)
        error->span.hi = tokens->at[end - 1].span.hi;
    grammar_feed(grammar, T_ERROR, error);
    return end;
}

/* Returns the index to go on with after an error at `index`.  A block's "{" on a line of its own is read as meant. */
static int after_error(Parser *p, Grammar *grammar, int index)
{
    const Token *token = &p->lexer->tokens.at[index];
    if (token->kind != T_ERROR)
        expect_report(p, grammar, index);
    if (token->kind == T_SEP && token[1].kind == T_LBRACE && grammar_accepts(grammar, T_LBRACE))
        return index + 1;
    return recover(p, grammar, index);
}

static void run(Parser *p, Grammar *grammar)
{
    const TokenList *tokens = &p->lexer->tokens;
    int resumed = -1;
    for (int i = 0; !p->stop;) {
        const Token *token = &tokens->at[i];
        if (token->kind != T_ERROR && grammar_accepts(grammar, token->kind)) {
            grammar_feed(grammar, token->kind, token);
            if (token->kind == T_END)
                return;
            i++;
        } else if (i != resumed) {
            i = resumed = after_error(p, grammar, i);
        } else {
            p->stop = true;                                    /* recovery did not help: leave it at that */
        }
        if (grammar_depth(grammar) > STACK_DEEPEST) {
            diag_add(p->cx->diags, D_E0210, token->span, "nested more than %d levels deep", AST_DEPTH);
            p->stop = true;
        }
    }
}

/* The doc comment of the file: a block at its top with an empty line, a `use` or nothing more behind it. */
static const char *module_doc(const Parser *p)
{
    const Lexer *lexer = p->lexer;
    uint32_t first_token = lexer->raw.at[0].span.lo;
    int n = 0;
    while (n < lexer->comments.len && lexer->comments.at[n].doc && lexer->comments.at[n].span.hi <= first_token)
        n++;
    for (int last = 1; last <= n; last++) {
        const Comment *comment = &lexer->comments.at[last - 1];
        uint32_t at = comment->span.hi - p->source->base;
        int lines = 0;
        for (; at < p->source->length && strchr(" \t\r\n", p->source->text[at]); at++)
            lines += p->source->text[at] == '\n';
        bool before_use = lexer->raw.at[0].doc == last && lexer->raw.at[0].kind == T_USE;
        if (lines > 1 || before_use || at == p->source->length)
            return doc_text(p->source, lexer->comments.at, last, p->arena);
    }
    return NULL;
}

static const Module *finish(Parser *p, bool complete)
{
    Module *module = arena_new_of(p->arena, Module);
    module->source = p->source;
    module->complete = complete;
    module->items = chain_nodes(p, p->stop ? NULL : p->items);
    module->doc = p->lexer->raw.len ? module_doc(p) : NULL;
    module->comments_len = p->lexer->comments.len;
    module->comments = arena_array(p->arena, Comment, module->comments_len);
    if (module->comments_len)
        memcpy(module->comments, p->lexer->comments.at, sizeof(Comment) * (size_t)module->comments_len);
    return module;
}

/* Unclosed brackets alone, or an error at the end alone, mean that the text goes on. */
static bool is_complete(const Parser *p, int mark)
{
    const Diags *diags = p->cx->diags;
    bool goes_on = p->lexer->unclosed || p->incomplete;
    for (int i = mark; i < diags->list.len && goes_on; i++) {
        const Diag *diag = diags->list.at[i];
        bool at_end = p->incomplete && diag->code >= D_E0201 &&
                      diag->span.lo >= p->lexer->tokens.at[p->lexer->tokens.len - 1].span.lo;
        goes_on = diag->code == D_E0105 || at_end || diag_severity(diag->code) < SEVERITY_ERROR;
    }
    return !goes_on;
}

const Module *parse_module(const ParseContext *context, const Source *source)
{
    Arena *scratch = arena_new();
    Lexer lexer;
    Parser parser = {.cx = context, .source = source, .arena = context->arena, .scratch = scratch, .lexer = &lexer};
    int mark = diags_mark(context->diags);
    lexer_init(&lexer, context, scratch, source);
    lexer_run(&lexer);
    filter_run(&lexer);
    parser.stop = lexer.too_deep;
    if (!parser.stop) {
        Grammar *grammar = grammar_new(&parser);
        run(&parser, grammar);
        grammar_free(grammar);
    }
    bool complete = parser.stop || is_complete(&parser, mark);
    const Module *module = finish(&parser, complete);
    if (complete)
        unused_check(context, &module->items);
    arena_free(scratch);
    return module;
}
