/* device.c -- stages to calls: specialised functions, shared where equal; spots, and the memory of the workspace.
 *
 * A stage that only copies the input to a buffer, or a buffer to a result, is dropped: the one stands for the other.
 * Each function's ARG k is argument k of its calls, in order of appearance. */
#include "kernel/device.h"

typedef struct Life { int first, last; } Life;
typedef struct Maker {
    Arena *arena;
    const Lowered *low;
    Device *d;
    int64_t examples;
    KFunc **func;                          /* by stage; NULL: dropped */
    int *alias;                            /* by entry: what stands for it */
    int *spot_of;                         /* by entry: its place, or -1 */
    Life *life;                            /* by place: first and last call */
    const char *error;
} Maker;

/* ---- dead code ---- */

static bool is_pure(int op) {
    return op != K_NOP && op != K_STORE && op != K_FOR && op != K_CARRY && op != K_NEXT && op != K_END &&
           op != K_RESULT;
}

static void sweep(Arena *arena, KFunc *f) {
    bool *used = arena_array(arena, bool, f->code.len + 1);
    for (int v = f->code.len - 1; v > 0; v--) {
        KInst *i = &f->code.at[v];
        int n = kop_operands((KOp)i->op);
        if (is_pure(i->op) && !used[v]) {
            *i = (KInst){0};
            continue;
        }
        if (n > 0) used[i->a] = true;
        if (n > 1) used[i->b] = true;
        if (n > 2) used[i->c] = true;
    }
}

/* ---- copies ---- */

static int64_t row_size(const Maker *m, Val v) { return shape_size(&graph_node(m->low->graph, v)->shape); }

static int64_t result_size(const Maker *m, int index) {
    const Graph *g = m->low->graph;
    for (int k = 0; k < g->outputs.len; k++)
        if (g->outputs.at[k].kind == OUT_ROWS && g->outputs.at[k].index == index)
            return row_size(m, g->outputs.at[k].value) * m->examples;
    return 0;
}

static int64_t input_size(const Maker *m, int index) {
    const Graph *g = m->low->graph;
    for (int k = 0; k < g->inputs.len; k++)
        if (g->inputs.at[k].kind == IN_ROWS && g->inputs.at[k].index == index)
            return shape_size(&g->inputs.at[k].shape) * m->examples;
    return 0;
}

/* for i in 0 .. n-1 { to[i] = from[i] } and nothing else: n, or 0. */
static int64_t plain_copy(const KFunc *f, int *from, int *to) {
    const KInst *code = f->code.at, *loop = NULL, *load = NULL, *store = NULL;
    for (int v = 1; v < f->code.len; v++) {
        const KInst *i = &code[v];
        if (i->op == K_NOP || i->op == K_INT || i->op == K_ARG || i->op == K_END) continue;
        const KInst **seen = i->op == K_FOR ? &loop : i->op == K_LOAD ? &load : i->op == K_STORE ? &store : NULL;
        if (!seen || *seen) return 0;
        *seen = i;
    }
    if (!loop || !load || !store || code + store->c != load) return 0;
    KVal index = (KVal)(loop - code);
    if (load->b != index || store->b != index || loop->imm != 1 || code[loop->a].op != K_INT || code[loop->a].imm ||
        code[loop->b].op != K_INT)
        return 0;
    if (code[load->a].op != K_ARG || code[store->a].op != K_ARG) return 0;
    *from = (int)code[load->a].imm;
    *to = (int)code[store->a].imm;
    return code[loop->b].imm;
}

static bool writes(const KFunc *f, int entry) {
    for (int v = 1; v < f->code.len; v++) {
        const KInst *i = &f->code.at[v];
        if (i->op != K_STORE) continue;
        const KInst *root = &f->code.at[pointer_root(f, i->a)];
        if (root->op == K_ARG && root->imm == entry) return true;
    }
    return false;
}

static int stages_writing(const Maker *m, int entry) {
    int n = 0;
    for (int s = 0; s < m->low->stages; s++) n += m->func[s] && writes(m->func[s], entry);
    return n;
}

static bool is_buffer(const Maker *m, int entry) {
    EntryKind kind = m->low->entry[entry].kind;
    return m->alias[entry] == entry && (kind == ENTRY_BUFFER || kind == ENTRY_SCRATCH);
}

static void drop_copies(Maker *m) {
    for (int s = 0; s < m->low->stages; s++) {
        int from = 0, to = 0;
        int64_t n = m->func[s] ? plain_copy(m->func[s], &from, &to) : 0;
        if (!n) continue;
        const Entry *a = &m->low->entry[from], *b = &m->low->entry[to];
        if (a->kind == ENTRY_ROWS && is_buffer(m, to) && n == input_size(m, a->index) && stages_writing(m, to) == 1) {
            m->alias[to] = from;
            m->func[s] = NULL;
        } else if (is_buffer(m, from) && b->kind == ENTRY_OUT_ROWS && n == result_size(m, b->index) &&
                   stages_writing(m, to) == 1) {
            m->alias[from] = to;
            m->func[s] = NULL;
        }
    }
}

