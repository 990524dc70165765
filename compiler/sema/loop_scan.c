/* loop_scan.c -- a loop of many turns as one SCAN (lang/semantics.md, Loops).
 *
 * The body is evaluated once, as an attempt: its number is a HOLE, a tensor indexed with it gives a HOLE for the
 * turn's part, what the body changes outside starts as HOLEs, and a list that it appends to is left out.  Whatever
 * needs more than that fails the attempt (Eval.scan->failed), quietly: then nothing has changed but that layers of
 * before the loop may have their place, as they would after the first turn, and the loop is written out.  Types of
 * carries are found by trying again: a number may become a tensor, and what is the same for each example may become
 * one of each. */
#include "graph/scan.h"
#include "sema/internal.h"

enum { SCAN_FROM = 16, TRIES = 4, NAMES = 64 };

typedef struct Carry { Local *local; Value start; NodeType type; Val hole, next; bool number; } Carry;
typedef struct Append { Local *local; Value start; const Ast *statement, *item; bool front; Val value; } Append;
typedef struct Called { Instance *instance; Val x[3]; int n; } Called;
typedef struct Part { Val hole, from, of; int axis; int64_t first; bool back; } Part;

struct ScanTry {
    bool failed;
    const Instance *at;
    int64_t serial;                            /* instances from here on are made by the body */
    Val turn;                                  /* the hole for the loop's number; 0: it goes over a tensor */
    int64_t lo, step, turns;
    Val over;                                  /* the tensor */
    Carry carry[NAMES];
    Append append[NAMES];
    int carries, appends;
    VEC(Part) part;
    VEC(Called) called;                        /* calls of cells that count them */
};

bool scan_failed(const Eval *e) { return e->scan && e->scan->failed; }

bool scan_refuse(Eval *e) {
    if (e->scan) e->scan->failed = true;
    return e->scan != NULL;
}

bool scan_use(Eval *e, Instance *instance, const Val *nodes, int n) {
    if (!e->scan) return false;
    Called called = {.instance = instance, .n = n};
    if (e->trace->watch || n > COUNT(called.x)) return scan_refuse(e);
    for (int j = 0; j < n; j++) {
        if (graph_node(e->trace->graph, nodes[j])->shape.rank == MAX_RANK) return scan_refuse(e);
        called.x[j] = nodes[j];
    }
    vec_push(e->arena, &e->scan->called, called);
    return true;
}

bool scan_makes(const Eval *e, const Instance *instance) {
    return e->scan && instance->parent == e->scan->at && instance->serial >= e->scan->serial;
}

/* ---- which loops ---- */

static bool whole_steps(const ValueList *list, ScanTry *s) {
    for (int i = 0; i < list->len; i++) {
        if (list->at[i].kind != V_INT || list->at[i].node) return false;
        if (i == 1) s->step = list->at[1].integer - list->at[0].integer;
        if (i > 0 && list->at[i].integer - list->at[i - 1].integer != s->step) return false;
    }
    s->turns = list->len;
    if (list->len) s->lo = list->at[0].integer;
    return s->step == 1 || s->step == -1;
}

static bool takes_turns(Eval *e, const Value *over, ScanTry *s) {
    s->step = 1;
    if (over->kind == V_RANGE && over->range->whole) {
        s->lo = (int64_t)over->range->lo;
        s->turns = (int64_t)over->range->hi - s->lo + 1;
    } else if (over->kind == V_LIST) {
        if (!whole_steps(over->list, s)) return false;
    } else if (over->kind == V_NODE && graph_node(e->trace->graph, over->node)->shape.rank) {
        s->over = over->node;
        s->turns = graph_node(e->trace->graph, over->node)->shape.dim[0];
    } else {
        return false;
    }
    return s->turns >= SCAN_FROM && s->turns <= 1000000 && s->lo > -1000000 && s->lo < 1000000;
}

/* ---- what the body changes ---- */

/* ys = [...ys, y] or [y, ...ys]: the item, or NULL. */
static const Ast *appended(const Ast *bind, bool *front) {
    const Ast *list = bind->bind.value;
    if (bind->kind != AST_BIND || bind->bind.pattern->kind != AST_NAME || list->kind != AST_LIST || list->list.len != 2)
        return NULL;
    for (int k = 0; k < 2; k++) {
        const AstArg *rest = &list->list.args[k], *item = &list->list.args[1 - k];
        if (!rest->spread || item->spread || rest->value->kind != AST_NAME) continue;
        *front = k == 1;
        return rest->value->name == bind->bind.pattern->name ? item->value : NULL;
    }
    return NULL;
}

