/* rn_spill.c - the map of rn_spill.h: dense entries, open addressing.
 *
 * Entries stand in one array without holes (removing moves the last one into
 * the gap), so memory shrinks with the number of entries; the order list and
 * the hash slots refer to them by index.  Slots are never more than half
 * full; removal shifts back what follows, so there are no tombstones.
 */
#include "rn_spill.h"

#include <string.h>

#include "rn_alloc.h"

#define NONE UINT32_MAX
#define LEAST_ROOM 64u
#define MOST_ROOM (1u << 24) /* as RN_RING_MAX; its bytes fit 32 bits */

struct rn_spill_entry {
    struct rn_record record;
    uint64_t first; /* sequence of the oldest change in it */
    uint32_t hash;
    uint32_t older; /* neighbours in the order list */
    uint32_t newer;
};
static_assert(sizeof(struct rn_spill_entry) <= UINT32_MAX / MOST_ROOM,
              "the largest array fits a 32-bit size_t");

/* By type of what is pending, then of what comes: docs/design.md. */
static const uint8_t merged_type[3][3] = {
    [RN_ADD] =
        {[RN_ADD] = RN_ADD, [RN_PARAMETER] = RN_ADD, [RN_DELETE] = RN_DELETE},
    [RN_PARAMETER] = {[RN_ADD] = RN_PARAMETER,
                      [RN_PARAMETER] = RN_PARAMETER,
                      [RN_DELETE] = RN_DELETE},
    [RN_DELETE] = {[RN_ADD] = RN_PARAMETER,
                   [RN_PARAMETER] = RN_PARAMETER,
                   [RN_DELETE] = RN_DELETE},
};

static int
has_key(const struct rn_record *record)
{
    return record->type < RN_INITIAL;
}

static int
same_key(const struct rn_record *a, const struct rn_record *b)
{
    return memcmp(a->destination, b->destination, 16) == 0 &&
           a->table == b->table && a->metric == b->metric &&
           rn_key_index(a) == rn_key_index(b) && a->ordinal == b->ordinal &&
           a->ip_version == b->ip_version &&
           a->prefix_length == b->prefix_length && a->tos == b->tos &&
           memcmp(a->next_hop, b->next_hop, 16) == 0 &&
           a->next_hop_version == b->next_hop_version &&
           a->interface_luid == b->interface_luid &&
           a->source_length == b->source_length &&
           memcmp(a->source, b->source, 16) == 0;
}

static uint64_t
mix(uint64_t hash, uint64_t word)
{
    hash = (hash ^ word) * UINT64_C(0x9e3779b97f4a7c15);
    return hash ^ (hash >> 32);
}

static uint64_t
mix_address(uint64_t hash, const uint8_t address[16])
{
    uint64_t words[2];

    memcpy(words, address, 16);
    return mix(mix(hash, words[0]), words[1]);
}

static uint32_t
hash_key(const struct rn_record *record)
{
    uint64_t hash = (uint64_t)record->ordinal << 40 |
                    (uint64_t)record->ip_version << 32 |
                    (uint64_t)record->prefix_length << 24 |
                    (uint64_t)record->source_length << 16 |
                    (uint64_t)record->tos << 8 | record->next_hop_version;

    hash = mix_address(hash, record->destination);
    hash = mix_address(hash, record->next_hop);
    hash = mix_address(hash, record->source);
    hash = mix(hash, (uint64_t)record->table << 32 | record->metric);
    hash = mix(hash, record->interface_luid);
    return (uint32_t)mix(hash, rn_key_index(record));
}

/* The slot that refers to index, or the free one where it belongs. */
static uint32_t
slot_of(const struct rn_spill *spill, uint32_t hash, uint32_t index)
{
    uint32_t mask = spill->room * 2 - 1;
    uint32_t slot = hash & mask;

    while (spill->slots[slot] != 0 && spill->slots[slot] != index + 1) {
        slot = (slot + 1) & mask;
    }
    return slot;
}

/* Index of the row's entry, or NONE. */
static uint32_t
find(const struct rn_spill *spill, const struct rn_record *record,
     uint32_t hash)
{
    uint32_t mask = spill->room * 2 - 1;
    uint32_t slot = hash & mask;

    if (spill->count == 0) {
        return NONE;
    }
    for (; spill->slots[slot] != 0; slot = (slot + 1) & mask) {
        uint32_t index = spill->slots[slot] - 1;
        const struct rn_spill_entry *entry = &spill->entries[index];

        if (entry->hash == hash && same_key(&entry->record, record)) {
            return index;
        }
    }
    return NONE;
}

/* Free a slot, and move into it what a search would no longer reach. */
static void
empty_slot(struct rn_spill *spill, uint32_t hole)
{
    uint32_t mask = spill->room * 2 - 1;
    uint32_t slot = (hole + 1) & mask;

    for (; spill->slots[slot] != 0; slot = (slot + 1) & mask) {
        uint32_t home = spill->entries[spill->slots[slot] - 1].hash & mask;

        if (((slot - home) & mask) >= ((slot - hole) & mask)) {
            spill->slots[hole] = spill->slots[slot];
            hole = slot;
        }
    }
    spill->slots[hole] = 0;
}

