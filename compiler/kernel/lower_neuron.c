/* lower_neuron.c -- a neuron-sized program as one kernel: the whole training loop.
 *
 *   load the rows (through the order) and the slots; all that does not change from step to step
 *   for step in lo .. hi, carrying the elements of the slots that are written:
 *       every other node, element by element; series and rows are stored
 *   store the slots that are written
 *
 * Requires that all steps of a call see the examples in one order (kernel/execute.c sees to it). */
#include "kernel/lower_parts.h"

enum { NEURON_SCALARS = 8000 };

bool neuron_fits(const Graph *graph, int64_t examples) {
    if (examples <= 0 || unroll_cost(graph, examples, NEURON_SCALARS) >= NEURON_SCALARS) return false;
    for (int i = 0; i < graph->outputs.len; i++)
        if (graph->outputs.at[i].kind == OUT_VALUE) return false;
    return true;
}

typedef struct Neuron {
    Plan *plan;
    Gen g;
    Unrolled u;
    KVal shape, step;                      /* ENTRY_SHAPE; the step (i64), inside the loop */
    KVal **slot;                           /* by slot: its elements now; NULL if not used */
    bool *varies;                          /* by node: differs from step to step */
} Neuron;

static KVal pointer(Neuron *n, EntryKind kind, int index) {
    return k_arg(n->g.m, n->g.f, plan_entry(n->plan, kind, index));
}

static KVal load(Neuron *n, DType dtype, KVal from, KVal base, int64_t i) {
    KVal at = base ? gen_2(&n->g, K_ADD, base, gen_i64(&n->g, i)) : gen_i64(&n->g, i);
    return k_load(n->g.m, n->g.f, (KType){gen_scalar(dtype), 1}, from, at);
}

static void load_rows(Neuron *n, const GraphInput *input, KVal *out) {
    KVal rows = pointer(n, ENTRY_ROWS, input->index), order = pointer(n, ENTRY_ORDER, 0);
    int64_t size = shape_size(&input->shape);
    for (int64_t e = 0; e < n->u.examples; e++) {
        KVal example = gen_index(&n->g, load(n, DT_I32, order, 0, e));
        KVal base = gen_2(&n->g, K_MUL, example, gen_i64(&n->g, size));
        for (int64_t i = 0; i < size; i++) out[e * size + i] = load(n, input->dtype, rows, base, i);
    }
}

static void load_slot(Neuron *n, int slot, DType dtype, int64_t size) {
    if (n->slot[slot]) return;
    KVal from = pointer(n, ENTRY_BLOCK, slot);
    n->slot[slot] = arena_array(n->plan->arena, KVal, size);
    for (int64_t i = 0; i < size; i++) n->slot[slot][i] = load(n, dtype, from, 0, i);
}

static void draw(Neuron *n, Val v, KVal *out) {
    const Node *node = graph_node(n->plan->graph, v);
    int64_t size = shape_size(&node->shape), examples = node->batched ? n->u.examples : 1;
    KVal keys = pointer(n, ENTRY_KEYS, 0), step = k_cast(n->g.m, n->g.f, KT(I32), n->step);
    for (int64_t e = 0; e < examples; e++) {
        for (int64_t i = 0; i < size; i += 4) {
            KVal four[4], block = gen_number(&n->g, DT_I32, (double)(i / 4)),
                example = gen_number(&n->g, DT_I32, (double)e);
            gen_noise(&n->g, (Op)node->op, (DType)node->dtype, keys, graph_attr(n->plan->graph, v)->index, block,
                      example, step, four);
            for (int k = 0; k < 4 && i + k < size; k++) out[e * size + i + k] = four[k];
        }
    }
}

static void program_leaf(void *data, Unrolled *u, Val v, KVal *out) {
    Neuron *n = data;
    if (graph_node(u->graph, v)->op != G_INPUT) {
        draw(n, v, out);
        return;
    }
    const GraphInput *input = &u->graph->inputs.at[graph_attr(u->graph, v)->index];
    int64_t size = shape_size(&input->shape);
    switch (input->kind) {
    case IN_ROWS: load_rows(n, input, out); return;
    case IN_BLOCK:
        load_slot(n, input->index, input->dtype, size);
        memcpy(out, n->slot[input->index], sizeof *out * (size_t)size);
        return;
    case IN_SETTING: out[0] = load(n, DT_F64, pointer(n, ENTRY_SETTINGS, 0), 0, input->index); return;
    case IN_STEP: out[0] = k_cast(n->g.m, n->g.f, KT(I32), n->step); return;
    case IN_BATCH: out[0] = gen_number(&n->g, DT_I32, (double)u->examples); return;
    case IN_MAPPED: case IN_SHARED: return;
    }
}

/* ---- which nodes differ from step to step ---- */

static void find_varying(Neuron *n) {
    const Graph *graph = n->plan->graph;
    n->varies = arena_array(n->plan->arena, bool, graph->node.len);
    for (Val v = 1; v < (Val)graph->node.len; v++) {
        const Node *node = graph_node(graph, v);
        n->varies[v] = node->op == G_NOISE || node->op == G_NORMAL;
        for (int k = 0; k < node->nin; k++) n->varies[v] |= n->varies[graph_in(graph, v, k)];
        if (node->op != G_INPUT) continue;
        const GraphInput *input = &graph->inputs.at[graph_attr(graph, v)->index];
        n->varies[v] = input->kind == IN_STEP;
        for (int k = 0; k < graph->outputs.len && input->kind == IN_BLOCK; k++)
            n->varies[v] |= graph->outputs.at[k].kind == OUT_BLOCK && graph->outputs.at[k].index == input->index;
    }
}

