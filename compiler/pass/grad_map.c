/* grad_map.c -- the derivative of a MAP is a MAP.
 *
 * Its body is a copy of the body followed by a reverse sweep inside it (nothing is stored between forward and
 * backward: the forward values are computed again).  Operands:
 *   mapped: those of the MAP, then the adjoints of its mapped outputs
 *   shared: those of the MAP, then the adjoints of its summed outputs
 * Outputs: for each wanted mapped operand its adjoint (OUT_MAPPED; summed over the batch afterwards if the operand
 * is not batched while the MAP is), for each use of a wanted shared operand a sum of its own (OUT_SUMMED), with
 * RESHAPE, TRANSPOSE and PAD at its root moved behind the MAP, so that an OUTER below stands at the root: the sum
 * of moved elements is the moved sum.
 * Points whose adjoint is 0 are left out where the body holds a product that is worth it (lang/arithmetic.md, 32),
 * and nodes of a grid in any case (44). */
#include "pass/grad.h"
#include "pass/pass.h"

enum { MAX_OPERANDS = 255, MAX_PEEL = 16 };

typedef struct MapGrad {
    Ad *ad;
    Ad inner;
    const Graph *body;
    Graph *new;
    Val *copy;                                /* by id in body: its copy */
    int mapped, shared;                       /* operands of the MAP */
    int zeros;                                /* Attr.index of the new MAP */
    VEC(Val) in_mapped, in_shared;            /* operands of the new MAP */
    struct Result { int operand; Val view[MAX_PEEL]; int views; } *result;    /* by output of the new body */
} MapGrad;

static void copy_body(MapGrad *m) {
    const Graph *body = m->body;
    m->copy = arena_array(m->ad->scratch, Val, body->node.len);
    for (Val v = 1; v < (Val)body->node.len; v++) {
        const Node *node = graph_node(body, v);
        NodeType like = graph_type(body, v);
        Val in[MAX_OPERANDS];
        if (node->op == G_INPUT) {
            const GraphInput *input = &body->inputs.at[graph_attr(body, v)->index];
            m->copy[v] = graph_input(m->new, input->kind, input->index, input->name, like);
            continue;
        }
        for (int i = 0; i < node->nin; i++) in[i] = m->copy[graph_in(body, v, i)];
        m->copy[v] = graph_add(m->new, (Op)node->op, in, node->nin, graph_attr(body, v), &like, node->span);
    }
}

static int operand_of(const MapGrad *m, const GraphInput *input) {
    return input->kind == IN_MAPPED ? input->index : m->mapped + input->index;
}

static void want_inputs(MapGrad *m) {
    ad_init(&m->inner, m->new, m->ad->diags, m->ad->scratch, (Val)m->new->node.len - 1);
    m->inner.cell = true;
    for (Val v = 1; v <= m->inner.top; v++)
        if (graph_node(m->new, v)->op == G_INPUT &&
            ad_wants(m->ad, operand_of(m, &m->new->inputs.at[graph_attr(m->new, v)->index])))
            ad_want(&m->inner, v);
    ad_spread(&m->inner);
}

/* The adjoint of an output comes in as a further operand. */
static void seed_output(MapGrad *m, int output, Val adjoint) {
    const GraphOutput *out = &m->body->outputs.at[output];
    Val value = m->copy[out->value];
    bool is_mapped = out->kind == OUT_MAPPED;
    int index = is_mapped ? m->in_mapped.len : m->in_shared.len;
    Val in = graph_input(m->new, is_mapped ? IN_MAPPED : IN_SHARED, index, "", graph_type(m->new, value));
    if (is_mapped) vec_push(m->ad->scratch, &m->in_mapped, adjoint);
    else vec_push(m->ad->scratch, &m->in_shared, adjoint);
    ad_seed(&m->inner, value, in);
}

static void add_result(MapGrad *m, OutputKind kind, int operand, Val value) {
    struct Result *r = &m->result[m->new->outputs.len];
    r->operand = operand;
    for (; kind == OUT_SUMMED && r->views < MAX_PEEL; value = graph_in(m->new, value, 0)) {
        Op op = (Op)graph_node(m->new, value)->op;
        if (op != G_RESHAPE && op != G_TRANSPOSE && op != G_PAD) break;
        r->view[r->views++] = value;
    }
    graph_output(m->new, kind, m->new->outputs.len, "", value);
}

typedef struct SharedUse { Val user; int port, operand; Val value; } SharedUse;

