/* records.c -- see records.h.  Lines are kept on the heap, sorted when the file is closed. */
#include "report/records.h"

#include <pthread.h>
#include <stdlib.h>

typedef struct Line { int64_t turn, order; size_t from, length; } Line;

struct Records {
    Arena *arena;
    FileWriter writer;
    pthread_mutex_t lock;                              /* guards what follows */
    Buf text;
    Line *line; int64_t count, cap;
    bool exhausted;
};

Records *records_open(Arena *arena, const char *path, FileSync sync, char **error) {
    Records *records = arena_new_of(arena, Records);
    records->arena = arena;
    if (!writer_open(&records->writer, arena, path, sync, error)) return NULL;
    pthread_mutex_init(&records->lock, NULL);
    return records;
}

static bool room_for_line(Records *records) {
    if (records->count < records->cap) return true;
    int64_t cap = records->cap ? records->cap * 2 : 256;
    Line *larger = realloc(records->line, sizeof *larger * (size_t)cap);
    if (!larger) return false;
    records->line = larger, records->cap = cap;
    return true;
}

void records_put(Records *records, int64_t turn, const Field *fields, int count) {
    Buf text = {0};
    json_fields(&text, fields, count);
    buf_text(&text, "\n");
    pthread_mutex_lock(&records->lock);
    if (room_for_line(records)) {
        records->line[records->count] = (Line){turn, records->count, records->text.len, text.len};
        records->count++;
        buf_put(&records->text, text.at, text.len);
    } else {
        records->exhausted = true;
    }
    pthread_mutex_unlock(&records->lock);
    buf_free(&text);
}

int64_t records_count(Records *records) {
    pthread_mutex_lock(&records->lock);
    int64_t count = records->count;
    pthread_mutex_unlock(&records->lock);
    return count;
}

static int by_turn(const void *a, const void *b) {
    const Line *x = a, *y = b;
    if (x->turn != y->turn) return x->turn < y->turn ? -1 : 1;
    return (x->order > y->order) - (x->order < y->order);
}

static void release(Records *records) {
    buf_free(&records->text);
    free(records->line);
    pthread_mutex_destroy(&records->lock);
}

bool records_close(Records *records, char **error) {
    if (records->count) qsort(records->line, (size_t)records->count, sizeof *records->line, by_turn);
    for (int64_t i = 0; i < records->count; i++)
        writer_put(&records->writer, records->text.at + records->line[i].from, records->line[i].length);
    bool ok = !records->exhausted;
    if (ok) {
        ok = writer_close(&records->writer, error);
    } else {
        *error = arena_printf(records->arena, "%s: out of memory", records->writer.path);
        writer_cancel(&records->writer);
    }
    release(records);
    return ok;
}

void records_cancel(Records *records) {
    writer_cancel(&records->writer);
    release(records);
}
