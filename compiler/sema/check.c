/* check.c -- everything that can be known without running: each definition, binding, experiment and test once.
 *
 * A net whose brackets are all defaulted and whose input has no open dimension is traced in both modes, and every
 * parameter is followed to the result: W0502 where there is no way, W0503 where the derivative is zero on all of them,
 * E0501 where an op on the way has none.  Definitions with required settings are checked where they are made ready. */
#include "sema/internal.h"

#include "pass/pass.h"

/* ---- nets and cells ---- */

static uint8_t *reached_from(Eval *e, const Graph *g, Val value) {
    uint8_t *reached = arena_alloc(e->arena, (size_t)g->node.len);
    reached[value] = 1;
    for (Val v = value; v > 0; v--)
        for (int i = 0; reached[v] && i < graph_node(g, v)->nin; i++) reached[graph_in(g, v, i)] = 1;
    return reached;
}

/* One number from a result of any shape. */
static Val sum_all(Graph *g, Val value) {
    const Node *node = graph_node(g, value);
    return node->shape.rank ? graph_reduce(g, G_SUM, value, (1u << node->shape.rank) - 1) : value;
}

static void check_influence(Eval *e, Trace *t, Val result) {
    int n = t->params.len;
    Val *wrt = arena_array(e->arena, Val, n), *gradient = arena_array(e->arena, Val, n);
    DType dtype = (DType)graph_node(t->graph, result)->dtype;
    if (dtype != DT_F32 && dtype != DT_F64) return;
    uint8_t *reached = reached_from(e, t->graph, result);
    int learned = 0, errors = e->diags->errors;
    for (int i = 0; i < n; i++)
        if (!t->params.at[i].state) wrt[learned++] = t->params.at[i].node;
    if (!learned || !pass_grad(t->graph, sum_all(t->graph, result), 0, wrt, learned, gradient, e->diags)) return;
    for (int i = 0, k = 0; i < n && e->diags->errors == errors; i++) {
        const ParamInfo *p = &t->params.at[i];
        if (p->state || gradient[k++]) continue;
        if (!reached[p->node]) eval_diag(e, D_W0502, p->span, "%s never influences the result", p->path);
        else eval_diag(e, D_W0503, p->span, "the derivative of the result with respect to %s is 0 everywhere", p->path);
    }
}

static void check_net(Eval *e, const Callable *c, const Ast *ast) {
    Value net = {.kind = V_CALLABLE, .callable = (Callable *)c}, out;
    if (!net_is_closed(e, c) || !net_trace(e, &net, DT_F32, false, NULL, 0, ast->def.name_span, &out)) return;
    Trace *training = net_trace(e, &net, DT_F32, true, NULL, 0, ast->def.name_span, &out);
    e->site = ast->def.name_span;                       /* where parameters of library layers are told of */
    if (training && out.kind == V_NODE) check_influence(e, training, out.node);
    e->site = (Span){0};
}

static void check_cell(Eval *e, const Callable *c, const Ast *ast) {
    Value cell = {.kind = V_CALLABLE, .callable = (Callable *)c};
    CellGraph graph;
    for (int i = 0; i < ast->def.settings_len; i++)
        if (!ast->def.settings[i].initial) return;
    cell_graph(e, &cell, DT_F32, ast->def.name_span, &graph);
}

/* ---- items ---- */

static void check_experiment(Eval *e, LoadedModule *module, const Ast *ast) {
    Value out;
    if (e->session->lab.check) {
        e->session->lab.check(e, module, ast);
        return;
    }
    Scope *scope = eval_experiment_scope(e, module->scope, ast, NULL, NULL, 0);
    eval_block(e, ast->kind == AST_TEST ? ast->test.body : ast->experiment.body, scope, &out);
}

void check_item(Eval *e, LoadedModule *module, const Ast *ast) {
    Value value;
    bool found;
    if (ast->kind == AST_EXPERIMENT || ast->kind == AST_TEST) {
        check_experiment(e, module, ast);
        return;
    }
    Name name = ast->kind == AST_DEF ? ast->def.name : ast->kind == AST_ALIAS ? ast->alias.name : NULL;
    if (ast->kind == AST_BIND) name = pattern_name(ast->bind.pattern);
    if (!name || !scope_find(e, module->scope, name, &value, &found) || !found) return;
    if (ast->kind != AST_DEF || value.kind != V_CALLABLE || value.callable->def->ast != ast) return;
    if (ast->def.what == DEF_NET) check_net(e, value.callable, ast);
    if (ast->def.what == DEF_CELL) check_cell(e, value.callable, ast);
}

/* The first name of a pattern: evaluating one evaluates all. */
Name pattern_name(const Ast *pattern) {
    if (pattern->kind == AST_NAME) return pattern->name;
    for (int i = 0; pattern->kind == AST_LIST && i < pattern->list.len; i++) {
        Name name = pattern_name(pattern->list.args[i].value);
        if (name) return name;
    }
    return NULL;
}

/* Of a program that does not parse, or whose definitions use themselves, evaluation would tell consequences only. */
static bool worth_evaluating(const Session *session) {
    for (int i = 0; i < session->diags.list.len; i++) {
        DiagCode code = session->diags.list.at[i]->code;
        if (code < D_E0301 || code == D_E0306) return false;
    }
    return true;
}

bool session_check(Session *session, LoadedModule *module) {
    if (!worth_evaluating(session)) return false;
    session->checked = module;
    for (int i = 0; i < module->module->items.len; i++) {
        Eval e;
        Arena *arena = arena_new();
        eval_init(&e, session, arena, &session->diags, EVAL_CHECK);
        check_item(&e, module, module->module->items.at[i]);
        arena_free(arena);
    }
    session->checked = NULL;
    return session->diags.errors == 0;
}
