/* lanes.c -- the first trainings of a loop's turns, side by side in one kernel.
 *
 * Only what needs no look between its steps is offered: one session of a neuron-sized loop, `batch: all`, without parts
 * to evaluate, patience, `keep:` or a run on disk.  The series of the kernel are the curve; the row after the last step
 * is the series of one step more, of the weights as they are.  A trial whose loss is not finite is trained again by
 * itself, for its diagnostics; so is every trial where lanes cannot be had.  All bits are those of trials one by
 * one. */
#include "experiment/training.h"
#include "kernel/lanes.h"

#include <math.h>

enum { MOST_LANES = 64 };

typedef enum LaneState { LANE_OPEN, LANE_OFFERED, LANE_ALONE, LANE_READY, LANE_TAKEN } LaneState;
struct LaneTrial {
    LaneState state;
    Arena *arena;
    Eval eval; LabTurn turn;                      /* the training's own: those of the look are gone */
    TrainRequest request; Training t;
    Run *run;
    const Ast *call; const char *label;           /* whose arguments need no evaluation again, or NULL; of its data */
};

LaneTrial *lane_trial_new(Arena *arena) {
    LaneTrial *trial = arena_new_of(arena, LaneTrial);
    trial->arena = arena;
    return trial;
}

/* ---- which loops ---- */

static void find_train(void *data, Ast *node) {
    bool *found = data;
    if (node->kind == AST_NAME && strcmp(node->name, "train") == 0) *found = true;
    if (!*found) ast_children(node, find_train, data);
}

bool lanes_suit(const Experiment *x, const Ast *loop) {
    const Ast *body = loop->loop.body;
    if (x->measures_time || x->lab->options.backend != BACKEND_JIT || body->kind != AST_BLOCK) return false;
    for (int i = 0; i < body->block.len; i++) {
        const Ast *statement = body->block.at[i];
        bool found = false;
        find_train(&found, (Ast *)(uintptr_t)statement);
        if (statement->kind == AST_FOR) return false;
        if (found || statement->kind != AST_BIND) return found;
    }
    return false;
}

/* ---- offering ---- */

/* The columns of the curve are the kernel's series. */
static void curve_columns(Training *t) {
    int n = 0;
    t->series[n++] = training_column(t, "train_loss", 0)->at;
    if (data_has_classes(data_part(t->data, "train"))) t->series[n++] = training_column(t, "train_accuracy", 0)->at;
    for (int i = 0; i < t->measures; i++)
        t->series[n++] = training_column(t, arena_printf(t->e->arena, "train_%s", t->r->measures->name[i]), 0)->at;
}

/* Is it on disk?  Where the experiment began without any run there, that is not asked of each trial. */
static bool trial_stored(LaneTrial *trial) {
    Eval *e = &trial->eval;
    TrainRequest *r = &trial->request;
    Run *stored;
    if (!store_usable(e) || !lab_turn(e)->turn->experiment->has_runs) return false;
    const DataObject *data = data_part(r->data, "train");
    const NetInfo *info = r->from ? r->from->info : net_info(e, r->net, &data->x, r->precision, r->span);
    return !info || !run_chain(e, r, info) || store_find(e, r, info, &stored);
}

static bool trial_open(LaneTrial *trial) {
    Training *t = &trial->t;
    const TrainRequest *r = &trial->request;
    const SessionSpec *s = &r->schedule.session[0];
    if (r->schedule.sessions != 1 || s->fit || s->batch || (r->keep && r->keep->kind != V_NONE)) return false;
    if (!training_begin(&trial->eval, r, t) || !training_session_open(t, 1) || !training_part_open(t)) return false;
    if (!t->plan->neuron || t->by_epoch || t->total + 1 > t->run->curve.cap) return false;
    curve_columns(t);
    plan_lanes_note(&trial->eval, t->plan, t->settings);
    return true;
}

