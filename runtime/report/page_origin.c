/* page_origin.c -- where the numbers of an experiment come from: run.json, the runs, the command. */
#include <stdlib.h>
#include <unistd.h>

#include "report/page_parts.h"
#include "support/file.h"

enum { MOST_RUNS = 400, MOST_SEEDS = 100000, MOST_MEASURES = 12 };

void ranges_text(Buf *out, const long long *at, int n) {
    for (int i = 0, end; i < n; i = end) {
        for (end = i + 1; end < n && at[end] == at[end - 1] + 1; end++) {}
        buf_printf(out, end - i > 2 ? "%s%lld\xe2\x80\x93%lld" : "%s%lld", i ? ", " : "", at[i], at[end - 1]);
        if (end - i == 2) buf_printf(out, ", %lld", at[i + 1]);
    }
}

static int ascending(const void *a, const void *b) {
    long long x = *(const long long *)a, y = *(const long long *)b;
    return (x > y) - (x < y);
}

static const char *text_in(const json_t *object, const char *key) {
    const char *text = json_string_value(json_object_get(object, key));
    return text && *text ? text : NULL;
}

/* ---- the command ---- */
/* A word for a shell. */
static void put_word(Buf *out, const char *word) {
    size_t plain = strspn(word, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_./=-+:,@%");
    if (*word && !word[plain]) {
        buf_text(out, word);
        return;
    }
    buf_text(out, "'");
    for (; *word; word++) {
        if (*word == '\'') buf_text(out, "'\\''");
        else buf_put(out, word, 1);
    }
    buf_text(out, "'");
}

void page_command(Section *s, Buf *out) {
    const char *precision = text_in(s->origin, "precision"), *name;
    json_t *value;
    Buf word = {0};
    buf_printf(&word, "%s.nin", s->program);
    buf_put(&word, "", 1);
    buf_text(out, "nin run ");
    put_word(out, word.at);
    buf_text(out, " --experiment ");
    put_word(out, s->name);
    if (precision && strcmp(precision, "f32") != 0) buf_printf(out, " --precision "), put_word(out, precision);
    json_object_foreach(json_object_get(s->origin, "settings"), name, value) {
        word.len = 0;
        buf_printf(&word, "%s=", name);
        field_text(&word, value);
        buf_put(&word, "", 1);
        buf_text(out, " --set ");
        put_word(out, word.at);
    }
    buf_free(&word);
}

/* ---- the list ---- */
static void put_term(Buf *out, const char *term) {
    buf_text(out, "<dt>");
    html_text(out, term);
    buf_text(out, "</dt><dd>");
}

static void put_hash(Buf *out, const char *hash) {
    if (!hash) return;
    buf_text(out, " <span class=\"hash\">");
    html_text(out, hash);
    buf_text(out, "</span>");
}

static void put_item(Buf *out, const char *term, const char *text) {
    if (!text) return;
    put_term(out, term);
    html_text(out, text);
    buf_text(out, "</dd>\n");
}

/* "train.precision = f32, ..." */
static void put_fields(Section *s, const char *term, const json_t *fields) {
    Buf text = {0};
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)fields, name, value) {
        buf_printf(&text, "%s%s = ", text.len ? ", " : "", name);
        field_text(&text, value);
    }
    if (text.len) {
        buf_put(&text, "", 1);
        put_item(s->out, term, text.at);
    }
    buf_free(&text);
}

static void put_data(Section *s) {
    const char *name;
    json_t *hash;
    json_object_foreach(json_object_get(s->origin, "data"), name, hash) {
        put_term(s->out, "Data");
        html_text(s->out, name);
        put_hash(s->out, json_string_value(hash));
        buf_text(s->out, "</dd>\n");
    }
}

/* Lists of whole numbers as ranges. */
static void put_seeds(Section *s) {
    const char *name;
    json_t *list;
    json_object_foreach(json_object_get(s->origin, "seeds"), name, list) {
        int n = (int)json_array_size(list);
        if (n < 1 || n > MOST_SEEDS) continue;
        long long *at = arena_array(s->arena, long long, n);
        for (int i = 0; i < n; i++) at[i] = json_integer_value(json_array_get(list, (size_t)i));
        qsort(at, (size_t)n, sizeof *at, ascending);
        Buf text = {0};
        ranges_text(&text, at, n);
        buf_put(&text, "", 1);
        put_item(s->out, strcmp(name, "seed") ? name : "Seeds", text.at);
        buf_free(&text);
    }
}

static void put_machine(Section *s) {
    const json_t *machine = json_object_get(s->origin, "machine");
    const char *cpu = text_in(machine, "cpu"), *target = text_in(machine, "target");
    long long threads = json_integer_value(json_object_get(machine, "threads"));
    if (!cpu) return;
    put_item(s->out, "Machine",
             arena_printf(s->arena, "%s, %lld thread%s, compiled for %s (no result depends on it)", cpu, threads,
                          threads == 1 ? "" : "s", target ? target : "host"));
}

