/* format_lines.c -- where lines end, and what stands in which column.
 *
 * A stretch is what lies between two hard breaks.  If it fits into one line it is one; else the author's breaks in it
 * stay, and a line that is still too long gets one more: at the outermost place and, of several, the last one that
 * fits. One-line blocks and lists of statements come apart first.  This repeats until nothing is too long that could be
 * shorter, so the result laid out again is the same. */
#include <stdlib.h>

#include "syntax/format_parts.h"

/* An open bracket while lines are laid: where its line began, the column behind it, where a statement inside goes on.
 */
typedef struct Frame { int open, indent, column, more; } Frame;
typedef struct Layout {
    Pieces *pieces;
    Frame frame[TOKEN_NESTING + 2];
    int depth;                          /* frame[0] is the file */
    int line, column, first;            /* the current line, its end, its first piece */
    bool settled;                       /* breaks are no longer removed; pads count */
} Layout;

static int base_of(const Frame *frame)
{
    return frame->open < 0 ? 0 : frame->indent + FORMAT_INDENT;
}

/* The column at which a line that begins with piece i begins. */
static int start_of(Layout *l, int i)
{
    const Piece *at = l->pieces->at, *p = &at[i];
    Frame *frame = &l->frame[l->depth];
    if (piece_closes(p))
        return frame->indent;
    if (frame->open >= 0 && !at[frame->open].tall)
        return frame->column;
    int base = base_of(frame);
    if (pieces_begins(l->pieces, i)) {
        frame->more = 0;
        return base;
    }
    if (i > 0 && at[i - 1].body)
        return frame->more = base + FORMAT_INDENT;
    return frame->more ? frame->more : base + FORMAT_INDENT;
}

/* Columns from piece i to the next hard break, if there were no soft ones; trailing comments do not count, nor what is
 * beyond the limit anyway. */
static int flat_width(const Pieces *pieces, int i, int *end)
{
    int width = pieces->at[i].width, k = i + 1;
    for (; k < pieces->len && pieces->at[k].brk != BREAK_HARD && width <= FORMAT_COLUMNS; k++)
        if (!piece_trails(&pieces->at[k]))
            width += pieces_space(pieces, k) + pieces->at[k].width + (pieces->at[k].sep ? 1 : 0);
    *end = k;
    return width;
}

static void line_start(Layout *l, int i)
{
    Piece *p = &l->pieces->at[i];
    l->line += i > 0;
    l->first = i;
    l->column = start_of(l, i);
    if (p->brk != BREAK_HARD || l->settled)
        return;
    int end, width = flat_width(l->pieces, i, &end);
    for (int k = i + 1; k < end && l->column + width <= FORMAT_COLUMNS; k++)
        if (l->pieces->at[k].brk == BREAK_SOFT)
            l->pieces->at[k].brk = BREAK_NONE;
}

/* Keeps the frames, and where the statement around goes on if a line ends behind piece i. */
static void frames_step(Layout *l, int i)
{
    const Piece *p = &l->pieces->at[i];
    Frame *frame = &l->frame[l->depth];
    if (piece_closes(p)) {
        l->depth--;
    } else if (piece_opens(p)) {
        bool whole = p->block || (i > 0 && p[-1].body);         /* of a statement: as deep as that */
        bool statement = whole && (frame->open < 0 || l->pieces->at[frame->open].tall);
        l->frame[++l->depth] = (Frame){i, statement ? base_of(frame) : l->pieces->at[l->first].at, l->column, 0};
    } else if (p->kind == T_ASSIGN || (p->kind == T_COLON && frame->open >= 0 && !l->pieces->at[frame->open].block)) {
        frame->more = l->column + 1;
    } else if (pieces_begins(l->pieces, i) && (p->kind == T_FOR || p->kind == T_IF || p->kind == T_USE)) {
        frame->more = l->column + 1;
    }
}

static void lay_piece(Layout *l, int i)
{
    Piece *p = &l->pieces->at[i];
    if (i == 0 || p->brk != BREAK_NONE)
        line_start(l, i);
    else
        l->column += pieces_space(l->pieces, i) + (p->sep && !piece_trails(p)) + (l->settled ? p->pad : 0);
    p->line = l->line;
    p->at = l->column;
    l->column += p->width;
    frames_step(l, i);
}

/* ---- lines that are too long ---- */
static int rank_of_operator(int kind)
{
    switch (kind) {
    case T_OR: return 1;
    case T_AND: return 2;
    case T_EQ: case T_NE: case T_LT: case T_LE: case T_GT: case T_GE: return 3;
    case T_PLUS: case T_MINUS: return 4;
    case T_STAR: case T_SLASH: case T_AT: return 5;
    default: return -1;
    }
}