bool lanes_offer(Eval *e, const TrainRequest *request, const Ast *call, const char *label) {
    LaneTrial *trial = lab_turn(e)->trial;
    if (!trial || trial->state != LANE_OPEN) return false;
    trial->state = LANE_ALONE;
    trial->turn = *lab_turn(e);
    trial->turn.trial = NULL;
    trial->eval = *e;
    trial->eval.lab = &trial->turn;
    trial->request = *request;
    trial->call = call;
    trial->label = label;
    if (!trial_stored(trial) && trial_open(trial)) trial->state = LANE_OFFERED;
    return true;
}

bool lanes_offered(const LaneTrial *trial) { return trial->state == LANE_OFFERED; }

void lanes_said(LaneTrial *trial) { trial->call = NULL; }

Run *lanes_take(Eval *e, const Ast *call, const char **label) {
    LaneTrial *trial = e->mode == EVAL_RUN && e->lab ? lab_turn(e)->trial : NULL;
    if (!trial || trial->state != LANE_READY || (call && trial->call != call)) return NULL;
    trial->state = LANE_TAKEN;
    *label = trial->label;
    return trial->run;
}

/* ---- running ---- */

static void trial_end(LaneTrial *trial, double seconds) {
    Training *t = &trial->t;
    for (int64_t i = 0; i < t->total; i++)
        if (!isfinite(t->series[0][i])) {
            trial->state = LANE_ALONE;
            return;
        }
    for (int64_t i = 0; i <= t->total; i++) {
        t->run->curve.session[i] = t->number;
        t->run->curve.session_name[i] = t->s->name;
        t->run->curve.epoch[i] = (int)i;
    }
    t->run->curve.rows = (int)t->total + 1;
    t->done = t->total;
    training_to_model(t);
    bool ok = training_end(t, training_seconds() - seconds, true, &trial->run);
    trial->run->maker = &trial->eval;
    trial->run->model->run = trial->run;
    trial->state = ok ? LANE_READY : LANE_ALONE;
}

static bool run_steps(const LaneCode *code, LaneTrial *const *trial, int n) {
    void *block[MOST_LANES];
    Feed feed[MOST_LANES];
    int64_t total = trial[0]->t.total;
    for (int64_t from = 0; from < total;) {
        int64_t to = from + CUT_STEPS < total ? from + CUT_STEPS : total;
        if (lab_interrupted(lab_of(&trial[0]->eval))) return false;
        for (int i = 0; i < n; i++) {
            block[i] = trial[i]->t.block;
            training_feed(&trial[i]->t, &feed[i], 0);
            feed[i].series_first = 0;
        }
        if (lanes_run(code->lowered, code->function, n, block, feed, from, to, to == total)) return false;
        from = to;
    }
    return true;
}

static bool alike(const LaneTrial *a, const LaneTrial *b) {
    return a->t.plan == b->t.plan && a->t.data == b->t.data && a->t.total == b->t.total;
}

static void train_together(LaneTrial *const *trial, int n) {
    TrainPlan *plan = trial[0]->t.plan;
    double start = training_seconds();
    const LaneCode *code = trial[0]->t.total ? plan_lanes(&trial[0]->eval, plan) : NULL;
    for (int first = 0; code && first < n;) {
        int most = code->lowered->trials < MOST_LANES ? code->lowered->trials : MOST_LANES;
        int some = n - first < most ? n - first : most;
        if (!run_steps(code, trial + first, some)) break;
        double seconds = (training_seconds() - start) / some;
        for (int i = first; i < first + some; i++) trial_end(trial[i], seconds);
        start = training_seconds();
        first += some;
    }
    for (int i = 0; i < n; i++)
        if (trial[i]->state == LANE_OFFERED) trial[i]->state = LANE_ALONE;
}

void lanes_train(Eval *e, LaneTrial *const *trial, int n) {
    LaneTrial **some = arena_array(e->arena, LaneTrial *, n + 1);
    for (int i = 0; i < n; i++) {
        if (trial[i]->state != LANE_OFFERED) continue;
        int count = 0;
        for (int k = i; k < n; k++)
            if (trial[k]->state == LANE_OFFERED && alike(trial[i], trial[k])) some[count++] = trial[k];
        train_together(some, count);
    }
}
