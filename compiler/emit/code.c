/* code.c -- code in memory, by either way: the LLVM plugin, or C and a compiler.
 *
 * Where objects are kept and the module's are among them, the plugin is not even loaded.  Objects are linked by our own
 * linker; what that refuses goes to the plugin's.
 * The plugin stays loaded once it is (LLVM cannot be unloaded and loaded again safely).  Modules are verified before
 * anything is printed, so a fault of lowering is a message here and not a crash further down. */
#include "emit/cpu.h"
#include "emit/object.h"
#include "emit/objects.h"
#include "emit/plugin.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MAX_PARTS = 8 };

struct Code {
    Linked linked[MAX_PARTS];                                   /* by us */
    const LlvmPlugin *plugin; Jitted *jitted[MAX_PARTS];        /* or by the plugin */
    void *object;                                               /* from C */
    KernelFn *functions;
};

/* Some of a module's functions, compiled by one thread. */
typedef struct Part {
    const LlvmPlugin *plugin; const CodeOptions *options;
    KModule module; int *number;                                /* module.func.at[i] is function number[i] */
    int64_t size;
    char *bytes; size_t length; char *message;                  /* the object file */
    pthread_t thread; bool started;
} Part;

/* Moves a message of malloc into the arena. */
static void take_error(Arena *arena, char *message, const char **error)
{
    *error = arena_printf(arena, "%s", message ? message : "compilation failed");
    free(message);
}

static const LlvmPlugin *load_plugin(Arena *arena, const char *path, const char **error)
{
    void *handle = path ? dlopen(path, RTLD_LAZY | RTLD_LOCAL | RTLD_NODELETE) : NULL;
    if (!path) {
        *error = "the path of the code generator is not set";
        return NULL;
    }
    if (!handle) {
        *error = arena_printf(arena, "the code generator cannot be loaded: %s", dlerror());
        return NULL;
    }
    LlvmPluginFn *get = (LlvmPluginFn *)(uintptr_t)dlsym(handle, LLVM_PLUGIN_SYMBOL);
    const LlvmPlugin *plugin = get ? get() : NULL;
    if (!plugin || plugin->size != sizeof *plugin || plugin->instructions != K_COUNT) {
        *error = arena_printf(arena, "%s is not the code generator of this build", path);
        plugin = NULL;
    }
    dlclose(handle);
    return plugin;
}

static bool well_formed(Arena *arena, const KModule *module, const char **error)
{
    const char *problem = kernel_verify(module, arena);
    if (problem)
        *error = arena_printf(arena, "internal error: %s", problem);
    return !problem;
}

static Code *code_new(const KModule *module)
{
    Code *code = calloc(1, sizeof *code);
    if (code)
        code->functions = calloc((size_t)module->func.len + 1, sizeof *code->functions);
    if (!code || !code->functions)
        abort();                                            /* as base.h: out of memory has no return value */
    return code;
}

/* Each function goes to the part that is smallest so far. */
static void share_functions(Arena *arena, const KModule *module, Part *part, int parts)
{
    for (int p = 0; p < parts; p++) {
        part[p].module = (KModule){.arena = arena};
        part[p].module.data.at = module->data.at;
        part[p].module.data.len = module->data.len;
        part[p].number = arena_array(arena, int, module->func.len + 1);
    }
    for (int k = 0; k < module->func.len; k++) {
        Part *to = part;
        for (int p = 1; p < parts; p++)
            if (part[p].size < to->size)
                to = &part[p];
        to->number[to->module.func.len] = k;
        to->size += module->func.at[k]->code.len;
        vec_push(arena, &to->module.func, module->func.at[k]);
    }
}

static void *compile_part(void *at)
{
    Part *part = at;
    part->bytes = part->plugin->object(&part->module, part->options, &part->length, &part->message);
    return NULL;
}

static void compile_parts(Part *part, int parts)
{
    for (int p = 1; p < parts; p++)
        part[p].started = pthread_create(&part[p].thread, NULL, compile_part, &part[p]) == 0;
    for (int p = 0; p < parts; p++) {
        if (part[p].started)
            pthread_join(part[p].thread, NULL);
        else
            compile_part(&part[p]);
    }
}

static int count_parts(const KModule *module, const CodeOptions *options)
{
    int parts = options->threads < MAX_PARTS ? options->threads : MAX_PARTS;
    parts = parts < module->func.len ? parts : module->func.len;
    return parts > 1 ? parts : 1;
}

