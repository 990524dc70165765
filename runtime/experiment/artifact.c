/* artifact.c -- artifact(...): read, and made for a device and for the JIT from one graph. */
#include "experiment/artifact.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>

#include "data/dataset.h"
#include "experiment/strategy.h"
#include "kernel/generate.h"
#include "support/rng.h"

enum { DRAWN_VECTORS = 4, MOST_VECTORS = 100, WARN_MULTIPLIES = 1000 };

/* ---- the value ---- */

static void artifact_identity(const Object *self, Buf *out) {
    const ArtifactSpec *s = (const ArtifactSpec *)self;
    buf_printf(out, "artifact %s %d%d%d%d of ", s->emission, s->pixels, s->gives_class, s->gives_values, s->separate);
    s->model->object.class->identity(&s->model->object, out);
}
const ObjectClass artifact_class = {.name = "artifact", .identity = artifact_identity};

ArtifactSpec artifact_plain(const Model *model, Span span) {
    return (ArtifactSpec){
        .object = {&artifact_class}, .model = model, .emission = "c", .gives_values = true, .span = span};
}

enum {
    ARG_MODEL, ARG_EMIT, ARG_PREFIX, ARG_INPUT, ARG_OUTPUT, ARG_WEIGHTS, ARG_TRAIN, ARG_TEST, ARG_BUDGET, ARG_THREADS
};

static bool is_choice(const Value *value, const char *name) {
    return value->kind == V_CHOICE && strcmp(value->choice, name) == 0;
}

static bool read_model(Eval *e, const BuiltinCall *call, ArtifactSpec *s) {
    const Value *value = &call->args[ARG_MODEL];
    const Model *model = value->kind == V_OBJECT && value->object->class == &model_class ? (const Model *)value->object
                                                                                         : NULL;
    if (value->kind == V_ABSTRACT || (model && model->data)) {
        Diag *diag = diag_add(e->diags, D_E0904, call->arg_spans[ARG_MODEL], "the model is known only after training");
        diag_hint(diag, "load(\"results/PROGRAM/EXPERIMENT/KEYS.safetensors\", as: net)");
        return false;
    }
    if (!model) {
        Diag *diag = diag_add(e->diags, D_E0314, call->arg_spans[ARG_MODEL],
                              "an artifact is made of a model; this is %s", value_kind_name(value));
        diag_hint(diag, "fresh(net, seed: 1), or load(file, as: net)");
        return false;
    }
    s->model = model;
    return true;
}

static bool read_output(Eval *e, const BuiltinCall *call, ArtifactSpec *s) {
    const Value *value = &call->args[ARG_OUTPUT];
    int n = value->kind == V_LIST ? value->list->len : 1;
    const Value *at = value->kind == V_LIST ? value->list->at : value;
    for (int i = 0; i < n; i++) {
        s->gives_class |= is_choice(&at[i], "class");
        s->gives_values |= is_choice(&at[i], "logits");
    }
    if (s->gives_class && shape_size(&s->model->info->output.shape) < 2) {
        diag_add(e->diags, D_E0314, call->arg_spans[ARG_OUTPUT],
                 "a class is the largest of several outputs; this net has one");
        return false;
    }
    return true;
}

static bool read_budget(Eval *e, const BuiltinCall *call, ArtifactSpec *s) {
    const Value *value = &call->args[ARG_BUDGET];
    if (value->kind != V_RECORD) return value->kind == V_NONE;
    for (int i = 0; i < value->record->len; i++) {
        int64_t *to = strcmp(value->record->name[i], "ram") == 0     ? &s->ram
                      : strcmp(value->record->name[i], "flash") == 0 ? &s->flash
                                                                     : NULL;
        if (!to || !value_as_int(e, &value->record->at[i], call->arg_spans[ARG_BUDGET], to) || *to < 1) {
            if (!to)
                diag_add(e->diags, D_E0313, call->arg_spans[ARG_BUDGET], "a budget has ram and flash, in bytes, not %s",
                         value->record->name[i]);
            else
                diag_add(e->diags, D_E0314, call->arg_spans[ARG_BUDGET], "%s of a budget is a whole number of bytes",
                         value->record->name[i]);
            return false;
        }
    }
    return true;
}

