/* llvm_machine.c -- an artifact as an object file or text, for this machine or another.
 *
 * To the module of kernels (llvm.c) it adds the constants and the functions of the header, which fill the kernels'
 * tables and call them; kernels are internal, so they are inlined and specialised.  Where a processor has no fused
 * multiply-add, fma of f32 is a function of its own, in double with rounding to odd; what else would become a call of
 * the C library is refused. */
#include "emit/llvm.h"

#include <stdlib.h>

#include <llvm-c/Analysis.h>
#include <llvm-c/BitWriter.h>
#include <llvm-c/Target.h>
#include <llvm-c/TargetMachine.h>
#include <llvm-c/Transforms/PassBuilder.h>

/* What is known of machines.  cpu: its name, NULL for any that begins with nothing else of this arch; the first of an
 * arch is the one that is meant when none is named. */
typedef struct Machine {
    const char *arch, *cpu, *features, *abi;
    bool fma32, fma64, rounds, sqrt32, sqrt64;
} Machine;
static const Machine machines[] = {
    {"x86_64", "x86-64-v3", "", NULL, true, true, true, true, true},
    {"x86_64", "x86-64-v4", "", NULL, true, true, true, true, true},
    {"x86_64", "haswell", "", NULL, true, true, true, true, true},
    {"x86_64", "skylake-avx512", "", NULL, true, true, true, true, true},
    {"x86_64", "znver3", "", NULL, true, true, true, true, true},
    {"x86_64", "x86-64-v2", "", NULL, false, false, true, true, true},
    {"x86_64", "x86-64", "", NULL, false, false, false, true, true},
    {"aarch64", "generic", "", NULL, true, true, true, true, true},
    {"aarch64", "cortex-a53", "", NULL, true, true, true, true, true},
    {"aarch64", "cortex-a72", "", NULL, true, true, true, true, true},
    {"aarch64", "cortex-a76", "", NULL, true, true, true, true, true},
    {"aarch64", "neoverse-n1", "", NULL, true, true, true, true, true},
    {"thumbv7em", "cortex-m4", "", NULL, true, false, false, true, false},
    {"thumbv7em", "cortex-m7", "", NULL, true, true, true, true, true},
    {"thumbv8m.main", "cortex-m33", "", NULL, true, false, false, true, false},
    {"thumbv6m", "cortex-m0", "", NULL, false, false, false, false, false},
    {"armv7", "cortex-a7", "", NULL, true, true, false, true, true},
    {"armv7", "cortex-a15", "", NULL, true, true, false, true, true},
    {"riscv64", "generic-rv64", "+m,+a,+f,+d,+c", "lp64d", true, true, true, true, true},
    {"riscv64", "sifive-u74", "+m,+a,+f,+d,+c", "lp64d", true, true, true, true, true},
    {"riscv32", "generic-rv32", "+m,+a,+f,+d,+c", "ilp32d", true, true, true, true, true},
    {"wasm32", "generic", "", NULL, false, false, true, true, true},
};

typedef struct Printer {
    LLVMContextRef cx;
    LLVMModuleRef mod;
    LLVMBuilderRef b;
    const MachineCode *code;
    const Machine *machine;
    LLVMValueRef *constant, *fn, *kernel, current, local[MACHINE_LOCALS];
    LLVMTypeRef *type;
} Printer;

/* ---- machines ---- */

