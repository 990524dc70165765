/* attack_front.c -- the product that a victim begins with, for attacks that change a few inputs (attack/front.h). */
#include "experiment/attacking.h"
#include "attack/front.h"

#include <stdlib.h>

enum { MAX_BATCH = 512 };

static bool part_run(const AttackFront *f, Program *program, const void *x, int64_t n, void *out) {
    Feed feed = {.rows = {x, NULL, NULL, x}, .examples = n, .batch = n < MAX_BATCH ? n : MAX_BATCH,
                 .settings = f->settings, .out_rows = {out}};
    return program->run(program, f->block, &feed, 0, (n + feed.batch - 1) / feed.batch, f->pool) == 0;
}

static bool part_seen(void *data, const float *x, int64_t n, float *out) {
    const AttackFront *f = data;
    return part_run(f, f->seen, x, n, out);
}

static bool part_rest(void *data, const float *h, int64_t n, double *z) {
    const AttackFront *f = data;
    float *rows = malloc((size_t)(n * f->classes) * sizeof *rows + 64);
    bool ok = rows && part_run(f, f->rest, h, n, rows);
    for (int64_t i = 0; ok && i < n * f->classes; i++) z[i] = rows[i];
    free(rows);
    return ok;
}

const AttackFront *attack_front(Eval *e, const TrainPlan *plan, void *block, const double *settings, Span span) {
    FrontCut cut;                        /* the interpreter, the oracle, looks at whole programs */
    const Program *program = plan->program;
    if (lab_of(e)->options.backend == BACKEND_INTERPRET || !front_cut(e->arena, program->graph, &cut)) return NULL;
    AttackFront *f = arena_new_of(e->arena, AttackFront);
    *f = (AttackFront){.block = block, .settings = settings, .pool = lab_turn(e)->pool,
                       .classes = (int)shape_size(&plan->row_shape[0])};
    front_weights(e->arena, &cut, &program->layout, block, &f->front);
    f->front.data = f;
    f->front.seen = part_seen;
    f->front.rest = part_rest;
    f->seen = lab_program(e, e->arena, cut.seen, program->layout, span);
    f->rest = f->seen ? lab_program(e, e->arena, cut.rest, program->layout, span) : NULL;
    if (f->rest) return f;
    attack_front_free(f);
    return NULL;
}

void attack_front_free(const AttackFront *f) {
    if (f && f->seen) f->seen->free(f->seen);
    if (f && f->rest) f->rest->free(f->rest);
}
