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
#ifdef __GLIBC__
#include <malloc.h>
#endif

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

void llvm_error(char **error, const char *format, ...)
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
    llvm_error(error, "LLVM: %s", message);
    LLVMDisposeErrorMessage(message);
    return true;
}

static bool make_machine(Build *build, const CodeOptions *options, char **error)
{
    build->cpu = options->cpu ? LLVMCreateMessage(options->cpu) : LLVMGetHostCPUName();
    build->features = options->cpu ? LLVMCreateMessage("") : LLVMGetHostCPUFeatures();
    char *triple = LLVMGetDefaultTargetTriple(), *message = NULL;
    LLVMTargetRef target;
    if (LLVMGetTargetFromTriple(triple, &target, &message)) {
        llvm_error(error, "LLVM: %s", message);
        LLVMDisposeMessage(message);
    } else {
        LLVMCodeGenOptLevel level = options->opt_level ? LLVMCodeGenLevelDefault : LLVMCodeGenLevelNone;
        build->machine = LLVMCreateTargetMachine(target, triple, build->cpu, build->features, level, LLVMRelocPIC,
                                                 LLVMCodeModelSmall);
        if (!build->machine)
            llvm_error(error, "LLVM has no code generator for %s", triple);
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
        llvm_error(error, "LLVM: %s", message);
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
        llvm_error(error, "LLVM: %s", message);
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

static LLVMOrcLLJITRef make_jit(char **error)
{
    LLVMOrcLLJITRef jit = NULL;
    return failed(LLVMOrcCreateLLJIT(&jit, LLVMOrcCreateLLJITBuilder()), error) ? NULL : jit;
}

static void silence(void *context, LLVMErrorRef e)
{
    (void)context;
    LLVMConsumeError(e);
}

static bool link_object(LLVMOrcLLJITRef jit, LLVMMemoryBufferRef object, const char *const *symbol, KernelFn *functions,
                        int n, char **error)
{
    LLVMOrcExecutionSessionRef session = LLVMOrcLLJITGetExecutionSession(jit);
    LLVMOrcExecutionSessionSetErrorReporter(session, keep_report, error);
    bool ok = !failed(LLVMOrcLLJITAddObjectFile(jit, LLVMOrcLLJITGetMainJITDylib(jit), object), error);
    for (int k = 0; ok && k < n; k++) {
        LLVMOrcExecutorAddress address = 0;
        ok = !failed(LLVMOrcLLJITLookup(jit, &address, symbol[k]), error);
        functions[k] = (KernelFn)(uintptr_t)address;
    }
    LLVMOrcExecutionSessionSetErrorReporter(session, silence, NULL);
    return ok;
}

/* Of what a compilation took, tens of megabytes lie in pieces that the C library would keep. */
static void give_back(void)
{
#ifdef __GLIBC__
    malloc_trim(0);
#endif
}

static char *plugin_object(const KModule *module, const CodeOptions *options, size_t *length, char **error)
{
    Build build = {0};
    char *bytes = NULL;
    LLVMMemoryBufferRef object = NULL;
    if (build_module(&build, module, options, false, error))
        object = emit(&build, LLVMObjectFile, error);
    if (object) {
        *length = LLVMGetBufferSize(object);
        bytes = malloc(*length + 1);
        if (bytes)
            memcpy(bytes, LLVMGetBufferStart(object), *length);
        else
            llvm_error(error, "out of memory");
        LLVMDisposeMemoryBuffer(object);
    }
    build_free(&build);
    give_back();
    return bytes;
}

static Jitted *plugin_link(const char *object, size_t length, const char *const *symbol, KernelFn *functions, int n,
                           char **error)
{
    LLVMOrcLLJITRef jit = make_jit(error);
    if (!jit)
        return NULL;
    LLVMMemoryBufferRef buffer = LLVMCreateMemoryBufferWithMemoryRangeCopy(object, length, "object");
    if (!link_object(jit, buffer, symbol, functions, n, error)) {
        LLVMConsumeError(LLVMOrcDisposeLLJIT(jit));
        return NULL;
    }
    Jitted *code = malloc(sizeof *code);
    code->jit = jit;
    return code;
}

static void plugin_release(Jitted *code)
{
    LLVMConsumeError(LLVMOrcDisposeLLJIT(code->jit));
    free(code);
}

static const LlvmPlugin plugin = {
    sizeof(LlvmPlugin), K_COUNT, plugin_object, plugin_link, plugin_release, plugin_text, llvm_machine,
};

__attribute__((visibility("default"))) const LlvmPlugin *nin_llvm_plugin(void) { return &plugin; }
