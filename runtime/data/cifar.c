/* cifar.c -- see cifar.h.  All files are first brought into memory, from wherever they lie; then their records are told
 * apart. */
#include "data/cifar.h"

#include "data/archive.h"
#include "data/input.h"

enum { PIXELS = 3072 };

typedef struct Batch { const uint8_t *bytes; size_t length; } Batch;
typedef struct Cifar {
    Arena *arena, *scratch;         /* results and errors; files */
    const KnownSet *known; const KnownPlace *place; const ReadLimits *limits;
    Batch batch[KNOWN_FILES]; int batches;
    int labels;                     /* bytes before the pixels */
} Cifar;

static bool from_files(Cifar *c, char **error) {
    for (int i = 0; i < c->batches; i++) {
        Input input;
        if (!input_open(&input, c->scratch, c->place->path[i], c->limits, error)) return false;
        bool ok = input_rest(&input, &c->batch[i].bytes, &c->batch[i].length, error);
        input_close(&input);
        if (!ok) return false;
    }
    return true;
}

static bool lacks(const Cifar *c, char **error) {
    for (int i = 0; i < c->batches; i++) {
        if (c->batch[i].bytes) continue;
        *error = arena_printf(c->scratch, "%s: there is no %s in it", c->place->path[0], c->known->plain[i].name);
        return true;
    }
    return false;
}

static bool from_archive(Cifar *c, char **error) {
    ArchiveReader reader;
    int more, left = c->batches;
    bool ok = true;
    if (!archive_open(&reader, c->scratch, c->place->path[0], c->limits, error)) return false;
    while (ok && left && (more = archive_next(&reader, error)) != 0) {
        ok = more > 0;
        for (int i = 0; ok && i < c->batches; i++) {
            if (strcmp(reader.member, c->known->plain[i].name) != 0) continue;
            if (c->batch[i].bytes) ok = archive_fail(&reader, error, 0, "is in the archive twice");
            else ok = archive_rest(&reader, &c->batch[i].bytes, &c->batch[i].length, error);
            left--;
        }
    }
    archive_close(&reader);
    return ok && !lacks(c, error);
}

/* "PATH: byte N: ..." or "ARCHIVE: FILE: byte N: ..." */
static bool record_fail(const Cifar *c, int i, uint64_t at, const char *text, char **error) {
    bool archive = c->place->archive;
    *error = arena_printf(c->arena, "%s: %s%sbyte %llu: %s", c->place->path[archive ? 0 : i],
                          archive ? c->known->plain[i].name : "", archive ? ": " : "", (unsigned long long)at, text);
    return false;
}

static bool batch_records(const Cifar *c, int i, uint8_t *pixels, int32_t *labels, char **error) {
    size_t record = (size_t)c->labels + PIXELS, n = c->batch[i].length / record;
    const uint8_t *at = c->batch[i].bytes;
    for (size_t k = 0; k < n; k++, at += record) {
        int label = at[c->labels - 1];
        if (label >= c->known->facts.classes) {
            char *text = arena_printf(c->arena, "the label %d is not 0 to %d", label, c->known->facts.classes - 1);
            return record_fail(c, i, (uint64_t)(k * record) + (uint64_t)c->labels - 1, text, error);
        }
        labels[k] = label;
        memcpy(pixels + k * PIXELS, at + c->labels, PIXELS);
    }
    return true;
}

static bool part(const Cifar *c, int first, int count, DataPart *out, char **error) {
    size_t record = (size_t)c->labels + PIXELS, n = 0, done = 0;
    for (int i = first; i < first + count; i++) {
        size_t length = c->batch[i].length;
        if (length && length % record == 0) n += length / record;
        else if (!length) return record_fail(c, i, 0, "holds no records", error);
        else return record_fail(c, i, length - length % record, "the last record is cut off", error);
    }
    uint8_t *pixels = arena_alloc(c->arena, n * PIXELS);
    int32_t *labels = arena_array(c->arena, int32_t, n);
    for (int i = first; i < first + count; i++) {
        if (!batch_records(c, i, pixels + done * PIXELS, labels + done, error)) return false;
        done += c->batch[i].length / record;
    }
    out->n = (int64_t)n;
    out->x = (DataColumn){DATA_U8, c->known->facts.shape, pixels, 255.0};
    out->y = (DataColumn){DATA_I32, SHAPE0, labels, 1.0};
    return true;
}

bool read_cifar(Arena *arena, const KnownSet *known, const KnownPlace *place, const ReadLimits *limits, Dataset *set,
                char **error) {
    Cifar c = {.arena = arena, .scratch = arena_new(), .known = known, .place = place, .limits = limits};
    char *failure = NULL;
    while (c.batches < KNOWN_FILES && known->plain[c.batches].name) c.batches++;
    c.labels = known->facts.classes == 100 ? 2 : 1;
    bool ok = (place->archive ? from_archive : from_files)(&c, &failure);
    if (ok) ok = part(&c, 0, c.batches - 1, &set->train, error) && part(&c, c.batches - 1, 1, &set->test, error);
    else *error = arena_copy(arena, failure, strlen(failure));
    arena_free(c.scratch);
    return ok;
}
