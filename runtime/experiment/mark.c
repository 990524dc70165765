/* mark.c -- lines, points, band, bars, heat, contour, image, hist, cdf, rule; axis: the calls that make them, and their
 * series.
 *
 * Arguments that are keys (color, group) split a panel's rows into series.  If y has an aggregate, a series has one
 * point for each value of x; else one for each row, or for each entry of lists in the rows. */
#include "experiment/analysis.h"
#include "experiment/mark.h"
#include "report/statistics.h"

#include <math.h>
#include <stdlib.h>

enum { HEAT_POINTS = 161, GROUP_POINTS = 81, LINE_POINTS = 201 };

static const char *const mark_names[] = {"lines",   "points", "band", "bars", "heat",
                                         "contour", "hist",   "cdf",  "rule", "image"};
static void mark_identity(const Object *self, Buf *out) { buf_text(out, mark_names[((const Mark *)self)->kind]); }
const ObjectClass mark_class = {.name = "mark", .identity = mark_identity};
static void axis_identity(const Object *self, Buf *out) {
    buf_text(out, ((const Axis *)self)->log ? "axis(scale: log)" : "axis()");
}
const ObjectClass axis_class = {.name = "axis", .identity = axis_identity};

/* ---- calls: arguments are found by the names of the declaration (stdlib/laboratory.nin) ---- */

static const Value *arg(const BuiltinCall *call, const char *name) {
    const Ast *def = call->callable->def->ast;
    for (int i = 0; i < def->def.formals_len; i++)
        if (strcmp(def->def.formals[i].name, name) == 0) {
            const Value *value = &call->args[i];
            return value->kind == V_NONE || (value->kind == V_FORMULA && !formula_given(value)) ? NULL : value;
        }
    return NULL;
}

static Compiled *arg_formula(Eval *e, const BuiltinCall *call, const char *name, const char **text) {
    const Value *value = arg(call, name);
    if (!formula_given(value)) return NULL;
    if (text) *text = sources_text(e->diags->sources, e->arena, value->formula->ast->span);
    return formula_compile(e, value->formula);
}

static bool mark_levels(Eval *e, const BuiltinCall *call, Mark *mark) {
    const Value *levels = arg(call, "levels");
    const Tensor *t;
    if (!levels) return true;
    if (!value_as_tensor(e, levels, DT_F64, call->span, &t)) return false;
    mark->levels = (int)shape_size(&t->shape);
    mark->level = t->data;
    return true;
}

static bool mark_needs(Eval *e, const Mark *mark) {
    bool xy = mark->x && mark->y, z = mark->z != NULL;
    const char *lacks = NULL;
    switch (mark->kind) {
    case MARK_LINES: lacks = z || xy ? NULL : mark->x ? "y" : "x"; break;
    case MARK_POINTS: case MARK_BAND: case MARK_BARS: lacks = xy ? NULL : mark->x ? "y" : "x"; break;
    case MARK_HEAT: case MARK_CONTOUR: case MARK_IMAGE: lacks = z ? NULL : "z"; break;
    case MARK_HIST: case MARK_CDF: lacks = mark->x ? NULL : "x"; break;
    case MARK_RULE: lacks = mark->x || mark->y ? NULL : "x or y"; break;
    }
    if (lacks) diag_add(e->diags, D_E0805, mark->span, "%s needs %s", mark_names[mark->kind], lacks);
    return !lacks;
}

static bool mark_make(Eval *e, const BuiltinCall *call, MarkKind kind, Value *out) {
    Mark *mark = arena_new_of(e->arena, Mark);
    *mark = (Mark){.object = {&mark_class}, .kind = kind, .span = call->span, .style = "solid"};
    mark->x = arg_formula(e, call, "x", &mark->x_text);
    mark->y = arg_formula(e, call, "y", &mark->y_text);
    mark->z = arg_formula(e, call, "z", &mark->z_text);
    mark->over = arg_formula(e, call, "over", NULL);
    mark->spread = arg(call, "spread");
    const Value *color = arg(call, "color"), *group = arg(call, "group"), *style = arg(call, "style"),
                *bins = arg(call, "bins");
    Compiled *one[1];
    if (color && formula_list(e, color, one, &mark->color_name, 1)) mark->color = one[0];
    if (group) mark->groups = formula_list(e, group, mark->group, mark->group_name, 8);
    if (style && style->kind == V_CHOICE) mark->style = style->choice;
    if (bins && bins->kind == V_INT) mark->bins = (int)bins->integer;
    *out = value_object(&mark->object);
    return (mark_levels(e, call, mark) && mark_needs(e, mark)) || eval_fail(out);
}

