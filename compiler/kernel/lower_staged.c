/* lower_staged.c -- programs that are no neurons: phases, stages, homes.
 *
 * A *phase* is a stretch of the step between sums over the batch: even phases hold what does not vary from example to
 * example, odd ones what does, shard by shard.  In a phase, stored nodes are *jobs*, put into stages by level:
 *   odd:   LANES  all nests of a level, fused: for each block of examples, segment by segment; reductions of whole
 *                 examples in the nest that computes what they add (Job.with)
 *          TILE, MAP, PARTIAL, ROWS  one function each
 *   even:  ONCE   scalars and odd nests, one after the other
 *          WIDE   element-wise work on whole tensors (updates), 16 elements at a time, ranges of all tensors joined
 *          PACK   weights packed for products, one function each
 *          OUTER  large gradients of weights, tiles of all tensors joined
 *          JOIN   a convolution's gradient of weights: the sum of the shards', one function each
 *          MAP
 * A value computed element by element lies where one lay that it reads for the last time.
 * A new slot value is written straight to the block if everything else has read the old one by then; the others are
 * copied by a last stage.  */
#include "kernel/staged.h"

enum { WIDE_FROM = 64, TAKEN_FROM = 256, AHEAD_FROM = 256, TURNS_AHEAD = 8 };

static const Node *node_of(const Staged *s, Val v) { return graph_node(s->r.graph, v); }

/* ---- jobs ---- */

/* Whether everything below v that is not stored can be read 16 elements at a time. */
static bool is_wide(const Staged *s, Val v, int64_t size) {
    const Region *r = &s->r;
    Op op = (Op)node_of(s, v)->op;
    int64_t own = region_size(r, v);
    if (own == 1) return true;
    if (own != size || op == G_IOTA) return false;
    if (is_summed(r, v) || op_class(op) == CLASS_LEAF) return true;
    if (op == G_BROADCAST && region_size(r, graph_in(r->graph, v, 0)) == 1) return true;
    if (!is_elementwise(op) && !is_flat_view(r, v)) return false;
    for (int k = 0; k < node_of(s, v)->nin; k++) {
        Val in = graph_in(r->graph, v, k);
        if (r->info[in].stored ? region_size(r, in) != size && region_size(r, in) != 1 : !is_wide(s, in, size))
            return false;
    }
    return true;
}

static JobKind kind_of(const Staged *s, Val v) {
    const Region *r = &s->r;
    int64_t size = region_size(r, v);
    if (node_of(s, v)->op == G_MAP) return JOB_MAP;
    if (node_of(s, v)->op == G_SCAN) return JOB_SCAN;
    if (r->info[v].varies) return is_tiled(r, v) || conv_is_tiled(r, v) ? JOB_TILE : JOB_LANES;
    if (!is_nest_elementwise(r, v) || size < WIDE_FROM) return JOB_ONCE;
    return is_wide(s, v, size) ? JOB_WIDE : JOB_ONCE;
}

typedef struct Leveling { Staged *s; Job *job; } Leveling;

static bool nest_of_shape(const Staged *s, Val v, const Shape *shape) {
    return is_nest_elementwise(&s->r, v) && shape_equal(&node_of(s, v)->shape, shape);
}

static void level_read(void *data, Val v, bool same) {
    Leveling *l = data;
    Staged *s = l->s;
    if (s->job_of[v] < 0) return;
    const Job *before = &s->job.at[s->job_of[v]];
    Job *job = l->job;
    if (before->phase != job->phase) return;
    bool joined = job->kind == before->kind &&
                  (job->kind == JOB_LANES || job->kind == JOB_ONCE || (job->kind == JOB_WIDE && same));
    int level = before->level + !joined;
    if (level > job->level) {
        job->level = level;
        job->segment = 0;
        job->with = 0;
    }
    if (!joined || before->level != job->level) return;
    const Shape *shape = &node_of(s, v)->shape;
    bool fused = same && nest_of_shape(s, v, shape) &&
                 (nest_of_shape(s, job->v, shape) || (job->kind == JOB_LANES && nest_takes(&s->r, shape, job->v)));
    int segment = before->segment + !fused;
    if (segment == job->segment && job->with && fused && !shape_equal(shape, &node_of(s, job->with)->shape)) {
        segment++;
        fused = false;
    }
    if (segment > job->segment || (segment == job->segment && fused && !job->with)) job->with = fused ? v : 0;
    if (segment > job->segment) job->segment = segment;
}

