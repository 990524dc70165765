/* cli_verify.c -- nin verify: one model, built in every way, on the same inputs; its answers equal to the bit.
 *
 * Each way is a program of its own: the emitted text (or object file) with a main that reads inputs and writes answers
 * as they lie in memory.  The JIT's are what they are compared with.  NaN equals NaN whatever its bits. */
#include <stdlib.h>

#include "driver/build.h"
#include "report/table.h"
#include "support/file.h"

enum { EXAMPLES = 10000, EXAMPLES_SOFT = 100, TRAIN_STEPS = 1000 };

typedef struct Way {
    const char *name; const char *compiler, *options; int64_t examples; const char *outcome; bool ok;
} Way;

typedef struct Verify {
    Building b;
    Cli *cli;
    const char *folder;
    int64_t examples, steps;               /* inputs at hand */
    char *x, *target;
    char *y; int32_t *best;                /* the JIT's */
    double *loss; char *state;             /* after `steps` steps */
    VEC(Way) ways;
} Verify;

static const char *at(const Verify *v, const char *name) { return path_join(v->cli->arena, v->folder, name); }
static size_t x_bytes(const Artifact *a) { return (size_t)a->inputs * (size_t)kscalar_bytes(a->input_element); }
static size_t y_bytes(const Artifact *a)
{
    return a->gives_values ? (size_t)a->outputs * (size_t)kscalar_bytes(a->output_element) : 0;
}
static size_t target_bytes(const Artifact *a)
{
    return a->target_class ? 4 : (size_t)a->targets * (size_t)kscalar_bytes(a->output_element);
}
static bool learns(const Artifact *a) { return a->fn[ROLE_TRAIN].device != NULL; }

/* ---- the program around each way ---- */

static void harness(const Artifact *a, Buf *out)
{
    const char *p = a->prefix, *state = a->state_bytes ? "&state, " : "", *real = c_element(a->output_element);
    buf_printf(out,
               "#include \"artifact.h\"\n#include <stdio.h>\n#include <stdlib.h>\n\n"
               "int main(int argc, char **argv)\n{\n    static %s_work work;\n    static %s x[%lld];\n",
               p, c_element(a->input_element), (long long)a->inputs);
    if (a->state_bytes)
        buf_printf(out, "    static %s_state state;\n", p);
    if (a->gives_values)
        buf_printf(out, "    static %s y[%lld];\n", real, (long long)a->outputs);
    buf_text(out, "    const long n = argc > 1 ? strtol(argv[1], NULL, 10) : 0, "
                  "steps = argc > 2 ? strtol(argv[2], NULL, 10) : 0;\n    long k;\n");
    if (a->separate)
        buf_printf(out, "    FILE *weights = fopen(argv[3], \"rb\");\n"
                        "    if (weights == NULL || fread(&state, sizeof state, 1, weights) != 1)\n        return 2;\n"
                        "    fclose(weights);\n");
    else if (a->state_bytes)
        buf_printf(out, "    %s_start(&state);\n", p);
    buf_printf(out, "    for (k = 0; k < n; k++) {\n        if (fread(x, sizeof x, 1, stdin) != 1)\n"
                    "            return 3;\n        ");
    buf_printf(out, "%s%s_predict(%s&work, x%s);\n", a->gives_class ? "const int32_t best = " : "", p, state,
               a->gives_values ? ", y" : "");
    if (a->gives_values)
        buf_text(out, "        fwrite(y, sizeof y, 1, stdout);\n");
    if (a->gives_class)
        buf_text(out, "        fwrite(&best, sizeof best, 1, stdout);\n");
    buf_text(out, "    }\n");
    if (learns(a)) {
        buf_printf(out, "    for (k = 0; k < steps; k++) {\n        static %s target[%lld];\n        double loss;\n"
                        "        if (fread(x, sizeof x, 1, stdin) != 1 || fread(target, sizeof target, 1, stdin) "
                        "!= 1)\n            return 3;\n"
                        "        loss = (double)%s_train_step(%s&work, x, %s);\n"
                        "        fwrite(&loss, sizeof loss, 1, stdout);\n    }\n"
                        "    fwrite(&state, sizeof state, 1, stdout);\n",
                   a->target_class ? "int32_t" : real, (long long)(a->target_class ? 1 : a->targets), p, state,
                   a->target_class ? "target[0]" : "target");
    }
    buf_printf(out, "    (void)steps;\n    return %s_selftest(%s&work) == 0 ? 0 : 1;\n}\n", p, state);
}

