/* cli_repl.c -- nin repl, and nin alone: the prompt on a terminal (libedit) or over a pipe.
 *
 * On a terminal lines are edited, completed with Tab and kept in a history file; Ctrl-C clears a line or stops what
 * runs, Ctrl-D leaves.  Over a pipe there is no prompt and no colour, and the exit code is 1 if an input failed. */
#include <errno.h>
#include <histedit.h>
#include <locale.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "driver/cli.h"
#include "driver/repl.h"
#include "support/file.h"

enum { HISTORY_MOST = 1000, LINE_MOST = 1 << 20 };

typedef struct Prompter {
    Cli *cli; Repl *repl;
    EditLine *edit; History *history; const char *history_path;
    VEC(const char *) lines;                            /* of the history, oldest first */
    Buf input;                                          /* lines of an input that is not complete */
    struct termios before; bool taken;                  /* the terminal as it was */
    Buf keys; size_t key;                               /* typed while the terminal was asked */
    int early;                                          /* keys that were typed before they were read one by one */
} Prompter;

static void put(void *data, const char *text, size_t length)
{
    const Prompter *p = data;
    cli_progress_end(p->cli);
    fwrite(text, 1, length, stdout);
    fflush(stdout);
}

/* ---- history: a line each, "\\" and "\n" escaped ---- */

static const char *history_file(Arena *arena)
{
    const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    if (state && *state == '/')
        return path_join(arena, state, "nin/history");
    return home && *home == '/' ? path_join(arena, home, ".local/state/nin/history") : NULL;
}

static void history_note(Prompter *p, const char *line)
{
    HistEvent event;
    if (!line[strspn(line, " \t\r\n")])
        return;
    if (p->lines.len && strcmp(p->lines.at[p->lines.len - 1], line) == 0)
        return;
    history(p->history, &event, H_ENTER, line);
    vec_push(p->cli->arena, &p->lines, (const char *)arena_copy(p->cli->arena, line, strlen(line)));
}

static void history_read(Prompter *p)
{
    char *bytes, *error;
    size_t length;
    p->history_path = history_file(p->cli->arena);
    if (!p->history_path || !file_read(p->cli->arena, p->history_path, 16 << 20, &bytes, &length, &error))
        return;
    for (char *line = bytes, *end = bytes + length; line < end;) {
        char *stop = memchr(line, '\n', (size_t)(end - line));
        if (!stop)
            stop = end;
        history_note(p, arena_copy(p->cli->arena, line, (size_t)(stop - line)));
        line = stop + 1;
    }
}

/* Written anew as a whole and renamed: a crash or a second prompt leaves a whole file. */
static void history_write(Prompter *p)
{
    Buf text = {0};
    char *error;
    int from = p->lines.len > HISTORY_MOST ? p->lines.len - HISTORY_MOST : 0;
    if (!p->history_path)
        return;
    for (int i = from; i < p->lines.len; i++) {
        size_t n = strcspn(p->lines.at[i], "\r\n");
        buf_put(&text, p->lines.at[i], n);
        buf_text(&text, "\n");
    }
    Arena *scratch = arena_new();
    char *folder = arena_copy(scratch, p->history_path, (size_t)(strrchr(p->history_path, '/') - p->history_path));
    if (folder_make(scratch, folder, &error))
        file_write(scratch, p->history_path, text.at ? text.at : "", text.len, FILE_NO_SYNC, &error);
    arena_free(scratch);
    buf_free(&text);
}

static void history_show(void *data, Buf *out)
{
    const Prompter *p = data;
    int from = p->lines.len > 50 ? p->lines.len - 50 : 0;
    for (int i = from; i < p->lines.len; i++)
        buf_printf(out, "%5d  %.*s\n", i + 1, (int)strcspn(p->lines.at[i], "\r\n"), p->lines.at[i]);
}

/* ---- the terminal ---- */

