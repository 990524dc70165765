/* test_divide.c -- divisions by what is the same in a loop give the bits of the processor's own division: all
 * mantissas by divisors that are hard, numbers of all sizes by divisors of all sizes, zeros, infinities and NaNs; for
 * one divisor of a whole tensor, and for one of each example; on this processor and without AVX-512. */
#include "lower_case.h"

#include "kernel/lower_parts.h"

enum { N = 1 << 15, WIDTH = 24, EXAMPLES = 64, ALL = 1 << 23 };

static const char *const cpus[] = {NULL, "haswell"};

typedef union Single { uint32_t bits; float x; } Single;
typedef union Double { uint64_t bits; double x; } Double;

/* A program compiled for a processor, and what it works on. */
typedef struct Bench {
    Case c;
    Data d;
    Code *code;
    Program *program;
} Bench;

static uint64_t random_bits(Case *c) {
    return (uint64_t)case_random(c) << 48 ^ (uint64_t)case_random(c) << 24 ^ case_random(c);
}

/* A loop of one turn at most, for the vectors that are divided. */
static bool has_quick_divisions(const KModule *module) {
    for (int k = 0; k < module->func.len; k++)
        for (int v = 1; v < module->func.at[k]->code.len; v++) {
            const KInst *i = &module->func.at[k]->code.at[v];
            if (i->op == K_FOR && i->imm == 1 << 16) return true;
        }
    return false;
}

static void bench_open(Bench *b, int64_t examples, const char *cpu) {
    CodeOptions options = {.opt_level = 2, .cpu = cpu, .plugin = NIN_PLUGIN};
    const char *error = NULL;
    Target target;
    assert_true(emit_target(&options, &target, &error));
    b->d = case_data(&b->c, examples, examples, false);
    Lowered *low = lower(b->c.arena, b->c.g, b->d.layout, 0, target);
    assert_int_equal(has_quick_divisions(low->module), target.vector_bytes == 64);
    target.vector_bytes = 64;
    low = lower(b->c.arena, b->c.g, b->d.layout, 0, target);
    assert_true(has_quick_divisions(low->module));
    assert_null(kernel_verify(low->module, b->c.arena));
    b->code = code_jit(b->c.arena, low->module, &options, &error);
    if (!b->code) fail_msg("%s", error);
    b->program = program_execute(b->c.arena, low, case_functions(&b->c, b->code, low->module), NULL, NULL);
}

static void bench_run(Bench *b) {
    assert_int_equal(b->program->run(b->program, b->d.block, &b->d.feed, 0, 1, NULL), 0);
}

static void bench_free(Bench *b) {
    case_data_free(&b->c, &b->d);
    code_free(b->code);
    arena_free(b->c.arena);
}

static void *slot_at(Bench *b, int slot) { return b->d.block + b->c.slots[slot].offset; }

/* ---- one divisor of a tensor ---- */

enum { A, B, C, D, QUOTIENT, OTHER };

/* quotient = a / c, other = quotient - b / d: two divisions, the second one's value is used before the first is
 * stored. */
static void bench_tensor(Bench *b, DType type, const char *cpu) {
    *b = (Bench){.c = case_new(type)};
    Case *c = &b->c;
    Shape shape = {.rank = 1, .dim = {N}};
    Val x = case_slot(c, type, shape), y = case_slot(c, type, shape);
    Val by = case_slot(c, type, SHAPE0), to = case_slot(c, type, SHAPE0);
    Val quotient = graph_2(c->g, G_DIV, x, graph_broadcast(c->g, by, shape));
    Val other = graph_2(c->g, G_DIV, y, graph_broadcast(c->g, to, shape));
    case_show(c, quotient);
    case_show(c, graph_2(c->g, G_SUB, quotient, other));
    bench_open(b, 1, cpu);
}

