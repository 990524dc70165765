/* compile.c -- what the programs of one training take to be made: by the clock and in processor time, cold (compiled
 * and kept; the first line also loads LLVM) and found again, on one thread and on two.  The net is the convolutional
 * one of examples/kim.nin with two-argument neurons; its programs are the training step (gradients, Adam) and the
 * evaluation.
 *   made: all from the traced net to machine code    code: of it the code generator, or the finding of kept objects
 * The numbers asked for: a training step in 1.5 s cold, 0.1 s found again. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "driver/repl.h"
#include "emit/emit.h"
#include "experiment/train.h"

typedef struct Spent { double clock, processor; } Spent;

static Spent code;                                 /* of the program at hand */
static int programs;

static Spent now(void) {
    struct timespec t, p;
    clock_gettime(CLOCK_MONOTONIC, &t);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &p);
    return (Spent){(double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6,
                   (double)p.tv_sec * 1e3 + (double)p.tv_nsec * 1e-6};
}

static Spent since(Spent start) {
    Spent end = now();
    return (Spent){end.clock - start.clock, end.processor - start.processor};
}

/* The linker puts these in place of the functions (Makefile). */
Code *__real_code_jit(Arena *arena, const KModule *module, const CodeOptions *options, const char **error);
Code *__wrap_code_jit(Arena *arena, const KModule *module, const CodeOptions *options, const char **error);
Code *__wrap_code_jit(Arena *arena, const KModule *module, const CodeOptions *options, const char **error) {
    Spent start = now();
    Code *made = __real_code_jit(arena, module, options, error);
    code = since(start);
    return made;
}

TrainPlan *__real_plan_get(const PlanRequest *request, const double **settings);
TrainPlan *__wrap_plan_get(const PlanRequest *request, const double **settings);
TrainPlan *__wrap_plan_get(const PlanRequest *request, const double **settings) {
    Spent start = now();
    code = (Spent){0, 0};
    TrainPlan *plan = __real_plan_get(request, settings);
    Spent made = since(start);
    if (code.clock > 0)
        printf("  %-14s made %7.1f ms by the clock %7.1f of processor    code %7.1f %7.1f\n",
               programs++ ? "evaluation" : "training step", made.clock, made.processor, code.clock, code.processor);
    return plan;
}

/* ---- the net, once ---- */

static const char *const text[] = {
    "pictures = blobs(points: 4, classes: 10, features: 3072, seed: 1)",
    "net cnn[act: cells, maps: list[int]](x: f32[3072]) -> f32[10] {\n"
    "  x = reshape(x, [3, 32, 32])\n"
    "  for layer in 1..3 {\n"
    "    z = layernorm[affine: false](conv[features(act, maps[layer]), kernel: 3](x))\n"
    "    x = dropout[0.5](maxpool[2](apply(act, z)))\n"
    "  }\n"
    "  x = apply(act, layernorm[affine: false](dense[features(act, maps[4])](flatten(x))))\n"
    "  dense[10](dropout[0.5](x))\n"
    "}",
    "once = session(learn: all, loss: cross_entropy, optimizer: adam[lr: 1e-3], batch: 2, epochs: 1)",
    "run = train(cnn[inner[2], [60, 120, 120, 120]], on: pictures, with: once, seed: 1)",
};

static void put(void *data, const char *said, size_t length) { (void)data, (void)said, (void)length; }

static void train_once(int threads, const char *objects) {
    Arena *arena = arena_new();
    LabOptions options = {.code = {.opt_level = 2, .plugin = NIN_PLUGIN, .threads = threads, .objects = objects},
                          .threads = threads, .keep_interrupted = true, .program = "compile", .program_hash = ""};
    Session *session = session_new(lab_builtin_table(arena));
    Lab *lab = lab_new(session, &options);
    Repl *repl = repl_new(session, lab, &(ReplOptions){.put = put, .width = 80, .height = 24});
    programs = 0;
    for (int i = 0; i < COUNT(text); i++)
        if (repl_input(repl, text[i], true) != REPL_DONE) fprintf(stderr, "failed: %s\n", text[i]), exit(1);
    lab_free(lab);
    repl_free(repl);
    session_free(session);
    arena_free(arena);
}

int main(void) {
    for (int threads = 1; threads <= 2; threads++) {
        char folder[] = "/tmp/nin-compile-XXXXXX", clear[64];
        if (!mkdtemp(folder)) return 1;
        for (int again = 0; again < 3; again++) {
            printf("%d thread%s, %s\n", threads, threads == 1 ? "" : "s", again ? "found again" : "cold");
            fflush(stdout);
            train_once(threads, folder);
        }
        snprintf(clear, sizeof clear, "rm -r '%s'", folder);
        if (system(clear) != 0) return 1;
    }
    return 0;
}
