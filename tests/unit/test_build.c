/* test_build.c -- nin build and nin verify: emitted C against the JIT to the bit, what it needs, what it says of
 * itself, and what goes wrong.  The models are those of tests/data/devices/models.nin.  With NIN_LONG: all inputs that
 * the issue names. */
#define _GNU_SOURCE
#include "child.h"

#include <ctype.h>
#include <sys/stat.h>

static const char models[] = NIN_TESTS "/data/devices/models.nin";

static bool has(Child *c, const char *tool)
{
    const char *argv[] = {"/bin/sh", "-c", arena_printf(c->arena, "command -v %s", tool), NULL};
    return process_run(c->arena, argv, CHILD_TIME).status == 0;
}

static Outcome shell(Child *c, const char *command)
{
    const char *argv[] = {"/bin/sh", "-c", command, NULL};
    return process_run(c->arena, argv, CHILD_TIME);
}

static void shell_ok(Child *c, const char *command)
{
    Outcome o = shell(c, command);
    if (o.status != 0)
        fail_msg("%s\n%s%s", command, o.out, o.err);
}

static const char *built(Child *c, const char *artifact, const char *name)
{
    const char *path = child_path(c, name);
    Outcome o = child_run(c, "build", models, "--artifact", artifact, "--emit", "c", "-o", path, NULL);
    expect_status(&o, 0);
    return path;
}

static char *text_of(Child *c, const char *path)
{
    char *bytes, *error = NULL;
    size_t length;
    if (!file_read(c->arena, path, 0, &bytes, &length, &error))
        fail_msg("%s", error);
    return bytes;
}

/* ---- the same bits ---- */

static void verified(Child *c, const char *option, const char *name, const char *examples)
{
    bool all = getenv("NIN_LONG") != NULL;
    const char *net = strcmp(option, "--net") == 0 ? "--seed=1" : "--quick";
    Outcome o = child_run(c, "verify", models, option, name, "--examples", all ? "10000" : examples,
                          all ? "--cc=gcc,clang-19" : "--cc=gcc", all ? "--line" : "--quick",
                          net[2] == 's' ? net : "--line", NULL);
    expect_status(&o, 0);
    expect_text(o.out, "equal");
    if (strstr(o.out, "another") || strstr(o.out, "fails"))
        fail_msg("%s", o.out);
}

static void test_neuron(void **state) { verified(*state, "--net", "prelu_neuron", "2000"); }
static void test_cell(void **state) { verified(*state, "--artifact", "plain", "200"); }
static void test_raw(void **state) { verified(*state, "--artifact", "raw", "200"); }
static void test_cnn(void **state) { verified(*state, "--net", "cnn", "100"); }
static void test_mnist_shape(void **state) { verified(*state, "--net", "tall", "100"); }
static void test_normalised(void **state) { verified(*state, "--net", "scaled", "100"); }
static void test_learner(void **state) { verified(*state, "--artifact", "learner", "1000"); }
static void test_last_layer(void **state) { verified(*state, "--artifact", "last_layer", "200"); }
static void test_fitted(void **state) { verified(*state, "--artifact", "fitted", "200"); }
static void test_fitted_learner(void **state)
{
    Child *c = *state;
    verified(c, "--artifact", "fitted_learner", "200");
    /* all learns: the fit does, and the weights that it stands for take no memory */
    verified(c, "--artifact", "all_fitted_learner", "100");
    built(c, "all_fitted_learner", "fl.c");
    const char *header = text_of(c, child_path(c, "fl.h"));
    expect_text(header, "inner_fit");
    assert_null(strstr(header, "inner_dense"));
}
static void test_tabled(void **state) { verified(*state, "--artifact", "tabled", "200"); }
static void test_tabled_learner(void **state) { verified(*state, "--artifact", "tabled_learner", "200"); }
static void test_cell_learner(void **state) { verified(*state, "--artifact", "cell_learner", "200"); }

/* ---- what the text needs, and says ---- */

