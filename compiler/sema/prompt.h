/* prompt.h -- the names of a prompt: inputs come one after another, later ones replace the names of earlier ones.
 *
 * One scope holds all names.  Each input is a PromptItem with an arena of its own, in which its tree, its definitions
 * and its values lie; while an input is open, Session.arena and Session.diags are those of the item.
 *
 * A definition refers to others by name.  When a name is replaced, the definitions that use it are made anew, so that
 * they see the new one; what they were before goes on in values that were computed from them (a model, a cell in a
 * list), with a *frozen* scope of its own that has the names as they were.  So a value is what it was when it was
 * computed: its item *holds* all items that the names in its text reached then.  When an input is closed, items that no
 * name and no held value reaches are dead; dead ones are freed together, after `forget` had the laboratory drop what it
 * compiled from them.  Plain values (numbers, texts, tensors, lists of these) hold nothing.
 *
 * Definitions carry a version (Definition.version), so that what is compiled or stored under a definition's identity
 * is not found under that of another with its name. */
#ifndef NIN_PROMPT_H
#define NIN_PROMPT_H

#include "sema/session.h"

typedef struct PromptItem {
    Arena *arena; int64_t number, last;           /* last: the input that evaluated one of its bindings last */
    const Source *source; const Module *parsed;
    struct PromptItem **holds; int holds_len;     /* NULL: its values are plain, or it has none */
    bool file; /* a program that was loaded: its bindings are evaluated on first use */
    bool derived;                                 /* definitions made anew: holds[] are the items of their trees */
    bool marked, dead;
} PromptItem;

typedef struct Prompt {
    Session *session; LoadedModule *module;
    Arena *arena;                                 /* the session's own */
    VEC(PromptItem *) items; int64_t number;
    PromptItem *open;
    int dead; size_t dead_bytes;
    /* Called before items are freed. */
    void (*forget)(void *data, struct Prompt *prompt); void *forget_data;
} Prompt;

/* The module is an empty one, called `name` in messages. */
Prompt *prompt_new(Session *session, const char *name);
void prompt_free(Prompt *prompt);

/* Parses a text; item->parsed->complete tells whether more must come.  One item may be open at a time. */
PromptItem *prompt_open(Prompt *prompt, const char *title, const char *text, size_t length, bool file);
/* Ends the input, after its diagnostics were shown: frees what no name reaches any more. */
void prompt_close(Prompt *prompt);

/* One item of the input that is open: a definition, an alias, a `use`, a binding or any other statement.  Diagnoses
 * it; then it is evaluated.  *out: the value of a binding or an expression, else V_NONE.  False after diagnostics: no
 * name has changed. */
bool prompt_item(Prompt *prompt, Eval *e, const Ast *ast, Value *out);
/* All items of a program: definitions, lazy bindings; experiments and tests go to module->experiments, ->tests.  False
 * after errors; what could be defined is. */
bool prompt_file(Prompt *prompt);
/* Binds a name to a value of the open input. */
void prompt_bind(Prompt *prompt, Name name, Span span, const Ast *ast, const Value *value);
/* Is a value alive that was computed in the inputs from..to and is more than numbers? */
bool prompt_alive(const Prompt *prompt, int64_t from, int64_t to);
size_t prompt_bytes(const Prompt *prompt);                                /* of all arenas */

/* The i-th name of a prompt's scope; false behind the last.  name NULL: it is gone. */
typedef struct PromptName {
    Name name; Span span; const Ast *ast;         /* its definition, or NULL */
    LoadedModule *module;                         /* of a `use` without names */
    const PromptItem *item; const Value *value;   /* value NULL: not evaluated yet */
} PromptName;
bool prompt_name(const Scope *scope, int i, PromptName *out);
bool prompt_has(const Scope *scope, Name name);

#endif
