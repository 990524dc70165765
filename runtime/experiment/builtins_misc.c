/* builtins_misc.c -- print, check; statistics of lists; means of functions; loss surfaces. */
#include "experiment/experiment.h"
#include "experiment/strategy.h"
#include "report/statistics.h"
#include "support/sha256.h"

#include <math.h>
#include <stdlib.h>

/* ---- print and check ---- */

static bool builtin_print(Eval *e, const BuiltinCall *call, Value *out) {
    *out = value_none();
    if (e->mode == EVAL_CHECK) return true;
    const LabOptions *o = &lab_of(e)->options;
    Buf text = {0};
    const ValueList *list = call->args[0].list;
    for (int i = 0; i < list->len; i++) {
        if (i) buf_text(&text, " ");
        if (list->at[i].kind == V_TEXT) buf_text(&text, list->at[i].text);
        else value_show(&list->at[i], &text);
    }
    buf_text(&text, "\n");
    buf_put(&text, "", 1);
    if (o->say) o->say(o->say_data, text.at);
    buf_free(&text);
    return true;
}

static bool truth(const Value *value) {
    if (value->kind == V_BOOL) return value->boolean;
    if (value->kind == V_TENSOR && value->tensor->dtype == DT_BOOL) {
        for (int64_t i = 0; i < shape_size(&value->tensor->shape); i++)
            if (!((const uint8_t *)value->tensor->data)[i]) return false;
        return true;
    }
    return false;
}

/* Shows both sides of a comparison that does not hold. */
static void check_sides(Eval *e, const BuiltinCall *call, Diag *diag) {
    const Ast *condition = call->ast && call->ast->call.len ? call->ast->call.args[0].value : NULL;
    if (!condition || condition->kind != AST_BINARY || condition->binary.op > OP_GE || condition->binary.op < OP_EQ)
        return;
    const Ast *side[2] = {condition->binary.a, condition->binary.b};
    for (int i = 0; i < 2; i++) {
        Value value;
        if (eval_expr(e, side[i], call->scope, &value)) diag_label(diag, side[i]->span, "%s", value_shown(e, &value));
    }
}

static bool builtin_check(Eval *e, const BuiltinCall *call, Value *out) {
    *out = value_none();
    const Value *condition = &call->args[0];
    if (condition->kind == V_ABSTRACT || e->mode == EVAL_CHECK || truth(condition)) return true;
    if (condition->kind != V_BOOL && !(condition->kind == V_TENSOR && condition->tensor->dtype == DT_BOOL)) {
        diag_add(e->diags, D_E0314, call->arg_spans[0], "check takes true or false; this is %s",
                 value_kind_name(condition));
        return eval_fail(out);
    }
    Diag *diag = diag_add(e->diags, D_E0813, call->span, "this does not hold");
    check_sides(e, call, diag);
    return true;                                                         /* the other checks of the test run too */
}

/* ---- hash and size ---- */

static bool builtin_hash(Eval *e, const BuiltinCall *call, Value *out) {
    if (call->args[0].kind == V_ABSTRACT || e->mode == EVAL_CHECK) { *out = value_abstract(NULL); return true; }
    Buf text = {0};
    char hex[65];
    value_identity(&call->args[0], &text);
    sha256_hex(text.at, text.len, hex);
    buf_free(&text);
    *out = value_text(arena_copy(e->arena, hex, 64));
    return true;
}

/* Of a trained cell: what stands for it in a call. */
static bool size_of_strategy(const Callable *c, DType precision, int64_t *bytes) {
    const Strategy *s = c->strategies && c->strategies->n ? c->strategies->at[0].strategy : NULL;
    const Tensor *t = s && s->kind == STRATEGY_TABLE ? s->table : s && s->kind == STRATEGY_FIT ? s->coefficients : NULL;
    if (!t) return false;
    *bytes = shape_size(&t->shape) * (int64_t)dtype_size(precision);
    if (s->index) *bytes += shape_size(&s->index->shape) * 4;
    return s->kind == STRATEGY_FIT || s->outside != OUTSIDE_EXACT;
}

/* Bytes of the numbers that a value holds: of a model or a trained cell, its parameters and states; of a table or a
 * fit, its numbers. */
