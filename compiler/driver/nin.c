/* nin.c -- libnin: the functions of nin.h over the session, the laboratory and the evaluator.
 *
 * A session's lock is held by each call; results live in the session's arena, what a call needs only itself in a
 * scratch arena. */
#define _GNU_SOURCE
#include "driver/nin.h"

#include <dlfcn.h>
#include <math.h>
#include <stdlib.h>
#include <unistd.h>

#include "experiment/experiment.h"
#include "support/file.h"

enum { TEXT_LIMIT = 64 << 20 };

struct NinSession { Arena *arena; Session *session; Lab *lab; pthread_mutex_t lock; };
struct NinProgram { NinSession *owner; LoadedModule *module; };
struct NinModel { NinSession *owner; const Model *model; };
struct NinData { NinSession *owner; DataObject object; };

const char *nin_version(void) { return NIN_VERSION; }

/* ---- sessions ---- */
static char *source_read(Arena *arena, const char *path, size_t *length, const char **error)
{
    char *bytes, *why = NULL;
    if (file_read(arena, path, TEXT_LIMIT, &bytes, length, &why))
        return bytes;
    *error = why;
    return NULL;
}

/* libnin-llvm.so where this library, or the program that holds it, is installed or was built. */
static const char *plugin_find(Arena *arena)
{
    static const char *const places[] = {"nin/libnin-llvm.so", "libnin-llvm.so", "../lib/nin/libnin-llvm.so"};
    Dl_info here;
    const char *slash =
        dladdr((void *)(uintptr_t)nin_version, &here) && here.dli_fname ? strrchr(here.dli_fname, '/') : NULL;
    const char *folder = slash ? arena_copy(arena, here.dli_fname, (size_t)(slash - here.dli_fname)) : ".";
    for (int i = 0; i < COUNT(places); i++) {
        const char *path = path_join(arena, folder, places[i]);
        if (access(path, R_OK) == 0)
            return path;
    }
    return "libnin-llvm.so";
}

static const char *copied(Arena *arena, const char *text)
{
    return text ? arena_copy(arena, text, strlen(text)) : NULL;
}

static const char *const *folders_copied(Arena *arena, const char *const *from)
{
    int n = 0;
    while (from && from[n])
        n++;
    const char **to = arena_array(arena, const char *, n + 1);
    for (int i = 0; i < n; i++)
        to[i] = copied(arena, from[i]);
    return to;
}

NinSession *nin_session_new(const NinOptions *given)
{
    NinOptions options = {0};
    if (given)
        memcpy(&options, given, given->size < sizeof options ? given->size : sizeof options);
    Arena *arena = arena_new();
    NinSession *s = arena_new_of(arena, NinSession);
    s->arena = arena;
    s->session = session_new(lab_builtin_table(arena));
    s->session->read_file = source_read;
    s->session->data_folders = folders_copied(arena, options.data);
    s->session->out_folder = copied(arena, options.output);
    LabOptions lab = {.backend = options.interpret ? BACKEND_INTERPRET : BACKEND_JIT,
                      .threads = options.threads > 0 ? options.threads : 1,
                      .interrupted = options.interrupted,
                      .interrupted_data = options.interrupted_data,
                      .program = "program",
                      .program_hash = ""};
    lab.code = (CodeOptions){.opt_level = 2, .cpu = copied(arena, options.cpu),
                             .plugin = options.plugin ? copied(arena, options.plugin) : plugin_find(arena)};
    s->lab = lab_new(s->session, &lab);
    pthread_mutex_init(&s->lock, NULL);
    return s;
}

void nin_session_free(NinSession *s)
{
    if (!s)
        return;
    lab_free(s->lab);
    session_free(s->session);
    pthread_mutex_destroy(&s->lock);
    arena_free(s->arena);
}

static Session *session_lock(NinSession *s)
{
    pthread_mutex_lock(&s->lock);
    return s->session;
}

static void session_unlock(NinSession *s) { pthread_mutex_unlock(&s->lock); }

