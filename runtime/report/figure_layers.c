/* figure_layers.c -- from marks to layers of numbers, the legend and the ranges. */
#include <math.h>
#include <stdlib.h>

#include "report/figure_parts.h"
#include "report/statistics.h"

/* FINE: parts of a panel that nobody tells apart */
enum { FINE = 2000, LEVELS = 10, MOST_LEVELS = 64, LEAST_BINS = 5, MOST_BINS = 60, MOST_WANTED = 1000 };

void figure_note(Figure *figure, const char *format, ...) {
    va_list args;
    va_start(args, format);
    vec_push(figure->arena, &figure->result->notes, arena_vprintf(figure->arena, format, args));
    va_end(args);
}

static Layer *add_layer(Figure *figure, PanelPlot *plot, LayerKind kind, int columns, int64_t rows, double **at) {
    double *numbers = *at = arena_array(figure->arena, double, rows * columns + 1);
    vec_push(figure->arena, &plot->layers, ((Layer){.kind = kind, .columns = columns, .rows = rows, .at = numbers,
                                                    .color = -1}));
    return &plot->layers.at[plot->layers.len - 1];
}

static void style_as(Figure *figure, Layer *layer, const FigureSeries *series, const FigureMark *mark, bool legend) {
    layer->color = series->color;
    layer->style = series->style != STYLE_SOLID ? series->style : mark->style;
    layer->legend = legend && series->label;
    layer->label = series->label;
    if (series->color >= figure->groups) figure->groups = series->color + 1;
}

/* ---- marks with x and y ---- */
static void errors_layer(Figure *figure, PanelPlot *plot, const FigureSeries *s, const double *x) {
    double *at;
    int64_t rows = 0;
    for (int64_t i = 0; s->lo && i < s->n; i++) rows += s->lo[i] < s->hi[i];
    if (!rows) return;
    Layer *layer = add_layer(figure, plot, LAYER_ERRORS, 3, rows, &at);
    layer->color = x ? -1 : s->color;
    for (int64_t i = 0; i < s->n; i++)
        if (s->lo[i] < s->hi[i]) *at++ = x ? x[3 * i] : s->x[i], *at++ = s->lo[i], *at++ = s->hi[i];
}

static void lines_layer(Figure *figure, PanelPlot *plot, const FigureMark *mark, const FigureSeries *s) {
    double *at;
    Layer *layer = add_layer(figure, plot, mark->kind == MARK_POINTS ? LAYER_POINTS : LAYER_LINE, 2, s->n, &at);
    for (int64_t i = 0; i < s->n; i++) at[2 * i] = s->x[i], at[2 * i + 1] = s->y[i];
    style_as(figure, layer, s, mark, true);
    if (mark->kind == MARK_POINTS) errors_layer(figure, plot, s, NULL);
}

static void band_layers(Figure *figure, PanelPlot *plot, const FigureMark *mark, const FigureSeries *s) {
    double *at;
    Layer *layer = add_layer(figure, plot, LAYER_FILL, 3, s->n, &at);
    for (int64_t i = 0; i < s->n; i++) at[3 * i] = s->x[i], at[3 * i + 1] = s->lo[i], at[3 * i + 2] = s->hi[i];
    style_as(figure, layer, s, mark, false);
}

static double least_gap(const FigureMark *mark) {
    double gap = INFINITY;
    for (int k = 0; k < mark->count; k++)
        for (int64_t i = 1; i < mark->series[k].n; i++) {
            double d = fabs(mark->series[k].x[i] - mark->series[k].x[i - 1]);
            if (d > 0 && d < gap) gap = d;
        }
    return isfinite(gap) ? gap : 1;
}

/* The series of a mark stand side by side around x. */
static void bars_layer(Figure *figure, PanelPlot *plot, const FigureMark *mark, int k) {
    const FigureSeries *s = &mark->series[k];
    double *at, *first, room = 0.8 * (figure->spec->x.categories ? 1 : least_gap(mark)), width = room / mark->count;
    Layer *layer = add_layer(figure, plot, LAYER_BOXES, 3, s->n, &at);
    first = at;
    for (int64_t i = 0; i < s->n; i++) {
        at[3 * i] = s->x[i] - room / 2 + width * (k + 0.5);
        at[3 * i + 1] = s->y[i];
        at[3 * i + 2] = width * (mark->count > 1 ? 0.94 : 1);
    }
    style_as(figure, layer, s, mark, true);
    errors_layer(figure, plot, s, first);
}