enum { RANK_TYPE = 4, RANK_NARROW = 6, RANK_RECORD = 7, RANK_DEPTH = 8, NARROW = 84 };

/* How good a place before piece k is for a break, at a depth below the line's start; lower is better, -1: none.  Behind
 * the arrow of a definition, and in brackets that begin far to the right, it is worse; a record comes apart whole. */
static int rank_of(const Pieces *pieces, int k, int depth, bool type)
{
    const Piece *p = &pieces->at[k], *before = p - 1, *around = p->inside >= 0 ? &pieces->at[p->inside] : NULL;
    if (piece_closes(p) || p->kind == PIECE_COMMENT || before->prefix)
        return -1;
    if (before->kind == T_COMMA && around && piece_is_record(around))
        return depth * RANK_DEPTH + RANK_RECORD;
    int rank = before->body || before->kind == T_COMMA ? 0 : rank_of_operator(before->kind);
    bool narrow = around && !around->tall && around->at > NARROW;
    return rank < 0 ? -1 : depth * RANK_DEPTH + (narrow ? RANK_NARROW : type && rank < RANK_TYPE ? RANK_TYPE : rank);
}

static int best_break(const Pieces *pieces, int lo, int hi)
{
    int best = -1, best_rank = 0, depth = 0;
    bool type = false;
    for (int k = lo; k < hi && (k == lo || pieces->at[k - 1].at <= FORMAT_COLUMNS); k++) {
        const Piece *p = &pieces->at[k], *before = p - 1;
        int rank = k > lo ? rank_of(pieces, k, depth, type) : -1;
        bool better = best < 0 || rank < best_rank || (rank == best_rank && !pieces->at[best - 1].body);
        if (rank >= 0 && before->at + before->width <= FORMAT_COLUMNS && better) {
            best = k;
            best_rank = rank;
        }
        depth += piece_opens(p) - piece_closes(p);
        type = (type || p->kind == T_ARROW) && !p->body;
    }
    return best;
}

/* A one-line block that the line opens at its own level; -1: none. */
static int flat_block(const Pieces *pieces, int lo, int hi)
{
    for (int k = lo; k < hi; k++)
        if (pieces->at[k].block && piece_opens(&pieces->at[k]) && !pieces->at[k].tall && pieces->at[k].match > k + 1 &&
            pieces->at[k].inside == pieces->at[lo].inside)
            return k;
    return -1;
}

static bool statements_part(Pieces *pieces, int lo, int hi)
{
    bool parted = false;
    for (int k = lo + 1; k < hi; k++)
        if (pieces->at[k].sep && !piece_trails(&pieces->at[k]) && pieces->at[k].inside == pieces->at[lo].inside) {
            pieces->at[k].brk = BREAK_HARD;
            parted = true;
        }
    return parted;
}

/* The bracket to be made tall where no break helps: the one around the line, else the first that it opens. */
static int bracket_to_raise(const Pieces *pieces, int lo, int hi)
{
    int around = pieces->at[lo].inside;
    if (around >= 0 && !pieces->at[around].tall && around < lo - 1)
        return around;
    for (int k = lo; k < hi; k++)
        if (piece_opens(&pieces->at[k]) && !pieces->at[k].tall && pieces->at[k].match > k + 1)
            return k;
    return -1;
}

/* The first piece of a body that has room on a line of its own; -1: none. */
static int body_of(const Pieces *pieces, int lo, int hi)
{
    for (int k = lo + 1; k < hi; k++)
        if (pieces->at[k - 1].body) {
            const Piece *last = &pieces->at[hi - 1 - piece_trails(&pieces->at[hi - 1])];
            bool fits = pieces->at[lo].at + FORMAT_INDENT + last->at + last->width - pieces->at[k].at <= FORMAT_COLUMNS;
            return fits && pieces->at[k - 1].at < FORMAT_COLUMNS ? k : -1;
        }
    return -1;
}

static void break_at(Pieces *pieces, int at)
{
    int inside = pieces->at[at].inside;
    bool listed = inside >= 0 && pieces->at[inside].tall && !pieces->at[inside].block;
    bool tall = listed && pieces->at[at - 1].kind == T_COMMA;
    pieces->at[at].brk = tall ? BREAK_HARD : BREAK_SOFT;
    pieces->at[at].added = true;
}

/* What shortening changes: the line; the stretch, which has a hard break more; what begins with pieces->changed. */
typedef enum Change { CHANGE_NONE, CHANGE_LINE, CHANGE_STRETCH, CHANGE_TALL } Change;

