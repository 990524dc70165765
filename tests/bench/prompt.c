/* prompt.c -- milliseconds from a definition typed at the prompt to its first result, in processor time of one thread
 * (the clock's on a quiet machine): at once after the start, which loads the code generator, and later; the least, the
 * middle and the most of twenty, each compiled anew.
 *
 * The number asked for: below 100 ms. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "driver/repl.h"

enum { TIMES = 20 };

typedef struct Case { const char *name, *definition, *first; } Case;

/* %d: another number each time, so that nothing is found compiled. */
static const Case cases[] = {
    {"a cell, called", "cell act(x1, x2) { param k = %d.0; k * tanh(x1) * tanh(x2) }", "act(0.5, -2)"},
    {"a cell, its derivative", "cell act(x) = x * cos(%d * x)", ":grad act"},
    {"a net, predicting", "net n(x: f32[2]) -> f32[1] = dense[1](tanh(%d * dense[8](x)))",
     "predict(fresh(n, seed: 1), xor.x)"},
    {"a cell, trained in a net", "cell act(x1, x2) { param k = %d.0; k * tanh(x1) * tanh(x2) }",
     "train(neuron, on: xor, with: fit(0.1), seed: 1)"},
    {"an inner net, trained", "net deep(x: f32[2]) -> f32[1] = apply(inner[2], %d * dense[2](x))",
     "train(deep, on: xor, with: fit(0.1), seed: 1)"},
};

static const char *const before[] = {
    "xor = examples(x: [[-1, -1], [-1, 1], [1, -1], [1, 1]], y: [0, 1, 1, 0])",
    "cell act(x1, x2) { param k = 1.0; k * tanh(x1) * tanh(x2) }",
    "net neuron(x: f32[2]) -> f32[1] = apply(act, dense[2](x))",
    "fn fit(lr: real) = session(learn: all, loss: mse, optimizer: adam[lr: lr], batch: all, epochs: 1)",
};

static double seconds_now(void) {
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void put(void *data, const char *text, size_t length) {
    (void)data, (void)text, (void)length;
}

static void input(Repl *repl, const char *text) {
    if (repl_input(repl, text, true) == REPL_DONE) return;
    fprintf(stderr, "failed: %s\n", text);
    exit(1);
}

typedef struct Desk { Arena *arena; Session *session; Lab *lab; Repl *repl; } Desk;

static Desk desk_open(void) {
    Desk d = {.arena = arena_new()};
    LabOptions options = {.code = {.opt_level = 2, .plugin = NIN_PLUGIN}, .threads = 1, .keep_interrupted = true,
                          .tiers = true, .program = "prompt", .program_hash = ""};
    d.session = session_new(lab_builtin_table(d.arena));
    d.lab = lab_new(d.session, &options);
    d.repl = repl_new(d.session, d.lab, &(ReplOptions){.put = put, .width = 80, .height = 24});
    for (int i = 0; i < COUNT(before); i++) input(d.repl, before[i]);
    return d;
}

static void desk_close(Desk *d) {
    lab_free(d->lab);
    repl_free(d->repl);
    session_free(d->session);
    arena_free(d->arena);
}

static double once(const Desk *d, const Case *c, int number) {
    char text[200];
    snprintf(text, sizeof text, c->definition, number);
    double start = seconds_now();
    input(d->repl, text);
    input(d->repl, c->first);
    return 1e3 * (seconds_now() - start);
}

static int compare(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

int main(void) {
    Desk d = desk_open();
    printf("ms from definition to first result: the first time %.1f (it loads LLVM)\n%-26s %8s %8s %8s\n",
           once(&d, &cases[3], 1), "", "least", "middle", "most");
    for (int k = 0; k < COUNT(cases); k++) {
        double ms[TIMES];
        for (int i = 0; i < TIMES; i++) ms[i] = once(&d, &cases[k], i + 2);
        qsort(ms, TIMES, sizeof *ms, compare);
        printf("%-26s %8.1f %8.1f %8.1f\n", cases[k].name, ms[0], ms[TIMES / 2], ms[TIMES - 1]);
    }
    desk_close(&d);
    return 0;
}
