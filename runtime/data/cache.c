/* cache.c -- see cache.h. */
#define _GNU_SOURCE
#include "data/cache.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "support/file.h"
#include "support/sha256.h"

/* ---- hashes of files that were seen before ---- */
typedef struct Stamp { long long size, device, inode, modified, modified_ns, changed, changed_ns; } Stamp;

static bool stamp_of(const char *path, Stamp *out) {
    struct stat st;
    if (stat(path, &st) != 0) return false;
    *out = (Stamp){(long long)st.st_size, (long long)st.st_dev, (long long)st.st_ino, st.st_mtim.tv_sec,
                   st.st_mtim.tv_nsec, st.st_ctim.tv_sec, st.st_ctim.tv_nsec};
    return true;
}

static char *stamp_text(Arena *arena, const Stamp *s) {
    return arena_printf(arena, "nin seen 1: %lld %lld %lld %lld.%09lld %lld.%09lld ", s->size, s->device, s->inode,
                        s->modified, s->modified_ns, s->changed, s->changed_ns);
}

static bool is_hex(const char *text) { return strlen(text) == 64 && strspn(text, "0123456789abcdef") == 64; }

/* A file that changed within the last seconds may change again without a trace in its times. */
static bool settled(const Stamp *s) {
    struct timespec now;
    return clock_gettime(CLOCK_REALTIME, &now) == 0 && now.tv_sec - s->modified > 3 && now.tv_sec - s->changed > 3;
}

bool cache_sha256(Arena *arena, const char *folder, const char *path, char hex[65], char **error) {
    Stamp before, after;
    char *bytes, *failure = NULL, name[65];
    size_t length;
    char *absolute = folder ? realpath(path, NULL) : NULL;
    if (!absolute || !stamp_of(path, &before)) {
        free(absolute);
        return file_sha256(arena, path, hex, error);
    }
    sha256_hex(absolute, strlen(absolute), name);
    free(absolute);
    char *text = stamp_text(arena, &before);
    char *seen = path_join(arena, folder, arena_printf(arena, "seen-%.16s", name));
    size_t n = strlen(text);
    if (file_exists(seen) && file_read(arena, seen, 1024, &bytes, &length, &failure) && length == n + 64 &&
        memcmp(bytes, text, n) == 0 && is_hex(bytes + n)) {
        memcpy(hex, bytes + n, 65);
        return true;
    }
    if (!file_sha256(arena, path, hex, error)) return false;
    if (stamp_of(path, &after) && memcmp(&before, &after, sizeof after) == 0 && settled(&after) &&
        folder_make(arena, folder, &failure)) {
        text = arena_printf(arena, "%s%s", text, hex);
        file_write(arena, seen, text, strlen(text), FILE_NO_SYNC, &failure);
    }
    return true;
}

/* ---- decoded sets ---- */
enum { CACHE_VERSION = 1, COLUMNS = 4, ALIGNMENT = 64 };
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "numbers are stored as they lie");

typedef struct StoredColumn {
    int32_t type, rank; int64_t dim[MAX_RANK]; double divisor; uint64_t offset, size;
} StoredColumn;
typedef struct Header {
    char magic[8]; uint32_t version, header_size;
    char key[64];
    int64_t rows[2]; StoredColumn column[COLUMNS];     /* train x, y; test x, y */
    int64_t classes; double lo, hi;
    uint64_t total, checksum;                          /* bytes of the file; of what follows the header */
    char sha256[64];                                   /* of all before it */
} Header;
static const char magic[8] = "nincache";
static const uint64_t LARGEST = UINT64_C(16) << 30;

/* Four lanes of a multiplicative hash over words of 8 bytes: against damage, not against malice. */
static uint64_t checksum(const uint8_t *bytes, uint64_t length) {
    uint64_t lane[4] = {1, 2, 3, 4}, sum = length, i = 0;
    for (; i + 32 <= length; i += 32)
        for (int k = 0; k < 4; k++) {
            uint64_t word;
            memcpy(&word, bytes + i + 8 * k, 8);
            lane[k] = (lane[k] ^ word) * UINT64_C(0x9e3779b97f4a7c15);
            lane[k] ^= lane[k] >> 29;
        }
    for (; i < length; i++) lane[0] = (lane[0] ^ bytes[i]) * UINT64_C(0x100000001b3);
    for (int k = 0; k < 4; k++) sum = (sum ^ lane[k]) * UINT64_C(0x9e3779b97f4a7c15), sum ^= sum >> 32;
    return sum;
}

static void header_hash(const Header *header, char out[64]) {
    char hex[65];
    sha256_hex(header, offsetof(Header, sha256), hex);
    memcpy(out, hex, 64);
}

static char *entry_path(Arena *arena, const char *folder, const char *key, const char *name) {
    char plain[32];
    int n = 0;
    for (; name[n] && n < (int)sizeof plain - 1; n++) {
        bool letter = (name[n] >= 'a' && name[n] <= 'z') || (name[n] >= '0' && name[n] <= '9') || name[n] == '_';
        plain[n] = letter ? name[n] : '_';
    }
    plain[n] = 0;
    return path_join(arena, folder, arena_printf(arena, "%s-%.16s.data", plain, key));
}

static DataColumn *column_at(Dataset *set, int i) {
    DataPart *part = i < 2 ? &set->train : &set->test;
    return i % 2 ? &part->y : &part->x;
}

/* ---- reading ---- */
static bool header_right(const Header *h, const char *key, uint64_t size) {
    char hex[64];
    header_hash(h, hex);
    return memcmp(h->magic, magic, sizeof magic) == 0 && h->version == CACHE_VERSION && h->header_size == sizeof *h &&
           memcmp(h->key, key, sizeof h->key) == 0 && memcmp(h->sha256, hex, sizeof hex) == 0 && h->total == size;
}

