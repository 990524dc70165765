/* library_cases.h -- what can be written with the library, as small nets and losses in Nin, for tests that hold for all
 * of it: derivatives against differences, equal bits on every way to run.
 *
 * A text that begins with "(x" is the signature and body of a net f; else it defines f, and for a loss g(y, target). */
#ifndef NIN_TEST_LIBRARY_CASES_H
#define NIN_TEST_LIBRARY_CASES_H

#include "traced.h"

enum { TOKENS = 7 };                       /* classes of integer inputs */
typedef enum TargetKind { NO_TARGET, REAL_TARGET, SIGN_TARGET, SHARE_TARGET, CLASS_TARGET } TargetKind;
typedef enum Flags { TRAINING = 1, INTEGERS = 2, FIRST_ONLY = 4, POSITIVE = 8 } Flags;
typedef struct Case { const char *text; int64_t shape[3]; TargetKind target; int flags; } Case;

static inline Shape case_shape(const Case *it) {
    Shape shape = {0};
    while (shape.rank < 3 && it->shape[shape.rank]) {
        shape.dim[shape.rank] = it->shape[shape.rank];
        shape.rank++;
    }
    return shape;
}

static inline char *case_source(Arena *arena, const Case *it) {
    return arena_printf(arena, "%s%s\n", strncmp(it->text, "(x", 2) == 0 ? "net f" : "", it->text);
}

static const Case cells[] = {
    {"(x: f32[7]) -> f32[7] = relu(x)", {7}},
    {"(x: f32[7]) -> f32[7] = leaky_relu[0.07](x)", {7}},
    {"(x: f32[7]) -> f32[7] = prelu(x)", {7}},
    {"(x: f32[3, 2]) -> f32[3, 2] = prelu[0.3, share: feature](x)", {3, 2}},
    {"(x: f32[3, 2]) -> f32[3, 2] = prelu[0.3, share: unit](x)", {3, 2}},
    {"(x: f32[7]) -> f32[7] { h = prelu[0.3, share: layer](x); prelu[0.3, share: layer](h + 0.01) }", {7}},
    {"(x: f32[7]) -> f32[7] = abs_value(x)", {7}},
    {"(x: f32[7]) -> f32[7] = elu[0.8](x)", {7}},
    {"(x: f32[7]) -> f32[7] = selu(x)", {7}},
    {"(x: f32[7]) -> f32[7] = celu[1.3](x)", {7}},
    {"(x: f32[7]) -> f32[7] = gelu(x)", {7}},
    {"(x: f32[7]) -> f32[7] = silu(x)", {7}},
    {"(x: f32[7]) -> f32[7] = sigmoid(x)", {7}},
    {"(x: f32[7]) -> f32[7] = isigmoid[threshold: 0.72](x)", {7}},
    {"(x: f32[7]) -> f32[7] = tanh(x)", {7}},
    {"(x: f32[7]) -> f32[7] = lecun_tanh(x)", {7}},
    {"(x: f32[7]) -> f32[7] = reltanh[upper: 0.42, lower: -0.66](x)", {7}},
    {"(x: f32[7]) -> f32[7] = softplus(x)", {7}},
    {"(x: f32[7]) -> f32[7] = mish(x)", {7}},
    {"(x: f32[7]) -> f32[7] = gcu(x)", {7}},
    {"(x: f32[7]) -> f32[7] = ada[0.9, 0.1](x)", {7}},
    {"(x: f32[7]) -> f32[7] = identity(x)", {7}},
    {"(x: f32[7]) -> f32[7] = x * step(x)", {7}},
    {"(x: f32[7]) -> f32[7] = rational(x)", {7}},
    {"(x: f32[6]) -> f32[3] = apply(add, x)", {6}},
    {"(x: f32[6]) -> f32[3] = apply(multiply, x)", {6}},
    {"(x: f32[6]) -> f32[3] = apply(glu, x)", {6}},
    {"(x: f32[6]) -> f32[3] = apply(swiglu, x)", {6}},
    {"(x: f32[6]) -> f32[3] = apply(quadratic, x)", {6}},
    {"(x: f32[6, 2]) -> f32[2, 2] = apply(maxout[3], x)", {6, 2}},
    {"(x: f32[6]) -> f32[2] = apply(quadratic_form[3], x)", {6}},
    {"(x: f32[6]) -> f32[6] = apply(inner[1], x)", {6}},
    {"(x: f32[6]) -> f32[3] = apply(inner[2], x)", {6}},
    {"(x: f32[6]) -> f32[2] = apply(inner[3], x)", {6}},
    {"(x: f32[4, 2]) -> f32[4, 2] = inner[2](x, gcu(x))", {4, 2}},
};