/* ---- diagnostics ---- */
int nin_diagnostics(NinSession *s)
{
    int n = session_lock(s)->diags.list.len;
    session_unlock(s);
    return n;
}

bool nin_diagnostic(NinSession *s, int i, NinDiagnostic *out)
{
    const Diags *diags = &session_lock(s)->diags;
    bool found = i >= 0 && i < diags->list.len;
    if (found) {
        const Diag *diag = diags->list.at[i];
        Severity severity = diag_severity(diag->code);
        Place place = sources_place(diags->sources, diag->span.lo);
        *out = (NinDiagnostic){severity == SEVERITY_NOTE      ? NIN_NOTE
                               : severity == SEVERITY_WARNING ? NIN_WARNING
                                                              : NIN_ERROR,
                               diag_name(diag->code),
                               diag->message,
                               place.path,
                               place.line,
                               place.column};
    }
    session_unlock(s);
    return found;
}

void nin_diagnostics_clear(NinSession *s)
{
    diags_discard(&session_lock(s)->diags, 0);
    session_unlock(s);
}

/* ---- programs ---- */
static NinProgram *program_new(NinSession *s, LoadedModule *module, int errors)
{
    const Diags *diags = &s->session->diags;
    bool right = module && diags->errors == errors && session_check(s->session, module) && diags->errors == errors;
    if (!right)
        return NULL;
    NinProgram *program = arena_new_of(s->arena, NinProgram);
    *program = (NinProgram){s, module};
    return program;
}

/* E0305: a program of nothing. */
static NinProgram *nothing_given(NinSession *s, const char *what)
{
    diag_add(&session_lock(s)->diags, D_E0305, (Span){0}, "no program is given: its %s is NULL", what);
    session_unlock(s);
    return NULL;
}

NinProgram *nin_load_file(NinSession *s, const char *path)
{
    if (!path)
        return nothing_given(s, "path");
    Session *session = session_lock(s);
    int errors = session->diags.errors;
    NinProgram *program = program_new(s, session_load(session, copied(s->arena, path)), errors);
    session_unlock(s);
    return program;
}

NinProgram *nin_load_text(NinSession *s, const char *name, const char *text)
{
    if (!text)
        return nothing_given(s, "text");
    Session *session = session_lock(s);
    int errors = session->diags.errors;
    LoadedModule *module = session_load_text(session, copied(s->arena, name ? name : "text"), copied(s->arena, text));
    NinProgram *program = program_new(s, module, errors);
    session_unlock(s);
    return program;
}

/* An expression in the scope of a program, evaluated in the session's arena. */
static bool evaluate(NinProgram *p, Eval *e, const char *title, const char *text, Value *out)
{
    Session *session = p->owner->session;
    int errors = session->diags.errors;
    const Source *source = sources_add(session->sources, title, text, strlen(text));
    ParseContext context = {session->arena, session->names, &session->diags, &session->next_id, true};
    const Module *parsed = source ? parse_module(&context, source) : NULL;
    if (!parsed || session->diags.errors > errors)
        return false;
    if (parsed->items.len != 1) {
        diag_add(&session->diags, D_E0201, (Span){source->base, source->base + source->length},
                 "here one expression is expected");
        return false;
    }
    return eval_expr(e, parsed->items.at[0], p->module->scope, out);
}

static void eval_open(NinProgram *p, Eval *e, LabTurn *turn)
{
    Session *session = p->owner->session;
    Lab *lab = p->owner->lab;
    eval_init(e, session, session->arena, &session->diags, EVAL_RUN);
    *turn = (LabTurn){.lab = lab, .pool = lab->pool, .keep = session->arena};
    e->lab = turn;
}

char *nin_evaluate(NinProgram *p, const char *expression)
{
    if (!p)
        return NULL;
    Eval e;
    LabTurn turn;
    Value value;
    Buf text = {0};
    session_lock(p->owner);
    eval_open(p, &e, &turn);
    bool known = evaluate(p, &e, "expression", expression, &value);
    if (known)
        value_show(&value, &text);
    session_unlock(p->owner);
    char *result = known ? calloc(text.len + 1, 1) : NULL;
    if (result && text.len)
        memcpy(result, text.at, text.len);
    buf_free(&text);
    return result;
}

