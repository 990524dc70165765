/* phases.c -- the phase of each node: what does not vary and what does take turns, as each needs the other.
 *
 * Where a large MAP does not vary and what shards compute before they need it hands little on, shards come first: they
 * take the batch in two phases, and threads that are done with the first go on to the points of the MAP, which they
 * share as they come, and what else the first does not need. */
#include "kernel/staged.h"

enum { LATE_FROM = 1024, LATE_BYTES = 2048 };  /* points; bytes of an example that are handed on */

static const Node *node_of(const Staged *s, Val v) { return graph_node(s->r.graph, v); }

/* A cell at many points that are not the batch's. */
static bool is_large_map(const Staged *s, Val v) {
    return node_of(s, v)->op == G_MAP && !s->r.info[v].varies && shape_size(&node_of(s, v)->shape) >= LATE_FROM;
}

static int phase_of(const Staged *s, Val v) {
    const Info *info = s->r.info;
    bool summed = is_summed(&s->r, v), lanes = info[v].varies || summed;
    int phase = lanes;
    if (is_scan_result(&s->r, v)) return info[graph_in(s->r.graph, v, 0)].phase;
    if (s->early && !lanes && (!s->early[v] || is_large_map(s, v))) phase = 2;
    for (int k = 0; k < node_of(s, v)->nin; k++) {
        const Info *in = &info[graph_in(s->r.graph, v, k)];
        int after = in->phase + (lanes && !(in->phase & 1));
        if (node_of(s, v)->op == G_SCAN) after += after & 1;
        if (after > phase) phase = after;
    }
    return phase + summed;
}

typedef struct Crossing { Staged *s; bool *seen; size_t bytes; } Crossing;

static void crossing_read(void *data, Val v, bool same) {
    Crossing *c = data;
    const Info *info = &c->s->r.info[v];
    (void)same;
    if (!info->varies || info->phase != 1 || node_of(c->s, v)->op == G_INPUT || c->seen[v]) return;
    c->seen[v] = true;
    c->bytes += (size_t)region_size(&c->s->r, v) * dtype_size((DType)node_of(c->s, v)->dtype);
}

/* What does not vary and is needed by what the first shards compute. */
static void find_early(Staged *s) {
    memset(s->early, false, (size_t)s->r.graph->node.len);
    for (Val v = (Val)s->r.graph->node.len - 1; v > 0; v--) {
        if (!s->r.info[v].live || !(s->early[v] || s->r.info[v].phase == 1)) continue;
        for (int k = 0; k < node_of(s, v)->nin; k++) s->early[graph_in(s->r.graph, v, k)] = true;
    }
}

static void find_order(Staged *s) {
    Crossing c = {s, arena_array(s->plan->arena, bool, s->r.graph->node.len), 0};
    bool any = false;
    s->early = arena_array(s->plan->arena, bool, s->r.graph->node.len);
    memset(s->early, true, (size_t)s->r.graph->node.len);
    for (Val v = 1; v < (Val)s->r.graph->node.len; v++) {
        any |= s->r.info[v].live && is_large_map(s, v);
        s->r.info[v].phase = phase_of(s, v);
    }
    find_early(s);
    for (Val v = 1; v < (Val)s->r.graph->node.len && any; v++) {
        const Info *info = &s->r.info[v];
        if (info->live && info->varies && info->phase > 1 && info->stored && node_of(s, v)->op != G_INPUT)
            region_reads(&s->r, v, crossing_read, &c);
    }
    if (!any || c.bytes > LATE_BYTES) s->early = NULL;
}

void phases_find(Staged *s) {
    if (!s->homes) find_order(s);
    for (Val v = 1; v < (Val)s->r.graph->node.len; v++) s->r.info[v].phase = phase_of(s, v);
}
