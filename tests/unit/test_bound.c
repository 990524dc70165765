/* test_bound.c -- linear bounds of cells (pass/bound.h) against values: on random boxes of all sizes no point, inside
 * or at a corner, lies outside the bound; what f32 computes is no farther from it than the bound on rounding; on small
 * boxes the bounds are close.  The value in real arithmetic is that of a graph whose f32 constants and parameters are
 * taken as they are and whose arguments are f64. */
#include "pass/bound.h"
#include "traced.h"

enum { BOXES = 400, POINTS = 24 };

/* close: of a box of half width 1e-3, r is at most this; 0: the cell jumps or has no such bound. */
typedef struct Case { const char *text; int n; double lo, hi, close; } Case;

static const Case cases[] = {
    {"cell f(a, b) = a * b - 3 * a + 0.5", 2, -4, 4, 1e-5},
    {"cell f(a, b) = max(a, b) + min(a, 2 * b)", 2, -4, 4, 4e-3},
    {"cell f(a) = abs(a) - relu(a - 1)", 1, -4, 4, 3e-3},
    {"cell f(a) = gcu(a) + sin(3 * a)", 1, -9, 9, 1e-4},
    {"cell f(a, b) = tanh(2 * a) * sigmoid(b)", 2, -5, 5, 1e-4},
    {"cell f(a) = gelu(a) + erf(a)", 1, -4, 4, 1e-4},
    {"cell f(a) = silu(a) + mish(a) + softplus(a)", 1, -6, 6, 1e-4},
    {"cell f(a) = elu[1](a) + selu(a) + celu[0.5](a)", 1, -3, 3, 1e-2},
    {"cell f(a, b) = exp(a) / (1 + b * b)", 2, -3, 3, 1e-3},
    {"cell f(a, b) = log(2 + a * a) * sqrt(1 + b ^ 4)", 2, -2, 2, 1e-3},
    {"cell f(a, b, c) = a ^ 3 - b ^ 2 * c + (2 + tanh(c)) ^ (0.5 * tanh(a))", 3, -2, 2, 1e-3},
    {"cell f(a, b) = (a + 0.1) / (3 + b)", 2, -2, 2, 1e-4},
    {"cell f(a, b) = where(a > b, a - b, 0.25 * (b - a))", 2, -2, 2, 4e-3},
    {"cell f(a, b) = where((a > 0.3) and not (b < a), a, b)", 2, -2, 2, 0},
    {"cell f(a) = floor(2 * a) + round(a) + sign(a)", 1, -3, 3, 0},
    {"cell f(a, b) = maxout[3](a, b, 0.1)", 2, -3, 3, 4e-3},
    {"cell f(a, b) = sum(softmax([a, b, 0.3]) * [1, -2, 0.5])", 2, -3, 3, 1e-4},
    {"cell f(x: f32[2]) {\n  h = relu(dense[9, init: f1, bias: 0.1](x))\n  dense[1, init: f1](tanh(dense[7, init: "
     "f1](h)))\n}\n",
     2, -4, 4, 2e-2},
    {"cell f(x: f32[3]) = dense[1, init: f1](relu(dense[20, init: f1, bias: -0.2](relu(dense[33, init: f1](x)))))", 3,
     -4, 4, 3e-1},
};

typedef struct Draw { uint64_t bits; } Draw;

static double draw(Draw *d) {
    d->bits = d->bits * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (double)(d->bits >> 11) * 0x1p-53;
}

/* Values of IN_BLOCK parameters, f32, somewhere in -0.6 .. 0.6. */
static const float *param_values(Arena *arena, Draw *d, int64_t n) {
    float *at = arena_array(arena, float, n + 1);
    for (int64_t i = 0; i < n; i++) at[i] = (float)(draw(d) - 0.5) * 1.2f;
    return at;
}

