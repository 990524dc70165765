/* cli_results.c -- nin results FOLDER: what experiments left, as tables again; nin results merge: shards into one
 * folder.
 *
 * An experiment's folder is FOLDER/PROGRAM/EXPERIMENT; that of a shard has shard-I-of-N below it, with shard.json: for
 * each line of records.jsonl its `record` (by place in the text) and its number, by which lines of all shards are put
 * in the order that one process would have given them. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "driver/cli_results.h"
#include "support/file.h"

int results_machine(const Cli *cli, const char *error)
{
    cli_error(cli, "%s", error);
    return EXIT_MACHINE;
}

char *results_file(Cli *cli, const char *path, size_t *length)
{
    char *bytes, *error;
    if (file_read(cli->arena, path, 0, &bytes, length, &error))
        return bytes;
    cli_error(cli, "%s", error);
    return NULL;
}

/* ---- merge ---- */

typedef struct ShardLine { int64_t place, number, order; int shard; const char *text; } ShardLine;
typedef struct Shard { int number, of; const char *program_hash, *folder; json_int_t turns; } Shard;
typedef struct Merge {
    Cli *cli; const char *program, *experiment, *folder;                /* folder: where the result goes */
    VEC(Shard) shards; VEC(ShardLine) lines[2];
} Merge;
static const char *const files[2] = {"records.jsonl", "measured.jsonl"}, *const lists[2] = {"records", "measured"};

static bool damaged(const Cli *cli, const char *path)
{
    cli_error(cli, "%s: does not fit its shard.json", path);
    return false;
}

static bool shard_lines(Merge *m, const Shard *s, json_t *places, int file)
{
    const char *path = path_join(m->cli->arena, s->folder, files[file]);
    size_t length = 0;
    Names lines = {0};
    if (json_array_size(places))
        lines = lines_of(m->cli->arena, results_file(m->cli, path, &length));
    if ((size_t)lines.list.len != json_array_size(places))
        return damaged(m->cli, path);
    for (int i = 0; i < lines.list.len; i++) {
        json_t *place = json_array_get(places, (size_t)i);
        ShardLine line = {json_integer_value(json_array_get(place, 0)), json_integer_value(json_array_get(place, 1)), i,
                          s->number, lines.list.at[i]};
        if (line.number % 2 == 0 && s->number > 1)                      /* recorded outside of loops: by each shard */
            continue;
        vec_push(m->cli->arena, &m->lines[file], line);
    }
    return true;
}

static bool shard_read(Merge *m, const char *folder)
{
    json_error_t error;
    const char *path = path_join(m->cli->arena, folder, "shard.json");
    json_t *root = json_load_file(path, 0, &error);
    if (!root) {
        cli_error(m->cli, "%s: line %d: %s", path, error.line, error.text);
        return false;
    }
    const char *hash = json_string_value(json_object_get(root, "program_sha256"));
    Shard s = {(int)json_integer_value(json_object_get(root, "shard")),
               (int)json_integer_value(json_object_get(root, "of")),
               hash ? arena_copy(m->cli->arena, hash, strlen(hash)) : "", folder,
               json_integer_value(json_object_get(root, "turns"))};
    bool ok = true;
    for (int i = 0; ok && i < m->shards.len; i++) {
        const Shard *other = &m->shards.at[i];
        ok = other->of == s.of && other->number != s.number && other->turns == s.turns &&
             strcmp(other->program_hash, s.program_hash) == 0;
        if (!ok)
            cli_error(m->cli, "%s and %s are not shards of one run: shard %d of %d, shard %d of %d%s", other->folder,
                      s.folder, other->number, other->of, s.number, s.of,
                      strcmp(other->program_hash, s.program_hash) ? ", of different programs" : "");
    }
    for (int file = 0; ok && file < 2; file++)
        ok = shard_lines(m, &s, json_object_get(root, lists[file]), file);
    json_decref(root);
    vec_push(m->cli->arena, &m->shards, s);
    return ok;
}

static int by_place(const void *a, const void *b)
{
    const ShardLine *x = a, *y = b;
    if (x->place != y->place)
        return x->place < y->place ? -1 : 1;
    if (x->number != y->number)
        return x->number < y->number ? -1 : 1;
    return (x->order > y->order) - (x->order < y->order);
}

/* Links to the weights of runs, KEYS.safetensors, one folder higher than the shard's. */
static bool links_merge(Merge *m, const char *folder)
{
    Names names = folder_names(m->cli->arena, folder);
    for (int i = 0; i < names.list.len; i++) {
        char target[4096];
        const char *at = path_join(m->cli->arena, folder, names.list.at[i]),
                   *to = path_join(m->cli->arena, m->folder, names.list.at[i]);
        ssize_t n = readlink(at, target, sizeof target - 1);
        if (n < 4 || strncmp(target, "../", 3) != 0)
            continue;
        target[n] = 0;
        unlink(to);
        if (symlink(target + 3, to) != 0)
            return results_machine(m->cli, file_error(m->cli->arena, to, "link", errno)) == EXIT_DONE;
    }
    return true;
}

