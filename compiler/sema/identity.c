/* identity.c -- canonical text of values: equal values have equal text, settings spelt out.
 *
 * Used for keys, hashes and the names of kernels.  The kernel form writes "~" for every real that trace_lift turns
 * into a setting of the graph, and lists their numbers in its order: a sweep over them is one kernel. */
#include "sema/strategy.h"

typedef struct Writer { Buf *out; RealList *reals; } Writer;      /* reals NULL: plain identity */

static void write_value(const Writer *w, const Value *value);

static void write_number(const Writer *w, double x) {
    char text[32];
    text_of_f64(text, x);
    buf_text(w->out, text);
}

/* A real directly among a callable's settings is what trace_lift lifts. */
static void write_setting(const Writer *w, const Value *value) {
    if (w->reals && value->kind == V_REAL) {
        vec_push(w->reals->arena, &w->reals->list, value->real);
        buf_text(w->out, "~");
    } else {
        write_value(w, value);
    }
}

/* A trained cell is what it is by its numbers: their hash. */
static void write_weights(const Writer *w, const ValueRecord *weights) {
    Buf text = {0};
    Value record = {.kind = V_RECORD, .record = weights};
    value_identity(&record, &text);
    buf_printf(w->out, "@%016llx", (unsigned long long)fnv1a(text.at, text.len, FNV1A_START));
    buf_free(&text);
}

static void write_callable(const Writer *w, const Callable *c) {
    buf_text(w->out, c->type_name ? c->type_name : c->def->name);
    if (c->type_name && c->type_name != c->def->name) buf_printf(w->out, "=%s", c->def->name);
    if (c->def->version)
        buf_printf(w->out, "%c%llx%c", VERSION_OPEN, (unsigned long long)c->def->version, VERSION_CLOSE);
    if (c->copy) buf_printf(w->out, "#%d", c->copy);
    if (c->weights) write_weights(w, c->weights);
    for (int i = 0; c->settings && i < c->settings_len; i++) {
        buf_text(w->out, i ? ", " : "[");
        buf_text(w->out, c->def->ast->def.settings[i].name);
        buf_text(w->out, ": ");
        write_setting(w, &c->settings[i]);
    }
    if (c->settings && c->settings_len) buf_text(w->out, "]");
    if (c->strategies) strategies_identity(c->strategies, w->out);
}

static void write_tensor(const Writer *w, const Tensor *t) {
    size_t bytes = (size_t)shape_size(&t->shape) * dtype_size(t->dtype);
    buf_text(w->out, dtype_name(t->dtype));
    shape_print(&t->shape, w->out);
    buf_printf(w->out, "#%016llx", (unsigned long long)fnv1a(t->data, bytes, FNV1A_START));
}

static void write_value(const Writer *w, const Value *value) {
    switch (value->kind) {
    case V_LIST:
        buf_text(w->out, "[");
        for (int i = 0; i < value->list->len; i++) {
            if (i) buf_text(w->out, ", ");
            write_value(w, &value->list->at[i]);
        }
        buf_text(w->out, "]");
        break;
    case V_RECORD:
        buf_text(w->out, "{");
        for (int i = 0; i < value->record->len; i++) {
            buf_text(w->out, i ? ", \"" : "\"");
            buf_text(w->out, value->record->name[i]);
            buf_text(w->out, "\": ");
            write_value(w, &value->record->at[i]);
        }
        buf_text(w->out, "}");
        break;
    case V_REAL: write_number(w, value->real); break;
    case V_TENSOR: write_tensor(w, value->tensor); break;
    case V_CALLABLE: write_callable(w, value->callable); break;
    case V_OBJECT:
        if (value->object->class->identity) value->object->class->identity(value->object, w->out);
        else buf_printf(w->out, "%s@%p", value->object->class->name, (const void *)value->object);
        break;
    case V_NODE: buf_printf(w->out, "%%%u", value->node); break;
    case V_ERROR: case V_NONE: case V_BOOL: case V_INT: case V_TEXT: case V_RANGE: case V_TYPE: case V_CHOICE:
    case V_FORMULA: case V_MODULE: case V_ABSTRACT:
        value_show(value, w->out);
        break;
    }
}

void identity_unversioned(Buf *text, size_t from) {
    size_t to = from;
    bool inside = false;
    for (size_t i = from; i < text->len; i++) {
        char c = text->at[i];
        inside |= c == VERSION_OPEN;
        if (!inside) text->at[to++] = c;
        inside &= c != VERSION_CLOSE;
    }
    text->len = to < text->len ? to : text->len;
}

void value_identity(const Value *value, Buf *out) { write_value(&(Writer){out, NULL}, value); }

void value_kernel_identity(const Value *value, Buf *out, RealList *reals) { write_value(&(Writer){out, reals}, value); }
