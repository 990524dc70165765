/* The command line: exit codes, near names, bad files, folders that cannot be written, an interrupt. */
#define _GNU_SOURCE
#include "child.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define RUN_OK 0
#define PROGRAM_FAULT 1
#define WRONG_USE 2
#define MACHINE_FAULT 3

static const char small[] =
    "data = examples(x: [[0, 0], [0, 1], [1, 0], [1, 1]], y: [0, 1, 1, 0])\n"
    "net n(x: f32[2]) -> f32[1] = dense[1](tanh(dense[4](x)))\n"
    "experiment e(epochs: int = 3) {\n"
    "  for seed in 1..3 {\n"
    "    run = train(n, on: data, with: session(learn: all, loss: mse, optimizer: adam[lr: 0.1], batch: all, "
    "epochs: epochs),\n"
    "                seed: seed)\n"
    "    record(loss: run.train_loss)\n"
    "  }\n"
    "  table(\"t\", loss: mean(loss), n: count())\n"
    "}\n"
    "test \"holds\" { check(1 + 1 == 2) }\n";

/* Looks at 50 000 examples after every epoch; patience never ends it. */
static const char watched[] =
    "fn product(a, b) = a * b\n"
    "plane = samples(product, over: [-1..1, -1..1], points: 10, valid: 50000, test: 10, seed: 1)\n"
    "net n(x: f32[2]) -> f32[1] = dense[1](tanh(dense[4](x)))\n"
    "experiment e(epochs: int = 3) {\n"
    "  rule = session(learn: all, loss: mse, optimizer: adam[lr: 0.1], batch: all, epochs: epochs, "
    "stop: patience(5000, valid_loss))\n"
    "  record(loss: train(n, on: plane, with: rule, seed: 1).valid_loss)\n"
    "  table(\"t\", loss: mean(loss))\n"
    "}\n";

/* ---- use ---- */

static void test_use(void **state)
{
    Child *c = *state;
    Outcome o = child_run(c, NULL);
    expect_status(&o, WRONG_USE);
    o = child_run(c, "--version", NULL);
    expect_status(&o, RUN_OK);
    expect_text(o.out, "semantics 1");
    static const char *const names[] = {"run",    "check",   "test",  "eval",   "grad", "explain", "dump",  "data",
                                        "params", "results", "build", "verify", "fmt",  "repl",    "report"};
    for (int i = 0; i < COUNT(names); i++) {
        o = child_run(c, names[i], "--help", NULL);
        expect_status(&o, RUN_OK);
        expect_text(o.out, "usage: nin");
        Outcome same = child_run(c, "help", names[i], NULL);
        expect_status(&same, RUN_OK);
        assert_string_equal(same.out, o.out);
    }
    o = child_run(c, "help", NULL);
    expect_status(&o, RUN_OK);
    expect_text(o.out, "nin repl [FILE]");
    o = child_run(c, "help", "E0401", NULL);
    expect_status(&o, RUN_OK);
    expect_text(o.out, "E0401");
    o = child_run(c, "help", "verfy", NULL);
    expect_status(&o, WRONG_USE);
    expect_text(o.err, "did you mean `nin verify`?");
}

/* What was probably meant is said. */
static void test_mistyped(void **state)
{
    Child *c = *state;
    const char *file = child_text(c, "small.nin", small);
    Outcome o = child_run(c, file, NULL);
    expect_status(&o, WRONG_USE);
    expect_text(o.err, "`nin run ");
    o = child_run(c, "grad", "gcu", NULL);
    expect_status(&o, WRONG_USE);
    expect_text(o.err, "nin grad --cell gcu");
    o = child_run(c, "explain", "banana", NULL);
    expect_status(&o, WRONG_USE);
    expect_text(o.err, "no message has the code banana; a code is like E0401");
    o = child_run(c, "chekc", file, NULL);
    expect_status(&o, WRONG_USE);
    expect_text(o.err, "did you mean `nin check`?");
    o = child_run(c, "check", "--jsno", file, NULL);
    expect_status(&o, WRONG_USE);
    expect_text(o.err, "did you mean --json?");
    o = child_run(c, "run", file, "--threads", "none", NULL);
    expect_status(&o, WRONG_USE);
    o = child_run(c, "run", file, "--experiment", "f", NULL);
    expect_status(&o, WRONG_USE);
    o = child_run(c, "run", file, "--set", "epoch=1", NULL);
    expect_status(&o, WRONG_USE);
    expect_text(o.err, "did you mean `epochs`?");
    o = child_run(c, "run", file, "--cpu", "abacus", NULL);
    expect_status(&o, WRONG_USE);
    o = child_run(c, "dump", file, "--stage=kernl", NULL);
    expect_status(&o, WRONG_USE);
    expect_text(o.err, "did you mean `kernel`?");
    o = child_run(c, "explain", "e0401", NULL);
    expect_status(&o, RUN_OK);
    o = child_run(c, "explain", "E0499", NULL);
    expect_status(&o, WRONG_USE);
    o = child_run(c, "check", child_path(c, "absent.nin"), NULL);
    expect_status(&o, MACHINE_FAULT);
    o = child_run(c, "check", file, NULL);
    expect_status(&o, RUN_OK);
    assert_string_equal(o.out, "");
    assert_string_equal(o.err, "");
}

