/* conv_chains.c -- a convolution's weight gradient where each example is a chain by itself (conv_by_example): few
 * weights for a feature and many places, as of the first layer of a net for images.
 *
 *   acc[o][w] over places: acc[o][w] = fma(dy[o], x[w], acc[o][w])      of 16 examples, one in each lane
 *
 * so dy and x are used as they stand, and nothing is turned but the sums.  For some output features at a time (a
 * *panel*) the accumulators of all weights stand in [feature][weight] vectors; a *piece* of the panel's dy, some rows
 * of places or a part of one, stays in the first cache while one tile after the other (neighbours along the kernel's
 * last axis, times the panel) takes it.  After a block of examples, squares of 16 accumulators are turned, and the
 * examples' sums are added in order to the shard's.  The sum of dy, the gradient of a bias (Info.also), is one more
 * weight.
 *
 * The next panel of dy comes from the third cache meanwhile, line after line in the order of memory, a line for some
 * products: so the machine sees one long stream, and fetches ahead of us.  (A row of each feature in turn did not do.)
 */
#include "kernel/region.h"

enum { MAX_ACC = 32, PIECE = 64 };         /* places */

typedef struct Chains {
    Ctx *c;
    ConvShape s;
    Val dy, also;
    DType dtype;
    int64_t weights;                       /* of a feature: input features times positions, and the sum of dy */
    int features, rows;                    /* of a tile: output features, weights; at most */
    int nf;                                /* features of the panel at hand */
    KVal x, acc, total;                    /* pointers: vectors [feature][place], [feature][weight]; the shard's sums */
    Ix group, first;                       /* first feature of the panel, in its group */
    Ix reach[MAX_PLACES];
    int64_t deep;                          /* rows of a piece, more than one only where all positions always meet x */
    Ix row, y;                             /* the first row of the piece at hand; the row in it */
    KVal depth, low, high;                 /* its rows; its places of a row */
    Ix n;                                  /* the input feature at hand, in its group */
    KVal ahead;                            /* pointer: what the tile at hand fetches for the first place; or 0 */
    int lines;                             /* that it fetches for each place */
} Chains;

static Val in_of(const Region *r, Val v, int k) { return graph_in(r->graph, v, k); }

bool conv_is_chained(const Region *r, Val v) {
    if (graph_node(r->graph, v)->op != G_BATCH_CONV || r->lanes != 16 || r->body) return false;
    ConvShape s = conv_shape(r, v);
    for (int i = 0; i < s.axes; i++)
        if (s.window->dilation[i] != 1) return false;
    return conv_by_example(s.places, s.taps * s.each) && r->info[region_base(r, in_of(r, v, 0))].varies &&
           r->info[region_base(r, in_of(r, v, 1))].varies;
}

static KType vector_type(const Chains *t) { return (KType){gen_scalar(t->dtype), 16}; }
static int last_axis(const Chains *t) { return t->s.axes - 1; }

static KVal element(Chains *t, KVal pointer, Ix vector) {
    Gen *g = &t->c->g;
    return k_load(g->m, g->f, vector_type(t), pointer, ix_value(g, ix_times(g, vector, 16)));
}

static void set_element(Chains *t, KVal pointer, Ix vector, KVal x) {
    Gen *g = &t->c->g;
    k_store(g->m, g->f, pointer, ix_value(g, ix_times(g, vector, 16)), x);
}

static KVal dy_at(Chains *t, int feature, KVal place) {
    Gen *g = &t->c->g;
    Ix o = ix_plus(g, ix_times(g, t->group, t->s.outs), ix_plus(g, t->first, (Ix){0, feature}));
    Ix row = ix_plus(g, t->row, t->y), p = ix_plus(g, ix_times(g, row, t->s.result[last_axis(t)]), (Ix){place, 0});
    return load_value(t->c, t->dy, ix_plus(g, ix_times(g, o, t->s.places), p));
}

