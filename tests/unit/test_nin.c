/* test_nin.c -- libnin through nin.h alone: programs, data, models, diagnostics as data; sessions that run at once
 * leave the bits that each leaves alone. */
#include "driver/nin.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static const char study[] =
    "cell bent(x) {\n  param c: f32[3] = normal(0, 0.5)\n  polynomial(c, x)\n}\n"
    "net small(x: f32[2]) -> f32[1] = dense[1](bent(dense[6](x)))\n"
    "net classes(x: f32[2]) -> f32[2] = dense[2](tanh(dense[5](x)))\n"
    "corners = examples(x: [[-1, -1], [-1, 1], [1, -1], [1, 1]], y: [0, 1, 1, 0])\n"
    "fn fit(epochs: int) = session(learn: all, loss: mse, optimizer: adam[lr: 0.05], batch: all, epochs: epochs)\n"
    "sorting = session(learn: all, loss: cross_entropy, optimizer: adam[lr: 0.1], batch: all, epochs: 60)\n";

static const float corners[8] = {-1, -1, -1, 1, 1, -1, 1, 1};
static const int64_t two = 2;

static NinSession *session_open(bool interpret)
{
    NinOptions options = {.size = sizeof options, .plugin = NIN_PLUGIN, .interpret = interpret};
    return nin_session_new(&options);
}

static int errors_of(NinSession *s)
{
    NinDiagnostic d;
    int n = 0;
    for (int i = 0; nin_diagnostic(s, i, &d); i++)
        n += d.severity == NIN_ERROR;
    return n;
}

static void models(void **state)
{
    (void)state;
    char path[] = NIN_PLUGIN "-test_nin-XXXXXX";
    int file = mkstemp(path);
    assert_true(file >= 0);
    close(file);
    NinSession *s = session_open(false);
    NinProgram *p = nin_load_text(s, "study.nin", study);
    assert_non_null(p);
    NinModel *fresh = nin_instantiate(p, "small", 3), *model = nin_train(p, "small", "corners", "fit(40)", 3);
    assert_non_null(fresh);
    assert_non_null(model);
    float before[4], after[4], again[4], fewer[4];
    int64_t shape[8];
    assert_int_equal(nin_input_size(model), 2);
    assert_int_equal(nin_output_shape(model, shape), 1);
    assert_int_equal(shape[0], 1);
    assert_int_equal(nin_parameters(model), 6 * 2 + 6 + 3 + 6 + 1);
    assert_true(nin_predict(fresh, corners, 4, before) && nin_predict(model, corners, 4, after));
    assert_true(memcmp(before, after, sizeof after) != 0);
    for (int i = 0; i < 4; i++)                                /* one at a time: the same */
        assert_true(nin_predict(model, corners + 2 * i, 1, &fewer[i]));
    assert_memory_equal(fewer, after, sizeof after);
    assert_true(nin_save(model, path));
    NinModel *loaded = nin_load_weights(p, "small", path);
    assert_non_null(loaded);
    assert_true(nin_predict(loaded, corners, 4, again));
    assert_memory_equal(again, after, sizeof after);
    assert_null(nin_load_weights(p, "classes", path));
    assert_int_equal(errors_of(s), 1);
    assert_false(nin_save(model, "/no/such/folder/w.safetensors"));
    nin_session_free(s);
    unlink(path);
}

static void own_data(void **state)
{
    (void)state;
    static const float y[4] = {0, 1, 1, 0};
    static const int32_t labels[4] = {0, 1, 1, 0}, wrong[4] = {0, 1, 2, 0};
    float a[4], b[4], logits[8];
    NinSession *s = session_open(false), *other = session_open(true);
    NinProgram *p = nin_load_text(s, "study.nin", study), *q = nin_load_text(other, "study.nin", study);
    assert_true(p && q);
    NinData *data = nin_data(s, 4, corners, 1, &two, y, 0, NULL),
            *its = nin_data(other, 4, corners, 1, &two, y, 0, NULL);
    assert_true(data && its);
    NinModel *m = nin_train_on(p, "small", data, "fit(10)", 1), *n = nin_train_on(q, "small", its, "fit(10)", 1);
    assert_true(m && n);
    assert_true(nin_predict(m, corners, 4, a) && nin_predict(n, corners, 4, b));
    assert_memory_equal(a, b, sizeof a);                       /* the interpreter gives the bits of the machine code */
    assert_null(nin_train_on(p, "small", its, "fit(10)", 1));
    NinData *sorted = nin_data_classes(s, 4, corners, 1, &two, labels, 2);
    assert_non_null(sorted);
    NinModel *sorter = nin_train_on(p, "classes", sorted, "sorting", 1);
    assert_non_null(sorter);
    assert_true(nin_predict(sorter, corners, 4, logits));
    for (int i = 0; i < 4; i++)
        assert_int_equal(logits[2 * i + 1] > logits[2 * i], labels[i]);
    int known = errors_of(s);
    assert_null(nin_data_classes(s, 4, corners, 1, &two, wrong, 2));
    assert_null(nin_data_classes(s, 4, corners, 1, &two, labels, 0));
    assert_null(nin_data(s, 0, corners, 1, &two, y, 0, NULL));
    assert_int_equal(errors_of(s), known + 3);
    nin_session_free(other);
    nin_session_free(s);
}