#define MARK_BUILTIN(name, kind) \
    static bool builtin_##name(Eval *e, const BuiltinCall *call, Value *out) { return mark_make(e, call, kind, out); }
MARK_BUILTIN(lines, MARK_LINES)
MARK_BUILTIN(points, MARK_POINTS)
MARK_BUILTIN(band, MARK_BAND)
MARK_BUILTIN(bars, MARK_BARS)
MARK_BUILTIN(heat, MARK_HEAT)
MARK_BUILTIN(contour, MARK_CONTOUR)
MARK_BUILTIN(hist, MARK_HIST)
MARK_BUILTIN(cdf, MARK_CDF)
MARK_BUILTIN(rule, MARK_RULE)
MARK_BUILTIN(image, MARK_IMAGE)

static bool builtin_axis(Eval *e, const BuiltinCall *call, Value *out) {
    Axis *axis = arena_new_of(e->arena, Axis);
    *axis = (Axis){.object = {&axis_class}};
    const Value *scale = arg(call, "scale"), *title = arg(call, "title"), *over = arg(call, "over");
    axis->log = scale && scale->kind == V_CHOICE && strcmp(scale->choice, "log") == 0;
    if (title && title->kind == V_TEXT) axis->title = title->text;
    if (over && over->kind == V_RANGE) { axis->bounded = true; axis->lo = over->range->lo; axis->hi = over->range->hi; }
    *out = value_object(&axis->object);
    return true;
}

/* ---- numbers out of values ---- */

static bool flat(Eval *e, const Value *value, Span span, double **out, int *n) {
    const Tensor *t;
    if (!value_as_tensor(e, value, DT_F64, span, &t)) return false;
    *out = t->data;
    *n = (int)shape_size(&t->shape);
    return true;
}

static bool is_list(const Value *value) {
    return value->kind == V_LIST || (value->kind == V_TENSOR && value->tensor->shape.rank > 0);
}

/* A place on the x axis: a number, or a category by its label. */
static bool series_x(Eval *e, const Value *value, Span span, Series *s, int i) {
    bool number = value->kind == V_INT || value->kind == V_REAL || value->kind == V_BOOL;
    if (number && !s->mark->by_label) {
        s->x[i] = value->kind == V_INT ? (double)value->integer : value->kind == V_REAL ? value->real : value->boolean;
        return true;
    }
    if (value->kind == V_TENSOR && shape_size(&value->tensor->shape) == 1) {
        double *x;
        int n;
        if (!flat(e, value, span, &x, &n)) return false;
        s->x[i] = x[0];
        return true;
    }
    Buf label = {0};
    if (value->kind == V_REAL && !value->label) text_of_number(&label, value->real, 4);
    else key_label(value, &label);
    buf_put(&label, "", 1);
    if (!s->text) s->text = arena_array(e->arena, const char *, s->n + 1);
    s->text[i] = buf_done(&label, e->arena);
    s->x[i] = i;
    return true;
}

static void series_space(Eval *e, Series *s, int n) {
    s->n = n;
    s->x = arena_array(e->arena, double, n + 1);
    s->y = arena_array(e->arena, double, n + 1);
    s->lo = arena_array(e->arena, double, n + 1);
    s->hi = arena_array(e->arena, double, n + 1);
}

/* ---- series of one group ---- */

/* Half the width of a band or an error bar: what `spread` gives for the values; none: no width. */
static bool spread_of(Eval *e, const Mark *mark, const double *at, int n, double *out) {
    const Value *f = mark->spread;
    const char *name = f && f->kind == V_CALLABLE && f->callable->def->library ? f->callable->def->name : "";
    Tensor t = {DT_F64, shape_of(1, (int64_t)n), (void *)(uintptr_t)at};
    Value values = {.kind = V_TENSOR, .tensor = &t}, width;
    *out = 0;
    if (!f || n < 2) return true;
    if (strcmp(name, "sd") == 0) *out = stat_sd(at, n);
    else if (strcmp(name, "sem") == 0) *out = stat_sem(at, n);
    else return eval_call(e, f, &values, 1, mark->span, &width) && value_as_real(e, &width, mark->span, out);
    return true;
}

