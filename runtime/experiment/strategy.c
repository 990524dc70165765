/* strategy.c -- strategies of a model's cells: reading what `cells:` asks for, nets and models with other strategies,
 * boxes (LANGUAGE 4.11).
 *
 * What was asked for becomes a Strategy at once, without its table or coefficients: that is enough for a net's types
 * and layout.  These are made from a model's weights (model_with), when a session starts or a model is replaced. */
#include "experiment/prove.h"

#include "experiment/analysis.h"

#include <math.h>

/* ---- reading ---- */

static const Value *setting_of(const Callable *c, const char *name) {
    const Ast *def = c->def->ast;
    for (int i = 0; c->settings && i < c->settings_len; i++)
        if (strcmp(def->def.settings[i].name, name) == 0) return &c->settings[i];
    return NULL;
}

static bool range_ends(const Value *range, double *lo, double *hi) {
    if (range->kind != V_RANGE || !(range->range->lo < range->range->hi)) return false;
    *lo = range->range->lo;
    *hi = range->range->hi;
    return isfinite(*lo) && isfinite(*hi);
}

static bool box_of_region(Eval *e, const Value *over, int arity, const char *what, Span span, Strategy *s) {
    const Region *region = value_region(over);
    s->region = over->object;
    memcpy(s->lo, region->lo, sizeof s->lo);
    memcpy(s->hi, region->hi, sizeof s->hi);
    if (region->bins->axes == arity) return true;
    diag_add(e->diags, D_E0613, span, "%s needs a region of %d argument%s; this one has %d", what, arity,
             arity == 1 ? "" : "s", region->bins->axes);
    return false;
}

bool box_read(Eval *e, const Value *over, int arity, const char *what, Span span, Strategy *s) {
    bool list = over->kind == V_LIST, fits = over->kind == V_RANGE || (list && over->list->len == arity);
    s->axes = arity;
    if (value_region(over)) return box_of_region(e, over, arity, what, span, s);
    for (int j = 0; j < arity && j < STRATEGY_ARGUMENTS; j++) {
        const Value *range = list ? over->list->at + (fits ? j : 0) : over;
        s->lo[j] = -1;
        s->hi[j] = 1;
        if (over->kind == V_ABSTRACT || (fits && range->kind == V_ABSTRACT)) continue;
        if (fits && range_ends(range, &s->lo[j], &s->hi[j])) continue;
        Diag *diag = diag_add(e->diags, D_E0613, span, "%s needs a box of %d range%s; this is %s", what, arity,
                              arity == 1 ? "" : "s",
                              list ? arena_printf(e->arena, "a list of %d", over->list->len) : value_kind_name(over));
        diag_hint(diag, "over: [-4..4, -4..4], one range for each argument");
        return false;
    }
    return true;
}

static bool is_word(const Value *value, const char *word) {
    if (value->kind == V_CHOICE) return strcmp(value->choice, word) == 0;
    return value->kind == V_CALLABLE && value->callable->def->library && strcmp(value->callable->def->name, word) == 0;
}

static bool read_grid(Eval *e, const Callable *c, int arity, Span span, Strategy *s) {
    const Value *nodes = setting_of(c, "nodes"), *over = setting_of(c, "over");
    int64_t most = arity == 1 ? 65536 : arity == 2 ? 2048 : 160;
    s->kind = STRATEGY_GRID;
    s->nodes = nodes->kind == V_INT ? nodes->integer : 2;
    if (s->nodes < 2 || s->nodes > most) {
        diag_add(e->diags, D_E0613, span, "a grid of %d argument%s has 2 to %lld nodes along each; this has %lld",
                 arity, arity == 1 ? "" : "s", (long long)most, (long long)s->nodes);
        return false;
    }
    return is_word(over, "auto") || box_read(e, over, arity, "grid", span, s);
}

static bool read_fit(Eval *e, const Callable *c, int arity, Span span, Strategy *s) {
    const Value *degree = setting_of(c, "degree");
    int exponent[FIT_TERMS][STRATEGY_ARGUMENTS];
    int64_t d = !degree ? 2 : degree->kind == V_INT ? degree->integer : 1;
    s->kind = STRATEGY_FIT;
    s->rational = strcmp(c->def->name, "rational_fit") == 0;
    s->degree = (int)(d < 1 || d > FIT_TERMS ? 0 : d);
    if (!s->degree || !fit_terms(arity, s->degree, exponent)) {
        diag_add(e->diags, D_E0613, span, "a fit has a degree from 1 and at most %d terms; this has degree %lld",
                 FIT_TERMS, (long long)d);
        return false;
    }
    return box_read(e, setting_of(c, "over"), arity, c->def->name, span, s);
}