/* ---- what the next panel reads ---- */

static int64_t tiles_of(const Chains *t) {
    int64_t last = t->s.kernel[last_axis(t)];
    return t->s.each * (t->s.taps / last) * ((last + t->rows - 1) / t->rows);
}

/* The tiles of a panel fetch all of the next one, which stands behind it: each as much as it has places itself, or
 * several times that, or several of them together. */
static void choose_ahead(Chains *t, Ix tap, Ix position) {
    Gen *g = &t->c->g;
    const ConvShape *s = &t->s;
    const Info *dy = &t->c->r->info[t->dy];
    int64_t tiles = tiles_of(t), last = s->kernel[last_axis(t)], width = s->result[last_axis(t)];
    if (!dy->stored) return;
    KVal along = gen_2(g, K_DIV, ix_value(g, position), gen_i64(g, t->rows));
    Ix tile = ix_plus(g, ix_times(g, t->n, s->taps / last), tap);
    tile = ix_plus(g, ix_times(g, tile, (last + t->rows - 1) / t->rows), (Ix){along, 0});
    Ix piece = t->deep == 1 ? t->row : (Ix){gen_2(g, K_DIV, ix_value(g, t->row), gen_i64(g, t->deep)), 0};
    tile = ix_plus(g, ix_times(g, piece, tiles), tile);
    KVal part = gen_2(g, K_DIV, ix_value(g, ix_times(g, tile, t->nf)), gen_i64(g, tiles));
    Ix next = ix_plus(g, ix_times(g, t->group, s->outs), ix_plus(g, t->first, (Ix){0, t->nf}));
    next = ix_plus(g, ix_times(g, next, s->places), ix_times(g, (Ix){part, 0}, t->deep * width));
    Ix at = home_index(t->c, &dy->home, next);
    t->ahead = k_offset(g->m, g->f, gen_scalar(t->dtype), ctx_entry(t->c, dy->home.entry), ix_value(g, at));
    t->lines = (int)((t->nf + tiles - 1) / tiles);
}

static void fetch_ahead(Chains *t, KVal place) {
    Gen *g = &t->c->g;
    int64_t elem = t->c->r->info[t->dy].home.elem, width = t->s.result[last_axis(t)];
    Ix own = ix_plus(g, ix_times(g, t->y, width), (Ix){place, 0});
    for (int k = 0; k < t->lines && t->ahead; k++) {
        Ix at = ix_times(g, ix_plus(g, own, (Ix){0, k * t->deep * width}), elem);
        k_prefetch(g->m, g->f, k_offset(g->m, g->f, gen_scalar(t->dtype), t->ahead, ix_value(g, at)), FETCH);
    }
}

/* ---- tiles ---- */

/* Weights first .. first + count - 1 of a tile, for places from .. to - 1 of the row; input: the row of x. */
static void tile_places(Chains *t, Ix input, Ix position, int first, int count, KVal from, KVal to, KVal *acc) {
    Gen *g = &t->c->g;
    const Window *w = t->s.window;
    KType type = vector_type(t);
    int axis = last_axis(t);
    KVal p = k_for(g->m, g->f, from, to, 1), x[MAX_ACC];
    for (int i = 0; i < count * t->nf; i++) acc[first * t->nf + i] = k_carry(g->m, g->f, acc[first * t->nf + i]);
    Ix at = ix_plus(g, ix_times(g, (Ix){p, 0}, w->stride[axis]), ix_plus(g, position, (Ix){0, first - w->pad[axis]}));
    for (int r = 0; r < count; r++) x[r] = element(t, t->x, ix_plus(g, input, ix_plus(g, at, (Ix){0, r})));
    fetch_ahead(t, p);
    for (int f = 0; f < t->nf; f++) {
        KVal dy = dy_at(t, f, p);
        for (int r = 0; r < count; r++) {
            KVal *sum = &acc[(first + r) * t->nf + f];
            *sum = gen_fma(g, dy, x[r], *sum);
        }
    }
    for (int i = 0; i < count * t->nf; i++) k_next(g->m, g->f, acc[first * t->nf + i]);
    k_end(g->m, g->f);
    for (int i = 0; i < count * t->nf; i++) acc[first * t->nf + i] = k_result(g->m, g->f, i, type);
}