static void job_reads(const Staged *s, const Job *job, void (*read)(void *, Val, bool), void *data) {
    Affine w = {0};
    switch (job->kind) {
    case JOB_ROWS: read(data, region_base(&s->r, job->v), false); break;
    case JOB_OUTER:
        for (int k = 0; k < 2 - outer_reads_rows(&s->r, job->v); k++)
            read(data, region_base(&s->r, graph_in(s->r.graph, job->v, k)), false);
        break;
    case JOB_JOIN: break;
    case JOB_PACK: affine_of(&s->r, graph_in(s->r.graph, job->v, 0), &w), read(data, w.source, false); break;
    case JOB_PARTIAL: case JOB_MAP: case JOB_SCAN: region_reads_summed(&s->r, job->v, read, data); break;
    case JOB_LANES: case JOB_TILE: case JOB_ONCE: case JOB_WIDE: region_reads(&s->r, job->v, read, data); break;
    }
}

static void add_job(Staged *s, Job job) {
    Leveling l = {s, &job};
    int own = s->job_of[job.v];
    job_reads(s, &job, level_read, &l);
    bool stores = job.kind != JOB_PARTIAL && job.kind != JOB_ROWS && job.kind != JOB_PACK;
    if (own < 0 && stores) s->job_of[job.v] = s->job.len;
    vec_push(s->plan->arena, &s->job, job);
    if (job.phase >= s->phases) s->phases = job.phase + 1;
}

/* The sum of v's dy over places and batch, if there is one and it is needed no sooner than v. */
static Val sum_of_dy(const Staged *s, Val v) {
    Val dy = graph_in(s->r.graph, v, 0);
    for (Val u = 1; u < (Val)s->r.graph->node.len; u++) {
        if (node_of(s, u)->op != G_BATCH_SUM || !s->r.info[u].live || s->given[u]) continue;
        if (s->r.info[u].phase != s->r.info[v].phase) continue;
        Val x = graph_in(s->r.graph, u, 0);
        const Shape *shape = &node_of(s, x)->shape;
        if (region_base(&s->r, x) == region_base(&s->r, dy) && shape_equal(shape, &node_of(s, dy)->shape) &&
            graph_attr(s->r.graph, u)->axes == (1u << shape->rank) - 2) return u;
    }
    return 0;
}

static void join_sums(Staged *s) {
    s->given = arena_array(s->plan->arena, bool, s->r.graph->node.len);
    for (Val v = 1; v < (Val)s->r.graph->node.len; v++) {
        if (!s->r.info[v].live || !(is_joined(&s->r, v) || conv_is_chained(&s->r, v))) continue;
        Val sum = s->r.info[v].also = sum_of_dy(s, v);
        if (sum) s->given[sum] = true;
    }
}

static void add_jobs(Staged *s, Val v) {
    Info *info = &s->r.info[v];
    const Node *node = node_of(s, v);
    if (!info->live || (s->homes && node->op == G_INPUT)) return;
    if (is_outer_tiled(&s->r, v)) {
        add_job(s, (Job){.kind = JOB_OUTER, .v = v, .phase = info->phase});
        return;
    }
    if (op_class((Op)node->op) == CLASS_BATCH && !s->given[v])
        add_job(s, (Job){.kind = JOB_PARTIAL, .v = v, .phase = info->phase - 1});
    if (node->op == G_PROJ && !is_summed(&s->r, v)) {
        s->job_of[v] = s->job_of[graph_in(s->r.graph, v, 0)];
        return;
    }
    if (is_packed(&s->r, v)) {
        info->packed = pack_buffer(&s->r, v) + 1;
        add_job(s, (Job){.kind = JOB_PACK, .v = v, .phase = scan_packs_before(s, v) ? -1 : info->phase - 1});
    }
    if (is_joined(&s->r, v)) add_job(s, (Job){.kind = JOB_JOIN, .v = v, .phase = info->phase});
    else if (info->stored || node->op == G_MAP || node->op == G_SCAN)
        add_job(s, (Job){.kind = kind_of(s, v), .v = v, .phase = info->phase});
}

static void add_row_jobs(Staged *s) {
    for (int k = 0; k < s->r.graph->outputs.len; k++) {
        const GraphOutput *output = &s->r.graph->outputs.at[k];
        if (output->kind == OUT_ROWS)
            add_job(s, (Job){.kind = JOB_ROWS, .v = output->value, .phase = s->r.info[output->value].phase,
                             .output = k});
    }
}

/* Stages in order: numbers them.  Large gradients come first in their level, as threads begin them at different
 * times. */
