/* One program, one answer: records and weights are equal to the byte for 1 and 2 threads, -O0 and -O2, two CPUs, the
 * interpreter, C, and two runs in a row. */
#define _GNU_SOURCE
#include "child.h"

typedef struct Way { const char *name, *a, *b; } Way;
static const Way ways[] = {
    {"one thread", "--threads=1", "--opt=2"},
    {"two threads", "--threads=2", "--opt=2"},
    {"-O0", "--threads=1", "--opt=0"},
    {"AVX2", "--cpu=haswell", "--opt=2"},
    {"again", "--threads=2", "--opt=2"},
    {"C", "--backend=c", "--opt=2"},
    {"interpreter", "--backend=interpret", "--opt=2"},
};

static const char neurons[] =
    "xor_pm = examples(x: [[-1, -1], [-1, 1], [1, -1], [1, 1]], y: [0, 1, 1, 0])\n"
    "xor_01 = examples(x: [[0, 0], [0, 1], [1, 0], [1, 1]], y: [0, 1, 1, 0])\n"
    "net prelu_neuron(x: f32[2]) -> f32[1] = prelu[0](dense[1, bias: none](x))\n"
    "net gcu_neuron(x: f32[2]) -> f32[1] = gcu(dense[1, bias: 0](x))\n"
    "net tanh_mlp(x: f32[2]) -> f32[1] = dense[1, bias: none](lecun_tanh(dense[2, bias: 0](x)))\n"
    "contenders = [[prelu_neuron, xor_pm], [gcu_neuron, xor_01], [tanh_mlp, xor_pm]]\n"
    "fn fit(lr: real) = session(learn: all, loss: mse, optimizer: adam[lr: lr], batch: all, epochs: 60)\n"
    "experiment sweep {\n"
    "  for [net, data] in contenders, lr in logspace(1e-2, 1, 3), seed in 1..4 {\n"
    "    run = train(net, on: data, with: fit(lr), seed: seed)\n"
    "    record(curve: run.curve, model: run.model)\n"
    "  }\n"
    "  table(\"t\", by: [net, lr], n: count())\n"
    "}\n";

static const char digits[] =
    "digits = dataset(\"digits\", shape: [64], valid: 0.8, test: 0.2)\n"
    "net mlp[act: cells, h: int](x: f32[64]) -> f32[10] = dense[10](apply(act, dense[features(act, h)](x)))\n"
    "joint = session(learn: all, loss: cross_entropy, optimizer: adam[lr: 3e-3], batch: 48, epochs: 2)\n"
    "experiment learning {\n"
    "  for net in [mlp[inner[2], 6], mlp[relu, 20], mlp[[multiply, inner[1]], 4]], seed in 1..2 {\n"
    "    run = train(net, on: digits, with: joint, seed: seed)\n"
    "    record(curve: run.curve, model: run.model)\n"
    "  }\n"
    "  table(\"t\", by: [net], n: count())\n"
    "}\n";

static void one_answer(Child *c, const char *name, const char *program)
{
    const char *file = child_text(c, arena_printf(c->arena, "%s.nin", name), program), *first = NULL;
    for (int i = 0; i < COUNT(ways); i++) {
        const char *out = child_path(c, arena_printf(c->arena, "%s-%d", name, i));
        Outcome o = child_run(c, "run", file, "--quiet", "--out", out, ways[i].a, ways[i].b, NULL);
        expect_status(&o, 0);
        const char *found = child_hashes(c, out, ".");
        expect_text(found, "records.jsonl");
        expect_text(found, "weights.safetensors");
        if (first && strcmp(first, found) != 0)
            fail_msg("%s: %s differs from %s\n%s\n%s", name, ways[i].name, ways[0].name, first, found);
        first = first ? first : found;
    }
}

static void test_neurons(void **state) { one_answer(*state, "neurons", neurons); }
static void test_digits(void **state) { one_answer(*state, "digits", digits); }

/* Trained runs are found again: the second run of a program trains nothing and gives the same bytes. */
static void test_found_again(void **state)
{
    Child *c = *state;
    const char *file = child_text(c, "again.nin", digits), *out = child_path(c, "again");
    Outcome o = child_run(c, "run", file, "--quiet", "--out", out, NULL);
    expect_status(&o, 0);
    const char *first = child_hashes(c, out, ".");
    o = child_run(c, "run", file, "--quiet", "--out", out, NULL);
    expect_status(&o, 0);
    assert_string_equal(first, child_hashes(c, out, "."));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_neurons), cmocka_unit_test(test_digits), cmocka_unit_test(test_found_again),
    };
    return cmocka_run_group_tests(tests, child_open, child_close);
}
