/* names.h -- static name resolution: every name in a module has one meaning, before anything is evaluated.
 *
 * names_check (declared in session.h)
 * requires  the module parsed; the modules it uses loaded (Session.modules, by dotted path)
 *           at a prompt (LoadedModule.prompt): the names of the scope stand beside those of the items
 * ensures   E0301 E0302 E0305 E0306 E0312 E0316 E0506 E0507 E0509 E0801 E0802, W0315 W0505 W0510 W0807 W0812, N0304 in
 * the
 *           session's diagnostics, each unknown name once for each definition; true if there was no error
 * does not  bind anything: scopes are the evaluator's; shapes, settings and values are checked there */
#ifndef NIN_NAMES_H
#define NIN_NAMES_H

#include "sema/prompt.h"

/* Parses the files of the library into Session.library, if that was not done; scopes are left NULL. */
void names_library(Session *session);
/* The DEF, ALIAS or BIND of a module that defines a name; NULL if it has none. */
const Ast *names_item(const Module *module, Name name);

/* W0505, W0807, W0812: what the text alone tells (names_reports.c). */
void names_reports(Diags *diags, Arena *arena, const Module *module);

/* Words that are no definitions (names_words.c). */
bool word_is_type(const char *name);                          /* f32, list, cell, initializer ... */
bool word_is_value_type(const char *name);                    /* f32, f64, int ...: in an expression too */
bool word_is_choice(const char *type, const char *name);      /* a member of a choice type */
bool word_is_any_choice(const char *name);

/* The candidate with the smallest edit distance to a mistaken name, the first of equals; name NULL: none is near. */
typedef struct Near { const char *name; int distance; } Near;
void near_try(Near *near, const char *wanted, const char *name);
void near_try_map(Near *near, const char *wanted, const Map *map);
void near_try_module(Near *near, const char *wanted, const Module *module);
const char *near_type(const char *wanted);

#endif
