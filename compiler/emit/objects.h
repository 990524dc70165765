/* objects.h -- the cache of compiled objects: files OBJECTS/KEY, one a module. */
#ifndef NIN_EMIT_OBJECTS_H
#define NIN_EMIT_OBJECTS_H

#include "emit/emit.h"

/* Some of a module's functions in one object file: part[i] of the object is function number[i]. */
typedef struct ObjectPart { int *number; int functions; const char *bytes; size_t length; } ObjectPart;

/* The key of a module compiled so: SHA-256 of its instructions and data, the processor, the options and the generator
 * (the plugin's file and the version of LLVM).  False: there can be none. */
bool objects_key(const KModule *module, const CodeOptions *options, char key[65]);
/* A module's parts, at most `most`, in the arena; 0 if they are not there, or not whole (then the file goes).  Files of
 * other users, or that others may write, are not looked at. */
int objects_find(Arena *arena, const CodeOptions *options, const char *key, const KModule *module, ObjectPart *part,
                 int most);
/* Keeps them.  Where that fails there is no cache, and no message.  The oldest files go beyond OBJECTS_LIMIT bytes. */
void objects_put(const CodeOptions *options, const char *key, const ObjectPart *part, int parts);

/* Other bytes under a key of their own in the same folder, kept, found and dropped in the same way; they begin at a
 * multiple of 8.  NULL: not there, or damaged. */
const char *objects_bytes(Arena *arena, const CodeOptions *options, const char *key, size_t *length);
void objects_bytes_put(const CodeOptions *options, const char *key, const char *bytes, size_t length);

#define OBJECTS_LIMIT ((uint64_t)128 << 20)

#endif
