/* result_rows.c -- results that are asked for by example: from lanes of examples to one row an example. */
#include "kernel/staged.h"

/* The rows of a result: `first` stands in row 0 of its shard. */
typedef struct Rows { Ctx *c; Val v; KVal to; Ix first; int64_t size; } Rows;

static void set_vector(Ctx *c, const Shard *shard, KVal block) {
    c->local = (Ix){block, 0};
    c->global = ix_plus(&c->g, ix_times(&c->g, (Ix){shard->number, 0}, SHARD / c->lanes), c->local);
}

/* 16 elements of the 16 examples of a block: a square turned. */
static void rows_square(const Rows *r, KVal block, Ix i) {
    Gen *g = &r->c->g;
    KVal x[16];
    for (int k = 0; k < 16; k++) x[k] = load_value(r->c, r->v, ix_plus(g, i, (Ix){0, k}));
    transpose16(g, x);
    Ix example = ix_plus(g, r->first, ix_times(g, (Ix){block, 0}, 16));
    for (int e = 0; e < 16; e++) {
        Ix row = ix_times(g, ix_plus(g, example, (Ix){0, e}), r->size);
        k_store(g->m, g->f, r->to, ix_value(g, ix_plus(g, row, i)), x[e]);
    }
}

/* Of full blocks; the last elements that fill no square are turned together with some before them.  Gives the number of
 * examples in them. */
static KVal rows_squares(const Rows *r, const Shard *shard) {
    Gen *g = &r->c->g;
    int64_t whole = r->size / 16 * 16;
    KVal full = gen_2(g, K_SHR, shard->count, gen_i64(g, 4)), block = k_for(g->m, g->f, gen_i64(g, 0), full, 1);
    set_vector(r->c, shard, block);
    KVal i = k_for(g->m, g->f, gen_i64(g, 0), gen_i64(g, whole), 16);
    rows_square(r, block, (Ix){i, 0});
    k_end(g->m, g->f);
    if (whole < r->size) rows_square(r, block, (Ix){0, r->size - 16});
    k_end(g->m, g->f);
    return gen_2(g, K_MUL, full, gen_i64(g, 16));
}

void rows_emit(Staged *s, const Job *job) {
    Gen g = plan_function(s->plan, "rows");
    Ctx c = ctx_new(&s->r, g, s->r.lanes);
    Val v = region_base(&s->r, job->v);
    int64_t size = region_size(&s->r, v);
    Shard shard = shard_begin(&c);
    KVal to = ctx_kind(&c, ENTRY_OUT_ROWS, s->r.graph->outputs.at[job->output].index);
    Rows rows = {&c, v, to, ix_times(&g, (Ix){shard.number, 0}, SHARD), size};
    bool squares = c.lanes == 16 && size >= 16 && s->r.info[v].varies && graph_node(s->r.graph, v)->dtype != DT_BOOL;
    KVal from = squares ? rows_squares(&rows, &shard) : gen_i64(&g, 0);
    KVal e = k_for(g.m, g.f, from, shard.count, 1), block = e;
    Ix lane = {0, 0};
    if (c.lanes == 16) {
        block = gen_2(&g, K_SHR, e, gen_i64(&g, 4));
        lane = (Ix){gen_2(&g, K_AND, e, gen_i64(&g, 15)), 0};
    }
    set_vector(&c, &shard, block);
    Ix i = loop_begin(&c, size), row = ix_times(&g, ix_plus(&g, rows.first, (Ix){e, 0}), size);
    k_store(g.m, g.f, to, ix_value(&g, ix_plus(&g, row, i)), load_lane(&c, v, i, lane));
    loop_end(&c, size);
    k_end(g.m, g.f);
    shard_end(&c);
    plan_stage(s->plan, &g, STAGE_SHARDS, 0, "rows of results");
}