static void number_stages(Staged *s) {
    static const JobKind order[] = {JOB_OUTER, JOB_LANES, JOB_TILE, JOB_MAP, JOB_PARTIAL, JOB_ROWS, JOB_PACK, JOB_JOIN,
                                    JOB_ONCE, JOB_WIDE, JOB_SCAN};
    for (int phase = -1; phase < s->phases; phase++) {
        for (int level = 0, any = 1; any; level++) {
            any = 0;
            for (int k = 0; k < COUNT(order); k++) {
                int kind = order[k];
                bool used = false;
                for (int j = 0; j < s->job.len; j++) {
                    Job *job = &s->job.at[j];
                    if (job->phase != phase || job->level < level) continue;
                    any = 1;
                    if (job->level != level || (int)job->kind != kind) continue;
                    bool alone = kind != JOB_LANES && kind != JOB_ONCE && kind != JOB_WIDE && kind != JOB_OUTER;
                    if (alone && used) s->stages++;
                    job->stage = s->stages;
                    used = true;
                }
                s->stages += used;
            }
        }
    }
}

/* ---- homes ---- */

/* Of a value: whether another phase reads it; the last segment of its own stage that does, or -1 if another stage
 * does. */
typedef struct Use { bool outside; int segment; } Use;
typedef struct Using { Staged *s; const Job *job; Use *use; } Using;

static void use_read(void *data, Val v, bool same) {
    Using *u = data;
    Use *use = &u->use[v];
    int own = u->s->job_of[v];
    (void)same;
    if (u->s->r.info[v].phase != u->job->phase) use->outside = true;
    if (own < 0 || u->job->kind != JOB_LANES || u->s->job.at[own].stage != u->job->stage) use->segment = -1;
    else if (use->segment >= 0 && use->segment < u->job->segment) use->segment = u->job->segment;
}

/* What an element-wise value reads for the last time, at its own index alone: its place can be taken over. */
typedef struct Heir { Staged *s; const Job *job, *reader; Val v; bool reads, bad; } Heir;

static bool is_before(const Job *a, const Job *b) {
    if (a->stage != b->stage || a->kind != JOB_LANES || b->kind != JOB_LANES) return a->stage < b->stage;
    return a->segment < b->segment;
}

static void heir_read(void *data, Val v, bool same) {
    Heir *h = data;
    if (v != h->v) return;
    if (h->reader == h->job) h->reads = true;
    h->bad |= h->reader == h->job ? !same : !is_before(h->reader, h->job);
}

static bool can_take_over(Staged *s, const Job *job, Val u) {
    const Node *from = node_of(s, u), *to = node_of(s, job->v);
    if (s->job_of[u] < 0 || !s->r.info[u].varies || from->dtype != to->dtype || from->op == G_PROJ ||
        from->op == G_SCAN || shape_size(&from->shape) != shape_size(&to->shape))
        return false;
    Heir h = {.s = s, .job = job, .v = u};
    h.reader = job;
    job_reads(s, job, heir_read, &h);
    for (int j = 0; j < s->job.len && h.reads && !h.bad; j++) {
        h.reader = &s->job.at[j];
        if (h.reader != job) job_reads(s, h.reader, heir_read, &h);
    }
    return h.reads && !h.bad;
}

/* A value that only its own stage of lanes reads has room for one block: that stage goes through its segments block by
 * block. */
static bool is_local(const Staged *s, const Use *use, Val v) {
    return s->job_of[v] >= 0 && s->job.at[s->job_of[v]].kind == JOB_LANES && use[v].segment >= 0 && !use[v].outside;
}

typedef struct Candidates { Staged *s; const Job *job; const Use *use; Val found; } Candidates;

static void candidate_read(void *data, Val u, bool same) {
    Candidates *k = data;
    if (!same || k->found || k->use[u].outside != k->use[k->job->v].outside || !k->s->r.info[u].stored) return;
    if (!can_take_over(k->s, k->job, u)) return;
    if (!is_local(k->s, k->use, u) || is_local(k->s, k->use, k->job->v)) k->found = u;
}

/* The value whose place v takes over, or 0. */
static Val place_before(Staged *s, Val v, const Use *use) {
    if (s->homes || s->job_of[v] < 0) return 0;
    Candidates k = {s, &s->job.at[s->job_of[v]], use, 0};
    if (k.job->kind != JOB_LANES || !is_elementwise((Op)node_of(s, v)->op) || region_size(&s->r, v) < TAKEN_FROM)
        return 0;
    job_reads(s, k.job, candidate_read, &k);
    return k.found;
}

static void take_over(Staged *s, Val v, Val before, const Use *use) {
    s->r.info[v].home = s->r.info[before].home;
    Buffer *buffer = &s->plan->buffer.at[s->plan->entry.at[s->r.info[v].home.entry].index];
    if (buffer->part && buffer->last_part < 1 + use[v].segment) buffer->last_part = 1 + use[v].segment;
}

