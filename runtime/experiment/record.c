/* record.c -- rows: `record`, what they keep, how they are written. */
#include "experiment/experiment.h"
#include "sema/strategy.h"
#include "support/file.h"

#include <math.h>
#include <stdlib.h>

/* ---- copies that outlive the turn ---- */

static Callable *keep_callable(Arena *arena, const Callable *from, bool *plain) {
    Callable *callable = arena_new_of(arena, Callable);
    *callable = *from;
    callable->instance = NULL;
    if (from->settings) callable->settings = arena_array(arena, Value, from->settings_len + 1);
    for (int i = 0; from->settings && i < from->settings_len; i++)
        callable->settings[i] = value_keep(arena, &from->settings[i], plain);
    if (from->weights) {
        Value weights = {.kind = V_RECORD, .record = from->weights};
        callable->weights = value_keep(arena, &weights, plain).record;
    }
    callable->strategies = strategies_keep(arena, from->strategies);
    return callable;
}

Value value_keep(Arena *arena, const Value *value, bool *plain) {
    Value copy = *value;
    copy.node = 0;
    switch (value->kind) {
    case V_TEXT: copy.text = arena_copy(arena, value->text, strlen(value->text)); break;
    case V_LIST: {
        Value *at = arena_array(arena, Value, value->list->len + 1);
        for (int i = 0; i < value->list->len; i++) at[i] = value_keep(arena, &value->list->at[i], plain);
        copy = value_list(arena, at, value->list->len);
        copy.label = value->label;
        break;
    }
    case V_RECORD: {
        Value *at = arena_array(arena, Value, value->record->len + 1);
        Name *name = arena_array(arena, Name, value->record->len + 1);
        for (int i = 0; i < value->record->len; i++) {
            at[i] = value_keep(arena, &value->record->at[i], plain);
            name[i] = value->record->name[i];
        }
        copy = value_record(arena, name, at, value->record->len);
        copy.label = value->label;
        break;
    }
    case V_RANGE: {
        ValueRange *range = arena_new_of(arena, ValueRange);
        *range = *value->range;
        copy.range = range;
        break;
    }
    case V_TENSOR: {
        Tensor *t = arena_new_of(arena, Tensor);
        size_t size = (size_t)shape_size(&value->tensor->shape) * dtype_size(value->tensor->dtype);
        *t = *value->tensor;
        t->data = arena_alloc(arena, size + 1);
        memcpy(t->data, value->tensor->data, size);
        copy.tensor = t;
        break;
    }
    case V_CALLABLE: copy.callable = keep_callable(arena, value->callable, plain); break;
    case V_OBJECT:
        if (value->object->class == &distribution_class) {
            Distribution *distribution = arena_new_of(arena, Distribution);
            *distribution = *(const Distribution *)value->object;
            copy.object = &distribution->object;
        } else if (value->object->class->keep) copy.object = value->object->class->keep(arena, value->object);
        else *plain = false;
        break;
    case V_TYPE: case V_FORMULA: case V_MODULE: *plain = false; break;
    case V_ERROR: case V_NONE: case V_BOOL: case V_INT: case V_REAL: case V_CHOICE: case V_NODE: case V_ABSTRACT: break;
    }
    return copy;
}

/* ---- row sets ---- */

int turn_keys(const Turn *turn, Name *names, Value *values) {
    int n = 0;
    if (turn->outer) n = turn_keys(turn->outer, names, values);
    for (int i = 0; i < turn->names; i++, n++) {
        if (names) names[n] = turn->name[i];
        if (values) values[n] = turn->value[i];
    }
    return n;
}

/* The iterators that bound the keys of a turn, counted from the outermost loop's first.  Gives how many keys. */
static int turn_patterns(const Turn *turn, int *pattern) {
    int n = turn->outer ? turn_patterns(turn->outer, pattern) : 0, before = n ? pattern[n - 1] + 1 : 0;
    for (int i = 0; i < turn->names; i++) pattern[n++] = before + turn->pattern[i];
    return n;
}

