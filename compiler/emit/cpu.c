/* cpu.c -- the processors that may be asked for by name (LLVM's C API neither lists names nor tells a name's features),
 * and the one that this is: by its CPUID leaves. */
#include "emit/cpu.h"

#ifdef __x86_64__
#include <cpuid.h>

static const struct { const char *name; int vector_bytes, registers; } cpus[] = {
    {"x86-64", 16, 16}, {"x86-64-v2", 16, 16}, {"x86-64-v3", 32, 16}, {"x86-64-v4", 64, 32},
    {"nehalem", 16, 16}, {"sandybridge", 16, 16}, {"ivybridge", 16, 16}, {"haswell", 32, 16}, {"broadwell", 32, 16},
    {"skylake", 32, 16}, {"skylake-avx512", 64, 32}, {"cascadelake", 64, 32}, {"cooperlake", 64, 32},
    {"icelake-client", 64, 32}, {"icelake-server", 64, 32}, {"tigerlake", 64, 32}, {"rocketlake", 64, 32},
    {"alderlake", 32, 16}, {"sapphirerapids", 64, 32}, {"emeraldrapids", 64, 32}, {"graniterapids", 64, 32},
    {"znver1", 32, 16}, {"znver2", 32, 16}, {"znver3", 32, 16}, {"znver4", 64, 32},
};

bool cpu_target(const char *name, Target *target) {
    *target = (Target){.vector_bytes = 16, .registers = 16, .packing = true, .vectors = true};
    if (!name) {
        bool wide = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl")
                    && __builtin_cpu_supports("avx512dq");
        target->vector_bytes = wide ? 64 : __builtin_cpu_supports("avx2") ? 32 : 16;
        target->registers = wide ? 32 : 16;
        return true;
    }
    for (int k = 0; k < COUNT(cpus); k++) {
        if (strcmp(cpus[k].name, name)) continue;
        target->vector_bytes = cpus[k].vector_bytes;
        target->registers = cpus[k].registers;
        return true;
    }
    return false;
}

/* Family, model and stepping; the features of leaves 1, 7 and 80000001; the states that the system saves. */
bool cpu_identity(const char *name, Buf *out) {
    if (name) {
        buf_printf(out, "cpu %s\n", name);
        return true;
    }
    unsigned a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d)) return false;
    buf_printf(out, "x86-64 %x %x %x", a, c, d);
    if (c >> 27 & 1) {                                       /* OSXSAVE */
        unsigned low, high;
        __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
        buf_printf(out, " %x", low);
    }
    for (unsigned k = 0; k < 2; k++)
        if (__get_cpuid_count(7, k, &a, &b, &c, &d)) buf_printf(out, " %x %x %x %x", k ? a : 0, b, c, d);
    if (__get_cpuid(0x80000001u, &a, &b, &c, &d)) buf_printf(out, " %x %x", c, d);
    buf_text(out, "\n");
    return true;
}

#else

bool cpu_target(const char *name, Target *target) {
    *target = (Target){.vector_bytes = 16, .registers = 32, .packing = true, .vectors = true};
    return !name;
}

bool cpu_identity(const char *name, Buf *out) {
    (void)name, (void)out;
    return false;
}

#endif
