/* builtins_augment.c -- augmentations of images: functions of one image in raw units that draw random numbers.
 *
 * An image is f32[rows, columns] or f32[maps, rows, columns].  Elements move by a table lookup per place: the image as
 * a table with one row for each place (EMBED), so nothing is computed with them and every value stays as it is. */
#include "sema/builtins.h"

typedef struct Picture { Graph *g; Val x; DType dtype; int64_t maps, rows, columns; bool flat; Span span; } Picture;

static bool picture(Eval *e, const BuiltinCall *call, Picture *p, Value *out)
{
    const char *name = call->callable->def->name;
    *p = (Picture){ .span = call->span };
    if (!e->trace) return call_fail(e, call, out, D_E0408, "random numbers have no seed here");
    if (!arg_node(e, call, 0, &p->x)) return eval_fail(out);
    p->g = e->trace->graph;
    NodeType type = graph_type(p->g, p->x);
    const Shape *s = &type.shape;
    if (s->rank < 2 || s->rank > 3) {
        Buf text = { 0 };
        shape_print(s, &text);
        Diag *diag = eval_diag(e, D_E0403, call->arg_spans[0],
                               "%s takes images, f32[rows, columns] or f32[maps, rows, columns]; this is f32%.*s", name,
                               (int)text.len, text.at);
        diag_hint(diag, "give the data the shape of images, as shape: [1, 28, 28], and flatten(x) in the net");
        buf_free(&text);
        return eval_fail(out);
    }
    p->flat = s->rank == 2;
    p->dtype = type.dtype;
    p->maps = p->flat ? 1 : s->dim[0];
    p->rows = s->dim[s->rank - 2];
    p->columns = s->dim[s->rank - 1];
    return true;
}

static Val number(Picture *p, int64_t x) { return graph_int(p->g, x); }

/* The row (axis 0) or column (axis 1) of each place. */
static Val places_of(Picture *p, int axis)
{
    NodeType like = { DT_I32, shape_of(2, p->rows, p->columns), false };
    return graph_add(p->g, G_IOTA, NULL, 0, &(Attr){ .axis = axis }, &like, p->span);
}

/* A whole number from 0 to n - 1, one draw for each example; 0 after a diagnostic. */
static Val draw(Eval *e, Picture *p, int64_t n)
{
    const char *name = trace_draw(e, p->span);
    if (!name) return 0;
    Val u = graph_noise(p->g, G_NOISE, (NodeType){ e->trace->precision, SHAPE0, true }, name);
    Val scaled = graph_2(p->g, G_MUL, u, graph_const(p->g, e->trace->precision, (double)n));
    return graph_2(p->g, G_MIN, graph_cast(p->g, graph_1(p->g, G_FLOOR, scaled), DT_I32), number(p, n - 1));
}

/* The image whose place (r, c) shows the place (row, column) of x. */
static Val moved(Picture *p, Val row, Val column)
{
    Graph *g = p->g;
    Val index = graph_2(g, G_ADD, graph_2(g, G_MUL, row, number(p, p->columns)), column);
    Val table = graph_reshape(g, p->x, shape_of(2, p->maps, p->rows * p->columns));
    table = graph_transpose(g, table, (const int[]){ 1, 0 });
    Val y = graph_add(g, G_EMBED, (const Val[]){ table, index }, 2, NULL, NULL, p->span);
    return p->flat ? graph_reshape(g, y, shape_of(2, p->rows, p->columns)) : y;
}

/* x where `inside` (of a place) holds, else 0. */
static Val kept(Picture *p, Val inside, Val x)
{
    Graph *g = p->g;
    Shape shape = graph_type(g, x).shape;
    if (!p->flat)
        inside = graph_broadcast(g, graph_reshape(g, inside, shape_of(3, (int64_t)1, p->rows, p->columns)), shape);
    return graph_3(g, G_SELECT, inside, x, graph_broadcast(g, graph_const(g, p->dtype, 0), shape));
}