static void test_symbols(void **state)
{
    Child *c = *state;
    static const char *const names[] = {"plain",          "raw",    "learner",       "fitted",
                                        "fitted_learner", "tabled", "tabled_learner"};
    for (int k = 0; k < COUNT(names); k++) {
        const char *path = built(c, names[k], "s.c"), *object = child_path(c, "s.o");
        shell_ok(c, arena_printf(c->arena, "gcc -std=c99 -O2 -Wall -Wextra -Wpedantic -Wconversion -Werror -c %s -o %s",
                                 path, object));
        Outcome o = shell(c, arena_printf(c->arena, "nm -u %s | grep -v -w -e memcpy -e memset", object));
        assert_string_equal(o.out, "");
    }
}

static long number_after(const char *text, const char *words)
{
    const char *at = strstr(text, words);
    if (!at)
        fail_msg("\"%s\" is missing in:\n%s", words, text);
    return strtol(at + strlen(words), NULL, 10);
}

/* The report against the compiler's own map. */
static void test_report(void **state)
{
    Child *c = *state;
    const char *path = built(c, "learner", "r.c"), *object = child_path(c, "r.o"),
               *header = text_of(c, child_path(c, "r.h"));
    shell_ok(c, arena_printf(c->arena, "cd %s && gcc -std=c99 -Os -fstack-usage -DLEARNER_NO_SELFTEST -c %s -o %s",
                             c->folder, path, object));
    Outcome o = shell(c, arena_printf(c->arena, "size -A %s | awk '/^.text/ {t += $2} /^.rodata / {r += $2} "
                                                "/^.(data|bss)/ {d += $2} END {print t, r, d}'", object));
    long code, constants, data;
    assert_int_equal(sscanf(o.out, "%ld %ld %ld", &code, &constants, &data), 3);
    assert_int_equal(number_after(header, "code        "), code);
    assert_int_equal(data, 0);
    expect_text(header, "/* The number of the class of one example. */");
    long said = number_after(header, "constants   ");
    assert_true(constants >= said && constants < said + 64);              /* the compiler may add its own numbers */
    const char *sizes = child_text(
        c, "sizes.c",
        "#include \"r.h\"\n#include <stdio.h>\n"
        "int main(void) { printf(\"%zu %zu\\n\", sizeof(learner_state), sizeof(learner_work)); return 0; }\n");
    shell_ok(c, arena_printf(c->arena, "gcc -std=c99 -o %s/sizes %s", c->folder, sizes));
    o = shell(c, arena_printf(c->arena, "%s/sizes", c->folder));
    long kept, work;
    assert_int_equal(sscanf(o.out, "%ld %ld", &kept, &work), 2);
    assert_int_equal(number_after(header, "state       "), kept);
    assert_int_equal(number_after(header, "workspace   "), work);
    o = shell(c, arena_printf(c->arena, "awk '{sub(/.*:/, \"\", $1); own = $1 ~ /_(predict|loss|train_step)$/; "
                                        "if ($2 > m[own]) m[own] = $2} END {print m[0] + m[1]}' %s/r.su",
                              c->folder));
    assert_int_equal(number_after(header, "stack "), strtol(o.out, NULL, 10));
}

/* A cell that a fit stands for leaves nothing of itself behind: two layers and six coefficients, and nothing else. */
static void test_fit_alone(void **state)
{
    Child *c = *state;
    static const char *const names[] = {"fitted", "fitted_learner"};
    for (int k = 0; k < COUNT(names); k++) {
        const char *source = text_of(c, built(c, names[k], "f.c")), *header = text_of(c, child_path(c, "f.h"));
        assert_null(strstr(source, "inner_dense"));
        if (k == 0)
            assert_int_equal(number_after(header, "constants   "), 4 * (32 * 64 + 32 + 10 * 16 + 10 + 6));
    }
}

/* A table stands once, whatever functions read it: what learning adds is the step's numbers alone.  Its error is
 * told. */
static void test_table_once(void **state)
{
    Child *c = *state;
    const char *header, *source = text_of(c, built(c, "tabled", "t.c"));
    assert_null(strstr(source, "inner_dense"));
    header = text_of(c, child_path(c, "t.h"));
    expect_text(header, "cells: inner by tabulated[error: 0.02, over: [-6..6, -6..6], outside: clamp]");
    expect_text(header, "proved to 0.0");
    long without = number_after(header, "constants   ");
    built(c, "tabled_learner", "t.c");
    long with = number_after(text_of(c, child_path(c, "t.h")), "constants   "),
         table = without - 4 * (32 * 64 + 32 + 10 * 16 + 10);
    assert_true(table > 0 && with - without < table);
}

