/* ast.h -- the tree of a module.  Const after parsing; facts live in side tables indexed by node id.
 *
 * Every node carries its span and a dense id (per session).  Lists are arrays in the module's arena.
 * Kinds follow the grammar in lang/reference.md one to one. */
#ifndef NIN_AST_H
#define NIN_AST_H

#include "base/diag.h"

typedef struct Ast Ast;
typedef struct AstList { Ast **at; int len; } AstList;

typedef enum AstKind {
#define AST(kind, name) AST_##kind,
#include "syntax/ast.def"
#undef AST
} AstKind;

typedef enum AstOp {                       /* of AST_UNARY and AST_BINARY */
    OP_OR, OP_AND, OP_NOT, OP_EQ, OP_NE, OP_LT, OP_LE, OP_GT, OP_GE,
    OP_ADD, OP_SUB, OP_MUL, OP_DIV, OP_AT, OP_NEG, OP_POW
} AstOp;

typedef enum AstDefKind { DEF_CELL, DEF_NET, DEF_FN } AstDefKind;

/* An argument, element or record field: label NULL when positional; spread for "...x"; quoted: a string label. */
typedef struct AstArg { Name label; Span label_span; bool spread, quoted; Ast *value; } AstArg;
typedef struct AstFormal { Name name; Span span; Ast *type, *initial; const char *doc; } AstFormal;
typedef struct AstIterator { Ast *pattern, *in; } AstIterator;     /* pattern: AST_NAME or AST_LIST of patterns */

enum { AST_DEPTH = 1000 };                 /* no tree is deeper (E0210): recursion over trees is safe */

struct Ast {
    AstKind kind;
    uint32_t id;
    Span span;                                                                /* with its parentheses, if any */
    uint32_t depth;                                                           /* levels with it, <= AST_DEPTH */
    union {
        Name name;                                                            /* NAME, TEXT (unescaped) */
        bool boolean;                                                         /* BOOL */
        int64_t integer;                                                      /* INT */
        double real;                                                          /* REAL */
        struct { AstArg *args; int len; } list;                               /* LIST, RECORD */
        struct { Ast *value; AstIterator *iterators; int len; } comprehension;/* COMPREHENSION */
        struct { Ast *of; Name field; Span field_span; } select;              /* SELECT: of.field */
        struct { Ast *of; AstArg *args; int len; Span open; } call;           /* CALL f(...), BRACKETS f[...] */
        struct { AstOp op; Ast *a; } unary;
        struct { AstOp op; Ast *a, *b; Span op_span; } binary;
        struct { Ast *lo, *hi; } range;                                       /* RANGE lo..hi */
        struct { Ast *condition, *then, *otherwise; } branch;                 /* IF; blocks; else NULL, BLOCK or IF */
        AstList block;                                                        /* BLOCK: statements */
        struct { Ast *pattern, *type, *value; const char *doc; } bind;        /* BIND; type may be NULL */
        struct { AstIterator *iterators; int len; Ast *body; } loop;          /* FOR */
        struct { Name name; Span name_span; Ast *type, *per, *initial; const char *doc; } own; /* PARAM, STATE */
        struct { Name *path; int path_len; Name *names; Span *name_spans; int names_len; } use;
        struct { AstDefKind what; Name name; Span name_span;                  /* DEF: cell, net, fn */
                 AstFormal *settings; int settings_len; bool has_settings;
                 AstFormal *formals; int formals_len;
                 Ast *type, *body; const char *doc; } def;                    /* body: BLOCK or expression */
        struct { Name name; Span name_span; Ast *value; const char *doc; } alias;        /* cell NAME = expr */
        struct { Name name; Span name_span;
                 AstFormal *formals; int formals_len; Ast *body; const char *doc; } experiment;
        struct { Name name; Ast *body; } test;
    };
};

/* A parsed file.  Always a tree; `complete` is false if the text ended where more must come (for the prompt). */
typedef struct Comment { Span span; bool own_line, doc; } Comment;
typedef struct Module {
    const Source *source;
    AstList items;
    const char *doc;
    Comment *comments; int comments_len;                                       /* for the formatter */
    bool complete;
} Module;

/* Parses one source.  Errors are added to diags; recovery is at statement level.  At the prompt any statement may
 * stand at the top. */
typedef struct ParseContext { Arena *arena; Intern *names; Diags *diags; uint32_t *next_id; bool prompt; } ParseContext;
const Module *parse_module(const ParseContext *context, const Source *source);

const char *ast_kind_name(AstKind kind);
const char *ast_op_text(AstOp op);
/* One line per node, indented; the text of --stage=ast. */
void ast_dump(const Module *module, Buf *out);
/* The same without places, with doc comments: equal texts are equal programs. */
void ast_dump_meaning(const Module *module, Buf *out);
/* One line per token: place, kind, text; the text of --stage=tokens. */
void tokens_dump(const Source *source, const ParseContext *context, Buf *out);
/* Calls visit for each direct child, in source order. */
void ast_children(const Ast *node, void (*visit)(void *data, Ast *child), void *data);

#endif
