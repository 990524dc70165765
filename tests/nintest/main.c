/* main.c -- finds the tests, runs them in worker processes, prints what failed and one closing line.
 *
 *   nintest BUILD [--long] [-jN] [--list] [--times] [FILTER...]
 *
 * Run from the repository's root.  Exit code 1 if anything failed; with CI=true also if anything was skipped.
 * Looks at tests/(*)/(*).nin (but tests/data), examples/(*).nin, tests/data/targets/(*).nin, tests/repl/(*).repl and
 * the binaries in BUILD/unit; and at lang/diagnostics.def: a code that no test mentions is a failure. */
#include "tests/nintest/nintest.h"

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

typedef enum JobKind { JOB_UNIT, JOB_FILE, JOB_TARGET, JOB_TRANSCRIPT, JOB_CODES } JobKind;
typedef struct Job {
    JobKind kind; const char *path; pid_t pid; int fd; Buf answer; double started, seconds; bool done;
} Job;
typedef struct Runner { Arena *arena; Options options; VEC(Job) jobs; Report total; } Runner;

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* ---- finding ---- */

static bool wanted(const Options *options, const char *path)
{
    for (int i = 0; i < options->filters_len; i++)
        if (strstr(path, options->filters[i]))
            return true;
    return options->filters_len == 0;
}

static void add_job(Runner *r, JobKind kind, const char *path)
{
    if (wanted(&r->options, path))
        vec_push(r->arena, &r->jobs, ((Job){.kind = kind, .path = path, .fd = -1}));
}

static bool ends_with(const char *text, const char *end)
{
    size_t n = strlen(text), m = strlen(end);
    return n >= m && strcmp(text + n - m, end) == 0;
}

/* Jobs of the folder and those below it, in order of name; names that begin with _ are modules of other tests. */
static void find(Runner *r, const char *folder, JobKind kind, const char *except)
{
    struct dirent **entry;
    int n = scandir(folder, &entry, NULL, alphasort);
    for (int i = 0; i < n; i++) {
        const char *name = entry[i]->d_name, *path = arena_printf(r->arena, "%s/%s", folder, name);
        bool is_folder = entry[i]->d_type == DT_DIR, hidden = name[0] == '.' || name[0] == '_';
        if (strcmp(name, "repl.nin") == 0)              /* a transcript of the prompt */
            hidden = true;
        if (!hidden && is_folder && (!except || strcmp(name, except) != 0))
            find(r, path, kind, NULL);
        else if (!hidden && !is_folder &&
                 (kind == JOB_UNIT ? !strchr(name, '.') : ends_with(name, kind == JOB_TRANSCRIPT ? ".repl" : ".nin")))
            add_job(r, kind, path);
        free(entry[i]);
    }
    if (n >= 0)
        free(entry);
}

static char *file_text(Arena *arena, const char *path)
{
    Buf text = {0};
    char chunk[4096];
    FILE *f = fopen(path, "rb");
    buf_text(&text, "\n");
    for (size_t n; f && (n = fread(chunk, 1, sizeof chunk, f)) > 0;)
        buf_put(&text, chunk, n);
    if (f)
        fclose(f);
    return buf_done(&text, arena);
}

static void find_all(Runner *r)
{
    find(r, arena_printf(r->arena, "%s/unit", r->options.build), JOB_UNIT, "asan");
    find(r, r->options.tests, JOB_FILE, "data");
    find(r, "examples", JOB_FILE, NULL);
    find(r, arena_printf(r->arena, "%s/data/targets", r->options.tests), JOB_TARGET, NULL);
    find(r, arena_printf(r->arena, "%s/repl", r->options.tests), JOB_TRANSCRIPT, NULL);
    add_job(r, JOB_CODES, "lang/diagnostics.def");
}

/* A filter that no test answers to (mistyped, or a unit test that was not built) fails. */
static void check_filters(Runner *r)
{
    for (int i = 0; i < r->options.filters_len; i++) {
        const char *filter = r->options.filters[i];
        bool used = false;
        for (int j = 0; j < r->jobs.len && !used; j++)
            used = strstr(r->jobs.at[j].path, filter);
        if (!used) {
            printf("FAIL %s: no test is called so, or it was not built\n", filter);
            r->total.failed++;
        }
    }
}

/* ---- every code has a test ---- */

static void collect_texts(Arena *arena, const char *folder, Buf *out)
{
    struct dirent **entry;
    int n = scandir(folder, &entry, NULL, alphasort);
    for (int i = 0; i < n; i++) {
        const char *name = entry[i]->d_name, *path = arena_printf(arena, "%s/%s", folder, name);
        if (name[0] != '.' && entry[i]->d_type == DT_DIR)
            collect_texts(arena, path, out);
        else if (ends_with(name, ".nin") || ends_with(name, ".c"))
            buf_text(out, file_text(arena, path));
        free(entry[i]);
    }
    if (n >= 0)
        free(entry);
}

static void check_codes(Arena *arena, const Options *options, Report *report)
{
    Buf texts = {0}, missing = {0};
    collect_texts(arena, options->tests, &texts);
    buf_put(&texts, "", 1);
    for (int code = 0; code < DIAG_COUNT; code++) {
        const char *name = diag_name((DiagCode)code);
        if (count_words(texts.at, name) == 0)
            buf_printf(&missing, "  %s %s: no test\n", name, diag_title((DiagCode)code));
    }
    if (missing.len)
        report_fail(report, "lang/diagnostics.def: codes without a test\n%s", buf_done(&missing, arena));
    else
        report_pass(report);
}

/* ---- workers ---- */

