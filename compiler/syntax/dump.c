/* dump.c -- the tree and the tokens as text, and the one walk over children. */
#include "syntax/token.h"

#include <inttypes.h>

static const char *const kind_names[] = {
#define AST(kind, name) name,
#include "syntax/ast.def"
#undef AST
};

const char *ast_kind_name(AstKind kind)
{
    return kind_names[kind];
}

const char *ast_op_text(AstOp op)
{
    static const char *const texts[] = {"or", "and", "not", "==", "!=", "<", "<=", ">", ">=",
                                        "+", "-", "*", "/", "@", "-", "^"};
    return texts[op];
}

/* ---- children ---- */
typedef struct Walk { void (*visit)(void *data, Ast *child); void *data; } Walk;

static void walk(const Walk *w, Ast *child)
{
    if (child)
        w->visit(w->data, child);
}

static void walk_args(const Walk *w, const AstArg *args, int len)
{
    for (int i = 0; i < len; i++)
        walk(w, args[i].value);
}

static void walk_iterators(const Walk *w, const AstIterator *iterators, int len)
{
    for (int i = 0; i < len; i++) {
        walk(w, iterators[i].pattern);
        walk(w, iterators[i].in);
    }
}

static void walk_formals(const Walk *w, const AstFormal *formals, int len)
{
    for (int i = 0; i < len; i++) {
        walk(w, formals[i].type);
        walk(w, formals[i].initial);
    }
}

void ast_children(const Ast *n, void (*visit)(void *data, Ast *child), void *data)
{
    Walk w = {visit, data};
    switch (n->kind) {
    case AST_ERROR: case AST_NAME: case AST_TEXT: case AST_BOOL: case AST_INT: case AST_REAL: case AST_HOLE:
    case AST_WHOLE: case AST_USE: break;
    case AST_LIST: case AST_RECORD: walk_args(&w, n->list.args, n->list.len); break;
    case AST_COMPREHENSION:
        walk(&w, n->comprehension.value);
        walk_iterators(&w, n->comprehension.iterators, n->comprehension.len);
        break;
    case AST_SELECT: walk(&w, n->select.of); break;
    case AST_CALL: case AST_BRACKETS: walk(&w, n->call.of); walk_args(&w, n->call.args, n->call.len); break;
    case AST_UNARY: walk(&w, n->unary.a); break;
    case AST_BINARY: walk(&w, n->binary.a); walk(&w, n->binary.b); break;
    case AST_RANGE: walk(&w, n->range.lo); walk(&w, n->range.hi); break;
    case AST_IF: walk(&w, n->branch.condition); walk(&w, n->branch.then); walk(&w, n->branch.otherwise); break;
    case AST_BLOCK:
        for (int i = 0; i < n->block.len; i++)
            walk(&w, n->block.at[i]);
        break;
    case AST_BIND: walk(&w, n->bind.pattern); walk(&w, n->bind.type); walk(&w, n->bind.value); break;
    case AST_FOR: walk_iterators(&w, n->loop.iterators, n->loop.len); walk(&w, n->loop.body); break;
    case AST_PARAM: case AST_STATE: walk(&w, n->own.type); walk(&w, n->own.per); walk(&w, n->own.initial); break;
    case AST_DEF:
        walk_formals(&w, n->def.settings, n->def.settings_len);
        walk_formals(&w, n->def.formals, n->def.formals_len);
        walk(&w, n->def.type);
        walk(&w, n->def.body);
        break;
    case AST_ALIAS: walk(&w, n->alias.value); break;
    case AST_EXPERIMENT:
        walk_formals(&w, n->experiment.formals, n->experiment.formals_len);
        walk(&w, n->experiment.body);
        break;
    case AST_TEST: walk(&w, n->test.body); break;
    }
}

/* ---- the tree as text: a node's line is "kind facts @line:column"; labels and roles stand in front ---- */
typedef struct Dump { Buf *out; const Source *source; uint32_t at; int line, column, indent; bool meaning; } Dump;

