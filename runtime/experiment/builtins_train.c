/* builtins_train.c -- train, fresh, snapshot, trace; predict, accuracy, error, loss, measure, confusion,
 * disagreement. */
#include "experiment/strategy.h"
#include "support/sha256.h"

#include <math.h>
#include <stdlib.h>

static bool is_none(const Value *value) { return value->kind == V_NONE; }

static const DataObject *arg_data(const Value *value) {
    return value->kind == V_OBJECT && value->object->class == &data_class ? (const DataObject *)value->object : NULL;
}

const Model *value_model(const Value *value) {
    if (value->kind != V_OBJECT) return NULL;
    return value->object->class == &model_class ? (const Model *)value->object : NULL;
}

static bool wrong_kind(Eval *e, const Value *value, const char *what, Span span, Value *out) {
    if (value->kind == V_ERROR) return eval_fail(out);
    if (value->kind == V_ABSTRACT) { *out = value_abstract(NULL); return true; }
    Diag *diag = diag_add(e->diags, D_E0314, span, "this must be %s; it is %s", what, value_kind_name(value));
    if (value->kind == V_OBJECT && value->object->class == &run_class && strcmp(what, "a model") == 0)
        diag_hint(diag, "run.model");
    return eval_fail(out);
}

/* ---- seeds ---- */

bool seeds_read(Eval *e, const Value *seed, Span span, Seeds *out) {
    static const char *const names[] = {"init", "order", "dropout", "noise", "augment", "attack", "split"};
    uint64_t *const at[] = {&out->init,    &out->order,  &out->dropout, &out->noise,
                            &out->augment, &out->attack, &out->split};
    const Value *parts[7] = {0};
    for (int i = 0; i < 7; i++) parts[i] = seed->kind == V_RECORD ? record_get(seed, names[i]) : seed;
    if (seed->kind == V_RECORD)
        for (int i = 0; i < seed->record->len; i++) {
            bool known = false;
            for (int k = 0; k < 7; k++) known |= strcmp(seed->record->name[i], names[k]) == 0;
            if (!known) {
                diag_add(
                    e->diags, D_E0313, span,
                    "no random numbers are called %s; there are init, order, dropout, noise, augment, attack, split",
                    seed->record->name[i]);
                return false;
            }
        }
    for (int i = 0; i < 7; i++) {
        if (!parts[i]) parts[i] = &seed->record->at[0];
        if (parts[i]->kind == V_ABSTRACT) { *at[i] = 1; continue; }
        if (parts[i]->kind != V_INT || parts[i]->integer < 0) {
            diag_add(e->diags, D_E0612, span, "a seed is a whole number from 0; this is %s", value_kind_name(parts[i]));
            return false;
        }
        *at[i] = (uint64_t)parts[i]->integer;
    }
    return true;
}

/* ---- identity: H0 = (semantics, net, data, seed, precision, start); Hi = (H(i-1), session i as values and as a graph)
 * ---- */

/* A fn is named in the values; what it computes is in the graph of the session's step. */
static bool session_hash(Eval *e, const TrainRequest *r, const NetInfo *info, const SessionSpec *s, uint64_t *hash) {
    const DataObject *data = data_part(r->data, "train");
    *hash = FNV1A_START;
    if (s->fit) return fit_check(e, r, info, s, hash);
    bool *learn = arena_array(e->arena, bool, info->params + 1);
    if (!selection_mask(e, s->learn, info, r->span, learn)) return false;
    PlanRequest plan = {.e = e, .info = info, .x = data->x, .y = data->y, .affine = data->affine, .session = s,
                        .learn = learn, .raw_lo = data->raw_lo, .raw_hi = data->raw_hi,
                        .examples = s->batch ? 0 : data->size, .span = r->span};
    return plan_check(&plan, hash);
}

