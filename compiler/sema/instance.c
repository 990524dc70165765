/* instance.c -- the layers and cell types of a trace, and the parameters they own (LANGUAGE 4.4 to 4.6).
 *
 * Representation: a tree.  The root is the net itself and has no part; its children are layers by the name they are
 * bound to or by their own name and number in order of use, and the cell types, which lie at the top wherever they
 * are applied.  A mention makes an Instance that joins the tree at its first use.
 * A body may be evaluated several times for one instance (a layer used in each turn of a loop, a cell): instance_enter
 * starts the numbering anew, and an equal part then stands for the one that is there already (`same`), so that its
 * parameters are found again. */
#include "sema/internal.h"

#include <stdio.h>

Instance *instance_new(Trace *trace, Instance *parent) {
    Instance *instance = arena_new_of(trace->arena, Instance);
    instance->parent = parent;
    instance->serial = trace_root(trace)->facts->instances++;
    return instance;
}

bool callable_owns(const Callable *c) { return c->what == DEF_NET || c->def->has_state; }

Instance *instance_mention(Trace *trace) { return instance_new(trace, trace->at); }

Value callable_mention(Eval *e, const Value *value) {
    if (value->callable->instance) return *value;
    Callable *copy = arena_new_of(e->arena, Callable);
    *copy = *value->callable;
    copy->instance = instance_mention(e->trace);
    Value out = *value;
    out.callable = copy;
    return out;
}

static int count_up(Trace *trace, Instance *parent, Name name, bool bound) {
    for (int i = 0; i < parent->counts.len; i++)
        if (parent->counts.at[i].name == name &&
            parent->counts.at[i].bound == bound) return ++parent->counts.at[i].count;
    InstanceCount count = {name, bound, 1};
    vec_push(trace->arena, &parent->counts, count);
    return 1;
}

void instance_bind(Trace *trace, Instance *instance, Name name) {
    if (instance->name || !instance->parent) return;
    instance->name = name;
    instance->bound = true;
    instance->number = count_up(trace, instance->parent, name, true);
}

void instance_enter(Instance *instance) {
    instance->counts.len = 0;
    instance->place_made = 0;
}

Instance *instance_use(Trace *trace, Instance *instance, Name own_name) {
    if (instance->same) return instance->same;
    if (instance->used || !instance->parent) return instance;
    Instance *parent = instance->parent;
    if (!instance->name) {
        instance->name = own_name;
        instance->number = count_up(trace, parent, own_name, false);
    }
    for (int i = 0; i < parent->children.len; i++) {
        Instance *child = parent->children.at[i];
        if (child->name != instance->name || child->number != instance->number ||
            child->bound != instance->bound) continue;
        if (child->cell_type || child->place) continue;
        return instance->same = child;
    }
    instance->used = true;
    parent->made++;
    vec_push(trace->arena, &parent->children, instance);
    return instance;
}

/* ---- cells: types, one instance for each ---- */

Instance *instance_of_cell(Eval *e, const Callable *cell) {
    Trace *root = trace_root(e->trace);
    Buf buf = {0};
    value_identity(&(Value){.kind = V_CALLABLE, .callable = (Callable *)cell}, &buf);
    for (int i = 0; i < root->facts->cells.len; i++) {
        Instance *at = root->facts->cells.at[i];
        if (strcmp(at->key, buf.at) != 0) continue;
        buf_free(&buf);
        return at;
    }
    Instance *instance = instance_new(root, root->root);
    instance->name = instance->cell_type = cell->type_name ? cell->type_name : cell->def->name;
    instance->key = buf_done(&buf, root->arena);
    instance->used = true;
    instance->weights = cell->weights;
    instance->cell = cell;
    vec_push(root->arena, &root->facts->cells, instance);
    return instance;
}

/* Where a cell is applied, under the layer that applies it.  A loop whose turns make no layers is one place; otherwise
 * each turn is its own. */
