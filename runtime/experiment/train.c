/* train.c -- training: a schedule of sessions from a net's start to a Run.
 *
 * The run's block holds weights, optimizer and layer states of the current session; between sessions the weights and
 * the net's own states go on.  The compiled loop is cut where the host must look: at every epoch if something is
 * evaluated or kept there, and a few times a second.  Cuts never change a bit. */
#include "experiment/state.h"
#include "experiment/strategy.h"
#include "support/rng.h"
#include "support/sha256.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static const double CUT_SECONDS = 0.25;
enum { FIRST_CUT = 1 };                          /* steps, before it is known how long one takes */

double training_seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

void *training_aligned(Arena *arena, size_t size) {
    return (void *)(((uintptr_t)arena_alloc(arena, size + 64) + 63) & ~(uintptr_t)63);
}

/* ---- curve ---- */

CurveColumn *training_column(Training *t, const char *name, int row) {
    Curve *curve = &t->run->curve;
    for (int i = 0; i < curve->columns; i++)
        if (strcmp(curve->column[i].name, name) == 0) return &curve->column[i];
    CurveColumn *column = &curve->column[curve->columns++];
    column->name = arena_printf(t->e->arena, "%s", name);
    column->at = arena_array(t->e->arena, double, curve->cap);
    for (int i = 0; i < row; i++) column->at[i] = NAN;
    return column;
}

/* The column "part_what".  Rows are many and columns few: no name is made where the column is there. */
static void curve_put(Training *t, int row, const char *part, const char *what, double x) {
    const Curve *curve = &t->run->curve;
    size_t length = strlen(part);
    for (int i = 0; i < curve->columns; i++) {
        const char *name = curve->column[i].name;
        if (strncmp(name, part, length) != 0 || name[length] != '_' || strcmp(name + length + 1, what) != 0) continue;
        curve->column[i].at[row] = x;
        return;
    }
    char name[96];
    snprintf(name, sizeof name, "%s_%s", part, what);
    training_column(t, name, row)->at[row] = x;
}

int training_row(Training *t, int number, const char *session, int64_t epoch) {
    Curve *curve = &t->run->curve;
    int row = curve->rows++;
    curve->session[row] = number;
    curve->session_name[row] = session;
    curve->epoch[row] = (int)epoch;
    for (int i = 0; i < curve->columns; i++) curve->column[i].at[row] = NAN;
    return row;
}

static int curve_row(Training *t, int64_t epoch) { return training_row(t, t->number, t->s->name, epoch); }

static void curve_metrics(Training *t, int row, const char *part, const Metrics *m, bool classes) {
    curve_put(t, row, part, "loss", m->loss);
    if (classes) curve_put(t, row, part, "accuracy", m->accuracy);
    for (int i = 0; i < t->measures; i++) curve_put(t, row, part, t->r->measures->name[i], m->measure[i]);
}

double curve_value(const Curve *curve, const char *name, int row) {
    for (int i = 0; i < curve->columns; i++)
        if (strcmp(curve->column[i].name, name) == 0) return curve->column[i].at[row];
    return NAN;
}

/* ---- the block between model and program ---- */

static void copy_params(const Training *t, bool to_model) {
    for (int i = 0; i < t->info->params; i++) {
        int slot = t->plan->slot_of_param[i];
        if (slot < 0) continue;
        const Slot *s = &t->plan->program->layout.slot[slot];
        char *in_model = (char *)t->model->block + t->info->param[i].offset, *in_block = t->block + s->offset;
        size_t size = (size_t)shape_size(&s->shape) * dtype_size(s->dtype);
        memcpy(to_model ? in_model : in_block, to_model ? in_block : in_model, size);
    }
}

void training_to_model(const Training *t) {
    copy_params(t, true);
    if (t->model != t->net) fit_copy(t, t->model, true);
}

static void fill_slot(const Slot *slot, void *at, double x) {
    int64_t n = shape_size(&slot->shape);
    for (int64_t i = 0; i < n; i++) switch (slot->dtype) {
        case DT_F32: ((float *)at)[i] = (float)x; break;
        case DT_F64: ((double *)at)[i] = x; break;
        case DT_I32: ((int32_t *)at)[i] = (int32_t)x; break;
        case DT_BOOL: ((uint8_t *)at)[i] = x != 0; break;
        }
}

