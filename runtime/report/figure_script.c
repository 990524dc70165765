/* figure_script.c -- the data files and the gnuplot script.
 *
 * All text of the user stands in single quotes (where gnuplot substitutes nothing) without control characters and back
 * quotes; ticks are chosen here, so that the script draws the same with any version. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "report/datum.h"
#include "report/figure_parts.h"

#define INK "#333333"
#define PALE "#fafafa"
#define DARK "#1c1c1c"              /* of level lines over a surface, which keeps its colours where a page is dark */
static const char *const qualitative[] = {"#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000",
                                          "#b8a900"};
static const char *const viridis[] = {"#440154", "#472d7b", "#3b528b", "#2c728e", "#21918c", "#28ae80", "#5ec962",
                                      "#addc30",
                                      "#fde725"};
static const char *const blue_red[] = {"#053061", "#2166ac", "#4393c3", "#92c5de", "#d1e5f0", "#f7f7f7",
                                       "#fddbc7", "#f4a582", "#d6604d", "#b2182b", "#67001f"};
enum { MOST_LEGEND = 14, SIDE_AT = 14 };

/* ---- text ---- */
static void quote(Buf *out, const char *text) {
    Buf clean = {0};
    text_cut(&clean, text, 1000);
    buf_put(&clean, "", 1);
    buf_text(out, "'");
    for (const char *at = clean.at; *at; at++) {
        if (*at == '\'') buf_text(out, "''");
        else if (*at == '`') buf_text(out, "\xcb\x8b");
        else buf_put(out, at, 1);
    }
    buf_text(out, "'");
    buf_free(&clean);
}

static void number(Buf *out, double x) {
    char text[32];
    text_of_f64(text, x);
    buf_text(out, isnan(x) ? "NaN" : text);
}

/* With a true minus sign, as a tick label. */
static void label_number(Buf *out, double x) {
    char text[32];
    snprintf(text, sizeof text, "%.6g", fabs(x));
    buf_printf(out, "%s%s", x < 0 ? "\xe2\x88\x92" : "", text);
}

/* ---- colours ---- */
static int channel(const char *color, int k) {
    char pair[3] = {color[1 + 2 * k], color[2 + 2 * k], 0};
    return (int)strtol(pair, NULL, 16);
}

static void put_viridis(double share, Buf *out) {
    double at = fmin(1, fmax(0, share)) * (COUNT(viridis) - 1);
    int from = at < COUNT(viridis) - 1 ? (int)at : COUNT(viridis) - 2;
    buf_text(out, "#");
    for (int k = 0; k < 3; k++)
        buf_printf(out, "%02x", (int)lround((1 - at + from) * channel(viridis[from], k) +
                                            (at - from) * channel(viridis[from + 1], k)));
}

/* More groups than there are colours to tell apart are shown in order, along viridis (without its palest end). */
static void put_color(const Figure *figure, int group, Buf *out) {
    if (group == OVER_SURFACE) buf_text(out, DARK);
    else if (group == FAINT) buf_text(out, "#b01c1c1c");                /* mostly transparent */
    else if (group < 0) buf_text(out, INK);
    else if (figure->groups <= COUNT(qualitative)) buf_text(out, qualitative[group]);
    else put_viridis(0.92 * group / (figure->groups - 1), out);
}

static void put_stroke(const Figure *figure, int group, LineStyle style, double width, Buf *out) {
    buf_text(out, " lc rgb '");
    put_color(figure, group, out);
    buf_printf(out, "' lw %g", width);
    if (style == STYLE_DASHED) buf_text(out, " dt (9,5)");
    if (style == STYLE_DOTTED) buf_text(out, " dt (2,4)");
}

/* ---- data ---- */
void figure_data_text(const Figure *figure, const PanelPlot *plot, Buf *out) {
    static const char *const columns[] = {
        "x\ty\tz", "x\tlow\thigh",          "x\ty\twidth", "x\ty", "x\ty\tz", "x\ty", "x\tlow\thigh",
        "",        "x\ty\tred\tgreen\tblue"};
    buf_printf(out, "# %s", figure->spec->name);
    if (plot->title) buf_printf(out, ", %s", file_name_of(figure->arena, plot->title));
    if (plot->side) buf_printf(out, ", %s", file_name_of(figure->arena, plot->side));
    buf_text(out, "\n");
    bool any = false;
    for (int i = 0; i < plot->layers.len; i++) {
        const Layer *layer = &plot->layers.at[i];
        if (layer->kind == LAYER_RULE || layer->rows == 0) continue;
        if (any) buf_text(out, "\n\n");
        any = true;
        if (layer->label) buf_printf(out, "# %s\n", file_name_of(figure->arena, layer->label));
        buf_printf(out, "# %s\n", columns[layer->kind]);
        for (int64_t row = 0; row < layer->rows; row++)
            for (int c = 0; c < layer->columns; c++) {
                number(out, layer->at[row * layer->columns + c]);
                buf_text(out, c + 1 == layer->columns ? "\n" : "\t");
            }
    }
}

