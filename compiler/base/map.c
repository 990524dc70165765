/* map.c -- pointer-to-pointer map in an arena: entries in order of insertion, an open-addressed index beside them.
 *
 * slot[h] is the entry's number + 1, 0 when free; the index is at most half full.  A zeroed Map with only its
 * arena set is an empty map. */
#include "base/base.h"

static uint32_t hash_of(const void *key)
{
    uint64_t x = (uint64_t)(uintptr_t)key * UINT64_C(0x9E3779B97F4A7C15);
    return (uint32_t)(x >> 32);
}

void map_init(Map *map, Arena *arena)
{
    *map = (Map){.arena = arena};
}

static int *slot_of(const Map *map, const void *key)
{
    uint32_t mask = (uint32_t)map->slots - 1;
    for (uint32_t i = hash_of(key) & mask;; i = (i + 1) & mask)
        if (!map->slot[i] || map->key[map->slot[i] - 1] == key)
            return &map->slot[i];
}

static void index_grow(Map *map)
{
    map->slots = map->slots ? map->slots * 2 : 16;
    map->slot = arena_array(map->arena, int, map->slots);
    for (int i = 0; i < map->len; i++)
        *slot_of(map, map->key[i]) = i + 1;
}

void *map_get(const Map *map, const void *key)
{
    int found = map->slots ? *slot_of(map, key) : 0;
    return found ? map->value[found - 1] : NULL;
}

bool map_has(const Map *map, const void *key)
{
    return map->slots && *slot_of(map, key);
}

void map_put(Map *map, const void *key, void *value)
{
    if (map->slots) {
        int found = *slot_of(map, key);
        if (found) {
            map->value[found - 1] = value;
            return;
        }
    }
    if (2 * (map->len + 1) > map->slots)
        index_grow(map);
    if (map->len == map->cap) {
        int cap = map->cap;
        map->key = vec_grow_(map->arena, map->key, map->len, &cap, sizeof *map->key);
        map->value = vec_grow_(map->arena, map->value, map->len, &map->cap, sizeof *map->value);
    }
    map->key[map->len] = key;
    map->value[map->len++] = value;
    *slot_of(map, key) = map->len;
}
