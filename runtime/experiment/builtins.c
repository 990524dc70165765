/* builtins.c -- all builtins of the laboratory, in one table for the session. */
#include "experiment/analysis.h"
#include "experiment/artifact.h"
#include "experiment/mark.h"

/* load(file, as: net): a model from a .safetensors file under the data folders or the output folder. */
static const char *load_path(Eval *e, const char *file, const char **searched) {
    const Session *s = e->session;
    static const char results[] = "results/";
    if (strncmp(file, results, sizeof results - 1) == 0) {
        *searched = s->out_folder ? s->out_folder : "results";
        return path_join(e->arena, *searched, file + sizeof results - 1);
    }
    for (int i = 0; s->data_folders && s->data_folders[i]; i++) {
        const char *path = path_join(e->arena, s->data_folders[i], file);
        if (file_exists(path)) return path;
    }
    *searched = "the data folders";
    return NULL;
}

/* Is a missing file of weights one that an experiment of the program being checked will write?  Then it is missed only
 * where it is used: results/PROGRAM/EXPERIMENT/... */
static bool load_later(const Eval *e, const char *file) {
    const LoadedModule *program = e->session->checked;
    for (int i = 0; e->mode == EVAL_CHECK && program && i < program->experiments.len; i++) {
        const char *folder = arena_printf(e->arena, "results/%s/%s/", lab_of(e)->options.program,
                                          program->experiments.at[i]->experiment.name);
        if (strncmp(file, folder, strlen(folder)) == 0) return true;
    }
    return false;
}

static bool builtin_load(Eval *e, const BuiltinCall *call, Value *out) {
    const char *file = call->args[0].text, *searched = "";
    if (file[0] == '/' || strstr(file, "..")) {
        diag_add(e->diags, D_E0901, call->arg_spans[0], "\"%s\" lies outside the data and output folders", file);
        return eval_fail(out);
    }
    Column input;
    if (!net_declared_input(e, &call->args[1], call->arg_spans[1], &input)) return eval_fail(out);
    const NetInfo *info = net_info(e, &call->args[1], &input, e->session->precision, call->span);
    if (!info) return eval_fail(out);
    Model *model = arena_new_of(e->arena, Model);
    char *block = arena_alloc(e->arena, info->layout.size + 64);
    *model = (Model){.object = {&model_class}, .info = info, .block =
                     (void *)(((uintptr_t)block + 63) & ~(uintptr_t)63)};
    *out = value_object(&model->object);
    const char *path = load_path(e, file, &searched);
    if (!path || !file_exists(path)) {
        if (load_later(e, file)) return true;
        Diag *diag = diag_add(e->diags, D_E0601, call->arg_spans[0], "there are no weights \"%s\" in %s", file,
                              searched);
        diag_hint(diag, "run the experiment that makes them first");
        return e->mode == EVAL_CHECK || eval_fail(out);
    }
    model->known = true;
    return model_read(e, info, model->block, path, call->arg_spans[0], false) || eval_fail(out);
}

static const BuiltinRow builtins_load[] = {{"load", builtin_load}, {NULL, NULL}};

/* One array for session_new; filled once by lab_builtin_table. */
const BuiltinRow *lab_builtin_table(Arena *arena) {
    const BuiltinRow *const parts[] = {builtins_train,       builtins_data,     builtins_dataset,    builtins_synthetic,
                                       builtins_noise,       builtins_record,   builtins_table,      builtins_mark,
                                       builtins_figure,      builtins_misc,     builtins_corruption, builtins_load,
                                       builtins_artifact,    builtins_protocol, builtins_attack,     builtins_save,
                                       builtins_surfaces,    builtins_strategy, builtins_cell_facts, builtins_analysis,
                                       builtins_approximate, builtins_spectrum, builtins_distill};
    VEC(BuiltinRow) rows = {0};
    for (int i = 0; i < COUNT(parts); i++)
        for (const BuiltinRow *row = parts[i]; row->name; row++) vec_push(arena, &rows, *row);
    BuiltinRow end = {NULL, NULL};
    vec_push(arena, &rows, end);
    return rows.at;
}