static void resize(Prompter *p)
{
    struct winsize size;
    const char *columns = getenv("COLUMNS");
    int given = columns ? atoi(columns) : 0;
    bool known = ioctl(1, TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
    if (known)
        repl_resize(p->repl, given > 0 ? given : size.ws_col, size.ws_row);
    if (p->edit && known)
        el_resize(p->edit);
}

/* Keys are not lost: from here to terminal_give_back the terminal hands over every key as it is typed, while a line is
 * edited and while an input is answered.  What was typed before is kept too; an end of input among it has become a
 * NUL. */
static void terminal_take(Prompter *p)
{
    struct termios raw;
    p->taken = tcgetattr(0, &p->before) == 0;
    if (!p->taken)
        return;
    raw = p->before;
    raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
    raw.c_cc[VMIN] = 1;
    raw.c_cc[VTIME] = 0;
    tcsetattr(0, TCSANOW, &raw);
}

static void terminal_give_back(Prompter *p)
{
    if (p->taken)
        tcsetattr(0, TCSADRAIN, &p->before);
    p->taken = false;
}

static bool readable(int fd, int milliseconds)
{
    struct pollfd poll_fd = {fd, POLLIN, 0};
    return poll(&poll_fd, 1, milliseconds) > 0;
}

/* The terminal's answer to a question, from ESC to the letter that ends it, for a fifth of a second; other keys are
 * kept. */
static void ask(Prompter *p, const char *question, char end, char *answer, size_t most)
{
    size_t n = 0;
    char c;
    *answer = 0;
    fputs(question, stdout);
    fflush(stdout);
    while (n + 1 < most && readable(0, 200) && read(0, &c, 1) == 1) {
        if (!n && c != '\033') {
            buf_put(&p->keys, &c, 1);
            continue;
        }
        answer[n++] = c;
        if (c == end)
            break;
    }
    answer[n] = 0;
}

/* Kitty's protocol where the environment says so; sixel where the terminal lists it (4) among its attributes. */
static Graphics graphics_look(Prompter *p)
{
    const char *term = getenv("TERM"), *program = getenv("TERM_PROGRAM");
    char answer[128];
    if (getenv("KITTY_WINDOW_ID") || (term && (strstr(term, "kitty") || strstr(term, "ghostty"))) ||
        (program && strcmp(program, "WezTerm") == 0))
        return GRAPHICS_KITTY;
    if (!term || (strncmp(term, "xterm", 5) && strncmp(term, "mlterm", 6) && strncmp(term, "foot", 4) &&
                  strncmp(term, "contour", 7)))
        return GRAPHICS_TEXT;
    ask(p, "\033[c", 'c', answer, sizeof answer);
    return strstr(answer, ";4;") || strstr(answer, ";4c") ? GRAPHICS_SIXEL : GRAPHICS_TEXT;
}

static char *prompt_text(EditLine *edit)
{
    Prompter *p;
    el_get(edit, EL_CLIENTDATA, (void *)&p);
    static char first[] = "> ", more[] = ". ";
    return p->input.len ? more : first;
}

/* ---- Tab ---- */

static size_t common(const ReplWords *words)
{
    size_t n = strlen(words->at[0]);
    for (int i = 1; i < words->len; i++) {
        size_t k = 0;
        while (k < n && words->at[i][k] == words->at[0][k])
            k++;
        n = k;
    }
    return n;
}

static void list_words(const Prompter *p, const ReplWords *words)
{
    enum { MOST = 100 };
    int wide = 0, columns, n = words->len < MOST ? words->len : MOST;
    for (int i = 0; i < n; i++)
        wide = (int)strlen(words->at[i]) > wide ? (int)strlen(words->at[i]) : wide;
    columns = (p->cli->width ? p->cli->width : 80) / (wide + 2);
    columns = columns < 1 ? 1 : columns;
    putchar('\n');
    for (int i = 0; i < n; i++)
        printf("%-*s%s", wide + 2, words->at[i], (i + 1) % columns == 0 || i == n - 1 ? "\n" : "");
    if (n < words->len)
        printf("and %d more\n", words->len - n);
    fflush(stdout);
}

static unsigned char complete(EditLine *edit, int key)
{
    Prompter *p;
    (void)key;
    el_get(edit, EL_CLIENTDATA, (void *)&p);
    const LineInfo *line = el_line(edit);
    size_t length = (size_t)(line->cursor - line->buffer);
    Arena *scratch = arena_new();
    char *text = arena_copy(scratch, line->buffer, length);
    unsigned char result = CC_NORM;
    if (!text[strspn(text, " \t")] && p->input.len) {
        el_insertstr(edit, "  ");
        result = CC_REFRESH;
    } else {
        ReplWords words = repl_complete(p->repl, scratch, text);
        size_t n = words.len ? common(&words) : 0, typed = length - (size_t)words.from;
        if (n > typed || words.len == 1) {
            el_deletestr(edit, (int)typed);
            el_insertstr(edit, arena_copy(scratch, words.at[0], n));
            result = CC_REFRESH;
        } else if (words.len > 1) {
            list_words(p, &words);
            result = CC_REDISPLAY;
        } else {
            result = CC_ERROR;
        }
    }
    arena_free(scratch);
    return result;
}

/* A byte that was typed: 1, 0 at the end, -1 with EINTR after Ctrl-C, whenever since the last reset that was
 * pressed. */
static int byte_read(Prompter *p, char *out)
{
    struct pollfd wait[2] = {{0, POLLIN, 0}, {cli_interrupts_fd(), POLLIN, 0}};
    for (;;) {
        if (cli_interrupted(NULL)) {
            cli_interrupts_reset(true);
            errno = EINTR;
            return -1;
        }
        if (p->key < p->keys.len) {
            *out = p->keys.at[p->key++];
            return 1;
        }
        if (poll(wait, 2, -1) > 0 && wait[0].revents && !wait[1].revents) {
            ssize_t n = read(0, out, 1);
            if (n >= 0 || errno != EINTR)
                return n > 0 ? 1 : n == 0 || errno == EIO ? 0 : -1;
        }
    }
}

/* For libedit: a character of the locale's encoding; what is none is U+FFFD. */
static int key_read(EditLine *edit, wchar_t *out)
{
    Prompter *p;
    mbstate_t state = {0};
    el_get(edit, EL_CLIENTDATA, (void *)&p);
    for (;;) {
        char c;
        int n = byte_read(p, &c);
        if (n <= 0)
            return n;
        if (p->early > 0 && p->early-- && !c)
            c = 4;                                      /* Ctrl-D */
        size_t used = mbrtowc(out, &c, 1, &state);
        if (used == (size_t)-1)
            *out = 0xFFFD;
        if (used != (size_t)-2)
            return 1;
    }
}

static void edit_open(Prompter *p)
{
    HistEvent event;
    int edits = 0;
    if (!setlocale(LC_CTYPE, "") || MB_CUR_MAX < 2)
        setlocale(LC_CTYPE, "C.UTF-8");
    p->edit = el_init("nin", stdin, stdout, stderr);
    p->history = history_init();
    history(p->history, &event, H_SETSIZE, HISTORY_MOST);
    el_set(p->edit, EL_CLIENTDATA, p);
    el_set(p->edit, EL_PROMPT, prompt_text);
    el_set(p->edit, EL_EDITOR, "emacs");
    el_set(p->edit, EL_SIGNAL, 0);
    el_set(p->edit, EL_GETCFN, key_read);
    el_get(p->edit, EL_EDITMODE, &edits);
    if (edits)
        el_set(p->edit, EL_SETTY, "-x", "-icanon", "-echo", NULL);
    else
        terminal_give_back(p);                          /* TERM=emacs: lines come whole */
    el_set(p->edit, EL_HIST, history, p->history);
    el_set(p->edit, EL_ADDFN, "nin-complete", "completes what is typed", complete);
    el_set(p->edit, EL_BIND, "^I", "nin-complete", NULL);
    el_set(p->edit, EL_BIND, "^R", "em-inc-search-prev", NULL);
    el_source(p->edit, NULL);
    history_read(p);
    if (ioctl(0, FIONREAD, &p->early) != 0)
        p->early = 0;
    p->early += (int)p->keys.len;
}

static void edit_close(Prompter *p)
{
    history_end(p->history);
    el_end(p->edit);
    terminal_give_back(p);
}

/* ---- reading ---- */

/* A line with its end; NULL: no more.  *cleared: Ctrl-C. */
static const char *line_edit(Prompter *p, bool *cleared)
{
    int n = 0;
    *cleared = false;
    errno = 0;
    const char *line = el_gets(p->edit, &n);
    if (line && n > 0)
        return line;
    *cleared = n < 0 && errno == EINTR;
    return NULL;
}

/* One line into the input; an input that is complete is answered. */
static ReplStatus take(Prompter *p, const char *line)
{
    if (p->input.len + strlen(line) > LINE_MOST)
        p->input.len = 0;
    if (p->input.len)
        p->input.len--;                                 /* the NUL */
    buf_text(&p->input, line);
    buf_put(&p->input, "", 1);
    ReplStatus status = repl_input(p->repl, p->input.at, false);
    cli_progress_end(p->cli);
    if (status != REPL_MORE)
        p->input.len = 0;
    return status;
}

/* Ctrl-C counts from the end of one answer on: it clears the line, or stops what the line began. */
static void run_terminal(Prompter *p)
{
    for (;;) {
        bool cleared;
        resize(p);
        const char *line = line_edit(p, &cleared);
        if (cleared) {
            printf("\n");
            p->input.len = 0;
            el_reset(p->edit);
            continue;
        }
        if (!line)
            break;
        history_note(p, line);
        history_write(p);
        ReplStatus status = take(p, line);
        cli_interrupts_reset(true);
        if (status == REPL_QUIT)
            return;
    }
    printf("\n");
}

/* True if no input failed. */
static bool run_pipe(Prompter *p)
{
    char *line = NULL;
    size_t room = 0;
    bool ok = true;
    ReplStatus status = REPL_DONE;
    for (ssize_t n; status != REPL_QUIT && !cli_interrupted(NULL) && (n = getline(&line, &room, stdin)) >= 0;) {
        for (ssize_t i = 0; i < n; i++)
            if (!line[i])
                line[i] = ' ';                          /* a NUL would hide what follows it */
        history_note(p, line);
        status = take(p, line);
        ok &= status != REPL_FAILED;
    }
    if (status == REPL_MORE)
        ok &= repl_input(p->repl, p->input.at, true) != REPL_FAILED;
    free(line);
    return ok;
}

/* Loads the compiler while somebody types the first line. */
static void *warm(void *data)
{
    emit_warm(data);
    return NULL;
}

int command_repl(Cli *cli)
{
    Prompter p = {.cli = cli};
    pthread_t warmer;
    HistEvent event;
    if (!cli->err_terminal)
        cli->quiet = true;
    cli->lab_options.keep_interrupted = cli->lab_options.tiers = true;
    const char *file = cli->arguments.len ? cli->arguments.at[0] : "", *slash = strrchr(file, '/');
    cli->folder = slash ? arena_copy(cli->arena, file, (size_t)(slash - file) + (slash == file)) : ".";
    cli_open(cli);
    cli->session->interrupted = cli_interrupted;
    cli_lab(cli, "prompt", "", 0);
    ReplOptions options = {.put = put, .data = &p, .width = cli->width ? cli->width : 100, .height = 24,
                           .color = cli->color && cli->out_terminal, .history = history_show};
    if (cli->in_terminal)
        terminal_take(&p);
    if (cli->in_terminal && cli->out_terminal)
        options.graphics = graphics_look(&p);
    bool warms = cli->in_terminal && pthread_create(&warmer, NULL, warm, &cli->lab->options.code) == 0;
    p.repl = repl_new(cli->session, cli->lab, &options);
    bool ok = !cli->arguments.len || repl_load(p.repl, cli->arguments.at[0]);
    if (cli->in_terminal) {
        printf("Nin %s. ?name tells what something is, :help lists the commands.\n", NIN_VERSION);
        edit_open(&p);
        cli_interrupts_reset(true);
        run_terminal(&p);
        edit_close(&p);
        ok = true;
    } else {
        p.history = history_init();
        history(p.history, &event, H_SETSIZE, HISTORY_MOST);
        ok &= run_pipe(&p);
        history_end(p.history);
    }
    buf_free(&p.input);
    buf_free(&p.keys);
    if (warms)
        pthread_join(warmer, NULL);
    lab_free(cli->lab);
    cli->lab = NULL;
    repl_free(p.repl);
    bool interrupted = !cli->in_terminal && cli_interrupted(NULL);
    return interrupted ? EXIT_MACHINE : ok ? EXIT_DONE : EXIT_PROGRAM;
}
