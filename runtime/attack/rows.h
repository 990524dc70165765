/* rows.h -- numbers of a victim's precision, where an attack looks at them one by one.
 *
 * A file that includes this is compiled twice: as it is, for f64, and for f32 by a file of its own that defines
 * ATTACK_F32 and includes it.  Its functions are named TYPED(name), and those of f64 that choose between the two stand
 * under ATTACK_CHOOSES. */
#ifndef NIN_ATTACK_ROWS_H
#define NIN_ATTACK_ROWS_H

#ifdef ATTACK_F32
typedef float Real;
#define TYPED(name) name##_f32
#else
#define ATTACK_CHOOSES
typedef double Real;
#define TYPED(name) name##_f64
#endif

#endif