static bool write_text(Verify *v, const char *name, Buf *text)
{
    bool ok = build_write(v->cli, at(v, name), text);
    buf_free(text);
    return ok;
}

/* First all inputs, then input and target of each step. */
static bool write_inputs(Verify *v, const char *name, int64_t n)
{
    const Artifact *a = &v->b.artifact;
    Buf bytes = {0};
    buf_put(&bytes, v->x, (size_t)n * x_bytes(a));
    for (int64_t k = 0; learns(a) && k < v->steps; k++) {
        buf_put(&bytes, v->x + (size_t)k * x_bytes(a), x_bytes(a));
        buf_put(&bytes, v->target + (size_t)k * target_bytes(a), target_bytes(a));
    }
    return write_text(v, name, &bytes);
}

/* ---- the JIT's answers ---- */

static void put_state(const Artifact *a, const ReferenceRole *role, const char *block, int64_t steps, char *state)
{
    memcpy(state, &steps, sizeof steps);
    for (int k = 0; k < a->fields; k++) {
        const ArtifactField *f = &a->field[k];
        size_t bytes = (size_t)(shape_size(&f->shape) * kscalar_bytes(f->element));
        if (f->in_state)
            memcpy(state + f->offset, f->value, bytes);
    }
    for (int k = 0; k < role->made.layout.slots; k++) {
        int number = a->fn[ROLE_TRAIN].field[k];
        const ArtifactField *f = number == NO_FIELD ? NULL : &a->field[number];
        const Slot *slot = &role->made.layout.slot[k];
        if (f && f->in_state)
            memcpy(state + f->offset, block + slot->offset, (size_t)shape_size(&slot->shape) * dtype_size(slot->dtype));
    }
}

static bool reference(Verify *v)
{
    const Artifact *a = &v->b.artifact;
    const Reference *r = &v->b.reference;
    Arena *arena = v->cli->arena;
    v->x = arena_alloc(arena, x_bytes(a) * (size_t)v->examples + 64);
    v->y = arena_alloc(arena, y_bytes(a) * (size_t)v->examples + 64);
    v->best = arena_array(arena, int32_t, v->examples + 1);
    v->target = arena_alloc(arena, (target_bytes(a) + 8) * (size_t)v->examples + 64);
    artifact_inputs(v->b.spec, a, 7, v->examples, v->x, learns(a) ? v->target : NULL);
    if (!reference_predict(r, v->x, v->examples, v->y, v->best))
        return false;
    if (!learns(a))
        return true;
    const char *block;
    v->loss = arena_array(arena, double, v->steps + 1);
    v->state = arena_alloc(arena, (size_t)a->state_bytes + 64);
    if (!reference_train(r, v->x, v->target, v->steps, v->loss, &block))
        return false;
    put_state(a, &r->role[ROLE_TRAIN], block, v->steps, v->state);
    return true;
}

/* ---- comparing ---- */

static bool same_number(const char *a, const char *b, KScalar element)
{
    int n = kscalar_bytes(element);
    if (memcmp(a, b, (size_t)n) == 0)
        return true;
    double x = element == KS_F64 ? *(const double *)a : element == KS_F32 ? (double)*(const float *)a : 0;
    double y = element == KS_F64 ? *(const double *)b : element == KS_F32 ? (double)*(const float *)b : 0;
    return x != x && y != y;
}

static bool same_state(const Artifact *a, const char *x, const char *y)
{
    for (const ArtifactField *f = a->field; f < a->field + a->fields; f++)
        for (int64_t k = 0; f->in_state && k < shape_size(&f->shape); k++) {
            int64_t at = f->offset + k * kscalar_bytes(f->element);
            if (!same_number(x + at, y + at, f->element))
                return false;
        }
    return true;
}