static void place_varying(Staged *s, Val v, const Use *use) {
    Info *info = &s->r.info[v];
    int64_t size = region_size(&s->r, v);
    size_t bytes = (size_t)size * dtype_size((DType)node_of(s, v)->dtype);
    Val before = place_before(s, v, use);
    if (before) {
        take_over(s, v, before, use);
    } else if (is_local(s, use, v)) {
        Buffer buffer = {.fixed = 1024 + bytes * (size_t)s->r.lanes, .scratch = true,
                         .part = 1 + s->job.at[s->job_of[v]].segment, .last_part = 1 + use[v].segment};
        info->home = (Home){.entry = plan_buffer(s->plan, buffer), .elem = s->r.lanes};
    } else {
        bool outside = use[v].outside;
        info->home = (Home){.global = outside, .elem = s->r.lanes, .vec = size * s->r.lanes};
        info->home.entry = plan_buffer(s->plan, (Buffer){.fixed = 1024, .per_example = bytes, .scratch = !outside});
    }
}

static Use *find_uses(Staged *s) {
    Use *use = arena_array(s->plan->arena, Use, s->r.graph->node.len);
    for (int j = 0; j < s->job.len; j++) {
        const Job *job = &s->job.at[j];
        if (s->job_of[job->v] == j) use[job->v].segment = job->segment;
    }
    for (int j = 0; j < s->job.len; j++) {
        Using u = {s, &s->job.at[j], use};
        job_reads(s, &s->job.at[j], use_read, &u);
    }
    for (int k = 0; k < s->r.graph->outputs.len; k++) {
        Val v = s->r.graph->outputs.at[k].value;
        use[v].segment = -1;
        if (s->homes) use[v].outside = true;
    }
    return use;
}

static void place_all(Staged *s) {
    const Use *use = find_uses(s);
    for (Val v = 1; v < (Val)s->r.graph->node.len; v++) {
        Info *info = &s->r.info[v];
        if (!info->live || (s->homes && node_of(s, v)->op == G_INPUT)) continue;
        if (node_of(s, v)->op == G_SCAN) scan_place_results(s, v);
        if (is_scan_result(&s->r, v)) continue;
        size_t bytes = (size_t)region_size(&s->r, v) * dtype_size((DType)node_of(s, v)->dtype);
        size_t sums = is_joined(&s->r, v) ? conv_weight_bytes(&s->r, v) : bytes;
        if (is_summed(&s->r, v) && !is_outer_tiled(&s->r, v))
            info->partial = plan_buffer(s->plan, (Buffer){.fixed = 1024, .per_shard = sums});
        if (!info->stored) continue;
        if (info->varies) place_varying(s, v, use);
        else info->home = (Home){.entry = plan_buffer(s->plan, (Buffer){.fixed = bytes + 1024}), .elem = 1};
    }
}

/* ---- slots ---- */

typedef struct Hazard { Staged *s; const Job *job; int slot; Val v; const Job *writer; bool bad; } Hazard;

static void hazard_read(void *data, Val v, bool same) {
    Hazard *h = data;
    if (node_of(h->s, v)->op != G_INPUT || h->s->r.info[v].varies) return;
    const GraphInput *input = &h->s->r.graph->inputs.at[graph_attr(h->s->r.graph, v)->index];
    if (input->kind != IN_BLOCK || input->index != h->slot) return;
    if (h->s->r.info[v].stored && h->job->v != v) return;                    /* read from its copy */
    if (h->job->stage < h->writer->stage) return;
    if (h->job->stage > h->writer->stage) h->bad = true;
    else if (h->writer->kind == JOB_WIDE) h->bad |= !same ||
        region_size(&h->s->r, h->job->v) != region_size(&h->s->r, h->v);
    else if (h->job == h->writer) h->bad |= !same || !is_nest_elementwise(&h->s->r, h->v);
    else h->bad |= h->job->v > h->v;
}

static bool writes_directly(Staged *s, int output) {
    const GraphOutput *o = &s->r.graph->outputs.at[output];
    if (s->job_of[o->value] < 0) return false;
    const Job *writer = &s->job.at[s->job_of[o->value]];
    if (writer->kind != JOB_WIDE && writer->kind != JOB_ONCE) return false;
    for (int k = 0; k < output; k++)
        if (s->r.graph->outputs.at[k].kind == OUT_BLOCK && s->r.graph->outputs.at[k].value == o->value) return false;
    Hazard h = {.s = s, .slot = o->index, .v = o->value, .writer = writer};
    for (int j = 0; j < s->job.len; j++) {
        h.job = &s->job.at[j];
        job_reads(s, h.job, hazard_read, &h);
    }
    return !h.bad;
}

static void place_slots(Staged *s) {
    const Graph *graph = s->r.graph;
    s->shown = arena_array(s->plan->arena, Val, graph->outputs.len);
    for (int k = 0; k < graph->outputs.len; k++) {
        const GraphOutput *o = &graph->outputs.at[k];
        if (o->kind != OUT_BLOCK || !s->r.info[o->value].stored) continue;
        if (writes_directly(s, k)) s->r.info[o->value].home.entry = plan_entry(s->plan, ENTRY_BLOCK, o->index);
        else s->shown[k] = o->value;
    }
}

