/* formula.c -- formulas over groups of rows (LANGUAGE 4.13).
 *
 * A formula is compiled once: its aggregates (mean, count, at, ...) are taken out and stand as names in what is left.
 * Their arguments are evaluated at each point of a group; what is left is evaluated once for the group if its names are
 * constant there, else at each point, giving a list.  A point is a row, or one entry of a column that is a table. */
#include "experiment/experiment.h"

#include <math.h>
#include <stdlib.h>

typedef enum AggregateKind { AGG_MEAN, AGG_SD, AGG_SEM, AGG_MEDIAN, AGG_MIN, AGG_MAX, AGG_SUM, AGG_COUNT, AGG_QUANTILE,
                             AGG_BINOMIAL, AGG_PAIRED, AGG_INTERVAL, AGG_AT,
                             AGG_AT_MAX, AGG_AT_MIN } AggregateKind;
static const struct { const char *name; AggregateKind kind; int args; } aggregate_names[] = {
    {"mean", AGG_MEAN, 1}, {"sd", AGG_SD, 1}, {"sem", AGG_SEM, 1}, {"median", AGG_MEDIAN, 1}, {"min", AGG_MIN, 1},
    {"max", AGG_MAX, 1}, {"sum", AGG_SUM, 1}, {"count", AGG_COUNT, 0}, {"quantile", AGG_QUANTILE, 2},
    {"binomial", AGG_BINOMIAL, 1}, {"paired", AGG_PAIRED, 2}, {"interval", AGG_INTERVAL, 1}, {"at", AGG_AT, 1},
    {"at_max", AGG_AT_MAX, 2}, {"at_min", AGG_AT_MIN, 2}};

typedef struct Aggregate {
    AggregateKind kind; Name name; Compiled *arg[2]; Name *label; Compiled **value; int labels; Span span;
    const Value *callee;
} Aggregate;
typedef struct FieldUse { Name name, field; } FieldUse;
struct Compiled {
    Formula formula; const Ast *source;
    VEC(Aggregate) aggregate;
    VEC(Name) names;                              /* free in what is left */
    VEC(FieldUse) fields;                         /* name.field in it */
};

/* ---- compiling ---- */

static int aggregate_of(const Ast *call) {
    if (call->kind != AST_CALL || call->call.of->kind != AST_NAME) return -1;
    int positional = 0;
    for (int i = 0; i < call->call.len; i++) {
        if (call->call.args[i].spread) return -1;
        positional += call->call.args[i].label == NULL;
    }
    for (int i = 0; i < COUNT(aggregate_names); i++)
        if (strcmp(call->call.of->name, aggregate_names[i].name) == 0 && aggregate_names[i].args == positional
            && (aggregate_names[i].kind == AGG_AT || call->call.len == positional))
            return i;
    return -1;
}

static Ast *clone(Eval *e, Compiled *c, const Ast *ast);

static Compiled *compile_part(Eval *e, const Ast *ast, Scope *scope) {
    Formula formula = {ast, scope};
    return formula_compile(e, &formula);
}

static Ast *take_aggregate(Eval *e, Compiled *c, const Ast *call, int which) {
    Aggregate a = {.kind = aggregate_names[which].kind, .span = call->span};
    int n = 0;
    for (int i = 0; i < call->call.len; i++) {
        const AstArg *arg = &call->call.args[i];
        if (!arg->label) { a.arg[n++] = compile_part(e, arg->value, c->formula.scope); continue; }
        if (!a.label) {
            a.label = arena_array(e->arena, Name, call->call.len);
            a.value = arena_array(e->arena, Compiled *, call->call.len);
        }
        a.label[a.labels] = arg->label;
        a.value[a.labels++] = compile_part(e, arg->value, c->formula.scope);
    }
    a.name = intern_text(e->session->names, arena_printf(e->arena, "%%%d", c->aggregate.len + 1));
    vec_push(e->arena, &c->aggregate, a);
    Ast *name = arena_new_of(e->arena, Ast);
    *name = (Ast){.kind = AST_NAME, .id = call->id, .span = call->span};
    name->name = a.name;
    return name;
}

static void use_name(Eval *e, Compiled *c, Name name) {
    for (int i = 0; i < c->names.len; i++)
        if (c->names.at[i] == name) return;
    vec_push(e->arena, &c->names, name);
}