static const Machine *find_machine(const char *triple, const char *cpu, char **error)
{
    bool arch = false;
    for (int k = 0; k < COUNT(machines); k++) {
        const Machine *m = &machines[k];
        if (strncmp(triple, m->arch, strlen(m->arch)) != 0)
            continue;
        arch = true;
        if (!cpu || strcmp(cpu, m->cpu) == 0)
            return m;
    }
    if (!arch) {
        llvm_error(error, "`%s` is no target of this version: x86_64, aarch64, thumbv7em, thumbv8m.main, thumbv6m, "
                          "armv7, riscv64, riscv32, wasm32", triple);
        return NULL;
    }
    char names[256] = "";
    for (int k = 0; k < COUNT(machines); k++)
        if (strncmp(triple, machines[k].arch, strlen(machines[k].arch)) == 0 && strlen(names) < 200) {
            strcat(names, *names ? ", " : "");
            strcat(names, machines[k].cpu);
        }
    llvm_error(error, "`%s` is no processor of %s in this version: %s", cpu, triple, names);
    return NULL;
}

/* Tables of LLVM's targets, made when machine code is first asked for; making them twice does no harm. */
static void initialize(void)
{
    LLVMInitializeAllTargetInfos();
    LLVMInitializeAllTargets();
    LLVMInitializeAllTargetMCs();
    LLVMInitializeAllAsmPrinters();
}

static LLVMTargetMachineRef target_machine(const char *triple, const Machine *machine, char **error)
{
    LLVMTargetRef target;
    char *message = NULL;
    if (LLVMGetTargetFromTriple(triple, &target, &message)) {
        llvm_error(error, "LLVM: %s", message);
        LLVMDisposeMessage(message);
        return NULL;
    }
    LLVMTargetMachineOptionsRef options = LLVMCreateTargetMachineOptions();
    LLVMTargetMachineOptionsSetCPU(options, machine->cpu);
    LLVMTargetMachineOptionsSetFeatures(options, machine->features);
    LLVMTargetMachineOptionsSetCodeGenOptLevel(options, LLVMCodeGenLevelDefault);
    LLVMTargetMachineOptionsSetRelocMode(
        options, strncmp(triple, "thumb", 5) == 0 || strncmp(triple, "wasm", 4) == 0 ? LLVMRelocStatic : LLVMRelocPIC);
    if (machine->abi)
        LLVMTargetMachineOptionsSetABI(options, machine->abi);
    LLVMTargetMachineRef made = LLVMCreateTargetMachineWithOptions(target, triple, options);
    LLVMDisposeTargetMachineOptions(options);
    if (!made)
        llvm_error(error, "LLVM has no code generator for %s", triple);
    return made;
}

/* ---- fma where there is none ---- */

static LLVMTypeRef f64(const Printer *p) { return LLVMDoubleTypeInContext(p->cx); }
static LLVMTypeRef i64(const Printer *p) { return LLVMInt64TypeInContext(p->cx); }
static LLVMTypeRef i32(const Printer *p) { return LLVMInt32TypeInContext(p->cx); }
static LLVMTypeRef ptr(const Printer *p) { return LLVMPointerTypeInContext(p->cx, 0); }
static LLVMValueRef number(const Printer *p, int64_t x) { return LLVMConstInt(i64(p), (unsigned long long)x, true); }

/* The product is exact in double; the sum is rounded to odd there: where it is inexact and even, the neighbour on the
 * side of what was lost is taken. */
