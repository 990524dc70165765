/* test_repl.c -- the prompt as a library: memory of what was replaced, completion, and inputs damaged by the
 * hundred. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "driver/repl.h"
#include "support/file.h"
#include "support/rng.h"

static char *read_program(Arena *arena, const char *path, size_t *length, const char **error)
{
    char *bytes, *why = NULL;
    if (file_read(arena, path, 1 << 20, &bytes, length, &why))
        return bytes;
    *error = why;
    return NULL;
}

typedef struct Desk {
    Arena *arena; char folder[64]; Session *session; Lab *lab; Repl *repl; Buf out;
    int calls, stop;                                    /* an interrupt at the stop-th look; 0: never */
} Desk;

static void put(void *data, const char *text, size_t length) { buf_put(&((Desk *)data)->out, text, length); }
static bool stopped(void *data)
{
    Desk *d = data;
    return d->stop && ++d->calls >= d->stop;
}

static Desk *desk_open(void)
{
    Desk *d = calloc(1, sizeof *d);
    d->arena = arena_new();
    d->session = session_new(lab_builtin_table(d->arena));
    strcpy(d->folder, P_tmpdir "/nin-test-XXXXXX");
    assert_non_null(mkdtemp(d->folder));
    d->session->out_folder = d->folder;
    LabOptions options = {.code = {.opt_level = 0, .plugin = NIN_PLUGIN}, .threads = 1, .keep_interrupted = true,
                          .interrupted = stopped, .interrupted_data = d, .program = "prompt", .program_hash = ""};
    d->lab = lab_new(d->session, &options);
    ReplOptions repl = {.put = put, .data = d, .width = 80, .height = 24};
    d->repl = repl_new(d->session, d->lab, &repl);
    return d;
}

static void desk_close(Desk *d)
{
    lab_free(d->lab);
    repl_free(d->repl);
    session_free(d->session);
    assert_int_equal(system(arena_printf(d->arena, "rm -rf %s", d->folder)), 0);
    arena_free(d->arena);
    buf_free(&d->out);
    free(d);
}

static ReplStatus input(Desk *d, const char *text)
{
    d->out.len = 0;
    ReplStatus status = repl_input(d->repl, text, true);
    buf_put(&d->out, "", 1);
    return status;
}

static void must(Desk *d, const char *text)
{
    if (input(d, text) != REPL_DONE)
        fail_msg("%s\n%s", text, d->out.at);
}

static void study(Desk *d)
{
    must(d, "xor = examples(x: [[-1, -1], [-1, 1], [1, -1], [1, 1]], y: [0, 1, 1, 0])");
    must(d, "cell act(x1, x2) { param k = 1.0; k * tanh(x1) * tanh(x2) }");
    must(d, "net neuron(x: f32[2]) -> f32[1] = apply(act, dense[act.arity](x))");
    must(d, "fn fit(lr: real) = session(learn: all, loss: mse, optimizer: adam[lr: lr], batch: all, epochs: 20)");
    must(d, "kept = train(neuron, on: xor, with: fit(0.1), seed: 1)");
}

/* The most memory that rounds from..to leave between inputs. */
static size_t rounds(Desk *d, int from, int to, bool train, size_t *programs)
{
    size_t most = 0;
    char text[160];
    for (int i = from; i < to; i++) {
        snprintf(text, sizeof text, "cell act(x1, x2) { param k = %d.0; k * tanh(x1) * tanh(x2) + x1 / %d }", i % 7,
                 i + 2);
        must(d, text);
        if (train && i % 10 == 0)
            must(d, "run = train(neuron, on: xor, with: fit(0.1), seed: 1)");
        must(d, "act(0.5, 0.25)");
        size_t now = mallinfo2().uordblks + repl_bytes(d->repl);
        most = now > most ? now : most;
        *programs = repl_programs(d->repl) > *programs ? repl_programs(d->repl) : *programs;
    }
    return most;
}

/* A cell defined a thousand times, with trainings of a net that uses it: what was replaced goes, with its code. */
static void replaced_is_freed(void **state)
{
    (void)state;
    Desk *d = desk_open();
    size_t programs = 0;
    study(d);
    size_t first = rounds(d, 0, 300, true, &programs), later = rounds(d, 300, 1000, true, &programs);
    if (later > first + (2 << 20))
        fail_msg("%zu bytes after 300 definitions, %zu after 1000", first, later);
    assert_true(programs < 40);
    must(d, "kept.model.act.k");                            /* what was computed before is still there */
    must(d, "predict(kept.model, xor.x)");
    desk_close(d);
}