/* ---- stages of lanes ---- */

static bool in_stage(const Job *job, int stage) { return job->stage == stage; }

static bool in_segment(const Staged *s, int j, int stage, int segment) {
    return !s->done[j] && in_stage(&s->job.at[j], stage) && s->job.at[j].segment == segment;
}

/* All element-wise work of a shape, and the reductions that fit its nest. */
static void emit_group(Staged *s, Ctx *c, int stage, int segment, const Shape *shape) {
    int n = 0, sums = 0;
    for (int j = 0; j < s->job.len; j++) {
        if (!in_segment(s, j, stage, segment) || !nest_of_shape(s, s->job.at[j].v, shape)) continue;
        s->done[j] = true;
        s->group[n++] = s->job.at[j].v;
    }
    for (int j = 0; j < s->job.len; j++) {
        const Job *job = &s->job.at[j];
        if (!in_segment(s, j, stage, segment) || !nest_takes(&s->r, shape, job->v)) continue;
        if (job->with && !shape_equal(&node_of(s, job->with)->shape, shape)) continue;
        s->done[j] = true;
        s->sums[sums++] = job->v;
    }
    nest_with_sums(c, s->group, n, s->sums, sums);
}

static void emit_segment(Staged *s, Ctx *c, int stage, int segment) {
    for (int j = 0; j < s->job.len; j++) s->done[j] = false;
    for (int j = 0; j < s->job.len; j++)
        if (in_segment(s, j, stage, segment) && is_nest_elementwise(&s->r, s->job.at[j].v))
            emit_group(s, c, stage, segment, &node_of(s, s->job.at[j].v)->shape);
    for (int j = 0; j < s->job.len; j++)
        if (in_segment(s, j, stage, segment)) nest_node(c, s->job.at[j].v);
}

static int last_segment(const Staged *s, int stage) {
    int last = 0;
    for (int j = 0; j < s->job.len; j++)
        if (in_stage(&s->job.at[j], stage) && s->job.at[j].segment > last) last = s->job.at[j].segment;
    return last;
}

static void emit_lanes(Staged *s, int stage) {
    Gen g = plan_function(s->plan, "lanes");
    Ctx c = ctx_new(&s->r, g, s->r.lanes);
    Shard shard = shard_begin(&c);
    block_begin(&c, &shard);
    for (int segment = 0; segment <= last_segment(s, stage); segment++) emit_segment(s, &c, stage, segment);
    block_end(&c);
    shard_end(&c);
    plan_stage(s->plan, &g, STAGE_SHARDS, 0, "lanes");
}

/* ---- matmul ---- */

static void set_columns(Ctx *c, const Shard *shard, Columns *columns, int n) {
    columns->n = n;
    for (int j = 0; j < n; j++) {
        columns->vec[j] = (Ix){0, j};
        columns->vec_global[j] = ix_plus(&c->g, ix_times(&c->g, (Ix){shard->number, 0}, SHARD / c->lanes), (Ix){0, j});
    }
}

/* If x is data: the first example of the next shard, or of the last, which may be fetched ahead; else 0. */
static KVal next_rows(Ctx *c, Val v, const Shard *shard) {
    Gen *g = &c->g;
    const Graph *graph = c->r->graph;
    Val x = region_base(c->r, graph_in(graph, v, 1));
    const Node *node = graph_node(graph, x);
    if (c->lanes != 16 || node->op != G_INPUT || node->dtype != DT_F32 || region_size(c->r, x) < AHEAD_FROM) return 0;
    if (graph->inputs.at[graph_attr(graph, x)->index].kind != IN_ROWS) return 0;
    KVal one = gen_i64(g, 1), next = gen_2(g, K_ADD, shard->number, one);
    KVal last = gen_2(g, K_DIV, gen_2(g, K_SUB, ctx_shape(c, 1), one), gen_i64(g, SHARD));
    return gen_2(g, K_MUL, gen_select(g, gen_2(g, K_LT, last, next), last, next), gen_i64(g, SHARD));
}

