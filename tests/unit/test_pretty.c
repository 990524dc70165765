/* test_pretty.c -- derivatives of cells as a person would write them; the printed text is read back and evaluated,
 * and agrees with the graph that it was printed from. */
#include "numbers.h"

#include <ctype.h>

/* ---- evaluating printed formulas ---- */

typedef struct Env { double x, y, a, c[3]; } Env;
typedef struct Parser { const char *at; const Env *env; bool failed; } Parser;

static double parse_sum(Parser *p);

static bool accept(Parser *p, const char *text) {
    while (*p->at == ' ') p->at++;
    if (strncmp(p->at, text, strlen(text)) != 0) return false;
    p->at += strlen(text);
    return true;
}

static double parse_condition(Parser *p) {
    double a = parse_sum(p);
    if (accept(p, "<=")) return a <= parse_sum(p);
    if (accept(p, ">=")) return a >= parse_sum(p);
    if (accept(p, "<")) return a < parse_sum(p);
    if (accept(p, ">")) return a > parse_sum(p);
    return a;
}

static double call(Parser *p, const char *name, const double *arg, int n) {
    static const struct { const char *name; double (*fn)(double); } unary[] = {
        {"exp", exp}, {"log", log}, {"sin", sin}, {"cos", cos}, {"tanh", tanh}, {"erf", erf}, {"sqrt", sqrt},
        {"abs", fabs},
    };
    for (int i = 0; i < COUNT(unary); i++)
        if (n == 1 && strcmp(name, unary[i].name) == 0) return unary[i].fn(arg[0]);
    if (n == 1 && strcmp(name, "sign") == 0) return (arg[0] > 0) - (arg[0] < 0);
    if (n == 2 && strcmp(name, "max") == 0) return fmax(arg[0], arg[1]);
    if (n == 2 && strcmp(name, "min") == 0) return fmin(arg[0], arg[1]);
    if (n == 3 && strcmp(name, "where") == 0) return arg[0] != 0 ? arg[1] : arg[2];
    p->failed = true;
    return NAN;
}

static double parse_name(Parser *p) {
    char name[32];
    double arg[8];
    int n = 0;
    size_t length = strspn(p->at, "abcdefghijklmnopqrstuvwxyz0123456789_");
    snprintf(name, sizeof name, "%.*s", (int)length, p->at);
    p->at += length;
    if (accept(p, "(")) {
        do arg[n++] = parse_condition(p);
        while (n < 8 && accept(p, ","));
        p->failed = p->failed || !accept(p, ")");
        return call(p, name, arg, n);
    }
    if (accept(p, "[")) {
        int i = (int)strtol(p->at, (char **)(uintptr_t)&p->at, 10);
        p->failed = p->failed || !accept(p, "]") || i < 1 || i > 3 || strcmp(name, "c") != 0;
        return p->failed ? NAN : p->env->c[i - 1];
    }
    if (strcmp(name, "x") == 0) return p->env->x;
    if (strcmp(name, "y") == 0) return p->env->y;
    if (strcmp(name, "a") == 0 || strcmp(name, "alpha") == 0) return p->env->a;
    if (strcmp(name, "pi") == 0) return M_PI;
    p->failed = true;
    return NAN;
}

static double parse_atom(Parser *p) {
    double x;
    while (*p->at == ' ') p->at++;
    if (accept(p, "(")) {
        x = parse_condition(p);
        p->failed = p->failed || !accept(p, ")");
    } else if (isdigit((unsigned char)*p->at)) {
        x = strtod(p->at, (char **)(uintptr_t)&p->at);
    } else if (isalpha((unsigned char)*p->at)) {
        x = parse_name(p);
    } else {
        p->failed = true;
        return NAN;
    }
    return accept(p, "^") ? pow(x, parse_atom(p)) : x;
}

static double parse_product(Parser *p) {
    if (accept(p, "-")) return -parse_product(p);
    double x = parse_atom(p);
    for (;;) {
        if (accept(p, "*")) x *= parse_atom(p);
        else if (accept(p, "/")) x /= parse_atom(p);
        else return x;
    }
}

