/* build.c -- the nodes that lang/grammar.y makes, and the errors that are easiest to see there. */
#include "syntax/parse.h"

/* ---- nodes ---- */
static Span join(Span a, Span b)
{
    return (Span){a.lo, b.hi};
}

static void deepen(void *data, Ast *child)
{
    uint32_t *depth = data;
    if (child->depth > *depth)
        *depth = child->depth;
}

void parse_too_deep(Parser *p)
{
    p->stop = true;
}

/* Called when all children are in place. */
static Ast *node_new(Parser *p, Ast node, AstKind kind, Span span)
{
    Ast *made = arena_new_of(p->arena, Ast);
    *made = node;
    made->kind = kind;
    made->span = span;
    made->id = (*p->cx->next_id)++;
    uint32_t below = 0;
    ast_children(made, deepen, &below);
    made->depth = below + 1;
    if (made->depth > AST_DEPTH && !p->stop) {
        diag_add(p->cx->diags, D_E0210, span, "nested more than %d levels deep", AST_DEPTH);
        p->stop = true;
    }
    return made;
}

#define NODE(kind_, span_, ...) node_new(p, (Ast){__VA_ARGS__}, AST_##kind_, span_)

/* ---- chains ---- */
static Chain *chain_new(Parser *p, Chain *before)
{
    Chain *chain = arena_new_of(p->scratch, Chain);
    chain->before = before;
    chain->len = before ? before->len + 1 : 1;
    return chain;
}

Chain *chain_node(Parser *p, Chain *before, Ast *node)
{
    Chain *chain = chain_new(p, before);
    chain->node = node;
    return chain;
}

Chain *chain_name(Parser *p, Chain *before, const Token *name)
{
    Chain *chain = chain_new(p, before);
    chain->token = name;
    return chain;
}

static const char *doc_of(const Parser *p, const Token *token)
{
    return doc_text(p->source, p->lexer->comments.at, token->doc, p->arena);
}

Chain *chain_formal(Parser *p, Chain *before, const Token *name, Ast *type, Ast *initial)
{
    Chain *chain = chain_new(p, before);
    chain->formal = (AstFormal){name->name, name->span, type, initial, doc_of(p, name)};
    return chain;
}

Chain *chain_iterator(Parser *p, Chain *before, AstIterator iterator)
{
    Chain *chain = chain_new(p, before);
    chain->iterator = iterator;
    return chain;
}

Chain *chain_made(Parser *p, Chain *before, AstArg arg)
{
    Chain *chain = chain_new(p, before);
    chain->arg = arg;
    return chain;
}

Chain *chain_arg(Parser *p, Chain *before, const Token *label, bool spread, Ast *value)
{
    return chain_made(p, before, build_arg(label, spread, value));
}

AstArg build_arg(const Token *label, bool spread, Ast *value)
{
    if (!label)
        return (AstArg){.spread = spread, .value = value};
    return (AstArg){label->name, label->span, spread, label->kind == T_STRING, value};
}

AstList chain_nodes(Parser *p, const Chain *chain)
{
    AstList list = {.len = chain ? chain->len : 0};
    list.at = arena_array(p->arena, Ast *, list.len);
    for (int i = list.len; chain; chain = chain->before)
        list.at[--i] = chain->node;
    return list;
}

static AstArg *chain_args(Parser *p, const Chain *chain, int *len)
{
    AstArg *args = arena_array(p->arena, AstArg, *len = chain ? chain->len : 0);
    for (int i = *len; chain; chain = chain->before)
        args[--i] = chain->arg;
    return args;
}

static AstFormal *chain_formals(Parser *p, const Chain *chain, int *len)
{
    AstFormal *formals = arena_array(p->arena, AstFormal, *len = chain ? chain->len : 0);
    for (int i = *len; chain; chain = chain->before)
        formals[--i] = chain->formal;
    return formals;
}

