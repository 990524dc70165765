/* terminal.h -- pictures in a terminal: sparklines, curves in braille, heat maps in half blocks, or pixels by the sixel
 * or kitty protocols.
 *
 * Text pictures are exactly `width` columns wide at most and `height` lines high, axes and legend included; without
 * colour nothing but characters is written. */
#ifndef NIN_TERMINAL_H
#define NIN_TERMINAL_H

#include "report/figure.h"

typedef enum TerminalPixels { PIXELS_NONE, PIXELS_SIXEL, PIXELS_KITTY } TerminalPixels;
typedef struct TerminalStyle { int width, height; bool color; TerminalPixels pixels; } TerminalStyle;

/* One line of `columns` bars; NaN is a blank. */
void terminal_spark(const double *y, int64_t n, int columns, Buf *out);
/* Lines through the points of several series; NaN breaks a line. */
void terminal_curves(const FigureSeries *series, int count, const TerminalStyle *style, Buf *out);
/* Colours from the least to the largest finite value. */
void terminal_heat(const FigureGrid *grid, const TerminalStyle *style, Buf *out);
/* Viridis at x in 0..1. */
void terminal_viridis(double x, unsigned char rgb[3]);

/* An image of w x h pixels, 3 bytes each, as the protocol writes it, with a line end behind. */
void terminal_pixels(const unsigned char *rgb, int w, int h, TerminalPixels how, Buf *out);

#endif