/* Values that hold others keep them, whatever their names become. */
static void held_is_kept(void **state)
{
    (void)state;
    Desk *d = desk_open();
    size_t programs = 0;
    study(d);
    must(d, "answers = predict(kept.model, xor.x)");
    must(d, "old = kept.model");
    must(d, "part = old.act");
    must(d, "table = { model: old, part: part, list: [old, old] }");
    must(d, "kept = 1");
    must(d, "old = 2");
    rounds(d, 0, 200, true, &programs);
    must(d, "net neuron(x: f32[2]) -> f32[1] = dense[1](x)");
    rounds(d, 200, 400, false, &programs);
    must(d, "test \"same\" { check(predict(table.model, xor.x) == answers) }");
    must(d, "test \"cell\" { check(part(0.5, 0.5) == table.list[2].act(0.5, 0.5)) }");
    must(d, "part");
    must(d, "table");
    must(d, "cell step(x) = 2 * x");
    must(d, "net one(x: f32[1]) -> f32[1] = step(dense[1, bias: none](x))");
    must(d, "[first, answer] = [fresh(one, 1), predict(fresh(one, 1), [[1]])]");
    must(d, "cell step(x) = 4 * x");
    must(d, "test \"old\" { check(predict(first, [[1]]) == answer) }");
    must(d, "test \"new\" { check(abs(predict(fresh(one, 1), [[1]])[1][1] - 2 * answer[1][1]) < 1e-6) }");
    desk_close(d);
}

/* A program that is loaded again and again, as one does who edits it: what it was goes, and what was computed from it
 * stays. */
static void loaded_again_is_freed(void **state)
{
    static const char program[] =
        "use helper: twice\n## %d\ncell act(x1, x2) { param k = %d.0; k * tanh(x1) * tanh(x2) }\n"
        "net neuron(x: f32[2]) -> f32[1] = apply(act, dense[act.arity](x))\nlist = [twice(k) for k in 1..1000]\n"
        "fn fit(lr: real) = session(learn: all, loss: mse, optimizer: adam[lr: lr], batch: all, epochs: 20)\n"
        "xor = examples(x: [[-1, -1], [-1, 1], [1, -1], [1, 1]], y: [0, 1, 1, 0])\n"
        "experiment e { for s in 1..2 { record(loss: train(neuron, on: xor, with: fit(0.1), seed: s).train_loss) } }\n"
        "test \"sums\" { check(list[1] == %d) }\n";
    (void)state;
    Desk *d = desk_open();
    size_t first = 0, later = 0;
    char *path = arena_printf(d->arena, "%s/p.nin", d->folder), *error = NULL;
    d->session->read_file = read_program;
    const char *helper = "fn twice(x) = 2 * x\n";
    assert_true(file_write(d->arena, arena_printf(d->arena, "%s/helper.nin", d->folder), helper, strlen(helper),
                           FILE_NO_SYNC, &error));
    for (int i = 0; i < 600; i++) {
        Arena *scratch = arena_new();
        const char *text = arena_printf(scratch, program, i, i % 7 + 1, 2);
        assert_true(file_write(scratch, path, text, strlen(text), FILE_NO_SYNC, &error));
        arena_free(scratch);
        must(d, i ? ":reload" : arena_printf(d->arena, ":load %s", path));
        must(d, "list[3]");
        assert_string_equal(d->out.at, "6\n");
        if (i == 5) {
            must(d, "kept = train(neuron, on: xor, with: fit(0.1), seed: 1)");
            must(d, "answers = predict(kept.model, xor.x)");
        }
        if (i % 100 == 7)
            must(d, ":run e");
        size_t now = mallinfo2().uordblks + repl_bytes(d->repl);
        size_t *most = i < 250 ? &first : &later;
        *most = now > *most ? now : *most;
    }
    if (later > first + (8 << 20))
        fail_msg("%zu bytes in 250 loads, %zu in the next", first, later);
    must(d, "test \"same\" { check(predict(kept.model, xor.x) == answers) }");
    must(d, "kept.model.act.k");
    desk_close(d);
}

