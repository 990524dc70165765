/* cell_facts.c -- what is known of a cell: lipschitz(cell, over:), time_per_call(cell).
 *
 * The slope of a cell that does not jump is bounded by those of its pieces: over a box, the bounds of its derivatives
 * (pass/bound.c; a kink has all slopes between those of its sides).  The box is cut where the bound is largest, until
 * what a middle has for sure is close to it. */
#include "experiment/prove.h"

#include <math.h>
#include <time.h>

/* ---- arguments ---- */

static bool box_argument(Eval *e, const BuiltinCall *call, int k, int arity, Strategy *box) {
    return box_read(e, &call->args[k], arity, "this", call->arg_spans[k], box);
}

/* False: *out is set. */
static bool cell_argument(Eval *e, const BuiltinCall *call, int *arity, Value *out) {
    const Value *cell = &call->args[0];
    if (cell->kind == V_ERROR) return eval_fail(out), false;
    bool unknown = cell->kind == V_ABSTRACT ||
                   (cell->kind == V_CALLABLE && cell->callable->parts && !cell->callable->weights);
    if (unknown || e->mode == EVAL_CHECK) { *out = value_abstract(NULL); return false; }
    *arity = cell->kind == V_CALLABLE ? callable_arity(e, cell) : 0;
    if (*arity >= 1 && *arity <= STRATEGY_ARGUMENTS) return true;
    diag_add(e->diags, D_E0314, call->arg_spans[0], "a cell of 1 to %d arguments is needed here; this is %s",
             STRATEGY_ARGUMENTS, value_kind_name(cell));
    return eval_fail(out), false;
}

/* ---- lipschitz ---- */

enum { ROUND = 1 << 10 };
static const int64_t MOST_PARTS = (int64_t)1 << 21;

typedef struct Part { double lo[BOUND_ARGUMENTS], hi[BOUND_ARGUMENTS]; } Part;

typedef struct Slopes {
    Prover *p;
    int n;
    Part *open; int64_t count, cap;
    double most, least;                        /* proved over what is closed; met somewhere */
} Slopes;

/* The length of the gradient, of a cell that has a value: at most, and at least at the middle. */
static void gradient_length(const Slopes *s, const double *form, double *most, double *least) {
    double up = 0, down = 0;
    for (int k = 1; k <= s->n; k++) {
        const double *f = form + k * (s->n + 2);
        double wide = f[s->n + 1], rest = f[s->n + 1];
        for (int j = 0; j < s->n; j++) wide += fabs(f[1 + j]);
        double top = fabs(f[0]) + wide, bottom = fmax(0, fabs(f[0]) - rest);
        up += top * top;
        down += bottom * bottom;
    }
    bool bounded = form[s->n + 1] < INFINITY;          /* the value; else it may be none at all */
    *most = bounded ? sqrt(up) * (1 + 0x1p-40) : INFINITY;
    *least = sqrt(down);
}

static void part_push(Slopes *s, const Part *part) {
    if (s->count == s->cap) {
        Part *more = arena_array(s->p->arena, Part, 2 * s->cap + ROUND);
        if (s->count) memcpy(more, s->open, sizeof *more * (size_t)s->count);
        s->open = more;
        s->cap = 2 * s->cap + ROUND;
    }
    s->open[s->count++] = *part;
}

static void part_cut(Slopes *s, const Part *part, const Strategy *box) {
    int widest = 0;
    for (int j = 1; j < s->n; j++) {
        double a = (part->hi[j] - part->lo[j]) / (box->hi[j] - box->lo[j]);
        if (a > (part->hi[widest] - part->lo[widest]) / (box->hi[widest] - box->lo[widest])) widest = j;
    }
    Part a = *part, b = *part;
    a.hi[widest] = b.lo[widest] = part->lo[widest] + (part->hi[widest] - part->lo[widest]) / 2;
    part_push(s, &b);
    part_push(s, &a);
}