/* What the call asks for beside the run: kept epochs, measures and what they compute. */
static bool run_asked(Eval *e, TrainRequest *r, const NetInfo *info) {
    const DataObject *data = data_part(r->data, "train");
    Buf text = {0};
    uint64_t hash = 0;
    r->asked = "";
    if (!r->keep && !r->measures) return true;
    if (r->keep) value_identity(r->keep, &text);
    if (r->measures) {
        PlanRequest plan = {.e = e, .info = info, .x = data->x, .y = data->y, .measures = r->measures->at,
                            .measure_count = r->measures->len, .span = r->span};
        if (!plan_check(&plan, &hash)) { buf_free(&text); return false; }
        buf_printf(&text, "|%016llx", (unsigned long long)hash);
    }
    for (int i = 0; r->measures && i < r->measures->len; i++) {
        buf_printf(&text, "|%s ", r->measures->name[i]);
        value_identity(&r->measures->at[i], &text);
    }
    r->asked = buf_done(&text, e->arena);
    return true;
}

bool run_chain(Eval *e, TrainRequest *r, const NetInfo *info) {
    Buf text = {0};
    const Seeds *s = &r->seeds;
    char hex[65];
    bool ok = true;
    r->chain = arena_alloc(e->arena, sizeof *r->chain * (size_t)(r->schedule.sessions + 1));
    buf_printf(&text, "nin %d run\n%s\n%s\n", SEMANTICS_VERSION, info->hash, r->data->hash);
    buf_printf(&text, "%llu %llu %llu %llu %llu %llu %llu %s\n", (unsigned long long)s->init,
               (unsigned long long)s->order, (unsigned long long)s->dropout, (unsigned long long)s->noise,
               (unsigned long long)s->augment, (unsigned long long)s->attack, (unsigned long long)s->split,
               dtype_name(r->precision));
    if (r->from) {
        model_hash(r->from, hex);
        buf_printf(&text, "from %s\n", hex);
    }
    if (r->start) value_identity(r->start, &text);
    sha256_hex(text.at, text.len, r->chain[0]);
    for (int i = 0; ok && i < r->schedule.sessions; i++) {
        uint64_t graph;
        text.len = 0;
        ok = session_hash(e, r, info, &r->schedule.session[i], &graph);
        if (!ok) break;
        buf_printf(&text, "%s\n%016llx\n", r->chain[i], (unsigned long long)graph);
        value_identity(r->schedule.session[i].record, &text);
        sha256_hex(text.at, text.len, r->chain[i + 1]);
    }
    buf_free(&text);
    return ok && run_asked(e, r, info);
}

const char *run_hash(const Run *run) {
    if (run->hash[0] || !run->request) return run->hash;
    TrainRequest request = *run->request;
    if (run_chain(run->maker, &request, run->model->info))
        memcpy((char *)(uintptr_t)run->hash, request.chain[request.schedule.sessions], sizeof run->hash);
    return run->hash;
}

/* ---- train ---- */

enum {
    TRAIN_NET, TRAIN_ON, TRAIN_WITH, TRAIN_SEED, TRAIN_START, TRAIN_KEEP, TRAIN_MEASURE, TRAIN_THREADS, TRAIN_PRECISION
};

/* keep: epochs from 0, every_epoch or every_step.  NULL after E0314. */
static const Value *keep_read(Eval *e, const Value *keep, Span span) {
    ValueList epochs;
    if (keep->kind == V_ABSTRACT) return keep;
    bool named = keep->kind == V_CHOICE &&
                 (strcmp(keep->choice, "every_epoch") == 0 || strcmp(keep->choice, "every_step") == 0);
    if (named) return keep;
    bool ok = (keep->kind == V_LIST || keep->kind == V_RANGE || keep->kind == V_TENSOR) &&
              eval_elements(e, keep, span, &epochs);
    for (int i = 0; ok && i < epochs.len; i++) {
        if (epochs.at[i].kind == V_REAL && epochs.at[i].real == floor(epochs.at[i].real))
            epochs.at[i] = value_int((int64_t)epochs.at[i].real);
        ok = epochs.at[i].kind == V_ABSTRACT || (epochs.at[i].kind == V_INT && epochs.at[i].integer >= 0);
    }
    if (!ok) {
        Diag *diag = diag_add(e->diags, D_E0314, span,
                              "keep: is a list of epochs, every_epoch or every_step; this is %s",
                              value_kind_name(keep));
        diag_hint(diag, "keep: [0, 10], where 0 is before training");
        return NULL;
    }
    Value *list = arena_new_of(e->arena, Value);
    *list = value_list(e->arena, epochs.at, epochs.len);
    return list;
}

