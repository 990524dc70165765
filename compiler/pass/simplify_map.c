/* simplify_map.c -- one round of simplification over a graph, MAPs, SCANs and their bodies included.
 *
 * Nodes are rebuilt in order through simple_add; what nothing reads is left behind.  Of a MAP only the outputs that
 * are read stay, equal ones once.  An operand that is constant becomes a constant of the body, a mapped operand that
 * is the same for all elements and examples a shared one, the same operand twice one; unused ones are dropped, but a
 * MAP keeps one mapped operand, a batched one if it is batched: its shape, and how many times it is summed.
 * Of a SCAN only what is read stays: outputs, the carries that they need, operands; whole constants move inside. */
#include "pass/simplify.h"

#include <assert.h>

typedef struct MapPlan { Val map; int *port; } MapPlan;       /* of a MAP or SCAN; port: by old output, the new one */

typedef struct Round {
    Simplifier s;
    Arena *arena;
    const Graph *from;
    bool *live;
    Val *renamed;               /* by id in from */
    bool **read;                /* by id of a MAP: which outputs are read */
    MapPlan *plan;              /* by id of a MAP */
    VEC(const Graph *) bodies;  /* equal ones are one */
} Round;

static void round_init(Round *r, Arena *arena, Arena *scratch, const Graph *from, const bool *outputs) {
    *r = (Round){.s = {.g = graph_new(arena), .scratch = scratch}, .arena = arena, .from = from};
    r->live = arena_array(scratch, bool, from->node.len);
    r->renamed = arena_array(scratch, Val, from->node.len);
    r->read = arena_array(scratch, bool *, from->node.len);
    r->plan = arena_array(scratch, MapPlan, from->node.len);
    for (int i = 0; i < from->outputs.len; i++)
        if (!outputs || outputs[i]) r->live[from->outputs.at[i].value] = true;
    for (Val v = (Val)from->node.len - 1; v > 0; v--) {
        if (!r->live[v]) continue;
        for (int i = 0; i < graph_node(from, v)->nin; i++) r->live[graph_in(from, v, i)] = true;
        if (graph_node(from, v)->op != G_PROJ) continue;
        Val map = graph_in(from, v, 0);
        int outs = graph_attr(from, map)->body->outputs.len;
        if (!r->read[map]) r->read[map] = arena_array(scratch, bool, outs);
        r->read[map][graph_attr(from, v)->index] = true;
    }
}

static void rebuild_map(Round *r, Val v);
static void rebuild_scan(Round *r, Val v);

/* Inputs of `from` that already have a value in `renamed` keep it. */
static void rebuild(Round *r) {
    for (Val v = 1; v < (Val)r->from->node.len; v++) {
        const Node *node = graph_node(r->from, v);
        NodeType like = graph_type(r->from, v);
        const Attr *attr = graph_attr(r->from, v);
        Val in[255];
        if (!r->live[v] || r->renamed[v]) continue;
        r->s.span = node->span;
        if (node->op == G_MAP) {
            rebuild_map(r, v);
        } else if (node->op == G_SCAN) {
            rebuild_scan(r, v);
        } else if (node->op == G_PROJ) {
            const MapPlan *plan = &r->plan[graph_in(r->from, v, 0)];
            r->renamed[v] = graph_proj(r->s.g, plan->map, plan->port[attr->index]);
        } else {
            for (int i = 0; i < node->nin; i++) in[i] = r->renamed[graph_in(r->from, v, i)];
            r->renamed[v] = simple_add(&r->s, (Op)node->op, in, node->nin, attr, &like);
        }
    }
}

/* ---- maps ---- */

typedef struct Operands { Val at[255]; int len; } Operands;

static int operand_find(Operands *list, Val v) {
    int i = 0;
    while (i < list->len && list->at[i] != v) i++;
    if (i == list->len) list->at[list->len++] = v;
    return i;
}

/* The scalar that a mapped operand repeats for all elements and examples, or 0. */
static Val repeated_scalar(const Simplifier *s, Val v) {
    while (simple_op(s, v) == G_BROADCAST) v = simple_arg(s, v, 0);
    const Node *node = graph_node(s->g, v);
    return node->shape.rank || node->batched ? 0 : v;
}

/* What input node v of the body is in the new body; operands not seen before are appended.  keep: it stays mapped. */
static Val new_input(Round *body, Simplifier *outer, const GraphInput *input, Val operand, bool keep, Operands *mapped,
                     Operands *shared) {
    double x;
    NodeType type = {input->dtype, input->shape, false};
    bool is_mapped = input->kind == IN_MAPPED;
    if (keep) return graph_input(body->s.g, IN_MAPPED, operand_find(mapped, operand), input->name, type);
    if (simple_number(outer, operand, &x)) return simple_splat(&body->s, x, type);
    Val scalar = is_mapped ? repeated_scalar(outer, operand) : 0;
    if (scalar) operand = scalar;
    bool share = !is_mapped || scalar;
    int index = operand_find(share ? shared : mapped, operand);
    return graph_input(body->s.g, share ? IN_SHARED : IN_MAPPED, index, input->name, type);
}

