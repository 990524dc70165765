/* test_save.c -- what save(...) leaves, read back: types, shapes, numbers, names. */
#define _GNU_SOURCE
#include "child.h"

#include <math.h>

#include "data/data.h"

static const char study[] =
    "digits = dataset(\"digits\", shape: [8, 8], valid: 0.1, normalize: affine(mean: 0.25, sd: 2))\n"
    "experiment e {\n"
    "  save(\"list\", [[1, 2.5, -3], [4, 5, 1e300]])\n"
    "  save(\"one\", 7)\n"
    "  save(\"digits\", digits.test[1..5])\n"
    "  for seed in 1..2, name in [\"a\", \"b c\"] { save(\"part\", seed * digits.test.raw[1][2]) }\n"
    "}\n";

static DataArray read_back(Child *c, const char *name)
{
    DataArray array;
    char *error = NULL;
    const char *path = path_join(c->arena, child_path(c, "out"), arena_printf(c->arena, "s/e/%s.npy", name));
    if (!read_npy(c->arena, path, NULL, &array, &error)) fail_msg("%s", error);
    return array;
}

static void run_study(Child *c)
{
    const char *argv[] = {c->nin, "run", child_text(c, "s.nin", study), "--out", child_path(c, "out"), "--quiet", NULL};
    Outcome o = process_run(c->arena, argv, CHILD_TIME);
    if (o.status != 0) fail_msg("%s", o.err);
}

static void test_arrays(void **state)
{
    Child *c = *state;
    run_study(c);
    DataArray list = read_back(c, "list"), one = read_back(c, "one");
    const double numbers[] = {1, 2.5, -3, 4, 5, 1e300};
    assert_int_equal(list.type, DATA_F64);
    assert_int_equal(list.rows, 2);
    assert_int_equal(list.shape.rank, 1);
    for (int i = 0; i < 6; i++) assert_true(data_at(&list, i) == numbers[i]);
    assert_true(data_at(&one, 0) == 7);
}

/* Pixels are sixteenths, in raw units whatever normalize: says; targets count from 0. */
static void test_data(void **state)
{
    Child *c = *state;
    run_study(c);
    DataArray x = read_back(c, "digits.x"), y = read_back(c, "digits.y");
    assert_int_equal(x.type, DATA_F32);
    assert_int_equal(x.rows, 5);
    assert_int_equal(shape_size(&x.shape), 64);
    assert_int_equal(y.type, DATA_I32);
    assert_int_equal(y.rows, 5);
    double sum = 0;
    for (int i = 0; i < 5 * 64; i++) {
        double v = data_at(&x, i);
        assert_true(v >= 0 && v <= 1 && fabs(16 * v - nearbyint(16 * v)) < 1e-4);
        sum += v;
    }
    assert_true(sum > 10);
    for (int i = 0; i < 5; i++) assert_in_range((long)data_at(&y, i), 0, 9);
    for (int seed = 1; seed <= 2; seed++) {
        DataArray part = read_back(c, arena_printf(c->arena, "part-%d-a", seed));
        assert_int_equal(part.rows, 8);
        for (int i = 0; i < 8; i++) assert_true(fabs(data_at(&part, i) - seed * data_at(&x, 8 + i)) < 1e-6);
    }
    const char *argv[] = {"/bin/sh", "-c",
                          arena_printf(c->arena, "ls '%s'/s/e/part-*-b_c-*.npy | wc -l", child_path(c, "out")), NULL};
    assert_string_equal(process_run(c->arena, argv, CHILD_TIME).out, "2\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_arrays, child_open, child_close),
        cmocka_unit_test_setup_teardown(test_data, child_open, child_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