/* The copies of the weights that every_epoch or every_step keeps stay in memory: E0414. */
static bool keep_fits(Eval *e, const TrainRequest *r, const NetInfo *info) {
    static const double most = 4e9;
    double copies = 0, examples = (double)data_part(r->data, "train")->size;
    if (!r->keep || r->keep->kind != V_CHOICE) return true;
    for (int i = 0; i < r->schedule.sessions; i++) {
        const SessionSpec *s = &r->schedule.session[i];
        bool steps = strcmp(r->keep->choice, "every_step") == 0 && s->batch && !s->fit;
        copies += (double)s->epochs * (steps ? ceil(examples / (double)s->batch) : 1);
    }
    if (copies * (double)info->layout.size <= most) return true;
    Diag *diag = diag_add(e->diags, D_E0414, r->span, "%s keeps %.0f copies of the weights: %.1f GB; the limit is 4",
                          r->keep->choice, copies, copies * (double)info->layout.size * 1e-9);
    diag_hint(diag, "keep: a list of epochs");
    return false;
}

static bool request_read(Eval *e, const BuiltinCall *call, TrainRequest *r) {
    const Value *a = call->args;
    *r = (TrainRequest){.data = arg_data(&a[TRAIN_ON]), .span = call->span, .precision = e->session->precision};
    r->from = value_model(&a[TRAIN_NET]);
    r->net = r->from ? &r->from->info->net : &a[TRAIN_NET];
    Value scratch;
    if (!r->data) return wrong_kind(e, &a[TRAIN_ON], "a data set", call->arg_spans[TRAIN_ON], &scratch) && false;
    if (r->data->noise) {
        diag_hint(
            diag_add(e->diags, D_E0314, call->arg_spans[TRAIN_ON], "a smooth_noise is drawn for cells, not for nets"),
            "session(fit: cells, to: ...)");
        return false;
    }
    if (!r->from && (r->net->kind != V_CALLABLE || r->net->callable->what != DEF_NET))
        return wrong_kind(e, r->net, "a net or a model", call->arg_spans[TRAIN_NET], &scratch) && false;
    if (is_none(&a[TRAIN_SEED])) {
        diag_hint(
            diag_add(e->diags, D_E0612, call->span, "which seed? a training without one would be a silent choice"),
            "seed: 1");
        return false;
    }
    if (!seeds_read(e, &a[TRAIN_SEED], call->arg_spans[TRAIN_SEED], &r->seeds)) return false;
    if (!schedule_read(e, &a[TRAIN_WITH], call->arg_spans[TRAIN_WITH], &r->schedule)) return false;
    r->start = is_none(&a[TRAIN_START]) ? NULL : &a[TRAIN_START];
    r->keep = is_none(&a[TRAIN_KEEP]) ? NULL : keep_read(e, &a[TRAIN_KEEP], call->arg_spans[TRAIN_KEEP]);
    if (!r->keep && !is_none(&a[TRAIN_KEEP])) return false;
    r->measures = a[TRAIN_MEASURE].kind == V_RECORD && a[TRAIN_MEASURE].record->len ? a[TRAIN_MEASURE].record : NULL;
    if (r->measures && r->measures->len > 6) {
        diag_add(e->diags, D_E0314, call->arg_spans[TRAIN_MEASURE], "at most 6 measures; here are %d",
                 r->measures->len);
        return false;
    }
    r->threads = a[TRAIN_THREADS].kind == V_INT ? (int)a[TRAIN_THREADS].integer : 0;
    const Value *p = &a[TRAIN_PRECISION];
    if (p->kind == V_TYPE) r->precision = p->type->kind == TYPE_F64 ? DT_F64 : DT_F32;
    return true;
}