static void block_start(Training *t) {
    const BlockLayout *layout = &t->plan->program->layout;
    t->block = training_aligned(t->e->arena, layout->size);
    t->before = training_aligned(t->e->arena, layout->size);
    for (int i = 0; i < t->plan->slots; i++)
        if (t->plan->is_optimizer[i]) fill_slot(&layout->slot[i], t->block + layout->slot[i].offset, t->plan->start[i]);
    copy_params(t, false);
}

/* ---- one session ---- */

static PlanRequest session_request(const Training *t) {
    const DataObject *data = data_part(t->data, "train");
    return (PlanRequest){.e = t->e, .info = t->info, .x = data->x, .y = data->y, .affine = data->affine,
                         .session = t->s, .raw_lo = data->raw_lo, .raw_hi = data->raw_hi, .learn = t->learn,
                         .measures = t->measure, .measure_count = t->measures, .accuracy = data_has_classes(data),
                         .examples = t->s->batch ? 0 : data->size, .span = t->r->span};
}

static bool session_plan(Training *t) {
    const DataObject *data = data_part(t->data, "train");
    t->batch = t->s->batch && t->s->batch < data->size ? t->s->batch : data->size;
    t->per_epoch = (data->size + t->batch - 1) / t->batch;
    t->total = t->s->epochs * t->per_epoch;
    PlanRequest request = session_request(t);
    request.visits = t->s->epochs * data->size;
    t->plan = plan_get(&request, &t->settings);
    if (!t->plan) return false;
    double *settings = (double *)t->settings;                            /* the progress of this session */
    if (t->plan->per_epoch_setting >= 0) settings[t->plan->per_epoch_setting] = (double)t->per_epoch;
    if (t->plan->total_setting >= 0) settings[t->plan->total_setting] = (double)t->total;
    if (t->plan->clip_setting >= 0) settings[t->plan->clip_setting] = t->s->clip_norm;
    t->keys = plan_keys(t->e, t->plan, &t->r->seeds, (uint32_t)t->number);
    return true;
}

static bool keeps(const Training *t, int64_t epoch) {
    const Value *keep = t->r->keep;
    if (!keep || keep->kind == V_NONE) return false;
    if (keep->kind == V_CHOICE) return strcmp(keep->choice, "every_epoch") == 0;
    if (keep->kind != V_LIST) return false;
    for (int i = 0; i < keep->list->len; i++)
        if (keep->list->at[i].kind == V_INT && keep->list->at[i].integer == epoch) return true;
    return false;
}

void training_add_snapshot(Training *t, Snapshot snapshot) {
    Run *run = t->run;
    if (run->snapshots == run->snapshot_cap) {
        Snapshot *grown = arena_array(t->e->arena, Snapshot, run->snapshot_cap ? 2 * run->snapshot_cap : 16);
        if (run->snapshots) memcpy(grown, run->snapshot, sizeof *grown * (size_t)run->snapshots);
        run->snapshot = grown;
        run->snapshot_cap = run->snapshot_cap ? 2 * run->snapshot_cap : 16;
    }
    run->snapshot[run->snapshots++] = snapshot;
}

static bool keeps_steps(const Training *t) {
    return t->r->keep && t->r->keep->kind == V_CHOICE && strcmp(t->r->keep->choice, "every_step") == 0;
}

static void snapshot_add(Training *t, int64_t epoch) {
    training_to_model(t);
    void *copy = arena_alloc(t->e->arena, t->net->info->layout.size);
    memcpy(copy, t->net->block, t->net->info->layout.size);
    training_add_snapshot(t, (Snapshot){t->number, (int)epoch, t->done, copy, t->net->info, t->net->info->layout.size});
}

/* Metrics of the parts of the data after an epoch (or before training): one row of the curve. */
static bool epoch_row(Training *t, int64_t epoch, const Metrics *train) {
    copy_params(t, true);
    int row = curve_row(t, epoch);
    const DataObject *part = data_part(t->data, "train");
    Metrics m;
    if (train) curve_metrics(t, row, "train", train, data_has_classes(part));
    static const char *const names[] = {"train", "valid", "test"};
    for (int i = 0; i < COUNT(names); i++) {
        part = data_part(t->data, names[i]);
        bool whole = i > 0 || (!train && (t->s->batch == 0 || epoch == 0));
        if (!part || !whole) continue;
        if (!model_metrics(t->e, t->model, part, t->s->loss, t->measure, t->measures, t->r->span, &m)) return false;
        curve_metrics(t, row, names[i], &m, data_has_classes(part));
    }
    return true;
}