static AstIterator *chain_iterators(Parser *p, const Chain *chain, int *len)
{
    AstIterator *iterators = arena_array(p->arena, AstIterator, *len = chain ? chain->len : 0);
    for (int i = *len; chain; chain = chain->before)
        iterators[--i] = chain->iterator;
    return iterators;
}

/* ---- labels given twice (E0209), positional after named (E0202) ---- */
static void report_twice(Parser *p, Name name, Span first, Span again)
{
    Diag *diag = diag_add(p->cx->diags, D_E0209, again, "'%s' is given twice", name);
    diag_label(diag, first, "first given here");
}

/* The labels so far; a table is made for the second one. */
typedef struct Seen { Map map; Name first; const Span *first_span; } Seen;

static void seen_put(Parser *p, Seen *seen, Name name, const Span *span)
{
    if (!seen->first) {
        *seen = (Seen){.first = name, .first_span = span};
        map_init(&seen->map, p->scratch);
        return;
    }
    if (seen->map.len == 0)
        map_put(&seen->map, seen->first, (void *)(uintptr_t)seen->first_span);
    const Span *first = map_get(&seen->map, name);
    if (first)
        report_twice(p, name, *first, *span);
    else
        map_put(&seen->map, name, (void *)(uintptr_t)span);
}

/* In a record a spread starts anew: a label behind it replaces what was spread. */
static void check_args(Parser *p, const AstArg *args, int len, bool record)
{
    Seen seen = {0};
    const AstArg *named = NULL;
    for (int i = 0; i < len; i++) {
        if (args[i].label) {
            seen_put(p, &seen, args[i].label, &args[i].label_span);
            named = &args[i];
        } else if (record) {
            seen = (Seen){0};
        } else if (named) {
            Diag *diag = diag_add(p->cx->diags, D_E0202, args[i].value->span, "arguments without a label come first");
            diag_label(diag, named->label_span, "this one has a label");
        }
    }
}

static void check_formals(Parser *p, const Ast *def)
{
    Seen seen = {0};
    for (int i = 0; i < def->def.settings_len; i++)
        seen_put(p, &seen, def->def.settings[i].name, &def->def.settings[i].span);
    for (int i = 0; i < def->def.formals_len; i++)
        seen_put(p, &seen, def->def.formals[i].name, &def->def.formals[i].span);
}

/* ---- items ---- */
Ast *build_error(Parser *p, const Token *token)
{
    return NODE(ERROR, token->span, 0);
}

Ast *build_top(Parser *p, Ast *statement)
{
    bool fits = statement->kind == AST_BIND || statement->kind == AST_ERROR;
    if (!fits && !p->cx->prompt) {
        Diag *diag = diag_add(p->cx->diags, D_E0205, statement->span, "only definitions and bindings here");
        if (statement->kind == AST_PARAM || statement->kind == AST_STATE)
            diag_hint(diag, "it belongs into the body of a definition");
        else
            diag_hint(diag, "put it into an 'experiment' or a 'test'");
    }
    return statement;
}

Ast *build_use(Parser *p, const Token *word, Chain *path, Chain *names)
{
    Ast node = {.use = {.path_len = path->len, .names_len = names ? names->len : 0}};
    Span span = join(word->span, names ? names->token->span : path->token->span);
    node.use.path = arena_array(p->arena, Name, node.use.path_len);
    node.use.names = arena_array(p->arena, Name, node.use.names_len);
    node.use.name_spans = arena_array(p->arena, Span, node.use.names_len);
    for (int i = node.use.path_len; path; path = path->before)
        node.use.path[--i] = path->token->name;
    for (int i = node.use.names_len; names; names = names->before) {
        node.use.names[--i] = names->token->name;
        node.use.name_spans[i] = names->token->span;
    }
    return node_new(p, node, AST_USE, span);
}

Ast *build_alias(Parser *p, const Token *word, const Token *name, Ast *value)
{
    return NODE(ALIAS, join(word->span, value->span),
                .alias = {name->name, name->span, value, doc_of(p, word)});
}

