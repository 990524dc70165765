/* outputs.c -- see outputs.h. */
#include "report/outputs.h"

#include <dirent.h>
#include <stdlib.h>

#include "support/file.h"

enum { MOST_COLUMNS = 64 };

/* ---- folders ---- */
static bool digit(char c) { return c >= '0' && c <= '9'; }

/* "seed-2" before "seed-10". */
static int by_name(const void *a, const void *b) {
    const char *x = *(const char *const *)a, *y = *(const char *const *)b, *whole_x = x, *whole_y = y;
    while (*x && *y) {
        if (digit(*x) && digit(*y)) {
            while (*x == '0' && digit(x[1])) x++;
            while (*y == '0' && digit(y[1])) y++;
            size_t n = strspn(x, "0123456789"), m = strspn(y, "0123456789");
            int order = n != m ? (n > m) - (n < m) : strncmp(x, y, n);
            if (order) return order;
            x += n, y += m;
        } else if (*x != *y) {
            return (unsigned char)*x - (unsigned char)*y;
        } else {
            x++, y++;
        }
    }
    int order = (unsigned char)*x - (unsigned char)*y;
    return order ? order : strcmp(whole_x, whole_y);
}

Names folder_names(Arena *arena, const char *folder) {
    Names names = {0};
    DIR *dir = opendir(folder);
    for (struct dirent *entry; dir && (entry = readdir(dir));)
        if (entry->d_name[0] != '.' && !strstr(entry->d_name, ".tmp-"))
            vec_push(arena, &names.list, (const char *)arena_copy(arena, entry->d_name, strlen(entry->d_name)));
    if (dir) closedir(dir);
    if (names.list.len) qsort(names.list.at, (size_t)names.list.len, sizeof *names.list.at, by_name);
    return names;
}

bool folder_is_experiment(Arena *arena, const char *folder) {
    return file_exists(path_join(arena, folder, "run.json")) || file_exists(path_join(arena, folder, "records.jsonl"));
}

Names lines_of(Arena *arena, char *text) {
    Names lines = {0};
    for (char *line; text && (line = strsep(&text, "\n"));)
        if (*line) vec_push(arena, &lines.list, (const char *)line);
    return lines;
}

/* ---- tables ---- */
/* A field as it was: a number where it looks like one. */
static Datum field_datum(Arena *arena, const char *text) {
    char *end;
    if (!*text) return datum_null();
    long long whole = strtoll(text, &end, 10);
    if (!*end) return datum_int(whole);
    double x = strtod(text, &end);
    return !*end ? datum_number(x) : datum_text(arena_copy(arena, text, strlen(text)));
}

bool table_read(Arena *arena, const char *title, char *text, Table *table) {
    Names lines = lines_of(arena, text);
    const char **name = arena_array(arena, const char *, MOST_COLUMNS);
    int columns = 0;
    if (!lines.list.len) return false;
    char *head = arena_copy(arena, lines.list.at[0], strlen(lines.list.at[0]));
    for (char *field; columns < MOST_COLUMNS && (field = strsep(&head, "\t"));) name[columns++] = field;
    Datum *at = arena_array(arena, Datum, columns * lines.list.len + 1);
    for (int i = 1; i < lines.list.len; i++) {
        char *line = arena_copy(arena, lines.list.at[i], strlen(lines.list.at[i]));
        for (int k = 0; k < columns; k++) {
            char *field = strsep(&line, "\t");
            at[(i - 1) * columns + k] = field_datum(arena, field ? field : "");
        }
    }
    *table = (Table){.title = title, .columns = columns, .rows = lines.list.len - 1, .name = name, .at = at};
    return true;
}

void field_text(Buf *out, const json_t *value) {
    char number[32];
    char *text =
        json_is_string(value) || json_is_real(value) ? NULL : json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
    const char *shown = text ? text : json_string_value(value);
    if (json_is_real(value)) {
        text_of_f64(number, json_real_value(value));
        shown = number;
    }
    for (; shown && *shown; shown++) {
        if (*shown == '\t') buf_text(out, "\\t");
        else if (*shown == '\n') buf_text(out, "\\n");
        else buf_put(out, shown, 1);
    }
    free(text);
}

/* ---- seeds ---- */
/* Rows of one `record` (the same fields) and of the same loop names before the seed. */
typedef struct SeedGroup { const char *fields, *keys; VEC(long long) seeds; } SeedGroup;
typedef struct SeedGroups { Arena *arena; VEC(SeedGroup) groups; } SeedGroups;

static bool has_seed(const SeedGroup *group, long long seed) {
    for (int i = 0; i < group->seeds.len; i++)
        if (group->seeds.at[i] == seed) return true;
    return false;
}

static SeedGroup *seed_group(SeedGroups *s, const char *fields, const char *keys) {
    for (int i = s->groups.len - 1; i >= 0; i--)
        if (strcmp(s->groups.at[i].keys, keys) == 0 && strcmp(s->groups.at[i].fields, fields) == 0)
            return &s->groups.at[i];
    SeedGroup group = {.fields = fields, .keys = keys};
    vec_push(s->arena, &s->groups, group);
    return &s->groups.at[s->groups.len - 1];
}