/* The parts of a module as objects, by the plugin. */
static int objects_make(Arena *arena, const KModule *module, const CodeOptions *options, ObjectPart *object,
                        const char **error)
{
    const LlvmPlugin *plugin = load_plugin(arena, options->plugin, error);
    if (!plugin)
        return 0;
    Part part[MAX_PARTS] = {0};
    int parts = count_parts(module, options);
    share_functions(arena, module, part, parts);
    for (int p = 0; p < parts; p++)
        part[p].plugin = plugin, part[p].options = options;
    compile_parts(part, parts);
    bool ok = true;
    for (int p = 0; p < parts; p++) {
        object[p] = (ObjectPart){part[p].number, part[p].module.func.len, part[p].bytes, part[p].length};
        if (!part[p].bytes && ok)
            take_error(arena, part[p].message, error), ok = false;
        else
            free(part[p].message);
    }
    for (int p = 0; p < parts && !ok; p++)
        free(part[p].bytes);
    return ok ? parts : 0;
}

/* The symbols of a part's functions. */
static const char *const *part_symbols(Arena *arena, const KModule *module, const ObjectPart *part)
{
    KModule alone = {.arena = arena};
    const char **symbol = arena_array(arena, const char *, part->functions + 1);
    for (int k = 0; k < part->functions; k++)
        vec_push(arena, &alone.func, module->func.at[part->number[k]]);
    for (int k = 0; k < part->functions; k++) {
        char name[64];
        kernel_symbol(name, &alone, k);
        symbol[k] = arena_printf(arena, "%s", name);
    }
    return symbol;
}

static bool part_link(Arena *arena, const KModule *module, const CodeOptions *options, const ObjectPart *part,
                      Code *code, int number, const char **error)
{
    KernelFn *functions = arena_array(arena, KernelFn, part->functions + 1);
    const char *const *symbol = part_symbols(arena, module, part);
    if (!object_link(part->bytes, part->length, symbol, functions, part->functions, &code->linked[number])) {
        char *message = NULL;
        code->plugin = load_plugin(arena, options->plugin, error);
        if (!code->plugin)
            return false;
        code->jitted[number] = code->plugin->link(part->bytes, part->length, symbol, functions, part->functions,
                                                  &message);
        if (!code->jitted[number]) {
            take_error(arena, message, error);
            return false;
        }
        free(message);
    }
    for (int k = 0; k < part->functions; k++)
        code->functions[part->number[k]] = functions[k];
    return true;
}

static Code *parts_link(Arena *arena, const KModule *module, const CodeOptions *options, const ObjectPart *part,
                        int parts, const char **error)
{
    Code *code = code_new(module);
    bool ok = true;
    for (int p = 0; p < parts && ok; p++)
        ok = part_link(arena, module, options, &part[p], code, p, error);
    for (int k = 0; k < module->func.len && ok; k++)
        if (!code->functions[k])
            *error = "an object lacks a function", ok = false;
    if (!ok)
        code_free(code);
    return ok ? code : NULL;
}

static bool cpu_known(Arena *arena, const CodeOptions *options, Target *target, const char **error)
{
    bool known = cpu_target(options->cpu, target);
    if (!known)
        *error = arena_printf(arena, "unknown CPU `%s`", options->cpu);
    return known;
}

Code *code_jit(Arena *arena, const KModule *module, const CodeOptions *options, const char **error)
{
    ObjectPart part[MAX_PARTS];
    Target target;
    char key[65];
    if (!well_formed(arena, module, error) || !cpu_known(arena, options, &target, error))
        return NULL;
    bool keep = objects_key(module, options, key);
    Arena *scratch = arena_new();
    int parts = keep ? objects_find(scratch, options, key, module, part, MAX_PARTS) : 0;
    Code *code = parts ? parts_link(scratch, module, options, part, parts, error) : NULL;
    arena_free(scratch);
    if (code)
        return code;
    parts = objects_make(arena, module, options, part, error);
    code = parts ? parts_link(arena, module, options, part, parts, error) : NULL;
    if (code && keep)
        objects_put(options, key, part, parts);
    for (int p = 0; p < parts; p++)
        free((char *)(uintptr_t)part[p].bytes);
    return code;
}

bool emit_llvm(Arena *arena, const KModule *module, const CodeOptions *options, bool assembly, Buf *out,
               const char **error)
{
    Target target;
    bool ok = well_formed(arena, module, error) && cpu_known(arena, options, &target, error);
    const LlvmPlugin *plugin = ok ? load_plugin(arena, options->plugin, error) : NULL;
    if (!plugin)
        return false;
    char *message = NULL, *text = plugin->text(module, options, assembly, &message);
    if (!text) {
        take_error(arena, message, error);
        return false;
    }
    buf_text(out, text);
    free(text);
    free(message);
    return true;
}

