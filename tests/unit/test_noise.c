/* test_noise.c -- smooth_noise against its definition, written out: a full sum over the grid for each point. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <math.h>
#include <stdlib.h>

#include "experiment/experiment.h"
#include "support/rng.h"

static const DataObject *lazy_of(Session *session, LoadedModule *module, const char *name) {
    Eval e;
    Value value;
    bool found;
    eval_init(&e, session, session->arena, &session->diags, EVAL_RUN);
    assert_true(session_value(&e, module, name, &value, &found) && found);
    assert_int_equal(value.kind, V_OBJECT);
    return (const DataObject *)value.object;
}

static double gauss(double d, double sigma) { return exp(-d * d / (2 * sigma * sigma)); }

/* Points u in -1..1 convolved with a product of normalised Gaussians; zeros outside. */
static double by_points(const float *u, int points, double step, double sigma, int i, int j) {
    double sum = 0, total = 0;
    int reach = (points - 1) / 2;
    for (int d = -reach; d <= reach; d++) total += gauss(d * step, sigma);
    for (int a = 0; a < points; a++)
        for (int b = 0; b < points; b++)
            if (abs(i - a) <= reach && abs(j - b) <= reach)
                sum += (2 * u[a * points + b] - 1) * gauss((i - a) * step, sigma) * gauss((j - b) * step, sigma) /
                       (total * total);
    return sum;
}

static double phi(double x) { return 0.5 * (1 + erf(x / sqrt(2))); }

static double by_squares(const float *u, int squares, double lo, double side, double sigma, double x, double y) {
    double sum = 0;
    for (int a = 0; a < squares; a++)
        for (int b = 0; b < squares; b++) {
            double wa = phi((lo + side * (a + 1) - x) / sigma) - phi((lo + side * a - x) / sigma);
            double wb = phi((lo + side * (b + 1) - y) / sigma) - phi((lo + side * b - y) / sigma);
            sum += (2 * u[a * squares + b] - 1) * wa * wb;
        }
    return sum;
}

static void test_definition(void **state) {
    (void)state;
    Arena *arena = arena_new();
    Session *session = session_new(lab_builtin_table(arena));
    LabOptions options = {.threads = 1};
    Lab *lab = lab_new(session, &options);
    LoadedModule *module = session_load_text(session, "noise",
                                             "a = smooth_noise(points: 101, over: -5..5, sigma: 1/3)\n"
                                             "b = smooth_noise(squares: 5, points: 21, over: -2.5..2.5, sigma: 3)\n");
    const DataObject *a = lazy_of(session, module, "a"), *b = lazy_of(session, module, "b");
    float *u = arena_array(arena, float, 101 * 101);
    rng_fill_uniform(77, 101 * 101, u);
    const DataObject *two = noise_draw(arena, a, 77, 2);
    assert_int_equal(two->size, 101 * 101);
    const double *x = two->x.rows, *y = two->y.rows;
    static const int places[][2] = {{0, 0}, {50, 50}, {100, 3}, {17, 99}, {33, 60}};
    for (int k = 0; k < COUNT(places); k++) {
        int row = places[k][0] * 101 + places[k][1];
        assert_true(fabs(x[2 * row] - (-5 + 0.1 * places[k][0])) < 1e-12 &&
                    fabs(x[2 * row + 1] - (-5 + 0.1 * places[k][1])) < 1e-12);
        assert_true(fabs(y[row] - by_points(u, 101, 0.1, 1.0 / 3, places[k][0], places[k][1])) < 1e-12);
    }
    const DataObject *soft = noise_draw(arena, b, 77, 2);
    rng_fill_uniform(77, 25, u);
    x = soft->x.rows;
    y = soft->y.rows;
    for (int row = 0; row < 21 * 21; row += 13)
        assert_true(fabs(y[row] - by_squares(u, 5, -2.5, 1, 3, x[2 * row], x[2 * row + 1])) < 1e-12);
    assert_int_equal(noise_draw(arena, b, 1, 1)->size, 21);
    assert_int_equal(noise_draw(arena, b, 1, 3)->size, 21 * 21 * 21);
    assert_true(noise_fits(a, 3) && !noise_fits(a, 4));
    lab_free(lab);
    session_free(session);
    arena_free(arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_definition)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
