/* progress.h -- tells people how far the work is.
 *
 * On a terminal one line is redrawn, at most ten times a second; elsewhere a plain line is given now and then (every
 * ten seconds at most); quiet gives only what is said.  The text goes to the caller's function; times come from the
 * caller too, in seconds from any start.  All functions may be called from several threads. */
#ifndef NIN_PROGRESS_H
#define NIN_PROGRESS_H

#include "base/base.h"

typedef enum ProgressMode { PROGRESS_QUIET, PROGRESS_PLAIN, PROGRESS_TERMINAL } ProgressMode;
typedef void (*ProgressOutput)(void *data, const char *text, size_t length);
typedef struct Progress Progress;
/* width: of the terminal, in columns.  NULL: out of memory. */
Progress *progress_new(ProgressMode mode, int width, ProgressOutput output, void *data);
void progress_free(Progress *progress);
void progress_width(Progress *progress, int width);    /* the terminal was resized */

/* A piece of work of `total` units (0: not known), named "success_rate"; unit "trials". */
void progress_start(Progress *progress, double now, const char *name, const char *unit, int64_t total);
/* Fine to call at any rate.  done: units, the one at hand in part.  detail: what is being done, or NULL. */
void progress_update(Progress *progress, double now, double done, const char *detail);
/* Clears the line (terminal), or says how long it took (plain). */
void progress_finish(Progress *progress, double now, int64_t done);
/* Whole lines of text that stay, above the progress line; shown in every mode. */
void progress_say(Progress *progress, double now, const char *text);

#endif