/* Every option that --help lists stands in the manual page. */
static void test_manual(void **state)
{
    Child *c = *state;
    char *page, *error;
    size_t length;
    assert_true(file_read(c->arena, NIN_TESTS "/../docs/nin.1", 0, &page, &length, &error));
    static const char *const names[] = {"run",    "check",   "test",  "eval",   "grad", "dump", "data",
                                        "params", "results", "build", "verify", "fmt",  "repl"};
    for (int i = 0; i < COUNT(names); i++) {
        Outcome o = child_run(c, names[i], "--help", NULL);
        expect_text(page, arena_printf(c->arena, "nin %s", names[i]));
        for (const char *at = o.out; (at = strstr(at, "\n  --")); at++)
            expect_text(page, arena_printf(c->arena, "%.*s", (int)strcspn(at + 3, " "), at + 3));
    }
}

static void test_values(void **state)
{
    Child *c = *state;
    const char *file = child_text(c, "small.nin", small);
    Outcome o = child_run(c, "eval", file, "1 + 2", "count(n)", NULL);
    expect_status(&o, RUN_OK);
    assert_string_equal(o.out, "3\n17\n");
    o = child_run(c, "eval", file, "nothing", NULL);
    expect_status(&o, PROGRAM_FAULT);
    o = child_run(c, "grad", "--cell", "gcu", NULL);
    expect_status(&o, RUN_OK);
    assert_string_equal(o.out, "cos(x) - x * sin(x)\n");
    o = child_run(c, "grad", "--cell", "gcu", "--latex", NULL);
    expect_status(&o, RUN_OK);
    expect_text(o.out, "\\cos");
    o = child_run(c, "grad", "--cell", "dense[3]", NULL);
    expect_status(&o, PROGRAM_FAULT);
    expect_text(o.err, "is no cell");
    o = child_run(c, "test", file, NULL);
    expect_status(&o, RUN_OK);
    expect_text(o.out, "1 passed, 0 failed");
    const char *wrong = child_text(c, "wrong.nin", "test \"does not\" { check(1 + 1 == 3) }\n");
    o = child_run(c, "test", wrong, NULL);
    expect_status(&o, PROGRAM_FAULT);
    expect_text(o.err, "E0813");
    static const char *const stages[] = {"tokens", "ast", "graph", "grad", "kernel", "c", "llvm", "asm"};
    for (int i = 0; i < COUNT(stages); i++) {
        o = child_run(c, "dump", file, "--stage", stages[i], NULL);
        expect_status(&o, RUN_OK);
        Outcome again = child_run(c, "dump", file, "--stage", stages[i], NULL);
        assert_string_equal(o.out, again.out);
        assert_true(o.out[0] != 0);
    }
}

/* ---- data sets ---- */

static void test_data(void **state)
{
    Child *c = *state;
    Outcome o = child_run(c, "data", "list", NULL);
    expect_status(&o, RUN_OK);
    expect_text(o.out, "digits         [1, 8, 8]     10 classes");
    expect_text(o.out, "cifar100");
    o = child_run(c, "data", "verify", "digits", NULL);
    expect_status(&o, RUN_OK);
    o = child_run(c, "data", "path", NULL);
    expect_status(&o, WRONG_USE);
    o = child_run(c, "data", "pth", "mnist", NULL);
    expect_status(&o, WRONG_USE);
    expect_text(o.err, "did you mean `path`?");
    o = child_run(c, "data", "fetch", "mnits", NULL);
    expect_status(&o, WRONG_USE);
    expect_text(o.err, "did you mean mnist?");
    child_text(c, "cifar-100-binary.tar.gz", "this is none");
    const char *folder = child_path(c, ".");
    o = child_run(c, "data", "path", "cifar100", "--data", folder, NULL);
    expect_status(&o, RUN_OK);
    expect_text(o.out, "cifar-100-binary.tar.gz");
    o = child_run(c, "data", "verify", "cifar100", "--data", folder, NULL);
    expect_status(&o, MACHINE_FAULT);
    expect_text(o.err, "which is not that of cifar-100-binary.tar.gz");
}

