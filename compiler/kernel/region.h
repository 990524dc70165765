/* region.h -- a graph whose values live in memory: which nodes are stored, where, and code that reads an element.
 *
 * A region is the program's graph or the body of a MAP.  A node *varies* if it differs from lane to lane: batched
 * nodes of the program (lanes are examples), nodes of a body that depend on a mapped operand (lanes are points).
 *
 * Storage.  `lanes` examples stand side by side in a *block*: element i of block b is the vector at
 * (b * size + i) * lanes; so a view, a reduction or a matmul of an example is the plain scalar loop nest, 16 examples
 * at a time, whatever its axes; lanes beyond the batch repeat its last example and are never summed over the batch.
 * With lanes = 1 (plain C) a block is one example and storage is dense.  Values that do not vary are dense.
 *
 * Nodes that are not stored are *inline*: computed where they are read (pull), their operands read the same way. */
#ifndef NIN_REGION_H
#define NIN_REGION_H

#include "graph/window.h"
#include "kernel/lower_parts.h"

/* An index: var + add; var 0: a constant. */
typedef struct Ix { KVal var; int64_t add; } Ix;
/* Of an element of a node: flat (row-major) or one for each axis. */
typedef struct Index { bool flat; Ix f; Ix m[MAX_RANK]; } Index;

typedef struct Home {
    int entry;                 /* of the pointer table */
    bool global;               /* blocks of the whole batch, not of the shard at hand */
    int64_t elem, vec;         /* varying: element i of vector v is at i * elem + v * vec */
} Home;

typedef struct Info {
    bool live, varies, stored;
    int uses, depth;
    int phase, level, segment;
    Home home;                 /* if stored */
    Val also;                  /* of a convolution's gradient of weights: the sum of its dy that it gives too, or 0 */
    int packed;                /* of a product: the entry of its packed weights + 1, or 0 */
    int partial;               /* entry of the shards' sums of a sum over the batch; stride = size */
} Info;

typedef struct Region {
    Plan *plan;
    const Graph *graph;
    Info *info;                /* by node */
    int lanes;
    bool body;
    bool rows;                 /* values that vary stand as [point][element] (map_rows.c); Ctx.local is a point */
    struct Memo { KVal value; int stamp; } *memo;      /* by node: what the loop body at hand has read */
    int stamp;
    struct Around *around;     /* interpolate.c: what the loop body at hand has read of tables */
} Region;

typedef struct Ctx Ctx;
struct Ctx {
    Region *r;
    Gen g;
    int lanes;                 /* of varying values here */
    bool wide;                 /* no varying values: 16 elements at a time of nodes of the loop's size */
    int64_t wide_size;
    Ix local, global;          /* the vector at hand, for homes that are not global, and that are */
    const Index *own;          /* the loop's index: values at it are kept in the memo */
    Ctx *outer;                /* of a body: where its shared operands stand */
    Val map;
    KVal (*mapped)(Ctx *c, int operand);
    void *data;
    const struct Moved { int entry; KVal at; } *moved; /* entries that a pointer of the loop at hand stands for */
    int moves;
};

int64_t region_size(const Region *r, Val v);
/* wanted: by output; NULL: all.  input_varies: by input of a body; NULL: the mapped ones. */
void region_analyse(Region *r, Plan *plan, const Graph *graph, bool body, const bool *wanted, const bool *input_varies);
bool is_elementwise(Op op);
static inline bool is_table(Op op) { return op == G_INTERPOLATE || op == G_LOOKUP; }
bool is_flat_view(const Region *r, Val v);       /* same elements in the same order */
bool is_summed(const Region *r, Val v);          /* a sum over the batch: BATCH_* or PROJ of a summed output */
bool is_joined(const Region *r, Val v);          /* one whose shards' sums a stage of its own adds up */
uint32_t region_padded(const Region *r,
                       Val v); /* axes that inline PADs at or below v pad: a nest has to know its index */
Val region_base(const Region *r, Val v);         /* below flat views */
/* Calls for each stored node or input that computing `root` reads; same: at the same element, through no view (of a
 * whole reduction: that it adds as it comes to it).
 * For a sum over the batch: what its shards' sums read. */