static double parse_sum(Parser *p) {
    double x = parse_product(p);
    for (;;) {
        if (accept(p, "+")) x += parse_product(p);
        else if (accept(p, "-")) x -= parse_product(p);
        else return x;
    }
}

static double evaluate(const char *text, const Env *env) {
    Parser p = {text, env, false};
    double x = parse_condition(&p);
    while (*p.at == ' ') p.at++;
    if (p.failed || *p.at) fail_msg("does not read back at `%s`: %s", p.at, text);
    return x;
}

/* ---- cells ---- */

typedef struct In { Graph *g; Val x, y, a, c[3]; } In;
static Val k(const In *in, double x) { return graph_const(in->g, DT_F64, x); }
static Val one(const In *in, Op op, Val a) { return graph_1(in->g, op, a); }
static Val two(const In *in, Op op, Val a, Val b) { return graph_2(in->g, op, a, b); }
static Val pick(const In *in, Op op, Val a, Val b, Val yes, Val no) {
    return graph_3(in->g, G_SELECT, graph_2(in->g, op, a, b), yes, no);
}
static Val power(const In *in, Val a, int n) { return two(in, G_POWI, a, graph_int(in->g, n)); }

#define X in->x
#define Y in->y
#define P in->a
#define K(v) k(in, v)
#define ADD(a, b) two(in, G_ADD, a, b)
#define SUB(a, b) two(in, G_SUB, a, b)
#define MUL(a, b) two(in, G_MUL, a, b)
#define DIV(a, b) two(in, G_DIV, a, b)
#define MAX(a, b) two(in, G_MAX, a, b)
#define MIN(a, b) two(in, G_MIN, a, b)
#define EXP(a) one(in, G_EXP, a)
#define NEG(a) one(in, G_NEG, a)
#define F(op, a) one(in, G_##op, a)

static Val sigmoid(const In *in, Val x) { return DIV(K(1), ADD(K(1), EXP(NEG(x)))); }
static Val prelu(const In *in) { return ADD(MAX(K(0), X), MUL(P, MIN(K(0), X))); }
static Val gelu(const In *in) {
    return DIV(MUL(X, ADD(K(1), F(ERF, DIV(X, F(SQRT, K(2)))))), K(2));
}
static Val elu(const In *in, Val alpha) {
    return pick(in, G_LT, K(0), X, X, MUL(alpha, SUB(EXP(MIN(K(0), X)), K(1))));
}
static Val quadratic(const In *in) {
    return ADD(ADD(MUL(in->c[0], power(in, X, 2)), MUL(MUL(in->c[1], X), Y)), MUL(in->c[2], Y));
}

