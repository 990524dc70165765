/* provenance.h -- run.json: what the numbers beside it come from.
 *
 * Keys are sorted, there is no date and no path of the machine outside what the caller gives, so that two runs of one
 * program on one machine give equal bytes. */
#ifndef NIN_PROVENANCE_H
#define NIN_PROVENANCE_H

#include "report/datum.h"
#include "support/file.h"

typedef struct ProvenanceData { const char *name, *sha256; } ProvenanceData;
typedef struct Provenance {
    const char *version;                               /* of nin */
    int semantics;                                     /* version of the order of arithmetic */
    const char *compiler;                              /* "LLVM 19.1.7", "gcc 12.2.0", or NULL */
    const char *program, *experiment;                  /* file as given; name */
    const char *program_sha256;
    const ProvenanceData *data; int data_count;
    const Field *settings; int setting_count;          /* --set and parameters of the experiment */
    const Field *seeds; int seed_count;                /* a seed, or a list of them, by purpose or loop name */
    const Field *defaults; int default_count;          /* in force: "train.take": "last" */
    const char *precision;
    const char *cpu, *target; int threads;             /* measured on; never changes a result */
    const char *const *notes; int note_count;          /* strategies, protocols and what else belongs to the numbers */
} Provenance;

bool provenance_write(Arena *arena, const char *path, const Provenance *provenance, FileSync sync, char **error);
char *provenance_cpu(Arena *arena);                    /* the processor's name, or "unknown" */

#endif
