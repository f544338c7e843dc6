/* rn_spill.h - changes that found the ring full, one per row, oldest first.
 *
 * A map keyed by row whose entries also stand in one list in order of
 * sequence.  A change of a row that is already pending merges into its entry
 * by the table in docs/design.md; the merged entry moves to the end, because
 * it carries the newest sequence.  Markers and INITIAL are never merged.
 *
 * Knows no thread: the caller's lock covers every call.  Memory follows the
 * number of entries up and down, and is all given back when the map empties.
 */
#ifndef RN_SPILL_H
#define RN_SPILL_H

#include "rn_netio.h"

struct rn_spill_entry;

struct rn_spill {
    struct rn_spill_entry *entries; /* dense: 0 .. count - 1 are in use */
    uint32_t *slots; /* hash to index + 1, 0 free; twice as many as room */
    uint32_t count;
    uint32_t room; /* entries there is memory for: 0 or a power of two */
    uint32_t oldest;
    uint32_t newest;
};

/* rn_spill_init - an empty map, which holds no memory. */
void
rn_spill_init(struct rn_spill *spill);

/* rn_spill_put - add a change, its sequence and merged stamped by the caller.
 * marked: the last sequence a snapshot was taken at; an ADD that is in such a
 * snapshot is not cancelled by its DELETE, which the snapshot's owner needs.
 * Return: how many changes this one took off what is pending: 0 it has an
 * entry of its own, 1 it was merged, 2 it cancelled the entry; or -1: no
 * memory, and the map is as it was.
 */
int
rn_spill_put(struct rn_spill *spill, const struct rn_record *record,
             uint64_t marked);

/* rn_spill_pop - take the oldest out.  Return: 1, or 0: empty. */
int
rn_spill_pop(struct rn_spill *spill, struct rn_record *out);

/* rn_spill_clear - drop everything and give all memory back. */
void
rn_spill_clear(struct rn_spill *spill);

#endif
