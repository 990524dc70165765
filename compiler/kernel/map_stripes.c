/* map_stripes.c -- large sums of outer products over near points (map_sums.c), without most of their terms that are 0.
 *
 *   acc[row][column] = fma(a[row][point], b[point][column], acc[row][column])
 *
 * Behind a relu a[row][point] is 0 at about half of the points, and which rows are 0 together changes little from
 * point to point.  So a *stripe* of 32 rows is put into an order in which rows with like zeros are neighbours, by eight
 * of the next 128 points; then, for each block of points, a word of bits for each row tells where it is not 0, and a
 * tile of a few rows in that order takes the points at which any of them is not, bit by bit.
 *
 * A term with a = 0 (of either sign) and a finite b changes no acc but -0, which it may make +0.  So a chain without
 * such terms differs from the whole one in the sign of a zero at most, and ends as -0 if the whole one does.  What ends
 * as -0, or has a b that is not finite, is in *doubt*: its stripe is summed once more, with all terms. */
#include "kernel/map.h"

enum {
    STRIPE = 32, MOST_ROWS = 4, MOST_COLUMNS = 4, HALF = 32,   /* HALF: points of a block whose bits fill an i32 */
    SAMPLES = 8, ORDER_POINTS = 128
};

bool map_stripes_fit(const MapGen *m, Val v, int64_t n) {
    const Info *info = &m->b.info[v];
    return m->spread && n % 16 == 0 && n >= STRIPE && info->stored && info->varies && map_has_zeros(m, v);
}

int map_stripe_rows(const SumOut *s, int64_t row) { return (int)(s->rows - row < STRIPE ? s->rows - row : STRIPE); }

void map_stripe_open(MapGen *m, Stripe *t) {
    Gen *g = &m->c.g;
    t->key = k_local(g->m, g->f, KS_I32, STRIPE);
    t->order = k_local(g->m, g->f, KS_I32, STRIPE);
    t->bits = k_local(g->m, g->f, KS_I32, 2 * STRIPE);
}

/* Sixteen rows' a at a point of the block. */
static KVal load_rows(MapGen *m, const Stripe *t, KVal point, int64_t row) {
    Gen *g = &m->c.g;
    const Home *home = &m->b.info[t->s->row].home;
    Ix at = ix_times(g, (Ix){point, 0}, home->vec);
    at.add += t->row + row;
    return k_load(g->m, g->f, (KType){gen_scalar(t->s->dtype), 16}, ctx_entry(&m->c, home->entry), ix_value(g, at));
}

static KVal is_not_zero(Gen *g, KVal x) { return gen_2(g, K_NE, x, k_real(g->m, g->f, k_type(g->f, x), 0)); }

/* Of each row: what it is at some of the next points, and its number in the low bits. */
static void find_keys(MapGen *m, const Stripe *t, KVal left) {
    Gen *g = &m->c.g;
    KVal count = gen_least(g, gen_i64(g, ORDER_POINTS), left), key[STRIPE / 16];
    for (int j = 0; 16 * j < t->rows; j++)
        key[j] = gen_2(g, K_ADD, k_lanes(g->m, g->f, KV(I32)), k_ints(g->m, g->f, KV(I32), 16 * j));
    for (int i = 0; i < SAMPLES; i++) {
        KVal point = gen_2(g, K_DIV, gen_2(g, K_MUL, count, gen_i64(g, 2 * i + 1)), gen_i64(g, 2 * SAMPLES));
        for (int j = 0; 16 * j < t->rows; j++) {
            KVal more = gen_2(g, K_OR, key[j], k_ints(g->m, g->f, KV(I32), STRIPE << i));
            key[j] = gen_select(g, is_not_zero(g, load_rows(m, t, point, 16 * j)), more, key[j]);
        }
    }
    for (int j = 0; 16 * j < t->rows; j++) k_store(g->m, g->f, t->key, gen_i64(g, 16 * j), key[j]);
}