/* The self-test tells a build that fuses from one that does not. */
static void test_contraction(void **state)
{
    Child *c = *state;
    const char *path = built(c, "plain", "f.c");
    shell_ok(c, arena_printf(c->arena, "gcc -std=gnu99 -O2 -ffp-contract=fast -DPLAIN_MAIN %s -o %s/f && %s/f", path,
                             c->folder, c->folder));
    Outcome o = shell(c, arena_printf(c->arena, "gcc -Ofast -c %s -o %s/f.o", path, c->folder));
    assert_int_not_equal(o.status, 0);
    expect_text(o.err, "without -ffast-math");
}

static void test_contraction_clang(void **state)
{
    Child *c = *state;
    if (!has(c, "clang-19") || !__builtin_cpu_supports("fma"))
        skip();
    const char *path = built(c, "plain", "f.c");
    Outcome o = shell(c, arena_printf(c->arena, "clang-19 -O2 -mfma -ffp-contract=fast -DPLAIN_MAIN %s -o %s/f && %s/f",
                                      path, c->folder, c->folder));
    assert_int_equal(o.status, 1);
}

/* Cross compilers and emulators, where they are: the self-test passes with the same bits. */
static void emulated(Child *c, const char *compiler, const char *options, const char *emulator)
{
    if (!has(c, compiler) || !has(c, emulator))
        skip();
    static const char *const names[][2] = {{"plain", "PLAIN"}, {"learner", "LEARNER"}, {"tabled", "TABLED"}};
    for (int k = 0; k < COUNT(names); k++) {
        const char *path = built(c, names[k][0], "q.c");
        shell_ok(c, arena_printf(c->arena, "%s %s -std=c99 -D%s_MAIN %s -o %s/q && %s %s/q", compiler, options,
                                 names[k][1], path, c->folder, emulator, c->folder));
    }
}

static void test_aarch64(void **state) { emulated(*state, "aarch64-linux-gnu-gcc", "-O2 -static", "qemu-aarch64"); }
static void test_riscv64(void **state) { emulated(*state, "riscv64-linux-gnu-gcc", "-O2 -static", "qemu-riscv64"); }

/* Without an operating system: the emitted C, and the object file, on emulated boards. */
static void cortex(Child *c, const char *cpu, const char *board, const char *fpu)
{
    if (!has(c, "arm-none-eabi-gcc") || !has(c, "qemu-system-arm"))
        skip();
    static const char *const names[][2] = {
        {"plain", "-DWORK=plain_work -DSELFTEST=plain_selftest"},
        {"learner", "-DWORK=learner_work -DSTATE=learner_state -DSELFTEST=learner_selftest"}};
    for (int k = 0; k < 4; k++) {
        bool object = k > 1;
        const char *path = object ? child_path(c, "q.o") : built(c, names[k % 2][0], "q.c");
        Outcome o = object ? child_run(c, "build", models, "--artifact", names[k % 2][0], "--emit", "object",
                                       "--target", "thumbv7em-none-eabihf", "--cpu", cpu, "-o", path, NULL)
                           : (Outcome){0};
        expect_status(&o, 0);
        shell_ok(c, arena_printf(c->arena, "arm-none-eabi-gcc -mcpu=%s -mthumb -mfloat-abi=hard -mfpu=%s -O2 "
                                           "-ffreestanding -nostdlib -T %s/cortex.ld "
                                 "-DHEADER='\"q.h\"' -I%s %s %s/cortex.c %s -lgcc -o %s/q.elf 2>/dev/null && "
                                 "qemu-system-arm -M %s -nographic -monitor none "
                                 "-serial none -semihosting-config enable=on,target=native -kernel %s/q.elf", cpu, fpu,
                                 NIN_TESTS "/data/devices", c->folder, names[k % 2][1], NIN_TESTS "/data/devices", path,
                                 c->folder, board, c->folder));
    }
}

static void test_cortex_m4(void **state) { cortex(*state, "cortex-m4", "mps2-an386", "fpv4-sp-d16"); }
static void test_cortex_m7(void **state) { cortex(*state, "cortex-m7", "mps2-an500", "fpv5-d16"); }

