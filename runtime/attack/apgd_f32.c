/* apgd_f32.c -- apgd.c with rows of f32. */
#define ATTACK_F32
#include "attack/apgd.c"