/* A row's place is the number of keys below its own. */
static void order_rows(MapGen *m, const Stripe *t, KVal left) {
    Gen *g = &m->c.g;
    int n = t->rows / 16;
    KVal none = gen_i64(g, 0), rows = gen_i64(g, t->rows), key[STRIPE / 16], place[STRIPE / 16];
    find_keys(m, t, left);
    for (int j = 0; j < n; j++) {
        key[j] = k_load(g->m, g->f, KV(I32), t->key, gen_i64(g, 16 * j));
        place[j] = k_ints(g->m, g->f, KV(I32), 0);
    }
    KVal r = k_for(g->m, g->f, none, rows, 1);
    for (int j = 0; j < n; j++) place[j] = k_carry(g->m, g->f, place[j]);
    KVal other = k_splat(g->m, g->f, k_load(g->m, g->f, KT(I32), t->key, r));
    for (int j = 0; j < n; j++)
        k_next(g->m, g->f, gen_2(g, K_ADD, place[j], k_cast(g->m, g->f, KV(I32), gen_2(g, K_LT, other, key[j]))));
    k_end(g->m, g->f);
    for (int j = 0; j < n; j++) place[j] = k_result(g->m, g->f, j, KV(I32));
    for (int j = 0; j < n; j++) k_store(g->m, g->f, t->key, gen_i64(g, 16 * j), place[j]);
    r = k_for(g->m, g->f, none, rows, 1);
    KVal at = gen_index(g, k_load(g->m, g->f, KT(I32), t->key, r));
    k_store(g->m, g->f, t->order, at, k_cast(g->m, g->f, KT(I32), r));
    k_end(g->m, g->f);
}

/* Of each row: at which of the block's points it is not 0. */
static void find_bits(MapGen *m, const Stripe *t) {
    Gen *g = &m->c.g;
    int n = t->rows / 16;
    for (int half = 0; half < 2; half++) {
        KVal first = gen_i64(g, half * HALF), bits[STRIPE / 16], one = k_ints(g->m, g->f, KV(I32), 1);
        for (int j = 0; j < n; j++) bits[j] = k_ints(g->m, g->f, KV(I32), 0);
        KVal point = k_for(g->m, g->f, first, gen_least(g, gen_i64(g, (half + 1) * HALF), m->valid), 1);
        one = k_carry(g->m, g->f, one);
        for (int j = 0; j < n; j++) bits[j] = k_carry(g->m, g->f, bits[j]);
        k_next(g->m, g->f, gen_2(g, K_ADD, one, one));
        for (int j = 0; j < n; j++) {
            KVal is = is_not_zero(g, load_rows(m, t, point, 16 * j));
            k_next(g->m, g->f, gen_select(g, is, gen_2(g, K_OR, bits[j], one), bits[j]));
        }
        k_end(g->m, g->f);
        for (int j = 0; j < n; j++) bits[j] = k_result(g->m, g->f, 1 + j, KV(I32));
        for (int j = 0; j < n; j++) k_store(g->m, g->f, t->bits, gen_i64(g, half * STRIPE + 16 * j), bits[j]);
    }
}

/* What is not finite among the block's b makes a NaN in s->odd. */
static void look_at_columns(MapGen *m, const SumOut *s) {
    Gen *g = &m->c.g;
    KType type = {gen_scalar(s->dtype), 16};
    KVal odd = ctx_entry(&m->c, s->odd), none = gen_i64(g, 0), zero = k_real(g->m, g->f, type, 0), sum[MOST_COLUMNS];
    KVal b = ctx_entry(&m->c, m->b.info[s->column].home.entry);
    KVal count = gen_2(g, K_MUL, m->valid, gen_i64(g, s->columns));
    int n = s->columns % 64 == 0 ? 4 : s->columns % 32 == 0 ? 2 : 1;
    for (int j = 0; j < n; j++) sum[j] = j ? zero : k_load(g->m, g->f, type, odd, none);
    KVal i = k_for(g->m, g->f, none, count, 16 * n);
    for (int j = 0; j < n; j++) sum[j] = k_carry(g->m, g->f, sum[j]);
    for (int j = 0; j < n; j++)
        k_next(g->m, g->f, gen_fma(g, k_load(g->m, g->f, type, b, ix_value(g, (Ix){i, 16 * j})), zero, sum[j]));
    k_end(g->m, g->f);
    for (int j = 0; j < n; j++) sum[j] = k_result(g->m, g->f, j, type);
    for (int j = 1; j < n; j++) sum[0] = gen_2(g, K_ADD, sum[0], sum[j]);
    k_store(g->m, g->f, odd, none, sum[0]);
}