/* What a program binds is evaluated when it is first asked for; it stays, however long after the loading that was. */
static void late_values_stay(void **state)
{
    static const char program[] = "net n(x: f32[2]) -> f32[1] = tanh(dense[1](x))\nm = fresh(n, seed: 1)\n";
    (void)state;
    Desk *d = desk_open();
    char *path = arena_printf(d->arena, "%s/p.nin", d->folder), *error = NULL;
    d->session->read_file = read_program;
    assert_true(file_write(d->arena, path, program, strlen(program), FILE_NO_SYNC, &error));
    must(d, arena_printf(d->arena, ":load %s", path));
    for (int i = 0; i < 300; i++)
        must(d, "1");
    must(d, "y = predict(m, [[1, 2]])");
    for (int i = 0; i < 300; i++)
        must(d, arena_printf(d->arena, "fresh(n, seed: %d);", i));
    must(d, "test \"same\" { check(predict(m, [[1, 2]]) == y) }");
    desk_close(d);
}

/* ---- completion ---- */

static void completes(Desk *d, const char *line, const char *word, int from)
{
    Arena *scratch = arena_new();
    ReplWords words = repl_complete(d->repl, scratch, line);
    bool found = false;
    for (int i = 0; i < words.len; i++)
        found |= strcmp(words.at[i], word) == 0;
    if (!found || words.from != from)
        fail_msg("%s: no \"%s\" at %d (%d words from %d)", line, word, from, words.len, words.from);
    arena_free(scratch);
}

static void words_are_completed(void **state)
{
    (void)state;
    Desk *d = desk_open();
    study(d);
    must(d, "facts = { first: 1, second: 2 }");
    completes(d, ":pl", "plot ", 1);
    completes(d, "lecun", "lecun_tanh", 0);
    completes(d, "1 + neu", "neuron", 4);
    completes(d, "kept.", "model", 5);
    completes(d, "kept.train_", "train_loss", 5);
    completes(d, "kept.model.", "dense", 11);
    completes(d, "kept.model.a", "act", 11);
    completes(d, "facts.s", "second", 6);
    completes(d, "xor.s", "size", 4);
    completes(d, "train(neuron, ", "seed: ", 14);
    completes(d, "train(neuron, on: xor, wi", "with: ", 23);
    completes(d, "dense[3, bi", "bias: ", 9);
    completes(d, "fit(", "lr: ", 4);
    completes(d, "prelu[0](de", "dense", 9);
    completes(d, "exp", "experiment", 0);
    completes(d, "?lecun", "lecun_tanh", 1);
    completes(d, ":set wi", "width ", 5);
    char *file = arena_printf(d->arena, "%s/study.nin", d->folder), *error = NULL;
    assert_true(file_write(d->arena, file, "x = 1\n", 6, FILE_NO_SYNC, &error));
    completes(d, arena_printf(d->arena, ":load %s/st", d->folder), file, 6);
    completes(d, arena_printf(d->arena, "load(\"%s/st", d->folder), file, 6);
    desk_close(d);
}

/* ---- an interrupt ---- */

static void interrupted_is_kept(void **state)
{
    (void)state;
    Desk *d = desk_open();
    study(d);
    must(d, "fn long(lr: real) = session(learn: all, loss: mse, optimizer: adam[lr: lr], batch: all, epochs: 100000)");
    d->stop = 6;
    must(d, "part = train(neuron, on: xor, with: long(0.01), seed: 1)");
    assert_non_null(strstr(d->out.at, "interrupted"));
    assert_int_equal(input(d, "[train(neuron, on: xor, with: long(0.01), seed: s) for s in 1..100]"), REPL_FAILED);
    d->stop = 0;
    must(d, "part.interrupted");
    assert_string_equal(d->out.at, "true\n");
    must(d, "part.model.dense.w");
    must(d, "part.train_loss");
    must(d, "fn single(n: int) = session(learn: all, loss: mse, optimizer: adam, batch: 1, epochs: n)");
    d->calls = 0, d->stop = 2;                          /* the figures are those of the last whole epoch */
    must(d, "cut = train(neuron, on: xor, with: single(100), seed: 1)");
    assert_non_null(strstr(d->out.at, "0 epochs in "));
    assert_non_null(strstr(d->out.at, ", interrupted in epoch 1, after 1 of 4\nsteps"));
    assert_non_null(strstr(d->out.at, "the figures are of whole epochs"));
    d->stop = 0;
    desk_close(d);
}

