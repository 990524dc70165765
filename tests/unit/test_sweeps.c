/* test_sweeps.c -- sweeps whose trials run in lanes leave the records and the weights of trials one by one (the
 * interpreter has no lanes): any number of trials, settings in the loop, measures, classes, a second training in a
 * turn, trials that diverge; shards, one and two threads, an interrupt. */
#define _GNU_SOURCE
#include "child.h"

#include <signal.h>

static const char study[] =
    "xor = examples(x: [[-1, -1], [-1, 1], [1, -1], [1, 1]], y: [0, 1, 1, 0])\n"
    "signs = blobs(points: 12, classes: 3, seed: 1)\n"
    "net neuron(x: f32[2]) -> f32[1] = prelu[0](dense[1, bias: 0](x))\n"
    "net noisy(x: f32[2]) -> f32[1] = dense[1](dropout[0.2](tanh(dense[3](x))))\n"
    "net sorted(x: f32[2]) -> f32[3] = dense[3](x)\n"
    "fn close(y: f32[1], target: f32[1]) = abs(y - target) < 0.5\n"
    "fn fit(lr: real, momentum: real = 0) =\n"
    "  session(learn: all, loss: mse, optimizer: sgd[lr: lr, momentum: momentum], batch: all, epochs: 90)\n"
    "experiment plain(n: int = 17) {\n"
    "  for net in [neuron, noisy], seed in 1..n {\n"
    "    run = train(net, on: xor, with: fit(0.2), seed: seed, measure: { near: close })\n"
    "    record(curve: run.curve, model: run.model)\n"
    "  }\n"
    "  table(\"t\", n: count())\n"
    "}\n"
    "experiment settings(n: int = 17) {\n"
    "  for lr in [0.01, 0.5], momentum in [0, 0.9], seed in 1..n {\n"
    "    first = train(neuron, on: xor, with: fit(lr, momentum: momentum), seed: seed)\n"
    "    again = train(first.model, on: xor, with: fit(0.1), seed: seed)\n"
    "    record(a: first.curve.train_loss, b: again.curve.train_loss, right: mean(measure(again.model, close, "
    "on: xor)))\n"
    "  }\n"
    "  table(\"t\", n: count())\n"
    "}\n"
    "experiment diverging(n: int = 17) {\n"
    "  for lr in [0.1, 1e30], seed in 1..n {\n"
    "    run = train(neuron, on: xor, with: fit(lr), seed: seed)\n"
    "    record(gone: run.diverged, curve: run.curve, model: run.model)\n"
    "  }\n"
    "  table(\"t\", n: count())\n"
    "}\n"
    "experiment classes(n: int = 17) {\n"
    "  for seed in 1..n {\n"
    "    rule = session(learn: all, loss: cross_entropy, optimizer: adam[lr: 0.01 * seed], batch: all, epochs: 30)\n"
    "    run = train(sorted, on: signs, with: rule, seed: seed, precision: f64)\n"
    "    record(curve: run.curve, model: run.model)\n"
    "  }\n"
    "  table(\"t\", n: count())\n"
    "}\n";

static const char *sweep(Child *c, const char *file, const char *experiment, int n, const char *a, const char *b)
{
    const char *out = child_path(c, arena_printf(c->arena, "%s-%d%s%s", experiment, n, a, b));
    const char *set = arena_printf(c->arena, "n=%d", n);
    Outcome o = child_run(c, "run", file, "--quiet", "--experiment", experiment, "--set", set, "--out", out, a, b,
                          NULL);
    expect_status(&o, 0);
    char *found = child_hashes(c, out, "study");
    expect_text(found, "records.jsonl");
    return found;
}

static void same(Child *c, const char *experiment)
{
    static const int counts[] = {1, 15, 17, 33};
    const char *file = child_text(c, "study.nin", study);
    for (int i = 0; i < COUNT(counts); i++) {
        const char *one = sweep(c, file, experiment, counts[i], "--backend=interpret", "--threads=1");
        assert_string_equal(one, sweep(c, file, experiment, counts[i], "--opt=2", "--threads=1"));
        assert_string_equal(one, sweep(c, file, experiment, counts[i], "--opt=2", "--threads=2"));
    }
}

static void test_plain(void **state) { same(*state, "plain"); }
static void test_settings(void **state) { same(*state, "settings"); }
static void test_diverging(void **state) { same(*state, "diverging"); }
static void test_classes(void **state) { same(*state, "classes"); }

static void test_shards(void **state)
{
    Child *c = *state;
    const char *file = child_text(c, "study.nin", study), *part[3], *merged = child_path(c, "merged"),
               *whole = child_path(c, "whole");
    Outcome o = child_run(c, "run", file, "--quiet", "--experiment", "plain", "--out", whole, NULL);
    expect_status(&o, 0);
    for (int i = 0; i < 3; i++) {
        part[i] = child_path(c, arena_printf(c->arena, "part%d", i));
        o = child_run(c, "run", file, "--quiet", "--experiment", "plain", "--out", part[i], "--shard",
                      arena_printf(c->arena, "%d/3", i + 1), NULL);
        expect_status(&o, 0);
    }
    o = child_run(c, "results", "merge", part[0], part[1], part[2], "--out", merged, NULL);
    expect_status(&o, 0);
    assert_string_equal(child_hashes(c, merged, "study"), child_hashes(c, whole, "study"));
}

/* Interrupted in the middle, a sweep ends as an interrupted program does, and the next call gives all of it. */
static void test_interrupt(void **state)
{
    Child *c = *state;
    const char *file = child_text(c, "study.nin", study), *out = child_path(c, "stopped");
    const char *argv[] = {"/bin/sh", "-c", arena_printf(c->arena,
        "timeout -s INT 0.4 '%s' run '%s' --quiet --experiment settings --set n=30000 --out '%s'; test $? -ne 0",
        c->nin, file, out), NULL};
    Outcome o = process_run(c->arena, argv, CHILD_TIME);
    expect_status(&o, 0);
    o = child_run(c, "run", file, "--quiet", "--experiment", "settings", "--out", out, NULL);
    expect_status(&o, 0);
    assert_string_equal(child_hashes(c, out, "study"),
                        sweep(c, file, "settings", 17, "--backend=interpret", "--threads=2"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain), cmocka_unit_test(test_settings), cmocka_unit_test(test_classes),
        cmocka_unit_test(test_diverging), cmocka_unit_test(test_shards), cmocka_unit_test(test_interrupt),
    };
    return cmocka_run_group_tests(tests, child_open, child_close);
}
