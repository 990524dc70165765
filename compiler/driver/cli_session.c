/* cli_session.c -- a session as the options and the environment say: folders, the plugin, output, progress; loading of
 * programs; diagnostics shown; exit codes. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "driver/cli.h"
#include "experiment/experiment.h"
#include "report/datum.h"
#include "support/file.h"
#include "support/sha256.h"

enum { PROGRAM_LIMIT = 64 << 20, MOST_SHOWN = 20 };

static double seconds_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

void cli_error(const Cli *cli, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fprintf(stderr, cli->color && cli->err_terminal ? "\033[1mnin:\033[0m " : "nin: ");
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
}

/* ---- folders ---- */

typedef VEC(const char *) Folders;

static void add_folder(Cli *cli, Folders *folders, const char *folder)
{
    if (folder && *folder)
        vec_push(cli->arena, folders, folder);
}

const char *cli_user_folder(Cli *cli)
{
    const char *user = getenv("XDG_DATA_HOME"), *home = getenv("HOME");
    if (user && *user)
        return path_join(cli->arena, user, "nin");
    return home && *home ? path_join(cli->arena, home, ".local/share/nin") : NULL;
}

/* --data, then NIN_DATA (several with ':' between), the program's folder, the user's data folder, the system's. */
const char *const *cli_data_folders(Cli *cli)
{
    const char *given = getenv("NIN_DATA"), *user = cli_user_folder(cli);
    char *rest = given ? arena_copy(cli->arena, given, strlen(given)) : NULL;
    Folders folders = {0};
    for (int i = 0; i < cli->data.len; i++)
        add_folder(cli, &folders, cli->data.at[i]);
    for (char *folder; (folder = strsep(&rest, ":"));)
        add_folder(cli, &folders, folder);
    add_folder(cli, &folders, cli->folder);
    add_folder(cli, &folders, user);
    add_folder(cli, &folders, "/usr/share/nin");
    add_folder(cli, &folders, "/usr/share/datasets");   /* Debian's dataset-fashion-mnist */
    vec_push(cli->arena, &folders, (const char *)NULL);
    return folders.at;
}

/* Decoded data sets: below the user's cache folder. */
static const char *cache_folder(Cli *cli)
{
    const char *user = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    if (user && *user == '/')
        return path_join(cli->arena, user, "nin");
    return home && *home ? path_join(cli->arena, home, ".cache/nin") : NULL;
}

/* libnin-llvm.so beside the executable, or in ../lib/nin. */
static const char *plugin_find(Cli *cli)
{
    char self[4096];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    char *slash = n > 0 ? memrchr(self, '/', (size_t)n) : NULL;
    if (!slash)
        return "libnin-llvm.so";
    const char *folder = arena_copy(cli->arena, self, (size_t)(slash - self));
    const char *beside = path_join(cli->arena, folder, "libnin-llvm.so");
    return access(beside, R_OK) == 0 ? beside : path_join(cli->arena, folder, "../lib/nin/libnin-llvm.so");
}

bool cli_cpu_known(Cli *cli)
{
    CodeOptions options = cli->lab_options.code;
    Target target;
    const char *error = NULL;
    if (!options.cpu)
        return true;
    options.plugin = plugin_find(cli);
    if (emit_target(&options, &target, &error))
        return true;
    cli_error(cli, "--cpu %s: %s", options.cpu, error);
    return false;
}

static char *read_file(Arena *arena, const char *path, size_t *length, const char **error)
{
    char *bytes, *why = NULL;
    if (file_read(arena, path, PROGRAM_LIMIT, &bytes, length, &why))
        return bytes;
    *error = why;
    return NULL;
}

static int thread_count(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) > 0)
        return CPU_COUNT(&set);
    return 1;
}

/* ---- what the laboratory says: tables and prints to stdout, progress to stderr ---- */

static void put_progress(void *data, const char *text, size_t length)
{
    (void)data;
    fwrite(text, 1, length, stderr);
}

static void say(void *data, const char *text)
{
    Cli *cli = data;
    pthread_mutex_lock(&cli->progress_lock);
    if (cli->out_terminal && cli->err_terminal) {
        progress_say(cli->progress, seconds_now(), text);
    } else {
        fputs(text, stdout);
        fflush(stdout);
    }
    pthread_mutex_unlock(&cli->progress_lock);
}

/* --log json: {"seconds":1.25,"what":"joint","done":12,"total":200,"detail":"train_loss 0.3"}, at most ten a second but
 * the last. */
