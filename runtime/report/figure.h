/* figure.h -- figures: marks in panels, written as data files, a gnuplot script, SVG and PNG.
 *
 * All numbers are computed by the caller (one series for each group) or here (bins, shares, contours); gnuplot only
 * draws.  In FOLDER: NAME.svg, NAME.png, and NAME.plot/ with plot.gp and the numbers of every panel, so that anyone can
 * draw the figure again (cd NAME.plot && gnuplot plot.gp) or differently; what would be drawn from the same script and
 * numbers is not drawn again.  Without gnuplot these are still written, and
 * a note says so.  Colours are those of Okabe and Ito, which colour-blind readers can tell apart; surfaces are
 * viridis, or, where values lie on both sides of 0, blue and red with white at 0. */
#ifndef NIN_FIGURE_H
#define NIN_FIGURE_H

#include "base/base.h"
#include "support/file.h"

typedef enum MarkKind { MARK_LINES, MARK_POINTS, MARK_BAND, MARK_BARS, MARK_HEAT, MARK_CONTOUR, MARK_HIST, MARK_CDF,
                        MARK_RULE, MARK_IMAGE } MarkKind;
typedef enum LineStyle { STYLE_SOLID, STYLE_DASHED, STYLE_DOTTED } LineStyle;

typedef struct FigureSeries {
    const char *label;              /* in the legend; equal labels appear once.  NULL: not there */
    int color;                      /* number of its colour group, from 0 */
    LineStyle style;
    const double *x, *y;            /* hist, cdf: x alone.  NaN breaks a line */
    const double *lo, *hi;          /* band; bars, points: ends of an error bar where lo < hi, or NULL */
    int64_t n;
} FigureSeries;

/* Values at nx x ny evenly spaced points, corners included: z[iy * nx + ix] at x_lo + ix (x_hi - x_lo) / (nx - 1). */
typedef struct FigureGrid {
    int nx, ny; double x_lo, x_hi, y_lo, y_hi; const double *z;
    bool cells;                     /* each value fills a cell around its point: a matrix */
    const uint8_t *rgb;             /* of an image, in the place of z: 3 a point, row by row from the top */
} FigureGrid;

typedef struct FigureMark {
    MarkKind kind; LineStyle style;
    const FigureSeries *series; int count;             /* lines points band bars hist cdf */
    const FigureGrid *grid;                            /* heat contour image */
    const double *levels; int level_count;             /* contour; 0: about ten round ones */
    bool faint;                                        /* contour: one of many, in thin grey lines */
    int bins;                                          /* hist; 0: by the rule of Freedman and Diaconis */
    double at; bool vertical;                          /* rule: a line at x = at (vertical) or y = at */
} FigureMark;

typedef struct FigurePanel {
    int row, column; const FigureMark *marks; int count;                /* from 0 */
    const char *title, *x_title, *y_title;             /* of its own, with free scales; or NULL */
} FigurePanel;

typedef struct FigureAxis {
    const char *title;
    bool downwards, whole;                             /* y: lo is at the top; ticks at whole numbers only */
    bool log, ranged; double lo, hi;                   /* ranged: lo .. hi, else what the data need */
    const char *const *category; int categories;       /* x = 0, 1, ... stand for these texts */
} FigureAxis;

typedef struct FigureSpec {
    const char *name;
    FigureAxis x, y;
    const char *z_title, *legend_title;                /* or NULL */
    int rows, columns;                                 /* at least 1 */
    const char *const *row_title, *const *column_title;             /* or NULL */
    const FigurePanel *panels; int panel_count;
    bool free_scales;                                  /* each panel has ranges of its own */
} FigureSpec;

typedef struct FigureTools {
    const char *gnuplot;            /* path of the program; NULL: looked for in the usual folders; "": do not draw */
    double seconds;                 /* most time it may take; 0: 60 */
    FileSync sync;
    bool pdf;                       /* draw a PDF as well */
} FigureTools;

typedef struct FigureResult {
    char *script, *svg, *png, *pdf; /* paths; the pictures NULL if not drawn */
    VEC(const char *) notes;        /* "gnuplot is not installed: ...", "3 points at or below 0 have no place on ..." */
} FigureResult;

/* False with an error only if something could not be written. */
bool figure_write(Arena *arena, const char *folder, const FigureSpec *spec, const FigureTools *tools,
                  FigureResult *result, char **error);

/* [A-Za-z0-9_.-] stays, other characters become _. */
char *file_name_of(Arena *arena, const char *text);

#endif
