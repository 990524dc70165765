/* protocol.c -- standard(...), protocol(...), and the checks of an attack before it runs.
 *
 * `standard` is sealed: it alone is called AutoAttack, and it takes nothing but a norm and eps.  A protocol that takes
 * its list of attacks claims the same set-up and is held to it; any other runs as it is, under its label, if its
 * attacks can tell anything of the model at all.  A fn of (model, x, y) that gives another input is an attack as
 * well. */
#include "experiment/attacking.h"

#include <math.h>

static void protocol_identity(const Object *self, Buf *out) { buf_text(out, ((const ProtocolObject *)self)->identity); }
static void protocol_show(const Object *self, Buf *out) { buf_text(out, ((const ProtocolObject *)self)->label); }
const ObjectClass protocol_class = {.name = "protocol", .identity = protocol_identity, .show = protocol_show};

bool library_value(Eval *e, const char *name, Value *out) {
    bool found;
    return scope_find(e, e->session->prelude, intern_text(e->session->names, name), out, &found) && found;
}

/* ---- lists of attacks ---- */

static const AttackSpec apgd_ce = {"apgd[cross_entropy]", KIND_APGD, ATTACK_CE, 100, 1, 0, 1, 0, 0},
                        apgd_dlr = {"apgd[dlr]", KIND_APGD, ATTACK_DLR, 100, 1, 0, 1, 0, 0},
                        apgd_t = {"apgd_targeted", KIND_APGD_TARGETED, ATTACK_DLR_TARGETED, 100, 1, 9, 1, 0, 0},
                        fab = {"fab", KIND_FAB, ATTACK_DIFFERENCE, 100, 5, 0, 1, 0, 0},
                        fab_t = {"fab_targeted", KIND_FAB_TARGETED, ATTACK_DIFFERENCE, 100, 1, 9, 1, 0, 0},
                        square = {"square", KIND_SQUARE, ATTACK_CE, 0, 1, 0, 1, 5000, 0};

static void add_spec(ProtocolObject *p, AttackSpec spec, int restarts, int samples) {
    if (restarts) spec.restarts = restarts;
    if (samples) spec.samples = samples;
    if (p->attacks < MAX_ATTACKS) p->attack[p->attacks++] = spec;
}

static void add_standard(ProtocolObject *p) {
    bool l1 = p->norm == NORM_L1;
    AttackSpec targeted = apgd_t;
    if (l1) targeted.targets = 5;
    add_spec(p, apgd_ce, l1 ? 5 : 0, 0);
    add_spec(p, targeted, 0, 0);
    add_spec(p, fab_t, 0, 0);
    add_spec(p, square, 0, 0);
    p->published = true;
}

static void add_plus(ProtocolObject *p) {
    add_spec(p, apgd_ce, 5, 0);
    add_spec(p, apgd_dlr, 5, 0);
    add_spec(p, fab, 0, 0);
    add_spec(p, square, 0, 0);
    add_spec(p, apgd_t, 0, 0);
    add_spec(p, fab_t, 0, 0);
}

static void add_rand(ProtocolObject *p) {
    add_spec(p, apgd_ce, 0, 20);
    add_spec(p, apgd_dlr, 0, 20);
}

/* ---- one attack as a value: apgd[loss: dlr, samples: 20] ---- */

typedef struct Reader { Eval *e; ProtocolObject *p; Span span; const Callable *c; } Reader;

static const Value *setting(const Reader *r, const char *name) {
    for (int i = 0; i < r->c->settings_len; i++)
        if (strcmp(r->c->def->ast->def.settings[i].name, name) == 0) return &r->c->settings[i];
    return NULL;
}

static bool count_of(const Reader *r, const char *name, int otherwise, int *out) {
    const Value *v = setting(r, name);
    *out = v && v->kind == V_INT ? (int)v->integer : otherwise;
    if (!v || v->kind != V_INT || (v->integer >= 1 && v->integer <= 1000000)) return true;
    diag_add(r->e->diags, D_E0405, r->span, "%s: of %s is 1 or more", name, r->c->def->name);
    return false;
}