/* Cells made of cells, several types, several uses. */
static const Case cell_forms[] = {
    {"cell soma(a, b) = a * sigmoid(b) + 0.1 * a\ncell branch(a, b) = tanh(a - 0.5 * b)\n"
     "cell tree(b1, b2, a1, a2) = soma(branch(b1, b2), branch(a1, a2))\n"
     "net f(x: f32[8]) -> f32[2] = apply(tree, x)", {8}},
    {"cell small(a, b) {\n  h = tanh(dense[5](stack([a, b])))\n  dense[1](h)\n}\n"
     "net f(x: f32[8]) -> f32[3] {\n  h = apply(small, dense[6](x))\n  h + apply(small, dense[6](h))\n}", {8}},
    {"cell small(a, b) {\n  h = tanh(dense[3](stack([a, b])))\n  dense[1](h)\n}\ncell other = small\n"
     "net f(x: f32[8]) -> f32[4] = apply([small, other], x)", {8}},
    {"cell small(a, b) {\n  h = gcu(dense[3](stack([a, b])))\n  dense[1](h)\n}\n"
     "net f(x: f32[12]) -> f32[6] = apply(copies(small, 3), x)", {12}},
    {"cell small(a, b) {\n  h = tanh(dense[3](stack([a, b])))\n  dense[1](h)\n}\n"
     "net f(x: f32[4, 3]) -> f32[2, 3] = apply(small, x)", {4, 3}},
    {"cell bent(x) { param c: f32[4] per unit = normal(0, 0.1);  polynomial(c, x) }\n"
     "net f(x: f32[5]) -> f32[5] = bent(x)", {5}},
    {"cell outer(a, b) {\n  h = softmax(dense[4](stack([a, b, a * b])))\n  sum(h * h)\n}\n"
     "net f(x: f32[6]) -> f32[3] = apply(outer, x)", {6}},
};

static const Case layers[] = {
    {"(x: f32[5]) -> f32[4] = dense[4](x)", {5}},
    {"(x: f32[5]) -> f32[4] = dense[4, bias: none](x)", {5}},
    {"(x: f32[5, 3]) -> f32[4, 3] = dense[4](x)", {5, 3}},
    {"(x: f32[5]) -> f32[1] = dense[1](tanh(dense[20](x)))", {5}},
    {"(x: f32[6]) -> f32[6] = layernorm(x)", {6}},
    {"(x: f32[6]) -> f32[6] = layernorm[affine: false](x)", {6}},
    {"(x: f32[4, 3]) -> f32[4, 3] = layernorm(x)", {4, 3}},
    {"(x: f32[4, 3]) -> f32[4, 3] = layernorm[over: 1](x)", {4, 3}},
    {"(x: f32[4, 3]) -> f32[4, 3] = layernorm[affine: false, over: places](x)", {4, 3}},
    {"(x: f32[6]) -> f32[6] = batchnorm(x)", {6}, .flags = TRAINING},
    {"(x: f32[3, 4]) -> f32[3, 4] = batchnorm(x)", {3, 4}, .flags = TRAINING},
    {"(x: f32[6]) -> f32[6] = batchnorm(x)", {6}},
    {"(x: f32[6, 2]) -> f32[6, 2] = groupnorm[3](x)", {6, 2}},
    {"(x: f32[6]) -> f32[6] = dropout[0.4](x * x)", {6}, .flags = TRAINING},
    {"(x: f32[6]) -> f32[6] = dropout[0.4](x * x)", {6}},
    {"(x: int[4]) -> f32[3, 4] = tanh(embed[3, tokens: 7](x))", {4}, .flags = INTEGERS},
    {"(x: int[4]) -> f32[2] = dense[2](flatten(embed[3, tokens: 7](x)))", {4}, .flags = INTEGERS},
    {"(x: f32[5]) -> f32[4] = glu_layer[4](x)", {5}},
    {"(x: f32[5, 2]) -> f32[3, 2] = glu_layer[3](x)", {5, 2}},
    {"(x: f32[5]) -> f32[3] {\n  h = tanh(layernorm(dense[6](x)))\n  h = h + gcu(dense[6](h))\n  dense[3](h)\n}", {5}},
    {"(x: f32[3, 4]) -> f32[5] {\n  now = dense[5]\n  past = dense[5, bias: none]\n  s = zeros([5])\n"
     "  for t in 1..4 { s = tanh(now(x[.., t]) + past(s)) }\n  s\n}", {3, 4}},
    {"(x: f32[4, 3]) -> f32[4, 3] {\n  q = dense[4, bias: none](x)\n  k = dense[4, bias: none](x)\n"
     "  a = softmax(causal(transpose(k) @ q / 2))\n  dense[4](x) @ a\n}", {4, 3}},
};

