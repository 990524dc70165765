/* session.c -- sessions and schedules as checked records (LANGUAGE 4.10). */
#include "experiment/train.h"

static const char *const session_fields[] = {"learn",   "fit",    "to",    "reset", "loss",  "optimizer",
                                             "batch",   "epochs", "stop",  "take",  "cells", "against",
                                             "augment", "clip",   "order", NULL};

static bool is_none(const Value *value) { return !value || value->kind == V_NONE; }

static const Value *given(const Value *record, const char *name) {
    const Value *value = record_get(record, name);
    return is_none(value) ? NULL : value;
}

static bool unknown_field(Eval *e, Name name, Span span) {
    Diag *diag = diag_add(e->diags, D_E0313, span, "a session has no field %s", name);
    for (int i = 0; session_fields[i]; i++)
        if (text_distance(name, session_fields[i], 2) <= 2) diag_hint(diag, "did you mean %s?", session_fields[i]);
    return false;
}

static bool read_count(Eval *e, const SessionSpec *s, const Value *value, const char *what, Span span, int64_t *out) {
    if (value && value->kind == V_INT && value->integer >= 1) {
        *out = value->integer;
        return true;
    }
    if (value && value->kind == V_ABSTRACT) { *out = 1; return true; }
    if (!value) diag_add(e->diags, D_E0606, span, "%s lacks %s", s->name, what);
    else if (value->kind == V_INT)
        diag_add(e->diags, D_E0314, span, "%s: is a whole number from 1; this is %lld", what,
                 (long long)value->integer);
    else diag_add(e->diags, D_E0314, span, "%s: is a whole number from 1; this is %s", what, value_kind_name(value));
    return false;
}

static bool on_test(Eval *e, const char *measure, const char *what, Span span) {
    if (strncmp(measure, "test", 4) != 0) return false;
    Diag *diag = diag_add(e->diags, D_E0609, span, "%s uses %s: the test set would choose the weights", what, measure);
    diag_hint(diag, "valid%s", measure + 4);
    return true;
}

/* The text of a measure's name: a bare name is a choice. */
static const char *measure_name(const Value *value) {
    return value && value->kind == V_CHOICE ? value->choice : value && value->kind == V_TEXT ? value->text : NULL;
}

/* stop: patience(n, measure) is { patience: n, measure: m }; take: best(m) is { best: m } (stdlib/sessions.nin). */
static bool read_stop(Eval *e, SessionSpec *s, const Value *record, Span span) {
    const Value *stop = given(record, "stop"), *take = given(record, "take");
    if (stop) {
        const Value *n = stop->kind == V_RECORD ? record_get(stop, "patience") : NULL;
        s->patience_measure = stop->kind == V_RECORD ? measure_name(record_get(stop, "measure")) : NULL;
        if (!n || n->kind != V_INT || n->integer < 1 || !s->patience_measure) {
            diag_add(e->diags, D_E0314, span, "stop is patience(n, measure); this is %s", value_kind_name(stop));
            return false;
        }
        s->patience = (int)n->integer;
        if (on_test(e, s->patience_measure, "stop", span)) return false;
        if (s->patience >= s->epochs)
            diag_add(e->diags, D_W0611, span, "patience of %d epochs never ends a session of %lld", s->patience,
                     (long long)s->epochs);
    }
    if (take && take->kind == V_RECORD) {
        s->best_measure = measure_name(record_get(take, "best"));
        if (!s->best_measure) {
            diag_add(e->diags, D_E0314, span, "take is last or best(measure); this is %s", value_kind_name(take));
            return false;
        }
        if (on_test(e, s->best_measure, "take", span)) return false;
    }
    return true;
}

/* `batch: all`: the bare name, as a choice or as the library's function of that name. */
static bool names_all(const Value *value) {
    if (!value) return false;
    if (value->kind == V_CALLABLE)
        return value->callable->def->library && strcmp(value->callable->def->name, "all") == 0;
    return value->kind == V_CHOICE && strcmp(value->choice, "all") == 0;
}

static bool known_field(Name name) {
    for (int i = 0; session_fields[i]; i++)
        if (session_fields[i][0] == name[0] && strcmp(session_fields[i], name) == 0) return true;
    return false;
}

