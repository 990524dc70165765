/* repl_plot.c -- :plot F, ... over: A..B, to: FILE.
 *
 * What is drawn: cells, functions and models of one number as curves, of two as heat maps; runs as the course of their
 * losses; lists and tensors of numbers as curves over their index, or the second over the first where two are given;
 * tables of numbers as heat maps; records of columns (run.curve) as a curve for each.  In the terminal, or into a file
 * (.svg, .png, .pdf) by the report's figures. */
#include "driver/repl_parts.h"

#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "experiment/experiment.h"
#include "report/terminal.h"

enum { CURVE_POINTS = 400, GRID_POINTS = 81, MOST_SERIES = 12 };

typedef struct Plot {
    Repl *repl; Arena *arena; Eval *e;
    double lo[2], hi[2];
    FigureSeries series[MOST_SERIES]; int count;
    FigureGrid grid; bool heat;
    const char *to, *x_title, *y_title;
} Plot;

static const char *label_of(Plot *p, const Ast *ast, const Value *value)
{
    if (value->kind == V_CALLABLE)
        return value_shown(p->e, value);
    const char *text = sources_text(p->repl->session->sources, p->arena, ast->span);
    return strlen(text) < 40 ? text : NULL;
}

static bool series_add(Plot *p, const char *label, const double *x, const double *y, int64_t n)
{
    if (p->count == MOST_SERIES) {
        repl_error(p->repl, "at most %d curves at once", MOST_SERIES);
        return false;
    }
    p->series[p->count] = (FigureSeries){.label = label, .color = p->count, .x = x, .y = y, .n = n};
    p->count++;
    return true;
}

/* ---- functions ---- */

static int arity_of(Plot *p, const Value *f)
{
    if (f->kind == V_CALLABLE && f->callable->what == DEF_NET)
        return -1;
    if (f->kind == V_CALLABLE)
        return callable_arity(p->e, f);
    if (f->kind != V_OBJECT)
        return 0;
    if (f->object->class == &model_class) {
        const Shape *shape = &((const Model *)f->object)->info->input.shape;
        return shape->rank == 1 ? (int)shape->dim[0] : -1;
    }
    return f->object->class->arity ? f->object->class->arity(f->object) : 0;
}

static bool sample_cell(Plot *p, const Value *cell, const double *x, int n, Span span, double *y)
{
    Tensor t = {DT_F64, shape_of(1, (int64_t)n), (void *)(uintptr_t)x};
    Value argument = {.kind = V_TENSOR, .tensor = &t}, value;
    const Tensor *out;
    if (!eval_cell_on(p->e, cell, &argument, 1, span, &value) || !value_as_tensor(p->e, &value, DT_F64, span, &out))
        return false;
    for (int i = 0; i < n; i++)
        y[i] = ((const double *)out->data)[shape_size(&out->shape) == n ? i : 0];
    return true;
}

static bool sample(Plot *p, const Value *f, const double *x, int n, Span span, double *y)
{
    bool cell = f->kind == V_CALLABLE ? f->callable->what == DEF_CELL : f->object->class->arity != NULL;
    if (cell)
        return sample_cell(p, f, x, n, span, y);
    for (int i = 0; i < n; i++) {
        Value argument = value_real(x[i]), value;
        const Tensor *out;
        bool ok = f->kind == V_OBJECT && f->object->class->call
                      ? f->object->class->call(p->e, f->object, &argument, 1, span, &value)
                      : eval_call(p->e, f, &argument, 1, span, &value);
        if (!ok || !value_as_tensor(p->e, &value, DT_F64, span, &out))
            return false;
        y[i] = shape_size(&out->shape) ? *(const double *)out->data : NAN;
    }
    return true;
}

static bool add_curve(Plot *p, const Value *f, const Ast *ast)
{
    double *x = arena_array(p->arena, double, CURVE_POINTS), *y = arena_array(p->arena, double, CURVE_POINTS);
    for (int i = 0; i < CURVE_POINTS; i++)
        x[i] = p->lo[0] + (p->hi[0] - p->lo[0]) * i / (CURVE_POINTS - 1);
    return sample(p, f, x, CURVE_POINTS, ast->span, y) && series_add(p, label_of(p, ast, f), x, y, CURVE_POINTS);
}

