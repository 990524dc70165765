/* function.c -- values of functions at many points: function.h. */
#include "experiment/function.h"

int function_arity(Eval *e, const Value *f, Span span) {
    int arity = 0;
    if (f->kind == V_OBJECT && f->object->class == &model_class)
        arity = (int)shape_size(&((const Model *)f->object)->info->input.shape);
    else if (f->kind == V_OBJECT && f->object->class->arity) arity = f->object->class->arity(f->object);
    else if (f->kind == V_CALLABLE && f->callable->what != DEF_NET) arity = callable_arity(e, f);
    if (arity > 0) return arity;
    diag_add(e->diags, D_E0314, span, "this must be a function of numbers, such as a cell; it is %s",
             value_kind_name(f));
    return 0;
}

static bool model_values(Eval *e, const Value *f, int arity, const double *const *x, int64_t n, Span span, double *y) {
    double *rows = arena_array(e->arena, double, n * arity + 1);
    Tensor t = {DT_F64, shape_of(2, n, (int64_t)arity), rows};
    Value in = {.kind = V_TENSOR, .tensor = &t}, out;
    const Tensor *values;
    for (int64_t i = 0; i < n * arity; i++) rows[i] = x[i % arity][i / arity];
    if (!model_predict(e, (const Model *)f->object, &in, true, span, &out)
        || !value_as_tensor(e, &out, DT_F64, span, &values))
        return false;
    if (shape_size(&values->shape) != n) {
        diag_add(e->diags, D_E0806, span, "a function gives one number; this model gives %lld",
                 (long long)(shape_size(&values->shape) / n));
        return false;
    }
    memcpy(y, values->data, sizeof *y * (size_t)n);
    return true;
}

/* In pieces, so that what a cell has inside does not fill the memory. */
static bool graph_values(Eval *e, const Value *f, const double *const *x, int64_t n, Span span, double *y) {
    enum { PIECE = 4096 };
    Arena *arena = e->arena;
    bool ok = true;
    for (int64_t from = 0; from < n && ok; from += PIECE) {
        CellGraph cell;
        const void *columns[MAX_RANK];
        void *out[1] = {y + from};
        int64_t rows = n - from < PIECE ? n - from : PIECE;
        e->arena = arena_new();
        ok = cell_graph(e, f, DT_F64, span, &cell) && cell.arity <= MAX_RANK;
        for (int j = 0; ok && j < cell.arity; j++) columns[j] = x[j] + from;
        if (ok) graph_output(cell.trace->graph, OUT_ROWS, 0, "value", cell.value);
        ok = ok && trace_evaluate(e, cell.trace, columns, rows, NULL, NULL, out, span);
        arena_free(e->arena);
        e->arena = arena;
    }
    return ok;
}

bool function_values(Eval *e, const Value *f, int arity, const double *const *x, int64_t n, Span span, double *y) {
    if (f->kind == V_OBJECT && f->object->class == &model_class) return model_values(e, f, arity, x, n, span, y);
    return graph_values(e, f, x, n, span, y);
}
