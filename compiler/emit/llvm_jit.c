/* llvm_jit.c -- machine code from kernels: target machine, passes, object file, ORC linking.
 *
 * Passes and code generation levels are those of the kernel study: code generation "default" with early-cse is as fast
 * as the whole -O2 pipeline on kernels that are already tiled, for a tenth of its time.  A training loop of scalars
 * gains much by packing them into vectors (slp-vectorizer): 1.8 times as fast for 1200 instructions, 8 times for 17000,
 * and the shorter code is generated in less time than the packing costs; the whole -O2 pipeline adds nothing to that.
 * Each compilation has a context of its own, so threads may compile at once. */
#include "emit/llvm.h"

#include <stdarg.h>
#include <stdlib.h>

#include <llvm-c/Analysis.h>
#include <llvm-c/LLJIT.h>
#include <llvm-c/Orc.h>
#include <llvm-c/Target.h>
#include <llvm-c/TargetMachine.h>
#include <llvm-c/Transforms/PassBuilder.h>

struct Jitted { LLVMOrcLLJITRef jit; };

typedef struct Build {
    LLVMContextRef cx;
    LLVMModuleRef mod;
    LLVMTargetMachineRef machine;
    char *cpu, *features;
} Build;

/* LLVM's own tables of targets, once, when the plugin is loaded. */
__attribute__((constructor)) static void start(void)
{
    LLVMInitializeNativeTarget();
    LLVMInitializeNativeAsmPrinter();
}

static void set_error(char **error, const char *format, ...) NIN_PRINTF(2, 3);
static void set_error(char **error, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    if (*error == NULL && vasprintf(error, format, args) < 0)
        *error = strdup("out of memory");
    va_end(args);
}

/* True if e is an error; its text is kept. */
static bool failed(LLVMErrorRef e, char **error)
{
    if (!e)
        return false;
    char *message = LLVMGetErrorMessage(e);
    set_error(error, "LLVM: %s", message);
    LLVMDisposeErrorMessage(message);
    return true;
}

/* CPUs that may be asked for by name: LLVM's C API neither lists names nor tells a name's features. */
static const struct { const char *name; int vector_bytes, registers; } cpus[] = {
    {"x86-64", 16, 16}, {"x86-64-v2", 16, 16}, {"x86-64-v3", 32, 16}, {"x86-64-v4", 64, 32},
    {"nehalem", 16, 16}, {"sandybridge", 16, 16}, {"ivybridge", 16, 16}, {"haswell", 32, 16}, {"broadwell", 32, 16},
    {"skylake", 32, 16}, {"skylake-avx512", 64, 32}, {"cascadelake", 64, 32}, {"cooperlake", 64, 32},
    {"icelake-client", 64, 32}, {"icelake-server", 64, 32}, {"tigerlake", 64, 32}, {"rocketlake", 64, 32},
    {"alderlake", 32, 16}, {"sapphirerapids", 64, 32}, {"emeraldrapids", 64, 32}, {"graniterapids", 64, 32},
    {"znver1", 32, 16}, {"znver2", 32, 16}, {"znver3", 32, 16}, {"znver4", 64, 32},
};

static bool native_is_x86(void)
{
    char *triple = LLVMGetDefaultTargetTriple();
    bool x86 = strncmp(triple, "x86_64", 6) == 0;
    LLVMDisposeMessage(triple);
    return x86;
}

static int find_cpu(const char *name)
{
    for (int k = 0; native_is_x86() && k < COUNT(cpus); k++)
        if (strcmp(cpus[k].name, name) == 0)
            return k;
    return -1;
}

/* "+avx512f,-avx10.1,...": the whole word must match. */
static bool has_feature(const char *features, const char *word)
{
    size_t n = strlen(word);
    for (const char *p = features; (p = strstr(p, word)) != NULL; p += n)
        if (p > features && p[-1] == '+' && (p[n] == ',' || p[n] == 0))
            return true;
    return false;
}

