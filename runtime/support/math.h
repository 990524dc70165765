/* math.h -- the language's elementary functions: the sequences of kernel/math.def, evaluated with C's fma.
 * The same bits as in generated code. */
#ifndef NIN_MATH_H
#define NIN_MATH_H

float nin_exp_f32(float x), nin_log_f32(float x), nin_sin_f32(float x), nin_cos_f32(float x), nin_tanh_f32(float x),
      nin_erf_f32(float x);
double nin_exp_f64(double x), nin_log_f64(double x), nin_sin_f64(double x), nin_cos_f64(double x),
    nin_tanh_f64(double x), nin_erf_f64(double x);

#endif
