/* artifact_c.c -- an artifact as one .c and one .h, C99: no heap, no libm, of libc memcpy alone.
 *
 * The .c holds, in this order: what compilers must be told about floating point, helpers, weights, the kernels of each
 * role, the functions of the header, and the self-test. */
#include "emit/artifact.h"

#include <ctype.h>

typedef struct Text { const Artifact *a; Arena *arena; Buf *out; ArtifactRole role; const char *upper; } Text;

static const char *const role_names[ROLES] = {"predict", "loss", "train_step"};
static const char *const role_prefix[ROLES] = {"predict", "loss", "train"};

int64_t artifact_work_elements(const Artifact *a, KScalar element) {
    int64_t most = 0;
    for (int r = 0; r < ROLES; r++)
        if (a->fn[r].device && a->fn[r].device->work[element] > most) most = a->fn[r].device->work[element];
    return most;
}

/* Of the struct: falling alignments, so that only its end is padded; never empty. */
int64_t artifact_work_bytes(const Artifact *a) {
    int64_t bytes = 0, align = 1;
    for (KScalar s = KS_BOOL; s <= KS_F64; s++) {
        int64_t n = artifact_work_elements(a, s);
        bytes += n * kscalar_bytes(s);
        if (n && kscalar_bytes(s) > align) align = kscalar_bytes(s);
    }
    return bytes ? (bytes + align - 1) / align * align : 1;
}

static int64_t field_bytes(const ArtifactField *f) { return shape_size(&f->shape) * kscalar_bytes(f->element); }

static int data_find(const Artifact *a, const ArtifactData *data) {
    int k = 0;
    while (k < a->datas && (a->data[k].element != data->element || a->data[k].size != data->size ||
                            memcmp(a->data[k].bytes, data->bytes, (size_t)data->size)))
        k++;
    return k;
}

void artifact_share_data(Arena *arena, Artifact *a) {
    int most = 0;
    for (int r = 0; r < ROLES; r++) most += a->fn[r].device ? a->fn[r].device->module->data.len : 0;
    a->data = arena_array(arena, ArtifactData, most + 1);
    for (int r = 0; r < ROLES; r++) {
        const Device *d = a->fn[r].device;
        if (!d) continue;
        a->fn[r].data = arena_array(arena, int, d->module->data.len + 1);
        for (int k = 0; k < d->module->data.len; k++) {
            ArtifactData data = {d->module->data.at[k].bytes, (int64_t)d->module->data.at[k].size, d->data_element[k]};
            int found = a->fn[r].data[k] = data_find(a, &data);
            if (found == a->datas) a->data[a->datas++] = data;
        }
    }
}

int64_t artifact_constant_bytes(const Artifact *a) {
    int64_t bytes = 0;
    for (int k = 0; k < a->fields; k++) bytes += a->separate ? 0 : field_bytes(&a->field[k]);
    for (int k = 0; k < a->datas; k++) bytes += a->data[k].element == KS_VOID ? 0 : a->data[k].size;
    for (int r = 0; r < ROLES; r++) {
        const Device *d = a->fn[r].device;
        for (int k = 0; d && k < d->spots; k++) {
            if (d->spot[k].kind == SPOT_SETTINGS) bytes += 8 * a->fn[r].setting_count;
            if (d->spot[k].kind == SPOT_KEYS) bytes += 8 * a->fn[r].key_count;
        }
    }
    return bytes;
}

/* ---- the header ---- */

static void upper_case(const char *text, char out[128]) {
    int n = 0;
    for (; text[n] && n < 127; n++) out[n] = (char)toupper((unsigned char)text[n]);
    out[n] = 0;
}

static bool has_state(const Artifact *a) { return a->state_bytes > 0; }
static bool has_loss(const Artifact *a) { return a->fn[ROLE_LOSS].device || a->fn[ROLE_TRAIN].device; }

