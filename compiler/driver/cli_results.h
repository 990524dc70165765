/* cli_results.h -- what the files of `nin results` share. */
#ifndef NIN_CLI_RESULTS_H
#define NIN_CLI_RESULTS_H

#include "driver/cli.h"
#include "report/outputs.h"

int results_machine(const Cli *cli, const char *error);                 /* says so; EXIT_MACHINE */
char *results_file(Cli *cli, const char *path, size_t *length);         /* NULL after a message */

/* ---- cli_rows.c ---- */
void results_table(Cli *cli, const char *title, char *text);            /* a table from its TSV */
bool results_rows(Cli *cli, const char *folder);                        /* as --where, --json, --tsv want them */
void results_seeds(Cli *cli, Names lines);                              /* says which seeds are missing among rows */

/* ---- cli_tensorboard.c: the curves of an experiment's runs as event files under cli->tensorboard; how many ---- */
bool tensorboard_write(Cli *cli, const char *name, const char *folder, int *files);

#endif