/* One place: the shard's blocks are the columns, both at once if registers allow and there are two. */
static void emit_tile_blocks(Ctx *c, Val v, const Shard *shard, int most) {
    Gen *g = &c->g;
    Columns columns = {.n = 1, .ahead = next_rows(c, v, shard)};
    KVal from = gen_i64(g, 0);
    if (most > 1) {
        KVal pairs = gen_2(g, K_SHR, shard->blocks, gen_i64(g, 1));
        k_for(g->m, g->f, gen_i64(g, 0), pairs, 1);
        set_columns(c, shard, &columns, 2);
        tile_matmul(c, v, &columns, &(Epilogue){0});
        k_end(g->m, g->f);
        from = gen_2(g, K_MUL, pairs, gen_i64(g, 2));
    }
    KVal b = k_for(g->m, g->f, from, shard->blocks, 1);
    columns.n = 1;
    columns.vec[0] = (Ix){b, 0};
    columns.vec_global[0] = ix_plus(g, ix_times(g, (Ix){shard->number, 0}, SHARD / c->lanes), columns.vec[0]);
    tile_matmul(c, v, &columns, &(Epilogue){0});
    k_end(g->m, g->f);
}

/* Several places: columns are places of one block. */
static void emit_tile_places(Ctx *c, Val v, const Shard *shard, int most, int64_t places) {
    Gen *g = &c->g;
    Columns columns = {.n = most};
    int64_t whole = places / most * most;
    block_begin(c, shard);
    for (int j = 0; j < COUNT(columns.vec); j++) {
        columns.vec[j] = c->local;
        columns.vec_global[j] = c->global;
    }
    if (whole) {
        columns.place = (Ix){k_for(g->m, g->f, gen_i64(g, 0), gen_i64(g, whole), most), 0};
        tile_matmul(c, v, &columns, &(Epilogue){0});
        k_end(g->m, g->f);
    }
    if (places > whole) {
        columns.n = (int)(places - whole);
        columns.place = (Ix){0, whole};
        tile_matmul(c, v, &columns, &(Epilogue){0});
    }
    block_end(c);
}

static void emit_tile(Staged *s, Val v) {
    Gen g = plan_function(s->plan, "matmul");
    Ctx c = ctx_new(&s->r, g, s->r.lanes);
    Val x = graph_in(s->r.graph, v, 1);
    int64_t places = region_size(&s->r, x) / node_of(s, x)->shape.dim[0];
    int most = tile_columns_for(&s->plan->target, s->r.lanes, (DType)node_of(s, v)->dtype);
    Shard shard = shard_begin(&c);
    if (places == 1) emit_tile_blocks(&c, v, &shard, most);
    else emit_tile_places(&c, v, &shard, most, places);
    shard_end(&c);
    plan_stage(s->plan, &g, STAGE_SHARDS, 0, "matmul");
}

/* ---- sums ---- */

static void emit_partial(Staged *s, Val v) {
    Gen g = plan_function(s->plan, "sum");
    Ctx c = ctx_new(&s->r, g, s->r.lanes);
    Shard shard = shard_begin(&c);
    batch_partial(&c, v, &shard);
    shard_end(&c);
    plan_stage(s->plan, &g, STAGE_SHARDS, 0, "sum over the batch");
}

/* ---- large gradients of weights ---- */

static void emit_pack(Staged *s, Val v) {
    Gen g = plan_function(s->plan, "pack");
    Ctx c = ctx_new(&s->r, g, 1);
    int64_t tiles = pack_weights(&c, v, s->r.info[v].packed - 1);
    plan_stage(s->plan, &g, STAGE_TILES, tiles, "pack");
}

static void emit_outers(Staged *s, int stage) {
    Gen g = plan_function(s->plan, "outer");
    Ctx c = ctx_new(&s->r, g, s->r.lanes);
    int64_t base = 0;
    int panel = outer_panel(&s->r), totals = outer_totals(&s->r);
    for (int j = 0; j < s->job.len; j++) {
        Val v = s->job.at[j].v;
        if (!in_stage(&s->job.at[j], stage)) continue;
        base += outer_range(&c, v, panel, totals, base);
    }
    plan_stage(s->plan, &g, STAGE_SUMS, base, "gradients of weights");
}

static void emit_join(Staged *s, Val v) {
    Gen g = plan_function(s->plan, "join");
    Ctx c = ctx_new(&s->r, g, 1);
    int64_t count = conv_weight_join(&c, v);
    plan_stage(s->plan, &g, STAGE_TILES, count, "gradient of weights");
}

/* ---- what does not vary ---- */

static void emit_once(Staged *s, int stage) {
    Gen g = plan_function(s->plan, "once");
    Ctx c = ctx_new(&s->r, g, 1);
    for (int j = 0; j < s->job.len; j++) {
        Val v = s->job.at[j].v;
        if (!in_stage(&s->job.at[j], stage)) continue;
        if (is_nest_elementwise(&s->r, v)) nest_elementwise(&c, &v, 1);
        else nest_node(&c, v);
    }
    plan_stage(s->plan, &g, STAGE_ONCE, 1, "once");
}

typedef struct WideLoop { KVal lo, hi; } WideLoop;     /* of elements */