static bool add_surface(Plot *p, const Value *f, const Ast *ast)
{
    enum { POINTS = GRID_POINTS * GRID_POINTS };
    double *xy = arena_array(p->arena, double, 2 * POINTS), *z = arena_array(p->arena, double, POINTS);
    for (int i = 0; i < POINTS; i++) {
        xy[2 * i] = p->lo[0] + (p->hi[0] - p->lo[0]) * (i % GRID_POINTS) / (GRID_POINTS - 1);
        xy[2 * i + 1] = p->lo[1] + (p->hi[1] - p->lo[1]) * (i / GRID_POINTS) / (GRID_POINTS - 1);
    }
    p->heat = true;
    p->grid = (FigureGrid){GRID_POINTS, GRID_POINTS, p->lo[0], p->hi[0], p->lo[1], p->hi[1], z};
    return function_grid(p->e, f, xy, POINTS, ast->span, z);
}

static bool add_function(Plot *p, const Value *f, const Ast *ast)
{
    int arity = arity_of(p, f);
    if (arity == 1)
        return add_curve(p, f, ast);
    if (arity == 2)
        return add_surface(p, f, ast);
    if (arity > 2)
        repl_error(
            p->repl,
            "%s takes %d numbers: :plot draws functions of one or two; section(f, argument: %d, at: 0) fixes one",
            value_shown(p->e, f), arity, arity);
    else
        repl_error(p->repl, "%s is no function of numbers; a model of it is: fresh(net, seed: 1)",
                   value_shown(p->e, f));
    return false;
}

/* ---- runs and columns ---- */

static bool add_run(Plot *p, const Run *run)
{
    const Curve *c = &run->curve;
    double *x = arena_array(p->arena, double, c->rows + 1);
    bool any = false;
    for (int i = 0; i < c->rows; i++)
        x[i] = c->session[i] == c->session[0] || i == 0 ? c->epoch[i] : x[i - 1] + 1;
    for (int k = 0; k < c->columns; k++) {
        if (!strstr(c->column[k].name, "loss") || p->count == MOST_SERIES)
            continue;
        series_add(p, c->column[k].name, x, c->column[k].at, c->rows);
        any = true;
    }
    p->x_title = "epoch";
    if (!any)
        repl_error(p->repl, "this run has no curve");
    return any;
}

static bool add_numbers(Plot *p, const Value *value, const Ast *ast)
{
    const Tensor *t;
    if (!value_as_tensor(p->e, value, DT_F64, ast->span, &t))
        return false;
    const double *at = t->data;
    int rank = t->shape.rank;
    if (rank == 2 && t->shape.dim[0] > 1 && t->shape.dim[1] > 1) {
        int rows = (int)t->shape.dim[0], columns = (int)t->shape.dim[1];
        double *z = arena_array(p->arena, double, (int64_t)rows * columns);
        for (int i = 0; i < rows; i++)                             /* the first row on top, as it is written */
            memcpy(z + (int64_t)(rows - 1 - i) * columns, at + (int64_t)i * columns, sizeof *z * (size_t)columns);
        p->heat = true;
        p->grid = (FigureGrid){columns, rows, 1, columns, 1, rows, z};
        return true;
    }
    if (rank > 2 || shape_size(&t->shape) < 2) {
        repl_error(p->repl, "a plot needs two numbers or more in a column, or a table of them");
        return false;
    }
    int64_t n = shape_size(&t->shape);
    double *x = arena_array(p->arena, double, n);
    for (int64_t i = 0; i < n; i++)
        x[i] = (double)(i + 1);
    return series_add(p, label_of(p, ast, value), x, at, n);
}

