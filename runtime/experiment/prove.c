/* prove.c -- bounds of a cell over boxes, compiled: prove.h.
 *
 * The bounds of pass/bound.c are the body of a MAP, UNITS boxes in a row.  The arithmetic error is bounded on fewer and
 * larger boxes by the interpreter, which are cut where the bound is too wide. */
#include "experiment/prove.h"

#include "pass/pass.h"

#include <math.h>

enum { UNITS = 64, ROWS = 256, ROUNDING_BOXES = 1 << 14 };

/* ---- the parameters ---- */

void *trace_block(Eval *e, Arena *arena, const Trace *t, Span span, BlockLayout *layout) {
    Slot *slot = arena_array(arena, Slot, t->params.len + 1);
    for (int i = 0; i < t->params.len; i++)
        slot[i] = (Slot){t->params.at[i].path, t->params.at[i].dtype, t->params.at[i].shape, 0};
    block_layout(slot, t->params.len, layout);
    char *block = training_aligned(arena, layout->size + 64);
    for (int i = 0; i < t->params.len; i++) {
        const ParamInfo *param = &t->params.at[i];
        const Tensor *start;
        if (value_distribution(&param->initial)) {
            Diag *d = diag_add(e->diags, D_E0408, span, "%s starts from random numbers, and no seed is at hand",
                               param->path);
            diag_hint(d, "fresh(net, seed: 1) has weights");
            return NULL;
        }
        if (!value_as_tensor(e, &param->initial, param->dtype, span, &start)) return NULL;
        size_t each = dtype_size(param->dtype);
        int64_t n = shape_size(&param->shape), have = shape_size(&start->shape);
        for (int64_t k = 0; k < n; k++) {
            const char *from = (const char *)start->data + (size_t)(have == n ? k : 0) * each;
            memcpy(block + layout->slot[i].offset + (size_t)k * each, from, each);
        }
    }
    return block;
}

static bool block_fill(Prover *p, BlockLayout *layout) {
    p->block = trace_block(p->e, p->arena, p->cell.trace, p->span, layout);
    return p->block != NULL;
}

static double *settings_of(const Prover *p) {
    const Trace *t = p->cell.trace;
    double *at = arena_array(p->arena, double, t->settings.len + 1);
    for (int i = 0; i < t->settings.len; i++) at[i] = t->settings.at[i].value;
    return at;
}

/* ---- the program ---- */

static Val element_row(Graph *g, Val rows, int64_t k) {
    Val row = graph_slice(g, rows, (const int64_t[]){k, 0}, shape_of(2, (int64_t)1, (int64_t)UNITS));
    return graph_reshape(g, row, shape_of(1, (int64_t)UNITS));
}

static void body_outputs(Graph *body, const BoundResult *bounds, int values, int n) {
    for (int i = 0; i < values; i++) {
        const Form *f = &bounds->form[i];
        for (int k = 0; k < n + 2; k++) {
            Val v = k == 0 ? f->c : k <= n ? f->slope[k - 1] : f->r;
            graph_output(body, OUT_MAPPED, i * (n + 2) + k, "form", v ? v : graph_const(body, DT_F64, 0));
        }
    }
}

static Program *program_build(Prover *p, const Val *values, bool points) {
    Graph *g = graph_new(p->arena), *body = graph_new(p->arena);
    Val middle[BOUND_ARGUMENTS], half[BOUND_ARGUMENTS];
    NodeType scalar = {DT_F64, SHAPE0, false};
    BoundResult bounds;
    BlockLayout layout;
    int n = p->n, mapped = points ? n : 2 * n, parts = p->values * (n + 2);
    for (int j = 0; j < mapped; j++)
        *(j < n ? &middle[j] : &half[j - n]) = graph_input(body, IN_MAPPED, j, "box", scalar);
    BoundRequest q = {p->cell.trace->graph, n, g, body, middle, points ? NULL : half, false};
    if (!pass_bound(p->arena, &q, values, p->values, &bounds)) return p->unknown = bounds.unknown, NULL;
    body_outputs(body, &bounds, p->values, n);
    Val *in = arena_array(p->arena, Val, mapped + bounds.shared_len + 1), *out = arena_array(p->arena, Val, parts + 1);
    NodeType boxes = {DT_F64, shape_of(2, (int64_t)(2 * n), (int64_t)UNITS), true};
    Val rows = graph_input(g, IN_ROWS, 0, "boxes", boxes);
    for (int j = 0; j < mapped; j++) in[j] = element_row(g, rows, j);
    for (int i = 0; i < bounds.shared_len; i++) in[mapped + i] = bounds.shared[i];
    Val map = graph_add(g, G_MAP, in, mapped + bounds.shared_len, &(Attr){.mapped = mapped, .body = body}, NULL,
                        p->span);
    for (int k = 0; k < parts; k++)
        out[k] = graph_reshape(g, graph_proj(g, map, k), shape_of(2, (int64_t)1, (int64_t)UNITS));
    graph_output(g, OUT_ROWS, 0, "forms", graph_add(g, G_CONCAT, out, parts, &(Attr){.axis = 0}, NULL, p->span));
    return block_fill(p, &layout) ? lab_program(p->e, p->arena, g, layout, p->span) : NULL;
}

