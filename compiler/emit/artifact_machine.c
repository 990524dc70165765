/* artifact_machine.c -- an artifact's functions as calls of its kernels, for machine code.
 *
 * Parameters stand as in the header: state (if there is one), work, x, and y or the target.  The self-test calls them
 * on the vectors and compares words; a small kernel does that, `lo` being the number to give back. */
#include "emit/artifact.h"
#include "emit/machine.h"

typedef struct Maker {
    Arena *arena;
    const Artifact *a;
    MachineCode *code;
    VEC(KData) constant;
    VEC(MachineFn) fn;
    int first_func[ROLES], fn_of[ROLES], compare;
    int *field_constant, start;
} Maker;

static bool has_state(const Maker *m) { return m->a->state_bytes > 0; }
static int work_param(const Maker *m) { return has_state(m); }
static int x_param(const Maker *m) { return has_state(m) + 1; }

static int add_constant(Maker *m, const void *bytes, int64_t size) {
    vec_push(m->arena, &m->constant, ((KData){bytes, (size_t)size}));
    return m->constant.len - 1;
}

static MachinePointer pointer(MachineBase base, int index, int64_t offset) {
    return (MachinePointer){base, index, offset};
}

/* ---- kernels of all roles in one module ---- */

static void merge(Maker *m, ArtifactRole role) {
    const Device *d = m->a->fn[role].device;
    KModule *to = m->code->module;
    m->first_func[role] = to->func.len;
    for (int k = 0; k < d->module->func.len; k++) {
        const KFunc *from = d->module->func.at[k];
        KFunc *f = kfunc_new(to, from->name);
        for (int i = 1; i < from->code.len; i++) {
            KInst inst = from->code.at[i];
            if (inst.op == K_DATA) inst.imm = m->a->fn[role].data[inst.imm];
            vec_push(to->arena, &f->code, inst);
        }
    }
}

/* status = lo where words of a and b differ and status is 0; hi words.  Table: a, b, status. */
static void make_compare(Maker *m) {
    KModule *to = m->code->module;
    KFunc *f = kfunc_new(to, "compare");
    m->compare = to->func.len - 1;
    KVal a = k_arg(to, f, 0), b = k_arg(to, f, 1), status = k_arg(to, f, 2), zero = k_int(to, f, KS_I64, 0);
    KVal number = k_cast(to, f, KT(I32), k_lo(to, f)), none = k_int(to, f, KS_I32, 0),
         start = k_load(to, f, KT(I32), status, zero);
    KVal i = k_for(to, f, zero, k_hi(to, f), 1);
    KVal carried = k_carry(to, f, start);
    KVal differs = k_2(to, f, K_NE, k_load(to, f, KT(I32), a, i), k_load(to, f, KT(I32), b, i));
    KVal first = k_2(to, f, K_AND, differs, k_2(to, f, K_EQ, carried, none));
    k_next(to, f, k_3(to, f, K_SELECT, first, number, carried));
    k_end(to, f);
    k_store(to, f, status, zero, k_result(to, f, 0, KT(I32)));
}

/* ---- the functions of the header ---- */

/* Where a member of the workspace begins: double, int64, float, int32, bool. */
static int64_t work_offset(const Artifact *a, KScalar element) {
    static const KScalar order[] = {KS_F64, KS_I64, KS_F32, KS_I32, KS_BOOL};
    int64_t at = 0;
    for (int k = 0; k < COUNT(order) && order[k] != element; k++)
        at += artifact_work_elements(a, order[k]) * kscalar_bytes(order[k]);
    return at;
}

/* Locals: 0 the target by value, 1 what is given back. */
static MachinePointer spot_pointer(Maker *m, ArtifactRole role, const Spot *p) {
    const ArtifactFn *fn = &m->a->fn[role];
    switch (p->kind) {
    case SPOT_WEIGHT: {
        int k = fn->field[p->index];
        const ArtifactField *f = &m->a->field[k];
        return f->in_state ? pointer(BASE_PARAM, 0, f->offset) : pointer(BASE_CONSTANT, m->field_constant[k], 0);
    }
    case SPOT_INPUT:
        if (p->index == 0) return pointer(BASE_PARAM, x_param(m), 0);
        return m->a->target_class ? pointer(BASE_LOCAL, 0, 0) : pointer(BASE_PARAM, x_param(m) + 1, 0);
    case SPOT_RESULT:
        if (role == ROLE_PREDICT && p->index == 0 && m->a->gives_values) return pointer(BASE_PARAM, x_param(m) + 1, 0);
        return pointer(BASE_LOCAL, 1, 0);
    case SPOT_SERIES: return pointer(BASE_LOCAL, 1, 0);
    case SPOT_WORK:
        return pointer(BASE_PARAM, work_param(m),
                       work_offset(m->a, p->element) + p->offset * kscalar_bytes(p->element));
    case SPOT_STEP: return pointer(BASE_PARAM, 0, 0);
    case SPOT_SETTINGS: return pointer(BASE_CONSTANT, add_constant(m, fn->settings, 8 * fn->setting_count), 0);
    case SPOT_KEYS: return pointer(BASE_CONSTANT, add_constant(m, fn->keys, 8 * fn->key_count), 0);
    }
    return pointer(BASE_LOCAL, 0, 0);
}

