/* read.c -- reads the text form of print.c back into a graph.
 *
 * A recursive-descent reader over bytes.  Ids in the text are names: a node may get another id when equal nodes
 * were written twice.  The first error stops everything: `error` is set once and every function returns at once.
 * Comments run from # to the end of the line. */
#include "graph/text.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>

enum { DEPTH_LIMIT = 16, WORD_LIMIT = 64 };

typedef struct Reader {
    Arena *arena;
    const char *at, *start, *end;
    const char *error;
    int depth;
} Reader;

/* What the graph being read has named so far. */
typedef struct Names {
    VEC(Val) node;                  /* by id in the text; 0 = not given */
    VEC(const Graph *) body;
} Names;

static bool fail(Reader *r, const char *what) {
    int line = 1;
    for (const char *c = r->start; c < r->at; c++) line += *c == '\n';
    if (!r->error) r->error = arena_printf(r->arena, "line %d: %s", line, what);
    return false;
}

/* ---- words ---- */

static void skip(Reader *r) {
    for (; r->at < r->end; r->at++) {
        if (*r->at == '#') while (r->at + 1 < r->end && r->at[1] != '\n') r->at++;
        else if (*r->at != ' ' && *r->at != '\n' && *r->at != '\t' && *r->at != '\r') return;
    }
}

static bool is_word(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '.' ||
           c == '-' || c == '+';
}

/* The next run of letters, digits and signs; "" if there is none.  Does not move. */
static size_t peek_word(Reader *r, char word[WORD_LIMIT]) {
    size_t n = 0;
    skip(r);
    while (r->at + n < r->end && n + 1 < WORD_LIMIT && is_word(r->at[n])) {
        word[n] = r->at[n];
        n++;
    }
    word[n] = 0;
    return n;
}

static bool take_char(Reader *r, char c) {
    skip(r);
    if (r->error || r->at >= r->end || *r->at != c) return false;
    r->at++;
    return true;
}

static bool expect_char(Reader *r, char c) {
    return take_char(r, c) || fail(r, arena_printf(r->arena, "expected `%c`", c));
}

static bool take_word(Reader *r, const char *wanted) {
    char word[WORD_LIMIT];
    size_t n = peek_word(r, word);
    if (r->error || strcmp(word, wanted) != 0) return false;
    r->at += n;
    return true;
}

static bool expect_word(Reader *r, const char *wanted) {
    return take_word(r, wanted) || fail(r, arena_printf(r->arena, "expected `%s`", wanted));
}

static int64_t read_int(Reader *r) {
    char word[WORD_LIMIT], *stop;
    size_t n = peek_word(r, word);
    errno = 0;
    long long x = strtoll(word, &stop, 10);
    if (!n || *stop || errno) {
        fail(r, "expected an integer");
        return 0;
    }
    r->at += n;
    return x;
}

static int read_small(Reader *r) {
    int64_t x = read_int(r);
    if (x >= 0 && x < INT_MAX) return (int)x;
    fail(r, "the number is out of range");
    return 0;
}

static const char *read_text(Reader *r) {
    Buf out = {0};
    if (!expect_char(r, '"')) return "";
    while (r->at < r->end && *r->at != '"') {
        char c = *r->at++;
        if (c == '\\' && r->end - r->at >= 3 && *r->at == 'x') {
            char hex[3] = {r->at[1], r->at[2], 0};
            c = (char)strtol(hex, NULL, 16);
            r->at += 3;
        } else if (c == '\\' && r->at < r->end) {
            c = *r->at++;
        }
        buf_put(&out, &c, 1);
    }
    const char *text = out.len ? buf_done(&out, r->arena) : "";
    expect_char(r, '"');
    return text;
}

static int read_kind(Reader *r, const char *const *kinds, int count) {
    for (int i = 0; i < count; i++)
        if (take_word(r, kinds[i])) return i;
    fail(r, "unknown kind");
    return 0;
}

/* ---- types ---- */

static Shape read_list(Reader *r) {
    Shape shape = {0};
    if (!expect_char(r, '[') || take_char(r, ']')) return shape;
    do {
        if (shape.rank == MAX_RANK) {
            fail(r, "more than 6 axes");
            return shape;
        }
        shape.dim[shape.rank++] = read_int(r);
    } while (take_char(r, ','));
    expect_char(r, ']');
    return shape;
}

static NodeType read_type(Reader *r) {
    NodeType type = {0};
    expect_char(r, ':');
    type.batched = take_word(r, "batch");
    int dtype = DT_BOOL;
    while (dtype <= DT_F64 && !take_word(r, dtype_name((DType)dtype))) dtype++;
    if (dtype > DT_F64) {
        fail(r, "expected a type");
        return type;
    }
    type.dtype = (DType)dtype;
    type.shape = read_list(r);
    int64_t n = 1;
    for (int i = 0; i < type.shape.rank; i++) {
        if (type.shape.dim[i] < 1 || n > (INT64_C(1) << 40) / type.shape.dim[i]) fail(r, "impossible size");
        if (r->error) return (NodeType){0};
        n *= type.shape.dim[i];
    }
    return type;
}

