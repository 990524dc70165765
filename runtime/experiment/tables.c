/* tables.c -- tables that were made before: in this process, and in the folder of compiled objects.
 *
 * A file's key is the SHA-256 of the cell with its numbers, the precision, what was asked, the box and the compiler's
 * version.  Its bytes: blocks, values, the bound, 3 scales, the index, the values; numbers are u64 and f64 of this
 * machine. A file that is not whole or does not fit together is made again. */
#include "experiment/tabulate.h"

#include "emit/objects.h"
#include "support/sha256.h"

#include <math.h>

/* Raised with every change of how tables are found. */
#define TABLE_METHOD 1

typedef struct KeptTable { Arena *arena; Strategy strategy; } KeptTable;

void kept_table_free(void *kept) { arena_free(((KeptTable *)kept)->arena); }

static void *keep_nothing(void *data) { return data; }

static const Tensor *tensor_copy(Arena *arena, const Tensor *from) {
    Tensor *t = arena_new_of(arena, Tensor);
    *t = *from;
    t->data = arena_copy(arena, t->data, (size_t)shape_size(&t->shape) * dtype_size(t->dtype));
    return t;
}

static void table_take(Arena *arena, const Strategy *from, Strategy *s) {
    s->table = tensor_copy(arena, from->table);
    s->index = tensor_copy(arena, from->index);
    s->table_hash = from->table_hash;
    s->index_hash = from->index_hash;
    s->blocks = from->blocks;
    s->bound = from->bound;
    memcpy(s->scale, from->scale, sizeof s->scale);
}

/* ---- files ---- */

typedef struct TableHead { uint64_t blocks, values; double bound, scale[STRATEGY_ARGUMENTS]; } TableHead;

static int64_t index_size(int arguments, uint64_t blocks) {
    int64_t n = 1;
    for (int j = 0; j < arguments; j++) n *= (int64_t)blocks;
    return n;
}

static bool head_fits(const TableHead *h, int arguments, DType precision, const Strategy *s, size_t length) {
    if (!h->blocks || h->blocks > LOOKUP_BLOCKS || !h->values || h->values > TABLE_BYTES || !(h->bound <= s->error))
        return false;
    double all = pow((double)h->blocks, arguments);
    if (all > LOOKUP_BLOCKS || !(h->bound >= 0)) return false;
    for (int j = 0; j < arguments; j++)
        if (!(h->scale[j] > 0 && isfinite(h->scale[j]))) return false;
    size_t index = (size_t)all * 4;
    return length == sizeof *h + (index + 7) / 8 * 8 + (size_t)h->values * dtype_size(precision);
}

static bool index_fits(const int32_t *index, int64_t n, int arguments, int64_t values) {
    for (int64_t i = 0; i < n; i++) {
        int level = lookup_level(index[i]);
        bool deep = index[i] < 0 || level > lookup_deepest(arguments);
        if (deep || lookup_first(index[i]) + lookup_values(arguments, level) > values) return false;
    }
    return true;
}

static bool table_read(Eval *e, const char *key, int arguments, DType precision, Strategy *s) {
    TableHead head;
    size_t length;
    const CodeOptions *options = &lab_of(e)->options.code;
    const char *bytes = options->objects ? objects_bytes(e->arena, options, key, &length) : NULL;
    if (!bytes || length < sizeof head) return false;
    memcpy(&head, bytes, sizeof head);
    if (!head_fits(&head, arguments, precision, s, length)) return false;
    int64_t all = index_size(arguments, head.blocks), b = (int64_t)head.blocks;
    char *index = arena_copy(e->arena, bytes + sizeof head, (size_t)all * 4);
    size_t values = (size_t)head.values * dtype_size(precision);
    if (!index_fits((const int32_t *)(const void *)index, all, arguments, (int64_t)head.values)) return false;
    Tensor *t = arena_new_of(e->arena, Tensor), *blocks = arena_new_of(e->arena, Tensor);
    *t = (Tensor){precision, {1, {(int64_t)head.values}}, arena_copy(e->arena, bytes + length - values, values)};
    *blocks = (Tensor){DT_I32, {arguments, {b, arguments > 1 ? b : 0, arguments > 2 ? b : 0}}, index};
    s->table = t, s->index = blocks, s->blocks = b, s->bound = head.bound;
    memcpy(s->scale, head.scale, sizeof s->scale);
    table_hashes(s);
    return true;
}