bool keys_together(const RowSet *set, Name a, Name b) {
    int of_a = -1, of_b = -2;
    for (int i = 0; set->pattern && i < set->keys; i++) {
        if (set->key[i] == a) of_a = set->pattern[i];
        if (set->key[i] == b) of_b = set->pattern[i];
    }
    return a == b || of_a == of_b;
}

static int64_t set_place(const RowSet *set) { return set->call ? (int64_t)set->call->span.lo : -1; }

/* The set of a `record` in the text; made at its first row.  The caller holds the experiment's lock. */
static RowSet *row_set(Experiment *x, const Turn *turn, const BuiltinCall *call) {
    for (int i = 0; i < x->sets.len; i++)
        if (x->sets.at[i]->call == call->ast) return x->sets.at[i];
    const ValueRecord *labels = call->args[0].record;
    RowSet *set = arena_new_of(x->arena, RowSet);
    set->call = call->ast;
    set->keys = turn_keys(turn, NULL, NULL);
    set->key = arena_array(x->arena, Name, set->keys + 1);
    turn_keys(turn, set->key, NULL);
    set->pattern = arena_array(x->arena, int, set->keys + 1);
    turn_patterns(turn, set->pattern);
    set->columns = labels->len;
    set->column = arena_array(x->arena, Name, labels->len + 1);
    set->measured = arena_array(x->arena, bool, labels->len + 1);
    for (int i = 0; i < labels->len; i++) {
        set->column[i] = labels->name[i];
        for (int k = 0; call->ast && k < call->ast->call.len; k++)
            if (call->ast->call.args[k].label == labels->name[i])
                set->measured[i] = ast_measures_time(call->ast->call.args[k].value);
    }
    vec_push(x->arena, &x->sets, set);
    for (int i = x->sets.len - 1; i > 0 && set_place(x->sets.at[i - 1]) > set_place(set);
         i--) { /* in the order of the text */
        x->sets.at[i] = x->sets.at[i - 1];
        x->sets.at[i - 1] = set;
    }
    return set;
}

static bool builtin_record(Eval *e, const BuiltinCall *call, Value *out) {
    Turn *turn = lab_turn(e)->turn;
    *out = value_none();
    if (!turn) {
        diag_add(e->diags, D_E0802, call->span, "record stands inside an experiment");
        return eval_fail(out);
    }
    Experiment *x = turn->experiment;
    pthread_mutex_lock(&x->lock);
    RowSet *set = row_set(x, turn, call);
    pthread_mutex_unlock(&x->lock);
    Row *row = arena_new_of(turn->arena, Row);
    row->set = set;
    row->turn = turn;
    row->key = arena_array(turn->arena, Value, set->keys + 1);
    row->column = arena_array(turn->arena, Value, set->columns + 1);
    turn_keys(turn, NULL, row->key);
    for (int i = 0; i < set->columns; i++) row->column[i] = call->args[0].record->at[i];
    vec_push(turn->arena, &turn->rows, row);
    return true;
}

/* ---- what is known of rows before there are any ---- */

typedef struct FieldCheck { Eval *e; const Turn *turn; bool ok; } FieldCheck;

/* Whether a curve has the field, or may have it in other turns of a loop of numbers: of another part of the data.  Any
 * field may be there of what is no curve, as its record may depend on such a turn too. */
static bool may_have(const Value *value, Name field) {
    if (value->kind != V_RECORD || value->record->len < 3 || record_get(value, field)) return true;
    const ValueRecord *r = value->record;
    const char *what = strchr(field, '_');
    if (strcmp(r->name[0], "session") != 0 || strcmp(r->name[1], "epoch") != 0) return true;
    if (strncmp(field, "train_", 6) != 0 && strncmp(field, "valid_", 6) != 0 && strncmp(field, "test_", 5) != 0)
        return false;
    if (strcmp(what, "_accuracy") == 0) return true;
    for (int i = 2; i < r->len; i++)
        if (strcmp(strchr(r->name[i], '_'), what) == 0) return true;
    return false;
}

static bool is_key(const RowSet *set, Name name) {
    for (int i = 0; i < set->keys; i++)
        if (set->key[i] == name) return true;
    return false;
}

