/* rn_tally.h - counts of changes, by destination and by what else they are.
 *
 * For views of a flood: one hash map entry per destination and one per kind,
 * none per change.  Knows no Python, no thread and no lock: one owner at a
 * time.
 */
#ifndef RN_TALLY_H
#define RN_TALLY_H

#include <stddef.h>
#include <stdint.h>

#include "rn_netio.h"

/* What is counted together.  Of a destination: destination, prefix_length and
 * table; of a kind: table, protocol and interface_index; ip_version of both.
 * What does not belong to it is zero.
 */
struct rn_tally_key {
    uint8_t destination[16];
    uint32_t table;
    uint32_t interface_index;
    uint16_t protocol;
    uint8_t ip_version;
    uint8_t prefix_length;
};
static_assert(sizeof(struct rn_tally_key) == 28, "no padding: it is hashed");

/* One cache line: a change of a destination seen before touches one. */
struct rn_tally_entry {
    struct rn_tally_key key;
    uint32_t reserved;
    uint64_t counts[3]; /* by enum rn_type: PARAMETER, ADD, DELETE */
    int64_t last_ns;    /* time_ns of the newest */
};
static_assert(sizeof(struct rn_tally_entry) == 64, "one cache line");

/* Entries in the order of their first change: a storm that repeats itself goes
 * through them in order, and only the slots are hit at random.
 */
struct rn_tally_map {
    struct rn_tally_entry *entries;
    struct rn_tally_slot *slots; /* 2 * size of them */
    uint32_t size;               /* of entries; 0 or a power of two */
    uint32_t used;
};

/* Upper bounds of the delays that are told apart; one more count is for those
 * above all of them.
 */
#define RN_TALLY_BOUNDS 19
extern const int64_t rn_tally_bounds_ns[RN_TALLY_BOUNDS];

struct rn_tally {
    struct rn_tally_map destinations;
    struct rn_tally_map kinds;
    uint32_t limit;      /* destinations to tell apart at most */
    uint32_t last_kind;  /* which entry of kinds was counted last */
    uint32_t last_delay; /* and which of delays */
    uint64_t merged;     /* changes that others stand for */
    uint64_t forgotten;  /* destinations dropped: the limit was reached */
    uint64_t delays[RN_TALLY_BOUNDS + 1]; /* reception to rn_tally_add() */
    uint64_t delay_sum_ns;
};

enum rn_tally_order {
    RN_TALLY_BY_CHANGES,
    RN_TALLY_BY_FLAPS,
    RN_TALLY_BY_ADDS,
    RN_TALLY_BY_DELETES,
    RN_TALLY_BY_TIME,
    RN_TALLY_ORDERS
};

/* rn_tally_init - nothing counted; limit: destinations, at least 2. */
void
rn_tally_init(struct rn_tally *tally, uint32_t limit);

/* rn_tally_clear - forget all and free it; the limit stays. */
void
rn_tally_clear(struct rn_tally *tally);

/* rn_tally_add - count `count` records; they need not be aligned.  Markers are
 * passed over.  now_ns: the wall clock, to measure delays by; 0: none.
 *
 * At the limit the half that changed least is forgotten.
 *
 * Return: 0, or -1 when memory ran out: those before are counted.
 */
int
rn_tally_add(struct rn_tally *tally, const void *records, size_t count,
             int64_t now_ns);

/* rn_tally_flaps - how often it both came and went. */
static inline uint64_t
rn_tally_flaps(const struct rn_tally_entry *entry)
{
    uint64_t adds = entry->counts[RN_ADD], deletes = entry->counts[RN_DELETE];
    return adds < deletes ? adds : deletes;
}

static inline uint64_t
rn_tally_changes(const struct rn_tally_entry *entry)
{
    return entry->counts[RN_PARAMETER] + entry->counts[RN_ADD] +
           entry->counts[RN_DELETE];
}

/* rn_tally_top - the first `count` destinations by order, of equal ones those
 * first that changed first; those whose value is 0 are left out.
 * Return: how many were written to out.
 */
size_t
rn_tally_top(const struct rn_tally *tally, enum rn_tally_order order,
             size_t count, const struct rn_tally_entry **out);

#endif
