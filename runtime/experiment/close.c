/* close.c -- an experiment's folder: opening, run.json (provenance), links to runs, progress, closing lines; where a
 * run went wrong. */
#include "experiment/experiment.h"
#include "graph/program.h"
#include "report/provenance.h"
#include "support/sha256.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static double seconds_now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* What holds where the program says nothing: once for each experiment, if asked. */
static void say_defaults(const Experiment *x, const Eval *e) {
    const LabOptions *o = &x->lab->options;
    if (!o->say) return;
    Buf text = {0};
    if (o->explain) {
        buf_printf(&text, "%s: defaults in force:\n", x->name);
        buf_printf(&text, "  train.precision   %s\n", dtype_name(e->session->precision));
        buf_text(&text, "  session.order     shuffled (given, where batch: all)\n  session.take      last\n"
                        "  session.cells     exact\n"
                        "  session.stop      none: all epochs\n  session.reset     none\n  train.keep        none\n");
        buf_printf(&text, "  threads           %d (never changes a result)\n", o->threads);
        buf_printf(&text, "  output            %s\n", x->folder ? x->folder : "none");
    }
    if (x->measures_time)
        buf_printf(&text, "%s measures times: its trials are trained one at a time\n", x->name);
    buf_put(&text, "", 1);
    if (text.len > 1) o->say(o->say_data, text.at);
    buf_free(&text);
}

bool experiment_open(Experiment *x, Eval *e) {
    const Session *session = e->session;
    char *error = NULL;
    if (session->out_folder)
        x->folder = path_join(x->arena, path_join(x->arena, session->out_folder, x->lab->options.program), x->name);
    const LabOptions *o = &x->lab->options;
    if (x->folder && o->shards)
        x->folder = path_join(x->arena, x->folder, arena_printf(x->arena, "shard-%d-of-%d", o->shard, o->shards));
    say_defaults(x, e);
    x->has_runs = x->folder && folder_exists(path_join(e->arena, session->out_folder, "runs"));
    if (!x->folder || folder_make(e->arena, x->folder, &error)) return true;
    diag_add(e->diags, D_R0103, x->ast->experiment.name_span, "%s", error);
    return false;
}

void experiment_progress(Experiment *x) {
    const LabOptions *o = &x->lab->options;
    pthread_mutex_lock(&x->lock);
    x->turns_done++;
    int64_t done = x->turns_done, total = x->turns;
    pthread_mutex_unlock(&x->lock);
    if (o->progress) o->progress(o->progress_data, x->name, (double)done, total, "");
}

void lab_progress_text(Eval *e, const char *what, double done, int64_t total, const char *detail) {
    const LabOptions *o = &lab_of(e)->options;
    const LabTurn *here = lab_turn(e);
    if (o->progress && !(here->turn && !here->turn->experiment->wide))
        o->progress(o->progress_data, what, done, total, detail);
}

void lab_progress(Eval *e, const char *session, double done, int64_t epochs, const Curve *curve) {
    char detail[128] = "";
    int row = curve->rows - 1;
    double loss = curve_value(curve, "train_loss", row), accuracy = curve_value(curve, "valid_accuracy", row);
    if (isnan(accuracy)) accuracy = curve_value(curve, "test_accuracy", row);
    if (isnan(accuracy)) snprintf(detail, sizeof detail, "train_loss %.4g", loss);
    else snprintf(detail, sizeof detail, "train_loss %.4g, accuracy %.4f", loss, accuracy);
    lab_progress_text(e, session, done, epochs, detail);
}

/* ---- links: KEYS.safetensors, or run.safetensors of a row without keys -> the run's weights ---- */

enum { LABEL_LONGEST = 48, NAME_LONGEST = 200 };  /* names of files have 255 bytes at most */
static void file_label(const Value *key, Buf *out) {
    Buf label = {0};
    bool clean = true;
    key_label(key, &label);
    if (label.len > LABEL_LONGEST) clean = false;
    for (size_t i = 0; i < label.len && i < LABEL_LONGEST; i++) {
        char c = label.at[i];
        bool plain = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' ||
                     c == '_' || c == '-';
        clean &= plain;
        buf_put(out, plain ? &c : "_", 1);
    }
    if (!clean) { /* two labels may look alike: a short hash keeps them apart */
        char hex[65];
        sha256_hex(label.at, label.len, hex);
        buf_printf(out, "-%.6s", hex);
    }
    buf_free(&label);
}

const char *keys_file(Arena *arena, const Value *key, int keys) {
    Buf name = {0};
    for (int i = 0; i < keys; i++) {
        if (i) buf_text(&name, "-");
        file_label(&key[i], &name);
    }
    if (name.len > NAME_LONGEST) {
        char hex[65];
        sha256_hex(name.at, name.len, hex);
        name.len = NAME_LONGEST;
        buf_printf(&name, "-%.6s", hex);
    }
    buf_put(&name, "", 1);
    return buf_done(&name, arena);
}

