/* archive.h -- members of an archive, front to back: tar (plain, .gz or .xz) and zip (so .npz), through libarchive.
 *
 * Members are never unpacked to disk, and their names are only compared, so a name cannot lead anywhere.  What a member
 * claims as its size is never allocated before its bytes are there, nor beyond the limit.  Errors: "PATH: MEMBER: byte
 * N: ..." where a member is at fault, "PATH: byte N of the file: ..." where the archive itself is. */
#ifndef NIN_ARCHIVE_H
#define NIN_ARCHIVE_H

#include "data/data.h"

typedef struct ArchiveReader {
    Arena *arena;                   /* of names, errors and what is taken */
    const char *path;
    struct archive *handle;
    const char *member;             /* the current one: its name without folders */
    uint64_t offset;                /* bytes taken of it */
    uint64_t left;                  /* of the limit, over all members */
} ArchiveReader;

bool archive_open(ArchiveReader *reader, Arena *arena, const char *path, const ReadLimits *limits, char **error);
void archive_close(ArchiveReader *reader);
/* Moves to the next regular file: 1; 0 at the end; -1 with an error. */
int archive_next(ArchiveReader *reader, char **error);
/* All of the current member. */
bool archive_rest(ArchiveReader *reader, const uint8_t **out, size_t *length, char **error);
/* The same piece by piece, for hashes; false from `piece` ends it. */
bool archive_pieces(ArchiveReader *reader, void (*piece)(void *data, const void *bytes, size_t length), void *data,
                    char **error);
/* "PATH: MEMBER: byte N: ..." */
bool archive_fail(const ArchiveReader *reader, char **error, uint64_t at, const char *format, ...) NIN_PRINTF(4, 5);
/* By its name: .tar, .tar.gz, .tgz, .tar.xz, .txz */
bool archive_named(const char *path);

#endif
