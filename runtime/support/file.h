/* file.h -- whole files in, atomic files out, folders.
 *
 * Every error is one line, "PATH: what went wrong", in the caller's arena.  A file that is written appears under its
 * name complete or not at all: bytes go to PATH.tmp-PID-N in the same folder, which is synced and renamed. */
#ifndef NIN_FILE_H
#define NIN_FILE_H

#include "base/base.h"

/* The file's bytes in the arena, with a NUL after them.  More than `limit` bytes is an error (0: 1 TiB). */
bool file_read(Arena *arena, const char *path, size_t limit, char **bytes, size_t *length, char **error);
/* Size of a regular file; false with an error otherwise. */
bool file_size(Arena *arena, const char *path, uint64_t *size, char **error);
/* SHA-256 of the contents, in hexadecimal, without holding them. */
bool file_sha256(Arena *arena, const char *path, char hex[65], char **error);
bool file_exists(const char *path);                    /* a regular file */
bool folder_exists(const char *path);
/* NULL for a folder; otherwise the error: it is a file, or not there. */
char *folder_missing(Arena *arena, const char *path);

typedef enum FileSync { FILE_SYNC, FILE_NO_SYNC } FileSync;
/* Writes the whole file, or leaves what was there. */
bool file_write(Arena *arena, const char *path, const void *bytes, size_t length, FileSync sync, char **error);
/* Makes the folder and those above it; fine if it exists. */
bool folder_make(Arena *arena, const char *path, char **error);
/* folder + "/" + name, without doubled slashes. */
char *path_join(Arena *arena, const char *folder, const char *name);

/* A file under construction, written piece by piece. */
typedef struct FileWriter { Arena *arena; const char *path; char *temporary; int fd; FileSync sync; char *error;
                            Buf pending; } FileWriter;
bool writer_open(FileWriter *writer, Arena *arena, const char *path, FileSync sync, char **error);
/* After a failure further pieces are ignored and writer_close reports it. */
void writer_put(FileWriter *writer, const void *bytes, size_t length);
bool writer_close(FileWriter *writer, char **error);   /* publishes the file */
void writer_cancel(FileWriter *writer);                /* removes the temporary file */

/* A file that grows: pieces are appended as they are, one write each (for logs that a crash may cut at a line). */
bool file_append(Arena *arena, const char *path, const void *bytes, size_t length, FileSync sync, char **error);

/* "PATH: cannot WHAT: reason", for an errno value; says so plainly when the disk is full. */
char *file_error(Arena *arena, const char *path, const char *what, int number);

#endif