static bool read_train(Eval *e, const BuiltinCall *call, ArtifactSpec *s) {
    const Value *value = &call->args[ARG_TRAIN];
    if (value->kind == V_NONE) return true;
    Value with = *value;
    Span span = call->arg_spans[ARG_TRAIN];
    if (value->kind == V_RECORD) {                          /* without epochs: one step, for the device to repeat */
        const Value *epochs = record_get(value, "epochs");
        ValueRecord *copy = arena_new_of(e->arena, ValueRecord);
        *copy = *value->record;
        copy->at = arena_array(e->arena, Value, copy->len + 1);
        memcpy(copy->at, value->record->at, sizeof *copy->at * (size_t)copy->len);
        for (int i = 0; epochs && epochs->kind == V_NONE && i < copy->len; i++)
            if (strcmp(copy->name[i], "epochs") == 0) copy->at[i] = value_int(1);
        with.record = copy;
    }
    Schedule *schedule = arena_new_of(e->arena, Schedule);
    if (!schedule_read(e, &with, span, schedule)) return false;
    const SessionSpec *session = &schedule->session[0];
    if (schedule->sessions != 1 || session->fit || session->batch != 1 || session->augments || session->against) {
        Diag *diag = diag_add(
            e->diags, D_E0314, span,
            "a device learns from one example at a time: one session with learn, without augment or against");
        diag_hint(diag, "batch: 1");
        return false;
    }
    s->train = session;
    return true;
}

static bool read_test(Eval *e, const BuiltinCall *call, ArtifactSpec *s) {
    const Value *value = &call->args[ARG_TEST];
    if (value->kind == V_NONE) return true;
    const DataObject *data = value->kind == V_OBJECT && value->object->class == &data_class
                                 ? (const DataObject *)value->object
                                 : NULL;
    if (!data || data->noise) {
        Diag *diag = diag_add(e->diags, D_E0314, call->arg_spans[ARG_TEST], "self_test: takes examples; this is %s",
                              value_kind_name(value));
        diag_hint(diag, "mnist.test[1..10]");
        return false;
    }
    if (data->known && data->size > MOST_VECTORS) {
        diag_add(e->diags, D_E0314, call->arg_spans[ARG_TEST],
                 "self_test: at most %d examples travel with the code; these are %lld", MOST_VECTORS,
                 (long long)data->size);
        return false;
    }
    if (!shape_equal(&data->x.shape, &s->model->info->input.shape)) {
        diag_add(e->diags, D_E0401, call->arg_spans[ARG_TEST],
                 "examples of self_test: have another shape than the input of the net");
        return false;
    }
    s->self_test = data;
    return true;
}

static const Affine *affine_of(const ArtifactSpec *s) {
    return s->model->data ? s->model->data->affine : s->self_test ? s->self_test->affine : NULL;
}

static bool identifier_fits(const char *text) {
    bool ok = isalpha((unsigned char)*text) || *text == '_';
    for (const char *p = text; *p; p++) ok &= isalnum((unsigned char)*p) || *p == '_';
    return ok && strlen(text) < 64;
}

