/* state.c -- the bytes of a run's states (state.h). */
#include "experiment/state.h"
#include "support/file.h"
#include "support/sha256.h"

bool bytes_equal(Bytes a, Bytes b) { return a.length == b.length && memcmp(a.at, b.at, a.length) == 0; }

/* ---- writing ---- */

void state_begin(Buf *out, const char *magic) {
    uint32_t version[2] = {STATE_FORMAT, SEMANTICS_VERSION};
    buf_text(out, magic);
    buf_put(out, version, sizeof version);
}

void put_int(Buf *out, int64_t x) { buf_put(out, &x, sizeof x); }
void put_real(Buf *out, double x) { buf_put(out, &x, sizeof x); }

void put_bytes(Buf *out, const void *at, size_t length) {
    put_int(out, (int64_t)length);
    if (length) buf_put(out, at, length);
}

void put_curve(Buf *out, const Curve *c) {
    put_int(out, c->rows);
    for (int i = 0; i < c->rows; i++) {
        bool same = i && strcmp(c->session_name[i], c->session_name[i - 1]) == 0;
        put_int(out, c->session[i]);
        put_int(out, c->epoch[i]);
        put_int(out, same);
        if (!same) put_bytes(out, c->session_name[i], strlen(c->session_name[i]));
    }
    put_int(out, c->columns);
    for (int k = 0; k < c->columns; k++) {
        put_bytes(out, c->column[k].name, strlen(c->column[k].name));
        for (int i = 0; i < c->rows; i++) put_real(out, c->column[k].at[i]);
    }
}

void put_snapshots(Buf *out, const Run *run) {
    put_int(out, run->snapshots);
    for (int i = 0; i < run->snapshots; i++) {
        const Snapshot *s = &run->snapshot[i];
        put_int(out, s->session);
        put_int(out, s->epoch);
        put_int(out, s->step);
        put_bytes(out, s->block, s->info->layout.size);
    }
}

void state_seal(Buf *out) {
    char hex[65];
    sha256_hex(out->at, out->len, hex);
    buf_put(out, hex, 64);
}

/* ---- reading ---- */

StateCheck state_open(const char *bytes, size_t length, const char *magic, Cursor *out, uint32_t version[2]) {
    char hex[65];
    size_t head = strlen(magic), start = head + 2 * sizeof *version;
    if (length < start + 64 || memcmp(bytes, magic, head)) return STATE_OTHER_FILE;
    memcpy(version, bytes + head, 2 * sizeof *version);
    if (version[0] != STATE_FORMAT || version[1] != SEMANTICS_VERSION) return STATE_OTHER_VERSION;
    sha256_hex(bytes, length - 64, hex);
    if (memcmp(hex, bytes + length - 64, 64)) return STATE_DAMAGED;
    *out = (Cursor){bytes + start, bytes + length - 64, false};
    return STATE_OK;
}

bool state_load(Arena *arena, const char *path, const char *magic, Cursor *out) {
    char *bytes, *error = NULL;
    size_t length;
    uint32_t version[2];
    return file_exists(path) && file_read(arena, path, 0, &bytes, &length, &error) &&
           state_open(bytes, length, magic, out, version) == STATE_OK;
}

static void take(Cursor *c, void *out, size_t length) {
    if ((size_t)(c->end - c->at) < length) c->bad = true;
    if (c->bad) { memset(out, 0, length); return; }
    memcpy(out, c->at, length);
    c->at += length;
}

int64_t take_int(Cursor *c) {
    int64_t x;
    take(c, &x, sizeof x);
    return x;
}

double take_real(Cursor *c) {
    double x;
    take(c, &x, sizeof x);
    return x;
}

Bytes take_bytes(Cursor *c) {
    int64_t length = take_int(c);
    if (length < 0 || length > c->end - c->at) c->bad = true;
    if (c->bad) return (Bytes){"", 0};
    c->at += length;
    return (Bytes){c->at - length, (size_t)length};
}

/* A count of things of at least `least` bytes each: no more than what is left can hold. */
static int64_t take_count(Cursor *c, int64_t least) {
    int64_t n = take_int(c);
    if (n < 0 || n > INT32_MAX || n > (c->end - c->at) / least) c->bad = true;
    return c->bad ? 0 : n;
}

void take_curve(Arena *arena, Cursor *c, Curve *out) {
    int64_t rows = take_count(c, 24);
    const char *name = "";
    *out = (Curve){.rows = (int)rows, .cap = (int)rows};
    out->session = arena_array(arena, int, rows + 1);
    out->epoch = arena_array(arena, int, rows + 1);
    out->session_name = arena_array(arena, const char *, rows + 1);
    for (int64_t i = 0; i < rows; i++) {
        out->session[i] = (int)take_int(c);
        out->epoch[i] = (int)take_int(c);
        if (!take_int(c)) {
            Bytes text = take_bytes(c);
            name = arena_copy(arena, text.at, text.length);
        }
        out->session_name[i] = name;
    }
    out->columns = (int)take_count(c, 8 * (rows + 1));
    out->column = arena_array(arena, CurveColumn, out->columns + 1);
    for (int k = 0; k < out->columns; k++) {
        Bytes text = take_bytes(c);
        out->column[k] = (CurveColumn){arena_copy(arena, text.at, text.length), arena_array(arena, double, rows + 1)};
        for (int64_t i = 0; i < rows; i++) out->column[k].at[i] = take_real(c);
    }
}

void take_snapshots(Arena *arena, Cursor *c, Run *run) {
    int64_t n = take_count(c, 32);
    run->snapshot = arena_array(arena, Snapshot, n + 1);
    run->snapshots = 0;
    run->snapshot_cap = (int)n;
    for (int64_t i = 0; i < n && !c->bad; i++) {
        Snapshot s = {.session = (int)take_int(c), .epoch = (int)take_int(c)};
        s.step = take_int(c);
        Bytes block = take_bytes(c);
        if (c->bad) return;
        s.size = block.length;
        s.block = arena_copy(arena, block.at, block.length);
        run->snapshot[run->snapshots++] = s;
    }
}
