/* grad_scan.c -- the derivative of a SCAN is two SCANs.
 *
 * The *reversed* one goes from the last turn to the first.  Its turn computes the body again, from the carries that
 * the SCAN has stacked, and then the body's own reverse sweep.  It carries the adjoints of the carries, each use's
 * contribution by itself, so that the turn before adds them in the program's order, as if the loop were written out;
 * they start as -0 (x + -0 = x), or as the adjoint of the carry after the last turn.  It stacks the adjoints of the
 * slices' parts. The *sum* goes from the first turn to the last and adds the contributions to what is whole: turn by
 * turn, in a turn use by use, from -0.  Sums over the batch are done there; what they are made of is stacked by the
 * reversed one. */
#include "graph/scan.h"
#include "pass/grad.h"

enum { MOST = 255 };

typedef struct Leaf { Val value, hole, of; bool back; } Leaf;   /* of 0: stacked by the reversed scan */

typedef struct Reverse {
    Ad *ad, inner;
    Graph *g;
    Arena *scratch;
    const Attr *attr;           /* of the SCAN (a copy) */
    const Graph *body;
    Val adjoint[MOST], dy[MOST];             /* by output: its adjoint; the hole for the turn's part */
    Val given[MOST];            /* by input of the body: hole, or operand */
    Val *value;                 /* by node of the body */
    Val top;
    uint8_t *mine;              /* by node: of this turn */
    bool active[MOST];          /* by carry */
    int seeds[MOST];            /* by carry: how many contributions come from the turn after */
    Val *seed[MOST];
    ScanDraft back, sum;
    VEC(Leaf) leaf;
    Val *memo;
    bool *turns;
} Reverse;

static const GraphInput *input_at(const Reverse *r, int i) { return &r->body->inputs.at[i]; }

static int operand_of(const Reverse *r, const GraphInput *input) {
    if (input->kind == IN_CARRY) return input->index;
    return input->index + r->attr->mapped + (input->kind == IN_WHOLE ? r->attr->index : 0);
}

static bool is_slice(InputKind kind) { return kind == IN_SLICE || kind == IN_SLICE_BACK; }

static Val minus_zero(Reverse *r, NodeType type) {
    Val zero = graph_const(r->g, type.dtype, -0.0);
    if (!type.shape.rank && !type.batched) return zero;
    return graph_add(r->g, G_BROADCAST, &zero, 1, NULL, &type, graph_node(r->g, r->ad->y)->span);
}

/* A value as the type of a hole: the same for each example where it is batched and the value is not. */
static Val fitted(Reverse *r, Val value, Val hole) {
    return ad_batched(r->ad, hole) ? ad_to_batch(r->ad, value) : value;
}

/* ---- the turn, built again ---- */

static void take_adjoints(Reverse *r) {
    for (int i = r->ad->first[r->ad->y]; i; i = r->ad->use.at[i].next) {
        const Use *use = &r->ad->use.at[i];
        Val *at = &r->adjoint[use->port];
        *at = *at ? graph_2(r->g, G_ADD, *at, use->value) : use->value;
    }
}

static void build_turn(Reverse *r) {
    for (int i = 0; i < r->body->inputs.len; i++) {
        const GraphInput *in = input_at(r, i);
        r->given[i] = in->kind == IN_WHOLE ? ad_in(r->ad, operand_of(r, in))
                                           : scan_hole(r->g, (NodeType){in->dtype, in->shape, in->batched});
    }
    r->value = scan_instance(r->g, r->scratch, r->body, r->given);
    for (int k = r->attr->mapped; k < r->body->outputs.len; k++)
        if (r->adjoint[k]) r->dy[k] = scan_hole(r->g, scan_part(r->g, r->adjoint[k]));
    r->top = (Val)r->g->node.len - 1;
    r->mine = arena_array(r->scratch, uint8_t, r->top + 1);
    for (Val v = 1; v < (Val)r->body->node.len; v++)
        if (graph_node(r->body, v)->op != G_INPUT) r->mine[r->value[v]] = 1;
    for (int i = 0; i < r->body->inputs.len; i++) r->mine[r->given[i]] = 0;
}

static Val next_of(const Reverse *r, int carry) { return r->value[r->body->outputs.at[carry].value]; }

