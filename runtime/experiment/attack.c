/* attack.c -- attack(model, with:, on:, seed:): a model as a victim, and what comes of it.
 *
 * The victim's programs take inputs in the protocol's units: with raw ones the data's map is part of the program, so
 * that gradients are by raw values.  Each loss has a program of its own, made when it is first needed. */
#include "attack/loops.h"
#include "experiment/attacking.h"
#include "experiment/training.h"
#include "experiment/experiment.h"
#include "support/sha256.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* Programs: 0 gives logits, 1 + loss a slope, FIRST_OWN + i what the own attack i makes of a point.  ROW_DX: the
 * results' row of gradients. */
enum {
    ARG_MODEL, ARG_WITH, ARG_ON, ARG_SEED, MAX_BATCH = 512, FIRST_OWN = 1 + BUILTIN_LOSSES + MAX_ATTACKS,
    PROGRAMS = FIRST_OWN + MAX_ATTACKS, ROW_DX = 2
};

typedef struct Assault {
    Eval *e; Span span;
    const Model *model; const DataObject *data; const ProtocolObject *protocol;
    Seeds seeds;
    Value loss[BUILTIN_LOSSES + MAX_ATTACKS];
    TrainPlan *plan[PROGRAMS];
    const double *settings[PROGRAMS];
    void *block[PROGRAMS];
    Ball ball;
    /* the first one; attack -1: none */
    struct { int64_t number; int attack; bool outside; double change, value; } stray;
    pthread_mutex_t lock; /* of plans and keys as they are made: batches run side by side */
    Victim victim;
    const AttackFront *front; bool front_sought;
    int64_t classes;
    int64_t attacks;
    const char *path; double saved_at; bool failed;       /* of what was reached; NULL: not kept */
} Assault;

/* ---- the victim ---- */

static PlanRequest assault_request(const Assault *a, int k) {
    const ProtocolObject *p = a->protocol;
    bool own = k >= FIRST_OWN;
    PlanRequest request = {.e = a->e, .info = a->model->info, .x = a->data->x, .y = a->data->y,
                           .affine = p->network ? NULL : a->data->affine, .outputs = !own, .attack = true, .raw = true,
                           .training = p->training, .slope = k && !own ? &a->loss[k - 1] : NULL,
                           .attacker = own ? &p->own[k - FIRST_OWN] : NULL, .span = a->span};
    if (own) request.raw_lo = a->ball.lo, request.raw_hi = a->ball.hi;
    return request;
}

static TrainPlan *assault_plan(Assault *a, int k) {
    if (a->plan[k]) return a->plan[k];
    PlanRequest request = assault_request(a, k);
    TrainPlan *plan = plan_get(&request, &a->settings[k]);
    if (!plan) return NULL;
    char *block = arena_alloc(a->e->arena, plan->program->layout.size + 64);
    a->block[k] = (void *)(((uintptr_t)block + 63) & ~(uintptr_t)63);
    model_block(a->model, plan, a->block[k]);
    return a->plan[k] = plan;
}

static void *rows_to(const double *x, int64_t n, DType precision) {
    void *rows = malloc((size_t)n * dtype_size(precision) + 64);
    if (rows && precision == DT_F32) attack_loops()->rows[1].write(x, rows, n);
    else if (rows) memcpy(rows, x, (size_t)n * sizeof *x);
    return rows;
}

static void rows_from(const void *rows, DType type, int64_t n, double *out) {
    if (type == DT_F32) attack_loops()->rows[1].read(rows, out, n);
    else memcpy(out, rows, (size_t)n * sizeof *out);
}

/* One program on n rows: random numbers have the session number `session`, steps begin with `step`.  x, dx: rows of the
 * victim's precision; dx NULL where there is none. */
typedef struct Look {
    int program; const void *x; const int32_t *y, *aim; int64_t n; uint32_t session; int64_t step; void *dx;
} Look;

