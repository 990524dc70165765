/* figure.c -- see figure.h: lays out the panels, writes the files, has them drawn. */
#include "report/figure.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>

#include "report/datum.h"
#include "report/figure_parts.h"
#include "support/sha256.h"

/* Pixels.  A letter is about LETTER wide at the size of the font that is used. */
enum { LETTER = 7, TITLE = 24, LABEL = 20, EDGE = 14, GAP = 16, WIDE_GAP = 26, SIDE = 22, BAR = 78, LEGEND_LINE = 48,
       WRAP = 4 };

char *file_name_of(Arena *arena, const char *text) {
    char *name = arena_copy(arena, text, strlen(text));
    for (char *at = name; *at; at++) {
        bool kept = (*at >= 'a' && *at <= 'z') || (*at >= 'A' && *at <= 'Z') || (*at >= '0' && *at <= '9') ||
                    *at == '_' || *at == '.' || *at == '-';
        if (!kept) *at = '_';
    }
    if (name[0] == 0 || name[0] == '.') return arena_printf(arena, "_%s", name);
    return name;
}

/* ---- layout ---- */
typedef struct Cells { int rows, columns; bool wrapped; double width, height; } Cells;

static Cells cells_of(const Figure *figure) {
    const FigureSpec *spec = figure->spec;
    Cells cells = {spec->rows > 0 ? spec->rows : 1, spec->columns > 0 ? spec->columns : 1, false, 0, 0};
    if (cells.rows == 1 && cells.columns > WRAP) {
        cells.wrapped = true;
        cells.rows = (cells.columns + WRAP - 1) / WRAP;
        cells.columns = (cells.columns + cells.rows - 1) / cells.rows;
    }
    double room = 920.0 / cells.columns;
    cells.width = cells.columns == 1 ? (figure->square ? 380 : 460) : fmin(figure->square ? 270 : 300, fmax(150, room));
    if (figure->pictures) cells.width = cells.columns == 1 ? 380 : fmin(150, fmax(60, room));
    if (figure->pictures) cells.height = cells.width * fmin(4, fmax(0.25, figure->tall));
    else cells.height = figure->square ? cells.width : cells.columns == 1 && cells.rows == 1 ? 310 : 0.76 * cells.width;
    return cells;
}

static int widest(const char *const *text, int n) {
    int width = 0;
    for (int i = 0; i < n; i++) width = text_width(text[i]) > width ? text_width(text[i]) : width;
    return width;
}

int figure_ticks_wanted(double pixels, bool x) {
    int wanted = (int)(pixels / (x ? 75 : 50));
    return wanted < 2 ? 2 : wanted;
}

/* How wide the labels of y are. */
static double label_room(const Figure *figure, const Cells *cells) {
    const FigureAxis *y = &figure->spec->y;
    double widest_label = 0;
    if (y->categories) return widest(y->category, y->categories) * LETTER;
    for (int p = 0; p < figure->count; p++) {
        const PanelPlot *plot = &figure->plots[p];
        double step = round_step(plot->y_lo, plot->y_hi, figure_ticks_wanted(cells->height, false));
        char text[32];
        if (y->log) return plot->y_lo >= 1e-3 && plot->y_hi <= 1e4 ? 5.5 * LETTER : 4.5 * LETTER;
        for (double k = ceil(plot->y_lo / step); k * step <= plot->y_hi && step > 0; k++)
            widest_label = fmax(widest_label, snprintf(text, sizeof text, "%.6g", k * step) * LETTER);
    }
    return fmin(100, fmax(12, widest_label));
}

static bool any_title(const Figure *figure, bool x) {
    bool any = (x ? figure->spec->x.title : figure->spec->y.title) != NULL;
    for (int p = 0; p < figure->count; p++)
        any |= (x ? figure->plots[p].panel->x_title : figure->plots[p].panel->y_title) != NULL;
    return any;
}

/* Room for tick labels and the title of an axis. */
static double left_room(const Figure *figure, const Cells *cells) {
    if (figure->pictures) return EDGE;
    return EDGE + label_room(figure, cells) + 10 + (any_title(figure, false) ? LABEL : 0);
}

bool figure_slanted(const Figure *figure, double pixels) {
    const FigureAxis *x = &figure->spec->x;
    return x->categories && (LETTER * widest(x->category, x->categories) + 10.0) * x->categories > pixels;
}

