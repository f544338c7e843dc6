/* rn_filter.h - which rows a monitor wants: a compiled RouteFilter.
 *
 * Immutable once made and counted, so that the monitor, its channel and its
 * provider share one without a lock.  Knows no Python and no wire.
 *
 * A filter is a tree of terms, made from bytes, operator first:
 *
 *   '&' '|'  count (u32), that many trees: all of them, any of them; none: '&'
 *            is true and '|' is false
 *   '!'      one tree: not
 *   't'      count, that many u32: the table is one of them
 *   'i' 'p' 'r' 'c'  likewise interface index, protocol, route type, and type
 *            of the change
 *   '='      count, that many prefixes: the destination is one of them
 *   '<'      ... is one of them or lies inside one (is more specific)
 *   '>'      ... is one of them or has one inside (covers it)
 *
 * A prefix is version (4, 6), length and 16 bytes of address in network order,
 * without bits beyond its length; numbers are in host order.
 */
#ifndef RN_FILTER_H
#define RN_FILTER_H

#include "rn_atomic.h"
#include "rn_netio.h"

#define RN_FILTER_DEPTH 64 /* trees within trees: what recursion may cost */

/* An IPv4 address stands in the upper half of `high`. */
struct rn_prefix {
    uint64_t high;
    uint64_t low;
    uint8_t length;
};

/* Prefixes of one family.  For '<' without those that lie inside others. */
struct rn_prefixes {
    struct rn_prefix *all; /* by address, then by length */
    uint32_t count;
};

enum rn_filter_op {
    RN_FILTER_ALL = '&',
    RN_FILTER_ANY = '|',
    RN_FILTER_NOT = '!',
    RN_FILTER_TABLE = 't',
    RN_FILTER_INTERFACE = 'i',
    RN_FILTER_PROTOCOL = 'p',
    RN_FILTER_ROUTE_TYPE = 'r',
    RN_FILTER_CHANGE_TYPE = 'c',
    RN_FILTER_EXACT = '=',
    RN_FILTER_INSIDE = '<',
    RN_FILTER_COVERING = '>',
};

struct rn_filter_node {
    uint8_t op;        /* enum rn_filter_op */
    uint8_t in_kernel; /* a term that rn_filter_interest() looks at */
    uint32_t end;      /* number of the node behind this one's tree */
    uint32_t *numbers; /* ascending */
    uint32_t number_count;
    struct rn_prefixes prefixes[2]; /* [0] IPv4, [1] IPv6 */
};

struct rn_filter {
    rn_atomic_u32 references;
    uint32_t count;
    struct rn_filter_node *nodes; /* the tree's root first, each tree whole */
    uint8_t *bytes;               /* what it was made from */
    size_t size;
};

/* rn_filter_new - from bytes, which are copied.
 * Return: with one reference, or NULL: *why says what is wrong with the bytes,
 * or is NULL when memory ran out.
 */
struct rn_filter *
rn_filter_new(const void *bytes, size_t size, const char **why);

/* Any thread; NULL stands for "everything" and is passed through. */
struct rn_filter *
rn_filter_ref(struct rn_filter *filter);
void
rn_filter_unref(struct rn_filter *filter);

/* Made from the same bytes? */
int
rn_filter_same(const struct rn_filter *a, const struct rn_filter *b);

/* rn_filter_match - is this change wanted?  What the system did not say of the
 * row (RN_HAS_ATTRIBUTES) is equal to nothing.
 */
int
rn_filter_match(const struct rn_filter *filter,
                const struct rn_record *record);

/* rn_filter_has_row - would any change of this row be wanted? */
int
rn_filter_has_row(const struct rn_filter *filter, const struct rn_record *row);

/* rn_filter_change - the change to be delivered for this one, which may be
 * another: a row that comes to match is an ADD, one that ceases to match is a
 * DELETE of what it was.
 * Return: record, scratch (filled), or NULL: nothing.
 */
const struct rn_record *
rn_filter_change(const struct rn_filter *filter,
                 const struct rn_record *record, struct rn_record *scratch);

/* rn_filter_keep - drop the rows that do not match from a list of rows. */
void
rn_filter_keep(const struct rn_filter *filter, struct rn_rows *rows);

/* What a row has in common with all rows of its group (see rn_store.h), which
 * is what may be filtered before the mirror: it orders rows within groups.  And
 * with the groups of other lengths at its address: the kernel keeps them in one
 * leaf (net/ipv4/fib_trie.c), and a dump that goes on within a leaf counts how
 * many it has told, so that it is exact only if all news of the leaf are known.
 */
struct rn_filter_key {
    int ip_version;
    uint32_t table;
    const uint8_t
        *destination; /* 4 or 16 bytes; its length is not looked at */
};

/* rn_filter_interest - can any row with this key match?  0: certainly not.
 * Looks at tables, and at addresses of IPv4 destinations unless they are too many for the
 * kernel; all that it cannot tell counts as "can".  IPv6 destinations are not
 * looked at: a dump of IPv6 that goes on while routes change is exact only if
 * it is known that none did (rn_linux_compare.c).
 */
int
rn_filter_interest(const struct rn_filter *filter,
                   const struct rn_filter_key *key);

/* rn_filter_used - which terms decide anything in rn_filter_interest(): sets
 * bit 0 (IPv4) and bit 1 (IPv6) of used[number of the node], and no other.
 */
void
rn_filter_used(const struct rn_filter *filter, uint8_t *used);

/* rn_filter_only_table - the only table of which a row can match, by what
 * rn_filter_interest() looks at; -1: any, or several.
 */
int64_t
rn_filter_only_table(const struct rn_filter *filter);

/* rn_filter_holds - is a term of tables or IPv4 destinations true for the key,
 * for every length that a route to its address may have, or for any?
 */
int
rn_filter_holds(const struct rn_filter_node *node,
                const struct rn_filter_key *key, int every);

/* rn_filter_known - what a term (negated: its opposite) says of all rows of a
 * family: 0 no, 1 yes or that it cannot tell, -1: that depends on the key.
 */
int
rn_filter_known(const struct rn_filter_node *node, int negated,
                int ip_version);

/* rn_filter_family - rn_filter_known of the tree at node `at`. */
int
rn_filter_family(const struct rn_filter *filter, uint32_t at, int negated,
                 int ip_version);

/* Sizes of what the kernel can be given: terms beyond are left to C. */
#define RN_FILTER_KERNEL_NUMBERS 256
#define RN_FILTER_KERNEL_PREFIXES 64

/* rn_filter_prefix.c: sets of prefixes. */

/* The prefix of a record or key. */
struct rn_prefix
rn_prefix_of(int ip_version, const uint8_t *address, int length);

/* Sort, and drop what says nothing new under this operator. */
void
rn_prefixes_settle(struct rn_prefixes *set, enum rn_filter_op op);

/* rn_prefixes_hold - is the route to an IPv4 address in the set, by this operator,
 * whichever of the lengths it may have (every), or with one of them?
 * Every: what only several members say together is not seen.
 */
int
rn_prefixes_hold(const struct rn_prefixes *set, enum rn_filter_op op,
                 const uint8_t address[4], int every);

/* rn_prefixes_decide - is there an address of which rn_prefixes_hold() says that
 * every length is in the set?
 */
int
rn_prefixes_decide(const struct rn_prefixes *set, enum rn_filter_op op);

/* Is `route` in the set, by this operator? */
int
rn_prefixes_match(const struct rn_prefixes *set, enum rn_filter_op op,
                  struct rn_prefix route);

#endif