static bool assault_run(Assault *a, const Look *look, double *const *out) {
    int64_t n = look->n;
    int k = look->program;
    const int32_t *y = look->y, *aim = look->aim;
    pthread_mutex_lock(&a->lock);
    TrainPlan *plan = assault_plan(a, k);
    const uint64_t *keys = plan && plan->keys ? plan_keys(a->e, plan, &a->seeds, look->session) : NULL;
    pthread_mutex_unlock(&a->lock);
    void *rows[3] = {NULL, NULL, look->dx};
    int32_t *zeros = calloc((size_t)n + 1, sizeof *zeros);
    bool ok = plan && zeros;
    Feed feed = {.rows = {look->x, y ? y : zeros, aim ? aim : zeros},
                 .examples = n,
                 .batch = n < MAX_BATCH ? n : MAX_BATCH,
                 .settings = a->settings[k],
                 .keys = keys};
    for (int i = 0; ok && i < plan->rows; i++) {
        if (i < ROW_DX)
            rows[i] = malloc((size_t)(n * shape_size(&plan->row_shape[i])) * dtype_size(plan->row_type[i]) + 64);
        feed.out_rows[i] = rows[i];
        ok = rows[i] != NULL;
    }
    int64_t steps = (n + feed.batch - 1) / feed.batch;
    ok = ok && plan->program->run(plan->program, a->block[k], &feed, look->step, look->step + steps,
                                  lab_turn(a->e)->pool) == 0;
    for (int i = 0; ok && i < plan->rows && i < ROW_DX; i++)
        rows_from(rows[i], plan->row_type[i], n * shape_size(&plan->row_shape[i]), out[i]);
    for (int i = 0; i < ROW_DX; i++) free(rows[i]);
    free(zeros);
    return ok;
}

static bool assault_logits(void *data, const void *x, int64_t n, uint32_t turn, double *z) {
    double *const out[] = {z};
    return assault_run(data, &(Look){0, x, NULL, NULL, n, turn + 1, 0, NULL}, out);
}

static bool assault_slope(void *data, AttackLoss loss, const void *x, const int32_t *y, const int32_t *aim, int64_t n,
                          uint32_t turn, double *z, double *value, void *dx) {
    double *const out[] = {z, value};
    return assault_run(data, &(Look){1 + (int)loss, x, y, aim, n, turn + 1, 0, dx}, out);
}

/* Of the program that gives logits: where it begins with a product. */
static const Front *assault_front(void *data) {
    Assault *a = data;
    pthread_mutex_lock(&a->lock);
    const TrainPlan *plan = a->front_sought ? NULL : assault_plan(a, 0);
    a->front_sought = true;
    if (plan && !plan->keys) a->front = attack_front(a->e, plan, a->block[0], a->settings[0], a->span);
    pthread_mutex_unlock(&a->lock);
    return a->front ? &a->front->front : NULL;
}

/* ---- own attacks ---- */

/* A fn that stands in the list again draws other numbers. */
static uint32_t own_session(const Assault *a, int which) {
    const ProtocolObject *p = a->protocol;
    uint32_t before = 0;
    for (int i = 0; i < which; i++)
        before += p->attack[i].kind == KIND_OWN && p->own[i].callable->def == p->own[which].callable->def;
    return before;
}

/* At rows of f64. */
static bool change_rows(Assault *a, const Look *from, const double *x, double *out) {
    Look look = *from;
    void *rows = rows_to(x, look.n * a->victim.inputs, a->model->info->precision);
    look.x = rows;
    bool ok = rows && assault_run(a, &look, &out);
    free(rows);
    return ok;
}

/* In blocks of SHARD places of the data set, each a step of its own, where fn draws random numbers: what a point gets
 * is then its own affair, whoever is attacked beside it.  x: of one block, the others' places filled with its first
 * point. */
static bool change_block(Assault *a, int k, int which, const double *x, const int32_t *y, const int64_t *number,
                         int64_t n, double *out) {
    int64_t size = a->victim.inputs, block = number[0] / SHARD;
    size_t bytes = (size_t)size * sizeof(double);
    double *rows = malloc(2 * SHARD * bytes + 1), *made = rows + SHARD * size;
    int32_t target[SHARD];
    if (!rows) return false;
    for (int i = 0; i < SHARD; i++) {
        memcpy(rows + i * size, x, bytes);
        target[i] = y[0];
    }
    for (int64_t i = 0; i < n; i++) {
        memcpy(rows + number[i] % SHARD * size, x + i * size, bytes);
        target[number[i] % SHARD] = y[i];
    }
    bool ok = change_rows(a, &(Look){k, NULL, target, NULL, SHARD, own_session(a, which), block, NULL}, rows, made);
    for (int64_t i = 0; ok && i < n; i++) memcpy(out + i * size, made + number[i] % SHARD * size, bytes);
    free(rows);
    return ok;
}