static void report(const Artifact *a, Buf *out) {
    const ArtifactMeasure *m = &a->measure;
    buf_printf(out, " *\n *   constants   %lld bytes (without the self-test's)\n",
               (long long)artifact_constant_bytes(a));
    if (has_state(a)) buf_printf(out, " *   state       %lld bytes\n", (long long)a->state_bytes);
    buf_printf(out, " *   workspace   %lld bytes\n", (long long)artifact_work_bytes(a));
    for (int r = 0; r < ROLES; r++)
        if (a->fn[r].device)
            buf_printf(out, " *   %-11s %lld multiplications, those of multiply-adds among them\n", role_names[r],
                       (long long)a->fn[r].device->multiplies);
    if (m->compiler)
        buf_printf(out, " *   code        %lld bytes, stack %lld bytes, as %s -Os makes it\n", (long long)m->code,
                   (long long)m->stack, m->compiler);
}

static void struct_field(Buf *out, KScalar element, const char *name, int64_t n, const char *comment) {
    buf_printf(out, "    %s %s[%lld];%s%s%s\n", c_element(element), name, (long long)n, comment ? "  /* " : "",
               comment ? comment : "", comment ? " */" : "");
}

static void state_struct(const Artifact *a, Buf *out) {
    buf_printf(out, "/* What learning changes%s. */\ntypedef struct %s_state {\n",
               a->separate ? ", and all other weights: the bytes of the file of weights" : "", a->prefix);
    if (a->fn[ROLE_TRAIN].device) buf_text(out, "    int64_t step;  /* steps taken */\n");
    for (int width = 8; width > 0; width /= 2)
        for (int k = 0; k < a->fields; k++) {
            const ArtifactField *f = &a->field[k];
            if (f->in_state && kscalar_bytes(f->element) == width)
                struct_field(out, f->element, f->name, shape_size(&f->shape), f->path);
        }
    buf_printf(out, "} %s_state;\n\n", a->prefix);
}

static const char *work_member(KScalar s) {
    return s == KS_BOOL ? "b8" : s == KS_I32 ? "i32" : s == KS_I64 ? "i64" : s == KS_F32 ? "f32" : "f64";
}

static void work_struct(const Artifact *a, Buf *out) {
    bool any = false;
    buf_printf(out, "/* Memory for one call at a time; holds nothing between calls. */\ntypedef struct %s_work {\n",
               a->prefix);
    static const KScalar order[] = {KS_F64, KS_I64, KS_F32, KS_I32, KS_BOOL};
    for (int k = 0; k < COUNT(order); k++) {
        int64_t n = artifact_work_elements(a, order[k]);
        if (n) struct_field(out, order[k], work_member(order[k]), n, NULL);
        any |= n > 0;
    }
    if (!any) buf_text(out, "    unsigned char none[1];\n");
    buf_printf(out, "} %s_work;\n\n", a->prefix);
}

static void target_parameter(const Artifact *a, Buf *out) {
    if (a->target_class) buf_text(out, "int32_t target");
    else buf_printf(out, "const %s target[%lld]", c_element(a->output_element), (long long)a->targets);
}

/* without a final semicolon */
static void prototype(const Artifact *a, ArtifactRole role, Buf *out) {
    const char *gives = role == ROLE_PREDICT ? a->gives_class ? "int32_t" : "void" : c_element(a->output_element);
    buf_printf(out, "%s %s_%s(", gives, a->prefix, role_names[role]);
    if (has_state(a)) buf_printf(out, "%s%s_state *state, ", role == ROLE_TRAIN ? "" : "const ", a->prefix);
    buf_printf(out, "%s_work *work, const %s x[%lld]", a->prefix, c_element(a->input_element), (long long)a->inputs);
    if (role == ROLE_PREDICT && a->gives_values)
        buf_printf(out, ", %s y[%lld]", c_element(a->output_element), (long long)a->outputs);
    if (role != ROLE_PREDICT) {
        buf_text(out, ", ");
        target_parameter(a, out);
    }
    buf_text(out, ")");
}

static bool starts(const Artifact *a) { return has_state(a) && !a->separate; }

