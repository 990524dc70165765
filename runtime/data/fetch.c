/* fetch.c -- see fetch.h.  Through libcurl, which is loaded when something is fetched: it and what it needs would take
 * half of the time that a start takes. */
#define _GNU_SOURCE
#include "data/fetch.h"

#define CURL_DISABLE_TYPECHECK
#include <curl/curl.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support/file.h"

enum { ATTEMPTS = 5, REDIRECTS = 8, CONNECT_SECONDS = 30, STALL_SECONDS = 60, STALL_BYTES = 100 };

typedef struct Curl {
    __typeof__(curl_easy_init) *init;
    CURLcode (*set)(CURL *curl, CURLoption option, ...), (*info)(CURL *curl, CURLINFO info, ...);
    __typeof__(curl_easy_perform) *perform;
    __typeof__(curl_easy_cleanup) *cleanup;
    __typeof__(curl_easy_strerror) *explain;
} Curl;

typedef struct Fetch {
    Curl lib;
    Arena *arena; const FetchRequest *request;
    char *part; int fd;
    uint64_t done;                  /* bytes in the part */
    bool too_long, stopped; int failed;                /* errno of a write */
    char message[CURL_ERROR_SIZE];
    char **error;
} Fetch;

static bool fail(Fetch *f, const char *format, ...) NIN_PRINTF(2, 3);
static bool fail(Fetch *f, const char *format, ...) {
    va_list args;
    va_start(args, format);
    *f->error = arena_printf(f->arena, "%s: %s", f->request->url, arena_vprintf(f->arena, format, args));
    va_end(args);
    return false;
}