/* outside: has no default. */
static bool read_table(Eval *e, const Callable *c, int arity, Span span, Strategy *s) {
    const Value *error = setting_of(c, "error"), *outside = setting_of(c, "outside");
    s->kind = STRATEGY_TABLE;
    s->error = error->kind == V_REAL ? error->real : error->kind == V_INT ? (double)error->integer : 1;
    s->outside = is_word(outside, "clamp")    ? OUTSIDE_CLAMP
                 : is_word(outside, "linear") ? OUTSIDE_LINEAR
                                              : OUTSIDE_EXACT;
    if (!(s->error > 0 && isfinite(s->error))) {
        diag_add(e->diags, D_E0613, span, "a table has an error above 0; this has %g", s->error);
        return false;
    }
    return box_read(e, setting_of(c, "over"), arity, c->def->name, span, s);
}

bool strategy_read_callable(Eval *e, const Callable *c, int arity, const char *cell, Span span, Strategy *s) {
    const char *name = c->def->name;
    if (arity > STRATEGY_ARGUMENTS) {
        diag_add(e->diags, D_E0613, span, "%s needs 1 to %d arguments; %s has %d", name, STRATEGY_ARGUMENTS, cell,
                 arity);
        return false;
    }
    if (strcmp(name, "grid") == 0) return read_grid(e, c, arity, span, s);
    return strcmp(name, "tabulated") == 0 ? read_table(e, c, arity, span, s) : read_fit(e, c, arity, span, s);
}

/* fns of the library that make strategies. */
static bool names_strategy(const Value *value) {
    static const char *const names[] = {"grid", "tabulated", "quadratic_fit", "polynomial_fit", "rational_fit"};
    bool known = false;
    if (value->kind != V_CALLABLE || !value->callable->def->library) return false;
    for (int i = 0; i < COUNT(names); i++) known |= strcmp(value->callable->def->name, names[i]) == 0;
    return known;
}

static bool not_a_strategy(Eval *e, const Value *value, Span span) {
    Diag *diag = diag_add(
        e->diags, D_E0314, span,
        "a strategy of cells is exact, as_given, grid[64] ..., or a record of them by cell; this is %s",
        value_kind_name(value));
    if (value->kind == V_CALLABLE) diag_hint(diag, "cells: grid[64]");
    return false;
}

/* *out NULL: exact, or as_given where *given. */
static bool strategy_read(Eval *e, const Value *value, const NetCell *cell, Span span, const Strategy **out,
                          bool *given) {
    *out = NULL;
    *given = is_word(value, "as_given");
    if (*given || is_word(value, "exact") || value->kind == V_ABSTRACT || value->kind == V_NONE) return true;
    if (!names_strategy(value)) return not_a_strategy(e, value, span);
    Strategy *s = arena_new_of(e->arena, Strategy);
    Buf text = {0};
    value_identity(value, &text);
    *s = (Strategy){.object = {&strategy_class}, .asked = arena_copy(e->arena, text.at, text.len)};
    buf_free(&text);
    *out = s;
    if (!value->callable->settings) return not_a_strategy(e, value, span);
    return strategy_read_callable(e, value->callable, callable_arity(e, &cell->cell), cell->path, span, s);
}

static const char *cell_key(Eval *e, const NetCell *cell) {
    Buf text = {0};
    value_identity(&cell->cell, &text);
    return buf_done(&text, e->arena);
}

static bool labels_known(Eval *e, const NetInfo *info, const Value *cells, Span span) {
    for (int i = 0; cells->kind == V_RECORD && i < cells->record->len; i++) {
        bool known = false;
        for (int k = 0; k < info->cells; k++) known |= path_fits(cells->record->name[i], info->cell[k].path);
        if (known) continue;
        diag_add(e->diags, D_E0603, span, "\"%s\" is no cell of this net", cells->record->name[i]);
        return false;
    }
    return true;
}