static void role_function(Maker *m, ArtifactRole role) {
    static const char *const names[ROLES] = {"predict", "loss", "train_step"};
    const Artifact *a = m->a;
    const Device *d = a->fn[role].device;
    bool series = false;
    MachineFn fn = {.name = arena_printf(m->arena, "%s_%s", a->prefix, names[role]),
                    .params = x_param(m) + 1,
                    .locals = 2,
                    .local = {8, 8},
                    .result = -1};
    for (int k = 0; k < d->spots; k++) series |= d->spot[k].kind == SPOT_SERIES;
    fn.call = arena_array(m->arena, MachineCall, d->calls + 1);
    for (int c = 0; c < d->calls; c++) {
        MachineCall *call = &fn.call[fn.calls++];
        *call = (MachineCall){.kind = CALL_KERNEL, .func = m->first_func[role] + d->call[c].func,
                              .args = d->call[c].args, .hi = 1, .result = -1};
        call->arg = arena_array(m->arena, MachinePointer, call->args + 1);
        for (int k = 0; k < call->args; k++) call->arg[k] = spot_pointer(m, role, &d->spot[d->call[c].spot[k]]);
    }
    if (role == ROLE_PREDICT) {
        fn.params += a->gives_values;
        fn.result = a->gives_class ? 1 : -1;
        fn.kept = fn.given = KS_I32;
    } else {
        fn.by_value = a->target_class;
        fn.params += !a->target_class;
        fn.result = 1;
        fn.given = a->output_element;
        fn.kept = series ? KS_F64 : a->output_element;
        fn.counts = role == ROLE_TRAIN;
    }
    m->fn_of[role] = m->fn.len;
    vec_push(m->arena, &m->fn, fn);
}

static MachineCall copy_start(Maker *m) {
    MachineCall call = {.kind = CALL_COPY, .lo = m->a->state_bytes, .args = 2, .result = -1};
    call.arg = arena_array(m->arena, MachinePointer, 2);
    call.arg[0] = pointer(BASE_PARAM, 0, 0);
    call.arg[1] = pointer(BASE_CONSTANT, m->start, 0);
    return call;
}

static void start_function(Maker *m) {
    const Artifact *a = m->a;
    char *bytes = arena_alloc(m->arena, (size_t)a->state_bytes + 1);
    for (int k = 0; k < a->fields; k++)
        if (a->field[k].in_state)
            memcpy(bytes + a->field[k].offset, a->field[k].value,
                   (size_t)(shape_size(&a->field[k].shape) * kscalar_bytes(a->field[k].element)));
    m->start = add_constant(m, bytes, a->state_bytes);
    MachineFn fn = {.name = arena_printf(m->arena, "%s_start", a->prefix), .params = 1, .calls = 1, .result = -1};
    fn.call = arena_array(m->arena, MachineCall, 1);
    fn.call[0] = copy_start(m);
    vec_push(m->arena, &m->fn, fn);
}

/* ---- the self-test ---- */

typedef struct Test { MachineFn *fn; int x, y, best, target, loss; } Test;

static void compare_words(Maker *m, MachineFn *fn, MachinePointer got, MachinePointer want, int64_t words, int number) {
    MachineCall call = {.kind = CALL_KERNEL, .func = m->compare, .args = 3, .lo = number, .hi = words, .result = -1};
    call.arg = arena_array(m->arena, MachinePointer, 3);
    call.arg[0] = got;
    call.arg[1] = want;
    call.arg[2] = pointer(BASE_LOCAL, 0, 0);
    fn->call[fn->calls++] = call;
}

