/* rn_store.c - chunked nodes and an open-addressing index; see rn_store.h. */
#include "rn_store.h"

#include <string.h>

#include "rn_alloc.h"

void
rn_half_init(struct rn_half *half, int ip_version)
{
    memset(half, 0, sizeof(*half));
    half->ip_version = (uint8_t)ip_version;
    half->width = ip_version == 4 ? 4 : 16;
    half->stride =
        (uint32_t)offsetof(struct rn_node, address) + 2u * half->width;
    half->fresh = 1;
}

void
rn_half_clear(struct rn_half *half)
{
    for (uint32_t i = 0; i < half->chunk_count; i++) {
        free(half->chunks[i]);
    }
    free(half->chunks);
    free(half->slots);
    rn_half_init(half, half->ip_version);
}

static int
chunk_add(struct rn_half *half)
{
    size_t size = (half->chunk_count + 1) * sizeof(*half->chunks);
    unsigned char **chunks = rn_realloc(half->chunks, size);

    if (!chunks) {
        return -1;
    }
    half->chunks = chunks;
    chunks[half->chunk_count] = rn_alloc((size_t)RN_CHUNK * half->stride);
    if (!chunks[half->chunk_count]) {
        return -1;
    }
    half->chunk_count++;
    return 0;
}

uint32_t
rn_node_new(struct rn_half *half)
{
    uint32_t number = half->free;

    if (number) {
        half->free = rn_node(half, number)->next_entry;
    } else {
        if ((half->fresh >> RN_CHUNK_BITS) >= half->chunk_count &&
            chunk_add(half) < 0) {
            return RN_NIL;
        }
        number = half->fresh++;
    }
    memset(rn_node(half, number), 0, half->stride);
    return number;
}

void
rn_node_free(struct rn_half *half, uint32_t number)
{
    rn_node(half, number)->next_entry = half->free;
    half->free = number;
}

static uint32_t
key_hash(const struct rn_half *half, const struct rn_entry *entry,
         uint32_t source)
{
    const uint64_t mul = 0xff51afd7ed558ccdu;
    uint64_t hash = ((uint64_t)entry->table << 32 | entry->metric) * mul;

    hash ^= ((uint64_t)source << 16 | (uint64_t)entry->prefix_length << 8 |
             entry->tos) +
            (hash >> 29);
    if (half->width == 4) {
        uint32_t word;
        memcpy(&word, entry->destination, sizeof(word));
        hash = (hash ^ word) * mul;
    } else {
        uint64_t words[2];
        memcpy(words, entry->destination, sizeof(words));
        hash = (hash ^ words[0]) * mul;
        hash ^= hash >> 32;
        hash = (hash ^ words[1]) * mul;
    }
    hash ^= hash >> 32;
    hash *= 0xc4ceb9fe1a85ec53u;
    return (uint32_t)(hash >> 32);
}

uint32_t
rn_key_hash(const struct rn_half *half, const struct rn_entry *entry)
{
    return key_hash(half, entry, 0);
}

void
rn_key_set(struct rn_key *key, const struct rn_half *half,
           const struct rn_entry *entry, uint32_t source)
{
    key->hash = entry->hash ? entry->hash : key_hash(half, entry, source);
    key->table = entry->table;
    key->metric = entry->metric;
    key->source = source;
    key->prefix_length = entry->prefix_length;
    key->tos = entry->tos;
    key->destination = entry->destination;
}

static int
node_has_key(const struct rn_half *half, const struct rn_node *node,
             const struct rn_key *key)
{
    return node->table == key->table && node->metric == key->metric &&
           node->source == key->source &&
           node->prefix_length == key->prefix_length &&
           node->tos == key->tos &&
           rn_addresses_same(half, node->address, key->destination);
}

uint32_t *
rn_group_find(const struct rn_half *half, const struct rn_key *key)
{
    if (!half->slots) {
        return NULL;
    }
    uint32_t at = key->hash & half->mask;
    while (half->slots[at].node) {
        struct rn_slot *slot = &half->slots[at];
        if (slot->hash == key->hash &&
            node_has_key(half, rn_node(half, slot->node), key)) {
            return &slot->node;
        }
        at = (at + 1) & half->mask;
    }
    return NULL;
}

void
rn_group_fetch_slot(const struct rn_half *half, uint32_t hash)
{
    if (half->slots) {
        RN_FETCH(&half->slots[hash & half->mask], 1);
    }
}

void
rn_group_fetch_node(const struct rn_half *half, uint32_t hash)
{
    if (!half->slots) {
        return;
    }
    uint32_t at = hash & half->mask;
    while (half->slots[at].node && half->slots[at].hash != hash) {
        at = (at + 1) & half->mask;
    }
    if (half->slots[at].node) {
        const unsigned char *node =
            (const void *)rn_node(half, half->slots[at].node);
        RN_FETCH(node, 1);
        RN_FETCH(node + half->stride - 1, 1); /* the next line? */
    }
}

static struct rn_slot *
slot_free(struct rn_slot *slots, uint32_t mask, uint32_t hash)
{
    uint32_t at = hash & mask;

    while (slots[at].node) {
        at = (at + 1) & mask;
    }
    return &slots[at];
}

/* Twice the slots.  Only the slots are read: each carries its hash. */
static int
index_grow(struct rn_half *half)
{
    uint32_t count = half->slots ? (half->mask + 1) * 2 : 64;
    struct rn_slot *slots = rn_alloc_zero(count, sizeof(*slots));

    if (!slots) {
        return -1;
    }
    for (uint32_t i = 0; half->slots && i <= half->mask; i++) {
        if (half->slots[i].node) {
            *slot_free(slots, count - 1, half->slots[i].hash) = half->slots[i];
        }
    }
    free(half->slots);
    half->slots = slots;
    half->mask = count - 1;
    return 0;
}

uint32_t *
rn_group_add(struct rn_half *half, const struct rn_key *key)
{
    /* At most seven slots in ten are full: short runs, 16 bytes a group. */
    if ((!half->slots ||
         (uint64_t)half->groups * 10 >= (uint64_t)(half->mask + 1) * 7) &&
        index_grow(half) < 0) {
        return NULL;
    }
    struct rn_slot *slot = slot_free(half->slots, half->mask, key->hash);
    slot->hash = key->hash;
    half->groups++;
    return &slot->node;
}

/* Backward shift: no tombstones, so that churn never slows the index down. */
void
rn_group_remove(struct rn_half *half, uint32_t *link)
{
    struct rn_slot *slot =
        (struct rn_slot *)(void *)((char *)link -
                                   offsetof(struct rn_slot, node));
    uint32_t hole = (uint32_t)(slot - half->slots);
    uint32_t at = hole;

    for (;;) {
        at = (at + 1) & half->mask;
        if (!half->slots[at].node) {
            break;
        }
        uint32_t home = half->slots[at].hash & half->mask;
        if (((at - home) & half->mask) >= ((at - hole) & half->mask)) {
            half->slots[hole] = half->slots[at];
            hole = at;
        }
    }
    half->slots[hole].node = RN_NIL;
    half->groups--;
}

size_t
rn_half_bytes(const struct rn_half *half)
{
    return (size_t)half->chunk_count * RN_CHUNK * half->stride +
           (half->slots ? ((size_t)half->mask + 1) * sizeof(*half->slots) : 0);
}