/* ---- data ---- */
static bool shape_read(int rank, const int64_t *sizes, Shape *out)
{
    int64_t n = 1;
    if (rank < 0 || rank > MAX_RANK - 1)
        return false;
    *out = rank ? (Shape){.rank = rank} : shape_of(1, (int64_t)1);
    for (int i = 0; i < rank; i++) {
        if (sizes[i] < 1 || sizes[i] > INT32_MAX / n)
            return false;
        n *= out->dim[i] = sizes[i];
    }
    return true;
}

static const void *rows_copied(Arena *arena, const void *from, int64_t examples, const Shape *shape)
{
    size_t bytes = (size_t)examples * (size_t)shape_size(shape) * 4;
    return memcpy(arena_alloc(arena, bytes + 64), from, bytes);
}

/* Finite numbers, labels of the classes: what data must be. */
static bool rows_right(const DataObject *data)
{
    const float *x = data->x.rows, *y = data->y.rows;
    const int32_t *label = data->y.rows;
    for (int64_t i = 0; i < data->size * shape_size(&data->x.shape); i++)
        if (!isfinite(x[i]))
            return false;
    for (int64_t i = 0; i < data->size * shape_size(&data->y.shape); i++)
        if (data->y.classes ? label[i] < 0 || label[i] >= data->y.classes : !isfinite(y[i]))
            return false;
    return true;
}

static NinData *data_new(NinSession *s, int64_t examples, const void *x, const Shape *x_shape, const void *y,
                         const Shape *y_shape, int classes)
{
    NinData *data = arena_new_of(s->arena, NinData);
    data->owner = s;
    data->object = (DataObject){.object = {&data_class}, .name = "data", .size = examples, .known = true};
    data->object.x = (Column){DT_F32, *x_shape, rows_copied(s->arena, x, examples, x_shape), 0};
    data->object.y =
        (Column){classes ? DT_I32 : DT_F32, *y_shape, rows_copied(s->arena, y, examples, y_shape), classes};
    if (!rows_right(&data->object)) {
        diag_add(&s->session->diags, D_E0314, (Span){0},
                 "data: numbers must be finite and labels from 0 to classes - 1");
        return NULL;
    }
    data_finish(&data->object);
    return data;
}

static NinData *data_make(NinSession *s, int64_t examples, const float *x, int x_rank, const int64_t *x_shape,
                          const void *y, int y_rank, const int64_t *y_shape, int classes)
{
    Shape in, out;
    bool fits = examples >= 1 && shape_read(x_rank, x_shape, &in) && shape_read(y_rank, y_shape, &out) &&
                classes >= 0 && examples <= INT32_MAX / shape_size(&in);
    session_lock(s);
    NinData *data = NULL;
    if (fits && classes)
        out = (Shape){0};
    if (fits)
        data = data_new(s, examples, x, &in, y, &out, classes);
    else
        diag_add(&s->session->diags, D_E0314, (Span){0}, "data: at least one example, and sizes of at least 1");
    session_unlock(s);
    return data;
}

NinData *nin_data(NinSession *s, int64_t examples, const float *x, int x_rank, const int64_t *x_shape, const float *y,
                  int y_rank, const int64_t *y_shape)
{
    return data_make(s, examples, x, x_rank, x_shape, y, y_rank, y_shape, 0);
}

NinData *nin_data_classes(NinSession *s, int64_t examples, const float *x, int x_rank, const int64_t *x_shape,
                          const int32_t *labels, int classes)
{
    return data_make(s, examples, x, x_rank, x_shape, labels, 0, NULL, classes < 1 ? -1 : classes);
}