/* One point for each value of x; y of the rows that share it.  *warned: W0808 was said for this mark. */
static bool series_grouped(Eval *e, const Mark *mark, const Group *group, Series *s, bool *warned) {
    Group *at;
    int n;
    Name name = intern_text(e->session->names, "x");
    if (!group_split(e, group, &mark->x, &name, 1, &at, &n)) return false;
    if (!*warned && formula_aggregates(mark->y)) *warned = group_warn(e, at, n, mark->span);
    series_space(e, s, n);
    int most = 0;
    for (int i = 0; i < n; i++) {
        Value y;
        double *numbers;
        int count;
        at[i].key++;                                                     /* x is no key that `at` could name */
        const Value *x = at[i].value++;
        at[i].keys--;
        if (!series_x(e, x, mark->span, s, i)) return false;
        if (!formula_group(e, mark->y, &at[i], &y) || !flat(e, &y, mark->span, &numbers, &count)) return false;
        s->y[i] = stat_mean(numbers, count);
        double half;
        if (!spread_of(e, mark, numbers, count, &half)) return false;
        s->lo[i] = s->y[i] - half;
        s->hi[i] = s->y[i] + half;
        if (count > most) most = count;
        if (i == 0 || count < s->fewest) s->fewest = count;
    }
    s->most = most;
    if (mark->kind == MARK_BAND && n && most < 2) {
        diag_hint(diag_add(e->diags, D_E0803, mark->span, "a band needs more than one row for each x; here is one"),
                  "more seeds, or lines");
        return false;
    }
    return true;
}

/* Rows that hold lists: one line for each row. */
static bool series_lists(Eval *e, const Mark *mark, const Group *group, const Series *like, SeriesList *out) {
    for (int i = 0; i < group->len; i++) {
        Value x, y;
        Series s = *like;
        int n, m;
        if (!formula_point(e, mark->x, group, &group->at[i], &x) ||
            !formula_point(e, mark->y, group, &group->at[i], &y))
            return false;
        if (!flat(e, &x, mark->span, &s.x, &n) || !flat(e, &y, mark->span, &s.y, &m)) return false;
        s.n = n < m ? n : m;
        vec_push(e->arena, &out->at, s);
    }
    return true;
}

static bool series_points(Eval *e, const Mark *mark, const Group *group, Series *s, SeriesList *out) {
    Value x, y;
    if (!group->len) return true;
    if (!formula_point(e, mark->x, group, &group->at[0], &x)) return false;
    if (is_list(&x)) return series_lists(e, mark, group, s, out);
    series_space(e, s, group->len);
    for (int i = 0; i < group->len; i++) {
        if (!formula_point(e, mark->x, group, &group->at[i], &x) ||
            !formula_point(e, mark->y, group, &group->at[i], &y))
            return false;
        if (!series_x(e, &x, mark->span, s, i) || !value_as_real(e, &y, mark->span, &s->y[i])) return false;
    }
    vec_push(e->arena, &out->at, *s);
    return true;
}

static bool series_values(Eval *e, const Mark *mark, const Group *group, Series *s) {
    VEC(double) all = {0};
    for (int i = 0; i < group->len; i++) {
        Value x;
        double *numbers;
        int n;
        if (!formula_point(e, mark->x, group, &group->at[i], &x) || !flat(e, &x, mark->span, &numbers, &n))
            return false;
        for (int k = 0; k < n; k++) vec_push(e->arena, &all, numbers[k]);
    }
    s->x = all.at;
    s->n = all.len;
    return true;
}

