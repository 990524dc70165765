/* figure.c -- figure(name, marks ..., rows:, columns:, x:, y:, where:, of:): from marks and rows to panels to files. */
#include "experiment/mark.h"

#include <math.h>
#include <stdlib.h>

enum { ARG_NAME, ARG_MARKS, ARG_ROWS, ARG_COLUMNS, ARG_X, ARG_Y, ARG_WHERE, ARG_OF, MAX_MARKS = 24 };

typedef struct Drawing {
    Eval *e; Experiment *x; const BuiltinCall *call; const char *name;
    Mark *mark[MAX_MARKS]; int marks;
    Compiled *where, *by[2]; Name by_name[2]; bool by_given[2], by_marks[2];      /* 0: rows, 1: columns */
    VEC(Value) labels[2];                                                          /* of rows and columns of panels */
    VEC(Value) colors;                                                             /* in order of first appearance */
    VEC(FigurePanel) panels;
    VEC(const char *) category;
    bool downwards;
    int fewest, most; const char *x_name, *y_name;                                 /* take_facts */
} Drawing;

static bool drawing_marks(Drawing *d) {
    const ValueList *list = d->call->args[ARG_MARKS].list;
    for (int i = 0; i < list->len; i++) {
        const Value *mark = &list->at[i];
        if (mark->kind == V_ERROR) return false;
        if (mark->kind != V_OBJECT || mark->object->class != &mark_class || d->marks == MAX_MARKS) {
            diag_add(d->e->diags, D_E0314, d->call->span,
                     "a figure is made of marks (lines, points, band, ...); this is %s", value_kind_name(mark));
            return false;
        }
        d->mark[d->marks++] = (Mark *)mark->object;
    }
    if (!d->marks) diag_add(d->e->diags, D_E0805, d->call->span, "figure \"%s\" has no marks", d->name);
    return d->marks > 0;
}

/* Bars by themselves stand side by side, whatever number each is for. */
static void drawing_labels(Drawing *d) {
    const Value *axis = &d->call->args[ARG_X];
    const Axis *given = axis->kind == V_OBJECT && axis->object->class == &axis_class ? (const Axis *)axis->object
                                                                                     : NULL;
    bool bars = !given || !(given->log || given->bounded);
    for (int i = 0; i < d->marks; i++)
        bars &= d->mark[i]->kind == MARK_BARS || (d->mark[i]->kind == MARK_RULE && !d->mark[i]->x);
    for (int i = 0; bars && i < d->marks; i++) d->mark[i]->by_label = true;
}

static void drawing_by(Drawing *d, int which) {
    const Value *by = &d->call->args[which ? ARG_COLUMNS : ARG_ROWS];
    if (!formula_given(by)) return;
    const Ast *ast = by->formula->ast;
    d->by_marks[which] = ast->kind == AST_NAME && strcmp(ast->name, "marks") == 0;
    d->by_given[which] = !d->by_marks[which] && formula_list(d->e, by, &d->by[which], &d->by_name[which], 1) == 1;
}

/* The points a mark looks at: marks of different records may lie over each other. */
static bool mark_points(Drawing *d, const Mark *mark, Group *out) {
    Compiled *own[24];
    int n = 0;
    Compiled *parts[] = {mark->x, mark->y, mark->z, mark->over, mark->color, d->where};
    for (int k = 0; k < COUNT(parts); k++)
        if (parts[k]) own[n++] = parts[k];
    for (int k = 0; k < mark->groups; k++) own[n++] = mark->group[k];
    for (int i = 0; i < 2; i++)
        if (d->by_given[i]) own[n++] = d->by[i];
    *out = (Group){0};
    const Value *of = &d->call->args[ARG_OF];
    bool table = of->kind == V_OBJECT && of->object->class == &table_class;
    if (!table && !d->x->sets.len) return true;                          /* nothing recorded: functions by themselves */
    RowSet *rows = table ? ((const TableObject *)of->object)->set : formula_rows(d->e, d->x, own, n, mark->span);
    return rows && group_all(d->e, rows, own, n, d->where, out);
}

static int label_number(Drawing *d, int which, const Value *value) {
    for (int i = 0; i < d->labels[which].len; i++)
        if (value_equal(&d->labels[which].at[i], value)) return i;
    vec_push(d->e->arena, &d->labels[which], *value);
    return d->labels[which].len - 1;
}

static bool is_surface(const Mark *mark) {
    return mark->kind == MARK_HEAT || mark->kind == MARK_CONTOUR || mark->kind == MARK_IMAGE;
}