/* Locals: 0 the status, 1 outputs, 2 what an entry gives. */
static void test_vector(Maker *m, Test *t, int k) {
    const Artifact *a = m->a;
    int64_t x = k * a->inputs * kscalar_bytes(a->input_element), y = k * a->outputs * kscalar_bytes(a->output_element);
    MachineCall call = {.kind = CALL_ENTRY, .func = m->fn_of[ROLE_PREDICT], .result = a->gives_class ? 2 : -1};
    call.arg = arena_array(m->arena, MachinePointer, 4);
    if (has_state(m)) call.arg[call.args++] = pointer(BASE_PARAM, 0, 0);
    call.arg[call.args++] = pointer(BASE_PARAM, work_param(m), 0);
    call.arg[call.args++] = pointer(BASE_CONSTANT, t->x, x);
    if (a->gives_values) call.arg[call.args++] = pointer(BASE_LOCAL, 1, 0);
    t->fn->call[t->fn->calls++] = call;
    if (a->gives_class)
        compare_words(m, t->fn, pointer(BASE_LOCAL, 2, 0), pointer(BASE_CONSTANT, t->best, 4 * k), 1, 10 + k);
    if (a->gives_values)
        compare_words(m, t->fn, pointer(BASE_LOCAL, 1, 0), pointer(BASE_CONSTANT, t->y, y),
                      a->outputs * kscalar_bytes(a->output_element) / 4, 10 + k);
}

static void test_step(Maker *m, Test *t, int k) {
    const Artifact *a = m->a;
    MachineCall call = {.kind = CALL_ENTRY, .func = m->fn_of[ROLE_TRAIN], .args = 4, .result = 2};
    call.arg = arena_array(m->arena, MachinePointer, 4);
    call.arg[0] = pointer(BASE_PARAM, 0, 0);
    call.arg[1] = pointer(BASE_PARAM, work_param(m), 0);
    call.arg[2] = pointer(BASE_CONSTANT, t->x, k * a->inputs * kscalar_bytes(a->input_element));
    call.arg[3] = pointer(BASE_CONSTANT, t->target,
                          k * (a->target_class ? 4 : a->targets * kscalar_bytes(a->output_element)));
    t->fn->call[t->fn->calls++] = call;
    compare_words(m, t->fn, pointer(BASE_LOCAL, 2, 0), pointer(BASE_CONSTANT, t->loss, 4 * k), 1, 1000 + k);
}

static void test_function(Maker *m) {
    const Artifact *a = m->a;
    bool learns = a->fn[ROLE_TRAIN].device && a->vector_loss && a->output_element == KS_F32,
         starts = has_state(m) && !a->separate;
    int64_t n = a->vectors, outputs = a->outputs * kscalar_bytes(a->output_element);
    MachineFn fn = {.name = arena_printf(m->arena, "%s_selftest", a->prefix), .params = has_state(m) + 1, .locals = 3,
                    .local = {8, outputs > 8 ? outputs : 8, 8}, .result = 0, .kept = KS_I32, .given = KS_I32};
    Test t = {.fn = &fn, .x = add_constant(m, a->vector_x, n * a->inputs * kscalar_bytes(a->input_element))};
    fn.call = arena_array(m->arena, MachineCall, 6 * n + 4);
    if (a->gives_values) t.y = add_constant(m, a->vector_y, n * outputs);
    if (a->gives_class) t.best = add_constant(m, a->vector_class, 4 * n);
    if (starts) fn.call[fn.calls++] = copy_start(m);
    for (int k = 0; k < n; k++) test_vector(m, &t, k);
    if (learns) {
        t.target = add_constant(m, a->vector_target,
                                n * (a->target_class ? 4 : a->targets * kscalar_bytes(a->output_element)));
        t.loss = add_constant(m, a->vector_loss, 4 * n);
        for (int k = 0; k < n; k++) test_step(m, &t, k);
        if (starts) fn.call[fn.calls++] = copy_start(m);
    }
    vec_push(m->arena, &m->fn, fn);
}

MachineCode *artifact_machine(Arena *arena, const Artifact *a) {
    MachineCode *code = arena_new_of(arena, MachineCode);
    Maker m = {.arena = arena, .a = a, .code = code};
    code->module = kmodule_new(arena);
    m.field_constant = arena_array(arena, int, a->fields + 1);
    for (int k = 0; k < a->fields; k++)
        if (!a->field[k].in_state)
            m.field_constant[k] = add_constant(&m, a->field[k].value,
                                               shape_size(&a->field[k].shape) * kscalar_bytes(a->field[k].element));
    for (int k = 0; k < a->datas; k++)
        vec_push(arena, &code->module->data, ((KData){a->data[k].bytes, (size_t)a->data[k].size}));
    for (int r = 0; r < ROLES; r++)
        if (a->fn[r].device) merge(&m, (ArtifactRole)r);
    make_compare(&m);
    for (int r = 0; r < ROLES; r++)
        if (a->fn[r].device) role_function(&m, (ArtifactRole)r);
    if (has_state(&m) && !a->separate) start_function(&m);
    test_function(&m);
    code->constant = m.constant.at;
    code->constants = m.constant.len;
    code->fn = m.fn.at;
    code->fns = m.fn.len;
    return code;
}