/* All weights of a tile at all places of the piece. */
static void tile_rows(Chains *t, Ix input, Ix position, int count, KVal *acc) {
    Gen *g = &t->c->g;
    int above = last_axis(t) - 1;
    if (t->deep == 1) {
        tile_places(t, input, position, 0, count, t->low, t->high, acc);
        return;
    }
    t->y = (Ix){k_for(g->m, g->f, gen_i64(g, 0), t->depth, 1), 0};
    for (int i = 0; i < count * t->nf; i++) acc[i] = k_carry(g->m, g->f, acc[i]);
    input = ix_plus(g, input, ix_times(g, t->y, t->s.window->stride[above] * t->s.size[above + 1]));
    tile_places(t, input, position, 0, count, t->low, t->high, acc);
    for (int i = 0; i < count * t->nf; i++) k_next(g->m, g->f, acc[i]);
    k_end(g->m, g->f);
    for (int i = 0; i < count * t->nf; i++) acc[i] = k_result(g->m, g->f, i, vector_type(t));
    t->y = (Ix){0, 0};
}

/* The piece's places at which position k meets the input: 0 <= p * stride + k - pad < size. */
static void met_places(Chains *t, Ix k, KVal *from, KVal *to) {
    Gen *g = &t->c->g;
    int axis = last_axis(t);
    int64_t s = t->s.window->stride[axis];
    KVal zero = gen_i64(g, 0), up = gen_i64(g, s - 1), by = gen_i64(g, s);
    KVal back = ix_value(g, ix_plus(g, (Ix){0, t->s.window->pad[axis]}, ix_times(g, k, -1)));
    KVal end = gen_2(g, K_ADD, back, gen_i64(g, t->s.size[axis]));
    *from = gen_most(g, t->low, gen_2(g, K_DIV, gen_most(g, gen_2(g, K_ADD, back, up), zero), by));
    *to = gen_least(g, t->high, gen_2(g, K_DIV, gen_most(g, gen_2(g, K_ADD, end, up), zero), by));
}

/* Places that only some positions of the tile meet are at the ends; in the middle all do. */
static void tile_bounded(Chains *t, Ix input, Ix position, int count, KVal *acc) {
    Gen *g = &t->c->g;
    KVal from[MAX_ACC] = {0}, to[MAX_ACC] = {0};
    for (int r = 0; r < count; r++) met_places(t, ix_plus(g, position, (Ix){0, r}), &from[r], &to[r]);
    KVal begin = from[0], end = to[count - 1];
    for (int r = 0; r < count; r++) tile_places(t, input, position, r, 1, from[r], gen_least(g, begin, to[r]), acc);
    tile_places(t, input, position, 0, count, begin, end, acc);
    for (int r = 0; r < count; r++) tile_places(t, input, position, r, 1, gen_most(g, begin, end), to[r], acc);
}

/* tap, input: what the outer axes have fixed of the kernel's position and of x's place; position: of the last axis. */
static void chains_tile(Chains *t, Ix tap, Ix input, Ix position, int count) {
    Gen *g = &t->c->g;
    KVal acc[MAX_ACC];
    int64_t step = 1;
    Ix weight = ix_plus(g, ix_times(g, tap, t->s.kernel[last_axis(t)]), position);
    if (t->s.window->reversed) {
        weight = ix_plus(g, ix_times(g, weight, -1), (Ix){0, t->s.taps - 1});
        step = -1;
    }
    weight = ix_plus(g, weight, ix_times(g, t->n, t->s.taps));
    for (int i = 0; i < count * t->nf; i++) {
        Ix at = ix_plus(g, weight, (Ix){0, i / t->nf * step + i % t->nf * t->weights});
        acc[i] = element(t, t->acc, at);
    }
    choose_ahead(t, tap, position);
    if (conv_always_inside(&t->s, last_axis(t))) tile_rows(t, input, position, count, acc);
    else tile_bounded(t, input, position, count, acc);
    t->ahead = 0;
    for (int i = 0; i < count * t->nf; i++) {
        Ix at = ix_plus(g, weight, (Ix){0, i / t->nf * step + i % t->nf * t->weights});
        set_element(t, t->acc, at, acc[i]);
    }
}