/* In the legend: what a mark without color: shows, where it is not the only one of its panel. */
static const char *own_label(const Drawing *d, int mark) {
    int others = 0;
    for (int i = 0; i < d->marks; i++) others += i != mark && !is_surface(d->mark[i]) && d->mark[i]->kind != MARK_RULE;
    const Mark *m = d->mark[mark];
    if (!others || d->by_marks[0] || d->by_marks[1]) return NULL;
    return m->y_text ? m->y_text : m->z_text ? m->z_text : m->x_text;
}

/* Colours of marks without color:, one each; over a surface not blue, which is among its colours. */
static int own_color(const Drawing *d, int mark) {
    int color = 0;
    for (int i = 0; i < d->marks; i++) {
        MarkKind kind = d->mark[i]->kind;
        if (kind == MARK_HEAT) color++;
        else if (i < mark && kind != MARK_CONTOUR && kind != MARK_RULE && kind != MARK_IMAGE) color++;
    }
    return color;
}

static int color_number(Drawing *d, const Series *s, int mark) {
    if (!s->colored) return d->colors.len + own_color(d, mark);
    for (int i = 0; i < d->colors.len; i++)
        if (value_equal(&d->colors.at[i], &s->color_key)) return i;
    vec_push(d->e->arena, &d->colors, s->color_key);
    return d->colors.len - 1;
}

static LineStyle line_style(const Mark *mark) {
    return strcmp(mark->style, "dashed") == 0   ? STYLE_DASHED
           : strcmp(mark->style, "dotted") == 0 ? STYLE_DOTTED
                                                : STYLE_SOLID;
}

/* The places of a series' categories among those of the figure, in order of first appearance. */
static void take_categories(Drawing *d, const Series *s) {
    for (int i = 0; s->text && i < s->n; i++) {
        int at = 0;
        while (at < d->category.len && strcmp(d->category.at[at], s->text[i]) != 0) at++;
        if (at == d->category.len) vec_push(d->e->arena, &d->category, s->text[i]);
        s->x[i] = at;
    }
}

/* Facts for titles: how many values a mean is of, what the axes of a surface are. */
static void take_facts(Drawing *d, const Series *s) {
    if (s->most && (!d->most || s->fewest < d->fewest)) d->fewest = s->fewest;
    if (s->most > d->most) d->most = s->most;
    d->downwards |= s->downwards;
    if (!d->x_name) d->x_name = s->x_name, d->y_name = s->y_name;
}

/* The figure's marks for a mark's series: grids and rules one by one, the others together. */
static void figure_marks(Drawing *d, int number, const SeriesList *list, FigureMark *out, int *n) {
    const Mark *mark = d->mark[number];
    Arena *arena = d->e->arena;
    FigureSeries *series = arena_array(arena, FigureSeries, list->at.len + 1);
    int count = 0;
    for (int i = 0; i < list->at.len; i++) {
        const Series *s = &list->at.at[i];
        take_facts(d, s);
        if (is_surface(mark)) {
            FigureGrid *grid = arena_new_of(arena, FigureGrid);
            *grid = (FigureGrid){s->nx, s->ny, s->x[0], s->x[s->nx - 1], s->y[0], s->y[s->ny - 1], s->z, s->downwards,
                                 s->rgb};
            if (mark->kind == MARK_HEAT && mark->levels)                  /* and lines over its colours */
                out[(*n)++] = (FigureMark){.kind = MARK_HEAT, .grid = grid};
            MarkKind kind = mark->levels ? MARK_CONTOUR : mark->kind;
            out[(*n)++] = (FigureMark){.kind = kind, .style = line_style(mark), .grid = grid, .levels = mark->level,
                                       .level_count = mark->levels, .faint = mark->groups > 0};
        } else if (mark->kind == MARK_RULE) {
            for (int k = 0; k < s->n && k < 8; k++)
                out[(*n)++] = (FigureMark){.kind = MARK_RULE,
                                           .style = line_style(mark),
                                           .at = s->x ? s->x[k] : s->y[k],
                                           .vertical = s->x != NULL};
        } else {
            take_categories(d, s);
            series[count++] = (FigureSeries){s->colored ? s->label : own_label(d, number), color_number(d, s, number),
                                             line_style(mark), s->x, s->y, s->lo, s->hi, s->n};
        }
    }
    if (count)
        out[(*n)++] = (FigureMark){
            .kind = mark->kind, .style = line_style(mark), .series = series, .count = count, .bins = mark->bins};
}

enum { MOST_FIGURE_MARKS = 512 };
static FigurePanel *panel_at(Drawing *d, int row, int column) {
    for (int i = 0; i < d->panels.len; i++)
        if (d->panels.at[i].row == row && d->panels.at[i].column == column) return &d->panels.at[i];
    FigurePanel panel = {
        .row = row, .column = column, .marks = arena_array(d->e->arena, FigureMark, MOST_FIGURE_MARKS)};
    vec_push(d->e->arena, &d->panels, panel);
    return &d->panels.at[d->panels.len - 1];
}

