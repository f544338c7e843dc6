/* rn_store.h - nodes of one family and the index that finds their groups.
 *
 * A node is one row: one hop of one entry.  A group is the ordered list of
 * entries under one key; the index knows the first node of each.  Nodes live
 * in chunks that never move and are named by 32-bit numbers (0: none), so a
 * table of a million IPv4 routes costs about 70 bytes a route.  Knows no
 * semantics: rn_mirror.c decides what goes where.
 */
#ifndef RN_STORE_H
#define RN_STORE_H

#include <string.h>

#include "rn_pool.h"
#include "rn_route.h"

#define RN_NIL 0u

/* Bits of rn_node.state; those of an entry stand in its first node. */
#define RN_NODE_SEEN 0x01u        /* equal to half.seen: the dump had it */
#define RN_NODE_PROVISIONAL 0x02u /* from a dump, not yet announced */
#define RN_NODE_SIBLINGS 0x04u    /* the IPv6 sibling set of its group */
#define RN_NODE_UNSURE 0x08u      /* own attributes unknown (a sibling) */
#define RN_NODE_MURKY 0x10u       /* the dump may hide entries of its group */
#define RN_NODE_MATCHED 0x20u     /* scratch of rn_rows_change */
#define RN_NODE_AHEAD 0x80u       /* not in the dump, and not hidden from it */

struct rn_node {
    uint32_t next_entry; /* first node of the next entry of the group */
    uint32_t next_hop;   /* next hop of the same entry */
    uint32_t table;
    uint32_t metric;
    uint32_t if_index;
    uint32_t nexthop_id;
    uint32_t attrs;  /* pool number: prefsrc, mtu, other, encap, ... */
    uint32_t source; /* pool number: IPv6 source prefix */
    uint16_t ordinal;
    uint8_t prefix_length;
    uint8_t tos;
    uint8_t protocol;
    uint8_t route_type;
    uint8_t scope;
    uint8_t flags;
    uint8_t weight;
    uint8_t gateway_version;
    uint8_t state;
    uint8_t reserved;
    uint8_t address[]; /* destination, then gateway, each half.width bytes */
};
static_assert(offsetof(struct rn_node, address) == 44, "52 bytes for IPv4");

struct rn_slot {
    uint32_t hash; /* low bits of it are the home slot */
    uint32_t node; /* first node of the group; RN_NIL: free */
};

struct rn_half {
    uint8_t ip_version;
    uint8_t width; /* bytes of an address: 4 or 16 */
    uint8_t seen;  /* the value of RN_NODE_SEEN that means "seen" */
    uint8_t comparing;
    uint32_t stride; /* bytes of a node */
    uint32_t groups;
    uint32_t rows; /* announced nodes */
    struct rn_slot *slots;
    uint32_t mask; /* slots - 1; meaningless while slots is NULL */
    unsigned char **chunks;
    uint32_t chunk_count;
    uint32_t fresh; /* first node number never used */
    uint32_t free;  /* free list through next_entry */
};

#define RN_CHUNK_BITS 14
#define RN_CHUNK (1u << RN_CHUNK_BITS)

static inline struct rn_node *
rn_node(const struct rn_half *half, uint32_t number)
{
    return (struct rn_node *)(void *)(half->chunks[number >> RN_CHUNK_BITS] +
                                      (size_t)(number & (RN_CHUNK - 1)) *
                                          half->stride);
}

static inline uint8_t *
rn_node_gateway(const struct rn_half *half, struct rn_node *node)
{
    return node->address + half->width;
}

/* rn_addresses_same - of half.width bytes; each length is compared in place. */
static inline int
rn_addresses_same(const struct rn_half *half, const uint8_t *a,
                  const uint8_t *b)
{
    return half->width == 4 ? !memcmp(a, b, 4) : !memcmp(a, b, 16);
}

/* rn_address_copy - of half.width bytes, likewise: a memcpy() of a length that is
 * not constant becomes a string instruction.
 */
static inline void
rn_address_copy(const struct rn_half *half, uint8_t *to, const uint8_t *from)
{
    if (half->width == 4) {
        memcpy(to, from, 4);
    } else {
        memcpy(to, from, 16);
    }
}

void
rn_half_init(struct rn_half *half, int ip_version);

void
rn_half_clear(struct rn_half *half);

/* A node, zeroed; RN_NIL: memory ran out. */
uint32_t
rn_node_new(struct rn_half *half);

void
rn_node_free(struct rn_half *half, uint32_t number);

/* What a group is found by. */
struct rn_key {
    uint32_t hash;
    uint32_t table;
    uint32_t metric;
    uint32_t source; /* pool number */
    uint8_t prefix_length;
    uint8_t tos;
    const uint8_t *destination;
};

/* rn_key_hash - of an entry without a source prefix. */
uint32_t
rn_key_hash(const struct rn_half *half, const struct rn_entry *entry);

/* rn_key_set - the key of an entry, whose source prefix has this pool number.
 * In place: a key that is returned is copied by wider loads than it was stored
 * by, and those wait for the stores.
 */
void
rn_key_set(struct rn_key *key, const struct rn_half *half,
           const struct rn_entry *entry, uint32_t source);

/* rn_group_find - the link that holds the group's first node, or NULL.
 * Valid until a group is added or removed.
 */
uint32_t *
rn_group_find(const struct rn_half *half, const struct rn_key *key);

/* rn_group_fetch_slot, rn_group_fetch_node - what rn_group_find will look at:
 * have it brought into the cache, the second once the first has come.
 */
void
rn_group_fetch_slot(const struct rn_half *half, uint32_t hash);
void
rn_group_fetch_node(const struct rn_half *half, uint32_t hash);

/* rn_group_add - a new group; its link, or NULL: memory ran out.  The link
 * must get a node before the next call.
 */
uint32_t *
rn_group_add(struct rn_half *half, const struct rn_key *key);

/* rn_group_remove - forget the group whose link this is (it holds RN_NIL). */
void
rn_group_remove(struct rn_half *half, uint32_t *link);

size_t
rn_half_bytes(const struct rn_half *half);

#endif