static bool builtin_size(Eval *e, const BuiltinCall *call, Value *out) {
    const Value *v = &call->args[0];
    const Tensor *t;
    int64_t bytes = 0;
    if (v->kind == V_ABSTRACT || e->mode == EVAL_CHECK) { *out = value_abstract(NULL); return true; }
    if (v->kind == V_OBJECT && v->object->class == &model_class) {
        const NetInfo *info = ((const Model *)v->object)->info;
        for (int i = 0; i < info->params; i++)
            bytes += shape_size(&info->param[i].shape) * (int64_t)dtype_size(info->layout.slot[i].dtype);
    } else if (v->kind == V_CALLABLE && v->callable->weights &&
               !size_of_strategy(v->callable, e->session->precision, &bytes)) {
        for (int i = 0; i < v->callable->weights->len; i++) {
            if (!value_as_tensor(e, &v->callable->weights->at[i], e->session->precision, call->span, &t))
                return eval_fail(out);
            bytes += shape_size(&t->shape) * (int64_t)dtype_size(t->dtype);
        }
    } else if (v->kind != V_CALLABLE || !v->callable->weights) {
        if (!value_as_tensor(e, v, e->session->precision, call->arg_spans[0], &t)) return eval_fail(out);
        bytes = shape_size(&t->shape) * (int64_t)dtype_size(t->dtype);
    }
    *out = value_int(bytes);
    return true;
}

static Value named_record(Eval *e, const char *const *text, const Value *at, int n) {
    Name names[12];
    for (int i = 0; i < n; i++) names[i] = intern_text(e->session->names, text[i]);
    return value_record(e->arena, names, at, n);
}

/* ---- cost(net): multiply-adds of one example, bytes of parameters ---- */

int64_t graph_multiplies(const Graph *g) {
    int64_t sum = 0;
    for (Val v = 1; v < (Val)g->node.len; v++) {
        const Node *node = graph_node(g, v);
        if (node->op == G_MATMUL) {
            const Shape *w = &graph_node(g, graph_in(g, v, 0))->shape;
            sum += shape_size(&node->shape) * (w->rank ? w->dim[w->rank - 1] : 1);
        } else if (node->op == G_CONV) {
            const Shape *w = &graph_node(g, graph_in(g, v, 0))->shape;
            sum += shape_size(&node->shape) * (shape_size(w) / w->dim[0]);
        } else if (node->op == G_MAP && node->nin) {
            sum += shape_size(&graph_node(g, graph_in(g, v, 0))->shape) * graph_multiplies(graph_attr(g, v)->body);
        } else if (node->op == G_SCAN) {
            sum += graph_attr(g, v)->i64 * graph_multiplies(graph_attr(g, v)->body);
        } else if (node->op == G_MUL && (node->dtype == DT_F32 || node->dtype == DT_F64)) {
            sum += shape_size(&node->shape);
        }
    }
    return sum;
}

static bool builtin_cost(Eval *e, const BuiltinCall *call, Value *out) {
    Column input;
    const Value *net = &call->args[0];
    Value result;
    if (!net_declared_input(e, net, call->arg_spans[0], &input)) return eval_fail(out);
    Trace *trace = net_trace(e, net, e->session->precision, false, NULL, 0, call->span, &result);
    const NetInfo *info = trace ? net_info(e, net, &input, e->session->precision, call->span) : NULL;
    Val y;
    if (!info) return eval_fail(out);
    e->trace = trace;
    bool node = value_as_node(e, &result, call->span, &y);
    e->trace = NULL;
    if (!node) return eval_fail(out);
    graph_output(trace->graph, OUT_VALUE, 0, "y", y);
    static const char *const names[] = {"multiplies", "bytes"};
    Value at[2] = {value_int(graph_multiplies(graph_copy(e->arena, trace->graph))),
                   value_int(info->count * (int64_t)dtype_size(info->precision))};
    *out = named_record(e, names, at, 2);
    return true;
}

/* ---- statistics ---- */

static bool numbers(Eval *e, const Value *value, Span span, const double **out, int64_t *n) {
    const Tensor *t;
    if (!value_as_tensor(e, value, DT_F64, span, &t)) return false;
    *out = t->data;
    *n = shape_size(&t->shape);
    return true;
}