static AttackLoss loss_of(const Reader *r, const char **name) {
    const Value *loss = setting(r, "loss");
    *name = "cross_entropy";
    if (!loss || loss->kind != V_CALLABLE) return ATTACK_CE;
    *name = loss->callable->def->name;
    if (loss->callable->def->library && strcmp(*name, "cross_entropy") == 0 && !loss->callable->given) return ATTACK_CE;
    if (loss->callable->def->library && strcmp(*name, "dlr") == 0) return ATTACK_DLR;
    r->p->loss[r->p->losses] = *loss;
    return (AttackLoss)(BUILTIN_LOSSES + r->p->losses++);
}

static const struct { const char *name; AttackKind kind;
} kinds[] = {{"fgsm", KIND_FGSM},    {"pgd", KIND_PGD},
             {"apgd", KIND_APGD},    {"apgd_targeted", KIND_APGD_TARGETED},
             {"fab", KIND_FAB},      {"fab_targeted", KIND_FAB_TARGETED},
             {"square", KIND_SQUARE}};

static const char *const norm_names[] = {"linf", "l2", "l1"};

/* eps and norm are the protocol's: others may not be given. */
static bool protocols_own(const Reader *r) {
    for (int i = 0; i < r->c->settings_len; i++) {
        const char *name = r->c->def->ast->def.settings[i].name;
        const Value *v = &r->c->settings[i];
        bool eps = strcmp(name, "eps") == 0, norm = strcmp(name, "norm") == 0, other = false;
        if (!(r->c->given >> i & 1)) continue;
        if (eps && v->kind == V_REAL) other = v->real != r->p->eps;
        if (norm && v->kind == V_CHOICE) other = strcmp(v->choice, norm_names[r->p->norm]) != 0;
        if (other)
            diag_add(r->e->diags, D_E0703, r->span,
                     "this attack has %s %s of its own; the protocol's counts: leave it out", eps ? "an" : "a", name);
        if (other) return false;
    }
    return true;
}

static bool room_for(const Reader *r) {
    if (r->p->attacks < MAX_ATTACKS) return true;
    diag_add(r->e->diags, D_E0414, r->span, "at most %d attacks in a protocol", MAX_ATTACKS);
    return false;
}

/* The program's own: eps and norm that are not given are the protocol's; one that stands there again draws other
 * numbers. */
static bool read_own(Reader *r, Name norm) {
    Eval *e = r->e;
    Callable *own = arena_new_of(e->arena, Callable);
    *own = *r->c;
    own->settings = arena_array(e->arena, Value, r->c->settings_len + 1);
    for (int i = 0; i < own->settings_len; i++) {
        const char *name = own->def->ast->def.settings[i].name;
        bool open = !(r->c->given >> i & 1);
        own->settings[i] = r->c->settings[i];
        if (open && strcmp(name, "eps") == 0) own->settings[i] = value_real(r->p->eps);
        if (open && strcmp(name, "norm") == 0) own->settings[i] = (Value){.kind = V_CHOICE, .choice = norm};
    }
    Value fn = {.kind = V_CALLABLE, .callable = own};
    if (own->what != DEF_FN || own->def->builtin || callable_arity(e, &fn) != 3) {
        Diag *diag = diag_add(e->diags, D_E0314, r->span, "%s is no attack", own->def->name);
        diag_hint(diag, "an attack of your own is a fn mine(model, x, y) that gives another x");
        return false;
    }
    if (!protocols_own(r) || !room_for(r)) return false;
    int before = 0;
    for (int i = 0; i < r->p->attacks; i++)
        before += r->p->attack[i].kind == KIND_OWN && r->p->own[i].callable->def == own->def;
    const char *name = before ? arena_printf(e->arena, "%s %d", own->def->name, before + 1) : own->def->name;
    r->p->owns++;
    r->p->own[r->p->attacks] = fn;
    r->p->attack[r->p->attacks++] = (AttackSpec){.name = name, .kind = KIND_OWN, .restarts = 1, .samples = 1};
    return true;
}

