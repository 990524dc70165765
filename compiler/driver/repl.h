/* repl.h -- the prompt: inputs are read one after another, evaluated, and answered.
 *
 * An input is an item of a program, any statement, a colon command (`:plot f, over: -2..2` is a call without its
 * parentheses) or a question (`?name`).  It is complete when the parser says so.  Names and their memory are those of
 * sema/prompt.h.  An error is answered like anything else: no input ends the prompt but :quit.
 *
 * Nothing here touches a terminal: text goes to `put`, lines come from the caller (cli_repl.c), and so do the files
 * that commands name (through support/file.h).  One thread. */
#ifndef NIN_REPL_H
#define NIN_REPL_H

#include "experiment/lab.h"

/* Pictures as the terminal can show them. */
typedef enum Graphics { GRAPHICS_TEXT, GRAPHICS_SIXEL, GRAPHICS_KITTY } Graphics;

typedef struct ReplOptions {
    void (*put)(void *data, const char *text, size_t length); void *data;
    int width, height;                            /* of the terminal, in characters */
    bool color;
    Graphics graphics;
    const char *state_folder;                     /* for nothing but messages; history is the caller's */
    /* The inputs so far, for :history; NULL: none are kept. */
    void (*history)(void *data, Buf *out);
} ReplOptions;

typedef enum ReplStatus {
    REPL_DONE,                                    /* answered */
    REPL_MORE,                                    /* nothing done: the input goes on */
    REPL_FAILED,                                  /* answered by an error */
    REPL_QUIT
} ReplStatus;

typedef struct Repl Repl;
/* The session is new: the prompt makes its module.  lab is that session's. */
Repl *repl_new(Session *session, Lab *lab, const ReplOptions *options);
void repl_free(Repl *repl);
/* One input of one line or several.  last: no more lines will come, what is incomplete is an error. */
ReplStatus repl_input(Repl *repl, const char *text, bool last);
/* Reads a program into the prompt's names. */
bool repl_load(Repl *repl, const char *path);
void repl_resize(Repl *repl, int width, int height);

/* What may stand at the end of `line`: candidates in order, each a whole word to replace line[*from ..]. */
typedef struct ReplWords { const char **at; int len; int from; } ReplWords;
ReplWords repl_complete(Repl *repl, Arena *arena, const char *line);

size_t repl_bytes(const Repl *repl);              /* memory that inputs take, programs compiled: for tests */
size_t repl_programs(const Repl *repl);

#endif