static bool statistic(Eval *e, const BuiltinCall *call, double (*of)(const double *, int64_t), Value *out) {
    const double *x;
    int64_t n;
    if (call->args[0].kind == V_ABSTRACT) { *out = value_abstract(NULL); return true; }
    if (!numbers(e, &call->args[0], call->arg_spans[0], &x, &n)) return eval_fail(out);
    *out = value_real(of(x, n));
    return true;
}
static bool builtin_sem(Eval *e, const BuiltinCall *call, Value *out) { return statistic(e, call, stat_sem, out); }
static bool builtin_median(Eval *e, const BuiltinCall *call, Value *out) {
    return statistic(e, call, stat_median, out);
}

static bool builtin_quantile(Eval *e, const BuiltinCall *call, Value *out) {
    const double *x;
    int64_t n;
    double q;
    if (call->args[0].kind == V_ABSTRACT) { *out = value_abstract(NULL); return true; }
    if (!numbers(e, &call->args[0], call->arg_spans[0], &x, &n) ||
        !value_as_real(e, &call->args[1], call->arg_spans[1], &q))
        return eval_fail(out);
    if (!(q >= 0 && q <= 1)) {
        diag_add(e->diags, D_E0314, call->arg_spans[1], "a quantile lies from 0 to 1");
        return eval_fail(out);
    }
    *out = value_real(stat_quantile(x, n, q));
    return true;
}

static bool builtin_binomial(Eval *e, const BuiltinCall *call, Value *out) {
    const double *x;
    int64_t n, k = 0;
    if (call->args[0].kind == V_ABSTRACT) { *out = value_abstract(NULL); return true; }
    if (!numbers(e, &call->args[0], call->arg_spans[0], &x, &n)) return eval_fail(out);
    for (int64_t i = 0; i < n; i++) k += x[i] != 0;
    Binomial b = stat_binomial(k, n, 0.5);
    double low, high;
    stat_binomial_interval(k, n, 0.95, &low, &high);
    static const char *const names[] = {"k", "n", "share", "p", "sided", "low", "high"};
    Value at[7] = {value_int(k), value_int(n), value_real(n ? (double)k / (double)n : NAN), value_real(b.p_two_sided),
                   value_text("two"), value_real(low), value_real(high)};
    *out = named_record(e, names, at, 7);
    return true;
}

static bool builtin_paired(Eval *e, const BuiltinCall *call, Value *out) {
    const double *a, *b;
    int64_t n, m;
    if (call->args[0].kind == V_ABSTRACT || call->args[1].kind == V_ABSTRACT) {
        *out = value_abstract(NULL);
        return true;
    }
    if (!numbers(e, &call->args[0], call->arg_spans[0], &a, &n) ||
        !numbers(e, &call->args[1], call->arg_spans[1], &b, &m))
        return eval_fail(out);
    if (n != m) {
        diag_add(e->diags, D_E0401, call->span, "pairs need two lists of one length; these have %lld and %lld",
                 (long long)n, (long long)m);
        return eval_fail(out);
    }
    Paired p = stat_paired(a, b, n);
    static const char *const names[] = {"mean", "sd", "n", "low", "high", "t", "p", "rank_sum", "rank_p", "rank_exact"};
    Value at[10] = {value_real(p.mean),   value_real(p.sd),        value_int(p.n),  value_real(p.low),
                    value_real(p.high),   value_real(p.t),         value_real(p.p), value_real(p.rank_sum),
                    value_real(p.rank_p), value_bool(p.rank_exact)};
    *out = named_record(e, names, at, 10);
    return true;
}

static bool builtin_interval(Eval *e, const BuiltinCall *call, Value *out) {
    const double *x;
    int64_t n;
    double level, low, high;
    if (call->args[0].kind == V_ABSTRACT || call->args[1].kind == V_ABSTRACT) {
        *out = value_abstract(NULL);
        return true;
    }
    if (!numbers(e, &call->args[0], call->arg_spans[0], &x, &n) ||
        !value_as_real(e, &call->args[1], call->arg_spans[1], &level))
        return eval_fail(out);
    if (!(level > 0 && level < 1)) {
        diag_add(e->diags, D_E0314, call->arg_spans[1], "a level lies between 0 and 1");
        return eval_fail(out);
    }
    double mean = stat_mean(x, n), sd = stat_sd(x, n);
    stat_mean_interval(mean, sd, n, level, &low, &high);
    static const char *const names[] = {"mean", "sd", "n", "low", "high", "level"};
    Value at[6] = {value_real(mean), value_real(sd),   value_int(n),
                   value_real(low),  value_real(high), value_real(level)};
    *out = named_record(e, names, at, 6);
    return true;
}