Instance *instance_of_place(Trace *trace, const Callable *cell, const Ast *place) {
    Trace *root = trace_root(trace);
    struct TraceFacts *facts = trace->facts;
    Instance *layer = facts->application ? facts->application->layer : trace->at;
    Name name = cell->type_name ? cell->type_name : cell->def->name;
    int same = 0;
    for (int i = 0; i < layer->children.len; i++) {
        Instance *child = layer->children.at[i];
        if (!child->place || child->name != name) continue;
        same++;
        if (child->place == place && child->place_made == layer->made) return child;
    }
    Instance *instance = instance_new(root, layer);
    instance->name = name;
    instance->place = place;
    instance->place_made = layer->made;
    instance->number = same + 1;
    instance->used = true;
    vec_push(root->arena, &layer->children, instance);
    return instance;
}

/* ---- paths ---- */

static bool shares_name(const Trace *trace, const Instance *cell, int *number) {
    int same = 0;
    for (int i = 0; i < trace->facts->cells.len; i++) {
        const Instance *other = trace->facts->cells.at[i];
        if (strcmp(other->cell_type, cell->cell_type) != 0) continue;
        same++;
        if (other == cell) *number = same;
    }
    return same > 1;
}

static void put_path(const Trace *trace, const Instance *instance, Buf *out) {
    if (!instance || !instance->name) return;
    if (instance->parent && instance->parent->name) {
        put_path(trace, instance->parent, out);
        buf_text(out, ".");
    }
    buf_text(out, instance->name);
    int number = instance->number;
    bool shown = instance->bound || instance->place ? number > 1 : number > 0;
    if (instance->cell_type) shown = shares_name(trace, instance, &number);
    if (shown) buf_printf(out, "[%d]", number);
}

const char *instance_path(const Trace *trace, const Instance *instance) {
    Buf buf = {0};
    put_path(trace, instance, &buf);
    return buf_done(&buf, trace->arena);
}

void trace_rename(Trace *trace) {
    for (int i = 0; i < trace->params.len; i++) {
        ParamInfo *p = &trace->params.at[i];
        const char *path = instance_path(trace, p->instance);
        p->path = *path ? arena_printf(trace->arena, "%s.%s", path, p->name) : p->name;
        const Attr *attr = graph_attr(trace->graph, p->node);
        trace->graph->inputs.at[attr->index].name = p->path;
    }
}

/* One part of a path: its name and its number (0: not written). */
typedef struct Part { const char *name; int len; long number; const char *next; } Part;

static Part part_of(const char *path) {
    Part part = {.name = path};
    while (path[part.len] && path[part.len] != '.' && path[part.len] != '[') part.len++;
    const char *at = path + part.len;
    if (*at == '[') {
        while (*++at && *at != ']')
            part.number = *at == '*' ? -1 : *at >= '0' && *at <= '9' && part.number < 1000000
                ? part.number * 10 + (*at - '0') : part.number;
        if (*at == ']') at++;
    }
    part.next = *at == '.' ? at + 1 : at;
    return part;
}

/* Is there a path that equals this one up to here, and then has the part with number 2? */
static bool has_second(const Trace *trace, const char *path, const Part *part) {
    size_t before = (size_t)(part->name - path);
    for (int i = 0; i < trace->params.len; i++) {
        const char *other = trace->params.at[i].path;
        if (strncmp(other, path, before + (size_t)part->len) != 0) continue;
        Part at = part_of(other + before);
        if (at.len == part->len && at.number == 2) return true;
    }
    return false;
}

bool trace_selects(const Trace *trace, const char *pattern, const char *path) {
    const char *p = pattern, *q = path;
    while (*p && *q) {
        if (strcmp(p, "*") == 0) return true;
        Part want = part_of(p), have = part_of(q);
        bool any = want.len == 1 && *want.name == '*';
        if (!any && (want.len != have.len || strncmp(want.name, have.name, (size_t)want.len) != 0)) return false;
        if (!any && want.number > 0 && want.number != (have.number ? have.number : 1)) return false;
        if (!any && want.number == 0 && have.number > 1) return false;
        if (!any && want.number == 0 && have.number == 1 && has_second(trace, path, &have)) return false;
        p = want.next;
        q = have.next;
    }
    return !*p && !*q;
}

