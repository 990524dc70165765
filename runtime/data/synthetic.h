/* synthetic.h -- made-up data sets: points and classes that are functions of a key (rng.h) and the example's number.
 *
 * Example i has the class c = i mod classes, but for parity.  u: the uniform number of element 0 of example i;
 * z0, z1, ...: the normal numbers of elements 2, 3, ...; pi and the functions in f64, as the language computes them.
 *
 *   two_spirals   a = 2 pi turns u + pi c;  (1 + 12 u) / 13 (cos a, sin a) + noise (z0, z1)       [Lang, Witbrock 1988]
 *   moons         c = 0: (cos pi u, sin pi u);  c = 1: (1 - cos pi u, 1/2 - sin pi u);  + noise (z0, z1)
 *   circles       a = 2 pi u;  r (cos a, sin a) + noise (z0, z1),  r = 1 for c = 0, factor for c = 1
 *   blobs         centre of c + noise (z0, z1, ...);  centres: uniform in [-1, 1], feature k of class c from element k
 *                 of example c under the key's second occurrence
 *   parity        -1 or 1 for each bit;  c = 1 if the number of ones is odd
 *   noisy_xor     corner i mod 4: (-1, -1), (-1, 1), (1, -1), (1, 1), classes 0 1 1 0;  + noise (z0, z1) */
#ifndef NIN_SYNTHETIC_H
#define NIN_SYNTHETIC_H

#include <stdint.h>

typedef enum SyntheticKind {
    SYNTHETIC_SPIRALS, SYNTHETIC_MOONS, SYNTHETIC_CIRCLES, SYNTHETIC_BLOBS, SYNTHETIC_PARITY, SYNTHETIC_XOR
} SyntheticKind;
typedef struct Synthetic {
    SyntheticKind kind;
    int features, classes;
    double noise, turns, factor;
    int all;                            /* parity: every pattern once, in a drawn order; n is 2^features */
    uint64_t seed;
} Synthetic;

/* n rows of features into x, n classes into y. */
void synthetic_fill(const Synthetic *set, const char *name, int64_t n, double *x, int32_t *y);

#endif
