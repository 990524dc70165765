/* nets.h -- the reference networks of tests/data/nets in Nin, and the losses that attack them: for the tests that load
 * their weights (test_nets, test_attacks).  Losses are fns of (output, target, aim). */
#ifndef NIN_TEST_NETS_H
#define NIN_TEST_NETS_H

static const char nets_text[] =
    "net relu_net(x: f32[784]) -> f32[10] {\n"
    "  h = relu(layernorm(dense[64](x)))\n"
    "  h = relu(layernorm(dense[64](h)))\n"
    "  h = relu(layernorm(dense[64](h)))\n"
    "  dense[10](h)\n"
    "}\n"
    "net two_net(x: f32[784]) -> f32[10] {\n"
    "  h = apply(inner[2], layernorm(dense[128](x)))\n"
    "  h = apply(inner[2], layernorm(dense[128](h)))\n"
    "  h = apply(inner[2], layernorm(dense[128](h)))\n"
    "  dense[10](h)\n"
    "}\n"
    "fn without(y, k) = where(one_hot(k) > 0, -1e30, y)\n"
    "fn ce(y: f32[k], target: class[k], aim: class[k]) = cross_entropy(y, target)\n"
    "fn dlr(y: f32[k], target: class[k], aim: class[k]) {\n"
    "  p1 = argmax(y)\n"
    "  p2 = argmax(without(y, p1))\n"
    "  p3 = argmax(without(without(y, p1), p2))\n"
    "  other = where(p1 == target, pick(y, p2), pick(y, p1))\n"
    "  -(pick(y, target) - other) / (pick(y, p1) - pick(y, p3) + 1e-12)\n"
    "}\n"
    "fn dlr_aimed(y: f32[k], target: class[k], aim: class[k]) {\n"
    "  p1 = argmax(y)\n"
    "  rest = without(y, p1)\n"
    "  p2 = argmax(rest)\n"
    "  rest = without(rest, p2)\n"
    "  p3 = argmax(rest)\n"
    "  p4 = argmax(without(rest, p3))\n"
    "  -(pick(y, target) - pick(y, aim)) / (pick(y, p1) - 0.5 * (pick(y, p3) + pick(y, p4)) + 1e-12)\n"
    "}\n"
    "fn difference(y: f32[k], target: class[k], aim: class[k]) = pick(y, aim) - pick(y, target)\n";

/* "inner.dense[2].w" -> "inner_1_weight", "layernorm[1].shift" -> "ln_0_bias". */
static inline const char *nets_file(Arena *arena, const char *path) {
    const char *open = strchr(path, '['), *dot = strrchr(path, '.');
    assert_non_null(open);
    assert_non_null(dot);
    const char *kind = strncmp(path, "inner.", 6) == 0 ? "inner" : strncmp(path, "dense", 5) == 0 ? "fc" : "ln";
    bool weight = strcmp(dot, ".w") == 0 || strcmp(dot, ".gain") == 0;
    return arena_printf(arena, "%s_%d_%s", kind, atoi(open + 1) - 1, weight ? "weight" : "bias");
}

#endif