/* A measure that a session waits for must be a column of the curve. */
static bool measure_known(Eval *e, const TrainRequest *r, const SessionSpec *s, const char *measure, Span span) {
    bool fits = s->fit && s->to && s->to->kind == V_OBJECT && s->to->object->class == &data_class;
    const DataObject *data = fits ? (const DataObject *)s->to->object : r->data;
    static const char *const parts[] = {"train", "valid", "test"};
    for (int i = 0; measure && i < 3; i++) {
        size_t n = strlen(parts[i]);
        if (strncmp(measure, parts[i], n) || measure[n] != '_') continue;
        if (!data_part(data, parts[i])) {
            diag_hint(
                diag_add(e->diags, D_E0608, span, "%s needs a validation set, and %s has none", measure, data->name),
                "valid: 10000");
            return false;
        }
        const char *what = measure + n + 1;
        bool known = strcmp(what, "loss") == 0 || (strcmp(what, "accuracy") == 0 && data_has_classes(data));
        for (int k = 0; !fits && r->measures && k < r->measures->len; k++)
            known |= strcmp(what, r->measures->name[k]) == 0;
        if (known) return true;
    }
    if (!measure) return true;
    diag_add(e->diags, D_E0603, span, "%s is no column of this run's curve", measure);
    return false;
}

/* W0610: what is drawn anew and then stands still. */
static bool reset_check(Eval *e, const SessionSpec *s, const NetInfo *info, const bool *learn, Span span) {
    bool *reset = arena_array(e->arena, bool, info->params + 1);
    if (!selection_mask(e, s->reset, info, span, reset)) return false;
    for (int i = 0; i < info->params; i++) {
        if (!reset[i] || learn[i]) continue;
        diag_add(e->diags, D_W0610, span, "%s draws %s anew and does not learn it", s->title,
                 info->param[i].path);
        break;
    }
    return true;
}

/* All that can be known without training: shapes, selections, loss and target, optimizer. */
static bool train_check(Eval *e, const TrainRequest *r, const NetInfo *info) {
    const DataObject *data = data_part(r->data, "train");
    bool *learn;
    for (int i = 0; i < r->schedule.sessions; i++) {
        const SessionSpec *s = &r->schedule.session[i];
        const Strategies *strategies;
        if (!against_check(e, s, data, r->span) || !strategies_read(e, info, s->cells, r->span, &strategies))
            return false;
        info = info_with(e, info, strategies, r->span);
        if (!info) return false;
        learn = arena_array(e->arena, bool, info->params + 1);
        if (!measure_known(e, r, s, s->patience_measure, r->span) || !measure_known(e, r, s, s->best_measure, r->span))
            return false;
        if (s->fit) {
            if (s->reset && !selection_mask(e, s->reset, info, r->span, learn)) return false;
            if (!fit_check(e, r, info, s, NULL)) return false;
            continue;
        }
        if (!selection_mask(e, s->learn, info, r->span, learn)) return false;
        strategies_still(info, learn);
        if (s->reset && !reset_check(e, s, info, learn, r->span)) return false;
        if (s->batch > data->size)
            diag_add(e->diags, D_W0611, r->span, "%s takes batches of %lld; %s has %lld examples", s->title,
                     (long long)s->batch, data->name, (long long)data->size);
        PlanRequest plan = {.e = e, .info = info, .x = data->x, .y = data->y, .affine = data->affine, .session = s,
                            .learn = learn, .raw_lo = data->raw_lo, .raw_hi = data->raw_hi,
                            .measures = r->measures ? r->measures->at : NULL,
                            .measure_count = r->measures ? r->measures->len : 0, .accuracy = data_has_classes(data),
                            .examples = s->batch ? 0 : data->size, .span = r->span};
        if (!plan_check(&plan, NULL)) return false;
        warn_training(e, info, data, s->loss, r->span);
    }
    return true;
}

static Run *unknown_run(Eval *e, const TrainRequest *r, const NetInfo *info) {
    Model *model = arena_new_of(e->arena, Model);
    Run *run = arena_new_of(e->arena, Run);
    *model = (Model){.object = {&model_class}, .info = info, .data = r->data};
    request_facts(e, r, model);
    *run = (Run){.object = {&run_class}, .model = model, .data = r->data, .measures = r->measures};
    for (int i = 0; i < r->schedule.sessions; i++) run->fits |= r->schedule.session[i].fit != NULL;
    return run;
}