/* A record of columns, such as run.curve: each over the epochs, or its index. */
static bool add_columns(Plot *p, const Value *record)
{
    const Tensor *x = NULL, *y;
    const Value *epoch = record_get(record, "epoch");
    if (epoch && !value_as_tensor(p->e, epoch, DT_F64, (Span){0}, &x))
        return false;
    for (int i = 0; i < record->record->len; i++) {
        const Value *column = &record->record->at[i];
        if (column == epoch || column->kind != V_TENSOR || !value_as_tensor(p->e, column, DT_F64, (Span){0}, &y) ||
            y->shape.rank != 1)
            continue;
        int64_t n = shape_size(&y->shape);
        double *index = arena_array(p->arena, double, n + 1);
        for (int64_t k = 0; k < n; k++)
            index[k] = (double)(k + 1);
        if (!series_add(p, record->record->name[i], x && shape_size(&x->shape) == n ? x->data : index, y->data, n))
            return false;
    }
    if (p->count)
        return true;
    repl_error(p->repl, "this record has no column of numbers");
    return false;
}

static bool add(Plot *p, const Value *value, const Ast *ast)
{
    if (value->kind == V_RECORD)
        return add_columns(p, value);
    if (value->kind == V_OBJECT && value->object->class == &run_class)
        return add_run(p, (const Run *)value->object);
    if (value->kind == V_OBJECT && value->object->class == &surface_class) {
        const Surface *s = (const Surface *)value->object;
        p->heat = true;
        p->grid = (FigureGrid){s->nx, s->ny, s->x[0], s->x[s->nx - 1], s->y[0], s->y[s->ny - 1], s->z};
        return true;
    }
    if (value->kind == V_CALLABLE ||
        (value->kind == V_OBJECT && (value->object->class->call || value->object->class->arity)))
        return add_function(p, value, ast);
    if (value->kind == V_LIST && value->list->len &&
        (value->list->at[0].kind == V_CALLABLE || value->list->at[0].kind == V_OBJECT)) {
        for (int i = 0; i < value->list->len; i++)
            if (!add(p, &value->list->at[i], ast))
                return false;
        return true;
    }
    if (value->kind == V_LIST || value->kind == V_TENSOR || value->kind == V_RANGE)
        return add_numbers(p, value, ast);
    repl_error(p->repl, ":plot draws cells, functions, models, runs and numbers; this is %s", value_kind_name(value));
    return false;
}

/* ---- arguments ---- */

static bool over_read(Plot *p, const Value *value)
{
    const Value *range[2] = {value, value};
    if (value->kind == V_LIST && value->list->len == 2)
        for (int i = 0; i < 2; i++)
            range[i] = &value->list->at[i];
    for (int i = 0; i < 2; i++) {
        if (range[i]->kind != V_RANGE || !(range[i]->range->lo < range[i]->range->hi)) {
            repl_error(p->repl, "over: takes a range, or a list of two: over: -2..2");
            return false;
        }
        p->lo[i] = range[i]->range->lo;
        p->hi[i] = range[i]->range->hi;
    }
    return true;
}

static bool labels_read(Plot *p, const CommandArgs *args)
{
    for (int i = 0; i < args->len; i++) {
        if (!args->label[i])
            continue;
        if (strcmp(args->label[i], "over") == 0) {
            if (!over_read(p, &args->at[i]))
                return false;
        } else if (strcmp(args->label[i], "to") == 0 && args->at[i].kind == V_TEXT) {
            p->to = args->at[i].text;
        } else {
            repl_error(p->repl,
                       strcmp(args->label[i], "to") == 0 ? "to: takes the name of a file: to: \"%s.svg\""
                                                         : ":plot has no argument %s; it has over: and to:",
                       args->label[i]);
            return false;
        }
    }
    return true;
}

/* The second column over the first: `:plot xs, ys`. */
static void pair(Plot *p, int columns)
{
    if (columns != 2 || p->count != 2 || p->heat || p->series[0].n != p->series[1].n)
        return;
    p->x_title = p->series[0].label;
    p->series[0] = (FigureSeries){
        .label = p->series[1].label, .x = p->series[0].y, .y = p->series[1].y, .n = p->series[1].n};
    p->count = 1;
}

/* ---- files ---- */

static void folder_remove(const char *path)
{
    DIR *dir = opendir(path);
    struct dirent *entry;
    while (dir && (entry = readdir(dir))) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        Arena *scratch = arena_new();
        const char *inner = path_join(scratch, path, entry->d_name);
        if (unlink(inner) != 0)
            folder_remove(inner);
        arena_free(scratch);
    }
    if (dir)
        closedir(dir);
    rmdir(path);
}

