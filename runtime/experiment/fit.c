/* fit.c -- sessions that train the cells by themselves, as functions: `fit: cells, to: data` (LANGUAGE 4.10).
 *
 * Each selected cell type is a net of its own whose input features are the cell's arguments; its parameters come from
 * the whole net and go back to it.  Several cell types are fitted one after the other, in the net's order; each draws
 * a smooth_noise of its own: purpose "noise", the session's number, path = the cell's path. */
#include "experiment/training.h"
#include "support/rng.h"

#include <stdio.h>

/* Where parameter k of a cell's own table stands in the whole net's: the paths below the cell agree. */
static int param_in_net(const NetInfo *whole, const NetCell *cell, const NetInfo *own, int k) {
    const char *below = own->param[k].path + strlen(own->cell[0].path);
    size_t length = strlen(cell->path);
    for (int i = 0; i < whole->params; i++)
        if (strncmp(whole->param[i].path, cell->path, length) == 0 && strcmp(whole->param[i].path + length, below) == 0)
            return i;
    return -1;
}

int fit_cells(Eval *e, const NetInfo *info, const SessionSpec *s, Span span, int *cell) {
    bool *mask = arena_array(e->arena, bool, info->params + 1);
    int n = 0;
    if (!info->count_cells) {
        diag_add(e->diags, D_E0607, span, "%s fits cells, and this net has none with parameters", s->title);
        return 0;
    }
    if (!selection_mask(e, s->fit, info, span, mask)) return 0;
    for (int c = 0; c < info->cells; c++) {
        size_t length = strlen(info->cell[c].path);
        bool selected = false;
        for (int i = 0; i < info->params; i++) {
            const char *path = info->param[i].path;
            selected |= mask[i] && strncmp(path, info->cell[c].path, length) == 0 && path[length] == '.';
        }
        if (selected) cell[n++] = c;
    }
    if (!n)
        diag_add(e->diags, D_E0607, span,
                 "fit: of %s selects parameters outside of cells, which cannot be fitted alone", s->title);
    return n;
}

static const DataObject *fit_target(Eval *e, const SessionSpec *s, Span span) {
    if (s->to->kind == V_OBJECT && s->to->object->class == &data_class) return (const DataObject *)s->to->object;
    diag_add(e->diags, D_E0314, span, "to: of %s is a data set: points and the values there; this is %s",
             s->title, value_kind_name(s->to));
    return NULL;
}

static bool fit_fits(Eval *e, const SessionSpec *s, const DataObject *data, const char *cell, int arity, Span span) {
    if (data->noise) {
        if (noise_fits(data, arity)) return true;
        diag_add(e->diags, D_E0613, span,
                 "%s takes %d numbers; a smooth_noise has 1 to 3 axes and at most 2 097 152 points", cell, arity);
        return false;
    }
    const Shape *x = &data_part(data, "train")->x.shape, *y = &data_part(data, "train")->y.shape;
    if (x->rank == 1 && x->dim[0] == arity && shape_size(y) == 1 && !data_has_classes(data)) return true;
    Buf text = {0};
    shape_print(x, &text);
    buf_text(&text, " to f32");
    shape_print(y, &text);
    diag_add(e->diags, D_E0403, span, "%s: %s is a function of %d numbers, the examples of %s are f32%.*s",
             s->title, cell, arity, data->name, (int)text.len, text.at);
    buf_free(&text);
    return false;
}

/* The cell as a net; and which of its parameters learn: all. */
static const NetInfo *fit_info(Eval *e, const NetInfo *whole, int cell, const Column *x, Span span, bool **learn) {
    bool plain = true;
    Value callable = value_keep(e->arena, &whole->cell[cell].cell, &plain);
    const NetInfo *info = net_info(e, &callable, x, whole->precision, span);
    if (!info) return NULL;
    *learn = arena_array(e->arena, bool, info->params + 1);
    for (int k = 0; k < info->params; k++) {
        (*learn)[k] = !info->param[k].state;
        int i = info->cells == 1 ? param_in_net(whole, &whole->cell[cell], info, k) : -1;
        if (i >= 0 && shape_equal(&whole->param[i].shape, &info->param[k].shape)) continue;
        diag_add(e->diags, D_E0607, span, "%s has a parameter for each unit or place: it cannot be fitted alone",
                 whole->cell[cell].path);
        return NULL;
    }
    return info;
}

