/* test_tables.c -- trained two-argument neurons in tables: at points drawn evenly, and at the worst of them moved
 * uphill to where the error is largest (the corners between the linear pieces of a net of relus), the table differs
 * from the cell by no more than what is proved, and the proof is not far above what is met.  2 * 10^5 points; 10^7 with
 * NIN_LONG. */
#include "driver/nin.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { CHUNK = 100000, WORST = 256, TURNS = 60, TRIES = 16 };

static const char program[] =
    "fn bump(a: f32, b: f32) = exp(0 - a * a) * cos(3 * b) + 0.3 * a * b\n"
    "bumps = samples(bump, over: [-3..3, -3..3], points: 2000, seed: 1)\n"
    "cell soft[n: int](x: f32[n]) {\n"
    "  h = tanh(dense[16, init: xavier_uniform, bias: 0](x))\n"
    "  dense[1, init: xavier_uniform, bias: 0](tanh(dense[16, init: xavier_uniform, bias: 0](h)))\n"
    "}\n"
    "net sharp(x: f32[2]) -> f32[1] {\n  param shift = 0\n  apply(inner[2], x + shift)\n}\n"
    "net smooth(x: f32[2]) -> f32[1] {\n  param shift = 0\n  apply(soft[2], x + shift)\n}\n"
    "net curve(x: f32[1]) -> f32[1] {\n  param shift = 0\n  apply(soft[1], x + shift)\n}\n"
    "waves = samples(sin, over: [-6..6], points: 500, seed: 1)\n"
    "fn step(by, lr: real, epochs: int) =\n"
    "  session(learn: cells, cells: by, loss: mse, optimizer: adam[lr: lr], batch: 100, epochs: epochs)\n"
    "fn recipe(cells) = { fit: step(exact, 0.004, 20), look: { ...step(cells, 0, 1), learn: outer } }\n";

typedef struct Two { NinModel *exact, *table; int n; float lo, hi; uint64_t bits; } Two;

static double draw(Two *t) {
    t->bits = t->bits * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (double)(t->bits >> 11) * 0x1p-53;
}

/* error[i] = |table - cell| at x[i]. */
static void differences(const Two *t, const float *x, int count, double *error) {
    float *a = malloc(sizeof *a * (size_t)count), *b = malloc(sizeof *b * (size_t)count);
    assert_true(nin_predict(t->exact, x, count, a) && nin_predict(t->table, x, count, b));
    for (int i = 0; i < count; i++) error[i] = fabs((double)a[i] - (double)b[i]);
    free(a);
    free(b);
}

typedef struct Place { float x[2]; double error; } Place;

static void keep_worst(Place *worst, const float *x, int n, double error) {
    int at = WORST;
    while (at && worst[at - 1].error < error) at--;
    if (at == WORST) return;
    memmove(worst + at + 1, worst + at, sizeof *worst * (size_t)(WORST - 1 - at));
    worst[at] = (Place){{x[0], n > 1 ? x[1] : 0}, error};
}

static void even_points(Two *t, int64_t points, Place *worst) {
    float *x = malloc(sizeof *x * CHUNK * 2);
    double *error = malloc(sizeof *error * CHUNK);
    for (int64_t done = 0; done < points; done += CHUNK) {
        for (int i = 0; i < CHUNK * t->n; i++) x[i] = t->lo + (t->hi - t->lo) * (float)draw(t);
        differences(t, x, CHUNK, error);
        for (int i = 0; i < CHUNK; i++) keep_worst(worst, x + i * t->n, t->n, error[i]);
    }
    free(x);
    free(error);
}

/* Each of the worst goes to the best of some neighbours, whose distance falls. */
static void uphill(Two *t, Place *worst) {
    float x[WORST * TRIES * 2];
    double error[WORST * TRIES], reach = 0.05 * (t->hi - t->lo);
    for (int turn = 0; turn < TURNS; turn++, reach *= 0.8) {
        for (int i = 0; i < WORST * TRIES; i++)
            for (int j = 0; j < t->n; j++) {
                float near = worst[i / TRIES].x[j] + (float)(reach * (2 * draw(t) - 1));
                x[i * t->n + j] = near < t->lo ? t->lo : near > t->hi ? t->hi : near;
            }
        differences(t, x, WORST * TRIES, error);
        for (int i = 0; i < WORST * TRIES; i++)
            if (error[i] > worst[i / TRIES].error)
                worst[i / TRIES] = (Place){{x[i * t->n], t->n > 1 ? x[i * t->n + 1] : 0}, error[i]};
    }
}

static NinModel *trained(NinProgram *p, const char *net, const char *data, const char *cells) {
    char text[200];
    snprintf(text, sizeof text, "recipe(%s)", cells);
    NinModel *m = nin_train(p, net, data, text, 1);
    assert_non_null(m);
    return m;
}

static double number_of(NinProgram *p, const char *expression) {
    char *text = nin_evaluate(p, expression);
    assert_non_null(text);
    double x = strtod(text, NULL);
    free(text);
    return x;
}

static void check_net(const char *net, const char *data, int n, const char *over, double asked, double tight) {
    NinOptions options = {.size = sizeof options, .plugin = NIN_PLUGIN};
    NinSession *s = nin_session_new(&options);
    NinProgram *p = nin_load_text(s, "tables.nin", program);
    assert_non_null(p);
    char cells[160], bound[400];
    snprintf(cells, sizeof cells, "tabulated[error: %g, over: %s, outside: clamp]", asked, over);
    snprintf(bound, sizeof bound, "train(%s, on: %s, with: recipe(%s), seed: 1).model.cell.error_bound", net, data,
             cells);
    Two t = {trained(p, net, data, "exact"), trained(p, net, data, cells), n, n == 1 ? -6 : -3, n == 1 ? 6 : 3, 11};
    double proved = number_of(p, bound), met = 0;
    Place worst[WORST] = {0};
    even_points(&t, getenv("NIN_LONG") ? 10000000 : 200000, worst);
    uphill(&t, worst);
    for (int i = 0; i < WORST; i++) met = fmax(met, worst[i].error);
    print_message("%s, asked %g: proved %.6g, met %.6g\n", net, asked, proved, met);
    assert_true(proved > 0 && proved <= asked);
    assert_true(met <= proved);
    assert_true(met > tight * proved);
    nin_session_free(s);
}

static void of_relus(void **state) {
    (void)state;
    check_net("sharp", "bumps", 2, "[-3..3, -3..3]", 1e-2, 0.8);
    if (getenv("NIN_LONG")) check_net("sharp", "bumps", 2, "[-3..3, -3..3]", 1e-3, 0.75);
}

static void smooth(void **state) {
    (void)state;
    check_net("smooth", "bumps", 2, "[-3..3, -3..3]", 1e-2, 0.9);
    check_net("smooth", "bumps", 2, "[-3..3, -3..3]", 1e-4, 0.7);
}

static void of_one_argument(void **state) {
    (void)state;
    check_net("curve", "waves", 1, "[-6..6]", 1e-3, 0.9);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(of_relus), cmocka_unit_test(smooth),
                                       cmocka_unit_test(of_one_argument)};
    return cmocka_run_group_tests_name("tables", tests, NULL, NULL);
}