static void prototypes(const Artifact *a, Buf *out) {
    if (starts(a))
        buf_printf(out, "/* The state that the artifact was made with. */\nvoid %s_start(%s_state *state);\n\n",
                   a->prefix, a->prefix);
    buf_printf(out, "/* %s%s%s of one example. */\n", a->gives_values ? "The outputs" : "",
               a->gives_values && a->gives_class ? ", and the number of the class," : "",
               a->gives_class && !a->gives_values ? "The number of the class" : "");
    prototype(a, ROLE_PREDICT, out);
    buf_text(out, ";\n\n");
    if (a->fn[ROLE_LOSS].device) {
        buf_text(out, "/* The loss of one example. */\n");
        prototype(a, ROLE_LOSS, out);
        buf_text(out, ";\n\n");
    }
    if (a->fn[ROLE_TRAIN].device) {
        buf_text(out, "/* One step of learning from one example; gives the loss before it. */\n");
        prototype(a, ROLE_TRAIN, out);
        buf_text(out, ";\n\n");
    }
    buf_text(out, "/* 0, or the number of the first check that failed: 1 to 4 the arithmetic of this build (1: "
                  "products and sums\n"
                  "   were contracted), from 10 on the vectors.");
    if (starts(a)) buf_text(out, "  Leaves the state as start does.");
    buf_text(out, " */\n");
    buf_printf(out, "int %s_selftest(%s%s%s%s_work *work);\n", a->prefix, has_state(a) ? a->prefix : "",
               has_state(a) ? "_state *state, " : "", "", a->prefix);
}

void artifact_header(const Artifact *a, Buf *out) {
    char upper[128];
    upper_case(a->prefix, upper);
    buf_printf(out, "/* %s.h -- %s\n", a->prefix, a->origin);
    for (int k = 0; k < a->note_count; k++) buf_printf(out, "%s%s\n", k ? " * " : " *\n * ", a->notes[k]);
    report(a, out);
    buf_printf(
        out, " */\n#ifndef %s_H\n#define %s_H\n\n#include <stdint.h>\n\n#ifdef __cplusplus\nextern \"C\" {\n#endif\n\n",
        upper, upper);
    buf_printf(out, "#define %s_INPUTS %lld\n", upper, (long long)a->inputs);
    if (a->gives_values) buf_printf(out, "#define %s_OUTPUTS %lld\n", upper, (long long)a->outputs);
    if (a->gives_class) buf_printf(out, "#define %s_CLASSES %lld\n", upper, (long long)a->classes);
    buf_text(out, "\n");
    if (has_state(a)) state_struct(a, out);
    work_struct(a, out);
    prototypes(a, out);
    buf_text(out, "\n#ifdef __cplusplus\n}\n#endif\n#endif\n");
}

/* ---- constants ---- */

static void numbers(Buf *out, KScalar element, const void *data, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        size_t before = out->len;
        buf_text(out, i % 8 ? " " : "\n    ");
        bool ok = true;
        switch (element) {
        case KS_F32: ok = c_real(out, ((const float *)data)[i], true); break;
        case KS_F64: ok = c_real(out, ((const double *)data)[i], false); break;
        case KS_I32:
            buf_printf(out, "%s%lld", ((const int32_t *)data)[i] == INT32_MIN ? "-2147483647 - " : "",
                       ((const int32_t *)data)[i] == INT32_MIN ? 1LL : (long long)((const int32_t *)data)[i]);
            break;
        case KS_I64: buf_printf(out, "(int64_t)UINT64_C(%llu)", (unsigned long long)((const uint64_t *)data)[i]); break;
        case KS_BOOL: buf_printf(out, "%d", ((const unsigned char *)data)[i] != 0); break;
        case KS_VOID: case KS_PTR: break;
        }
        if (!ok) {
            double x = element == KS_F32 ? (double)((const float *)data)[i] : ((const double *)data)[i];
            out->len = before;
            buf_printf(out, "%s%s", i % 8 ? " " : "\n    ",
                       x > 0   ? "NIN_INFINITY"
                       : x < 0 ? "-NIN_INFINITY"
                               : "NIN_NAN");
        }
        buf_text(out, i + 1 < n ? "," : "");
    }
}

static void constant(Buf *out, KScalar element, const char *name, const char *comment, const void *data, int64_t n) {
    if (comment) buf_printf(out, "/* %s */\n", comment);
    buf_printf(out, "static const %s %s[%lld] = {", c_element(element), name, (long long)n);
    numbers(out, element, data, n);
    buf_text(out, "\n};\n\n");
}

