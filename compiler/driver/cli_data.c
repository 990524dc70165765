/* cli_data.c -- nin data list, path, verify, fetch: the data sets that have a name.
 *
 * Nothing is fetched by itself: only `nin data fetch` reaches for the network, and only for files whose SHA-256 is
 * known. */
#include <stdio.h>
#include <stdlib.h>

#include "data/fetch.h"
#include "data/known.h"
#include "driver/cli.h"
#include "support/file.h"

typedef struct DataWork { Cli *cli; const KnownSet *set; const char *const *folders; } DataWork;

/* Errors may have a second line. */
static int failed(const Cli *cli, const char *error)
{
    cli_error(cli, "%s", error);
    return EXIT_MACHINE;
}

/* ---- list, path, verify ---- */

static int list_one(DataWork *work)
{
    const DatasetFacts *facts = &work->set->facts;
    KnownPlace place;
    char *error;
    Buf shape = {0};
    shape_print(&facts->shape, &shape);
    const char *where = "built in";
    if (!facts->builtin && known_find(work->cli->arena, work->set, work->folders, &place, &error))
        where = place.archive ? place.path[0] : place.folder;
    else if (!facts->builtin)
        where = arena_printf(work->cli->arena, "not here; nin data fetch %s gets it", facts->name);
    printf("%-14s %-12.*s %3d classes  %5lld for training, %5lld for testing  %s\n", facts->name, (int)shape.len,
           shape.at, facts->classes, (long long)facts->train, (long long)facts->test, where);
    buf_free(&shape);
    return EXIT_DONE;
}

static int path_one(DataWork *work)
{
    KnownPlace place;
    char *error;
    if (work->set->facts.builtin)
        return EXIT_DONE;
    if (!known_find(work->cli->arena, work->set, work->folders, &place, &error))
        return failed(work->cli, error);
    for (int i = 0; i < place.count; i++)
        printf("%s\n", place.path[i]);
    return EXIT_DONE;
}

static int verify_one(DataWork *work)
{
    KnownPlace place;
    char *error;
    bool official;
    const char *name = work->set->facts.name;
    if (work->set->facts.builtin) {
        printf("%s: built in\n", name);
        return EXIT_DONE;
    }
    if (!known_find(work->cli->arena, work->set, work->folders, &place, &error) ||
        !known_verify(work->cli->arena, work->set, &place, &official, &error) || !official)
        return failed(work->cli, error);
    printf("%s: official, in %s\n", name, place.archive ? place.path[0] : place.folder);
    return EXIT_DONE;
}

/* ---- fetch ---- */

typedef struct Meter { const Cli *cli; const char *name; int shown; } Meter;

static void show_meter(void *data, uint64_t done, uint64_t total)
{
    Meter *meter = data;
    int percent = (int)(done * 100 / total);
    if (meter->cli->quiet || !meter->cli->err_terminal || percent == meter->shown)
        return;
    meter->shown = percent;
    fprintf(stderr, "\r%s  %d%% of %.1f MB ", meter->name, percent, (double)total / 1e6);
    if (done == total)
        fputc('\n', stderr);
}

static const char *proxy_for(const char *url)
{
    bool secure = strncmp(url, "https:", 6) == 0;
    const char *const names[] = {secure ? "https_proxy" : "http_proxy", secure ? "HTTPS_PROXY" : "all_proxy",
                                 "ALL_PROXY"};
    for (int i = 0; i < COUNT(names); i++) {
        const char *value = getenv(names[i]);
        if (value && *value)
            return value;
    }
    return NULL;
}