/* One round; false after diagnostics.  *over: a bound that is infinite where parts cannot be cut any more. */
static bool slopes_round(Slopes *s, const Strategy *box, double *middle, double *half, double *form, Part *part) {
    int count = s->count < ROUND ? (int)s->count : ROUND, each = (s->n + 1) * (s->n + 2);
    s->count -= count;
    memcpy(part, s->open + s->count, sizeof *part * (size_t)count);
    for (int i = 0; i < count; i++)
        for (int j = 0; j < s->n; j++) {
            middle[i * s->n + j] = part[i].lo[j] + (part[i].hi[j] - part[i].lo[j]) / 2;
            half[i * s->n + j] = (part[i].hi[j] - part[i].lo[j]) / 2;
        }
    if (!prover_run(s->p, count, middle, half, form)) return false;
    for (int i = 0; i < count; i++) {
        double most, least;
        gradient_length(s, form + i * each, &most, &least);
        s->least = fmax(s->least, least);
    }
    for (int i = 0; i < count; i++) {
        double most, least;
        gradient_length(s, form + i * each, &most, &least);
        bool small = true;
        for (int j = 0; j < s->n; j++)
            small = small && part[i].hi[j] - part[i].lo[j] < 0x1p-16 * (box->hi[j] - box->lo[j]);
        if (most <= 1.02 * s->least || small) s->most = most <= s->most ? s->most : isnan(most) ? INFINITY : most;
        else part_cut(s, &part[i], box);
    }
    return true;
}

static bool find_slope(Slopes *s, const Strategy *box, double *out) {
    double *middle = arena_array(s->p->arena, double, ROUND * s->n),
           *half = arena_array(s->p->arena, double, ROUND * s->n);
    double *form = arena_array(s->p->arena, double, ROUND * (s->n + 1) * (s->n + 2));
    Part *part = arena_array(s->p->arena, Part, ROUND), all = {{0}};
    int64_t done = 0;
    memcpy(all.lo, box->lo, sizeof all.lo);
    memcpy(all.hi, box->hi, sizeof all.hi);
    part_push(s, &all);
    while (s->count && done < MOST_PARTS && s->most < INFINITY) {
        done += s->count < ROUND ? s->count : ROUND;
        if (!slopes_round(s, box, middle, half, form, part)) return false;
    }
    *out = s->count ? INFINITY : s->most;
    return true;
}

static bool builtin_lipschitz(Eval *e, const BuiltinCall *call, Value *out) {
    int arity;
    Prover p;
    Strategy box = {0};
    double slope = INFINITY;
    if (!cell_argument(e, call, &arity, out)) return out->kind != V_ERROR;
    if (!box_argument(e, call, 1, arity, &box)) return eval_fail(out);
    bool ok = prover_make(e, &call->args[0], arity, DT_F64, true, call->span, &p);
    Slopes s = {.p = &p, .n = arity};
    if (ok && p.unknown) {
        Diag *d = diag_add(e->diags, D_E0613, call->span, "no bound is known for %s, which the cell uses", p.unknown);
        diag_hint(d, "of a cell with a strategy: its exact one, replace(model, cells: exact).cell");
        ok = false;
    }
    ok = ok && (p.jumps || find_slope(&s, &box, &slope));
    prover_free(&p);
    if (!ok) return eval_fail(out);
    *out = value_real(slope);
    return true;
}

/* ---- time_per_call ---- */

enum { WIDTH = 64, TIMED_ROWS = 512, REPEATS = 30 };

static double seconds_now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* rows -> the cell on WIDTH calls; as a program. */
static Program *timed_program(Eval *e, const Value *cell, int arity, Arena *arena, Span span, void **block,
                              double **settings) {
    DType precision = e->session->precision == DT_F64 ? DT_F64 : DT_F32;
    Trace *t = trace_new(e, precision, false), *before = e->trace;
    Val rows = graph_input(t->graph, IN_ROWS, 0, "x",
                           (NodeType){precision, shape_of(2, (int64_t)arity, (int64_t)WIDTH), true}),
        y;
    Value args[STRATEGY_ARGUMENTS], value;
    BlockLayout layout;
    for (int j = 0; j < arity; j++) {
        Val row = graph_slice(t->graph, rows, (const int64_t[]){j, 0}, shape_of(2, (int64_t)1, (int64_t)WIDTH));
        args[j] = trace_value(graph_reshape(t->graph, row, shape_of(1, (int64_t)WIDTH)));
    }
    e->trace = t;
    bool ok = eval_cell_on(e, cell, args, arity, span, &value) && value_as_node(e, &value, span, &y);
    e->trace = before;
    if (!ok) return NULL;
    *settings = arena_array(arena, double, t->settings.len + 1);
    for (int i = 0; i < t->settings.len; i++) (*settings)[i] = t->settings.at[i].value;
    graph_output(t->graph, OUT_ROWS, 0, "y", y);
    *block = trace_block(e, arena, t, span, &layout);
    return *block ? lab_program(e, arena, t->graph, layout, span) : NULL;
}