/* ---- spots ---- */

static int64_t declared(const Maker *m, const Entry *entry, KScalar element) {
    const Lowered *low = m->low;
    int64_t examples = m->examples, rows = entry->kind == ENTRY_SCRATCH && examples > SHARD ? SHARD : examples;
    switch (entry->kind) {
    case ENTRY_BLOCK: return shape_size(&low->layout.slot[entry->index].shape);
    case ENTRY_ROWS: return input_size(m, entry->index);
    case ENTRY_OUT_ROWS: return result_size(m, entry->index);
    case ENTRY_BUFFER: case ENTRY_SCRATCH: {
        const Buffer *b = &low->buffer[entry->index];
        size_t bytes = b->fixed + b->per_shard * (size_t)((examples + SHARD - 1) / SHARD) +
                       b->per_example * (size_t)rows;
        return (int64_t)bytes / kscalar_bytes(element);
    }
    case ENTRY_ORDER: case ENTRY_SETTINGS: case ENTRY_KEYS: case ENTRY_SERIES: case ENTRY_SHAPE: case ENTRY_TURN:
        return 1;
    }
    return 0;
}

static SpotKind spot_kind(EntryKind kind) {
    switch (kind) {
    case ENTRY_BLOCK: return SPOT_WEIGHT;
    case ENTRY_ROWS: return SPOT_INPUT;
    case ENTRY_SETTINGS: return SPOT_SETTINGS;
    case ENTRY_KEYS: return SPOT_KEYS;
    case ENTRY_OUT_ROWS: return SPOT_RESULT;
    case ENTRY_SERIES: return SPOT_SERIES;
    case ENTRY_SHAPE: case ENTRY_ORDER: return SPOT_STEP;
    case ENTRY_BUFFER: case ENTRY_SCRATCH: case ENTRY_TURN: return SPOT_WORK;
    }
    return SPOT_WORK;
}

/* Elements reached by an access from its root's start; 0: not known. */
static int64_t reach(const KFunc *f, const Range *range, const KInst *access, KScalar element) {
    Range at = range[access->b];
    int64_t hi = at.hi;
    if (!at.known || at.lo < 0) return 0;
    for (KVal p = access->a; f->code.at[p].op != K_ARG; p = f->code.at[p].a) {
        const KInst *i = &f->code.at[p];
        if (i->op != K_OFFSET || i->imm != kscalar_bytes(element) || !range[i->b].known || range[i->b].lo < 0) return 0;
        hi += range[i->b].hi;
    }
    return hi + 1;
}

static int64_t extent_of(Maker *m, const KFunc *f, int entry, KScalar element) {
    int64_t most = 0, all = declared(m, &m->low->entry[entry], element);
    const Range *range = function_ranges(m->arena, f);
    for (int v = 1; v < f->code.len; v++) {
        const KInst *i = &f->code.at[v];
        if (i->op != K_LOAD && i->op != K_STORE) continue;
        const KInst *root = &f->code.at[pointer_root(f, i->a)];
        if (root->op != K_ARG || root->imm != entry) continue;
        int64_t n = reach(f, range, i, element);
        if (!n) return all;
        most = n > most ? n : most;
    }
    return most;
}

static void spot_use(Maker *m, const KFunc *f, KVal root, int entry, int call) {
    Device *d = m->d;
    const Entry *e = &m->low->entry[m->alias[entry]];
    int at = m->spot_of[m->alias[entry]];
    bool written;
    KScalar element = root_element(f, root, &written);
    Spot *p = &d->spot[at < 0 ? d->spots : at];
    if (at < 0) {
        m->life[d->spots] = (Life){call, call};
        m->spot_of[m->alias[entry]] = d->spots++;
        *p = (Spot){.kind = spot_kind(e->kind), .index = e->index, .element = element};
    }
    if (element == KS_PTR || element != p->element) m->error = "a buffer holds elements of several types";
    p->written |= written;
    m->life[p - d->spot].last = call;
    int64_t extent = p->kind == SPOT_WORK ? extent_of(m, f, entry, element) : declared(m, e, element);
    if (extent > p->extent) p->extent = extent;
}

/* ARGs are numbered from 0; what they stand for goes into the call. */
static void number_args(Maker *m, KFunc *f, DeviceCall *call) {
    VEC(int) entry = {0};
    VEC(int) spot = {0};
    for (int v = 1; v < f->code.len; v++) {
        KInst *i = &f->code.at[v];
        int k = 0;
        if (i->op != K_ARG) continue;
        while (k < entry.len && entry.at[k] != i->imm) k++;
        if (k < entry.len) continue;
        vec_push(m->arena, &entry, (int)i->imm);
        spot_use(m, f, (KVal)v, (int)i->imm, (int)(call - m->d->call));
        vec_push(m->arena, &spot, m->spot_of[m->alias[i->imm]]);
    }
    for (int v = 1; v < f->code.len; v++) {
        KInst *i = &f->code.at[v];
        for (int k = 0; i->op == K_ARG && k < entry.len; k++)
            if (entry.at[k] == i->imm) {
                i->imm = k;
                break;
            }
    }
    call->spot = spot.at;
    call->args = spot.len;
}

