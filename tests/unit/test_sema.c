/* test_sema.c -- the evaluator: programs and the diagnostics they give, values, traced nets, kept under sizes and
 * paths. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "sema/session.h"

typedef struct Case { const char *text, *expected; } Case;

static const char *found(Session *s, Severity least) {
    Buf out = {0};
    for (int i = 0; i < s->diags.list.len; i++) {
        const Diag *diag = s->diags.list.at[i];
        if (diag_severity(diag->code) < least) continue;
        buf_printf(&out, "%s%s(%s)", out.len ? " " : "", diag_name(diag->code),
                   sources_text(s->sources, s->arena, diag->span));
    }
    return out.len ? buf_done(&out, s->arena) : "";
}

static LoadedModule *checked(Session *s, const char *text) {
    LoadedModule *module = session_load_text(s, "test.nin", text);
    assert_non_null(module);
    session_check(s, module);
    return module;
}

static Value value_of(Session *s, LoadedModule *module, const char *name) {
    Eval e;
    Value value;
    bool is_there;
    eval_init(&e, s, s->arena, &s->diags, EVAL_RUN);
    session_value(&e, module, name, &value, &is_there);
    assert_true(is_there);
    return value;
}

/* ---- diagnostics: CODE(text covered), in the order of giving ---- */

static const Case wrong[] = {
    /* calls and settings */
    {"x = relu(1, 2)", "E0309(relu(1, 2))"},
    {"x = sqrt()", "E0309(sqrt())"},
    {"x = sqrt(1, 2)", "E0309(sqrt(1, 2))"},
    {"x = inner[2](1, 2, 3)", "E0309(inner[2](1, 2, 3))"},
    {"x = adam(lr: 0.1)", "E0307(0.1)"},
    {"x = patience[3]", "E0308(patience[3])"},
    {"x = relu[0.1]", "E0308(relu[0.1])"},
    {"net m[h: int](x: f32[4]) -> f32[h] = dense[h](x)\nn = count(m)", "E0310(count(m))"},
    {"x = dense[64, biass: none]", "E0313(none)"},
    {"x = dense[64, 0, 1, 2]", "E0309(dense[64, 0, 1, 2])"},
    {"x = dense[2.5]", "E0412(2.5)"},
    {"x = dense[relu]", "E0314(relu)"},
    {"net m[act: cell](x: f32[4]) -> f32[4] = act(x)\nx = m[64]", "E0314(64)"},
    {"x = prelu[share: modle]", "E0312(modle)"},
    {"x = { a: 1 }.b", "E0311(b)"},
    {"x = relu.arty", "E0311(arty)"},
    {"x = [1, 2, 3][4]", "E0405([1, 2, 3][4])"},
    {"x = [1, 2, 3][0]", "E0405([1, 2, 3][0])"},
    {"x = [1, 2, 3][1.5]", "E0412([1, 2, 3][1.5])"},
    {"x = 1 + relu", "E0314(1 + relu)"},
    {"x = 3(4)", "E0314(3(4))"},
    {"x = [1, 2] + [1, 2, 3]", "E0401([1, 2] + [1, 2, 3])"},
    {"x = if 3 { 1 } else { 2 }", "E0314(3)"},
    {"[a, b] = [1, 2, 3]", "E0309([a, b])"},
    {"x: int = 1 / 2", "E0412(1 / 2)"},
    {"x = ?", "E0316(?)"},
    {"x = match(3, parameters: 5)", "E0316(3)"},
    /* shapes */
    {"net n(x: f32[4]) -> f32[4] = x + dense[3](x)", "E0401(x + dense[3](x))"},
    {"net n(x: f32[4, 3]) -> f32[4, 3] = x + dense[3](x[.., 1])", "E0401(x + dense[3](x[.., 1]))"},
    {"net n(x: f32[4]) -> f32[3] {\n  param w: f32[3, 5] = 0\n  w @ x\n}", "E0402(w @ x)"},
    {"net n(x: f32[4]) -> f32[3] = dense[4](x)", "E0409(dense[4](x))"},
    {"net inner_net(x: f32[3]) -> f32[3] = x\nnet n(x: f32[4]) -> f32[3] = inner_net(x)", "E0403(x)"},
    {"net n(x: f32[5]) -> f32[2] {\n  param w: f32[5 / 2, 5] = 0\n  w @ x\n}", "E0404(5 / 2)"},
    {"net n(x: f32[4]) -> f32 = x[5]", "E0405(x[5])"},
    {"net n(x: f32[4]) -> f32[4] = multiply(x)", "E0406(multiply(x))"},
    {"net n(x: f32[5]) -> f32[2] = apply(multiply, x)", "E0407(apply(multiply, x))"},
    {"net n(x: f32[4]) -> f32[4] = x + noise(x.shape)", "E0408(noise(x.shape))"},
    {"net n(x: f32[4]) -> f32[4] = if x[1] > 0 { x } else { -x }", "E0411(x[1] > 0)"},
    {"net n(x: int[4]) -> f32[4] = x * 0.5", "E0412(x * 0.5)"},
    {"cell c(x: f32[1]) = dense[64](x)\nnet n(x: f32[4]) -> f32[4] = c(x)", "E0413(dense[64](x))"},
    {"net n(x: f32[k]) -> f32[1] = dense[1](x)\nc = count(n)", "E0416(count(n))"},
    {"net n(x: f32[4, 3]) -> f32[4] {\n  d = dense[4]\n  d(x[.., 1]) + d(x[1])\n}", "E0403(d(x[1]))"},
    {"cell c(x, y) = x + y\nnet n(x: f32[4, 3]) -> f32[4] = c(x[.., 1], x[1])", "E0401(c(x[.., 1], x[1]))"},
    /* randomness, ranges, types */
    {"x = noise([3])", "E0408(noise([3]))"},
    {"x = inner[1](0.5)", "E0408(inner[1](0.5))"},
    {"cell a = dense[3]", "E0314(dense[3])"},
    {"fn f(x: f33) = x", "E0301(f33) E0301(f33)"},
    /* too much */
    {"x = zeros([100000, 100000])", "E0414([100000, 100000])"},
    {"x = [1..1000000000]", ""},
    {"x = [i for i in 1..1000000000]", "E0414(1..1000000000)"},
    {"net n(x: f32[4]) -> f32[4] {\n  for i in 1..2000 { x = dense[4](x) }\n  x\n}",
        "E0415(for i in 1..2000 { x = dense[4](x) })"},
    {"net n(x: f32[4]) -> f32[4] {\n  l = dense[4]\n  for i in 1..2000 { x = l(x) }\n  x\n}", ""},
    /* one mistake, one message */
    {"x = [1][2]\ny = x + 1\nz = [y, sqrt(y)]", "E0405([1][2])"},
    {"net n(x: f32[4]) -> f32[3] {\n  a = x + zeros([3])\n  b = a * 2\n  a + b\n}", "E0401(x + zeros([3]))"},
    {"test \"t\" {\n  a = [1][2]\n  b = [1][3]\n  c = a + b\n  d = sqrt(c)\n}", "E0405([1][2]) E0405([1][3])"},
};

