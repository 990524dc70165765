/* build_tools.c -- compilers and linkers as child processes; what a C compiler makes of an emitted text. */
#include <fcntl.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "driver/build.h"
#include "support/file.h"

int tool_run(Cli *cli, const char *const *argv, const char *in, const char *out, const char *log)
{
    extern char **environ;
    posix_spawn_file_actions_t files;
    pid_t child;
    int status = -1;
    (void)cli;
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_addopen(&files, STDIN_FILENO, in ? in : "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&files, STDERR_FILENO, log ? log : "/dev/null", O_WRONLY | O_CREAT | O_TRUNC,
                                     0644);
    if (out)
        posix_spawn_file_actions_addopen(&files, STDOUT_FILENO, out, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    else
        posix_spawn_file_actions_adddup2(&files, STDERR_FILENO, STDOUT_FILENO);
    int failed = posix_spawnp(&child, argv[0], &files, NULL, (char *const *)(uintptr_t)argv, environ);
    posix_spawn_file_actions_destroy(&files);
    if (failed)
        return -1;
    while (waitpid(child, &status, 0) < 0)
        status = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

char *tool_log(Cli *cli, const char *log)
{
    char *bytes = "", *error;
    size_t length = 0;
    if (!file_read(cli->arena, log, 1 << 20, &bytes, &length, &error))
        return "";
    return length > 2000 ? arena_copy(cli->arena, bytes, 2000) : bytes;
}

const char *tool_version(Cli *cli, const char *name)
{
    const char *folder = cli_scratch(cli), *log = folder ? path_join(cli->arena, folder, "version") : NULL;
    const char *argv[] = {name, "--version", NULL};
    if (!log || tool_run(cli, argv, NULL, NULL, log) != 0)
        return NULL;
    char *text = tool_log(cli, log), *end = strchr(text, '\n');
    if (end)
        *end = 0;
    return text;
}

bool build_write_bytes(Cli *cli, const char *path, const void *bytes, size_t length)
{
    char *error;
    if (file_write(cli->arena, path, bytes, length, FILE_SYNC, &error))
        return true;
    cli_error(cli, "%s", error);
    cli->machine = true;
    return false;
}

bool build_write(Cli *cli, const char *path, const Buf *text)
{
    return build_write_bytes(cli, path, text->at, text->len);
}

/* ---- the report's numbers ---- */

/* `size -A`: the sections of code, and those of constants. */
static bool read_sizes(Cli *cli, const char *object, const char *log, ArtifactMeasure *m)
{
    const char *argv[] = {"size", "-A", object, NULL};
    if (tool_run(cli, argv, NULL, NULL, log) != 0)
        return false;
    for (char *line = tool_log(cli, log); line; line = strchr(line, '\n')) {
        char name[64];
        long long bytes;
        line += *line == '\n';
        if (sscanf(line, "%63s %lld", name, &bytes) != 2)
            continue;
        if (strncmp(name, ".text", 5) == 0)
            m->code += bytes;
        if (strncmp(name, ".rodata", 7) == 0)
            m->constants += bytes;
    }
    return m->code > 0;
}

static bool ends_with(const char *from, const char *to, const char *word)
{
    size_t n = strlen(word);
    return (size_t)(to - from) >= n && strncmp(to - n, word, n) == 0;
}

/* The deepest function's stack and that of the kernel it calls: -fstack-usage,
 * "file:line:col:name<TAB>bytes<TAB>static". */
static bool read_stack(Cli *cli, const char *su, ArtifactMeasure *m)
{
    char *bytes, *error;
    size_t length;
    int64_t kernel = 0, entry = 0;
    if (!file_read(cli->arena, su, 1 << 20, &bytes, &length, &error))
        return false;
    for (char *line = bytes; line && *line; line = strchr(line, '\n')) {
        line += *line == '\n';
        char *tab = strchr(line, '\t');
        long long n = tab ? strtoll(tab, NULL, 10) : 0;
        char *colon = tab;
        while (colon && colon > line && colon[-1] != ':')
            colon--;
        bool own = colon && (ends_with(colon, tab, "_predict") || ends_with(colon, tab, "_loss") ||
                             ends_with(colon, tab, "_train_step"));
        int64_t *most = own ? &entry : &kernel;
        if (n > *most)
            *most = n;
        if (!tab)
            break;
    }
    m->stack = kernel + entry;
    return true;
}

void build_measure(Building *b, const char *cc)
{
    Cli *cli = b->cli;
    const char *folder = cli_scratch(cli);
    if (!folder || !tool_version(cli, cc))
        return;
    Buf header = {0}, source = {0};
    const char *c = path_join(cli->arena, folder, "measure.c"), *o = path_join(cli->arena, folder, "measure.o"),
               *su = path_join(cli->arena, folder, "measure.su"), *log = path_join(cli->arena, folder, "measure.log");
    artifact_header(&b->artifact, &header);
    artifact_source(&b->artifact, "measure.h", &source);
    char upper[128];
    int n = 0;
    for (; b->artifact.prefix[n] && n < 120; n++)
        upper[n] = (char)(b->artifact.prefix[n] >= 'a' && b->artifact.prefix[n] <= 'z' ? b->artifact.prefix[n] - 32
                                                                                       : b->artifact.prefix[n]);
    upper[n] = 0;
    const char *argv[] = {
        cc,   "-std=c99", "-Os", "-fstack-usage", arena_printf(cli->arena, "-D%s_NO_SELFTEST", upper), "-c", c,
        "-o", o,          NULL};
    ArtifactMeasure m = {.compiler = tool_version(cli, cc)};
    bool ok = build_write(cli, c, &source) && build_write(cli, path_join(cli->arena, folder, "measure.h"), &header)
              && tool_run(cli, argv, NULL, NULL, log) == 0 && read_sizes(cli, o, log, &m) && read_stack(cli, su, &m);
    buf_free(&header);
    buf_free(&source);
    if (ok)
        b->artifact.measure = m;
}