static bool builtin_artifact(Eval *e, const BuiltinCall *call, Value *out) {
    ArtifactSpec *s = arena_new_of(e->arena, ArtifactSpec);
    *s = (ArtifactSpec){.object = {&artifact_class}, .span = call->span};
    if (!read_model(e, call, s) || !read_output(e, call, s) || !read_budget(e, call, s) || !read_train(e, call, s) ||
        !read_test(e, call, s))
        return eval_fail(out);
    s->emission = call->args[ARG_EMIT].choice;
    s->prefix = call->args[ARG_PREFIX].kind == V_TEXT && *call->args[ARG_PREFIX].text ? call->args[ARG_PREFIX].text
                                                                                      : NULL;
    s->pixels = is_choice(&call->args[ARG_INPUT], "pixels");
    s->separate = is_choice(&call->args[ARG_WEIGHTS], "separate");
    if (s->prefix && !identifier_fits(s->prefix)) {
        diag_add(e->diags, D_E0314, call->arg_spans[ARG_PREFIX],
                 "prefix: begins the names in C: letters, digits and _, at most 63");
        return eval_fail(out);
    }
    if (s->pixels && !s->self_test && !s->model->data) {
        Diag *diag = diag_add(e->diags, D_E0314, call->arg_spans[ARG_INPUT],
                              "the normalisation of the data is not known here");
        diag_hint(diag, "self_test: some of the data, which says");
        return eval_fail(out);
    }
    if (s->train && !s->self_test) {
        Diag *diag = diag_add(e->diags, D_E0314, call->arg_spans[ARG_TRAIN], "what the targets are is not known here");
        diag_hint(diag, "self_test: some of the data, which says");
        return eval_fail(out);
    }
    *out = value_object(&s->object);
    return true;
}

const BuiltinRow builtins_artifact[] = {{"artifact", builtin_artifact}, {NULL, NULL}};

/* ---- fields ---- */

typedef struct Maker {
    Eval *e; const ArtifactSpec *spec; Arena *arena; Artifact *a; Reference *r; int fields_cap;
} Maker;

/* "inner.dense[1].w" -> "inner_dense_1_w", apart from the words of C and the text's own names. */
static const char *field_name(const Maker *m, const char *path) {
    static const char *const words[] = {
        "auto",   "break",    "case",     "char",     "const", "continue", "default", "do",     "double",
        "else",   "enum",     "extern",   "float",    "for",   "goto",     "if",      "inline", "int",
        "long",   "register", "restrict", "return",   "short", "signed",   "sizeof",  "static", "struct",
        "switch", "typedef",  "union",    "unsigned", "void",  "volatile", "while",   "x",      "y",
        "i",      "j",        "k",        "l",        "m",     "n",        "state",   "work",   "target",
        "loss",   "result",   "best",     "step",     "keys",  "settings", "main",    "memcpy", "memset"};
    char *out = arena_alloc(m->arena, strlen(path) + 16);
    int n = 0;
    for (const char *p = path; *p; p++)
        if (isalnum((unsigned char)*p)) out[n++] = *p;
        else if (*p == '[' || *p == '.' || *p == '/' || *p == '_') out[n++] = '_';
    bool taken = !n || isdigit((unsigned char)out[0]) || strncmp(out, "nin_", 4) == 0 ||
                 strncmp(out, "test_", 5) == 0 || strncmp(out, "start_", 6) == 0;
    bool short_name = n > 1 && strchr("tshapi", out[0]) && strspn(out + 1, "0123456789") == (size_t)n - 1;
    for (int k = 0; k < COUNT(words); k++) taken |= strcmp(words[k], out) == 0;
    if (taken || short_name) memmove(out + 2, out, (size_t)n + 1), memcpy(out, "w_", 2), n += 2;
    for (int k = 0; k < m->a->fields; k++)
        if (strcmp(m->a->field[k].name, out) == 0) return arena_printf(m->arena, "%s_%d", out, m->a->fields);
    return out;
}

static int field_of(Maker *m, const Slot *slot, const char *block) {
    Artifact *a = m->a;
    for (int k = 0; k < a->fields; k++)
        if (strcmp(a->field[k].path, slot->path) == 0) return k;
    ArtifactField *f = &a->field[a->fields];
    *f = (ArtifactField){.path = slot->path, .name = field_name(m, slot->path), .shape = slot->shape,
                         .element = gen_scalar(slot->dtype), .value = block + slot->offset};
    return a->fields++;
}