/* ---- jumps ---- */

typedef struct Meeting {
    const Prover *p;
    const Graph *g;
    const bool *varies;
    Val at, by;
    Graph *to;
    Val *copy;
    bool other;
} Meeting;

/* v where argument-dependent `at` has the value `by`; other: v depends on more than that. */
static Val meeting_copy(Meeting *m, Val v) {
    const Node *node = graph_node(m->g, v);
    NodeType type = graph_type(m->g, v);
    if (v == m->at) return graph_broadcast(m->to, meeting_copy(m, m->by), node->shape);
    if (m->copy[v]) return m->copy[v];
    if (node->op == G_INPUT) {
        const GraphInput *in = &m->g->inputs.at[graph_attr(m->g, v)->index];
        m->other |= m->varies[v];
        return m->copy[v] = graph_input(m->to, in->kind, in->index, in->name, type);
    }
    Val *in = arena_array(m->p->arena, Val, node->nin + 1);
    for (int i = 0; i < node->nin; i++) in[i] = meeting_copy(m, graph_in(m->g, v, i));
    type.batched = false;
    for (int i = 0; i < node->nin; i++) type.batched |= graph_node(m->to, in[i])->batched;
    return m->copy[v] = graph_add(m->to, (Op)node->op, in, node->nin, graph_attr(m->g, v), &type, node->span);
}

/* Have both sides of a choice by a < b (or <=) the same value, to the bit, where a = b?  Known where one of a and b is
 * fixed, and the sides depend on the other alone. */
static bool sides_meet(const Prover *p, const Graph *g, const bool *varies, Val choice) {
    Val condition = graph_in(g, choice, 0);
    const Node *node = graph_node(g, condition);
    if (node->op != G_LT && node->op != G_LE) return false;
    Val a = graph_in(g, condition, 0), b = graph_in(g, condition, 1);
    if (varies[a] == varies[b]) return false;
    Meeting m = {p,
                 g,
                 varies,
                 varies[a] ? a : b,
                 varies[a] ? b : a,
                 graph_new(p->arena),
                 arena_array(p->arena, Val, g->node.len + 1),
                 false};
    for (int k = 1; k <= 2; k++) graph_output(m.to, OUT_VALUE, k - 1, "side", meeting_copy(&m, graph_in(g, choice, k)));
    if (m.other) return false;
    BlockLayout layout;
    const void **in = arena_array(p->arena, const void *, m.to->inputs.len + 1), *out[2];
    const char *block = trace_block(p->e, p->arena, p->cell.trace, p->span, &layout);
    for (int i = 0; i < m.to->inputs.len; i++) {
        const GraphInput *input = &m.to->inputs.at[i];
        if (input->kind == IN_BLOCK) in[i] = block + layout.slot[input->index].offset;
        if (input->kind == IN_SETTING) in[i] = &p->cell.trace->settings.at[input->index].value;
    }
    if (!block || !graph_eval(p->arena, m.to, 1, in, out, NULL, 0)) return false;
    NodeType type = graph_type(m.to, m.to->outputs.at[0].value);
    size_t bytes = (size_t)shape_size(&type.shape) * dtype_size(type.dtype);
    bool zeros = type.dtype == DT_F32 && bytes == 4 && *(const float *)out[0] == *(const float *)out[1];
    return zeros || memcmp(out[0], out[1], bytes) == 0;
}