static void weights(const Artifact *a, Arena *arena, Buf *out) {
    for (int k = 0; k < a->fields && !a->separate; k++) {
        const ArtifactField *f = &a->field[k];
        Buf shape = {0};
        shape_print(&f->shape, &shape);
        const char *comment = arena_printf(arena, "%s %.*s%s", f->path, (int)shape.len, shape.at,
                                           f->in_state ? " at the start" : "");
        buf_free(&shape);
        constant(out, f->element, f->in_state ? arena_printf(arena, "start_%s", f->name) : f->name, comment, f->value,
                 shape_size(&f->shape));
    }
}

static void data_constants(const Artifact *a, Arena *arena, Buf *out) {
    for (int k = 0; k < a->datas; k++)
        if (a->data[k].element != KS_VOID)
            constant(out, a->data[k].element, arena_printf(arena, "nin_data_%d", k), NULL, a->data[k].bytes,
                     a->data[k].size / kscalar_bytes(a->data[k].element));
}

static void role_constants(const Text *t, Buf *out) {
    const ArtifactFn *fn = &t->a->fn[t->role];
    const Device *d = fn->device;
    for (int k = 0; k < d->spots; k++) {
        const Spot *p = &d->spot[k];
        const char *role = role_prefix[t->role];
        if (p->kind == SPOT_SETTINGS)
            constant(out, KS_F64, arena_printf(t->arena, "%s_settings", role), "numbers of loss and optimizer",
                     fn->settings, fn->setting_count);
        if (p->kind == SPOT_KEYS)
            constant(out, p->element, arena_printf(t->arena, "%s_keys", role), "of random numbers", fn->keys,
                     (int64_t)fn->key_count * 8 / kscalar_bytes(p->element));
    }
}

/* ---- kernels and their calls ---- */

static const char *spot_name(void *data, int spot) {
    const Text *t = data;
    const ArtifactFn *fn = &t->a->fn[t->role];
    const Spot *p = &fn->device->spot[spot];
    switch (p->kind) {
    case SPOT_WEIGHT: return t->a->field[fn->field[p->index]].name;
    case SPOT_INPUT: return p->index ? "target" : "x";
    case SPOT_RESULT: return t->role != ROLE_PREDICT ? "loss" : p->index == 0 && t->a->gives_values ? "y" : "best";
    case SPOT_SERIES: return "loss";
    case SPOT_WORK: return arena_printf(t->arena, "h%d", spot + 1);
    case SPOT_STEP: return "step";
    case SPOT_SETTINGS: return "settings";
    case SPOT_KEYS: return "keys";
    }
    return "p";
}

static const char *identifier(Arena *arena, const char *text, size_t n) {
    char *out = arena_copy(arena, text, n);
    int end = 0;
    for (size_t i = 0; i < n; i++)
        if (isalnum((unsigned char)text[i])) out[end++] = text[i];
        else if (end && out[end - 1] != '_') out[end++] = '_';
    while (end && out[end - 1] == '_') end--;
    out[end] = 0;
    return out;
}

/* "dense_1" of the first weight's path, or what is done. */
static const char *call_label(void *data, int number) {
    const Text *t = data;
    const ArtifactFn *fn = &t->a->fn[t->role];
    const DeviceCall *call = &fn->device->call[number];
    const char *what = strncmp(call->what, "rows", 4) == 0 ? "rows"
                                                           : identifier(t->arena, call->what, strlen(call->what));
    bool cell = strncmp(call->what, "map", 3) == 0;
    for (int k = 0; k < call->args; k++) {
        const Spot *p = &fn->device->spot[call->spot[k]];
        if (p->kind != SPOT_WEIGHT) continue;
        const char *path = t->a->field[fn->field[p->index]].path, *dot = cell ? strchr(path, '.') : strrchr(path, '.');
        if (!dot) break;
        const char *layer = identifier(t->arena, path, (size_t)(dot - path));
        return t->role == ROLE_TRAIN ? arena_printf(t->arena, "%s_%s", layer, what) : layer;
    }
    return what;
}

