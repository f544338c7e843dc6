/* rn_linux_links.c - what is known of devices: which RTM_NEWLINK is news.
 *
 * The kernel changes routes with their device without a word.  A NEWLINK that
 * says of it what is known already changes none, or else a dump of the table
 * would follow each of the many that tell of something else.
 */
#include <linux/if.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>

#include "rn_alloc.h"
#include "rn_linux.h"

#define WATCHED ((uint32_t)(IFF_UP | IFF_RUNNING | IFF_LOWER_UP))

struct link {
    uint32_t index;
    uint32_t flags; /* of WATCHED */
    uint32_t mtu;
};

struct rn_links {
    struct link *links; /* by index, ascending */
    size_t count;
    size_t size;
    size_t dark; /* of them, are up without a carrier */
};

struct rn_links *
rn_linux_links_new(void)
{
    return rn_alloc_zero(1, sizeof(struct rn_links));
}

void
rn_linux_links_free(struct rn_links *links)
{
    if (links) {
        free(links->links);
        free(links);
    }
}

static int
is_dark(const struct link *link)
{
    return (link->flags & (IFF_UP | IFF_LOWER_UP)) == IFF_UP;
}

/* Where the device is or belongs. */
static size_t
position(const struct rn_links *links, uint32_t index)
{
    size_t low = 0;
    size_t high = links->count;

    while (low < high) {
        size_t middle = (low + high) / 2;
        if (links->links[middle].index < index) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static struct link *
find(const struct rn_links *links, uint32_t index)
{
    size_t at = position(links, index);

    return at < links->count && links->links[at].index == index
               ? &links->links[at]
               : NULL;
}

/* A new one, of which nothing is known; NULL: no memory. */
static struct link *
insert(struct rn_links *links, uint32_t index)
{
    size_t at = position(links, index);

    if (links->count == links->size) {
        size_t size = links->size ? links->size * 2 : 16;
        struct link *more = rn_realloc(links->links, size * sizeof(*more));
        if (!more) {
            return NULL;
        }
        links->links = more;
        links->size = size;
    }
    memmove(&links->links[at + 1], &links->links[at],
            (links->count - at) * sizeof(*links->links));
    links->count++;
    links->links[at] = (struct link){.index = index};
    return &links->links[at];
}

static void
take_out(struct rn_links *links, struct link *link)
{
    size_t at = (size_t)(link - links->links);

    links->dark -= (size_t)is_dark(link);
    links->count--;
    memmove(link, link + 1, (links->count - at) * sizeof(*link));
}

void
rn_linux_links_forget(struct rn_links *links, uint32_t index)
{
    struct link *link = find(links, index);

    if (link) {
        take_out(links, link);
    }
}

void
rn_linux_links_forget_all(struct rn_links *links)
{
    links->count = 0;
    links->dark = 0;
}

int
rn_linux_links_told(struct rn_links *links,
                    const struct rn_link_message *message)
{
    const uint32_t flags = message->flags & WATCHED;
    struct link *link = find(links, message->index);
    const int known = link != NULL;

    if (!link) {
        link = insert(links, message->index);
        if (!link) {
            return -1;
        }
    }
    const struct link was = *link;
    link->flags = flags;
    link->mtu = message->mtu ? message->mtu : was.mtu;
    links->dark += (size_t)is_dark(link) - (size_t)is_dark(&was);
    return (!known || was.flags != flags ? RN_LINK_MOVED : 0) |
           (known && was.mtu != link->mtu ? RN_LINK_RESIZED : 0) |
           ((known ? was.flags : WATCHED) & ~flags ? RN_LINK_LOST : 0);
}

/* Does the carrier of its device show in a route?  Not in the system's own, but
 * where an object has the hop.
 */
static int
shows_carrier(const struct rn_entry *entry)
{
    if (entry->nexthop_id) {
        return 1;
    }
    if (entry->ip_version == 4) {
        return entry->scope < RT_SCOPE_HOST;
    }
    return entry->route_type != RTN_LOCAL &&
           (entry->route_type != RTN_ANYCAST || entry->metric);
}

/* The link watch looks up to a second late.  A carrier that is lost and back by
 * then was never lost, by NEWLINK; but a route that is made meanwhile is made
 * without a carrier, and gets it at that look, in silence.  And the other way
 * round.  So the next NEWLINK is news, whatever it says.
 */
uint32_t
rn_linux_links_doubt(struct rn_links *links, const struct rn_entry *entry)
{
    uint32_t doubted = 0;

    for (uint32_t i = 0; i < entry->hop_count; i++) {
        const struct rn_hop *hop = &entry->hops[i];
        const int without = (hop->flags & RN_FLAG_LINKDOWN) != 0;
        struct link *link =
            without || links->dark ? find(links, hop->if_index) : NULL;
        if (link && link->flags & IFF_UP && without != is_dark(link) &&
            shows_carrier(entry)) {
            doubted = link->index;
            take_out(links, link);
        }
    }
    return doubted;
}
