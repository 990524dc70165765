/* lower_neuron.c -- a neuron-sized program as one kernel: the whole training loop.
 *
 *   load the rows (through the order) and the slots; all that does not change from step to step
 *   for step in lo .. hi, carrying the elements of the slots that are written:
 *       every other node, element by element; series and rows are stored
 *   store the slots that are written
 *
 * Requires that all steps of a call see the examples in one order (kernel/execute.c sees to it).
 *
 * With trials in lanes a value is a vector wherever trials may differ, and stays a scalar where they cannot (the powers
 * of Adam's betas, for instance).  Small loops have two vectors side by side, each with a copy of all that differs: one
 * alone waits for its own divisions and roots. */
#include "kernel/lower_parts.h"

enum { NEURON_SCALARS = 8000, MAX_COPIES = 2, TWO_COPIES_BELOW = 1500 };

bool neuron_fits(const Graph *graph, int64_t examples) {
    if (examples <= 0 || unroll_cost(graph, examples, NEURON_SCALARS) >= NEURON_SCALARS) return false;
    for (int i = 0; i < graph->outputs.len; i++)
        if (graph->outputs.at[i].kind == OUT_VALUE) return false;
    return true;
}

/* One vector of trials; the only one where trials are not in lanes. */
typedef struct Copy {
    Unrolled u;
    KVal **slot;                           /* by slot: its elements now; NULL if not used */
} Copy;

typedef struct Neuron {
    Plan *plan;
    Gen g;
    Copy copy[MAX_COPIES];
    int copies, now, trials;               /* now: the copy that is being made; trials: 0 if not in lanes */
    KVal shape, step;                      /* ENTRY_SHAPE; the step (i64), inside the loop */
    bool *varies;                          /* by node: differs from step to step */
    bool *differs, *slot_differs;          /* by node, by slot: differs between trials; all false if not in lanes */
    const Lanes *lanes;
    int slots;
} Neuron;

static KVal pointer(Neuron *n, EntryKind kind, int index) {
    return k_arg(n->g.m, n->g.f, plan_entry(n->plan, kind, index));
}

static KVal load(Neuron *n, DType dtype, KVal from, KVal base, int64_t i) {
    KVal at = base ? gen_2(&n->g, K_ADD, base, gen_i64(&n->g, i)) : gen_i64(&n->g, i);
    return k_load(n->g.m, n->g.f, (KType){gen_scalar(dtype), 1}, from, at);
}

/* Where element i of the trials of this copy stands. */
static KVal lane_place(Neuron *n, int64_t i) { return gen_i64(&n->g, i * n->trials + 16 * n->now); }

static KVal load_lanes(Neuron *n, DType dtype, KVal from, int64_t i) {
    return k_load(n->g.m, n->g.f, (KType){gen_scalar(dtype), 16}, from, lane_place(n, i));
}

/* Rows are the same in all lanes: made vectors once, before the loop. */
static void load_rows(Neuron *n, const GraphInput *input, KVal *out) {
    KVal rows = pointer(n, ENTRY_ROWS, input->index), order = pointer(n, ENTRY_ORDER, 0);
    int64_t size = shape_size(&input->shape), examples = n->copy[0].u.examples;
    bool wide = n->trials && input->dtype != DT_I32;
    for (int64_t e = 0; e < examples; e++) {
        KVal example = gen_index(&n->g, load(n, DT_I32, order, 0, e));
        KVal base = gen_2(&n->g, K_MUL, example, gen_i64(&n->g, size));
        for (int64_t i = 0; i < size; i++) {
            KVal x = load(n, input->dtype, rows, base, i);
            out[e * size + i] = wide ? gen_widen(&n->g, x, 16) : x;
        }
    }
}

static void load_slot(Neuron *n, int slot, DType dtype, int64_t size) {
    KVal **at = n->copy[n->now].slot;
    if (at[slot]) return;
    if (n->now && !n->slot_differs[slot]) {
        at[slot] = n->copy[0].slot[slot];
        return;
    }
    KVal from = pointer(n, ENTRY_BLOCK, slot);
    at[slot] = arena_array(n->plan->arena, KVal, size);
    for (int64_t i = 0; i < size; i++)
        at[slot][i] = n->slot_differs[slot] ? load_lanes(n, dtype, from, i) : load(n, dtype, from, 0, i);
}