Ast *build_def(Parser *p, AstDefKind what, const Token *word, const Token *name, Signature signature, Ast *body)
{
    Ast node = {.def = {.what = what, .name = name->name, .name_span = name->span, .type = signature.type,
                        .has_settings = signature.has_settings, .body = body, .doc = doc_of(p, word)}};
    node.def.settings = chain_formals(p, signature.settings, &node.def.settings_len);
    node.def.formals = chain_formals(p, signature.formals, &node.def.formals_len);
    check_formals(p, &node);
    return node_new(p, node, AST_DEF, join(word->span, body->span));
}

Ast *build_experiment(Parser *p, const Token *word, const Token *name, Chain *formals, Ast *body)
{
    Ast node = {.experiment = {.name = name->name, .name_span = name->span, .body = body, .doc = doc_of(p, word)}};
    node.experiment.formals = chain_formals(p, formals, &node.experiment.formals_len);
    Seen seen = {0};
    for (int i = 0; i < node.experiment.formals_len; i++)
        seen_put(p, &seen, node.experiment.formals[i].name, &node.experiment.formals[i].span);
    return node_new(p, node, AST_EXPERIMENT, join(word->span, body->span));
}

Ast *build_test(Parser *p, const Token *word, const Token *name, Ast *body)
{
    return NODE(TEST, join(word->span, body->span), .test = {name->name, body});
}

/* ---- statements ---- */
Ast *build_block(Parser *p, const Token *open, Chain *statements, const Token *close)
{
    return NODE(BLOCK, join(open->span, close->span), .block = chain_nodes(p, statements));
}

static bool is_pattern(const Ast *node)
{
    if (node->kind != AST_LIST)
        return node->kind == AST_NAME || node->kind == AST_ERROR;
    for (int i = 0; i < node->list.len; i++)
        if (node->list.args[i].spread || !is_pattern(node->list.args[i].value))
            return false;
    return node->list.len > 0;
}

/* The part of a left side that is not a pattern, for the caret. */
static const Ast *not_pattern(const Ast *node)
{
    if (node->kind == AST_LIST)
        for (int i = 0; i < node->list.len; i++)
            if (!is_pattern(node->list.args[i].value))
                return not_pattern(node->list.args[i].value);
    return node;
}

static void report_not_pattern(Parser *p, const Ast *left)
{
    const Ast *part = not_pattern(left);
    Diag *diag = diag_add(p->cx->diags, D_E0203, part->span, "cannot bind to this");
    if (part->kind == AST_CALL && part->call.of->kind == AST_NAME)
        diag_hint(diag, "a function is written: fn %s(...) = ...", part->call.of->name);
    else if (part->kind == AST_SELECT)
        diag_hint(diag, "values do not change; a changed record is { ...r, %s: ... }", part->select.field);
    else if (part->kind == AST_BRACKETS)
        diag_hint(diag, "values do not change; bind a new one to a name");
    else
        diag_hint(diag, "on the left of '=' stands a name, or a list of names: [a, b] = ...");
}

Ast *build_bind(Parser *p, Ast *pattern, Ast *type, Ast *value)
{
    if (!is_pattern(pattern))
        report_not_pattern(p, pattern);
    uint32_t lo = pattern->span.lo;
    const char *doc = NULL;
    int first = 0, last = p->lexer->tokens.len - 1;            /* the pattern's first token carries the doc comment */
    while (first < last) {
        int middle = first + (last - first) / 2;
        if (p->lexer->tokens.at[middle].span.lo < lo)
            first = middle + 1;
        else
            last = middle;
    }
    for (; first < p->lexer->tokens.len && p->lexer->tokens.at[first].span.lo == lo && !doc; first++)
        doc = doc_of(p, &p->lexer->tokens.at[first]);
    return NODE(BIND, join(pattern->span, value->span), .bind = {pattern, type, value, doc});
}