/* Whether anything would be seen: a column that holds no number in these rows asks for no panel of its own. */
static bool any_seen(const SeriesList *list) {
    for (int i = 0; i < list->at.len; i++) {
        const Series *s = &list->at.at[i];
        if (s->z || s->rgb || !s->y) return true;
        for (int k = 0; k < s->n; k++)
            if (isfinite(s->y[k])) return true;
    }
    return false;
}

static bool draw_mark(Drawing *d, int number) {
    Group all, *groups;
    Compiled *by[2];
    Name names[2];
    int n = 0, count;
    if (!mark_points(d, d->mark[number], &all)) return false;
    for (int i = 0; i < 2; i++)
        if (d->by_given[i]) { by[n] = d->by[i]; names[n++] = d->by_name[i]; }
    if (!group_split(d->e, &all, by, names, n, &groups, &count)) return false;
    for (int g = 0; g < count; g++) {
        SeriesList list = {0};
        int at[2] = {0, 0}, k = 0;
        if (!mark_series(d->e, d->mark[number], &groups[g], &list)) return false;
        if (n && !any_seen(&list)) continue;
        for (int i = 0; i < 2; i++) {
            if (d->by_given[i]) at[i] = label_number(d, i, &groups[g].value[k++]);
            if (d->by_marks[i]) at[i] = number;
        }
        FigurePanel *panel = panel_at(d, at[0], at[1]);
        if (panel->count + 2 * list.at.len + 8 > MOST_FIGURE_MARKS) {
            diag_add(d->e->diags, D_E0414, d->mark[number]->span, "more than %d things in one panel",
                     MOST_FIGURE_MARKS);
            return false;
        }
        figure_marks(d, number, &list, (FigureMark *)(uintptr_t)panel->marks, &panel->count);
    }
    return true;
}

/* What a mark that has a panel of its own shows. */
static const char **mark_titles(Drawing *d) {
    const char **titles = arena_array(d->e->arena, const char *, d->marks + 1);
    for (int i = 0; i < d->marks; i++) {
        const Mark *m = d->mark[i];
        titles[i] = m->z_text ? m->z_text : m->y_text ? m->y_text : m->x_text ? m->x_text : "";
    }
    return titles;
}

static const char **panel_titles(Drawing *d, int which) {
    if (d->by_marks[which]) return mark_titles(d);
    if (!d->labels[which].len) return NULL;
    const char **titles = arena_array(d->e->arena, const char *, d->labels[which].len + 1);
    for (int i = 0; i < d->labels[which].len; i++) {
        Buf text = {0};
        const Value *label = &d->labels[which].at[i];
        if (label->kind == V_INT || label->kind == V_REAL || label->kind == V_BOOL)
            buf_printf(&text, "%s = ", d->by_name[which]);
        key_label(label, &text);
        buf_put(&text, "", 1);
        titles[i] = buf_done(&text, d->e->arena);
    }
    return titles;
}

static FigureAxis figure_axis(const Value *given, const char *title) {
    FigureAxis axis = {.title = title};
    if (given->kind != V_OBJECT || given->object->class != &axis_class) return axis;
    const Axis *a = (const Axis *)given->object;
    return (FigureAxis){
        .title = a->title ? a->title : title, .log = a->log, .ranged = a->bounded, .lo = a->lo, .hi = a->hi};
}

/* "y (mean +- sd, n = 12)" */
static const char *spread_title(const Drawing *d, const Mark *m) {
    const Value *f = m->spread;
    const char *name = f && f->kind == V_CALLABLE ? f->callable->def->name : "spread";
    Buf text = {0};
    buf_printf(&text, f ? "%s (mean \xc2\xb1 %s, n = " : "%s (mean, n = ", m->y_text, name);
    buf_printf(&text, d->fewest == d->most ? "%d)" : "%d\xe2\x80\x93%d)", d->fewest, d->most);
    return buf_done(&text, d->e->arena);
}

static const char *mark_title(const Drawing *d, const Mark *m, bool x) {
    if (is_surface(m)) return x ? d->x_name : d->y_name;
    if (x && m->x_text) return m->x_text;
    if (x || m->kind == MARK_RULE) return NULL;
    if (m->kind == MARK_HIST) return "count";
    if (m->kind == MARK_CDF) return "share";
    bool spread = d->most > 1 && (m->kind == MARK_BAND || m->kind == MARK_BARS) && !formula_aggregates(m->y);
    return spread ? spread_title(d, m) : m->y_text ? m->y_text : m->z_text;
}