static bool merge_write(Merge *m)
{
    char *error = NULL;
    if (!folder_make(m->cli->arena, m->folder, &error))
        return results_machine(m->cli, error) == EXIT_DONE;
    for (int file = 0; file < 2; file++) {
        Buf text = {0};
        if (!m->lines[file].len)
            continue;
        qsort(m->lines[file].at, (size_t)m->lines[file].len, sizeof *m->lines[file].at, by_place);
        for (int i = 0; i < m->lines[file].len; i++)
            buf_printf(&text, "%s\n", m->lines[file].at[i].text);
        bool ok = file_write(m->cli->arena, path_join(m->cli->arena, m->folder, files[file]), text.at, text.len,
                             FILE_SYNC, &error);
        buf_free(&text);
        if (!ok)
            return results_machine(m->cli, error) == EXIT_DONE;
    }
    for (int i = 0; i < m->shards.len; i++)
        if (!links_merge(m, m->shards.at[i].folder))
            return false;
    int of = m->shards.at[0].of;
    printf("%s/%s: %d rows of %d of %d shards, in %s\n", m->program, m->experiment, m->lines[0].len, m->shards.len, of,
           m->folder);
    return true;
}

/* Copies what a run's folder holds; what is there already is the same. */
static bool run_copy(Cli *cli, const char *from, const char *to)
{
    char *bytes, *error = NULL;
    size_t length;
    Names names = folder_names(cli->arena, from);
    if (!folder_make(cli->arena, to, &error))
        return results_machine(cli, error) == EXIT_DONE;
    for (int last = 0; last < 2; last++) /* the curve last: it says that the folder is whole */
        for (int i = 0; i < names.list.len; i++) {
            const char *name = names.list.at[i], *target = path_join(cli->arena, to, name);
            if ((strcmp(name, "curve.json") == 0) != last || strcmp(name, "lock") == 0 || file_exists(target))
                continue;
            if (!file_read(cli->arena, path_join(cli->arena, from, name), 0, &bytes, &length, &error) ||
                !file_write(cli->arena, target, bytes, length, FILE_SYNC, &error))
                return results_machine(cli, error) == EXIT_DONE;
        }
    return true;
}

static bool runs_merge(Cli *cli, const char *from, const char *to)
{
    const char *source = path_join(cli->arena, from, "runs"), *target = path_join(cli->arena, to, "runs");
    Names names = folder_names(cli->arena, source);
    for (int i = 0; i < names.list.len; i++)
        if (!run_copy(cli, path_join(cli->arena, source, names.list.at[i]),
                      path_join(cli->arena, target, names.list.at[i])))
            return false;
    return true;
}

/* The experiments of all folders that have shards, each once. */
static bool merge_experiment(Cli *cli, const char *program, const char *experiment, bool *any)
{
    Merge m = {.cli = cli, .program = program, .experiment = experiment};
    m.folder = path_join(cli->arena, path_join(cli->arena, cli->out, program), experiment);
    for (int k = 1; k < cli->arguments.len; k++) {
        const char *folder = path_join(cli->arena, path_join(cli->arena, cli->arguments.at[k], program), experiment);
        Names names = folder_names(cli->arena, folder);
        for (int i = 0; i < names.list.len; i++)
            if (strncmp(names.list.at[i], "shard-", 6) == 0 &&
                !shard_read(&m, path_join(cli->arena, folder, names.list.at[i])))
                return false;
    }
    if (!m.shards.len)
        return true;
    *any = true;
    return merge_write(&m);
}

static bool known(const Names *names, const char *name)
{
    for (int i = 0; i < names->list.len; i++)
        if (strcmp(names->list.at[i], name) == 0)
            return true;
    return false;
}

static int results_merge(Cli *cli)
{
    Names seen = {0};
    bool any = false;
    if (cli->arguments.len < 2) {
        cli_error(cli, "usage: nin results merge FOLDER... --out FOLDER");
        return EXIT_USAGE;
    }
    for (int k = 1; k < cli->arguments.len; k++) {
        const char *folder = cli->arguments.at[k];
        char *missing = folder_missing(cli->arena, folder);
        if (missing)
            return results_machine(cli, missing);
        if (strcmp(folder, cli->out) != 0 && !runs_merge(cli, folder, cli->out))
            return EXIT_MACHINE;
        Names programs = folder_names(cli->arena, folder);
        for (int p = 0; p < programs.list.len; p++) {
            Names experiments = folder_names(cli->arena, path_join(cli->arena, folder, programs.list.at[p]));
            for (int x = 0; x < experiments.list.len && strcmp(programs.list.at[p], "runs"); x++) {
                const char *both = arena_printf(cli->arena, "%s/%s", programs.list.at[p], experiments.list.at[x]);
                if (known(&seen, both))
                    continue;
                vec_push(cli->arena, &seen.list, both);
                if (!merge_experiment(cli, programs.list.at[p], experiments.list.at[x], &any))
                    return EXIT_MACHINE;
            }
        }
    }
    if (any) {
        printf("tables and figures: `nin run` with --out %s, as the shards but without --shard; "
               "it finds the runs again\n", cli->out);
        return EXIT_DONE;
    }
    cli_error(cli, "there are no shards in these folders; `nin run FILE --shard 1/4` makes the first of four");
    return EXIT_MACHINE;
}

