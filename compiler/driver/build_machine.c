/* build_machine.c -- machine code of an artifact in files: objects, libraries, programs, texts.
 *
 * Objects come from LLVM; archives, shared libraries and programs are made of them by the system's ar, compiler and
 * linker, in the folder for temporary files, and appear under their names when they are complete. */
#include "driver/build.h"
#include "emit/machine.h"
#include "support/file.h"

static bool machine_bytes(Building *b, MachineForm form, Buf *out)
{
    Cli *cli = b->cli;
    const char *error = NULL;
    MachineTarget target = {cli->target, cli->target_cpu, form};
    if (emit_machine(cli->arena, artifact_machine(cli->arena, &b->artifact), &target, cli->lab_options.code.plugin, out,
                     &error))
        return true;
    cli_error(cli, "%s", error);
    cli->at_fault = true;
    return false;
}

bool build_object(Building *b, const char *path)
{
    Buf bytes = {0};
    bool ok = machine_bytes(b, FORM_OBJECT, &bytes) && build_write(b->cli, path, &bytes);
    buf_free(&bytes);
    return ok;
}

static bool write_form(Building *b, MachineForm form, const char *path)
{
    Buf bytes = {0};
    bool ok = machine_bytes(b, form, &bytes) && build_write(b->cli, path, &bytes);
    buf_free(&bytes);
    return ok;
}

/* ---- the system's tools ---- */

static bool is_wasm(const Cli *cli) { return cli->target && strncmp(cli->target, "wasm", 4) == 0; }

/* The C compiler of the target: --cc, or gcc, or that of the triple. */
static const char *compiler_for(Cli *cli)
{
    static const char *const known[][2] = {{"aarch64", "aarch64-linux-gnu-gcc"},
                                           {"riscv64", "riscv64-linux-gnu-gcc"},
                                           {"armv7", "arm-linux-gnueabihf-gcc"},
                                           {"thumb", "arm-none-eabi-gcc"}};
    if (cli->cc)
        return cli->cc;
    for (int k = 0; cli->target && k < COUNT(known); k++)
        if (strncmp(cli->target, known[k][0], strlen(known[k][0])) == 0)
            return known[k][1];
    return "gcc";
}

static bool run_tool(Cli *cli, const char *const *argv)
{
    const char *log = path_join(cli->arena, cli_scratch(cli), "link.log");
    int status = tool_run(cli, argv, NULL, NULL, log);
    if (status == 0)
        return true;
    cli->machine = true;
    if (status < 0)
        cli_error(cli, "%s is not on this machine; it is needed for --emit %s", argv[0],
                  cli->emit ? cli->emit : "this");
    else
        cli_error(cli, "%s failed: %s", argv[0], tool_log(cli, log));
    return false;
}

static bool publish(Building *b, const char *from, const char *path, bool runs)
{
    Cli *cli = b->cli;
    char *bytes, *error;
    size_t length;
    if (!file_read(cli->arena, from, 0, &bytes, &length, &error)) {
        cli_error(cli, "%s", error);
        return false;
    }
    if (!build_write_bytes(cli, path, bytes, length))
        return false;
    return !runs || build_executable_bit(path);
}

static bool link_wasm(Building *b, const char *object, const char *out)
{
    static const char *const names[] = {"wasm-ld", "wasm-ld-19"};
    Cli *cli = b->cli;
    const char *tool = tool_version(cli, names[0]) ? names[0] : names[1];
    const char *argv[] = {tool, "--no-entry", "--export-dynamic", "--allow-undefined", object, "-o", out, NULL, NULL};
    static const char *const roles[] = {"predict", "loss", "train_step", "start", "selftest"};
    const char *line[20];
    int n = 0;
    for (; argv[n]; n++)
        line[n] = argv[n];
    for (int k = 0; k < COUNT(roles); k++)
        line[n++] = arena_printf(cli->arena, "--export-if-defined=%s_%s", b->artifact.prefix, roles[k]);
    line[n] = NULL;
    return run_tool(cli, line);
}

static bool link_shared(Building *b, const char *object, const char *out)
{
    const char *argv[] = {compiler_for(b->cli), "-shared", object, "-o", out, NULL};
    return is_wasm(b->cli) ? link_wasm(b, object, out) : run_tool(b->cli, argv);
}

static bool link_static(Building *b, const char *object, const char *out)
{
    const char *argv[] = {"ar", "rcsD", out, object, NULL};
    return run_tool(b->cli, argv);
}

static bool link_program(Building *b, const char *object, const char *out)
{
    Cli *cli = b->cli;
    Buf header = {0}, text = {0};
    const char *folder = cli_scratch(cli), *c = path_join(cli->arena, folder, "main.c");
    artifact_header(&b->artifact, &header);
    build_main(&b->artifact, "artifact.h", &text);
    bool ok = build_write(cli, path_join(cli->arena, folder, "artifact.h"), &header) && build_write(cli, c, &text);
    buf_free(&header);
    buf_free(&text);
    const char *argv[] = {
        compiler_for(cli), "-std=c99", "-O2", "-I", folder, c, object, "-o", out, cli->target ? "-static" : NULL, NULL};
    return ok && run_tool(cli, argv);
}

/* kind: a word of --emit. */
bool build_machine(Building *b, const char *kind, const char *path)
{
    Cli *cli = b->cli;
    if (strcmp(kind, "object") == 0)
        return build_object(b, path);
    if (strcmp(kind, "llvm") == 0)
        return write_form(b, FORM_LLVM, path);
    if (strcmp(kind, "bitcode") == 0)
        return write_form(b, FORM_BITCODE, path);
    if (strcmp(kind, "asm") == 0)
        return write_form(b, FORM_ASM, path);
    const char *folder = cli_scratch(cli);
    if (!folder)
        return false;
    bool program = strcmp(kind, "executable") == 0, shared = strcmp(kind, "shared") == 0;
    if (program && (b->artifact.separate || is_wasm(cli))) {
        cli_error(cli,
                  is_wasm(cli) ? "a program needs an operating system; build shared for %s"
                               : "a program holds its weights: weights: embedded%s",
                  is_wasm(cli) ? cli->target : "");
        cli->at_fault = true;
        return false;
    }
    const char *object = path_join(cli->arena, folder, "artifact.o"), *out = path_join(cli->arena, folder, "linked");
    bool ok = build_object(b, object) && (program  ? link_program(b, object, out)
                                          : shared ? link_shared(b, object, out)
                                                   : link_static(b, object, out));
    return ok && publish(b, out, path, program || shared);
}