static void call_argument(const Text *t, int spot, Buf *out) {
    const ArtifactFn *fn = &t->a->fn[t->role];
    const Spot *p = &fn->device->spot[spot];
    switch (p->kind) {
    case SPOT_WEIGHT: {
        const ArtifactField *f = &t->a->field[fn->field[p->index]];
        buf_printf(out, "%s%s", f->in_state ? "state->" : "", f->name);
        return;
    }
    case SPOT_INPUT: buf_text(out, p->index == 0 ? "x" : t->a->target_class ? "&target" : "target"); return;
    case SPOT_RESULT:
        buf_text(out, t->role != ROLE_PREDICT ? "&result" : p->index == 0 && t->a->gives_values ? "y" : "&best");
        return;
    case SPOT_SERIES: buf_text(out, "&result"); return;
    case SPOT_WORK:
        if (p->offset) buf_printf(out, "work->%s + %lld", work_member(p->element), (long long)p->offset);
        else buf_printf(out, "work->%s", work_member(p->element));
        return;
    case SPOT_STEP: buf_text(out, "&state->step"); return;
    case SPOT_SETTINGS: buf_printf(out, "%s_settings", role_prefix[t->role]); return;
    case SPOT_KEYS: buf_printf(out, "%s_keys", role_prefix[t->role]); return;
    }
}

static bool uses_work(const Device *d) {
    for (int k = 0; k < d->spots; k++)
        if (d->spot[k].kind == SPOT_WORK) return true;
    return false;
}

static bool uses_state(const Text *t) {
    const ArtifactFn *fn = &t->a->fn[t->role];
    if (t->role == ROLE_TRAIN) return true;
    for (int k = 0; k < fn->device->spots; k++) {
        const Spot *p = &fn->device->spot[k];
        if (p->kind == SPOT_STEP || (p->kind == SPOT_WEIGHT && t->a->field[fn->field[p->index]].in_state)) return true;
    }
    return false;
}

static void entry(const Text *t, const CFunctions *functions, Buf *out) {
    const Artifact *a = t->a;
    const Device *d = a->fn[t->role].device;
    bool series = false;
    for (int k = 0; k < d->spots; k++) series |= d->spot[k].kind == SPOT_SERIES;
    buf_text(out, "\n");
    prototype(a, t->role, out);
    buf_text(out, "\n{\n");
    if (t->role == ROLE_PREDICT && a->gives_class) buf_text(out, "    int32_t best = 0;\n");
    if (t->role != ROLE_PREDICT)
        buf_printf(out, "    %s result = 0;\n", series ? "double" : c_element(a->output_element));
    if (has_state(a) && !uses_state(t)) buf_text(out, "    (void)state;\n");
    if (!uses_work(d)) buf_text(out, "    (void)work;\n");
    for (int c = 0; c < d->calls; c++) {
        buf_printf(out, "    %s(", functions->call_name[c]);
        for (int k = 0; k < d->call[c].args; k++) {
            buf_text(out, k ? ", " : "");
            call_argument(t, d->call[c].spot[k], out);
        }
        buf_text(out, ");\n");
    }
    if (t->role == ROLE_TRAIN) buf_text(out, "    state->step++;\n");
    if (t->role == ROLE_PREDICT && a->gives_class) buf_text(out, "    return best;\n");
    if (t->role != ROLE_PREDICT) buf_printf(out, "    return (%s)result;\n", c_element(a->output_element));
    buf_text(out, "}\n");
}

static void start(const Artifact *a, Buf *out) {
    buf_printf(out, "\nvoid %s_start(%s_state *state)\n{\n", a->prefix, a->prefix);
    if (a->fn[ROLE_TRAIN].device) buf_text(out, "    state->step = 0;\n");
    for (int k = 0; k < a->fields; k++)
        if (a->field[k].in_state)
            buf_printf(out, "    memcpy(state->%s, start_%s, sizeof state->%s);\n", a->field[k].name, a->field[k].name,
                       a->field[k].name);
    buf_text(out, "}\n");
}

/* ---- the self-test ---- */