static LLVMValueRef odd_sum(Printer *p, LLVMValueRef product, LLVMValueRef c)
{
    LLVMBuilderRef b = p->b;
    LLVMValueRef zero = LLVMConstReal(f64(p), 0), sum = LLVMBuildFAdd(b, product, c, "");
    LLVMValueRef t = LLVMBuildFSub(b, sum, product, ""), r = LLVMBuildFSub(b, sum, t, "");
    LLVMValueRef lost = LLVMBuildFAdd(b, LLVMBuildFSub(b, product, r, ""), LLVMBuildFSub(b, c, t, ""), "");
    LLVMValueRef bits = LLVMBuildBitCast(b, sum, i64(p), "");
    LLVMValueRef exponent = LLVMBuildAnd(b, LLVMBuildLShr(b, bits, number(p, 52), ""), number(p, 2047), "");
    LLVMValueRef finite = LLVMBuildICmp(b, LLVMIntNE, exponent, number(p, 2047), "");
    LLVMValueRef even = LLVMBuildICmp(b, LLVMIntEQ, LLVMBuildAnd(b, bits, number(p, 1), ""), number(p, 0), "");
    LLVMValueRef inexact = LLVMBuildFCmp(b, LLVMRealONE, lost, zero, "");
    LLVMValueRef away = LLVMBuildICmp(b, LLVMIntEQ, LLVMBuildFCmp(b, LLVMRealOGT, lost, zero, ""),
                                      LLVMBuildFCmp(b, LLVMRealOGT, sum, zero, ""), "");
    LLVMValueRef moved = LLVMBuildAdd(b, bits, LLVMBuildSelect(b, away, number(p, 1), number(p, -1), ""), "");
    LLVMValueRef move = LLVMBuildAnd(b, LLVMBuildAnd(b, finite, even, ""), inexact, "");
    return LLVMBuildBitCast(b, LLVMBuildSelect(b, move, moved, bits, ""), f64(p), "");
}

static void soft_fma(Printer *p, LLVMValueRef intrinsic)
{
    LLVMTypeRef f32 = LLVMFloatTypeInContext(p->cx), params[] = {f32, f32, f32};
    LLVMValueRef fn = LLVMAddFunction(p->mod, "nin_fmaf", LLVMFunctionType(f32, params, 3, false));
    LLVMSetLinkage(fn, LLVMInternalLinkage);
    LLVMReplaceAllUsesWith(intrinsic, fn);
    LLVMPositionBuilderAtEnd(p->b, LLVMAppendBasicBlockInContext(p->cx, fn, ""));
    LLVMValueRef wide[3];
    for (unsigned k = 0; k < 3; k++)
        wide[k] = LLVMBuildFPExt(p->b, LLVMGetParam(fn, k), f64(p), "");
    LLVMValueRef sum = odd_sum(p, LLVMBuildFMul(p->b, wide[0], wide[1], ""), wide[2]);
    LLVMBuildRet(p->b, LLVMBuildFPTrunc(p->b, sum, f32, ""));
}

static bool refuse(Printer *p, const char *intrinsic, bool had, const char *what, char **error)
{
    LLVMValueRef f = LLVMGetNamedFunction(p->mod, intrinsic);
    if (had || !f || !LLVMGetFirstUse(f))
        return true;
    llvm_error(error, "%s has no instruction for %s, which this model needs: build C for it", p->machine->cpu, what);
    return false;
}

static bool supported(Printer *p, char **error)
{
    const Machine *m = p->machine;
    LLVMValueRef fma = LLVMGetNamedFunction(p->mod, "llvm.fma.f32");
    if (fma && !m->fma32)
        soft_fma(p, fma);
    return refuse(p, "llvm.fma.f64", m->fma64, "fma of double", error) &&
           refuse(p, "llvm.sqrt.f32", m->sqrt32, "square roots", error) &&
           refuse(p, "llvm.sqrt.f64", m->sqrt64, "square roots of double", error) &&
           refuse(p, "llvm.floor.f32", m->rounds, "floor", error) &&
           refuse(p, "llvm.floor.f64", m->rounds, "floor", error) &&
           refuse(p, "llvm.ceil.f32", m->rounds, "ceil", error) &&
           refuse(p, "llvm.ceil.f64", m->rounds, "ceil", error) &&
           refuse(p, "llvm.rint.f32", m->rounds, "rounding", error) &&
           refuse(p, "llvm.rint.f64", m->rounds, "rounding", error);
}

/* ---- constants and functions ---- */

static void add_constants(Printer *p)
{
    for (int k = 0; k < p->code->constants; k++) {
        const KData *data = &p->code->constant[k];
        LLVMValueRef bytes = LLVMConstStringInContext2(p->cx, data->bytes, data->size, true);
        LLVMValueRef global = p->constant[k] = LLVMAddGlobal(p->mod, LLVMTypeOf(bytes), "");
        LLVMSetInitializer(global, bytes);
        LLVMSetLinkage(global, LLVMPrivateLinkage);
        LLVMSetGlobalConstant(global, true);
        LLVMSetAlignment(global, 8);
    }
}

