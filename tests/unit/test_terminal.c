/* test_terminal.c -- pictures in a terminal: their size, and images that are read back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "report/terminal.h"

enum { W = 13, H = 8 };

static int longest_line(const char *text, int *lines)
{
    int longest = 0, now = 0;
    for (*lines = 0; *text; text++) {
        now = *text == '\n' ? 0 : now + (((unsigned char)*text & 0xC0) != 0x80);
        *lines += *text == '\n';
        longest = now > longest ? now : longest;
    }
    return longest;
}

static void pictures_fit(void **state)
{
    (void)state;
    double x[50], y[50], z[50] = {0};
    for (int i = 0; i < 50; i++)
        x[i] = i, y[i] = i == 7 ? NAN : i == 9 ? INFINITY : sin(i) * 1e8, z[i] = i % 7;
    for (int width = 20; width < 130; width += 11)
        for (int height = 8; height < 40; height += 5) {
            TerminalStyle style = {.width = width, .height = height};
            FigureSeries series[2] = {{.label = "a long name of a curve", .x = x, .y = y, .n = 50},
                                      {.color = 1, .x = x, .y = z, .n = 50}};
            FigureGrid grid = {.nx = 10, .ny = 5, .x_lo = -1e-9, .x_hi = 1, .y_lo = -123456789, .y_hi = 5, .z = z};
            Buf curves = {0}, heat = {0};
            int lines;
            terminal_curves(series, 2, &style, &curves);
            terminal_heat(&grid, &style, &heat);
            buf_put(&curves, "", 1);
            buf_put(&heat, "", 1);
            assert_true(longest_line(curves.at, &lines) <= width && lines <= height);
            assert_true(longest_line(heat.at, &lines) <= (width < 27 ? 27 : width) && lines <= height);
            assert_null(strchr(curves.at, '\033'));
            assert_null(strchr(heat.at, '\033'));
            buf_free(&curves);
            buf_free(&heat);
        }
}

/* Colours that the sixel palette has exactly: multiples of 51. */
static void image(unsigned char rgb[H * W * 3])
{
    for (int i = 0; i < H * W; i++) {
        rgb[3 * i] = (unsigned char)(i % 6 * 51);
        rgb[3 * i + 1] = (unsigned char)(i / W % 2 * 255);
        rgb[3 * i + 2] = (unsigned char)(i % W < 9 ? 0 : 102);
    }
}

static void sixel_reads_back(void **state)
{
    (void)state;
    unsigned char rgb[H * W * 3], seen[H * W * 3] = {0};
    int palette[256][3] = {0}, color = 0, x = 0, y = 0, index, r, g, b, used, repeat;
    Buf out = {0};
    image(rgb);
    terminal_pixels(rgb, W, H, PIXELS_SIXEL, &out);
    buf_put(&out, "", 1);
    const char *at = strstr(out.at, "q\"1;1;13;8");
    assert_non_null(at);
    for (at += strlen("q\"1;1;13;8"); *at && *at != '\033';) {
        repeat = 1;
        if (sscanf(at, "#%d;2;%d;%d;%d%n", &index, &r, &g, &b, &used) == 4) {
            palette[index][0] = r, palette[index][1] = g, palette[index][2] = b;
            at += used;
            continue;
        }
        if (sscanf(at, "#%d%n", &color, &used) == 1) {
            at += used;
            continue;
        }
        if (*at == '$' || *at == '-') {
            y += *at++ == '-' ? 6 : 0;
            x = 0;
            continue;
        }
        if (sscanf(at, "!%d%n", &repeat, &used) == 1)
            at += used;
        assert_in_range(*at, 63, 126);
        for (int k = 0; k < repeat; k++, x++)
            for (int bit = 0; bit < 6; bit++)
                if ((*at - 63) >> bit & 1) {
                    assert_true(x < W && y + bit < H);
                    for (int c = 0; c < 3; c++)
                        seen[3 * ((y + bit) * W + x) + c] = (unsigned char)(palette[color][c] * 255 / 100);
                }
        at++;
    }
    assert_memory_equal(seen, rgb, sizeof rgb);
    buf_free(&out);
}

static int digit(char c)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *found = strchr(digits, c);
    return c && found ? (int)(found - digits) : -1;
}

static void kitty_reads_back(void **state)
{
    (void)state;
    enum { WIDE = 70, HIGH = 40, SIZE = WIDE * HIGH * 3 };
    unsigned char *rgb = malloc(SIZE), *seen = malloc(SIZE + 3);
    size_t n = 0;
    unsigned bits = 0, count = 0;
    Buf out = {0};
    for (int i = 0; i < SIZE; i++)
        rgb[i] = (unsigned char)(i * 7 + i / 256);
    terminal_pixels(rgb, WIDE, HIGH, PIXELS_KITTY, &out);
    buf_put(&out, "", 1);
    assert_non_null(strstr(out.at, "\033_Ga=T,f=24,s=70,v=40,m=1;"));
    for (const char *piece = out.at; (piece = strstr(piece, "\033_G"));) {
        for (piece = strchr(piece, ';') + 1; *piece != '\033'; piece++) {
            if (digit(*piece) < 0)
                continue;
            bits = bits << 6 | (unsigned)digit(*piece);
            if (++count % 4 == 0)
                for (int k = 16; k >= 0 && n < SIZE; k -= 8)
                    seen[n++] = (unsigned char)(bits >> k);
        }
    }
    assert_int_equal(n, SIZE);
    assert_memory_equal(seen, rgb, SIZE);
    free(rgb);
    free(seen);
    buf_free(&out);
}

static void sparks(void **state)
{
    (void)state;
    const double y[] = {0, 1, NAN, 7, 7};
    Buf out = {0};
    terminal_spark(y, 5, 5, &out);
    buf_put(&out, "", 1);
    assert_string_equal(out.at, "▁▂ ██");
    buf_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pictures_fit),
        cmocka_unit_test(sixel_reads_back),
        cmocka_unit_test(kitty_reads_back),
        cmocka_unit_test(sparks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