static void put_place(Dump *dump, uint32_t offset)
{
    uint32_t target = offset - dump->source->base;
    if (target < dump->at)
        dump->at = 0, dump->line = 1, dump->column = 1;
    for (; dump->at < target; dump->at++) {
        unsigned char byte = (unsigned char)dump->source->text[dump->at];
        if (byte == '\n')
            dump->line++, dump->column = 1;
        else if ((byte & 0xC0) != 0x80)
            dump->column++;
    }
    buf_printf(dump->out, "%d:%d", dump->line, dump->column);
}

static void put_quoted(Buf *out, const char *text)
{
    buf_text(out, "\"");
    for (; *text; text++)
        if (*text == '\n' || *text == '\t')
            buf_text(out, *text == '\n' ? "\\n" : "\\t");
        else if (*text == '"' || *text == '\\')
            buf_printf(out, "\\%c", *text);
        else
            buf_put(out, text, 1);
    buf_text(out, "\"");
}

static const char *doc_of(const Ast *n)
{
    switch (n->kind) {
    case AST_BIND: return n->bind.doc;
    case AST_PARAM: case AST_STATE: return n->own.doc;
    case AST_DEF: return n->def.doc;
    case AST_ALIAS: return n->alias.doc;
    case AST_EXPERIMENT: return n->experiment.doc;
    case AST_ERROR: case AST_NAME: case AST_TEXT: case AST_BOOL: case AST_INT: case AST_REAL: case AST_HOLE:
    case AST_WHOLE: case AST_LIST: case AST_COMPREHENSION: case AST_RECORD: case AST_SELECT: case AST_CALL:
    case AST_BRACKETS: case AST_UNARY: case AST_BINARY: case AST_RANGE: case AST_IF: case AST_BLOCK: case AST_FOR:
    case AST_USE: case AST_TEST: return NULL;
    }
    return NULL;
}

/* The end of a line: the place, or, where only the meaning counts, the doc comment. */
static void put_end(Dump *dump, uint32_t lo, const char *doc)
{
    if (!dump->meaning) {
        buf_text(dump->out, " @");
        put_place(dump, lo);
    } else if (doc) {
        buf_text(dump->out, " ");
        put_quoted(dump->out, doc);
    }
    buf_text(dump->out, "\n");
}

static void put_facts(Dump *dump, const Ast *n)
{
    static const char *const whats[] = {"cell", "net", "fn"};
    Buf *out = dump->out;
    char number[32];
    switch (n->kind) {
    case AST_NAME: buf_printf(out, " %s", n->name); break;
    case AST_TEXT: buf_text(out, " "); put_quoted(out, n->name); break;
    case AST_BOOL: buf_text(out, n->boolean ? " true" : " false"); break;
    case AST_INT: buf_printf(out, " %" PRId64, n->integer); break;
    case AST_REAL: text_of_f64(number, n->real); buf_printf(out, " %s", number); break;
    case AST_SELECT: buf_printf(out, " .%s", n->select.field); break;
    case AST_UNARY: buf_printf(out, " %s", ast_op_text(n->unary.op)); break;
    case AST_BINARY: buf_printf(out, " %s", ast_op_text(n->binary.op)); break;
    case AST_PARAM: case AST_STATE: buf_printf(out, " %s", n->own.name); break;
    case AST_USE:
        for (int i = 0; i < n->use.path_len; i++)
            buf_printf(out, "%s%s", i ? "." : " ", n->use.path[i]);
        for (int i = 0; i < n->use.names_len; i++)
            buf_printf(out, "%s%s", i ? ", " : ": ", n->use.names[i]);
        break;
    case AST_DEF: buf_printf(out, " %s %s", whats[n->def.what], n->def.name); break;
    case AST_ALIAS: buf_printf(out, " %s", n->alias.name); break;
    case AST_EXPERIMENT: buf_printf(out, " %s", n->experiment.name); break;
    case AST_TEST: buf_text(out, " "); put_quoted(out, n->test.name); break;
    case AST_ERROR: case AST_HOLE: case AST_WHOLE: case AST_LIST: case AST_COMPREHENSION: case AST_RECORD:
    case AST_CALL: case AST_BRACKETS: case AST_RANGE: case AST_IF: case AST_BLOCK: case AST_BIND: case AST_FOR: break;
    }
}

static void put_node(Dump *dump, const char *role, const Ast *n);

static void put_child(void *data, Ast *child)
{
    put_node(data, "", child);
}