static LLVMTypeRef scalar(const Printer *p, KScalar s)
{
    return s == KS_I32 ? i32(p) : s == KS_F32 ? LLVMFloatTypeInContext(p->cx) : f64(p);
}

static void declare(Printer *p, int k)
{
    const MachineFn *f = &p->code->fn[k];
    LLVMTypeRef params[8];
    for (int i = 0; i < f->params; i++)
        params[i] = ptr(p);
    if (f->by_value)
        params[f->params] = i32(p);
    LLVMTypeRef result = f->result < 0 ? LLVMVoidTypeInContext(p->cx) : scalar(p, f->given);
    p->type[k] = LLVMFunctionType(result, params, (unsigned)(f->params + f->by_value), false);
    p->fn[k] = LLVMAddFunction(p->mod, f->name, p->type[k]);
}

static LLVMValueRef address(Printer *p, const MachinePointer *at)
{
    LLVMValueRef base = at->base == BASE_PARAM      ? LLVMGetParam(p->current, (unsigned)at->index)
                        : at->base == BASE_CONSTANT ? p->constant[at->index]
                                                    : p->local[at->index],
                 offset = number(p, at->offset);
    return at->offset ? LLVMBuildGEP2(p->b, LLVMInt8TypeInContext(p->cx), base, &offset, 1, "") : base;
}

static LLVMValueRef room(Printer *p, LLVMTypeRef type)
{
    LLVMBasicBlockRef entry = LLVMGetEntryBasicBlock(p->current);
    LLVMBuilderRef b = LLVMCreateBuilderInContext(p->cx);
    LLVMValueRef first = LLVMGetFirstInstruction(entry);
    if (first)
        LLVMPositionBuilderBefore(b, first);
    else
        LLVMPositionBuilderAtEnd(b, entry);
    LLVMValueRef at = LLVMBuildAlloca(b, type, "");
    LLVMSetAlignment(at, 8);
    LLVMDisposeBuilder(b);
    return at;
}

static void call_kernel(Printer *p, const MachineCall *c)
{
    LLVMTypeRef params[] = {ptr(p), i64(p), i64(p)};
    LLVMTypeRef type = LLVMFunctionType(LLVMVoidTypeInContext(p->cx), params, 3, false);
    LLVMValueRef table = room(p, LLVMArrayType2(ptr(p), (uint64_t)(c->args ? c->args : 1)));
    for (int k = 0; k < c->args; k++) {
        LLVMValueRef index = number(p, k);
        LLVMBuildStore(p->b, address(p, &c->arg[k]), LLVMBuildGEP2(p->b, ptr(p), table, &index, 1, ""));
    }
    LLVMValueRef args[] = {table, number(p, c->lo), number(p, c->hi)};
    LLVMBuildCall2(p->b, type, p->kernel[c->func], args, 3, "");
}

static void call_entry(Printer *p, const MachineCall *c)
{
    const MachineFn *f = &p->code->fn[c->func];
    LLVMValueRef args[8];
    for (int k = 0; k < c->args; k++)
        args[k] = address(p, &c->arg[k]);
    if (f->by_value)
        args[f->params] = LLVMBuildLoad2(p->b, i32(p), args[f->params], "");
    LLVMValueRef result = LLVMBuildCall2(p->b, p->type[c->func], p->fn[c->func], args,
                                         (unsigned)(f->params + f->by_value), "");
    if (c->result >= 0)
        LLVMBuildStore(p->b, result, p->local[c->result]);
}