/* ---- ticks: "('0' 0, '0.5' 0.5)" ---- */
typedef struct Ticks { Buf *out; bool labels, any; } Ticks;          /* labels: else marks alone */

static void put_tick(Ticks *ticks, const char *text, double at, bool minor) {
    buf_text(ticks->out, ticks->any ? ", " : "");
    quote(ticks->out, ticks->labels ? text : "");
    buf_text(ticks->out, " ");
    number(ticks->out, at);
    if (minor) buf_text(ticks->out, " 1");
    ticks->any = true;
}

static void put_number_tick(Ticks *ticks, double at) {
    Buf text = {0};
    label_number(&text, at);
    buf_put(&text, "", 1);
    put_tick(ticks, text.at, at, false);
    buf_free(&text);
}

static void linear_ticks(double lo, double hi, int wanted, double least, Ticks *ticks) {
    double step = fmax(round_step(lo, hi, wanted), least), slack = 1e-9 * (hi - lo);
    for (double k = ceil((lo - slack) / step); k * step <= hi + slack; k++)
        put_number_tick(ticks, k == 0 ? 0 : k * step);
}

static void put_decade(Ticks *ticks, int k, bool plain) {
    Buf text = {0};
    if (plain) label_number(&text, pow(10, k));
    else buf_printf(&text, "10^{%s%d}", k < 0 ? "\xe2\x88\x92" : "", abs(k));
    buf_put(&text, "", 1);
    put_tick(ticks, text.at, pow(10, k), false);
    buf_free(&text);
}

/* Decades, thinned out to what was wanted; where there are less than two, 2 and 5 times a decade as well. */
static void log_ticks(double lo, double hi, int wanted, Ticks *ticks) {
    int from = (int)ceil(log10(lo) - 1e-9), to = (int)floor(log10(hi) + 1e-9), decades = to - from + 1;
    int every = wanted > 0 && decades > wanted ? (decades + wanted - 1) / wanted : 1;
    bool few = decades < 2, plain = from >= -3 && to <= 4;
    for (int k = from - 1; k <= to; k++)
        for (int digit = 1; digit < 10; digit++) {
            double at = digit * pow(10, k);
            if (at < lo * (1 - 1e-9) || at > hi * (1 + 1e-9)) continue;
            if (digit == 1 && (k - from) % every == 0) put_decade(ticks, k, plain);
            else if (few && (digit == 2 || digit == 5)) put_number_tick(ticks, at);
            else if (decades <= 12) put_tick(ticks, "", at, true);
        }
}

static void put_ticks(const FigureAxis *axis, double lo, double hi, int wanted, bool labels, Buf *out) {
    Ticks ticks = {out, labels, false};
    buf_text(out, "(");
    if (axis && axis->categories)
        for (int i = 0; i < axis->categories; i++) put_tick(&ticks, axis->category[i], i, false);
    else if (axis && axis->log) log_ticks(lo, hi, wanted, &ticks);
    else linear_ticks(lo, hi, wanted < 2 ? 2 : wanted, axis && axis->whole ? 1 : 0, &ticks);
    buf_text(out, ")");
}

/* ---- one panel ---- */
/* At a place of its own, the same for every terminal: they disagree about how far from an axis its title is.  Panels
 * that share their scales share the titles. */
static void put_axis_title(const Figure *figure, const PanelPlot *plot, char name, const char *title, Buf *out) {
    double left = plot->left, right = plot->right, bottom = plot->bottom, top = plot->top;
    for (int p = 0; !figure->spec->free_scales && p < figure->count; p++) {
        const PanelPlot *other = &figure->plots[p];
        left = fmin(left, other->left), right = fmax(right, other->right);
        bottom = fmin(bottom, other->bottom), top = fmax(top, other->top);
    }
    if (!figure->spec->free_scales && plot != figure->plots) return;
    double x = name == 'x' ? (left + right) / 2 : left - figure->title_left / figure->width;
    double y = name == 'x' ? bottom - figure->title_below / figure->height : (bottom + top) / 2;
    buf_text(out, "set label ");
    quote(out, title);
    buf_printf(out, " at screen %.5f, screen %.5f center %s noenhanced textcolor rgb '" INK "'\n", x, y,
               name == 'y' ? "rotate by 90" : "norotate");
}