/* The cell with f64 arguments and operations, constants and parameters rounded as in `cell`. */
static Graph *widened(Arena *arena, const Graph *cell, Val value) {
    Graph *g = graph_new(arena);
    Val *to = arena_array(arena, Val, cell->node.len + 1);
    for (Val v = 1; v <= value; v++) {
        const Node *node = graph_node(cell, v);
        const Attr *attr = graph_attr(cell, v);
        NodeType type = graph_type(cell, v);
        Val in[16];
        assert_in_range(node->nin, 0, 16);
        for (int i = 0; i < node->nin; i++) in[i] = to[graph_in(cell, v, i)];
        if (node->op == G_INPUT) {
            const GraphInput *input = &cell->inputs.at[attr->index];
            NodeType kept = {input->kind == IN_ROWS ? DT_F64 : input->dtype, input->shape, input->batched};
            to[v] = graph_input(g, input->kind, input->index, input->name, kept);
            if (input->dtype == DT_F32) to[v] = graph_cast(g, to[v], DT_F64);
        } else if (node->op == G_CONST && node->dtype == DT_F32) {
            to[v] = graph_const(g, DT_F64, attr->f64);
        } else if (node->op == G_TABLE) {
            to[v] = graph_add(g, G_TABLE, NULL, 0, attr, &type, node->span);
            if (type.dtype == DT_F32) to[v] = graph_cast(g, to[v], DT_F64);
        } else {
            bool real = node->op == G_CAST && node->dtype == DT_F32 &&
                        graph_node(cell, graph_in(cell, v, 0))->dtype == DT_F64;
            if (real) in[0] = graph_cast(g, graph_cast(g, in[0], DT_F32), DT_F64);
            if (type.dtype == DT_F32) type.dtype = DT_F64;
            to[v] = real ? in[0] : graph_add(g, (Op)node->op, in, node->nin, attr, &type, node->span);
        }
    }
    graph_output(g, OUT_VALUE, 0, "value", to[value]);
    return g;
}

static void fill_inputs(const Graph *g, const Trace *t, const float *const *params, const void *const *rows,
                        const void **in) {
    for (int i = 0; i < g->inputs.len; i++) {
        const GraphInput *input = &g->inputs.at[i];
        in[i] = input->kind == IN_ROWS    ? rows[input->index]
                : input->kind == IN_BLOCK ? (const void *)params[input->index]
                                          : NULL;
        if (input->kind == IN_SETTING) in[i] = &t->settings.at[input->index].value;
    }
}

typedef struct Tried { double outside, rounding, close; int known; } Tried;

enum { ALL = BOXES * POINTS };

/* Boxes of a case, their middles and half widths, and points in each, the corners first. */
static void draw_boxes(Arena *arena, const Case *it, Draw *d, double **box, double **x, float **narrow) {
    for (int j = 0; j < 6; j++) box[j] = arena_array(arena, double, BOXES);
    for (int j = 0; j < 3; j++) x[j] = arena_array(arena, double, ALL), narrow[j] = arena_array(arena, float, ALL);
    for (int b = 0; b < BOXES; b++) {
        double width = b % 4 == 0 ? 1e-3 : pow(10, -4 * draw(d)) * (it->hi - it->lo) / 2;
        for (int j = 0; j < it->n; j++) {
            double lo = it->lo + draw(d) * (it->hi - it->lo - 2 * width);
            box[j][b] = lo + width, box[it->n + j][b] = width;
            for (int p = 0; p < POINTS; p++) {
                double e = p < 8 ? (p >> j & 1 ? 1 : -1) : 2 * draw(d) - 1;
                float near = (float)(lo + width + e * width * 0.999);
                x[j][b * POINTS + p] = narrow[j][b * POINTS + p] = near;
            }
        }
    }
}