static void check_select(void *data, Ast *node) {
    FieldCheck *check = data;
    const Value *lacks = NULL;
    bool has = false;
    for (int i = 0; node->kind == AST_SELECT && node->select.of->kind == AST_NAME && i < check->turn->rows.len; i++) {
        const Row *row = check->turn->rows.at[i];
        has |= is_key(row->set, node->select.of->name);
        for (int k = 0; k < row->set->columns; k++) {
            if (row->set->column[k] != node->select.of->name) continue;
            if (may_have(&row->column[k], node->select.field)) has = true;
            else lacks = &row->column[k];
        }
    }
    Value none;
    if (lacks && !has)
        check->ok &= eval_field(check->e, lacks, node->select.field, node->select.field_span, &none);
    ast_children(node, check_select, data);
}

bool row_fields_check(Eval *e, const Turn *turn, const Ast *call) {
    FieldCheck check = {e, turn, true};
    for (int i = 0; call && i < call->call.len; i++)
        if (call->call.args[i].label && strcmp(call->call.args[i].label, "of") == 0) return true;
    if (call) ast_children(call, check_select, &check);
    return check.ok;
}

/* A finished turn's row in the experiment's memory: plain values are copied, others keep their turn's arena.  The
 * caller holds the lock, or is alone; row_add then puts the copies among the rows of their set, in the order of the
 * turns. */
Row *row_settle(Experiment *x, const Row *row) {
    bool plain = true;
    Row *copy = arena_new_of(x->arena, Row);
    *copy = *row;
    copy->number = row->turn->number < 0 ? 2 * x->numbered : 2 * row->turn->number + 1;
    copy->key = arena_array(x->arena, Value, row->set->keys + 1);
    copy->column = arena_array(x->arena, Value, row->set->columns + 1);
    bool keys_plain = true;
    for (int i = 0; i < row->set->keys; i++) copy->key[i] = value_keep(x->arena, &row->key[i], &keys_plain);
    for (int i = 0; i < row->set->columns; i++) copy->column[i] = value_keep(x->arena, &row->column[i], &plain);
    Turn *turn = (Turn *)(uintptr_t)row->turn;
    Turn *top = turn;
    while (top->outer && top->outer->outer) top = top->outer;
    if (!plain || row_around(row)) top->keeps = true;                    /* rows around it are found through its turn */
    else copy->turn = NULL;
    if (turn->runs.len == 1) {
        const char *hash = run_hash(turn->runs.at[0]);
        LinkedRun link = {copy, arena_copy(x->arena, hash, strlen(hash))};
        vec_push(x->arena, &x->linked, link);
    }
    return copy;
}

void row_add(Experiment *x, Row *settled) {
    vec_push(x->arena, &settled->set->rows, settled);
    x->rows++;
}

bool row_around(const Row *row) {
    for (const Turn *turn = row->turn ? row->turn->outer : NULL; turn; turn = turn->outer)
        for (int i = 0; i < turn->rows.len; i++)
            if (turn->rows.at[i]->turn == turn) return true; /* the others were recorded in turns inside it */
    return false;
}

static bool row_own(const Row *row, Name name, Value *out) {
    for (int i = 0; i < row->set->keys; i++)
        if (row->set->key[i] == name) { *out = row->key[i]; return true; }
    for (int i = 0; i < row->set->columns; i++)
        if (row->set->column[i] == name) { *out = row->column[i]; return true; }
    return false;
}

bool row_value(const Row *row, Name name, Value *out) {
    if (row_own(row, name, out)) return true;
    for (const Turn *turn = row->turn ? row->turn->outer : NULL; turn; turn = turn->outer)
        for (int i = 0; i < turn->rows.len; i++)
            if (turn->rows.at[i]->set != row->set && turn->rows.at[i]->turn == turn &&
                row_own(turn->rows.at[i], name, out))
                return true;
    return false;
}

/* ---- writing ---- */