static Val between(Picture *p, Val x, Val lo, Val hi)
{
    return graph_2(p->g, G_AND, graph_2(p->g, G_LE, lo, x), graph_2(p->g, G_LT, x, hi));
}

static bool setting_in(Eval *e, const BuiltinCall *call, int64_t lo, int64_t hi, int64_t *n, Value *out)
{
    if (!value_as_int(e, &call->settings[0], call->span, n)) return eval_fail(out);
    if (*n >= lo && *n <= hi) return true;
    return call_fail(e, call, out, D_E0314, "%s of these images takes a number from %lld to %lld; this is %lld",
                     call->callable->def->name, (long long)lo, (long long)hi, (long long)*n);
}

bool builtin_flip(Eval *e, const BuiltinCall *call, Value *out)
{
    Picture p;
    Val side;
    if (builtin_absorbs(call, out)) return out->kind != V_ERROR;
    if (!picture(e, call, &p, out) || !(side = draw(e, &p, 2))) return eval_fail(out);
    Val column = places_of(&p, 1), mirrored = graph_2(p.g, G_SUB, number(&p, p.columns - 1), column);
    Val turned = graph_broadcast(p.g, graph_2(p.g, G_EQ, side, number(&p, 0)), shape_of(2, p.rows, p.columns));
    *out = trace_value(moved(&p, places_of(&p, 0), graph_3(p.g, G_SELECT, turned, mirrored, column)));
    return true;
}

/* Place (r, c) shows (r + down - n, c + right - n), 0 outside: the image with n zeros around, cut at a drawn corner. */
bool builtin_pad_crop(Eval *e, const BuiltinCall *call, Value *out)
{
    Picture p;
    int64_t n;
    Val down, right;
    if (builtin_absorbs(call, out)) return out->kind != V_ERROR;
    if (!picture(e, call, &p, out)) return eval_fail(out);
    if (!setting_in(e, call, 0, (p.rows < p.columns ? p.rows : p.columns) - 1, &n, out)) return false;
    if (!(down = draw(e, &p, 2 * n + 1)) || !(right = draw(e, &p, 2 * n + 1))) return eval_fail(out);
    Val row = graph_2(p.g, G_ADD, places_of(&p, 0), graph_2(p.g, G_SUB, down, number(&p, n)));
    Val column = graph_2(p.g, G_ADD, places_of(&p, 1), graph_2(p.g, G_SUB, right, number(&p, n)));
    Val zero = number(&p, 0);
    Val inside = graph_2(p.g, G_AND, between(&p, row, zero, number(&p, p.rows)),
                         between(&p, column, zero, number(&p, p.columns)));
    *out = trace_value(kept(&p, inside, moved(&p, row, column)));
    return true;
}

/* A square of n x n places around a drawn one is 0; it may stand over the border. */
bool builtin_cutout(Eval *e, const BuiltinCall *call, Value *out)
{
    Picture p;
    int64_t n;
    Val centre[2];
    if (builtin_absorbs(call, out)) return out->kind != V_ERROR;
    if (!picture(e, call, &p, out)) return eval_fail(out);
    if (!setting_in(e, call, 1, p.rows > p.columns ? p.rows : p.columns, &n, out)) return false;
    if (!(centre[0] = draw(e, &p, p.rows)) || !(centre[1] = draw(e, &p, p.columns))) return eval_fail(out);
    Val hit[2];
    for (int axis = 0; axis < 2; axis++) {
        Val from = graph_2(p.g, G_SUB, centre[axis], number(&p, n / 2));
        hit[axis] = between(&p, places_of(&p, axis), from, graph_2(p.g, G_ADD, from, number(&p, n)));
    }
    *out = trace_value(kept(&p, graph_1(p.g, G_NOT, graph_2(p.g, G_AND, hit[0], hit[1])), p.x));
    return true;
}