static void test_text(void **state)
{
    Child *c = *state;
    static const char program[] =
        "t = dataset(\"text\", file: \"t.txt\", tokens: characters, window: 4, test: 2)\n"
        "net n(x: int[time]) -> f32[t.tokens, time] = dense[t.tokens](embed[3, tokens: t.tokens](x))\n"
        "r = session(learn: all, loss: cross_entropy, optimizer: adam[lr: 0.1], batch: 2, epochs: 30)\n"
        "test \"learns\" { check(train(n, on: t, with: r, seed: 1).test_loss < 0.5) }\n";
    const char *file = child_text(c, "text.nin", program), *folder = child_path(c, ".");
    child_text(c, "t.txt", "b\xc3\xa4" "b\xc3\xa4" "b\xc3\xa4" "b\xc3\xa4" "b\xc3\xa4"
                           "b\xc3\xa4" "b\xc3\xa4" "b\xc3\xa4" "b\xc3\xa4" "b!");
    Outcome o = child_run(c, "eval", file, "--data", folder, "t", "t.tokens", "t.train.x", "t.test.y", NULL);
    expect_status(&o, RUN_OK);
    assert_string_equal(
        o.out,
        "2 examples, int[4] in 0..2 to class[3][4]\n3\n[[1, 2, 1, 2], [1, 2, 1, 2]]\n[[2, 1, 2, 1], [2, 1, 2, 1]]\n");
    o = child_run(c, "test", file, "--data", folder, NULL);
    expect_status(&o, RUN_OK);
    child_text(c, "t.txt", "a\xc3(");
    o = child_run(c, "check", file, "--data", folder, "--line", NULL);
    expect_status(&o, MACHINE_FAULT);
    expect_text(o.out, "t.txt: byte 1: this is no UTF-8 text");
    child_text(c, "t.txt", "abcd");
    o = child_run(c, "check", file, "--data", folder, "--line", NULL);
    expect_status(&o, PROGRAM_FAULT);
    expect_text(o.out, "E0405");
}

/* An .npy file of 40 images of 1 x 16 x 16 bytes, and its labels 0, 1, 0, ... */
static void write_images(Child *c, const char *name, int rows, int side, bool last)
{
    char header[128];
    int shape = snprintf(header, sizeof header, "{'descr': '|u1', 'fortran_order': False, 'shape': (%d, %s%d, %d%s), }",
                         rows, last ? "" : "1, ", side, side, last ? ", 1" : "");
    int length = rows * side * side, head = 118;
    unsigned char *file = arena_alloc(c->arena, (size_t)(head + 10 + length));
    memcpy(file, "\x93NUMPY\x01\0\x76\0", 10);
    memset(file + 10, ' ', (size_t)head);
    memcpy(file + 10, header, (size_t)shape);
    file[9 + head] = '\n';
    for (int i = 0; i < length; i++) file[10 + head + i] = (unsigned char)(i * 2654435761u >> 24);
    child_bytes(c, name, file, (size_t)(head + 10 + length));
}

static void write_labels(Child *c, const char *name, int rows, int wrong)
{
    char header[] = "{'descr': '|u1', 'fortran_order': False, 'shape': (    ,), }";
    char digits[8];
    unsigned char *file = arena_alloc(c->arena, (size_t)(128 + rows));
    snprintf(digits, sizeof digits, "%4d", rows);
    memcpy(strchr(header, '(') + 1, digits, 4);
    memcpy(file, "\x93NUMPY\x01\0\x76\0", 10);
    memset(file + 10, ' ', 118);
    memcpy(file + 10, header, sizeof header - 1);
    file[127] = '\n';
    for (int i = 0; i < rows; i++) file[128 + i] = (unsigned char)((i & 1) ^ (i == wrong));
    child_bytes(c, name, file, (size_t)(128 + rows));
}