/* ---- models ---- */
static NinModel *model_new(NinProgram *p, const Value *value)
{
    const Model *model =
        value->kind == V_OBJECT && value->object->class == &model_class ? (const Model *)value->object : NULL;
    if (!model || !model->known) {
        diag_add(&p->owner->session->diags, D_E0314, (Span){0}, "this is no model but %s", value_kind_name(value));
        return NULL;
    }
    NinModel *handle = arena_new_of(p->owner->arena, NinModel);
    *handle = (NinModel){p->owner, model};
    return handle;
}

/* A call of a library function by name; labels NULL: by position. */
static bool call_named(NinProgram *p, Eval *e, const char *name, const char *const *labels, const Value *args, int n,
                       Value *out)
{
    Value callee;
    Name names[4] = {0};
    bool found;
    if (!session_value(e, NULL, name, &callee, &found) || !found)
        return false;
    for (int i = 0; i < n; i++)
        names[i] = labels[i] ? intern_text(p->owner->session->names, labels[i]) : NULL;
    return eval_call_named(e, &callee, names, args, n, (Span){0}, out);
}

NinModel *nin_instantiate(NinProgram *p, const char *net, int64_t seed)
{
    if (!p)
        return NULL;
    static const char *const labels[] = {NULL, NULL};
    Eval e;
    LabTurn turn;
    Value args[2] = {[1] = value_int(seed)}, value;
    session_lock(p->owner);
    eval_open(p, &e, &turn);
    bool ok = evaluate(p, &e, "net", net, &args[0]) && call_named(p, &e, "fresh", labels, args, 2, &value);
    NinModel *model = ok ? model_new(p, &value) : NULL;
    session_unlock(p->owner);
    return model;
}

static NinModel *train(NinProgram *p, const char *net, const char *data, const Value *object, const char *recipe,
                       int64_t seed)
{
    static const char *const labels[] = {NULL, "on", "with", "seed"};
    Eval e;
    LabTurn turn;
    Value args[4] = {[3] = value_int(seed)}, run, value;
    if (object)
        args[1] = *object;
    eval_open(p, &e, &turn);
    bool ok = evaluate(p, &e, "net", net, &args[0]) && (object || evaluate(p, &e, "data", data, &args[1])) &&
              evaluate(p, &e, "recipe", recipe, &args[2]) && call_named(p, &e, "train", labels, args, 4, &run) &&
              eval_field(&e, &run, intern_text(p->owner->session->names, "model"), (Span){0}, &value);
    return ok ? model_new(p, &value) : NULL;
}

NinModel *nin_train(NinProgram *p, const char *net, const char *data, const char *recipe, int64_t seed)
{
    if (!p)
        return NULL;
    session_lock(p->owner);
    NinModel *model = train(p, net, data, NULL, recipe, seed);
    session_unlock(p->owner);
    return model;
}

NinModel *nin_train_on(NinProgram *p, const char *net, NinData *data, const char *recipe, int64_t seed)
{
    if (!p || !data)
        return NULL;
    session_lock(p->owner);
    Value object = value_object(&data->object.object);
    NinModel *model = NULL;
    if (data->owner == p->owner)
        model = train(p, net, NULL, &object, recipe, seed);
    else
        diag_add(&p->owner->session->diags, D_E0314, (Span){0}, "the data belongs to another session");
    session_unlock(p->owner);
    return model;
}

NinModel *nin_load_weights(NinProgram *p, const char *net, const char *path)
{
    if (!p)
        return NULL;
    Eval e;
    LabTurn turn;
    Value value;
    Column input;
    NinModel *handle = NULL;
    session_lock(p->owner);
    eval_open(p, &e, &turn);
    bool ok = evaluate(p, &e, "net", net, &value) && net_declared_input(&e, &value, (Span){0}, &input);
    const NetInfo *info = ok ? net_info(&e, &value, &input, p->owner->session->precision, (Span){0}) : NULL;
    if (info) {
        Model *model = arena_new_of(e.arena, Model);
        char *block = arena_alloc(e.arena, info->layout.size + 64);
        *model = (Model){.object = {&model_class}, .info = info, .known = true};
        model->block = (void *)(((uintptr_t)block + 63) & ~(uintptr_t)63);
        Value made = value_object(&model->object);
        handle = model_read(&e, info, model->block, path, (Span){0}, false) ? model_new(p, &made) : NULL;
    }
    session_unlock(p->owner);
    return handle;
}