static void put_axis(const Figure *figure, const PanelPlot *plot, char name, Buf *out) {
    const FigureAxis *axis = name == 'x' ? &figure->spec->x : &figure->spec->y;
    double lo = name == 'x' ? plot->x_lo : plot->y_lo, hi = name == 'x' ? plot->x_hi : plot->y_hi;
    double pixels = name == 'x' ? (plot->right - plot->left) * figure->width
                                : (plot->top - plot->bottom) * figure->height;
    bool shown = name == 'x' ? plot->show_x : plot->show_y;
    buf_printf(out, axis->log ? "set logscale %c 10\n" : "unset logscale %c\n", name);
    buf_printf(out, "set %crange [", name);
    number(out, axis->downwards ? hi : lo);
    buf_text(out, ":");
    number(out, axis->downwards ? lo : hi);
    buf_printf(out, "]\nset %ctics nomirror out scale 0.5,0.25 %s%s %s ", name, name == 'x' ? "offset 0,tics_up " : "",
               axis->categories ? "noenhanced" : "enhanced",
               name == 'x' && figure_slanted(figure, pixels) ? "rotate by 30 right" : "norotate autojustify");
    put_ticks(axis, lo, hi, figure_ticks_wanted(pixels, name == 'x'), shown, out);
    buf_printf(out, "\n%s\n",
               axis->categories && !plot->surface ? name == 'x' ? "set grid noxtics" : "set grid noytics" : "");
    if (figure->pictures) buf_printf(out, "unset %ctics\n", name);
    const char *own = name == 'x' ? plot->panel->x_title : plot->panel->y_title, *title = own ? own : axis->title;
    if (title) put_axis_title(figure, plot, name, title, out);
}

static bool stands_on_zero(const PanelPlot *plot) {
    for (int i = 0; i < plot->layers.len; i++)
        if (plot->layers.at[i].kind == LAYER_BOXES) return plot->y_lo < 0;
    return false;
}

static void put_rules(const Figure *figure, const PanelPlot *plot, Buf *out) {
    for (int i = 0; i < plot->layers.len; i++) {
        const Layer *layer = &plot->layers.at[i];
        if (layer->kind != LAYER_RULE) continue;
        Buf at = {0};
        number(&at, layer->rule);
        buf_put(&at, "", 1);
        if (layer->vertical)
            buf_printf(out, "set arrow from first %s, graph 0 to first %s, graph 1 nohead", at.at, at.at);
        else
            buf_printf(out, "set arrow from graph 0, first %s to graph 1, first %s nohead", at.at, at.at);
        put_stroke(figure, -1, layer->style, 1, out);
        buf_text(out, " front\n");
        buf_free(&at);
    }
}

static void put_texts(const PanelPlot *plot, Buf *out) {
    for (int i = 0; i < plot->texts.len; i++) {
        Buf text = {0};
        label_number(&text, plot->texts.at[i].level);
        buf_put(&text, "", 1);
        buf_text(out, "set label ");
        quote(out, text.at);
        buf_text(out, " at ");
        number(out, plot->texts.at[i].x);
        buf_text(out, ", ");
        number(out, plot->texts.at[i].y);
        buf_text(out, " center front boxed font ',10' textcolor rgb '" INK "'\n");
        buf_free(&text);
    }
}