static bool compare(Verify *v, Way *w, const char *bytes, size_t length)
{
    const Artifact *a = &v->b.artifact;
    size_t one = y_bytes(a) + (a->gives_class ? 4 : 0), n = (size_t)w->examples;
    size_t steps = learns(a) ? (size_t)v->steps : 0,
           expected = one * n + steps * 8 + (learns(a) ? (size_t)a->state_bytes : 0);
    if (length != expected) {
        w->outcome = arena_printf(v->cli->arena, "%zu bytes of answers, not %zu", length, expected);
        return false;
    }
    for (size_t k = 0; k < n; k++) {
        const char *got = bytes + k * one;
        bool same = !a->gives_class || memcmp(got + y_bytes(a), &v->best[k], 4) == 0;
        for (int64_t i = 0; a->gives_values && i < a->outputs; i++) {
            size_t at_ = (size_t)i * (size_t)kscalar_bytes(a->output_element);
            same &= same_number(got + at_, v->y + k * y_bytes(a) + at_, a->output_element);
        }
        if (!same) {
            w->outcome = arena_printf(v->cli->arena, "input %zu: another answer", k + 1);
            return false;
        }
    }
    const char *rest = bytes + one * n;
    for (size_t k = 0; k < steps; k++)
        if (!same_number(rest + 8 * k, (const char *)&v->loss[k], KS_F64)) {
            w->outcome = arena_printf(v->cli->arena, "step %zu: another loss", k + 1);
            return false;
        }
    if (learns(a) && !same_state(a, rest + 8 * steps, v->state)) {
        w->outcome = arena_printf(v->cli->arena, "other weights after %zu steps", steps);
        return false;
    }
    return true;
}

static bool run_way(Verify *v, Way *w)
{
    Cli *cli = v->cli;
    char *bytes, *error;
    size_t length;
    const char *program = at(v, "program"), *out = at(v, "answers"), *log = at(v, "log");
    const char *argv[] = {program, arena_printf(cli->arena, "%lld", (long long)w->examples),
                          arena_printf(cli->arena, "%lld", (long long)v->steps), at(v, "artifact.weights"), NULL};
    int status = tool_run(cli, argv, at(v, w->examples == v->examples ? "inputs" : "inputs-few"), out, log);
    if (!file_read(cli->arena, out, 0, &bytes, &length, &error))
        return false;
    if (!compare(v, w, bytes, length))
        return false;
    if (status != 0)
        w->outcome = status == 1 ? "the self-test fails" : "the program ended badly";
    return status == 0;
}

static bool compile_way(Verify *v, Way *w)
{
    const char *argv[24] = {w->compiler}, *log = at(v, "log");
    int n = 1;
    char *rest = arena_copy(v->cli->arena, w->options, strlen(w->options));
    for (char *word = strtok(rest, " "); word && n < 16; word = strtok(NULL, " "))
        argv[n++] = word;
    argv[n++] = "-I";
    argv[n++] = v->folder;
    argv[n++] = at(v, "main.c");
    argv[n++] = at(v, strstr(w->name, "object") ? "artifact.o" : "artifact.c");
    argv[n++] = "-o";
    argv[n++] = at(v, "program");
    if (tool_run(v->cli, argv, NULL, NULL, log) == 0)
        return true;
    w->outcome = arena_printf(v->cli->arena, "does not compile: %s", tool_log(v->cli, log));
    return false;
}

/* ---- ways ---- */

static void add_way(Verify *v, const char *name, const char *compiler, const char *options, bool many)
{
    int64_t examples = many || v->examples < EXAMPLES_SOFT ? v->examples : EXAMPLES_SOFT;
    vec_push(v->cli->arena, &v->ways, ((Way){name, compiler, options, examples, "", false}));
}

static bool host_is_x86(void)
{
#ifdef __x86_64__
    return true;
#else
    return false;
#endif
}

static bool host_has_fma(void)
{
#ifdef __x86_64__
    return __builtin_cpu_supports("fma");
#else
    return true;
#endif
}

static void add_compiler(Verify *v, const char *cc)
{
    static const char *const levels[] = {"-O0", "-O1", "-O2", "-O3"};
    static const char strict[] = "-std=c99 -Wall -Wextra -Wpedantic -Wconversion -Werror";
    Arena *arena = v->cli->arena;
    if (!tool_version(v->cli, cc)) {
        cli_error(v->cli, "there is no %s here: not compared", cc);
        return;
    }
    for (int k = 0; k < COUNT(levels); k += v->cli->quick ? COUNT(levels) - 1 : 1) {
        if (host_has_fma())
            add_way(v, arena_printf(arena, "C, %s %s, hardware fma", cc, levels[k]), cc,
                    arena_printf(arena, "%s %s%s", strict, levels[k], host_is_x86() ? " -mfma" : ""), true);
        if (host_is_x86())
            add_way(v, arena_printf(arena, "C, %s %s, own fma", cc, levels[k]), cc,
                    arena_printf(arena, "%s %s", strict, levels[k]), false);
    }
}

