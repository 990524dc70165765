/* lower_scan.c -- a SCAN as a loop around stages.
 *
 * The body is lowered as a program of its own whose stages the executor runs turn after turn: kernels know nothing of
 * turns, pointers move.  A stacked value is one value with a first axis of turns; a turn's part of it is reached by a
 * pointer into it (the blocks of examples as far apart as in the whole).  A carry has two places: turn t reads the
 * one and writes the other; the first turn reads the start where it lies.  A whole operand is read where it lies, and
 * weights that are whole are packed before the loop.  In the graph around it a SCAN belongs to an even phase: all
 * shards have what it reads. */
#include "graph/scan.h"
#include "kernel/staged.h"

static const Node *node_of(const Region *r, Val v) { return graph_node(r->graph, v); }

bool is_scan_result(const Region *r, Val v) {
    return node_of(r, v)->op == G_PROJ && node_of(r, graph_in(r->graph, v, 0))->op == G_SCAN;
}

/* ---- in the graph around it ---- */

static Home new_home(const Staged *s, NodeType type) {
    int64_t size = shape_size(&type.shape), lanes = s->r.lanes;
    size_t bytes = (size_t)size * dtype_size(type.dtype);
    if (!type.batched) return (Home){.entry = plan_buffer(s->plan, (Buffer){.fixed = bytes + 1024}), .elem = 1};
    return (Home){.entry = plan_buffer(s->plan, (Buffer){.fixed = 1024, .per_example = bytes}), .global = true,
                  .elem = lanes, .vec = size * lanes};
}

void scan_place_results(Staged *s, Val v) {
    for (Val p = v + 1; p < (Val)s->r.graph->node.len; p++)
        if (node_of(&s->r, p)->op == G_PROJ && graph_in(s->r.graph, p, 0) == v && s->r.info[p].live)
            s->r.info[p].home = new_home(s, graph_type(s->r.graph, p));
}

static Home home_of(const Staged *s, Val operand) {
    Val v = region_base(&s->r, operand);
    if (s->r.info[v].stored) return s->r.info[v].home;
    const GraphInput *input = &s->r.graph->inputs.at[graph_attr(s->r.graph, v)->index];
    return (Home){.entry = plan_entry(s->plan, ENTRY_BLOCK, input->index), .elem = 1};
}

/* ---- what the body sees ---- */

static Home part_home(const Staged *s, int loop, Home whole, NodeType part, bool back) {
    int64_t stride = shape_size(&part.shape) * whole.elem * (int64_t)dtype_size(part.dtype);
    int entry = whole.entry;
    whole.entry = plan_turn(s->plan, (Moving){loop, entry, entry, entry, stride, back});
    return whole;
}

/* The PROJ of an output, or 0. */
static Val result_of(const Staged *s, Val v, int output) {
    for (Val p = v + 1; p < (Val)s->r.graph->node.len; p++)
        if (node_of(&s->r, p)->op == G_PROJ && graph_in(s->r.graph, p, 0) == v &&
            graph_attr(s->r.graph, p)->index == output && s->r.info[p].live) return p;
    return 0;
}

static void carry_homes(const Staged *s, Val v, int k, int loop, Home *in, Home *out) {
    const Attr *attr = graph_attr(s->r.graph, v);
    Val start = graph_in(s->r.graph, v, k), result = result_of(s, v, k);
    Home first = home_of(s, start), place[2];
    int last = (int)(attr->i64 - 1) & 1;                        /* the place that the last turn writes */
    for (int i = 0; i < 2; i++)
        place[i] = i == last && result ? s->r.info[result].home : new_home(s, graph_type(s->r.graph, start));
    *in = *out = place[0];
    in->entry = plan_turn(s->plan, (Moving){loop, first.entry, place[0].entry, place[1].entry, 0, false});
    out->entry = plan_turn(s->plan, (Moving){loop, place[0].entry, place[1].entry, place[0].entry, 0, false});
}

static void body_homes(const Staged *s, Val v, ScanHomes *homes) {
    const Attr *attr = graph_attr(s->r.graph, v);
    const Graph *body = attr->body;
    Home *carry = arena_array(s->plan->arena, Home, attr->mapped + 1);
    homes->input = arena_array(s->plan->arena, Home, body->inputs.len + 1);
    homes->output = arena_array(s->plan->arena, Home, body->outputs.len + 1);
    for (int k = 0; k < attr->mapped; k++) carry_homes(s, v, k, homes->loop, &carry[k], &homes->output[k]);
    for (int i = 0; i < body->inputs.len; i++) {
        const GraphInput *input = &body->inputs.at[i];
        NodeType type = {input->dtype, input->shape, input->batched};
        bool whole = input->kind == IN_WHOLE;
        homes->input[i] = carry[input->kind == IN_CARRY ? input->index : attr->mapped];
        if (input->kind == IN_CARRY) continue;
        Home home = home_of(s, graph_in(s->r.graph, v, attr->mapped + input->index + (whole ? attr->index : 0)));
        homes->input[i] = whole ? home : part_home(s, homes->loop, home, type, input->kind == IN_SLICE_BACK);
    }
    for (int k = attr->mapped; k < body->outputs.len; k++) {
        NodeType type = graph_type(body, body->outputs.at[k].value), all = type;
        Val result = result_of(s, v, k);
        memmove(all.shape.dim + 1, type.shape.dim, sizeof *all.shape.dim * (size_t)all.shape.rank++);
        all.shape.dim[0] = attr->i64;
        Home home = result ? s->r.info[result].home : new_home(s, all);
        homes->output[k] = part_home(s, homes->loop, home, type, body->outputs.at[k].kind == OUT_STACK_BACK);
    }
}