static void diagnostics(void **state)
{
    (void)state;
    NinSession *s = session_open(false);
    NinDiagnostic d;
    assert_null(nin_load_text(s, "wrong.nin", "x = 1\nnet f(x: f32[2]) -> f32[3] = dense[2](x)\ny = undefined\n"));
    assert_true(nin_diagnostics(s) >= 1);
    assert_true(nin_diagnostic(s, 0, &d));
    assert_int_equal(d.severity, NIN_ERROR);
    assert_string_equal(d.code, "E0301");
    assert_string_equal(d.path, "wrong.nin");
    assert_int_equal(d.line, 3);
    assert_int_equal(d.column, 5);
    assert_false(nin_diagnostic(s, nin_diagnostics(s), &d));
    nin_diagnostics_clear(s);
    assert_int_equal(nin_diagnostics(s), 0);
    assert_null(nin_load_file(s, "/no/such/file.nin"));
    assert_int_equal(errors_of(s), 1);
    nin_diagnostics_clear(s);
    NinProgram *p = nin_load_text(s, "study.nin", study);
    assert_non_null(p);
    char *text = nin_evaluate(p, "count(small) + 1");
    assert_string_equal(text, "29");
    free(text);
    assert_null(nin_evaluate(p, "nothing"));
    assert_null(nin_evaluate(p, "1 +"));
    assert_null(nin_evaluate(p, "a = 1; b = 2"));
    assert_null(nin_instantiate(p, "corners", 1));
    assert_null(nin_train(p, "small", "corners", "fit()", 1));
    assert_int_equal(errors_of(s) >= 5, 1);
    nin_session_free(s);
    nin_session_free(NULL);
}

/* ---- two sessions at once ---- */
typedef struct Job { int seed; float y[4]; bool done; } Job;

/* What a failed call gives may be given on. */
static void nothing(void **state)
{
    (void)state;
    NinSession *s = session_open(true);
    int64_t shape[8];
    float y[4];
    assert_null(nin_load_text(s, NULL, NULL));
    assert_null(nin_load_file(s, NULL));
    assert_int_equal(errors_of(s), 2);
    NinProgram *none = nin_load_text(s, "wrong", "net n(x: f32[2]) -> f32[1] = dnse[1](x)");
    assert_null(none);
    assert_null(nin_load_file(s, "nothing.nin"));
    assert_int_equal(errors_of(s), 4);
    assert_null(nin_evaluate(none, "1"));
    NinModel *model = nin_instantiate(none, "n", 1);
    assert_null(model);
    assert_null(nin_train(none, "n", "corners", "fit(1)", 1));
    assert_null(nin_load_weights(none, "n", "nothing.safetensors"));
    NinProgram *p = nin_load_text(s, NULL, study);
    assert_null(nin_train_on(p, "small", nin_data(s, 0, corners, 1, &two, y, 0, NULL), "fit(1)", 1));
    assert_int_equal(errors_of(s), 5);
    assert_true(!nin_predict(model, corners, 4, y) && !nin_predict(model, corners, 0, y) && !nin_save(model, "n"));
    assert_true(nin_input_size(model) == -1 && nin_output_size(model) == -1 && nin_parameters(model) == -1);
    assert_true(nin_input_shape(model, shape) == -1 && nin_output_shape(model, shape) == -1);
    assert_int_equal(errors_of(s), 5);
    nin_session_free(s);
}

static void *work(void *data)
{
    Job *job = data;
    NinSession *s = session_open(false);
    NinProgram *p = nin_load_text(s, "study.nin", study);
    NinModel *m = p ? nin_train(p, "small", "corners", "fit(200)", job->seed) : NULL;
    job->done = m && nin_predict(m, corners, 4, job->y);
    nin_session_free(s);
    return NULL;
}

static void sessions_at_once(void **state)
{
    (void)state;
    Job alone[2] = {{.seed = 1}, {.seed = 2}}, together[2] = {{.seed = 1}, {.seed = 2}};
    pthread_t thread[2];
    for (int i = 0; i < 2; i++)
        work(&alone[i]);
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, work, &together[i]), 0);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(pthread_join(thread[i], NULL), 0);
        assert_true(alone[i].done && together[i].done);
        assert_memory_equal(alone[i].y, together[i].y, sizeof alone[i].y);
    }
    assert_true(memcmp(alone[0].y, alone[1].y, sizeof alone[0].y) != 0);
}

/* One session, several threads: its calls wait for each other. */
typedef struct Caller { NinModel *model; const float *expected; bool same; } Caller;

static void *call(void *data)
{
    Caller *caller = data;
    float y[4];
    caller->same = true;
    for (int i = 0; i < 20; i++)
        caller->same &= nin_predict(caller->model, corners, 4, y) && memcmp(y, caller->expected, sizeof y) == 0;
    return NULL;
}

static void threads_share_a_session(void **state)
{
    (void)state;
    NinSession *s = session_open(false);
    NinProgram *p = nin_load_text(s, "study.nin", study);
    NinModel *m = nin_instantiate(p, "small", 1);
    float y[4];
    assert_true(nin_predict(m, corners, 4, y));
    Caller caller[3];
    pthread_t thread[3];
    for (int i = 0; i < 3; i++) {
        caller[i] = (Caller){m, y, false};
        assert_int_equal(pthread_create(&thread[i], NULL, call, &caller[i]), 0);
    }
    for (int i = 0; i < 3; i++) {
        pthread_join(thread[i], NULL);
        assert_true(caller[i].same);
    }
    nin_session_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(models),
        cmocka_unit_test(own_data),
        cmocka_unit_test(diagnostics),
        cmocka_unit_test(nothing),
        cmocka_unit_test(sessions_at_once),
        cmocka_unit_test(threads_share_a_session),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
