/* test_prompt.c -- nin on a pseudo-terminal, as somebody types: lines, Tab, an error, Ctrl-C, a plot, Ctrl-D. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>

#include <cmocka.h>

#include "child.h"

enum { PATIENCE = 60000 };                              /* ms that an answer may take on a busy machine */

typedef struct Terminal { Child *child; pid_t pid; int fd; Buf seen; size_t from; } Terminal;

/* A prompt of its own: home, history and results lie in the test's folder. */
static void terminal_open_as(Terminal *t, Child *c, int columns, int lines, const char *term, bool color)
{
    struct winsize size = {.ws_col = (unsigned short)columns, .ws_row = (unsigned short)lines};
    *t = (Terminal){.child = c};
    t->pid = forkpty(&t->fd, NULL, NULL, &size);
    assert_true(t->pid >= 0);
    if (t->pid > 0)
        return;
    if (chdir(c->folder) != 0)
        _exit(126);
    setenv("HOME", c->folder, 1);
    setenv("XDG_STATE_HOME", c->folder, 1);
    static const char *const others[] = {"NO_COLOR", "COLUMNS", "KITTY_WINDOW_ID", "TERM_PROGRAM"};
    for (int i = 0; i < COUNT(others); i++)
        unsetenv(others[i]);
    setenv("TERM", term, 1);
    setenv("LC_ALL", "C.UTF-8", 1);
    if (!color)
        setenv("NO_COLOR", "1", 1);
    execl(c->nin, "nin", (char *)NULL);
    _exit(127);
}

static void terminal_open(Terminal *t, Child *c, int columns, int lines)
{
    terminal_open_as(t, c, columns, lines, "vt100", false);
}

static void type(Terminal *t, const char *text)
{
    for (size_t n = strlen(text); n > 0;) {
        ssize_t k = write(t->fd, text, n);
        if (k < 0 && errno != EINTR)
            fail_msg("the prompt reads no more");
        text += k > 0 ? k : 0;
        n -= k > 0 ? (size_t)k : 0;
    }
}

/* Reads until a text appears behind what was waited for before, or nothing comes for so many ms. */
static bool appears(Terminal *t, const char *text, int patience)
{
    for (;;) {
        char chunk[4096];
        buf_put(&t->seen, "", 1);
        t->seen.len--;
        char *found = strstr(t->seen.at + t->from, text);
        if (found) {
            t->from = (size_t)(found - t->seen.at) + strlen(text);
            return true;
        }
        struct pollfd p = {t->fd, POLLIN, 0};
        ssize_t n = poll(&p, 1, patience) > 0 ? read(t->fd, chunk, sizeof chunk) : 0;
        if (n <= 0)
            return false;
        for (ssize_t i = 0; i < n; i++)
            if (chunk[i])
                buf_put(&t->seen, chunk + i, 1);
    }
}

static void await(Terminal *t, const char *text)
{
    if (!appears(t, text, PATIENCE))
        fail_msg("no \"%s\" in what followed:\n%s", text, t->seen.at + t->from);
}

static void line(Terminal *t, const char *text, const char *answer)
{
    type(t, text);
    type(t, "\r");
    await(t, answer);
}

