/* test_resume.c -- a run that is stopped at any moment and called again ends in the same bits: kill -9 at random
 * moments (5 of them; 50 with NIN_LONG, as `make test-long` sets it), in the middle of an epoch too, a state that
 * cannot be written, states that are not this run's, beginnings that other schedules share, two processes at once. */
#define _GNU_SOURCE
#include "child.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>

static const char study[] =
    "digits = dataset(\"digits\", shape: [64], normalize: affine(mean: 0.5, sd: 0.5), valid: 300, test: 300)\n"
    "cell bend[n: int](x: f32[n]) = dense[1](tanh(dense[4](x)))\n"
    "net mlp(x: f32[64]) -> f32[10] = dense[10](dropout[0.2](apply(bend[2], dense[1024](x))))\n"
    "first = session(fit: cells, to: smooth_noise(points: 15, over: -5..5, sigma: 1), loss: mse, "
    "optimizer: adam[lr: 1e-2],\n"
    "                batch: 25, epochs: 20)\n"
    "second = session(learn: all, loss: cross_entropy, optimizer: adam[lr: 5e-3], batch: 32, epochs: 60,\n"
    "                 stop: patience(4, valid_loss), take: best(valid_loss))\n"
    "third = session(learn: outer, reset: outer, loss: cross_entropy, optimizer: sgd[lr: 0.05, momentum: 0.9], "
    "batch: 32,\n"
    "                epochs: 12)\n"
    "experiment e(sessions: int = 3) {\n"
    "  plan = if sessions == 3 { { a: first, b: second, c: third } } else { { a: first, b: second } }\n"
    "  for seed in 1..1 {\n"
    "    run = train(mlp, on: digits, with: plan, seed: seed)\n"
    "    record(curve: run.curve, hash: run.model.hash)\n"
    "  }\n"
    "  table(\"t\", n: count())\n"
    "}\n";

static double seconds_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static char *records(Child *c, const char *out)
{
    char *bytes, *error = NULL;
    size_t length;
    if (!file_read(c->arena, path_join(c->arena, out, "study/e/records.jsonl"), 0, &bytes, &length, &error))
        fail_msg("%s", error);
    return bytes;
}

/* The only file of this name among the runs, or NULL. */
static const char *run_file(Child *c, const char *out, const char *name)
{
    const char *argv[] = {"/usr/bin/find", path_join(c->arena, out, "runs"), "-name", name, NULL};
    Outcome o = process_run(c->arena, argv, CHILD_TIME);
    char *line = strchr(o.out, '\n');
    if (!line)
        return NULL;
    *line = 0;
    return o.out;
}

static pid_t spawn(Child *c, const char *file, const char *out)
{
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        int null = open("/dev/null", O_RDWR);
        dup2(null, 1);
        dup2(null, 2);
        execl(c->nin, c->nin, "run", file, "--out", out, "--checkpoint", "0", "--quiet", "--threads", "1",
              (char *)NULL);
        _exit(127);
    }
    return pid;
}

/* Runs for so many seconds, then kills; true if it had not ended before. */
static bool killed_after(Child *c, const char *file, const char *out, double seconds)
{
    int status;
    pid_t pid = spawn(c, file, out);
    assert_true(pid > 0);                                               /* kill(-1) would end everything */
    usleep((useconds_t)(seconds * 1e6));
    kill(pid, SIGKILL);
    waitpid(pid, &status, 0);
    return WIFSIGNALED(status);
}

typedef struct Reference { const char *file, *records; double seconds; } Reference;

static Reference reference_of(Child *c, const char *program)
{
    Reference r = {.file = child_text(c, "study.nin", program)};
    const char *out = child_path(c, "reference");
    expect_status(&(Outcome[]){child_run(c, "run", r.file, "--out", out, "--threads", "1", NULL)}[0], 0);
    folder_clear(out); /* its kernels are kept now: time what the runs to be killed take */
    double start = seconds_now();
    Outcome o = child_run(c, "run", r.file, "--out", out, "--threads", "1", NULL);
    r.seconds = seconds_now() - start;
    expect_status(&o, 0);
    r.records = records(c, out);
    folder_clear(out);
    return r;
}