static void try_boxes(Text *text, const Case *it, Tried *worst) {
    Arena *arena = text->arena;
    CellGraph of;
    Value cell = text_value(text, "f");
    Draw d = {it->n * 77 + 1};
    Val middle[3], half[3];
    BoundResult bounds;
    if (!cell_graph(&text->e, &cell, DT_F32, (Span){0}, &of)) text_fail(text, it->text);
    Graph *g = graph_new(arena);
    NodeType scalar = {DT_F64, SHAPE0, true};
    for (int j = 0; j < 2 * it->n; j++)
        *(j < it->n ? &middle[j] : &half[j - it->n]) = graph_input(g, IN_ROWS, j, "box", scalar);
    BoundRequest q = {of.trace->graph, it->n, g, g, middle, half, true};
    assert_true(pass_bound(arena, &q, &of.value, 1, &bounds));
    const Form *f = &bounds.form[0];
    Val part[6] = {f->c, f->r, f->error, f->slope[0], f->slope[1], f->slope[2]};
    for (int k = 0; k < 6; k++) {
        Val v = part[k] ? part[k] : graph_const(g, DT_F64, 0);
        if (!graph_node(g, v)->batched) v = graph_add(g, G_BROADCAST, &v, 1, NULL, &scalar, (Span){0});
        graph_output(g, OUT_VALUE, k, "form", v);
    }
    graph_output(of.trace->graph, OUT_VALUE, 0, "value", of.value);
    const float *params[8];
    for (int i = 0; i < of.trace->params.len; i++)
        params[i] = param_values(arena, &d, shape_size(&of.trace->params.at[i].shape));
    double *box[6], *x[3];
    float *narrow[3];
    draw_boxes(arena, it, &d, box, x, narrow);
    const void *in[64], *form[6], *exact[1], *computed[1];
    fill_inputs(g, of.trace, params, (const void *const *)box, in);
    assert_true(graph_eval(arena, g, BOXES, in, form, NULL, 0));
    Graph *wide = widened(arena, of.trace->graph, of.value);
    fill_inputs(wide, of.trace, params, (const void *const *)x, in);
    assert_true(graph_eval(arena, wide, ALL, in, exact, NULL, 0));
    fill_inputs(of.trace->graph, of.trace, params, (const void *const *)narrow, in);
    assert_true(graph_eval(arena, of.trace->graph, ALL, in, computed, NULL, 0));
    *worst = (Tried){-INFINITY, -INFINITY, 0, 0};
    for (int i = 0; i < ALL; i++) {
        int b = i / POINTS;
        double y = ((const double *)exact[0])[i], line = ((const double *)form[0])[b], r = ((const double *)form[1])[b];
        double off = fabs((double)((const float *)computed[0])[i] - y), error = ((const double *)form[2])[b];
        for (int j = 0; j < it->n; j++)
            line += ((const double *)form[3 + j])[b] * (x[j][i] - box[j][b]) / box[it->n + j][b];
        if (!(r < INFINITY)) continue;
        worst->known++;
        worst->outside = fmax(worst->outside, fabs(y - line) - r);
        worst->rounding = fmax(worst->rounding, off - error);
        if (b % 4 == 0) worst->close = fmax(worst->close, r);
    }
}

static void bounds_hold(void **state) {
    (void)state;
    for (int k = 0; k < COUNT(cases); k++) {
        char source[512];
        snprintf(source, sizeof source, "f1 = uniform(-1, 1)\n%s\n", cases[k].text);
        Text text = text_open(source);
        Tried worst;
        try_boxes(&text, &cases[k], &worst);
        if (worst.outside > 0 || worst.rounding > 0 || (cases[k].close > 0 && worst.close > cases[k].close))
            fail_msg("%s: outside by %g, rounds more by %g, r %g", cases[k].text, worst.outside, worst.rounding,
                     worst.close);
        assert_true(worst.known > BOXES * POINTS / 2);
        text_close(&text);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(bounds_hold)};
    return cmocka_run_group_tests_name("bound", tests, NULL, NULL);
}
