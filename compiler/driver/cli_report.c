/* cli_report.c -- nin report FOLDER: what experiments left, as one HTML page. */
#include <stdio.h>

#include "driver/cli.h"
#include "report/page.h"
#include "support/file.h"

int command_report(Cli *cli)
{
    const char *folder = cli->arguments.at[0],
               *path = cli->output ? cli->output : path_join(cli->arena, folder, "report.html");
    PageOptions options = {cli->experiments.at, cli->experiments.len, NIN_VERSION};
    PageCounts counts;
    Buf page = {0};
    char *error = NULL;
    bool ok = page_make(cli->arena, folder, &options, &page, &counts, &error) &&
              file_write(cli->arena, path, page.at, page.len, FILE_SYNC, &error);
    buf_free(&page);
    if (!ok) {
        cli_error(cli, "%s", error);
        return EXIT_MACHINE;
    }
    for (int i = 0; i < counts.notes.len; i++)
        cli_error(cli, "%s", counts.notes.at[i]);
    printf("%s: %d experiment%s, %d figure%s, %d table%s\n", path, counts.experiments,
           counts.experiments == 1 ? "" : "s", counts.figures, counts.figures == 1 ? "" : "s", counts.tables,
           counts.tables == 1 ? "" : "s");
    return EXIT_DONE;
}