/* ---- functions ---- */

static bool same_code(const KFunc *a, const KFunc *b) {
    if (a->code.len != b->code.len) return false;
    for (int i = 1; i < a->code.len; i++) {
        const KInst *x = &a->code.at[i], *y = &b->code.at[i];
        if (x->op != y->op || x->type.scalar != y->type.scalar || x->type.lanes != y->type.lanes || x->a != y->a ||
            x->b != y->b || x->c != y->c || x->imm != y->imm)
            return false;
    }
    return true;
}

static int keep_function(Device *d, KFunc *f) {
    for (int k = 0; k < d->module->func.len; k++)
        if (same_code(d->module->func.at[k], f)) return k;
    vec_push(d->module->arena, &d->module->func, f);
    return d->module->func.len - 1;
}

static int64_t count_multiplies(const KFunc *f) {
    int64_t times[64] = {1}, total = 0;
    int depth = 0;
    for (int v = 1; v < f->code.len; v++) {
        const KInst *i = &f->code.at[v], *lo = &f->code.at[i->a], *hi = &f->code.at[i->b];
        if (i->op == K_FOR && depth < 63) {
            bool known = lo->op == K_INT && hi->op == K_INT && hi->imm > lo->imm;
            times[depth + 1] = times[depth] * (known ? (hi->imm - lo->imm + i->imm - 1) / i->imm : 1);
            depth++;
        }
        if (i->op == K_END && depth) depth--;
        if ((i->op == K_MUL || i->op == K_FMA) && (i->type.scalar == KS_F32 || i->type.scalar == KS_F64))
            total += times[depth] * i->type.lanes;
    }
    return total;
}

static void data_elements(Device *d) {
    d->data_element = arena_array(d->module->arena, KScalar, d->module->data.len + 1);
    for (int k = 0; k < d->module->func.len; k++) {
        const KFunc *f = d->module->func.at[k];
        bool written;
        for (int v = 1; v < f->code.len; v++)
            if (f->code.at[v].op == K_DATA) d->data_element[f->code.at[v].imm] = root_element(f, (KVal)v, &written);
    }
}

/* ---- memory ---- */

static bool overlap(Life a, Life b) { return a.first <= b.last && b.first <= a.last; }

/* The lowest offset that is free while the place lives. */
static void spot_work(Maker *m, int at) {
    Spot *p = &m->d->spot[at];
    int64_t offset = 0;
    for (int k = 0; k < at; k++) {
        const Spot *q = &m->d->spot[k];
        if (q->kind != SPOT_WORK || q->element != p->element || !overlap(m->life[k], m->life[at])) continue;
        if (offset < q->offset + q->extent && q->offset < offset + p->extent) {
            offset = q->offset + q->extent;
            k = -1;
        }
    }
    p->offset = offset;
    int64_t *most = &m->d->work[p->element];
    if (offset + p->extent > *most) *most = offset + p->extent;
}

Device *device_make(Arena *arena, const Lowered *low, int64_t examples, const char **error) {
    Device *d = arena_new_of(arena, Device);
    Maker m = {.arena = arena, .low = low, .d = d, .examples = examples};
    d->module = kmodule_new(arena);
    d->layout = low->layout;
    d->call = arena_array(arena, DeviceCall, low->stages + 1);
    d->spot = arena_array(arena, Spot, low->entries + 1);
    m.func = arena_array(arena, KFunc *, low->stages + 1);
    m.alias = arena_array(arena, int, low->entries + 1);
    m.spot_of = arena_array(arena, int, low->entries + 1);
    m.life = arena_array(arena, Life, low->entries + 1);
    for (int k = 0; k < low->entries; k++) m.alias[k] = k, m.spot_of[k] = -1;
    KModule *scratch = kmodule_new(arena);
    for (int s = 0; s < low->stages; s++) {
        m.func[s] = special_stage(scratch, low, &low->stage[s], examples);
        sweep(arena, m.func[s]);
    }
    drop_copies(&m);
    d->module->data.at = low->module->data.at;
    d->module->data.len = d->module->data.cap = low->module->data.len;
    for (int s = 0; s < low->stages; s++) {
        if (!m.func[s]) continue;
        DeviceCall *call = &d->call[d->calls++];
        call->what = low->stage[s].what;
        number_args(&m, m.func[s], call);
        d->multiplies += count_multiplies(m.func[s]);
        call->func = keep_function(d, m.func[s]);
    }
    data_elements(d);
    for (int k = 0; k < d->spots; k++)
        if (d->spot[k].kind == SPOT_WORK) spot_work(&m, k);
    *error = m.error;
    return m.error ? NULL : d;
}