static bool plugin_target(const CodeOptions *options, Target *target, char **error)
{
    *target = (Target){.vector_bytes = 16, .registers = 16, .packing = true, .vectors = true};
    if (options->cpu) {
        int k = find_cpu(options->cpu);
        if (k < 0) {
            set_error(error, "unknown CPU `%s`", options->cpu);
            return false;
        }
        target->vector_bytes = cpus[k].vector_bytes;
        target->registers = cpus[k].registers;
        return true;
    }
    char *features = LLVMGetHostCPUFeatures();
    if (has_feature(features, "avx512f") && has_feature(features, "avx512vl") && has_feature(features, "avx512dq"))
        target->vector_bytes = 64, target->registers = 32;
    else if (has_feature(features, "avx2"))
        target->vector_bytes = 32;
    else if (!native_is_x86())
        target->registers = 32;
    LLVMDisposeMessage(features);
    return true;
}

static bool make_machine(Build *build, const CodeOptions *options, char **error)
{
    if (options->cpu && find_cpu(options->cpu) < 0) {
        set_error(error, "unknown CPU `%s`", options->cpu);
        return false;
    }
    build->cpu = options->cpu ? LLVMCreateMessage(options->cpu) : LLVMGetHostCPUName();
    build->features = options->cpu ? LLVMCreateMessage("") : LLVMGetHostCPUFeatures();
    char *triple = LLVMGetDefaultTargetTriple(), *message = NULL;
    LLVMTargetRef target;
    if (LLVMGetTargetFromTriple(triple, &target, &message)) {
        set_error(error, "LLVM: %s", message);
        LLVMDisposeMessage(message);
    } else {
        LLVMCodeGenOptLevel level = options->opt_level ? LLVMCodeGenLevelDefault : LLVMCodeGenLevelNone;
        build->machine = LLVMCreateTargetMachine(target, triple, build->cpu, build->features, level, LLVMRelocPIC,
                                                 LLVMCodeModelJITDefault);
        if (!build->machine)
            set_error(error, "LLVM has no code generator for %s", triple);
    }
    LLVMDisposeMessage(triple);
    return build->machine != NULL;
}

static bool run_passes(Build *build, const CodeOptions *options, char **error)
{
    if (!options->opt_level)
        return true;
    static const char light[] = "function(early-cse)";
    static const char scalars[] = "function(early-cse,instcombine<no-verify-fixpoint>,slp-vectorizer,"
                                  "instcombine<no-verify-fixpoint>,early-cse)";
    const char *passes = options->neuron ? scalars : light;
    LLVMPassBuilderOptionsRef settings = LLVMCreatePassBuilderOptions();
    bool ok = !failed(LLVMRunPasses(build->mod, passes, build->machine, settings), error);
    LLVMDisposePassBuilderOptions(settings);
    return ok;
}

static bool verify(Build *build, char **error)
{
    char *message = NULL;
    bool bad = LLVMVerifyModule(build->mod, LLVMReturnStatusAction, &message);
    if (bad)
        set_error(error, "LLVM: %s", message);
    LLVMDisposeMessage(message);
    return !bad;
}

static void build_free(Build *build)
{
    if (build->machine)
        LLVMDisposeTargetMachine(build->machine);
    if (build->mod)
        LLVMDisposeModule(build->mod);
    if (build->cx)
        LLVMContextDispose(build->cx);
    LLVMDisposeMessage(build->cpu);
    LLVMDisposeMessage(build->features);
}

/* Unoptimised modules and those that are printed are verified as well: both serve to find faults. */
static bool build_module(Build *build, const KModule *module, const CodeOptions *options, bool checked, char **error)
{
    if (!make_machine(build, options, error))
        return false;
    build->cx = LLVMContextCreate();
    build->mod = llvm_module(build->cx, module, build->cpu, build->features);
    char *triple = LLVMGetTargetMachineTriple(build->machine);
    LLVMTargetDataRef layout = LLVMCreateTargetDataLayout(build->machine);
    LLVMSetTarget(build->mod, triple);
    LLVMSetModuleDataLayout(build->mod, layout);
    LLVMDisposeTargetData(layout);
    LLVMDisposeMessage(triple);
    if ((checked || !options->opt_level) && !verify(build, error))
        return false;
    return run_passes(build, options, error);
}

