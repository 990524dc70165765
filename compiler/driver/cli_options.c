/* cli_options.c -- from argv to a Cli, by the tables of options.def; help. */
#include <stdio.h>
#include <stdlib.h>

#include "driver/cli.h"

typedef enum OptionId {
#define OPTION(id, name, value, commands, help) OPT_##id,
#include "driver/options.def"
} OptionId;
typedef struct OptionRow { OptionId id; const char *name, *value, *commands, *help; } OptionRow;
static const OptionRow options[] = {
#define OPTION(id, name, value, commands, help) {OPT_##id, name, value, commands, help},
#include "driver/options.def"
};
const Command commands[] = {
#define COMMAND(name, arguments, fewest, most, help) {#name, arguments, fewest, most, help, command_##name},
#include "driver/options.def"
    {0},
};
static const char letters[] = "rctegxdapsobvfl";              /* of the commands, in their order */

const char *cli_near(const char *name, const char *const *names, int n)
{
    int length = (int)strlen(name), best = length < 4 ? 2 : length < 8 ? 3 : 4;
    const char *near = NULL;
    for (int i = 0; i < n; i++) {
        int distance = text_distance(name, names[i], best);
        if (distance < best) {
            best = distance;
            near = names[i];
        }
    }
    return near;
}

/* ---- help ---- */

static bool takes(const Command *command, const OptionRow *option)
{
    return strchr(option->commands, letters[command - commands]);
}

static int help_all(void)
{
    printf("nin: a language and a laboratory for neural nets whose neurons are learned\n\n");
    for (const Command *c = commands; c->name; c++) {
        char left[64];
        snprintf(left, sizeof left, "nin %s %s", c->name, c->arguments);
        printf("  %-27s %s\n", left, c->help);
    }
    printf("  %-27s %s\n  %-27s %s\n", "nin COMMAND --help", "the options of a command", "nin --version",
           "which version this is");
    printf("\nExit codes: 0 done, 1 the program is at fault, 2 wrong use, 3 the machine is at fault.\n");
    return EXIT_DONE;
}

static int help_command(const Command *command)
{
    printf("usage: nin %s %s%s\n\n  %c%s.\n\noptions:\n", command->name, command->arguments,
           *command->arguments ? " [options]" : "[options]", command->help[0] - 'a' + 'A', command->help + 1);
    for (int i = 0; i < COUNT(options); i++) {
        char left[64];
        if (!takes(command, &options[i]))
            continue;
        snprintf(left, sizeof left, "--%s%s%s", options[i].name, options[i].value ? " " : "",
                 options[i].value ? options[i].value : "");
        printf("  %-27s %s\n", left, options[i].help);
    }
    return EXIT_DONE;
}

/* ---- values of options ---- */

static bool whole(const Cli *cli, const OptionRow *option, const char *text, int least, int *out)
{
    char *end;
    long x = strtol(text, &end, 10);
    if (*text && !*end && x >= least && x <= (option->id == OPT_EXAMPLES || option->id == OPT_BATCH ? 1000000 : 4096)) {
        *out = (int)x;
        return true;
    }
    cli_error(cli, "--%s takes a whole number from %d; here is \"%s\"", option->name, least, text);
    return false;
}

/* One of the words of the option's value, "a|b|c". */
static bool choice(const Cli *cli, const OptionRow *option, const char *text, int *out)
{
    const char *at = option->value;
    size_t n = strlen(text);
    for (int i = 0; at; i++) {
        const char *bar = strchr(at, '|');
        size_t length = bar ? (size_t)(bar - at) : strlen(at);
        if (length == n && strncmp(at, text, n) == 0) {
            *out = i;
            return true;
        }
        at = bar ? bar + 1 : NULL;
    }
    cli_error(cli, "--%s is %s; here is \"%s\"", option->name, option->value, text);
    return false;
}

/* "2/8": the second of eight. */
static bool shard(Cli *cli, const char *text)
{
    int i, n, end = 0;
    if (sscanf(text, "%d/%d%n", &i, &n, &end) == 2 && !text[end] && i >= 1 && i <= n && n <= 100000) {
        cli->lab_options.shard = i;
        cli->lab_options.shards = n;
        return true;
    }
    cli_error(cli, "--shard takes I/N with I from 1 to N; here is \"%s\"", text);
    return false;
}

