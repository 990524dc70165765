/* against.c -- attacks that are functions of the language, (model, x, y) to another x, traced into a compiled step.
 *
 * The net is traced once, on x.  `model` is that trace: a call of it is the same nodes with another input in the place
 * of x, so parameters, masks of dropout and other draws are those of the step, and the gradients of the attack come
 * from the same graph.  The attack sees raw values; what it returns is put into their range and given the data's map
 * again. Whoever differentiates by parameters holds the changed input as a constant (pass_grad_held). */
#include "experiment/train.h"

#include <math.h>

/* ---- the attacked model, as a value ---- */

typedef struct ModelHere { Object object; const AttackSite *site; Val raw; } ModelHere;
static const char *const here_fields[] = {"lo", "hi", NULL};

/* The range of raw values. */
static bool here_field(Eval *e, Object *self, Name field, Span span, Value *out) {
    const AttackSite *site = ((const ModelHere *)self)->site;
    (void)e, (void)span;
    *out = value_real(strcmp(field, "lo") == 0 ? site->lo : site->hi);
    return strcmp(field, "lo") == 0 || strcmp(field, "hi") == 0;
}

static bool input_fits(Eval *e, const char *what, NodeType got, NodeType want, Span span) {
    if (got.dtype == want.dtype && shape_equal(&got.shape, &want.shape)) return true;
    Buf text = {0};
    shape_print(&want.shape, &text);
    buf_printf(&text, ", %s %s", what, dtype_name((DType)got.dtype));
    shape_print(&got.shape, &text);
    diag_add(e->diags, D_E0409, span, "an attacked input is like the one that was given: %s%.*s",
             dtype_name((DType)want.dtype), (int)text.len, text.at);
    buf_free(&text);
    return false;
}

static Val per_example(Graph *g, Val x, Span span) {
    NodeType type = graph_type(g, x);
    if (type.batched) return x;
    type.batched = true;
    return graph_add(g, G_BROADCAST, &x, 1, NULL, &type, span);
}

static bool here_call(Eval *e, Object *self, const Value *args, int n, Span span, Value *out) {
    const ModelHere *here = (const ModelHere *)self;
    const AttackSite *site = here->site;
    Graph *g = e->trace->graph;
    Val x;
    if (n != 1) {
        diag_add(e->diags, D_E0309, span, "the attacked model takes one input; here are %d", n);
        return eval_fail(out);
    }
    if (!value_as_node(e, &args[0], span, &x)) return eval_fail(out);
    if (!input_fits(e, "this is", graph_type(g, x), graph_type(g, site->x), span)) return eval_fail(out);
    if (x == here->raw) {
        *out = trace_value(site->out);
        return true;
    }
    x = per_example(g, x, span);
    if (site->affine && !affine_trace(e, site->affine, false, span, &x)) return eval_fail(out);
    *out = trace_value(graph_substitute(g, site->x, x, site->out));
    return true;
}

static void here_identity(const Object *self, Buf *out) {
    (void)self;
    buf_text(out, "attacked model");
}
static const ObjectClass here_class = {
    .name = "model", .fields = here_fields, .field = here_field, .identity = here_identity, .trace = here_call};

/* ---- the changed input ---- */

static Val into_range(Graph *g, Val x, const AttackSite *site) {
    DType dtype = (DType)graph_type(g, x).dtype;
    if (!(site->lo < site->hi)) return x;
    return graph_2(g, G_MIN, graph_2(g, G_MAX, x, graph_const(g, dtype, site->lo)), graph_const(g, dtype, site->hi));
}

bool against_trace(Eval *e, const AttackSite *site, Val *raw, Val *changed) {
    Trace *trace = e->trace;
    Graph *g = trace->graph;
    ModelHere *here = arena_new_of(e->arena, ModelHere);
    const char *purpose = trace->purpose, *name = site->fn->callable->def->name;
    bool random = trace->random;
    Value args[3], result;
    Val x;
    *here = (ModelHere){{&here_class}, site, site->raw ? site->raw : site->x};
    if (!site->raw && site->affine && !affine_trace(e, site->affine, true, site->span, &here->raw)) return false;
    args[0] = value_object(&here->object);
    args[1] = trace_value(here->raw);
    args[2] = trace_value(site->target);
    trace->purpose = "attack";
    trace->random = true;
    bool ok = trace_call(e, trace, name, site->fn, args, 3, site->span, &result);
    trace->purpose = purpose;
    trace->random = random;
    e->trace = trace;
    if (!ok || !value_as_node(e, &result, site->span, &x)) return false;
    if (!input_fits(e, arena_printf(e->arena, "%s gives", name), graph_type(g, x), graph_type(g, site->x), site->span))
        return false;
    *raw = *changed = per_example(g, x, site->span);
    if (site->raw) return true;
    *raw = *changed = into_range(g, *raw, site);
    return !site->affine || affine_trace(e, site->affine, false, site->span, changed);
}

