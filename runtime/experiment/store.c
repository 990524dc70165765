/* store.c -- runs on disk: OUT/runs/HASH/ with weights.safetensors and curve.json, found again by the same call.
 *
 * Each session's end has a folder of its own (TrainRequest.chain), so that any schedule with the same beginning goes on
 * from there.  The names of sessions are not part of what is stored: curve.json has them for people.  A run that is
 * cheaper to compute again than to read (a whole training loop of a neuron) is stored only where its model is recorded.
 *  A folder is complete once curve.json is there: it is written last. */
#include "experiment/state.h"
#include "experiment/strategy.h"
#include "data/safetensors.h"
#include "support/file.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>

const char *run_folder(Arena *arena, const Session *session, const char *hash) {
    return path_join(arena, path_join(arena, session->out_folder, "runs"), hash);
}

/* ---- weights ---- */

bool model_write(Eval *e, const Model *model, const char *path, FileSync sync, Span span) {
    const NetInfo *info = model->info;
    NamedTensor *tensors = arena_array(e->arena, NamedTensor, info->params + 1);
    for (int i = 0; i < info->params; i++) {
        const Slot *slot = &info->layout.slot[i];
        tensors[i] = (NamedTensor){slot->path, slot->dtype, slot->shape, (const char *)model->block + slot->offset};
    }
    Buf net = {0};
    value_identity(&info->net, &net);
    identity_unversioned(&net, 0);
    MetaText meta[] = {{"net", buf_done(&net, e->arena)}, {"run", model->run_hash ? model->run_hash : ""}};
    char *error = NULL;
    if (safetensors_write(e->arena, path, tensors, info->params, meta, 2, sync, &error)) return true;
    diag_add(e->diags, D_R0103, span, "%s", error);
    return false;
}

/* Fills a block of the net's layout from a file: E0902 with the first path that differs. */
bool model_read(Eval *e, const NetInfo *info, void *block, const char *path, Span span, bool quiet) {
    TensorFile file;
    char *error = NULL;
    if (!safetensors_read(e->arena, path, NULL, &file, &error)) {
        if (!quiet) diag_add(e->diags, D_E0601, span, "%s", error);
        return false;
    }
    for (int i = 0; i < info->params; i++) {
        const Slot *slot = &info->layout.slot[i];
        const NamedTensor *t = safetensors_find(&file, slot->path);
        if (t && t->dtype == slot->dtype && shape_equal(&t->shape, &slot->shape)) {
            memcpy((char *)block + slot->offset, t->data, (size_t)shape_size(&slot->shape) * dtype_size(slot->dtype));
            continue;
        }
        if (quiet) return false;
        Diag *diag = diag_add(e->diags, D_E0902, span, "the weights in %s do not fit the net: %s %s", path, slot->path,
                              t ? "has another shape or type" : "is not there");
        diag_note(diag, "the file has %d tensors, the net %d parameters and states", file.count, info->params);
        return false;
    }
    return true;
}

/* ---- curves ---- */

static json_t *json_double(double x) {
    char text[32];
    text_of_f64(text, x);
    return json_string(text);                                            /* every bit, NaN too */
}

/* A measure of one call is not part of the run. */
static bool column_stored(const char *name) {
    const char *what = strchr(name, '_');
    return what && (strcmp(what, "_loss") == 0 || strcmp(what, "_accuracy") == 0);
}

static json_t *curve_json(const Run *run) {
    const Curve *c = &run->curve;
    json_t *root = json_object(), *columns = json_object(), *session = json_array(), *number = json_array(),
           *epoch = json_array();
    for (int i = 0; i < c->rows; i++) {
        json_array_append_new(session, json_string(c->session_name[i]));
        json_array_append_new(number, json_integer(c->session[i]));
        json_array_append_new(epoch, json_integer(c->epoch[i]));
    }
    for (int k = 0; k < c->columns; k++) {
        if (!column_stored(c->column[k].name)) continue;
        json_t *column = json_array();
        for (int i = 0; i < c->rows; i++) json_array_append_new(column, json_double(c->column[k].at[i]));
        json_object_set_new(columns, c->column[k].name, column);
    }
    json_object_set_new(root, "session", session);
    json_object_set_new(root, "number", number);
    json_object_set_new(root, "epoch", epoch);
    json_object_set_new(root, "columns", columns);
    json_object_set_new(root, "diverged", json_boolean(run->diverged));
    json_object_set_new(root, "semantics", json_integer(SEMANTICS_VERSION));
    return root;
}

