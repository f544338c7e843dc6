/* rn_pool.c - interned values, counted; see rn_pool.h. */
#include "rn_pool.h"

#include <string.h>

#include "rn_alloc.h"

struct rn_pool_item {
    struct rn_value value;
    uint32_t refs;
    uint32_t next; /* in the bucket, or in the free list */
};

static const struct rn_value zero;

static uint32_t
value_hash(const struct rn_value *value)
{
    uint32_t words[sizeof(*value) / 4];
    uint64_t hash = 0x9e3779b97f4a7c15u;

    memcpy(words, value, sizeof(words));
    for (size_t i = 0; i < sizeof(words) / 4; i++) {
        hash = (hash ^ words[i]) * 0xff51afd7ed558ccdu;
        hash ^= hash >> 32;
    }
    return (uint32_t)hash;
}

void
rn_pool_init(struct rn_pool *pool)
{
    memset(pool, 0, sizeof(*pool));
}

void
rn_pool_clear(struct rn_pool *pool)
{
    free(pool->items);
    free(pool->buckets);
    rn_pool_init(pool);
}

const struct rn_value *
rn_pool_get(const struct rn_pool *pool, uint32_t number)
{
    return number ? &pool->items[number].value : &zero;
}

uint32_t
rn_pool_find(const struct rn_pool *pool, const struct rn_value *value)
{
    if (!memcmp(value, &zero, sizeof(zero))) {
        return 0;
    }
    if (!pool->buckets) {
        return RN_POOL_NONE;
    }
    uint32_t number = pool->buckets[value_hash(value) & pool->mask];
    while (number &&
           memcmp(&pool->items[number].value, value, sizeof(*value))) {
        number = pool->items[number].next;
    }
    return number ? number : RN_POOL_NONE;
}

/* Twice the items, and as many buckets as items. */
static int
grow(struct rn_pool *pool)
{
    uint32_t size = pool->size ? pool->size * 2 : 64;
    uint32_t *buckets = rn_alloc_zero(size, sizeof(*buckets));
    struct rn_pool_item *items =
        buckets ? rn_realloc(pool->items, size * sizeof(*items)) : NULL;

    if (!items) {
        free(buckets);
        return -1;
    }
    for (uint32_t i = 1; i < pool->used; i++) {
        uint32_t *bucket = &buckets[value_hash(&items[i].value) & (size - 1)];
        items[i].next = *bucket;
        *bucket = i;
    }
    free(pool->buckets);
    pool->items = items;
    pool->buckets = buckets;
    pool->size = size;
    pool->mask = size - 1;
    pool->used = pool->used ? pool->used : 1;
    return 0;
}

/* grow() relinks every item, so it may only run while none is free. */
static uint32_t
item_new(struct rn_pool *pool)
{
    uint32_t number = pool->free;

    if (number) {
        pool->free = pool->items[number].next;
        return number;
    }
    if (pool->used == pool->size && grow(pool) < 0) {
        return RN_POOL_NONE;
    }
    return pool->used++;
}

uint32_t
rn_pool_take(struct rn_pool *pool, const struct rn_value *value)
{
    uint32_t number = rn_pool_find(pool, value);

    if (number != RN_POOL_NONE) {
        rn_pool_share(pool, number);
        return number;
    }
    number = item_new(pool);
    if (number == RN_POOL_NONE) {
        return RN_POOL_NONE;
    }
    uint32_t *bucket = &pool->buckets[value_hash(value) & pool->mask];
    struct rn_pool_item *item = &pool->items[number];
    item->value = *value;
    item->refs = 1;
    item->next = *bucket;
    *bucket = number;
    return number;
}

void
rn_pool_share(struct rn_pool *pool, uint32_t number)
{
    if (number) {
        pool->items[number].refs++;
    }
}

void
rn_pool_drop(struct rn_pool *pool, uint32_t number)
{
    struct rn_pool_item *item = number ? &pool->items[number] : NULL;

    if (!item || --item->refs) {
        return;
    }
    uint32_t *link = &pool->buckets[value_hash(&item->value) & pool->mask];
    while (*link != number) {
        link = &pool->items[*link].next;
    }
    *link = item->next;
    item->next = pool->free;
    pool->free = number;
}

size_t
rn_pool_bytes(const struct rn_pool *pool)
{
    return (size_t)pool->size *
           (sizeof(struct rn_pool_item) + sizeof(*pool->buckets));
}