static AstArg *clone_args(Eval *e, Compiled *c, const AstArg *args, int n) {
    AstArg *copy = arena_array(e->arena, AstArg, n + 1);
    for (int i = 0; i < n; i++) {
        copy[i] = args[i];
        copy[i].value = clone(e, c, args[i].value);
    }
    return copy;
}

static Ast *clone(Eval *e, Compiled *c, const Ast *ast) {
    if (!ast) return NULL;
    int which = aggregate_of(ast);
    if (which >= 0) return take_aggregate(e, c, ast, which);
    Ast *copy = arena_new_of(e->arena, Ast);
    *copy = *ast;
    switch (ast->kind) {
    case AST_NAME: use_name(e, c, ast->name); break;
    case AST_LIST: case AST_RECORD: copy->list.args = clone_args(e, c, ast->list.args, ast->list.len); break;
    case AST_SELECT:
        if (ast->select.of->kind == AST_NAME) {
            FieldUse use = {ast->select.of->name, ast->select.field};
            vec_push(e->arena, &c->fields, use);
        }
        copy->select.of = clone(e, c, ast->select.of);
        break;
    case AST_CALL: case AST_BRACKETS:
        copy->call.of = clone(e, c, ast->call.of);
        copy->call.args = clone_args(e, c, ast->call.args, ast->call.len);
        break;
    case AST_UNARY: copy->unary.a = clone(e, c, ast->unary.a); break;
    case AST_BINARY:
        copy->binary.a = clone(e, c, ast->binary.a);
        copy->binary.b = clone(e, c, ast->binary.b);
        break;
    case AST_RANGE:
        copy->range.lo = clone(e, c, ast->range.lo);
        copy->range.hi = clone(e, c, ast->range.hi);
        break;
    case AST_IF:
        copy->branch.condition = clone(e, c, ast->branch.condition);
        copy->branch.then = clone(e, c, ast->branch.then);
        copy->branch.otherwise = clone(e, c, ast->branch.otherwise);
        break;
    case AST_BLOCK:
        copy->block.at = arena_array(e->arena, Ast *, ast->block.len + 1);
        for (int i = 0; i < ast->block.len; i++) copy->block.at[i] = clone(e, c, ast->block.at[i]);
        break;
    case AST_COMPREHENSION: copy->comprehension.value = clone(e, c, ast->comprehension.value); break;
    case AST_ERROR: case AST_TEXT: case AST_BOOL: case AST_INT: case AST_REAL: case AST_HOLE: case AST_WHOLE:
    case AST_BIND: case AST_FOR: case AST_PARAM: case AST_STATE: case AST_USE: case AST_DEF: case AST_ALIAS:
    case AST_EXPERIMENT: case AST_TEST: break;
    }
    return copy;
}

Compiled *formula_compile(Eval *e, const Formula *formula) {
    Compiled *c = arena_new_of(e->arena, Compiled);
    c->source = formula->ast;
    c->formula.scope = formula->scope;
    c->formula.ast = clone(e, c, formula->ast);
    return c;
}

bool formula_aggregates(const Compiled *formula) { return formula->aggregate.len > 0; }

/* ---- names at a point ---- */

/* A record whose fields are equally long lists is a table. */
static int table_length(const Value *value) {
    int length = -1;
    if (value->kind != V_RECORD || !value->record->len) return -1;
    for (int i = 0; i < value->record->len; i++) {
        const Value *field = &value->record->at[i];
        int n = field->kind == V_LIST ? field->list->len : field->kind == V_TENSOR && field->tensor->shape.rank == 1
                    ? (int)field->tensor->shape.dim[0] : -1;
        if (n < 0 || (length >= 0 && n != length)) return -1;
        length = n;
    }
    return length;
}

static Value element(const Value *list, int i) {
    if (list->kind == V_LIST) return list->list->at[i];
    const Tensor *t = list->tensor;
    switch (t->dtype) {
    case DT_BOOL: return value_bool(((const uint8_t *)t->data)[i]);
    case DT_I32: return value_int(((const int32_t *)t->data)[i]);
    case DT_F32: return value_real(((const float *)t->data)[i]);
    case DT_F64: return value_real(((const double *)t->data)[i]);
    }
    return value_none();
}

/* All of a table's fields at one index: what a message about a missing one lists. */
static Value unfolded_whole(Eval *e, const Value *table, int index) {
    Value *at = arena_array(e->arena, Value, table->record->len + 1);
    for (int i = 0; i < table->record->len; i++) at[i] = element(&table->record->at[i], index);
    return value_record(e->arena, table->record->name, at, table->record->len);
}