/* ---- the mean of functions ---- */

typedef struct MeanFunction { Object object; Value *fn; int n; } MeanFunction;

static bool mean_call(Eval *e, Object *self, const Value *args, int n, Span span, Value *out) {
    const MeanFunction *mean = (const MeanFunction *)self;
    double sum = 0;
    for (int i = 0; i < mean->n; i++) {
        Value y;
        double x;
        if (!eval_call(e, &mean->fn[i], args, n, span, &y) || !value_as_real(e, &y, span, &x)) return eval_fail(out);
        sum += x;
    }
    *out = value_real(sum / mean->n);
    return true;
}

static void mean_identity(const Object *self, Buf *out) {
    const MeanFunction *mean = (const MeanFunction *)self;
    buf_printf(out, "mean of %d functions", mean->n);
}
static const ObjectClass mean_class = {.name = "function", .call = mean_call, .identity = mean_identity};

bool mean_function(Eval *e, const Value *fns, int n, Span span, Value *out) {
    for (int i = 0; i < n; i++)
        if (fns[i].kind != V_CALLABLE && (fns[i].kind != V_OBJECT || !fns[i].object->class->call)) {
            diag_add(e->diags, D_E0314, span, "a mean is of numbers or of functions; this is %s",
                     value_kind_name(&fns[i]));
            return eval_fail(out);
        }
    MeanFunction *mean = arena_new_of(e->arena, MeanFunction);
    *mean = (MeanFunction){{&mean_class}, arena_array(e->arena, Value, n), n};
    memcpy(mean->fn, fns, sizeof *fns * (size_t)n);
    *out = value_object(&mean->object);
    return true;
}

/* A function of two numbers on a grid: z[iy][ix].  Models and their means are evaluated over the whole grid at once. */
static bool grid_object(Eval *e, Object *f, const double *xy, int points, Span span, double *z) {
    if (f->class == &mean_class) {
        const MeanFunction *mean = (const MeanFunction *)f;
        double *one = arena_array(e->arena, double, points);
        for (int i = 0; i < points; i++) z[i] = 0;
        for (int k = 0; k < mean->n; k++) {
            if (!function_grid(e, &mean->fn[k], xy, points, span, one)) return false;
            for (int i = 0; i < points; i++) z[i] += one[i];
        }
        for (int i = 0; i < points; i++) z[i] /= mean->n;
        return true;
    }
    if (f->class == &model_class) {
        Tensor t = {DT_F64, shape_of(2, (int64_t)points, (int64_t)2), (void *)(uintptr_t)xy};
        Value x = {.kind = V_TENSOR, .tensor = &t}, y;
        const Tensor *out;
        if (!model_predict(e, (const Model *)f, &x, true, span, &y) || !value_as_tensor(e, &y, DT_F64, span, &out))
            return false;
        if (shape_size(&out->shape) != points) {
            diag_add(e->diags, D_E0806, span, "a surface needs one number; this model gives %lld",
                     (long long)(shape_size(&out->shape) / points));
            return false;
        }
        memcpy(z, out->data, sizeof *z * (size_t)points);
        return true;
    }
    bool plane;
    if (!plane_grid(e, f, xy, points, span, z, &plane) || plane) return plane;
    return grid_calls(e, &(Value){.kind = V_OBJECT, .object = f}, xy, points, span, z);
}

bool grid_calls(Eval *e, const Value *f, const double *xy, int points, Span span, double *z) {
    if (f->kind == V_CALLABLE && f->callable->what == DEF_CELL) {                 /* both arguments as tensors */
        double *column[2] = {arena_array(e->arena, double, points), arena_array(e->arena, double, points)};
        Value args[2], y;
        for (int i = 0; i < 2 * points; i++) column[i % 2][i / 2] = xy[i];
        for (int k = 0; k < 2; k++) {
            Tensor *t = arena_new_of(e->arena, Tensor);
            *t = (Tensor){DT_F64, shape_of(1, (int64_t)points), column[k]};
            args[k] = (Value){.kind = V_TENSOR, .tensor = t};
        }
        const Tensor *out;
        if (!eval_call(e, f, args, 2, span, &y) || !value_as_tensor(e, &y, DT_F64, span, &out)) return false;
        memcpy(z, out->data, sizeof *z * (size_t)points);
        return true;
    }
    for (int i = 0; i < points; i++) {
        Value args[2] = {value_real(xy[2 * i]), value_real(xy[2 * i + 1])}, y;
        if (!eval_call(e, f, args, 2, span, &y) || !value_as_real(e, &y, span, &z[i])) return false;
    }
    return true;
}