static void put_args(Dump *dump, const AstArg *args, int len)
{
    for (int i = 0; i < len; i++) {
        Buf role = {0};
        if (args[i].quoted)
            put_quoted(&role, args[i].label);
        else if (args[i].label)
            buf_text(&role, args[i].label);
        buf_text(&role, args[i].label ? ": " : args[i].spread ? "..." : "");
        put_node(dump, role.at, args[i].value);
        buf_free(&role);
    }
}

static void put_formals(Dump *dump, const char *what, const AstFormal *formals, int len)
{
    for (int i = 0; i < len; i++) {
        buf_printf(dump->out, "%*s%s %s", 2 * dump->indent, "", what, formals[i].name);
        put_end(dump, formals[i].span.lo, formals[i].doc);
        dump->indent++;
        if (formals[i].type)
            put_node(dump, "type: ", formals[i].type);
        if (formals[i].initial)
            put_node(dump, "initial: ", formals[i].initial);
        dump->indent--;
    }
}

static void put_inside(Dump *dump, const Ast *n)
{
    if (n->kind == AST_CALL || n->kind == AST_BRACKETS) {
        put_node(dump, "", n->call.of);
        put_args(dump, n->call.args, n->call.len);
    } else if (n->kind == AST_LIST || n->kind == AST_RECORD) {
        put_args(dump, n->list.args, n->list.len);
    } else if (n->kind == AST_DEF) {
        put_formals(dump, "setting", n->def.settings, n->def.settings_len);
        put_formals(dump, "formal", n->def.formals, n->def.formals_len);
        if (n->def.type)
            put_node(dump, "type: ", n->def.type);
        put_node(dump, "", n->def.body);
    } else if (n->kind == AST_EXPERIMENT) {
        put_formals(dump, "formal", n->experiment.formals, n->experiment.formals_len);
        put_node(dump, "", n->experiment.body);
    } else if (n->kind == AST_PARAM || n->kind == AST_STATE) {
        if (n->own.type)
            put_node(dump, "type: ", n->own.type);
        if (n->own.per)
            put_node(dump, "per: ", n->own.per);
        put_node(dump, "initial: ", n->own.initial);
    } else {
        ast_children(n, put_child, dump);
    }
}

static void put_node(Dump *dump, const char *role, const Ast *n)
{
    buf_printf(dump->out, "%*s%s%s", 2 * dump->indent, "", role, ast_kind_name(n->kind));
    put_facts(dump, n);
    put_end(dump, n->span.lo, doc_of(n));
    dump->indent++;
    put_inside(dump, n);
    dump->indent--;
}

void ast_dump(const Module *module, Buf *out)
{
    Dump dump = {.out = out, .source = module->source, .line = 1, .column = 1};
    for (int i = 0; i < module->items.len; i++)
        put_node(&dump, "", module->items.at[i]);
}

void ast_dump_meaning(const Module *module, Buf *out)
{
    Dump dump = {.out = out, .source = module->source, .meaning = true};
    if (module->doc) {
        put_quoted(out, module->doc);
        buf_text(out, "\n");
    }
    for (int i = 0; i < module->items.len; i++)
        put_node(&dump, "", module->items.at[i]);
}

/* ---- tokens ---- */
void tokens_dump(const Source *source, const ParseContext *context, Buf *out)
{
    Arena *scratch = arena_new();
    Lexer lexer;
    lexer_init(&lexer, context, scratch, source);
    lexer_run(&lexer);
    filter_run(&lexer);
    Dump dump = {.out = out, .source = source, .line = 1, .column = 1};
    for (int i = 0; i < lexer.tokens.len; i++) {
        const Token *token = &lexer.tokens.at[i];
        put_place(&dump, token->span.lo);
        const char *spelling = token_spelling(token->kind);
        buf_printf(out, " %s", spelling ? spelling : token_describe(token->kind));
        if (!spelling && token->span.hi > token->span.lo)
            buf_printf(out, " %.*s", (int)(token->span.hi - token->span.lo),
                       source->text + (token->span.lo - source->base));
        buf_text(out, token->inserted ? " (inserted)\n" : "\n");
    }
    arena_free(scratch);
}