static Reference reference(Child *c)
{
    static Reference r;                                 /* made once */
    if (!r.records)
        r = reference_of(c, study);
    return r;
}

/* A folder in which a state was left behind. */
static const char *stopped_halfway(Child *c, const Reference *r, const char *name, const char **state)
{
    const char *out = child_path(c, name);
    for (int i = 0; i < 200; i++) {
        killed_after(c, r->file, out, r->seconds * (0.1 + 0.04 * (i % 20)));
        *state = run_file(c, out, "state");
        if (*state)
            return out;
        folder_clear(out);
    }
    fail_msg("no state was ever left");
    return NULL;
}

static void test_kill(void **state)
{
    Child *c = *state;
    Reference r = reference(c);
    int trials = getenv("NIN_LONG") ? 50 : 5, killed = 0, saved = 0;
    unsigned short seed[3] = {1, 2, 3};
    for (int i = 0; i < trials; i++) {
        const char *out = child_path(c, "killed"), *left;
        killed += killed_after(c, r.file, out, r.seconds * (0.1 + erand48(seed)));
        if (i % 3 == 0)                                 /* some are stopped twice */
            killed_after(c, r.file, out, r.seconds * erand48(seed));
        saved += run_file(c, out, "state") != NULL;
        Outcome o = child_run(c, "run", r.file, "--out", out, "--threads", "2", NULL);
        expect_status(&o, 0);
        assert_string_equal(records(c, out), r.records);
        left = run_file(c, out, "state*");
        if (left)
            fail_msg("%s is left behind", left);
        folder_clear(out);
    }
    print_message("%d of %d equal; %d killed under way, %d states left\n", trials, trials, killed, saved);
}

/* A session of one epoch: what is left behind is from the middle of it, and Ctrl-C does not wait for its end. */
static void test_middle_of_epoch(void **state)
{
    Child *c = *state;
    const char *program = strstr(study, "first =");
    Reference r = reference_of(c, arena_printf(c->arena,
        "%.*sonly = session(learn: all, loss: cross_entropy, optimizer: adam[lr: 5e-3], batch: 1, epochs: 1)\n"
        "experiment e {\n"
        "  for seed in 1..1 {\n"
        "    run = train(mlp, on: digits, with: only, seed: seed)\n"
        "    record(curve: run.curve, hash: run.model.hash)\n"
        "  }\n"
        "  table(\"t\", n: count())\n"
        "}\n", (int)(program - study), study));
    for (int i = 0; i < 3; i++) {
        const char *left, *out = stopped_halfway(c, &r, "middle", &left);
        Outcome o = child_run(c, "run", r.file, "--out", out, "--threads", "2", NULL);
        expect_status(&o, 0);
        assert_string_equal(records(c, out), r.records);
        folder_clear(out);
    }
}

static void test_full_disk(void **state)
{
    Child *c = *state;
    Reference r = reference(c);
    const char *left, *out = stopped_halfway(c, &r, "full", &left);
    char before[65], after[65], *bytes, *error = NULL;
    size_t length;
    assert_true(file_read(c->arena, left, 0, &bytes, &length, &error));
    sha256_hex(bytes, length, before);
    const char *shell = arena_printf(c->arena, "ulimit -f 8; exec '%s' run '%s' --out '%s' --checkpoint 0 --quiet",
                                     c->nin, r.file, out);
    const char *argv[] = {"/bin/sh", "-c", shell, NULL};
    Outcome o = process_run(c->arena, argv, CHILD_TIME);
    expect_status(&o, 3);
    expect_text(o.err, "R0103");
    expect_text(o.err, "cannot write");
    assert_true(file_read(c->arena, left, 0, &bytes, &length, &error));
    sha256_hex(bytes, length, after);
    assert_string_equal(before, after);
    o = child_run(c, "run", r.file, "--out", out, NULL);
    expect_status(&o, 0);
    assert_string_equal(records(c, out), r.records);
}

