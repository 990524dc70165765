/* unused.c -- E0211: an expression statement must be the value of its block, or a call.
 *
 * A block has a value when it is the body of a cell, net or fn, or a branch of an `if` that is used; the bodies of
 * loops, experiments and tests have none.  Next to a statement that could not be read nothing is reported: its
 * mistake is known already. */
#include "syntax/parse.h"

typedef struct Check { const ParseContext *cx; } Check;

static void check_block(Check *check, const Ast *block, bool used);

/* An `if` as a statement: its branches are used as it is. */
static void check_branches(Check *check, const Ast *node, bool used)
{
    check_block(check, node->branch.then, used);
    const Ast *otherwise = node->branch.otherwise;
    if (otherwise && otherwise->kind == AST_IF)
        check_branches(check, otherwise, used);
    else if (otherwise)
        check_block(check, otherwise, used);
}

/* Finds the blocks inside an expression: all have values. */
static void check_expression(void *data, Ast *node)
{
    Check *check = data;
    if (node->kind == AST_BLOCK)
        check_block(check, node, true);
    else
        ast_children(node, check_expression, data);
}

static void report(Check *check, const Ast *node)
{
    Diag *diag = diag_add(check->cx->diags, D_E0211, node->span, "this value goes nowhere");
    if (node->kind == AST_UNARY && node->unary.op == OP_NEG)
        diag_hint(diag, "to continue the line above, end that line with '-'");
    else if (node->kind == AST_BINARY && node->binary.op == OP_EQ)
        diag_hint(diag, "'==' compares; '=' binds");
    else
        diag_hint(diag, "bind it to a name, or continue the line above");
}

static bool is_statement(const Ast *node)
{
    return node->kind == AST_BIND || node->kind == AST_FOR || node->kind == AST_PARAM || node->kind == AST_STATE ||
           node->kind == AST_ERROR;
}

static void check_statement(Check *check, const Ast *node, bool used, bool beside_error)
{
    if (node->kind == AST_IF) {
        check_expression(check, node->branch.condition);
        check_branches(check, node, used);
        return;
    }
    if (node->kind == AST_FOR) {
        for (int i = 0; i < node->loop.len; i++)
            check_expression(check, node->loop.iterators[i].in);
        check_block(check, node->loop.body, false);
        return;
    }
    if (!is_statement(node) && !used && !beside_error && node->kind != AST_CALL)
        report(check, node);
    ast_children(node, check_expression, check);
}

static void check_block(Check *check, const Ast *block, bool used)
{
    const AstList *list = &block->block;
    for (int i = 0; i < list->len; i++) {
        bool last = i == list->len - 1;
        bool beside_error = (!last && list->at[i + 1]->kind == AST_ERROR) || (i && list->at[i - 1]->kind == AST_ERROR);
        check_statement(check, list->at[i], used && last, beside_error);
    }
}

void unused_check(const ParseContext *context, const AstList *items)
{
    Check check = {context};
    for (int i = 0; i < items->len; i++) {
        const Ast *item = items->at[i];
        if (item->kind == AST_EXPERIMENT || item->kind == AST_TEST)
            check_block(&check, item->kind == AST_TEST ? item->test.body : item->experiment.body, false);
        else if (item->kind == AST_FOR)
            check_block(&check, item->loop.body, false);
        else
            check_expression(&check, items->at[i]);
    }
}