static bool link_run(Experiment *x, Eval *e, const Row *row, const char *hash) {
    const char *name = row->set->keys ? keys_file(e->arena, row->key, row->set->keys) : "run";
    const char *path = path_join(e->arena, x->folder, arena_printf(e->arena, "%s.safetensors", name));
    const char *target = arena_printf(e->arena, "%s../../runs/%s/weights.safetensors",
                                      x->lab->options.shards ? "../" : "", hash);
    const char *made = arena_printf(e->arena, "%s.tmp-%ld", path, (long)getpid());
    unlink(made); /* then all at once: another process may do the same now */
    if (symlink(target, made) == 0 && rename(made, path) == 0) return true;
    diag_add(e->diags, D_R0103, x->ast->experiment.name_span, "%s", file_error(e->arena, path, "link", errno));
    return false;
}

/* Models and runs among the columns are stored and linked under their keys. */
static bool links_write(Experiment *x, Eval *e) {
    for (int s = 0; s < x->sets.len; s++)
        for (int r = 0; r < x->sets.at[s]->rows.len; r++) {
            const Row *row = x->sets.at[s]->rows.at[r];
            for (int c = 0; c < row->set->columns; c++) {
                const Value *value = &row->column[c];
                if (value->kind != V_OBJECT || value->object->class != &model_class) continue;
                const Model *model = (const Model *)value->object;
                if (!model->run || !store_put(e, (Run *)(uintptr_t)model->run, true, x->ast->experiment.name_span))
                    continue;
                if (!link_run(x, e, row, run_hash(model->run))) return false;
            }
        }
    for (int i = 0; i < x->linked.len; i++)
        if (!link_run(x, e, x->linked.at[i].row, x->linked.at[i].hash)) return false;
    return true;
}

/* ---- provenance ---- */

/* The seeds of the rows, as one list. */
static Datum seeds_datum(Arena *arena, const Experiment *x) {
    VEC(Datum) seeds = {0};
    for (int s = 0; s < x->sets.len; s++)
        for (int k = 0; k < x->sets.at[s]->keys; k++) {
            if (strcmp(x->sets.at[s]->key[k], "seed")) continue;
            for (int r = 0; r < x->sets.at[s]->rows.len; r++) {
                const Value *seed = &x->sets.at[s]->rows.at[r]->key[k];
                bool known = seed->kind != V_INT;
                for (int i = 0; !known && i < seeds.len; i++) known = seeds.at[i].integer == seed->integer;
                if (!known) vec_push(arena, &seeds, datum_int(seed->integer));
            }
        }
    return datum_list(seeds.at, seeds.len);
}