/* Is u in the box and in the ball, as the protocol itself would project it?  (A clean point outside of a wrong box may
 * stay or go in.)  Else the point with the lowest number is kept for the message. */
static void note_strays(Assault *a, int which, const double *x, const int64_t *number, int64_t n, const double *u) {
    int64_t size = a->victim.inputs;
    double slack = ball_slack(&a->ball, size), *put = malloc((size_t)size * sizeof *put + 1);
    for (int64_t k = 0; put && k < n; k++) {
        const double *clean = x + k * size, *at = u + k * size;
        double worst = 0;
        bool outside = false;
        for (int64_t i = 0; i < size && !outside; i++) {
            outside = !(at[i] >= fmin(a->ball.lo, clean[i]) - slack && at[i] <= fmax(a->ball.hi, clean[i]) + slack);
            worst = at[i];
        }
        memcpy(put, at, (size_t)size * sizeof *put);
        ball_project(&a->ball, clean, put, size);
        for (int64_t i = 0; i < size; i++) put[i] -= at[i];
        if (!outside && norm_of(a->ball.norm, put, size) <= slack) continue;
        for (int64_t i = 0; i < size; i++) put[i] = at[i] - clean[i];
        pthread_mutex_lock(&a->lock);
        if (a->stray.attack < 0 || number[k] < a->stray.number) {
            a->stray.number = number[k];
            a->stray.attack = which;
            a->stray.change = norm_of(a->ball.norm, put, size);
            a->stray.outside = outside;
            a->stray.value = worst;
        }
        pthread_mutex_unlock(&a->lock);
    }
    free(put);
}

static bool assault_change(void *data, int which, const double *x, const int32_t *y, const int64_t *number, int64_t n,
                           double *out) {
    Assault *a = data;
    int k = FIRST_OWN + which;
    pthread_mutex_lock(&a->lock);
    const TrainPlan *plan = assault_plan(a, k);
    pthread_mutex_unlock(&a->lock);
    bool ok = plan != NULL;
    if (ok && !plan->keys) ok = change_rows(a, &(Look){k, NULL, y, NULL, n, 0, 0, NULL}, x, out);
    for (int64_t i = 0, m; ok && plan->keys && i < n; i += m) {
        for (m = 1; i + m < n && number[i + m] / SHARD == number[i] / SHARD; m++) {}
        ok = change_block(a, k, which, x + i * a->victim.inputs, y + i, number + i, m, out + i * a->victim.inputs);
    }
    if (ok) note_strays(a, which, x, number, n, out);
    return ok && a->stray.attack < 0;
}

static bool assault_open(Assault *a) {
    static const char *const names[BUILTIN_LOSSES] = {"cross_entropy", "dlr", "dlr_targeted", "lead"};
    for (int i = 0; i < BUILTIN_LOSSES; i++) {
        Value ready;
        if (!library_value(a->e, names[i], &a->loss[i]) || !callable_ready(a->e, &a->loss[i], a->span, &ready))
            return false;
        a->loss[i] = ready;
    }
    for (int i = 0; i < a->protocol->losses; i++) a->loss[BUILTIN_LOSSES + i] = a->protocol->loss[i];
    const Shape *s = &a->data->x.shape;
    int64_t size = shape_size(s);
    int planes = s->rank == 3 ? (int)s->dim[0] : 1, height = s->rank >= 2 ? (int)s->dim[s->rank - 2] : 1,
        width = s->rank >= 2 ? (int)s->dim[s->rank - 1] : (int)size;
    const Shape *image = &a->data->image;
    if (s->rank == 1 && image->rank >= 2 && shape_size(image) == size) { /* rows of an image: squares know its sides */
        planes = image->rank == 3 ? (int)image->dim[0] : 1;
        height = (int)image->dim[image->rank - 2];
        width = (int)image->dim[image->rank - 1];
    }
    a->classes = a->data->y.classes;
    a->victim = (Victim){a, (int)a->classes, size, planes, height, width, a->model->info->precision == DT_F32,
                         a->protocol->training && a->model->info->random, assault_logits, assault_slope,
                         assault_change, assault_front};
    a->stray.attack = -1;
    return true;
}

/* ---- points in the protocol's units ---- */

static double *points_of(const Assault *a) {
    int64_t size = a->victim.inputs, n = a->data->size;
    DType precision = a->model->info->precision;
    const void *rows = data_rows(lab_of(a->e), a->data, 0, precision);
    double *x = arena_array(a->e->arena, double, n * size + 1);
    rows_from(rows, precision, n * size, x);
    for (int64_t i = 0; i < n * size; i++) {
        if (!a->protocol->network) x[i] = data_raw_number(a->data, i % size, x[i]);
        if (precision == DT_F32) x[i] = (float)x[i];
    }
    return x;
}

