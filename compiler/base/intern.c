/* intern.c -- one pointer per text, behind a mutex so that sessions' threads may share a table.
 *
 * Open addressing over 64-bit FNV-1a; the table is at most half full.  Texts live in the table's own arena. */
#include "base/base.h"

#include <pthread.h>
#include <stdlib.h>

typedef struct Slot { uint64_t hash; const char *text; size_t length; } Slot;

struct Intern {
    pthread_mutex_t lock;
    Arena *arena;
    Slot *slots;
    size_t used, size;                  /* size: a power of two */
};

Intern *intern_new(void)
{
    Intern *table = calloc(1, sizeof *table);
    if (!table)
        abort();
    pthread_mutex_init(&table->lock, NULL);
    table->arena = arena_new();
    table->size = 1024;
    table->slots = calloc(table->size, sizeof *table->slots);
    if (!table->slots)
        abort();
    return table;
}

void intern_free(Intern *table)
{
    if (!table)
        return;
    pthread_mutex_destroy(&table->lock);
    arena_free(table->arena);
    free(table->slots);
    free(table);
}

static Slot *slot_find(Slot *slots, size_t size, uint64_t hash, const char *text, size_t length)
{
    for (size_t i = hash & (size - 1);; i = (i + 1) & (size - 1)) {
        Slot *slot = &slots[i];
        if (!slot->text)
            return slot;
        if (slot->hash == hash && slot->length == length && memcmp(slot->text, text, length) == 0)
            return slot;
    }
}

static void table_grow(Intern *table)
{
    size_t size = table->size * 2;
    Slot *slots = calloc(size, sizeof *slots);
    if (!slots)
        abort();
    for (size_t i = 0; i < table->size; i++)
        if (table->slots[i].text)
            *slot_find(slots, size, table->slots[i].hash, table->slots[i].text, table->slots[i].length) =
                table->slots[i];
    free(table->slots);
    table->slots = slots;
    table->size = size;
}

Name intern(Intern *table, const char *text, size_t length)
{
    uint64_t hash = fnv1a(text, length, FNV1A_START);
    pthread_mutex_lock(&table->lock);
    Slot *slot = slot_find(table->slots, table->size, hash, text, length);
    if (!slot->text) {
        if (2 * ++table->used > table->size) {
            table_grow(table);
            slot = slot_find(table->slots, table->size, hash, text, length);
        }
        *slot = (Slot){hash, arena_copy(table->arena, text, length), length};
    }
    Name name = slot->text;
    pthread_mutex_unlock(&table->lock);
    return name;
}

Name intern_text(Intern *table, const char *text)
{
    return intern(table, text, strlen(text));
}
