/* warn.c -- what a training or an evaluation is warned of, though it can be done: W0615 W0616 W0617; found while
 * checking.
 *
 * Losses are those of the library: of an own one nobody knows what it expects. */
#include "experiment/train.h"

#include <math.h>
#include <stdio.h>

static bool is_loss(const Value *loss, const char *const *names) {
    if (loss->kind != V_CALLABLE || !loss->callable->def->library) return false;
    for (; *names; names++)
        if (strcmp(loss->callable->def->name, *names) == 0) return true;
    return false;
}

static void show_range(char out[64], double lo, double hi) {
    char a[32], b[32];
    text_of_f64(a, lo);
    text_of_f64(b, hi);
    snprintf(out, 64, "%.28s..%.28s", a, b);
}

static bool target_range(const DataObject *data, double *lo, double *hi) {
    int64_t n = data->size * shape_size(&data->y.shape);
    *lo = INFINITY;
    *hi = -INFINITY;
    if (!data->known || data->y.dtype == DT_I32) return false;
    for (int64_t i = 0; i < n; i++) {
        double y = data->y.dtype == DT_F64 ? ((const double *)data->y.rows)[i] : ((const float *)data->y.rows)[i];
        *lo = fmin(*lo, y);
        *hi = fmax(*hi, y);
    }
    return n > 0;
}

void warn_training(Eval *e, const NetInfo *info, const DataObject *data, const Value *loss, Span span) {
    static const char *const logits[] = {"cross_entropy", "binary_cross_entropy", NULL}, *const equal[] = {"mse", "mae",
                                                                                                           "huber",
                                                                                                           NULL};
    double lo, hi;
    if (is_loss(loss, logits) && info->lo >= 0 && info->hi <= 1) {
        Diag *diag = diag_add(e->diags, D_W0615, span,
                              "the net ends in probabilities, and %s makes probabilities of what it gets",
                              loss->callable->def->name);
        diag_hint(diag, "leave the last %s out", strcmp(loss->callable->def->name, logits[0]) ? "sigmoid" : "softmax");
        return;
    }
    if (!is_loss(loss, equal) || (isinf(info->lo) && isinf(info->hi)) || !target_range(data, &lo, &hi)) return;
    if (lo >= info->lo && hi <= info->hi) return;
    char given[64], reached[64];
    show_range(given, lo, hi);
    show_range(reached, info->lo, info->hi);
    Diag *diag = diag_add(e->diags, D_W0616, span, "the targets of %s lie in %s, what the net gives in %s", data->name,
                          given, reached);
    diag_hint(diag, "end the net with a linear layer");
}

/* "digits.train[1..10]" of "digits.train": where the rows are not read, names tell. */
static bool cut_of(const char *name, const char *whole) {
    size_t length = strlen(whole);
    return strncmp(name, whole, length) == 0 && (name[length] == '[' || !name[length]);
}

/* Is `data` the training part of what the model learned from, or examples of it, though other examples were at hand? */
void warn_evaluation(Eval *e, const Model *model, const DataObject *data, Span span) {
    const DataObject *whole = model->data;
    if (e->mode != EVAL_CHECK || !whole || (!whole->valid && !whole->test)) return;
    const DataObject *train = data_part(whole, "train"), *looked = data_part(data, "train");
    size_t row = (size_t)shape_size(&train->x.shape) * dtype_size(train->x.dtype);
    const char *from = train->x.rows, *at = looked->x.rows;
    bool inside = train->known && looked->known && at >= from && at < from + row * (size_t)train->size;
    bool named = cut_of(looked->name, train->name) || cut_of(data->name, whole->name);
    if (!inside && (!named || (train->known && looked->known))) return;
    Diag *diag = diag_add(e->diags, D_W0617, span, "the model was trained on these examples of %s", whole->name);
    diag_hint(diag, "on: the part .%s", whole->test ? "test" : "valid");
}
