/* cifar.h -- the binary version of CIFAR-10 and CIFAR-100: records of one label byte (CIFAR-100: two, coarse and fine;
 * the fine one is taken) and 3 x 32 x 32 pixels, planes red, green, blue. */
#ifndef NIN_CIFAR_H
#define NIN_CIFAR_H

#include "data/known.h"

/* Any whole number of records in each file.  Parts of *set; pixels and labels in the arena. */
bool read_cifar(Arena *arena, const KnownSet *known, const KnownPlace *place, const ReadLimits *limits, Dataset *set,
                char **error);

#endif
