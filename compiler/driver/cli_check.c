/* cli_check.c -- nin check, nin explain. */
#include <ctype.h>
#include <stdio.h>

#include "driver/cli.h"

/* Each file in a session of its own: what one defines is not seen by the next.  The list goes to stdout where a program
 * asked for it (--json, --line), else to stderr. */
int command_check(Cli *cli)
{
    FILE *to = cli->style == DIAG_HUMAN ? stderr : stdout;
    bool ok = true;
    for (int i = 0; i < cli->arguments.len && !cli_interrupted(NULL); i++) {
        LoadedModule *module = cli_load(cli, cli->arguments.at[i]);
        ok &= module && session_check(cli->session, module);
        ok &= cli_show(cli, to);
        lab_free(cli->lab);
        session_free(cli->session);
        cli->lab = NULL;
        cli->session = NULL;
    }
    return cli_status(cli, ok);
}

int command_explain(Cli *cli)
{
    static const char *const severities[] = {"a note", "a warning", "an error", "an error of a run"};
    const char *names[DIAG_COUNT];
    char *code_name = arena_copy(cli->arena, cli->arguments.at[0], strlen(cli->arguments.at[0]));
    DiagCode code;
    for (char *at = code_name; *at; at++)
        *at = (char)toupper((unsigned char)*at);
    if (!diag_by_name(code_name, &code)) {
        for (int i = 0; i < DIAG_COUNT; i++)
            names[i] = diag_name((DiagCode)i);
        const char *near = cli_near(code_name, names, DIAG_COUNT);
        cli_error(cli, "no message has the code %s%s%s%s", cli->arguments.at[0],
                  near ? "; did you mean " : "; a code is like E0401", near ? near : "", near ? "?" : "");
        return EXIT_USAGE;
    }
    printf("%s, %s: %s\n\n%s\n", diag_name(code), severities[diag_severity(code)], diag_title(code),
           diag_explanation(code));
    return EXIT_DONE;
}