static int shape_put(const Shape *shape, int64_t out[8])
{
    for (int i = 0; i < shape->rank && i < 8; i++)
        out[i] = shape->dim[i];
    return shape->rank;
}

int64_t nin_input_size(const NinModel *m) { return !m ? -1 : shape_size(&m->model->info->input.shape); }
int64_t nin_output_size(const NinModel *m) { return !m ? -1 : shape_size(&m->model->info->output.shape); }
int nin_input_shape(const NinModel *m, int64_t shape[8])
{
    return m ? shape_put(&m->model->info->input.shape, shape) : -1;
}
int nin_output_shape(const NinModel *m, int64_t shape[8])
{
    return m ? shape_put(&m->model->info->output.shape, shape) : -1;
}
int64_t nin_parameters(const NinModel *m) { return m ? m->model->info->count : -1; }

static bool outputs_put(const TrainPlan *plan, const void *rows, int64_t n, float *y)
{
    for (int64_t i = 0; i < n; i++)
        switch (plan->row_type[0]) {
        case DT_F32: y[i] = ((const float *)rows)[i]; break;
        case DT_F64: y[i] = (float)((const double *)rows)[i]; break;
        case DT_I32: y[i] = (float)((const int32_t *)rows)[i]; break;
        case DT_BOOL: y[i] = ((const uint8_t *)rows)[i]; break;
        }
    return true;
}

/* Inputs as rows of the type that the net takes. */
static const void *inputs_of(Arena *arena, const Column *input, const float *x, int64_t n)
{
    if (input->dtype != DT_I32)
        return memcpy(arena_alloc(arena, (size_t)n * sizeof(float) + 64), x, (size_t)n * sizeof(float));
    int32_t *rows = arena_alloc(arena, (size_t)n * sizeof(int32_t) + 64);
    for (int64_t i = 0; i < n; i++)
        rows[i] = (int32_t)x[i];
    return rows;
}

bool nin_predict(NinModel *m, const float *x, int64_t examples, float *y)
{
    if (!m || examples < 1)
        return m && examples == 0;
    NinSession *s = m->owner;
    const Model *model = m->model;
    Session *session = session_lock(s);
    Arena *scratch = arena_new();
    Eval e;
    LabTurn turn = {.lab = s->lab, .pool = s->lab->pool, .keep = scratch};
    eval_init(&e, session, scratch, &session->diags, EVAL_RUN);
    e.lab = &turn;
    DataObject data = {.object = {&data_class}, .name = "x", .size = examples, .known = true};
    const Column *input = &model->info->input;
    data.x = (Column){input->dtype == DT_I32 ? DT_I32 : DT_F32, input->shape,
                      inputs_of(scratch, input, x, examples * nin_input_size(m)), input->classes};
    data.y = (Column){DT_F32, SHAPE0, arena_alloc(scratch, (size_t)examples * sizeof(float) + 64), 0};
    const TrainPlan *plan;
    void *rows[10] = {0};
    bool ok = model_rows(&e, model, &data, NULL, 0, true, false, (Span){0}, &plan, rows) &&
              outputs_put(plan, rows[0], examples * nin_output_size(m), y);
    arena_free(scratch);
    session_unlock(s);
    return ok;
}

bool nin_save(NinModel *m, const char *path)
{
    if (!m)
        return false;
    Session *session = session_lock(m->owner);
    Arena *scratch = arena_new();
    Eval e;
    eval_init(&e, session, scratch, &session->diags, EVAL_RUN);
    bool ok = model_write(&e, m->model, path, FILE_SYNC, (Span){0});
    arena_free(scratch);
    session_unlock(m->owner);
    return ok;
}
