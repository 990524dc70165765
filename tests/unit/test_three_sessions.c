/* test_three_sessions.c -- a study of all three sessions, with augmentation, kept epochs and measures: the same bits on
 * one thread, on two, and in two shards that are merged; found again, not trained again, by the same call, and only by
 * it. */
#define _GNU_SOURCE
#include "child.h"

#include <sys/stat.h>

static const char study[] =
    "digits = dataset(\"digits\", shape: [8, 8], normalize: affine(mean: 0.5, sd: 0.5), valid: 300, test: 300)\n"
    "cell bend[n: int](x: f32[n]) = dense[1](tanh(dense[4](x)))\n"
    "net mlp(x: f32[8, 8]) -> f32[10] = dense[10](layernorm[affine: false](apply(bend[2], dense[32](flatten(x)))))\n"
    "fn own(y, target) = FACTOR * cross_entropy(y, target)\n"
    "fn top(y, target) = max(y)\n"
    "first = session(fit: cells, to: smooth_noise(points: 15, over: -5..5, sigma: 1), loss: mse, "
    "optimizer: adam[lr: 1e-2],\n"
    "                batch: 25, epochs: 4)\n"
    "second = session(learn: all, loss: own, optimizer: adam[lr: 5e-3], batch: 32, epochs: 4, augment: [pad_crop[1], "
    "flip],\n"
    "                 stop: patience(3, valid_loss), take: best(valid_loss), clip: 5)\n"
    "third = session(learn: outer, reset: outer, loss: cross_entropy, optimizer: sgd[lr: 0.05, momentum: 0.9], "
    "batch: 32,\n"
    "                epochs: 3, against: pgd[eps: 0.05, steps: 2])\n"
    "experiment e {\n"
    "  for seed in 1..3 {\n"
    "    run = train(mlp, on: digits, with: { a: first, b: second, c: third }, seed: seed, keep: [0, 2], "
    "measure: { top: top })\n"
    "    record(curve: run.curve, hash: run.model.hash, accuracy: run.test_accuracy,\n"
    "           middle: accuracy(snapshot(run, session: \"b\", epoch: 2), on: digits.test),\n"
    "           way: trace(run, [\"dense[2].w[1, 1]\"]), top: run.test_top, seen: cell_inputs(run.model, "
    "on: digits.test),\n"
    "           fit: quadratic_fit[over: region(cell_inputs(run.model, on: digits), 0.9)](run.model.cell).interval,\n"
    "           degrees: spectrum(run.model.cell, under: cell_inputs(run.model, on: digits)).power)\n"
    "  }\n"
    "  table(\"t\", accuracy: mean(accuracy), n: count())\n"
    "}\n";

static const char *study_file(Child *c, const char *name, const char *factor)
{
    char *text = arena_copy(c->arena, study, sizeof study), *at = strstr(text, "FACTOR");
    const char *rest = at + strlen("FACTOR");
    *at = 0;
    return child_text(c, name, arena_printf(c->arena, "%s%s%s", text, factor, rest));
}

static char *records(Child *c, const char *folder)
{
    char *bytes, *error = NULL;
    size_t length;
    if (!file_read(c->arena, path_join(c->arena, folder, "records.jsonl"), 0, &bytes, &length, &error))
        fail_msg("%s", error);
    return bytes;
}

/* "inode name" of each file of this name among the runs, sorted; how many. */
static const char *run_files(Child *c, const char *out, const char *name, int *count)
{
    const char *argv[] = {
        "/usr/bin/find", path_join(c->arena, out, "runs"), "-name", name, "-printf", "%i %P\\n", NULL};
    const char *sort[] = {"/bin/sh", "-c", "", NULL};
    Outcome o = process_run(c->arena, argv, CHILD_TIME);
    sort[2] = arena_printf(c->arena, "printf '%%s' '%s' | sort -k 2", o.out);
    o = process_run(c->arena, sort, CHILD_TIME);
    *count = 0;
    for (const char *p = o.out; *p; p++)
        *count += *p == '\n';
    return o.out;
}

