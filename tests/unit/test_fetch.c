/* test_fetch.c -- fetching over HTTP from a small server on loopback that breaks off, refuses ranges, lies. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <sys/file.h>
#include <fcntl.h>
#include <sys/socket.h>

#include "data/fetch.h"
#include "desk.h"
#include "support/sha256.h"

enum { SIZE = 300000, MOST = 16 };

/* ---- the server: answers connections one after another, each as the next step says ---- */
typedef enum Answer { WHOLE, BREAK, NO_RANGES, MISSING, BUSY, LONGER, OTHER, MOVED, SHORT_LENGTH } Answer;
typedef struct Server {
    int fd, port; pthread_t thread;
    Answer steps[MOST]; int count;
    long from[MOST]; int served;                       /* the range each connection asked for; -1: none */
    uint8_t body[SIZE + 10];
} Server;

static void put_all(int fd, const void *bytes, size_t n) {
    for (const char *at = bytes; n;) {
        ssize_t put = send(fd, at, n, MSG_NOSIGNAL);
        if (put <= 0) return;
        at += put, n -= (size_t)put;
    }
}

static void put_head(int fd, const char *status, size_t length, const char *more) {
    char head[512];
    int n = snprintf(head, sizeof head, "HTTP/1.1 %s\r\nContent-Length: %zu\r\nConnection: close\r\n%s\r\n", status,
                     length, more);
    put_all(fd, head, (size_t)n);
}

static void answer(Server *s, int fd, Answer how, long from) {
    char more[128] = "";
    size_t at = from > 0 ? (size_t)from : 0, n = SIZE - at;
    if (from >= 0) snprintf(more, sizeof more, "Content-Range: bytes %zu-%d/%d\r\n", at, SIZE - 1, SIZE);
    const char *status = from >= 0 ? "206 Partial Content" : "200 OK";
    switch (how) {
    case WHOLE: put_head(fd, status, n, more), put_all(fd, s->body + at, n); break;
    case BREAK: put_head(fd, status, n, more), put_all(fd, s->body + at, n / 3); break;
    case NO_RANGES: put_head(fd, "200 OK", SIZE, ""), put_all(fd, s->body, SIZE); break;
    case MISSING: put_head(fd, "404 Not Found", 4, ""), put_all(fd, "none", 4); break;
    case BUSY: put_head(fd, "503 Service Unavailable", 4, ""), put_all(fd, "busy", 4); break;
    case LONGER: put_head(fd, "200 OK", SIZE + 10, ""), put_all(fd, s->body, SIZE + 10); break;
    case SHORT_LENGTH: put_head(fd, "200 OK", 1000, ""), put_all(fd, s->body, 1000); break;
    case MOVED:
        snprintf(more, sizeof more, "Location: http://127.0.0.1:%d/there\r\n", s->port);
        put_head(fd, "302 Found", 0, more);
        break;
    case OTHER: {
        uint8_t *other = calloc(1, n);
        put_head(fd, status, n, more), put_all(fd, other, n);
        free(other);
        break;
    }
    }
}

static void *serve(void *data) {
    Server *s = data;
    for (int i = 0; i < s->count; i++) {
        char request[2048];
        int fd = accept(s->fd, NULL, NULL);
        if (fd < 0) return NULL;
        ssize_t n = 0, got;
        while (n < (ssize_t)sizeof request - 1 &&
               (got = recv(fd, request + n, sizeof request - 1 - (size_t)n, 0)) > 0) {
            n += got;
            request[n] = 0;
            if (strstr(request, "\r\n\r\n")) break;
        }
        request[n] = 0;
        char *range = strstr(request, "Range: bytes=");
        s->from[i] = range ? atol(range + 13) : -1;
        s->served = i + 1;
        answer(s, fd, s->steps[i], s->from[i]);
        shutdown(fd, SHUT_WR);
        while (recv(fd, request, sizeof request, 0) > 0) continue;
        close(fd);
    }
    return NULL;
}

static void server_start(Server *s, const Answer *steps, int count) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t length = sizeof address;
    memset(s, 0, sizeof *s);
    memcpy(s->steps, steps, sizeof *steps * (size_t)count);
    s->count = count;
    for (int i = 0; i < SIZE + 10; i++) s->body[i] = (uint8_t)(i * 7 + i / 251);
    s->fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(s->fd >= 0 && bind(s->fd, (struct sockaddr *)&address, sizeof address) == 0 && listen(s->fd, 4) == 0);
    assert_int_equal(getsockname(s->fd, (struct sockaddr *)&address, &length), 0);
    s->port = ntohs(address.sin_port);
    assert_int_equal(pthread_create(&s->thread, NULL, serve, s), 0);
}

static void server_stop(Server *s) {
    shutdown(s->fd, SHUT_RDWR);
    pthread_join(s->thread, NULL);
    close(s->fd);
}

/* ---- fetching ---- */
typedef struct Fetched { bool ok; char *error, *path, *part; int served; long from[MOST]; } Fetched;

