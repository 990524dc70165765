/* save.c -- save(name, value): arrays as NumPy's files, in the experiment's folder.
 *
 * An array is NAME.npy; data is NAME.x.npy, in raw units, and NAME.y.npy.  In a loop the keys stand behind the name.
 * Files are written whole or not at all: version 1, little-endian, rows first, numbers as they are in the program. */
#include "experiment/experiment.h"

enum { ARG_NAME, ARG_VALUE };

static void npy_text(const Tensor *t, Buf *out) {
    const char *descr = t->dtype == DT_F64 ? "<f8" : t->dtype == DT_F32 ? "<f4" : t->dtype == DT_BOOL ? "|b1" : "<i4";
    Buf head = {0};
    buf_printf(&head, "{'descr': '%s', 'fortran_order': False, 'shape': (", descr);
    for (int i = 0; i < t->shape.rank; i++)
        buf_printf(&head, "%s%lld%s", i ? " " : "", (long long)t->shape.dim[i], i + 1 < t->shape.rank || !i ? "," : "");
    buf_text(&head, "), }");
    while ((10 + head.len + 1) % 64) buf_text(&head, " ");
    buf_text(&head, "\n");
    const unsigned char start[] = {
        0x93, 'N', 'U', 'M', 'P', 'Y', 1, 0, (unsigned char)(head.len & 255), (unsigned char)(head.len >> 8)};
    buf_put(out, (const char *)start, sizeof start);
    buf_put(out, head.at, head.len);
    buf_put(out, t->data, (size_t)shape_size(&t->shape) * dtype_size(t->dtype));
    buf_free(&head);
}

static bool put(Eval *e, const char *path, const Tensor *t, Span span) {
    Buf text = {0};
    char *error = NULL;
    npy_text(t, &text);
    bool ok = file_write(e->arena, path, text.at, text.len, FILE_NO_SYNC, &error);
    buf_free(&text);
    if (!ok) diag_add(e->diags, D_R0103, span, "%s", error);
    return ok;
}

/* Each call has a name of its own; a call in a loop may come by again. */
static bool own_name(Eval *e, Experiment *x, const BuiltinCall *call, bool *again) {
    const char *name = call->args[ARG_NAME].text;
    bool ok = true;
    *again = false;
    pthread_mutex_lock(&x->lock);
    for (int i = 0; i < x->saved.len; i++) {
        if (strcmp(x->saved.at[i].name, name)) continue;
        *again = x->saved.at[i].span.lo == call->span.lo;
        ok = *again;
    }
    if (ok && !*again)
        vec_push(x->arena, &x->saved, ((SavedName){arena_copy(x->arena, name, strlen(name)), call->span}));
    pthread_mutex_unlock(&x->lock);
    if (!ok) diag_add(e->diags, D_E0811, call->arg_spans[ARG_NAME], "two arrays are called \"%s\"", name);
    return ok;
}

/* Array i of a value, and how its file's name ends; NULL past the last one, or after a diagnostic. */
static const char *part_of(Eval *e, const Value *value, int i, Span span, const Tensor **out) {
    static const char *const names[] = {".x.npy", ".y.npy"};
    const DataObject *data = value->kind == V_OBJECT && value->object->class == &data_class
                                 ? (const DataObject *)value->object
                                 : NULL;
    if (i > (data != NULL)) return NULL;
    if (!data && value->kind == V_TENSOR) return *out = value->tensor, ".npy";
    if (!data) return value_as_tensor(e, value, DT_F64, span, out) ? ".npy" : NULL;
    const Column *column = i ? &data->y : &data->x;
    Tensor *t = arena_new_of(e->arena, Tensor);
    *t = (Tensor){.dtype = column->dtype, .shape = {column->shape.rank + 1, {data->size}},
                  .data = (void *)(uintptr_t)column->rows};
    for (int k = 0; k < column->shape.rank; k++) t->shape.dim[k + 1] = column->shape.dim[k];
    if (!i && column->dtype != DT_I32) {
        t->dtype = DT_F32;
        t->data = (void *)(uintptr_t)data_raw(lab_of(e), data);
    }
    *out = t;
    return names[i];
}

static bool can_save(Eval *e, const BuiltinCall *call) {
    const Value *value = &call->args[ARG_VALUE];
    const DataObject *data = value->kind == V_OBJECT && value->object->class == &data_class
                                 ? (const DataObject *)value->object
                                 : NULL;
    bool number = value->kind == V_INT || value->kind == V_REAL || value->kind == V_BOOL || value->kind == V_LIST ||
                  value->kind == V_TENSOR;
    if (value->kind == V_ABSTRACT || number || (data && !data->noise)) return true;
    Diag *diag = diag_add(e->diags, D_E0314, call->arg_spans[ARG_VALUE], "save takes data or numbers; this is %s",
                          value_kind_name(value));
    diag_hint(diag, "the examples of an attack are a.examples");
    return false;
}

static bool builtin_save(Eval *e, const BuiltinCall *call, Value *out) {
    const LabTurn *here = lab_turn(e);
    Turn *turn = here ? here->turn : NULL;
    const Value *value = &call->args[ARG_VALUE];
    bool again;
    *out = value_none();
    if (!turn) {
        diag_add(e->diags, D_E0802, call->span, "save stands inside an experiment");
        return eval_fail(out);
    }
    Experiment *x = turn->experiment;
    if (!name_of_file(e, call->args[ARG_NAME].text, call->arg_spans[ARG_NAME]) || !can_save(e, call) ||
        !own_name(e, x, call, &again))
        return eval_fail(out);
    if (e->mode == EVAL_CHECK || !x->folder || value->kind == V_ABSTRACT) return true;
    int keys = turn_keys(turn, NULL, NULL);
    Value *key = arena_array(e->arena, Value, keys + 1);
    turn_keys(turn, NULL, key);
    const char *name = call->args[ARG_NAME].text, *part;
    if (keys) name = arena_printf(e->arena, "%s-%s", name, keys_file(e->arena, key, keys));
    const Tensor *t;
    int errors = e->diags->errors;
    for (int i = 0; (part = part_of(e, value, i, call->arg_spans[ARG_VALUE], &t)); i++) {
        const char *file = arena_printf(e->arena, "%s%s", name, part);
        if (!put(e, path_join(e->arena, x->folder, file), t, call->span)) return eval_fail(out);
        pthread_mutex_lock(&x->lock);
        if (!again)
            vec_push(x->arena, &x->files,
                     arena_printf(x->arena, "%s%s%s", call->args[ARG_NAME].text, keys ? "-*" : "", part));
        pthread_mutex_unlock(&x->lock);
    }
    return e->diags->errors == errors || eval_fail(out);
}

const BuiltinRow builtins_save[] = {{"save", builtin_save}, {NULL, NULL}};
