/* kernel.h -- the kernel IR: functions of structured loops over typed SSA values, every decision taken.
 *
 * A value is a scalar or a virtual vector of 16 lanes.  Loops carry SSA values (no allocas for accumulators).
 * Instructions stand in one array; FOR ... END nest; a value is used only inside the block where it is made.
 *
 *   FOR   lo, hi, step(imm)  then one CARRY per carried value (operand: its value at the start), the body, one NEXT
 *         per CARRY in the same order (operand: its value for the next turn; imm = its CARRY), END (imm = its FOR);
 *         then one RESULT per CARRY that is wanted, in order (operand: the CARRY; imm = its number).
 *         FOR's own value is the i64 index.  Zero turns give the starts.  hi + step does not overflow.
 *
 * Memory is reached through pointers: ARG (imm = entry of the pointer table), LOCAL (a 64-byte-aligned scratch
 * array), DATA (a constant of the module).  LOAD/STORE take (pointer, i64 element index) and the element type;
 * a vector LOAD takes 16 consecutive elements and needs no alignment; EACH reads 16 elements, QUAD 16 groups of four
 * f32; a scalar LOAD needs that of 4 bytes at most.  A bool in memory is one byte, 0 or 1. Every
 * operation is total: integers wrap; x / 0 = 0, x mod 0 = 0; shift counts are taken modulo the width; float to integer
 * saturates and NaN gives 0.
 *
 * Both printers (emit/llvm.c, emit/c.c) are total functions over this array and decide nothing: no fast-math,
 * no contraction (MUL then ADD stays two roundings; FMA is one). */
#ifndef NIN_KERNEL_H
#define NIN_KERNEL_H

#include "base/base.h"

typedef enum KScalar { KS_VOID, KS_BOOL, KS_I32, KS_I64, KS_F32, KS_F64, KS_PTR } KScalar;
typedef struct KType { uint8_t scalar, lanes; } KType;                  /* lanes 1 or 16 */
#define KT(s) ((KType){KS_##s, 1})
#define KV(s) ((KType){KS_##s, 16})

typedef enum KOp {
#define KOP(name, operands, text) K_##name,
#include "kernel/kernel.def"
#undef KOP
    K_COUNT
} KOp;

typedef uint32_t KVal;                                                  /* index into KFunc.code; 0 = none */
typedef struct KInst { uint8_t op; KType type; KVal a, b, c; union { int64_t imm; double real; }; } KInst;

typedef struct KFunc {
    const char *name;
    VEC(KInst) code;                                                    /* code.at[0] is unused */
    VEC(KVal) open, next;                                               /* while building: FORs not yet ended, and */
                                                                        /* the next values of the innermost ones */
} KFunc;
typedef struct KData { const void *bytes; size_t size; } KData;
typedef struct KModule { Arena *arena; VEC(KFunc *) func; VEC(KData) data; } KModule;

/* The one signature of all kernels: a table of pointers and a range (of shards, tiles, elements or steps). */
typedef void (*KernelFn)(void *const *table, int64_t lo, int64_t hi);

KModule *kmodule_new(Arena *arena);
int kmodule_data(KModule *module, const void *bytes, size_t size);      /* copied, once; its number for DATA */
KFunc *kfunc_new(KModule *module, const char *name);