static void check_f32(Bench *b) {
    const Single *x = slot_at(b, A), *y = slot_at(b, B), *q = slot_at(b, QUOTIENT), *o = slot_at(b, OTHER);
    float c = *(float *)slot_at(b, C), d = *(float *)slot_at(b, D);
    bench_run(b);
    for (int i = 0; i < N; i++) {
        Single quotient = {.x = x[i].x / c}, other = {.x = quotient.x - y[i].x / d};
        if (q[i].bits != quotient.bits && !(isnan(q[i].x) && isnan(quotient.x)))
            fail_msg("%a / %a: %a, expected %a", (double)x[i].x, (double)c, (double)q[i].x, (double)quotient.x);
        if (o[i].bits != other.bits && !(isnan(o[i].x) && isnan(other.x)))
            fail_msg("%a / %a - %a / %a: %a, expected %a", (double)x[i].x, (double)c, (double)y[i].x, (double)d,
                     (double)o[i].x, (double)other.x);
    }
}

static void check_f64(Bench *b) {
    const Double *x = slot_at(b, A), *y = slot_at(b, B), *q = slot_at(b, QUOTIENT), *o = slot_at(b, OTHER);
    double c = *(double *)slot_at(b, C), d = *(double *)slot_at(b, D);
    bench_run(b);
    for (int i = 0; i < N; i++) {
        Double quotient = {.x = x[i].x / c}, other = {.x = quotient.x - y[i].x / d};
        if (q[i].bits != quotient.bits && !(isnan(q[i].x) && isnan(quotient.x)))
            fail_msg("%a / %a: %a, expected %a", x[i].x, c, q[i].x, quotient.x);
        if (o[i].bits != other.bits && !(isnan(o[i].x) && isnan(other.x)))
            fail_msg("%a / %a - %a / %a: %a, expected %a", x[i].x, c, y[i].x, d, o[i].x, other.x);
    }
}

/* Every mantissa of a, its exponent and sign by turns; b: next to the divisor, where quotients are next to 1. */
static void test_mantissas(void **state) {
    (void)state;
    static const uint32_t hard[] = {0x7fffff, 0x7ffffe, 0x7ffffd, 0x7ffffc, 0, 1, 2, 3, 0x400000, 0x3fffff, 0x555555,
                                    0x2aaaaa, 0x3504f3};
    for (int p = 0; p < COUNT(cpus); p++) {
        Bench b;
        bench_tensor(&b, DT_F32, cpus[p]);
        Single *x = slot_at(&b, A), *y = slot_at(&b, B), *c = slot_at(&b, C), *d = slot_at(&b, D);
        for (int k = 0; k < COUNT(hard) + 3; k++) {
            uint32_t mantissa = k < COUNT(hard) ? hard[k] : case_random(&b.c) & 0x7fffff;
            c->bits = (uint32_t)(127 + k % 7 - 3) << 23 | mantissa;
            d->bits = 127u << 23 | mantissa;
            for (uint32_t at = 0; at < ALL; at += N) {
                uint32_t high = (at / N & 1) << 31 | (40 + at / N % 113) << 23;
                for (uint32_t i = 0; i < N; i++) {
                    x[i].bits = high | (at + i);
                    y[i].bits = d->bits + i - N / 2;
                }
                check_f32(&b);
            }
        }
        bench_free(&b);
    }
}

static const double sizes[] = {
    0.0, -0.0, INFINITY, -INFINITY, NAN, 1, -1, 3, -7, 10, 0.1, 1e-3, 5e-324, 0x1p-149, 0x3p-149, 0x1p-126, 0x1p-127,
    0x1p-1022, 0x1p-1030, 0x1p-95, 0x1.fffffep-96, 0x1p33, 0x1.fffffep32, 0x1p-895, 0x1.fffffffffffffp-896, 0x1p129,
    0x1.fffffffffffffp128, 0x1p-30, 0x1.fffffep-31, 0x1.fffffffffffffp-31, 0x1p30, 0x1.000002p30, 0x1.0000000000001p30,
    -0x1p-30, 0x1p127, 0x1.fffffep127, 0x1.fffffffffffffp1023,
};

/* By turns: all bits, so that few vectors have no number that has to be divided; within what is quick; such, and
 * zeros; of one size in a vector, each in turn. */