int trace_find(const Trace *trace, const char *path) {
    for (int i = 0; i < trace->params.len; i++)
        if (strcmp(trace->params.at[i].path, path) == 0) return i;
    if (strchr(path, '*')) return -1;
    for (int i = 0; i < trace->params.len; i++)
        if (trace_selects(trace, path, trace->params.at[i].path)) return i;
    return -1;
}

/* ---- parameters ---- */

static int param_find(const Trace *root, const Instance *instance, Name name) {
    for (int i = 0; i < root->params.len; i++)
        if (root->params.at[i].instance == instance && root->params.at[i].name == name) return i;
    return -1;
}

/* What a trained cell has for a path below it. */
static const Value *trained_value(const Trace *root, const Instance *instance, Name name) {
    const Instance *cell = instance;
    while (cell && !cell->weights) cell = cell->parent;
    if (!cell) return NULL;
    size_t skip = strlen(instance_path(root, cell));
    const char *path = arena_printf(root->arena, "%s.%s", instance_path(root, instance), name) + skip + 1;
    return record_get(&(Value){.kind = V_RECORD, .record = cell->weights}, path);
}

static int param_add(Eval *e, Instance *instance, Name name, bool state, DType dtype, const Shape *shape,
                     const Value *initial,
                     Span span) {
    Trace *root = trace_root(e->trace);
    ParamInfo p = {.path = name, .shape = *shape, .dtype = dtype, .initial = *initial, .state = state, .span = span,
                   .instance = instance, .name = name};
    for (const Instance *at = instance; at && !p.cell; at = at->parent)
        p.cell = at->cell_type ? at->cell_type : at->place ? at->name : NULL;
    const Value *trained = state ? NULL : trained_value(root, instance, name);
    if (trained) p.initial = *trained;
    p.node = graph_input(root->graph, IN_BLOCK, root->params.len, name, (NodeType){dtype, *shape, false});
    vec_push(root->arena, &root->params, p);
    return root->params.len - 1;
}

int param_own(Eval *e, Instance *instance, Name name, bool state, DType dtype, const Shape *shape, const Value *initial,
              Span span) {
    Trace *root = trace_root(e->trace);
    int k = param_find(root, instance, name);
    if (k >= 0) return k;
    k = param_add(e, instance, name, state, dtype, shape, initial, span);
    const Value *trained = trained_value(root, instance, name);
    if (trained) root->params.at[k].initial = *trained;
    return k;
}

/* A number, numbers of the parameter's shape, or a distribution. */
static bool initial_fits(Eval *e, Value *value, const Shape *shape, Name name, Span span) {
    Shape have;
    DType dtype;
    if (value_distribution(value)) return true;
    if (value->kind == V_REAL && value->node) trace_pin(e, value);
    value->node = value->kind == V_NODE ? value->node : 0;
    if (value->kind == V_NODE) {
        eval_diag(e, D_E0411, span, "%s must start from what is known before the net runs", name);
        return false;
    }
    if (value_is_number(value)) return true;
    if (value_is_known_tensor(value) && value_shape(e, value, &have, &dtype)) {
        if (shape_equal(&have, shape) || !have.rank) return true;
        eval_diag(e, D_E0403, span, "%s is %s, its start is %s", name, shape_text(e, DT_F32, shape),
                  shape_text(e, DT_F32, &have));
        return false;
    }
    eval_diag(e, D_E0314, span, "%s starts from a number, numbers or a distribution; this is %s", name,
              value_kind_name(value));
    return false;
}

