/* cache.h -- the user's cache of decoded data sets: what a set's files hold, as it lies in memory.
 *
 * NAME-KEY.data is the decoded set whose key (from the hashes of its files and how they are read) begins with KEY: a
 * header of fixed size with the SHA-256 of itself, then the columns' bytes with a checksum.  seen-PATH holds the
 * SHA-256 of a file with its size, times and inode, so that an unchanged file is not hashed again.  All are written at
 * once or not at all; whatever is not right is passed over and written anew.  A cache that cannot be written is no
 * error. */
#ifndef NIN_CACHE_H
#define NIN_CACHE_H

#include "data/dataset.h"

/* file_sha256, by way of the cache; folder NULL: without. */
bool cache_sha256(Arena *arena, const char *folder, const char *path, char hex[65], char **error);

/* set->name and key name the entry.  Fills parts, classes, lo and hi. */
bool cache_read(Arena *arena, const char *folder, const char *key, Dataset *set);
void cache_write(Arena *arena, const char *folder, const char *key, const Dataset *set);

#endif