/* Which inputs are wanted: what the SCAN's operands want, and carries that become active in a turn. */
static void want_inputs(Reverse *r, Diags *diags) {
    for (bool more = true; more;) {
        more = false;
        ad_init(&r->inner, r->g, diags, r->scratch, r->top);
        r->inner.within = r->mine;
        for (int i = 0; i < r->body->inputs.len; i++) {
            const GraphInput *in = input_at(r, i);
            bool real = in->dtype == DT_F32 || in->dtype == DT_F64;
            bool wanted = ad_wants(r->ad, operand_of(r, in)) || (in->kind == IN_CARRY && r->active[in->index]);
            if (real && wanted) ad_want(&r->inner, r->given[i]);
        }
        ad_spread(&r->inner);
        for (int k = 0; k < r->attr->mapped; k++) {
            if (r->active[k] || !(r->inner.mark[next_of(r, k)] & AD_ACTIVE)) continue;
            r->active[k] = more = true;
        }
    }
}

static void sweep(Reverse *r, Diags *diags) {
    want_inputs(r, diags);
    for (int k = 0; k < r->attr->mapped; k++) {
        Val next = next_of(r, k);
        r->seed[k] = arena_array(r->scratch, Val, r->seeds[k] + 1);
        for (int j = 0; j < r->seeds[k]; j++) {
            r->seed[k][j] = scan_hole(r->g, graph_type(r->g, next));
            ad_seed(&r->inner, next, r->seed[k][j]);
        }
    }
    for (int k = r->attr->mapped; k < r->body->outputs.len; k++)
        if (r->dy[k]) ad_seed(&r->inner, r->value[r->body->outputs.at[k].value], r->dy[k]);
    ad_run(&r->inner);
}

static int uses_of(const Reverse *r, Val hole) {
    int n = 0;
    for (int i = r->inner.first[hole]; i; i = r->inner.use.at[i].next) n++;
    return n;
}

/* Sweeps until as many contributions come in as go out; then once more, with diagnostics. */
static bool settle(Reverse *r) {
    for (int k = 0; k < r->attr->mapped; k++) r->seeds[k] = r->adjoint[k] != 0;
    for (bool more = true; more && !r->inner.failed;) {
        more = false;
        sweep(r, NULL);
        for (int i = 0; i < r->body->inputs.len; i++) {
            const GraphInput *in = input_at(r, i);
            int n = in->kind == IN_CARRY && r->active[in->index] ? uses_of(r, r->given[i]) : 0;
            if (n <= (n ? r->seeds[in->index] : 0)) continue;
            r->seeds[in->index] = n;
            more = true;
        }
    }
    sweep(r, r->ad->diags);
    r->ad->failed = r->inner.failed;
    return !r->ad->failed;
}

/* ---- the reversed scan ---- */

/* What the SCAN stacks of its carries; with a second SCAN where it does not. */
static Val carry_stack(Reverse *r, int carry, bool *back) {
    for (int k = r->attr->mapped; k < r->body->outputs.len; k++) {
        const Node *node = graph_node(r->body, r->body->outputs.at[k].value);
        if (node->op != G_INPUT) continue;
        const GraphInput *in = input_at(r, graph_attr(r->body, r->body->outputs.at[k].value)->index);
        if (in->kind != IN_CARRY || in->index != carry) continue;
        *back = r->body->outputs.at[k].kind == OUT_STACK_BACK;
        return graph_proj(r->g, r->ad->y, k);
    }
    Graph *body = graph_copy(r->g->arena, r->body);
    Attr attr = *r->attr;
    Val in[MOST], stacked = 0;
    int nin = graph_node(r->g, r->ad->y)->nin;
    for (int i = 0; i < nin; i++) in[i] = ad_in(r->ad, i);
    for (Val v = 1; v < (Val)body->node.len; v++) {
        if (graph_node(body, v)->op != G_INPUT) continue;
        const GraphInput *input = &body->inputs.at[graph_attr(body, v)->index];
        if (input->kind == IN_CARRY && input->index == carry) stacked = v;
    }
    graph_output(body, OUT_STACK, body->outputs.len, "", stacked);
    attr.body = body;
    *back = false;
    return graph_proj(r->g, graph_add(r->g, G_SCAN, in, nin, &attr, NULL, (Span){0, 0}), body->outputs.len - 1);
}