static bool first_bad(Training *t, int64_t steps, int64_t *at) {
    for (int64_t i = 0; i < steps; i++)
        if (!isfinite(t->series[0][t->done - t->series_from + i])) {
            *at = i;
            return true;
        }
    return false;
}

void training_feed(Training *t, Feed *feed, int64_t epoch) {
    const DataObject *data = data_part(t->data, "train");
    Lab *lab = lab_of(t->e);
    DType precision = t->info->precision;
    *feed = (Feed){.rows = {data_rows(lab, data, 0, precision), data_rows(lab, data, 1, precision)},
                   .examples = data->size,
                   .batch = t->batch,
                   .settings = t->settings,
                   .keys = t->keys,
                   .order_epoch = epoch,
                   .series_first = t->series_from};
    if (t->s->batch && !t->s->given_order) { /* batch: all takes the examples as they stand */
        uint64_t key = rng_key(t->r->seeds.order, "order", (uint32_t)t->number, "", 0);
        rng_permutation(key, (uint32_t)epoch, (uint32_t)data->size, t->order);
        feed->order = (const int32_t *)t->order;
    }
    for (int i = 0; i < t->plan->series; i++) feed->series[i] = t->series[i];
}

static void diverge(Training *t, const Feed *feed, int64_t step) {
    t->run->diverged = true;
    t->stop = true;
    Diag *diag = diag_add(t->e->diags, D_R0102, t->r->span,
                          "the loss is not a finite number in epoch %lld, step %lld of %s",
                          (long long)(step / t->per_epoch + 1), (long long)step, t->s->title);
    train_explain_divergence(diag, t->plan, t->before, feed, step);
    diag_note(diag, "the run stops there and is recorded as diverged");
}

/* Steps from t->done to `to`; series hold them, from step t->series_from on.  Stops before the first step whose loss is
 * not finite. */
static bool advance(Training *t, int64_t to, int64_t *advanced) {
    Feed feed;
    training_feed(t, &feed, t->done / t->per_epoch);
    size_t size = t->plan->program->layout.size;
    memcpy(t->before, t->block, size);
    Program *program = t->plan->program;
    Pool *pool = lab_turn(t->e)->pool;
    *advanced = to - t->done;
    if (program->run(program, t->block, &feed, t->done, to, pool)) goto out_of_memory;
    int64_t bad;
    if (first_bad(t, *advanced, &bad)) {
        memcpy(t->block, t->before, size);
        if (bad && program->run(program, t->block, &feed, t->done, t->done + bad, pool)) goto out_of_memory;
        memcpy(t->before, t->block, size);
        diverge(t, &feed, t->done + bad);
        *advanced = bad;
    }
    t->done += *advanced;
    return true;
out_of_memory:
    diag_add(t->e->diags, D_R0103, t->r->span, "out of memory while training");
    return false;
}

static bool interrupted(const Training *t) {
    const LabOptions *o = &lab_of(t->e)->options;
    return o->interrupted && o->interrupted(o->interrupted_data);
}

/* An interrupted training ends here: with the run so far at a prompt, else without a run. */
static bool leave(Training *t) {
    t->run->interrupted = lab_of(t->e)->options.keep_interrupted && !lab_turn(t->e)->turn;
    t->stop = true;
    t->run->part_step = t->done % t->per_epoch;
    t->run->part_steps = t->run->part_step ? t->per_epoch : 0;
    return t->run->interrupted;
}

/* batch: all, nothing to look at between steps: the series of the loop are the curve. */
static bool run_whole(Training *t) {
    int64_t chunk = 1024;
    while (t->done < t->total && !t->stop) {
        int64_t from = t->done, steps, to = from + chunk < t->total ? from + chunk : t->total;
        double start = training_seconds();
        t->series_from = from;
        if (!advance(t, to, &steps)) return false;
        for (int64_t i = 0; i < steps; i++) {
            int row = curve_row(t, from + i);
            Metrics m = {.loss = t->series[0][i]};
            bool classes = data_has_classes(data_part(t->data, "train"));
            if (classes) m.accuracy = t->series[1][i];
            for (int k = 0; k < t->measures; k++) m.measure[k] = t->series[1 + classes + k][i];
            curve_metrics(t, row, "train", &m, classes);
        }
        if (!checkpoint_save(t, interrupted(t))) return false;
        if (interrupted(t) && t->done < t->total) {
            if (!leave(t)) return false;
            break;
        }
        if (training_seconds() - start < 0.03 && chunk < CUT_STEPS) chunk *= 2;
    }
    return t->run->diverged || epoch_row(t, t->done, NULL);
}