/* The record of a table's fields at one index: only those that the formula uses. */
static Value unfolded(Eval *e, const Compiled *c, Name name, const Value *table, int index) {
    Name fields[16];
    Value at[16];
    int n = 0;
    for (int i = 0; i < c->fields.len && n < 16; i++) {
        if (c->fields.at[i].name != name) continue;
        const Value *column = record_get(table, c->fields.at[i].field);
        if (!column) return unfolded_whole(e, table, index);
        fields[n] = c->fields.at[i].field;
        at[n++] = element(column, index);
    }
    return value_record(e->arena, fields, at, n);
}

static bool point_name(Eval *e, const Compiled *c, const Point *point, Name name, Value *out) {
    if (!row_value(point->row, name, out)) return false;
    if (point->index >= 0) {
        int length = table_length(out);
        bool used = false;
        for (int i = 0; i < c->fields.len; i++) used |= c->fields.at[i].name == name;
        if (used && length > point->index) *out = unfolded(e, c, name, out, point->index);
    }
    return true;
}

static bool group_key(const Group *group, Name name, Value *out) {
    for (int i = 0; group && i < group->keys; i++)
        if (group->key[i] == name) { *out = group->value[i]; return true; }
    return false;
}

/* ---- aggregates ---- */

static bool number_of(const Value *value, double *out) {
    if (value->kind == V_REAL) *out = value->real;
    else if (value->kind == V_INT) *out = (double)value->integer;
    else if (value->kind == V_BOOL) *out = value->boolean;
    else if (value->kind == V_TENSOR && shape_size(&value->tensor->shape) == 1) {
        Value one = element(value, 0);
        return number_of(&one, out);
    } else return false;
    return true;
}

static bool point_values(Eval *e, const Compiled *arg, const Group *group, Value **out) {
    Value *at = arena_array(e->arena, Value, group->len + 1);
    for (int i = 0; i < group->len; i++)
        if (!formula_point(e, arg, group, &group->at[i], &at[i])) return false;
    *out = at;
    return true;
}

/* Statistics go through the library's functions of the same name, on the list of the points' values. */
static bool aggregate_call(Eval *e, const Aggregate *a, const Value *args, int n, Value *out) {
    Name name = intern_text(e->session->names, aggregate_names[a->kind].name);
    Value fn;
    bool found;
    if (!scope_find(e, e->session->prelude, name, &fn, &found) || !found) {
        diag_add(e->diags, D_E0301, a->span, "nothing is called %s", name);
        return false;
    }
    return eval_call(e, &fn, args, n, a->span, out);
}

/* Does a key take another value by an `at`?  It is named there, or goes with one that is. */
static bool key_varies(const Aggregate *at, const RowSet *set, Name key) {
    for (int k = 0; k < at->labels; k++)
        if (keys_together(set, at->label[k], key)) return true;
    return false;
}

static bool key_labelled(const Aggregate *at, Name key) {
    for (int k = 0; k < at->labels; k++)
        if (at->label[k] == key) return true;
    return false;
}

/* The rows with the values of a group's keys; keys that only go with those of the `at` take them from there. */
static void other_points(Eval *e, const Aggregate *a, const Group *all, Value *value, Group *other) {
    other->at = arena_array(e->arena, Point, all->len + 1);
    for (int i = 0; i < all->len; i++) {
        const Row *row = all->at[i].row;
        bool same = true;
        for (int k = 0; same && k < other->keys; k++) {
            Value have;
            if (key_varies(a, row->set, other->key[k]) && !key_labelled(a, other->key[k])) continue;
            same = row_value(row, other->key[k], &have) && value_equal(&have, &value[k]);
        }
        if (same) other->at[other->len++] = all->at[i];
    }
    for (int k = 0; other->len && k < other->keys; k++) row_value(other->at[0].row, other->key[k], &value[k]);
}

