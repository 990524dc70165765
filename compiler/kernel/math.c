/* math.c -- kernel/math.def read as kernel IR, on scalars or vectors of 16; and Philox4x32-10. */
#include "kernel/kernel.h"

#include <assert.h>
#include <math.h>

/* Where the sequences append, and how wide. */
typedef struct Maker { KModule *m; KFunc *f; uint8_t lanes; } Maker;

typedef KVal VF32, VF64, VI32, VI64, VBOOL;

static KVal ints(const Maker *k, KScalar s, int64_t x) { return k_ints(k->m, k->f, (KType){s, k->lanes}, x); }
static KVal real(const Maker *k, KScalar s, double x) { return k_real(k->m, k->f, (KType){s, k->lanes}, x); }
static KVal cast(const Maker *k, KScalar s, KVal a) { return k_cast(k->m, k->f, (KType){s, k->lanes}, a); }
static KVal bits(const Maker *k, KScalar s, KVal a) { return k_bits(k->m, k->f, (KType){s, k->lanes}, a); }
static KVal one(const Maker *k, KOp op, KVal a) { return k_1(k->m, k->f, op, a); }
static KVal two(const Maker *k, KOp op, KVal a, KVal b) { return k_2(k->m, k->f, op, a, b); }
static KVal three(const Maker *k, KOp op, KVal a, KVal b, KVal c) { return k_3(k->m, k->f, op, a, b, c); }

static KVal shift(const Maker *k, KOp op, KVal a, int by)
{
    return two(k, op, a, k_ints(k->m, k->f, k_type(k->f, a), by));
}

static KVal is_zero(const Maker *k, KVal a) { return two(k, K_EQ, a, k_ints(k->m, k->f, k_type(k->f, a), 0)); }

#define FUNCTION(type, name, ...) static type name(const Maker *k_, __VA_ARGS__)
#define CALL(name, ...) name(k_, __VA_ARGS__)
#define CF32(x) real(k_, KS_F32, (x))
#define CF64(x) real(k_, KS_F64, (x))
#define CI32(x) ints(k_, KS_I32, (x))
#define CI64(x) ints(k_, KS_I64, (x))
#define ADD(a, b) two(k_, K_ADD, (a), (b))
#define SUB(a, b) two(k_, K_SUB, (a), (b))
#define MUL(a, b) two(k_, K_MUL, (a), (b))
#define DIV(a, b) two(k_, K_DIV, (a), (b))
#define FMA(a, b, c) three(k_, K_FMA, (a), (b), (c))
#define ABS(a) one(k_, K_ABS, (a))
#define LT(a, b) two(k_, K_LT, (a), (b))
#define EQ(a, b) two(k_, K_EQ, (a), (b))
#define SELECT(m, a, b) three(k_, K_SELECT, (m), (a), (b))
#define IADD(a, b) two(k_, K_ADD, (a), (b))
#define ISUB(a, b) two(k_, K_SUB, (a), (b))
#define IAND(a, b) two(k_, K_AND, (a), (b))
#define IOR(a, b) two(k_, K_OR, (a), (b))
#define IXOR(a, b) two(k_, K_XOR, (a), (b))
#define ISHL(a, by) shift(k_, K_SHL, (a), (by))
#define ISAR(a, by) shift(k_, K_SAR, (a), (by))
#define IZERO(a) is_zero(k_, (a))
#define BITS32(x) bits(k_, KS_I32, (x))
#define BITS64(x) bits(k_, KS_I64, (x))
#define REAL32(b) bits(k_, KS_F32, (b))
#define REAL64(b) bits(k_, KS_F64, (b))
#define TOREAL32(i) cast(k_, KS_F32, (i))
#define TOREAL64(i) cast(k_, KS_F64, (i))
#define WIDEN(x) cast(k_, KS_F64, (x))
#define NARROW(x) cast(k_, KS_F32, (x))
#define LOW32(i) cast(k_, KS_I32, (i))
#include "kernel/math.def"

typedef KVal Sequence(const Maker *k, KVal x);

static KVal apply(KModule *m, KFunc *f, KVal x, Sequence *f32, Sequence *f64)
{
    KType type = k_type(f, x);
    assert(type.scalar == KS_F32 || type.scalar == KS_F64);
    Maker maker = {m, f, type.lanes};
    return type.scalar == KS_F32 ? f32(&maker, x) : f64(&maker, x);
}

KVal k_exp(KModule *m, KFunc *f, KVal x) { return apply(m, f, x, exp_f32, exp_f64); }
KVal k_log(KModule *m, KFunc *f, KVal x) { return apply(m, f, x, log_f32, log_f64); }
KVal k_sin(KModule *m, KFunc *f, KVal x) { return apply(m, f, x, sin_f32, sin_f64); }
KVal k_cos(KModule *m, KFunc *f, KVal x) { return apply(m, f, x, cos_f32, cos_f64); }
KVal k_tanh(KModule *m, KFunc *f, KVal x) { return apply(m, f, x, tanh_f32, tanh_f64); }
KVal k_erf(KModule *m, KFunc *f, KVal x) { return apply(m, f, x, erf_f32, erf_f64); }

/* One round: two 32 x 32 -> 64 products, crossed over with the other words and the key. */
static void philox_round(const Maker *k, KVal c[4], const KVal key[2])
{
    KVal m0 = ints(k, KS_I32, 0xD2511F53), m1 = ints(k, KS_I32, 0xCD9E8D57);
    KVal high0 = two(k, K_MULHI, c[0], m0), low0 = two(k, K_MUL, c[0], m0);
    KVal high1 = two(k, K_MULHI, c[2], m1), low1 = two(k, K_MUL, c[2], m1);
    c[0] = two(k, K_XOR, high1, c[1]);
    c[0] = two(k, K_XOR, c[0], key[0]);
    c[1] = low1;
    c[2] = two(k, K_XOR, high0, c[3]);
    c[2] = two(k, K_XOR, c[2], key[1]);
    c[3] = low0;
}

void k_philox(KModule *m, KFunc *f, const KVal counter[4], const KVal key[2], KVal out[4])
{
    Maker k = {m, f, k_type(f, counter[0]).lanes};
    KVal c[4] = {counter[0], counter[1], counter[2], counter[3]}, word[2] = {key[0], key[1]};
    for (int round = 0; round < 10; round++) {
        philox_round(&k, c, word);
        if (round == 9)
            break;
        word[0] = two(&k, K_ADD, word[0], ints(&k, KS_I32, 0x9E3779B9));
        word[1] = two(&k, K_ADD, word[1], ints(&k, KS_I32, 0xBB67AE85));
    }
    memcpy(out, c, sizeof c);
}