/* ---- machine code ---- */

static const char *made(Child *c, const char *artifact, const char *kind, const char *name)
{
    const char *path = child_path(c, name);
    Outcome o = child_run(c, "build", models, "--artifact", artifact, "--emit", kind, "-o", path, NULL);
    expect_status(&o, 0);
    return path;
}

static const char learner_main[] = "#include \"k.h\"\nint main(void) { static learner_work w; static learner_state s;"
                                   " return learner_selftest(&s, &w); }\n";

/* Objects and libraries: the self-test, called through the header. */
static void test_libraries(void **state)
{
    Child *c = *state;
    const char *source = child_text(c, "m.c", learner_main), *f = c->folder;
    made(c, "learner", "header", "k.h");
    const char *object = made(c, "learner", "object", "k.o"), *archive = made(c, "learner", "static", "libk.a"),
               *shared = made(c, "learner", "shared", "libk.so");
    shell_ok(c, arena_printf(c->arena, "gcc %s %s -o %s/m && %s/m", source, object, f, f));
    shell_ok(c, arena_printf(c->arena, "gcc %s %s -o %s/m && %s/m", source, archive, f, f));
    shell_ok(c, arena_printf(c->arena, "gcc %s %s -o %s/m && %s/m", source, shared, f, f));
    Outcome o = shell(c, arena_printf(c->arena, "nm -u %s | grep -v -w -e memcpy -e memset", object));
    assert_string_equal(o.out, "");
}

/* A program: rows as text and as .npy give the same answers; a row that is cut is an error. */
static void test_program(void **state)
{
    Child *c = *state;
    const char *program = made(c, "raw_program", "executable", "p"), *f = c->folder;
    float row[64];
    char head[128];
    Buf text = {0}, npy = {0};
    for (int k = 0; k < 64; k++)
        row[k] = (float)(k % 17) / 16;
    for (int r = 0; r < 2; r++)
        for (int k = 0; k < 64; k++)
            buf_printf(&text, "%g%c", (double)row[k], k == 63 ? '\n' : ' ');
    memset(head, ' ', sizeof head);
    memcpy(head, "\x93NUMPY\1\0\x76\0", 10);
    memcpy(head + 10, "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 64), }", 60);
    head[127] = '\n';
    buf_put(&npy, head, sizeof head);
    buf_put(&npy, row, sizeof row);
    buf_put(&npy, row, sizeof row);
    const char *rows = child_bytes(c, "rows.txt", text.at, text.len),
               *array = child_bytes(c, "rows.npy", npy.at, npy.len);
    Outcome a = shell(c, arena_printf(c->arena, "%s < %s", program, rows)),
            b = shell(c, arena_printf(c->arena, "%s < %s", program, array));
    expect_status(&a, 0);
    expect_status(&b, 0);
    assert_string_equal(a.out, b.out);
    int lines = 0;
    for (const char *p = a.out; *p; p++)
        lines += *p == '\n';
    assert_int_equal(lines, 2);
    a = shell(c, arena_printf(c->arena, "echo 1 2 3 | %s/p", f));
    expect_status(&a, 1);
    expect_text(a.err, "row 1 has 3 of 64 numbers");
    buf_free(&text);
    buf_free(&npy);
}

/* LLVM's text and bitcode through LLVM's own compiler, assembly through the assembler: the same self-test. */
static void test_texts(void **state)
{
    Child *c = *state;
    const char *source = child_text(c, "m.c", learner_main), *f = c->folder;
    made(c, "learner", "header", "k.h");
    const char *assembly = made(c, "learner", "asm", "k.s");
    made(c, "learner", "llvm", "k.ll");
    made(c, "learner", "bitcode", "k.bc");
    shell_ok(c, arena_printf(c->arena, "gcc %s %s -o %s/m && %s/m", source, assembly, f, f));
}

/* NaN is NaN: clang -O0 gives it another sign. */
static void test_diverging_clang(void **state)
{
    Outcome o = child_run(*state, "verify", models, "--artifact", "diverging_learner", "--examples", "1000",
                          "--cc=clang-19", "--line", NULL);
    expect_status(&o, 0);
    expect_text(o.out, "C, clang-19 -O0");
}