/* Is there an operation on arguments whose value can jump? */
static bool may_jump(const Prover *p, const Graph *g) {
    bool *varies = arena_array(p->arena, bool, g->node.len + 1);
    Val last = (Val)g->node.len - 1;
    for (Val v = 1; v <= last; v++) {
        const Node *node = graph_node(g, v);
        varies[v] = node->op == G_INPUT && g->inputs.at[graph_attr(g, v)->index].kind == IN_ROWS;
        for (int i = 0; i < node->nin; i++) varies[v] |= varies[graph_in(g, v, i)];
        if (!varies[v]) continue;
        Op op = (Op)node->op;
        bool jumps = op == G_SIGN || op == G_FLOOR || op == G_CEIL || op == G_ROUND || op == G_MOD;
        jumps |= op == G_CAST && (node->dtype < DT_F32 || graph_node(g, graph_in(g, v, 0))->dtype < DT_F32);
        jumps |= op == G_SELECT && varies[graph_in(g, v, 0)] && !sides_meet(p, g, varies, v);
        if (jumps) return true;
    }
    return false;
}

bool prover_make(Eval *e, const Value *cell, int arity, DType precision, bool derivatives, Span span, Prover *p) {
    *p = (Prover){.e = e, .span = span, .arena = arena_new(), .n = arity, .values = derivatives ? arity + 1 : 1};
    p->precision = precision;
    Val values[1 + BOUND_ARGUMENTS];
    if (arity > BOUND_ARGUMENTS) return p->unknown = "more than 3 arguments", true;
    if (!cell_graph(e, cell, p->precision, span, &p->cell)) return false;
    Graph *g = p->cell.trace->graph;
    p->jumps = may_jump(p, g);
    values[0] = p->cell.value;
    if (derivatives && !pass_grad(g, values[0], 0, p->cell.args, arity, values + 1, e->diags)) return false;
    for (int k = 1; k < p->values; k++)
        if (!values[k]) values[k] = graph_const(g, p->precision, 0);
    p->program = program_build(p, values, false);
    if (p->program && !derivatives) p->points = program_build(p, values, true);
    return p->unknown || (p->program && (p->points || derivatives));
}

void prover_free(Prover *p) {
    if (p->program) p->program->free(p->program);
    if (p->points) p->points->free(p->points);
    if (p->arena) arena_free(p->arena);
    *p = (Prover){0};
}

/* ---- running ---- */

static void boxes_lay(const Prover *p, int64_t first, int64_t count, const double *middle, const double *half,
                      double *rows) {
    int n = p->n;
    for (int64_t i = 0; i < count; i++) {
        double *row = rows + i / UNITS * (2 * n * UNITS) + i % UNITS;
        for (int j = 0; j < n; j++) {
            double m = middle[(first + i) * n + j], h = half ? half[(first + i) * n + j] : 0;
            row[j * UNITS] = m;
            row[(n + j) * UNITS] = h ? h + 0x1p-48 * (fabs(m) + h) : 0;
        }
    }
}

bool prover_run(Prover *p, int64_t count, const double *middle, const double *half, double *forms) {
    int parts = p->values * (p->n + 2);
    Arena *arena = arena_new();
    double *rows = arena_array(arena, double, (size_t)ROWS *UNITS * 2 * p->n),
           *out = arena_array(arena, double, (size_t)ROWS *UNITS *parts);
    Program *program = !half && p->points ? p->points : p->program;
    bool ok = true;
    for (int64_t first = 0; first < count && ok; first += ROWS * UNITS) {
        int64_t n = count - first < ROWS * UNITS ? count - first : ROWS * UNITS, examples = (n + UNITS - 1) / UNITS;
        boxes_lay(p, first, n, middle, half, rows);
        Feed feed = {
            .rows = {rows}, .examples = examples, .batch = examples, .settings = settings_of(p), .out_rows = {out}};
        ok = program->run(program, p->block, &feed, 0, 1, lab_turn(p->e)->pool) == 0;
        for (int64_t i = 0; ok && i < n; i++)
            for (int k = 0; k < parts; k++)
                forms[(first + i) * parts + k] = out[i / UNITS * (UNITS * parts) + k * UNITS + i % UNITS];
    }
    arena_free(arena);
    if (!ok) diag_add(p->e->diags, D_R0103, p->span, "out of memory");
    return ok;
}

/* ---- the arithmetic of the cell itself ---- */

typedef struct Piece { double lo[BOUND_ARGUMENTS], hi[BOUND_ARGUMENTS]; } Piece;