static void log_progress(void *data, const char *what, double done, int64_t total, const char *detail)
{
    Cli *cli = data;
    double now = seconds_now();
    pthread_mutex_lock(&cli->progress_lock);
    if (!cli->log_started)
        cli->log_started = now;
    if (done >= (double)total || now - cli->log_shown >= 0.1) {
        Buf line = {0};
        buf_printf(&line, "{\"seconds\":%.3f,\"what\":", now - cli->log_started);
        json_text(&line, what);
        buf_printf(&line, ",\"done\":%.10g,\"total\":%lld,\"detail\":", done, (long long)total);
        json_text(&line, detail ? detail : "");
        buf_text(&line, "}\n");
        fwrite(line.at, 1, line.len, stderr);
        buf_free(&line);
        cli->log_shown = now;
    }
    pthread_mutex_unlock(&cli->progress_lock);
}

static void show_progress(void *data, const char *what, double done, int64_t total, const char *detail)
{
    Cli *cli = data;
    double now = seconds_now();
    pthread_mutex_lock(&cli->progress_lock);
    if (!cli->progress_what || strcmp(cli->progress_what, what) != 0 || done < cli->progress_done) {
        cli->progress_what = arena_copy(cli->arena, what, strlen(what));
        progress_start(cli->progress, now, what, "done", total);
    }
    cli->progress_done = done;
    progress_update(cli->progress, now, done, detail);
    pthread_mutex_unlock(&cli->progress_lock);
}

static void progress_open(Cli *cli)
{
    ProgressMode mode = cli->quiet || cli->log_json ? PROGRESS_QUIET
                        : cli->err_terminal         ? PROGRESS_TERMINAL
                                                    : PROGRESS_PLAIN;
    cli->progress = progress_new(mode, cli->width ? cli->width : 80, put_progress, cli);
    cli->lab_options.progress = cli->log_json ? log_progress : show_progress;
    cli->lab_options.progress_data = cli;
    cli->lab_options.say = say;
    cli->lab_options.say_data = cli;
}

/* ---- the session ---- */

const char *cli_scratch(Cli *cli)
{
    const char *base = getenv("TMPDIR");
    if (!cli->c_folder)
        cli->c_folder = mkdtemp(path_join(cli->arena, base && *base ? base : "/tmp", "nin-XXXXXX"));
    if (!cli->c_folder)
        cli_error(cli, "no folder for temporary files can be made");
    return cli->c_folder;
}

void cli_open(Cli *cli)
{
    LabOptions *o = &cli->lab_options;
    Session *session = cli->session = session_new(lab_builtin_table(cli->arena));
    session->data_folders = cli_data_folders(cli);
    session->cache_folder = cache_folder(cli);
    session->out_folder = cli->out;
    session->read_file = read_file;
    session->precision = cli->precision;
    cli->shown.len = 0;
    if (!o->threads)
        o->threads = thread_count();
    o->code.plugin = plugin_find(cli);
    if (session->cache_folder && !cli->no_cache)
        o->code.objects = path_join(cli->arena, session->cache_folder, "objects");
    o->interrupted = cli_interrupted;
    o->width = cli->out_terminal ? cli->width : 0;
    o->bold = cli->out_terminal && cli->color;
    if (o->backend == BACKEND_C) {
        o->c_compiler = "gcc";
        o->c_folder = cli_scratch(cli);
    }
    progress_open(cli);
}

static void folder_remove(const char *path)
{
    DIR *dir = opendir(path);
    struct dirent *entry;
    while (dir && (entry = readdir(dir)))
        if (entry->d_name[0] != '.')
            unlinkat(dirfd(dir), entry->d_name, 0);
    if (dir)
        closedir(dir);
    rmdir(path);
}

void cli_close(Cli *cli)
{
    if (cli->progress) {
        progress_finish(cli->progress, seconds_now(), cli->progress_done);
        progress_free(cli->progress);
    }
    lab_free(cli->lab);
    if (cli->session)
        session_free(cli->session);
    if (cli->c_folder)
        folder_remove(cli->c_folder);
}

void cli_lab(Cli *cli, const char *program, const char *text, size_t length)
{
    char *hex = arena_alloc(cli->arena, 65);
    sha256_hex(text, length, hex);
    cli->lab_options.program = program;
    cli->lab_options.program_hash = hex;
    cli->lab_options.program_text = text;
    cli->lab_options.program_length = length;
    if (cli->lab)
        return;
    cli->lab = lab_new(cli->session, &cli->lab_options);
    cli->session->lab.loop = lab_loop;
    cli->session->lab.check = lab_check;
    cli->session->lab.state = cli->lab;
}