static void test_texts_clang(void **state)
{
    Child *c = *state;
    if (!has(c, "clang-19"))
        skip();
    const char *source = child_text(c, "m.c", learner_main), *f = c->folder;
    made(c, "learner", "header", "k.h");
    const char *ir = made(c, "learner", "llvm", "k.ll"), *bitcode = made(c, "learner", "bitcode", "k.bc");
    shell_ok(c, arena_printf(c->arena, "clang-19 -w -O1 -c %s -o %s/k1.o && gcc %s %s/k1.o -o %s/m && %s/m", ir, f,
                             source, f, f, f));
    shell_ok(c, arena_printf(c->arena, "clang-19 -w -O1 -c %s -o %s/k2.o && gcc %s %s/k2.o -o %s/m && %s/m", bitcode, f,
                             source, f, f, f));
}

/* Machine code for other machines, linked by their compilers and run by emulators. */
static void crossed(Child *c, const char *triple, const char *compiler, const char *emulator)
{
    if (!has(c, compiler) || !has(c, emulator))
        skip();
    const char *source = child_text(c, "m.c", learner_main), *f = c->folder;
    Outcome o = child_run(c, "build", models, "--artifact", "learner", "--emit", "object", "--target", triple, "-o",
                          child_path(c, "k.o"), NULL);
    expect_status(&o, 0);
    shell_ok(c, arena_printf(c->arena, "%s -static %s %s/k.o -o %s/m && %s %s/m", compiler, source, f, f, emulator, f));
}

static void test_cross_aarch64(void **state)
{
    crossed(*state, "aarch64-linux-gnu", "aarch64-linux-gnu-gcc", "qemu-aarch64");
}
static void test_cross_riscv64(void **state)
{
    crossed(*state, "riscv64-linux-gnu", "riscv64-linux-gnu-gcc", "qemu-riscv64");
}

static const char wasm_runner[] =
    "const m = new WebAssembly.Module(require('fs').readFileSync(process.argv[2]));\nlet mem;\n"
    "const i = new WebAssembly.Instance(m, {env: {memcpy: (d, s, n) => { new Uint8Array(mem.buffer).copyWithin(d, s, "
    "s + n); return d; }}});\n"
    "mem = i.exports.memory;\nconst at = mem.grow(4) * 65536;\n"
    "process.exit(i.exports.learner_selftest(at, at + 131072));\n";

static void test_wasm(void **state)
{
    Child *c = *state;
    const char *object = child_path(c, "w.o"), *module = child_path(c, "w.wasm");
    Outcome o = child_run(c, "build", models, "--artifact", "learner", "--emit", "object", "--target", "wasm32", "-o",
                          object, NULL);
    expect_status(&o, 0);
    assert_memory_equal(text_of(c, object), "\0asm\1\0\0\0", 8);
    if ((!has(c, "wasm-ld") && !has(c, "wasm-ld-19")) || !has(c, "node"))
        skip();
    o = child_run(c, "build", models, "--artifact", "learner", "--emit", "shared", "--target", "wasm32", "-o", module,
                  NULL);
    expect_status(&o, 0);
    shell_ok(c, arena_printf(c->arena, "node %s %s", child_text(c, "w.js", wasm_runner), module));
}

/* Object files of every target that has a name, at least made: with the right kind of file. */
static void test_targets(void **state)
{
    Child *c = *state;
    static const struct { const char *triple, *cpu; int machine;
    } targets[] = {{"x86_64-linux-gnu", "x86-64", 62},
                   {"x86_64-linux-gnu", "x86-64-v4", 62},
                   {"aarch64-none-elf", "cortex-a53", 183},
                   {"thumbv6m-none-eabi", "cortex-m0", 40},
                   {"thumbv8m.main-none-eabihf", "cortex-m33", 40},
                   {"armv7-linux-gnueabihf", "cortex-a7", 40},
                   {"riscv32-unknown-elf", "generic-rv32", 243}};
    for (int k = 0; k < COUNT(targets); k++) {
        const char *path = child_path(c, "t.o");
        Outcome o = child_run(c, "build", models, "--artifact", "plain", "--emit", "object", "--target",
                              targets[k].triple, "--cpu", targets[k].cpu, "-o", path, NULL);
        expect_status(&o, 0);
        const unsigned char *bytes = (const unsigned char *)text_of(c, path);
        assert_memory_equal(bytes, "\x7f" "ELF", 4);
        assert_int_equal(bytes[18], targets[k].machine);
    }
}

