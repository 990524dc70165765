/* fetch.h -- a file over HTTP: resumed where it was left, checked by size and SHA-256, there complete or not at all.
 *
 * Bytes go to PATH.part, which stays when the connection breaks or the user interrupts, and which one process at a time
 * holds.  No environment is read: a proxy is given or there is none. */
#ifndef NIN_FETCH_H
#define NIN_FETCH_H

#include "base/base.h"

typedef struct FetchRequest {
    const char *url, *path;         /* http or https; the folder of path is made */
    uint64_t size; const char *sha256;
    const char *proxy, *no_proxy;   /* NULL: none; hosts that are reached without, with commas between */
    int attempts;                   /* connections that broke are resumed; 0: 5 */
    void (*progress)(void *data, uint64_t done, uint64_t total);          /* NULL: silent */
    bool (*interrupted)(void *data);                                      /* NULL: never */
    void *data;
} FetchRequest;

bool file_fetch(Arena *arena, const FetchRequest *request, char **error);

#endif