/* The mean over an epoch's examples of what its steps saw: batch sums added in f64 in step order. */
static Metrics epoch_means(Training *t, int64_t steps) {
    const DataObject *data = data_part(t->data, "train");
    double sum[8] = {0}, n = (double)data->size;
    for (int k = 0; k < t->plan->series; k++)
        for (int64_t i = 0; i < steps; i++) sum[k] += t->series[k][i];
    bool classes = data_has_classes(data);
    Metrics m = {.loss = sum[0] / n};
    if (classes) m.accuracy = sum[1] / n;
    for (int k = 0; k < t->measures; k++) m.measure[k] = sum[1 + classes + k] / n;
    return m;
}

/* After an epoch: is this the best so far; has patience run out? */
static void judge(Training *t, int64_t epoch) {
    const Curve *curve = &t->run->curve;
    int row = curve->rows - 1;
    if (t->s->patience) {
        double x = curve_value(curve, t->s->patience_measure, row);
        if (x < t->lowest) { t->lowest = x; t->since_lowest = 0; }
        else if (epoch > 0 && ++t->since_lowest >= t->s->patience) t->stop = true;
    }
    if (t->s->best_measure) {
        double x = curve_value(curve, t->s->best_measure, row);
        bool accuracy = strstr(t->s->best_measure, "accuracy") != NULL;
        if (accuracy ? x > t->best : x < t->best) {
            t->best = x;
            memcpy(t->best_block, t->block, t->plan->program->layout.size);
        }
    }
}

/* Between two cuts of an epoch, and behind it: progress, the state, Ctrl-C. */
static bool look_round(Training *t) {
    lab_progress(t->e, t->s->name, (double)t->done / (double)t->per_epoch, t->s->epochs, &t->run->curve);
    bool leaves = interrupted(t) && t->done < t->total;
    return checkpoint_save(t, interrupted(t)) && (!leaves || leave(t));
}

/* The next cut takes about CUT_SECONDS. */
static void cut_adapt(Training *t, double seconds) {
    if (seconds < CUT_SECONDS / 2 && t->cut < t->per_epoch) t->cut *= 2;
    else if (seconds > 2 * CUT_SECONDS && t->cut > 1) t->cut /= 2;
}

/* The steps of an epoch that are left, in cuts; one at a time where each is kept: those that end no epoch have the
 * epoch -1. */
static bool run_epoch(Training *t, int64_t epoch) {
    int64_t to = epoch * t->per_epoch, steps;
    t->series_from = to - t->per_epoch;
    while (t->done < to && !t->stop) {
        double start = training_seconds();
        int64_t most = keeps_steps(t) ? 1 : t->cut, left = to - t->done;
        if (!advance(t, t->done + (most < left ? most : left), &steps)) return false;
        if (keeps_steps(t) && !t->stop) snapshot_add(t, t->done < to ? -1 : epoch);
        cut_adapt(t, training_seconds() - start);
        if (t->done < to && !t->stop && !look_round(t)) return false;
    }
    return true;
}

static bool run_epochs(Training *t) {
    if (!t->done) {
        if (!epoch_row(t, 0, NULL)) return false;
        judge(t, 0);
        if (keeps(t, 0) || keeps_steps(t)) snapshot_add(t, 0);
    }
    for (int64_t epoch = t->done / t->per_epoch + 1; epoch <= t->s->epochs && !t->stop; epoch++) {
        if (!run_epoch(t, epoch)) return false;
        if (t->stop) break;
        Metrics m = epoch_means(t, t->per_epoch);
        if (!epoch_row(t, epoch, t->s->batch ? &m : NULL)) return false;
        judge(t, epoch);
        if (keeps(t, epoch)) snapshot_add(t, epoch);
        if (!look_round(t)) return false;
    }
    if (t->s->best_measure && t->best_block && isfinite(t->best))
        memcpy(t->block, t->best_block, t->plan->program->layout.size), t->run->part_steps = 0;
    return true;
}