/* What a record has for a cell; others are exact. */
static Value asked_for(const Value *cells, const NetCell *cell) {
    if (cells->kind != V_RECORD) return *cells;
    for (int i = 0; i < cells->record->len; i++)
        if (path_fits(cells->record->name[i], cell->path)) return cells->record->at[i];
    return value_none();
}

const Strategies *info_strategies(const NetInfo *info) {
    return info->net.kind == V_CALLABLE ? info->net.callable->strategies : NULL;
}

bool strategies_read(Eval *e, const NetInfo *info, const Value *cells, Span span, const Strategies **out) {
    Strategies *all = arena_new_of(e->arena, Strategies);
    all->at = arena_array(e->arena, CellStrategy, info->cells + 1);
    *out = NULL;
    if (!cells) return true;
    if (!labels_known(e, info, cells, span)) return false;
    for (int i = 0; i < info->cells; i++) {
        const NetCell *cell = &info->cell[i];
        const char *key = cell_key(e, cell);
        Value asked = asked_for(cells, cell);
        const Strategy *s;
        bool given;
        if (!strategy_read(e, &asked, cell, span, &s, &given)) return false;
        if (given) s = strategies_find(info_strategies(info), key);
        if (s && info->count_cells) all->at[all->n++] = (CellStrategy){key, cell->path, s};
    }
    if (all->n) *out = all;
    return true;
}

/* ---- nets and models with other strategies ---- */

static bool same_strategies(const Strategies *a, const Strategies *b) {
    Buf x = {0}, y = {0};
    if (a) strategies_identity(a, &x);
    if (b) strategies_identity(b, &y);
    bool same = x.len == y.len && (!x.len || memcmp(x.at, y.at, x.len) == 0);
    buf_free(&x);
    buf_free(&y);
    return same;
}

const NetInfo *info_with(Eval *e, const NetInfo *info, const Strategies *strategies, Span span) {
    if (same_strategies(info_strategies(info), strategies)) return info;
    Value net = strategies_on(e->arena, &info->net, strategies);
    return net_info(e, &net, &info->input, info->precision, span);
}

const NetInfo *info_after(Eval *e, const NetInfo *info, const Schedule *schedule, int sessions, Span span) {
    for (int i = 0; info && i < sessions; i++) {
        const Strategies *strategies;
        if (!strategies_read(e, info, schedule->session[i].cells, span, &strategies)) return NULL;
        info = info_with(e, info, strategies, span);
    }
    return info;
}

const NetInfo *request_info(Eval *e, const TrainRequest *r) {
    return r->from ? r->from->info : net_info(e, r->net, &data_part(r->data, "train")->x, r->precision, r->span);
}

bool snapshots_place(Eval *e, const TrainRequest *r, Run *run) {
    const NetInfo *first = request_info(e, r);
    for (int i = 0; first && i < run->snapshots; i++) {
        Snapshot *s = &run->snapshot[i];
        if (s->session < 1 || s->session > r->schedule.sessions) return false;
        s->info = info_after(e, first, &r->schedule, s->session, r->span);
        if (!s->info || s->size != s->info->layout.size) return false;
    }
    return first != NULL;
}

static void copy_param(Model *to, int i, const Model *from) {
    const NetParam *p = &to->info->param[i];
    int k = net_param_index(from->info, p->path);
    if (k < 0 || !shape_equal(&from->info->param[k].shape, &p->shape)) return;
    DType dtype = to->info->layout.slot[i].dtype;
    if (from->info->layout.slot[k].dtype != dtype) return;
    memcpy((char *)to->block + p->offset, (const char *)from->block + from->info->param[k].offset,
           (size_t)shape_size(&p->shape) * dtype_size(dtype));
}

Model *model_on(Eval *e, const Model *model, const NetInfo *info, Span span) {
    Model *out = arena_new_of(e->arena, Model);
    Seeds seeds = {0};
    bool *fresh = arena_array(e->arena, bool, info->params + 1);
    *out = *model;
    out->info = info;
    if (!model->known) return out;
    out->block = training_aligned(e->arena, info->layout.size);
    for (int i = 0; i < info->params; i++) fresh[i] = net_param_index(model->info, info->param[i].path) < 0;
    if (!model_draw(e, info, &seeds, 0, fresh, out->block, span)) return NULL;
    for (int i = 0; i < info->params; i++) copy_param(out, i, model);
    return out;
}