/* The group that differs from this one in the keys of an `at`. */
static bool other_group(Eval *e, const Aggregate *a, const Group *group, Group *out) {
    const Group *all = group->all ? group->all : group;
    Group other = {.all = all, .key = group->key, .keys = group->keys};
    Value *value = arena_array(e->arena, Value, group->keys + 1);
    memcpy(value, group->value, sizeof *value * (size_t)group->keys);
    for (int i = 0; i < a->labels; i++) {
        bool key = false;
        for (int k = 0; k < group->keys; k++)
            if (group->key[k] == a->label[i]) {
                key = true;
                if (!formula_group(e, a->value[i], group, &value[k])) return false;
            }
        if (!key) {
            diag_add(e->diags, D_E0809, a->span, "%s is no key of this group", a->label[i]);
            return false;
        }
    }
    other.value = value;
    other_points(e, a, all, value, &other);
    if (!other.len) {
        Buf text = {0};
        for (int i = 0; i < a->labels; i++) {
            buf_printf(&text, "%s%s = ", i ? ", " : "", a->label[i]);
            for (int k = 0; k < group->keys; k++)
                if (group->key[k] == a->label[i]) key_label(&value[k], &text);
        }
        diag_add(e->diags, D_E0809, a->span, "no row has %.*s", (int)text.len, text.at);
        buf_free(&text);
        return false;
    }
    *out = other;
    return true;
}

static bool aggregate_at(Eval *e, const Aggregate *a, const Group *group, Value *out) {
    Group other;
    return other_group(e, a, group, &other) && formula_group(e, a->arg[0], &other, out);
}

/* The formula is at(f, ...) and nothing else. */
static const Aggregate *only_at(const Compiled *c) {
    const Aggregate *at = c->aggregate.len == 1 && c->aggregate.at[0].kind == AGG_AT ? &c->aggregate.at[0] : NULL;
    return at && c->formula.ast->kind == AST_NAME && c->formula.ast->name == at->name ? at : NULL;
}

/* Do two points have the same keys, but for those of the `at` and what goes with them? */
static bool same_pair(const Aggregate *at, const Point *a, const Point *b) {
    const RowSet *set = a->row->set;
    for (int i = 0; i < set->keys; i++) {
        Value other;
        if (key_varies(at, set, set->key[i])) continue;
        if (!row_value(b->row, set->key[i], &other) || !value_equal(&a->row->key[i], &other)) return false;
    }
    return a->index == b->index;
}

/* paired(f, at(g, key: value)): a point goes with that of the other group whose other keys (the seed) are the same;
 * those without one are left out. */
static bool paired_by_keys(Eval *e, const Aggregate *a, const Aggregate *at, const Group *group, Value args[2]) {
    Group other;
    if (!other_group(e, at, group, &other)) return false;
    Value *x = arena_array(e->arena, Value, group->len + 1), *y = arena_array(e->arena, Value, group->len + 1);
    int n = 0;
    for (int i = 0; i < group->len; i++)
        for (int k = 0; k < other.len; k++) {
            if (!same_pair(at, &group->at[i], &other.at[k])) continue;
            if (!formula_point(e, a->arg[0], group, &group->at[i], &x[n]) ||
                !formula_point(e, at->arg[0], &other, &other.at[k], &y[n]))
                return false;
            n++;
            break;
        }
    if (!n) {
        Diag *diag = diag_add(e->diags, D_E0809, a->span, "no row of one group has a partner in the other");
        diag_hint(diag, "rows are partners whose other keys, such as the seed, are equal");
        return false;
    }
    args[0] = value_list(e->arena, x, n);
    args[1] = value_list(e->arena, y, n);
    return true;
}

/* Each side is a value at every point, or, where it has aggregates, the list that the group gives. */
static bool aggregate_paired(Eval *e, const Aggregate *a, const Group *group, Value *out) {
    Value *at, args[2];
    const Aggregate *by_keys = formula_aggregates(a->arg[0]) ? NULL : only_at(a->arg[1]);
    if (by_keys && !formula_aggregates(by_keys->arg[0]))
        return paired_by_keys(e, a, by_keys, group, args) && aggregate_call(e, a, args, 2, out);
    for (int i = 0; i < 2; i++) {
        if (formula_aggregates(a->arg[i])) {
            if (!formula_group(e, a->arg[i], group, &args[i])) return false;
            continue;
        }
        if (!point_values(e, a->arg[i], group, &at)) return false;
        args[i] = value_list(e->arena, at, group->len);
    }
    return aggregate_call(e, a, args, 2, out);
}