bool function_of_vector(const Value *f) {
    if (f->kind == V_OBJECT && f->object->class == &mean_class)
        return function_of_vector(&((const MeanFunction *)f->object)->fn[0]);
    return f->kind == V_OBJECT && f->object->class == &model_class;
}

bool function_grid(Eval *e, const Value *f, const double *xy, int points, Span span, double *z) {
    if (f->kind == V_OBJECT) return grid_object(e, f->object, xy, points, span, z);
    if (f->kind == V_CALLABLE) {
        int arity = callable_arity(e, f);
        if (arity == 2) return grid_calls(e, f, xy, points, span, z);
        Diag *diag = diag_add(e->diags, D_E0806, span, "a surface is a function of two numbers; %s has %d argument%s",
                              value_shown(e, f), arity, arity == 1 ? "" : "s");
        if (arity > 2) diag_hint(diag, "section(%s, argument: 3, at: 0)", value_shown(e, f));
        return false;
    }
    diag_add(e->diags, D_E0806, span, "a surface is a function of two numbers; this is %s", value_kind_name(f));
    return false;
}

/* ---- loss_surface(net, on:, loss:, vary:, start:, points:, seed:) ---- */

static void surface_identity(const Object *self, Buf *out) {
    const Surface *s = (const Surface *)self;
    buf_printf(out, "surface %d x %d of %s, %s %016llx", s->nx, s->ny, s->x_name, s->y_name,
               (unsigned long long)fnv1a(s->z, s->known ? sizeof *s->z * (size_t)(s->nx * s->ny) : 0, FNV1A_START));
}

/* Number by number: log(surface), surface / 2. */
static bool surface_elementwise(Eval *e, Op op, const Value *args, int n, int self, Span span, Value *out) {
    const Surface *s = (const Surface *)args[self].object;
    Tensor z = {DT_F64, shape_of(2, (int64_t)s->ny, (int64_t)s->nx), s->z};
    Value with[3];
    const Tensor *t;
    if (n > COUNT(with)) return false;
    memcpy(with, args, sizeof *with * (size_t)n);
    with[self] = (Value){.kind = V_TENSOR, .tensor = &z};
    if (!s->known) { *out = value_abstract(NULL); return true; }
    if (!eval_op(e, op, with, n, span, out) || !value_as_tensor(e, out, DT_F64, span, &t)) return false;
    Surface *copy = arena_new_of(e->arena, Surface);
    *copy = *s;
    copy->z = arena_array(e->arena, double, s->nx * s->ny + 1);
    memcpy(copy->z, t->data, sizeof *copy->z * (size_t)(s->nx * s->ny));
    *out = value_object(&copy->object);
    return true;
}
const ObjectClass surface_class = {.name = "surface", .identity = surface_identity, .elementwise = surface_elementwise};

static bool surface_axes(Eval *e, const BuiltinCall *call, const NetInfo *info, PathRef *ref, double *lo, double *hi,
                         Surface *s) {
    const ValueRecord *vary = call->args[3].record;
    if (vary->len != 2) {
        diag_add(e->diags, D_E0314, call->arg_spans[3], "vary: names two weights and their ranges; here are %d",
                 vary->len);
        return false;
    }
    for (int i = 0; i < 2; i++) {
        if (!path_find(e, info, vary->name[i], call->arg_spans[3], &ref[i])) return false;
        if (!ref[i].element && shape_size(&info->param[ref[i].param].shape) != 1) {
            diag_add(e->diags, D_E0603, call->arg_spans[3], "%s has several elements: write one, as in \"%s[1, 2]\"",
                     vary->name[i], vary->name[i]);
            return false;
        }
        if (vary->at[i].kind != V_RANGE) {
            diag_add(e->diags, D_E0314, call->arg_spans[3], "%s varies over a range such as -2..2", vary->name[i]);
            return false;
        }
        lo[i] = vary->at[i].range->lo;
        hi[i] = vary->at[i].range->hi;
    }
    s->x_name = vary->name[0];
    s->y_name = vary->name[1];
    return true;
}