/* Looks ahead for the type that ends the line, so that constants and tables know what they are. */
static NodeType peek_type(Reader *r) {
    const char *at = r->at;
    while (r->at < r->end && *r->at != ':' && *r->at != '\n') r->at++;
    NodeType type = read_type(r);
    r->at = at;
    return type;
}

/* ---- numbers ---- */

static void read_element(Reader *r, DType dtype, void *out) {
    char word[WORD_LIMIT], *stop = word;
    size_t n = peek_word(r, word);
    switch (dtype) {
    case DT_BOOL:
        *(uint8_t *)out = strcmp(word, "true") == 0;
        if (*(uint8_t *)out || strcmp(word, "false") == 0) stop = word + n;
        break;
    case DT_I32: *(int32_t *)out = (int32_t)strtol(word, &stop, 10); break;
    case DT_F32: *(float *)out = strtof(word, &stop); break;
    case DT_F64: *(double *)out = strtod(word, &stop); break;
    }
    if (!n || *stop) fail(r, "expected a number");
    else r->at += n;
}

static void read_const(Reader *r, DType dtype, Attr *attr) {
    union { uint8_t truth; int32_t i32; float f32; double f64; } x = {.f64 = 0};
    read_element(r, dtype, &x);
    if (dtype == DT_F64) attr->f64 = x.f64;
    else if (dtype == DT_F32) attr->f64 = (double)x.f32;
    else attr->i64 = dtype == DT_I32 ? x.i32 : x.truth;
}

static void read_table(Reader *r, NodeType type, Attr *attr) {
    int64_t n = shape_size(&type.shape);
    size_t size = dtype_size(type.dtype);
    if (r->error || n > r->end - r->at) {
        fail(r, "the table has too few numbers");
        return;
    }
    char *data = arena_alloc(r->arena, (size_t)n * size);
    Blob *blob = arena_new_of(r->arena, Blob);
    expect_char(r, '{');
    for (int64_t i = 0; i < n && !r->error; i++) read_element(r, type.dtype, data + (size_t)i * size);
    expect_char(r, '}');
    *blob = (Blob){type.dtype, type.shape, data, fnv1a(data, (size_t)n * size, FNV1A_START)};
    attr->blob = blob;
}

/* ---- lines ---- */

static Val read_operand(Reader *r, const Names *names) {
    int id = read_small(r);
    if (id < names->node.len && names->node.at[id]) return names->node.at[id];
    fail(r, arena_printf(r->arena, "%%%d is not defined above", id));
    return 0;
}

static void read_axes(Reader *r, Attr *attr) {
    expect_word(r, "axes");
    Shape list = read_list(r);
    for (int i = 0; i < list.rank; i++) {
        if (list.dim[i] < 0 || list.dim[i] >= MAX_RANK) fail(r, "no such axis");
        else attr->axes |= 1u << list.dim[i];
    }
}

static void read_body_number(Reader *r, const Names *names, Attr *attr) {
    expect_word(r, "body");
    int k = read_small(r);
    if (k < names->body.len) attr->body = names->body.at[k];
    else fail(r, "no such body");
}

static void read_places(Reader *r, const char *name, int32_t *at) {
    expect_word(r, name);
    Shape list = read_list(r);
    for (int i = 0; i < list.rank; i++) {
        if (i >= MAX_PLACES || list.dim[i] < INT_MIN || list.dim[i] > INT_MAX) fail(r, "the number is out of range");
        else at[i] = (int32_t)list.dim[i];
    }
}

static void read_window(Reader *r, Window *window) {
    expect_word(r, "groups");
    window->groups = read_small(r);
    read_places(r, "stride", window->stride);
    read_places(r, "pad", window->pad);
    read_places(r, "dilation", window->dilation);
    window->reversed = take_word(r, "reversed");
}

static void read_attr(Reader *r, const Names *names, uint32_t uses, NodeType type, Attr *attr) {
    if (uses & USES_VALUE) read_const(r, type.dtype, attr);
    if (uses & USES_INDEX) attr->index = read_small(r);
    if (uses & USES_AXIS && expect_word(r, "axis")) attr->axis = read_small(r);
    if (uses & USES_MAPPED && expect_word(r, "mapped")) attr->mapped = read_small(r);
    if (uses & USES_ZEROS && take_word(r, "zeros")) attr->index = read_small(r);
    if (uses & USES_AXES) read_axes(r, attr);
    if (uses & USES_STARTS && expect_word(r, "at")) {
        Shape list = read_list(r);
        memcpy(attr->starts, list.dim, sizeof attr->starts);
    }
    if (uses & USES_WINDOW) read_window(r, &attr->window);
    if (uses & USES_BLOB) read_table(r, type, attr);
    if (uses & USES_BODY) read_body_number(r, names, attr);
}

