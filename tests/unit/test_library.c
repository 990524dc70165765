/* test_library.c -- the library's functions on known numbers: what a program that binds `x` to a call shows, or which
 * diagnostic it gives. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "sema/objects.h"
#include "sema/session.h"

/* shown: the value, or the code of the first diagnostic */
typedef struct Case { const char *expression, *shown; } Case;

/* The value of x, as text; the first error's code if there is none. */
static char *shown(const char *expression, Arena *arena)
{
    Session *session = session_new(NULL);
    Buf out = { 0 };
    bool found = false;
    Value value;
    Eval e;
    LoadedModule *module = session_load_text(session, "case.nin", arena_printf(arena, "x = %s\n", expression));
    eval_init(&e, session, session->arena, &session->diags, EVAL_RUN);
    if (module && !session->diags.errors && session_value(&e, module, "x", &value, &found)
        && found) value_show(&value, &out);
    else if (session->diags.list.len) buf_text(&out, diag_name(session->diags.list.at[0]->code));
    char *text = buf_done(&out, arena);
    session_free(session);
    return text;
}

static void check_cases(const Case *cases, int n)
{
    int failures = 0;
    Arena *arena = arena_new();
    for (int i = 0; i < n; i++) {
        const char *got = shown(cases[i].expression, arena);
        if (!strcmp(got, cases[i].shown)) continue;
        print_message("x = %s\n  expected: %s\n  shown:    %s\n", cases[i].expression, cases[i].shown, got);
        failures++;
    }
    arena_free(arena);
    assert_int_equal(failures, 0);
}

static const Case numbers[] = {
    { "abs(-3)", "3" }, { "abs(-2.5)", "2.5" }, { "abs([-1, 2])", "[1, 2]" }, { "sign(-2)", "-1" }, { "sqrt(9)", "3" },
    { "exp(0)", "1" }, { "log(1)", "0" }, { "sin(0)", "0" }, { "cos(0)", "1" }, { "tan(0)", "0" },
    { "tanh(0)", "0" }, { "erf(0)", "0" },
    { "floor(2.7)", "2" }, { "floor(-2.5)", "-3" }, { "ceil(2.1)", "3" }, { "round(2.5)", "2" }, { "round(3.5)", "4" },
    { "floor(7)", "7" }, { "floor(sqrt(2) * 60) + 2", "86" },
    { "min(3, 1, 2)", "1" }, { "max(3, 1, 2)", "3" }, { "max([1, 5, 2])", "5" }, { "min([4, 2.5])", "2.5" },
    { "max(0, [-1, 2])", "[0, 2]" }, { "max(...[1, 4, 2])", "4" }, { "clamp(5, 0, 3)", "3" },
    { "clamp(-1, 0, 3)", "0" },
    { "mod(7, 3)", "1" }, { "mod(-7, 3)", "2" }, { "where(true, 1, 2)", "1" },
    { "where([true, false], 1, 2)", "[1, 2]" },
    { "linspace(0, 1, 5)", "[0, 0.25, 0.5, 0.75, 1]" }, { "linspace(2, 3, 1)", "[2]" },
    { "logspace(1, 100, 3)[2]", "10" }, { "logspace(1e-3, 10, 31)[1]", "0.001" },
    { "logspace(1e-3, 10, 31)[16]", "0.1" },
    { "logspace(1e-3, 10, 31)[31]", "10" },
    { "range(1, 3)", "[1, 2, 3]" }, { "range(0, 1, step: 0.5)", "[0, 0.5, 1]" }, { "range(3, 1)", "[]" },
    { "entries({ a: 1, b: 2 })", "[[\"a\", 1], [\"b\", 2]]" },
    { "near([1, 2], [1.005, 2], within: 0.01)", "true" }, { "near([1, 2], [1.05, 2], within: 0.01)", "false" },
    { "near([1, 2], [[1, 2]], within: 1)", "false" }, { "all([true, true])", "true" },
    { "all([true, false])", "false" },
    { "any([false, true])", "true" }, { "any([])", "false" }, { "logspace(-1, 1, 3)", "E0504" },
    { "all(logspace(1e-300, 1e300, 5))", "true" }, { "logspace(1e-300, 1e300, 3)[3]", "1e+300" },
    { "linspace(0, 1, 0)", "E0314" },
    { "entries(3)", "E0314" }, { "range(1, 2, step: 0)", "E0314" },
};