void page_origin(Section *s) {
    const json_t *o = s->origin;
    if (!o) return;
    buf_text(s->out, "<details><summary>Where the numbers come from</summary>\n<dl>\n");
    put_term(s->out, "Program");
    html_text(s->out, s->program);
    put_hash(s->out, text_in(o, "program_sha256"));
    buf_text(s->out, "</dd>\n");
    put_data(s);
    put_seeds(s);
    put_fields(s, "Settings", json_object_get(o, "settings"));
    put_fields(s, "Defaults in force", json_object_get(o, "defaults"));
    const char *version = text_in(o, "nin"), *compiler = text_in(o, "compiler");
    put_item(s->out, "Code",
             arena_printf(s->arena, "nin %s, arithmetic of version %lld%s%s", version ? version : "?",
                          (long long)json_integer_value(json_object_get(o, "semantics")),
                          compiler ? ", compiled by " : "", compiler ? compiler : ""));
    put_machine(s);
    put_item(s->out, "Files", s->folder);
    buf_text(s->out, "</dl></details>\n");
}

/* ---- runs ---- */
typedef struct RunRow { const char *keys, *hash; int64_t epochs; json_t *curve; } RunRow;

/* OUT/runs/HASH behind KEYS.safetensors, for a hash that is one. */
static bool run_row(Section *s, const char *link, RunRow *row) {
    static const char ending[] = "/weights.safetensors";
    char target[4096];
    ssize_t n = readlink(path_join(s->arena, s->folder, link), target, sizeof target - 1);
    if (n <= 0) return false;
    target[n] = 0;
    if (!name_ends(target, ending)) return false;
    target[n - (ssize_t)sizeof ending + 1] = 0;
    const char *slash = strrchr(target, '/');
    if (!slash || strlen(slash + 1) != 64 || strspn(slash + 1, "0123456789abcdef") != 64) return false;
    size_t length = strlen(link), end = sizeof ".safetensors" - 1;
    row->keys = arena_copy(s->arena, link, length - end);
    row->hash = arena_copy(s->arena, slash + 1, 12);
    const char *curve = path_join(s->arena, path_join(s->arena, s->folder, target), "curve.json");
    row->curve = file_exists(curve) ? json_load_file(curve, 0, NULL) : NULL;
    json_t *epoch = json_object_get(row->curve, "epoch");
    row->epochs = json_array_size(epoch) ? json_integer_value(json_array_get(epoch, json_array_size(epoch) - 1)) : -1;
    return true;
}

static void measures_of(Section *s, const json_t *curve, Names *names) {
    const char *name;
    json_t *column;
    json_object_foreach(json_object_get(curve, "columns"), name, column) {
        bool known = names->list.len == MOST_MEASURES;
        for (int i = 0; !known && i < names->list.len; i++) known = strcmp(names->list.at[i], name) == 0;
        if (!known) vec_push(s->arena, &names->list, (const char *)arena_copy(s->arena, name, strlen(name)));
    }
}

static Datum last_of(const json_t *curve, const char *name) {
    const json_t *column = json_object_get(json_object_get(curve, "columns"), name);
    const char *text =
        json_string_value(json_array_get(column, json_array_size(column) ? json_array_size(column) - 1 : 0));
    return text ? datum_number(strtod(text, NULL)) : datum_null();
}

static Table runs_table(Section *s, const RunRow *rows, int n, const Names *measures) {
    int columns = 3 + measures->list.len;
    const char **name = arena_array(s->arena, const char *, columns);
    Datum *at = arena_array(s->arena, Datum, columns * n + 1);
    name[0] = "run", name[1] = "hash", name[2] = "epochs";
    for (int k = 0; k < measures->list.len; k++) name[3 + k] = measures->list.at[k];
    for (int i = 0; i < n; i++) {
        Datum *row = at + i * columns;
        row[0] = datum_text(rows[i].keys);
        row[1] = datum_text(rows[i].hash);
        row[2] = rows[i].epochs >= 0 ? datum_int(rows[i].epochs) : datum_null();
        for (int k = 0; k < measures->list.len; k++) row[3 + k] = last_of(rows[i].curve, measures->list.at[k]);
    }
    return (Table){.columns = columns, .rows = n, .name = name, .at = at};
}

void page_runs(Section *s) {
    RunRow *rows = arena_array(s->arena, RunRow, MOST_RUNS);
    Names measures = {0};
    int n = 0, total = 0;
    for (int i = 0; i < s->files.list.len; i++) {
        if (!name_ends(s->files.list.at[i], ".safetensors")) continue;
        total++;
        if (n == MOST_RUNS || !run_row(s, s->files.list.at[i], &rows[n])) continue;
        measures_of(s, rows[n++].curve, &measures);
    }
    s->counts->runs += total;
    if (n) {
        Table table = runs_table(s, rows, n, &measures);
        buf_printf(s->out,
                   n < total ? "<details><summary>Runs (%d of %d)</summary>\n"
                             : "<details><summary>Runs (%d)</summary>\n",
                   n, total);
        html_table(s->out, s->arena, &table, NULL, 0);
        buf_text(s->out, "</details>\n");
    }
    for (int i = 0; i < n; i++) json_decref(rows[i].curve);
}