static bool reset_params(Training *t) {
    if (!t->s->reset) return true;
    bool *which = arena_array(t->e->arena, bool, t->info->params + 1);
    if (!selection_mask(t->e, t->s->reset, t->info, t->r->span, which)) return false;
    return model_draw(t->e, t->info, &t->r->seeds, (uint32_t)t->number, which, t->model->block, t->r->span);
}

/* Boxes that grids find by themselves: of the first batch, exactly. */
static bool boxes_start(Training *t) {
    if (!has_boxes(t->info)) return true;
    PlanRequest request = session_request(t);
    Feed feed;
    training_feed(t, &feed, 0);
    if (!boxes_find(t->e, t->model, &request, &feed, &t->r->seeds, (uint32_t)t->number, 1, t->r->span)) return false;
    copy_params(t, false);
    return true;
}

/* The cells of this session in the strategies that it asks for: the model in their layout. */
static bool session_cells(Training *t) {
    const Strategies *strategies;
    if (!strategies_read(t->e, t->net->info, t->s->cells, t->r->span, &strategies)) return false;
    Model *model = model_with(t->e, t->net, strategies, t->r->span);
    if (!model) return false;
    t->net = t->model = t->run->model = model;
    t->info = model->info;
    return true;
}

/* A session starts afresh: nothing seen, nothing done. */
static bool part_start(Training *t) {
    t->done = 0;
    t->cut = FIRST_CUT;
    t->since_lowest = 0;
    t->stop = false;
    t->best = t->s->best_measure && strstr(t->s->best_measure, "accuracy") ? -INFINITY : INFINITY;
    t->lowest = INFINITY;
    if (!session_plan(t)) return false;
    block_start(t);
    return true;
}

bool training_part_open(Training *t) {
    if (!part_start(t)) return false;
    int64_t most = t->per_epoch > CUT_STEPS ? t->per_epoch : CUT_STEPS;
    const DataObject *data = data_part(t->data, "train");
    bool kept = t->r->keep && t->r->keep->kind != V_NONE;
    t->by_epoch = !t->plan->loss_series || data_part(t->data, "valid") || data_part(t->data, "test") || t->s->patience
                  || t->s->best_measure || kept;
    t->most = most < t->total ? most : t->total + 1;
    t->order = t->s->batch ? arena_array(t->e->arena, uint32_t, data->size + 1) : NULL;
    if (t->s->best_measure) t->best_block = training_aligned(t->e->arena, t->plan->program->layout.size);
    t->run->cheap &= t->plan->neuron;
    if (!t->plan->neuron && lab_turn(t->e)->turn) lab_turn(t->e)->turn->experiment->wide = true;
    return true;
}

bool training_part(Training *t) {
    if (!training_part_open(t)) return false;
    for (int i = 0; i < t->plan->series; i++) t->series[i] = arena_array(t->e->arena, double, t->most);
    if (!t->plan->neuron && !t->claimed) {
        if (!checkpoint_claim(t)) return false;
        if (t->found || t->jump >= 0) return true;
    }
    bool resumed = t->saved != NULL;
    if (!checkpoint_restore(t) || (!resumed && !boxes_start(t)) || !plan_ready(t->e, t->plan, t->r->span)) return false;
    if (!(t->by_epoch ? run_epochs(t) : run_whole(t))) return false;
    copy_params(t, true);
    return true;
}

bool training_session_open(Training *t, int number) {
    t->number = number;
    t->s = &t->r->schedule.session[number - 1];
    if (!against_check(t->e, t->s, data_part(t->data, "train"), t->r->span) || (!t->saved && !reset_params(t)) ||
        !session_cells(t))
        return false;
    if (t->s->fit) return true;
    t->learn = arena_array(t->e->arena, bool, t->info->params + 1);
    if (!selection_mask(t->e, t->s->learn, t->info, t->r->span, t->learn)) return false;
    strategies_still(t->info, t->learn);
    return true;
}

static bool run_session(Training *t, int number) {
    return training_session_open(t, number) && (t->s->fit ? fit_session(t) : training_part(t));
}

/* ---- a run ---- */