/* ---- the library ---- */
static bool load(Fetch *f) {
    void *handle = dlopen("libcurl.so.4", RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (!handle) handle = dlopen("libcurl-gnutls.so.4", RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (!handle) return fail(f, "libcurl is not there: %s", dlerror());
    struct { void *at; const char *name; } want[] = {
        {&f->lib.init, "curl_easy_init"}, {&f->lib.set, "curl_easy_setopt"}, {&f->lib.info, "curl_easy_getinfo"},
        {&f->lib.perform, "curl_easy_perform"}, {&f->lib.cleanup, "curl_easy_cleanup"},
        {&f->lib.explain, "curl_easy_strerror"},
    };
    for (int i = 0; i < COUNT(want); i++) {
        void *symbol = dlsym(handle, want[i].name);
        if (!symbol) return fail(f, "libcurl lacks %s", want[i].name);
        memcpy(want[i].at, &symbol, sizeof symbol);
    }
    return true;
}

/* ---- the part ---- */
static bool part_reset(Fetch *f) {
    f->done = 0;
    if (ftruncate(f->fd, 0) == 0 && lseek(f->fd, 0, SEEK_SET) == 0) return true;
    *f->error = file_error(f->arena, f->part, "write", errno);
    return false;
}

static bool part_open(Fetch *f) {
    const char *path = f->request->path, *slash = strrchr(path, '/');
    if (slash && slash > path && !folder_make(f->arena, arena_copy(f->arena, path, (size_t)(slash - path)), f->error))
        return false;
    f->part = arena_printf(f->arena, "%s.part", path);
    f->fd = open(f->part, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (f->fd < 0) {
        *f->error = file_error(f->arena, f->part, "write", errno);
        return false;
    }
    if (flock(f->fd, LOCK_EX | LOCK_NB) != 0) {
        *f->error = arena_printf(f->arena, "%s: another process is fetching it", f->part);
        return false;
    }
    struct stat st;
    if (fstat(f->fd, &st) != 0 || (uint64_t)st.st_size > f->request->size) return part_reset(f);
    f->done = (uint64_t)st.st_size;
    return lseek(f->fd, 0, SEEK_END) >= 0 || part_reset(f);
}

/* ---- one connection ---- */
static size_t on_bytes(char *bytes, size_t one, size_t n, void *data) {
    Fetch *f = data;
    size_t left = n *= one;
    if (n > f->request->size - f->done) {
        f->too_long = true;
        return 0;
    }
    while (left) {
        ssize_t put = write(f->fd, bytes, left);
        if (put < 0 && errno == EINTR) continue;
        if (put <= 0) {
            f->failed = put < 0 ? errno : ENOSPC;
            return 0;
        }
        bytes += put, left -= (size_t)put, f->done += (uint64_t)put;
    }
    return n;
}

static int on_progress(void *data, curl_off_t all, curl_off_t now, curl_off_t up_all, curl_off_t up) {
    Fetch *f = data;
    const FetchRequest *r = f->request;
    (void)all, (void)now, (void)up_all, (void)up;
    if (r->progress) r->progress(r->data, f->done, r->size);
    f->stopped = r->interrupted && r->interrupted(r->data);
    return f->stopped;
}

static void set_up(Fetch *f, CURL *curl) {
    const Curl *lib = &f->lib;
    lib->set(curl, CURLOPT_URL, f->request->url);
    lib->set(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    lib->set(curl, CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
    lib->set(curl, CURLOPT_FOLLOWLOCATION, 1L);
    lib->set(curl, CURLOPT_MAXREDIRS, (long)REDIRECTS);
    lib->set(curl, CURLOPT_PROXY, f->request->proxy ? f->request->proxy : "");
    lib->set(curl, CURLOPT_NOPROXY, f->request->no_proxy ? f->request->no_proxy : "");
    lib->set(curl, CURLOPT_USERAGENT, "nin");
    lib->set(curl, CURLOPT_NOSIGNAL, 1L);
    lib->set(curl, CURLOPT_FAILONERROR, 1L);
    lib->set(curl, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_SECONDS);
    lib->set(curl, CURLOPT_LOW_SPEED_TIME, (long)STALL_SECONDS);
    lib->set(curl, CURLOPT_LOW_SPEED_LIMIT, (long)STALL_BYTES);
    lib->set(curl, CURLOPT_ERRORBUFFER, f->message);
    lib->set(curl, CURLOPT_WRITEFUNCTION, on_bytes);
    lib->set(curl, CURLOPT_WRITEDATA, f);
    lib->set(curl, CURLOPT_NOPROGRESS, 0L);
    lib->set(curl, CURLOPT_XFERINFOFUNCTION, on_progress);
    lib->set(curl, CURLOPT_XFERINFODATA, f);
}

typedef enum Turn { TURN_DONE, TURN_AGAIN, TURN_FAILED } Turn;

static Turn again_if(bool yes) { return yes ? TURN_AGAIN : TURN_FAILED; }

/* What a broken connection means: *error says so, whether or not there is another attempt. */
static Turn judge_error(Fetch *f, CURLcode code, long status) {
    bool answered = code == CURLE_HTTP_RETURNED_ERROR;
    fail(f, "%s", f->message[0] ? f->message : f->lib.explain(code));
    if (code == CURLE_RANGE_ERROR || (answered && status == 416)) return again_if(part_reset(f)); /* cannot resume */
    return again_if(code == CURLE_PARTIAL_FILE || code == CURLE_RECV_ERROR || code == CURLE_SEND_ERROR ||
                    code == CURLE_GOT_NOTHING || code == CURLE_OPERATION_TIMEDOUT || (answered && status >= 500));
}

static Turn judge(Fetch *f, CURLcode code, long status) {
    unsigned long long size = f->request->size, done = f->done;
    if (f->stopped) {
        fail(f, "interrupted; the next fetch goes on from byte %llu", done);
    } else if (f->failed) {
        *f->error = file_error(f->arena, f->part, "write", f->failed);
    } else if (f->too_long) {
        if (part_reset(f)) fail(f, "is larger than the %llu bytes that are known of it", size);
    } else if (code != CURLE_OK) {
        return judge_error(f, code, status);
    } else if (done == size) {
        return TURN_DONE;
    } else {
        fail(f, "ends after %llu of %llu bytes", done, size);
        return TURN_AGAIN;
    }
    return TURN_FAILED;
}

static Turn connect_once(Fetch *f) {
    CURL *curl = f->lib.init();
    long status = 0;
    if (!curl) return again_if(fail(f, "out of memory"));
    set_up(f, curl);
    f->message[0] = 0;
    if (f->done) f->lib.set(curl, CURLOPT_RESUME_FROM_LARGE, (curl_off_t)f->done);
    CURLcode code = f->lib.perform(curl);
    f->lib.info(curl, CURLINFO_RESPONSE_CODE, &status);
    f->lib.cleanup(curl);
    return judge(f, code, status);
}

/* ---- the whole ---- */
static bool bring(Fetch *f) {
    int attempts = f->request->attempts ? f->request->attempts : ATTEMPTS;
    while (f->done < f->request->size) {
        Turn turn = connect_once(f);
        if (turn == TURN_DONE) break;
        if (turn == TURN_FAILED || --attempts <= 0) return false;
    }
    return true;
}

/* What was resumed may be of another file: then once more from the start. */
static bool check(Fetch *f, bool resumed) {
    char hex[65];
    if (!file_sha256(f->arena, f->part, hex, f->error)) return false;
    if (strcmp(hex, f->request->sha256) == 0) return true;
    if (!part_reset(f)) return false;
    if (resumed) return bring(f) && check(f, false);
    return fail(f, "has the SHA-256 %s, not %s: it is not the file that is known", hex, f->request->sha256);
}

static bool publish(Fetch *f) {
    if (fsync(f->fd) == 0 && rename(f->part, f->request->path) == 0) return true;
    *f->error = file_error(f->arena, f->request->path, "write", errno);
    return false;
}

bool file_fetch(Arena *arena, const FetchRequest *request, char **error) {
    Fetch f = {.arena = arena, .request = request, .fd = -1, .error = error};
    bool ok = load(&f) && part_open(&f), resumed = f.done > 0;
    ok = ok && bring(&f) && check(&f, resumed) && publish(&f);
    if (f.fd >= 0) close(f.fd);
    return ok;
}