/* A copy of what the outputs of a body reach, its inputs numbered anew without gaps; the operands follow. */
static Graph *compact_body(Round *body, Operands *mapped, Operands *shared) {
    const Graph *g = body->s.g;
    Graph *out = graph_new(body->arena);
    Operands old[2] = {*mapped, *shared};
    Round live;
    round_init(&live, body->arena, body->s.scratch, g, NULL);
    mapped->len = shared->len = 0;
    for (Val v = 1; v < (Val)g->node.len; v++) {
        const Node *node = graph_node(g, v);
        NodeType like = graph_type(g, v);
        Val in[255];
        if (!live.live[v]) continue;
        if (node->op == G_INPUT) {
            const GraphInput *input = &g->inputs.at[graph_attr(g, v)->index];
            bool share = input->kind == IN_SHARED;
            int index = operand_find(share ? shared : mapped, old[share].at[input->index]);
            live.renamed[v] = graph_input(out, input->kind, index, input->name, like);
            continue;
        }
        for (int i = 0; i < node->nin; i++) in[i] = live.renamed[graph_in(g, v, i)];
        live.renamed[v] = graph_add(out, (Op)node->op, in, node->nin, graph_attr(g, v), &like, node->span);
    }
    for (int i = 0; i < g->outputs.len; i++)
        graph_output(out, g->outputs.at[i].kind, i, g->outputs.at[i].name, live.renamed[g->outputs.at[i].value]);
    return out;
}

/* The outputs that are read, equal ones once; returns the new number of each. */
static int *choose_outputs(Round *body, const bool *read) {
    const Graph *from = body->from;
    Graph *g = body->s.g;
    int *port = arena_array(body->s.scratch, int, from->outputs.len);
    for (int i = 0; i < from->outputs.len; i++) {
        const GraphOutput *output = &from->outputs.at[i];
        if (!read[i]) continue;
        Val value = body->renamed[output->value];
        int k = 0;
        while (k < g->outputs.len && (g->outputs.at[k].kind != output->kind || g->outputs.at[k].value != value)) k++;
        if (k == g->outputs.len) graph_output(g, output->kind, k, output->name, value);
        port[i] = k;
    }
    return port;
}

/* The shape and the batch of the MAP must not change with the operands that are dropped. */
static void keep_operand(const Round *r, Val v, Operands *mapped) {
    bool batched = graph_node(r->from, v)->batched, enough = mapped->len > 0 && !batched;
    for (int i = 0; i < mapped->len && !enough; i++) enough = graph_node(r->s.g, mapped->at[i])->batched;
    for (int i = 0; i < graph_attr(r->from, v)->mapped && !enough; i++) {
        Val operand = r->renamed[graph_in(r->from, v, i)];
        if (batched && !graph_node(r->s.g, operand)->batched) continue;
        operand_find(mapped, operand);
        enough = true;
    }
    assert(enough);
}

static bool body_equal(const Graph *a, const Graph *b) {
    return a->node.len == b->node.len && a->inputs.len == b->inputs.len && a->outputs.len == b->outputs.len &&
           graph_hash(a) == graph_hash(b);
}

/* The old body where nothing changed, or one that another MAP has. */
static const Graph *same_body(Round *r, const Graph *old, const Graph *new) {
    for (int i = 0; i < r->bodies.len; i++)
        if (body_equal(r->bodies.at[i], new)) return r->bodies.at[i];
    const Graph *body = body_equal(old, new) ? old : new;
    vec_push(r->s.scratch, &r->bodies, body);
    return body;
}

static void rebuild_map(Round *r, Val v) {
    const Attr *attr = graph_attr(r->from, v);
    const Graph *from = attr->body;
    Round body;
    Operands mapped = {.len = 0}, shared = {.len = 0};
    round_init(&body, r->arena, r->s.scratch, from, r->read[v]);
    for (Val b = 1; b < (Val)from->node.len; b++) {
        if (!body.live[b] || graph_node(from, b)->op != G_INPUT) continue;
        const GraphInput *input = &from->inputs.at[graph_attr(from, b)->index];
        int operand = input->index + (input->kind == IN_MAPPED ? 0 : attr->mapped);
        bool keep = input->kind == IN_MAPPED && input->index == attr->index - ZEROS_OF;
        Val now = r->renamed[graph_in(r->from, v, operand)];
        body.renamed[b] = new_input(&body, &r->s, input, now, keep, &mapped, &shared);
    }
    rebuild(&body);
    r->plan[v].port = choose_outputs(&body, r->read[v]);
    Attr new = {.body = same_body(r, from, compact_body(&body, &mapped, &shared))};
    keep_operand(r, v, &mapped);
    new.index = attr->index;
    if (attr->index >= ZEROS_OF)
        new.index = ZEROS_OF + operand_find(&mapped, r->renamed[graph_in(r->from, v, attr->index - ZEROS_OF)]);
    new.mapped = mapped.len;
    for (int i = 0; i < shared.len; i++) mapped.at[mapped.len++] = shared.at[i];
    r->s.applied += body.s.applied;
    r->plan[v].map = r->renamed[v] = graph_add(r->s.g, G_MAP, mapped.at, mapped.len, &new, NULL, r->s.span);
}

