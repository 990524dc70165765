/* prelude.h -- the files of stdlib/, carried inside the binary (made by the Makefile). */
#ifndef NIN_PRELUDE_H
#define NIN_PRELUDE_H
typedef struct PreludeFile { const char *path, *text; } PreludeFile;
extern const PreludeFile prelude_files[];      /* ends with a NULL path */
#endif
