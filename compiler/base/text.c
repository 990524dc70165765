/* text.c -- numbers as text, edit distance, FNV-1a. */
#include "base/base.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { TEXT_OF_NUMBER = 32 };

/* The texts that need no search for digits: NaN, infinities and whole numbers that f64 counts exactly. */
static bool text_simple(char out[32], double x)
{
    if (isnan(x))
        strcpy(out, "nan");
    else if (isinf(x))
        strcpy(out, x < 0 ? "-inf" : "inf");
    else if (x == trunc(x) && fabs(x) < 1e9)
        snprintf(out, TEXT_OF_NUMBER, "%.0f", x);
    else
        return false;
    return true;
}

/* Every decimal of `sure` digits survives the way to a normal number and back, so if x is one, its shortest text is
 * that of `sure` digits without the closing zeros. */
static int digits_to_try(double x, int sure)
{
    char text[TEXT_OF_NUMBER];
    snprintf(text, sizeof text, "%.*e", sure - 1, x);
    char *end = strchr(text, 'e');
    int digits = sure;
    while (digits > 1 && *--end == '0')
        digits--;
    return digits;
}

void text_of_f64(char out[32], double x)
{
    if (text_simple(out, x))
        return;
    bool normal = fabs(x) > 1e-300;
    int digits = normal ? digits_to_try(x, 15) : 1;
    for (; digits <= 17; digits = normal && digits < 15 ? 15 : digits + 1) {
        snprintf(out, TEXT_OF_NUMBER, "%.*g", digits, x);
        if (strtod(out, NULL) == x)
            return;
    }
}

void text_of_f32(char out[32], float x)
{
    if (text_simple(out, (double)x))
        return;
    bool normal = fabsf(x) > 1e-36f;
    int digits = normal ? digits_to_try((double)x, 6) : 1;
    for (; digits <= 9; digits = normal && digits < 6 ? 6 : digits + 1) {
        snprintf(out, TEXT_OF_NUMBER, "%.*g", digits, (double)x);
        if (strtof(out, NULL) == x)
            return;
    }
}

static int min_of(int a, int b)
{
    return a < b ? a : b;
}

/* Three rows of the table of optimal string alignment; longer names than a row are never near one another. */
int text_distance(const char *a, const char *b, int limit)
{
    enum { LONGEST = 63 };
    int rows[3][LONGEST + 1];
    size_t n = strlen(a), m = strlen(b);
    if (n > LONGEST || m > LONGEST)
        return strcmp(a, b) ? limit + 1 : 0;
    for (int j = 0; j <= (int)m; j++)
        rows[0][j] = j;
    for (int i = 1; i <= (int)n; i++) {
        int *row = rows[i % 3], *above = rows[(i + 2) % 3], *before = rows[(i + 1) % 3];
        row[0] = i;
        for (int j = 1; j <= (int)m; j++) {
            int best = above[j - 1] + (a[i - 1] != b[j - 1]);
            best = min_of(best, min_of(above[j], row[j - 1]) + 1);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                best = min_of(best, before[j - 2] + 1);
            row[j] = best;
        }
    }
    return min_of(rows[n % 3][m], limit + 1);
}

uint64_t fnv1a(const void *bytes, size_t length, uint64_t seed)
{
    const unsigned char *at = bytes;
    uint64_t hash = seed;
    for (size_t i = 0; i < length; i++)
        hash = (hash ^ at[i]) * UINT64_C(1099511628211);
    return hash;
}