/* ---- anything may be typed ---- */

static const char *const seeds[] = {
    "cell gcu(x) = x * cos(x)", "gcu(1.0)", ":grad --latex gcu", ":plot gcu, over: -2..2",
    ":plot [relu, tanh], over: 0..1",
    "net n(x: f32[2]) -> f32[1] = apply(gcu, dense[1](x))", "run = train(n, on: xor, with: fit(0.1), seed: 1)",
    "run.curve.train_loss",
    ":plot run", ":type n", ":params n", ":ir n", ":c n", ":time gcu(2.0)", "?train", "?E0401", "?gcu", ":help plot",
    ":set width 40", ":set",
    "[mean([s for s in 1..k]) for k in 1..4]", "{ a: 1, b: [1, 2, 3], c: \"text\" }", "x = x + 1; y = [x, x]",
    "[a, b] = [1, 2]",
    "for i in 1..3 { print(i) }", "test \"t\" { check(1 == 1) }", "use kim: inner", "if true { 1 } else { 2 }",
    "xor.x[1..2]",
    "experiment e { for s in 1..2 { record(v: s) }\n table(\"t\", by: [s], v: mean(v)) }", "logspace(1e-3, 1, 4)",
    "ans", "1..", "f(", "\"",
    ":explain E0301", ":history", ":reload", ":load nothing.nin", "predict(run.model, xor.x)", "run.model", "dense[3]",
    "## doc\nfn q(x) = x",
    "cell deep(a, b, c) = a * b + c", ":plot deep", ":run", "state s = 1", "param p = 2", "fn r(x) = r(x)",
    "zeros([3, 4])", "-0.0", "1e999",
};

static void mutate(RngStream *rng, char *text, size_t room)
{
    static const char marks[] = "()[]{}:;,.=+-*/^<>\"#?@ \n\t\\0129azAZ_\303\251\377";
    size_t n = strlen(text);
    for (uint32_t k = 1 + rng_below(rng, 3); k > 0; k--) {
        size_t at = n ? rng_below(rng, (uint32_t)n) : 0;
        const char *other = seeds[rng_below(rng, COUNT(seeds))];
        switch (rng_below(rng, 5)) {
        case 0: if (n) text[at] = marks[rng_below(rng, sizeof marks - 1)]; break;
        case 1: if (n) memmove(text + at, text + at + 1, n - at); break;
        case 2:
            if (n + 1 < room) {
                memmove(text + at + 1, text + at, n - at + 1);
                text[at] = marks[rng_below(rng, sizeof marks - 1)];
            }
            break;
        case 3: text[at] = 0; break;
        case 4: if (n + strlen(other) < room) strcpy(text + at, other + rng_below(rng, (uint32_t)strlen(other))); break;
        }
        n = strlen(text);
    }
}

/* Each is answered; a good input after it is answered as ever.  Damaged names of files do not name any. */
static void any_input_is_answered(void **state)
{
    enum { INPUTS = 1500, LONGEST = 400 };
    (void)state;
    Desk *d = desk_open();
    RngStream rng = rng_stream(7, 0);
    study(d);
    for (int i = 0; i < INPUTS; i++) {
        char text[LONGEST];
        Arena *scratch = arena_new();
        strcpy(text, seeds[rng_below(&rng, COUNT(seeds))]);
        if (i >= COUNT(seeds))
            mutate(&rng, text, LONGEST);
        else
            strcpy(text, seeds[i]);
        if (!strstr(text, "to:") && !strstr(text, ":save") && !strstr(text, ":s"))
            input(d, text);
        repl_complete(d->repl, scratch, text);
        arena_free(scratch);
        if (i % 50 == 0) {
            must(d, "6 * 7");
            assert_string_equal(d->out.at, "42\n");
        }
    }
    desk_close(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(replaced_is_freed), cmocka_unit_test(held_is_kept), cmocka_unit_test(loaded_again_is_freed),
        cmocka_unit_test(late_values_stay), cmocka_unit_test(words_are_completed),
        cmocka_unit_test(interrupted_is_kept), cmocka_unit_test(any_input_is_answered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