static bool read_attack(Reader *r) {
    int k = 0;
    AttackSpec spec = {.restarts = 1, .samples = 1};
    const char *loss = NULL;
    while (k < COUNT(kinds) && strcmp(kinds[k].name, r->c->def->name)) k++;
    if (k == COUNT(kinds) || !r->c->def->library)
        return read_own(r, intern_text(r->e->session->names, norm_names[r->p->norm]));
    spec.kind = kinds[k].kind;
    if (!count_of(r, "steps", 100, &spec.steps) || !count_of(r, "restarts", 1, &spec.restarts) ||
        !count_of(r, "samples", 1, &spec.samples) || !count_of(r, "targets", 9, &spec.targets) ||
        !count_of(r, "queries", 5000, &spec.queries))
        return false;
    const Value *step = setting(r, "step");
    if (spec.kind == KIND_PGD)
        spec.step = step && step->kind == V_REAL  ? step->real
                    : step && step->kind == V_INT ? (double)step->integer
                                                  : r->p->eps / 4;
    if (!protocols_own(r) || !room_for(r)) return false;
    if (setting(r, "loss")) spec.loss = loss_of(r, &loss);
    spec.name = loss ? arena_printf(r->e->arena, "%s[%s]", kinds[k].name, loss) : kinds[k].name;
    r->p->attack[r->p->attacks++] = spec;
    return true;
}

static bool read_attacks(Eval *e, ProtocolObject *p, const Value *value, Span span) {
    if (value->kind == V_LIST) {
        for (int i = 0; i < value->list->len; i++)
            if (!read_attacks(e, p, &value->list->at[i], span)) return false;
        return true;
    }
    if (value->kind == V_CHOICE && strcmp(value->choice, "plus") == 0) { add_plus(p); return true; }
    if (value->kind == V_CHOICE && strcmp(value->choice, "rand") == 0) { add_rand(p); return true; }
    if (value->kind == V_CALLABLE && strcmp(value->callable->def->name, "standard") == 0) {
        add_standard(p);
        return true;
    }
    Value ready;
    if (value->kind != V_CALLABLE || value->callable->what != DEF_FN) {
        diag_add(e->diags, D_E0314, span, "attacks: is a list of attacks, or standard, plus, rand; this is %s",
                 value_kind_name(value));
        return false;
    }
    if (!callable_ready(e, value, span, &ready)) return false;
    return read_attack(&(Reader){e, p, span, ready.callable});
}

/* ---- the values ---- */

static AttackNorm norm_named(Name name) {
    return strcmp(name, "linf") == 0 ? NORM_LINF : strcmp(name, "l2") == 0 ? NORM_L2 : NORM_L1;
}

static bool protocol_eps(Eval *e, ProtocolObject *p, const BuiltinCall *call, int arg) {
    if (!value_as_real(e, &call->args[arg], call->arg_spans[arg], &p->eps)) return false;
    if (p->eps > 0 && isfinite(p->eps)) return true;
    diag_add(e->diags, D_E0703, call->arg_spans[arg], "eps is a number above 0");
    return false;
}

static void protocol_name(Eval *e, ProtocolObject *p) {
    Buf text = {0};
    buf_printf(&text, "protocol %s %s %.17g %d %d %.17g %.17g %d", p->label, norm_names[p->norm], p->eps, p->network,
               p->boxed, p->lo, p->hi, p->training);
    for (int i = 0; i < p->attacks; i++) {
        const AttackSpec *a = &p->attack[i];
        buf_printf(&text, "|%s %d %d %d %d %d %.17g ", a->name, a->steps, a->restarts, a->targets, a->samples,
                   a->queries, a->step);
        if ((int)a->loss >= BUILTIN_LOSSES) value_identity(&p->loss[(int)a->loss - BUILTIN_LOSSES], &text);
        if (a->kind == KIND_OWN) value_identity(&p->own[i], &text);
    }
    buf_put(&text, "", 1);
    p->identity = buf_done(&text, e->arena);
}

static bool builtin_standard(Eval *e, const BuiltinCall *call, Value *out) {
    ProtocolObject *p = arena_new_of(e->arena, ProtocolObject);
    *p = (ProtocolObject){.object = {&protocol_class}, .label = "AutoAttack", .sealed = true,
                          .norm = norm_named(call->args[0].choice)};
    if (call->args[1].kind == V_ABSTRACT) { *out = value_abstract(NULL); return true; }
    if (!protocol_eps(e, p, call, 1)) return eval_fail(out);
    add_standard(p);
    protocol_name(e, p);
    *out = value_object(&p->object);
    return true;
}

