/* known.h -- the data sets that have a name: what they hold, which files carry them, where those may lie.
 *
 * A set lies in a data folder as plain files (each may end in .gz), or, for CIFAR, as one archive of them. */
#ifndef NIN_KNOWN_H
#define NIN_KNOWN_H

#include "data/dataset.h"

enum { KNOWN_FILES = 6 };

/* A file as its authors distribute it. */
typedef struct OfficialFile { const char *name; uint64_t size; const char *sha256; } OfficialFile;
/* A file of the set without compression; sha256 NULL: not known. */
typedef struct PlainFile { const char *name, *sha256; } PlainFile;

typedef struct KnownSet {
    DatasetFacts facts;
    const char *const *places;      /* folders below a data folder; ends with NULL */
    PlainFile plain[KNOWN_FILES];   /* train first; ends with a name NULL */
    const char *const *archives;    /* names of archives that hold all of them; NULL: none */
    const char *url;                /* with a slash at its end; the official files are below it */
    OfficialFile official[5];       /* ends with a name NULL */
} KnownSet;

const KnownSet *known_set(const char *name);           /* NULL if the name is not known */

/* Where a set lies.  archive: path[0] is one; else path[i] is the file plain[i]. */
typedef struct KnownPlace { const char *folder; const char *path[KNOWN_FILES]; int count; bool archive; } KnownPlace;
/* False with *error (what is missing, and where it may be had) if it is in none of the folders (ends with NULL). */
bool known_find(Arena *arena, const KnownSet *set, const char *const *folders, KnownPlace *out, char **error);

/* What the contents of the files found are: *official is false if a hash differs from the known one (then *error says
 * which, and it returns true); false with *error if a file cannot be read. */
bool known_verify(Arena *arena, const KnownSet *set, const KnownPlace *place, bool *official, char **error);

#endif
