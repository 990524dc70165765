/* terminal.c -- curves and heat maps as text (terminal.h).
 *
 * A braille character holds 2 x 4 dots: bit order 0x01 0x02 0x04 0x40 down the left column, 0x08 0x10 0x20 0x80 down
 * the right.  A half block "▀" holds two pixels: its own colour above, the background below. */
#include "report/terminal.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { MOST_COLUMNS = 400, MOST_LINES = 200, LABEL = 9 };

/* ---- sparklines ---- */

static bool range_of(const double *at, int64_t n, double *lo, double *hi)
{
    *lo = INFINITY, *hi = -INFINITY;
    for (int64_t i = 0; i < n; i++)
        if (isfinite(at[i])) {
            *lo = at[i] < *lo ? at[i] : *lo;
            *hi = at[i] > *hi ? at[i] : *hi;
        }
    return *lo <= *hi;
}

void terminal_spark(const double *y, int64_t n, int columns, Buf *out)
{
    static const char *const bars[] = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
    double lo, hi;
    bool any = range_of(y, n, &lo, &hi);
    if (columns > n)
        columns = (int)n;
    for (int c = 0; c < columns; c++) {
        int64_t i = columns > 1 ? (int64_t)((double)c * (double)(n - 1) / (columns - 1) + 0.5) : n - 1;
        if (!any || !isfinite(y[i]))
            buf_text(out, " ");
        else
            buf_text(out, bars[hi > lo ? (int)((y[i] / 2 - lo / 2) / (hi / 2 - lo / 2) * 7.0 + 0.5) : 0]);
    }
}

/* ---- colours ---- */

/* Nine points of viridis (van der Walt and Smith 2015), linear between them. */
void terminal_viridis(double x, unsigned char rgb[3])
{
    static const unsigned char at[9][3] = {{68, 1, 84}, {71, 45, 123}, {59, 82, 139}, {44, 114, 142}, {33, 145, 140},
                                           {40, 174, 128}, {94, 201, 98}, {173, 220, 48}, {253, 231, 37}};
    x = x >= 0 ? x <= 1 ? x * 8 : 8 : 0;
    int i = x < 8 ? (int)x : 7;
    for (int k = 0; k < 3; k++)
        rgb[k] = (unsigned char)(at[i][k] + (x - i) * (at[i + 1][k] - at[i][k]) + 0.5);
}

/* Okabe and Ito's colours, as those of figures. */
static const unsigned char series_rgb[][3] = {{0, 114, 178},   {213, 94, 0},  {0, 158, 115},
                                              {204, 121, 167}, {230, 159, 0}, {86, 180, 233}};

/* ---- axes ---- */

/* A number in at most LABEL - 1 columns. */
static void number_label(char out[32], double x)
{
    snprintf(out, 32, "%.4g", fabs(x) < 1e-300 ? 0 : x);
    if (strlen(out) > LABEL - 1)
        snprintf(out, 32, "%.1e", x);
}

static void put_repeated(Buf *out, const char *text, int n)
{
    for (int i = 0; i < n; i++)
        buf_text(out, text);
}

/* "└─────" and the two ends of x below it. */
static void put_x_axis(double lo, double hi, int columns, Buf *out)
{
    char left[32], right[32];
    number_label(left, lo);
    number_label(right, hi);
    int gap = columns - (int)strlen(left) - (int)strlen(right);
    put_repeated(out, " ", LABEL - 1);
    buf_text(out, "└");
    put_repeated(out, "─", columns);
    buf_text(out, "\n");
    put_repeated(out, " ", LABEL);
    buf_text(out, left);
    put_repeated(out, " ", gap > 1 ? gap : 1);
    buf_printf(out, "%s\n", gap > 0 ? right : "");
}

static void put_y_label(int line, int lines, double lo, double hi, Buf *out)
{
    char text[32] = "";
    bool ends = hi > lo;
    if (line == 0 && ends)
        number_label(text, hi);
    else if (line == lines - 1 && ends)
        number_label(text, lo);
    else if (line == lines / 2 && (lines > 4 || !ends))
        number_label(text, hi - (hi - lo) * line / (lines - 1));
    buf_printf(out, "%*s%s", LABEL - 1, text, *text ? "┤" : "│");
}