static void draft_slices(Reverse *r) {
    for (int i = 0; i < r->body->inputs.len; i++) {
        const GraphInput *in = input_at(r, i);
        ScanSlice slice = {.hole = r->given[i], .back = in->kind == IN_SLICE_BACK};
        if (in->kind == IN_WHOLE) continue;
        slice.of = in->kind == IN_CARRY ? carry_stack(r, in->index, &slice.back) : ad_in(r->ad, operand_of(r, in));
        slice.back = !slice.back;
        vec_push(r->scratch, &r->back.slice, slice);
    }
    for (int k = r->attr->mapped; k < r->body->outputs.len; k++) {
        ScanSlice slice = {r->dy[k], r->adjoint[k], r->body->outputs.at[k].kind == OUT_STACK};
        if (r->dy[k]) vec_push(r->scratch, &r->back.slice, slice);
    }
}

static void draft_carries(Reverse *r) {
    Val use[MOST][2];                                               /* by carry: its hole, its first use */
    for (int k = 0; k < r->attr->mapped; k++) use[k][0] = use[k][1] = 0;
    for (int i = 0; i < r->body->inputs.len; i++)
        if (input_at(r, i)->kind == IN_CARRY) use[input_at(r, i)->index][1] = (Val)r->inner.first[r->given[i]];
    for (int k = 0; k < r->attr->mapped; k++) {
        int at = (int)use[k][1];
        for (int j = 0; j < r->seeds[k]; j++, at = at ? r->inner.use.at[at].next : 0) {
            Val hole = r->seed[k][j], zero = minus_zero(r, graph_type(r->g, hole));
            ScanCarry carry = {hole, zero, at ? fitted(r, r->inner.use.at[at].value, hole) : zero};
            if (j == 0 && r->adjoint[k]) carry.start = fitted(r, r->adjoint[k], hole);
            vec_push(r->scratch, &r->back.carry, carry);
        }
    }
}

static void draft_stacks(Reverse *r) {
    for (int i = 0; i < r->body->inputs.len; i++) {
        const GraphInput *in = input_at(r, i);
        if (!is_slice(in->kind) || !r->inner.first[r->given[i]]) continue;
        ScanStack stack = {ad_total(&r->inner, r->given[i]), in->kind == IN_SLICE};
        vec_push(r->scratch, &r->back.stack, stack);
    }
}

/* ---- the sum ---- */

static void find_turns(Reverse *r) {
    r->turns = arena_array(r->scratch, bool, r->g->node.len);
    r->memo = arena_array(r->scratch, Val, r->g->node.len);
    for (Val v = 1; v < (Val)r->g->node.len; v++) {
        r->turns[v] = graph_node(r->g, v)->op == G_HOLE;
        for (int i = 0; i < graph_node(r->g, v)->nin && !r->turns[v]; i++) r->turns[v] = r->turns[graph_in(r->g, v, i)];
    }
}

static Val leaf_of(Reverse *r, Val v) {
    Leaf leaf = {.value = v, .hole = scan_hole(r->g, graph_type(r->g, v))};
    for (int i = 0; i < r->back.slice.len; i++) {
        const ScanSlice *slice = &r->back.slice.at[i];
        if (slice->hole != v) continue;
        leaf.of = slice->of;
        leaf.back = !slice->back;
    }
    vec_push(r->scratch, &r->leaf, leaf);
    return leaf.hole;
}

/* A contribution as the sum computes it: sums over the batch and views again, from what is stacked. */
static Val summand(Reverse *r, Val v) {
    const Node node = *graph_node(r->g, v);
    if (!r->turns[v]) return v;
    if (r->memo[v]) return r->memo[v];
    bool view = node.op == G_RESHAPE || node.op == G_TRANSPOSE || node.op == G_PAD || node.op == G_BROADCAST;
    if (op_class((Op)node.op) != CLASS_BATCH && (!view || node.batched)) return r->memo[v] = leaf_of(r, v);
    NodeType like = graph_type(r->g, v);
    Attr attr = *graph_attr(r->g, v);
    Val in[MOST];
    for (int i = 0; i < node.nin; i++) in[i] = summand(r, graph_in(r->g, v, i));
    return r->memo[v] = graph_add(r->g, (Op)node.op, in, node.nin, &attr, &like, node.span);
}