/* ---- what goes wrong ---- */

static void refused(Child *c, int status, const char *says, const char *a, const char *b, const char *d, const char *e)
{
    const char *path = child_path(c, "none.c");
    Outcome o = child_run(c, "build", models, "-o", path, a, b, d, e, NULL);
    expect_status(&o, status);
    expect_text(o.err, says);
    assert_false(file_exists(path));
    assert_false(file_exists(child_path(c, "none.h")));
}

static void test_errors(void **state)
{
    Child *c = *state;
    refused(c, 1, "E0903", "--artifact", "tight", NULL, NULL);
    refused(c, 1, "W0905", "--artifact", "tight", NULL, NULL);
    refused(c, 1, "has 13 artifacts", NULL, NULL, NULL, NULL);
    refused(c, 1, "E0301", "--artifact", "nothing", NULL, NULL);
    refused(c, 1, "is no artifact", "--artifact", "two_arg", NULL, NULL);
    refused(c, 1, "needs its weights", "--net", "two_arg", NULL, NULL);
    refused(c, 1, "E0301", "--net", "nothing", "--seed", "1");
    refused(c, 3, "E0601", "--net", "two_arg", "--weights", "missing.safetensors");
    refused(c, 1, "E0902", "--net", "two_arg", "--weights", NIN_TESTS "/data/devices/other.safetensors");
    refused(c, 1, "is no target of this version", "--artifact=plain", "--emit=object", "--target", "sparc");
    refused(c, 1, "is no processor of", "--artifact=plain", "--emit=object", "--cpu", "nothing");
    refused(c, 3, "no-such-compiler is not on this machine", "--artifact=plain", "--emit=shared", "--cc",
            "no-such-compiler");
    Outcome o = child_run(c, "build", models, "--artifact", "plain", "-o", "/proc/none/x.c", NULL);
    expect_status(&o, 3);
    shell_ok(c, arena_printf(c->arena, "mkdir %s/half.h %s/whole.weights", c->folder, c->folder));
    o = child_run(c, "build", models, "--artifact", "plain", "-o", child_path(c, "half.c"), NULL);
    expect_status(&o, 3);
    expect_text(o.err, "half.h");
    assert_false(file_exists(child_path(c, "half.c")));
    o = child_run(c, "build", models, "--artifact", "raw", "--emit", "object", "-o", child_path(c, "whole.o"), NULL);
    expect_status(&o, 3);
    assert_false(file_exists(child_path(c, "whole.o")) || file_exists(child_path(c, "whole.h")));
    o = child_run(c, "build", models, "--artifact", "plain", "--emit", "rust", NULL);
    expect_status(&o, 2);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, child_open, child_close)

/* The second group needs compilers and emulators that the build does not: it belongs to `make test-long`. */
int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_neuron),       TEST(test_cell),           TEST(test_raw),       TEST(test_cnn),
        TEST(test_mnist_shape),  TEST(test_normalised),     TEST(test_learner),   TEST(test_last_layer),
        TEST(test_fitted),       TEST(test_fitted_learner), TEST(test_tabled),    TEST(test_tabled_learner),
        TEST(test_cell_learner), TEST(test_symbols),        TEST(test_report),    TEST(test_fit_alone),
        TEST(test_table_once),   TEST(test_contraction),    TEST(test_libraries), TEST(test_program),
        TEST(test_texts),        TEST(test_targets),        TEST(test_errors),
    };
    const struct CMUnitTest elsewhere[] = {
        TEST(test_contraction_clang), TEST(test_texts_clang),   TEST(test_diverging_clang), TEST(test_aarch64),
        TEST(test_riscv64),           TEST(test_cortex_m4),     TEST(test_cortex_m7),
        TEST(test_cross_aarch64),     TEST(test_cross_riscv64), TEST(test_wasm),
    };
    int failed = cmocka_run_group_tests_name("build", tests, NULL, NULL);
    return getenv("NIN_LONG") ? failed + cmocka_run_group_tests_name("build elsewhere", elsewhere, NULL, NULL) : failed;
}