/* Corrupted sets: the library's, an own one, the published one; what does not fit is refused. */
static void test_corrupt(void **state)
{
    Child *c = *state;
    static const char program[] =
        "pics = dataset(\"pics\", file: \"pics.npy\", target: \"labels.npy\", classes: 2, normalize: affine(mean: 0.5, "
        "sd: 0.25))\n"
        "fn half(x) = x * 0.5\n"
        "net n(x: f32[1, 16, 16]) -> f32[2] = dense[2](flatten(x))\n"
        "test \"all\" {\n"
        "  for kind in common_corruptions, severity in 1..5 { check(corrupt(pics, with: kind[severity]).size == 40) }\n"
        "  check(hash(corrupt(pics, with: fog[3]).x) == hash(corrupt(pics, with: fog[3]).x))\n"
        "  check(hash(corrupt(pics, with: fog[3]).x) != hash(corrupt(pics, with: fog[3], seed: 1).x))\n"
        "  check(all(near(corrupt(pics, with: half).x[1, 1, 1, 1..3], [-2, -0.7607843, -1.5294118], within: 1e-6)))\n"
        "  check(error(fresh(n, seed: 1), on: corrupt(pics, with: half)) >= 0)\n"
        "  check(hash(corrupt(pics, with: fog[1], published: \"c\").x) == hash(pics.x))\n"
        "}\n";
    const char *file = child_text(c, "corrupt.nin", program), *folder = child_path(c, ".");
    write_images(c, "pics.npy", 40, 16, false);
    write_labels(c, "labels.npy", 40, -1);
    assert_int_equal(mkdir(child_path(c, "c"), 0777), 0);
    write_images(c, "c/fog.npy", 200, 16, true);                       /* its rows 0 .. 39, severity 1, are pics */
    write_labels(c, "c/labels.npy", 200, -1);
    Outcome o = child_run(c, "eval", file, "--data", folder, "pics.x[1, 1, 1, 1..3]",
                          "hash(corrupt(pics, with: fog[2], published: \"c\").x) == hash(pics.x)",
                          "corrupt(pics, with: fog[1], published: \"c\").x[1, 1, 1, 1..3]", NULL);
    expect_status(&o, RUN_OK);
    assert_string_equal(o.out, "[-2, 0.47843146, -1.0588236]\nfalse\n[-2, 0.47843146, -1.0588236]\n");
    o = child_run(c, "test", file, "--data", folder, NULL);
    expect_status(&o, RUN_OK);
    write_labels(c, "c/labels.npy", 200, 77);
    o = child_run(c, "eval", file, "--data", folder, "corrupt(pics, with: fog[2], published: \"c\").size", NULL);
    expect_status(&o, PROGRAM_FAULT);
    expect_text(o.err, "the labels of the published set are not those of this data in its order");
    o = child_run(c, "eval", file, "--data", folder, "corrupt(pics, with: snow[2], published: \"c\").size", NULL);
    expect_text(o.err, "there is no c/snow.npy under the data folders");
}

/* The first session of a schedule fits the cell alone and has no test accuracy: no panel of its own. */
static void test_empty_panel(void **state)
{
    Child *c = *state;
    static const char program[] =
        "digits = dataset(\"digits\", shape: [64], test: 1500)\n"
        "net n(x: f32[64]) -> f32[10] = dense[10](apply(inner[2], dense[4](x)))\n"
        "first = session(fit: cells, to: smooth_noise(squares: 2, over: -1..1, sigma: 1), loss: mse, "
        "optimizer: adam[lr: 0.1], batch: all, epochs: 1)\n"
        "then = session(learn: all, loss: cross_entropy, optimizer: adam[lr: 0.1], batch: 50, epochs: 1)\n"
        "experiment e {\n"
        "  run = train(n, on: digits, with: { alone: first, whole: then }, seed: 1)\n"
        "  record(curve: run.curve)\n"
        "  figure(\"f\", lines(x: curve.epoch, y: curve.test_accuracy), columns: curve.session)\n"
        "}\n";
    const char *file = child_text(c, "panels.nin", program), *out = child_path(c, "panels");
    Outcome o = child_run(c, "run", file, "--out", out, NULL);
    expect_status(&o, RUN_OK);
    const char *argv[] = {"/bin/grep", "-o", "-E", ">(alone|whole)<", path_join(c->arena, out, "panels/e/f.svg"), NULL};
    assert_string_equal(process_run(c->arena, argv, CHILD_TIME).out, ">whole<\n");
}