static const char arithmetic_test[] =
    "/* Of numbers that the compiler does not know. */\n"
    "static float two_roundings(float a, float b, float c)\n{\n    const float p = a * b;\n    const float s = p + c;\n"
    "    return s;\n}\n\n"
    "static int check_arithmetic(void)\n{\n"
    "    volatile float a = 1.000244140625f, c = -1.00048828125f, one = 1.0f, half = 0.5f;\n"
    "    volatile float least = 1.1754943508222875e-38f, tiny = 5.9604644775390625e-08f, "
    "more = 8.940696716308594e-08f;\n"
    "    volatile float r = two_roundings(a, a, c);\n"
    "    if (r > 0.0f || r < 0.0f)\n        return 1;\n"
    "%s"
    "    r = least * half;\n    if (!(r > 0.0f))\n        return 3;\n"
    "    r = one + tiny;\n    if (r > 1.0f)\n        return 4;\n"
    "    r = one + more;\n    if (!(r > 1.0f))\n        return 4;\n"
    "    return 0;\n}\n\n";

static const char test_bits[] =
    "static uint32_t test_bits(float x)\n{\n    uint32_t u;\n    memcpy(&u, &x, sizeof u);\n    return u;\n}\n\n";
static const char test_bits64[] =
    "static uint64_t test_bits64(double x)\n{\n    uint64_t u;\n    memcpy(&u, &x, sizeof u);\n    return u;\n}\n\n";

static void bit_constants(Buf *out, KScalar element, const char *name, const void *data, int64_t n) {
    bool wide = element == KS_F64;
    buf_printf(out, "static const uint%d_t %s[%lld] = {", wide ? 64 : 32, name, (long long)n);
    for (int64_t i = 0; i < n; i++) {
        buf_text(out, i % 8 ? " " : "\n    ");
        if (wide) buf_printf(out, "UINT64_C(0x%016llx)", (unsigned long long)((const uint64_t *)data)[i]);
        else buf_printf(out, "0x%08xu", (unsigned)((const uint32_t *)data)[i]);
        buf_text(out, i + 1 < n ? "," : "");
    }
    buf_text(out, "\n};\n\n");
}

static void test_vectors(const Artifact *a, Buf *out) {
    int64_t n = a->vectors;
    constant(out, a->input_element, "test_x", "examples, and the exact answers", a->vector_x, n * a->inputs);
    if (a->gives_values) bit_constants(out, a->output_element, "test_y", a->vector_y, n * a->outputs);
    if (a->gives_class) constant(out, KS_I32, "test_class", NULL, a->vector_class, n);
    if (has_loss(a) && a->vector_loss) {
        constant(out, a->target_class ? KS_I32 : a->output_element, "test_target", NULL, a->vector_target,
                 n * (a->target_class ? 1 : a->targets));
        bit_constants(out, KS_F32, "test_loss", a->vector_loss, n);
    }
}

static const char *target_text(const Artifact *a) {
    return a->target_class ? "test_target[k]" : "test_target + k * TARGETS";
}