static const Case warned[] = {
    {"net n(x: f32[4]) -> f32[2] {\n  a = dense[3]\n  b = a(x)\n  dense[2](x) + 0 * x[1..2] + b.rank\n}",
     "W0502(n)"},
    {"net n(x: f32[4]) -> f32[2] {\n  param w: f32[2] = 1\n  where(w > x[1..2], 1, 0)\n}",
        "W0503(param w: f32[2] = 1)"},
    {"net n(x: f32[4]) -> f32[2] {\n  param w: f32[2] = 1\n  floor(w) + x[1..2]\n}", "E0501(floor(w))"},
};

static void test_wrong(void **state) {
    (void)state;
    for (int i = 0; i < COUNT(wrong) + COUNT(warned); i++) {
        const Case *test = i < COUNT(wrong) ? &wrong[i] : &warned[i - COUNT(wrong)];
        Session *s = session_new(NULL);
        checked(s, test->text);
        const char *have = found(s, i < COUNT(wrong) ? SEVERITY_ERROR : SEVERITY_WARNING);
        if (strcmp(have, test->expected) != 0) fail_msg("%s\n  gives    %s\n  expected %s", test->text, have,
                                                        test->expected);
        session_free(s);
    }
}

/* ---- values ---- */

static const Case right[] = {
    {"1 / 3", "0.3333333333333333"},
    {"2^10", "1024"},
    {"2^-1", "0.5"},
    {"-2^2", "-4"},
    {"7 + 2 * 3", "13"},
    {"9223372036854775807 + 1", "9.223372036854776e+18"},
    {"[1, 2, 3] * 2", "[2, 4, 6]"},
    {"[[1, 2], [3, 4]] + [10, 20]", "[[11, 12], [23, 24]]"},
    {"[5, 6, 7][2..end]", "[6, 7]"},
    {"[[1, 2], [3, 4]][2, 1]", "3"},
    {"[...1..3, 9]", "[1, 2, 3, 9]"},
    {"[x * y for x in 1..2, y in [10, 20]]", "[10, 20, 20, 40]"},
    {"{ a: 1, b: 2, ...{ a: 3 } }", "{ a: 3, b: 2 }"},
    {"{ a: { b: 4 } }.a.b", "4"},
    {"if 1 < 2 and not false { \"a\" } else { \"b\" }", "\"a\""},
    {"[1, 2] == [1, 2]", "true"},
    {"1 == 1.0", "true"},
    {"prelu[-1](-2.5) == abs(-2.5)", "true"},
    {"gcu(1.0)", "0.5403023"},
    {"apply(multiply, [1, 2, 3, 4, 5, 6])", "[2, 12, 30]"},
    {"apply([multiply, add], [1, 2, 3, 4])", "[2, 7]"},
    {"multiply([1, 3, 5], [2, 4, 6])", "[2, 12, 30]"},
    {"transpose([[1, 2], [3, 4]]) @ [1, 1]", "[4, 6]"},
    {"maxout[3](1, 5, 2)", "5"},
    {"inner[2].arity", "2"},
    {"count(inner[2])", "4417"},
    {"count(copies(inner[1], 2)[2])", "4353"},
    {"dense[64, bias: none]", "dense[64, bias: none]"},
    {"adam[lr: 0.1, eps: 1]", "adam[0.1, eps: 1]"},
    {"dense[64] == dense[64, bias: fan_in_uniform]", "true"},
    {"dense[64] == dense[65]", "false"},
    {"near(softmax([1, 2, 3]), [0.09003, 0.24473, 0.66524], within: 1e-5)", "true"},
    {"floor(sqrt(2) * 60) + 3", "87"},
    {"gradients_agree(inner[3], points: 20, seed: 1, within: 1e-5)", "true"},
    {"gradients_agree(quadratic, points: 20, seed: 1, within: 1e-5)", "true"},
    {"derivative(gcu)(0.0)", "1"},
    {"linear[start: 1.0]", "linear[1]"},
};