static void curve_space(Training *t) {
    int64_t rows = 1;
    for (int i = 0; i < t->r->schedule.sessions; i++) {
        const SessionSpec *s = &t->r->schedule.session[i];
        rows += (s->epochs + 2) * (s->fit ? t->info->cells : 1);
    }
    Curve *curve = &t->run->curve;
    curve->cap = (int)rows;
    curve->session = arena_array(t->e->arena, int, rows);
    curve->epoch = arena_array(t->e->arena, int, rows);
    curve->session_name = arena_array(t->e->arena, const char *, rows);
    curve->column = arena_array(t->e->arena, CurveColumn, 3 * (t->measures + 2) + 1);
}

static Run *run_finish(Training *t) {
    if (t->found) return t->found;
    if (t->r->chain) memcpy(t->run->hash, t->r->chain[t->r->schedule.sessions], sizeof t->run->hash);
    else t->run->request = t->r;
    t->net->run_hash = t->run->hash;
    return t->run;
}

const Value *request_loss(Eval *e, const TrainRequest *r) {
    for (int i = r->schedule.sessions - 1; i >= 0; i--) {
        if (r->schedule.session[i].fit) continue;
        Value *loss = arena_new_of(e->arena, Value);
        *loss = *r->schedule.session[i].loss;
        return loss;
    }
    return r->from ? r->from->loss : NULL;
}

void request_facts(Eval *e, const TrainRequest *r, Model *model) {
    int last = r->schedule.sessions - 1;
    model->loss = request_loss(e, r);
    while (last >= 0 && r->schedule.session[last].fit) last--;
    if (last < 0 || !r->schedule.session[last].against_norm) return;
    model->against_eps = r->schedule.session[last].against_eps;
    model->against_norm = r->schedule.session[last].against_norm;
}

bool training_begin(Eval *e, const TrainRequest *r, Training *t) {
    const DataObject *data = data_part(r->data, "train");
    const NetInfo *info = r->from ? r->from->info : net_info(e, r->net, &data->x, r->precision, r->span);
    if (!info) return false;
    Run *run = arena_new_of(e->arena, Run);
    Model *model = arena_new_of(e->arena, Model);
    *model = (Model){.object = {&model_class}, .info = info, .data = r->data, .known = true,
                     .block = training_aligned(e->arena, info->layout.size)};
    request_facts(e, r, model);
    *run = (Run){.object = {&run_class}, .model = model, .known = true, .cheap = true, .data = r->data,
                 .sessions = r->schedule.sessions};
    *t = (Training){.e = e, .r = r, .info = info, .model = model, .net = model, .run = run, .data = r->data, .jump = -1,
                    .lock = -1, .measures = r->measures ? r->measures->len : 0};
    for (int i = 0; i < t->measures; i++) t->measure[i] = r->measures->at[i];
    if (r->from) memcpy(model->block, r->from->block, info->layout.size);
    else if (!model_draw(e, info, &r->seeds, 0, NULL, model->block, r->span)) return false;
    if (r->start && !model_start(e, model, r->start, r->span)) return false;
    curve_space(t);
    run->session_name = arena_array(e->arena, const char *, r->schedule.sessions + 1);
    for (int i = 0; i < r->schedule.sessions; i++) run->session_name[i] = r->schedule.session[i].name;
    return true;
}

bool training_end(Training *t, double start, bool ok, Run **out) {
    t->run->seconds = training_seconds() - start;
    *out = run_finish(t);
    bool whole = !t->run->interrupted;
    ok = ok && (!whole || store_put(t->e, *out, false, t->r->span));
    if (ok && whole && !t->found && !t->run->cheap) ok = kept_save(t->e, t->r, t->run, t->run->hash);
    checkpoint_release(t, ok && whole);
    return ok;
}

bool train_run(Eval *e, const TrainRequest *r, Run **out) {
    Training t;
    double prepared = lab_turn(e)->preparing, start;
    if (!training_begin(e, r, &t)) return false;
    start = training_seconds();
    bool ok = true;
    for (int i = 0; ok && i < r->schedule.sessions && !t.run->diverged && !t.run->interrupted;) {
        ok = run_session(&t, i + 1);
        if (t.found) break;
        if (ok && t.jump >= 0) {
            i = t.jump;
            t.jump = -1;
            continue;
        }
        ok = ok && (t.run->interrupted || checkpoint_session_end(&t));
        i++;
    }
    return training_end(&t, start + lab_turn(e)->preparing - prepared, ok, out);
}