/* The experiment's provenance names the data it trained on, and its folder links the runs of each row. */
static void note_run(Eval *e, const TrainRequest *r, const char *label, const Run *run) {
    Turn *turn = lab_turn(e)->turn;
    if (!turn) return;
    Experiment *x = turn->experiment;
    pthread_mutex_lock(&x->lock);
    bool known = false;
    for (int i = 0; i < x->data.len; i++) known |= strcmp(x->data.at[i]->hash, r->data->hash) == 0;
    if (!known) {
        DataObject *copy = arena_new_of(x->arena, DataObject);
        copy->name = arena_printf(x->arena, "%s", label ? label : r->data->name);
        memcpy(copy->hash, r->data->hash, sizeof copy->hash);
        vec_push(x->arena, &x->data, copy);
    }
    pthread_mutex_unlock(&x->lock);
    if (!run->cheap) vec_push(turn->arena, &turn->runs, run);
}

/* A lane has trained it. */
static bool train_ready(Eval *e, const Ast *call, Value *out) {
    const char *label = NULL;
    Run *run = lanes_take(e, call, &label);
    if (!run) return false;
    note_run(e, &(TrainRequest){.data = run->data}, label, run);
    *out = value_object(&run->object);
    return true;
}

static bool builtin_train(Eval *e, const BuiltinCall *call, Value *out) {
    TrainRequest r = {0};
    Run *run;
    if (train_ready(e, NULL, out)) return true;
    if (!request_read(e, call, &r)) return eval_fail(out);
    const DataObject *data = data_part(r.data, "train");
    const NetInfo *info = r.from ? r.from->info : net_info(e, r.net, &data->x, r.precision, call->arg_spans[TRAIN_NET]);
    if (!info || (r.from && r.from->data && !data_same_values(e, r.from->data, r.data, call->span)))
        return eval_fail(out);
    if (!keep_fits(e, &r, info)) return eval_fail(out);
    if (e->mode == EVAL_CHECK) {
        if (!train_check(e, &r, info)) return eval_fail(out);
        run = unknown_run(e, &r, info_after(e, info, &r.schedule, r.schedule.sessions, r.span));
    } else {
        if (lab_of(e)->options.keep_interrupted && lab_interrupted(lab_of(e))) {
            diag_add(e->diags, D_R0103, call->span, "interrupted before this training began");
            return eval_fail(out);
        }
        if (lanes_offer(e, &r, call->ast, call->args[TRAIN_ON].label)) return eval_fail(out);
        if (!run_chain(e, &r, info)) return eval_fail(out);
        if (!store_find(e, &r, info, &run) && !train_run(e, &r, &run)) return eval_fail(out);
        run->model->run = run;
        note_run(e, &r, call->args[TRAIN_ON].label, run);
    }
    *out = value_object(&run->object);
    return true;
}

static bool builtin_fresh(Eval *e, const BuiltinCall *call, Value *out) {
    Column input;
    Seeds seeds;
    if (!net_declared_input(e, &call->args[0], call->arg_spans[0], &input)) return eval_fail(out);
    const NetInfo *info = net_info(e, &call->args[0], &input, e->session->precision, call->span);
    if (!info || !seeds_read(e, &call->args[1], call->arg_spans[1], &seeds)) return eval_fail(out);
    Model *model = arena_new_of(e->arena, Model);
    char *block = arena_alloc(e->arena, info->layout.size + 64);
    *model = (Model){.object = {&model_class}, .info = info, .known = true,
                     .block = (void *)(((uintptr_t)block + 63) & ~(uintptr_t)63)};
    if (!model_draw(e, info, &seeds, 0, NULL, model->block, call->span)) return eval_fail(out);
    *out = value_object(&model->object);
    return true;
}

/* ---- what a run kept ---- */

static const Run *arg_run(const Value *value) {
    return value->kind == V_OBJECT && value->object->class == &run_class ? (const Run *)value->object : NULL;
}

static bool builtin_snapshot(Eval *e, const BuiltinCall *call, Value *out) {
    const Run *run = arg_run(&call->args[0]);
    if (!run) return wrong_kind(e, &call->args[0], "a run", call->arg_spans[0], out);
    if (!run->known) { *out = value_object(&run->model->object); return true; }
    const char *session = call->args[1].kind == V_TEXT ? call->args[1].text : NULL;
    int64_t epoch = call->args[2].integer;
    for (int i = 0; i < run->snapshots; i++) {
        const Snapshot *s = &run->snapshot[i];
        if (s->epoch != epoch || (session && strcmp(session, run->session_name[s->session - 1]))) continue;
        Model *model = arena_new_of(e->arena, Model);
        *model = *run->model;
        model->run = NULL;
        model->block = s->block;
        model->info = s->info;
        *out = value_object(&model->object);
        return true;
    }
    Diag *diag = diag_add(e->diags, D_E0311, call->span, "the run kept no epoch %lld", (long long)epoch);
    diag_hint(diag, "keep: [0, %lld] in train", (long long)epoch);
    return eval_fail(out);
}