static double drawn(uint64_t *bits) {
    *bits = *bits * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (double)(*bits >> 11) * 0x1p-53;
}

/* sums[i]: the weights of the samples up to i. */
static double *weight_sums(Arena *arena, const Samples *s) {
    double *sums = arena_array(arena, double, s->n), sum = 0;
    for (int64_t i = 0; i < s->n; i++) sums[i] = sum += s->weight ? s->weight[i] : 1;
    return sums;
}

static int64_t sample_of(const double *sums, int64_t n, double u) {
    int64_t lo = 0, hi = n - 1;
    while (lo < hi) {
        int64_t middle = lo + (hi - lo) / 2;
        if (sums[middle] > u * sums[n - 1]) hi = middle;
        else lo = middle + 1;
    }
    return lo;
}

/* Drawn evenly from the box; over a region, from the inputs that lie in it. */
static void *timed_rows(Eval *e, Arena *arena, DType precision, int arity, const Strategy *box) {
    void *rows = training_aligned(arena, (size_t)TIMED_ROWS * WIDTH * (size_t)arity * dtype_size(precision) + 64);
    uint64_t bits = 1;
    Samples seen = {0};
    if (box->region) samples_place(e, box, arity, &seen);
    const double *sums = seen.n ? weight_sums(arena, &seen) : NULL;
    for (int64_t i = 0; i < TIMED_ROWS * WIDTH; i++) {
        int64_t at = sums ? sample_of(sums, seen.n, drawn(&bits)) : 0, to = i / WIDTH * arity * WIDTH + i % WIDTH;
        for (int j = 0; j < arity; j++, to += WIDTH) {
            double x = sums ? seen.x[j][at] : box->lo[j] + (box->hi[j] - box->lo[j]) * drawn(&bits);
            if (precision == DT_F64) ((double *)rows)[to] = x;
            else ((float *)rows)[to] = (float)x;
        }
    }
    return rows;
}

static bool time_calls(Eval *e, const Value *cell, int arity, const Strategy *box, Span span, double *out) {
    Arena *arena = arena_new();
    DType precision = e->session->precision == DT_F64 ? DT_F64 : DT_F32;
    void *block = NULL;
    double *settings = NULL;
    Program *program = timed_program(e, cell, arity, arena, span, &block, &settings);
    bool ok = program != NULL;
    *out = INFINITY;
    if (ok) {
        void *y = training_aligned(arena, (size_t)TIMED_ROWS * WIDTH * 8 + 64);
        Feed feed = {.rows = {timed_rows(e, arena, precision, arity, box)},
                     .examples = TIMED_ROWS,
                     .batch = TIMED_ROWS,
                     .out_rows = {y},
                     .settings = settings};
        for (int i = 0; ok && i < REPEATS; i++) {
            double start = seconds_now();
            ok = program->run(program, block, &feed, 0, 1, NULL) == 0;
            *out = fmin(*out, (seconds_now() - start) * 1e9 / ((double)TIMED_ROWS * WIDTH));
        }
        if (!ok) diag_add(e->diags, D_R0103, span, "out of memory");
        program->free(program);
    }
    arena_free(arena);
    return ok;
}

static bool builtin_time_per_call(Eval *e, const BuiltinCall *call, Value *out) {
    int arity;
    Strategy box = {.lo = {-2, -2, -2}, .hi = {2, 2, 2}};
    double ns;
    if (!cell_argument(e, call, &arity, out)) return out->kind != V_ERROR;
    const Callable *c = call->args[0].callable;
    const Strategy *own = c->strategies && c->strategies->n ? c->strategies->at[0].strategy : NULL;
    if (call->args[1].kind != V_NONE) {
        if (!box_argument(e, call, 1, arity, &box)) return eval_fail(out);
    } else if (own && own->axes == arity) {
        memcpy(box.lo, own->lo, sizeof box.lo);
        memcpy(box.hi, own->hi, sizeof box.hi);
    }
    if (!time_calls(e, &call->args[0], arity, &box, call->span, &ns)) return eval_fail(out);
    *out = value_real(ns);
    return true;
}

const BuiltinRow builtins_cell_facts[] = {
    {"lipschitz", builtin_lipschitz}, {"time_per_call", builtin_time_per_call}, {NULL, NULL}};