static bool same_shape(Eval *e, const ParamInfo *p, const Shape *shape, Span span) {
    if (shape_equal(&p->shape, shape)) return true;
    Trace *root = trace_root(e->trace);
    Diag *d = eval_diag(e, D_E0403, span, "%s is %s, and here it would be %s", p->name,
                        shape_text(e, p->dtype, &p->shape),
                        shape_text(e, p->dtype, shape));
    diag_note(d, "%s is one layer, used twice on inputs of different shape", instance_path(root, p->instance));
    return false;
}

/* The axes that `per feature` and `per unit` add after the parameter's own. */
static bool per_shape(Eval *e, const char *per, Shape *shape, Span span) {
    const Application *app = e->trace->facts->application;
    if (!app || strcmp(per, "feature") == 0 ? !app || !app->shape.rank : strcmp(per, "unit") != 0) return true;
    int more = strcmp(per, "feature") == 0 ? 1 : app->shape.rank;
    if (shape->rank + more > MAX_RANK) {
        eval_diag(e, D_E0404, span, "a shape has at most %d axes", MAX_RANK);
        return false;
    }
    for (int i = 0; i < more; i++) shape->dim[shape->rank++] = app->shape.dim[i];
    return true;
}


static bool eval_per(Eval *e, const Ast *ast, Scope *scope, const char **per) {
    *per = "model";
    if (!ast->own.per) return true;
    const TypeValue *type = type_named(e, "scope");
    Value value;
    if (!eval_choice(e, type, ast->own.per, scope, &value)) return false;
    if (!value_convert(e, &value, type, ast->own.per->span, NULL, "per", &value)) return false;
    *per = value.choice;
    return true;
}

/* While it is found out how a cell is applied, a parameter per unit is any value of its type. */
static bool probe_param(Eval *e, const Ast *ast, const Shape *shape, Scope *scope) {
    Trace *t = e->trace;
    NodeType type = {t->precision, *shape, false};
    Value value = trace_value(graph_input(t->graph, IN_SHARED, PROBED + t->graph->inputs.len, ast->own.name, type));
    scope_bind(scope, ast->own.name, &value, ast->own.name_span);
    return true;
}

static bool place_of(Eval *e, const Ast *ast, const char *per, Instance **instance) {
    *instance = e->trace->at;
    if (strcmp(per, "model") == 0) return true;
    if (e->trace->outer) {
        eval_diag(e, D_E0508, ast->own.per->span, "a cell with layers in it has its parameters per model");
        return false;
    }
    const Application *app = e->trace->facts->application;
    if (!app) return true;
    *instance = instance_of_place(e->trace, &(Callable){.type_name = e->trace->at->cell_type}, app->place);
    return true;
}

bool eval_param(Eval *e, const Ast *ast, Scope *scope) {
    TypeValue type = {.kind = TYPE_F32};
    Value initial, value;
    const char *per;
    Instance *instance;
    if (!e->trace) {
        eval_diag(e, D_E0506, ast->span, "a param belongs to a net or a cell");
        return false;
    }
    if (ast->own.type && !type_eval(e, ast->own.type, scope, &type)) return false;
    if (!eval_per(e, ast, scope, &per) || !eval_expr(e, ast->own.initial, scope, &initial)) return false;
    Shape shape = type.shape;
    if (e->trace->facts->probing && strcmp(per, "model") != 0) return probe_param(e, ast, &shape, scope);
    if (!place_of(e, ast, per, &instance) || !per_shape(e, per, &shape, ast->span)) return false;
    if (!shape_allowed(e, &shape, ast->span)) return false;
    if (!initial_fits(e, &initial, &shape, ast->own.name, ast->own.initial->span)) return false;
    Trace *root = trace_root(e->trace);
    int k = param_find(root, instance, ast->own.name);
    if (k >= 0 && !same_shape(e, &root->params.at[k], &shape, ast->span)) return false;
    if (k < 0) k = param_add(e, instance, ast->own.name, false, root->precision, &shape, &initial, ast->span);
    value = trace_value(trace_param_node(e, k));
    trace_origin(e->trace, value.node, ast->span);
    scope_bind(scope, ast->own.name, &value, ast->own.name_span);
    return true;
}