static double block_number(const NetInfo *info, const void *block, const PathRef *ref) {
    const Slot *slot = &info->layout.slot[ref->param];
    const char *at = (const char *)block + slot->offset;
    return slot->dtype == DT_F64 ? ((const double *)at)[ref->offset] : ((const float *)at)[ref->offset];
}

/* trace(run, paths): for each path, its values at the kept epochs. */
static bool builtin_trace(Eval *e, const BuiltinCall *call, Value *out) {
    const Run *run = arg_run(&call->args[0]);
    if (!run) return wrong_kind(e, &call->args[0], "a run", call->arg_spans[0], out);
    const Value *paths = &call->args[1];
    int n = paths->kind == V_RECORD ? paths->record->len : paths->kind == V_LIST ? paths->list->len : 0;
    Value *columns = arena_array(e->arena, Value, n + 1);
    for (int i = 0; i < n; i++) {
        const char *path = paths->kind == V_RECORD ? paths->record->name[i] : paths->list->at[i].text;
        PathRef ref;
        if (!path_find(e, run->model->info, path, call->arg_spans[1], &ref)) return eval_fail(out);
        double *at = arena_array(e->arena, double, run->snapshots + 1);
        for (int k = 0; k < run->snapshots; k++) {
            if (!path_find(e, run->snapshot[k].info, path, call->arg_spans[1], &ref)) return eval_fail(out);
            at[k] = block_number(run->snapshot[k].info, run->snapshot[k].block, &ref);
        }
        Tensor *t = arena_new_of(e->arena, Tensor);
        *t = (Tensor){DT_F64, shape_of(1, (int64_t)run->snapshots), at};
        columns[i] = run->known ? (Value){.kind = V_TENSOR, .tensor = t} : value_abstract(NULL);
    }
    *out = value_list(e->arena, columns, n);
    return true;
}

/* ---- looking at models ---- */

bool model_on_data(Eval *e, const BuiltinCall *call, int data_arg, const Model **model, const DataObject **data,
                   Value *out, bool *done) {
    *model = value_model(&call->args[0]);
    *data = arg_data(&call->args[data_arg]);
    *done = true;
    if (!*model) return wrong_kind(e, &call->args[0], "a model", call->arg_spans[0], out);
    if (!*data) return wrong_kind(e, &call->args[data_arg], "a data set", call->arg_spans[data_arg], out);
    const Shape *want = &(*model)->info->input.shape, *have = &(*data)->x.shape;
    if (!shape_equal(want, have)) {
        Buf text = {0};
        shape_print(want, &text);
        buf_printf(&text, ", %s.x is f32", (*data)->name);
        shape_print(have, &text);
        diag_add(e->diags, D_E0403, call->span, "the model takes f32%.*s", (int)text.len, text.at);
        buf_free(&text);
        return eval_fail(out);
    }
    if (!data_same_values(e, (*model)->data, *data, call->span)) return eval_fail(out);
    *done = false;
    return true;
}

static bool model_and_data(Eval *e, const BuiltinCall *call, int data_arg, const Model **model, const DataObject **data,
                           Value *out, bool *done) {
    if (!model_on_data(e, call, data_arg, model, data, out, done)) return false;
    if (!*done) warn_evaluation(e, *model, *data, call->arg_spans[data_arg]);
    return true;
}