/* No blanks at the ends of lines. */
static void trim_lines(Buf *out, size_t from)
{
    size_t to = from;
    for (size_t i = from; i < out->len; i++) {
        if (out->at[i] == '\n')
            while (to > from && out->at[to - 1] == ' ')
                to--;
        out->at[to++] = out->at[i];
    }
    out->len = to < out->len ? to : out->len;
}

/* ---- curves ---- */

typedef struct Canvas {
    int columns, lines;                            /* characters */
    unsigned char dots[MOST_LINES][MOST_COLUMNS], color[MOST_LINES][MOST_COLUMNS];
    double x_lo, x_hi, y_lo, y_hi;
} Canvas;

static void dot(Canvas *c, int x, int y, int color)
{
    static const unsigned char bit[4][2] = {{0x01, 0x08}, {0x02, 0x10}, {0x04, 0x20}, {0x40, 0x80}};
    if (x < 0 || y < 0 || x >= 2 * c->columns || y >= 4 * c->lines)
        return;
    c->dots[y / 4][x / 2] |= bit[y % 4][x % 2];
    c->color[y / 4][x / 2] = (unsigned char)color;
}

static double place(double at, double lo, double hi, int n)
{
    return hi > lo ? (at - lo) / (hi - lo) * (n - 1) : (n - 1) / 2.0;
}

static void segment(Canvas *c, double x0, double y0, double x1, double y1, int color)
{
    double length = fmax(fabs(x1 - x0), fabs(y1 - y0));
    int steps = length < 1 ? 1 : length > 4000 ? 4000 : (int)length + 1;
    for (int i = 0; i <= steps; i++)
        dot(c, (int)lround(x0 + (x1 - x0) * i / steps), (int)lround(y0 + (y1 - y0) * i / steps), color);
}

static void draw_series(Canvas *c, const FigureSeries *s)
{
    double px = 0, py = 0;
    bool open = false;
    for (int64_t i = 0; i < s->n; i++) {
        double x = place(s->x[i], c->x_lo, c->x_hi, 2 * c->columns),
               y = place(-s->y[i], -c->y_hi, -c->y_lo, 4 * c->lines);
        if (!isfinite(x) || !isfinite(y)) {
            open = false;
            continue;
        }
        segment(c, open ? px : x, open ? py : y, x, y, s->color);
        px = x, py = y, open = true;
    }
}

static void put_color(const unsigned char rgb[3], Buf *out)
{
    buf_printf(out, "\033[38;2;%d;%d;%dm", rgb[0], rgb[1], rgb[2]);
}

static void put_braille(unsigned char dots, Buf *out)
{
    unsigned code = 0x2800u + dots;
    char utf8[3] = {(char)(0xE0 | code >> 12), (char)(0x80 | (code >> 6 & 63)), (char)(0x80 | (code & 63))};
    if (dots)
        buf_put(out, utf8, 3);
    else
        buf_text(out, " ");
}

static void put_canvas(const Canvas *c, bool color, Buf *out)
{
    for (int line = 0; line < c->lines; line++) {
        int now = -1;
        put_y_label(line, c->lines, c->y_lo, c->y_hi, out);
        for (int k = 0; k < c->columns; k++) {
            if (color && c->dots[line][k] && c->color[line][k] != now)
                put_color(series_rgb[(now = c->color[line][k]) % COUNT(series_rgb)], out);
            put_braille(c->dots[line][k], out);
        }
        buf_text(out, now >= 0 ? "\033[0m\n" : "\n");
    }
    put_x_axis(c->x_lo, c->x_hi, c->columns, out);
}

static void put_legend(const FigureSeries *series, int count, const TerminalStyle *style, Buf *out)
{
    int used = LABEL;
    bool any = false;
    for (int i = 0; i < count; i++) {
        if (!series[i].label)
            continue;
        int n = (int)strlen(series[i].label) + 4;
        if (any && used + n > style->width) {
            buf_text(out, "\n");
            used = LABEL;
            any = false;
        }
        if (!any)
            put_repeated(out, " ", LABEL);
        any = true;
        used += n;
        if (style->color)
            put_color(series_rgb[series[i].color % COUNT(series_rgb)], out);
        buf_printf(out, "━%s %.*s  ", style->color ? "\033[0m" : "", style->width - LABEL - 4, series[i].label);
    }
    if (any)
        buf_text(out, "\n");
}

