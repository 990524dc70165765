/* terminal_pixels.c -- images for terminals that show them.
 *
 * Sixel (DEC STD 070): bands of six rows; for each colour of the band a row of characters 63 + bits, repeated ones as
 * "!count".  Colours are cut to 6 x 6 x 6.  Kitty's protocol: RGB bytes in base64, in pieces of 4096 characters. */
#include "report/terminal.h"

enum { LEVELS = 6, COLORS = LEVELS * LEVELS * LEVELS, PIECE = 4096 };

static int color_of(const unsigned char *rgb)
{
    int index = 0;
    for (int k = 0; k < 3; k++)
        index = index * LEVELS + (rgb[k] * (LEVELS - 1) + 127) / 255;
    return index;
}

static void put_run(Buf *out, int bits, int n)
{
    if (n > 3)
        buf_printf(out, "!%d%c", n, 63 + bits);
    else
        for (int i = 0; i < n; i++)
            buf_printf(out, "%c", 63 + bits);
}

/* The pixels of one colour in the band of rows y .. y + 5. */
static void put_band(const unsigned char *rgb, int w, int h, int y, int color, Buf *out)
{
    int bits = 0, run = 0;
    buf_printf(out, "#%d", color);
    for (int x = 0; x < w; x++) {
        int now = 0;
        for (int k = 0; k < 6 && y + k < h; k++)
            now |= (color_of(rgb + 3 * ((y + k) * w + x)) == color) << k;
        if (run && now != bits) {
            put_run(out, bits, run);
            run = 0;
        }
        bits = now;
        run++;
    }
    put_run(out, bits, run);
    buf_text(out, "$");
}

static void put_sixel(const unsigned char *rgb, int w, int h, Buf *out)
{
    buf_printf(out, "\033Pq\"1;1;%d;%d", w, h);
    for (int c = 0; c < COLORS; c++)
        buf_printf(out, "#%d;2;%d;%d;%d", c, c / (LEVELS * LEVELS) * 20, c / LEVELS % LEVELS * 20, c % LEVELS * 20);
    for (int y = 0; y < h; y += 6) {
        bool here[COLORS] = {0};
        for (int k = 0; k < 6 && y + k < h; k++)
            for (int x = 0; x < w; x++)
                here[color_of(rgb + 3 * ((y + k) * w + x))] = true;
        for (int c = 0; c < COLORS; c++)
            if (here[c])
                put_band(rgb, w, h, y, c, out);
        buf_text(out, "-");
    }
    buf_text(out, "\033\\\n");
}

static void put_base64(const unsigned char *bytes, size_t n, Buf *out)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < n; i += 3) {
        unsigned left = (unsigned)(n - i > 3 ? 3 : n - i), bits = (unsigned)bytes[i] << 16;
        bits |= left > 1 ? (unsigned)bytes[i + 1] << 8 : 0;
        bits |= left > 2 ? bytes[i + 2] : 0;
        char four[4] = {digits[bits >> 18], digits[bits >> 12 & 63], left > 1 ? digits[bits >> 6 & 63] : '=',
                        left > 2 ? digits[bits & 63] : '='};
        buf_put(out, four, 4);
    }
}

static void put_kitty(const unsigned char *rgb, int w, int h, Buf *out)
{
    Buf text = {0};
    put_base64(rgb, (size_t)w * (size_t)h * 3, &text);
    for (size_t at = 0; at < text.len; at += PIECE) {
        size_t n = text.len - at < PIECE ? text.len - at : PIECE;
        buf_text(out, "\033_G");
        if (!at)
            buf_printf(out, "a=T,f=24,s=%d,v=%d,", w, h);
        buf_printf(out, "m=%d;", at + n < text.len);
        buf_put(out, text.at + at, n);
        buf_text(out, "\033\\");
    }
    buf_text(out, "\n");
    buf_free(&text);
}

void terminal_pixels(const unsigned char *rgb, int w, int h, TerminalPixels how, Buf *out)
{
    if (how == PIXELS_SIXEL)
        put_sixel(rgb, w, h, out);
    else if (how == PIXELS_KITTY)
        put_kitty(rgb, w, h, out);
}
