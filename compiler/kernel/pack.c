/* pack.c -- weights copied in the order in which tiles read them, once a step.
 *
 * A product with transposed weights reads mr neighbours of each of its n rows of memory.  Where so many rows fall on so
 * few places of the first cache that they push each other out, the step first copies the weights by tiles:
 *   packed[tile][k][mr]
 * Tiles are then read from end to end.  The copy is made in the phase before the product's. */
#include "kernel/region.h"

enum { LINE = 64, SETS = 64, WAYS = 12 };              /* of a first cache */

/* Rows of a tile, or 0 if they differ with the number of columns. */
static int pack_rows(const Region *r, Val v, int64_t outs) {
    const Target *target = &r->plan->target;
    DType dtype = (DType)graph_node(r->graph, v)->dtype;
    int one = tile_rows_for(target, r->lanes, dtype, 1, outs), two = tile_rows_for(target, r->lanes, dtype, 2, outs);
    return tile_columns_for(target, r->lanes, dtype) == 1 || one == two ? one : 0;
}

/* Whether n rows `bytes` apart have no room in the first cache. */
static bool is_crowded(int64_t n, int64_t bytes) {
    int64_t lines = bytes / LINE, sets = SETS;
    if (bytes % LINE) return false;
    while (sets > 1 && lines % 2 == 0) sets /= 2, lines /= 2;
    return n > sets * WAYS;
}

bool is_packed(const Region *r, Val v) {
    Affine a;
    if (r->body || r->lanes != 16 || !r->plan->target.packing || !is_tiled(r, v)) return false;
    Val w = graph_in(r->graph, v, 0), x = region_base(r, graph_in(r->graph, v, 1));
    const Node *node = graph_node(r->graph, w);
    if (node->shape.rank != 2 || region_size(r, x) != node->shape.dim[1] || !affine_of(r, w, &a)) return false;
    int64_t outs = node->shape.dim[0], n = node->shape.dim[1];
    return a.stride[0] == 1 && outs >= 32 && pack_rows(r, v, outs) &&
           is_crowded(n, a.stride[1] * (int64_t)dtype_size((DType)node->dtype));
}

int pack_buffer(const Region *r, Val v) {
    Val w = graph_in(r->graph, v, 0);
    size_t bytes = (size_t)region_size(r, w) * dtype_size((DType)graph_node(r->graph, w)->dtype);
    return plan_buffer(r->plan, (Buffer){.fixed = bytes + 1024});
}

typedef struct Pack { Ctx *c; KVal from, to; KScalar scalar; int64_t off, step, n; } Pack;

/* The rows o ... o + mr - 1 of w.  A vector runs over the end of a row of the copy, which the next rows mend; where it
 * would leave the tile (another thread's may be next), and where w ends too early, elements go one by one. */
static void pack_tile(const Pack *p, Ix o, int mr, bool vectors) {
    Gen *g = &p->c->g;
    int64_t whole = vectors && p->n * mr >= 16 ? (p->n * mr - 16) / mr + 1 : 0;
    KVal from = ix_value(g, (Ix){o.var, o.add + p->off}), to = ix_value(g, ix_times(g, o, p->n));
    for (int part = 0; part < 2; part++) {
        if (part == 0 && !whole) continue;
        int lanes = part ? 1 : 16;
        KVal k = k_for(g->m, g->f, gen_i64(g, part ? whole : 0), gen_i64(g, part ? p->n : whole), 1);
        KVal line = ix_value(g, ix_plus(g, (Ix){from, 0}, ix_times(g, (Ix){k, 0}, p->step)));
        KVal there = ix_value(g, ix_plus(g, (Ix){to, 0}, ix_times(g, (Ix){k, 0}, mr)));
        for (int r = 0; r < mr; r += lanes) {
            KVal x = k_load(g->m, g->f, (KType){p->scalar, (uint8_t)lanes}, p->from, ix_value(g, (Ix){line, r}));
            k_store(g->m, g->f, p->to, ix_value(g, (Ix){there, r}), x);
        }
        k_end(g->m, g->f);
    }
}

/* The range counts whole tiles; the last of them, and what is left, are done with it. */
int64_t pack_weights(Ctx *c, Val v, int entry) {
    Gen *g = &c->g;
    Val w = graph_in(c->r->graph, v, 0);
    const Node *node = graph_node(c->r->graph, w);
    int64_t outs = node->shape.dim[0];
    int mr = pack_rows(c->r, v, outs);
    int64_t tiles = outs / mr, safe = (outs - 16) / mr + 1, rest = outs - tiles * mr;
    Affine a = {0};
    affine_of(c->r, w, &a);
    Pack p = {c, affine_pointer(c, &a), ctx_entry(c, entry), gen_scalar((DType)node->dtype), a.off, a.stride[1],
              node->shape.dim[1]};
    KVal hi = k_hi(g->m, g->f), most = gen_i64(g, safe < tiles ? safe : tiles);
    KVal i = k_for(g->m, g->f, k_lo(g->m, g->f), gen_select(g, gen_2(g, K_LT, hi, most), hi, most), 1);
    pack_tile(&p, ix_times(g, (Ix){i, 0}, mr), mr, true);
    k_end(g->m, g->f);
    KVal lo = gen_select(g, gen_2(g, K_LT, k_lo(g->m, g->f), most), most, k_lo(g->m, g->f));
    KVal j = k_for(g->m, g->f, lo, hi, 1);
    pack_tile(&p, ix_times(g, (Ix){j, 0}, mr), mr, false);
    k_end(g->m, g->f);
    if (!rest) return tiles;
    k_for(g->m, g->f, gen_i64(g, tiles - 1), hi, tiles);
    pack_tile(&p, (Ix){0, tiles * mr}, (int)rest, false);
    k_end(g->m, g->f);
    return tiles;
}