Ast *build_for(Parser *p, const Token *word, Chain *iterators, Ast *body)
{
    Ast node = {.loop = {.body = body}};
    node.loop.iterators = chain_iterators(p, iterators, &node.loop.len);
    return node_new(p, node, AST_FOR, join(word->span, body->span));
}

Ast *build_own(Parser *p, AstKind kind, const Token *word, const Token *name, Ast *type, Ast *per, Ast *initial)
{
    Ast node = {.own = {name->name, name->span, type, per, initial, doc_of(p, word)}};
    return node_new(p, node, kind, join(word->span, initial->span));
}

Ast *build_if(Parser *p, const Token *word, Ast *condition, Ast *then, Ast *otherwise)
{
    return NODE(IF, join(word->span, otherwise ? otherwise->span : then->span),
                .branch = {condition, then, otherwise});
}

/* ---- expressions ---- */
Ast *build_name(Parser *p, const Token *name)
{
    return NODE(NAME, name->span, .name = name->name);
}

Ast *build_literal(Parser *p, AstKind kind, const Token *token)
{
    Ast node = {0};
    if (kind == AST_INT)
        node.integer = token->integer;
    else if (kind == AST_REAL)
        node.real = token->real;
    else if (kind == AST_BOOL)
        node.boolean = token->kind == T_TRUE;
    else if (kind == AST_TEXT)
        node.name = token->name;
    return node_new(p, node, kind, token->span);
}

Ast *build_list(Parser *p, AstKind kind, const Token *open, Chain *args, const Token *close)
{
    Ast node = {0};
    node.list.args = chain_args(p, args, &node.list.len);
    if (kind == AST_RECORD)
        check_args(p, node.list.args, node.list.len, true);
    return node_new(p, node, kind, join(open->span, close->span));
}

Ast *build_comprehension(Parser *p, const Token *open, Ast *value, Chain *iterators, const Token *close)
{
    Ast node = {.comprehension = {.value = value}};
    node.comprehension.iterators = chain_iterators(p, iterators, &node.comprehension.len);
    return node_new(p, node, AST_COMPREHENSION, join(open->span, close->span));
}

Ast *build_unary(Parser *p, AstOp op, const Token *sign, Ast *a)
{
    return NODE(UNARY, join(sign->span, a->span), .unary = {op, a});
}

Ast *build_binary(Parser *p, AstOp op, Ast *a, const Token *sign, Ast *b)
{
    return NODE(BINARY, join(a->span, b->span), .binary = {op, a, b, sign->span});
}

AstOp build_comparison(const Token *sign)
{
    switch (sign->kind) {
    case T_EQ: return OP_EQ;
    case T_NE: return OP_NE;
    case T_LT: return OP_LT;
    case T_LE: return OP_LE;
    case T_GT: return OP_GT;
    default: return OP_GE;
    }
}

Ast *build_chained(Parser *p, Ast *a, const Token *sign, Ast *b)
{
    Diag *diag = diag_add(p->cx->diags, D_E0204, sign->span, "comparisons do not chain");
    diag_label(diag, a->binary.op_span, "the first comparison");
    diag_hint(diag, "join two comparisons with 'and': a < b and b < c");
    return build_binary(p, build_comparison(sign), a, sign, b);
}

Ast *build_range(Parser *p, Ast *lo, Ast *hi)
{
    return NODE(RANGE, join(lo->span, hi->span), .range = {lo, hi});
}

Ast *build_select(Parser *p, Ast *of, const Token *field)
{
    return NODE(SELECT, join(of->span, field->span), .select = {of, field->name, field->span});
}

Ast *build_call(Parser *p, AstKind kind, Ast *of, const Token *open, Chain *args, const Token *close)
{
    Ast node = {.call = {.of = of, .open = open->span}};
    node.call.args = chain_args(p, args, &node.call.len);
    check_args(p, node.call.args, node.call.len, false);
    return node_new(p, node, kind, join(of->span, close->span));
}

Ast *build_parentheses(Ast *inner, const Token *open, const Token *close)
{
    inner->span = join(open->span, close->span);
    return inner;
}