static void draw(Neuron *n, Val v, KVal *out) {
    const Node *node = graph_node(n->plan->graph, v);
    int64_t size = shape_size(&node->shape), examples = node->batched ? n->copy[0].u.examples : 1;
    int index = graph_attr(n->plan->graph, v)->index;
    KVal keys = pointer(n, ENTRY_KEYS, 0), step = k_cast(n->g.m, n->g.f, KT(I32), n->step), key[2];
    for (int k = 0; k < 2; k++)
        key[k] = n->trials ? load_lanes(n, DT_I32, keys, 2 * index + k) : load(n, DT_I32, keys, 0, 2 * index + k);
    for (int64_t e = 0; e < examples; e++) {
        for (int64_t i = 0; i < size; i += 4) {
            KVal four[4], block = gen_number(&n->g, DT_I32, (double)(i / 4)),
                example = gen_number(&n->g, DT_I32, (double)e);
            gen_noise_of(&n->g, (Op)node->op, (DType)node->dtype, key, block, example, step, four);
            for (int k = 0; k < 4 && i + k < size; k++) out[e * size + i + k] = four[k];
        }
    }
}

static KVal load_setting(Neuron *n, int index) {
    KVal from = pointer(n, ENTRY_SETTINGS, 0);
    if (!n->trials) return load(n, DT_F64, from, 0, index);
    return n->lanes->setting[index] ? load_lanes(n, DT_F64, from, index) : load(n, DT_F64, from, 0, index * n->trials);
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
        memcpy(out, n->copy[n->now].slot[input->index], sizeof *out * (size_t)size);
        return;
    case IN_SETTING: out[0] = load_setting(n, input->index); return;
    case IN_STEP: out[0] = k_cast(n->g.m, n->g.f, KT(I32), n->step); return;
    case IN_BATCH: out[0] = gen_number(&n->g, DT_I32, (double)u->examples); return;
    case IN_MAPPED: case IN_SHARED: case IN_CARRY: case IN_SLICE: case IN_SLICE_BACK: case IN_WHOLE: return;
    }
}

/* ---- which nodes differ from step to step, and between trials ---- */

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

static bool input_differs(const Neuron *n, const GraphInput *input) {
    switch (input->kind) {
    case IN_ROWS: return input->dtype != DT_I32;                         /* they are vectors: load_rows */
    case IN_BLOCK: return n->slot_differs[input->index];
    case IN_SETTING: return n->lanes->setting[input->index];
    case IN_STEP: case IN_BATCH: case IN_MAPPED: case IN_SHARED:
    case IN_CARRY: case IN_SLICE: case IN_SLICE_BACK: case IN_WHOLE: break;
    }
    return false;
}

/* A slot whose next value differs differs from then on: until nothing changes. */
static void find_differing(Neuron *n) {
    const Graph *graph = n->plan->graph;
    n->differs = arena_array(n->plan->arena, bool, graph->node.len);
    n->slot_differs = arena_array(n->plan->arena, bool, n->slots + 1);
    for (int i = 0; n->lanes && i < n->lanes->slots; i++) n->slot_differs[i] = n->lanes->slot[i];
    for (bool changed = n->lanes != NULL; changed;) {
        changed = false;
        for (Val v = 1; v < (Val)graph->node.len; v++) {
            const Node *node = graph_node(graph, v);
            n->differs[v] = node->op == G_NOISE || node->op == G_NORMAL;
            for (int k = 0; k < node->nin; k++) n->differs[v] |= n->differs[graph_in(graph, v, k)];
            if (node->op == G_INPUT) n->differs[v] = input_differs(n, &graph->inputs.at[graph_attr(graph, v)->index]);
        }
        for (int k = 0; k < graph->outputs.len; k++) {
            const GraphOutput *output = &graph->outputs.at[k];
            if (output->kind != OUT_BLOCK || !n->differs[output->value] || n->slot_differs[output->index]) continue;
            n->slot_differs[output->index] = changed = true;
        }
    }
}

static void unroll_all(Neuron *n, bool varying) {
    for (Val v = 1; v < (Val)n->plan->graph->node.len; v++) {
        if (n->varies[v] != varying) continue;
        for (n->now = 0; n->now < n->copies; n->now++) {
            if (n->now && !n->differs[v]) n->copy[n->now].u.value[v] = n->copy[0].u.value[v];
            else unroll_node(&n->copy[n->now].u, v);
        }
    }
    n->now = 0;
}

/* ---- outputs ---- */

static const Node *output_node(const Neuron *n, const GraphOutput *output) {
    return graph_node(n->plan->graph, output->value);
}

static void store_series(Neuron *n, const GraphOutput *output) {
    KVal first = k_load(n->g.m, n->g.f, KT(I64), n->shape, gen_i64(&n->g, 3));
    KVal row = gen_2(&n->g, K_SUB, n->step, first), to = pointer(n, ENTRY_SERIES, output->index);
    for (n->now = 0; n->now < n->copies; n->now++) {
        KVal value = gen_cast(&n->g, DT_F64, unroll_at(&n->copy[n->now].u, output->value, 0, 0)), at = row;
        if (n->trials) {
            value = gen_widen(&n->g, value, 16);
            at = gen_2(&n->g, K_ADD, gen_2(&n->g, K_MUL, row, gen_i64(&n->g, n->trials)), lane_place(n, 0));
        }
        k_store(n->g.m, n->g.f, to, at, value);
    }
    n->now = 0;
}

