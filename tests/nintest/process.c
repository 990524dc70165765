/* process.c -- runs one child: argv without a shell, output into pipes, killed with its group when time is up. */
#define _GNU_SOURCE
#include "tests/nintest/nintest.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { OUTPUT_LIMIT = 64 << 20 };

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void child_exec(const char *const *argv, int out, int err)
{
    setpgid(0, 0);
    int null = open("/dev/null", O_RDONLY);
    dup2(null, 0);
    dup2(out, 1);
    dup2(err, 2);
    execv(argv[0], (char *const *)(uintptr_t)argv);
    fprintf(stderr, "cannot start %s: %s\n", argv[0], strerror(errno));
    _exit(127);
}

/* Reads both pipes until they end or time is up; true if time was up. */
static bool collect(int out, int err, Buf *outs, Buf *errs, double deadline)
{
    struct pollfd fds[2] = {{out, POLLIN, 0}, {err, POLLIN, 0}};
    Buf *bufs[2] = {outs, errs};
    int open_fds = 2;
    while (open_fds) {
        double left = deadline - now();
        if (left <= 0)
            return true;
        int ready = poll(fds, 2, (int)(left * 1000) + 1);
        if (ready < 0 && errno != EINTR)
            return true;
        for (int i = 0; i < 2 && ready > 0; i++) {
            char chunk[65536];
            if (fds[i].fd < 0 || !fds[i].revents)
                continue;
            ssize_t n = read(fds[i].fd, chunk, sizeof chunk);
            if (n > 0 && bufs[i]->len < OUTPUT_LIMIT)
                buf_put(bufs[i], chunk, (size_t)n);
            if (n == 0 || (n < 0 && errno != EINTR)) {
                fds[i].fd = -1;
                open_fds--;
            }
        }
    }
    return false;
}

Outcome process_run(Arena *arena, const char *const *argv, int timeout)
{
    Outcome outcome = {.status = 127};
    int out[2], err[2];
    Buf outs = {0}, errs = {0};
    double start = now();
    if (pipe2(out, O_CLOEXEC) || pipe2(err, O_CLOEXEC))
        return outcome;
    pid_t pid = fork();
    if (pid == 0)
        child_exec(argv, out[1], err[1]);
    close(out[1]);
    close(err[1]);
    if (pid > 0) {
        setpgid(pid, pid);
        outcome.timed_out = collect(out[0], err[0], &outs, &errs, start + timeout);
        if (outcome.timed_out)
            kill(-pid, SIGKILL);
        int status = 0;
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
            ;
        outcome.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    }
    close(out[0]);
    close(err[0]);
    outcome.seconds = now() - start;
    outcome.out = buf_done(&outs, arena);
    outcome.err = buf_done(&errs, arena);
    return outcome;
}

char *process_shown(Arena *arena, const char *const *argv)
{
    Buf text = {0};
    for (int i = 0; argv[i]; i++) {
        bool quote = !argv[i][0] || strpbrk(argv[i], " \"'()[]{}*?$&;|<>#");
        buf_printf(&text, quote ? "%s'%s'" : "%s%s", i ? " " : "", argv[i]);
    }
    return buf_done(&text, arena);
}

void folder_clear(const char *path)
{
    DIR *dir = opendir(path);
    if (dir) {
        struct dirent *entry;
        while ((entry = readdir(dir))) {
            char *name;
            struct stat info;
            if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
                continue;
            if (asprintf(&name, "%s/%s", path, entry->d_name) < 0)
                break;
            if (lstat(name, &info) == 0 && S_ISDIR(info.st_mode))
                folder_clear(name);
            else
                unlink(name);
            free(name);
        }
        closedir(dir);
    }
    rmdir(path);
}
