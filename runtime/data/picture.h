/* picture.h -- pictures in PNG and JPEG files as bytes of red, green and blue.
 *
 * Through libpng and libjpeg.  A PNG may have any depth and type of colour; depths above 8 lose their lower bits,
 * transparency is passed over.  Sizes are checked before anything of that size is allocated; every error is one line
 * that begins with the path. */
#ifndef NIN_PICTURE_H
#define NIN_PICTURE_H

#include "base/base.h"

enum { PICTURE_SIDE = 16384, PICTURE_PIXELS = 1 << 26 };          /* the largest that are read */

typedef struct Picture { int height, width; uint8_t *rgb; } Picture;      /* [height, width, 3] */

bool picture_named(const char *path);                              /* .png, .jpg, .jpeg in either case */
/* By the first bytes; `name` stands for the path. */
bool read_picture(Arena *arena, const char *name, const void *bytes, size_t length, Picture *out, char **error);

#endif
