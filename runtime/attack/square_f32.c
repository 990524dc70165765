/* square_f32.c -- square.c with rows of f32. */
#define ATTACK_F32
#include "attack/square.c"