/* "xor" of "studies/xor.nin". */
static const char *program_name(Cli *cli, const char *path)
{
    const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path, *dot = strrchr(base, '.');
    return arena_copy(cli->arena, base, dot && dot > base ? (size_t)(dot - base) : strlen(base));
}

LoadedModule *cli_load(Cli *cli, const char *path)
{
    char *text = "", *error;
    size_t length = 0;
    const char *slash = path ? strrchr(path, '/') : NULL;
    if (path)
        cli->folder = slash ? arena_copy(cli->arena, path, (size_t)(slash - path) + (slash == path)) : ".";
    if (!cli->session)
        cli_open(cli);
    if (path && !file_read(cli->arena, path, PROGRAM_LIMIT, &text, &length, &error)) {
        cli_error(cli, "%s", error);
        cli->machine = true;
        return NULL;
    }
    cli_lab(cli, program_name(cli, path ? path : "library"), text, length);
    return path ? session_load(cli->session, path) : session_load_text(cli->session, "library", "");
}

/* A run that diverged (R0102) is a result: it is recorded as such. */
static bool diag_is_error(DiagCode code)
{
    Severity severity = diag_severity(code);
    return severity == SEVERITY_ERROR || (severity == SEVERITY_RUNTIME && code != D_R0102);
}

void cli_progress_end(Cli *cli)
{
    pthread_mutex_lock(&cli->progress_lock);
    if (cli->progress && cli->progress_what)
        progress_finish(cli->progress, seconds_now(), cli->progress_done);
    cli->progress_what = NULL;
    pthread_mutex_unlock(&cli->progress_lock);
}

static bool shown_before(const Cli *cli, const Diag *diag)
{
    for (int i = 0; i < cli->shown.len; i++) {
        const ShownDiag *old = &cli->shown.at[i];
        if (old->code == diag->code && old->span.lo == diag->span.lo && old->span.hi == diag->span.hi &&
            strcmp(old->message, diag->message) == 0)
            return true;
    }
    return false;
}

/* A warning of the check comes again while the program runs: it is shown once. */
static void drop_shown(Cli *cli, Diags *diags)
{
    int kept = 0;
    for (int i = 0; i < diags->list.len; i++) {
        Diag *diag = diags->list.at[i];
        if (!diag_is_error(diag->code)) {
            if (shown_before(cli, diag))
                continue;
            ShownDiag shown = {diag->code, diag->span, arena_copy(cli->arena, diag->message, strlen(diag->message))};
            vec_push(cli->arena, &cli->shown, shown);
        }
        diags->list.at[kept++] = diag;
    }
    diags->list.len = kept;
}

bool cli_show(Cli *cli, FILE *to)
{
    Diags *diags = &cli->session->diags;
    drop_shown(cli, diags);
    Buf text = {0};
    bool errors = false, terminal = to == stdout ? cli->out_terminal : cli->err_terminal;
    for (int i = 0; i < diags->list.len; i++) {
        DiagCode code = diags->list.at[i]->code;
        errors |= diag_is_error(code);
        if (code == D_R0103 || code == D_E0601)
            cli->machine = true;
        else
            cli->at_fault |= diag_is_error(code);
    }
    if (diags->list.len || cli->style == DIAG_JSON) {
        diags_render(diags, cli->style, cli->color && terminal, cli->width ? cli->width : 100,
                     cli->style == DIAG_HUMAN ? MOST_SHOWN : 0, &text);
        if (cli->progress)
            progress_finish(cli->progress, seconds_now(), cli->progress_done);
        fflush(stdout);
        if (text.len)
            fwrite(text.at, 1, text.len, to);
        fflush(to);
        buf_free(&text);
    }
    diags_discard(diags, 0);
    return !errors;
}

int cli_status(const Cli *cli, bool ok)
{
    if (cli->at_fault)
        return EXIT_PROGRAM;
    return cli->machine || (!ok && cli_interrupted(NULL)) ? EXIT_MACHINE : ok ? EXIT_DONE : EXIT_PROGRAM;
}

bool cli_evaluate(Cli *cli, Eval *e, LoadedModule *module, const char *title, const char *text, Value *out)
{
    Session *session = cli->session;
    int before = session->diags.errors;
    const Source *source = sources_add(session->sources, title, text, strlen(text));
    ParseContext context = {session->arena, session->names, &session->diags, &session->next_id, true};
    const Module *parsed = source ? parse_module(&context, source) : NULL;
    if (!parsed || session->diags.errors > before)
        return false;
    if (parsed->items.len != 1) {
        diag_add(&session->diags, D_E0201, (Span){source->base, source->base + source->length},
                 "here one expression is expected");
        return false;
    }
    return eval_expr(e, parsed->items.at[0], module->scope, out);
}
