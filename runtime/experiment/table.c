/* table.c -- table(name, by:, where:, of:, column: formula ...): prints, writes TSV, and is a value whose columns are
 * again columns for `of:`. */
#include "experiment/experiment.h"
#include "report/table.h"

#include <ctype.h>
#include <stdlib.h>

enum { MAX_BY = 16, MAX_COLUMNS = 48 };

static void table_identity(const Object *self, Buf *out) {
    buf_printf(out, "table %s", ((const TableObject *)self)->name);
}
const ObjectClass table_class = {.name = "table", .identity = table_identity};

bool name_of_file(Eval *e, const char *name, Span span) {
    bool plain = *name && *name != '.';
    for (const char *p = name; *p; p++) plain &= isalnum((unsigned char)*p) || strchr("_-. ", *p);
    if (!plain) diag_add(e->diags, D_E0901, span, "\"%s\" cannot name a file; letters, digits, _ - and . can", name);
    return plain;
}

bool report_name(Eval *e, Experiment *x, const char *name, Span span) {
    if (!name_of_file(e, name, span)) return false;
    for (int i = 0; i < x->reports.len; i++)
        if (strcmp(x->reports.at[i], name) == 0) {
            diag_add(e->diags, D_E0811, span, "two tables or figures are called \"%s\"", name);
            return false;
        }
    vec_push(x->arena, &x->reports, arena_copy(x->arena, name, strlen(name)));
    return true;
}

bool report_waits(Experiment *x) {
    if (!x->lab->options.shards) return false;
    x->lab->reports_wait = true;
    return true;
}

typedef struct Making {
    Eval *e; Experiment *x; const BuiltinCall *call; const char *name;
    Compiled *by[MAX_BY], *column[MAX_COLUMNS], *where;
    Name by_name[MAX_BY], column_name[MAX_COLUMNS];
    int bys, columns;
    RowSet *rows; Group all, *groups; int group_count;
} Making;

static bool making_read(Making *m) {
    const Value *args = m->call->args;
    m->name = args[0].text;
    m->bys = formula_list(m->e, &args[1], m->by, m->by_name, MAX_BY);
    if (formula_given(&args[2])) m->where = formula_compile(m->e, args[2].formula);
    const ValueRecord *columns = args[4].kind == V_RECORD ? args[4].record : NULL;
    for (int i = 0; columns && i < columns->len && i < MAX_COLUMNS; i++) {
        m->column_name[m->columns] = columns->name[i];
        m->column[m->columns++] = formula_compile(m->e, columns->at[i].formula);
    }
    return true;
}

/* The rows: those of another table, or the recorded ones that have what the formulas name. */
static bool making_rows(Making *m) {
    const Value *of = &m->call->args[3];
    if (of->kind == V_OBJECT && of->object->class == &table_class) m->rows = ((const TableObject *)of->object)->set;
    else {
        Compiled *all[MAX_BY + MAX_COLUMNS + 1];
        int n = 0;
        for (int i = 0; i < m->bys; i++) all[n++] = m->by[i];
        for (int i = 0; i < m->columns; i++) all[n++] = m->column[i];
        if (m->where) all[n++] = m->where;
        m->rows = formula_rows(m->e, m->x, all, n, m->call->span);
    }
    return m->rows && group_all(m->e, m->rows, m->column, m->columns, m->where, &m->all)
           && group_split(m->e, &m->all, m->by, m->by_name, m->bys, &m->groups, &m->group_count);
}

/* One row of the result for each group. */
static bool making_set(Making *m, RowSet *set) {
    Arena *arena = m->x->arena;
    bool averages = false;
    for (int i = 0; i < m->columns; i++) averages |= formula_aggregates(m->column[i]);
    if (averages && m->rows->call) {
        group_warn(m->e, m->groups, m->group_count, m->call->span);
        group_warn_missing(m->e, m->groups, m->group_count, m->call->span);
    }
    set->keys = m->bys;
    set->columns = m->columns;
    set->key = arena_array(arena, Name, m->bys + 1);
    set->column = arena_array(arena, Name, m->columns + 1);
    set->measured = arena_array(arena, bool, m->columns + 1);
    for (int i = 0; i < m->bys; i++) set->key[i] = m->by_name[i];
    for (int i = 0; i < m->columns; i++) set->column[i] = m->column_name[i];
    for (int g = 0; g < m->group_count; g++) {
        Row *row = arena_new_of(arena, Row);
        *row = (Row){.set = set, .key = arena_array(arena, Value, m->bys + 1),
                     .column = arena_array(arena, Value, m->columns + 1)};
        bool plain = true;
        for (int i = 0; i < m->bys; i++) row->key[i] = value_keep(arena, &m->groups[g].value[i], &plain);
        for (int i = 0; i < m->columns; i++) {
            Value value;
            if (!formula_group(m->e, m->column[i], &m->groups[g], &value)) return false;
            row->column[i] = value_keep(arena, &value, &plain);
        }
        vec_push(arena, &set->rows, row);
    }
    return true;
}

