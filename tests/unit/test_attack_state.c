/* test_attack_state.c -- attacks kept in OUT/attacks: found again, done anew where the file is damaged or the call is
 * another. */
#define _GNU_SOURCE
#include "child.h"

#include <sys/stat.h>

static const char study[] =
    "digits = dataset(\"digits\", shape: [64], valid: 0.1, test: 0.1, normalize: affine(mean: 0.5, sd: 0.25))\n"
    "net small(x: f32[64]) -> f32[10] = dense[10](relu(dense[16](x)))\n"
    "recipe = session(learn: all, loss: cross_entropy, optimizer: adam[lr: 5e-3], batch: 50, epochs: 3)\n"
    "fn mine[eps: real = none](model, x, y) = clamp(x + eps * sign(noise(x.shape, -1..1)), model.lo, model.hi)\n"
    "fn own(y: f32[k], target: class[k]) = -pick(y, target)\n"
    "p = protocol(label: \"quick\", attacks: [mine, apgd[steps: 10], apgd[loss: own, steps: 5], square[queries: 20]], "
    "norm: linf, eps: EPS)\n"
    "experiment e {\n"
    "  for seed in 1..1 {\n"
    "    run = train(small, on: digits, with: recipe, seed: seed)\n"
    "    a = attack(run.model, with: p, on: digits.test, seed: seed)\n"
    "    record(clean: a.clean, accuracy: a.accuracy, change: a.largest_change, again: accuracy(run.model, "
    "on: a.examples))\n"
    "  }\n"
    "  table(\"t\", accuracy: mean(accuracy))\n"
    "}\n";

/* part: a text of the program that is `by` instead; or NULL. */
static char *run_changed(Child *c, const char *eps, const char *part, const char *by)
{
    char *text = arena_copy(c->arena, study, sizeof study), *change = part ? strstr(text, part) : NULL, *at, *bytes,
         *error = NULL;
    if (change) {
        *change = 0;
        text = arena_printf(c->arena, "%s%s%s", text, by, change + strlen(part));
    }
    at = strstr(text, "EPS");
    const char *rest = at + 3, *out = child_path(c, "out");
    size_t length;
    *at = 0;
    const char *file = child_text(c, "s.nin", arena_printf(c->arena, "%s%s%s", text, eps, rest));
    const char *argv[] = {c->nin, "run", file, "--out", out, "--quiet", NULL};
    Outcome o = process_run(c->arena, argv, CHILD_TIME);
    if (o.status != 0) fail_msg("%s", o.err);
    if (!file_read(c->arena, path_join(c->arena, out, "s/e/records.jsonl"), 0, &bytes, &length, &error))
        fail_msg("%s", error);
    return bytes;
}

static char *run_with(Child *c, const char *eps) { return run_changed(c, eps, NULL, NULL); }

/* Each kept attack, and when it was written. */
static const char *kept(Child *c)
{
    const char *argv[] = {
        "/bin/sh", "-c",
        arena_printf(c->arena, "cd '%s' && stat -c '%%n %%y' *", path_join(c->arena, child_path(c, "out"), "attacks")),
        NULL};
    Outcome o = process_run(c->arena, argv, CHILD_TIME);
    assert_int_equal(o.status, 0);
    return o.out;
}

static void test_found_again(void **state)
{
    Child *c = *state;
    const char *first = run_with(c, "0.05"), *files = kept(c);
    assert_string_equal(run_with(c, "0.05"), first);
    assert_string_equal(kept(c), files);
    assert_string_not_equal(run_with(c, "0.08"), first);
    assert_string_not_equal(kept(c), files);
}

/* What own fns compute counts, not their names. */
static void test_own(void **state)
{
    Child *c = *state;
    const char *first = run_with(c, "0.05"), *files = kept(c);
    run_changed(c, "0.05", "x + eps * sign", "x - eps * sign");
    const char *other = kept(c);
    assert_string_not_equal(other, files);
    run_changed(c, "0.05", "-pick(y, target)", "-2 * pick(y, target)");
    assert_string_not_equal(kept(c), other);
    other = kept(c);
    assert_string_equal(run_changed(c, "0.05", "eps: real = none", "eps: real = 0.5"), first);
    assert_string_equal(kept(c), other);
}

static void test_damaged(void **state)
{
    Child *c = *state;
    const char *first = run_with(c, "0.05");
    const char *cut[] = {"truncate -s -40", "truncate -s 5", "printf x | dd conv=notrunc bs=1 seek=60 of="};
    for (int i = 0; i < 3; i++) {
        const char *argv[] = {"/bin/sh", "-c",
                              arena_printf(c->arena, "cd '%s/attacks' && for f in *; do %s%s$f 2>/dev/null; done",
                                           child_path(c, "out"), cut[i], i < 2 ? " " : ""),
                              NULL};
        Outcome o = process_run(c->arena, argv, CHILD_TIME);
        const char *files = kept(c);
        assert_int_equal(o.status, 0);
        assert_string_equal(run_with(c, "0.05"), first);
        assert_string_not_equal(kept(c), files);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_found_again, child_open, child_close),
        cmocka_unit_test_setup_teardown(test_own, child_open, child_close),
        cmocka_unit_test_setup_teardown(test_damaged, child_open, child_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
