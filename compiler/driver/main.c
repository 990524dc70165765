/* main.c -- the command line's start and end: environment, terminal, signals, exit code.
 *
 * Ctrl-C raises a flag that the laboratory looks at: what was recorded is kept.  A second one ends the process, but for
 * the prompt's. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "driver/cli.h"

/* The only things that a signal handler can reach.  wake: a pipe that holds something after an interrupt. */
static volatile sig_atomic_t interrupts, patient;
static int wake[2] = {-1, -1};

static void on_interrupt(int number)
{
    int before = errno;
    interrupts = interrupts + 1;
    ssize_t written = write(wake[1], "", 1);
    (void)written;
    errno = before;
    if (patient ? number != SIGINT : interrupts > 1) {
        signal(number, SIG_DFL);
        raise(number);
    }
}

bool cli_interrupted(void *unused)
{
    (void)unused;
    return interrupts > 0;
}

void cli_interrupts_reset(bool prompt)
{
    char drained[64];
    patient = prompt;
    interrupts = 0;                                     /* first: one that comes now is counted, or wakes, or both */
    while (read(wake[0], drained, sizeof drained) > 0)
        continue;
}

int cli_interrupts_fd(void) { return wake[0]; }

static void signals_set(void)
{
    struct sigaction action = {.sa_handler = on_interrupt};
    sigemptyset(&action.sa_mask);
    if (pipe2(wake, O_NONBLOCK | O_CLOEXEC) != 0)
        wake[0] = wake[1] = -1;
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    signal(SIGPIPE, SIG_IGN);                           /* a closed pipe is an error of a write: see flush */
    signal(SIGXFSZ, SIG_IGN);                           /* and so is a file that may not grow */
}

/* Columns of the terminal that messages go to; COLUMNS decides where it is set. */
static int terminal_width(void)
{
    struct winsize size;
    const char *columns = getenv("COLUMNS");
    int given = columns ? atoi(columns) : 0;
    if (given > 0)
        return given;
    if ((ioctl(2, TIOCGWINSZ, &size) == 0 || ioctl(1, TIOCGWINSZ, &size) == 0) && size.ws_col > 0)
        return size.ws_col;
    return 0;
}

static void terminal_look(Cli *cli)
{
    const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");
    struct stat in;
    bool dumb = term && strcmp(term, "dumb") == 0;
    cli->out_terminal = isatty(1) && !dumb;
    cli->err_terminal = isatty(2) && !dumb;
    cli->color = !(no_color && *no_color) && !dumb;
    cli->width = terminal_width();
    cli->in_terminal = isatty(0) && isatty(1);
    cli->in_text = fstat(0, &in) == 0 && (S_ISFIFO(in.st_mode) || S_ISREG(in.st_mode));
}

/* Output that could not be written is the machine's fault, unless nobody reads it any more. */
static int flush(const Cli *cli, int status)
{
    struct pollfd reader = {1, 0, 0};
    bool failed = fflush(stdout) != 0 || ferror(stdout);
    if (!failed || status != EXIT_DONE || (poll(&reader, 1, 0) > 0 && (reader.revents & POLLERR)))
        return status;
    cli_error(cli, "the output could not be written");
    return EXIT_MACHINE;
}

int main(int argc, char **argv)
{
    Arena *arena = arena_new();
    Cli *cli = arena_new_of(arena, Cli);
    cli->arena = arena;
    cli->lab_options.code.opt_level = 2;
    cli->out = "results";
    cli->precision = DT_F32;
    pthread_mutex_init(&cli->progress_lock, NULL);
    terminal_look(cli);
    signals_set();
    int status = options_read(cli, argc, argv);
    if (status < 0 && cli->command->run != command_build && !cli_cpu_known(cli))
        status = EXIT_USAGE;
    if (status < 0) {
        status = cli->command->run(cli);
        cli_close(cli);
    }
    status = flush(cli, status);
    pthread_mutex_destroy(&cli->progress_lock);
    arena_free(arena);
    return status;
}