#define CELLS(R)                                                                                                 \
    R(gcu, MUL(X, F(COS, X)), "x * cos(x)", "cos(x) - x * sin(x)")                                               \
    R(relu, MAX(K(0), X), "max(0, x)", "where(x > 0, 1, 0)")                                                     \
    R(leaky, ADD(MAX(K(0), X), MUL(K(0.01), MIN(K(0), X))), "max(0, x) + 0.01 * min(0, x)",                      \
      "where(x > 0, 1, where(x < 0, 0.01, 0))")                                                                  \
    R(prelu, prelu(in), "max(0, x) + a * min(0, x)", "where(x > 0, 1, where(x < 0, a, 0))")                      \
    R(abs_value, MAX(X, NEG(X)), "max(x, -x)", "where(x > 0, 1, where(x < 0, -1, 0))")                           \
    R(absolute, F(ABS, X), "abs(x)", "where(x > 0, 1, where(x < 0, -1, 0))")                                     \
    R(sigmoid, sigmoid(in, X), "1 / (1 + exp(-x))", "exp(-x) / (1 + exp(-x))^2")                                 \
    R(silu, MUL(X, sigmoid(in, X)), "x / (1 + exp(-x))", "1 / (1 + exp(-x)) + x * exp(-x) / (1 + exp(-x))^2")    \
    R(gelu, gelu(in), "x * (1 + erf(x / sqrt(2))) / 2",                                                          \
      "(1 + erf(x / sqrt(2))) / 2 + x * exp(-x^2 / 2) / sqrt(2 * pi)")                                           \
    R(tanh, F(TANH, X), "tanh(x)", "1 - tanh(x)^2")                                                              \
    R(lecun_tanh, MUL(K(1.7159), F(TANH, DIV(MUL(K(2), X), K(3)))), "1.7159 * tanh(2 * x / 3)",                  \
      "3.4318 * (1 - tanh(2 * x / 3)^2) / 3")                                                                    \
    R(softplus, F(LOG, ADD(K(1), EXP(X))), "log(1 + exp(x))", "exp(x) / (1 + exp(x))")                           \
    R(elu, elu(in, P), "where(x > 0, x, a * (exp(x) - 1))", "where(x > 0, 1, where(x < 0, a * exp(x), 0))") \
    R(elu_1, elu(in, K(1)), "where(x > 0, x, exp(x) - 1)", "where(x > 0, 1, where(x < 0, exp(x), 0))")   \
    R(celu, ADD(MAX(K(0), X), MIN(K(0), SUB(EXP(X), K(1)))), "max(0, x) + min(0, exp(x) - 1)",                   \
      "where(x > 0, 1, where(x < 0, exp(x), 0))")                                                                \
    R(ada, ADD(MUL(MAX(K(0), X), EXP(NEG(X))), MUL(K(0), MIN(K(0), X))), "max(0, x) * exp(-x)",                  \
      "where(x > 0, exp(-x), 0) - max(0, x) * exp(-x)")                                                          \
    R(softsign, DIV(X, ADD(K(1), F(ABS, X))), "x / (1 + abs(x))",                                                \
      "1 / (1 + abs(x)) + where(x > 0, -x / (1 + x)^2, where(x < 0, x / (1 - x)^2, 0))")                         \
    R(glu, MUL(Y, sigmoid(in, X)), "y / (1 + exp(-x))", "y * exp(-x) / (1 + exp(-x))^2")                         \
    R(swiglu, MUL(MUL(X, sigmoid(in, X)), Y), "x * y / (1 + exp(-x))",                                           \
      "y / (1 + exp(-x)) + x * y * exp(-x) / (1 + exp(-x))^2")                                                   \
    R(add, ADD(X, Y), "x + y", "1")                                                                              \
    R(multiply, MUL(X, Y), "x * y", "y")                                                                         \
    R(maxout, MAX(X, Y), "max(x, y)", "where(x > y, 1, 0)")                                                      \
    R(minout, MIN(X, MUL(K(2), Y)), "min(x, 2 * y)", "where(x < 2 * y, 1, 0)")                                   \
    R(quadratic, quadratic(in), "c[1] * x^2 + c[2] * x * y + c[3] * y", "c[2] * y + 2 * c[1] * x")               \
    R(cube, power(in, ADD(X, K(1)), 3), "(x + 1)^3", "3 * (x + 1)^2")                                            \
    R(inverse, power(in, X, -2), "1 / x^2", "-2 / x^3")                                                          \
    R(root, F(SQRT, ADD(K(1), MUL(X, X))), "sqrt(1 + x^2)", "x / sqrt(1 + x^2)")                                 \
    R(powers, two(in, G_POW, F(ABS, X), P), "abs(x)^a",                                                          \
      "where(x > 0, a * x^(a - 1), where(x < 0, -a * (-x)^(a - 1), 0))")                                         \
    R(gauss, EXP(NEG(MUL(X, X))), "exp(-x^2)", "-2 * x * exp(-x^2)")                                             \
    R(sinc, DIV(F(SIN, X), X), "sin(x) / x", "cos(x) / x - sin(x) / x^2")                                        \
    R(third, MUL(K(2.0 / 3), X), "2 * x / 3", "2 / 3")                                                           \
    R(half, DIV(X, K(2)), "x / 2", "0.5")                                                                        \
    R(like_terms, SUB(ADD(MUL(K(2), X), MUL(K(3), X)), X), "4 * x", "4")                                         \
    R(cancels, SUB(MUL(X, Y), MUL(Y, X)), "0", "0")                                                              \
    R(hard_tanh, MAX(K(-1), MIN(K(1), X)), "max(-1, min(1, x))", "where(x < 1, where(min(1, x) > -1, 1, 0), 0)")

