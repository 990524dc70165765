/* rows.h -- rows of numbers in a victim's precision, computed with in f64.
 *
 * A file that includes this is compiled twice: as it is, with rows of f64, and with rows of f32 by a file of its own that
 * defines ATTACK_F32 and includes it.  Its functions are named TYPED(name), and those of f64 that choose between the two
 * stand under ATTACK_CHOOSES.  ROW_AT and ROW_PUT: the numbers of a row from p on, as many as there are lanes. */
#ifndef NIN_ATTACK_ROWS_H
#define NIN_ATTACK_ROWS_H

#include "attack/wide.h"

#ifdef ATTACK_F32
typedef float Real;
#define TYPED(name) name##_f32
#define ROW_AT(p) NARROW_AT(p)
#define ROW_PUT(p, x) (NARROW_PUT(p) = __builtin_convertvector((x), Narrow))
#else
#define ATTACK_CHOOSES
typedef double Real;
#define TYPED(name) name##_f64
#define ROW_AT(p) WIDE_AT(p)
#define ROW_PUT(p, x) (WIDE_PUT(p) = (x))
#endif

#endif