static bool builtin_measure(Eval *e, const BuiltinCall *call, Value *out) {
    const Model *model;
    const DataObject *data;
    bool done;
    if (!model_and_data(e, call, 2, &model, &data, out, &done) || done) return out->kind != V_ERROR;
    if (e->mode == EVAL_CHECK) {
        PlanRequest plan = {.e = e, .info = model->info, .x = data->x, .y = data->y, .measures = &call->args[1],
                            .measure_count = 1, .span = call->span};
        *out = value_abstract(NULL);
        return plan_check(&plan, NULL) || eval_fail(out);
    }
    const TrainPlan *plan;
    void *rows[10] = {0};
    if (!model_rows(e, model, data, &call->args[1], 1, false, false, call->span, &plan, rows)) return eval_fail(out);
    Tensor *t = arena_new_of(e->arena, Tensor);
    *t = (Tensor){plan->row_type[0], shape_of(1, data->size), rows[0]};
    *out = (Value){.kind = V_TENSOR, .tensor = t};
    return true;
}

static bool accuracy_of(Eval *e, const BuiltinCall *call, bool error, Value *out) {
    const Model *model;
    const DataObject *data;
    bool done;
    if (!model_and_data(e, call, 1, &model, &data, out, &done) || done) return out->kind != V_ERROR;
    if (!data_has_classes(data)) {
        diag_add(e->diags, D_E0604, call->span, "accuracy needs classes; the targets of %s are numbers", data->name);
        return eval_fail(out);
    }
    if (e->mode == EVAL_CHECK) { *out = value_abstract(NULL); return true; }
    Metrics m;
    if (!model_metrics(e, model, data, NULL, NULL, 0, call->span, &m)) return eval_fail(out);
    *out = value_real(error ? 1 - m.accuracy : m.accuracy);
    return true;
}
static bool builtin_accuracy(Eval *e, const BuiltinCall *call, Value *out) { return accuracy_of(e, call, false, out); }
static bool builtin_error(Eval *e, const BuiltinCall *call, Value *out) { return accuracy_of(e, call, true, out); }

static bool builtin_loss(Eval *e, const BuiltinCall *call, Value *out) {
    const Model *model;
    const DataObject *data;
    bool done;
    if (!model_and_data(e, call, 1, &model, &data, out, &done) || done) return out->kind != V_ERROR;
    const Value *loss = is_none(&call->args[2]) ? model->loss : &call->args[2];
    if (!loss) {
        diag_hint(diag_add(e->diags, D_E0310, call->span, "say which loss: the model was not trained here"),
                  "loss: mse");
        return eval_fail(out);
    }
    if (e->mode == EVAL_CHECK) { *out = value_abstract(NULL); return true; }
    Metrics m;
    if (!model_metrics(e, model, data, loss, NULL, 0, call->span, &m)) return eval_fail(out);
    *out = value_real(m.loss);
    return true;
}

/* The class each example gets. */
static bool answers(Eval *e, const Model *model, const DataObject *data, Span span, int32_t **out, int64_t *classes) {
    const TrainPlan *plan;
    void *rows[10] = {0};
    if (!model_rows(e, model, data, NULL, 0, true, false, span, &plan, rows)) return false;
    int64_t k = shape_size(&plan->row_shape[0]);
    int32_t *answer = arena_array(e->arena, int32_t, data->size);
    for (int64_t i = 0; i < data->size; i++) {
        int64_t best = 0;
        for (int64_t c = 1; c < k; c++) {
            double a = plan->row_type[0] == DT_F64 ? ((double *)rows[0])[i * k + c] : ((float *)rows[0])[i * k + c];
            double b = plan->row_type[0] == DT_F64 ? ((double *)rows[0])[i * k + best]
                                                   : ((float *)rows[0])[i * k + best];
            if (a > b) best = c;
        }
        answer[i] = (int32_t)best;
    }
    *out = answer;
    *classes = k;
    return true;
}

static bool builtin_confusion(Eval *e, const BuiltinCall *call, Value *out) {
    const Model *model;
    const DataObject *data;
    bool done;
    if (!model_and_data(e, call, 1, &model, &data, out, &done) || done) return out->kind != V_ERROR;
    if (e->mode == EVAL_CHECK) { *out = value_abstract(NULL); return true; }
    int32_t *answer;
    int64_t k;
    if (!data_has_classes(data) || !answers(e, model, data, call->span, &answer, &k)) return eval_fail(out);
    if (k < data->y.classes) k = data->y.classes;
    Tensor *t = arena_new_of(e->arena, Tensor);
    *t = (Tensor){DT_I32, shape_of(2, k, k), arena_array(e->arena, int32_t, k * k)};
    for (int64_t i = 0; i < data->size; i++) ((int32_t *)t->data)[((const int32_t *)data->y.rows)[i] * k + answer[i]]++;
    *out = (Value){.kind = V_TENSOR, .tensor = t};
    return true;
}

