/* names_reports.c -- what the text of a file tells about its experiments and cells, beyond the meaning of names.
 *
 * W0807  rows that no table or figure reads; reports of nothing
 * W0812  the best of a sweep by a measure on the test set: max(accuracy) of a column that was recorded from one
 * W0505  a cell that nothing in a file with experiments uses
 * Notes of the text only: no value is known, no scope is looked into. */
#include "sema/names.h"

typedef struct Reports {
    Diags *diags; int records, reports; const Ast *record; Map test_columns; bool in_report;
} Reports;

static const char *called(const Ast *ast)
{
    return ast->kind == AST_CALL && ast->call.of->kind == AST_NAME ? ast->call.of->name : "";
}

static bool is_report(const char *name) { return !strcmp(name, "table") || !strcmp(name, "figure"); }

/* ---- W0812 ---- */

/* What a recorded value is: does it come from the test set (run.test_accuracy, accuracy(model, on: mnist.test)), and is
 * it one of which more is better, or less?  A measure of neither kind may be either. */
typedef struct Measured { bool test, up, down; } Measured;

static void measured_word(Measured *m, const char *word)
{
    m->up |= strstr(word, "accuracy") != NULL;
    m->down |= strstr(word, "loss") || strstr(word, "error") || strstr(word, "disagreement");
}

static void find_test(void *data, Ast *ast)
{
    Measured *m = data;
    if (!ast) return;
    if (ast->kind == AST_SELECT) {
        m->test |= !strncmp(ast->select.field, "test_", 5) || !strcmp(ast->select.field, "test");
        measured_word(m, ast->select.field);
    }
    measured_word(m, called(ast));
    ast_children(ast, find_test, m);
}

static void record_columns(Reports *r, const Ast *record)
{
    for (int i = 0; i < record->call.len; i++) {
        Measured *m = arena_new_of(r->diags->arena, Measured);
        find_test(m, record->call.args[i].value);
        if (m->test && record->call.args[i].label) map_put(&r->test_columns, record->call.args[i].label, m);
    }
}

/* The worst is no choice of the best. */
static bool is_best(const char *name, const Measured *m)
{
    if (!strcmp(name, "min")) return !m->up || m->down;
    return (!strcmp(name, "max") || !strcmp(name, "argmax")) && (!m->down || m->up);
}

static void check_choice(Reports *r, const Ast *call)
{
    if (call->kind != AST_CALL || call->call.len != 1 || call->call.args[0].value->kind != AST_NAME) return;
    const Ast *column = call->call.args[0].value;
    const Measured *m = map_get(&r->test_columns, column->name);
    if (!m || !is_best(called(call), m)) return;
    diag_hint(diag_add(r->diags, D_W0812, call->span,
                       "this chooses the best by the test set, of which `%s` is a measure", column->name),
              "choose by a measure on the validation set, such as valid_accuracy");
}

/* ---- one experiment ---- */

static void collect(void *data, Ast *ast)
{
    Reports *r = data;
    if (!ast) return;
    if (!strcmp(called(ast), "record")) {
        if (!r->records++) r->record = ast;
        record_columns(r, ast);
    }
    r->reports += is_report(called(ast));
    ast_children(ast, collect, r);
}

static void check_formulas(void *data, Ast *ast)
{
    Reports *r = data;
    if (!ast) return;
    bool outer = r->in_report;
    if (r->in_report) check_choice(r, ast);
    r->in_report |= is_report(called(ast));
    ast_children(ast, check_formulas, r);
    r->in_report = outer;
}

static void check_experiment(Diags *diags, Arena *arena, const Ast *ast)
{
    Reports r = { .diags = diags };
    map_init(&r.test_columns, arena);
    collect(&r, ast->experiment.body);
    check_formulas(&r, ast->experiment.body);
    if (r.records && !r.reports)
        diag_hint(diag_add(diags, D_W0807, r.record->span, "what `%s` records is never reported", ast->experiment.name),
                  "a table(...) or figure(...) after the loop");
    else if (!r.records && r.reports)
        diag_add(diags, D_W0807, ast->experiment.name_span, "`%s` records nothing", ast->experiment.name);
}

/* ---- W0505 ---- */

typedef struct Mentions { Name name; bool found; } Mentions;

static void find_mention(void *data, Ast *ast)
{
    Mentions *m = data;
    if (!ast || m->found) return;
    if (ast->kind == AST_NAME && ast->name == m->name) m->found = true;
    ast_children(ast, find_mention, m);
}

static void check_cell(Diags *diags, const Module *module, const Ast *cell, Name name, Span span)
{
    Mentions m = { name, name[0] == '_' };
    for (int i = 0; i < module->items.len; i++)
        if (module->items.at[i] != cell) find_mention(&m, module->items.at[i]);
    if (!m.found) diag_add(diags, D_W0505, span, "cell `%s` is used nowhere in this file", name);
}

void names_reports(Diags *diags, Arena *arena, const Module *module)
{
    bool experiments = false;
    for (int i = 0; i < module->items.len; i++) {
        const Ast *ast = module->items.at[i];
        if (ast->kind != AST_EXPERIMENT) continue;
        experiments = true;
        check_experiment(diags, arena, ast);
    }
    for (int i = 0; experiments && i < module->items.len; i++) {
        const Ast *ast = module->items.at[i];
        if (ast->kind == AST_DEF && ast->def.what == DEF_CELL)
            check_cell(diags, module, ast, ast->def.name, ast->def.name_span);
        if (ast->kind == AST_ALIAS) check_cell(diags, module, ast, ast->alias.name, ast->alias.name_span);
    }
}
