/* rn_tally.c - counts of changes in two hash maps; see rn_tally.h. */
#include "rn_tally.h"

#include <string.h>

#include "rn_alloc.h"

#define MAP_FIRST 256 /* entries */

const int64_t rn_tally_bounds_ns[RN_TALLY_BOUNDS] = {
    10000,      25000,      50000,      100000,     250000,
    500000,     1000000,    2500000,    5000000,    10000000,
    25000000,   50000000,   100000000,  250000000,  500000000,
    1000000000, 2500000000, 5000000000, 10000000000};

/* ---- the map: slots with hash and number, from 1, of entries; 0: free ---- */

struct rn_tally_slot {
    uint32_t hash;
    uint32_t number;
};

static uint32_t
key_hash(const struct rn_tally_key *key)
{
    static const uint64_t odd[4] = {0x9e3779b97f4a7c15u, 0xff51afd7ed558ccdu,
                                    0xc4ceb9fe1a85ec53u, 0xd6e8feb86659fd93u};
    uint64_t words[4];
    uint64_t hash = 0;

    /* By members: they were written just now, and what a processor has not yet
     * stored it forwards to a load of the same place and size only.
     */
    memcpy(words, key->destination, sizeof(key->destination));
    words[2] = (uint64_t)key->interface_index << 32 | key->table;
    words[3] = (uint64_t)key->prefix_length << 24 |
               (uint64_t)key->ip_version << 16 | key->protocol;
    for (size_t i = 0; i < 4; i++) {
        hash += words[i] * odd[i]; /* none waits for another */
    }
    hash ^= hash >> 32;
    hash *= odd[1];
    return (uint32_t)(hash >> 32);
}

static struct rn_tally_slot *
map_first_slot(const struct rn_tally_map *map, uint32_t hash)
{
    return &map->slots[hash & (map->size * 2 - 1)];
}

/* The slot of key, or the free one where its number belongs. */
static struct rn_tally_slot *
map_slot(const struct rn_tally_map *map, const struct rn_tally_key *key,
         uint32_t hash)
{
    struct rn_tally_slot *slot = map_first_slot(map, hash);

    while (slot->number != 0 &&
           (slot->hash != hash || memcmp(&map->entries[slot->number - 1].key,
                                         key, sizeof(*key)) != 0)) {
        slot++;
        if (slot == map->slots + (size_t)map->size * 2) {
            slot = map->slots;
        }
    }
    return slot;
}

static void
map_free(struct rn_tally_map *map)
{
    free(map->slots);
    free(map->entries);
}

/* All slots anew: map->slots is zero. */
static void
map_link(struct rn_tally_map *map)
{
    for (uint32_t i = 0; i < map->used; i++) {
        uint32_t hash = key_hash(&map->entries[i].key);
        *map_slot(map, &map->entries[i].key, hash) =
            (struct rn_tally_slot){.hash = hash, .number = i + 1};
    }
}

/* What is in the map's slots into twice as many.  In the order of the slots, not
 * of the entries: each goes to its place or as far behind the middle, so both
 * are gone through from one end to the other and hardly miss the cache.
 */
static void
map_spread(const struct rn_tally_map *map, struct rn_tally_slot *slots)
{
    const uint32_t mask = map->size * 4 - 1;

    for (uint32_t i = 0; i < map->size * 2; i++) {
        uint32_t at = map->slots[i].hash & mask;
        if (map->slots[i].number != 0) {
            while (slots[at].number != 0) {
                at = (at + 1) & mask;
            }
            slots[at] = map->slots[i];
        }
    }
}

static int
map_grow(struct rn_tally_map *map)
{
    uint32_t size = map->size == 0 ? MAP_FIRST : map->size * 2;
    struct rn_tally_slot *slots = rn_alloc_zero(size, 2 * sizeof(*slots));
    struct rn_tally_entry *entries =
        slots == NULL ? NULL
                      : rn_realloc(map->entries, size * sizeof(*entries));

    if (entries == NULL) {
        free(slots);
        return -1;
    }
    map_spread(map, slots);
    free(map->slots);
    map->slots = slots;
    map->entries = entries;
    map->size = size;
    return 0;
}

/* The smallest power of two such that at most half of the entries have as many
 * changes.
 */