#define BUILD(name, e, text, slope) static Val build_##name(const In *in) { return e; }
CELLS(BUILD)
typedef struct Cell { const char *name; Val (*build)(const In *in); const char *text, *slope; } Cell;
#define ROW(name, e, text, slope) {#name, build_##name, text, slope},
static const Cell cells[] = {CELLS(ROW)};

static Val scalar(Bench *b, const char *name, bool batched, double lo, double hi) {
    Val v = bench_in(b, SHAPE0, batched, lo, hi);
    b->g->inputs.at[graph_attr(b->g, v)->index].name = name;
    return v;
}

static In inputs(Bench *b) {
    In in = {.g = b->g, .x = scalar(b, "x", true, -3, 3), .y = scalar(b, "y", true, -3, 3)};
    in.a = scalar(b, "a", false, 0.2, 2);
    Val c = bench_in(b, shape_of(1, INT64_C(3)), false, -2, 2);
    b->g->inputs.at[graph_attr(b->g, c)->index].name = "c";
    for (int64_t i = 0; i < 3; i++)
        in.c[i] = graph_reshape(b->g, graph_slice(b->g, c, &i, shape_of(1, INT64_C(1))), SHAPE0);
    return in;
}

static void expect_text(const char *name, const char *got, const char *want) {
    if (strcmp(got, want) != 0) print_error("%s\n  printed  %s\n  expected %s\n", name, got, want);
    assert_string_equal(got, want);
}

/* What is printed for v has v's values. */
static void expect_values(Bench *b, Val v, const char *name, const char *text) {
    BenchRun run;
    if (!graph_node(b->g, v)->batched) {
        NodeType like = graph_type(b->g, v);
        like.batched = true;
        v = graph_add(b->g, G_BROADCAST, &v, 1, NULL, &like, (Span){0});
    }
    b->g->outputs.len = 0;
    bench_output(b, b->g, v);
    bench_open(b, b->g, &run);
    bench_step(&run);
    for (int i = 0; i < BENCH_BATCH; i++) {
        Env env = {b->in[0].data[i], b->in[1].data[i], b->in[2].data[0], {0}};
        for (int j = 0; j < 3; j++) env.c[j] = b->in[3].data[j];
        double want = bench_out(&run, b->g, 0)[i], got = evaluate(text, &env);
        if (!(fabs(want - got) <= 1e-9 * fmax(1, fabs(want))))
            fail_msg("%s at x = %g: %.17g, but %s = %.17g", name, env.x, want, text, got);
    }
    bench_close(&run);
}

static void check_text(Bench *b, Val v, const char *name, const char *want) {
    const char *text = pass_pretty(b->arena, b->g, v, false);
    if (want) expect_text(name, text, want);
    expect_values(b, v, name, text);
    Graph *simple = pass_simplify(b->arena, b->g);
    const char *again = pass_pretty(b->arena, simple, simple->outputs.at[0].value, false);
    if (want) expect_text(name, again, want);
}

static void formulas(void **state) {
    (void)state;
    for (int i = 0; i < COUNT(cells); i++) {
        Bench b = bench_new((uint64_t)i);
        In in = inputs(&b);
        Val y = cells[i].build(&in), grad, second;
        check_text(&b, y, cells[i].name, cells[i].text);
        assert_true(pass_grad(b.g, y, 0, &in.x, 1, &grad, NULL));
        if (grad) check_text(&b, grad, cells[i].name, cells[i].slope);
        if (!grad) assert_string_equal(cells[i].slope, "0");
        assert_true(!grad || pass_grad(b.g, grad, 0, &in.x, 1, &second, NULL));
        if (grad && second) check_text(&b, second, cells[i].name, NULL);
        assert_true(pass_grad(b.g, y, 0, &in.y, 1, &second, NULL));
        if (second) check_text(&b, second, cells[i].name, NULL);
        bench_free(&b);
    }
}