static void give_back(Printer *p, const MachineFn *f)
{
    if (f->result < 0) {
        LLVMBuildRetVoid(p->b);
        return;
    }
    LLVMValueRef x = LLVMBuildLoad2(p->b, scalar(p, f->kept), p->local[f->result], "");
    LLVMBuildRet(p->b, f->kept == f->given ? x : LLVMBuildFPCast(p->b, x, scalar(p, f->given), ""));
}

static void define(Printer *p, int k)
{
    const MachineFn *f = &p->code->fn[k];
    p->current = p->fn[k];
    LLVMPositionBuilderAtEnd(p->b, LLVMAppendBasicBlockInContext(p->cx, p->current, ""));
    for (int i = 0; i < f->locals; i++) {
        p->local[i] = room(p, LLVMArrayType2(LLVMInt8TypeInContext(p->cx), (uint64_t)f->local[i]));
        if (f->local[i] <= 8)
            LLVMBuildStore(p->b, number(p, 0), p->local[i]);
    }
    if (f->by_value)
        LLVMBuildStore(p->b, LLVMGetParam(p->current, (unsigned)f->params), p->local[0]);
    for (int c = 0; c < f->calls; c++) {
        const MachineCall *call = &f->call[c];
        if (call->kind == CALL_KERNEL)
            call_kernel(p, call);
        else if (call->kind == CALL_ENTRY)
            call_entry(p, call);
        else
            LLVMBuildMemCpy(p->b, address(p, &call->arg[0]), 8, address(p, &call->arg[1]), 8, number(p, call->lo));
    }
    if (f->counts) {
        LLVMValueRef step = LLVMGetParam(p->current, 0), old = LLVMBuildLoad2(p->b, i64(p), step, "");
        LLVMBuildStore(p->b, LLVMBuildAdd(p->b, old, number(p, 1), ""), step);
    }
    give_back(p, f);
}

/* Kernels are this module's own; calls of the C library other than memcpy and memset are not to be made up. */
static void attributes(Printer *p)
{
    LLVMAttributeRef a[] = {
        LLVMCreateEnumAttribute(p->cx, LLVMGetEnumAttributeKindForName("nounwind", 8), 0),
        LLVMCreateStringAttribute(p->cx, "target-cpu", 10, p->machine->cpu, (unsigned)strlen(p->machine->cpu)),
        LLVMCreateStringAttribute(p->cx, "target-features", 15, p->machine->features,
                                  (unsigned)strlen(p->machine->features)),
    };
    for (LLVMValueRef f = LLVMGetFirstFunction(p->mod); f; f = LLVMGetNextFunction(f))
        for (int k = 0; k < COUNT(a) && LLVMCountBasicBlocks(f); k++)
            LLVMAddAttributeAtIndex(f, LLVMAttributeFunctionIndex, a[k]);
}

static void print(Printer *p)
{
    for (int k = 0; k < p->code->module->func.len; k++) {
        char symbol[64];
        kernel_symbol(symbol, p->code->module, k);
        p->kernel[k] = LLVMGetNamedFunction(p->mod, symbol);
        LLVMSetLinkage(p->kernel[k], LLVMInternalLinkage);
    }
    add_constants(p);
    for (int k = 0; k < p->code->fns; k++)
        declare(p, k);
    for (int k = 0; k < p->code->fns; k++)
        define(p, k);
}

/* ---- what comes out ---- */

static char *copied(const char *bytes, size_t n, size_t *length)
{
    char *out = malloc(n + 1);
    memcpy(out, bytes, n);
    out[n] = 0;
    *length = n;
    return out;
}