static bool curve_ranges(const FigureSeries *series, int count, Canvas *c)
{
    double lo, hi;
    c->x_lo = c->y_lo = INFINITY, c->x_hi = c->y_hi = -INFINITY;
    for (int i = 0; i < count; i++) {
        if (range_of(series[i].x, series[i].n, &lo, &hi))
            c->x_lo = fmin(lo, c->x_lo), c->x_hi = fmax(hi, c->x_hi);
        if (range_of(series[i].y, series[i].n, &lo, &hi))
            c->y_lo = fmin(lo, c->y_lo), c->y_hi = fmax(hi, c->y_hi);
    }
    return c->x_lo <= c->x_hi && c->y_lo <= c->y_hi;
}

/* The same lines as pixels: 8 x 16 for a character. */
static void pixel_curves(const FigureSeries *series, int count, const Canvas *c, TerminalPixels how, Buf *out)
{
    int w = 8 * c->columns, h = 16 * c->lines;
    unsigned char *rgb = malloc((size_t)w * (size_t)h * 3);
    if (!rgb)
        return;
    memset(rgb, 255, (size_t)w * (size_t)h * 3);
    for (int i = 0; i < count; i++) {
        const FigureSeries *s = &series[i];
        for (int64_t k = 1; k < s->n; k++) {
            double x0 = place(s->x[k - 1], c->x_lo, c->x_hi, w), y0 = place(-s->y[k - 1], -c->y_hi, -c->y_lo, h);
            double x1 = place(s->x[k], c->x_lo, c->x_hi, w), y1 = place(-s->y[k], -c->y_hi, -c->y_lo, h);
            if (!isfinite(x0 + y0 + x1 + y1))
                continue;
            int steps = (int)fmin(4000, fmax(fabs(x1 - x0), fabs(y1 - y0)) + 1);
            for (int j = 0; j <= steps; j++)
                for (int thick = 0; thick < 4; thick++) {
                    int x = (int)(x0 + (x1 - x0) * j / steps) + thick % 2,
                        y = (int)(y0 + (y1 - y0) * j / steps) + thick / 2;
                    if (x >= 0 && y >= 0 && x < w && y < h)
                        memcpy(rgb + 3 * (y * w + x), series_rgb[s->color % COUNT(series_rgb)], 3);
                }
        }
    }
    terminal_pixels(rgb, w, h, how, out);
    free(rgb);
}

void terminal_curves(const FigureSeries *series, int count, const TerminalStyle *style, Buf *out)
{
    Canvas *c = calloc(1, sizeof *c);
    if (!c)
        return;
    bool legend = false;
    size_t from = out->len;
    for (int i = 0; i < count; i++)
        legend |= series[i].label != NULL;
    c->columns = style->width - LABEL - 1;
    c->lines = style->height - 3 - legend;
    c->columns = c->columns < 8 ? 8 : c->columns > MOST_COLUMNS ? MOST_COLUMNS : c->columns;
    c->lines = c->lines < 3 ? 3 : c->lines > MOST_LINES ? MOST_LINES : c->lines;
    if (!curve_ranges(series, count, c)) {
        buf_text(out, "nothing to draw: no value is a finite number\n");
    } else if (style->pixels != PIXELS_NONE) {
        char text[4][32];
        number_label(text[0], c->x_lo), number_label(text[1], c->x_hi), number_label(text[2], c->y_lo),
            number_label(text[3], c->y_hi);
        pixel_curves(series, count, c, style->pixels, out);
        buf_printf(out, "x from %s to %s, y from %s to %s\n", text[0], text[1], text[2], text[3]);
        put_legend(series, count, style, out);
    } else {
        for (int i = 0; i < count; i++)
            draw_series(c, &series[i]);
        put_canvas(c, style->color, out);
        put_legend(series, count, style, out);
    }
    free(c);
    trim_lines(out, from);
}

/* ---- heat maps ---- */