static void unroll_all(Neuron *n, bool varying) {
    for (Val v = 1; v < (Val)n->plan->graph->node.len; v++)
        if (n->varies[v] == varying) unroll_node(&n->u, v);
}

/* ---- outputs ---- */

static const Node *output_node(const Neuron *n, const GraphOutput *output) {
    return graph_node(n->plan->graph, output->value);
}

static void store_series(Neuron *n, const GraphOutput *output) {
    KVal first = k_load(n->g.m, n->g.f, KT(I64), n->shape, gen_i64(&n->g, 3));
    KVal value = gen_cast(&n->g, DT_F64, unroll_at(&n->u, output->value, 0, 0));
    k_store(n->g.m, n->g.f, pointer(n, ENTRY_SERIES, output->index), gen_2(&n->g, K_SUB, n->step, first), value);
}

static void store_rows(Neuron *n, const GraphOutput *output) {
    int64_t size = shape_size(&output_node(n, output)->shape);
    KVal to = pointer(n, ENTRY_OUT_ROWS, output->index);
    for (int64_t e = 0; e < n->u.examples; e++)
        for (int64_t i = 0; i < size; i++)
            k_store(n->g.m, n->g.f, to, gen_i64(&n->g, e * size + i), unroll_at(&n->u, output->value, e, i));
}

static void store_step(Neuron *n) {
    const Graph *graph = n->plan->graph;
    for (int k = 0; k < graph->outputs.len; k++) {
        const GraphOutput *output = &graph->outputs.at[k];
        if (output->kind == OUT_SERIES) store_series(n, output);
        if (output->kind == OUT_ROWS) store_rows(n, output);
    }
}

/* ---- the loop ---- */

static void for_slots(Neuron *n, void (*act)(Neuron *n, const GraphOutput *output, int64_t size, int first)) {
    const Graph *graph = n->plan->graph;
    int first = 0;
    for (int k = 0; k < graph->outputs.len; k++) {
        const GraphOutput *output = &graph->outputs.at[k];
        if (output->kind != OUT_BLOCK) continue;
        int64_t size = shape_size(&output_node(n, output)->shape);
        act(n, output, size, first);
        first += (int)size;
    }
}

static void slot_load(Neuron *n, const GraphOutput *output, int64_t size, int first) {
    (void)first;
    load_slot(n, output->index, (DType)output_node(n, output)->dtype, size);
}

static void slot_carry(Neuron *n, const GraphOutput *output, int64_t size, int first) {
    (void)first;
    KVal *slot = n->slot[output->index];
    for (int64_t i = 0; i < size; i++) slot[i] = k_carry(n->g.m, n->g.f, slot[i]);
}

static void slot_next(Neuron *n, const GraphOutput *output, int64_t size, int first) {
    (void)first;
    for (int64_t i = 0; i < size; i++) k_next(n->g.m, n->g.f, unroll_at(&n->u, output->value, 0, i));
}

static void slot_result(Neuron *n, const GraphOutput *output, int64_t size, int first) {
    KType type = {gen_scalar((DType)output_node(n, output)->dtype), 1};
    for (int64_t i = 0; i < size; i++)
        n->slot[output->index][i] = k_result(n->g.m, n->g.f, first + (int)i, type);
}

static void slot_store(Neuron *n, const GraphOutput *output, int64_t size, int first) {
    (void)first;
    KVal to = pointer(n, ENTRY_BLOCK, output->index);
    for (int64_t i = 0; i < size; i++) k_store(n->g.m, n->g.f, to, gen_i64(&n->g, i), n->slot[output->index][i]);
}

void neuron_lower(Plan *plan, int64_t examples) {
    int slots = 0;
    for (int k = 0; k < plan->graph->inputs.len; k++)
        if (plan->graph->inputs.at[k].index >= slots) slots = plan->graph->inputs.at[k].index + 1;
    for (int k = 0; k < plan->graph->outputs.len; k++)
        if (plan->graph->outputs.at[k].index >= slots) slots = plan->graph->outputs.at[k].index + 1;
    Neuron n = {.plan = plan, .g = plan_function(plan, "train")};
    n.slot = arena_array(plan->arena, KVal *, slots);
    n.shape = pointer(&n, ENTRY_SHAPE, 0);
    unroll_init(&n.u, &n.g, plan->arena, plan->graph, examples);
    n.u.leaf = program_leaf;
    n.u.leaf_data = &n;
    find_varying(&n);
    for_slots(&n, slot_load);
    unroll_all(&n, false);
    n.step = k_for(n.g.m, n.g.f, k_lo(n.g.m, n.g.f), k_hi(n.g.m, n.g.f), 1);
    for_slots(&n, slot_carry);
    unroll_all(&n, true);
    store_step(&n);
    for_slots(&n, slot_next);
    k_end(n.g.m, n.g.f);
    for_slots(&n, slot_result);
    for_slots(&n, slot_store);
    plan_stage(plan, &n.g, STAGE_STEPS, 0, "train");
}