void key_label(const Value *value, Buf *out) {
    if (value->label) buf_text(out, value->label);
    else if (value->kind == V_TEXT) buf_text(out, value->text);
    else if (value->kind == V_CALLABLE) value_show(value, out);          /* mlp[inner[2], 64] */
    else {
        size_t from = out->len;
        value_identity(value, out);
        identity_unversioned(out, from);
    }
}

static Datum tensor_datum(Arena *arena, const Tensor *t, int axis, int64_t *at) {
    if (axis == t->shape.rank) {
        int64_t i = (*at)++;
        switch (t->dtype) {
        case DT_BOOL: return datum_bool(((const uint8_t *)t->data)[i]);
        case DT_I32: return datum_int(((const int32_t *)t->data)[i]);
        case DT_F32: return datum_number(((const float *)t->data)[i]);
        case DT_F64: return datum_number(((const double *)t->data)[i]);
        }
    }
    int n = (int)t->shape.dim[axis];
    Datum *list = arena_array(arena, Datum, n + 1);
    for (int i = 0; i < n; i++) list[i] = tensor_datum(arena, t, axis + 1, at);
    return datum_list(list, n);
}

/* What files hold of a value: numbers, texts and lists; of anything else its canonical text. */
Datum value_datum(Arena *arena, const Value *value) {
    int64_t at = 0;
    switch (value->kind) {
    case V_NONE: case V_ERROR: case V_ABSTRACT: return datum_null();
    case V_BOOL: return datum_bool(value->boolean);
    case V_INT: return datum_int(value->integer);
    case V_REAL: return datum_number(value->real);
    case V_TEXT: return datum_text(value->text);
    case V_TENSOR: return tensor_datum(arena, value->tensor, 0, &at);
    case V_LIST: {
        Datum *list = arena_array(arena, Datum, value->list->len + 1);
        for (int i = 0; i < value->list->len; i++) list[i] = value_datum(arena, &value->list->at[i]);
        return datum_list(list, value->list->len);
    }
    case V_RECORD: case V_RANGE: case V_NODE: case V_TYPE: case V_CHOICE: case V_CALLABLE: case V_FORMULA:
    case V_OBJECT: case V_MODULE: break;
    }
    Buf text = {0};
    value_identity(value, &text);
    identity_unversioned(&text, 0);
    buf_put(&text, "", 1);
    return datum_text(buf_done(&text, arena));
}

Datum key_datum(Arena *arena, const Value *key) {
    bool number = key->kind == V_INT || key->kind == V_REAL || key->kind == V_BOOL;
    if (number && !key->label) return value_datum(arena, key);
    Buf label = {0};
    key_label(key, &label);
    buf_put(&label, "", 1);
    return datum_text(buf_done(&label, arena));
}

/* A record's fields become columns of their own: "curve.epoch". */
static void put_fields(Arena *arena, const char *name, const Value *value, Field *fields, int *n, int most) {
    if (value->kind != V_RECORD) {
        if (*n < most) fields[(*n)++] = (Field){name, value_datum(arena, value)};
        return;
    }
    for (int i = 0; i < value->record->len; i++)
        put_fields(arena, arena_printf(arena, "%s.%s", name, value->record->name[i]), &value->record->at[i], fields, n,
                   most);
}

enum { MAX_FIELDS = 256, ROWS_SCRATCH = 1 << 20 };
/* Do all keys but the last say the same?  Then their text is the same: rows of a sweep differ in the seed. */
static bool same_start(const Row *a, const Row *b) {
    if (a->set != b->set) return false;
    for (int i = 0; i + 1 < a->set->keys; i++) {
        const Value *x = &a->key[i], *y = &b->key[i];
        bool number = x->kind == V_INT || x->kind == V_REAL;
        if (x->label != y->label || x->kind != y->kind || (!x->label && !(number && x->integer == y->integer)))
            return false;
    }
    return true;
}

/* Writes rows one after the other; start: "{", and all keys but the last, of the row before. */
typedef struct RowWriter { Arena *scratch; const Row *before; Buf start, text; Field field[MAX_FIELDS]; } RowWriter;