static void test_right(void **state) {
    (void)state;
    for (int i = 0; i < COUNT(right); i++) {
        Session *s = session_new(NULL);
        LoadedModule *module = checked(s, arena_printf(s->arena, "it = %s", right[i].text));
        Buf shown = {0};
        Value value = value_of(s, module, "it");
        value_show(&value, &shown);
        if (s->diags.list.len || strcmp(shown.at, right[i].expected) != 0)
            fail_msg("%s\n  is       %s %s\n  expected %s", right[i].text, shown.at, found(s, SEVERITY_NOTE),
                     right[i].expected);
        buf_free(&shown);
        session_free(s);
    }
}

/* ---- nets ---- */

/* The parameters' paths and shapes, and how often some ops stand in the graph and its MAP bodies. */
static void describe(Session *s, const Trace *t, Buf *out) {
    for (int i = 0; i < t->params.len; i++) {
        buf_printf(out, "%s%s", i ? " " : "", t->params.at[i].path);
        shape_print(&t->params.at[i].shape, out);
        if (t->params.at[i].state) buf_text(out, t->params.at[i].next ? "+" : "=");
    }
    static const Op ops[] = {G_MATMUL, G_MAP, G_NOISE, G_MAX, G_BATCH_SUM};
    for (int k = 0; k < COUNT(ops); k++) {
        int count = 0;
        for (int v = 1; v < t->graph->node.len; v++) count += t->graph->node.at[v].op == ops[k];
        if (count) buf_printf(out, "; %s %d", op_name(ops[k]), count);
    }
    assert_null(graph_verify(t->graph, s->arena));
}

