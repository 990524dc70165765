/* gnuplot.c -- runs gnuplot: no shell, no start-up files, an environment of its own, a bound on its time. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "report/figure_parts.h"

enum { KEPT = 4096 };                                  /* bytes of its messages that are looked at */

const char *gnuplot_find(void) {
    static const char *const places[] = {"/usr/bin/gnuplot", "/usr/local/bin/gnuplot", "/opt/homebrew/bin/gnuplot",
                                         "/usr/bin/gnuplot-nox"};
    for (int i = 0; i < COUNT(places); i++)
        if (access(places[i], X_OK) == 0) return places[i];
    return NULL;
}

static double seconds_now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* The child: in the folder, no input, messages into the pipe, default signals. */
static int start(const char *program, const char *folder, const char *script, int messages, pid_t *child) {
    char *arguments[] = {(char *)(uintptr_t)"gnuplot", (char *)(uintptr_t)"-d", (char *)(uintptr_t)script, NULL};
    char *environment[] = {(char *)(uintptr_t)"LC_ALL=C.UTF-8", NULL};
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none;
    sigemptyset(&none);
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, messages, 1);
    posix_spawn_file_actions_adddup2(&actions, messages, 2);
    posix_spawn_file_actions_addchdir_np(&actions, folder);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
    int code = posix_spawn(child, program, &actions, &attributes, arguments, environment);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return code;
}

/* Reads the messages until the child closes them.  False if the time is over. */
static bool listen_until(int pipe_end, double deadline, char text[KEPT]) {
    size_t kept = 0;
    for (;;) {
        double left = deadline - seconds_now();
        struct pollfd wait = {.fd = pipe_end, .events = POLLIN};
        int ready = left > 0 ? poll(&wait, 1, (int)(left * 1000) + 1) : 0;
        if (ready < 0 && errno == EINTR) continue;
        if (ready <= 0) return false;
        char piece[1024];
        ssize_t n = read(pipe_end, piece, sizeof piece);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return true;
        size_t part = (size_t)n < KEPT - 1 - kept ? (size_t)n : KEPT - 1 - kept;
        memcpy(text + kept, piece, part);
        text[kept += part] = 0;
    }
}

/* The first line of the messages that says something. */
static char *first_line(Arena *arena, const char *text) {
    while (*text == '\n' || *text == ' ') text++;
    size_t n = strcspn(text, "\n");
    return arena_copy(arena, text, n);
}

bool gnuplot_run(Arena *arena, const char *program, const char *folder, const char *script, double seconds,
                 char **why) {
    int ends[2], status = 0;
    char text[KEPT] = "";
    pid_t child;
    if (pipe2(ends, O_CLOEXEC) != 0) {
        *why = file_error(arena, program, "start", errno);
        return false;
    }
    int code = start(program, folder, script, ends[1], &child);
    close(ends[1]);
    if (code) {
        close(ends[0]);
        *why = file_error(arena, program, "start", code);
        return false;
    }
    bool in_time = listen_until(ends[0], seconds_now() + seconds, text);
    close(ends[0]);
    if (!in_time) kill(child, SIGKILL);
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {}
    if (in_time && WIFEXITED(status) && WEXITSTATUS(status) == 0) return true;
    *why = in_time ? arena_printf(arena, "%s failed: %s", program, first_line(arena, text))
                   : arena_printf(arena, "%s was stopped after %g s", program, seconds);
    return false;
}
