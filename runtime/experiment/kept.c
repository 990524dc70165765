/* kept.c -- what a call asked of a finished run beside its weights: OUT/runs/HASH/kept-ASKED, ASKED from the kept
 * epochs and the measures.  It holds the whole curve, with the measures' columns, and the snapshots; so the same call
 * finds its run again, and another that keeps or measures other things has a file of its own in the same folder. */
#include "experiment/state.h"
#include "experiment/strategy.h"
#include "support/sha256.h"

static const char magic[] = "NIN KEPT\n";

static const char *kept_path(Eval *e, const char *hash, Bytes asked) {
    char hex[65];
    sha256_hex(asked.at, asked.length, hex);
    return path_join(e->arena, run_folder(e->arena, e->session, hash), arena_printf(e->arena, "kept-%.16s", hex));
}

bool kept_save(Eval *e, const TrainRequest *r, const Run *run, const char *hash) {
    Bytes asked = {r->asked, strlen(r->asked)};
    if (!asked.length || !e->session->out_folder) return true;
    Buf out = {0};
    char *error = NULL;
    state_begin(&out, magic);
    put_bytes(&out, hash, strlen(hash));
    put_bytes(&out, asked.at, asked.length);
    put_int(&out, run->diverged);
    put_curve(&out, &run->curve);
    put_snapshots(&out, run);
    state_seal(&out);
    bool ok = file_write(e->arena, kept_path(e, hash, asked), out.at, out.len, run->cheap ? FILE_NO_SYNC : FILE_SYNC,
                         &error);
    buf_free(&out);
    if (!ok) diag_add(e->diags, D_R0103, r->span, "%s", error);
    return ok;
}

/* A file that is not right is as none: the run is trained again, and the file written anew. */
bool kept_load(Eval *e, const TrainRequest *r, const char *hash, Run *run) {
    Bytes asked = {r->asked, strlen(r->asked)};
    const char *path = kept_path(e, hash, asked);
    Cursor c;
    if (!state_load(e->arena, path, magic, &c)) return false;
    if (!bytes_equal(take_bytes(&c), (Bytes){hash, strlen(hash)}) || !bytes_equal(take_bytes(&c), asked)) return false;
    run->diverged = take_int(&c) != 0;
    take_curve(e->arena, &c, &run->curve);
    take_snapshots(e->arena, &c, run);
    return !c.bad && snapshots_place(e, r, run) && c.at == c.end && run->curve.rows;
}