static void second_derivatives(void **state) {
    (void)state;
    static const struct { const char *cell, *text; } rows[] = {
        {"gcu", "-2 * sin(x) - x * cos(x)"}, {"tanh", "-2 * tanh(x) * (1 - tanh(x)^2)"},
        {"sigmoid", "2 * exp(-2 * x) / (1 + exp(-x))^3 - exp(-x) / (1 + exp(-x))^2"},
    };
    for (int i = 0; i < COUNT(cells); i++)
        for (int r = 0; r < COUNT(rows); r++) {
            if (strcmp(cells[i].name, rows[r].cell) != 0) continue;
            Bench b = bench_new(1);
            In in = inputs(&b);
            Val y = cells[i].build(&in);
            for (int n = 0; n < 2; n++) assert_true(pass_grad(b.g, y, 0, &in.x, 1, &y, NULL));
            check_text(&b, y, rows[r].cell, rows[r].text);
            bench_free(&b);
        }
}

static void latex(void **state) {
    (void)state;
    static const struct { const char *cell, *text; } rows[] = {
        {"gcu", "\\cos x - x \\sin x"},
        {"tanh", "1 - \\tanh^{2} x"},
        {"sigmoid", "\\frac{e^{-x}}{\\left(1 + e^{-x}\\right)^{2}}"},
        {"prelu", "\\begin{cases} 1 & x > 0 \\\\ a & x < 0 \\\\ 0 & \\text{otherwise} \\end{cases}"},
        {"lecun_tanh", "\\frac{3.4318 \\left(1 - \\tanh^{2}\\left(\\frac{2 x}{3}\\right)\\right)}{3}"},
        {"gelu", "\\frac{1 + \\operatorname{erf}\\left(\\frac{x}{\\sqrt{2}}\\right)}{2} + "
                 "\\frac{x e^{-\\frac{x^{2}}{2}}}{\\sqrt{2} \\sqrt{\\pi}}"},
        {"quadratic", "c_{2} y + 2 c_{1} x"},
    };
    for (int i = 0; i < COUNT(cells); i++)
        for (int r = 0; r < COUNT(rows); r++) {
            if (strcmp(cells[i].name, rows[r].cell) != 0) continue;
            Bench b = bench_new(1);
            In in = inputs(&b);
            Val grad;
            assert_true(pass_grad(b.g, cells[i].build(&in), 0, &in.x, 1, &grad, NULL));
            expect_text(rows[r].cell, pass_pretty(b.arena, b.g, grad, true), rows[r].text);
            bench_free(&b);
        }
}

/* w3 @ relu(w2 @ relu(w1 @ [x, y] + b1) + b2) + b3 */
static Val inner_net(Graph *g, Val x, Val y) {
    const Shape shapes[6] = {shape_of(2, INT64_C(8), INT64_C(2)), shape_of(1, INT64_C(8)),
        shape_of(2, INT64_C(8), INT64_C(8)), shape_of(1, INT64_C(8)), shape_of(2, INT64_C(1), INT64_C(8)),
        shape_of(1, INT64_C(1))};
    static const char *const names[6] = {"w1", "b1", "w2", "b2", "w3", "b3"};
    Val p[6], zero = graph_const(g, DT_F64, 0), one[2];
    for (int i = 0; i < 6; i++) p[i] = graph_input(g, IN_BLOCK, i, names[i], (NodeType){DT_F64, shapes[i], false});
    one[0] = graph_reshape(g, x, shape_of(1, INT64_C(1)));
    one[1] = graph_reshape(g, y, shape_of(1, INT64_C(1)));
    Val h = graph_add(g, G_CONCAT, one, 2, &(Attr){.axis = 0}, NULL, (Span){0});
    h = graph_2(g, G_MAX, zero, graph_matmul(g, p[0], h, p[1]));
    h = graph_2(g, G_MAX, zero, graph_matmul(g, p[2], h, p[3]));
    return graph_reshape(g, graph_matmul(g, p[4], h, p[5]), SHAPE0);
}