static bool aggregate_value(Eval *e, const Aggregate *a, const Group *group, Value *out) {
    if (a->kind == AGG_COUNT) { *out = value_int(group->len); return true; }
    if (a->kind == AGG_AT) return aggregate_at(e, a, group, out);
    Value *at, args[2];
    if (a->kind == AGG_PAIRED) return aggregate_paired(e, a, group, out);
    if (!point_values(e, a->arg[0], group, &at)) return false;
    double ignored;
    if (a->kind == AGG_MEAN && group->len && !number_of(&at[0], &ignored) &&
        (at[0].kind == V_OBJECT || at[0].kind == V_CALLABLE))
        return mean_function(e, at, group->len, a->span, out);
    if ((a->kind == AGG_SD || a->kind == AGG_SEM || a->kind == AGG_INTERVAL || a->kind == AGG_BINOMIAL) &&
        group->len < 2) {
        Diag *diag = diag_add(e->diags, D_E0803, a->span, "%s needs more than one row; here is %d",
                              aggregate_names[a->kind].name, group->len);
        diag_hint(diag, "more seeds");
        return false;
    }
    args[0] = value_list(e->arena, at, group->len);
    if (!a->arg[1]) return aggregate_call(e, a, args, 1, out);
    if (a->kind == AGG_AT_MAX || a->kind == AGG_AT_MIN) {            /* both sides are values at the points */
        if (!point_values(e, a->arg[1], group, &at)) return false;
        args[1] = value_list(e->arena, at, group->len);
        return aggregate_call(e, a, args, 2, out);
    }
    return formula_group(e, a->arg[1], group, &args[1]) && aggregate_call(e, a, args, 2, out);
}

/* ---- evaluating ---- */

enum { MAX_BOUND = 48 };

static bool formula_at(Eval *e, const Compiled *c, const Group *group, const Point *point, const Value *aggregates,
                       Value *out) {
    Name names[MAX_BOUND];
    Value values[MAX_BOUND];
    int n = 0;
    for (int i = 0; i < c->aggregate.len && n < MAX_BOUND; i++, n++) {
        names[n] = c->aggregate.at[i].name;
        values[n] = aggregates[i];
    }
    for (int i = 0; i < c->names.len && n < MAX_BOUND; i++) {
        Name name = c->names.at[i];
        if ((point && point_name(e, c, point, name, &values[n])) || group_key(group, name, &values[n]))
            names[n++] = name;
    }
    return eval_formula(e, &c->formula, names, values, n, out);
}

/* Are the names of the formula the same at all points? */
static bool constant(Eval *e, const Compiled *c, const Group *group) {
    for (int i = 0; i < c->names.len; i++) {
        Value first, other;
        if (group_key(group, c->names.at[i], &first)) continue;
        if (!group->len || !point_name(e, c, &group->at[0], c->names.at[i], &first)) continue;
        for (int k = 1; k < group->len; k++)
            if (point_name(e, c, &group->at[k], c->names.at[i], &other) && !value_equal(&first, &other)) return false;
    }
    return true;
}

static bool group_aggregates(Eval *e, const Compiled *c, const Group *group, Value **out) {
    Value *values = arena_array(e->arena, Value, c->aggregate.len + 1);
    for (int i = 0; i < c->aggregate.len; i++)
        if (!aggregate_value(e, &c->aggregate.at[i], group, &values[i])) return false;
    *out = values;
    return true;
}

bool formula_group(Eval *e, const Compiled *c, const Group *group, Value *out) {
    Value *aggregates;
    if (!group_aggregates(e, c, group, &aggregates)) return false;
    if (constant(e, c, group)) return formula_at(e, c, group, group->len ? &group->at[0] : NULL, aggregates, out);
    Value *at = arena_array(e->arena, Value, group->len + 1);
    for (int i = 0; i < group->len; i++)
        if (!formula_at(e, c, group, &group->at[i], aggregates, &at[i])) return false;
    *out = value_list(e->arena, at, group->len);
    return true;
}

bool formula_point(Eval *e, const Compiled *c, const Group *group, const Point *point, Value *out) {
    Value *aggregates = NULL;
    if (c->aggregate.len && !group_aggregates(e, c, group, &aggregates)) return false;
    return formula_at(e, c, group, point, aggregates, out);
}

/* ---- which rows, which groups ---- */

static bool row_own_key(const Row *row, int k, Value *out) {
    if (k >= row->set->keys) return false;
    *out = row->key[k];
    return true;
}