static bool curve_read(Eval *e, const char *path, Run *run) {
    json_error_t error;
    json_t *root = json_load_file(path, 0, &error), *columns = json_object_get(root, "columns"),
           *epoch = json_object_get(root, "epoch");
    json_t *session = json_object_get(root, "session"), *number = json_object_get(root, "number");
    int rows = (int)json_array_size(epoch), count = (int)json_object_size(columns);
    bool ok = rows && json_array_size(session) == (size_t)rows && json_array_size(number) == (size_t)rows
              && json_integer_value(json_object_get(root, "semantics")) == SEMANTICS_VERSION;
    Curve *c = &run->curve;
    *c = (Curve){.rows = rows, .cap = rows, .columns = count};
    c->session = arena_array(e->arena, int, rows + 1);
    c->epoch = arena_array(e->arena, int, rows + 1);
    c->session_name = arena_array(e->arena, const char *, rows + 1);
    c->column = arena_array(e->arena, CurveColumn, count + 1);
    for (int i = 0; ok && i < rows; i++) {
        const char *name = json_string_value(json_array_get(session, (size_t)i));
        c->session_name[i] = arena_copy(e->arena, name ? name : "", name ? strlen(name) : 0);
        c->session[i] = (int)json_integer_value(json_array_get(number, (size_t)i));
        c->epoch[i] = (int)json_integer_value(json_array_get(epoch, (size_t)i));
    }
    const char *key;
    json_t *column;
    int k = 0;
    if (ok) json_object_foreach(columns, key, column) {
        c->column[k].name = arena_copy(e->arena, key, strlen(key));
        c->column[k].at = arena_array(e->arena, double, rows + 1);
        ok &= json_array_size(column) == (size_t)rows;
        for (int i = 0; ok && i < rows; i++) {
            const char *text = json_string_value(json_array_get(column, (size_t)i));
            c->column[k].at[i] = text ? strtod(text, NULL) : NAN;
        }
        k++;
    }
    run->diverged = json_is_true(json_object_get(root, "diverged"));
    json_decref(root);
    return ok;
}

/* ---- put and find ---- */

bool store_save(Eval *e, const Model *model, const Run *run, const char *hash, Span span) {
    const char *folder = run_folder(e->arena, e->session, hash);
    char *error = NULL;
    if (!folder_make(e->arena, folder, &error)) goto failed;
    FileSync sync = run->cheap ? FILE_NO_SYNC : FILE_SYNC;
    Model named = *model;
    named.run_hash = hash;
    if (!model_write(e, &named, path_join(e->arena, folder, "weights.safetensors"), sync, span)) return false;
    json_t *json = curve_json(run);
    char *text = json_dumps(json, JSON_COMPACT);
    json_decref(json);
    bool ok = file_write(e->arena, path_join(e->arena, folder, "curve.json"), text, strlen(text), sync, &error);
    free(text);
    if (ok) return true;
failed:
    diag_add(e->diags, D_R0103, span, "%s", error);
    return false;
}

/* Stores a run; a neuron's only if `recorded`. */
bool store_put(Eval *e, Run *run, bool recorded, Span span) {
    if (!e->session->out_folder || run->stored || (run->cheap && !recorded)) return true;
    run->stored = store_save(e, run->model, run, run_hash(run), span);
    return run->stored;
}

/* Rows get the names that the sessions have in this schedule; "pretrain inner" keeps its second part. */
static void curve_relabel(Eval *e, const Schedule *schedule, Curve *c) {
    const char *before = NULL, *name = NULL;
    for (int i = 0; i < c->rows; i++) {
        if (!before || strcmp(before, c->session_name[i]) || c->session[i] != c->session[i - 1]) {
            before = c->session_name[i];
            const char *part = strchr(before, ' ');
            bool known = c->session[i] >= 1 && c->session[i] <= schedule->sessions;
            name = known ? arena_printf(e->arena, "%s%s", schedule->session[c->session[i] - 1].name, part ? part : "")
                         : before;
        }
        c->session_name[i] = name;
    }
}

bool store_load(Eval *e, const TrainRequest *r, const NetInfo *info, const char *hash, Run *run, void *block) {
    const char *folder = run_folder(e->arena, e->session, hash), *curve = path_join(e->arena, folder, "curve.json");
    if (!file_exists(curve) || !curve_read(e, curve, run)) return false;
    if ((r->keep || r->measures) && !kept_load(e, r, hash, run)) return false;
    curve_relabel(e, &r->schedule, &run->curve);
    return model_read(e, info, block, path_join(e->arena, folder, "weights.safetensors"), r->span, true);
}

bool store_usable(const Eval *e) {
    const Turn *turn = lab_turn(e)->turn;
    return e->session->out_folder && !(turn && turn->experiment->measures_time);
}

bool store_find(Eval *e, const TrainRequest *r, const NetInfo *info, Run **out) {
    if (!store_usable(e)) return false;
    const char *hash = r->chain[r->schedule.sessions];
    info = info_after(e, info, &r->schedule, r->schedule.sessions, r->span);
    if (!info) return false;
    Run *run = arena_new_of(e->arena, Run);
    Model *model = arena_new_of(e->arena, Model);
    char *block = arena_alloc(e->arena, info->layout.size + 64);
    *model = (Model){.object = {&model_class}, .info = info, .data = r->data, .known = true,
                     .block = (void *)(((uintptr_t)block + 63) & ~(uintptr_t)63)};
    request_facts(e, r, model);
    *run = (Run){.object = {&run_class}, .model = model, .known = true, .data = r->data, .stored = true};
    if (!store_load(e, r, info, hash, run, model->block)) return false;
    memcpy(run->hash, hash, sizeof run->hash);
    model->run_hash = run->hash;
    run->sessions = r->schedule.sessions;
    run->model = model_with(e, model, info_strategies(info), r->span);
    if (!run->model) return false;
    run->session_name = arena_array(e->arena, const char *, run->sessions + 1);
    for (int i = 0; i < run->sessions; i++) run->session_name[i] = r->schedule.session[i].name;
    *out = run;
    return true;
}
