/* checkpoint.c -- the state of a run under way, so that the same call goes on from it to the same bits.
 *
 * OUT/runs/HASH/state is one flat file, little-endian, replaced as a whole: "NIN STATE\n", format and semantics (u32),
 * then fields that are numbers of 8 bytes or texts and blocks with their length before them, then the SHA-256 of all
 * that. It holds what steps depend on (the session's block, weights of the net, steps done, what stopping and choosing
 * have seen; series: what the steps of an epoch under way have seen) and what the run returns (curve, snapshots).
 * Random numbers are functions of the step and need no state.
 *
 * OUT/runs/HASH/lock is held (flock) by the process that trains the run; others wait for it and take the result. */
#include "experiment/state.h"
#include "experiment/strategy.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

static const char magic[] = "NIN STATE\n";
static const double EVERY = 2, LOOK_AGAIN = 0.05;                        /* seconds */

typedef struct Checkpoint {
    Bytes hash, asked, layout, net, block, best_block, series;
    int64_t session, part, done, since_lowest, stop;
    double best, lowest;
} Checkpoint;

static const char *state_path(const Training *t) {
    Arena *arena = t->e->arena;
    return path_join(arena, run_folder(arena, t->e->session, t->r->chain[t->r->schedule.sessions]), "state");
}

/* The slots of the session's block, a line each. */
static Bytes layout_text(const Training *t) {
    const BlockLayout *layout = &t->plan->program->layout;
    Buf text = {0};
    for (int i = 0; i < layout->slots; i++) {
        buf_printf(&text, "%s %s", layout->slot[i].path, dtype_name(layout->slot[i].dtype));
        shape_print(&layout->slot[i].shape, &text);
        buf_text(&text, "\n");
    }
    Bytes out = {NULL, text.len};
    out.at = arena_copy(t->e->arena, text.at ? text.at : "", text.len);
    buf_free(&text);
    return out;
}

/* Steps of the epoch that is under way. */
static int64_t under_way(const Training *t) { return t->by_epoch ? t->done % t->per_epoch : 0; }

/* ---- writing ---- */

/* The series of those steps, one behind the other. */
static void put_series(const Training *t, Buf *out) {
    size_t size = sizeof(double) * (size_t)under_way(t);
    put_int(out, (int64_t)size * t->plan->series);
    for (int k = 0; k < t->plan->series && size; k++) buf_put(out, t->series[k], size); /* they begin with the epoch */
}

static void put_state(const Training *t, Buf *out) {
    const char *hash = t->r->chain[t->r->schedule.sessions];
    Bytes layout = layout_text(t);
    size_t size = t->plan->program->layout.size;
    state_begin(out, magic);
    put_bytes(out, hash, strlen(hash));
    put_bytes(out, t->r->asked, strlen(t->r->asked));
    put_bytes(out, layout.at, layout.length);
    put_bytes(out, t->net->block, t->net->info->layout.size);
    put_bytes(out, t->block, size);
    put_bytes(out, t->best_block, t->s->best_measure ? size : 0);
    put_series(t, out);
    const int64_t count[] = {t->number, t->part, t->done, t->since_lowest, t->stop};
    buf_put(out, count, sizeof count);
    put_real(out, t->best);
    put_real(out, t->lowest);
    put_curve(out, &t->run->curve);
    put_snapshots(out, t->run);
    state_seal(out);
}

bool checkpoint_save(Training *t, bool now) {
    double every = lab_of(t->e)->options.checkpoint;
    if (t->lock < 0 || (!now && training_seconds() - t->saved_at < (every > 0 ? every : every < 0 ? 0 : EVERY)))
        return true;
    Arena *scratch = arena_new();
    Buf out = {0};
    char *error = NULL;
    training_to_model(t);
    put_state(t, &out);
    bool ok = file_write(scratch, state_path(t), out.at, out.len, FILE_SYNC, &error);
    if (!ok) {
        Diag *diag = diag_add(t->e->diags, D_R0103, t->r->span, "the state of the run cannot be saved: %s",
                              arena_copy(t->e->arena, error, strlen(error)));
        diag_note(diag, "what was saved before is whole: the same call goes on from there");
    }
    buf_free(&out);
    arena_free(scratch);
    t->saved_at = training_seconds();
    return ok;
}

/* ---- reading ---- */

/* The net as it is in a session, from 1; t->net is at the start of session t->number. */
static const NetInfo *info_of_session(const Training *t, int session) {
    return info_after(t->e, request_info(t->e, t->r), &t->r->schedule, session, t->r->span);
}

/* The model becomes one of that net, its weights unknown. */
static void net_become(Training *t, const NetInfo *info) {
    Model *model = arena_new_of(t->e->arena, Model);
    if (t->net->info == info) return;
    *model = *t->net;
    model->info = t->info = info;
    model->block = training_aligned(t->e->arena, info->layout.size);
    t->net = t->model = t->run->model = model;
}