/* ---- distributions ---- */
static double on_axis(const FigureAxis *axis, double x) { return axis->log ? log10(x) : x; }
static double off_axis(const FigureAxis *axis, double x) { return axis->log ? pow(10, x) : x; }

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The finite values of a series on the axis' scale, sorted. */
static double *values_of(Figure *figure, const FigureSeries *s, int64_t *n) {
    double *out = arena_array(figure->arena, double, s->n + 1);
    *n = 0;
    for (int64_t i = 0; i < s->n; i++) {
        double x = on_axis(&figure->spec->x, s->x[i]);
        if (isfinite(x)) out[(*n)++] = x;
    }
    qsort(out, (size_t)*n, sizeof *out, ascending);
    return out;
}

typedef struct Bins { double lo, width; int count; } Bins;

/* Common to all series in the figure, so that panels compare: by Freedman and Diaconis 2 IQR / n^(1/3) wide, the mean
 * of that over the series. */
static Bins choose_bins(Figure *figure, int wanted) {
    double lo = INFINITY, hi = -INFINITY, width = 0;
    int series = 0;
    for (int p = 0; p < figure->spec->panel_count; p++)
        for (int m = 0; m < figure->spec->panels[p].count; m++) {
            const FigureMark *mark = &figure->spec->panels[p].marks[m];
            for (int k = 0; mark->kind == MARK_HIST && k < mark->count; k++) {
                int64_t n;
                double *x = values_of(figure, &mark->series[k], &n);
                if (n == 0) continue;
                lo = fmin(lo, x[0]), hi = fmax(hi, x[n - 1]), series++;
                width += 2 * (stat_quantile(x, n, 0.75) - stat_quantile(x, n, 0.25)) / cbrt((double)n);
            }
        }
    if (!(hi > lo)) return (Bins){series ? lo - 0.5 : 0, 1, 1};
    double count = width > 0 ? ceil((hi - lo) / (width / series)) : MOST_BINS;
    int bins = (int)fmin(MOST_BINS, fmax(LEAST_BINS, count));
    if (wanted > 0) bins = wanted < MOST_WANTED ? wanted : MOST_WANTED;
    return (Bins){lo, (hi - lo) / bins, bins};
}

static double *bin_counts(Figure *figure, const FigureSeries *s, const Bins *bins) {
    int64_t n;
    double *x = values_of(figure, s, &n), *count = arena_array(figure->arena, double, bins->count);
    for (int64_t i = 0; i < n; i++) {
        int b = (int)((x[i] - bins->lo) / bins->width);
        count[b < 0 ? 0 : b >= bins->count ? bins->count - 1 : b]++;
    }
    return count;
}

/* A filled area of two points a bin, and its outline, which leaves out the empty bins. */
static void hist_layers(Figure *figure, PanelPlot *plot, const FigureMark *mark, const FigureSeries *s,
                        const Bins *bins) {
    double *count = bin_counts(figure, s, bins), *fill, *line;
    Layer *filled = add_layer(figure, plot, LAYER_FILL, 3, 2 * bins->count, &fill);
    style_as(figure, filled, s, mark, false);
    Layer *outline = add_layer(figure, plot, LAYER_LINE, 2, 5 * bins->count, &line);
    style_as(figure, outline, s, mark, true);
    outline->rows = 0;
    for (int b = 0; b < bins->count; b++) {
        double lo = bins->lo + b * bins->width,
               x[2] = {off_axis(&figure->spec->x, lo), off_axis(&figure->spec->x, lo + bins->width)};
        bool first = b == 0 || count[b - 1] == 0, last = b + 1 == bins->count || count[b + 1] == 0;
        for (int side = 0; side < 2; side++, fill += 3) fill[0] = x[side], fill[1] = 0, fill[2] = count[b];
        if (count[b] == 0) continue;
        const double way[5][2] = {{x[0], 0}, {x[0], count[b]}, {x[1], count[b]}, {x[1], 0}, {NAN, NAN}};
        for (int i = first ? 0 : 1; i < (last ? 5 : 3); i++) memcpy(line + 2 * outline->rows++, way[i], sizeof way[i]);
    }
}

/* The share of values up to x: up at each value, then on to the next. */
static void cdf_layer(Figure *figure, PanelPlot *plot, const FigureMark *mark, const FigureSeries *s) {
    int64_t n;
    double *x = values_of(figure, s, &n), *at;
    Layer *layer = add_layer(figure, plot, LAYER_LINE, 2, 2 * n, &at);
    style_as(figure, layer, s, mark, true);
    for (int64_t i = 0; i < n; i++)
        for (int up = 0; up < 2; up++) {
            at[4 * i + 2 * up] = off_axis(&figure->spec->x, x[i]);
            at[4 * i + 2 * up + 1] = (double)(i + up) / (double)n;
        }
}