/* A record of sessions, whatever their labels: `fit` is a good name for one. */
static bool all_sessions(const Value *record) {
    for (int i = 0; i < record->record->len; i++) {
        const Value *value = &record->record->at[i];
        if (value->kind != V_RECORD || !record_get(value, "loss") || !record_get(value, "epochs")) return false;
    }
    return true;
}

/* Is this record a session rather than a record of them?  Then some field is one of a session's. */
static bool is_session(const Value *record) {
    if (record->record->len && all_sessions(record)) return false;
    for (int i = 0; i < record->record->len; i++)
        if (known_field(record->record->name[i])) return true;
    return record->record->len == 0;
}

static bool session_read(Eval *e, const char *name, const Value *record, Span span, SessionSpec *s) {
    const char *title = strcmp(name, "session") ? arena_printf(e->arena, "session %s", name) : "the session";
    *s = (SessionSpec){.name = name, .title = title, .record = record};
    for (int i = 0; i < record->record->len; i++) {
        if (!known_field(record->record->name[i])) return unknown_field(e, record->record->name[i], span);
    }
    s->learn = given(record, "learn"); s->reset = given(record, "reset"); s->loss = given(record, "loss");
    s->optimizer = given(record, "optimizer"); s->take = given(record, "take"); s->clip = given(record, "clip");
    s->augment = given(record, "augment"); s->against = given(record, "against"); s->cells = given(record, "cells");
    s->fit = given(record, "fit"); s->to = given(record, "to");
    const char *missing = !s->learn && !s->fit ? "learn"
                          : s->fit && !s->to   ? "to"
                          : !s->loss           ? "loss"
                          : !s->optimizer      ? "optimizer"
                                               : NULL;
    if (missing) {
        Diag *diag = diag_add(e->diags, D_E0606, span,
                              strcmp(missing, "learn") ? "%s has no %s" : "say what %s learns: %s is missing", name,
                              missing);
        diag_hint(diag, "%s",
                  strcmp(missing, "learn") == 0  ? "learn: all"
                  : strcmp(missing, "to") == 0   ? "to: smooth_noise(over: -5..5, sigma: 1/3)"
                  : strcmp(missing, "loss") == 0 ? "loss: mse"
                                                 : "optimizer: adam[lr: 1e-3]");
        return false;
    }
    if (s->fit && s->learn) {
        diag_add(e->diags, D_E0314, span, "%s has both learn and fit: it trains the net, or the cells by themselves",
                 name);
        return false;
    }
    const Value *batch = given(record, "batch"), *order = given(record, "order");
    bool all = names_all(batch);
    if (!all && !read_count(e, s, batch, "batch", span, &s->batch)) return false;
    if (!read_count(e, s, given(record, "epochs"), "epochs", span, &s->epochs)) return false;
    if (s->clip &&
        !(s->clip->kind == V_ABSTRACT || (value_as_real(e, s->clip, span, &s->clip_norm) && s->clip_norm > 0))) {
        diag_add(e->diags, D_E0314, span, "clip of %s is a number above zero: the largest norm of the gradient", name);
        return false;
    }
    if (!augment_read(e, s, span) || !against_read(e, s, span)) return false;
    s->given_order = order && order->kind == V_CHOICE && strcmp(order->choice, "given") == 0;
    return read_stop(e, s, record, span);
}

bool schedule_read(Eval *e, const Value *with, Span span, Schedule *out) {
    *out = (Schedule){0};
    if (with->kind != V_RECORD) {
        diag_add(e->diags, D_E0314, span, "with: takes a session or a record of sessions; this is %s",
                 value_kind_name(with));
        return false;
    }
    bool single = is_session(with);
    int n = single ? 1 : with->record->len;
    out->session = arena_array(e->arena, SessionSpec, n);
    for (int i = 0; i < n; i++) {
        const char *name = single ? "session" : with->record->name[i];
        if (!session_read(e, name, single ? with : &with->record->at[i], span, &out->session[i])) return false;
        out->sessions++;
    }
    return true;
}