static bool is_taken_label(const char *label) {
    static const char word[] = "autoattack";
    for (; *label; label++) {
        int k = 0, i = 0;
        for (; word[k] && label[i]; i++) {
            char c = label[i] >= 'A' && label[i] <= 'Z' ? (char)(label[i] + 32) : label[i];
            if (c == ' ' || c == '-' || c == '_') { if (!k) break; continue; }
            if (c != word[k]) break;
            k++;
        }
        if (!word[k]) return true;
    }
    return false;
}

static bool builtin_protocol(Eval *e, const BuiltinCall *call, Value *out) {
    const Value *a = call->args;
    for (int i = 0; i < 7; i++)
        if (a[i].kind == V_ABSTRACT) { *out = value_abstract(NULL); return true; }
    ProtocolObject *p = arena_new_of(e->arena, ProtocolObject);
    *p = (ProtocolObject){.object = {&protocol_class}, .label = a[0].text, .norm = norm_named(a[2].choice),
                          .network = strcmp(a[4].choice, "network") == 0,
                          .training = strcmp(a[6].choice, "training") == 0};
    if (is_taken_label(p->label)) {
        diag_hint(diag_add(e->diags, D_E0704, call->arg_spans[0], "only standard(...) is called AutoAttack"),
                  "label: \"APGD, 20 samples\"");
        return eval_fail(out);
    }
    if (!protocol_eps(e, p, call, 3) || !read_attacks(e, p, &a[1], call->arg_spans[1])) return eval_fail(out);
    if (a[5].kind == V_RANGE && !(a[5].range->lo < a[5].range->hi)) {
        diag_add(e->diags, D_E0314, call->arg_spans[5], "box: goes from a smaller to a larger number");
        return eval_fail(out);
    }
    if (a[5].kind == V_RANGE) {
        p->boxed = true;
        p->lo = a[5].range->lo;
        p->hi = a[5].range->hi;
    }
    if (!p->attacks) {
        diag_add(e->diags, D_E0314, call->arg_spans[1], "a protocol has one attack or more");
        return eval_fail(out);
    }
    protocol_name(e, p);
    *out = value_object(&p->object);
    return true;
}

/* ---- checks ---- */

static bool fail(Eval *e, DiagCode code, Span span, const char *hint, const char *format, ...) NIN_PRINTF(5, 6);
static bool fail(Eval *e, DiagCode code, Span span, const char *hint, const char *format, ...) {
    va_list args;
    va_start(args, format);
    Diag *diag = diag_add(e->diags, code, span, "%s", arena_vprintf(e->arena, format, args));
    va_end(args);
    if (hint) diag_hint(diag, "%s", hint);
    return false;
}

/* What the raw range is in the net's units, over all features. */
static void seen_range(const DataObject *data, double *lo, double *hi) {
    *lo = data->raw_lo;
    *hi = data->raw_hi;
    const Affine *map = data->affine;
    for (int i = 0; map && i < map->features; i++) {
        double a = (data->raw_lo - map->mean[i]) / map->sd[i], b = (data->raw_hi - map->mean[i]) / map->sd[i];
        *lo = i ? fmin(*lo, a) : a;
        *hi = i ? fmax(*hi, b) : b;
    }
}

/* What holds for the published ensemble, whatever it is called. */
static bool check_published(Eval *e, const ProtocolObject *p, const Model *model, const DataObject *data, Span span) {
    const NetInfo *info = model->info;
    if (p->training && info->random)
        return fail(e, D_E0701, span, "mode: evaluation",
                    "the model draws random numbers during the attack, as in training");
    double lo = data->raw_lo, hi = data->raw_hi;
    if (p->network) seen_range(data, &lo, &hi);
    if (p->boxed && (fabs(p->lo - lo) > 1e-6 || fabs(p->hi - hi) > 1e-6))
        return fail(e, D_E0702, span, "units: pixels", "box %g..%g, but these inputs lie in %g..%g", p->lo, p->hi, lo,
                    hi);
    return e->mode != EVAL_CHECK || masked_check(e, model, span);
}