/* ---- `against:` of a session ---- */

static bool refuse(Eval *e, const SessionSpec *s, Span span, const char *hint, const char *format, ...)
    NIN_PRINTF(5, 6);
static bool refuse(Eval *e, const SessionSpec *s, Span span, const char *hint, const char *format, ...) {
    va_list args;
    va_start(args, format);
    const char *why = arena_vprintf(e->arena, format, args);
    va_end(args);
    Diag *diag = diag_add(e->diags, D_E0618, span, "%s cannot train against this: %s", s->title, why);
    if (hint) diag_hint(diag, "%s", hint);
    return false;
}

int against_setting(const Value *fn, const char *name) {
    const Ast *def = fn->callable->def->ast;
    for (int i = 0; i < def->def.settings_len; i++)
        if (strcmp(def->def.settings[i].name, name) == 0) return i;
    return -1;
}

static bool number_of(const Value *value, double *x) {
    if (value->kind != V_REAL && value->kind != V_INT) return false;
    *x = value->kind == V_REAL ? value->real : (double)value->integer;
    return true;
}

/* The steps of the library's attacks, where they are not given. */
static double usual_step(const char *name, double eps) { return strcmp(name, "fgsm") == 0 ? 1.25 * eps : eps / 4; }

static bool library_attack(Eval *e, SessionSpec *s, const Value *ready, Span span) {
    const char *name = ready->callable->def->name;
    int eps = against_setting(ready, "eps"), step = against_setting(ready, "step"),
        norm = against_setting(ready, "norm");
    const Value *settings = ready->callable->settings;
    double x;
    if (eps < 0 || step < 0 || norm < 0)
        return refuse(e, s, span, "against: pgd[eps: 8/255]", "%s is no function of a model, an input and its target",
                      name);
    if (settings[eps].kind == V_ABSTRACT || settings[step].kind == V_ABSTRACT || settings[norm].kind == V_ABSTRACT)
        return true;
    if (!number_of(&settings[eps], &s->against_eps) || s->against_eps <= 0)
        return refuse(e, s, span, arena_printf(e->arena, "%s[eps: 8/255]", name),
                      "%s needs an eps above 0, in raw units", name);
    s->against_norm = settings[norm].choice;
    if (strcmp(s->against_norm, "l1") == 0) return refuse(e, s, span, "norm: linf", "%s has no steps in l1", name);
    Callable *own = arena_new_of(e->arena, Callable);
    Value *filled = arena_array(e->arena, Value, ready->callable->settings_len + 1),
          *out = arena_new_of(e->arena, Value);
    memcpy(filled, settings, sizeof *filled * (size_t)ready->callable->settings_len);
    if (!number_of(&filled[step], &x)) filled[step] = value_real(usual_step(name, s->against_eps));
    *own = *ready->callable;
    own->settings = filled;
    *out = *ready;
    out->callable = own;
    s->against = out;
    return true;
}

bool against_read(Eval *e, SessionSpec *s, Span span) {
    const Value *value = s->against;
    Value *ready = arena_new_of(e->arena, Value);
    s->against = NULL;
    if (!value || value->kind == V_ABSTRACT) return true;
    if (value->kind != V_CALLABLE || value->callable->what != DEF_FN)
        return refuse(e, s, span, "against: pgd[eps: 8/255]",
                      "an attack is a fn of a model, an input and its target; this is %s", value_kind_name(value));
    if (!callable_ready(e, value, span, ready)) return false;
    if (s->fit) return refuse(e, s, span, NULL, "it fits cells, and attacks are on inputs of nets");
    s->against = ready;
    if (ready->callable->def->library) return library_attack(e, s, ready, span);
    if (callable_arity(e, ready) == 3) return true;
    return refuse(e, s, span, "fn mine(model, x, y)", "%s takes %d; an attack takes a model, an input and its target",
                  ready->callable->def->name, callable_arity(e, ready));
}

bool against_check(Eval *e, const SessionSpec *s, const DataObject *data, Span span) {
    if (!s->against) return true;
    if (data->x.dtype == DT_I32) return refuse(e, s, span, NULL, "the examples of %s are tokens", data->name);
    double longest = s->against_norm && strcmp(s->against_norm, "l2") == 0 ? sqrt((double)shape_size(&data->x.shape))
                                                                           : 1;
    if (!(data->raw_lo < data->raw_hi) || s->against_eps <= (data->raw_hi - data->raw_lo) * longest) return true;
    Diag *diag = diag_add(e->diags, D_E0703, span, "eps %g in a range of %g..%g", s->against_eps, data->raw_lo,
                          data->raw_hi);
    diag_hint(diag, "8/255");
    return false;
}

bool against_is_trades(const SessionSpec *s) {
    return s && s->against && s->against->callable->def->library &&
           strcmp(s->against->callable->def->name, "trades") == 0;
}