/* ---- states ---- */

static bool state_type(Eval *e, const Ast *ast, Scope *scope, const Value *initial, Shape *shape, DType *dtype) {
    DType have;
    *dtype = trace_root(e->trace)->precision;
    if (!value_shape(e, initial, shape, &have) || initial->kind == V_NODE) {
        if (!ast->own.type && !value_distribution(initial)) {
            eval_diag(e, D_E0314, ast->own.initial->span, "a state starts from numbers; this is %s",
                      value_kind_name(initial));
            return false;
        }
        *shape = SHAPE0;
    }
    if (!ast->own.type) return true;
    TypeValue type;
    if (!type_eval(e, ast->own.type, scope, &type)) return false;
    if (type.kind == TYPE_INT) *dtype = DT_I32;
    *shape = type.shape;
    return true;
}

bool eval_state(Eval *e, const Ast *ast, Scope *scope) {
    Value initial;
    Shape shape;
    DType dtype;
    if (scan_refuse(e)) return false;
    if (!e->trace || e->trace->outer) {
        Diag *d = eval_diag(e, D_E0506, ast->span, "a state needs steps to be carried through");
        diag_hint(d, "states belong to nets and optimizers");
        return false;
    }
    if (!eval_expr(e, ast->own.initial, scope, &initial)) return false;
    if (!state_type(e, ast, scope, &initial, &shape, &dtype)) return false;
    if (!initial_fits(e, &initial, &shape, ast->own.name, ast->own.initial->span)) return false;
    Trace *t = e->trace;
    int k = param_find(t, t->at, ast->own.name);
    if (k >= 0 && !same_shape(e, &t->params.at[k], &shape, ast->span)) return false;
    if (k < 0) k = param_add(e, t->at, ast->own.name, true, dtype, &shape, &initial, ast->span);
    Value value = trace_value(t->params.at[k].next ? t->params.at[k].next : t->params.at[k].node);
    scope_bind(scope, ast->own.name, &value, ast->own.name_span);
    ActiveState active = {t->at, k, ast->own.name};
    vec_push(t->arena, &t->facts->states, active);
    return true;
}

void states_store(Eval *e, const Scope *body, int from) {
    Trace *t = e->trace;
    for (int i = from; i < t->facts->states.len; i++) {
        const ActiveState *active = &t->facts->states.at[i];
        const Local *local = scope_local(body, active->name);
        ParamInfo *p = &t->params.at[active->param];
        Val node;
        if (!local || local->value.kind == V_ERROR || !value_as_node(e, &local->value, local->span, &node)) continue;
        if (node == (p->next ? p->next : p->node)) continue;
        node = graph_cast(t->graph, node, p->dtype);
        Shape shape = graph_node(t->graph, node)->shape;
        if (!shape.rank) node = graph_broadcast(t->graph, node, p->shape);
        else if (!shape_equal(&shape, &p->shape)) {
            eval_diag(e, D_E0410, p->span, "%s is %s before and %s after", p->name, shape_text(e, p->dtype, &p->shape),
                      shape_text(e, p->dtype, &shape));
            continue;
        }
        if (graph_node(t->graph, node)->batched) {
            eval_diag(e, D_E0410, p->span, "the new value of %s differs from example to example", p->name);
            continue;
        }
        t->params.at[active->param].next = node;
    }
}

int trace_cells(const Trace *trace, const char **paths, Value *cells, int most) {
    int n = 0;
    for (int i = 0; i < trace->facts->cells.len && n < most; i++) {
        const Instance *at = trace->facts->cells.at[i];
        paths[n] = instance_path(trace, at);
        cells[n++] = (Value){.kind = V_CALLABLE, .callable = (Callable *)(uintptr_t)at->cell};
    }
    return n;
}