/* ---- the result ---- */

typedef struct AttackObject {
    Object object; const char *label; double accuracy, clean, largest; Value by_attack, examples; char hash[65];
} AttackObject;
static const char *const attack_fields[] = {"accuracy", "clean",    "by_attack", "largest_change",
                                            "label",    "examples", NULL};

static bool attack_field(Eval *e, Object *self, Name field, Span span, Value *out) {
    const AttackObject *a = (const AttackObject *)self;
    (void)e, (void)span;
    if (strcmp(field, "accuracy") == 0) *out = value_real(a->accuracy);
    else if (strcmp(field, "clean") == 0) *out = value_real(a->clean);
    else if (strcmp(field, "largest_change") == 0) *out = value_real(a->largest);
    else if (strcmp(field, "by_attack") == 0) *out = a->by_attack;
    else if (strcmp(field, "label") == 0) *out = value_text(a->label);
    else if (strcmp(field, "examples") == 0) *out = a->examples;
    else return false;
    return true;
}

static void attack_identity(const Object *self, Buf *out) {
    buf_printf(out, "attack %s", ((const AttackObject *)self)->hash);
}
static void attack_show(const Object *self, Buf *out) {
    const AttackObject *a = (const AttackObject *)self;
    buf_printf(out, "%s: accuracy %.4g (clean %.4g)", a->label, a->accuracy, a->clean);
}
static const ObjectClass attack_class = {
    .name = "attack", .fields = attack_fields, .field = attack_field, .identity = attack_identity, .show = attack_show};

/* The attacked examples as data: fooling ones where there are, in the units of the given values. */
static Value examples_of(const Assault *a, const AttackReport *report) {
    Eval *e = a->e;
    int64_t size = a->victim.inputs, n = a->data->size;
    const Affine *map = a->protocol->network ? NULL : a->data->affine;
    DataObject *made = arena_new_of(e->arena, DataObject);
    float *x = arena_alloc(e->arena, sizeof(float) * (size_t)(n * size) + 64), *raw = NULL;
    if (!a->protocol->network) raw = arena_array(e->arena, float, n * size + 1);
    for (int64_t i = 0; i < n * size; i++) {
        int64_t f = data_feature(a->data, i % size);
        x[i] = (float)report->adv[i];
        if (raw) raw[i] = x[i];
        if (map) x[i] = (x[i] - (float)map->mean[f]) / (float)map->sd[f];
    }
    *made = *a->data;
    made->train = made->valid = made->test = NULL;
    made->wide[0] = made->wide[1] = NULL;
    made->x = (Column){DT_F32, a->data->x.shape, x, 0};
    made->raw = raw;
    made->name = arena_printf(e->arena, "%s under %s", a->data->name, a->protocol->label);
    char *text = arena_printf(e->arena, "attacked %s %s %s", a->data->hash, a->model->info->hash,
                              a->protocol->identity);
    sha256_hex(text, strlen(text), made->hash);
    return value_object(&made->object);
}

static Value attack_value(const Assault *a, const AttackReport *r) {
    Eval *e = a->e;
    const ProtocolObject *p = a->protocol;
    Name *names = arena_array(e->arena, Name, p->attacks + 1);
    Value *values = arena_array(e->arena, Value, p->attacks + 1);
    for (int i = 0; i < r->done; i++) {
        int before = 0;
        for (int k = 0; k < i; k++) before += strcmp(p->attack[k].name, p->attack[i].name) == 0;
        names[i] = intern_text(e->session->names, before
                                                      ? arena_printf(e->arena, "%s %d", p->attack[i].name, before + 1)
                                                      : p->attack[i].name);
        values[i] = value_real(r->after[i]);
    }
    AttackObject *made = arena_new_of(e->arena, AttackObject);
    *made = (AttackObject){.object = {&attack_class}, .label = p->label,
                           .accuracy = r->done ? r->after[r->done - 1] : r->clean, .clean = r->clean,
                           .largest = r->largest, .by_attack = value_record(e->arena, names, values, r->done),
                           .examples = examples_of(a, r)};
    memcpy(made->hash, ((const DataObject *)made->examples.object)->hash, sizeof made->hash);
    return value_object(&made->object);
}