/* Learned ones, or all of separate weights; falling element sizes, as the struct stands. */
static void place_state(Artifact *a) {
    int64_t at = a->fn[ROLE_TRAIN].device ? 8 : 0, align = a->fn[ROLE_TRAIN].device ? 8 : 1;
    bool any = a->fn[ROLE_TRAIN].device != NULL;
    for (int width = 8; width > 0; width /= 2)
        for (int k = 0; k < a->fields; k++) {
            ArtifactField *f = &a->field[k];
            if (!f->in_state || kscalar_bytes(f->element) != width) continue;
            f->offset = at;
            at += shape_size(&f->shape) * width;
            if (width > align) align = width;
            any = true;
        }
    a->state_bytes = any ? (at + align - 1) / align * align : 0;
}

/* ---- roles ---- */

static void fill_number(const Slot *slot, char *at, double x) {
    for (int64_t i = 0; i < shape_size(&slot->shape); i++)
        switch (slot->dtype) {
        case DT_F32: ((float *)at)[i] = (float)x; break;
        case DT_F64: ((double *)at)[i] = x; break;
        case DT_I32: ((int32_t *)at)[i] = (int32_t)x; break;
        case DT_BOOL: at[i] = x != 0; break;
        }
}

static char *role_block(Maker *m, const PlanGraph *g) {
    const Model *model = m->spec->model;
    char *block = arena_alloc(m->arena, g->layout.size + 64);
    block = (char *)(((uintptr_t)block + 63) & ~(uintptr_t)63);
    for (int k = 0; k < g->layout.slots; k++)
        if (g->plan->is_optimizer[k])
            fill_number(&g->layout.slot[k], block + g->layout.slot[k].offset, g->plan->start[k]);
    for (int i = 0; i < model->info->params; i++) {
        int slot = g->plan->slot_of_param[i];
        if (slot < 0) continue;
        const Slot *to = &g->layout.slot[slot];
        memcpy(block + to->offset, (const char *)model->block + model->info->param[i].offset,
               (size_t)shape_size(&to->shape) * dtype_size(to->dtype));
    }
    return block;
}

/* Only what the functions read or write: a cell that a table or a fit stands for takes its weights nowhere. */
static void fields_find(Maker *m, ArtifactFn *fn, const PlanGraph *g, const char *block) {
    fn->field = arena_array(m->arena, int, g->layout.slots + 1);
    for (int k = 0; k < g->layout.slots; k++) fn->field[k] = NO_FIELD;
    for (int k = 0; k < g->layout.slots; k++)
        for (int i = 0; i < fn->device->spots && fn->field[k] == NO_FIELD; i++)
            if (fn->device->spot[i].kind == SPOT_WEIGHT && fn->device->spot[i].index == k)
                fn->field[k] = field_of(m, &g->layout.slot[k], block);
}

static bool role_make(Maker *m, ArtifactRole role, const PlanRequest *request) {
    ReferenceRole *ref = &m->r->role[role];
    if (!plan_graph(request, m->arena, &ref->made)) return false;
    const PlanGraph *g = &ref->made;
    const char *error = NULL;
    ArtifactFn *fn = &m->a->fn[role];
    ref->used = true;
    ref->block = role_block(m, g);
    fn->device = device_make(
        m->arena, lower(m->arena, g->graph, g->layout, 0, (Target){.vector_bytes = 4, .registers = 16}), 1, &error);
    if (!fn->device) {
        diag_add(m->e->diags, D_R0103, m->spec->span, "cannot be built: %s", error);
        return false;
    }
    fields_find(m, fn, g, ref->block);
    if (g->plan->per_epoch_setting >= 0)
        g->plan->setting[g->plan->per_epoch_setting] = g->plan->setting[g->plan->total_setting] = 1;
    fn->settings = g->plan->setting;
    fn->setting_count = g->plan->settings;
    Seeds seeds = {0};
    fn->keys = plan_keys(m->e, g->plan, &seeds, 1);
    fn->key_count = g->plan->keys;
    ref->keys = fn->keys;
    return true;
}

