/* cli_build.c -- nin build: an artifact of a program, or a net with weights, as C or machine code. */
#include <ctype.h>
#include <stdlib.h>
#include <unistd.h>

#include "driver/build.h"
#include "support/file.h"

/* ---- which artifact ---- */

static bool makes_artifact(const Ast *item)
{
    const Ast *value = item->kind == AST_BIND ? item->bind.value : NULL;
    return value && value->kind == AST_CALL && value->call.of->kind == AST_NAME &&
           strcmp(value->call.of->name, "artifact") == 0 && item->bind.pattern->kind == AST_NAME;
}

static const char *only_artifact(Cli *cli, const LoadedModule *module)
{
    const char *name = NULL;
    int n = 0;
    for (int i = 0; i < module->module->items.len; i++)
        if (makes_artifact(module->module->items.at[i])) {
            name = module->module->items.at[i]->bind.pattern->name;
            n++;
        }
    if (n == 1)
        return name;
    cli_error(cli,
              n ? "%s has %d artifacts: say which one with --artifact" : "%s has no artifact: name a net with --net",
              cli->arguments.at[0], n);
    return NULL;
}

static const char *prefix_of(Cli *cli, const char *name)
{
    char *out = arena_copy(cli->arena, name, strlen(name));
    int n = 0;
    for (; out[n] && (isalnum((unsigned char)out[n]) || out[n] == '_') && n < 40; n++)
        continue;
    out[n] = 0;
    return n && !isdigit((unsigned char)*out) ? out : "net";
}

static bool find_artifact(Building *b, LoadedModule *module, const char **prefix)
{
    Cli *cli = b->cli;
    Value value;
    const char *name = cli->artifact ? cli->artifact : only_artifact(cli, module);
    if (!name || !cli_evaluate(cli, &b->eval, module, "--artifact", name, &value))
        return false;
    if (value.kind != V_OBJECT || value.object->class != &artifact_class) {
        cli_error(cli, "%s is no artifact", name);
        return false;
    }
    b->spec = (const ArtifactSpec *)value.object;
    *prefix = prefix_of(cli, name);
    return true;
}

/* --net NAME with --seed N, or with --weights FILE. */
static bool find_net(Building *b, LoadedModule *module, const char **prefix)
{
    Cli *cli = b->cli;
    Value value;
    if (!cli->weights == !cli->seeded) {
        cli_error(cli, "--net needs its weights: --weights FILE, or --seed N (one of them)");
        return false;
    }
    const char *text = arena_printf(cli->arena, "fresh(%s, seed: %d)", cli->net, cli->seed);
    if (!cli_evaluate(cli, &b->eval, module, "--net", text, &value) || value.kind != V_OBJECT ||
        value.object->class != &model_class)
        return false;
    Model *model = (Model *)value.object;
    if (cli->weights && !model_read(&b->eval, model->info, model->block, cli->weights, (Span){0}, false))
        return false;
    ArtifactSpec *spec = arena_new_of(cli->session->arena, ArtifactSpec);
    *spec = artifact_plain(model, (Span){0});
    b->spec = spec;
    *prefix = prefix_of(cli, cli->net);
    return true;
}

bool building_open(Building *b, Cli *cli)
{
    *b = (Building){.cli = cli};
    const char *prefix = NULL;
    if (cli->artifact && cli->net) {
        cli_error(cli, "either --artifact or --net");
        return false;
    }
    LoadedModule *module = cli_load(cli, cli->arguments.at[0]);
    if (!module || cli->session->diags.errors)
        return false;
    eval_init(&b->eval, cli->session, cli->session->arena, &cli->session->diags, EVAL_RUN);
    if (!(cli->net ? find_net(b, module, &prefix) : find_artifact(b, module, &prefix)))
        return false;
    if (!artifact_make(&b->eval, b->spec, prefix, cli->session->arena, &b->artifact, &b->reference))
        return false;
    const char *slash = strrchr(cli->arguments.at[0], '/');
    b->artifact.origin = arena_printf(cli->arena, "made by nin %s from %s", NIN_VERSION,
                                      slash ? slash + 1 : cli->arguments.at[0]);
    return true;
}

