/* objects.h -- objects of the library that more than one part looks into: distributions and selections.
 *
 * A distribution says how a parameter starts; the trainer draws from it (runtime/train).  A selection is a set of
 * parameters: all, cells, outer, params("pattern"), joined by and, or, not.  Both are immutable; their identity is the
 * text that makes them: "normal(0, 0.1)", "all and not params(\"dense[1].*\")". */
#ifndef NIN_OBJECTS_H
#define NIN_OBJECTS_H

#include "sema/eval.h"

typedef enum DistributionKind { DIST_UNIFORM, DIST_NORMAL, DIST_TRUNCATED, DIST_ORTHOGONAL } DistributionKind;
/* uniform: a..b; normal: mean a, sd b; truncated: the same without what lies beyond 2 b; orthogonal: gain a. */
typedef struct Distribution { Object object; DistributionKind kind; double a, b; } Distribution;
extern const ObjectClass distribution_class;
const Distribution *value_distribution(const Value *value);              /* NULL if it is none */
Value distribution_value(Arena *arena, DistributionKind kind, double a, double b);

typedef enum SelectionKind {
    SELECT_ALL, SELECT_CELLS, SELECT_OUTER, SELECT_PARAMS, SELECT_NOT, SELECT_AND, SELECT_OR
} SelectionKind;
typedef struct Selection {
    Object object; SelectionKind kind;
    const char *pattern;                                                 /* SELECT_PARAMS */
    const struct Selection *a, *b;                                       /* NOT a; a AND b; a OR b */
} Selection;
extern const ObjectClass selection_class;
/* A selection object, or the names all, cells, outer; NULL if it is none. */
const Selection *value_selection(Arena *arena, const Value *value);
/* and, or, not of selections (b NULL for not): false if an operand is no selection. */
bool selection_join(Arena *arena, SelectionKind kind, const Value *a, const Value *b, Value *out);
bool selection_has(const Selection *selection, const char *path, bool of_cell);
/* Does a path fit a pattern?  `*` stands for any text; "dense" without a number fits "dense[1]". */
bool path_fits(const char *pattern, const char *path);

/* The members of a choice type (scope, norm, order, axis_scale, ...); ends with NULL; NULL for no choice type. */
const char *const *names_choices(const char *type);

#endif