void region_reads(const Region *r, Val root, void (*read)(void *data, Val v, bool same), void *data);
void region_reads_summed(const Region *r, Val root, void (*read)(void *data, Val v, bool same), void *data);

Ctx ctx_new(Region *r, Gen g, int lanes);
void ctx_fresh(Ctx *c, const Index *own);        /* a new loop body: forget what was read */
void ctx_keep(Ctx *c, Val v, KVal x);            /* v at the loop's index is x */
KVal ix_value(Gen *g, Ix ix);
Ix ix_plus(Gen *g, Ix a, Ix b);
Ix ix_times(Gen *g, Ix a, int64_t by);
Ix ix_flat(Ctx *c, const Shape *shape, const Index *at);
Index index_flat(Ix f);
KVal ctx_entry(Ctx *c, int entry);
KVal ctx_kind(Ctx *c, EntryKind kind, int index);
KVal ctx_shape(Ctx *c, int what);                /* of ENTRY_SHAPE */

KVal pull(Ctx *c, Val v, const Index *at);
KVal compute(Ctx *c, Val v, const Index *at);    /* as pull, though v be stored */
KVal load_value(Ctx *c, Val v, Ix flat);         /* of a stored node or a leaf, by its own flat index */
KVal load_lane(Ctx *c, Val v, Ix flat, Ix lane); /* one lane of it, as a scalar */
void store_value(Ctx *c, Val v, Ix flat, KVal x);
Ix home_index(Ctx *c, const Home *home, Ix flat);

/* A loop over 0 .. n-1, none for n = 1. */
Ix loop_begin(Ctx *c, int64_t n);
void loop_end(Ctx *c, int64_t n);

/* Strides of a value that does not vary: element at -> pointer[off + sum at[i] stride[i]]. */
typedef struct Affine { Val source; int64_t off, stride[MAX_RANK]; } Affine;
bool affine_of(const Region *r, Val v, Affine *a);
KVal affine_pointer(Ctx *c, const Affine *a);

/* ---- nest.c: loop nests that compute one stored node, for the vector at hand ---- */
void nest_elementwise(Ctx *c, const Val *roots, int n);           /* equal shapes */
/* And reductions of what stands at the same index: of all elements, each one that nest_takes. */
void nest_with_sums(Ctx *c, const Val *roots, int n, const Val *sums, int sum_count);
bool is_whole_reduction(const Region *r, Val v);                  /* to one value, of features with many places */
bool nest_takes(const Region *r, const Shape *nest, Val sum);
void nest_node(Ctx *c, Val v);                                    /* any other */
bool is_nest_elementwise(const Region *r, Val v);

/* ---- tile.c ---- */
/* Of n vectors: swaps bit `by` of their number and bit `lanes` of the lane. */
void exchange(Gen *g, KVal *v, int n, int by, int lanes);
void transpose16(Gen *g, KVal v[16]);
bool is_tiled(const Region *r, Val v);                            /* a MATMUL for tile_matmul */
/* The vectors of a tile: n of x's vectors (place stands), or n places from `place` on of one vector.  ahead: if x is
 * data, the first of the SHARD examples that are read next; or 0. */
typedef struct Columns { int n; Ix vec[4], vec_global[4], place; KVal ahead; } Columns;
/* What is computed from the product while it is in registers: nodes of its shape, element by element. */
typedef struct Epilogue { const Val *then; int n; bool drop; } Epilogue;       /* drop: it is not stored itself */
void tile_matmul(Ctx *c, Val v, const Columns *columns, const Epilogue *epilogue);
int tile_rows_for(const Target *target, int lanes, DType dtype, int nv, int64_t rows);
int tile_columns_for(const Target *target, int lanes, DType dtype);     /* vectors at most */