void building_close(Building *b) { reference_free(&b->reference); }

/* ---- what is made ---- */

static const char *const kinds[] = {"c",      "object", "shared",  "static", "executable",
                                    "header", "llvm",   "bitcode", "asm",    NULL};
static const char *const endings[] = {".c", ".o", ".so", ".a", "", ".h", ".ll", ".bc", ".s"};

static int kind_of(const char *name)
{
    int k = 0;
    while (kinds[k] && strcmp(kinds[k], name) != 0)
        k++;
    return k;
}

/* "folder/digits.c" -> "digits.h" or "folder/digits.h". */
static const char *beside(Cli *cli, const char *path, const char *ending, bool folder)
{
    const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path, *dot = strrchr(base, '.');
    const char *from = folder ? path : base;
    int n = (int)((dot && dot > base ? dot : base + strlen(base)) - from);
    return arena_printf(cli->arena, "%.*s%s", n, from, ending);
}

void build_state(const Artifact *a, char *bytes)
{
    memset(bytes, 0, (size_t)a->state_bytes);
    for (int k = 0; k < a->fields; k++)
        if (a->field[k].in_state)
            memcpy(bytes + a->field[k].offset, a->field[k].value,
                   (size_t)(shape_size(&a->field[k].shape) * kscalar_bytes(a->field[k].element)));
}

/* Weights that are loaded: the bytes of the state at the start. */
static bool write_weights(Building *b, const char *path)
{
    const Artifact *a = &b->artifact;
    char *bytes = arena_alloc(b->cli->arena, (size_t)a->state_bytes + 1);
    build_state(a, bytes);
    return build_write_bytes(b->cli, path, bytes, (size_t)a->state_bytes);
}

static bool write_source(Building *b, const char *path)
{
    Buf source = {0};
    artifact_source(&b->artifact, beside(b->cli, path, ".h", false), &source);
    bool ok = build_write(b->cli, path, &source);
    buf_free(&source);
    return ok;
}

static bool write_header(Building *b, const char *path)
{
    Buf header = {0};
    artifact_header(&b->artifact, &header);
    bool ok = build_write(b->cli, path, &header);
    buf_free(&header);
    return ok;
}

/* All of it, or nothing: a header or a file of weights that cannot be written takes the rest with it. */
static bool build_kind(Building *b, int kind, const char *path)
{
    const char *header = beside(b->cli, path, ".h", true);
    bool has_header = kind <= 3, headed = false;
    if (!(kind == 0 ? write_source(b, path) : kind == 5 ? write_header(b, path) : build_machine(b, kinds[kind], path)))
        return false;
    if (has_header)
        headed = write_header(b, header);
    if (headed >= has_header && (!b->artifact.separate || write_weights(b, beside(b->cli, path, ".weights", true))))
        return true;
    unlink(path);
    if (headed)
        unlink(header);
    return false;
}

int command_build(Cli *cli)
{
    Building b;
    cli->target_cpu = cli->lab_options.code.cpu;            /* of what is built, not of the vectors' making */
    cli->lab_options.code.cpu = NULL;
    bool ok = building_open(&b, cli);
    if (ok) {
        int kind = kind_of(cli->emit ? cli->emit : b.spec->emission);
        const char *cc = cli->cc ? cli->cc : "gcc";
        const char *path = cli->output ? cli->output
                                       : arena_printf(cli->arena, "%s%s", b.artifact.prefix, endings[kind]);
        if (kind == 0 || kind == 5)
            build_measure(&b, cc);
        ok = artifact_budget(&b.eval, b.spec, &b.artifact) && build_kind(&b, kind, path);
        if (ok)
            printf("%s\n", path);
    }
    building_close(&b);
    if (cli->session)
        ok &= cli_show(cli, stderr);
    return cli_status(cli, ok);
}
