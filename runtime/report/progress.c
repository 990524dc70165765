/* progress.c -- see progress.h.
 *
 * The rate is an average over about the last ten seconds (older work counts e-fold less every ten seconds), so that the
 * time left follows a change of pace. */
#include "report/progress.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>

#include "report/datum.h"

static const double REDRAW = 0.1, PLAIN = 10, MEMORY = 10;     /* seconds */
enum { LONGEST = 80, DETAIL = 256, BAR = 16 };          /* bytes; a quarter as many columns */

struct Progress {
    ProgressMode mode; int width;
    ProgressOutput output; void *data;
    pthread_mutex_t lock;
    bool running, drawn;
    char name[LONGEST], unit[24], detail[DETAIL];
    int64_t total;
    double done;
    double start, shown, measured, rate;               /* shown: when last given; measured: when rate was updated */
    double measured_done;
};

Progress *progress_new(ProgressMode mode, int width, ProgressOutput output, void *data) {
    Progress *progress = calloc(1, sizeof *progress);
    if (!progress) return NULL;
    progress->mode = mode, progress->width = width, progress->output = output, progress->data = data;
    pthread_mutex_init(&progress->lock, NULL);
    return progress;
}

void progress_free(Progress *progress) {
    if (!progress) return;
    pthread_mutex_destroy(&progress->lock);
    free(progress);
}

static void give(Progress *progress, Buf *text) {
    if (text->len) progress->output(progress->data, text->at, text->len);
    buf_free(text);
}

/* ---- texts ---- */
static void put_time(Buf *out, double seconds) {
    int64_t s = (int64_t)ceil(seconds);
    if (s < 60) buf_printf(out, "%lld s", (long long)s);
    else if (s < 3600) buf_printf(out, "%lld min %02lld s", (long long)(s / 60), (long long)(s % 60));
    else if (s < 48 * 3600) buf_printf(out, "%lld h %02lld min", (long long)(s / 3600), (long long)(s / 60 % 60));
    else buf_printf(out, "%lld days", (long long)(s / 86400));
}

static void put_rate(Buf *out, const Progress *progress) {
    if (progress->rate <= 0) return;
    buf_text(out, "  ");
    double shown = progress->rate >= 1 ? progress->rate : progress->rate * 60;
    buf_printf(out, shown >= 10 ? "%.0f%s" : "%.1f%s", shown, progress->rate >= 1 ? "/s" : "/min");
}

static void put_bar(Buf *out, double share) {
    static const char *const eighth[] = {"", "\xe2\x96\x8f", "\xe2\x96\x8e", "\xe2\x96\x8d", "\xe2\x96\x8c",
                                         "\xe2\x96\x8b",
                                         "\xe2\x96\x8a", "\xe2\x96\x89"};
    int filled = (int)(share * BAR * 8), cells = filled / 8;
    for (int i = 0; i < cells; i++) buf_text(out, "\xe2\x96\x88");
    buf_text(out, eighth[filled % 8]);
    for (int i = cells + (filled % 8 > 0); i < BAR; i++) buf_text(out, "\xe2\x96\x91");
}

/* "name  [bar]  120 of 400 trials  35/s  8 s left  detail" */
static void put_line(Buf *out, const Progress *p, bool bar, bool detail) {
    double share = p->total > 0 ? fmin(1, p->done / (double)p->total) : 0;
    buf_text(out, p->name);
    if (bar && p->total > 0) buf_text(out, "  "), put_bar(out, share);
    buf_printf(out, "  %lld", (long long)p->done);
    if (p->total > 0) buf_printf(out, " of %lld", (long long)p->total);
    buf_printf(out, " %s", p->unit);
    put_rate(out, p);
    if ((double)p->total > p->done && p->rate > 0) {
        buf_text(out, "  ");
        put_time(out, ((double)p->total - p->done) / p->rate);
        buf_text(out, " left");
    }
    if (detail && p->detail[0]) buf_printf(out, "  %s", p->detail);
}

/* ---- drawing; the lock is held ---- */
static void erase(Progress *progress, Buf *out) {
    if (progress->drawn) buf_text(out, "\r\033[K");
    progress->drawn = false;
}