static bool add_carry(ScanTry *s, Local *local) {
    for (int k = 0; k < s->carries; k++)
        if (s->carry[k].local == local) return true;
    if (s->carries == NAMES) return false;
    s->carry[s->carries++] = (Carry){.local = local, .start = local->value};
    return true;
}

static bool add_pattern(ScanTry *s, const Ast *pattern, const Scope *scope) {
    bool ok = true;
    if (pattern->kind == AST_NAME) {
        Local *local = scope_local(scope, pattern->name);
        return !local || add_carry(s, local);
    }
    for (int i = 0; pattern->kind == AST_LIST && i < pattern->list.len; i++)
        ok = add_pattern(s, pattern->list.args[i].value, scope) && ok;
    return ok;
}

typedef struct Walk { ScanTry *s; const Scope *scope; bool ok; } Walk;

static void find_bound(void *data, Ast *ast) {
    Walk *w = data;
    if (ast->kind == AST_BIND) w->ok = add_pattern(w->s, ast->bind.pattern, w->scope) && w->ok;
    ast_children(ast, find_bound, w);
}

static bool find_changes(ScanTry *s, const Ast *body, const Scope *scope) {
    Walk walk = {s, scope, true};
    for (int i = 0; i < body->block.len; i++) {
        const Ast *statement = body->block.at[i];
        bool front = false;
        const Ast *item = statement->kind == AST_BIND ? appended(statement, &front) : NULL;
        Local *local = item ? scope_local(scope, statement->bind.pattern->name) : NULL;
        if (local && local->value.kind == V_LIST) {
            if (s->appends == NAMES) return false;
            s->append[s->appends++] = (Append){local, local->value, statement, item, front, 0};
        } else {
            find_bound(&walk, body->block.at[i]);
        }
    }
    for (int i = 0; i < s->appends; i++) {
        for (int k = 0; k < s->carries; k++)
            if (s->carry[k].local == s->append[i].local) return false;
        for (int k = 0; k < i; k++)
            if (s->append[k].local == s->append[i].local) return false;
    }
    return walk.ok;
}

static bool start_carries(Eval *e, ScanTry *s) {
    for (int k = 0; k < s->carries; k++) {
        Carry *c = &s->carry[k];
        Val node;
        c->number = value_is_number(&c->start);
        if (c->start.kind == V_NODE) {
            c->type = graph_type(e->trace->graph, c->start.node);
            continue;
        }
        if ((c->number && c->start.node) || c->start.kind == V_BOOL) return false;
        if (!c->number && !value_is_known_tensor(&c->start)) return false;
        if (!value_as_node(e, &c->start, c->local->span, &node)) return false;
        c->type = graph_type(e->trace->graph, node);
    }
    return true;
}

/* ---- indices ---- */

typedef struct Line { int64_t factor, add; } Line;

/* factor * t + add, of an i32 node; false: something else. */
static bool line_of(const Graph *g, Val v, Val turn, Line *out) {
    const Node *node = graph_node(g, v);
    Line a, b;
    if (v == turn) return *out = (Line){1, 0}, true;
    if (node->op == G_CONST && node->dtype == DT_I32) return *out = (Line){0, graph_attr(g, v)->i64}, true;
    if (node->op == G_NEG && line_of(g, graph_in(g, v, 0), turn, &a)) return *out = (Line){-a.factor, -a.add}, true;
    if (node->op != G_ADD && node->op != G_SUB) return false;
    if (!line_of(g, graph_in(g, v, 0), turn, &a) || !line_of(g, graph_in(g, v, 1), turn, &b)) return false;
    int64_t sign = node->op == G_ADD ? 1 : -1;
    *out = (Line){a.factor + sign * b.factor, a.add + sign * b.add};
    return true;
}

static Val part_hole(Eval *e, Val v, int axis, int64_t first, bool back) {
    ScanTry *s = e->scan;
    Graph *g = e->trace->graph;
    for (int i = 0; i < s->part.len; i++) {
        const Part *p = &s->part.at[i];
        if (p->from == v && p->axis == axis && p->first == first && p->back == back) return p->hole;
    }
    Part part = {.from = v, .axis = axis, .first = first, .back = back};
    Shape shape = graph_node(g, v)->shape;
    int order[MAX_RANK] = {axis};
    for (int i = 0, k = 1; i < shape.rank; i++)
        if (i != axis) order[k++] = i;
    part.of = graph_transpose(g, v, order);
    Shape whole = graph_node(g, part.of)->shape, cut = whole;
    int64_t starts[MAX_RANK] = {back ? first - s->turns + 1 : first};
    cut.dim[0] = s->turns;
    if (!shape_equal(&whole, &cut)) part.of = graph_slice(g, part.of, starts, cut);
    part.hole = scan_hole(g, scan_part(g, part.of));
    vec_push(e->arena, &s->part, part);
    return part.hole;
}