static void selftest(const Text *t, bool fma, Buf *out) {
    const Artifact *a = t->a;
    const char *state = has_state(a) ? "state, " : "",
               *bits = a->output_element == KS_F64 ? "test_bits64" : "test_bits";
    bool learns = a->fn[ROLE_TRAIN].device && a->vector_loss;
    buf_printf(out, "\n#ifndef %s_NO_SELFTEST\n", t->upper);
    test_vectors(a, out);
    if (learns || (a->gives_values && a->output_element == KS_F32)) buf_text(out, test_bits);
    if (a->gives_values && a->output_element == KS_F64) buf_text(out, test_bits64);
    buf_printf(out, arithmetic_test,
               fma ? "    r = nin_fmaf(a, a, c);\n    if (!(r > tiny * half && r < more))\n        return 2;\n" : "");
    buf_printf(out, "int %s_selftest(%s%s%s_work *work)\n{\n", a->prefix, has_state(a) ? a->prefix : "",
               has_state(a) ? "_state *state, " : "", a->prefix);
    if (a->gives_values) buf_printf(out, "    %s y[%s_OUTPUTS];\n", c_element(a->output_element), t->upper);
    buf_text(out, "    int k, bad = check_arithmetic();\n    if (bad != 0)\n        return bad;\n");
    if (starts(a)) buf_printf(out, "    %s_start(state);\n", a->prefix);
    buf_printf(out, "    for (k = 0; k < %d; k++) {\n", a->vectors);
    buf_printf(out, "        %s%s_predict(%swork, test_x + k * %s_INPUTS%s);\n",
               a->gives_class ? "const int32_t best = " : "", a->prefix, state, t->upper, a->gives_values ? ", y" : "");
    if (a->gives_class) buf_text(out, "        if (best != test_class[k])\n            return 10 + k;\n");
    if (a->gives_values)
        buf_printf(out, "        {\n            int i;\n            for (i = 0; i < %s_OUTPUTS; i++)\n"
                        "                if (%s(y[i]) != test_y[k * %s_OUTPUTS + i])\n"
                        "                    return 10 + k;\n        }\n", t->upper, bits, t->upper);
    buf_text(out, "    }\n");
    if (learns) {
        buf_printf(out, "    for (k = 0; k < %d; k++) {\n"
                        "        const float loss = (float)%s_train_step(%swork, test_x + k * %s_INPUTS, ", a->vectors,
                        a->prefix,
                   state, t->upper);
        if (a->target_class) buf_text(out, target_text(a));
        else buf_printf(out, "test_target + k * %lld", (long long)a->targets);
        buf_printf(out, ");\n        if (test_bits(loss) != test_loss[k])\n            return 1000 + k;\n    }\n");
        if (starts(a)) buf_printf(out, "    %s_start(state);\n", a->prefix);
    }
    buf_printf(out, "    return 0;\n}\n\n#ifdef %s_MAIN\nint main(void)\n{\n    static %s_work work;\n", t->upper,
               a->prefix);
    if (has_state(a)) buf_printf(out, "    static %s_state state;\n", a->prefix);
    buf_printf(out, "    return %s_selftest(%s&work);\n}\n#endif\n#endif\n", a->prefix, has_state(a) ? "&state, " : "");
}

/* ---- the whole ---- */

static const char floating_point[] =
    "/* Every operation is rounded by itself: no compiler may fuse a product and a sum, or reorder. */\n"
    "#if defined(__FAST_MATH__)\n#error \"compile this file without -ffast-math\"\n#endif\n"
    "#if defined(__clang__)\n#pragma STDC FP_CONTRACT OFF\n"
    "#elif defined(__GNUC__)\n#pragma GCC optimize (\"-ffp-contract=off\")\n"
    "#else\n#pragma STDC FP_CONTRACT OFF\n#endif\n"
    "#if FLT_EVAL_METHOD != 0\n#error \"compile this file so that float is computed as float (x86: -msse2 "
    "-mfpmath=sse)\"\n#endif\n\n";

void artifact_source(const Artifact *a, const char *header, Buf *out) {
    char upper[128];
    Arena *arena = arena_new();
    Buf kernels = {0}, entries = {0}, constants = {0}, tests = {0};
    uint64_t needs = 0;
    upper_case(a->prefix, upper);
    Text t = {a, arena, out, ROLE_PREDICT, upper};
    for (int r = 0; r < ROLES; r++) {
        if (!a->fn[r].device) continue;
        t.role = (ArtifactRole)r;
        role_constants(&t, &constants);
        CFunctions functions = c_functions(arena, a->fn[r].device, role_prefix[r], a->fn[r].data, spot_name, call_label,
                                           &t, &kernels);
        needs |= functions.needs;
        entry(&t, &functions, &entries);
    }
    selftest(&t, (needs >> HELP_FMAF & 1) != 0, &tests);
    buf_printf(out, "/* %s.c -- %s\n *\n * Test: compile with -D%s_MAIN; "
                    "the program ends with 0.  -D%s_NO_SELFTEST leaves the self-test out. */\n", a->prefix, a->origin,
               upper, upper);
    buf_printf(out, "#include \"%s\"\n\n#include <float.h>\n#include <string.h>\n\n", header);
    buf_text(out, floating_point);
    c_helpers_print(needs, out);
    weights(a, arena, out);
    data_constants(a, arena, out);
    buf_put(out, constants.at, constants.len);
    buf_put(out, kernels.at, kernels.len);
    if (starts(a)) start(a, out);
    buf_put(out, entries.at, entries.len);
    buf_put(out, tests.at, tests.len);
    buf_free(&kernels);
    buf_free(&entries);
    buf_free(&constants);
    buf_free(&tests);
    arena_free(arena);
}