static void work(Runner *r, const Job *job, int fd)
{
    Report report = {0};
    Arena *arena = arena_new();
    switch (job->kind) {
    case JOB_UNIT: check_unit(arena, job->path, &report); break;
    case JOB_FILE: check_file(arena, &r->options, job->path, &report); break;
    case JOB_TARGET: check_target(arena, &r->options, job->path, &report); break;
    case JOB_TRANSCRIPT: check_transcript(arena, &r->options, job->path, &report); break;
    case JOB_CODES: check_codes(arena, &r->options, &report); break;
    }
    FILE *f = fdopen(fd, "w");
    fprintf(f, "%d %d %d\n", report.passed, report.failed, report.skipped);
    if (report.text.len)
        fwrite(report.text.at, 1, report.text.len, f);
    fclose(f);
    _exit(0);
}

static bool start(Runner *r, Job *job)
{
    int fds[2];
    if (pipe(fds))
        return false;
    fflush(NULL);
    job->started = now();
    job->pid = fork();
    if (job->pid == 0) {
        close(fds[0]);
        work(r, job, fds[1]);
    }
    close(fds[1]);
    job->fd = fds[0];
    return job->pid > 0;
}

/* Takes what a worker has to say now; true at its end: then it is gone, and the job is done. */
static bool take(Job *job)
{
    char chunk[4096];
    int status;
    ssize_t n = read(job->fd, chunk, sizeof chunk);
    if (n > 0)
        buf_put(&job->answer, chunk, (size_t)n);
    if (n > 0 || (n < 0 && errno == EINTR))
        return false;
    close(job->fd);
    job->fd = -1;
    while (waitpid(job->pid, &status, 0) < 0 && errno == EINTR)
        ;
    buf_put(&job->answer, "", 1);
    job->seconds = now() - job->started;
    job->done = true;
    return true;
}

static void show(Runner *r, const Job *job)
{
    int passed = 0, failed = 0, skips = 0, used = 0;
    if (sscanf(job->answer.at, "%d %d %d\n%n", &passed, &failed, &skips, &used) < 3) {
        printf("FAIL %s: its worker ended early\n", job->path);
        failed = 1;
    } else if (job->answer.at[used]) {
        printf("%s", job->answer.at + used);
    }
    if (r->options.times)
        printf("%7.1f s %s\n", job->seconds, job->path);
    r->total.passed += passed;
    r->total.failed += failed;
    r->total.skipped += skips;
    fflush(stdout);
}

/* Waits for some worker of jobs first..next-1 to say something; how many ended. */
static int hear(Runner *r, int first, int next)
{
    struct pollfd *fd = arena_array(r->arena, struct pollfd, next - first + 1);
    int ended = 0;
    for (int i = first; i < next; i++)
        fd[i - first] = (struct pollfd){.fd = r->jobs.at[i].fd, .events = POLLIN};
    if (poll(fd, (nfds_t)(next - first), -1) < 0)
        return 0;
    for (int i = first; i < next; i++)
        if (fd[i - first].revents)
            ended += take(&r->jobs.at[i]);
    return ended;
}

/* At most `jobs` workers at a time; answers are printed in the order in which the jobs were found. */
static void run_all(Runner *r)
{
    int next = 0, running = 0;
    for (int shown = 0; shown < r->jobs.len;) {
        for (; next < r->jobs.len && running < r->options.jobs; next++, running++)
            if (!start(r, &r->jobs.at[next])) {
                perror("nintest");
                exit(1);
            }
        running -= hear(r, shown, next);
        for (; shown < next && r->jobs.at[shown].done; shown++)
            show(r, &r->jobs.at[shown]);
    }
}

static bool options_read(Runner *r, int argc, char **argv)
{
    Options *o = &r->options;
    VEC(const char *) filters = {0};
    o->tests = "tests";
    o->jobs = 2;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--long") == 0)
            o->long_too = setenv("NIN_LONG", "1", 1) == 0;       /* unit tests look for it */
        else if (strcmp(argv[i], "--list") == 0)
            o->list = true;
        else if (strcmp(argv[i], "--times") == 0)
            o->times = true;
        else if (strncmp(argv[i], "-j", 2) == 0)
            o->jobs = atoi(argv[i] + 2) > 0 ? atoi(argv[i] + 2) : 1;
        else if (argv[i][0] == '-')
            return false;
        else if (!o->build)
            o->build = argv[i];
        else
            vec_push(r->arena, &filters, argv[i]);
    }
    o->filters = filters.at;
    o->filters_len = filters.len;
    return o->build;
}

int main(int argc, char **argv)
{
    Runner r = {.arena = arena_new()};
    if (!options_read(&r, argc, argv)) {
        fprintf(stderr, "usage: nintest BUILD [--long] [-jN] [--list] [--times] [FILTER...]\n");
        return 2;
    }
    char *build = realpath(r.options.build, NULL);
    setenv("XDG_CACHE_HOME", arena_printf(r.arena, "%s/cache", build ? build : ""),
           1); /* decoded data stays in BUILD */
    free(build);
    find_all(&r);
    check_filters(&r);
    if (r.options.list) {
        for (int i = 0; i < r.jobs.len; i++)
            printf("%s\n", r.jobs.at[i].path);
        return 0;
    }
    run_all(&r);
    const char *ci = getenv("CI");
    bool strict = ci && strcmp(ci, "true") == 0;
    printf("%d passed, %d failed, %d skipped\n", r.total.passed, r.total.failed, r.total.skipped);
    return r.total.failed || (strict && r.total.skipped) ? 1 : 0;
}