static bool builtin_disagreement(Eval *e, const BuiltinCall *call, Value *out) {
    const Model *a;
    const DataObject *data;
    bool done;
    if (!model_and_data(e, call, 2, &a, &data, out, &done) || done) return out->kind != V_ERROR;
    const Model *b = value_model(&call->args[1]);
    if (!b) return wrong_kind(e, &call->args[1], "a model", call->arg_spans[1], out);
    if (!data_same_values(e, b->data, data, call->span)) return eval_fail(out);
    if (e->mode == EVAL_CHECK) { *out = value_abstract(NULL); return true; }
    int32_t *x, *y;
    int64_t k, differ = 0;
    if (!answers(e, a, data, call->span, &x, &k) || !answers(e, b, data, call->span, &y, &k)) return eval_fail(out);
    for (int64_t i = 0; i < data->size; i++) differ += x[i] != y[i];
    *out = value_real((double)differ / (double)data->size);
    return true;
}

/* ---- predict ---- */

bool model_predict(Eval *e, const Model *model, const Value *x, bool many, Span span, Value *out) {
    if (!model->known) { *out = value_abstract(NULL); return true; }
    const Tensor *t;
    const Shape *shape = &model->info->input.shape;
    DType precision = model->info->precision;
    if (!value_as_tensor(e, x, precision, span, &t)) return eval_fail(out);
    int64_t size = shape_size(shape), given = shape_size(&t->shape), n = size ? given / size : 0;
    if (n * size != given || n == 0 || (!many && n != 1)) {
        Buf text = {0};
        shape_print(shape, &text);
        buf_text(&text, "; this is f32");
        shape_print(&t->shape, &text);
        diag_add(e->diags, D_E0403, span, "the model takes f32%.*s", (int)text.len, text.at);
        buf_free(&text);
        return eval_fail(out);
    }
    DataObject data = {.object = {&data_class}, .name = "inputs", .size = n, .known = true,
                       .x = {precision, *shape, t->data, 0}, .y = {precision, SHAPE0, t->data, 0}};
    const TrainPlan *plan;
    void *rows[10] = {0};
    if (!model_rows(e, model, &data, NULL, 0, true, false, span, &plan, rows)) return eval_fail(out);
    Tensor *result = arena_new_of(e->arena, Tensor);
    *result = (Tensor){plan->row_type[0], plan->row_shape[0], rows[0]};
    if (many) {
        result->shape.rank++;
        memmove(result->shape.dim + 1, result->shape.dim, sizeof result->shape.dim[0] * (MAX_RANK - 1));
        result->shape.dim[0] = n;
    }
    *out = (Value){.kind = V_TENSOR, .tensor = result};
    if (!many && shape_size(&result->shape) == 1)
        *out = value_real(result->dtype == DT_F64 ? *(double *)result->data : *(float *)result->data);
    return true;
}

static bool builtin_predict(Eval *e, const BuiltinCall *call, Value *out) {
    const Model *model = value_model(&call->args[0]);
    if (!model) return wrong_kind(e, &call->args[0], "a model", call->arg_spans[0], out);
    if (call->args[1].kind == V_ABSTRACT) { *out = value_abstract(NULL); return true; }
    const Tensor *x;                                                     /* one input, or a list of them */
    if (!value_as_tensor(e, &call->args[1], model->info->precision, call->arg_spans[1], &x)) return eval_fail(out);
    return model_predict(e, model, &call->args[1], !shape_equal(&x->shape, &model->info->input.shape),
                         call->arg_spans[1], out);
}

const BuiltinRow builtins_train[] = {
    {"train", builtin_train, train_ready}, {"fresh", builtin_fresh}, {"snapshot", builtin_snapshot},
    {"trace", builtin_trace}, {"predict", builtin_predict}, {"accuracy", builtin_accuracy}, {"error", builtin_error},
    {"loss", builtin_loss}, {"measure", builtin_measure}, {"confusion", builtin_confusion},
    {"disagreement", builtin_disagreement}, {NULL, NULL}};
