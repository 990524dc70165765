/* build.h -- what nin build and nin verify share: finding the artifact, compilers as child processes. */
#ifndef NIN_BUILD_H
#define NIN_BUILD_H

#include "driver/cli.h"
#include "experiment/artifact.h"

typedef struct Building {
    Cli *cli;
    Eval eval;
    const ArtifactSpec *spec;
    Artifact artifact;
    Reference reference;
} Building;

/* Reads the program and makes the artifact that the options name; false after messages. */
bool building_open(Building *b, Cli *cli);
void building_close(Building *b);

/* Runs a program found in PATH without a shell; stdin from `in` (NULL: nothing), stdout to `out` (NULL: to the log).
 * 0 if it ended with 0, else its exit code, or -1 if it could not be run. */
int tool_run(Cli *cli, const char *const *argv, const char *in, const char *out, const char *log);
bool tool_exists(const char *name);
/* The first line of `name --version`; NULL if there is no such program. */
const char *tool_version(Cli *cli, const char *name);
char *tool_log(Cli *cli, const char *log);               /* the start of a log */
void build_state(const Artifact *a, char *bytes);        /* the state struct at the start */
bool build_write(Cli *cli, const char *path, const Buf *text);
bool build_write_bytes(Cli *cli, const char *path, const void *bytes, size_t length);
/* The numbers of the text's report, by a C compiler (artifact.measure); nothing if there is none. */
void build_measure(Building *b, const char *cc);
/* Machine code: kind is a word of --emit; an object file. */
bool build_machine(Building *b, const char *kind, const char *path);
bool build_object(Building *b, const char *path);
bool build_executable_bit(const char *path);
/* A program around the functions of the header: rows of numbers or an .npy file on stdin, predictions on stdout. */
void build_main(const Artifact *a, const char *header, Buf *out);

#endif
