/* cli.h -- the command line: what its files share.
 *
 * Only these files print, read the environment, install signal handlers and end the process.  Exit codes:
 * 0 done, 1 the program's fault, 2 wrong use of the command line, 3 the machine's fault (a file that is missing or
 * cannot be read or written, no memory, an interrupt). */
#ifndef NIN_CLI_H
#define NIN_CLI_H

#include <stdio.h>

#include "experiment/lab.h"
#include "report/progress.h"

enum { EXIT_DONE = 0, EXIT_PROGRAM = 1, EXIT_USAGE = 2, EXIT_MACHINE = 3 };

struct Cli;
typedef struct Command {
    const char *name, *arguments; int fewest, most; const char *help; int (*run)(struct Cli *cli);
} Command;

typedef struct ShownDiag {
    DiagCode code;
    Span span;
    const char *message;
} ShownDiag; /* a warning that was shown */

typedef struct Cli {
    Arena *arena;
    const Command *command;
    VEC(const char *) arguments;                        /* positional */
    VEC(const char *) experiments, sets, data, where;
    const char *folder;                                 /* of the program; "." at a prompt; NULL: there is none */
    const char *out, *cell, *stage, *net, *from, *tensorboard;
    const char *artifact, *emit, *output, *weights, *target, *target_cpu, *cc;        /* nin build, nin verify */
    int seed, examples, batch; bool seeded, quick;
    int argument;                                       /* 0: all */
    bool no_cache, quiet, latex, training, help, log_json, tsv, fmt_check;
    DiagStyle style;
    DType precision;
    LabOptions lab_options;

    bool in_text;                                       /* stdin is a pipe or a file */
    bool in_terminal, out_terminal, err_terminal, color; int width;  /* of the terminal; 0: there is none */
    Session *session; Lab *lab;
    Progress *progress; const char *progress_what; double progress_done; pthread_mutex_t progress_lock;
    double log_started, log_shown;                      /* --log json */
    const char *c_folder;                               /* of cli_scratch; removed at the end */
    VEC(ShownDiag) shown;                                   /* of this session */
    bool machine, at_fault;                             /* something of the machine failed; the program is at fault */
} Cli;

/* ---- cli_options.c ---- */
extern const Command commands[];
/* Reads argv into cli; -1 to go on, else an exit code. */
int options_read(Cli *cli, int argc, char **argv);

/* ---- cli_session.c ---- */
/* A session and its laboratory, as the options say. */
void cli_open(Cli *cli);
const char *cli_scratch(Cli *cli);                      /* a folder that goes at the end; NULL after a message */
bool cli_cpu_known(Cli *cli);                           /* is --cpu, if given, one that LLVM knows? */
void cli_close(Cli *cli);
/* Where data sets are looked for (ends with NULL), and where fetched ones are put (NULL: there is no home). */
const char *const *cli_data_folders(Cli *cli);
const char *cli_user_folder(Cli *cli);
/* Reads and loads a program; path NULL: an empty one.  NULL after messages. */
LoadedModule *cli_load(Cli *cli, const char *path);
/* The laboratory of cli->session, for a program of this name and text. */
void cli_lab(Cli *cli, const char *program, const char *text, size_t length);
/* Takes the line of progress off the screen. */
void cli_progress_end(Cli *cli);
/* Shows the diagnostics so far and forgets them.  True if none was an error. */
bool cli_show(Cli *cli, FILE *to);
/* An expression in the scope of a module; false after diagnostics. */
bool cli_evaluate(Cli *cli, Eval *e, LoadedModule *module, const char *title, const char *text, Value *out);
int cli_status(const Cli *cli, bool ok);
/* One line on stderr. */
void cli_error(const Cli *cli, const char *format, ...) NIN_PRINTF(2, 3);
/* The near one of some names, or NULL. */
const char *cli_near(const char *name, const char *const *names, int n);
bool cli_interrupted(void *unused);                     /* main.c */
/* Forgets Ctrl-C.  prompt: from now on it ends no process. */
void cli_interrupts_reset(bool prompt);
/* Can be read from after an interrupt, until they are reset. */
int cli_interrupts_fd(void);

/* ---- commands ---- */
int command_run(Cli *cli), command_check(Cli *cli), command_test(Cli *cli), command_eval(Cli *cli),
    command_grad(Cli *cli), command_explain(Cli *cli), command_dump(Cli *cli), command_data(Cli *cli),
    command_results(Cli *cli), command_report(Cli *cli), command_params(Cli *cli), command_build(Cli *cli),
    command_verify(Cli *cli), command_fmt(Cli *cli), command_repl(Cli *cli);

#endif