static double bottom_room(const Figure *figure, const Cells *cells) {
    const FigureAxis *x = &figure->spec->x;
    double labels = 26;
    if (figure->pictures) return EDGE;
    if (figure_slanted(figure, cells->width)) labels = 14 + 0.5 * LETTER * fmin(40, widest(x->category, x->categories));
    return EDGE / 2.0 + labels + (any_title(figure, true) ? LABEL : 0);
}

static double legend_room(const Figure *figure) {
    int letters = figure->spec->legend_title ? text_width(figure->spec->legend_title) - 4 : 0;
    if (!figure->legend.len) return 0;
    for (int i = 0; i < figure->legend.len; i++) {
        int n = text_width(figure->legend.at[i].label);
        letters = n > letters ? n : letters;
    }
    return LEGEND_LINE + LETTER * fmin(36, letters) + EDGE;
}

/* A wrapped panel's place; others stand where the caller put them. */
static void cell_of(const PanelPlot *plot, const Cells *cells, int *row, int *column) {
    *row = cells->wrapped ? plot->panel->column / cells->columns : plot->panel->row;
    *column = cells->wrapped ? plot->panel->column % cells->columns : plot->panel->column;
}

static bool panel_below(const Figure *figure, const Cells *cells, int row, int column) {
    for (int p = 0; p < figure->count; p++) {
        int r, c;
        cell_of(&figure->plots[p], cells, &r, &c);
        if (c == column && r > row) return true;
    }
    return false;
}

void figure_lay_out(Figure *figure) {
    const FigureSpec *spec = figure->spec;
    Cells cells = cells_of(figure);
    bool own = spec->free_scales, titles = spec->column_title != NULL;
    for (int p = 0; p < figure->count; p++) titles |= figure->plots[p].panel->title != NULL;
    double left = left_room(figure, &cells), bottom = bottom_room(figure, &cells), top = EDGE + (titles ? TITLE : 0);
    double gap = figure->pictures ? 6 : figure->square ? WIDE_GAP : GAP, gap_x = own ? left : gap;
    double gap_y = (own ? bottom + TITLE : gap) + (cells.wrapped ? TITLE : 0);
    double side = spec->row_title && !cells.wrapped ? SIDE : 0;
    double bar = figure->surface ? BAR + (spec->z_title ? LABEL : 0) : 0;
    double across = left + cells.columns * cells.width + (cells.columns - 1) * gap_x + side;
    double down = top + cells.rows * cells.height + (cells.rows - 1) * gap_y;
    figure->title_left = left - EDGE, figure->title_below = bottom - 11;
    figure->width = (int)ceil(across + EDGE + bar + legend_room(figure));
    figure->height = (int)ceil(down + bottom);
    for (int p = 0; p < figure->count; p++) {
        PanelPlot *plot = &figure->plots[p];
        int row, column;
        cell_of(plot, &cells, &row, &column);
        double x = left + column * (cells.width + gap_x), y = top + row * (cells.height + gap_y);
        plot->left = x / figure->width, plot->right = (x + cells.width) / figure->width;
        plot->top = 1 - y / figure->height, plot->bottom = 1 - (y + cells.height) / figure->height;
        plot->show_y = own || column == 0;
        plot->show_x = own || !panel_below(figure, &cells, row, column);
        plot->title = spec->column_title && (cells.wrapped || row == 0) ? spec->column_title[plot->panel->column]
                                                                        : plot->panel->title;
        plot->side = side > 0 && column == cells.columns - 1 ? spec->row_title[plot->panel->row] : NULL;
    }
    figure->bar_x = (across + EDGE) / figure->width;
    figure->bar_height = fmin(cells.height * 0.8, 260) / figure->height;
    figure->bar_y = 1 - top / figure->height - figure->bar_height;
    figure->legend_x = (across + EDGE + bar) / figure->width, figure->legend_y = 1 - top / figure->height;
}

/* ---- files ---- */
typedef struct Writing { Arena *arena; const char *folder; FileSync sync; char **error; Sha256 all; } Writing;

static bool put_file(Writing *writing, const char *name, Buf *text) {
    char *path = path_join(writing->arena, writing->folder, name);
    sha256_add(&writing->all, text->at, text->len);
    bool ok = file_write(writing->arena, path, text->at, text->len, writing->sync, writing->error);
    buf_free(text);
    return ok;
}

static bool put_files(Writing *writing, const Figure *figure, const char *name) {
    Buf text = {0};
    for (int p = 0; p < figure->count; p++) {
        figure_data_text(figure, &figure->plots[p], &text);
        if (!put_file(writing, arena_printf(writing->arena, "panel-%d.tsv", p + 1), &text)) return false;
    }
    figure_script_text(figure, &text);
    if (!put_file(writing, "panels.gp", &text)) return false;
    figure_plot_text(figure, name, &text);
    return put_file(writing, "plot.gp", &text);
}