/* The value at pixel (x, y) of w x h, y from the top: the nearest point of the grid. */
static double grid_at(const FigureGrid *g, int x, int y, int w, int h)
{
    int ix = w > 1 ? (int)((double)x * (g->nx - 1) / (w - 1) + 0.5) : 0,
        iy = h > 1 ? (int)((double)(h - 1 - y) * (g->ny - 1) / (h - 1) + 0.5) : 0;
    return g->z[(int64_t)iy * g->nx + ix];
}

static double shade_of(double z, double lo, double hi) { return hi > lo ? (z / 2 - lo / 2) / (hi / 2 - lo / 2) : 0.5; }

/* Two pixels of a column of characters. */
static void put_half(double top, double bottom, double lo, double hi, bool color, Buf *out)
{
    static const char *const shades[] = {" ", "░", "▒", "▓", "█"};
    unsigned char a[3] = {128, 128, 128}, b[3] = {128, 128, 128};
    if (!color) {
        double z = shade_of((top + bottom) / 2, lo, hi);
        buf_text(out, isfinite(z) ? shades[(int)(z * 4 + 0.5)] : "?");
        return;
    }
    if (isfinite(top))
        terminal_viridis(shade_of(top, lo, hi), a);
    if (isfinite(bottom))
        terminal_viridis(shade_of(bottom, lo, hi), b);
    buf_printf(out, "\033[38;2;%d;%d;%d;48;2;%d;%d;%dm▀", a[0], a[1], a[2], b[0], b[1], b[2]);
}

/* The colours and what they stand for. */
static void put_scale(double lo, double hi, const TerminalStyle *style, Buf *out)
{
    char left[32], right[32];
    int n = style->width - 2 * LABEL - 4;
    n = n < 4 ? 4 : n > 30 ? 30 : n;
    number_label(left, lo);
    number_label(right, hi);
    buf_printf(out, "%*s ", LABEL - 1, left);
    for (int i = 0; i < n; i++) {
        double z = (double)i / (n - 1);
        put_half(z, z, 0, 1, style->color, out);
    }
    buf_printf(out, "%s %s\n", style->color ? "\033[0m" : "", right);
}

static void pixel_heat(const FigureGrid *g, double lo, double hi, int w, int h, TerminalPixels how, Buf *out)
{
    unsigned char *rgb = malloc((size_t)w * (size_t)h * 3);
    if (!rgb)
        return;
    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++) {
            double z = grid_at(g, x, y, w, h);
            memset(rgb + 3 * (y * w + x), 128, 3);
            if (isfinite(z))
                terminal_viridis(shade_of(z, lo, hi), rgb + 3 * (y * w + x));
        }
    terminal_pixels(rgb, w, h, how, out);
    free(rgb);
}

void terminal_heat(const FigureGrid *grid, const TerminalStyle *style, Buf *out)
{
    double lo, hi;
    size_t from = out->len;
    int columns = style->width - LABEL - 1, lines = style->height - 4;
    columns = columns < 8 ? 8 : columns > MOST_COLUMNS ? MOST_COLUMNS : columns;
    lines = lines < 3 ? 3 : lines > MOST_LINES ? MOST_LINES : lines;
    if (columns > 2 * lines)
        columns = 2 * lines;                               /* a character is twice as high as wide */
    if (!range_of(grid->z, (int64_t)grid->nx * grid->ny, &lo, &hi)) {
        buf_text(out, "nothing to draw: no value is a finite number\n");
        return;
    }
    if (style->pixels != PIXELS_NONE) {
        pixel_heat(grid, lo, hi, 8 * columns, 16 * lines, style->pixels, out);
    } else {
        for (int line = 0; line < lines; line++) {
            put_y_label(line, lines, grid->y_lo, grid->y_hi, out);
            for (int x = 0; x < columns; x++)
                put_half(grid_at(grid, x, 2 * line, columns, 2 * lines),
                         grid_at(grid, x, 2 * line + 1, columns, 2 * lines), lo, hi, style->color, out);
            buf_text(out, style->color ? "\033[0m\n" : "\n");
        }
        put_x_axis(grid->x_lo, grid->x_hi, columns, out);
    }
    put_scale(lo, hi, style, out);
    trim_lines(out, from);
}
