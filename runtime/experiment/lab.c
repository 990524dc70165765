/* lab.c -- the laboratory's life, and the cache that nets and programs share. */
#include "experiment/experiment.h"

#include <stdlib.h>

/* Keys are hashed by FNV-1a and compared whole; a making thread holds the lock, so a thing is made once. */
typedef struct CacheEntry { uint64_t hash; char *key; size_t length; void *value; } CacheEntry;
struct Cache { pthread_mutex_t lock; CacheEntry *entry; int len, cap; int *slot; int slots; };

Cache *cache_new(void) {
    Cache *cache = calloc(1, sizeof *cache);
    pthread_mutexattr_t recursive;
    pthread_mutexattr_init(&recursive);
    pthread_mutexattr_settype(&recursive, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(&cache->lock, &recursive);
    pthread_mutexattr_destroy(&recursive);
    return cache;
}

void cache_free(Cache *cache) {
    for (int i = 0; i < cache->len; i++) free(cache->entry[i].key);
    free(cache->entry);
    free(cache->slot);
    pthread_mutex_destroy(&cache->lock);
    free(cache);
}

static int cache_place(const Cache *cache, uint64_t hash, const char *key, size_t length) {
    int at = (int)(hash & (uint64_t)(cache->slots - 1));
    while (cache->slot[at]) {
        const CacheEntry *entry = &cache->entry[cache->slot[at] - 1];
        if (entry->hash == hash && entry->length == length && memcmp(entry->key, key, length) == 0) break;
        at = (at + 1) & (cache->slots - 1);
    }
    return at;
}

static void cache_rehash(Cache *cache) {
    cache->slots = cache->slots ? 2 * cache->slots : 64;
    free(cache->slot);
    cache->slot = calloc((size_t)cache->slots, sizeof *cache->slot);
    for (int i = 0; i < cache->len; i++) {
        const CacheEntry *entry = &cache->entry[i];
        cache->slot[cache_place(cache, entry->hash, entry->key, entry->length)] = i + 1;
    }
}

static void cache_add(Cache *cache, uint64_t hash, const char *key, size_t length, void *value) {
    if (2 * (cache->len + 1) > cache->slots) cache_rehash(cache);
    if (cache->len == cache->cap) {
        cache->cap = cache->cap ? 2 * cache->cap : 32;
        cache->entry = realloc(cache->entry, (size_t)cache->cap * sizeof *cache->entry);
    }
    char *copy = malloc(length + 1);
    memcpy(copy, key, length);
    copy[length] = 0;
    cache->entry[cache->len++] = (CacheEntry){hash, copy, length, value};
    cache->slot[cache_place(cache, hash, key, length)] = cache->len;
}

void *cache_get(Cache *cache, const char *key, size_t length, void *(*make)(void *data), void *data) {
    uint64_t hash = fnv1a(key, length, FNV1A_START);
    pthread_mutex_lock(&cache->lock);
    void *value = NULL;
    if (cache->slots) {
        int at = cache->slot[cache_place(cache, hash, key, length)];
        if (at) value = cache->entry[at - 1].value;
    }
    if (!value) {
        value = make(data);
        if (value) cache_add(cache, hash, key, length, value);
    }
    pthread_mutex_unlock(&cache->lock);
    return value;
}

static void cache_each(Cache *cache, void (*visit)(void *value)) {
    for (int i = 0; i < cache->len; i++) visit(cache->entry[i].value);
}

Lab *lab_new(Session *session, const LabOptions *options) {
    Arena *arena = arena_new();
    Lab *lab = arena_new_of(arena, Lab);
    lab->arena = arena;
    lab->session = session;
    lab->options = *options;
    lab->outside = arena_new_of(arena, LabTurn);
    lab->nets = cache_new();
    lab->plans = cache_new();
    lab->families = cache_new();
    lab->tables = cache_new();
    pthread_mutexattr_t recursive;
    pthread_mutexattr_init(&recursive);
    pthread_mutexattr_settype(&recursive, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(&lab->lock, &recursive);
    pthread_mutexattr_destroy(&recursive);
    lab->pool = pool_new(options->threads);
    *lab->outside = (LabTurn){.lab = lab, .pool = lab->pool, .keep = arena};
    session->lab = (LabHooks){.state = lab, .loop = lab_loop, .check = lab_check};
    return lab;
}

static void free_net(void *net) { net_info_free(net); }
static void free_plan(void *plan) { plan_free(plan); }

void lab_adopt(Lab *lab, Arena *arena) {
    pthread_mutex_lock(&lab->lock);
    vec_push(lab->arena, &lab->adopted, arena);
    pthread_mutex_unlock(&lab->lock);
}

/* Takes the entries out; the caller has freed or kept their values. */
static void cache_clear(Cache *cache) {
    for (int i = 0; i < cache->len; i++) free(cache->entry[i].key);
    if (cache->slots) memset(cache->slot, 0, (size_t)cache->slots * sizeof *cache->slot);
    cache->len = 0;
}

void lab_forget(Lab *lab, int64_t now, bool (*needed)(void *data, int64_t from, int64_t to), void *data) {
    int kept = 0;
    for (int i = 0; i < lab->adopted.len; i++) arena_free(lab->adopted.at[i]);
    lab->adopted.len = 0;
    cache_each(lab->plans, free_plan);
    cache_each(lab->families, plan_family_free);
    for (int i = 0; i < lab->nets->len; i++) {
        RetiredNet net = {lab->nets->entry[i].value, lab->forgotten + 1, now};
        vec_push(lab->arena, &lab->retired, net);
    }
    for (int i = 0; i < lab->retired.len; i++) {
        RetiredNet *net = &lab->retired.at[i];
        if (needed(data, net->from, net->to)) lab->retired.at[kept++] = *net;
        else net_info_free(net->net);
    }
    lab->retired.len = kept;
    lab->forgotten = now;
    cache_each(lab->tables, kept_table_free);
    cache_clear(lab->tables);
    cache_clear(lab->plans);
    cache_clear(lab->families);
    cache_clear(lab->nets);
}

size_t lab_programs(const Lab *lab) { return (size_t)lab->plans->len; }

void lab_free(Lab *lab) {
    if (!lab) return;
    for (int i = 0; i < lab->retired.len; i++) net_info_free(lab->retired.at[i].net);
    for (int i = 0; i < lab->adopted.len; i++) arena_free(lab->adopted.at[i]);
    cache_each(lab->plans, free_plan);
    cache_each(lab->nets, free_net);
    cache_each(lab->families, plan_family_free);
    cache_each(lab->tables, kept_table_free);
    cache_free(lab->tables);
    cache_free(lab->families);
    cache_free(lab->plans);
    cache_free(lab->nets);
    if (lab->pool) pool_free(lab->pool);
    pthread_mutex_destroy(&lab->lock);
    arena_free(lab->arena);
}