/* Mapped operands in order, then the uses of shared ones in program order. */
static void collect_results(MapGrad *m) {
    Ad *inner = &m->inner;
    m->result = arena_array(m->ad->scratch, struct Result, inner->use.len + m->mapped + 1);
    VEC(SharedUse) uses = {0};
    for (Val v = 1; v <= inner->top; v++) {
        if (!(inner->mark[v] & AD_WRT) || !inner->first[v]) continue;
        const GraphInput *input = &m->new->inputs.at[graph_attr(m->new, v)->index];
        if (input->kind == IN_MAPPED) {
            add_result(m, OUT_MAPPED, input->index, ad_total(inner, v));
            continue;
        }
        for (int i = inner->first[v]; i; i = inner->use.at[i].next) {
            Use use = inner->use.at[i];
            SharedUse one = {use.user, use.port, operand_of(m, input), use.value};
            int at = uses.len;
            vec_push(m->ad->scratch, &uses, one);
            for (; at && (uses.at[at - 1].user > one.user ||
                          (uses.at[at - 1].user == one.user && uses.at[at - 1].port > one.port)); at--)
                uses.at[at] = uses.at[at - 1];
            uses.at[at] = one;
        }
    }
    for (int i = 0; i < uses.len; i++) add_result(m, OUT_SUMMED, uses.at[i].operand, uses.at[i].value);
}

static Val replay_views(MapGrad *m, const struct Result *r, Val value) {
    for (int i = r->views; i-- > 0;) {
        NodeType like = graph_type(m->new, r->view[i]);
        value = graph_add(m->ad->g, (Op)graph_node(m->new, r->view[i])->op, &value, 1,
                          graph_attr(m->new, r->view[i]), &like, graph_node(m->ad->g, m->ad->y)->span);
    }
    return value;
}

static void give_results(MapGrad *m) {
    Ad *ad = m->ad;
    Attr attr = {.mapped = m->in_mapped.len, .index = m->zeros, .body = m->new};
    for (int i = 0; i < m->in_shared.len; i++) vec_push(ad->scratch, &m->in_mapped, m->in_shared.at[i]);
    if (m->in_mapped.len > MAX_OPERANDS) {
        Span span = graph_node(ad->g, ad->y)->span;
        ad->failed = true;
        if (ad->diags) diag_add(ad->diags, D_E0414, span, "too many arguments and parameters of one cell");
        return;
    }
    Val map = graph_add(ad->g, G_MAP, m->in_mapped.at, m->in_mapped.len, &attr, NULL, graph_node(ad->g, ad->y)->span);
    for (int k = 0; k < m->new->outputs.len; k++) {
        const struct Result *r = &m->result[k];
        Val value = graph_proj(ad->g, map, k);
        if (m->new->outputs.at[k].kind == OUT_MAPPED) ad_give(ad, r->operand, value);
        else ad_give_whole(ad, r->operand, replay_views(m, r, value));
    }
}

void vjp_MAP(Ad *ad) {
    const Attr *attr = graph_attr(ad->g, ad->y);
    MapGrad m = {.ad = ad, .body = attr->body, .new = graph_new(ad->g->arena), .mapped = attr->mapped};
    m.shared = graph_node(ad->g, ad->y)->nin - m.mapped;
    for (int i = 0; i < m.mapped; i++) vec_push(ad->scratch, &m.in_mapped, ad_in(ad, i));
    for (int i = 0; i < m.shared; i++) vec_push(ad->scratch, &m.in_shared, ad_in(ad, m.mapped + i));
    bool one = m.body->outputs.len == 1 && m.body->outputs.at[0].kind == OUT_MAPPED;
    if (one && (attr->index == NODES || pass_has_product(m.body))) m.zeros = ZEROS_OF + m.mapped;
    copy_body(&m);
    want_inputs(&m);
    for (int i = ad->first[ad->y]; i; i = ad->use.at[i].next) seed_output(&m, ad->use.at[i].port, ad->use.at[i].value);
    ad_run(&m.inner);
    ad->failed = ad->failed || m.inner.failed;
    if (ad->failed) return;
    collect_results(&m);
    if (m.new->outputs.len) give_results(&m);
}

/* The adjoint of an output waits at the MAP under the output's number. */
void vjp_PROJ(Ad *ad) {
    int k = graph_attr(ad->g, ad->y)->index, i = ad->use.len;
    Val map = ad_in(ad, 0);
    Use use = {ad->y, k, ad->dy, ad->first[map]};
    vec_push(ad->scratch, &ad->use, use);
    ad->first[map] = i;
}