void scan_emit(Staged *s, Val v) {
    Plan *plan = s->plan;
    const Attr *attr = graph_attr(s->r.graph, v);
    ScanHomes homes = {.loop = plan->loop.len};
    vec_push(plan->arena, &plan->loop, ((StageLoop){.first = -1, .turns = attr->i64}));
    body_homes(s, v, &homes);
    staged_region(plan, attr->body, &homes);
    StageLoop *loop = &plan->loop.at[homes.loop];
    loop->stages = plan->stage.len - loop->first;
    loop->shards = true;
    for (int k = 0; k < loop->stages; k++) loop->shards &= plan->stage.at[loop->first + k].split == STAGE_SHARDS;
}

/* ---- in the body ---- */

void scan_place_inputs(Staged *s) {
    for (Val v = 1; v < (Val)s->r.graph->node.len && s->homes; v++) {
        if (node_of(&s->r, v)->op != G_INPUT) continue;
        s->r.info[v].stored = true;
        s->r.info[v].home = s->homes->input[graph_attr(s->r.graph, v)->index];
    }
}

bool scan_packs_before(const Staged *s, Val v) {
    Affine w;
    if (!s->homes || !affine_of(&s->r, graph_in(s->r.graph, v, 0), &w)) return false;
    if (node_of(&s->r, w.source)->op != G_INPUT) return false;
    return s->r.graph->inputs.at[graph_attr(s->r.graph, w.source)->index].kind == IN_WHOLE;
}

/* Whether the node is computed at the output's place: the first output of a node that has no place of its own. */
static bool is_placed(const Staged *s, int output) {
    Val v = s->r.graph->outputs.at[output].value;
    if (node_of(&s->r, v)->op == G_INPUT || is_scan_result(&s->r, v)) return false;
    for (int k = 0; k < output; k++)
        if (s->r.graph->outputs.at[k].value == v) return false;
    return true;
}

void scan_place_outputs(Staged *s) {
    for (int k = 0; s->homes && k < s->r.graph->outputs.len; k++)
        if (is_placed(s, k)) s->r.info[s->r.graph->outputs.at[k].value].home = s->homes->output[k];
}

static void copy_lanes(Ctx *c, Val v, const Home *to) {
    int64_t size = region_size(c->r, v);
    Ix i = loop_begin(c, size);
    KVal x = gen_widen(&c->g, load_value(c, v, i), c->lanes);
    k_store(c->g.m, c->g.f, ctx_entry(c, to->entry), ix_value(&c->g, home_index(c, to, i)), x);
    loop_end(c, size);
}

static void emit_lane_copies(Staged *s) {
    Gen g = plan_function(s->plan, "turn");
    Ctx c = ctx_new(&s->r, g, s->r.lanes);
    Shard shard = shard_begin(&c);
    block_begin(&c, &shard);
    for (int k = 0; k < s->r.graph->outputs.len; k++) {
        Val v = s->r.graph->outputs.at[k].value;
        if (s->r.info[v].varies && !is_placed(s, k)) copy_lanes(&c, v, &s->homes->output[k]);
    }
    block_end(&c);
    shard_end(&c);
    plan_stage(s->plan, &g, STAGE_SHARDS, 0, "turn");
}

void scan_emit_outputs(Staged *s) {
    if (!s->homes) return;
    int n = s->r.graph->outputs.len, dense = 0;
    Val *root = arena_array(s->plan->arena, Val, n);
    int *to = arena_array(s->plan->arena, int, n);
    bool lanes = false;
    for (int k = 0; k < n; k++) {
        Val v = s->r.graph->outputs.at[k].value;
        if (is_placed(s, k)) continue;
        lanes |= s->r.info[v].varies;
        if (s->r.info[v].varies) continue;
        root[dense] = v;
        to[dense++] = s->homes->output[k].entry;
    }
    if (lanes) emit_lane_copies(s);
    staged_copies(s, root, to, dense, "turn");
}