/* Options whose value is one of a list. */
static bool option_choose(Cli *cli, const OptionRow *option, const char *value)
{
    static const Backend backends[] = {BACKEND_JIT, BACKEND_INTERPRET, BACKEND_C};
    int n = 0;
    if (!choice(cli, option, value, &n))
        return false;
    if (option->id == OPT_LOG)
        cli->log_json = n;
    else if (option->id == OPT_PRECISION)
        cli->precision = n ? DT_F64 : DT_F32;
    else if (option->id == OPT_BACKEND)
        cli->lab_options.backend = backends[n];
    else if (option->id == OPT_OPT)
        cli->lab_options.code.opt_level = n ? 2 : 0;
    else
        cli->emit = value;
    return true;
}

/* Options whose value is a whole number. */
static bool option_count(Cli *cli, const OptionRow *option, const char *value)
{
    int n = 0;
    if (option->id == OPT_THREADS)
        return whole(cli, option, value, 1, &cli->lab_options.threads);
    if (option->id == OPT_ARGUMENT)
        return whole(cli, option, value, 1, &cli->argument);
    if (option->id == OPT_EXAMPLES)
        return whole(cli, option, value, 1, &cli->examples);
    if (option->id == OPT_BATCH)
        return whole(cli, option, value, 1, &cli->batch);
    if (!whole(cli, option, value, 0, &n))
        return false;
    if (option->id == OPT_CHECKPOINT) {
        cli->lab_options.checkpoint = n ? n : -1;
    } else {
        cli->seed = n;
        cli->seeded = true;
    }
    return true;
}

static bool option_where(Cli *cli, const char *value)
{
    if (!strchr(value, '=')) {
        cli_error(cli, "--where takes KEY=VALUE; here is \"%s\"", value);
        return false;
    }
    vec_push(cli->arena, &cli->where, value);
    return true;
}

static bool option_set(Cli *cli, const OptionRow *option, const char *value)
{
    switch (option->id) {
    case OPT_EXPERIMENT: vec_push(cli->arena, &cli->experiments, value); break;
    case OPT_SET: vec_push(cli->arena, &cli->sets, value); break;
    case OPT_OUT: cli->out = value; break;
    case OPT_DATA: vec_push(cli->arena, &cli->data, value); break;
    case OPT_WHERE: return option_where(cli, value);
    case OPT_TSV: cli->tsv = true; break;
    case OPT_TENSORBOARD: cli->tensorboard = value; break;
    case OPT_SHARD: return shard(cli, value);
    case OPT_LOG:
    case OPT_PRECISION:
    case OPT_BACKEND:
    case OPT_OPT:
    case OPT_EMIT: return option_choose(cli, option, value);
    case OPT_THREADS: case OPT_ARGUMENT: case OPT_EXAMPLES: case OPT_BATCH: case OPT_CHECKPOINT: case OPT_SEED:
        return option_count(cli, option, value);
    case OPT_CPU: cli->lab_options.code.cpu = value; break;
    case OPT_NO_CACHE: cli->no_cache = true; break;
    case OPT_PDF: cli->lab_options.pdf = true; break;
    case OPT_QUIET: cli->quiet = true; break;
    case OPT_EXPLAIN: cli->lab_options.explain = true; break;
    case OPT_JSON: cli->style = DIAG_JSON; break;
    case OPT_LINE: cli->style = DIAG_LINE; break;
    case OPT_CELL: cli->cell = value; break;
    case OPT_LATEX: cli->latex = true; break;
    case OPT_STAGE: cli->stage = value; break;
    case OPT_NET: cli->net = value; break;
    case OPT_TRAINING: cli->training = true; break;
    case OPT_FROM: cli->from = value; break;
    case OPT_ARTIFACT: cli->artifact = value; break;
    case OPT_OUTPUT: cli->output = value; break;
    case OPT_WEIGHTS: cli->weights = value; break;
    case OPT_QUICK: cli->quick = true; break;
    case OPT_TARGET: cli->target = value; break;
    case OPT_CC: cli->cc = value; break;
    case OPT_CHECK: cli->fmt_check = true; break;
    case OPT_HELP: cli->help = true; break;
    }
    return true;
}

/* ---- argv ---- */

static const OptionRow *option_find(const Cli *cli, const char *name, size_t length)
{
    const char *names[COUNT(options)];
    int n = 0;
    for (int i = 0; i < COUNT(options); i++) {
        if (!takes(cli->command, &options[i]))
            continue;
        names[n++] = options[i].name;
        if (strlen(options[i].name) == length && strncmp(options[i].name, name, length) == 0)
            return &options[i];
    }
    const char *given = arena_copy(cli->arena, name, length), *near = cli_near(given, names, n);
    cli_error(cli, "`nin %s` has no option --%s%s%s%s", cli->command->name, given, near ? "; did you mean --" : "",
              near ? near : "", near ? "?" : "");
    return NULL;
}