static uint64_t
map_median(const struct rn_tally_map *map)
{
    uint32_t shorter[65] = {0}; /* by bits of their changes */
    uint32_t left = map->used;
    unsigned bits = 0;

    for (uint32_t i = 0; i < map->used; i++) {
        uint64_t changes = rn_tally_changes(&map->entries[i]);
        unsigned length = 0;
        for (; changes != 0; changes >>= 1) {
            length++;
        }
        shorter[length]++;
    }
    while (left > map->used / 2) {
        left -= shorter[bits++];
    }
    return (uint64_t)1 << (bits - 1);
}

/* Return: how many had fewer changes than `least` and are gone. */
static uint32_t
map_keep(struct rn_tally_map *map, uint64_t least)
{
    uint32_t before = map->used;

    map->used = 0;
    for (uint32_t i = 0; i < before; i++) {
        if (rn_tally_changes(&map->entries[i]) >= least) {
            map->entries[map->used++] = map->entries[i];
        }
    }
    memset(map->slots, 0, (size_t)map->size * 2 * sizeof(*map->slots));
    map_link(map);
    return before - map->used;
}

/* The entry of key, a new one if need be; NULL when memory ran out. */
static struct rn_tally_entry *
map_entry(struct rn_tally_map *map, const struct rn_tally_key *key,
          uint32_t hash)
{
    if (map->used == map->size && map_grow(map) < 0) {
        return NULL;
    }
    struct rn_tally_slot *slot = map_slot(map, key, hash);
    if (slot->number == 0) {
        rn_clear(&map->entries[map->used], sizeof(*map->entries));
        map->entries[map->used].key = *key;
        *slot = (struct rn_tally_slot){.hash = hash, .number = ++map->used};
    }
    return &map->entries[slot->number - 1];
}

/* ---- counting ---- */

/* What is counted of a change. */
struct one {
    struct rn_tally_key key; /* of its destination */
    struct rn_tally_key kind;
    uint32_t hash; /* of key */
    uint32_t merged;
    int64_t time_ns;
    uint8_t type;
};

/* Changes that are counted together. */
#define TOGETHER 16
struct some {
    struct one ones[TOGETHER];
    size_t count;
};

/* A member of a record at any address; what is not wanted is not copied. */
#define TAKE(to, record, member)                                 \
    memcpy(&(to), (record) + offsetof(struct rn_record, member), \
           sizeof(((struct rn_record *)0)->member))

static void
some_append(struct some *some, const char *record)
{
    struct one *one = &some->ones[some->count++];

    one->key = one->kind = (struct rn_tally_key){.table = 0};
    TAKE(one->key.destination, record, destination);
    TAKE(one->key.table, record, table);
    TAKE(one->key.ip_version, record, ip_version);
    TAKE(one->key.prefix_length, record, prefix_length);
    one->kind.table = one->key.table;
    one->kind.ip_version = one->key.ip_version;
    TAKE(one->kind.interface_index, record, interface_index);
    TAKE(one->kind.protocol, record, protocol);
    one->hash = key_hash(&one->key);
    TAKE(one->merged, record, merged);
    TAKE(one->time_ns, record, time_ns);
    TAKE(one->type, record, type);
}

/* Take what counts of up to TOGETHER records.  Return: how many were seen. */
static size_t
some_take(struct some *some, const char *records, size_t count)
{
    size_t seen = count < TOGETHER ? count : TOGETHER;

    some->count = 0;
    for (size_t i = 0; i < seen; i++) {
        const char *record = records + i * sizeof(struct rn_record);
        uint8_t type;
        uint8_t ip_version;
        TAKE(type, record, type);
        TAKE(ip_version, record, ip_version);
        if (type <= RN_DELETE && ip_version != 0) {
            some_append(some, record);
        }
    }
    return seen;
}

/* In a large map each slot and each entry is a cache miss: have them happen
 * together and not one after the other.
 */
static void
some_fetch(const struct some *some, const struct rn_tally_map *map)
{
    if (map->size == 0) {
        return;
    }
    for (size_t i = 0; i < some->count; i++) {
        RN_FETCH(map_first_slot(map, some->ones[i].hash), 1);
    }
    for (size_t i = 0; i < some->count; i++) {
        uint32_t number = map_first_slot(map, some->ones[i].hash)->number;
        if (number != 0) {
            RN_FETCH(&map->entries[number - 1], 1);
        }
    }
}

static void
entry_count(struct rn_tally_entry *entry, const struct one *one)
{
    entry->counts[one->type]++;
    entry->last_ns = one->time_ns;
}