static bool fetch_file(DataWork *work, const OfficialFile *file, const char *folder)
{
    Cli *cli = work->cli;
    char hex[65], *error, *path = path_join(cli->arena, folder, file->name);
    if (file_exists(path) && file_sha256(cli->arena, path, hex, &error) && strcmp(hex, file->sha256) == 0) {
        printf("%s is there\n", path);
        return true;
    }
    Meter meter = {cli, file->name, -1};
    const char *from = cli->from, *slash = from && from[0] && from[strlen(from) - 1] != '/' ? "/" : "";
    FetchRequest request = {.path = path, .size = file->size, .sha256 = file->sha256, .progress = show_meter,
                            .interrupted = cli_interrupted, .data = &meter};
    request.url = arena_printf(cli->arena, "%s%s%s", from ? from : work->set->url, slash, file->name);
    request.proxy = proxy_for(request.url);
    request.no_proxy = getenv("no_proxy");
    bool ok = file_fetch(cli->arena, &request, &error);
    if (meter.shown >= 0 && !ok)
        fputc('\n', stderr);
    if (ok)
        printf("%s\n", path);
    else
        cli_error(cli, "%s", error);
    return ok;
}

static int fetch_one(DataWork *work)
{
    const char *user = cli_user_folder(work->cli), *name = work->set->facts.name;
    if (work->set->facts.builtin) {
        printf("%s is built in\n", name);
        return EXIT_DONE;
    }
    if (!user) {
        cli_error(work->cli, "there is no folder for data: neither XDG_DATA_HOME nor HOME is set");
        return EXIT_MACHINE;
    }
    const char *folder = path_join(work->cli->arena, user, name);
    for (const OfficialFile *file = work->set->official; file->name; file++)
        if (!fetch_file(work, file, folder))
            return EXIT_MACHINE;
    return EXIT_DONE;
}

/* ---- the command ---- */

typedef struct DataVerb {
    const char *name;
    bool all;
    int (*one)(DataWork *work);
} DataVerb; /* all: without a name, every set */
static const DataVerb verbs[] = {
    {"list", true, list_one}, {"path", false, path_one}, {"verify", true, verify_one}, {"fetch", false, fetch_one}};

static const DataVerb *verb_find(const Cli *cli)
{
    const char *names[COUNT(verbs)], *given = cli->arguments.at[0];
    for (int i = 0; i < COUNT(verbs); i++) {
        names[i] = verbs[i].name;
        if (strcmp(verbs[i].name, given) == 0)
            return &verbs[i];
    }
    const char *near = cli_near(given, names, COUNT(verbs));
    cli_error(cli, "`nin data` has no `%s`%s%s%s; it has list, path, verify and fetch", given,
              near ? "; did you mean `" : "", near ? near : "", near ? "`?" : "");
    return NULL;
}

static int names_count(const char *const *names)
{
    int n = 0;
    while (names[n])
        n++;
    return n;
}

/* Every set that is here (of `list`: every set). */
static int all_sets(DataWork *work, const DataVerb *verb)
{
    int status = EXIT_DONE;
    for (const char *const *name = dataset_known(); *name && !cli_interrupted(NULL); name++) {
        KnownPlace place;
        char *error;
        work->set = known_set(*name);
        if (verb->one == verify_one && !work->set->facts.builtin &&
            !known_find(work->cli->arena, work->set, work->folders, &place, &error))
            continue;
        int one = verb->one(work);
        status = one ? one : status;
    }
    return status;
}

int command_data(Cli *cli)
{
    const DataVerb *verb = verb_find(cli);
    const char *const *known = dataset_known();
    int status = EXIT_DONE;
    if (!verb)
        return EXIT_USAGE;
    DataWork work = {.cli = cli, .folders = cli_data_folders(cli)};
    if (cli->arguments.len == 1 && verb->all)
        return all_sets(&work, verb);
    if (cli->arguments.len == 1) {
        cli_error(cli, "say which data set: nin data %s NAME", verb->name);
        return EXIT_USAGE;
    }
    for (int i = 1; i < cli->arguments.len; i++) {
        const char *name = cli->arguments.at[i], *near = cli_near(name, known, names_count(known));
        if (!(work.set = known_set(name))) {
            cli_error(cli, "no data set is called %s%s%s%s", name, near ? "; did you mean " : "", near ? near : "",
                      near ? "?" : "");
            return EXIT_USAGE;
        }
    }
    for (int i = 1; i < cli->arguments.len && !cli_interrupted(NULL); i++) {
        work.set = known_set(cli->arguments.at[i]);
        int one = verb->one(&work);
        status = one ? one : status;
    }
    return status;
}