static void table_write(Eval *e, const char *key, const Strategy *s) {
    const CodeOptions *options = &lab_of(e)->options.code;
    int64_t all = shape_size(&s->index->shape), values = shape_size(&s->table->shape);
    TableHead head = {(uint64_t)s->blocks, (uint64_t)values, s->bound, {s->scale[0], s->scale[1], s->scale[2]}};
    Buf out = {0};
    if (!options->objects) return;
    buf_put(&out, (const char *)&head, sizeof head);
    buf_put(&out, s->index->data, (size_t)all * 4);
    buf_put(&out, "\0\0\0\0\0\0\0", (size_t)(all % 2) * 4);
    buf_put(&out, s->table->data, (size_t)values * dtype_size(s->table->dtype));
    objects_bytes_put(options, key, out.at, out.len);
    buf_free(&out);
}

/* The box in the working precision: nodes of a table must lie apart in it. */
static bool box_round(Eval *e, int arguments, DType precision, Span span, Strategy *s) {
    for (int j = 0; j < arguments; j++) {
        if (precision == DT_F32) s->lo[j] = (float)s->lo[j], s->hi[j] = (float)s->hi[j];
        double size = fmax(fabs(s->lo[j]), fabs(s->hi[j])), width = s->hi[j] - s->lo[j];
        if (width >= 0x1p-20 * size && width >= 0x1p-80 && width <= 0x1p120) continue;
        diag_add(e->diags, D_E0613, span, "a table over %g..%g has no room for its nodes in %s", s->lo[j], s->hi[j],
                 dtype_name(precision));
        return false;
    }
    return true;
}

/* From a file, or made anew and kept there. */
static bool table_get(Eval *e, const Value *cell, const Buf *key, int arguments, DType precision, Span span,
                      Strategy *s) {
    char hex[65];
    Buf text = {0};
    buf_printf(&text, "table %d of nin %s, semantics %d: ", TABLE_METHOD, NIN_VERSION, SEMANTICS_VERSION);
    buf_put(&text, key->at, key->len);
    sha256_hex(text.at, text.len, hex);
    buf_free(&text);
    if (table_read(e, hex, arguments, precision, s)) return true;
    if (!table_find(e, cell, arguments, precision, span, s)) return false;
    table_write(e, hex, s);
    return true;
}

bool table_make(Eval *e, const Value *cell, int arguments, DType precision, Span span, Strategy *s) {
    if (!box_round(e, arguments, precision, span, s)) return false;
    Cache *tables = lab_of(e)->tables;
    Buf key = {0};
    value_identity(cell, &key);
    buf_printf(&key, " in %s by %s over", dtype_name(precision), s->asked);
    for (int j = 0; j < arguments; j++) buf_printf(&key, " %a..%a", s->lo[j], s->hi[j]);
    KeptTable *kept = cache_get(tables, key.at, key.len, keep_nothing, NULL);
    bool ok = kept || table_get(e, cell, &key, arguments, precision, span, s);
    if (kept) table_take(e->arena, &kept->strategy, s);
    else if (ok) {
        Arena *arena = arena_new();
        kept = arena_new_of(arena, KeptTable);
        *kept = (KeptTable){.arena = arena, .strategy = *s};
        table_take(arena, s, &kept->strategy);
        if (cache_get(tables, key.at, key.len, keep_nothing, kept) != kept) kept_table_free(kept);
    }
    buf_free(&key);
    return ok;
}
