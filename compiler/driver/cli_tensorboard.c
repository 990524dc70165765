/* cli_tensorboard.c -- nin results FOLDER --tensorboard TO: TO/PROGRAM/EXPERIMENT/KEYS/events.out.tfevents.nin for each
 * run that the experiment links; a scalar SESSION/COLUMN at each epoch of its curve. */
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <unistd.h>

#include "driver/cli_results.h"
#include "report/tensorboard.h"
#include "support/file.h"

/* The curve of the run whose weights a link names; NULL if the link leads elsewhere. */
static json_t *linked_curve(Cli *cli, const char *folder, const char *link)
{
    char target[4096];
    ssize_t n = readlink(path_join(cli->arena, folder, link), target, sizeof target - 1);
    json_error_t error;
    if (n <= 0)
        return NULL;
    target[n] = 0;
    char *slash = strrchr(target, '/');
    if (!slash || strcmp(slash + 1, "weights.safetensors") != 0)
        return NULL;
    *slash = 0;
    return json_load_file(path_join(cli->arena, path_join(cli->arena, folder, target), "curve.json"), 0, &error);
}

static void put_curve(Cli *cli, json_t *curve, Buf *out)
{
    json_t *columns = json_object_get(curve, "columns"), *session = json_object_get(curve, "session"),
           *epoch = json_object_get(curve, "epoch");
    const char *name;
    json_t *column;
    events_begin(out);
    for (size_t row = 0; row < json_array_size(epoch); row++)
        json_object_foreach(columns, name, column) {
            const char *text = json_string_value(json_array_get(column, row)),
                       *label = json_string_value(json_array_get(session, row));
            double x = text ? strtod(text, NULL) : NAN;
            if (!isnan(x))
                events_scalar(out, (double)row, json_integer_value(json_array_get(epoch, row)),
                              arena_printf(cli->arena, "%s/%s", label ? label : "session", name), x);
        }
}

static bool run_write(Cli *cli, const char *to, json_t *curve)
{
    Buf out = {0};
    char *error = NULL;
    put_curve(cli, curve, &out);
    bool ok = folder_make(cli->arena, to, &error) &&
              file_write(cli->arena, path_join(cli->arena, to, "events.out.tfevents.nin"), out.at, out.len,
                         FILE_NO_SYNC, &error);
    buf_free(&out);
    return ok || results_machine(cli, error) == EXIT_DONE;
}

bool tensorboard_write(Cli *cli, const char *name, const char *folder, int *files)
{
    static const char ending[] = ".safetensors";
    Names names = folder_names(cli->arena, folder);
    bool ok = true;
    for (int i = 0; ok && i < names.list.len; i++) {
        const char *link = names.list.at[i];
        size_t length = strlen(link), end = sizeof ending - 1;
        if (length < end || strcmp(link + length - end, ending) != 0)
            continue;
        json_t *curve = linked_curve(cli, folder, link);
        if (!curve)
            continue;
        const char *keys = length > end ? arena_copy(cli->arena, link, length - end) : "run";
        ok = run_write(cli, path_join(cli->arena, path_join(cli->arena, cli->tensorboard, name), keys), curve);
        json_decref(curve);
        *files += ok;
    }
    return ok;
}