static bool show(Verify *v)
{
    enum { COLUMNS = 3 };
    static const char *const names[COLUMNS] = {"way", "inputs", "against the JIT"};
    Datum *at_ = arena_array(v->cli->arena, Datum, COLUMNS * (v->ways.len + 1));
    bool ok = true;
    for (int k = 0; k < v->ways.len; k++) {
        const Way *w = &v->ways.at[k];
        Datum row[COLUMNS] = {datum_text(w->name), datum_int(w->examples), datum_text(w->ok ? "equal" : w->outcome)};
        memcpy(at_ + COLUMNS * k, row, sizeof row);
        ok &= w->ok;
    }
    const Artifact *a = &v->b.artifact;
    const char *notes[1] = {learns(a) ? arena_printf(v->cli->arena,
                                                     "train_step: %lld steps, losses and weights compared in each way",
                                                     (long long)v->steps)
                                      : ""};
    Table table = {.title = arena_printf(v->cli->arena, "%s: every way to the bit", a->prefix), .keys = 1,
                   .columns = COLUMNS, .rows = v->ways.len, .name = names, .at = at_, .notes = notes,
                   .note_count = learns(a)};
    TableStyle style = {.width = v->cli->out_terminal ? v->cli->width : 0,
                        .bold = v->cli->out_terminal && v->cli->color};
    Buf text = {0};
    table_text(&table, &style, &text);
    printf("%.*s", (int)text.len, text.at);
    buf_free(&text);
    return ok;
}

static bool prepare(Verify *v)
{
    Artifact *a = &v->b.artifact;
    Buf header = {0}, source = {0}, program = {0}, weights = {0};
    v->examples = v->cli->examples ? v->cli->examples : EXAMPLES;
    v->steps = learns(a) ? v->examples < TRAIN_STEPS ? v->examples : TRAIN_STEPS : 0;
    if (!(v->folder = cli_scratch(v->cli)) || !reference(v))
        return false;
    artifact_header(a, &header);
    artifact_source(a, "artifact.h", &source);
    harness(a, &program);
    for (int k = 0; a->separate && k < 1; k++) {
        char *bytes = arena_alloc(v->cli->arena, (size_t)a->state_bytes + 1);
        build_state(a, bytes);
        buf_put(&weights, bytes, (size_t)a->state_bytes);
    }
    bool ok = write_text(v, "artifact.h", &header) && write_text(v, "artifact.c", &source) &&
              write_text(v, "main.c", &program) && (!a->separate || write_text(v, "artifact.weights", &weights)) &&
              write_inputs(v, "inputs", v->examples) &&
              write_inputs(v, "inputs-few", v->examples < EXAMPLES_SOFT ? v->examples : EXAMPLES_SOFT);
    return ok;
}

static bool verify(Verify *v)
{
    if (!prepare(v))
        return false;
    char *list = arena_copy(v->cli->arena, v->cli->cc ? v->cli->cc : "gcc,clang",
                            strlen(v->cli->cc ? v->cli->cc : "gcc,clang"));
    for (char *cc; (cc = strsep(&list, ","));)
        add_compiler(v, cc);
    if (!v->ways.len) {
        cli_error(v->cli, "no C compiler is here: nothing was compared");
        v->cli->machine = true;
        return false;
    }
    const char *linker = v->ways.at[0].compiler;
    if (build_object(&v->b, at(v, "artifact.o")))
        add_way(v, "object file by LLVM", linker, "-std=c99 -O1", true);
    for (int k = 0; k < v->ways.len && !cli_interrupted(NULL); k++)
        v->ways.at[k].ok = compile_way(v, &v->ways.at[k]) && run_way(v, &v->ways.at[k]);
    return show(v);
}

int command_verify(Cli *cli)
{
    Verify v = {.cli = cli};
    bool ok = building_open(&v.b, cli) && verify(&v);
    building_close(&v.b);
    if (cli->session)
        ok &= cli_show(cli, stderr);
    return cli_status(cli, ok);
}