static uint64_t any_bits(Bench *b, int i, int mantissa, int bias) {
    uint64_t bits = random_bits(&b->c), sign = (bits >> 60 & 1) << (mantissa == 23 ? 31 : 63);
    int kind = i / 512 % 4, exponent = bias - 30 + (int)(case_random(&b->c) % 61);
    if (kind == 0) return bits;
    if (kind == 2 && i % 5 == 0) return sign;
    if (kind == 3) exponent = (i / 2048 * 32 + i % 512 / 16) % (2 * bias + 2);
    return sign | (uint64_t)exponent << mantissa | (bits & (((uint64_t)1 << mantissa) - 1));
}

static void fill_f32(Bench *b) {
    Single *x = slot_at(b, A), *y = slot_at(b, B);
    for (int i = 0; i < N; i++) {
        x[i].bits = (uint32_t)any_bits(b, i, 23, 127);
        y[i].bits = (uint32_t)any_bits(b, i + 512, 23, 127);
        if (i / 512 % 4 == 0 && i % 2) x[i].x = (float)sizes[case_random(&b->c) % COUNT(sizes)];
    }
}

static void fill_f64(Bench *b, int turn) {
    Double *x = slot_at(b, A), *y = slot_at(b, B);
    for (int i = 0; i < N; i++) {
        x[i].bits = any_bits(b, i + turn % 4 * N, 52, 1023);
        y[i].bits = any_bits(b, i + 512, 52, 1023);
        if (i / 512 % 4 == 0 && i % 2) x[i].x = sizes[case_random(&b->c) % COUNT(sizes)];
    }
}

static void test_sizes_f32(void **state) {
    (void)state;
    for (int p = 0; p < COUNT(cpus); p++) {
        Bench b;
        bench_tensor(&b, DT_F32, cpus[p]);
        Single *c = slot_at(&b, C), *d = slot_at(&b, D);
        for (int k = 0; k < 8 * COUNT(sizes); k++) {
            c->x = (float)sizes[k % COUNT(sizes)];
            d->bits = (uint32_t)any_bits(&b, 512, 23, 127) & 0x7fffffff;
            if (k / COUNT(sizes) % 2) c->bits = (uint32_t)any_bits(&b, 512 * (k & 1), 23, 127);
            fill_f32(&b);
            check_f32(&b);
        }
        bench_free(&b);
    }
}

static void test_sizes_f64(void **state) {
    (void)state;
    static const uint64_t all = ((uint64_t)1 << 52) - 1;
    for (int p = 0; p < COUNT(cpus); p++) {
        Bench b;
        bench_tensor(&b, DT_F64, cpus[p]);
        Double *c = slot_at(&b, C), *d = slot_at(&b, D), *y = slot_at(&b, B);
        for (int k = 0; k < 8 * COUNT(sizes); k++) {
            c->x = sizes[k % COUNT(sizes)];
            d->bits = (uint64_t)1023 << 52 | (all - (uint64_t)(k % 40));
            if (k / COUNT(sizes) % 2) c->bits = any_bits(&b, 512 * (k & 1), 52, 1023);
            fill_f64(&b, k);
            for (int i = 0; i < 4096; i++) y[i].bits = d->bits + (uint64_t)i - 2048;
            check_f64(&b);
        }
        bench_free(&b);
    }
}

/* ---- a divisor of each example ---- */

