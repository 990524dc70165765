/* distill.h -- the simplest formula of a small grammar that is near to a function.
 *
 *   formula = c + term + ... (up to 3)      term = c factor * ... (up to 3)      factor = line, or curve(line)
 *   line = w1 x1 + w2 x2 + w3 x3 + b        curve = tanh, relu, abs, sin, exp
 *
 * Shapes are tried in order of their size (a line 1, a curve 2, each * and + one more; of one size in a fixed order),
 * each from `starts` fixed random starts by Levenberg and Marquardt's method.  At the first size where one is near
 * enough, all of that size are tried; what they need not is taken out (constants go to 0 one after the other, the
 * others are fitted again), numbers are rounded to as few digits as do, and the one that is shortest then is taken. */
#ifndef NIN_DISTILL_H
#define NIN_DISTILL_H

#include "base/base.h"

enum { FORMULA_ARGUMENTS = 3, FORMULA_TERMS = 3, FORMULA_FACTORS = 3,
       FORMULA_NUMBERS = 1 + FORMULA_TERMS * (1 + FORMULA_FACTORS * (FORMULA_ARGUMENTS + 1)) };
typedef enum FactorCurve { CURVE_LINE, CURVE_TANH, CURVE_RELU, CURVE_ABS, CURVE_SIN, CURVE_EXP } FactorCurve;
typedef struct FormulaTerm { int factors; FactorCurve curve[FORMULA_FACTORS]; } FormulaTerm;
/* p: c; then for each term its c, and for each of its factors w1, w2, ..., b. */
typedef struct FormulaFit {
    int arguments, terms, numbers; FormulaTerm term[FORMULA_TERMS];
    double p[FORMULA_NUMBERS];
    bool fixed[FORMULA_NUMBERS]; /* fixed: not fitted: 0, or the 1 of a product of lines */
    double error; /* root of the weighed mean square of what is left, by that about the mean */
    int size;                                     /* of the text: numbers, names and operators */
} FormulaFit;

typedef struct FormulaTarget {
    int arguments;
    int64_t n;
    const double *const *x;
    const double *y, *weight;
} FormulaTarget;
/* Error at most `within`; shapes of up to `size`; fits at most `most`.  False: the best is further away (it is given,
 * its numbers with 4 digits). */
bool distill_formula(const FormulaTarget *target, double within, int size, int most, FormulaFit *out);
double formula_value(const FormulaFit *f, const double *x);
double formula_error(const FormulaFit *f, const FormulaTarget *target);
/* Where a factor's w1 stands; factor -1: the term's c. */
int formula_parameter(const FormulaFit *f, int term, int factor);
/* The text: "0.5 + (x1 - 2) * tanh(3 * x2)"; returns its size. */
int formula_text(const FormulaFit *f, Buf *out);

#endif