/* `over`: one range, a list of two, or a region of a cell's inputs (*dense; else NULL), of which this is the box. */
static bool region(Eval *e, const Mark *mark, const Group *group, double *lo, double *hi, int *axes,
                   const Region **dense) {
    Value over;
    ValueList list;
    *dense = NULL;
    if (!mark->over) {
        diag_add(e->diags, D_E0805, mark->span, "%s of a function needs over:", mark_names[mark->kind]);
        return false;
    }
    if (!formula_group(e, mark->over, group, &over)) return false;
    if (over.kind == V_LIST && over.list->len && over.list->at[0].kind == V_LIST)
        over = over.list->at[0]; /* boxes of several rows: the first */
    if (over.kind == V_LIST && over.list->len && value_region(&over.list->at[0]))
        over = over.list->at[0]; /* several rows: the first */
    *dense = value_region(&over);
    if (*dense) {
        *axes = (*dense)->bins->axes;
        for (int i = 0; i < *axes && i < 2; i++) {
            lo[i] = (*dense)->lo[i];
            hi[i] = (*dense)->hi[i];
        }
        return true;
    }
    if (over.kind == V_RANGE) list = (ValueList){&over, 1};
    else if (!eval_elements(e, &over, mark->span, &list)) return false;
    for (int i = 0; i < list.len && i < 2; i++) {
        if (list.at[i].kind != V_RANGE) {
            diag_add(e->diags, D_E0314, mark->span, "over: is a range such as -2..2, or a list of two");
            return false;
        }
        lo[i] = list.at[i].range->lo;
        hi[i] = list.at[i].range->hi;
    }
    *axes = list.len;
    return true;
}

/* What the two numbers are called that a function takes: its formals, or parts of its one vector. */
static void axis_names(Eval *e, const Value *f, Series *s) {
    if (f->kind == V_CALLABLE && f->callable->def->ast->kind == AST_DEF &&
        f->callable->def->ast->def.formals_len == 2) {
        const AstFormal *formal = f->callable->def->ast->def.formals;
        s->x_name = formal[0].name, s->y_name = formal[1].name;
    } else if (f->kind == V_CALLABLE && f->callable->def->ast->kind == AST_DEF &&
               f->callable->def->ast->def.formals_len == 1) {
        s->x_name = arena_printf(e->arena, "%s[1]", f->callable->def->ast->def.formals[0].name);
        s->y_name = arena_printf(e->arena, "%s[2]", f->callable->def->ast->def.formals[0].name);
    } else if (function_of_vector(f)) {
        s->x_name = "x[1]", s->y_name = "x[2]";
    }
}

/* A matrix, or an image of one plane: row 1 stands at the top. */
static bool series_matrix(Eval *e, const Mark *mark, const Tensor *t, Series *s) {
    Shape shape = t->shape;
    const Tensor *z;
    while (shape.rank > 2 && shape.dim[0] == 1)
        memmove(shape.dim, shape.dim + 1, sizeof shape.dim[0] * (size_t)--shape.rank);
    if (shape.rank != 2 || shape.dim[0] < 2 || shape.dim[1] < 2) {
        Buf text = {0};
        shape_print(&t->shape, &text);
        diag_add(e->diags, D_E0806, mark->span, "%s draws a matrix of numbers, or a function over:; this is %.*s",
                 mark_names[mark->kind], (int)text.len, text.at);
        buf_free(&text);
        return false;
    }
    if (!value_as_tensor(e, &(Value){.kind = V_TENSOR, .tensor = (Tensor *)(uintptr_t)t}, DT_F64, mark->span, &z))
        return false;
    s->nx = (int)shape.dim[1], s->ny = (int)shape.dim[0];
    s->x = arena_array(e->arena, double, s->nx);
    s->y = arena_array(e->arena, double, s->ny);
    for (int i = 0; i < s->nx; i++) s->x[i] = i + 1;
    for (int i = 0; i < s->ny; i++) s->y[i] = i + 1;
    s->z = z->data;
    s->x_name = "column", s->y_name = "row";
    s->downwards = true;
    return true;
}

static bool no_image(Eval *e, const Mark *mark, const Value *z) {
    Buf text = {0};
    if (z->kind == V_TENSOR) shape_print(&z->tensor->shape, &text);
    else buf_text(&text, value_kind_name(z));
    Diag *diag = diag_add(e->diags, D_E0806, mark->span,
                          "image draws numbers from 0 to 1, [rows, columns] or [3, rows, columns]; this is %.*s",
                          (int)text.len, text.at);
    diag_hint(diag, "data.raw[1], of data whose shape: is that of images");
    buf_free(&text);
    return false;
}

