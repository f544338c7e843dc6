/* rn_pool.h - interned values: equal values share one number.
 *
 * A full table has few distinct attribute sets, IPv6 source prefixes and
 * gateways of the other family; nodes of the mirror hold 4-byte numbers of
 * them, and two values are equal exactly when their numbers are.  Number 0 is
 * the all-zero value and costs nothing.
 */
#ifndef RN_POOL_H
#define RN_POOL_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#define RN_POOL_NONE 0xffffffffu

struct rn_value {
    uint8_t address[16];
    uint32_t mtu;
    uint32_t other;
    uint32_t encap;
    uint32_t realms;
    uint32_t tag; /* what kind of value, and small members */
};
static_assert(sizeof(struct rn_value) == 36, "hashed bytewise: no padding");

struct rn_pool_item;

struct rn_pool {
    struct rn_pool_item *items; /* [0] is the all-zero value */
    uint32_t *buckets;
    uint32_t size; /* items allocated */
    uint32_t used; /* items ever used, [0] included */
    uint32_t free; /* head of the free list, 0: none */
    uint32_t mask; /* buckets - 1 */
};

void
rn_pool_init(struct rn_pool *pool);

void
rn_pool_clear(struct rn_pool *pool);

/* The number of value, one reference more; RN_POOL_NONE: memory ran out. */
uint32_t
rn_pool_take(struct rn_pool *pool, const struct rn_value *value);

/* The number of value without a reference; RN_POOL_NONE: nobody holds it. */
uint32_t
rn_pool_find(const struct rn_pool *pool, const struct rn_value *value);

/* One reference more to a number that is held already. */
void
rn_pool_share(struct rn_pool *pool, uint32_t number);

void
rn_pool_drop(struct rn_pool *pool, uint32_t number);

/* Valid until the next take. */
const struct rn_value *
rn_pool_get(const struct rn_pool *pool, uint32_t number);

size_t
rn_pool_bytes(const struct rn_pool *pool);

#endif