static bool rounding_eval(Prover *p, const Graph *g, Arena *arena, const Piece *piece, int64_t count,
                          const double **out) {
    int inputs = g->inputs.len;
    BlockLayout layout;
    const void **in = arena_array(arena, const void *, inputs + 1);
    if (!block_fill(p, &layout)) return false;
    for (int i = 0; i < inputs; i++) {
        const GraphInput *input = &g->inputs.at[i];
        double *column = input->kind == IN_ROWS ? arena_array(arena, double, count + 1) : NULL;
        for (int64_t k = 0; column && k < count; k++) {
            int j = input->index % p->n;
            double lo = piece[k].lo[j], hi = piece[k].hi[j], m = lo + (hi - lo) / 2, h = (hi - lo) / 2;
            column[k] = input->index < p->n ? m : h + 0x1p-48 * (fabs(m) + h);
        }
        in[i] = column;
        if (input->kind == IN_BLOCK) in[i] = (char *)p->block + layout.slot[input->index].offset;
        if (input->kind == IN_SETTING) in[i] = &p->cell.trace->settings.at[input->index].value;
    }
    if (graph_eval(arena, g, count, in, (const void **)out, NULL, 0)) return true;
    diag_add(p->e->diags, D_R0103, p->span, "out of memory");
    return false;
}

static Graph *rounding_graph(Prover *p) {
    Graph *g = graph_new(p->arena);
    Val middle[BOUND_ARGUMENTS], half[BOUND_ARGUMENTS], value = p->cell.value;
    BoundResult bounds;
    NodeType scalar = {DT_F64, SHAPE0, true};
    for (int j = 0; j < 2 * p->n; j++)
        *(j < p->n ? &middle[j] : &half[j - p->n]) = graph_input(g, IN_ROWS, j, "box", scalar);
    BoundRequest q = {p->cell.trace->graph, p->n, g, g, middle, half, true};
    if (!pass_bound(p->arena, &q, &value, 1, &bounds)) return NULL;
    Val error = bounds.form[0].error ? bounds.form[0].error : graph_const(g, DT_F64, 0);
    NodeType batched = {DT_F64, SHAPE0, true};
    if (!graph_node(g, error)->batched) error = graph_add(g, G_BROADCAST, &error, 1, NULL, &batched, p->span);
    graph_output(g, OUT_VALUE, 0, "error", error);
    return g;
}

/* Both halves, along the axis that is widest of the whole box. */
static void piece_cut(const Prover *p, const Piece *from, const double *lo, const double *hi, Piece *a, Piece *b) {
    int widest = 0;
    double most = 0;
    for (int j = 0; j < p->n; j++) {
        double share = (from->hi[j] - from->lo[j]) / (hi[j] - lo[j]);
        if (share > most) most = share, widest = j;
    }
    *a = *b = *from;
    a->hi[widest] = b->lo[widest] = from->lo[widest] + (from->hi[widest] - from->lo[widest]) / 2;
}

bool prover_rounding(Prover *p, const double *lo, const double *hi, double wanted, double *out) {
    enum { FIRST = 64 };
    Graph *g = rounding_graph(p);
    Piece *now = arena_array(p->arena, Piece, FIRST), *next;
    int64_t count = 1, done = 0;
    double settled = 0, before = INFINITY;
    *out = INFINITY;
    if (!g) return true;
    for (int j = 0; j < p->n; j++) now[0].lo[j] = lo[j], now[0].hi[j] = hi[j];
    while (count < FIRST) {
        next = arena_array(p->arena, Piece, FIRST);
        for (int64_t i = 0; i < count; i++) piece_cut(p, &now[i], lo, hi, &next[2 * i], &next[2 * i + 1]);
        now = next;
        count *= 2;
    }
    while (count) {
        Arena *scratch = arena_new();
        const double *error;
        int64_t more = 0;
        double open = 0;
        if (!rounding_eval(p, g, scratch, now, count, &error)) return arena_free(scratch), false;
        next = arena_array(p->arena, Piece, 2 * count + 1);
        for (int64_t i = 0; i < count; i++) {
            if (error[i] <= wanted) {
                settled = fmax(settled, error[i]);
                continue;
            }
            open = error[i] > open ? error[i] : isnan(error[i]) ? INFINITY : open;
            piece_cut(p, &now[i], lo, hi, &next[more], &next[more + 1]);
            more += 2;
        }
        arena_free(scratch);
        *out = fmax(settled, open);
        done += count;
        if (done > ROUNDING_BOXES || open > 0.95 * before) break;
        before = open;
        now = next;
        count = more;
    }
    return true;
}