static void inner_nets(void **state) {
    (void)state;
    Arena *arena = arena_new();
    Graph *g = graph_new(arena);
    NodeType scalar = {DT_F64, SHAPE0, true};
    Val x = graph_input(g, IN_ROWS, 0, "x", scalar), y = graph_input(g, IN_ROWS, 1, "y", scalar);
    Val v = inner_net(g, x, y), grad;
    expect_text("net", pass_pretty(arena, g, v, false), "w3 @ relu(w2 @ relu(w1 @ [x, y] + b1) + b2) + b3");
    expect_text("net", pass_pretty(arena, g, v, true),
                "w_{3} \\max\\left(0, w_{2} \\max\\left(0, w_{1} \\left[x, y\\right] + b_{1}\\right) + b_{2}\\right)"
                " + b_{3}");
    assert_true(pass_grad(g, v, 0, &x, 1, &grad, NULL));
    graph_output(g, OUT_ROWS, 0, "", grad);
    Graph *simple = pass_simplify(arena, g);
    expect_text("net", pass_pretty(arena, simple, simple->outputs.at[0].value, false),
                "w1[.., 1] @ where(h1 > 0, transpose(w2) @ where(w2 @ relu(h1) + b2 > 0, transpose(w3), 0), 0) "
                "with h1 = w1 @ [x, y] + b1");
    arena_free(arena);
}

/* Through a MAP, names come from outside; f32 constants are short. */
static void maps_and_f32(void **state) {
    (void)state;
    Arena *arena = arena_new();
    Graph *g = graph_new(arena), *body = graph_new(arena);
    NodeType in = {DT_F32, SHAPE0, true}, inside = {DT_F32, SHAPE0, false};
    Val x = graph_input(g, IN_ROWS, 0, "x", in), grad;
    Val bx = graph_input(body, IN_MAPPED, 0, "", inside);
    Val scaled = graph_2(body, G_MUL, graph_const(body, DT_F32, 0.1f), bx);
    graph_output(body, OUT_MAPPED, 0, "", graph_2(body, G_MUL, graph_1(body, G_SIN, scaled), bx));
    Val map = graph_add(g, G_MAP, &x, 1, &(Attr){.mapped = 1, .body = body}, NULL, (Span){0});
    Val y = graph_proj(g, map, 0);
    expect_text("map", pass_pretty(arena, g, y, false), "x * sin(0.1 * x)");
    assert_true(pass_grad(g, y, 0, &x, 1, &grad, NULL));
    expect_text("map", pass_pretty(arena, g, grad, false), "0.1 * x * cos(0.1 * x) + sin(0.1 * x)");
    arena_free(arena);
}

/* A formula that doubles with each of 60 turns is printed short, or not at all, but at once. */
static void explosions(void **state) {
    (void)state;
    Arena *arena = arena_new();
    Graph *g = graph_new(arena);
    Val x = graph_input(g, IN_ROWS, 0, "x", (NodeType){DT_F64, SHAPE0, true});
    for (int i = 0; i < 60; i++)
        x = graph_2(g, G_ADD, graph_1(g, G_SIN, x), graph_2(g, G_MUL, x, graph_1(g, G_EXP, x)));
    assert_true(strlen(pass_pretty(arena, g, x, false)) < 20000);
    assert_true(strlen(pass_pretty(arena, g, x, true)) < 20000);
    arena_free(arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(formulas), cmocka_unit_test(second_derivatives), cmocka_unit_test(latex),
        cmocka_unit_test(inner_nets), cmocka_unit_test(maps_and_f32), cmocka_unit_test(explosions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
