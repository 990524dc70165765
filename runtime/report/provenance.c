/* provenance.c -- see provenance.h. */
#include "report/provenance.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- an object under construction: members are given in sorted order ---- */
typedef struct Object { Buf *out; int indent; bool any; } Object;

static void member(Object *object, const char *key) {
    buf_text(object->out, object->any ? ",\n" : "{\n");
    buf_printf(object->out, "%*s", object->indent + 2, "");
    json_text(object->out, key);
    buf_text(object->out, ": ");
    object->any = true;
}

static void object_end(Object *object) {
    if (object->any) buf_printf(object->out, "\n%*s}", object->indent, "");
    else buf_text(object->out, "{}");
}

static void set_text(Object *object, const char *key, const char *text) {
    if (!text) return;
    member(object, key);
    json_text(object->out, text);
}

static void set_int(Object *object, const char *key, int x) {
    member(object, key);
    buf_printf(object->out, "%d", x);
}

static int by_name(const void *a, const void *b) { return strcmp(((const Field *)a)->name, ((const Field *)b)->name); }

static void set_fields(Object *object, Arena *arena, const char *key, const Field *fields, int count) {
    Object inner = {object->out, object->indent + 2, false};
    Field *sorted = arena_array(arena, Field, count + 1);
    if (count) memcpy(sorted, fields, sizeof *sorted * (size_t)count);
    qsort(sorted, (size_t)count, sizeof *sorted, by_name);
    member(object, key);
    for (int i = 0; i < count; i++) {
        member(&inner, sorted[i].name);
        json_datum(inner.out, &sorted[i].value);
    }
    object_end(&inner);
}

static void set_notes(Object *object, const Provenance *p) {
    member(object, "notes");
    buf_text(object->out, "[");
    for (int i = 0; i < p->note_count; i++) {
        if (i) buf_text(object->out, ", ");
        json_text(object->out, p->notes[i]);
    }
    buf_text(object->out, "]");
}

static void set_machine(Object *object, const Provenance *p) {
    Object machine = {object->out, object->indent + 2, false};
    member(object, "machine");
    set_text(&machine, "cpu", p->cpu);
    set_text(&machine, "target", p->target);
    set_int(&machine, "threads", p->threads);
    object_end(&machine);
}

bool provenance_write(Arena *arena, const char *path, const Provenance *p, FileSync sync, char **error) {
    Buf text = {0};
    Object run = {&text, 0, false};
    Field *data = arena_array(arena, Field, p->data_count + 1);
    for (int i = 0; i < p->data_count; i++) data[i] = (Field){p->data[i].name, datum_text(p->data[i].sha256)};
    set_text(&run, "compiler", p->compiler);
    set_fields(&run, arena, "data", data, p->data_count);
    set_fields(&run, arena, "defaults", p->defaults, p->default_count);
    set_text(&run, "experiment", p->experiment);
    set_machine(&run, p);
    set_text(&run, "nin", p->version);
    set_notes(&run, p);
    set_text(&run, "precision", p->precision);
    set_text(&run, "program", p->program);
    set_text(&run, "program_sha256", p->program_sha256);
    set_fields(&run, arena, "seeds", p->seeds, p->seed_count);
    set_int(&run, "semantics", p->semantics);
    set_fields(&run, arena, "settings", p->settings, p->setting_count);
    object_end(&run);
    buf_text(&text, "\n");
    bool ok = file_write(arena, path, text.at, text.len, sync, error);
    buf_free(&text);
    return ok;
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
