/* math.c -- kernel/math.def read as C.  Needs -ffp-contract=off. */
#include "support/math.h"

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

typedef float VF32;
typedef double VF64;
typedef uint32_t VI32;
typedef uint64_t VI64;
typedef bool VBOOL;

static inline VI32 bits_of_f32(float x) { VI32 b; memcpy(&b, &x, sizeof b); return b; }
static inline VI64 bits_of_f64(double x) { VI64 b; memcpy(&b, &x, sizeof b); return b; }
static inline float f32_of_bits(VI32 b) { float x; memcpy(&x, &b, sizeof x); return x; }
static inline double f64_of_bits(VI64 b) { double x; memcpy(&x, &b, sizeof x); return x; }
static inline VI32 sar_i32(VI32 a, int by) { return a >> 31 ? ~(~a >> by) : a >> by; }
static inline VI64 sar_i64(VI64 a, int by) { return a >> 63 ? ~(~a >> by) : a >> by; }

#define FUNCTION(type, name, ...) static inline type name(__VA_ARGS__)
#define CALL(name, ...) name(__VA_ARGS__)
#define CF32(x) ((float)(x))
#define CF64(x) ((double)(x))
#define CI32(x) ((VI32)(x))
#define CI64(x) ((VI64)(x))
#define ADD(a, b) ((a) + (b))
#define SUB(a, b) ((a) - (b))
#define MUL(a, b) ((a) * (b))
#define DIV(a, b) ((a) / (b))
#define FMA(a, b, c) _Generic((a), float: fmaf, double: fma)((a), (b), (c))
#define ABS(a) _Generic((a), float: fabsf, double: fabs)(a)
#define LT(a, b) ((a) < (b))
#define EQ(a, b) ((a) == (b))
#define SELECT(m, a, b) ((m) ? (a) : (b))
#define IADD(a, b) ((a) + (b))
#define ISUB(a, b) ((a) - (b))
#define IAND(a, b) ((a) & (b))
#define IOR(a, b) ((a) | (b))
#define IXOR(a, b) ((a) ^ (b))
#define ISHL(a, by) ((a) << (by))
#define ISAR(a, by) _Generic((a), VI32: sar_i32, VI64: sar_i64)((a), (by))
#define IZERO(a) ((a) == 0)
#define BITS32(x) bits_of_f32(x)
#define BITS64(x) bits_of_f64(x)
#define REAL32(b) f32_of_bits(b)
#define REAL64(b) f64_of_bits(b)
#define TOREAL32(i) ((float)(int32_t)(i))
#define TOREAL64(i) ((double)(int64_t)(i))
#define WIDEN(x) ((double)(x))
#define NARROW(x) ((float)(x))
#define LOW32(i) ((VI32)(i))
#include "kernel/math.def"

float nin_exp_f32(float x) { return exp_f32(x); }
float nin_log_f32(float x) { return log_f32(x); }
float nin_sin_f32(float x) { return sin_f32(x); }
float nin_cos_f32(float x) { return cos_f32(x); }
float nin_tanh_f32(float x) { return tanh_f32(x); }
float nin_erf_f32(float x) { return erf_f32(x); }
double nin_exp_f64(double x) { return exp_f64(x); }
double nin_log_f64(double x) { return log_f64(x); }
double nin_sin_f64(double x) { return sin_f64(x); }
double nin_cos_f64(double x) { return cos_f64(x); }
double nin_tanh_f64(double x) { return tanh_f64(x); }
double nin_erf_f64(double x) { return erf_f64(x); }