static void store_rows(Neuron *n, const GraphOutput *output) {
    const Unrolled *u = &n->copy[0].u;
    int64_t size = shape_size(&output_node(n, output)->shape);
    KVal to = pointer(n, ENTRY_OUT_ROWS, output->index);
    for (int64_t e = 0; e < u->examples; e++)
        for (int64_t i = 0; i < size; i++)
            k_store(n->g.m, n->g.f, to, gen_i64(&n->g, e * size + i), unroll_at(u, output->value, e, i));
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

/* Every slot that is written, once, or once a copy if it differs between trials; first: of its elements, counted. */
static void for_slots(Neuron *n, void (*act)(Neuron *n, const GraphOutput *output, int64_t size, int first)) {
    const Graph *graph = n->plan->graph;
    int first = 0;
    for (n->now = 0; n->now < n->copies; n->now++) {
        for (int k = 0; k < graph->outputs.len; k++) {
            const GraphOutput *output = &graph->outputs.at[k];
            if (output->kind != OUT_BLOCK || (n->now && !n->slot_differs[output->index])) continue;
            int64_t size = shape_size(&output_node(n, output)->shape);
            act(n, output, size, first);
            first += (int)size;
        }
    }
    n->now = 0;
}

static void slot_load(Neuron *n, const GraphOutput *output, int64_t size, int first) {
    (void)first;
    load_slot(n, output->index, (DType)output_node(n, output)->dtype, size);
}

static void slot_carry(Neuron *n, const GraphOutput *output, int64_t size, int first) {
    (void)first;
    KVal *slot = n->copy[n->now].slot[output->index];
    for (int64_t i = 0; i < size; i++) slot[i] = k_carry(n->g.m, n->g.f, slot[i]);
}

static void slot_next(Neuron *n, const GraphOutput *output, int64_t size, int first) {
    (void)first;
    int lanes = n->slot_differs[output->index] ? 16 : 1;
    for (int64_t i = 0; i < size; i++)
        k_next(n->g.m, n->g.f, gen_widen(&n->g, unroll_at(&n->copy[n->now].u, output->value, 0, i), lanes));
}

static void slot_result(Neuron *n, const GraphOutput *output, int64_t size, int first) {
    uint8_t lanes = n->slot_differs[output->index] ? 16 : 1;
    KType type = {gen_scalar((DType)output_node(n, output)->dtype), lanes};
    for (int64_t i = 0; i < size; i++)
        n->copy[n->now].slot[output->index][i] = k_result(n->g.m, n->g.f, first + (int)i, type);
}

static void slot_store(Neuron *n, const GraphOutput *output, int64_t size, int first) {
    (void)first;
    KVal to = pointer(n, ENTRY_BLOCK, output->index);
    bool differs = n->slot_differs[output->index];
    for (int64_t i = 0; i < size; i++)
        k_store(n->g.m, n->g.f, to, differs ? lane_place(n, i) : gen_i64(&n->g, i),
                n->copy[n->now].slot[output->index][i]);
}

static int count_slots(const Graph *graph) {
    int slots = 0;
    for (int k = 0; k < graph->inputs.len; k++)
        if (graph->inputs.at[k].index >= slots) slots = graph->inputs.at[k].index + 1;
    for (int k = 0; k < graph->outputs.len; k++)
        if (graph->outputs.at[k].index >= slots) slots = graph->outputs.at[k].index + 1;
    return slots;
}

/* Two vectors of trials where the registers are wide and the loop short. */
static int count_copies(const Plan *plan, int64_t examples, const Lanes *lanes) {
    bool small = unroll_cost(plan->graph, examples, TWO_COPIES_BELOW) < TWO_COPIES_BELOW;
    return lanes && small && plan->target.vector_bytes == 64 ? MAX_COPIES : 1;
}

static void copies_start(Neuron *n, int64_t examples) {
    for (int c = 0; c < n->copies; c++) {
        n->copy[c].slot = arena_array(n->plan->arena, KVal *, n->slots);
        unroll_init(&n->copy[c].u, &n->g, n->plan->arena, n->plan->graph, examples);
        n->copy[c].u.leaf = program_leaf;
        n->copy[c].u.leaf_data = n;
    }
}

int neuron_lower(Plan *plan, int64_t examples, const Lanes *lanes, bool **slot_varies) {
    Neuron n = {.plan = plan, .g = plan_function(plan, "train"), .lanes = lanes, .slots = count_slots(plan->graph)};
    if (lanes && lanes->slots > n.slots) n.slots = lanes->slots;
    n.copies = count_copies(plan, examples, lanes);
    n.trials = lanes ? 16 * n.copies : 0;
    n.shape = pointer(&n, ENTRY_SHAPE, 0);
    copies_start(&n, examples);
    find_varying(&n);
    find_differing(&n);
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
    if (slot_varies) *slot_varies = n.slot_differs;
    return n.trials;
}