/* ---- a piece of a row ---- */

static void row_kernel(Chains *t, int axis, Ix tap, Ix input) {
    Gen *g = &t->c->g;
    const ConvShape *s = &t->s;
    int64_t k = s->kernel[axis], whole = k / t->rows * t->rows;
    if (axis == last_axis(t)) {
        input = ix_times(g, input, s->size[axis]);
        if (whole) {
            Ix position = {whole == t->rows ? 0 : k_for(g->m, g->f, gen_i64(g, 0), gen_i64(g, whole), t->rows), 0};
            chains_tile(t, tap, input, position, t->rows);
            if (whole > t->rows) k_end(g->m, g->f);
        }
        if (whole < k) chains_tile(t, tap, input, (Ix){0, whole}, (int)(k - whole));
        return;
    }
    Ix first, end;
    conv_bounds(g, s, axis, t->reach[axis], &first, &end);
    Ix j = {k_for(g->m, g->f, ix_value(g, first), ix_value(g, end), 1), 0};
    Ix at = ix_plus(g, j, ix_times(g, t->reach[axis], -1));
    row_kernel(t, axis + 1, ix_plus(g, ix_times(g, tap, k), at), ix_plus(g, ix_times(g, input, s->size[axis]), j));
    k_end(g->m, g->f);
}

static void row_sums(Chains *t) {
    Gen *g = &t->c->g;
    KVal acc[MAX_ACC];
    for (int f = 0; f < t->nf; f++) acc[f] = element(t, t->acc, (Ix){0, (f + 1) * t->weights - 1});
    KVal high = t->high;                   /* rows follow each other */
    if (t->deep > 1) high = gen_2(g, K_MUL, t->depth, high);
    KVal p = k_for(g->m, g->f, t->low, high, 1);
    for (int f = 0; f < t->nf; f++) acc[f] = k_carry(g->m, g->f, acc[f]);
    for (int f = 0; f < t->nf; f++) k_next(g->m, g->f, gen_2(g, K_ADD, acc[f], dy_at(t, f, p)));
    k_end(g->m, g->f);
    for (int f = 0; f < t->nf; f++) acc[f] = k_result(g->m, g->f, f, vector_type(t));
    for (int f = 0; f < t->nf; f++) set_element(t, t->acc, (Ix){0, (f + 1) * t->weights - 1}, acc[f]);
}

static void panel_row(Chains *t, Ix row) {
    Ctx *c = t->c;
    Gen *g = &c->g;
    int64_t width = t->s.result[last_axis(t)], pieces = (width + PIECE - 1) / PIECE;
    int64_t piece = (width + pieces - 1) / pieces;
    t->row = row;
    t->low = pieces == 1 ? gen_i64(g, 0) : k_for(g->m, g->f, gen_i64(g, 0), gen_i64(g, width), piece);
    t->high = gen_i64(g, width);
    if (pieces > 1) t->high = gen_least(g, gen_2(g, K_ADD, t->low, gen_i64(g, piece)), t->high);
    if (t->also) row_sums(t);
    t->n = loop_begin(c, t->s.each);
    row_kernel(t, 0, (Ix){0, 0}, ix_plus(g, ix_times(g, t->group, t->s.each), t->n));
    loop_end(c, t->s.each);
    if (pieces > 1) k_end(g->m, g->f);
}

