/* cli_rows.c -- the rows that experiments recorded: as tables, as TSV or JSON, those that --where wants; seeds that are missing. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "driver/cli_results.h"
#include "report/table.h"
#include "support/file.h"

enum { MOST_COLUMNS = 64 };

/* ---- tables again ---- */

/* A field of a TSV as it was: a number where it looks like one. */
static Datum field_datum(Arena *arena, const char *text)
{
    char *end;
    if (!*text)
        return datum_null();
    long long whole = strtoll(text, &end, 10);
    if (!*end)
        return datum_int(whole);
    double x = strtod(text, &end);
    return !*end ? datum_number(x) : datum_text(arena_copy(arena, text, strlen(text)));
}

void results_table(Cli *cli, const char *title, char *text)
{
    Names lines = lines_of(cli->arena, text);
    const char *name[MOST_COLUMNS];
    int columns = 0;
    if (!lines.list.len)
        return;
    char *head = arena_copy(cli->arena, lines.list.at[0], strlen(lines.list.at[0]));
    for (char *field; columns < MOST_COLUMNS && (field = strsep(&head, "\t"));)
        name[columns++] = field;
    Datum *at = arena_array(cli->arena, Datum, columns * lines.list.len + 1);
    for (int i = 1; i < lines.list.len; i++) {
        char *line = arena_copy(cli->arena, lines.list.at[i], strlen(lines.list.at[i]));
        for (int k = 0; k < columns; k++) {
            char *field = strsep(&line, "\t");
            at[(i - 1) * columns + k] = field_datum(cli->arena, field ? field : "");
        }
    }
    Table table = {.title = title, .columns = columns, .rows = lines.list.len - 1, .name = name, .at = at};
    TableStyle style = {.width = cli->out_terminal ? cli->width : 0, .bold = cli->out_terminal && cli->color};
    Buf out = {0};
    table_text(&table, &style, &out);
    printf("%.*s\n", (int)out.len, out.at);
    buf_free(&out);
}

/* ---- rows by key ---- */

static bool row_wanted(const Cli *cli, json_t *row)
{
    for (int i = 0; i < cli->where.len; i++) {
        const char *equals = strchr(cli->where.at[i], '=');
        json_t *value = json_object_getn(row, cli->where.at[i], (size_t)(equals - cli->where.at[i]));
        char *shown = json_is_string(value) ? NULL : value ? json_dumps(value, JSON_ENCODE_ANY) : NULL;
        const char *text = json_is_string(value) ? json_string_value(value) : shown;
        bool same = text && strcmp(text, equals + 1) == 0;
        if (!same && json_is_number(value)) {
            char *end;
            double x = strtod(equals + 1, &end);
            same = equals[1] && !*end && x == json_number_value(value);
        }
        free(shown);
        if (!same)
            return false;
    }
    return true;
}

static void put_field(Buf *out, json_t *value)
{
    char number[32];
    char *text = json_is_string(value) || json_is_real(value) ? NULL : json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
    const char *shown = text ? text : json_string_value(value);
    if (json_is_real(value)) {
        text_of_f64(number, json_real_value(value));
        shown = number;
    }
    for (; shown && *shown; shown++) {
        if (*shown == '\t')
            buf_text(out, "\\t");
        else if (*shown == '\n')
            buf_text(out, "\\n");
        else
            buf_put(out, shown, 1);
    }
    free(text);
}

typedef struct Rows { Cli *cli; Buf out; Names columns; } Rows;

/* The rows of one `record` are shown together: they have the same columns. */
static void rows_flush(Rows *r)
{
    buf_put(&r->out, "", 1);
    if (r->out.len > 1 && r->cli->tsv)
        fputs(r->out.at, stdout);
    else if (r->out.len > 1)
        results_table(r->cli, "rows", r->out.at);
    r->out.len = 0;
    r->columns.list.len = 0;
}

static bool same_columns(const Rows *r, const Names *columns)
{
    bool same = r->columns.list.len == columns->list.len;
    for (int k = 0; same && k < columns->list.len; k++)
        same = strcmp(r->columns.list.at[k], columns->list.at[k]) == 0;
    return same;
}

static void row_put(Rows *r, json_t *row)
{
    Names columns = {0};
    const char *key;
    json_t *value;
    json_object_foreach(row, key, value)
        if ((r->cli->tsv || !json_is_array(value)) && columns.list.len < MOST_COLUMNS)
            vec_push(r->cli->arena, &columns.list, (const char *)arena_copy(r->cli->arena, key, strlen(key)));
    if (!same_columns(r, &columns)) {
        rows_flush(r);
        r->columns = columns;
        for (int k = 0; k < columns.list.len; k++)
            buf_printf(&r->out, "%s%s", k ? "\t" : "", columns.list.at[k]);
        buf_text(&r->out, "\n");
    }
    for (int k = 0; k < columns.list.len; k++) {
        buf_text(&r->out, k ? "\t" : "");
        put_field(&r->out, json_object_get(row, columns.list.at[k]));
    }
    buf_text(&r->out, "\n");
}