/* ---- surfaces ---- */
static void surface_extent(PanelPlot *plot, const FigureGrid *g) {
    double dx = g->cells ? (g->x_hi - g->x_lo) / (g->nx - 1) / 2 : 0,
           dy = g->cells ? (g->y_hi - g->y_lo) / (g->ny - 1) / 2 : 0;
    double x_lo = g->x_lo - dx, x_hi = g->x_hi + dx, y_lo = g->y_lo - dy, y_hi = g->y_hi + dy;
    bool first = !plot->surface;
    plot->surface = true;
    plot->s_x_lo = first ? x_lo : fmin(plot->s_x_lo, x_lo), plot->s_x_hi = first ? x_hi : fmax(plot->s_x_hi, x_hi);
    plot->s_y_lo = first ? y_lo : fmin(plot->s_y_lo, y_lo), plot->s_y_hi = first ? y_hi : fmax(plot->s_y_hi, y_hi);
}

static void surface_range(Figure *figure, const FigureGrid *grid, double *lo, double *hi) {
    *lo = INFINITY, *hi = -INFINITY;
    for (int64_t i = 0; i < (int64_t)grid->nx * grid->ny; i++) {
        if (!isfinite(grid->z[i])) continue;
        *lo = fmin(*lo, grid->z[i]), *hi = fmax(*hi, grid->z[i]);
    }
    figure->z_lo = fmin(figure->z_lo, *lo), figure->z_hi = fmax(figure->z_hi, *hi);
}

/* Infinities, such as logarithms of 0, are not drawn. */
static double seen(double z) { return isfinite(z) ? z : NAN; }

static void heat_layer(Figure *figure, PanelPlot *plot, const FigureGrid *grid) {
    double *at, lo, hi;
    double dx = (grid->x_hi - grid->x_lo) / (grid->nx - 1), dy = (grid->y_hi - grid->y_lo) / (grid->ny - 1);
    Layer *layer = add_layer(figure, plot, LAYER_IMAGE, 3, (int64_t)grid->nx * grid->ny, &at);
    layer->color = -1;
    surface_range(figure, grid, &lo, &hi);
    figure->surface = figure->heat = true;
    surface_extent(plot, grid);
    for (int iy = 0; iy < grid->ny; iy++)
        for (int ix = 0; ix < grid->nx; ix++, at += 3)
            at[0] = grid->x_lo + ix * dx, at[1] = grid->y_lo + iy * dy, at[2] = seen(grid->z[iy * grid->nx + ix]);
}

static void image_layer(Figure *figure, PanelPlot *plot, const FigureGrid *grid) {
    double *at;
    Layer *layer = add_layer(figure, plot, LAYER_PICTURE, 5, (int64_t)grid->nx * grid->ny, &at);
    layer->color = -1;
    surface_extent(plot, grid);
    if (figure->tall == 0) figure->tall = (double)grid->ny / grid->nx;
    for (int i = 0; i < grid->nx * grid->ny; i++, at += 5) {
        at[0] = grid->x_lo + i % grid->nx, at[1] = grid->y_lo + i / grid->nx;
        for (int k = 0; k < 3; k++) at[2 + k] = grid->rgb[3 * i + k];
    }
}

static bool over_surface(const FigurePanel *panel) {
    for (int m = 0; m < panel->count; m++)
        if (panel->marks[m].kind == MARK_HEAT) return true;
    return false;
}

/* A text in a corner would stand on the frame. */
static bool has_room(const FigureGrid *g, const LevelText *text) {
    double x = (text->x - g->x_lo) / (g->x_hi - g->x_lo), y = (text->y - g->y_lo) / (g->y_hi - g->y_lo);
    return x > 0.05 && x < 0.95 && y > 0.03 && y < 0.97;
}