/* ---- experiments ---- */

/* What run.json notes: interrupted, a shard, measured times. */
static void notes_show(Cli *cli, const char *folder)
{
    json_error_t error;
    json_t *root = json_load_file(path_join(cli->arena, folder, "run.json"), 0, &error),
           *notes = json_object_get(root, "notes");
    for (size_t i = 0; i < json_array_size(notes); i++)
        if (json_string_value(json_array_get(notes, i)))
            printf("%s\n", json_string_value(json_array_get(notes, i)));
    json_decref(root);
}

static bool experiment_show(Cli *cli, const char *name, const char *folder, int *written)
{
    Names names = folder_names(cli->arena, folder);
    size_t length = 0;
    const char *records = path_join(cli->arena, folder, "records.jsonl");
    bool rows = cli->where.len || cli->style == DIAG_JSON || cli->tsv;
    if (cli->tensorboard)
        return tensorboard_write(cli, name, folder, written);
    if (rows)
        return !file_exists(records) || results_rows(cli, folder);
    char *text = file_exists(records) ? results_file(cli, records, &length) : NULL;
    Names lines = lines_of(cli->arena, text);
    printf("%s: %d rows, in %s\n", name, lines.list.len, folder);
    notes_show(cli, folder);
    if (!strstr(name, "/shard-"))                                       /* a shard has only some of them */
        results_seeds(cli, lines);
    printf("\n");
    for (int i = 0; i < names.list.len; i++) {
        const char *dot = strrchr(names.list.at[i], '.');
        if (!dot || strcmp(dot, ".tsv") != 0)
            continue;
        text = results_file(cli, path_join(cli->arena, folder, names.list.at[i]), &length);
        if (!text)
            return false;
        results_table(cli, arena_copy(cli->arena, names.list.at[i], (size_t)(dot - names.list.at[i])), text);
    }
    return true;
}

static bool experiment_asked(const Cli *cli, const char *name)
{
    for (int i = 0; i < cli->experiments.len; i++)
        if (strcmp(cli->experiments.at[i], name) == 0)
            return true;
    return cli->experiments.len == 0;
}

typedef struct Shown { Cli *cli; int experiments, written; } Shown;

/* The experiment in a folder, or its shards where they are not merged. */
static bool folder_show(Shown *s, const char *name, const char *folder)
{
    Arena *arena = s->cli->arena;
    Names parts = folder_names(arena, folder);
    bool ok = true;
    if (file_exists(path_join(arena, folder, "run.json")) || file_exists(path_join(arena, folder, "records.jsonl"))) {
        s->experiments++;
        return experiment_show(s->cli, name, folder, &s->written);
    }
    for (int i = 0; ok && i < parts.list.len; i++) {
        if (strncmp(parts.list.at[i], "shard-", 6) != 0)
            continue;
        s->experiments++;
        ok = experiment_show(s->cli, arena_printf(arena, "%s/%s", name, parts.list.at[i]),
                             path_join(arena, folder, parts.list.at[i]), &s->written);
    }
    return ok;
}

int command_results(Cli *cli)
{
    const char *folder = cli->arguments.at[0];
    Shown s = {.cli = cli};
    if (strcmp(folder, "merge") == 0)
        return results_merge(cli);
    char *missing = folder_missing(cli->arena, folder);
    if (missing)
        return results_machine(cli, missing);
    Names programs = folder_names(cli->arena, folder);
    for (int p = 0; p < programs.list.len; p++) {
        const char *program = path_join(cli->arena, folder, programs.list.at[p]);
        Names experiments = folder_names(cli->arena, program);
        for (int x = 0; x < experiments.list.len && strcmp(programs.list.at[p], "runs"); x++)
            if (experiment_asked(cli, experiments.list.at[x]) &&
                !folder_show(&s, arena_printf(cli->arena, "%s/%s", programs.list.at[p], experiments.list.at[x]),
                             path_join(cli->arena, program, experiments.list.at[x])))
                return EXIT_MACHINE;
    }
    if (!s.experiments)
        return results_machine(cli, arena_printf(cli->arena, "%s: no experiment has left results here", folder));
    if (cli->tensorboard && !s.written)
        return results_machine(cli,
                               arena_printf(cli->arena, "%s: no stored run is linked by an experiment here", folder));
    if (cli->tensorboard)
        printf("%d runs, in %s\n", s.written, cli->tensorboard);
    return EXIT_DONE;
}