/* A statistics record shows its parts: k of n; the mean and its interval; p. */
static Datum cell_datum(Arena *arena, const Value *value) {
    const Value *k = value->kind == V_RECORD ? record_get(value, "k") : NULL,
                *n = value->kind == V_RECORD ? record_get(value, "n") : NULL;
    const Value *p = value->kind == V_RECORD ? record_get(value, "p") : NULL,
                *mean = value->kind == V_RECORD ? record_get(value, "mean") : NULL;
    const Value *low = value->kind == V_RECORD ? record_get(value, "low") : NULL,
                *high = value->kind == V_RECORD ? record_get(value, "high") : NULL;
    const Value *rank = value->kind == V_RECORD ? record_get(value, "rank_p") : NULL;
    if (k && n && p)
        return datum_text(arena_printf(arena, "%lld of %lld, two-sided p = %.3g", (long long)k->integer,
                                       (long long)n->integer, p->real));
    if (mean && low && high && p && rank)
        return datum_text(arena_printf(arena, "%.4g [%.4g, %.4g], p = %.3g, ranks %.3g", mean->real, low->real,
                                       high->real, p->real, rank->real));
    if (mean && low && high)
        return datum_text(arena_printf(arena, "%.4g [%.4g, %.4g]", mean->real, low->real, high->real));
    if (mean && p) return datum_text(arena_printf(arena, "%.4g, p = %.3g", mean->real, p->real));
    return value_datum(arena, value);
}

static bool table_files(Making *m, const Table *table) {
    Buf text = {0};
    char *error = NULL;
    table_tsv(table, &text);
    const char *path = path_join(m->e->arena, m->x->folder, arena_printf(m->e->arena, "%s.tsv", m->name));
    bool ok = !m->x->folder || file_write(m->e->arena, path, text.at, text.len, FILE_SYNC, &error);
    buf_free(&text);
    if (!ok) diag_add(m->e->diags, D_R0103, m->call->span, "%s", error);
    else if (m->x->folder) vec_push(m->x->arena, &m->x->files, arena_copy(m->x->arena, path, strlen(path)));
    return ok;
}

static bool table_show(Making *m, const RowSet *set) {
    Arena *arena = m->e->arena;
    int width = set->keys + set->columns;
    Datum *at = arena_array(arena, Datum, width * set->rows.len + 1);
    const char **names = arena_array(arena, const char *, width + 1);
    for (int i = 0; i < set->keys; i++) names[i] = set->key[i];
    for (int i = 0; i < set->columns; i++) names[set->keys + i] = set->column[i];
    for (int r = 0; r < set->rows.len; r++) {
        for (int i = 0; i < set->keys; i++) at[r * width + i] = key_datum(arena, &set->rows.at[r]->key[i]);
        for (int i = 0; i < set->columns; i++)
            at[r * width + set->keys + i] = cell_datum(arena, &set->rows.at[r]->column[i]);
    }
    Table table = {
        .title = m->name, .keys = set->keys, .columns = width, .rows = set->rows.len, .name = names, .at = at};
    const LabOptions *o = &m->x->lab->options;
    Buf text = {0};
    TableStyle style = {.width = o->width, .rows = 40, .bold = o->bold};
    table_text(&table, &style, &text);
    buf_put(&text, "\n", 2);
    if (o->say) o->say(o->say_data, text.at);
    buf_free(&text);
    return table_files(m, &table);
}

static bool builtin_table(Eval *e, const BuiltinCall *call, Value *out) {
    Turn *turn = lab_turn(e) ? lab_turn(e)->turn : NULL;
    if (!turn) {
        diag_add(e->diags, D_E0802, call->span, "table stands inside an experiment");
        return eval_fail(out);
    }
    Making m = {.e = e, .x = turn->experiment, .call = call};
    TableObject *object = arena_new_of(m.x->arena, TableObject);
    *object = (TableObject){.object = {&table_class}, .name = call->args[0].text, .known = e->mode == EVAL_RUN};
    *out = value_object(&object->object);
    if (!report_name(e, m.x, object->name, call->arg_spans[0])) return eval_fail(out);
    if (e->mode == EVAL_CHECK) return row_fields_check(e, turn, call->ast);
    if (report_waits(m.x)) return true;
    loop_flush(m.x, turn);
    object->set = arena_new_of(m.x->arena, RowSet);
    if (!making_read(&m) || !making_rows(&m) || !making_set(&m, object->set) || !table_show(&m, object->set))
        return eval_fail(out);
    return true;
}

const BuiltinRow builtins_table[] = {{"table", builtin_table}, {NULL, NULL}};