/* gnuplot draws beside its script; what is complete moves up. */
static char *publish(Figure *figure, const char *folder, const char *plots, const char *file) {
    char *from = path_join(figure->arena, plots, file), *to = path_join(figure->arena, folder, file);
    if (rename(from, to) == 0) return to;
    figure_note(figure, "%s", file_error(figure->arena, to, "write", errno));
    return NULL;
}

/* The pictures of a figure that was drawn from the same script and numbers, by the hashes in drawn.sha256: of what it
 * was drawn from, and of each picture. */
enum { PICTURES = 3 };
static const char *const endings[PICTURES] = {"svg", "png", "pdf"};

static char *drawn_text(const Figure *figure, const char *folder, const char *name, const char *from) {
    Arena *arena = figure->arena;
    Buf text = {0};
    char hex[65], *error = NULL;
    buf_printf(&text, "%s\n", from);
    for (int i = 0; i < PICTURES - !figure->pdf; i++) {
        const char *path = path_join(arena, folder, arena_printf(arena, "%s.%s", name, endings[i]));
        if (!file_exists(path) || !file_sha256(arena, path, hex, &error)) {
            buf_free(&text);
            return NULL;
        }
        buf_printf(&text, "%s %s\n", endings[i], hex);
    }
    return buf_done(&text, arena);
}

static bool drawn_already(const Figure *figure, const char *folder, const char *plots, const char *name,
                          const char *from) {
    char *path = path_join(figure->arena, plots, "drawn.sha256"), *kept, *error = NULL, *now;
    size_t length;
    if (!file_exists(path) || !file_read(figure->arena, path, 4096, &kept, &length, &error)) return false;
    if (strncmp(kept, from, strlen(from)) != 0) return false;
    now = drawn_text(figure, folder, name, from);
    return now && strcmp(now, kept) == 0;
}

static void draw(Figure *figure, const FigureTools *tools, const char *folder, const char *plots, const char *name,
                 const char *from) {
    const char *program = tools->gnuplot ? tools->gnuplot : gnuplot_find();
    FigureResult *result = figure->result;
    char *why = NULL, **picture[PICTURES] = {&result->svg, &result->png, &result->pdf};
    int pictures = PICTURES - !figure->pdf;
    if (program && !*program) return;
    if (!program) {
        figure_note(figure, "%s: gnuplot is not installed, so it was not drawn; `gnuplot plot.gp` in %s draws it",
                    name, plots);
        return;
    }
    bool there = drawn_already(figure, folder, plots, name, from);
    if (!there &&
        !gnuplot_run(figure->arena, program, plots, "plot.gp", tools->seconds > 0 ? tools->seconds : 60, &why)) {
        figure_note(figure, "%s: not drawn: %s", name, why);
        return;
    }
    for (int i = 0; i < pictures; i++) {
        const char *file = arena_printf(figure->arena, "%s.%s", name, endings[i]);
        *picture[i] = there ? path_join(figure->arena, folder, file) : publish(figure, folder, plots, file);
    }
    char *text = there ? NULL : drawn_text(figure, folder, name, from);
    if (text)
        file_write(figure->arena, path_join(figure->arena, plots, "drawn.sha256"), text, strlen(text), FILE_NO_SYNC,
                   &why);
}

bool figure_write(Arena *arena, const char *folder, const FigureSpec *spec, const FigureTools *tools,
                  FigureResult *result, char **error) {
    static const FigureTools usual = {0};
    Figure figure = {.arena = arena, .spec = spec, .result = result};
    char *name = file_name_of(arena, spec->name);
    char *plots = path_join(arena, folder, arena_printf(arena, "%s.plot", name));
    if (!tools) tools = &usual;
    *result = (FigureResult){.script = path_join(arena, plots, "plot.gp")};
    if (spec->panel_count == 0) {
        *error = arena_printf(arena, "%s: the figure has no panel", name);
        return false;
    }
    figure.pdf = tools->pdf;
    figure_layers(&figure);
    figure_lay_out(&figure);
    Writing writing = {.arena = arena, .folder = plots, .sync = tools->sync, .error = error};
    char from[65];
    sha256_start(&writing.all);
    if (!folder_make(arena, plots, error) || !put_files(&writing, &figure, name)) return false;
    sha256_end_hex(&writing.all, from);
    draw(&figure, tools, folder, plots, name, from);
    return true;
}
