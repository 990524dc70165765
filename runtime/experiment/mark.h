/* mark.h -- marks of figures: what they were called with, and what they come to for a group of rows. */
#ifndef NIN_MARK_H
#define NIN_MARK_H

#include "experiment/experiment.h"
#include "report/figure.h"

typedef struct Mark {
    Object object; MarkKind kind; Span span;
    Compiled *x, *y, *z, *over, *color, *group[8]; Name color_name, group_name[8]; int groups;
    const char *x_text, *y_text, *z_text, *style; /* as written, for titles; style: solid, dashed, dotted */
    const Value *spread;                          /* of band, bars, points: half the width, a fn of the values */
    double *level; int levels; int bins;
    bool by_label;                                /* x stands for categories, be it a number */
} Mark;
extern const ObjectClass mark_class, axis_class;
typedef struct Axis { Object object; bool log; const char *title; bool bounded; double lo, hi; } Axis;
extern const BuiltinRow builtins_mark[];

/* One drawn thing: points in order (lo, hi: of a band; text: categories on x), or a grid z[ny][nx]. */
typedef struct Series {
    const Mark *mark; const char *label; Value color_key; bool colored;
    int n; double *x, *y, *lo, *hi; const char **text;
    int fewest, most;                             /* values that a mean with a spread is of */
    const char *x_name, *y_name;                  /* of a grid: what its axes are; or NULL */
    bool downwards;                               /* of a matrix: y counts rows from the top */
    int nx, ny; double *z; uint8_t *rgb;
} Series;
typedef struct SeriesList { VEC(Series) at; bool warned; } SeriesList;   /* warned: W0808 was said */
/* What a mark comes to for the points of a panel. */
bool mark_series(Eval *e, const Mark *mark, const Group *panel, SeriesList *out);

#endif