static int compare_texts(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static bool close_provenance(Experiment *x, Eval *e) {
    const LabOptions *o = &x->lab->options;
    Arena *arena = e->arena;
    ProvenanceData *data = arena_array(arena, ProvenanceData, x->data.len + 1);
    for (int i = 0; i < x->data.len; i++) data[i] = (ProvenanceData){x->data.at[i]->name, x->data.at[i]->hash};
    Field seed = {"seed", seeds_datum(arena, x)};
    Field defaults[] = {{"train.precision", datum_text(dtype_name(e->session->precision))},
                        {"session.order", datum_text("shuffled")},
                        {"session.take", datum_text("last")},
                        {"session.cells", datum_text("exact")}};
    const char **notes = arena_array(arena, const char *, x->strategies.len + 3);
    int n = x->strategies.len;
    for (int i = 0; i < n; i++) notes[i] = x->strategies.at[i];
    qsort(notes, (size_t)n, sizeof *notes, compare_texts);
    if (x->measures_time) notes[n++] = "uses measured times: trials were trained one at a time";
    if (o->shards) notes[n++] = arena_printf(arena, "shard %d of %d: the rows of its turns only", o->shard, o->shards);
    if (lab_interrupted(x->lab)) notes[n++] = "interrupted: rows are missing";
    Provenance p = {.version = NIN_VERSION, .semantics = SEMANTICS_VERSION, .program = o->program,
                    .experiment = x->name, .program_sha256 = o->program_hash ? o->program_hash : "", .data = data,
                    .data_count = x->data.len, .settings = x->settings, .setting_count = x->setting_count,
                    .seeds = &seed, .seed_count = seed.value.list.len ? 1 : 0, .defaults = defaults,
                    .default_count = COUNT(defaults), .precision = dtype_name(e->session->precision),
                    .compiler = o->backend == BACKEND_JIT ? "LLVM" : o->backend == BACKEND_C ? o->c_compiler
                        : "interpreter",
                    .cpu = provenance_cpu(arena), .target = o->code.cpu ? o->code.cpu : "host", .threads = o->threads,
                    .notes = notes, .note_count = n};
    char *error = NULL;
    if (o->program_text && !file_write(arena, path_join(arena, x->folder, "program.nin"), o->program_text,
                                       o->program_length, FILE_NO_SYNC, &error)) {
        diag_add(e->diags, D_R0103, x->ast->experiment.name_span, "%s", error);
        return false;
    }
    if (provenance_write(arena, path_join(arena, x->folder, "run.json"), &p, FILE_SYNC, &error)) return true;
    diag_add(e->diags, D_R0103, x->ast->experiment.name_span, "%s", error);
    return false;
}

bool experiment_close(Experiment *x, Eval *e) {
    if (lab_interrupted(x->lab)) {
        Diag *diag = diag_add(e->diags, D_R0103, x->ast->experiment.name_span,
                              "interrupted: %lld of %lld turns of %s are done", (long long)x->turns_done,
                              (long long)x->turns, x->name);
        if (x->folder && x->rows) diag_note(diag, "their %lld rows are in %s", (long long)x->rows, x->folder);
        diag_hint(
            diag,
            "run the program again: trainings that had ended are found again, others go on from their last state");
    }
    if (!x->folder) return true;
    bool written = links_write(x, e) && close_provenance(x, e);
    const LabOptions *o = &x->lab->options;
    if (!o->say || !x->files.len) return written;
    Buf text = {0};
    buf_printf(&text, "%s: %lld row%s, %.2f s, in %s:", x->name, (long long)x->rows, x->rows == 1 ? "" : "s",
               seconds_now() - x->started, x->folder);
    for (int i = 0; i < x->files.len; i++) {
        const char *slash = strrchr(x->files.at[i], '/');
        buf_printf(&text, " %s", slash ? slash + 1 : x->files.at[i]);
    }
    buf_put(&text, "\n", 2);
    o->say(o->say_data, text.at);
    buf_free(&text);
    return written;
}

/* ---- the first value that is not finite ---- */

static const void *probe_rows(Arena *arena, const GraphInput *in, const Feed *feed, int64_t first, int64_t count) {
    size_t row = (size_t)shape_size(&in->shape) * dtype_size(in->dtype);
    char *out = arena_alloc(arena, row * (size_t)count + 1);
    for (int64_t i = 0; i < count; i++) {
        int64_t example = feed->order ? feed->order[first + i] : first + i;
        memcpy(out + row * (size_t)i, (const char *)feed->rows[in->index] + row * (size_t)example, row);
    }
    return out;
}

static const void *probe_input(Arena *arena, const GraphInput *in, const TrainPlan *plan, const void *block,
                               const Feed *feed, int64_t step, int64_t first, int64_t count) {
    int32_t *integer = arena_new_of(arena, int32_t);
    switch (in->kind) {
    case IN_ROWS: return probe_rows(arena, in, feed, first, count);
    case IN_BLOCK: return (const char *)block + plan->program->layout.slot[in->index].offset;
    case IN_SETTING: return &feed->settings[in->index];
    case IN_STEP: *integer = (int32_t)step; return integer;
    case IN_BATCH: *integer = (int32_t)count; return integer;
    case IN_MAPPED: case IN_SHARED: case IN_CARRY: case IN_SLICE: case IN_SLICE_BACK: case IN_WHOLE: break;
    }
    return NULL;
}

/* Runs the step by the interpreter with every float node as an output, and names the first bad one. */
void train_explain_divergence(Diag *diag, const TrainPlan *plan, const void *block, const Feed *feed, int64_t step) {
    Arena *arena = arena_new();
    Graph *probe = graph_copy(arena, plan->program->graph);
    probe->outputs.len = 0;
    int64_t batch = feed->batch, per_epoch = (feed->examples + batch - 1) / batch, first = step % per_epoch * batch;
    int64_t count = first + batch > feed->examples ? feed->examples - first : batch;
    for (Val v = 1; v < (Val)probe->node.len; v++) {
        const Node *node = graph_node(probe, v);
        if ((node->dtype == DT_F32 || node->dtype == DT_F64) && node->op != G_MAP)
            graph_output(probe, OUT_VALUE, probe->outputs.len, "probe", v);
    }
    const void **inputs = arena_array(arena, const void *, probe->inputs.len + 1);
    const void **outputs = arena_array(arena, const void *, probe->outputs.len + 1);
    for (int i = 0; i < probe->inputs.len; i++)
        inputs[i] = probe_input(arena, &probe->inputs.at[i], plan, block, feed, step, first, count);
    if (!graph_eval(arena, probe, count, inputs, outputs, feed->keys, (int32_t)step)) { arena_free(arena); return; }
    for (int i = 0; i < probe->outputs.len; i++) {
        Val v = probe->outputs.at[i].value;
        const Node *node = graph_node(probe, v);
        int64_t n = shape_size(&node->shape) * (node->batched ? count : 1);
        for (int64_t k = 0; k < n; k++) {
            double x = node->dtype == DT_F64 ? ((const double *)outputs[i])[k] : ((const float *)outputs[i])[k];
            if (isfinite(x)) continue;
            diag_label(diag, node->span, "%s gives %s here first", op_name((Op)node->op),
                       isnan(x) ? "NaN" : "infinity");
            arena_free(arena);
            return;
        }
    }
    arena_free(arena);
}