static void
link_newest(struct rn_spill *spill, uint32_t index)
{
    struct rn_spill_entry *entry = &spill->entries[index];

    entry->older = spill->newest;
    entry->newer = NONE;
    if (spill->newest == NONE) {
        spill->oldest = index;
    } else {
        spill->entries[spill->newest].newer = index;
    }
    spill->newest = index;
}

/* Make both neighbours of entry say other: to the newer side `older`, to the
 * older side `newer`.
 */
static void
set_neighbours(struct rn_spill *spill, const struct rn_spill_entry *entry,
               uint32_t newer, uint32_t older)
{
    if (entry->older == NONE) {
        spill->oldest = newer;
    } else {
        spill->entries[entry->older].newer = newer;
    }
    if (entry->newer == NONE) {
        spill->newest = older;
    } else {
        spill->entries[entry->newer].older = older;
    }
}

static void
unlink_entry(struct rn_spill *spill, uint32_t index)
{
    const struct rn_spill_entry *entry = &spill->entries[index];

    set_neighbours(spill, entry, entry->newer, entry->older);
}

/* Return: 0, or -1: no memory, nothing changed.  Growing an array this size
 * moves page tables, not bytes, where the C library has mremap.
 */
static int
resize(struct rn_spill *spill, uint32_t room)
{
    struct rn_spill_entry *entries;
    uint32_t *slots;

    if (room > MOST_ROOM) {
        return -1;
    }
    slots = rn_alloc_zero((size_t)room * 2, sizeof(*slots));
    if (slots == NULL) {
        return -1;
    }
    entries = rn_realloc(spill->entries, room * sizeof(*entries));
    if (entries == NULL) {
        free(slots);
        return -1;
    }
    free(spill->slots);
    spill->entries = entries;
    spill->slots = slots;
    spill->room = room;
    for (uint32_t i = 0; i < spill->count; i++) {
        if (has_key(&entries[i].record)) {
            slots[slot_of(spill, entries[i].hash, i)] = i + 1;
        }
    }
    return 0;
}

/* Fill the gap at index with the last entry. */
static void
move_last(struct rn_spill *spill, uint32_t index)
{
    uint32_t last = spill->count - 1;
    const struct rn_spill_entry *entry = &spill->entries[last];

    if (index == last) {
        return;
    }
    if (has_key(&entry->record)) {
        spill->slots[slot_of(spill, entry->hash, last)] = index + 1;
    }
    set_neighbours(spill, entry, index, index);
    spill->entries[index] = *entry;
}

static void
remove_entry(struct rn_spill *spill, uint32_t index)
{
    const struct rn_spill_entry *entry = &spill->entries[index];

    if (has_key(&entry->record)) {
        empty_slot(spill, slot_of(spill, entry->hash, index));
    }
    unlink_entry(spill, index);
    move_last(spill, index);
    spill->count--;
    if (spill->count == 0) {
        rn_spill_clear(spill);
    } else if (spill->room > LEAST_ROOM && spill->count < spill->room / 4) {
        (void)resize(spill, spill->room / 2); /* else it stays large */
    }
}

static uint32_t
sum_merged(uint32_t a, uint32_t b)
{
    return a > UINT32_MAX - b ? UINT32_MAX : a + b;
}

/* Return: as rn_spill_put. */
static int
merge(struct rn_spill *spill, uint32_t index, const struct rn_record *record,
      uint64_t marked)
{
    struct rn_spill_entry *entry = &spill->entries[index];
    uint8_t pending = entry->record.type;
    uint32_t merged = sum_merged(entry->record.merged, record->merged);

    if (pending == RN_ADD && record->type == RN_DELETE &&
        entry->first > marked) {
        remove_entry(spill, index);
        return 2;
    }
    entry->record = *record;
    entry->record.type = merged_type[pending][record->type];
    entry->record.merged = merged;
    unlink_entry(spill, index);
    link_newest(spill, index);
    return 1;
}

static int
append(struct rn_spill *spill, const struct rn_record *record, uint32_t hash)
{
    struct rn_spill_entry *entry;
    uint32_t index = spill->count;

    if (index == spill->room &&
        resize(spill, index == 0 ? LEAST_ROOM : index * 2) != 0) {
        return -1;
    }
    entry = &spill->entries[index];
    entry->record = *record;
    entry->first = record->sequence;
    entry->hash = hash;
    if (has_key(record)) {
        spill->slots[slot_of(spill, hash, index)] = index + 1;
    }
    link_newest(spill, index);
    spill->count++;
    return 0;
}

void
rn_spill_init(struct rn_spill *spill)
{
    *spill = (struct rn_spill){.oldest = NONE, .newest = NONE};
}

int
rn_spill_put(struct rn_spill *spill, const struct rn_record *record,
             uint64_t marked)
{
    uint32_t hash;
    uint32_t index;

    if (!has_key(record)) {
        return append(spill, record, 0);
    }
    hash = hash_key(record);
    index = find(spill, record, hash);
    if (index == NONE) {
        return append(spill, record, hash);
    }
    return merge(spill, index, record, marked);
}

int
rn_spill_pop(struct rn_spill *spill, struct rn_record *out)
{
    if (spill->count == 0) {
        return 0;
    }
    *out = spill->entries[spill->oldest].record;
    remove_entry(spill, spill->oldest);
    return 1;
}

void
rn_spill_clear(struct rn_spill *spill)
{
    free(spill->entries);
    free(spill->slots);
    rn_spill_init(spill);
}