/* Builders append one instruction.  Types are checked by assertion. */
KVal k_arg(KModule *m, KFunc *f, int entry);                            /* PTR */
KVal k_lo(KModule *m, KFunc *f), k_hi(KModule *m, KFunc *f);            /* I64: the range */
KVal k_int(KModule *m, KFunc *f, KScalar type, int64_t x);
KVal k_ints(KModule *m, KFunc *f, KType type, int64_t x);               /* splat if vector */
KVal k_lanes(KModule *m, KFunc *f, KType type);                         /* the vector 0, 1, ..., 15 */
KVal k_real(KModule *m, KFunc *f, KType type, double x);                /* splat if vector; rounded to the type */
KVal k_1(KModule *m, KFunc *f, KOp op, KVal a);
KVal k_2(KModule *m, KFunc *f, KOp op, KVal a, KVal b);
KVal k_3(KModule *m, KFunc *f, KOp op, KVal a, KVal b, KVal c);
KVal k_cast(KModule *m, KFunc *f, KType to, KVal a);                    /* CONVERT */
KVal k_bits(KModule *m, KFunc *f, KType to, KVal a);                    /* BITCAST, same width */
KVal k_splat(KModule *m, KFunc *f, KVal a);
KVal k_lane(KModule *m, KFunc *f, KVal vector, int lane);
KVal k_insert(KModule *m, KFunc *f, KVal vector, int lane, KVal scalar);
KVal k_mask(KModule *m, KFunc *f, KVal bools);                          /* MASK */
KVal k_ones(KModule *m, KFunc *f, KVal bits), k_first(KModule *m, KFunc *f, KVal bits);
KVal k_rotate(KModule *m, KFunc *f, KVal vector, int by);               /* lane i: lane (i + by) mod 16 of vector */
KVal k_load(KModule *m, KFunc *f, KType type, KVal pointer, KVal index);
KVal k_each(KModule *m, KFunc *f, KScalar type, KVal pointer, KVal numbers);      /* EACH */
KVal k_quad(KModule *m, KFunc *f, KVal pointer, KVal numbers, int which);         /* QUAD */
void k_store(KModule *m, KFunc *f, KVal pointer, KVal index, KVal value);
/* NEAR: into the first cache.  WRITTEN: it is written too. */
typedef enum Fetch { FETCH, FETCH_NEAR, FETCH_WRITTEN } Fetch;
void k_prefetch(KModule *m, KFunc *f, KVal pointer, Fetch how);
void k_compress(KModule *m, KFunc *f, KVal pointer, KVal mask, KVal vector);
KVal k_expand(KModule *m, KFunc *f, KScalar type, KVal pointer, KVal mask);
KVal k_local(KModule *m, KFunc *f, KScalar element, int64_t count);
KVal k_data(KModule *m, KFunc *f, int data);
KVal k_offset(KModule *m, KFunc *f, KScalar element, KVal pointer, KVal index);   /* pointer + index elements */
/* i = k_for(...); c = k_carry(start) ...; body; k_next(value) ...; k_end(); r = k_result(number, type) ...
 * The starts are made before k_for; k_next may stand anywhere in the body: k_end places the NEXTs. */
KVal k_for(KModule *m, KFunc *f, KVal lo, KVal hi, int64_t step);
KVal k_carry(KModule *m, KFunc *f, KVal start);
void k_next(KModule *m, KFunc *f, KVal value);
void k_end(KModule *m, KFunc *f);
KVal k_result(KModule *m, KFunc *f, int number, KType type);            /* right after k_end, in order */
static inline KType k_type(const KFunc *f, KVal v) { return f->code.at[v].type; }
/* The fixed tree 16-8-4-2-1 over a vector's lanes: lane i + lane i+8, then i+4, i+2, i+1. */
KVal k_tree(KModule *m, KFunc *f, KOp op, KVal vector);

const char *kop_name(KOp op);
int kop_operands(KOp op);
int kscalar_bytes(KScalar scalar);                                      /* in memory */
const char *kscalar_name(KScalar scalar);                               /* "f32" */
/* NULL if the module is well formed, else a description of the first violation. */
const char *kernel_verify(const KModule *module, Arena *arena);
void kernel_print(const KModule *module, Buf *out);

/* Elementary functions, on scalars or vectors of f32 or f64: the sequences of kernel/math.def, the same that
 * runtime/support/math.c evaluates.  Within 2 ULP. */
KVal k_exp(KModule *m, KFunc *f, KVal x), k_log(KModule *m, KFunc *f, KVal x), k_sin(KModule *m, KFunc *f, KVal x),
     k_cos(KModule *m, KFunc *f, KVal x), k_tanh(KModule *m, KFunc *f, KVal x), k_erf(KModule *m, KFunc *f, KVal x);
/* Philox4x32-10: four I32 words (scalar or vector) from key and counter words. */
void k_philox(KModule *m, KFunc *f, const KVal counter[4], const KVal key[2], KVal out[4]);

/* What code is generated for. */
typedef struct Target {
    int vector_bytes;          /* 64, 32, 16; 4: plain C, scalars only, untiled */
    int registers;             /* vector registers */
    bool packing;              /* may use packed copies of operands */
    bool vectors;              /* may use 16-lane values at all */
} Target;

#endif