bool scan_index(Eval *e, const Value *of, const Value *args, int n, Span span, Value *out, bool *done) {
    ScanTry *s = e->scan;
    Graph *g = e->trace ? e->trace->graph : NULL;
    int axis = -1, m = 0;
    Val v;
    Line line;
    *done = false;
    for (int i = 0; s && g && i < n; i++) {
        if (args[i].kind != V_NODE) continue;
        if (axis >= 0) return true;
        axis = i;
    }
    if (axis < 0 || e->trace->outer || !s->turn || !line_of(g, args[axis].node, s->turn, &line)) return true;
    if (of->kind == V_NODE) v = of->node;
    else if (!value_as_node(e, of, span, &v)) return false;
    int64_t step = line.factor * s->step, first = line.factor * s->lo + line.add - 1;
    int64_t last = first + step * (s->turns - 1);
    const Shape *shape = &graph_node(g, v)->shape;
    if ((step != 1 && step != -1) || axis >= shape->rank) return true;
    if (first < 0 || last < 0 || first >= shape->dim[axis] || last >= shape->dim[axis]) return true;
    *done = true;
    *out = trace_value(part_hole(e, v, axis, first, step < 0));
    Value rest[MAX_RANK];
    bool whole = true;
    for (int i = 0; i < n && i < MAX_RANK; i++) {
        if (i == axis) continue;
        whole = whole && args[i].kind == V_NONE;
        rest[m++] = args[i];
    }
    Value part = *out;
    return whole || eval_index(e, &part, rest, m, span, out);
}

/* ---- the attempt ---- */

static bool run_body(Eval *e, const Ast *loop, Scope *scope) {
    ScanTry *s = e->scan;
    const Ast *body = loop->loop.body;
    Graph *g = e->trace->graph;
    Scope *turn = scope_new(e->arena, scope, SCOPE_BLOCK);
    s->called.len = 0;
    Value number = trace_value(s->over ? part_hole(e, s->over, 0, 0, false) : s->turn);
    if (!eval_pattern(e, loop->loop.iterators[0].pattern, &number, turn)) return false;
    for (int k = 0; k < s->carries; k++) {
        s->carry[k].hole = scan_hole(g, s->carry[k].type);
        s->carry[k].local->value = trace_value(s->carry[k].hole);
    }
    for (int i = 0; i < s->appends; i++) s->append[i].local->value = value_error();
    for (int i = 0; i < body->block.len && !s->failed; i++) {
        Append *append = NULL;
        Value value;
        for (int k = 0; k < s->appends; k++)
            if (body->block.at[i] == s->append[k].statement) append = &s->append[k];
        if (!append) {
            AstList one = {&body->block.at[i], 1};
            Ast alone = {.kind = AST_BLOCK, .span = body->span};
            alone.block = one;
            if (!eval_block(e, &alone, turn, &value)) return false;
        } else if (!eval_expr(e, append->item, turn, &value) || value.kind != V_NODE) {
            return false;
        } else {
            append->value = value.node;
        }
    }
    return !s->failed;
}

/* What a carry is after the turn; *again: with another type than it had before. */
static bool take_next(Eval *e, Carry *c, bool *again) {
    Graph *g = e->trace->graph;
    const Value *value = &c->local->value;
    if (value->kind == V_NODE) c->next = value->node;
    else if (!value_is_known_tensor(value) || !value_as_node(e, value, c->local->span, &c->next)) return false;
    NodeType now = graph_type(g, c->next);
    if (now.dtype != c->type.dtype) return false;
    if (!shape_equal(&now.shape, &c->type.shape)) {
        if (c->type.shape.rank) return false;
        c->type.shape = now.shape;
        *again = true;
    }
    if (now.batched && !c->type.batched) *again = c->type.batched = true;
    if (*again || now.batched == c->type.batched) return true;
    c->next = graph_add(g, G_BROADCAST, &c->next, 1, NULL, &c->type, c->local->span);
    return true;
}