static int
count_destination(struct rn_tally *tally, const struct one *one)
{
    struct rn_tally_map *map = &tally->destinations;

    if (map->used >= tally->limit &&
        map_slot(map, &one->key, one->hash)->number == 0) {
        tally->forgotten += map_keep(map, map_median(map));
    }
    struct rn_tally_entry *entry = map_entry(map, &one->key, one->hash);
    if (entry == NULL) {
        return -1;
    }
    entry_count(entry, one);
    return 0;
}

/* A flood is of one kind for long: the last one is looked at first. */
static int
count_kind(struct rn_tally *tally, const struct one *one)
{
    struct rn_tally_map *map = &tally->kinds;
    const struct rn_tally_key *key = &one->kind;
    uint32_t last = tally->last_kind;

    if (map->used == 0 ||
        memcmp(&map->entries[last].key, key, sizeof(*key)) != 0) {
        const struct rn_tally_entry *entry =
            map_entry(map, key, key_hash(key));
        if (entry == NULL) {
            return -1;
        }
        last = tally->last_kind = (uint32_t)(entry - map->entries);
    }
    entry_count(&map->entries[last], one);
    return 0;
}

static void
count_delay(struct rn_tally *tally, int64_t delay_ns)
{
    uint32_t at = tally->last_delay; /* hardly another for long, too */

    if (delay_ns < 0) { /* the wall clock was set back in between */
        delay_ns = 0;
    }
    while (at < RN_TALLY_BOUNDS && delay_ns > rn_tally_bounds_ns[at]) {
        at++;
    }
    while (at > 0 && delay_ns <= rn_tally_bounds_ns[at - 1]) {
        at--;
    }
    tally->last_delay = at;
    tally->delays[at]++;
    tally->delay_sum_ns += (uint64_t)delay_ns;
}

void
rn_tally_init(struct rn_tally *tally, uint32_t limit)
{
    *tally = (struct rn_tally){.limit = limit};
}

void
rn_tally_clear(struct rn_tally *tally)
{
    map_free(&tally->destinations);
    map_free(&tally->kinds);
    rn_tally_init(tally, tally->limit);
}

static int
count_one(struct rn_tally *tally, const struct one *one, int64_t now_ns)
{
    if (count_kind(tally, one) < 0 || count_destination(tally, one) < 0) {
        return -1;
    }
    if (one->merged > 1) {
        tally->merged += one->merged - 1;
    }
    if (now_ns != 0) {
        count_delay(tally, now_ns - one->time_ns);
    }
    return 0;
}

int
rn_tally_add(struct rn_tally *tally, const void *records, size_t count,
             int64_t now_ns)
{
    struct some some;
    const char *from = records;

    while (count != 0) {
        size_t seen = some_take(&some, from, count);
        some_fetch(&some, &tally->destinations);
        for (size_t i = 0; i < some.count; i++) {
            if (count_one(tally, &some.ones[i], now_ns) < 0) {
                return -1;
            }
        }
        from += seen * sizeof(struct rn_record);
        count -= seen;
    }
    return 0;
}

/* ---- ranking ---- */

static uint64_t
entry_value(const struct rn_tally_entry *entry, enum rn_tally_order order)
{
    switch (order) {
    case RN_TALLY_BY_FLAPS:
        return rn_tally_flaps(entry);
    case RN_TALLY_BY_ADDS:
        return entry->counts[RN_ADD];
    case RN_TALLY_BY_DELETES:
        return entry->counts[RN_DELETE];
    case RN_TALLY_BY_TIME:
        return (uint64_t)entry->last_ns;
    case RN_TALLY_BY_CHANGES:
    case RN_TALLY_ORDERS:
        break;
    }
    return rn_tally_changes(entry);
}

/* Of equal ones the first that changed comes first: rows of a view keep their
 * places, and of the many that are all alike each takes one look.
 */
size_t
rn_tally_top(const struct rn_tally *tally, enum rn_tally_order order,
             size_t count, const struct rn_tally_entry **out)
{
    const struct rn_tally_map *map = &tally->destinations;
    size_t found = 0;
    uint64_t least = 0; /* what is not above it has no place */

    for (uint32_t i = 0; count != 0 && i < map->used; i++) {
        const struct rn_tally_entry *entry = &map->entries[i];
        uint64_t value = entry_value(entry, order);
        if (value <= least) {
            continue;
        }
        size_t at = found < count ? found++ : found - 1;
        for (; at > 0 && value > entry_value(out[at - 1], order); at--) {
            out[at] = out[at - 1];
        }
        out[at] = entry;
        least = found < count ? 0 : entry_value(out[found - 1], order);
    }
    return found;
}
