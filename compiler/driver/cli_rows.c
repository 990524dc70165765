/* cli_rows.c -- the rows that experiments recorded: as tables, as TSV or JSON, those that --where wants; seeds that are
 * missing. */
#include <stdio.h>
#include <stdlib.h>

#include "driver/cli_results.h"
#include "support/file.h"

enum { MOST_COLUMNS = 64 };

/* ---- tables again ---- */

void results_table(Cli *cli, const char *title, char *text)
{
    Table table;
    if (!table_read(cli->arena, title, text, &table))
        return;
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
        field_text(&r->out, json_object_get(row, columns.list.at[k]));
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

void results_seeds(Cli *cli, Names lines)
{
    SeedGaps gaps = seeds_missing(cli->arena, lines);
    for (int i = 0; i < gaps.at.len; i++) {
        const SeedGap *gap = &gaps.at.at[i];
        printf("incomplete: %s has %d of %d seeds; missing:", gap->keys, gap->have, gap->of);
        for (int k = 0; k < gap->missing.len; k++)
            printf(" %lld", gap->missing.at[k]);
        printf("\n");
    }
}
