/* session.h -- what all work hangs off: arenas, sources, diagnostics, modules, builtins.  No other state.
 * The laboratory registers its builtins and hooks here; sema knows them by name only. */
#ifndef NIN_SESSION_H
#define NIN_SESSION_H

#include <pthread.h>

#include "sema/eval.h"

/* Called by the evaluator for what belongs to the laboratory. */
typedef struct LabHooks {
    void *state;                        /* the Lab */
    /* Runs (or checks) an experiment's `for`: the laboratory may run turns in threads; `turn` evaluates one. */
    bool (*loop)(Eval *e, const Ast *loop, Scope *scope);
    /* Checks an experiment or a test (e->mode is EVAL_CHECK): sets e->lab, evaluates the body in a scope of
     * eval_experiment_scope.  NULL: sema evaluates the body itself. */
    bool (*check)(Eval *e, struct LoadedModule *module, const Ast *experiment_or_test);
} LabHooks;

typedef struct Session {
    Arena *arena; Intern *names; Sources *sources; Diags diags;
    uint32_t next_id;
    Map modules;                        /* Name (dotted path) -> LoadedModule */
    Scope *prelude;
    VEC(struct LoadedModule *) library; /* the parsed files of the prelude: names_library */
    const BuiltinRow *builtins[4]; int builtin_tables;        /* the last table that has a name wins */
    pthread_mutex_t lock;               /* recursive: held while top-level bindings are evaluated */
    struct Words *words;                /* interned names that the evaluator looks for */
    const char *const *data_folders;    /* searched for data sets; ends with NULL */
    const char *cache_folder;           /* for decoded data sets; NULL: none */
    const char *out_folder;             /* --out */
    const char *library_folder;         /* for `use`, after the file's own folder; or NULL */
    /* Reads a file of the program: NULL and *error if it cannot.  Set by the driver; the library reads no files
     * itself. */
    char *(*read_file)(Arena *arena, const char *path, size_t *length, const char **error);
    DType precision;
    LabHooks lab;
    bool (*interrupted)(void *data);    /* Ctrl-C: loops and lists of what is evaluated end; NULL: never */
    const struct LoadedModule *checked;               /* the program that session_check looks through; else NULL */
    struct PromptItem *item;            /* the input of a prompt that is being read (sema/prompt.h), or NULL */
} Session;

Session *session_new(const BuiltinRow *lab_builtins);
void session_free(Session *session);

typedef VEC(const Ast *) BlockList;
typedef struct LoadedModule {
    Name path; const char *folder; const Module *module; Scope *scope;
    BlockList experiments, tests;
    bool used;                          /* by another file: notes are for whoever checks or runs this one */
    bool prompt;                        /* its scope has more names than its items bind: sema/prompt.h */
} LoadedModule;
/* Parses a file, resolves its names (E03xx), binds its definitions.  NULL after errors that leave nothing. */
LoadedModule *session_load(Session *session, const char *path);
LoadedModule *session_load_text(Session *session, const char *path, const char *text);
/* Everything that can be known without running: all definitions, bindings, experiments, tests. */
bool session_check(Session *session, LoadedModule *module);
/* The value of a top-level name of the module or the prelude; false (and no diagnostic if *found is false). */
bool session_value(Eval *e, LoadedModule *module, const char *name, Value *out, bool *found);
/* Static checks of names.c: unknown names, names bound twice or not used, cycles.  Called by session_load. */
bool names_check(Session *session, LoadedModule *module);

#endif
