/* table.c -- see table.h. */
#include "report/table.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { DIGITS = 5, MOST_DIGITS = 9, WIDEST_TEXT = 60, LEAST_TEXT = 6, GAP = 2 };

/* How the numbers of a column are written. */
typedef enum NumberForm { FORM_WHOLE, FORM_FIXED, FORM_GENERAL } NumberForm;
typedef struct Layout { NumberForm form; int decimals; bool right; int width; char **text; } Layout;

static const Datum *datum_of(const Table *table, int64_t row, int column) {
    return &table->at[row * table->columns + column];
}

static bool number_of(const Datum *datum, double *x) {
    if (datum->kind == DATUM_INT) *x = (double)datum->integer;
    else if (datum->kind == DATUM_NUMBER) *x = datum->number;
    else return false;
    return true;
}

/* Decimals that `digits` significant ones of x need once trailing zeros are dropped. */
static int decimals_of(double x, int digits) {
    char text[40];
    snprintf(text, sizeof text, "%.*e", digits - 1, x);
    int exponent = atoi(strchr(text, 'e') + 1), used = digits;
    for (char *at = strchr(text, 'e') - 1; used > 1 && *at == '0'; at--) used--;
    return used - 1 - exponent > 0 ? used - 1 - exponent : 0;
}

static void choose_form(const Table *table, int column, Layout *layout) {
    double x, most = 0;
    int numbers = 0, texts = 0;
    bool whole = true;
    for (int64_t row = 0; row < table->rows; row++) {
        const Datum *datum = datum_of(table, row, column);
        texts += datum->kind == DATUM_TEXT || datum->kind == DATUM_LIST || datum->kind == DATUM_BOOL;
        if (!number_of(datum, &x)) continue;
        numbers++;
        if (!isfinite(x)) continue;
        if (x != rint(x) || fabs(x) >= 1e15) whole = false;
        if (fabs(x) > most) most = fabs(x);
        int decimals = decimals_of(x, DIGITS);
        if (decimals > layout->decimals) layout->decimals = decimals;
    }
    layout->right = numbers > 0 && texts == 0;
    int before = most >= 1 ? (int)log10(most) + 1 : 1;
    layout->form = whole ? FORM_WHOLE : before + layout->decimals > MOST_DIGITS ? FORM_GENERAL : FORM_FIXED;
}

static void put_number(const Layout *layout, double x, Buf *out) {
    if (!isfinite(x)) text_of_number(out, x, DIGITS);
    else if (layout->form == FORM_WHOLE) buf_printf(out, "%.0f", x);
    else if (layout->form == FORM_FIXED) buf_printf(out, "%.*f", layout->decimals, x);
    else text_of_number(out, x, DIGITS);
}

static void put_datum(const Layout *layout, const Datum *datum, Buf *out) {
    switch (datum->kind) {
    case DATUM_NULL: buf_text(out, "-"); break;
    case DATUM_BOOL: buf_text(out, datum->boolean ? "true" : "false"); break;
    case DATUM_INT:
        if (layout->form == FORM_WHOLE) buf_printf(out, "%lld", (long long)datum->integer);
        else put_number(layout, (double)datum->integer, out);
        break;
    case DATUM_NUMBER: put_number(layout, datum->number, out); break;
    case DATUM_TEXT: buf_text(out, datum->text); break;
    case DATUM_LIST:
        buf_text(out, "[");
        for (int i = 0; i < datum->list.len && out->len < 4 * WIDEST_TEXT; i++) {
            if (i) buf_text(out, ", ");
            put_datum(&(Layout){.form = FORM_GENERAL}, &datum->list.at[i], out);
        }
        buf_text(out, "]");
        break;
    }
}

static void lay_out(const Table *table, int64_t rows, int column, int widest, Arena *arena, Layout *layout) {
    *layout = (Layout){0};
    choose_form(table, column, layout);
    layout->text = arena_array(arena, char *, rows + 1);
    layout->width = text_width(table->name[column]);
    for (int64_t row = 0; row < rows; row++) {
        Buf text = {0}, cut = {0};
        put_datum(layout, datum_of(table, row, column), &text);
        buf_put(&text, "", 1);
        text_cut(&cut, text.at, widest);
        buf_free(&text);
        layout->text[row] = buf_done(&cut, arena);
        int width = text_width(layout->text[row]);
        if (width > layout->width) layout->width = width;
    }
    if (layout->width > widest) layout->width = widest;
}

char **table_column(const Table *table, int64_t rows, int column, int widest, Arena *arena, bool *numbers) {
    Layout layout;
    lay_out(table, rows, column, widest, arena, &layout);
    *numbers = layout.right;
    return layout.text;
}

/* ---- printing ---- */
static void blanks(Buf *out, int n) {
    for (; n > 0; n--) buf_text(out, " ");
}

static void put_cell(Buf *out, const Layout *layout, const char *text, bool last) {
    Buf cut = {0};
    text_cut(&cut, text, layout->width);
    buf_put(&cut, "", 1);
    int pad = layout->width - text_width(cut.at);
    if (layout->right) blanks(out, pad);
    buf_text(out, cut.at);
    if (!layout->right && !last) blanks(out, pad);
    buf_free(&cut);
}

static void rule_line(Buf *out, int width) {
    for (int i = 0; i < width; i++) buf_text(out, "\xe2\x94\x80");
    buf_text(out, "\n");
}