static bool refuse(Training *t, DiagCode code, const char *path, const char *what) {
    Diag *diag = diag_add(t->e->diags, code, t->r->span, "%s: the saved state of this run %s", path, what);
    diag_hint(diag, "remove the file, and the run begins anew");
    return false;
}

static bool state_whole(Training *t, const char *path, const char *bytes, size_t length, Cursor *c) {
    uint32_t version[2];
    switch (state_open(bytes, length, magic, c, version)) {
    case STATE_OK: return true;
    case STATE_OTHER_FILE: return refuse(t, D_R0103, path, "is no such file");
    case STATE_DAMAGED: return refuse(t, D_R0103, path, "is damaged");
    case STATE_OTHER_VERSION: break;
    }
    return refuse(t, D_E0902, path,
                  arena_printf(t->e->arena, "was written by format %u, semantics %u; this is format %d, semantics %d",
                               version[0], version[1], STATE_FORMAT, SEMANTICS_VERSION));
}

/* Curve and snapshots of a part of the run that is done. */
static bool history_take(Training *t, const Run *stored) {
    const Curve *c = &stored->curve;
    if (c->rows > t->run->curve.cap || c->columns > 3 * (t->measures + 2)) return false;
    t->run->curve.rows = t->run->curve.columns = t->run->snapshots = 0;
    for (int i = 0; i < c->rows; i++) training_row(t, c->session[i], c->session_name[i], c->epoch[i]);
    for (int k = 0; k < c->columns; k++) {
        CurveColumn *column = training_column(t, c->column[k].name, c->rows);
        memcpy(column->at, c->column[k].at, sizeof(double) * (size_t)c->rows);
    }
    for (int i = 0; i < stored->snapshots; i++) training_add_snapshot(t, stored->snapshot[i]);
    return true;
}

static bool state_take(Training *t, const char *path, Cursor *c) {
    Checkpoint *s = arena_new_of(t->e->arena, Checkpoint);
    const char *hash = t->r->chain[t->r->schedule.sessions];
    s->hash = take_bytes(c);
    s->asked = take_bytes(c);
    s->layout = take_bytes(c);
    s->net = take_bytes(c);
    s->block = take_bytes(c);
    s->best_block = take_bytes(c);
    s->series = take_bytes(c);
    s->session = take_int(c);
    s->part = take_int(c);
    s->done = take_int(c);
    s->since_lowest = take_int(c);
    s->stop = take_int(c);
    s->best = take_real(c);
    s->lowest = take_real(c);
    if (!bytes_equal(s->hash, (Bytes){hash, strlen(hash)}))
        return refuse(t, D_E0902, path,
                      arena_printf(t->e->arena, "is that of another run, %.*s", (int)s->hash.length, s->hash.at));
    if (!bytes_equal(s->asked, (Bytes){t->r->asked, strlen(t->r->asked)}))
        return true; /* it keeps or measures other things: of no use here */
    bool known = s->session >= 1 && s->session <= t->r->schedule.sessions;
    const NetInfo *info = known ? info_of_session(t, (int)s->session) : NULL;
    if (!info || s->net.length != info->layout.size) return refuse(t, D_E0902, path, "does not fit the net");
    net_become(t, info);
    Run stored = {0};
    take_curve(t->e->arena, c, &stored.curve);
    take_snapshots(t->e->arena, c, &stored);
    bool whole = !c->bad && c->at == c->end && snapshots_place(t->e, t->r, &stored) && history_take(t, &stored);
    if (!whole) return refuse(t, D_R0103, path, "is damaged");
    memcpy(t->net->block, s->net.at, s->net.length);
    t->saved = s;
    t->jump = (int)s->session - 1;
    return true;
}

static bool state_read(Training *t) {
    const char *path = state_path(t);
    char *bytes, *error = NULL;
    size_t length;
    if (!file_exists(path)) return true;
    if (!file_read(t->e->arena, path, 0, &bytes, &length, &error)) {
        diag_add(t->e->diags, D_R0103, t->r->span, "%s", error);
        return false;
    }
    Cursor c;
    if (!state_whole(t, path, bytes, length, &c)) return false;
    return state_take(t, path, &c);
}

/* The first line in which two layouts differ. */
static const char *layout_difference(Training *t, Bytes saved, Bytes now) {
    size_t i = 0, from = 0;
    for (; i < saved.length && i < now.length && saved.at[i] == now.at[i]; i++)
        if (saved.at[i] == '\n') from = i + 1;
    const char *a = arena_copy(t->e->arena, saved.at + from, saved.length - from),
               *b = arena_copy(t->e->arena, now.at + from, now.length - from);
    return arena_printf(t->e->arena, "is that of another program: it has %.*s where this has %.*s",
                        (int)strcspn(a, "\n"), a, (int)strcspn(b, "\n"), b);
}