static bool column_right(const Header *h, int i, const uint8_t *payload, uint64_t size, DataColumn *out) {
    const StoredColumn *c = &h->column[i];
    int64_t rows = h->rows[i / 2];
    uint64_t bytes;
    if (rows == 0) return true;
    if (rows < 0 || c->type < DATA_U8 || c->type > DATA_F64 || c->rank < 0 || c->rank > MAX_RANK) return false;
    if (!(c->divisor > 0 && isfinite(c->divisor)) || c->offset % ALIGNMENT) return false;
    bytes = data_size((DataType)c->type);
    out->shape.rank = c->rank;
    for (int k = 0; k <= c->rank; k++) {
        int64_t n = k < c->rank ? c->dim[k] : rows;
        if (n < 1 || __builtin_mul_overflow(bytes, (uint64_t)n, &bytes)) return false;
        if (k < c->rank) out->shape.dim[k] = n;
    }
    if (bytes != c->size || c->offset > size || bytes > size - c->offset) return false;
    out->type = (DataType)c->type;
    out->divisor = c->divisor;
    out->bytes = payload + c->offset;
    return true;
}

static bool labels_right(const Dataset *set, const DataPart *part) {
    if (!set->classes || !part->n) return true;
    if (part->y.type != DATA_I32 || shape_size(&part->y.shape) != 1) return false;
    for (int64_t i = 0; i < part->n; i++)
        if (column_class(&part->y, i) < 0 || column_class(&part->y, i) >= set->classes) return false;
    return true;
}

static bool read_whole(int fd, void *out, uint64_t size) {
    uint8_t *at = out;
    while (size) {
        ssize_t n = read(fd, at, size < 1u << 30 ? size : 1u << 30);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return false;
        at += n, size -= (uint64_t)n;
    }
    return true;
}

static bool entry_read(Arena *arena, int fd, const char *key, Dataset *set) {
    Header h;
    struct stat st;
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_size < (off_t)sizeof h || !read_whole(fd, &h, sizeof h) ||
        !header_right(&h, key, (uint64_t)st.st_size) || h.rows[0] < 1 || h.classes < 0 || h.classes > INT32_MAX)
        return false;
    uint64_t size = h.total - sizeof h;
    if (size > LARGEST) return false;
    uint8_t *payload = arena_alloc(arena, size + ALIGNMENT);
    payload += (ALIGNMENT - (uintptr_t)payload % ALIGNMENT) % ALIGNMENT;
    if (!read_whole(fd, payload, size) || checksum(payload, size) != h.checksum) return false;
    Dataset made = *set;
    made.train.n = h.rows[0], made.test.n = h.rows[1];
    made.classes = (int)h.classes, made.lo = h.lo, made.hi = h.hi;
    for (int i = 0; i < COLUMNS; i++)
        if (!column_right(&h, i, payload, size, column_at(&made, i))) return false;
    if (!labels_right(&made, &made.train) || !labels_right(&made, &made.test)) return false;
    *set = made;
    return true;
}

bool cache_read(Arena *arena, const char *folder, const char *key, Dataset *set) {
    int fd = open(entry_path(arena, folder, key, set->name), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) return false;
    bool ok = entry_read(arena, fd, key, set);
    close(fd);
    return ok;
}

/* ---- writing ---- */
/* The columns one after another, each at a multiple of ALIGNMENT: by value, for the checksum, and so in one piece. */
static uint8_t *payload_of(const Dataset *set, Arena *scratch, Header *h) {
    Dataset copy = *set;
    uint64_t size = 0;
    for (int i = 0; i < COLUMNS; i++) {
        const DataColumn *column = column_at(&copy, i);
        StoredColumn *c = &h->column[i];
        if (!h->rows[i / 2]) continue;
        *c = (StoredColumn){(int32_t)column->type, column->shape.rank, {0}, column->divisor, size, 0};
        memcpy(c->dim, column->shape.dim, sizeof *c->dim * (size_t)c->rank);
        c->size = (uint64_t)(h->rows[i / 2] * shape_size(&column->shape)) * data_size(column->type);
        size += (c->size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    }
    uint8_t *payload = arena_alloc(scratch, size + 1);
    for (int i = 0; i < COLUMNS; i++)
        if (h->rows[i / 2]) memcpy(payload + h->column[i].offset, column_at(&copy, i)->bytes, h->column[i].size);
    h->total = sizeof *h + size;
    h->checksum = checksum(payload, size);
    return payload;
}

void cache_write(Arena *arena, const char *folder, const char *key, const Dataset *set) {
    Header h;
    FileWriter writer;
    char *failure = NULL;
    memset(&h, 0, sizeof h);                           /* padding too: it is hashed and stored */
    memcpy(h.magic, magic, sizeof magic);
    memcpy(h.key, key, sizeof h.key);
    h.version = CACHE_VERSION, h.header_size = sizeof h;
    h.rows[0] = set->train.n, h.rows[1] = set->test.n;
    h.classes = set->classes, h.lo = set->lo, h.hi = set->hi;
    Arena *scratch = arena_new();
    uint8_t *payload = payload_of(set, scratch, &h);
    header_hash(&h, h.sha256);
    if (folder_make(arena, folder, &failure) &&
        writer_open(&writer, arena, entry_path(arena, folder, key, set->name), FILE_NO_SYNC, &failure)) {
        writer_put(&writer, &h, sizeof h);
        writer_put(&writer, payload, h.total - sizeof h);
        writer_close(&writer, &failure);
    }
    arena_free(scratch);
}