/* ---- how cells were evaluated is part of a run's provenance ---- */

static void test_strategies_noted(void **state)
{
    Child *c = *state;
    static const char program[] =
        "net one(x: f32[2]) -> f32[2] = prelu[0.25](x)\n"
        "experiment e {\n"
        "  for by in [exact, quadratic_fit[over: -1..1], tabulated[error: 0.01, over: [-4..4], outside: clamp]] {\n"
        "    record(y: replace(fresh(one, seed: 1), cells: by).cell(1))\n"
        "  }\n"
        "  table(\"t\", by: by, y: mean(y))\n"
        "}\n";
    const char *file = child_text(c, "ways.nin", program), *out = child_path(c, "ways");
    Outcome o = child_run(c, "run", file, "--out", out, NULL);
    expect_status(&o, RUN_OK);
    const char *argv[] = {"/bin/grep", "-o", "-E", "prelu by [a-z_]+", path_join(c->arena, out, "ways/e/run.json"),
                          NULL};
    assert_string_equal(process_run(c->arena, argv, CHILD_TIME).out, "prelu by quadratic_fit\nprelu by tabulated\n");
}

/* A proved table is kept: found again as it is, made again with the same bytes where its file was damaged. */
static void test_tables_kept(void **state)
{
    Child *c = *state;
    static const char program[] =
        "net one(x: f32[2]) -> f32[2] = prelu[0.25](x)\n"
        "experiment e {\n"
        "  record(b: replace(fresh(one, seed: 1), cells: tabulated[error: 0.01, over: [-4..4], outside: clamp]).hash)\n"
        "  table(\"t\", by: b, n: count())\n"
        "}\n";
    const char *file = child_text(c, "kept.nin", program), *cache = child_path(c, "cache"),
               *out = child_path(c, "kept");
    const char *at = path_join(c->arena, cache, "nin/objects");
    const char *list[] = {"/bin/sh", "-c", arena_printf(c->arena, "cd %s && ls -i", at), NULL};
    const char *sums[] = {"/bin/sh", "-c", arena_printf(c->arena, "cd %s && sha256sum *", at), NULL};
    const char *damage[] = {"/bin/sh", "-c", arena_printf(c->arena, "cd %s && for f in *; do echo x >> $f; done", at),
                            NULL};
    const char *files[2], *bytes[2];
    setenv("XDG_CACHE_HOME", cache, 1);
    for (int turn = 0; turn < 3; turn++) {
        Outcome o = child_run(c, "run", file, "--out", out, NULL);
        expect_status(&o, RUN_OK);
        if (turn < 2) files[turn] = process_run(c->arena, list, CHILD_TIME).out;
        if (turn == 0) bytes[0] = process_run(c->arena, sums, CHILD_TIME).out;
        if (turn == 1) process_run(c->arena, damage, CHILD_TIME);
    }
    bytes[1] = process_run(c->arena, sums, CHILD_TIME).out;
    unsetenv("XDG_CACHE_HOME");
    assert_true(strlen(bytes[0]) > 64);
    assert_string_equal(files[0], files[1]);
    assert_string_equal(bytes[0], bytes[1]);
}

/* ---- without the plugin: what needs no compiler works, what does says so ---- */

static void test_no_compiler(void **state)
{
    Child *c = *state;
    char *bytes, *error;
    size_t length;
    const char *file = child_text(c, "small.nin", small);
    assert_true(file_read(c->arena, c->nin, 0, &bytes, &length, &error));
    Child lone = {c->arena, child_bytes(c, "nin", bytes, length), c->folder};
    chmod(lone.nin, 0755);
    Outcome o = child_run(&lone, "check", file, NULL);
    expect_status(&o, RUN_OK);
    o = child_run(&lone, "test", file, NULL);
    expect_status(&o, RUN_OK);
    o = child_run(&lone, "run", file, "--backend=interpret", "--out", child_path(c, "interpreted"), NULL);
    expect_status(&o, RUN_OK);
    o = child_run(&lone, "run", file, "--out", child_path(c, "compiled"), NULL);
    expect_status(&o, MACHINE_FAULT);
    expect_text(o.err, "libnin-llvm.so");
}

/* ---- data that is not as it should be: a clear error, exit 3, nothing written ---- */

typedef struct BadData { const char *what, *arguments, *message; } BadData;