/* ---- panels ---- */

static void panel_axis(Chains *t, int axis, Ix row) {
    Ctx *c = t->c;
    if (axis == last_axis(t)) {
        panel_row(t, row);
        return;
    }
    Gen *g = &c->g;
    int64_t n = t->s.result[axis], step = axis == last_axis(t) - 1 ? t->deep : 1;
    Ix p = {k_for(g->m, g->f, gen_i64(g, 0), gen_i64(g, n), step), 0};
    t->depth = gen_least(g, gen_2(g, K_SUB, gen_i64(g, n), p.var), gen_i64(g, step));
    t->reach[axis] = conv_reach(g, t->s.window, axis, p);
    panel_axis(t, axis + 1, ix_plus(g, ix_times(g, row, n), p));
    k_end(g->m, g->f);
}

static int64_t panels_of(const Chains *t) { return (t->s.outs + t->features - 1) / t->features; }
static int64_t panel_vectors(const Chains *t) { return (t->features * t->weights + 15) / 16; }

/* Where the shard's sums of the panel of feature o begin. */
static Ix panel_total(Chains *t, Ix o) {
    Gen *g = &t->c->g;
    KVal panel = gen_2(g, K_DIV, ix_value(g, o), gen_i64(g, t->features));
    Ix all = ix_plus(g, ix_times(g, t->group, panels_of(t)), (Ix){panel, 0});
    return ix_times(g, all, 16 * panel_vectors(t));
}

/* The examples' sums are added to the shard's, which are 0 before its first block. */
static void add_examples(Chains *t, KVal block, KVal count) {
    Gen *g = &t->c->g;
    KVal x[16], rows = k_local(g->m, g->f, vector_type(t).scalar, 256), zero = gen_number(g, t->dtype, 0);
    Ix base = panel_total(t, t->first);
    Ix q = {k_for(g->m, g->f, gen_i64(g, 0), gen_i64(g, t->nf * t->weights), 16), 0};
    for (int k = 0; k < 16; k++) x[k] = element(t, t->acc, ix_plus(g, q, (Ix){0, k}));
    transpose16(g, x);
    for (int k = 0; k < 16; k++) set_element(t, rows, (Ix){0, k}, x[k]);
    KVal at = ix_value(g, ix_plus(g, base, q)), before = k_load(g->m, g->f, vector_type(t), t->total, at);
    before = gen_select(g, gen_2(g, K_LT, gen_i64(g, 0), block), before, gen_widen(g, zero, 16));
    KVal e = k_for(g->m, g->f, gen_i64(g, 0), count, 1), sum = k_carry(g->m, g->f, before);
    k_next(g->m, g->f, gen_2(g, K_ADD, sum, element(t, rows, (Ix){e, 0})));
    k_end(g->m, g->f);
    k_store(g->m, g->f, t->total, at, k_result(g->m, g->f, 0, vector_type(t)));
    k_end(g->m, g->f);
}

static void work_panel(Chains *t, Ix first, int nf, KVal block, KVal count) {
    Ctx *c = t->c;
    Gen *g = &c->g;
    t->first = first;
    t->nf = nf;
    Ix i = loop_begin(c, nf * t->weights);
    set_element(t, t->acc, i, gen_widen(g, gen_number(g, t->dtype, 0), 16));
    loop_end(c, nf * t->weights);
    panel_axis(t, 0, (Ix){0, 0});
    add_examples(t, block, count);
}