static void draft_sum(Reverse *r) {
    find_turns(r);
    for (int i = 0; i < r->body->inputs.len; i++) {
        Val w = r->given[i];
        if (input_at(r, i)->kind != IN_WHOLE || !r->inner.first[w]) continue;
        Val hole = scan_hole(r->g, graph_type(r->g, w)), total = hole;
        for (int at = r->inner.first[w]; at; at = r->inner.use.at[at].next)
            total = graph_2(r->g, G_ADD, total, fitted(r, summand(r, r->inner.use.at[at].value), hole));
        ScanCarry carry = {hole, minus_zero(r, graph_type(r->g, hole)), total};
        vec_push(r->scratch, &r->sum.carry, carry);
    }
    for (int i = 0; i < r->leaf.len; i++)
        if (!r->leaf.at[i].of) vec_push(r->scratch, &r->back.stack, ((ScanStack){r->leaf.at[i].value, true}));
}

static Val make_sum(Reverse *r, Val back, int stacks) {
    for (int i = 0; i < r->leaf.len; i++) {
        const Leaf *leaf = &r->leaf.at[i];
        Val of = leaf->of ? leaf->of : graph_proj(r->g, back, r->back.carry.len + stacks++);
        vec_push(r->scratch, &r->sum.slice, ((ScanSlice){leaf->hole, of, leaf->back}));
    }
    return r->sum.carry.len ? scan_make(r->g, &r->sum) : 0;
}

/* ---- results ---- */

static void give_starts(Reverse *r, Val back) {
    for (int k = 0, c = 0; k < r->attr->mapped; c += r->seeds[k++]) {
        for (int i = 0; i < r->body->inputs.len; i++) {
            if (input_at(r, i)->kind != IN_CARRY || input_at(r, i)->index != k || !ad_wants(r->ad, k)) continue;
            for (int j = 0; j < uses_of(r, r->given[i]); j++) ad_give(r->ad, k, graph_proj(r->g, back, c + j));
        }
    }
}

static void give_slices(Reverse *r, Val back) {
    int stack = r->back.carry.len;
    for (int i = 0; i < r->body->inputs.len; i++) {
        const GraphInput *in = input_at(r, i);
        if (!is_slice(in->kind) || !r->inner.first[r->given[i]]) continue;
        ad_give(r->ad, operand_of(r, in), graph_proj(r->g, back, stack++));
    }
}

static void give_wholes(Reverse *r, Val sum) {
    int k = 0;
    for (int i = 0; i < r->body->inputs.len; i++) {
        if (input_at(r, i)->kind != IN_WHOLE || !r->inner.first[r->given[i]]) continue;
        ad_give_whole(r->ad, operand_of(r, input_at(r, i)), graph_proj(r->g, sum, k++));
    }
}

static void too_large(Reverse *r) {
    r->ad->failed = true;
    Span span = graph_node(r->g, r->ad->y)->span;
    if (r->ad->diags) diag_add(r->ad->diags, D_E0414, span, "too many values go from turn to turn of one loop");
}

void vjp_SCAN(Ad *ad) {
    Attr attr = *graph_attr(ad->g, ad->y);
    Reverse r = {.ad = ad, .g = ad->g, .scratch = ad->scratch, .attr = &attr, .body = attr.body};
    r.back.turns = r.sum.turns = attr.i64;
    if (attr.body->inputs.len > MOST || attr.body->outputs.len > MOST) {
        too_large(&r);
        return;
    }
    take_adjoints(&r);
    build_turn(&r);
    if (!settle(&r)) return;
    draft_slices(&r);
    draft_carries(&r);
    draft_stacks(&r);
    int slices = r.back.stack.len;
    draft_sum(&r);
    if (!r.back.carry.len && !r.back.stack.len && !r.sum.carry.len) return;
    Val back = r.back.carry.len || r.back.stack.len ? scan_make(ad->g, &r.back) : 0;
    Val sum = back || !r.leaf.len ? make_sum(&r, back, slices) : 0;
    if ((!back && r.back.carry.len + r.back.stack.len) || (!sum && r.sum.carry.len)) {
        too_large(&r);
        return;
    }
    give_starts(&r, back);
    give_slices(&r, back);
    if (sum) give_wholes(&r, sum);
}