static LLVMMemoryBufferRef emit(Build *build, LLVMCodeGenFileType type, char **error)
{
    char *message = NULL;
    LLVMMemoryBufferRef out = NULL;
    if (LLVMTargetMachineEmitToMemoryBuffer(build->machine, build->mod, type, &message, &out)) {
        set_error(error, "LLVM: %s", message);
        LLVMDisposeMessage(message);
        return NULL;
    }
    return out;
}

static char *plugin_text(const KModule *module, const CodeOptions *options, bool assembly, char **error)
{
    Build build = {0};
    char *text = NULL;
    if (build_module(&build, module, options, true, error)) {
        if (!assembly) {
            char *ir = LLVMPrintModuleToString(build.mod);
            text = strdup(ir);
            LLVMDisposeMessage(ir);
        } else {
            LLVMMemoryBufferRef out = emit(&build, LLVMAssemblyFile, error);
            if (out) {
                text = strndup(LLVMGetBufferStart(out), LLVMGetBufferSize(out));
                LLVMDisposeMemoryBuffer(out);
            }
        }
    }
    build_free(&build);
    return text;
}

/* What the execution session reports goes into the error of the call that made it, never to stderr. */
static void keep_report(void *context, LLVMErrorRef e) { failed(e, context); }

static LLVMOrcLLJITRef make_jit(LLVMTargetMachineRef machine, char **error)
{
    LLVMOrcLLJITBuilderRef builder = LLVMOrcCreateLLJITBuilder();
    LLVMOrcJITTargetMachineBuilderRef host = LLVMOrcJITTargetMachineBuilderCreateFromTargetMachine(machine);
    LLVMOrcLLJITBuilderSetJITTargetMachineBuilder(builder, host);
    LLVMOrcLLJITRef jit = NULL;
    return failed(LLVMOrcCreateLLJIT(&jit, builder), error) ? NULL : jit;
}

static void silence(void *context, LLVMErrorRef e)
{
    (void)context;
    LLVMConsumeError(e);
}

static bool link_object(LLVMOrcLLJITRef jit, LLVMMemoryBufferRef object, const KModule *module, KernelFn *functions,
                        char **error)
{
    LLVMOrcExecutionSessionRef session = LLVMOrcLLJITGetExecutionSession(jit);
    LLVMOrcExecutionSessionSetErrorReporter(session, keep_report, error);
    bool ok = !failed(LLVMOrcLLJITAddObjectFile(jit, LLVMOrcLLJITGetMainJITDylib(jit), object), error);
    for (int k = 0; ok && k < module->func.len; k++) {
        char symbol[64];
        LLVMOrcExecutorAddress address = 0;
        kernel_symbol(symbol, module, k);
        ok = !failed(LLVMOrcLLJITLookup(jit, &address, symbol), error);
        functions[k] = (KernelFn)(uintptr_t)address;
    }
    LLVMOrcExecutionSessionSetErrorReporter(session, silence, NULL);
    return ok;
}

static Jitted *plugin_compile(const KModule *module, const CodeOptions *options, KernelFn *functions, char **error)
{
    Build build = {0};
    Jitted *code = NULL;
    LLVMMemoryBufferRef object = NULL;
    if (build_module(&build, module, options, false, error))
        object = emit(&build, LLVMObjectFile, error);
    if (object) {
        LLVMOrcLLJITRef jit = make_jit(build.machine, error);
        build.machine = NULL;                               /* the JIT's builder has taken it */
        if (!jit) {
            LLVMDisposeMemoryBuffer(object);
        } else if (!link_object(jit, object, module, functions, error)) {
            LLVMConsumeError(LLVMOrcDisposeLLJIT(jit));
        } else {
            code = malloc(sizeof *code);
            code->jit = jit;
        }
    }
    build_free(&build);
    return code;
}

static void plugin_release(Jitted *code)
{
    LLVMConsumeError(LLVMOrcDisposeLLJIT(code->jit));
    free(code);
}

static const LlvmPlugin plugin = {
    sizeof(LlvmPlugin), K_COUNT, plugin_compile, plugin_release, plugin_text, plugin_target,
};

__attribute__((visibility("default"))) const LlvmPlugin *nin_llvm_plugin(void) { return &plugin; }
