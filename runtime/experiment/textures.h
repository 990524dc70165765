/* textures.h -- frost textures from a folder of pictures under the data folders. */
#ifndef NIN_TEXTURES_H
#define NIN_TEXTURES_H

#include "corrupt/corrupt.h"
#include "experiment/lab.h"

enum { MOST_TEXTURES = 5 };              /* as many as the published corruption takes */
/* hash: SHA-256 of the files' bytes, one after the other, by name. */
typedef struct Textures { FrostTexture at[MOST_TEXTURES]; int n; char hash[65]; } Textures;

/* The first pictures of the folder by name, large enough for height x width: E0601, E0712, E0901.  While checking the
 * folder is only looked for. */
bool textures_read(Eval *e, const char *folder, int height, int width, Span span, Textures *out);

#endif