/* Over a surface in one ink, with the level beside the line; alone coloured by level, but for a single one. */
static void contour_layers(Figure *figure, PanelPlot *plot, const FigureMark *mark) {
    double lo, hi, own[MOST_LEVELS];
    bool over = over_surface(plot->panel), ink = over || mark->faint || mark->level_count == 1;
    const FigureGrid *grid = mark->grid;
    surface_extent(plot, grid);
    if (ink) {
        double kept_lo = figure->z_lo, kept_hi = figure->z_hi;
        surface_range(figure, grid, &lo, &hi);
        figure->z_lo = kept_lo, figure->z_hi = kept_hi;
    } else {
        surface_range(figure, grid, &lo, &hi);
        figure->surface = true;
    }
    const double *levels = mark->level_count ? mark->levels : own;
    int count = mark->level_count ? mark->level_count : contour_levels(lo, hi, LEVELS, own, MOST_LEVELS);
    for (int l = 0; l < count; l++) {
        LevelText text;
        double *at;
        Polyline line = contour_lines(figure->arena, grid, levels[l], &text);
        line = polyline_thinned(figure->arena, line,
                                (grid->x_hi - grid->x_lo) / FINE, (grid->y_hi - grid->y_lo) / FINE);
        if (line.points == 0) continue;
        Layer *layer = add_layer(figure, plot, ink ? LAYER_LINE : LAYER_LEVELS, ink ? 2 : 3, line.points, &at);
        layer->style = mark->style;
        if (over) layer->color = OVER_SURFACE;
        if (mark->faint) layer->color = FAINT;
        for (int64_t i = 0; i < line.points; i++) {
            memcpy(at + layer->columns * i, line.xy + 2 * i, 2 * sizeof *at);
            if (!ink) at[3 * i + 2] = levels[l];
        }
        if (over && !mark->faint && has_room(grid, &text)) vec_push(figure->arena, &plot->texts, text);
    }
}

/* ---- panels ---- */
static void mark_layers(Figure *figure, PanelPlot *plot, const FigureMark *mark, const Bins *bins) {
    double *at;
    if (mark->grid && (mark->grid->nx < 2 || mark->grid->ny < 2)) {
        figure_note(figure, "%s: a surface needs at least 2 x 2 points", figure->spec->name);
        return;
    }
    switch (mark->kind) {
    case MARK_HEAT: heat_layer(figure, plot, mark->grid); return;
    case MARK_IMAGE: image_layer(figure, plot, mark->grid); return;
    case MARK_CONTOUR: contour_layers(figure, plot, mark); return;
    case MARK_RULE: {
        Layer *layer = add_layer(figure, plot, LAYER_RULE, 0, 0, &at);
        layer->rule = mark->at, layer->vertical = mark->vertical, layer->style = mark->style;
        return;
    }
    case MARK_BAND:
        for (int k = 0; k < mark->count; k++) band_layers(figure, plot, mark, &mark->series[k]);
        for (int k = 0; k < mark->count; k++) lines_layer(figure, plot, mark, &mark->series[k]);
        return;
    case MARK_LINES: case MARK_POINTS: case MARK_BARS: case MARK_HIST: case MARK_CDF: break;
    }
    for (int k = 0; k < mark->count; k++) {
        if (mark->kind == MARK_BARS) bars_layer(figure, plot, mark, k);
        else if (mark->kind == MARK_HIST) hist_layers(figure, plot, mark, &mark->series[k], bins);
        else if (mark->kind == MARK_CDF) cdf_layer(figure, plot, mark, &mark->series[k]);
        else lines_layer(figure, plot, mark, &mark->series[k]);
    }
}

static void add_legend(Figure *figure, const Layer *layer) {
    for (int i = 0; i < figure->legend.len; i++) {
        const LegendEntry *entry = &figure->legend.at[i];
        if (strcmp(entry->label, layer->label) == 0 && entry->color == layer->color) return;
    }
    vec_push(figure->arena, &figure->legend, ((LegendEntry){layer->label, layer->color, layer->style, layer->kind}));
}

/* ---- ranges ---- */
typedef struct Range { double lo, hi; bool zero; int64_t lost; } Range;

static void extend(Range *range, double x, bool log) {
    if (!isfinite(x)) return;
    if (log && x <= 0) {
        range->lost++;
        return;
    }
    range->lo = fmin(range->lo, x), range->hi = fmax(range->hi, x);
}