static void seeds_row(SeedGroups *s, json_t *row) {
    Buf fields = {0}, keys = {0};
    const char *key;
    json_t *value, *seed = json_object_get(row, "seed");
    bool before = true;
    if (!json_is_integer(seed)) return;
    json_object_foreach(row, key, value) {
        before &= strcmp(key, "seed") != 0;
        buf_printf(&fields, "%s ", key);
        if (!before) continue;
        buf_printf(&keys, "%s%s = ", keys.len ? ", " : "", key);
        field_text(&keys, value);
    }
    SeedGroup *group = seed_group(s, buf_done(&fields, s->arena), buf_done(&keys, s->arena));
    if (!has_seed(group, json_integer_value(seed)))
        vec_push(s->arena, &group->seeds, (long long)json_integer_value(seed));
}

/* All seeds of the rows with the same fields: those that any group has. */
static SeedGroup all_seeds(SeedGroups *s, const SeedGroup *like) {
    SeedGroup all = {0};
    for (int i = 0; i < s->groups.len; i++)
        for (int k = 0; k < s->groups.at[i].seeds.len && strcmp(s->groups.at[i].fields, like->fields) == 0; k++)
            if (!has_seed(&all, s->groups.at[i].seeds.at[k]))
                vec_push(s->arena, &all.seeds, s->groups.at[i].seeds.at[k]);
    return all;
}

SeedGaps seeds_missing(Arena *arena, Names lines) {
    SeedGroups s = {.arena = arena};
    SeedGaps gaps = {0};
    for (int i = 0; i < lines.list.len; i++) {
        json_t *row = json_loads(lines.list.at[i], 0, NULL);
        if (row) seeds_row(&s, row);
        json_decref(row);
    }
    for (int i = 0; i < s.groups.len; i++) {
        const SeedGroup *group = &s.groups.at[i];
        SeedGroup all = all_seeds(&s, group);
        if (all.seeds.len == group->seeds.len) continue;
        SeedGap gap = {.keys = group->keys, .have = group->seeds.len, .of = all.seeds.len};
        for (int k = 0; k < all.seeds.len; k++)
            if (!has_seed(group, all.seeds.at[k])) vec_push(arena, &gap.missing, all.seeds.at[k]);
        vec_push(arena, &gaps.at, gap);
    }
    return gaps;
}

/* ---- rows ---- */
typedef struct RowsBuild {
    const char *fields;
    const char **name;
    int columns;
    int64_t total;
    VEC(Datum) at;
} RowsBuild;

static Datum row_datum(Arena *arena, const json_t *value) {
    Buf text = {0};
    if (json_is_integer(value)) return datum_int(json_integer_value(value));
    if (json_is_real(value)) return datum_number(json_real_value(value));
    if (json_is_boolean(value)) return datum_bool(json_is_true(value));
    if (json_is_null(value)) return datum_null();
    if (json_is_array(value)) buf_printf(&text, "[%zu values]", json_array_size(value));
    else if (json_is_object(value)) buf_text(&text, "{...}");
    else field_text(&text, value);
    return datum_text(buf_done(&text, arena));
}

static const char *row_fields(Arena *arena, json_t *row) {
    Buf fields = {0};
    const char *key;
    json_t *value;
    json_object_foreach(row, key, value) {
        json_text(&fields, key);
    }
    return buf_done(&fields, arena);
}

static void row_add_to(Arena *arena, RowsBuild *set, json_t *row, int64_t most) {
    const char *key;
    json_t *value;
    int k = 0;
    if (set->total++ >= most) return;
    json_object_foreach(row, key, value)
        if (k++ < MOST_COLUMNS) vec_push(arena, &set->at, row_datum(arena, value));
}

static RowsBuild rows_new(Arena *arena, json_t *row, const char *fields) {
    RowsBuild set = {.fields = fields, .name = arena_array(arena, const char *, MOST_COLUMNS)};
    const char *key;
    json_t *value;
    json_object_foreach(row, key, value)
        if (set.columns < MOST_COLUMNS) set.name[set.columns++] = arena_copy(arena, key, strlen(key));
    return set;
}

RowsOfAll rows_read(Arena *arena, Names lines, int64_t most) {
    VEC(RowsBuild) sets = {0};
    RowsOfAll all = {.total = lines.list.len};
    Arena *scratch = arena_new();
    for (int i = 0; i < lines.list.len; i++) {
        json_t *row = json_loads(lines.list.at[i], 0, NULL);
        all.damaged += !json_is_object(row);
        if (json_is_object(row)) {
            const char *fields = row_fields(scratch, row);
            int s = 0;
            while (s < sets.len && strcmp(sets.at[s].fields, fields) != 0) s++;
            if (s == sets.len) vec_push(arena, &sets, rows_new(arena, row, arena_copy(arena, fields, strlen(fields))));
            row_add_to(arena, &sets.at[s], row, most);
        }
        json_decref(row);
    }
    arena_free(scratch);
    for (int s = 0; s < sets.len; s++) {
        const RowsBuild *set = &sets.at[s];
        Table table = {.columns = set->columns,
                       .rows = set->columns ? set->at.len / set->columns : 0,
                       .name = set->name,
                       .at = set->at.at};
        vec_push(arena, &all.sets, ((RowsRead){table, set->total}));
    }
    return all;
}