static bool evaluate(Eval *e, const Ast *loop, Scope *scope) {
    ScanTry *s = e->scan;
    for (int try = 0; try < TRIES; try++) {
        bool again = false;
        if (!run_body(e, loop, scope)) return false;
        for (int k = 0; k < s->carries; k++)
            if (!take_next(e, &s->carry[k], &again)) return false;
        if (!again) return true;
    }
    return false;
}

/* The loop's number is an index and nothing else; sums over the batch and random numbers do not depend on the turn; a
 * number that is carried becomes one that is computed. */
static bool is_sound(Eval *e) {
    ScanTry *s = e->scan;
    const Graph *g = e->trace->graph;
    bool *live = arena_array(e->arena, bool, g->node.len), *real = arena_array(e->arena, bool, g->node.len);
    bool *turns = arena_array(e->arena, bool, g->node.len);
    if (s->turn) turns[s->turn] = true;
    for (int k = 0; k < s->carries; k++) turns[s->carry[k].hole] = true;
    for (int i = 0; i < s->part.len; i++) turns[s->part.at[i].hole] = true;
    for (Val v = 1; v < (Val)g->node.len; v++) {
        Op op = (Op)graph_node(g, v)->op;
        for (int i = 0; i < graph_node(g, v)->nin && !turns[v]; i++) turns[v] = turns[graph_in(g, v, i)];
        real[v] = op == G_INPUT || op == G_HOLE;
        for (int k = 0; k < s->carries; k++) real[v] = real[v] && !(s->carry[k].number && s->carry[k].hole == v);
        for (int i = 0; i < graph_node(g, v)->nin && !real[v]; i++) real[v] = real[graph_in(g, v, i)];
    }
    for (int k = 0; k < s->carries; k++) {
        live[s->carry[k].next] = true;
        if (s->carry[k].number && !real[s->carry[k].next]) return false;
    }
    for (int i = 0; i < s->appends; i++) live[s->append[i].value] = true;
    for (Val v = (Val)g->node.len - 1; v > 0; v--) {
        if (!live[v] || !turns[v]) continue;
        Op op = (Op)graph_node(g, v)->op;
        if (v == s->turn || op_class(op) == CLASS_BATCH || op == G_NOISE || op == G_NORMAL) return false;
        for (int i = 0; i < graph_node(g, v)->nin; i++) live[graph_in(g, v, i)] = true;
    }
    return s->carries + s->appends > 0;
}

static Val make(Eval *e, Span span) {
    ScanTry *s = e->scan;
    Graph *g = e->trace->graph;
    ScanDraft d = {.turns = s->turns};
    graph_at(g, span);
    for (int k = 0; k < s->carries; k++) {
        const Carry *c = &s->carry[k];
        ScanCarry carry = {c->hole, 0, c->next};
        if (c->start.kind == V_NODE) carry.start = c->start.node;
        else if (!value_as_node(e, &c->start, span, &carry.start)) return 0;
        NodeType type = graph_type(g, carry.start);
        if (type.batched != c->type.batched || !shape_equal(&type.shape, &c->type.shape))
            carry.start = graph_add(g, G_BROADCAST, &carry.start, 1, NULL, &c->type, span);
        vec_push(e->arena, &d.carry, carry);
    }
    for (int i = 0; i < s->part.len; i++)
        vec_push(e->arena, &d.slice, ((ScanSlice){s->part.at[i].hole, s->part.at[i].of, s->part.at[i].back}));
    for (int i = 0; i < s->appends; i++)
        vec_push(e->arena, &d.stack, ((ScanStack){s->append[i].value, s->append[i].front}));
    for (int k = 0; k < s->carries; k++) vec_push(e->arena, &d.stack, ((ScanStack){s->carry[k].hole, false}));
    for (int i = 0; i < s->called.len; i++)
        for (int j = 0; j < s->called.at[i].n; j++)
            vec_push(e->arena, &d.stack, ((ScanStack){s->called.at[i].x[j], false}));
    return scan_make(g, &d);
}

/* ---- results ---- */

static Value row_at(Graph *g, Val stack, int64_t at) {
    int64_t starts[MAX_RANK] = {at};
    Shape shape = graph_node(g, stack)->shape;
    shape.dim[0] = 1;
    return trace_value(graph_reshape(g, graph_slice(g, stack, starts, shape), scan_part(g, stack).shape));
}