static void test_numbers(void **state)
{
    (void)state;
    check_cases(numbers, COUNT(numbers));
}

static const Case reductions[] = {
    { "sum([1, 2, 3])", "6" }, { "sum([0.5, 0.25])", "0.75" }, { "sum([[1, 2], [3, 4]])", "10" },
    { "sum([[1, 2], [3, 4]], over: 1)", "[4, 6]" }, { "sum([[1, 2], [3, 4]], over: 2)", "[3, 7]" },
    { "sum([[1, 2], [3, 4]], over: -1, keep: true)", "[[3], [7]]" },
    { "sum([[1, 2], [3, 4]], over: places)", "[3, 7]" },
    { "sum([true, false, true])", "2" }, { "prod([2, 3, 4])", "24" }, { "mean([1, 2, 3, 4])", "2.5" },
    { "mean([true, false])", "0.5" }, { "var([1, 2, 3, 4])", "1.25" }, { "sd([1, 2, 3, 4])^2", "1.6666666666666665" },
    { "max([[1, 5], [7, 2]], over: 1)", "[7, 5]" }, { "min([[1, 5], [7, 2]], over: 2)", "[1, 2]" },
    { "near(logsumexp([0, 0]), 0.6931471805599453, within: 1e-6)", "true" },
    { "near(logsumexp([1000, 1000]), 1000.6931471805599, within: 1e-3)", "true" },
    { "softmax([0, 0])", "[0.5, 0.5]" }, { "near(sum(softmax([1, 2, 3])), 1, within: 1e-6)", "true" },
    { "near(log_softmax([0, 0]), [-0.6931471805599453, -0.6931471805599453], within: 1e-6)", "true" },
    { "sum([1, 2], over: 2)", "E0405" }, { "sum([1, 2], over: 0)", "E0405" }, { "sum([[1], [2, 3]])", "E0401" },
    { "sum([1, 2], over: batch)", "E0314" }, { "mean([])", "E0314" }, { "sum([\"a\"])", "E0314" },
};

static void test_reductions(void **state)
{
    (void)state;
    check_cases(reductions, COUNT(reductions));
}