static int cell_arity(Eval *e, const NetInfo *info, int cell) { return callable_arity(e, &info->cell[cell].cell); }

bool fit_check(Eval *e, const TrainRequest *r, const NetInfo *info, const SessionSpec *s, uint64_t *hash) {
    int *cell = arena_array(e->arena, int, info->cells + 1), n = fit_cells(e, info, s, r->span, cell);
    const DataObject *data = n ? fit_target(e, s, r->span) : NULL;
    for (int k = 0; data && k < n; k++) {
        int arity = cell_arity(e, info, cell[k]);
        if (!fit_fits(e, s, data, info->cell[cell[k]].path, arity, r->span)) return false;
        Column x = {DT_F64, shape_of(1, (int64_t)arity), NULL, 0}, y = {DT_F64, shape_of(1, (int64_t)1), NULL, 0};
        bool *learn;
        const NetInfo *own = fit_info(e, info, cell[k], &x, r->span, &learn);
        PlanRequest plan = {.e = e, .info = own, .x = x, .y = y, .session = s, .learn = learn, .span = r->span,
                            .examples = s->batch ? 0 : data->noise ? 1 : data_part(data, "train")->size};
        uint64_t one = 0;
        if (!own || !plan_check(&plan, &one)) return false;
        if (hash) *hash = fnv1a(&one, sizeof one, *hash);
    }
    return data != NULL;
}

/* Copies between the whole net's block and the fitted cell's. */
void fit_copy(const Training *t, Model *own, bool to_net) {
    const NetInfo *whole = t->net->info;
    for (int k = 0; k < own->info->params; k++) {
        const Slot *slot = &own->info->layout.slot[k];
        char *in_net = (char *)t->net->block + whole->param[param_in_net(whole, t->cell, own->info, k)].offset;
        char *in_own = (char *)own->block + own->info->param[k].offset;
        size_t size = (size_t)shape_size(&slot->shape) * dtype_size(slot->dtype);
        memcpy(to_net ? in_net : in_own, to_net ? in_own : in_net, size);
    }
}

static bool fit_one(Training *t, int cell, bool alone) {
    const NetInfo *whole = t->net->info;
    const NetCell *target = &whole->cell[cell];
    int arity = cell_arity(t->e, whole, cell);
    const DataObject *data = fit_target(t->e, t->s, t->r->span);
    if (!data || !fit_fits(t->e, t->s, data, target->path, arity, t->r->span)) return false;
    if (data->noise)
        data = noise_draw(t->e->arena, data, rng_key(t->r->seeds.noise, "noise", (uint32_t)t->number, target->path, 0),
                          arity);
    t->data = data;
    t->info = fit_info(t->e, whole, cell, &data_part(data, "train")->x, t->r->span, &t->learn);
    if (!t->info) return false;
    Model own = {.object = {&model_class}, .info = t->info, .data = data, .known = true,
                 .block = training_aligned(t->e->arena, t->info->layout.size)};
    SessionSpec named = *t->s;
    if (!alone) named.name = arena_printf(t->e->arena, "%s %s", t->s->name, target->path);
    const SessionSpec *before = t->s;
    t->s = &named;
    t->model = &own;
    t->cell = target;
    fit_copy(t, &own, false);
    bool ok = training_part(t);
    if (ok && !t->found && t->jump < 0) fit_copy(t, &own, true);
    t->model = t->net;
    t->s = before;
    return ok;
}

bool fit_session(Training *t) {
    const NetInfo *whole = t->net->info;
    int *cell = arena_array(t->e->arena, int, whole->cells + 1), n = fit_cells(t->e, whole, t->s, t->r->span, cell),
        measures = t->measures;
    bool ok = n > 0;
    t->measures = 0;                                                     /* they are fns of the whole net's output */
    for (t->part = checkpoint_part(t); ok && t->part < n && !t->run->diverged && !t->found && t->jump < 0; t->part++)
        ok = fit_one(t, cell[t->part], n == 1);
    t->part = 0;
    t->measures = measures;
    t->info = whole;
    t->model = t->net;
    t->data = t->r->data;
    return ok;
}