/* An image of one plane is grey, one of three has colours; what is beyond 0..1 is cut. */
static bool series_image(Eval *e, const Mark *mark, const Group *group, Series *s) {
    Value z;
    const Tensor *t;
    if (!formula_group(e, mark->z, group, &z)) return false;
    if (z.kind == V_LIST && z.list->len && z.list->at[0].kind == V_TENSOR)
        z = z.list->at[0]; /* several rows: the first */
    if ((z.kind != V_TENSOR && z.kind != V_LIST) || !value_as_tensor(e, &z, DT_F64, mark->span, &t))
        return no_image(e, mark, &z);
    Shape shape = t->shape;
    int planes = shape.rank == 3 ? (int)shape.dim[0] : 1;
    if ((shape.rank != 2 && shape.rank != 3) || (planes != 1 && planes != 3)) return no_image(e, mark, &z);
    s->ny = (int)shape.dim[shape.rank - 2], s->nx = (int)shape.dim[shape.rank - 1];
    if (s->nx < 2 || s->ny < 2) return no_image(e, mark, &z);
    int size = s->nx * s->ny;
    s->rgb = arena_array(e->arena, uint8_t, 3 * size);
    s->x = arena_array(e->arena, double, s->nx);
    s->y = arena_array(e->arena, double, s->ny);
    for (int i = 0; i < s->nx; i++) s->x[i] = i + 1;
    for (int i = 0; i < s->ny; i++) s->y[i] = i + 1;
    for (int i = 0; i < 3 * size; i++) {
        double v = ((const double *)t->data)[(planes == 3 ? i % 3 : 0) * size + i / 3];
        s->rgb[i] = (uint8_t)nearbyint(255 * (v > 0 ? v < 1 ? v : 1 : 0));
    }
    s->downwards = true;
    return true;
}

static bool series_surface(Eval *e, const Mark *mark, const Group *group, Series *s) {
    Value z;
    if (!formula_group(e, mark->z, group, &z)) return false;
    if (z.kind == V_LIST && z.list->len) z = z.list->at[0];              /* several rows: the first */
    if (z.kind == V_OBJECT && z.object->class == &surface_class) {
        const Surface *surface = (const Surface *)z.object;
        s->nx = surface->nx; s->ny = surface->ny;
        s->x = surface->x; s->y = surface->y; s->z = surface->z;
        s->x_name = surface->x_name; s->y_name = surface->y_name;
        return true;
    }
    if (z.kind == V_TENSOR && !mark->over) return series_matrix(e, mark, z.tensor, s);
    double lo[2], hi[2];
    int axes;
    const Region *dense;
    if (!region(e, mark, group, lo, hi, &axes, &dense)) return false;
    if (axes != 2) {
        diag_add(e->diags, D_E0806, mark->span, "%s draws a function of two numbers; over: has %d range%s",
                 mark_names[mark->kind], axes, axes == 1 ? "" : "s");
        return false;
    }
    axis_names(e, &z, s);
    int n = mark->groups ? GROUP_POINTS : HEAT_POINTS;
    s->nx = s->ny = n;
    s->x = arena_array(e->arena, double, n);
    s->y = arena_array(e->arena, double, n);
    s->z = arena_array(e->arena, double, n * n);
    double *xy = arena_array(e->arena, double, 2 * n * n);
    for (int i = 0; i < n; i++) {
        s->x[i] = lo[0] + (hi[0] - lo[0]) * i / (n - 1);
        s->y[i] = lo[1] + (hi[1] - lo[1]) * i / (n - 1);
    }
    for (int i = 0; i < n * n; i++) {
        xy[2 * i] = s->x[i % n];
        xy[2 * i + 1] = s->y[i / n];
    }
    if (!function_grid(e, &z, xy, n * n, mark->span, s->z)) return false;
    for (int i = 0; i < n * n && dense; i++)
        if (!region_has(dense, xy + 2 * i)) s->z[i] = NAN;               /* not drawn */
    return true;
}