typedef struct NetCase { const char *text, *expected; bool training; } NetCase;
static const NetCase nets[] = {
    {"net it(x: f32[2]) -> f32[1] = prelu[0](dense[1, bias: none](x))", "dense[1].w[1, 2] prelu.a[]; matmul 1; max 1",
        false},
    {"net it(x: f32[8]) -> f32[10] {\n  for layer in 1..3 { x = relu(dense[4](x)) }\n  dense[10](x)\n}",
     "dense[1].w[4, 8] dense[1].b[4] dense[2].w[4, 4] dense[2].b[4] dense[3].w[4, 4] dense[3].b[4] dense[4].w[10, 4] "
     "dense[4].b[10]; matmul 4; max 3", false},
    /* a bound layer is one layer; the carried state starts as a known tensor */
    {"net it(x: f32[5, 3]) -> f32[2] {\n  now = dense[4]; past = dense[4]\n  s = zeros([4])\n"
     "  for t in 1..5 { s = multiply(now(x[t]), past(s)) }\n  dense[2](s)\n}",
     "now.w[4, 3] now.b[4] past.w[4, 4] past.b[4] dense[1].w[2, 4] dense[1].b[2]; matmul 11", false},
    /* a cell with layers is one MAP, whatever it is called with; its parameters lie at the top */
    {"net it(x: f32[4]) -> f32[2] = apply(inner[2], apply(inner[2], dense[8](x)))",
     "dense[1].w[8, 4] dense[1].b[8] inner.dense[1].w[64, 2] inner.dense[1].b[64] inner.dense[2].w[64, 64] "
     "inner.dense[2].b[64] inner.dense[3].w[1, 64] inner.dense[3].b[1]; matmul 1; map 2", false},
    {"cell a = quadratic\nnet it(x: f32[8]) -> f32[4] = a(x[1..4], x[5..8]) + quadratic(x[1..4], x[5..8])",
        "a.c[6] quadratic.c[6]", false},
    {"net it(x: f32[4]) -> f32[2] = apply(copies(quadratic, 2)[1], x) + apply(copies(quadratic, 2)[2], x)",
     "quadratic[1].c[6] quadratic[2].c[6]", false},
    /* scopes of a cell's parameters */
    {"net it(x: f32[6, 2]) -> f32[6, 2] {\n  for i in 1..2 { x = prelu[share: layer](dense[6](x)) }\n  x\n}",
     "dense[1].w[6, 6] dense[1].b[6] prelu.a[] dense[2].w[6, 6] dense[2].b[6] prelu[2].a[]; matmul 2; max 2", false},
    {"net it(x: f32[6, 2]) -> f32[6, 2] = prelu[share: feature](x)", "prelu.a[6]; max 1", false},
    {"net it(x: f32[6, 2]) -> f32[6, 2] = prelu[share: unit](x)", "prelu.a[6, 2]; max 1", false},
    {"net it(x: f32[5, 2]) -> f32[5] {\n  s = x[.., 1]\n  for t in 1..3 { s = prelu[share: layer](s) }\n  s\n}",
        "prelu.a[]; max 3", false},
    /* states, randomness, modes */
    {"net it(x: f32[4]) -> f32[4] = batchnorm(x)",
     "batchnorm[1].gain[4] batchnorm[1].shift[4] batchnorm[1].middle[4]= batchnorm[1].spread[4]=", false},
    {"net it(x: f32[4]) -> f32[4] = batchnorm(x)",
     "batchnorm[1].gain[4] batchnorm[1].shift[4] batchnorm[1].middle[4]+ batchnorm[1].spread[4]+; batch_sum 2", true},
    {"net it(x: f32[4]) -> f32[4] = dropout[0.5](dropout[0.5](x))", "; noise 2", true},
    {"net it(x: f32[4]) -> f32[4] = dropout[0.5](dropout[0.5](x))", "", false},
    /* layers as settings; a setting is one instance, named after its formal */
    {"net twice[layer: net](x: f32[4]) -> f32[4] = layer(layer(x))\nnet it(x: f32[4]) -> f32[4] = twice[dense[4]](x)",
     "dense[1].w[4, 4] dense[1].b[4]; matmul 2", false},
    {"net it[layer: net = dense[4]](x: f32[4]) -> f32[4] = layer(layer(x))", "layer.w[4, 4] layer.b[4]; matmul 2",
        false},
    /* a bias becomes the start of the chain only where w @ x + b is written */
    {"net it(x: f32[4]) -> f32[4] {\n  param w: f32[4, 4] = 0\n  param b: f32[4] = 0\n  b + w @ x\n}",
        "w[4, 4] b[4]; matmul 1", false},
};

static void test_nets(void **state) {
    (void)state;
    for (int i = 0; i < COUNT(nets); i++) {
        Session *s = session_new(NULL);
        LoadedModule *module = checked(s, nets[i].text);
        Value net = value_of(s, module, "it"), out;
        Eval e;
        Buf have = {0};
        eval_init(&e, s, s->arena, &s->diags, EVAL_RUN);
        Trace *t = net_trace(&e, &net, DT_F32, nets[i].training, NULL, 0, (Span){0}, &out);
        if (!t) fail_msg("%s\n  gives %s", nets[i].text, found(s, SEVERITY_NOTE));
        describe(s, t, &have);
        buf_text(&have, "");
        if (strcmp(have.at ? have.at : "", nets[i].expected) != 0)
            fail_msg("%s\n  has      %s\n  expected %s", nets[i].text, have.at, nets[i].expected);
        buf_free(&have);
        session_free(s);
    }
}

