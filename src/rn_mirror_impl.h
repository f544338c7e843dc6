/* rn_mirror_impl.h - what the mirror's files share; nobody else includes it. */
#ifndef RN_MIRROR_IMPL_H
#define RN_MIRROR_IMPL_H

#include "rn_mirror.h"
#include "rn_store.h"

#define RN_SUSPECTS 64

/* Kinds of pool values, or'ed into rn_value.tag; attribute sets have none so
 * that the empty one is number 0.
 */
#define RN_TAG_SOURCE 0x80000000u
#define RN_TAG_VIA 0x40000000u

/* A set of destination addresses, by 64-bit hash: a collision only makes one
 * destination more wait for the next comparison.
 */
struct rn_touched {
    uint64_t *slots; /* 0: free */
    size_t mask;
    size_t count;
    int overflow; /* memory ran out: everything counts as touched */
};

struct rn_mirror {
    rn_mirror_emit *emit;
    void *self;
    int silent;                   /* rows change, nobody is told */
    struct rn_half half[2];       /* [0] IPv4, [1] IPv6 */
    struct rn_touched touched[2]; /* news since the comparison began */
    struct rn_touched unsure[2];  /* in doubt since the last trigger */
    int again[2];                 /* comparing just for those in doubt */
    int lost[2];                  /* comparing because news were lost */
    struct rn_pool pool;
    struct rn_suspect suspects[RN_SUSPECTS]; /* oldest first */
    uint8_t suspected[RN_SUSPECTS]; /* families not compared since: bits */
    size_t suspect_count;
    size_t suspects_at[2]; /* how many there were when comparing began */
};

/* A cause, or "look at the suspects". */
#define RN_CAUSE_BY_SUSPECT 0xff

static inline struct rn_half *
rn_half_of(struct rn_mirror *mirror, int ip_version)
{
    return &mirror->half[ip_version == 6];
}

/* rn_entry.c: entries as chains of nodes. */

/* rn_entry_build - nodes for entry, provisional, linked to nothing.
 * Return: the first node, RN_NIL: memory ran out.
 */
uint32_t
rn_entry_build(struct rn_mirror *mirror, struct rn_half *half,
               const struct rn_entry *entry);

/* A node like another one, alone; RN_NIL: memory ran out. */
uint32_t
rn_node_copy(struct rn_mirror *mirror, struct rn_half *half, uint32_t from);

/* Free the nodes of one entry, given its first. */
void
rn_entry_free(struct rn_mirror *mirror, struct rn_half *half, uint32_t first);

/* rn_source_number - pool number of the entry's source prefix, referenced if
 * take; RN_POOL_NONE: unknown, or memory ran out.
 */
uint32_t
rn_source_number(struct rn_mirror *mirror, const struct rn_entry *entry,
                 int take);

enum rn_sameness {
    RN_SAME_ENTRY, /* all but run-time flags */
    RN_SAME_FLAGS, /* those too */
    RN_SAME_HOPS,  /* hops, type and protocol only */
};

/* rn_entry_same - is the entry that starts at `first` what `entry` says? */
int
rn_entry_same(const struct rn_mirror *mirror, const struct rn_half *half,
              uint32_t first, const struct rn_entry *entry,
              enum rn_sameness how);

/* rn_hop_same - is node this hop (gateway, device, encapsulation, onlink)? */
int
rn_hop_same(const struct rn_mirror *mirror, const struct rn_half *half,
            uint32_t number, const struct rn_hop *hop);

/* rn_entry_siblings - would the kernel put it into the IPv6 sibling set?
 * rn_entry_perhaps_sibling - it may have or not: by itself it does not tell.
 * rn_node_perhaps_sibling - the same of an entry of the mirror.
 */
int
rn_entry_siblings(const struct rn_entry *entry);
int
rn_entry_perhaps_sibling(const struct rn_entry *entry);
int
rn_node_perhaps_sibling(const struct rn_half *half, uint32_t first);

/* rn_siblings_found - entry, which is a sibling set, names the hop of a single
 * entry of the group that may have been a sibling: it has been one.
 */
void
rn_siblings_found(const struct rn_mirror *mirror, const struct rn_half *half,
                  uint32_t group, const struct rn_entry *entry);

/* rn_rows.c: announcing. */

/* rn_rows_change - announce the provisional entries of the group `*link`; the
 * entries of the detached list `old` went away for them.  Rows of equal
 * identity in both become PARAMETER (or nothing if nothing shows).  Frees old.
 */
void
rn_rows_change(struct rn_mirror *mirror, struct rn_half *half, uint32_t *link,
               uint32_t old, int cause_old, int cause_new);

/* rn_rows_removed - announce that the detached list `old` is gone; frees it. */
void
rn_rows_removed(struct rn_mirror *mirror, struct rn_half *half, uint32_t old,
                int cause);

/* The record of a row, type and cause left 0. */
void
rn_rows_record(const struct rn_mirror *mirror, const struct rn_half *half,
               uint32_t first, uint32_t number, struct rn_record *out);

/* rn_list.c: the ordered list of entries of one group. */

/* The link that holds entry `first`, starting at the group's own link. */
uint32_t *
rn_list_find(const struct rn_half *half, uint32_t *link, uint32_t first);

/* The last link of the list: the one that holds RN_NIL. */
uint32_t *
rn_list_end(const struct rn_half *half, uint32_t *link);

/* Take the entry at *at out of its list; it is then alone. */
uint32_t
rn_list_detach(const struct rn_half *half, uint32_t *at);

/* Put entry `first` before the one at *at. */
void
rn_list_insert(const struct rn_half *half, uint32_t *at, uint32_t first);

/* rn_compare.c: what news must tell a running comparison. */

/* rn_compare_touch - news came for this destination (half.width bytes): what
 * the dump says of it no longer counts.
 */
void
rn_compare_touch(struct rn_mirror *mirror, struct rn_half *half,
                 const uint8_t *destination);

/* rn_compare_purge - drop the provisional entries of the group.  Return: its
 * link, or NULL if nothing is left of the group.
 */
uint32_t *
rn_compare_purge(struct rn_mirror *mirror, struct rn_half *half,
                 uint32_t *link);

#endif