static void run_study(Child *c, const char *file, const char *out, const char *threads, const char *shard)
{
    Outcome o = shard ? child_run(c, "run", file, "--out", out, "--threads", threads, "--shard", shard, NULL)
                      : child_run(c, "run", file, "--out", out, "--threads", threads, NULL);
    expect_status(&o, 0);
}

static void test_bits(void **state)
{
    Child *c = *state;
    const char *file = study_file(c, "study.nin", "1"), *one = child_path(c, "one"), *two = child_path(c, "two");
    const char *both = child_path(c, "both"), *merged = child_path(c, "merged");
    run_study(c, file, one, "1", NULL);
    const char *want = records(c, path_join(c->arena, one, "study/e"));
    run_study(c, file, two, "2", NULL);
    assert_string_equal(records(c, path_join(c->arena, two, "study/e")), want);
    run_study(c, file, both, "1", "1/2");
    run_study(c, file, both, "2", "2/2");
    Outcome o = child_run(c, "results", "merge", both, "--out", merged, NULL);
    expect_status(&o, 0);
    assert_string_equal(records(c, path_join(c->arena, merged, "study/e")), want);
    expect_text(want, "\"hash\":\"");
    const char *hash = strstr(want, "\"hash\":\"");
    assert_non_null(strstr(hash + 1, "\"hash\":\""));                  /* the seeds' models differ */
    assert_true(strncmp(hash, strstr(hash + 1, "\"hash\":\""), 72) != 0);
}

static void test_found(void **state)
{
    Child *c = *state;
    const char *file = study_file(c, "study.nin", "1"), *out = child_path(c, "found");
    int n, kept;
    run_study(c, file, out, "2", NULL);
    const char *want = records(c, path_join(c->arena, out, "study/e"));
    const char *weights = run_files(c, out, "weights.safetensors", &n);
    run_files(c, out, "kept-*", &kept);
    assert_int_equal(n, 9);                                             /* 3 seeds, the end of each session */
    assert_int_equal(kept, 9);
    run_study(c, file, out, "2", NULL);                                 /* nothing is written anew */
    assert_string_equal(records(c, path_join(c->arena, out, "study/e")), want);
    assert_string_equal(run_files(c, out, "weights.safetensors", &n), weights);
    /* a damaged file is as none: the run is trained again, to the same records */
    const char *argv[] = {
        "/bin/sh", "-c", arena_printf(c->arena, "for f in '%s'/runs/*/kept-*; do printf x >> \"$f\"; done", out), NULL};
    Outcome o = process_run(c->arena, argv, CHILD_TIME);
    expect_status(&o, 0);
    run_study(c, file, out, "1", NULL);
    assert_string_equal(records(c, path_join(c->arena, out, "study/e")), want);
    assert_string_not_equal(run_files(c, out, "weights.safetensors", &n), weights);
    assert_int_equal(n, 9);
}

/* The body of a loss is part of what a run is: with another one the old runs are not taken for it. */
static void test_other_loss(void **state)
{
    Child *c = *state;
    const char *out = child_path(c, "loss");
    int n;
    run_study(c, study_file(c, "study.nin", "1"), out, "2", NULL);
    const char *one = records(c, path_join(c->arena, out, "study/e"));
    run_study(c, study_file(c, "study.nin", "0.5"), out, "2", NULL);
    assert_string_not_equal(records(c, path_join(c->arena, out, "study/e")), one);
    run_files(c, out, "weights.safetensors", &n);
    assert_int_equal(n, 15);                                            /* the first session is shared */
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_bits), cmocka_unit_test(test_found),
                                       cmocka_unit_test(test_other_loss)};
    return cmocka_run_group_tests(tests, child_open, child_close);
}