int checkpoint_part(const Training *t) { return t->saved ? (int)t->saved->part : 0; }

bool checkpoint_restore(Training *t) {
    const Checkpoint *s = t->saved;
    if (!s) return true;
    size_t size = t->plan->program->layout.size;
    Bytes layout = layout_text(t);
    if (!bytes_equal(s->layout, layout))
        return refuse(t, D_E0902, state_path(t), layout_difference(t, s->layout, layout));
    if (s->block.length != size || s->best_block.length != (t->s->best_measure ? size : 0) || s->done < 0 ||
        s->done > t->total)
        return refuse(t, D_E0902, state_path(t), "does not fit the session");
    memcpy(t->block, s->block.at, size);
    if (s->best_block.length) memcpy(t->best_block, s->best_block.at, size);
    t->done = s->done;
    int64_t n = under_way(t);
    if (s->series.length != sizeof(double) * (size_t)(t->plan->series * n))
        return refuse(t, D_R0103, state_path(t), "is damaged");
    size_t part = sizeof(double) * (size_t)n;
    for (int k = 0; k < t->plan->series; k++) memcpy(t->series[k], s->series.at + (size_t)k * part, part);
    t->since_lowest = s->since_lowest;
    t->stop = s->stop;
    t->best = s->best;
    t->lowest = s->lowest;
    t->saved = NULL;
    return true;
}

/* ---- beginnings that are stored ---- */

static void prefix_find(Training *t) {
    if (!store_usable(t->e)) return;
    for (int n = t->r->schedule.sessions - 1; n >= t->number; n--) {
        Run stored = {0};
        const NetInfo *info = info_of_session(t, n);
        char *block = info ? training_aligned(t->e->arena, info->layout.size) : NULL;
        if (!info || !store_load(t->e, t->r, info, t->r->chain[n], &stored, block) || !history_take(t, &stored))
            continue;
        net_become(t, info);
        memcpy(t->net->block, block, info->layout.size);
        t->run->diverged = stored.diverged;
        t->jump = stored.diverged ? t->r->schedule.sessions : n;
        return;
    }
}

/* ---- one process at a time ---- */

static bool stopped(const Training *t) { return lab_interrupted(lab_of(t->e)); }

static bool lock_wait(Training *t) {
    const LabOptions *o = &lab_of(t->e)->options;
    bool told = false;
    while (flock(t->lock, LOCK_EX | LOCK_NB) != 0) {
        if (errno != EWOULDBLOCK && errno != EINTR) return true; /* a file system without locks: each for itself */
        if (stopped(t)) return false;
        if (!told && o->progress) o->progress(o->progress_data, "waiting", 0, 0, "another process trains this run");
        told = true;
        nanosleep(&(struct timespec){.tv_nsec = (long)(LOOK_AGAIN * 1e9)}, NULL);
    }
    return true;
}

/* What writers that were killed left in the folder; nobody else writes there now. */
static void folder_sweep(Training *t, const char *folder) {
    DIR *dir = opendir(folder);
    for (struct dirent *entry; dir && (entry = readdir(dir));)
        if (strstr(entry->d_name, ".tmp-")) unlink(path_join(t->e->arena, folder, entry->d_name));
    if (dir) closedir(dir);
}

bool checkpoint_claim(Training *t) {
    const Turn *turn = lab_turn(t->e)->turn;
    t->claimed = true;
    t->saved_at = training_seconds();
    if (!t->e->session->out_folder || (turn && turn->experiment->measures_time)) return true;
    const char *folder = run_folder(t->e->arena, t->e->session, t->r->chain[t->r->schedule.sessions]);
    const char *path = path_join(t->e->arena, folder, "lock");
    char *error = NULL;
    if (!folder_make(t->e->arena, folder, &error)) goto failed;
    t->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (t->lock < 0) {
        error = file_error(t->e->arena, path, "write", errno);
        goto failed;
    }
    if (!lock_wait(t)) return false;
    folder_sweep(t, folder);
    if (store_find(t->e, t->r, request_info(t->e, t->r), &t->found)) return true;
    if (!state_read(t)) return false;
    if (!t->saved) prefix_find(t);
    return true;
failed:
    diag_add(t->e->diags, D_R0103, t->r->span, "%s", error);
    return false;
}

bool checkpoint_session_end(Training *t) {
    bool last = t->number == t->r->schedule.sessions || t->run->diverged;
    if (last || t->lock < 0 || t->run->cheap) return true;               /* the end is stored by train_run */
    t->saved_at = training_seconds();
    const char *hash = t->r->chain[t->number];
    return store_save(t->e, t->net, t->run, hash, t->r->span) && kept_save(t->e, t->r, t->run, hash);
}

void checkpoint_release(Training *t, bool done) {
    if (t->lock < 0) return;
    if (done) unlink(state_path(t));
    close(t->lock);
    t->lock = -1;
}
