/* synthetic.c -- two_spirals, moons, circles, blobs, parity, noisy_xor: made-up data sets as values (data/synthetic.h).
 *
 * A check makes no points: it knows the set by its type. */
#include "data/synthetic.h"

#include <math.h>

#include "experiment/train.h"

enum { MOST_FEATURES = 4096, MOST_BITS = 24 };
static const int64_t MOST_NUMBERS = 400000000;

typedef struct Making {
    Eval *e; const BuiltinCall *call; const char *name; Synthetic set; int64_t points, valid, test;
} Making;

static bool refuse(const Making *m, int arg, const char *text) {
    diag_add(m->e->diags, D_E0314, m->call->arg_spans[arg], "%s", text);
    return false;
}

static bool real_at(const Making *m, int arg, double *out) {
    if (!value_as_real(m->e, &m->call->args[arg], m->call->arg_spans[arg], out)) return false;
    return (isfinite(*out) && *out >= 0) || refuse(m, arg, "this is a number from 0");
}

/* valid, test, seed: the last three arguments. */
static bool parts_at(Making *m, int arg) {
    const Value *args = m->call->args;
    m->valid = args[arg].integer, m->test = args[arg + 1].integer;
    m->set.seed = (uint64_t)args[arg + 2].integer;
    return args[arg + 2].integer >= 0 || refuse(m, arg + 2, "a seed is a whole number from 0");
}

static bool make(Making *m, Value *out) {
    Eval *e = m->e;
    int64_t most = MOST_NUMBERS / m->set.features;
    if (m->points < 1 || m->valid < 0 || m->test < 0 || m->points > most || m->valid > most || m->test > most ||
        m->points + m->valid + m->test > most) {
        diag_add(e->diags, D_E0414, m->call->span, "%s takes from 1 to %lld points", m->name, (long long)most);
        return eval_fail(out);
    }
    int64_t total = m->points + m->valid + m->test;
    DataObject *data = arena_new_of(e->arena, DataObject);
    *data = (DataObject){.object = {&data_class}, .name = m->name, .size = total, .known = e->mode != EVAL_CHECK};
    data->x = (Column){DT_F64, shape_of(1, (int64_t)m->set.features), NULL, 0};
    data->y = (Column){DT_I32, SHAPE0, NULL, m->set.classes};
    if (data->known) {
        double *x = arena_array(e->arena, double, total * m->set.features);
        int32_t *y = arena_array(e->arena, int32_t, total + 16);
        synthetic_fill(&m->set, m->name, total, x, y);
        data->x.rows = x, data->y.rows = y;
        data_finish(data);
    }
    data_split(e->arena, data, m->valid, m->test);
    *out = value_object(&data->object);
    return true;
}

static Making making(Eval *e, const BuiltinCall *call, const char *name, SyntheticKind kind) {
    return (Making){.e = e, .call = call, .name = name, .points = call->args[0].integer,
                    .set = {.kind = kind, .features = 2, .classes = 2}};
}

static bool builtin_two_spirals(Eval *e, const BuiltinCall *call, Value *out) {
    Making m = making(e, call, "two_spirals", SYNTHETIC_SPIRALS);
    return (real_at(&m, 1, &m.set.turns) && real_at(&m, 2, &m.set.noise) && parts_at(&m, 3) && make(&m, out)) ||
           eval_fail(out);
}

static bool builtin_moons(Eval *e, const BuiltinCall *call, Value *out) {
    Making m = making(e, call, "moons", SYNTHETIC_MOONS);
    return (real_at(&m, 1, &m.set.noise) && parts_at(&m, 2) && make(&m, out)) || eval_fail(out);
}

static bool builtin_circles(Eval *e, const BuiltinCall *call, Value *out) {
    Making m = making(e, call, "circles", SYNTHETIC_CIRCLES);
    return (real_at(&m, 1, &m.set.factor) && real_at(&m, 2, &m.set.noise) && parts_at(&m, 3) && make(&m, out)) ||
           eval_fail(out);
}

static bool builtin_blobs(Eval *e, const BuiltinCall *call, Value *out) {
    Making m = making(e, call, "blobs", SYNTHETIC_BLOBS);
    int64_t classes = call->args[1].integer, features = call->args[2].integer;
    if (classes < 2 || classes > MOST_FEATURES)
        return refuse(&m, 1, "blobs has from 2 to 4096 classes") || eval_fail(out);
    if (features < 1 || features > MOST_FEATURES)
        return refuse(&m, 2, "blobs has from 1 to 4096 features") || eval_fail(out);
    m.set.classes = (int)classes, m.set.features = (int)features;
    return (real_at(&m, 3, &m.set.noise) && parts_at(&m, 4) && make(&m, out)) || eval_fail(out);
}

/* points: none is every pattern once, from which valid and test are taken. */
static bool builtin_parity(Eval *e, const BuiltinCall *call, Value *out) {
    Making m = making(e, call, "parity", SYNTHETIC_PARITY);
    int64_t bits = call->args[0].integer;
    const Value *points = &call->args[1];
    m.set.all = points->kind == V_NONE;
    if (bits < 1 || bits > (m.set.all ? MOST_BITS : MOST_FEATURES))
        return refuse(&m, 0, "parity has from 1 to 4096 bits, to 24 without points:") || eval_fail(out);
    m.set.features = (int)bits;
    if (!parts_at(&m, 2)) return eval_fail(out);
    int64_t all = m.set.all ? INT64_C(1) << bits : 0;
    if (m.set.all && (m.valid < 0 || m.test < 0 || m.valid > all || m.test > all))
        return refuse(&m, 0, "there are fewer patterns") || eval_fail(out);
    m.points = m.set.all ? all - m.valid - m.test : points->integer;
    return make(&m, out);
}

static bool builtin_noisy_xor(Eval *e, const BuiltinCall *call, Value *out) {
    Making m = making(e, call, "noisy_xor", SYNTHETIC_XOR);
    return (real_at(&m, 1, &m.set.noise) && parts_at(&m, 2) && make(&m, out)) || eval_fail(out);
}

const BuiltinRow builtins_synthetic[] = {{"two_spirals", builtin_two_spirals},
                                         {"moons", builtin_moons},
                                         {"circles", builtin_circles},
                                         {"blobs", builtin_blobs},
                                         {"parity", builtin_parity},
                                         {"noisy_xor", builtin_noisy_xor},
                                         {NULL, NULL}};