static bool set_knows(const RowSet *set, Name name) {
    Value ignored;
    if (set->rows.len) return row_value(set->rows.at[0], name, &ignored);
    for (int i = 0; i < set->keys; i++)
        if (set->key[i] == name) return true;
    for (int i = 0; i < set->columns; i++)
        if (set->column[i] == name) return true;
    return false;
}

static void formula_names(const Compiled *c, bool (*visit)(void *data, Name name), void *data) {
    for (int i = 0; i < c->names.len; i++) visit(data, c->names.at[i]);
    for (int i = 0; i < c->aggregate.len; i++)
        for (int k = 0; k < 2; k++)
            if (c->aggregate.at[i].arg[k]) formula_names(c->aggregate.at[i].arg[k], visit, data);
}

typedef struct RowsWanted { Experiment *x; VEC(Name) names; Eval *e; } RowsWanted;
static bool want_name(void *data, Name name) {
    RowsWanted *w = data;
    for (int s = 0; s < w->x->sets.len; s++)
        if (set_knows(w->x->sets.at[s], name)) {
            vec_push(w->e->arena, &w->names, name);
            break;
        }
    return true;
}

RowSet *formula_rows(Eval *e, Experiment *x, Compiled *const *formulas, int n, Span span) {
    RowsWanted w = {.x = x, .e = e};
    for (int i = 0; i < n; i++)
        if (formulas[i]) formula_names(formulas[i], want_name, &w);
    RowSet *best = NULL;
    int best_known = -1;
    for (int s = 0; s < x->sets.len; s++) {
        int known = 0;
        for (int i = 0; i < w.names.len; i++) known += set_knows(x->sets.at[s], w.names.at[i]);
        if (known > best_known) { best = x->sets.at[s]; best_known = known; }
    }
    if (best && best_known == w.names.len) return best;
    if (!best) diag_add(e->diags, D_W0807, span, "nothing was recorded");
    for (int i = 0; best && i < w.names.len; i++)
        if (!set_knows(best, w.names.at[i])) {
            diag_add(e->diags, D_E0804, span, "%s belongs to another record than the other columns here",
                     w.names.at[i]);
            break;
        }
    return NULL;
}

static int unfold_length(const Compiled *c, const Row *row) {
    int length = -1;
    for (int i = 0; i < c->fields.len; i++) {
        Value value;
        if (!row_value(row, c->fields.at[i].name, &value)) continue;
        int n = table_length(&value);
        if (n > length) length = n;
    }
    for (int i = 0; i < c->aggregate.len; i++)
        for (int k = 0; k < 2; k++) {
            int n = c->aggregate.at[i].arg[k] ? unfold_length(c->aggregate.at[i].arg[k], row) : -1;
            if (n > length) length = n;
        }
    return length;
}

bool group_all(Eval *e, RowSet *set, Compiled *const *formulas, int n, const Compiled *where, Group *out) {
    VEC(Point) points = {0};
    for (int r = 0; r < set->rows.len; r++) {
        const Row *row = set->rows.at[r];
        int length = -1;
        for (int i = 0; i < n; i++) {
            int m = formulas[i] ? unfold_length(formulas[i], row) : -1;
            if (m > length) length = m;
        }
        for (int i = length < 0 ? -1 : 0; i < (length < 0 ? 0 : length); i++) {
            Point point = {row, i};
            if (where) {
                Value keep;
                if (!formula_point(e, where, NULL, &point, &keep)) return false;
                if (keep.kind != V_BOOL) {
                    diag_add(e->diags, D_E0314, where->source->span, "where: is true or false for each row; this is %s",
                             value_kind_name(&keep));
                    return false;
                }
                if (!keep.boolean) continue;
            }
            vec_push(e->arena, &points, point);
        }
    }
    *out = (Group){.at = points.at, .len = points.len};
    return true;
}