/* Makes the line from lo to hi shorter. */
static Change shorten(Pieces *pieces, int lo, int hi)
{
    int block = flat_block(pieces, lo, hi), at, bracket, body = body_of(pieces, lo, hi);
    if (statements_part(pieces, lo, hi))
        return CHANGE_STRETCH;
    if (body >= 0 || block < 0) {
        at = body >= 0 ? body : best_break(pieces, lo, hi);
        int inside = at >= 0 ? pieces->at[at].inside : -1;
        bool flat = inside >= 0 && piece_is_record(&pieces->at[inside]) && !pieces->at[inside].tall;
        bool record = flat && pieces->at[at - 1].kind == T_COMMA;
        if (at >= 0 && !record) {
            break_at(pieces, at);
            return pieces->at[at].brk == BREAK_HARD ? CHANGE_STRETCH : CHANGE_LINE;
        }
        bracket = record ? inside : bracket_to_raise(pieces, lo, hi);
        if (bracket < 0)
            return CHANGE_NONE;
    } else {
        bracket = block;
    }
    pieces->changed = pieces->len;
    pieces_make_tall(pieces, bracket);
    return CHANGE_TALL;
}

/* The end of the line that ends before hi, without a comment behind it. */
static int line_end(const Pieces *pieces, int lo, int hi)
{
    const Piece *last = &pieces->at[hi - 1];
    if (hi - 1 > lo && piece_trails(last))
        last--;
    return last->kind == PIECE_COMMENT ? 0 : last->at + last->width;
}

typedef struct Mark { Layout layout; int first; } Mark;

/* Lays one item of the file, from lo to hi.  A line that is far too long is not laid to its end before it is broken. */
static void lay_item(Layout *l, int lo, int hi)
{
    enum { FAR = 4 * FORMAT_COLUMNS };
    Mark item = {*l, lo}, stretch = item, line = item;
    bool hopeless = false;
    for (int i = lo; i < hi;) {
        if (i == lo || l->pieces->at[i].brk != BREAK_NONE) {
            line = (Mark){*l, i};
            hopeless = l->settled;
        }
        if (l->pieces->at[i].brk == BREAK_HARD)
            stretch = line;
        lay_piece(l, i++);
        bool ends = i == hi || l->pieces->at[i].brk != BREAK_NONE || l->column > FAR;
        if (!ends || hopeless || line_end(l->pieces, line.first, i) <= FORMAT_COLUMNS)
            continue;
        Change change = shorten(l->pieces, line.first, i);
        const Mark *back = change == CHANGE_LINE ? &line : &stretch;
        if (change == CHANGE_TALL && l->pieces->changed < stretch.first)
            back = &item;
        hopeless = change == CHANGE_NONE;
        if (!hopeless) {
            *l = back->layout;
            i = back->first;
        }
    }
}

static void lay(Pieces *pieces, bool settled)
{
    Layout layout = {.pieces = pieces, .settled = settled};
    layout.frame[0].open = -1;
    for (int lo = 0, hi; lo < pieces->len; lo = hi) {
        for (hi = lo + 1; hi < pieces->len && !(pieces->at[hi].inside < 0 && pieces->at[hi].brk == BREAK_HARD); hi++)
            ;
        lay_item(&layout, lo, hi);
    }
}

void lines_lay(Pieces *pieces)
{
    lay(pieces, false);
}

/* ---- columns ---- */
typedef enum Column { COLUMN_ARROW, COLUMN_ASSIGN, COLUMN_LABEL, COLUMNS } Column;
typedef struct Row { int first, marker, line, inside; bool joins; } Row;         /* joins: the row before it */
typedef VEC(Row) Rows;

/* The piece of a row that can be moved: "->" or "=" of a statement in one line, what follows a label. */
static int marker_of(const Pieces *pieces, int first, Column column)
{
    const Piece *at = pieces->at, *p = &at[first];
    bool list = p->inside >= 0 && !at[p->inside].block;
    if (column == COLUMN_LABEL)
        return list && first + 2 < pieces->len && at[first + 1].kind == T_COLON && at[first + 2].line == p->line &&
               at[first + 2].kind != PIECE_COMMENT ? first + 2 : -1;
    if (list || p->kind == T_FOR || p->kind == T_IF || p->kind == PIECE_COMMENT)
        return -1;
    int marker = -1;
    for (int k = first; k < pieces->len && at[k].line == p->line; k++) {
        if (at[k].inside != p->inside || piece_trails(&at[k]))
            continue;
        if ((k > first && at[k].sep) || (at[k].block && marker < 0))
            return -1;                                         /* several statements; no marker in the head */
        if (marker < 0 && (column == COLUMN_ARROW ? at[k].kind == T_ARROW : at[k].kind == T_ASSIGN))
            marker = k;
    }
    return marker;
}

