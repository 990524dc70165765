/* datum.h -- one recorded value, and its text: JSON for files, short forms for people.
 *
 * Text is UTF-8; bytes that are not are shown as U+FFFD.  Numbers in files are the shortest decimals that read back to
 * the same bits; NaN and infinities, which JSON lacks, are the texts "nan", "inf", "-inf". */
#ifndef NIN_DATUM_H
#define NIN_DATUM_H

#include "base/base.h"

typedef enum DatumKind { DATUM_NULL, DATUM_BOOL, DATUM_INT, DATUM_NUMBER, DATUM_TEXT, DATUM_LIST } DatumKind;
typedef struct Datum Datum;
typedef struct DatumList { const Datum *at; int len; } DatumList;
struct Datum {
    DatumKind kind;
    union { bool boolean; int64_t integer; double number; const char *text; DatumList list; };
};
Datum datum_null(void), datum_bool(bool x), datum_int(int64_t x), datum_number(double x), datum_text(const char *text);
Datum datum_list(const Datum *at, int len);            /* not copied */

typedef struct Field { const char *name; Datum value; } Field;

void json_text(Buf *out, const char *text);            /* quoted and escaped */
void json_datum(Buf *out, const Datum *datum);
void json_fields(Buf *out, const Field *fields, int count);            /* {"a":1,"b":[1,2]} in order, no blanks */

/* Columns that a text takes on a terminal: wide characters two, combining ones none. */
int text_width(const char *text);
/* The text, cut to `width` columns with a final "…" if it is wider. */
void text_cut(Buf *out, const char *text, int width);
/* Bytes of the text that make its first line, broken at a blank where it is wider than `width` (or in a word that is).
 * The next line begins behind the blanks that follow. */
size_t text_line(const char *text, int width);
/* `width` significant digits at most, without trailing zeros: "0.1235", "12350", "1.235e-07". */
void text_of_number(Buf *out, double x, int digits);

#endif
