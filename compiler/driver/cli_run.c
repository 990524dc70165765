/* cli_run.c -- nin run, nin test, nin eval. */
#include <stdio.h>
#include <stdlib.h>

#include "driver/cli.h"
#include "experiment/experiment.h"

/* Loads and checks; shows what that gives.  NULL if there are errors. */
static LoadedModule *load_checked(Cli *cli, const char *path)
{
    LoadedModule *module = cli_load(cli, path);
    bool ok = module && session_check(cli->session, module);
    if (!cli->session)
        return NULL;
    if (cli->style == DIAG_JSON && ok && !cli->session->diags.errors)
        diags_discard(&cli->session->diags, 0);         /* one list only: that of the run */
    else
        ok &= cli_show(cli, stderr);
    return ok ? module : NULL;
}

/* ---- run ---- */

static bool experiment_wanted(const Cli *cli, const Ast *experiment)
{
    for (int i = 0; i < cli->experiments.len; i++)
        if (strcmp(cli->experiments.at[i], experiment->experiment.name) == 0)
            return true;
    return cli->experiments.len == 0;
}

/* Every --experiment names one of the program. */
static bool experiments_exist(Cli *cli, const LoadedModule *module)
{
    const char **names = arena_array(cli->arena, const char *, module->experiments.len + 1);
    for (int i = 0; i < module->experiments.len; i++)
        names[i] = module->experiments.at[i]->experiment.name;
    for (int i = 0; i < cli->experiments.len; i++) {
        bool found = false;
        for (int k = 0; k < module->experiments.len; k++)
            found |= strcmp(cli->experiments.at[i], names[k]) == 0;
        if (found)
            continue;
        const char *near = cli_near(cli->experiments.at[i], names, module->experiments.len);
        cli_error(cli, "there is no experiment `%s`%s%s%s", cli->experiments.at[i], near ? "; did you mean `" : "",
                  near ? near : "", near ? "`?" : "");
        return false;
    }
    return true;
}

typedef struct SetValue { Name name; Value value; bool used; } SetValue;
typedef struct SetList { SetValue *at; int len; } SetList;

static const AstFormal *formal_find(const Ast *experiment, Name name)
{
    for (int i = 0; i < experiment->experiment.formals_len; i++)
        if (experiment->experiment.formals[i].name == name)
            return &experiment->experiment.formals[i];
    return NULL;
}

/* --set NAME=VALUE: VALUE is an expression in the program's scope.  EXIT_DONE or the exit code. */
static int sets_read(Cli *cli, LoadedModule *module, SetList *out)
{
    Eval e;
    eval_init(&e, cli->session, cli->session->arena, &cli->session->diags, EVAL_RUN);
    out->at = arena_array(cli->arena, SetValue, cli->sets.len + 1);
    for (out->len = 0; out->len < cli->sets.len; out->len++) {
        const char *text = cli->sets.at[out->len], *equals = strchr(text, '=');
        SetValue *set = &out->at[out->len];
        if (!equals || equals == text) {
            cli_error(cli, "--set takes NAME=VALUE; here is \"%s\"", text);
            return EXIT_USAGE;
        }
        set->name = intern(cli->session->names, text, (size_t)(equals - text));
        if (!cli_evaluate(cli, &e, module, arena_printf(cli->arena, "--set %s", set->name), equals + 1, &set->value)) {
            cli_show(cli, stderr);
            return EXIT_USAGE;
        }
    }
    return EXIT_DONE;
}

/* Every --set names a parameter of an experiment that runs. */
static bool sets_fit(Cli *cli, const LoadedModule *module, const SetList *sets)
{
    for (int i = 0; i < sets->len; i++) {
        VEC(const char *) names = {0};
        bool found = false;
        for (int k = 0; k < module->experiments.len; k++) {
            const Ast *x = module->experiments.at[k];
            if (!experiment_wanted(cli, x))
                continue;
            found |= formal_find(x, sets->at[i].name) != NULL;
            for (int f = 0; f < x->experiment.formals_len; f++)
                vec_push(cli->arena, &names, x->experiment.formals[f].name);
        }
        if (found)
            continue;
        const char *near = cli_near(sets->at[i].name, names.at, names.len);
        cli_error(cli, "no experiment that runs has a parameter `%s`%s%s%s", sets->at[i].name,
                  near ? "; did you mean `" : "", near ? near : "", near ? "`?" : "");
        return false;
    }
    return true;
}