static void surface_put(const NetInfo *info, void *block, const PathRef *ref, double x) {
    const Slot *slot = &info->layout.slot[ref->param];
    char *at = (char *)block + slot->offset;
    if (slot->dtype == DT_F64) ((double *)at)[ref->offset] = x;
    else ((float *)at)[ref->offset] = (float)x;
}

static bool surface_fill(Eval *e, const BuiltinCall *call, Model *model, const DataObject *data, Surface *s,
                         const PathRef *ref, const double *lo, const double *hi) {
    for (int i = 0; i < s->nx; i++) {
        s->x[i] = lo[0] + (hi[0] - lo[0]) * i / (s->nx - 1);
        s->y[i] = lo[1] + (hi[1] - lo[1]) * i / (s->ny - 1);
    }
    Arena *arena = e->arena, *scratch = arena_new();
    bool ok = true;
    for (int iy = 0; iy < s->ny && ok; iy++) {
        for (int ix = 0; ix < s->nx && ok; ix++) {
            Metrics m;
            surface_put(model->info, model->block, &ref[0], s->x[ix]);
            surface_put(model->info, model->block, &ref[1], s->y[iy]);
            e->arena = scratch;
            ok = model_metrics(e, model, data, &call->args[2], NULL, 0, call->span, &m);
            e->arena = arena;
            s->z[iy * s->nx + ix] = m.loss;
        }
        arena_free(scratch);
        scratch = arena_new();
    }
    arena_free(scratch);
    return ok;
}

static bool builtin_loss_surface(Eval *e, const BuiltinCall *call, Value *out) {
    if (call->args[1].kind != V_OBJECT || call->args[1].object->class != &data_class) return eval_fail(out);
    const DataObject *data = data_part((const DataObject *)call->args[1].object, "train");
    const NetInfo *info = net_info(e, &call->args[0], &data->x, e->session->precision, call->arg_spans[0]);
    int64_t points = call->args[5].integer;
    Surface *s = arena_new_of(e->arena, Surface);
    *s = (Surface){.object = {&surface_class}, .nx = (int)points, .ny = (int)points, .known = e->mode == EVAL_RUN};
    PathRef ref[2];
    double lo[2], hi[2];
    if (!info || !surface_axes(e, call, info, ref, lo, hi, s)) return eval_fail(out);
    if (points < 2 || points > 4096) {
        diag_add(e->diags, D_E0414, call->arg_spans[5], "points: from 2 to 4096");
        return eval_fail(out);
    }
    Model model = {.object = {&model_class}, .info = info, .known = true};
    char *block = arena_alloc(e->arena, info->layout.size + 64);
    model.block = (void *)(((uintptr_t)block + 63) & ~(uintptr_t)63);
    Seeds seeds = {0};
    if (call->args[6].kind == V_INT && !seeds_read(e, &call->args[6], call->arg_spans[6], &seeds))
        return eval_fail(out);
    if (!model_draw(e, info, &seeds, 0, NULL, model.block, call->span) ||
        !model_start(e, &model, &call->args[4], call->arg_spans[4]))
        return eval_fail(out);
    s->x = arena_array(e->arena, double, points);
    s->y = arena_array(e->arena, double, points);
    s->z = arena_array(e->arena, double, points * points);
    if (s->known && !surface_fill(e, call, &model, data, s, ref, lo, hi)) return eval_fail(out);
    *out = value_object(&s->object);
    return true;
}

const BuiltinRow builtins_misc[] = {
    {"print", builtin_print}, {"hash", builtin_hash}, {"size", builtin_size}, {"cost", builtin_cost},
    {"check", builtin_check}, {"sem", builtin_sem}, {"median", builtin_median}, {"quantile", builtin_quantile},
    {"binomial", builtin_binomial}, {"paired", builtin_paired}, {"interval", builtin_interval},
    {"loss_surface", builtin_loss_surface}, {NULL, NULL}};