static bool check_losses(Eval *e, const ProtocolObject *p, int64_t classes, Span span) {
    for (int i = 0; i < p->attacks; i++) {
        AttackLoss loss = p->attack[i].kind == KIND_APGD_TARGETED ? ATTACK_DLR_TARGETED : p->attack[i].loss;
        int needed = loss == ATTACK_DLR_TARGETED ? 4 : loss == ATTACK_DLR ? 3 : 2;
        if (classes < needed)
            return fail(e, D_E0708, span, "attacks: [apgd, fab, square] of a protocol of your own",
                        "%s needs %d classes; here are %lld",
                        loss == ATTACK_DLR ? "dlr" : "targeted dlr", needed, (long long)classes);
    }
    return true;
}

/* E0707: one look at a model that draws random numbers tells of that draw alone.  An own attack may look as often as it
 * likes. */
static bool check_random(Eval *e, const ProtocolObject *p, const Model *model, Span span) {
    if (!p->training || !model->info->random) return true;
    for (int i = 0; i < p->attacks; i++)
        if (p->attack[i].kind != KIND_OWN && p->attack[i].samples < 2)
            return fail(e, D_E0707, span, "attacks: rand, or apgd[samples: 20]",
                        "the model draws random numbers during the attack; %s looks at it once", p->attack[i].name);
    return true;
}

static bool is_part(const DataObject *data) { return strchr(data->name, '[') != NULL; }

bool protocol_check(Eval *e, const ProtocolObject *p, const Model *model, const DataObject *data,
                    const BuiltinCall *call) {
    Span with = call->arg_spans[1], on = call->arg_spans[2];
    const NetInfo *info = model->info;
    double lo = data->raw_lo, hi = data->raw_hi;
    if (!data_has_classes(data))
        return fail(e, D_E0314, on, NULL, "attacks are on classifiers: %s has no classes", data->name);
    if (info->output.shape.rank != 1 || info->output.shape.dim[0] != data->y.classes)
        return fail(e, D_E0401, on, NULL, "the model gives %lld numbers for %lld classes",
                    (long long)shape_size(&info->output.shape), (long long)data->y.classes);
    int mark = diags_mark(e->diags);
    if (!data_same_values(e, model->data, data, on)) {
        const char *text = arena_printf(e->arena, "%s", e->diags->list.at[mark]->message);
        diags_discard(e->diags, mark);
        return fail(e, D_E0710, on, "the same normalize: for both", "%s", text);
    }
    if (info->lo >= 0 && info->hi <= 1)
        return fail(e, D_E0705, with, "leave the last softmax out",
                    "the model ends in probabilities; the losses of attacks need logits");
    if (p->network) seen_range(data, &lo, &hi);
    double inputs = (double)shape_size(&data->x.shape), longest = p->norm == NORM_LINF ? 1
                                                                  : p->norm == NORM_L2 ? sqrt(inputs)
                                                                                       : inputs;
    if (hi > lo && p->eps > (hi - lo) * longest)
        return fail(e, D_E0703, with, p->network ? NULL : "8/255", "eps %g in a range of %g..%g", p->eps, lo, hi);
    if (!check_losses(e, p, data->y.classes, with) || (p->published && !check_published(e, p, model, data, with)))
        return false;
    if (!check_random(e, p, model, with)) return false;
    if (e->mode != EVAL_CHECK) return true;
    if (model->against_eps > 0 && !p->network && p->norm == norm_named(model->against_norm) &&
        model->against_eps < p->eps * (1 - 1e-9))
        diag_add(e->diags, D_W0711, with, "the model was trained against eps %g, and is attacked with %g",
                 model->against_eps, p->eps);
    if (model->data && model->data->train == data)
        diag_add(e->diags, D_W0709, on, "the model was trained on %s", data->name);
    else if (is_part(data))
        diag_add(e->diags, D_W0709, on, "a part: %s, %lld examples", data->name, (long long)data->size);
    return true;
}

const BuiltinRow builtins_protocol[] = {{"standard", builtin_standard}, {"protocol", builtin_protocol}, {NULL, NULL}};