/* Square sees no gradients.  Where it fools more than 0.002 of the points that the attacks before it left, which is the
 * published ensemble's own threshold, that is said; beyond 0.02 the gradients are taken to be masked. */
static bool square_behind(const Assault *a, const AttackReport *r) {
    for (int i = 1; i < r->done; i++) {
        double more = r->after[i - 1] - r->after[i];
        if (a->protocol->attack[i].kind != KIND_SQUARE || more <= 0.002 + 1e-9) continue;
        bool masked = more > 0.02;
        diag_add(a->e->diags, masked ? D_R0713 : D_W0714, a->span,
                 "square fooled %.1f %% more than all gradient attacks: their gradients may be masked", 100 * more);
        if (masked) return false;
    }
    return true;
}

/* What every attack promises: changes within eps, points in the box; Square no better than the gradients. */
static bool promises_kept(const Assault *a, const AttackReport *r, const Ball *ball) {
    const ProtocolObject *p = a->protocol;
    double slack = ball_slack(ball, a->victim.inputs);
    if (!p->published) return true;
    if (r->largest > ball->eps + slack) {
        diag_add(a->e->diags, D_R0713, a->span, "the largest change is %g, above eps = %g", r->largest, ball->eps);
        return false;
    }
    for (int64_t i = 0; i < a->data->size * a->victim.inputs; i++) {
        if (r->adv[i] >= ball->lo - slack && r->adv[i] <= ball->hi + slack) continue;
        diag_add(a->e->diags, D_R0713, a->span, "an attacked input is %g, outside of %g..%g", r->adv[i], ball->lo,
                 ball->hi);
        return false;
    }
    return square_behind(a, r);
}

/* ---- running ---- */

static bool assault_progress(void *data, int attack, double share, double robust) {
    Assault *a = data;
    char detail[160];
    snprintf(detail, sizeof detail, "%s, robust accuracy so far %.4f", a->protocol->attack[attack].name, robust);
    lab_progress_text(a->e, a->protocol->label, attack + share, a->attacks, detail);
    return !lab_interrupted(lab_of(a->e));
}

static bool assault_restore(void *data, AttackPlace *place, AttackReport *report) {
    Assault *a = data;
    return a->path && attack_restore(a->e, a->path, place, report, (int)a->attacks, a->data->size, a->victim.inputs);
}

static void assault_reached(void *data, const AttackPlace *place, const AttackReport *report, bool now) {
    enum { EVERY = 5 };
    Assault *a = data;
    double time = training_seconds();
    if (!a->path || a->failed || (!now && time < a->saved_at + EVERY)) return;
    a->failed = !attack_save(a->e, a->path, place, report, (int)a->attacks, a->data->size, a->victim.inputs, a->span);
    a->saved_at = time;
}

static Ball assault_ball(const Assault *a) {
    const ProtocolObject *p = a->protocol;
    Ball ball = {p->norm, p->eps, a->data->raw_lo, a->data->raw_hi};
    if (p->network && a->data->affine) {
        const Affine *map = a->data->affine;
        double lo = INFINITY, hi = -INFINITY;
        for (int i = 0; i < map->features; i++) {
            lo = fmin(lo, (a->data->raw_lo - map->mean[i]) / map->sd[i]);
            hi = fmax(hi, (a->data->raw_hi - map->mean[i]) / map->sd[i]);
        }
        ball.lo = lo;
        ball.hi = hi;
    }
    if (p->boxed) {
        ball.lo = p->lo;
        ball.hi = p->hi;
    }
    return ball;
}

static bool own_programs(Assault *a, Buf *computes) {
    const ProtocolObject *p = a->protocol;
    for (int i = 0; i < p->losses + p->attacks; i++) {
        uint64_t hash;
        if (i >= p->losses && p->attack[i - p->losses].kind != KIND_OWN) continue;
        PlanRequest request = assault_request(a, i < p->losses ? 1 + BUILTIN_LOSSES + i : FIRST_OWN + i - p->losses);
        if (!plan_check(&request, &hash)) return false;
        buf_printf(computes, "%016llx\n", (unsigned long long)hash);
    }
    return true;
}