static void idx(Child *c, const char *name, unsigned type, unsigned rows, size_t bytes)
{
    unsigned char file[64] = {0, 0, (unsigned char)type, 3, 0, 0, 0, (unsigned char)rows, 0, 0, 0, 2, 0, 0, 0, 2};
    child_bytes(c, name, file, 16 + bytes);
}

static void test_bad_data(void **state)
{
    Child *c = *state;
    static const BadData cases[] = {
        {"missing", "file: \"absent.csv\"", "absent.csv is not in"},
        {"not a number", "file: \"nan.csv\"", "must not hold missing or infinite numbers"},
        {"cut", "file: \"short.csv\"", "the line ends after 2 of 3 fields"},
        {"idx cut", "file: \"cut.idx\", target: \"labels.csv\"", "cut.idx"},
        {"idx magic", "file: \"magic.idx\", target: \"labels.csv\"", "magic.idx"},
        {"npy cut", "file: \"tiny.npy\", target: \"labels.csv\"", "tiny.npy"},
        {"shape", "file: \"good.csv\", shape: [3]", "[3]"},
        {"outside", "file: \"../../../etc/passwd\"", "outside"},
    };
    child_text(c, "nan.csv", "1,2,0\n3,4,1\n5,nan,0\n");
    child_text(c, "short.csv", "1,2,0\n3,4\n");
    child_text(c, "good.csv", "1,2,0\n3,4,1\n5,6,0\n");
    child_text(c, "tiny.npy", "x");
    idx(c, "cut.idx", 8, 2, 5);
    idx(c, "magic.idx", 7, 2, 8);
    for (int i = 0; i < COUNT(cases); i++) {
        const char *text = arena_printf(c->arena, "data = dataset(\"mine\", %s)\n"
                                        "net n(x: f32[2]) -> f32[1] = dense[1](x)\n"
                                        "experiment e {\n  for seed in 1..1 {\n"
                                        "    run = train(n, on: data, with: session(learn: all, loss: mse, "
                                        "optimizer: adam[lr: 0.1],\n"
                                        "                batch: all, epochs: 2), seed: seed)\n"
                                        "    record(l: run.train_loss)\n  }\n  table(\"t\", l: mean(l))\n}\n",
                                        cases[i].arguments);
        const char *file = child_text(c, "data.nin", text), *out = child_path(c, "data-out");
        Outcome o = child_run(c, "run", file, "--data", c->folder, "--out", out, NULL);
        if (o.status != MACHINE_FAULT && o.status != PROGRAM_FAULT)
            fail_msg("%s: exit %d\n%s%s", cases[i].what, o.status, o.out, o.err);
        if (!strstr(o.err, cases[i].message))
            fail_msg("%s: \"%s\" is missing in\n%s", cases[i].what, cases[i].message, o.err);
        if (i < 3)
            assert_int_equal(o.status, MACHINE_FAULT);
        assert_int_not_equal(access(out, F_OK), 0);
    }
}

/* Files of the program's own lie beside it, whatever folder it is run from; columns that are asked for are there. */
static void test_data_beside(void **state)
{
    Child *c = *state;
    child_text(c, "flowers.csv", "long,wide,kind\n1,2,rose\n3,4,aster\n5,6,rose\n");
    const char *file = child_text(c, "beside.nin", "d = dataset(\"mine\", file: \"flowers.csv\", classes: 2)\n");
    Outcome o = child_run(c, "eval", file, "[d.y[i] for i in 1..3]", NULL);
    expect_text(o.out, "[1, 0, 1]");
    file = child_text(c, "beside.nin", "w = dataset(\"mine\", file: \"flowers.csv\", classes: 2, target: 0)\n"
                                  "k = dataset(\"mine\", file: \"flowers.csv\", classes: 2, target: \"kind\")\n"
                                  "n = dataset(\"mine\", file: \"nothing.csv\")\n");
    o = child_run(c, "check", file, NULL);
    expect_text(o.err, "target: of a csv says how many of its last columns are targets, at least 1");
    expect_text(o.err, "the columns of targets stand last");
    expect_text(o.err, "put it beside the program, or name its folder: --data FOLDER");
}