static void put_start(RowWriter *w, const Row *row) {
    w->start.len = 0;
    buf_text(&w->start, "{");
    for (int i = 0; i + 1 < row->set->keys; i++) {
        Datum key = key_datum(w->scratch, &row->key[i]);
        json_text(&w->start, row->set->key[i]);
        buf_text(&w->start, ":");
        json_datum(&w->start, &key);
        buf_text(&w->start, ",");
    }
}

static void put_row(RowWriter *w, const Row *row, bool measured) {
    const RowSet *set = row->set;
    int n = 0, last = set->keys - 1;
    if (!w->before || !same_start(row, w->before)) put_start(w, row);
    if (last >= 0) w->field[n++] = (Field){set->key[last], key_datum(w->scratch, &row->key[last])};
    for (int i = 0; i < set->columns; i++)
        if (set->measured[i] == measured)
            put_fields(w->scratch, set->column[i], &row->column[i], w->field, &n, MAX_FIELDS);
    buf_put(&w->text, w->start.at, w->start.len);
    for (int i = 0; i < n; i++) {
        if (i) buf_text(&w->text, ",");
        json_text(&w->text, w->field[i].name);
        buf_text(&w->text, ":");
        json_datum(&w->text, &w->field[i].value);
    }
    buf_text(&w->text, "}\n");
    w->before = row;
}

static bool records_file(Experiment *x, Eval *e, const char *name, bool measured, Buf *places) {
    RowWriter w = {.scratch = arena_new()};
    bool any = false;
    for (int s = 0; s < x->sets.len; s++) {
        const RowSet *set = x->sets.at[s];
        bool has = !measured;
        for (int i = 0; i < set->columns; i++) has |= set->measured[i] == measured;
        for (int i = 0; has && i < set->rows.len; i++) {
            if (x->lab->options.shards)
                buf_printf(places, "%s[%lld,%lld]", places->len ? "," : "", (long long)set_place(set),
                           (long long)set->rows.at[i]->number);
            put_row(&w, set->rows.at[i], measured);
            if (arena_used(w.scratch) < ROWS_SCRATCH) continue;
            arena_free(w.scratch);
            w.scratch = arena_new();
        }
        any |= has && set->rows.len;
    }
    arena_free(w.scratch);
    char *error = NULL;
    const char *path = path_join(e->arena, x->folder, name);
    bool ok = !any || file_write(e->arena, path, w.text.at, w.text.len, FILE_SYNC, &error);
    buf_free(&w.text);
    buf_free(&w.start);
    if (!ok) diag_add(e->diags, D_R0103, x->ast->experiment.name_span, "%s", error);
    else if (any) vec_push(x->arena, &x->files, path);
    return ok;
}

/* shard.json: which shard this is, and for each line of the two files its `record` (its place in the text) and
 * number. */
static bool shard_file(Experiment *x, Eval *e, const Buf *records, const Buf *measured) {
    const LabOptions *o = &x->lab->options;
    Buf text = {0};
    char *error = NULL;
    buf_printf(&text, "{\"shard\":%d,\"of\":%d,\"program_sha256\":\"%s\",\"turns\":%lld,\n\"records\":[%.*s],\n"
                      "\"measured\":[%.*s]}\n", o->shard,
               o->shards, o->program_hash ? o->program_hash : "", (long long)x->numbered, (int)records->len,
               records->len ? records->at : "", (int)measured->len, measured->len ? measured->at : "");
    bool ok = file_write(e->arena, path_join(e->arena, x->folder, "shard.json"), text.at, text.len, FILE_SYNC, &error);
    buf_free(&text);
    if (!ok) diag_add(e->diags, D_R0103, x->ast->experiment.name_span, "%s", error);
    return ok;
}

bool records_write(Experiment *x, Eval *e) {
    Buf records = {0}, measured = {0};
    bool ok = records_file(x, e, "records.jsonl", false, &records) &&
              records_file(x, e, "measured.jsonl", true, &measured);
    ok = ok && (!x->lab->options.shards || shard_file(x, e, &records, &measured));
    buf_free(&records);
    buf_free(&measured);
    return ok;
}

const BuiltinRow builtins_record[] = {{"record", builtin_record}, {NULL, NULL}};