static bool is_made(const Strategy *s) {
    return s->kind == STRATEGY_GRID || (s->kind == STRATEGY_FIT ? s->coefficients != NULL : s->table != NULL);
}

/* What was made is part of where an experiment's numbers come from. */
static void note_strategy(Eval *e, const CellStrategy *made) {
    Experiment *x = lab_of(e)->experiment;
    Buf text = {0};
    bool known = false;
    if (!x || e->mode == EVAL_CHECK) return;
    buf_printf(&text, "%s by ", made->path);
    strategy_text(made->strategy, &text);
    const char *note = buf_done(&text, e->arena);
    pthread_mutex_lock(&x->lock);
    for (int i = 0; i < x->strategies.len; i++) known |= strcmp(x->strategies.at[i], note) == 0;
    if (!known) vec_push(x->arena, &x->strategies, arena_printf(x->arena, "%s", note));
    pthread_mutex_unlock(&x->lock);
}

/* Fits and tables that have no coefficients and values yet get them from the model's own cells, evaluated exactly. */
static bool strategies_make(Eval *e, const Model *model, const Strategies *asked, Span span, const Strategies **out) {
    Strategies *made = arena_new_of(e->arena, Strategies);
    *out = asked;
    if (!asked || !model->known) return true;
    *made = (Strategies){asked->n, arena_array(e->arena, CellStrategy, asked->n)};
    for (int i = 0; i < asked->n; i++) {
        const NetCell *cell = NULL;
        made->at[i] = asked->at[i];
        for (int k = 0; k < model->info->cells; k++)
            if (strcmp(model->info->cell[k].path, asked->at[i].path) == 0) cell = &model->info->cell[k];
        if (is_made(asked->at[i].strategy)) note_strategy(e, &asked->at[i]);
        if (is_made(asked->at[i].strategy) || !cell) continue;
        Strategy *s = arena_new_of(e->arena, Strategy);
        Value trained = trained_cell(e, model, cell), exact = strategies_on(e->arena, &trained, NULL);
        *s = *asked->at[i].strategy;
        int arity = callable_arity(e, &cell->cell);
        bool ok = s->kind == STRATEGY_FIT ? fit_make(e, &exact, arity, span, s)
                                          : table_make(e, &exact, arity, model->info->precision, span, s);
        if (!ok) return false;
        made->at[i].strategy = s;
        note_strategy(e, &made->at[i]);
    }
    *out = made;
    return true;
}

Model *model_with(Eval *e, const Model *model, const Strategies *strategies, Span span) {
    if (!strategies_make(e, model, strategies, span, &strategies)) return NULL;
    const NetInfo *info = info_with(e, model->info, strategies, span);
    return info ? model_on(e, model, info, span) : NULL;
}

void strategies_still(const NetInfo *info, bool *learn) {
    const Strategies *all = info_strategies(info);
    for (int k = 0; all && k < all->n; k++) {
        const CellStrategy *c = &all->at[k];
        size_t length = strlen(c->path);
        for (int i = 0; i < info->params && c->strategy->kind != STRATEGY_GRID; i++) {
            const char *path = info->param[i].path;
            if (strncmp(path, c->path, length) == 0 && path[length] == '.' && strcmp(path + length, ".fit") != 0)
                learn[i] = false;
        }
    }
}

/* ---- boxes ---- */

static bool is_automatic(const Strategy *s) { return s->kind == STRATEGY_GRID && !s->axes; }

bool has_boxes(const NetInfo *info) {
    const Strategies *all = info_strategies(info);
    for (int i = 0; all && i < all->n; i++)
        if (is_automatic(all->at[i].strategy)) return true;
    return false;
}

static double box_number(const void *at, DType dtype, int64_t i) {
    return dtype == DT_F64 ? ((const double *)at)[i] : (double)((const float *)at)[i];
}

static void box_join(void *box, const void *more, DType dtype, int64_t n, bool first) {
    for (int64_t i = 0; i < n; i++) {
        double x = box_number(box, dtype, i), y = box_number(more, dtype, i);
        bool take = first || (i % 2 ? y > x : y < x);
        if (!take) continue;
        if (dtype == DT_F64) ((double *)box)[i] = y;
        else ((float *)box)[i] = (float)y;
    }
}