static int64_t row_of(const Graph *g, Val v, Val *stack) {
    if (graph_node(g, v)->op != G_RESHAPE) return -1;
    Val slice = graph_in(g, v, 0);
    if (graph_node(g, slice)->op != G_SLICE || graph_node(g, slice)->shape.dim[0] != 1) return -1;
    *stack = graph_in(g, slice, 0);
    const Node *from = graph_node(g, *stack);
    if (from->op != G_PROJ || graph_node(g, graph_in(g, *stack, 0))->op != G_SCAN) return -1;
    Shape one = from->shape;
    if (!one.rank) return -1;
    one.dim[0] = 1;
    return shape_equal(&one, &graph_node(g, slice)->shape) ? graph_attr(g, slice)->starts[0] : -1;
}

int scan_rows(const Graph *g, const ValueList *xs, int from, Val *stack) {
    Val other = 0;
    for (int n = 0; from + n < xs->len && xs->at[from + n].kind == V_NODE; n++) {
        if (row_of(g, xs->at[from + n].node, n ? &other : stack) != n || (n && other != *stack)) return 0;
        if (n + 1 == graph_node(g, *stack)->shape.dim[0]) return n + 1;
    }
    return 0;
}

/* The attempt has come off. */
static void store(Eval *e, Val scan) {
    ScanTry *s = e->scan;
    Graph *g = e->trace->graph;
    int stack = 2 * s->carries + s->appends;
    e->scan = NULL;
    for (int i = 0; i < s->called.len; i++) {
        Called *c = &s->called.at[i];
        for (int j = 0; j < c->n; j++) c->x[j] = graph_proj(g, scan, stack++);
        cell_used(e, c->instance, c->x, c->n);
    }
    for (int k = 0; k < s->carries; k++) s->carry[k].local->value = trace_value(graph_proj(g, scan, k));
    for (int i = 0; i < s->appends; i++) {
        const Append *a = &s->append[i];
        Val rows = graph_proj(g, scan, s->carries + i);
        int before = a->start.list->len, n = before + (int)s->turns;
        Value *at = arena_array(e->arena, Value, n);
        int old = a->front ? (int)s->turns : 0, new = a->front ? 0 : before;
        for (int k = 0; k < before; k++) at[old + k] = a->start.list->at[k];
        for (int64_t t = 0; t < s->turns; t++) at[new + t] = row_at(g, rows, t);
        a->local->value = value_list(e->arena, at, n);
    }
}

void scan_tell(Eval *e, const LostDiags *lost) {
    if (e->diags->errors || e->session->diags.errors) return;
    for (int i = 0; i < lost->list.len; i++) vec_push(e->diags->arena, &e->diags->list, lost->list.at[i]);
    e->diags->errors += lost->errors;
}

static void restore(ScanTry *s) {
    for (int k = 0; k < s->carries; k++) s->carry[k].local->value = s->carry[k].start;
    for (int i = 0; i < s->appends; i++) s->append[i].local->value = s->append[i].start;
}

bool scan_loop(Eval *e, const Ast *loop, const Value *over, Scope *scope, LostDiags *lost) {
    if (!e->trace || e->trace->outer || e->scan) return false;
    if (loop->loop.len != 1 || loop->loop.body->kind != AST_BLOCK) return false;
    if (e->trace->facts->inline_cells || e->trace->facts->probing) return false;
    ScanTry *s = arena_new_of(e->arena, ScanTry);
    Instance *at = e->trace->at;
    if (!takes_turns(e, over, s) || !find_changes(s, loop->loop.body, scope) || !start_carries(e, s)) return false;
    s->at = at;
    s->serial = trace_root(e->trace)->facts->instances;
    if (!s->over) s->turn = scan_hole(e->trace->graph, (NodeType){.dtype = DT_I32});
    int mark = diags_mark(e->diags), counts = at->counts.len;
    InstanceCount *kept = arena_array(e->arena, InstanceCount, counts + 1);
    for (int i = 0; i < counts; i++) kept[i] = at->counts.at[i];
    e->scan = s;
    bool ok = evaluate(e, loop, scope) && !s->failed && diags_mark(e->diags) == mark && is_sound(e);
    Val made = ok ? make(e, loop->span) : 0;
    if (made) store(e, made);
    else restore(s);
    e->scan = NULL;
    if (made) return true;
    for (int i = mark; i < e->diags->list.len; i++) vec_push(e->arena, &lost->list, e->diags->list.at[i]);
    lost->errors = e->diags->errors;
    diags_discard(e->diags, mark);
    lost->errors -= e->diags->errors;
    at->counts.len = counts;
    for (int i = 0; i < counts; i++) at->counts.at[i] = kept[i];
    return false;
}
