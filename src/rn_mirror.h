/* rn_mirror.h - the table as last known, and what each news changes in it.
 *
 * Owned by one thread; no lock, no netlink, no Python.  Rows are kept as the
 * kernel keeps them: under one key (ip_version, table, destination, source,
 * tos, metric) an ordered list of entries, each with its hops; a row is
 * entry x hop.  Every call that changes rows emits them, in order.
 *
 * A comparison with the system runs in steps: begin, dumped (per entry of the
 * dump), then finish or abandon.  News may be applied between the steps; the
 * destinations they touch are left as the news say.
 */
#ifndef RN_MIRROR_H
#define RN_MIRROR_H

#include "rn_route.h"

struct rn_mirror;

/* The record is the callee's until it returns: it may stamp and change it. */
typedef void
rn_mirror_emit(void *self, struct rn_record *record);

/* How a NEWROUTE goes into the list: nlmsg_flags without their wire values. */
enum rn_place {
    RN_PLACE_EXCL = 1,    /* NLM_F_EXCL */
    RN_PLACE_CREATE = 2,  /* NLM_F_CREATE */
    RN_PLACE_REPLACE = 4, /* NLM_F_REPLACE */
    RN_PLACE_APPEND = 8,  /* NLM_F_APPEND */
};

/* What the caller must do after a call, or'ed. */
enum rn_need {
    RN_NEED_NOTHING = 0,
    RN_NEED_RESYNC4 = 1, /* news contradict the mirror: compare IPv4 */
    RN_NEED_RESYNC6 = 2,
    RN_NEED_MEMORY = 4, /* memory ran out: the news was not applied */
};

/* emit is called with records whose sequence and time are not yet stamped. */
struct rn_mirror *
rn_mirror_new(rn_mirror_emit *emit, void *self);

void
rn_mirror_free(struct rn_mirror *mirror);

int
rn_mirror_added(struct rn_mirror *mirror, const struct rn_entry *entry,
                int place);
int
rn_mirror_deleted(struct rn_mirror *mirror, const struct rn_entry *entry);

/* rn_mirror_expect - news of these entries come next: have the memory fetched
 * that they will look at, all of it at once, for in a large table every look is
 * a miss of the cache.  A hint: the table does not change, and an entry only
 * gets its hash, so that it need not be computed again.
 */
void
rn_mirror_expect(const struct rn_mirror *mirror,
                 struct rn_entry *const *entries, size_t count);

/* rn_mirror_link_removed - every IPv4 entry with any hop on the device goes,
 * every hop there of IPv6 entries and of nexthop objects goes (the index may be
 * reused at once).
 */
int
rn_mirror_link_removed(struct rn_mirror *mirror, uint32_t if_index);

/* Why rows may differ from the system without a message: a trigger. */
struct rn_suspect {
    uint8_t cause;       /* enum rn_cause */
    uint8_t ip_version;  /* 0: both */
    uint32_t if_index;   /* rows on this device; 0: no such clue */
    uint32_t nexthop_id; /* rows of this object; 0: no such clue */
    uint8_t address[16]; /* rows with this preferred source; zero: none */
};

/* rn_mirror_suspect - remember a trigger until a comparison that began after
 * it has finished: rows that turn out wrong get its cause.
 */
void
rn_mirror_suspect(struct rn_mirror *mirror, const struct rn_suspect *suspect);

/* rn_mirror_begin - start comparing one family (4 or 6).
 * again: nothing but what the last comparison left unsure is in question (no
 * trigger came since), so only that can be left unsure again.
 * lost: messages may be missing, so the dump is all there is to go by: what it
 * hides between siblings counts as gone until a message or a dump has it.
 */
void
rn_mirror_begin(struct rn_mirror *mirror, int ip_version, int again, int lost);

/* rn_mirror_dumped - one entry of the dump.  Return: RN_NEED_*; after
 * RN_NEED_MEMORY abandon.
 */
int
rn_mirror_dumped(struct rn_mirror *mirror, const struct rn_entry *entry);

/* rn_mirror_finish - the dump is complete: emit the difference.
 * exact: destinations without news since begin are in the dump exactly as they
 * are.  0: the dump may have lost and repeated rows (IPv6 in several parts
 * while the family moved): additions only.  silent: take the difference over
 * without emitting it (the first load, before anyone listens).
 * Return: destinations (or the whole family: SIZE_MAX) still unsure.
 */
size_t
rn_mirror_finish(struct rn_mirror *mirror, int ip_version, int exact,
                 int silent);

/* rn_mirror_abandon - forget what the dump said. */
void
rn_mirror_abandon(struct rn_mirror *mirror, int ip_version);

/* rn_mirror_touched - destinations with news since begin. */
size_t
rn_mirror_touched(const struct rn_mirror *mirror, int ip_version);

/* Rows of a family (0: both); each() gets every row, in no order. */
size_t
rn_mirror_rows(const struct rn_mirror *mirror, int ip_version);
void
rn_mirror_each(const struct rn_mirror *mirror, int ip_version,
               rn_mirror_emit *each, void *self);

/* rn_mirror_forget - drop all groups that keep() refuses, without a word.  It
 * is asked with the first row of each and must look at nothing that may differ
 * within a group.
 */
typedef int
rn_mirror_keep(void *self, const struct rn_record *row);
void
rn_mirror_forget(struct rn_mirror *mirror, rn_mirror_keep *keep, void *self);

/* Bytes allocated, for the memory bar. */
size_t
rn_mirror_bytes(const struct rn_mirror *mirror);

#endif