static const Case tensors[] = {
    { "zeros([2])", "[0, 0]" }, { "ones([1, 2])", "[[1, 1]]" }, { "zeros([0])", "E0404" },
    { "repeat([1, 2], 2)", "[[1, 2], [1, 2]]" }, { "repeat([1, 2], 3, axis: 2)", "[[1, 1, 1], [2, 2, 2]]" },
    { "concat([1, 2], [3])", "[1, 2, 3]" }, { "concat(1, [2])", "[1, 2]" },
    { "concat([[1], [2]], [[3], [4]], axis: 2)", "[[1, 3], [2, 4]]" }, { "concat([1], [[2]])", "E0401" },
    { "stack([[1, 2], [3, 4]])", "[[1, 2], [3, 4]]" }, { "stack([[1, 2], [3, 4]], axis: 2)", "[[1, 3], [2, 4]]" },
    { "split([1, 2, 3, 4], 2)", "[[1, 2], [3, 4]]" },
    { "split([[1, 2], [3, 4]], 2, axis: 2)", "[[[1], [3]], [[2], [4]]]" },
    { "split([1, 2, 3], 2)", "E0407" }, { "flatten([[1, 2], [3, 4]])", "[1, 2, 3, 4]" },
    { "reshape([1, 2, 3, 4], [2, 2])", "[[1, 2], [3, 4]]" }, { "reshape([1, 2, 3], [2, 2])", "E0403" },
    { "transpose([[1, 2], [3, 4], [5, 6]])", "[[1, 3, 5], [2, 4, 6]]" }, { "transpose([1])", "E0403" },
    { "cast(2.7, int)", "2" }, { "cast(-2.7, int)", "-2" }, { "cast(3, bool)", "true" },
    { "cast([1, 2], real)", "[1, 2]" },
    { "sizes([[1, 2, 3], [4, 5, 6]])", "[2, 3]" }, { "sizes([[1, 2, 3], [4, 5, 6]], -1)", "[3]" },
    { "argmax([1, 5, 5])", "1" }, { "argmax([[1, 9], [3, 2]])", "[1, 0]" }, { "pick([10, 20, 30], 2)", "30" },
    { "pick([10, 20], 2)", "E0405" },
    { "polynomial([1, 2, 3], 2)", "17" }, { "polynomial([5], 2)", "5" },
    { "interpolate[over: 0..2]([0, 1, 4], 1.5)", "2.5" }, { "interpolate[over: 0..2]([0, 1, 4], 3)", "7" },
    { "interpolate[over: 0..2]([0, 1, 4], -1)", "-1" },
    { "near(bspline[over: 0..1]([1, 1, 1, 1, 1, 1], 0.37), 1, within: 1e-12)", "true" },
    { "near(bspline[over: 0..3, degree: 1]([0, 1, 4, 9], 1.5), 2.5, within: 1e-12)", "true" },
    { "bspline[over: 0..1]([1, 1], 0.5)", "E0309" },
    { "positions(2, 2)[1]", "[0, 0.84147096]" }, { "noise([2])", "E0408" },
    { "project([3, 0.5], linf, 1, [0, 0])", "[1, 0.5]" },
    { "project([3, 4], l2, 1, [0, 0])", "[0.6000000000000001, 0.8]" },
    { "steepest([3, -4], l2)", "[0.59999999999988, -0.79999999999984]" },
    { "steepest([3, -0.5, 0], linf)", "[1, -1, 0]" },
};

static void test_tensors(void **state)
{
    (void)state;
    check_cases(tensors, COUNT(tensors));
}

static const Case others[] = {
    { "uniform(0, 1)", "uniform(0, 1)" }, { "uniform(1, 0)", "E0314" }, { "normal(0, -1)", "E0314" },
    { "orthogonal()", "orthogonal(1)" },
    { "fan_in_uniform(4, 1)", "uniform(-0.5, 0.5)" }, { "xavier_uniform(3, 3)", "uniform(-1, 1)" },
    { "xavier_normal(1, 1)", "normal(0, 1)" }, { "he_uniform(6, 1)", "uniform(-1, 1)" },
    { "he_normal(2, 9)", "normal(0, 1)" },
    { "lecun_normal(4, 9)", "normal(0, 0.5)" }, { "initial(he_normal, fan_in: 2, fan_out: 9)", "normal(0, 1)" },
    { "initial(0.5, fan_in: 2, fan_out: 9)", "0.5" }, { "initial(\"a\", fan_in: 2, fan_out: 9)", "E0314" },
    { "features(multiply, 3)", "6" }, { "features([multiply, relu], 4)", "6" },
    { "features([relu, relu], 3)", "E0407" },
    { "apply(multiply, [1, 2, 3, 4, 5, 6])", "[2, 12, 30]" }, { "apply([multiply, add], [1, 2, 3, 4])", "[2, 7]" },
    { "apply(maxout[3], [1, 5, 2, 7, 0, 3])", "[5, 7]" }, { "apply(relu, [-1, 2])", "[0, 2]" },
    { "apply(relu, 3)", "E0407" }, { "xavier_uniform(0, 0)", "E0314" }, { "look_up([[1]], 0)", "E0411" },
    { "gradients_agree(dense[3])", "E0314" }, { "gradients_agree(section(multiply, argument: 1, at: 2))", "true" },
    { "mean([relu, identity])(-2)", "-1" }, { "mean([3, relu])", "E0314" },
    { "apply(multiply, [1, 2, 3])", "E0407" }, { "multiply([1, 3, 5], [2, 4, 6])", "[2, 12, 30]" },
    { "section(multiply, argument: 2, at: 3)(4)", "12" }, { "section(relu, argument: 1, at: 3)", "E0314" },
    { "section(multiply, argument: 3, at: 3)", "E0405" },
    { "max_difference(relu, abs_value, over: [-1..1])", "1" }, { "max_difference(add, add, over: [-1..1, 0..1])", "0" },
    { "mse([1, 2], [0, 0])", "2.5" }, { "mae([1, -2], [0, 0])", "1.5" }, { "hinge([0.5, -2], [1, -1])", "0.25" },
    { "huber([0.5, 3], [0, 0])", "1.3125" },
    { "near(binary_cross_entropy([0, 0], [0, 1]), 0.6931471805599453, within: 1e-6)", "true" },
    { "near(cross_entropy([0, 0], 1), 0.6931471805599453, within: 1e-6)", "true" },
    { "near(kl([0, 0], [1, 0]), 0.6931471805599453, within: 1e-6)", "true" },
    { "params(\"dense[1].*\")", "params(\"dense[1].*\")" },
    { "session(learn: all, epochs: 3).epochs", "3" }, { "patience(3, valid_loss).patience", "3" },
};