bool emit_machine(Arena *arena, const MachineCode *code, const MachineTarget *target, const char *path, Buf *out,
                  const char **error)
{
    const LlvmPlugin *plugin = well_formed(arena, code->module, error) ? load_plugin(arena, path, error) : NULL;
    if (!plugin)
        return false;
    char *message = NULL;
    size_t length = 0;
    char *bytes = plugin->machine(code, target, &length, &message);
    if (!bytes) {
        take_error(arena, message, error);
        return false;
    }
    buf_put(out, bytes, length);
    free(bytes);
    free(message);
    return true;
}

bool emit_target(const CodeOptions *options, Target *target, const char **error)
{
    if (cpu_target(options->cpu, target))
        return true;
    *error = "unknown CPU";
    return false;
}

void emit_warm(const CodeOptions *options)
{
    Arena *arena = arena_new();
    const char *error = NULL;
    load_plugin(arena, options->plugin, &error);
    arena_free(arena);
}

static bool write_text(const char *path, const Buf *text)
{
    FILE *file = fopen(path, "wb");
    if (!file)
        return false;
    bool ok = fwrite(text->at, 1, text->len, file) == text->len;
    return fclose(file) == 0 && ok;
}

/* The first bytes of a file, for a message. */
static const char *read_start(Arena *arena, const char *path)
{
    char text[2000];
    FILE *file = fopen(path, "rb");
    size_t n = file ? fread(text, 1, sizeof text, file) : 0;
    if (file)
        fclose(file);
    return arena_copy(arena, text, n);
}

/* Runs a program found in PATH, without a shell; its output goes to `log`.  True if it exits with 0. */
static bool run_program(char *const argv[], const char *log)
{
    extern char **environ;
    posix_spawn_file_actions_t files;
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&files, STDERR_FILENO, log, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    posix_spawn_file_actions_adddup2(&files, STDERR_FILENO, STDOUT_FILENO);
    pid_t child;
    int status = -1;
    if (posix_spawnp(&child, argv[0], &files, NULL, argv, environ) == 0)
        while (waitpid(child, &status, 0) < 0)
            status = -1;
    posix_spawn_file_actions_destroy(&files);
    return status == 0;
}

static bool build_object(Arena *arena, const KModule *module, const char *compiler, const char *base,
                         const char *object, const char **error)
{
    const char *source = arena_printf(arena, "%s.c", base), *log = arena_printf(arena, "%s.log", base);
    Buf text = {0};
    emit_c(module, &text);
    bool written = write_text(source, &text);
    buf_free(&text);
    if (!written) {
        *error = arena_printf(arena, "cannot write %s", source);
        return false;
    }
    const char *argv[] = {compiler, "-std=c99", "-O1", "-ffp-contract=off", "-fno-math-errno", "-fPIC", "-shared", "-w",
                          "-o", object, source, "-lm", NULL};
    if (!run_program((char *const *)argv, log)) {
        *error = arena_printf(arena, "%s failed: %s", compiler, read_start(arena, log));
        return false;
    }
    unlink(log);
    return true;
}

static bool load_object(Arena *arena, const KModule *module, Code *code, const char *path, const char **error)
{
    code->object = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!code->object) {
        *error = arena_printf(arena, "cannot load the compiled C: %s", dlerror());
        return false;
    }
    for (int k = 0; k < module->func.len; k++) {
        char symbol[64];
        kernel_symbol(symbol, module, k);
        code->functions[k] = (KernelFn)(uintptr_t)dlsym(code->object, symbol);
        if (!code->functions[k]) {
            *error = arena_printf(arena, "the compiled C has no function %s", symbol);
            return false;
        }
    }
    return true;
}

Code *code_from_c(Arena *arena, const KModule *module, const char *compiler, const char *folder, const char **error)
{
    if (!well_formed(arena, module, error))
        return NULL;
    char *base = arena_printf(arena, "%s/kernels-XXXXXX", folder);
    int fd = mkstemp(base);                                 /* holds the name */
    if (fd < 0) {
        *error = arena_printf(arena, "cannot write to %s", folder);
        return NULL;
    }
    close(fd);
    const char *object = arena_printf(arena, "%s.so", base);
    Code *code = NULL;
    if (build_object(arena, module, compiler, base, object, error)) {
        code = code_new(module);
        if (!load_object(arena, module, code, object, error)) {
            code_free(code);
            code = NULL;
        }
    }
    unlink(base);
    return code;
}

KernelFn code_function(const Code *code, int func) { return code->functions[func]; }

void code_free(Code *code)
{
    if (!code)
        return;
    for (int p = 0; p < MAX_PARTS; p++) {
        object_unlink(&code->linked[p]);
        if (code->jitted[p])
            code->plugin->release(code->jitted[p]);
    }
    if (code->object)
        dlclose(code->object);
    free(code->functions);
    free(code);
}