/* Its exit code. */
static int terminal_close(Terminal *t)
{
    int status;
    char chunk[4096];
    for (;;) {
        struct pollfd p = {t->fd, POLLIN, 0};
        if (poll(&p, 1, PATIENCE) <= 0)
            kill(t->pid, SIGKILL);
        else if (read(t->fd, chunk, sizeof chunk) <= 0)
            break;
    }
    while (waitpid(t->pid, &status, 0) < 0 && errno == EINTR)
        ;
    close(t->fd);
    buf_free(&t->seen);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void lines_are_answered(void **state)
{
    Terminal t;
    terminal_open(&t, *state, 80, 24);
    await(&t, "> ");
    line(&t, "1 + 1", "\n2\r\n");
    line(&t, "cell twice(x) {", ". ");
    line(&t, "2 * x", ". ");
    line(&t, "}", "cell twice : 1 argument, no parameters");
    line(&t, "twice(21)", "\n42\r\n");
    line(&t, "twise(21)", "did you mean `twice`?");
    line(&t, "ans", "\n42\r\n");
    type(&t, "\004");
    assert_int_equal(terminal_close(&t), 0);
}

static void tab_completes(void **state)
{
    Terminal t;
    terminal_open(&t, *state, 80, 24);
    await(&t, "> ");
    line(&t, "facts = { first: 20, second: 22 }", "second: 22 }\r\n");
    type(&t, "facts.fi\t + facts.s\t\r");
    await(&t, "\n42\r\n");
    type(&t, "lecun_t\t(0)\r");
    await(&t, "\n0\r\n");
    type(&t, "facts.\t\t");
    await(&t, "first   second");
    type(&t, "se\t\r");
    await(&t, "\n22\r\n");
    type(&t, ":ty\t1\r");
    await(&t, "\nint\r\n");
    type(&t, ":quit\r");
    assert_int_equal(terminal_close(&t), 0);
}

static void history_is_kept(void **state)
{
    Terminal t;
    terminal_open(&t, *state, 80, 24);
    await(&t, "> ");
    line(&t, "111 * 3", "\n333\r\n");
    type(&t, "\004");
    assert_int_equal(terminal_close(&t), 0);
    terminal_open(&t, *state, 80, 24);
    await(&t, "> ");
    type(&t, "\020");                                   /* Ctrl-P: the line before */
    await(&t, "111 * 3");
    type(&t, "\r");
    await(&t, "\n333\r\n");
    line(&t, ":history", "111 * 3");
    type(&t, "\004");
    assert_int_equal(terminal_close(&t), 0);
}

static void interrupts_are_survived(void **state)
{
    Terminal t;
    terminal_open(&t, *state, 80, 24);
    await(&t, "> ");
    type(&t, "this is nothing");
    await(&t, "nothing");
    type(&t, "\003");                                   /* clears the line */
    await(&t, "> ");
    line(&t, "xor = examples(x: [[-1, -1], [-1, 1], [1, -1], [1, 1]], y: [0, 1, 1, 0])", "4 examples");
    line(&t, "net n(x: f32[2]) -> f32[1] = prelu[0](dense[1](x))", "net n :");
    line(&t, "fn fit(n: int) = session(learn: all, loss: mse, optimizer: adam[lr: 0.001], batch: 1, epochs: n)",
         "fn fit :");
    line(&t, "train(n, on: xor, with: fit(2), seed: 1)", "2 epochs");
    line(&t, "run = train(n, on: xor, with: fit(20000000), seed: 1)", "fit(20000000)");
    await(&t, "session");                               /* it tells how far it is */
    type(&t, "\003");
    await(&t, ", interrupted");
    line(&t, "run.interrupted", "\ntrue\r\n");
    line(&t, "run.train_loss < 1", "\ntrue\r\n");
    line(&t, "6 * 7", "\n42\r\n");
    type(&t, "\004");
    assert_int_equal(terminal_close(&t), 0);
}

/* What is typed while an input is answered, or before the prompt is there, is taken in its turn. */
static void keys_are_kept(void **state)
{
    Terminal t;
    terminal_open(&t, *state, 80, 24);
    type(&t, "2 + 3\r\004");
    await(&t, "\n5\r\n");
    assert_int_equal(terminal_close(&t), 0);
    terminal_open(&t, *state, 80, 24);
    await(&t, "> ");
    type(&t, "x = [k ^ 2 for k in 1..200000];\ry = 20 * 3\r\004");
    await(&t, "\n60\r\n");
    assert_int_equal(terminal_close(&t), 0);
}

/* Ctrl-C that comes as soon as the prompt is seen, before a key can be read: each one is answered by a new prompt. */
static void interrupts_are_counted(void **state)
{
    Terminal t;
    terminal_open(&t, *state, 80, 24);
    await(&t, "> ");
    for (int i = 0; i < 300; i++) {
        type(&t, "\003");
        await(&t, "\n> ");
    }
    line(&t, "20 * 3", "\n60\r\n");
    type(&t, "\004");
    assert_int_equal(terminal_close(&t), 0);
}

/* The terminal is given back as it was. */
static void terminal_is_given_back(void **state)
{
    Terminal t;
    struct termios before, after;
    terminal_open(&t, *state, 80, 24);
    assert_int_equal(tcgetattr(t.fd, &before), 0);
    await(&t, "> ");
    assert_int_equal(tcgetattr(t.fd, &after), 0);
    assert_false(after.c_lflag & ICANON);
    int held = open(ptsname(t.fd), O_RDWR | O_NOCTTY);  /* so that it stays after the program has ended */
    assert_true(held >= 0);
    line(&t, "6 * 7", "\n42\r\n");
    type(&t, ":quit\r");
    int status;
    while (waitpid(t.pid, &status, 0) < 0)
        assert_int_equal(errno, EINTR);
    assert_int_equal(tcgetattr(held, &after), 0);
    assert_true((after.c_lflag & ICANON) && (after.c_lflag & ECHO));
    assert_true(after.c_iflag == before.c_iflag && after.c_oflag == before.c_oflag);
    close(held);
    close(t.fd);
    buf_free(&t.seen);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* Colours where they are wanted and can be; a dumb terminal gets text and nothing else. */
static void colours_are_asked_for(void **state)
{
    static const struct { const char *term; bool color, colours, controls; } cases[] = {
        {"vt100", true, true, true}, {"vt100", false, false, true}, {"dumb", true, false, false}};
    for (int i = 0; i < COUNT(cases); i++) {
        Terminal t;
        terminal_open_as(&t, *state, 80, 24, cases[i].term, cases[i].color);
        await(&t, "> ");
        line(&t, "gcuu(1)", "did you mean");
        line(&t, ":plot gcu", "gcu\r\n> ");
        assert_int_equal(strstr(t.seen.at, "\033[1;31m") != NULL, cases[i].colours);
        if (!cases[i].controls)
            assert_null(strchr(t.seen.at, '\033'));
        type(&t, "\004");
        assert_int_equal(terminal_close(&t), 0);
    }
}

/* The terminal is asked whether it draws; what is typed before its answer is not taken for one. */
static void pictures_are_asked_for(void **state)
{
    static const struct {
        const char *answer, *picture;
    } cases[] = {{"\033[?62;4;22c", "\033P"}, {"\033[?62;22c", "┤"}};
    for (int i = 0; i < COUNT(cases); i++) {
        Terminal t;
        terminal_open_as(&t, *state, 80, 24, "xterm", false);
        await(&t, "\033[c");
        type(&t, "2 + 3\r");
        type(&t, cases[i].answer);
        await(&t, "\n5\r\n");
        line(&t, ":plot gcu", cases[i].picture);
        await(&t, "> ");
        type(&t, "\004");
        assert_int_equal(terminal_close(&t), 0);
    }
}

static int longest_line(const char *text)
{
    int longest = 0, now = 0;
    for (; *text; text++) {
        if (*text == '\n' || *text == '\r')
            now = 0;
        else
            now += ((unsigned char)*text & 0xC0) != 0x80;
        longest = now > longest ? now : longest;
    }
    return longest;
}

static void plots_fit(void **state)
{
    static const int columns[] = {80, 40, 24};
    for (int i = 0; i < COUNT(columns); i++) {
        Terminal t;
        terminal_open(&t, *state, columns[i], 24);
        await(&t, "> ");
        size_t from = t.from;
        type(&t, ":plot gcu\r");
        await(&t, "┤");
        await(&t, "━ gcu");
        type(&t, "cell p(a, b) = a * b\r");
        await(&t, "2 arguments");
        type(&t, ":plot p\r");
        await(&t, "└");
        await(&t, "> ");
        assert_true(longest_line(t.seen.at + from) <= columns[i]);
        assert_non_null(strstr(t.seen.at + from, "⠁"));
        assert_non_null(strstr(t.seen.at + from, "▓"));
        type(&t, "\004");
        assert_int_equal(terminal_close(&t), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(lines_are_answered, child_open, child_close),
        cmocka_unit_test_setup_teardown(tab_completes, child_open, child_close),
        cmocka_unit_test_setup_teardown(history_is_kept, child_open, child_close),
        cmocka_unit_test_setup_teardown(interrupts_are_survived, child_open, child_close),
        cmocka_unit_test_setup_teardown(keys_are_kept, child_open, child_close),
        cmocka_unit_test_setup_teardown(interrupts_are_counted, child_open, child_close),
        cmocka_unit_test_setup_teardown(terminal_is_given_back, child_open, child_close),
        cmocka_unit_test_setup_teardown(colours_are_asked_for, child_open, child_close),
        cmocka_unit_test_setup_teardown(pictures_are_asked_for, child_open, child_close),
        cmocka_unit_test_setup_teardown(plots_fit, child_open, child_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