bool results_rows(Cli *cli, const char *folder)
{
    size_t length;
    char *text = results_file(cli, path_join(cli->arena, folder, "records.jsonl"), &length);
    Names lines = lines_of(cli->arena, text);
    Rows rows = {.cli = cli};
    bool ok = text != NULL;
    for (int i = 0; ok && i < lines.list.len; i++) {
        json_error_t error;
        json_t *row = json_loads(lines.list.at[i], 0, &error);
        ok = row != NULL;
        if (!ok)
            cli_error(cli, "%s/records.jsonl: line %d: %s", folder, i + 1, error.text);
        else if (row_wanted(cli, row) && cli->style == DIAG_JSON)
            printf("%s\n", lines.list.at[i]);
        else if (row_wanted(cli, row))
            row_put(&rows, row);
        json_decref(row);
    }
    rows_flush(&rows);
    buf_free(&rows.out);
    return ok;
}

/* ---- seeds that are missing ---- */

/* Rows of one `record` (the same fields) and of the same loop names before the seed. */
typedef struct SeedGroup { const char *fields, *keys; VEC(long long) seeds; } SeedGroup;
typedef struct SeedGroups { Cli *cli; VEC(SeedGroup) groups; } SeedGroups;

static bool has_seed(const SeedGroup *group, long long seed)
{
    for (int i = 0; i < group->seeds.len; i++)
        if (group->seeds.at[i] == seed)
            return true;
    return false;
}

static SeedGroup *seed_group(SeedGroups *s, const char *fields, const char *keys)
{
    for (int i = 0; i < s->groups.len; i++)
        if (strcmp(s->groups.at[i].fields, fields) == 0 && strcmp(s->groups.at[i].keys, keys) == 0)
            return &s->groups.at[i];
    SeedGroup group = {.fields = fields, .keys = keys};
    vec_push(s->cli->arena, &s->groups, group);
    return &s->groups.at[s->groups.len - 1];
}

static void seeds_row(SeedGroups *s, json_t *row)
{
    Buf fields = {0}, keys = {0};
    const char *key;
    json_t *value, *seed = json_object_get(row, "seed");
    bool before = true;
    if (!json_is_integer(seed))
        return;
    json_object_foreach(row, key, value) {
        before &= strcmp(key, "seed") != 0;
        buf_printf(&fields, "%s ", key);
        if (!before)
            continue;
        buf_printf(&keys, "%s%s = ", keys.len ? ", " : "", key);
        put_field(&keys, value);
    }
    SeedGroup *group = seed_group(s, buf_done(&fields, s->cli->arena), buf_done(&keys, s->cli->arena));
    if (!has_seed(group, json_integer_value(seed)))
        vec_push(s->cli->arena, &group->seeds, (long long)json_integer_value(seed));
}

/* All seeds of the rows with the same fields: those that any group has. */
static SeedGroup all_seeds(SeedGroups *s, const SeedGroup *like)
{
    SeedGroup all = {0};
    for (int i = 0; i < s->groups.len; i++)
        for (int k = 0; k < s->groups.at[i].seeds.len && strcmp(s->groups.at[i].fields, like->fields) == 0; k++)
            if (!has_seed(&all, s->groups.at[i].seeds.at[k]))
                vec_push(s->cli->arena, &all.seeds, s->groups.at[i].seeds.at[k]);
    return all;
}

void results_seeds(Cli *cli, Names lines)
{
    SeedGroups s = {.cli = cli};
    for (int i = 0; i < lines.list.len; i++) {
        json_error_t error;
        json_t *row = json_loads(lines.list.at[i], 0, &error);
        if (row)
            seeds_row(&s, row);
        json_decref(row);
    }
    for (int i = 0; i < s.groups.len; i++) {
        const SeedGroup *group = &s.groups.at[i];
        SeedGroup all = all_seeds(&s, group);
        if (all.seeds.len == group->seeds.len)
            continue;
        printf("incomplete: %s has %d of %d seeds; missing:", group->keys, group->seeds.len, all.seeds.len);
        for (int k = 0; k < all.seeds.len; k++)
            if (!has_seed(group, all.seeds.at[k]))
                printf(" %lld", all.seeds.at[k]);
        printf("\n");
    }
}