static void test_examples(void **state) {
    (void)state;
    for (int p = 0; p < COUNT(cpus); p++) {
        Bench b = {.c = case_new(DT_F32)};
        Case *c = &b.c;
        Shape shape = {.rank = 1, .dim = {WIDTH}}, one = {.rank = 1, .dim = {1}};
        Val x = case_row(c, DT_F32, shape, 0), by = case_row(c, DT_F32, one, 0);
        case_show(c, graph_2(c->g, G_DIV, x, graph_broadcast(c->g, by, shape)));
        bench_open(&b, EXAMPLES, cpus[p]);
        Single *a = (void *)(uintptr_t)b.d.feed.rows[0], *d = (void *)(uintptr_t)b.d.feed.rows[1];
        Single q[EXAMPLES * WIDTH];
        b.d.feed.out_rows[0] = q;
        for (int k = 0; k < 2000; k++) {
            for (int e = 0; e < EXAMPLES; e++) {
                d[e].bits = (uint32_t)any_bits(&b, 512, 23, 127) & 0x7fffffff;
                if (e >= 32 && case_random(c) % 16 == 0) d[e].bits = (uint32_t)random_bits(c);
            }
            for (int i = 0; i < EXAMPLES * WIDTH; i++)
                a[i].bits = (uint32_t)any_bits(&b, i % 97 ? 1024 + i % 11 : 0, 23, 127);
            bench_run(&b);
            for (int i = 0; i < EXAMPLES * WIDTH; i++) {
                Single right = {.x = a[i].x / d[i / WIDTH].x};
                if (q[i].bits != right.bits && !(isnan(q[i].x) && isnan(right.x)))
                    fail_msg("%a / %a: %a, expected %a", (double)a[i].x, (double)d[i / WIDTH].x, (double)q[i].x,
                             (double)right.x);
            }
        }
        bench_free(&b);
    }
}

/* ---- which loops ---- */

/* for i in 0 .. turns - 1 { to[16 i ...] = from[16 i ...] / by[48 ...] }: whether it is done without the divide unit.
 * Entry k is of kind[k]. */
static bool is_quick(const EntryKind *kind, int from, int to, int by, int64_t turns) {
    Arena *arena = arena_new();
    Plan plan = {.arena = arena, .module = kmodule_new(arena)};
    for (int k = 0; k < 3; k++) vec_push(arena, &plan.entry, ((Entry){kind[k], k}));
    KFunc *f = kfunc_new(plan.module, "divide");
    Gen g = {plan.module, f};
    KVal i = k_for(g.m, f, gen_i64(&g, 0), turns ? gen_i64(&g, turns) : k_hi(g.m, f), 1);
    KVal at = gen_2(&g, K_MUL, i, gen_i64(&g, 16));
    KVal a = k_load(g.m, f, KV(F32), k_arg(g.m, f, from), at);
    KVal c = k_load(g.m, f, KV(F32), k_offset(g.m, f, KS_F32, k_arg(g.m, f, by), gen_i64(&g, 16)), gen_i64(&g, 32));
    k_store(g.m, f, k_arg(g.m, f, to), at, gen_2(&g, K_DIV, a, c));
    k_end(g.m, f);
    divide_by_the_same(&plan, f);
    const char *wrong = kernel_verify(plan.module, arena);
    if (wrong) fail_msg("%s", wrong);
    bool quick = has_quick_divisions(plan.module);
    arena_free(arena);
    return quick;
}

static void test_loops(void **state) {
    (void)state;
    static const EntryKind own[] = {ENTRY_BUFFER, ENTRY_SCRATCH, ENTRY_BLOCK},
        turn[] = {ENTRY_BUFFER, ENTRY_SCRATCH, ENTRY_TURN}, rows[] = {ENTRY_BUFFER, ENTRY_SCRATCH, ENTRY_OUT_ROWS};
    assert_true(is_quick(own, 0, 1, 2, 32));
    assert_true(is_quick(own, 0, 1, 2, 0));
    assert_true(is_quick(own, 0, 0, 1, 32));
    assert_true(is_quick(own, 0, 1, 0, 32));
    assert_false(is_quick(own, 0, 1, 2, 7));          /* short */
    assert_false(is_quick(own, 0, 1, 1, 32));         /* the divisor is stored to */
    assert_false(is_quick(own, 0, 0, 0, 32));
    assert_false(is_quick(turn, 0, 1, 2, 32));        /* what a turn's pointer reaches may be another's */
    assert_false(is_quick(turn, 0, 2, 1, 32));
    assert_false(is_quick(rows, 0, 1, 2, 0));         /* there may be no such rows */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mantissas), cmocka_unit_test(test_sizes_f32), cmocka_unit_test(test_sizes_f64),
        cmocka_unit_test(test_examples), cmocka_unit_test(test_loops),
    };
    return cmocka_run_group_tests_name("divide", tests, NULL, NULL);
}