/* Drawn in a folder beside the file, then renamed. */
static bool write_file(Plot *p, const FigureSpec *spec)
{
    const char *dot = strrchr(p->to, '.'), *slash = strrchr(p->to, '/');
    const char *kind = dot ? dot + 1 : "";
    bool svg = strcmp(kind, "svg") == 0, png = strcmp(kind, "png") == 0, pdf = strcmp(kind, "pdf") == 0;
    if (!svg && !png && !pdf) {
        repl_error(p->repl, "a plot is written as .svg, .png or .pdf: to: \"plot.svg\"");
        return false;
    }
    char *folder = arena_printf(p->arena, "%.*s.nin-plot-XXXXXX", slash ? (int)(slash + 1 - p->to) : 0, p->to),
         *error = NULL;
    FigureTools tools = {.pdf = pdf, .sync = FILE_NO_SYNC};
    FigureResult result = {0};
    if (!mkdtemp(folder)) {
        repl_error(p->repl, "%s cannot be written", p->to);
        return false;
    }
    bool ok = figure_write(p->arena, folder, spec, &tools, &result, &error);
    const char *drawn = svg ? result.svg : png ? result.png : result.pdf;
    if (ok && drawn && rename(drawn, p->to) == 0)
        repl_say(p->repl, "drawn in %s\n", p->to);
    else if (ok && result.notes.len)
        repl_error(p->repl, "%s", result.notes.at[0]);
    else
        repl_error(p->repl, "%s", error ? error : "the plot could not be written");
    folder_remove(folder);
    return !p->repl->failed;
}

static bool to_file(Plot *p)
{
    FigureMark mark = {.kind = p->heat ? MARK_HEAT : MARK_LINES,
                       .series = p->series,
                       .count = p->heat ? 0 : p->count,
                       .grid = p->heat ? &p->grid : NULL};
    FigurePanel panel = {.marks = &mark, .count = 1};
    FigureSpec spec = {.name = "plot", .x = {.title = p->x_title}, .y = {.title = p->y_title}, .rows = 1, .columns = 1,
                       .panels = &panel, .panel_count = 1};
    return write_file(p, &spec);
}

static void to_terminal(Plot *p)
{
    const ReplOptions *o = &p->repl->options;
    int height = o->height - 3 < 24 ? o->height - 3 : 24;
    TerminalStyle style = {.width = o->width < 100 ? o->width : 100,
                           .height = height,
                           .color = o->color,
                           .pixels = o->graphics == GRAPHICS_SIXEL   ? PIXELS_SIXEL
                                     : o->graphics == GRAPHICS_KITTY ? PIXELS_KITTY
                                                                     : PIXELS_NONE};
    Buf text = {0};
    if (p->heat)
        terminal_heat(&p->grid, &style, &text);
    else
        terminal_curves(p->series, p->count, &style, &text);
    repl_put(p->repl, &text);
    buf_free(&text);
}

static bool draw(Repl *repl, CommandArgs *args)
{
    Plot p = {.repl = repl, .arena = repl->prompt->open->arena, .e = &args->e, .lo = {-3, -3}, .hi = {3, 3}};
    int columns = 0, others = 0;
    if (!labels_read(&p, args))
        return false;
    for (int i = 0; i < args->len; i++) {
        if (args->label[i])
            continue;
        int before = p.count;
        if (!add(&p, &args->at[i], args->ast[i]))
            return false;
        bool column = args->at[i].kind == V_TENSOR || (args->at[i].kind == V_LIST && p.count == before + 1);
        *(column ? &columns : &others) += 1;
    }
    if (!p.count && !p.heat) {
        repl_error(repl, ":plot takes what is to be drawn: :plot relu, over: -2..2");
        return false;
    }
    if (p.heat && columns + others > 1) {
        repl_error(repl, "a heat map is drawn alone");
        return false;
    }
    pair(&p, others ? 0 : columns);
    if (p.to)
        return to_file(&p);
    to_terminal(&p);
    return true;
}

bool command_plot(Repl *repl, const char *rest)
{
    CommandArgs args;
    bool ok = command_open(repl, "plot", rest, &args) && draw(repl, &args);
    return command_close(repl, ok);
}