/* Where the screen is too narrow, first the detail goes, then the end of the line. */
static void draw(Progress *progress, Buf *out) {
    int room = progress->width > 8 ? progress->width - 1 : 79;
    Buf line = {0};
    for (int detail = 1; detail >= 0; detail--) {
        line.len = 0;
        put_line(&line, progress, progress->width >= 72, detail);
        buf_put(&line, "", 1);
        if (text_width(line.at) <= room) break;
    }
    buf_text(out, "\r\033[K");
    text_cut(out, line.at, room);
    buf_free(&line);
    progress->drawn = true;
}

static void measure(Progress *progress, double now) {
    double passed = now - progress->measured;
    if (passed < REDRAW) return;
    double rate = (progress->done - progress->measured_done) / passed, kept = exp(-passed / MEMORY);
    double age = progress->measured - progress->start, known = 1 - exp(-age / MEMORY);     /* weight of what was seen */
    progress->rate = (progress->rate * known * kept + rate * (1 - kept)) / (known * kept + 1 - kept);
    progress->measured = now, progress->measured_done = progress->done;
}

static void refresh(Progress *progress, double now, Buf *out) {
    bool terminal = progress->mode == PROGRESS_TERMINAL;
    if (progress->mode == PROGRESS_QUIET || now - progress->shown < (terminal ? REDRAW : PLAIN)) return;
    measure(progress, now);
    if (terminal) draw(progress, out);
    else put_line(out, progress, false, true), buf_text(out, "\n");
    progress->shown = now;
}

/* ---- the caller's side ---- */
static void copy_text(char *out, size_t room, const char *text) {
    Buf cut = {0};
    text_cut(&cut, text ? text : "", (int)room / 4);
    size_t n = cut.len < room ? cut.len : room - 1;
    if (n) memcpy(out, cut.at, n);
    out[n] = 0;
    buf_free(&cut);
}

void progress_start(Progress *progress, double now, const char *name, const char *unit, int64_t total) {
    pthread_mutex_lock(&progress->lock);
    progress->running = true, progress->total = total, progress->done = 0, progress->rate = 0;
    progress->start = progress->shown = progress->measured = now, progress->measured_done = 0;
    copy_text(progress->name, sizeof progress->name, name);
    copy_text(progress->unit, sizeof progress->unit, unit);
    progress->detail[0] = 0;
    pthread_mutex_unlock(&progress->lock);
}

void progress_update(Progress *progress, double now, double done, const char *detail) {
    Buf out = {0};
    pthread_mutex_lock(&progress->lock);
    if (done > progress->done) progress->done = done;
    if (now <= progress->start) progress->measured_done = progress->done;       /* done before: no rate comes of it */
    if (progress->running && progress->mode != PROGRESS_QUIET) {
        copy_text(progress->detail, sizeof progress->detail, detail);
        refresh(progress, now, &out);
        give(progress, &out);
    }
    pthread_mutex_unlock(&progress->lock);
}

void progress_finish(Progress *progress, double now, int64_t done) {
    Buf out = {0};
    pthread_mutex_lock(&progress->lock);
    erase(progress, &out);
    if (progress->running && progress->mode == PROGRESS_PLAIN && now - progress->start >= PLAIN) {
        buf_printf(&out, "%s  %lld %s in ", progress->name, (long long)done, progress->unit);
        put_time(&out, now - progress->start);
        buf_text(&out, "\n");
    }
    progress->running = false;
    give(progress, &out);
    pthread_mutex_unlock(&progress->lock);
}

void progress_say(Progress *progress, double now, const char *text) {
    Buf out = {0};
    size_t n = strlen(text);
    pthread_mutex_lock(&progress->lock);
    bool redraw = progress->drawn && progress->running;
    erase(progress, &out);
    buf_text(&out, text);
    if (n && text[n - 1] != '\n') buf_text(&out, "\n");
    if (redraw) draw(progress, &out), progress->shown = now;
    give(progress, &out);
    pthread_mutex_unlock(&progress->lock);
}