/* ---- scans ---- */

/* The outputs that are read, and the carries that these need: so until nothing is added. */
static void scan_needs(Round *body, const Round *r, Val v, bool *need) {
    const Graph *from = graph_attr(r->from, v)->body;
    int carries = graph_attr(r->from, v)->mapped;
    memcpy(need, r->read[v], sizeof *need * (size_t)from->outputs.len);
    for (bool more = true; more;) {
        more = false;
        round_init(body, r->arena, r->s.scratch, from, need);
        for (Val b = 1; b < (Val)from->node.len; b++) {
            if (!body->live[b] || graph_node(from, b)->op != G_INPUT) continue;
            const GraphInput *input = &from->inputs.at[graph_attr(from, b)->index];
            if (input->kind != IN_CARRY || input->index >= carries || need[input->index]) continue;
            need[input->index] = more = true;
        }
    }
}

static Val scan_input(Round *body, Simplifier *outer, const GraphInput *input, Val operand, int carry, Operands *slices,
                      Operands *wholes) {
    double x;
    NodeType type = {input->dtype, input->shape, input->batched};
    if (input->kind == IN_WHOLE && simple_number(outer, operand, &x)) return simple_splat(&body->s, x, type);
    int index = input->kind == IN_CARRY ? carry : operand_find(input->kind == IN_WHOLE ? wholes : slices, operand);
    return graph_input(body->s.g, input->kind, index, input->name, type);
}

static void scan_outputs(Round *body, const bool *need, int *port) {
    const Graph *from = body->from;
    for (int i = 0; i < from->outputs.len; i++) {
        const GraphOutput *output = &from->outputs.at[i];
        if (!need[i]) continue;
        port[i] = body->s.g->outputs.len;
        graph_output(body->s.g, output->kind, port[i], output->name, body->renamed[output->value]);
    }
}

static void rebuild_scan(Round *r, Val v) {
    const Attr *attr = graph_attr(r->from, v);
    const Graph *from = attr->body;
    Round body;
    Operands in = {.len = 0}, slices = {.len = 0}, wholes = {.len = 0};
    bool *need = arena_array(r->s.scratch, bool, from->outputs.len);
    int *number = arena_array(r->s.scratch, int, attr->mapped + 1);
    scan_needs(&body, r, v, need);
    for (int k = 0; k < attr->mapped; k++) {
        if (!need[k]) continue;
        number[k] = in.len;
        in.at[in.len++] = r->renamed[graph_in(r->from, v, k)];
    }
    Attr new = {.i64 = attr->i64, .mapped = in.len};
    for (Val b = 1; b < (Val)from->node.len; b++) {
        if (!body.live[b] || graph_node(from, b)->op != G_INPUT) continue;
        const GraphInput *input = &from->inputs.at[graph_attr(from, b)->index];
        int at = input->index, carry = input->kind == IN_CARRY ? number[at] : 0;
        if (input->kind != IN_CARRY) at += attr->mapped;
        if (input->kind == IN_WHOLE) at += attr->index;
        body.renamed[b] = scan_input(&body, &r->s, input, r->renamed[graph_in(r->from, v, at)], carry, &slices,
                                     &wholes);
    }
    rebuild(&body);
    r->plan[v].port = arena_array(r->s.scratch, int, from->outputs.len);
    scan_outputs(&body, need, r->plan[v].port);
    new.body = same_body(r, from, graph_copy(r->arena, body.s.g));
    new.index = slices.len;
    for (int i = 0; i < slices.len; i++) in.at[in.len++] = slices.at[i];
    for (int i = 0; i < wholes.len; i++) in.at[in.len++] = wholes.at[i];
    r->s.applied += body.s.applied;
    r->plan[v].map = r->renamed[v] = graph_add(r->s.g, G_SCAN, in.at, in.len, &new, NULL, r->s.span);
}

Graph *simple_round(Arena *arena, const Graph *from, int *applied) {
    Arena *scratch = arena_new();
    Round r;
    round_init(&r, arena, scratch, from, NULL);
    Graph *g = r.s.g;
    for (int i = 0; i < from->inputs.len; i++) vec_push(arena, &g->inputs, from->inputs.at[i]);
    for (int i = 0; i < from->key_names.len; i++) vec_push(arena, &g->key_names, from->key_names.at[i]);
    g->keys = g->key_names.len;
    rebuild(&r);
    for (int i = 0; i < from->outputs.len; i++) {
        const GraphOutput *output = &from->outputs.at[i];
        graph_output(g, output->kind, output->index, output->name, r.renamed[output->value]);
    }
    *applied = r.s.applied;
    arena_free(scratch);
    return graph_copy(arena, g);
}
