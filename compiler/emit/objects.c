/* objects.c -- see objects.h.
 *
 * An object's file is "nin object 1\n", the SHA-256 of what follows (hex, newline), the number of parts, then for each
 * part its number of functions, their numbers, its length, and padding up to a multiple of 8 before its bytes; numbers
 * are u64 of this machine.  It is written beside its name and renamed, so readers see whole files.  Its time says when
 * it was last used (to a day). */
#define _GNU_SOURCE
#include "emit/objects.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "emit/cpu.h"
#include "support/file.h"
#include "support/sha256.h"

#ifndef NIN_LLVM
#define NIN_LLVM "unknown"
#endif

enum { HEAD = 13 + 65, FILE_LIMIT = 64 << 20, A_DAY = 86400 };
static const char magic[] = "nin object 1\n";

/* ---- keys ---- */

static void add_function(Sha256 *sha, const KFunc *f) {
    uint64_t packed[1024 * 3];
    int n = 0;
    sha256_add(sha, f->name, strlen(f->name) + 1);
    for (int i = 1; i < f->code.len; i++) {
        const KInst *k = &f->code.at[i];
        packed[n++] = (uint64_t)k->op | (uint64_t)k->type.scalar << 8 | (uint64_t)k->type.lanes << 16 |
                      (uint64_t)k->a << 32;
        packed[n++] = (uint64_t)k->b | (uint64_t)k->c << 32;
        packed[n++] = (uint64_t)k->imm;
        if (n < COUNT(packed) && i + 1 < f->code.len) continue;
        sha256_add(sha, packed, sizeof *packed * (size_t)n);
        n = 0;
    }
}

bool objects_key(const KModule *module, const CodeOptions *options, char key[65]) {
    struct stat plugin;
    Buf text = {0};
    if (!options->objects || !options->plugin || stat(options->plugin, &plugin) || !cpu_identity(options->cpu, &text)) {
        buf_free(&text);
        return false;
    }
    buf_printf(&text, "LLVM %s, generator %lld %lld.%09ld, -O%d %d\n%d functions, %d data\n", NIN_LLVM,
               (long long)plugin.st_size, (long long)plugin.st_mtim.tv_sec, plugin.st_mtim.tv_nsec, options->opt_level,
               options->neuron, module->func.len, module->data.len);
    Sha256 sha;
    sha256_start(&sha);
    sha256_add(&sha, magic, sizeof magic);
    sha256_add(&sha, text.at, text.len);
    buf_free(&text);
    for (int i = 0; i < module->func.len; i++) add_function(&sha, module->func.at[i]);
    for (int i = 0; i < module->data.len; i++) {
        uint64_t size = module->data.at[i].size;
        sha256_add(&sha, &size, sizeof size);
        sha256_add(&sha, module->data.at[i].bytes, module->data.at[i].size);
    }
    sha256_end_hex(&sha, key);
    return true;
}

/* ---- reading ---- */

typedef struct Reader { const char *at; size_t left; bool bad; } Reader;

static uint64_t read_number(Reader *r) {
    uint64_t x = 0;
    if (r->left < sizeof x) {
        r->bad = true;
        return 0;
    }
    memcpy(&x, r->at, sizeof x);
    r->at += sizeof x;
    r->left -= sizeof x;
    return x;
}

static const char *read_bytes(Reader *r, uint64_t n) {
    const char *at = r->at;
    uint64_t padded = n + (8 - n % 8) % 8;
    if (r->bad || n > r->left || padded > r->left) {
        r->bad = true;
        return NULL;
    }
    r->at += padded;
    r->left -= padded;
    return at;
}

static int read_parts(Arena *arena, Reader *r, const KModule *module, ObjectPart *part, int most) {
    uint64_t parts = read_number(r), functions = 0;
    if (r->bad || parts < 1 || parts > (uint64_t)most) return 0;
    for (uint64_t p = 0; p < parts; p++) {
        uint64_t n = read_number(r);
        if (r->bad || n > (uint64_t)module->func.len) return 0;
        part[p] = (ObjectPart){.number = arena_array(arena, int, n + 1), .functions = (int)n};
        for (uint64_t k = 0; k < n; k++) {
            uint64_t number = read_number(r);
            if (number >= (uint64_t)module->func.len) return 0;
            part[p].number[k] = (int)number;
        }
        part[p].length = (size_t)read_number(r);
        part[p].bytes = read_bytes(r, part[p].length);
        functions += n;
    }
    return r->bad || functions != (uint64_t)module->func.len ? 0 : (int)parts;
}