static void layer_ranges(const Figure *figure, const Layer *layer, Range *x, Range *y) {
    bool log_x = figure->spec->x.log, log_y = figure->spec->y.log, from_zero = layer->rows > 0;
    for (int64_t i = 0; i < layer->rows; i++) {
        const double *at = layer->at + i * layer->columns;
        double half = layer->kind == LAYER_BOXES ? at[2] / 2 : 0;
        if (isnan(at[0]) || isnan(at[1])) continue;
        extend(x, at[0] - half, log_x), extend(x, at[0] + half, log_x);
        if (layer->kind == LAYER_FILL && at[1] <= 0 && log_y)
            y->lost--; /* an area may begin at 0 or below: fill_clip */
        from_zero &= at[1] == 0;
        extend(y, at[1], log_y);
        if (layer->kind == LAYER_FILL || layer->kind == LAYER_ERRORS) extend(y, at[2], log_y);
    }
    if (layer->kind == LAYER_BOXES || (layer->kind == LAYER_FILL && from_zero)) y->zero = true;
    if (layer->kind == LAYER_RULE) extend(layer->vertical ? x : y, layer->rule, layer->vertical ? log_x : log_y);
}

/* A little room around the data (none around a surface); from zero where bars stand on it or it is near. */
static void settle(Range *range, const FigureAxis *axis, bool tight) {
    if (!(range->lo <= range->hi)) range->lo = axis->log ? 0.1 : 0, range->hi = 1;
    double lo = axis->log ? log10(range->lo) : range->lo, hi = axis->log ? log10(range->hi) : range->hi;
    if (lo == hi) {
        double half = lo != 0 && !axis->log ? fabs(lo) / 2 : 0.5;
        lo -= half, hi += half;
    }
    double room = tight ? 0 : 0.04 * (hi - lo);
    if (range->zero && !axis->log) {
        lo = fmin(lo, 0), hi = fmax(hi, 0);
        range->lo = lo < 0 ? lo - room : 0, range->hi = hi > 0 ? hi + room : 0;
    } else {
        range->lo = lo - room, range->hi = hi + room;
    }
    if (axis->log) range->lo = pow(10, range->lo), range->hi = pow(10, range->hi);
    if (axis->ranged) range->lo = axis->lo, range->hi = axis->hi;
    if (axis->categories && !axis->ranged) range->lo = -0.6, range->hi = axis->categories - 0.4;
}

static void note_lost(Figure *figure, const Range *range, const char *axis) {
    if (!range->lost) return;
    figure_note(figure, "%s: %lld value%s at or below 0 %s no place on the log axis %s", figure->spec->name,
                (long long)range->lost, range->lost == 1 ? "" : "s", range->lost == 1 ? "has" : "have", axis);
}

/* Where a side of a fill between two of its rows crosses an end of an axis: shares of the way, ascending. */
static int crossings(const PanelPlot *plot, const FigureAxis *const axis[3], const double *a, const double *b,
                     double share[6]) {
    int n = 0;
    for (int c = 0; c < 3; c++) {
        double from = on_axis(axis[c], a[c]), to = on_axis(axis[c], b[c]);
        const double ends[] = {c ? plot->y_lo : plot->x_lo, c ? plot->y_hi : plot->x_hi};
        for (int k = 0; k < 2; k++) {
            double t = (on_axis(axis[c], ends[k]) - from) / (to - from);
            if (t > 0 && t < 1) share[n++] = t;
        }
    }
    qsort(share, (size_t)n, sizeof *share, ascending);
    return n;
}

/* On a log axis an area that begins at 0 or below begins at the axis' end. */
static void fill_begin(const PanelPlot *plot, const FigureAxis *y, double *row) {
    if (y->log && row[1] <= 0 && row[2] > 0) row[1] = plot->y_lo;
}

/* gnuplot moves the points of an area that lie outside to the edge: so that its sides stay where they are, it gets a
 * point wherever one of them crosses an end of an axis. */
static void fill_clip(Figure *figure, const PanelPlot *plot, Layer *layer) {
    const FigureAxis *const axis[3] = {&figure->spec->x, &figure->spec->y, &figure->spec->y};
    const double *row = layer->at;
    int64_t rows = layer->rows;
    double *at = arena_array(figure->arena, double, 7 * 3 * rows + 1), share[6], next[3];
    layer->at = at;
    for (int64_t i = 0; i < rows; i++, row += 3) {
        const double *a = memcpy(at, row, sizeof next);
        fill_begin(plot, axis[1], at);
        at += 3;
        if (i + 1 == rows) break;
        fill_begin(plot, axis[1], memcpy(next, row + 3, sizeof next));
        int n = crossings(plot, axis, a, next, share);
        layer->rows += n;
        for (int k = 0; k < n; k++, at += 3)
            for (int c = 0; c < 3; c++) {
                double from = on_axis(axis[c], a[c]);
                at[c] = off_axis(axis[c], from + share[k] * (on_axis(axis[c], next[c]) - from));
            }
    }
}

