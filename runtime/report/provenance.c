/* provenance.c -- see provenance.h. */
#include "report/provenance.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>

static json_t *json_of(const Datum *datum) {
    char number[32];
    switch (datum->kind) {
    case DATUM_NULL: return json_null();
    case DATUM_BOOL: return json_boolean(datum->boolean);
    case DATUM_INT: return json_integer(datum->integer);
    case DATUM_NUMBER:
        if (isfinite(datum->number)) return json_real(datum->number);
        text_of_f64(number, datum->number);
        return json_string(number);
    case DATUM_TEXT: return json_string(datum->text);
    case DATUM_LIST: break;
    }
    json_t *list = json_array();
    for (int i = 0; i < datum->list.len; i++) json_array_append_new(list, json_of(&datum->list.at[i]));
    return list;
}

static void set_text(json_t *object, const char *key, const char *text) {
    if (text) json_object_set_new(object, key, json_string(text));
}

static void set_fields(json_t *object, const char *key, const Field *fields, int count) {
    json_t *inner = json_object();
    for (int i = 0; i < count; i++) json_object_set_new(inner, fields[i].name, json_of(&fields[i].value));
    json_object_set_new(object, key, inner);
}

static json_t *run_object(const Provenance *p) {
    json_t *run = json_object(), *data = json_object(), *notes = json_array(), *machine = json_object();
    set_text(run, "nin", p->version);
    json_object_set_new(run, "semantics", json_integer(p->semantics));
    set_text(run, "compiler", p->compiler);
    set_text(run, "program", p->program);
    set_text(run, "program_sha256", p->program_sha256);
    set_text(run, "experiment", p->experiment);
    set_text(run, "precision", p->precision);
    for (int i = 0; i < p->data_count; i++) set_text(data, p->data[i].name, p->data[i].sha256);
    json_object_set_new(run, "data", data);
    set_fields(run, "settings", p->settings, p->setting_count);
    set_fields(run, "seeds", p->seeds, p->seed_count);
    set_fields(run, "defaults", p->defaults, p->default_count);
    for (int i = 0; i < p->note_count; i++) json_array_append_new(notes, json_string(p->notes[i]));
    json_object_set_new(run, "notes", notes);
    set_text(machine, "cpu", p->cpu);
    set_text(machine, "target", p->target);
    json_object_set_new(machine, "threads", json_integer(p->threads));
    json_object_set_new(run, "machine", machine);
    return run;
}

bool provenance_write(Arena *arena, const char *path, const Provenance *provenance, FileSync sync, char **error) {
    json_t *run = run_object(provenance);
    char *text = json_dumps(run, JSON_SORT_KEYS | JSON_INDENT(2) | JSON_REAL_PRECISION(17));
    json_decref(run);
    if (!text) {
        *error = arena_printf(arena, "%s: out of memory", path);
        return false;
    }
    char *line = arena_printf(arena, "%s\n", text);
    free(text);
    return file_write(arena, path, line, strlen(line), sync, error);
}

/* The kernel's description of the first processor; files below /proc have no size, so they are read piece by piece. */
char *provenance_cpu(Arena *arena) {
    static const char *const keys[] = {"model name", "Model", "cpu model"};
    char text[16384], *name = NULL;
    FILE *file = fopen("/proc/cpuinfo", "re");
    if (!file) return arena_copy(arena, "unknown", 7);
    text[fread(text, 1, sizeof text - 1, file)] = 0;
    fclose(file);
    for (int i = 0; i < COUNT(keys) && !name; i++) {
        char *line = strstr(text, keys[i]), *colon = line ? strchr(line, ':') : NULL;
        if (!colon || colon[1] != ' ') continue;
        name = arena_copy(arena, colon + 2, strcspn(colon + 2, "\n"));
    }
    return name ? name : arena_copy(arena, "unknown", 7);
}
