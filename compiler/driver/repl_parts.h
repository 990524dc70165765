/* repl_parts.h -- what the files of the prompt share (repl*.c), and nobody else. */
#ifndef NIN_REPL_PARTS_H
#define NIN_REPL_PARTS_H

#include "driver/repl.h"
#include "sema/prompt.h"

struct Repl {
    Arena *arena;                                 /* as long as the prompt */
    Session *session; Lab *lab; Prompt *prompt;
    ReplOptions options;
    Name ans;
    VEC(const char *) files;                      /* that were loaded, for :reload */
    bool failed, quiet;                           /* this input; quiet: it ends with ';' */
    LabTurn turn;                                 /* of this input */
};

/* ---- repl.c ---- */
void repl_say(Repl *repl, const char *format, ...) NIN_PRINTF(2, 3);
void repl_put(Repl *repl, const Buf *text);
/* A line of its own: what is wrong with the input, beyond diagnostics. */
void repl_error(Repl *repl, const char *format, ...) NIN_PRINTF(2, 3);
/* The diagnostics so far, shown and forgotten; true if none was an error. */
bool repl_show_diags(Repl *repl);
/* An evaluator of the open input. */
void repl_eval(Repl *repl, Eval *e, EvalMode mode);

/* ---- repl_show.c: values for people ---- */
/* After a definition: what was defined, in a line. */
void show_definition(Repl *repl, Eval *e, const Value *value);
/* The value of a binding (one line where it can) or of an expression (in full). */
void show_value(Repl *repl, Eval *e, const Value *value, bool full);
void show_type(Repl *repl, Eval *e, const Value *value, Buf *out);
void show_signature(Repl *repl, const Ast *def, Buf *out);
char *own_names(Arena *arena, const Value *cell, const char *text);       /* "gcu.k * x" of gcu: "k * x" */
/* The columns that a text takes. */
int text_columns(const char *text, size_t length);

/* ---- repl_command.c ---- */
typedef struct ReplCommand {
    const char *name, *arguments, *help;
    bool evaluates;                               /* its argument is text of the language, to be completed as such */
    bool (*run)(Repl *repl, const char *rest);
} ReplCommand;
extern const ReplCommand repl_commands[];         /* ends with a NULL name */
extern const char *const repl_settings[];         /* of :set; ends with NULL */
/* The command that a bare word means where it names nothing; NULL: none. */
const char *command_word(const Repl *repl, const char *text);
ReplStatus command_input(Repl *repl, const char *text, bool last);
/* ?name */
bool help_show(Repl *repl, const char *name);

/* The arguments of `:name rest`, evaluated in an input of its own, which command_close ends. */
typedef struct CommandArgs { const char *flag; Value *at; Name *label; const Ast **ast; int len; Eval e; } CommandArgs;
bool command_open(Repl *repl, const char *name, const char *rest, CommandArgs *out);
bool command_close(Repl *repl, bool ok);

/* ---- repl_plot.c ---- */
bool command_plot(Repl *repl, const char *rest);

#endif