static void put_layer(const Figure *figure, const PanelPlot *plot, const Layer *layer, int panel, int block, Buf *out) {
    static const char *const using[] = {"1:2:3", "1:2:3",           "1:2:3", "1:2",      "1:2:3",
                                        "1:2",   "1:2:(0):($3-$2)", "",      "1:2:3:4:5"};
    buf_printf(out, "'panel-%d.tsv' index %d using %s ", panel, block, using[layer->kind]);
    switch (layer->kind) {
    case LAYER_IMAGE: buf_text(out, "with image"); break;
    case LAYER_PICTURE: buf_text(out, "with rgbimage"); break;
    case LAYER_FILL:
        buf_text(out, "with filledcurves fs transparent solid 0.22 noborder");
        put_stroke(figure, layer->color, STYLE_SOLID, 1, out);
        break;
    case LAYER_BOXES:
        buf_text(out, "with boxes fs solid noborder");
        put_stroke(figure, layer->color, STYLE_SOLID, 1, out);
        break;
    case LAYER_LINE:
        if (plot->surface && figure->heat && layer->color >= 0)              /* seen on any colour */
            buf_printf(out, "with lines lc rgb '" PALE "' lw 3.6 notitle, 'panel-%d.tsv' index %d using 1:2 ", panel,
                       block);
        buf_text(out, "with lines");
        put_stroke(figure, layer->color, layer->style, layer->color == FAINT ? 0.7 : layer->color < 0 ? 1.2 : 1.8, out);
        break;
    case LAYER_LEVELS:                                 /* a dot, hidden by the line, has the colour box drawn */
        buf_printf(out, "every ::0::0 with dots lc palette notitle, 'panel-%d.tsv' index %d using 1:2 with lines lw "
                   "1.5 lc rgb '", panel, block);
        put_viridis((layer->at[2] - figure->z_lo) / (figure->z_hi - figure->z_lo), out);
        buf_text(out, "'");
        break;
    case LAYER_POINTS:
        buf_text(out, "with points pt 7 ps 0.55");
        put_stroke(figure, layer->color, STYLE_SOLID, 1, out);
        break;
    case LAYER_ERRORS:
        buf_text(out, "with vectors heads size screen 0.004,90");
        put_stroke(figure, layer->color, STYLE_SOLID, 1.1, out);
        break;
    case LAYER_RULE: break;
    }
    buf_text(out, " notitle");
}

static void put_panel(const Figure *figure, const PanelPlot *plot, int panel, bool bar, Buf *out) {
    buf_printf(out, "\n# panel %d\nset lmargin at screen %.5f\nset rmargin at screen %.5f\n", panel, plot->left,
               plot->right);
    buf_printf(out, "set bmargin at screen %.5f\nset tmargin at screen %.5f\n", plot->bottom, plot->top);
    buf_text(out, "unset title\nunset label\nunset arrow\n");
    buf_text(out, plot->surface ? "unset grid\nset border 15\n" : "set grid\nset border 3\n");
    put_axis(figure, plot, 'x', out);
    put_axis(figure, plot, 'y', out);
    buf_text(out, stands_on_zero(plot) ? "set xzeroaxis lt 1 lw 0.8 lc rgb '" INK "'\n" : "unset xzeroaxis\n");
    if (plot->title) {
        buf_text(out, "set title ");
        quote(out, plot->title);
        buf_text(out, " noenhanced font ',13' offset 0,-0.6\n");
    }
    if (plot->side) {
        buf_text(out, "set label ");
        quote(out, plot->side);
        buf_printf(out, " at screen %.5f, screen %.5f rotate by -90 center noenhanced font ',13'\n",
                   plot->right + (double)SIDE_AT / figure->width, (plot->bottom + plot->top) / 2);
    }
    put_rules(figure, plot, out);
    put_texts(plot, out);
    if (bar) {
        buf_printf(out, "set colorbox vertical user origin screen %.5f, screen %.5f size screen %.5f, screen %.5f\n",
                   figure->bar_x, figure->bar_y, 14.0 / figure->width, figure->bar_height);
    } else {
        buf_text(out, "unset colorbox\n");
    }
    buf_text(out, "plot ");
    int block = 0;
    for (int i = 0; i < plot->layers.len; i++) {
        const Layer *layer = &plot->layers.at[i];
        if (layer->kind == LAYER_RULE || layer->rows == 0) continue;
        if (block) buf_text(out, ", \\\n     ");
        put_layer(figure, plot, layer, panel, block++, out);
    }
    buf_text(out, block ? "\n" : "NaN notitle\n");
}

/* ---- the legend: a plot of nothing, whose key is what is wanted ---- */
static void put_entry(const Figure *figure, const LegendEntry *entry, Buf *out) {
    if (entry->kind == LAYER_BOXES) buf_text(out, "NaN with boxes fs solid noborder");
    else if (entry->kind == LAYER_POINTS) buf_text(out, "NaN with points pt 7 ps 0.7");
    else buf_text(out, "NaN with lines");
    put_stroke(figure, entry->color, entry->style, 2.2, out);
    buf_text(out, " title ");
    Buf cut = {0};
    text_cut(&cut, entry->label, 36);
    buf_put(&cut, "", 1);
    quote(out, cut.at);
    buf_free(&cut);
}