static const Case functions[] = {
    {"(x: f32[7]) -> f32[7] = sqrt(x) + log(x) * tan(x / 4)", {7}, .flags = POSITIVE},
    {"(x: f32[7]) -> f32[7] = exp(x) / (2 + sin(x)) - cos(x) * erf(x)", {7}},
    {"(x: f32[7]) -> f32[7] = x^3 - x^2 + x^-2", {7}},
    {"(x: f32[7]) -> f32[7] = x^1.5 + 1.7^x", {7}, .flags = POSITIVE},
    {"(x: f32[7]) -> f32[7] = clamp(x, -0.71, 0.72) * abs(x) + sign(x)", {7}},
    {"(x: f32[7]) -> f32[7] = mod(x, 0.73) * x", {7}},
    {"(x: f32[7]) -> f32[7] = where(x > 0.3, x^2, sin(x)) + max(x, 0.5 * x^2, 0.1) + min(x, 0.2)", {7}},
    {"(x: f32[4, 3]) -> f32[4] = mean(x, over: places) * sum(x^2, over: 2) + max(x, over: 2)", {4, 3}},
    {"(x: f32[4, 3]) -> f32[3] = var(x, over: 1) + sd(x, over: 1) + min(x, over: 1)", {4, 3}},
    {"(x: f32[4, 3]) -> f32[3] = prod(x, over: 1)", {4, 3}},
    {"(x: f32[4, 3]) -> f32[4, 3] = softmax(x) * log_softmax(x, over: 2) + logsumexp(x)", {4, 3}},
    {"(x: f32[20]) -> f32[20] = x * sum(x) + mean(x^2) / (1 + sum(abs(x)))", {20}},
    {"(x: f32[7]) -> f32[7] = polynomial([0.3, -1, 0.5, 2], x)", {7}},
    {"(x: f32[7]) -> f32[7] = interpolate[over: -1.4..1.55]([0.3, -1, 0.5, 2, 1.5], x)", {7}},
    {"(x: f32[7]) -> f32[7] = bspline[over: -2..2]([0.3, -1, 0.5, 2, 1.5, 0.1, 0.2], x)", {7}},
    {"cell edge(x) { param c: f32[8] per unit = normal(0, 0.1);  bspline[over: -2..2, degree: 3](c, x) + silu(x) }\n"
     "net f(x: f32[5]) -> f32[5] = edge(x)", {5}},
    {"cell knots(x) { param c: f32[6] = normal(0, 0.1);  interpolate[over: -1.41..1.5](c, x) }\n"
     "net f(x: f32[5]) -> f32[5] = knots(x)", {5}},
    {"(x: f32[6]) -> f32[6] = concat(x[4..6] * x[1], x[1..3]) + stack([x[2], x[3], x[1], x[6], x[5], x[4]])", {6}},
    {"(x: f32[6]) -> f32[3, 3] {\n  [a, b] = split(x, 2)\n"
     "  transpose(stack([a, b * a])) @ reshape(x, [2, 3]) * transpose(repeat(a, 3))\n}", {6}},
    {"(x: f32[6]) -> f32[6] = project(x, l2, 0.5, x^2 - 1)", {6}},
    {"(x: f32[6]) -> f32[6] = project(x, linf, 0.51, x^2 - 1)", {6}},
    {"(x: f32[6]) -> f32[6] = steepest(x^3 + 1, l2)", {6}},
    {"(x: f32[6]) -> f32[6] = gradient(sum(gcu(x) * x[2]), x) + x", {6}},
    {"(x: f32[6]) -> f32[6] = noise([6]) * x + normal_noise([6]) * x^2", {6}, .flags = TRAINING},
};

#define LOSS(call) "net f(x: f32[4]) -> f32[4] = x\nfn g(y, target) = " call
#define PLACES(call) "net f(x: f32[4, 3]) -> f32[4, 3] = x\nfn g(y, target) = " call
static const Case losses[] = {
    {LOSS("mse(y, target)"), {4}, REAL_TARGET, 0},
    {LOSS("mae(y, target)"), {4}, REAL_TARGET, 0},
    {LOSS("cross_entropy(y, target)"), {4}, CLASS_TARGET, 0},
    {LOSS("cross_entropy[smoothing: 0.1](y, target)"), {4}, CLASS_TARGET, 0},
    {PLACES("cross_entropy[smoothing: 0.1](y, target)"), {4, 3}, CLASS_TARGET, 0},
    {LOSS("binary_cross_entropy(y, target)"), {4}, REAL_TARGET, 0},
    {LOSS("hinge(y, target)"), {4}, SIGN_TARGET, 0},
    {LOSS("huber[0.3](y, target)"), {4}, REAL_TARGET, 0},
    {LOSS("kl(y, target)"), {4}, SHARE_TARGET, 0},
    {PLACES("kl(y, target)"), {4, 3}, SHARE_TARGET, 0},
};

typedef struct CaseGroup { const char *name; const Case *at; int len; } CaseGroup;
static const CaseGroup case_groups[] = {
    {"cells", cells, COUNT(cells)}, {"cells of cells", cell_forms, COUNT(cell_forms)},
    {"layers", layers, COUNT(layers)}, {"functions", functions, COUNT(functions)}, {"losses", losses, COUNT(losses)},
};

#endif
