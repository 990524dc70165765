/* fab_f32.c -- fab.c with rows of f32. */
#define ATTACK_F32
#include "attack/fab.c"
