/* csv.c -- numbers separated by commas; see data.h.
 *
 * Two walks over the text: the first counts lines, so that one block of doubles holds all (never more than one for two
 * bytes of text); the second fills it.  Numbers are decimal, read correctly rounded whatever the locale. */
#define _GNU_SOURCE
#include "data/data.h"
#include "data/input.h"

#include <locale.h>
#include <math.h>
#include <stdlib.h>
#include <strings.h>

enum { LONGEST_NUMBER = 400 };

typedef struct Csv {
    Arena *arena; const char *path;
    const char *start, *at, *end;
    int64_t line, column;                              /* of the field at `at`, from 1 */
    locale_t locale;
    bool labelled, texts;                              /* the last field may be a text; one of them is */
    const char **label;                                /* of each row */
    char **error;
} Csv;

static bool csv_fail(Csv *csv, const char *at, const char *format, ...) NIN_PRINTF(3, 4);
static bool csv_fail(Csv *csv, const char *at, const char *format, ...) {
    va_list args;
    va_start(args, format);
    char *text = arena_vprintf(csv->arena, format, args);
    va_end(args);
    *csv->error = arena_printf(csv->arena, "%s: line %lld, column %lld (byte %lld): %s", csv->path,
                               (long long)csv->line, (long long)csv->column, (long long)(at - csv->start), text);
    return false;
}

/* ---- numbers ---- */
static bool digits(const char **at, const char *end) {
    const char *from = *at;
    while (*at < end && **at >= '0' && **at <= '9') ++*at;
    return *at > from;
}

/* [+-] digits [. digits] [e [+-] digits], digits on at least one side of the point. */
static bool is_number(const char *at, const char *end) {
    if (at < end && (*at == '+' || *at == '-')) at++;
    bool whole = digits(&at, end), part = false;
    if (at < end && *at == '.') {
        at++;
        part = digits(&at, end);
    }
    if (!whole && !part) return false;
    if (at < end && (*at == 'e' || *at == 'E')) {
        at++;
        if (at < end && (*at == '+' || *at == '-')) at++;
        if (!digits(&at, end)) return false;
    }
    return at == end;
}

/* Exact for at most 15 digits without an exponent: a whole number below 2^53 over a power of ten below 10^16. */
static bool short_number(const char *at, const char *end, double *out) {
    static const double power[] = {1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14,
                                   1e15};
    bool minus = at < end && *at == '-';
    if (at < end && (*at == '-' || *at == '+')) at++;
    if (end - at > 15) return false;
    int64_t whole = 0;
    int places = -1;
    for (; at < end; at++) {
        if (*at == '.') places = 0;
        else if (*at < '0' || *at > '9') return false;
        else whole = whole * 10 + (*at - '0'), places += places >= 0;
    }
    double x = (double)whole / power[places > 0 ? places : 0];
    *out = minus ? -x : x;
    return true;
}

static bool no_number(const char *at, size_t n) {
    static const char *const words[] = {"nan", "na", "null", "inf", "infinity", "none"};
    if (n && (*at == '-' || *at == '+')) at++, n--;
    for (int i = 0; i < COUNT(words); i++)
        if (n == strlen(words[i]) && strncasecmp(at, words[i], n) == 0) return true;
    return false;
}

static bool csv_number(Csv *csv, const char *at, size_t n, double *out) {
    if (n == 0) return csv_fail(csv, at, "the field is empty; a number is expected");
    if (!is_number(at, at + n) || n >= LONGEST_NUMBER)
        return csv_fail(csv, at, no_number(at, n) ? "'%.*s': the data must not hold missing or infinite numbers"
                                                  : "'%.*s' is not a number", (int)(n < 40 ? n : 40), at);
    if (short_number(at, at + n, out)) return true;
    char text[LONGEST_NUMBER];
    memcpy(text, at, n);
    text[n] = 0;
    *out = strtod_l(text, NULL, csv->locale);
    return isfinite(*out) || csv_fail(csv, at, "%.40s is too large for a number", text);
}

/* ---- fields and lines ---- */
static bool blank(char c) { return c == ' ' || c == '\t'; }
static bool at_line_end(const Csv *csv) {
    if (csv->at == csv->end || *csv->at == '\n') return true;
    return *csv->at == '\r' && csv->at + 1 < csv->end && csv->at[1] == '\n';
}