/* ---- settings, optimizers, paths ---- */

static void test_settings(void **state) {
    (void)state;
    Session *s = session_new(NULL);
    LoadedModule *module = checked(s,
        "net it[rate: real = 0.25](x: f32[4]) -> f32[4] =\n  x * rate + (if rate > 0 { 1 } else { 2 })\n"
        "opt = adamw[lr: warmup[epochs: 5, then: cosine[start: 0.1]]]\nsame = it[0.75]");
    Value net = value_of(s, module, "it"), opt = value_of(s, module, "opt"), out, same = value_of(s, module, "same");
    Eval e;
    eval_init(&e, s, s->arena, &s->diags, EVAL_RUN);
    Trace *t = net_trace(&e, &net, DT_F32, true, NULL, 0, (Span){0}, &out);
    assert_non_null(t);
    assert_int_equal(t->settings.len, 1);
    assert_true(t->settings.at[0].value == 0.25 && t->settings.at[0].pinned);      /* the `if` asked for its number */
    Value args[2] = {trace_value(graph_input(t->graph, IN_BLOCK, 90, "w",
                                             (NodeType){DT_F32, shape_of(1, (int64_t)3), false})),
                     trace_value(graph_input(t->graph, IN_BLOCK, 91, "g",
                                             (NodeType){DT_F32, shape_of(1, (int64_t)3), false}))};
    t->progress = value_abstract(NULL);
    t->progress = value_record(s->arena, (Name[]){intern_text(s->names, "done"), intern_text(s->names, "epoch")},
                               (Value[]){value_real(0.5), value_real(2)}, 2);
    assert_true(trace_call(&e, t, "opt/dense[1].w", &opt, args, 2, (Span){0}, &out) || found(s, SEVERITY_NOTE)[0]);
    RealList a = {s->arena, {0}}, b = {s->arena, {0}};
    Buf x = {0}, y = {0};
    Value ready;
    assert_true(eval_call_named(&e, &net, NULL, NULL, 0, (Span){0}, &ready) == false);
    value_kernel_identity(&same, &x, &a);
    assert_string_equal(x.at, "it[rate: ~]");
    assert_int_equal(a.list.len, 1);
    assert_true(a.list.at[0] == 0.75);
    value_kernel_identity(&opt, &y, &b);
    assert_int_equal(b.list.len, 6);
    buf_free(&x);
    buf_free(&y);
    session_free(s);
}

static void test_paths(void **state) {
    (void)state;
    Session *s = session_new(NULL);
    LoadedModule *module = checked(s, "net it(x: f32[4]) -> f32[2] {\n  h = prelu[0](dense[4](x))\n  above = dense[4]\n"
                                      "  dense[2](above(h))\n}\nnet one(x: f32[4]) -> f32[2] = dense[2](x)");
    Value net = value_of(s, module, "it"), one = value_of(s, module, "one"), out;
    Eval e;
    eval_init(&e, s, s->arena, &s->diags, EVAL_RUN);
    Trace *t = net_trace(&e, &net, DT_F32, false, NULL, 0, (Span){0}, &out);
    Trace *u = net_trace(&e, &one, DT_F32, false, NULL, 0, (Span){0}, &out);
    assert_int_equal(trace_find(t, "dense[2].w"), 5);
    assert_int_equal(trace_find(t, "dense.w"), -1);              /* two of them: which? */
    assert_int_equal(trace_find(u, "dense.w"), 0);
    assert_int_equal(trace_find(t, "prelu.a"), 2);
    assert_int_equal(trace_find(t, "above.b"), 4);
    assert_true(trace_selects(t, "dense[*].w", "dense[2].w"));
    assert_true(trace_selects(t, "dense[2].*", "dense[2].b"));
    assert_false(trace_selects(t, "dense[1].*", "dense[2].b"));
    assert_true(trace_selects(t, "*", "above.w"));
    session_free(s);
}

/* Two sessions at once share nothing. */
static void test_sessions(void **state) {
    (void)state;
    Session *s = session_new(NULL), *t = session_new(NULL);
    LoadedModule *a = checked(s, "it = count(inner[2])"), *b = checked(t, "it = [1][2]");
    assert_int_equal(value_of(s, a, "it").integer, 4417);
    assert_int_equal(value_of(t, b, "it").kind, V_ERROR);
    assert_int_equal(s->diags.errors, 0);
    session_free(s);
    session_free(t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_wrong), cmocka_unit_test(test_right), cmocka_unit_test(test_nets),
            cmocka_unit_test(test_settings),
        cmocka_unit_test(test_paths), cmocka_unit_test(test_sessions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
