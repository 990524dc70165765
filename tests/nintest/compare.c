/* compare.c -- comparisons of printed values. */
#include "tests/nintest/nintest.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>

static bool number_here(const char *at, const char *before)
{
    bool word = before && (isalnum((unsigned char)*before) || *before == '_');
    if (word)
        return false;
    const char *digits = *at == '-' ? at + 1 : at;
    return isdigit((unsigned char)*digits) || strncmp(digits, "nan", 3) == 0 || strncmp(digits, "inf", 3) == 0;
}

bool text_near(const char *expected, const char *actual, double within)
{
    const char *a = expected, *b = actual, *a0 = NULL, *b0 = NULL;
    while (*a || *b) {
        if (number_here(a, a0) && number_here(b, b0)) {
            char *a_end, *b_end;
            double x = strtod(a, &a_end), y = strtod(b, &b_end);
            bool equal = x == y || (isnan(x) && isnan(y)) || fabs(x - y) <= within;
            if (!equal)
                return false;
            a0 = (a = a_end) - 1;
            b0 = (b = b_end) - 1;
            continue;
        }
        if (*a != *b)
            return false;
        a0 = a++;
        b0 = b++;
    }
    return true;
}

static bool word_char(char c) { return isalnum((unsigned char)c) || c == '_'; }

int count_words(const char *in, const char *word)
{
    size_t n = strlen(word);
    int count = 0;
    if (!n)
        return 0;
    for (const char *at = in; (at = strstr(at, word)); at += n) {
        bool joined_before = at > in && word_char(at[-1]) && word_char(word[0]);
        bool joined_after = word_char(word[n - 1]) && word_char(at[n]);
        count += !joined_before && !joined_after;
    }
    return count;
}