static void work_block(Chains *t, Val x, KVal block, KVal count) {
    Ctx *c = t->c;
    Gen *g = &c->g;
    int64_t elements = t->s.groups * t->s.each * t->s.inputs, whole = t->s.outs / t->features * t->features;
    Ix i = loop_begin(c, elements);
    set_element(t, t->x, i, load_value(c, x, i));
    loop_end(c, elements);
    t->group = loop_begin(c, t->s.groups);
    if (whole) {
        Ix first = {k_for(g->m, g->f, gen_i64(g, 0), gen_i64(g, whole), t->features), 0};
        work_panel(t, first, t->features, block, count);
        k_end(g->m, g->f);
    }
    if (whole < t->s.outs) work_panel(t, (Ix){0, whole}, (int)(t->s.outs - whole), block, count);
    loop_end(c, t->s.groups);
}

/* The shard's sums, in the weight's order. */
static void give_totals(Chains *t, Val v, const Shard *shard) {
    Ctx *c = t->c;
    Gen *g = &c->g;
    KType type = {vector_type(t).scalar, 1};
    int64_t weights = t->s.each * t->s.taps;
    t->group = loop_begin(c, t->s.groups);
    Ix o = loop_begin(c, t->s.outs), feature = ix_plus(g, ix_times(g, t->group, t->s.outs), o);
    KVal own = gen_2(g, K_REM, ix_value(g, o), gen_i64(g, t->features));
    Ix from = ix_plus(g, panel_total(t, o), ix_times(g, (Ix){own, 0}, t->weights)), w = loop_begin(c, weights);
    KVal sum = k_load(g->m, g->f, type, t->total, ix_value(g, ix_plus(g, from, w)));
    partial_store(c, v, shard, ix_plus(g, ix_times(g, feature, weights), w), sum);
    loop_end(c, weights);
    if (t->also) {
        sum = k_load(g->m, g->f, type, t->total, ix_value(g, ix_plus(g, from, (Ix){0, weights})));
        partial_store(c, t->also, shard, feature, sum);
    }
    loop_end(c, t->s.outs);
    loop_end(c, t->s.groups);
}

static KVal scratch(const Chains *t, int64_t elements) {
    Buffer buffer = {.fixed = 1024 + (size_t)elements * dtype_size(t->dtype), .scratch = true};
    return ctx_entry(t->c, plan_buffer(t->c->r->plan, buffer));
}

/* So that the accumulators of a tile take three quarters of the registers at most. */
static void choose_tile(Chains *t) {
    const Target *target = &t->c->r->plan->target;
    int each = 16 * (int)dtype_size(t->dtype) / target->vector_bytes;
    t->rows = each > 1 ? 2 : 3;
    t->features = target->registers / 4 / each;
    if (t->features < 1) t->features = 1;
    if (t->features > t->s.outs) t->features = (int)t->s.outs;
    if (t->rows > t->s.kernel[last_axis(t)]) t->rows = (int)t->s.kernel[last_axis(t)];
    int last = last_axis(t);
    t->deep = PIECE / t->s.result[last];
    if (t->deep < 1 || !conv_always_inside(&t->s, last) || !conv_always_inside(&t->s, last - 1)) t->deep = 1;
}

void conv_chains(Ctx *c, Val v, const Shard *shard) {
    Gen *g = &c->g;
    Chains t = {.c = c, .s = conv_shape(c->r, v), .dtype = (DType)graph_node(c->r->graph, v)->dtype,
                .dy = region_base(c->r, in_of(c->r, v, 0)), .also = c->r->info[v].also};
    Val x = region_base(c->r, in_of(c->r, v, 1));
    choose_tile(&t);
    t.weights = t.s.each * t.s.taps + (t.also != 0);
    t.x = scratch(&t, 16 * t.s.groups * t.s.each * t.s.inputs);
    t.acc = scratch(&t, 16 * 16 * panel_vectors(&t));
    t.total = scratch(&t, 16 * panel_vectors(&t) * panels_of(&t) * t.s.groups);
    KVal block = block_begin(c, shard), all = gen_i64(g, 16);
    KVal count = gen_least(g, gen_2(g, K_SUB, shard->count, gen_2(g, K_MUL, block, all)), all);
    work_block(&t, x, block, count);
    block_end(c);
    give_totals(&t, v, shard);
}