/* Slots that a step of learning writes, and which fields they are. */
static void mark_learned(Maker *m) {
    const ReferenceRole *ref = &m->r->role[ROLE_TRAIN];
    for (int k = 0; ref->used && k < ref->made.graph->outputs.len; k++) {
        const GraphOutput *o = &ref->made.graph->outputs.at[k];
        int field = o->kind == OUT_BLOCK ? m->a->fn[ROLE_TRAIN].field[o->index] : NO_FIELD;
        if (field != NO_FIELD) m->a->field[field].in_state = true;
    }
    for (int k = 0; m->spec->separate && k < m->a->fields; k++) m->a->field[k].in_state = true;
}

static bool roles_make(Maker *m) {
    const ArtifactSpec *s = m->spec;
    const NetInfo *info = s->model->info;
    PlanRequest request = {.e = m->e, .info = info, .x = info->input, .affine = affine_of(s), .raw = s->pixels,
                           .outputs = s->gives_values, .answer = s->gives_class, .span = s->span};
    if (s->self_test) request.y = s->self_test->y;
    else request.y = (Column){.dtype = DT_F32, .shape = info->output.shape};
    request.x.rows = request.y.rows = NULL;
    if (!role_make(m, ROLE_PREDICT, &request)) return false;
    if (!s->train) return true;
    request.outputs = request.answer = false;
    request.measures = s->train->loss;
    request.measure_count = 1;
    if (!role_make(m, ROLE_LOSS, &request)) return false;
    bool *learn = arena_array(m->arena, bool, info->params + 1);
    request.measures = NULL;
    request.measure_count = 0;
    request.session = s->train;
    request.learn = learn;
    if (!selection_mask(m->e, s->train->learn, info, s->span, learn)) return false;
    strategies_still(info, learn);                         /* no memory for weights that a fit or a table stands for */
    for (int k = 0; k < info->params; k++) learn[k] &= !info->param[k].state;
    return role_make(m, ROLE_TRAIN, &request);
}

/* ---- the JIT's answers ---- */

bool reference_predict(const Reference *r, const void *x, int64_t n, void *y, int32_t *best) {
    const ReferenceRole *role = &r->role[ROLE_PREDICT];
    bool values = role->made.plan->rows > 1 || role->made.plan->row_type[0] != DT_I32;
    Feed feed = {.rows = {x}, .examples = n, .batch = n < 1024 ? n : 1024, .settings = role->made.plan->setting};
    feed.out_rows[0] = values ? y : best;
    feed.out_rows[1] = values && role->made.plan->rows > 1 ? best : NULL;
    return role->made.plan->program->run(role->made.plan->program, role->block, &feed, 0,
                                         (n + feed.batch - 1) / feed.batch, NULL) == 0;
}

bool reference_train(const Reference *r, const void *x, const void *target, int64_t n, double *losses,
                     const char **block) {
    const ReferenceRole *role = &r->role[ROLE_TRAIN];
    size_t size = role->made.layout.size;
    char *copy = arena_alloc(r->arena, size + 64);
    copy = (char *)(((uintptr_t)copy + 63) & ~(uintptr_t)63);
    memcpy(copy, role->block, size);
    Feed feed = {
        .rows = {x, target}, .examples = n, .batch = 1, .settings = role->made.plan->setting, .keys = role->keys};
    feed.series[0] = losses;
    *block = copy;
    return role->made.plan->program->run(role->made.plan->program, copy, &feed, 0, n, NULL) == 0;
}

void reference_free(Reference *r) {
    for (int k = 0; k < ROLES; k++)
        if (r->role[k].used && r->role[k].made.plan->program)
            r->role[k].made.plan->program->free(r->role[k].made.plan->program);
}

/* ---- vectors ---- */

static void put_real(KScalar element, void *to, int64_t i, double x) {
    if (element == KS_F64) ((double *)to)[i] = x;
    else if (element == KS_I32) ((int32_t *)to)[i] = (int32_t)x;
    else ((float *)to)[i] = (float)x;
}

