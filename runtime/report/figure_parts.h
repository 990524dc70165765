/* figure_parts.h -- between the files of the figure writer.
 *
 * A mark becomes one or more layers, and a layer one block of numbers in its panel's data file and one element of a
 * plot command.  figure_layers.c makes them, contour.c finds level lines, figure_script.c writes the script, figure.c
 * lays out. */
#ifndef NIN_FIGURE_PARTS_H
#define NIN_FIGURE_PARTS_H

#include "report/figure.h"

typedef enum LayerKind {
    LAYER_IMAGE,                    /* x y z */
    LAYER_FILL,                     /* x lo hi */
    LAYER_BOXES,                    /* x y width */
    LAYER_LINE,                     /* x y; NaN breaks */
    LAYER_LEVELS,                   /* x y z: level lines coloured by z; NaN breaks */
    LAYER_POINTS,                   /* x y */
    LAYER_ERRORS,                   /* x low high: error bars */
    LAYER_RULE,                     /* at; style only */
    LAYER_PICTURE                   /* x y red green blue */
} LayerKind;

enum { OVER_SURFACE = -2, FAINT = -3 };
typedef struct Layer {
    LayerKind kind; LineStyle style;
    int color;                      /* colour group; -1: ink (rules); OVER_SURFACE: level lines over one; FAINT */
    int columns; int64_t rows; const double *at;
    double rule; bool vertical;
    bool legend; const char *label; /* legend: shows itself there */
} Layer;

typedef struct LevelText { double x, y, level; } LevelText;

typedef struct PanelPlot {
    const FigurePanel *panel;
    VEC(Layer) layers;
    VEC(LevelText) texts;           /* beside level lines over a surface */
    double x_lo, x_hi, y_lo, y_hi;  /* what it shows, after figure_ranges */
    double left, right, bottom, top;/* on the screen, 0 .. 1 */
    bool show_x, show_y;            /* tick labels */
    bool surface; double s_x_lo, s_x_hi, s_y_lo, s_y_hi;                /* it shows a surface, over this */
    const char *title, *side;       /* above; to the right */
} PanelPlot;

typedef struct LegendEntry { const char *label; int color; LineStyle style; LayerKind kind; } LegendEntry;

typedef struct Figure {
    Arena *arena; const FigureSpec *spec; FigureResult *result;
    PanelPlot *plots; int count;
    int groups;                     /* colour groups */
    bool surface, square;           /* something has a z; panels are square */
    bool pictures; double tall;     /* all are images: no axes; the first one's height by its width */
    bool heat, diverging;           /* something is filled by z; z has a meaning on both sides of 0 */
    bool pdf;                       /* FigureTools.pdf */
    double z_lo, z_hi;
    VEC(LegendEntry) legend;
    int width, height;              /* pixels */
    double legend_x, legend_y, bar_x, bar_y, bar_height;               /* on the screen */
    double title_left, title_below; /* pixels from a panel's edge to the titles of its axes */
} Figure;

void figure_note(Figure *figure, const char *format, ...) NIN_PRINTF(2, 3);
/* Layers of every panel, the legend, the ranges. */
void figure_layers(Figure *figure);
/* Level lines of a grid: points (x, y), NaN between lines.  *text gets the middle of the longest line of a level. */
typedef struct Polyline { double *xy; int64_t points; } Polyline;
Polyline contour_lines(Arena *arena, const FigureGrid *grid, double level, LevelText *text);
/* Without the points that are nearer than dx, dy to the line through those that stay (Douglas and Peucker). */
Polyline polyline_thinned(Arena *arena, Polyline line, double dx, double dy);
double round_step(double lo, double hi, int wanted);               /* 1, 2 or 5 times a power of ten */
int figure_ticks_wanted(double pixels, bool x);
bool figure_slanted(const Figure *figure, double pixels);          /* texts of x do not fit beside each other */
/* About `wanted` round numbers strictly between lo and hi. */
int contour_levels(double lo, double hi, int wanted, double *out, int room);
void figure_data_text(const Figure *figure, const PanelPlot *plot, Buf *out);
void figure_script_text(const Figure *figure, Buf *out);
void figure_plot_text(const Figure *figure, const char *name, Buf *out);
void figure_lay_out(Figure *figure);
/* Runs the program in a folder.  False with a one-line reason. */
bool gnuplot_run(Arena *arena, const char *program, const char *folder, const char *script, double seconds, char **why);
const char *gnuplot_find(void);     /* NULL if it is in none of the usual folders */

#endif
