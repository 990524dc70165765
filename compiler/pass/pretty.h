/* pretty.h -- formulas as trees, for printing only: the algebra of real numbers, where x * 0 is 0.
 *
 * Exprs are hash-consed: equal ones are one pointer.  Normal forms:
 *   E_NUM    p / q
 *   E_SUM    num + sum of term[i].num * term[i].e; `at` is the place of num among the terms when printed.
 *            2 x is a sum of one term; no term is a number, or a sum with factor 1 or -1
 *   E_PROD   product of term[i].e ^ term[i].num, without a numeric factor, at most one exp
 *   E_FUNC   name(arg...): also "@" (matrix product), "pow" (any exponent), "list", "index" (text in `index`)
 *   E_CMP    arg[0] rel num, where arg[0] has no constant part, and the factor 1 if it is one term
 *   E_WHERE  arg[0] ? arg[1] : arg[2] */
#ifndef NIN_PASS_PRETTY_H
#define NIN_PASS_PRETTY_H

#include "base/base.h"

typedef struct Num { double p, q; } Num;                   /* p / q; q >= 1 whole; in lowest terms if p is whole */
typedef enum ExprKind { E_NUM, E_NAME, E_SUM, E_PROD, E_FUNC, E_CMP, E_WHERE } ExprKind;
typedef enum Rel { REL_LT, REL_LE, REL_GT, REL_GE, REL_EQ, REL_NE } Rel;

typedef struct Expr Expr;
typedef struct Term { const Expr *e; Num num; } Term;
struct Expr {
    ExprKind kind;
    Rel rel;
    Num num;
    int id, at, terms, args;
    const Term *term;
    const Expr *const *arg;
    const char *name, *index;
    bool matrix;                /* a "@" is inside */
    bool fixed;                 /* a name that is no argument: a parameter, pi; printed first */
    double size;                /* of the tree, shared parts counted each time */
};
typedef struct Algebra { Arena *arena; Intern *keys; Map known; } Algebra;

/* ---- numbers ---- */
Num num_of(double p, double q);
Num num_add(Num a, Num b);
Num num_mul(Num a, Num b);
Num num_power(Num a, int n);
static inline double num_value(Num a) { return a.p / a.q; }
static inline bool num_is(Num a, double x) { return a.p == x * a.q; }
static inline bool num_whole(Num a) { return a.q == 1 && a.p == (double)(int64_t)a.p; }

/* ---- building: pretty_algebra.c, pretty_where.c ---- */
const Expr *expr_number(Algebra *al, Num n);
const Expr *expr_value(Algebra *al, double x);
const Expr *expr_name(Algebra *al, const char *name, bool fixed);
const Expr *expr_intern(Algebra *al, Expr e);               /* a node in normal form */
const Expr *expr_sum(Algebra *al, Num constant, const Term *terms, int n);
const Expr *expr_add(Algebra *al, const Expr *a, const Expr *b);
const Expr *expr_scale(Algebra *al, Num c, const Expr *e);
const Expr *expr_product(Algebra *al, Num c, const Term *factors, int n);
const Expr *expr_mul(Algebra *al, const Expr *a, const Expr *b);
const Expr *expr_power(Algebra *al, const Expr *a, Num n);
const Expr *expr_func(Algebra *al, const char *name, const char *index, const Expr *const *arg, int n);
const Expr *expr_func1(Algebra *al, const char *name, const Expr *a);
const Expr *expr_compare(Algebra *al, Rel rel, const Expr *a, const Expr *b);
const Expr *expr_where(Algebra *al, const Expr *c, const Expr *a, const Expr *b);
bool expr_is(const Expr *e, double x);
bool expr_has_zero_branch(const Expr *e);
const Expr *expr_join_wheres(Algebra *al, const Expr *a, const Expr *b);     /* two choices' sum as one, or NULL */
int expr_decide(const Expr *c, const Expr *fact, bool truth);   /* 1: true, 0: false, -1: open */

/* ---- printing: pretty_print.c, pretty_latex.c ---- */
void expr_print(const Expr *e, Buf *out);
void expr_latex(const Expr *e, Buf *out);
Num num_shown(Num n);                                           /* 1/2 as 0.5, but 1/3 */
/* The order in which parts are shown: a positive term first, long fractions last; of a product numbers, parameters,
 * arguments, calls, sums. */
void expr_order_terms(const Expr *sum, int *order, int *n);     /* -1 stands for the constant */
void expr_order_factors(const Expr *product, bool calls_last, int *order);

#endif