/* The text of the field at `at` without blanks and quotes; moves to the comma or line end behind it. */
static bool csv_field(Csv *csv, const char **text, size_t *length) {
    while (csv->at < csv->end && blank(*csv->at)) csv->at++;
    const char *from = csv->at;
    if (csv->at < csv->end && *csv->at == '"') {
        from = ++csv->at;
        for (; csv->at < csv->end && *csv->at != '\n'; csv->at++) {                /* "" in quotes is a quote */
            bool quote = *csv->at == '"', twice = quote && csv->at + 1 < csv->end && csv->at[1] == '"';
            if (quote && !twice) break;
            csv->at += twice;
        }
        if (csv->at == csv->end || *csv->at != '"')
            return csv_fail(csv, from - 1, "the quote is not closed on its line");
        *text = from, *length = (size_t)(csv->at++ - from);
        while (csv->at < csv->end && blank(*csv->at)) csv->at++;
        if (at_line_end(csv) || *csv->at == ',') return true;
        return csv_fail(csv, csv->at, "a comma is expected after the closing quote");
    }
    while (!at_line_end(csv) && *csv->at != ',') csv->at++;
    const char *to = csv->at;
    while (to > from && blank(to[-1])) to--;
    *text = from, *length = (size_t)(to - from);
    return true;
}

static void next_line(Csv *csv) {
    if (csv->at < csv->end && *csv->at == '\r') csv->at++;
    if (csv->at < csv->end) csv->at++;
    csv->line++, csv->column = 1;
}

/* Moves to the next line that is not empty; false at the end. */
static bool seek_line(Csv *csv) {
    while (csv->at < csv->end) {
        const char *at = csv->at;
        while (csv->at < csv->end && blank(*csv->at)) csv->at++;
        if (!at_line_end(csv)) {
            csv->at = at;
            return true;
        }
        next_line(csv);
    }
    return false;
}

/* The first line: counts its fields, and keeps them as names if one of them is no number. */
static bool first_line(Csv *csv, int64_t *columns, const char ***names) {
    VEC(const char *) fields = {0};
    bool header = false;
    const char *text;
    size_t length;
    Csv walk = *csv;
    for (;; walk.at++, walk.column++) {
        if (!csv_field(&walk, &text, &length)) return false;
        /* a text in the last field is no sign of a header where it may be a class */
        bool last = csv->labelled && fields.len && at_line_end(&walk);
        header |= !last && !is_number(text, text + length) && !no_number(text, length) && length;
        vec_push(csv->arena, &fields, arena_copy(csv->arena, text, length));
        if (at_line_end(&walk)) break;
    }
    *columns = fields.len;
    *names = header ? fields.at : NULL;
    if (!header) return true;
    next_line(&walk);
    *csv = walk;
    return true;
}

/* The last field of a row: a number, or a text that stands for a class. */
static bool csv_label(Csv *csv, const char *text, size_t length, int64_t row, double *out) {
    if (length == 0) return csv_fail(csv, text, "the field is empty; a class is expected");
    csv->label[row] = arena_copy(csv->arena, text, length);
    csv->texts |= !is_number(text, text + length);
    return csv->texts || csv_number(csv, text, length, out);
}

static int by_bytes(const void *a, const void *b) { return strcmp(*(const char *const *)a, *(const char *const *)b); }

/* The different labels in order, and the number of each row's in its place. */
static void csv_labels(Csv *csv, int64_t columns, CsvData *out) {
    int64_t rows = out->array.rows, n = 0;
    double *numbers = out->array.bytes;
    const char **sorted = arena_array(csv->arena, const char *, rows);
    memcpy(sorted, csv->label, sizeof *sorted * (size_t)rows);
    qsort(sorted, (size_t)rows, sizeof *sorted, by_bytes);
    for (int64_t i = 0; i < rows; i++)
        if (!n || strcmp(sorted[n - 1], sorted[i])) sorted[n++] = sorted[i];
    for (int64_t i = 0; i < rows; i++) {
        const char **found = bsearch(&csv->label[i], sorted, (size_t)n, sizeof *sorted, by_bytes);
        numbers[i * columns + columns - 1] = (double)(found - sorted);
    }
    out->labels = sorted;
    out->label_count = n;
}