/* E0902: weights of another net, in the output folder. */
static void test_bad_weights(void **state)
{
    Child *c = *state;
    const char *out = child_path(c, "weights-out");
    const char *make = "data = examples(x: [[0, 0], [0, 1]], y: [0, 1])\n"
                       "net n(x: f32[2]) -> f32[1] = dense[1](dense[%d](x))\n"
                       "how = session(learn: all, loss: mse, optimizer: adam[lr: 0.1], batch: all, epochs: 2)\n%s";
    const char *record =
        "experiment e { for seed in 1..1 { record(model: train(n, on: data, with: how, seed: seed).model) }\n"
        "  table(\"t\", n: count()) }\n";
    const char *load = "test \"t\" { m = load(\"results/made/e/1.safetensors\", as: n)\n  check(count(m) == 1) }\n";
    Outcome o = child_run(c, "run", child_text(c, "made.nin", arena_printf(c->arena, make, 3, record)), "--out", out,
                          NULL);
    expect_status(&o, RUN_OK);
    o = child_run(c, "test", child_text(c, "other.nin", arena_printf(c->arena, make, 4, load)), "--out", out, NULL);
    expect_status(&o, PROGRAM_FAULT);
    expect_text(o.err, "E0902");
}

/* ---- R0103: folders and streams that take nothing ---- */

static void test_out_folder(void **state)
{
    Child *c = *state;
    const char *file = child_text(c, "small.nin", small), *taken = child_text(c, "taken", "mine");
    char *bytes, *error;
    size_t length;
    Outcome o = child_run(c, "run", file, "--out", taken, NULL);
    expect_status(&o, MACHINE_FAULT);
    expect_text(o.err, "R0103");
    assert_true(file_read(c->arena, taken, 0, &bytes, &length, &error));
    assert_string_equal(bytes, "mine");
    o = child_run(c, "run", file, "--out", "/proc/nin", NULL);
    expect_status(&o, MACHINE_FAULT);
    expect_text(o.err, "/proc/nin");
}

static void test_full_output(void **state)
{
    Child *c = *state;
    const char *file = child_text(c, "small.nin", small);
    const char *argv[] = {"/bin/sh", "-c", arena_printf(c->arena, "'%s' eval '%s' 1 > /dev/full", c->nin, file), NULL};
    Outcome o = process_run(c->arena, argv, CHILD_TIME);
    expect_status(&o, MACHINE_FAULT);
    const char *piped[] = {"/bin/sh", "-c",
                           arena_printf(c->arena, "'%s' dump '%s' --stage=asm | head -n 1", c->nin, file), NULL};
    o = process_run(c->arena, piped, CHILD_TIME);
    expect_status(&o, RUN_OK);
    assert_string_equal(o.err, "");
}

/* nin alone: the prompt where somebody types or a text comes, else what it can do. */
static void test_alone(void **state)
{
    Child *c = *state;
    const char *text = child_text(c, "lines", "cell twice(x) = 2 * x\ntwice(21)\n");
    const char *piped[] = {"/bin/sh", "-c", arena_printf(c->arena, "cat '%s' | '%s'", text, c->nin), NULL};
    Outcome o = process_run(c->arena, piped, CHILD_TIME);
    expect_status(&o, RUN_OK);
    expect_text(o.out, "\n42\n");
    const char *from_file[] = {"/bin/sh", "-c", arena_printf(c->arena, "'%s' < '%s'", c->nin, text), NULL};
    Outcome same = process_run(c->arena, from_file, CHILD_TIME);
    assert_string_equal(same.out, o.out);
    const char *nothing[] = {"/bin/sh", "-c", arena_printf(c->arena, "'%s' < /dev/null", c->nin), NULL};
    o = process_run(c->arena, nothing, CHILD_TIME);
    expect_status(&o, WRONG_USE);
    expect_text(o.out, "nin COMMAND --help");
}

/* ---- Ctrl-C: what was recorded is kept, whole ---- */

static void whole_lines(Child *c, const char *path)
{
    char *bytes, *error;
    size_t length;
    if (!file_read(c->arena, path, 0, &bytes, &length, &error))
        return;
    assert_true(length == 0 || bytes[length - 1] == '\n');
    for (char *line; (line = strsep(&bytes, "\n")) && *line;)
        assert_true(line[0] == '{' && line[strlen(line) - 1] == '}');
}