void artifact_inputs(const ArtifactSpec *spec, const Artifact *a, uint64_t seed, int64_t n, void *x, void *target) {
    int64_t count = n * a->inputs, targets = target ? n * (a->target_class ? 1 : a->targets) : 0;
    float *z = malloc(sizeof *z * (size_t)(count + targets + 1));
    double tokens = spec->model->info->input.classes > 0 ? (double)spec->model->info->input.classes : 1;
    double lo = spec->pixels && spec->self_test ? spec->self_test->raw_lo : -2,
           hi = spec->pixels && spec->self_test ? spec->self_test->raw_hi : 2;
    if (!z) return;
    rng_fill_uniform(rng_key(seed, "noise", 0, "artifact", 0), count + targets, z);
    for (int64_t i = 0; i < count; i++)
        put_real(a->input_element, x, i, a->input_element == KS_I32 ? z[i] * tokens : lo + (hi - lo) * z[i]);
    for (int64_t i = 0; i < targets; i++) {
        if (a->target_class) ((int32_t *)target)[i] = (int32_t)(z[count + i] * (float)spec->self_test->y.classes);
        else put_real(a->output_element, target, i, z[count + i]);
    }
    free(z);
}

/* Raw values from given ones; close to what the file had, and then exact by definition: answers are computed from
 * them. */
static void raw_values(const Affine *map, KScalar element, void *x, int64_t rows, int64_t size) {
    for (int64_t i = 0; map && i < rows * size; i++) {
        int64_t feature = i % size / (size / map->features);
        double v = element == KS_F64 ? ((double *)x)[i] : (double)((float *)x)[i];
        put_real(element, x, i, v * map->sd[feature] + map->mean[feature]);
    }
}

static bool vectors_make(Maker *m) {
    Artifact *a = m->a;
    const DataObject *data = m->spec->self_test;
    int64_t n = a->vectors = data ? (int)data->size : DRAWN_VECTORS;
    size_t x_bytes = (size_t)(n * a->inputs) * (size_t)kscalar_bytes(a->input_element);
    void *x = arena_alloc(m->arena, x_bytes + 64), *y = arena_alloc(m->arena, (size_t)(n * a->outputs) * 8 + 64);
    int32_t *best = arena_array(m->arena, int32_t, n + 1);
    if (!data) {
        artifact_inputs(m->spec, a, 1, n, x, NULL);
    } else {
        memcpy(x, data_rows(lab_of(m->e), data, 0, m->spec->model->info->precision), x_bytes);
        if (m->spec->pixels) raw_values(data->affine, a->input_element, x, n, a->inputs);
        a->vector_target = data_rows(lab_of(m->e), data, 1, m->spec->model->info->precision);
    }
    if (!reference_predict(m->r, x, n, y, best)) return false;
    a->vector_x = x;
    a->vector_y = y;
    a->vector_class = best;
    if (!a->fn[ROLE_TRAIN].device) return true;
    double *losses = arena_array(m->arena, double, n + 1);
    float *rounded = arena_array(m->arena, float, n + 1);
    const char *after;
    if (!reference_train(m->r, x, a->vector_target, n, losses, &after)) return false;
    for (int64_t k = 0; k < n; k++) rounded[k] = (float)losses[k];
    a->vector_loss = rounded;
    return true;
}

/* ---- the whole ---- */

/* W0905: a learned cell as it is, where memory is small enough to be counted. */
static void warn_cells(const Maker *m) {
    const Graph *g = m->r->role[ROLE_PREDICT].made.graph;
    for (Val v = 1; (m->spec->ram || m->spec->flash) && v < (Val)g->node.len; v++) {
        if (graph_node(g, v)->op != G_MAP) continue;
        int64_t n = graph_multiplies(graph_attr(g, v)->body);
        if (n < WARN_MULTIPLIES) continue;
        Diag *diag = diag_add(m->e->diags, D_W0905, m->spec->span,
                              "the learned cell takes %lld multiply-adds for each unit", (long long)n);
        diag_hint(diag, "replace(model, cells: tabulated[error: 1e-2, over: box, outside: clamp]), or quadratic_fit");
        return;
    }
}