/* "--name", "--name value" or "--name=value" at argv[*i]. */
static bool option_read(Cli *cli, int argc, char **argv, int *i)
{
    const char *name = argv[*i] + 2, *equals = strchr(name, '='), *value = equals ? equals + 1 : NULL;
    const OptionRow *option = option_find(cli, name, equals ? (size_t)(equals - name) : strlen(name));
    if (!option)
        return false;
    if (!option->value && value) {
        cli_error(cli, "--%s takes no value", option->name);
        return false;
    }
    if (option->value && !value) {
        if (*i + 1 >= argc) {
            cli_error(cli, "--%s needs a value: %s", option->name, option->value);
            return false;
        }
        value = argv[++*i];
    }
    return option_set(cli, option, value);
}

static bool arguments_read(Cli *cli, int argc, char **argv)
{
    bool only_arguments = false;
    for (int i = 2; i < argc; i++) {
        if (!only_arguments && strcmp(argv[i], "--") == 0)
            only_arguments = true;
        else if (!only_arguments && strcmp(argv[i], "-h") == 0)
            cli->help = true;
        else if (!only_arguments && strcmp(argv[i], "-o") == 0 &&
                 (cli->command->run == command_build || cli->command->run == command_report) && i + 1 < argc)
            cli->output = argv[++i];
        else if (!only_arguments && strncmp(argv[i], "--", 2) == 0) {
            if (!option_read(cli, argc, argv, &i))
                return false;
        } else if (!only_arguments && argv[i][0] == '-' && cli->command->run != command_eval &&
                   !(argv[i][1] == 0 && cli->command->run == command_fmt)) {
            cli_error(cli, "options begin with --; here is \"%s\"", argv[i]);
            return false;
        } else {
            vec_push(cli->arena, &cli->arguments, argv[i]);
        }
    }
    const Command *c = cli->command;
    int n = cli->arguments.len;
    if (!cli->help && (n < c->fewest || (c->most >= 0 && n > c->most))) {
        cli_error(cli, "usage: nin %s %s [options]; `nin %s --help` says more", c->name, c->arguments, c->name);
        return false;
    }
    return true;
}

static const Command *command_of(int (*run)(Cli *cli))
{
    const Command *c = commands;
    while (c->run != run)
        c++;
    return c;
}

/* Sets cli->command; false after a message. */
static bool command_find(Cli *cli, const char *name)
{
    const char *names[COUNT(commands)];
    int n = 0;
    for (const Command *c = commands; c->name; c++) {
        names[n++] = c->name;
        if (strcmp(c->name, name) == 0)
            cli->command = c;
    }
    if (cli->command)
        return true;
    const char *near = cli_near(name, names, n), *dot = strrchr(name, '.');
    if (dot && strcmp(dot, ".nin") == 0) {
        cli_error(cli, "what to do with %s? `nin run %s` runs it; `nin --help` lists the commands", name, name);
        return false;
    }
    cli_error(cli, "there is no command `%s`%s%s%s; `nin --help` lists them", name, near ? "; did you mean `nin " : "",
              near ? near : "", near ? "`?" : "");
    return false;
}

/* nin help, nin help run, nin help E0401. */
static int help(Cli *cli, const char *of)
{
    if (!of) {
        help_all();
        return EXIT_DONE;
    }
    if (strlen(of) == 5 && strchr("EWNRewnr", of[0]) && strspn(of + 1, "0123456789") == 4) {
        cli->command = command_of(command_explain);
        vec_push(cli->arena, &cli->arguments, of);
        return -1;
    }
    return command_find(cli, of) ? help_command(cli->command) : EXIT_USAGE;
}

int options_read(Cli *cli, int argc, char **argv)
{
    if (argc < 2 && (cli->in_terminal || cli->in_text)) {
        cli->command = command_of(command_repl);
        return -1;
    }
    if (argc < 2) {
        help_all();
        return EXIT_USAGE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "help") == 0)
        return help(cli, argc > 2 ? argv[2] : NULL);
    if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0 || strcmp(argv[1], "version") == 0) {
        printf("nin %s (semantics %d)\n", NIN_VERSION, SEMANTICS_VERSION);
        return EXIT_DONE;
    }
    if (!command_find(cli, argv[1]))
        return EXIT_USAGE;
    if (!arguments_read(cli, argc, argv))
        return EXIT_USAGE;
    return cli->help ? help_command(cli->command) : -1;
}