static Op read_op(Reader *r) {
    char word[WORD_LIMIT];
    size_t n = peek_word(r, word);
    for (int op = 0; op < G_COUNT; op++) {
        if (strcmp(word, op_name((Op)op)) != 0) continue;
        r->at += n;
        return (Op)op;
    }
    fail(r, arena_printf(r->arena, "unknown op `%s`", word));
    return G_CONST;
}

static bool type_equal(const NodeType *a, const NodeType *b) {
    return a->dtype == b->dtype && a->batched == b->batched && shape_equal(&a->shape, &b->shape);
}

static void name_node(Reader *r, Names *names, int id, Val v) {
    if (id < 1 || id > r->end - r->start) {
        fail(r, "the id is out of range");
        return;
    }
    while (names->node.len <= id) vec_push(r->arena, &names->node, 0);
    if (names->node.at[id]) fail(r, "the id is given twice");
    names->node.at[id] = v;
}

static void read_node(Reader *r, Graph *g, Names *names) {
    int id = read_small(r), nin = 0;
    Val in[255];
    expect_char(r, '=');
    Op op = read_op(r);
    while (!r->error && take_char(r, '%')) {
        if (nin == 255) fail(r, "more than 255 operands");
        else in[nin++] = read_operand(r, names);
    }
    Attr attr = {0};
    uint32_t uses = attr_uses(op);
    NodeType like = uses & (USES_VALUE | USES_BLOB) ? peek_type(r) : (NodeType){0}, type;
    read_attr(r, names, uses, like, &attr);
    like = read_type(r);
    if (r->error) return;
    const char *reason = "";
    if (!graph_infer(g, op, in, nin, &attr, &like, &type, &reason)) {
        fail(r, arena_printf(r->arena, "%s: %s", op_name(op), reason));
    } else if (!type_equal(&type, &like)) {
        fail(r, arena_printf(r->arena, "%s: the type given is not that of the result", op_name(op)));
    } else {
        name_node(r, names, id, graph_add(g, op, in, nin, &attr, &like, (Span){0, 0}));
    }
}

static void read_input(Reader *r, Graph *g) {
    GraphInput input = {.kind = (InputKind)read_kind(r, graph_input_kinds, INPUT_KINDS)};
    input.index = read_small(r);
    input.name = read_text(r);
    NodeType type = read_type(r);
    input.dtype = type.dtype;
    input.shape = type.shape;
    input.batched = type.batched;
    vec_push(g->arena, &g->inputs, input);
}

static void read_output(Reader *r, Graph *g, const Names *names) {
    GraphOutput output = {.kind = (OutputKind)read_kind(r, graph_output_kinds, OUTPUT_KINDS)};
    output.index = read_small(r);
    output.name = read_text(r);
    if (expect_char(r, '%')) output.value = read_operand(r, names);
    vec_push(g->arena, &g->outputs, output);
}

static void read_key(Reader *r, Graph *g) {
    vec_push(g->arena, &g->key_names, read_text(r));
    g->keys = g->key_names.len;
}

static Graph *read_graph(Reader *r);

static void read_body(Reader *r, Names *names) {
    if (read_small(r) != names->body.len) fail(r, "bodies are numbered in order");
    vec_push(r->arena, &names->body, r->error ? NULL : read_graph(r));
}

static Graph *read_graph(Reader *r) {
    Graph *g = graph_new(r->arena);
    Names names = {0};
    if (++r->depth > DEPTH_LIMIT) fail(r, "bodies are nested too deep");
    expect_char(r, '{');
    while (!r->error && !take_char(r, '}')) {
        if (take_char(r, '%')) read_node(r, g, &names);
        else if (take_word(r, "input")) read_input(r, g);
        else if (take_word(r, "output")) read_output(r, g, &names);
        else if (take_word(r, "key")) read_key(r, g);
        else if (take_word(r, "body")) read_body(r, &names);
        else fail(r, "expected `input`, `output`, `key`, `body`, a node or `}`");
    }
    r->depth--;
    return g;
}

Graph *graph_read(Arena *arena, const char *text, const char **error) {
    Reader r = {.arena = arena, .at = text, .start = text, .end = text + strlen(text)};
    expect_word(&r, "graph");
    Graph *g = r.error ? NULL : read_graph(&r);
    skip(&r);
    if (!r.error && r.at < r.end) fail(&r, "text after the graph");
    const char *wrong = r.error ? NULL : graph_verify(g, arena);
    if (wrong) r.error = wrong;
    if (error) *error = r.error;
    return r.error ? NULL : g;
}