/* A few rows and vectors of columns: where they stand in a and acc. */
typedef struct SomeTile {
    const Stripe *t;
    int mr, nv;
    KVal row[MOST_ROWS], line[MOST_ROWS], bits, acc[MOST_ROWS * MOST_COLUMNS];
    Ix column;
} SomeTile;

static void open_rows(MapGen *m, SomeTile *q, KVal first) {
    Gen *g = &m->c.g;
    KVal word[2] = {0, 0};
    for (int r = 0; r < q->mr; r++) {
        KVal row = gen_index(g, k_load(g->m, g->f, KT(I32), q->t->order, ix_value(g, (Ix){first, r})));
        for (int half = 0; half < 2; half++) {
            KVal x = k_load(g->m, g->f, KT(I32), q->t->bits, ix_value(g, (Ix){row, half * STRIPE}));
            word[half] = r ? gen_2(g, K_OR, word[half], x) : x;
        }
        q->row[r] = ix_value(g, (Ix){row, q->t->row});
        q->line[r] = ix_value(g, ix_times(g, (Ix){q->row[r], 0}, q->t->s->stride));
    }
    KVal low = gen_2(g, K_AND, gen_index(g, word[0]), gen_i64(g, UINT32_MAX));
    q->bits = gen_2(g, K_OR, low, gen_2(g, K_SHL, gen_index(g, word[1]), gen_i64(g, HALF)));
}

static Ix acc_at(Gen *g, const SomeTile *q, int r, int j) {
    Ix at = ix_plus(g, (Ix){q->line[r], 0}, q->column);
    return (Ix){at.var, at.add + 16 * j};
}

static void take_point(MapGen *m, const SomeTile *q, KVal point, KVal *next) {
    Gen *g = &m->c.g;
    const SumOut *s = q->t->s;
    KScalar scalar = gen_scalar(s->dtype);
    KVal a = ctx_entry(&m->c, m->b.info[s->row].home.entry), b = ctx_entry(&m->c, m->b.info[s->column].home.entry);
    KVal x[MOST_COLUMNS], line = ix_value(g, ix_times(g, (Ix){point, 0}, s->rows));
    Ix from = ix_plus(g, ix_times(g, (Ix){point, 0}, s->columns), q->column);
    for (int j = 0; j < q->nv; j++)
        x[j] = k_load(g->m, g->f, (KType){scalar, 16}, b, ix_value(g, (Ix){from.var, from.add + 16 * j}));
    for (int r = 0; r < q->mr; r++) {
        KVal y = k_load(g->m, g->f, (KType){scalar, 1}, a, gen_2(g, K_ADD, line, q->row[r]));
        for (int j = 0; j < q->nv; j++) next[r * q->nv + j] = gen_fma(g, y, x[j], q->acc[r * q->nv + j]);
    }
}

static void take_columns(MapGen *m, SomeTile *q) {
    Gen *g = &m->c.g;
    KType type = {gen_scalar(q->t->s->dtype), 16};
    KVal acc = ctx_entry(&m->c, q->t->s->acc), next[MOST_ROWS * MOST_COLUMNS];
    int chains = q->mr * q->nv;
    for (int i = 0; i < chains; i++)
        q->acc[i] = k_load(g->m, g->f, type, acc, ix_value(g, acc_at(g, q, i / q->nv, i % q->nv)));
    k_for(g->m, g->f, gen_i64(g, 0), k_ones(g->m, g->f, q->bits), 1);
    KVal bits = k_carry(g->m, g->f, q->bits);
    for (int i = 0; i < chains; i++) q->acc[i] = k_carry(g->m, g->f, q->acc[i]);
    take_point(m, q, k_first(g->m, g->f, bits), next);
    k_next(g->m, g->f, gen_2(g, K_AND, bits, gen_2(g, K_SUB, bits, gen_i64(g, 1))));
    for (int i = 0; i < chains; i++) k_next(g->m, g->f, next[i]);
    k_end(g->m, g->f);
    for (int i = 0; i < chains; i++) q->acc[i] = k_result(g->m, g->f, i + 1, type);
    for (int i = 0; i < chains; i++)
        k_store(g->m, g->f, acc, ix_value(g, acc_at(g, q, i / q->nv, i % q->nv)), q->acc[i]);
}