/* Those of one bracket together. */
static int row_compare(const void *a, const void *b)
{
    const Row *x = a, *y = b;
    int around = (x->inside > y->inside) - (x->inside < y->inside);
    return around ? around : (x->first > y->first) - (x->first < y->first);
}

/* Definitions and bindings have columns of their own. */
static bool same_sort(const Pieces *pieces, const Row *a, const Row *b)
{
    return a->inside == b->inside && pieces->at[a->marker].body == pieces->at[b->marker].body;
}

/* Does a row go on where the one before ended?  An element of a list may have several lines. */
static bool rows_join(const Pieces *pieces, const Row *before, const Row *row, bool listed)
{
    const Piece *at = pieces->at;
    for (int k = before->first + 1; k < row->first && listed; k++)
        if (at[k].inside == row->inside && at[k].line != at[k - 1].line && at[k - 1].kind == T_COMMA &&
            !piece_closes(&at[k]))
            return false;
    bool next =
        row->line == (listed ? at[row->first - 1].line : before->line) + 1 && at[row->first - 1].line >= before->line;
    return next && same_sort(pieces, before, row) && !at[row->first].blank &&
           at[row->first].at == at[before->first].at &&
           (at[row->first - 1].kind != PIECE_COMMENT || piece_trails(&at[row->first - 1]));
}

static void run_align(Pieces *pieces, const Row *row, int n)
{
    bool asked = false;
    int target = 0;
    for (int i = 0; i < n; i++) {
        const Piece *p = &pieces->at[row[i].marker];
        asked |= p->gap > 1;
        target = p->at > target ? p->at : target;
    }
    for (int i = 0; i < n && asked && n > 1; i++)
        pieces->at[row[i].marker].pad = target - pieces->at[row[i].marker].at;
}

static bool run_fits(const Pieces *pieces, const Row *row, int n)
{
    int last = row[n - 1].line;
    for (int k = row[0].first; k < pieces->len && pieces->at[k].line <= last; k++)
        if (!piece_trails(&pieces->at[k]) && pieces->at[k].at + pieces->at[k].width > FORMAT_COLUMNS)
            return false;
    return true;
}

static void column_align(Pieces *pieces, Column column)
{
    Rows rows = {0};
    for (int i = 0; i < pieces->len; i++) {
        const Piece *p = &pieces->at[i];
        bool starts = i == 0 || p->line != pieces->at[i - 1].line || (column == COLUMN_LABEL && i - 1 == p->inside);
        int marker = starts ? marker_of(pieces, i, column) : -1;
        if (marker >= 0)
            vec_push(pieces->arena, &rows, ((Row){i, marker, p->line, p->inside, false}));
    }
    if (rows.len)
        qsort(rows.at, (size_t)rows.len, sizeof(Row), row_compare);
    for (int i = 1; i < rows.len; i++)
        rows.at[i].joins = rows_join(pieces, &rows.at[i - 1], &rows.at[i], column == COLUMN_LABEL);
    for (int pass = 0; pass < 2; pass++, lay(pieces, true))
        for (int i = 1, from = 0; i <= rows.len; i++) {
            if (i < rows.len && rows.at[i].joins)
                continue;
            if (pass == 0)
                run_align(pieces, &rows.at[from], i - from);
            else if (!run_fits(pieces, &rows.at[from], i - from))
                for (int k = from; k < i; k++)
                    pieces->at[rows.at[k].marker].pad = 0;
            from = i;
        }
}

/* Comments behind lines keep their column if there is room; those that stood below each other go on doing so. */
static void comments_align(Pieces *pieces)
{
    for (int i = 0, next; i < pieces->len; i = next) {
        int target = 0, last = pieces->at[i].line, kept = pieces->at[i].column;
        next = i + 1;
        if (!piece_trails(&pieces->at[i]))
            continue;
        for (int k = i; k < pieces->len && pieces->at[k].line <= last + 1 && !(pieces->at[k].blank && k > i); k++)
            if (piece_trails(&pieces->at[k]) && pieces->at[k].column == kept) {
                last = pieces->at[k].line;
                target = pieces->at[k].at > target ? pieces->at[k].at : target;
                next = k + 1;
            }
        target = kept > target ? kept : target;
        for (int k = i; k < next; k++)
            if (piece_trails(&pieces->at[k]))
                pieces->at[k].at = target;
    }
}

void lines_align(Pieces *pieces)
{
    for (Column column = 0; column < COLUMNS; column++)
        column_align(pieces, column);
    comments_align(pieces);
}