/* ---- batch.c: the sums of a shard's examples ---- */
typedef struct Shard { KVal number, count, blocks; } Shard;       /* i64: which, its examples, its blocks */
Shard shard_begin(Ctx *c);                                        /* a loop over the range's shards */
Shard shard_range(Ctx *c, KVal lo, KVal hi);                       /* over these */
void shard_end(Ctx *c);
KVal block_begin(Ctx *c, const Shard *shard);                     /* a loop over its blocks: sets c->local, c->global */
void block_end(Ctx *c);
void batch_partial(Ctx *c, Val v, const Shard *shard);
Ix shard_example(Ctx *c, const Shard *shard, Ix e);               /* makes example e the one at hand; its lane */
void partial_store(Ctx *c, Val v, const Shard *shard, Ix flat, KVal x);
/* A chain of acc = add(data, ix, acc) over nested loops of n counts. */
typedef KVal (*ChainAdd)(void *data, const Ix *ix, KVal acc);
KVal chain(Gen *g, int n, const KVal *counts, KVal acc, ChainAdd add, void *data);

/* ---- conv.c ---- */
typedef struct ConvShape {
    const Window *window;
    int axes;
    const int64_t *kernel, *size, *result; /* by place axis: of the kernel, the input, the result */
    int64_t groups, outs, each, taps, inputs, places;             /* outs, each: output, input features of a group */
} ConvShape;
ConvShape conv_shape(const Region *r, Val v);                     /* of a CONV or BATCH_CONV */
/* Whether every position of the kernel meets the input at every place, along an axis. */
bool conv_always_inside(const ConvShape *s, int axis);
/* reach = place * stride - pad; the input's places that are seen: first .. end - 1 */
Ix conv_reach(Gen *g, const Window *w, int axis, Ix place);
void conv_bounds(Gen *g, const ConvShape *s, int axis, Ix reach, Ix *first, Ix *end);
void nest_conv(Ctx *c, Val v);
void batch_conv(Ctx *c, Val v, const Shard *shard);

/* ---- conv_tile.c: a stage that packs the weights, before the phase; a stage of shards ---- */
bool conv_is_tiled(const Region *r, Val v);
int conv_pack_weights(Region *r, Val v);                          /* their entry */
void conv_tile(Region *r, Val v, int weights);

/* ---- conv_weight.c ---- */
bool conv_weight_is_tiled(const Region *r, Val v);
void conv_weight(Ctx *c, Val v, const Shard *shard);
size_t conv_weight_bytes(Region *r, Val v);                       /* of a shard's sum */
int64_t conv_weight_join(Ctx *c, Val v);                          /* all shards' sums; how many: the stage's range */

/* ---- conv_chains.c ---- */
bool conv_is_chained(const Region *r, Val v);
void conv_chains(Ctx *c, Val v, const Shard *shard);

/* ---- pack.c: weights in the order of the tiles ---- */
bool is_packed(const Region *r, Val v);
int pack_buffer(const Region *r, Val v);
int64_t pack_weights(Ctx *c, Val v, int entry);                   /* how many tiles: the stage's range */

/* ---- outer.c: BATCH_OUTERs by output tiles ---- */
bool is_outer_tiled(const Region *r, Val v);
bool outer_reads_rows(const Region *r, Val v);                    /* its x is data, read where it stands */
int outer_panel(const Region *r);                                 /* the entries of a panel of x turned, */
int outer_totals(const Region *r);                                /* of a tile's sums */
/* Tiles base ... of the range of a STAGE_SUMS; how many there are. */
int64_t outer_range(Ctx *c, Val v, int panel, int totals, int64_t base);

/* ---- interpolate.c ---- */
KVal interpolate(Ctx *c, Val v, const Index *at);                 /* an element of an INTERPOLATE or LOOKUP */
void interpolate_partial(Ctx *c, Val v, const Shard *shard);      /* a shard's BATCH_INTERPOLATE */
void maximum_partial(Ctx *c, Val v, const Shard *shard);          /* a shard's BATCH_MAXIMUM */

/* ---- map.c, nest_map.c ---- */
void map_lower(Region *r, Val v);
void nest_map(Ctx *c, Val v);                                     /* a MAP inside a body: all its PROJs */

#endif