static void take_tiles(MapGen *m, const Stripe *t) {
    Gen *g = &m->c.g;
    const Target *target = &m->plan->target;
    KVal none = gen_i64(g, 0);
    int most = tile_columns_for(target, 16, t->s->dtype) > 1 ? MOST_COLUMNS : 1, vectors = (int)(t->s->columns / 16);
    SomeTile q = {.t = t, .nv = vectors < most ? vectors : most};
    int64_t whole = vectors / q.nv * q.nv * 16;
    q.mr = tile_rows_for(target, 16, t->s->dtype, q.nv, MOST_ROWS);
    while (t->rows % q.mr) q.mr--;
    open_rows(m, &q, k_for(g->m, g->f, none, gen_i64(g, t->rows), q.mr));
    k_for(g->m, g->f, none, gen_select(g, gen_2(g, K_EQ, q.bits, none), none, gen_i64(g, 1)), 1);
    q.column.var = k_for(g->m, g->f, none, gen_i64(g, whole), 16 * q.nv);
    take_columns(m, &q);
    k_end(g->m, g->f);
    q.nv = vectors % q.nv;
    q.column = (Ix){0, whole};
    if (q.nv) take_columns(m, &q);
    k_end(g->m, g->f);
    k_end(g->m, g->f);
}

void map_stripe_take(MapGen *m, const Stripe *t, KVal from, KVal to) {
    Gen *g = &m->c.g;
    KVal none = gen_i64(g, 0), passed = gen_2(g, K_SUB, m->first, from);
    KVal start = gen_2(g, K_EQ, gen_2(g, K_REM, passed, gen_i64(g, ORDER_POINTS)), none);
    k_for(g->m, g->f, none, gen_select(g, start, gen_i64(g, 1), none), 1);
    order_rows(m, t, gen_2(g, K_SUB, to, m->first));
    k_end(g->m, g->f);
    if (!t->row) look_at_columns(m, t->s);
    find_bits(m, t);
    take_tiles(m, t);
}

void map_stripe_clear(MapGen *m, const Stripe *t) {
    Gen *g = &m->c.g;
    KVal zero = k_real(g->m, g->f, (KType){gen_scalar(t->s->dtype), 16}, 0);
    if (!t->row) k_store(g->m, g->f, ctx_entry(&m->c, t->s->odd), gen_i64(g, 0), zero);
}

KVal map_stripe_doubt(MapGen *m, const Stripe *t) {
    Gen *g = &m->c.g;
    bool f64 = t->s->dtype == DT_F64;
    KType type = {gen_scalar(t->s->dtype), 16}, whole = {f64 ? KS_I64 : KS_I32, 16};
    KVal none = gen_i64(g, 0), odd = k_load(g->m, g->f, type, ctx_entry(&m->c, t->s->odd), none);
    KVal minus = k_ints(g->m, g->f, whole, f64 ? INT64_MIN : INT32_MIN);
    KVal any = k_mask(g->m, g->f, gen_2(g, K_NE, odd, odd)), from = gen_i64(g, t->row * t->s->stride);
    KVal i = k_for(g->m, g->f, from, gen_i64(g, (t->row + t->rows) * t->s->stride), 16);
    any = k_carry(g->m, g->f, any);
    KVal x = k_bits(g->m, g->f, whole, k_load(g->m, g->f, type, ctx_entry(&m->c, t->s->acc), i));
    k_next(g->m, g->f, gen_2(g, K_OR, any, k_mask(g->m, g->f, gen_2(g, K_EQ, x, minus))));
    k_end(g->m, g->f);
    any = k_result(g->m, g->f, 0, KT(I64));
    return gen_select(g, gen_2(g, K_EQ, any, none), none, gen_i64(g, 1));
}