static bool stop_at_once(void *data) { return ++*(int *)data > 2; }

static Fetched fetch(Desk *desk, const char *name, const Answer *steps, int count, int *stop) {
    Server *server = malloc(sizeof *server);
    char hex[65];
    Fetched out = {.path = desk_path(desk, name)};
    server_start(server, steps, count);
    sha256_hex(server->body, SIZE, hex);
    FetchRequest request = {.url = arena_printf(desk->arena, "http://127.0.0.1:%d/x", server->port),
                            .path = out.path,
                            .size = SIZE,
                            .sha256 = hex,
                            .interrupted = stop ? stop_at_once : NULL,
                            .data = stop};
    out.ok = file_fetch(desk->arena, &request, &out.error);
    out.part = arena_printf(desk->arena, "%s.part", out.path);
    server_stop(server);
    out.served = server->served;
    memcpy(out.from, server->from, sizeof out.from);
    if (out.ok) {
        char got[65], *error;
        assert_true(file_sha256(desk->arena, out.path, got, &error));
        assert_string_equal(got, hex);
        assert_false(file_exists(out.part));
    } else {
        assert_non_null(out.error);
        assert_false(file_exists(out.path));
    }
    free(server);
    return out;
}
#define FETCH(name, ...) fetch(desk, name, (const Answer[]){__VA_ARGS__}, COUNT(((const Answer[]){__VA_ARGS__})), NULL)

static void test_whole(void **state) {
    Desk *desk = *state;
    Fetched f = FETCH("deep/er/a", WHOLE);
    assert_true(f.ok && f.served == 1 && f.from[0] == -1);
    f = FETCH("b", MOVED, WHOLE);
    assert_true(f.ok && f.served == 2);
}

static void test_resume(void **state) {
    Desk *desk = *state;
    Fetched f = FETCH("a", BREAK, BREAK, WHOLE);
    assert_true(f.ok && f.served == 3 && f.from[0] == -1 && f.from[1] == 100000 && f.from[2] > f.from[1]);
    f = FETCH("b", BREAK, NO_RANGES, NO_RANGES);       /* a server that cannot resume: from the start */
    assert_true(f.ok && f.served == 3 && f.from[2] == -1);
    f = FETCH("c", BUSY, BUSY, WHOLE);
    assert_true(f.ok && f.served == 3);
    f = FETCH("d", BREAK, BREAK, BREAK, BREAK, BREAK);
    assert_true(!f.ok && file_exists(f.part));
    f = FETCH("d", WHOLE);                             /* the next fetch goes on */
    assert_true(f.ok && f.from[0] > 100000);
    char *part = desk_put(desk, "e.part", "not the beginning of it", 23);
    f = FETCH("e", WHOLE, WHOLE);                      /* what was there is of another file */
    assert_true(f.ok && f.from[0] == 23 && f.from[1] == -1 && !file_exists(part));
}

static void test_refused(void **state) {
    Desk *desk = *state;
    Fetched f = FETCH("a", MISSING);
    assert_true(!f.ok && strstr(f.error, "404"));
    f = FETCH("b", OTHER);
    assert_true(!f.ok && strstr(f.error, "has the SHA-256 ") && strstr(f.error, "it is not the file that is known"));
    f = FETCH("c", LONGER);
    assert_true(!f.ok && strstr(f.error, "is larger than the 300000 bytes"));
    f = FETCH("d", SHORT_LENGTH, SHORT_LENGTH, WHOLE);
    assert_true(f.ok || strstr(f.error, "ends after"));
    char *blocked = desk_put(desk, "e", "", 0), *error = NULL;
    FetchRequest request = {
        .url = "http://127.0.0.1:9/x", .path = path_join(desk->arena, blocked, "x"), .size = 1, .sha256 = ""};
    assert_false(file_fetch(desk->arena, &request, &error));
    request = (FetchRequest){.url = "file:///etc/hostname", .path = desk_path(desk, "f"), .size = 10, .sha256 = ""};
    assert_false(file_fetch(desk->arena, &request, &error));
    assert_non_null(strstr(error, "rotocol"));
    int fd = open(desk_put(desk, "g.part", "", 0), O_RDWR);
    assert_int_equal(flock(fd, LOCK_EX), 0);
    request.path = desk_path(desk, "g");
    assert_false(file_fetch(desk->arena, &request, &error));
    assert_non_null(strstr(error, "another process is fetching it"));
    close(fd);
}

static void test_interrupt(void **state) {
    Desk *desk = *state;
    int looks = 0;
    Fetched f = fetch(desk, "a", (const Answer[]){WHOLE}, 1, &looks);
    assert_true(!f.ok && strstr(f.error, "interrupted; the next fetch goes on from byte "));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, desk_setup, desk_teardown)
int main(void) {
    const struct CMUnitTest tests[] = {TEST(test_whole), TEST(test_resume), TEST(test_refused), TEST(test_interrupt)};
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests_name("fetch", tests, NULL, NULL);
}
