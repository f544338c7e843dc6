/* rn_linux_large.c - a route that is too large for any dump.
 *
 * Where the kernel's dump comes to it, it ends, without a sign: of what it lacks
 * then, nothing is known.  So as long as there is such a route nothing is deleted
 * on the evidence of a dump of its family.
 */
#include <linux/rtnetlink.h>
#include <string.h>

#include "rn_linux.h"

static int
is_same(const struct rn_large *large, const struct rn_entry *entry)
{
    return large->table == entry->table && large->metric == entry->metric &&
           large->tos == entry->tos &&
           large->prefix_length == entry->prefix_length &&
           !memcmp(large->destination, entry->destination, 16);
}

static void
remember(struct rn_large *large, const struct rn_entry *entry, size_t size)
{
    large->table = entry->table;
    large->metric = entry->metric;
    large->tos = entry->tos;
    large->prefix_length = entry->prefix_length;
    memcpy(large->destination, entry->destination, 16);
    large->hops = entry->hop_count;
    large->shown =
        (uint32_t)(RN_OVERSIZED * (uint64_t)entry->hop_count / size);
}

/* IPv6 tells each sibling that goes by itself, IPv4 the whole entry. */
static void
forget(struct rn_large *large, const struct rn_entry *entry)
{
    const int whole =
        entry->ip_version == 4 || entry->hop_count >= large->hops;

    large->hops = whole ? 0 : large->hops - entry->hop_count;
}

void
rn_linux_large_news(struct rn_source *source,
                    const struct rn_route_message *message, size_t size)
{
    const struct rn_entry *entry = &message->entry;
    struct rn_large *large = &source->large[entry->ip_version == 6];
    const int same = large->hops && is_same(large, entry);

    if (message->nl_type == RTM_NEWROUTE && size > RN_OVERSIZED) {
        if (large->hops && !same) {
            large->others = 1; /* these are not kept apart: for good */
        } else {
            remember(large, entry, size);
        }
    } else if (same && message->nl_type == RTM_NEWROUTE) {
        /* One hop may be another entry of the same key. */
        large->hops = entry->hop_count > 1 ? entry->hop_count : large->hops;
    } else if (same) {
        forget(large, entry);
    }
}

int
rn_linux_large_alive(const struct rn_source *source, int ip_version)
{
    const struct rn_large *large = &source->large[ip_version == 6];

    return large->others || large->hops > large->shown;
}