static void test_other_states(void **state)
{
    Child *c = *state;
    Reference r = reference(c);
    const char *left, *out = stopped_halfway(c, &r, "other", &left);
    char *bytes, *error = NULL;
    size_t length;
    assert_true(file_read(c->arena, left, 0, &bytes, &length, &error));
    char *damaged = arena_copy(c->arena, bytes, length);
    damaged[length / 2] ^= 1;
    assert_true(file_write(c->arena, left, damaged, length, FILE_NO_SYNC, &error));
    Outcome o = child_run(c, "run", r.file, "--out", out, NULL);
    expect_status(&o, 3);
    expect_text(o.err, "is damaged");
    expect_text(o.err, "remove the file");
    char *later = arena_copy(c->arena, bytes, length);
    later[14] = 9;                                      /* the semantics, after the magic and the format */
    assert_true(file_write(c->arena, left, later, length, FILE_NO_SYNC, &error));
    o = child_run(c, "run", r.file, "--out", out, NULL);
    expect_status(&o, 1);
    expect_text(o.err, "semantics 9; this is format 2, semantics 1");
    char *other = arena_copy(c->arena, bytes, length);
    other[26] ^= 1;                                     /* the run's hash, after its length */
    char hex[65];
    sha256_hex(other, length - 64, hex);
    memcpy(other + length - 64, hex, 64);
    assert_true(file_write(c->arena, left, other, length, FILE_NO_SYNC, &error));
    o = child_run(c, "run", r.file, "--out", out, NULL);
    expect_status(&o, 1);
    expect_text(o.err, "is that of another run");
    for (size_t i = 0; i < 40; i++) {                   /* cut short anywhere */
        assert_true(file_write(c->arena, left, bytes, length * i / 40, FILE_NO_SYNC, &error));
        if (i % 8)
            continue;
        o = child_run(c, "run", r.file, "--out", out, NULL);
        expect_status(&o, 3);
    }
    assert_true(file_write(c->arena, left, bytes, length, FILE_NO_SYNC, &error));
    o = child_run(c, "run", r.file, "--out", out, NULL);
    expect_status(&o, 0);
    assert_string_equal(records(c, out), r.records);
}

/* A schedule that begins as another one goes on from its end. */
static void test_beginnings(void **state)
{
    Child *c = *state;
    Reference r = reference(c);
    const char *out = child_path(c, "beginning");
    Outcome o = child_run(c, "run", r.file, "--out", out, "--set", "sessions=2", NULL);
    expect_status(&o, 0);
    o = child_run(c, "run", r.file, "--out", out, NULL);
    expect_status(&o, 0);
    assert_string_equal(records(c, out), r.records);
    double start = seconds_now();
    o = child_run(c, "run", r.file, "--out", out, NULL);
    expect_status(&o, 0);
    assert_string_equal(records(c, out), r.records);
    print_message("found again in %.2f s, trained in %.2f s\n", seconds_now() - start, r.seconds);
}

static void test_two_processes(void **state)
{
    Child *c = *state;
    Reference r = reference(c);
    const char *out = child_path(c, "two");
    pid_t pid[3];
    for (int i = 0; i < 3; i++)
        pid[i] = spawn(c, r.file, out);
    for (int i = 0; i < 3; i++) {
        int status;
        waitpid(pid[i], &status, 0);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 0);
    }
    assert_string_equal(records(c, out), r.records);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_middle_of_epoch), cmocka_unit_test(test_kill),       cmocka_unit_test(test_full_disk),
        cmocka_unit_test(test_other_states),    cmocka_unit_test(test_beginnings), cmocka_unit_test(test_two_processes),
    };
    return cmocka_run_group_tests(tests, child_open, child_close);
}