static char *emit(Printer *p, LLVMTargetMachineRef machine, MachineForm form, size_t *length, char **error)
{
    char *message = NULL, *out;
    LLVMMemoryBufferRef buffer = NULL;
    if (form == FORM_LLVM) {
        char *text = LLVMPrintModuleToString(p->mod);
        out = copied(text, strlen(text), length);
        LLVMDisposeMessage(text);
        return out;
    }
    if (form == FORM_BITCODE) {
        buffer = LLVMWriteBitcodeToMemoryBuffer(p->mod);
    } else if (LLVMTargetMachineEmitToMemoryBuffer(
                   machine, p->mod, form == FORM_ASM ? LLVMAssemblyFile : LLVMObjectFile, &message, &buffer)) {
        llvm_error(error, "LLVM: %s", message);
        LLVMDisposeMessage(message);
        return NULL;
    }
    out = copied(LLVMGetBufferStart(buffer), LLVMGetBufferSize(buffer), length);
    LLVMDisposeMemoryBuffer(buffer);
    return out;
}

static bool optimise(Printer *p, LLVMTargetMachineRef machine, char **error)
{
    char *message = NULL;
    if (LLVMVerifyModule(p->mod, LLVMReturnStatusAction, &message)) {
        llvm_error(error, "LLVM: %s", message);
        LLVMDisposeMessage(message);
        return false;
    }
    LLVMDisposeMessage(message);
    LLVMPassBuilderOptionsRef settings = LLVMCreatePassBuilderOptions();
    LLVMErrorRef failed = LLVMRunPasses(p->mod, "default<O2>", machine, settings);
    LLVMDisposePassBuilderOptions(settings);
    if (!failed)
        return true;
    message = LLVMGetErrorMessage(failed);
    llvm_error(error, "LLVM: %s", message);
    LLVMDisposeErrorMessage(message);
    return false;
}

static char *printed(Printer *p, LLVMTargetMachineRef machine, const char *triple, MachineForm form, size_t *length,
                     char **error)
{
    p->cx = LLVMContextCreate();
    p->mod = llvm_module(p->cx, p->code->module, p->machine->cpu, p->machine->features);
    p->b = LLVMCreateBuilderInContext(p->cx);
    LLVMTargetDataRef layout = LLVMCreateTargetDataLayout(machine);
    LLVMSetTarget(p->mod, triple);
    LLVMSetModuleDataLayout(p->mod, layout);
    LLVMDisposeTargetData(layout);
    if (p->machine->abi)
        LLVMAddModuleFlag(p->mod, LLVMModuleFlagBehaviorError, "target-abi", 10,
                          LLVMMDStringInContext2(p->cx, p->machine->abi, strlen(p->machine->abi)));
    print(p);
    bool ok = supported(p, error);
    attributes(p);
    char *out = ok && optimise(p, machine, error) ? emit(p, machine, form, length, error) : NULL;
    LLVMDisposeBuilder(p->b);
    LLVMDisposeModule(p->mod);
    LLVMContextDispose(p->cx);
    return out;
}

char *llvm_machine(const MachineCode *code, const MachineTarget *target, size_t *length, char **error)
{
    initialize();
    char *own = LLVMGetDefaultTargetTriple(), *out = NULL;
    char *triple = LLVMNormalizeTargetTriple(target->triple ? target->triple
                                                            : own); /* "-none-eabihf": an environment */
    const Machine *machine = find_machine(triple, target->cpu, error);
    LLVMTargetMachineRef made = machine ? target_machine(triple, machine, error) : NULL;
    if (made) {
        Printer p = {.code = code, .machine = machine};
        p.constant = calloc((size_t)code->constants + 1, sizeof *p.constant);
        p.fn = calloc((size_t)code->fns + 1, sizeof *p.fn);
        p.type = calloc((size_t)code->fns + 1, sizeof *p.type);
        p.kernel = calloc((size_t)code->module->func.len + 1, sizeof *p.kernel);
        out = printed(&p, made, triple, target->form, length, error);
        free(p.constant);
        free(p.fn);
        free(p.type);
        free(p.kernel);
        LLVMDisposeTargetMachine(made);
    }
    LLVMDisposeMessage(own);
    LLVMDisposeMessage(triple);
    return out;
}