/* The whole file of a user's own at an address that is a multiple of 8, after `HEAD` rounded up; NULL: not there. */
static char *read_own(Arena *arena, const char *path, size_t *length, int *file) {
    struct stat st;
    *file = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (*file < 0 || fstat(*file, &st) || !S_ISREG(st.st_mode) || st.st_uid != geteuid() || st.st_mode & S_IWOTH
        || st.st_size < HEAD || st.st_size > FILE_LIMIT) return NULL;
    *length = (size_t)st.st_size;
    size_t shift = (8 - HEAD % 8) % 8, done = 0;
    char *at = (char *)(((uintptr_t)arena_alloc(arena, *length + 32) + 15) & ~(uintptr_t)15) + shift;
    while (done < *length) {
        ssize_t n = read(*file, at + done, *length - done);
        if (n <= 0) return NULL;
        done += (size_t)n;
    }
    struct timespec times[2] = {{.tv_nsec = UTIME_NOW}, {.tv_nsec = UTIME_NOW}};
    if (time(NULL) - st.st_mtime > A_DAY && futimens(*file, times)) return at;      /* not told: it only goes earlier */
    return at;
}

static void drop(const CodeOptions *options, const char *key) {
    Arena *arena = arena_new();
    unlink(path_join(arena, options->objects, key));
    arena_free(arena);
}

const char *objects_bytes(Arena *arena, const CodeOptions *options, const char *key, size_t *length) {
    int file;
    char hex[65], *bytes = read_own(arena, path_join(arena, options->objects, key), length, &file);
    if (file >= 0) close(file);
    if (!bytes) return NULL;
    *length -= HEAD;
    sha256_hex(bytes + HEAD, *length, hex);
    if (memcmp(bytes, magic, sizeof magic - 1) == 0 && memcmp(bytes + sizeof magic - 1, hex, 64) == 0)
        return bytes + HEAD;
    drop(options, key);
    return NULL;
}

int objects_find(Arena *arena, const CodeOptions *options, const char *key, const KModule *module, ObjectPart *part,
                 int most) {
    Reader r = {0};
    r.at = objects_bytes(arena, options, key, &r.left);
    int parts = r.at ? read_parts(arena, &r, module, part, most) : 0;
    if (r.at && !parts) drop(options, key);
    return parts;
}

/* ---- writing ---- */

typedef struct Kept { char name[65]; time_t used; uint64_t size; } Kept;

static int by_use(const void *a, const void *b) {
    const Kept *x = a, *y = b;
    return x->used < y->used ? -1 : x->used > y->used ? 1 : strcmp(x->name, y->name);
}

/* Beyond the limit, the longest unused go until three quarters of it are left.  So do what writers that died have
 * left. */
static void evict(Arena *arena, const char *folder) {
    VEC(Kept) kept = {0};
    uint64_t total = 0;
    DIR *dir = opendir(folder);
    if (!dir) return;
    for (struct dirent *entry; (entry = readdir(dir));) {
        struct stat st;
        if (entry->d_name[0] == '.' || fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) ||
            !S_ISREG(st.st_mode))
            continue;
        Kept one = {.used = st.st_mtime, .size = (uint64_t)st.st_size};
        if (strlen(entry->d_name) != 64) {
            if (time(NULL) - st.st_mtime > A_DAY) unlinkat(dirfd(dir), entry->d_name, 0);
            continue;
        }
        memcpy(one.name, entry->d_name, 65);
        total += one.size;
        vec_push(arena, &kept, one);
    }
    if (total > OBJECTS_LIMIT) qsort(kept.at, (size_t)kept.len, sizeof *kept.at, by_use);
    uint64_t limit = total > OBJECTS_LIMIT ? OBJECTS_LIMIT / 4 * 3 : total;
    for (int i = 0; i < kept.len && total > limit; i++) {
        unlinkat(dirfd(dir), kept.at[i].name, 0);
        total -= kept.at[i].size;
    }
    closedir(dir);
}

static void put_number(Buf *out, uint64_t x) { buf_put(out, (const char *)&x, sizeof x); }

void objects_bytes_put(const CodeOptions *options, const char *key, const char *bytes, size_t length) {
    Buf file = {0};
    char hex[65], *error = NULL;
    if (length > FILE_LIMIT - HEAD) return;
    sha256_hex(bytes, length, hex);
    buf_printf(&file, "%s%s\n", magic, hex);
    buf_put(&file, bytes, length);
    Arena *arena = arena_new();
    if (folder_make(arena, options->objects, &error)
        && file_write(arena, path_join(arena, options->objects, key), file.at, file.len, FILE_NO_SYNC, &error))
        evict(arena, options->objects);
    arena_free(arena);
    buf_free(&file);
}

void objects_put(const CodeOptions *options, const char *key, const ObjectPart *part, int parts) {
    Buf body = {0};
    put_number(&body, (uint64_t)parts);
    for (int p = 0; p < parts; p++) {
        put_number(&body, (uint64_t)part[p].functions);
        for (int k = 0; k < part[p].functions; k++) put_number(&body, (uint64_t)part[p].number[k]);
        put_number(&body, part[p].length);
        buf_put(&body, part[p].bytes, part[p].length);
        buf_put(&body, "\0\0\0\0\0\0\0", (8 - part[p].length % 8) % 8);
    }
    objects_bytes_put(options, key, body.at, body.len);
    buf_free(&body);
}