static void describe(Maker *m) {
    Artifact *a = m->a;
    const ArtifactSpec *s = m->spec;
    const char **note = arena_array(m->arena, const char *, 5);
    Value model = value_object((Object *)(uintptr_t)&s->model->object);
    Buf text = {0};
    value_show(&model, &text);
    const char *cells = strstr(buf_done(&text, m->arena),
                               " parameters, "); /* "mlp[...], 6667 parameters, inner by grid[...]" */
    char hex[65];
    model_hash(s->model, hex);
    note[a->note_count++] = arena_printf(m->arena, "net: %s, %lld parameters; weights %.16s",
                                         value_shown(m->e, &s->model->info->net), (long long)s->model->info->count,
                                         hex);
    if (cells) note[a->note_count++] = arena_printf(m->arena, "cells: %s", cells + strlen(" parameters, "));
    note[a->note_count++] = s->pixels ? "input: raw values, normalised here as the data was"
                                      : "input: as the network takes it";
    if (a->fn[ROLE_TRAIN].device) note[a->note_count++] = "learns on the device, one example a step";
    a->notes = note;
}

bool artifact_make(Eval *e, const ArtifactSpec *spec, const char *prefix, Arena *arena, Artifact *a,
                   Reference *reference) {
    const NetInfo *info = spec->model->info;
    *a = (Artifact){.prefix = spec->prefix ? spec->prefix : prefix, .separate = spec->separate,
                    .gives_class = spec->gives_class, .gives_values = spec->gives_values};
    *reference = (Reference){.arena = arena};
    Maker m = {.e = e, .spec = spec, .arena = arena, .a = a, .r = reference};
    if (!spec->model->known) {
        diag_add(e->diags, D_E0904, spec->span, "the weights are not known");
        return false;
    }
    a->field = arena_array(arena, ArtifactField, 3 * info->params + 256);
    a->inputs = shape_size(&info->input.shape);
    a->outputs = shape_size(&info->output.shape);
    a->classes = spec->gives_class ? a->outputs : 0;
    a->input_element = info->input.dtype == DT_I32 ? KS_I32 : gen_scalar(info->precision);
    a->output_element = gen_scalar((DType)info->output.dtype);
    if (spec->self_test) {
        a->target_class = data_has_classes(spec->self_test);
        a->targets = shape_size(&spec->self_test->y.shape);
    }
    if (!roles_make(&m)) return false;
    mark_learned(&m);
    place_state(a);
    artifact_share_data(arena, a);
    warn_cells(&m);
    describe(&m);
    if (vectors_make(&m)) return true;
    diag_add(e->diags, D_R0103, spec->span, "out of memory while computing the vectors of the self-test");
    return false;
}

bool artifact_budget(Eval *e, const ArtifactSpec *s, const Artifact *a) {
    int64_t ram = a->state_bytes + artifact_work_bytes(a) + (a->measure.compiler ? a->measure.stack : 0);
    int64_t flash = artifact_constant_bytes(a) + (a->measure.compiler ? a->measure.code : 0);
    if (s->ram && ram > s->ram)
        diag_add(e->diags, D_E0903, s->span, "%lld bytes of RAM, budget %lld: state %lld, workspace %lld, stack %lld",
                 (long long)ram, (long long)s->ram, (long long)a->state_bytes, (long long)artifact_work_bytes(a),
                 (long long)(a->measure.compiler ? a->measure.stack : 0));
    if (s->flash && flash > s->flash)
        diag_add(e->diags, D_E0903, s->span, "%lld bytes of flash, budget %lld: constants %lld, code %lld",
                 (long long)flash, (long long)s->flash, (long long)artifact_constant_bytes(a),
                 (long long)(a->measure.compiler ? a->measure.code : 0));
    return !(s->ram && ram > s->ram) && !(s->flash && flash > s->flash);
}