static bool csv_row(Csv *csv, int64_t columns, int64_t row, double *out) {
    const char *text;
    size_t length;
    for (csv->column = 1;; csv->at++, csv->column++) {
        if (csv->column > columns)
            return csv_fail(csv, csv->at, "the line has more than %lld field%s", (long long)columns,
                            columns == 1 ? "; fields are separated by commas, and numbers have a point" : "s");
        if (!csv_field(csv, &text, &length)) return false;
        double *number = &out[csv->column - 1];
        bool last = csv->column == columns && columns > 1, label = csv->labelled && last;
        if (last && !label && length && !is_number(text, text + length) && !no_number(text, length))
            return csv_fail(csv, text, "'%.*s' is not a number; `classes:` takes texts in the last column",
                            (int)(length < 40 ? length : 40), text);
        if (!(label ? csv_label(csv, text, length, row, number) : csv_number(csv, text, length, number))) return false;
        if (at_line_end(csv)) break;
    }
    if (csv->column < columns)
        return csv_fail(csv, csv->at, "the line ends after %lld of %lld fields", (long long)csv->column,
                        (long long)columns);
    next_line(csv);
    return true;
}

static int64_t count_rows(Csv csv) {
    int64_t rows = 0;
    for (; seek_line(&csv); rows++) {
        const char *end = memchr(csv.at, '\n', (size_t)(csv.end - csv.at));
        csv.at = end ? end + 1 : csv.end;
    }
    return rows;
}

static bool csv_table(Csv *csv, uint64_t limit, CsvData *out, char **error) {
    int64_t columns = 0, rows;
    *out = (CsvData){0};
    if (!seek_line(csv)) {
        *error = arena_printf(csv->arena, "%s: line %lld: the file ends, and holds no numbers", csv->path,
                              (long long)csv->line);
        return false;
    }
    if (!first_line(csv, &columns, &out->names)) return false;
    if ((rows = count_rows(*csv)) == 0) {
        *error = arena_printf(csv->arena, "%s: line %lld: the file ends, and holds a header but no numbers", csv->path,
                              (long long)csv->line);
        return false;
    }
    /* Rows of another length stop the reading, so no more fields are met than fit the text. */
    uint64_t most = (uint64_t)(csv->end - csv->at) / 2 + 1, wanted = (uint64_t)rows * (uint64_t)columns;
    if (wanted > most + (uint64_t)columns) wanted = most + (uint64_t)columns;
    if (wanted * sizeof(double) > limit) {
        *error = arena_printf(csv->arena, "%s: %lld rows of %lld numbers are above the limit of %llu bytes", csv->path,
                              (long long)rows, (long long)columns, (unsigned long long)limit);
        return false;
    }
    double *numbers = arena_array(csv->arena, double, wanted);
    if (csv->labelled) csv->label = arena_array(csv->arena, const char *, rows);
    out->array = (DataArray){.type = DATA_F64, .rows = rows, .shape = {1, {columns}}, .bytes = numbers};
    for (int64_t row = 0; seek_line(csv); row++)
        if (!csv_row(csv, columns, row, numbers + row * columns)) return false;
    if (csv->texts) csv_labels(csv, columns, out);
    return true;
}

static bool csv_parse(Input *input, bool labelled, CsvData *out, char **error) {
    const uint8_t *bytes;
    size_t length;
    if (!input_rest(input, &bytes, &length, error)) return false;
    if (length >= 3 && memcmp(bytes, "\xef\xbb\xbf", 3) == 0) bytes += 3, length -= 3;
    const char *text = (const char *)bytes;
    Csv csv = {.arena = input->arena, .path = input->path, .start = text, .at = text, .end = text + length, .line = 1,
               .column = 1, .labelled = labelled, .error = error,
               .locale = newlocale(LC_NUMERIC_MASK, "C", (locale_t)0)};
    if (!csv.locale) {
        *error = arena_printf(input->arena, "%s: out of memory", input->path);
        return false;
    }
    bool ok = csv_table(&csv, input->limit, out, error);
    freelocale(csv.locale);
    return ok;
}

static bool read_file(Arena *arena, const char *path, const ReadLimits *limits, bool labelled, CsvData *out,
                      char **error) {
    Input input;
    if (!input_open(&input, arena, path, limits, error)) return false;
    bool ok = csv_parse(&input, labelled, out, error);
    input_close(&input);
    return ok;
}

bool read_csv(Arena *arena, const char *path, const ReadLimits *limits, CsvData *out, char **error) {
    return read_file(arena, path, limits, false, out, error);
}

bool read_csv_labelled(Arena *arena, const char *path, const ReadLimits *limits, CsvData *out, char **error) {
    return read_file(arena, path, limits, true, out, error);
}

bool read_csv_bytes(Arena *arena, const char *name, const void *bytes, size_t length, const ReadLimits *limits,
                    CsvData *out, char **error) {
    Input input;
    if (!input_open_bytes(&input, arena, name, bytes, length, limits, error)) return false;
    bool ok = csv_parse(&input, false, out, error);
    input_close(&input);
    return ok;
}