/* Where `root` goes some turns later is fetched to be written: another thread may have read it. */
static void look_ahead(Ctx *c, Val root, KVal element) {
    Gen *g = &c->g;
    KVal to = ctx_entry(c, c->r->info[root].home.entry), later = gen_2(g, K_ADD, element, gen_i64(g, 16 * TURNS_AHEAD));
    KScalar scalar = gen_scalar((DType)graph_node(c->r->graph, root)->dtype);
    k_prefetch(g->m, g->f, k_offset(g->m, g->f, scalar, to, later), FETCH_WRITTEN);
}

/* roots of one size, over the blocks base ... of the joined range; to: entries they go to (-1: home). */
static void emit_wide_loop(Ctx *c, const Val *roots, const int *to, int n, int64_t base) {
    Gen *g = &c->g;
    int64_t size = region_size(c->r, roots[0]), blocks = (size + 15) / 16, whole = c->r->lanes == 16 ? size / 16 : 0;
    KVal lo = gen_2(g, K_SUB, gen_most(g, k_lo(g->m, g->f), gen_i64(g, base)), gen_i64(g, base));
    KVal hi = gen_2(g, K_SUB, gen_least(g, k_hi(g->m, g->f), gen_i64(g, base + blocks)), gen_i64(g, base));
    KVal from = gen_2(g, K_MUL, lo, gen_i64(g, 16)), end = gen_2(g, K_MUL, hi, gen_i64(g, 16));
    for (int part = 0; part < 2; part++) {
        if (part == 0 && !whole) continue;
        if (part == 1 && whole * 16 == size) continue;
        c->wide = part == 0;
        c->wide_size = size;
        KVal start = part ? gen_most(g, from, gen_i64(g, whole * 16)) : from;
        KVal stop = gen_least(g, end, gen_i64(g, part ? size : whole * 16));
        KVal i = k_for(g->m, g->f, start, stop, part ? 1 : 16);
        Index at = index_flat((Ix){i, 0});
        ctx_fresh(c, &at);
        for (int k = 0; k < n && c->wide && size >= AHEAD_FROM; k++)
            if (to[k] < 0) look_ahead(c, roots[k], i);
        for (int k = 0; k < n; k++) {
            KVal x = to[k] < 0 ? compute(c, roots[k], &at) : pull(c, roots[k], &at);
            x = gen_widen(g, x, c->wide ? 16 : 1);
            if (to[k] < 0) {
                store_value(c, roots[k], at.f, x);
                ctx_keep(c, roots[k], x);
            } else {
                k_store(g->m, g->f, ctx_entry(c, to[k]), ix_value(g, at.f), x);
            }
        }
        k_end(g->m, g->f);
        ctx_fresh(c, NULL);
    }
    c->wide = false;
}

typedef struct WideList { Val *root; int *to; int n; } WideList;

/* All loops of a stage, sizes joined to one range. */
static void emit_wide_list(Staged *s, WideList list, const char *what) {
    Gen g = plan_function(s->plan, "wide");
    Ctx c = ctx_new(&s->r, g, 1);
    int64_t base = 0;
    for (int k = 0; k < list.n;) {
        int64_t size = region_size(&s->r, list.root[k]);
        int end = k;
        for (int i = k; i < list.n; i++) {
            if (region_size(&s->r, list.root[i]) != size) continue;
            Val v = list.root[i];
            int to = list.to[i];
            for (int m = i; m > end; m--) {
                list.root[m] = list.root[m - 1];
                list.to[m] = list.to[m - 1];
            }
            list.root[end] = v;
            list.to[end++] = to;
        }
        emit_wide_loop(&c, list.root + k, list.to + k, end - k, base);
        base += (size + 15) / 16;
        k = end;
    }
    plan_stage(s->plan, &g, STAGE_RANGE, base, what);
}

void staged_copies(Staged *s, Val *root, int *to, int n, const char *what) {
    if (n) emit_wide_list(s, (WideList){root, to, n}, what);
}

static void emit_wide(Staged *s, int stage) {
    WideList list = {arena_array(s->plan->arena, Val, s->job.len), arena_array(s->plan->arena, int, s->job.len), 0};
    for (int j = 0; j < s->job.len; j++) {
        if (!in_stage(&s->job.at[j], stage)) continue;
        list.root[list.n] = s->job.at[j].v;
        list.to[list.n++] = -1;
    }
    emit_wide_list(s, list, "update");
}

/* ---- the end of a step ---- */