/* Checks the protocol's own fns; what they compute is part of what is kept. */
static bool assault_ready(Assault *a) {
    Buf computes = {0};
    a->ball = assault_ball(a);
    if (!assault_open(a)) return false;
    bool ok = own_programs(a, &computes);
    if (ok && a->e->mode != EVAL_CHECK && a->model->known && a->data->known)
        a->path = attack_path(a->e, a->protocol, a->model, a->data, &a->seeds, &computes);
    buf_free(&computes);
    return ok;
}

static void say_stray(const Assault *a) {
    const char *name = a->protocol->attack[a->stray.attack].name;
    long long number = (long long)a->stray.number + 1;
    Diag *diag;
    if (isnan(a->stray.value))
        diag = diag_add(a->e->diags, D_R0713, a->span, "%s puts a value of example %lld to no number", name, number);
    else if (a->stray.outside)
        diag = diag_add(a->e->diags, D_R0713, a->span, "%s puts a value of example %lld to %g, outside of %g..%g", name,
                        number, a->stray.value, a->ball.lo, a->ball.hi);
    else
        diag = diag_add(a->e->diags, D_R0713, a->span, "%s changes example %lld by %g, above eps = %g", name, number,
                        a->stray.change, a->ball.eps);
    diag_hint(diag, "clamp(project(z, %s, eps, x), model.lo, model.hi)", a->ball.norm == NORM_L2 ? "l2" : "linf");
}

static bool assault(Assault *a, Value *out) {
    Eval *e = a->e;
    Points points = {points_of(a), a->data->y.rows, NULL, a->data->size};
    int64_t *number = arena_array(e->arena, int64_t, points.n + 1);
    for (int64_t i = 0; i < points.n; i++) number[i] = i;
    points.number = number;
    Protocol protocol = {a->protocol->attack, a->protocol->attacks, a->ball, false};
    AttackWatch watch = {a, assault_progress, assault_restore, assault_reached};
    AttackReport report;
    a->attacks = protocol.attacks;
    a->saved_at = training_seconds();
    int errors = e->diags->errors;
    pthread_mutex_init(&a->lock, NULL);
    bool attacked = attack_ensemble(e->arena, &a->victim, &protocol, lab_turn(e)->pool, a->seeds.attack, points, &watch,
                                    &report);
    pthread_mutex_destroy(&a->lock);
    attack_front_free(a->front);
    if (!attacked) {
        if (a->stray.attack >= 0) say_stray(a);
        if (e->diags->errors == errors) diag_add(e->diags, D_R0103, a->span, "out of memory while attacking");
        return eval_fail(out);
    }
    if (a->failed) return eval_fail(out);
    if (report.done < protocol.attacks) {
        diag_add(e->diags, D_R0103, a->span, "interrupted in %s", a->protocol->attack[report.done].name);
        return eval_fail(out);
    }
    *out = attack_value(a, &report);
    return promises_kept(a, &report, &a->ball) || eval_fail(out);
}

static bool builtin_attack(Eval *e, const BuiltinCall *call, Value *out) {
    const Value *args = call->args;
    for (int i = 0; i < 4; i++)
        if (args[i].kind == V_ABSTRACT) { *out = value_abstract(NULL); return true; }
    Assault *a = arena_new_of(e->arena, Assault);
    *a = (Assault){.e = e, .span = call->span, .model = (const Model *)args[ARG_MODEL].object,
                   .data = (const DataObject *)args[ARG_ON].object,
                   .protocol = (const ProtocolObject *)args[ARG_WITH].object};
    if (!seeds_read(e, &args[ARG_SEED], call->arg_spans[ARG_SEED], &a->seeds)) return eval_fail(out);
    if (!protocol_check(e, a->protocol, a->model, a->data, call)) return eval_fail(out);
    if (!assault_ready(a)) return eval_fail(out);
    if (e->mode == EVAL_CHECK || !a->model->known || !a->data->known) { *out = value_abstract(NULL); return true; }
    return assault(a, out);
}

/* An attack by itself: it belongs in a protocol. */
static bool builtin_attacker(Eval *e, const BuiltinCall *call, Value *out) {
    diag_hint(diag_add(e->diags, D_E0314, call->span, "an attack is made on a model and data"),
              "attack(model, with: protocol(...), on: data.test, seed: 1)");
    return eval_fail(out);
}

const BuiltinRow builtins_attack[] = {
    {"attack", builtin_attack}, {"apgd", builtin_attacker}, {"apgd_targeted", builtin_attacker},
    {"fab", builtin_attacker}, {"fab_targeted", builtin_attacker}, {"square", builtin_attacker}, {NULL, NULL}};