/* The first surface says what the axes are, else the first mark that can. */
static const char *axis_title(const Drawing *d, bool x) {
    const char *title = x ? d->x_name : d->y_name;
    for (int i = 0; !title && i < d->marks; i++) title = mark_title(d, d->mark[i], x);
    for (int i = 0; title && !x && !d->y_name && i < d->marks;
         i++) { /* different things: the legend tells them apart */
        const char *other = d->mark[i]->kind == MARK_RULE ? NULL : mark_title(d, d->mark[i], x);
        if (other && !d->mark[i]->color && strcmp(other, title) != 0) return NULL;
    }
    return title;
}

/* Marks side by side share their scales if all of them are surfaces. */
static bool marks_differ(const Drawing *d) {
    bool differ = false;
    for (int i = 0; i < d->marks; i++) differ |= !is_surface(d->mark[i]);
    return differ && (d->by_marks[0] || d->by_marks[1]);
}

/* Each panel has the axes of its mark. */
static void panel_axes(Drawing *d, FigureSpec *spec) {
    for (int i = 0; i < d->panels.len; i++) {
        FigurePanel *panel = &d->panels.at[i];
        const Mark *mark = d->mark[d->by_marks[0] ? panel->row : panel->column];
        panel->x_title = mark_title(d, mark, true);
        panel->y_title = mark_title(d, mark, false);
    }
    spec->x.title = spec->y.title = NULL;
}

static bool drawing_write(Drawing *d) {
    const Value *args = d->call->args;
    FigureSpec spec = {.name = d->name, .x = figure_axis(&args[ARG_X], axis_title(d, true)),
                       .y = figure_axis(&args[ARG_Y], axis_title(d, false)), .panels = d->panels.at,
                       .panel_count = d->panels.len, .row_title = panel_titles(d, 0),
                       .column_title = panel_titles(d, 1)};
    spec.rows = d->by_marks[0] ? d->marks : d->labels[0].len ? d->labels[0].len : 1;
    spec.columns = d->by_marks[1] ? d->marks : d->labels[1].len ? d->labels[1].len : 1;
    spec.x.category = d->category.len ? d->category.at : NULL;
    spec.x.categories = d->category.len;
    spec.y.downwards = spec.x.whole = spec.y.whole = d->downwards;
    spec.free_scales = marks_differ(d);
    if (spec.free_scales) panel_axes(d, &spec);
    for (int i = 0; i < d->marks && !spec.legend_title; i++)
        if (d->mark[i]->color) spec.legend_title = d->mark[i]->color_name;
    for (int i = 0; i < d->marks && !spec.z_title; i++)
        if (d->mark[i]->kind == MARK_HEAT) spec.z_title = d->mark[i]->z_text;
    FigureTools tools = {.sync = FILE_NO_SYNC, .pdf = d->x->lab->options.pdf};
    FigureResult result = {0};
    char *error = NULL;
    if (!d->x->folder) return true;
    if (!figure_write(d->e->arena, d->x->folder, &spec, &tools, &result, &error)) {
        diag_add(d->e->diags, D_R0103, d->call->span, "%s", error);
        return false;
    }
    const LabOptions *o = &d->x->lab->options;
    for (int i = 0; i < result.notes.len; i++)
        if (o->say) o->say(o->say_data, arena_printf(d->e->arena, "%s\n", result.notes.at[i]));
    const char *files[] = {result.svg, result.png, result.pdf};
    for (int i = 0; i < COUNT(files); i++)
        if (files[i]) vec_push(d->x->arena, &d->x->files, arena_copy(d->x->arena, files[i], strlen(files[i])));
    return true;
}

static bool builtin_figure(Eval *e, const BuiltinCall *call, Value *out) {
    Turn *turn = lab_turn(e) ? lab_turn(e)->turn : NULL;
    *out = value_none();
    if (!turn) {
        diag_add(e->diags, D_E0802, call->span, "figure stands inside an experiment");
        return eval_fail(out);
    }
    Drawing d = {.e = e, .x = turn->experiment, .call = call, .name = call->args[ARG_NAME].text};
    if (!report_name(e, d.x, d.name, call->arg_spans[ARG_NAME]) || !drawing_marks(&d)) return eval_fail(out);
    if (e->mode == EVAL_CHECK) return row_fields_check(e, turn, call->ast);
    if (report_waits(d.x)) return true;
    loop_flush(d.x, turn);
    drawing_labels(&d);
    drawing_by(&d, 0);
    drawing_by(&d, 1);
    if (formula_given(&call->args[ARG_WHERE])) d.where = formula_compile(e, call->args[ARG_WHERE].formula);
    for (int i = 0; i < d.marks; i++)
        if (!draw_mark(&d, i)) return eval_fail(out);
    return drawing_write(&d) || eval_fail(out);
}

const BuiltinRow builtins_figure[] = {{"figure", builtin_figure}, {NULL, NULL}};