static void test_interrupt(void **state)
{
    Child *c = *state;
    const char *out = child_path(c, "interrupted");
    char text[2048];
    snprintf(text, sizeof text, "%s", small);
    memcpy(strstr(text, "1..3"), "1..9", 4);
    const char *file = child_text(c, "long.nin", text);
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        int null = open("/dev/null", O_RDWR);
        dup2(null, 1);
        dup2(null, 2);
        execl(c->nin, c->nin, "run", file, "--set", "epochs=100000000", "--threads", "1", "--out", out, (char *)NULL);
        _exit(127);
    }
    assert_true(pid > 0);
    usleep(1500000);
    kill(pid, SIGINT);
    int status = 0;
    for (int i = 0; i < 200 && waitpid(pid, &status, WNOHANG) == 0; i++) {
        usleep(100000);
        if (i == 199)
            kill(pid, SIGKILL);
    }
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), MACHINE_FAULT);
    whole_lines(c, path_join(c->arena, out, "long/e/records.jsonl"));
    const char *argv[] = {"/usr/bin/find", out, "-name", "*.tmp*", NULL};
    assert_string_equal(process_run(c->arena, argv, CHILD_TIME).out, "");
}

/* ---- what is shown, what is kept ---- */

static void test_warned_once(void **state)
{
    Child *c = *state;
    Outcome o = child_run(c, "run", child_text(c, "watched.nin", watched), "--out", child_path(c, "o"), NULL);
    expect_status(&o, RUN_OK);
    const char *first = strstr(o.err, "W0611");
    assert_non_null(first);
    assert_null(strstr(first + 1, "W0611"));
}

/* Runs the program on one thread; more than `most` kB of memory at its peak fails. */
static void run_within(Child *c, const char *file, const char *epochs, const char *out, long most)
{
    struct rusage use;
    const char *options = getenv("ASAN_OPTIONS");
    char *before = arena_printf(c->arena, "%s", options ? options : "");
    setenv("ASAN_OPTIONS", arena_printf(c->arena, "%s:quarantine_size_mb=1", before), 1);
    Outcome o = child_run(c, "run", file, "--set", epochs, "--quiet", "--threads", "1", "--out", child_path(c, out),
                          NULL);
    setenv("ASAN_OPTIONS", before, 1);
    expect_status(&o, RUN_OK);
    assert_int_equal(getrusage(RUSAGE_CHILDREN, &use), 0);
    assert_in_range(use.ru_maxrss, 1, most);
}

/* Looking at a model while it trains keeps nothing: 2000 times 50 000 outputs would be 400 MB. */
static void test_looking_keeps_nothing(void **state)
{
    Child *c = *state;
    run_within(c, child_text(c, "watched.nin", watched), "epochs=2000", "long", 380000);
}

/* A turn that trains and records a number gives its memory back: 40 times 10 MB of weights and moments. */
static void test_turns_keep_nothing(void **state)
{
    static const char turns[] =
        "rows = samples(first, over: [-1..1], points: 10, seed: 1)\n"
        "fn first(a) = a\n"
        "net wide(x: f32[1]) -> f32[1] = dense[1](dense[500](tanh(dense[500](x))))\n"
        "experiment e(epochs: int = 3) {\n"
        "  for seed in 1..40 {\n"
        "    rule = session(learn: all, loss: mse, optimizer: adam[lr: 1e-3], batch: all, epochs: epochs)\n"
        "    for again in [false, true] {\n"
        "      record(loss: train(wide, on: rows, with: rule, seed: seed).train_loss)\n"
        "    }\n"
        "  }\n"
        "  table(\"t\", loss: mean(loss), n: count())\n"
        "}\n";
    Child *c = *state;
    run_within(c, child_text(c, "turns.nin", turns), "epochs=1", "turns", 280000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        /* the first children: later ones may be larger */
        cmocka_unit_test(test_turns_keep_nothing), cmocka_unit_test(test_looking_keeps_nothing),
        cmocka_unit_test(test_warned_once),
        cmocka_unit_test(test_use), cmocka_unit_test(test_mistyped), cmocka_unit_test(test_manual),
        cmocka_unit_test(test_values), cmocka_unit_test(test_data), cmocka_unit_test(test_text),
        cmocka_unit_test(test_empty_panel), cmocka_unit_test(test_strategies_noted), cmocka_unit_test(test_tables_kept),
        cmocka_unit_test(test_corrupt), cmocka_unit_test(test_no_compiler), cmocka_unit_test(test_bad_data),
        cmocka_unit_test(test_data_beside), cmocka_unit_test(test_bad_weights), cmocka_unit_test(test_out_folder),
        cmocka_unit_test(test_full_output),
        cmocka_unit_test(test_alone), cmocka_unit_test(test_interrupt),
    };
    return cmocka_run_group_tests(tests, child_open, child_close);
}