/* lines(z: f, over: a..b): a function of one number. */
static bool series_function(Eval *e, const Mark *mark, const Group *group, Series *s) {
    Value f;
    double lo[2], hi[2];
    int axes;
    const Region *dense;
    if (!formula_group(e, mark->z, group, &f) || !region(e, mark, group, lo, hi, &axes, &dense)) return false;
    if (f.kind == V_LIST && f.list->len) f = f.list->at[0];
    series_space(e, s, LINE_POINTS);
    for (int i = 0; i < LINE_POINTS; i++) {
        s->x[i] = lo[0] + (hi[0] - lo[0]) * i / (LINE_POINTS - 1);
        Value x = value_real(s->x[i]), y;
        if (!eval_call(e, &f, &x, 1, mark->span, &y) || !value_as_real(e, &y, mark->span, &s->y[i])) return false;
    }
    return true;
}

static bool series_rule(Eval *e, const Mark *mark, const Group *group, Series *s) {
    Value at;
    double *numbers;
    int n;
    if (!formula_group(e, mark->x ? mark->x : mark->y, group, &at) || !flat(e, &at, mark->span, &numbers, &n))
        return false;
    s->n = n;
    if (mark->x) s->x = numbers;
    else s->y = numbers;
    return true;
}

/* Bars of rows stand for the rows of each x, unless rows hold lists. */
static bool x_alone(Eval *e, const Mark *mark, const Group *group) {
    Value x;
    return group->len && formula_point(e, mark->x, group, &group->at[0], &x) && !is_list(&x);
}

static bool group_series(Eval *e, const Mark *mark, const Group *group, Series s, SeriesList *out) {
    bool ok = true, push = true;
    switch (mark->kind) {
    case MARK_LINES: case MARK_POINTS: case MARK_BARS:
        if (mark->z) ok = series_function(e, mark, group, &s);
        else if (formula_aggregates(mark->y) || (mark->kind == MARK_BARS && x_alone(e, mark, group)))
            ok = series_grouped(e, mark, group, &s, &out->warned);
        else { ok = series_points(e, mark, group, &s, out); push = false; }
        break;
    case MARK_BAND: ok = series_grouped(e, mark, group, &s, &out->warned); break;
    case MARK_HEAT: case MARK_CONTOUR: ok = series_surface(e, mark, group, &s); break;
    case MARK_IMAGE: ok = series_image(e, mark, group, &s); break;
    case MARK_HIST: case MARK_CDF: ok = series_values(e, mark, group, &s); break;
    case MARK_RULE: ok = series_rule(e, mark, group, &s); break;
    }
    if (ok && push) vec_push(e->arena, &out->at, s);
    return ok;
}

bool mark_series(Eval *e, const Mark *mark, const Group *panel, SeriesList *out) {
    Compiled *by[9];
    Name names[9];
    int n = 0, count;
    if (mark->color) { by[n] = mark->color; names[n++] = mark->color_name; }
    for (int i = 0; i < mark->groups; i++) { by[n] = mark->group[i]; names[n++] = mark->group_name[i]; }
    Group *groups;
    if (!group_split(e, panel, by, names, n, &groups, &count)) return false;
    if (mark->kind == MARK_RULE && mark->y && formula_aggregates(mark->y)) group_warn(e, groups, count, mark->span);
    for (int i = 0; i < count; i++) {
        Series s = {.mark = mark, .label = ""};
        if (mark->color) {
            Buf label = {0};
            key_label(&groups[i].value[0], &label);
            buf_put(&label, "", 1);
            s.label = buf_done(&label, e->arena);
            s.color_key = groups[i].value[0];
            s.colored = true;
        }
        if (!group_series(e, mark, &groups[i], s, out)) return false;
    }
    return true;
}

const BuiltinRow builtins_mark[] = {{"lines", builtin_lines}, {"points", builtin_points}, {"band", builtin_band},
                                    {"bars", builtin_bars},   {"heat", builtin_heat},     {"contour", builtin_contour},
                                    {"hist", builtin_hist},   {"cdf", builtin_cdf},       {"rule", builtin_rule},
                                    {"image", builtin_image}, {"axis", builtin_axis},     {NULL, NULL}};