bool group_split(Eval *e, const Group *group, Compiled *const *by, const Name *names, int n, Group **out, int *count) {
    VEC(Group) groups = {0};
    VEC(int) caps = {0};
    Value *value = arena_array(e->arena, Value, n + 1);
    int last = 0;
    if (!n) {                                                            /* one group, even of nothing */
        Group *whole = arena_new_of(e->arena, Group);
        *whole = *group;
        if (!whole->all) whole->all = group;
        *out = whole;
        *count = 1;
        return true;
    }
    for (int i = 0; i < group->len; i++) {
        for (int k = 0; k < n; k++)
            if (!formula_point(e, by[k], group, &group->at[i], &value[k])) return false;
        int found = -1;
        for (int g = 0; g < groups.len && found < 0; g++) {
            int at = (last + g) % groups.len;
            bool same = true;
            for (int k = 0; same && k < n; k++) same = value_equal(&groups.at[at].value[k], &value[k]);
            if (same) found = at;
        }
        if (found < 0) {
            Value *copy = arena_array(e->arena, Value, group->keys + n + 1);
            Name *keys = arena_array(e->arena, Name, group->keys + n + 1);
            memcpy(copy, value, sizeof *copy * (size_t)n);
            if (n) memcpy(keys, names, sizeof *keys * (size_t)n);
            if (group->keys) {
                memcpy(copy + n, group->value, sizeof *copy * (size_t)group->keys);
                memcpy(keys + n, group->key, sizeof *keys * (size_t)group->keys);
            }
            Group made = {.key = keys, .value = copy, .keys = group->keys + n, .all = group->all ? group->all : group};
            vec_push(e->arena, &groups, made);
            vec_push(e->arena, &caps, 0);
            found = groups.len - 1;
        }
        Group *g = &groups.at[found];
        if (g->len == caps.at[found]) {
            int cap = caps.at[found] ? 2 * caps.at[found] : 8;
            Point *grown = arena_array(e->arena, Point, cap);
            if (g->len) memcpy(grown, g->at, sizeof *grown * (size_t)g->len);
            g->at = grown;
            caps.at[found] = cap;
        }
        g->at[g->len++] = group->at[i];
        last = found;
    }
    *out = groups.at;
    *count = groups.len;
    return true;
}

/* W0808: an average that runs over a key other than the seed, which the reader may not expect.  A key that has one
 * value in each group is none of these, however that comes about: bound in one pattern with a name that was grouped
 * by. */
bool group_warn(Eval *e, const Group *groups, int count, Span span) {
    for (int g = 0; g < count; g++) {
        const Group *group = &groups[g];
        const RowSet *set = group->len ? group->at[0].row->set : NULL;
        for (int k = 0; set && k < set->keys; k++) {
            Value first, other;
            if (strcmp(set->key[k], "seed") == 0 || group_key(group, set->key[k], &first)) continue;
            for (int i = 1; i < group->len; i++) {
                if (!row_own_key(group->at[0].row, k, &first) || !row_own_key(group->at[i].row, k, &other) ||
                    value_equal(&first, &other))
                    continue;
                Diag *diag = diag_add(e->diags, D_W0808, span, "this averages over %s as well as over seeds",
                                      set->key[k]);
                diag_hint(diag, "by: or where:");
                return true;
            }
        }
    }
    return false;
}

/* W0810: groups of one table that have not the same number of rows. */
void group_warn_missing(Eval *e, const Group *groups, int count, Span span) {
    int most = 0, least = -1;
    for (int g = 0; g < count; g++) {
        if (groups[g].len > most) most = groups[g].len;
        if (least < 0 || groups[g].len < groups[least].len) least = g;
    }
    if (least < 0 || groups[least].len == most) return;
    Buf keys = {0};
    for (int k = 0; k < groups[least].keys; k++) {
        buf_printf(&keys, "%s%s = ", k ? ", " : "", groups[least].key[k]);
        key_label(&groups[least].value[k], &keys);
    }
    diag_add(e->diags, D_W0810, span, "the table is incomplete: %.*s has %d of %d rows", (int)keys.len,
             keys.len ? keys.at : "", groups[least].len, most);
    buf_free(&keys);
}

bool formula_given(const Value *value) {
    if (!value || value->kind != V_FORMULA) return false;
    const Ast *ast = value->formula->ast;
    return ast->kind != AST_NAME || strcmp(ast->name, "none") != 0;
}

int formula_list(Eval *e, const Value *by, Compiled **out, Name *names, int most) {
    if (!formula_given(by)) return 0;
    const Ast *ast = by->formula->ast;
    int n = ast->kind == AST_LIST ? ast->list.len : 1;
    for (int i = 0; i < n && i < most; i++) {
        const Ast *item = ast->kind == AST_LIST ? ast->list.args[i].value : ast;
        Formula part = {item, by->formula->scope};
        out[i] = formula_compile(e, &part);
        names[i] = item->kind == AST_NAME ? item->name
                   : intern_text(e->session->names, sources_text(e->diags->sources, e->arena, item->span));
    }
    return n < most ? n : most;
}