static void test_others(void **state)
{
    (void)state;
    check_cases(others, COUNT(others));
}

/* rates at epoch 10 of 20, step 100 */
static const Case rates[] = {
    { "cosine[start: 0.2](now)", "0.1" }, { "steps[start: 1, every: 4, factor: 0.5](now)", "0.25" },
    { "exponential[start: 1, factor: 0.5](now)", "0.0009765625" }, { "linear[start: 1, end: 3](now)", "2" },
    { "warmup[epochs: 22, then: 0.2](now)", "0.1" }, { "warmup[epochs: 2, then: 0.2](now)", "0.2" },
};

static void test_rates(void **state)
{
    (void)state;
    int failures = 0;
    Arena *arena = arena_new();
    for (int i = 0; i < COUNT(rates); i++) {
        const char *got = shown(arena_printf(arena, "%s\nnow = { epoch: 10, step: 100, done: 0.5 }",
                                             rates[i].expression), arena);
        if (!strncmp(got, rates[i].shown, strlen(rates[i].shown))) continue;
        print_message("%s\n  expected: %s\n  shown:    %s\n", rates[i].expression, rates[i].shown, got);
        failures++;
    }
    arena_free(arena);
    assert_int_equal(failures, 0);
}

static void test_paths(void **state)
{
    (void)state;
    assert_true(path_fits("dense.w", "dense[1].w"));
    assert_true(path_fits("dense.w", "dense.w"));
    assert_false(path_fits("dense.w", "dense[2].w"));
    assert_true(path_fits("dense[*].w", "dense[2].w"));
    assert_true(path_fits("dense[4].*", "dense[4].b"));
    assert_true(path_fits("inner.*", "inner.dense[1].w"));
    assert_true(path_fits("*", "inner.dense[1].w"));
    assert_false(path_fits("dense", "dense[1].w"));
    assert_false(path_fits("dense[1].w.x", "dense[1].w"));
}

static void test_selections(void **state)
{
    (void)state;
    Arena *arena = arena_new();
    Value all = { .kind = V_CHOICE, .choice = "all" }, cells = { .kind = V_CHOICE, .choice = "cells" }, not_cells, both;
    assert_true(selection_join(arena, SELECT_NOT, &cells, NULL, &not_cells));
    assert_true(selection_join(arena, SELECT_AND, &all, &not_cells, &both));
    const Selection *s = value_selection(arena, &both);
    assert_non_null(s);
    assert_true(selection_has(s, "dense[1].w", false));
    assert_false(selection_has(s, "inner.dense[1].w", true));
    Value number = value_int(3);
    assert_null(value_selection(arena, &number));
    assert_false(selection_join(arena, SELECT_OR, &all, &number, &both));
    arena_free(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numbers), cmocka_unit_test(test_reductions), cmocka_unit_test(test_tensors),
        cmocka_unit_test(test_others), cmocka_unit_test(test_rates), cmocka_unit_test(test_paths),
        cmocka_unit_test(test_selections),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