static void figure_ranges(Figure *figure) {
    const Range empty = {INFINITY, -INFINITY, false, 0};
    const FigureSpec *spec = figure->spec;
    Range x = empty, y = empty;
    bool tight = false;
    for (int p = 0; p < figure->count; p++) {
        PanelPlot *plot = &figure->plots[p];
        if (spec->free_scales) x.lo = y.lo = INFINITY, x.hi = y.hi = -INFINITY, x.zero = y.zero = tight = false;
        for (int i = 0; i < plot->layers.len; i++) layer_ranges(figure, &plot->layers.at[i], &x, &y);
        if (plot->surface) {
            extend(&x, plot->s_x_lo, spec->x.log), extend(&x, plot->s_x_hi, spec->x.log);
            extend(&y, plot->s_y_lo, spec->y.log), extend(&y, plot->s_y_hi, spec->y.log);
        }
        tight |= plot->surface;
        figure->square |= plot->surface;
        Range own_x = x, own_y = y;
        settle(&own_x, &spec->x, tight), settle(&own_y, &spec->y, tight);
        plot->x_lo = own_x.lo, plot->x_hi = own_x.hi, plot->y_lo = own_y.lo, plot->y_hi = own_y.hi;
    }
    note_lost(figure, &x, "x"), note_lost(figure, &y, "y");
    const PanelPlot *last = &figure->plots[figure->count - 1];
    for (int p = 0; !spec->free_scales && p < figure->count; p++) {
        PanelPlot *plot = &figure->plots[p];
        plot->x_lo = last->x_lo, plot->x_hi = last->x_hi, plot->y_lo = last->y_lo, plot->y_hi = last->y_hi;
    }
    for (int p = 0; p < figure->count; p++)
        for (int k = 0; k < figure->plots[p].layers.len; k++)
            if (figure->plots[p].layers.at[k].kind == LAYER_FILL)
                fill_clip(figure, &figure->plots[p], &figure->plots[p].layers.at[k]);
}

/* Values that lie on both sides of 0, and not only just: colours from 0 on both sides, as far on one as on the
 * other. */
static void find_zero(Figure *figure) {
    double lo = -figure->z_lo, hi = figure->z_hi;
    figure->diverging = figure->heat && lo > 0 && hi > 0 && fmin(lo, hi) > 0.2 * fmax(lo, hi);
    if (figure->diverging) figure->z_hi = fmax(lo, hi), figure->z_lo = -figure->z_hi;
}

/* A range that all but reaches a round number is taken to it: 0.003 .. 0.998 is shown as 0 .. 1. */
static void round_surface(Figure *figure) {
    double width = figure->z_hi - figure->z_lo, step = round_step(figure->z_lo, figure->z_hi, 5);
    double lo = floor(figure->z_lo / step) * step, hi = ceil(figure->z_hi / step) * step;
    if (figure->z_lo - lo < 0.03 * width) figure->z_lo = lo;
    if (hi - figure->z_hi < 0.03 * width) figure->z_hi = hi;
}

void figure_layers(Figure *figure) {
    const FigureSpec *spec = figure->spec;
    int wanted = 0;
    figure->z_lo = INFINITY, figure->z_hi = -INFINITY;
    figure->count = spec->panel_count;
    figure->plots = arena_array(figure->arena, PanelPlot, figure->count + 1);
    figure->pictures = true;
    for (int p = 0; p < figure->count; p++)
        for (int m = 0; m < spec->panels[p].count; m++) {
            figure->pictures &= spec->panels[p].marks[m].kind == MARK_IMAGE;
            if (spec->panels[p].marks[m].kind == MARK_HIST) wanted = spec->panels[p].marks[m].bins;
        }
    Bins bins = choose_bins(figure, wanted);
    for (int p = 0; p < figure->count; p++) {
        PanelPlot *plot = &figure->plots[p];
        plot->panel = &spec->panels[p];
        for (int m = 0; m < plot->panel->count; m++) mark_layers(figure, plot, &plot->panel->marks[m], &bins);
        for (int i = 0; i < plot->layers.len; i++)
            if (plot->layers.at[i].legend) add_legend(figure, &plot->layers.at[i]);
    }
    if (!(figure->z_lo < figure->z_hi)) {
        double z = isfinite(figure->z_lo) ? figure->z_lo : 0;
        figure->z_lo = z - 0.5, figure->z_hi = z + 0.5;
    }
    find_zero(figure);
    round_surface(figure);
    figure_ranges(figure);
}