typedef struct Block { const Table *table; const Layout *layout; int64_t rows; int from, to; bool bold; } Block;

static int block_width(const Block *block) {
    int width = 0;
    for (int c = 0; c < block->to; c++)
        if (c < block->table->keys || c >= block->from) width += (width ? GAP : 0) + block->layout[c].width;
    return width;
}

/* Row -1 is the names of the columns. */
static void block_row(const Block *block, int64_t row, Buf *out) {
    bool first = true;
    for (int c = 0; c < block->to; c++) {
        if (c >= block->table->keys && c < block->from) continue;
        if (!first) blanks(out, GAP);
        first = false;
        put_cell(out, &block->layout[c], row < 0 ? block->table->name[c] : block->layout[c].text[row],
                 c == block->to - 1);
    }
    buf_text(out, "\n");
}

static void put_block(const Block *block, Buf *out) {
    if (block->bold) buf_text(out, "\033[1m");
    block_row(block, -1, out);
    if (block->bold) buf_text(out, "\033[0m");
    rule_line(out, block_width(block));
    for (int64_t row = 0; row < block->rows; row++) block_row(block, row, out);
}

/* The first column that no longer fits beside the keys; at least one column is taken. */
static int block_end(const Table *table, const Layout *layout, int from, int width) {
    int used = 0, c;
    for (c = 0; c < table->keys; c++) used += layout[c].width + GAP;
    for (c = from; c < table->columns; c++) {
        used += layout[c].width + GAP;
        if (width && c > from && used - GAP > width) break;
    }
    return c;
}

static int at_least(int x, int least) { return x < least ? least : x; }

/* Where keys and the widest column do not fit side by side, texts give way: those of the keys share what numbers leave
 * (a text column counts a third of the screen at most), then texts of columns get what the keys leave. */
static void make_room(const Table *table, Layout *layout, int64_t rows, int width, Arena *arena) {
    int fixed = 0, texts = 0, widest = 0;
    for (int c = 0; c < table->columns; c++) {
        int own = layout[c].width;
        if (c < table->keys && !layout[c].right) texts++, fixed += GAP;
        else if (c < table->keys) fixed += own + GAP;
        else if (own > widest) widest = layout[c].right || own < width / 3 ? own : at_least(widest, width / 3);
    }
    int room = texts ? at_least((width - fixed - widest) / texts, LEAST_TEXT) : 0;
    for (int c = 0; c < table->columns; c++) {
        if (c == table->keys) {
            int keys = 0;
            for (int k = 0; k < c; k++) keys += layout[k].width + GAP;
            room = at_least(width - keys, LEAST_TEXT);
        }
        if (!layout[c].right && layout[c].width > room) lay_out(table, rows, c, room, arena, &layout[c]);
    }
}

static void put_note(const char *note, int width, Buf *out) {
    do {
        size_t n = width ? text_line(note, width) : strlen(note);
        buf_printf(out, "%.*s\n", (int)n, note);
        note += n + strspn(note + n, " ");
    } while (*note);
}

void table_text(const Table *table, const TableStyle *style, Buf *out) {
    Arena *arena = arena_new();
    Layout *layout = arena_array(arena, Layout, table->columns + 1);
    int64_t rows = style->rows && table->rows > style->rows ? style->rows : table->rows;
    for (int c = 0; c < table->columns; c++) lay_out(table, rows, c, WIDEST_TEXT, arena, &layout[c]);
    if (style->width) make_room(table, layout, rows, style->width, arena);
    if (table->title) buf_printf(out, style->bold ? "\033[1m%s\033[0m\n" : "%s\n", table->title);
    for (int from = table->keys, to; from < table->columns || from == table->keys; from = to) {
        to = block_end(table, layout, from, style->width);
        if (from > table->keys) buf_text(out, "\n");
        put_block(&(Block){table, layout, rows, from, to, style->bold}, out);
        if (to == table->columns) break;
    }
    if (rows < table->rows) buf_printf(out, "... %lld more rows\n", (long long)(table->rows - rows));
    for (int i = 0; i < table->note_count; i++) put_note(table->notes[i], style->width, out);
    arena_free(arena);
}

/* ---- TSV ---- */
static void tsv_text(Buf *out, const char *text) {
    for (; *text; text++) {
        if (*text == '\t') buf_text(out, "\\t");
        else if (*text == '\n') buf_text(out, "\\n");
        else if (*text == '\r') buf_text(out, "\\r");
        else if (*text == '\\') buf_text(out, "\\\\");
        else buf_put(out, text, 1);
    }
}

static void tsv_datum(Buf *out, const Datum *datum) {
    char number[32];
    if (datum->kind == DATUM_TEXT) tsv_text(out, datum->text);
    else if (datum->kind == DATUM_NUMBER) text_of_f64(number, datum->number), buf_text(out, number);
    else if (datum->kind != DATUM_NULL) json_datum(out, datum);
}

void table_tsv(const Table *table, Buf *out) {
    for (int c = 0; c < table->columns; c++) {
        if (c) buf_text(out, "\t");
        tsv_text(out, table->name[c]);
    }
    buf_text(out, "\n");
    for (int64_t row = 0; row < table->rows; row++) {
        for (int c = 0; c < table->columns; c++) {
            if (c) buf_text(out, "\t");
            tsv_datum(out, datum_of(table, row, c));
        }
        buf_text(out, "\n");
    }
}