static bool run_one(Cli *cli, LoadedModule *module, const Ast *experiment, const SetList *sets)
{
    Name *names = arena_array(cli->arena, Name, sets->len + 1);
    Value *values = arena_array(cli->arena, Value, sets->len + 1);
    int n = 0;
    for (int i = 0; i < sets->len; i++)
        if (formal_find(experiment, sets->at[i].name)) {
            names[n] = sets->at[i].name;
            values[n++] = sets->at[i].value;
        }
    return experiment_run(cli->lab, module, experiment, names, values, n);
}

/* A shard that left tables and figures out: how they are made. */
static void shard_ended(Cli *cli)
{
    int of = cli->lab_options.shards;
    if (!cli->lab->reports_wait)
        return;
    const char *text = arena_printf(cli->arena,
                                    "tables and figures are of all %d shards. When these have run:\n"
                                    "  nin results merge FOLDER... --out FOLDER    joins what they left, here in %s\n"
                                    "  nin run %s --out FOLDER    as here, without --shard: makes them, and finds "
                                    "the runs again\n",
                                    of, cli->out, cli->arguments.at[0]);
    cli->lab_options.say(cli->lab_options.say_data, text);
}

int command_run(Cli *cli)
{
    SetList sets;
    LoadedModule *module = load_checked(cli, cli->arguments.at[0]);
    if (!module)
        return cli_status(cli, false);
    if (!experiments_exist(cli, module))
        return EXIT_USAGE;
    int status = sets_read(cli, module, &sets);
    if (status != EXIT_DONE || !sets_fit(cli, module, &sets))
        return EXIT_USAGE;
    if (!module->experiments.len) {
        cli_error(cli, "%s has no experiment: there is nothing to run", cli->arguments.at[0]);
        return EXIT_PROGRAM;
    }
    bool ok = true;
    for (int i = 0; i < module->experiments.len && !cli_interrupted(NULL); i++)
        if (experiment_wanted(cli, module->experiments.at[i]))
            ok &= run_one(cli, module, module->experiments.at[i], &sets);
    ok &= cli_show(cli, stderr);
    if (ok && !cli_interrupted(NULL))
        shard_ended(cli);
    if (cli_interrupted(NULL))
        cli_error(cli, "interrupted: what was recorded is kept; the next run finds trainings that had ended and goes "
                       "on with the others");
    return cli_status(cli, ok && !cli_interrupted(NULL));
}

/* ---- test ---- */

static void test_line(const Cli *cli, const char *path, const char *name, bool ok)
{
    bool color = cli->color && cli->out_terminal;
    printf("%s%s%s %s: %s\n", color ? ok ? "\033[32m" : "\033[31m" : "", ok ? "ok  " : "FAIL", color ? "\033[0m" : "",
           path, name);
}

int command_test(Cli *cli)
{
    int passed = 0, failed = 0;
    bool ok = true;
    for (int i = 0; i < cli->arguments.len; i++) {
        LoadedModule *module = load_checked(cli, cli->arguments.at[i]);
        ok &= module != NULL;
        for (int k = 0; module && k < module->tests.len && !cli_interrupted(NULL); k++) {
            bool held = test_run(cli->lab, module, module->tests.at[k]);
            held &= cli->session->diags.errors == 0 || cli_show(cli, stderr);
            *(held ? &passed : &failed) += 1;
            test_line(cli, cli->arguments.at[i], module->tests.at[k]->test.name, held);
        }
    }
    printf("%d passed, %d failed\n", passed, failed);
    return cli_status(cli, ok && !failed && !cli_interrupted(NULL));
}

/* ---- eval ---- */

int command_eval(Cli *cli)
{
    LoadedModule *module = load_checked(cli, cli->arguments.at[0]);
    bool ok = module;
    for (int i = 1; module && i < cli->arguments.len && !cli_interrupted(NULL); i++) {
        Eval e;
        Value value;
        Buf text = {0};
        eval_init(&e, cli->session, cli->session->arena, &cli->session->diags, EVAL_RUN);
        LabTurn here = {.lab = cli->lab, .pool = cli->lab->pool, .keep = cli->session->arena};
        e.lab = &here;
        bool known = cli_evaluate(cli, &e, module, arena_printf(cli->arena, "expression %d", i), cli->arguments.at[i],
                                  &value);
        if (known)
            value_show(&value, &text);
        ok &= cli_show(cli, stderr) && known;
        printf("%.*s\n", (int)text.len, text.len ? text.at : "");
        buf_free(&text);
    }
    return cli_status(cli, ok);
}