/* The boxes after one step, into the model; the first one replaces what is there. */
static void boxes_take(Model *model, const TrainPlan *plan, const char *block, bool first) {
    const NetInfo *info = model->info;
    for (int i = 0; i < info->params; i++) {
        int slot = plan->slot_of_param[i];
        const char *path = info->param[i].path;
        size_t length = strlen(path);
        if (slot < 0 || !info->param[i].state || length < 4 || strcmp(path + length - 4, ".box") != 0) continue;
        const Slot *s = &plan->program->layout.slot[slot];
        box_join((char *)model->block + info->param[i].offset, block + s->offset, s->dtype, shape_size(&s->shape),
                 first);
    }
}

bool boxes_find(Eval *e, Model *model, const PlanRequest *request, const Feed *asked, const Seeds *seeds,
                uint32_t session, int64_t steps, Span span) {
    PlanRequest r = *request;
    const double *settings;
    r.boxes = true;
    TrainPlan *plan = plan_get(&r, &settings);
    if (!plan || !plan_ready(e, plan, span)) return false;
    size_t size = plan->program->layout.size;
    char *block = training_aligned(e->arena, size), *before = training_aligned(e->arena, size);
    Feed feed = *asked;
    feed.settings = settings;
    feed.keys = plan_keys(e, plan, seeds, session);
    model_block(model, plan, before);
    for (int64_t step = 0; step < steps; step++) {
        memcpy(block, before, size);
        if (plan->program->run(plan->program, block, &feed, step, step + 1, lab_turn(e)->pool)) {
            diag_add(e->diags, D_R0103, span, "out of memory while looking for the boxes of grids");
            return false;
        }
        boxes_take(model, plan, block, step == 0);
    }
    return true;
}

/* Of a finished model: in evaluation, on all the data that it was trained on. */
static bool boxes_of_data(Eval *e, Model *model, Span span) {
    enum { BATCH = 1024 };
    const DataObject *data = model->data ? data_part(model->data, "train") : NULL;
    if (!data) {
        Diag *diag = diag_add(e->diags, D_E0613, span,
                              "this model was trained on no data that a grid could take its box from");
        diag_hint(diag, "grid[64, over: [-4..4, -4..4]]");
        return false;
    }
    DType precision = model->info->precision;
    Seeds seeds = {0};
    PlanRequest request = {.e = e, .info = model->info, .x = data->x, .y = data->y, .outputs = true, .span = span};
    Feed feed = {.rows = {data_rows(lab_of(e), data, 0, precision), data_rows(lab_of(e), data, 1, precision)},
                 .examples = data->size, .batch = data->size < BATCH ? data->size : BATCH};
    return boxes_find(e, model, &request, &feed, &seeds, 0, (data->size + feed.batch - 1) / feed.batch, span);
}

/* ---- replace(model, cells:) ---- */

static bool builtin_replace(Eval *e, const BuiltinCall *call, Value *out) {
    const Value *of = &call->args[0];
    const Strategies *strategies;
    if (of->kind == V_ERROR) return eval_fail(out);
    if (of->kind == V_ABSTRACT) { *out = value_abstract(NULL); return true; }
    if (of->kind != V_OBJECT || of->object->class != &model_class) {
        Diag *diag = diag_add(e->diags, D_E0314, call->arg_spans[0], "this must be a model; it is %s",
                              value_kind_name(of));
        if (of->kind == V_OBJECT && of->object->class == &run_class) diag_hint(diag, "run.model");
        return eval_fail(out);
    }
    const Model *model = (const Model *)of->object;
    if (!strategies_read(e, model->info, &call->args[1], call->arg_spans[1], &strategies)) return eval_fail(out);
    Model *with = model_with(e, model, strategies, call->span);
    if (!with) return eval_fail(out);
    bool moved = !same_strategies(info_strategies(model->info), strategies);
    if (with->known && moved && has_boxes(with->info) && !boxes_of_data(e, with, call->span)) return eval_fail(out);
    if (moved) with->run = NULL;
    *out = value_object(&with->object);
    return true;
}

const BuiltinRow builtins_strategy[] = {{"replace", builtin_replace}, {NULL, NULL}};