static void put_legend(const Figure *figure, Buf *out) {
    int n = figure->legend.len, every = (n + MOST_LEGEND - 1) / MOST_LEGEND;
    if (n == 0) return;
    buf_text(out, "\n# legend\nset lmargin at screen 0\nset rmargin at screen 1\nset bmargin at screen 0\n"
                  "set tmargin at screen 1\n");
    buf_text(out, "unset border\nunset xtics\nunset ytics\nunset title\n"
                  "unset label\nunset arrow\nunset grid\nunset xzeroaxis\nunset colorbox\nunset logscale\n"
                  "set xrange [0:1]\nset yrange [0:1]\n");
    buf_printf(out, "set key at screen %.5f, screen %.5f left top vertical Left reverse noenhanced samplen 2 spacing "
               "1.25 width 0", figure->legend_x, figure->legend_y);
    if (figure->spec->legend_title) {
        buf_text(out, " title ");
        quote(out, figure->spec->legend_title);
        buf_text(out, " noenhanced left");
    }
    buf_text(out, "\nplot ");
    for (int i = 0; i < n; i += every) {
        if (i) buf_text(out, ", \\\n     ");
        put_entry(figure, &figure->legend.at[i], out);
    }
    buf_text(out, "\n");
}

/* ---- the whole ---- */
static void put_palette(const Figure *figure, Buf *out) {
    if (!figure->surface) return;
    buf_text(out, "set palette defined (");
    const char *const *colors = figure->diverging ? blue_red : viridis;
    for (int i = 0; i < (figure->diverging ? COUNT(blue_red) : COUNT(viridis)); i++)
        buf_printf(out, "%s%d '%s'", i ? ", " : "", i, colors[i]);
    buf_text(out, ")\nset cbrange [");
    number(out, figure->z_lo);
    buf_text(out, ":");
    number(out, figure->z_hi);
    buf_text(out, "]\nset cbtics out scale 0.4 ");
    put_ticks(NULL, figure->z_lo, figure->z_hi, (int)(figure->bar_height * figure->height / 45), true, out);
    buf_text(out, "\n");
    if (!figure->spec->z_title) return;
    buf_text(out, "set cblabel ");
    quote(out, figure->spec->z_title);
    buf_text(out, " noenhanced offset 1,0\n");
}

/* SVG's lines of text are high: its labels of x stand farther from the axis. */
static void put_terminal(const Figure *figure, const char *kind, const char *name, Buf *out) {
    buf_text(out, strcmp(kind, "svg") == 0 ? "tics_up = 0.3\n" : "tics_up = 0\n");
    if (strcmp(kind, "pdf") == 0)
        buf_printf(out, "set terminal pdfcairo size %.2fin,%.2fin enhanced font 'Helvetica,10' background '#ffffff'\n",
                   figure->width / 96.0, figure->height / 96.0);
    else if (strcmp(kind, "svg") == 0)
        buf_printf(out, "set terminal svg size %d,%d enhanced font 'Helvetica,13' background '#ffffff'\n",
                   figure->width, figure->height);
    else
        buf_printf(out, "set terminal pngcairo size %d,%d enhanced font 'Helvetica,10' fontscale 2 linewidth 2 "
                        "pointscale 2 background '#ffffff'\n", 2 * figure->width, 2 * figure->height);
    buf_printf(out, "set output '%s.%s'\nload 'panels.gp'\nunset output\n", name, kind);
}

void figure_script_text(const Figure *figure, Buf *out) {
    char *name = file_name_of(figure->arena, figure->spec->name);
    buf_printf(out, "# %s: loaded by plot.gp, once for each terminal.\n", name);
    buf_text(out, "reset\nset encoding utf8\nset border 3 lw 0.8 lc rgb '" INK "'\n"
                  "set grid lc rgb '#e4e4e4' lt 1 lw 0.6\nset tics textcolor rgb '" INK "'\n"
                  "set style textbox opaque fillcolor rgb '#ffffff' noborder margins 0.4,0.4\n"
                  "unset key\n");
    put_palette(figure, out);
    buf_text(out, "set multiplot\n");
    for (int p = 0; p < figure->count; p++)
        put_panel(figure, &figure->plots[p], p + 1, p == 0 && figure->surface, out);
    put_legend(figure, out);
    buf_text(out, "unset multiplot\n");
}

void figure_plot_text(const Figure *figure, const char *name, Buf *out) {
    buf_text(out, "# Draws the figure again: gnuplot plot.gp\n");
    put_terminal(figure, "svg", name, out);
    put_terminal(figure, "png", name, out);
    if (figure->pdf) put_terminal(figure, "pdf", name, out);
}