static void emit_copies(Staged *s) {
    const Graph *graph = s->r.graph;
    WideList list = {arena_array(s->plan->arena, Val, graph->outputs.len),
                     arena_array(s->plan->arena, int, graph->outputs.len), 0};
    for (int k = 0; k < graph->outputs.len; k++) {
        if (!s->shown[k]) continue;
        list.root[list.n] = s->shown[k];
        list.to[list.n++] = plan_entry(s->plan, ENTRY_BLOCK, graph->outputs.at[k].index);
    }
    staged_copies(s, list.root, list.to, list.n, "slots");
}

static void emit_series(Staged *s) {
    const Graph *graph = s->r.graph;
    bool any = false;
    for (int k = 0; k < graph->outputs.len; k++) any |= graph->outputs.at[k].kind == OUT_SERIES;
    if (!any) return;
    Gen g = plan_function(s->plan, "series");
    Ctx c = ctx_new(&s->r, g, 1);
    KVal at = gen_2(&g, K_SUB, ctx_shape(&c, 0), ctx_shape(&c, 3));
    for (int k = 0; k < graph->outputs.len; k++) {
        const GraphOutput *o = &graph->outputs.at[k];
        if (o->kind != OUT_SERIES) continue;
        KVal x = gen_cast(&g, DT_F64, load_value(&c, o->value, (Ix){0, 0}));
        k_store(g.m, g.f, ctx_kind(&c, ENTRY_SERIES, o->index), at, x);
    }
    plan_stage(s->plan, &g, STAGE_ONCE, 1, "series");
}

static void emit_stage(Staged *s, int stage) {
    for (int j = 0; j < s->job.len; j++) {
        const Job *job = &s->job.at[j];
        if (!in_stage(job, stage)) continue;
        switch (job->kind) {
        case JOB_LANES: emit_lanes(s, stage); return;
        case JOB_TILE:
            if (conv_is_tiled(&s->r, job->v)) conv_tile(&s->r, job->v, job->packed);
            else emit_tile(s, job->v);
            return;
        case JOB_MAP: map_lower(&s->r, job->v); return;
        case JOB_PARTIAL: emit_partial(s, job->v); return;
        case JOB_ROWS: rows_emit(s, job); return;
        case JOB_PACK: emit_pack(s, job->v); return;
        case JOB_OUTER: emit_outers(s, stage); return;
        case JOB_JOIN: emit_join(s, job->v); return;
        case JOB_ONCE: emit_once(s, stage); return;
        case JOB_WIDE: emit_wide(s, stage); return;
        case JOB_SCAN: scan_emit(s, job->v); return;
        }
    }
}

/* Before the shards of a phase go through its stages: what they read of packed weights. */
static void emit_packing(Staged *s, int stage) {
    int phase = -1;
    for (int j = 0; j < s->job.len; j++)
        if (s->job.at[j].stage == stage) phase = s->job.at[j].phase;
    if (phase == s->packed) return;
    s->packed = phase;
    for (int j = 0; j < s->job.len; j++) {
        Job *job = &s->job.at[j];
        if (job->phase == phase && job->kind == JOB_TILE && conv_is_tiled(&s->r, job->v))
            job->packed = conv_pack_weights(&s->r, job->v);
    }
}

/* The stages of a loop begin behind those whose work is the same in each turn. */
static void begin_loop(Staged *s) {
    if (s->homes && s->plan->loop.at[s->homes->loop].first < 0)
        s->plan->loop.at[s->homes->loop].first = s->plan->stage.len;
}

void staged_region(Plan *plan, const Graph *graph, const ScanHomes *homes) {
    Staged s = {.plan = plan, .packed = -1, .homes = homes};
    region_analyse(&s.r, plan, graph, false, NULL, NULL);
    scan_place_inputs(&s);
    s.job_of = arena_array(plan->arena, int, graph->node.len);
    for (int v = 0; v < graph->node.len; v++) s.job_of[v] = -1;
    phases_find(&s);
    join_sums(&s);
    for (Val v = 1; v < (Val)graph->node.len; v++) add_jobs(&s, v);
    add_row_jobs(&s);
    s.done = arena_array(plan->arena, bool, s.job.len + 1);
    s.group = arena_array(plan->arena, Val, s.job.len + 1);
    s.sums = arena_array(plan->arena, Val, s.job.len + 1);
    number_stages(&s);
    place_all(&s);
    place_slots(&s);
    scan_place_outputs(&s);
    for (int stage = 0; stage < s.stages; stage++) {
        bool before = false;
        for (int j = 0; j < s.job.len; j++) before |= in_stage(&s.job.at[j], stage) && s.job.at[j].phase < 0;
        if (!before) begin_loop(&s);
        emit_packing(&s, stage);
        emit_stage(&s, stage);
    }
    begin_loop(&s);
    scan_emit_outputs(&s);
    emit_copies(&s);
    emit_series(&s);
}

void staged_lower(Plan *plan) { staged_region(plan, plan->graph, NULL); }
